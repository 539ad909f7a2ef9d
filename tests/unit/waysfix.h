/* tests/unit/waysfix.h: a plan with its ways out. */
#pragma once

#include "lib/base/limits.h"
#include "scheduler/plan/ways.h"
#include "tests/unit/fleet.h"

struct asked {
    struct plan_index *x;
    struct plan p;
    struct plan_ways w;
};

static inline void ask(struct test_fleet *f, struct asked *a)
{
    a->x = plan_index_new(&f->s, &f->p);
    plan_make_from(a->x, &f->r, 1, &a->p);
    plan_ways_find(a->x, &f->r, &a->p, 1, &a->w);
}

static inline void asked_done(struct asked *a)
{
    plan_ways_done(&a->w);
    plan_done(&a->p);
    plan_index_free(a->x);
}

static inline const struct way *way_of(const struct asked *a, int kind)
{
    for (size_t i = 0; a->w.n && i < a->w.of[0].n; i++)
        if (a->w.of[0].list[i].kind == kind)
            return &a->w.of[0].list[i];
    return NULL;
}

static inline size_t stays_now(struct test_fleet *f)
{
    struct plan p;
    plan_make(&f->s, &f->p, &f->r, 1, &p);
    size_t n = p.n_stays;
    plan_done(&p);
    return n;
}
