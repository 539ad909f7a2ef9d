#include "lib/net/conn.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/addr.h"
#include "lib/wire/frame.h"
#include "lib/wire/msg.h"

enum {
    READ_CHUNK = 16 << 10, /* one TLS record */
    MISSED_BEATS = 3,
};
#define HANDSHAKE_US (10 * SEC)
/* After the last byte of a polite end: time for the peer to read it before the socket is closed. */
#define LINGER_US    (2 * SEC)

enum conn_state {
    CONN_HANDSHAKE,
    CONN_OPEN,
    CONN_DEAD,   /* why is known, on_closed not yet called */
    CONN_LINGER, /* owned by itself: flushing, then waiting for the peer to close */
};
struct conn {
    struct loop *loop;
    struct bufferevent *bev;
    enum conn_state state;
    unsigned roles;
    bool server;
    bool polite; /* dead, but what is queued should still reach the peer */
    bool shut;   /* lingering: our half is closed */
    bool doomed; /* conn_free was called from within a callback */
    int busy;    /* callbacks running */
    struct conn_cb cb;
    void *arg;
    struct frame_dec dec;
    struct err why;
    struct timer *deadline; /* handshake, silence or linger, by state */
    struct timer *beat;
    struct timer *reap;
    struct orphan *orphan;
    int64_t handshake_us, every_us, last_rx_us, beats;
    struct identity peer;
    char address[ADDR_TEXT_BYTES];
};

static void destroy(struct conn *c)
{
    if (c->busy) {
        c->doomed = true;
        return;
    }
    loop_disown(c->orphan);
    timer_free(c->deadline);
    timer_free(c->beat);
    timer_free(c->reap);
    bufferevent_free(c->bev);
    frame_dec_done(&c->dec);
    free(c);
}

/* Bracket every call into the owner's code. leave: false when c is gone. */
static void enter(struct conn *c)
{
    c->busy++;
}

static bool leave(struct conn *c)
{
    if (--c->busy || !c->doomed)
        return true;
    destroy(c);
    return false;
}

/* The one way to end: the reason is kept, and told from a fresh turn of the loop. */
static void fail(struct conn *c, const struct err *why)
{
    if (c->state == CONN_LINGER) {
        destroy(c);
        return;
    }
    if (c->state == CONN_DEAD)
        return;
    c->why = *why;
    c->state = CONN_DEAD;
    if (!c->polite)
        bufferevent_disable(c->bev, EV_READ | EV_WRITE);
    timer_stop(c->deadline);
    timer_stop(c->beat);
    timer_set(c->reap, 0);
}

static void on_reap(void *arg)
{
    struct conn *c = arg;
    enter(c);
    if (c->cb.on_closed)
        c->cb.on_closed(c->arg, c, &c->why);
    if (!leave(c) || c->state == CONN_LINGER)
        return;
    if (c->polite)
        conn_finish(c);
    else
        destroy(c);
}

/* Our last words, then the end: the peer's operator reads why there, too. */
static void refuse(struct conn *c, const char *code, const struct err *why)
{
    struct bye bye = {.code = (char *)(uintptr_t)code, .error = (char *)(uintptr_t)why->msg};
    struct msg m = {.id = 1, .type = MSG_BYE, .body = &bye};
    cleanup(freep) char *text = msg_encode(&m);
    c->state = CONN_OPEN;
    conn_send(c, text, strlen(text), NULL);
    c->polite = true;
    fail(c, why);
}

/* ---- in -------------------------------------------------------------------------------------- */
static void on_read(struct bufferevent *bev, void *arg)
{
    struct conn *c = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    uint8_t chunk[READ_CHUNK];
    c->last_rx_us = clock_mono_us();
    enter(c);
    while (c->state == CONN_OPEN && !c->doomed) {
        int got = evbuffer_remove(in, chunk, sizeof(chunk));
        if (got <= 0)
            break;
        const uint8_t *p = chunk;
        size_t n = (size_t)got;
        while (c->state == CONN_OPEN && !c->doomed) {
            cleanup(freep) char *text = NULL;
            size_t len;
            struct err why;
            int r = frame_feed(&c->dec, &p, &n, &text, &len, &why);
            if (r < 0)
                refuse(c, "protocol", &why);
            if (r <= 0)
                break;
            c->cb.on_frame(c->arg, c, text, len);
        }
    }
    if (c->state != CONN_OPEN)
        evbuffer_drain(in, evbuffer_get_length(in));
    leave(c);
}

static void handshake_done(struct conn *c)
{
    struct err why;
    timer_stop(c->deadline);
    if (tls_peer(bufferevent_openssl_get_ssl(c->bev), c->roles, &c->peer, &why) < 0) {
        /* only a server tells: it is the agent's operator who has to act */
        if (c->server)
            refuse(c, "identity", &why);
        else
            fail(c, &why);
        return;
    }
    c->state = CONN_OPEN;
    c->last_rx_us = clock_mono_us();
    enter(c);
    if (c->cb.on_ready)
        c->cb.on_ready(c->arg, c);
    leave(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct conn *c = arg;
    int saved = EVUTIL_SOCKET_ERROR();
    if (what & BEV_EVENT_CONNECTED) {
        if (c->state == CONN_HANDSHAKE)
            handshake_done(c);
        return;
    }
    struct err why;
    unsigned long code = bufferevent_get_openssl_error(bev);
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    const char *when = c->state == CONN_HANDSHAKE ? " during the TLS handshake"
                       : c->dec.n_head            ? " in the middle of a frame"
                                                  : "";
    if (code || (c->state == CONN_HANDSHAKE && SSL_get_verify_result(ssl) != X509_V_OK))
        tls_explain(ssl, code, &why);
    else if (what & BEV_EVENT_EOF || !saved)
        err_set(&why, -ECONNRESET, "the peer closed the connection%s", when);
    else
        err_set(&why, -saved, "%s%s", strerror(saved), when);
    fail(c, &why);
}

/* ---- time ------------------------------------------------------------------------------------ */
/* Has the peer sent what we have not read yet? Then the silence is ours: this side was busy for longer
 * than three heartbeats, and timers run before what waits in the sockets is looked at. */
static bool unread(const struct conn *c)
{
    int waiting = 0;
    if (evbuffer_get_length(bufferevent_get_input(c->bev)) ||
        SSL_pending(bufferevent_openssl_get_ssl(c->bev)))
        return true;
    return ioctl(bufferevent_getfd(c->bev), FIONREAD, &waiting) == 0 && waiting > 0;
}

static void on_deadline(void *arg)
{
    struct conn *c = arg;
    struct err why;
    char t[FMT_BYTES];
    if (c->state == CONN_HANDSHAKE) {
        err_set(&why, -ETIMEDOUT, "TLS handshake not finished after %s",
                fmt_duration(t, c->handshake_us));
        fail(c, &why);
    } else if (c->state == CONN_OPEN) {
        int64_t limit = MISSED_BEATS * c->every_us, silent = clock_mono_us() - c->last_rx_us;
        if (silent < limit) {
            timer_set(c->deadline, limit - silent);
            return;
        }
        if (unread(c)) { /* they are read in this turn of the loop; a period is plenty */
            timer_set(c->deadline, c->every_us);
            return;
        }
        err_set(&why, -ETIMEDOUT, "nothing received for %s", fmt_duration(t, silent));
        fail(c, &why);
    } else if (c->state == CONN_LINGER) {
        destroy(c);
    }
}

static void on_beat(void *arg)
{
    struct conn *c = arg;
    struct heartbeat body = {.seq = ++c->beats};
    struct msg m = {.type = MSG_HEARTBEAT, .body = &body};
    cleanup(freep) char *text = msg_encode(&m);
    timer_set(c->beat, c->every_us);
    conn_send(c, text, strlen(text), NULL);
}

void conn_heartbeat(struct conn *c, int64_t every_us)
{
    if (c->state != CONN_OPEN)
        return;
    c->every_us = every_us;
    timer_stop(c->beat);
    timer_stop(c->deadline);
    if (every_us <= 0)
        return;
    timer_set(c->beat, every_us);
    timer_set(c->deadline, MISSED_BEATS * every_us);
}

/* ---- out ------------------------------------------------------------------------------------- */
int conn_send(struct conn *c, const char *text, size_t len, struct err *e)
{
    if (c->state != CONN_OPEN)
        return err_set(e, -ENOTCONN, "%s: the connection has ended", c->address);
    uint8_t head[FRAME_HEAD_BYTES];
    struct err why;
    struct evbuffer *out = bufferevent_get_output(c->bev);
    size_t queued = evbuffer_get_length(out);
    int r = frame_head(head, len, &why);
    if (r == 0 && queued + len > LIM_CONN_QUEUE_BYTES)
        r = err_set(&why, -ENOBUFS, "the peer does not read: %zu bytes wait to be sent", queued);
    if (r < 0) {
        fail(c, &why);
        return err_set(e, r, "%s", why.msg);
    }
    bufferevent_write(c->bev, head, sizeof(head));
    bufferevent_write(c->bev, text, len);
    return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */
static void shut_if_flushed(struct conn *c)
{
    if (c->shut || evbuffer_get_length(bufferevent_get_output(c->bev)))
        return;
    c->shut = true;
    /* A close() with unread input makes the kernel send RST, which would throw away our last words
     * at the peer: close our half, and read on until it closes its own. */
    SSL_shutdown(bufferevent_openssl_get_ssl(c->bev));
    shutdown(bufferevent_getfd(c->bev), SHUT_WR);
    timer_set(c->deadline, LINGER_US);
}

static void on_written(struct bufferevent *bev, void *arg)
{
    (void)bev;
    struct conn *c = arg;
    if (c->state == CONN_LINGER)
        shut_if_flushed(c);
}

static void end_orphan(void *arg)
{
    struct conn *c = arg;
    c->orphan = NULL;
    destroy(c);
}

void conn_finish(struct conn *c)
{
    if (!c)
        return;
    if (c->state == CONN_HANDSHAKE || (c->state == CONN_DEAD && !c->polite)) {
        conn_free(c);
        return;
    }
    c->cb = (struct conn_cb){0};
    c->state = CONN_LINGER;
    timer_stop(c->beat);
    timer_stop(c->reap);
    timer_set(c->deadline, LINGER_US);
    c->orphan = loop_adopt(c->loop, end_orphan, c);
    shut_if_flushed(c);
}

void conn_free(struct conn *c)
{
    if (!c)
        return;
    c->cb = (struct conn_cb){0};
    destroy(c);
}

/* ---- the beginning --------------------------------------------------------------------------- */
struct conn *conn_new(const struct conn_open *o, int fd, const struct conn_cb *cb, void *arg)
{
    struct conn *c = xcalloc(1, sizeof(*c));
    c->loop = o->loop;
    c->server = o->server;
    c->roles = o->roles;
    c->cb = *cb;
    c->arg = arg;
    c->handshake_us = o->handshake_us ? o->handshake_us : HANDSHAKE_US;
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    if (getpeername(fd, (struct sockaddr *)&ss, &len) == 0)
        sockaddr_format((struct sockaddr *)&ss, len, c->address);
    else
        snprintf(c->address, sizeof(c->address), "?");
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c->deadline = timer_new(o->loop, on_deadline, c);
    c->beat = timer_new(o->loop, on_beat, c);
    c->reap = timer_new(o->loop, on_reap, c);
    c->bev = bufferevent_openssl_socket_new(loop_base(o->loop), fd, tls_open(o->tls, o->server),
                                            o->server ? BUFFEREVENT_SSL_ACCEPTING
                                                      : BUFFEREVENT_SSL_CONNECTING,
                                            BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    assert(c->bev);
    bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
    bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
    timer_set(c->deadline, c->handshake_us);
    return c;
}

void conn_bind(struct conn *c, const struct conn_cb *cb, void *arg)
{
    c->cb = *cb;
    c->arg = arg;
}

const struct identity *conn_peer(const struct conn *c)
{
    return &c->peer;
}

const char *conn_address(const struct conn *c)
{
    return c->address;
}
