/* scheduler/solve/heat.h: how much worse a step of annealing may be.   PURE.   Inside the engine only. */
#pragma once

#include "lib/base/rng.h"

/* A draw of heat · −ln(u), by integers alone: −log2 is linear between powers of two, so the same seed
 * gives the same draws on every machine. */
static inline int64_t heat_draw(struct rng *r, int64_t heat)
{
    uint64_t u = rng_u64(r) | 1;
    int whole = __builtin_clzll(u);
    uint64_t rest = whole < 63 ? u << (whole + 1) >> 44 : 0; /* 20 bits below the leading one */
    int64_t log2 = ((int64_t)(whole + 1) << 20) - (int64_t)rest;
    return (int64_t)((__int128)heat * log2 * 726817 >> 40); /* ln 2 in 2^20 */
}
