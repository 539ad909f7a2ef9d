#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/core/runhosts.h"
#include "scheduler/io/store_int.h"
#include "scheduler/plan/snapshot.h"

static const int64_t DAY = 86400 * SEC;

static void bind_str(sqlite3_stmt *st, int i, const char *s)
{
    if (s)
        sqlite3_bind_text(st, i, s, -1, SQLITE_TRANSIENT);
    else
        sqlite3_bind_null(st, i);
}

/* `none` is the value that means unknown or not yet: NULL in the table. */
static void bind_int_or(sqlite3_stmt *st, int i, int64_t v, int64_t none)
{
    if (v == none)
        sqlite3_bind_null(st, i);
    else
        sqlite3_bind_int64(st, i, v);
}

static void bind_detail(sqlite3_stmt *st, int i, const struct shape *shape, const void *obj)
{
    sqlite3_bind_text(st, i, codec_encode_text(shape, obj), -1, free);
}

/* The batch's first failure is kept; later puts of a failed batch do nothing. */
static void put(struct store *s, sqlite3_stmt *st)
{
    assert(s->in_batch);
    if (s->failed.code == 0)
        store_run(s, st, "write", &s->failed);
    sqlite3_clear_bindings(st);
}

void store_put_host(struct store *s, const struct host_rec *h)
{
    sqlite3_stmt *st = store_stmt(s, ST_HOST_PUT);
    bind_str(st, 1, h->name);
    bind_str(st, 2, host_state_names[h->state]);
    bind_str(st, 3, h->reason);
    bind_str(st, 4, h->actor);
    bind_int_or(st, 5, h->since_wall_us, 0);
    bind_int_or(st, 6, h->seen_wall_us, 0);
    bind_int_or(st, 7, h->run, 0);
    bind_detail(st, 8, &host_rec_shape, h);
    put(s, st);
}

void store_put_vm(struct store *s, const char *host, const struct vm *v, int64_t since_wall_us)
{
    sqlite3_stmt *st = store_stmt(s, ST_VM_PUT);
    bind_str(st, 1, host);
    bind_str(st, 2, v->uuid);
    bind_str(st, 3, v->name);
    bind_str(st, 4, vm_state_names[v->state]);
    sqlite3_bind_int64(st, 5, v->mem_bytes);
    sqlite3_bind_int64(st, 6, v->vcpus);
    sqlite3_bind_int64(st, 7, since_wall_us);
    bind_detail(st, 8, &vm_shape, v);
    bind_str(st, 9, v->xml_digest);
    bind_str(st, 10, v->xml_inactive_digest);
    put(s, st);
}

void store_put_sample(struct store *s, const struct sample *x)
{
    sqlite3_stmt *st = store_stmt(s, ST_SAMPLE_PUT);
    bind_str(st, 1, x->host);
    bind_str(st, 2, x->vm ? x->vm : "");
    bind_str(st, 3, x->name);
    sqlite3_bind_int64(st, 4, x->wall_us);
    bind_int_or(st, 5, x->cpu.h1_mcpu, -1);
    bind_int_or(st, 6, x->cpu.d1_mcpu, -1);
    bind_int_or(st, 7, x->cpu.p95_mcpu, -1);
    bind_detail(st, 8, &sample_shape, x);
    put(s, st);
}

void store_drop_vm(struct store *s, const char *host, const char *uuid)
{
    static const int both[] = {ST_VM_DROP, ST_SAMPLE_DROP};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        sqlite3_stmt *st = store_stmt(s, both[i]);
        bind_str(st, 1, host);
        bind_str(st, 2, uuid);
        put(s, st);
    }
}

void store_put_run(struct store *s, const struct run *r)
{
    sqlite3_stmt *st = store_stmt(s, ST_RUN_PUT);
    sqlite3_bind_int64(st, 1, r->id);
    bind_str(st, 2, run_kind_names[r->kind]);
    bind_str(st, 3, run_state_names[r->state]);
    sqlite3_bind_int(st, 4, run_ended(r->state));
    cleanup(freep) char *hosts = run_host_list(r, ", ");
    bind_str(st, 5, hosts ? hosts : r->host);
    bind_str(st, 6, r->actor);
    bind_str(st, 7, r->reason);
    bind_str(st, 8, r->policy_commit);
    sqlite3_bind_int64(st, 9, r->created_wall_us);
    bind_int_or(st, 10, r->started_wall_us, 0);
    bind_int_or(st, 11, r->ended_wall_us, 0);
    sqlite3_bind_int64(st, 12, r->vms);
    sqlite3_bind_int64(st, 13, r->moved);
    sqlite3_bind_int64(st, 14, r->blocked);
    sqlite3_bind_int64(st, 15, r->stopped);
    sqlite3_bind_int64(st, 16, r->bytes);
    sqlite3_bind_int64(st, 17, r->longest_pause_us);
    bind_str(st, 18, r->message);
    bind_detail(st, 19, &run_shape, r);
    put(s, st);
}

void store_put_move(struct store *s, const struct move *m)
{
    sqlite3_stmt *st = store_stmt(s, ST_MOVE_PUT);
    sqlite3_bind_int64(st, 1, m->id);
    sqlite3_bind_int64(st, 2, m->run);
    bind_str(st, 3, m->vm);
    bind_str(st, 4, m->vm_name);
    bind_str(st, 5, m->from);
    bind_str(st, 6, m->to);
    bind_str(st, 7, job_state_names[m->state]);
    sqlite3_bind_int64(st, 8, m->attempt);
    sqlite3_bind_int(st, 9, m->live);
    bind_int_or(st, 10, m->queued_wall_us, 0);
    bind_int_or(st, 11, m->copy_wall_us, 0);
    bind_int_or(st, 12, m->ended_wall_us, 0);
    bind_int_or(st, 13, m->proven_wall_us, 0);
    bind_int_or(st, 14, m->bytes, -1);
    bind_int_or(st, 15, m->total_us, -1);
    bind_int_or(st, 16, m->downtime_us, -1);
    bind_str(st, 17, m->code);
    bind_str(st, 18, m->error);
    bind_detail(st, 19, &move_shape, m);
    put(s, st);
}

void store_put_entry(struct store *s, const struct entry *n)
{
    sqlite3_stmt *st = store_stmt(s, ST_ENTRY_PUT);
    sqlite3_bind_int64(st, 1, n->seq);
    sqlite3_bind_int64(st, 2, n->wall_us);
    bind_int_or(st, 3, n->run, 0);
    bind_int_or(st, 4, n->move, 0);
    bind_str(st, 5, n->host);
    bind_str(st, 6, n->vm);
    bind_str(st, 7, n->actor);
    bind_str(st, 8, n->kind ? n->kind : "note");
    bind_str(st, 9, n->text ? n->text : "");
    bind_str(st, 10, n->detail);
    put(s, st);
}

void store_put_policy(struct store *s, const struct store_policy *p)
{
    sqlite3_stmt *st = store_stmt(s, ST_POLICY_PUT);
    sqlite3_bind_int64(st, 1, p->wall_us);
    bind_str(st, 2, p->refused ? "refused" : "in-force");
    bind_str(st, 3, p->revision);
    sqlite3_bind_int(st, 4, p->clean);
    bind_str(st, 5, p->dir);
    bind_str(st, 6, p->message);
    put(s, st);
    if (!p->kept)
        return;
    st = store_stmt(s, ST_META_PUT);
    bind_str(st, 1, "policy");
    bind_str(st, 2, p->kept);
    put(s, st);
}

static int get_meta_text(struct store *s, const char *key, char **ret, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, ST_META_GET);
    bind_str(st, 1, key);
    int r = 0, rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *ret = xstrdup((const char *)sqlite3_column_text(st, 0));
    else
        r = rc == SQLITE_DONE ? err_set(e, -ENOENT, "no %s is kept", key)
                              : store_error(s, "read", e);
    sqlite3_reset(st);
    return r;
}

int store_kept_policy(struct store *s, char **ret, struct err *e)
{
    return get_meta_text(s, "policy", ret, e);
}

void store_put_suspension(struct store *s, const struct suspension *x)
{
    sqlite3_stmt *st = store_stmt(s, ST_META_PUT);
    bind_str(st, 1, "suspension");
    bind_detail(st, 2, &suspension_shape, x);
    put(s, st);
}

int store_get_suspension(struct store *s, struct suspension *ret, struct err *e)
{
    cleanup(freep) char *text = NULL;
    int r = get_meta_text(s, "suspension", &text, e);
    *ret = (struct suspension){0};
    if (r == 0)
        r = codec_decode_text(&suspension_shape, text, ret, e);
    return r == -ENOENT ? 0 : r;
}

void store_put_answer(struct store *s, const struct store_answer *a)
{
    sqlite3_stmt *st = store_stmt(s, ST_ANSWER_OLD);
    sqlite3_bind_int64(st, 1, a->wall_us - DAY);
    put(s, st);
    st = store_stmt(s, ST_ANSWER_PUT);
    bind_str(st, 1, a->actor);
    bind_str(st, 2, a->key);
    sqlite3_bind_int64(st, 3, a->wall_us);
    bind_str(st, 4, a->request);
    bind_str(st, 5, a->reply);
    put(s, st);
}

int store_find_answer(struct store *s, const struct store_answer *key, char **ret_request,
                      char **ret_reply, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, ST_ANSWER_GET);
    bind_str(st, 1, key->actor);
    bind_str(st, 2, key->key);
    sqlite3_bind_int64(st, 3, key->wall_us - DAY);
    int r = 0, rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *ret_request = xstrdup((const char *)sqlite3_column_text(st, 0));
        *ret_reply = xstrdup((const char *)sqlite3_column_text(st, 1));
    } else {
        r = rc == SQLITE_DONE ? err_set(e, -ENOENT, "no answer was given to key '%s'", key->key)
                              : store_error(s, "read", e);
    }
    sqlite3_reset(st);
    return r;
}

/* ---- meta ------------------------------------------------------------------------------------ */
static void put_meta(struct store *s, const char *key, int64_t value)
{
    sqlite3_stmt *st = store_stmt(s, ST_META_PUT);
    bind_str(st, 1, key);
    sqlite3_bind_int64(st, 2, value);
    put(s, st);
}

static int get_meta(struct store *s, const char *key, int64_t *ret, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, ST_META_GET);
    bind_str(st, 1, key);
    int r = 0, rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(st, 0);
    else if (rc == SQLITE_DONE)
        *ret = 0;
    else
        r = store_error(s, "read", e);
    sqlite3_reset(st);
    return r;
}

int store_new_term(struct store *s, int64_t *ret_term, struct err *e)
{
    int64_t term = 0;
    int r = get_meta(s, "term", &term, e);
    if (r == 0)
        r = store_begin(s, e);
    if (r < 0)
        return r;
    put_meta(s, "term", term + 1);
    r = store_commit(s, e);
    if (r == 0)
        *ret_term = term + 1;
    return r;
}

int store_time_base(struct store *s, int64_t *ret_now_us, struct err *e)
{
    return get_meta(s, "time_us", ret_now_us, e);
}

void store_put_time(struct store *s, int64_t now_us)
{
    put_meta(s, "time_us", now_us);
}

/* ---- reading back ---------------------------------------------------------------------------- */
/* Decode column 0 of each row of st and hand it to give(). A row that cannot be read is an error: a
 * forgotten move in flight would be worse than a scheduler that does not start. */
static int load_rows(struct store *s, sqlite3_stmt *st, const struct shape *shape,
                     void (*give)(const struct store_sink *to, sqlite3_stmt *st, const void *obj),
                     const struct store_sink *to, struct err *e)
{
    cleanup(freep) void *obj = xcalloc(1, shape->size);
    int rc, r = 0;
    while (r == 0 && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        if (rc != SQLITE_ROW) {
            r = store_error(s, "read", e);
            break;
        }
        r = codec_decode_text(shape, (const char *)sqlite3_column_text(st, 0), obj, e);
        if (r < 0) {
            err_wrap(e,
                     "database '%s' has a record that drover-scheduler " DROVER_VERSION
                     " cannot read; install the version that wrote it (%s)",
                     s->path, shape->name);
            break;
        }
        give(to, st, obj);
        shape_done(shape, obj);
    }
    sqlite3_reset(st);
    return r;
}

static void give_host(const struct store_sink *to, sqlite3_stmt *st, const void *obj)
{
    (void)st;
    to->host(to->arg, obj);
}
static void give_vm(const struct store_sink *to, sqlite3_stmt *st, const void *obj)
{
    to->vm(to->arg, (const char *)sqlite3_column_text(st, 1), obj, sqlite3_column_int64(st, 2));
}
static void give_sample(const struct store_sink *to, sqlite3_stmt *st, const void *obj)
{
    (void)st;
    if (to->sample)
        to->sample(to->arg, obj);
}
static void give_run(const struct store_sink *to, sqlite3_stmt *st, const void *obj)
{
    (void)st;
    to->run(to->arg, obj);
}
static void give_move(const struct store_sink *to, sqlite3_stmt *st, const void *obj)
{
    (void)st;
    to->move(to->arg, obj);
}

int store_load(struct store *s, const struct store_sink *to, int64_t *ret_next_seq, struct err *e)
{
    int r = load_rows(s, store_stmt(s, ST_HOSTS), &host_rec_shape, give_host, to, e);
    if (r == 0)
        r = load_rows(s, store_stmt(s, ST_VMS), &vm_shape, give_vm, to, e);
    if (r == 0)
        r = load_rows(s, store_stmt(s, ST_SAMPLES), &sample_shape, give_sample, to, e);
    sqlite3_stmt *st = store_stmt(s, ST_RUNS);
    sqlite3_bind_int(st, 1, LIM_RUNS_KEPT);
    if (r == 0)
        r = load_rows(s, st, &run_shape, give_run, to, e);
    st = store_stmt(s, ST_MOVES);
    sqlite3_bind_int(st, 1, LIM_RUNS_KEPT);
    if (r == 0)
        r = load_rows(s, st, &move_shape, give_move, to, e);
    if (r < 0)
        return r;
    st = store_stmt(s, ST_LAST_SEQ);
    if (sqlite3_step(st) == SQLITE_ROW)
        *ret_next_seq = sqlite3_column_int64(st, 0) + 1;
    else
        r = store_error(s, "read", e);
    sqlite3_reset(st);
    return r;
}

static char *column_str(sqlite3_stmt *st, int i)
{
    return xstrdup((const char *)sqlite3_column_text(st, i));
}

int store_journal(struct store *s, const struct store_query *q, struct entry **list, size_t *n,
                  struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, q->run ? ST_JOURNAL_RUN : ST_JOURNAL);
    sqlite3_bind_int64(st, 1, q->after);
    sqlite3_bind_int64(st, 2, q->limit < LIM_LIST_ITEMS ? q->limit : LIM_LIST_ITEMS);
    if (q->run)
        sqlite3_bind_int64(st, 3, q->run);
    int rc, r = 0;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct entry *x = vec_add(list, n);
        *x = (struct entry){
            .seq = sqlite3_column_int64(st, 0),
            .wall_us = sqlite3_column_int64(st, 1),
            .run = sqlite3_column_int64(st, 2),
            .move = sqlite3_column_int64(st, 3),
            .host = column_str(st, 4),
            .vm = column_str(st, 5),
            .actor = column_str(st, 6),
            .kind = column_str(st, 7),
            .text = column_str(st, 8),
            .detail = column_str(st, 9),
        };
    }
    if (rc != SQLITE_DONE)
        r = store_error(s, "read", e);
    sqlite3_reset(st);
    return r;
}
