/* Hosts emptied, so that they may be switched off. */
#include <limits.h>

#include "tests/unit/fleet.h"

static void make(struct test_fleet *f, struct plan *ret)
{
    struct reason why;
    shape_init(&reason_shape, &why);
    f->r.goal = GOAL_CONSOLIDATE;
    f->r.purpose = PURPOSE_BALANCE;
    plan_make(&f->s, &f->p, &f->r, 1, ret);
    if (!plan_verify(&f->s, &f->p, &f->r, ret, &why))
        fail_msg("the plan breaks %s: %s %s", reason_tokens[why.code], why.what ? why.what : "",
                 why.have ? why.have : "");
}

static bool emptied(const struct plan *p, int host)
{
    for (size_t i = 0; i < p->n_emptied; i++)
        if (p->emptied[i] == host)
            return true;
    return false;
}

static void least_memory_per_host(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 64, 20);
    fleet_vm(&f, "a", 0, 30);
    fleet_vm(&f, "b", 1, 20);
    fleet_vm(&f, "c", 2, 10);
    fleet_vm(&f, "d", 3, 25);
    make(&f, &p);
    assert_int_equal(p.n_emptied, 2);
    assert_true(emptied(&p, 1) && emptied(&p, 2));
    assert_int_equal(p.n_moves, 2);
    assert_non_null(strstr(p.moves[0].why, "empties h1: "));
    plan_done(&p);
    f.r.hosts_free = 1;
    make(&f, &p);
    assert_int_equal(p.n_emptied, 1);
    assert_true(emptied(&p, 2));
    plan_done(&p);
    f.r.hosts_free = 0;
    f.r.max_moves = 1;
    make(&f, &p);
    assert_int_equal(p.n_moves, 1);
    assert_true(emptied(&p, 2));
    plan_done(&p);
    fleet_done(&f);
}

/* A host is empty when nothing is left: what never moves keeps it on, what is shut off goes too. */
static void all_or_nothing(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 3, 64, 20);
    fleet_vm(&f, "a", 0, 4);
    fleet_vm(&f, "iso", 0, 4)->disks[0].kind = DISK_FILE;
    fleet_vm(&f, "b", 1, 8);
    fleet_vm(&f, "off", 1, 8)->state = VM_SHUTOFF;
    fleet_vm(&f, "c", 2, 20);
    make(&f, &p);
    assert_int_equal(p.n_emptied, 2);
    assert_true(emptied(&p, 1) && emptied(&p, 2));
    assert_int_equal(p.n_moves, 3);
    for (size_t i = 0; i < p.n_moves; i++)
        assert_int_equal(p.moves[i].live, p.moves[i].vm != 3);
    plan_done(&p);
    f.s.hosts[2].state = HOST_CORDONED; /* not in use: neither emptied nor a target */
    make(&f, &p);
    assert_int_equal(p.n_emptied, 1);
    assert_true(emptied(&p, 1));
    plan_done(&p);
    fleet_done(&f);
}

/* What the policy wants to be able to lose is counted without the hosts that are switched off. */
static void spare_hosts_stay_on(void **state)
{
    (void)state;
    static const size_t empty[] = {4, 3, 2};
    struct test_fleet f;
    for (int64_t spare = 0; spare < 3; spare++) {
        struct plan p;
        fleet_init(&f, 6, 64, 20);
        f.p.capacity.spare_hosts = spare;
        for (int h = 0; h < 6; h++) {
            char name[32];
            snprintf(name, sizeof(name), "v%d", h);
            fleet_vm(&f, name, h, 16); /* 96 GiB in all: two hosts */
        }
        make(&f, &p);
        assert_int_equal(p.n_emptied, empty[spare]);
        plan_done(&p);
        fleet_done(&f);
    }
}

static void rules_hold(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 64, 20);
    fleet_rule(&f, "apart", RULE_ANTI_AFFINITY, "db-*", NULL);
    fleet_rule(&f, "licence", RULE_HOST_REQUIRED, "ora", "h3");
    for (int h = 0; h < 3; h++) {
        char name[32];
        snprintf(name, sizeof(name), "db-%d", h);
        fleet_vm(&f, name, h, 4);
    }
    fleet_vm(&f, "ora", 3, 4);
    make(&f, &p); /* three hosts for three that stay apart, and h3 is one of them */
    assert_int_equal(p.n_emptied, 1);
    assert_false(emptied(&p, 3));
    plan_done(&p);
    fleet_done(&f);
}

static void expect_bad(struct test_fleet *f, const struct plan *p, int code)
{
    struct reason why;
    assert_false(plan_verify(&f->s, &f->p, &f->r, p, &why));
    assert_int_equal(why.code, code);
    shape_done(&reason_shape, &why);
}

static void verifier_looks_again(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 64, 20);
    fleet_vm(&f, "a", 0, 16);
    fleet_vm(&f, "b", 1, 16);
    fleet_vm(&f, "c", 2, 24);
    f.r.hosts_free = 3;
    make(&f, &p);
    assert_int_equal(p.n_emptied, 3);
    f.r.hosts_free = 2;
    expect_bad(&f, &p, R_CHECK_FAILED); /* more than asked for */
    f.r.hosts_free = 0;
    f.p.capacity.spare_hosts = 1;
    expect_bad(&f, &p, R_SPARE);
    f.p.capacity.spare_hosts = 0;
    const int no_more[] = {p.moves[0].to, p.emptied[0], -1,
                           INT_MAX}; /* VMs are there; named twice */
    int kept = p.emptied[0], *more = vec_add(&p.emptied, &p.n_emptied);
    for (size_t i = 0; i < 4; i++) {
        *more = no_more[i];
        expect_bad(&f, &p, R_CHECK_FAILED);
    }
    p.n_emptied--;
    f.s.hosts[kept].state = HOST_CORDONED;
    expect_bad(&f, &p, R_CHECK_FAILED);
    f.s.hosts[kept].state = HOST_UP;
    size_t all = p.n_emptied;
    p.n_emptied = 0;
    expect_bad(&f, &p, R_CHECK_FAILED); /* moves for nothing */
    p.n_emptied = all;
    f.r.goal = GOAL_BALANCE;
    expect_bad(&f, &p, R_CHECK_FAILED); /* nobody asked for empty hosts */
    plan_done(&p);
    fleet_done(&f);
}

/* A move in flight may still end where it began. */
static void on_its_way_is_not_gone(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 3, 64, 20);
    fleet_vm(&f, "a", 0, 16);
    fleet_vm(&f, "b", 2, 20);
    f.s.vms[0].moving_to = 1;
    make(&f, &p);
    assert_int_equal(p.n_emptied, 1);
    assert_true(emptied(&p, 2));
    plan_done(&p);
    p = (struct plan){.emptied = (int[]){0}, .n_emptied = 1};
    expect_bad(&f, &p, R_CHECK_FAILED);
    fleet_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(least_memory_per_host), cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(spare_hosts_stay_on),   cmocka_unit_test(rules_hold),
        cmocka_unit_test(verifier_looks_again),  cmocka_unit_test(on_its_way_is_not_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
