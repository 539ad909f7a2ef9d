/* agent/rbd/client.h: the agent's side: ask Ceph about disks, with a deadline that always holds.
 * Purpose  Starts the helper when there is a question, kills it when an answer is overdue, and lets
 *          it leave when nobody asks.
 * Safety   no answer is an answer: ok=false with code ceph_timeout or ceph_error.
 * Thread   any, many at once; blocks the caller for at most 1.5 * timeout + 2 s. */
#pragma once

#include <stdint.h>

#include "agent/rbd/rbd.h"
#include "lib/base/err.h"

struct rbd_client;

struct rbd_client_config {
    const char *helper;  /* path of drover-agent-ceph */
    const char *conf;    /* the host's ceph.conf */
    int64_t timeout_us;  /* of one question; 0 = 10 s */
};
/* Copies. Nothing is started yet. */
struct rbd_client *rbd_client_new(const struct rbd_client_config *cfg);
/* No question may be under way. Ends the helper. */
void rbd_client_free(struct rbd_client *c);

/* Ask about n disks at once; keys[i] is the cephx key of disks[i] or NULL. Fills ret[0..n) (owned). */
void rbd_client_ask(struct rbd_client *c, const struct disk *disks, char *const *keys, size_t n,
                    struct image_fact *ret);
/* How the cluster of this disk is. key: as above. Fills *ret (owned), whatever happens. */
void rbd_client_health(struct rbd_client *c, const struct disk *disk, char *key,
                       struct ceph_told *ret);
/* The fsid that the host's own ceph.conf names. Gives; NULL with *e when it cannot be said. */
char *rbd_client_conf_fsid(struct rbd_client *c, struct err *e);
/* Is a helper running? For measurements and tests. 0 if none. */
int rbd_client_helper_pid(struct rbd_client *c);
