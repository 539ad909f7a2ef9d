/* scheduler/solve/level.h: from the fullest machines to the emptiest, in fleets of any size.   PURE.
 * Purpose  Of the machine that costs most the item whose shift to one of the cheapest machines helps
 *          most, again and again; items that break a group's rule, or are where they must not be, before
 *          all others, and to any machine. Costs some hundred prices per move, whatever the fleet's size.
 * Result   never worse. Not the best: solve_descend asks about every machine, where that can be paid.
 * Units, replay, owner, thread: those of solve.h. */
#pragma once

#include "scheduler/solve/solve.h"

/* Returns the steps taken. */
int64_t solve_level(struct solve_state *s, const struct solve_limits *l);
