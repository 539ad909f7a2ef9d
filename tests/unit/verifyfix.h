/* tests/unit/verifyfix.h: one sound plan, to be broken in many ways. */
#pragma once

#include "tests/unit/fleet.h"

struct broken {
    struct test_fleet f;
    struct plan plan;
    struct plan_refusal no;
    struct reason why;
    int list[1];
};

/* a and b leave h0 for h1 and h2; c is on h1. */
static inline void setup(struct broken *b)
{
    memset(b, 0, sizeof(*b));
    fleet_init(&b->f, 4, 16, 4);
    fleet_vm(&b->f, "a", 0, 8);
    fleet_vm(&b->f, "b", 0, 4);
    fleet_vm(&b->f, "c", 1, 8);
    fleet_drain(&b->f, 0);
    struct plan_move *m = vec_add(&b->plan.moves, &b->plan.n_moves);
    *m = (struct plan_move){.vm = 0, .from = 0, .to = 1, .live = true};
    m = vec_add(&b->plan.moves, &b->plan.n_moves);
    *m = (struct plan_move){.vm = 1, .from = 0, .to = 2, .live = true};
}
static inline void refused(struct broken *b)
{
    b->why.code = R_IMAGE_DIFFERS;
    b->no = (struct plan_refusal){.vm = 0, .host = 1, .why = &b->why};
    b->f.r.refusals = &b->no;
    b->f.r.n_refusals = 1;
}
static inline void refused_cold_too(struct broken *b)
{
    refused(b);
    b->f.r.allow_cold = true;
    b->plan.moves[0].live = false;
}
static inline void name_taken(struct broken *b)
{
    b->f.vms[2].name[0] = 'a';
}
static inline void uuid_taken(struct broken *b)
{
    free(b->f.vms[2].uuid);
    b->f.vms[2].uuid = xstrdup(b->f.vms[0].uuid);
}
static inline void apart_racks(struct broken *b)
{
    fleet_rule(&b->f, "r", RULE_ANTI_AFFINITY, "[bc]", NULL)->across = ACROSS_RACK;
    for (int i = 0; i < 4; i++)
        b->f.hosts[i].rack = xstrdup(i == 0 ? "r0" : "r1");
}
