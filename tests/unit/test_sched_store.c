/* The scheduler whose store fails: nothing is done that is not written down. */
#include "tests/unit/schedask.h"

static void wait_for_store(const struct rig *g)
{
    for (int i = 0; i < 2000; i++) { /* bounded; each turn waits for the core thread's answer */
        json_t *j = get(g, "/v1/health", 200);
        bool ok = str_eq(str(j, "store"), "ok");
        json_decref(j);
        if (ok)
            return;
    }
    fail_msg("the store did not come back");
}

static void test_full_disk(void **state)
{
    struct rig *g = *state;
    agent_reports(g);
    json_decref(get(g, "/v1/hosts", 200)); /* the report is committed */
    fault = (struct fault){.at = 1, .code = SQLITE_FULL, .sticky = true};
    json_t *j = post(g, "{\"verb\":\"cordon\",\"host\":\"h1\"}", "k9", 503);
    assert_string_equal(str(j, "code"), "store_failed");
    has(str(j, "message"), "the disk is full; free space");
    has(str(j, "message"), "nothing was done");
    has(str(j, "cure"), "continues by itself");
    json_decref(j);
    json_decref(post(g, "{\"verb\":\"resume\",\"host\":\"h1\"}", NULL, 503));
    j = get(g, "/v1/hosts", 200);
    has(str(j, "store"), "failed: write database");
    json_decref(j);
    j = get(g, "/v1/journal", 200);
    assert_true(json_array_size(json_object_get(j, "entries")) > 0);
    json_decref(j);
    j = get(g, "/v1/health", 200);
    assert_string_equal(str(j, "status"), "error");
    assert_string_equal(str(first(j, "checks"), "name"), "STORE_FAILED");
    json_decref(j);
    assert_int_equal(g->restarted, 0);
    fault = (struct fault){0};
    wait_for_store(g);
    assert_int_equal(g->restarted, 2);
    j = get(g, "/v1/hosts", 200);
    assert_string_equal(str(first(j, "hosts"), "state"), "up"); /* what failed was not done */
    json_decref(j);
    agent_reports(g);
    json_decref(post(g, "{\"verb\":\"cordon\",\"host\":\"h1\"}", "k9", 200));
}

/* Whichever write of a request fails: it is refused and undone, or done and answered. */
static void test_fault_at_every_write_of_a_request(void **state)
{
    struct rig *g = *state;
    int refusals = 0;
    for (int at = 1; at < 40; at++) {
        agent_reports(g);
        json_decref(get(g, "/v1/hosts", 200));
        cleanup(freep) char *body =
            xasprintf("{\"verb\":\"cordon\",\"host\":\"h1\",\"reason\":\"r%d\"}", at);
        fault = (struct fault){.at = at, .code = SQLITE_IOERR_WRITE};
        int status;
        json_t *j = call(g, &(struct ask){"POST", "/v1/requests", NULL, body}, &status);
        json_decref(j);
        fault = (struct fault){0};
        assert_true(status == 200 || status == 503);
        refusals += status == 503;
        wait_for_store(g);
        j = get(g, "/v1/hosts", 200);
        cleanup(freep) char *reason = xasprintf("r%d", at);
        bool done = str_eq(str(first(j, "hosts"), "reason"), reason);
        assert_int_equal(done, status == 200);
        json_decref(j);
        agent_reports(g);
        json_decref(post(g, "{\"verb\":\"resume\",\"host\":\"h1\"}", NULL, 200));
    }
    assert_true(refusals > 2);
}

static void test_recorder(void **state)
{
    struct rig *g = *state;
    agent_reports(g);
    json_decref(post(g, "{\"verb\":\"cordon\",\"host\":\"h1\"}", NULL, 200));
    stop(g);
    cleanup(freep) char *path = xasprintf("%s/events-000001.jsonl", g->rec);
    cleanup(freep) char *text = NULL;
    assert_int_equal(file_read(path, 1 << 20, &text, NULL, NULL), 0);
    static const char *const want[] = {"start", "agent_up", "msg", "request"};
    size_t at = 0;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *j = json_loads(line, 0, NULL);
        assert_non_null(j);
        if (at < ARRAY_LEN(want) && str_eq(str(j, "ev"), want[at]))
            at++;
        json_decref(j);
    }
    assert_int_equal(at, ARRAY_LEN(want));
    start(g);
}

int main(void)
{
    log_set_level(LOG_ERROR + 1); /* failures are provoked here by the dozen */
    faultvfs_register();
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define D(fn) cmocka_unit_test_setup_teardown(fn, setup_dir, teardown_dir)
    const struct CMUnitTest tests[] = {
        T(test_full_disk),
        T(test_fault_at_every_write_of_a_request),
        T(test_recorder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
