/* scheduler/solve/place.h: a place for every item that needs one, with few moves.   PURE.
 * Purpose  An item needs a place while it is nowhere, or on a machine that it is not allowed on (a
 *          drain takes the machine out of its set). Three ways, each where the one before failed: the
 *          hardest first, each where the score likes it best; chains, in which it takes the place of
 *          others and these go elsewhere; a complete search, where few items are in play.
 * Result   the least `need` left that was found, then the rest of the score; no hard thing is worse than
 *          at the beginning. Never misses a full placement of up to 6 items on up to 5 machines; of so
 *          few, if they have one variant and no others may be disturbed, it is the best.
 * Units, replay, owner, thread: those of solve.h. */
#pragma once

#include "scheduler/solve/solve.h"

/* may_disturb: items that have a good place may be moved to make room, where nothing else helps. An
 * item that must not is allowed on its home alone. Returns the steps taken. */
int64_t solve_place(struct solve_state *s, const struct solve_limits *l, bool may_disturb);
/* The same, then everything else that is hard: machines above capacity, groups that are violated. Items
 * that are in the way may move; others only if may_disturb. */
int64_t solve_repair(struct solve_state *s, const struct solve_limits *l, bool may_disturb);
