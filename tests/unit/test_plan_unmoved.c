/* Why a VM is not moved by a plan for balance: each answer, and that it is true. */
#include "tests/unit/fleet.h"

#include "scheduler/plan/unmoved.h"

static struct plan_unmoved ask(struct test_fleet *f, int vm)
{
    struct plan p;
    struct plan_unmoved u;
    struct plan_index *x = plan_index_new(&f->s, &f->p);
    plan_make_from(x, &f->r, 1, &p);
    plan_unmoved(x, &f->r, &p, vm, &u);
    plan_done(&p);
    plan_index_free(x);
    return u;
}

static void says(struct test_fleet *f, int vm, int why, int best)
{
    struct plan_unmoved u = ask(f, vm);
    assert_string_equal(unmoved_why_names[u.why], unmoved_why_names[why]);
    assert_int_equal(u.best, best);
    if (why == UNMOVED_PRICE)
        assert_true(u.gain <= u.price && u.price > 0);
    if (why == UNMOVED_LIMIT || why == UNMOVED_LEFT_BE)
        assert_true(u.gain > u.price || u.mends);
    plan_unmoved_done(&u);
}

/* Four of 8 GiB on h0, one of 2 GiB on h1; 64 GiB each. */
static void uneven(struct test_fleet *f)
{
    fleet_init(f, 3, 64, 8);
    for (int i = 0; i < 4; i++) {
        cleanup(freep) char *name = xasprintf("a%d", i);
        fleet_vm(f, name, 0, 8);
    }
    fleet_vm(f, "b", 1, 2);
    f->r.goal = GOAL_BALANCE;
    f->r.purpose = PURPOSE_BALANCE;
}

static void test_moved_and_limit(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    uneven(&f);
    f.r.max_moves = 1;
    plan_make(&f.s, &f.p, &f.r, 1, &p);
    assert_int_equal(p.n_moves, 1);
    int moved = p.moves[0].vm, to = p.moves[0].to, other = moved == 0 ? 1 : 0;
    plan_done(&p);
    says(&f, moved, UNMOVED_MOVES, to);
    says(&f, other, UNMOVED_LIMIT, to == 1 ? 2 : 1);
    fleet_done(&f);
}

/* Measured, and nobody knows how busy h2 is. */
static void test_load_unknown(void **state)
{
    (void)state;
    struct test_fleet f;
    struct cpu_figures some = {500, 500, 500, 500, 500, 500, -1, -1};
    uneven(&f);
    for (int h = 0; h < 2; h++)
        f.s.hosts[h].cpu = f.s.hosts[h].other = &some;
    f.s.hosts[1].state = HOST_CORDONED;
    struct plan_unmoved u = ask(&f, 0);
    assert_string_equal(unmoved_why_names[u.why], "nowhere");
    assert_int_equal(u.n_reasons, 2);
    assert_int_equal(u.reasons[1].code, R_LOAD_UNKNOWN);
    assert_string_equal(u.reasons[1].host, "h2");
    plan_unmoved_done(&u);
    fleet_done(&f);
}

static void test_price(void **state)
{
    (void)state;
    struct test_fleet f;
    uneven(&f);
    f.r.max_moves = 10;
    struct plan_unmoved u = ask(&f, 4); /* the small one is well where it is */
    assert_int_equal(u.why, UNMOVED_PRICE);
    plan_unmoved_done(&u);
    f.r.goal = GOAL_REPAIR; /* nothing is broken */
    u = ask(&f, 0);
    assert_int_equal(u.why, UNMOVED_PRICE);
    assert_int_equal(u.gain, 0);
    plan_unmoved_done(&u);
    fleet_done(&f);
}

static void test_let_be(void **state)
{
    (void)state;
    struct test_fleet f;
    uneven(&f);
    f.p.balance.imbalance_ppm = 900000;
    struct plan_unmoved u = ask(&f, 0);
    assert_int_equal(u.why, UNMOVED_LEFT_BE);
    assert_true(u.gain > u.price);
    plan_unmoved_done(&u);
    fleet_done(&f);
}

static void test_cannot_and_nowhere(void **state)
{
    (void)state;
    struct test_fleet f;
    uneven(&f);
    f.vms[0].persistent = false;
    struct plan_unmoved u = ask(&f, 0);
    assert_int_equal(u.why, UNMOVED_CANNOT);
    assert_int_equal(u.n_reasons, 1);
    assert_int_equal(u.reasons[0].code, R_TRANSIENT);
    plan_unmoved_done(&u);
    fleet_rule(&f, "here", RULE_HOST_REQUIRED, "a1", "h0");
    u = ask(&f, 1);
    assert_int_equal(u.why, UNMOVED_NOWHERE);
    assert_int_equal(u.n_reasons, 2);
    assert_int_equal(u.reasons[0].code, R_HOST_REQUIRED);
    plan_unmoved_done(&u);
    f.vms[2].state = VM_SHUTOFF;
    u = ask(&f, 2);
    assert_int_equal(u.why, UNMOVED_CANNOT);
    assert_int_equal(u.n_reasons, 0);
    plan_unmoved_done(&u);
    fleet_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moved_and_limit),
        cmocka_unit_test(test_load_unknown),
        cmocka_unit_test(test_price),
        cmocka_unit_test(test_let_be),
        cmocka_unit_test(test_cannot_and_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
