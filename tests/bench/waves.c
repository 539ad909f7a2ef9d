/* Demand in waves, and what becomes of it. */
#include "tests/bench/waves.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "scheduler/plan/forecast.h"

/* ---- demand ---------------------------------------------------------------------------------------- */

enum kind { OFFICE, EVENING, NIGHT, FLAT };

static double normal(struct rng *g)
{
    double u = 0;
    for (int i = 0; i < 12; i++)
        u += rng_unit(g);
    return u - 6;
}

/* 0 to 2, 1 in the mean: the hour of the day, 0 to 24. */
static double wave(enum kind kind, double hour, double shift)
{
    double h = hour - shift;
    switch (kind) {
    case OFFICE: /* most at 14 h */
        return 1 + 0.7 * cos((h - 14) * M_PI / 12);
    case EVENING:
        return 1 + 0.7 * cos((h - 21) * M_PI / 12);
    case NIGHT: /* a batch of four hours */
        h = fmod(h + 24, 24);
        return h >= 1 && h < 5 ? 2.2 : 0.6;
    case FLAT:
        break;
    }
    return 1;
}

static void make_vm(struct waves *w, size_t vm, double heat, struct rng *g)
{
    static const int64_t sizes[] = {1, 2, 2, 4, 4, 8, 8, 16};
    w->vcpus[vm] = sizes[rng_below(g, ARRAY_LEN(sizes))];
    w->gib[vm] = w->vcpus[vm] * (rng_below(g, 3) ? 4 : 6);
    w->dirty_Bps[vm] = (int64_t)(MIB << rng_below(g, 6));
    double dice = rng_unit(g), level = 0.08 + heat * rng_unit(g), shift = 2 * normal(g);
    enum kind kind = dice < 0.5 ? OFFICE : dice < 0.7 ? EVENING : dice < 0.85 ? NIGHT : FLAT;
    double noise = 0, today = 1, burst = 0;
    size_t burst_end = 0;
    for (size_t t = 0; t < w->n_ticks; t++) {
        if (t % TICKS_PER_DAY == 0)
            today = exp(0.2 * normal(g));
        noise = 0.95 * noise + 0.1 * sqrt(1 - 0.95 * 0.95) * normal(g);
        if (rng_unit(g) < 1.5 / TICKS_PER_DAY) { /* a quarter of an hour of it, 3 times in 2 days */
            burst = 0.2 + 0.5 * rng_unit(g);
            burst_end = t + (size_t)(-log(1 - rng_unit(g)) * 900 / TICK_S);
        }
        double hour = fmod((double)t * TICK_S / 3600, 24);
        double use =
            level * today * wave(kind, hour, shift) * (1 + noise) + (t < burst_end ? burst : 0);
        use = use < 0.01 ? 0.01 : use > 1 ? 1 : use;
        w->demand[t * w->n_vms + vm] = (uint16_t)(use * (double)w->vcpus[vm] * 1000);
    }
}

static void alloc(struct waves *w)
{
    w->vcpus = xcalloc(w->n_vms, sizeof(*w->vcpus));
    w->gib = xcalloc(w->n_vms, sizeof(*w->gib));
    w->dirty_Bps = xcalloc(w->n_vms, sizeof(*w->dirty_Bps));
    w->first = xcalloc(w->n_vms, sizeof(*w->first));
    w->demand = xcalloc(w->n_vms * w->n_ticks, sizeof(*w->demand));
}

/* Anywhere where its memory fits: nobody thought of CPU. */
static void place(struct waves *w, struct rng *g)
{
    cleanup(freep) int64_t *used = xcalloc(w->n_hosts, sizeof(*used));
    for (size_t vm = 0; vm < w->n_vms; vm++) {
        size_t h;
        do
            h = rng_below(g, w->n_hosts);
        while (used[h] + w->gib[vm] > w->host_gib * 9 / 10);
        used[h] += w->gib[vm];
        w->first[vm] = (int)h;
    }
}

void waves_make(struct waves *w, size_t n_hosts, int days, double heat, uint64_t seed)
{
    struct rng g;
    rng_init(&g, seed);
    *w = (struct waves){.n_hosts = n_hosts,
                        .n_vms = n_hosts * 15,
                        .host_mcpu = 64000,
                        .host_gib = 512,
                        .n_ticks = (size_t)days * TICKS_PER_DAY};
    alloc(w);
    for (size_t vm = 0; vm < w->n_vms; vm++)
        make_vm(w, vm, heat, &g);
    place(w, &g);
}

/* "name,12,30,..." every five minutes; between two samples a straight line. */
static size_t read_line(char *line, double *ret, size_t most)
{
    size_t n = 0;
    char *rest = line;
    strsep(&rest, ",");
    for (char *item; n < most && (item = strsep(&rest, ",")) != NULL;)
        ret[n++] = atof(item);
    return n;
}

enum { SAMPLES = 288, TRACES = 4096 };

/* Hosts of whole CPUs, so large that at the worst moment 60 % are wanted. */
static void size_hosts(struct waves *w)
{
    int64_t most = 0;
    for (size_t t = 0; t < w->n_ticks; t++) {
        int64_t sum = 0;
        for (size_t i = 0; i < w->n_vms; i++)
            sum += w->demand[t * w->n_vms + i];
        most = sum > most ? sum : most;
    }
    w->host_mcpu = most * 10 / 6 / (int64_t)w->n_hosts / 1000 * 1000 + 1000;
}

int waves_read(struct waves *w, const char *path, uint64_t seed, struct err *e)
{
    struct rng g;
    cleanup(freep) double *of = xcalloc(TRACES * SAMPLES, sizeof(*of));
    cleanup(freep) char *line = NULL;
    size_t cap = 0, n = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(e, -errno, "%s: %m", path);
    while (n < TRACES && getline(&line, &cap, f) > 0)
        n += read_line(line, of + n * SAMPLES, SAMPLES) == SAMPLES;
    fclose(f);
    if (!n)
        return err_set(e, -EBADMSG, "%s: no line with %d samples", path, SAMPLES);
    rng_init(&g, seed);
    *w = (struct waves){.n_vms = n,
                        .n_hosts = n / 15,
                        .host_mcpu = 24000,
                        .host_gib = 512,
                        .n_ticks = TICKS_PER_DAY};
    alloc(w);
    for (size_t vm = 0; vm < n; vm++) {
        static const int64_t sizes[] = {2, 4, 4, 8, 8, 16, 16, 32};
        w->vcpus[vm] = sizes[rng_below(&g, ARRAY_LEN(sizes))];
        w->gib[vm] = w->vcpus[vm] * 2;
        w->dirty_Bps[vm] = (int64_t)(MIB << rng_below(&g, 6));
        for (size_t t = 0; t < w->n_ticks; t++) {
            double at = (double)t / (double)w->n_ticks * SAMPLES;
            size_t i = (size_t)at, j = i + 1 < SAMPLES ? i + 1 : i;
            const double *x = of + vm * SAMPLES;
            double percent = x[i] + (x[j] - x[i]) * (at - (double)i);
            w->demand[t * n + vm] = (uint16_t)(percent * 10 * (double)w->vcpus[vm]);
        }
    }
    size_hosts(w);
    place(w, &g);
    return 0;
}

void waves_done(struct waves *w)
{
    free(w->vcpus);
    free(w->gib);
    free(w->dirty_Bps);
    free(w->first);
    free(w->demand);
}

/* ---- what is seen ---------------------------------------------------------------------------------- */

static int ticks_of(const struct run *r, int seconds)
{
    int n = seconds / TICK_S, most = r->tick < RING ? (int)r->tick : RING;
    n = n < 1 ? 1 : n;
    return n < most ? n : most;
}

double seen_vm_mcpu(const struct run *r, size_t vm, int seconds)
{
    double sum = 0;
    int n = ticks_of(r, seconds);
    for (int i = 1; i <= n; i++)
        sum += r->vm_ring[(r->tick - (size_t)i) % RING * r->w->n_vms + vm];
    return n ? sum / n : 0;
}

double seen_host_mcpu(const struct run *r, size_t host, int seconds)
{
    double sum = 0;
    int n = ticks_of(r, seconds);
    for (int i = 1; i <= n; i++)
        sum += r->host_ring[(r->tick - (size_t)i) % RING * r->w->n_hosts + host];
    return n ? sum / n : 0;
}

bool room_for(const struct run *r, size_t vm, size_t host)
{
    return r->mem_gib[host] + r->w->gib[vm] <= r->w->host_gib;
}

/* ---- one tick -------------------------------------------------------------------------------------- */

static int64_t now_s(const struct run *r)
{
    return (int64_t)r->tick * TICK_S;
}

static void arrive(struct run *r, const struct flying *x)
{
    const struct waves *w = r->w;
    int32_t *left = &r->left[(size_t)x->vm * w->n_hosts];
    r->mem_gib[x->from] -= w->gib[x->vm];
    r->at[x->vm] = x->to;
    r->f.s.vms[x->vm].host = x->to;
    r->f.s.vms[x->vm].moving_to = -1;
    r->moved_tick[x->vm] = (int64_t)r->tick;
    if (left[x->to] && r->tick - (size_t)left[x->to] < TICKS_PER_DAY)
        r->tally.back++;
    left[x->from] = (int32_t)r->tick;
    if (++r->moves_of[x->vm] > r->tally.most_of_one)
        r->tally.most_of_one = r->moves_of[x->vm];
}

static void land(struct run *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_flying; i++)
        if (r->flying[i].end_s <= now_s(r))
            arrive(r, &r->flying[i]);
        else
            r->flying[n++] = r->flying[i];
    r->n_flying = n;
}

/* What is wanted of each host, and what each VM gets. counts: of the tally. */
static void use_cpus(struct run *r, bool counts)
{
    const struct waves *w = r->w;
    const uint16_t *demand = &w->demand[r->tick * w->n_vms];
    uint16_t *vm = &r->vm_ring[r->tick % RING * w->n_vms];
    int32_t *host = &r->host_ring[r->tick % RING * w->n_hosts];
    cleanup(freep) int64_t *wants = xcalloc(w->n_hosts, sizeof(*wants));
    for (size_t i = 0; i < w->n_vms; i++)
        wants[r->at[i]] += demand[i];
    for (size_t i = 0; i < r->n_flying; i++)
        if (r->flying[i].start_s <= now_s(r)) {
            wants[r->flying[i].from] += COPY_MCPU;
            wants[r->flying[i].to] += COPY_MCPU;
        }
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

static struct series_time series_time(const struct run *r)
{
    return (struct series_time){.now_us = (now_s(r) + TICK_S) * SEC,
                                .wall_us = (INT64_C(1767571200) + now_s(r) + TICK_S) * SEC};
}

static void keep_series(struct run *r)
{
    const struct waves *w = r->w;
    struct series_time t = series_time(r);
    const uint16_t *vm = &r->vm_ring[r->tick % RING * w->n_vms];
    const int32_t *host = &r->host_ring[r->tick % RING * w->n_hosts];
    for (size_t i = 0; i < w->n_vms; i++)
        series_add(&r->series[i], t, vm[i], TICK_S * SEC);
    for (size_t h = 0; h < w->n_hosts; h++)
        series_add(&r->host_series[h], t, host[h], TICK_S * SEC);
}

/* All that it wants at once, as one plan whose turns and times are the product's. */
static void take_off(struct run *r, const struct wanted *list, size_t n)
{
    cleanup(freep) struct plan_move *moves = xcalloc(n + 1, sizeof(*moves));
    struct plan p = {.moves = moves};
    for (size_t i = 0; i < n; i++) {
        int vm = list[i].vm, to = list[i].to;
        if (r->f.s.vms[vm].moving_to >= 0 || r->at[vm] == to)
            continue;
        if (!room_for(r, (size_t)vm, (size_t)to)) {
            r->tally.refused++;
            continue;
        }
        r->mem_gib[to] += r->w->gib[vm];
        r->f.s.vms[vm].moving_to = to;
        moves[p.n_moves++] =
            (struct plan_move){.vm = vm, .from = r->at[vm], .to = to, .live = true};
    }
    struct forecast f;
    forecast_make(&r->f.s, &r->f.p, &p, &(struct forecast_how){.lead_us = SEC}, &f);
    for (size_t i = 0; i < p.n_moves; i++) {
        const struct forecast_move *m = &f.moves[i];
        assert_true(m->end_us >= 0);
        *vec_add(&r->flying, &r->n_flying) =
            (struct flying){.vm = moves[i].vm,
                            .from = moves[i].from,
                            .to = moves[i].to,
                            .start_s = now_s(r) + m->start_us / SEC,
                            .end_s = now_s(r) + m->end_us / SEC};
        r->tally.moves++;
        r->tally.pause_s += (double)m->pause_us / (double)SEC;
        r->tally.copied_gib += (double)m->bytes / (double)GIB;
    }
    forecast_done(&f);
}

/* ---- a run ------------------------------------------------------------------------------------------ */

static void make_snapshot(struct run *r)
{
    const struct waves *w = r->w;
    fleet_init(&r->f, w->n_hosts, w->host_gib, w->n_vms);
    r->f.p.capacity.vcpu_overcommit_ppm = 100000000; /* none of the others counts vCPUs */
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

static void run_init(struct run *r, const struct waves *w, const struct way *way)
{
    *r = (struct run){.w = w, .way = way};
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

void run_make(struct run *r, const struct waves *w, const struct way *way, size_t from, size_t to)
{
    cleanup(freep) struct wanted *list = xcalloc(w->n_vms, sizeof(*list));
    run_init(r, w, way);
    for (; r->tick < to; r->tick++) {
        land(r);
        if (r->tick >= from && way->look && !r->n_flying &&
            (r->tick - from) % (size_t)way->every_ticks == 0) {
            r->tally.looks++;
            take_off(r, list, way->look(r, list, w->n_vms));
        }
        use_cpus(r, r->tick >= from);
        if (way->series)
            keep_series(r);
    }
}

void run_done(struct run *r)
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
