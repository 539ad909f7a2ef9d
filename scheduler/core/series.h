/* scheduler/core/series.h: one figure over the last minutes, hours and days, in few bytes.   PURE.
 * Purpose  Means of 5 minutes, an hour and a day, the 95th percentile of the day, and a forecast from the
 *          same hour of former days, for a VM or a host. 168 bytes; 96 more where days are learnt.
 * Slots    minutes of the wall clock; five of them make a five, three fives a quarter of an hour, four
 *          quarters an hour of the day (UTC). A slot of which less than a third was covered by readings
 *          is a gap: it counts in no mean, and is never zero.
 * Time     now_us measures how long, so that no step of the wall clock makes a reading longer or
 *          negative; wall_us says which slot. A wall clock that steps forward leaves a gap; one that
 *          steps back goes on in the present slot for up to 5 minutes, else the past is taken to end
 *          there. A gap of a day forgets all but the days.
 * Units    the caller's; here thousandths of a CPU. Kept to 0.03 % (fives and shorter, hours of days)
 *          and 3 % (quarters), at most 1,966,080.   -1 unknown.
 * Owner    plain data, but for days: series_done.   Thread core only. */
#pragma once

#include "lib/base/err.h"
#include "lib/model/load.h"

enum { SERIES_MINUTES = 5, SERIES_FIVES = 12, SERIES_QUARTERS = 96, SERIES_HOURS = 24 };

struct series_days { /* by hour of the day, UTC; packed as fives are */
    uint16_t mean[SERIES_HOURS], error[SERIES_HOURS];
};
struct series {
    int64_t at_us;            /* of the last reading; 0: none */
    struct series_days *days; /* NULL: not learnt */
    int32_t minute;           /* of the wall clock; 0: none yet */
    float sum;                /* of this minute: value × ms */
    uint16_t covered_ms;
    uint16_t now;
    uint16_t minutes[SERIES_MINUTES], fives[SERIES_FIVES]; /* the newest first */
    uint8_t quarters[SERIES_QUARTERS];
    uint16_t hour, day; /* mean of fives, of quarters: kept, since it is asked more often than it changes */
    uint8_t p95;
    bool lost; /* no reading is to be expected: `now` is of the past */
};

/* When something was read, or is asked. */
struct series_time {
    int64_t now_us, wall_us;
};
void series_init(struct series *s);
void series_done(struct series *s);
/* All that *from knows; *s's own is released. Gives from's days to s. */
void series_move(struct series *s, struct series *from);
/* The value, -1 unknown, was the mean of the last for_us. Overlaps with what is known count once. */
void series_add(struct series *s, struct series_time t, int64_t value, int64_t for_us);
int64_t series_now(const struct series *s); /* the last reading, -1 unknown */
/* No reading is to be expected until the next one: what is now is not known; what was stays. */
void series_lost(struct series *s);
/* Learn by the hour of the day from here on, or forget. */
void series_learn(struct series *s, bool learn);
/* As things stand at t, also if nothing was read for long. forecast: of the hour half an hour from t on,
 * once two days have had it. */
struct cpu_figures series_figures(const struct series *s, struct series_time t);
/* Anything that is worth storing? */
bool series_known(const struct series *s);

/* As texts of hexadecimal digits, for the store. The shorter slots are not kept: minutes are gone after
 * a restart, as is `now`. */
struct series_kept {
    int64_t minute;
    char *fives, *quarters, *days; /* days NULL: none */
};
extern const struct shape series_kept_shape;
void series_keep(const struct series *s, struct series_kept *ret); /* gives */
/* -EBADMSG: no such texts; *s is untouched. */
int series_restore(struct series *s, const struct series_kept *k, struct err *e);
