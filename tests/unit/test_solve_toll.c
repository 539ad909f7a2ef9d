/* Tolls: what is paid is read anew from places; who stays above pays more, and nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/solve/toll.h"
#include "tests/unit/plainread.h"

static int64_t plain_lack(const struct solve_state *s, int m, int r)
{
    const struct problem *p = s->p;
    int64_t room = p->cap[m * p->n_res + r] - plain_load(p, s->at, s->variant, m, r) -
                   plain_held(p, s->at, m, r);
    return room < 0 ? -room : 0;
}

static int64_t plain_toll(const struct solve_state *s, int m)
{
    int64_t sum = 0;
    for (int r = 0; r < s->p->n_res; r++)
        sum += (s->toll[m * s->p->n_res + r] * plain_lack(s, m, r) + 255) / 256;
    return sum;
}

/* Random shifts past capacities, each with its toll, at tolls that differ from machine to machine. */
static void prices_are_what_is_paid(void **state)
{
    (void)state;
    int paid = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct randproblem r;
        struct solve_state s;
        struct tolls t;
        struct rng rng;
        randproblem_init(&r, seed);
        int64_t *cap = (int64_t *)r.p.cap;
        for (int k = 0; k < RP_MACHINES * RP_RES; k++)
            cap[k] += 30;
        solve_init(&s, &r.p);
        rng_init(&rng, seed);
        tolls_init(&t, &r.p);
        tolls_measure(&t, &s, 1000);
        assert_true(tolls_begin(&t, &s));
        for (int k = 0; k < 500; k++) {
            struct quote q = {.limit = INT64_MAX};
            int item = (int)(rng_u64(&rng) % (uint64_t)r.p.n_items);
            int m = (int)(rng_u64(&rng) % (uint64_t)r.p.n_machines);
            int64_t before = s.toll_sum;
            if (k % 50 == 49)
                tolls_turn(&t, &s, 1, 512);
            else if (state_quote_shift(&s, item, m, s.variant[item], &q)) {
                solve_do_shift(&s, item, m, s.variant[item], &q.d);
                assert_int_equal(s.toll_sum, before + q.toll);
            }
            int64_t sum = 0;
            for (int i = 0; i < r.p.n_machines; i++)
                sum += plain_toll(&s, i);
            assert_int_equal(s.toll_sum, sum);
            paid += sum > 0;
        }
        state_set_toll(&s, NULL);
        tolls_done(&t);
        solve_done(&s);
        randproblem_done(&r);
    }
    assert_true(paid > 1000);
}

enum { MACHINES = 4, ITEMS = 8 };

struct small {
    int64_t size[ITEMS], cap[MACHINES];
    int home[ITEMS];
    struct problem p;
    struct solve_state s;
};

/* Two items of 10 on each of four machines of 20. */
static void small_init(struct small *x)
{
    *x = (struct small){0};
    for (int i = 0; i < ITEMS; i++) {
        x->size[i] = 10;
        x->home[i] = i / 2;
    }
    for (int m = 0; m < MACHINES; m++)
        x->cap[m] = 20;
    x->p = (struct problem){.n_items = ITEMS,
                            .n_machines = MACHINES,
                            .n_res = 1,
                            .n_variants = 1,
                            .size = x->size,
                            .home = x->home,
                            .cap = x->cap,
                            .max_moves = -1};
    solve_init(&x->s, &x->p);
}

static void who_stays_above_pays_more(void **state)
{
    (void)state;
    struct small x;
    struct tolls t;
    struct quote q = {.limit = INT64_MAX};
    small_init(&x);
    tolls_init(&t, &x.p);
    tolls_measure(&t, &x.s, 1000);
    assert_true(tolls_begin(&t, &x.s));
    assert_true(state_quote_shift(&x.s, 0, 1, 0, &q));
    assert_int_equal(q.toll, (10 * t.first[0] + 255) / 256);
    solve_do_shift(&x.s, 0, 1, 0, &q.d);
    /* what all pay together is little, what machine 1 pays is not */
    int64_t heat = q.toll;
    for (int k = 0; k < 100; k++)
        tolls_turn(&t, &x.s, heat, 1024);
    assert_true(t.usual[0] < t.first[0]);
    assert_true(t.of[1] > t.usual[0] * 3 / 2);
    for (int m = 0; m < MACHINES; m++)
        assert_true(m == 1 || t.of[m] == t.usual[0]);
    /* nothing is allowed: it rises without end there, and nowhere else */
    int64_t usual = t.usual[0];
    for (int k = 0; k < 2000; k++)
        tolls_turn(&t, &x.s, heat, 0);
    assert_int_equal(t.of[1], INT32_MAX);
    assert_int_equal(t.usual[0], usual);
    assert_int_equal(t.of[2], usual);
    assert_non_null(x.s.toll);
    q.limit = INT64_MAX;
    assert_true(state_quote_shift(&x.s, 0, 0, 0, &q));
    solve_do_shift(&x.s, 0, 0, 0, &q.d);
    tolls_turn(&t, &x.s, heat, 0);
    assert_null(x.s.toll); /* all is within capacities: they are walls again */
    tolls_done(&t);
    solve_done(&x.s);
}

static void no_tolls_where_room_is_lacking(void **state)
{
    (void)state;
    struct small x;
    struct tolls t;
    small_init(&x);
    solve_done(&x.s);
    x.cap[3] = 19;
    solve_init(&x.s, &x.p);
    tolls_init(&t, &x.p);
    tolls_measure(&t, &x.s, 1000);
    assert_false(tolls_begin(&t, &x.s));
    assert_null(x.s.toll);
    tolls_done(&t);
    solve_done(&x.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prices_are_what_is_paid),
        cmocka_unit_test(who_stays_above_pays_more),
        cmocka_unit_test(no_tolls_where_room_is_lacking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
