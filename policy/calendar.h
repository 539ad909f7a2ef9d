/* policy/calendar.h: texts that name times: is their form good?   PURE.
 * Shapes   schedule: the five fields of cron, "*\/10 6-22 * * mon-fri": minute, hour, day of the month,
 *          month, day of the week; each a list of *, N or N-M, ranges also with /STEP. As in cron, when
 *          both days are restricted either will do.
 *          window: days, times of day and zone, "Mon-Fri 20:00-06:00 Europe/Paris". One that ends
 *          before it begins ends on the next day.
 * Errors   -EBADMSG with what is wrong, without a place.   Thread any. */
#pragma once

#include "lib/base/err.h"

int schedule_check(const char *text, struct err *e);
/* Of the zone only the form is judged: which zones exist is known where the clock is. */
int window_check(const char *text, struct err *e);
