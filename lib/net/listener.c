#include "lib/net/listener.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/bind.h"

struct listener {
    struct listener_config cfg;
    struct evconnlistener *ev;
    struct timer *rest; /* after accept() failed: no more descriptors */
    bool resting;
    struct conn **pending; /* in their handshake */
    size_t n_pending;
    int port;
};

static void consider(struct listener *l)
{
    if (l->n_pending < LIM_HANDSHAKES && !l->resting)
        evconnlistener_enable(l->ev);
    else
        evconnlistener_disable(l->ev);
}

static void forget(struct listener *l, const struct conn *c)
{
    for (size_t i = 0; i < l->n_pending; i++)
        if (l->pending[i] == c) {
            l->pending[i] = l->pending[--l->n_pending];
            break;
        }
    consider(l);
}

static void on_ready(void *arg, struct conn *c)
{
    struct listener *l = arg;
    forget(l, c);
    l->cfg.on_conn(l->cfg.arg, c);
}

static void on_closed(void *arg, struct conn *c, const struct err *why)
{
    struct listener *l = arg;
    forget(l, c);
    if (l->cfg.on_refused)
        l->cfg.on_refused(l->cfg.arg, conn_address(c), why);
}

static void on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa, int len,
                      void *arg)
{
    (void)ev, (void)sa, (void)len;
    struct listener *l = arg;
    if (l->n_pending == LIM_HANDSHAKES) {
        evutil_closesocket(fd);
        return;
    }
    struct conn_open o = {.loop = l->cfg.loop,
                          .tls = l->cfg.tls,
                          .server = true,
                          .roles = l->cfg.roles,
                          .handshake_us = l->cfg.handshake_us};
    static const struct conn_cb cb = {.on_ready = on_ready, .on_closed = on_closed};
    struct conn *c = conn_new(&o, fd, &cb, l);
    l->pending[l->n_pending++] = c;
    consider(l);
}

static void on_rested(void *arg)
{
    struct listener *l = arg;
    l->resting = false;
    consider(l);
}

static void on_error(struct evconnlistener *ev, void *arg)
{
    (void)ev;
    struct listener *l = arg;
    struct err why;
    err_set(&why, -errno, "accept: %m");
    /* EMFILE repeats at full speed until a descriptor is free: look again in a second */
    l->resting = true;
    timer_set(l->rest, SEC);
    consider(l);
    if (l->cfg.on_refused)
        l->cfg.on_refused(l->cfg.arg, "-", &why);
}

int listener_new(const struct listener_config *cfg, struct listener **ret, struct err *e)
{
    int fd, port;
    int r = bind_tcp(cfg->address, &fd, &port, e);
    if (r < 0)
        return r;
    struct listener *l = xcalloc(1, sizeof(*l));
    l->cfg = *cfg;
    l->cfg.address = NULL;
    l->port = port;
    l->pending = xcalloc(LIM_HANDSHAKES, sizeof(struct conn *));
    l->rest = timer_new(cfg->loop, on_rested, l);
    l->ev = evconnlistener_new(loop_base(cfg->loop), on_accept, l,
                               LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    assert(l->ev);
    evconnlistener_set_error_cb(l->ev, on_error);
    *ret = l;
    return 0;
}

void listener_free(struct listener *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n_pending; i++)
        conn_free(l->pending[i]);
    free(l->pending);
    timer_free(l->rest);
    evconnlistener_free(l->ev);
    free(l);
}

int listener_port(const struct listener *l)
{
    return l->port;
}
