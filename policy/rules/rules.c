#include "policy/rules/rules.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

const struct rule_def *const rule_defs[7] = {
    [RULE_ANTI_AFFINITY] = &rule_anti_affinity,
    [RULE_AFFINITY] = &rule_affinity,
    [RULE_HOST_REQUIRED] = &rule_host_required,
    [RULE_HOST_FORBIDDEN] = &rule_host_forbidden,
    [RULE_MAX_VMS] = &rule_max_vms,
    [RULE_EXCLUDE] = &rule_exclude,
    [RULE_MAINTENANCE_ONLY] = &rule_maintenance_only,
};

void rule_match_init(struct rule_match *m, const struct rule *r, const struct fleet *f)
{
    *m = (struct rule_match){.hosts = xcalloc(f->n_hosts, sizeof(bool))};
    for (size_t i = 0; i < f->n_vms; i++)
        if (selector_matches_vm(&r->vms, f->vms[i]))
            *vec_add(&m->members, &m->n_members) = (int)i;
    for (size_t i = 0; i < f->n_hosts; i++)
        m->hosts[i] = selector_matches_host(&r->hosts, f->hosts[i]);
}

void rule_match_done(struct rule_match *m)
{
    free(m->members);
    free(m->hosts);
    *m = (struct rule_match){0};
}

enum same same_domain(int level, const struct host *a, const struct host *b)
{
    if (a == b || str_eq(a->name, b->name))
        return SAME_YES;
    if (level == ACROSS_HOST)
        return SAME_NO;
    if (level == ACROSS_ZONE) {
        if (!a->zone || !b->zone)
            return SAME_UNKNOWN;
        return str_eq(a->zone, b->zone) ? SAME_YES : SAME_NO;
    }
    if (!a->rack || !b->rack)
        return SAME_UNKNOWN;
    /* "r1" of two zones are two racks */
    return str_eq(a->rack, b->rack) && str_eq(a->zone, b->zone) ? SAME_YES : SAME_NO;
}

char *domain_text(int level, const struct host *h)
{
    const char *name = level == ACROSS_ZONE ? h->zone : level == ACROSS_RACK ? h->rack : h->name;
    if (!name)
        return xasprintf("a %s that host %s does not name", domain_level_names[level], h->name);
    return xasprintf("%s %s", domain_level_names[level], name);
}

bool fleet_same_vm(const struct fleet *f, int a, int b)
{
    return a == b || str_eq(f->vms[a]->uuid, f->vms[b]->uuid);
}

static char *append(char *text, const char *sep, const char *more)
{
    char *joined = xasprintf("%s%s%s", text ? text : "", text ? sep : "", more);
    free(text);
    return joined;
}

char *selector_text(const struct selector *s)
{
    char *names = NULL, *labels = NULL;
    for (size_t i = 0; i < s->n_names; i++)
        names = append(names, ", ", s->names[i]);
    for (size_t i = 0; i < s->n_labels; i++) {
        cleanup(freep) char *kv = xasprintf("%s=%s", s->labels[i].key, s->labels[i].value);
        labels = append(labels, ", ", kv);
    }
    char *text =
        xasprintf("%s%s%s%s%s", names ? "named " : "", names ? names : "",
                  names && labels ? ", " : "", labels ? "with " : "", labels ? labels : "");
    free(names);
    free(labels);
    return text;
}
