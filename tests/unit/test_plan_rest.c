/* A plan for balance that is being carried out: is what is left of it still worth its moves? */
#include "scheduler/plan/rest.h"
#include "tests/unit/fleet.h"

static struct test_fleet f;

static void fill(int host, int n, int64_t gib)
{
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof(name), "v%zu", f.s.n_vms);
        fleet_vm(&f, name, host, gib);
    }
}

static void judge(int goal, const struct plan_move *moves, size_t n, struct plan_rest *ret)
{
    struct plan_index *x = plan_index_new(&f.s, &f.p);
    struct plan_request r = {.goal = goal, .purpose = PURPOSE_BALANCE};
    plan_rest(x, &r, moves, n, ret);
    plan_index_free(x);
}

static void what_helps_is_told_from_what_does_not(void **state)
{
    (void)state;
    struct plan_rest x;
    fleet_init(&f, 3, 64, 20);
    fill(0, 6, 8);
    fill(1, 3, 8);
    const struct plan_move good[] = {{.vm = 0, .from = 0, .to = 2}, {.vm = 1, .from = 0, .to = 2}};
    judge(GOAL_BALANCE, good, 2, &x);
    assert_true(x.needed && x.gains && x.helps[0] && x.helps[1]);
    assert_true(x.after.deviation_ppm < x.now.deviation_ppm);
    plan_rest_done(&x);
    const struct plan_move odd[] = {{.vm = 0, .from = 0, .to = 2}, {.vm = 6, .from = 1, .to = 0}};
    judge(GOAL_BALANCE, odd, 2, &x);
    assert_true(x.helps[0]);
    assert_false(x.helps[1]);
    plan_rest_done(&x);
    judge(GOAL_BALANCE, &odd[1], 1, &x);
    assert_true(x.needed);
    assert_false(x.gains);
    plan_rest_done(&x);
    fleet_done(&f);
}

/* A large one and a small one change places: the small one's way makes the fuller host fuller. */
static void two_that_change_places_help_together(void **state)
{
    (void)state;
    struct plan_rest x;
    fleet_init(&f, 2, 64, 20);
    fill(0, 1, 20);
    fill(0, 1, 16);
    fill(1, 1, 4);
    f.p.balance.imbalance_ppm = 100000;
    const struct plan_move both[] = {{.vm = 0, .from = 0, .to = 1}, {.vm = 2, .from = 1, .to = 0}};
    judge(GOAL_BALANCE, both, 2, &x);
    assert_true(x.gains && x.helps[0] && x.helps[1]);
    plan_rest_done(&x);
    judge(GOAL_BALANCE, &both[1], 1, &x);
    assert_false(x.gains);
    plan_rest_done(&x);
    fleet_done(&f);
}

static void enough_is_enough(void **state)
{
    (void)state;
    struct plan_rest x;
    fleet_init(&f, 2, 64, 20);
    fill(0, 5, 4);
    fill(1, 3, 4);
    const struct plan_move m = {.vm = 0, .from = 0, .to = 1};
    judge(GOAL_BALANCE, &m, 1, &x);
    assert_false(x.needed); /* 31 and 19 %: within the 20 that are let be */
    assert_true(x.gains);
    plan_rest_done(&x);
    judge(GOAL_BALANCE, NULL, 0, &x);
    assert_false(x.needed);
    plan_rest_done(&x);
    fleet_done(&f);
}

static void without_moves_all_that_may_move_counts(void **state)
{
    (void)state;
    struct plan_rest x;
    fleet_init(&f, 3, 64, 20);
    fill(0, 2, 4);
    struct rule *r = fleet_rule(&f, "apart", RULE_ANTI_AFFINITY, "*", NULL);
    r->across = ACROSS_HOST;
    judge(GOAL_REPAIR, NULL, 0, &x);
    assert_true(x.needed);
    plan_rest_done(&x);
    const struct plan_move m = {.vm = 0, .from = 0, .to = 1};
    judge(GOAL_REPAIR, &m, 1, &x);
    assert_true(x.gains && x.helps[0] && x.now.broken > 0 && x.after.broken == 0);
    plan_rest_done(&x);
    fleet_done(&f);
}

/* Memory is even; h0 has 78 % of its CPUs busy, h1 4 %. */
static void one_burns(void)
{
    static struct cpu_figures host[2], vm[4];
    fleet_init(&f, 2, 64, 20);
    fill(0, 2, 4);
    fill(1, 2, 4);
    for (int i = 0; i < 4; i++) {
        int64_t used = i < 2 ? 6000 : 100;
        vm[i] = (struct cpu_figures){used, used, used, used, used, used, -1, -1};
        f.s.vms[i].cpu = &vm[i];
    }
    for (int h = 0; h < 2; h++) {
        host[h] = (struct cpu_figures){500, 500, 500, 500, 500, 500, -1, -1};
        f.s.hosts[h].cpu = f.s.hosts[h].other = &host[h];
    }
}

static void measured_load_is_load(void **state)
{
    (void)state;
    struct plan_rest x;
    one_burns();
    const struct plan_move m = {.vm = 0, .from = 0, .to = 1};
    judge(GOAL_BALANCE, &m, 1, &x);
    assert_true(x.now.measured && x.needed && x.gains && x.helps[0]);
    assert_true(x.after.cpu_deviation_ppm < x.now.cpu_deviation_ppm);
    plan_rest_done(&x);
    fleet_done(&f);
}

/* Below its limit, and not yet by the margin: a host that is being relieved is relieved to the end. */
static void the_second_move_is_for_the_margin(void **state)
{
    (void)state;
    struct plan_rest x;
    one_burns();
    f.p.balance.busy_ppm = 800000;
    judge(GOAL_RELIEVE, NULL, 0, &x);
    assert_false(x.needed || x.over[0]);
    plan_rest_done(&x);
    const struct plan_move m[] = {{.vm = 0, .from = 0, .to = 1}, {.vm = 1, .from = 0, .to = 1}};
    judge(GOAL_RELIEVE, m, 1, &x);
    assert_true(x.needed && x.gains && x.helps[0]);
    plan_rest_done(&x);
    judge(GOAL_RELIEVE, m, 2, &x); /* one of them is enough for that */
    assert_false(x.helps[0] && x.helps[1]);
    plan_rest_done(&x);
    fleet_done(&f);
}

static void a_host_is_emptied_by_all_or_none(void **state)
{
    (void)state;
    struct plan_rest x;
    fleet_init(&f, 3, 64, 20);
    fill(0, 2, 8);
    fill(2, 2, 4);
    const struct plan_move both[] = {{.vm = 2, .from = 2, .to = 0}, {.vm = 3, .from = 2, .to = 0}};
    judge(GOAL_CONSOLIDATE, both, 2, &x);
    assert_true(x.gains && x.helps[0] && x.helps[1]);
    plan_rest_done(&x);
    judge(GOAL_CONSOLIDATE, both, 1, &x);
    assert_false(x.gains || x.helps[0]);
    plan_rest_done(&x);
    f.s.vms[3].moving_to = 0; /* the other is on its way */
    judge(GOAL_CONSOLIDATE, both, 1, &x);
    assert_true(x.gains && x.helps[0]);
    plan_rest_done(&x);
    fleet_done(&f);
}

static void judge_room(const struct plan_move *moves, size_t n, struct plan_rest *ret)
{
    struct plan_index *x = plan_index_new(&f.s, &f.p);
    struct plan_request r = {
        .goal = GOAL_ROOM, .purpose = PURPOSE_BALANCE, .room_for = (int)f.s.n_vms - 1};
    plan_rest(x, &r, moves, n, ret);
    plan_index_free(x);
}

/* h0 has 24 GiB free, h1 8, h2 24; the new VM wants 30. */
static void room_needs_its_moves_and_no_more(void **state)
{
    (void)state;
    struct plan_rest x;
    fleet_init(&f, 3, 64, 20);
    fill(0, 5, 8);
    fill(1, 7, 8);
    fill(2, 5, 8);
    fleet_vm(&f, "new", -1, 30);
    int vm = (int)f.s.n_vms - 1;
    f.s.vms[vm].nowhere = true;
    const struct plan_move two[] = {{.vm = 0, .from = 0, .to = 2}, {.vm = 5, .from = 1, .to = 2}};
    judge_room(NULL, 0, &x);
    assert_true(x.needed);
    assert_false(x.gains);
    plan_rest_done(&x);
    judge_room(two, 2, &x);
    assert_true(x.needed && x.gains && x.helps[0]);
    assert_false(x.helps[1]);
    plan_rest_done(&x);
    judge_room(&two[1], 1, &x);
    assert_true(x.needed);
    assert_false(x.gains || x.helps[0]);
    plan_rest_done(&x);
    f.s.vms[0].moving_to = 2; /* the first is under way: what it will give up counts */
    judge_room(&two[1], 1, &x);
    assert_false(x.needed);
    plan_rest_done(&x);
    f.s.vms[0].moving_to = -1;
    const struct plan_move chain[] = {{.vm = 12, .from = 2, .to = 1},
                                      {.vm = 0, .from = 0, .to = 2}};
    judge_room(chain, 2, &x); /* for all that is known the second needs what the first gives up */
    assert_true(x.gains && x.helps[0]);
    plan_rest_done(&x);
    fleet_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_needs_its_moves_and_no_more),
        cmocka_unit_test(what_helps_is_told_from_what_does_not),
        cmocka_unit_test(two_that_change_places_help_together),
        cmocka_unit_test(enough_is_enough),
        cmocka_unit_test(without_moves_all_that_may_move_counts),
        cmocka_unit_test(measured_load_is_load),
        cmocka_unit_test(the_second_move_is_for_the_margin),
        cmocka_unit_test(a_host_is_emptied_by_all_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
