/* The best steps: never worse, nothing left that helps, and no more moves than needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/solve/descend.h"
#include "tests/unit/plainread.h"

static const struct solve_limits no_limit = {.steps = INT64_MAX};

static void assert_nothing_helps(const struct solve_state *s)
{
    struct solve_score d, none = {0};
    for (int i = 0; i < s->p->n_items; i++)
        for (int m = 0; m < s->p->n_machines; m++)
            for (int v = 0; v < s->p->n_variants; v++)
                assert_false(solve_try_shift(s, i, m, v, &d) && solve_score_cmp(&d, &none) < 0);
}

static void ends_where_nothing_helps(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct randproblem r;
        struct solve_state a, b;
        randproblem_init(&r, seed);
        solve_init(&a, &r.p);
        solve_init(&b, &r.p);
        struct solve_score before = a.score;
        solve_descend(&a, &no_limit);
        solve_descend(&b, &no_limit);
        struct plain after = plain_read(&r.p, a.at, a.variant);
        assert_true(solve_score_cmp(&a.score, &before) <= 0);
        assert_int_equal(solve_score_cmp(&a.score, &after.score), 0);
        assert_memory_equal(a.at, b.at, (size_t)r.p.n_items * sizeof(*a.at));
        assert_true(r.p.max_moves < 0 || a.n_moved <= r.p.max_moves);
        assert_nothing_helps(&a);
        solve_done(&a);
        solve_done(&b);
        randproblem_done(&r);
    }
}

/* Steps in order of their size would move the 9 first; one move of the 5 alone makes all even. */
static void exchanges_a_move_for_a_better_one(void **state)
{
    (void)state;
    const int64_t size[] = {9, 5, 6, 1, 9}, cap[] = {99, 99}, level[] = {10, 10};
    const int home[] = {0, 0, 0, 1, 1};
    const struct solve_term term = {
        .kind = TERM_SPREAD, .tier = TIER_COST, .weight = 1, .level = level};
    const struct problem p = {.n_items = 5,
                              .n_machines = 2,
                              .n_res = 1,
                              .n_variants = 1,
                              .size = size,
                              .home = home,
                              .cap = cap,
                              .terms = &term,
                              .n_terms = 1,
                              .max_moves = 1};
    struct solve_state s;
    solve_init(&s, &p);
    struct solve_score d;
    assert_true(solve_try_shift(&s, 0, 1, 0, &d));
    solve_do_shift(&s, 0, 1, 0, &d);
    solve_descend(&s, &no_limit);
    assert_int_equal(s.score.tier[TIER_COST], 0);
    assert_int_equal(s.at[1], 1);
    assert_int_equal(s.n_moved, 1);
    solve_done(&s);
}

static bool stop_at_once(void *ctx)
{
    (*(int *)ctx)++;
    return true;
}

static void stops_when_told(void **state)
{
    (void)state;
    struct randproblem r;
    struct solve_state s;
    int asked = 0;
    randproblem_init(&r, 1);
    solve_init(&s, &r.p);
    assert_true(solve_descend(&s, &(struct solve_limits){.steps = 10}) < 10 + 2 * RP_MACHINES);
    solve_descend(&s,
                  &(struct solve_limits){.steps = INT64_MAX, .stop = stop_at_once, .ctx = &asked});
    assert_true(asked <= 1);
    solve_done(&s);
    randproblem_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_where_nothing_helps),
        cmocka_unit_test(exchanges_a_move_for_a_better_one),
        cmocka_unit_test(stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
