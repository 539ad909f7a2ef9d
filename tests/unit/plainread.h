/* tests/unit/plainread.h: the score of a random problem, read anew from places alone; shares no code
 * with the engine. */
#pragma once

#include <math.h>

#include "tests/unit/randproblem.h"

static inline int64_t plain_load(const struct problem *p, const int *at, const uint8_t *v, int m,
                                 int r)
{
    int64_t sum = p->base ? p->base[m * p->n_res + r] : 0;
    for (int i = 0; i < p->n_items; i++)
        if (at[i] == m)
            sum += p->size[(i * p->n_variants + v[i]) * p->n_res + r];
    return sum;
}

static inline int64_t plain_held(const struct problem *p, const int *at, int m, int r)
{
    int64_t sum = 0;
    for (int i = 0; i < p->n_items && (p->held_res >> r & 1); i++)
        if (p->home[i] == m && at[i] != m)
            sum += p->size[(i * p->n_variants + p->home_variant[i]) * p->n_res + r];
    return sum;
}

static inline int plain_count(const struct problem *p, const int *at, int g, int d)
{
    const struct solve_group *x = &p->groups[g];
    const int *dom = &p->domain[x->level * p->n_machines];
    int n = 0;
    for (int k = 0; k < p->n_fixed; k++)
        n += p->fixed[k].group == g && dom[p->fixed[k].machine] == d ? p->fixed[k].count : 0;
    for (int i = 0; i < p->n_items; i++) {
        int times = 0;
        for (int k = p->group_start[i]; k < p->group_start[i + 1]; k++)
            times += p->group_of[k] == g;
        bool here = at[i] >= 0 && dom[at[i]] == d;
        n += here || (x->held && p->home[i] >= 0 && dom[p->home[i]] == d) ? times : 0;
    }
    return n;
}

static inline int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* hard[]: each hard thing by itself, so that "never worse" can be checked one by one. */
struct plain {
    struct solve_score score;
    int64_t hard[64];
    int n_hard;
};

static inline void plain_groups(const struct problem *p, const int *at, struct plain *ret)
{
    for (int g = 0; g < p->n_groups; g++) {
        const struct solve_group *x = &p->groups[g];
        int over = 0, used = 0, bad = 0;
        for (int d = 0; d < p->n_domains[x->level]; d++) {
            int n = plain_count(p, at, g, d);
            over += n > x->limit ? n - x->limit : 0;
            used += n > 0;
        }
        bad = x->kind == GROUP_APART      ? over
              : x->kind == GROUP_SPREAD   ? (int)most(0, x->limit - used)
              : x->kind == GROUP_TOGETHER ? (int)most(0, used - 1)
                                          : 0;
        ret->score.tier[x->tier] += bad * x->weight;
        if (x->tier == TIER_HARD)
            ret->hard[ret->n_hard++] = bad;
    }
    int far = 0;
    for (int d = 0; p->n_near && d < p->n_domains[1]; d++)
        far += plain_count(p, at, p->near[0].a, d) && !plain_count(p, at, p->near[0].b, d);
    ret->score.tier[TIER_HARD] += far;
    ret->hard[ret->n_hard++] = far;
}

static inline void plain_machines(const struct problem *p, const int *at, const uint8_t *v,
                                  struct plain *ret)
{
    int64_t sum = 0, sum2 = 0;
    for (int m = 0; m < p->n_machines; m++) {
        int64_t load[RP_RES];
        const int64_t *cap = &p->cap[m * p->n_res], *level = p->terms[0].level;
        for (int r = 0; r < p->n_res; r++) {
            load[r] = plain_load(p, at, v, m, r);
            int64_t over = most(0, load[r] + plain_held(p, at, m, r) - cap[r]);
            ret->score.tier[TIER_HARD] += over * p->over_weight[r];
            ret->hard[ret->n_hard++] = over;
        }
        ret->score.tier[TIER_LOAD] += 3 * most(0, load[0] - level[m]);
        ret->score.tier[TIER_COST] += 2 * most(0, 2 * (cap[0] - load[0]) - (cap[1] - load[1]));
        int64_t u = load[1] * SOLVE_UNIT / level[m];
        ret->score.tier[TIER_COST] += u * u / SOLVE_UNIT;
        ret->score.tier[TIER_COST] -= 9 * (most(0, cap[2] - load[2]) / 8);
        u = load[0] * SOLVE_UNIT / level[m];
        sum += u;
        sum2 += u * u;
    }
    /* the engine's rounding: ⌊4 · ⌊√(n Σu² − (Σu)²)⌋ / n⌋ */
    int64_t root = (int64_t)sqrtl((long double)(p->n_machines * sum2 - sum * sum));
    ret->score.tier[TIER_COST] += 4 * root / p->n_machines;
}

static inline bool plain_in(const struct problem *p, int set, int m)
{
    return set < 0 || (p->sets[set].bits[0] >> m & 1);
}

static inline void plain_items(const struct problem *p, const int *at, const uint8_t *v,
                               struct plain *ret)
{
    int moved[4] = {0};
    for (int i = 0; i < p->n_items; i++) {
        if (at[i] < 0 || !plain_in(p, p->allow[i], at[i]))
            ret->score.tier[TIER_HARD] += p->need[i];
        if (at[i] < 0)
            continue;
        for (int k = p->prefer_start[i]; k < p->prefer_start[i + 1]; k++)
            if (!plain_in(p, p->prefer[k].set, at[i]))
                ret->score.tier[p->prefer[k].tier] += p->prefer[k].weight;
        if (p->home[i] < 0 || (p->home[i] == at[i] && v[i] == p->home_variant[i]))
            continue;
        moved[p->batch[i]]++;
        ret->score.tier[TIER_COST] +=
            p->move_cost[i] +
            p->class_cost[p->machine_class[p->home[i]] * 2 + p->machine_class[at[i]]];
    }
    int64_t top = most(most(moved[0], moved[1]), most(moved[2], moved[3]));
    ret->score.tier[TIER_COST] += p->batch_weight * top;
}

static inline struct plain plain_read(const struct problem *p, const int *at, const uint8_t *v)
{
    struct plain x = {0};
    plain_groups(p, at, &x);
    plain_machines(p, at, v, &x);
    plain_items(p, at, v, &x);
    return x;
}
