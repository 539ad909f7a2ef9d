/* The price of each step against a second, plain reading of the problem. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/solve/state.h"
#include "tests/unit/plainread.h"

/* ---- the tests --------------------------------------------------------------------------------- */

static void same_score(const struct solve_score *a, const struct solve_score *b)
{
    for (int t = 0; t < SOLVE_TIERS; t++)
        assert_int_equal(a->tier[t], b->tier[t]);
}

/* One random step; both readings agree before and after. Returns whether it was taken. */
static bool random_step(struct solve_state *s, struct rng *g)
{
    const struct problem *p = s->p;
    struct plain before = plain_read(p, s->at, s->variant);
    struct solve_score d, then = s->score;
    int i = (int)rng_below(g, (uint64_t)p->n_items), j = (int)rng_below(g, (uint64_t)p->n_items);
    int m = (int)rng_below(g, (uint64_t)p->n_machines), v = (int)rng_below(g, 2);
    bool swap = rng_below(g, 2);
    if (swap ? i == j || !solve_try_swap(s, i, j, &d) : !solve_try_shift(s, i, m, v, &d)) {
        same_score(&s->score, &then);
        return false;
    }
    if (swap)
        solve_do_swap(s, i, j, &d);
    else
        solve_do_shift(s, i, m, v, &d);
    solve_score_add(&then, &d);
    same_score(&s->score, &then);
    struct plain after = plain_read(p, s->at, s->variant);
    same_score(&s->score, &after.score);
    for (int k = 0; k < after.n_hard; k++)
        assert_true(after.hard[k] <= before.hard[k]);
    assert_true(p->max_moves < 0 || s->n_moved <= p->max_moves);
    return true;
}

static void every_step_is_priced_exactly(void **state)
{
    (void)state;
    int taken = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct randproblem r;
        struct solve_state s;
        struct rng g;
        randproblem_init(&r, seed);
        rng_init(&g, seed + 1000);
        solve_init(&s, &r.p);
        struct plain first = plain_read(&r.p, s.at, s.variant);
        same_score(&s.score, &first.score);
        for (int k = 0; k < 200; k++)
            taken += random_step(&s, &g);
        struct solve_score whole = solve_score_whole(&s);
        same_score(&s.score, &whole);
        solve_done(&s);
        randproblem_done(&r);
    }
    assert_true(taken > 1000);
}

/* Items taken off and put back where they were: the same state as before. */
static void remove_and_return(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct randproblem r;
        struct solve_state s, copy;
        randproblem_init(&r, seed);
        solve_init(&s, &r.p);
        solve_init(&copy, &r.p);
        for (int i = 0; i < r.p.n_items; i++) {
            int m = s.at[i], v = s.variant[i];
            struct solve_score d;
            if (m < 0)
                continue;
            solve_copy(&copy, &s);
            solve_do_remove(&s, i);
            struct plain now = plain_read(&r.p, s.at, s.variant);
            same_score(&s.score, &now.score);
            if (solve_try_shift(&s, i, m, v, &d)) {
                solve_do_shift(&s, i, m, v, &d);
                same_score(&s.score, &copy.score);
            } else {
                solve_copy(&s, &copy);
            }
        }
        solve_done(&copy);
        solve_done(&s);
        randproblem_done(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_is_priced_exactly),
        cmocka_unit_test(remove_and_return),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
