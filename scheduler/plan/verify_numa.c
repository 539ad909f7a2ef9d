/* Memory bound to NUMA cells, counted anew. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/verify.h"

/* Is the cell in libvirt's node set, "0-3,^2,5"? The last word about it holds. */
static bool names_cell(const char *set, int64_t cell)
{
    bool in = false;
    while (*set) {
        bool out = *set == '^';
        char *end;
        long lo = strtol(set + out, &end, 10), hi = *end == '-' ? strtol(end + 1, &end, 10) : lo;
        if (cell >= lo && cell <= hi)
            in = !out;
        set = *end == ',' ? end + 1 : "";
    }
    return in;
}

/* Cells as positions in the host's list. */
static uint64_t set_of(const struct host *h, const char *set, int any)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < h->n_cells && i < 64; i++)
        if (strcmp(set, "any") ? names_cell(set, h->cells[i].id) : (int)i == any)
            bits |= UINT64_C(1) << i;
    return bits;
}

/* Bytes that must be in the set and nowhere else. any: the cell that the moved VM's "any" means. */
static void must_be_in(const struct replay *v, const struct plan_move *m, uint64_t set, int any,
                       int64_t ret[2])
{
    const struct host *h = v->s->hosts[m->to].h;
    struct presence *mem = NULL, *huge = NULL;
    size_t n_mem = 0, n_huge = 0;
    for (size_t k = 0; k < v->at[m->to].n; k++) {
        const struct spell *sp = &v->spells[v->at[m->to].list[k]];
        const struct vm *x = replay_vm(v, sp->vm);
        bool asleep = x->state == VM_SHUTOFF && !v->s->vms[sp->vm].will_start;
        for (size_t i = 0; !asleep && i < x->n_binds; i++) {
            const struct numa_bind *b = &x->binds[i];
            uint64_t own = set_of(h, b->cells, sp->vm == m->vm ? any : -1);
            if (!own || (own & ~set))
                continue;
            *vec_add(&mem, &n_mem) = (struct presence){b->mem_bytes, sp->from, sp->till};
            *vec_add(&huge, &n_huge) = (struct presence){b->hugepage_bytes, sp->from, sp->till};
        }
    }
    ret[0] = replay_most(v, mem, n_mem, (int)(m - v->plan->moves));
    ret[1] = replay_most(v, huge, n_huge, (int)(m - v->plan->moves));
    free(mem);
    free(huge);
}

static bool set_ok(const struct replay *v, const struct plan_move *m, uint64_t set, int any,
                   enum reason_code *ret_code)
{
    const struct host *h = v->s->hosts[m->to].h;
    int64_t need[2], mem = 0, huge = 0;
    must_be_in(v, m, set, any, need);
    for (size_t i = 0; i < h->n_cells && i < 64; i++)
        if (set >> i & 1) {
            mem += h->cells[i].mem_bytes;
            huge += h->cells[i].hugepage_bytes;
        }
    *ret_code = need[0] > mem ? R_NUMA : R_HUGEPAGES;
    return need[0] <= mem && need[1] <= huge;
}

/* Every set that has all cells of one of the VM's bindings; of many cells that binding alone. */
static bool binding_ok(const struct replay *v, const struct plan_move *m, const char *cells,
                       int any, enum reason_code *ret_code)
{
    const struct host *h = v->s->hosts[m->to].h;
    uint64_t own = set_of(h, cells, any);
    if (h->n_cells > 8)
        return set_ok(v, m, own, any, ret_code);
    for (uint64_t set = 0; set < UINT64_C(1) << h->n_cells; set++)
        if (!(own & ~set) && !set_ok(v, m, set, any, ret_code))
            return false;
    return true;
}

static bool cells_exist(const struct host *h, const char *cells)
{
    for (int64_t c = 0; c < 64 && strcmp(cells, "any"); c++) {
        bool found = !names_cell(cells, c);
        for (size_t i = 0; i < h->n_cells; i++)
            found |= h->cells[i].id == c;
        if (!found)
            return false;
    }
    return true;
}

static bool all_ok(const struct replay *v, const struct plan_move *m, int any,
                   enum reason_code *ret_code)
{
    const struct vm *vm = replay_vm(v, m->vm);
    for (size_t i = 0; i < vm->n_binds; i++) {
        *ret_code = R_NUMA;
        if (!cells_exist(v->s->hosts[m->to].h, vm->binds[i].cells) ||
            !binding_ok(v, m, vm->binds[i].cells, any, ret_code))
            return false;
    }
    return true;
}

bool replay_numa(struct replay *v, const struct plan_move *m)
{
    const struct host *h = v->s->hosts[m->to].h;
    const struct vm *vm = replay_vm(v, m->vm);
    enum reason_code code = R_NUMA;
    int cells = 1;
    for (size_t i = 0; i < h->n_cells; i++)
        if (h->cells[i].mem_bytes < 0)
            return true; /* not known, as without any cell */
    for (size_t i = 0; i < vm->n_binds; i++)
        if (!strcmp(vm->binds[i].cells, "any"))
            cells = (int)h->n_cells;
    for (int any = 0; any < cells && h->n_cells; any++)
        if (all_ok(v, m, any, &code))
            return true;
    return !h->n_cells || replay_bad(v, code, m->to, replay_name(v, m->vm),
                                     xstrdup("too little in the cells it is bound to"));
}
