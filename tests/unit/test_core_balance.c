/* Balance runs of the core: what they record, what they refuse, what they leave alone. */
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

static int64_t balance(struct request req)
{
    req.verb = VERB_BALANCE;
    return fleet_request(&f, &req);
}

static int moved(void)
{
    int n = 0;
    for (int i = 0; i < 4; i++)
        n += f.vms[i].on != 0;
    return n;
}

static void a_run_says_what_it_gained(void **state)
{
    (void)state;
    int64_t run = balance((struct request){0});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->kind, RUN_BALANCE);
    assert_int_equal(r->moved, r->vms);
    assert_int_equal(r->moved, moved());
    assert_true(r->moved >= 1 && r->moved <= 2);
    assert_true(r->after.deviation_ppm < r->before.deviation_ppm);
    assert_int_equal(r->n_hosts, 0);
    const struct move *m = core_move(f.core, 1);
    assert_true(m->gain.judged && m->gain.measured_known);
    assert_true(m->gain.after.deviation_ppm < m->gain.before.deviation_ppm);
    for (int i = 0; i < f.n_hosts; i++)
        assert_int_equal(core_host_rec(f.core, f.hosts[i].host.name)->state, HOST_UP);
    run = balance((struct request){0});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(core_run(f.core, run)->vms, 0);
}

static void a_dry_run_moves_nothing(void **state)
{
    (void)state;
    int64_t run = balance((struct request){.dry_run = true, .max_moves = 1});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_PLANNED);
    assert_int_equal(core_run(f.core, run)->vms, 1);
    assert_int_equal(moved(), 0);
}

/* Who could not be asked, and why, is counted; of a move, which hosts were no choice. */
static void who_was_no_choice_is_kept(void **state)
{
    (void)state;
    f.vms[4].vm.job = VM_JOB_OTHER;
    fleet_report(&f, 1);
    f.vms[0].check_code = "image_watched";
    int64_t run = balance((struct request){0});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    const struct run *r = core_run(f.core, run);
    bool busy = false, watched = false;
    for (size_t i = 0; i < r->n_refused; i++) {
        busy = busy || (str_eq(r->refused[i].code, "vm_busy") && r->refused[i].n == 1);
        watched = watched || (str_eq(r->refused[i].code, "image_watched") &&
                              str_eq(r->refused[i].some[0], "a1"));
    }
    assert_true(busy && watched);
    assert_int_equal(f.vms[0].on, 0);
}

static void a_failed_move_is_left(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        f.vms[i].fail_live = true;
    int64_t run = balance((struct request){0});
    assert_int_equal(fleet_until_end(&f, run, 600 * SEC), RUN_PARTLY);
    assert_int_equal(moved(), 0);
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->dropped, r->vms);
    assert_int_equal(core_move(f.core, 1)->attempt, 1);
}

static void a_drain_goes_first(void **state)
{
    (void)state;
    f.copy_us = 20 * SEC;
    int64_t run = balance((struct request){.parallel = 1});
    fleet_run(&f, 5 * SEC);
    int64_t drain = fleet_drain(&f, "h1", NULL);
    fleet_run(&f, SEC);
    assert_int_equal(balance((struct request){0}), drain); /* refused: that one is at work */
    assert_string_equal(f.reply.code, "busy");
    assert_int_equal(fleet_until_end(&f, drain, 600 * SEC), RUN_DONE);
    assert_true(run_ended(core_run(f.core, run)->state));
    assert_int_equal(moved(), 4);
}

static bool refused(const struct run *r, const char *code)
{
    bool any = false;
    for (size_t i = 0; i < r->n_refused; i++)
        any = any || str_eq(r->refused[i].code, code);
    return any;
}

/* Its last move is a short while ago, also for a core that has just been started; then it is not. */
static void who_moved_is_left_alone(void **state)
{
    (void)state;
    struct policy p;
    struct core_effects fx = {0};
    policy_default(&p);
    p.balance.cooldown_us = 3600 * SEC;
    core_step(f.core, &(struct core_event){.type = CEV_POLICY, .now_us = f.now_us, .policy = &p},
              &fx);
    core_effects_done(&fx);
    int64_t run = balance((struct request){0});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    fleet_restart_core(&f);
    fleet_run(&f, 20 * SEC);
    run = balance((struct request){.dry_run = true});
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PLANNED);
    assert_true(refused(core_run(f.core, run), "cooldown"));
    fleet_run(&f, 3600 * SEC);
    run = balance((struct request){.dry_run = true});
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PLANNED);
    assert_false(refused(core_run(f.core, run), "cooldown"));
}

static void policy_without_cooldown(int64_t pause_us)
{
    struct policy p;
    struct core_effects fx = {0};
    policy_default(&p);
    p.balance.cooldown_us = 0;
    p.budget.pause_per_vm_per_day_us = pause_us;
    core_step(f.core, &(struct core_event){.type = CEV_POLICY, .now_us = f.now_us, .policy = &p},
              &fx);
    core_effects_done(&fx);
}

static int64_t planned_moves(void)
{
    int64_t run = balance((struct request){.dry_run = true});
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PLANNED);
    return core_run(f.core, run)->vms;
}

/* Nobody but VMs that left h1 could come there; also asked of a core that has just been started. */
static void back_after(bool drained)
{
    policy_without_cooldown(0);
    struct request drain = {.verb = VERB_DRAIN, .host = f.hosts[0].host.name};
    int64_t run = drained ? fleet_request(&f, &drain) : balance((struct request){0});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_not_equal(moved(), 0);
    drain.verb = VERB_RESUME;
    fleet_request(&f, &drain);
    for (int i = 0; i < f.n_vms; i++)
        if (f.vms[i].on == 0)
            f.vms[i].vm.state = VM_SHUTOFF;
    f.vms[4].vm.job = VM_JOB_OTHER;
    fleet_report(&f, 0);
    fleet_report(&f, 1);
    assert_int_equal(planned_moves() > 0, drained);
    fleet_restart_core(&f);
    policy_without_cooldown(0);
    fleet_run(&f, 20 * SEC);
    assert_int_equal(planned_moves() > 0, drained);
    fleet_run(&f, INT64_C(24) * 3600 * SEC);
    assert_true(planned_moves() > 0);
}

static void no_vm_goes_back_within_a_day(void **state)
{
    (void)state;
    back_after(false);
}

static void what_a_drain_took_away_may_come_back(void **state)
{
    (void)state;
    back_after(true);
}

static void the_budget_of_pauses_holds(void **state)
{
    (void)state;
    policy_without_cooldown(MSEC);
    int64_t run = balance((struct request){0});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    run = balance((struct request){.dry_run = true});
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PLANNED);
    assert_true(refused(core_run(f.core, run), "budget"));
}

static void only_a_waiting_plan_is_applied(void **state)
{
    (void)state;
    struct request req = {.verb = VERB_APPLY, .run = 7};
    assert_int_equal(fleet_request(&f, &req), 0);
    assert_string_equal(f.reply.code, "unknown_run");
    int64_t run = balance((struct request){.dry_run = true});
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PLANNED);
    req.run = run;
    fleet_request(&f, &req);
    assert_string_equal(f.reply.code, "not_waiting");
    assert_int_equal(f.reply.exit, 6);
}

static void odd_requests_are_refused(void **state)
{
    (void)state;
    assert_int_equal(balance((struct request){.mode = (char *)(uintptr_t) "even"}), 0);
    assert_int_equal(f.reply.exit, 64);
    f.copy_us = 60 * SEC;
    int64_t run = balance((struct request){0});
    fleet_run(&f, 5 * SEC);
    assert_int_equal(balance((struct request){0}), run);
    assert_true(f.reply.joined);
    assert_int_equal(balance((struct request){.mode = (char *)(uintptr_t) "relieve"}), run);
    assert_string_equal(f.reply.code, "busy");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_run_says_what_it_gained),
        T(a_dry_run_moves_nothing),
        T(who_was_no_choice_is_kept),
        T(a_failed_move_is_left),
        T(a_drain_goes_first),
        T(odd_requests_are_refused),
        T(who_moved_is_left_alone),
        T(no_vm_goes_back_within_a_day),
        T(what_a_drain_took_away_may_come_back),
        T(the_budget_of_pauses_holds),
        T(only_a_waiting_plan_is_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
