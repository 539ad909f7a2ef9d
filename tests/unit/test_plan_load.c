/* Plans by measured CPU: what moves, what is predicted, and hosts of which nothing is known. */
#include <math.h>

#include "tests/unit/fleet.h"

enum { MAX = 64 };
static struct cpu_figures busy[MAX], other[MAX], used[MAX];

#define ALIKE(v) ((struct cpu_figures){(v), (v), (v), (v), (v), (v), -1, -1})

static void know(struct test_fleet *f, int host, int64_t mcpu)
{
    other[host] = ALIKE(mcpu);
    busy[host] = ALIKE(mcpu);
    f->s.hosts[host].cpu = &busy[host];
    f->s.hosts[host].other = &other[host];
}

static int add(struct test_fleet *f, int host, int64_t mcpu)
{
    int id = (int)f->s.n_vms;
    char name[16];
    snprintf(name, sizeof(name), "v%02d", id);
    fleet_vm(f, name, host, 4);
    used[id] = ALIKE(mcpu);
    f->s.vms[id].cpu = mcpu < 0 ? NULL : &used[id];
    return id;
}

static struct plan make(struct test_fleet *f, int goal)
{
    struct plan p;
    struct reason why;
    f->r.goal = goal;
    f->r.purpose = PURPOSE_BALANCE;
    plan_make(&f->s, &f->p, &f->r, 7, &p);
    if (!plan_verify(&f->s, &f->p, &f->r, &p, &why))
        fail_msg("not verified: %s", reason_texts[why.code]);
    return p;
}

/* 16 CPUs each. Memory is even; h0 burns. Too busy is who is busier than the mean. */
static void hot_cold(struct test_fleet *f)
{
    fleet_init(f, 3, 64, MAX);
    f->p.balance.busy_ppm = 0;
    for (int h = 0; h < 3; h++) {
        know(f, h, 500);
        for (int i = 0; i < 4; i++)
            add(f, h, h == 0 ? 3000 : 100);
    }
}

static void a_hot_host_is_relieved(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f);
    struct plan p = make(&f, GOAL_RELIEVE);
    assert_true(p.before.measured);
    assert_int_equal(p.before.cpu_max_ppm, 12500 * 1000 / 16);
    assert_int_equal(p.before.cpu_min_ppm, 900 * 1000 / 16);
    assert_true(p.n_moves >= 1 && p.n_moves <= 2);
    for (size_t i = 0; i < p.n_moves; i++) {
        assert_int_equal(p.moves[i].from, 0);
        assert_int_equal(p.moves[i].live, true);
    }
    /* its load goes with a VM: what one host loses others have */
    assert_true(p.after.cpu_max_ppm <= p.before.cpu_mean_ppm + f.p.balance.imbalance_ppm);
    assert_true(llabs(p.after.cpu_mean_ppm - p.before.cpu_mean_ppm) <= 1);
    assert_non_null(strstr(p.moves[0].why, "; CPU 78 → "));
    plan_done(&p);
    fleet_done(&f);
}

static void the_same_by_vcpus_is_no_reason(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f);
    f.p.balance.load = LOAD_RESERVED;
    for (int goal = GOAL_RELIEVE; goal <= GOAL_BALANCE; goal++) {
        struct plan p = make(&f, goal);
        assert_false(p.before.measured);
        assert_int_equal(p.before.cpu_max_ppm, -1);
        assert_int_equal(p.n_moves, 0);
        plan_done(&p);
    }
    fleet_done(&f);
}

static void even_load_moves_nothing(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 3, 64, MAX);
    for (int h = 0; h < 3; h++) {
        know(&f, h, 500);
        for (int i = 0; i < 4; i++)
            add(&f, h, 3000);
    }
    struct plan p = make(&f, GOAL_BALANCE);
    assert_int_equal(p.n_moves, 0);
    plan_done(&p);
    fleet_done(&f);
}

/* h2 looks idle, and nobody knows: nothing goes there. That it is full by memory, or holds a pair that must
 * be apart, is mended all the same. */
static void unknown_is_not_idle(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f);
    f.s.hosts[2].cpu = f.s.hosts[2].other = NULL;
    for (int i = 0; i < 4; i++)
        f.s.vms[8 + i].cpu = NULL;
    for (int goal = GOAL_RELIEVE; goal <= GOAL_BALANCE; goal++) {
        struct plan p = make(&f, goal);
        assert_true(p.before.measured);
        assert_int_equal(p.before.cpu_unknown, 1);
        assert_true(p.n_moves > 0);
        for (size_t i = 0; i < p.n_moves; i++)
            assert_int_not_equal(p.moves[i].to, 2);
        plan_done(&p);
    }
    fleet_rule(&f, "pair", RULE_ANTI_AFFINITY, "v0[01]", NULL);
    f.s.hosts[1].state = HOST_CORDONED; /* h2 is the only way out */
    struct plan p = make(&f, GOAL_BALANCE);
    assert_int_equal(p.n_moves, 1);
    assert_int_equal(p.moves[0].to, 2);
    assert_true(p.moves[0].vm <= 1);
    plan_done(&p);
    fleet_done(&f);
}

static void nobody_knows_anything(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f);
    struct cpu_figures gone = ALIKE(500);
    gone.now_mcpu = gone.m5_mcpu = -1; /* figures of an hour ago are no fresh ones */
    for (int h = 0; h < 3; h++) {
        busy[h] = other[h] = gone;
        assert_false(snap_measured(&f.s.hosts[h]));
    }
    struct plan p = make(&f, GOAL_BALANCE);
    assert_false(p.before.measured);
    assert_int_equal(p.n_moves, 0);
    plan_done(&p);
    fleet_done(&f);
}

/* VMs that were never measured share what their host uses and nobody else there accounts for; as many vCPUs
 * as they have, but no more. The plan says that it guesses. */
static void a_guess_is_called_one(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f);
    for (int i = 0; i < 4; i++) {
        f.s.vms[i].cpu = NULL;
        f.vms[i].vcpus = 8;
    }
    busy[0] = ALIKE(12500);
    struct plan p = make(&f, GOAL_RELIEVE);
    assert_int_equal(p.before.cpu_guessed, 4);
    assert_int_equal(p.before.cpu_max_ppm, 12500 * 1000 / 16);
    assert_true(p.n_moves >= 1);
    assert_non_null(strstr(p.moves[0].why, "(the VM was never measured: its part of what its host uses)"));
    plan_done(&p);
    for (int i = 0; i < 4; i++)
        f.vms[i].vcpus = 1;
    p = make(&f, GOAL_REPAIR);
    assert_int_equal(p.before.cpu_max_ppm, 4500 * 1000 / 16);
    plan_done(&p);
    fleet_done(&f);
}

/* Its first reading counts before it has a mean. */
static void a_reading_is_better_than_a_guess(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f);
    for (int i = 0; i < 4; i++) {
        used[i] = (struct cpu_figures){100, -1, -1, -1, -1, -1, -1, -1};
        f.vms[i].vcpus = 8;
    }
    struct plan p = make(&f, GOAL_REPAIR);
    assert_int_equal(p.before.cpu_guessed, 0);
    assert_int_equal(p.before.cpu_max_ppm, 900 * 1000 / 16);
    plan_done(&p);
    fleet_done(&f);
}

/* A VM on its way away is no load of its old host any more. */
static void moves_under_way_count_where_they_lead(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f);
    f.s.vms[0].moving_to = 1;
    f.s.vms[1].moving_to = 2;
    struct plan p = make(&f, GOAL_RELIEVE);
    assert_int_equal(p.n_moves, 0);
    assert_int_equal(p.before.cpu_max_ppm, 6500 * 1000 / 16);
    plan_done(&p);
    fleet_done(&f);
}

static void the_policy_names_the_figure(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f);
    for (int i = 0; i < 4; i++)
        used[i] = (struct cpu_figures){100, 3000, 2000, 1000, 3500, -1, 0, 0};
    const int64_t want[] = {12500, 8500, 4500, 14500};
    for (int by = LOAD_5M; by <= LOAD_P95; by++) {
        f.p.balance.load = by;
        struct plan p = make(&f, GOAL_REPAIR);
        assert_int_equal(p.before.cpu_max_ppm, want[by] * 1000 / 16);
        plan_done(&p);
    }
    for (int i = 0; i < 4; i++) /* just moved: nothing of the last minutes */
        used[i].m5_mcpu = -1;
    f.p.balance.load = LOAD_5M;
    struct plan p = make(&f, GOAL_REPAIR);
    assert_int_equal(p.before.cpu_max_ppm, 8500 * 1000 / 16);
    plan_done(&p);
    fleet_done(&f);
}

static void the_forecast_weighs_as_told(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f);
    for (int i = 0; i < 4; i++)
        used[i] = (struct cpu_figures){1000, 1000, 1000, 1000, 1000, 1000, 3000, 0};
    const struct {
        int64_t share_ppm, error, want;
    } cases[] = {{0, 0, 1000},
                 {500000, 0, 2000},
                 {1000000, 0, 3000},
                 {1000000, 500, 2500},
                 {1000000, 3000, 1000}, /* it was wrong by so much: what is now is known */
                 {500000, -1, 1000}};
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        f.p.balance.forecast_ppm = cases[c].share_ppm;
        for (int i = 0; i < 4; i++)
            used[i].forecast_error_mcpu = cases[c].error;
        struct plan p = make(&f, GOAL_REPAIR);
        assert_int_equal(p.before.cpu_max_ppm, (500 + 4 * cases[c].want) * 1000 / 16);
        plan_done(&p);
    }
    for (int i = 0; i < 4; i++) /* that it will be quiet soon makes nobody idle now */
        used[i] = (struct cpu_figures){1000, 1000, 1000, 1000, 1000, 1000, 100, 0};
    struct plan p = make(&f, GOAL_REPAIR);
    assert_int_equal(p.before.cpu_max_ppm, 4500 * 1000 / 16);
    plan_done(&p);
    fleet_done(&f);
}

/* balance.busy: by a limit of its own, and not by the mean. Down to 5 points less, no further; who is between the two
 * is let be, and gets nothing. */
static void busy_is_a_limit(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f); /* h0 at 78 %, the others idle */
    f.p.balance.busy_ppm = 800000;
    struct plan p = make(&f, GOAL_RELIEVE);
    assert_int_equal(p.n_moves, 0);
    plan_done(&p);
    f.p.balance.busy_ppm = 780000;
    p = make(&f, GOAL_RELIEVE);
    assert_int_equal(p.n_moves, 1);
    assert_true(p.after.cpu_max_ppm <= 730000);
    plan_done(&p);
    f.s.hosts[2].state = HOST_MAINTENANCE;
    add(&f, 1, 11000); /* 75 %: below the limit, and no room up to the margin */
    p = make(&f, GOAL_RELIEVE);
    assert_int_equal(p.n_moves, 0);
    plan_done(&p);
    fleet_done(&f);
}

/* Relieved by the mean, a host comes down by a quarter of `imbalance` more, and then rests. */
static void the_mean_has_a_margin(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f);
    for (int i = 0; i < 4; i++) {
        used[i] = ALIKE(1000);
        add(&f, 0, 1000);
    }
    struct plan p = make(&f, GOAL_RELIEVE); /* h0 at 53 %, the limit 41.5 %, and 6.25 % to a VM */
    assert_int_equal(p.n_moves, 3);
    for (size_t i = 1; i < p.n_moves; i++)
        f.s.vms[p.moves[i].vm].host = p.moves[i].to;
    int last = p.moves[0].vm;
    plan_done(&p);
    used[last] = ALIKE(1100); /* 41.2 %: between the two */
    p = make(&f, GOAL_RELIEVE);
    assert_int_equal(p.n_moves, 0);
    plan_done(&p);
    fleet_done(&f);
}

/* Of two hosts that are idle now, the one that is idle all day. */
static void busy_hosts_choose_by_peaks(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f);
    f.p.balance.busy_ppm = 700000;
    for (int calm = 1; calm <= 2; calm++) {
        for (size_t i = 0; i < f.s.n_vms; i++)
            if (f.s.vms[i].host > 0)
                ((struct cpu_figures *)(uintptr_t)f.s.vms[i].cpu)->p95_mcpu =
                    f.s.vms[i].host == calm ? 150 : 1500;
        struct plan p = make(&f, GOAL_RELIEVE);
        assert_int_equal(p.n_moves, 1);
        assert_int_equal(p.moves[0].to, calm);
        plan_done(&p);
    }
    fleet_done(&f);
}

/* balance.urgent: as it will be in a minute, whatever the mean was. It comes down as one that is too busy does, and
 * goes where it is calm then, too. */
static void soon_is_a_limit(void **state)
{
    (void)state;
    struct test_fleet f;
    hot_cold(&f); /* h0: four at 3000, h1 and h2: at 100; 16 CPUs */
    f.p.balance.busy_ppm = 800000;
    f.p.balance.urgent_ppm = 900000;
    used[0].soon_mcpu = 5000;
    for (int i = 0; i < 4; i++)
        f.vms[i].vcpus = i ? 3 : 2;
    struct plan p = make(&f, GOAL_RELIEVE); /* 91 % soon, were it to have so many vCPUs */
    assert_int_equal(p.n_moves, 0);
    plan_done(&p);
    f.vms[0].vcpus = 8;
    for (int waking = 1; waking <= 2; waking++) {
        used[4 * waking].soon_mcpu = 11000; /* 74 %: no room up to the margin */
        f.vms[4 * waking].vcpus = 14;
        p = make(&f, GOAL_RELIEVE);
        assert_int_equal(p.n_moves, 1);
        assert_int_equal(p.moves[0].from, 0);
        assert_int_equal(p.moves[0].to, 3 - waking);
        plan_done(&p);
        used[4 * waking].soon_mcpu = 100;
    }
    f.p.balance.urgent_ppm = 0;
    p = make(&f, GOAL_RELIEVE);
    assert_int_equal(p.n_moves, 0);
    plan_done(&p);
    f.p.balance.urgent_ppm = 900000;
    used[0].soon_mcpu = -1; /* not known: as in the mean */
    p = make(&f, GOAL_RELIEVE);
    assert_int_equal(p.n_moves, 0);
    plan_done(&p);
    fleet_done(&f);
}

/* Whatever is known of whom: no target is unknown but for who must leave, and no plan makes CPU worse. */
static void any_fleet(void **state)
{
    (void)state;
    uint64_t seed = 99;
    int moved = 0;
    for (int round = 0; round < 150; round++) {
        struct test_fleet f;
        int n = 3 + (int)(test_rand(&seed) % 4);
        fleet_init(&f, (size_t)n, 64, MAX);
        f.p.balance.busy_ppm = round % 3 ? 0 : 500000;
        for (int h = 0; h < n; h++)
            if (test_rand(&seed) % 4)
                know(&f, h, test_rand(&seed) % 2000);
        for (int i = 0; i < 30; i++) {
            int at = (int)(test_rand(&seed) % (uint32_t)n);
            add(&f, at, test_rand(&seed) % 8 ? (int64_t)(test_rand(&seed) % 3000) : -1);
        }
        struct plan p = make(&f, round % 2 ? GOAL_RELIEVE : GOAL_BALANCE);
        moved += (int)p.n_moves;
        for (size_t i = 0; i < p.n_moves && p.before.measured; i++) {
            int64_t there = 0; /* its host held more than it may: then anywhere will do */
            for (size_t v = 0; v < f.s.n_vms; v++)
                there += f.s.vms[v].host == p.moves[i].from ? 4 : 0;
            assert_true(there > 64 || snap_measured(&f.s.hosts[p.moves[i].to]));
        }
        int64_t high = p.before.cpu_mean_ppm + f.p.balance.imbalance_ppm;
        if (p.n_moves && p.before.measured && p.before.cpu_unknown == 0 && !p.before.broken)
            assert_true(p.after.cpu_max_ppm <= p.before.cpu_max_ppm || p.after.cpu_max_ppm <= high);
        plan_done(&p);
        fleet_done(&f);
    }
    assert_true(moved > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hot_host_is_relieved),
        cmocka_unit_test(the_same_by_vcpus_is_no_reason),
        cmocka_unit_test(even_load_moves_nothing),
        cmocka_unit_test(unknown_is_not_idle),
        cmocka_unit_test(nobody_knows_anything),
        cmocka_unit_test(a_guess_is_called_one),
        cmocka_unit_test(a_reading_is_better_than_a_guess),
        cmocka_unit_test(moves_under_way_count_where_they_lead),
        cmocka_unit_test(the_policy_names_the_figure),
        cmocka_unit_test(the_forecast_weighs_as_told),
        cmocka_unit_test(busy_is_a_limit),
        cmocka_unit_test(the_mean_has_a_margin),
        cmocka_unit_test(soon_is_a_limit),
        cmocka_unit_test(busy_hosts_choose_by_peaks),
        cmocka_unit_test(any_fleet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
