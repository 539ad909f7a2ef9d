/* Scenario folders: run one, or hold many against what they expect. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/simcli/scenario.h"
#include "scheduler/simcli/simcli.h"

enum { LOG_MAX = 64 << 20 };

int sim_cmd_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"kill-before", required_argument, NULL, 'k'}, {"early", no_argument, NULL, 'e'}, {0}};
    struct twist t = {.log = true};
    struct scenario sc;
    struct outcome o;
    struct err e = {0};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'k' && parse_int(optarg, 1, INT64_MAX, &t.kill_before, &e) < 0)
            return sim_bad(&e);
        t.kill_early |= c == 'e';
        if (c == '?')
            return sim_usage("run DIR [--kill-before N [--early]]");
    }
    if (optind + 1 != argc)
        return sim_usage("run wants one scenario");
    if (scenario_load(argv[optind], &sc, &e) < 0)
        return sim_bad(&e);
    int r = scenario_run(&sc, &t, &o, &e);
    scenario_done(&sc);
    if (r < 0)
        return sim_bad(&e);
    fputs(o.log, stdout);
    if (o.violation)
        fprintf(stderr, "drover-sim: %s: %s\n", argv[optind], o.violation);
    r = o.violation ? SIM_WRONG : SIM_OK;
    outcome_done(&o);
    return r;
}

/* The first line in which they differ. */
static void show_difference(const char *dir, const char *want, const char *have)
{
    size_t line = 1, at = 0;
    for (size_t i = 0; want[i] && want[i] == have[i]; i++)
        if (want[i] == '\n') {
            line++;
            at = i + 1;
        }
    printf("  %s/log.expect:%zu: expected %.*s\n  %*s  it says  %.*s\n", dir, line,
           (int)strcspn(want + at, "\n"), want + at, (int)strlen(dir), "",
           (int)strcspn(have + at, "\n"), have + at);
}

static bool log_as_expected(const char *dir, const char *log, bool update)
{
    cleanup(freep) char *path = xasprintf("%s/log.expect", dir);
    cleanup(freep) char *want = NULL;
    struct err e = {0};
    if (update) {
        cleanup(fclosep) FILE *f = fopen(path, "we");
        if (f && fputs(log, f) >= 0 && fflush(f) == 0)
            return true;
        printf("  %s: %s\n", path, strerror(errno));
        return false;
    }
    if (file_read(path, LOG_MAX, &want, NULL, &e) < 0) {
        printf("  %s; `drover-sim check --update %s` writes it\n", e.msg, dir);
        return false;
    }
    if (str_eq(want, log))
        return true;
    show_difference(dir, want, log);
    return false;
}

int scenario_crash_all(const struct scenario *sc, int64_t effects, int64_t most, int64_t *ret_runs)
{
    int64_t each = most > 0 && effects > most ? most / 2 : effects; /* the first ones; then some */
    int64_t stride = effects > each ? (effects - each) / (most - each) + 1 : 1;
    for (int64_t i = 1; i <= effects; i += i < each ? 1 : stride)
        for (int early = 0; early < 2; early++) {
            struct outcome o;
            struct err e = {0};
            const struct twist t = {.kill_before = i, .kill_early = early};
            if (scenario_run(sc, &t, &o, &e) < 0)
                return sim_bad(&e);
            ++*ret_runs;
            if (o.violation)
                printf("  drover-sim run %s --kill-before %lld%s: %s\n", sc->name, (long long)i,
                       early ? " --early" : "", o.violation);
            bool bad = o.violation != NULL;
            outcome_done(&o);
            if (bad)
                return SIM_WRONG;
        }
    return SIM_OK;
}

static bool check_one(const char *dir, bool update, int64_t most)
{
    struct scenario sc;
    struct outcome o, again;
    struct err e = {0};
    int64_t crashes = 0;
    if (scenario_load(dir, &sc, &e) < 0 ||
        scenario_run(&sc, &(struct twist){.log = true}, &o, &e) < 0) {
        printf("not ok %s: %s\n", dir, e.msg);
        return false;
    }
    bool ok = !o.violation;
    if (o.violation)
        printf("  %s\n", o.violation);
    ok = log_as_expected(dir, o.log, update) && ok;
    if (scenario_run(&sc, &(struct twist){.log = true}, &again, &e) == 0) {
        if (!str_eq(o.log, again.log)) {
            printf("  a second run says otherwise\n");
            ok = false;
        }
        outcome_done(&again);
    }
    if (ok && sc.crash)
        ok = scenario_crash_all(&sc, o.effects, most, &crashes) == SIM_OK;
    printf("%s %s", ok ? "ok" : "not ok", dir);
    if (crashes)
        printf(" (and %lld crashes)", (long long)crashes);
    putchar('\n');
    outcome_done(&o);
    scenario_done(&sc);
    return ok;
}

int sim_cmd_check(int argc, char **argv)
{
    static const struct option options[] = {
        {"update", no_argument, NULL, 'u'}, {"crashes", required_argument, NULL, 'c'}, {0}};
    bool update = false;
    int64_t most = 0;
    int bad = 0;
    struct err e;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        update |= c == 'u';
        if (c == 'c' && parse_int(optarg, 1, INT64_MAX, &most, &e) < 0)
            return sim_bad(&e);
        if (c == '?')
            return sim_usage("check [--update] [--crashes N] DIR...");
    }
    if (optind == argc)
        return sim_usage("check wants scenarios");
    for (int i = optind; i < argc; i++)
        bad += !check_one(argv[i], update, most);
    printf("scenarios: %d passed, %d failed, 0 skipped\n", argc - optind - bad, bad);
    return bad ? SIM_WRONG : SIM_OK;
}
