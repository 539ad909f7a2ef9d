#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/wire/frame.h"
#include "lib/wire/msg.h"
#include "tests/unit/networld.h"

/* ---- tests ----------------------------------------------------------------------------------- */
static void talk(void **state)
{
    (void)state;
    struct world w = {0};
    connect_both(&w);
    assert_string_equal(conn_peer(w.server.conn)->name, "h1");
    assert_int_equal(conn_peer(w.server.conn)->role, ROLE_AGENT);
    assert_string_equal(conn_peer(w.agent.conn)->name, "s1");
    assert_int_equal(conn_peer(w.agent.conn)->role, ROLE_SCHEDULER);
    assert_int_equal(conn_send(w.agent.conn, "{\"a\":1}", 7, NULL), 0);
    assert_int_equal(conn_send(w.server.conn, "{\"s\":1}", 7, NULL), 0);
    while (!w.agent.frames || !w.server.frames)
        loop_run(w.loop);
    assert_string_equal(w.server.last, "{\"a\":1}");
    assert_string_equal(w.agent.last, "{\"s\":1}");
    /* the largest frame, then many small ones, in order */
    cleanup(freep) char *big = xcalloc(1, LIM_FRAME_BYTES);
    memset(big, 'x', LIM_FRAME_BYTES);
    assert_int_equal(conn_send(w.agent.conn, big, LIM_FRAME_BYTES, NULL), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(conn_send(w.agent.conn, "0123456789", (size_t)(1 + i % 10), NULL), 0);
    while (w.server.frames < 1002)
        loop_run(w.loop);
    assert_int_equal(w.server.bytes, 7 + LIM_FRAME_BYTES + 5500);
    conn_free(w.agent.conn);
    w.agent.conn = NULL;
    until(&w, &w.server.closed);
    says(&w.server.why, -ECONNRESET, "the peer closed the connection");
    close_world(&w);
}

/* who connects, with which certificate, to whom, and what each is told */
static void refused_certificates(void **state)
{
    (void)state;
    static const struct {
        const char *server, *agent;
        bool by_server;
        int code;
        const char *text;
        const char *told; /* what the other side reads of it */
    } t[] = {
        {"ours/s1", "other/h1", true, -EKEYREJECTED, "which is not our CA", "another CA"},
        {"ours/s1", "ours/late", true, -EKEYEXPIRED, "CN=late expired on 20", "expired"},
        {"ours/s1", "ours/early", true, -EKEYEXPIRED, "CN=early is valid only from 20",
         "cannot be verified"},
        {"other/s1", "ours/h1", false, -EKEYREJECTED, "which is not our CA", "another CA"},
        {"ours/late", "ours/h1", false, -EKEYEXPIRED, "expired on 20", "expired"},
        {"ours/h2", "ours/h1", false, -EKEYREJECTED,
         "'h2' has the role agent, but here scheduler is expected", NULL},
        {"ours/olga", "ours/h1", false, -EKEYREJECTED, "'olga' has the role operator", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct world w = {0};
        open_world(&w, t[i].server, t[i].agent);
        if (t[i].by_server) {
            until(&w, &w.refused);
            says(&w.why_refused, t[i].code, t[i].text);
            assert_false(w.accepted);
            while (!w.failed && !w.agent.closed) /* its handshake may end before it is refused */
                loop_run(w.loop);
            says(w.failed ? &w.why_failed : &w.agent.why, -EKEYREJECTED, t[i].told);
        } else {
            until(&w, &w.failed);
            says(&w.why_failed, t[i].code, t[i].text);
            assert_false(w.opened);
            assert_true(w.waited_us >= 0 && w.waited_us <= 3600 * SEC);
            if (t[i].told) {
                until(&w, &w.refused);
                says(&w.why_refused, -EKEYREJECTED, t[i].told);
            }
        }
        close_world(&w);
    }
}

static void wrong_role_is_told(void **state)
{
    (void)state;
    struct world w = {0};
    open_world(&w, "ours/s1", "ours/olga");
    until(&w, &w.agent.closed);
    assert_true(w.refused);
    assert_false(w.accepted);
    says(&w.why_refused, -EKEYREJECTED, "'olga' has the role operator, but here agent is expected");
    assert_int_equal(w.agent.frames, 1);
    struct msg m;
    assert_int_equal(msg_decode(w.agent.last, strlen(w.agent.last), &m, NULL), 0);
    assert_int_equal(m.type, MSG_BYE);
    const struct bye *bye = m.body;
    assert_string_equal(bye->code, "identity");
    assert_non_null(strstr(bye->error, "role operator"));
    msg_done(&m);
    close_world(&w);
}

static void no_certificate(void **state)
{
    (void)state;
    struct world w = {0};
    open_world(&w, "ours/s1", NULL);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)listener_port(w.listener))};
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    SSL_set_connect_state(ssl);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (!w.refused) {
        SSL_do_handshake(ssl);
        struct timer *t = timer_new(w.loop, (void (*)(void *))(void *)loop_stop, w.loop);
        timer_set(t, 1000);
        loop_run(w.loop);
        timer_free(t);
    }
    says(&w.why_refused, -EKEYREJECTED, "no certificate");
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    close_world(&w);
}

static void plain_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "hello, is this the agent port?\n",
        "\x16\x03\x01\xff\xff garbage after a TLS header ........."};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct world w = {0};
        open_world(&w, "ours/s1", NULL);
        struct raw r = {.send = texts[i], .n_send = strlen(texts[i]), .hold = true};
        raw_start(&r, &w);
        until(&w, &w.refused);
        says(&w.why_refused, -EPROTO, "does not speak TLS: is it the wrong port?");
        raw_end(&r);
        close_world(&w);
    }
}

static void handshake_never_ends(void **state)
{
    (void)state;
    struct world w = {.handshake_us = 30 * MSEC};
    open_world(&w, "ours/s1", NULL);
    struct raw r = {.hold = true};
    raw_start(&r, &w);
    until(&w, &w.refused);
    says(&w.why_refused, -ETIMEDOUT, "TLS handshake not finished after 30 ms");
    raw_end(&r);
    close_world(&w);
}

/* More idle strangers than handshakes are allowed: they pass, and the agent gets its turn. */
static void strangers_do_not_lock_out(void **state)
{
    (void)state;
    struct world w = {.handshake_us = 300 * MSEC};
    open_world(&w, "ours/s1", "ours/h1");
    int fds[LIM_HANDSHAKES + 40];
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)listener_port(w.listener))};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&sin, sizeof(sin)), 0);
    }
    until(&w, &w.accepted);
    while (w.refusals < (int)ARRAY_LEN(fds))
        loop_run(w.loop);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    close_world(&w);
}

static void bad_streams(void **state)
{
    (void)state;
    static const struct {
        const char *send;
        size_t n;
        bool hold;
        int code;
        const char *text;
    } t[] = {
        {"\x00\x40\x00\x01{", 5, true, -E2BIG, "frame of 4194305 bytes"},
        {"\xff\xff\xff\xff", 4, true, -E2BIG, "frame of 4294967295 bytes"},
        {"\x00\x00\x00\x00", 4, true, -EBADMSG, "frame of length 0"},
        {"\x00\x00\x00\x09{\"a\":", 9, false, -ECONNRESET,
         "closed the connection in the middle of a frame"},
        {"\x00\x00", 2, false, -ECONNRESET, "in the middle of a frame"},
        {"", 0, false, -ECONNRESET, "the peer closed the connection"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct world w = {0};
        open_world(&w, "ours/s1", NULL);
        struct raw r = {.who = "ours/h1", .send = t[i].send, .n_send = t[i].n, .hold = t[i].hold};
        raw_start(&r, &w);
        until(&w, &w.server.closed);
        says(&w.server.why, t[i].code, t[i].text);
        assert_int_equal(w.server.frames, 0);
        raw_end(&r);
        close_world(&w);
    }
}

/* Good frames before the bad one still arrive. */
static void frames_before_the_end(void **state)
{
    (void)state;
    struct world w = {0};
    open_world(&w, "ours/s1", NULL);
    struct raw r = {.who = "ours/h1", .send = "\0\0\0\x02{}\0\0\0\x02[]\0\0\0\0", .n_send = 16};
    raw_start(&r, &w);
    until(&w, &w.server.closed);
    assert_int_equal(w.server.frames, 2);
    assert_string_equal(w.server.last, "[]");
    says(&w.server.why, -EBADMSG, "length 0");
    raw_end(&r);
    close_world(&w);
}

static void peer_does_not_read(void **state)
{
    (void)state;
    struct world w = {0};
    open_world(&w, "ours/s1", NULL);
    struct raw r = {.who = "ours/h1", .hold = true};
    raw_start(&r, &w);
    until(&w, &w.accepted);
    cleanup(freep) char *mib = xcalloc(1, MIB);
    memset(mib, 'm', MIB);
    struct err e;
    int sent = 0, rc;
    while ((rc = conn_send(w.server.conn, mib, MIB, &e)) == 0 && sent < 100)
        sent++;
    assert_int_equal(rc, -ENOBUFS);
    assert_true(sent >= LIM_CONN_QUEUE_BYTES / (int)MIB - 1);
    assert_false(w.server.closed); /* not from within conn_send */
    assert_int_equal(conn_send(w.server.conn, mib, MIB, NULL), -ENOTCONN);
    until(&w, &w.server.closed);
    says(&w.server.why, -ENOBUFS, "the peer does not read");
    raw_end(&r);
    close_world(&w);
}

static void heartbeats(void **state)
{
    (void)state;
    struct world w = {0};
    connect_both(&w);
    /* three missed are the end: on a busy machine this process may stand still for 100 ms */
    conn_heartbeat(w.server.conn, 200 * MSEC);
    conn_heartbeat(w.agent.conn, 200 * MSEC);
    while ((w.server.beats < 3 || w.agent.beats < 3) && !w.server.closed && !w.agent.closed)
        loop_run(w.loop);
    assert_false(w.server.closed || w.agent.closed);
    conn_heartbeat(w.agent.conn, 0); /* falls silent */
    until(&w, &w.server.closed);
    says(&w.server.why, -ETIMEDOUT, "nothing received for");
    until(&w, &w.agent.closed);
    close_world(&w);
}

/* A peer that goes on beating, while this side does not get round to reading. */
struct two_loops {
    struct side here, there;
    struct tls *tls[2];
};

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void run_for(struct loop *l, int64_t us)
{
    struct timer *t = timer_new(l, stop_loop, l);
    int64_t until_us = clock_mono_us() + us;
    while (clock_mono_us() < until_us) { /* frames stop the loop, too */
        timer_set(t, until_us - clock_mono_us());
        loop_run(l);
    }
    timer_free(t);
}

static void open_two(struct two_loops *t)
{
    struct side *sides[2] = {&t->here, &t->there};
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(loop_new(&sides[i]->loop, NULL), 0);
        t->tls[i] = fix_tls(i ? "ours/h1" : "ours/s1", "ours", true);
        const struct conn_open o = {.loop = sides[i]->loop,
                                    .tls = t->tls[i],
                                    .server = i == 0,
                                    .roles = ROLE_BIT(i ? ROLE_SCHEDULER : ROLE_AGENT)};
        sides[i]->conn = conn_new(&o, fds[i], &side_cb, sides[i]);
    }
    for (int i = 0; i < 20; i++) {
        run_for(t->there.loop, 5 * MSEC);
        run_for(t->here.loop, 5 * MSEC);
    }
}

static void busy_is_not_silent(void **state)
{
    (void)state;
    struct two_loops t = {0};
    open_two(&t);
    conn_heartbeat(t.here.conn, 100 * MSEC);
    conn_heartbeat(t.there.conn, 100 * MSEC);
    run_for(t.there.loop, 250 * MSEC);
    conn_heartbeat(t.there.conn, 0); /* its last word waits for us */
    run_for(t.there.loop, 300 * MSEC);
    run_for(t.here.loop, 50 * MSEC);
    assert_false(t.here.closed);
    assert_true(t.here.beats >= 1);
    conn_send(t.there.conn, "\"still here\"", 12, NULL);
    run_for(t.there.loop, 50 * MSEC);
    run_for(t.here.loop, 50 * MSEC);
    assert_string_equal(t.here.last, "\"still here\"");
    /* and one that really says nothing is given up */
    for (int i = 0; i < 40 && !t.here.closed; i++)
        run_for(t.here.loop, 50 * MSEC);
    says(&t.here.why, -ETIMEDOUT, "nothing received for");
    conn_free(t.here.conn);
    conn_free(t.there.conn);
    for (int i = 0; i < 2; i++)
        tls_free(t.tls[i]);
    loop_free(t.here.loop);
    loop_free(t.there.loop);
}

static void say_bye(struct world *w)
{
    conn_send(w->server.conn, "\"bye\"", 5, NULL);
    conn_finish(w->server.conn);
    w->server.conn = NULL;
}

/* The last words arrive although the peer is in the middle of telling us a lot. */
static void polite_end(void **state)
{
    (void)state;
    struct world w = {.on_accept = say_bye};
    open_world(&w, "ours/s1", "ours/h1");
    until(&w, &w.opened);
    cleanup(freep) char *mib = xcalloc(1, MIB);
    memset(mib, 'm', MIB);
    for (int i = 0; i < 8 && !w.agent.closed; i++)
        conn_send(w.agent.conn, mib, MIB, NULL);
    until(&w, &w.agent.closed);
    assert_int_equal(w.agent.frames, 1);
    assert_string_equal(w.agent.last, "\"bye\"");
    close_world(&w);
}

static void finish_before_loop_ends(void **state)
{
    (void)state;
    struct world w = {.on_accept = say_bye};
    open_world(&w, "ours/s1", "ours/h1");
    until(&w, &w.accepted);
    close_world(&w); /* leak checker: the lingering connection goes with the loop */
}

static void free_within_frame(void **state)
{
    (void)state;
    struct world w = {0};
    connect_both(&w);
    w.server.free_at = 2;
    for (int i = 0; i < 10; i++)
        conn_send(w.agent.conn, "{}", 2, NULL);
    until(&w, &w.agent.closed);
    assert_int_equal(w.server.frames, 2);
    assert_false(w.server.closed);
    close_world(&w);
}

/* ---- dialer ---------------------------------------------------------------------------------- */
static void dialer_walks_addresses(void **state)
{
    (void)state;
    struct world w = {0};
    open_world(&w, "ours/s1", NULL);
    char good[40];
    snprintf(good, sizeof(good), "localhost:%d", listener_port(w.listener)); /* asks the resolver */
    const char *addresses[] = {"127.0.0.1:1", "no-such-host.invalid:9", good};
    w.agent_tls = fix_tls("ours/h1", "ours", false);
    struct dialer_config dc = {.loop = w.loop,
                               .tls = w.agent_tls,
                               .addresses = addresses,
                               .n_addresses = 3,
                               .roles = ROLE_BIT(ROLE_SCHEDULER),
                               .seed = 1,
                               .base_us = 1000,
                               .max_us = 2000,
                               .on_open = on_open,
                               .on_failed = on_failed,
                               .arg = &w};
    assert_int_equal(dialer_new(&dc, &w.dialer, NULL), 0);
    until(&w, &w.failed);
    says(&w.why_failed, -ECONNREFUSED, "connect: Connection refused");
    assert_string_equal(w.failed_address, "127.0.0.1:1");
    w.failed = false;
    until(&w, &w.failed);
    says(&w.why_failed, -EHOSTUNREACH, "resolve 'no-such-host.invalid'");
    until(&w, &w.opened);
    assert_int_equal(w.failures, 2);
    dialer_settled(w.dialer);
    conn_free(w.agent.conn);
    w.agent.conn = NULL;
    w.opened = false;
    assert_true(dialer_retry(w.dialer) <= 1000); /* settled: short again, and the same address */
    until(&w, &w.opened);
    assert_int_equal(w.failures, 2);
    close_world(&w);
}

static void dialer_refuses_bad_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {"h1", "h1:",   "h1:x",  "h1:70000", ":7400",
                                      "",   "::1:5", "[::1]", "a b:1"};
    struct world w = {0};
    open_world(&w, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct dialer_config dc = {.loop = w.loop, .addresses = &bad[i], .n_addresses = 1};
        struct err e = {0};
        assert_int_equal(dialer_new(&dc, &w.dialer, &e), -EINVAL);
        assert_non_null(strstr(e.msg, bad[i]));
        w.dialer = NULL;
    }
    close_world(&w);
}

static void dialer_freed_while_resolving(void **state)
{
    (void)state;
    const char *address = "no-such-host.invalid:9";
    for (int i = 0; i < 5; i++) {
        struct world w = {0};
        open_world(&w, NULL, NULL);
        struct dialer_config dc = {.loop = w.loop,
                                   .addresses = &address,
                                   .n_addresses = 1,
                                   .on_failed = on_failed,
                                   .arg = &w};
        assert_int_equal(dialer_new(&dc, &w.dialer, NULL), 0);
        struct timer *t = timer_new(w.loop, (void (*)(void *))(void *)loop_stop, w.loop);
        timer_set(t, 0);
        loop_run(w.loop);
        timer_free(t);
        close_world(&w);
    }
}

static void port_in_use(void **state)
{
    (void)state;
    struct world w = {0};
    open_world(&w, "ours/s1", NULL);
    struct listener_config lc = {.loop = w.loop, .tls = w.server_tls, .address = w.address};
    struct listener *second;
    struct err e;
    assert_int_equal(listener_new(&lc, &second, &e), -EADDRINUSE);
    assert_non_null(strstr(e.msg, w.address));
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(talk),
        cmocka_unit_test(refused_certificates),
        cmocka_unit_test(wrong_role_is_told),
        cmocka_unit_test(no_certificate),
        cmocka_unit_test(plain_text),
        cmocka_unit_test(handshake_never_ends),
        cmocka_unit_test(strangers_do_not_lock_out),
        cmocka_unit_test(bad_streams),
        cmocka_unit_test(frames_before_the_end),
        cmocka_unit_test(peer_does_not_read),
        cmocka_unit_test(heartbeats),
        cmocka_unit_test(busy_is_not_silent),
        cmocka_unit_test(polite_end),
        cmocka_unit_test(finish_before_loop_ends),
        cmocka_unit_test(free_within_frame),
        cmocka_unit_test(dialer_walks_addresses),
        cmocka_unit_test(dialer_refuses_bad_addresses),
        cmocka_unit_test(dialer_freed_while_resolving),
        cmocka_unit_test(port_in_use),
    };
    return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
