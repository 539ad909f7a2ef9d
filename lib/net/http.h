/* lib/net/http.h: a small HTTP server; its .c file is the only user of evhttp.
 * Purpose  requests from a unix socket (who: peer credentials) and optionally from TCP with mutual
 *          TLS (who: certificate) go to one handler, which answers now or later, from any thread.
 * Limits   LIM_HTTP_HEADER_BYTES, LIM_HTTP_BODY_BYTES, LIM_HTTP_PENDING unanswered requests (503).
 * Owner    http_req and all it points to is borrowed until the handler returns.
 * Thread   loop thread, except http_reply: any. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/net/loop.h"
#include "lib/net/tls.h"

struct http;
/* Names one request for ever: ids are not reused, so an answer to a client that left, or a second
 * answer, finds nothing and is dropped. */
typedef uint64_t http_id;

struct http_param {
    const char *name, *value;
};
struct http_req {
    http_id id;
    const char *method; /* "GET" "POST" "PUT" "DELETE" */
    const char *path;   /* decoded, without the query */
    const struct http_param *query;
    size_t n_query;
    const char *body; /* NUL-terminated */
    size_t body_len;
    const char *actor; /* login name of the uid ("root"), or the certificate's name */
    int64_t uid;       /* of a local peer, -1 when known by certificate */
    enum role role;    /* uid 0 of the unix socket: admin; others who may open it: operator */
    const void *priv;  /* for http_header */
};

struct http_config {
    struct loop *loop;
    void (*on_request)(void *arg, struct http *h, const struct http_req *r);
    void *arg;
};

int http_new(const struct http_config *cfg, struct http **ret, struct err *e);
/* Unanswered clients are disconnected; later http_reply calls must not happen. */
void http_free(struct http *h);
/* Listen on a unix socket, mode 0660, owned by group (NULL: the process's own). A stale socket file
 * is replaced; one that is answered is -EADDRINUSE. */
int http_listen_unix(struct http *h, const char *path, const char *group, struct err *e);
/* Listen on TCP with mutual TLS; certificates of other roles get 403. Borrows tls. */
int http_listen_tls(struct http *h, const char *address, struct tls *tls, unsigned roles,
                    struct err *e);
int http_port(const struct http *h); /* of the TLS listener, 0 if none */

/* First value of a query parameter or of a request header, NULL if absent. Borrow. */
const char *http_query(const struct http_req *r, const char *name);
const char *http_header(const struct http_req *r, const char *name);

/* Answer. Any thread; copies type, takes body (free()d). type NULL: "application/json". */
void http_reply(struct http *h, http_id id, int status, const char *type, char *body, size_t len);
/* 200 with JSON that others hold, too: borrows body until release(arg), which is called once and from any
 * thread, also when the client has left. */
struct http_shared {
    const char *body;
    size_t len;
    void (*release)(void *arg);
    void *arg;
};
void http_reply_shared(struct http *h, http_id id, const struct http_shared *b);
