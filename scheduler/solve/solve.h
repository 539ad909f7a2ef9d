/* scheduler/solve/solve.h: better assignments.   PURE.
 * Purpose  Takes a state and makes it better, tier by tier; never ends with a worse one.
 * Units    a step is one price asked (solve_try_*).
 * Replay   the same state, seed, steps and expect give the same result on every machine. `stop`, when
 *          given, may end it earlier: then the result depends on the clock behind it, and is had again
 *          with the steps it took, and the same expect.
 * Owner    borrows the limits until return.   Thread any; two states may be worked on at once. */
#pragma once

#include "scheduler/solve/state.h"

struct solve_limits {
    uint64_t seed;
    int64_t steps;  /* at most; ≥ 0 */
    int64_t expect; /* when `stop` is likely to end it, as the caller measured; 0: after steps */
    bool (*stop)(void *ctx); /* asked every some thousand steps; NULL: never */
    void *ctx;
};

/* Simulated annealing with shifts and swaps, laid out for the steps expected, over again when there
 * are more; ends with the best state that was seen. Returns the steps taken. */
int64_t solve_improve(struct solve_state *s, const struct solve_limits *l);
