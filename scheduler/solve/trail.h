/* scheduler/solve/trail.h: steps that may be taken back.   PURE.   Inside the engine only.
 * Purpose  A chain of steps may make hard things worse on its way; only its end counts. A trail knows
 *          what was hard and how far when it began, and takes back steps from the last one on.
 * Owner    trail_init borrows the state; trail_done releases.   Thread any, no sharing. */
#pragma once

#include "scheduler/solve/internal.h"

struct trail {
    struct solve_state *s;
    struct trail_step {
        int item, machine; /* where it was */
        uint8_t variant;
        struct solve_score score; /* before */
    } * step;
    size_t n_steps;
    int64_t *limit;  /* [machine * n_res + res]: capacity, or what was there at the beginning */
    int *worse;      /* per group: violations more than at the beginning */
    int near;        /* the same of all solve_near */
    bool loads_only; /* items in play may take less at home than is held for them: ask at the end */
};

void trail_init(struct trail *t, struct solve_state *s);
void trail_done(struct trail *t);
/* What may still come to machine m, of resource r. */
static inline int64_t trail_room(const struct trail *t, int m, int r)
{
    size_t at = (size_t)m * (size_t)t->s->p->n_res + (size_t)r;
    return t->limit[at] - t->s->load[at] - (t->loads_only ? 0 : t->s->held[at]);
}
/* What the item in this variant would take of machine m, r; its home no longer holds it there. */
int64_t trail_adds(const struct trail *t, int item, int m, int v, int r);
/* The item can come to this machine, and what comes later can be fair. It may be nowhere. */
bool trail_fits(const struct trail *t, int item, int m, int v);
/* The same with may_take and the price. */
bool trail_try(const struct trail *t, int item, int m, int v, struct solve_score *ret);
void trail_shift(struct trail *t, int item, int m, int v, const struct solve_score *delta);
void trail_remove(struct trail *t, int item);
/* No hard thing that the trail touched is worse than at the beginning. */
bool trail_fair(const struct trail *t);
/* Take back all steps but the first n. */
void trail_undo(struct trail *t, size_t n);
/* The steps stay; the beginning remains the measure. */
void trail_keep(struct trail *t);
