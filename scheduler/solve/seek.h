/* scheduler/solve/seek.h: ways to find one item a place.   PURE.   Inside the engine only.
 * Purpose  What place.c puts together: directly; by a chain of items that make room for each other;
 *          by looking at everything.
 * Owner    seek_init borrows state and limits; seek_done releases.   Thread any, no sharing. */
#pragma once

#include "scheduler/solve/solve.h"
#include "scheduler/solve/trail.h"

enum { SEEK_DEPTH = 3 };

struct seek {
    struct trail t;
    const struct solve_limits *l;
    int64_t chain_until;        /* steps */
    int *member_start, *member; /* items of group g: member[member_start[g]] … */
    int64_t steps, asked;       /* asked: steps when `stop` was asked last */
    bool ended, disturb;
    bool *ours; /* per item: it needed a place, so it may be moved about freely */
    int *start; /* per item: where it was at the beginning */
    uint8_t *start_variant;
    bool *busy;    /* per item: in the chain that is being tried */
    int64_t *most; /* per resource: the largest capacity */
    int scan;      /* machines looked at for one item, once one that fits was found */
};

void seek_init(struct seek *k, struct solve_state *s, const struct solve_limits *l, bool disturb);
void seek_done(struct seek *k);
bool seek_ended(struct seek *k);
/* Where to begin when `seen` of all machines are looked at: others begin elsewhere, if not at all. */
static inline int seek_first(const struct seek *k, int item, int seen)
{
    uint64_t n = (uint64_t)k->t.s->p->n_machines;
    return (uint64_t)seen < n ? (int)((uint64_t)item * 2654435761U % n) : 0;
}
/* The item is nowhere, or where it must not be. */
bool seek_needs(const struct seek *k, int item);
/* How much of a machine it takes, of the resource it takes most of, in SOLVE_UNIT. */
int64_t seek_bulk(const struct seek *k, int item);
/* Best place as things are. fair: the step alone must make no hard thing worse. */
bool seek_direct(struct seek *k, int item, bool fair);
/* The one step of one of these items that helps most where it is hard. */
bool seek_relief(struct seek *k, const int *item, int n);
/* The cheapest of several chains in which at most `depth` items in a row make room for the one before.
 * False: none makes hard things better. */
bool seek_chain(struct seek *k, int item, int depth);
/* How many machines to look at for each of n items, so that large fleets do not take for ever. */
void seek_share(struct seek *k, int64_t n);
/* Every assignment of the items in play, if these are few; the best of them is taken. */
void seek_all(struct seek *k);
/* That takes no time worth mentioning, and moves nothing that has a good place. */
bool seek_few(const struct seek *k);
