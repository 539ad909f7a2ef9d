/* scheduler/core/internal.h: what the files of this room share, and nobody else.
 * Parts slots.h the state · timing.h constants · fleet.h, runs.h, moves.h what the files offer each other.
 * Map   world.c inventory and snapshots · load.c, series.c measured load · ask.c commands and their
 *       answers · check.c what answers of the real checks mean · run.c life of a run · runhosts.c its
 *       hosts · planned.c plans as data · runplan.c planning · runcheck.c with the real checks · place.c
 *       where a queued move can go · admit.c whose turn it is · waits.c moves that wait · move.c life of
 *       a move · heard.c what is heard of it · settle.c where a VM is, from evidence · drain.c the end of
 *       a drain · balance.c balance runs · room.c those that make room · cooldown.c, failures.c what they
 *       leave alone · schedule.c when they begin · suspend.c when they do not · request.c operator verbs · label.c one of them · view.c
 *       queries · core.c dispatch · xml.c texts of the VMs' XML · cephhealth.c
 *       how well Ceph is · pin.c a fleet read in pieces · lists.c
 *       what is found without a search, and what is open.
 * Thread core only.   PURE. */
#pragma once

#include "scheduler/core/fleet.h"
#include "scheduler/core/moves.h"
#include "scheduler/core/runs.h"
#include "scheduler/core/timing.h"

/* core.c */
struct core_fx *fx_add(struct core *c, enum core_fx_type type);
struct about {
    const struct run_slot *r;
    const struct move_slot *m;
    const char *host, *vm, *actor;
};
/* Journal one sentence. */
void say(struct core *c, struct about a, const char *kind, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void set_str(char **slot, const char *value);             /* copies */
void set_fmt(char **slot, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct run_slot *run_find(const struct core *c, int64_t id);
struct move_slot *move_find(const struct core *c, int64_t id);
void run_slot_begin(struct run_slot *r); /* its hosts are known */
void run_slot_free(struct run_slot *r);
void move_slot_free(struct move_slot *m);
void run_forget_checks(struct run_slot *r); /* what was learnt for its plans */
