/* The agent's side of the Ceph helper: answers, deaths, silence. This program is its own helper:
 * started with a socket as descriptor 3 it behaves as the pool's name of each question tells. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "agent/rbd/client.h"
#include "agent/rbd/conns.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"

/* ---- the helper --------------------------------------------------------------------------------- */
static void fake_answer(int fd, const struct rbd_ask *ask)
{
    struct rbd_answer a = {.id = ask->id};
    rbd_fact_error(&ask->disk, NULL, NULL, &a.fact);
    a.fact.ok = true;
    a.fact.fsid = xasprintf("pid-%d", (int)getpid());
    a.fact.image_id = xstrdup(ask->key ? ask->key : "no-key");
    shape_init(&ceph_told_shape, &a.health);
    if (ask->health) {
        a.health.ok = true;
        a.health.status = xstrdup("HEALTH_WARN");
        a.health.cause = xstrdup(ask->key ? ask->key : "no-key");
        a.health.moving_pgs = 12;
    }
    cleanup(freep) char *text = codec_encode_text(&rbd_answer_shape, &a);
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        _exit(1);
    shape_done(&rbd_answer_shape, &a);
}

static int fake_helper(int fd)
{
    char buf[65536];
    for (ssize_t n; (n = recv(fd, buf, sizeof(buf) - 1, 0)) > 0;) {
        struct rbd_ask ask;
        buf[n] = '\0';
        if (codec_decode_text(&rbd_ask_shape, buf, &ask, NULL) < 0)
            return 1;
        if (str_eq(ask.disk.pool, "die"))
            _exit(1);
        if (str_eq(ask.disk.pool, "garbage") && send(fd, "}{", 2, MSG_NOSIGNAL) < 0)
            return 1;
        if (!str_eq(ask.disk.pool, "silent") && !str_eq(ask.disk.pool, "garbage"))
            fake_answer(fd, &ask);
        if (str_eq(ask.disk.pool, "last"))
            _exit(0);
        shape_done(&rbd_ask_shape, &ask);
    }
    return 0;
}

/* ---- the tests ---------------------------------------------------------------------------------- */
static struct rbd_client *client(const char *helper, int64_t timeout_us)
{
    const struct rbd_client_config cfg = {.helper = helper, .conf = "/nowhere/ceph.conf",
                                          .timeout_us = timeout_us};
    return rbd_client_new(&cfg);
}

static char *word(const char *s)
{
    return (char *)(uintptr_t)s;
}

static struct image_fact ask(struct rbd_client *c, const char *pool)
{
    struct disk d = {.target = word("vda"), .kind = DISK_RBD, .pool = word(pool),
                     .image = word("i")};
    char *key = word("the-key");
    struct image_fact f;
    rbd_client_ask(c, &d, &key, 1, &f);
    return f;
}

static void answers_come_back(void **state)
{
    (void)state;
    struct rbd_client *c = client("/proc/self/exe", 5 * SEC);
    struct disk d[20];
    char *keys[20];
    struct image_fact f[20];
    char names[20][16];
    assert_int_equal(rbd_client_helper_pid(c), 0); /* none before the first question */
    for (int i = 0; i < 20; i++) {
        snprintf(names[i], sizeof(names[i]), "i%d", i);
        d[i] = (struct disk){.target = word("vda"), .pool = word("p"), .image = names[i]};
        keys[i] = i % 2 ? names[i] : NULL;
    }
    rbd_client_ask(c, d, keys, 20, f);
    for (int i = 0; i < 20; i++) {
        assert_true(f[i].ok);
        assert_string_equal(f[i].image, names[i]);
        assert_string_equal(f[i].image_id, i % 2 ? names[i] : "no-key");
        assert_string_equal(f[i].fsid, f[0].fsid); /* one helper for all */
    }
    for (int i = 0; i < 20; i++)
        shape_done(&image_fact_shape, &f[i]);
    assert_true(rbd_client_helper_pid(c) > 0);
    struct err e = {0};
    cleanup(freep) char *fsid = rbd_client_conf_fsid(c, &e);
    assert_non_null(fsid);
    rbd_client_free(c);
}

static void helper_that_left_is_started_again(void **state)
{
    (void)state;
    struct rbd_client *c = client("/proc/self/exe", 5 * SEC);
    char *before = NULL;
    for (int i = 0; i < 20; i++) {
        struct image_fact f = ask(c, "last"); /* it answers and goes; we may notice before or after */
        assert_true(f.ok);
        assert_false(str_eq(before, f.fsid));
        free(before);
        before = take(f.fsid);
        shape_done(&image_fact_shape, &f);
    }
    free(before);
    rbd_client_free(c);
}

static void helper_that_dies_on_a_question(void **state)
{
    (void)state;
    struct rbd_client *c = client("/proc/self/exe", 5 * SEC);
    struct image_fact f = ask(c, "die");
    assert_false(f.ok);
    assert_string_equal(f.code, "ceph_error");
    assert_string_equal(f.pool, "die");
    assert_non_null(strstr(f.error, "ended before"));
    shape_done(&image_fact_shape, &f);
    f = ask(c, "p"); /* the next question is not harmed */
    assert_true(f.ok);
    shape_done(&image_fact_shape, &f);
    rbd_client_free(c);
}

static void silence_ends_at_the_deadline(void **state)
{
    static const char *const pools[] = {"silent", "garbage"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pools); i++) {
        struct rbd_client *c = client("/proc/self/exe", 100 * MSEC);
        struct image_fact f = ask(c, "p");
        assert_true(f.ok);
        int pid = rbd_client_helper_pid(c);
        shape_done(&image_fact_shape, &f);
        int64_t start_us = clock_mono_us();
        f = ask(c, pools[i]);
        int64_t took_us = clock_mono_us() - start_us;
        assert_false(f.ok);
        assert_string_equal(f.code, "ceph_timeout");
        assert_true(took_us >= 100 * MSEC && took_us < 30 * SEC);
        shape_done(&image_fact_shape, &f);
        f = ask(c, "p"); /* the silent helper was killed, a new one answers */
        assert_true(f.ok);
        assert_true(rbd_client_helper_pid(c) != pid);
        shape_done(&image_fact_shape, &f);
        rbd_client_free(c);
    }
}

static void helper_that_is_not_there(void **state)
{
    (void)state;
    struct rbd_client *c = client("/nowhere/drover-agent-ceph", SEC);
    struct image_fact f = ask(c, "p");
    assert_false(f.ok);
    assert_string_equal(f.code, "ceph_error");
    assert_non_null(strstr(f.error, "/nowhere/drover-agent-ceph"));
    shape_done(&image_fact_shape, &f);
    rbd_client_free(c);
}

struct asker {
    struct rbd_client *c;
    const char *pool;
    bool ok;
};

static void *ask_often(void *arg)
{
    struct asker *a = arg;
    a->ok = true;
    for (int i = 0; i < 30; i++) {
        struct image_fact f = ask(a->c, a->pool);
        /* a neighbour's death may cost a question both its tries; it must end, and say so */
        a->ok = a->ok && (f.ok || str_eq(f.code, "ceph_error"));
        shape_done(&image_fact_shape, &f);
    }
    return NULL;
}

static void many_threads_and_deaths(void **state)
{
    static const char *const pools[] = {"p", "p", "die", "p", "last", "p"};
    (void)state;
    struct rbd_client *c = client("/proc/self/exe", 20 * SEC);
    pthread_t t[ARRAY_LEN(pools)];
    struct asker a[ARRAY_LEN(pools)];
    for (size_t i = 0; i < ARRAY_LEN(pools); i++) {
        a[i] = (struct asker){.c = c, .pool = pools[i]};
        assert_int_equal(pthread_create(&t[i], NULL, ask_often, &a[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(pools); i++) {
        pthread_join(t[i], NULL);
        assert_true(a[i].ok);
    }
    rbd_client_free(c);
}

static void health_comes_through(void **state)
{
    (void)state;
    struct rbd_client *c = client("/proc/self/exe", SEC);
    char target[] = "vda", image[] = "i", pool[] = "p", die[] = "die", key[] = "the-key";
    struct disk d = {.kind = DISK_RBD, .target = target, .pool = pool, .image = image};
    struct ceph_told t;
    rbd_client_health(c, &d, key, &t);
    assert_true(t.ok);
    assert_string_equal(t.status, "HEALTH_WARN");
    assert_string_equal(t.cause, "the-key");
    assert_int_equal(t.moving_pgs, 12);
    shape_done(&ceph_told_shape, &t);
    d.pool = die;
    rbd_client_health(c, &d, NULL, &t);
    assert_false(t.ok);
    assert_string_equal(t.code, "ceph_error");
    assert_non_null(t.error);
    shape_done(&ceph_told_shape, &t);
    rbd_client_free(c);
}

/* ---- the library inside the helper, as far as it goes without a cluster -------------------------- */
static void errors_have_reasons(void **state)
{
    (void)state;
    assert_string_equal(rbd_error_token(-ENOENT), "image_absent");
    assert_string_equal(rbd_error_token(-EPERM), "ceph_auth");
    assert_string_equal(rbd_error_token(-EACCES), "ceph_auth");
    assert_string_equal(rbd_error_token(-ETIMEDOUT), "ceph_timeout");
    assert_string_equal(rbd_error_token(-EIO), "ceph_error");
    static const char *const in[] = {"10.0.0.1:0/7", "v1:10.0.0.1:0/7", "v2:10.0.0.1:0/7",
                                     "any:10.0.0.1:0/7"};
    for (size_t i = 0; i < ARRAY_LEN(in); i++) {
        cleanup(freep) char *plain = rbd_plain_address(in[i]);
        assert_string_equal(plain, "10.0.0.1:0/7");
    }
}

static void no_cluster_is_a_timeout(void **state)
{
    (void)state;
    struct rbd_conns *c = rbd_conns_new();
    char *mons[] = {word("192.0.2.1:1")}; /* nobody's address (TEST-NET-1) */
    struct rbd_ask a = {.disk = {.target = word("vda"), .pool = word("p"), .image = word("i"),
                                 .user = word("u"), .mons = mons, .n_mons = 1},
                        .key = word("AQAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA=="),
                        .timeout_us = SEC};
    struct image_fact f;
    rbd_ask_fact(c, &a, &f);
    assert_false(f.ok);
    assert_string_equal(f.target, "vda");
    assert_true(str_eq(f.code, "ceph_timeout") || str_eq(f.code, "ceph_auth"));
    shape_done(&image_fact_shape, &f);
    a.disk.n_mons = 0; /* and no ceph.conf either */
    rbd_ask_fact(c, &a, &f);
    assert_false(f.ok);
    assert_string_equal(f.code, "ceph_error");
    shape_done(&image_fact_shape, &f);
    a.disk.pool = NULL;
    rbd_ask_fact(c, &a, &f);
    assert_string_equal(f.code, "ceph_error");
    shape_done(&image_fact_shape, &f);
    rbd_conns_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_back),
        cmocka_unit_test(helper_that_left_is_started_again),
        cmocka_unit_test(helper_that_dies_on_a_question),
        cmocka_unit_test(silence_ends_at_the_deadline),
        cmocka_unit_test(helper_that_is_not_there),
        cmocka_unit_test(health_comes_through),
        cmocka_unit_test(many_threads_and_deaths),
        cmocka_unit_test(errors_have_reasons),
        cmocka_unit_test(no_cluster_is_a_timeout),
    };
    int type = 0;
    socklen_t len = sizeof(type);
    if (getsockopt(3, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET)
        return fake_helper(3);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
