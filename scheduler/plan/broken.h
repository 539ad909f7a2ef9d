/* scheduler/plan/broken.h: what is broken as VMs are now, and whom rules are about.   PURE.
 * Purpose  For who writes a policy: the planner itself only asks whether a move may be made.
 * Shapes   moves in flight count where they lead to; a VM that is nowhere counts nowhere.
 * Owner    gives; plan_broken_done releases.   Thread any. */
#pragma once

#include "scheduler/plan/plan.h"

struct plan_broken {
    int rule;      /* of the policy; -1: the capacity of a host */
    int host;      /* capacity: which; else -1 */
    int64_t count; /* VMs or units too many, or too few places */
    char *what;    /* "db-1 and db-3 are in rack r1" */
};
/* Rules in the order of the policy, soft ones too, then hosts that hold more than they may. */
void plan_find_broken(const struct plan_index *x, struct plan_broken **ret, size_t *ret_n);
void plan_broken_done(struct plan_broken *list, size_t n);

/* How many VMs and hosts the rule selects; hosts -1: the kind is about all hosts. */
struct plan_reach {
    int64_t vms, hosts;
};
/* One per rule of the policy. Gives (free()). */
struct plan_reach *plan_rule_reach(const struct plan_index *x);

/* Per VM: it runs, and no other host may take it as things are. asked: only of these, NULL: of all. *budget:
 * VMs that may be looked at, by rules and for each host; what is left. Those beyond it are not stuck. Gives (free()). */
bool *plan_find_stuck(const struct plan_index *x, const bool *asked, int64_t *budget);

/* The fleet once the plan is done: *ret borrows from s but for its VMs (free(ret->vms)). */
void plan_apply(const struct snapshot *s, const struct plan *p, struct snapshot *ret);
