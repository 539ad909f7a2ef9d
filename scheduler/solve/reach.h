/* scheduler/solve/reach.h: the fewest steps that clear everything, by looking at all.   PURE.
 * Purpose  Where nearly nothing is free, a good target may have no way to it, and the way that exists
 *          may lead through places that no target names. So: breadth first through assignments, each
 *          step one that fits when it is made (order.h), until every item has a place it is allowed on.
 * Result   the steps in their order, and what each waits for. False: there is no such way, or none
 *          among the first `most` questions. With few items on few machines it is complete; only
 *          GROUP_TOGETHER and solve_near, which must not become worse by any single step here, are
 *          asked for more than order.h asks.
 * Owner    borrows the problem; solve_order_done releases *ret, which is given in either case.
 * Thread any.   Replay: the same problem gives the same steps. */
#pragma once

#include "scheduler/solve/order.h"

/* most: steps asked about. max_steps: of the way; −1 any. Items that are nowhere are left out. */
bool solve_reach(const struct problem *p, int64_t most, int max_steps, struct solve_order *ret);
