#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/addr.h"
#include "lib/net/backoff.h"
#include "lib/net/loop.h"

enum { THREADS = 4, POSTS = 5000 };

struct count {
    struct loop *loop;
    int run[THREADS], dropped;
    bool in_order;
};
struct item {
    struct count *count;
    int thread, n;
};

static void run_item(void *arg)
{
    struct item *i = arg;
    struct count *c = i->count;
    c->in_order = c->in_order && c->run[i->thread] == i->n;
    c->run[i->thread]++;
    int total = 0;
    for (int t = 0; t < THREADS; t++)
        total += c->run[t];
    free(i);
    if (total == THREADS * POSTS)
        loop_stop(c->loop);
}

static void drop_item(void *arg)
{
    struct item *i = arg;
    i->count->dropped++;
    free(i);
}

struct poster {
    struct count *count;
    int thread;
};

static void *post_many(void *arg)
{
    const struct poster *p = arg;
    for (int n = 0; n < POSTS; n++) {
        struct item *i = xcalloc(1, sizeof(*i));
        *i = (struct item){p->count, p->thread, n};
        assert_int_equal(loop_post(p->count->loop, run_item, drop_item, i), 0);
    }
    return NULL;
}

static void posts_from_threads(void **state)
{
    (void)state;
    struct count c = {.in_order = true};
    struct poster p[THREADS];
    pthread_t t[THREADS];
    assert_int_equal(loop_new(&c.loop, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        p[i] = (struct poster){&c, i};
        assert_int_equal(pthread_create(&t[i], NULL, post_many, &p[i]), 0);
    }
    loop_run(c.loop);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    assert_true(c.in_order);
    assert_int_equal(c.dropped, 0);
    loop_free(c.loop);
}

static void queue_is_bounded_and_dropped(void **state)
{
    (void)state;
    struct count c = {0};
    int posted = 0, r = 0;
    assert_int_equal(loop_new(&c.loop, NULL), 0);
    loop_hold(c.loop);
    struct item *i = NULL;
    while (r == 0) {
        i = xcalloc(1, sizeof(*i));
        i->count = &c;
        r = loop_post(c.loop, run_item, drop_item, i);
        posted += r == 0;
    }
    assert_int_equal(r, -ENOBUFS);
    assert_int_equal(posted, LIM_EVENT_QUEUE);
    loop_free(c.loop);
    assert_int_equal(c.dropped, LIM_EVENT_QUEUE);
    assert_int_equal(loop_post(c.loop, run_item, drop_item, i), -ESHUTDOWN);
    free(i); /* still ours */
    loop_release(c.loop);
}

static void stop_before_run(void **state)
{
    (void)state;
    struct loop *l;
    assert_int_equal(loop_new(&l, NULL), 0);
    loop_stop(l);
    loop_stop(l);
    loop_run(l); /* returns */
    loop_free(l);
    loop_free(NULL);
}

struct ticks {
    struct loop *loop;
    struct timer *a, *b;
    char order[8];
    int n, signals;
};

static void tick_a(void *arg)
{
    struct ticks *t = arg;
    t->order[t->n++] = 'a';
    if (t->n < 3) {
        timer_set(t->a, 0);
        return;
    }
    timer_free(t->a); /* from within */
    t->a = NULL;
    timer_set(t->b, 0);
}

static void tick_b(void *arg)
{
    struct ticks *t = arg;
    t->order[t->n++] = 'b';
    loop_stop(t->loop);
}

static void timers(void **state)
{
    (void)state;
    struct ticks t = {0};
    assert_int_equal(loop_new(&t.loop, NULL), 0);
    t.a = timer_new(t.loop, tick_a, &t);
    t.b = timer_new(t.loop, tick_b, &t);
    timer_set(t.b, 0);
    timer_stop(t.b);
    timer_set(t.a, 1000);
    loop_run(t.loop);
    assert_string_equal(t.order, "aaab");
    timer_free(t.b);
    loop_free(t.loop);
}

static void on_usr1(void *arg, int signo)
{
    struct ticks *t = arg;
    t->signals += signo == SIGUSR1;
    loop_stop(t->loop);
}

static void signals(void **state)
{
    (void)state;
    struct ticks t = {0};
    assert_int_equal(loop_new(&t.loop, NULL), 0);
    assert_int_equal(loop_on_signal(t.loop, SIGUSR1, on_usr1, &t, NULL), 0);
    raise(SIGUSR1);
    loop_run(t.loop);
    assert_int_equal(t.signals, 1);
    loop_free(t.loop);
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        uint16_t dflt;
        const char *host;
        int port;
        const char *out;
    } good[] = {
        {"h1:7400", 0, "h1", 7400, "h1:7400"},
        {"10.0.0.1:1", 0, "10.0.0.1", 1, "10.0.0.1:1"},
        {"[fd00::1]:7400", 0, "fd00::1", 7400, "[fd00::1]:7400"},
        {"[::1]", 9, "::1", 9, "[::1]:9"},
        {"h1", 9, "h1", 9, "h1:9"},
        {":7400", 0, "", 7400, "*:7400"},
        {"*:0", 5, "", 0, "*:0"},
    };
    static const char *const bad[] = {"",         "h1",       "h1:",   "h1:x",      "h1:-1",
                                      "h1:65536", "::1:7400", "[::1",  "[::1]7400", "[]:1",
                                      "[::1]:",   "h 1:5",    "u@h:1", "h1:7 "};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct addr a;
        struct err e;
        char buf[ADDR_TEXT_BYTES];
        if (addr_parse(good[i].in, good[i].dflt, &a, &e) < 0)
            fail_msg("%s", e.msg);
        assert_string_equal(a.host, good[i].host);
        assert_int_equal(a.port, good[i].port);
        assert_string_equal(addr_format(&a, buf), good[i].out);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct addr a = {.port = 77};
        struct err e = {0};
        if (addr_parse(bad[i], 0, &a, &e) != -EINVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(a.port, 77);
        assert_non_null(strstr(e.msg, "expected HOST:PORT"));
    }
    char longest[400];
    memset(longest, 'h', sizeof(longest));
    memcpy(longest + 300, ":1", 3);
    struct addr a;
    assert_int_equal(addr_parse(longest, 0, &a, NULL), -EINVAL);
}

static void randomness_is_repeatable(void **state)
{
    (void)state;
    struct rng a, b;
    /* xoshiro256** seeded by splitmix64(0): values of the authors' reference code */
    rng_init(&a, 0);
    assert_true(rng_u64(&a) == UINT64_C(0x99ec5f36cb75f2b4));
    assert_true(rng_u64(&a) == UINT64_C(0xbf6e1f784956452a));
    rng_init(&a, 42);
    rng_init(&b, 42);
    int buckets[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint64_t x = rng_below(&a, 7);
        assert_true(x == rng_below(&b, 7));
        buckets[x]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(buckets[i], 9500, 10500);
    for (int i = 0; i < 1000; i++) {
        double u = rng_unit(&a);
        assert_true(u >= 0 && u < 1);
    }
    assert_int_equal(rng_below(&a, 1), 0);
}

static void full_jitter(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 3);
    int64_t top = 500 * MSEC;
    struct backoff b = {.base_us = top, .max_us = 30 * SEC};
    for (int i = 0; i < 100; i++) {
        int64_t wait = backoff_next(&b, &r);
        assert_true(wait >= 0 && wait <= top);
        top = top * 2 > 30 * SEC ? 30 * SEC : top * 2;
    }
    int64_t sum = 0;
    for (int i = 0; i < 1000; i++)
        sum += backoff_next(&b, &r);
    assert_in_range(sum / 1000, 14 * SEC, 16 * SEC); /* spread over all of it */
    backoff_reset(&b);
    assert_true(backoff_next(&b, &r) <= 500 * MSEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_from_threads),
        cmocka_unit_test(queue_is_bounded_and_dropped),
        cmocka_unit_test(stop_before_run),
        cmocka_unit_test(timers),
        cmocka_unit_test(signals),
        cmocka_unit_test(addresses),
        cmocka_unit_test(randomness_is_repeatable),
        cmocka_unit_test(full_jitter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
