/* scheduler/io/policywatch.h: the policy directory, looked at every few seconds.
 * Purpose  A changed directory is loaded and handed to the core thread as ITEM_POLICY, or, when it
 *          does not load, its error as ITEM_POLICY_BAD, once per state of the files: the last good
 *          policy stays in force. While git is at work, or files change under the reading, nothing is
 *          taken: half of one commit and half of another is the policy of nobody. That is told as
 *          ITEM_POLICY_BEHIND.
 * Shapes   changed = another set of names, sizes or modification times of its YAML files, another
 *          git HEAD or index; once a minute it is loaded without asking, for all this cannot see.
 * Thread   one of its own: reading a work tree may block. */
#pragma once

#include "policy/policy.h"
#include "scheduler/io/queue.h"

struct policywatch;
struct policywatch_config {
    const char *dir;
    struct queue *queue;
    bool require_clean; /* what is not committed is refused */
};

/* first: what is in force already (borrows), NULL: the directory was refused. Copies dir. */
struct policywatch *policywatch_start(const struct policywatch_config *cfg,
                                      const struct policy *first);
void policywatch_stop(struct policywatch *w); /* accepts NULL */
/* policy_load that refuses what is not committed, if that is wanted. */
int policywatch_load(const char *dir, bool require_clean, struct policy *ret, struct err *e);
