/* The search: never ends worse, replays, and stops when told. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/solve/solve.h"
#include "tests/unit/plainread.h"

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

/* Long enough to go past capacities on the way: at the end no hard thing is worse for it, whether it
 * came to its end or was stopped. */
static void comes_back_from_beyond_capacities(void **state)
{
    (void)state;
    int better = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct randproblem r;
        struct solve_state s;
        randproblem_init(&r, seed);
        int64_t *cap = (int64_t *)r.p.cap;
        for (int k = 0; k < RP_MACHINES * RP_RES; k++)
            cap[k] += 30; /* all fits at first: then the search may go beyond */
        solve_init(&s, &r.p);
        struct plain before = plain_read(&r.p, s.at, s.variant);
        solve_improve(&s, &(struct solve_limits){
                              .seed = seed, .steps = seed % 2 ? 300000 : 150000, .expect = 300000});
        struct plain after = plain_read(&r.p, s.at, s.variant);
        for (int k = 0; k < after.n_hard; k++)
            assert_true(after.hard[k] <= before.hard[k]);
        assert_int_equal(solve_score_cmp(&s.score, &after.score), 0);
        better += solve_score_cmp(&after.score, &before.score) < 0;
        solve_done(&s);
        randproblem_done(&r);
    }
    assert_true(better >= 10);
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
        cmocka_unit_test(comes_back_from_beyond_capacities),
        cmocka_unit_test(stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
