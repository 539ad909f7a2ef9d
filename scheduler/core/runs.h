/* scheduler/core/runs.h: the life of runs, and what operators ask for.
 * Owner    files of this room, through internal.h.   Thread core only.   PURE. */
#pragma once

#include "scheduler/core/slots.h"

/* run.c: life of a run */
struct run_slot *run_new(struct core *c, int kind, const struct request *req);
struct run_slot *run_active_on(const struct core *c, const char *host);
void run_step(struct core *c, struct run_slot *r); /* whatever can be done next */
void run_end(struct core *c, struct run_slot *r, int state, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void run_cancel(struct core *c, struct run_slot *r, const char *actor);
void run_count(struct core *c, struct run_slot *r);
/* The VM of this move stays, and why. */
void run_stay_after(struct core *c, struct run_slot *r, struct move_slot *m, const char *why);
void run_stay_of_home(struct stay *st); /* only what speaks against home itself */
/* libvirt's job of a failed try ends; an agent that has just come back reports in a moment. */
bool run_reason_passes(enum reason_code why);
bool run_no_answer(enum reason_code why); /* it says nothing of VM or target */
/* Does the move take a VM of the run's own away from where it was? */
bool run_owns(const struct run *r, const struct move *m);

/* drain.c: the end of a drain */
void drain_begins(struct core *c, struct run_slot *r); /* its hosts take no VMs from now on */
/* Whatever can be done next for hosts that nothing leaves any more; open: some move is under way. */
void drain_finish(struct core *c, struct run_slot *r, bool open);
/* Hosts that are not ended are again what they were. Gives a sentence. */
char *drain_undo(struct core *c, struct run_slot *r);
void run_census_answer(struct core *c, struct run_slot *r, const struct ask *a,
                       const struct msg *m);
void run_halt_answer(struct core *c, struct run_slot *r, const struct ask *a, const struct msg *m);

/* balance.c: balance runs */
void balance_request(struct core *c, int64_t id, const struct request *req);
/* Before the first plan: VMs that are to be left alone for now are refused. */
void balance_hold_back(const struct core *c, struct run_slot *r);
/* Into *ret, which borrows *avoid. */
void balance_wants(const struct core *c, const struct run *r, const struct snapshot *s, int **avoid,
                   size_t *n_avoid, struct plan_request *ret);
/* The plan stands. */
void balance_settle(struct core *c, struct run_slot *r, const struct snapshot *s,
                    const struct plan *p);
/* Does the move still help? False: it, or all that is left, is dropped, and why is said. */
bool balance_admits(struct core *c, struct run_slot *r, struct move_slot *m);
/* It is held up for now, for Ceph is not well. */
bool balance_waits(struct core *c, struct run_slot *r, struct move_slot *m);
void balance_failed(struct core *c, struct run_slot *r, struct move_slot *m);
void balance_moved(struct core *c, struct run_slot *r, struct move_slot *m);
struct run_slot *balance_under_way(const struct core *c); /* NULL: none */
/* A move of a balance run that is under way from or to a host of this run; NULL: none. */
const struct move_slot *balance_in_way(const struct core *c, const struct run_slot *r);
/* Dry runs interrupt nothing; what they are to find is what the real one would. */
bool balance_would_yield(const struct run *balance, const struct run *dry);
/* Another run goes first: nothing more begins. True: it has ended. */
bool balance_yields(struct core *c, struct run_slot *r);
void balance_end(struct core *c, struct run_slot *r);   /* nothing is under way any more */
void balance_start(struct core *c, struct run_slot *r); /* its moves begin */
/* Another run that goes before balance runs; NULL: none. */
const struct run_slot *balance_goes_after(const struct core *c, const struct run_slot *mine);
/* Why the plan as a whole would not help any more; NULL: it would. */
const char *balance_still_gains(struct core *c, struct run_slot *r);

/* room.c: balance runs that make room */
void room_of_policy(const struct policy *p, struct room *ret);
/* What a request asks for; of other modes nothing. False: it has been answered. */
bool room_asked(struct core *c, int64_t id, const struct request *req, int mode, struct room *ret);
bool room_same(const struct room *a, const struct room *b);
/* A VM that is to come joins the fleet; before anything asks for ids. */
void room_stage(const struct run *r, struct snapshot_store *x);
/* The VM in question; -1: it is gone, or does not run any more. */
int room_vm(const struct core *c, const struct run *r, const struct snapshot *s);
/* The plan stands. True: there is nothing to move, and the run has ended. */
bool room_settle(struct core *c, struct run_slot *r, const struct snapshot *s,
                 const struct plan *p);
/* What a look finds. on: the host that has the room, -1: none; plan NULL: none was made. Gives. */
char *room_look_words(const struct policy *p, const struct run *r, const struct snapshot *s, int on,
                      const struct plan *plan);
/* By what a plan that is carried out is judged. */
struct room_judging {
    struct plan_request req; /* borrows the lists */
    int *to, *avoid;
};
void room_judged(const struct core *c, const struct run *r, const struct snapshot *s,
                 struct room_judging *ret);
void room_judging_done(struct room_judging *j);
void room_end(struct core *c, struct run_slot *r, const char *why_not); /* NULL: nothing was left */

/* schedule.c: balance runs that begin by themselves, and plans that wait for an operator */
void schedule_tick(struct core *c);
/* R_NONE: a move of the run may begin now. */
enum reason_code schedule_refuses(const struct core *c, const struct run_slot *r);
void proposal_step(struct core *c, struct run_slot *r);
void proposal_expire(struct core *c, struct run_slot *r, const char *why);
void apply_request(struct core *c, int64_t id, const struct request *req);

/* suspend.c */
void suspend_request(struct core *c, int64_t id, const struct request *req);
void unsuspend_request(struct core *c, int64_t id, const struct request *req);
void suspend_tick(struct core *c); /* it ends at its time */

/* runplan.c: from a run to the planner and back, with the real checks in between */
void run_plan(struct core *c, struct run_slot *r);
/* The planner's word alone, for a balance run that is none yet. */
void run_sketch(struct core *c, struct run_slot *r, const struct snapshot *s, struct plan *ret);
void run_create_moves(struct core *c, struct run_slot *r, const struct snapshot *s,
                      const struct plan *p);
bool run_has_unplanned(struct core *c, const struct run_slot *r);
void run_refuse(struct run_slot *r, const char *vm, const char *host, const struct reason *why,
                bool tried);
/* A new target for one queued move: true and m->to set, or false and why in m->note and no_target. Hosts
 * that failed in this run are the last choice ... */
bool run_replan_move(struct core *c, struct run_slot *r, struct move_slot *m, bool forget_tried);
/* ... or none: false when there are none of them, too, and nothing is changed. */
bool run_replan_off_failed(struct core *c, struct run_slot *r, struct move_slot *m,
                           bool forget_tried);

/* runcheck.c: what a plan proposes, really asked */
/* Ask about the pairs that were not yet. False: none was left. */
bool run_ask_unknown(struct core *c, struct run_slot *r, const struct snapshot *s,
                     const struct plan *p);
void run_plan_answer(struct core *c, const struct ask *a, const struct msg *m);
void run_judge_answers(struct core *c, struct run_slot *r, const struct snapshot *s);

/* request.c */
void request_do(struct core *c, int64_t id, const struct request *req);
void answer_text(struct core *c, int64_t id, int http, int exit_code, const char *code, int64_t run,
                 const char *fmt, ...) __attribute__((format(printf, 7, 8)));
struct pending *pending_find(struct core *c, int64_t id);
void pending_drop(struct core *c, struct pending *p); /* it has been answered */
/* All of them are known, or the request is answered. */
bool hosts_exist(struct core *c, int64_t id, char *const *names, size_t n);
void answer_joined(struct core *c, int64_t id, const struct run_slot *r);
void request_check_answer(struct core *c, const struct ask *a, const struct msg *m);

/* hands.c: until when balancing leaves a VM alone that is on host `on` now, because somebody moves it away
 * from where Drover puts it; 0: nobody does. */
int64_t vm_contested_until(const struct core *c, const char *uuid, const char *on);

/* cooldown.c: do balance runs leave it alone for now? Fills *ret (owned). */
bool vm_held_back(const struct core *c, const struct vm_slot *v, struct reason *ret);
/* Hosts that it left by a balance move within a day are refused to the run. */
void vm_not_back(const struct core *c, const struct vm_slot *v, struct run_slot *r);

/* failures.c: before the first plan, unless the run forgets them: what failed a short while ago is refused. */
void failures_refuse(const struct core *c, struct run_slot *r);
/* What it leaves out: the first three, and how many more; NULL: nothing. Gives. */
char *run_left_out_words(const struct run *r);
/* The plan stands: what it leaves out is said, and what the real checks refused is kept. */
void failures_note(struct core *c, struct run_slot *r);
/* For a plan that would rather not: what failed a short while ago. Appends; each `how` is given, too. */
void failures_list(const struct core *c, const struct snapshot *s, struct plan_failed **ret,
                   size_t *ret_n);
/* Hosts that two VMs failed to reach in this run, and none has since. Gives, to left_out_done. */
struct left_out *failures_in_run(const struct core *c, const struct run_slot *r, size_t *ret_n);
/* "in this run moves to h4 failed with 2 VMs since ..."; NULL: it is none of them. Gives. */
char *failures_at_words(const struct core *c, const struct run_slot *r, const char *host);
/* "; balance leaves out its way to h4 until ...", after this one failed. Gives. */
char *failures_after(const struct core *c, const struct move *m);

/* label.c */
void label_do(struct core *c, int64_t id, const struct request *req);
void label_answer(struct core *c, const struct ask *a, const struct msg *m);
