/* tests/unit/networld.h: a listener and a dialer on one loop, and what each of them saw; and a peer
 * that misbehaves in a thread of its own. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net/conn.h"
#include "lib/net/dialer.h"
#include "lib/net/listener.h"
#include "tests/unit/netfix.h"

/* One end of a connection, and what it saw. */
struct side {
    struct loop *loop;
    struct conn *conn;
    int frames, beats;
    size_t bytes;
    char last[256];
    bool closed;
    struct err why;
    int free_at; /* conn_free from within this frame */
};
struct world {
    struct loop *loop;
    struct listener *listener;
    struct dialer *dialer;
    struct tls *server_tls, *agent_tls;
    struct side server, agent;
    bool accepted, opened, refused, failed;
    int refusals, failures;
    struct err why_refused, why_failed;
    char failed_address[300];
    int64_t waited_us;
    void (*on_accept)(struct world *w);
    int64_t handshake_us;
    unsigned roles;
    char address[32];
};

static inline void side_frame(void *arg, struct conn *c, const char *text, size_t len)
{
    struct side *s = arg;
    assert_ptr_equal(c, s->conn);
    assert_int_equal(strlen(text), len);
    s->frames++;
    s->beats += strstr(text, "\"heartbeat\"") != NULL;
    s->bytes += len;
    snprintf(s->last, sizeof(s->last), "%s", text);
    if (s->free_at == s->frames) {
        conn_free(c);
        s->conn = NULL;
    }
    loop_stop(s->loop);
}

static inline void side_closed(void *arg, struct conn *c, const struct err *why)
{
    struct side *s = arg;
    assert_ptr_equal(c, s->conn);
    assert_false(s->closed); /* once */
    s->closed = true;
    s->why = *why;
    s->conn = NULL;
    loop_stop(s->loop);
}

static const struct conn_cb side_cb = {.on_frame = side_frame, .on_closed = side_closed};

static inline void on_conn(void *arg, struct conn *c)
{
    struct world *w = arg;
    w->accepted = true;
    w->server.conn = c;
    conn_bind(c, &side_cb, &w->server);
    if (w->on_accept)
        w->on_accept(w);
    loop_stop(w->loop);
}

static inline void on_refused(void *arg, const char *peer, const struct err *why)
{
    struct world *w = arg;
    assert_true(str_has_prefix(peer, "127.0.0.1:"));
    w->refused = true;
    w->refusals++;
    w->why_refused = *why;
    loop_stop(w->loop);
}

static inline void on_open(void *arg, struct conn *c)
{
    struct world *w = arg;
    w->opened = true;
    w->agent.conn = c;
    conn_bind(c, &side_cb, &w->agent);
    loop_stop(w->loop);
}

static inline void on_failed(void *arg, const char *address, const struct err *why, int64_t wait)
{
    struct world *w = arg;
    w->failed = true;
    w->failures++;
    w->why_failed = *why;
    w->waited_us = wait;
    snprintf(w->failed_address, sizeof(w->failed_address), "%s", address);
    loop_stop(w->loop);
}

/* server, agent: certificate directories, NULL: none of it. */
static inline void open_world(struct world *w, const char *server, const char *agent)
{
    struct err e;
    assert_int_equal(loop_new(&w->loop, &e), 0);
    w->server.loop = w->agent.loop = w->loop;
    snprintf(w->address, sizeof(w->address), "127.0.0.1:1");
    if (server) {
        w->server_tls = fix_tls(server, "ours", true);
        struct listener_config lc = {.loop = w->loop,
                                     .tls = w->server_tls,
                                     .address = "127.0.0.1:0",
                                     .roles = w->roles ? w->roles : ROLE_BIT(ROLE_AGENT),
                                     .handshake_us = w->handshake_us,
                                     .on_conn = on_conn,
                                     .on_refused = on_refused,
                                     .arg = w};
        if (listener_new(&lc, &w->listener, &e) < 0)
            fail_msg("%s", e.msg);
        snprintf(w->address, sizeof(w->address), "127.0.0.1:%d", listener_port(w->listener));
    }
    if (!agent)
        return;
    w->agent_tls = fix_tls(agent, "ours", true);
    const char *address = w->address;
    struct dialer_config dc = {.loop = w->loop,
                               .tls = w->agent_tls,
                               .addresses = &address,
                               .n_addresses = 1,
                               .roles = ROLE_BIT(ROLE_SCHEDULER),
                               .seed = 5,
                               .base_us = 3600 * SEC,
                               .max_us = 3600 * SEC,
                               .on_open = on_open,
                               .on_failed = on_failed,
                               .arg = w};
    if (dialer_new(&dc, &w->dialer, &e) < 0)
        fail_msg("%s", e.msg);
}

static inline void close_world(struct world *w)
{
    conn_free(w->server.conn);
    conn_free(w->agent.conn);
    listener_free(w->listener);
    dialer_free(w->dialer);
    tls_free(w->server_tls);
    tls_free(w->agent_tls);
    loop_free(w->loop);
}

static inline void until(struct world *w, const bool *flag)
{
    fix_run(w->loop, flag);
}

static inline void connect_both(struct world *w)
{
    open_world(w, "ours/s1", "ours/h1");
    until(w, &w->opened);
    until(w, &w->accepted);
}

static inline void says(const struct err *e, int code, const char *text)
{
    if (e->code != code || !strstr(e->msg, text))
        fail_msg("%d '%s', expected %d with '%s'", e->code, e->msg, code, text);
}

/* ---- a peer that does what no conn would do: blocking, in a thread of its own --------------- */
struct raw {
    pthread_t thread;
    int port;
    const char *who; /* certificate; NULL: no TLS at all */
    const char *send;
    size_t n_send;
    bool hold; /* keep the connection open, reading nothing, until told */
    int hold_fd[2];
    struct tls *tls;
};

static inline void *raw_main(void *arg)
{
    struct raw *r = arg;
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)r->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char c;
    if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0) {
        SSL *ssl = r->who ? tls_open(r->tls, false) : NULL;
        if (ssl) {
            SSL_set_fd(ssl, fd);
            if (SSL_connect(ssl) == 1 && r->n_send)
                SSL_write(ssl, r->send, (int)r->n_send);
        } else if (r->n_send && write(fd, r->send, r->n_send) < 0) {
            perror("write");
        }
        if (r->hold)
            while (read(r->hold_fd[0], &c, 1) > 0)
                ;
        SSL_free(ssl); /* no close_notify */
    }
    close(fd);
    return NULL;
}

static inline void raw_start(struct raw *r, const struct world *w)
{
    r->port = listener_port(w->listener);
    assert_int_equal(pipe(r->hold_fd), 0);
    if (r->who)
        r->tls = fix_tls(r->who, "ours", true);
    assert_int_equal(pthread_create(&r->thread, NULL, raw_main, r), 0);
}

static inline void raw_end(struct raw *r)
{
    close(r->hold_fd[1]);
    pthread_join(r->thread, NULL);
    close(r->hold_fd[0]);
    tls_free(r->tls);
}
