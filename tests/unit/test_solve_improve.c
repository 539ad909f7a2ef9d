/* The search: never ends worse, replays, and stops when told. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/solve/solve.h"
#include "tests/unit/randproblem.h"

static void never_worse_and_replays(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct randproblem r;
        struct solve_state a, b;
        randproblem_init(&r, seed);
        solve_init(&a, &r.p);
        solve_init(&b, &r.p);
        struct solve_score before = a.score;
        struct solve_limits l = {.seed = seed, .steps = 5000};
        assert_true(solve_improve(&a, &l) <= 5000);
        solve_improve(&b, &l);
        assert_true(solve_score_cmp(&a.score, &before) <= 0);
        struct solve_score whole = solve_score_whole(&a);
        assert_int_equal(solve_score_cmp(&a.score, &whole), 0);
        assert_memory_equal(a.at, b.at, (size_t)r.p.n_items * sizeof(*a.at));
        assert_memory_equal(a.variant, b.variant, (size_t)r.p.n_items);
        solve_done(&a);
        solve_done(&b);
        randproblem_done(&r);
    }
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
    solve_improve(&s, &(struct solve_limits){
                          .seed = 1, .steps = INT64_MAX, .stop = stop_at_once, .ctx = &asked});
    assert_int_equal(asked, 1);
    solve_done(&s);
    randproblem_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_worse_and_replays),
        cmocka_unit_test(stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
