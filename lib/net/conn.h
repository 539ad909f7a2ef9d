/* lib/net/conn.h: one framed connection over mutual TLS.
 * Purpose  frames in and out, heartbeats, and exactly one reason when it ends.
 * Shapes   a frame is one JSON text (lib/wire/msg.h); framing is lib/wire/frame.h.
 * Owner    a conn is owned by whom listener or dialer gave it to; conn_free or conn_finish ends that.
 *          After on_closed has returned the conn is gone by itself.
 * Errors   why of on_closed: -ECONNRESET/-EPIPE the peer went away (with or without close_notify),
 *          -ETIMEDOUT handshake or heartbeat deadline, -EKEYREJECTED/-EKEYEXPIRED certificate,
 *          -EBADMSG/-E2BIG bad frame, -ENOBUFS the peer does not read. msg is for people.
 * Thread   loop thread only. Callbacks are never called from within conn_send, conn_finish or
 *          conn_free. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/loop.h"
#include "lib/net/tls.h"

struct conn;

struct conn_cb {
    void (*on_ready)(void *arg, struct conn *c); /* handshake done; used by listener and dialer */
    void (*on_frame)(void *arg, struct conn *c, const char *text, size_t len); /* borrows, NUL-terminated */
    void (*on_closed)(void *arg, struct conn *c, const struct err *why);
};

/* Whom callbacks go to from now on (copies *cb). Call it in on_conn/on_open of listener/dialer. */
void conn_bind(struct conn *c, const struct conn_cb *cb, void *arg);

/* Queue one frame (copies). On -ENOBUFS (LIM_CONN_QUEUE_BYTES unsent) or -E2BIG the connection is
 * given up and on_closed follows; -ENOTCONN when it is ending already. */
int conn_send(struct conn *c, const char *text, size_t len, struct err *e);
/* Send a heartbeat message (id 0) each every_us, and give up after 3 * every_us without a byte from
 * the peer (bytes that wait for us to read them count: a busy process drops no living peer). 0 stops both. Heartbeats that arrive are handed to on_frame like any frame. */
void conn_heartbeat(struct conn *c, int64_t every_us);
/* End now, no callback any more. Accepts NULL. */
void conn_free(struct conn *c);
/* End politely: what is queued (a bye) is sent and the peer given a moment to read it; no callback
 * any more, the conn must not be used again. */
void conn_finish(struct conn *c);

const struct identity *conn_peer(const struct conn *c); /* valid after the handshake */
const char *conn_address(const struct conn *c);         /* "10.0.0.7:41234" */

/* Begin TLS on a connected, non-blocking socket (takes fd). roles: whom to believe. Used by listener
 * and dialer; on_ready comes when peer and role are proven, else on_closed. */
struct conn_open {
    struct loop *loop;
    struct tls *tls;
    bool server;
    unsigned roles;
    int64_t handshake_us; /* deadline, 0 = 10 s */
};
struct conn *conn_new(const struct conn_open *o, int fd, const struct conn_cb *cb, void *arg);
