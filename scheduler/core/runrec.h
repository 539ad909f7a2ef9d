/* scheduler/core/runrec.h: a run, as it is kept and shown.   PURE, plain data.
 * Shapes   every struct has a `const struct shape` named after it; the store keeps them, the API
 *          shows them, the CLI decodes them. A run's moves: state.h.
 * Units    *_wall_us: wall clock, for people. Other *_us: durations.   Owner: each owns its strings. */
#pragma once

#include "lib/model/model.h"
#include "lib/model/reason.h"
#include "lib/model/way.h"
#include "scheduler/plan/plan.h"

enum run_kind { RUN_DRAIN, RUN_HOME, RUN_BALANCE, RUN_KINDS_ };
enum run_state {
    RUN_PLANNING, /* planner and real checks; nothing has been changed */
    RUN_RUNNING,
    RUN_CANCELLING, /* no new move starts; those in flight are aborted and settled */
    RUN_PROPOSED,   /* a plan that waits for an operator: drover apply */
    RUN_DONE,       /* everything moved, proven */
    RUN_PARTLY,     /* the host is not empty: stays[] says who and why */
    RUN_REFUSED,    /* blocked before the first move; nothing was changed */
    RUN_CANCELLED,
    RUN_FAILED,  /* could not be carried out at all (message says why) */
    RUN_PLANNED, /* dry run: this is what would happen */
    RUN_EXPIRED, /* a plan that waited until the fleet was another one */
    RUN_STATES_
};
extern const char *const run_kind_names[RUN_KINDS_];
extern const char *const run_state_names[RUN_STATES_];
static inline bool run_ended(int state)
{
    return state >= RUN_DONE;
}

/* A VM that does not leave, with host-by-host reasons. */
struct stay {
    char *vm, *name; /* uuid, name */
    char *host;      /* where it stays */
    bool stopped;    /* shut off by the operator's word (--on-blocked shutdown) */
    bool off;        /* it was shut off anyway: it keeps nobody from working on the host */
    bool deaf;       /* paused, crashed, ...: no request to shut down would reach its guest */
    bool cold;       /* only the live copy is in its way: it may move when it may be stopped */
    char *disobeyed; /* it was asked to shut down, as allowed, and did not */
    struct reason *reasons;
    size_t n_reasons;
    struct way *ways; /* the best first; each was planned */
    size_t n_ways;
};
struct proof { /* that a drained host is empty */
    bool taken;
    int64_t wall_us;
    int64_t running, defined, jobs, watchers; /* domains, libvirt jobs, image watchers left there */
};
struct run_host { /* of a drain: to be emptied; of a home-coming: home */
    char *name;
    int was;               /* enum host_state before the run: restored by refusal and cancel */
    int64_t ended_wall_us; /* the run is done with it, while others may go on; 0 not yet */
    struct proof proof;
};
/* VMs that a balance run left alone, or hosts that a VM could not go to, for one reason. */
struct refused {
    char *code; /* of enum reason_code */
    int64_t n;
    char **some; /* names of the first of them */
    size_t n_some;
};
/* What balance runs leave out for a while, because it failed: a VM to a host; the VM, wherever it would go
 * (host NULL); a host, whoever came (vm NULL), or who came from there. */
struct left_out {
    char *vm, *vm_name; /* UUID, name */
    char *from, *host;
    int64_t times;  /* runs in which it failed, since it last succeeded */
    int64_t others; /* of a VM: hosts, of a host: VMs, with which it did; 0: it is about a pair */
    int64_t since_wall_us, until_wall_us; /* the first of these failures; left out until */
    char *error;                          /* the last one's */
};
/* A real check said no while a balance run was planned: remembered as a failed move is. */
struct told_no {
    char *vm, *vm_name; /* NULL: any VM on from */
    char *from, *host;  /* host NULL: the VM can go nowhere */
    char *code, *error;
    int64_t wall_us;
};
/* What carrying out the plan was expected to take when it was made: scheduler/plan/forecast.h. */
struct run_forecast {
    int64_t makespan_us, bound_us, bytes, peak, pause_us, pause_limit_us; /* -1 unknown */
    int64_t never, writers; /* moves that do not converge; whose guest's writing is not known */
    char **blind;           /* hosts whose link speed is not known */
    size_t n_blind;
};
/* What a balance run of mode make-room is for. */
struct room {
    int64_t mem_bytes, vcpus; /* of the VM; vcpus 0: only memory counts */
    char *vm,
        *vm_name; /* one that is there (UUID): room elsewhere than where it is; NULL: a new one */
    char *host;   /* that has the room, or is to have it; NULL: none */
    int64_t before_bytes, planned_bytes, after_bytes; /* free there: at first, by the plan, now */
};
struct run {
    int64_t id;
    int kind, state; /* enum run_kind, run_state */
    struct run_host *hosts;
    size_t n_hosts;
    char *host;           /* the only one of hosts[]; NULL when there are several, or none */
    char *actor, *reason; /* who asked, and -m */
    bool dry_run;
    int on_blocked;           /* enum on_blocked (policy.h) */
    int64_t parallel;         /* 0 = policy */
    int64_t deadline_wall_us; /* no move starts after it; 0 = none */
    int64_t interrupts;       /* dry run: the balance run that would give way first; 0 = none */
    int host_was;             /* of hosts[0] */
    char **to, **avoid;
    size_t n_to, n_avoid;
    char **allow_shutdown; /* names of VMs that may be shut off */
    size_t n_allow_shutdown;
    bool stop_all;  /* every one that cannot move may be */
    bool make_room; /* VMs of other hosts may move where nothing else helps */
    char *policy_commit;
    bool policy_clean;
    int64_t created_wall_us, started_wall_us, ended_wall_us;
    int64_t vms, moved, moving, queued, blocked, stopped; /* counts; vms: that were to move */
    int64_t definitions;                                  /* of shut-off VMs, that moved */
    int64_t aside;      /* moves of others, to make room, that were made */
    int64_t room_moves; /* refused: so many of them would empty the host; 0 not known */
    int64_t unmeasured; /* live moves of which libvirt said no bytes or no pause */
    int64_t bytes;      /* sent so far by ended moves */
    int64_t longest_pause_us;
    int64_t bound_us;    /* bytes / link rate; -1 unknown */
    int64_t eta_wall_us; /* -1 unknown */
    struct run_forecast forecast;
    char *message; /* the present state in one sentence */
    struct stay *stays;
    size_t n_stays;
    /* RUN_BALANCE */
    int mode;          /* enum balance_mode (policy.h) */
    bool scheduled;    /* nobody asked for it: the policy's window holds */
    char *approver;    /* who applied it, of a plan that waited */
    int64_t max_moves; /* 0 = policy */
    struct plan_standing before, planned, after; /* at the start, as planned, now */
    struct room room;                            /* make-room */
    int64_t dropped;                             /* moves that were not made after all */
    struct refused *refused;                     /* VMs, by reason */
    size_t n_refused;
    bool forget_failures; /* what failed before is of no concern any more, for later runs neither */
    struct left_out *left_out; /* the first of them, when it was planned; more: so many others */
    size_t n_left_out;
    int64_t left_out_more;
    struct told_no *told_no;
    size_t n_told_no;
    bool ways_tried; /* the ways of stays[] were looked for; cut: not all that there may be */
    bool ways_cut;
    struct shortage *shortages; /* what keeps VMs from leaving whatever goes where */
    size_t n_shortages;
    struct proof proof; /* of all hosts[] together */
};
/* A balance run that waits until Ceph is well. In the message alone, so that a restart does not lose it. */
bool run_waits(const struct run *r);

extern const struct shape refused_shape, left_out_shape, told_no_shape, standing_shape, stay_shape,
    proof_shape, run_host_shape, room_shape, run_forecast_shape, run_shape;
