/* A place for every item that needs one: directly, by chains, by a complete search. */
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/place.h"
#include "scheduler/solve/seek.h"

enum { SAMPLE = 512 };

/* ---- the hardest first ------------------------------------------------------------------------ */

struct hard {
    int item, fits; /* of at most SAMPLE machines, evenly spread */
    int64_t bulk;
};

static struct hard hard_of(struct seek *k, int item)
{
    const struct problem *p = k->t.s->p;
    struct hard h = {.item = item, .bulk = seek_bulk(k, item)};
    int by = (p->n_machines + SAMPLE - 1) / SAMPLE;
    for (int m = 0; m < p->n_machines; m += by)
        for (int v = 0; v < p->n_variants; v++) {
            struct solve_score d;
            k->steps++;
            if (m != k->t.s->at[item] && trail_try(&k->t, item, m, v, &d)) {
                h.fits++;
                break;
            }
        }
    return h;
}

static int harder(const void *a, const void *b)
{
    const struct hard *x = a, *y = b;
    if (x->fits != y->fits)
        return x->fits < y->fits ? -1 : 1;
    if (x->bulk != y->bulk)
        return x->bulk > y->bulk ? -1 : 1;
    return x->item < y->item ? -1 : 1;
}

static struct hard *hardest_first(struct seek *k, size_t *ret_n)
{
    struct hard *h = NULL;
    size_t n = 0;
    for (int i = 0; i < k->t.s->p->n_items; i++)
        if (seek_needs(k, i))
            *vec_add(&h, &n) = hard_of(k, i);
    if (n)
        qsort(h, n, sizeof(*h), harder);
    *ret_n = n;
    return h;
}

/* ---- all of them ------------------------------------------------------------------------------ */

static void place(struct seek *k)
{
    size_t n, left = 0;
    cleanup(freep) struct hard *h = hardest_first(k, &n);
    seek_share(k, (int64_t)n);
    for (size_t i = 0; i < n; i++) {
        k->ours[h[i].item] = true;
        left += !seek_direct(k, h[i].item, true);
    }
    for (int depth = 1; left && depth <= SEEK_DEPTH; depth++)
        for (size_t i = 0; i < n && !seek_ended(k); i++)
            if (seek_needs(k, h[i].item))
                left -= seek_direct(k, h[i].item, true) || seek_chain(k, h[i].item, depth);
    if (left || seek_few(k))
        seek_all(k);
}

int64_t solve_place(struct solve_state *s, const struct solve_limits *l, bool may_disturb)
{
    struct seek k;
    seek_init(&k, s, l, may_disturb);
    place(&k);
    int64_t steps = k.steps;
    seek_done(&k);
    return steps;
}

/* ---- whatever is hard ------------------------------------------------------------------------- */

static bool too_full(const struct solve_state *s, int m)
{
    const struct problem *p = s->p;
    for (int r = 0; r < p->n_res; r++)
        if (s->room[(size_t)m * (size_t)p->n_res + (size_t)r] < 0)
            return true;
    return false;
}

/* Its groups would be better off without it here, or with it in a domain of its own. */
static bool in_the_way(const struct solve_state *s, int item)
{
    const struct problem *p = s->p;
    struct step q = {.item = item, .from = s->at[item], .to = -1, .partner = -1, .lenient = true};
    struct solve_score d = {0};
    group_price(s, &q, &d);
    if (d.tier[TIER_HARD] < 0)
        return true;
    for (int k = has_groups(p, item) ? p->group_start[item] : 0;
         has_groups(p, item) && k < p->group_start[item + 1]; k++) {
        const struct solve_group *g = &p->groups[p->group_of[k]];
        int domain = domain_of(p, g->level, s->at[item]);
        if (g->kind == GROUP_SPREAD && g->tier == TIER_HARD &&
            s->domains_used[p->group_of[k]] < g->limit &&
            (domain < 0 || count_in(s, p->group_of[k], domain) > 1))
            return true;
    }
    return false;
}

/* Items of which one should leave its machine. Gives *ret. */
static int suspects(const struct seek *k, int m, int **ret)
{
    const struct solve_state *s = k->t.s;
    bool full = too_full(s, m);
    int *item = NULL;
    size_t n = 0;
    for (int i = s->first[m]; i >= 0; i = s->next[i])
        if (full || in_the_way(s, i))
            *vec_add(&item, &n) = i;
    *ret = item;
    return (int)n;
}

/* Until nothing there is in the way, or nothing helps. Returns whether something is left. */
static bool relieve(struct seek *k, int m, int depth)
{
    for (;;) {
        cleanup(freep) int *item = NULL;
        int n = suspects(k, m, &item);
        bool any = n && seek_relief(k, item, n);
        for (int i = 0; i < n && !any && depth; i++)
            any = seek_chain(k, item[i], depth);
        if (!any)
            return n;
    }
}

static void relieve_all(struct seek *k)
{
    int n_machines = k->t.s->p->n_machines;
    int64_t n = 0;
    for (int m = 0; m < n_machines; m++) {
        int *item;
        n += suspects(k, m, &item);
        free(item);
    }
    seek_share(k, n);
    bool left = n;
    for (int depth = 0; left && depth <= SEEK_DEPTH; depth++) {
        left = false;
        for (int m = 0; m < n_machines && !seek_ended(k); m++)
            left |= relieve(k, m, depth);
    }
}

int64_t solve_repair(struct solve_state *s, const struct solve_limits *l, bool may_disturb)
{
    struct seek k;
    int64_t hard;
    seek_init(&k, s, l, may_disturb);
    do { /* what leaves a machine may make room for another */
        hard = s->score.tier[TIER_HARD];
        place(&k);
        relieve_all(&k);
    } while (s->score.tier[TIER_HARD] < hard && !seek_ended(&k));
    int64_t steps = k.steps;
    seek_done(&k);
    return steps;
}
