/* lib/base/clock.h: the machine's clocks, for io/ layers only (pure parts take now_us).
 * Units µs.   Thread any. */
#pragma once
#include <stdint.h>

int64_t clock_mono_us(void); /* CLOCK_MONOTONIC */
int64_t clock_wall_us(void); /* CLOCK_REALTIME, for display and calendars */
