/* scheduler/cli/policycmd.h: what the words of drover policy share.   Thread main. */
#pragma once

#include "policy/policy.h"
#include "scheduler/cli/report.h"
#include "scheduler/plan/plan.h"
#include "scheduler/snap/snap.h"

/* Where the fleet is from: a file, or the scheduler. */
struct fleet_opts {
    const char *snapshot; /* file; NULL: none */
    bool live;            /* the scheduler's */
};
bool fleet_wanted(const struct fleet_opts *o);
/* Gives *ret. An exit code; errors are printed. */
int fleet_open(struct cli *c, const struct fleet_opts *o, struct snap *ret);

/* The goal of drover plan WORD under this policy; -1: no such word. */
int balance_goal(const char *word, const struct policy *p);

int policy_check(struct cli *c, int argc, char **argv);
int policy_test(struct cli *c, int argc, char **argv);
int policy_diff(struct cli *c, int argc, char **argv);
int policy_show(struct cli *c, int argc, char **argv);
int policy_fmt_files(struct cli *c, int argc, char **argv);
int policy_suspend(struct cli *c, int argc, char **argv);
int policy_resume(struct cli *c, int argc, char **argv);
/* "06:00" (the next one), "2026-03-01 06:00" (both local), "2026-03-01T05:00:00Z". False: no time after now. */
bool policy_until(const char *text, int64_t now_us, int64_t *ret_wall_us);
