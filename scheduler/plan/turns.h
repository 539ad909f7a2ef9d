/* scheduler/plan/turns.h: how many copies at once a link takes, and how one of them is bridled.   PURE.
 * Purpose  One rule for two: the core gives real moves their turn by it, the forecast planned ones.
 * Units    bytes, bytes/s, µs; −1 unknown.   Thread any. */
#pragma once

#include "lib/base/str.h"
#include "policy/policy.h"

enum {
    TURNS_BLIND = 3, /* at once where the link's speed is not known, or only a share is ours */
    PAUSE_PASSES = 6
};                                  /* idle guests need 3 or 4 */
#define LEAD_FIRST_US  (3 * SEC)    /* until the first moves have shown how long a start takes */
#define YOUNG_US       (3 * SEC)    /* before that a stream's rate says nothing yet */
#define PAUSE_FIRST_US (100 * MSEC) /* downtime: auto */
#define PAUSE_MAX_US   (300 * MSEC) /* QEMU's own default */

/* One direction of one host's link, and the copies that have their turn on it. */
struct turns_link {
    int64_t link_bps;
    int64_t active, rest_bytes, rate_Bps; /* in all */
    bool unsettled;                       /* somebody has not reached his rate yet */
};

/* May one more begin? lead_us: from its turn to its first byte. */
bool turns_link_has_room(const struct policy *p, const struct turns_link *l, int64_t lead_us);
/* The most that one copy may send; 0: all that the link carries. link_bps: of its source. */
int64_t turns_cap_Bps(const struct policy *p, int64_t link_bps);
/* What the first pass sends: pages never touched are not sent. */
int64_t turns_first_bytes(const struct vm *v);
