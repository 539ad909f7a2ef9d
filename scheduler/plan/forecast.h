/* scheduler/plan/forecast.h: what carrying out a plan will take, before anything is done.   PURE.
 * Purpose  Plays the plan as the core would carry it out: the turns of scheduler/plan/turns.h, streams
 *          that share links evenly, a start before each copy and a proof after it.
 * Unknown  Stays unknown (−1): all times where the speed of a link of the plan is; a pause where nobody
 *          measured how fast the guest writes (its rewriting is then left out of times and bytes, and
 *          `writers` counts it); the end of a VM that is stopped and moved cold. What other runs move
 *          at the same time is not in it.
 * Units    µs from the first turn, bytes.   Owner: forecast_done releases.   Thread any. */
#pragma once

#include "scheduler/plan/plan.h"

struct forecast_how {
    int64_t parallel; /* of the request; 0: the policy's */
    int64_t lead_us;  /* from a move's turn to its first byte, as lately seen */
};
struct forecast_move {
    int64_t start_us, end_us; /* its turn; proven to run there. −1 unknown, or (end) never */
    int64_t pause_us;         /* planned stop of the guest; −1 unknown */
    int64_t bytes;            /* sent for it */
    bool never;       /* it does not converge within the policy's time, or waits for such a move */
    int64_t need_Bps; /* never: a copy of it would have to be faster than this; else 0 */
};
struct forecast {
    struct forecast_move *moves; /* as in the plan */
    size_t n_moves;
    int64_t makespan_us; /* of all that end; −1 unknown */
    int64_t bound_us;    /* no order of these moves could be sooner; −1 unknown */
    int64_t bytes, peak; /* in all; most at once, −1 unknown */
    int64_t pause_us,
        pause_limit_us; /* longest planned; −1: of some not known, but limited to this */
    int64_t never,
        writers; /* moves: that do not end; whose guest writes at a rate nobody measured */
    int *blind;  /* hosts whose link speed would have to be known */
    size_t n_blind;
};

void forecast_make(const struct snapshot *s, const struct policy *p, const struct plan *plan,
                   const struct forecast_how *how, struct forecast *ret);
void forecast_done(struct forecast *f);
