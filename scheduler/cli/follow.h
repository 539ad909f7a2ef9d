/* scheduler/cli/follow.h: watching a run until it ends.
 * Purpose  Polls GET /v1/runs/ID?after=SEQ and shows it as a redrawn block, plain lines or JSON lines
 *          on stderr. Leaving (Ctrl-C, --timeout) never touches the run; a scheduler that goes away is
 *          waited for.
 * Owner    *ret_view is given.   Thread main. */
#pragma once

#include <jansson.h>

#include "scheduler/cli/cli.h"
#include "scheduler/core/views.h"

struct follow_opts {
    int64_t timeout_us; /* 0: as long as it takes */
    bool hint;          /* print the first line: what Ctrl-C does */
    bool quiet;         /* no display at all: a dry run is over in seconds */
};
/* X_DONE: the run ended and *ret_view is its last view (*ret_json the answer, may be NULL). Else an
 * exit code, already explained. */
int follow_run(struct cli *c, int64_t id, const struct follow_opts *o, struct run_view *ret_view,
               json_t **ret_json);

/* ---- PURE: view in, text out ------------------------------------------------------------------ */
/* The journal's new sentences, each once, in order: "10:42:07 vm/web-3 moved h1 → h2 (...)".
 * *last_seq is moved on. brief: without the steps that a live display shows by itself. */
void follow_plain(FILE *f, const struct run_view *v, int64_t *last_seq, bool brief);
/* One JSON line per new entry. */
void follow_jsonl(FILE *f, const struct run_view *v, int64_t *last_seq);
/* "12/23 moved · 4 moving · 6 queued · 1 blocked" and when it ends. Gives. */
char *follow_counts(const struct run_view *v);
/* The block below the scrolled lines: at most `rows` lines, none wider than `width` columns.
 * blocked, moving, next. Gives *ret_lines and each line. colours: SGR sequences around words. */
size_t follow_block(const struct run_view *v, size_t width, size_t rows, bool colours,
                    char ***ret_lines);
