/* scheduler/plan/cpu.h: CPU load as plans for load count it.   PURE.   Inside the planner only.
 * Purpose  Measured where agents measure, by the figure that the policy names (balance.load); of a VM
 *          that was never measured its part of what its host uses beside those that were. A VM's load goes with it: a host
 *          carries what no VM uses there, and its VMs.
 * Mixed    as soon as one host that is up has fresh figures, the plan is a measured one, and hosts
 *          without are neither idle nor busy: they take part in no term of CPU and take VMs for other
 *          reasons only (a broken rule, a host that holds more than it may).
 * Units    thousandths of a CPU; -1 unknown.   Thread any. */
#pragma once

#include "scheduler/plan/world.h"

/* A host that is relieved because it is busier than it may be goes so far below: else the next small wave brings
 * it back. Of 0, 5, 10 and 15 points this took the fewest moves for as few minutes of overload
 * (docs/benchmarks.md). */
enum { PLAN_CPU_MARGIN_PPM = 50000 };

/* Is this a measured plan? Else CPU load is vCPUs. */
bool plan_cpu_measured(const struct plan_world *w);
/* Counts each VM once for all plans of an index. */
void plan_cpu_init(struct plan_world *w);
bool plan_cpu_known(const struct plan_world *w, int host);
/* In a measured plan, of a VM that counts; *ret_guessed (may be NULL): it was never measured. */
int64_t plan_cpu_vm(const struct plan_world *w, int vm, bool *ret_guessed);
/* MEAN: by balance.load. PEAK: what it rarely exceeds, the 95th percentile of a day. SOON: in a minute, as it
 * rises or falls now, at most all of its vCPUs. Where these are not known they are the first. */
enum plan_cpu_figure { PLAN_CPU_MEAN, PLAN_CPU_PEAK, PLAN_CPU_SOON, PLAN_CPU_FIGURES };
int64_t plan_cpu_vm_by(const struct plan_world *w, int vm, enum plan_cpu_figure by);
/* Per host, once all moves have ended. Hosts that are not known: their VMs alone. Gives. */
int64_t *plan_cpu_end(const struct plan_world *w);
int64_t *plan_cpu_end_by(const struct plan_world *w, enum plan_cpu_figure by);
/* Share of the host's CPUs, ppm; -1: it does not count. */
int64_t plan_cpu_ppm(const struct plan_world *w, size_t host, const int64_t *mcpu);
void plan_cpu_measure(const struct plan_world *w, struct plan_standing *ret);
/* Does its place break a rule, or is its host fuller than it may be? Then any host may mend it. */
bool plan_cpu_must_mend(const struct plan_world *w, int vm);
