/* Memory that is bound to NUMA cells: does it fit in these very cells of the host? Cells that a host
 * does not report refuse nothing: its own check asks what is free when a VM comes. */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/world.h"

/* With so many cells every set of them is looked at; beyond, those that VMs are bound to. */
enum { ALL_SETS = 8 };
enum kind { MEM, HUGE, CPU, KINDS };

struct demand {
    uint64_t cells;
    int64_t need[KINDS];
    bool ours; /* of the VM in question */
};
struct look {
    const struct plan_world *w;
    const struct plan_ask *q;
    const struct host *h;
    uint64_t present;
    struct demand *list;
    size_t n;
};
/* Of cells together more is asked for than there is. */
struct lack {
    enum kind kind;
    uint64_t cells;
    int64_t need, have; /* of the VM; left by the others */
};

bool plan_bound_to_any(const struct numa_bind *b)
{
    return str_eq(b->cells, "any");
}

/* any: what "any" stands for. */
static void add_vm(struct look *k, int vm, uint64_t any)
{
    const struct vm *v = k->w->s->vms[vm].v;
    for (size_t i = 0; i < v->n_binds && plan_counts(k->w->s, vm); i++) {
        const struct numa_bind *b = &v->binds[i];
        uint64_t cells = plan_bound_to_any(b) ? any : numa_cells(b->cells);
        bool whole = v->n_binds == 1 && !(cells & (cells - 1));
        *vec_add(&k->list, &k->n) = (struct demand){
            .cells = cells,
            .need = {b->mem_bytes, b->hugepage_bytes, whole && v->vcpus > 0 ? v->vcpus : 0},
            .ours = vm == k->q->vm};
    }
}

static void gather(struct look *k, uint64_t any)
{
    const struct plan_world *w = k->w;
    int host = k->q->host;
    k->n = 0;
    for (size_t i = w->by_host_start[host]; i < w->by_host_start[host + 1]; i++)
        if (w->by_host[i] != k->q->vm)
            add_vm(k, w->by_host[i], 0);
    for (size_t i = 0; i < w->n_planned; i++)
        if (w->f.to[w->planned[i]] == host && w->planned[i] != k->q->vm)
            add_vm(k, w->planned[i], 0);
    add_vm(k, k->q->vm, any);
}

static int64_t capacity(const struct look *k, uint64_t cells, enum kind kind)
{
    int64_t sum = 0;
    for (size_t i = 0; i < k->h->n_cells; i++) {
        const struct host_cell *c = &k->h->cells[i];
        if (c->id > 63 || !(cells >> c->id & 1))
            continue;
        sum += kind == MEM    ? c->mem_bytes
               : kind == HUGE ? c->hugepage_bytes
               : c->cpus > 0
                   ? (int64_t)((__int128)c->cpus * k->w->p->capacity.vcpu_overcommit_ppm / 1000000)
                   : INT32_MAX;
    }
    return sum;
}

/* What must be in these cells and in no others is more than they have. */
static void look_at(const struct look *k, uint64_t cells, enum kind kind, struct lack *worst)
{
    int64_t ours = 0, others = 0, cap = capacity(k, cells, kind);
    for (size_t i = 0; i < k->n; i++)
        if (k->list[i].cells && !(k->list[i].cells & ~cells))
            *(k->list[i].ours ? &ours : &others) += k->list[i].need[kind];
    int fewer = __builtin_popcountll(cells) - __builtin_popcountll(worst->cells);
    if (ours && ours + others > cap && (!worst->cells || fewer < 0))
        *worst = (struct lack){kind, cells, ours, cap > others ? cap - others : 0};
}

static struct lack find_lack(const struct look *k, bool cpus)
{
    struct lack worst = {.cells = 0};
    for (int kind = 0; kind < (cpus ? KINDS : CPU) && !worst.cells; kind++) {
        uint64_t all = 0;
        if (k->h->n_cells <= ALL_SETS)
            for (uint64_t s = k->present; s; s = (s - 1) & k->present)
                look_at(k, s, (enum kind)kind, &worst);
        for (size_t i = 0; i < k->n; i++) {
            look_at(k, k->list[i].cells, (enum kind)kind, &worst);
            all |= k->list[i].cells;
        }
        look_at(k, all, (enum kind)kind, &worst);
    }
    return worst;
}

/* "cell 0", "cells 0, 2". Gives. */
static char *cells_text(uint64_t cells)
{
    char *text = NULL;
    for (int c = 0; c < 64; c++) {
        if (!(cells >> c & 1))
            continue;
        char *more = text ? xasprintf("%s, %d", text, c)
                          : xasprintf("cell%s %d", cells & (cells - 1) ? "s" : "", c);
        free(text);
        text = more;
    }
    return text ? text : xstrdup("no cell");
}

static char *amount(enum kind kind, int64_t n)
{
    char buf[FMT_BYTES];
    return kind == CPU ? xasprintf("%lld vCPUs", (long long)n) : xstrdup(fmt_bytes(buf, n));
}

static void say(const struct look *k, const struct lack *x, struct reason *ret)
{
    static const enum reason_code codes[] = {R_NUMA, R_HUGEPAGES, R_VCPU};
    cleanup(freep) char *cells = cells_text(x->cells);
    cleanup(freep) char *need = amount(x->kind, x->need), *have = amount(x->kind, x->have);
    cleanup(freep) char *missing = amount(x->kind, x->need - x->have);
    ret->code = codes[x->kind];
    ret->need = xasprintf("%s in %s", need, cells);
    ret->have = xasprintf("%s free", have);
    ret->need_n = x->need;
    ret->have_n = x->have;
    ret->cure = xasprintf("free %s in %s of %s, or bind the VM elsewhere (numatune)", missing,
                          cells, k->h->name);
}

static void say_absent(const struct look *k, uint64_t cells, struct reason *ret)
{
    ret->code = R_NUMA;
    ret->need = cells_text(cells);
    ret->have = cells_text(k->present);
    ret->cure = xstrdup("bind the VM to other cells: virsh edit, numatune");
}

/* any: the cell that "any" stands for; 0: nothing does. */
static bool fits(struct look *k, uint64_t any, struct reason *ret)
{
    uint64_t ours = 0;
    gather(k, any);
    for (size_t i = 0; i < k->n; i++)
        ours |= k->list[i].ours ? k->list[i].cells : 0;
    if (ours & ~k->present) {
        if (ret)
            say_absent(k, ours, ret);
        return false;
    }
    struct lack x = find_lack(k, any);
    if (x.cells && ret)
        say(k, &x, ret);
    return !x.cells;
}

static bool fits_any(struct look *k, struct reason *ret)
{
    uint64_t best = 0;
    struct lack least = {.kind = MEM, .have = -1};
    for (uint64_t left = k->present; left; left &= left - 1) {
        uint64_t cell = left & -left;
        if (fits(k, cell, NULL))
            return true;
        struct lack x = find_lack(k, true);
        if (x.kind > least.kind || (x.kind == least.kind && x.have > least.have)) {
            least = x;
            best = cell;
        }
    }
    return fits(k, best, ret); /* no, and says what the cell lacks that has most */
}

bool plan_numa(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    const struct vm *v = vm_of(w, q);
    struct look k = {.w = w, .q = q, .h = host_of(w, q)};
    bool any = false, ok = true, known = k.h->n_cells > 0;
    for (size_t i = 0; i < k.h->n_cells; i++) {
        known = known && k.h->cells[i].mem_bytes >= 0;
        k.present |= k.h->cells[i].id < 64 ? UINT64_C(1) << k.h->cells[i].id : 0;
    }
    for (size_t i = 0; i < v->n_binds; i++)
        any = any || plan_bound_to_any(&v->binds[i]);
    if (v->n_binds && known && plan_counts(w->s, q->vm))
        ok = any ? fits_any(&k, ret) : fits(&k, 0, ret);
    free(k.list);
    return ok;
}
