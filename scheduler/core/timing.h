/* scheduler/core/timing.h: how long the core waits, and how often it tries.
 * Owner    files of this room, through internal.h.   Thread core only.   PURE. */
#pragma once

#include "lib/base/str.h"

/* Why these: docs/timelines.md. */
enum { SETTLE_ROUNDS = 5, LOCK_ROUNDS = 4, GIVEN_UP_ROUNDS = 20, PLAN_ROUNDS = 64, CHECK_BATCH = 32 };
#define ASK_TIMEOUT_US (40 * SEC)      /* > the agent's own 30 s deadline for Ceph and libvirt */
#define PROBE_TIMEOUT_US (12 * SEC)    /* then that side counts as silent for this round */
#define PROBE_EVERY_US (500 * MSEC)
#define PROBE_SLOW_US (2 * SEC)        /* after the first ten rounds */
#define STARTUP_GRACE_US (15 * SEC)    /* agents reconnect with up to 10 s of jitter */
#define SOURCE_GONE_US (90 * SEC)      /* > 30 s watch expiry + libvirt's 30 s keepalive, twice over */
#define RETRY_DELAY_US (5 * SEC)
#define SILENT_COPY_US (20 * SEC)      /* > the agent's deadline for one question to libvirt */
#define LATE_NEWS_US (60 * SEC)        /* a host may report so late what a move of ours did */
enum { XML_AT_ONCE = 4, XML_BATCH = 256 }; /* agents asked in one tick; digests in one question */
#define XML_TIMEOUT_US (10 * SEC)      /* an agent has them in memory */
#define XML_AGAIN_US (60 * SEC)
#define CEPH_ASK_US (30 * SEC)
#define CEPH_STALE_US (120 * SEC)      /* three further questions got no answer */
#define CEPH_AHEAD_US (20 * SEC)       /* > the agent's own deadline for one question, 16 s */
enum { CEPH_CLUSTERS_MAX = 16 };
