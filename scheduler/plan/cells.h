/* scheduler/plan/cells.h: NUMA cells as resources of the problem.   PURE.   Inside the planner only.
 * Purpose  A resource for each cell that memory of the list is bound to alone, of all hosts alike. Memory
 *          that may be in several cells, and huge pages, are left to numa.c, which has the last word.
 * Units    pages of PLAN_PAGE. The resources lie behind the others: res, cap, base point to the first.
 * Owner    borrows all.   Thread any. */
#pragma once

#include "scheduler/plan/translate.h"

struct plan_cells {
    int n;
    int any; /* what "any" stands for, -1: nothing */
};
/* Of the VMs of the list; sets n. */
void plan_cells_count(struct plan_cells *c, const struct plan_world *w,
                      const struct plan_wanted *list, size_t n);
/* Adds what the VM takes. */
void plan_cells_need(const struct plan_cells *c, const struct vm *v, int64_t *res);
/* No bound where a host does not report its cells; a cell that it has not got has no room. */
void plan_cells_capacity(const struct plan_cells *c, const struct host *h, int64_t *cap);
/* Adds what all VMs take of all hosts. stride: resources of a host. */
void plan_cells_base(const struct plan_cells *c, const struct plan_world *w, int64_t *base,
                     size_t stride);
