/* The core against a small world behind the wire contract: drains, refusals, what operators ask for. */
#include "tests/unit/drainfix.h"

static void drains(void **state)
{
    (void)state;
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_true(run > 0);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(on_host(0), 0);
    assert_state("h1", HOST_MAINTENANCE);
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->moved, 6);
    assert_int_equal(r->vms, 6);
    assert_int_equal(r->stopped, 0);
    assert_true(r->proof.taken);
    assert_int_equal(r->proof.running, 0);
    log_has("vm/web-1 moved h1 → ");
    log_has("RBD writer proven");
}

static void bring_home(void **state)
{
    (void)state;
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    run = fleet_request(&f, &(struct request){.verb = VERB_RESUME,
                                              .host = (char *)(uintptr_t) "h1",
                                              .bring_home = true});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(on_host(0), 6);
    assert_state("h1", HOST_UP);
}

static void policy_brings_home(void **state)
{
    (void)state;
    struct policy p;
    policy_default(&p);
    p.drain.bring_home = true;
    use_policy(&p);
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    run =
        fleet_request(&f, &(struct request){.verb = VERB_RESUME, .host = (char *)(uintptr_t) "h1"});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(on_host(0), 6);
}

static void policy_says_how_memory_travels(void **state)
{
    (void)state;
    struct policy p;
    policy_default(&p);
    p.migration.live = false;
    p.migration.compressed = true;
    p.migration.transport = TRANSPORT_TCP;
    use_policy(&p);
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    log_has("(paused for the copy, persistent, undefine source, abort on error, compressed, "
            "auto-converge, tcp)");
}

static void pauses_are_short_where_they_can_be(void **state)
{
    (void)state;
    f.copy_us = 1000 * SEC;
    fleet_drain(&f, "h1", NULL);
    fleet_run(&f, SEC);
    int quiet = -1, busy = -1;
    for (int i = 0; i < f.n_vms; i++)
        if (f.vms[i].copying_to >= 0) {
            assert_int_equal(f.vms[i].pause_us, 100 * MSEC);
            quiet = busy;
            busy = i;
        }
    assert_true(quiet >= 0);
    int64_t id = 1; /* of the busy one's move */
    while (!str_eq(core_move(f.core, id)->vm, f.vms[busy].vm.uuid))
        id++;
    f.vms[quiet].pass = 3;
    for (f.vms[busy].pass = 1; f.vms[busy].pass < 6; f.vms[busy].pass++) {
        fleet_progress(&f, quiet, MIB, 10 * MIB);
        fleet_progress(&f, busy, MIB, 10 * MIB);
    }
    assert_int_equal(f.vms[busy].pause_us, 100 * MSEC);
    assert_int_equal(core_move(f.core, id)->stuck, 4); /* as much is left at each pass */
    fleet_progress(&f, busy, MIB / 2, 10 * MIB);
    assert_int_equal(core_move(f.core, id)->stuck, 0);
    assert_int_equal(f.vms[busy].pause_us, 300 * MSEC);
    assert_int_equal(f.vms[quiet].pause_us, 100 * MSEC);
    int sends = f.sends;
    fleet_progress(&f, busy, MIB, 10 * MIB); /* once is enough */
    assert_int_equal(f.sends, sends);
}

static void a_pause_of_the_policy_stands(void **state)
{
    (void)state;
    struct policy p;
    policy_default(&p);
    p.migration.downtime_us = 40 * MSEC;
    use_policy(&p);
    f.copy_us = 1000 * SEC;
    fleet_drain(&f, "h1", NULL);
    fleet_run(&f, SEC);
    for (int i = 0; i < f.n_vms; i++)
        if (f.vms[i].copying_to >= 0) {
            f.vms[i].pass = 20;
            fleet_progress(&f, i, MIB, 10 * MIB);
            assert_int_equal(f.vms[i].pause_us, 40 * MSEC);
        }
}

static void dry_run_changes_nothing(void **state)
{
    (void)state;
    int64_t run = fleet_request(
        &f,
        &(struct request){.verb = VERB_DRAIN, .dry_run = true, .host = (char *)(uintptr_t) "h1"});
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PLANNED);
    fleet_run(&f, 30 * SEC);
    assert_int_equal(on_host(0), 6);
    assert_state("h1", HOST_UP);
}

static void refuses_whole_when_one_is_blocked(void **state)
{
    (void)state;
    f.vms[2].check_code = "image_watched";
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_REFUSED);
    assert_int_equal(on_host(0), 6);
    assert_state("h1", HOST_UP);
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->n_stays, 1);
    assert_string_equal(r->stays[0].name, "web-3");
    assert_int_equal(r->stays[0].reasons[0].code, R_IMAGE_WATCHED);
    assert_true(r->ways_tried); /* were it not for the client, it would go */
    assert_int_equal(r->stays[0].n_ways, 1);
    assert_string_equal(r->stays[0].ways[0].text, r->stays[0].reasons[0].cure);
}

/* The refusal and explain say the same: what is short, by counting, and changes that were tried. */
static void ways_out_of_a_full_fleet(void **state)
{
    (void)state;
    struct explain_view v;
    struct err e;
    for (int h = 1; h < 4; h++) {
        cleanup(freep) char *name = xasprintf("filler-%d", h);
        fleet_add(&f, name, h, 10 * GIB);
    }
    fleet_add(&f, "big", 0, 8 * GIB);
    for (int h = 0; h < 4; h++)
        fleet_report(&f, h);
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_REFUSED);
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->n_stays, 1);
    assert_int_equal(r->n_shortages, 1);
    assert_int_equal(r->shortages[0].need_n, 8 * GIB);
    assert_string_equal(r->shortages[0].vms[0], "big");
    assert_true(r->stays[0].n_ways > 0);
    assert_int_equal(r->stays[0].ways[0].kind, WAY_ROOM);
    assert_int_equal(core_view_explain(f.core, "big", f.now_us, &v, &e), 0);
    assert_int_equal(v.n_shortages, 1);
    assert_string_equal(v.shortages[0].text, r->shortages[0].text);
    assert_true(v.n_ways > 0 && v.ways[0].kind == WAY_ROOM);
    shape_done(&explain_view_shape, &v);
    assert_int_equal(core_view_explain(f.core, "web-1", f.now_us, &v, &e), 0);
    assert_int_equal(v.n_ways, 0); /* it has places to go to */
    shape_done(&explain_view_shape, &v);
}

static void refusal_counts_all_vms(void **state)
{
    (void)state;
    f.vms[2].check_code = "image_watched";
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_REFUSED);
    assert_int_equal(core_run(f.core, run)->vms, 6);
    assert_int_equal(core_run(f.core, run)->blocked, 1);
}

static void leaves_the_blocked_one(void **state)
{
    (void)state;
    f.vms[2].check_code = "image_watched";
    int64_t run = fleet_drain(&f, "h1", "leave");
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_PARTLY);
    assert_int_equal(on_host(0), 1);
    assert_int_equal(f.vms[2].on, 0);
    assert_state("h1", HOST_CORDONED);
}

static void another_cluster_under_the_same_name(void **state)
{
    (void)state;
    f.vms[0].fsid_there = "fsid-2";
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_REFUSED);
    const struct stay *st = &core_run(f.core, run)->stays[0];
    assert_int_equal(st->n_reasons, 3); /* every other host has its reason */
    int differs = 0;
    for (size_t i = 0; i < st->n_reasons; i++) {
        differs += st->reasons[i].code == R_CLUSTER_DIFFERS;
        assert_string_equal(st->reasons[i].what, "disk vda"); /* the planner's word for it */
    }
    assert_int_equal(differs, 3);
}

static void cancel_settles(void **state)
{
    (void)state;
    int64_t run = fleet_drain(&f, "h1", NULL);
    fleet_run(&f, 3 * SEC);
    assert_true(core_run(f.core, run)->moving > 0);
    fleet_request(&f, &(struct request){
                          .verb = VERB_CANCEL, .run = run, .actor = (char *)(uintptr_t) "tester"});
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_CANCELLED);
    assert_state("h1", HOST_UP);
    for (int i = 0; i < f.n_vms; i++)
        assert_int_equal(f.vms[i].copying_to, -1);
    fleet_run(&f, 30 * SEC);
    assert_int_equal(on_host(0), 6);
}

/* A queued VM waits for the host it was asked to go to, and says that one; cancelled, it waits for none. */
static void a_queued_move_names_its_host(void **state)
{
    (void)state;
    char h1[] = "h1", h2[] = "h2", *to[] = {h2}, who[] = "tester";
    struct run_view v;
    size_t queued = 0;
    int64_t run = fleet_request(
        &f, &(struct request){
                .verb = VERB_DRAIN, .host = h1, .to = to, .n_to = 1, .parallel = 1, .actor = who});
    fleet_run(&f, 3 * SEC);
    fleet_add(&f, "filler", 1, f.hosts[1].host.mem_bytes); /* started there by somebody */
    fleet_report(&f, 1);
    fleet_run(&f, 6 * SEC);
    assert_int_equal(core_view_run(f.core, run, 0, &v, NULL), 0);
    for (size_t i = 0; i < v.n_moves; i++) {
        const struct move *m = &v.moves[i];
        if (m->state != JOB_QUEUED || !m->note)
            continue;
        assert_true(str_has_prefix(m->note, "h2: not enough memory"));
        queued++;
    }
    assert_true(queued > 0);
    shape_done(&run_view_shape, &v);
    fleet_request(&f, &(struct request){.verb = VERB_CANCEL, .run = run, .actor = who});
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_CANCELLED);
    assert_int_equal(core_view_run(f.core, run, 0, &v, NULL), 0);
    for (size_t i = 0; i < v.n_moves; i++)
        assert_null(v.moves[i].note);
    shape_done(&run_view_shape, &v);
}

/* The live copy fails wherever it is tried: with the operator's word it moves cold, else it stays. */
static void cold_is_the_last_resort(void **state)
{
    (void)state;
    char *name[] = {f.vms[0].vm.name};
    f.vms[0].fail_live = true;
    struct request req = {.verb = VERB_DRAIN,
                          .host = (char *)(uintptr_t) "h1",
                          .on_blocked = (char *)(uintptr_t) "cold"};
    int64_t run = fleet_request(&f, &req);
    assert_int_equal(fleet_until_end(&f, run, 600 * SEC), RUN_PARTLY);
    assert_int_equal(on_host(0), 1); /* no word named it */
    assert_int_equal(f.vms[0].on, 0);
    req.allow_shutdown = name;
    req.n_allow_shutdown = 1;
    run = fleet_request(&f, &req);
    assert_int_equal(fleet_until_end(&f, run, 600 * SEC), RUN_DONE);
    assert_true(f.vms[0].on > 0);
    assert_int_equal(core_run(f.core, run)->stopped, 1);
    log_has("will be shut down, moved to");
    log_has("cold, as asked: shut down, started there");
}

static void second_drain_joins(void **state)
{
    (void)state;
    int64_t run = fleet_drain(&f, "h1", NULL);
    assert_int_equal(fleet_drain(&f, "h1", NULL), run);
    assert_true(f.reply.joined);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
}

static void two_drains_never_target_each_other(void **state)
{
    (void)state;
    fleet_add(&f, "db-1", 1, GIB);
    fleet_add(&f, "db-2", 1, GIB);
    int64_t a = fleet_drain(&f, "h1", NULL), b = fleet_drain(&f, "h2", NULL);
    assert_int_equal(fleet_until_end(&f, a, 300 * SEC), RUN_DONE);
    assert_int_equal(fleet_until_end(&f, b, 300 * SEC), RUN_DONE);
    assert_int_equal(on_host(0) + on_host(1), 0);
}

static void vm_that_comes_meanwhile_leaves_too(void **state)
{
    (void)state;
    int64_t run = fleet_drain(&f, "h1", NULL);
    fleet_run(&f, 4 * SEC);
    fleet_add(&f, "late", 0, GIB);
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(on_host(0), 0);
    assert_int_equal(core_run(f.core, run)->moved, 7);
}

static void unknown_host_is_named(void **state)
{
    (void)state;
    fleet_drain(&f, "h11", NULL);
    assert_int_equal(f.reply.exit, 6);
    assert_non_null(strstr(f.reply.message, "no host 'h11'"));
}

static const struct check_item *checked(const char *text)
{
    for (size_t i = 0; i < f.reply.n_items; i++)
        if (strstr(f.reply.items[i].text, text))
            return &f.reply.items[i];
    fail_msg("nothing is said of '%s'", text);
    return NULL;
}

static void a_pair_is_compared_both_ways(void **state)
{
    (void)state;
    static const char *const hosts[] = {"h1", "h2"};
    struct host *b = &f.hosts[1].host;
    *vec_add(&b->bridges, &b->n_bridges) = xstrdup("br7");
    *(struct secret *)vec_add(&b->secrets, &b->n_secrets) =
        (struct secret){.uuid = xstrdup("s-used"), .readable = true};
    *(struct secret *)vec_add(&b->secrets, &b->n_secrets) =
        (struct secret){.uuid = xstrdup("s-idle"), .readable = true};
    struct disk *d = &fleet_add(&f, "db", 1, GIB)->vm.disks[0];
    free(d->secret_uuid);
    d->secret_uuid = xstrdup("s-used");
    fleet_connect(&f, 1);
    for (int i = 0; i < 2; i++) {
        fleet_request(&f, &(struct request){.verb = VERB_CHECK_PAIR,
                                            .host = (char *)(uintptr_t)hosts[i],
                                            .host2 = (char *)(uintptr_t)hosts[1 - i]});
        fleet_run(&f, SEC);
        assert_string_equal(checked("only on h2: br7")->cure, "create on h1: br7");
        assert_int_equal(checked("s-used (?): missing on h1, and VMs use it")->verdict, 2);
        assert_int_equal(checked("s-idle (?): missing on h1")->verdict, 1);
        assert_non_null(strstr(checked("s-idle (?)")->cure, "define it on h1: "));
        assert_int_equal(checked("as its agent reported ")->verdict, 0);
    }
}

static void shutdown_needs_a_word(void **state)
{
    (void)state;
    f.vms[1].check_code = "image_watched";
    int64_t run = fleet_drain(&f, "h1", "shutdown");
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_REFUSED);
    assert_int_equal(on_host(0), 6);
    char *words[] = {(char *)(uintptr_t) "web-2"};
    run = fleet_request(&f, &(struct request){.verb = VERB_DRAIN,
                                              .host = (char *)(uintptr_t) "h1",
                                              .on_blocked = (char *)(uintptr_t) "shutdown",
                                              .allow_shutdown = words,
                                              .n_allow_shutdown = 1});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(core_run(f.core, run)->stopped, 1);
    assert_int_equal(f.vms[1].on, -1);
}

static void only_names_stop_vms(void **state)
{
    (void)state;
    struct request req = {.verb = VERB_DRAIN,
                          .host = (char *)(uintptr_t) "h1",
                          .on_blocked = (char *)(uintptr_t) "shutdown"};
    static const char *const odd[] = {"*", "web-*", "web-2@h2", "web-9"};
    char *word[1];
    f.vms[1].check_code = "image_watched";
    req.allow_shutdown = word;
    req.n_allow_shutdown = 1;
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        word[0] = (char *)(uintptr_t)odd[i];
        assert_int_equal(fleet_request(&f, &req), 0);
        assert_int_equal(f.reply.exit, 6);
        assert_non_null(strstr(f.reply.message, "no such VM on host/h1"));
    }
    char *const known[] = {f.vms[1].vm.name, f.vms[1].vm.uuid, (char *)(uintptr_t) "web-2@h1"};
    req.dry_run = true;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        word[0] = known[i];
        int64_t run = fleet_request(&f, &req);
        assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PLANNED);
        assert_string_equal(core_run(f.core, run)->allow_shutdown[0], "web-2");
        assert_int_equal(core_run(f.core, run)->blocked, 0);
    }
    req.n_allow_shutdown = 0;
    req.confirm = (char *)(uintptr_t) "h2";
    assert_int_equal(fleet_request(&f, &req), 0);
    assert_non_null(strstr(f.reply.message, "not confirmed"));
    req.confirm = (char *)(uintptr_t) "h1";
    req.dry_run = false;
    assert_int_equal(fleet_until_end(&f, fleet_request(&f, &req), 300 * SEC), RUN_DONE);
    assert_int_equal(f.vms[1].on, -1);
}

static void a_paused_guest_obeys_nobody(void **state)
{
    (void)state;
    struct request req = {.verb = VERB_DRAIN,
                          .host = (char *)(uintptr_t) "h1",
                          .on_blocked = (char *)(uintptr_t) "shutdown",
                          .confirm = (char *)(uintptr_t) "h1"};
    f.vms[1].vm.state = VM_PAUSED;
    fleet_connect(&f, 0);
    int64_t run = fleet_request(&f, &req);
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_REFUSED);
    assert_int_equal(core_run(f.core, run)->blocked, 1);
    assert_string_equal(core_run(f.core, run)->stays[0].reasons[0].cure,
                        "resume it on h1: virsh resume web-2");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(drains),
        T(bring_home),
        T(policy_brings_home),
        T(policy_says_how_memory_travels),
        T(pauses_are_short_where_they_can_be),
        T(a_pause_of_the_policy_stands),
        T(dry_run_changes_nothing),
        T(refuses_whole_when_one_is_blocked),
        T(ways_out_of_a_full_fleet),
        T(leaves_the_blocked_one),
        T(refusal_counts_all_vms),
        T(another_cluster_under_the_same_name),
        T(cancel_settles),
        T(a_queued_move_names_its_host),
        T(second_drain_joins),
        T(cold_is_the_last_resort),
        T(two_drains_never_target_each_other),
        T(vm_that_comes_meanwhile_leaves_too),
        T(unknown_host_is_named),
        T(shutdown_needs_a_word),
        T(a_pair_is_compared_both_ways),
        T(only_names_stop_vms),
        T(a_paused_guest_obeys_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
