/* scheduler/plan/pack.h: the joint placement of all VMs of a request.   PURE.   Inside the planner only.
 * Purpose  pack.c builds the problem, places greedily and improves; search.c finds placements that the
 *          greedy way misses.
 * Shapes   items are the movable VMs of the request, largest first; `to` is the planned host or -1.
 * Bounds   search is cut off by `budget` (questions asked), so the time is bounded; without the cut
 *          it is complete: if every item has a place, one assignment is found.
 * Thread   any. */
#pragma once

#include "scheduler/plan/world.h"

enum { HOST_NO, HOST_AS_IS, HOST_COLD };
struct plan_item {
    int vm, to, wish;
    int group; /* items bound by hard affinity rules are one group */
    int n_ok;
    uint8_t *ok; /* per host: HOST_*, static filters only */
};
struct plan_pack {
    struct plan_world *w;
    struct plan_item *items;
    size_t n;
    uint64_t seed;
    bool groups;        /* some group has more than one item */
    int64_t *potential; /* per host: memory of planned VMs that are shut off, for balance only */
    int64_t budget;
};
struct plan_score { /* less is better, in this order */
    int cold, wish;
    int64_t soft, balance;
};

bool pack_fits(struct plan_pack *k, const struct plan_item *it, int host);
void pack_put(struct plan_pack *k, struct plan_item *it, int host);
void pack_take(struct plan_pack *k, struct plan_item *it);
struct plan_score pack_score(const struct plan_pack *k, const struct plan_item *it, int host);
int pack_score_cmp(const struct plan_score *a, const struct plan_score *b);
/* The best host that fits, or -1. it is not placed. */
int pack_best(struct plan_pack *k, const struct plan_item *it);

/* Place all of the unplaced items of group (-1: of all groups) without moving others. */
bool search_place(struct plan_pack *k, int group, int64_t budget);
/* Place the item by moving placed ones elsewhere. */
bool search_eject(struct plan_pack *k, struct plan_item *it, int depth);
/* From scratch: a placement of all, else (small problems) of as many as possible. Keeps the present
 * one if it finds none better. */
void search_all(struct plan_pack *k);
