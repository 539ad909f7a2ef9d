/* scheduler/solve/toll.h: what it costs to be above a capacity for a while.   PURE.   Inside the
 * engine only.
 * Purpose  A search that walks past capacities pays a toll per unit. Each resource has one that follows
 *          the heat; a machine that stays above in spite of it has a higher one of its own.
 * Owner    tolls_init, tolls_done. A state borrows them from tolls_begin until
 *          state_set_toll(s, NULL).   Thread any, no sharing. */
#pragma once

#include "scheduler/solve/internal.h"

struct tolls {
    int64_t first[SOLVE_MAX_RES], usual[SOLVE_MAX_RES]; /* per resource: at the start, and now */
    int64_t *of;                                        /* [machine * n_res + res]: no less */
};

void tolls_init(struct tolls *t, const struct problem *p);
void tolls_done(struct tolls *t);
/* The first ones: three times an item's mean price over its mean size. */
void tolls_measure(struct tolls *t, const struct solve_state *s, int64_t mean_price);
/* From now on the state pays tolls, the first ones. False: somewhere room is lacking already. */
bool tolls_begin(struct tolls *t, struct solve_state *s);
/* At each new heat. allowed: of 1024, how much of what heat alone makes machines pay they may; 0: where
 * room is lacking, tolls rise. Once none is lacking then, capacities are walls again. */
void tolls_turn(struct tolls *t, struct solve_state *s, int64_t heat, int allowed);
