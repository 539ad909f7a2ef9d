/* What agents measure: into series, out of them, and some of it into the store. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "scheduler/core/internal.h"

/* docs/timelines.md */
enum { MISSED_REPORTS = 3 };            /* then figures are old */
#define LONGEST_READING_US (120 * SEC)  /* an agent that was stopped for hours knows less of them */
#define KEEP_EVERY_US      (1800 * SEC) /* each series is stored so often */

static const struct vm_rates NO_RATES = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};

void load_slot_init(const struct core *c, struct vm_slot *s)
{
    s->rates = NO_RATES;
    series_init(&s->cpu);
    series_learn(&s->cpu, c->policy.balance.forecast_ppm > 0);
}

static struct series_time at(const struct core *c, int64_t wall_us)
{
    return (struct series_time){c->now_us, wall_us};
}

/* ---- in ------------------------------------------------------------------------------------------- */

static int64_t bounded(int64_t us)
{
    return us < 0 ? 0 : us < LONGEST_READING_US ? us : LONGEST_READING_US;
}

static uint32_t small(int64_t Bps)
{
    return Bps < 0 ? UINT32_MAX : Bps < UINT32_MAX ? (uint32_t)Bps : UINT32_MAX - 1;
}

static struct vm_slot *here(const struct core *c, const struct host_slot *h, const char *uuid)
{
    struct vm_slot *first = lookup_get(&c->vms, uuid), *v = first;
    while (v && v->host != h)
        v = v->twin == first ? NULL : v->twin;
    return v;
}

/* A guest that arrives is measured where it still runs. */
static bool measurable(const struct vm_slot *v)
{
    return v->vm.state == VM_RUNNING && v->vm.job != VM_JOB_MIGRATING_IN;
}

static void take_vm(struct core *c, struct vm_slot *v, const struct vm_load *l, int64_t period_us)
{
    if (l->rss_bytes >= 0)
        v->vm.rss_bytes = l->rss_bytes;
    v->rates = (struct vm_rates){small(l->read_Bps), small(l->write_Bps), small(l->rx_Bps),
                                 small(l->tx_Bps)};
    series_add(&v->cpu, at(c, c->wall_us), l->cpu_mcpu, period_us);
}

void load_report(struct core *c, struct host_slot *h, const struct load_report *r)
{
    int64_t period_us = bounded(r->period_us);
    shape_done(&host_load_shape, &h->load);
    shape_copy(&host_load_shape, &h->load, &r->host);
    h->load_at_us = c->now_us;
    h->load_until_us = c->now_us + MISSED_REPORTS * bounded(r->next_us);
    if (r->host.mem_free_bytes >= 0)
        h->rec.last.mem_free_bytes = r->host.mem_free_bytes;
    for (size_t i = 0; i < r->n_vms; i++) {
        struct vm_slot *v = here(c, h, r->vms[i].uuid);
        if (v && measurable(v))
            take_vm(c, v, &r->vms[i], period_us);
    }
    for (size_t i = 0; i < h->n_vms; i++) {
        struct vm_slot *v = h->vms[i];
        if (!measurable(v))
            series_lost(&v->cpu);
        else if (v->cpu.at_us != c->now_us) /* not listed: as before */
            series_add(&v->cpu, at(c, c->wall_us), series_now(&v->cpu), period_us);
    }
    int64_t busy = r->host.cpu_mcpu, other = -1;
    if (busy >= 0 && r->host.guests_mcpu >= 0)
        other = busy > r->host.guests_mcpu ? busy - r->host.guests_mcpu : 0;
    series_add(&h->busy, at(c, c->wall_us), busy, period_us);
    series_add(&h->other, at(c, c->wall_us), other, period_us);
}

void load_host_down(struct host_slot *h)
{
    h->load_at_us = h->load_until_us = 0;
    series_lost(&h->busy);
    series_lost(&h->other);
    for (size_t i = 0; i < h->n_vms; i++) {
        h->vms[i]->rates = NO_RATES;
        series_lost(&h->vms[i]->cpu);
    }
}

static void keep(struct core *c, const struct host_slot *h, const struct vm_slot *v)
{
    if (!series_known(v ? &v->cpu : &h->busy))
        return;
    struct core_fx *f = fx_add(c, FX_SAVE_LOAD);
    f->host = xstrdup(h->rec.name);
    f->vm = xstrdup(v ? v->vm.uuid : NULL);
}

void load_follow(struct core *c, struct vm_slot *to, struct vm_slot *from)
{
    if (from->cpu.at_us < to->cpu.at_us || series_known(&to->cpu))
        return;
    series_move(&to->cpu, &from->cpu);
    series_lost(&to->cpu); /* it has another QEMU now */
    keep(c, to->host, to); /* with the old place its row goes */
}

void load_learn(struct core *c)
{
    bool learn = c->policy.balance.forecast_ppm > 0;
    for (size_t i = 0; i < c->n_hosts; i++) {
        struct host_slot *h = c->hosts[i];
        series_learn(&h->other, learn);
        for (size_t k = 0; k < h->n_vms; k++)
            series_learn(&h->vms[k]->cpu, learn);
    }
}

/* ---- out ------------------------------------------------------------------------------------------ */

bool load_fresh(const struct core *c, const struct host_slot *h)
{
    return h->connected && h->reported && h->load_at_us && c->now_us <= h->load_until_us;
}

static struct cpu_figures figures(const struct core *c, const struct host_slot *h,
                                  const struct series *s, int64_t wall_us)
{
    struct cpu_figures f = series_figures(s, at(c, wall_us));
    if (!load_fresh(c, h))
        f.now_mcpu = f.m5_mcpu = f.soon_mcpu = -1;
    return f;
}

struct cpu_figures load_of_vm(const struct core *c, const struct vm_slot *s, int64_t wall_us)
{
    return figures(c, s->host, &s->cpu, wall_us);
}

struct cpu_figures load_of_host(const struct core *c, const struct host_slot *h,
                                const struct series *which, int64_t wall_us)
{
    return figures(c, h, which, wall_us);
}

int64_t load_soon_ppm(const struct core *c, const struct host_slot *h)
{
    int64_t cpus = h->rec.last.cpus, sum = load_of_host(c, h, &h->other, c->wall_us).soon_mcpu;
    if (cpus <= 0 || !load_fresh(c, h))
        return -1;
    sum = sum > 0 ? sum : 0;
    for (size_t i = 0; i < h->n_vms; i++) {
        const struct vm *v = &h->vms[i]->vm;
        int64_t soon = load_of_vm(c, h->vms[i], c->wall_us).soon_mcpu, most = v->vcpus * 1000;
        sum += soon < 0 ? 0 : most > 0 && soon > most ? most : soon;
    }
    return sum * 1000 / cpus;
}

void snapshot_figures(const struct core *c, struct snapshot_store *s)
{
    struct cpu_figures *f = xcalloc(2 * s->s.n_hosts + s->s.n_vms, sizeof(*f));
    free(s->figures);
    s->figures = f;
    for (size_t i = 0; i < s->s.n_hosts; i++) {
        const struct host_slot *h = c->hosts[i];
        *f = load_of_host(c, h, &h->busy, c->wall_us);
        s->hosts[i].cpu = f++;
        *f = load_of_host(c, h, &h->other, c->wall_us);
        s->hosts[i].other = f++;
        s->hosts[i].load = load_fresh(c, h) ? &h->load : NULL;
    }
    static_assert(offsetof(struct vm_slot, vm) == 0, "a VM of a snapshot is the start of its slot");
    for (size_t i = 0; i < s->s.n_vms; i++) {
        if (s->vms[i].nowhere)
            continue;
        *f = load_of_vm(c, (const struct vm_slot *)(const void *)s->vms[i].v, c->wall_us);
        s->vms[i].cpu = f++;
    }
}

/* ---- store ---------------------------------------------------------------------------------------- */

/* One after another, so that all have had their turn once in KEEP_EVERY_US. */
void load_keep(struct core *c)
{
    size_t all = c->n_hosts + c->order->n_sorted + c->order->n_added;
    if (!c->keep_from_us || c->now_us - c->keep_from_us > KEEP_EVERY_US)
        c->keep_from_us = c->now_us;
    int64_t passed = c->now_us - c->keep_from_us;
    size_t due = (size_t)((__int128)passed * (int64_t)all / KEEP_EVERY_US);
    if (due)
        c->keep_from_us += (int64_t)((__int128)due * KEEP_EVERY_US / (int64_t)all);
    for (; due; due--) {
        if (c->keep_host >= c->n_hosts)
            c->keep_host = c->keep_vm = 0;
        const struct host_slot *h = c->hosts[c->keep_host];
        if (c->keep_vm > h->n_vms)
            c->keep_vm = 0;
        keep(c, h, c->keep_vm ? h->vms[c->keep_vm - 1] : NULL);
        if (++c->keep_vm > h->n_vms) {
            c->keep_vm = 0;
            c->keep_host++;
        }
    }
}

void core_keep_load(struct core *c, struct core_effects *fx)
{
    c->fx = fx;
    for (size_t h = 0; h < c->n_hosts; h++) {
        keep(c, c->hosts[h], NULL);
        for (size_t i = 0; i < c->hosts[h]->n_vms; i++)
            keep(c, c->hosts[h], c->hosts[h]->vms[i]);
    }
    c->fx = NULL;
}

bool core_sample(const struct core *c, const char *host, const char *vm, struct sample *ret)
{
    const struct host_slot *h = host_find(c, host);
    const struct vm_slot *v = h && vm ? here(c, h, vm) : NULL;
    if (!h || (vm && !v))
        return false;
    shape_init(&sample_shape, ret);
    ret->host = xstrdup(host);
    ret->vm = xstrdup(vm);
    ret->name = xstrdup(v ? v->vm.name : host);
    ret->wall_us = c->wall_us;
    ret->cpu = v ? load_of_vm(c, v, c->wall_us) : load_of_host(c, h, &h->busy, c->wall_us);
    series_keep(v ? &v->cpu : &h->busy, &ret->kept);
    if (!v)
        series_keep(&h->other, &ret->other);
    return true;
}

int core_restore_sample(struct core *c, const struct sample *s, struct err *e)
{
    struct host_slot *h = host_find(c, s->host);
    struct vm_slot *v = h && s->vm ? here(c, h, s->vm) : NULL;
    if (!h || (s->vm && !v))
        return 0;
    int r = series_restore(v ? &v->cpu : &h->busy, &s->kept, e);
    if (r == 0 && !v && s->other.fives)
        r = series_restore(&h->other, &s->other, e);
    return r < 0 ? err_wrap(e, "load of %s", s->name ? s->name : s->host) : 0;
}
