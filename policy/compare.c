#include "policy/compare.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/keys.h"
#include "policy/rules/rules.h"

/* ---- values as they would be written ------------------------------------------------------------ */

/* 1500000 → "1.5" */
static char *decimal(int64_t ppm)
{
    char *s = xasprintf("%lld.%06lld", (long long)(ppm / 1000000), (long long)(ppm % 1000000));
    size_t len = strlen(s);
    while (len > 1 && s[len - 1] == '0' && s[len - 2] != '.')
        s[--len] = '\0';
    return s;
}

struct unit {
    const char *name;
    int64_t size;
};

/* In the largest unit in which it is whole; the last of the units is 1. */
static char *in_units(int64_t value, const struct unit *units)
{
    while (units->size > 1 && (!value || value % units->size))
        units++;
    return xasprintf("%lld%s", (long long)(value / units->size), units->name);
}

static char *bytes_text(int64_t bytes)
{
    static const struct unit units[] = {
        {"TiB", 1024 * GIB}, {"GiB", GIB}, {"MiB", MIB}, {"KiB", KIB}, {"B", 1}};
    return in_units(bytes, units);
}

static char *duration_text(int64_t us)
{
    static const struct unit units[] = {{"d", 86400 * SEC}, {"h", 3600 * SEC}, {"m", 60 * SEC},
                                        {"s", SEC},         {"ms", MSEC},      {"us", 1}};
    return in_units(us, units);
}

static char *bitrate_text(int64_t Bps)
{
    static const struct unit units[] = {
        {"Gbit", 1000000000}, {"Mbit", 1000000}, {"kbit", 1000}, {"bit", 1}};
    return in_units(Bps * 8, units);
}

static char *suffixed(char *text, const char *suffix)
{
    char *s = xasprintf("%s%s", text, suffix);
    free(text);
    return s;
}

static char *percent_text(int64_t ppm)
{
    char *s = decimal(ppm * 100);
    size_t len = strlen(s);
    if (len > 2 && str_eq(s + len - 2, ".0"))
        s[len - 2] = '\0';
    return suffixed(s, "%");
}

static char *windows_text(const struct policy *p)
{
    char *s = NULL;
    for (size_t i = 0; i < p->balance.n_windows; i++)
        text_join(&s, ", ", p->balance.windows[i].text);
    return s;
}

/* NULL: the key has no value of its own. */
static char *value_text(const struct policy *p, const struct key *k)
{
    const void *member = (const char *)p + k->off;
    bool is_number = k->type >= KT_INT && k->type <= KT_PER_GIB;
    int64_t n = is_number ? *(const int64_t *)member : 0;
    char *text;
    if (is_number && k->zero && !n)
        return xstrdup(k->zero);
    switch (k->type) {
    case KT_BOOL:
        return xstrdup(*(const bool *)member ? "true" : "false");
    case KT_ENUM:
        return xstrdup(k->names[*(const int *)member]);
    case KT_MULTIFD:
        return p->migration.multifd ? xasprintf("%lld", (long long)p->migration.multifd_channels)
                                    : xstrdup("false");
    case KT_SCHEDULE:
        return xstrdup(p->balance.schedule.text ? p->balance.schedule.text : k->zero);
    case KT_WINDOW:
        text = windows_text(p);
        return text ? text : xstrdup(k->zero);
    case KT_LABEL:
        text = *(char *const *)member;
        return xstrdup(text ? text : k->zero);
    case KT_INT:
        return xasprintf("%lld", (long long)n);
    case KT_BYTES:
        return bytes_text(n);
    case KT_RATIO:
        return decimal(n);
    case KT_PERCENT:
        return percent_text(n);
    case KT_BITRATE:
        return bitrate_text(n);
    case KT_DURATION:
        return duration_text(n);
    case KT_PER_GIB:
        return suffixed(duration_text(n), "/GiB");
    case KT_VERSION:
    case KT_SECTION:
    case KT_RULES:
    case KT_UNSUPPORTED:
        break;
    }
    return NULL;
}

/* ---- rules ------------------------------------------------------------------------------------- */

static char *selected(const char *what, const struct selector *s)
{
    cleanup(freep) char *text = selector_text(s);
    return *text ? xasprintf("%s %s", what, text) : xasprintf("all %s", what);
}

/* What the rule says, in one line. Gives. */
static char *rule_text(const struct rule *r)
{
    const struct rule_def *d = rule_defs[r->kind];
    cleanup(freep) char *vms = selected("VMs", &r->vms);
    cleanup(freep) char *hosts = d->hosts_allowed ? selected("hosts", &r->hosts) : NULL;
    cleanup(freep) char *strength = d->strength == ALWAYS_HARD ? xstrdup("")
                                    : r->hard
                                        ? xstrdup(", hard")
                                        : xasprintf(", soft, weight %lld", (long long)r->weight);
    cleanup(freep) char *number = d->max_required   ? xasprintf(", max %lld", (long long)r->max)
                                  : d->min_required ? xasprintf(", min %lld", (long long)r->min)
                                                    : xstrdup("");
    return xasprintf("%s: %s%s%s%s%s%s%s", rule_kind_names[r->kind], vms, hosts ? "; " : "",
                     hosts ? hosts : "", d->across_allowed ? ", across " : "",
                     d->across_allowed ? domain_level_names[r->across] : "", number, strength);
}

static const struct rule *rule_called(const struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->n_rules; i++)
        if (str_eq(p->rules[i].name, name))
            return &p->rules[i];
    return NULL;
}

static void compare_rules(const struct rule *a, const struct rule *b, struct policy_changes *ret)
{
    char *x = a ? rule_text(a) : NULL, *y = b ? rule_text(b) : NULL;
    if (str_eq(x, y)) {
        free(x);
        free(y);
        return;
    }
    struct policy_change *c = vec_add(&ret->list, &ret->n);
    c->key = xasprintf("rule %s", a ? a->name : b->name);
    c->a = x;
    c->b = y;
    c->where_a = a ? xstrdup(a->where) : NULL;
    c->where_b = b ? xstrdup(b->where) : NULL;
}

/* ---- all of it --------------------------------------------------------------------------------- */

static char *where_set(const struct policy *p, const char *key)
{
    for (size_t i = 0; i < p->n_set; i++)
        if (str_eq(p->set[i].key, key))
            return xstrdup(p->set[i].where);
    return NULL;
}

static void compare_keys(const struct policy *a, const struct policy *b, const struct keyset *set,
                         const char *path, struct policy_changes *ret)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct key *k = &set->keys[i];
        cleanup(freep) char *name = xasprintf("%s%s%s", path, *path ? "." : "", k->name);
        if (k->type == KT_SECTION)
            compare_keys(a, b, k->sub, name, ret);
        char *x = value_text(a, k), *y = value_text(b, k);
        if (str_eq(x, y)) {
            free(x);
            free(y);
            continue;
        }
        *(struct policy_change *)vec_add(&ret->list, &ret->n) =
            (struct policy_change){take(name), x, y, NULL, NULL};
        struct policy_change *c = &ret->list[ret->n - 1];
        c->where_a = where_set(a, c->key);
        c->where_b = where_set(b, c->key);
    }
}

void policy_compare(const struct policy *a, const struct policy *b, struct policy_changes *ret)
{
    *ret = (struct policy_changes){0};
    compare_keys(a, b, &policy_keys, "", ret);
    for (size_t i = 0; i < b->n_rules; i++)
        compare_rules(rule_called(a, b->rules[i].name), &b->rules[i], ret);
    for (size_t i = 0; i < a->n_rules; i++)
        if (!rule_called(b, a->rules[i].name))
            compare_rules(&a->rules[i], NULL, ret);
}

void policy_changes_done(struct policy_changes *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->list[i].key);
        free(c->list[i].a);
        free(c->list[i].b);
        free(c->list[i].where_a);
        free(c->list[i].where_b);
    }
    free(c->list);
    *c = (struct policy_changes){0};
}

/* ---- one policy -------------------------------------------------------------------------------- */

struct each {
    const struct policy *p;
    void (*give)(void *arg, const char *path, const char *value);
    void *arg;
};

static void each_key(const struct each *e, const struct keyset *set, const char *path)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct key *k = &set->keys[i];
        cleanup(freep) char *name = xasprintf("%s%s%s", path, *path ? "." : "", k->name);
        cleanup(freep) char *value = value_text(e->p, k);
        if (k->type == KT_SECTION)
            each_key(e, k->sub, name);
        else if (value)
            e->give(e->arg, name, value);
    }
}

void policy_each_value(const struct policy *p,
                       void (*give)(void *arg, const char *path, const char *value), void *arg)
{
    const struct each e = {p, give, arg};
    each_key(&e, &policy_keys, "");
}
