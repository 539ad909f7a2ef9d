#include <errno.h>
#include <fts.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/git.h"
#include "policy/keys.h"

struct paths {
    char **list; /* relative to the directory, sorted */
    size_t n;
};

static void paths_done(struct paths *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->list[i]);
    free(p->list);
}

static void fts_closep(FTS **f)
{
    if (*f)
        fts_close(*f);
}

bool policy_file_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return name[0] != '.' && dot && (str_eq(dot, ".yaml") || str_eq(dot, ".yml"));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int visit(FTS *f, FTSENT *ent, size_t dir_len, struct paths *ret, struct err *e)
{
    const char *rel = ent->fts_path + dir_len;
    while (*rel == '/')
        rel++;
    switch (ent->fts_info) {
    case FTS_D: /* hidden directories (.git) hold no policy */
        if (ent->fts_level > 0 && ent->fts_name[0] == '.')
            fts_set(f, ent, FTS_SKIP);
        return 0;
    case FTS_DC:
        return err_set(e, -ELOOP, "%s: the directory contains itself", rel);
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return err_set(e, -ent->fts_errno, "%s: %s", *rel ? rel : ent->fts_path,
                       strerror(ent->fts_errno));
    case FTS_SLNONE:
        if (!policy_file_name(ent->fts_name))
            return 0;
        return err_set(e, -ENOENT, "%s: the link points to nothing", rel);
    case FTS_F:
        if (!policy_file_name(ent->fts_name))
            return 0;
        if (ret->n == LIM_POLICY_FILES)
            return err_set(e, -E2BIG, "more than %d policy files", LIM_POLICY_FILES);
        *vec_add(&ret->list, &ret->n) = xstrdup(rel);
        return 0;
    default:
        return 0;
    }
}

static int find_files(const char *dir, struct paths *ret, struct err *e)
{
    cleanup(freep) char *root = xstrdup(dir);
    for (size_t len = strlen(root); len > 1 && root[len - 1] == '/'; len--)
        root[len - 1] = '\0';
    char *roots[] = {root, NULL};
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
            return err_set(e, -ENOTDIR, "%s: not a directory", dir);
        int rc = visit(f, ent, strlen(root), ret, e);
        if (rc < 0)
            return rc;
    }
    if (ret->n)
        qsort(ret->list, ret->n, sizeof(*ret->list), by_name);
    return 0;
}

static int read_section(const struct reading *r, const struct keyset *set, const struct ynode *n,
                        const char *path);

static int read_key(const struct reading *r, const struct keyset *set, const struct ynode *n,
                    const char *path)
{
    const char *candidates[32];
    size_t n_candidates = 0;
    for (size_t i = 0; i < set->n; i++) {
        const struct key *k = &set->keys[i];
        if (!str_eq(k->name, n->key)) {
            if (k->type != KT_UNSUPPORTED && n_candidates < ARRAY_LEN(candidates))
                candidates[n_candidates++] = k->name;
            continue;
        }
        cleanup(freep) char *sub = xasprintf("%s%s%s", path, *path ? "." : "", k->name);
        if (k->type == KT_UNSUPPORTED)
            return fail_unsupported(r, n, path);
        if (k->type == KT_SECTION)
            return read_section(r, k->sub, n, sub);
        if (k->type == KT_RULES)
            return rules_read(r, n);
        return value_read(r, k, n, sub);
    }
    return fail_unknown(r, n, path, candidates, n_candidates);
}

static int read_section(const struct reading *r, const struct keyset *set, const struct ynode *n,
                        const char *path)
{
    if (n->kind != Y_MAP)
        return fail_value(r, n, *path ? path : "the file", "a mapping");
    for (size_t i = 0; i < n->n_items; i++) {
        int rc = read_key(r, set, &n->items[i], path);
        if (rc < 0)
            return rc;
    }
    return set->check ? set->check(r, n) : 0;
}

int policy_read_text(const char *file, const char *text, size_t len, struct policy *p,
                     struct err *e)
{
    struct reading r = {.file = file, .p = p, .e = e};
    cleanup(ytree_done) struct ynode root = {0};
    int rc = ytree_parse(file, text, len, &root, e);
    if (rc == 0)
        rc = read_section(&r, &policy_keys, &root, "");
    if (rc == 0 && !ytree_get(&root, "version"))
        return err_set(e, -EBADMSG, "%s:1:1: 'version: 1' is missing", file);
    return rc;
}

static int read_file(const char *dir, const char *rel, struct policy *p, struct err *e)
{
    cleanup(freep) char *path = xasprintf("%s/%s", dir, rel);
    cleanup(freep) char *text = NULL;
    size_t len;
    int rc = file_read(path, LIM_POLICY_FILE_BYTES, &text, &len, e);
    if (rc == -E2BIG)
        return err_set(e, rc, "%s: longer than %d bytes", rel, LIM_POLICY_FILE_BYTES);
    if (rc == 0)
        rc = policy_read_text(rel, text, len, p, e);
    if (rc < 0)
        return rc;
    *(struct policy_file *)vec_add(&p->files, &p->n_files) =
        (struct policy_file){.name = xstrdup(rel), .text = take(text)};
    return 0;
}

/* What the files say together. */
static int whole_check(struct policy *p, struct err *e)
{
    if (!p->balance.schedule.zone_name)
        p->balance.schedule.zone = p->balance.n_windows ? p->balance.windows[0].zone : NULL;
    return rules_check(p, e);
}

int policy_load(const char *dir, struct policy *ret, struct err *e)
{
    cleanup(paths_done) struct paths files = {0};
    cleanup(policy_done) struct policy p;
    policy_default(&p);
    int rc = find_files(dir, &files, e);
    for (size_t i = 0; rc == 0 && i < files.n; i++)
        rc = read_file(dir, files.list[i], &p, e);
    if (rc == 0)
        rc = whole_check(&p, e);
    if (rc == 0)
        rc = policy_git(dir, &p.commit, &p.clean, e);
    if (rc < 0)
        return rc;
    p.dir = xstrdup(dir);
    *ret = p;
    p = (struct policy){0};
    return 0;
}

int policy_load_texts(const struct policy_file *files, size_t n, struct policy *ret, struct err *e)
{
    return policy_load_recorded(files, n, NULL, 0, ret, e);
}

int policy_load_recorded(const struct policy_file *files, size_t n, struct zone **zones,
                         size_t n_zones, struct policy *ret, struct err *e)
{
    cleanup(policy_done) struct policy p;
    policy_default(&p);
    p.zones = zones;
    p.n_zones = n_zones;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = policy_read_text(files[i].name, files[i].text, strlen(files[i].text), &p, e);
        *(struct policy_file *)vec_add(&p.files, &p.n_files) =
            (struct policy_file){.name = xstrdup(files[i].name), .text = xstrdup(files[i].text)};
    }
    if (rc == 0)
        rc = whole_check(&p, e);
    if (rc < 0)
        return rc;
    *ret = p;
    p = (struct policy){0};
    return 0;
}
