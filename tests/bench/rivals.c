/* Others' rules of balancing, written anew from their descriptions: thresholds and weights are their defaults.
 * None of them knows affinity here, for the fleet has no rules. */
#include <math.h>

#include "tests/bench/waves.h"

/* ---- what they share -------------------------------------------------------------------------------- */

/* Hosts and VMs of one look, as a rule changes them in its head. Loads are parts of a host. */
struct head {
    const struct trial *r;
    size_t n_hosts, n_vms;
    double *cpu, *mem;       /* per host */
    double *vm_cpu, *vm_mem; /* per VM */
    int64_t *gib;            /* per host */
    int *at;
};

static void head_make(struct head *k, const struct trial *r, int host_s, int vm_s)
{
    const struct waves *w = r->w;
    *k = (struct head){.r = r, .n_hosts = w->n_hosts, .n_vms = w->n_vms};
    k->cpu = xcalloc(w->n_hosts, sizeof(double));
    k->mem = xcalloc(w->n_hosts, sizeof(double));
    k->vm_cpu = xcalloc(w->n_vms, sizeof(double));
    k->vm_mem = xcalloc(w->n_vms, sizeof(double));
    k->gib = xmemdup(r->mem_gib, w->n_hosts * sizeof(*k->gib));
    k->at = xmemdup(r->at, w->n_vms * sizeof(*k->at));
    for (size_t h = 0; h < w->n_hosts; h++) {
        k->cpu[h] = seen_host_mcpu(r, h, host_s) / (double)w->host_mcpu;
        k->mem[h] = (double)k->gib[h] / (double)w->host_gib;
    }
    for (size_t i = 0; i < w->n_vms; i++) {
        k->vm_cpu[i] = seen_vm_mcpu(r, i, vm_s) / (double)w->host_mcpu;
        k->vm_mem[i] = (double)w->gib[i] / (double)w->host_gib;
    }
}

static void head_done(struct head *k)
{
    free(k->cpu);
    free(k->mem);
    free(k->vm_cpu);
    free(k->vm_mem);
    free(k->gib);
    free(k->at);
}

static bool head_fits(const struct head *k, size_t vm, size_t to)
{
    return k->gib[to] + k->r->w->gib[vm] <= k->r->w->host_gib;
}

static void head_move(struct head *k, size_t vm, size_t to)
{
    size_t from = (size_t)k->at[vm];
    k->cpu[from] -= k->vm_cpu[vm];
    k->mem[from] -= k->vm_mem[vm];
    k->gib[from] -= k->r->w->gib[vm];
    k->cpu[to] += k->vm_cpu[vm];
    k->mem[to] += k->vm_mem[vm];
    k->gib[to] += k->r->w->gib[vm];
    k->at[vm] = (int)to;
}

/* Sums from which a deviation follows when two values change. */
struct sums {
    double sum, square;
    size_t n;
};

static struct sums sums_of(const double *x, size_t from, size_t to)
{
    struct sums s = {.n = to - from};
    for (size_t i = from; i < to; i++) {
        s.sum += x[i];
        s.square += x[i] * x[i];
    }
    return s;
}

static struct sums changed(struct sums s, double was, double is)
{
    s.sum += is - was;
    s.square += is * is - was * was;
    return s;
}

static double deviation(struct sums s)
{
    double mean = s.sum / (double)s.n, v = s.square / (double)s.n - mean * mean;
    return v > 0 ? sqrt(v) : 0;
}

static double deviation_after(struct sums s, const double *x, size_t from, size_t to, double moved)
{
    return deviation(changed(changed(s, x[from], x[from] - moved), x[to], x[to] + moved));
}

/* ---- Watcher: workload_stabilization ----------------------------------------------------------------- */

#define WATCHER_SD 0.1 /* of CPU and of memory; weights 1 */
struct option {
    size_t vm, to;
    double sd;
};

static int by_sd(const void *a, const void *b)
{
    const struct option *x = a, *y = b;
    if (x->sd != y->sd)
        return x->sd < y->sd ? -1 : 1;
    return (x->vm > y->vm) - (x->vm < y->vm);
}

/* Every VM with one host chosen at random: those that would lower the sum of the deviations. */
static size_t watcher_options(struct trial *r, const struct head *k, struct option *ret)
{
    struct sums c = sums_of(k->cpu, 0, k->n_hosts), m = sums_of(k->mem, 0, k->n_hosts);
    double now = deviation(c) + deviation(m);
    size_t n = 0;
    for (size_t i = 0; i < k->n_vms; i++) {
        size_t to = rng_below(&r->rng, k->n_hosts), from = (size_t)k->at[i];
        if (to == from || !head_fits(k, i, to))
            continue;
        double sd = deviation_after(c, k->cpu, from, to, k->vm_cpu[i]) +
                    deviation_after(m, k->mem, from, to, k->vm_mem[i]);
        if (sd < now)
            ret[n++] = (struct option){i, to, sd};
    }
    qsort(ret, n, sizeof(*ret), by_sd);
    return n;
}

static size_t look_watcher(struct trial *r, struct wanted *ret, size_t most)
{
    struct head k;
    size_t n = 0;
    head_make(&k, r, 600, 720);
    struct sums c = sums_of(k.cpu, 0, k.n_hosts), m = sums_of(k.mem, 0, k.n_hosts);
    if (deviation(c) > WATCHER_SD || deviation(m) > WATCHER_SD) {
        cleanup(freep) struct option *o = xcalloc(k.n_vms, sizeof(*o));
        size_t found = watcher_options(r, &k, o);
        double best = INFINITY;
        for (size_t i = 0; i < found && n < most; i++) {
            size_t from = (size_t)k.at[o[i].vm], to = o[i].to;
            double sd_c = deviation_after(c, k.cpu, from, to, k.vm_cpu[o[i].vm]);
            double sd_m = deviation_after(m, k.mem, from, to, k.vm_mem[o[i].vm]);
            if (sd_c + sd_m < best && head_fits(&k, o[i].vm, to)) {
                best = sd_c + sd_m;
                head_move(&k, o[i].vm, to);
                c = sums_of(k.cpu, 0, k.n_hosts);
                m = sums_of(k.mem, 0, k.n_hosts);
                ret[n++] = (struct wanted){(int)o[i].vm, (int)to};
            }
            if (sd_c < WATCHER_SD || sd_m < WATCHER_SD)
                break;
        }
    }
    head_done(&k);
    return n;
}

/* ---- Proxmox CRS -------------------------------------------------------------------------------------- */

#define CRS_IMBALANCE 0.3 /* deviation by mean of (cpu + memory) / 2 */
#define CRS_ROUNDS    3
#define CRS_GAIN      0.1

struct by_load {
    double load;
    size_t host;
};

static int idle_first(const void *a, const void *b)
{
    const struct by_load *x = a, *y = b;
    if (x->load != y->load)
        return x->load < y->load ? -1 : 1;
    return (x->host > y->host) - (x->host < y->host);
}

/* The host with the least load that has room: for a given VM none lowers the deviation more. n: none. */
static size_t idlest(const struct head *k, const struct by_load *order, size_t n, size_t vm)
{
    for (size_t i = 0; i < n; i++)
        if (order[i].host != (size_t)k->at[vm] && head_fits(k, vm, order[i].host))
            return order[i].host;
    return k->n_hosts;
}

static void by_load(const double *load, size_t first, size_t end, struct by_load *ret)
{
    for (size_t h = first; h < end; h++)
        ret[h - first] = (struct by_load){load[h], h};
    qsort(ret, end - first, sizeof(*ret), idle_first);
}

/* The move that leaves the least deviation in one cluster; its share of the present one, 1: none. */
static double crs_best(const struct head *k, const double *load, size_t from_h, size_t to_h,
                       struct wanted *ret)
{
    struct sums s = sums_of(load, from_h, to_h);
    double now = deviation(s), best = now;
    cleanup(freep) struct by_load *order = xcalloc(to_h - from_h, sizeof(*order));
    by_load(load, from_h, to_h, order);
    for (size_t i = 0; i < k->n_vms; i++) {
        size_t from = (size_t)k->at[i];
        double moved = (k->vm_cpu[i] + k->vm_mem[i]) / 2;
        if (from < from_h || from >= to_h)
            continue;
        size_t to = idlest(k, order, to_h - from_h, i);
        double sd = to == k->n_hosts ? now : deviation_after(s, load, from, to, moved);
        if (sd < best) {
            best = sd;
            *ret = (struct wanted){(int)i, (int)to};
        }
    }
    return now > 0 ? best / now : 1;
}

/* Rounds in a row in which a cluster was uneven: a byte of the state for each. */
static int crs_rounds(struct trial *r, size_t cluster, bool over)
{
    uint8_t *rounds = (uint8_t *)r->state + cluster % sizeof(r->state);
    *rounds = (uint8_t)(over ? *rounds + (*rounds < 255) : 0);
    return *rounds;
}

static size_t look_crs(struct trial *r, struct wanted *ret, size_t most)
{
    struct head k;
    size_t n = 0, group = r->way->group ? r->way->group : r->w->n_hosts;
    head_make(&k, r, TICK_S, TICK_S);
    cleanup(freep) double *load = xcalloc(k.n_hosts, sizeof(*load));
    for (size_t h = 0; h < k.n_hosts; h++)
        load[h] = (k.cpu[h] + k.mem[h]) / 2;
    for (size_t h = 0; h < k.n_hosts && n < most; h += group) {
        size_t end = h + group < k.n_hosts ? h + group : k.n_hosts;
        struct sums s = sums_of(load, h, end);
        struct wanted w;
        bool over = deviation(s) * (double)s.n > CRS_IMBALANCE * s.sum;
        if (crs_rounds(r, h / group, over) >= CRS_ROUNDS &&
            crs_best(&k, load, h, end, &w) <= 1 - CRS_GAIN)
            ret[n++] = w;
    }
    head_done(&k);
    return n;
}

/* ---- ProxLB, greedy ------------------------------------------------------------------------------------- */

#define PROXLB_BALANCINESS 0.1 /* of CPU used: the fullest node less the emptiest */

static double spread_of(const double *x, size_t n, size_t *ret_min)
{
    size_t min = 0, max = 0;
    for (size_t i = 1; i < n; i++) {
        min = x[i] < x[min] ? i : min;
        max = x[i] > x[max] ? i : max;
    }
    *ret_min = min;
    return x[max] - x[min];
}

struct by_memory {
    int64_t gib;
    size_t vm;
};

static int largest_first(const void *a, const void *b)
{
    const struct by_memory *x = a, *y = b;
    if (x->gib != y->gib)
        return x->gib > y->gib ? -1 : 1;
    return (x->vm > y->vm) - (x->vm < y->vm);
}

static size_t look_proxlb(struct trial *r, struct wanted *ret, size_t most)
{
    struct head k;
    size_t n = 0, to;
    head_make(&k, r, 300, 300);
    cleanup(freep) struct by_memory *order = xcalloc(k.n_vms, sizeof(*order));
    for (size_t i = 0; i < k.n_vms; i++)
        order[i] = (struct by_memory){r->w->gib[i], i};
    qsort(order, k.n_vms, sizeof(*order), largest_first);
    for (size_t i = 0; i < k.n_vms && n < most; i++) {
        size_t vm = order[i].vm;
        if (spread_of(k.cpu, k.n_hosts, &to) <= PROXLB_BALANCINESS)
            break;
        if ((size_t)k.at[vm] == to || !head_fits(&k, vm, to))
            continue;
        head_move(&k, vm, to);
        ret[n++] = (struct wanted){(int)vm, (int)to};
    }
    head_done(&k);
    return n;
}

/* ---- DRS, hill climbing ----------------------------------------------------------------------------------- */

#define DRS_SLIDER       3   /* the middle: moves of priority 1 to 3 are made */
#define DRS_STABLE_S     600 /* for which a gain is believed to last */
#define DRS_MOVES_HOST   8   /* from one host in one look, and at once */
#define DRS_LEAST_BETTER 0.005

/* Of one cluster the move that lowers the deviation most, if it is worth its price. */
static bool drs_step(const struct head *k, size_t first, size_t end, const int *moves_of,
                     struct wanted *ret)
{
    struct sums s = sums_of(k->cpu, first, end);
    double now = deviation(s), best = now * (1 - DRS_LEAST_BETTER / (double)s.n);
    double cores = (double)k->r->w->host_mcpu / 1000;
    bool found = false;
    cleanup(freep) struct by_load *order = xcalloc(end - first, sizeof(*order));
    by_load(k->cpu, first, end, order);
    for (size_t i = 0; i < k->n_vms; i++) {
        size_t from = (size_t)k->at[i];
        if (from < first || from >= end || k->at[i] != k->r->at[i] ||
            moves_of[from] >= DRS_MOVES_HOST || k->cpu[from] * (double)s.n <= s.sum)
            continue;
        double seconds = (double)k->r->w->gib[i] * (double)GIB / 1.2e9;
        size_t to = idlest(k, order, end - first, i);
        if (to == k->n_hosts)
            continue;
        double gap = k->cpu[from] - k->cpu[to];
        double sd = deviation_after(s, k->cpu, from, to, k->vm_cpu[i]);
        double gain = (gap < k->vm_cpu[i] ? gap : k->vm_cpu[i]) * cores * DRS_STABLE_S;
        if (sd < best && gain > 2 * seconds * COPY_MCPU / 1000) {
            best = sd;
            *ret = (struct wanted){(int)i, (int)to};
            found = true;
        }
    }
    return found;
}

static bool drs_acts(const struct head *k, size_t first, size_t end)
{
    struct sums s = sums_of(k->cpu, first, end);
    double priority = 6 - ceil(deviation(s) / 0.1 * sqrt((double)s.n));
    return priority <= DRS_SLIDER;
}

static size_t look_drs(struct trial *r, struct wanted *ret, size_t most)
{
    struct head k;
    size_t n = 0, group = r->way->group ? r->way->group : r->w->n_hosts;
    head_make(&k, r, 300, 300);
    cleanup(freep) int *moves_of = xcalloc(k.n_hosts, sizeof(*moves_of));
    for (size_t h = 0; h < k.n_hosts; h += group) {
        size_t end = h + group < k.n_hosts ? h + group : k.n_hosts;
        while (n < most && drs_acts(&k, h, end) && drs_step(&k, h, end, moves_of, &ret[n])) {
            moves_of[k.at[ret[n].vm]]++;
            head_move(&k, (size_t)ret[n].vm, (size_t)ret[n].to);
            n++;
        }
    }
    head_done(&k);
    return n;
}

/* At once: Watcher's planner makes chunks of two, Proxmox moves when nothing else does, ProxLB one after the
 * other, vSphere up to eight from a host. */
#define MINUTES(n) ((n)*60 / TICK_S)
#define DROVER(minutes, text)                                                                      \
    .every_ticks = MINUTES(minutes), .look = look_drover, .series = true,                          \
    .balance = "mode: relieve, sustained: 1, " text
const struct method ways[] = {
    {.name = "nothing", .every_ticks = 1},
    {.name = "Watcher", .every_ticks = MINUTES(10), .look = look_watcher, .at_once = 2},
    {.name = "Proxmox CRS", .every_ticks = 1, .look = look_crs, .at_once = 1},
    {.name = "Proxmox CRS, by 20", .every_ticks = 1, .look = look_crs, .group = 20},
    {.name = "ProxLB, hourly", .every_ticks = MINUTES(60), .look = look_proxlb, .at_once = 1},
    {.name = "DRS", .every_ticks = MINUTES(5), .look = look_drs, .at_once_host = DRS_MOVES_HOST},
    {.name = "DRS, by 20",
     .every_ticks = MINUTES(5),
     .look = look_drs,
     .group = 20,
     .at_once_host = DRS_MOVES_HOST},
    {.name = "Drover, 80 %", DROVER(5, "busy: 80%")},
    {.name = "Drover, 80 %, 1 min", DROVER(1, "busy: 80%")},
    {.name = "Drover, 80 %, urgent", DROVER(5, "busy: 80%, urgent: 90%")},
    {.name = "Drover, 70 %", DROVER(5, "busy: 70%")},
    {.name = "Drover, 70 %, 1 min", DROVER(1, "busy: 70%")},
    {.name = "Drover, forecast", DROVER(5, "busy: 80%, forecast: 100%"), .days = true},
    {.name = "Drover, by the mean", DROVER(5, "busy: none")},
};
const size_t n_ways = ARRAY_LEN(ways);
