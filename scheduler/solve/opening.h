/* scheduler/solve/opening.h: where an item could go, did others leave.   PURE.   Inside the engine
 * only. */
#pragma once

#include "scheduler/solve/seek.h"

enum {
    OPENING_ITEMS = 4, /* that leave for the one that comes */
    OPENINGS = 64,
};

struct opening {
    int machine, variant, n, item[OPENING_ITEMS];
    struct solve_score rank; /* what it costs, if those that leave find a place for nothing */
};
struct openings {
    int n;
    struct opening o[OPENINGS]; /* the best first */
};

/* The best openings for the item on up to `seen` machines: the cheapest of each number of items. */
void find_openings(struct seek *k, struct openings *l, int item, int seen);
void seek_list_members(struct seek *k);
