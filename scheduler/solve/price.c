/* What a machine's load and an item's place cost. */
#include <math.h>

#include "scheduler/solve/internal.h"

/* ---- what one machine costs ------------------------------------------------------------------- */

int64_t price_units(int64_t load, int64_t level)
{
    return load * SOLVE_UNIT / level;
}

static int64_t square(int64_t u)
{
    return (int64_t)((__int128)u * u / SOLVE_UNIT);
}

static int64_t blocks(int64_t room, int64_t block)
{
    return room > 0 ? room / block : 0;
}

static int64_t term_cost(const struct problem *p, const struct solve_term *t, int m,
                         const int64_t *load)
{
    const int64_t *cap = &p->cap[(size_t)m * (size_t)p->n_res];
    int64_t x;
    switch ((enum solve_term_kind)t->kind) {
    case TERM_ABOVE:
        x = load[t->res] - t->level[m];
        return x > 0 ? t->weight * x : 0;
    case TERM_RATIO:
        x = t->ratio * (cap[t->res] - load[t->res]) - (cap[t->res2] - load[t->res2]);
        return x > 0 ? t->weight * x : 0;
    case TERM_SQUARE:
        return t->weight * square(price_units(load[t->res], t->level[m]));
    case TERM_BLOCKS:
        return -t->weight * blocks(cap[t->res] - load[t->res], t->block);
    case TERM_SPREAD:
        return 0;
    }
    return 0;
}

/* Of machine m with these loads and holds. */
struct solve_score price_machine(const struct problem *p, int m, const int64_t *load,
                                 const int64_t *held)
{
    struct solve_score c = {0};
    for (int k = 0; k < p->n_terms; k++)
        c.tier[p->terms[k].tier] += term_cost(p, &p->terms[k], m, load);
    if (p->over_weight) {
        const int64_t *cap = &p->cap[(size_t)m * (size_t)p->n_res];
        for (int r = 0; r < p->n_res; r++) {
            int64_t over = load[r] + held[r] - cap[r];
            if (over > 0)
                c.tier[TIER_HARD] += p->over_weight[r] * over;
        }
    }
    return c;
}

/* ---- standard deviations ---------------------------------------------------------------------- */

static int64_t isqrt(unsigned __int128 x)
{
    /* a double's root is off by less than one part in 2^50: corrected, it is exact everywhere */
    int64_t r = (int64_t)sqrt((double)x);
    while ((unsigned __int128)r * (unsigned __int128)r > x)
        r--;
    while ((unsigned __int128)(r + 1) * (unsigned __int128)(r + 1) <= x)
        r++;
    return r;
}

int64_t price_spread(const struct problem *p, const struct solve_term *t, int64_t sum, int64_t sum2)
{
    __int128 n = p->n_machines;
    __int128 x = n * sum2 - (__int128)sum * sum;
    return x > 0 ? (int64_t)((__int128)t->weight * isqrt((unsigned __int128)x) / n) : 0;
}

/* ---- what one item costs by itself ------------------------------------------------------------ */

void price_item(const struct problem *p, int item, int m, int v, int sign, struct solve_score *ret)
{
    int home = p->home[item];
    if (m < 0 || !solve_allowed(p, item, m))
        ret->tier[TIER_HARD] += sign * (p->need ? p->need[item] : 1);
    if (m < 0)
        return;
    for (int k = p->prefer ? p->prefer_start[item] : 0; p->prefer && k < p->prefer_start[item + 1];
         k++)
        if (!solve_in_set(p, p->prefer[k].set, m))
            ret->tier[TIER_SOFT] += sign * p->prefer[k].weight;
    if (!is_away(p, item, m, v))
        return;
    if (p->move_cost)
        ret->tier[TIER_COST] += sign * p->move_cost[item];
    if (p->class_cost)
        ret->tier[TIER_COST] +=
            sign * p->class_cost[(size_t)p->machine_class[home] * (size_t)p->n_classes +
                                 (size_t)p->machine_class[m]];
}
