/* tests/unit/schedask.h: a blocking client of the rig, and an agent that reports. */
#pragma once

#include "tests/unit/schedrig.h"

struct ask {
    const char *method, *path, *headers, *body;
};

/* Gives the body as JSON. */
static inline json_t *call(const struct rig *g, const struct ask *a, int *ret_status)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", g->sock);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    const char *body = a->body ? a->body : "";
    cleanup(freep) char *text = xasprintf(
        "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s",
        a->method, a->path, strlen(body), a->headers ? a->headers : "", body);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    char *in = NULL;
    size_t len = 0;
    for (ssize_t n = 1; n > 0; len += (size_t)n) {
        in = xrealloc(in, len + 65537, 1);
        n = read(fd, in + len, 65536);
        assert_true(n >= 0);
    }
    close(fd);
    in[len] = '\0';
    assert_int_equal(sscanf(in, "HTTP/1.1 %d", ret_status), 1);
    const char *start_of_body = strstr(in, "\r\n\r\n");
    assert_non_null(start_of_body);
    json_t *j = json_loads(start_of_body + 4, 0, NULL);
    if (!j)
        fail_msg("no JSON: %s", in);
    free(in);
    return j;
}

static inline json_t *get(const struct rig *g, const char *path, int want)
{
    int status;
    json_t *j = call(g, &(struct ask){.method = "GET", .path = path}, &status);
    assert_int_equal(status, want);
    return j;
}

static inline json_t *post(const struct rig *g, const char *body, const char *key, int want)
{
    int status;
    cleanup(freep) char *h = key ? xasprintf("Idempotency-Key: %s\r\n", key) : NULL;
    const struct ask a = {"POST", "/v1/requests", h, body};
    json_t *j = call(g, &a, &status);
    if (status != want)
        fail_msg("%d, not %d: %s", status, want, json_string_value(json_object_get(j, "message")));
    return j;
}

static inline const char *str(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "";
}

static inline void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not contain '%s'", text, part);
}

/* What an agent of h1 with one VM would cause. */
static inline void agent_reports_as(const struct rig *g, const char *version)
{
    struct item *up = item_new(ITEM_AGENT_UP);
    up->host = xstrdup("h1");
    up->instance = xstrdup("i1");
    assert_int_equal(queue_push(g->queue, up), 0);
    struct item *m = item_new(ITEM_MSG);
    m->host = xstrdup("h1");
    cleanup(freep) char *text = xasprintf(
        "{\"v\":1,\"id\":1,\"re\":0,\"type\":\"report\",\"body\":{\"seq\":1,\"full\":true,"
        "\"has_host\":true,\"host\":{\"name\":\"h1\",\"mem_bytes\":1000000,\"libvirt_up\":true,"
        "\"agent_version\":\"%s\"},"
        "\"vms\":[{\"uuid\":\"u1\",\"name\":\"web-1\",\"state\":\"running\",\"mem_bytes\":1000}]}}",
        version);
    struct err e;
    if (msg_decode(text, strlen(text), &m->msg, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(queue_push(g->queue, m), 0);
}

static inline void agent_reports(const struct rig *g)
{
    agent_reports_as(g, DROVER_VERSION);
}

static inline json_t *first(const json_t *j, const char *list)
{
    return json_array_get(json_object_get(j, list), 0);
}
