/* tests/unit/replay.h: a judge of orders of steps that shares nothing with the engine: where every
 * item is and where it is on its way to, and all limits counted anew from that.
 * Owner    replay_init borrows the problem; replay_done releases. */
#pragma once

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "scheduler/solve/order.h"

struct replay {
    const struct problem *p;
    bool twice;
    int *at, *to; /* to: −1 it rests */
    uint8_t *v, *to_v;
    int *least; /* domains a hard GROUP_SPREAD must always have: its limit, if it had them */
};

static inline void replay_done(struct replay *r)
{
    free(r->at);
    free(r->to);
    free(r->v);
    free(r->to_v);
    free(r->least);
}

/* What the item takes of machine m in resource k. */
static inline int64_t replay_takes(const struct replay *r, int i, int m, int k)
{
    const struct problem *p = r->p;
    uint8_t home_v = p->home_variant ? p->home_variant[i] : 0;
    int64_t here = r->at[i] == m ? solve_size(p, i, r->v[i])[k] : 0;
    int64_t soon = r->to[i] == m ? solve_size(p, i, r->to_v[i])[k] : 0;
    int64_t left = p->home[i] == m && r->at[i] != m && (p->held_res >> k & 1)
                       ? solve_size(p, i, home_v)[k]
                       : 0;
    if (r->at[i] == m && r->to[i] == m && !r->twice)
        return here > soon ? here : soon;
    return here + soon + left;
}

static inline bool replay_machine_ok(const struct replay *r, int m, int item)
{
    const struct problem *p = r->p;
    for (int k = 0; k < p->n_res; k++) {
        size_t c = (size_t)m * (size_t)p->n_res + (size_t)k;
        int64_t load = p->base ? p->base[c] : 0, more = solve_size(p, item, r->to_v[item])[k];
        for (int i = 0; i < p->n_items; i++)
            load += replay_takes(r, i, m, k);
        if (r->at[item] == m && !r->twice)
            more -= solve_size(p, item, r->v[item])[k];
        if (load > p->cap[c] && more > 0)
            return false;
    }
    return true;
}

static inline int replay_domain(const struct problem *p, int g, int m)
{
    return m < 0 ? -1 : p->domain[(size_t)p->groups[g].level * (size_t)p->n_machines + (size_t)m];
}

/* How often the group counts the item. */
static inline int replay_in_group(const struct problem *p, int i, int g)
{
    int n = 0;
    for (int k = p->group_start[i]; k < p->group_start[i + 1]; k++)
        n += p->group_of[k] == g;
    return n;
}

/* Items of the group in the domain; both: those on their way there, and those held there, count. */
static inline int replay_count(const struct replay *r, int g, int d, bool both)
{
    const struct problem *p = r->p;
    int n = 0;
    for (int k = 0; k < p->n_fixed; k++)
        if (p->fixed[k].group == g && replay_domain(p, g, p->fixed[k].machine) == d)
            n += p->fixed[k].count;
    for (int i = 0; i < p->n_items; i++) {
        bool there = replay_domain(p, g, r->at[i]) == d;
        bool soon = replay_domain(p, g, r->to[i]) == d;
        bool held = p->groups[g].held && replay_domain(p, g, p->home[i]) == d;
        if (there || (both && (soon || held)))
            n += replay_in_group(p, i, g);
    }
    return n;
}

static inline int replay_used(const struct replay *r, int g)
{
    int used = 0;
    for (int d = 0; d < r->p->n_domains[r->p->groups[g].level]; d++)
        used += replay_count(r, g, d, false) > 0;
    return used;
}

static inline void replay_init(struct replay *r, const struct problem *p, bool twice)
{
    size_t n = (size_t)p->n_items;
    *r = (struct replay){.p = p, .twice = twice};
    r->at = xmemdup(p->home, n * sizeof(int));
    r->to = xcalloc(n, sizeof(int));
    memset(r->to, -1, n * sizeof(int));
    r->v = p->home_variant ? xmemdup(p->home_variant, n) : xcalloc(n, 1);
    r->to_v = xcalloc(n, 1);
    r->least = xcalloc((size_t)p->n_groups + 1, sizeof(int));
    for (int g = 0; g < p->n_groups; g++) {
        const struct solve_group *x = &p->groups[g];
        int used = replay_used(r, g);
        if (x->kind == GROUP_SPREAD && x->tier == TIER_HARD)
            r->least[g] = used < x->limit ? used : x->limit;
    }
}

/* The item, about to start, breaks no group. */
static inline bool replay_groups_ok(const struct replay *r, int i)
{
    const struct problem *p = r->p;
    for (int k = 0; p->n_groups && k < p->n_groups; k++) {
        const struct solve_group *x = &p->groups[k];
        int a = replay_domain(p, k, r->at[i]), b = replay_domain(p, k, r->to[i]);
        if (x->tier != TIER_HARD || !replay_in_group(p, i, k) || a == b || b < 0)
            continue;
        if (x->kind == GROUP_APART && !(x->held && b == replay_domain(p, k, p->home[i])) &&
            replay_count(r, k, b, true) > x->limit)
            return false;
    }
    return true;
}

/* False: it does not fit now. */
static inline bool replay_start(struct replay *r, const struct solve_step *q)
{
    if (r->to[q->item] >= 0 || r->at[q->item] != q->from)
        return false;
    r->to[q->item] = q->to;
    r->to_v[q->item] = q->variant;
    return replay_machine_ok(r, q->to, q->item) && replay_groups_ok(r, q->item);
}

/* False: a group is not spread any more. */
static inline bool replay_end(struct replay *r, const struct solve_step *q)
{
    r->at[q->item] = q->to;
    r->v[q->item] = q->variant;
    r->to[q->item] = -1;
    for (int g = 0; g < r->p->n_groups; g++)
        if (r->least[g] && replay_used(r, g) < r->least[g])
            return false;
    return true;
}

/* One by one. */
static inline bool replay_in_order(const struct problem *p, bool twice, const struct solve_order *o)
{
    struct replay r;
    bool ok = true;
    replay_init(&r, p, twice);
    for (int k = 0; k < o->n_steps && ok; k++)
        ok = replay_start(&r, &o->steps[k]) && replay_end(&r, &o->steps[k]);
    replay_done(&r);
    return ok;
}

/* As many at once as may be, in a random order, each as long as it likes. */
static inline bool replay_at_once(const struct problem *p, bool twice, const struct solve_order *o,
                                  uint64_t seed)
{
    struct replay r;
    struct rng g;
    size_t n = (size_t)o->n_steps;
    cleanup(freep) char *is = xcalloc(n + 1, 1); /* 0 to come, 1 under way, 2 ended */
    bool ok = true;
    rng_init(&g, seed);
    replay_init(&r, p, twice);
    for (size_t ended = 0; ended < n && ok;) {
        size_t k = rng_below(&g, n);
        bool free = is[k] == 0;
        for (int i = o->after_start[k]; i < o->after_start[k + 1]; i++)
            free = free && is[o->after_of[i]] == 2;
        if (free) {
            ok = replay_start(&r, &o->steps[k]);
            is[k] = 1;
        } else if (is[k] == 1 && rng_below(&g, 4) == 0) {
            ok = replay_end(&r, &o->steps[k]);
            is[k] = 2;
            ended++;
        }
    }
    replay_done(&r);
    return ok;
}
