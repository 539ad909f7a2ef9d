/* tests/unit/storefix.h: a store in a folder of its own, and generations of data: all rows of one say the
 * same number, so half a transaction shows. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/io/store.h"
#include "scheduler/plan/snapshot.h"
#include "tests/unit/faultvfs.h"

struct fx {
    char dir[64];
    char db[96];
};

static inline int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int setup(void **state)
{
    struct fx *f = xcalloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/drover-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->db, sizeof(f->db), "%s/drover.db", f->dir);
    fault = (struct fault){0};
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fx *f = *state;
    char beside[sizeof(f->dir) + 8]; /* of the test that opens the folder itself as a database */
    snprintf(beside, sizeof(beside), "%s.lock", f->dir);
    unlink(beside);
    nftw(f->dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static inline struct store *open_ok(const char *path, const char *vfs)
{
    struct err e = {0};
    struct store *s = NULL;
    if (store_open(&(struct store_options){.path = path, .vfs = vfs}, &s, &e) < 0)
        fail_msg("%s", e.msg);
    return s;
}

static inline int open_fails(const char *path, struct err *e)
{
    struct store *s = NULL;
    *e = (struct err){0};
    int r = store_open(&(struct store_options){.path = path}, &s, e);
    assert_true(r < 0);
    assert_int_equal(r, e->code);
    assert_null(s);
    return r;
}

static inline void sql(const char *path, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char *msg = NULL;
    if (sqlite3_exec(db, text, NULL, NULL, &msg) != SQLITE_OK)
        fail_msg("%s", msg);
    sqlite3_close(db);
}

static inline int64_t number(const char *path, const char *query)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

static inline void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not contain '%s'", text, part);
}

enum { ENTRIES_PER_GEN = 3 };

static inline struct entry entry_of(int64_t seq, char *text)
{
    return (struct entry){
        .seq = seq, .wall_us = seq, .run = 1, .kind = (char *)"test", .text = text};
}

static inline int put_generation(struct store *s, int g, struct err *e)
{
    int r = store_begin(s, e);
    if (r < 0)
        return r;
    char name[16], xml[60001];
    snprintf(name, sizeof(name), "g%d", g);
    memset(xml, 'a' + g % 26, sizeof(xml) - 1); /* several pages */
    xml[sizeof(xml) - 1] = '\0';
    struct run run;
    shape_init(&run_shape, &run);
    run.id = 1;
    run.host = (char *)"h1";
    run.moved = g;
    struct host_rec h = {.name = (char *)"h1", .reason = name, .run = 1};
    shape_init(&host_shape, &h.last);
    h.last.name = (char *)"h1";
    struct vm v;
    shape_init(&vm_shape, &v);
    v.uuid = (char *)"u1";
    v.name = name;
    v.xml = xml;
    struct move m;
    shape_init(&move_shape, &m);
    m.id = g;
    m.run = 1;
    m.vm = (char *)"u1";
    store_put_host(s, &h); /* before the run it names: the reference is checked at the commit */
    store_put_vm(s, "h1", &v, g);
    store_put_move(s, &m);
    store_put_run(s, &run);
    for (int i = 0; i < ENTRIES_PER_GEN; i++) {
        struct entry n = entry_of((g - 1) * ENTRIES_PER_GEN + i + 1, name);
        store_put_entry(s, &n);
    }
    return store_commit(s, e);
}

struct sight {
    int run_gen, host_gen, vm_gen, last_move, moves;
};
static inline int gen_of(const char *name)
{
    return (int)strtol(name + 1, NULL, 10);
}
static inline void see_host(void *arg, const struct host_rec *h)
{
    ((struct sight *)arg)->host_gen = gen_of(h->reason);
}
static inline void see_vm(void *arg, const char *host, const struct vm *v, int64_t since)
{
    struct sight *s = arg;
    assert_string_equal(host, "h1");
    s->vm_gen = gen_of(v->name);
    assert_int_equal(since, s->vm_gen);
    assert_int_equal(v->xml[59999], 'a' + s->vm_gen % 26);
}
static inline void see_run(void *arg, const struct run *r)
{
    ((struct sight *)arg)->run_gen = (int)r->moved;
}
static inline void see_move(void *arg, const struct move *m)
{
    struct sight *s = arg;
    s->last_move = (int)m->id;
    s->moves++;
}

/* The generation the database holds; fails the test when its rows disagree. */
static inline int generation(struct store *s)
{
    struct sight x = {0};
    struct err e = {0};
    int64_t next = 0;
    if (store_load(s, &(struct store_sink){&x, see_host, see_vm, see_run, see_move, NULL}, &next,
                   &e) < 0)
        fail_msg("%s", e.msg);
    if (x.host_gen != x.run_gen || x.vm_gen != x.run_gen || x.last_move != x.run_gen ||
        x.moves != x.run_gen || next != (int64_t)x.run_gen * ENTRIES_PER_GEN + 1)
        fail_msg("half a transaction: run %d host %d vm %d move %d of %d, next seq %d", x.run_gen,
                 x.host_gen, x.vm_gen, x.last_move, x.moves, (int)next);
    return x.run_gen;
}
