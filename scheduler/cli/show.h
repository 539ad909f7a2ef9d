/* scheduler/cli/show.h: runs and reasons as people read them.   PURE: view in, text out.
 * Purpose  The final words of a run, the refusal in four parts, the plan of a dry run, Ceph's word.
 * Shapes   scheduler/core/state.h.   Owner: all borrow.   Thread any. */
#pragma once

#include "scheduler/cli/cli.h"
#include "scheduler/core/planned.h"
#include "scheduler/core/runhosts.h"
#include "scheduler/core/views.h"

/* "not enough memory: needs 4.2 GiB, has 1.1 GiB". Gives. */
char *reason_words(const struct reason *r);
/* The same with the refused host in front. Gives. */
char *reason_line(const struct reason *r);

/* Do they say the same, but for the host and what it has? */
bool reason_same(const struct reason *a, const struct reason *b);
/* For qsort of pointers: the host that has most first. */
int reason_most_first(const void *a, const void *b);
/* Reasons that are the same of n hosts, sorted so: the hosts ("4 hosts"), what is said of them, and both:
 * "4 hosts: not enough memory: …". Give. */
char *reasons_hosts(const struct reason *const *group, size_t n);
char *reasons_text(const struct reason *const *group, size_t n);
char *reasons_words(const struct reason *const *group, size_t n);

/* One VM that stays and why; pad: columns of the first. */
void stay_print(FILE *f, const struct run *r, const struct stay *st, int pad);
int stays_pad(const struct run *r);
/* All of them, one in a line. */
void ways_all_print(FILE *f, const struct way *list, size_t n, int pad);
/* A dry run's answer to --why-not: who stays and why, with every way out; vm: of this one alone, which
 * may also be one that moves. Gives an exit code. */
int why_not_print(struct cli *c, const struct run_view *v, const char *vm);
/* What is proven of several VMs together. */
void shortages_print(FILE *f, const struct shortage *list, size_t n, int pad);
/* Every VM that stays, by what becomes of it; reasons host by host (equal ones together). blocked: the
 * line above those that keep the host from being emptied; NULL: it was said already. */
void stays_print(FILE *f, const struct run *r, const char *blocked);
/* What, why with need and have, what was left as it was, the smallest way out. */
void refusal_print(FILE *f, const struct run *r);
/* Cures and commands that would get further. Nothing when there is nothing to say. */
void ways_out_print(FILE *f, const struct run *r);

/* The answer of a run that ended: one line, and the stays with reasons where there are any. */
void summary_print(FILE *f, const struct run_view *v);
/* Exit code of a drain that ended so. */
int run_exit(const struct run *r);
/* The command that asks for the same drain again, without what it may do to VMs that cannot leave.
 * Gives. */
char *drain_command(const struct run *r);

/* Only the table of moves. Gives an exit code. */
int plan_moves_print(struct cli *c, const struct run_view *v);
/* Only "Plan: 22 moves, ..." without what is blocked or stopped. */
void plan_total_print(FILE *f, const struct run_view *v);
/* A dry run: table of moves, what stays, the line "Plan: ...". Gives an exit code. */
int plan_print(struct cli *c, const struct run_view *v, bool detailed);
/* A balance run's plan, with how the fleet stands before and after. Gives an exit code. */
int balance_print(struct cli *c, const struct run_view *v);
/* Of a balance run: what each move is good for and what it costs, and who was no choice. */
void run_why_print(struct cli *c, const struct run_view *v);
/* "deviation 32.12 → 25.14"; NULL: not known. Gives. */
char *gain_words(const struct move_gain *g);
/* What balance leaves out; more: so many beside these. Nothing where there is none. */
void left_out_print(FILE *f, const struct left_out *list, size_t n, int64_t more);
/* Per disk, what each host saw before and after. */
void ceph_print(struct cli *c, const struct run_view *v);

/* Exit codes and the first line of monitoring plugins. */
enum plugin_code { P_OK, P_WARNING, P_CRITICAL, P_UNKNOWN };
int plugin_unknown(struct cli *c, const char *subject, const char *why);
/* PASS, WARN, FAIL with cures, a line each. */
void check_items_print(struct cli *c, const struct check_item *items, size_t n);

/* "moved", "copying", ...: a state as operators call it. */
const char *move_word(const struct move *m);
int host_colour(int state);
int run_colour(int state);
