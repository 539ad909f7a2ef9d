/* lib/net/backoff.h: how long to wait before trying again: full jitter.   PURE.
 * Why      a thousand agents lose their scheduler in the same second; a TLS handshake costs it about
 *          2 ms, so they must come back spread out. A wait is uniform in [0, min(max, base * 2^n)].
 * Units    µs.   Owner: plain data. */
#pragma once

#include <stdint.h>

#include "lib/base/rng.h"

struct backoff {
    int64_t base_us, max_us;
    int tries;
};

static inline int64_t backoff_next(struct backoff *b, struct rng *rng)
{
    int64_t top = b->base_us;
    for (int i = 0; i < b->tries && top < b->max_us; i++)
        top *= 2;
    if (top > b->max_us)
        top = b->max_us;
    b->tries += b->tries < 62;
    return (int64_t)rng_below(rng, (uint64_t)top + 1);
}
static inline void backoff_reset(struct backoff *b)
{
    b->tries = 0;
}
