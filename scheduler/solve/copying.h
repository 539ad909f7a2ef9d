/* scheduler/solve/copying.h: how long one live copy of memory takes at a given rate.   PURE.
 * Model    The first pass sends mem_bytes. Meanwhile the guest writes: a hot set, all of it within
 *          hot_us, again and again; and dirty_Bps beyond it, each byte once. What was written is sent
 *          in the next pass, until the rest is small enough to stop the guest for it.
 * Units    bytes, bytes/s, µs. Integers: the same figures on every machine.   Thread any. */
#pragma once

#include <stdint.h>

struct copying {
    int64_t mem_bytes;         /* of the first pass; pages never touched are not sent */
    int64_t dirty_Bps;         /* 0: none */
    int64_t hot_bytes, hot_us; /* hot_us > 0 where hot_bytes > 0; 0: no such set */
};

/* The rate that the copy must exceed: at this one or less it never ends. */
int64_t copying_need_Bps(const struct copying *c);
/* From the first byte to the last, −1: it never ends at this rate (or not within COPYING_MAX_US). */
#define COPYING_MAX_US INT64_C(10000000000000)
int64_t copying_us(const struct copying *c, int64_t Bps);
/* What is sent in all; −1 as above. */
int64_t copying_bytes(const struct copying *c, int64_t Bps);
/* Passes until the rest takes at most limit_us, the first included; or until it gets no smaller. */
int copying_passes(const struct copying *c, int64_t Bps, int64_t limit_us);
/* How long the guest stands still for the last rest: at most limit_us where the passes get that
 * small; else as small as they get. */
int64_t copying_pause_us(const struct copying *c, int64_t Bps, int64_t limit_us);
