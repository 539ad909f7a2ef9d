/* tests/bench/waves.h: a fleet whose VMs come and go in daily waves, replayed for one way of balancing after
 * another.
 * Purpose  The same demand, the same measurements at the same times with the same delay; only the moves differ.
 * Time     ticks of TICK_S seconds from midnight of the first day. What a tick used is known in the next one.
 * Demand   of a VM: what it would use on a host of its own. A host whose VMs want more than it has gives each
 *          the same share of what it wants, and that is what is measured.
 * Moves    take memory on both ends. In flights.c they last as long as the product's forecast says for all
 *          moves ordered at once, and take one CPU on each end while they copy; replay.c has the simulator's.
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
struct trial;
struct method { /* of balancing */
    const char *name;
    int every_ticks;
    bool series;  /* needs figures of the product's kind */
    bool days;    /* learns from former days: not where there are none (replay.c) */
    size_t group; /* hosts to a cluster; 0: all. Ways that know no clusters ignore it */
    size_t at_once, at_once_host; /* moves in flight, and those from one host; 0: any (replay.c) */
    const char *balance; /* of the product's policy, beside the defaults; NULL: another's rules */
    /* What it would move now; at most `most` into ret. NULL: nothing, ever. */
    size_t (*look)(struct trial *r, struct wanted *ret, size_t most);
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
struct trial {
    const struct waves *w;
    const struct method *way;
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
void run_make(struct trial *r, const struct waves *w, const struct method *way, size_t from,
              size_t to);
void run_done(struct trial *r);

/* ---- seen.c, for worlds --------------------------------------------------------------------------------- */
/* None of the others counts vCPUs, or keeps memory for the host. */
void policy_of(const char *balance, struct policy *ret);
void run_begin(struct trial *r, const struct waves *w, const struct method *way);
void run_arrived(struct trial *r, int vm, int to);
/* wants: mCPU per host, in this tick. Keeps what each VM got. counts: of the tally. */
void run_used(struct trial *r, const int64_t *wants, bool counts);

/* ---- what a way may ask: means of the last seconds, up to RING * TICK_S ----------------------------- */
double seen_vm_mcpu(const struct trial *r, size_t vm, int seconds);
double seen_host_mcpu(const struct trial *r, size_t host, int seconds);
bool room_for(const struct trial *r, size_t vm, size_t host);

extern const struct method ways[];
extern const size_t n_ways;
size_t look_drover(struct trial *r, struct wanted *ret, size_t most);
