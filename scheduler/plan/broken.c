/* What is broken as VMs are now. Counted from where the VMs are, not by asking the rules about moves: a
 * rule that is broken already may refuse nothing. */
#include "scheduler/plan/broken.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/world.h"

enum { NAMED = 4 }; /* VMs by name; more are counted */

struct finding {
    struct plan_world w;
    struct plan_broken **list;
    size_t *n;
};
struct names {
    char *text;
    size_t n;
};

static void add(struct finding *k, int rule, int64_t count, char *what)
{
    *(struct plan_broken *)vec_add(k->list, k->n) =
        (struct plan_broken){.rule = rule, .host = -1, .count = count, .what = what};
}

/* ---- words ------------------------------------------------------------------------------------ */
static void name(struct names *l, const char *text)
{
    if (l->n++ >= NAMED)
        return;
    char *more = xasprintf("%s%s%s", l->text ? l->text : "", l->text ? ", " : "", text);
    free(l->text);
    l->text = more;
}

/* "a, b, c, d and 3 more". Gives; the list is empty then. */
static char *names_take(struct names *l)
{
    char *text = l->n > NAMED ? xasprintf("%s and %zu more", l->text, l->n - NAMED)
                              : xstrdup(l->text ? l->text : "");
    free(l->text);
    *l = (struct names){0};
    return text;
}

/* ---- where members are ------------------------------------------------------------------------- */
static int end_of(const struct finding *k, int vm)
{
    return plan_end(&k->w, vm);
}

struct spots {   /* members by domain */
    int *domain; /* per host */
    int n;
    int64_t *count; /* per domain, and those on hosts that name none behind them */
    int *host;      /* one host of each domain */
};

static void spots_done(struct spots *s)
{
    free(s->domain);
    free(s->count);
    free(s->host);
}

static int spot_of(const struct spots *s, int host)
{
    return s->domain[host] < 0 ? s->n : s->domain[host];
}

/* only: hosts that count, NULL: all. */
static void find_spots(const struct finding *k, int rule, const bool *only, struct spots *ret)
{
    const struct rule_match *m = &k->w.match[rule];
    ret->domain = number_domains(k->w.p->rules[rule].across, &k->w.f, &ret->n);
    ret->count = xcalloc((size_t)ret->n + 1, sizeof(*ret->count));
    ret->host = xcalloc((size_t)ret->n + 1, sizeof(*ret->host));
    for (size_t i = 0; i < m->n_members; i++) {
        int h = end_of(k, m->members[i]);
        if (h < 0 || (only && !only[h]))
            continue;
        int d = spot_of(ret, h);
        ret->count[d]++;
        ret->host[d] = h;
    }
}

static char *members_in(const struct finding *k, int rule, const struct spots *s, int spot)
{
    const struct rule_match *m = &k->w.match[rule];
    struct names l = {0};
    for (size_t i = 0; i < m->n_members; i++) {
        int vm = m->members[i], h = end_of(k, vm);
        if (h >= 0 && spot_of(s, h) == spot)
            name(&l, k->w.f.vms[vm]->name);
    }
    return names_take(&l);
}

/* ---- kinds ------------------------------------------------------------------------------------ */
static void apart(struct finding *k, int rule)
{
    const struct rule *r = &k->w.p->rules[rule];
    int64_t max = r->kind == RULE_MAX_VMS ? r->max : 1;
    const bool *only = r->kind == RULE_MAX_VMS ? k->w.match[rule].hosts : NULL;
    cleanup(spots_done) struct spots s = {0};
    find_spots(k, rule, only, &s);
    for (int d = 0; d <= s.n; d++) {
        if (s.count[d] <= max && !(d == s.n && s.count[d] && !only))
            continue;
        cleanup(freep) char *who = members_in(k, rule, &s, d);
        cleanup(freep) char *where = domain_text(r->across, k->w.f.hosts[s.host[d]]);
        if (r->kind == RULE_MAX_VMS)
            add(k, rule, s.count[d] - max,
                xasprintf("%lld of its VMs are in %s, at most %lld may: %s", (long long)s.count[d],
                          where, (long long)max, who));
        else if (d == s.n)
            add(k, rule, s.count[d], xasprintf("%s in %s", who, where));
        else
            add(k, rule, s.count[d] - max, xasprintf("%s are in %s", who, where));
    }
}

static char *where_they_are(const struct finding *k, int rule, const struct spots *s)
{
    struct names l = {0};
    for (int d = 0; d <= s->n; d++) {
        if (!s->count[d])
            continue;
        cleanup(freep) char *who = members_in(k, rule, s, d);
        cleanup(freep) char *where =
            domain_text(k->w.p->rules[rule].across, k->w.f.hosts[s->host[d]]);
        cleanup(freep) char *both = xasprintf("%s in %s", who, where);
        name(&l, both);
    }
    return names_take(&l);
}

static void together(struct finding *k, int rule)
{
    cleanup(spots_done) struct spots s = {0};
    int64_t places = 0;
    find_spots(k, rule, NULL, &s);
    for (int d = 0; d <= s.n; d++)
        places += s.count[d] > 0;
    if (places > 1)
        add(k, rule, places - 1, where_they_are(k, rule, &s));
}

static void spread(struct finding *k, int rule)
{
    const struct rule *r = &k->w.p->rules[rule];
    cleanup(spots_done) struct spots s = {0};
    int64_t places = 0, members = 0;
    find_spots(k, rule, NULL, &s);
    for (int d = 0; d <= s.n; d++) {
        places += d < s.n && s.count[d];
        members += s.count[d];
    }
    int need = spread_need(r, &k->w.match[rule]);
    if (!members || places >= need)
        return;
    cleanup(freep) char *where = where_they_are(k, rule, &s);
    add(k, rule, need - places,
        xasprintf("in %lld %s%s, at least %d wanted: %s", (long long)places,
                  domain_level_names[r->across], places == 1 ? "" : "s", need, where));
}

static void by_hosts(struct finding *k, int rule)
{
    const struct rule *r = &k->w.p->rules[rule];
    const struct rule_match *m = &k->w.match[rule];
    struct names l = {0};
    int64_t n = 0;
    for (size_t i = 0; i < m->n_members; i++) {
        int vm = m->members[i], h = end_of(k, vm);
        if (h < 0 || m->hosts[h] == (r->kind != RULE_HOST_FORBIDDEN))
            continue;
        cleanup(freep) char *one =
            xasprintf("%s on %s", k->w.f.vms[vm]->name, k->w.f.hosts[h]->name);
        name(&l, one);
        n++;
    }
    char *what = names_take(&l);
    if (n)
        add(k, rule, n, what);
    else
        free(what);
}

static void (*const kinds[RULE_KINDS])(struct finding *k, int rule) = {
    [RULE_ANTI_AFFINITY] = apart,     [RULE_MAX_VMS] = apart,
    [RULE_AFFINITY] = together,       [RULE_SPREAD] = spread,
    [RULE_HOST_REQUIRED] = by_hosts,  [RULE_HOST_FORBIDDEN] = by_hosts,
    [RULE_HOST_PREFERRED] = by_hosts, /* the others say who moves, not where anyone is */
};

/* ---- capacity --------------------------------------------------------------------------------- */
static void too_full(struct finding *k, int host)
{
    char need[FMT_BYTES], have[FMT_BYTES];
    int64_t mem = plan_mem_capacity(&k->w, host), cpus = plan_vcpu_capacity(&k->w, host);
    const struct plan_load *l = &k->w.load[host];
    char *what = NULL;
    if (mem >= 0 && l->mem_bytes > mem)
        what = xasprintf("memory: its VMs need %s, %s may be given", fmt_bytes(need, l->mem_bytes),
                         fmt_bytes(have, mem));
    else if (cpus >= 0 && l->vcpus > cpus)
        what = xasprintf("CPUs: its VMs have %lld vCPUs, %lld may be given", (long long)l->vcpus,
                         (long long)cpus);
    if (!what)
        return;
    add(k, -1, 1, what);
    (*k->list)[*k->n - 1].host = host;
}

void plan_find_broken(const struct plan_index *x, struct plan_broken **ret, size_t *ret_n)
{
    struct finding k = {.list = ret, .n = ret_n};
    *ret = NULL;
    *ret_n = 0;
    plan_world_init(&k.w, x, NULL, NULL, 0);
    for (size_t i = 0; i < k.w.p->n_rules; i++)
        if (kinds[k.w.p->rules[i].kind])
            kinds[k.w.p->rules[i].kind](&k, (int)i);
    for (size_t h = 0; h < k.w.s->n_hosts; h++)
        too_full(&k, (int)h);
    plan_world_done(&k.w);
}

void plan_broken_done(struct plan_broken *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i].what);
    free(list);
}

struct plan_reach *plan_rule_reach(const struct plan_index *x)
{
    struct plan_world w;
    plan_world_init(&w, x, NULL, NULL, 0);
    struct plan_reach *list = xcalloc(w.p->n_rules + 1, sizeof(*list));
    for (size_t i = 0; i < w.p->n_rules; i++) {
        const struct selector *hosts = &w.p->rules[i].hosts;
        list[i].vms = (int64_t)w.match[i].n_members;
        if (!hosts->n_names && !hosts->n_labels)
            list[i].hosts = -1;
        for (size_t h = 0; list[i].hosts >= 0 && h < w.s->n_hosts; h++)
            list[i].hosts += w.match[i].hosts[h];
    }
    plan_world_done(&w);
    return list;
}

void plan_apply(const struct snapshot *s, const struct plan *p, struct snapshot *ret)
{
    *ret = *s;
    ret->vms = s->n_vms ? xmemdup(s->vms, s->n_vms * sizeof(*s->vms)) : NULL;
    for (size_t i = 0; i < p->n_moves; i++) {
        struct snap_vm *v = &ret->vms[p->moves[i].vm];
        v->host = p->moves[i].to;
        v->moving_to = -1;
        v->nowhere = false;
    }
}
