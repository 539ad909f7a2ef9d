/* scheduler/core/planned.h: requests and plans in the words of runs; for the core, and for plans that
 * are made without one.   PURE.
 * Owner    everything copies; structs are freshly initialised by their shapes.   Thread any. */
#pragma once

#include "policy/policy.h"
#include "scheduler/core/request.h"
#include "scheduler/core/state.h"
#include "scheduler/plan/forecast.h"
#include "scheduler/plan/ways.h"

/* What was asked for, by whom, under which policy. */
void planned_run(struct run *r, const struct policy *p, const struct request *req);
void planned_move(struct move *m, const struct snapshot *s, const struct plan_move *p);
/* What the i-th move of the plan waits for, and whether it is one of two. ids: of its moves; 0: it is
 * not made. */
void planned_waits(struct move *m, const struct snapshot *s, const struct plan *p, size_t i,
                   const int64_t *ids);
/* The request leaves VMs where they are: how many moves of other VMs would let all of them go? 0: no
 * such plan was found, or none is wanted. */
int64_t planned_room_moves(const struct snapshot *s, const struct policy *p,
                           const struct plan_request *r);
/* Of the whole plan into r; gives *ret for planned_move_forecast. lead_us: from a move's turn to its
 * first byte; -1: what is assumed before one was seen. */
void planned_forecast(struct run *r, const struct snapshot *s, const struct policy *p,
                      const struct plan *plan, int64_t lead_us, struct forecast *ret);
struct move_forecast planned_move_forecast(const struct forecast_move *m);
/* A VM that does not move from host; why NULL: the reasons come later. Everything into a fresh *ret. */
void planned_stay(struct stay *ret, const struct vm *v, const char *host,
                  const struct plan_stay *why);
/* Ways out of the plan's stays, which are the run's from `first` on. Takes them out of *w. */
void planned_ways(struct run *r, size_t first, struct plan_ways *w);
/* A cold move stops the VM: without a word that allows it, it is a blocked VM instead. */
void planned_no_leave(struct stay *st);
/* Are all reasons of the kind that a cold move lifts? */
bool planned_cold_lifts(const struct stay *st);

/* Is the VM called so: by name, UUID or NAME@HOST? */
bool planned_vm_called(const struct snapshot *s, int vm, const char *text);
/* Put the names of the VMs in the place of what was written. Returns the first that is no VM on the
 * request's hosts, or has a namesake there (borrowed), or NULL. */
const char *planned_name_stops(struct request *req, const struct snapshot *s);

/* What the planner is asked for by a mode of balance runs. */
enum plan_goal planned_goal(int mode);
/* "memory of hosts 12.0 to 71.3 % full, deviation 20.11". Gives. */
char *standing_words(const struct plan_standing *x);
/* A balance run that makes room? */
bool room_wanted(const struct run *r);
/* "a VM of 96 GiB and 16 vCPUs", "vm/oracle-1 (40 GiB)". Gives. */
char *room_words(const struct room *w);
/* Why no room can be made, of a plan with room_on -1 for r->room; r also says how many moves there may be.
 * Gives. */
char *room_why_none(const struct policy *p, const struct run *r, const struct snapshot *s,
                    const struct plan *plan);
/* "room for a VM of 96 GiB on host/h2: 40 GiB free, then 104 GiB". Gives. */
char *room_planned_words(const struct run *r);

/* Was there a word that allows to stop this VM? */
bool planned_may_stop(const struct run *r, const char *vm_name);
/* What becomes, or has become, of a VM that does not move. */
enum fate {
    FATE_BLOCKED, /* it keeps the host from being emptied */
    FATE_STOPS,   /* it will be asked to shut down, as allowed */
    FATE_STOPPED, /* it was shut off, as allowed */
    FATE_OFF,     /* it was shut off anyway */
    FATES_
};
enum fate stay_fate(const struct run *r, const struct stay *st);
size_t stays_of(const struct run *r, enum fate fate);
size_t stays_on(const struct run *r, enum fate fate, const char *host);
