#include <errno.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/find.h"
#include "policy/loading.h"

static int read_section(const struct reading *r, const struct keyset *set, const struct ynode *n,
                        const char *path);

static void note_set(const struct reading *r, const struct ynode *n, const char *path)
{
    struct policy *p = r->p;
    char *where = xasprintf("%s:%d:%d", r->file, n->line, n->col);
    for (size_t i = 0; i < p->n_set; i++)
        if (str_eq(p->set[i].key, path)) {
            free(p->set[i].overrides);
            p->set[i].overrides = p->set[i].where;
            p->set[i].where = where;
            return;
        }
    *(struct policy_set *)vec_add(&p->set, &p->n_set) =
        (struct policy_set){.key = xstrdup(path), .where = where};
}

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
        int rc = value_read(r, k, n, sub);
        if (rc == 0 && k->type != KT_VERSION)
            note_set(r, n, sub);
        return rc;
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

/* A file's text, and keep it in p->files. */
static int read_kept(const char *name, const char *text, size_t len, struct policy *p,
                     struct err *e)
{
    int rc = policy_read_text(name, text, len, p, e);
    if (rc == 0)
        *(struct policy_file *)vec_add(&p->files, &p->n_files) =
            (struct policy_file){.name = xstrdup(name), .text = xstrdup(text)};
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
    return rc < 0 ? rc : read_kept(rel, text, len, p, e);
}

int policy_read_dir(const char *dir, struct policy *p, struct problems *found, struct err *e)
{
    cleanup(policy_paths_done) struct policy_paths files = {0};
    int rc = policy_find(dir, policy_file_name, &files, e);
    for (size_t i = 0; i < files.n && (rc == 0 || found); i++) {
        struct err one = {0};
        int r = read_file(dir, files.list[i], p, &one);
        if (r < 0 && found)
            problem_add_message(found, "invalid", one.msg);
        if (r < 0 && rc == 0)
            rc = e ? (*e = one).code : r;
    }
    return rc;
}

int policy_add_source(const char *dir, struct policy *p, struct err *e)
{
    struct git_source git;
    int rc = policy_git(dir, &git, e);
    if (rc < 0)
        return rc;
    p->commit = git.commit;
    p->author = git.author;
    p->summary = git.summary;
    p->changed = git.changed;
    p->committed_wall_us = git.committed_wall_us;
    p->clean = git.clean;
    p->dir = xstrdup(dir);
    return 0;
}

int policy_check_whole(struct policy *p, struct err *e)
{
    if (!p->balance.schedule.zone_name)
        p->balance.schedule.zone = p->balance.n_windows ? p->balance.windows[0].zone : NULL;
    return rules_check(p, e);
}

int policy_load(const char *dir, struct policy *ret, struct err *e)
{
    cleanup(policy_done) struct policy p;
    policy_default(&p);
    int rc = policy_read_dir(dir, &p, NULL, e);
    if (rc == 0)
        rc = policy_check_whole(&p, e);
    if (rc == 0)
        rc = policy_add_source(dir, &p, e);
    if (rc < 0)
        return rc;
    *ret = p;
    p = (struct policy){0};
    return 0;
}

int policy_load_revision(const char *dir, const char *rev, struct policy *ret, struct err *e)
{
    cleanup(git_files_done) struct git_files files = {0};
    cleanup(policy_done) struct policy p;
    policy_default(&p);
    int rc = policy_git_files(dir, rev, &files, e);
    for (size_t i = 0; rc == 0 && i < files.n; i++)
        rc = read_kept(files.list[i].name, files.list[i].text, files.list[i].len, &p, e);
    if (rc == 0)
        rc = policy_check_whole(&p, e);
    if (rc < 0)
        return rc;
    p.commit = take(files.source.commit);
    p.author = take(files.source.author);
    p.summary = take(files.source.summary);
    p.committed_wall_us = files.source.committed_wall_us;
    p.clean = true;
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
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = read_kept(files[i].name, files[i].text, strlen(files[i].text), &p, e);
    if (rc == 0)
        rc = policy_check_whole(&p, e);
    if (rc < 0)
        return rc;
    *ret = p;
    p = (struct policy){0};
    return 0;
}
