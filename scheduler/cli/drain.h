/* scheduler/cli/drain.h: asking for runs and reporting how they ended, shared by the verbs. */
#pragma once

#include "scheduler/cli/cli.h"
#include "scheduler/cli/follow.h"
#include "scheduler/core/request.h"
#include "scheduler/core/state.h"

/* POST the request. 0 and an owned reply, or -errno and *e. */
int request_post(struct cli *c, const struct request *req, struct reply *ret, struct err *e);
/* A reply without a run: its message and its exit code. */
int reply_print(struct cli *c, const struct reply *r);
/* What --detach prints of a run that was created. */
int run_left_alone(struct cli *c, const struct reply *r);
/* Follow a run, print its answer in the wanted format. Exit code of the run, or of the following. */
int run_follow_and_report(struct cli *c, int64_t id, const struct follow_opts *o);
