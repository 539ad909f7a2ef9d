/* Why a VM goes where it goes, and why it stays. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/world.h"

/* How far the way out is: 1 a word of the operator, 2 room, 3 a service or a setting on the host,
 * 4 the policy, 5 (and all that is absent) the hardware or the installation. */
static const int distance[R_COUNT_] = {
    [R_DST_BUSY] = 1,       [R_IN_FLIGHT] = 1,
    [R_AVOIDED] = 1,        [R_NOT_IN_TO] = 1,
    [R_MEMORY] = 2,         [R_VCPU] = 2,
    [R_HUGEPAGES] = 2,      [R_NUMA] = 2,
    [R_HOST_NOT_UP] = 1,    [R_HOST_UNREACHABLE] = 3,
    [R_LIBVIRT_DOWN] = 3,   [R_BRIDGE] = 3,
    [R_NETWORK] = 3,        [R_SECRET] = 3,
    [R_HOST_FILE] = 3,      [R_CLUSTER_DIFFERS] = 3,
    [R_NAME_TAKEN] = 3,     [R_ANTI_AFFINITY] = 4,
    [R_AFFINITY] = 4,       [R_HOST_REQUIRED] = 4,
    [R_HOST_FORBIDDEN] = 4, [R_MAX_VMS] = 4,
    [R_SPREAD] = 4,         [R_MAINTENANCE_ONLY] = 4,
    [R_SPARE] = 2,
};

struct ranked {
    struct reason why;
    int far;
};

static int by_distance(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->far != y->far)
        return x->far - y->far;
    if (x->why.code != y->why.code)
        return x->why.code - y->why.code;
    int64_t mx = x->why.need_n - x->why.have_n, my = y->why.need_n - y->why.have_n;
    if (mx != my)
        return mx < my ? -1 : 1;
    return strcmp(x->why.host ? x->why.host : "", y->why.host ? y->why.host : "");
}

/* VMs that could not be placed were asked about as if their group followed them; where only that was
 * missing, the group is the answer. */
static bool refused(struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    if (!plan_filter(w, q, PF_STATIC | PF_DYNAMIC, ret))
        return true;
    shape_done(&reason_shape, ret);
    for (size_t i = 0; i < w->n_planned; i++)
        w->f.leaving[w->planned[i]] = false;
    bool allowed = plan_filter(w, q, PF_STATIC | PF_DYNAMIC, ret);
    for (size_t i = 0; i < w->n_planned; i++)
        w->f.leaving[w->planned[i]] = true;
    return !allowed;
}

void plan_explain_stay(struct plan_world *w, int vm, bool cold, struct plan_stay *ret)
{
    cleanup(freep) struct ranked *list = NULL;
    size_t n = 0;
    for (size_t h = 0; h < w->s->n_hosts; h++) {
        if ((int)h == w->s->vms[vm].host && w->s->n_hosts > 1)
            continue; /* that it should leave is the question */
        struct ranked r;
        struct plan_ask q = {.vm = vm, .host = (int)h, .cold = cold};
        if (!refused(w, &q, &r.why)) {
            shape_done(&reason_shape, &r.why);
            continue;
        }
        /* a host that is too small even when it is empty: no room will ever be enough */
        bool too_small = r.why.code == R_MEMORY && r.why.need_n > plan_mem_capacity(w, (int)h);
        r.why.more = plan_many_noes(w, &q, PF_STATIC | PF_DYNAMIC);
        r.far = too_small || r.why.more || !distance[r.why.code] ? 5 : distance[r.why.code];
        *vec_add(&list, &n) = r;
    }
    if (n > 1)
        qsort(list, n, sizeof(*list), by_distance);
    for (size_t i = 0; i < n; i++)
        *vec_add(&ret->reasons, &ret->n_reasons) = list[i].why;
}

char *plan_why(const struct plan_world *w, const struct plan_wanted *x, int host,
               const struct plan_choice *c)
{
    char buf[FMT_BYTES];
    int64_t free_here = plan_mem_capacity(w, host) - w->load[host].mem_bytes;
    fmt_bytes(buf, free_here > 0 ? free_here : 0);
    if (x->wish == host)
        return xasprintf("where it was asked to go: %s free after the plan", buf);
    if (!plan_counts(w->s, x->vm))
        return xasprintf("definition only: one of %zu allowed host%s", c->n_hosts,
                         c->n_hosts == 1 ? "" : "s");
    if (c->n_hosts == 1)
        return xasprintf("the only allowed host: %s free after the plan", buf);
    return xasprintf("%s of %zu allowed hosts: %s free after the plan",
                     free_here >= c->most_free_bytes ? "most free memory" : "best balance",
                     c->n_hosts, buf);
}

/* The last is the narrowest: of this VM, not of any. */
static const struct plan_failed *failed_at(const struct plan_request *r, int vm, int host)
{
    const struct plan_failed *found = NULL;
    for (size_t i = 0; i < r->n_failed; i++)
        if (r->failed[i].host == host && (r->failed[i].vm < 0 || r->failed[i].vm == vm))
            found = &r->failed[i];
    return found;
}

void plan_why_failed(const struct plan_world *w, struct plan_move *m)
{
    const struct plan_failed *x = failed_at(w->r, m->vm, m->to);
    char *words = x ? xasprintf("%s; though moves there %s", m->why, x->how) : NULL;
    for (size_t i = 0; i < w->r->n_failed && !words; i++) {
        struct plan_ask q = {.vm = m->vm, .host = w->r->failed[i].host};
        x = failed_at(w->r, m->vm, q.host);
        if (x && plan_filter(w, &q, PF_STATIC | PF_DYNAMIC, NULL))
            words = xasprintf("%s; not %s, moves there %s", m->why, host_of(w, &q)->name, x->how);
    }
    if (!words)
        return;
    free(m->why);
    m->why = words;
}
