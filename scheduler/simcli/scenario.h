/* scheduler/simcli/scenario.h: a story for the simulator, as a folder or in memory.
 * Shapes   README (for people), cluster.json (docs/snapshot.md), policy.yaml (may be missing), script:
 *          lines of deeds (docs/simulator.md), and
 *            seed N            of the planner and of all chances; 1 if not said
 *            until 10min       longest virtual time; an hour after the last deed if not said
 *            crash             it must also hold when the scheduler dies before any of its effects
 *            expect ...        see expect.c
 * Owner    struct scenario owns its texts (scenario_done).   Errors file:line.   Thread main. */
#pragma once

#include "scheduler/sim/sim.h"

struct scenario_line {
    char *text;
    int64_t no; /* in its file */
};
struct scenario {
    char *name;             /* folder, for messages */
    char *cluster, *policy; /* texts; policy NULL: none */
    struct scenario_line *script;
    size_t n_script;
    uint64_t seed;
    int64_t until_us;
    bool crash;
};
int scenario_load(const char *dir, struct scenario *ret, struct err *e);
int scenario_save(const struct scenario *sc, const char *dir, const char *readme, struct err *e);
/* Reads the settings among the script's lines. After scenario_load, or once made in memory. */
int scenario_prepare(struct scenario *sc, struct err *e);
void scenario_done(struct scenario *sc);

struct twist {           /* one way in which a scenario is run */
    int64_t kill_before; /* struct sim_config */
    bool kill_early;
    bool log; /* keep it */
};
struct outcome {
    char *violation; /* what did not hold, or an expectation that failed; NULL: all well */
    char *log;
    int64_t ended_us, effects, events;
};
/* -EINVAL: the scenario itself is bad. */
int scenario_run(const struct scenario *sc, const struct twist *t, struct outcome *ret,
                 struct err *e);
void outcome_done(struct outcome *o);
/* check.c: once for each of its effects, and with and without having stored what it decided. Says what
 * goes wrong. most > 0: of more effects than that, the first half of so many, then every n-th. An exit
 * code of simcli.h. */
int scenario_crash_all(const struct scenario *sc, int64_t effects, int64_t most, int64_t *ret_runs);

/* expect.c: is what the line says true of the simulation at its end? NULL: yes; else a sentence
 * (given). Lines: run N STATE · vm NAME on HOST · vm NAME off · host NAME STATE · cpu HOST LOW%..HIGH% · log "TEXT" ·
 * no log "TEXT" · end before DURATION. */
char *expect_check(const struct sim *s, const char *line);

/* soak.c: a random fleet with random rules, requests and faults. */
void soak_make(uint64_t seed, struct scenario *ret);
/* shrink.c: leaves out what is not needed for the violation; says how far it came. */
void scenario_shrink(struct scenario *sc, const struct twist *t);
