/* drover runs ID --ceph: what was asked of Ceph for each disk, by whom, and what it said. */
#include <rbd/features.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

static char *feature_words(int64_t bits)
{
    static const struct {
        uint64_t bit;
        const char *name;
    } names[] = {
        {RBD_FEATURE_LAYERING, RBD_FEATURE_NAME_LAYERING},
        {RBD_FEATURE_STRIPINGV2, RBD_FEATURE_NAME_STRIPINGV2},
        {RBD_FEATURE_EXCLUSIVE_LOCK, RBD_FEATURE_NAME_EXCLUSIVE_LOCK},
        {RBD_FEATURE_OBJECT_MAP, RBD_FEATURE_NAME_OBJECT_MAP},
        {RBD_FEATURE_FAST_DIFF, RBD_FEATURE_NAME_FAST_DIFF},
        {RBD_FEATURE_DEEP_FLATTEN, RBD_FEATURE_NAME_DEEP_FLATTEN},
        {RBD_FEATURE_JOURNALING, RBD_FEATURE_NAME_JOURNALING},
        {RBD_FEATURE_DATA_POOL, RBD_FEATURE_NAME_DATA_POOL},
        {RBD_FEATURE_OPERATIONS, RBD_FEATURE_NAME_OPERATIONS},
        {RBD_FEATURE_MIGRATING, RBD_FEATURE_NAME_MIGRATING},
    };
    uint64_t left = (uint64_t)bits;
    char *s = NULL;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (left & names[i].bit) {
            text_add(&s, "%s%s", s ? "," : "", names[i].name);
            left &= ~names[i].bit;
        }
    if (left || !s)
        text_add(&s, "%s0x%llx", s ? "," : "", (unsigned long long)left);
    return s;
}

static char *client_words(const struct ceph_client *list, size_t n)
{
    char *s = NULL;
    for (size_t i = 0; i < n; i++)
        text_add(&s, "%s%s%s%s", i ? ", " : "", list[i].entity ? list[i].entity : "",
                 list[i].entity ? " " : "", list[i].address ? list[i].address : "?");
    return s ? s : xstrdup("none");
}

enum fact {
    FACT_FSID,
    FACT_POOL,
    FACT_IMAGE,
    FACT_SIZE,
    FACT_FEATURES,
    FACT_WATCHERS,
    FACT_LOCK,
    FACT_COUNT
};
static const char *const fact_names[] = {"fsid",     "pool",     "image id",  "size",
                                         "features", "watchers", "lock owner"};

static char *fact_text(const struct image_fact *f, enum fact which)
{
    char buf[FMT_BYTES];
    if (!f)
        return xstrdup("-");
    if (!f->ok) /* the rest is not known: say why once */
        return which == FACT_FSID ? xasprintf("%s%s%s", f->code ? f->code : "unknown",
                                              f->error ? ": " : "", f->error ? f->error : "")
                                  : xstrdup("?");
    switch (which) {
    case FACT_FSID:
        return xstrdup(f->fsid ? f->fsid : "?");
    case FACT_POOL:
        return xasprintf("%lld (%s)", (long long)f->pool_id, f->pool ? f->pool : "?");
    case FACT_IMAGE:
        return xstrdup(f->image_id ? f->image_id : "?");
    case FACT_SIZE:
        return xstrdup(fmt_bytes(buf, f->size_bytes));
    case FACT_FEATURES:
        return feature_words(f->features);
    case FACT_WATCHERS:
        return client_words(f->watchers, f->n_watchers);
    case FACT_LOCK:
        return client_words(f->lockers, f->n_lockers);
    case FACT_COUNT:
        break;
    }
    return xstrdup("?");
}

static const struct image_fact *find(const struct image_fact *list, size_t n, const char *target)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i].target, target))
            return &list[i];
    return NULL;
}

/* The three columns are the proof: the same image everywhere, another writer after than before. */
static void disk_print(struct cli *c, const struct move *m, const char *target,
                       const struct image_fact *any)
{
    const struct image_fact *seen[] = {
        find(m->ceph_src, m->n_ceph_src, target),
        find(m->ceph_dst, m->n_ceph_dst, target),
        find(m->ceph_after, m->n_ceph_after, target),
    };
    cleanup(freep) char *by_src = xasprintf("BEFORE, SEEN BY %s", m->from);
    cleanup(freep) char *by_dst = xasprintf("BEFORE, SEEN BY %s", m->to);
    cleanup(freep) char *after = xasprintf("AFTER, SEEN BY %s", m->to);
    const struct column cols[] = {
        {"", false, false}, {by_src, false, false}, {by_dst, false, false}, {after, false, false}};
    struct table t = {.cols = cols, .n_cols = ARRAY_LEN(cols)};
    struct cli plain = *c; /* --columns and --sort are for lists */
    plain.columns = plain.sort = NULL;
    text_line(c->out, "  %s  %s/%s%s%s", target, any->pool ? any->pool : "?",
              any->ns ? any->ns : "", any->ns ? "/" : "", any->image ? any->image : "?");
    for (int which = 0; which < FACT_COUNT; which++) {
        table_fmt(&t, C_NONE, "    %s", fact_names[which]);
        for (size_t k = 0; k < ARRAY_LEN(seen); k++) {
            cleanup(freep) char *text = fact_text(seen[k], (enum fact)which);
            table_text(&t, C_NONE, text);
        }
    }
    table_print(&plain, &t);
    table_done(&t);
}

static void move_ceph(struct cli *c, const struct move *m)
{
    char a[TIME_BYTES], b[TIME_BYTES];
    text_line(c->out, "vm/%s  %s → %s  %s  confirmed %s  proven %s", m->vm_name, m->from, m->to,
              move_word(m), time_clock(a, m->confirmed_wall_us), time_clock(b, m->proven_wall_us));
    const struct image_fact *lists[] = {m->ceph_src, m->ceph_dst, m->ceph_after};
    const size_t sizes[] = {m->n_ceph_src, m->n_ceph_dst, m->n_ceph_after};
    bool none = true;
    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (size_t i = 0; i < sizes[l]; i++) {
            const struct image_fact *f = &lists[l][i];
            bool told = false;
            for (size_t before = 0; before < l; before++)
                told = told || find(lists[before], sizes[before], f->target);
            if (!told && f->target)
                disk_print(c, m, f->target, f), none = false;
        }
    if (none)
        text_line(c->out, "  Ceph was not asked yet, or the VM has no RBD disk");
}

void ceph_print(struct cli *c, const struct run_view *v)
{
    for (size_t i = 0; i < v->n_moves; i++) {
        if (i)
            fputc('\n', c->out);
        move_ceph(c, &v->moves[i]);
    }
    if (!v->n_moves)
        text_line(c->out, "run/%lld has no moves", (long long)v->run.id);
}
