/* scheduler/core/job.h: one move of one VM, as a state machine.   PURE: no I/O, clock, allocation.
 * Purpose  The order of things that may happen to a move, and what each must cause. A pair that is
 *          absent from the table is illegal, not ignored.
 * Errors   job_step: -EPROTO and *state untouched if the event is illegal now.   Thread core only.
 * Safety   while job_holds_dst(state) the destination keeps the VM's memory reserved, and no other
 *          job may touch the VM. An error or silence after the copy began is no evidence of where
 *          the VM runs: only JOB_UNCERTAIN's probes of both hosts end such a job. */
#pragma once

#include <stdbool.h>

enum job_state {
    JOB_QUEUED,     /* waits for its turn */
    JOB_PREPARING,  /* both ends are asked everything that could fail later, Ceph too */
    JOB_STOPPING,   /* cold moves only, by the operator's word: the guest is shutting down */
    JOB_COPYING,    /* the source was told to migrate */
    JOB_CONFIRMING, /* libvirt says done: both hosts and Ceph are read again */
    JOB_UNCERTAIN,  /* an error, a timeout or a lost agent: probing until one answer is certain */
    JOB_STARTING,   /* cold moves only: the definition has moved, the VM is being started there */
    JOB_TIDYING,    /* settled at the source; a leftover of the attempt is being removed */
    JOB_DONE,
    JOB_FAILED,     /* the VM is at its source as before */
    JOB_CANCELLED,  /* the same, asked for */
    JOB_STATES_
};
enum job_event {
    JEV_ADMIT,       /* its turn: reservation taken */
    JEV_READY,       /* both ends and Ceph say yes */
    JEV_READY_COLD,  /* the same for a running VM that moves cold: stop it first */
    JEV_STOPPED,     /* the guest has shut down */
    JEV_REFUSED,     /* a check says no; nothing was started */
    JEV_MIGRATED,    /* libvirt returned success */
    JEV_ERROR,       /* libvirt returned an error after it began, or the answer never came */
    JEV_REJECTED,    /* the source agent refused before asking libvirt: nothing was started */
    JEV_LOST,        /* an agent of the two went away, or the scheduler restarted */
    JEV_SEEN_DST,    /* proven: runs at the destination, not at the source; writer is there */
    JEV_SEEN_DEFINED, /* proven: a cold VM's definition is at the destination only */
    JEV_STARTED,     /* libvirt at the destination says it started */
    JEV_SEEN_STOPPED, /* as JEV_SEEN_SRC after an abort that was asked for */
    JEV_SEEN_SRC,    /* proven: runs at the source, nothing of it at the destination */
    JEV_SEEN_DIRTY,  /* proven: runs at the source; a leftover is to be removed first */
    JEV_UNPROVEN,    /* libvirt and Ceph do not agree (yet): look again */
    JEV_TIDIED,
    JEV_CANCEL,      /* operator or run gives up */
    JOB_EVENTS_
};
enum job_effect {
    FXJ_NONE,
    FXJ_CHECK_BOTH,    /* reserve, then ask both ends */
    FXJ_STOP_VM,
    FXJ_START_VM,
    FXJ_START_COPY,
    FXJ_PROBE_BOTH,
    FXJ_TIDY,
    FXJ_ABORT,         /* tell the source to abort; the answer is still awaited */
    FXJ_RELEASE_DST,   /* reservation given up; the VM is where it was */
    FXJ_COMMIT_MOVE,   /* reservation becomes residence */
};
extern const char *const job_state_names[JOB_STATES_];
extern const char *const job_event_names[JOB_EVENTS_];

int job_step(enum job_state *state, enum job_event on, enum job_effect *ret_effect);
bool job_final(enum job_state s);
bool job_holds_dst(enum job_state s);
