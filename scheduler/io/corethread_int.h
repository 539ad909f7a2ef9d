/* scheduler/io/corethread_int.h: what corethread.c (batches), recover.c (building the core) and
 * answers.c (JSON for the API) share.   Thread core. */
#pragma once

#include <jansson.h>
#include <pthread.h>

#include "scheduler/io/corethread.h"
#include "scheduler/io/policystate.h"
#include "scheduler/io/store.h"

struct pending { /* a request the core has not answered yet */
    int64_t id;
    char *actor, *key, *request; /* key NULL: not idempotent; request: its JSON */
    uint64_t *waiters;           /* http ids */
    size_t n_waiters;
};
struct xml_lack { /* digests of VMs on a host that the store has no text of */
    char *host;
    struct xml_names names;
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
    struct policy_state policy;
    struct pending *pending;
    size_t n_pending;
    int64_t next_request;
    struct core_effects fx;        /* of the batch */
    struct store_policy *policies; /* of the batch: to be kept; owns its strings */
    size_t n_policies;
    struct xml_blobs xml;          /* texts that came in the batch */
    struct xml_lack *lacks;        /* the core is told at the next step */
    size_t n_lacks;
    bool xml_looking, xml_changed; /* not all VMs looked at since the start; texts may have come loose */
    struct store_place xml_at;
    struct store_sweep sweep;
    int64_t swept_us;
    struct fleet *fleet;
};

int64_t ct_now(const struct corethread *t);

/* corethread.c: have the next commit keep which policy is in force, or was refused and why. */
void ct_remember_policy(struct corethread *t, const struct policy *p, const char *refused);

/* tend.c: texts of the VMs' XML */
void ct_xml_came(struct corethread *t, struct xml_blobs *b); /* takes */
/* Within a batch: keep the text of that name, and all that were reported unasked. */
void ct_xml_keep(struct corethread *t, const char *digest);
void ct_xml_keep_reported(struct corethread *t);
bool ct_xml_due(struct corethread *t); /* a batch only for those? */
/* v was put: have the core told which of its texts are lacking. */
void ct_xml_look(struct corethread *t, const char *host, const struct vm *v);
void ct_xml_forget(struct corethread *t); /* what the core was to be told */
void ct_xml_restart(struct corethread *t); /* the store was opened */
int ct_xml_tend(struct corethread *t, struct err *e); /* at a tick */

/* recover.c */
/* Open the store, take a new term, build the core from it, with the held policy or the old core's, and
 * commit its first effects. On failure an old core stays as it was. */
int ct_build(struct corethread *t, struct err *e);
/* While failed: each 5 s, see whether the store works again. True: t->core is new. */
bool ct_recover(struct corethread *t);
/* Commit t->fx and perform nothing yet. */
int ct_commit(struct corethread *t, struct err *e);

/* fleet.c: /v1/snapshot */
struct fleet *fleet_new(void);
void fleet_free(struct fleet *f);
void fleet_ask(struct fleet *f, uint64_t http);
bool fleet_due(const struct fleet *f);                      /* there is something to write now */
void fleet_slice(struct corethread *t, struct fleet *f);    /* some 2 ms of it */
void fleet_anew(struct fleet *f); /* before the core goes: what was begun of it begins again */

/* answers.c */
/* JSON text of one answer: {"schema":..., members of the shaped struct}. Gives. */
char *ct_answer(const struct corethread *t, const char *schema, const struct shape *s,
                const void *obj);
char *ct_store_error_text(const struct corethread *t);
/* Answer a query. Gives the body, sets *ret_status. NULL: it is answered later. */
char *ct_query(struct corethread *t, const struct item *q, int *ret_status);
