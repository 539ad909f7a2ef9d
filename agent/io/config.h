/* agent/io/config.h: agent.yaml.
 * Shapes   scheduler: ADDRESS or [ADDRESS, ...] ("host:port"); cert, key, ca: PEM files; libvirt: URI;
 *          migration: {address, uri, link}; labels: {KEY: VALUE}; zone; rack; ceph: {conf, timeout};
 *          load: {period, cgroup, interface}; resync: DURATION; memory: SIZE that guests may use of this host; state: folder.
 * Errors   config_load: -EINVAL and file:line:column, the key, what was expected, "did you mean".
 * Owner    config_done releases.   Thread any. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/model/model.h"

struct config {
    char **schedulers;
    size_t n_schedulers;
    char *cert, *key, *ca;
    char *libvirt;
    char *migrate_address, *migrate_uri;
    int64_t link_bps;          /* -1 unknown */
    struct label *labels;
    size_t n_labels;
    char *zone, *rack;
    char *ceph_conf;
    int64_t ceph_timeout_us, resync_us;
    int64_t mem_bytes;         /* 0: all of the host's */
    int64_t load_period_us;
    char *load_cgroup;         /* NULL: the machine's own CPU and pressure are this host's */
    char *load_interface;      /* NULL: the one that has migrate_address */
    char *state;               /* forgotten at boot, kept when the agent restarts */
};

int config_load(const char *path, struct config *ret, struct err *e);
void config_done(struct config *c);
