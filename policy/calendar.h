/* policy/calendar.h: when balance runs look, and when moves may start.   PURE: parsing and arithmetic; the
 * offsets of a zone are a table in memory (zone.h fills it), so the same policy gives the same times anywhere.
 * Shapes   schedule: the five fields of cron, "*\/10 6-22 * * mon-fri": minute, hour, day of the month,
 *          month, day of the week; each a list of *, N or N-M, ranges also with /STEP; then a zone, which may
 *          be left out. As in cron, when both days are restricted (neither begins with *) either will do.
 *          window: days, times of day and zone, "Mon-Fri 20:00-06:00 Europe/Paris". One that ends before it
 *          begins ends on the next day; days are those on which it begins.
 * Changes of the clock   What counts is the time that the clock has reached: while a changed clock shows an hour
 *          for the second time, it has reached the end of that hour. So a time of day comes once in a night
 *          that has it twice (the first time), and a time that is skipped comes at the moment of the skip;
 *          several of them come as one. A window opens and closes once. A schedule whose hour is * goes by
 *          what the clock shows: it fires in both of the two hours and has nothing to make up for.
 * Units    wall_us: µs since 1970 UTC. Local times within: seconds.
 * Owner    as marked; x_done accepts zeroed.   Errors: -EBADMSG with what is wrong, without a place.
 * Thread   any; immutable once parsed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

/* From from_s (seconds since 1970 UTC) on, local time is UTC + offset_s. The first has no begin. */
struct zone_change {
    int64_t from_s, offset_s;
};
#define ZONE_NO_BEGIN (INT64_MIN / 4)
/* The last change holds for ever: see ZONE_LAST_YEAR in zone.h. */
struct zone {
    char *name;
    struct zone_change *changes; /* one at least; ascending */
    size_t n;
};

struct schedule {
    char *text;                /* NULL: never */
    char *zone_name;           /* the sixth word; NULL: none was given */
    const struct zone *zone;   /* borrows from the policy; NULL: UTC */
    uint64_t bits[5];          /* minute, hour, day, month, weekday (0 to 6) */
    bool any_day, any_weekday; /* begins with *: says nothing against the other */
};
struct window {
    char *text, *zone_name;
    const struct zone *zone; /* borrows from the policy; NULL: UTC */
    unsigned days;           /* bit 0: Sunday */
    int from_min, to_min;    /* of the day; to <= from: of the next */
};

/* Gives *ret, without zone: who reads the policy finds it. */
int schedule_parse(const char *text, struct schedule *ret, struct err *e);
int window_parse(const char *text, struct window *ret, struct err *e);
void schedule_done(struct schedule *s);
void window_done(struct window *w);

/* The next time strictly after. False: never (text is NULL). */
bool schedule_next(const struct schedule *s, int64_t after_wall_us, int64_t *ret_wall_us);
/* Is one of the windows open? No window at all is always open. *ret_change_wall_us: when the answer will be
 * another, the first moment of it; INT64_MAX: never. May be NULL. */
bool windows_open(const struct window *w, size_t n, int64_t wall_us, int64_t *ret_change_wall_us);
