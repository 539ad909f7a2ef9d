/* agent/rbd/conns.h: cluster handles of the helper, shared and dropped when idle.
 * Shapes   one handle per (mons, user, key, conf); connecting happens once, under the entry's lock,
 *          so that ten questions to a dead cluster wait together and not one after the other.
 * Owner    conns_get lends until conns_put.   Thread any. */
#pragma once

#include <rados/librados.h>

#include "agent/rbd/rbd.h"
#include "lib/base/err.h"

struct conn;
/* Errors: -errno of librados; *ret_token names the reason. */
int conns_get(struct rbd_conns *c, const struct rbd_ask *ask, struct conn **ret,
              const char **ret_token, struct err *e);
/* broken: do not lend this handle again (timeouts, blocklisting); the next question connects anew. */
void conns_put(struct rbd_conns *c, struct conn *conn, bool broken);
rados_t conn_cluster(const struct conn *conn);
/* Close handles nobody has used for RBD_IDLE_S. */
void rbd_conns_sweep(struct rbd_conns *c, int64_t now_us);
/* A handle that is configured, not connected: *ret is released by rados_shutdown. */
int conn_configure(const struct rbd_ask *ask, rados_t *ret, struct err *e);
