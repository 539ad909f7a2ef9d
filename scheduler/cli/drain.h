/* scheduler/cli/drain.h: asking for runs and reporting how they ended, shared by the verbs. */
#pragma once

#include "scheduler/cli/cli.h"
#include "scheduler/cli/follow.h"
#include "scheduler/cli/offline.h"
#include "scheduler/core/request.h"
#include "scheduler/core/state.h"

struct drain_opts {
    struct request req; /* host or hosts, to, avoid, ... as asked */
    bool detach, yes, detailed;
    int64_t timeout_us;
    const char *confirm; /* --confirm=HOST,... */
    struct offline_opts offline;
    const char *picture; /* file to draw the plan into */
    bool why_not;        /* only who stays, and why */
    const char *why_vm;  /* of this one; NULL: of all */
    const char *why_at;  /* the word after --why-not */
};
/* Parse `HOST... [options]` after the command's word. X_DONE, or an exit code already explained; < 0:
 * help was printed. */
int drain_parse(struct cli *c, int argc, char **argv, struct drain_opts *ret);
void drain_opts_done(struct drain_opts *o);

/* POST the request. 0 and an owned reply, or -errno and *e. */
int request_post(struct cli *c, const struct request *req, struct reply *ret, struct err *e);
/* A reply without a run: its message and its exit code. */
int reply_print(struct cli *c, const struct reply *r);
/* What --detach prints of a run that was created. */
int run_left_alone(struct cli *c, const struct reply *r);
/* Follow a run, print its answer in the wanted format. Exit code of the run, or of the following. */
int run_follow_and_report(struct cli *c, int64_t id, const struct follow_opts *o);
