/* Two heaps of the same machines: the dearest on top, and the cheapest on top. A machine of which no
 * item helps is done until something changes on it. */
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/internal.h"
#include "scheduler/solve/level.h"

enum { ASK_EVERY = 4096, CHEAPEST = 24 };

struct heap {
    const struct solve_state *s;
    int sign; /* 1: the dearest on top, −1: the cheapest */
    int n;
    int *at, *slot; /* machines; where in the heap each is, −1: it is not */
};

struct level {
    struct solve_state *s;
    const struct solve_limits *l;
    struct heap dear, cheap;
    int64_t steps, asked;
    bool ended;
};

static bool ended(struct level *w)
{
    if (!w->ended && w->steps >= w->l->steps)
        w->ended = true;
    if (!w->ended && w->l->stop && w->steps - w->asked >= ASK_EVERY) {
        w->asked = w->steps;
        w->ended = w->l->stop(w->l->ctx);
    }
    return w->ended;
}

/* ---- heaps ------------------------------------------------------------------------------------ */

static bool above_of(const struct heap *h, int a, int b)
{
    int c = h->sign * solve_score_cmp(&h->s->machine[a], &h->s->machine[b]);
    return c ? c > 0 : a < b;
}

static void put(struct heap *h, int k, int m)
{
    h->at[k] = m;
    h->slot[m] = k;
}

static void settle(struct heap *h, int m)
{
    int k = h->slot[m];
    for (; k > 0 && above_of(h, m, h->at[(k - 1) / 2]); k = (k - 1) / 2)
        put(h, k, h->at[(k - 1) / 2]);
    for (int c; (c = 2 * k + 1) < h->n; k = c) {
        c += c + 1 < h->n && above_of(h, h->at[c + 1], h->at[c]);
        if (!above_of(h, h->at[c], m))
            break;
        put(h, k, h->at[c]);
    }
    put(h, k, m);
}

static void enter(struct heap *h, int m)
{
    if (h->slot[m] < 0)
        put(h, h->n++, m);
    settle(h, m);
}

static int pop(struct heap *h)
{
    int top = h->at[0], last = h->at[--h->n];
    h->slot[top] = -1;
    if (top != last) {
        put(h, 0, last);
        settle(h, last);
    }
    return top;
}

static void heap_init(struct heap *h, const struct solve_state *s, int sign)
{
    int n = s->p->n_machines;
    *h = (struct heap){.s = s,
                       .sign = sign,
                       .at = xcalloc((size_t)n, sizeof(*h->at)),
                       .slot = xcalloc((size_t)n, sizeof(*h->slot))};
    memset(h->slot, -1, (size_t)n * sizeof(*h->slot));
    for (int m = 0; m < n; m++)
        enter(h, m);
}

static void heap_done(struct heap *h)
{
    free(h->at);
    free(h->slot);
}

/* ---- steps ------------------------------------------------------------------------------------ */

struct best {
    struct solve_score delta; /* all 0: nothing helps */
    int item, machine, variant;
};

static void consider(struct level *w, int item, int m, struct best *b)
{
    struct solve_score x;
    for (int v = 0; v < w->s->p->n_variants; v++) {
        w->steps++;
        if (solve_try_shift(w->s, item, m, v, &x) && solve_score_cmp(&x, &b->delta) < 0)
            *b = (struct best){x, item, m, v};
    }
}

static void take_step(struct level *w, const struct best *b)
{
    int from = w->s->at[b->item];
    solve_do_shift(w->s, b->item, b->machine, b->variant, &b->delta);
    for (int i = 0; i < 2; i++) {
        int m = i ? b->machine : from;
        if (m < 0)
            continue;
        enter(&w->dear, m);
        enter(&w->cheap, m);
    }
}

/* ---- what is broken --------------------------------------------------------------------------- */

static bool misplaced(const struct problem *p, int item, int m)
{
    return m < 0 || !solve_allowed(p, item, m) ||
           (p->prefer && p->prefer_start[item] < p->prefer_start[item + 1]);
}

static bool *broken_groups(const struct solve_state *s)
{
    bool *broken = xcalloc((size_t)s->p->n_groups + 1, sizeof(*broken));
    for (int g = 0; g < s->p->n_groups; g++)
        broken[g] = group_violations(s, g) > 0;
    return broken;
}

static void repair(struct level *w)
{
    const struct problem *p = w->s->p;
    cleanup(freep) bool *broken = broken_groups(w->s);
    for (int i = 0; i < p->n_items && !ended(w); i++) {
        bool look = misplaced(p, i, w->s->at[i]);
        for (int k = p->n_groups ? p->group_start[i] : 0;
             p->n_groups && k < p->group_start[i + 1] && !look; k++)
            look = broken[p->group_of[k]];
        struct best b = {.item = -1};
        for (int m = 0; look && m < p->n_machines; m++)
            consider(w, i, m, &b);
        /* what is only uneven is levelled below */
        if (b.item >= 0 && (b.delta.tier[TIER_HARD] || b.delta.tier[TIER_SOFT]))
            take_step(w, &b);
    }
}

/* ---- what is uneven --------------------------------------------------------------------------- */

/* The cheapest machines: the top of the heap and what lies next to it. */
static int cheapest(const struct heap *h, int *ret)
{
    int n = h->n < CHEAPEST ? h->n : CHEAPEST;
    memcpy(ret, h->at, (size_t)n * sizeof(*ret));
    return n;
}

static void level(struct level *w)
{
    int to[CHEAPEST];
    while (w->dear.n && !ended(w)) {
        int m = w->dear.at[0], n = cheapest(&w->cheap, to);
        struct best b = {.item = -1};
        for (int i = w->s->first[m]; i >= 0; i = w->s->next[i])
            for (int k = 0; k < n; k++)
                if (to[k] != m)
                    consider(w, i, to[k], &b);
        if (b.item >= 0)
            take_step(w, &b);
        else
            pop(&w->dear);
    }
}

int64_t solve_level(struct solve_state *s, const struct solve_limits *l)
{
    struct level w = {.s = s, .l = l};
    heap_init(&w.dear, s, 1);
    heap_init(&w.cheap, s, -1);
    repair(&w);
    level(&w);
    heap_done(&w.dear);
    heap_done(&w.cheap);
    return w.steps;
}
