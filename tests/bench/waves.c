/* Demand in waves. */
#include "tests/bench/waves.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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
    for (char *item, *end; n < most && (item = strsep(&rest, ",")) != NULL; n++) {
        ret[n] = strtod(item, &end);
        if (end == item)
            break; /* no number: the line is too short */
    }
    return n;
}

enum { SAMPLES = 288, TRACES = 4096, TRACES_PER_HOST = 30 };

/* Hosts of whole CPUs, so large that at the fleet's worst moment 60 % are wanted. */
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
                        .n_hosts = n / TRACES_PER_HOST,
                        .host_mcpu = 24000,
                        .host_gib = 512,
                        .n_ticks = TICKS_PER_DAY};
    alloc(w);
    for (size_t vm = 0; vm < n; vm++) {
        static const int64_t sizes[] = {2, 2, 4, 4, 8}; /* none fills a host alone */
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
