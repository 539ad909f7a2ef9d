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
    int *domain[3]; /* by enum domain_level, once some rule asked */
    int n_domains[3];
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
    if (l->n++ < NAMED)
        text_join(&l->text, ", ", text);
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

struct spots {         /* members by domain; the last is of hosts that name none */
    const int *domain; /* per host */
    int n;
    int *vms;      /* of domain d, in the order of members: [start[d], start[d + 1]) */
    size_t *start; /* n + 3: one more while they are counted */
};

static void spots_done(struct spots *s)
{
    free(s->vms);
    free(s->start);
}

static int64_t count_at(const struct spots *s, int spot)
{
    return (int64_t)(s->start[spot + 1] - s->start[spot]);
}

/* -1: it counts nowhere. only: hosts that count, NULL: all. */
static int spot_of(const struct finding *k, const struct spots *s, int vm, const bool *only)
{
    int h = end_of(k, vm);
    if (h < 0 || (only && !only[h]))
        return -1;
    return s->domain[h] < 0 ? s->n : s->domain[h];
}

static void find_spots(struct finding *k, int rule, const bool *only, struct spots *ret)
{
    const struct rule_match *m = &k->w.match[rule];
    int level = k->w.p->rules[rule].across;
    if (!k->domain[level])
        k->domain[level] = number_domains(level, &k->w.f, &k->n_domains[level]);
    ret->domain = k->domain[level];
    ret->n = k->n_domains[level];
    ret->vms = xcalloc(m->n_members + 1, sizeof(*ret->vms));
    ret->start = xcalloc((size_t)ret->n + 3, sizeof(*ret->start));
    for (size_t i = 0; i < m->n_members; i++) {
        int d = spot_of(k, ret, m->members[i], only);
        if (d >= 0)
            ret->start[d + 2]++;
    }
    for (int d = 0; d <= ret->n; d++)
        ret->start[d + 2] += ret->start[d + 1];
    for (size_t i = 0; i < m->n_members; i++) {
        int d = spot_of(k, ret, m->members[i], only);
        if (d >= 0)
            ret->vms[ret->start[d + 1]++] = m->members[i];
    }
}

static char *members_in(const struct finding *k, const struct spots *s, int spot)
{
    struct names l = {0};
    for (size_t i = s->start[spot]; i < s->start[spot + 1]; i++)
        name(&l, k->w.f.vms[s->vms[i]]->name);
    return names_take(&l);
}

static char *domain_of(const struct finding *k, int rule, const struct spots *s, int spot)
{
    int h = end_of(k, s->vms[s->start[spot]]);
    return domain_text(k->w.p->rules[rule].across, k->w.f.hosts[h]);
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
        int64_t n = count_at(&s, d);
        bool unknown = d == s.n && r->kind != RULE_MAX_VMS; /* nothing proves that it holds */
        if (n <= max && !(unknown && n))
            continue;
        cleanup(freep) char *who = members_in(k, &s, d);
        cleanup(freep) char *where = domain_of(k, rule, &s, d);
        if (r->kind == RULE_MAX_VMS)
            add(k, rule, n - max,
                xasprintf("%lld of its VMs are in %s, at most %lld may: %s", (long long)n, where,
                          (long long)max, who));
        else
            add(k, rule, unknown ? n : n - max,
                xasprintf("%s %s in %s", who, n == 1 ? "is" : "are", where));
    }
}

/* Places beyond those that are named are counted: a rule about a whole fleet is in all of it. */
static char *where_they_are(const struct finding *k, int rule, const struct spots *s)
{
    struct names l = {0};
    for (int d = 0; d <= s->n; d++) {
        if (!count_at(s, d))
            continue;
        if (l.n >= NAMED) {
            l.n++;
            continue;
        }
        cleanup(freep) char *who = members_in(k, s, d);
        cleanup(freep) char *where = domain_of(k, rule, s, d);
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
        places += count_at(&s, d) > 0;
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
        places += d < s.n && count_at(&s, d);
        members += count_at(&s, d);
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
    for (size_t i = 0; i < ARRAY_LEN(k.domain); i++)
        free(k.domain[i]);
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

static void set_leaving(struct plan_world *w, int host, bool leaving)
{
    for (size_t i = w->by_host_start[host]; i < w->by_host_start[host + 1]; i++)
        w->f.leaving[w->by_host[i]] = leaving;
}

/* What one host costs: rules look at all their VMs. */
static int64_t cost_of(const struct plan_world *w, int vm)
{
    int64_t n = 16; /* the other filters */
    for (size_t i = w->rules_start[vm]; i < w->rules_start[vm + 1]; i++)
        n += (int64_t)w->match[w->rules[i]].n_members;
    return n;
}

/* As plan_allows_from asks: its neighbours may follow it. */
static bool may_go(struct plan_world *w, int vm, int64_t *budget)
{
    int at = w->s->vms[vm].host;
    bool found = false;
    if (at < 0 || !plan_vm_movable(w->s, w->p, vm, NULL))
        return false;
    set_leaving(w, at, true);
    int64_t cost = cost_of(w, vm);
    for (int h = 0; (size_t)h < w->s->n_hosts && !found; h++) {
        const struct plan_ask q = {.vm = vm, .host = h};
        if (h == at)
            continue;
        *budget -= cost;
        found = plan_filter(w, &q, PF_STATIC | PF_DYNAMIC, NULL);
    }
    set_leaving(w, at, false);
    return found;
}

bool *plan_find_stuck(const struct plan_index *x, const bool *asked, int64_t *budget)
{
    struct plan_world w;
    plan_world_init(&w, x, NULL, NULL, 0);
    bool *stuck = xcalloc(w.s->n_vms + 1, sizeof(*stuck));
    for (size_t i = 0; i<w.s->n_vms && * budget> 0; i++)
        if (w.s->vms[i].v->state == VM_RUNNING && w.s->vms[i].moving_to < 0 && (!asked || asked[i]))
            stuck[i] = !may_go(&w, (int)i, budget);
    plan_world_done(&w);
    return stuck;
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
