/* Drains for which VMs of other hosts make room: moves that wait for each other, and what becomes of them
 * when one fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fakefleet.h"

static struct fleet f;
enum { BIG, X, Y, Z };

/* Each host holds 12 GiB of VMs. big has 8 GiB: h2 has 5.5 free, h3 has 4. When x, the smaller one, has
 * left h2 for h3, big has its room there. */
static int setup(void **state)
{
    (void)state;
    fleet_init(&f, 3, 16 * GIB);
    fleet_add(&f, "big", 0, 8 * GIB);
    fleet_add(&f, "x", 1, 3 * GIB);
    fleet_add(&f, "y", 1, 3 * GIB + GIB / 2);
    fleet_add(&f, "z", 2, 8 * GIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_done(&f);
    return 0;
}

static void log_has(const char *text)
{
    if (!f.log || !strstr(f.log, text))
        fail_msg("no '%s' in the journal:\n%s", text, f.log ? f.log : "(empty)");
}

static void use_reserve(int64_t bytes)
{
    struct policy p;
    struct core_effects fx = {0};
    policy_default(&p);
    p.capacity.mem_reserve_bytes = bytes;
    core_step(f.core, &(struct core_event){.type = CEV_POLICY, .now_us = f.now_us, .policy = &p},
              &fx);
    core_effects_done(&fx);
}

static int64_t drain(const char *on_blocked)
{
    use_reserve(4 * GIB);
    return fleet_request(&f, &(struct request){.verb = VERB_DRAIN,
                                               .host = (char *)(uintptr_t) "h1",
                                               .on_blocked = (char *)(uintptr_t)on_blocked,
                                               .make_room = true});
}

static const struct move *move_of(int64_t run, const char *vm)
{
    const struct move *found = NULL;
    for (int64_t id = 1; id < 20; id++) {
        const struct move *m = core_move(f.core, id);
        if (m && m->run == run && str_eq(m->vm_name, vm))
            found = m;
    }
    return found;
}

static void without_a_word_nobody_else_moves(void **state)
{
    (void)state;
    use_reserve(4 * GIB);
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_REFUSED);
    assert_int_equal(core_run(f.core, run)->room_moves, 1);
    assert_int_equal(f.vms[BIG].on, 0);
}

static void one_waits_for_the_other(void **state)
{
    (void)state;
    int64_t run = drain(NULL);
    f.copy_us = 20 * SEC;
    fleet_run(&f, 10 * SEC);
    const struct move *big = move_of(run, "big");
    assert_non_null(big);
    assert_int_equal(big->state, JOB_QUEUED);
    assert_int_equal(big->n_after, 1);
    assert_string_equal(big->note, "waits for vm/x");
    assert_int_equal(f.vms[BIG].copying_to, -1);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(f.vms[BIG].on, 1);
    assert_int_equal(f.vms[X].on, 2);
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->vms, 1);
    assert_int_equal(r->moved, 1);
    assert_int_equal(r->aside, 1);
    log_has("1 of 1 VMs moved, 0 stopped; 1 move of others made room");
}

static void restart_keeps_the_waits(void **state)
{
    (void)state;
    for (int64_t after = 0; after < 60 * SEC; after += 3 * SEC) {
        int64_t run = drain(NULL);
        f.copy_us = 15 * SEC;
        fleet_run(&f, after);
        fleet_restart_core(&f);
        use_reserve(4 * GIB);
        for (int i = 0; i < 400 && !run_ended(core_run(f.core, run)->state); i++) {
            fleet_run(&f, SEC);
            bool both = f.vms[BIG].copying_to == 1 && (f.vms[X].on == 1) + (f.vms[Y].on == 1) == 2;
            assert_false(both);
        }
        assert_int_equal(core_run(f.core, run)->state, RUN_DONE);
        assert_int_equal(f.vms[BIG].on, 1);
        teardown(NULL);
        setup(NULL);
    }
}

/* x cannot leave; y can, so big is planned anew, behind y. */
static void a_failed_one_is_replaced(void **state)
{
    (void)state;
    f.vms[X].fail_live = true;
    int64_t run = drain(NULL);
    assert_int_equal(fleet_until_end(&f, run, 900 * SEC), RUN_DONE);
    assert_int_equal(f.vms[X].on, 1);
    assert_int_equal(f.vms[Y].on, 2);
    assert_int_equal(f.vms[BIG].on, 1);
    assert_int_equal(core_run(f.core, run)->vms, 1);
    assert_int_equal(core_run(f.core, run)->blocked, 0);
    log_has("vm/big: it waited for vm/");
    log_has("it is planned anew");
}

/* Nobody can make room: the drain ends, and says who is stuck and why. */
static void when_nobody_can_it_is_said(void **state)
{
    (void)state;
    int64_t run = drain(NULL);
    f.vms[X].fail_live = f.vms[Y].fail_live = true;
    assert_int_equal(fleet_until_end(&f, run, 1800 * SEC), RUN_PARTLY);
    const struct run *r = core_run(f.core, run);
    assert_int_equal(f.vms[BIG].on, 0);
    assert_int_equal(r->vms, 1);
    assert_int_equal(r->blocked, 1);
    assert_int_equal(r->n_stays, 1);
    assert_string_equal(r->stays[0].name, "big");
    assert_true(r->stays[0].n_reasons > 0);
    assert_int_equal(core_host_rec(f.core, "h1")->state, HOST_CORDONED);
}

static void cancel_takes_all_back(void **state)
{
    (void)state;
    int64_t run = drain(NULL);
    f.copy_us = 60 * SEC;
    fleet_run(&f, 10 * SEC);
    fleet_request(&f, &(struct request){.verb = VERB_CANCEL, .run = run});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_CANCELLED);
    assert_int_equal(f.vms[BIG].on, 0);
    assert_int_equal(core_host_rec(f.core, "h1")->state, HOST_UP);
}

/* What another run takes meanwhile is not there: the VM finds another place, or is named. */
static void a_drain_always_ends(void **state)
{
    (void)state;
    int64_t run = drain("leave");
    f.copy_us = 30 * SEC;
    fleet_run(&f, 10 * SEC);
    fleet_add(&f, "late", 1, 4 * GIB);
    fleet_report(&f, 1);
    int end = fleet_until_end(&f, run, 1800 * SEC);
    assert_int_equal(end, RUN_PARTLY);
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->n_stays, 1);
    assert_string_equal(r->stays[0].name, "big");
}

static void home_again_brings_only_its_own(void **state)
{
    (void)state;
    int64_t run = drain(NULL);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    run = fleet_request(&f, &(struct request){.verb = VERB_RESUME,
                                              .host = (char *)(uintptr_t) "h1",
                                              .bring_home = true});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(f.vms[BIG].on, 0);
    assert_int_equal(f.vms[X].on, 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(without_a_word_nobody_else_moves),
        T(one_waits_for_the_other),
        T(restart_keeps_the_waits),
        T(a_failed_one_is_replaced),
        T(when_nobody_can_it_is_said),
        T(cancel_takes_all_back),
        T(a_drain_always_ends),
        T(home_again_brings_only_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
