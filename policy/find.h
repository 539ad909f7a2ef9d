/* policy/find.h: the files of a policy directory.
 * Shapes   names below the directory, sorted; hidden files and directories are left out, links are followed
 *          as long as they stay inside.
 * Errors   -EXDEV: a link leads out; -ELOOP, -E2BIG, -errno of the file system.   Thread any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "policy/git.h"

struct policy_paths {
    char **list;
    size_t n;
};
/* wanted: policy_file_name or policy_test_name. */
int policy_find(const char *dir, bool (*wanted)(const char *name), struct policy_paths *ret,
                struct err *e);
void policy_paths_done(struct policy_paths *p);
