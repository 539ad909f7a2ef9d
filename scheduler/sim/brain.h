/* scheduler/sim/brain.h: the simulated scheduler: the real core, and what its store and its sockets would
 * keep; for the files of this room only.   brain.c, and load.c for the rows of figures.
 * Owner    struct sim.   Thread one.   PURE. */
#pragma once

#include "lib/base/lookup.h"
#include "lib/wire/msg.h"
#include "policy/policy.h"
#include "scheduler/core/core.h"
#include "scheduler/core/state.h"

struct sim;
struct kept_vm { /* a row of the store */
    char *host;
    struct vm vm;
    int64_t since_wall_us;
};
struct told { /* a command that was sent: no second time, and not before its move was stored */
    enum msg_type type;
    int64_t job, attempt, op;
};
struct kept_xml { /* a text of the store */
    char *digest, *text;
};
struct brain {
    struct core *core;    /* NULL: it is down */
    struct policy policy; /* in force when it goes down */
    struct host_rec *hosts;
    size_t n_hosts;
    struct kept_vm **vms; /* by host, then UUID */
    size_t n_vms;
    struct run *runs; /* by id */
    size_t n_runs;
    struct move *moves; /* by id */
    size_t n_moves;
    int64_t next_seq, term;
    bool store_fails, failed;
    int64_t effects;
    int64_t kill_after; /* it dies before the effect after so many; -1: it does not */
    bool kill_early;    /* and before what decided on it is stored */
    int64_t life;
    int64_t next_request;
    struct told *told;
    size_t n_told;
    struct sample *samples;
    size_t n_samples;
    struct suspension suspension;
    struct kept_xml **xml;
    size_t n_xml;
    struct lookup xml_by;         /* digest */
    const struct xml_texts *came; /* of the message being stepped */
    struct sim_lack {             /* what the core is told after the commit */
        char *host, *digest;
    } * lacks;
    size_t n_lacks;
};

void brain_start(struct sim *s);
void brain_knows_host(struct sim *s, const struct host *facts, int state); /* before brain_start */
void brain_kill(struct sim *s, bool stays);
void brain_event(struct sim *s, struct core_event *ev);
bool brain_has_xml(const struct brain *b, const char *digest); /* NULL: nothing is to be had */
void brain_free(struct brain *b);

/* load.c */
void load_keep_row(struct brain *b, const char *host, const char *vm);
void load_drop_row(struct brain *b, const char *host, const char *vm);
void load_restore(struct sim *s);
void load_done(struct brain *b);
