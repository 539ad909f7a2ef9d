/* scheduler/sim/sim.h: a fleet that exists in virtual time only.   PURE.
 * Purpose  Runs the scheduler's own core and planner, and the agents' own command and report logic
 *          (agent/core), against simulated hosts, links, libvirt, QEMU, Ceph, network, store and clock,
 *          and checks after each event what must always be true (check.c, which shares nothing with
 *          planner and core).
 * Time     virtual, in µs since the beginning of the run. Nothing waits for a real clock.
 * Same     fleet, policy, seed and deeds give the same log, byte for byte, on every machine.
 * Owner    struct sim owns everything in it.   Thread any, no sharing.
 * Map      world.h the truth · clock.c events · world.c hosts and VMs · guest.c what guests write ·
 *          load.c the CPU time that they want ·
 *          copy.c, postcopy.c a migration as QEMU does it, links · virt.c libvirt's answers · ceph.c
 *          images · agent.c agents · wire.c connections · brain.c scheduler and store · deed.c what
 *          happens to them · check.c invariants · script.c deeds as text. */
#pragma once

#include "lib/base/err.h"
#include "policy/policy.h"
#include "scheduler/core/core.h"

struct sim;

/* How long things take; sim_times_default() is what the lab shows (docs/simulator.md). */
struct sim_times {
    int64_t wire_us;     /* a frame between agent and scheduler, one way */
    int64_t libvirt_us;  /* one call of libvirt */
    int64_t ceph_us;     /* one question about images */
    int64_t start_us;    /* of a migration, until its first byte: QEMU starts at the destination */
    int64_t handover_us; /* pause beyond the sending of the rest */
    /* The same without KVM; a hand-over takes anything between the two. */
    int64_t emulated_start_us, emulated_handover_us, emulated_handover_max_us;
    int64_t finish_us;   /* from the guest's running there until libvirt has answered */
    int64_t shutdown_us;
    int64_t restart_us; /* of a daemon that was killed: what systemd waits */
    int64_t link_bps;   /* of hosts whose speed is not known */
};
struct sim_times sim_times_default(void);

struct sim_config {
    const struct snapshot *fleet; /* borrows, for sim_new only */
    struct policy *policy;        /* takes (zeroed); NULL: the built-in one */
    uint64_t seed;
    struct sim_times times;
    int64_t
        kill_before; /* the scheduler dies once, before its effect of this number; 0: it does not */
    bool kill_early; /* and before what decided on that effect is stored */
};
struct sim *sim_new(const struct sim_config *cfg);
void sim_free(struct sim *s);
int64_t sim_now(const struct sim *s);

/* ---- deeds: everything that can be done to the fleet -------------------------------------------- */
enum deed_kind {
    DEED_REQUEST, /* an operator's request */
    DEED_POLICY,  /* another policy comes into force */
    DEED_SCHEDULER, /* what: kill (it is restarted), stop, start; n: only before the n-th effect from now */
    DEED_STORE,    /* what: fail, work */
    DEED_AGENT,    /* host or all; what: kill (it is restarted), stop, start */
    DEED_LIBVIRTD, /* the same */
    DEED_POWER,    /* host or all; what: off, on */
    DEED_CUT,      /* host or all; what: all, scheduler, from, to, heal */
    DEED_CEPH,     /* host or all; what: hang, deny, work, blocklist */
    DEED_IMAGE,    /* vm; what: open, lock, close: a client that is no host of the fleet */
    DEED_CLOCK,    /* us: wall clocks jump */
    DEED_FAULT,    /* see struct deed */
    DEED_HAND, /* somebody else; what: migrate, start, shutdown, destroy, pause, resume, undefine,
                * edit (its XML); switch (to post-copy), recover (post-copy that broke off): vm NULL: all */
    DEED_GUEST, /* vm; what: crash, deaf, obedient, writes (n bytes/s, m bytes again and again), bursts
                 * (so much, for us of each every_us), cpu (n ppm; period us: a wave from n to m, its peak
                 * at every_us) */
    DEED_LOOK, /* the hosts' load, as the scheduler knows it, goes into the log */
    DEED_LINK,  /* host or all; n bit/s */
    DEED_KINDS
};
struct deed {
    int64_t at_us;
    int kind;   /* enum deed_kind */
    char *what; /* word of the kind's list; FAULT: the operation: check, peer, migrate, abort, tune,
                       * probe, tidy, power, census, xml, any */
    char *how;  /* FAULT: fail, midway, moved, hang, slow, mute, twice, late, refuse */
    char *code; /* FAULT refuse: token of the reason (lib/model/reason.h) */
    char *host, *vm;  /* names; NULL: all, any */
    char *to;         /* HAND migrate */
    int64_t n, m, us; /* FAULT: n times (0: always); us: slow, late */
    int64_t every_us;
    struct request request;
    char *policy; /* folder, for the log; the policy itself: */
    struct policy *loaded;
};
void deed_done(struct deed *d);
void deed_copy(struct deed *dst, const struct deed *src); /* but for `loaded` */
/* Schedules it. Copies, but takes d->loaded. -EINVAL: it names a host or VM that is not there. */
int sim_add(struct sim *s, struct deed *d, struct err *e);

/* ---- running ------------------------------------------------------------------------------------- */
/* Until virtual time until_us, or a violation. */
void sim_run(struct sim *s, int64_t until_us);
/* The same, but ends as soon as nothing is under way: all deeds done, no run going on, all faults past
 * (hosts that are down stay down). Returns whether it came to rest. */
bool sim_settle(struct sim *s, int64_t until_us);
/* What must always hold and did not: one sentence with its time; NULL: nothing. */
const char *sim_violation(const struct sim *s);
/* At the end: does the scheduler believe what is true, has every run ended? As a violation otherwise. */
void sim_check_rest(struct sim *s);

/* ---- looking ------------------------------------------------------------------------------------- */
const char *sim_log(const struct sim *s);         /* borrows */
const struct core *sim_core(const struct sim *s); /* NULL while the scheduler is down */
int64_t sim_effects(
    const struct sim *s); /* frames and answers that the scheduler has sent so far */
int64_t sim_events(const struct sim *s);
/* CPUs busy of a host, mean of five minutes, as the scheduler knows it; −1: it does not. */
int64_t sim_load_ppm(const struct sim *s, const char *host);
/* Where a VM runs: host name, or NULL. *ret_defined: where it is only defined, or NULL. */
const char *sim_where(const struct sim *s, const char *vm, const char **ret_defined);
const struct move *sim_move_of(const struct sim *s, int64_t id); /* the same */
int64_t sim_wall_to_us(int64_t wall_us); /* of runs and moves, to virtual time; clocks that did not jump */
const struct run *sim_run_of(const struct sim *s, int64_t id); /* as last stored; NULL: none */

/* ---- deeds as text (script.c) --------------------------------------------------------------------- */
/* One line, "10s kill agent h1". name and line are for messages. Gives. */
int deed_parse(const char *text, const char *where, struct deed *ret, struct err *e);
char *deed_text(const struct deed *d); /* gives */
