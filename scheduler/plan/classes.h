/* scheduler/plan/classes.h: which hosts may take which VMs, asked once per kind of VM.   PURE.   Inside
 * the planner only.
 * Purpose  In a fleet of 200,000 VMs most are alike to every static filter: they share a set of hosts.
 * Shapes   sets are bits over the hosts; class_of[i] is the set of list[i].
 * Owner    gives; plan_classes_done releases.   Thread any. */
#pragma once

#include "scheduler/plan/translate.h"

struct plan_classes {
    int *class_of;
    uint64_t **sets;
    size_t n_sets;
};
/* cold: hosts that only a cold move may use are in. */
void plan_classes_make(const struct plan_world *w, const struct plan_wanted *list, size_t n,
                       bool cold, struct plan_classes *ret);
void plan_classes_done(struct plan_classes *c);

static inline size_t plan_set_words(size_t n_hosts)
{
    return (n_hosts + 63) / 64;
}
