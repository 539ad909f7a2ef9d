/* The store when its file is not its own, cannot be written, or fails in the middle: all of it or nothing. */
#include "tests/unit/storefix.h"

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

int main(void)
{
    faultvfs_register();
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_newer_version),
        T(test_not_ours),
        T(test_damaged),
        T(test_two_schedulers),
        T(test_unwritable),
        T(test_failed_put_fails_the_batch),
        T(test_fault_at_every_write),
        T(test_fault_while_creating),
        T(test_probe_sees_a_full_disk),
        T(test_kill_at_any_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
