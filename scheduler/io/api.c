#include "scheduler/io/api.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"

enum { KEY_BYTES = 200, JOURNAL_LIMIT = 1000, PARAMS = 4 };

struct call {
    struct api *api;
    struct http *http;
    const struct http_req *req;
};
struct route {
    const char *method, *path; /* a path ending in '/' takes one more segment */
    const char *params[PARAMS];
    void (*serve)(const struct call *c);
};

static void answer(const struct call *c, int status, char *body)
{
    http_reply(c->http, c->req->id, status, NULL, body, strlen(body));
}

static void refuse(const struct call *c, int status, const char *code, const char *message,
                   const char *cure)
{
    answer(c, status, api_error_text(code, message, cure));
}

static void hand_over(const struct call *c, struct item *i)
{
    i->http = c->req->id;
    if (queue_push(c->api->queue, i) == 0)
        return;
    item_free(i);
    refuse(c, 503, "overload",
           "the scheduler is behind with its work, or stopping; nothing was done",
           "try again in a few seconds");
}

/* ---- parameters ------------------------------------------------------------------------------ */
/* True when refused already. */
static bool bad_int(const struct call *c, const char *name, int64_t dflt, int64_t *ret)
{
    const char *text = http_query(c->req, name);
    struct err e;
    *ret = dflt;
    if (!text || parse_int(text, 0, INT64_MAX, ret, &e) == 0)
        return false;
    cleanup(freep) char *message = xasprintf("parameter '%s': %s", name, e.msg);
    refuse(c, 400, "bad_parameter", message, NULL);
    return true;
}

static bool bad_params(const struct call *c, const struct route *rt)
{
    size_t n = 0;
    while (n < PARAMS && rt->params[n])
        n++;
    for (size_t i = 0; i < c->req->n_query; i++) {
        const char *name = c->req->query[i].name;
        size_t k = 0;
        while (k < n && !str_eq(rt->params[k], name))
            k++;
        if (k < n)
            continue;
        const char *near = str_did_you_mean(name, rt->params, n);
        cleanup(freep) char *message =
            xasprintf("unknown parameter '%s'%s%s%s", name, near ? "; did you mean '" : "",
                      near ? near : "", near ? "'?" : "");
        refuse(c, 400, "bad_parameter", message, NULL);
        return true;
    }
    return false;
}

/* ---- GET ------------------------------------------------------------------------------------- */
static void query(const struct call *c, enum query q)
{
    struct item *i = item_new(ITEM_QUERY);
    i->query = q;
    hand_over(c, i);
}

static void get_hosts(const struct call *c)
{
    query(c, QUERY_HOSTS);
}
static void get_vms(const struct call *c)
{
    query(c, QUERY_VMS);
}
static void get_runs(const struct call *c)
{
    query(c, QUERY_RUNS);
}
static void get_health(const struct call *c)
{
    query(c, QUERY_HEALTH);
}

static void get_snapshot(const struct call *c)
{
    query(c, QUERY_SNAPSHOT);
}

static void get_policy(const struct call *c)
{
    query(c, QUERY_POLICY);
}

static void get_version(const struct call *c)
{
    json_t *j = json_pack("{s:s, s:s, s:i, s:s}", "schema", "drover.version/1", "version",
                          DROVER_VERSION, "api", 1, "role", role_names[c->req->role]);
    char *text = codec_text(j);
    json_decref(j);
    answer(c, 200, text);
}

static void get_run(const struct call *c)
{
    const char *id = strrchr(c->req->path, '/') + 1;
    struct err e;
    int64_t n, after;
    if (parse_int(id, 1, INT64_MAX, &n, &e) < 0) {
        cleanup(freep) char *message = xasprintf("run id: %s", e.msg);
        refuse(c, 400, "bad_parameter", message, "GET /v1/runs lists the runs");
        return;
    }
    if (bad_int(c, "after", 0, &after))
        return;
    struct item *i = item_new(ITEM_QUERY);
    i->query = QUERY_RUN;
    i->n1 = n;
    i->n2 = after;
    hand_over(c, i);
}

static void get_explain(const struct call *c)
{
    const char *vm = http_query(c->req, "vm");
    if (!vm || !*vm || strlen(vm) > 2 * LIM_NAME_BYTES) {
        refuse(c, 400, "bad_parameter", "parameter 'vm' is missing: a VM's name, UUID or NAME@HOST",
               "GET /v1/vms lists the VMs");
        return;
    }
    struct item *i = item_new(ITEM_QUERY);
    i->query = QUERY_EXPLAIN;
    i->text = xstrdup(vm);
    hand_over(c, i);
}

static void get_journal(const struct call *c)
{
    int64_t after, limit;
    if (bad_int(c, "after", 0, &after) || bad_int(c, "limit", JOURNAL_LIMIT, &limit))
        return;
    struct item *i = item_new(ITEM_QUERY);
    i->query = QUERY_JOURNAL;
    i->n1 = after;
    i->n2 = limit;
    hand_over(c, i);
}

/* ---- POST ------------------------------------------------------------------------------------ */
static char *actor_of(const struct http_req *r)
{
    if (r->uid >= 0)
        return xasprintf("%s (uid %" PRId64 ")", r->actor, r->uid);
    return xstrdup(r->actor);
}

/* A body may say what form it has. */
struct tagged {
    char *schema;
};
#define T struct tagged
SHAPE(tagged_shape, T, SF_STR(T, schema));
#undef T

static void post_request(const struct call *c)
{
    const struct http_req *r = c->req;
    const char *key = http_header(r, "Idempotency-Key");
    if (key && (!*key || strlen(key) > KEY_BYTES)) {
        refuse(c, 400, "bad_key", "Idempotency-Key: expected 1 to 200 characters", NULL);
        return;
    }
    cleanup(json_decrefp) json_t *body = NULL;
    struct err e;
    if (codec_parse(r->body, r->body_len, &body, &e) < 0) {
        refuse(c, 400, "bad_json", e.msg, NULL);
        return;
    }
    if (!json_is_object(body)) {
        refuse(c, 400, "bad_json", "the body must be a JSON object", NULL);
        return;
    }
    /* a member that is not understood could have been the one that says "dry_run": refuse, do not guess */
    if (codec_known(&request_shape, &tagged_shape, body, &e) < 0) {
        refuse(c, 400, "unknown_member", e.msg,
               "nothing was done: this scheduler is of version " DROVER_VERSION
               "; upgrade it first, or leave the member out");
        return;
    }
    struct request req;
    if (codec_decode(&request_shape, body, &req, &e) < 0) {
        refuse(c, 400, "bad_member", e.msg, NULL);
        return;
    }
    struct item *i = item_new(ITEM_REQUEST);
    i->request = req;
    free(i->request.actor); /* never from the body */
    i->request.actor = actor_of(r);
    i->key = xstrdup(key);
    i->cost = r->body_len;
    hand_over(c, i);
}

/* ---- routes ---------------------------------------------------------------------------------- */
static const struct route routes[] = {
    {"GET", "/v1/version", {NULL}, get_version},
    {"GET", "/v1/hosts", {NULL}, get_hosts},
    {"GET", "/v1/vms", {NULL}, get_vms},
    {"GET", "/v1/runs", {NULL}, get_runs},
    {"GET", "/v1/runs/", {"after"}, get_run},
    {"GET", "/v1/explain", {"vm"}, get_explain},
    {"GET", "/v1/journal", {"after", "limit"}, get_journal},
    {"GET", "/v1/health", {NULL}, get_health},
    {"GET", "/v1/snapshot", {NULL}, get_snapshot},
    {"GET", "/v1/policy", {NULL}, get_policy},
    {"POST", "/v1/requests", {NULL}, post_request},
};

static bool path_is(const struct route *rt, const char *path)
{
    size_t len = strlen(rt->path);
    if (rt->path[len - 1] != '/')
        return str_eq(rt->path, path);
    return str_has_prefix(path, rt->path) && path[len] && !strchr(path + len, '/');
}

void api_on_request(void *arg, struct http *h, const struct http_req *r)
{
    const struct call c = {arg, h, r};
    const struct route *rt = routes, *end = routes + ARRAY_LEN(routes);
    while (rt < end && !path_is(rt, r->path))
        rt++;
    if (rt == end) {
        cleanup(freep) char *message = xasprintf("no such path: %.200s", r->path);
        refuse(&c, 404, "unknown_path", message,
               "paths: /v1/version /v1/hosts /v1/vms /v1/runs /v1/runs/ID /v1/explain?vm= "
               "/v1/journal /v1/health /v1/snapshot /v1/policy, POST /v1/requests");
    } else if (!str_eq(rt->method, r->method)) {
        cleanup(freep) char *message =
            xasprintf("%s takes %s, not %s", rt->path, rt->method, r->method);
        refuse(&c, 405, "bad_method", message, NULL);
    } else if (r->role != ROLE_ADMIN && r->role != ROLE_OPERATOR &&
               !(r->role == ROLE_VIEWER && str_eq(rt->method, "GET"))) {
        cleanup(freep) char *message =
            xasprintf("%s has the role %s, which may only look", r->actor, role_names[r->role]);
        refuse(&c, 403, "forbidden", message, "ask for a certificate of the role operator");
    } else if (!bad_params(&c, rt)) {
        rt->serve(&c);
    }
}
