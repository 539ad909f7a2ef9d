/* scheduler/cli/out.h: answers on stdout: tables for people, JSON and YAML for programs.
 * Shapes   a table is columns and cells in reading order; a cell owns its text.
 * Owner    struct table owns its cells (table_done).   Thread main. */
#pragma once

#include <jansson.h>

#include "scheduler/cli/cli.h"

struct column {
    const char *name; /* "MEMORY" */
    bool wide;        /* with -o wide, or when named in --columns */
    bool right;       /* numbers */
};
struct cell {
    char *text;
    int64_t key; /* what --sort compares when has_key, else the text */
    bool has_key;
    int colour;
};
struct table {
    const struct column *cols;
    size_t n_cols;
    struct cell *cells;
    size_t n_cells;
};

/* NULL and "" are shown as "-". */
void table_text(struct table *t, int colour, const char *text);
void table_fmt(struct table *t, int colour, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void table_int(struct table *t, int64_t n);       /* "?" if < 0 */
void table_bytes(struct table *t, int64_t bytes); /* "?" if < 0 */
/* The last added cell sorts by this number. */
void table_key(struct table *t, int64_t key);
/* Print with the user's --columns, --sort and --no-headers. Gives an exit code. */
int table_print(struct cli *c, struct table *t);
void table_done(struct table *t);

/* A document, strings in quotes. */
void out_yaml(FILE *f, const json_t *j);
/* True for json, yaml (and jsonl): the answer is data. */
bool out_is_data(const struct cli *c);
/* Print an answer as data: every "x_wall_us" gets a twin "x" in RFC 3339 UTC. list: the member whose
 * elements are the lines of -o jsonl; NULL: one line. */
void out_data(struct cli *c, const json_t *answer, const char *list);
