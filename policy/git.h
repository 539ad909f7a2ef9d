/* policy/git.h: what git knows of a policy directory (libgit2).
 * Purpose  Which commit a directory is at, by whom, and whether the files are exactly as committed; and the
 *          files of another commit, read from the repository alone. No git command, hook or filter is run.
 * Errors   -EIO with libgit2's words when there is a repository that cannot be read; -ENOENT when a
 *          revision is not there.   Owner: git_source_done, git_files_done.   Thread any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

struct git_source {
    char *commit;  /* HEAD in hex; NULL: no work tree, or nothing is committed */
    char *author;  /* "Ann Ode <ann@example.org>" */
    char *summary; /* first line of the message */
    int64_t committed_wall_us;
    bool clean;    /* HEAD holds every policy file below DIR exactly as it is on disk */
    char *changed; /* one that it does not; NULL when clean */
};
int policy_git(const char *dir, struct git_source *ret, struct err *e);
void git_source_done(struct git_source *s);
/* Is git at work in DIR's repository (its index is locked)? */
bool policy_git_busy(const char *dir);

struct git_file {
    char *name, *text; /* name: below the directory */
    size_t len;
};
struct git_files {
    struct git_file *list; /* by name */
    size_t n;
    struct git_source source;
};
/* rev: REV or REV:PATH, see policy_load_revision. */
int policy_git_files(const char *dir, const char *rev, struct git_files *ret, struct err *e);
void git_files_done(struct git_files *f);

/* Is NAME one of those that policy_load reads? */
bool policy_file_name(const char *name);
/* NAME.test.yaml: cases for the policy, no policy. */
bool policy_test_name(const char *name);
