/* scheduler/core/views.h: what queries answer.   PURE, plain data.
 * Shapes   as in state.h: the API shows them, the CLI decodes them.
 * Units    *_wall_us: wall clock, for people. Other *_us: durations.   Owner: each owns its strings. */
#pragma once

#include "scheduler/core/state.h"

struct host_view {
    char *name;
    int state; /* enum host_state */
    bool connected, libvirt_up;
    int64_t mem_bytes, mem_free_bytes, mem_reserved_bytes; /* by Drover's accounting; reserved: moves in */
    int64_t cpus, vcpus, vms, running;
    int64_t moving_in, moving_out, queued_in, queued_out; /* under way; waiting for their turn */
    char *reason, *actor;
    int64_t since_wall_us, run, seen_wall_us, link_bps;
    struct cpu_figures cpu; /* busy CPUs; now and m5 only while fresh */
    struct host_load load;  /* of the last reading, while it is fresh */
    char *zone, *rack;
    struct label *labels;
    size_t n_labels;
};
struct vm_view {
    char *uuid, *name, *host;
    int state; /* enum vm_state */
    bool persistent;
    int64_t mem_bytes, vcpus;
    int64_t dirty_Bps;  /* what its guest writes to memory; -1 unknown */
    struct cpu_figures cpu;
    int64_t rss_bytes, read_Bps, write_Bps, rx_Bps, tx_Bps; /* -1 unknown */
    int64_t run, move;  /* of the move under way, or else of the first that waits; 0 none */
    bool queued;        /* it waits */
    char *moving_to;
    bool movable;       /* live, as far as inventory tells */
    struct reason blocker; /* when not movable */
    bool unreachable;   /* its host's agent is not connected: last known state */
    struct label *labels;
    size_t n_labels;
    int64_t since_wall_us; /* on this host since (first seen, or moved by Drover) */
};
struct hosts_view {
    int64_t wall_us;
    struct host_view *hosts;
    size_t n_hosts;
};
struct vms_view {
    int64_t wall_us;
    struct vm_view *vms;
    size_t n_vms;
};
struct runs_view {
    int64_t wall_us;
    struct run *runs; /* newest first, without stays' reasons */
    size_t n_runs;
};
struct run_view {
    int64_t wall_us;
    struct run run;
    struct move *moves;
    size_t n_moves;
    struct entry *entries; /* journal after the asked seq; filled by io */
    size_t n_entries;
};
struct explain_host {
    char *host;
    bool allowed, here;
    struct reason reason; /* when not allowed */
};
struct explain_view {
    struct vm_view vm;
    struct explain_host *hosts;
    size_t n_hosts;
    struct move *moves; /* its moves, newest first */
    size_t n_moves;
    struct left_out *left_out; /* what balance runs do not do with it now, because it failed */
    size_t n_left_out;
    struct way *ways; /* where no host is allowed */
    size_t n_ways;
    bool ways_cut;
    struct shortage *shortages;
    size_t n_shortages;
};

extern const struct shape host_view_shape, vm_view_shape, hosts_view_shape, vms_view_shape,
    runs_view_shape, run_view_shape, explain_host_shape, explain_view_shape;
