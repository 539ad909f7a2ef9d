/* scheduler/sim/world.h: the truth behind a simulation, for the files of this room only.
 * Shapes   hosts and VMs by dense id. Client ids name one QEMU's connection to Ceph, never reused.
 * Owner    struct sim.   Thread one.   PURE. */
#pragma once

#include <stdio.h>

#include "lib/base/heap.h"
#include "lib/base/lookup.h"
#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "lib/base/str.h"
#include "scheduler/sim/brain.h"
#include "scheduler/sim/sim.h"
#include "scheduler/sim/truth.h"

#define NEVER             INT64_MAX
#define WATCH_EXPIRES_US  (30 * SEC) /* osd_client_watch_timeout */
#define KEEPALIVE_US      (30 * SEC) /* libvirtd to libvirtd */
#define SILENCE_US        (15 * SEC) /* three heartbeats: a connection is given up */
#define AGENT_DEADLINE_US (30 * SEC) /* of one command in the agent */
#define RECONNECT_BASE_US (500 * MSEC)
#define RECONNECT_MAX_US  (10 * SEC)
#define START_WALL_US     (INT64_C(1767225600) * SEC) /* 2026-01-01 00:00:00 UTC */

/* ---- commands that libvirt is carrying out --------------------------------------------------------- */
struct fault {
    struct deed d;
    int64_t left; /* times; NEVER: always */
};
struct sim_op {
    int64_t no;
    int host;
    int64_t life; /* of the agent that asked */
    struct msg cmd;
    struct sim_op *next;
    const char *refused; /* a fault: fails with this, without having acted */
    int times;           /* that its answer is sent: 0 lost, 2 twice */
    int64_t late_us;     /* the answer comes so much later */
    struct fault fault;  /* of a migration: midway, moved */
    bool has_fault;
};

struct sim_due {
    void (*run)(struct sim *s, void *arg);
    void (*drop)(void *arg); /* NULL: free */
    void *arg;
};
struct sim {
    struct sim_config cfg;
    struct rng rng;
    int64_t now_us, wall_off_us, next_client, next_turn, next_op, n_events;
    struct heap queue;
    struct sim_due *due; /* by the heap's id */
    size_t n_due;
    int *free_due;
    size_t n_free_due;
    int64_t next_seq;
    struct sim_host *hosts;
    size_t n_hosts;
    struct sim_vm *vms;
    size_t n_vms;
    struct lookup hosts_by, vms_by; /* name; VMs by UUID, too: the first in the fleet that has it */
    struct sim_copy **copies;
    size_t n_copies;
    struct sim_op *ops;
    struct fault *faults;
    size_t n_faults;
    size_t n_deeds_left;
    struct brain brain;
    bool loads; /* agents measure */
    struct sim_copied { /* live copies that ended well, by whoever's hand */
        int64_t n, bytes, pause_us;
    } copied;
    char *log;
    size_t log_len, log_room;
    char *violation;
    int *touched; /* VMs that changed since the last check */
    size_t n_touched;
};

/* clock.c */
/* Runs run(s, arg) later; arg is released by drop (NULL: free) afterwards, or at the end. */
void sim_later(struct sim *s, int64_t in_us, struct sim_due what);
bool sim_next(struct sim *s, int64_t until_us);
void sim_clock_done(struct sim *s);
int64_t sim_wall(const struct sim *s);
void sim_say(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_wrong(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* world.c */
struct sim_host *host_named(struct sim *s, const char *name);
struct sim_vm *vm_named(struct sim *s, const char *name); /* name or UUID */
struct qemu *qemu_on(const struct sim_vm *v, int host);
bool defined_on(const struct sim_vm *v, int host);
void define_on(struct sim *s, struct sim_vm *v, int host, bool yes);
struct qemu *qemu_start(struct sim *s, struct sim_vm *v, int host, enum qemu_state state,
                        const char *why);
void qemu_set(struct sim *s, struct sim_vm *v, int host, enum qemu_state state, const char *why);
/* lingers: the host died, so Ceph waits for the client to fall silent. */
void qemu_end(struct sim *s, struct sim_vm *v, int host, bool lingers);
/* What libvirt there says of it. False: neither running nor defined. Gives. */
bool vm_seen(const struct sim *s, const struct sim_vm *v, int host, struct vm *ret);
char *xml_name(const char *text); /* stands for SHA-256: to the core a name is a name. Gives */
void vm_touched(struct sim *s, struct sim_vm *v, int host); /* libvirt there raises an event */
int64_t host_used(const struct sim *s, int host);
bool host_reaches(const struct sim *s, int from, int to);

/* guest.c */
void guest_writes(struct sim *s, struct sim_vm *v, int64_t Bps, int64_t hot_bytes);
/* So much for `for_us` of each `every_us`, beginning now; in between what it writes at present. */
struct bursts {
    int64_t Bps, hot_bytes, for_us, every_us;
};
void guest_bursts(struct sim *s, struct sim_vm *v, const struct bursts *b);

/* load.c */
void guest_cpu(struct sim *s, struct sim_vm *v, const struct cpu_habit *habit);
int64_t host_wants_mcpu(const struct sim *s, int host); /* more than it has: it is overloaded */
void load_watch(struct sim *s, int host); /* its agent has started */
void load_say(struct sim *s);

/* ceph.c */
void image_facts(struct sim *s, int host, const struct disk *disks, size_t n, struct sim_vm *v,
                 struct image_fact **ret, size_t *ret_n);
void ceph_told(const struct sim *s, int host, struct ceph_told *ret);
void watch_open(struct sim *s, struct sim_vm *v, int host, int64_t client);
void watch_strangers_leave(struct sim_vm *v);
void watch_close(struct sim *s, struct sim_vm *v, int64_t client, bool lingers);

/* virt.c */
void virt_begin(struct sim *s, int host, const struct msg *cmd); /* copies */
/* The command's answer; body is taken. Says nothing when nobody waits any more. */
void virt_answer(struct sim *s, struct sim_op *op, enum msg_type type, void *body);
void virt_libvirtd_died(struct sim *s, int host); /* calls under way fail */
void virt_agent_died(struct sim *s, int host);    /* nobody waits for them */
void ops_done(struct sim *s);

/* agent.c */
void agent_start(struct sim *s, int host);
void agent_kill(struct sim *s, int host);
void agent_command(struct sim *s, int host, const struct msg *m);
/* The command has ended: the answer is sent `times` times, or kept until there is a connection. Takes
 * the result's body. */
void agent_answer(struct sim *s, int host, const struct msg *cmd, struct msg *result, int times);
void agent_event(struct sim *s, int host, int vm);
void agent_flush(struct sim *s, int host); /* what is to be reported, if it can be */
void agent_libvirtd(struct sim *s, int host, bool up);
void agent_welcome(struct sim *s, int host, int64_t term);
void agent_watch(struct sim *s, const struct sim_copy *c); /* its progress is told once a second */
void agent_free(struct sim_agent *a);

/* wire.c */
void wire_dial(struct sim *s, int host);
/* One end is closed; the other one learns of it, if the network lets it. */
void wire_close_agent(struct sim *s, int host);
void wire_close_scheduler(struct sim *s, int host);
void wire_to_scheduler(struct sim *s, int host, enum msg_type type, int64_t re,
                       void *body);                         /* takes body */
void wire_to_agent(struct sim *s, int host, struct msg *m); /* takes */
void wire_cut(struct sim *s, int host, bool out, bool in);
void wire_done(struct wire *w);

/* deed.c */
void deed_happen(struct sim *s, struct deed *d);
#define REFUSAL "refusal" /* as op: what a check is to say of this one VM */
/* The first fault that applies to this command there, one of its times used up; NULL: none. to: where a
 * migration goes; NULL: the command is none. */
const struct fault *fault_for(struct sim *s, int host, const char *op, const struct sim_vm *v,
                              const char *to);

/* check.c */
/* Drover brings v to host: does a hard rule speak against it? */
void check_arrival(struct sim *s, const struct sim_vm *v, int from, int host);
int64_t check_room(const struct sim *s, int host); /* bytes that VMs may need there */
/* Before a frame leaves: may it? */
void check_send(struct sim *s, const char *host, const struct msg *m);
