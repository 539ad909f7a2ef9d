/* Series: means, percentile and forecast against a plain list of every second; gaps, clocks, restarts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "lib/base/str.h"
#include "scheduler/core/series.h"

enum { PERIOD = 5 };
/* 00:00 UTC of some day; scheduler time is another thing. */
#define DAY0 (INT64_C(20000) * 86400 * SEC)
#define HOUR (3600 * SEC)

struct world {
    struct series s;
    int64_t now_us, wall_us;
};

static void begin(struct world *w)
{
    *w = (struct world){.now_us = 77 * SEC, .wall_us = DAY0};
    series_init(&w->s);
}

static void pass(struct world *w, int64_t us)
{
    w->now_us += us;
    w->wall_us += us;
}

static struct series_time now(const struct world *w)
{
    return (struct series_time){w->now_us, w->wall_us};
}

static void run(struct world *w, int64_t us, int64_t value)
{
    for (int64_t done = 0; done < us; done += PERIOD * SEC) {
        pass(w, PERIOD * SEC);
        series_add(&w->s, now(w), value, PERIOD * SEC);
    }
}

static struct cpu_figures look(const struct world *w)
{
    return series_figures(&w->s, now(w));
}

static void near(int64_t is, int64_t want, int64_t off)
{
    if (is < want - off || is > want + off)
        fail_msg("%lld is not within %lld of %lld", (long long)is, (long long)off, (long long)want);
}

static void nothing_is_unknown(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    const struct cpu_figures f = look(&w);
    const int64_t all[] = {f.now_mcpu, f.m5_mcpu,   f.h1_mcpu,       f.d1_mcpu,
                           f.p95_mcpu, f.soon_mcpu, f.forecast_mcpu, f.forecast_error_mcpu};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        assert_int_equal(all[i], -1);
    assert_false(series_known(&w.s));
    series_add(&w.s, now(&w), -1, PERIOD * SEC); /* read, and not known */
    assert_int_equal(look(&w).m5_mcpu, -1);
    assert_true(sizeof(struct series) <= 168);
}

static void zero_is_known(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    run(&w, 2 * HOUR, 0);
    const struct cpu_figures f = look(&w);
    assert_int_equal(f.now_mcpu, 0);
    assert_int_equal(f.m5_mcpu, 0);
    assert_int_equal(f.h1_mcpu, 0);
    assert_int_equal(f.d1_mcpu, 0);
    assert_int_equal(f.p95_mcpu, 0);
}

/* One hour at 1000, then 3000: each mean is of its own time. */
static void means_are_of_their_time(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    run(&w, 23 * HOUR, 1000);
    run(&w, 10 * 60 * SEC, 3000);
    struct cpu_figures f = look(&w);
    near(f.now_mcpu, 3000, 1);
    near(f.m5_mcpu, 3000, 3);
    near(f.h1_mcpu, (50 * 1000 + 10 * 3000) / 60, 5);
    near(f.d1_mcpu, 1000, 40);
    run(&w, HOUR, 3000);
    f = look(&w);
    near(f.h1_mcpu, 3000, 5);
    near(f.d1_mcpu, 1000 + 2000 / 24, 60);
    near(f.p95_mcpu, 1000, 40); /* 4 of 96 quarters are above it: less than 5 % */
    run(&w, HOUR, 3000);
    near(look(&w).p95_mcpu, 3000, 100);
}

/* The first reading counts: who waits five minutes for a hot host is late. */
static void first_minutes(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    run(&w, PERIOD * SEC, 1500);
    near(look(&w).m5_mcpu, 1500, 1);
    near(look(&w).h1_mcpu, 1500, 1);
    assert_int_equal(look(&w).p95_mcpu, -1);
    run(&w, 61 * SEC, 500);
    near(look(&w).m5_mcpu, (5 * 1500 + 65 * 500) / 70, 60);
}

/* Where it is heading: what rises is ahead of the last reading by the minute, what stays is as it is. */
static void soon_is_on_the_line(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    run(&w, PERIOD * SEC, 1500);
    assert_int_equal(look(&w).soon_mcpu, -1); /* too short */
    run(&w, 600 * SEC, 1000);
    near(look(&w).soon_mcpu, 1000, 1);
    for (int i = 1; i <= 120 / PERIOD; i++)
        run(&w, PERIOD * SEC, 1000 + i * PERIOD * 10);
    near(look(&w).soon_mcpu, 2200 + 500, 100); /* a minute ago is what minutes tell of it */
    run(&w, 60 * SEC, 2200); /* it stays: the line is believed for a minute more */
    near(look(&w).soon_mcpu, 2200 + 300 * 3 / 2, 40);
    run(&w, 60 * SEC, 2200);
    near(look(&w).soon_mcpu, 2200, 10);
    run(&w, 60 * SEC, 100); /* falls by 2100 in a minute */
    assert_int_equal(look(&w).soon_mcpu, 0);
    run(&w, 120 * SEC, 100);
    near(look(&w).soon_mcpu, 100, 1);
    pass(&w, 100 * SEC); /* nothing was read: no line through a gap */
    assert_int_equal(look(&w).soon_mcpu, -1);
}

static void gap_is_not_zero(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    run(&w, 2 * HOUR, 2000);
    pass(&w, 30 * 60 * SEC);
    struct cpu_figures f = look(&w);
    assert_int_equal(f.m5_mcpu, -1);
    near(f.h1_mcpu, 2000, 2);
    near(f.d1_mcpu, 2000, 60);
    pass(&w, HOUR);
    f = look(&w);
    near(f.d1_mcpu, 2000, 60);
    near(f.p95_mcpu, 2000, 60);
    assert_int_equal(f.h1_mcpu, -1);
    pass(&w, 25 * HOUR);
    f = look(&w);
    assert_int_equal(f.d1_mcpu, -1);
    assert_int_equal(f.p95_mcpu, -1);
    run(&w, 10 * 60 * SEC, 100);
    near(look(&w).d1_mcpu, 100, 1);
}

/* Measured for the last seconds of a minute only, when it moved. */
static void a_short_past_is_a_past(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    pass(&w, 55 * SEC);
    run(&w, 5 * SEC, 700);
    series_lost(&w.s);
    for (int minute = 0; minute < 5; minute++, pass(&w, 60 * SEC)) {
        assert_int_equal(look(&w).now_mcpu, -1);
        near(look(&w).h1_mcpu, 700, 1);
    }
    pass(&w, SEC);
    assert_int_equal(look(&w).h1_mcpu, -1);
}

/* A reading after a silence is of its own period, and a late one is no longer than what passed. */
static void readings_cover_what_they_cover(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    pass(&w, 60 * SEC);
    series_add(&w.s, now(&w), 4000, 5 * SEC);
    pass(&w, 60 * SEC); /* 5 of 60 s are no minute, and better than nothing */
    near(look(&w).m5_mcpu, 4000, 1);
    series_add(&w.s, now(&w), 0, 60 * SEC);
    pass(&w, 60 * SEC);
    near(look(&w).m5_mcpu, 0, 0);
    begin(&w);
    pass(&w, 10 * SEC);
    series_add(&w.s, now(&w), 1000, 5 * SEC);
    series_add(&w.s, now(&w), 9000, 5 * SEC); /* the same moment again */
    near(look(&w).m5_mcpu, 1000, 1);
    assert_int_equal(look(&w).now_mcpu / 10, 900);
}

static void wall_clock_steps(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    run(&w, HOUR, 1000);
    w.wall_us -= 2 * 60 * SEC; /* put right */
    run(&w, 10 * 60 * SEC, 1000);
    near(look(&w).m5_mcpu, 1000, 1);
    near(look(&w).h1_mcpu, 1000, 1);
    w.wall_us -= 5 * HOUR; /* was set wrong before */
    run(&w, 10 * 60 * SEC, 1000);
    near(look(&w).m5_mcpu, 1000, 1);
    near(look(&w).d1_mcpu, 1000, 30);
    w.wall_us += 3 * HOUR;
    run(&w, 10 * 60 * SEC, 2000);
    near(look(&w).m5_mcpu, 2000, 1);
    near(look(&w).h1_mcpu, 2000, 1); /* the jump is a gap */
    w.wall_us += 1000 * 24 * HOUR;
    run(&w, 10 * 60 * SEC, 2000);
    near(look(&w).d1_mcpu, 2000, 60);
    w.wall_us = 0;
    run(&w, 10 * 60 * SEC, 500);
    near(look(&w).m5_mcpu, 500, 1);
}

static void restart(void **state)
{
    (void)state;
    struct world w;
    struct series_kept k;
    struct err e = {0};
    begin(&w);
    series_learn(&w.s, true);
    run(&w, 50 * HOUR, 700);
    const struct cpu_figures was = look(&w);
    series_keep(&w.s, &k);
    series_done(&w.s);
    series_init(&w.s);
    assert_int_equal(series_restore(&w.s, &k, &e), 0);
    struct cpu_figures f = look(&w);
    assert_int_equal(f.now_mcpu, -1);
    assert_int_equal(f.m5_mcpu, -1);
    assert_int_equal(f.h1_mcpu, was.h1_mcpu);
    assert_int_equal(f.d1_mcpu, was.d1_mcpu);
    assert_int_equal(f.p95_mcpu, was.p95_mcpu);
    assert_int_equal(f.forecast_mcpu, was.forecast_mcpu);
    pass(&w, 6 * HOUR); /* it was down so long */
    f = look(&w);
    assert_int_equal(f.d1_mcpu, was.d1_mcpu);
    run(&w, 30 * 60 * SEC, 2100);
    f = look(&w);
    near(f.m5_mcpu, 2100, 1);
    near(f.d1_mcpu, (72 * 700 + 2 * 2100) / 74, 60); /* six hours of it are a gap */
    k.quarters[3] = 'x';
    const struct cpu_figures before = look(&w);
    assert_int_equal(series_restore(&w.s, &k, &e), -EBADMSG);
    assert_int_equal(look(&w).d1_mcpu, before.d1_mcpu);
    free(take(k.quarters));
    assert_int_equal(series_restore(&w.s, &k, NULL), -EBADMSG);
    shape_done(&series_kept_shape, &k);
    series_done(&w.s);
}

/* Busy from 8 to 10 each day, but for one. */
static void same_hour_of_former_days(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    series_learn(&w.s, true);
    for (int day = 0; day < 10; day++)
        for (int hour = 0; hour < 24; hour++)
            run(&w, HOUR, hour >= 8 && hour < 10 && day != 9 ? 4000 : 100);
    pass(&w, 8 * HOUR);
    const struct cpu_figures f = look(&w);
    near(f.forecast_mcpu, 4000 - 3900 / 4, 150); /* one quiet day of a quarter's weight */
    near(f.forecast_error_mcpu, 3900 / 4, 150);
    pass(&w, 4 * HOUR);
    near(look(&w).forecast_mcpu, 100, 5);
    assert_true(look(&w).forecast_error_mcpu <= 5);
    series_learn(&w.s, false);
    assert_int_equal(look(&w).forecast_mcpu, -1);
    assert_null(w.s.days);
}

static void one_day_is_no_forecast(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    series_learn(&w.s, true);
    run(&w, 24 * HOUR, 100);
    assert_int_equal(look(&w).forecast_mcpu, -1);
    run(&w, 24 * HOUR, 100);
    near(look(&w).forecast_mcpu, 100, 1);
    assert_int_equal(look(&w).forecast_error_mcpu, 0);
    series_done(&w.s);
}

/* Any values, gaps and periods, against the plain mean of what was read. */
static void against_a_list(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 11);
    for (int round = 0; round < 20; round++) {
        struct world w;
        double sum = 0, n = 0;
        begin(&w);
        int64_t value = 0;
        for (int i = 0; i < 17280; i++) { /* a day */
            if (i % 60 == 0)
                value = (int64_t)rng_below(&rng, 64000);
            pass(&w, PERIOD * SEC);
            series_add(&w.s, now(&w), value, PERIOD * SEC);
            sum += (double)value;
            n++;
            if (i % 4321 == 0) {
                struct cpu_figures f = look(&w);
                assert_true(f.m5_mcpu >= 0 && f.m5_mcpu <= 64000);
                assert_int_equal(f.now_mcpu >= 0, 1);
            }
        }
        near(look(&w).d1_mcpu, (int64_t)(sum / n), (int64_t)(sum / n / 50));
    }
}

/* From the smallest to the largest: order is kept, and what comes back is near. */
static void numbers_keep_their_order(void **state)
{
    (void)state;
    int64_t last_now = -1, last_p95 = -1;
    for (int64_t v = 0; v < 4000000; v += 1 + v / 16) {
        struct world w;
        begin(&w);
        run(&w, HOUR, v);
        const struct cpu_figures f = look(&w);
        near(f.now_mcpu, v, v / 4000);
        assert_true(f.now_mcpu >= last_now && f.p95_mcpu >= last_p95);
        if (v < 1900000)
            near(f.p95_mcpu, v, 2 + v / 30);
        last_now = f.now_mcpu;
        last_p95 = f.p95_mcpu;
    }
}

static void it_can_be_handed_on(void **state)
{
    (void)state;
    struct world w;
    struct series other;
    begin(&w);
    series_init(&other);
    series_learn(&w.s, true);
    series_learn(&other, true);
    run(&w, HOUR, 300);
    const struct cpu_figures was = look(&w);
    series_move(&other, &w.s);
    assert_false(series_known(&w.s));
    assert_int_equal(look(&w).h1_mcpu, -1);
    assert_int_equal(series_figures(&other, now(&w)).h1_mcpu, was.h1_mcpu);
    series_lost(&other);
    assert_int_equal(series_figures(&other, now(&w)).now_mcpu, -1);
    assert_int_equal(series_figures(&other, now(&w)).m5_mcpu, was.m5_mcpu);
    series_done(&other);
    series_done(&w.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_unknown),
        cmocka_unit_test(zero_is_known),
        cmocka_unit_test(means_are_of_their_time),
        cmocka_unit_test(first_minutes),
        cmocka_unit_test(soon_is_on_the_line),
        cmocka_unit_test(gap_is_not_zero),
        cmocka_unit_test(a_short_past_is_a_past),
        cmocka_unit_test(readings_cover_what_they_cover),
        cmocka_unit_test(wall_clock_steps),
        cmocka_unit_test(restart),
        cmocka_unit_test(same_hour_of_former_days),
        cmocka_unit_test(one_day_is_no_forecast),
        cmocka_unit_test(against_a_list),
        cmocka_unit_test(numbers_keep_their_order),
        cmocka_unit_test(it_can_be_handed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
