/* Drover's core and the rules of others on the same waves of load, all in the simulator: moves take their time
 * on the links, and pause their guests. Drover decides and moves as in production, by its schedule; the others'
 * moves are those of another hand (virsh), as many at once as their products have by default.
 *   build/plain/bench/replay [FIRST-SEED SEEDS FIRST-HOUR HOURS [HEAT [FILE [POLICY [MINUTES]]]]]
 * HEAT as in balance.c; FILE: PlanetLab's cpu_percent.csv, "-": waves. POLICY: nothing but Drover,
 * with this for `balance`, looking so often. Prints a table, then "bench: NAME VALUE UNIT". */
#include <stdio.h>
#include <stdlib.h>

#include "scheduler/sim/copy.h"
#include "tests/bench/bench.h"
#include "tests/bench/table.h"

enum { HOSTS = 200, WARM_TICKS = 20 * 60 / TICK_S };

struct replay {
    struct sim *s;
    struct trial r;
    struct wanted *queue; /* ordered by the way, not begun */
    size_t n_queue;
};

static void must(int code, const struct err *e)
{
    if (code >= 0)
        return;
    fprintf(stderr, "replay: %s\n", e->msg);
    exit(2);
}

/* ---- the fleet ----------------------------------------------------------------------------------------- */

static void begin(struct replay *y, const struct waves *w, const struct method *way, uint64_t seed)
{
    run_begin(&y->r, w, way);
    for (size_t h = 0; h < w->n_hosts; h++) {
        struct host *host = &y->r.f.hosts[h];
        host->mem_bytes += 16 * GIB; /* what QEMU takes beyond its guests */
        *(char **)vec_add(&host->addresses, &host->n_addresses) =
            xasprintf("10.0.%zu.%zu", h / 250, h % 250 + 1);
    }
    struct policy p;
    policy_of(NULL, &p);
    y->s = sim_new(&(struct sim_config){
        .fleet = &y->r.f.s, .policy = &p, .seed = seed, .times = sim_times_default()});
}

/* From the first look on, which is in the next tick, as the others': until then nobody moves anything. The
 * simulator's first day, a Thursday, begins when measuring does. */
static void let_drover(struct replay *y)
{
    const struct method *way = y->r.way;
    struct err e = {0};
    cleanup(freep) char *text =
        xasprintf("schedule: \"*/%d * * * *\", approve: auto, "
                  "window: [\"Thu 00:%02d-24:00 UTC\", \"Fri-Wed 00:00-24:00 UTC\"], %s",
                  way->every_ticks * TICK_S / 60, WARM_TICKS * TICK_S / 60, way->balance);
    struct deed d = {.at_us = sim_now(y->s), .kind = DEED_POLICY};
    d.loaded = xcalloc(1, sizeof(*d.loaded));
    policy_of(text, d.loaded);
    d.policy = xstrdup("balance");
    must(sim_add(y->s, &d, &e), &e);
    deed_done(&d);
}

/* ---- one tick ------------------------------------------------------------------------------------------ */

static void set_demand(struct replay *y)
{
    const struct waves *w = y->r.w;
    const uint16_t *demand = &w->demand[y->r.tick * w->n_vms];
    for (size_t i = 0; i < w->n_vms; i++) {
        struct cpu_habit habit = {.low_ppm = (int64_t)demand[i] * 1000 / w->vcpus[i]};
        guest_cpu(y->s, &y->s->vms[i], &habit);
    }
}

static bool may_begin(const struct replay *y, const struct wanted *x)
{
    const struct method *way = y->r.way;
    size_t here = 0;
    for (size_t i = 0; i < y->s->n_copies; i++)
        here += y->s->copies[i]->from == y->r.at[x->vm];
    return (!way->at_once || y->s->n_copies < way->at_once) &&
           (!way->at_once_host || here < way->at_once_host);
}

/* Those whose turn it is, each by another hand. */
static void begin_moves(struct replay *y)
{
    size_t kept = 0;
    for (size_t i = 0; i < y->n_queue; i++) {
        const struct wanted *x = &y->queue[i];
        if (!may_begin(y, x)) {
            y->queue[kept++] = *x;
            continue;
        }
        struct deed d = {.kind = DEED_HAND,
                         .what = (char *)(uintptr_t) "migrate",
                         .vm = y->s->vms[x->vm].facts.name,
                         .to = y->s->hosts[x->to].facts.name};
        deed_happen(y->s, &d);
        y->r.tally.refused += !y->s->vms[x->vm].copy;
    }
    y->n_queue = kept;
}

/* Where VMs run now. */
static void notice_moves(struct replay *y)
{
    for (size_t i = 0; i < y->r.w->n_vms; i++) {
        const struct sim_vm *v = &y->s->vms[i];
        for (size_t k = 0; k < v->n_qemus; k++)
            if (v->qemus[k].state == QEMU_RUNNING && v->qemus[k].host != y->r.at[i])
                run_arrived(&y->r, (int)i, v->qemus[k].host);
    }
}

static void look(struct replay *y)
{
    struct trial *r = &y->r;
    for (size_t h = 0; h < r->w->n_hosts; h++)
        r->mem_gib[h] = 0;
    for (size_t i = 0; i < r->w->n_vms; i++)
        r->mem_gib[r->at[i]] += r->w->gib[i];
    r->tally.looks++;
    y->n_queue = r->way->look(r, y->queue, r->w->n_vms);
}

static void tick(struct replay *y, bool counts)
{
    struct trial *r = &y->r;
    cleanup(freep) int64_t *wants = xcalloc(r->w->n_hosts, sizeof(*wants));
    set_demand(y);
    for (int second = 0; second < TICK_S; second++) {
        begin_moves(y);
        sim_run(y->s, sim_now(y->s) + SEC);
    }
    notice_moves(y);
    for (size_t h = 0; h < r->w->n_hosts; h++)
        wants[h] = host_wants_mcpu(y->s, (int)h);
    run_used(r, wants, counts);
}

/* ---- a replay -------------------------------------------------------------------------------------------- */

static void end(struct replay *y)
{
    struct tally *t = &y->r.tally;
    for (size_t i = 0; i < y->r.w->n_vms; i++)
        t->moves += y->r.moves_of[i];
    t->pause_s = (double)y->s->copied.pause_us / (double)SEC;
    t->copied_gib = (double)y->s->copied.bytes / (double)GIB;
    if (sim_violation(y->s)) {
        fprintf(stderr, "replay: %s: %s\n", y->r.way->name, sim_violation(y->s));
        exit(1);
    }
}

static void keep_log(const struct replay *y, uint64_t seed)
{
    cleanup(freep) char *name =
        xasprintf("%s-%s-%llu.log", getenv("LOG"), y->r.way->name, (unsigned long long)seed);
    FILE *f = fopen(name, "we");
    if (!f)
        return;
    fputs(sim_log(y->s), f);
    fclose(f);
}

struct ask {
    uint64_t seed;
    size_t from, to; /* ticks */
    double heat;
    const char *file; /* PlanetLab's traces, NULL: waves */
    const struct method *ways;
    size_t n_ways;
};

static void replay(const struct ask *a, const struct waves *w, const struct method *way,
                   struct row *row)
{
    struct replay y = {.queue = xcalloc(w->n_vms, sizeof(*y.queue))};
    bool drover = way->look == look_drover;
    begin(&y, w, way, a->seed);
    for (y.r.tick = a->from - WARM_TICKS; y.r.tick < a->to; y.r.tick++) {
        if (y.r.tick + 1 == a->from && drover)
            let_drover(&y);
        if (y.r.tick >= a->from && way->look && !drover && !y.n_queue && !y.s->n_copies &&
            (y.r.tick - a->from) % (size_t)way->every_ticks == 0)
            look(&y);
        tick(&y, y.r.tick >= a->from);
    }
    end(&y);
    if (getenv("LOG"))
        keep_log(&y, a->seed);
    row_add(row, way, &y.r.tally);
    sim_free(y.s);
    run_done(&y.r);
    free(y.queue);
}

static void replay_all(const struct ask *a, struct row *rows)
{
    struct waves w;
    struct err e = {0};
    if (a->file)
        must(waves_read(&w, a->file, a->seed, &e), &e);
    else
        waves_make(&w, HOSTS, 1, a->heat, a->seed);
    for (size_t i = 0; i < a->n_ways; i++)
        if (way_is_wanted(&a->ways[i]) && !a->ways[i].days)
            replay(a, &w, &a->ways[i], &rows[i]);
    waves_done(&w);
}

/* SEED RUNS FIRST HOURS HEAT FILE BALANCE MINUTES, each may be left out from the right. */
int main(int argc, char **argv)
{
    int64_t minutes = argc > 8 ? bench_int("MINUTES", argv[8], 1, 1440) : 5;
    const struct method trial = {.name = "Drover",
                                 .look = look_drover,
                                 .every_ticks = (int)minutes * 60 / TICK_S,
                                 .balance = argc > 7 ? argv[7] : NULL};
    size_t hour = argc > 3 ? (size_t)bench_int("FIRST", argv[3], 0, 23) : 9,
           hours = argc > 4 ? (size_t)bench_int("HOURS", argv[4], 1, (int64_t)(24 - hour)) : 2;
    struct ask a = {.seed = argc > 1 ? (uint64_t)bench_int("SEED", argv[1], 0, INT64_MAX) : 1,
                    .from = hour * 3600 / TICK_S,
                    .to = (hour + hours) * 3600 / TICK_S,
                    .heat = argc > 5 ? bench_real("HEAT", argv[5], 0, 10) : 0.56,
                    .file = argc > 6 && !str_eq(argv[6], "-") ? argv[6] : NULL,
                    .ways = trial.balance ? &trial : ways,
                    .n_ways = trial.balance ? 1 : n_ways};
    struct row *rows = xcalloc(a.n_ways, sizeof(*rows));
    for (int64_t left = argc > 2 ? bench_int("RUNS", argv[2], 1, 10000) : 3; left > 0;
         left--, a.seed++)
        replay_all(&a, rows);
    rows_print(rows, a.n_ways, "replay");
    free(rows);
    return 0;
}
