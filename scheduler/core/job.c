#include "scheduler/core/job.h"

#include <errno.h>
#include <stddef.h>

const char *const job_state_names[JOB_STATES_] = {"queued",     "preparing", "stopping", "copying",
                                                  "confirming", "uncertain", "starting", "tidying",
                                                  "done",       "failed",    "cancelled"};
const char *const job_event_names[JOB_EVENTS_] = {
    "admit",        "ready",    "ready_cold", "stopped",  "refused",      "migrated",
    "error",        "rejected", "lost",       "seen_dst", "seen_defined", "started",
    "seen_stopped", "seen_src", "seen_dirty", "unproven", "tidied",       "cancel"};

/* The whole machine; a pair that is absent is illegal, not ignored. */
static const struct edge {
    enum job_state from;
    enum job_event on;
    enum job_state to;
    enum job_effect fx;
} edges[] = {
    {JOB_QUEUED, JEV_ADMIT, JOB_PREPARING, FXJ_CHECK_BOTH},
    {JOB_QUEUED, JEV_REFUSED, JOB_FAILED, FXJ_NONE}, /* no target is left */
    {JOB_QUEUED, JEV_CANCEL, JOB_CANCELLED, FXJ_NONE},

    {JOB_PREPARING, JEV_READY, JOB_COPYING, FXJ_START_COPY},
    {JOB_PREPARING, JEV_REFUSED, JOB_FAILED, FXJ_RELEASE_DST}, /* nothing ran on dst yet */
    {JOB_PREPARING, JEV_LOST, JOB_FAILED, FXJ_RELEASE_DST},
    {JOB_PREPARING, JEV_CANCEL, JOB_CANCELLED, FXJ_RELEASE_DST},

    {JOB_PREPARING, JEV_READY_COLD, JOB_STOPPING, FXJ_STOP_VM},
    {JOB_STOPPING, JEV_STOPPED, JOB_COPYING, FXJ_START_COPY},
    {JOB_STOPPING, JEV_ERROR, JOB_UNCERTAIN, FXJ_PROBE_BOTH},  /* did it stop or not? */
    {JOB_STOPPING, JEV_REJECTED, JOB_FAILED, FXJ_RELEASE_DST}, /* the guest did not obey: it runs */
    {JOB_STOPPING, JEV_LOST, JOB_UNCERTAIN, FXJ_PROBE_BOTH},
    {JOB_STOPPING, JEV_CANCEL, JOB_STOPPING,
     FXJ_NONE}, /* a guest cannot be told to stop stopping */

    {JOB_COPYING, JEV_MIGRATED, JOB_CONFIRMING, FXJ_PROBE_BOTH},
    {JOB_COPYING, JEV_ERROR, JOB_UNCERTAIN, FXJ_PROBE_BOTH}, /* an error is no evidence */
    {JOB_COPYING, JEV_LOST, JOB_UNCERTAIN, FXJ_PROBE_BOTH},
    {JOB_COPYING, JEV_REJECTED, JOB_FAILED, FXJ_RELEASE_DST}, /* libvirt was never asked */
    {JOB_COPYING, JEV_CANCEL, JOB_COPYING, FXJ_ABORT},

    {JOB_CONFIRMING, JEV_SEEN_DST, JOB_DONE, FXJ_COMMIT_MOVE},
    {JOB_CONFIRMING, JEV_SEEN_DEFINED, JOB_STARTING, FXJ_START_VM},
    {JOB_CONFIRMING, JEV_SEEN_STOPPED, JOB_UNCERTAIN, FXJ_PROBE_BOTH},
    {JOB_CONFIRMING, JEV_UNPROVEN, JOB_CONFIRMING, FXJ_NONE},      /* look again, in a while */
    {JOB_CONFIRMING, JEV_SEEN_SRC, JOB_UNCERTAIN, FXJ_PROBE_BOTH}, /* contradicts libvirt's word */
    {JOB_CONFIRMING, JEV_SEEN_DIRTY, JOB_UNCERTAIN, FXJ_PROBE_BOTH},
    {JOB_CONFIRMING, JEV_LOST, JOB_CONFIRMING, FXJ_NONE},   /* probes go on when it is back */
    {JOB_CONFIRMING, JEV_CANCEL, JOB_CONFIRMING, FXJ_NONE}, /* too late: it has moved */

    {JOB_UNCERTAIN, JEV_SEEN_DST, JOB_DONE, FXJ_COMMIT_MOVE},
    {JOB_UNCERTAIN, JEV_SEEN_DEFINED, JOB_STARTING, FXJ_START_VM},
    {JOB_UNCERTAIN, JEV_SEEN_STOPPED, JOB_CANCELLED, FXJ_RELEASE_DST},
    {JOB_UNCERTAIN, JEV_SEEN_SRC, JOB_FAILED, FXJ_RELEASE_DST},
    {JOB_UNCERTAIN, JEV_SEEN_DIRTY, JOB_TIDYING, FXJ_TIDY},
    {JOB_UNCERTAIN, JEV_UNPROVEN, JOB_UNCERTAIN, FXJ_NONE},
    {JOB_UNCERTAIN, JEV_LOST, JOB_UNCERTAIN, FXJ_NONE},
    {JOB_UNCERTAIN, JEV_MIGRATED, JOB_CONFIRMING, FXJ_PROBE_BOTH}, /* a late answer */
    {JOB_UNCERTAIN, JEV_ERROR, JOB_UNCERTAIN, FXJ_NONE},
    {JOB_UNCERTAIN, JEV_REJECTED, JOB_UNCERTAIN, FXJ_NONE}, /* only the probes decide now */
    {JOB_UNCERTAIN, JEV_CANCEL, JOB_UNCERTAIN, FXJ_ABORT},

    {JOB_STARTING, JEV_STARTED, JOB_CONFIRMING, FXJ_PROBE_BOTH},
    {JOB_STARTING, JEV_ERROR, JOB_UNCERTAIN, FXJ_PROBE_BOTH}, /* probed, then tried again */
    {JOB_STARTING, JEV_REJECTED, JOB_UNCERTAIN, FXJ_PROBE_BOTH},
    {JOB_STARTING, JEV_LOST, JOB_UNCERTAIN, FXJ_PROBE_BOTH},
    {JOB_STARTING, JEV_CANCEL, JOB_STARTING, FXJ_NONE}, /* it is on its way up: let it */

    {JOB_TIDYING, JEV_TIDIED, JOB_UNCERTAIN, FXJ_PROBE_BOTH}, /* and look again */
    {JOB_TIDYING, JEV_ERROR, JOB_UNCERTAIN, FXJ_PROBE_BOTH},
    {JOB_TIDYING, JEV_LOST, JOB_UNCERTAIN, FXJ_PROBE_BOTH},
    {JOB_TIDYING, JEV_CANCEL, JOB_TIDYING, FXJ_NONE},
};

int job_step(enum job_state *state, enum job_event on, enum job_effect *ret_effect)
{
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        if (edges[i].from != *state || edges[i].on != on)
            continue;
        *state = edges[i].to;
        *ret_effect = edges[i].fx;
        return 0;
    }
    return -EPROTO;
}

bool job_final(enum job_state s)
{
    return s >= JOB_DONE;
}

bool job_holds_dst(enum job_state s)
{
    return s != JOB_QUEUED && !job_final(s);
}
