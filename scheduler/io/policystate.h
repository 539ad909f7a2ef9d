/* scheduler/io/policystate.h: what is known about the policy in force and its source.
 * Purpose  Which commit is applied, which was seen, and why the two differ; and the last good policy as a
 *          text for the store, so that it stays in force over a restart too.
 * Owner    policy_state_done releases; "takes" and "gives" as said.   Thread core. */
#pragma once

#include <jansson.h>

#include "policy/git.h"
#include "policy/policy.h"
#include "scheduler/core/state.h"

struct policy_state {
    char *error; /* the directory's present state is refused; NULL: it is not */
    bool behind; /* a change was seen and is not read yet */
    bool kept;   /* in force is the store's copy: the directory was refused when we started */
    int64_t since_wall_us;  /* in force since */
    struct git_source seen; /* as last looked at */
    int64_t seen_wall_us;
};
void policy_state_done(struct policy_state *st);

/* p is in force since then. Copies. */
void policy_state_good(struct policy_state *st, const struct policy *p, int64_t since_wall_us);
/* Takes both. */
void policy_state_bad(struct policy_state *st, char *error, struct git_source *seen);
void policy_state_behind(struct policy_state *st, struct git_source *seen);
struct policy_told {
    const struct policy *policy;
    const struct suspension *suspended;
    bool brief; /* the members of /v1/health, not all of /v1/policy */
};
/* "refused", "suspended", "behind" or "in-force": the first that is so. Gives. */
json_t *policy_state_encode(const struct policy_state *st, const struct policy_told *what);

/* The same files with the same text, at the same commit? */
bool policy_same(const struct policy *a, const struct policy *b);
/* For the store. NULL when it has names or texts that are no UTF-8. Gives. */
char *policy_keep(const struct policy *p, int64_t since_wall_us);
int policy_kept(const char *text, struct policy *ret, int64_t *ret_since_wall_us, struct err *e);
