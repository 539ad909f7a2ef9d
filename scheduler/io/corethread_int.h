/* scheduler/io/corethread_int.h: what corethread.c (batches), recover.c (building the core) and
 * answers.c (JSON for the API) share.   Thread core. */
#pragma once

#include <jansson.h>
#include <pthread.h>

#include "scheduler/io/corethread.h"
#include "scheduler/io/store.h"

struct pending { /* a request the core has not answered yet */
    int64_t id;
    char *actor, *key, *request; /* key NULL: not idempotent; request: its JSON */
    uint64_t *waiters;           /* http ids */
    size_t n_waiters;
};
struct corethread {
    struct corethread_config cfg;
    pthread_t thread;
    bool started;
    struct store *store;
    struct core *core;
    struct recorder *recorder;
    int64_t term;
    int64_t mono0_us, time0_us; /* scheduler time time0 was at mono0 */
    int64_t time_limit_us;      /* stored: we may use times up to here */
    int64_t ticked_us, probed_us;
    struct err failed;      /* code != 0: the store is out of order */
    int64_t failed_wall_us; /* since when */
    struct policy held;     /* a policy that came meanwhile */
    bool have_held;
    char *policy_error; /* the directory's present state is refused; NULL: in force */
    struct pending *pending;
    size_t n_pending;
    int64_t next_request;
    struct core_effects fx;        /* of the batch */
    struct store_policy *policies; /* of the batch: to be kept; owns its strings */
    size_t n_policies;
};

int64_t ct_now(const struct corethread *t);

/* corethread.c: have the next commit keep which policy is in force, or was refused and why. */
void ct_remember_policy(struct corethread *t, const struct policy *p, const char *refused);

/* recover.c */
/* Open the store, take a new term, build the core from it, with the held policy or the old core's, and
 * commit its first effects. On failure an old core stays as it was. */
int ct_build(struct corethread *t, struct err *e);
/* While failed: each 5 s, see whether the store works again. True: t->core is new. */
bool ct_recover(struct corethread *t);
/* Commit t->fx and perform nothing yet. */
int ct_commit(struct corethread *t, struct err *e);

/* answers.c */
/* JSON text of one answer: {"schema":..., members of the shaped struct}. Gives. */
char *ct_answer(const struct corethread *t, const char *schema, const struct shape *s,
                const void *obj);
char *ct_store_error_text(const struct corethread *t);
/* Answer a query. Gives the body, sets *ret_status. */
char *ct_query(struct corethread *t, const struct item *q, int *ret_status);
