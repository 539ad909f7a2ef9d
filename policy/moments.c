/* From the text of a calendar to moments. What a local clock has reached never goes back: see calendar.h. */
#include <assert.h>

#include "lib/base/str.h"
#include "policy/calendar.h"

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };
/* The 29th of February falls on a given weekday once in 28 years, in 40 across 2100. */
enum { LONGEST_WAIT_DAYS = 41 * 366 };
/* In 14 days each edge of a window comes at least once, also where a calendar left a day out. */
static const int64_t EDGES_WITHIN_S = 16 * DAY_S;

static const struct zone_change utc_change = {.from_s = ZONE_NO_BEGIN};
static const struct zone utc = {.changes = (struct zone_change *)(uintptr_t)&utc_change, .n = 1};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* ---- what a clock shows, and what it has reached ------------------------------------------------ */

/* The last moment of the i-th stretch, excluded. */
static int64_t stretch_end(const struct zone *z, size_t i)
{
    return i + 1 < z->n ? z->changes[i + 1].from_s : INT64_MAX / 4;
}

static size_t stretch_at(const struct zone *z, int64_t at_s)
{
    size_t i = 0;
    while (i + 1 < z->n && z->changes[i + 1].from_s <= at_s)
        i++;
    return i;
}

static int64_t reached(const struct zone *z, int64_t at_s)
{
    size_t now = stretch_at(z, at_s);
    int64_t most = at_s + z->changes[now].offset_s;
    for (size_t i = 0; i < now; i++) {
        int64_t shown = stretch_end(z, i) - 1 + z->changes[i].offset_s;
        most = most > shown ? most : shown;
    }
    return most;
}

/* When the clock first shows the local time, or jumps over it. */
static int64_t moment_of(const struct zone *z, int64_t local_s)
{
    for (size_t i = 0;; i++) {
        const struct zone_change *c = &z->changes[i];
        if (stretch_end(z, i) + c->offset_s > local_s)
            return local_s - c->offset_s > c->from_s ? local_s - c->offset_s : c->from_s;
    }
}

/* ---- schedules ----------------------------------------------------------------------------------- */

struct day {
    int64_t n; /* since 1970-01-01, a Thursday */
    int64_t year;
    int month, day, weekday; /* month and day from 1; weekday 0 is Sunday */
};

static bool leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int month_days(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap(year));
}

/* Days from 1970-01-01 to the first of January. */
static int64_t year_begin(int64_t year)
{
    int64_t y = year - 1;
    return y * 365 + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) - 719162;
}

static struct day day_of(int64_t n)
{
    struct day d = {.n = n, .year = 1970 + floor_div(n * 400, 146097), .month = 1};
    while (year_begin(d.year) > n)
        d.year--;
    while (year_begin(d.year + 1) <= n)
        d.year++;
    int64_t left = n - year_begin(d.year);
    for (; left >= month_days(d.year, d.month); d.month++)
        left -= month_days(d.year, d.month);
    d.day = (int)left + 1;
    d.weekday = (int)(n + 4 - 7 * floor_div(n + 4, 7));
    return d;
}

static void next_day(struct day *d)
{
    d->n++;
    d->weekday = (d->weekday + 1) % 7;
    if (d->day++ < month_days(d->year, d->month))
        return;
    d->day = 1;
    if (d->month++ < 12)
        return;
    d->month = 1;
    d->year++;
}

static bool on_day(const struct schedule *s, const struct day *d)
{
    bool day = s->bits[2] >> d->day & 1, weekday = s->bits[4] >> d->weekday & 1;
    if (!(s->bits[3] >> d->month & 1))
        return false;
    return s->any_day || s->any_weekday ? day && weekday : day || weekday;
}

/* The first minute of the day that is wanted, from_min or later; −1: none. */
static int minute_from(const struct schedule *s, int from_min)
{
    for (int hour = from_min / 60, minute = from_min % 60; hour < 24; hour++, minute = 0) {
        if (!(s->bits[1] >> hour & 1))
            continue;
        for (; minute < 60; minute++)
            if (s->bits[0] >> minute & 1)
                return hour * 60 + minute;
    }
    return -1;
}

/* The first local time of the schedule after local_s; INT64_MAX: none. */
static int64_t match_after(const struct schedule *s, int64_t local_s)
{
    int64_t minute = floor_div(local_s, MINUTE_S) + 1;
    struct day d = day_of(floor_div(minute, 24 * 60));
    int from = (int)(minute - d.n * 24 * 60);
    for (int i = 0; i < LONGEST_WAIT_DAYS; i++, from = 0, next_day(&d)) {
        int found = on_day(s, &d) ? minute_from(s, from) : -1;
        if (found >= 0)
            return d.n * DAY_S + (int64_t)found * MINUTE_S;
    }
    return INT64_MAX;
}

/* By what the clock shows, stretch by stretch. */
static int64_t next_shown(const struct schedule *s, const struct zone *z, int64_t after_s)
{
    for (size_t i = stretch_at(z, after_s); i < z->n; i++) {
        const struct zone_change *c = &z->changes[i];
        int64_t from = after_s >= c->from_s ? after_s : c->from_s - 1;
        int64_t local = match_after(s, from + c->offset_s);
        if (local < stretch_end(z, i) + c->offset_s)
            return local - c->offset_s;
    }
    return INT64_MAX;
}

bool schedule_next(const struct schedule *s, int64_t after_wall_us, int64_t *ret_wall_us)
{
    const uint64_t each_hour = (UINT64_C(1) << 24) - 1;
    const struct zone *z = s->zone ? s->zone : &utc;
    int64_t after_s = floor_div(after_wall_us, SEC), next;
    if (!s->text)
        return false;
    if (s->bits[1] == each_hour) {
        next = next_shown(s, z, after_s);
    } else {
        int64_t local = match_after(s, reached(z, after_s));
        next = local == INT64_MAX ? local : moment_of(z, local);
    }
    if (next > INT64_MAX / SEC)
        return false;
    *ret_wall_us = next * SEC;
    return true;
}

/* ---- windows ------------------------------------------------------------------------------------- */

static bool open_at(const struct window *w, int64_t at_s)
{
    int64_t local = reached(w->zone ? w->zone : &utc, at_s), n = floor_div(local, DAY_S);
    int minute = (int)((local - n * DAY_S) / MINUTE_S);
    int today = day_of(n).weekday, before = (today + 6) % 7;
    bool begins = w->days >> today & 1, began = w->days >> before & 1;
    if (w->from_min < w->to_min)
        return begins && minute >= w->from_min && minute < w->to_min;
    return (begins && minute >= w->from_min) || (began && minute < w->to_min);
}

/* The next moment at which the window may open or close. */
static int64_t edge_after(const struct window *w, int64_t at_s)
{
    const struct zone *z = w->zone ? w->zone : &utc;
    int64_t local = reached(z, at_s), day = floor_div(local, DAY_S) * DAY_S, next = day + DAY_S;
    const int minutes[] = {w->from_min, w->to_min};
    for (size_t i = 0; i < ARRAY_LEN(minutes); i++) {
        int64_t edge = day + (int64_t)minutes[i] * MINUTE_S;
        next = edge > local && edge < next ? edge : next;
    }
    return moment_of(z, next);
}

static bool any_open(const struct window *w, size_t n, int64_t at_s)
{
    bool open = n == 0;
    for (size_t i = 0; i < n && !open; i++)
        open = open_at(&w[i], at_s);
    return open;
}

bool windows_open(const struct window *w, size_t n, int64_t wall_us, int64_t *ret_change_wall_us)
{
    int64_t now_s = floor_div(wall_us, SEC), change_us = INT64_MAX;
    bool open = any_open(w, n, now_s);
    for (int64_t at = now_s; ret_change_wall_us && n && at <= now_s + EDGES_WITHIN_S;) {
        int64_t edge = edge_after(&w[0], at);
        for (size_t i = 1; i < n; i++) {
            int64_t other = edge_after(&w[i], at);
            edge = other < edge ? other : edge;
        }
        assert(edge > at);
        at = edge;
        if (any_open(w, n, at) != open && at <= INT64_MAX / SEC) {
            change_us = at * SEC;
            break;
        }
    }
    if (ret_change_wall_us)
        *ret_change_wall_us = change_us;
    return open;
}
