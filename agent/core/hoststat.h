/* agent/core/hoststat.h: numbers out of the kernel's texts about load.   PURE.
 * Units    as named; -1: the text does not say.   Owner: borrows.   Thread any. */
#pragma once

#include <stdint.h>

/* /proc/stat: time that all CPUs together have been busy; not idle, not waiting for disks, not stolen. */
int64_t hoststat_busy_us(const char *text, int64_t ticks_per_s);
/* A cgroup's cpu.stat: the same, of those in it. */
int64_t hoststat_usage_us(const char *text);
/* /proc/pressure and a cgroup's *.pressure: total of the line "some" or "full". */
int64_t hoststat_pressure_us(const char *text, const char *line);
