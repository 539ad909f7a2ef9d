#include "scheduler/cli/text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

/* One character at s: its bytes and columns. */
static size_t step(const char *s, mbstate_t *st, size_t *ret_columns)
{
    wchar_t w;
    size_t n = mbrtowc(&w, s, strnlen(s, MB_LEN_MAX), st);
    if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
        memset(st, 0, sizeof(*st));
        *ret_columns = 1;
        return 1;
    }
    int width = wcwidth(w);
    *ret_columns = width < 0 ? 1 : (size_t)width;
    return n;
}

size_t text_width(const char *s)
{
    mbstate_t st = {0};
    size_t columns = 0;
    while (*s) {
        size_t w;
        s += step(s, &st, &w);
        columns += w;
    }
    return columns;
}

size_t text_fit(const char *s, size_t columns)
{
    mbstate_t st = {0};
    const char *p = s;
    size_t used = 0;
    while (*p) {
        size_t w, n = step(p, &st, &w);
        if (used + w > columns)
            break;
        used += w;
        p += n;
    }
    return (size_t)(p - s);
}

char *text_safe(char *s)
{
    for (char *p = s; p && *p; p++) {
        unsigned char ch = (unsigned char)*p;
        if (ch == '\n' || ch == '\t')
            *p = ' ';
        else if (ch < 0x20 || ch == 0x7f)
            *p = '?';
        else if (ch == 0xc2 && (unsigned char)p[1] >= 0x80 && (unsigned char)p[1] < 0xa0)
            p[0] = p[1] = '?'; /* U+0080..9F: eight-bit control sequences of some terminals */
    }
    return s;
}

void text_line(FILE *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cleanup(freep) char *s = xvasprintf(fmt, ap);
    va_end(ap);
    fprintf(f, "%s\n", text_safe(s));
}

const char *text_count(int64_t n, const char *one, const char *many)
{
    static char ring[8][64];
    static size_t at;
    char *buf = ring[at++ % ARRAY_LEN(ring)];
    snprintf(buf, sizeof(ring[0]), "%lld %s", (long long)n, n == 1 ? one : many);
    return buf;
}

static bool local(int64_t wall_us, struct tm *ret)
{
    time_t t = (time_t)(wall_us / SEC);
    return wall_us > 0 && localtime_r(&t, ret);
}

static const char *none(char *buf)
{
    snprintf(buf, TIME_BYTES, "-");
    return buf;
}

const char *time_clock(char *buf, int64_t wall_us)
{
    struct tm tm;
    return local(wall_us, &tm) && strftime(buf, TIME_BYTES, "%H:%M:%S", &tm) ? buf : none(buf);
}

const char *time_minute(char *buf, int64_t wall_us)
{
    struct tm tm;
    return local(wall_us, &tm) && strftime(buf, TIME_BYTES, "%H:%M", &tm) ? buf : none(buf);
}

const char *time_date(char *buf, int64_t wall_us)
{
    struct tm tm;
    return local(wall_us, &tm) && strftime(buf, TIME_BYTES, "%Y-%m-%d %H:%M:%S", &tm) ? buf
                                                                                      : none(buf);
}

const char *time_about(char *buf, int64_t us)
{
    long long s = (us + SEC / 2) / SEC;
    if (us < 0)
        snprintf(buf, TIME_BYTES, "?");
    else if (s < 100)
        snprintf(buf, TIME_BYTES, "%lld s", s);
    else if (s < 3600)
        snprintf(buf, TIME_BYTES, "%lld min", (s + 30) / 60);
    else
        snprintf(buf, TIME_BYTES, "%lld h %lld min", s / 3600, s / 60 % 60);
    return buf;
}

const char *time_ago(char *buf, int64_t wall_us, int64_t now_wall_us)
{
    long long s = (now_wall_us - wall_us) / SEC;
    if (wall_us <= 0)
        snprintf(buf, TIME_BYTES, "-");
    else if (s < 0)
        snprintf(buf, TIME_BYTES, "0 s");
    else if (s < 100)
        snprintf(buf, TIME_BYTES, "%lld s", s);
    else if (s < 5400)
        snprintf(buf, TIME_BYTES, "%lld min", s / 60);
    else if (s < 48 * 3600)
        snprintf(buf, TIME_BYTES, "%lld h", s / 3600);
    else
        snprintf(buf, TIME_BYTES, "%lld d", s / 86400);
    return buf;
}
