#include "scheduler/solve/copying.h"

enum { PASSES_MAX = 64 };

static int64_t mul_div(int64_t a, int64_t b, int64_t div)
{
    return (int64_t)((__int128)a * b / div);
}

static int64_t hot_Bps(const struct copying *c)
{
    return c->hot_us > 0 ? mul_div(c->hot_bytes, 1000000, c->hot_us) : 0;
}

int64_t copying_need_Bps(const struct copying *c)
{
    int64_t hot = hot_Bps(c);
    return hot > c->dirty_Bps ? hot : c->dirty_Bps;
}

/* The passes after the first are a geometric row each for the hot set and for the rest; this is their
 * sum. A first pass that is over before the hot set was written once meets nothing else. */
int64_t copying_us(const struct copying *c, int64_t Bps)
{
    if (Bps <= copying_need_Bps(c))
        return -1;
    __int128 us = (__int128)c->mem_bytes * 1000000 / Bps, first = us;
    int64_t hot = hot_Bps(c);
    if (first <= c->hot_us) {
        us += first * hot / (Bps - hot);
    } else {
        us += ((__int128)c->hot_bytes * 1000000 + (first - c->hot_us) * c->dirty_Bps) /
              (Bps - c->dirty_Bps);
        us += (__int128)c->hot_bytes * 1000000 / Bps * hot / (Bps - hot);
    }
    return us <= COPYING_MAX_US ? (int64_t)us : -1;
}

int64_t copying_bytes(const struct copying *c, int64_t Bps)
{
    int64_t us = copying_us(c, Bps);
    return us < 0 ? -1 : mul_div(us, Bps, 1000000);
}

/* Written while one pass lasted. */
static int64_t written(const struct copying *c, int64_t us)
{
    int64_t hot = us < c->hot_us ? mul_div(c->hot_bytes, us, c->hot_us) : c->hot_bytes;
    return us <= c->hot_us ? hot : hot + mul_div(us - c->hot_us, c->dirty_Bps, 1000000);
}

static int settle(const struct copying *c, int64_t Bps, int64_t limit_us, int64_t *ret_rest_us)
{
    int pass = 0;
    *ret_rest_us = mul_div(c->mem_bytes, 1000000, Bps);
    while (*ret_rest_us > limit_us && pass < PASSES_MAX) {
        int64_t next = mul_div(written(c, *ret_rest_us), 1000000, Bps);
        if (next >= *ret_rest_us)
            break;
        *ret_rest_us = next;
        pass++;
    }
    return pass;
}

int copying_passes(const struct copying *c, int64_t Bps, int64_t limit_us)
{
    int64_t rest_us;
    return settle(c, Bps, limit_us, &rest_us);
}

int64_t copying_pause_us(const struct copying *c, int64_t Bps, int64_t limit_us)
{
    int64_t rest_us;
    settle(c, Bps, limit_us, &rest_us);
    return rest_us;
}
