/* One other VM that goes elsewhere first, so that the place it leaves is free. */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "scheduler/plan/wayfind.h"

enum { PER_HOST = 2 };

struct mover {
    int vm, host;
    int64_t bytes;
};

int way_host(const struct finder *f, const char *name)
{
    size_t lo = 0, hi = f->s->n_hosts;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(f->s->hosts[f->by_name[mid]].h->name, name);
        if (!c)
            return f->by_name[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

/* Of one of the rules of the VM that stays? */
static bool shares_rule(const struct plan_world *w, int a, int b)
{
    for (size_t i = w->rules_start[a]; i < w->rules_start[a + 1]; i++)
        for (size_t k = w->rules_start[b]; k < w->rules_start[b + 1]; k++)
            if (w->rules[i] == w->rules[k])
                return true;
    return false;
}

/* Would this one's leaving do, as far as numbers tell? */
static bool enough(const struct finder *f, const struct reason *why, int vm, int host)
{
    struct plan_load need = plan_need(f->s->vms[f->vm].v), x = plan_need(f->s->vms[vm].v);
    struct plan_load there = f->w.load[host];
    int64_t cpus = plan_vcpu_capacity(&f->w, host);
    switch (why->code) {
    case R_MEMORY:
    case R_VCPU:
    case R_HUGEPAGES:
        return there.mem_bytes - x.mem_bytes + need.mem_bytes <= plan_mem_capacity(&f->w, host) &&
               (cpus < 0 || there.vcpus - x.vcpus + need.vcpus <= cpus) &&
               (!need.huge_bytes || there.huge_bytes - x.huge_bytes + need.huge_bytes <=
                                        f->s->hosts[host].h->hugepage_total_bytes);
    default:
        return shares_rule(&f->w, f->vm, vm);
    }
}

static bool may_help(const struct reason *why)
{
    switch (why->code) {
    case R_MEMORY: /* of memory and CPUs, both may be short */
    case R_VCPU:
        return true;
    case R_HUGEPAGES:
    case R_ANTI_AFFINITY:
    case R_MAX_VMS:
    case R_SPREAD:
        return !why->more;
    default:
        return false;
    }
}

static bool may_move(const struct finder *f, int vm)
{
    struct reason *list = NULL;
    size_t n = 0;
    plan_vm_reasons(&f->w, vm, false, &list, &n);
    for (size_t i = 0; i < n; i++)
        shape_done(&reason_shape, &list[i]);
    free(list);
    return !n;
}

static int smaller_first(const void *a, const void *b)
{
    const struct mover *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return x->vm - y->vm;
}

static void add_movers(const struct finder *f, const struct reason *why, struct mover **list,
                       size_t *n)
{
    struct mover *here = NULL;
    size_t n_here = 0;
    int host = way_host(f, why->host);
    for (size_t i = host < 0 ? 0 : f->w.by_host_start[host];
         host >= 0 && i < f->w.by_host_start[host + 1]; i++) {
        int vm = f->w.by_host[i];
        if (f->w.f.at[vm] != host || f->w.f.to[vm] >= 0 || f->asked[vm] || !plan_counts(f->s, vm) ||
            !enough(f, why, vm, host))
            continue;
        *vec_add(&here, &n_here) =
            (struct mover){.vm = vm, .host = host, .bytes = plan_need(f->s->vms[vm].v).mem_bytes};
    }
    if (n_here > 1)
        qsort(here, n_here, sizeof(*here), smaller_first);
    for (size_t i = 0; i < n_here && i < PER_HOST; i++)
        *vec_add(list, n) = here[i];
    free(here);
}

/* Where it would be with most left beside what is planned, and may go now, before that; not where VMs are
 * to leave. */
static int target_of(struct finder *f, const struct mover *m)
{
    int64_t most = -1;
    int best = -1;
    if (!way_affordable(f, (int64_t)f->s->n_hosts))
        return -1;
    for (int h = 0; h < (int)f->s->n_hosts; h++) {
        struct plan_ask q = {.vm = m->vm, .host = h};
        int64_t left = plan_mem_capacity(&f->w, h) - f->w.load[h].mem_bytes;
        if (left <= most || h == f->s->vms[f->vm].host ||
            !plan_filter(&f->w, &q, PF_STATIC | PF_DYNAMIC, NULL) ||
            !plan_filter(&f->now, &q, PF_STATIC | PF_DYNAMIC, NULL))
            continue;
        most = left;
        best = h;
    }
    return best;
}

void way_find_moves(struct finder *f, const struct plan_stay *st)
{
    struct mover *list = NULL;
    size_t n = 0, hosts = 0;
    for (size_t i = 0; i < st->n_reasons && hosts < LIM_WAYS_HOSTS; i++) {
        if (!st->reasons[i].host || !may_help(&st->reasons[i]))
            continue;
        add_movers(f, &st->reasons[i], &list, &n);
        hosts++;
    }
    if (n > 1)
        qsort(list, n, sizeof(*list), smaller_first);
    for (size_t i = 0, tried = 0; i < n && tried < LIM_WAYS_HOSTS; i++) {
        struct change c = {.kind = CHANGE_MOVED,
                           .of = f->vm,
                           .host = list[i].host,
                           .vm = list[i].vm,
                           .rule = -1,
                           .bytes = list[i].bytes};
        if (!may_move(f, list[i].vm) || (c.to = target_of(f, &list[i])) < 0)
            continue;
        tried++;
        if (way_try(f, &c, 1, NULL))
            break; /* the smallest that helps */
    }
    free(list);
}
