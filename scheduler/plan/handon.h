/* scheduler/plan/handon.h: a plan in which room is handed on, while it is made.   PURE.   Inside the
 * planner only. */
#pragma once

#include "scheduler/plan/making.h"
#include "scheduler/solve/order.h"

struct handon {
    struct making *k;
    struct plan_world w;      /* nothing planned; its VMs really go from host to host */
    struct plan_wanted *list; /* VMs that were asked for, then those that may make room */
    size_t n, n_asked;
    int *planned; /* the VMs of the list */
    struct plan_classes classes;
    struct translation t;
    struct solve_score was;   /* of the plan in which nothing waits; unless it balances */
    struct solve_score score; /* of the target found */
    struct solve_order o;     /* the steps found */
};

/* Make the steps one by one and ask the filters of each. False: *ret_step is refused. */
bool handon_replay(struct handon *h, int *ret_step);
/* Turn the steps into moves of the plan, with their waits and words. */
void handon_write(struct handon *h);
/* How many moves the steps are; others: of VMs that were not asked for. */
int64_t handon_moves(const struct handon *h, bool others);
