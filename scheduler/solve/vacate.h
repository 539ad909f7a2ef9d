/* scheduler/solve/vacate.h: as many machines emptied as possible, for little.   PURE.
 * Purpose  Chooses the machines and a place on the others for all that is on them. Of all sets with
 *          the most machines, one whose items cost least to move (`move_cost`).
 * Search   Greedy, the cheapest machines first; then some are left out and others tried, again and
 *          again; with at most 16 machines that may be emptied every set is looked at. A set's items
 *          are packed hardest first and best fit, with steps back.
 * Result   no hard thing and no soft rule is worse than at the beginning; whatever is not on an emptied
 *          machine stays where it is.
 * Units, replay, owner, thread: those of solve.h. */
#pragma once

#include "scheduler/solve/solve.h"

struct vacate {
    const bool *may;  /* per machine: nothing but items is on it. An empty one counts as emptied */
    const int *moves; /* per item: how many moves it is */
    int64_t max_moves;
    int most;                                   /* machines */
    bool (*fair)(void *ctx, const bool *empty); /* may all of these be gone? NULL: yes */
    void *ctx;
};

/* The state is at home. ret_empty: per machine. Returns the steps taken. */
int64_t solve_vacate(struct solve_state *s, const struct solve_limits *l, const struct vacate *v,
                     bool *ret_empty);
