/* scheduler/plan/snapshot.h: the fleet at one version, as the planner sees it.   PURE.
 * Shapes   dense ids: index into hosts[] and vms[], each array sorted by name then UUID, so that the
 *          same fleet gives the same ids.
 * Owner    borrows the host and vm structs; valid until the core's next step.   Thread core. */
#pragma once

#include "lib/model/load.h"
#include "lib/model/model.h"

enum host_state {
    HOST_UP,
    HOST_CORDONED,
    HOST_DRAINING,
    HOST_MAINTENANCE,
    HOST_QUARANTINED,
    HOST_LOST
};
extern const char *const host_state_names[6];

struct snap_host {
    const struct host *h;
    int state; /* enum host_state */
    bool connected;
    /* Measured; NULL: nothing known. now and m5 are known only while figures are fresh: a host whose m5
     * is unknown is neither idle nor busy, and no place to send load to. */
    const struct cpu_figures *cpu;   /* busy CPUs */
    const struct cpu_figures *other; /* of them, what no measured VM uses: it stays when VMs move */
    const struct host_load *load;    /* all of the last reading; NULL: none that is fresh */
};
struct snap_vm {
    const struct vm *v;
    int host;        /* where it is */
    int moving_to;   /* destination of its move in flight, -1 none: counts on both ends */
    bool other_run;  /* queued or moved by another run: not ours to touch */
    bool leaves;     /* a run is to move it, and the room for it is not there yet: it holds none */
    bool will_start; /* shut off for a cold move: memory and CPU count as if it ran */
    /* It runs nowhere and is to be started: its host is dead, or it is new (then host is -1). `host` says
     * where it was; it takes nothing there and no rule counts it there. For plans only. */
    bool nowhere;
    const struct cpu_figures *cpu; /* measured, wherever it ran; NULL: nothing known */
};
struct snapshot {
    int64_t version;
    struct snap_host *hosts;
    size_t n_hosts;
    struct snap_vm *vms;
    size_t n_vms;
};

/* Their ids; -1: not there. */
int snap_host_id(const struct snapshot *s, const char *name); /* NULL is nowhere */
int snap_vm_place(const struct snapshot *s, const char *name, const char *uuid);

/* Is this host's CPU load known well enough to plan by? */
static inline bool snap_measured(const struct snap_host *h)
{
    return h->cpu && h->other && h->cpu->m5_mcpu >= 0 && h->other->m5_mcpu >= 0 && h->h->cpus > 0;
}
