/* policy/loading.h: the steps of policy_load, for those who go through them in their own way.
 * Errors   as policy_load.   Thread any.   Inside the room only. */
#pragma once

#include "policy/keys.h"
#include "policy/lint.h"

/* Every policy file below DIR into p. found: errors of a file are put there and the next file is read;
 * NULL: the first ends it. */
int policy_read_dir(const char *dir, struct policy *p, struct problems *found, struct err *e);
/* What the files say together, once all are read. */
int policy_check_whole(struct policy *p, struct err *e);
/* Where DIR is, and at which commit. */
int policy_add_source(const char *dir, struct policy *p, struct err *e);
