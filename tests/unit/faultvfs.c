#include "tests/unit/faultvfs.h"

#include <errno.h>
#include <string.h>

struct fault fault;

struct file {
    sqlite3_file base;
    sqlite3_file *real; /* lies behind this struct */
};
static sqlite3_vfs *real_vfs;

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct file *)(void *)f)->real;
}

static int hit(void)
{
    if (fault.at == 0)
        return SQLITE_OK;
    fault.seen++;
    if (fault.seen == fault.at || (fault.sticky && fault.seen > fault.at)) {
        fault.fired = true;
        errno = fault.code == SQLITE_FULL ? ENOSPC : EIO; /* SQLite asks for it */
        return fault.code;
    }
    return SQLITE_OK;
}

static int x_close(sqlite3_file *f)
{
    return real_of(f)->pMethods->xClose(real_of(f));
}
static int x_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xRead(real_of(f), p, n, at);
}
static int x_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    int rc = hit();
    if (rc == SQLITE_OK)
        return real_of(f)->pMethods->xWrite(real_of(f), p, n, at);
    int saved = errno;
    real_of(f)->pMethods->xWrite(real_of(f), p, n / 2, at);
    errno = saved;
    return rc;
}
static int x_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    int rc = hit();
    return rc ? rc : real_of(f)->pMethods->xTruncate(real_of(f), n);
}
static int x_sync(sqlite3_file *f, int flags)
{
    int rc = hit();
    return rc ? rc : real_of(f)->pMethods->xSync(real_of(f), flags);
}
static int x_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), n);
}
static int x_lock(sqlite3_file *f, int l)
{
    return real_of(f)->pMethods->xLock(real_of(f), l);
}
static int x_unlock(sqlite3_file *f, int l)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), l);
}
static int x_reserved(sqlite3_file *f, int *r)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), r);
}
static int x_control(sqlite3_file *f, int op, void *p)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, p);
}
static int x_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}
static int x_traits(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}
static int x_shm_map(sqlite3_file *f, int pg, int size, int extend, void volatile **p)
{
    return real_of(f)->pMethods->xShmMap(real_of(f), pg, size, extend, p);
}
static int x_shm_lock(sqlite3_file *f, int off, int n, int flags)
{
    return real_of(f)->pMethods->xShmLock(real_of(f), off, n, flags);
}
static void x_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}
static int x_shm_unmap(sqlite3_file *f, int del)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), del);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* no xFetch: memory-mapped writes would pass us by */
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_reserved,
    .xFileControl = x_control,
    .xSectorSize = x_sector,
    .xDeviceCharacteristics = x_traits,
    .xShmMap = x_shm_map,
    .xShmLock = x_shm_lock,
    .xShmBarrier = x_shm_barrier,
    .xShmUnmap = x_shm_unmap,
};

static int x_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    struct file *me = (struct file *)(void *)f;
    (void)vfs;
    memset(me, 0, sizeof(*me));
    me->real = (sqlite3_file *)(void *)(me + 1);
    int rc = real_vfs->xOpen(real_vfs, name, me->real, flags, out);
    me->base.pMethods = rc == SQLITE_OK ? &methods : NULL;
    return rc;
}

void faultvfs_register(void)
{
    static sqlite3_vfs vfs;
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = "fault";
    vfs.pNext = NULL;
    vfs.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
    vfs.xOpen = x_open;
    sqlite3_vfs_register(&vfs, 0);
}
