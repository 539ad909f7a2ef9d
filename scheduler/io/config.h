/* scheduler/io/config.h: scheduler.yaml (drover-scheduler(8)).
 * Shapes   flat keys and one nested map (api). Unknown, repeated or ill-typed keys are errors.
 * Errors   -EINVAL "file:line:column: ..." with "did you mean" where it helps; -errno of the file.
 * Owner    config_load gives; config_done releases.   Thread main, before the others start. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

struct config {
    char *listen;       /* agents dial this, "host:port" */
    char *socket;       /* operators on this machine */
    char *socket_group; /* who besides root may use it, NULL: nobody */
    char *database;
    char *policy;              /* directory, NULL: the built-in policy */
    bool policy_require_clean; /* only what is committed is taken */
    char *cert, *key, *ca;
    char *recorder;   /* directory, NULL: nothing is recorded */
    char *api_listen; /* operators over mutual TLS, NULL: unix socket only */
    int64_t heartbeat_us;
};

int config_load(const char *path, struct config *ret, struct err *e);
void config_done(struct config *c);
