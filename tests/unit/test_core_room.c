/* Balance runs that make room: made once, not when it is there, refused when it cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fakefleet.h"

static struct fleet f;

/* h1 and h2 have 6.5 GiB free, h3 9.5. */
static int setup(void **state)
{
    (void)state;
    fleet_init(&f, 3, 16 * GIB);
    for (int i = 0; i < 8; i++) {
        cleanup(freep) char *name = xasprintf("%c%d", "abc"[i / 3], i % 3 + 1);
        fleet_add(&f, name, i / 3, 3 * GIB);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_done(&f);
    return 0;
}

static int64_t make_room(struct request req)
{
    req.verb = VERB_BALANCE;
    req.mode = (char *)(uintptr_t) "make-room";
    return fleet_request(&f, &req);
}

static void says(int64_t run, const char *part)
{
    const char *text = core_run(f.core, run)->message;
    if (!text || !strstr(text, part))
        fail_msg("expected '%s' in: %s", part, text ? text : "nothing");
}

static void room_is_made_once(void **state)
{
    (void)state;
    int64_t run = make_room((struct request){.mem_bytes = 12 * GIB});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->moved, 1);
    assert_string_equal(r->room.host, "h3");
    assert_int_equal(r->room.before_bytes, 19 * GIB / 2);
    assert_int_equal(r->room.planned_bytes, 25 * GIB / 2);
    assert_int_equal(r->room.after_bytes, 25 * GIB / 2);
    says(run, "there is room for a VM of 12 GiB on host/h3, where 9.5 GiB was free at first and is "
              "12.5 GiB now; 1 of 1 moves made");
    run = make_room((struct request){.mem_bytes = 12 * GIB});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(core_run(f.core, run)->vms, 0);
    says(run, "there is room for a VM of 12 GiB on host/h3, where 12.5 GiB is free; nothing");
}

static void a_dry_run_says_what_would_be(void **state)
{
    (void)state;
    int64_t run = make_room((struct request){.mem_bytes = 12 * GIB, .dry_run = true});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_PLANNED);
    says(run, "1 move planned: room for a VM of 12 GiB on host/h3: 9.5 GiB free, then 12.5 GiB");
    assert_int_equal(core_run(f.core, run)->room.planned_bytes, 25 * GIB / 2);
}

static void what_cannot_be_is_refused_and_proven(void **state)
{
    (void)state;
    int64_t run = make_room((struct request){.mem_bytes = 20 * GIB});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_REFUSED);
    says(run, "no room for a VM of 20 GiB can be made: 9.5 GiB free at most (h3), and beside what "
              "may not move 15.5 GiB (h1); nothing was moved");
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->n_stays, 1);
    assert_int_equal(r->stays[0].n_reasons, 3);
    run = make_room((struct request){.mem_bytes = 15 * GIB, .max_moves = 1});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_REFUSED);
    says(run, "9.5 GiB free at most (h3), and by 1 move 12.5 GiB (h3)");
    char *to[] = {(char *)(uintptr_t) "h1"};
    run = make_room((struct request){.mem_bytes = 8 * GIB, .to = to, .n_to = 1});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    says(run, "there is room for a VM of 8 GiB on host/h1");
}

static void a_failed_move_leaves_no_room(void **state)
{
    (void)state;
    for (int i = 0; i < f.n_vms; i++)
        f.vms[i].fail_live = true;
    int64_t run = make_room((struct request){.mem_bytes = 12 * GIB});
    assert_int_equal(fleet_until_end(&f, run, 600 * SEC), RUN_PARTLY);
    says(run, "there is no room for a VM of 12 GiB on host/h3, where 9.5 GiB was free at first and "
              "is 9.5 GiB now; 0 of 1 moves made; the rest was not: vm/c");
}

/* Two moves are needed; while the first is under way a VM there shuts down. */
static void what_is_not_needed_any_more_is_not_made(void **state)
{
    (void)state;
    f.copy_us = 20 * SEC;
    int64_t run = make_room((struct request){.mem_bytes = 15 * GIB, .parallel = 1});
    fleet_run(&f, 5 * SEC);
    assert_string_equal(core_run(f.core, run)->room.host, "h3");
    for (int i = 6; i < 8; i++)
        if (f.vms[i].copying_to < 0) {
            f.vms[i].on = -1;
            f.vms[i].off_on = 2;
            f.vms[i].vm.state = VM_SHUTOFF;
        }
    fleet_report(&f, 2);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(core_run(f.core, run)->moved, 1);
    says(run, "there is room for a VM of 15 GiB on host/h3");
}

static void it_outlives_a_restart(void **state)
{
    (void)state;
    f.copy_us = 20 * SEC;
    int64_t run = make_room((struct request){.mem_bytes = 15 * GIB, .vcpus = 2, .parallel = 1});
    fleet_run(&f, 5 * SEC);
    fleet_restart_core(&f);
    assert_int_equal(fleet_until_end(&f, run, 600 * SEC), RUN_DONE);
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->moved, 2);
    assert_int_equal(r->room.vcpus, 2);
    assert_int_equal(r->room.after_bytes, 31 * GIB / 2);
}

static void room_for_one_that_is_there(void **state)
{
    (void)state;
    char *name = (char *)(uintptr_t) "a1";
    int64_t run = make_room((struct request){.vm = name});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    says(run, "there is room for vm/a1 (3 GiB) on host/h2, where 6.5 GiB is free");
    f.vms[0].vm.mem_bytes = 11 * GIB;
    fleet_report(&f, 0);
    fleet_run(&f, 2 * SEC);
    f.copy_us = 20 * SEC;
    run = make_room((struct request){.vm = name});
    fleet_run(&f, 5 * SEC);
    assert_int_equal(make_room((struct request){.vm = name}), run);
    assert_true(f.reply.joined);
    assert_int_equal(make_room((struct request){.mem_bytes = 11 * GIB}), run);
    assert_string_equal(f.reply.code, "busy");
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    says(run, "there is room for vm/a1 (11 GiB) on host/h3, where 9.5 GiB was free at first and is "
              "12.5 GiB now");
    assert_int_equal(f.vms[0].on, 0);
}

/* Then nobody needs the room. */
static void one_that_shut_down_needs_none(void **state)
{
    (void)state;
    f.vms[0].vm.mem_bytes = 15 * GIB;
    fleet_report(&f, 0);
    fleet_run(&f, 2 * SEC);
    f.copy_us = 20 * SEC;
    int64_t run = make_room((struct request){.vm = (char *)(uintptr_t) "a1", .parallel = 1});
    fleet_run(&f, 5 * SEC);
    f.vms[0].on = -1;
    f.vms[0].off_on = 0;
    f.vms[0].vm.state = VM_SHUTOFF;
    fleet_report(&f, 0);
    fleet_until_end(&f, run, 300 * SEC);
    assert_int_equal(core_run(f.core, run)->moved, 1);
    assert_int_equal(make_room((struct request){.vm = (char *)(uintptr_t) "a1"}), 0);
    assert_string_equal(f.reply.code, "not_running");
}

static void odd_requests_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct request req;
        int exit;
    } odd[] = {
        {{.vcpus = 0}, 64}, /* the policy says nothing */
        {{.vcpus = 4}, 64},
        {{.mem_bytes = GIB, .vm = (char *)(uintptr_t) "a1"}, 64},
        {{.vm = (char *)(uintptr_t) "a9"}, 6},
    };
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        assert_int_equal(make_room(odd[i].req), 0);
        assert_int_equal(f.reply.exit, odd[i].exit);
    }
    char *to[] = {(char *)(uintptr_t) "h9"};
    assert_int_equal(make_room((struct request){.mem_bytes = GIB, .to = to, .n_to = 1}), 0);
    assert_string_equal(f.reply.code, "unknown_host");
    struct request other = {.verb = VERB_BALANCE, .mem_bytes = GIB};
    assert_int_equal(fleet_request(&f, &other), 0); /* the policy's mode is another */
    assert_int_equal(f.reply.exit, 64);
}

static void the_policy_says_how_large(void **state)
{
    (void)state;
    struct policy p;
    policy_default(&p);
    p.balance.room_mem_bytes = 12 * GIB;
    fleet_policy(&f, &p);
    int64_t run = make_room((struct request){0});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    says(run, "there is room for a VM of 12 GiB on host/h3");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(room_is_made_once),
        T(a_dry_run_says_what_would_be),
        T(what_cannot_be_is_refused_and_proven),
        T(a_failed_move_leaves_no_room),
        T(what_is_not_needed_any_more_is_not_made),
        T(it_outlives_a_restart),
        T(room_for_one_that_is_there),
        T(one_that_shut_down_needs_none),
        T(odd_requests_are_refused),
        T(the_policy_says_how_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
