/* scheduler/plan/translate.h: a request as an abstract re-assignment problem.   PURE.   Inside the
 * planner only.
 * Purpose  Items are the VMs that a request may move; VMs bound to one host by hard affinity rules are
 *          one item. All other VMs are load and counts that stay. Machines are the snapshot's hosts.
 * Units    memory in pages of 4 KiB (sizes rounded up, capacities down), vCPUs, huge-page memory in
 *          4 KiB.
 * Exact    what the engine finds is asked of filter.c once more (plan.c): where the problem cannot say
 *          all (definitions left behind, racks that are not named), filter.c has the last word.
 * Owner    borrows the world and the list; translation_done releases.   Thread any. */
#pragma once

#include "scheduler/plan/world.h"
#include "scheduler/solve/state.h"

enum {
    RES_MEM,
    RES_VCPU,
    RES_HUGE,
    RES_WEIGHT,
    N_RES
}; /* then NUMA cells that memory is bound to */

enum { PLAN_PAGE = 4096 };
static inline int64_t plan_pages_up(int64_t bytes)
{
    return (bytes + PLAN_PAGE - 1) / PLAN_PAGE;
}

struct plan_classes;
struct translate_goal {
    const struct plan_classes *classes; /* of the list: where each may be */
    bool leave;  /* the VMs leave their hosts; else they may, and what is broken or uneven counts */
    bool handed; /* room is handed on: both ends of a move do not count for the whole plan */
    bool balance; /* even load of memory and CPU, by the policy's weights */
    /* what a move costs beside the balance, where SOLVE_UNIT is what one full host costs */
    int64_t price_per_move, price_per_gib;
    int max_moves;       /* -1 any */
    int64_t relieve_ppm; /* memory of a host above it is overload; 0: none is */
    bool measured;       /* CPU load as measured (cpu.h), and no load to hosts that are not known */
    int64_t relieve_cpu_ppm; /* measured: CPU above it is overload; 0: none is */
    int64_t urgent_cpu_ppm;  /* as it will be in a minute: the same; 0: that is not looked at */
    int64_t margin_ppm; /* who is above it is to come down by so much more; no other comes up so far */
    const bool *relieved; /* per host: it was above it, and is still to come down; NULL: none */
    bool peaks;  /* measured: evenness is that of what VMs rarely exceed, not of what they use now */
    int room_cell;       /* of room: the cell that "any" stands for, -1: none is */
    bool room; /* one VM is to have room later: both ends of a move do not count at once for it */
};
struct translation {
    struct problem p;
    int *item_of; /* by place in the list */
    void **owned;
    size_t n_owned;
};

void translate(const struct plan_world *w, const struct plan_wanted *list, size_t n,
               const struct translate_goal *g, struct translation *ret);
void translation_done(struct translation *t);

/* ---- load.c ----------------------------------------------------------------------------------- */
/* What moves that are under way will take from each host. It takes room there still, but is no load to be
 * evened out or relieved: else a host that cools down already would be made to send more away. Gives. */
struct plan_load *plan_leaving(const struct plan_world *w);
/* Sizes are rounded up, so an item that leaves would give up more room than it had: adds that. */
void plan_slack(const struct plan_world *w, const struct plan_wanted *list, size_t n, int64_t *base,
                size_t stride);
