#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/net/http.h"
#include "tests/unit/netfix.h"

struct world {
    struct loop *loop;
    struct http *http;
    struct tls *tls;
    char path[128];
    int mode; /* enum below: how requests are answered */
    int requests;
    http_id ids[LIM_HTTP_PENDING + 8];
    pthread_t late;
    bool late_started, got;
    char seen[512], actor[256], method[16], key[64];
    size_t body_len;
    int64_t uid;
    enum role role;
};
enum { ANSWER_NOW, ANSWER_LATE, ANSWER_NEVER };

static char *describe(const struct http_req *r)
{
    char *s = xasprintf("%s %s", r->method, r->path);
    for (size_t i = 0; i < r->n_query; i++) {
        char *t = xasprintf("%s %s=%s", s, r->query[i].name, r->query[i].value);
        free(s);
        s = t;
    }
    return s;
}

static void *answer_late(void *arg)
{
    struct world *w = arg;
    http_reply(w->http, w->ids[0], 202, "text/plain", xstrdup("late"), 4);
    http_reply(w->http, w->ids[0], 200, "text/plain", xstrdup("twice"), 5);
    http_reply(w->http, 9999, 200, NULL, xstrdup("nobody"), 6);
    return NULL;
}

static void on_request(void *arg, struct http *h, const struct http_req *r)
{
    struct world *w = arg;
    cleanup(freep) char *text = describe(r);
    snprintf(w->seen, sizeof(w->seen), "%s", text);
    snprintf(w->actor, sizeof(w->actor), "%s", r->actor);
    const char *key = http_header(r, "Idempotency-Key");
    snprintf(w->key, sizeof(w->key), "%s", key ? key : "");
    w->body_len = r->body_len;
    w->uid = r->uid;
    w->role = r->role;
    w->ids[w->requests++] = r->id;
    assert_int_equal(strlen(r->body), r->body_len);
    assert_null(http_query(r, "absent"));
    w->got = true;
    loop_stop(w->loop);
    if (w->mode == ANSWER_NOW)
        http_reply(h, r->id, 200, NULL, xstrdup("{\"ok\":1}"), 8);
    if (w->mode == ANSWER_LATE) {
        w->late_started = true;
        assert_int_equal(pthread_create(&w->late, NULL, answer_late, w), 0);
    }
}

static void open_world(struct world *w, int mode)
{
    static int n;
    struct err e;
    memset(w, 0, sizeof(*w));
    w->mode = mode;
    snprintf(w->path, sizeof(w->path), "%s/api%d.sock", fix_dir, n++);
    assert_int_equal(loop_new(&w->loop, NULL), 0);
    struct http_config cfg = {.loop = w->loop, .on_request = on_request, .arg = w};
    assert_int_equal(http_new(&cfg, &w->http, NULL), 0);
    if (http_listen_unix(w->http, w->path, NULL, &e) < 0)
        fail_msg("%s", e.msg);
}

static void open_tls(struct world *w)
{
    struct err e;
    w->tls = fix_tls("ours/s1", "ours", false);
    if (http_listen_tls(w->http, "127.0.0.1:0", w->tls, ROLES_HUMAN, &e) < 0)
        fail_msg("%s", e.msg);
}

static void close_world(struct world *w)
{
    if (w->late_started)
        pthread_join(w->late, NULL);
    http_free(w->http);
    tls_free(w->tls);
    loop_free(w->loop);
    assert_int_equal(access(w->path, F_OK), -1); /* it cleans up behind itself */
}

/* ---- a client, blocking in its own thread ---------------------------------------------------- */
struct client {
    struct world *w;
    pthread_t thread;
    const char *request;
    size_t len;
    const char *who; /* certificate: over TLS */
    bool plain_tcp;  /* no TLS, but to the TLS port */
    bool leave;      /* close without reading the answer */
    struct tls *tls;
    char answer[8192];
    bool done;
};

static void client_done(void *arg)
{
    struct client *c = arg;
    c->done = true;
    loop_stop(c->w->loop);
}

static int client_connect(const struct client *c)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)http_port(c->w->http))};
    bool tcp = c->who || c->plain_tcp;
    memcpy(sun.sun_path, c->w->path, strlen(c->w->path));
    int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
    int r = tcp ? connect(fd, (struct sockaddr *)&sin, sizeof(sin))
                : connect(fd, (struct sockaddr *)&sun, sizeof(sun));
    if (r < 0)
        perror("connect");
    return fd;
}

static ssize_t client_io(SSL *ssl, int fd, void *buf, size_t n, bool out)
{
    if (ssl)
        return out ? SSL_write(ssl, buf, (int)n) : SSL_read(ssl, buf, (int)n);
    return out ? write(fd, buf, n) : read(fd, buf, n);
}

static void *client_main(void *arg)
{
    struct client *c = arg;
    int fd = client_connect(c);
    SSL *ssl = c->who ? tls_open(c->tls, false) : NULL;
    size_t at = 0;
    if (ssl)
        SSL_set_fd(ssl, fd);
    if (!ssl || SSL_connect(ssl) == 1) {
        while (at < c->len) {
            ssize_t n = client_io(ssl, fd, (char *)(uintptr_t)c->request + at, c->len - at, true);
            if (n <= 0)
                break;
            at += (size_t)n;
        }
        at = 0;
        while (!c->leave && at < sizeof(c->answer) - 1) {
            ssize_t n = client_io(ssl, fd, c->answer + at, sizeof(c->answer) - 1 - at, false);
            if (n <= 0)
                break;
            at += (size_t)n;
        }
    }
    SSL_free(ssl);
    close(fd);
    assert_int_equal(loop_post(c->w->loop, client_done, NULL, c), 0);
    return NULL;
}

static void client_start(struct client *c, struct world *w, const char *request)
{
    c->w = w;
    c->request = request;
    c->len = c->len ? c->len : strlen(request);
    if (c->who)
        c->tls = fix_tls(c->who, "ours", true);
    assert_int_equal(pthread_create(&c->thread, NULL, client_main, c), 0);
}

static void client_end(struct client *c)
{
    fix_run(c->w->loop, &c->done);
    pthread_join(c->thread, NULL);
    tls_free(c->tls);
}

static void ask(struct client *c, struct world *w, const char *request)
{
    client_start(c, w, request);
    client_end(c);
}

static void answered(const struct client *c, const char *text)
{
    if (!strstr(c->answer, text))
        fail_msg("'%s' lacks '%s'", c->answer, text);
}

#define CLOSE "Host: x\r\nConnection: close\r\n"

/* ---- tests ----------------------------------------------------------------------------------- */
static void get(void **state)
{
    (void)state;
    struct world w;
    struct client c = {0};
    open_world(&w, ANSWER_NOW);
    ask(&c, &w,
        "GET /v1/a%20b/c?vm=web%2d3&x=1+2&empty= HTTP/1.1\r\nIdempotency-Key: k7\r\n" CLOSE "\r\n");
    answered(&c, "HTTP/1.1 200 OK\r\n");
    answered(&c, "Content-Type: application/json\r\n");
    answered(&c, "\r\n\r\n{\"ok\":1}");
    assert_string_equal(w.seen, "GET /v1/a b/c vm=web-3 x=1 2 empty=");
    assert_string_equal(w.actor, getpwuid(geteuid())->pw_name);
    assert_int_equal(w.uid, geteuid());
    assert_int_equal(w.role, geteuid() == 0 ? ROLE_ADMIN : ROLE_OPERATOR);
    assert_string_equal(w.key, "k7");
    close_world(&w);
}

static void late_answer_from_a_thread(void **state)
{
    (void)state;
    struct world w;
    struct client c = {0};
    open_world(&w, ANSWER_LATE);
    ask(&c, &w, "POST /v1/requests HTTP/1.1\r\nContent-Length: 4\r\n" CLOSE "\r\nbody");
    answered(&c, "HTTP/1.1 202 Accepted\r\n");
    answered(&c, "\r\n\r\nlate");
    assert_null(strstr(c.answer, "twice"));
    assert_int_equal(w.body_len, 4);
    close_world(&w);
}

static void two_requests_on_one_connection(void **state)
{
    (void)state;
    struct world w;
    struct client c = {0};
    open_world(&w, ANSWER_NOW);
    ask(&c, &w, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\n" CLOSE "\r\n");
    assert_int_equal(w.requests, 2);
    assert_true(w.ids[0] != w.ids[1]);
    assert_string_equal(w.seen, "GET /2");
    close_world(&w);
}

static void client_leaves(void **state)
{
    (void)state;
    for (int before = 0; before < 2; before++) {
        struct world w;
        struct client c = {.leave = true};
        open_world(&w, ANSWER_NEVER);
        client_start(&c, &w, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
        fix_run(w.loop, &w.got);
        client_end(&c);
        http_reply(w.http, w.ids[0], 200, NULL, xstrdup("{}"), 2);
        if (before) { /* let the loop see the answer and the closed socket, in a later request */
            struct client again = {0};
            w.mode = ANSWER_NOW;
            ask(&again, &w, "GET /next HTTP/1.1\r\n" CLOSE "\r\n");
            answered(&again, "200 OK");
        }
        http_reply(w.http, w.ids[0], 200, NULL, xstrdup("{}"), 2);
        close_world(&w); /* otherwise: answers still queued when everything goes */
    }
}

static void let_go(void *arg)
{
    (*(int *)arg)++;
}

/* One body for two clients, and for one that is not there: it is let go of three times. */
static void one_body_for_several(void **state)
{
    (void)state;
    struct world w;
    struct client c[2] = {0};
    int released = 0;
    const struct http_shared b = {"{\"all\":1}", 9, let_go, &released};
    open_world(&w, ANSWER_NEVER);
    for (int i = 0; i < 2; i++) {
        client_start(&c[i], &w, "GET /same HTTP/1.1\r\n" CLOSE "\r\n");
        w.got = false;
        fix_run(w.loop, &w.got);
    }
    http_reply_shared(w.http, w.ids[0], &b);
    http_reply_shared(w.http, 9999, &b);
    http_reply_shared(w.http, w.ids[1], &b);
    for (int i = 0; i < 2; i++) {
        client_end(&c[i]);
        answered(&c[i], "200 OK");
        answered(&c[i], "\r\n\r\n{\"all\":1}");
    }
    close_world(&w);
    assert_int_equal(released, 3);
}

static void freed_with_clients_waiting(void **state)
{
    (void)state;
    struct world w;
    struct client c[3] = {0};
    open_world(&w, ANSWER_NEVER);
    for (int i = 0; i < 3; i++) {
        client_start(&c[i], &w, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
        w.got = false;
        fix_run(w.loop, &w.got);
    }
    http_reply(w.http, w.ids[1], 200, NULL, xstrdup("{}"), 2);
    http_free(w.http);
    w.http = NULL;
    for (int i = 0; i < 3; i++) {
        client_end(&c[i]);
        assert_string_equal(c[i].answer, "");
    }
    close_world(&w);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *request, *answer;
    } t[] = {
        {"GET /a%00b HTTP/1.1\r\n" CLOSE "\r\n", "400 Bad Request"},
        {"PATCH / HTTP/1.1\r\n" CLOSE "\r\n", "501 "},
        {"BREW / HTTP/1.1\r\n" CLOSE "\r\n", "501 "},
        {"\x16\x03\x01 garbage\r\n\r\n", "400 "},
    };
    struct world w;
    open_world(&w, ANSWER_NOW);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct client c = {0};
        ask(&c, &w, t[i].request);
        answered(&c, t[i].answer);
    }
    struct client c = {0};
    char *long_query = xcalloc(400, 1);
    for (int i = 0, at = 0; i < LIM_HTTP_PARAMS + 1; i++)
        at += snprintf(long_query + at, 400 - (size_t)at, "a%d=1&", i);
    long_query[strlen(long_query) - 1] = '\0';
    char *request = xasprintf("GET /?%s HTTP/1.1\r\n" CLOSE "\r\n", long_query);
    ask(&c, &w, request);
    answered(&c, "400 Bad Request");
    answered(&c, "too many query parameters");
    free(request);
    free(long_query);
    assert_int_equal(w.requests, 0);
    close_world(&w);
}

static void sizes_are_limited(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, ANSWER_NOW);
    cleanup(freep) char *body = xcalloc(1, LIM_HTTP_BODY_BYTES + 2);
    memset(body, 'b', LIM_HTTP_BODY_BYTES + 1);
    cleanup(freep) char *fits =
        xasprintf("POST / HTTP/1.1\r\nContent-Length: %d\r\n" CLOSE "\r\n%.*s", LIM_HTTP_BODY_BYTES,
                  LIM_HTTP_BODY_BYTES, body);
    cleanup(freep) char *big = xasprintf("POST / HTTP/1.1\r\nContent-Length: %d\r\n" CLOSE "\r\n%s",
                                         LIM_HTTP_BODY_BYTES + 1, body);
    cleanup(freep) char *head =
        xasprintf("GET / HTTP/1.1\r\nX: %.*s\r\n" CLOSE "\r\n", LIM_HTTP_HEADER_BYTES, body);
    struct client a = {0}, b = {0}, c = {0};
    ask(&a, &w, fits);
    answered(&a, "200 OK");
    assert_int_equal(w.body_len, LIM_HTTP_BODY_BYTES);
    ask(&b, &w, big);
    assert_null(strstr(b.answer, "200 OK"));
    ask(&c, &w, head);
    assert_null(strstr(c.answer, "200 OK"));
    assert_int_equal(w.requests, 1);
    close_world(&w);
}

static void pending_is_limited(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, ANSWER_NEVER);
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    memcpy(sun.sun_path, w.path, strlen(w.path));
    int fds[LIM_HTTP_PENDING];
    static const char get_slow[] = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&sun, sizeof(sun)), 0);
        assert_int_equal(write(fds[i], get_slow, strlen(get_slow)), strlen(get_slow));
    }
    while (w.requests < LIM_HTTP_PENDING)
        loop_run(w.loop);
    struct client c = {0};
    ask(&c, &w, "GET /one-more HTTP/1.1\r\n" CLOSE "\r\n");
    answered(&c, "503 Service Unavailable");
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    close_world(&w);
}

static void socket_file(void **state)
{
    (void)state;
    struct world w, second;
    struct stat st;
    struct err e;
    open_world(&w, ANSWER_NOW);
    assert_int_equal(stat(w.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    open_world(&second, ANSWER_NOW);
    struct http *h;
    struct http_config cfg = {.loop = w.loop, .on_request = on_request};
    assert_int_equal(http_new(&cfg, &h, NULL), 0);
    assert_int_equal(http_listen_unix(h, w.path, NULL, &e), -EADDRINUSE); /* a living one */
    assert_non_null(strstr(e.msg, "another process listens"));
    char file[160], stale[160];
    snprintf(file, sizeof(file), "%s/file", fix_dir);
    assert_int_equal(file_write(file, "x", 1, 0600, NULL), 0);
    assert_int_equal(http_listen_unix(h, file, NULL, &e), -EEXIST);
    assert_int_equal(http_listen_unix(h, "/nowhere/api.sock", NULL, &e), -ENOENT);
    assert_int_equal(http_listen_unix(h, second.path, NULL, &e), -EADDRINUSE);
    snprintf(stale, sizeof(stale), "%s/stale", fix_dir);
    assert_int_equal(http_listen_unix(h, stale, "no-such-group", &e), -ENOENT);
    assert_non_null(strstr(e.msg, "no-such-group"));
    assert_int_equal(access(stale, F_OK), -1);
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    memcpy(sun.sun_path, stale, strlen(stale));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
    close(fd); /* what a crash leaves */
    assert_int_equal(http_listen_unix(h, stale, NULL, &e), 0);
    http_free(h);
    close_world(&w);
    close_world(&second);
}

static void over_tls(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, ANSWER_NOW);
    open_tls(&w);
    struct client olga = {.who = "ours/olga"}, agent = {.who = "ours/h1"},
                  late = {.who = "ours/late"}, other = {.who = "other/h1"},
                  plain = {.plain_tcp = true};
    ask(&olga, &w, "GET /v1/hosts HTTP/1.1\r\n" CLOSE "\r\n");
    answered(&olga, "200 OK");
    assert_string_equal(w.actor, "olga");
    assert_int_equal(w.uid, -1);
    assert_int_equal(w.role, ROLE_OPERATOR);
    assert_int_equal(w.requests, 1);
    ask(&agent, &w, "GET /v1/hosts HTTP/1.1\r\n" CLOSE "\r\n");
    answered(&agent, "403 Forbidden");
    ask(&late, &w, "GET /v1/hosts HTTP/1.1\r\n" CLOSE "\r\n");
    assert_string_equal(late.answer, "");
    ask(&other, &w, "GET /v1/hosts HTTP/1.1\r\n" CLOSE "\r\n");
    assert_string_equal(other.answer, "");
    ask(&plain, &w, "GET /v1/hosts HTTP/1.1\r\n" CLOSE "\r\n");
    assert_null(strstr(plain.answer, "HTTP/1.1"));
    assert_int_equal(w.requests, 1);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get),
        cmocka_unit_test(late_answer_from_a_thread),
        cmocka_unit_test(two_requests_on_one_connection),
        cmocka_unit_test(client_leaves),
        cmocka_unit_test(one_body_for_several),
        cmocka_unit_test(freed_with_clients_waiting),
        cmocka_unit_test(refusals),
        cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(pending_is_limited),
        cmocka_unit_test(socket_file),
        cmocka_unit_test(over_tls),
    };
    return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
