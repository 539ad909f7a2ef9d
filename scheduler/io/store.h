/* scheduler/io/store.h: the scheduler's memory on disk (SQLite, WAL, synchronous=FULL).
 * Purpose  Journal before effect: what the core decided is committed here in one transaction per
 *          batch, and only then carried out.
 * Shapes   rows = columns for people + `detail`, the whole shaped struct as JSON (schema/db/).
 * Owner    borrows everything it is given; loads give by callback (borrowed until it returns).
 * Errors   -EUCLEAN the file is no database or is damaged; -EPROTONOSUPPORT written by a newer
 *          version; -EBUSY another scheduler uses it; -EROFS, -EACCES, -ENOSPC, -EIO as they are.
 *          Messages name the file and the way out. After any error inside a batch the batch can only
 *          be rolled back; the data is as before it.
 * Thread   one (core thread). store_backup_file is for another process. */
#pragma once

#include "lib/base/err.h"
#include "lib/net/sha256.h"
#include "scheduler/core/state.h"
#include "scheduler/io/xml.h"

struct store;
struct store_options {
    const char *path;
    const char *vfs; /* SQLite VFS, NULL = default */
};

/* Open or create, take the lock (path + ".lock"), check, migrate. Gives *ret. */
int store_open(const struct store_options *o, struct store **ret, struct err *e);
void store_close(struct store *s); /* accepts NULL */

struct store_sink {
    void *arg;
    void (*host)(void *arg, const struct host_rec *h);
    void (*vm)(void *arg, const char *host, const struct vm *v, int64_t since_wall_us);
    void (*run)(void *arg, const struct run *r);
    void (*move)(void *arg, const struct move *m);
    void (*sample)(void *arg, const struct sample *x); /* NULL: not wanted */
};
/* Hosts, then their VMs, their samples, every run that has not ended and the newest LIM_RUNS_KEPT, and the moves of those. */
int store_load(struct store *s, const struct store_sink *to, int64_t *ret_next_seq, struct err *e);

/* A new leadership: term = stored + 1, committed. */
int store_new_term(struct store *s, int64_t *ret_term, struct err *e);
/* Scheduler time from which this process may start: not before any time used by an earlier one. */
int store_time_base(struct store *s, int64_t *ret_now_us, struct err *e);

/* One batch. Between begin and commit: puts. A put that fails makes the commit fail with its error. */
int store_begin(struct store *s, struct err *e);
void store_put_host(struct store *s, const struct host_rec *h);
void store_put_vm(struct store *s, const char *host, const struct vm *v, int64_t since_wall_us);
void store_put_sample(struct store *s, const struct sample *x);
/* And its sample. */
void store_drop_vm(struct store *s, const char *host, const char *uuid);
void store_put_run(struct store *s, const struct run *r);
void store_put_move(struct store *s, const struct move *m);
void store_put_entry(struct store *s, const struct entry *n);
void store_put_xml(struct store *s, const struct xml_blob *x); /* no matter if it is there already */
/* No process after this one will use a scheduler time below. */
void store_put_time(struct store *s, int64_t now_us);
struct store_policy {
    int64_t wall_us;
    bool refused, clean;
    const char *revision, *dir, *message;
    const char *kept; /* the whole of it, for store_kept_policy; NULL: as before */
};
void store_put_policy(struct store *s, const struct store_policy *p);
/* What was last kept. -ENOENT when nothing was. Gives. */
int store_kept_policy(struct store *s, char **ret, struct err *e);
void store_put_suspension(struct store *s, const struct suspension *x);
/* Left empty when there was none. -EBADMSG: it is damaged. Gives. */
int store_get_suspension(struct store *s, struct suspension *ret, struct err *e);
/* The answer to a request with an Idempotency-Key; also forgets those older than a day. */
struct store_answer {
    const char *actor, *key;
    int64_t wall_us;
    const char *request, *reply; /* JSON text */
};
void store_put_answer(struct store *s, const struct store_answer *a);
int store_commit(struct store *s, struct err *e); /* rolls back when it fails */
void store_rollback(struct store *s);

/* A real write of some size, undone: does the store take writes again? */
int store_probe(struct store *s, struct err *e);

/* The answer given to this key within the last day. -ENOENT when none. Gives both texts. */
int store_find_answer(struct store *s, const struct store_answer *key, char **ret_request,
                      char **ret_reply, struct err *e);
/* Journal after seq, oldest first, at most limit; run 0 = all. Adds to the list (vec_add), entry_shape. */
struct store_query {
    int64_t run, after, limit;
};
int store_journal(struct store *s, const struct store_query *q, struct entry **list, size_t *n,
                  struct err *e);

/* ---- texts of VMs' XML (store_xml.c) ----------------------------------------------------------- */
bool store_has_xml(struct store *s, const char *digest); /* also within a batch */
/* -ENOENT; -EUCLEAN: damaged. Gives. */
int store_get_xml(struct store *s, const char *digest, char **ret_text, struct err *e);
struct store_place { /* a VM's row; zeroed: before the first */
    char *host, *uuid;
};
void store_place_done(struct store_place *p);
struct store_lacks {
    int limit; /* rows to look at */
    void *arg;
    void (*lacks)(void *arg, const char *host, const char *digest);
};
/* Which digests of the VMs after *at have no text? Moves *at on; zeroed: that was the last. */
int store_xml_lacks(struct store *s, struct store_place *at, const struct store_lacks *to,
                    struct err *e);
struct store_sweep {
    char at[SHA256_HEX + 1]; /* the last one looked at; empty: before the first, after the last */
    int limit;
    size_t gone;
};
/* Removes those of the next texts that no VM has any more, in a batch of its own. */
int store_xml_sweep(struct store *s, struct store_sweep *w, struct err *e);

/* A consistent copy while a scheduler runs on it. Refuses to overwrite. */
int store_backup_file(const char *path, const char *to, struct err *e);
