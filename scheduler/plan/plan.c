/* plan_make: the request becomes a problem, the engine solves it, and what it found is asked of the
 * filters once more before it is a plan. */
#include <assert.h>
#include <limits.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/making.h"
#include "scheduler/solve/place.h"
#include "scheduler/solve/solve.h"

/* Prices asked of the engine: it answers some millions a second, so a drain that has no solution costs
 * well under a second, and one of a large fleet is not polished for longer than it was searched. */
enum { PLACE_STEPS = 1000000, POLISH_LEAST = 5000, POLISH_PER_ITEM = 200, POLISH_MOST = 20000 };
enum { QUICK_STEPS = 20000 };
static const int64_t PLACE_STEPS_MOST = 50000000;

/* ---- who may move at all ---------------------------------------------------------------------- */

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

static void reasons_done(struct reason *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        shape_done(&reason_shape, &list[i]);
    free(list);
}

bool making_may_move(const struct making *k, int vm, struct plan_wanted *ret,
                     struct plan_stay *ret_stay)
{
    const struct plan_world *w = &k->w;
    struct plan_stay stay = {.vm = vm};
    struct reason *unlifted = NULL;
    size_t n_unlifted = 0;
    plan_vm_reasons(w, vm, false, &stay.reasons, &stay.n_reasons);
    add_refusal(w, vm, false, &stay.reasons, &stay.n_reasons);
    *ret = (struct plan_wanted){.vm = vm, .wish = -1, .as_is = !stay.n_reasons, .must_leave = true};
    if (k->r->allow_cold && plan_counts(w->s, vm)) {
        plan_vm_reasons(w, vm, true, &unlifted, &n_unlifted);
        add_refusal(w, vm, true, &unlifted, &n_unlifted);
        ret->cold = !n_unlifted;
        reasons_done(unlifted, n_unlifted);
    }
    bool may = ret->as_is || ret->cold;
    if (!may && ret_stay)
        *ret_stay = stay;
    else
        reasons_done(stay.reasons, stay.n_reasons);
    return may;
}

static void collect(struct making *k, int *planned)
{
    const struct plan_request *r = k->r;
    cleanup(freep) bool *seen = xcalloc(k->w.s->n_vms, sizeof(*seen));
    for (size_t i = 0; i < r->n_vms; i++) {
        int vm = r->vms[i];
        assert(vm >= 0 && (size_t)vm < k->w.s->n_vms);
        if (seen[vm])
            continue;
        seen[vm] = true;
        struct plan_stay stay;
        if (!making_may_move(k, vm, &k->list[k->n], &stay)) {
            *vec_add(&k->plan->stays, &k->plan->n_stays) = stay;
            continue;
        }
        if (r->wish)
            k->list[k->n].wish = r->wish[i];
        if (r->rank)
            k->list[k->n].rank = r->rank[i];
        planned[k->n++] = vm;
    }
}

/* ---- the engine's answer ---------------------------------------------------------------------- */

static bool in_set(const struct plan_classes *c, size_t i, int host)
{
    return c->sets[c->class_of[i]][host >> 6] >> (host & 63) & 1;
}

/* Only a cold move brings the i-th VM there. */
static bool is_cold(const struct making *k, size_t i, int host)
{
    return !in_set(&k->live, i, host);
}

void making_put(struct making *k, const int *to)
{
    struct plan_world *w = &k->w;
    for (size_t i = 0; i < k->n && k->r->goal != GOAL_LEAVE; i++)
        w->f.leaving[k->list[i].vm] = to[i] >= 0;
    for (size_t j = 0; j < k->n; j++) {
        size_t i = k->smallest_first ? k->n - 1 - j : j;
        struct plan_ask q = {.vm = k->list[i].vm, .host = to[i]};
        if (to[i] < 0 || w->f.to[q.vm] >= 0)
            continue;
        q.cold = is_cold(k, i, to[i]);
        if (plan_filter(w, &q, PF_STATIC | PF_DYNAMIC, NULL))
            plan_world_put(w, q.vm, q.host);
    }
    for (size_t i = 0; i < k->n; i++) /* what is left stays where it is … */
        w->f.leaving[k->list[i].vm] = w->f.to[k->list[i].vm] >= 0;
    for (bool again = true; again;) { /* … and those bound to it with it */
        again = false;
        for (size_t i = 0; i < k->n; i++) {
            struct plan_ask q = {.vm = k->list[i].vm, .host = w->f.to[k->list[i].vm]};
            if (q.host < 0 || plan_filter(w, &q, PF_COMPANY, NULL))
                continue;
            plan_world_take(w, q.vm);
            w->f.leaving[q.vm] = false;
            again = true;
        }
    }
    for (size_t i = 0; i < k->n; i++)
        w->f.leaving[k->list[i].vm] = true;
}

/* The host with most free memory that the filters allow for the i-th VM of the list, or -1. */
static int find_room(const struct making *k, size_t i)
{
    const struct plan_world *w = &k->w;
    int64_t most = INT64_MIN;
    int best = -1;
    for (int h = 0; h < (int)w->s->n_hosts; h++) {
        struct plan_ask q = {.vm = k->list[i].vm, .host = h};
        int64_t left = plan_mem_capacity(w, h) - w->load[h].mem_bytes;
        if (left <= most || !in_set(&k->live, i, h) ||
            !plan_filter(w, &q, PF_STATIC | PF_DYNAMIC, NULL))
            continue;
        most = left;
        best = h;
    }
    return best;
}

static size_t count_placed(const struct making *k)
{
    size_t n = 0;
    for (size_t i = 0; i < k->n; i++)
        n += k->w.f.to[k->list[i].vm] >= 0;
    return n;
}

/* Together they may have been in each other's way: one that was bound to another took the room of a
 * third, and had to stay in the end. */
static void fill_singly(struct making *k, int rank)
{
    cleanup(freep) int *to = xcalloc(k->n, sizeof(*to));
    for (size_t i = 0; i < k->n; i++)
        to[i] = -1;
    for (size_t n = count_placed(k), before = n + 1; n < k->n && n != before;) {
        before = n;
        for (size_t i = 0; i < k->n; i++) {
            if (k->w.f.to[k->list[i].vm] >= 0 || k->list[i].rank > rank)
                continue;
            to[i] = find_room(k, i);
            if (to[i] >= 0)
                making_put(k, to);
            to[i] = -1;
        }
        n = count_placed(k);
    }
}

/* What the filters refused of the engine's answer may have left room for others, and the engine counts
 * in whole pages: nothing up to this rank stays for which the filters know a host. */
static void fill_gaps(struct making *k, int rank)
{
    cleanup(freep) int *to = xcalloc(k->n, sizeof(*to));
    for (size_t n = count_placed(k), before = n + 1; n < k->n && n != before;) {
        before = n;
        for (size_t i = 0; i < k->n; i++)
            to[i] = k->w.f.to[k->list[i].vm] < 0 && k->list[i].rank <= rank ? find_room(k, i) : -1;
        making_put(k, to);
        n = count_placed(k);
    }
    fill_singly(k, rank);
}

void making_take_back(struct making *k)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->w.f.to[k->list[i].vm] >= 0)
            plan_world_take(&k->w, k->list[i].vm);
}

/* What must be left if hosts are lost is a limit for all VMs together, which the engine does not know:
 * where it keeps some from leaving, more can leave when the smallest go first. to: the engine's answer. */
static void try_smallest_first(struct making *k, const int *to, int rank)
{
    size_t placed = count_placed(k);
    if (placed == k->n || !k->w.p->capacity.spare_hosts || k->r->rank)
        return;
    cleanup(freep) int *was = xcalloc(k->n, sizeof(*was));
    for (size_t i = 0; i < k->n; i++)
        was[i] = k->w.f.to[k->list[i].vm];
    making_take_back(k);
    k->smallest_first = true;
    making_put(k, to);
    fill_gaps(k, rank);
    k->smallest_first = false;
    if (count_placed(k) > placed)
        return;
    making_take_back(k);
    for (size_t i = 0; i < k->n; i++)
        if (was[i] >= 0)
            plan_world_put(&k->w, k->list[i].vm, was[i]);
}

/* Give those of the list a place that have none yet. at: their places in k->list. */
static void place(struct making *k, const struct plan_classes *classes,
                  const struct plan_wanted *list, const size_t *at, size_t n)
{
    struct translation t;
    struct solve_state s;
    struct translate_goal goal = {.classes = classes, .leave = true, .max_moves = -1};
    cleanup(freep) int *to = xcalloc(k->n, sizeof(*to));
    translate(&k->w, list, n, &goal, &t);
    solve_init(&s, &t.p);
    for (int i = 0; i < t.p.n_items; i++)
        if (s.at[i] >= 0)
            solve_do_remove(&s, i);
    int64_t all =
        (k->r->quick ? QUICK_STEPS : PLACE_STEPS) + 4 * (int64_t)t.p.n_items * t.p.n_machines;
    struct solve_limits l = {.seed = k->seed,
                             .steps = all < PLACE_STEPS_MOST ? all : PLACE_STEPS_MOST};
    solve_place(&s, &l, false);
    l.steps = POLISH_LEAST + (int64_t)t.p.n_items * POLISH_PER_ITEM;
    l.steps = l.steps < POLISH_MOST ? l.steps : POLISH_MOST;
    if (!k->r->quick)
        solve_improve(&s, &l);
    for (size_t i = 0; i < k->n; i++)
        to[i] = -1;
    int rank = INT_MIN;
    for (size_t i = 0; i < n; i++) {
        to[at[i]] = s.at[t.item_of[i]];
        rank = list[i].rank > rank ? list[i].rank : rank;
    }
    making_put(k, to);
    fill_gaps(k, rank);
    if (n == k->n)
        try_smallest_first(k, to, rank);
    solve_done(&s);
    translation_done(&t);
}

/* Live elsewhere is better than cold: only what found no place is asked about again. */
static void place_cold(struct making *k)
{
    cleanup(freep) struct plan_wanted *rest = xcalloc(k->n, sizeof(*rest));
    cleanup(freep) size_t *at = xcalloc(k->n, sizeof(*at));
    struct plan_classes classes;
    size_t n = 0;
    for (size_t i = 0; i < k->n; i++)
        if (k->list[i].cold && k->w.f.to[k->list[i].vm] < 0) {
            rest[n] = k->list[i];
            at[n++] = i;
        }
    if (!n)
        return;
    plan_classes_make(&k->w, rest, n, true, &classes);
    place(k, &classes, rest, at, n);
    plan_classes_done(&classes);
}

/* Those of the list from the first on that have one rank. Returns where the next rank begins. The list is
 * sorted by rank. */
static size_t place_rank(struct making *k, size_t first)
{
    struct plan_classes some = k->live;
    cleanup(freep) size_t *at = xcalloc(k->n, sizeof(*at));
    size_t n = 0;
    for (size_t i = first; i < k->n && k->list[i].rank == k->list[first].rank; i++)
        at[n++] = i;
    some.class_of += first;
    place(k, &some, k->list + first, at, n);
    return first + n;
}

/* All at once; where not all have a place, rank by rank, so that none is missing for the sake of one of a
 * higher rank. */
static void place_all(struct making *k)
{
    cleanup(freep) size_t *at = xcalloc(k->n, sizeof(*at));
    for (size_t i = 0; i < k->n; i++) {
        k->w.f.leaving[k->list[i].vm] = true;
        at[i] = i;
    }
    place(k, &k->live, k->list, at, k->n);
    if (count_placed(k) < k->n && k->list[0].rank != k->list[k->n - 1].rank) {
        making_take_back(k);
        for (size_t i = 0; i < k->n;)
            i = place_rank(k, i);
    }
    place_cold(k);
}

/* ---- the plan --------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b, void *ctx)
{
    const struct plan_wanted *x = a, *y = b;
    const struct snapshot *s = ctx;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    int cx = plan_counts(s, x->vm), cy = plan_counts(s, y->vm);
    int64_t mx = vm_need_bytes(s->vms[x->vm].v), my = vm_need_bytes(s->vms[y->vm].v);
    if (cx != cy)
        return cy - cx;
    if (mx != my)
        return mx > my ? -1 : 1;
    return x->vm - y->vm;
}

/* By class, once: most moves of a large plan choose from the same hosts. */
static struct plan_choice *choices(const struct making *k)
{
    const struct plan_world *w = &k->w;
    struct plan_choice *c = xcalloc(k->live.n_sets ? k->live.n_sets : 1, sizeof(*c));
    for (size_t h = 0; h < w->s->n_hosts; h++) {
        int64_t left = plan_mem_capacity(w, (int)h) - w->load[h].mem_bytes;
        for (size_t i = 0; i < k->live.n_sets; i++) {
            if (!(k->live.sets[i][h >> 6] >> (h & 63) & 1))
                continue;
            if (!c[i].n_hosts++ || left > c[i].most_free_bytes)
                c[i].most_free_bytes = left;
        }
    }
    return c;
}

static void write_plan(struct making *k)
{
    const struct snapshot *s = k->w.s;
    cleanup(freep) struct plan_choice *choice = choices(k);
    for (size_t i = 0; i < k->n; i++) {
        const struct plan_wanted *x = &k->list[i];
        int to = k->w.f.to[x->vm];
        if (to < 0 && k->r->goal != GOAL_LEAVE)
            continue;
        if (to < 0) {
            struct plan_stay *stay = vec_add(&k->plan->stays, &k->plan->n_stays);
            stay->vm = x->vm;
            if (k->r->quick)
                continue;
            plan_explain_stay(&k->w, x->vm, k->r->allow_cold && plan_counts(s, x->vm), stay);
            assert(stay->n_reasons);
            continue;
        }
        bool cold = is_cold(k, i, to);
        *vec_add(&k->plan->moves, &k->plan->n_moves) = (struct plan_move){
            .vm = x->vm,
            .from = s->vms[x->vm].host,
            .to = to,
            .live = !cold && s->vms[x->vm].v->state != VM_SHUTOFF && !s->vms[x->vm].nowhere,
            .why = k->r->goal == GOAL_CONSOLIDATE ? plan_consolidate_why(k, x->vm, to)
                   : k->r->goal != GOAL_LEAVE     ? plan_balance_why(k, x->vm, to)
                   : cold ? xstrdup("no host is left that it can move to live")
                          : plan_why(&k->w, x, to, &choice[k->live.class_of[i]]),
        };
        plan_why_failed(&k->w, &k->plan->moves[k->plan->n_moves - 1]);
    }
}

void making_begin(struct making *k, int *planned)
{
    const struct snapshot *s = k->w.s;
    if (k->r->goal == GOAL_LEAVE) {
        collect(k, planned);
    } else {
        size_t n = k->r->vms ? k->r->n_vms : s->n_vms;
        for (size_t i = 0; i < n; i++) {
            int vm = k->r->vms ? k->r->vms[i] : (int)i;
            bool asks = plan_counts(s, vm) || k->r->goal == GOAL_CONSOLIDATE;
            bool room = k->r->goal == GOAL_ROOM && vm == k->r->room_for;
            struct plan_stay stay;
            if (!asks)
                continue;
            if (!making_may_move(k, vm, &k->list[k->n], room ? &stay : NULL)) {
                if (room)
                    *vec_add(&k->plan->stays, &k->plan->n_stays) = stay;
                continue;
            }
            k->list[k->n].must_leave = room;
            planned[k->n++] = vm;
        }
    }
    k->w.n_planned = k->n;
    if (k->n > 1)
        qsort_r(k->list, k->n, sizeof(*k->list), by_size, (void *)(uintptr_t)s);
    plan_classes_make(&k->w, k->list, k->n, false, &k->live);
}

void plan_make_from(const struct plan_index *x, const struct plan_request *r, uint64_t seed,
                    struct plan *ret)
{
    struct making k = {.x = x, .r = r, .seed = seed, .plan = ret};
    *ret = (struct plan){0};
    plan_world_init(&k.w, x, r, NULL, 0);
    size_t most = r->goal == GOAL_LEAVE || r->vms ? r->n_vms : k.w.s->n_vms;
    cleanup(freep) int *planned = xcalloc(most, sizeof(*planned));
    k.list = xcalloc(most, sizeof(*k.list));
    k.w.planned = planned;
    making_begin(&k, planned);
    if (k.n && r->goal == GOAL_LEAVE)
        place_all(&k);
    else if (r->goal == GOAL_ROOM)
        plan_fit(&k);
    else if (r->goal == GOAL_CONSOLIDATE)
        plan_consolidate(&k);
    else if (k.n)
        plan_balance(&k);
    write_plan(&k);
    if (!r->rank && (!k.n || !plan_handon(&k)))
        plan_order(k.w.s, k.w.p, ret->moves, ret->n_moves);
    free(k.list);
    free(k.was_bytes);
    free(k.cpu_was);
    free(k.cpu_is);
    plan_classes_done(&k.live);
    plan_world_done(&k.w);
}

void plan_make(const struct snapshot *s, const struct policy *p, const struct plan_request *r,
               uint64_t seed, struct plan *ret)
{
    struct plan_index *x = plan_index_new(s, p);
    plan_make_from(x, r, seed, ret);
    plan_index_free(x);
}

void plan_moves_done(struct plan *p)
{
    for (size_t i = 0; i < p->n_moves; i++) {
        free(p->moves[i].why);
        free(p->moves[i].after);
    }
    free(p->moves);
    p->moves = NULL;
    p->n_moves = 0;
}

void plan_stay_done(struct plan_stay *s)
{
    reasons_done(s->reasons, s->n_reasons);
}

void plan_done(struct plan *p)
{
    plan_moves_done(p);
    for (size_t i = 0; i < p->n_stays; i++)
        plan_stay_done(&p->stays[i]);
    free(p->stays);
    free(p->emptied);
    *p = (struct plan){0};
}
