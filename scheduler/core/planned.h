/* scheduler/core/planned.h: requests and plans in the words of runs; for the core, and for plans that
 * are made without one.   PURE.
 * Owner    everything copies; structs are freshly initialised by their shapes.   Thread any. */
#pragma once

#include "policy/policy.h"
#include "scheduler/core/state.h"
#include "scheduler/plan/forecast.h"

/* What was asked for, by whom, under which policy. */
void planned_run(struct run *r, const struct policy *p, const struct request *req);
void planned_move(struct move *m, const struct snapshot *s, const struct plan_move *p);
/* Of the whole plan into r; gives *ret for planned_move_forecast. lead_us: from a move's turn to its
 * first byte; -1: what is assumed before one was seen. */
void planned_forecast(struct run *r, const struct snapshot *s, const struct policy *p,
                      const struct plan *plan, int64_t lead_us, struct forecast *ret);
struct move_forecast planned_move_forecast(const struct forecast_move *m);
/* Was there a word that allows to stop this VM? */
bool planned_may_stop(const struct run *r, const char *vm_name);
/* A cold move stops the VM: without that word it is a blocked VM instead. */
void planned_no_leave(struct stay *st, const char *vm_name);
