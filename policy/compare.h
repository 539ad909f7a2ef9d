/* policy/compare.h: in what two policies differ.   PURE.
 * Purpose  Not which lines differ, but which values are in force: a value that moves to another file, or a
 *          default that is written out, is no difference.
 * Shapes   Values in the order of the language, then rules by name in the order of b, then those that b
 *          has not. a, b: as texts; NULL: not there.
 * Owner    policy_changes_done releases.   Thread any. */
#pragma once

#include "policy/policy.h"

struct policy_change {
    char *key;     /* "balance.max_moves", "rule db-apart" */
    char *a, *b;   /* "10", "anti_affinity of VMs with app=db, across rack, hard" */
    char *where_a; /* file:line of the value; NULL: the default */
    char *where_b;
};
struct policy_changes {
    struct policy_change *list;
    size_t n;
};
void policy_compare(const struct policy *a, const struct policy *b, struct policy_changes *ret);
void policy_changes_done(struct policy_changes *c);

/* Every key that has a value, in the order of the language: path "balance.max_moves", value as it would be
 * written. */
void policy_each_value(const struct policy *p,
                       void (*give)(void *arg, const char *path, const char *value), void *arg);
