/* scheduler/solve/few.h: the best assignment with at most max_moves items away from home, and the
 * order of its steps.   PURE.
 * Purpose  Balancing runs may move few items: which, and to where? Each must be worth its move, so the
 *          search weighs groups of moves: items that leave a machine together, places they vacate that
 *          others fill, and moves given up for better ones.
 * Result   never worse than at the beginning; of equal ones the one with fewer moves. There are at most
 *          max_moves steps, those of parking among them, and they can be made in their order. What has
 *          no order is sought anew without the item that was in the way; what then still has none is
 *          left out of the state.
 * Units, replay, owner of the limits, thread: those of solve.h; `steps` is for each search.
 * Owner    the caller calls solve_order_done on *ret. */
#pragma once

#include "scheduler/solve/order.h"
#include "scheduler/solve/solve.h"

/* s: everything at home, max_moves ≥ 0. Returns the steps taken. */
int64_t solve_few(struct solve_state *s, const struct solve_limits *l, struct solve_order *ret);
