/* The scheduler's effects: the core thread behind the API over a real unix socket, and its queue. */
#include "tests/unit/schedask.h"

static void refused(const struct rig *g, const char *body, const char *code, const char *part)
{
    json_t *j = post(g, body, NULL, 400);
    assert_string_equal(str(j, "schema"), "drover.error/1");
    assert_string_equal(str(j, "code"), code);
    has(str(j, "message"), part);
    json_decref(j);
}

/* ---- API ------------------------------------------------------------------------------------- */
static void test_reading(void **state)
{
    const struct rig *g = *state;
    json_t *j = get(g, "/v1/version", 200);
    assert_string_equal(str(j, "schema"), "drover.version/1");
    assert_string_equal(str(j, "version"), DROVER_VERSION);
    json_decref(j);
    j = get(g, "/v1/hosts", 200);
    assert_true(json_is_array(json_object_get(j, "hosts"))); /* none = [] */
    json_decref(j);
    agent_reports(g);
    j = get(g, "/v1/vms", 200);
    assert_string_equal(str(j, "schema"), "drover.vms/1");
    assert_string_equal(str(first(j, "vms"), "name"), "web-1");
    json_decref(j);
    j = get(g, "/v1/explain?vm=web-1", 200);
    assert_string_equal(str(j, "schema"), "drover.explain/1");
    json_decref(j);
    j = get(g, "/v1/snapshot", 200);
    assert_string_equal(str(j, "schema"), "drover.snapshot/1");
    assert_string_equal(str(first(j, "vms"), "host"), str(first(j, "hosts"), "name"));
    cleanup(freep) char *text = codec_text(j);
    struct snap fleet;
    struct err e;
    assert_int_equal(snap_parse("answer", text, strlen(text), &fleet, &e), 0);
    assert_string_equal(fleet.vms[0].name, "web-1");
    snap_done(&fleet);
    json_decref(j);
    j = get(g, "/v1/journal?after=1&limit=1", 200);
    assert_int_equal(json_array_size(json_object_get(j, "entries")), 1);
    assert_int_equal(json_integer_value(json_object_get(first(j, "entries"), "seq")), 2);
    json_decref(j);
    j = get(g, "/v1/health", 200);
    assert_string_equal(str(j, "store"), "ok");
    json_decref(j);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *method, *path, *code, *part;
        int status;
    } cases[] = {
        {"GET", "/v1/nope", "unknown_path", "/v1/nope", 404},
        {"GET", "/v1/hosts/h1", "unknown_path", "/v1/hosts/h1", 404},
        {"POST", "/v1/hosts", "bad_method", "takes GET, not POST", 405},
        {"GET", "/v1/requests", "bad_method", "takes POST, not GET", 405},
        {"GET", "/v1/runs/abc", "bad_parameter", "'abc' is not a whole number", 400},
        {"GET", "/v1/runs/0", "bad_parameter", "out of range", 400},
        {"GET", "/v1/runs/7", "not_found", "no run/7", 404},
        {"GET", "/v1/runs/7?aftr=1", "bad_parameter", "did you mean 'after'?", 400},
        {"GET", "/v1/journal?after=-1", "bad_parameter", "'after'", 400},
        {"GET", "/v1/explain", "bad_parameter", "'vm' is missing", 400},
        {"GET", "/v1/explain?vm=ghost", "not_found", "no VM 'ghost'", 404},
    };
    const struct rig *g = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int status;
        json_t *j =
            call(g, &(struct ask){.method = cases[i].method, .path = cases[i].path}, &status);
        assert_int_equal(status, cases[i].status);
        assert_string_equal(str(j, "schema"), "drover.error/1");
        assert_string_equal(str(j, "code"), cases[i].code);
        has(str(j, "message"), cases[i].part);
        json_decref(j);
    }
    refused(g, "{\"verb\":", "bad_json", "line 1");
    refused(g, "[]", "bad_json", "object");
    refused(g, "{}", "bad_member", "verb: is missing");
    refused(g, "{\"verb\":\"drian\"}", "bad_member", "verb: unknown word");
    refused(g, "{\"verb\":\"drain\",\"dryrun\":true}", "unknown_member",
            "did you mean \"dry_run\"?");
    refused(g, "{\"verb\":\"label\",\"labels\":[{\"key\":\"a\",\"value\":\"b\",\"ttl\":1}]}",
            "unknown_member", "labels[0].ttl: unknown member");
    refused(g, "{\"verb\":\"drain\",\"dry_run\":1}", "bad_member", "dry_run: expected");
    refused(g, "{\"verb\":\"drain\",\"to\":[1]}", "bad_member", "to[0]");
}

static void test_actor_is_not_from_the_body(void **state)
{
    const struct rig *g = *state;
    agent_reports(g);
    json_decref(post(g, "{\"verb\":\"cordon\",\"host\":\"h1\",\"actor\":\"the pope\"}", NULL, 200));
    json_t *j = get(g, "/v1/hosts", 200);
    has(str(first(j, "hosts"), "actor"), "(uid ");
    json_decref(j);
}

static void test_same_key_same_reply(void **state)
{
    struct rig *g = *state;
    agent_reports(g);
    static const char cordon[] = "{\"verb\":\"cordon\",\"host\":\"h1\"}";
    static const char resume[] = "{\"verb\":\"resume\",\"host\":\"h1\"}";
    json_t *one = post(g, cordon, "k1", 200);
    json_decref(post(g, resume, "k2", 200));
    json_t *again = post(g, cordon, "k1", 200);
    assert_true(json_equal(one, again));
    json_decref(again);
    json_t *j = get(g, "/v1/hosts", 200);
    assert_string_equal(str(first(j, "hosts"), "state"), "up"); /* it was not done again */
    json_decref(j);
    j = post(g, resume, "k1", 422);
    assert_string_equal(str(j, "code"), "key_reused");
    json_decref(j);
    stop(g);
    sqlite3 *db; /* what is kept of a request is the same in each version: what was said */
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(g->db, &db), SQLITE_OK);
    static const char kept[] = "SELECT count(*) FROM requests WHERE key = 'k1' AND "
                               "request NOT LIKE '%dry_run%' AND request LIKE '%cordon%'";
    assert_int_equal(sqlite3_prepare_v2(db, kept, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(st, 0), 1);
    sqlite3_finalize(st);
    sqlite3_close(db);
    start(g);
    again = post(g, cordon, "k1", 200); /* also after a restart */
    assert_true(json_equal(one, again));
    json_decref(again);
    json_decref(one);
}

static void test_restart_remembers(void **state)
{
    struct rig *g = *state;
    agent_reports(g);
    json_decref(post(g, "{\"verb\":\"cordon\",\"host\":\"h1\",\"reason\":\"disk\"}", NULL, 200));
    stop(g);
    start(g);
    json_t *j = get(g, "/v1/hosts", 200);
    assert_string_equal(str(first(j, "hosts"), "state"), "cordoned");
    assert_string_equal(str(first(j, "hosts"), "reason"), "disk");
    assert_false(json_is_true(json_object_get(first(j, "hosts"), "connected")));
    json_decref(j);
    j = get(g, "/v1/vms", 200);
    assert_string_equal(str(first(j, "vms"), "name"), "web-1");
    json_decref(j);
    j = get(g, "/v1/health", 200);
    assert_int_equal(json_integer_value(json_object_get(j, "term")), 2);
    assert_string_equal(str(first(j, "checks"), "name"), "AGENT_DOWN");
    json_decref(j);
}

static void newest_sample(void *arg, const struct sample *x)
{
    *(int64_t *)arg = x->wall_us;
}
static void no_host(void *arg, const struct host_rec *h)
{
    (void)arg;
    (void)h;
}

static int64_t sampled_wall_us(const struct rig *g)
{
    struct store *s;
    int64_t seq, wall_us = -1;
    struct store_sink sink = {.arg = &wall_us, .host = no_host, .sample = newest_sample};
    assert_int_equal(store_open(&(struct store_options){.path = g->db}, &s, NULL), 0);
    assert_int_equal(store_load(s, &sink, &seq, NULL), 0);
    store_close(s);
    return wall_us;
}

/* Rows of load are written in turn, each half an hour: an orderly stop writes them all. */
static void test_stop_keeps_load(void **state)
{
    struct rig *g = *state;
    stop(g);
    int64_t now = clock_wall_us();
    char name[] = "h9";
    const struct host_rec rec = {.name = name, .state = HOST_UP, .last = {.name = name}};
    struct sample old = {.host = name, .name = name, .wall_us = 5};
    struct series cpu;
    series_init(&cpu);
    for (int64_t ago = 15; ago >= 0; ago--)
        series_add(&cpu, (struct series_time){now - ago * 60 * SEC, now - ago * 60 * SEC}, 700,
                   60 * SEC);
    series_keep(&cpu, &old.kept);
    struct store *s;
    assert_int_equal(store_open(&(struct store_options){.path = g->db}, &s, NULL), 0);
    assert_int_equal(store_begin(s, NULL), 0);
    store_put_host(s, &rec);
    store_put_sample(s, &old);
    assert_int_equal(store_commit(s, NULL), 0);
    store_close(s);
    shape_done(&series_kept_shape, &old.kept);
    start(g);
    stop(g);
    assert_true(sampled_wall_us(g) >= now);
    start(g);
    json_t *j = get(g, "/v1/hosts", 200);
    json_t *load = json_object_get(first(j, "hosts"), "cpu");
    assert_int_equal(json_integer_value(json_object_get(load, "h1_mcpu")), 700);
    json_decref(j);
}

static bool health_has(const struct rig *g, const char *code)
{
    json_t *j = get(g, "/v1/health", 200), *item;
    bool found = false;
    size_t i;
    json_array_foreach(json_object_get(j, "checks"), i, item) found =
        found || str_eq(str(item, "name"), code);
    json_decref(j);
    return found;
}

static void test_health_names_runs_that_need_somebody(void **state)
{
    struct rig *g = *state;
    stop(g);
    struct store *s;
    struct err e = {0};
    char host[] = "h9", waits[] = "waits: Ceph is HEALTH_ERR: 1 full osd(s)";
    struct run run;
    shape_init(&run_shape, &run);
    run.id = 5;
    run.kind = RUN_DRAIN;
    run.state = RUN_PARTLY;
    run.host = host;
    const struct host_rec rec = {
        .name = host, .state = HOST_CORDONED, .run = 5, .last = {.name = host}};
    assert_int_equal(store_open(&(struct store_options){.path = g->db}, &s, &e), 0);
    assert_int_equal(store_begin(s, &e), 0);
    store_put_run(s, &run);
    store_put_host(s, &rec);
    run.id = 6;
    run.kind = RUN_BALANCE;
    run.state = RUN_RUNNING;
    run.host = NULL;
    run.message = waits;
    store_put_run(s, &run);
    assert_int_equal(store_commit(s, &e), 0);
    store_close(s);
    start(g);
    assert_true(health_has(g, "DRAIN_BLOCKED"));
    assert_true(health_has(g, "CEPH_PAUSES"));
    json_decref(
        post(g, "{\"verb\":\"resume\",\"host\":\"h9\"}", NULL, 200)); /* decided: all is well */
    assert_false(health_has(g, "DRAIN_BLOCKED"));
}

/* A plan that nobody applied, a VM that another hand moved back twice, a move that failed twice. */
static void test_health_names_what_waits_for_people(void **state)
{
    struct rig *g = *state;
    stop(g);
    struct store *s;
    struct err e = {0};
    char h1[] = "h1", h2[] = "h2", web[] = "web";
    const int64_t now = clock_wall_us(), hour = INT64_C(3600) * SEC;
    struct run plan, drain;
    struct move m;
    struct vm v;
    shape_init(&run_shape, &plan);
    shape_init(&run_shape, &drain);
    shape_init(&move_shape, &m);
    shape_init(&vm_shape, &v);
    plan.id = 5;
    plan.kind = RUN_BALANCE;
    plan.state = RUN_PROPOSED;
    plan.vms = 2;
    drain.id = 4;
    drain.state = RUN_DONE;
    v.uuid = v.name = m.vm = m.vm_name = web;
    v.state = VM_RUNNING;
    m.run = 4;
    m.from = h1;
    m.to = h2;
    m.state = JOB_DONE;
    const struct host_rec rec = {.name = h1, .last = {.name = h1}};
    assert_int_equal(store_open(&(struct store_options){.path = g->db}, &s, &e), 0);
    assert_int_equal(store_begin(s, &e), 0);
    store_put_run(s, &drain);
    store_put_run(s, &plan);
    store_put_host(s, &rec);
    store_put_vm(s, h1, &v, now);
    for (m.id = 1; m.id <= 2; m.id++) {
        m.ended_wall_us = now - hour + m.id * SEC;
        store_put_move(s, &m);
    }
    m.state = JOB_FAILED;
    for (; m.id <= 4; m.id++) {
        struct run failed = plan;
        failed.id = m.run = 6 + m.id;
        failed.state = RUN_PARTLY;
        store_put_run(s, &failed);
        m.copy_wall_us = m.ended_wall_us = now - m.id * SEC;
        store_put_move(s, &m);
    }
    assert_int_equal(store_commit(s, &e), 0);
    store_close(s);
    start(g);
    assert_true(health_has(g, "PLAN_WAITS"));
    assert_true(health_has(g, "VM_CONTESTED"));
    assert_true(health_has(g, "MOVES_FAIL"));
    json_t *j = post(g, "{\"verb\":\"cancel\",\"run\":5}", NULL, 202);
    assert_string_equal(str(j, "message"), "run/5: declined; nothing was moved");
    json_decref(j);
    assert_false(health_has(g, "PLAN_WAITS"));
}

/* An upgrade that is not finished is shown; the same version is no news. */
static void test_health_names_agents_of_another_version(void **state)
{
    static const struct {
        const char *version, *code, *text;
    } cases[] = {
        {"0.0.9", "AGENT_OLD",
         "1 agent is older than this scheduler (" DROVER_VERSION "): h1 (0.0.9)"},
        {"99.1.0", "SCHEDULER_OLD",
         "1 agent is newer than this scheduler (" DROVER_VERSION "): h1 (99.1.0)"},
        {DROVER_VERSION, NULL, NULL},
    };
    const struct rig *g = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        agent_reports_as(g, cases[i].version);
        cleanup(json_decrefp) json_t *j = get(g, "/v1/health", 200);
        const json_t *only = first(j, "checks");
        assert_int_equal(json_array_size(json_object_get(j, "checks")), cases[i].code ? 1 : 0);
        assert_string_equal(str(only, "name"), cases[i].code ? cases[i].code : "");
        assert_string_equal(str(only, "text"), cases[i].text ? cases[i].text : "");
        assert_string_equal(str(j, "status"), cases[i].code ? "warning" : "ok");
    }
}

static void test_suspended_is_never_green(void **state)
{
    struct rig *g = *state;
    json_decref(post(g, "{\"verb\":\"suspend_balance\",\"reason\":\"new disks\"}", NULL, 200));
    for (int life = 0; life < 2; life++) {
        json_t *j = get(g, "/v1/policy", 200);
        assert_string_equal(str(j, "state"), "suspended");
        const json_t *x = json_object_get(j, "suspended");
        assert_string_equal(str(x, "reason"), "new disks");
        has(str(x, "actor"), "(uid ");
        assert_true(json_integer_value(json_object_get(x, "since_wall_us")) > 0);
        json_decref(j);
        j = get(g, "/v1/health", 200);
        assert_string_equal(str(json_object_get(j, "policy"), "state"), "suspended");
        assert_string_not_equal(str(j, "status"), "ok");
        json_decref(j);
        assert_true(health_has(g, "BALANCE_SUSPENDED"));
        stop(g);
        start(g);
    }
    json_decref(post(g, "{\"verb\":\"resume_balance\"}", NULL, 200));
    assert_false(health_has(g, "BALANCE_SUSPENDED"));
    json_t *j = get(g, "/v1/policy", 200);
    assert_string_equal(str(j, "state"), "in-force");
    assert_null(json_object_get(j, "suspended"));
    json_decref(j);
}

/* ---- queue and configuration ------------------------------------------------------------------ */
static void test_queue_limits(void **state)
{
    (void)state;
    struct queue *q = queue_new();
    struct item *big = item_new(ITEM_MSG);
    big->cost = (size_t)LIM_EVENT_BYTES + 1;
    assert_int_equal(queue_push(q, big), -ENOBUFS);
    for (int i = 0; i < LIM_EVENT_QUEUE; i++)
        assert_int_equal(queue_push(q, item_new(ITEM_MSG)), 0);
    big->cost = 0;
    assert_int_equal(queue_push(q, big), -ENOBUFS);
    item_free(big);
    assert_int_equal(queue_push(q, item_new(ITEM_AGENT_DOWN)), 0); /* never lost */
    struct item **items;
    size_t n;
    assert_true(queue_take(q, 0, &items, &n));
    assert_int_equal(n, LIM_EVENT_QUEUE + 1);
    assert_int_equal(items[n - 1]->type, ITEM_AGENT_DOWN); /* in order */
    for (size_t i = 0; i < n; i++)
        item_free(items[i]);
    free(items);
    queue_close(q);
    struct item *late = item_new(ITEM_AGENT_DOWN);
    assert_int_equal(queue_push(q, late), -ESHUTDOWN);
    item_free(late);
    assert_false(queue_take(q, SEC, &items, &n));
    free(items);
    queue_free(q);
}

int main(void)
{
    log_set_level(LOG_ERROR + 1); /* failures are provoked here by the dozen */
    faultvfs_register();
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define D(fn) cmocka_unit_test_setup_teardown(fn, setup_dir, teardown_dir)
    const struct CMUnitTest tests[] = {
        T(test_reading),
        T(test_refusals),
        T(test_actor_is_not_from_the_body),
        T(test_same_key_same_reply),
        T(test_restart_remembers),
        T(test_stop_keeps_load),
        T(test_health_names_runs_that_need_somebody),
        T(test_health_names_what_waits_for_people),
        T(test_health_names_agents_of_another_version),
        T(test_suspended_is_never_green),
        cmocka_unit_test(test_queue_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
