#include "scheduler/plan/cells.h"

/* The problem has 32 resources; hosts with more cells are rare. */
enum { CELLS_MOST = 16 };

/* The one cell that the binding is to, or -1. */
static int only_cell(const struct plan_cells *c, const struct numa_bind *b)
{
    if (plan_bound_to_any(b))
        return c->any;
    uint64_t cells = numa_cells(b->cells);
    int at = cells ? __builtin_ctzll(cells) : -1;
    return at >= 0 && at < CELLS_MOST && cells == UINT64_C(1) << at ? at : -1;
}

void plan_cells_count(struct plan_cells *c, const struct plan_world *w,
                      const struct plan_wanted *list, size_t n)
{
    c->n = 0;
    for (size_t i = 0; i < n; i++) {
        const struct vm *v = w->s->vms[list[i].vm].v;
        for (size_t b = 0; b < v->n_binds; b++) {
            int cell = only_cell(c, &v->binds[b]);
            c->n = cell >= c->n ? cell + 1 : c->n;
        }
    }
}

void plan_cells_need(const struct plan_cells *c, const struct vm *v, int64_t *res)
{
    for (size_t b = 0; b < v->n_binds; b++) {
        int cell = only_cell(c, &v->binds[b]);
        if (cell >= 0 && cell < c->n)
            res[cell] += plan_pages_up(v->binds[b].mem_bytes);
    }
}

void plan_cells_capacity(const struct plan_cells *c, const struct host *h, int64_t *cap)
{
    for (int i = 0; i < c->n; i++)
        cap[i] = h->n_cells ? 0 : INT64_MAX / 4;
    for (size_t i = 0; i < h->n_cells; i++) {
        const struct host_cell *x = &h->cells[i];
        if (x->id < c->n)
            cap[x->id] = x->mem_bytes >= 0 ? x->mem_bytes / PLAN_PAGE : INT64_MAX / 4;
    }
}

void plan_cells_base(const struct plan_cells *c, const struct plan_world *w, int64_t *base,
                     size_t stride)
{
    for (size_t i = 0; c->n && i < w->s->n_vms; i++) {
        int ends[2] = {w->f.at[i], w->f.to[i]};
        for (int e = 0; e < 2; e++)
            if (ends[e] >= 0 && plan_counts(w->s, (int)i))
                plan_cells_need(c, w->s->vms[i].v, &base[(size_t)ends[e] * stride]);
    }
}
