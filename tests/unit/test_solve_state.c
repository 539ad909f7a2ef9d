/* The price of each step against a second, plain reading of the problem. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/solve/internal.h"
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

/* A quote ends early only where the step is too dear; one that does not is exact. */
static void dear_steps_alone_end_early(void **state)
{
    (void)state;
    int ended = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct randproblem r;
        struct solve_state s;
        struct rng g;
        randproblem_init(&r, seed);
        rng_init(&g, seed + 1000);
        r.p.n_terms = 3; /* the others may be below zero: nothing is known early */
        solve_init(&s, &r.p);
        for (int k = 0; k < 300; k++) {
            struct quote q = {.limit = rp_in(&g, -10, 10)};
            struct solve_score d;
            int i = (int)rp_in(&g, 0, RP_ITEMS - 1), j = (int)rp_in(&g, 0, RP_ITEMS - 1);
            int m = (int)rp_in(&g, 0, RP_MACHINES - 1), v = (int)rp_in(&g, 0, 1);
            bool swap = i != j && k % 2;
            if (!(swap ? solve_try_swap(&s, i, j, &d) : solve_try_shift(&s, i, m, v, &d)))
                continue;
            if (swap ? state_quote_swap(&s, i, j, &q) : state_quote_shift(&s, i, m, v, &q)) {
                same_score(&q.d, &d);
                continue;
            }
            ended++;
            struct solve_score bound = {.tier[TIER_COST] = q.limit};
            assert_true(solve_score_cmp(&d, &bound) > 0);
        }
        solve_done(&s);
        randproblem_done(&r);
    }
    assert_true(ended > 100);
}

/* With tolls, steps go past capacities; what is paid is what a plain reading finds. */
static void tolls_are_paid_for_lacking_room(void **state)
{
    (void)state;
    int64_t paid = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct randproblem r;
        struct solve_state s;
        struct rng g;
        randproblem_init(&r, seed);
        rng_init(&g, seed);
        solve_init(&s, &r.p);
        int64_t toll[RP_MACHINES * RP_RES];
        for (int x = 0; x < RP_MACHINES * RP_RES; x++)
            toll[x] = (int64_t[]){1, 300, 4000}[x % 3] + x;
        state_set_toll(&s, toll);
        for (int k = 0; k < 100; k++) {
            struct quote q = {.limit = INT64_MAX};
            int64_t want = 0;
            int i = (int)rp_in(&g, 0, RP_ITEMS - 1), j = (int)rp_in(&g, 0, RP_ITEMS - 1);
            int m = (int)rp_in(&g, 0, RP_MACHINES - 1), v = (int)rp_in(&g, 0, 1);
            int64_t before = s.toll_sum;
            if (k % 2 ? i != j && state_quote_swap(&s, i, j, &q)
                      : state_quote_shift(&s, i, m, v, &q)) {
                if (k % 2)
                    solve_do_swap(&s, i, j, &q.d);
                else
                    solve_do_shift(&s, i, m, v, &q.d);
            }
            for (int x = 0; x < RP_MACHINES * RP_RES; x++) {
                int64_t over = plain_load(&r.p, s.at, s.variant, x / RP_RES, x % RP_RES) +
                               plain_held(&r.p, s.at, x / RP_RES, x % RP_RES) - r.p.cap[x];
                want += over > 0 ? (over * toll[x] + 255) / 256 : 0;
            }
            assert_int_equal(s.toll_sum, want);
            if (s.toll_sum != before)
                assert_int_equal(s.toll_sum - before, q.toll);
            paid += want;
        }
        solve_done(&s);
        randproblem_done(&r);
    }
    assert_true(paid > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_is_priced_exactly),
        cmocka_unit_test(remove_and_return),
        cmocka_unit_test(dear_steps_alone_end_early),
        cmocka_unit_test(tolls_are_paid_for_lacking_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
