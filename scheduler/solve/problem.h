/* scheduler/solve/problem.h: one abstract re-assignment problem.   PURE.
 * Purpose  Items are on machines and may be put on others. Every question about a fleet (drain,
 *          balance, repair, make room, place) is translated to this one shape; the engine knows
 *          nothing of VMs.
 * Shapes   Dense ids. An item takes size[(item * n_variants + variant) * n_res + res] of a machine; a
 *          variant is one way to sit on a machine (one NUMA cell, the other, both). Most problems
 *          have one variant. Resources are counted in units of the caller's choice: sums per machine
 *          stay below 2^31, so that squares and products stay in 64 bits.
 * Tiers    A score is a vector, compared from the first tier on: what is hard and not fulfilled; soft
 *          rules; overload; cost. Every term and group says in which tier it counts. Less is better.
 * Hard     A step that makes a hard thing worse is no step at all (solve_try_* say false). What is
 *          violated from the start counts in TIER_HARD and may be repaired.
 * Owner    borrows all arrays; the caller keeps them while a state exists.   Thread any.
 * Numbers  int64 throughout: the same inputs give the same result on every machine. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SOLVE_MAX_RES = 32, SOLVE_MAX_VARIANTS = 3, SOLVE_UNIT = 1 << 20 };
enum solve_tier { TIER_HARD, TIER_SOFT, TIER_LOAD, TIER_COST, SOLVE_TIERS };
struct solve_score {
    int64_t tier[SOLVE_TIERS];
};

/* A set of machines, as bits. */
struct solve_set {
    const uint64_t *bits;
};

/* In its tier: weight, while the item is outside the set. */
struct solve_prefer {
    int set, tier;
    int64_t weight;
};

enum solve_group_kind {
    GROUP_APART,    /* at most `limit` items in one domain */
    GROUP_SPREAD,   /* in at least `limit` domains */
    GROUP_TOGETHER, /* in one domain */
    GROUP_COUNT,    /* nothing by itself; for solve_near */
};
struct solve_group {
    int kind, level; /* level of its domains */
    int limit;
    int tier;       /* TIER_HARD: never made worse */
    int64_t weight; /* per violation: item too many, domain missing, domain too many */
    bool held;      /* APART: an item counts in the domain of its home too, wherever it goes */
};
/* Every domain that holds an item of group `a` must hold one of group `b`. Hard. Both have one level,
 * and no item is in both. */
struct solve_near {
    int a, b;
};
/* Items that do not move: how many of the group the machine has. */
struct solve_fixed {
    int group, machine, count;
};

enum solve_term_kind {
    TERM_ABOVE, /* Σ weight · max(0, load − level) */
    TERM_RATIO, /* Σ weight · max(0, ratio · free(res) − free(res2)), free = capacity − load */
    TERM_SQUARE, /* Σ weight · (load / level)² in units of SOLVE_UNIT */
    TERM_BLOCKS, /* Σ weight · −⌊free(res) / block⌋ */
    TERM_SPREAD, /* weight · standard deviation over all machines of load / level, in SOLVE_UNIT */
};
struct solve_term {
    int kind, tier;
    int res, res2;
    int64_t weight;
    int64_t ratio, block;
    const int64_t *level; /* per machine; ABOVE: the safe load, SQUARE, SPREAD: the divisor (> 0) */
};

struct problem {
    int n_items, n_machines, n_res, n_variants;
    /* items */
    const int64_t *size;
    const int *home;             /* machine, -1 nowhere */
    const uint8_t *home_variant; /* NULL: 0 */
    const int *allow;            /* set of machines, -1 all; NULL: all */
    const uint8_t *variants;     /* bit v: variant v is possible; NULL: all */
    /* TIER_HARD while it is nowhere, or at a home outside its set; 0: home is always good; NULL: 1 */
    const int64_t *need;
    const int64_t *move_cost; /* TIER_COST, once it is not at home; NULL: 0 */
    /* preferences of item i: prefer[prefer_start[i]] … prefer[prefer_start[i + 1] − 1]; NULL: none */
    const int *prefer_start;
    const struct solve_prefer *prefer;
    const int *batch; /* ids; cost: batch_weight · the most items moved of one batch; NULL */
    int n_batches;
    int64_t batch_weight;
    const struct solve_set *sets;
    int n_sets;
    /* machines */
    const int64_t *cap;  /* [machine * n_res + res]; INT64_MAX / 4: no bound */
    const int64_t *base; /* what is there and never moves; NULL: nothing */
    uint32_t held_res;   /* bit r: an item that left its home still takes r there (capacity only) */
    const int64_t *over_weight; /* per resource: TIER_HARD per unit above capacity; NULL: 0 */
    const int *machine_class;   /* for class_cost; NULL */
    const int64_t
        *class_cost; /* [class(from) * n_classes + class(to)], TIER_COST, of a moved item */
    int n_classes;
    /* domains: of machine m at level l: domain[l * n_machines + m]; −1: in none, counts nowhere */
    int n_levels;
    const int *domain, *n_domains;
    /* groups; of item i: group_of[group_start[i]] … group_of[group_start[i + 1] − 1], ascending; one
     * named n times counts the item n times */
    const struct solve_group *groups;
    int n_groups;
    const int *group_start, *group_of;
    const struct solve_near *near;
    int n_near;
    const struct solve_fixed *fixed;
    int n_fixed;
    /* the rest of the score */
    const struct solve_term *terms;
    int n_terms;
    int max_moves; /* items that may be away from home at the end, -1 any */
};

/* < 0, 0, > 0 as a is better, equal, worse. */
static inline int solve_score_cmp(const struct solve_score *a, const struct solve_score *b)
{
    for (int t = 0; t < SOLVE_TIERS; t++)
        if (a->tier[t] != b->tier[t])
            return a->tier[t] < b->tier[t] ? -1 : 1;
    return 0;
}
static inline void solve_score_add(struct solve_score *a, const struct solve_score *b)
{
    for (int t = 0; t < SOLVE_TIERS; t++)
        a->tier[t] += b->tier[t];
}
static inline bool solve_in_set(const struct problem *p, int set, int machine)
{
    return set < 0 || (p->sets[set].bits[machine >> 6] >> (machine & 63) & 1);
}
static inline bool solve_allowed(const struct problem *p, int item, int machine)
{
    return !p->allow || solve_in_set(p, p->allow[item], machine) ||
           (p->need && !p->need[item] && machine == p->home[item]);
}
static inline const int64_t *solve_size(const struct problem *p, int item, int variant)
{
    return &p->size[((size_t)item * (size_t)p->n_variants + (size_t)variant) * (size_t)p->n_res];
}
