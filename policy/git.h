/* policy/git.h: which commit a policy directory is at (libgit2).
 * Errors   -EIO with libgit2's words when there is a work tree that cannot be read.   Thread any. */
#pragma once

#include <stdbool.h>

#include "lib/base/err.h"

/* Gives *ret_commit: the work tree's HEAD in hex, NULL when DIR is in none or nothing is committed.
 * *ret_clean: HEAD holds every policy file below DIR exactly as it is on disk. */
int policy_git(const char *dir, char **ret_commit, bool *ret_clean, struct err *e);
/* Is NAME one of those that policy_load reads? */
bool policy_file_name(const char *name);
