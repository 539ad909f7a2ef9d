/* When moves get their turn: enough to fill the link, not more, the next before it runs dry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/fakefleet.h"

static struct fleet f;
static int64_t run;

static int setup(void **state)
{
    (void)state;
    fleet_init(&f, 4, 64 * GIB);
    f.copy_us = 10000 * SEC; /* no copy ends by itself here */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_done(&f);
    return 0;
}

static void link_speed(int64_t bps)
{
    for (int i = 0; i < f.n_hosts; i++) {
        f.hosts[i].host.link_bps = bps;
        fleet_connect(&f, i);
    }
}

static void drain_of(int vms, int64_t mem_bytes, int64_t parallel)
{
    for (int i = 0; i < vms; i++) {
        cleanup(freep) char *name = xasprintf("web-%d", i + 1);
        fleet_add(&f, name, 0, mem_bytes);
    }
    run = fleet_request(&f, &(struct request){.verb = VERB_DRAIN,
                                              .parallel = parallel,
                                              .host = (char *)(uintptr_t) "h1"});
    fleet_run(&f, SEC);
}

/* Every copy that has begun says so, for some seconds. Returns how many there are then. */
static int flow(int seconds, int64_t remaining_bytes, int64_t rate_Bps)
{
    int n = 0;
    for (int s = 0; s < seconds; s++) {
        for (int i = 0; i < f.n_vms; i++)
            if (f.vms[i].copying_to >= 0)
                fleet_progress(&f, i, remaining_bytes, rate_Bps);
        fleet_run(&f, SEC);
    }
    for (int i = 0; i < f.n_vms; i++)
        n += f.vms[i].copying_to >= 0;
    return n;
}

static int copying(void)
{
    return flow(0, 0, 0);
}

/* What waits for its turn is not moving. */
static void what_waits_is_told_apart(void **state)
{
    (void)state;
    struct hosts_view h;
    struct vms_view v;
    int64_t moving_in = 0, queued_in = 0, queued = 0;
    link_speed(1000000000);
    drain_of(8, 4 * GIB, 3);
    assert_int_equal(copying(), 3);
    core_view_hosts(f.core, 0, &h);
    assert_int_equal(h.hosts[0].moving_out, 3);
    assert_int_equal(h.hosts[0].queued_out, 5);
    for (size_t i = 0; i < h.n_hosts; i++) {
        moving_in += h.hosts[i].moving_in;
        queued_in += h.hosts[i].queued_in;
    }
    assert_int_equal(moving_in, 3);
    assert_int_equal(queued_in, 5);
    shape_done(&hosts_view_shape, &h);
    core_view_vms(f.core, 0, &v);
    for (size_t i = 0; i < v.n_vms; i++) {
        assert_int_not_equal(v.vms[i].move, 0);
        queued += v.vms[i].queued;
    }
    assert_int_equal(queued, 5);
    shape_done(&vms_view_shape, &v);
}

static void two_fill_the_link(void **state)
{
    (void)state;
    link_speed(1000000000);
    drain_of(8, 4 * GIB, 0);
    assert_int_equal(copying(), 2);
    assert_int_equal(flow(10, 3 * GIB, 60000000), 2);
}

static void the_next_starts_before_it_runs_dry(void **state)
{
    (void)state;
    link_speed(1000000000);
    drain_of(8, 4 * GIB, 0);
    assert_int_equal(flow(1, GIB, 60000000), 2);
    /* 2 x 100 MB at 125 MB/s are gone in 1.6 s; only one starts: it brings 4 GiB along */
    assert_int_equal(flow(1, 100000000, 60000000), 3);
    assert_int_equal(copying(), 3);
}

static void slow_streams_get_company(void **state)
{
    (void)state;
    link_speed(INT64_C(10000000000));
    drain_of(16, 8 * GIB, 0);
    assert_int_equal(copying(), 2);
    assert_int_equal(flow(2, 6 * GIB, 300000000), 2); /* too young to judge */
    /* 0.3 of 1.25 GB/s each: three fill 72 % of the link, and that is enough */
    assert_int_equal(flow(30, 6 * GIB, 300000000), 3);
}

static void never_more_than_eight(void **state)
{
    (void)state;
    link_speed(INT64_C(100000000000));
    drain_of(16, 8 * GIB, 0);
    assert_int_equal(flow(60, 6 * GIB, 100000000), 8);
}

static void small_ones_go_in_a_crowd(void **state)
{
    (void)state;
    link_speed(INT64_C(10000000000));
    drain_of(16, 128 * MIB, 0);
    assert_int_equal(copying(), 8); /* all of them take less than one takes to start */
}

static void of_an_unknown_link_three(void **state)
{
    (void)state;
    link_speed(-1);
    drain_of(8, 4 * GIB, 0);
    assert_int_equal(copying(), 3);
    assert_int_equal(flow(10, 3 * GIB, 60000000), 3);
    assert_int_equal(flow(1, 20000000, 60000000), 4);
}

static void a_share_stays_a_share(void **state)
{
    (void)state;
    struct policy p;
    policy_default(&p);
    p.migration.link_share_ppm = 500000;
    struct core_effects fx = {0};
    core_step(f.core, &(struct core_event){.type = CEV_POLICY, .now_us = f.now_us, .policy = &p},
              &fx);
    core_effects_done(&fx);
    link_speed(INT64_C(100000000000));
    drain_of(16, 8 * GIB, 0);
    assert_int_equal(flow(60, 6 * GIB, 100000000), 3);
}

static void a_number_is_a_number(void **state)
{
    (void)state;
    link_speed(INT64_C(10000000000));
    drain_of(8, 128 * MIB, 1);
    assert_int_equal(copying(), 1);
    assert_int_equal(flow(10, 1000, 1000), 1);
}

/* The same rule gives planned moves their turn: what the forecast says at first is what happens. */
static void the_forecast_is_what_happens(void **state)
{
    (void)state;
    link_speed(INT64_C(10000000000));
    drain_of(16, 128 * MIB, 0);
    const struct run_forecast *said = &core_run(f.core, run)->forecast;
    assert_int_equal(said->peak, 8);
    assert_int_equal(copying(), said->peak);
    assert_in_range(said->bytes, 16 * 128 * MIB - 1000, 16 * 128 * MIB + 1000);
    assert_true(said->makespan_us >= said->bound_us && said->bound_us > 0);
    assert_int_equal(said->writers, 16);
    assert_int_equal(core_move(f.core, 1)->forecast.start_us, 0);
    assert_true(core_move(f.core, 16)->forecast.start_us > 0);
    assert_int_equal(core_move(f.core, 16)->forecast.pause_us, -1);
}

static void the_forecast_names_unknown_links(void **state)
{
    (void)state;
    link_speed(-1);
    drain_of(2, 4 * GIB, 0);
    const struct run_forecast *said = &core_run(f.core, run)->forecast;
    assert_int_equal(said->makespan_us, -1);
    assert_int_equal(said->peak, -1);
    assert_true(said->n_blind >= 2);
    assert_string_equal(said->blind[0], "h1");
    assert_int_equal(core_move(f.core, 1)->forecast.end_us, -1);
}

static void a_full_destination_is_left_alone(void **state)
{
    (void)state;
    link_speed(INT64_C(10000000000));
    f.hosts[1].host.link_bps = 1000000000;
    fleet_connect(&f, 1);
    for (int i = 0; i < 6; i++) {
        cleanup(freep) char *name = xasprintf("web-%d", i + 1);
        fleet_add(&f, name, 0, 4 * GIB);
    }
    char *to[] = {(char *)(uintptr_t) "h2"};
    fleet_request(&f,
                  &(struct request){
                      .verb = VERB_DRAIN, .host = (char *)(uintptr_t) "h1", .to = to, .n_to = 1});
    fleet_run(&f, SEC);
    assert_int_equal(flow(20, 3 * GIB, 60000000), 2); /* the source could send ten times as much */
}

static void a_start_that_takes_long_is_learnt(void **state)
{
    (void)state;
    link_speed(1000000000);
    drain_of(8, 4 * GIB, 0);
    fleet_run(&f, 15 * SEC); /* no byte for so long */
    assert_int_equal(copying(), 2);
    assert_int_equal(flow(1, GIB, 60000000), 2);
    /* 2 x 400 MB last for 6.4 s: less than the next one is expected to need now */
    assert_int_equal(flow(1, 400000000, 60000000), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_waits_is_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(two_fill_the_link, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_starts_before_it_runs_dry, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_streams_get_company, setup, teardown),
        cmocka_unit_test_setup_teardown(never_more_than_eight, setup, teardown),
        cmocka_unit_test_setup_teardown(small_ones_go_in_a_crowd, setup, teardown),
        cmocka_unit_test_setup_teardown(of_an_unknown_link_three, setup, teardown),
        cmocka_unit_test_setup_teardown(a_share_stays_a_share, setup, teardown),
        cmocka_unit_test_setup_teardown(a_number_is_a_number, setup, teardown),
        cmocka_unit_test_setup_teardown(the_forecast_is_what_happens, setup, teardown),
        cmocka_unit_test_setup_teardown(the_forecast_names_unknown_links, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_destination_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_start_that_takes_long_is_learnt, setup, teardown),
    };
    return cmocka_run_group_tests_name("admit", tests, NULL, NULL);
}
