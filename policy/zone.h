/* policy/zone.h: time zones of the system's tzdata, copied into tables.
 * Purpose  GLib reads the zone's file; what is kept is a plain table from 1970 to ZONE_LAST_YEAR. After that year
 *          the last offset holds (the files of tzdata that Debian ships end there too).
 * Errors   -ENOENT "no time zone 'X'; did you mean 'Y'?".   Thread any. */
#pragma once

#include "policy/calendar.h"

enum { ZONE_LAST_YEAR = 2037 };

/* The form of a name such as "Europe/Paris", "UTC", "Etc/GMT+3". */
bool zone_name_ok(const char *name);
/* Gives. "UTC" needs no file. */
int zone_load(const char *name, struct zone **ret, struct err *e);
/* A table from elsewhere (a recording): is it one? changes: taken when it is. */
int zone_from_table(const char *name, struct zone_change *changes, size_t n, struct zone **ret,
                    struct err *e);
void zone_free(struct zone *z); /* accepts NULL */
