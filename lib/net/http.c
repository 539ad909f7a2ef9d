#include "lib/net/http.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/bind.h"

/* A client that stops in mid-request is cut after this long; also the life of an idle keep-alive.
 */
enum { CLIENT_TIMEOUT_S = 60 };

struct pending {
    http_id id;
    struct evhttp_request *req;
    struct evhttp_connection *conn;
};
struct http {
    struct http_config cfg;
    atomic_int refs; /* answers on their way through the loop's queue hold one */
    struct evhttp *unix_ev, *tls_ev;
    struct tls *tls;
    unsigned roles;
    int port;
    char *unix_path;
    struct pending *pending;
    size_t n_pending;
    http_id last_id;
};
struct reply {
    struct http *http;
    http_id id;
    int status;
    char *type, *body;
    size_t len;
    struct http_shared *shared; /* instead of body */
};

static void release(struct http *h)
{
    if (atomic_fetch_sub(&h->refs, 1) != 1)
        return;
    free(h->pending);
    free(h->unix_path);
    free(h);
}

/* ---- answers --------------------------------------------------------------------------------- */
static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } table[] = {{200, "OK"},
                 {201, "Created"},
                 {202, "Accepted"},
                 {204, "No Content"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {409, "Conflict"},
                 {413, "Content Too Large"},
                 {422, "Unprocessable Content"},
                 {429, "Too Many Requests"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].text;
    return "Other";
}

static void free_body(const void *data, size_t len, void *arg)
{
    (void)data, (void)len;
    free(arg);
}

static void free_shared(const void *data, size_t len, void *arg)
{
    struct http_shared *b = arg;
    (void)data, (void)len;
    b->release(b->arg);
    free(b);
}

/* Takes buf. */
static void send_buffer(struct evhttp_request *req, int status, const char *type,
                        struct evbuffer *buf)
{
    struct evkeyvalq *out = evhttp_request_get_output_headers(req);
    evhttp_add_header(out, "Content-Type", type ? type : "application/json");
    evhttp_add_header(out, "Cache-Control", "no-store");
    evhttp_add_header(out, "X-Content-Type-Options", "nosniff");
    evhttp_send_reply(req, status, status_text(status), buf);
    evbuffer_free(buf);
}

/* Takes body. */
static void send_reply(struct evhttp_request *req, int status, const char *type, char *body,
                       size_t len)
{
    struct evbuffer *buf = evbuffer_new();
    assert(buf);
    if (!len || evbuffer_add_reference(buf, body, len, free_body, body) < 0)
        free(body);
    send_buffer(req, status, type, buf);
}

/* Takes b. */
static void send_shared(struct evhttp_request *req, struct http_shared *b)
{
    struct evbuffer *buf = evbuffer_new();
    assert(buf);
    if (!b->len || evbuffer_add_reference(buf, b->body, b->len, free_shared, b) < 0)
        free_shared(NULL, 0, b);
    send_buffer(req, 200, NULL, buf);
}

/* For refusals by this layer itself; message needs no escaping. */
static void refuse(struct evhttp_request *req, int status, const char *code, const char *message)
{
    char *body = xasprintf("{\"schema\":\"drover.error/1\",\"code\":\"%s\",\"message\":\"%s\"}",
                           code, message);
    send_reply(req, status, NULL, body, strlen(body));
}

static struct pending *find(struct http *h, http_id id)
{
    for (size_t i = 0; i < h->n_pending; i++)
        if (h->pending[i].id == id)
            return &h->pending[i];
    return NULL;
}

static void forget(struct http *h, struct pending *p)
{
    *p = h->pending[--h->n_pending];
}

static void reply_free(void *arg)
{
    struct reply *r = arg;
    release(r->http);
    free(r->type);
    free(r->body);
    if (r->shared)
        free_shared(NULL, 0, r->shared);
    free(r);
}

static void on_reply(void *arg)
{
    struct reply *r = arg;
    struct pending *p = find(r->http, r->id);
    if (p) {
        struct evhttp_request *req = p->req;
        /* from here on a broken connection is evhttp's own affair */
        evhttp_connection_set_closecb(p->conn, NULL, NULL);
        forget(r->http, p);
        if (r->shared)
            send_shared(req, take(r->shared));
        else
            send_reply(req, r->status, r->type, take(r->body), r->len);
    }
    reply_free(r);
}

static void post(struct reply *r)
{
    atomic_fetch_add(&r->http->refs, 1);
    /* queue full or loop gone: the client will find its connection cut or time out */
    if (loop_post(r->http->cfg.loop, on_reply, reply_free, r) < 0)
        reply_free(r);
}

void http_reply(struct http *h, http_id id, int status, const char *type, char *body, size_t len)
{
    struct reply *r = xcalloc(1, sizeof(*r));
    *r = (struct reply){h, id, status, xstrdup(type), body, body ? len : 0, NULL};
    post(r);
}

void http_reply_shared(struct http *h, http_id id, const struct http_shared *b)
{
    struct reply *r = xcalloc(1, sizeof(*r));
    *r = (struct reply){.http = h, .id = id, .status = 200, .shared = xmemdup(b, sizeof(*b))};
    post(r);
}

/* The client left before it was answered. */
static void on_close(struct evhttp_connection *conn, void *arg)
{
    struct http *h = arg;
    for (size_t i = 0; i < h->n_pending; i++) {
        struct pending *p = &h->pending[i];
        if (p->conn != conn)
            continue;
        /* evhttp has let go of the request only if it says so; else it frees it itself */
        if (!evhttp_request_get_connection(p->req))
            evhttp_request_free(p->req);
        forget(h, p);
        return;
    }
}

/* ---- requests -------------------------------------------------------------------------------- */
static const char *method_text(enum evhttp_cmd_type m)
{
    switch ((int)m) {
    case EVHTTP_REQ_GET:
        return "GET";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_PUT:
        return "PUT";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    default:
        return NULL;
    }
}

/* Who is at the other end of the unix socket? The kernel says, the client cannot. */
static int who_local(struct bufferevent *bev, char *name, size_t size, struct http_req *r)
{
    struct ucred uc;
    socklen_t len = sizeof(uc);
    if (getsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_PEERCRED, &uc, &len) < 0)
        return -errno;
    char buf[4096];
    struct passwd pw, *found = NULL;
    getpwuid_r(uc.uid, &pw, buf, sizeof(buf), &found);
    if (found)
        snprintf(name, size, "%s", found->pw_name);
    else
        snprintf(name, size, "uid-%u", (unsigned)uc.uid);
    r->uid = uc.uid;
    r->role = uc.uid == 0 ? ROLE_ADMIN : ROLE_OPERATOR;
    return 0;
}

static int who_tls(const struct http *h, struct bufferevent *bev, char *name, size_t size,
                   struct http_req *r)
{
    /* evhttp falls back to plain text when a TLS bufferevent cannot be made: never trust that */
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    struct identity id;
    if (!ssl)
        return -EACCES;
    int rc = tls_peer(ssl, h->roles, &id, NULL);
    if (rc < 0)
        return rc;
    snprintf(name, size, "%s", id.name);
    r->uid = -1;
    r->role = id.role;
    return 0;
}

/* Parameters beyond the limit: -E2BIG. Borrows from q. */
static int list_params(const struct evkeyvalq *q, struct http_param *params, size_t *n)
{
    for (const struct evkeyval *kv = q->tqh_first; kv; kv = kv->next.tqe_next) {
        if (*n == LIM_HTTP_PARAMS)
            return -E2BIG;
        params[(*n)++] = (struct http_param){kv->key, kv->value};
    }
    return 0;
}

/* Body and decoded path, checked for zero bytes that would hide what follows them. */
static int read_request(struct evhttp_request *req, char **ret_path, char **ret_body,
                        size_t *ret_len)
{
    size_t n;
    const char *raw = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
    cleanup(freep) char *path = evhttp_uridecode(raw && raw[0] ? raw : "/", 0, &n);
    if (!path || strlen(path) != n)
        return -EINVAL;
    struct evbuffer *in = evhttp_request_get_input_buffer(req);
    size_t len = evbuffer_get_length(in);
    cleanup(freep) char *body = xcalloc(len + 1, 1);
    evbuffer_copyout(in, body, len);
    if (memchr(body, '\0', len))
        return -EINVAL;
    *ret_path = take(path);
    *ret_body = take(body);
    *ret_len = len;
    return 0;
}

static void hand_over(struct http *h, struct evhttp_request *req, struct http_req *r)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(req);
    struct pending *p = vec_add(&h->pending, &h->n_pending);
    *p = (struct pending){++h->last_id, req, conn};
    evhttp_connection_set_closecb(conn, on_close, h);
    r->id = p->id;
    r->priv = req;
    h->cfg.on_request(h->cfg.arg, h, r);
}

static void on_request(struct http *h, struct evhttp_request *req, bool local)
{
    char name[256];
    struct http_param params[LIM_HTTP_PARAMS];
    struct evkeyvalq query = {0};
    struct http_req r = {.query = params, .actor = name};
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(req));
    cleanup(freep) char *path = NULL, *body = NULL;
    r.method = method_text(evhttp_request_get_command(req));
    const char *q = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
    if ((local ? who_local(bev, name, sizeof(name), &r) : who_tls(h, bev, name, sizeof(name), &r)) <
        0)
        refuse(req, 403, "forbidden",
               "this certificate's role may not use the API; use one of the role viewer, operator "
               "or admin");
    else if (!r.method)
        refuse(req, 405, "method", "only GET, POST, PUT and DELETE are known");
    else if (h->n_pending >= LIM_HTTP_PENDING)
        refuse(req, 503, "busy", "too many requests wait for an answer; try again in a moment");
    else if (read_request(req, &path, &body, &r.body_len) < 0)
        refuse(req, 400, "bad_request", "a zero byte, or a path that cannot be decoded");
    else if (q && evhttp_parse_query_str(q, &query) < 0)
        refuse(req, 400, "bad_request", "the query cannot be decoded");
    else if (q && list_params(&query, params, &r.n_query) < 0)
        refuse(req, 400, "bad_request", "too many query parameters");
    else {
        r.path = path;
        r.body = body;
        hand_over(h, req, &r);
    }
    evhttp_clear_headers(&query);
}

static void on_unix_request(struct evhttp_request *req, void *arg)
{
    on_request(arg, req, true);
}

static void on_tls_request(struct evhttp_request *req, void *arg)
{
    on_request(arg, req, false);
}

const char *http_query(const struct http_req *r, const char *name)
{
    for (size_t i = 0; i < r->n_query; i++)
        if (str_eq(r->query[i].name, name))
            return r->query[i].value;
    return NULL;
}

const char *http_header(const struct http_req *r, const char *name)
{
    struct evhttp_request *req = (struct evhttp_request *)(uintptr_t)r->priv;
    return evhttp_find_header(evhttp_request_get_input_headers(req), name);
}

/* ---- servers --------------------------------------------------------------------------------- */
static struct evhttp *server(struct http *h, int fd, void (*cb)(struct evhttp_request *, void *))
{
    struct event_base *base = loop_base(h->cfg.loop);
    struct evhttp *ev = evhttp_new(base);
    assert(ev);
    evhttp_set_max_headers_size(ev, LIM_HTTP_HEADER_BYTES);
    evhttp_set_max_body_size(ev, LIM_HTTP_BODY_BYTES);
    evhttp_set_timeout(ev, CLIENT_TIMEOUT_S);
    evhttp_set_allowed_methods(ev, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                       EVHTTP_REQ_DELETE);
    evhttp_set_gencb(ev, cb, h);
    struct evconnlistener *l =
        evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    assert(l);
    struct evhttp_bound_socket *bound = evhttp_bind_listener(ev, l);
    assert(bound);
    return ev;
}

int http_new(const struct http_config *cfg, struct http **ret, struct err *e)
{
    (void)e;
    struct http *h = xcalloc(1, sizeof(*h));
    h->cfg = *cfg;
    atomic_init(&h->refs, 1);
    *ret = h;
    return 0;
}

int http_listen_unix(struct http *h, const char *path, const char *group, struct err *e)
{
    int fd;
    assert(!h->unix_ev);
    int r = bind_unix(path, group, &fd, e);
    if (r < 0)
        return r;
    h->unix_path = xstrdup(path);
    h->unix_ev = server(h, fd, on_unix_request);
    return 0;
}

static struct bufferevent *tls_bufferevent(struct event_base *base, void *arg)
{
    struct http *h = arg;
    struct bufferevent *bev = bufferevent_openssl_socket_new(
        base, -1, tls_open(h->tls, true), BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    assert(bev);
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

int http_listen_tls(struct http *h, const char *address, struct tls *tls, unsigned roles,
                    struct err *e)
{
    int fd;
    assert(!h->tls_ev);
    int r = bind_tcp(address, &fd, &h->port, e);
    if (r < 0)
        return r;
    h->tls = tls;
    h->roles = roles;
    h->tls_ev = server(h, fd, on_tls_request);
    evhttp_set_bevcb(h->tls_ev, tls_bufferevent, h);
    return 0;
}

int http_port(const struct http *h)
{
    return h->port;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    if (h->unix_ev)
        evhttp_free(h->unix_ev);
    if (h->tls_ev)
        evhttp_free(h->tls_ev);
    if (h->unix_path)
        unlink(h->unix_path);
    h->n_pending = 0; /* those whose close callback was not called died with their connection */
    release(h);
}
