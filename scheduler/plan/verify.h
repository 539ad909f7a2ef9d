/* scheduler/plan/verify.h: a replay while it runs.   PURE.   Inside the verifier only, which shares no code
 * with the planner. */
#pragma once

#include "scheduler/plan/plan.h"

struct crowd { /* VMs, or spells, by id */
    bool known;
    int *list;
    size_t n;
};
/* A VM at a host. It begins when move `from` starts (−1: it is there already, or comes by a move that
 * is not of the plan) and is over when move `till` has ended (−1: it stays). */
struct spell {
    int vm, host, from, till;
};
/* The same, of anything that adds up: bytes on a host, VMs of a rule in a rack. */
struct presence {
    int64_t size;
    int from, till;
};
struct replay {
    const struct snapshot *s;
    const struct policy *p;
    const struct plan_request *r;
    const struct plan *plan;
    struct spell *spells; /* by VM, in the order of time: of vm, ... */
    size_t *spell_start;  /* ... [start[vm], start[vm + 1]) */
    uint64_t **before;    /* per move: moves that have ended when it starts; NULL: none */
    int *first, *last;    /* per VM: where it ends without the plan, and with it */
    struct crowd *at;     /* per host: spells there */
    struct crowd *rule;   /* per rule: its VMs, once somebody asked */
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

/* ---- verify_numa.c ---------------------------------------------------------------------------- */
/* What is bound to cells of the target fits in them; m is under way. */
bool replay_numa(struct replay *v, const struct plan_move *m);

/* ---- verify_wait.c ---------------------------------------------------------------------------- */
/* Do the waits make sense? Fills before. */
bool replay_waits(struct replay *v);
void replay_spells(struct replay *v);
void replay_forget(struct replay *v); /* before and spells */
/* Has move a (−1: none) always ended when move m (−1: the beginning) starts? */
bool replay_ended(const struct replay *v, int a, int m);
bool replay_may_meet(const struct replay *v, const struct spell *a, const struct spell *b);
/* The most that can be present at one moment from the start of move m on. */
int64_t replay_most(const struct replay *v, const struct presence *list, size_t n, int m);

/* ---- verify_move.c ---------------------------------------------------------------------------- */
/* The VM and its target, each by itself: may it move, was it asked for, does the target have what it
 * needs. */
bool replay_move(struct replay *v, const struct plan_move *m);
