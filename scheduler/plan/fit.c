/* Where a VM would fit, and what would have to move for it. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/cpu.h"
#include "scheduler/plan/making.h"
#include "scheduler/solve/place.h"
#include "scheduler/solve/solve.h"

/* A price for each move: of all ways to make the room, the one with the fewest and smallest. */
enum { PLACE_STEPS = 5000000, PRICE_PER_MOVE = SOLVE_UNIT, PRICE_PER_GIB = SOLVE_UNIT / 1024 };

/* ---- where it may be ---------------------------------------------------------------------------- */

/* The fleet of x with its VMs where `vms` says. */
struct stage {
    struct snapshot s;
    struct plan_index *x;
    struct plan_world w;
};

static void stage_set(struct stage *g, const struct plan_index *x, const struct plan_request *r,
                      struct snap_vm *vms)
{
    g->s = *plan_index_snapshot(x);
    g->s.vms = vms;
    g->x = plan_index_again(x, &g->s);
    plan_world_init(&g->w, g->x, r, NULL, 0);
}

static bool stage_takes(const struct stage *g, int vm, int host)
{
    return plan_filter(&g->w, &(struct plan_ask){.vm = vm, .host = host}, PF_STATIC | PF_DYNAMIC,
                       NULL);
}

static void stage_done(struct stage *g)
{
    plan_world_done(&g->w);
    plan_index_free(g->x);
}

int plan_room_on(const struct plan_index *x, const struct plan_request *r,
                 const struct plan_move *moves, size_t n, int first)
{
    const struct snapshot *s = plan_index_snapshot(x);
    cleanup(freep) struct snap_vm *vms = xmemdup(s->vms, s->n_vms * sizeof(*vms));
    struct stage g;
    for (size_t i = 0; i < s->n_vms; i++) {
        vms[i].host = vms[i].moving_to >= 0 ? vms[i].moving_to : vms[i].host;
        vms[i].moving_to = -1;
    }
    for (size_t i = 0; i < n; i++)
        vms[moves[i].vm].host = moves[i].to;
    stage_set(&g, x, r, vms);
    int on = first >= 0 && stage_takes(&g, r->room_for, first) ? first : -1;
    for (int h = 0; h < (int)s->n_hosts && on < 0; h++)
        on = stage_takes(&g, r->room_for, h) ? h : -1;
    stage_done(&g);
    return on;
}

/* ---- room, made by moves ------------------------------------------------------------------------ */

/* Once the planned moves have ended, may the VM come to the host? */
static bool has_room(const struct making *k, int host)
{
    const struct snapshot *s = k->w.s;
    cleanup(freep) struct snap_vm *vms = xmemdup(s->vms, s->n_vms * sizeof(*vms));
    struct stage g;
    for (size_t i = 0; i < k->n; i++) {
        int vm = k->list[i].vm, to = k->w.f.to[vm];
        if (to >= 0)
            vms[vm].host = to;
    }
    stage_set(&g, k->x, k->r, vms);
    bool ok = stage_takes(&g, k->r->room_for, host);
    stage_done(&g);
    return ok;
}

/* The engine's answer. to: per VM of the list; that of the VM in question is left out. Gives its host, or
 * -1. */
static int search(const struct making *k, const struct translation *t, int *to)
{
    struct solve_state s;
    int room_on = -1;
    solve_init(&s, &t->p);
    solve_place(&s, &(struct solve_limits){.seed = k->seed, .steps = PLACE_STEPS}, true);
    for (size_t i = 0; i < k->n; i++) {
        int item = t->item_of[i];
        to[i] = s.at[item] != t->p.home[item] ? s.at[item] : -1;
        if (k->list[i].vm == k->r->room_for) {
            room_on = to[i];
            to[i] = -1;
        }
    }
    solve_done(&s);
    return room_on;
}

/* ---- none can be made ---------------------------------------------------------------------------- */

/* What is taken on each host that no move of the plan could take away. Gives. */
static struct plan_load *what_stays(const struct making *k)
{
    const struct snapshot *s = k->w.s;
    struct plan_load *sum = xcalloc(s->n_hosts, sizeof(*sum));
    cleanup(freep) bool *may = xcalloc(s->n_vms, sizeof(*may));
    for (size_t i = 0; i < k->n; i++)
        may[k->list[i].vm] = true;
    for (size_t i = 0; i < s->n_vms; i++) {
        int at = plan_end(&k->w, (int)i);
        if (may[i] || at < 0 || !plan_counts(s, (int)i))
            continue;
        sum[at].mem_bytes += plan_need(s->vms[i].v).mem_bytes;
        sum[at].vcpus += plan_need(s->vms[i].v).vcpus;
    }
    return sum;
}

/* What the largest that may move give up on each host, so many of each. The list is sorted by size. Gives. */
static int64_t *largest(const struct making *k, int64_t most)
{
    const struct snapshot *s = k->w.s;
    int64_t *sum = xcalloc(s->n_hosts, sizeof(*sum));
    cleanup(freep) int64_t *n = xcalloc(s->n_hosts, sizeof(*n));
    for (size_t i = 0; i < k->n; i++) {
        int vm = k->list[i].vm, at = k->w.f.at[vm];
        if (vm != k->r->room_for && at >= 0 && n[at]++ < most)
            sum[at] += plan_need(s->vms[vm].v).mem_bytes;
    }
    return sum;
}

static bool may_be_on(const struct making *k, size_t host)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->list[i].vm == k->r->room_for)
            return k->live.sets[k->live.class_of[i]][host >> 6] >> (host & 63) & 1;
    return false;
}

/* Every count errs on the side of more room than there is: moves under way have ended, and what may move
 * is gone. */
static void count_most(const struct making *k, struct plan_room_most *ret)
{
    const struct plan_world *w = &k->w;
    struct plan_load need = plan_need(w->s->vms[k->r->room_for].v);
    cleanup(freep) struct plan_load *stays = what_stays(k);
    cleanup(freep) int64_t *gone =
        largest(k, k->r->max_moves ? k->r->max_moves : w->p->balance.max_moves);
    bool any = false;
    *ret = (struct plan_room_most){.free_on = -1, .bound_on = -1, .few_on = -1};
    for (size_t h = 0; h < w->s->n_hosts; h++) {
        int64_t cap = plan_mem_capacity(w, (int)h), cpus = plan_vcpu_capacity(w, (int)h);
        if (w->s->hosts[h].state == HOST_UP && cap > w->end_bytes[h])
            ret->total_bytes += cap - w->end_bytes[h];
        if (cap < 0 || !may_be_on(k, h))
            continue;
        int64_t is_free = cap - w->load[h].mem_bytes, bound = cap - stays[h].mem_bytes;
        int64_t vcpus = cpus < 0 ? INT64_MAX : cpus - stays[h].vcpus;
        int64_t few = cap - w->end_bytes[h] + gone[h];
        any = any || (bound >= need.mem_bytes && few >= need.mem_bytes && vcpus >= need.vcpus);
        if (ret->few_on < 0 || few > ret->few_bytes) {
            ret->few_on = (int)h;
            ret->few_bytes = few;
        }
        if (ret->free_on < 0 || is_free > ret->free_bytes) {
            ret->free_on = (int)h;
            ret->free_bytes = is_free;
        }
        if (ret->bound_on < 0 || bound > ret->bound_bytes) {
            ret->bound_on = (int)h;
            ret->bound_bytes = bound;
        }
        ret->bound_vcpus = vcpus > ret->bound_vcpus ? vcpus : ret->bound_vcpus;
    }
    ret->free_bytes = ret->free_bytes > 0 ? ret->free_bytes : 0;
    ret->bound_bytes = ret->bound_bytes > 0 ? ret->bound_bytes : 0;
    ret->proven = !any || ret->total_bytes < need.mem_bytes;
}

static void say_why_not(struct making *k)
{
    count_most(k, &k->plan->most);
    struct plan_stay *stay = vec_add(&k->plan->stays, &k->plan->n_stays);
    stay->vm = k->r->room_for;
    plan_explain_stay(&k->w, stay->vm, false, stay);
}

/* The cells that one may be bound to, whichever it is; none: it is not. */
static int count_cells(const struct making *k)
{
    const struct vm *v = k->w.s->vms[k->r->room_for].v;
    bool any = false;
    int64_t n = 0;
    for (size_t i = 0; i < v->n_binds; i++)
        any = any || plan_bound_to_any(&v->binds[i]);
    for (size_t h = 0; any && h < k->w.s->n_hosts; h++)
        for (size_t i = 0; i < k->w.s->hosts[h].h->n_cells; i++) {
            int64_t id = k->w.s->hosts[h].h->cells[i].id;
            n = id >= n && id < 64 ? id + 1 : n;
        }
    return (int)n;
}

struct way { /* to make room */
    int room_on, *to;
    int64_t moves, bytes;
};

/* By way of this cell, or of all if -1. Better than *best: takes its place. */
static void try_cell(struct making *k, int cell, struct way *best)
{
    struct translation t;
    int64_t moves = k->r->max_moves ? k->r->max_moves : k->w.p->balance.max_moves;
    struct translate_goal g = {.classes = &k->live,
                               .price_per_move = PRICE_PER_MOVE,
                               .price_per_gib = PRICE_PER_GIB,
                               .max_moves = (int)moves,
                               .room = true,
                               .room_cell = cell};
    struct way x = {.to = xcalloc(k->n, sizeof(*x.to))};
    translate(&k->w, k->list, k->n, &g, &t);
    x.room_on = search(k, &t, x.to);
    translation_done(&t);
    for (size_t i = 0; i < k->n; i++)
        if (x.to[i] >= 0) {
            x.moves++;
            x.bytes += plan_need(k->w.s->vms[k->list[i].vm].v).mem_bytes;
        }
    bool better = best->room_on < 0 || x.moves < best->moves ||
                  (x.moves == best->moves && x.bytes < best->bytes);
    if (x.room_on >= 0 && better) {
        making_put(k, x.to);
        better = has_room(k, x.room_on);
        making_take_back(k);
        if (better) {
            int *to = best->to;
            *best = x;
            x.to = to;
        }
    }
    free(x.to);
}

void plan_fit(struct making *k)
{
    struct way best = {.room_on = -1};
    int cells = count_cells(k);
    k->plan->room_on = -1;
    k->plan->most = (struct plan_room_most){.free_on = -1, .bound_on = -1, .few_on = -1};
    k->was_bytes = xmemdup(k->w.end_bytes, k->w.s->n_hosts * sizeof(*k->was_bytes));
    plan_measure(&k->w, &(struct solve_score){0}, &k->plan->before);
    k->plan->after = k->plan->before;
    if (k->plan->n_stays) /* it cannot move at all */
        return;
    for (int c = cells ? 0 : -1; c < cells; c++)
        try_cell(k, c, &best);
    if (best.room_on >= 0)
        making_put(k, best.to);
    else
        say_why_not(k);
    plan_measure(&k->w, &(struct solve_score){0}, &k->plan->after);
    k->plan->room_on = best.room_on;
    free(best.to);
}

/* ---- room, as it is ----------------------------------------------------------------------------- */

/* What one more on it makes of a load's square, in ppm of what a full host weighs. */
static int64_t square_more(int64_t load, int64_t more, int64_t cap)
{
    double was = cap > 0 ? (double)load / (double)cap : 1;
    double is = cap > 0 ? (double)(load + more) / (double)cap : 1;
    return (int64_t)((is * is - was * was) * 1e6);
}

static int64_t broken_soft(const struct plan_world *w, int vm, int host)
{
    int64_t sum = 0;
    for (size_t i = w->rules_start[vm]; i < w->rules_start[vm + 1]; i++) {
        const struct rule *r = &w->p->rules[w->rules[i]];
        const struct rule_def *def = rule_defs[r->kind];
        if (!r->hard && def->allows &&
            !def->allows(r, &w->match[w->rules[i]], &w->f, vm, host, NULL))
            sum += r->weight;
    }
    return sum;
}

/* By vCPUs; where CPU is measured (cpu: per host), by that: of a VM that is to come nothing is known but its
 * vCPUs, and a host without figures counts as full. */
static int64_t cpu_more(const struct plan_world *w, int vm, int host, const int64_t *cpu)
{
    int64_t vcpus = plan_need(w->s->vms[vm].v).vcpus;
    if (!cpu)
        return square_more(w->load[host].vcpus, vcpus, plan_vcpu_capacity(w, host));
    int64_t more = w->s->vms[vm].nowhere ? vcpus * 1000 : plan_cpu_vm(w, vm, NULL);
    int64_t cap = w->s->hosts[host].h->cpus * 1000;
    return square_more(plan_cpu_known(w, host) ? cpu[host] : cap, more, cap);
}

static void weigh(const struct plan_world *w, int vm, const int64_t *cpu, struct plan_fitting *ret)
{
    struct plan_load need = plan_need(w->s->vms[vm].v), have = w->load[ret->host];
    int64_t cap = plan_mem_capacity(w, ret->host);
    ret->free_bytes = cap - have.mem_bytes - need.mem_bytes;
    ret->soft = broken_soft(w, vm, ret->host);
    ret->load = w->p->balance.weight_mem * square_more(have.mem_bytes, need.mem_bytes, cap) +
                w->p->balance.weight_cpu * cpu_more(w, vm, ret->host, cpu);
}

static int best_first(const void *a, const void *b)
{
    const struct plan_fitting *x = a, *y = b;
    if (x->fits != y->fits)
        return x->fits ? -1 : 1;
    if (x->soft != y->soft)
        return x->soft < y->soft ? -1 : 1;
    if (x->load != y->load)
        return x->load < y->load ? -1 : 1;
    return x->host - y->host;
}

void plan_fittings(const struct snapshot *s, const struct policy *p, const struct plan_request *r,
                   struct plan_fitting **ret, size_t *ret_n)
{
    int vm = r->room_for;
    struct plan_world w;
    struct plan_index *index = plan_index_new(s, p);
    struct plan_fitting *list = xcalloc(s->n_hosts, sizeof(*list));
    plan_world_init(&w, index, r, NULL, 0);
    cleanup(freep) int64_t *cpu = plan_cpu_measured(&w) ? plan_cpu_end(&w) : NULL;
    size_t n = 0;
    for (size_t h = 0; h < s->n_hosts; h++) {
        struct plan_ask q = {.vm = vm, .host = (int)h};
        struct plan_fitting *x = &list[n];
        if (w.f.at[vm] == (int)h)
            continue;
        n++;
        x->host = (int)h;
        x->fits = plan_filter(&w, &q, PF_STATIC | PF_DYNAMIC, &x->why);
        if (x->fits)
            weigh(&w, vm, cpu, x);
    }
    if (n > 1)
        qsort(list, n, sizeof(*list), best_first);
    plan_world_done(&w);
    plan_index_free(index);
    *ret = list;
    *ret_n = n;
}

void plan_fittings_done(struct plan_fitting *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        shape_done(&reason_shape, &list[i].why);
    free(list);
}
