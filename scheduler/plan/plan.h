/* scheduler/plan/plan.h: which VM goes where, and for each that cannot, why.   PURE.
 * Purpose  A function of (snapshot, policy, request, seed): the same inputs give the same plan.
 * Shapes   ids are indices of the snapshot.   Owner: plan_done releases.   Thread any.
 * Errors   plan_make never fails: what cannot move is in stays[] with host-by-host reasons.
 * Safety   a move counts on both ends until it has ended, so capacity and hard rules hold whatever moves
 *          are in flight together, and in whatever order they end. (Affinity groups are apart while
 *          they move; they end together.) Most plans count every move on both ends for the whole plan,
 *          and nothing waits. Where such a plan leaves something undone, room is handed on: a move
 *          starts once those of its `after` have ended, and uses what they gave up. A VM may then move
 *          twice: it is parked on a third host.
 * Others   a LEAVE moves VMs that were not asked for only with make_room: those that run, move live and
 *          are of no maintenance_only rule; at most balance.max_moves of such moves, and none to a host
 *          that is being left.
 * Kinds    a running VM moves live; a shut-off one as its definition (live=false), which needs no
 *          memory or CPU; with allow_cold a running VM may be stopped, moved and started again
 *          (live=false). Cold lifts two reasons only, R_CACHE_MODE and R_MIGRATE_FAILED: paused,
 *          crashed, transient, local disks, host devices, CPU model, rules and capacity still decide.
 * Nowhere  VMs of the snapshot that are to be started (their host is dead, they are new) are placed too:
 *          live=false, from where they were; nothing is held there.
 * Layers   plan.c puts together: movable.c filter.c room.c (who may move, who may go where), world.h (what
 *          is planned), classes.c translate.c (the problem), scheduler/solve (the engine), balance.c
 *          fit.c (other goals), handon.c replay.c (moves that wait), order.c explain.c; forecast.h;
 *          plan_verify: verify.c verify_wait.c verify_move.c alone. */
#pragma once

#include "lib/model/reason.h"
#include "policy/policy.h"
#include "scheduler/plan/snapshot.h"

/* A "no" learnt by really asking (agent checks, failed moves): vm must not go to host. host -1: vm
 * cannot move at all. */
struct plan_refusal {
    int vm, host;
    const struct reason *why; /* borrows */
};
/* Moves of vm (-1: of any) to the host failed a short while ago. */
struct plan_failed {
    int vm, host;
    char *how; /* "failed 2 times since ..."; borrows */
};
/* What a request is for. VMs of a maintenance_only rule move for nothing else. */
enum plan_purpose { PURPOSE_MAINTENANCE, PURPOSE_BALANCE };
enum plan_goal {
    GOAL_LEAVE,   /* the VMs leave their hosts: drain, coming home */
    GOAL_REPAIR,  /* broken rules and exceeded capacity, nothing else */
    GOAL_RELIEVE, /* and hosts that are fuller than the mean by more than balance.imbalance */
    GOAL_BALANCE, /* and even load, where it is worth its moves */
    GOAL_ROOM, /* room for one VM on a host that is not its own, with the fewest moves of others */
    GOAL_CONSOLIDATE, /* as many hosts empty as can be, so that they may be switched off */
};
struct plan_request {
    int goal;       /* enum plan_goal */
    int purpose;    /* enum plan_purpose */
    const int *vms; /* LEAVE: VMs to place. Else: VMs that may move; NULL: all */
    size_t n_vms;
    int64_t max_moves;  /* not LEAVE; 0: the policy's balance.max_moves */
    int64_t hosts_free; /* CONSOLIDATE: no more than so many; 0: all that can be */
    int room_for;       /* ROOM: the VM; a new one is nowhere. `to` is about it alone */
    const int *to;      /* only these targets; NULL: all */
    size_t n_to;
    const int *avoid;
    size_t n_avoid;
    const int
        *rank; /* per vms[i]: those of a lower rank have a place before all others; NULL: one */
    const int *wish; /* per vms[i]: wanted target or -1; NULL: no wishes (bring-home) */
    const struct plan_refusal *refusals;
    size_t n_refusals;
    const struct plan_failed
        *failed; /* LEAVE: there only where soft rules or room leave no choice */
    size_t n_failed;
    bool allow_cold; /* VMs that cannot move live but can cold are placed too (live=false) */
    bool quick; /* LEAVE: only the question whether there is a plan. Gives up early, does not look
                      * for the best, and stays come without reasons about hosts */
    bool make_room; /* LEAVE: others may move where nothing else helps */
};
struct plan_move {
    int vm, from, to;
    bool live;  /* false: shut off (definition only), or cold */
    char *why;  /* "most free memory of 3 allowed hosts: 61 GiB" */
    int *after; /* moves of the plan that must have ended before; ascending, each before this one */
    size_t n_after;
};
/* The reasons of a stay are sorted: the host with the nearest way out (its cure) comes first. */
struct plan_stay {
    int vm;
    struct reason
        *reasons; /* host == NULL: about the VM itself; else one per host, first failing */
    size_t n_reasons;
};
/* How the fleet stands: memory of VMs against capacity, and CPU load as it is measured, over the hosts that
 * are up. */
struct plan_standing {
    int64_t min_ppm, max_ppm, mean_ppm, deviation_ppm;
    int64_t broken; /* hard: rules, and hosts above capacity; each VM or unit too many counts */
    int64_t soft;   /* weights of broken soft rules */
    bool measured;  /* CPU load counts as measured; else vCPUs count, and what follows is -1 */
    int64_t cpu_min_ppm, cpu_max_ppm, cpu_mean_ppm, cpu_deviation_ppm; /* of hosts that are known */
    int64_t cpu_unknown; /* hosts without fresh figures: they take no VM for load's sake */
    int64_t cpu_guessed; /* VMs on known hosts that count by their vCPUs */
};
/* How much room there is, and how much there can be at most, over the hosts that may take the VM in
 * question by what they have. Hosts -1: there is none. */
struct plan_room_most {
    int free_on, bound_on, few_on;
    int64_t free_bytes;  /* on the host where most is, as it is */
    int64_t bound_bytes; /* on a host if all that may move were gone from it */
    int64_t bound_vcpus; /* likewise; INT64_MAX: not limited */
    int64_t few_bytes;   /* on a host by as many moves as the plan may have */
    int64_t total_bytes; /* free on all hosts that take VMs: moves make that no more */
    bool proven;         /* by these numbers: whatever moves where, it is too little */
};
struct plan {
    struct plan_move *moves; /* in the order in which they should start */
    size_t n_moves;
    struct plan_stay *stays; /* of LEAVE; of ROOM, if there is none, why */
    size_t n_stays;
    struct plan_standing before, after; /* not LEAVE */
    int room_on; /* ROOM: the host that has the room once the moves have ended; -1: none can be made */
    struct plan_room_most most; /* ROOM, if there is none */
    /* CONSOLIDATE: hosts that are empty at the end and may be gone together; those that were empty
     * from the start included */
    int *emptied;
    size_t n_emptied;
};

/* The host is dead: what ran there is nowhere. */
void plan_host_dies(struct snapshot *s, int host);
/* By the value of the label: numbers, smallest first; without the label, or with another value: last. */
int plan_rank(const struct vm *v, const char *label);

/* One host for a VM, as things are. */
struct plan_fitting {
    int host;
    bool fits;
    struct reason why;  /* the first that says no */
    int64_t free_bytes; /* once the VM is there */
    int64_t soft;       /* weights of soft rules that it would break */
    int64_t load;       /* what it costs the balance, by the policy's weights */
};
/* For r->room_for: every host but its own, those that have room first, the best of them first. Gives. */
void plan_fittings(const struct snapshot *s, const struct policy *p, const struct plan_request *r,
                   struct plan_fitting **ret, size_t *ret_n);
void plan_fittings_done(struct plan_fitting *list, size_t n);

struct plan_index;
/* For r->room_for: a host that has the room once these moves, and those in flight, have ended: `first` if
 * it has, else by id; -1: none. */
int plan_room_on(const struct plan_index *x, const struct plan_request *r,
                 const struct plan_move *moves, size_t n, int first);

/* Snapshot and policy, prepared for any number of plans: what costs time in a large fleet. Borrows
 * both. */
struct plan_index *plan_index_new(const struct snapshot *s, const struct policy *p);
/* For another snapshot with the same VMs at the same ids, names, labels, hosts and their failure domains,
 * and the same policy: most of the work is x's. Borrows x and s; of x's own snapshot nothing is read. */
struct plan_index *plan_index_again(const struct plan_index *x, const struct snapshot *s);
void plan_index_free(struct plan_index *x);
void plan_make_from(const struct plan_index *x, const struct plan_request *r, uint64_t seed,
                    struct plan *ret);

void plan_make(const struct snapshot *s, const struct policy *p, const struct plan_request *r,
               uint64_t seed, struct plan *ret);
void plan_done(struct plan *p);

/* May vm go to host now? Fills *ret_why (owned by caller, reason_shape; may be NULL) with the first
 * failing rule and returns false, or returns true. Counts VMs in flight on both ends. Used before each
 * move starts, as re-validation against the present snapshot. About the host only: ask
 * plan_vm_movable too. Affinity: those follow it that have a place to move to (moving_to), or are
 * to get one (leaves). */
bool plan_allows(const struct snapshot *s, const struct policy *p, int vm, int host,
                 struct reason *ret_why);
bool plan_holds_from(const struct plan_index *x, int vm, int host,
                     struct reason *ret_why); /* same */
/* The same, for the question "could it go there?": VMs beside it on its host are taken to follow it. */
bool plan_allows_from(const struct plan_index *x, int vm, int host, struct reason *ret_why);
/* Memory that VMs may still be given on the host; −1 when it is not known. VMs in flight count on both
 * ends. */
int64_t plan_free_bytes(const struct snapshot *s, const struct policy *p, int host);
/* Does the VM itself allow a move (running: live; shut off: of its definition)? As plan_allows,
 * host-independent reasons. */
bool plan_vm_movable(const struct snapshot *s, const struct policy *p, int vm,
                     struct reason *ret_why);

/* Does stopping the VM for the move do away with this reason (enum reason_code)? */
bool plan_cold_lifts(int code);

/* Replay the plan move by move (each counted on both ends while in flight) and check every hard rule
 * and capacity at every moment that the waits allow. Shares no code with plan_make and plan_allows. Returns true, or false
 * and the first violation. */
bool plan_verify(const struct snapshot *s, const struct policy *p, const struct plan_request *r,
                 const struct plan *plan, struct reason *ret_violation);
