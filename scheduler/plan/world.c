#include "scheduler/plan/world.h"

#include <assert.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/cpu.h"

bool plan_counts(const struct snapshot *s, int vm)
{
    return s->vms[vm].v->state != VM_SHUTOFF || s->vms[vm].will_start;
}

struct plan_load plan_need(const struct vm *v)
{
    return (struct plan_load){.mem_bytes = vm_need_bytes(v),
                              .vcpus = v->vcpus > 0 ? v->vcpus : 0,
                              .huge_bytes = v->hugepage_bytes};
}

static void add(struct plan_world *w, int vm, int host, int sign)
{
    if (host < 0 || !plan_counts(w->s, vm))
        return;
    struct plan_load need = plan_need(w->s->vms[vm].v);
    w->load[host].mem_bytes += sign * need.mem_bytes;
    w->load[host].vcpus += sign * need.vcpus;
    w->load[host].huge_bytes += sign * need.huge_bytes;
}

static void add_end(struct plan_world *w, int vm, int sign)
{
    if (plan_counts(w->s, vm) && plan_end(w, vm) >= 0)
        w->end_bytes[plan_end(w, vm)] += sign * plan_need(w->s->vms[vm].v).mem_bytes;
}

void plan_world_put(struct plan_world *w, int vm, int host)
{
    assert(w->f.to[vm] < 0);
    add_end(w, vm, -1);
    w->f.to[vm] = host;
    add(w, vm, host, 1);
    add_end(w, vm, 1);
}

void plan_world_take(struct plan_world *w, int vm)
{
    assert(w->f.to[vm] >= 0);
    add_end(w, vm, -1);
    add(w, vm, w->f.to[vm], -1);
    w->f.to[vm] = -1;
    add_end(w, vm, 1);
}

static void init_fleet(struct plan_world *w)
{
    const struct snapshot *s = w->s;
    w->f = (struct fleet){
        .vms = xcalloc(s->n_vms, sizeof(*w->f.vms)),
        .n_vms = s->n_vms,
        .hosts = xcalloc(s->n_hosts, sizeof(*w->f.hosts)),
        .n_hosts = s->n_hosts,
        .at = xcalloc(s->n_vms, sizeof(*w->f.at)),
        .to = xcalloc(s->n_vms, sizeof(*w->f.to)),
    };
    w->load = xcalloc(s->n_hosts, sizeof(*w->load));
    w->end_bytes = xcalloc(s->n_hosts, sizeof(*w->end_bytes));
    for (size_t i = 0; i < s->n_hosts; i++)
        w->f.hosts[i] = s->hosts[i].h;
    for (size_t i = 0; i < s->n_vms; i++) {
        w->f.vms[i] = s->vms[i].v;
        w->f.at[i] = s->vms[i].nowhere ? -1 : s->vms[i].host;
        bool moves = s->vms[i].moving_to != s->vms[i].host;
        w->f.to[i] = moves ? s->vms[i].moving_to : -1;
        add(w, (int)i, w->f.at[i], 1);
        add(w, (int)i, w->f.to[i], 1);
        add_end(w, (int)i, 1);
    }
}

static void init_by_host(struct plan_world *w)
{
    size_t n = w->s->n_vms, hosts = w->s->n_hosts;
    w->by_host = xcalloc(2 * n, sizeof(*w->by_host));
    w->by_host_start = xcalloc(hosts + 2, sizeof(*w->by_host_start));
    size_t *fill = w->by_host_start + 1; /* becomes start[] once every slot is filled */
    for (size_t i = 0; i < n; i++) {
        if (w->f.at[i] >= 0)
            fill[w->f.at[i] + 1]++;
        if (w->f.to[i] >= 0)
            fill[w->f.to[i] + 1]++;
    }
    for (size_t h = 0; h < hosts; h++)
        fill[h + 1] += fill[h];
    for (size_t i = 0; i < n; i++) {
        if (w->f.at[i] >= 0)
            w->by_host[fill[w->f.at[i]]++] = (int)i;
        if (w->f.to[i] >= 0)
            w->by_host[fill[w->f.to[i]]++] = (int)i;
    }
}

static void init_rules(struct plan_world *w)
{
    size_t n = w->s->n_vms, n_rules = w->p->n_rules;
    w->match = xcalloc(n_rules, sizeof(*w->match));
    rules_match(w->p, &w->f, w->match);
    w->rules_start = xcalloc(n + 2, sizeof(*w->rules_start));
    size_t *fill = w->rules_start + 1; /* becomes start[] once every slot is filled */
    for (size_t r = 0; r < n_rules; r++)
        for (size_t i = 0; i < w->match[r].n_members; i++)
            fill[w->match[r].members[i] + 1]++;
    for (size_t i = 0; i < n; i++)
        fill[i + 1] += fill[i];
    w->rules = xcalloc(fill[n], sizeof(*w->rules));
    for (size_t r = 0; r < n_rules; r++)
        for (size_t i = 0; i < w->match[r].n_members; i++)
            w->rules[fill[w->match[r].members[i]]++] = (int)r;
}

/* FNV-1a: any good spread will do, its order is never seen. */
static uint64_t hash_text(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (; s && *s; s++)
        h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
    return h ^ h >> 32;
}

/* Mark VMs whose name (or UUID) another one has, by a table of the first VM of each text. */
static void mark_shared(struct plan_world *w, int *table, size_t mask, bool uuid)
{
    for (size_t i = 0; i <= mask; i++)
        table[i] = -1;
    for (size_t i = 0; i < w->s->n_vms; i++) {
        const char *text = uuid ? w->f.vms[i]->uuid : w->f.vms[i]->name;
        size_t at = hash_text(text) & mask;
        while (table[at] >= 0 &&
               !str_eq(text, uuid ? w->f.vms[table[at]]->uuid : w->f.vms[table[at]]->name))
            at = (at + 1) & mask;
        if (table[at] < 0)
            table[at] = (int)i;
        else
            w->name_shared[i] = w->name_shared[table[at]] = true;
    }
}

static void init_shared_names(struct plan_world *w)
{
    size_t size = 16;
    while (size < 2 * w->s->n_vms)
        size *= 2;
    cleanup(freep) int *table = xcalloc(size, sizeof(*table));
    w->name_shared = xcalloc(w->s->n_vms, sizeof(*w->name_shared));
    mark_shared(w, table, size - 1, false);
    mark_shared(w, table, size - 1, true);
}

static int by_vm_host(const void *a, const void *b)
{
    const struct plan_refusal *x = *(const struct plan_refusal *const *)a;
    const struct plan_refusal *y = *(const struct plan_refusal *const *)b;
    if (x->vm != y->vm)
        return x->vm < y->vm ? -1 : 1;
    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    return (x > y) - (x < y);
}

struct plan_index {
    struct plan_world w;           /* with nothing planned */
    const struct plan_index *like; /* borrows from it what concerns names and rules */
    struct rule_match *match;      /* own: of a rule about other hosts */
    bool *hosts;
};

struct plan_index *plan_index_new(const struct snapshot *s, const struct policy *p)
{
    struct plan_index *x = xcalloc(1, sizeof(*x));
    x->w = (struct plan_world){.s = s, .p = p};
    init_fleet(&x->w);
    init_by_host(&x->w);
    plan_cpu_init(&x->w);
    init_rules(&x->w);
    init_shared_names(&x->w);
    return x;
}

void plan_index_pad(struct plan_index *x, int host, struct plan_load pad)
{
    x->w.load[host].mem_bytes += pad.mem_bytes;
    x->w.load[host].vcpus += pad.vcpus;
    x->w.end_bytes[host] += pad.mem_bytes;
}

const struct snapshot *plan_index_snapshot(const struct plan_index *x)
{
    return x->w.s;
}

const struct policy *plan_index_policy(const struct plan_index *x)
{
    return x->w.p;
}

struct plan_index *plan_index_like(const struct plan_index *x, const struct snapshot *s,
                                   const struct policy *p, int rule)
{
    struct plan_index *y = xcalloc(1, sizeof(*y));
    y->like = x;
    y->w = (struct plan_world){.s = s,
                               .p = p,
                               .match = x->w.match,
                               .rules = x->w.rules,
                               .rules_start = x->w.rules_start,
                               .name_shared = x->w.name_shared};
    init_fleet(&y->w);
    init_by_host(&y->w);
    plan_cpu_init(&y->w);
    if (rule < 0)
        return y;
    y->match = xmemdup(x->w.match, p->n_rules * sizeof(*y->match));
    y->hosts = xcalloc(s->n_hosts, sizeof(*y->hosts));
    for (size_t h = 0; h < s->n_hosts; h++)
        y->hosts[h] = selector_matches_host(&p->rules[rule].hosts, s->hosts[h].h);
    y->match[rule].hosts = y->hosts;
    y->w.match = y->match;
    return y;
}

struct plan_index *plan_index_again(const struct plan_index *x, const struct snapshot *s)
{
    return plan_index_like(x, s, x->w.p, -1);
}

void plan_index_free(struct plan_index *x)
{
    if (x && x->like) {
        x->w.match = NULL;
        x->w.rules = NULL;
        x->w.rules_start = NULL;
        x->w.name_shared = NULL;
        free(x->match);
        free(x->hosts);
    }
    if (x)
        plan_world_done(&x->w);
    free(x);
}

static void init_refusals(struct plan_world *w)
{
    if (!w->r || !w->r->n_refusals)
        return;
    w->refusals = xcalloc(w->r->n_refusals, sizeof(*w->refusals));
    for (size_t i = 0; i < w->r->n_refusals; i++)
        w->refusals[i] = &w->r->refusals[i];
    qsort(w->refusals, w->r->n_refusals, sizeof(*w->refusals), by_vm_host);
}

static void *copy_of(const void *p, size_t n, size_t size)
{
    return n ? xmemdup(p, n * size) : NULL;
}

void plan_world_init(struct plan_world *w, const struct plan_index *x, const struct plan_request *r,
                     const int *planned, size_t n_planned)
{
    size_t n_vms = x->w.s->n_vms, n_hosts = x->w.s->n_hosts;
    *w = x->w;
    w->shared = true;
    w->r = r;
    w->planned = planned;
    w->n_planned = n_planned;
    w->f.to = copy_of(x->w.f.to, n_vms, sizeof(*w->f.to));
    w->f.leaving = xcalloc(n_vms, sizeof(*w->f.leaving));
    w->load = copy_of(x->w.load, n_hosts, sizeof(*w->load));
    w->end_bytes = copy_of(x->w.end_bytes, n_hosts, sizeof(*w->end_bytes));
    init_refusals(w);
}

static void shared_done(struct plan_world *w)
{
    for (size_t i = 0; w->match && i < w->p->n_rules; i++)
        rule_match_done(&w->match[i]);
    free(w->match);
    free(w->rules);
    free(w->rules_start);
    free(w->name_shared);
    free(w->by_host);
    free(w->by_host_start);
    free(w->cpu);
    free(w->f.vms);
    free(w->f.hosts);
    free(w->f.at);
}

void plan_world_done(struct plan_world *w)
{
    if (!w->shared)
        shared_done(w);
    free(w->load);
    free(w->end_bytes);
    free(w->refusals);
    free(w->f.to);
    free(w->f.leaving);
    *w = (struct plan_world){0};
}

static int64_t share(int64_t n, int64_t ppm)
{
    return (int64_t)((__int128)n * ppm / 1000000);
}

int64_t plan_mem_capacity(const struct plan_world *w, int host)
{
    int64_t mem = w->s->hosts[host].h->mem_bytes;
    if (mem < 0)
        return -1;
    int64_t cap = share(mem, w->p->capacity.mem_overcommit_ppm) - w->p->capacity.mem_reserve_bytes;
    return cap > 0 ? cap : 0;
}

int64_t plan_free_bytes(const struct snapshot *s, const struct policy *p, int host)
{
    int64_t left = plan_mem_capacity(&(struct plan_world){.s = s, .p = p}, host);
    for (size_t i = 0; left >= 0 && i < s->n_vms; i++)
        if (plan_counts(s, (int)i) && !s->vms[i].nowhere &&
            (s->vms[i].host == host || s->vms[i].moving_to == host))
            left -= plan_need(s->vms[i].v).mem_bytes;
    return left;
}

int64_t plan_vcpu_capacity(const struct plan_world *w, int host)
{
    int64_t cpus = w->s->hosts[host].h->cpus;
    return cpus < 0 ? -1 : share(cpus, w->p->capacity.vcpu_overcommit_ppm);
}
