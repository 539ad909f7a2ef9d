/* tests/unit/packfix.h: a plan that has passed the verifier, and its parts by VM. */
#pragma once

#include "tests/unit/fleet.h"

static inline void make(struct test_fleet *f, struct plan *ret)
{
    struct reason why;
    shape_init(&reason_shape, &why);
    plan_make(&f->s, &f->p, &f->r, 1, ret);
    if (!plan_verify(&f->s, &f->p, &f->r, ret, &why))
        fail_msg("the plan breaks %s: %s %s", reason_tokens[why.code], why.what ? why.what : "",
                 why.have ? why.have : "");
    assert_int_equal(ret->n_moves + ret->n_stays, f->r.n_vms);
    for (size_t i = 0; i < ret->n_moves; i++)
        assert_non_null(ret->moves[i].why);
}

static inline const struct plan_move *move_of(const struct plan *p, int vm)
{
    for (size_t i = 0; i < p->n_moves; i++)
        if (p->moves[i].vm == vm)
            return &p->moves[i];
    return NULL;
}

static inline const struct plan_stay *stay_of(const struct plan *p, int vm)
{
    for (size_t i = 0; i < p->n_stays; i++)
        if (p->stays[i].vm == vm)
            return &p->stays[i];
    return NULL;
}
