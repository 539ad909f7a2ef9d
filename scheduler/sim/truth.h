/* scheduler/sim/truth.h: what is true of the simulated VMs and hosts, whoever knows it; for the files of this
 * room only.
 * Shapes   hosts and VMs by dense id. Client ids name one QEMU's connection to Ceph, never reused.
 * Owner    struct sim.   Thread one.   PURE. */
#pragma once

#include "agent/core/cmds.h"
#include "agent/core/reporter.h"
#include "lib/model/model.h"
#include "lib/wire/msg.h"

/* ---- VMs ----------------------------------------------------------------------------------------- */
enum qemu_state { QEMU_RUNNING, QEMU_PAUSED, QEMU_INCOMING };
struct qemu {
    int host;
    enum qemu_state state;
    const char *why; /* libvirt's reason; a constant */
    int64_t client;
    int64_t cpu_us; /* used so far */
};
#define STRANGER (-1) /* a client that is on no host of the fleet */
struct watch {
    int host; /* or STRANGER */
    int64_t client;
    int64_t until_us; /* NEVER while its QEMU lives */
};
struct cpu_habit { /* of its vCPUs; period_us 0: always low_ppm */
    int64_t low_ppm, high_ppm, period_us, peak_us;
};
struct sim_copy;
struct sim_vm {
    int id;
    struct vm facts;
    struct qemu *qemus;
    size_t n_qemus;
    int ran_on; /* where its last QEMU was, once one has ended */
    int *defs;  /* hosts where it is defined */
    size_t n_defs;
    struct watch *watches;
    size_t n_watches;
    int64_t lock; /* client that owns the exclusive lock, 0 nobody */
    struct sim_copy *copy;
    int64_t writes_Bps, hot_bytes; /* what its guest writes now, and at most how much of it anew */
    int64_t habit;                 /* a scheduled change of an earlier habit is void */
    struct cpu_habit cpu;
    bool deaf;    /* its guest does not hear the power button */
    bool wanted;  /* it ran, and nobody told it to stop */
    bool excused; /* a foreign hand is answerable for its state from now on */
};

/* ---- hosts --------------------------------------------------------------------------------------- */
struct sim_op;
struct begun { /* a migration that an agent began since boot */
    int64_t job, attempt;
    int vm;
};
struct sim_agent {
    bool up;
    int64_t life; /* of its process: answers of earlier ones are nobody's */
    struct cmds *cmds;
    struct reporter *reporter;
    struct msg *kept; /* answers that wait for a connection */
    size_t n_kept;
    int *stale; /* VMs to read again */
    size_t n_stale;
    bool read_due, all_stale;
    int tries; /* to connect, since the last success */
};
struct wire {                       /* between an agent and the scheduler */
    bool up, welcome;               /* as the scheduler sees it; as the agent does */
    int64_t no;                     /* of the connection */
    bool cut_out, cut_in;           /* agent to scheduler, scheduler to agent */
    struct msg *held_out, *held_in; /* sent into a cut */
    size_t n_held_out, n_held_in;
};
struct sim_host {
    int id;
    struct host facts;
    bool powered, libvirtd, linked; /* linked: its migration network works */
    int64_t libvirtd_life;
    int ceph;   /* enum ceph_mood */
    int health; /* enum ceph_health: of Ceph, as told here */
    struct begun *begun;
    size_t n_begun;
    int *here; /* VMs that are, or were, here */
    size_t n_here;
    struct sim_agent agent;
    struct wire wire;
    int64_t excess_bytes;                    /* it held more than it may from the beginning */
    int64_t counted_us, busy_us, pressed_us; /* CPU: up to when; used; some wanted more */
};
enum ceph_mood { CEPH_WORKS, CEPH_HANGS, CEPH_DENIES };
enum ceph_health { HEALTH_OK, HEALTH_ERR, HEALTH_SLOW, HEALTH_RECOVERS };
