#include "scheduler/plan/pack.h"

#include <assert.h>
#include <math.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

enum { GROUP_BUDGET = 20000, EJECT_DEPTH = 2, IMPROVE_PASSES = 4 };

bool pack_fits(struct plan_pack *k, const struct plan_item *it, int host)
{
    k->budget--;
    return it->ok[host] != HOST_NO &&
           plan_filter(k->w, &(struct plan_ask){.vm = it->vm, .host = host}, PF_DYNAMIC, NULL);
}

static int64_t mem_of(const struct plan_pack *k, const struct plan_item *it)
{
    return vm_need_bytes(k->w->s->vms[it->vm].v);
}

void pack_put(struct plan_pack *k, struct plan_item *it, int host)
{
    plan_world_put(k->w, it->vm, host);
    it->to = host;
    if (!plan_counts(k->w->s, it->vm))
        k->potential[host] += mem_of(k, it);
}

void pack_take(struct plan_pack *k, struct plan_item *it)
{
    plan_world_take(k->w, it->vm);
    if (!plan_counts(k->w->s, it->vm))
        k->potential[it->to] -= mem_of(k, it);
    it->to = -1;
}

/* What the item adds to the sum of squared relative loads of the hosts: least where it evens out. */
static int64_t imbalance(const struct plan_pack *k, const struct plan_item *it, int host)
{
    int64_t cap = plan_mem_capacity(k->w, host);
    double c = cap > 0 ? (double)cap : 1;
    double before = (double)(k->w->load[host].mem_bytes + k->potential[host]) / c;
    double after = before + (double)mem_of(k, it) / c;
    return llround(fmin((after * after - before * before) * 1e9, 1e18));
}

struct plan_score pack_score(const struct plan_pack *k, const struct plan_item *it, int host)
{
    return (struct plan_score){
        .cold = it->ok[host] == HOST_COLD,
        .wish = it->wish >= 0 && it->wish != host,
        .soft = plan_soft_cost(k->w, it->vm, host),
        .balance = imbalance(k, it, host),
    };
}

int pack_score_cmp(const struct plan_score *a, const struct plan_score *b)
{
    if (a->cold != b->cold)
        return a->cold - b->cold;
    if (a->wish != b->wish)
        return a->wish - b->wish;
    if (a->soft != b->soft)
        return a->soft < b->soft ? -1 : 1;
    return (a->balance > b->balance) - (a->balance < b->balance);
}

int pack_best(struct plan_pack *k, const struct plan_item *it)
{
    size_t n = k->w->s->n_hosts;
    struct plan_score best = {0};
    int best_host = -1;
    for (size_t i = 0; i < n; i++) {
        int h = (int)((i + k->seed % n) % n); /* the seed only decides between equals */
        if (!pack_fits(k, it, h))
            continue;
        struct plan_score score = pack_score(k, it, h);
        if (best_host < 0 || pack_score_cmp(&score, &best) < 0) {
            best = score;
            best_host = h;
        }
    }
    return best_host;
}

/* Move single items to better hosts while that helps. */
static void improve(struct plan_pack *k)
{
    bool better = true;
    for (int pass = 0; better && pass < IMPROVE_PASSES; pass++) {
        better = false;
        for (size_t i = 0; i < k->n; i++) {
            struct plan_item *it = &k->items[i];
            if (it->to < 0)
                continue;
            int was = it->to;
            pack_take(k, it);
            int best = pack_best(k, it);
            struct plan_score old = pack_score(k, it, was);
            struct plan_score new = best >= 0 ? pack_score(k, it, best) : old;
            bool move = pack_score_cmp(&new, &old) < 0;
            pack_put(k, it, move ? best : was);
            better = better || move;
        }
    }
}

static size_t unplaced(const struct plan_pack *k)
{
    size_t n = 0;
    for (size_t i = 0; i < k->n; i++)
        n += k->items[i].to < 0;
    return n;
}

static void set_leaving(struct plan_pack *k, bool leaving)
{
    for (size_t i = 0; i < k->n; i++)
        k->w->f.leaving[k->items[i].vm] = leaving;
}

static void solve(struct plan_pack *k)
{
    set_leaving(k, true);
    for (int wished = 1; wished >= 0; wished--) /* wishes take their room first */
        for (size_t i = 0; i < k->n; i++)
            if (k->items[i].to < 0 && (k->items[i].wish >= 0) == wished)
                search_place(k, k->items[i].group, GROUP_BUDGET);
    for (size_t i = 0; i < k->n && unplaced(k); i++)
        if (k->items[i].to < 0)
            search_eject(k, &k->items[i], EJECT_DEPTH);
    if (unplaced(k))
        search_all(k);
    for (size_t i = 0; i < k->n; i++) /* what is left stays where it is */
        k->w->f.leaving[k->items[i].vm] = k->items[i].to >= 0;
    improve(k);
    /* room that improving made may still take one */
    for (size_t i = 0; i < k->n; i++) {
        int host = k->items[i].to < 0 ? pack_best(k, &k->items[i]) : -1;
        if (host >= 0)
            pack_put(k, &k->items[i], host);
    }
    set_leaving(k, true);
}

/* ---- the problem ------------------------------------------------------------------------------ */

struct wanted { /* a requested VM and how it may move */
    int vm, wish;
    bool as_is, cold;
};

static int by_size(const void *a, const void *b, void *ctx)
{
    const struct plan_item *x = a, *y = b;
    const struct snapshot *s = ctx;
    int cx = plan_counts(s, x->vm), cy = plan_counts(s, y->vm);
    int64_t mx = vm_need_bytes(s->vms[x->vm].v), my = vm_need_bytes(s->vms[y->vm].v);
    if (cx != cy)
        return cy - cx;
    if (mx != my)
        return mx > my ? -1 : 1;
    if (x->n_ok != y->n_ok)
        return x->n_ok - y->n_ok;
    return x->vm - y->vm;
}

static void item_init(const struct plan_world *w, const struct wanted *v, struct plan_item *ret)
{
    size_t n = w->s->n_hosts;
    *ret = (struct plan_item){.vm = v->vm, .to = -1, .wish = v->wish, .ok = xcalloc(n, 1)};
    for (size_t h = 0; h < n; h++) {
        struct plan_ask q = {.vm = v->vm, .host = (int)h};
        if (v->as_is && plan_filter(w, &q, PF_STATIC, NULL))
            ret->ok[h] = HOST_AS_IS;
        q.cold = true;
        if (!ret->ok[h] && v->cold && plan_filter(w, &q, PF_STATIC, NULL))
            ret->ok[h] = HOST_COLD;
        ret->n_ok += ret->ok[h] != HOST_NO;
    }
}

static bool has_member(const struct rule_match *m, int vm)
{
    for (size_t i = 0; i < m->n_members; i++)
        if (m->members[i] == vm)
            return true;
    return false;
}

static void make_groups(struct plan_pack *k)
{
    const struct policy *p = k->w->p;
    for (size_t i = 0; i < k->n; i++)
        k->items[i].group = (int)i;
    for (size_t r = 0; r < p->n_rules; r++) {
        int group = -1;
        for (size_t i = 0; p->rules[r].kind == RULE_AFFINITY && p->rules[r].hard && i < k->n; i++) {
            if (!has_member(&k->w->match[r], k->items[i].vm))
                continue;
            int old = k->items[i].group;
            if (group < 0)
                group = old;
            for (size_t j = 0; j < k->n; j++)
                if (k->items[j].group == old)
                    k->items[j].group = group;
            k->groups = k->groups || old != group;
        }
    }
}

static void pack_init(struct plan_pack *k, struct plan_world *w, const struct wanted *list,
                      size_t n, uint64_t seed)
{
    *k = (struct plan_pack){.w = w,
                            .n = n,
                            .seed = seed,
                            .items = xcalloc(n, sizeof(*k->items)),
                            .potential = xcalloc(w->s->n_hosts, sizeof(*k->potential))};
    for (size_t i = 0; i < n; i++)
        item_init(w, &list[i], &k->items[i]);
    if (n > 1)
        qsort_r(k->items, n, sizeof(*k->items), by_size, (void *)(uintptr_t)w->s);
    make_groups(k);
}

static void pack_done(struct plan_pack *k)
{
    for (size_t i = 0; i < k->n; i++)
        free(k->items[i].ok);
    free(k->items);
    free(k->potential);
}

/* ---- the plan --------------------------------------------------------------------------------- */

static void add_refusal(const struct plan_world *w, int vm, bool cold, struct reason **list,
                        size_t *n)
{
    const struct reason *why = plan_refused(w, vm, -1, cold);
    if (!why)
        return;
    struct reason *slot = vec_add(list, n);
    shape_copy(&reason_shape, slot, why);
    free(slot->host);
    slot->host = NULL;
}

/* May the VM move at all, and how? If not, it is a stay with the reasons. */
static bool may_move(const struct plan_world *w, int vm, struct wanted *ret, struct plan *plan)
{
    struct plan_stay stay = {.vm = vm};
    struct reason *unlifted = NULL;
    size_t n_unlifted = 0;
    plan_vm_reasons(w->s, w->p, vm, false, &stay.reasons, &stay.n_reasons);
    add_refusal(w, vm, false, &stay.reasons, &stay.n_reasons);
    plan_vm_reasons(w->s, w->p, vm, true, &unlifted, &n_unlifted);
    add_refusal(w, vm, true, &unlifted, &n_unlifted);
    *ret = (struct wanted){.vm = vm, .wish = -1, .as_is = !stay.n_reasons};
    ret->cold = w->r->allow_cold && plan_counts(w->s, vm) && !n_unlifted;
    for (size_t i = 0; i < n_unlifted; i++)
        shape_done(&reason_shape, &unlifted[i]);
    free(unlifted);
    if (!ret->as_is && !ret->cold) {
        *vec_add(&plan->stays, &plan->n_stays) = stay;
        return false;
    }
    for (size_t i = 0; i < stay.n_reasons; i++)
        shape_done(&reason_shape, &stay.reasons[i]);
    free(stay.reasons);
    return true;
}

static size_t collect(const struct plan_world *w, struct wanted *list, int *vms, struct plan *plan)
{
    cleanup(freep) bool *seen = xcalloc(w->s->n_vms, sizeof(*seen));
    size_t n = 0;
    for (size_t i = 0; i < w->r->n_vms; i++) {
        int vm = w->r->vms[i];
        assert(vm >= 0 && (size_t)vm < w->s->n_vms);
        if (seen[vm])
            continue;
        seen[vm] = true;
        if (!may_move(w, vm, &list[n], plan))
            continue;
        if (w->r->wish)
            list[n].wish = w->r->wish[i];
        vms[n++] = vm;
    }
    return n;
}

static void write_plan(struct plan_pack *k, struct plan *ret)
{
    const struct snapshot *s = k->w->s;
    for (size_t i = 0; i < k->n; i++) {
        const struct plan_item *it = &k->items[i];
        if (it->to < 0) {
            struct plan_stay *stay = vec_add(&ret->stays, &ret->n_stays);
            stay->vm = it->vm;
            plan_explain_stay(k->w, it->vm, k->w->r->allow_cold && plan_counts(s, it->vm), stay);
            assert(stay->n_reasons);
            continue;
        }
        *vec_add(&ret->moves, &ret->n_moves) = (struct plan_move){
            .vm = it->vm,
            .from = s->vms[it->vm].host,
            .to = it->to,
            .live = it->ok[it->to] == HOST_AS_IS && s->vms[it->vm].v->state != VM_SHUTOFF,
            .why = plan_why(k->w, it->vm, it->to, it->ok, it->wish == it->to),
        };
    }
}

void plan_make(const struct snapshot *s, const struct policy *p, const struct plan_request *r,
               uint64_t seed, struct plan *ret)
{
    cleanup(freep) struct wanted *list = xcalloc(r->n_vms, sizeof(*list));
    cleanup(freep) int *vms = xcalloc(r->n_vms, sizeof(*vms));
    cleanup(plan_world_done) struct plan_world w;
    cleanup(pack_done) struct plan_pack k = {0};
    *ret = (struct plan){0};
    plan_world_init(&w, s, p, r, vms, 0);
    w.n_planned = collect(&w, list, vms, ret);
    pack_init(&k, &w, list, w.n_planned, seed);
    solve(&k);
    write_plan(&k, ret);
    plan_order(s, p, ret->moves, ret->n_moves);
}

void plan_done(struct plan *p)
{
    for (size_t i = 0; i < p->n_moves; i++)
        free(p->moves[i].why);
    free(p->moves);
    for (size_t i = 0; i < p->n_stays; i++) {
        for (size_t j = 0; j < p->stays[i].n_reasons; j++)
            shape_done(&reason_shape, &p->stays[i].reasons[j]);
        free(p->stays[i].reasons);
    }
    free(p->stays);
    *p = (struct plan){0};
}
