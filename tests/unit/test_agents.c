/* The scheduler's side of agent sessions, over real mutual TLS on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/base/log.h"
#include "lib/net/dialer.h"
#include "lib/net/sha256.h"
#include "scheduler/io/agents.h"
#include "tests/unit/netfix.h"

struct rig;
struct peer { /* an agent played by the test */
    struct rig *g;
    struct tls *tls;
    struct dialer *dialer;
    struct conn *conn;
    bool closed;
    int heartbeats;
    struct msg *got; /* all but heartbeats */
    size_t n_got;
};
struct rig {
    struct loop *loop;
    struct queue *queue;
    struct tls *tls;
    struct agents *agents;
    struct item **items; /* what the core was told */
    size_t n_items;
};

static void on_frame(void *arg, struct conn *c, const char *text, size_t len)
{
    struct peer *p = arg;
    struct msg m;
    struct err e;
    (void)c;
    if (msg_decode(text, len, &m, &e) < 0)
        fail_msg("%s", e.msg);
    if (m.type == MSG_HEARTBEAT) {
        p->heartbeats++;
        msg_done(&m);
    } else {
        *(struct msg *)vec_add(&p->got, &p->n_got) = m;
    }
    loop_stop(p->g->loop);
}

static void on_closed(void *arg, struct conn *c, const struct err *why)
{
    struct peer *p = arg;
    (void)c;
    (void)why;
    p->closed = true;
    p->conn = NULL;
    loop_stop(p->g->loop);
}

static void on_open(void *arg, struct conn *c)
{
    static const struct conn_cb cb = {.on_frame = on_frame, .on_closed = on_closed};
    struct peer *p = arg;
    p->conn = c;
    conn_bind(c, &cb, p);
    loop_stop(p->g->loop);
}

static void stuck(void *arg)
{
    (void)arg;
    fail_msg("nothing happened for 20 s");
}

/* Serve until the number reaches want; the guard is no time that a good run takes. */
static void until(struct rig *g, const size_t *n, size_t want)
{
    struct timer *guard = timer_new(g->loop, stuck, NULL);
    timer_set(guard, 20 * SEC);
    while (*n < want)
        loop_run(g->loop);
    timer_free(guard);
}

static void until_closed(struct peer *p)
{
    fix_run(p->g->loop, &p->closed);
}

static void setup_rig(struct rig *g, int64_t heartbeat_us)
{
    struct err e;
    assert_int_equal(loop_new(&g->loop, &e), 0);
    g->queue = queue_new();
    g->tls = fix_tls("ours/s1", "ours", false);
    g->agents = agents_new(&(struct agents_config){
        .loop = g->loop, .queue = g->queue, .heartbeat_us = heartbeat_us, .term = 7});
    if (agents_listen(g->agents, "127.0.0.1:0", g->tls, &e) < 0)
        fail_msg("%s", e.msg);
}

static void done_rig(struct rig *g)
{
    agents_free(g->agents);
    tls_free(g->tls);
    loop_free(g->loop);
    for (size_t i = 0; i < g->n_items; i++)
        item_free(g->items[i]);
    free(g->items);
    queue_free(g->queue);
}

static void dial(struct rig *g, struct peer *p, const char *cert)
{
    char address[32];
    const char *list[] = {address};
    snprintf(address, sizeof(address), "127.0.0.1:%d", agents_port(g->agents));
    *p = (struct peer){.g = g};
    p->tls = fix_tls(cert, "ours", false);
    const struct dialer_config cfg = {.loop = g->loop,
                                      .tls = p->tls,
                                      .addresses = list,
                                      .n_addresses = 1,
                                      .roles = ROLE_BIT(ROLE_SCHEDULER),
                                      .seed = 1,
                                      .on_open = on_open,
                                      .arg = p};
    struct err e;
    assert_int_equal(dialer_new(&cfg, &p->dialer, &e), 0);
    while (!p->conn)
        loop_run(g->loop);
}

static void hang_up(struct peer *p)
{
    conn_free(p->conn);
    dialer_free(p->dialer);
    tls_free(p->tls);
    for (size_t i = 0; i < p->n_got; i++)
        msg_done(&p->got[i]);
    free(p->got);
}

static void say(struct peer *p, const char *json)
{
    struct err e;
    if (conn_send(p->conn, json, strlen(json), &e) < 0)
        fail_msg("%s", e.msg);
}

#define FRAME(type, body) "{\"v\":1,\"id\":1,\"re\":0,\"type\":\"" type "\",\"body\":" body "}"
#define HELLO(host, min, max)                                                                      \
    FRAME("hello", "{\"proto_min\":" min ",\"proto_max\":" max ",\"host\":\"" host                 \
                   "\",\"agent_version\":\"0.1\",\"instance\":\"i1\",\"wall_us\":1}")
#define GOOD HELLO("h1", "1", "1")

/* What is in the queue now, appended to g->items. */
static void collect(struct rig *g)
{
    struct item **list;
    size_t n;
    queue_take(g->queue, 0, &list, &n);
    for (size_t i = 0; i < n; i++)
        *(struct item **)vec_add(&g->items, &g->n_items) = list[i];
    free(list);
}

static void is_item(const struct rig *g, size_t at, enum item_type type, const char *host)
{
    assert_true(at < g->n_items);
    assert_int_equal(g->items[at]->type, type);
    assert_string_equal(g->items[at]->host, host);
}

static void is_bye(const struct peer *p, const char *code, const char *part)
{
    assert_true(p->n_got > 0);
    const struct msg *m = &p->got[p->n_got - 1];
    assert_int_equal(m->type, MSG_BYE);
    const struct bye *b = m->body;
    assert_string_equal(b->code, code);
    if (!strstr(b->error, part))
        fail_msg("'%s' does not contain '%s'", b->error, part);
}

/* ---- tests ----------------------------------------------------------------------------------- */
static void welcome_and_frames(void **state)
{
    (void)state;
    struct rig g = {0};
    struct peer p;
    setup_rig(&g, 5 * SEC);
    dial(&g, &p, "ours/h1");
    say(&p, GOOD);
    until(&g, &p.n_got, 1);
    const struct welcome *w = p.got[0].body;
    assert_int_equal(p.got[0].type, MSG_WELCOME);
    assert_int_equal(p.got[0].re, 1);
    assert_int_equal(w->term, 7);
    assert_int_equal(w->proto, 1);
    assert_int_equal(w->heartbeat_us, 5 * SEC);
    say(&p,
        FRAME("report", "{\"seq\":1,\"full\":true,\"has_host\":true,\"host\":{\"name\":\"h1\"}}"));
    say(&p, FRAME("bye", "{\"code\":\"shutdown\"}"));
    agents_send(g.agents, "h1", FRAME("census", "{\"term\":7}"));
    agents_send(g.agents, "h2", FRAME("census", "{\"term\":7}")); /* nobody there: dropped */
    until(&g, &p.n_got, 2);
    assert_int_equal(p.got[1].type, MSG_CENSUS);
    conn_free(take(p.conn)); /* abrupt */
    while (g.n_items < 3) {
        struct timer *t = timer_new(g.loop, (void (*)(void *))loop_stop, g.loop);
        timer_set(t, MSEC);
        loop_run(g.loop);
        timer_free(t);
        collect(&g);
    }
    is_item(&g, 0, ITEM_AGENT_UP, "h1");
    assert_string_equal(g.items[0]->instance, "i1");
    is_item(&g, 1, ITEM_MSG, "h1");
    assert_int_equal(g.items[1]->msg.type, MSG_REPORT);
    assert_true(g.items[1]->cost > 0);
    is_item(&g, 2, ITEM_AGENT_DOWN, "h1");
    assert_int_equal(g.n_items, 3); /* the bye is not for the core */
    hang_up(&p);
    done_rig(&g);
}

/* A session that breaks a rule: what it says, and what it is told. welcomed: after a good hello. */
static void rules(void **state)
{
    (void)state;
    static const struct {
        bool welcomed;
        const char *say, *code, *part;
    } t[] = {
        {false, HELLO("h2", "1", "1"), "identity",
         "hello names host 'h2', the certificate names 'h1'"},
        {false, HELLO("h1", "2", "9"), "version", "speaks protocol 2 to 9"},
        {false, HELLO("h1", "0", "0"), "version", "install matching versions"},
        {false, FRAME("report", "{\"seq\":1}"), "protocol", "first message must be a hello"},
        {false, "garbage", "protocol", "not JSON"},
        {false, "{\"v\":9,\"id\":1,\"re\":0,\"type\":\"hello\",\"body\":{}}", "version", "v"},
        {true, "{\"v\":1", "protocol", "not JSON"},
        {true, GOOD, "protocol", "may not send 'hello'"},
        {true, FRAME("census", "{\"term\":1}"), "protocol", "may not send 'census'"},
        {true, FRAME("dance", "{}"), "protocol", "dance"},
        {true, FRAME("report", "{\"seq\":\"x\"}"), "protocol", "seq: expected"},
        {true, FRAME("report", "{\"seq\":1,\"has_host\":true,\"host\":{\"name\":\"h9\"}}"),
         "protocol", "'h9' on a connection of host 'h1'"},
        {true, FRAME("report", "{\"seq\":2}"), "protocol", "report.seq: 2 where 1 was due"},
        {true,
         FRAME("report", "{\"seq\":1,\"vms\":[{\"uuid\":\"u\",\"name\":\"n\",\"state\":\"running\","
                         "\"xml_digest\":\"DEAD\"}]}"),
         "protocol", "report.vms[0].xml_digest: expected 64 hex digits"},
        {true, FRAME("xml", "{\"texts\":[{\"digest\":\"x\",\"text\":\"<domain/>\"}]}"), "protocol",
         "xml.texts[0]: expected 64 hex digits"},
    };
    struct rig g = {0};
    setup_rig(&g, 5 * SEC);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct peer p;
        dial(&g, &p, "ours/h1");
        if (t[i].welcomed) {
            say(&p, GOOD);
            until(&g, &p.n_got, 1);
        }
        say(&p, t[i].say);
        until_closed(&p);
        is_bye(&p, t[i].code, t[i].part);
        size_t before = g.n_items;
        collect(&g);
        assert_int_equal(g.n_items - before, t[i].welcomed ? 2 : 0); /* up and down, or nothing */
        if (t[i].welcomed)
            is_item(&g, g.n_items - 1, ITEM_AGENT_DOWN, "h1");
        hang_up(&p);
    }
    done_rig(&g);
}

/* What a newer agent says besides is ignored, and a range of protocols meets in the middle. */
static void newer_agent_is_taken(void **state)
{
    (void)state;
    struct rig g = {0};
    struct peer p;
    setup_rig(&g, 5 * SEC);
    dial(&g, &p, "ours/h1");
    say(&p, "{\"v\":1,\"id\":1,\"type\":\"hello\",\"tomorrow\":1,\"body\":{\"proto_min\":1,\"proto_max\":"
            "9,\"host\":\"h1\",\"instance\":\"i1\",\"sings\":true}}");
    until(&g, &p.n_got, 1);
    assert_int_equal(p.got[0].type, MSG_WELCOME);
    assert_int_equal(((const struct welcome *)p.got[0].body)->proto, WIRE_PROTO_MAX);
    say(&p, FRAME("report", "{\"seq\":1,\"full\":true,\"has_host\":true,\"host\":{\"name\":\"h1\","
                            "\"mood\":{\"now\":\"good\"}},\"songs\":[1]}"));
    while (g.n_items < 2) {
        struct timer *t = timer_new(g.loop, (void (*)(void *))loop_stop, g.loop);
        timer_set(t, MSEC);
        loop_run(g.loop);
        timer_free(t);
        collect(&g);
    }
    is_item(&g, 1, ITEM_MSG, "h1");
    assert_false(p.closed);
    hang_up(&p);
    done_rig(&g);
}

static void newer_connection_replaces(void **state)
{
    (void)state;
    struct rig g = {0};
    struct peer one, two;
    setup_rig(&g, 5 * SEC);
    dial(&g, &one, "ours/h1");
    say(&one, GOOD);
    until(&g, &one.n_got, 1);
    dial(&g, &two, "ours/h1");
    say(&two, GOOD);
    until_closed(&one);
    is_bye(&one, "replaced", "a newer connection");
    until(&g, &two.n_got, 1);
    agents_send(g.agents, "h1", FRAME("census", "{\"term\":7}"));
    until(&g, &two.n_got, 2);
    collect(&g);
    assert_int_equal(g.n_items, 3);
    is_item(&g, 0, ITEM_AGENT_UP, "h1");
    is_item(&g, 1, ITEM_AGENT_DOWN, "h1"); /* before the new one is up: the core sees a restart */
    is_item(&g, 2, ITEM_AGENT_UP, "h1");
    hang_up(&one);
    hang_up(&two);
    done_rig(&g);
}

#define BOOTED(boot)                                                                               \
    FRAME("hello", "{\"proto_min\":1,\"proto_max\":1,\"host\":\"h1\",\"instance\":\"i1\","         \
                   "\"boot_id\":\"" boot "\"}")

/* One certificate on two machines: the second is turned away, the first does not notice. */
static void twin_is_refused(void **state)
{
    (void)state;
    struct rig g = {0};
    struct peer one, twin, again;
    setup_rig(&g, 5 * SEC);
    dial(&g, &one, "ours/h1");
    say(&one, BOOTED("b1"));
    until(&g, &one.n_got, 1);
    dial(&g, &twin, "ours/h1");
    say(&twin, BOOTED("b2"));
    until_closed(&twin);
    is_bye(&twin, "identity", "each host needs a certificate of its own");
    assert_false(one.closed);
    dial(&g, &again, "ours/h1"); /* the same boot: its agent was restarted */
    say(&again, BOOTED("b1"));
    until_closed(&one);
    is_bye(&one, "replaced", "a newer connection");
    until(&g, &again.n_got, 1);
    collect(&g);
    assert_int_equal(g.n_items, 3);
    is_item(&g, 0, ITEM_AGENT_UP, "h1");
    hang_up(&one);
    hang_up(&twin);
    hang_up(&again);
    done_rig(&g);
}

static void silent_agent_is_down(void **state)
{
    (void)state;
    struct rig g = {0};
    struct peer p;
    setup_rig(&g, 20 * MSEC);
    dial(&g, &p, "ours/h1");
    say(&p, GOOD); /* and then no heartbeats */
    until_closed(&p);
    assert_true(p.heartbeats > 0); /* the scheduler's own went on */
    collect(&g);
    assert_int_equal(g.n_items, 2);
    is_item(&g, 1, ITEM_AGENT_DOWN, "h1");
    hang_up(&p);
    done_rig(&g);
}

/* An agent of an earlier version reports texts: the core gets digests, and texts go past it. */
static void xml_goes_past_the_core(void **state)
{
    (void)state;
    struct rig g = {0};
    struct peer p;
    setup_rig(&g, 5 * SEC);
    dial(&g, &p, "ours/h1");
    say(&p, GOOD);
    until(&g, &p.n_got, 1);
    say(&p, FRAME("report", "{\"seq\":1,\"full\":true,\"vms\":[{\"uuid\":\"u\",\"name\":\"n\","
                            "\"state\":\"running\",\"xml\":\"<domain/>\"}]}"));
    cleanup(freep) char *digest = sha256_of("<domain/>");
    cleanup(freep) char *answer = xasprintf(
        FRAME("xml", "{\"texts\":[{\"digest\":\"%s\",\"text\":\"<domain/>\"},"
                     "{\"digest\":\"%s\",\"text\":\"<other/>\"}]}"),
        digest, digest);
    say(&p, answer);
    while (g.n_items < 3) {
        struct timer *t = timer_new(g.loop, (void (*)(void *))loop_stop, g.loop);
        timer_set(t, MSEC);
        loop_run(g.loop);
        timer_free(t);
        collect(&g);
    }
    assert_false(g.items[0]->sends_xml); /* it said no such thing in its hello */
    const struct report *r = g.items[1]->msg.body;
    assert_null(r->vms[0].xml);
    assert_string_equal(r->vms[0].xml_digest, digest);
    assert_int_equal(g.items[1]->xml.n, 1);
    assert_true(g.items[1]->xml.list[0].reported);
    const struct xml_texts *x = g.items[2]->msg.body;
    assert_string_equal(x->texts[0].text, "");
    assert_null(x->texts[1].text); /* not what it is called */
    assert_int_equal(g.items[2]->xml.n, 1);
    assert_string_equal(g.items[2]->xml.list[0].digest, digest);
    hang_up(&p);
    done_rig(&g);
}

static void restart_raises_the_term(void **state)
{
    (void)state;
    struct rig g = {0};
    struct peer p, q, again;
    setup_rig(&g, 5 * SEC);
    dial(&g, &p, "ours/h1");
    say(&p, GOOD);
    until(&g, &p.n_got, 1);
    dial(&g, &q, "ours/h2");
    say(&q, HELLO("h2", "1", "1"));
    until(&g, &q.n_got, 1);
    agents_restart(g.agents, 8);
    until_closed(&p);
    until_closed(&q);
    is_bye(&p, "term", "report again");
    is_bye(&q, "term", "report again");
    dial(&g, &again, "ours/h1");
    say(&again, GOOD);
    until(&g, &again.n_got, 1);
    assert_int_equal(((const struct welcome *)again.got[0].body)->term, 8);
    hang_up(&p);
    hang_up(&q);
    hang_up(&again);
    done_rig(&g);
}

int main(void)
{
    log_set_level(LOG_ERROR + 1); /* refusals are provoked here by the dozen */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(welcome_and_frames),        cmocka_unit_test(rules),
        cmocka_unit_test(newer_agent_is_taken),
        cmocka_unit_test(newer_connection_replaces), cmocka_unit_test(silent_agent_is_down),
        cmocka_unit_test(restart_raises_the_term),   cmocka_unit_test(twin_is_refused),
        cmocka_unit_test(xml_goes_past_the_core),
    };
    return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
