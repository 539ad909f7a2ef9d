/* scheduler/plan/unmoved.h: why a VM that may move does not, in a plan for balance.   PURE.
 * Purpose  What its best move beside the plan would bring, what it would cost, and where it may not go.
 * Units    gain and price: SOLVE_UNIT is what one full host costs more than an empty one (solve/problem.h).
 * Owner    gives; plan_unmoved_done releases.   Thread any. */
#pragma once

#include "scheduler/plan/plan.h"

enum unmoved_why {
    UNMOVED_MOVES,   /* the plan moves it */
    UNMOVED_CANNOT,  /* it cannot move: reasons of its own */
    UNMOVED_NOWHERE, /* no host may take it */
    UNMOVED_PRICE,   /* its best move brings less than it costs */
    UNMOVED_LIMIT,   /* it would be worth it, but the plan has as many moves as it may */
    UNMOVED_LEFT_BE, /* it would be worth it, but differences are within what the policy lets be */
    UNMOVED_BETTER,  /* it would be worth it by itself; the plan found others that bring more */
    UNMOVED_WHYS
};
extern const char *const unmoved_why_names[UNMOVED_WHYS];
struct plan_unmoved {
    int why;                /* enum unmoved_why */
    int best;               /* host, -1 none */
    int64_t gain, price;    /* of that move; gain may be below 0 */
    bool mends;             /* it mends a rule, or a host that is too full: more than its gain */
    struct reason *reasons; /* of the VM, or one per host that may not take it */
    size_t n_reasons;
};
/* r: a request for balance, relief or repair; plan: its plan. */
void plan_unmoved(const struct plan_index *x, const struct plan_request *r, const struct plan *plan,
                  int vm, struct plan_unmoved *ret);
void plan_unmoved_done(struct plan_unmoved *u);
