/* scheduler/plan/whatif.h: the same problem with one thing changed.   PURE.   Inside the planner only.
 * Purpose  What would be planned if a host were resumed, another VM had moved, a rule were a wish, …
 * Owner    whatif_make borrows index, request and change until whatif_done.   Thread any. */
#pragma once

#include "lib/model/way.h"
#include "scheduler/plan/world.h"

enum change_kind {
    CHANGE_TO,     /* also to this host */
    CHANGE_AVOID,  /* not to avoid this host */
    CHANGE_UP,     /* the host takes VMs */
    CHANGE_ENDED,  /* the moves from and to this host have ended */
    CHANGE_MOVED,  /* `vm` is on `to` */
    CHANGE_ROOM,   /* bytes, vcpus, huge_bytes more on the host */
    CHANGE_HOST,   /* what `code` misses on the host for `of` is there */
    CHANGE_VM,     /* what `code` says of `of` is no more */
    CHANGE_FORGET, /* libvirt or Ceph no longer refuse `of` on the host (-1: at all) for `code` */
    CHANGE_SOFT,   /* the rule is a wish */
    CHANGE_NUMBER, /* max or min of the rule is `number` */
    CHANGE_ALLOW,  /* the rule about hosts lets VMs go to the host */
    CHANGE_OUT,    /* the rule is not about `of` */
    CHANGE_SPARE,  /* capacity.spare_hosts is `number` */
    CHANGE_COLD,   /* VMs may be stopped */
};
struct change {
    int kind; /* enum change_kind */
    int of;   /* the VM that stays */
    int host, vm, to, rule;
    int code; /* enum reason_code */
    int64_t bytes, vcpus, huge_bytes, number;
};

struct whatif {
    struct snapshot s;
    struct policy p; /* borrows all but what is in owned */
    struct plan_request r;
    const struct plan_index *was;
    struct plan_index *x;
    void **owned;
    size_t n_owned;
    int rule; /* about other hosts than it was, -1 none */
    int pad_host;
    struct plan_load pad; /* what a host was given too much, since it has whole CPUs only */
};

/* Some changes at once. False: one of them cannot be thought of (nothing to release). */
bool whatif_make(const struct plan_index *x, const struct plan_request *r,
                 const struct change *list, size_t n, struct whatif *ret);
void whatif_done(struct whatif *k);
/* Do all VMs of the list leave then? Planned anew and replayed. `wish` and `rank` of the request are not used. */
bool whatif_all_go(struct whatif *k, const int *vms, size_t n, uint64_t seed);
