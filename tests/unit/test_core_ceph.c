/* Balance runs wait while Ceph is not well; nobody else does, and nobody asks when nobody balances. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fakefleet.h"

static struct fleet f;
static char ok[] = "HEALTH_OK", warn[] = "HEALTH_WARN", err[] = "HEALTH_ERR",
            full[] = "1 full osd(s)",
            slow[] = "3 slow ops, oldest one blocked for 35 sec, osd.1 has slow ops",
            denied[] = "status: Permission denied", auth[] = "ceph_auth";

static struct ceph_told told;

static int setup(void **state)
{
    (void)state;
    told = (struct ceph_told){.ok = true, .status = ok};
    fleet_init(&f, 3, 16 * GIB);
    f.ceph = &told;
    for (int i = 0; i < 3; i++) { /* once more: now they tell */
        fleet_disconnect(&f, i);
        fleet_connect(&f, i);
    }
    for (int i = 0; i < 4; i++) {
        cleanup(freep) char *name = xasprintf("a%d", i + 1);
        fleet_add(&f, name, 0, 3 * GIB);
    }
    fleet_add(&f, "b", 1, 3 * GIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_done(&f);
    return 0;
}

static int64_t balance(void)
{
    return fleet_request(&f, &(struct request){.verb = VERB_BALANCE});
}

static void policy(int pause)
{
    struct policy p;
    policy_default(&p);
    p.balance.ceph_pause = pause;
    fleet_policy(&f, &p);
}

static int said(const char *what)
{
    int n = 0;
    for (const char *p = f.log; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

static int moved(void)
{
    int n = 0;
    for (int i = 0; i < f.n_vms; i++)
        n += f.vms[i].on != (i < 4 ? 0 : 1);
    return n;
}

/* Ten minutes of it, then the run goes on; both are said once, and shown meanwhile. */
static void waits(const char *why)
{
    int64_t run = balance();
    fleet_run(&f, 600 * SEC);
    const struct run *r = core_run(f.core, run);
    cleanup(freep) char *text = xasprintf("waits: %s", why);
    assert_int_equal(r->state, RUN_RUNNING);
    assert_string_equal(r->message, text);
    assert_true(run_waits(r));
    assert_int_equal(moved(), 0);
    assert_int_equal(said("run/1 waits: Ceph"), 1);
    assert_true(f.ceph_asked >= 19 && f.ceph_asked <= 22);
    told = (struct ceph_told){.ok = true, .status = ok};
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(said("run/1 goes on: Ceph is well enough again"), 1);
    assert_true(moved() > 0);
}

static void an_error_holds_it(void **state)
{
    (void)state;
    told = (struct ceph_told){.ok = true, .status = err, .cause = full};
    waits("Ceph is HEALTH_ERR: 1 full osd(s)");
}

static void slow_operations_hold_it(void **state)
{
    (void)state;
    told = (struct ceph_told){.ok = true, .status = warn, .cause = slow, .slow = slow};
    waits("Ceph is slow: 3 slow ops, oldest one blocked for 35 sec, osd.1 has slow ops");
}

static void recovery_holds_it_when_the_policy_says_so(void **state)
{
    (void)state;
    policy(CEPH_PAUSE_RECOVERY);
    told = (struct ceph_told){
        .ok = true, .status = warn, .moving_pgs = 1, .degraded = 340, .misplaced = 7};
    waits("Ceph moves or recovers data: 1 placement group, 340 objects degraded, 7 misplaced");
}

/* By default recovery is no reason, nor is a slow operation for `error`, nor anything for `never`. */
static void less_than_the_policy_says_holds_nothing(void **state)
{
    (void)state;
    struct ceph_told less[] = {{.ok = true, .status = warn, .moving_pgs = 9},
                               {.ok = true, .status = warn, .slow = slow},
                               {.ok = true, .status = err, .slow = slow, .moving_pgs = 9}};
    int pause[] = {CEPH_PAUSE_SLOW, CEPH_PAUSE_ERROR, CEPH_PAUSE_NEVER};
    for (int i = 0; i < 3; i++) {
        if (i) {
            teardown(state);
            setup(state);
        }
        policy(pause[i]);
        told = less[i];
        f.ceph_asked = 0;
        assert_int_equal(fleet_until_end(&f, balance(), 300 * SEC), RUN_DONE);
        assert_true(moved() > 0);
        assert_int_equal(said("waits"), 0);
        assert_int_equal(f.ceph_asked > 0, pause[i] != CEPH_PAUSE_NEVER);
    }
}

/* What it waits for is asked anew; that it waited is known, so it is not said again. */
static void over_a_restart(void **state)
{
    (void)state;
    told = (struct ceph_told){.ok = true, .status = err, .cause = full};
    int64_t run = balance();
    fleet_run(&f, 60 * SEC);
    fleet_restart_core(&f);
    fleet_run(&f, 300 * SEC);
    assert_int_equal(moved(), 0);
    assert_true(run_waits(core_run(f.core, run)));
    assert_int_equal(said("run/1 waits"), 1);
    told = (struct ceph_told){.ok = true, .status = ok};
    fleet_run(&f, 31 * SEC);
    assert_false(run_waits(core_run(f.core, run)));
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(said("run/1 goes on: Ceph is well enough again"), 1);
}

static void another_policy_lets_it_go_on(void **state)
{
    (void)state;
    told = (struct ceph_told){.ok = true, .status = err, .cause = full};
    int64_t run = balance();
    fleet_run(&f, 60 * SEC);
    assert_int_equal(moved(), 0);
    policy(CEPH_PAUSE_NEVER);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(said("goes on: the policy"), 1);
}

/* A move that has begun ends; the next one waits. */
static void it_stops_between_two_moves(void **state)
{
    (void)state;
    f.copy_us = 45 * SEC;
    int64_t run =
        fleet_request(&f, &(struct request){.verb = VERB_BALANCE, .parallel = 1, .max_moves = 2});
    fleet_run(&f, 5 * SEC);
    told = (struct ceph_told){.ok = true, .status = err, .cause = full};
    fleet_run(&f, 300 * SEC);
    assert_int_equal(moved(), 1);
    assert_int_equal(core_run(f.core, run)->state, RUN_RUNNING);
}

static void a_drain_does_not_wait(void **state)
{
    (void)state;
    told = (struct ceph_told){.ok = true, .status = err, .cause = full};
    int64_t drain = fleet_drain(&f, "h2", NULL);
    assert_int_equal(fleet_until_end(&f, drain, 300 * SEC), RUN_DONE);
    assert_int_equal(f.ceph_asked, 0); /* and nobody asked */
}

/* A look each minute: what it waits for is shown as it is now, and is journalled once. */
static void a_look_waits_and_says_so_once(void **state)
{
    (void)state;
    struct policy p;
    struct err e = {0};
    char texts[2][40];
    struct look_view x;
    const struct policy_file file = {
        .name = (char *)(uintptr_t) "a.yaml",
        .text =
            (char *)(uintptr_t) "version: 1\nbalance: {schedule: \"* * * * *\", sustained: 1}\n"};
    assert_int_equal(policy_load_texts(&file, 1, &p, &e), 0);
    fleet_policy(&f, &p);
    for (int i = 0; i < 6; i++) {
        snprintf(texts[i % 2], sizeof(texts[0]), "3 slow ops, blocked for %d sec", 60 * i);
        told = (struct ceph_told){.ok = true, .status = warn, .slow = texts[i % 2]};
        fleet_run(&f, 60 * SEC);
    }
    core_view_look(f.core, f.now_us, &x);
    assert_true(x.held);
    assert_string_equal(x.said, "waits: Ceph is slow: 3 slow ops, blocked for 300 sec");
    assert_int_equal(said("scheduled balance: waits: Ceph is slow"), 1);
    assert_int_equal(said("run/1"), 0);
    told = (struct ceph_told){.ok = true, .status = ok};
    fleet_run(&f, 120 * SEC);
    core_view_look(f.core, f.now_us, &x);
    assert_false(x.held);
    assert_int_equal(x.waits, 1); /* its plan, for an operator */
    told = (struct ceph_told){.ok = true, .status = err, .cause = full};
    fleet_run(&f, 120 * SEC);
    assert_int_equal(said("scheduled balance: waits: Ceph is HEALTH_ERR"), 1);
    told = (struct ceph_told){.ok = true, .status = ok};
    fleet_run(&f, 120 * SEC); /* the plan waits as before: nothing to say, and nothing is held */
    core_view_look(f.core, f.now_us, &x);
    assert_false(x.held);
    assert_null(x.said);
    policy(CEPH_PAUSE_SLOW); /* no schedule any more */
    fleet_run(&f, SEC);
    core_view_look(f.core, f.now_us, &x);
    assert_null(x.said);
}

static void what_is_not_known_holds_nothing_and_is_said_once(void **state)
{
    (void)state;
    told = (struct ceph_told){.ok = false, .code = auth, .error = denied};
    f.copy_us = 120 * SEC;
    int64_t run = balance();
    assert_int_equal(fleet_until_end(&f, run, 600 * SEC), RUN_DONE);
    assert_true(moved() > 0);
    assert_int_equal(said("how well Ceph is could not be read"), 1);
    assert_int_equal(said("status: Permission denied"), 1);
    assert_true(f.ceph_asked >= 3);
}

/* The last word holds for two minutes of silence, not for ever. */
static void an_old_word_is_none(void **state)
{
    (void)state;
    told = (struct ceph_told){.ok = true, .status = err, .cause = full};
    int64_t run = balance();
    fleet_run(&f, 10 * SEC);
    told = (struct ceph_told){.ok = false, .code = auth, .error = denied};
    fleet_run(&f, 60 * SEC);
    assert_int_equal(moved(), 0);
    assert_int_equal(said("could not be read"), 0);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(said("run/1 goes on: how well Ceph is cannot be read any more"), 1);
    assert_true(moved() > 0);
}

static void agents_that_do_not_tell_are_not_asked(void **state)
{
    (void)state;
    f.ceph = NULL;
    for (int i = 0; i < 3; i++) {
        fleet_disconnect(&f, i);
        fleet_connect(&f, i);
    }
    assert_int_equal(fleet_until_end(&f, balance(), 300 * SEC), RUN_DONE);
    assert_true(moved() > 0);
    assert_int_equal(f.ceph_asked, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_error_holds_it),
        T(slow_operations_hold_it),
        T(recovery_holds_it_when_the_policy_says_so),
        T(less_than_the_policy_says_holds_nothing),
        T(over_a_restart),
        T(another_policy_lets_it_go_on),
        T(it_stops_between_two_moves),
        T(a_drain_does_not_wait),
        T(a_look_waits_and_says_so_once),
        T(what_is_not_known_holds_nothing_and_is_said_once),
        T(an_old_word_is_none),
        T(agents_that_do_not_tell_are_not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
