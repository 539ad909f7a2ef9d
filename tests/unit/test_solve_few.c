/* Few moves: against every way to make them on tiny problems; the limit, the order, and replay. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/solve/few.h"
#include "scheduler/solve/state.h"
#include "tests/unit/randproblem.h"
#include "tests/unit/replay.h"

/* ---- every way --------------------------------------------------------------------------------- */

/* Machines of one resource with room for 12 each, items of 1 to 6, one score: pieces of 4, or load
 * above 8, in a tier. */
enum { MACHINES = 5, ITEMS = 12, MOVES = 3 };

struct tiny {
    struct problem p;
    int64_t cap[MACHINES], level[MACHINES], size[ITEMS];
    int home[ITEMS], domain[MACHINES], n_domains, start[ITEMS + 1], of[ITEMS];
    struct solve_group group;
    struct solve_term term[2];
};

static void tiny_init(struct tiny *t, uint64_t seed)
{
    struct rng g;
    rng_init(&g, seed);
    *t = (struct tiny){.n_domains = MACHINES};
    int64_t load[MACHINES] = {0};
    int count[MACHINES] = {0}, most = 3;
    for (int m = 0; m < MACHINES; m++) {
        t->cap[m] = 12;
        t->level[m] = 8;
        t->domain[m] = m;
    }
    for (int i = 0; i < ITEMS; i++) {
        int m = (int)rp_in(&g, 0, MACHINES - 1);
        while (load[m] == 12)
            m = (m + 1) % MACHINES;
        t->home[i] = m;
        t->size[i] = rp_in(&g, 1, load[m] < 6 ? 6 : 12 - load[m]);
        load[m] += t->size[i];
        most = ++count[m] > most ? count[m] : most;
        t->start[i + 1] = i + 1;
        t->of[i] = 0;
    }
    t->group =
        (struct solve_group){.kind = GROUP_APART, .limit = most, .tier = TIER_HARD, .weight = 1};
    t->term[0] =
        (struct solve_term){.kind = TERM_BLOCKS, .tier = TIER_COST, .weight = 1, .block = 4};
    t->term[1] =
        (struct solve_term){.kind = TERM_ABOVE, .tier = TIER_LOAD, .weight = 1, .level = t->level};
    t->p = (struct problem){.n_items = ITEMS,
                            .n_machines = MACHINES,
                            .n_res = 1,
                            .n_variants = 1,
                            .size = t->size,
                            .home = t->home,
                            .cap = t->cap,
                            .n_levels = 1,
                            .domain = t->domain,
                            .n_domains = &t->n_domains,
                            .groups = &t->group,
                            .n_groups = 1,
                            .group_start = t->start,
                            .group_of = t->of,
                            .terms = t->term,
                            .n_terms = 1 + (int)(seed % 2),
                            .max_moves = (int)rp_in(&g, 1, MOVES)};
}

/* The best of everything that at most `left` steps more can lead to, each possible when it is made. */
static void every_way(struct solve_state *s, int left, struct solve_score *best)
{
    struct solve_score d;
    if (solve_score_cmp(&s->score, best) < 0)
        *best = s->score;
    for (int k = 0; left && k < ITEMS * MACHINES; k++) {
        int item = k / MACHINES, from = s->at[item];
        if (!solve_try_shift(s, item, k % MACHINES, 0, &d))
            continue;
        solve_do_shift(s, item, k % MACHINES, 0, &d);
        every_way(s, left - 1, best);
        for (int t = 0; t < SOLVE_TIERS; t++)
            d.tier[t] = -d.tier[t];
        solve_do_shift(s, item, from, 0, &d);
    }
}

static void as_good_as_every_way(void **state)
{
    (void)state;
    int missed = 0; /* where two tiers want the same few moves, the best may be, seldom */
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct tiny t;
        struct solve_state s;
        struct solve_order o;
        tiny_init(&t, seed);
        solve_init(&s, &t.p);
        struct solve_score best = s.score;
        every_way(&s, t.p.max_moves, &best);
        solve_done(&s);
        solve_init(&s, &t.p);
        solve_few(&s, &(struct solve_limits){.seed = seed, .steps = 200000}, &o);
        int worse = solve_score_cmp(&s.score, &best);
        assert_true(worse >= 0 && (worse == 0 || t.p.n_terms == 2));
        missed += worse;
        assert_true(o.n_steps <= t.p.max_moves);
        assert_true(replay_in_order(&t.p, false, &o));
        solve_order_done(&o);
        solve_done(&s);
    }
    assert_true(missed <= 4);
}

/* ---- any problem ------------------------------------------------------------------------------- */

static void check_result(const struct solve_state *s, const struct solve_order *o)
{
    const struct problem *p = s->p;
    struct solve_score whole = solve_score_whole(s);
    int moves = 0;
    cleanup(freep) int *at = xmemdup(p->home, (size_t)p->n_items * sizeof(int));
    for (int k = 0; k < o->n_steps; k++) {
        moves += o->steps[k].from >= 0;
        at[o->steps[k].item] = o->steps[k].to;
    }
    assert_memory_equal(at, s->at, (size_t)p->n_items * sizeof(int));
    assert_int_equal(solve_score_cmp(&whole, &s->score), 0);
    assert_true(moves <= p->max_moves);
    assert_true(replay_in_order(p, false, o));
    assert_true(replay_at_once(p, false, o, 1));
}

static void any_problem(void **state)
{
    (void)state;
    int better = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct randproblem r;
        struct solve_state a, b;
        struct solve_order o, again;
        randproblem_init(&r, seed);
        r.p.max_moves = (int)(seed % 7);
        solve_init(&a, &r.p);
        solve_init(&b, &r.p);
        struct solve_score before = a.score;
        solve_few(&a, &(struct solve_limits){.seed = seed, .steps = 20000}, &o);
        solve_few(&b, &(struct solve_limits){.seed = seed, .steps = 20000}, &again);
        assert_true(solve_score_cmp(&a.score, &before) <= 0);
        better += solve_score_cmp(&a.score, &before) < 0;
        check_result(&a, &o);
        assert_int_equal(o.n_steps, again.n_steps);
        assert_memory_equal(a.at, b.at, (size_t)r.p.n_items * sizeof(*a.at));
        assert_memory_equal(a.variant, b.variant, (size_t)r.p.n_items);
        solve_order_done(&o);
        solve_order_done(&again);
        solve_done(&a);
        solve_done(&b);
        randproblem_done(&r);
    }
    assert_true(better > 40);
}

static bool stop_at_once(void *ctx)
{
    (*(int *)ctx)++;
    return true;
}

static void stops_when_told(void **state)
{
    (void)state;
    struct tiny t;
    struct solve_state s;
    struct solve_order o;
    int asked = 0;
    tiny_init(&t, 1);
    solve_init(&s, &t.p);
    solve_few(&s,
              &(struct solve_limits){
                  .seed = 1, .steps = INT64_MAX / 2, .stop = stop_at_once, .ctx = &asked},
              &o);
    assert_true(asked >= 1 && asked <= 2);
    solve_order_done(&o);
    solve_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_good_as_every_way),
        cmocka_unit_test(any_problem),
        cmocka_unit_test(stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
