/* scheduler/solve/descend.h: the best step, again and again.   PURE.
 * Purpose  Few moves that each help much, on fleets of any size. Of all shifts of one item the one with
 *          the best price is taken, until none helps or max_moves is used up; then items that moved
 *          are exchanged for better ones, with no move more; and again.
 * Result   never worse; no shift that helps is left, unless it was stopped.
 * Units, replay, owner, thread: those of solve.h. */
#pragma once

#include "scheduler/solve/solve.h"

/* Returns the steps taken. */
int64_t solve_descend(struct solve_state *s, const struct solve_limits *l);
