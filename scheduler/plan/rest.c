#include "scheduler/plan/rest.h"

#include "lib/base/mem.h"
#include "scheduler/plan/making.h"

struct judging {
    struct making k;
    struct plan plan; /* its standing, for the goal */
    struct translation t;
    struct solve_state s;
    const struct plan_move *moves;
    size_t n;
    int *item;  /* per move; -1: it may not move any more */
    bool *done; /* per move: the engine's state has it */
};

/* ---- with the engine --------------------------------------------------------------------------- */

static int item_of(const struct judging *j, int vm)
{
    for (size_t i = 0; i < j->k.n; i++)
        if (j->k.list[i].vm == vm)
            return j->t.item_of[i];
    return -1;
}

static bool shift(struct judging *j, int item, int to, struct solve_score *d)
{
    if (j->s.at[item] == to)
        return true;
    if (!solve_try_shift(&j->s, item, to, 0, d))
        return false;
    solve_do_shift(&j->s, item, to, 0, d);
    return true;
}

/* All that there is room for, also for those whom others make room. */
static void do_all(struct judging *j)
{
    for (bool any = true; any;) {
        any = false;
        for (size_t i = 0; i < j->n; i++) {
            struct solve_score d;
            if (j->done[i] || j->item[i] < 0 || !shift(j, j->item[i], j->moves[i].to, &d))
                continue;
            j->done[i] = any = true;
            if (j->k.w.f.to[j->moves[i].vm] < 0)
                plan_world_put(&j->k.w, j->moves[i].vm, j->moves[i].to);
        }
    }
}

static bool helps(const struct judging *j, size_t i)
{
    struct solve_score d, none = {0};
    if (j->item[i] < 0)
        return false;
    int home = j->t.p.home[j->item[i]];
    if (!j->done[i] || !solve_try_shift(&j->s, j->item[i], home, 0, &d))
        return true;
    return solve_score_cmp(&d, &none) > 0;
}

static void judge(struct judging *j, struct plan_rest *ret)
{
    struct translate_goal g = plan_balance_goal(&j->k);
    g.handed = true; /* an order in which there is room has been planned */
    cleanup(freep) bool *relieved = xcalloc(j->k.w.s->n_hosts + 1, sizeof(*relieved));
    for (size_t i = 0; i < j->n; i++)
        relieved[j->k.w.f.at[j->moves[i].vm]] = true;
    g.relieved = relieved; /* else it would rest at the limit after the first of its moves */
    translate(&j->k.w, j->k.list, j->k.n, &g, &j->t);
    j->t.p.max_moves = -1;
    solve_init(&j->s, &j->t.p);
    struct solve_score was = j->s.score;
    ret->now = j->plan.before; /* measured once: that reads every VM */
    ret->now.broken = was.tier[TIER_HARD];
    ret->now.soft = was.tier[TIER_SOFT];
    ret->needed = plan_balance_needed(&j->k, &was);
    for (int h = 0; h < j->t.p.n_machines; h++)
        ret->over[h] = j->s.machine[h].tier[TIER_HARD] || j->s.machine[h].tier[TIER_LOAD];
    for (size_t i = 0; i < j->n; i++)
        j->item[i] = item_of(j, j->moves[i].vm);
    do_all(j);
    ret->after = ret->now;
    if (j->n)
        plan_measure(&j->k.w, &j->s.score, &ret->after);
    ret->gains = solve_score_cmp(&j->s.score, &was) < 0;
    for (size_t i = 0; i < j->n; i++)
        ret->helps[i] = helps(j, i);
    solve_done(&j->s);
    translation_done(&j->t);
}

/* ---- hosts to be emptied ----------------------------------------------------------------------- */

static bool is_moved(const struct judging *j, int vm)
{
    bool any = j->k.w.f.to[vm] >= 0;
    for (size_t i = 0; i < j->n; i++)
        any = any || j->moves[i].vm == vm;
    return any;
}

/* A move helps while all else leaves its host, too. */
static void judge_emptying(struct judging *j, struct plan_rest *ret)
{
    const struct snapshot *s = j->k.w.s;
    ret->needed = true;
    for (size_t i = 0; i < j->n; i++) {
        ret->helps[i] = true;
        for (size_t v = 0; v < s->n_vms && ret->helps[i]; v++)
            ret->helps[i] = s->vms[v].host != s->vms[j->moves[i].vm].host || is_moved(j, (int)v);
        ret->gains = ret->gains || ret->helps[i];
    }
}

/* ---- room to be made --------------------------------------------------------------------------- */

/* A hard rule keeps the two together: one moves only because the other does. */
static bool are_bound(const struct plan_world *w, int a, int b)
{
    bool any = false;
    for (size_t i = w->rules_start[a]; i < w->rules_start[a + 1] && !any; i++) {
        const struct rule *r = &w->p->rules[w->rules[i]];
        for (size_t k = w->rules_start[b];
             r->kind == RULE_AFFINITY && r->hard && !any && k < w->rules_start[b + 1]; k++)
            any = w->rules[k] == w->rules[i];
    }
    return any;
}

/* Another needs its going, or goes with it. */
static bool is_needed(const struct judging *j, size_t at)
{
    bool any = false;
    for (size_t i = 0; i < j->n && !any; i++)
        any = i != at && (j->moves[i].to == j->k.w.f.at[j->moves[at].vm] ||
                          are_bound(&j->k.w, j->moves[i].vm, j->moves[at].vm));
    return any;
}

static void judge_room(struct judging *j, struct plan_rest *ret)
{
    cleanup(freep) struct plan_move *others = xcalloc(j->n + 1, sizeof(*others));
    if (j->k.r->room_for < 0) /* it is gone: nobody needs the room */
        return;
    ret->room_on = plan_room_on(j->k.x, j->k.r, NULL, 0, -1);
    ret->needed = ret->room_on < 0;
    ret->gains = plan_room_on(j->k.x, j->k.r, j->moves, j->n, -1) >= 0;
    for (size_t i = 0; i < j->n; i++) {
        size_t n = 0;
        for (size_t k = 0; k < j->n; k++)
            if (k != i)
                others[n++] = j->moves[k];
        ret->helps[i] =
            ret->gains && (is_needed(j, i) || plan_room_on(j->k.x, j->k.r, others, n, -1) < 0);
    }
}

void plan_rest(const struct plan_index *x, const struct plan_request *r,
               const struct plan_move *moves, size_t n, struct plan_rest *ret)
{
    struct plan_request own = *r;
    size_t most = n ? n : plan_index_snapshot(x)->n_vms; /* no moves: whatever may move */
    cleanup(freep) int *vms = xcalloc(n + 1, sizeof(*vms));
    cleanup(freep) int *planned = xcalloc(most + 1, sizeof(*planned));
    cleanup(freep) int *item = xcalloc(n + 1, sizeof(*item));
    cleanup(freep) bool *done = xcalloc(n + 1, sizeof(*done));
    struct judging j = {
        .k = {.x = x, .r = &own}, .moves = moves, .n = n, .item = item, .done = done};
    *ret = (struct plan_rest){.room_on = -1,
                              .helps = xcalloc(n + 1, sizeof(*ret->helps)),
                              .over =
                                  xcalloc(plan_index_snapshot(x)->n_hosts + 1, sizeof(*ret->over))};
    for (size_t i = 0; i < n; i++)
        vms[i] = moves[i].vm;
    own.vms = n ? vms : NULL;
    own.n_vms = n;
    j.k.plan = &j.plan;
    plan_world_init(&j.k.w, x, &own, planned, 0);
    j.k.list = xcalloc(most + 1, sizeof(*j.k.list));
    making_begin(&j.k, planned);
    plan_measure(&j.k.w, &(struct solve_score){0}, &j.plan.before);
    if (r->goal == GOAL_CONSOLIDATE || r->goal == GOAL_ROOM) {
        ret->now = ret->after = j.plan.before;
        if (r->goal == GOAL_ROOM)
            judge_room(&j, ret);
        else
            judge_emptying(&j, ret);
    } else {
        judge(&j, ret);
    }
    free(j.k.list);
    plan_done(&j.plan);
    plan_classes_done(&j.k.live);
    plan_world_done(&j.k.w);
}

void plan_rest_done(struct plan_rest *x)
{
    free(x->helps);
    free(x->over);
    *x = (struct plan_rest){0};
}
