/* Places for items that need one: never worse, and nothing missed where all can be looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/solve/place.h"
#include "tests/unit/plainread.h"

static const struct solve_limits no_limit = {.seed = 1, .steps = INT64_MAX};

static bool needs(const struct problem *p, int item, int m)
{
    return m < 0 || !plain_in(p, p->allow[item], m);
}

static int64_t need_left(const struct problem *p, const int *at)
{
    int64_t sum = 0;
    for (int i = 0; i < p->n_items; i++)
        sum += needs(p, i, at[i]) ? p->need[i] : 0;
    return sum;
}

static bool no_worse(const struct plain *before, const struct plain *after)
{
    for (int k = 0; k < before->n_hard; k++)
        if (after->hard[k] > before->hard[k])
            return false;
    return true;
}

/* ---- the least need, by trying everything ------------------------------------------------------- */

struct brute {
    const struct problem *p;
    struct plain before;
    bool disturb;
    int at[8];
    uint8_t variant[8];
    int64_t best;
};

static void brute_end(struct brute *b)
{
    const struct problem *p = b->p;
    int moved = 0;
    for (int i = 0; i < p->n_items; i++)
        moved += p->home[i] >= 0 && (b->at[i] != p->home[i] || b->variant[i] != p->home_variant[i]);
    if (need_left(p, b->at) >= b->best || (p->max_moves >= 0 && moved > p->max_moves))
        return;
    struct plain x = plain_read(p, b->at, b->variant);
    if (no_worse(&b->before, &x))
        b->best = need_left(p, b->at);
}

static void brute(struct brute *b, int i)
{
    const struct problem *p = b->p;
    if (i == p->n_items) {
        brute_end(b);
        return;
    }
    b->at[i] = p->home[i];
    b->variant[i] = p->home_variant[i];
    brute(b, i + 1);
    if (!needs(p, i, p->home[i]) && !b->disturb)
        return;
    for (int m = 0; m < p->n_machines; m++)
        for (int v = 0; v < p->n_variants; v++)
            if (!needs(p, i, m) && (p->variants[i] >> v & 1)) {
                b->at[i] = m;
                b->variant[i] = (uint8_t)v;
                brute(b, i + 1);
            }
    b->at[i] = p->home[i];
    b->variant[i] = p->home_variant[i];
}

/* A random problem cut down to so few items and machines that room is short. */
static void small_problem(struct randproblem *r, uint64_t seed)
{
    struct rng g;
    randproblem_init(r, seed);
    rng_init(&g, seed);
    struct problem *p = &r->p;
    int64_t *cap = rp_own(r, RP_MACHINES * RP_RES, sizeof(*cap));
    int *domain = rp_own(r, 2 * RP_MACHINES, sizeof(*domain));
    int *home = rp_own(r, RP_ITEMS, sizeof(*home));
    struct solve_fixed *fixed = rp_own(r, 1, sizeof(*fixed));
    p->n_items = (int)rp_in(&g, 1, 6);
    p->n_machines = (int)rp_in(&g, 1, 4);
    for (int m = 0; m < p->n_machines; m++) {
        domain[m] = p->domain[m];
        domain[p->n_machines + m] = p->domain[RP_MACHINES + m];
    }
    for (int i = 0; i < RP_MACHINES * RP_RES; i++)
        cap[i] = p->cap[i] / rp_in(&g, 3, 6);
    for (int i = 0; i < p->n_items; i++)
        home[i] = p->home[i] < p->n_machines ? p->home[i] : -1;
    *fixed = p->fixed[0];
    fixed->machine %= p->n_machines;
    p->cap = cap;
    p->domain = domain;
    p->home = home;
    p->fixed = fixed;
}

static void misses_nothing_small(void **state)
{
    (void)state;
    int full = 0, partly = 0, none = 0;
    for (uint64_t seed = 1; seed <= 600; seed++) {
        struct randproblem r;
        struct solve_state s;
        small_problem(&r, seed);
        solve_init(&s, &r.p);
        int64_t first = need_left(&r.p, s.at);
        struct brute b = {.p = &r.p,
                          .before = plain_read(&r.p, s.at, s.variant),
                          .disturb = seed % 2,
                          .best = first};
        brute(&b, 0);
        solve_place(&s, &no_limit, b.disturb);
        struct plain after = plain_read(&r.p, s.at, s.variant);
        assert_int_equal(need_left(&r.p, s.at), b.best);
        assert_true(no_worse(&b.before, &after));
        full += first && !b.best;
        partly += b.best && b.best < first;
        none += b.best && b.best == first;
        solve_done(&s);
        randproblem_done(&r);
    }
    assert_true(full > 50 && partly > 50 && none > 20);
}

/* ---- any size ---------------------------------------------------------------------------------- */

static void never_worse_and_replays(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct randproblem r;
        struct solve_state a, b;
        randproblem_init(&r, seed);
        solve_init(&a, &r.p);
        solve_init(&b, &r.p);
        bool disturb = seed % 2;
        struct plain before = plain_read(&r.p, a.at, a.variant);
        int64_t first = need_left(&r.p, a.at);
        struct solve_limits l = {.seed = 1, .steps = 20000};
        assert_true(solve_place(&a, &l, disturb) < 21000);
        solve_place(&b, &l, disturb);
        struct plain after = plain_read(&r.p, a.at, a.variant);
        struct solve_score whole = solve_score_whole(&a);
        assert_true(need_left(&r.p, a.at) <= first && no_worse(&before, &after));
        assert_int_equal(solve_score_cmp(&a.score, &whole), 0);
        assert_int_equal(solve_score_cmp(&a.score, &after.score), 0);
        assert_memory_equal(a.at, b.at, (size_t)r.p.n_items * sizeof(*a.at));
        assert_memory_equal(a.variant, b.variant, (size_t)r.p.n_items);
        for (int i = 0; i < r.p.n_items; i++)
            assert_true(disturb || needs(&r.p, i, r.p.home[i]) || a.at[i] == r.p.home[i]);
        assert_true(r.p.max_moves < 0 || a.n_moved <= r.p.max_moves);
        solve_done(&a);
        solve_done(&b);
        randproblem_done(&r);
    }
}

/* Four machines of 10, full but for 1 on three of them; an item of 6 has a place only if two of 3 make
 * room on one machine and fill what two others have left. */
static void chain_of_several(void **state)
{
    (void)state;
    const int64_t size[] = {6, 3, 3, 3, 7, 7, 10}, cap[] = {9, 10, 10, 10};
    const int home[] = {-1, 0, 0, 0, 1, 2, 3};
    const struct problem p = {.n_items = 7,
                              .n_machines = 4,
                              .n_res = 1,
                              .n_variants = 1,
                              .size = size,
                              .home = home,
                              .cap = cap,
                              .max_moves = -1};
    struct solve_state s;
    solve_init(&s, &p);
    solve_place(&s, &no_limit, false);
    assert_int_equal(s.at[0], -1);
    solve_place(&s, &no_limit, true);
    assert_int_equal(s.at[0], 0);
    assert_int_equal(s.n_moved, 2);
    solve_done(&s);
}

/* The item may be in rack 0 alone, where another of its group has a host of its own: that one goes to
 * rack 1. */
static void rival_leaves_the_domain(void **state)
{
    (void)state;
    enum { N = 20 }; /* too many to look at everything */
    const int64_t size[N] = {5, 1, 2}, cap[] = {5, 5, 5};
    const int home[N] = {-1, 1, 0}, of[] = {0, 0};
    int allow[N], start[N + 1] = {0, 1};
    const int domain[] = {0, 0, 1}, n_domains[] = {2};
    const uint64_t bits = 1; /* machine 0, which another has to leave, too */
    const struct solve_set set = {&bits};
    const struct solve_group apart = {
        .kind = GROUP_APART, .limit = 1, .tier = TIER_HARD, .weight = 1};
    for (int i = 0; i < N; i++) {
        allow[i] = i ? -1 : 0;
        start[i + 1] = i ? 2 : 1;
    }
    const struct problem p = {.n_items = N,
                              .n_machines = 3,
                              .n_res = 1,
                              .n_variants = 1,
                              .size = size,
                              .home = home,
                              .allow = allow,
                              .sets = &set,
                              .n_sets = 1,
                              .cap = cap,
                              .n_levels = 1,
                              .domain = domain,
                              .n_domains = n_domains,
                              .groups = &apart,
                              .n_groups = 1,
                              .group_start = start,
                              .group_of = of,
                              .max_moves = -1};
    struct solve_state s;
    solve_init(&s, &p);
    solve_place(&s, &no_limit, true);
    assert_int_equal(s.at[0], 0);
    assert_int_equal(s.at[1], 2);
    assert_int_not_equal(s.at[2], 0);
    solve_done(&s);
}

/* ---- repair ------------------------------------------------------------------------------------ */

static void repair_leaves_no_step_that_helps(void **state)
{
    (void)state;
    int whole = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct randproblem r;
        struct solve_state s;
        struct solve_score d;
        randproblem_init(&r, seed);
        r.p.n_near = 0; /* who should come nearer is not searched for */
        solve_init(&s, &r.p);
        struct plain before = plain_read(&r.p, s.at, s.variant);
        solve_repair(&s, &no_limit, false);
        struct plain after = plain_read(&r.p, s.at, s.variant);
        assert_int_equal(solve_score_cmp(&s.score, &after.score), 0);
        assert_true(no_worse(&before, &after));
        for (int i = 0; i < r.p.n_items; i++)
            for (int m = 0; m < r.p.n_machines; m++)
                assert_false(solve_try_shift(&s, i, m, 0, &d) && d.tier[TIER_HARD] < 0);
        whole += before.score.tier[TIER_HARD] && !after.score.tier[TIER_HARD];
        solve_done(&s);
        randproblem_done(&r);
    }
    assert_true(whole > 10);
}

/* 12 of 10: the 2 may go, the 6 need not. Then one of a pair that must be apart. */
static void repairs_with_few_moves(void **state)
{
    (void)state;
    const int64_t size[] = {6, 4, 2, 5, 5}, cap[] = {10, 10, 6}, over[] = {1},
                  cost[] = {6, 4, 2, 5, 5};
    const int home[] = {0, 0, 0, 1, 1}, domain[] = {0, 1, 2}, n_domains[] = {3};
    const int start[] = {0, 0, 0, 0, 1, 2}, of[] = {0, 0};
    const struct solve_group apart = {
        .kind = GROUP_APART, .limit = 1, .tier = TIER_HARD, .weight = 1};
    struct problem p = {.n_items = 5,
                        .n_machines = 3,
                        .n_res = 1,
                        .n_variants = 1,
                        .size = size,
                        .home = home,
                        .cap = cap,
                        .over_weight = over,
                        .move_cost = cost,
                        .n_levels = 1,
                        .domain = domain,
                        .n_domains = n_domains,
                        .max_moves = -1};
    struct solve_state s;
    solve_init(&s, &p);
    solve_repair(&s, &no_limit, false);
    assert_int_equal(s.score.tier[TIER_HARD], 0);
    assert_int_equal(s.at[2], 2);
    assert_int_equal(s.n_moved, 1);
    solve_done(&s);
    p.groups = &apart;
    p.n_groups = 1;
    p.group_start = start;
    p.group_of = of;
    solve_init(&s, &p);
    solve_repair(&s, &no_limit, true);
    assert_int_equal(s.score.tier[TIER_HARD], 0);
    assert_int_equal(s.n_moved, 2); /* the 5 leaves a place for the 2 */
    solve_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misses_nothing_small),
        cmocka_unit_test(never_worse_and_replays),
        cmocka_unit_test(chain_of_several),
        cmocka_unit_test(rival_leaves_the_domain),
        cmocka_unit_test(repair_leaves_no_step_that_helps),
        cmocka_unit_test(repairs_with_few_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
