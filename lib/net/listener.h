/* lib/net/listener.h: accept, TLS, role check, then a callback with an authenticated connection.
 * Limits   at most LIM_HANDSHAKES handshakes at once; further peers wait in the kernel's queue.
 *          A peer of a wrong role gets a bye message that says so before it is closed.
 * Owner    on_conn gives the conn (conn_bind it there, or conn_free/conn_finish it).
 * Thread   loop thread. */
#pragma once

#include "lib/net/conn.h"

struct listener;

struct listener_config {
    struct loop *loop;
    struct tls *tls;      /* borrows until listener_free */
    const char *address;  /* addr.h; port 0 takes a free one */
    unsigned roles;       /* ROLE_BITs that may connect */
    int64_t handshake_us; /* 0 = 10 s */
    void (*on_conn)(void *arg, struct conn *c);
    /* peer: address; why: for the log. May be NULL. */
    void (*on_refused)(void *arg, const char *peer, const struct err *why);
    void *arg;
};

int listener_new(const struct listener_config *cfg, struct listener **ret, struct err *e);
void listener_free(struct listener *l); /* connections already given stay */
int listener_port(const struct listener *l);
