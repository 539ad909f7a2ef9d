/* The keys that name times: schedule and window, with their zones. */
#include <errno.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/keys.h"
#include "policy/zone.h"

/* Each zone is read once; a recorded policy brings its own. */
static int zone_of(const struct reading *r, const struct ynode *n, const char *path,
                   const char *name, const struct zone **ret)
{
    struct policy *p = r->p;
    struct zone *z;
    struct err why;
    for (size_t i = 0; i < p->n_zones; i++)
        if (str_eq(p->zones[i]->name, name)) {
            *ret = p->zones[i];
            return 0;
        }
    if (zone_load(name, &z, &why) < 0)
        return fail_at(r, n, path, why.msg);
    *vec_add(&p->zones, &p->n_zones) = z;
    *ret = z;
    return 0;
}

int value_schedule(const struct reading *r, const struct key *k, const struct ynode *n,
                   const char *path)
{
    struct schedule s = {0};
    struct err why;
    if (n->kind != Y_SCALAR)
        return fail_value(r, n, path, "never, or the five fields of cron");
    if (!value_is_zero_word(k, n)) {
        if (schedule_parse(n->text, &s, &why) < 0)
            return fail_at(r, n, path, why.msg);
        if (s.zone_name && zone_of(r, n, path, s.zone_name, &s.zone) < 0) {
            schedule_done(&s);
            return -EBADMSG;
        }
    }
    schedule_done(&r->p->balance.schedule);
    r->p->balance.schedule = s;
    return 0;
}

static int add_window(const struct reading *r, const struct ynode *n, const char *path)
{
    struct policy *p = r->p;
    struct window w;
    struct err why;
    if (n->kind != Y_SCALAR)
        return fail_value(r, n, path, "days, times and zone");
    if (window_parse(n->text, &w, &why) < 0)
        return fail_at(r, n, path, why.msg);
    *vec_add(&p->balance.windows, &p->balance.n_windows) = w;
    return zone_of(r, n, path, w.zone_name, &p->balance.windows[p->balance.n_windows - 1].zone);
}

int value_window(const struct reading *r, const struct key *k, const struct ynode *n,
                 const char *path)
{
    if (n->kind == Y_MAP || (n->kind == Y_SEQ && !n->n_items))
        return fail_value(r, n, path, "always, or days, times and zone, or a list of such");
    if (n->kind == Y_SEQ && n->n_items > LIM_WINDOWS) {
        cleanup(freep) char *what =
            xasprintf("%zu windows, and at most %d are possible", n->n_items, LIM_WINDOWS);
        return fail_at(r, n, path, what);
    }
    policy_windows_done(r->p);
    if (value_is_zero_word(k, n))
        return 0;
    if (n->kind == Y_SCALAR)
        return add_window(r, n, path);
    for (size_t i = 0; i < n->n_items; i++)
        if (add_window(r, &n->items[i], path) < 0)
            return -EBADMSG;
    return 0;
}
