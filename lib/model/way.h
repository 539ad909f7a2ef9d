/* lib/model/way.h: ways out for a VM that cannot go, and what is short.   PURE.
 * Purpose  A way is one change after which the VM goes: it was planned again with it before it is
 *          said. A shortage is a count that nothing but more of it can mend: a proof.
 * Owner    own their strings; shapes way_shape, shortage_shape.   Thread any. */
#pragma once

#include "lib/model/shape.h"

enum way_kind {
    WAY_OPTION, /* another word on the command line */
    WAY_WAIT,   /* until moves under way have ended */
    WAY_RESUME, /* a host takes VMs again */
    WAY_MOVE,   /* another VM goes elsewhere first */
    WAY_ROOM,   /* so much memory, so many vCPUs or huge pages more on a host */
    WAY_CURE,   /* a service, device or setting of the VM or a host */
    WAY_RULE,   /* the policy says it otherwise */
    WAY_COLD,   /* the VM is stopped, moved, started */
    WAY_KINDS
};
extern const char *const way_kind_names[WAY_KINDS];
struct way {
    int kind;     /* enum way_kind; token on the wire */
    char *text;   /* an imperative sentence or a command, for the first of the hosts */
    char **hosts; /* concerned; each of them would do */
    size_t n_hosts;
    char *vm, *from, *to; /* MOVE: name, and from where to where */
    char *rule, *where;   /* RULE: name, policy file:line */
    int64_t bytes, vcpus; /* MOVE: size of the VM; ROOM: so much more, and no less; 0 none */
    int64_t unblocks;     /* VMs of the plan that go with this change alone, together */
};

enum shortage_kind {
    SHORT_MEMORY,
    SHORT_VCPUS,
    SHORT_PIECES, /* room, but not in pieces that are large enough */
    SHORT_APART,  /* places for VMs that must be apart */
    SHORT_NUMBER, /* places under a rule max_vms */
    SHORT_KINDS
};
extern const char *const shortage_kind_names[SHORT_KINDS];
struct shortage {
    int kind;   /* enum shortage_kind */
    char **vms; /* names: they cannot all go, whatever else goes where */
    size_t n_vms;
    int64_t hosts;          /* that may take at least one of them */
    char *best;             /* one VM: the host where most is free; may be NULL */
    int64_t need_n, have_n; /* bytes, vCPUs or places; need_n > have_n */
    char *rule, *where;     /* of APART, NUMBER */
    char *text;             /* "14 VMs need 310 GiB together; 280 GiB free on 6 allowed hosts" */
};
extern const struct shape way_shape, shortage_shape;
