#include "policy/calendar.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/zone.h"

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
enum { F_DAY = 2, F_MONTH = 3, F_WEEKDAY = 4, F_ZONE = 5 };

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

/* Splits the text at its spaces. Gives the number of words; most + 1: there are more. */
static size_t words_of(char *text, char **words, size_t most)
{
    size_t n = 0;
    for (char *word, *rest = text; (word = strsep(&rest, " ")) != NULL;) {
        if (!*word)
            continue;
        if (n == most)
            return most + 1;
        words[n++] = word;
    }
    return n;
}

int schedule_parse(const char *text, struct schedule *ret, struct err *e)
{
    cleanup(freep) char *copy = xstrdup(text);
    char *words[ARRAY_LEN(fields) + 1];
    struct schedule s = {0};
    size_t n = words_of(copy, words, ARRAY_LEN(words));
    if (n != ARRAY_LEN(fields) && n != ARRAY_LEN(words))
        return err_set(e, -EBADMSG,
                       "'%.60s' is not the five fields of cron (minute, hour, day of the month, "
                       "month, day of the week), with or without a zone",
                       text);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (field_of(&fields[i], words[i], &s.bits[i], e) < 0)
            return -EBADMSG;
    if (n > F_ZONE && !zone_name_ok(words[F_ZONE]))
        return err_set(e, -EBADMSG, "'%.60s': the zone is not such as Europe/Paris or UTC", text);
    s.bits[F_WEEKDAY] = (s.bits[F_WEEKDAY] | s.bits[F_WEEKDAY] >> 7) & 0x7f; /* 7 is Sunday too */
    s.any_day = words[F_DAY][0] == '*';
    s.any_weekday = words[F_WEEKDAY][0] == '*';
    if (s.any_weekday && !comes(s.bits))
        return err_set(e, -EBADMSG, "'%.60s' never comes: no such day in these months", text);
    s.text = xstrdup(text);
    s.zone_name = n > F_ZONE ? xstrdup(words[F_ZONE]) : NULL;
    *ret = s;
    return 0;
}

void schedule_done(struct schedule *s)
{
    free(s->text);
    free(s->zone_name);
    *s = (struct schedule){0};
}

/* ---- windows ---------------------------------------------------------------------------------- */

static int weekday_of(const char *text)
{
    for (int i = 0; i < 7; i++)
        if (!strcasecmp(text, day_names[i]))
            return i;
    return -1;
}

/* "Mon-Fri", "Sat,Sun"; "Fri-Mon" goes over the week's end. */
static bool days_of(char *text, unsigned *ret)
{
    *ret = 0;
    for (char *item; (item = strsep(&text, ",")) != NULL;) {
        const char *first = strsep(&item, "-");
        int from = weekday_of(first), to = item ? weekday_of(item) : from;
        if (from < 0 || to < 0)
            return false;
        for (*ret |= 1u << to; from != to; from = (from + 1) % 7)
            *ret |= 1u << from;
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

static bool times_of(char *text, int *from, int *to)
{
    char *dash = strchr(text, '-');
    if (!dash)
        return false;
    *dash = '\0';
    return clock_of(text, from) && clock_of(dash + 1, to) && *from != *to && *from < 24 * 60;
}

int window_parse(const char *text, struct window *ret, struct err *e)
{
    cleanup(freep) char *copy = xstrdup(text);
    char *words[3];
    struct window w = {0};
    if (words_of(copy, words, ARRAY_LEN(words)) != ARRAY_LEN(words))
        return err_set(e, -EBADMSG,
                       "'%.60s' is not days, times and zone such as \"Mon-Fri 20:00-06:00 "
                       "Europe/Paris\"",
                       text);
    if (!days_of(words[0], &w.days))
        return err_set(e, -EBADMSG, "'%.60s': the days are not such as Mon-Fri or Sat,Sun", text);
    if (!times_of(words[1], &w.from_min, &w.to_min))
        return err_set(e, -EBADMSG, "'%.60s': the times are not such as 20:00-06:00", text);
    if (!zone_name_ok(words[2]))
        return err_set(e, -EBADMSG, "'%.60s': the zone is not such as Europe/Paris or UTC", text);
    w.text = xstrdup(text);
    w.zone_name = xstrdup(words[2]);
    *ret = w;
    return 0;
}

void window_done(struct window *w)
{
    free(w->text);
    free(w->zone_name);
    *w = (struct window){0};
}
