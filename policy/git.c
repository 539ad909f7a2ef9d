#include "policy/git.h"

#include <errno.h>
#include <git2.h>
#include <limits.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

static int fail(struct err *e, const char *doing)
{
    const git_error *g = git_error_last();
    return err_set(e, -EIO, "git: %s: %s", doing, g && g->message ? g->message : "unknown error");
}

/* Only files that are policy count: an edited README or an editor's backup changes no decision. */
static int on_status(const char *path, unsigned int flags, void *ctx)
{
    bool *clean = ctx;
    const char *slash = strrchr(path, '/');
    if (flags != GIT_STATUS_CURRENT && policy_file_name(slash ? slash + 1 : path))
        *clean = false;
    return 0;
}

static int read_clean(git_repository *repo, const char *dir, bool *ret, struct err *e)
{
    cleanup(freep) char *real = realpath(dir, NULL);
    if (!real)
        return err_set(e, -errno, "'%s': %m", dir);
    const char *work = git_repository_workdir(repo);
    size_t len = strlen(work); /* ends in '/' */
    git_status_options opts;
    git_status_options_init(&opts, GIT_STATUS_OPTIONS_VERSION);
    opts.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
    opts.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_RECURSE_UNTRACKED_DIRS |
                 GIT_STATUS_OPT_INCLUDE_IGNORED | GIT_STATUS_OPT_RECURSE_IGNORED_DIRS |
                 GIT_STATUS_OPT_DISABLE_PATHSPEC_MATCH;
    char *sub = strncmp(real, work, len) == 0 ? real + len : NULL;
    if (sub && *sub)
        opts.pathspec = (git_strarray){.strings = &sub, .count = 1};
    bool clean = true;
    if (git_status_foreach_ext(repo, &opts, on_status, &clean) < 0)
        return fail(e, "status");
    *ret = clean;
    return 0;
}

static int read_repo(git_repository *repo, const char *dir, char **ret_commit, bool *ret_clean,
                     struct err *e)
{
    git_oid head;
    int rc = git_reference_name_to_id(&head, repo, "HEAD");
    if (rc == GIT_ENOTFOUND || rc == GIT_EUNBORNBRANCH || git_repository_is_bare(repo))
        return 0;
    if (rc < 0)
        return fail(e, "HEAD");
    bool clean = false;
    rc = read_clean(repo, dir, &clean, e);
    if (rc < 0)
        return rc;
    char hex[GIT_OID_HEXSZ + 1];
    *ret_commit = xstrdup(git_oid_tostr(hex, sizeof(hex), &head));
    *ret_clean = clean;
    return 0;
}

int policy_git(const char *dir, char **ret_commit, bool *ret_clean, struct err *e)
{
    *ret_commit = NULL;
    *ret_clean = false;
    if (git_libgit2_init() < 0)
        return fail(e, "init");
    /* The scheduler reads, as its own user, a tree that an administrator owns: nothing in it is run. */
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    git_repository *repo = NULL;
    int rc = git_repository_open_ext(&repo, dir, 0, NULL);
    if (rc == GIT_ENOTFOUND)
        rc = 0;
    else if (rc < 0)
        rc = fail(e, "open");
    else
        rc = read_repo(repo, dir, ret_commit, ret_clean, e);
    git_repository_free(repo);
    git_libgit2_shutdown();
    return rc;
}
