/* agent/rbd/rbd.h: what Ceph itself says of one RBD image, asked as the VM's QEMU would ask.
 * Purpose  Confirm before and prove after a move: cluster, pool and image ids, watchers, lock owners.
 * Process  librados keeps threads and 30-50 MB for as long as a cluster handle lives, aborts on some
 *          failures of its own, and cannot be interrupted. So it runs in a helper process
 *          (drover-agent-ceph, agent/helper) that the agent starts when it has a question and that
 *          leaves after 60 idle seconds (measured: docs/adr/0005-ceph-helper.md). This header is the
 *          library inside the helper; the agent's side is client.h.
 * Safety   images are opened read-only: such an open is no watcher and takes no lock.
 * Thread   rbd_ask_fact: any, many at once; they share cluster handles by (mons, user, key, conf). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/wire/msg.h"

/* One question. Encoded by rbd_ask_shape on the way to the helper. */
struct rbd_ask {
    int64_t id;
    bool conf_only;      /* only: which fsid does conf name? The answer has fsid or ok=false */
    bool health;         /* only: how is the cluster of disk? The answer has health */
    struct disk disk;
    char *key;           /* base64, NULL: no cephx */
    char *conf;          /* this host's ceph.conf */
    int64_t timeout_us;  /* for the whole question */
};
struct rbd_answer {
    int64_t id;
    struct image_fact fact;
    struct ceph_told health;
};
extern const struct shape rbd_ask_shape, rbd_answer_shape;

enum {
    RBD_STATUS_BYTES = 8 << 20, /* of the monitors' own answer; a large cluster's has some 100 KiB */
    RBD_MSG_BYTES = 128 << 10,  /* one question or answer; a socket's default buffer holds it */
    RBD_WATCHERS_MAX = 64,      /* of one image; more is an error, never a shortened list */
    RBD_IDLE_S = 60,            /* then cluster handles, and the helper, go */
};

struct rbd_conns;
struct rbd_conns *rbd_conns_new(void);
void rbd_conns_free(struct rbd_conns *c); /* no question may be under way */

/* Fills *ret (owned, image_fact_shape). Never fails: ok=false has code (a reason token) and error. */
void rbd_ask_fact(struct rbd_conns *c, const struct rbd_ask *ask, struct image_fact *ret);

/* The same for the cluster's health: fills *ret (owned, ceph_told_shape). Never fails. */
void rbd_ask_health(struct rbd_conns *c, const struct rbd_ask *ask, struct ceph_told *ret);
/* What `ceph status --format json` says, into *ret (ok and owned). -EBADMSG: it is no such text. Pure. */
int rbd_read_status(const char *text, size_t len, struct ceph_told *ret, struct err *e);

/* The reason token for a negative errno of librados or librbd. Pure. */
const char *rbd_error_token(int err);
/* "v1:10.0.0.1:0/123" and "10.0.0.1:0/123" -> "10.0.0.1:0/123". Gives. Pure. */
char *rbd_plain_address(const char *address);
/* A fact that says why nothing is known of disk d. Gives into *ret. Pure. */
void rbd_fact_error(const struct disk *d, const char *token, const char *error,
                    struct image_fact *ret);
