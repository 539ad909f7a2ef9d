/* The whole agent in this process, on libvirt's test driver, against a scheduler played here. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <libvirt/libvirt.h>

#include "agent/io/agent.h"
#include "lib/base/clock.h"
#include "lib/net/listener.h"
#include "lib/wire/msg.h"
#include "tests/unit/netfix.h"

#define URI "test:///default"

enum { GOT_MAX = 256 };

struct world {
    struct loop *loop;
    struct tls *tls;
    struct listener *listener;
    struct conn *conn;      /* of the agent */
    int64_t term, next_id, heartbeat_us;
    struct msg got[GOT_MAX]; /* everything but heartbeats */
    int n_got, conns;
    bool closed;
    struct agent *agent;
    /* until(): what is waited for */
    enum msg_type want;
    int64_t want_re;
    int from;
    bool found;
};

static void look(struct world *w)
{
    for (int i = w->from; i < w->n_got && !w->found; i++)
        w->found = w->got[i].type == w->want && (w->want_re == 0 || w->got[i].re == w->want_re);
    if (w->found)
        loop_stop(w->loop);
}

static int64_t say(struct world *w, enum msg_type type, int64_t re, void *body)
{
    const struct msg m = {.id = ++w->next_id, .re = re, .type = type, .body = body};
    cleanup(freep) char *text = msg_encode(&m);
    assert_int_equal(conn_send(w->conn, text, strlen(text), NULL), 0);
    return m.id;
}

static void on_frame(void *arg, struct conn *c, const char *text, size_t len)
{
    struct world *w = arg;
    struct msg m;
    struct err e = {0};
    (void)c;
    if (msg_decode(text, len, &m, &e) < 0)
        fail_msg("the agent sent: %s", e.msg);
    if (m.type == MSG_HEARTBEAT) {
        msg_done(&m);
        return;
    }
    assert_true(w->n_got < GOT_MAX);
    w->got[w->n_got++] = m;
    if (m.type == MSG_HELLO) {
        struct welcome hi = {.proto = 1, .term = w->term, .heartbeat_us = w->heartbeat_us,
                             .wall_us = clock_wall_us()};
        say(w, MSG_WELCOME, m.id, &hi);
    }
    look(w);
}

static void on_closed(void *arg, struct conn *c, const struct err *why)
{
    struct world *w = arg;
    (void)why;
    if (c != w->conn)
        return;
    w->conn = NULL;
    w->closed = true;
    loop_stop(w->loop);
}

static void on_conn(void *arg, struct conn *c)
{
    static const struct conn_cb cb = {.on_frame = on_frame, .on_closed = on_closed};
    struct world *w = arg;
    assert_string_equal(conn_peer(c)->name, "h1");
    w->conn = c;
    w->closed = false;
    w->conns++;
    conn_bind(c, &cb, w);
}

/* Wait for a message of that type (answering re, if not 0) after the first `from` messages. */
static const struct msg *until(struct world *w, int from, enum msg_type type, int64_t re)
{
    w->from = from;
    w->want = type;
    w->want_re = re;
    w->found = false;
    look(w);
    if (!w->found)
        fix_run(w->loop, &w->found);
    for (int i = from; i < w->n_got; i++)
        if (w->got[i].type == type && (re == 0 || w->got[i].re == re))
            return &w->got[i];
    return NULL;
}

static char *text(const char *s)
{
    return xstrdup(s);
}

static struct agent *agent_new(struct world *w)
{
    struct agent *a = xcalloc(1, sizeof(*a));
    struct err e = {0};
    a->loop = w->loop;
    a->tls = fix_tls("ours/h1", "ours", false);
    *vec_add(&a->cfg.schedulers, &a->cfg.n_schedulers) =
        xasprintf("127.0.0.1:%d", listener_port(w->listener));
    a->cfg.libvirt = text(URI);
    a->cfg.ceph_conf = text("/nowhere/ceph.conf");
    a->cfg.state = text(fix_dir);
    a->cfg.zone = text("z1");
    a->cfg.resync_us = 3600 * SEC;
    a->cfg.link_bps = -1;
    a->clock_skew_us = -1;
    snprintf(a->instance, sizeof(a->instance), "one-process");
    rng_init(&a->rng, 1);
    a->workers = workers_new(a->loop);
    const struct rbd_client_config rc = {.helper = "/nowhere/helper", .conf = a->cfg.ceph_conf};
    a->rbd = rbd_client_new(&rc);
    a->cmds = cmds_new();
    a->reporter = reporter_new();
    a->commands = commands_new(a);
    a->progress = progress_new(a);
    a->inventory = inventory_new(a);
    if (session_new(a, &a->session, &e) < 0)
        fail_msg("%s", e.msg);
    return a;
}

static int world_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    struct err e = {0};
    assert_int_equal(loop_new(&w->loop, NULL), 0);
    w->tls = fix_tls("ours/s1", "ours", false);
    w->term = 3;
    w->heartbeat_us = 5 * SEC;
    const struct listener_config cfg = {.loop = w->loop, .tls = w->tls, .address = "127.0.0.1:0",
                                        .roles = ROLE_BIT(ROLE_AGENT), .on_conn = on_conn, .arg = w};
    if (listener_new(&cfg, &w->listener, &e) < 0)
        fail_msg("%s", e.msg);
    w->agent = agent_new(w);
    *state = w;
    return 0;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

/* Until no thread of the agent is left: what it is made of is about to be freed. */
static void settle(struct world *w)
{
    struct timer *t = timer_new(w->loop, stop, w->loop);
    while (workers_active(w->agent->workers)) {
        timer_set(t, MSEC);
        loop_run(w->loop);
    }
    timer_free(t);
}

static int world_down(void **state)
{
    struct world *w = *state;
    struct agent *a = w->agent;
    session_free(a->session);
    a->session = NULL;
    settle(w);
    inventory_free(a->inventory);
    progress_free(a->progress);
    commands_free(a->commands);
    workers_free(a->workers);
    hv_free(a->hv);
    rbd_client_free(a->rbd);
    reporter_free(a->reporter);
    cmds_free(a->cmds);
    config_done(&a->cfg);
    tls_free(a->tls);
    free(a);
    conn_free(w->conn);
    listener_free(w->listener);
    loop_free(w->loop);
    tls_free(w->tls);
    for (int i = 0; i < w->n_got; i++)
        msg_done(&w->got[i]);
    free(w);
    return 0;
}

/* The first full report: hosts' whole truth. */
static const struct report *full_report(struct world *w, int from)
{
    for (int i = from;; i++) {
        if (i == w->n_got)
            until(w, i, MSG_REPORT, 0);
        if (w->got[i].type == MSG_REPORT && ((const struct report *)w->got[i].body)->full)
            return w->got[i].body;
    }
}

static void hello_then_the_whole_truth(void **state)
{
    struct world *w = *state;
    const struct hello *h = until(w, 0, MSG_HELLO, 0)->body;
    assert_string_equal(h->host, "h1");
    assert_string_equal(h->instance, "one-process");
    assert_string_equal(h->agent_version, DROVER_VERSION);
    assert_int_equal(h->proto_min, WIRE_PROTO_MIN);
    assert_non_null(h->boot_id);
    const struct report *r = full_report(w, 0);
    assert_true(r->has_host);
    assert_string_equal(r->host.name, "h1");
    assert_string_equal(r->host.zone, "z1");
    assert_true(r->host.libvirt_up);
    assert_null(r->host.ceph_fsid);
    assert_int_equal(r->n_vms, 1);
    assert_string_equal(r->vms[0].name, "test");
    /* nothing before it said that nothing is there */
    for (int i = 0; i < w->n_got; i++)
        if (w->got[i].type == MSG_REPORT && w->got[i].body != r)
            assert_false(((const struct report *)w->got[i].body)->full);
}

static void changes_are_told(void **state)
{
    struct world *w = *state;
    full_report(w, 0);
    int from = w->n_got;
    virConnectPtr c = virConnectOpen(URI);
    virDomainPtr d = virDomainLookupByName(c, "test");
    assert_int_equal(virDomainSuspend(d), 0);
    const struct report *r = until(w, from, MSG_REPORT, 0)->body;
    assert_false(r->full);
    assert_int_equal(r->n_vms, 1);
    assert_int_equal(r->vms[0].state, VM_PAUSED);
    from = w->n_got;
    assert_int_equal(virDomainResume(d), 0);
    r = until(w, from, MSG_REPORT, 0)->body;
    assert_int_equal(r->vms[0].state, VM_RUNNING);
    virDomainFree(d);
    virConnectClose(c);
}

static void commands_are_answered(void **state)
{
    struct world *w = *state;
    char *uuid = full_report(w, 0)->vms[0].uuid;
    int from = w->n_got;
    struct census census = {.term = 3};
    struct check_host check_host = {.term = 3};
    struct disk disk = {.target = (char *)(uintptr_t) "vda", .kind = DISK_RBD,
                        .pool = (char *)(uintptr_t) "p", .image = (char *)(uintptr_t) "i"};
    struct probe probe = {.term = 3, .job = 8, .attempt = 2, .vm = uuid, .disks = &disk, .n_disks = 1};
    struct check_vms check = {.term = 3, .as_source = true};
    struct vm v;
    shape_init(&vm_shape, &v);
    v.uuid = uuid;
    v.name = (char *)(uintptr_t) "test";
    v.state = VM_RUNNING;
    check.vms = &v;
    check.n_vms = 1;
    int64_t ids[] = {say(w, MSG_CENSUS, 0, &census), say(w, MSG_CHECK_HOST, 0, &check_host),
                     say(w, MSG_PROBE, 0, &probe), say(w, MSG_CHECK_VMS, 0, &check)};
    const struct counted *counted = until(w, from, MSG_COUNTED, ids[0])->body;
    assert_true(counted->ok);
    assert_int_equal(counted->n_running, 1);
    const struct host_checked *hc = until(w, from, MSG_HOST_CHECKED, ids[1])->body;
    assert_true(hc->n_items >= 6);
    assert_string_equal(hc->items[0].name, "libvirt");
    assert_int_equal(hc->items[0].verdict, 0);
    const struct probed *p = until(w, from, MSG_PROBED, ids[2])->body;
    assert_int_equal(p->seen, SEEN_RUNNING);
    assert_int_equal(p->job, 8);
    assert_int_equal(p->attempt, 2);
    assert_int_equal(p->n_images, 1); /* no helper here: said so, not left out */
    assert_false(p->images[0].ok);
    assert_string_equal(p->images[0].code, "ceph_error");
    const struct vms_checked *vc = until(w, from, MSG_VMS_CHECKED, ids[3])->body;
    assert_int_equal(vc->n_verdicts, 1);
    assert_int_equal(vc->verdicts[0].n_reasons, 0);
}

static void an_order_is_carried_out_once(void **state)
{
    struct world *w = *state;
    char *uuid = full_report(w, 0)->vms[0].uuid;
    int from = w->n_got;
    /* the test driver cannot migrate peer to peer: an error after libvirt was asked */
    struct migrate m = {.term = 3, .job = 1, .attempt = 1, .vm = uuid, .live = true,
                        .dst_uri = (char *)(uintptr_t) "test:///other"};
    int64_t id = say(w, MSG_MIGRATE, 0, &m);
    const struct migrated *r = until(w, from, MSG_MIGRATED, id)->body;
    assert_false(r->ok);
    assert_true(r->began);
    id = say(w, MSG_MIGRATE, 0, &m);
    const struct migrated *again = until(w, from, MSG_MIGRATED, id)->body;
    assert_string_equal(again->error, r->error);
    assert_int_equal(again->total_us, r->total_us); /* the same result, not a second try */
    struct abort_job a = {.term = 3, .job = 99, .attempt = 1, .vm = uuid};
    id = say(w, MSG_ABORT, 0, &a);
    const struct done *d = until(w, from, MSG_DONE, id)->body;
    assert_false(d->ok);
    assert_non_null(strstr(d->error, "not begun by Drover"));
    struct census old = {.term = 2};
    id = say(w, MSG_CENSUS, 0, &old);
    const struct counted *c = until(w, from, MSG_COUNTED, id)->body;
    assert_false(c->ok);
    assert_non_null(strstr(c->error, "higher term"));
}

static void it_comes_back_and_reports_anew(void **state)
{
    struct world *w = *state;
    full_report(w, 0);
    int from = w->n_got;
    conn_free(w->conn);
    w->conn = NULL;
    /* a result of an act that ends while nobody listens, and one of a check that nobody will miss */
    struct done *d = cmds_body(MSG_DONE);
    d->job = 5;
    d->ok = true;
    struct msg kept = {.re = 77, .type = MSG_DONE, .body = d};
    struct msg lost = {.re = 78, .type = MSG_VMS_CHECKED, .body = cmds_body(MSG_VMS_CHECKED)};
    until(w, from, MSG_HELLO, 0); /* connected again, not welcome yet */
    session_answer(w->agent->session, &kept);
    session_answer(w->agent->session, &lost);
    assert_null(kept.body);
    const struct report *r = full_report(w, from);
    assert_int_equal(r->seq, 1);
    assert_true(r->has_host);
    const struct done *got = until(w, from, MSG_DONE, 77)->body;
    assert_int_equal(got->job, 5);
    for (int i = from; i < w->n_got; i++)
        assert_int_not_equal(w->got[i].type, MSG_VMS_CHECKED);
    assert_int_equal(w->conns, 2);
}

static void a_lower_term_is_left(void **state)
{
    struct world *w = *state;
    full_report(w, 0);
    int from = w->n_got;
    w->term = 2;
    conn_free(w->conn);
    w->conn = NULL;
    const struct bye *b = until(w, from, MSG_BYE, 0)->body;
    assert_string_equal(b->code, "term");
    for (int i = from; i < w->n_got; i++)
        assert_int_not_equal(w->got[i].type, MSG_REPORT);
}

static void nonsense_ends_the_connection(void **state)
{
    struct world *w = *state;
    full_report(w, 0);
    int from = w->n_got;
    struct hello odd = {.host = (char *)(uintptr_t) "x", .instance = (char *)(uintptr_t) "y"};
    say(w, MSG_HELLO, 0, &odd);
    const struct bye *b = until(w, from, MSG_BYE, 0)->body;
    assert_string_equal(b->code, "protocol");
    from = w->n_got;
    until(w, from, MSG_HELLO, 0);
    full_report(w, from);
    from = w->n_got;
    assert_int_equal(conn_send(w->conn, "{\"v\":1}", 7, NULL), 0);
    b = until(w, from, MSG_BYE, 0)->body;
    assert_string_equal(b->code, "protocol");
}

/* Of a newer scheduler: members besides are ignored, a command that it does not know ends the session. */
static void a_newer_scheduler(void **state)
{
    struct world *w = *state;
    full_report(w, 0);
    int from = w->n_got;
    static const char more[] = "{\"v\":1,\"id\":900,\"re\":0,\"type\":\"census\",\"tomorrow\":[1],"
                               "\"body\":{\"term\":3,\"politely\":true}}";
    assert_int_equal(conn_send(w->conn, more, strlen(more), NULL), 0);
    const struct counted *c = until(w, from, MSG_COUNTED, 900)->body;
    assert_true(c->ok);
    static const char levitate[] =
        "{\"v\":1,\"id\":901,\"re\":0,\"type\":\"levitate\",\"body\":{\"term\":3}}";
    assert_int_equal(conn_send(w->conn, levitate, strlen(levitate), NULL), 0);
    const struct bye *b = until(w, from, MSG_BYE, 0)->body;
    assert_string_equal(b->code, "protocol");
    assert_string_equal(b->error, "type: unknown message \"levitate\"");
    static const char next[] = "{\"v\":2,\"id\":1,\"type\":\"census\",\"body\":{\"term\":3}}";
    from = w->n_got;
    full_report(w, from);
    from = w->n_got;
    assert_int_equal(conn_send(w->conn, next, strlen(next), NULL), 0);
    b = until(w, from, MSG_BYE, 0)->body;
    assert_string_equal(b->code, "version");
    assert_string_equal(b->error, "v: frame of version 2, this side reads 1; install matching versions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hello_then_the_whole_truth, world_up, world_down),
        cmocka_unit_test_setup_teardown(changes_are_told, world_up, world_down),
        cmocka_unit_test_setup_teardown(commands_are_answered, world_up, world_down),
        cmocka_unit_test_setup_teardown(an_order_is_carried_out_once, world_up, world_down),
        cmocka_unit_test_setup_teardown(it_comes_back_and_reports_anew, world_up, world_down),
        cmocka_unit_test_setup_teardown(a_lower_term_is_left, world_up, world_down),
        cmocka_unit_test_setup_teardown(nonsense_ends_the_connection, world_up, world_down),
        cmocka_unit_test_setup_teardown(a_newer_scheduler, world_up, world_down),
    };
    return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
