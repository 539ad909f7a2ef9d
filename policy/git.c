#include "policy/git.h"

#include <errno.h>
#include <git2.h>
#include <limits.h>
#include <string.h>

#include "lib/base/limits.h"
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
    char **changed = ctx;
    const char *slash = strrchr(path, '/');
    if (flags != GIT_STATUS_CURRENT && policy_file_name(slash ? slash + 1 : path) && !*changed)
        *changed = xstrdup(path);
    return 0;
}

/* Gives *ret_changed: one of the files that differ, NULL: none does. */
static int read_changed(git_repository *repo, const char *dir, char **ret_changed, struct err *e)
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
    char *changed = NULL;
    if (git_status_foreach_ext(repo, &opts, on_status, &changed) < 0) {
        free(changed);
        return fail(e, "status");
    }
    *ret_changed = changed;
    return 0;
}

/* A person's name may hold anything; whoever prints it makes it safe. */
static void describe(const git_commit *c, struct git_source *ret)
{
    char hex[GIT_OID_HEXSZ + 1];
    const git_signature *who = git_commit_author(c);
    ret->commit = xstrdup(git_oid_tostr(hex, sizeof(hex), git_commit_id(c)));
    ret->author = who ? xasprintf("%s <%s>", who->name, who->email) : NULL;
    ret->summary = xstrdup(git_commit_summary((git_commit *)(uintptr_t)c));
    ret->committed_wall_us = git_commit_time(c) * SEC;
}

static int read_repo(git_repository *repo, const char *dir, struct git_source *ret, struct err *e)
{
    git_oid head;
    git_commit *c = NULL;
    int rc = git_reference_name_to_id(&head, repo, "HEAD");
    if (rc == GIT_ENOTFOUND || rc == GIT_EUNBORNBRANCH || git_repository_is_bare(repo))
        return 0;
    if (rc < 0 || git_commit_lookup(&c, repo, &head) < 0)
        return fail(e, "HEAD");
    rc = read_changed(repo, dir, &ret->changed, e);
    if (rc == 0)
        describe(c, ret);
    ret->clean = rc == 0 && !ret->changed;
    git_commit_free(c);
    return rc;
}

/* Gives *ret_repo, NULL when DIR is in none. */
static int open_repo(const char *dir, git_repository **ret_repo, struct err *e)
{
    *ret_repo = NULL;
    if (git_libgit2_init() < 0)
        return fail(e, "init");
    /* The scheduler reads, as its own user, a tree that an administrator owns: nothing in it is run. */
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    int rc = git_repository_open_ext(ret_repo, dir, 0, NULL);
    return rc < 0 && rc != GIT_ENOTFOUND ? fail(e, "open") : 0;
}

static void close_repo(git_repository *repo)
{
    git_repository_free(repo);
    git_libgit2_shutdown();
}

int policy_git(const char *dir, struct git_source *ret, struct err *e)
{
    git_repository *repo;
    *ret = (struct git_source){0};
    int rc = open_repo(dir, &repo, e);
    if (rc == 0 && repo)
        rc = read_repo(repo, dir, ret, e);
    close_repo(repo);
    return rc;
}

void git_source_done(struct git_source *s)
{
    free(s->commit);
    free(s->author);
    free(s->summary);
    free(s->changed);
    *s = (struct git_source){0};
}

bool policy_git_busy(const char *dir)
{
    git_repository *repo;
    bool busy = false;
    if (open_repo(dir, &repo, NULL) == 0 && repo) {
        cleanup(freep) char *lock = xasprintf("%sindex.lock", git_repository_path(repo));
        busy = access(lock, F_OK) == 0;
    }
    close_repo(repo);
    return busy;
}

/* ---- the files of a commit --------------------------------------------------------------------- */

struct walk {
    git_repository *repo;
    struct git_files *f;
    struct err *e;
};

static int keep_blob(struct walk *w, const git_tree_entry *entry, char *name)
{
    git_blob *blob = NULL;
    if (git_tree_entry_filemode(entry) == GIT_FILEMODE_LINK)
        return err_set(w->e, -ELOOP, "%s: a symbolic link; links of a commit are not followed",
                       name);
    if (w->f->n == LIM_POLICY_FILES)
        return err_set(w->e, -E2BIG, "more than %d policy files", LIM_POLICY_FILES);
    if (git_blob_lookup(&blob, w->repo, git_tree_entry_id(entry)) < 0)
        return fail(w->e, name);
    git_object_size_t size = git_blob_rawsize(blob);
    int rc = 0;
    if (size > LIM_POLICY_FILE_BYTES)
        rc = err_set(w->e, -E2BIG, "%s: longer than %d bytes", name, LIM_POLICY_FILE_BYTES);
    else {
        struct git_file *file = vec_add(&w->f->list, &w->f->n);
        file->name = xstrdup(name);
        file->text = xcalloc((size_t)size + 1, 1);
        file->len = (size_t)size;
        if (size)
            memcpy(file->text, git_blob_rawcontent(blob), (size_t)size);
    }
    git_blob_free(blob);
    return rc;
}

static int visit_entry(const char *root, const git_tree_entry *entry, void *ctx)
{
    struct walk *w = ctx;
    const char *name = git_tree_entry_name(entry);
    if (git_tree_entry_type(entry) == GIT_OBJECT_TREE)
        return name[0] == '.'; /* > 0: not into it */
    if (git_tree_entry_type(entry) != GIT_OBJECT_BLOB || !policy_file_name(name))
        return 0;
    cleanup(freep) char *path = xasprintf("%s%s", root, name);
    return keep_blob(w, entry, path);
}

/* Where DIR is below the work tree, "" at its top. NULL: it is not in it (a bare repository). Gives. */
static char *below_work(git_repository *repo, const char *dir)
{
    cleanup(freep) char *real = realpath(dir, NULL);
    const char *work = git_repository_workdir(repo);
    if (!real || !work)
        return xstrdup("");
    size_t len = strlen(work); /* ends in '/' */
    return xstrdup(strncmp(real, work, len) == 0 ? real + len : "");
}

/* The directory's tree within a commit. */
static int tree_of_commit(git_repository *repo, const git_commit *c, const char *dir,
                          git_tree **ret_tree, struct err *e)
{
    cleanup(freep) char *path = below_work(repo, dir);
    git_tree *top = NULL;
    git_tree_entry *entry = NULL;
    if (git_commit_tree(&top, c) < 0)
        return fail(e, "tree");
    if (!*path) {
        *ret_tree = top;
        return 0;
    }
    int rc = 0;
    if (git_tree_entry_bypath(&entry, top, path) < 0)
        rc = err_set(e, -ENOENT, "there is no directory '%s' in this revision", path);
    else if (git_tree_lookup(ret_tree, repo, git_tree_entry_id(entry)) < 0)
        rc = fail(e, path);
    git_tree_entry_free(entry);
    git_tree_free(top);
    return rc;
}

/* REV, or REV:PATH: the tree that is meant and the commit it is of. */
static int find_tree(git_repository *repo, const char *dir, const char *rev, git_tree **ret_tree,
                     struct git_source *ret, struct err *e)
{
    const char *colon = strchr(rev, ':');
    cleanup(freep) char *name =
        xasprintf("%.*s", (int)(colon ? colon - rev : (long)strlen(rev)), rev);
    git_object *o = NULL, *commit = NULL, *tree = NULL;
    int rc = 0;
    if (git_revparse_single(&o, repo, name) < 0 ||
        git_object_peel(&commit, o, GIT_OBJECT_COMMIT) < 0)
        rc = err_set(e, -ENOENT, "no revision '%s' in the repository of %s", name, dir);
    git_object_free(take(o));
    if (rc < 0)
        return rc;
    describe((git_commit *)commit, ret);
    if (!colon || !colon[1])
        rc = colon ? git_commit_tree(ret_tree, (git_commit *)commit)
                   : tree_of_commit(repo, (git_commit *)commit, dir, ret_tree, e);
    else if (git_revparse_single(&o, repo, rev) < 0 || git_object_type(o) != GIT_OBJECT_TREE)
        rc = err_set(e, -ENOENT, "no directory '%s' in revision '%s'", colon + 1, name);
    else
        tree = take(o);
    if (tree)
        *ret_tree = (git_tree *)tree;
    git_object_free(o);
    git_object_free(commit);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct git_file *)a)->name, ((const struct git_file *)b)->name);
}

static int read_tree(git_repository *repo, git_tree *tree, struct git_files *ret, struct err *e)
{
    struct err why = {0};
    struct walk w = {repo, ret, &why};
    int rc = git_tree_walk(tree, GIT_TREEWALK_PRE, visit_entry, &w);
    if (why.code) {
        if (e)
            *e = why;
        return why.code;
    }
    if (rc < 0)
        return fail(e, "tree");
    if (ret->n)
        qsort(ret->list, ret->n, sizeof(*ret->list), by_name);
    return 0;
}

int policy_git_files(const char *dir, const char *rev, struct git_files *ret, struct err *e)
{
    git_repository *repo;
    git_tree *tree = NULL;
    cleanup(git_files_done) struct git_files f = {0};
    int rc = open_repo(dir, &repo, e);
    if (rc == 0 && !repo)
        rc = err_set(e, -ENOENT, "'%s' is no directory, and %s is in no git repository", rev, dir);
    if (rc == 0)
        rc = find_tree(repo, dir, rev, &tree, &f.source, e);
    if (rc == 0)
        rc = read_tree(repo, tree, &f, e);
    f.source.clean = true;
    git_tree_free(tree);
    close_repo(repo);
    if (rc < 0)
        return rc;
    *ret = f;
    f = (struct git_files){0};
    return 0;
}

void git_files_done(struct git_files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->list[i].name);
        free(f->list[i].text);
    }
    free(f->list);
    git_source_done(&f->source);
    *f = (struct git_files){0};
}
