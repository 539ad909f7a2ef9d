/* As many machines empty as can be, for least: held against looking at everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "scheduler/solve/vacate.h"

/* FULL: machines that are full of one item that fits nowhere else; with them not every set is looked at. */
enum { MOST_MACHINES = 5, MOST_ITEMS = 11, RES = 2, FULL = 20 };

struct small {
    struct problem p;
    int64_t size[(MOST_ITEMS + FULL) * RES], cap[(MOST_MACHINES + FULL) * RES],
        cost[MOST_ITEMS + FULL];
    int home[MOST_ITEMS + FULL], domain[MOST_MACHINES + FULL], n_domains[1];
    int group_start[MOST_ITEMS + FULL + 1], group_of[MOST_ITEMS + FULL], moves[MOST_ITEMS + FULL];
    struct solve_group group[1];
    bool may[MOST_MACHINES + FULL];
    struct vacate v;
    /* looked at plainly */
    int at[MOST_ITEMS + FULL], best_n;
    int64_t best_cost;
};

static int below(struct rng *g, int n)
{
    return (int)rng_below(g, (uint64_t)n);
}

static int64_t load(const struct small *x, int m, int r)
{
    int64_t sum = 0;
    for (int i = 0; i < x->p.n_items; i++)
        sum += x->at[i] == m ? x->size[i * RES + r] : 0;
    return sum;
}

static bool rule_holds(const struct small *x, int item)
{
    for (int i = 0; i < x->p.n_items; i++)
        if (i != item && x->group_start[i] < x->group_start[i + 1] && x->at[i] == x->at[item])
            return x->group_start[item] == x->group_start[item + 1];
    return true;
}

/* Full machines of two sizes, and items of which every third is apart from its like. */
static void small_init(struct small *x, struct rng *g)
{
    memset(x, 0, sizeof(*x));
    int machines = 3 + below(g, 3), items = 5 + below(g, MOST_ITEMS - 4);
    x->p = (struct problem){.n_machines = machines,
                            .n_res = RES,
                            .n_variants = 1,
                            .size = x->size,
                            .cap = x->cap,
                            .home = x->home,
                            .move_cost = x->cost,
                            .held_res = 3,
                            .n_levels = 1,
                            .domain = x->domain,
                            .n_domains = x->n_domains,
                            .groups = x->group,
                            .n_groups = 1,
                            .group_start = x->group_start,
                            .group_of = x->group_of,
                            .max_moves = -1};
    x->n_domains[0] = machines;
    x->group[0] = (struct solve_group){
        .kind = GROUP_APART, .limit = 1, .tier = TIER_HARD, .weight = 1, .held = true};
    for (int m = 0; m < machines; m++) {
        x->cap[m * RES] = below(g, 2) ? 32 : 24;
        x->cap[m * RES + 1] = 16;
        x->domain[m] = m;
        x->may[m] = below(g, 8) > 0;
    }
    while (x->p.n_items < items) {
        int i = x->p.n_items, tries = 0;
        x->size[i * RES] = 1 + below(g, 12);
        x->size[i * RES + 1] = 1 + below(g, 6);
        x->cost[i] = 1 + x->size[i * RES];
        x->moves[i] = 1;
        bool in = below(g, 3) == 0;
        x->group_start[i + 1] = x->group_start[i] + in;
        x->p.n_items++;
        do
            x->at[i] = x->home[i] = below(g, machines);
        while (++tries < 50 &&
               (load(x, x->at[i], 0) > x->cap[x->at[i] * RES] ||
                load(x, x->at[i], 1) > x->cap[x->at[i] * RES + 1] || !rule_holds(x, i)));
        if (tries == 50) {
            x->p.n_items--;
            break;
        }
    }
    x->v = (struct vacate){
        .may = x->may, .moves = x->moves, .max_moves = 2 + below(g, MOST_ITEMS), .most = machines};
}

static void add_full(struct small *x)
{
    for (int k = 0; k < FULL; k++) {
        int i = x->p.n_items++, m = x->p.n_machines++;
        for (int r = 0; r < RES; r++)
            x->size[i * RES + r] = x->cap[m * RES + r] = 40;
        x->cost[i] = x->moves[i] = 1;
        x->home[i] = x->domain[m] = m;
        x->may[m] = true;
        x->group_start[i + 1] = x->group_start[i];
    }
    x->n_domains[0] = x->p.n_machines;
}

/* Can the items that are not at their place yet all be placed, from item i on? */
static bool plain_pack(struct small *x, unsigned set, int i)
{
    for (; i < x->p.n_items && !(set >> x->home[i] & 1); i++)
        ;
    if (i == x->p.n_items)
        return true;
    for (int m = 0; m < x->p.n_machines; m++) {
        if (set >> m & 1)
            continue;
        x->at[i] = m;
        if (load(x, m, 0) <= x->cap[m * RES] && load(x, m, 1) <= x->cap[m * RES + 1] &&
            rule_holds(x, i) && plain_pack(x, set, i + 1))
            return true;
    }
    x->at[i] = -1;
    return false;
}

static void plain_best(struct small *x)
{
    x->best_n = -1;
    for (unsigned set = 0; set < 1U << x->p.n_machines; set++) {
        int n = 0, moves = 0;
        int64_t cost = 0;
        bool fair = true;
        for (int m = 0; m < x->p.n_machines; m++)
            if (set >> m & 1) {
                n++;
                fair = fair && x->may[m];
            }
        for (int i = 0; i < x->p.n_items; i++) {
            bool goes = set >> x->home[i] & 1;
            x->at[i] = goes ? -1 : x->home[i];
            moves += goes;
            cost += goes ? x->cost[i] : 0;
        }
        if (!fair || moves > x->v.max_moves || n < x->best_n ||
            (n == x->best_n && cost >= x->best_cost) || !plain_pack(x, set, 0))
            continue;
        x->best_n = n;
        x->best_cost = cost;
    }
}

static void check_answer(struct small *x, const struct solve_state *s, const bool *empty)
{
    for (int i = 0; i < x->p.n_items; i++) {
        x->at[i] = s->at[i];
        assert_false(empty[s->at[i]]);
        assert_true(s->at[i] == x->home[i] || empty[x->home[i]]);
    }
    for (int i = 0; i < x->p.n_items; i++)
        assert_true(rule_holds(x, i));
    for (int m = 0; m < x->p.n_machines; m++) {
        assert_true(!empty[m] || x->may[m]);
        for (int r = 0; r < RES; r++)
            assert_true(load(x, m, r) <= x->cap[m * RES + r]);
    }
    assert_true(s->n_moved <= x->v.max_moves);
}

struct tally {
    int as_many, as_cheap, freed;
};

static void one_case(struct rng *g, bool full, struct tally *t)
{
    struct small x;
    struct solve_state s;
    bool empty[MOST_MACHINES + FULL];
    int n = 0;
    int64_t cost = 0;
    small_init(&x, g);
    plain_best(&x);
    if (full)
        add_full(&x);
    solve_init(&s, &x.p);
    solve_vacate(&s, &(struct solve_limits){.seed = 1, .steps = 1000000}, &x.v, empty);
    check_answer(&x, &s, empty);
    for (int m = 0; m < x.p.n_machines; m++)
        n += empty[m];
    for (int i = 0; i < x.p.n_items; i++)
        cost += s.at[i] != x.home[i] ? x.cost[i] : 0;
    assert_true(n <= x.best_n);
    assert_true(n < x.best_n || cost >= x.best_cost);
    t->as_many += n == x.best_n;
    t->as_cheap += n == x.best_n && cost == x.best_cost;
    t->freed += n;
    solve_done(&s);
}

static void as_many_as_looking_at_everything(void **state)
{
    (void)state;
    enum { CASES = 2000 };
    for (int full = 0; full < 2; full++) {
        struct tally t = {0};
        struct rng g;
        rng_init(&g, 7);
        for (int k = 0; k < CASES; k++)
            one_case(&g, full, &t);
        print_message("%d of %d as many as can be, %d for least; %d emptied\n", t.as_many, CASES,
                      t.as_cheap, t.freed);
        assert_true(t.as_many >= (full ? CASES - CASES / 50 : CASES));
        assert_true(t.as_cheap >= (full ? CASES - CASES / 20 : CASES));
        assert_true(t.freed > CASES);
    }
}

static bool not_both(void *ctx, const bool *empty)
{
    (void)ctx;
    return !(empty[0] && empty[1]);
}

/* What the caller does not allow, and more than it wants, is not emptied. */
static void asks_the_caller(void **state)
{
    (void)state;
    const int64_t size[] = {1, 2, 3, 4}, cap[] = {99, 99, 99, 99}, cost[] = {1, 2, 3, 4};
    const int home[] = {0, 1, 2, 3}, moves[] = {1, 1, 1, 1};
    const bool may[] = {true, true, true, true};
    const struct problem p = {.n_items = 4,
                              .n_machines = 4,
                              .n_res = 1,
                              .n_variants = 1,
                              .size = size,
                              .home = home,
                              .move_cost = cost,
                              .cap = cap,
                              .max_moves = -1};
    static const struct {
        int64_t max_moves;
        int most;
        bool (*fair)(void *ctx, const bool *empty);
        bool empty[4];
    } cases[] = {{9, 9, NULL, {true, true, true, false}},
                 {9, 9, not_both, {true, false, true, true}},
                 {9, 2, NULL, {true, true, false, false}},
                 {1, 9, NULL, {true, false, false, false}}};
    for (size_t k = 0; k < 4; k++) {
        struct solve_state s;
        bool empty[4];
        struct vacate v = {.may = may,
                           .moves = moves,
                           .max_moves = cases[k].max_moves,
                           .most = cases[k].most,
                           .fair = cases[k].fair};
        solve_init(&s, &p);
        solve_vacate(&s, &(struct solve_limits){.seed = 1, .steps = 100000}, &v, empty);
        assert_memory_equal(empty, cases[k].empty, sizeof(empty));
        solve_done(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_looking_at_everything),
        cmocka_unit_test(asks_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
