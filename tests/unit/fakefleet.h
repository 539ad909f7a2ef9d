/* tests/unit/fakefleet.h: a small world behind the wire contract (lib/wire/msg.h) for tests of the core.
 * Purpose  Answers the core's commands as agents would: libvirt and Ceph truth is the field `on` of each
 *          VM. Faults are flags. The same contract is met by the real agent, which the lab tests.
 * Time     virtual: fleet_run steps the core by 250 ms ticks.   Thread one. */
#pragma once

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/core/core.h"

enum { FLEET_MAX = 16 };
struct fleet_vm {
    struct vm vm;
    int on;             /* host index where QEMU runs; -1 nowhere */
    int off_on;         /* host index where it is defined and shut off; -1 nowhere */
    int copying_to;     /* -1 none */
    int64_t copy_begins_us, copy_ends_us, job, attempt, cmd;
    int64_t pass, pause_us; /* told by fleet_progress; what the core last allowed */
    bool fail_next;     /* the next migration ends with an error, VM stays */
    bool fail_live;     /* every live one does */
    bool lie_next;      /* the next migration moves the VM, but its answer is an error */
    bool mute_next;     /* the next migration moves the VM, but no answer comes */
    const char *check_code; /* as_source verdict */
    const char *bad_on_code; /* destination verdict on host bad_on */
    int bad_on;
    const char *fsid_there; /* what the hosts other than its own see */
};
struct fleet_host {
    struct host host;
    bool up;            /* agent connected */
    bool ceph_hangs;
    bool libvirt_down;
};
struct fleet {
    struct core *core;
    struct fleet_host hosts[FLEET_MAX];
    struct fleet_vm vms[FLEET_MAX];
    int n_hosts, n_vms;
    int64_t now_us, copy_us;
    int64_t order_us;         /* from an order until libvirt has it */
    struct ceph_told *ceph;   /* how well Ceph is; NULL: agents of a version that does not tell */
    int ceph_asked;
    bool late_news;           /* destinations are silent about arrivals until fleet_report */
    struct core_effects held; /* sends that wait to be answered */
    struct reply reply;       /* the last one */
    struct msg *inbox;        /* answers on their way: from host inbox_host */
    int *inbox_host;
    size_t n_inbox, n_inbox_host;
    char *log; /* journal texts, one a line */
    int sends;
};

void fleet_init(struct fleet *f, int hosts, int64_t host_mem_bytes);
void fleet_done(struct fleet *f);
struct fleet_vm *fleet_add(struct fleet *f, const char *name, int host, int64_t mem_bytes);
void fleet_connect(struct fleet *f, int host); /* agent up and full report */
void fleet_disconnect(struct fleet *f, int host);
void fleet_policy(struct fleet *f, struct policy *p); /* takes */
void fleet_report(struct fleet *f, int host); /* what is there and what is not, as a delta */
/* What its agent says once a second of a VM that is being copied. */
void fleet_progress(struct fleet *f, int vm, int64_t remaining_bytes, int64_t rate_Bps);
/* Returns the run id of the reply. */
int64_t fleet_request(struct fleet *f, const struct request *r);
int64_t fleet_drain(struct fleet *f, const char *host, const char *on_blocked);
void fleet_run(struct fleet *f, int64_t us);
/* Until the run has ended, at most us; returns its state. */
int fleet_until_end(struct fleet *f, int64_t run, int64_t us);
/* Throw the core away and build a new one from what FX_SAVE_* made durable. */
void fleet_restart_core(struct fleet *f);
