/* tests/bench/waves.h: a fleet whose VMs come and go in daily waves, replayed for one way of balancing after
 * another.
 * Purpose  The same demand, the same measurements at the same times with the same delay; only the moves differ.
 * Time     ticks of TICK_S seconds from midnight of the first day. What a tick used is known in the next one.
 * Demand   of a VM: what it would use on a host of its own. A host whose VMs want more than it has gives each
 *          the same share of what it wants, and that is what is measured.
 * Moves    last as long as the product's forecast says for all moves ordered at once, take memory on both
 *          ends, and one CPU on each while they copy.
 * Owner    waves_done, run_done release.   Thread one. */
#pragma once

#include "lib/base/rng.h"
#include "scheduler/core/series.h"
#include "tests/unit/fleet.h"

enum { TICK_S = 30, TICKS_PER_DAY = 86400 / TICK_S, RING = 64, COPY_MCPU = 1000, LEARN_DAYS = 2 };
enum { OVERLOAD_PERCENT = 90 }; /* of the CPUs wanted: a guest begins to wait */

struct waves {
    size_t n_hosts, n_vms, n_ticks;
    int64_t host_mcpu, host_gib;
    int64_t *vcpus, *gib, *dirty_Bps; /* per VM */
    int *first;                       /* per VM: where it is at the beginning */
    uint16_t *demand;                 /* [tick * n_vms + vm], mCPU */
};
/* days: with those before, from which one may learn. heat: VMs use 0.08 to 0.08 + heat of their vCPUs in the
 * mean of the day. */
void waves_make(struct waves *w, size_t n_hosts, int days, double heat, uint64_t seed);
/* The same from PlanetLab's traces (one day, percent of a CPU, one line a VM). -errno. */
int waves_read(struct waves *w, const char *path, uint64_t seed, struct err *e);
void waves_done(struct waves *w);

struct wanted {
    int vm, to;
};
struct run;
struct way { /* of balancing */
    const char *name;
    int every_ticks;
    bool series;  /* needs figures of the product's kind */
    size_t group; /* hosts to a cluster; 0: all. Ways that know no clusters ignore it */
    int64_t busy_percent, sustained; /* of the product's policy */
    /* What it would move now; at most `most` into ret. NULL: nothing, ever. */
    size_t (*look)(struct run *r, struct wanted *ret, size_t most);
};
struct flying {
    int vm, from, to;
    int64_t start_s, end_s;
};
struct tally {
    double overload_min;    /* host-minutes */
    double lacking_cpu_min; /* CPU-minutes that guests wanted and did not get */
    double pause_s, copied_gib;
    int64_t moves, looks, refused, back,
        most_of_one; /* back: to a host that was left within a day */
};
struct run {
    const struct waves *w;
    const struct way *way;
    struct test_fleet f; /* what the planner sees; kept as things are */
    size_t tick;
    int *at;            /* per VM */
    int64_t *mem_gib;   /* per host, both ends of moves */
    uint16_t *vm_ring;  /* measured [(tick % RING) * n_vms + vm] */
    int32_t *host_ring; /* measured [(tick % RING) * n_hosts + host], copies included */
    struct series *series, *host_series;
    struct flying *flying;
    size_t n_flying;
    int64_t *moved_tick; /* per VM, of its last move; −1 never */
    int32_t *moves_of;
    int32_t *left;    /* [vm * n_hosts + host]: tick at which it left the host, 0 never */
    int64_t state[8]; /* the way's own, zero at first */
    struct rng rng;   /* the way's own */
    struct tally tally;
};
/* Replays the ticks [from, to), in which the way may move; before them nothing does. */
void run_make(struct run *r, const struct waves *w, const struct way *way, size_t from, size_t to);
void run_done(struct run *r);

/* ---- what a way may ask: means of the last seconds, up to RING * TICK_S ----------------------------- */
double seen_vm_mcpu(const struct run *r, size_t vm, int seconds);
double seen_host_mcpu(const struct run *r, size_t host, int seconds);
bool room_for(const struct run *r, size_t vm, size_t host);

extern const struct way ways[];
extern const size_t n_ways;
size_t look_drover(struct run *r, struct wanted *ret, size_t most);
