/* scheduler/cli/testcase.h: questions to the planner with the answers that are wanted (docs/policy-in-git.md).
 * Purpose  NAME.test.yaml beside the rules: a fleet, a request, and what it should lead to.
 * Errors   of the file: FILE:LINE:COL, as of policies. Of an answer: a failed case.
 * Owner    testcases_done releases.   Thread main. */
#pragma once

#include <jansson.h>

#include "lib/model/model.h"
#include "lib/model/reason.h"
#include "policy/git.h"
#include "policy/lint.h"
#include "policy/ytree.h"
#include "scheduler/cli/report.h"
#include "scheduler/snap/snap.h"

enum case_verb { CASE_DRAIN, CASE_FAILOVER, CASE_PLAN, CASE_FIT, CASE_MOVE, CASE_MAKE_ROOM };
extern const char *const case_verb_names[6];

struct words {
    char **list;
    size_t n;
};
struct want_move { /* patterns; NULL: any */
    char *vm, *from, *to;
};
struct want_blocked {
    char *vm;
    int reason; /* enum reason_code; R_NONE: any */
    char *rule; /* by name; NULL: any */
};
struct case_fleet { /* a file, or lines of the short form */
    char *path;
    struct words hosts, vms, host_places, vm_places;
};
struct case_request {
    int verb;           /* enum case_verb */
    struct words hosts; /* drain, failover */
    struct words to, avoid;
    char *word;                    /* plan: balance, ... */
    char *vm;                      /* fit, move, make_room: one that there is */
    struct vm fresh;               /* or a new one, name != NULL */
    int64_t max_moves, hosts_free; /* 0: as the policy says */
    bool make_room, cold;
};
struct case_expect {
    bool has_moves, has_blocked, has_fits;
    struct want_move *moves;
    size_t n_moves;
    struct want_blocked *blocked;
    size_t n_blocked;
    struct words fits;    /* fit: the hosts that have room */
    int64_t at_most;      /* moves; -1: not asked */
    int rules_hold;       /* 1, 0; -1: not asked */
    struct words holding; /* only these rules */
    char *room_on;        /* make_room: pattern */
    int allowed;          /* move: 1, 0; -1 not asked */
    int reason;           /* move: enum reason_code */
    char *rule;
};
struct testcase {
    char *name, *file;
    int line, col;
    struct case_fleet fleet;
    struct case_request request;
    struct case_expect expect;
};
struct testcases {
    struct testcase *list;
    size_t n, files;
};

/* Every NAME.test.yaml below DIR, in the order of their paths. What is wrong with them goes to found; a file
 * with a mistake gives no cases. */
void testcases_load(const char *dir, struct testcases *ret, struct problems *found);
/* One file's text. Adds to *ret; nothing on failure. */
int testcases_read(const char *dir, const struct git_file *f, struct testcases *ret, struct err *e);
void testcases_done(struct testcases *t); /* accepts zeroed */

/* The case's fleet. */
int testcase_fleet(const struct testcase *t, struct snap *ret, struct err *e);
/* Ask the planner. Gives what was wanted and what came instead, NULL when it passed. */
char *testcase_run(const struct testcase *t, const struct policy *p);

/* testsave.c: a file of one case whose expectation is today's answer. request: as in a case, "drain: kvm-03";
 * snapshot: its file, as seen from dir. Gives the document; NULL and *e when the request is none, or cannot
 * be asked. */
struct testsave {
    const char *dir, *snapshot, *request, *name;
};
json_t *testcase_save(const struct testsave *what, const struct policy *p, struct err *e);
