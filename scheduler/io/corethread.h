/* scheduler/io/corethread.h: the thread that owns struct core and the store.
 * Purpose  Take all queued events, step each, commit ONE transaction, then send and reply. Answer
 *          queries from the state so committed.
 * Failure  When a commit fails none of its effects is performed. The failure is logged once; queries
 *          go on (marked with "store"), requests get 503 with the cure, events are dropped. Every 5 s
 *          the store is opened anew and really written to; once that works a new core is built from
 *          it under a new term, and the agents are told to report again.
 * Time     scheduler time runs with CLOCK_MONOTONIC from a base no earlier process has passed.
 * Thread   corethread_open/_free: main; the rest runs in a thread of its own. Outputs are called there. */
#pragma once

#include "lib/net/http.h"
#include "scheduler/core/core.h"
#include "scheduler/io/queue.h"
#include "scheduler/io/recorder.h"

struct outgoing {
    char *host, *text; /* one frame */
};
struct outputs {
    void *arg;
    /* Takes the list and what it owns. */
    void (*send)(void *arg, struct outgoing *list, size_t n);
    /* Takes body (JSON). */
    void (*reply)(void *arg, uint64_t http, int status, char *body);
    /* 200 with what others are given, too (http_reply_shared). */
    void (*reply_shared)(void *arg, uint64_t http, const struct http_shared *b);
    /* The core was rebuilt: drop the agents' connections, welcome them with this term. */
    void (*restart)(void *arg, int64_t term);
    void (*ended)(void *arg); /* the queue was closed and everything in it is done */
};
struct corethread_config {
    const char *database, *vfs; /* vfs NULL = default */
    const char *recorder;       /* directory or NULL */
    int64_t heartbeat_us;
    int64_t cert_expires_wall_us; /* of our own certificate, for health; 0 unknown */
    const char *policy_dir;       /* NULL: the built-in policy */
    const char *policy_refused;   /* why, when no policy is handed in */
    int64_t retry_us;             /* between looks at a failed store, 0 = 5 s */
    struct queue *queue;
    struct outputs out;
};
struct corethread;

/* Open the store and build the core from it, with this policy (takes). NULL: the directory's was
 * refused; the last good one is the store's, and it is an error if that has none. Copies cfg's strings. */
int corethread_open(const struct corethread_config *cfg, struct policy *policy,
                    struct corethread **ret, struct err *e);
int64_t corethread_term(const struct corethread *t); /* before corethread_start */
void corethread_start(struct corethread *t);
/* Wait for the thread (close the queue first) and release. Accepts NULL, and one never started. */
void corethread_free(struct corethread *t);
