/* Drains of several hosts as one run: what is asked of which host, and records of one-host times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/wire/codec.h"
#include "scheduler/core/runhosts.h"
#include "tests/unit/fakefleet.h"

static struct fleet f;

static int setup(void **state)
{
    (void)state;
    fleet_init(&f, 5, 16 * GIB);
    fleet_add(&f, "a", 0, GIB);
    fleet_add(&f, "b", 1, GIB);
    fleet_add(&f, "c", 1, GIB);
    fleet_add(&f, "d", 3, GIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_done(&f);
    return 0;
}

static int64_t drain(const char *hosts, struct request req)
{
    char **names = NULL;
    size_t n = 0;
    cleanup(freep) char *copy = xstrdup(hosts);
    char *rest = copy;
    for (char *x; (x = strsep(&rest, " ")) != NULL;)
        *(char **)vec_add(&names, &n) = x;
    req.verb = VERB_DRAIN;
    req.hosts = names;
    req.n_hosts = n;
    int64_t run = fleet_request(&f, &req);
    free(names);
    return run;
}

static void assert_state(const char *host, enum host_state want)
{
    assert_int_equal(core_host_rec(f.core, host)->state, want);
}

static void each_host_is_proven_empty(void **state)
{
    (void)state;
    int64_t run = drain("h1 h2 h3", (struct request){0});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    const struct run *r = core_run(f.core, run);
    assert_int_equal(r->vms, 3);
    assert_int_equal(r->moved, 3);
    assert_null(r->host);
    assert_int_equal(r->n_hosts, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(r->hosts[i].proof.taken && r->hosts[i].ended_wall_us > 0);
        assert_state(r->hosts[i].name, HOST_MAINTENANCE);
    }
    assert_true(r->proof.taken);
    for (int i = 0; i < f.n_vms; i++)
        assert_true(f.vms[i].on >= 3);
}

/* The request goes to the host on which the VM stays. */
static void a_guest_is_shut_down_where_it_is(void **state)
{
    (void)state;
    char *words[] = {(char *)(uintptr_t) "c"};
    f.vms[2].check_code = "image_watched";
    int64_t run = drain("h1 h2", (struct request){.on_blocked = (char *)(uintptr_t) "shutdown",
                                                  .allow_shutdown = words,
                                                  .n_allow_shutdown = 1});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_DONE);
    assert_int_equal(core_run(f.core, run)->stopped, 1);
    assert_int_equal(f.vms[2].on, -1);
    assert_state("h2", HOST_MAINTENANCE);
}

static void one_that_stays_closes_its_own_host_only(void **state)
{
    (void)state;
    f.vms[0].check_code = "image_watched";
    int64_t run = drain("h1 h2", (struct request){.on_blocked = (char *)(uintptr_t) "leave"});
    assert_int_equal(fleet_until_end(&f, run, 300 * SEC), RUN_PARTLY);
    assert_state("h1", HOST_CORDONED);
    assert_state("h2", HOST_MAINTENANCE);
    assert_string_equal(core_run(f.core, run)->stays[0].host, "h1");
}

static void every_host_is_confirmed(void **state)
{
    (void)state;
    static const char *const odd[] = {"h1", "h2", "h1,h2,h3", "h1 h4", ""};
    static const char *const good[] = {"h1,h2", "host/h2, host/h1", "h2 h1"};
    f.vms[2].check_code = "image_watched";
    struct request req = {.on_blocked = (char *)(uintptr_t) "shutdown", .dry_run = true};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        req.confirm = (char *)(uintptr_t)odd[i];
        assert_int_equal(drain("h1 h2", req), 0);
        assert_string_equal(f.reply.code, "not_confirmed");
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        req.confirm = (char *)(uintptr_t)good[i];
        int64_t run = drain("h1 h2", req);
        assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PLANNED);
        assert_true(core_run(f.core, run)->stop_all);
    }
}

/* Both would be stopped by the one name. */
static void namesakes_are_not_stopped_by_one_name(void **state)
{
    (void)state;
    char *words[] = {(char *)(uintptr_t) "b@h2"};
    fleet_add(&f, "b", 0, GIB);
    fleet_report(&f, 0);
    fleet_run(&f, SEC);
    struct request req = {.on_blocked = (char *)(uintptr_t) "shutdown",
                          .allow_shutdown = words,
                          .n_allow_shutdown = 1,
                          .dry_run = true};
    assert_int_equal(drain("h1 h2", req), 0);
    assert_string_equal(f.reply.code, "ambiguous_vm");
    assert_true(drain("h2 h3", req) > 0);
}

static void nothing_begins_while_one_agent_is_away(void **state)
{
    (void)state;
    fleet_disconnect(&f, 1);
    assert_int_equal(drain("h1 h2", (struct request){0}), 0);
    assert_string_equal(f.reply.code, "host_unreachable");
    assert_state("h1", HOST_UP);
    assert_int_equal(drain("h1 h9", (struct request){0}), 0);
    assert_string_equal(f.reply.code, "unknown_host");
    assert_int_equal(fleet_request(&f, &(struct request){.verb = VERB_DRAIN}), 0);
    assert_int_equal(f.reply.exit, 64);
}

/* A run that was stored when a run had one host: it goes on, and what it says is still to be read. */
static void an_older_run_goes_on(void **state)
{
    (void)state;
    f.copy_us = 30 * SEC;
    int64_t id = fleet_drain(&f, "h2", NULL);
    fleet_run(&f, 5 * SEC);
    struct run *r = (struct run *)(uintptr_t)core_run(f.core, id);
    assert_int_equal(r->state, RUN_RUNNING);
    shape_done(&run_host_shape, &r->hosts[0]);
    free(take(r->hosts));
    r->n_hosts = 0;
    fleet_restart_core(&f);
    assert_int_equal(fleet_until_end(&f, id, 300 * SEC), RUN_DONE);
    assert_string_equal(core_run(f.core, id)->host, "h2");
    assert_state("h2", HOST_MAINTENANCE);
}

static void an_older_record_is_read(void **state)
{
    (void)state;
    struct run r;
    struct err e;
    cleanup(json_decrefp) json_t *j = NULL;
    static const char text[] = "{\"id\":7,\"kind\":\"drain\",\"state\":\"partly\",\"host\":\"h1\","
                               "\"host_was\":\"cordoned\","
                               "\"ended_wall_us\":5,\"proof\":{\"taken\":true,\"running\":1},"
                               "\"stays\":[{\"vm\":\"u\",\"name\":\"a\"}]}";
    assert_int_equal(codec_parse(text, strlen(text), &j, &e), 0);
    assert_int_equal(codec_decode(&run_shape, j, &r, &e), 0);
    run_upgrade(&r);
    assert_int_equal(r.n_hosts, 1);
    assert_string_equal(r.hosts[0].name, "h1");
    assert_int_equal(r.hosts[0].was, HOST_CORDONED);
    assert_int_equal(r.hosts[0].ended_wall_us, 5);
    assert_int_equal(r.hosts[0].proof.running, 1);
    assert_string_equal(r.stays[0].host, "h1");
    run_upgrade(&r); /* once is enough */
    assert_int_equal(r.n_hosts, 1);
    shape_done(&run_shape, &r);
}

static void places_are_readable(void **state)
{
    (void)state;
    struct run r;
    shape_init(&run_shape, &r);
    cleanup(freep) char *none = run_place(&r);
    assert_string_equal(none, "the fleet");
    for (int i = 1; i <= 7; i++) {
        cleanup(freep) char *name = xasprintf("h%d", i);
        run_add_host(&r, name, HOST_UP);
        cleanup(freep) char *s = run_place(&r);
        assert_string_equal(s, i == 1   ? "host/h1"
                               : i == 2 ? "hosts h1, h2"
                               : i == 3 ? "hosts h1, h2, h3"
                               : i == 7 ? "7 hosts (h1, h2, h3, ...)"
                                        : s);
    }
    shape_done(&run_shape, &r);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_host_is_proven_empty),
        T(a_guest_is_shut_down_where_it_is),
        T(one_that_stays_closes_its_own_host_only),
        T(every_host_is_confirmed),
        T(namesakes_are_not_stopped_by_one_name),
        T(nothing_begins_while_one_agent_is_away),
        T(an_older_run_goes_on),
        T(an_older_record_is_read),
        T(places_are_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
