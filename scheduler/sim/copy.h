/* scheduler/sim/copy.h: a migration in virtual time; for the files of this room only.
 * Stages   STARTING, SENDING, HANDOVER, FINISHING; or from SENDING by a switch to post-copy: SWITCHING,
 *          POSTCOPY, then FINISHING. BROKEN: post-copy that has lost its connection, or one of its hosts.
 *          It is no end: it waits to be recovered, and libvirt keeps its job on both sides.
 * Owner    struct sim.   Thread one.   PURE. */
#pragma once

#include "scheduler/sim/world.h"

enum copy_stage {
    COPY_STARTING, COPY_SENDING, COPY_HANDOVER, COPY_FINISHING,
    COPY_SWITCHING, COPY_POSTCOPY, COPY_BROKEN, /* the guest is at the destination, its memory at both */
};
struct sim_copy {
    struct sim_vm *vm;
    int from, to;
    enum copy_stage stage;
    struct sim_op *op; /* the command that waits for it; NULL: nobody's any more */
    bool offline, auto_converge, undefine, persist, foreign;
    bool may_switch; /* to post-copy: it was begun with that flag */
    bool unattended; /* post-copy, and a libvirtd that began it is gone: QEMU ends it alone */
    int64_t cap_Bps, downtime_us;
    int64_t rate_Bps, rest_bytes, sent_bytes, pass, pass_began_us;
    int64_t moved_us;                  /* up to when rest_bytes is true */
    int64_t written_bytes, written_us; /* anew in this pass, up to when */
    int64_t began_us, first_byte_us, pause_us, throttle_ppm;
    int64_t turn;       /* a scheduled event of an earlier turn is void */
    int64_t stalled_us; /* no byte went since; NEVER: they go */
    bool midway, moved; /* faults: fails half-way; moves, then says that it failed */
};

struct copy_order {
    int from, to;
    const struct migrate *order; /* NULL: by a foreign hand, with virsh's usual flags */
    struct sim_op *op;
    const struct fault *fault;
};
void copy_begin(struct sim *s, struct sim_vm *v, const struct copy_order *o);
/* At the source; before the hand-over. */
void copy_abort(struct sim *s, struct sim_copy *c, const char *error);
void copies_share(struct sim *s); /* something about links has changed */
void copy_progress(const struct sim *s, const struct sim_copy *c, struct progress *ret);
/* Before what its guest writes changes: what it has written so far is counted. NULL: nothing. */
void copy_guest_changes(const struct sim *s, struct sim_copy *c);
void copies_host_died(struct sim *s, int host);
void copies_libvirtd_died(struct sim *s, int host);
void copies_libvirtd_back(struct sim *s, int host);

/* postcopy.c. A switch that libvirt would refuse changes nothing. */
bool copy_switched(const struct sim_copy *c);
void copy_switch(struct sim *s, struct sim_copy *c);  /* virsh migrate-postcopy */
void copy_recover(struct sim *s, struct sim_copy *c); /* virsh migrate --postcopy-resume */
void copy_break(struct sim *s, struct sim_copy *c);   /* nothing comes from the other side any more */
void copy_complete(struct sim *s, struct sim_copy *c); /* post-copy: all pages are there */
bool copy_post_host_died(struct sim *s, struct sim_copy *c, int host); /* false: it is no post-copy */
bool copy_post_libvirtd_died(struct sim *s, struct sim_copy *c);       /* the same */

/* copy.c, for postcopy.c */
void copy_later(struct sim *s, struct sim_copy *c, int64_t in_us,
                void (*run)(struct sim *s, struct sim_copy *c));
void copy_answer(struct sim *s, struct sim_copy *c, bool ok, const char *error);
void copy_finish(struct sim *s, struct sim_copy *c); /* it runs there: the source ends, libvirt answers */
void copy_forget(struct sim *s, struct sim_copy *c); /* frees it */
int64_t copy_handover_us(struct sim *s, const struct sim_copy *c);
void copy_account(const struct sim *s, struct sim_copy *c); /* what was sent since the last time */
