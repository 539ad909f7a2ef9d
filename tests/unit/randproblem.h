/* tests/unit/randproblem.h: random re-assignment problems that use every kind of term and group.
 * Owner   randproblem_done releases.   The same seed gives the same problem. */
#pragma once

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "scheduler/solve/problem.h"

struct randproblem {
    struct problem p;
    void *owned[32];
    int n_owned;
};

static inline void *rp_own(struct randproblem *r, size_t n, size_t size)
{
    return r->owned[r->n_owned++] = xcalloc(n ? n : 1, size);
}

static inline int64_t rp_in(struct rng *g, int64_t lo, int64_t hi)
{
    return lo + (int64_t)rng_below(g, (uint64_t)(hi - lo + 1));
}

static inline const uint64_t *rp_set(struct randproblem *r, struct rng *g, int machines)
{
    uint64_t *bits = rp_own(r, 1, sizeof(*bits));
    while (!*bits) {
        uint64_t some = rng_u64(g);
        *bits = some & rng_u64(g) >> (64 - machines);
    }
    return bits;
}

enum { RP_MACHINES = 6, RP_ITEMS = 24, RP_RES = 3, RP_GROUPS = 6 };

static inline void rp_machines(struct randproblem *r, struct rng *g)
{
    struct problem *p = &r->p;
    int64_t *cap = rp_own(r, RP_MACHINES * RP_RES, sizeof(*cap));
    int64_t *level = rp_own(r, RP_MACHINES, sizeof(*level));
    int64_t *base = rp_own(r, RP_MACHINES * RP_RES, sizeof(*base));
    int *domain = rp_own(r, 2 * RP_MACHINES, sizeof(*domain));
    int *class = rp_own(r, RP_MACHINES, sizeof(*class)), *n_domains = rp_own(r, 2, sizeof(int));
    for (int i = 0; i < RP_MACHINES * RP_RES; i++) {
        cap[i] = rp_in(g, 40, 90);
        base[i] = rp_in(g, 0, 5);
    }
    for (int m = 0; m < RP_MACHINES; m++) {
        level[m] = rp_in(g, 30, 60);
        domain[m] = m;
        domain[RP_MACHINES + m] = m / 2 - (m == 0 && rng_below(g, 2)); /* perhaps in none */
        class[m] = m % 2;
    }
    int64_t *over = rp_own(r, RP_RES, sizeof(*over));
    int64_t *class_cost = rp_own(r, 4, sizeof(*class_cost));
    over[0] = 1;
    over[2] = 3;
    class_cost[1] = 5;
    class_cost[2] = 7;
    p->n_machines = RP_MACHINES;
    p->n_res = RP_RES;
    p->cap = cap;
    p->base = base;
    p->over_weight = over;
    p->domain = domain;
    p->n_levels = 2;
    n_domains[0] = RP_MACHINES;
    n_domains[1] = RP_MACHINES / 2;
    p->n_domains = n_domains;
    p->machine_class = class;
    p->class_cost = class_cost;
    p->n_classes = 2;
    struct solve_term *t = rp_own(r, 6, sizeof(*t));
    t[0] = (struct solve_term){.kind = TERM_ABOVE, .tier = TIER_LOAD, .weight = 3, .level = level};
    t[1] = (struct solve_term){
        .kind = TERM_RATIO, .tier = TIER_COST, .res2 = 1, .weight = 2, .ratio = 2};
    t[2] = (struct solve_term){
        .kind = TERM_SQUARE, .tier = TIER_COST, .res = 1, .weight = 1, .level = level};
    t[3] = (struct solve_term){
        .kind = TERM_BLOCKS, .tier = TIER_COST, .res = 2, .weight = 9, .block = 8};
    t[4] = (struct solve_term){.kind = TERM_SPREAD, .tier = TIER_COST, .weight = 4, .level = level};
    p->terms = t;
    p->n_terms = 5;
}

/* One draw per statement: in which order an initialiser draws is the compiler's choice. */
static inline void rp_prefer(struct solve_prefer *x, struct rng *g)
{
    x->set = (int)rp_in(g, 0, 2);
    x->weight = rp_in(g, 1, 4);
    x->tier = x->weight % 2 ? TIER_SOFT : TIER_LOAD;
}

static inline void rp_group(struct solve_group *x, struct rng *g, int k)
{
    *x = (struct solve_group){.kind = GROUP_COUNT, .level = 1};
    if (k < 4) {
        x->kind = (int)rp_in(g, GROUP_APART, GROUP_TOGETHER);
        x->level = (int)rp_in(g, 0, 1);
    }
    x->limit = (int)rp_in(g, 1, 3);
    x->tier = k % 2 ? TIER_HARD : TIER_SOFT;
    x->weight = k % 2 ? 1 : rp_in(g, 1, 9);
    x->held = x->kind == GROUP_APART && rng_below(g, 2);
}

static inline void rp_items(struct randproblem *r, struct rng *g)
{
    struct problem *p = &r->p;
    p->n_items = RP_ITEMS;
    p->n_variants = 2;
    int64_t *size = rp_own(r, RP_ITEMS * 2 * RP_RES, sizeof(*size));
    int *home = rp_own(r, RP_ITEMS, sizeof(*home)), *allow = rp_own(r, RP_ITEMS, sizeof(*allow));
    int *prefer_start = rp_own(r, RP_ITEMS + 1, sizeof(*prefer_start));
    struct solve_prefer *prefer = rp_own(r, 2 * RP_ITEMS, sizeof(*prefer));
    int *batch = rp_own(r, RP_ITEMS, sizeof(*batch));
    int64_t *cost = rp_own(r, RP_ITEMS, sizeof(*cost)), *need = rp_own(r, RP_ITEMS, sizeof(*need));
    uint8_t *variants = rp_own(r, RP_ITEMS, 1), *at = rp_own(r, RP_ITEMS, 1);
    struct solve_set *sets = rp_own(r, 3, sizeof(*sets));
    for (int i = 0; i < 3; i++)
        sets[i].bits = rp_set(r, g, RP_MACHINES);
    for (int i = 0; i < RP_ITEMS * 2 * RP_RES; i++)
        size[i] = rp_in(g, 0, 12);
    for (int i = 0; i < RP_ITEMS; i++) {
        home[i] = (int)rp_in(g, -1, RP_MACHINES - 1);
        allow[i] = (int)rp_in(g, -3, 2) < 0 ? -1 : (int)rp_in(g, 0, 2);
        prefer_start[i + 1] = prefer_start[i] + (int)rp_in(g, 0, 2);
        for (int k = prefer_start[i]; k < prefer_start[i + 1]; k++)
            rp_prefer(&prefer[k], g);
        batch[i] = (int)rp_in(g, 0, 3);
        cost[i] = rp_in(g, 0, 20);
        need[i] = rp_in(g, 0, 30);
        variants[i] = (uint8_t)rp_in(g, 1, 3);
        at[i] = variants[i] == 2;
    }
    p->size = size;
    p->home = home;
    p->home_variant = at;
    p->allow = allow;
    p->variants = variants;
    p->need = need;
    p->move_cost = cost;
    p->prefer_start = prefer_start;
    p->prefer = prefer;
    p->batch = batch;
    p->n_batches = 4;
    p->batch_weight = 6;
    p->sets = sets;
    p->n_sets = 3;
    p->held_res = (uint32_t)rng_below(g, 8);
    p->max_moves = rng_below(g, 3) ? -1 : (int)rp_in(g, 1, RP_ITEMS);
}

static inline void rp_groups(struct randproblem *r, struct rng *g)
{
    struct problem *p = &r->p;
    struct solve_group *groups = rp_own(r, RP_GROUPS, sizeof(*groups));
    int *start = rp_own(r, RP_ITEMS + 1, sizeof(*start));
    int *of = rp_own(r, RP_ITEMS * (RP_GROUPS + 1), sizeof(*of));
    struct solve_near *near = rp_own(r, 2, sizeof(*near));
    struct solve_fixed *fixed = rp_own(r, 1, sizeof(*fixed));
    for (int k = 0; k < RP_GROUPS; k++)
        rp_group(&groups[k], g, k);
    for (int i = 0; i < RP_ITEMS; i++) {
        start[i + 1] = start[i];
        for (int k = 0; k < RP_GROUPS; k++)
            if (!rng_below(g, 5) &&
                (k < 5 || start[i + 1] == start[i] || of[start[i + 1] - 1] != 4))
                of[start[i + 1]++] = k;
        if (start[i + 1] > start[i] && !rng_below(g, 4)) { /* its last group counts it twice */
            of[start[i + 1]] = of[start[i + 1] - 1];
            start[i + 1]++;
        }
    }
    near[0] = (struct solve_near){4, 5};
    fixed[0] = (struct solve_fixed){.group = 0, .machine = (int)rp_in(g, 0, 5), .count = 2};
    p->groups = groups;
    p->n_groups = RP_GROUPS;
    p->group_start = start;
    p->group_of = of;
    p->near = near;
    p->n_near = 1;
    p->fixed = fixed;
    p->n_fixed = 1;
}

static inline void randproblem_init(struct randproblem *r, uint64_t seed)
{
    struct rng g;
    rng_init(&g, seed);
    *r = (struct randproblem){0};
    rp_machines(r, &g);
    rp_items(r, &g);
    rp_groups(r, &g);
}

static inline void randproblem_done(struct randproblem *r)
{
    while (r->n_owned)
        free(r->owned[--r->n_owned]);
}
