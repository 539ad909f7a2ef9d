/* lib/net/dialer.h: keep a connection to one of several addresses, with full-jitter backoff.
 * Purpose  addresses are tried in turn. After each failure, or dialer_retry, it waits (backoff.h).
 *          TLS 1.3 clients learn only after the handshake that they were refused, so the wait grows
 *          until dialer_settled says that the peer really took us.
 * Owner    on_open gives the conn (conn_bind it there).   Thread loop thread; names are resolved in
 *          a thread of their own. */
#pragma once

#include "lib/net/conn.h"

struct dialer;

struct dialer_config {
    struct loop *loop;
    struct tls *tls;           /* borrows until dialer_free */
    const char *const *addresses; /* copied */
    size_t n_addresses;
    unsigned roles;            /* whom to believe */
    uint64_t seed;             /* of the jitter */
    int64_t base_us, max_us;   /* backoff; 0 = 500 ms and 30 s */
    int64_t connect_us;        /* deadline of TCP connect and of the handshake, each; 0 = 10 s */
    void (*on_open)(void *arg, struct conn *c);
    /* One attempt failed; the next is in retry_us. May be NULL. */
    void (*on_failed)(void *arg, const char *address, const struct err *why, int64_t retry_us);
    void *arg;
};

/* Starts at once. -EINVAL for an address that cannot be read. */
int dialer_new(const struct dialer_config *cfg, struct dialer **ret, struct err *e);
void dialer_free(struct dialer *d);
/* The connection that on_open gave is gone: try again after the wait, which is returned. */
int64_t dialer_retry(struct dialer *d);
/* The peer accepted us: the next wait is a short one again. */
void dialer_settled(struct dialer *d);
