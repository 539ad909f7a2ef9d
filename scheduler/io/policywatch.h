/* scheduler/io/policywatch.h: the policy directory, looked at every few seconds.
 * Purpose  A changed directory is loaded and handed to the core thread as ITEM_POLICY, or, when it
 *          does not load, its error as ITEM_POLICY_BAD, once per state of the files: the last good
 *          policy stays in force.
 * Shapes   changed = another set of names, sizes or modification times of its YAML files, another
 *          git HEAD or index; once a minute it is loaded without asking, for all this cannot see.
 * Thread   one of its own: reading a work tree may block. */
#pragma once

#include "policy/policy.h"
#include "scheduler/io/queue.h"

struct policywatch;

/* first: what is in force already (borrows; only its commit and cleanness are compared). */
struct policywatch *policywatch_start(const char *dir, const struct policy *first, struct queue *q);
void policywatch_stop(struct policywatch *w); /* accepts NULL */
