/* From the fullest to the emptiest: never worse, nothing hard on the way, as few moves as allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/solve/level.h"
#include "tests/unit/plainread.h"

static void never_worse_and_replays(void **state)
{
    (void)state;
    int better = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct randproblem r;
        struct solve_state a, b;
        randproblem_init(&r, seed);
        solve_init(&a, &r.p);
        solve_init(&b, &r.p);
        struct solve_score before = a.score;
        struct plain was = plain_read(&r.p, a.at, a.variant);
        struct solve_limits l = {.seed = seed, .steps = 100000};
        solve_level(&a, &l);
        solve_level(&b, &l);
        struct plain is = plain_read(&r.p, a.at, a.variant);
        assert_true(solve_score_cmp(&a.score, &before) <= 0);
        assert_int_equal(solve_score_cmp(&a.score, &is.score), 0);
        for (int k = 0; k < is.n_hard; k++)
            assert_true(is.hard[k] <= was.hard[k]);
        assert_true(r.p.max_moves < 0 || a.n_moved <= r.p.max_moves);
        assert_memory_equal(a.at, b.at, (size_t)r.p.n_items * sizeof(*a.at));
        better += solve_score_cmp(&a.score, &before) < 0;
        solve_done(&a);
        solve_done(&b);
        randproblem_done(&r);
    }
    assert_true(better > 150);
}

enum { MACHINES = 64, ITEMS = 640 };

/* All items of one size on a quarter of the machines: the end is even to the item. */
static void levels_to_the_item(void **state)
{
    (void)state;
    int64_t size[ITEMS], cap[MACHINES], level[MACHINES], need[ITEMS] = {0};
    int home[ITEMS];
    struct solve_term t = {.kind = TERM_SQUARE, .tier = TIER_COST, .weight = 1, .level = level};
    struct problem p = {.n_items = ITEMS,
                        .n_machines = MACHINES,
                        .n_res = 1,
                        .n_variants = 1,
                        .size = size,
                        .home = home,
                        .need = need,
                        .cap = cap,
                        .held_res = 1,
                        .terms = &t,
                        .n_terms = 1,
                        .max_moves = -1};
    for (int i = 0; i < ITEMS; i++) {
        size[i] = 3;
        home[i] = i % (MACHINES / 4);
    }
    for (int m = 0; m < MACHINES; m++)
        cap[m] = level[m] = 300;
    struct solve_state s;
    solve_init(&s, &p);
    solve_level(&s, &(struct solve_limits){.steps = INT64_MAX});
    for (int m = 0; m < MACHINES; m++)
        assert_int_equal(s.load[m], 3 * ITEMS / MACHINES);
    assert_int_equal(s.n_moved, ITEMS * 3 / 4);
    solve_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_worse_and_replays),
        cmocka_unit_test(levels_to_the_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
