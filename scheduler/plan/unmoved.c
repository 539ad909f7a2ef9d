#include "scheduler/plan/unmoved.h"

#include "lib/base/mem.h"
#include "scheduler/plan/cpu.h"
#include "scheduler/plan/making.h"

const char *const unmoved_why_names[UNMOVED_WHYS] = {"moves", "cannot",  "nowhere", "price",
                                                     "limit", "left_be", "better"};

struct looking {
    struct making k;
    struct plan before; /* its standing, for the goal */
    struct translation t;
    struct solve_state s;
    const struct plan *plan;
    bool measured; /* CPU: hosts that are not known take nobody */
    size_t at; /* place of the VM in the list */
    struct plan_unmoved *ret;
};

static bool find(struct looking *l, int vm)
{
    for (l->at = 0; l->at < l->k.n; l->at++)
        if (l->k.list[l->at].vm == vm)
            return true;
    return false;
}

/* The engine's state as the plan leaves it. */
static void carry_out(struct looking *l)
{
    struct translate_goal g = plan_balance_goal(&l->k);
    l->measured = g.measured;
    translate(&l->k.w, l->k.list, l->k.n, &g, &l->t);
    l->t.p.max_moves = -1;
    solve_init(&l->s, &l->t.p);
    for (size_t i = 0; i < l->k.n; i++)
        for (size_t m = 0; m < l->plan->n_moves; m++) {
            struct solve_score d;
            int item = l->t.item_of[i], to = l->plan->moves[m].to;
            if (l->plan->moves[m].vm != l->k.list[i].vm)
                continue;
            plan_world_put(&l->k.w, l->k.list[i].vm, to);
            if (l->s.at[item] != to && solve_try_shift(&l->s, item, to, 0, &d))
                solve_do_shift(&l->s, item, to, 0, &d);
        }
}

/* One host after the other: its first "no", or what a move there would bring. */
static void look_at_hosts(struct looking *l, int vm, struct solve_score *ret_best)
{
    struct plan_unmoved *u = l->ret;
    int item = l->t.item_of[l->at];
    for (int h = 0; h < (int)l->k.w.s->n_hosts; h++) {
        struct plan_ask q = {.vm = vm, .host = h};
        struct solve_score d;
        struct reason why;
        if (h == l->k.w.f.at[vm])
            continue;
        if (!plan_filter(&l->k.w, &q, PF_STATIC | PF_DYNAMIC, &why)) {
            *vec_add(&u->reasons, &u->n_reasons) = why;
            continue;
        }
        shape_done(&reason_shape, &why);
        if (l->measured && !plan_cpu_known(&l->k.w, h) && !plan_cpu_must_mend(&l->k.w, vm)) {
            struct reason *r = vec_add(&u->reasons, &u->n_reasons);
            shape_init(&reason_shape, r);
            r->code = R_LOAD_UNKNOWN;
            r->host = xstrdup(l->k.w.s->hosts[h].h->name);
            continue;
        }
        if (!solve_try_shift(&l->s, item, h, 0, &d) ||
            (u->best >= 0 && solve_score_cmp(&d, ret_best) >= 0))
            continue;
        u->best = h;
        *ret_best = d;
    }
}

static int judge(const struct looking *l, const struct solve_score *d)
{
    const struct plan_request *r = l->k.r;
    int64_t most = r->max_moves ? r->max_moves : l->k.w.p->balance.max_moves;
    struct solve_score none = {0};
    if (solve_score_cmp(d, &none) >= 0)
        return UNMOVED_PRICE;
    if ((int64_t)l->plan->n_moves >= most)
        return UNMOVED_LIMIT;
    return l->plan->n_moves ? UNMOVED_BETTER : UNMOVED_LEFT_BE;
}

static void look(struct looking *l, int vm)
{
    struct plan_unmoved *u = l->ret;
    struct solve_score d = {0};
    carry_out(l);
    look_at_hosts(l, vm, &d);
    u->why = UNMOVED_NOWHERE;
    if (u->best >= 0) {
        u->price = l->t.p.move_cost[l->t.item_of[l->at]];
        u->gain = u->price - d.tier[TIER_COST];
        for (int t = 0; t < TIER_COST && !u->mends && d.tier[t] <= 0; t++)
            u->mends = d.tier[t] < 0;
        u->why = judge(l, &d);
    }
    solve_done(&l->s);
    translation_done(&l->t);
}

void plan_unmoved(const struct plan_index *x, const struct plan_request *r, const struct plan *plan,
                  int vm, struct plan_unmoved *ret)
{
    struct looking l = {.k = {.r = r}, .plan = plan, .ret = ret};
    struct plan_wanted as;
    struct plan_stay stay = {0};
    *ret = (struct plan_unmoved){.why = UNMOVED_MOVES, .best = -1};
    for (size_t i = 0; i < plan->n_moves; i++)
        if (plan->moves[i].vm == vm) {
            ret->best = plan->moves[i].to;
            return;
        }
    l.before.before = plan->before;
    l.k.plan = &l.before;
    size_t most = r->vms ? r->n_vms : plan_index_snapshot(x)->n_vms;
    cleanup(freep) int *planned = xcalloc(most, sizeof(*planned));
    plan_world_init(&l.k.w, x, r, planned, 0);
    l.k.list = xcalloc(most, sizeof(*l.k.list));
    making_begin(&l.k, planned);
    if (find(&l, vm)) {
        look(&l, vm);
    } else {
        ret->why = UNMOVED_CANNOT;
        if (!making_may_move(&l.k, vm, &as, &stay)) {
            ret->reasons = stay.reasons;
            ret->n_reasons = stay.n_reasons;
        }
    }
    free(l.k.list);
    plan_classes_done(&l.k.live);
    plan_world_done(&l.k.w);
}

void plan_unmoved_done(struct plan_unmoved *u)
{
    for (size_t i = 0; i < u->n_reasons; i++)
        shape_done(&reason_shape, &u->reasons[i]);
    free(u->reasons);
    *u = (struct plan_unmoved){0};
}
