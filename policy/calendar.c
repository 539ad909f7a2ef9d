#include "policy/calendar.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
static const struct field {
    const char *name;
    int64_t min, max;
    const char *const *names; /* of min, min + 1, ... */
    size_t n_names;
} fields[] = {
    {"minute", 0, 59, NULL, 0},
    {"hour", 0, 23, NULL, 0},
    {"day of the month", 1, 31, NULL, 0},
    {"month", 1, 12, month_names, ARRAY_LEN(month_names)},
    {"day of the week", 0, 7, day_names, ARRAY_LEN(day_names)}, /* 7 is Sunday too */
};
enum { F_DAY = 2, F_MONTH = 3, F_WEEKDAY = 4 };

static bool value_of(const struct field *f, const char *text, int64_t *ret)
{
    for (size_t i = 0; i < f->n_names; i++)
        if (!strcasecmp(text, f->names[i])) {
            *ret = f->min + (int64_t)i;
            return true;
        }
    return text[0] >= '0' && text[0] <= '9' && parse_int(text, f->min, f->max, ret, NULL) == 0;
}

/* "*", "N", "N-M", the two ranges also with "/STEP". Consumes the text. */
static bool range_of(const struct field *f, char *text, uint64_t *bits)
{
    int64_t from = f->min, to = f->max, step = 1;
    char *by = strchr(text, '/'), *dash;
    if (by)
        *by++ = '\0';
    bool range = str_eq(text, "*");
    if (!range) {
        dash = strchr(text, '-');
        range = dash != NULL;
        if (dash)
            *dash++ = '\0';
        if (!value_of(f, text, &from) || (dash && !value_of(f, dash, &to)))
            return false;
        if (!dash)
            to = from;
    }
    if (by && (!range || by[0] < '0' || by[0] > '9' || parse_int(by, 1, f->max, &step, NULL) < 0))
        return false;
    if (from > to)
        return false;
    for (; from <= to; from += step)
        *bits |= UINT64_C(1) << from;
    return true;
}

static int field_of(const struct field *f, const char *text, uint64_t *ret, struct err *e)
{
    cleanup(freep) char *copy = xstrdup(text);
    char *rest = copy;
    *ret = 0;
    for (char *item; (item = strsep(&rest, ",")) != NULL;) {
        cleanup(freep) char *said = xstrdup(item);
        if (!range_of(f, item, ret))
            return err_set(e, -EBADMSG,
                           "%s '%.20s' is not *, a value from %lld to %lld, or a range", f->name,
                           said, (long long)f->min, (long long)f->max);
    }
    return 0;
}

/* The 30th of February: a schedule that waits for ever is a mistake. */
static bool comes(const uint64_t *bits)
{
    static const int longest[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (int month = 1; month <= 12; month++)
        for (int day = 1; bits[F_MONTH] >> month & 1 && day <= longest[month]; day++)
            if (bits[F_DAY] >> day & 1)
                return true;
    return false;
}

/* Splits the text at its spaces. False when it has another number of words. */
static bool words_of(char *text, char **words, size_t n)
{
    size_t found = 0;
    for (char *word, *rest = text; (word = strsep(&rest, " ")) != NULL;) {
        if (!*word)
            continue;
        if (found == n)
            return false;
        words[found++] = word;
    }
    return found == n;
}

int schedule_check(const char *text, struct err *e)
{
    cleanup(freep) char *copy = xstrdup(text);
    char *words[ARRAY_LEN(fields)];
    uint64_t bits[ARRAY_LEN(fields)];
    if (!words_of(copy, words, ARRAY_LEN(fields)))
        return err_set(e, -EBADMSG,
                       "'%.60s' is not the five fields of cron: minute, hour, day of the month, "
                       "month, day of the week",
                       text);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (field_of(&fields[i], words[i], &bits[i], e) < 0)
            return -EBADMSG;
    if (str_eq(words[F_WEEKDAY], "*") && !comes(bits))
        return err_set(e, -EBADMSG, "'%.60s' never comes: no such day in these months", text);
    return 0;
}

/* ---- windows ---------------------------------------------------------------------------------- */

/* "Mon-Fri", "Sat,Sun". */
static bool days_ok(char *text)
{
    const struct field *f = &fields[F_WEEKDAY];
    for (char *item; (item = strsep(&text, ",")) != NULL;)
        for (char *day; (day = strsep(&item, "-")) != NULL;) {
            bool known = false;
            for (size_t i = 0; i < f->n_names; i++)
                known = known || !strcasecmp(day, f->names[i]);
            if (!known || (item && strchr(item, '-')))
                return false;
        }
    return true;
}

/* "20:00" in minutes; "24:00" is the end of the day. */
static bool clock_of(const char *text, int *ret)
{
    static const char form[] = "dd:dd";
    for (size_t i = 0; i < sizeof(form); i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    int hour = (text[0] - '0') * 10 + text[1] - '0', minute = (text[3] - '0') * 10 + text[4] - '0';
    *ret = hour * 60 + minute;
    return minute < 60 && *ret <= 24 * 60;
}

static bool times_ok(char *text)
{
    int from, to;
    char *dash = strchr(text, '-');
    if (!dash)
        return false;
    *dash = '\0';
    return clock_of(text, &from) && clock_of(dash + 1, &to) && from != to && from < 24 * 60;
}

/* "UTC", "Europe/Paris", "America/Argentina/Buenos_Aires", "Etc/GMT+3". */
static bool zone_ok(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    bool start = true;
    for (; *text; text++) {
        if (start ? !strchr(letters, *text)
                  : !strchr(letters, *text) && !strchr("0123456789_+-/", *text))
            return false;
        start = *text == '/';
    }
    return !start;
}

int window_check(const char *text, struct err *e)
{
    cleanup(freep) char *copy = xstrdup(text);
    char *words[3];
    if (!words_of(copy, words, ARRAY_LEN(words)))
        return err_set(e, -EBADMSG,
                       "'%.60s' is not days, times and zone such as \"Mon-Fri 20:00-06:00 "
                       "Europe/Paris\"",
                       text);
    if (!days_ok(words[0]))
        return err_set(e, -EBADMSG, "'%.60s': the days are not such as Mon-Fri or Sat,Sun", text);
    if (!times_ok(words[1]))
        return err_set(e, -EBADMSG, "'%.60s': the times are not such as 20:00-06:00", text);
    if (!zone_ok(words[2]))
        return err_set(e, -EBADMSG, "'%.60s': the zone is not such as Europe/Paris or UTC", text);
    return 0;
}
