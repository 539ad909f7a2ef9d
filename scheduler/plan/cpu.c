#include "scheduler/plan/cpu.h"

#include <math.h>

#include "lib/base/mem.h"

static int64_t pick(const struct cpu_figures *f, int by)
{
    const int64_t in_order[] = {f->m5_mcpu, f->h1_mcpu, f->d1_mcpu, f->p95_mcpu};
    int64_t v = in_order[by];
    /* of a VM that has just moved or started, the nearest longer time; of a young one, a shorter one */
    for (int i = by + 1; v < 0 && i <= LOAD_24H; i++)
        v = in_order[i];
    for (int i = by - 1; v < 0 && i >= 0; i--)
        v = in_order[i];
    return v < 0 ? f->now_mcpu : v; /* so young that it has no mean yet */
}

/* So much of what the same hour of former days had more than now, less how far that was wrong lately. What is
 * now counts in any case: a figure that is lowered because it will be quiet soon leaves hosts overloaded. */
static int64_t with_forecast(const struct cpu_figures *f, int64_t v, int64_t share_ppm)
{
    int64_t more = f->forecast_mcpu - f->forecast_error_mcpu - v;
    if (v < 0 || f->forecast_mcpu < 0 || f->forecast_error_mcpu < 0 || more <= 0)
        return v;
    return v + (int64_t)((__int128)more * share_ppm / 1000000);
}

static int64_t figure(const struct plan_world *w, const struct cpu_figures *f)
{
    if (!f)
        return -1;
    return with_forecast(f, pick(f, w->p->balance.load), w->p->balance.forecast_ppm);
}

bool plan_cpu_known(const struct plan_world *w, int host)
{
    return snap_measured(&w->s->hosts[host]);
}

static bool any_known(const struct plan_world *w)
{
    if (w->p->balance.load == LOAD_RESERVED)
        return false;
    for (size_t h = 0; h < w->s->n_hosts; h++)
        if (w->s->hosts[h].state == HOST_UP && plan_cpu_known(w, (int)h))
            return true;
    return false;
}

/* What the host uses and nobody there accounts for, shared among those that were never measured: were it
 * all of their vCPUs, a cool host with a guest that just started would be the hottest. */
static void guess(struct plan_world *w, int host)
{
    int64_t left = plan_cpu_known(w, host) ? figure(w, w->s->hosts[host].cpu) : -1, n = 0;
    if (left < 0)
        return;
    int64_t other = figure(w, w->s->hosts[host].other);
    left -= other > 0 ? other : 0;
    const int *vms = &w->by_host[w->by_host_start[host]];
    size_t n_vms = w->by_host_start[host + 1] - w->by_host_start[host];
    for (size_t i = 0; i < n_vms; i++)
        if (w->s->vms[vms[i]].host == host) { /* and not on its way here */
            n += w->cpu[vms[i]].guessed;
            left -= w->cpu[vms[i]].guessed ? 0 : w->cpu[vms[i]].mcpu;
        }
    int64_t share = left > 0 && n ? left / n : 0;
    for (size_t i = 0; n && i < n_vms; i++) {
        struct plan_cpu *c = &w->cpu[vms[i]];
        if (w->s->vms[vms[i]].host == host && c->guessed && c->mcpu > share)
            c->mcpu = share;
    }
}

void plan_cpu_init(struct plan_world *w)
{
    if (!any_known(w))
        return;
    w->cpu = xcalloc(w->s->n_vms, sizeof(*w->cpu));
    for (size_t i = 0; i < w->s->n_vms; i++) {
        int64_t v = plan_counts(w->s, (int)i) ? figure(w, w->s->vms[i].cpu) : 0;
        int64_t vcpus = w->s->vms[i].v->vcpus, most = vcpus > 0 ? vcpus * 1000 : 0;
        w->cpu[i] = (struct plan_cpu){.mcpu = v >= 0 ? v : most, .guessed = v < 0};
    }
    for (size_t h = 0; h < w->s->n_hosts; h++)
        guess(w, (int)h);
}

bool plan_cpu_measured(const struct plan_world *w)
{
    return w->cpu != NULL;
}

int64_t plan_cpu_vm(const struct plan_world *w, int vm, bool *ret_guessed)
{
    if (ret_guessed)
        *ret_guessed = w->cpu[vm].guessed;
    return w->cpu[vm].mcpu;
}

static int64_t vm_peak(const struct plan_world *w, int vm)
{
    const struct cpu_figures *f = plan_counts(w->s, vm) ? w->s->vms[vm].cpu : NULL;
    int64_t v = f ? pick(f, LOAD_P95) : -1;
    return v >= 0 ? v : plan_cpu_vm(w, vm, NULL);
}

static int64_t vm_soon(const struct plan_world *w, int vm)
{
    const struct cpu_figures *f = plan_counts(w->s, vm) ? w->s->vms[vm].cpu : NULL;
    int64_t v = f ? f->soon_mcpu : -1, most = w->s->vms[vm].v->vcpus * 1000;
    return v < 0 ? plan_cpu_vm(w, vm, NULL) : most > 0 && v > most ? most : v;
}

static int64_t figure_of(const struct plan_world *w, enum plan_cpu_figure by,
                         const struct cpu_figures *f)
{
    if (by == PLAN_CPU_SOON && f && f->soon_mcpu >= 0)
        return f->soon_mcpu;
    return by == PLAN_CPU_PEAK ? pick(f, LOAD_P95) : figure(w, f);
}

int64_t plan_cpu_vm_by(const struct plan_world *w, int vm, enum plan_cpu_figure by)
{
    return by == PLAN_CPU_PEAK   ? vm_peak(w, vm)
           : by == PLAN_CPU_SOON ? vm_soon(w, vm)
                                 : plan_cpu_vm(w, vm, NULL);
}

int64_t *plan_cpu_end_by(const struct plan_world *w, enum plan_cpu_figure by)
{
    int64_t *sum = xcalloc(w->s->n_hosts, sizeof(*sum));
    for (size_t h = 0; h < w->s->n_hosts; h++) {
        const struct cpu_figures *f = w->s->hosts[h].other;
        int64_t other = plan_cpu_known(w, (int)h) ? figure_of(w, by, f) : 0;
        sum[h] = other > 0 ? other : 0;
    }
    for (size_t i = 0; i < w->s->n_vms; i++) {
        int at = plan_end(w, (int)i);
        if (at >= 0 && plan_counts(w->s, (int)i))
            sum[at] += plan_cpu_vm_by(w, (int)i, by);
    }
    return sum;
}

int64_t *plan_cpu_end(const struct plan_world *w)
{
    return plan_cpu_end_by(w, PLAN_CPU_MEAN);
}

int64_t plan_cpu_ppm(const struct plan_world *w, size_t host, const int64_t *mcpu)
{
    if (w->s->hosts[host].state != HOST_UP || !plan_cpu_known(w, (int)host))
        return -1;
    return mcpu[host] * 1000 / w->s->hosts[host].h->cpus;
}

void plan_cpu_measure(const struct plan_world *w, struct plan_standing *ret)
{
    ret->measured = plan_cpu_measured(w);
    ret->cpu_min_ppm = ret->cpu_max_ppm = ret->cpu_mean_ppm = ret->cpu_deviation_ppm = -1;
    ret->cpu_unknown = ret->cpu_guessed = 0;
    if (!ret->measured)
        return;
    cleanup(freep) int64_t *end = plan_cpu_end(w);
    double sum = 0, square = 0;
    int64_t n = 0;
    for (size_t h = 0; h < w->s->n_hosts; h++) {
        int64_t x = plan_cpu_ppm(w, h, end);
        ret->cpu_unknown += x < 0 && w->s->hosts[h].state == HOST_UP;
        if (x < 0)
            continue;
        ret->cpu_min_ppm = n && ret->cpu_min_ppm < x ? ret->cpu_min_ppm : x;
        ret->cpu_max_ppm = ret->cpu_max_ppm > x ? ret->cpu_max_ppm : x;
        sum += (double)x;
        square += (double)x * (double)x;
        n++;
    }
    double mean = sum / (double)n, spread = square / (double)n - mean * mean;
    ret->cpu_mean_ppm = (int64_t)mean;
    ret->cpu_deviation_ppm = (int64_t)sqrt(spread > 0 ? spread : 0);
    for (size_t i = 0; i < w->s->n_vms; i++) {
        bool guessed;
        int at = plan_end(w, (int)i);
        if (at >= 0 && plan_counts(w->s, (int)i) && plan_cpu_known(w, at)) {
            plan_cpu_vm(w, (int)i, &guessed);
            ret->cpu_guessed += guessed;
        }
    }
}

bool plan_cpu_must_mend(const struct plan_world *w, int vm)
{
    int at = w->f.at[vm];
    int64_t cap = plan_mem_capacity(w, at);
    if (cap >= 0 && w->end_bytes[at] > cap)
        return true;
    for (size_t i = w->rules_start[vm]; i < w->rules_start[vm + 1]; i++) {
        const struct rule *r = &w->p->rules[w->rules[i]];
        const struct rule_def *def = rule_defs[r->kind];
        if (def->allows && !def->allows(r, &w->match[w->rules[i]], &w->f, vm, at, NULL))
            return true;
    }
    return false;
}
