/* Emptying hosts: how plan_make behaves in one situation after the other. */
#include "tests/unit/packfix.h"

static void test_balances(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 32, 10);
    for (int i = 0; i < 6; i++)
        fleet_vm(&f, "v", 0, 2)->name[0] = (char)('a' + i);
    fleet_drain(&f, 0);
    make(&f, &p);
    int count[4] = {0};
    for (size_t i = 0; i < p.n_moves; i++)
        count[p.moves[i].to]++;
    for (int h = 1; h < 4; h++)
        assert_int_equal(count[h], 2);
    for (size_t i = 1; i < p.n_moves; i++) /* neighbours in the order use different links */
        assert_int_not_equal(p.moves[i].to, p.moves[i - 1].to);
    plan_done(&p);
    fleet_done(&f);
}

static void test_shutoff_and_paused(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 2, 16, 4);
    fleet_vm(&f, "off", 0, 64)->state = VM_SHUTOFF; /* larger than the host: it needs no memory */
    fleet_vm(&f, "paused", 0, 1)->state = VM_PAUSED;
    fleet_vm(&f, "run", 0, 8);
    fleet_drain(&f, 0);
    f.r.allow_cold = true; /* stopping does not help a paused VM */
    make(&f, &p);
    assert_false(move_of(&p, 0)->live);
    assert_true(move_of(&p, 2)->live);
    assert_int_equal(p.moves[0].vm, 2); /* what runs goes first */
    const struct plan_stay *st = stay_of(&p, 1);
    assert_int_equal(st->reasons[0].code, R_VM_PAUSED);
    assert_null(st->reasons[0].host);
    plan_done(&p);
    fleet_done(&f);
}

static void test_request_limits(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    struct reason why = {.code = R_IMAGE_ABSENT, .what = (char *)(uintptr_t) "vda"};
    struct plan_refusal no = {.vm = 0, .host = 3, .why = &why};
    int to[] = {1, 3}, avoid[] = {1};
    fleet_init(&f, 4, 16, 1);
    fleet_vm(&f, "a", 0, 4);
    fleet_drain(&f, 0);
    f.r.to = to;
    f.r.n_to = 2;
    f.r.avoid = avoid;
    f.r.n_avoid = 1;
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 3);
    plan_done(&p);
    f.r.refusals = &no;
    f.r.n_refusals = 1;
    make(&f, &p);
    const struct plan_stay *st = stay_of(&p, 0);
    assert_int_equal(st->n_reasons, 3);
    assert_int_equal(st->reasons[0].code, R_AVOIDED); /* the nearest way out comes first */
    assert_int_equal(st->reasons[1].code, R_NOT_IN_TO);
    assert_int_equal(st->reasons[2].code, R_IMAGE_ABSENT);
    assert_string_equal(st->reasons[2].host, "h3");
    plan_done(&p);
    no.host = -1;
    make(&f, &p);
    assert_null(stay_of(&p, 0)->reasons[0].host);
    assert_int_equal(stay_of(&p, 0)->reasons[0].code, R_IMAGE_ABSENT);
    plan_done(&p);
    fleet_done(&f);
}

static void test_cold(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    struct reason why = {.code = R_MIGRATE_FAILED};
    struct plan_refusal no[] = {{.vm = 0, .host = 1, .why = &why},
                                {.vm = 0, .host = 2, .why = &why}};
    fleet_init(&f, 3, 16, 1);
    fleet_vm(&f, "a", 0, 4);
    fleet_drain(&f, 0);
    f.r.refusals = no;
    f.r.n_refusals = 1;
    f.r.allow_cold = true;
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 2); /* live elsewhere is better than cold */
    assert_true(move_of(&p, 0)->live);
    plan_done(&p);
    f.r.n_refusals = 2;
    make(&f, &p);
    assert_false(move_of(&p, 0)->live);
    plan_done(&p);
    why.code = R_CPU_MODEL; /* it would not start there either */
    make(&f, &p);
    assert_non_null(stay_of(&p, 0));
    plan_done(&p);
    why.code = R_MIGRATE_FAILED;
    f.r.allow_cold = false;
    make(&f, &p);
    assert_non_null(stay_of(&p, 0));
    plan_done(&p);
    fleet_done(&f);
}

static void test_wishes(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    int wish[] = {3, -1, 3};
    fleet_init(&f, 4, 16, 8);
    fleet_vm(&f, "small", 0, 2);
    fleet_vm(&f, "large", 0, 15); /* would take h3 first */
    fleet_vm(&f, "mid", 0, 13);
    fleet_vm(&f, "r1", 1, 1);
    fleet_vm(&f, "r2", 2, 1);
    fleet_drain(&f, 0);
    f.r.wish = wish;
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 3);
    assert_int_equal(move_of(&p, 2)->to, 3);
    assert_int_not_equal(move_of(&p, 1)->to, 3);
    plan_done(&p);
    f.s.hosts[3].state = HOST_CORDONED; /* a wish is not a condition */
    make(&f, &p);
    assert_int_not_equal(move_of(&p, 0)->to, 3);
    plan_done(&p);
    fleet_done(&f);
}

/* Where moves failed a short while ago a VM goes last; a rule's wish, or room, outweighs it. */
static void test_failed_lately(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    struct plan_failed failed[] = {
        {.vm = 0, .host = 3, .how = (char *)(uintptr_t) "failed once"},
        {.vm = -1, .host = 2, .how = (char *)(uintptr_t) "failed twice"}};
    int to[] = {2, 3};
    fleet_init(&f, 4, 16, 4);
    fleet_vm(&f, "a", 0, 2);
    fleet_vm(&f, "b", 1, 8);
    fleet_vm(&f, "c", 2, 4);
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 3); /* the emptiest */
    plan_done(&p);
    f.r.failed = failed;
    f.r.n_failed = 1;
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 2);
    assert_non_null(strstr(move_of(&p, 0)->why, "; not h3, moves there failed once"));
    plan_done(&p);
    f.r.n_failed = 2;
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 1);
    plan_done(&p);
    f.r.to = to; /* none is left: evenness decides */
    f.r.n_to = 2;
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 3);
    assert_non_null(strstr(move_of(&p, 0)->why, "; though moves there failed once"));
    plan_done(&p);
    f.r.n_to = 0;
    f.r.to = NULL;
    struct rule *r = fleet_rule(&f, "there", RULE_HOST_PREFERRED, "a", "h3");
    r->hard = false;
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 3);
    plan_done(&p);
    fleet_done(&f);
}

static void test_soft_rules(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 16, 4);
    fleet_vm(&f, "db-1", 0, 2);
    fleet_vm(&f, "db-2", 3, 2); /* alone on the emptiest host */
    fleet_vm(&f, "x", 1, 9);
    fleet_vm(&f, "y", 2, 8);
    fleet_rule(&f, "apart", RULE_ANTI_AFFINITY, "db-*", NULL)->hard = false;
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 2);
    plan_done(&p);
    f.s.hosts[1].state = f.s.hosts[2].state = HOST_CORDONED;
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 3); /* broken rather than staying */
    plan_done(&p);
    fleet_done(&f);
}

static void test_affinity_moves_as_one(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 3, 16, 4);
    fleet_vm(&f, "c-1", 0, 6);
    fleet_vm(&f, "c-2", 0, 6);
    fleet_vm(&f, "x", 1, 5); /* h1 has room for one of them only */
    fleet_vm(&f, "y", 2, 4);
    fleet_rule(&f, "near", RULE_AFFINITY, "c-*", NULL);
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 2);
    assert_int_equal(move_of(&p, 1)->to, 2);
    plan_done(&p);
    f.vms[1].state = VM_PAUSED; /* it cannot go, so the other stays with it */
    make(&f, &p);
    assert_int_equal(p.n_moves, 0);
    assert_int_equal(stay_of(&p, 0)->reasons[0].code, R_AFFINITY);
    plan_done(&p);
    fleet_done(&f);
}

static void test_order(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 2, 64, 4);
    fleet_vm(&f, "mid", 0, 4);
    fleet_vm(&f, "large", 0, 8);
    fleet_vm(&f, "small", 0, 2);
    fleet_drain(&f, 0);
    static const int first[] = {
        [ORDER_FASTEST] = 1, [ORDER_SMALLEST_FIRST] = 2, [ORDER_LARGEST_FIRST] = 1};
    for (int o = ORDER_FASTEST; o <= ORDER_LARGEST_FIRST; o++) {
        f.p.drain.order = o;
        make(&f, &p);
        assert_int_equal(p.moves[0].vm, first[o]);
        assert_int_equal(p.moves[1].vm, 0);
        plan_done(&p);
    }
    fleet_done(&f);
}

static void test_order_uses_many_links(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 3, 64, 4);
    fleet_vm(&f, "a-1", 0, 8);
    fleet_vm(&f, "a-2", 0, 7);
    fleet_vm(&f, "b-1", 0, 2);
    fleet_rule(&f, "a", RULE_HOST_REQUIRED, "a-*", "h1");
    fleet_rule(&f, "b", RULE_HOST_REQUIRED, "b-*", "h2");
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(p.moves[0].vm, 0);
    assert_int_equal(p.moves[1].vm, 2); /* h1's link is busy with the first */
    assert_int_equal(p.moves[2].vm, 1);
    plan_done(&p);
    fleet_done(&f);
}

/* Ejection finds some place for all; what is better than that must be looked for afterwards. */
static void test_improves(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 64, 4);
    fleet_vm(&f, "db-1", 0, 8);
    fleet_vm(&f, "db-2", 0, 4);
    fleet_vm(&f, "x", 1, 12);
    fleet_vm(&f, "y", 2, 10);
    /* db-1 goes to the empty h3; db-2, bound to h3, would break the wish for distance there: db-1
     * has to give way although it came first */
    fleet_rule(&f, "bound", RULE_HOST_REQUIRED, "db-2", "h3");
    fleet_rule(&f, "apart", RULE_ANTI_AFFINITY, "db-*", NULL)->hard = false;
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(move_of(&p, 1)->to, 3);
    assert_int_equal(move_of(&p, 0)->to, 2);
    plan_done(&p);
    fleet_done(&f);
}

/* Two VMs of one name, from different hosts, in one plan. */
static void test_same_names(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    int two[] = {0, 1}, to[] = {2, 3};
    fleet_init(&f, 4, 64, 3);
    fleet_vm(&f, "web", 0, 4);
    fleet_vm(&f, "web", 1, 4);
    fleet_vm(&f, "x", 3, 40); /* both would rather go to h2 */
    f.r = (struct plan_request){.vms = two, .n_vms = 2, .to = to, .n_to = 2};
    make(&f, &p);
    assert_int_equal(p.n_moves, 2);
    assert_int_not_equal(p.moves[0].to, p.moves[1].to);
    plan_done(&p);
    f.r.n_to = 1;
    make(&f, &p);
    assert_int_equal(p.stays[0].reasons[1].code, R_NAME_TAKEN);
    assert_true(p.stays[0].reasons[2].more); /* not asked for, and a clash of names as well */
    plan_done(&p);
    fleet_done(&f);
}

/* All that speaks against the VM itself is said at once, not one thing per drain. */
static void test_all_reasons_of_a_vm(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 2, 64, 1);
    struct vm *v = fleet_vm(&f, "a", 0, 4);
    v->disks[0].kind = DISK_BLOCK;
    v->disks[0].cache = xstrdup("writeback");
    v->persistent = false;
    fleet_drain(&f, 0);
    make(&f, &p);
    const struct plan_stay *st = stay_of(&p, 0);
    assert_int_equal(st->n_reasons, 3);
    assert_int_equal(st->reasons[0].code, R_TRANSIENT);
    assert_int_equal(st->reasons[1].code, R_LOCAL_DISK);
    assert_int_equal(st->reasons[2].code, R_CACHE_MODE);
    assert_string_equal(st->reasons[2].have, "writeback");
    plan_done(&p);
    free(v->disks[0].cache);
    v->disks[0].cache = xstrdup("none");
    make(&f, &p);
    assert_int_equal(stay_of(&p, 0)->n_reasons, 2);
    plan_done(&p);
    f.r.allow_cold = true; /* a stopped VM has nothing in its cache, but the disk stays local */
    free(v->disks[0].cache);
    v->disks[0].cache = NULL;
    make(&f, &p);
    assert_int_equal(stay_of(&p, 0)->n_reasons, 3);
    plan_done(&p);
    fleet_done(&f);
}

/* A cure is a way out only where nothing else is in the way. */
static void test_cures_that_are_none(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    int to[] = {2};
    fleet_init(&f, 4, 64, 2);
    fleet_vm(&f, "a", 0, 4);
    fleet_vm(&f, "x", 2, 62);
    f.s.hosts[1].state = HOST_CORDONED;
    f.s.hosts[3].state = HOST_DRAINING;
    fleet_drain(&f, 0);
    make(&f, &p);
    const struct plan_stay *st = stay_of(&p, 0);
    assert_string_equal(st->reasons[0].cure, "drover resume h1");
    assert_false(st->reasons[0].more);
    assert_null(st->reasons[1].cure); /* a run is at work there */
    plan_done(&p);
    f.r.to = to;
    f.r.n_to = 1;
    make(&f, &p);
    st = stay_of(&p, 0);
    assert_int_equal(st->reasons[0].code, R_MEMORY);
    assert_false(st->reasons[0].more);
    assert_int_equal(st->reasons[1].code, R_HOST_NOT_UP);
    assert_true(st->reasons[1].more); /* --to leaves it out, too */
    plan_done(&p);
    fleet_done(&f);
}

static void test_only_host(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 1, 64, 1);
    fleet_vm(&f, "a", 0, 4);
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(stay_of(&p, 0)->reasons[0].code, R_SAME_HOST);
    plan_done(&p);
    f.r.n_vms = 0;
    make(&f, &p);
    plan_done(&p);
    fleet_done(&f);
}

/* What the engine counts in pages may fit to the byte; what it would break a rule for must leave its room
 * to others. */
static void test_gaps_are_filled(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan plan;
    fleet_init(&f, 2, 16, 3);
    fleet_vm(&f, "a", 0, 8)->mem_overhead_bytes = 1;
    fleet_vm(&f, "b", 1, 8)->mem_overhead_bytes = -1;
    fleet_drain(&f, 0);
    plan_make(&f.s, &f.p, &f.r, 1, &plan);
    assert_int_equal(plan.n_moves, 1);
    plan_done(&plan);
    fleet_done(&f);
    fleet_init(&f, 2, 16, 3);
    fleet_vm(&f, "web-1", 0, 10);
    fleet_vm(&f, "web-2", 1, 4);
    fleet_vm(&f, "other", 0, 8);
    fleet_rule(&f, "wide", RULE_SPREAD, "web-*", NULL)->min = 2;
    fleet_drain(&f, 0);
    plan_make(&f.s, &f.p, &f.r, 1, &plan);
    assert_int_equal(plan.n_moves, 1);
    assert_int_equal(plan.moves[0].vm, 2);
    assert_int_equal(plan.stays[0].reasons[0].code, R_SPREAD);
    plan_done(&plan);
    fleet_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gaps_are_filled),
        cmocka_unit_test(test_balances),
        cmocka_unit_test(test_shutoff_and_paused),
        cmocka_unit_test(test_request_limits),
        cmocka_unit_test(test_cold),
        cmocka_unit_test(test_wishes),
        cmocka_unit_test(test_failed_lately),
        cmocka_unit_test(test_soft_rules),
        cmocka_unit_test(test_affinity_moves_as_one),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_order_uses_many_links),
        cmocka_unit_test(test_improves),
        cmocka_unit_test(test_same_names),
        cmocka_unit_test(test_all_reasons_of_a_vm),
        cmocka_unit_test(test_cures_that_are_none),
        cmocka_unit_test(test_only_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
