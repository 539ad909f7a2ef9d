/* scheduler/solve/order.h: from where everything is to a target, one step after another.   PURE.
 * Purpose  Every step fits when it is made: capacity in every resource, GROUP_APART and GROUP_SPREAD
 *          of TIER_HARD. An item under way counts on both ends: it takes its new place when it starts
 *          and gives up the old one when it has arrived. GROUP_TOGETHER and solve_near hold at the
 *          end only: items that belong together cannot all move in one instant.
 * Shapes   steps are in an order that can be replayed one by one. Step k may start once all steps
 *          after_of[after_start[k]] … after_of[after_start[k + 1] − 1] have ended, whatever else is
 *          under way: that keeps every limit too. The lists are ascending, name only steps before k,
 *          and leave out what follows from the rest of the list.
 * Cycles   are broken by an extra step of one item to a third machine.
 * Stuck    an item in `stuck` does not arrive: it is not possible from where the steps lead, or was
 *          not found to be. The first one named is where it begins; a caller forbids its place and
 *          solves again. The steps given are good all the same, and the order in which they end.
 * Owner    borrows problem and target; solve_order_done releases.   Thread any.   Replay: the same
 *          target gives the same steps. */
#pragma once

#include "scheduler/solve/problem.h"

struct solve_order_limits {
    bool twice;     /* a change of variant on one machine takes room for both while it lasts */
    int max_parked; /* extra steps, at most; −1 any */
};
struct solve_step {
    int item, from, to; /* from −1: it was nowhere */
    uint8_t variant;    /* at `to` */
};
struct solve_order {
    struct solve_step *steps;
    int n_steps, n_parked; /* of the steps, n_parked lead to a place that is not the target */
    int *after_start, *after_of;
    int *stuck, n_stuck;
};

/* From home to the target. An item whose target is −1 stays where it is. True: everything arrives. */
bool solve_order(const struct problem *p, const int *at, const uint8_t *variant,
                 const struct solve_order_limits *l, struct solve_order *ret);
void solve_order_done(struct solve_order *o);
