/* Is there room: memory, huge pages and CPUs of a host, and of the fleet when hosts are lost. */
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/world.h"

/* What the host would have again once the moves that leave it are settled. */
static int64_t leaving_bytes(const struct plan_world *w, int host)
{
    int64_t sum = 0;
    for (size_t i = w->by_host_start[host]; i < w->by_host_start[host + 1]; i++) {
        const struct snap_vm *v = &w->s->vms[w->by_host[i]];
        if (v->host == host && v->moving_to >= 0 && v->moving_to != host &&
            plan_counts(w->s, w->by_host[i]))
            sum += plan_need(v->v).mem_bytes;
    }
    return sum;
}

static void say_memory(const struct plan_world *w, const struct plan_ask *q, int64_t need,
                       int64_t cap, struct reason *ret)
{
    char a[FMT_BYTES], b[FMT_BYTES];
    const char *name = host_of(w, q)->name;
    int64_t have = cap - w->load[q->host].mem_bytes;
    bool busy = cap >= 0 && have < need && have + leaving_bytes(w, q->host) >= need;
    ret->code = busy ? R_DST_BUSY : R_MEMORY;
    ret->need = xstrdup(fmt_bytes(a, need));
    ret->need_n = need;
    if (cap < 0) {
        ret->have = xstrdup("an amount that is not known");
        ret->cure = xasprintf("look at the agent on %s: drover check %s", name, name);
        return;
    }
    have = have > 0 ? have : 0;
    ret->have_n = have;
    ret->have = xasprintf("%s free", fmt_bytes(a, have));
    if (busy)
        ret->cure = xasprintf("wait for the moves that leave %s", name);
    else if (need > cap)
        ret->cure =
            xasprintf("%s holds at most %s of VMs: add a larger host", name, fmt_bytes(b, cap));
    else
        ret->cure = xasprintf("free %s on %s", fmt_bytes(b, need - have), name);
}

bool plan_memory(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    if (!plan_counts(w->s, q->vm))
        return true;
    int64_t need = plan_need(vm_of(w, q)).mem_bytes, cap = plan_mem_capacity(w, q->host);
    if (cap >= 0 && w->load[q->host].mem_bytes + need <= cap)
        return true;
    if (ret)
        say_memory(w, q, need, cap, ret);
    return false;
}

bool plan_hugepages(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    const struct vm *v = vm_of(w, q);
    const struct host *h = host_of(w, q);
    if (!v->hugepage_bytes || !plan_counts(w->s, q->vm))
        return true;
    bool same_size = !v->hugepage_size_bytes || v->hugepage_size_bytes == h->hugepage_size_bytes;
    int64_t have = same_size ? h->hugepage_total_bytes - w->load[q->host].huge_bytes : 0;
    if (have >= v->hugepage_bytes)
        return true;
    if (ret) {
        char a[FMT_BYTES], b[FMT_BYTES];
        have = have > 0 ? have : 0;
        ret->code = R_HUGEPAGES;
        ret->need_n = v->hugepage_bytes;
        ret->have_n = have;
        ret->need = xasprintf("%s in pages of %s", fmt_bytes(a, v->hugepage_bytes),
                              fmt_bytes(b, v->hugepage_size_bytes));
        ret->have = xasprintf("%s free", fmt_bytes(a, have));
        ret->cure = xasprintf("add %s of huge pages on %s (vm.nr_hugepages)",
                              fmt_bytes(a, v->hugepage_bytes - have), h->name);
    }
    return false;
}

bool plan_vcpus(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    int64_t cap = plan_vcpu_capacity(w, q->host), need = vm_of(w, q)->vcpus;
    if (cap < 0 || !plan_counts(w->s, q->vm) || w->load[q->host].vcpus + need <= cap)
        return true;
    if (ret) {
        int64_t have = cap - w->load[q->host].vcpus;
        have = have > 0 ? have : 0;
        ret->code = R_VCPU;
        ret->need_n = need;
        ret->have_n = have;
        ret->need = xasprintf("%lld vCPUs", (long long)need);
        ret->have = xasprintf("%lld of %lld free", (long long)have, (long long)cap);
        ret->cure = xasprintf("free %lld vCPUs on %s, or raise capacity.vcpu.overcommit",
                              (long long)(need - have), host_of(w, q)->name);
    }
    return false;
}

/* ---- room in the fleet ------------------------------------------------------------------------ */

struct loss {
    int64_t need; /* of the VMs of the hosts whose loss is worst */
    int64_t free; /* on the others, of those that are up */
};

static int64_t shortage(struct loss l)
{
    return l.need > l.free ? l.need - l.free : 0;
}

/* What VMs take on a host once all moves have ended, the one in question included, and what is left. */
static void host_room(const struct plan_world *w, const struct plan_ask *q, size_t host,
                      int64_t *ret_used, int64_t *ret_free)
{
    int64_t cap = plan_mem_capacity(w, (int)host), used = w->end_bytes[host];
    bool off = w->off && w->off[host];
    int64_t need = q->host >= 0 ? plan_need(vm_of(w, q)).mem_bytes : 0;
    if (q->host >= 0)
        used += need * (q->host == (int)host) - need * (plan_end(w, q->vm) == (int)host);
    *ret_used = used;
    *ret_free = w->s->hosts[host].state == HOST_UP && !off && cap > used ? cap - used : 0;
}

/* Losing a host costs what runs on it and its own room. Only hosts that are up have room for others;
 * one that is lost already was one of the spare ones. */
static struct loss worst_loss(const struct plan_world *w, const struct plan_ask *q)
{
    int64_t used, free_bytes, n = w->p->capacity.spare_hosts;
    struct loss sum = {0};
    cleanup(freep) bool *gone = xcalloc(w->s->n_hosts, sizeof(*gone));
    for (size_t h = 0; h < w->s->n_hosts; h++) {
        host_room(w, q, h, &used, &free_bytes);
        sum.free += free_bytes;
        gone[h] = w->s->hosts[h].state == HOST_LOST;
        n -= gone[h];
        gone[h] |= w->off && w->off[h];
    }
    for (; n > 0; n--) {
        struct loss worst = {0};
        size_t at = w->s->n_hosts;
        for (size_t h = 0; h < w->s->n_hosts; h++) {
            host_room(w, q, h, &used, &free_bytes);
            if (gone[h] || (at < w->s->n_hosts && used + free_bytes <= worst.need + worst.free))
                continue;
            worst = (struct loss){.need = used, .free = free_bytes};
            at = h;
        }
        if (at == w->s->n_hosts)
            break;
        gone[at] = true;
        sum.need += worst.need;
        sum.free -= worst.free;
    }
    return sum;
}

static int64_t shortage_at_rest(const struct plan_world *w)
{
    return shortage(worst_loss(w, &(struct plan_ask){.vm = -1, .host = -1}));
}

bool plan_spare_enough(const struct plan_world *w)
{
    if (!w->p->capacity.spare_hosts)
        return true;
    struct plan_world all = *w;
    struct loss end = worst_loss(w, &(struct plan_ask){.vm = -1, .host = -1});
    for (size_t h = 0; h < w->s->n_hosts; h++) /* what is there goes to the others */
        end.free -= w->off[h] ? w->end_bytes[h] : 0;
    all.off = NULL;
    return shortage(end) <= shortage_at_rest(&all);
}

bool plan_spare_hosts(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    int64_t n = w->p->capacity.spare_hosts;
    const struct snap_vm *v = &w->s->vms[q->vm];
    bool lost = v->nowhere && v->host >= 0; /* spare hosts are there for these */
    if (!n || lost || !plan_counts(w->s, q->vm))
        return true;
    struct loss after = worst_loss(w, q);
    if (!shortage(after) || shortage(after) <= shortage_at_rest(w))
        return true;
    if (ret) {
        char a[FMT_BYTES];
        ret->code = R_SPARE;
        ret->need = xasprintf("%s free elsewhere if %lld host%s lost", fmt_bytes(a, after.need),
                              (long long)n, n == 1 ? " is" : "s are");
        ret->have = xstrdup(fmt_bytes(a, after.free));
        ret->need_n = after.need;
        ret->have_n = after.free;
        ret->cure = xasprintf("add a host, or set capacity.spare_hosts to %lld", (long long)n - 1);
    }
    return false;
}
