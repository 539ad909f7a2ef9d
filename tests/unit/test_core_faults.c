/* Drains while agents, hosts, libvirt, Ceph and the scheduler fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/drainfix.h"

static void bad_target_is_avoided(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        f.vms[i].bad_on = 1;
        f.vms[i].bad_on_code = "cpu_model";
    }
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(on_host(1), 0);
}

static void error_that_had_moved_the_vm(void **state)
{
    (void)state;
    f.vms[0].lie_next = true;
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(on_host(0), 0);
    log_has("both hosts and Ceph are read");
}

static void failed_move_is_tried_again(void **state)
{
    (void)state;
    f.vms[0].fail_next = true;
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(on_host(0), 0);
    log_has("will be tried again");
}

/* libvirt's job of the failed try is still in the inventory when the next target is looked for. */
static void failed_move_waits_for_libvirts_job(void **state)
{
    (void)state;
    f.vms[0].fail_next = true;
    f.vms[0].vm.job = VM_JOB_MIGRATING_OUT;
    int64_t run = fleet_drain(&f, "h1", NULL);
    for (int i = 0; i < 40; i++) {
        fleet_run(&f, 250 * MSEC);
        if (i > 1)
            fleet_report(&f, 0);
    }
    f.vms[0].vm.job = VM_JOB_NONE;
    fleet_report(&f, 0);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(on_host(0), 0);
    log_has("will be tried again");
}

static void agent_dies_mid_copy(void **state)
{
    (void)state;
    f.vms[0].mute_next = true;
    int64_t run = fleet_drain(&f, "h1", NULL);
    fleet_run(&f, 3 * SEC);
    fleet_disconnect(&f, 0);
    fleet_run(&f, 20 * SEC);
    assert_false(run_ended(core_run(f.core, run)->state));
    fleet_connect(&f, 0);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(on_host(0), 0);
}

/* The host is gone for good, and nothing of its VMs is at their destinations: after 90 s that is said, and
 * nothing is started elsewhere. */
static void source_dies_mid_copy(void **state)
{
    (void)state;
    int64_t run = fleet_drain(&f, "h1", NULL);
    fleet_run(&f, 3 * SEC);
    int moving = 0, begun = -1;
    for (int i = 0; i < f.n_vms; i++)
        if (f.vms[i].copying_to >= 0) {
            begun = i;
            moving++;
            f.vms[i].copying_to = -1; /* the half-received copy is dropped there */
        }
    assert_true(moving > 0);
    fleet_disconnect(&f, 0);
    fleet_run(&f, 80 * SEC);
    assert_null(strstr(f.log, "it is where its host is"));
    assert_int_equal(core_run(f.core, run)->moving, moving); /* still in doubt, still reserved */
    fleet_run(&f, 30 * SEC);
    log_has("the agent is silent on h1; nothing of the VM is on ");
    log_has("it is where its host is");
    assert_int_equal(core_run(f.core, run)->moving, 0);
    assert_int_equal(on_host(0), f.n_vms);
    struct explain_view v;
    struct err e;
    assert_int_equal(core_view_explain(f.core, f.vms[begun].vm.name, f.now_us, &v, &e), 0);
    assert_string_equal(v.vm.host, "h1");
    assert_true(v.vm.unreachable);
    shape_done(&explain_view_shape, &v);
}

/* Its agent is there and says so: no try is made anew, and the way out is libvirt's. */
static void source_libvirt_dies_mid_copy(void **state)
{
    (void)state;
    int64_t run = fleet_request(&f, &(struct request){.verb = VERB_DRAIN,
                                                      .host = (char *)(uintptr_t) "h1",
                                                      .on_blocked = (char *)(uintptr_t) "leave",
                                                      .parallel = 6});
    while (core_run(f.core, run)->moving < 6)
        fleet_run(&f, SEC);
    for (int i = 0; i < f.n_vms; i++) {
        f.vms[i].copying_to = -1;
        f.vms[i].job = 0;
    }
    f.hosts[0].libvirt_down = true;
    fleet_disconnect(&f, 0); /* its commands' answers are lost */
    fleet_connect(&f, 0);
    fleet_run(&f, 110 * SEC);
    log_has("libvirt does not answer on h1; nothing of the VM is on ");
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->state, RUN_RUNNING); /* an empty host is proven or not claimed */
    assert_int_equal(r->blocked, 6);
    log_has("stays on h1: libvirt does not answer on h1");
    assert_non_null(strstr(r->message, "waiting for h1, to prove that no VM is left"));
    f.hosts[0].libvirt_down = false;
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PARTLY);
    assert_int_equal(r->stays[0].reasons[0].code, R_LIBVIRT_DOWN);
    assert_string_equal(r->stays[0].reasons[0].cure,
                        "start it on h1: systemctl start libvirtd; then drain again");
}

static void guest_dies_mid_copy(void **state)
{
    (void)state;
    int64_t run = fleet_drain(&f, "h1", NULL);
    fleet_run(&f, 3 * SEC);
    struct fleet_vm *dead = NULL;
    for (int i = 0; i < f.n_vms && !dead; i++)
        if (f.vms[i].copying_to >= 0)
            dead = &f.vms[i];
    assert_non_null(dead);
    dead->copying_to = dead->on = -1;
    fleet_disconnect(&f, 0); /* so that the doubt arises */
    fleet_connect(&f, 0);
    fleet_until_end(&f, run, 300 * SEC);
    log_has("the VM runs on neither host");
    assert_int_equal(dead->on, -1); /* it was told, not started */
    for (int i = 0; i < f.n_vms; i++)
        assert_true(&f.vms[i] == dead || f.vms[i].on > 0);
}

static void scheduler_restarts_at_any_time(void **state)
{
    for (int at = 0; at < 60; at++) {
        int64_t run = fleet_drain(&f, "h1", NULL);
        fleet_run(&f, at * 500 * MSEC);
        fleet_restart_core(&f);
        assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
        assert_int_equal(on_host(0), 0);
        teardown(state);
        setup(state);
    }
}

static void copy_that_never_ends_is_given_up(void **state)
{
    (void)state;
    struct policy p;
    policy_default(&p);
    p.migration.timeout_us_per_gib = 5 * SEC;
    p.migration.retries = 1;
    use_policy(&p);
    f.copy_us = 1000 * SEC;
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_PARTLY);
    assert_int_equal(on_host(0), 6);
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->n_stays, 6);
    assert_int_equal(r->stays[0].n_reasons, 2); /* both tries */
    assert_int_equal(r->stays[0].reasons[0].code, R_MIGRATE_FAILED);
    assert_non_null(strstr(r->stays[0].reasons[0].have, "did not converge"));
}

static int being_copied(void)
{
    int n = 0;
    for (int i = 0; i < f.n_vms; i++)
        n += f.vms[i].copying_to >= 0;
    return n;
}

/* What was still being copied when the scheduler went counts against the number of moves at once. */
static void one_at_once_over_a_restart(void)
{
    int64_t run = fleet_request(
        &f, &(struct request){.verb = VERB_DRAIN, .parallel = 1, .host = (char *)(uintptr_t) "h1"});
    while (!being_copied())
        fleet_run(&f, 250 * MSEC);
    fleet_restart_core(&f);
    while (!run_ended(core_run(f.core, run)->state)) {
        fleet_run(&f, 250 * MSEC);
        assert_true(being_copied() <= 1);
    }
    assert_int_equal(core_run(f.core, run)->state, RUN_DONE);
}

static void restart_keeps_the_number_at_once(void **state)
{
    (void)state;
    one_at_once_over_a_restart();
}

/* So does what the agent was told to copy, and has not brought to libvirt yet. */
static void restart_counts_what_is_ordered(void **state)
{
    (void)state;
    f.order_us = 4 * SEC;
    one_at_once_over_a_restart();
}

static void ceph_silence_stops_new_moves_and_claims_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        f.hosts[i].ceph_hangs = true;
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 120 * SEC), RUN_REFUSED);
    assert_int_equal(core_run(f.core, run)->stays[0].reasons[0].code, R_CEPH_TIMEOUT);
    assert_int_equal(on_host(0), 6);
}

static void ceph_silent_mid_run_holds_the_proof_back(void **state)
{
    (void)state;
    int64_t run = fleet_drain(&f, "h1", NULL);
    fleet_run(&f, 3 * SEC);
    for (int i = 0; i < 4; i++)
        f.hosts[i].ceph_hangs = true;
    fleet_run(&f, 20 * SEC);
    assert_int_equal(core_run(f.core, run)->moved, 0); /* moved, but not proven: not claimed */
    for (int i = 0; i < 4; i++)
        f.hosts[i].ceph_hangs = false;
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
}

/* Between the source's "gone" and the destination's "here" a VM of ours is not lost from view, and
 * its arrival is not taken for somebody else's doing. */
static void own_moves_leave_no_gap(void **state)
{
    (void)state;
    f.late_news = true;
    int64_t run = fleet_drain(&f, "h1", NULL);
    while (!run_ended(core_run(f.core, run)->state)) {
        struct vms_view v;
        fleet_run(&f, 250 * MSEC);
        core_view_vms(f.core, 0, &v);
        assert_int_equal(v.n_vms, 6);
        shape_done(&vms_view_shape, &v);
    }
    assert_int_equal(core_run(f.core, run)->state, RUN_DONE);
    for (int i = 0; i < 4; i++)
        fleet_report(&f, i);
    assert_null(strstr(strstr(f.log, "asked for"), "not by Drover"));
}

static void vm_that_leaves_by_itself_is_told(void **state)
{
    (void)state;
    int64_t run = fleet_request(
        &f, &(struct request){.verb = VERB_DRAIN, .parallel = 1, .host = (char *)(uintptr_t) "h1"});
    fleet_run(&f, 2 * SEC);
    int last = -1;
    for (int64_t id = 1; core_move(f.core, id); id++)
        for (int i = 0; i < f.n_vms; i++)
            if (core_move(f.core, id)->state == JOB_QUEUED &&
                str_eq(core_move(f.core, id)->vm, f.vms[i].vm.uuid))
                last = i;
    assert_true(last >= 0);
    f.vms[last].on = 3;
    fleet_report(&f, 0);
    fleet_report(&f, 3);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(core_run(f.core, run)->moved, 5);
    assert_int_equal(core_run(f.core, run)->vms, 5);
    log_has("it left h1, not by Drover; it is on h4");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(bad_target_is_avoided),
        T(error_that_had_moved_the_vm),
        T(failed_move_is_tried_again),
        T(failed_move_waits_for_libvirts_job),
        T(agent_dies_mid_copy),
        T(source_dies_mid_copy),
        T(source_libvirt_dies_mid_copy),
        T(guest_dies_mid_copy),
        T(scheduler_restarts_at_any_time),
        T(own_moves_leave_no_gap),
        T(vm_that_leaves_by_itself_is_told),
        T(copy_that_never_ends_is_given_up),
        T(restart_keeps_the_number_at_once),
        T(restart_counts_what_is_ordered),
        T(ceph_silence_stops_new_moves_and_claims_nothing),
        T(ceph_silent_mid_run_holds_the_proof_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
