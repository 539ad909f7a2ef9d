/* Orders of steps: judged by a replay that counts everything anew, one by one and at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/solve/state.h"
#include "tests/unit/randproblem.h"
#include "tests/unit/replay.h"

/* ---- small cases by hand ---------------------------------------------------------------------- */

enum { MACHINES = 4, ITEMS = 8 };

/* Machines of one resource, capacity 10; items of the given sizes. */
struct small {
    struct problem p;
    int64_t cap[MACHINES], size[ITEMS];
    int home[ITEMS], target[ITEMS];
    uint8_t variant[ITEMS];
    int domain[MACHINES], n_domains, start[ITEMS + 1], of[ITEMS];
    struct solve_group group;
    struct solve_order o;
};

static void small_init(struct small *s, int n_machines)
{
    *s = (struct small){.n_domains = n_machines};
    for (int m = 0; m < MACHINES; m++) {
        s->cap[m] = 10;
        s->domain[m] = m;
    }
    s->p = (struct problem){.n_machines = n_machines,
                            .n_res = 1,
                            .n_variants = 1,
                            .cap = s->cap,
                            .size = s->size,
                            .home = s->home,
                            .max_moves = -1};
}

static void small_item(struct small *s, int64_t size, int home, int target)
{
    int i = s->p.n_items++;
    s->size[i] = size;
    s->home[i] = home;
    s->target[i] = target;
}

/* All items are of one group that must be apart. */
static void small_apart(struct small *s)
{
    s->group = (struct solve_group){.kind = GROUP_APART, .limit = 1, .tier = TIER_HARD};
    s->p.groups = &s->group;
    s->p.n_groups = 1;
    s->p.domain = s->domain;
    s->p.n_levels = 1;
    s->p.n_domains = &s->n_domains;
    s->p.group_start = s->start;
    s->p.group_of = s->of;
    for (int i = 0; i < s->p.n_items; i++)
        s->start[i + 1] = i + 1;
}

static bool small_order(struct small *s, int max_parked)
{
    bool ok = solve_order(&s->p, s->target, s->variant,
                          &(struct solve_order_limits){.max_parked = max_parked}, &s->o);
    assert_true(replay_in_order(&s->p, false, &s->o));
    for (uint64_t seed = 1; seed < 20; seed++)
        assert_true(replay_at_once(&s->p, false, &s->o, seed));
    return ok;
}

static void what_has_room_waits_for_nothing(void **state)
{
    (void)state;
    struct small s;
    small_init(&s, 3);
    small_item(&s, 4, 0, 1);
    small_item(&s, 4, 0, 1);
    small_item(&s, 5, 1, 2);
    s.cap[1] = 20;
    assert_true(small_order(&s, 0));
    assert_int_equal(s.o.n_steps, 3);
    assert_int_equal(s.o.after_start[3], 0);
    solve_order_done(&s.o);
}

static void one_waits_for_the_other(void **state)
{
    (void)state;
    struct small s;
    small_init(&s, 3);
    small_item(&s, 8, 0, 1); /* 1 is full until its item has gone to 2, which waits for none */
    small_item(&s, 8, 1, 2);
    assert_true(small_order(&s, 0));
    assert_int_equal(s.o.steps[0].item, 1);
    assert_int_equal(s.o.after_start[1], 0);
    assert_int_equal(s.o.after_start[2], 1);
    assert_int_equal(s.o.after_of[0], 0);
    solve_order_done(&s.o);
}

/* 0 → 1 → 2 → 3: the last of a chain names its neighbour only. */
static void what_follows_is_left_out(void **state)
{
    (void)state;
    struct small s;
    small_init(&s, 4);
    small_item(&s, 4, 0, 1);
    small_item(&s, 8, 1, 2);
    small_item(&s, 8, 2, 3);
    small_item(&s, 4, 0, 1);
    small_item(&s, 2, 1, 2); /* with the 8, to 2: both wait for 2 alone, the 4s for both or one */
    assert_true(small_order(&s, 0));
    for (int k = 0; k < s.o.n_steps; k++)
        assert_true(s.o.after_start[k + 1] - s.o.after_start[k] <= 2);
    solve_order_done(&s.o);
}

static void a_swap_needs_a_third_machine(void **state)
{
    (void)state;
    struct small s;
    small_init(&s, 3);
    small_item(&s, 8, 0, 1);
    small_item(&s, 7, 1, 0);
    small_item(&s, 3, 2, 2);
    assert_true(small_order(&s, -1));
    assert_int_equal(s.o.n_steps, 3);
    assert_int_equal(s.o.n_parked, 1);
    assert_int_equal(s.o.steps[0].item, 1); /* only the smaller one has room there */
    assert_int_equal(s.o.steps[0].to, 2);
    solve_order_done(&s.o);
    assert_false(small_order(&s, 0));
    assert_int_equal(s.o.n_steps, 0);
    assert_int_equal(s.o.n_stuck, 2);
    solve_order_done(&s.o);
}

static void no_way_is_said(void **state)
{
    (void)state;
    struct small s;
    small_init(&s, 3);
    small_item(&s, 8, 0, 1);
    small_item(&s, 7, 1, 0);
    small_item(&s, 6, 2, 2);
    small_item(&s, 3, 2, 0); /* has nothing to do with it, but there is no room before */
    small_item(&s, 1, 0, 2); /* and this one is free to go */
    assert_false(small_order(&s, -1));
    assert_int_equal(s.o.n_steps, 1);
    assert_int_equal(s.o.steps[0].item, 4);
    assert_int_equal(s.o.n_stuck, 3);
    assert_true(s.o.stuck[0] < 2 && s.o.stuck[1] < 2);
    solve_order_done(&s.o);
}

static void rules_make_circles_too(void **state)
{
    (void)state;
    struct small s;
    small_init(&s, 3);
    small_item(&s, 1, 0, 1);
    small_item(&s, 1, 1, 0);
    small_apart(&s);
    assert_true(small_order(&s, -1));
    assert_int_equal(s.o.n_steps, 3);
    solve_order_done(&s.o);
    s.domain[2] = 1; /* the third machine is in the same domain as the second */
    s.n_domains = 2;
    assert_false(small_order(&s, -1));
    solve_order_done(&s.o);
}

/* What comes into a circle from outside must not take the room that would open it. */
static void newcomers_let_a_circle_go_first(void **state)
{
    (void)state;
    struct small s;
    small_init(&s, 3);
    small_item(&s, 4, 2, 0); /* named first, and there is room: but 1 needs it */
    small_item(&s, 4, 1, 0);
    small_item(&s, 6, 0, 1);
    small_item(&s, 6, 1, 1);
    s.cap[1] = 12;
    assert_true(small_order(&s, 0));
    assert_int_equal(s.o.n_steps, 3);
    assert_int_equal(s.o.steps[2].item, 0);
    solve_order_done(&s.o);
}

/* ---- random cases ----------------------------------------------------------------------------- */

static void wander(struct solve_state *s, struct rng *g, int steps)
{
    const struct problem *p = s->p;
    struct solve_score d;
    for (int k = 0; k < steps; k++) {
        int a = (int)rng_below(g, (uint64_t)p->n_items),
            b = (int)rng_below(g, (uint64_t)p->n_items);
        int m = (int)rng_below(g, (uint64_t)p->n_machines);
        int v = (int)rng_below(g, (uint64_t)p->n_variants);
        if (a != b && rng_below(g, 2) && solve_try_swap(s, a, b, &d))
            solve_do_swap(s, a, b, &d);
        else if (solve_try_shift(s, a, m, v, &d))
            solve_do_shift(s, a, m, v, &d);
    }
}

/* Whether the steps from home can be made one by one, in some order, without going elsewhere: tries
 * every set of steps made so far. */
static bool some_order(const struct problem *p, bool twice, const struct solve_step *steps, int n)
{
    cleanup(freep) char *reached = xcalloc((size_t)1 << n, 1);
    reached[0] = 1;
    for (uint32_t made = 0; made < 1U << n; made++) {
        struct replay r;
        if (!reached[made])
            continue;
        for (int k = 0; k < n; k++) {
            if (made >> k & 1)
                continue;
            replay_init(&r, p, twice);
            for (int j = 0; j < n; j++)
                if (made >> j & 1) {
                    r.at[steps[j].item] = steps[j].to;
                    r.v[steps[j].item] = steps[j].variant;
                }
            if (replay_start(&r, &steps[k]) && replay_end(&r, &steps[k]))
                reached[made | 1U << k] = 1;
            replay_done(&r);
        }
    }
    return reached[(1U << n) - 1];
}

/* The moves from home to where the state is. */
static int moves_of(const struct solve_state *s, struct solve_step *ret)
{
    int n = 0;
    for (int i = 0; i < s->p->n_items; i++)
        if (s->at[i] >= 0 && (s->at[i] != s->p->home[i] || s->variant[i] != s->p->home_variant[i]))
            ret[n++] = (struct solve_step){
                .item = i, .from = s->p->home[i], .to = s->at[i], .variant = s->variant[i]};
    return n;
}

static void random_targets(void **state)
{
    (void)state;
    int arrived = 0, parked = 0, n = 0, checked = 0;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct randproblem r;
        struct solve_state s;
        struct solve_order o;
        struct rng g;
        randproblem_init(&r, seed);
        rng_init(&g, seed);
        r.p.max_moves = -1;
        solve_init(&s, &r.p);
        wander(&s, &g, 1 + (int)(seed % 60));
        bool twice = seed & 1;
        bool ok = solve_order(
            &r.p, s.at, s.variant,
            &(struct solve_order_limits){.twice = twice, .max_parked = seed % 3 ? -1 : 1}, &o);
        assert_true(replay_in_order(&r.p, twice, &o));
        for (uint64_t k = 0; k < 5; k++)
            assert_true(replay_at_once(&r.p, twice, &o, seed + k));
        assert_true(ok == !o.n_stuck);
        struct solve_step moves[RP_ITEMS];
        int n_moves = moves_of(&s, moves);
        if ((!ok || o.n_parked) && n_moves <= 12) {
            assert_false(some_order(&r.p, twice, moves, n_moves));
            checked++;
        }
        n++;
        arrived += ok;
        parked += o.n_parked;
        solve_order_done(&o);
        solve_done(&s);
        randproblem_done(&r);
    }
    print_message("%d of %d arrive, %d parked, %d checked\n", arrived, n, parked, checked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_room_waits_for_nothing),
        cmocka_unit_test(one_waits_for_the_other),
        cmocka_unit_test(what_follows_is_left_out),
        cmocka_unit_test(a_swap_needs_a_third_machine),
        cmocka_unit_test(no_way_is_said),
        cmocka_unit_test(rules_make_circles_too),
        cmocka_unit_test(newcomers_let_a_circle_go_first),
        cmocka_unit_test(random_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
