/* scheduler/plan/verify.h: a replay while it runs.   PURE.   Inside the verifier only, which shares no code
 * with the planner. */
#pragma once

#include "scheduler/plan/plan.h"

struct crowd { /* VMs by id */
    bool known;
    int *vms;
    size_t n;
};
struct replay {
    const struct snapshot *s;
    const struct policy *p;
    const struct plan_request *r;
    const struct plan *plan;
    int *second;        /* per VM: host it counts at besides its own, -1 none */
    int *start;         /* the same, before any move of the plan */
    struct crowd *at;   /* per host: VMs that are there, come there, or are to come there */
    struct crowd *rule; /* per rule: its VMs, once somebody asked */
    struct reason *ret;
};

/* Says no: fills the violation (what, have: gives) and is false. */
bool replay_bad(struct replay *v, enum reason_code code, int host, char *what, char *have);
char *replay_name(const struct replay *v, int vm); /* "VM web-1". Gives. */
/* The rule's own words, read anew. */
bool replay_rule_has(const struct rule *r, const struct vm *vm);
bool replay_rule_names_host(const struct rule *r, const struct host *h);
static inline const struct vm *replay_vm(const struct replay *v, int vm)
{
    return v->s->vms[vm].v;
}

/* Does the VM count on the host at this moment, at one of its ends? */
bool replay_here(const struct replay *v, int vm, int host);

/* ---- verify_numa.c ---------------------------------------------------------------------------- */
/* What is bound to cells of the target fits in them; m is under way. */
bool replay_numa(struct replay *v, const struct plan_move *m);

/* ---- verify_move.c ---------------------------------------------------------------------------- */
/* The VM and its target, each by itself: may it move, was it asked for, does the target have what it
 * needs. */
bool replay_move(struct replay *v, const struct plan_move *m);
