#include "scheduler/plan/translate_int.h"

#include <assert.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/classes.h"
#include "scheduler/plan/cpu.h"

/* A wish for a host is worth more than all soft rules together, which weigh at most 1000 each. */
static const int64_t WISH_WEIGHT = INT64_C(1) << 32;

static void *own(struct work *k, void *p)
{
    *vec_add(&k->t->owned, &k->t->n_owned) = p;
    return p;
}

void *translate_array(struct work *k, size_t n, size_t size)
{
    return own(k, xcalloc(n ? n : 1, size));
}

/* ---- items ------------------------------------------------------------------------------------ */

static int find_root(int *parent, int i)
{
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

/* VMs of one host that a hard affinity rule binds together are one item; not where room is made for one of
 * them, or by one of them: then each counts. */
static void bind_together(const struct work *k, int *parent)
{
    const struct policy *p = k->w->p;
    for (size_t r = 0; r < p->n_rules; r++) {
        const struct rule_match *m = &k->w->match[r];
        if (p->rules[r].kind != RULE_AFFINITY || !p->rules[r].hard ||
            p->rules[r].across != ACROSS_HOST)
            continue;
        for (size_t i = 0; i < m->n_members; i++)
            for (size_t j = 0; j < i; j++) {
                int a = m->members[i], b = m->members[j];
                if (k->item_of[a] >= 0 && k->item_of[b] >= 0 && k->w->f.at[a] == k->w->f.at[b]) {
                    parent[find_root(parent, k->item_of[a])] = find_root(parent, k->item_of[b]);
                    break;
                }
            }
    }
}

static void make_items(struct work *k)
{
    struct translation *t = k->t;
    cleanup(freep) int *parent = xcalloc(k->n, sizeof(*parent));
    cleanup(freep) int *number = xcalloc(k->n, sizeof(*number));
    k->item_of = translate_array(k, k->w->s->n_vms, sizeof(*k->item_of));
    t->item_of = translate_array(k, k->n, sizeof(*t->item_of));
    for (size_t i = 0; i < k->w->s->n_vms; i++)
        k->item_of[i] = -1;
    for (size_t i = 0; i < k->n; i++) {
        parent[i] = (int)i;
        k->item_of[k->list[i].vm] = (int)i; /* for now: its place in the list */
    }
    if (!k->g->room)
        bind_together(k, parent);
    for (size_t i = 0; i < k->n; i++)
        if (parent[i] == (int)i)
            number[i] = t->p.n_items++;
    for (size_t i = 0; i < k->n; i++)
        t->item_of[i] = k->item_of[k->list[i].vm] = number[find_root(parent, (int)i)];
}

/* The VM that is to have room: to the engine a new one, beside the one that stays where it is. */
static bool is_asked_for(const struct work *k, size_t i)
{
    return k->g->room && k->list[i].must_leave;
}

/* By the hard rules about hosts; that its host is cordoned, say, is no reason to leave it. */
static bool home_is_allowed(const struct plan_world *w, int vm)
{
    for (size_t i = w->rules_start[vm]; i < w->rules_start[vm + 1]; i++) {
        const struct rule *r = &w->p->rules[w->rules[i]];
        if (r->hard && plan_rule_about_hosts(r) &&
            !rule_defs[r->kind]->allows(r, &w->match[w->rules[i]], &w->f, vm, w->f.at[vm], NULL))
            return false;
    }
    return true;
}

static void size_items(struct work *k)
{
    struct problem *p = &k->t->p;
    const struct snapshot *s = k->w->s;
    int64_t *size = translate_array(k, (size_t)p->n_items * (size_t)k->n_res, sizeof(*size));
    int64_t *need = translate_array(k, (size_t)p->n_items, sizeof(*need));
    int64_t *cost = translate_array(k, (size_t)p->n_items, sizeof(*cost));
    int *home = translate_array(k, (size_t)p->n_items, sizeof(*home));
    for (size_t i = 0; i < k->n; i++) {
        int vm = k->list[i].vm, at = k->item_of[vm];
        int64_t *x = &size[(size_t)at * (size_t)k->n_res];
        struct plan_load l = plan_need(s->vms[vm].v);
        if (plan_counts(s, vm)) {
            x[RES_MEM] += plan_pages_up(l.mem_bytes);
            x[RES_VCPU] += l.vcpus;
            x[RES_HUGE] += plan_pages_up(l.huge_bytes);
            plan_cells_need(&k->cells, s->vms[vm].v, x + N_RES);
            for (int by = 0; by < PLAN_CPU_FIGURES; by++)
                if (k->res_cpu[by] >= 0)
                    x[k->res_cpu[by]] += plan_cpu_vm_by(k->w, vm, by);
        }
        x[RES_WEIGHT] += plan_pages_up(l.mem_bytes);
        /* leaving a running VM behind is worse than leaving any number of shut-off ones */
        if (k->list[i].must_leave)
            need[at] += plan_counts(s, vm) ? (int64_t)k->n + 1 : 1;
        else
            need[at] += !home_is_allowed(k->w, vm);
        cost[at] += k->g->price_per_move + k->g->price_per_gib * l.mem_bytes / GIB;
        home[at] =
            is_asked_for(k, i) ? -1 : k->w->f.at[vm]; /* it comes last: where it is, it stays */
    }
    p->size = size;
    p->need = need;
    p->move_cost = cost;
    p->home = home;
}

/* ---- hosts ------------------------------------------------------------------------------------ */

static void make_machines(struct work *k)
{
    const struct plan_world *w = k->w;
    struct problem *p = &k->t->p;
    cleanup(freep) struct plan_load *less = plan_leaving(w);
    int64_t *cap = translate_array(k, n_hosts(k) * (size_t)k->n_res, sizeof(*cap));
    int64_t *base = translate_array(k, n_hosts(k) * (size_t)k->n_res, sizeof(*base));
    for (size_t h = 0; h < n_hosts(k); h++) {
        int64_t *c = &cap[h * (size_t)k->n_res], *b = &base[h * (size_t)k->n_res];
        int64_t mem = plan_mem_capacity(w, (int)h), cpus = plan_vcpu_capacity(w, (int)h);
        c[RES_MEM] = mem > 0 ? mem / PLAN_PAGE : 0;
        c[RES_VCPU] = cpus < 0 ? INT64_MAX / 4 : cpus;
        c[RES_HUGE] = w->s->hosts[h].h->hugepage_total_bytes / PLAN_PAGE;
        c[RES_WEIGHT] = INT64_MAX / 4;
        b[RES_MEM] = plan_pages_up(w->load[h].mem_bytes - less[h].mem_bytes);
        b[RES_VCPU] = w->load[h].vcpus - less[h].vcpus;
        b[RES_HUGE] = plan_pages_up(w->load[h].huge_bytes - less[h].huge_bytes);
        b[RES_WEIGHT] = b[RES_MEM];
        if (mem < 0) /* not known: full, and not too full */
            c[RES_MEM] = b[RES_MEM];
        else
            c[RES_MEM] -= plan_pages_up(w->load[h].mem_bytes) - b[RES_MEM];
        c[RES_VCPU] -= less[h].vcpus;
        c[RES_HUGE] -= plan_pages_up(w->load[h].huge_bytes) - b[RES_HUGE];
        plan_cells_capacity(&k->cells, w->s->hosts[h].h, c + N_RES);
    }
    plan_cells_base(&k->cells, w, base + N_RES, (size_t)k->n_res);
    for (int by = 0; by < PLAN_CPU_FIGURES; by++) {
        cleanup(freep) int64_t *cpu = k->res_cpu[by] >= 0 ? plan_cpu_end_by(w, by) : NULL;
        for (size_t h = 0; cpu && h < n_hosts(k); h++) {
            cap[h * (size_t)k->n_res + (size_t)k->res_cpu[by]] = INT64_MAX / 4;
            base[h * (size_t)k->n_res + (size_t)k->res_cpu[by]] = cpu[h];
        }
    }
    for (int i = 0; i < p->n_items; i++) /* items are no base: the state adds them at home */
        for (int r = 0; p->home[i] >= 0 && r < k->n_res; r++)
            base[(size_t)p->home[i] * (size_t)k->n_res + (size_t)r] -=
                r == RES_WEIGHT ? p->size[(size_t)i * (size_t)k->n_res + RES_MEM]
                                : p->size[(size_t)i * (size_t)k->n_res + (size_t)r];
    if (k->g->handed)
        plan_slack(w, k->list, k->n, base, (size_t)k->n_res);
    p->n_machines = (int)n_hosts(k);
    p->n_res = k->n_res;
    p->n_variants = 1;
    p->cap = cap;
    p->base = base;
    p->held_res =
        k->g->room || k->g->handed ? 0 : ((1u << (N_RES + k->cells.n)) - 1) & ~(1u << RES_WEIGHT);
}

/* ---- failure domains -------------------------------------------------------------------------- */

static int add_level(struct work *k, const int *of, int n)
{
    for (size_t h = 0; h < n_hosts(k); h++)
        *vec_add(&k->domain, &k->n_domain) = of[h];
    *vec_add(&k->n_domains, &k->n_levels) = n;
    return (int)k->n_levels - 1;
}

/* The level of the rule's domains; hosts that the rule does not select are in none. */
static int level_of(struct work *k, const struct rule *r, const struct rule_match *m)
{
    int n;
    bool all = true;
    for (size_t h = 0; h < n_hosts(k); h++)
        all = all && (r->kind != RULE_MAX_VMS || m->hosts[h]);
    if (all && k->plain_level[r->across] >= 0)
        return k->plain_level[r->across];
    cleanup(freep) int *of = number_domains(r->across, &k->w->f, &n);
    for (size_t h = 0; !all && h < n_hosts(k); h++)
        of[h] = m->hosts[h] ? of[h] : -1;
    int level = add_level(k, of, n);
    if (all)
        k->plain_level[r->across] = level;
    return level;
}

/* ---- rules about which VMs are where ----------------------------------------------------------- */

static int add_group(struct work *k, struct solve_group g)
{
    *vec_add(&k->groups, &k->n_groups) = g;
    return (int)k->n_groups - 1;
}

static void add_member(struct work *k, int item, int group)
{
    *vec_add(&k->members, &k->n_members) = (struct pair){.item = item, .what = group};
}

static void add_fixed(struct work *k, int group, int host)
{
    if (host >= 0)
        *vec_add(&k->fixed, &k->n_fixed) =
            (struct solve_fixed){.group = group, .machine = host, .count = 1};
}

static bool group_for(const struct rule *r, const struct rule_match *m, struct solve_group *ret)
{
    bool held = r->hard;
    switch ((enum rule_kind)r->kind) {
    case RULE_ANTI_AFFINITY:
        *ret = (struct solve_group){.kind = GROUP_APART, .limit = 1, .held = held};
        break;
    case RULE_MAX_VMS:
        *ret = (struct solve_group){.kind = GROUP_APART, .limit = (int)r->max, .held = held};
        break;
    case RULE_AFFINITY:
        *ret = (struct solve_group){.kind = GROUP_TOGETHER};
        break;
    case RULE_SPREAD:
        *ret = (struct solve_group){.kind = GROUP_SPREAD, .limit = spread_need(r, m)};
        break;
    case RULE_HOST_REQUIRED:
    case RULE_HOST_FORBIDDEN:
    case RULE_EXCLUDE:
    case RULE_MAINTENANCE_ONLY:
    case RULE_HOST_PREFERRED:
    case RULE_KINDS:
        return false;
    }
    ret->tier = r->hard ? TIER_HARD : TIER_SOFT;
    ret->weight = r->hard ? 1 : r->weight;
    return true;
}

/* in_flight: others that move count on both ends. */
static void fill_group(struct work *k, const struct rule_match *m, struct solve_group g,
                       bool in_flight)
{
    const struct plan_world *w = k->w;
    int group = add_group(k, g);
    for (size_t i = 0; i < m->n_members; i++) {
        int vm = m->members[i], item = k->item_of[vm];
        if (item >= 0) {
            add_member(k, item, group);
        } else if (!w->name_shared[vm] || plan_counts(w->s, vm)) {
            /* a definition left behind elsewhere may be one of an item: filter.c knows */
            add_fixed(k, group, plan_end(w, vm));
            if (in_flight && w->f.to[vm] >= 0)
                add_fixed(k, group, w->f.at[vm]);
        }
    }
}

static void make_rule_groups(struct work *k)
{
    const struct plan_world *w = k->w;
    for (size_t r = 0; r < w->p->n_rules; r++) {
        const struct rule_match *m = &w->match[r];
        struct solve_group g;
        bool any = false;
        for (size_t i = 0; i < m->n_members && !any; i++)
            any = k->item_of[m->members[i]] >= 0;
        if (!any || !group_for(&w->p->rules[r], m, &g))
            continue;
        g.level = level_of(k, &w->p->rules[r], m);
        bool held = g.held && !k->g->room;
        g.held = held && !k->g->handed;
        bool also_end = g.held && !k->g->leave;
        if (also_end) /* on the way it must become no worse; what counts is how it ends */
            g.weight = 0;
        fill_group(k, m, g, held);
        if (also_end) {
            g.weight = 1;
            g.held = false;
            fill_group(k, m, g, false);
        }
    }
}

static int by_name(const void *a, const void *b, void *ctx)
{
    const struct snapshot *s = ctx;
    int x = *(const int *)a, y = *(const int *)b;
    int c = strcmp(s->vms[x].v->name, s->vms[y].v->name);
    return c ? c : x - y;
}

/* Two of one name cannot be on one host. */
static void make_name_groups(struct work *k)
{
    const struct snapshot *s = k->w->s;
    cleanup(freep) int *list = NULL;
    size_t n = 0;
    for (size_t i = 0; i < k->n; i++)
        if (k->w->name_shared[k->list[i].vm])
            *vec_add(&list, &n) = k->list[i].vm;
    if (n < 2)
        return;
    qsort_r(list, n, sizeof(*list), by_name, (void *)(uintptr_t)s);
    int group = -1;
    for (size_t i = 1; i < n; i++) {
        if (strcmp(s->vms[list[i]].v->name, s->vms[list[i - 1]].v->name)) {
            group = -1;
            continue;
        }
        if (group < 0) {
            struct rule host = {.kind = RULE_ANTI_AFFINITY, .across = ACROSS_HOST};
            group = add_group(k, (struct solve_group){.kind = GROUP_APART,
                                                      .limit = 1,
                                                      .level = level_of(k, &host, NULL),
                                                      .tier = TIER_HARD,
                                                      .weight = 1});
            add_member(k, k->item_of[list[i - 1]], group);
        }
        add_member(k, k->item_of[list[i]], group);
    }
}

/* ---- where items may and would like to be ------------------------------------------------------- */

static int add_set(struct work *k, uint64_t *bits)
{
    vec_add(&k->sets, &k->n_sets)->bits = own(k, bits);
    return (int)k->n_sets - 1;
}

static uint64_t *empty_set(const struct work *k)
{
    return xcalloc(plan_set_words(n_hosts(k)) + 1, sizeof(uint64_t));
}

static bool *hosts_where(const struct work *k, bool (*holds)(const struct plan_world *w, int host))
{
    bool *ret = xcalloc(n_hosts(k), sizeof(*ret));
    for (size_t h = 0; h < n_hosts(k); h++)
        ret[h] = holds(k->w, (int)h);
    return ret;
}

/* The set without these hosts; made: per set there was before, what it became; 0: nothing yet. */
static int set_without(struct work *k, int set, const bool *hosts, int *made)
{
    if (made[set])
        return made[set];
    uint64_t *bits = empty_set(k);
    for (size_t x = 0; x < plan_set_words(n_hosts(k)); x++)
        bits[x] = k->sets[set].bits[x];
    for (size_t h = 0; h < n_hosts(k); h++)
        if (hosts[h])
            bits[h >> 6] &= ~(UINT64_C(1) << (h & 63));
    return made[set] = add_set(k, bits);
}

static bool memory_unknown(const struct plan_world *w, int host)
{
    return plan_mem_capacity(w, host) < 0;
}

/* Hosts whose memory is not known take nothing that needs any. */
static void keep_to_measured_memory(struct work *k, int *allow)
{
    const struct problem *p = &k->t->p;
    cleanup(freep) bool *dark = hosts_where(k, memory_unknown);
    cleanup(freep) int *made = xcalloc(k->n_sets, sizeof(*made));
    if (!memchr(dark, true, n_hosts(k)))
        return;
    for (int i = 0; i < p->n_items; i++)
        if (p->size[(size_t)i * (size_t)k->n_res + RES_MEM] > 0)
            allow[i] = set_without(k, allow[i], dark, made);
}

static bool cpu_unknown(const struct plan_world *w, int host)
{
    return !plan_cpu_known(w, host);
}

/* Hosts whose load is not known take nobody for load's sake. */
static void keep_to_measured_load(struct work *k, int *allow)
{
    const struct problem *p = &k->t->p;
    cleanup(freep) bool *dark = hosts_where(k, cpu_unknown);
    cleanup(freep) int *made = xcalloc(k->n_sets, sizeof(*made));
    cleanup(freep) bool *mends = xcalloc((size_t)p->n_items, sizeof(*mends));
    for (size_t i = 0; i < k->n; i++)
        mends[k->item_of[k->list[i].vm]] |= plan_cpu_must_mend(k->w, k->list[i].vm);
    for (int i = 0; i < p->n_items; i++)
        if (!mends[i] && !p->need[i] && p->home[i] >= 0)
            allow[i] = set_without(k, allow[i], dark, made);
}

/* Of an item of several VMs: hosts that may take them all. */
static void make_allowed(struct work *k)
{
    const struct plan_classes *c = k->g->classes;
    struct problem *p = &k->t->p;
    size_t words = plan_set_words(n_hosts(k));
    int *allow = translate_array(k, (size_t)p->n_items, sizeof(*allow));
    for (int i = 0; i < p->n_items; i++)
        allow[i] = -1;
    for (size_t i = 0; i < c->n_sets; i++)
        vec_add(&k->sets, &k->n_sets)->bits = c->sets[i];
    for (size_t i = 0; i < k->n; i++) {
        int *a = &allow[k->item_of[k->list[i].vm]], more = c->class_of[i];
        if (*a >= 0 && *a != more) {
            uint64_t *both = empty_set(k);
            for (size_t x = 0; x < words; x++)
                both[x] = k->sets[*a].bits[x] & k->sets[more].bits[x];
            more = add_set(k, both);
        }
        *a = more;
    }
    p->allow = allow;
    keep_to_measured_memory(k, allow);
    if (k->g->measured)
        keep_to_measured_load(k, allow);
}

static void prefer(struct work *k, int item, struct solve_prefer x)
{
    *vec_add(&k->prefers, &k->n_prefers) = (struct pair){item, x.set, x.tier, x.weight};
}

static void make_preferred(struct work *k)
{
    const struct plan_world *w = k->w;
    for (size_t i = 0; i < k->n; i++) {
        if (k->list[i].wish < 0)
            continue;
        uint64_t *bits = empty_set(k);
        bits[k->list[i].wish >> 6] |= UINT64_C(1) << (k->list[i].wish & 63);
        prefer(k, k->item_of[k->list[i].vm],
               (struct solve_prefer){add_set(k, bits), TIER_SOFT, WISH_WEIGHT});
    }
    for (size_t r = 0; r < w->p->n_rules; r++) {
        const struct rule *x = &w->p->rules[r];
        const struct rule_match *m = &w->match[r];
        int set = -1;
        if (x->hard || !plan_rule_about_hosts(x))
            continue;
        for (size_t i = 0; i < m->n_members; i++) {
            int item = k->item_of[m->members[i]];
            if (item < 0)
                continue;
            if (set < 0) {
                uint64_t *bits = empty_set(k);
                for (size_t h = 0; h < n_hosts(k); h++)
                    if (rule_defs[x->kind]->allows(x, m, &w->f, m->members[i], (int)h, NULL))
                        bits[h >> 6] |= UINT64_C(1) << (h & 63);
                set = add_set(k, bits);
            }
            prefer(k, item, (struct solve_prefer){set, TIER_SOFT, x->weight});
        }
    }
}

static int all_but(struct work *k, int host)
{
    uint64_t *bits = empty_set(k);
    for (size_t h = 0; h < n_hosts(k); h++)
        if ((int)h != host)
            bits[h >> 6] |= UINT64_C(1) << (h & 63);
    return add_set(k, bits);
}

/* A reason not to come, and none to leave: less than any soft rule, more than evenness. */
static void make_failed(struct work *k)
{
    const struct plan_request *r = k->w->r;
    for (size_t f = 0; r && f < r->n_failed; f++) {
        const struct plan_failed *x = &r->failed[f];
        int set = -1;
        for (size_t i = 0; i < k->n; i++) {
            int item = k->item_of[k->list[i].vm];
            if ((x->vm >= 0 && x->vm != k->list[i].vm) || k->t->p.home[item] == x->host)
                continue;
            set = set < 0 ? all_but(k, x->host) : set;
            prefer(k, item, (struct solve_prefer){set, TIER_LOAD, 1});
        }
    }
}

/* ---- all of it -------------------------------------------------------------------------------- */

static int by_item(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return x->item != y->item ? (x->item < y->item ? -1 : 1)
                              : (x->what > y->what) - (x->what < y->what);
}

/* Pairs (item, what), sorted by item: start[item] … start[item + 1]. */
static int *index_pairs(struct work *k, struct pair *list, size_t n)
{
    int *start = translate_array(k, (size_t)k->t->p.n_items + 1, sizeof(*start));
    if (n > 1)
        qsort(list, n, sizeof(*list), by_item);
    for (size_t i = 0; i < n; i++)
        start[list[i].item + 1]++;
    for (int i = 0; i < k->t->p.n_items; i++)
        start[i + 1] += start[i];
    return start;
}

static void finish(struct work *k)
{
    struct problem *p = &k->t->p;
    int *of = translate_array(k, k->n_members, sizeof(*of));
    struct solve_prefer *pref = translate_array(k, k->n_prefers, sizeof(*pref));
    p->group_start = index_pairs(k, k->members, k->n_members);
    for (size_t i = 0; i < k->n_members; i++)
        of[i] = k->members[i].what;
    p->prefer_start = index_pairs(k, k->prefers, k->n_prefers);
    for (size_t i = 0; i < k->n_prefers; i++)
        pref[i] =
            (struct solve_prefer){k->prefers[i].what, k->prefers[i].tier, k->prefers[i].weight};
    free(k->members);
    free(k->prefers);
    p->group_of = of;
    p->prefer = pref;
    p->groups = own(k, k->groups);
    p->n_groups = (int)k->n_groups;
    p->fixed = own(k, k->fixed);
    p->n_fixed = (int)k->n_fixed;
    p->domain = own(k, k->domain);
    p->n_domains = own(k, k->n_domains);
    p->n_levels = (int)k->n_levels;
    p->sets = own(k, k->sets);
    p->n_sets = (int)k->n_sets;
}

void translate(const struct plan_world *w, const struct plan_wanted *list, size_t n,
               const struct translate_goal *g, struct translation *ret)
{
    *ret = (struct translation){0};
    struct work k = {.w = w, .list = list, .n = n, .g = g, .t = ret, .plain_level = {-1, -1, -1}};
    make_items(&k);
    k.cells.any = g->room ? g->room_cell : -1;
    plan_cells_count(&k.cells, w, list, n);
    k.n_res = N_RES + k.cells.n;
    const bool counted[] = {[PLAN_CPU_MEAN] = g->measured,
                            [PLAN_CPU_PEAK] = g->measured && g->peaks,
                            [PLAN_CPU_SOON] = g->measured && g->urgent_cpu_ppm};
    for (int by = 0; by < PLAN_CPU_FIGURES; by++)
        k.res_cpu[by] = counted[by] ? k.n_res++ : -1;
    size_items(&k);
    make_machines(&k);
    translate_terms(&k);
    make_rule_groups(&k);
    make_name_groups(&k);
    make_allowed(&k);
    make_preferred(&k);
    make_failed(&k);
    finish(&k);
}

void translation_done(struct translation *t)
{
    for (size_t i = 0; i < t->n_owned; i++)
        free(t->owned[i]);
    free(t->owned);
    *t = (struct translation){0};
}
