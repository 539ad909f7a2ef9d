/* What counting proves: VMs of a request that cannot all go, whatever of it goes where and in whatever
 * order. VMs that the request is not about stay where they are. Every count errs on the side of more
 * room than there is: moves under way have ended, VMs of the request are gone from where they were,
 * hosts in an unknown rack or zone are each in one of their own. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/making.h"
#include "scheduler/plan/ways.h"

/* Sets of hosts that are looked at; the rest of a request with more kinds of VMs is not counted. */
enum { SETS_MOST = 64, HOSTS_TEXT = 128 };

struct counting {
    struct making k; /* world and list of the VMs that may move */
    struct plan_ways *ret;
    bool *asked;           /* per VM: of the list */
    int64_t *bytes, *cpus; /* per host: free at most; cpus −1: no limit */
    bool *alone;           /* per VM of the list: it can go nowhere by itself */
    struct plan_classes sets;
};
/* VMs of the list, and the hosts that may take one of them. */
struct crowd {
    uint64_t *hosts;
    int *at; /* places in the list */
    size_t n;
    int64_t n_hosts;
    int64_t n_dark; /* of these the memory is not known: they take nothing until it is */
};

static bool in(const uint64_t *bits, size_t h)
{
    return bits[h >> 6] >> (h & 63) & 1;
}

static struct plan_load need_of(const struct counting *c, size_t i)
{
    return plan_need(c->k.w.s->vms[c->k.list[i].vm].v);
}

/* ---- what is free at most ------------------------------------------------------------------------- */

static void count_free(struct counting *c)
{
    const struct plan_world *w = &c->k.w;
    for (size_t h = 0; h < w->s->n_hosts; h++) {
        c->bytes[h] = plan_mem_capacity(w, (int)h);
        c->cpus[h] = plan_vcpu_capacity(w, (int)h);
    }
    for (size_t i = 0; i < w->s->n_vms; i++) {
        const struct snap_vm *v = &w->s->vms[i];
        int at = v->moving_to >= 0 ? v->moving_to : v->host;
        if (c->asked[i] || v->nowhere || !plan_counts(w->s, (int)i))
            continue;
        c->bytes[at] -= plan_need(v->v).mem_bytes;
        if (plan_vcpu_capacity(w, at) >= 0)
            c->cpus[at] -= plan_need(v->v).vcpus;
    }
    for (size_t h = 0; h < w->s->n_hosts; h++) {
        c->bytes[h] = c->bytes[h] > 0 ? c->bytes[h] : 0;
        if (plan_vcpu_capacity(w, (int)h) < 0)
            c->cpus[h] = -1;
        else
            c->cpus[h] = c->cpus[h] > 0 ? c->cpus[h] : 0;
    }
}

/* ---- saying it ------------------------------------------------------------------------------------- */

static struct shortage *add(struct counting *c, int kind, const struct crowd *x, int64_t need,
                            int64_t have)
{
    struct shortage *s = vec_add(&c->ret->shortages, &c->ret->n_shortages);
    shape_init(&shortage_shape, s);
    s->kind = kind;
    s->hosts = x->n_hosts;
    s->need_n = need;
    s->have_n = have;
    for (size_t i = 0; i < x->n; i++)
        *vec_add(&s->vms, &s->n_vms) = xstrdup(c->k.w.s->vms[c->k.list[x->at[i]].vm].v->name);
    return s;
}

char *plan_exact_bytes(int64_t bytes)
{
    char a[FMT_BYTES];
    fmt_bytes(a, bytes);
    bool whole = bytes % GIB == 0 || (bytes < 100 * GIB && bytes % (GIB / 2) == 0) ||
                 (bytes < GIB && bytes % MIB == 0);
    if (whole)
        return xstrdup(a);
    return bytes % MIB ? xasprintf("%lld bytes (%s)", (long long)bytes, a)
                       : xasprintf("%lld MiB (%s)", (long long)(bytes / MIB), a);
}

/* Two amounts as they are read beside each other: never the same words for different ones. */
static void both_bytes(int64_t a, int64_t b, char *ret[2])
{
    char x[FMT_BYTES], y[FMT_BYTES];
    bool same = str_eq(fmt_bytes(x, a), fmt_bytes(y, b));
    ret[0] = same ? plan_exact_bytes(a) : xstrdup(x);
    ret[1] = same ? plan_exact_bytes(b) : xstrdup(y);
}

static void count_host(const struct counting *c, size_t h, struct crowd *x)
{
    x->n_hosts++;
    x->n_dark += plan_mem_capacity(&c->k.w, (int)h) < 0;
}

static const char *hosts_text(const struct crowd *x, char *buf, size_t size)
{
    int n = snprintf(buf, size, "%lld allowed host%s", (long long)x->n_hosts,
                     x->n_hosts == 1 ? "" : "s");
    if (x->n_dark)
        snprintf(buf + n, size - (size_t)n, " (of %lld the memory is not known)",
                 (long long)x->n_dark);
    return buf;
}

static char *free_at_most(const struct crowd *x, const char *need, const char *have,
                          const char *best)
{
    if (x->n_dark)
        return xasprintf(
            "needs %s; %s free at most (%s), and of %lld host%s the memory is not known", need,
            have, best, (long long)x->n_dark, x->n_dark == 1 ? "" : "s");
    return xasprintf("needs %s; %s free at most (%s)", need, have, best);
}

static void say_sum(struct counting *c, int kind, const struct crowd *x, int64_t need, int64_t have)
{
    struct shortage *s = add(c, kind, x, need, have);
    char hosts[HOSTS_TEXT], *t[2] = {NULL, NULL};
    hosts_text(x, hosts, sizeof(hosts));
    if (kind == SHORT_MEMORY) {
        both_bytes(need, have, t);
        s->text = xasprintf("%zu VMs need %s together; %s free on %s", x->n, t[0], t[1], hosts);
    } else {
        s->text = xasprintf("%zu VMs need %lld vCPUs together; %lld free on %s", x->n,
                            (long long)need, (long long)have, hosts);
    }
    free(t[0]);
    free(t[1]);
}

/* ---- one VM ----------------------------------------------------------------------------------------- */

static void check_alone(struct counting *c, size_t i)
{
    const struct plan_world *w = &c->k.w;
    const uint64_t *set = c->sets.sets[c->sets.class_of[i]];
    struct plan_load need = need_of(c, i);
    int at = (int)i, most = -1, most_cpus = -1;
    struct crowd x = {.at = &at, .n = 1};
    for (size_t h = 0; h < w->s->n_hosts; h++) {
        if (!in(set, h))
            continue;
        count_host(c, h, &x);
        if (most < 0 || c->bytes[h] > c->bytes[most])
            most = (int)h;
        if (most_cpus < 0 || c->cpus[h] < 0 ||
            (c->cpus[most_cpus] >= 0 && c->cpus[h] > c->cpus[most_cpus]))
            most_cpus = (int)h;
    }
    c->alone[i] = !x.n_hosts;
    if (most < 0 || !plan_counts(w->s, c->k.list[i].vm))
        return;
    bool memory = c->bytes[most] < need.mem_bytes;
    bool cpus = c->cpus[most_cpus] >= 0 && c->cpus[most_cpus] < need.vcpus;
    if (!memory && !cpus)
        return;
    c->alone[i] = true;
    if (memory && x.n_dark == x.n_hosts)
        return; /* nothing was counted */
    int64_t want = memory ? need.mem_bytes : need.vcpus;
    int64_t have = memory ? c->bytes[most] : c->cpus[most_cpus];
    struct shortage *s = add(c, memory ? SHORT_MEMORY : SHORT_VCPUS, &x, want, have);
    s->best = xstrdup(w->s->hosts[memory ? most : most_cpus].h->name);
    char *t[2] = {NULL, NULL};
    both_bytes(want, have, t);
    s->text = memory ? free_at_most(&x, t[0], t[1], s->best)
                     : xasprintf("needs %lld vCPUs; %lld free at most (%s)", (long long)want,
                                 (long long)have, s->best);
    free(t[0]);
    free(t[1]);
}

/* ---- several together ------------------------------------------------------------------------------- */

/* Those that can only go to hosts of the set. What can go nowhere was said by itself. */
static void gather(const struct counting *c, const uint64_t *set, struct crowd *ret)
{
    size_t words = plan_set_words(c->k.w.s->n_hosts);
    *ret = (struct crowd){.hosts = xcalloc(words, sizeof(uint64_t)),
                          .at = xcalloc(c->k.n, sizeof(int))};
    for (size_t i = 0; i < c->k.n; i++) {
        const uint64_t *own = c->sets.sets[c->sets.class_of[i]];
        bool inside = !c->alone[i] && plan_counts(c->k.w.s, c->k.list[i].vm);
        for (size_t x = 0; x < words && inside; x++)
            inside = !(own[x] & ~set[x]);
        if (!inside)
            continue;
        for (size_t x = 0; x < words; x++)
            ret->hosts[x] |= own[x];
        ret->at[ret->n++] = (int)i;
    }
    for (size_t h = 0; h < c->k.w.s->n_hosts; h++)
        if (in(ret->hosts, h))
            count_host(c, h, ret);
}

static void crowd_done(struct crowd *x)
{
    free(x->hosts);
    free(x->at);
}

static bool check_sums(struct counting *c, const struct crowd *x)
{
    int64_t need = 0, have = 0, cpus = 0, have_cpus = 0;
    bool counted = true;
    for (size_t i = 0; i < x->n; i++) {
        need += need_of(c, (size_t)x->at[i]).mem_bytes;
        cpus += need_of(c, (size_t)x->at[i]).vcpus;
    }
    for (size_t h = 0; h < c->k.w.s->n_hosts; h++) {
        if (!in(x->hosts, h))
            continue;
        have += c->bytes[h];
        have_cpus += c->cpus[h];
        counted = counted && c->cpus[h] >= 0;
    }
    if (need > have)
        say_sum(c, SHORT_MEMORY, x, need, have);
    if (counted && cpus > have_cpus)
        say_sum(c, SHORT_VCPUS, x, cpus, have_cpus);
    return need > have || (counted && cpus > have_cpus);
}

static int larger_first(const void *a, const void *b, void *ctx)
{
    const struct counting *c = ctx;
    int x = *(const int *)a, y = *(const int *)b;
    int64_t mx = need_of(c, (size_t)x).mem_bytes, my = need_of(c, (size_t)y).mem_bytes;
    return mx != my ? (mx > my ? -1 : 1) : x - y;
}

/* So many of at least this size, and on each host room for so many of them. */
static bool check_pieces(struct counting *c, struct crowd *x)
{
    qsort_r(x->at, x->n, sizeof(*x->at), larger_first, c);
    for (size_t n = 1; n <= x->n; n++) {
        int64_t size = need_of(c, (size_t)x->at[n - 1]).mem_bytes, places = 0;
        if (size <= 0 || (n < x->n && need_of(c, (size_t)x->at[n]).mem_bytes == size))
            continue;
        for (size_t h = 0; h < c->k.w.s->n_hosts && places < (int64_t)n; h++)
            places += in(x->hosts, h) ? c->bytes[h] / size : 0;
        if (places >= (int64_t)n)
            continue;
        struct crowd few = *x;
        few.n = n;
        struct shortage *s = add(c, SHORT_PIECES, &few, (int64_t)n, places);
        char a[FMT_BYTES], hosts[HOSTS_TEXT];
        s->text =
            xasprintf("%zu VMs need %s or more each; room for %lld of them on %s", n,
                      fmt_bytes(a, size), (long long)places, hosts_text(x, hosts, sizeof(hosts)));
        return true;
    }
    return false;
}

static void check_together(struct counting *c, const uint64_t *set)
{
    struct crowd x;
    gather(c, set, &x);
    if (x.n > 1 && !check_sums(c, &x))
        check_pieces(c, &x);
    crowd_done(&x);
}

/* The same count once only: sets of hosts may gather the same VMs. */
static bool said(const struct counting *c, size_t from)
{
    const struct shortage *last = &c->ret->shortages[c->ret->n_shortages - 1];
    for (size_t i = from; i + 1 < c->ret->n_shortages; i++)
        if (str_eq(c->ret->shortages[i].text, last->text))
            return true;
    return false;
}

static void check_sets(struct counting *c)
{
    size_t words = plan_set_words(c->k.w.s->n_hosts), before = c->ret->n_shortages;
    cleanup(freep) uint64_t *all = xcalloc(words, sizeof(*all));
    for (size_t i = 0; i <= c->sets.n_sets && i <= SETS_MOST; i++) {
        bool last = i == c->sets.n_sets || i == SETS_MOST;
        size_t was = c->ret->n_shortages;
        for (size_t x = 0; x < words && !last; x++)
            all[x] |= c->sets.sets[i][x];
        if (last && was > before)
            break; /* a part of them is short already: that says more */
        check_together(c, last ? all : c->sets.sets[i]);
        while (c->ret->n_shortages > was && said(c, before))
            shape_done(&shortage_shape, &c->ret->shortages[--c->ret->n_shortages]);
    }
}

/* ---- rules ------------------------------------------------------------------------------------------- */

/* Members of the rule among those to be moved, with the hosts that may take one. False: there is none,
 * or two definitions of one VM, of which nobody knows here which counts. */
static bool gather_rule(const struct counting *c, const struct rule_match *m, struct crowd *ret)
{
    const struct plan_world *w = &c->k.w;
    size_t words = plan_set_words(w->s->n_hosts);
    bool known = true;
    *ret = (struct crowd){.hosts = xcalloc(words, sizeof(uint64_t)),
                          .at = xcalloc(c->k.n, sizeof(int))};
    cleanup(freep) bool *member = xcalloc(w->s->n_vms, sizeof(*member));
    for (size_t i = 0; i < m->n_members; i++)
        member[m->members[i]] = true;
    for (size_t i = 0; i < c->k.n; i++) {
        if (!member[c->k.list[i].vm] || c->alone[i])
            continue;
        known = known && !w->name_shared[c->k.list[i].vm];
        for (size_t x = 0; x < words; x++)
            ret->hosts[x] |= c->sets.sets[c->sets.class_of[i]][x];
        ret->at[ret->n++] = (int)i;
    }
    for (size_t h = 0; h < w->s->n_hosts; h++)
        ret->n_hosts += in(ret->hosts, h);
    return known && ret->n;
}

/* Places that the rule has on these hosts; −1: no limit. */
static int64_t places_of(const struct counting *c, const struct rule *r, const struct rule_match *m,
                         const struct crowd *x)
{
    const struct plan_world *w = &c->k.w;
    bool apart = r->kind == RULE_ANTI_AFFINITY;
    int n;
    cleanup(freep) int *domain = number_domains(r->across, &w->f, &n);
    for (size_t h = 0; h < w->s->n_hosts; h++)
        domain[h] = domain[h] < 0 ? n++ : domain[h];
    cleanup(freep) int64_t *there = xcalloc((size_t)n, sizeof(*there));
    cleanup(freep) bool *open = xcalloc((size_t)n, sizeof(*open));
    for (size_t i = 0; i < m->n_members; i++) {
        const struct snap_vm *v = &w->s->vms[m->members[i]];
        int at = v->moving_to >= 0 ? v->moving_to : v->host;
        if (!c->asked[m->members[i]] && !v->nowhere && !w->name_shared[m->members[i]] &&
            (apart || m->hosts[at]))
            there[domain[at]]++;
    }
    for (size_t h = 0; h < w->s->n_hosts; h++) {
        if (!in(x->hosts, h))
            continue;
        if (!apart && !m->hosts[h])
            return -1;
        open[domain[h]] = true;
    }
    int64_t sum = 0, limit = apart ? 1 : r->max;
    for (int d = 0; d < n; d++)
        sum += open[d] && there[d] < limit ? limit - there[d] : 0;
    return sum;
}

static void check_rule(struct counting *c, const struct rule *r, const struct rule_match *m)
{
    struct crowd x;
    bool any = false;
    for (size_t i = 0; i < m->n_members && !any; i++)
        any = c->asked[m->members[i]];
    if (!any)
        return;
    bool known = gather_rule(c, m, &x);
    int64_t have = known ? places_of(c, r, m, &x) : -1;
    if (have >= 0 && have < (int64_t)x.n) {
        bool apart = r->kind == RULE_ANTI_AFFINITY;
        char hosts[HOSTS_TEXT];
        hosts_text(&x, hosts, sizeof(hosts));
        struct shortage *s = add(c, apart ? SHORT_APART : SHORT_NUMBER, &x, (int64_t)x.n, have);
        s->rule = xstrdup(r->name);
        s->where = xstrdup(r->where);
        s->text =
            xasprintf("%zu VM%s need%s a %s%s %s rule %s (policy %s); %lld left on %s", x.n,
                      x.n == 1 ? "" : "s", x.n == 1 ? "s" : "",
                      apart ? domain_level_names[r->across] : "place", x.n == 1 ? "" : " each",
                      apart ? "without another VM of" : "under max of", r->name,
                      r->where ? r->where : "?", (long long)have, hosts);
    }
    crowd_done(&x);
}

void plan_shortages(const struct plan_index *x, const struct plan_request *r, const int *vms,
                    size_t n, struct plan_ways *ret)
{
    struct counting c = {.k = {.r = r}, .ret = ret};
    plan_world_init(&c.k.w, x, r, vms, n);
    const struct snapshot *s = c.k.w.s;
    c.k.list = xcalloc(n, sizeof(*c.k.list));
    c.asked = xcalloc(s->n_vms, sizeof(*c.asked));
    c.bytes = xcalloc(s->n_hosts, sizeof(*c.bytes));
    c.cpus = xcalloc(s->n_hosts, sizeof(*c.cpus));
    c.alone = xcalloc(n, sizeof(*c.alone));
    for (size_t i = 0; i < n; i++) {
        if (c.asked[vms[i]] || !making_may_move(&c.k, vms[i], &c.k.list[c.k.n], NULL))
            continue;
        c.asked[vms[i]] = true;
        c.k.n++;
    }
    count_free(&c);
    plan_classes_make(&c.k.w, c.k.list, c.k.n, r->allow_cold, &c.sets);
    for (size_t i = 0; i < c.k.n; i++)
        check_alone(&c, i);
    check_sets(&c);
    for (size_t i = 0; i < c.k.w.p->n_rules; i++) {
        const struct rule *rule = &c.k.w.p->rules[i];
        if (rule->hard && (rule->kind == RULE_ANTI_AFFINITY || rule->kind == RULE_MAX_VMS))
            check_rule(&c, rule, &c.k.w.match[i]);
    }
    plan_classes_done(&c.sets);
    plan_world_done(&c.k.w);
    free(c.k.list);
    free(c.asked);
    free(c.bytes);
    free(c.cpus);
    free(c.alone);
}
