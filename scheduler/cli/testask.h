/* scheduler/cli/testask.h: the question of a case, as the planner is asked.   Thread main.
 * Purpose  What the judge (testrun.c) and the writer of cases (testsave.c) share.
 * Owner    asking_done releases; borrows case and policy. */
#pragma once

#include "scheduler/cli/testcase.h"
#include "scheduler/plan/plan.h"

struct ints {
    int *list;
    size_t n;
};
struct asking {
    const struct testcase *t;
    const struct policy *p;
    struct snap fleet;
    struct snapshot s; /* the fleet, and a new VM behind it */
    struct snap_vm *vms;
    struct plan_request r;
    struct ints who, to, avoid, rank;
    struct plan plan;
    struct reason bad; /* the plan did not pass verification; code R_NONE: it did */
    char *trouble;     /* the question cannot be asked */
    char *said;        /* the judge: what is wrong with the answer */
};
/* Reads the fleet, finds what the request names and asks for a plan, if the verb wants one. False: see
 * trouble. */
bool asking_begin(struct asking *k, const struct testcase *t, const struct policy *p);
void asking_done(struct asking *k);

const char *asking_vm(const struct asking *k, int vm);
const char *asking_host(const struct asking *k, int host); /* -1: "nowhere" */
/* Ids, or -1 with trouble. */
int asking_find_vm(struct asking *k, const char *name);
int asking_find_host(struct asking *k, const char *name);
/* Does the stay keep its host from being emptied? A VM that is off does not. */
bool asking_blocked(const struct asking *k, const struct plan_stay *st);

struct journey { /* of one VM in the plan, parked on the way or not */
    int vm, from, to;
    bool wanted;
    const char *why;
};
struct journeys {
    struct journey *list; /* free() */
    size_t n;
};
void asking_journeys(const struct asking *k, struct journeys *ret);

/* May the VM of a `move` go there? *why is freshly initialised. */
bool asking_may_move(const struct asking *k, int vm, int host, struct reason *why);
