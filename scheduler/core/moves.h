/* scheduler/core/moves.h: the life of moves.
 * Owner    files of this room, through internal.h.   Thread core only.   PURE. */
#pragma once

#include "scheduler/core/slots.h"

/* place.c */
/* Is there still room for it where it goes, and do its rules allow it? False: why is in its note. */
bool target_holds(struct core *c, struct run_slot *r, struct move_slot *m);
/* The same, or elsewhere (m->to). False: it waits, or has waited too long and is refused. */
bool place_found(struct core *c, struct run_slot *r, struct move_slot *m);

/* admit.c: when a queued move gets its turn */
bool admit_now(struct core *c, const struct run *r, const struct move_slot *m);
void admit_flows(struct core *c, struct move_slot *m); /* its first bytes were seen */

/* waits.c: moves that wait for others of their run */
/* Some move that it waits for has not ended yet; its note says which. */
bool waits_on(const struct core *c, struct move_slot *m);
bool waits_still(const struct core *c, const struct move_slot *m); /* the same, without the note */
/* What waits for a move that did not move is taken back and planned anew, or becomes a stay. */
void waits_settle(struct core *c, struct run_slot *r);
/* Where a parked VM goes on from. */
void waits_follow(struct core *c, const struct move_slot *m);

/* move.c */
struct move_slot *move_new(struct core *c, struct run_slot *r, const struct snapshot *s,
                           const struct plan_move *pm);
int move_event(struct core *c, struct move_slot *m, enum job_event ev);
void move_tick(struct core *c, struct move_slot *m);
void move_answer(struct core *c, const struct ask *a, const struct msg *m, struct move_slot *mv);
void move_progress(struct core *c, const char *host, const struct progress *p);
void move_host_down(struct core *c, const char *host);
bool move_active(const struct move_slot *m);
void move_prep_note(struct move_slot *m, enum reason_code code, const char *host,
                    const char *have);
struct move_slot *move_of_vm(const struct core *c, const char *uuid);
void move_failed_reason(const struct move_slot *m, struct reason *ret);

/* settle.c */
enum job_event settle_judge(struct core *c, struct move_slot *m);
