/* Drover's planner and the rules of others on the same waves of load.
 *   build/plain/bench/balance [SEEDS [FIRST-HOUR HOURS [HEAT [FILE]]]]
 * HEAT 0.56: the fleet uses 58 % of its CPUs in the early afternoon; 0.72: 68 %. FILE: PlanetLab's cpu_percent.csv.
 * Prints a table, then "bench: NAME VALUE UNIT". */
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/bench.h"
#include "tests/bench/planfleet.h"
#include "tests/bench/table.h"

enum { HOSTS = 200 };

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
        struct trial r;
        if (!way_is_wanted(&ways[i]))
            continue;
        run_make(&r, &w, &ways[i], from, from + (size_t)a->hours * 3600 / TICK_S);
        row_add(&rows[i], &ways[i], &r.tally);
        run_done(&r);
    }
    waves_done(&w);
    return 0;
}

int main(int argc, char **argv)
{
    int first = argc > 2 ? (int)bench_int("FIRST", argv[2], 0, 23) : 0;
    struct ask a = {.seeds = argc > 1 ? (int)bench_int("RUNS", argv[1], 1, 10000) : 5,
                    .first_hour = first,
                    .hours =
                        argc > 3 ? (int)bench_int("HOURS", argv[3], 1, 24 - first) : 24 - first,
                    .heat = argc > 4 ? bench_real("HEAT", argv[4], 0, 10) : 0.56,
                    .file = argc > 5 ? argv[5] : NULL};
    struct row *rows = xcalloc(n_ways, sizeof(*rows));
    struct err e = {0};
    for (int seed = 1; seed <= a.seeds; seed++)
        if (replay(&a, seed, rows, &e) < 0) {
            fprintf(stderr, "%s\n", e.msg);
            return 1;
        }
    rows_print(rows, n_ways, "balance");
    free(rows);
    return 0;
}
