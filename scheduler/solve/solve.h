/* scheduler/solve/solve.h: better assignments.   PURE.
 * Purpose  Takes a state and makes it better, tier by tier; never ends with a worse one.
 * Units    a step is one price asked (solve_try_*).
 * Replay   the same state, seed and number of steps give the same result on every machine. `stop`, when
 *          given, may end it earlier: then the result depends on the clock behind it.
 * Owner    borrows the limits until return.   Thread any; two states may be worked on at once. */
#pragma once

#include "scheduler/solve/state.h"

struct solve_limits {
    uint64_t seed;
    int64_t steps;           /* at most; ≥ 0 */
    bool (*stop)(void *ctx); /* asked every some thousand steps; NULL: never */
    void *ctx;
};

/* Local search with shifts and swaps, in rounds of falling temperature, each longer than the one
 * before; ends with the best state that was seen. Returns the steps taken. */
int64_t solve_improve(struct solve_state *s, const struct solve_limits *l);
