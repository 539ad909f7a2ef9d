/* Items wait in a heap by the best step that each had when it was last looked at. What comes to the
 * top is looked at again: others have moved since. */
#include "lib/base/mem.h"
#include "scheduler/solve/descend.h"

enum { ASK_EVERY = 4096, ROUNDS = 2, SWEEPS = 4 };

struct want {
    struct solve_score delta; /* all 0: nothing helps */
    int machine, variant;
};

struct descent {
    struct solve_state *s;
    const struct solve_limits *l;
    struct want *want; /* per item */
    int *heap, *slot;  /* items; where in the heap each item is */
    int n;
    int64_t steps, asked;
    bool ended;
};

static bool ended(struct descent *d)
{
    if (!d->ended && d->steps >= d->l->steps)
        d->ended = true;
    if (!d->ended && d->l->stop && d->steps - d->asked >= ASK_EVERY) {
        d->asked = d->steps;
        d->ended = d->l->stop(d->l->ctx);
    }
    return d->ended;
}

/* ---- the heap ---------------------------------------------------------------------------------- */

static bool before(const struct descent *d, int a, int b)
{
    int c = solve_score_cmp(&d->want[a].delta, &d->want[b].delta);
    return c ? c < 0 : a < b;
}

static void put(struct descent *d, int k, int item)
{
    d->heap[k] = item;
    d->slot[item] = k;
}

static void settle(struct descent *d, int item)
{
    int k = d->slot[item];
    for (; k > 0 && before(d, item, d->heap[(k - 1) / 2]); k = (k - 1) / 2)
        put(d, k, d->heap[(k - 1) / 2]);
    for (int c; (c = 2 * k + 1) < d->n; k = c) {
        c += c + 1 < d->n && before(d, d->heap[c + 1], d->heap[c]);
        if (!before(d, d->heap[c], item))
            break;
        put(d, k, d->heap[c]);
    }
    put(d, k, item);
}

/* ---- steps ------------------------------------------------------------------------------------- */

static void look(struct descent *d, int item)
{
    const struct problem *p = d->s->p;
    struct want best = {.machine = -1};
    struct solve_score x;
    for (int m = 0; m < p->n_machines && !ended(d); m++)
        for (int v = 0; v < p->n_variants; v++) {
            d->steps++;
            if (solve_try_shift(d->s, item, m, v, &x) && solve_score_cmp(&x, &best.delta) < 0)
                best = (struct want){x, m, v};
        }
    d->want[item] = best;
}

static void look_all(struct descent *d)
{
    for (int i = 0; i < d->s->p->n_items; i++) {
        look(d, i);
        d->slot[i] = i;
        d->heap[i] = i;
    }
    d->n = d->s->p->n_items;
    for (int k = d->n / 2 - 1; k >= 0; k--)
        settle(d, d->heap[k]);
}

/* Take the best step while one is known that helps. False: there was none. */
static bool step_all(struct descent *d)
{
    bool any = false;
    while (!ended(d)) {
        int item = d->heap[0];
        struct want *w = &d->want[item];
        if (w->machine < 0)
            break;
        look(d, item);
        settle(d, item);
        if (d->heap[0] != item || w->machine < 0)
            continue;
        solve_do_shift(d->s, item, w->machine, w->variant, &w->delta);
        any = true;
        look(d, item);
        settle(d, item);
    }
    return any;
}

/* ---- as many moves, but better ones ------------------------------------------------------------ */

static bool moved(const struct descent *d, int item)
{
    const struct solve_state *s = d->s;
    return s->p->home[item] >= 0 && s->at[item] >= 0 && s->at[item] != s->p->home[item];
}

static void try_partner(struct descent *d, int a, int b, struct solve_score *best, int *partner)
{
    struct solve_score x;
    d->steps++;
    if (a != b && solve_try_swap(d->s, a, b, &x) && solve_score_cmp(&x, best) < 0) {
        *best = x;
        *partner = b;
    }
}

/* The best step of a moved item that moves no more items: elsewhere; in the place of another that
 * moved; home, while one goes from there in its stead. False: none helps. */
static bool exchange(struct descent *d, int a, const int *others, size_t n)
{
    struct solve_state *s = d->s;
    int partner = -1;
    look(d, a);
    const struct want *w = &d->want[a];
    struct solve_score best = w->delta;
    for (int b = s->first[s->p->home[a]]; b >= 0; b = s->next[b])
        try_partner(d, a, b, &best, &partner);
    for (size_t k = 0; k < n && !ended(d); k++)
        if (moved(d, others[k]))
            try_partner(d, a, others[k], &best, &partner);
    if (partner >= 0)
        solve_do_swap(s, a, partner, &best);
    else if (w->machine >= 0)
        solve_do_shift(s, a, w->machine, w->variant, &best);
    return partner >= 0 || w->machine >= 0;
}

static bool exchange_all(struct descent *d)
{
    cleanup(freep) int *all = NULL;
    size_t n = 0;
    bool any = false;
    for (int i = 0; i < d->s->p->n_items; i++)
        if (moved(d, i))
            *vec_add(&all, &n) = i;
    for (size_t k = 0; k < n; k++)
        while (moved(d, all[k]) && !ended(d) && exchange(d, all[k], all, n))
            any = true;
    return any;
}

int64_t solve_descend(struct solve_state *s, const struct solve_limits *l)
{
    size_t n = (size_t)s->p->n_items;
    struct descent d = {.s = s,
                        .l = l,
                        .want = xcalloc(n, sizeof(*d.want)),
                        .heap = xcalloc(n, sizeof(*d.heap)),
                        .slot = xcalloc(n, sizeof(*d.slot))};
    for (int round = 0; n && round < ROUNDS; round++) {
        look_all(&d);
        if (!step_all(&d) && round)
            break;
        bool any = false;
        for (int sweep = 0; sweep < SWEEPS && exchange_all(&d); sweep++)
            any = true;
        if (!any)
            break;
    }
    do /* what was seen in passing is old: look at everything anew */
        look_all(&d);
    while (step_all(&d));
    free(d.want);
    free(d.heap);
    free(d.slot);
    return d.steps;
}
