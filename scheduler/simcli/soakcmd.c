/* Many random scenarios; what goes wrong is made small and kept. */
#include <getopt.h>
#include <stdio.h>
#include <time.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/simcli/scenario.h"
#include "scheduler/simcli/simcli.h"

enum { CRASHES_MAX = 300 }; /* moments of one seed: a run that waits for hours has thousands */

struct soak {
    const char *out;
    bool crash;
    int64_t events, crashes, bad;
};

static void keep(const struct soak *k, struct scenario *sc, const struct twist *t,
                 const char *violation)
{
    struct err e = {0};
    cleanup(freep) char *dir = xasprintf("%s/%s", k->out, sc->name);
    cleanup(freep) char *readme = xasprintf("Found by chance (%s): %s\n", sc->name, violation);
    scenario_shrink(sc, t);
    if (dir_make(k->out, 0755, &e) < 0 || scenario_save(sc, dir, readme, &e) < 0)
        sim_bad(&e);
    else
        printf("  as a scenario: drover-sim run %s\n", dir);
    fflush(stdout);
}

static int one(struct soak *k, uint64_t seed)
{
    struct scenario sc;
    struct outcome o;
    struct err e = {0};
    const struct twist t = {0};
    soak_make(seed, &sc);
    if (scenario_run(&sc, &t, &o, &e) < 0) {
        scenario_done(&sc);
        return sim_bad(&e);
    }
    k->events += o.events;
    if (o.violation) {
        k->bad++;
        printf("seed %llu: %s\n", (unsigned long long)seed, o.violation);
        keep(k, &sc, &t, o.violation);
    } else if (k->crash) {
        int r = scenario_crash_all(&sc, o.effects, CRASHES_MAX, &k->crashes);
        k->bad += r != SIM_OK;
        if (r != SIM_OK)
            keep(k, &sc, &t, "see the crash above");
    }
    outcome_done(&o);
    scenario_done(&sc);
    return SIM_OK;
}

int sim_cmd_soak(int argc, char **argv)
{
    static const struct option options[] = {
        {"crash", no_argument, NULL, 'c'}, {"out", required_argument, NULL, 'o'}, {0}};
    struct soak k = {.out = "soak"};
    long long from = 0, to = 0;
    int end = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        k.crash |= c == 'c';
        k.out = c == 'o' ? optarg : k.out;
        if (c == '?')
            return sim_usage("soak FROM..TO [--crash] [--out DIR]");
    }
    if (optind + 1 != argc || sscanf(argv[optind], "%lld..%lld%n", &from, &to, &end) != 2 ||
        argv[optind][end] || from < 0 || to < from)
        return sim_usage("soak wants seeds: FROM..TO, such as 1..1000");
    clock_t began = clock();
    for (long long i = from; i <= to; i++) {
        int r = one(&k, (uint64_t)i);
        if (r != SIM_OK)
            return r;
    }
    printf("soak: %lld events, %lld crashes, %.1f s of CPU\n", (long long)k.events,
           (long long)k.crashes, (double)(clock() - began) / CLOCKS_PER_SEC);
    printf("soak: %lld passed, %lld failed, 0 skipped\n", to - from + 1 - k.bad, (long long)k.bad);
    return k.bad ? SIM_WRONG : SIM_OK;
}
