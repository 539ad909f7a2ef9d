/* lib/base/rng.h: seeded randomness (xoshiro256**, seeded by splitmix64).   PURE.
 * Why      decisions replay bit for bit: the same seed gives the same numbers on every machine. Not
 *          for keys or serial numbers.
 * Owner    plain data, may be copied.   Thread any, no sharing. */
#pragma once

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
/* 0 <= result < n, each equally likely. n > 0. */
uint64_t rng_below(struct rng *r, uint64_t n);
/* 0.0 <= result < 1.0 */
double rng_unit(struct rng *r);
