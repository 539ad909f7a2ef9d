/* A replay as a way of balancing sees it, and its tally: the same for the bench's own world (flights.c) and
 * for the simulator's (replay.c). */
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/waves.h"

static int ticks_of(const struct trial *r, int seconds)
{
    int n = seconds / TICK_S, most = r->tick < RING ? (int)r->tick : RING;
    n = n < 1 ? 1 : n;
    return n < most ? n : most;
}

double seen_vm_mcpu(const struct trial *r, size_t vm, int seconds)
{
    double sum = 0;
    int n = ticks_of(r, seconds);
    for (int i = 1; i <= n; i++)
        sum += r->vm_ring[(r->tick - (size_t)i) % RING * r->w->n_vms + vm];
    return n ? sum / n : 0;
}

double seen_host_mcpu(const struct trial *r, size_t host, int seconds)
{
    double sum = 0;
    int n = ticks_of(r, seconds);
    for (int i = 1; i <= n; i++)
        sum += r->host_ring[(r->tick - (size_t)i) % RING * r->w->n_hosts + host];
    return n ? sum / n : 0;
}

bool room_for(const struct trial *r, size_t vm, size_t host)
{
    return r->mem_gib[host] + r->w->gib[vm] <= r->w->host_gib;
}

/* ---- what happens ------------------------------------------------------------------------------------ */

void run_arrived(struct trial *r, int vm, int to)
{
    const struct waves *w = r->w;
    int32_t *left = &r->left[(size_t)vm * w->n_hosts];
    int from = r->at[vm];
    r->at[vm] = to;
    r->f.s.vms[vm].host = to;
    r->f.s.vms[vm].moving_to = -1;
    r->moved_tick[vm] = (int64_t)r->tick;
    if (left[to] && r->tick - (size_t)left[to] < TICKS_PER_DAY)
        r->tally.back++;
    left[from] = (int32_t)r->tick;
    if (++r->moves_of[vm] > r->tally.most_of_one)
        r->tally.most_of_one = r->moves_of[vm];
}

void run_used(struct trial *r, const int64_t *wants, bool counts)
{
    const struct waves *w = r->w;
    const uint16_t *demand = &w->demand[r->tick * w->n_vms];
    uint16_t *vm = &r->vm_ring[r->tick % RING * w->n_vms];
    int32_t *host = &r->host_ring[r->tick % RING * w->n_hosts];
    for (size_t i = 0; i < w->n_vms; i++) {
        int64_t all = wants[r->at[i]];
        vm[i] = all <= w->host_mcpu ? demand[i] : (uint16_t)(demand[i] * w->host_mcpu / all);
    }
    for (size_t h = 0; h < w->n_hosts; h++) {
        host[h] = (int32_t)(wants[h] < w->host_mcpu ? wants[h] : w->host_mcpu);
        if (counts && wants[h] * 100 > w->host_mcpu * OVERLOAD_PERCENT)
            r->tally.overload_min += TICK_S / 60.0;
        if (counts && wants[h] > w->host_mcpu)
            r->tally.lacking_cpu_min += (double)(wants[h] - w->host_mcpu) / 1000 * TICK_S / 60.0;
    }
}

/* ---- a run ------------------------------------------------------------------------------------------- */

void policy_of(const char *balance, struct policy *ret)
{
    struct err e = {0};
    cleanup(freep) char *text =
        xasprintf("version: 1\ncapacity: {memory: {reserve: 0}, vcpu: {overcommit: 100}}\n"
                  "balance: {%s}\n",
                  balance ? balance : "");
    struct policy_file file = {.name = (char *)(uintptr_t) "bench", .text = text};
    if (policy_load_texts(&file, 1, ret, &e) == 0)
        return;
    fprintf(stderr, "bench: %s\n", e.msg);
    exit(2);
}

static void make_snapshot(struct trial *r)
{
    const struct waves *w = r->w;
    fleet_init(&r->f, w->n_hosts, w->host_gib, w->n_vms);
    policy_done(&r->f.p);
    policy_of(r->way->balance, &r->f.p);
    for (size_t h = 0; h < w->n_hosts; h++) {
        r->f.hosts[h].cpus = w->host_mcpu / 1000;
        r->f.hosts[h].link_bps = INT64_C(10000000000);
    }
    for (size_t i = 0; i < w->n_vms; i++) {
        char name[32];
        snprintf(name, sizeof(name), "vm-%zu", i);
        struct vm *v = fleet_vm(&r->f, name, w->first[i], w->gib[i]);
        v->vcpus = w->vcpus[i];
        v->dirty_Bps = w->dirty_Bps[i];
    }
}

void run_begin(struct trial *r, const struct waves *w, const struct method *way)
{
    *r = (struct trial){.w = w, .way = way};
    rng_init(&r->rng, 1);
    make_snapshot(r);
    r->at = xmemdup(w->first, w->n_vms * sizeof(*r->at));
    r->mem_gib = xcalloc(w->n_hosts, sizeof(*r->mem_gib));
    r->vm_ring = xcalloc(RING * w->n_vms, sizeof(*r->vm_ring));
    r->host_ring = xcalloc(RING * w->n_hosts, sizeof(*r->host_ring));
    r->moved_tick = xcalloc(w->n_vms, sizeof(*r->moved_tick));
    r->moves_of = xcalloc(w->n_vms, sizeof(*r->moves_of));
    r->left = xcalloc(w->n_vms * w->n_hosts, sizeof(*r->left));
    r->series = xcalloc(w->n_vms, sizeof(*r->series));
    r->host_series = xcalloc(w->n_hosts, sizeof(*r->host_series));
    for (size_t i = 0; i < w->n_vms; i++) {
        r->mem_gib[w->first[i]] += w->gib[i];
        r->moved_tick[i] = -1;
        series_init(&r->series[i]);
        series_learn(&r->series[i], true);
    }
    for (size_t h = 0; h < w->n_hosts; h++)
        series_init(&r->host_series[h]);
}

void run_done(struct trial *r)
{
    for (size_t i = 0; i < r->w->n_vms; i++)
        series_done(&r->series[i]);
    free(r->series);
    free(r->host_series);
    free(r->flying);
    free(r->at);
    free(r->mem_gib);
    free(r->vm_ring);
    free(r->host_ring);
    free(r->moved_tick);
    free(r->moves_of);
    free(r->left);
    fleet_done(&r->f);
}
