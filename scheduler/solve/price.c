/* What a machine's load and an item's place cost. */
#include <math.h>

#include "lib/base/mem.h"
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

static int64_t positive(int64_t x)
{
    return x > 0 ? x : 0;
}

/* Runs over the terms, so that the loops below have nothing to choose. */
struct price_table *price_table_new(const struct problem *p)
{
    struct price_table *x = xcalloc(1, sizeof(*x));
    size_t n = (size_t)p->n_terms;
    x->term = xcalloc(n, sizeof(*x->term));
    x->bounded = true;
    for (size_t k = 0; k < n; k++)
        x->bounded = x->bounded && p->terms[k].weight >= 0 && p->terms[k].kind < TERM_BLOCKS;
    for (int kind = TERM_ABOVE; kind < TERM_SPREAD; kind++)
        for (int tier = 0; tier < SOLVE_TIERS; tier++) {
            int first = x->n;
            for (size_t k = 0; k < n; k++)
                if (p->terms[k].kind == kind && p->terms[k].tier == tier && p->terms[k].weight)
                    x->term[x->n++] = p->terms[k];
            if (x->n > first)
                x->run[x->n_runs++] =
                    (struct price_run){.kind = kind, .tier = tier, .first = first, .end = x->n};
        }
    x->level = xcalloc((size_t)p->n_machines * (size_t)x->n, sizeof(*x->level));
    for (int m = 0; m < p->n_machines; m++)
        for (int k = 0; k < x->n; k++) {
            const struct solve_term *t = &x->term[k];
            const int64_t *cap = &p->cap[(size_t)m * (size_t)p->n_res];
            x->level[(size_t)m * (size_t)x->n + (size_t)k] =
                t->kind == TERM_RATIO    ? t->ratio * cap[t->res] - cap[t->res2]
                : t->kind == TERM_BLOCKS ? cap[t->res]
                                         : t->level[m];
        }
    return x;
}

void price_table_free(struct price_table *x)
{
    if (!x)
        return;
    free(x->term);
    free(x->level);
    free(x);
}

static int64_t run_cost(const struct price_table *x, const struct price_run *run,
                        const int64_t *level, const int64_t *load)
{
    int64_t sum = 0;
    const struct solve_term *t = &x->term[run->first], *end = &x->term[run->end];
    level += run->first;
    switch ((enum solve_term_kind)run->kind) {
    case TERM_ABOVE:
        for (; t < end; t++)
            sum += t->weight * positive(load[t->res] - *level++);
        break;
    case TERM_RATIO:
        for (; t < end; t++)
            sum += t->weight * positive(*level++ - t->ratio * load[t->res] + load[t->res2]);
        break;
    case TERM_SQUARE:
        for (; t < end; t++)
            sum += t->weight * square(price_units(load[t->res], *level++));
        break;
    case TERM_BLOCKS:
        for (; t < end; t++)
            sum -= t->weight * (positive(*level++ - load[t->res]) / t->block);
        break;
    case TERM_SPREAD:
        break;
    }
    return sum;
}

/* Of machine m with these loads and this room left. */
struct solve_score price_machine(const struct solve_state *s, int m, const int64_t *load,
                                 const int64_t *room)
{
    const struct price_table *x = s->prices;
    struct solve_score c = {0};
    for (int k = 0; k < x->n_runs; k++)
        c.tier[x->run[k].tier] +=
            run_cost(x, &x->run[k], &x->level[(size_t)m * (size_t)x->n], load);
    for (int r = 0; s->p->over_weight && !s->toll && r < s->p->n_res; r++)
        c.tier[TIER_HARD] += s->p->over_weight[r] * positive(-room[r]);
    return c;
}

int64_t price_toll(const struct solve_state *s, int m, const int64_t *room)
{
    int64_t sum = 0;
    const int64_t *toll = &s->toll[(size_t)m * (size_t)s->p->n_res];
    for (int r = 0; r < s->p->n_res; r++)
        if (room[r] < 0)
            sum += (toll[r] * -room[r] + 255) / 256;
    return sum;
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
            ret->tier[p->prefer[k].tier] += sign * p->prefer[k].weight;
    if (!is_away(p, item, m, v))
        return;
    if (p->move_cost)
        ret->tier[TIER_COST] += sign * p->move_cost[item];
    if (p->class_cost)
        ret->tier[TIER_COST] +=
            sign * p->class_cost[(size_t)p->machine_class[home] * (size_t)p->n_classes +
                                 (size_t)p->machine_class[m]];
}
