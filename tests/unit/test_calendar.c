/* policy/calendar.h and zone.h: times of schedules and windows, beside libc's clock walked minute by minute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "lib/base/str.h"
#include "policy/zone.h"

static struct zone *zone(const char *name)
{
    struct zone *z;
    struct err e = {0};
    if (zone_load(name, &z, &e) < 0)
        fail_msg("%s: %s", name, e.msg);
    return z;
}

/* "2026-03-29T01:00:00Z" in µs */
static int64_t at(const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    assert_non_null(end);
    assert_string_equal(end, "");
    return (int64_t)timegm(&tm) * SEC;
}

static struct schedule schedule(const char *text)
{
    struct schedule s;
    struct err e = {0};
    if (schedule_parse(text, &s, &e) < 0)
        fail_msg("%s: %s", text, e.msg);
    return s;
}

static struct window window(const char *text)
{
    struct window w;
    struct err e = {0};
    if (window_parse(text, &w, &e) < 0)
        fail_msg("%s: %s", text, e.msg);
    return w;
}

/* ---- named cases --------------------------------------------------------------------------------- */

/* The times after the first, in order. */
static const struct fires {
    const char *zone, *schedule, *after, *times[6];
} fires[] = {
    {"UTC", "*/10 * * * *", "2026-01-01T00:00:00Z",
     {"2026-01-01T00:10:00Z", "2026-01-01T00:20:00Z"}},
    {"UTC", "*/10 * * * *", "2026-01-01T00:09:59Z", {"2026-01-01T00:10:00Z"}},
    {"UTC", "59 23 31 dec *", "2026-12-31T23:58:00Z",
     {"2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"}},
    /* either day will do when both are restricted; both must when one begins with a star */
    {"UTC", "0 12 13 * fri", "2026-02-01T00:00:00Z",
     {"2026-02-06T12:00:00Z", "2026-02-13T12:00:00Z", "2026-02-20T12:00:00Z",
      "2026-02-27T12:00:00Z", "2026-03-06T12:00:00Z", "2026-03-13T12:00:00Z"}},
    {"UTC", "0 12 */15 * mon", "2026-01-01T00:00:00Z",
     {"2026-02-16T12:00:00Z", "2026-03-16T12:00:00Z", "2026-06-01T12:00:00Z"}},
    {"UTC", "0 0 * * 7", "2026-01-01T00:00:00Z", {"2026-01-04T00:00:00Z"}},
    /* leap years: 2100 is none; a Sunday among them comes once in 28 years, and 2100 delays it */
    {"UTC", "0 0 29 2 *", "2026-01-01T00:00:00Z", {"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
    {"UTC", "0 0 29 feb *", "2096-03-01T00:00:00Z", {"2104-02-29T00:00:00Z"}},
    {"UTC", "0 0 29 2 */7", "2088-03-01T00:00:00Z", {"2128-02-29T00:00:00Z"}},
    /* spring: 02:00 is 03:00 at 01:00 UTC; what is skipped comes at the skip, once */
    {"Europe/Paris", "30 2 * * *", "2026-03-28T00:00:00Z",
     {"2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
    {"Europe/Paris", "*/20 2-3 * * *", "2026-03-29T00:00:00Z",
     {"2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z", "2026-03-29T01:40:00Z",
      "2026-03-30T00:00:00Z"}},
    {"Europe/Paris", "30 * * * *", "2026-03-29T00:00:00Z",
     {"2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}},
    /* autumn: 03:00 is 02:00 at 01:00 UTC; what is shown twice comes the first time */
    {"Europe/Paris", "30 2 * * *", "2026-10-24T12:00:00Z",
     {"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
    {"Europe/Paris", "0,30 2-3 * * *", "2026-10-24T12:00:00Z",
     {"2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z",
      "2026-10-25T02:30:00Z", "2026-10-26T01:00:00Z"}},
    {"Europe/Paris", "30 * * * *", "2026-10-25T00:00:00Z",
     {"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}},
    /* asked between the two: not again */
    {"Europe/Paris", "30 2 * * *", "2026-10-25T01:10:00Z", {"2026-10-26T01:30:00Z"}},
    /* the other half of the world, where winter begins in April */
    {"Australia/Sydney", "30 2 * * *", "2026-04-03T20:00:00Z",
     {"2026-04-04T15:30:00Z", "2026-04-05T16:30:00Z"}},
    {"Australia/Sydney", "30 2 * * *", "2026-10-02T20:00:00Z",
     {"2026-10-03T16:00:00Z", "2026-10-04T15:30:00Z"}},
    /* half hours: India, and Lord Howe whose summer time is one */
    {"Asia/Kolkata", "0 9 * * *", "2026-01-01T00:00:00Z", {"2026-01-01T03:30:00Z"}},
    {"Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00:00Z",
     {"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
    {"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00:00Z",
     {"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}},
    {"Asia/Kathmandu", "0 0 * * *", "2026-01-01T00:00:00Z", {"2026-01-01T18:15:00Z"}},
    /* a zone that changed its rule: Turkey stayed in summer time in 2016 */
    {"Europe/Istanbul", "0 6 1 1,7 *", "2015-06-01T00:00:00Z",
     {"2015-07-01T03:00:00Z", "2016-01-01T04:00:00Z", "2016-07-01T03:00:00Z",
      "2017-01-01T03:00:00Z"}},
    /* Samoa had no 30 December 2011, a Friday */
    {"Pacific/Apia", "0 12 * * fri", "2011-12-24T12:00:00Z",
     {"2011-12-30T10:00:00Z", "2012-01-05T22:00:00Z"}},
    /* the last year of the tables still has its summer; from then on the last offset holds */
    {"Europe/Paris", "0 12 1 7 *", "2036-12-01T00:00:00Z",
     {"2037-07-01T10:00:00Z", "2038-07-01T11:00:00Z"}},
    {"Etc/GMT+3", "0 12 * * *", "2026-01-01T00:00:00Z", {"2026-01-01T15:00:00Z"}},
};

static void test_fires(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fires); i++) {
        struct schedule s = schedule(fires[i].schedule);
        struct zone *z = zone(fires[i].zone);
        s.zone = z;
        int64_t t = at(fires[i].after);
        for (size_t n = 0; n < ARRAY_LEN(fires[i].times) && fires[i].times[n]; n++) {
            char got[32];
            assert_true(schedule_next(&s, t, &t));
            fmt_rfc3339(got, t);
            if (strcmp(got, fires[i].times[n]) != 0)
                fail_msg("%s in %s: time %zu after %s is %s, not %s", s.text, z->name, n,
                         fires[i].after, got, fires[i].times[n]);
        }
        schedule_done(&s);
        zone_free(z);
    }
}

/* Open at the first, until the second, then closed until the third; "-" is never. */
static const struct hours {
    const char *zone, *window, *opens, *closes, *again;
} hours[] = {
    {"Europe/Paris", "Mon-Fri 20:00-06:00", "2026-01-05T19:00:00Z", "2026-01-06T05:00:00Z",
     "2026-01-06T19:00:00Z"},
    /* it began on Friday: Saturday morning belongs to it, Sunday evening does not */
    {"Europe/Paris", "Mon-Fri 20:00-06:00", "2026-01-09T19:00:00Z", "2026-01-10T05:00:00Z",
     "2026-01-12T19:00:00Z"},
    {"Europe/Paris", "Sat,Sun 00:00-24:00", "2026-01-09T23:00:00Z", "2026-01-11T23:00:00Z",
     "2026-01-16T23:00:00Z"},
    {"UTC", "Fri-Mon 00:00-24:00", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z",
     "2026-01-16T00:00:00Z"},
    {"UTC", "Mon-Sun 22:00-24:00", "2026-01-09T22:00:00Z", "2026-01-10T00:00:00Z",
     "2026-01-10T22:00:00Z"},
    /* a night of 9 hours, and one of 11 */
    {"Europe/Paris", "Sat 20:00-06:00", "2026-03-28T19:00:00Z", "2026-03-29T04:00:00Z",
     "2026-04-04T18:00:00Z"},
    {"Europe/Paris", "Sat 20:00-06:00", "2026-10-24T18:00:00Z", "2026-10-25T05:00:00Z",
     "2026-10-31T19:00:00Z"},
    /* shown twice: open once, through both */
    {"Europe/Paris", "Sun 02:00-03:00", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z",
     "2026-11-01T01:00:00Z"},
    {"Europe/Paris", "Sun 01:00-02:30", "2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z",
     "2026-11-01T00:00:00Z"},
    {"Europe/Paris", "Sun 02:30-04:00", "2026-10-25T00:30:00Z", "2026-10-25T03:00:00Z",
     "2026-11-01T01:30:00Z"},
    /* begins or ends in what is skipped */
    {"Europe/Paris", "Sun 02:30-04:00", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z",
     "2026-04-05T00:30:00Z"},
    {"Europe/Paris", "Sun 01:00-02:30", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z",
     "2026-04-04T23:00:00Z"},
    {"Australia/Lord_Howe", "Sun 01:45-03:00", "2026-04-04T14:45:00Z", "2026-04-04T16:30:00Z",
     "2026-04-11T15:15:00Z"},
    {"Pacific/Apia", "Thu 20:00-06:00", "2011-12-30T06:00:00Z", "2011-12-30T10:00:00Z",
     "2012-01-05T06:00:00Z"},
};

static void test_windows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hours); i++) {
        cleanup(freep) char *text = xasprintf("%s %s", hours[i].window, hours[i].zone);
        struct window w = window(text);
        struct zone *z = zone(hours[i].zone);
        w.zone = z;
        int64_t opens = at(hours[i].opens), closes = at(hours[i].closes), until;
        if (windows_open(&w, 1, opens - 1, &until) || until != opens)
            fail_msg("%s: before %s", text, hours[i].opens);
        if (!windows_open(&w, 1, opens, &until) || until != closes)
            fail_msg("%s: at %s until %s", text, hours[i].opens, fmt_rfc3339((char[32]){0}, until));
        if (!windows_open(&w, 1, closes - 1, NULL) || windows_open(&w, 1, closes, &until) ||
            until != at(hours[i].again))
            fail_msg("%s: closed until %s", text, fmt_rfc3339((char[32]){0}, until));
        window_done(&w);
        zone_free(z);
    }
}

static void test_no_skipped_window(void **state)
{
    (void)state;
    struct window w = window("Sun 02:10-02:50 Europe/Paris");
    struct zone *z = zone("Europe/Paris");
    int64_t until;
    w.zone = z;
    assert_false(windows_open(&w, 1, at("2026-03-29T00:59:00Z"), &until));
    assert_true(until == at("2026-04-05T00:10:00Z")); /* that Sunday it never was so late */
    window_done(&w);
    zone_free(z);
}

static void test_several_windows(void **state)
{
    (void)state;
    struct window w[] = {window("Mon-Fri 20:00-06:00 Europe/Paris"),
                         window("Sat,Sun 00:00-24:00 Europe/Paris")};
    struct zone *z = zone("Europe/Paris");
    int64_t until;
    w[0].zone = w[1].zone = z;
    assert_true(windows_open(w, 2, at("2026-01-09T19:00:00Z"), &until)); /* Friday evening */
    assert_true(until == at("2026-01-11T23:00:00Z"));
    assert_false(windows_open(w, 2, until, &until));
    assert_true(until == at("2026-01-12T19:00:00Z"));
    struct window always[] = {window("Mon-Sun 00:00-12:00 UTC"), window("Mon-Sun 12:00-24:00 UTC")};
    assert_true(windows_open(always, 2, at("2026-01-09T19:00:00Z"), &until));
    assert_true(until == INT64_MAX);
    assert_true(windows_open(NULL, 0, 0, &until));
    assert_true(until == INT64_MAX);
    struct schedule none = {0};
    assert_false(schedule_next(&none, 0, &until));
    for (size_t i = 0; i < 2; i++) {
        window_done(&w[i]);
        window_done(&always[i]);
    }
    zone_free(z);
}

/* Before 1970 and after the year 10000, and at the ends of what int64_t holds: an answer, and no crash. */
static void test_far_times(void **state)
{
    (void)state;
    static const int64_t times[] = {INT64_MIN, INT64_MIN / 2, -1, 0, INT64_C(1) << 58, INT64_MAX};
    struct schedule s = schedule("0 0 29 2 *"), hourly = schedule("0 * * * *");
    struct window w = window("Mon-Fri 20:00-06:00 Europe/Paris");
    struct zone *z = zone("Europe/Paris");
    s.zone = hourly.zone = w.zone = z;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        int64_t next;
        if (schedule_next(&s, times[i], &next))
            assert_true(next > times[i]);
        if (schedule_next(&hourly, times[i], &next))
            assert_true(next > times[i]);
        windows_open(&w, 1, times[i], &next);
        assert_true(next > times[i] || next == INT64_MAX);
    }
    schedule_done(&s);
    schedule_done(&hourly);
    window_done(&w);
    zone_free(z);
}

/* ---- against libc's clock -------------------------------------------------------------------------- */

enum { SCHEDULES = 12, WINDOWS = 6, YEARS = 2 };

static const char *pick(struct rng *r, const char *const *of, size_t n)
{
    return of[rng_below(r, n)];
}
#define PICK(r, ...)                                                                               \
    pick(r, (const char *const[]){__VA_ARGS__},                                                    \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static char *random_schedule(struct rng *r)
{
    return xasprintf("%s %s %s %s %s", PICK(r, "0", "30", "*/10", "7,41", "59", "*", "15-45/5"),
                     PICK(r, "*", "0", "1", "2", "3", "1-3", "*/2", "0,23", "22-23", "2"),
                     PICK(r, "*", "*", "1", "29", "31", "*/2", "13,30", "25-31"),
                     PICK(r, "*", "*", "2", "3,10", "jan-jun", "*/3", "4"),
                     PICK(r, "*", "*", "sun", "1-5", "5", "*/3", "7"));
}

/* Read by other code than the product's: one value at a time. */
static bool field_holds(const char *field, int v, const char *const *names, int first)
{
    cleanup(freep) char *copy = xstrdup(field);
    char *rest = copy;
    for (char *item; (item = strsep(&rest, ",")) != NULL;) {
        char *step = strchr(item, '/'), *dash = strchr(item, '-');
        int by = step ? atoi(step + 1) : 1, from = first, to = 99;
        if (item[0] != '*') {
            from = atoi(item);
            for (int i = 0; names && i < 12 && names[i]; i++)
                from = strncmp(item, names[i], 3) == 0 ? first + i : from;
            to = dash ? atoi(dash + 1) : from;
            for (int i = 0; names && dash && i < 12 && names[i]; i++)
                to = strncmp(dash + 1, names[i], 3) == 0 ? first + i : to;
        }
        if (v >= from && v <= to && (v - from) % by == 0)
            return true;
    }
    return false;
}

struct reading_of {
    bool minute[60], hour[24], day[32], month[13], weekday[8], hourly, either;
};

static struct reading_of split(const char *text)
{
    static const char *const months[12] = {"jan", "feb", "mar", "apr", "may", "jun",
                                           "jul", "aug", "sep", "oct", "nov", "dec"};
    static const char *const days[12] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    struct reading_of f = {0};
    cleanup(freep) char *copy = xstrdup(text);
    char *words[5], *rest = copy;
    for (int i = 0; i < 5; i++)
        words[i] = strsep(&rest, " ");
    for (int i = 0; i < 60; i++)
        f.minute[i] = field_holds(words[0], i, NULL, 0);
    for (int i = 0; i < 24; i++)
        f.hour[i] = field_holds(words[1], i, NULL, 0);
    for (int i = 1; i < 32; i++)
        f.day[i] = field_holds(words[2], i, NULL, 1);
    for (int i = 1; i < 13; i++)
        f.month[i] = field_holds(words[3], i, months, 1);
    for (int i = 0; i < 8; i++)
        f.weekday[i] = field_holds(words[4], i, days, 0);
    f.weekday[0] = f.weekday[0] || f.weekday[7];
    f.hourly = !strcmp(words[1], "*");
    f.either = words[2][0] != '*' && words[4][0] != '*';
    return f;
}

static bool shown_matches(const struct reading_of *f, const struct tm *tm)
{
    bool day = f->day[tm->tm_mday], weekday = f->weekday[tm->tm_wday];
    return f->minute[tm->tm_min] && f->hour[tm->tm_hour] && f->month[tm->tm_mon + 1] &&
           (f->either ? day || weekday : day && weekday);
}

/* Local minutes since 1970 as libc shows them. */
static int64_t shown_minute(time_t t, struct tm *tm)
{
    localtime_r(&t, tm);
    return (t + tm->tm_gmtoff) / 60;
}

static void local_of(int64_t minute, struct tm *tm)
{
    time_t t = (time_t)minute * 60;
    gmtime_r(&t, tm);
}

struct walk {
    struct reading_of f;
    struct schedule s;
    int64_t next;
};

static void expect_fire(struct walk *w, bool fires_now, time_t t, const char *zone_name)
{
    bool said = w->next == (int64_t)t * SEC;
    if (said != fires_now)
        fail_msg("'%s' in %s at %lld: %s", w->s.text, zone_name, (long long)t,
                 said ? "fires, and should not" : "should fire");
    if (said)
        assert_true(schedule_next(&w->s, w->next, &w->next));
}

/* For each minute: what the clock shows now, and which local minutes it has newly reached. */
static void walk_zone(const char *name, time_t begin, struct rng *r)
{
    struct zone *z = zone(name);
    struct walk w[SCHEDULES];
    struct tm tm, skipped;
    setenv("TZ", name, 1);
    tzset();
    for (int i = 0; i < SCHEDULES; i++) {
        struct err e;
        cleanup(freep) char *text = random_schedule(r);
        if (schedule_parse(text, &w[i].s, &e) < 0) { /* the 31st of April */
            i--;
            continue;
        }
        w[i].f = split(text);
        w[i].s.zone = z;
        assert_true(schedule_next(&w[i].s, (int64_t)(begin - 60) * SEC, &w[i].next));
    }
    int64_t most = shown_minute(begin - 60, &tm);
    for (time_t t = begin; t < begin + YEARS * 365 * 86400; t += 60) {
        int64_t shown = shown_minute(t, &tm);
        for (int i = 0; i < SCHEDULES; i++) {
            bool fire = shown_matches(&w[i].f, &tm) && (w[i].f.hourly || shown > most);
            for (int64_t m = most + 1; m < shown && !w[i].f.hourly && !fire; m++) {
                local_of(m, &skipped);
                fire = shown_matches(&w[i].f, &skipped);
            }
            expect_fire(&w[i], fire, t, name);
        }
        most = shown > most ? shown : most;
    }
    for (int i = 0; i < SCHEDULES; i++)
        schedule_done(&w[i].s);
    zone_free(z);
}

static const struct {
    const char *name, *begin;
} walks[] = {
    {"Europe/Paris", "2025-01-01T00:00:00Z"},     {"America/New_York", "2027-01-01T00:00:00Z"},
    {"Australia/Lord_Howe", "2026-01-01T00:00:00Z"}, {"Africa/Casablanca", "2025-01-01T00:00:00Z"},
    {"Asia/Kathmandu", "2026-01-01T00:00:00Z"},   {"Pacific/Apia", "2009-06-01T00:00:00Z"},
    {"America/Caracas", "2014-01-01T00:00:00Z"},  {"Antarctica/Troll", "2026-01-01T00:00:00Z"},
    {"Asia/Pyongyang", "2014-06-01T00:00:00Z"},   {"America/Havana", "2026-01-01T00:00:00Z"},
};

static void test_schedules_walked(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 20260329);
    for (size_t i = 0; i < ARRAY_LEN(walks); i++)
        walk_zone(walks[i].name, (time_t)(at(walks[i].begin) / SEC), &r);
    unsetenv("TZ");
    tzset();
}

/* Is it open by what the clock has reached? */
static bool is_open(const struct window *w, const struct tm *reached)
{
    int minute = reached->tm_hour * 60 + reached->tm_min, before = (reached->tm_wday + 6) % 7;
    bool today = w->days >> reached->tm_wday & 1, yesterday = w->days >> before & 1;
    if (w->to_min > w->from_min)
        return today && minute >= w->from_min && minute < w->to_min;
    return (today && minute >= w->from_min) || (yesterday && minute < w->to_min);
}

static struct window random_window(struct rng *r)
{
    cleanup(freep) char *text =
        xasprintf("%s %s-%s UTC", PICK(r, "Mon-Fri", "Sat,Sun", "Mon-Sun", "Sun", "Fri-Mon", "wed"),
                  PICK(r, "00:00", "01:45", "02:30", "20:00", "23:59", "02:00"),
                  PICK(r, "24:00", "02:10", "03:00", "06:00", "02:31", "19:59"));
    return window(text);
}

static void walk_windows(const char *name, time_t begin, struct rng *r)
{
    struct zone *z = zone(name);
    struct window w[WINDOWS];
    int64_t change[WINDOWS];
    bool open[WINDOWS];
    struct tm tm;
    setenv("TZ", name, 1);
    tzset();
    int64_t most = shown_minute(begin - 60, &tm);
    local_of(most, &tm);
    for (int i = 0; i < WINDOWS; i++) {
        w[i] = random_window(r);
        w[i].zone = z;
        open[i] = windows_open(&w[i], 1, (int64_t)(begin - 60) * SEC, &change[i]);
        assert_int_equal(open[i], is_open(&w[i], &tm));
    }
    for (time_t t = begin; t < begin + YEARS * 365 * 86400; t += 60) {
        int64_t shown = shown_minute(t, &tm);
        most = shown > most ? shown : most;
        local_of(most, &tm);
        for (int i = 0; i < WINDOWS; i++) {
            bool now = is_open(&w[i], &tm);
            if ((now != open[i]) != (change[i] == (int64_t)t * SEC))
                fail_msg("'%s' in %s at %lld: %s", w[i].text, name, (long long)t,
                         now != open[i] ? "not foreseen" : "no change");
            if (now != open[i])
                assert_int_equal(windows_open(&w[i], 1, (int64_t)t * SEC, &change[i]), now);
            open[i] = now;
        }
    }
    for (int i = 0; i < WINDOWS; i++)
        window_done(&w[i]);
    zone_free(z);
}

static void test_windows_walked(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 20261025);
    for (size_t i = 0; i < ARRAY_LEN(walks); i++)
        walk_windows(walks[i].name, (time_t)(at(walks[i].begin) / SEC), &r);
    unsetenv("TZ");
    tzset();
}

/* ---- zones ----------------------------------------------------------------------------------------- */

/* The whole table against libc, each quarter of an hour. */
static void test_tables(void **state)
{
    (void)state;
    static const char *const names[] = {"Europe/Paris", "America/New_York", "Africa/Casablanca",
                                        "Africa/Monrovia", "Pacific/Apia", "Asia/Tehran",
                                        "America/Sao_Paulo", "Australia/Lord_Howe", "Etc/GMT+3"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct zone *z = zone(names[i]);
        struct tm tm;
        setenv("TZ", names[i], 1);
        tzset();
        size_t c = 0;
        for (time_t t = 0; t < at("2038-01-01T00:00:00Z") / SEC; t += 900) {
            while (c + 1 < z->n && z->changes[c + 1].from_s <= t)
                c++;
            localtime_r(&t, &tm);
            if (tm.tm_gmtoff != z->changes[c].offset_s)
                fail_msg("%s at %lld: %ld, not %lld", names[i], (long long)t, tm.tm_gmtoff,
                         (long long)z->changes[c].offset_s);
        }
        zone_free(z);
    }
    unsetenv("TZ");
    tzset();
}

static const struct {
    const char *name, *message;
} unknown[] = {
    {"Europe/Pariss", "no time zone 'Europe/Pariss'; did you mean 'Europe/Paris'?"},
    {"europe/paris", "no time zone 'europe/paris'; did you mean 'Europe/Paris'?"},
    {"Kathmandu", "no time zone 'Kathmandu'; did you mean 'Asia/Kathmandu'?"},
    {"Nowhere/Atlantis",
     "no time zone 'Nowhere/Atlantis'; expected a name such as Europe/Paris or UTC"},
    /* a rule of POSIX, a folder, lists that lie beside the zones, zones that count leap seconds */
    {"CET-1", "no time zone 'CET-1'; did you mean 'CET'?"},
    {"Europe", "no time zone 'Europe'; expected a name such as Europe/Paris or UTC"},
    {"right/Europe/Paris", "no time zone 'right/Europe/Paris'; expected a name such as Europe/Paris or UTC"},
    {"leapseconds", "no time zone 'leapseconds'; expected a name such as Europe/Paris or UTC"},
    {"UTC+2", "no time zone 'UTC+2'; did you mean 'UTC'?"},
};

static void test_unknown(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        struct zone *z;
        struct err e = {0};
        assert_true(zone_load(unknown[i].name, &z, &e) < 0);
        assert_string_equal(e.msg, unknown[i].message);
    }
    assert_false(zone_name_ok("../../etc/passwd"));
    assert_false(zone_name_ok("/etc/localtime"));
    assert_false(zone_name_ok("Europe//Paris"));
    assert_false(zone_name_ok("Europe/"));
    assert_false(zone_name_ok(""));
    char longer[LIM_ZONE_NAME_BYTES + 2];
    memset(longer, 'a', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    assert_false(zone_name_ok(longer));
}

/* A recording may hold anything. */
static void test_bad_tables(void **state)
{
    (void)state;
    struct zone_change good[] = {{ZONE_NO_BEGIN, 0}, {100, 3600}, {200, 0}};
    struct zone_change bad[][3] = {{{0, 0}, {100, 3600}, {200, 0}},
                                   {{ZONE_NO_BEGIN, 0}, {100, 3600}, {100, 0}},
                                   {{ZONE_NO_BEGIN, 0}, {100, 3600}, {50, 0}},
                                   {{ZONE_NO_BEGIN, 0}, {100, 200000}, {200, 0}},
                                   {{ZONE_NO_BEGIN, 0}, {100, 0}, {INT64_MAX, 0}}};
    struct zone *z;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_true(zone_from_table("Europe/Paris", bad[i], 3, &z, NULL) < 0);
    assert_true(zone_from_table("Europe/Paris", good, 0, &z, NULL) < 0);
    assert_true(zone_from_table("../x", good, 3, &z, NULL) < 0);
    assert_int_equal(zone_from_table("X/Y", xmemdup(good, sizeof(good)), 3, &z, NULL), 0);
    zone_free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fires),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_no_skipped_window),
        cmocka_unit_test(test_several_windows),
        cmocka_unit_test(test_far_times),
        cmocka_unit_test(test_schedules_walked),
        cmocka_unit_test(test_windows_walked),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_bad_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
