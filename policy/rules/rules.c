#include "policy/rules/rules.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

const struct rule_def *const rule_defs[RULE_KINDS] = {
    [RULE_ANTI_AFFINITY] = &rule_anti_affinity,
    [RULE_AFFINITY] = &rule_affinity,
    [RULE_HOST_REQUIRED] = &rule_host_required,
    [RULE_HOST_FORBIDDEN] = &rule_host_forbidden,
    [RULE_MAX_VMS] = &rule_max_vms,
    [RULE_EXCLUDE] = &rule_exclude,
    [RULE_MAINTENANCE_ONLY] = &rule_maintenance_only,
    [RULE_SPREAD] = &rule_spread,
    [RULE_HOST_PREFERRED] = &rule_host_preferred,
};

static bool domain_known(int level, const struct host *h)
{
    return level == ACROSS_HOST || (level == ACROSS_RACK ? h->rack : h->zone);
}

int *number_domains(int level, const struct fleet *f, int *ret_n)
{
    int *domain = xcalloc(f->n_hosts, sizeof(*domain));
    cleanup(freep) size_t *first = xcalloc(f->n_hosts, sizeof(*first));
    int n = 0;
    for (size_t h = 0; h < f->n_hosts; h++) {
        int d = level == ACROSS_HOST ? n : 0; /* each is a new one */
        domain[h] = -1;
        if (!domain_known(level, f->hosts[h]))
            continue;
        while (d < n && same_domain(level, f->hosts[first[d]], f->hosts[h]) != SAME_YES)
            d++;
        if (d == n)
            first[n++] = h;
        domain[h] = d;
    }
    *ret_n = n;
    return domain;
}

/* A label that some rule asks for. Looked up per label of each VM, so that rules about other labels cost
 * a large fleet nothing. */
struct wanted_label {
    const struct label *label;
    size_t rule;
};

static int compare_labels(const struct label *a, const struct label *b)
{
    int k = strcmp(a->key, b->key);
    return k ? k : strcmp(a->value ? a->value : "", b->value ? b->value : "");
}

static int by_label(const void *a, const void *b)
{
    const struct wanted_label *x = a, *y = b;
    int k = compare_labels(x->label, y->label);
    return k ? k : (x->rule > y->rule) - (x->rule < y->rule);
}

static void add_member(const struct policy *p, const struct fleet *f, int vm, size_t rule,
                       struct rule_match *ret)
{
    struct rule_match *m = &ret[rule];
    bool there = m->n_members && m->members[m->n_members - 1] == vm;
    if (!there && selector_matches_vm(&p->rules[rule].vms, f->vms[vm]))
        *vec_add(&m->members, &m->n_members) = vm;
}

static void match_label(const struct policy *p, const struct fleet *f, int vm,
                        const struct label *l, const struct wanted_label *list, size_t n,
                        struct rule_match *ret)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare_labels(list[mid].label, l) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < n && !compare_labels(list[lo].label, l); lo++)
        add_member(p, f, vm, list[lo].rule, ret);
}

void rules_match(const struct policy *p, const struct fleet *f, struct rule_match *ret)
{
    cleanup(freep) struct wanted_label *labels = xcalloc(p->n_rules, sizeof(*labels));
    size_t n_labels = 0;
    for (size_t r = 0; r < p->n_rules; r++) {
        const struct rule *rule = &p->rules[r];
        ret[r] = (struct rule_match){.hosts = xcalloc(f->n_hosts, sizeof(bool))};
        for (size_t h = 0; h < f->n_hosts; h++)
            ret[r].hosts[h] = selector_matches_host(&rule->hosts, f->hosts[h]);
        if (rule_defs[rule->kind]->counts_domains)
            ret[r].domain = number_domains(rule->across, f, &(int){0});
        if (rule->vms.n_labels)
            labels[n_labels++] = (struct wanted_label){&rule->vms.labels[0], r};
    }
    if (n_labels)
        qsort(labels, n_labels, sizeof(*labels), by_label);
    for (size_t i = 0; i < f->n_vms; i++) {
        for (size_t k = 0; n_labels && k < f->vms[i]->n_labels; k++)
            match_label(p, f, (int)i, &f->vms[i]->labels[k], labels, n_labels, ret);
        for (size_t r = 0; r < p->n_rules; r++)
            if (!p->rules[r].vms.n_labels)
                add_member(p, f, (int)i, r, ret);
    }
}

void rule_match_done(struct rule_match *m)
{
    free(m->members);
    free(m->hosts);
    free(m->domain);
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

char *selector_text(const struct selector *s)
{
    char *names = NULL, *labels = NULL;
    for (size_t i = 0; i < s->n_names; i++)
        text_join(&names, ", ", s->names[i]);
    for (size_t i = 0; i < s->n_labels; i++) {
        cleanup(freep) char *kv = xasprintf("%s=%s", s->labels[i].key, s->labels[i].value);
        text_join(&labels, ", ", kv);
    }
    char *text =
        xasprintf("%s%s%s%s%s", names ? "named " : "", names ? names : "",
                  names && labels ? ", " : "", labels ? "with " : "", labels ? labels : "");
    free(names);
    free(labels);
    return text;
}
