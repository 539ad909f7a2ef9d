/* Ways out: each is applied here by hand and planned again, and what counting proves is held against
 * trying everything. */
#include "tests/unit/waysfix.h"

/* The ways of the first VM that stays. */
static bool says(const struct asked *a, const char *text)
{
    for (size_t i = 0; a->w.n && i < a->w.of[0].n; i++)
        if (str_eq(a->w.of[0].list[i].text, text))
            return true;
    for (size_t i = 0; a->w.n && i < a->w.of[0].n; i++)
        print_message("  way: %s\n", a->w.of[0].list[i].text);
    return false;
}

static bool short_of(const struct asked *a, const char *text)
{
    for (size_t i = 0; i < a->w.n_shortages; i++)
        if (str_eq(a->w.shortages[i].text, text))
            return true;
    for (size_t i = 0; i < a->w.n_shortages; i++)
        print_message("  short: %s\n", a->w.shortages[i].text);
    return false;
}

static void test_nothing_stays(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    fleet_init(&f, 2, 16, 1);
    fleet_vm(&f, "a", 0, 4);
    fleet_drain(&f, 0);
    ask(&f, &a);
    assert_int_equal(a.w.n, 0);
    assert_int_equal(a.w.n_shortages, 0);
    asked_done(&a);
    fleet_done(&f);
}

/* Room: to the MiB, and not one less. */
static void test_room(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    fleet_init(&f, 3, 16, 4);
    fleet_vm(&f, "big", 0, 12);
    fleet_vm(&f, "b", 1, 6)->mem_bytes += 5; /* bytes count: one MiB more than 2 GiB */
    fleet_vm(&f, "c", 2, 9);
    fleet_drain(&f, 0);
    ask(&f, &a);
    assert_true(says(&a, "free 2049 MiB (2.0 GiB) on h1"));
    assert_true(says(&a, "free 5 GiB on h2"));
    assert_true(says(&a, "move vm/b (6.0 GiB) from h1 to h2 first"));
    const struct way *y = way_of(&a, WAY_ROOM);
    assert_int_equal(y->bytes, 2049 * MIB);
    assert_int_equal(y->unblocks, 1);
    assert_true(short_of(&a, "needs 12 GiB; 10.0 GiB free at most (h1)"));
    f.hosts[1].mem_bytes += y->bytes;
    assert_int_equal(stays_now(&f), 0);
    f.hosts[1].mem_bytes -= MIB;
    assert_int_equal(stays_now(&f), 1);
    asked_done(&a);
    fleet_done(&f);
}

/* Of a host whose memory is not known nothing is claimed; of the others it is said what was left out. */
static void test_memory_not_known(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    fleet_init(&f, 3, 16, 4);
    fleet_vm(&f, "big", 0, 14);
    fleet_vm(&f, "c", 1, 9);
    f.hosts[2].mem_bytes = -1;
    fleet_drain(&f, 0);
    ask(&f, &a);
    assert_true(short_of(
        &a, "needs 14 GiB; 7 GiB free at most (h1), and of 1 host the memory is not known"));
    f.hosts[1].mem_bytes = -1;
    asked_done(&a);
    ask(&f, &a);
    assert_int_equal(a.w.n_shortages, 0);
    asked_done(&a);
    fleet_done(&f);
}

static void test_vcpus(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    fleet_init(&f, 2, 16, 4);
    f.p.capacity.vcpu_overcommit_ppm = 1500000; /* 24 of 16 */
    fleet_vm(&f, "a", 0, 1)->vcpus = 10;
    fleet_vm(&f, "b", 1, 1)->vcpus = 17;
    fleet_drain(&f, 0);
    ask(&f, &a);
    assert_true(says(&a, "free 3 vCPUs on h1"));
    assert_true(short_of(&a, "needs 10 vCPUs; 7 free at most (h1)"));
    asked_done(&a);
    fleet_done(&f);
}

static void test_another_moves(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    fleet_init(&f, 3, 16, 4);
    fleet_vm(&f, "big", 0, 12);
    fleet_vm(&f, "b", 1, 3);
    fleet_vm(&f, "c", 1, 6);
    fleet_vm(&f, "d", 2, 9);
    fleet_drain(&f, 0);
    ask(&f, &a);
    assert_true(says(&a, "move vm/c (6 GiB) from h1 to h2 first"));
    const struct way *y = way_of(&a, WAY_MOVE);
    assert_string_equal(y->vm, "c");
    assert_string_equal(y->to, "h2");
    f.s.vms[2].host = 2;
    assert_int_equal(stays_now(&f), 0);
    f.s.vms[2].host = 1;
    asked_done(&a);
    f.vms[2].persistent = false; /* it cannot move */
    ask(&f, &a);
    assert_null(way_of(&a, WAY_MOVE));
    asked_done(&a);
    fleet_done(&f);
}

static void test_words(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    int to[1] = {1}, avoid[1] = {2};
    fleet_init(&f, 4, 16, 4);
    fleet_vm(&f, "a", 0, 12);
    fleet_vm(&f, "b", 1, 12);
    f.s.hosts[3].state = HOST_CORDONED;
    fleet_drain(&f, 0);
    f.r.avoid = avoid;
    f.r.n_avoid = 1;
    ask(&f, &a);
    assert_true(says(&a, "leave out --avoid h2"));
    assert_true(says(&a, "drover resume h3"));
    assert_int_equal(a.w.of[0].list[0].kind, WAY_OPTION); /* the nearest first */
    asked_done(&a);
    f.r.n_avoid = 0;
    f.r.to = to;
    f.r.n_to = 1;
    ask(&f, &a);
    assert_true(says(&a, "add --to h2"));
    assert_null(way_of(&a, WAY_RESUME)); /* it would not be among --to then either */
    asked_done(&a);
    fleet_done(&f);
}

/* One way for two VMs, and so counted. */
static void test_unblocks(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    fleet_init(&f, 3, 16, 4);
    fleet_vm(&f, "a", 0, 7);
    fleet_vm(&f, "b", 0, 7);
    fleet_vm(&f, "c", 1, 14);
    f.s.hosts[2].state = HOST_MAINTENANCE;
    fleet_drain(&f, 0);
    ask(&f, &a);
    assert_int_equal(a.p.n_stays, 2);
    assert_string_equal(a.w.of[0].list[0].text, "drover resume h2");
    assert_int_equal(a.w.of[0].list[0].unblocks, 2);
    assert_int_equal(a.w.of[1].list[0].unblocks, 2);
    asked_done(&a);
    f.hosts[2].mem_bytes = 13 * GIB; /* each of them, not both */
    ask(&f, &a);
    assert_string_equal(a.w.of[0].list[0].text, "drover resume h2");
    assert_int_equal(a.w.of[0].list[0].unblocks, 1);
    asked_done(&a);
    fleet_done(&f);
}

static void test_rules(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    fleet_init(&f, 4, 16, 6);
    fleet_vm(&f, "db-1", 0, 4);
    fleet_vm(&f, "db-2", 1, 4);
    fleet_vm(&f, "db-3", 2, 4);
    fleet_rule(&f, "db-apart", RULE_ANTI_AFFINITY, "db-*", NULL);
    f.s.hosts[3].state = HOST_LOST;
    f.s.hosts[3].connected = false;
    fleet_drain(&f, 0);
    ask(&f, &a);
    assert_true(says(&a, "give rule db-apart a weight (soft; policy rules.yaml:1)"));
    assert_string_equal(way_of(&a, WAY_RULE)->where, "rules.yaml:1");
    assert_true(short_of(&a, "1 VM needs a host without another VM of rule db-apart (policy "
                             "rules.yaml:1); 0 left on 2 allowed hosts"));
    asked_done(&a);

    f.p.rules[0].kind = RULE_MAX_VMS;
    f.p.rules[0].max = 1;
    ask(&f, &a);
    assert_true(says(&a, "raise max of rule db-apart to 2 (policy rules.yaml:1)"));
    assert_true(short_of(&a, "1 VM needs a place under max of rule db-apart (policy rules.yaml:1); "
                             "0 left on 2 allowed hosts"));
    asked_done(&a);

    f.p.rules[0].kind = RULE_HOST_REQUIRED;
    *vec_add(&f.p.rules[0].hosts.names, &f.p.rules[0].hosts.n_names) = xstrdup("h0");
    ask(&f, &a);
    assert_true(says(&a, "allow host h1 in rule db-apart (policy rules.yaml:1)"));
    assert_int_equal(way_of(&a, WAY_RULE)->n_hosts, 2); /* or h2; h3 is not there */
    assert_int_equal(a.w.n_shortages, 0);
    asked_done(&a);

    f.p.rules[0].kind = RULE_HOST_FORBIDDEN;
    free(f.p.rules[0].hosts.names[0]);
    f.p.rules[0].hosts.names[0] = xstrdup("h?");
    ask(&f, &a);
    assert_true(says(&a, "take host h1 out of rule db-apart (policy rules.yaml:1)"));
    asked_done(&a);

    f.p.rules[0].kind = RULE_EXCLUDE;
    ask(&f, &a);
    assert_true(says(&a, "take vm/db-1 out of rule db-apart (policy rules.yaml:1)"));
    asked_done(&a);
    fleet_done(&f);
}

/* A cure that would leave something else in the way is none. */
static void test_cures(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    fleet_init(&f, 2, 16, 4);
    struct vm *v = fleet_vm(&f, "a", 0, 4);
    struct nic *n = vec_add(&v->nics, &v->n_nics);
    *n = (struct nic){.kind = NIC_BRIDGE, .source = xstrdup("br7")};
    fleet_drain(&f, 0);
    ask(&f, &a);
    assert_true(says(&a, "create it on h1: ip link add br7 type bridge && ip link set br7 up"));
    asked_done(&a);
    n = vec_add(&v->nics, &v->n_nics);
    *n = (struct nic){.kind = NIC_BRIDGE, .source = xstrdup("br8")};
    ask(&f, &a);
    assert_int_equal(a.w.of[0].n, 0); /* br7 alone would not do */
    asked_done(&a);

    v->n_nics = 0;
    v->state = VM_PAUSED;
    v->persistent = false;
    ask(&f, &a);
    assert_true(says(&a, "resume it on h0: virsh resume a; and define it: virsh dumpxml a > a.xml "
                         "&& virsh define a.xml"));
    asked_done(&a);
    f.hosts[1].mem_bytes = GIB;
    ask(&f, &a);
    assert_int_equal(a.w.of[0].n, 0);
    asked_done(&a);
    v->n_nics = 2;
    fleet_done(&f);
}

static void test_cold(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    fleet_init(&f, 2, 16, 4);
    struct vm *v = fleet_vm(&f, "a", 0, 4);
    v->disks[0].kind = DISK_NETWORK;
    fleet_drain(&f, 0);
    ask(&f, &a);
    assert_null(way_of(&a, WAY_COLD));
    asked_done(&a);
    struct reason why = {.code = R_MIGRATE_FAILED};
    struct plan_refusal no = {.vm = 0, .host = 1, .why = &why};
    v->disks[0].kind = DISK_RBD;
    f.r.refusals = &no;
    f.r.n_refusals = 1;
    ask(&f, &a);
    assert_true(says(&a, "--on-blocked cold --allow-shutdown vm/a"));
    asked_done(&a);
    fleet_done(&f);
}

static void test_together(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    fleet_init(&f, 3, 16, 8);
    fleet_vm(&f, "a", 0, 6);
    fleet_vm(&f, "b", 0, 6);
    fleet_vm(&f, "c", 0, 4);
    fleet_vm(&f, "x", 1, 9);
    fleet_vm(&f, "y", 2, 9);
    fleet_drain(&f, 0);
    ask(&f, &a);
    assert_true(short_of(&a, "3 VMs need 16 GiB together; 14 GiB free on 2 allowed hosts"));
    asked_done(&a);
    f.vms[0].mem_bytes = f.vms[1].mem_bytes = f.vms[2].mem_bytes = 4 * GIB;
    ask(&f, &a);
    assert_true(
        short_of(&a, "3 VMs need 4 GiB or more each; room for 2 of them on 2 allowed hosts"));
    assert_int_equal(a.w.shortages[0].need_n, 3);
    assert_int_equal(a.w.shortages[0].have_n, 2);
    asked_done(&a);
    fleet_done(&f);
}

/* ---- against everything ----------------------------------------------------------------------------- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_stays),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_memory_not_known),
        cmocka_unit_test(test_vcpus),
        cmocka_unit_test(test_another_moves),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_unblocks),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_cures),
        cmocka_unit_test(test_cold),
        cmocka_unit_test(test_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
