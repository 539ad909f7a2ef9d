#include "policy/zone.h"

#include <errno.h>
#include <fts.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static const char *const ZONE_DIR = "/usr/share/zoneinfo";
/* 2038-01-01, excluded */
static const int64_t END_S = INT64_C(2145916800);

bool zone_name_ok(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    bool start = true;
    if (strlen(name) > LIM_ZONE_NAME_BYTES)
        return false;
    for (; *name; name++) {
        if (start ? !strchr(letters, *name)
                  : !strchr(letters, *name) && !strchr("0123456789_+-/", *name))
            return false;
        start = *name == '/';
    }
    return !start;
}

void zone_free(struct zone *z)
{
    if (!z)
        return;
    free(z->name);
    free(z->changes);
    free(z);
}

static struct zone *zone_new(const char *name, int64_t offset_s)
{
    struct zone *z = xcalloc(1, sizeof(*z));
    z->name = xstrdup(name);
    *vec_add(&z->changes, &z->n) =
        (struct zone_change){.from_s = ZONE_NO_BEGIN, .offset_s = offset_s};
    return z;
}

int zone_from_table(const char *name, struct zone_change *changes, size_t n, struct zone **ret,
                    struct err *e)
{
    bool ok = zone_name_ok(name) && n > 0 && n <= LIM_ZONE_CHANGES &&
              changes[0].from_s == ZONE_NO_BEGIN;
    for (size_t i = 0; ok && i < n; i++)
        ok = changes[i].offset_s > -2 * 86400 && changes[i].offset_s < 2 * 86400 &&
             (i == 0 || changes[i].from_s > changes[i - 1].from_s) &&
             changes[i].from_s < INT64_MAX / 8;
    if (!ok)
        return err_set(e, -EBADMSG, "the table of zone '%.60s' is none", name);
    struct zone *z = xcalloc(1, sizeof(*z));
    *z = (struct zone){.name = xstrdup(name), .changes = changes, .n = n};
    *ret = z;
    return 0;
}

/* ---- names --------------------------------------------------------------------------------------- */

/* A compiled zone, and none of the lists that lie beside them. */
static bool is_zone_file(const char *path)
{
    static const char magic[] = "TZif";
    char begin[sizeof(magic) - 1];
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool is = fread(begin, 1, sizeof(begin), f) == sizeof(begin) &&
              memcmp(begin, magic, sizeof(begin)) == 0;
    fclose(f);
    return is;
}

struct names {
    char **list;
    size_t n;
};

static void names_done(struct names *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->list[i]);
    free(a->list);
}

static void fts_closep(FTS **f)
{
    if (*f)
        fts_close(*f);
}

/* posix/ and right/ hold the same zones again, the latter with leap seconds, which wall time has not. */
static bool other_count(const char *name)
{
    return !strncmp(name, "posix", 5) || !strncmp(name, "right", 5) || str_eq(name, "localtime");
}

static void find_names(struct names *ret)
{
    char *roots[] = {(char *)(uintptr_t)ZONE_DIR, NULL};
    cleanup(fts_closep) FTS *f = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *ent; f && ret->n < LIM_ZONES && (ent = fts_read(f)) != NULL;) {
        const char *name = ent->fts_path + strlen(ZONE_DIR);
        name += *name == '/';
        if (ent->fts_info == FTS_D && *name && other_count(name))
            fts_set(f, ent, FTS_SKIP);
        if (ent->fts_info == FTS_F && zone_name_ok(name) && !other_count(name) &&
            is_zone_file(ent->fts_path))
            *vec_add(&ret->list, &ret->n) = xstrdup(name);
    }
}

/* "paris" or "europe/pariss": the name itself, or its last part. */
static const char *near_name(const char *name, const struct names *all)
{
    for (size_t i = 0; i < all->n; i++) {
        const char *slash = strrchr(all->list[i], '/');
        if (!strcasecmp(name, all->list[i]) || (slash && !strcasecmp(name, slash + 1)))
            return all->list[i];
    }
    return str_did_you_mean(name, (const char *const *)all->list, all->n);
}

static int fail_unknown_zone(const char *name, struct err *e)
{
    cleanup(names_done) struct names all = {0};
    find_names(&all);
    if (!all.n)
        return err_set(e, -ENOENT, "zone '%.60s': no time zones in %s; install the package tzdata",
                       name, ZONE_DIR);
    const char *near = near_name(name, &all);
    return err_set(e, -ENOENT, "no time zone '%.60s'%s%s%s", name,
                   near ? "; did you mean '" : "; expected a name such as Europe/Paris or UTC",
                   near ? near : "", near ? "'?" : "");
}

/* ---- tables -------------------------------------------------------------------------------------- */

/* The first second after from_s that belongs to a later interval; end_s: none before it. */
static int64_t next_interval(GTimeZone *tz, int64_t from_s, int64_t end_s)
{
    int at = g_time_zone_find_interval(tz, G_TIME_TYPE_UNIVERSAL, from_s);
    int64_t low = from_s, high = end_s; /* at low it is the same; at high it is not, or the end */
    while (low + 1 < high) {
        int64_t mid = low + (high - low) / 2;
        if (g_time_zone_find_interval(tz, G_TIME_TYPE_UNIVERSAL, mid) == at)
            low = mid;
        else
            high = mid;
    }
    return high;
}

static int64_t offset_at(GTimeZone *tz, int64_t at_s)
{
    return g_time_zone_get_offset(tz,
                                  g_time_zone_find_interval(tz, G_TIME_TYPE_UNIVERSAL, at_s));
}

static int copy_table(const char *name, GTimeZone *tz, struct zone **ret, struct err *e)
{
    struct zone *z = zone_new(name, offset_at(tz, 0));
    for (int64_t at = next_interval(tz, 0, END_S); at < END_S; at = next_interval(tz, at, END_S)) {
        int64_t offset = offset_at(tz, at);
        if (offset == z->changes[z->n - 1].offset_s)
            continue;
        if (z->n == LIM_ZONE_CHANGES) {
            zone_free(z);
            return err_set(e, -E2BIG, "zone '%.60s' changes its clocks more than %d times", name,
                           LIM_ZONE_CHANGES);
        }
        *vec_add(&z->changes, &z->n) =
            (struct zone_change){.from_s = at, .offset_s = offset};
    }
    *ret = z;
    return 0;
}

int zone_load(const char *name, struct zone **ret, struct err *e)
{
    if (str_eq(name, "UTC")) {
        *ret = zone_new(name, 0);
        return 0;
    }
    /* GLib also takes rules such as "CET-1CEST" for names, where UTC+2 is two hours *behind*. */
    cleanup(freep) char *path = xasprintf("%s/%s", ZONE_DIR, name);
    if (!zone_name_ok(name) || other_count(name) || !is_zone_file(path))
        return fail_unknown_zone(name, e);
    GTimeZone *tz = g_time_zone_new_identifier(name);
    if (!tz)
        return err_set(e, -EBADMSG, "zone '%.60s': '%s' cannot be read", name, path);
    int rc = copy_table(name, tz, ret, e);
    g_time_zone_unref(tz);
    return rc;
}
