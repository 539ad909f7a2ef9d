/* Room is handed on: where a plan whose moves go in any order leaves something undone, one is looked for
 * whose moves wait for each other. The target fits once all has ended; the order comes afterwards
 * (scheduler/solve/order.h). A target to which no way was found is given up, place by place. */
#include "scheduler/plan/handon.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/solve/descend.h"
#include "scheduler/solve/level.h"
#include "scheduler/solve/place.h"
#include "scheduler/solve/reach.h"
#include "scheduler/solve/solve.h"

/* Targets without a way that are put aside before it is given up; prices and steps asked about, which
 * is a second or two in all. */
enum { ROUNDS = 24, PLACE_STEPS = 1000000, POLISH_STEPS = 20000, ALL_STEPS = 12000000 };
enum { REACH_STEPS = 6000000, QUICK_STEPS = 20000, REPAIR_STEPS = 10000, LEVEL_ABOVE = 300000 };
/* A move must be worth more than any evenness that it brings. */
enum { PRICE_PER_MOVE = 2 * SOLVE_UNIT, PRICE_PER_GIB = SOLVE_UNIT / 64 };

static bool leaves(const struct handon *h)
{
    return h->k->r->goal == GOAL_LEAVE;
}

static int64_t most_moves(const struct handon *h)
{
    const struct plan_request *r = h->k->r;
    return r->max_moves ? r->max_moves : h->w.p->balance.max_moves;
}

/* ---- who may move ------------------------------------------------------------------------------- */

static bool only_for_maintenance(const struct plan_world *w, int vm)
{
    for (size_t i = w->rules_start[vm]; i < w->rules_start[vm + 1]; i++)
        if (w->p->rules[w->rules[i]].kind == RULE_MAINTENANCE_ONLY)
            return true;
    return false;
}

/* Those that run elsewhere and can move live. The host that is left is no place to make room on; what is
 * bound to cells of its host stays in them. */
static void add_others(struct handon *h, const bool *asked, const bool *left)
{
    const struct snapshot *s = h->w.s;
    for (int vm = 0; vm < (int)s->n_vms; vm++) {
        struct plan_wanted *x = &h->list[h->n];
        if (asked[vm] || s->vms[vm].nowhere || left[s->vms[vm].host] ||
            s->vms[vm].v->state != VM_RUNNING || s->vms[vm].v->n_binds ||
            only_for_maintenance(&h->w, vm) || !making_may_move(h->k, vm, x, NULL) || !x->as_is)
            continue;
        x->must_leave = x->cold = false;
        h->n++;
    }
}

static void collect(struct handon *h)
{
    const struct making *k = h->k;
    const struct snapshot *s = h->w.s;
    cleanup(freep) bool *asked = xcalloc(s->n_vms, sizeof(*asked));
    cleanup(freep) bool *left = xcalloc(s->n_hosts, sizeof(*left));
    h->list = xcalloc(s->n_vms + 1, sizeof(*h->list));
    for (size_t i = 0; i < k->n; i++) {
        if (!leaves(h) && s->vms[k->list[i].vm].v->n_binds)
            continue;
        h->list[h->n] = k->list[i];
        h->list[h->n++].cold = k->list[i].cold && !k->list[i].as_is;
    }
    h->n_asked = h->n;
    for (size_t i = 0; leaves(h) && i < k->r->n_vms; i++)
        asked[k->r->vms[i]] = left[s->vms[k->r->vms[i]].host] = true;
    if (leaves(h))
        add_others(h, asked, left);
    h->planned = xcalloc(h->n + 1, sizeof(*h->planned));
    for (size_t i = 0; i < h->n; i++) {
        h->planned[i] = h->list[i].vm;
        h->w.f.leaving[h->list[i].vm] = true;
    }
    h->w.planned = h->planned;
    h->w.n_planned = h->n;
    plan_classes_make(&h->w, h->list, h->n, true, &h->classes);
    for (size_t c = 0; c < h->classes.n_sets; c++)
        for (size_t m = 0; m < s->n_hosts; m++)
            if (left[m])
                h->classes.sets[c][m >> 6] &= ~(UINT64_C(1) << (m & 63));
}

/* ---- targets ------------------------------------------------------------------------------------ */

/* From what the plan has: only what is left over needs a place, and others move for nothing else. */
static void begin_leave(const struct handon *h, struct solve_state *s)
{
    const struct making *k = h->k;
    for (size_t i = 0; i < h->n_asked; i++)
        if (s->at[h->t.item_of[i]] >= 0)
            solve_do_remove(s, h->t.item_of[i]);
    for (size_t i = 0; i < h->n_asked; i++) {
        struct solve_score d;
        int item = h->t.item_of[i], to = k->w.f.to[k->list[i].vm];
        if (to >= 0 && s->at[item] < 0 && solve_try_shift(s, item, to, 0, &d))
            solve_do_shift(s, item, to, 0, &d);
    }
}

/* Returns the steps taken. */
static int64_t find_target(const struct handon *h, struct solve_state *s, int64_t steps)
{
    struct solve_limits l = {.seed = h->k->seed,
                             .steps = steps < PLACE_STEPS ? steps : PLACE_STEPS};
    int64_t taken = 0;
    if (leaves(h)) {
        begin_leave(h, s);
        taken = solve_place(s, &l, true);
        l.steps = POLISH_STEPS;
        return taken + solve_improve(s, &l);
    }
    l.steps = steps;
    if ((int64_t)h->t.p.n_items * h->t.p.n_machines > LEVEL_ABOVE)
        return solve_level(s, &l);
    taken = solve_descend(s, &l);
    if (s->score.tier[TIER_HARD] < h->k->plan->after.broken)
        return taken;
    struct solve_state again; /* single steps did not do it: with chains, from the beginning */
    solve_init(&again, s->p);
    l.steps = REPAIR_STEPS;
    taken += solve_repair(&again, &l, true);
    taken += solve_descend(&again, &l);
    if (again.score.tier[TIER_HARD] < s->score.tier[TIER_HARD])
        solve_copy(s, &again);
    solve_done(&again);
    return taken;
}

/* Who had a place keeps one: whoever stays then has its reasons already. */
static bool nobody_loses(const struct handon *h, const int *at)
{
    for (size_t i = 0; i < h->n_asked; i++)
        if (h->k->w.f.to[h->list[i].vm] >= 0 && at[h->t.item_of[i]] < 0)
            return false;
    return true;
}

/* Better than what the plan has that waits for nothing? */
static bool is_better(const struct handon *h, const struct solve_state *s)
{
    const struct plan_standing *a = &h->k->plan->after;
    const struct solve_score *x = &s->score;
    if (leaves(h))
        return x->tier[TIER_HARD] < h->was.tier[TIER_HARD] && nobody_loses(h, s->at);
    if (x->tier[TIER_HARD] != a->broken)
        return x->tier[TIER_HARD] < a->broken;
    return x->tier[TIER_SOFT] < a->soft;
}

/* ---- ways to them ------------------------------------------------------------------------------- */

static int64_t limit_left(const struct handon *h)
{
    return most_moves(h) - handon_moves(h, leaves(h));
}

/* What is stopped stays down until it has arrived, and nothing goes home again. */
static bool is_odd(const struct handon *h, int *ret_step)
{
    cleanup(freep) bool *cold = xcalloc((size_t)h->t.p.n_items + 1, sizeof(*cold));
    for (size_t i = 0; i < h->n; i++)
        cold[h->t.item_of[i]] |= h->list[i].cold;
    for (int k = 0; k < h->o.n_steps; k++) {
        const struct solve_step *q = &h->o.steps[k];
        *ret_step = k;
        if (q->to == h->t.p.home[q->item] || (cold[q->item] && q->from != h->t.p.home[q->item]))
            return true;
    }
    return false;
}

/* The item is never put on this machine. */
static void forbid(struct translation *t, int item, int machine)
{
    struct problem *p = &t->p;
    size_t words = plan_set_words((size_t)p->n_machines) + 1;
    uint64_t *bits = xcalloc(words, sizeof(*bits));
    int *allow = xmemdup(p->allow, (size_t)p->n_items * sizeof(*allow));
    struct solve_set *sets = xcalloc((size_t)p->n_sets + 1, sizeof(*sets));
    for (int m = 0; m < p->n_machines; m++)
        if (m != machine && solve_in_set(p, p->allow[item], m))
            bits[m >> 6] |= UINT64_C(1) << (m & 63);
    memcpy(sets, p->sets, (size_t)p->n_sets * sizeof(*sets));
    sets[p->n_sets].bits = bits;
    allow[item] = p->n_sets++;
    p->sets = sets;
    p->allow = allow;
    *vec_add(&t->owned, &t->n_owned) = bits;
    *vec_add(&t->owned, &t->n_owned) = allow;
    *vec_add(&t->owned, &t->n_owned) = sets;
}

/* True: the order's steps can be made. Else the place that is in the way is forbidden, if there is
 * one. */
static bool way_holds(struct handon *h, const struct solve_state *s, bool arrives, bool *ret_again)
{
    int step = 0, item = -1, to = -1;
    if (!arrives) {
        item = h->o.stuck[0];
        to = s->at[item];
    } else if (is_odd(h, &step) || !handon_replay(h, &step)) {
        item = h->o.steps[step].item;
        to = h->o.steps[step].to;
    }
    *ret_again = item >= 0;
    if (item >= 0)
        forbid(&h->t, item, to);
    return arrives && item < 0 && limit_left(h) >= 0;
}

static bool find_way(struct handon *h, const struct solve_state *s, bool *ret_again)
{
    const struct problem *p = &h->t.p;
    int64_t spare = most_moves(h);
    for (int i = 0; i < p->n_items; i++)
        spare -= s->at[i] >= 0 && s->at[i] != p->home[i];
    struct solve_order_limits l = {.max_parked = leaves(h) ? -1 : spare > 0 ? (int)spare : 0};
    bool arrives = solve_order(p, s->at, s->variant, &l, &h->o);
    bool ok = way_holds(h, s, arrives, ret_again);
    if (!ok)
        solve_order_done(&h->o);
    return ok;
}

static void translate_all(struct handon *h)
{
    struct translate_goal g = {.leave = true,
                               .price_per_move = PRICE_PER_MOVE,
                               .price_per_gib = PRICE_PER_GIB,
                               .max_moves = -1};
    if (!leaves(h))
        g = plan_balance_goal(h->k);
    g.handed = true;
    g.classes = &h->classes;
    translate(&h->w, h->list, h->n, &g, &h->t);
}

/* A better target, and a way there. */
static bool search(struct handon *h, bool *ret_whole)
{
    int64_t left = h->k->r->quick ? QUICK_STEPS : ALL_STEPS;
    bool found = false, again = true;
    int rounds = h->k->r->quick ? 1 : ROUNDS;
    for (int round = 0; round < rounds && left > 0 && again && !found; round++) {
        struct solve_state s;
        solve_init(&s, &h->t.p);
        if (!round) {
            if (leaves(h))
                begin_leave(h, &s);
            h->was = s.score;
            solve_done(&s);
            solve_init(&s, &h->t.p);
        }
        left -= find_target(h, &s, left) + 1;
        again = is_better(h, &s);
        h->score = s.score;
        *ret_whole = s.score.tier[TIER_HARD] == 0;
        found = again && find_way(h, &s, &again);
        solve_done(&s);
    }
    return found;
}

/* What the targets missed, in fleets small enough to look at everything: a way that empties all, or one
 * of fewer steps than was found (−1: none). */
static bool search_all(struct handon *h, int max_steps)
{
    int step;
    translation_done(&h->t);
    translate_all(h);
    struct solve_order o = h->o;
    h->o = (struct solve_order){0};
    bool found = solve_reach(&h->t.p, REACH_STEPS, max_steps, &h->o);
    if (found && !is_odd(h, &step) && handon_replay(h, &step) && limit_left(h) >= 0) {
        solve_order_done(&o);
        return true;
    }
    solve_order_done(&h->o);
    h->o = o;
    return false;
}

static bool anything_to_gain(const struct making *k)
{
    bool any = false, bound = false; /* to cells of its host: that room is not handed on */
    switch ((enum plan_goal)k->r->goal) {
    case GOAL_LEAVE:
        for (size_t i = 0; i < k->n; i++) {
            any = any || (k->w.f.to[k->list[i].vm] < 0 && plan_counts(k->w.s, k->list[i].vm));
            bound = bound || k->w.s->vms[k->list[i].vm].v->n_binds;
        }
        return any && !bound && k->r->make_room;
    case GOAL_REPAIR:
    case GOAL_RELIEVE:
    case GOAL_BALANCE:
        return k->plan->after.broken || k->plan->after.soft;
    case GOAL_ROOM:
    case GOAL_CONSOLIDATE:
        return false;
    }
    return false;
}

bool plan_handon(struct making *k)
{
    struct handon h = {.k = k};
    bool whole = false;
    if (!anything_to_gain(k))
        return false;
    plan_world_init(&h.w, k->x, k->r, NULL, 0);
    h.w.f.at = xmemdup(h.w.f.at, k->w.s->n_vms * sizeof(*h.w.f.at));
    collect(&h);
    translate_all(&h);
    bool found = search(&h, &whole);
    whole = whole && found;
    if (leaves(&h) && !k->r->quick && (!whole || h.o.n_steps > (int)h.n_asked + 1))
        found = search_all(&h, whole ? h.o.n_steps - 1 : -1) || found;
    if (found)
        handon_write(&h);
    solve_order_done(&h.o);
    translation_done(&h.t);
    plan_classes_done(&h.classes);
    free(h.w.f.at);
    plan_world_done(&h.w);
    free(h.list);
    free(h.planned);
    return found;
}
