/* agent/io/agent.h: the parts of the agent and how they reach each other.
 * Thread   everything belongs to the loop thread, except what a comment says. Work on libvirt and
 *          Ceph goes through workers.h with copies.
 * Flow     libvirt events -> inventory -> reporter (agent/core) -> session -> scheduler
 *          scheduler -> session -> commands -> cmds (agent/core), workers -> session */
#pragma once

#include "agent/core/cmds.h"
#include "agent/core/reporter.h"
#include "agent/hv/hv.h"
#include "agent/io/config.h"
#include "agent/io/workers.h"
#include "agent/rbd/client.h"
#include "lib/base/rng.h"
#include "lib/net/loop.h"
#include "lib/net/tls.h"

enum { UUID_BYTES = 37 };

struct inventory;
struct session;
struct commands;
struct progress_watch;
struct dirty_watch;
struct load_watch;

struct agent {
    struct config cfg;
    struct loop *loop;
    struct tls *tls;
    struct workers *workers;
    struct hv *hv;
    struct rbd_client *rbd;
    struct cmds *cmds;
    struct reporter *reporter;
    struct inventory *inventory;
    struct session *session;
    struct commands *commands;
    struct progress_watch *progress;
    struct dirty_watch *dirty;
    struct load_watch *load;
    struct rng rng;
    char instance[33];     /* random per process */
    int64_t clock_skew_us; /* -1 unknown; set at each welcome */
};

/* ---- inventory.c: keeps the reporter equal to what libvirt says --------------------------------- */
struct inventory *inventory_new(struct agent *a);
void inventory_free(struct inventory *i);
/* Read this domain again soon. */
void inventory_dirty(struct inventory *i, const char *uuid);

/* ---- ownfacts.c: what this host knows of itself without libvirt ----------------------------------- */
void ownfacts_fill(struct agent *a, bool libvirt_up, struct host *h);

/* ---- session.c: the connection to the scheduler -------------------------------------------------- */
int session_new(struct agent *a, struct session **ret, struct err *e);
void session_free(struct session *s);
/* The reporter may have something to say. */
void session_flush(struct session *s);
/* Send an answer, or keep it until the scheduler is back. Takes the body. */
void session_answer(struct session *s, struct msg *m);
/* Send if connected, else forget. Borrows. */
void session_tell(struct session *s, enum msg_type type, void *body);

/* ---- commands.c ---------------------------------------------------------------------------------- */
struct commands *commands_new(struct agent *a);
void commands_free(struct commands *c);
/* A command came in. Takes the message. */
void commands_take(struct commands *c, struct msg *m);
int commands_migrating(const struct commands *c);

/* ---- progress.c: migrations that leave this host, whoever began them ------------------------------ */
struct progress_watch *progress_new(struct agent *a);
void progress_free(struct progress_watch *p);
/* This domain is moving, or is about to. Harmless if it is not. */
void progress_add(struct progress_watch *p, const char *uuid);

/* ---- dirtyrate.c: how fast guests write, one guest at a time --------------------------------------- */
struct dirty_watch *dirty_watch_new(struct agent *a); /* for good */

/* ---- loadwatch.c: how busy this host and its guests are -------------------------------------------- */
struct load_watch *load_watch_new(struct agent *a); /* for good */

/* ---- carry.c: what a worker does for one command; no loop, any thread ----------------------------- */
/* Fills *ret (body given, id 0, re = the command's id). host: a copy of this host's facts. */
struct carry {
    struct hv *hv;
    struct rbd_client *rbd;
    const struct config *cfg;
    struct host host;
    const bool *cancel;    /* migrate: read just before libvirt is asked */
    int64_t abort_wait_us; /* abort: how long the migration may still be on its way to libvirt */
    struct tls *tls;       /* check_host */
    int64_t clock_skew_us; /* check_host; -1 unknown */
};
void carry_out(const struct carry *c, const struct msg *m, struct msg *ret);

/* ---- checkhost.c --------------------------------------------------------------------------------- */
/* Checks of this host by itself, in the style of virt-host-validate. Any thread, blocks. */
void check_this_host(const struct carry *c, struct host_checked *ret);

/* ---- begun.c: migrations begun by this agent since boot, across its restarts ---------------------- */
/* Tell cmds of those a former process began. A missing file is none. */
int begun_load(const char *folder, struct cmds *cmds, struct err *e);
/* Before libvirt is asked. */
int begun_add(const char *folder, const struct migrate *m, struct err *e);
