/* The store: what goes in comes out, whole or not at all, whatever the disk does. */
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

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    struct fx *f = xcalloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/drover-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->db, sizeof(f->db), "%s/drover.db", f->dir);
    fault = (struct fault){0};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    char beside[sizeof(f->dir) + 8]; /* of the test that opens the folder itself as a database */
    snprintf(beside, sizeof(beside), "%s.lock", f->dir);
    unlink(beside);
    nftw(f->dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static struct store *open_ok(const char *path, const char *vfs)
{
    struct err e = {0};
    struct store *s = NULL;
    if (store_open(&(struct store_options){.path = path, .vfs = vfs}, &s, &e) < 0)
        fail_msg("%s", e.msg);
    return s;
}

static int open_fails(const char *path, struct err *e)
{
    struct store *s = NULL;
    *e = (struct err){0};
    int r = store_open(&(struct store_options){.path = path}, &s, e);
    assert_true(r < 0);
    assert_int_equal(r, e->code);
    assert_null(s);
    return r;
}

static void sql(const char *path, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char *msg = NULL;
    if (sqlite3_exec(db, text, NULL, NULL, &msg) != SQLITE_OK)
        fail_msg("%s", msg);
    sqlite3_close(db);
}

static int64_t number(const char *path, const char *query)
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

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not contain '%s'", text, part);
}

/* ---- one generation of data: all rows say the same number ------------------------------------- */
enum { ENTRIES_PER_GEN = 3 };

static struct entry entry_of(int64_t seq, char *text)
{
    return (struct entry){
        .seq = seq, .wall_us = seq, .run = 1, .kind = (char *)"test", .text = text};
}

static int put_generation(struct store *s, int g, struct err *e)
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
static int gen_of(const char *name)
{
    return (int)strtol(name + 1, NULL, 10);
}
static void see_host(void *arg, const struct host_rec *h)
{
    ((struct sight *)arg)->host_gen = gen_of(h->reason);
}
static void see_vm(void *arg, const char *host, const struct vm *v, int64_t since)
{
    struct sight *s = arg;
    assert_string_equal(host, "h1");
    s->vm_gen = gen_of(v->name);
    assert_int_equal(since, s->vm_gen);
    assert_int_equal(v->xml[59999], 'a' + s->vm_gen % 26);
}
static void see_run(void *arg, const struct run *r)
{
    ((struct sight *)arg)->run_gen = (int)r->moved;
}
static void see_move(void *arg, const struct move *m)
{
    struct sight *s = arg;
    s->last_move = (int)m->id;
    s->moves++;
}

/* The generation the database holds; fails the test when its rows disagree. */
static int generation(struct store *s)
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

/* ---- tests ----------------------------------------------------------------------------------- */
static void test_round_trip(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct store *s = open_ok(f->db, NULL);
    assert_int_equal(generation(s), 0);
    for (int g = 1; g <= 3; g++)
        assert_int_equal(put_generation(s, g, &e), 0);
    store_close(s);
    s = open_ok(f->db, NULL);
    assert_int_equal(generation(s), 3);
    assert_int_equal(store_begin(s, &e), 0);
    store_drop_vm(s, "h1", "u1");
    assert_int_equal(store_commit(s, &e), 0);
    struct sight x = {0};
    int64_t next;
    assert_int_equal(store_load(s,
                                &(struct store_sink){&x, see_host, see_vm, see_run, see_move, NULL},
                                &next, &e),
                     0);
    assert_int_equal(x.vm_gen, 0);
    store_close(s);
    struct stat st;
    assert_int_equal(stat(f->db, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

struct whole {
    struct move move;
    int n;
};
static void keep_move(void *arg, const struct move *m)
{
    struct whole *w = arg;
    shape_copy(&move_shape, &w->move, m);
    w->n++;
}

static void test_rows_keep_every_member(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct move m;
    shape_init(&move_shape, &m);
    m.id = 7;
    m.run = 1;
    m.vm = xstrdup("u");
    m.vm_name = xstrdup("web \"3\" \xc3\xa9");
    m.from = xstrdup("h1");
    m.to = xstrdup("h2");
    m.state = JOB_UNCERTAIN;
    m.attempt = 2;
    m.note = xstrdup("line\nbreak");
    struct disk *d = vec_add(&m.disks, &m.n_disks);
    d->target = xstrdup("vda");
    d->kind = DISK_RBD;
    d->image = xstrdup("img");
    struct attempt *a = vec_add(&m.tried, &m.n_tried);
    a->to = xstrdup("h3");
    a->code = xstrdup("migrate_failed");
    struct store *s = open_ok(f->db, NULL);
    struct run run;
    shape_init(&run_shape, &run);
    run.id = 1;
    assert_int_equal(store_begin(s, &e), 0);
    store_put_run(s, &run);
    store_put_move(s, &m);
    assert_int_equal(store_commit(s, &e), 0);
    struct whole w = {0};
    int64_t next;
    assert_int_equal(
        store_load(s, &(struct store_sink){&w, see_host, see_vm, see_run, keep_move, NULL}, &next,
                   &e),
        -0);
    assert_int_equal(w.n, 1);
    assert_true(shape_equal(&move_shape, &m, &w.move));
    shape_done(&move_shape, &m);
    shape_done(&move_shape, &w.move);
    store_close(s);
}

struct sample_sight {
    struct sample *last;
    int n;
};
static void all_samples(void *arg, const struct sample *x)
{
    struct sample_sight *s = arg;
    s->n++;
    shape_done(&sample_shape, s->last);
    shape_copy(&sample_shape, s->last, x);
}
static void no_host(void *arg, const struct host_rec *h)
{
    (void)arg;
    (void)h;
}
static void no_vm(void *arg, const char *host, const struct vm *v, int64_t since)
{
    (void)arg;
    (void)host;
    (void)v;
    (void)since;
}
static void no_run(void *arg, const struct run *r)
{
    (void)arg;
    (void)r;
}
static void no_move(void *arg, const struct move *m)
{
    (void)arg;
    (void)m;
}

/* A row each, overwritten; a VM's goes with it. */
static void test_samples(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct store *s = open_ok(f->db, NULL);
    struct sample x = {.host = (char *)"h1",
                       .vm = (char *)"u1",
                       .name = (char *)"g1",
                       .wall_us = 5,
                       .cpu = {-1, -1, 100, 200, -1, -1, -1},
                       .kept = {.minute = 7, .fives = (char *)"00", .quarters = (char *)"01"}},
                  host = x, back = {0};
    host.vm = NULL;
    assert_int_equal(put_generation(s, 1, &e), 0);
    assert_int_equal(store_begin(s, &e), 0);
    store_put_sample(s, &host);
    store_put_sample(s, &x);
    x.cpu.h1_mcpu = 150;
    store_put_sample(s, &x);
    assert_int_equal(store_commit(s, &e), 0);
    assert_int_equal(generation(s), 1); /* who does not want them is not asked */
    assert_int_equal(number(f->db, "SELECT count(*) FROM samples"), 2);
    assert_int_equal(number(f->db, "SELECT h1_mcpu FROM samples WHERE vm = 'u1'"), 150);
    assert_int_equal(number(f->db, "SELECT count(*) FROM samples WHERE p95_mcpu IS NULL"), 2);
    int64_t next;
    struct sample_sight all = {.last = &back};
    assert_int_equal(
        store_load(s, &(struct store_sink){&all, no_host, no_vm, no_run, no_move, all_samples},
                   &next, &e),
        0);
    assert_int_equal(all.n, 2);
    assert_true(shape_equal(&sample_shape, &back, &x));
    shape_done(&sample_shape, &back);
    assert_int_equal(store_begin(s, &e), 0);
    store_drop_vm(s, "h1", "u1");
    assert_int_equal(store_commit(s, &e), 0);
    assert_int_equal(number(f->db, "SELECT count(*) FROM samples"), 1);
    store_close(s);
}

static void test_newer_version(void **state)
{
    struct fx *f = *state;
    struct err e;
    store_close(open_ok(f->db, NULL));
    sql(f->db, "PRAGMA user_version = 7");
    assert_int_equal(open_fails(f->db, &e), -EPROTONOSUPPORT);
    has(e.msg, f->db);
    has(e.msg, "has schema 7; this drover-scheduler");
    has(e.msg, ": install the version that wrote it");
}

static void test_not_ours(void **state)
{
    struct fx *f = *state;
    struct err e;
    sql(f->db, "CREATE TABLE cookies (x)");
    assert_int_equal(open_fails(f->db, &e), -EUCLEAN);
    has(e.msg, "not one of drover-scheduler's");
    char other[128];
    snprintf(other, sizeof(other), "%s/text", f->dir);
    static const char text[] = "this is a letter to my aunt, and certainly no database at all\n";
    assert_int_equal(file_write(other, text, sizeof(text), 0600, NULL), 0);
    assert_int_equal(open_fails(other, &e), -EUCLEAN);
    has(e.msg, other);
    has(e.msg, "move the file away to begin anew");
}

static void test_damaged(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct store *s = open_ok(f->db, NULL);
    for (int g = 1; g <= 5; g++)
        assert_int_equal(put_generation(s, g, &e), 0);
    store_close(s);
    struct stat st;
    assert_int_equal(stat(f->db, &st), 0);
    FILE *db = fopen(f->db, "r+");
    char noise[3000];
    memset(noise, 0xa5, sizeof(noise));
    for (long at = 2 * 4096; at < st.st_size; at += 4096) {
        fseek(db, at, SEEK_SET);
        fwrite(noise, sizeof(noise), 1, db);
    }
    fclose(db);
    assert_int_equal(open_fails(f->db, &e), -EUCLEAN);
    has(e.msg, "restore a copy made by drover-scheduler --backup");
}

static void test_two_schedulers(void **state)
{
    struct fx *f = *state;
    struct err e;
    char pid[64];
    struct store *s = open_ok(f->db, NULL);
    assert_int_equal(open_fails(f->db, &e), -EBUSY);
    snprintf(pid, sizeof(pid), "another drover-scheduler (pid %d) uses", (int)getpid());
    has(e.msg, pid);
    store_close(s);
    store_close(open_ok(f->db, NULL));
}

/* Run fn as a user without rights, when we are root (whom no mode bits stop). */
static int as_nobody(int (*fn)(const struct fx *f), const struct fx *f)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
            _exit(99);
        _exit(fn(f));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int child_open_unwritable(const struct fx *f)
{
    struct err e = {0};
    struct store *s = NULL;
    int r = store_open(&(struct store_options){.path = f->db}, &s, &e);
    return r == -EACCES && strstr(e.msg, "must exist and be writable") ? 0 : 1;
}

static int child_open_readonly_file(const struct fx *f)
{
    struct err e = {0};
    struct store *s = NULL;
    int r = store_open(&(struct store_options){.path = f->db}, &s, &e);
    return r == -EACCES && strstr(e.msg, f->db) ? 0 : 1;
}

static void test_unwritable(void **state)
{
    struct fx *f = *state;
    struct err e;
    assert_int_equal(chmod(f->dir, 0555), 0);
    assert_int_equal(as_nobody(child_open_unwritable, f), 0);
    assert_int_equal(chmod(f->dir, 0777), 0);
    store_close(open_ok(f->db, NULL));
    char lock[128];
    snprintf(lock, sizeof(lock), "%s.lock", f->db);
    unlink(lock);
    assert_int_equal(chmod(f->db, 0444), 0);
    assert_int_equal(as_nobody(child_open_readonly_file, f), 0);
    assert_int_equal(open_fails("/nonexistent/x/drover.db", &e), -ENOENT);
    has(e.msg, "/nonexistent/x/drover.db");
    assert_int_equal(open_fails(f->dir, &e), -EISDIR);
}

static void test_term_and_time(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    for (int64_t i = 1; i <= 3; i++) {
        struct store *s = open_ok(f->db, NULL);
        int64_t term = 0, base = -1;
        assert_int_equal(store_new_term(s, &term, &e), 0);
        assert_int_equal(term, i);
        assert_int_equal(store_time_base(s, &base, &e), 0);
        assert_int_equal(base, (i - 1) * 1000);
        assert_int_equal(store_begin(s, &e), 0);
        store_put_time(s, i * 1000);
        assert_int_equal(store_commit(s, &e), 0);
        store_close(s);
    }
}

static void test_journal(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct store *s = open_ok(f->db, NULL);
    for (int g = 1; g <= 4; g++)
        assert_int_equal(put_generation(s, g, &e), 0);
    struct entry *list = NULL;
    size_t n = 0;
    assert_int_equal(
        store_journal(s, &(struct store_query){.run = 1, .after = 5, .limit = 4}, &list, &n, &e),
        0);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(list[i].seq, 6 + (int64_t)i);
        assert_int_equal(list[i].run, 1);
        shape_done(&entry_shape, &list[i]);
    }
    free(list);
    list = NULL;
    n = 0;
    assert_int_equal(store_journal(s, &(struct store_query){.run = 2, .limit = 10}, &list, &n, &e),
                     0);
    assert_int_equal(n, 0);
    /* append-only, also for people with a shell */
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
    char *msg = NULL;
    assert_int_not_equal(sqlite3_exec(db, "UPDATE journal SET text='x'", NULL, NULL, &msg),
                         SQLITE_OK);
    assert_string_equal(msg, "the journal is append-only");
    sqlite3_free(msg);
    assert_int_not_equal(sqlite3_exec(db, "DELETE FROM journal", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    store_close(s);
}

static void test_failed_put_fails_the_batch(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct store *s = open_ok(f->db, NULL);
    assert_int_equal(put_generation(s, 1, &e), 0);
    assert_int_equal(store_begin(s, &e), 0);
    struct run run;
    shape_init(&run_shape, &run);
    run.id = 1;
    run.moved = 99;
    store_put_run(s, &run);
    struct entry twice = entry_of(1, (char *)"seq 1 again");
    store_put_entry(s, &twice);
    run.moved = 100;
    store_put_run(s, &run);
    assert_true(store_commit(s, &e) < 0);
    has(e.msg, "UNIQUE");
    assert_int_equal(generation(s), 1);
    assert_int_equal(put_generation(s, 2, &e), 0); /* and the store is as usable as before */
    assert_int_equal(generation(s), 2);
    store_close(s);
}

static void test_answers(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    const int64_t day = 86400 * SEC;
    struct store_answer a = {"root (uid 0)", "k1", 5 * day, "{\"verb\":\"drain\"}", "{\"run\":4}"};
    struct store *s = open_ok(f->db, NULL);
    assert_int_equal(store_begin(s, &e), 0);
    store_put_answer(s, &a);
    assert_int_equal(store_commit(s, &e), 0);
    char *req = NULL, *rep = NULL;
    a.wall_us = 6 * day;
    assert_int_equal(store_find_answer(s, &a, &req, &rep, &e), 0);
    assert_string_equal(req, "{\"verb\":\"drain\"}");
    assert_string_equal(rep, "{\"run\":4}");
    free(take(req));
    free(take(rep));
    a.wall_us = 6 * day + 1;
    assert_int_equal(store_find_answer(s, &a, &req, &rep, &e), -ENOENT);
    a.wall_us = 5 * day;
    a.actor = "eve";
    assert_int_equal(store_find_answer(s, &a, &req, &rep, &e), -ENOENT);
    store_close(s);
}

static void test_backup(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    char copy[128];
    snprintf(copy, sizeof(copy), "%s/copy.db", f->dir);
    struct store *s = open_ok(f->db, NULL);
    assert_int_equal(put_generation(s, 1, &e), 0);
    assert_int_equal(store_backup_file(f->db, copy, &e), 0);
    assert_int_equal(put_generation(s, 2, &e), 0);
    assert_int_equal(store_backup_file(f->db, copy, &e), -EEXIST);
    store_close(s);
    s = open_ok(copy, NULL);
    assert_int_equal(generation(s), 1);
    store_close(s);
}

/* ---- faults ---------------------------------------------------------------------------------- */
/* Commit generation 2 over generation 1 with the at-th write failing. True when it fired. */
static bool commit_with_fault(const struct fx *f, int at, int code, bool sticky)
{
    char db[128];
    snprintf(db, sizeof(db), "%s/f%d-%d-%d.db", f->dir, code, sticky, at);
    struct err e = {0};
    struct store *s = open_ok(db, "fault");
    assert_int_equal(put_generation(s, 1, &e), 0);
    fault = (struct fault){.at = at, .code = code, .sticky = sticky};
    int r = put_generation(s, 2, &e);
    bool fired = fault.fired;
    if (fired && r < 0)
        assert_true(e.code == -ENOSPC || e.code == -EIO);
    fault.at = 0;
    /* the same connection, once the disk works again */
    int now = generation(s);
    assert_true(r == 0 ? now == 2 : now == 1);
    fault = (struct fault){.at = 1, .code = code, .sticky = sticky};
    store_close(s); /* without a clean checkpoint */
    fault = (struct fault){0};
    s = open_ok(db, NULL);
    now = generation(s);
    assert_true(r == 0 ? now == 2 : now == 1 || now == 2);
    assert_int_equal(put_generation(s, now + 1, &e), 0);
    store_close(s);
    return fired;
}

static void test_fault_at_every_write(void **state)
{
    static const int codes[] = {SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC};
    for (size_t c = 0; c < ARRAY_LEN(codes); c++)
        for (int sticky = 0; sticky < 2; sticky++) {
            int at = 1;
            while (commit_with_fault(*state, at, codes[c], sticky))
                at++;
            assert_true(at > 10); /* there were writes to fail */
        }
}

static void test_fault_while_creating(void **state)
{
    struct fx *f = *state;
    int at = 1;
    for (bool fired = true; fired; at++) {
        char db[128];
        snprintf(db, sizeof(db), "%s/c%d.db", f->dir, at);
        struct err e = {0};
        struct store *s = NULL;
        fault = (struct fault){.at = at, .code = SQLITE_FULL, .sticky = true};
        int r = store_open(&(struct store_options){.path = db, .vfs = "fault"}, &s, &e);
        fired = fault.fired;
        store_close(s);
        fault = (struct fault){0};
        if (r < 0)
            has(e.msg, db);
        s = open_ok(db, NULL);
        assert_int_equal(generation(s), 0);
        assert_int_equal(put_generation(s, 1, &e), 0);
        store_close(s);
    }
    assert_true(at > 5);
}

static void test_probe_sees_a_full_disk(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct store *s = open_ok(f->db, "fault");
    assert_int_equal(put_generation(s, 1, &e), 0);
    fault = (struct fault){.at = 1, .code = SQLITE_FULL, .sticky = true};
    assert_int_equal(store_probe(s, &e), -ENOSPC);
    has(e.msg, "free space");
    fault = (struct fault){0};
    assert_int_equal(store_probe(s, &e), 0);
    assert_int_equal(generation(s), 1);
    store_close(s);
}

/* A scheduler killed at any instant: what it was told is committed is there, nothing is half there. */
static void test_kill_at_any_instant(void **state)
{
    struct fx *f = *state;
    int done = 0;
    for (int round = 0; round < 12; round++) {
        int told[2];
        assert_int_equal(pipe(told), 0);
        fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct err e;
            struct store *s = NULL;
            if (store_open(&(struct store_options){.path = f->db}, &s, &e) < 0)
                _exit(1);
            for (int g = done + 1;; g++)
                if (put_generation(s, g, &e) < 0 || write(told[1], &g, sizeof(g)) != sizeof(g))
                    _exit(2);
        }
        close(told[1]);
        int g = done, last = done;
        for (int i = 0; i < 1 + round % 4 && read(told[0], &g, sizeof(g)) == sizeof(g); i++)
            last = g;
        usleep((useconds_t)(round * 377) % 3000); /* somewhere in the middle of a commit */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (read(told[0], &g, sizeof(g)) == sizeof(g))
            last = g;
        close(told[0]);
        struct store *s = open_ok(f->db, NULL);
        int now = generation(s);
        assert_true(now == last || now == last + 1);
        assert_true(now > done);
        done = now;
        store_close(s);
    }
}

static void test_suspension(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct suspension got;
    char ann[] = "ann", why[] = "new disks";
    const struct suspension none = {0}, x = {true, ann, why, 5, 7};
    struct store *s = open_ok(f->db, NULL);
    assert_int_equal(store_get_suspension(s, &got, &e), 0);
    assert_true(shape_equal(&suspension_shape, &got, &none));
    const struct suspension *kept[] = {&x, &none};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        assert_int_equal(store_begin(s, &e), 0);
        store_put_suspension(s, kept[i]);
        assert_int_equal(store_commit(s, &e), 0);
        store_close(s);
        s = open_ok(f->db, NULL);
        assert_int_equal(store_get_suspension(s, &got, &e), 0);
        assert_true(shape_equal(&suspension_shape, &got, kept[i]));
        shape_done(&suspension_shape, &got);
    }
    store_close(s);
    sql(f->db, "UPDATE meta SET value = '{' WHERE key = 'suspension'");
    s = open_ok(f->db, NULL);
    /* moves against an operator's word would be worse than no start */
    assert_true(store_get_suspension(s, &got, &e) < 0);
    store_close(s);
}

int main(void)
{
    faultvfs_register();
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_round_trip),
        T(test_rows_keep_every_member),
        T(test_samples),
        T(test_newer_version),
        T(test_not_ours),
        T(test_damaged),
        T(test_two_schedulers),
        T(test_unwritable),
        T(test_term_and_time),
        T(test_journal),
        T(test_failed_put_fails_the_batch),
        T(test_answers),
        T(test_suspension),
        T(test_backup),
        T(test_fault_at_every_write),
        T(test_fault_while_creating),
        T(test_probe_sees_a_full_disk),
        T(test_kill_at_any_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
