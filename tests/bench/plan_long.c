/* How far a balance plan is from what a long search finds: the same problem, searched for many more
 * steps than a plan ever takes, from where the fleet is and from where the plan ends.
 *   build/plain/bench/plan_long [HOSTS STEPS]...
 * The score's tiers before cost must be equal; of the cost (squares of the loads and the price of moves)
 * the ratio, and which part of what can be gained the plan has. Prints "bench: NAME VALUE UNIT". */
#include "scheduler/plan/making.h"
#include "scheduler/solve/solve.h"
#include "tests/bench/bench.h"
#include "tests/bench/planfleet.h"

struct task { /* the problem of the plan */
    struct plan plan;
    struct plan_index *index;
    struct making k;
    struct translation t;
    int *item_of; /* per VM */
};

static void task_init(struct task *x, struct test_fleet *f)
{
    struct making *k = &x->k;
    x->index = plan_index_new(&f->s, &f->p);
    plan_make_from(x->index, &f->r, 1, &x->plan);
    *k = (struct making){.r = &f->r, .seed = 1, .plan = &x->plan};
    plan_world_init(&k->w, x->index, &f->r, NULL, 0);
    k->list = xcalloc(f->s.n_vms, sizeof(*k->list));
    for (size_t i = 0; i < f->s.n_vms; i++) {
        if (!making_may_move(k, (int)i, &k->list[k->n], NULL))
            continue;
        k->list[k->n++].must_leave = false;
    }
    plan_classes_make(&k->w, k->list, k->n, false, &k->live);
    struct translate_goal g = plan_balance_goal(k);
    translate(&k->w, k->list, k->n, &g, &x->t);
    x->item_of = xcalloc(f->s.n_vms, sizeof(*x->item_of));
    for (size_t i = 0; i < k->n; i++)
        x->item_of[k->list[i].vm] = x->t.item_of[i];
}

static void task_done(struct task *x)
{
    translation_done(&x->t);
    plan_classes_done(&x->k.live);
    plan_world_done(&x->k.w);
    free(x->k.list);
    free(x->item_of);
    plan_done(&x->plan);
    plan_index_free(x->index);
}

/* The fleet as the plan leaves it. */
static void carry_out(struct task *x, struct solve_state *s)
{
    struct solve_score d;
    for (size_t i = 0; i < x->plan.n_moves; i++) {
        const struct plan_move *m = &x->plan.moves[i];
        if (!solve_try_shift(s, x->item_of[m->vm], m->to, 0, &d)) {
            fprintf(stderr, "plan_long: move %zu is not possible\n", i);
            exit(1);
        }
        solve_do_shift(s, x->item_of[m->vm], m->to, 0, &d);
    }
}

static struct solve_score search(struct task *x, bool from_plan, int64_t steps, int *ret_moved)
{
    struct solve_state s;
    solve_init(&s, &x->t.p);
    if (from_plan)
        carry_out(x, &s);
    solve_improve(&s, &(struct solve_limits){.seed = 1, .steps = steps});
    struct solve_score score = s.score;
    *ret_moved = s.n_moved;
    solve_done(&s);
    return score;
}

static void print_score(const char *what, const struct solve_score *s, int moves, int64_t us)
{
    printf("  %-24s hard %lld soft %lld load %lld cost %lld  %6d moves  %8.2f s\n", what,
           (long long)s->tier[TIER_HARD], (long long)s->tier[TIER_SOFT],
           (long long)s->tier[TIER_LOAD], (long long)s->tier[TIER_COST], moves, (double)us / 1e6);
}

static void compare(size_t hosts, int64_t steps)
{
    struct test_fleet f;
    struct task x;
    struct solve_score before, planned, best;
    make_fleet(&f, hosts);
    ask_balance(&f, hosts);
    int64_t start = cpu_us();
    task_init(&x, &f);
    int64_t took = cpu_us() - start;
    struct solve_state s;
    solve_init(&s, &x.t.p);
    before = s.score;
    carry_out(&x, &s);
    best = planned = s.score;
    solve_done(&s);
    printf("%zu hosts, %lld steps\n", hosts, (long long)steps);
    print_score("before", &before, 0, 0);
    print_score("the plan", &planned, (int)x.plan.n_moves, took);
    for (int from_plan = 0; from_plan < 2; from_plan++) {
        int moved;
        start = cpu_us();
        struct solve_score r = search(&x, from_plan, steps, &moved);
        print_score(from_plan ? "searched from the plan" : "searched from the start", &r, moved,
                    cpu_us() - start);
        best = solve_score_cmp(&r, &best) < 0 ? r : best;
    }
    double cost = (double)planned.tier[TIER_COST] / (double)best.tier[TIER_COST];
    double gain = (double)(before.tier[TIER_COST] - planned.tier[TIER_COST]) /
                  (double)(before.tier[TIER_COST] - best.tier[TIER_COST]);
    printf("bench: plan_balance_%s_vs_long_run %.5f ratio\n", short_number(hosts), cost);
    printf("bench: plan_balance_%s_of_gain %.5f ratio\n", short_number(hosts), gain);
    fflush(stdout);
    task_done(&x);
    fleet_done(&f);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2)
        compare((size_t)bench_int("HOSTS", argv[i], 1, 100000),
                bench_int("STEPS", argv[i + 1], 1, INT64_MAX));
    if (argc < 3) {
        compare(100, 200000000);
        compare(1000, 400000000);
        compare(10000, 40000000);
    }
    return 0;
}
