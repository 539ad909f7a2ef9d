/* scheduler/plan/ways.h: the smallest changes after which VMs that stay would go, and what is short.   PURE.
 * Purpose  Nothing is said that was not tried: each change is applied to a copy of the problem, the
 *          VM is planned with all that the plan moves, and the plan is replayed. What counting can
 *          prove is said as a proof: no plan for this request lets all of these VMs go.
 * Bounds   LIM_WAYS_*: a large fleet or many stays have fewer changes tried; `cut` says so.
 * Owner    gives; plan_ways_done releases.   Thread any. */
#pragma once

#include "lib/model/way.h"
#include "scheduler/plan/plan.h"

struct plan_stay_ways { /* the best first; the first of each kind before the second of any */
    struct way *list;
    size_t n;
};
struct plan_ways {
    struct plan_stay_ways *of; /* per stay of the plan */
    size_t n;
    struct shortage *shortages;
    size_t n_shortages;
    bool cut; /* there were more changes than could be tried */
};

/* plan: of this request and index. Of another goal than GOAL_LEAVE nothing is said. */
void plan_ways_find(const struct plan_index *x, const struct plan_request *r,
                    const struct plan *plan, uint64_t seed, struct plan_ways *ret);
/* Only the counts. vms: VMs of the request of which each may be moved as such. */
void plan_shortages(const struct plan_index *x, const struct plan_request *r, const int *vms,
                    size_t n, struct plan_ways *ret);
void plan_ways_done(struct plan_ways *w);
/* "36352 MiB (35.5 GiB)": to the byte where it matters, and readable. Gives. */
char *plan_exact_bytes(int64_t bytes);
