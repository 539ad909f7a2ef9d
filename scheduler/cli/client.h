/* scheduler/cli/client.h: the scheduler's API, over its unix socket or mutual TLS (libcurl).
 * Errors   -ENOTCONN  no scheduler there (exit 5; worth a retry while following)
 *          -EAGAIN    it answers 503: it is up but cannot work now (its store); worth a retry
 *          -EACCES    not allowed: the socket's permissions, 401, 403 (exit 6)
 *          -ENOENT    404   -EBADMSG answer not understood   -EINTR Ctrl-C   -EREMOTEIO other errors
 *          -EPROTONOSUPPORT  it does not know what was asked: of another version (exit 6)
 *          The message carries the API's own words and cure, the cure on a line of its own.
 * Owner    answers are given (json_decref).   Thread one at a time. */
#pragma once

#include <jansson.h>
#include <signal.h>

#include "lib/base/err.h"
#include "lib/model/shape.h"

#define SKEW_HINT "drover and drover-scheduler may differ in version: drover version shows both"

struct client;
struct client_config {
    const char *socket;          /* used when url is NULL */
    const char *url;             /* "https://host:port" */
    const char *cert, *key, *ca; /* files, for url */
    volatile sig_atomic_t
        *interrupted; /* a request in progress is given up when set; may be NULL */
};

int client_new(const struct client_config *cfg, struct client **ret, struct err *e);
void client_free(struct client *c);

/* path with query, already escaped: "/v1/runs/42?after=7". */
int client_get(struct client *c, const char *path, json_t **ret, struct err *e);
/* The text of the answer as it came, of up to LIM_SNAPSHOT_BYTES: a whole fleet. Gives. */
int client_get_text(struct client *c, const char *path, char **ret, struct err *e);
/* Post a JSON body under a fresh idempotency key: a connection that breaks before the answer is
 * retried with the same key, so the request takes effect once. */
int client_post(struct client *c, const char *path, const json_t *body, json_t **ret,
                struct err *e);
/* Percent-encode for a query. Gives. */
char *client_escape(const char *s);

/* The error of an answer of schema drover.error/1, or of none at all. */
int client_refused(long http, const json_t *j, struct err *e);
/* Decode an answer; members that s has not are those of a newer scheduler, and ignored. */
int client_understand(const json_t *j, const struct shape *s, void *ret_obj, struct err *e);
/* GET and decode into an owned struct; *ret_json (may be NULL) also gives the answer as it came. */
int client_view(struct client *c, const char *path, const struct shape *s, void *ret_obj,
                json_t **ret_json, struct err *e);
