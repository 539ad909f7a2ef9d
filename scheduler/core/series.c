#include "scheduler/core/series.h"

#include <errno.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

enum {
    NONE16 = 0xffff,
    NONE8 = 0xff,
    MINUTE_MS = 60000,
    COVERED_MS = MINUTE_MS / 3, /* less is a gap */
    STEP_BACK = 5,              /* minutes of a wall clock that is put right */
    DAY_MINUTES = 1440,
    P95_QUARTERS = 4, /* an hour, before it is called a percentile */
    LEARN_PARTS = 4,  /* a new day weighs a quarter */
    UNIT8 = 4,
    SOON_HALVES = 3, /* half minutes from the middle of the last minute to one minute from now */
};

/* ---- small numbers -------------------------------------------------------------------------------- */

/* Mantissa of `bits` bits, the first of them implied; order is kept. */
static uint32_t pack(uint64_t v, int bits, uint32_t most)
{
    int e = 0;
    while (v >> e >= UINT64_C(2) << bits)
        e++;
    uint64_t code = ((uint64_t)e << bits) + ((v + (e ? UINT64_C(1) << (e - 1) : 0)) >> e);
    return code < most ? (uint32_t)code : most - 1;
}

static int64_t unpack(uint32_t code, int bits)
{
    uint32_t e = code >> bits;
    if (e < 2)
        return code;
    return (int64_t)((code & ((1u << bits) - 1)) + (1u << bits)) << (e - 1);
}

static uint16_t pack16(int64_t v)
{
    return v < 0 ? NONE16 : (uint16_t)pack((uint64_t)v, 11, NONE16);
}

static int64_t unpack16(uint16_t code)
{
    return code == NONE16 ? -1 : unpack(code, 11);
}

static uint8_t pack8(int64_t v)
{
    return v < 0 ? NONE8 : (uint8_t)pack(((uint64_t)v + UNIT8 / 2) / UNIT8, 4, NONE8);
}

static int64_t unpack8(uint8_t code)
{
    return code == NONE8 ? -1 : unpack(code, 4) * UNIT8;
}

/* ---- means ---------------------------------------------------------------------------------------- */

static int64_t mean16(const uint16_t *list, int n, int least)
{
    int64_t sum = 0;
    int known = 0;
    for (int i = 0; i < n; i++)
        if (list[i] != NONE16) {
            sum += unpack16(list[i]);
            known++;
        }
    return known && known >= least ? (sum + known / 2) / known : -1;
}

static int64_t mean8(const uint8_t *list, int n, int least)
{
    int64_t sum = 0;
    int known = 0;
    for (int i = 0; i < n; i++)
        if (list[i] != NONE8) {
            sum += unpack8(list[i]);
            known++;
        }
    return known && known >= least ? (sum + known / 2) / known : -1;
}

/* The least that 95 % of the known quarters do not exceed. */
static uint8_t percentile(const uint8_t *list)
{
    uint8_t count[NONE8] = {0};
    int known = 0;
    for (int i = 0; i < SERIES_QUARTERS; i++)
        if (list[i] != NONE8) {
            count[list[i]]++;
            known++;
        }
    if (known < P95_QUARTERS)
        return NONE8;
    int above = known - (known * 95 + 99) / 100; /* so many may be larger */
    for (int v = NONE8 - 1; v >= 0; v--) {
        above -= count[v];
        if (above < 0)
            return (uint8_t)v;
    }
    return NONE8;
}

/* ---- slots ---------------------------------------------------------------------------------------- */

static void push16(uint16_t *list, int n, int64_t v)
{
    memmove(list + 1, list, (size_t)(n - 1) * sizeof(*list));
    list[0] = pack16(v);
}

static void push8(uint8_t *list, int n, int64_t v)
{
    memmove(list + 1, list, (size_t)(n - 1));
    list[0] = pack8(v);
}

static void learn(struct series_days *d, int hour, int64_t mean)
{
    int64_t was = unpack16(d->mean[hour]), error = unpack16(d->error[hour]);
    if (mean < 0)
        return;
    if (was < 0) {
        d->mean[hour] = pack16(mean);
        return;
    }
    int64_t off = mean > was ? mean - was : was - mean;
    d->error[hour] = pack16(error < 0 ? off : error + (off - error) / LEARN_PARTS);
    d->mean[hour] = pack16(was + (mean - was) / LEARN_PARTS);
}

static void forget_slots(struct series *s)
{
    memset(s->minutes, 0xff, sizeof(s->minutes));
    memset(s->fives, 0xff, sizeof(s->fives));
    memset(s->quarters, 0xff, sizeof(s->quarters));
    s->hour = s->day = NONE16;
    s->p95 = NONE8;
    s->sum = 0;
    s->covered_ms = 0;
}

static void close_quarter(struct series *s)
{
    push8(s->quarters, SERIES_QUARTERS, mean16(s->fives, 3, 1));
    s->day = pack16(mean8(s->quarters, SERIES_QUARTERS, 1));
    s->p95 = percentile(s->quarters);
    if (s->days && s->minute % 60 == 0)
        learn(s->days, (s->minute / 60 + SERIES_HOURS - 1) % SERIES_HOURS,
              mean8(s->quarters, 4, 2));
}

static void close_minute(struct series *s)
{
    bool known = s->covered_ms >= COVERED_MS;
    push16(s->minutes, SERIES_MINUTES,
           known ? (int64_t)(s->sum / (float)s->covered_ms + 0.5F) : -1);
    s->sum = 0;
    s->covered_ms = 0;
    s->minute++;
    if (s->minute % 5)
        return;
    push16(s->fives, SERIES_FIVES, mean16(s->minutes, SERIES_MINUTES, 2));
    s->hour = pack16(mean16(s->fives, SERIES_FIVES, 1));
    if (s->minute % 15 == 0)
        close_quarter(s);
}

static void roll(struct series *s, int64_t wall_us)
{
    int32_t minute = (int32_t)(wall_us / (60 * SEC));
    if (!s->minute || minute - s->minute > DAY_MINUTES) {
        forget_slots(s);
        s->minute = minute;
    }
    if (minute < s->minute - STEP_BACK)
        s->minute = minute;
    while (s->minute < minute)
        close_minute(s);
}

/* ---- what others call ----------------------------------------------------------------------------- */

void series_init(struct series *s)
{
    *s = (struct series){.now = NONE16};
    forget_slots(s);
}

void series_done(struct series *s)
{
    free(take(s->days));
}

void series_move(struct series *s, struct series *from)
{
    bool learns = from->days || s->days;
    series_done(s);
    *s = *from;
    series_init(from);
    series_learn(s, learns);
}

void series_add(struct series *s, struct series_time t, int64_t value, int64_t for_us)
{
    int64_t since = s->at_us ? t.now_us - s->at_us : for_us;
    int64_t ms = (since < for_us ? since : for_us) / MSEC;
    roll(s, t.wall_us);
    s->now = pack16(value);
    s->lost = false;
    s->at_us = t.now_us;
    /* what began in the minute before is counted in this one: it is short */
    if (ms > MINUTE_MS - s->covered_ms)
        ms = MINUTE_MS - s->covered_ms;
    if (value < 0 || ms <= 0)
        return;
    s->sum += (float)value * (float)ms;
    s->covered_ms = (uint16_t)(s->covered_ms + ms);
}

int64_t series_now(const struct series *s)
{
    return s->lost ? -1 : unpack16(s->now);
}

void series_lost(struct series *s)
{
    s->lost = true;
}

void series_learn(struct series *s, bool on)
{
    if (!on)
        free(take(s->days));
    if (!on || s->days)
        return;
    s->days = xcalloc(1, sizeof(*s->days));
    memset(s->days, 0xff, sizeof(*s->days));
}

bool series_known(const struct series *s)
{
    if (s->hour != NONE16 || s->day != NONE16)
        return true;
    for (int i = 0; s->days && i < SERIES_HOURS; i++)
        if (s->days->mean[i] != NONE16)
            return true;
    return false;
}

/* Whole minutes, and what there is of this one. */
static int64_t five_minutes(const struct series *s)
{
    float sum = s->covered_ms ? s->sum : 0, ms = s->covered_ms;
    for (int i = 0; i < SERIES_MINUTES; i++)
        if (s->minutes[i] != NONE16) {
            sum += (float)unpack16(s->minutes[i]) * MINUTE_MS;
            ms += MINUTE_MS;
        }
    return ms > 0 ? (int64_t)(sum / ms + 0.5F) : -1;
}

/* The last minute was so much, the one before it so much: in one minute from now, were it a straight line.
 * The last minute's mean is what was half a minute ago. */
static int64_t soon(const struct series *s)
{
    int64_t ms = s->covered_ms, last = unpack16(s->minutes[0]), before = unpack16(s->minutes[1]);
    int64_t sum = ms ? (int64_t)s->sum : 0;
    if (last < 0)
        return ms >= COVERED_MS ? sum / ms : -1;
    int64_t is = (sum + last * (MINUTE_MS - ms)) / MINUTE_MS;
    if (before < 0)
        return is;
    int64_t was = (last * ms + before * (MINUTE_MS - ms)) / MINUTE_MS,
            then = is + (is - was) * SOON_HALVES / 2;
    return then > 0 ? then : 0;
}

struct cpu_figures series_figures(const struct series *s, struct series_time t)
{
    struct series x = *s;
    x.days = NULL; /* looking at it is no reading */
    roll(&x, t.wall_us);
    struct cpu_figures f = {.now_mcpu = series_now(&x),
                            .m5_mcpu = five_minutes(&x),
                            .h1_mcpu = unpack16(x.hour),
                            .d1_mcpu = unpack16(x.day),
                            .p95_mcpu = unpack8(x.p95),
                            .soon_mcpu = soon(&x),
                            .forecast_mcpu = -1,
                            .forecast_error_mcpu = -1};
    if (f.m5_mcpu < 0 && x.at_us && t.now_us - x.at_us <= SERIES_MINUTES * 60 * SEC)
        f.m5_mcpu = unpack16(x.now); /* one short reading fills no slot, and is all there is */
    if (f.h1_mcpu < 0)
        f.h1_mcpu = f.m5_mcpu;
    if (f.d1_mcpu < 0)
        f.d1_mcpu = f.h1_mcpu;
    int64_t hour = (t.wall_us / (60 * SEC) + 30) / 60 % SERIES_HOURS;
    if (s->days && s->days->error[hour] != NONE16) {
        f.forecast_mcpu = unpack16(s->days->mean[hour]);
        f.forecast_error_mcpu = unpack16(s->days->error[hour]);
    }
    return f;
}

/* ---- for the store -------------------------------------------------------------------------------- */
#define T struct series_kept
SHAPE(series_kept_shape, T, SF_INT_REQ(T, minute), SF_STR_REQ(T, fives), SF_STR_REQ(T, quarters),
      SF_STR(T, days));
#undef T

/* Bytes of a number: width 1 or 2, the high one first. */
static char *to_hex(const void *list, size_t n, size_t width)
{
    size_t digits = width * 2;
    char *text = xcalloc(n * digits + 1, 1);
    for (size_t i = 0; i < n; i++)
        snprintf(text + i * digits, digits + 1, "%0*x", (int)digits,
                 width == 1 ? ((const uint8_t *)list)[i] : ((const uint16_t *)list)[i]);
    return text;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(const char *text, void *list, size_t n, size_t width)
{
    if (!text || strlen(text) != n * width * 2)
        return false;
    for (size_t i = 0; i < n; i++) {
        int v = 0;
        for (size_t k = 0; k < width * 2; k++) {
            int d = hex_digit(text[i * width * 2 + k]);
            if (d < 0)
                return false;
            v = v * 16 + d;
        }
        if (width == 1)
            ((uint8_t *)list)[i] = (uint8_t)v;
        else
            ((uint16_t *)list)[i] = (uint16_t)v;
    }
    return true;
}

void series_keep(const struct series *s, struct series_kept *ret)
{
    *ret = (struct series_kept){.minute = s->minute,
                                .fives = to_hex(s->fives, SERIES_FIVES, 2),
                                .quarters = to_hex(s->quarters, SERIES_QUARTERS, 1)};
    if (s->days)
        ret->days = to_hex(s->days, 2 * SERIES_HOURS, 2);
}

int series_restore(struct series *s, const struct series_kept *k, struct err *e)
{
    struct series x;
    struct series_days d;
    series_init(&x);
    bool ok = k->minute >= 0 && k->minute < INT32_MAX &&
              from_hex(k->fives, x.fives, SERIES_FIVES, 2) &&
              from_hex(k->quarters, x.quarters, SERIES_QUARTERS, 1) &&
              (!k->days || from_hex(k->days, &d, 2 * SERIES_HOURS, 2));
    if (!ok)
        return err_set(e, -EBADMSG, "expected the slots of a series, as this version writes them");
    x.minute = (int32_t)k->minute;
    x.hour = pack16(mean16(x.fives, SERIES_FIVES, 1));
    x.day = pack16(mean8(x.quarters, SERIES_QUARTERS, 1));
    x.p95 = percentile(x.quarters);
    if (k->days)
        x.days = xmemdup(&d, sizeof(d));
    series_done(s);
    *s = x;
    return 0;
}
