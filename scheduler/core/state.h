/* scheduler/core/state.h: what the scheduler remembers: runs (runrec.h), moves, host decisions, the
 * journal.   PURE, plain data.
 * Shapes   every struct has a `const struct shape` named after it; the store keeps them, the API
 *          shows them, the CLI decodes them.
 * Units    *_wall_us: wall clock, for people. Other *_us: durations.   Owner: each owns its strings. */
#pragma once

#include "lib/model/model.h"
#include "lib/wire/msg.h"
#include "scheduler/core/job.h"
#include "scheduler/core/runrec.h"
#include "scheduler/core/series.h"
#include "scheduler/plan/plan.h"

/* What a move of a balance run is good for. before, after: when it began, with it alone; measured: once it
 * had ended. */
struct move_gain {
    bool judged, measured_known;
    struct plan_standing before, after, measured;
};
struct move_forecast {                         /* as expected when it was planned */
    int64_t start_us, end_us, pause_us, bytes; /* from the first turn on; -1 unknown */
    bool never;                                /* does not converge: */
    int64_t need_Bps;                          /* its copy would have to be faster than this */
};
struct attempt { /* one try that ended without the VM having moved */
    char *to, *code, *error;
    int64_t wall_us;
};
struct move_wait { /* a move of the same run that must have ended before */
    int64_t move;
    char *vm; /* its VM's name */
};
struct move {
    int64_t id, run;
    char *vm, *vm_name, *from, *to;
    int state;               /* enum job_state */
    bool live, offline;      /* offline: shut off VM, its definition moves; !live && !offline: cold */
    int64_t attempt;         /* 1.. */
    char *why;               /* the planner's reason for this target */
    struct move_wait *after;
    size_t n_after;
    bool aside;              /* a VM that is not the run's: it makes room */
    bool parks;              /* only for a while: another move of the VM goes on from there */
    int64_t mem_bytes;       /* reserved at the destination */
    struct move_forecast forecast;
    struct disk *disks;      /* as they were at the start: probes need them */
    size_t n_disks;
    int64_t queued_wall_us, prepared_wall_us, copy_wall_us, ended_wall_us;
    struct progress progress;
    int64_t sent_wall_us;    /* when bytes were last seen to go; 0 not yet */
    int64_t least_bytes;     /* least that was left when a pass began; -1 unknown */
    int64_t stuck;           /* passes seen since that last fell */
    int64_t total_us, setup_us, downtime_us, bytes, iterations, rate_Bps; /* of the copy; -1 unknown */
    struct image_fact *ceph_src, *ceph_dst;  /* confirmed before, as each host saw it */
    size_t n_ceph_src, n_ceph_dst;
    struct image_fact *ceph_after;           /* proven after, as the destination saw it */
    size_t n_ceph_after;
    int64_t confirmed_wall_us, proven_wall_us;
    char *code, *error;      /* why it ended without moving */
    struct attempt *tried;
    size_t n_tried;
    bool cancel;             /* abort was asked for */
    struct move_gain gain;   /* of a balance run */
    struct refused *refused; /* hosts, by reason, when it was planned */
    size_t n_refused;
    char *note;              /* what it is waiting for, or what uncertain means now */
};

/* What Drover decided about a host, beside what the agent reports. */
struct host_rec {
    char *name;
    int state;           /* enum host_state (plan/snapshot.h) */
    char *reason, *actor;
    int64_t since_wall_us;
    int64_t run;         /* run that put it there, 0 none */
    int64_t seen_wall_us; /* last report */
    struct host last;    /* last full host report: known also while unreachable */
};

/* What is kept of a VM's or a host's CPU load: one row, overwritten (scheduler/core/series.h). */
struct sample {
    char *host, *vm; /* vm: UUID; NULL: the host itself */
    char *name;      /* of either, for people */
    int64_t wall_us;
    struct cpu_figures cpu;
    struct series_kept kept, other; /* other: of a host, what no measured VM used */
};

/* Scheduled balance begins nothing, by an operator's word (scheduler/core/suspend.c). */
struct suspension {
    bool on;             /* false: all else is empty */
    char *actor, *reason;
    int64_t since_wall_us, until_wall_us; /* until 0: until it is resumed */
};

struct entry { /* the journal: append-only */
    int64_t seq, wall_us;
    int64_t run, move;   /* 0 none */
    char *host, *vm;     /* names */
    char *actor;         /* "operator root", "scheduler", "agent h1" */
    char *kind;          /* token: "run.created", "move.started", "host.state", "command", "result", ... */
    char *text;          /* one sentence for people */
    char *detail;        /* JSON or NULL */
};

extern const struct shape move_gain_shape, move_forecast_shape, attempt_shape, move_wait_shape,
    move_shape, host_rec_shape, sample_shape, suspension_shape, entry_shape;
