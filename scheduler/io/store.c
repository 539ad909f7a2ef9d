#include "scheduler/io/store_int.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

enum {
    APPLICATION_ID = 0x44525652, /* "DRVR": file(1) and we tell our files from other databases */
    /* Nobody else should hold a lock for long: a backup or a curious sqlite3 shell. */
    BUSY_TIMEOUT_MS = 5000,
};

int store_error(const struct store *s, const char *doing, struct err *e)
{
    int code = sqlite3_errcode(s->db), sys = sqlite3_system_errno(s->db);
    const char *what = sqlite3_errmsg(s->db), *cure = "";
    int r;
    switch (code & 0xff) {
    case SQLITE_FULL:
        r = -ENOSPC;
        what = "the disk is full";
        cure = "; free space on its file system";
        break;
    case SQLITE_READONLY:
        r = -EROFS;
        cure = "; make the file and its directory writable for the scheduler";
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        r = -EUCLEAN;
        cure = "; restore a copy made by drover-scheduler --backup, or move the file away to begin "
               "anew (agents report hosts and VMs again; the history of runs is lost)";
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        r = -EBUSY;
        cure = "; close the other program that has it open";
        break;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        r = sys ? -sys : -EACCES;
        cure = "; its directory must exist and be writable for the scheduler";
        break;
    case SQLITE_IOERR:
        r = sys ? -sys : -EIO;
        what = sys ? strerror(sys) : what;
        cure = "; check the disk and the kernel's log";
        break;
    default:
        r = -EIO;
        break;
    }
    return err_set(e, r, "%s database '%s': %s%s", doing, s->path, what, cure);
}

sqlite3_stmt *store_stmt(struct store *s, int id)
{
    sqlite3_reset(s->st[id]);
    sqlite3_clear_bindings(s->st[id]);
    return s->st[id];
}

int store_run(struct store *s, sqlite3_stmt *st, const char *doing, struct err *e)
{
    int rc = sqlite3_step(st);
    int r = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : store_error(s, doing, e);
    sqlite3_reset(st);
    return r;
}

static int exec(struct store *s, const char *sql, const char *doing, struct err *e)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_error(s, doing, e);
}

/* First column of the first row of a query, as text. Gives *ret. */
static int ask(struct store *s, const char *sql, char **ret, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    int r = 0;
    if (rc == SQLITE_ROW)
        *ret = xstrdup((const char *)sqlite3_column_text(st, 0));
    else
        r = store_error(s, "read", e);
    sqlite3_finalize(st);
    return r;
}

static int ask_int(struct store *s, const char *sql, int64_t *ret, struct err *e)
{
    cleanup(freep) char *text = NULL;
    int r = ask(s, sql, &text, e);
    if (r == 0)
        *ret = text ? strtoll(text, NULL, 10) : 0;
    return r;
}

/* flock, not SQLite's own lock: it can name the other process, lasts while we run, and the kernel
 * drops it when we are killed. */
static int take_lock(struct store *s, struct err *e)
{
    cleanup(freep) char *path = xasprintf("%s.lock", s->path);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (s->lock_fd < 0)
        return err_set(
            e, -errno,
            "create '%s': %m; the directory must exist and be writable for the scheduler", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        int r = -errno;
        char pid[24] = "unknown";
        ssize_t n = r == -EWOULDBLOCK ? pread(s->lock_fd, pid, sizeof(pid) - 1, 0) : 0;
        if (n > 0) {
            pid[n] = '\0';
            pid[strcspn(pid, "\n")] = '\0';
        }
        if (r != -EWOULDBLOCK)
            return err_set(e, r, "lock '%s': %s", path, strerror(-r));
        return err_set(
            e, -EBUSY,
            "another drover-scheduler (pid %s) uses database '%s'; stop it first, or give "
            "this one a database of its own",
            pid, s->path);
    }
    char text[24];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(s->lock_fd, 0) < 0 || pwrite(s->lock_fd, text, (size_t)n, 0) != n)
        return err_set(e, -errno, "write '%s': %m", path);
    return 0;
}

/* Is it ours, and of a version we know? Only reads: a file that is not ours stays as it is. */
static int identify(struct store *s, int64_t *ret_version, struct err *e)
{
    int64_t version = 0, tables = 0, app = 0;
    int r = ask_int(s, "PRAGMA user_version", &version, e);
    if (r == 0)
        r = ask_int(s, "PRAGMA application_id", &app, e);
    if (r == 0)
        r = ask_int(s, "SELECT count(*) FROM sqlite_schema", &tables, e);
    if (r < 0)
        return r;
    if (app != APPLICATION_ID && (tables || version))
        return err_set(
            e, -EUCLEAN,
            "'%s' is an SQLite database, but not one of drover-scheduler's; name another "
            "file with the key 'database'",
            s->path);
    int newest = migrations[n_migrations - 1].version;
    if (version > newest)
        return err_set(
            e, -EPROTONOSUPPORT,
            "database '%s' has schema %" PRId64
            "; this drover-scheduler (%s) knows up to %d: install the version that wrote it "
            "or a newer one",
            s->path, version, DROVER_VERSION, newest);
    *ret_version = version;
    return 0;
}

static int migrate(struct store *s, int64_t version, struct err *e)
{
    for (int i = 0; i < n_migrations; i++) {
        if (migrations[i].version <= version)
            continue;
        cleanup(freep) char *sql = xasprintf(
            "BEGIN IMMEDIATE;\n%s\nPRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
            migrations[i].sql, APPLICATION_ID, migrations[i].version);
        cleanup(freep) char *doing = xasprintf("migrate (%s)", migrations[i].file);
        int r = exec(s, sql, doing, e);
        if (r < 0) {
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
            return r;
        }
    }
    return 0;
}

static int check_health(struct store *s, struct err *e)
{
    cleanup(freep) char *verdict = NULL;
    int r = ask(s, "PRAGMA quick_check(1)", &verdict, e);
    if (r < 0)
        return r;
    if (str_eq(verdict, "ok"))
        return 0;
    return err_set(
        e, -EUCLEAN,
        "database '%s' is damaged: %s; restore a copy made by drover-scheduler --backup, or "
        "move the file away to begin anew (agents report hosts and VMs again; the history of "
        "runs is lost)",
        s->path, verdict ? verdict : "?");
}

static int set_pragmas(struct store *s, struct err *e)
{
    cleanup(freep) char *mode = NULL;
    int r = ask(s, "PRAGMA journal_mode = WAL", &mode, e);
    if (r < 0)
        return r;
    if (!str_eq(mode, "wal"))
        return err_set(e, -EROFS,
                       "database '%s' cannot use write-ahead logging (%s); is it on a network or "
                       "read-only file system?",
                       s->path, mode ? mode : "?");
    return exec(s, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON", "open", e);
}

static int prepare_all(struct store *s, struct err *e)
{
    static const char *const sql[] = {
#define X(id, text) text,
        STATEMENTS(X)
#undef X
    };
    for (int i = 0; i < ST_COUNT_; i++)
        if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i], NULL) !=
            SQLITE_OK)
            return store_error(s, "prepare for", e);
    return 0;
}

/* Made by us, so that its mode (which SQLite copies to -wal and -shm) is ours too. */
static int make_file(const char *path, struct err *e)
{
    cleanup(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, -errno, "open database '%s': %m", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, -EINVAL, "database '%s' is not a regular file", path);
    return 0;
}

int store_open(const struct store_options *o, struct store **ret, struct err *e)
{
    struct store *s = xcalloc(1, sizeof(*s));
    s->path = xstrdup(o->path);
    s->lock_fd = -1;
    int64_t version = 0;
    int r = take_lock(s, e);
    if (r == 0)
        r = make_file(s->path, e);
    if (r == 0 && sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                                  o->vfs) != SQLITE_OK)
        r = store_error(s, "open", e);
    if (r == 0) {
        sqlite3_extended_result_codes(s->db, 1);
        sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
        r = identify(s, &version, e);
    }
    if (r == 0)
        r = set_pragmas(s, e);
    if (r == 0)
        r = check_health(s, e);
    if (r == 0)
        r = store_functions(s, e);
    if (r == 0)
        r = migrate(s, version, e);
    if (r == 0)
        r = prepare_all(s, e);
    if (r < 0) {
        store_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    for (int i = 0; i < ST_COUNT_; i++)
        sqlite3_finalize(s->st[i]);
    sqlite3_close(s->db);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->path);
    free(s);
}

/* ---- batches --------------------------------------------------------------------------------- */
int store_begin(struct store *s, struct err *e)
{
    assert(!s->in_batch);
    s->failed.code = 0;
    int r = store_run(s, store_stmt(s, ST_BEGIN), "write", e);
    s->in_batch = r == 0;
    return r;
}

void store_rollback(struct store *s)
{
    /* Some failures (full disk, I/O) make SQLite roll back by itself; then there is nothing to do. */
    if (s->in_batch && !sqlite3_get_autocommit(s->db))
        sqlite3_step(store_stmt(s, ST_ROLLBACK));
    sqlite3_reset(s->st[ST_ROLLBACK]);
    s->in_batch = false;
}

int store_commit(struct store *s, struct err *e)
{
    assert(s->in_batch);
    int r = s->failed.code;
    if (r < 0) {
        if (e)
            *e = s->failed;
    } else {
        r = store_run(s, store_stmt(s, ST_COMMIT), "write", e);
    }
    if (r < 0)
        store_rollback(s);
    s->in_batch = false;
    return r;
}

int store_probe(struct store *s, struct err *e)
{
    int r = store_begin(s, e);
    if (r < 0)
        return r;
    r = store_run(s, store_stmt(s, ST_PROBE), "write", e);
    if (r < 0) {
        store_rollback(s);
        return r;
    }
    r = store_commit(s, e); /* on the disk, not only in memory */
    if (r == 0)
        r = store_begin(s, e);
    if (r < 0)
        return r;
    r = store_run(s, store_stmt(s, ST_UNPROBE), "write", e);
    if (r < 0)
        store_rollback(s);
    else
        r = store_commit(s, e);
    return r;
}

/* ---- copies ---------------------------------------------------------------------------------- */
int store_backup_file(const char *path, const char *to, struct err *e)
{
    struct store from = {.path = (char *)(uintptr_t)path}, dst = {.path = (char *)(uintptr_t)to};
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return err_set(e, -errno, "create '%s': %m", to);
    close(fd);
    int r = 0;
    if (sqlite3_open_v2(path, &from.db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        r = store_error(&from, "open", e);
    if (r == 0 && sqlite3_open_v2(to, &dst.db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        r = store_error(&dst, "open", e);
    if (r == 0) {
        sqlite3_busy_timeout(from.db, BUSY_TIMEOUT_MS);
        sqlite3_backup *b = sqlite3_backup_init(dst.db, "main", from.db, "main");
        /* One step: a reader in WAL mode does not hold up the scheduler's commits. */
        if (b)
            sqlite3_backup_step(b, -1);
        if (!b || sqlite3_backup_finish(b) != SQLITE_OK)
            r = store_error(&dst, "copy to", e);
    }
    if (r == 0)
        r = check_health(&dst, e);
    sqlite3_close(from.db);
    sqlite3_close(dst.db);
    if (r < 0)
        unlink(to);
    return r;
}
