/* agent/hv/sysfs.h: what the kernel says of network devices and memory.   Thread any. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

bool sysfs_is_bridge(const char *dev);
bool sysfs_is_up(const char *dev);  /* exists and is administratively up */
/* The number after "key:" in the text of /proc/meminfo, times scale; -1 if it is not there. Pure. */
int64_t meminfo_get(const char *text, const char *key, int64_t scale);
