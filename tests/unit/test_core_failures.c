/* What failed is left out by balance runs: which, for how long, and what ends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fakefleet.h"

#define MINUTE (60 * SEC)
#define NOW    (INT64_C(100) * 24 * 60 * MINUTE)

/* ---- the rule, by histories ---------------------------------------------------------------------------- */

struct past {
    struct core *core;
    int64_t moves, runs;
    struct left_out *list;
    size_t n;
};

static char *lent(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void past_begin(struct past *p)
{
    *p = (struct past){.core = core_new(&(struct core_config){.term = 1})};
    static const char *const hosts[] = {"h1", "h2", "h3", "h4"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct host_rec h = {.name = lent(hosts[i]), .last = {.name = lent(hosts[i])}};
        core_restore_host(p->core, &h);
    }
    static const char *const vms[] = {"a", "b", "c"};
    for (size_t i = 0; i < ARRAY_LEN(vms); i++) {
        struct vm v;
        shape_init(&vm_shape, &v);
        v.uuid = v.name = lent(vms[i]);
        v.state = VM_RUNNING;
        core_restore_vm(p->core, "h1", &v, 1);
    }
}

static void add_run(struct past *p, struct run r)
{
    r.id = ++p->runs;
    r.state = RUN_DONE;
    core_restore_run(p->core, &r);
}

/* From h1, in the newest run. */
static void add_move(struct past *p, int state, const char *vm, const char *to, int64_t ago_us)
{
    const struct move m = {.id = ++p->moves,
                           .run = p->runs,
                           .vm = lent(vm),
                           .vm_name = lent(vm),
                           .from = lent("h1"),
                           .to = lent(to),
                           .state = state,
                           .copy_wall_us = NOW - ago_us,
                           .ended_wall_us = NOW - ago_us,
                           .error = state == JOB_DONE ? NULL : lent("it broke")};
    core_restore_move(p->core, &m);
}

static void fails(struct past *p, const char *vm, const char *to, int64_t ago_us)
{
    add_run(p, (struct run){.kind = RUN_BALANCE});
    add_move(p, JOB_FAILED, vm, to, ago_us);
}

static void succeeds(struct past *p, const char *vm, const char *to, int64_t ago_us)
{
    add_run(p, (struct run){.kind = RUN_BALANCE});
    add_move(p, JOB_DONE, vm, to, ago_us);
}

/* "a:h4 *:h2 b:*", the widest first; *: any. */
static void past_is(struct past *p, const char *wanted)
{
    struct core_effects fx = {0};
    char *s = xstrdup("");
    core_restored(p->core, 1, SEC, NOW, &fx);
    core_effects_done(&fx);
    p->list = core_left_out(p->core, &p->n);
    for (size_t i = 0; i < p->n; i++) {
        const struct left_out *x = &p->list[i];
        text_add(&s, "%s%s%s%s:%s", *s ? " " : "", x->vm ? x->vm : "*", x->from ? "@" : "",
                 x->from ? x->from : "", x->host ? x->host : "*");
    }
    assert_string_equal(s, wanted);
    free(s);
}

static void past_end(struct past *p)
{
    left_out_done(p->list, p->n);
    core_free(p->core);
}

static void longer_each_time(void **state)
{
    (void)state;
    static const int64_t minutes[] = {10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440};
    for (int n = 1; n <= (int)ARRAY_LEN(minutes); n++) {
        struct past p;
        past_begin(&p);
        for (int i = n; i > 0; i--)
            fails(&p, "a", "h4", i * MINUTE);
        past_is(&p, "a:h4");
        assert_int_equal(p.list[0].times, n);
        assert_int_equal(p.list[0].since_wall_us, NOW - n * MINUTE);
        assert_int_equal(p.list[0].until_wall_us, NOW + (minutes[n - 1] - 1) * MINUTE);
        assert_string_equal(p.list[0].error, "it broke");
        past_end(&p);
    }
}

static void it_ends(void **state)
{
    (void)state;
    struct past p;
    past_begin(&p);
    fails(&p, "a", "h4", 10 * MINUTE);
    past_is(&p, "");
    past_end(&p);
    past_begin(&p); /* what is older than a week does not add up */
    fails(&p, "a", "h4", INT64_C(8) * 24 * 60 * MINUTE);
    fails(&p, "a", "h4", 9 * MINUTE);
    past_is(&p, "a:h4");
    assert_int_equal(p.list[0].times, 1);
    past_end(&p);
    past_begin(&p); /* clocks are set back; a VM is gone */
    fails(&p, "a", "h4", -60 * MINUTE);
    fails(&p, "z", "h4", MINUTE);
    past_is(&p, "");
    past_end(&p);
}

static void a_success_ends_it(void **state)
{
    (void)state;
    struct past p;
    past_begin(&p);
    fails(&p, "a", "h4", 3 * MINUTE);
    fails(&p, "a", "h3", 2 * MINUTE);
    succeeds(&p, "a", "h4", MINUTE);
    past_is(&p, "a:h3"); /* and the VM is no longer suspected */
    past_end(&p);
}

static void several_hosts_are_the_vm(void **state)
{
    (void)state;
    struct past p;
    past_begin(&p);
    fails(&p, "a", "h4", 3 * MINUTE);
    fails(&p, "a", "h3", 2 * MINUTE);
    past_is(&p, "a:* a:h3 a:h4");
    assert_int_equal(p.list[0].others, 2);
    assert_int_equal(p.list[0].until_wall_us, NOW + 18 * MINUTE);
    past_end(&p);
}

static void several_vms_are_the_host(void **state)
{
    (void)state;
    struct past p;
    past_begin(&p);
    fails(&p, "a", "h4", 3 * MINUTE);
    add_move(&p, JOB_FAILED, "b", "h4", 2 * MINUTE); /* in one run: once */
    past_is(&p, "*:h4 a:h4 b:h4");
    assert_int_equal(p.list[0].others, 2);
    assert_int_equal(p.list[0].times, 1);
    assert_int_equal(p.list[0].until_wall_us, NOW + 8 * MINUTE);
    past_end(&p);
    past_begin(&p);
    fails(&p, "a", "h4", 3 * MINUTE);
    fails(&p, "b", "h4", 2 * MINUTE);
    succeeds(&p, "c", "h4", MINUTE); /* so it was not the host */
    past_is(&p, "a:h4 b:h4");
    past_end(&p);
}

static void what_is_no_failure(void **state)
{
    (void)state;
    struct past p;
    past_begin(&p);
    succeeds(&p, "a", "h4", MINUTE);
    add_move(&p, JOB_CANCELLED, "b", "h4", MINUTE);
    add_run(&p, (struct run){.kind = RUN_BALANCE});
    struct move m = {.run = p.runs,
                     .vm = lent("c"),
                     .from = lent("h1"),
                     .to = lent("h4"),
                     .state = JOB_FAILED,
                     .ended_wall_us = NOW - MINUTE};
    static const char *const codes[] = {"ceph_timeout", "check_failed", "host_unreachable",
                                        "source_unreachable"};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) { /* silence says nothing */
        m.id = ++p.moves;
        m.code = lent(codes[i]);
        core_restore_move(p.core, &m);
    }
    m.id = ++p.moves;
    m.code = NULL; /* its place went to others before it began */
    core_restore_move(p.core, &m);
    past_is(&p, "");
    past_end(&p);
}

/* A check knows of one VM and one host: that is no suspicion of either. */
static void refusals_do_not_widen(void **state)
{
    (void)state;
    struct past p;
    struct told_no no[] = {
        {.vm = lent("a"), .host = lent("h4"), .error = lent("no"), .wall_us = NOW - MINUTE},
        {.vm = lent("b"), .host = lent("h4"), .error = lent("no"), .wall_us = NOW - MINUTE},
        {.vm = lent("c"), .error = lent("no"), .wall_us = NOW - MINUTE},
        {.from = lent("h2"), .host = lent("h3"), .error = lent("no"), .wall_us = NOW - MINUTE}};
    past_begin(&p);
    add_run(&p, (struct run){.kind = RUN_BALANCE, .told_no = no, .n_told_no = ARRAY_LEN(no)});
    past_is(&p, "*@h2:h3 a:h4 b:h4 c:*");
    assert_true(left_out_concerns(&p.list[0], "z", "h2"));
    assert_false(left_out_concerns(&p.list[0], "z", "h1"));
    past_end(&p);
}

static void what_an_operator_forgot(void **state)
{
    (void)state;
    struct past p;
    past_begin(&p);
    fails(&p, "a", "h4", 5 * MINUTE);
    fails(&p, "b", "h4", 4 * MINUTE);
    add_run(&p, (struct run){.kind = RUN_BALANCE, .forget_failures = true});
    add_move(&p, JOB_FAILED, "b", "h4", 2 * MINUTE);
    past_is(&p, "b:h4");
    assert_int_equal(p.list[0].times, 1);
    past_end(&p);
    past_begin(&p);
    fails(&p, "a", "h4", 5 * MINUTE);
    add_run(&p, (struct run){.kind = RUN_BALANCE, .forget_failures = true, .dry_run = true});
    past_is(&p, "a:h4");
    past_end(&p);
}

/* Each try of a drain, also of one that moved the VM elsewhere in the end. */
static void tries_of_drains_count(void **state)
{
    (void)state;
    struct past p;
    struct attempt tries[] = {
        {.to = lent("h4"), .code = lent("migrate_failed"), .wall_us = NOW - 3 * MINUTE},
        {.to = lent("h3"), .code = lent("memory"), .wall_us = NOW - 2 * MINUTE}};
    past_begin(&p);
    add_run(&p, (struct run){.kind = RUN_DRAIN});
    const struct move m = {.id = 1,
                           .run = 1,
                           .vm = lent("a"),
                           .from = lent("h1"),
                           .to = lent("h2"),
                           .state = JOB_DONE,
                           .ended_wall_us = NOW - MINUTE,
                           .tried = tries,
                           .n_tried = ARRAY_LEN(tries)};
    core_restore_move(p.core, &m);
    past_is(&p, "a:h4");
    past_end(&p);
}

/* ---- in runs ------------------------------------------------------------------------------------------- */

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

static int64_t balance_ends(struct request req, int *ret_state)
{
    req.verb = VERB_BALANCE;
    int64_t run = fleet_request(&f, &req);
    *ret_state = fleet_until_end(&f, run, 600 * SEC);
    return run;
}

static int64_t balance(struct request req, int wanted)
{
    int state;
    int64_t run = balance_ends(req, &state);
    assert_int_equal(state, wanted);
    return run;
}

static bool left_out(const char *vm, const char *host)
{
    size_t n;
    bool found = false;
    struct left_out *list = core_left_out(f.core, &n);
    for (size_t i = 0; i < n; i++)
        found = found || (str_eq(list[i].vm_name, vm) && str_eq(list[i].host, host));
    left_out_done(list, n);
    return found;
}

static const struct move *only_move(int64_t run)
{
    const struct move *found = NULL;
    for (int64_t id = 1; core_move(f.core, id); id++)
        found = core_move(f.core, id)->run == run ? core_move(f.core, id) : found;
    assert_non_null(found);
    return found;
}

static const struct move *move_of_vm_in(int64_t run, const char *vm)
{
    const struct move *found = NULL;
    for (int64_t id = 1; core_move(f.core, id); id++)
        if (core_move(f.core, id)->run == run && str_eq(core_move(f.core, id)->vm_name, vm))
            found = core_move(f.core, id);
    assert_non_null(found);
    return found;
}

/* The next run takes another way; the first is taken again after its time, and a success ends it. */
static void the_next_run_takes_another_way(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        f.vms[i].fail_next = true;
    int64_t run = balance((struct request){.max_moves = 1}, RUN_PARTLY);
    cleanup(freep) char *vm = xstrdup(only_move(run)->vm_name), *to = xstrdup(only_move(run)->to);
    assert_true(left_out(vm, to));
    cleanup(freep) char *said = xasprintf("balance leaves out its way to %s until", to);
    assert_non_null(strstr(f.log, said));
    fleet_restart_core(&f);
    fleet_run(&f, 20 * SEC);
    for (int i = 0; i < 4; i++)
        f.vms[i].fail_next = false;
    run = balance((struct request){.dry_run = true, .max_moves = 1}, RUN_PLANNED);
    assert_false(str_eq(only_move(run)->vm_name, vm) && str_eq(only_move(run)->to, to));
    assert_int_equal(core_run(f.core, run)->n_left_out, 1);
    assert_string_equal(core_run(f.core, run)->left_out[0].host, to);
    fleet_run(&f, 10 * MINUTE);
    assert_false(left_out(vm, to));
    run = balance((struct request){.max_moves = 1}, RUN_DONE);
    assert_string_equal(only_move(run)->vm_name, vm);
    assert_string_equal(only_move(run)->to, to);
    assert_int_equal(core_run(f.core, run)->n_left_out, 0);
}

static void an_operator_forgets(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        f.vms[i].fail_live = true;
    int64_t run = 0;
    int ended = RUN_PARTLY;
    for (int i = 0; i < 4 && ended == RUN_PARTLY; i++) /* until no way is left */
        run = balance_ends((struct request){0}, &ended);
    assert_int_equal(core_run(f.core, run)->vms, 0);
    assert_true(core_run(f.core, run)->n_left_out > 0);
    assert_non_null(strstr(f.log, "drover balance --forget-failures"));
    for (int i = 0; i < 4; i++)
        f.vms[i].fail_live = false;
    run = balance((struct request){.forget_failures = true}, RUN_DONE);
    assert_true(core_run(f.core, run)->moved > 0);
    assert_int_equal(core_run(f.core, run)->n_left_out, 0);
}

/* What a real check refused is not asked again by the next run, and whose fault it is, is told. */
static void a_refusal_is_remembered(void **state)
{
    (void)state;
    f.vms[0].check_code = "image_watched";
    f.vms[1].bad_on = 2;
    f.vms[1].bad_on_code = "cpu_model";
    f.vms[2].check_code = f.vms[3].check_code = "ceph_timeout";
    int64_t run = balance((struct request){0}, RUN_DONE);
    assert_true(left_out("a1", NULL));
    assert_false(left_out("a3", NULL)); /* no answer */
    size_t told = core_run(f.core, run)->n_told_no;
    assert_true(told >= 1 && told <= 2);
    run = balance((struct request){.dry_run = true}, RUN_PLANNED);
    assert_int_equal(core_run(f.core, run)->n_told_no, 0);
    assert_int_equal(core_run(f.core, run)->n_left_out, told);
}

static void a_drain_is_not_held_back(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        f.vms[i].fail_live = true;
    balance((struct request){0}, RUN_PARTLY);
    for (int i = 0; i < 4; i++)
        f.vms[i].fail_live = false;
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 600 * SEC), RUN_DONE);
    for (int i = 0; i < 4; i++)
        assert_false(left_out(f.vms[i].vm.name, f.hosts[f.vms[i].on].host.name));
}

/* Not held back, but of two hosts it takes the one where the VM has not failed; also after a restart. */
static void a_drain_goes_elsewhere_first(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        f.vms[i].fail_next = true;
    int64_t run = balance((struct request){.max_moves = 1}, RUN_PARTLY);
    cleanup(freep) char *vm = xstrdup(only_move(run)->vm_name), *to = xstrdup(only_move(run)->to);
    fleet_restart_core(&f);
    fleet_run(&f, 20 * SEC);
    struct request req = {.verb = VERB_DRAIN, .host = lent("h1"), .dry_run = true};
    run = fleet_request(&f, &req);
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PLANNED);
    const struct move *m = move_of_vm_in(run, vm);
    assert_string_not_equal(m->to, to);
    cleanup(freep) char *said = xasprintf("; not %s, moves there failed at ", to);
    assert_non_null(strstr(m->why, said));
    req.to = (char *[]){to};
    req.n_to = 1;
    req.on_blocked = lent("leave"); /* not all have room there */
    run = fleet_request(&f, &req);
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PLANNED);
    m = move_of_vm_in(run, vm);
    assert_string_equal(m->to, to);
    assert_non_null(strstr(m->why, "; though moves there failed at "));
}

/* ---- a host that fails while a run is under way -------------------------------------------------------- */

static int setup_many(void **state)
{
    (void)state;
    fleet_init(&f, 3, 64 * GIB);
    for (int i = 0; i < 8; i++) {
        cleanup(freep) char *name = xasprintf("a%d", i + 1);
        fleet_add(&f, name, 0, 3 * GIB);
    }
    return 0;
}

/* The first two moves of such a plan to h2 fail, once. */
static void first_two_fail(struct request req)
{
    req.dry_run = true;
    int64_t run = fleet_request(&f, &req);
    int n = 0;
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PLANNED);
    for (int64_t id = 1; core_move(f.core, id); id++)
        for (int i = 0; i < f.n_vms && str_eq(core_move(f.core, id)->to, "h2"); i++)
            if (str_eq(f.vms[i].vm.uuid, core_move(f.core, id)->vm) && n++ < 2)
                f.vms[i].fail_next = true;
    assert_true(n > 3); /* what is on its way when the second fails goes there, too */
}

static void a_run_leaves_a_failing_host(void **state)
{
    (void)state;
    struct request req = {.verb = VERB_DRAIN, .host = lent("h1"), .parallel = 1};
    first_two_fail(req);
    int64_t run = fleet_request(&f, &req);
    assert_int_equal(fleet_until_end(&f, run, 600 * SEC), RUN_DONE);
    assert_non_null(strstr(f.log, "will go to h3 instead of h2: in this run moves to h2 failed "
                                  "with 2 VMs since "));
    int tried = 0, there = 0;
    for (int64_t id = 1; core_move(f.core, id); id++) {
        const struct move *m = core_move(f.core, id);
        tried += m->run == run && m->n_tried;
        there += m->run == run && str_eq(m->to, "h2");
    }
    assert_int_equal(tried, 2);
    assert_true(there <= 1);
}

static void the_only_host_is_tried_all_the_same(void **state)
{
    (void)state;
    struct request req = {.verb = VERB_DRAIN, .host = lent("h1"), .parallel = 1};
    req.to = (char *[]){lent("h2")};
    req.n_to = 1;
    for (int i = 0; i < f.n_vms; i++)
        f.vms[i].fail_next = true;
    int64_t run = fleet_request(&f, &req);
    assert_int_equal(fleet_until_end(&f, run, 900 * SEC), RUN_DONE);
    assert_non_null(strstr(f.log, "goes to h2 all the same: no other host takes it, though in this "
                                  "run moves to h2 failed with "));
    int told = 0;
    for (int64_t id = 1; core_move(f.core, id); id++)
        told += core_move(f.core, id)->run == run &&
                strstr(core_move(f.core, id)->why, "no other host takes it") != NULL;
    assert_true(told > 0);
}

static void a_balance_run_drops_what_is_left(void **state)
{
    (void)state;
    struct request req = {.verb = VERB_CORDON, .host = lent("h3")};
    fleet_request(&f, &req);
    req = (struct request){.verb = VERB_BALANCE, .parallel = 1};
    first_two_fail(req);
    int64_t run = fleet_request(&f, &req);
    assert_int_equal(fleet_until_end(&f, run, 600 * SEC), RUN_PARTLY);
    int dropped = 0;
    for (int64_t id = 1; core_move(f.core, id); id++) {
        const struct move *m = core_move(f.core, id);
        dropped += m->run == run && m->state == JOB_CANCELLED && str_eq(m->code, "failed_lately") &&
                   strstr(m->error, "in this run moves to h2 failed with 2 VMs since ") != NULL;
    }
    assert_true(dropped > 0);
}

static void explain_says_it(void **state)
{
    (void)state;
    struct explain_view v;
    struct err e;
    f.vms[0].fail_live = f.vms[1].fail_live = f.vms[2].fail_live = f.vms[3].fail_live = true;
    int64_t run = balance((struct request){.max_moves = 1}, RUN_PARTLY);
    const struct move *m = only_move(run);
    assert_true(core_view_explain(f.core, m->vm_name, f.now_us, &v, &e) >= 0);
    assert_int_equal(v.n_left_out, 1);
    cleanup(freep) char *text = left_out_words(&v.left_out[0]);
    cleanup(freep) char *who = xasprintf("vm/%s to %s until ", m->vm_name, m->to);
    assert_int_equal(strncmp(text, who, strlen(who)), 0);
    assert_non_null(strstr(text, m->error));
    shape_done(&explain_view_shape, &v);
    assert_true(core_view_explain(f.core, "b", f.now_us, &v, &e) >= 0);
    assert_int_equal(v.n_left_out, 0);
    shape_done(&explain_view_shape, &v);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longer_each_time),
        cmocka_unit_test(it_ends),
        cmocka_unit_test(a_success_ends_it),
        cmocka_unit_test(several_hosts_are_the_vm),
        cmocka_unit_test(several_vms_are_the_host),
        cmocka_unit_test(what_is_no_failure),
        cmocka_unit_test(refusals_do_not_widen),
        cmocka_unit_test(what_an_operator_forgot),
        cmocka_unit_test(tries_of_drains_count),
        T(the_next_run_takes_another_way),
        T(an_operator_forgets),
        T(a_refusal_is_remembered),
        T(a_drain_is_not_held_back),
        T(a_drain_goes_elsewhere_first),
        cmocka_unit_test_setup_teardown(a_run_leaves_a_failing_host, setup_many, teardown),
        cmocka_unit_test_setup_teardown(the_only_host_is_tried_all_the_same, setup_many, teardown),
        cmocka_unit_test_setup_teardown(a_balance_run_drops_what_is_left, setup_many, teardown),
        T(explain_says_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
