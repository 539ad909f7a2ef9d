/* scheduler/snap/sheet.h: tables of others, before it is known what their columns mean.   Inside the
 * room only.
 * Shapes   rows[0] is the header; every row has as many cells as it. NULL: the cell says nothing.
 * Owner    sheet_done.   Errors: -EBADMSG, "FILE:LINE: what".   Thread any. */
#pragma once

#include "scheduler/snap/snap.h"

struct sheet_row {
    char **cells;
    size_t n;
    int line;
};
struct sheet {
    const char *name; /* borrows */
    struct sheet_row *rows;
    size_t n_rows;
};
void sheet_done(struct sheet *t);

/* RFC 4180 with a comma, a semicolon or a tab between cells. */
int sheet_read_csv(const struct snap_source *src, struct sheet *ret, struct err *e);
/* Columns between | signs, or set apart by at least two spaces. */
int sheet_read_table(const struct snap_source *src, struct sheet *ret, struct err *e);

/* What the columns mean: VMs and hosts of the sheets into b. */
int sheets_import(const struct snap_import *in,
                  int (*read)(const struct snap_source *, struct sheet *, struct err *),
                  struct snap_build *b, char **notes, struct err *e);
/* The text format of Ganeti's htools. */
int ganeti_import(const struct snap_source *src, bool assume_rbd, struct snap_build *b,
                  char **notes, struct err *e);

/* One more sentence. */
void note_add(char **notes, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
