#include "agent/core/hoststat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What follows the word at the start of a line, or NULL. */
static const char *line_of(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = text; at && *at;) {
        if (strncmp(at, word, len) == 0 && at[len] == ' ')
            return at + len;
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    return NULL;
}

static int64_t whole_number(const char *text)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    return end == text || errno || v < 0 ? -1 : v;
}

int64_t hoststat_busy_us(const char *text, int64_t ticks_per_s)
{
    enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, N };
    long long v[N];
    const char *cpu = text ? line_of(text, "cpu") : NULL;
    if (!cpu || ticks_per_s <= 0 ||
        sscanf(cpu, "%lld %lld %lld %lld %lld %lld %lld", &v[USER], &v[NICE], &v[SYSTEM], &v[IDLE],
               &v[IOWAIT], &v[IRQ], &v[SOFTIRQ]) != N)
        return -1;
    return (v[USER] + v[NICE] + v[SYSTEM] + v[IRQ] + v[SOFTIRQ]) * (1000000 / ticks_per_s);
}

int64_t hoststat_usage_us(const char *text)
{
    const char *v = text ? line_of(text, "usage_usec") : NULL;
    return v ? whole_number(v) : -1;
}

int64_t hoststat_pressure_us(const char *text, const char *line)
{
    const char *at = text ? line_of(text, line) : NULL, *end = at ? strchr(at, '\n') : NULL;
    const char *total = at ? strstr(at, "total=") : NULL;
    if (!total || (end && total > end))
        return -1;
    return whole_number(total + strlen("total="));
}
