/* Drover's planner and the rules of others on the same waves of load.
 *   build/plain/bench/balance [SEEDS [FIRST-HOUR HOURS [HEAT [FILE]]]]
 * HEAT 0.56: the fleet uses 58 % of its CPUs in the early afternoon; 0.72: 68 %. FILE: PlanetLab's cpu_percent.csv.
 * Prints a table, then "bench: NAME VALUE UNIT". */
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/planfleet.h"
#include "tests/bench/waves.h"

enum { HOSTS = 200 };

struct row {
    struct tally sum, worst;
    int n;
};

static void add(struct row *row, const struct tally *t)
{
    struct tally *s = &row->sum, *w = &row->worst;
#define ADD(m)                                                                                     \
    s->m += t->m;                                                                                  \
    w->m = t->m > w->m ? t->m : w->m
    ADD(overload_min);
    ADD(lacking_cpu_min);
    ADD(pause_s);
    ADD(copied_gib);
    ADD(moves);
    ADD(back);
    ADD(most_of_one);
    ADD(refused);
#undef ADD
    row->n++;
}

static void print(const char *name, const struct row *r)
{
    double n = r->n;
    printf("%-18s %8.0f %8.0f  %8.0f  %7.1f %7lld  %8.1f %8.0f  %6.1f %5lld  %4lld\n", name,
           r->sum.overload_min / n, r->worst.overload_min, r->sum.lacking_cpu_min / n,
           (double)r->sum.moves / n, (long long)r->worst.moves, r->sum.pause_s / n,
           r->sum.copied_gib / n, (double)r->sum.back / n, (long long)r->worst.back,
           (long long)r->worst.most_of_one);
}

struct ask {
    int seeds, first_hour, hours;
    double heat;
    const char *file; /* PlanetLab's traces, NULL: waves */
};

/* One seed, all ways. */
static int replay(const struct ask *a, int seed, struct row *rows, struct err *e)
{
    struct waves w;
    size_t from = (size_t)a->first_hour * 3600 / TICK_S;
    if (a->file && waves_read(&w, a->file, (uint64_t)seed, e) < 0)
        return -1;
    if (!a->file) {
        waves_make(&w, HOSTS, LEARN_DAYS + 1, a->heat, (uint64_t)seed);
        from += LEARN_DAYS * TICKS_PER_DAY;
    }
    for (size_t i = 0; i < n_ways; i++) {
        struct run r;
        run_make(&r, &w, &ways[i], from, from + (size_t)a->hours * 3600 / TICK_S);
        add(&rows[i], &r.tally);
        run_done(&r);
    }
    waves_done(&w);
    return 0;
}

/* Against the one of the others that lets the least overload happen. */
static void compare(const struct row *rows)
{
    const struct row *best = &rows[0], *ours = &rows[n_ways - 1];
    for (size_t i = 1; i < n_ways; i++)
        if (ways[i].look != look_drover && rows[i].sum.overload_min < best->sum.overload_min)
            best = &rows[i];
    for (size_t i = 1; i < n_ways; i++)
        if (ways[i].look == look_drover && rows[i].sum.overload_min <= best->sum.overload_min &&
            rows[i].sum.moves < ours->sum.moves)
            ours = &rows[i];
    double n = ours->n;
    printf("bench: balance_overload_min %.1f min\n", ours->sum.overload_min / n);
    printf("bench: balance_best_other_overload_min %.1f min\n", best->sum.overload_min / n);
    printf("bench: balance_moves %.0f count\n", (double)ours->sum.moves / n);
    printf("bench: balance_moves_vs_best_other %.4f ratio\n",
           (double)ours->sum.moves / (double)best->sum.moves);
    printf("bench: balance_ping_pong %lld count\n", (long long)ours->worst.back);
}

int main(int argc, char **argv)
{
    struct ask a = {.seeds = argc > 1 ? atoi(argv[1]) : 5,
                    .first_hour = argc > 3 ? atoi(argv[2]) : 0,
                    .hours = argc > 3 ? atoi(argv[3]) : 24,
                    .heat = argc > 4 ? atof(argv[4]) : 0.56,
                    .file = argc > 5 ? argv[5] : NULL};
    struct row *rows = xcalloc(n_ways, sizeof(*rows));
    struct err e = {0};
    for (int seed = 1; seed <= a.seeds; seed++)
        if (replay(&a, seed, rows, &e) < 0) {
            fprintf(stderr, "%s\n", e.msg);
            return 1;
        }
    printf("%-18s %17s  %8s  %15s  %8s %8s  %12s  %4s\n", "", "overload, min", "lacking", "moves",
           "pauses", "copied", "back", "one");
    printf("%-18s %8s %8s  %8s  %7s %7s  %8s %8s  %6s %5s  %4s\n", "", "mean", "worst", "CPU min",
           "mean", "worst", "s", "GiB", "mean", "worst", "VM");
    for (size_t i = 0; i < n_ways; i++)
        print(ways[i].name, &rows[i]);
    compare(rows);
    free(rows);
    return 0;
}
