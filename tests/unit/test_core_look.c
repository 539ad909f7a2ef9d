/* What the core says of scheduled balance, and of VMs that another hand moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fakefleet.h"

static struct fleet f;

static int setup(void **state)
{
    (void)state;
    fleet_init(&f, 3, 16 * GIB);
    fleet_add(&f, "web", 0, 3 * GIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_done(&f);
    return 0;
}

static void policy(const char *text)
{
    struct policy p;
    struct err e = {0};
    struct core_effects fx = {0};
    const struct policy_file file = {.name = (char *)(uintptr_t) "a.yaml",
                                     .text = (char *)(uintptr_t)text};
    if (policy_load_texts(&file, 1, &p, &e) < 0)
        fail_msg("%s", e.msg);
    core_step(f.core, &(struct core_event){.type = CEV_POLICY, .now_us = f.now_us, .policy = &p},
              &fx);
    core_effects_done(&fx);
}

static void the_next_look_and_the_window(void **state)
{
    (void)state;
    const int64_t midnight = INT64_C(1767225600) * SEC, hour = INT64_C(3600) * SEC; /* a Thursday */
    struct look_view x;
    core_view_look(f.core, midnight, &x);
    assert_null(x.schedule);
    assert_int_equal(x.next_wall_us, 0);
    assert_true(x.open);
    assert_int_equal(x.change_wall_us, 0);
    policy("version: 1\nbalance: {schedule: \"*/10 * * * *\", window: \"Mon-Fri 20:00-06:00 UTC\"}\n");
    core_view_look(f.core, midnight + SEC, &x);
    assert_string_equal(x.schedule, "*/10 * * * *");
    assert_int_equal(x.next_wall_us, midnight + 600 * SEC);
    assert_true(x.open);
    assert_int_equal(x.change_wall_us, midnight + 6 * hour);
    core_view_look(f.core, midnight + 7 * hour, &x);
    assert_false(x.open);
    assert_int_equal(x.change_wall_us, midnight + 20 * hour);
    assert_int_equal(x.waits, 0);
}

static void reply_is(int http, const char *code, const char *part)
{
    assert_int_equal(f.reply.http, http);
    assert_string_equal(f.reply.code, code);
    if (!strstr(f.reply.message, part))
        fail_msg("'%s' lacks '%s'", f.reply.message, part);
}

static void suspended_until_it_is_resumed(void **state)
{
    (void)state;
    struct request off = {.verb = VERB_SUSPEND_BALANCE, .actor = (char *)(uintptr_t) "ann"},
                   on = {.verb = VERB_RESUME_BALANCE, .actor = (char *)(uintptr_t) "bo"};
    fleet_request(&f, &on);
    reply_is(200, "already", "not suspended; nothing was changed");
    fleet_request(&f, &off);
    reply_is(400, "no_reason", "no reason was given");
    assert_false(core_suspension(f.core)->on);
    off.reason = (char *)(uintptr_t) "new disks";
    fleet_request(&f, &off);
    reply_is(200, "suspended", "suspended by ann: new disks; drover balance works as before");
    fleet_restart_core(&f);
    fleet_run(&f, 20 * SEC);
    assert_true(core_suspension(f.core)->on);
    assert_string_equal(core_suspension(f.core)->actor, "ann");
    assert_string_equal(core_suspension(f.core)->reason, "new disks");
    assert_int_equal(core_suspension(f.core)->until_wall_us, 0);
    fleet_run(&f, INT64_C(24) * 3600 * SEC);
    assert_true(core_suspension(f.core)->on);
    fleet_request(&f, &on);
    reply_is(200, "resumed", "scheduled balance goes on");
    assert_false(core_suspension(f.core)->on);
    assert_null(core_suspension(f.core)->reason);
}

static void suspended_until_its_time(void **state)
{
    (void)state;
    struct request off = {.verb = VERB_SUSPEND_BALANCE,
                          .actor = (char *)(uintptr_t) "ann",
                          .reason = (char *)(uintptr_t) "new disks",
                          .deadline_us = 600 * SEC};
    fleet_request(&f, &off);
    reply_is(200, "suspended", "suspended by ann until ");
    off.deadline_us = 1200 * SEC; /* said again: the last word holds */
    fleet_request(&f, &off);
    fleet_run(&f, 1100 * SEC);
    assert_true(core_suspension(f.core)->on);
    fleet_run(&f, 110 * SEC);
    assert_false(core_suspension(f.core)->on);
}

static void drained_and_moved_back(void)
{
    struct request up = {.verb = VERB_RESUME, .host = f.hosts[0].host.name};
    int64_t run = fleet_drain(&f, f.hosts[0].host.name, "leave");
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    int was = f.vms[0].on;
    assert_int_not_equal(was, 0);
    fleet_request(&f, &up);
    fleet_run(&f, 120 * SEC);
    f.vms[0].on = 0;
    fleet_report(&f, was);
    fleet_report(&f, 0);
    fleet_run(&f, 5 * SEC);
}

static void who_is_moved_back_twice_is_named(void **state)
{
    (void)state;
    size_t n;
    drained_and_moved_back();
    free(core_contested(f.core, &n));
    assert_int_equal(n, 0);
    drained_and_moved_back();
    for (int again = 0; again < 2; again++) {
        cleanup(freep) struct contested *list = core_contested(f.core, &n);
        assert_int_equal(n, 1);
        assert_string_equal(list[0].vm, "web");
        assert_string_equal(list[0].host, f.hosts[0].host.name);
        assert_true(list[0].until_wall_us > 0);
        fleet_restart_core(&f);
        fleet_run(&f, 20 * SEC);
    }
    fleet_run(&f, INT64_C(24) * 3600 * SEC);
    free(core_contested(f.core, &n));
    assert_int_equal(n, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_next_look_and_the_window),
        T(suspended_until_it_is_resumed),
        T(suspended_until_its_time),
        T(who_is_moved_back_twice_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
