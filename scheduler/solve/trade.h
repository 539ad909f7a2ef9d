/* scheduler/solve/trade.h: few moves that gain blocks, found from offers.   PURE.
 * Inside the engine only.
 * Purpose  Which machines give items up and which take them is chosen for all at once. Every kind of
 *          item has a price, which who takes one is paid and who gives one up pays, and so has a move;
 *          with the right prices what each machine would do by itself nearly fits together.
 * Result   never worse than at the beginning. *ret_bound: no choice of offers gains more of the tier
 *          (larger changes of one machine than an offer are not looked at); −1 unknown.
 * Units, replay, owner of the limits, thread: those of solve.h. */
#pragma once

#include "scheduler/solve/solve.h"

/* s: everything at home; a limit of moves. pinned: items that stay there. Returns the steps taken. */
int64_t solve_trade(struct solve_state *s, int tier, const bool *pinned,
                    const struct solve_limits *l, int64_t *ret_bound);
