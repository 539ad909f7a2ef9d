#include "lib/net/dialer.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/addr.h"
#include "lib/net/backoff.h"

#define BASE_US    (500 * MSEC)
#define MAX_US     (30 * SEC)
#define CONNECT_US (10 * SEC)

/* One question to the system's resolver, which may block for half a minute: asked in a thread of
 * its own, answered through the loop. */
struct resolve {
    struct loop *loop;     /* held */
    struct dialer *dialer; /* loop thread only; NULL: nobody waits any more */
    struct addr addr;
    int result;
    struct addrinfo *list;
};
struct dialer {
    struct dialer_config cfg;
    struct addr *addrs;
    size_t n_addrs, at; /* at: the one to try next */
    bool opened;        /* a connection was given, and not yet settled */
    struct rng rng;
    struct backoff backoff;
    struct timer *retry;
    struct resolve *resolving;
    struct addrinfo *list; /* of the name in work */
    const struct addrinfo *next;
    int fd; /* connecting, -1 none */
    struct event *ev;
    struct conn *conn; /* in its handshake */
    struct err last;   /* why the previous address of the name failed */
};

static void try_next(struct dialer *d);

int64_t dialer_retry(struct dialer *d)
{
    /* this one took the connection and threw it away: perhaps another is the leader */
    if (d->opened)
        d->at = (d->at + 1) % d->n_addrs;
    d->opened = false;
    int64_t wait = backoff_next(&d->backoff, &d->rng);
    timer_set(d->retry, wait);
    return wait;
}

void dialer_settled(struct dialer *d)
{
    d->opened = false;
    backoff_reset(&d->backoff);
}

static void attempt_failed(struct dialer *d, const struct err *why)
{
    char name[ADDR_TEXT_BYTES];
    addr_format(&d->addrs[d->at], name);
    d->at = (d->at + 1) % d->n_addrs;
    int64_t wait = dialer_retry(d);
    if (d->cfg.on_failed)
        d->cfg.on_failed(d->cfg.arg, name, why, wait);
}

/* ---- TLS ------------------------------------------------------------------------------------- */
static void drop_list(struct dialer *d)
{
    if (d->list)
        freeaddrinfo(d->list);
    d->list = NULL;
    d->next = NULL;
}

static void on_ready(void *arg, struct conn *c)
{
    struct dialer *d = arg;
    d->conn = NULL;
    drop_list(d);
    d->opened = true;
    d->cfg.on_open(d->cfg.arg, c);
}

static void on_closed(void *arg, struct conn *c, const struct err *why)
{
    (void)c;
    struct dialer *d = arg;
    d->conn = NULL;
    d->last = *why;
    try_next(d);
}

static void start_tls(struct dialer *d)
{
    struct conn_open o = {.loop = d->cfg.loop,
                          .tls = d->cfg.tls,
                          .server = false,
                          .roles = d->cfg.roles,
                          .handshake_us = d->cfg.connect_us};
    static const struct conn_cb cb = {.on_ready = on_ready, .on_closed = on_closed};
    int fd = d->fd;
    d->fd = -1;
    d->conn = conn_new(&o, fd, &cb, d);
}

/* ---- TCP ------------------------------------------------------------------------------------- */
static void stop_connecting(struct dialer *d)
{
    if (d->ev)
        event_free(d->ev);
    d->ev = NULL;
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    struct dialer *d = arg;
    int code = 0;
    socklen_t len = sizeof(code);
    event_free(d->ev);
    d->ev = NULL;
    if (what & EV_TIMEOUT)
        code = ETIMEDOUT;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
        code = errno;
    if (!code) {
        start_tls(d);
        return;
    }
    stop_connecting(d);
    err_set(&d->last, -code, "connect: %s", strerror(code));
    try_next(d);
}

/* Connect to the next address of the name; when none is left the attempt has failed. */
static void try_next(struct dialer *d)
{
    while (d->next) {
        const struct addrinfo *ai = d->next;
        d->next = ai->ai_next;
        d->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (d->fd >= 0 &&
            (connect(d->fd, ai->ai_addr, ai->ai_addrlen) == 0 || errno == EINPROGRESS)) {
            int64_t us = d->cfg.connect_us;
            struct timeval tv = {.tv_sec = us / SEC, .tv_usec = us % SEC};
            d->ev = event_new(loop_base(d->cfg.loop), d->fd, EV_WRITE, on_connected, d);
            assert(d->ev);
            event_add(d->ev, &tv);
            return;
        }
        err_set(&d->last, -errno, "connect: %m");
        stop_connecting(d);
    }
    drop_list(d);
    struct err why = d->last;
    attempt_failed(d, &why);
}

/* ---- names ----------------------------------------------------------------------------------- */
static int lookup(const struct addr *a, int flags, struct addrinfo **ret)
{
    char port[16];
    snprintf(port, sizeof(port), "%u", (unsigned)a->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    return getaddrinfo(a->host, port, &hints, ret);
}

static void resolve_free(void *arg)
{
    struct resolve *q = arg;
    if (q->list)
        freeaddrinfo(q->list);
    free(q);
}

static void got_names(struct dialer *d, int result, struct addrinfo *list)
{
    if (result != 0) {
        err_set(&d->last, -EHOSTUNREACH, "resolve '%s': %s", d->addrs[d->at].host,
                gai_strerror(result));
    } else {
        d->list = list;
        d->next = list;
    }
    try_next(d);
}

static void on_resolved(void *arg)
{
    struct resolve *q = arg;
    struct dialer *d = q->dialer;
    if (d) {
        d->resolving = NULL;
        got_names(d, q->result, take(q->list));
    }
    resolve_free(q);
}

static void *resolve_thread(void *arg)
{
    struct resolve *q = arg;
    struct loop *loop = q->loop;
    q->result = lookup(&q->addr, AI_ADDRCONFIG, &q->list);
    /* a full queue is a loop in trouble; its dialer must not wait for ever, so neither do we give
     * up */
    int r;
    while ((r = loop_post(loop, on_resolved, resolve_free, q)) == -ENOBUFS)
        usleep(100000);
    if (r < 0)
        resolve_free(q);
    loop_release(loop);
    return NULL;
}

static void start(void *arg)
{
    struct dialer *d = arg;
    const struct addr *a = &d->addrs[d->at];
    struct addrinfo *list = NULL;
    if (lookup(a, AI_NUMERICHOST, &list) == 0) {
        got_names(d, 0, list);
        return;
    }
    struct resolve *q = xcalloc(1, sizeof(*q));
    *q = (struct resolve){.loop = d->cfg.loop, .dialer = d, .addr = *a};
    loop_hold(q->loop);
    pthread_t t;
    int r = pthread_create(&t, NULL, resolve_thread, q);
    if (r != 0) {
        loop_release(q->loop);
        free(q);
        struct err why;
        err_set(&why, -r, "start a resolver thread: %s", strerror(r));
        attempt_failed(d, &why);
        return;
    }
    pthread_detach(t);
    d->resolving = q;
}

int dialer_new(const struct dialer_config *cfg, struct dialer **ret, struct err *e)
{
    if (!cfg->n_addresses)
        return err_set(e, -EINVAL, "no address to connect to");
    struct dialer *d = xcalloc(1, sizeof(*d));
    d->cfg = *cfg;
    d->fd = -1;
    d->addrs = xcalloc(cfg->n_addresses, sizeof(*d->addrs));
    for (size_t i = 0; i < cfg->n_addresses; i++) {
        int r = addr_parse(cfg->addresses[i], 0, &d->addrs[i], e);
        if (r == 0 && !d->addrs[i].host[0])
            r = err_set(e, -EINVAL, "address '%s': a host to connect to is missing",
                        cfg->addresses[i]);
        if (r < 0) {
            free(d->addrs);
            free(d);
            return r;
        }
    }
    d->n_addrs = cfg->n_addresses;
    d->cfg.addresses = NULL;
    if (!d->cfg.connect_us)
        d->cfg.connect_us = CONNECT_US;
    rng_init(&d->rng, cfg->seed);
    d->backoff.base_us = cfg->base_us ? cfg->base_us : BASE_US;
    d->backoff.max_us = cfg->max_us ? cfg->max_us : MAX_US;
    d->retry = timer_new(cfg->loop, start, d);
    timer_set(d->retry, 0);
    *ret = d;
    return 0;
}

void dialer_free(struct dialer *d)
{
    if (!d)
        return;
    if (d->resolving)
        d->resolving->dialer = NULL;
    conn_free(d->conn);
    stop_connecting(d);
    drop_list(d);
    timer_free(d->retry);
    free(d->addrs);
    free(d);
}
