/* scheduler/cli/offline.h: the scheduler's planner on a fleet from a file.
 * Purpose  The same requests, plans, words and exit codes without a scheduler. What libvirt and Ceph
 *          would say is not asked: a plan made here is checked for real when it is carried out.
 * Owner    struct offline owns fleet and policy (offline_done).
 * Errors   printed where they are found; exit codes travel up, X_DONE goes on.   Thread main. */
#pragma once

#include <jansson.h>

#include "policy/policy.h"
#include "scheduler/cli/cli.h"
#include "scheduler/core/request.h"
#include "scheduler/core/views.h"
#include "scheduler/plan/plan.h"
#include "scheduler/snap/snap.h"

struct offline_opts { /* as given; snapshot NULL: ask the scheduler */
    const char *snapshot, *policy;
};
struct offline {
    struct snap fleet;
    struct policy policy;
    const char *file;
};
/* --policy without --snapshot is refused. policy NULL: the built-in values. */
int offline_open(struct cli *c, const struct offline_opts *o, struct offline *ret);
void offline_done(struct offline *o);
/* Where the plan comes from, and what was not asked; one line. */
void offline_note(struct cli *c, const struct offline *o);

/* What a dry run of the request finds. X_DONE and *ret (owned), else explained. */
int offline_plan(struct cli *c, const struct offline *o, struct request *req, struct run_view *ret);
/* The same as data: what GET /v1/runs/ID answers, and "snapshot", the file. Gives. */
json_t *offline_encode(const struct offline *o, const struct run_view *v);

struct ids {
    int *list;
    size_t n;
};
/* Their ids, appended. False: one of them is not there; explained. */
bool offline_hosts(struct cli *c, const struct offline *o, char *const *names, size_t n,
                   struct ids *ret);

/* A VM by name, UUID or NAME@HOST: its id, or -1 and explained. */
int offline_vm(struct cli *c, const struct offline *o, const char *text);

/* A plan in which VMs may move, and its moves as runs have them. s: the fleet, or the fleet and more VMs
 * behind it. X_DONE, or explained; to be released in any case. */
enum { OFFLINE_MOVES = 1000000 };
struct fleet_plan {
    struct plan p;
    struct run_view v;
};
int fleet_plan_make(struct cli *c, const struct offline *o, const struct snapshot *s,
                    const struct plan_request *r, struct fleet_plan *ret);
void fleet_plan_encode(const struct fleet_plan *f, json_t *to); /* sets "moves" */
void fleet_plan_done(struct fleet_plan *f);

/* Why the VM does not move in the plan of this request for balance, relief or repair. Exit code. */
int unmoved_print(struct cli *c, const struct offline *o, const struct plan_request *r,
                  const char *vm);
/* drover plan make-room, fit. */
int room_plan(struct cli *c, int argc, char **argv);

/* drover plan failover HOST... */
int failover_plan(struct cli *c, int argc, char **argv);

/* drover plan WORD, of fleets whose VMs may move: is it one of these words; plan it. */
bool balance_is(const char *word);
int balance_plan(struct cli *c, int argc, char **argv);
/* The same asked of the scheduler, as a dry run: of its own fleet, with the real checks. req: its mode and
 * what belongs to it; taken. */
int balance_ask_plan(struct cli *c, struct request *req, bool detailed);
