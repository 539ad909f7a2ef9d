/* What hosts carry, where the problem of translate.c counts otherwise than the world. */
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/translate.h"

struct plan_load *plan_leaving(const struct plan_world *w)
{
    struct plan_load *l = xcalloc(w->s->n_hosts, sizeof(*l));
    for (size_t i = 0; i < w->s->n_vms; i++) {
        if (w->f.to[i] < 0 || w->f.at[i] < 0 || !plan_counts(w->s, (int)i))
            continue;
        struct plan_load need = plan_need(w->s->vms[i].v), *at = &l[w->f.at[i]];
        at->mem_bytes += need.mem_bytes;
        at->vcpus += need.vcpus;
        at->huge_bytes += need.huge_bytes;
    }
    return l;
}

void plan_slack(const struct plan_world *w, const struct plan_wanted *list, size_t n, int64_t *base,
                size_t stride)
{
    cleanup(freep) int64_t *bytes = xcalloc(w->s->n_hosts, sizeof(*bytes));
    for (size_t i = 0; i < n; i++) {
        int at = w->f.at[list[i].vm];
        int64_t need = vm_need_bytes(w->s->vms[list[i].vm].v);
        if (at >= 0)
            bytes[at] += plan_pages_up(need) * PLAN_PAGE - need;
    }
    for (size_t h = 0; h < w->s->n_hosts; h++)
        base[h * stride + RES_MEM] += plan_pages_up(bytes[h]);
}
