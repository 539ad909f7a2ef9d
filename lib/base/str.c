#include "lib/base/str.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/mem.h"

bool str_eq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool str_has_prefix(const char *s, const char *prefix)
{
    return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_in(const char *s, char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, list[i]))
            return true;
    return false;
}

bool str_glob(const char *pattern, const char *s)
{
    return fnmatch(pattern, s, 0) == 0;
}

void text_add(char **s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cleanup(freep) char *more = xvasprintf(fmt, ap), *old = *s;
    va_end(ap);
    *s = xasprintf("%s%s", old ? old : "", more);
}

void text_join(char **s, const char *sep, const char *more)
{
    text_add(s, "%s%s", *s && **s ? sep : "", more);
}

struct unit {
    const char *name;
    int64_t factor;
};

/* One number with one unit at *s; advances *s. A decimal point is allowed ("1.5GiB"). */
static int parse_quantity(const char **s, const struct unit *units, size_t n, int64_t *ret)
{
    char *end;
    if (!isdigit((unsigned char)**s))
        return -EINVAL;
    errno = 0;
    double v = strtod(*s, &end);
    if (errno)
        return -ERANGE;
    if (end > *s + strspn(*s, "0123456789.")) /* strtod also reads 1e9 and 0x10 */
        return -EINVAL;
    while (*end == ' ')
        end++;
    size_t len = strcspn(end, "0123456789 ");
    for (size_t i = 0; i < n; i++) {
        if (strlen(units[i].name) != len || strncasecmp(end, units[i].name, len) != 0)
            continue;
        double total = v * (double)units[i].factor;
        if (total > 9e18)
            return -ERANGE;
        *ret = (int64_t)(total + 0.5);
        *s = end + len;
        return 0;
    }
    return -EINVAL;
}

static int parse_one(const char *s, const struct unit *units, size_t n, const char *expected,
                     int64_t *ret, struct err *e)
{
    const char *p = s;
    int64_t v;
    int r = parse_quantity(&p, units, n, &v);
    if (r == 0 && *p)
        r = -EINVAL;
    if (r == -ERANGE)
        return err_set(e, r, "'%s' is too large", s);
    if (r < 0)
        return err_set(e, r, "'%s' is not %s", s, expected);
    *ret = v;
    return 0;
}

int parse_bytes(const char *s, int64_t *ret, struct err *e)
{
    static const struct unit units[] = {
        {"", 1},          {"B", 1},         {"KiB", KIB},       {"MiB", MIB},
        {"GiB", GIB},     {"TiB", 1024 * GIB}, {"kB", 1000},    {"MB", 1000000},
        {"GB", 1000000000}, {"TB", INT64_C(1000000000000)},
    };
    return parse_one(s, units, ARRAY_LEN(units), "a size such as 512MiB or 4GiB", ret, e);
}

int parse_size(const char *s, int64_t *ret, struct err *e)
{
    if (*s && strspn(s, "0123456789") == strlen(s))
        return err_set(e, -EINVAL, "'%s' has no unit: %sGiB, %sMiB?", s, s, s);
    return parse_bytes(s, ret, e);
}

int parse_bitrate(const char *s, int64_t *ret_bps, struct err *e)
{
    static const struct unit units[] = {
        {"bit", 1},          {"kbit", 1000},         {"Mbit", 1000000},
        {"Gbit", 1000000000}, {"bit/s", 1},          {"kbit/s", 1000},
        {"Mbit/s", 1000000}, {"Gbit/s", 1000000000},
    };
    return parse_one(s, units, ARRAY_LEN(units), "a bit rate such as 400Mbit or 25Gbit", ret_bps, e);
}

int parse_duration(const char *s, int64_t *ret_us, struct err *e)
{
    static const struct unit units[] = {
        {"us", 1},          {"ms", MSEC},       {"s", SEC},          {"sec", SEC},
        {"m", 60 * SEC},    {"min", 60 * SEC},  {"h", 3600 * SEC},   {"d", 86400 * SEC},
    };
    int64_t total = 0;
    const char *p = s;
    do {
        int64_t v;
        if (parse_quantity(&p, units, ARRAY_LEN(units), &v) < 0 ||
            __builtin_add_overflow(total, v, &total))
            return err_set(e, -EINVAL, "'%s' is not a duration such as 90s, 10m or 1h30m", s);
    } while (*p);
    *ret_us = total;
    return 0;
}

int parse_int(const char *s, int64_t min, int64_t max, int64_t *ret, struct err *e)
{
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (end == s || *end)
        return err_set(e, -EINVAL, "'%s' is not a whole number", s);
    if (errno || v < min || v > max)
        return err_set(e, -ERANGE, "%s is out of range: expected %lld to %lld", s, (long long)min,
                       (long long)max);
    *ret = v;
    return 0;
}

/* Three significant digits at most: "4.1 GiB", "38 MiB". */
static const char *scaled(char *buf, double v, double step, const char *const *names, size_t n)
{
    size_t i = 0;
    while (v >= step && i + 1 < n) {
        v /= step;
        i++;
    }
    bool whole = i == 0 || v >= 99.95 || v == (double)(int64_t)v;
    snprintf(buf, FMT_BYTES, whole ? "%.0f %s" : "%.1f %s", v, names[i]);
    return buf;
}

const char *fmt_bytes(char *buf, int64_t bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    if (bytes < 0)
        return memcpy(buf, "?", 2);
    return scaled(buf, (double)bytes, 1024, names, ARRAY_LEN(names));
}

const char *fmt_bitrate(char *buf, int64_t bps)
{
    static const char *const names[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};
    if (bps < 0)
        return memcpy(buf, "?", 2);
    return scaled(buf, (double)bps, 1000, names, ARRAY_LEN(names));
}

const char *fmt_duration(char *buf, int64_t us)
{
    long long s = us / SEC;
    if (us < 0)
        return memcpy(buf, "?", 2);
    if (us < SEC)
        snprintf(buf, FMT_BYTES, "%lld ms", (long long)(us / MSEC));
    else if (us < 10 * SEC)
        snprintf(buf, FMT_BYTES, "%.1f s", (double)us / (double)SEC);
    else if (s < 120)
        snprintf(buf, FMT_BYTES, "%lld s", s);
    else if (s < 7200)
        snprintf(buf, FMT_BYTES, "%lld min %lld s", s / 60, s % 60);
    else
        snprintf(buf, FMT_BYTES, "%lld h %lld min", s / 3600, s / 60 % 60);
    return buf;
}

const char *fmt_rfc3339(char *buf, int64_t wall_us)
{
    time_t t = (time_t)(wall_us / SEC);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(buf, FMT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return buf;
}

/* Levenshtein distance, bounded to short words (anything longer is no typo of a keyword). */
static size_t edit_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    size_t la = strlen(a), lb = strlen(b), row[MAX + 1];
    if (la > MAX || lb > MAX)
        return MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diag = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = diag + (a[i - 1] != b[j - 1]);
            diag = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[lb];
}

const char *str_did_you_mean(const char *word, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    size_t best_d = 3;
    for (size_t i = 0; i < n; i++) {
        size_t d = edit_distance(word, candidates[i]);
        if (d < best_d && d * 2 < strlen(word) + 1) {
            best = candidates[i];
            best_d = d;
        }
    }
    return best;
}
