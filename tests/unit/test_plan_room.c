/* Room for one VM: a new one, or one that is there. */
#include <limits.h>

#include "tests/unit/fleet.h"

static void make(struct test_fleet *f, int vm, struct plan *ret)
{
    struct reason why;
    shape_init(&reason_shape, &why);
    f->r.goal = GOAL_ROOM;
    f->r.purpose = PURPOSE_BALANCE;
    f->r.room_for = vm;
    plan_make(&f->s, &f->p, &f->r, 1, ret);
    if (!plan_verify(&f->s, &f->p, &f->r, ret, &why))
        fail_msg("the plan breaks %s: %s %s", reason_tokens[why.code], why.what ? why.what : "",
                 why.have ? why.have : "");
    assert_int_equal(ret->n_stays, ret->room_on < 0);
}

static int fresh(struct test_fleet *f, const char *name, int64_t gib)
{
    fleet_vm(f, name, -1, gib);
    f->s.vms[f->s.n_vms - 1].nowhere = true;
    return (int)f->s.n_vms - 1;
}

static void fill(struct test_fleet *f, int host, int n, int64_t gib)
{
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof(name), "v%zu", f->s.n_vms);
        fleet_vm(f, name, host, gib);
    }
}

static void few_moves_make_room(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 3, 64, 20);
    for (int h = 0; h < 3; h++)
        fill(&f, h, 5, 8); /* 24 GiB free on each */
    int vm = fresh(&f, "new", 30);
    make(&f, vm, &p);
    assert_int_equal(p.n_moves, 1);
    assert_true(p.room_on >= 0 && p.moves[0].from == p.room_on);
    plan_done(&p);
    f.vms[vm].mem_bytes = 24 * GIB; /* fits as it is */
    make(&f, vm, &p);
    assert_int_equal(p.n_moves, 0);
    assert_true(p.room_on >= 0);
    plan_done(&p);
    f.vms[vm].mem_bytes =
        60 * GIB; /* 72 GiB are free, but not all of one host's VMs fit elsewhere */
    f.r.max_moves = 4;
    make(&f, vm, &p);
    assert_int_equal(p.n_moves, 0);
    assert_int_equal(p.room_on, -1);
    assert_int_equal(p.stays[0].vm, vm);
    assert_int_equal(p.stays[0].n_reasons, 3);
    assert_int_equal(p.stays[0].reasons[0].code, R_MEMORY);
    plan_done(&p);
    f.s.hosts[0].state = f.s.hosts[1].state =
        HOST_CORDONED; /* no place but h2, and none to go to */
    f.vms[vm].mem_bytes = 30 * GIB;
    make(&f, vm, &p);
    assert_int_equal(p.room_on, -1);
    plan_done(&p);
    fleet_done(&f);
}

/* A new VM is bound by the rules that name it; what is in its way may go. */
static void rules_of_a_new_vm(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 3, 64, 20);
    fleet_rule(&f, "apart", RULE_ANTI_AFFINITY, "db-*", NULL);
    fleet_rule(&f, "licence", RULE_HOST_FORBIDDEN, "db-new", "h2");
    fleet_vm(&f, "db-1", 0, 8);
    fleet_vm(&f, "db-2", 1, 8);
    int vm = fresh(&f, "db-new", 8);
    make(&f, vm, &p); /* one of the two goes to h2 */
    assert_int_equal(p.n_moves, 1);
    assert_int_equal(p.moves[0].to, 2);
    assert_int_equal(p.moves[0].from, p.room_on);
    plan_done(&p);
    const int to[] = {1};
    f.r.to = to;
    f.r.n_to = 1;
    make(&f, vm, &p); /* `to` is for the new VM, not for what makes room */
    assert_int_equal(p.room_on, 1);
    assert_int_equal(p.moves[0].to, 2);
    plan_done(&p);
    fleet_done(&f);
}

static void room_for_one_that_is_there(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 3, 64, 20);
    fleet_vm(&f, "big", 0, 40);
    fill(&f, 0, 2, 8);
    fill(&f, 1, 5, 8);
    fill(&f, 2, 5, 8);
    make(&f, 0, &p); /* two go from h1 to h2, or the other way */
    assert_int_equal(p.n_moves, 2);
    assert_true(p.room_on == 1 || p.room_on == 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_not_equal(p.moves[i].vm, 0);
        assert_int_equal(p.moves[i].from, p.room_on);
    }
    plan_done(&p);
    f.r.max_moves = 1;
    make(&f, 0, &p);
    assert_int_equal(p.room_on, -1);
    assert_int_equal(p.n_moves, 0);
    plan_done(&p);
    f.vms[0].disks[0].kind = DISK_FILE; /* no room would help */
    make(&f, 0, &p);
    assert_int_equal(p.room_on, -1);
    assert_int_equal(p.stays[0].reasons[0].code, R_LOCAL_DISK);
    plan_done(&p);
    fleet_done(&f);
}

static void hosts_that_fit(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan_fitting *list;
    size_t n;
    fleet_init(&f, 5, 64, 20);
    struct rule *r = fleet_rule(&f, "wish", RULE_HOST_PREFERRED, "new", "h0");
    r->hard = false;
    r->weight = 7;
    fleet_vm(&f, "a", 0, 40);
    fleet_vm(&f, "b", 1, 10);
    fleet_vm(&f, "c", 3, 60);
    f.s.hosts[4].state = HOST_CORDONED;
    int vm = fresh(&f, "new", 8);
    f.r.room_for = vm;
    plan_fittings(&f.s, &f.p, &f.r, &list, &n);
    static const int order[] = {0, 2, 1, 3, 4}; /* the wish, then the emptiest */
    static const int code[] = {R_NONE, R_NONE, R_NONE, R_MEMORY, R_HOST_NOT_UP};
    assert_int_equal(n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(list[i].host, order[i]);
        assert_int_equal(list[i].fits, i < 3);
        assert_int_equal(list[i].why.code, code[i]);
    }
    assert_int_equal(list[0].soft, 0);
    assert_int_equal(list[1].soft, 7);
    assert_int_equal(list[0].free_bytes, 16 * GIB);
    plan_fittings_done(list, n);
    f.r.room_for = 0;
    plan_fittings(&f.s, &f.p, &f.r, &list, &n);
    assert_int_equal(n, 4); /* not the host where it is */
    plan_fittings_done(list, n);
    fleet_done(&f);
}

/* h0 has given out the fewest vCPUs and is the busiest; of h3 nothing is known. */
static void measured_hosts_that_fit(void **state)
{
    (void)state;
    static const int64_t mcpu[] = {15000, 500, 4000};
    struct cpu_figures busy[3], other[3];
    struct test_fleet f;
    struct plan_fitting *list;
    size_t n;
    fleet_init(&f, 4, 64, 20);
    fleet_vm(&f, "a", 1, 8);
    for (int h = 0; h < 3; h++) {
        busy[h] = other[h] =
            (struct cpu_figures){mcpu[h], mcpu[h], mcpu[h], mcpu[h], mcpu[h], mcpu[h], -1, -1};
        f.s.hosts[h].cpu = &busy[h];
        f.s.hosts[h].other = &other[h];
    }
    f.p.balance.weight_mem = 0;
    f.p.balance.weight_cpu = 1000000;
    f.r.room_for = fresh(&f, "new", 8);
    plan_fittings(&f.s, &f.p, &f.r, &list, &n);
    static const int order[] = {1, 2, 0, 3};
    assert_int_equal(n, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(list[i].host, order[i]);
    plan_fittings_done(list, n);
    f.p.balance.load = LOAD_RESERVED;
    plan_fittings(&f.s, &f.p, &f.r, &list, &n);
    assert_int_equal(list[3].host, 1); /* by vCPUs */
    plan_fittings_done(list, n);
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
    fleet_init(&f, 2, 64, 20);
    fleet_vm(&f, "a", 0, 40);
    fleet_vm(&f, "b", 0, 8);
    fleet_vm(&f, "c", 1, 20);
    int vm = fresh(&f, "new", 20);
    make(&f, vm, &p);
    assert_int_equal(p.room_on, 1);
    p.room_on = 0; /* 16 GiB are free there */
    expect_bad(&f, &p, R_MEMORY);
    struct plan_move b = {.vm = 1, .from = 0, .to = 1, .live = true};
    p.moves = &b;
    p.n_moves = 1;
    assert_true(plan_verify(&f.s, &f.p, &f.r, &p, NULL)); /* then there is room */
    b = (struct plan_move){.vm = 2, .from = 1, .to = 0, .live = true};
    expect_bad(&f, &p, R_MEMORY);
    f.r.room_for = 1;
    p.room_on = 1;
    b = (struct plan_move){.vm = 1, .from = 0, .to = 1, .live = true};
    expect_bad(&f, &p, R_CHECK_FAILED); /* it is to have room, not to move yet */
    p.moves = NULL;
    p.n_moves = 0;
    plan_done(&p);
    fleet_done(&f);
}

/* Whatever moves where, it is too little: told by counting. */
static void none_can_be_made_by_counting(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 3, 64, 20);
    fleet_rule(&f, "stay", RULE_MAINTENANCE_ONLY, "fixed*", NULL);
    fleet_vm(&f, "fixed-0", 0, 40);
    fleet_vm(&f, "fixed-1", 1, 30);
    fleet_vm(&f, "fixed-2", 2, 40);
    fill(&f, 1, 1, 8);
    int vm = fresh(&f, "new", 30);
    make(&f, vm, &p); /* h1 without its 8 GiB has 34 */
    assert_int_equal(p.room_on, 1);
    assert_int_equal(p.n_moves, 1);
    plan_done(&p);
    f.vms[vm].mem_bytes = 35 * GIB;
    make(&f, vm, &p);
    assert_int_equal(p.room_on, -1);
    assert_true(p.most.proven);
    assert_int_equal(p.most.free_on, 1);
    assert_int_equal(p.most.free_bytes, 26 * GIB);
    assert_int_equal(p.most.bound_on, 1);
    assert_int_equal(p.most.bound_bytes, 34 * GIB);
    assert_int_equal(p.most.total_bytes, 74 * GIB);
    plan_done(&p);
    f.vms[vm].mem_bytes = 30 * GIB;
    f.p.capacity.vcpu_overcommit_ppm = 1000000;
    f.vms[vm].vcpus = 16; /* one of 16 is taken for good on each */
    make(&f, vm, &p);
    assert_true(p.room_on < 0 && p.most.proven);
    assert_int_equal(p.most.bound_vcpus, 15);
    plan_done(&p);
    f.vms[vm].vcpus = 1;
    f.hosts[0].mem_bytes = f.hosts[2].mem_bytes = 40 * GIB;
    fill(&f, 1, 1, 8);
    f.s.vms[vm].v = &f.vms[vm];
    make(&f, vm, &p); /* 18 GiB are free there, and nowhere else */
    assert_true(p.room_on < 0 && p.most.proven);
    assert_int_equal(p.most.total_bytes, 18 * GIB);
    plan_done(&p);
    fleet_done(&f);
}

/* All that may move could be gone from each, and 58 GiB are free: but neither has a place on the other. */
static void not_found_is_no_proof(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 2, 64, 20);
    fill(&f, 0, 1, 40);
    fill(&f, 1, 1, 30);
    int vm = fresh(&f, "new", 45);
    make(&f, vm, &p);
    assert_int_equal(p.room_on, -1);
    assert_false(p.most.proven);
    assert_int_equal(p.most.free_bytes, 34 * GIB);
    assert_int_equal(p.most.total_bytes, 58 * GIB);
    plan_done(&p);
    fleet_done(&f);
}

/* Each VM of 8 GiB could go, but four of five leave 56 GiB. */
static void too_few_moves_are_counted(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 3, 64, 20);
    for (int h = 0; h < 3; h++)
        fill(&f, h, 5, 8);
    int vm = fresh(&f, "new", 60);
    f.r.max_moves = 4;
    make(&f, vm, &p);
    assert_int_equal(p.room_on, -1);
    assert_true(p.most.proven);
    assert_int_equal(p.most.few_bytes, 56 * GIB);
    assert_int_equal(p.most.bound_bytes, 64 * GIB);
    plan_done(&p);
    f.r.max_moves = 5;
    make(&f, vm, &p);
    assert_true(p.room_on >= 0 && p.n_moves == 5);
    plan_done(&p);
    fleet_done(&f);
}

/* It is not what moves: it may wait for maintenance only. */
static void room_for_one_that_waits_for_maintenance(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 2, 64, 20);
    fleet_rule(&f, "stay", RULE_MAINTENANCE_ONLY, "big", NULL);
    fleet_vm(&f, "big", 0, 40);
    fill(&f, 1, 4, 8);
    make(&f, 0, &p);
    assert_int_equal(p.room_on, 1);
    assert_int_equal(p.n_moves, 1);
    plan_done(&p);
    fleet_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_moves_make_room),
        cmocka_unit_test(rules_of_a_new_vm),
        cmocka_unit_test(room_for_one_that_is_there),
        cmocka_unit_test(hosts_that_fit),
        cmocka_unit_test(measured_hosts_that_fit),
        cmocka_unit_test(verifier_looks_again),
        cmocka_unit_test(none_can_be_made_by_counting),
        cmocka_unit_test(not_found_is_no_proof),
        cmocka_unit_test(too_few_moves_are_counted),
        cmocka_unit_test(room_for_one_that_waits_for_maintenance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
