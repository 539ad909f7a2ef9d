/* scheduler/plan/rest.h: a plan for balance while it is carried out: is the rest still worth it?   PURE.
 * Purpose  The fleet changes between two moves. What is left of the plan is held against the goal anew:
 *          all of it together, and each move against the rest without it (of two VMs that change places,
 *          neither helps alone).
 *          Without any move: is there something to do at all?
 * Shapes   the request's goal is any but LEAVE; its list of VMs is not read. ROOM: room_for -1,
 *          the VM is gone.
 *          The snapshot knows nothing of the moves in question; others in flight count as done.
 * Owner    gives; plan_rest_done releases.   Thread any. */
#pragma once

#include "scheduler/plan/plan.h"

struct plan_rest {
    bool needed; /* there is something left that the goal is for */
    bool gains;  /* all together make the fleet better, the price of the moves included */
    int room_on; /* ROOM: the host that has the room, the first by id; -1: none */
    bool *helps; /* per move: without it the rest would be worse */
    bool *over;  /* per host: more is there than the goal allows; all false where the goal has no limit */
    struct plan_standing now, after; /* after: all of them done, and nothing else */
};
/* Each move: vm and to; n may be 0. What cannot be judged, for want of room until another has left, is
 * taken to help: the filters have the last word. */
void plan_rest(const struct plan_index *x, const struct plan_request *r,
               const struct plan_move *moves, size_t n, struct plan_rest *ret);
void plan_rest_done(struct plan_rest *x);
