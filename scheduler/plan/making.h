/* scheduler/plan/making.h: a plan while it is made.   PURE.   Inside the planner only. */
#pragma once

#include "scheduler/plan/classes.h"

struct making {
    const struct plan_index *x;
    struct plan_world w;
    const struct plan_request *r;
    uint64_t seed;
    bool smallest_first; /* making_put: the list, which begins with the largest, from its end */
    struct plan_wanted *list; /* VMs that may move */
    size_t n;
    struct plan_classes live; /* of the list: where each may go without being stopped */
    int64_t *was_bytes;       /* per host: memory before the plan, as world.end_bytes; balance.c */
    int64_t *cpu_was, *cpu_is; /* per host, likewise, and after it; NULL: not measured */
    struct plan *plan;
};

/* The list: VMs of the request, or all that may move; and where each may go. planned: room for as many
 * ids. */
void making_begin(struct making *k, int *planned);
/* May the VM be moved at all? Fills *ret_stay with the reasons if not. */
bool making_may_move(const struct making *k, int vm, struct plan_wanted *ret,
                     struct plan_stay *ret_stay);
/* Plan what the filters allow. to: per VM of the list, −1: it stays. */
void making_put(struct making *k, const int *to);
/* Nothing is planned any more. */
void making_take_back(struct making *k);

void plan_moves_done(struct plan *p);
void plan_stay_done(struct plan_stay *s);

/* ---- balance.c -------------------------------------------------------------------------------- */
/* What is asked of the engine. plan->before and live are known. */
struct translate_goal plan_balance_goal(const struct making *k);
/* Is there anything to do that the goal is for? s: everything at home; plan->before is known. */
bool plan_balance_needed(const struct making *k, const struct solve_score *s);
/* Requests in which VMs may move, not must. Fills the plan's moves but for their order. */
void plan_balance(struct making *k);
/* Why this VM moves, of such a request. Gives. */
char *plan_balance_why(const struct making *k, int vm, int to);
/* "kvm-02 40.1 → 52.6 % full": memory of the host before and after the plan. Gives. */
char *plan_fullness(const struct making *k, int host);
void plan_measure(const struct plan_world *w, const struct solve_score *s,
                  struct plan_standing *ret);

/* ---- consolidate.c ---------------------------------------------------------------------------- */
/* GOAL_CONSOLIDATE: as plan_balance. */
void plan_consolidate(struct making *k);
char *plan_consolidate_why(const struct making *k, int vm, int to);

/* ---- fit.c ------------------------------------------------------------------------------------ */
/* GOAL_ROOM: as plan_balance. */
void plan_fit(struct making *k);

/* ---- handon.c --------------------------------------------------------------------------------- */
/* A plan is written: where it leaves something undone, put a better one in its place whose moves wait
 * for each other. True: done. */
bool plan_handon(struct making *k);
