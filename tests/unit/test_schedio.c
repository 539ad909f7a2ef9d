/* The scheduler's effects: configuration, queue, core thread with a store that fails, and the API over
 * a real unix socket. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/io/api.h"
#include "scheduler/io/config.h"
#include "scheduler/io/corethread.h"
#include "scheduler/io/store.h"
#include "scheduler/plan/snapshot.h"
#include "scheduler/snap/snap.h"
#include "tests/unit/faultvfs.h"

struct rig {
    char dir[64], db[96], sock[96], rec[96];
    struct loop *loop;
    struct http *http;
    struct api api;
    struct queue *queue;
    struct corethread *core;
    pthread_t thread;
    pthread_mutex_t lock;
    size_t sent;       /* frames for agents */
    int64_t restarted; /* term of the last restart */
};

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void out_send(void *arg, struct outgoing *list, size_t n)
{
    struct rig *g = arg;
    pthread_mutex_lock(&g->lock);
    g->sent += n;
    pthread_mutex_unlock(&g->lock);
    for (size_t i = 0; i < n; i++) {
        free(list[i].host);
        free(list[i].text);
    }
    free(list);
}

static void out_reply(void *arg, uint64_t id, int status, char *body)
{
    struct rig *g = arg;
    http_reply(g->http, id, status, NULL, body, strlen(body));
}

static void out_reply_shared(void *arg, uint64_t id, const struct http_shared *b)
{
    struct rig *g = arg;
    http_reply_shared(g->http, id, b);
}

static void out_restart(void *arg, int64_t term)
{
    struct rig *g = arg;
    pthread_mutex_lock(&g->lock);
    g->restarted = term;
    pthread_mutex_unlock(&g->lock);
}

static void out_ended(void *arg)
{
    (void)arg;
}

static void start(struct rig *g)
{
    struct err e = {0};
    assert_int_equal(loop_new(&g->loop, &e), 0);
    g->queue = queue_new();
    g->api.queue = g->queue;
    assert_int_equal(
        http_new(
            &(struct http_config){.loop = g->loop, .on_request = api_on_request, .arg = &g->api},
            &g->http, &e),
        0);
    assert_int_equal(http_listen_unix(g->http, g->sock, NULL, &e), 0);
    struct policy p;
    policy_default(&p);
    const struct corethread_config cc = {
        .database = g->db,
        .vfs = "fault",
        .recorder = g->rec,
        .heartbeat_us = SEC,
        .retry_us = 20 * MSEC,
        .queue = g->queue,
        .out = {g, out_send, out_reply, out_reply_shared, out_restart, out_ended},
    };
    if (corethread_open(&cc, &p, &g->core, &e) < 0)
        fail_msg("%s", e.msg);
    corethread_start(g->core);
    assert_int_equal(pthread_create(&g->thread, NULL, run_loop, g->loop), 0);
}

static void stop(struct rig *g)
{
    queue_close(g->queue);
    corethread_free(g->core);
    loop_stop(g->loop);
    pthread_join(g->thread, NULL);
    http_free(g->http);
    loop_free(g->loop);
    queue_free(g->queue);
}

static int setup_dir(void **state)
{
    struct rig *g = xcalloc(1, sizeof(*g));
    snprintf(g->dir, sizeof(g->dir), "/tmp/drover-io-XXXXXX");
    assert_non_null(mkdtemp(g->dir));
    snprintf(g->db, sizeof(g->db), "%s/drover.db", g->dir);
    snprintf(g->sock, sizeof(g->sock), "%s/api.sock", g->dir);
    snprintf(g->rec, sizeof(g->rec), "%s/rec", g->dir);
    pthread_mutex_init(&g->lock, NULL);
    fault = (struct fault){0};
    *state = g;
    return 0;
}

static int setup(void **state)
{
    setup_dir(state);
    start(*state);
    return 0;
}

static int teardown_dir(void **state)
{
    struct rig *g = *state;
    nftw(g->dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
    free(g);
    return 0;
}

static int teardown(void **state)
{
    stop(*state);
    return teardown_dir(state);
}

/* ---- a blocking client ------------------------------------------------------------------------ */
struct ask {
    const char *method, *path, *headers, *body;
};

/* Gives the body as JSON. */
static json_t *call(const struct rig *g, const struct ask *a, int *ret_status)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", g->sock);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    const char *body = a->body ? a->body : "";
    cleanup(freep) char *text = xasprintf(
        "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s",
        a->method, a->path, strlen(body), a->headers ? a->headers : "", body);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    char *in = NULL;
    size_t len = 0;
    for (ssize_t n = 1; n > 0; len += (size_t)n) {
        in = xrealloc(in, len + 65537, 1);
        n = read(fd, in + len, 65536);
        assert_true(n >= 0);
    }
    close(fd);
    in[len] = '\0';
    assert_int_equal(sscanf(in, "HTTP/1.1 %d", ret_status), 1);
    const char *start_of_body = strstr(in, "\r\n\r\n");
    assert_non_null(start_of_body);
    json_t *j = json_loads(start_of_body + 4, 0, NULL);
    if (!j)
        fail_msg("no JSON: %s", in);
    free(in);
    return j;
}

static json_t *get(const struct rig *g, const char *path, int want)
{
    int status;
    json_t *j = call(g, &(struct ask){.method = "GET", .path = path}, &status);
    assert_int_equal(status, want);
    return j;
}

static json_t *post(const struct rig *g, const char *body, const char *key, int want)
{
    int status;
    cleanup(freep) char *h = key ? xasprintf("Idempotency-Key: %s\r\n", key) : NULL;
    const struct ask a = {"POST", "/v1/requests", h, body};
    json_t *j = call(g, &a, &status);
    if (status != want)
        fail_msg("%d, not %d: %s", status, want, json_string_value(json_object_get(j, "message")));
    return j;
}

static const char *str(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "";
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not contain '%s'", text, part);
}

static void refused(const struct rig *g, const char *body, const char *code, const char *part)
{
    json_t *j = post(g, body, NULL, 400);
    assert_string_equal(str(j, "schema"), "drover.error/1");
    assert_string_equal(str(j, "code"), code);
    has(str(j, "message"), part);
    json_decref(j);
}

/* What an agent of h1 with one VM would cause. */
static void agent_reports(const struct rig *g)
{
    struct item *up = item_new(ITEM_AGENT_UP);
    up->host = xstrdup("h1");
    up->instance = xstrdup("i1");
    assert_int_equal(queue_push(g->queue, up), 0);
    struct item *m = item_new(ITEM_MSG);
    m->host = xstrdup("h1");
    static const char text[] =
        "{\"v\":1,\"id\":1,\"re\":0,\"type\":\"report\",\"body\":{\"seq\":1,\"full\":true,"
        "\"has_host\":true,\"host\":{\"name\":\"h1\",\"mem_bytes\":1000000,\"libvirt_up\":true},"
        "\"vms\":[{\"uuid\":\"u1\",\"name\":\"web-1\",\"state\":\"running\",\"mem_bytes\":1000}]}}";
    struct err e;
    if (msg_decode(text, strlen(text), &m->msg, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(queue_push(g->queue, m), 0);
}

static json_t *first(const json_t *j, const char *list)
{
    return json_array_get(json_object_get(j, list), 0);
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
    refused(g, "{}", "bad_member", "verb: missing");
    refused(g, "{\"verb\":\"drian\"}", "bad_member", "verb: unknown word");
    refused(g, "{\"verb\":\"drain\",\"dryrun\":true}", "bad_member", "did you mean 'dry_run'?");
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

/* A plan that nobody applied, and a VM that another hand moved back twice. */
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
    assert_int_equal(store_commit(s, &e), 0);
    store_close(s);
    start(g);
    assert_true(health_has(g, "PLAN_WAITS"));
    assert_true(health_has(g, "VM_CONTESTED"));
    json_t *j = post(g, "{\"verb\":\"cancel\",\"run\":5}", NULL, 202);
    assert_string_equal(str(j, "message"), "run/5: declined; nothing was moved");
    json_decref(j);
    assert_false(health_has(g, "PLAN_WAITS"));
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

static void config_text(const struct rig *g, const char *text, char **ret_path)
{
    *ret_path = xasprintf("%s/scheduler.yaml", g->dir);
    assert_int_equal(file_write(*ret_path, text, strlen(text), 0644, NULL), 0);
}

static void test_config(void **state)
{
    cleanup(freep) char *path = NULL;
    config_text(*state,
                "listen: 10.0.0.1:7440\nsocket: /x/api.sock\nsocket_group: ops\ndatabase: /x/d.db\n"
                "policy: /x/policy\ncert: a\nkey: b\nca: c\nrecorder: /x/rec\nheartbeat: 2s\n"
                "api: {listen: \"[::]:7441\"}\n",
                &path);
    struct config c;
    struct err e = {0};
    if (config_load(path, &c, &e) < 0)
        fail_msg("%s", e.msg);
    assert_string_equal(c.listen, "10.0.0.1:7440");
    assert_string_equal(c.socket_group, "ops");
    assert_string_equal(c.api_listen, "[::]:7441");
    assert_int_equal(c.heartbeat_us, 2 * SEC);
    config_done(&c);
    free(take(path));
    config_text(*state, "# all defaults\n", &path);
    assert_int_equal(config_load(path, &c, &e), 0);
    assert_string_equal(c.socket, "/run/drover/api.sock");
    assert_int_equal(c.heartbeat_us, 5 * SEC);
    assert_null(c.policy);
    config_done(&c);
}

static void test_config_errors(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"lisen: x:1\n", ":1:1: unknown key 'lisen'; did you mean 'listen'?"},
        {"cert: a\n\napi:\n  lsten: x:1\n",
         ":4:3: unknown key 'api.lsten'; did you mean 'listen'?"},
        {"cert: a\nkey: b\ncert: c\n", ":3:1: key 'cert' is given twice"},
        {"cert: [a]\n", ":1:7: 'cert': expected a text"},
        {"cert:\n", ":1:6: 'cert': expected a text"},
        {"api: yes\n", ":1:6: expected 'key: value' lines"},
        {"listen: 7440\n", ":1:9: 'listen': expected ADDRESS:PORT, got '7440'"},
        {"heartbeat: fast\n", ":1:12: 'fast' is not a duration such as 90s, 10m or 1h30m"},
        {"heartbeat: 1h\n", ":1:12: expected 100ms to 10m"},
        {"- a\n", ":1:1: expected 'key: value' lines"},
        {"cert: {\n", "not YAML"},
        {"cert: *nowhere\n", "not YAML"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cleanup(freep) char *path = NULL;
        config_text(*state, cases[i].text, &path);
        struct config c;
        struct err e = {0};
        assert_int_equal(config_load(path, &c, &e), -EINVAL);
        has(e.msg, path);
        has(e.msg, cases[i].want);
    }
    struct config c;
    struct err e = {0};
    assert_int_equal(config_load("/nonexistent.yaml", &c, &e), -ENOENT);
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
        T(test_health_names_runs_that_need_somebody),
        T(test_health_names_what_waits_for_people),
        T(test_suspended_is_never_green),
        T(test_full_disk),
        T(test_fault_at_every_write_of_a_request),
        T(test_recorder),
        cmocka_unit_test(test_queue_limits),
        D(test_config),
        D(test_config_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
