/* Which files a policy directory has. */
#include "policy/find.h"

#include <errno.h>
#include <fts.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/git.h"

void policy_paths_done(struct policy_paths *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->list[i]);
    free(p->list);
    *p = (struct policy_paths){0};
}

static void fts_closep(FTS **f)
{
    if (*f)
        fts_close(*f);
}

static bool has_yaml_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return name[0] != '.' && dot && (str_eq(dot, ".yaml") || str_eq(dot, ".yml"));
}

bool policy_test_name(const char *name)
{
    return has_yaml_name(name) && (str_glob("*.test.yaml", name) || str_glob("*.test.yml", name));
}

bool policy_file_name(const char *name)
{
    return has_yaml_name(name) && !policy_test_name(name);
}

struct walk {
    struct policy_paths *ret;
    bool (*wanted)(const char *name);
    const char *root; /* the directory itself, without links */
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What lies elsewhere is no part of what was reviewed, and git knows nothing of it. */
static int stays_inside(const FTSENT *ent, const char *rel, const char *root, struct err *e)
{
    cleanup(freep) char *real = realpath(ent->fts_accpath, NULL);
    size_t len = strlen(root);
    if (!real)
        return err_set(e, -errno, "%s: %m", rel);
    if (str_has_prefix(real, root) && (root[len - 1] == '/' || real[len] == '/' || !real[len]))
        return 0;
    return err_set(e, -EXDEV, "%s: the link leads out of the policy directory, to %.120s", rel,
                   real);
}

static int visit(FTS *f, FTSENT *ent, size_t dir_len, struct walk *w, struct err *e)
{
    const char *rel = ent->fts_path + dir_len;
    while (*rel == '/')
        rel++;
    switch (ent->fts_info) {
    case FTS_D: /* hidden directories (.git) hold no policy */
        if (ent->fts_level > 0 && ent->fts_name[0] == '.')
            return fts_set(f, ent, FTS_SKIP), 0;
        return ent->fts_level > 0 ? stays_inside(ent, rel, w->root, e) : 0;
    case FTS_DC:
        return err_set(e, -ELOOP, "%s: the directory contains itself", rel);
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return err_set(e, -ent->fts_errno, "%s: %s", *rel ? rel : ent->fts_path,
                       strerror(ent->fts_errno));
    case FTS_SLNONE:
        if (!w->wanted(ent->fts_name))
            return 0;
        return err_set(e, -ENOENT, "%s: the link points to nothing", rel);
    case FTS_F:
        if (!w->wanted(ent->fts_name))
            return 0;
        if (w->ret->n == LIM_POLICY_FILES)
            return err_set(e, -E2BIG, "more than %d policy files", LIM_POLICY_FILES);
        *vec_add(&w->ret->list, &w->ret->n) = xstrdup(rel);
        return stays_inside(ent, rel, w->root, e);
    default:
        return 0;
    }
}

int policy_find(const char *dir, bool (*wanted)(const char *name), struct policy_paths *ret,
                struct err *e)
{
    cleanup(freep) char *root = xstrdup(dir);
    for (size_t len = strlen(root); len > 1 && root[len - 1] == '/'; len--)
        root[len - 1] = '\0';
    cleanup(freep) char *real = realpath(root, NULL);
    char *roots[] = {root, NULL};
    struct walk walk = {.ret = ret, .wanted = wanted, .root = real}, *w = &walk;
    if (!real)
        return err_set(e, -errno, "%s: %m", dir);
    cleanup(fts_closep) FTS *f = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    if (!f)
        return err_set(e, -errno, "%s: %m", dir);
    for (;;) {
        errno = 0;
        FTSENT *ent = fts_read(f);
        if (!ent && errno)
            return err_set(e, -errno, "%s: %m", dir);
        if (!ent)
            break;
        if (ent->fts_level == 0 && ent->fts_info == FTS_F)
            return err_set(
                e, -ENOTDIR,
                "%s: a file, expected a directory of *.yaml files: name the one it is in", dir);
        int rc = visit(f, ent, strlen(root), w, e);
        if (rc < 0)
            return rc;
    }
    if (w->ret->n)
        qsort(w->ret->list, w->ret->n, sizeof(*w->ret->list), by_name);
    return 0;
}
