/* scheduler/core/slots.h: the core's state.
 * Owner    files of this room, through internal.h.   Thread core only.   PURE. */
#pragma once

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/lookup.h"
#include "scheduler/core/core.h"
#include "scheduler/core/planned.h"
#include "scheduler/core/runhosts.h"
#include "scheduler/core/series.h"
#include "scheduler/plan/plan.h"

struct vm_rates { /* as last told; bytes/s up to 4 GB/s, UINT32_MAX unknown */
    uint32_t read, write, rx, tx;
};
struct vm_slot {
    struct vm vm; /* first: a snapshot's VM leads back here */
    struct host_slot *host;
    struct vm_slot *twin; /* the next with its UUID (on another host), in a ring: itself when alone */
    int64_t since_wall_us;
    int64_t came_wall_us; /* another hand brought it here; 0: nobody did, or before our last start */
    int64_t told_us; /* its host last spoke of it; 0: not since we were started */
    bool gone; /* its host says so while a move of it is not settled: kept until it is */
    struct vm_rates rates;
    struct series cpu;
    unsigned char xml_lacks, xml_gone; /* bits of xml.c: not in the store; and its agent has it not */
};
struct host_slot {
    struct host_rec rec;
    bool connected, reported; /* reported: a full report came over this connection */
    bool sends_xml, lacks_xml; /* lacks_xml: a VM of it may */
    bool tells_ceph;
    int64_t xml_after_us;
    char *instance;
    struct vm_slot **vms;
    size_t n_vms;
    size_t no; /* of c->hosts */
    struct host_load load;    /* the last; at load_at_us, 0: none on this connection */
    int64_t load_at_us, load_until_us; /* fresh until */
    struct series busy, other; /* CPU: all, and what no measured VM uses */
};
struct vm_order { /* all VMs by name, then UUID; those that are new come in when it is next needed */
    struct vm_slot **sorted, **added;
    size_t n_sorted, n_added;
};

/* The planner's index of a fleet with these names, labels and rules, from which the present one is made:
 * where VMs are changes all the time, and who is asked for by which rule hardly ever. */
struct known_fleet {
    struct snapshot_store snap; /* as it was; only for its counts */
    struct plan_index *index;   /* NULL: none */
    int64_t names;
};

enum ask_for {
    ASK_PLAN_SRC, ASK_PLAN_DST, ASK_PLAN_PEER, /* run: checks before the first move */
    ASK_PREP_SRC, ASK_PREP_DST,                /* move: the same again, right before it */
    ASK_TOLD, /* an abort, a leftover's end: its effect is seen by the probes, not by the answer */
    ASK_MIGRATE, ASK_PROBE_SRC, ASK_PROBE_DST, ASK_TIDY, ASK_STOP, ASK_START,
    ASK_HALT,                                  /* run: shut a blocked VM off, by the operator's word */
    ASK_CENSUS,
    ASK_CHECK_HOST, ASK_CHECK_PEER_AB, ASK_CHECK_PEER_BA, ASK_RELABEL, /* request */
    ASK_XML, ASK_CEPH,
};
struct ask { /* a command whose answer is awaited */
    int64_t id;
    enum ask_for what;
    char *host, *vm;
    int64_t run, move, request_id;
    int64_t deadline_us; /* INT64_MAX: the answer comes when it comes (migrate) */
};

struct refusal { /* learnt by asking; part of every further plan of the run */
    char *vm, *host; /* uuid, host name; host NULL: nowhere */
    char *from;      /* vm NULL: of all VMs on this host */
    struct reason why;
    bool tried;      /* a migration failed there: may be tried again when nothing else is left */
};
struct known { /* what one host said about one VM while planning; the VM's own host: as source */
    char *vm, *host;
    bool source, answered, judged;
    struct verdict said;
};
struct host_end { /* how far the proof is that a host is empty */
    bool census_out;
    int census_rounds;
    int64_t census_after_us; /* not before: a failed census is asked again later */
};
struct run_slot {
    struct run run;
    struct move_slot **moves; /* its own, by id */
    size_t n_moves, n_open;   /* open: of its moves */
    bool open;                /* in c->open_runs */
    int64_t closed_us;        /* when it was last taken out of there */
    struct refusal *refusals;
    size_t n_refusals, n_held; /* held: of a balance run, before anybody was asked */
    struct known *known;
    size_t n_known;
    char **peers; /* hosts whose libvirtd the source was asked to reach */
    size_t n_peers;
    int64_t waiting; /* answers outstanding */
    int rounds, late_rounds;
    struct host_end *ends; /* per run.hosts[] */
    int64_t planning_since_us;
    int64_t held_version, hold_again_us; /* of a plan that waits */
    bool dirty; /* save it at the end of the step */
};
struct move_slot {
    struct move m;
    struct move_slot *before; /* of the same VM */
    bool open;                /* in c->open_moves */
    int64_t not_before_us, admitted_us, copy_start_us, flow_since_us, progress_us;
    int prep_waiting;
    bool prep_bad;
    struct reason prep_why;
    bool prep_why_vm; /* the reason is about the VM, not the pair */
    struct probed src, dst; /* latest answers of the present probing */
    bool have_src, have_dst; /* in this round */
    bool src_heard;          /* since the doubt arose */
    int64_t next_probe_us, uncertain_since_us;
    int64_t dst_seen_us; /* the destination's word on it came */
    int probe_rounds;
    bool tidy_refused, stopped_by_us, flowing, longer_pause, leftover_told, both_told,
        post_copy_told;
    bool prep_done;
    bool place_lost;          /* to others, while both ends were asked */
    int64_t held_version;     /* of the fleet, when its place was last held against it */
    int64_t look_again_us;    /* blocked: not before, while the fleet is the same; 0: it is not */
    bool silence_noted;       /* in the note */
    bool waits_for_checks;    /* said once: they get no answer */
    bool gave_up;             /* aborted because it took too long */
    bool source_lost;         /* settled without it: it did not answer for too long */
    bool began;               /* this try told the source to act; until then nothing happened */
    bool handled;             /* its failure has been turned into a retry or a stay */
    enum reason_code no_target; /* what the last search for a target ended with */
    int64_t left_since_us;    /* queued, and no longer on its host */
    int64_t blocked_since_us; /* queued, and no target would take it just now */
    bool dirty;
};
struct pending { /* a request that is answered when the agents have */
    int64_t request_id;
    int waiting;
    struct reply reply;
};

struct ceph_slot { /* one cluster, by the name under which VMs know it; cephhealth.c */
    char *key;
    struct ceph_told told; /* the last answer that was one, at told_us; 0: none yet */
    int64_t told_us;
    bool seen, asking, asked; /* in this round; now; ever, with an end */
    bool unknown_said;
};

struct core {
    struct core_config cfg;
    struct policy policy;
    struct host_slot **hosts; /* sorted by name */
    size_t n_hosts, n_reported;
    struct lookup vms;         /* UUID: a vm_slot */
    struct vm_order *order;
    struct known_fleet known;
    struct core_pin *pin; /* NULL: nobody reads */
    int64_t names; /* grows with every change of a name, a label, a failure domain */
    struct run_slot **runs;   /* by id: those that are open, and the newest LIM_RUNS_KEPT */
    size_t n_runs;
    struct move_slot **moves; /* by id: theirs */
    size_t n_moves;
    struct lookup moved;       /* UUID: its newest move */
    /* Those for which anything can still happen, by id: all that a step has to look at. */
    struct run_slot **open_runs;
    size_t n_open_runs;
    struct move_slot **open_moves;
    size_t n_open_moves;
    struct move_slot **active; /* of these, those that have their turn: see admit.c */
    size_t n_active;
    bool active_stale;
    struct ask *asks; /* by id */
    size_t n_asks;
    struct pending *pending;
    size_t n_pending;
    int64_t now_us, wall_us, start_us;
    size_t n_lacking, xml_turn; /* hosts that lack XML; whose turn it is to be asked */
    int xml_asked;              /* agents that were and have not answered */
    int64_t xml_heard_us;       /* when a text last came */
    struct { /* schedule.c */
        int64_t next_wall_us, last_wall_us; /* 0: to be worked out */
        int64_t in_a_row; /* looks that found something to do */
        int64_t urgent_us; /* when hosts that cannot wait are looked for again */
        int64_t policy, version; /* grows with each policy; of next_wall_us */
        char *said;
        struct { /* the last plan that led to nothing: until then, for the same fleet */
            int64_t version, until_us, waits; /* the fleet's; a run that waits, or 0 */
            bool *over; /* per host: was too full or too busy */
        } vain;
    } look;
    struct suspension suspended;
    struct ceph_slot *ceph;
    size_t n_ceph, ceph_turn; /* whose agent is asked: the same, until it fails */
    int64_t ceph_next_us;
    int64_t lead_us; /* from a move's turn to its first byte, as lately seen */
    int64_t next_seq, next_cmd, next_run, next_move, version;
    size_t keep_host, keep_vm; /* whose series is stored next */
    int64_t keep_from_us;      /* those so far were stored by then */
    struct core_effects *fx; /* of the step under way */
};
