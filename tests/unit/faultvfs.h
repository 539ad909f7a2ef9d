/* tests/unit/faultvfs.h: an SQLite VFS over the default one that fails on demand.
 * Purpose  the Nth write, truncate or sync (and, sticky, all after it) ends with a given code; half of
 *          a failing write reaches the file, as on a disk that fills up in the middle.
 * Thread   one. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>

struct fault {
    int at;      /* fail the at-th operation from now, 0 = never */
    int code;    /* SQLITE_FULL, SQLITE_IOERR_WRITE, ... */
    bool sticky; /* and all after it */
    int seen;    /* operations since it was armed */
    bool fired;
};
extern struct fault fault;
/* Register under the name "fault". */
void faultvfs_register(void);
