#include "scheduler/cli/follow.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

#define POLL_MIN_US (100 * MSEC)
#define POLL_MAX_US SEC
enum {
    POLL_COST = 20
}; /* one part of so many goes into asking: long lists are asked for less often */
#define RETRY_US         SEC
#define SUMMARY_EVERY_US (30 * SEC)
#define FIRST_DRAW_US    (500 * MSEC) /* a run that is over sooner needs no picture */

struct follow {
    struct cli *c;
    int64_t id, seq, start_us, summary_us, lost_us;
    int mode;       /* enum progress_mode, settled */
    size_t *widths; /* of the lines on the screen */
    size_t n_widths;
    struct run_view view;
    bool have_view, hint;
    json_t *json;
};

/* ---- plain and JSON lines --------------------------------------------------------------------- */
/* A display of the present shows these by itself; scrolling them too would drown the endings. */
static bool shown_by_block(const char *kind)
{
    static const char *const kinds[] = {"move.copying", "move.confirmed", "move.tidy",
                                        "move.queued"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kind, kinds[i]))
            return true;
    return false;
}

void follow_plain(FILE *f, const struct run_view *v, int64_t *last_seq, bool brief)
{
    char at[TIME_BYTES];
    for (size_t i = 0; i < v->n_entries; i++) {
        const struct entry *e = &v->entries[i];
        if (e->seq <= *last_seq)
            continue;
        *last_seq = e->seq;
        if (e->text && *e->text && !(brief && shown_by_block(e->kind)))
            text_line(f, "%s %s", time_clock(at, e->wall_us), e->text);
    }
}

void follow_jsonl(FILE *f, const struct run_view *v, int64_t *last_seq)
{
    char at[FMT_BYTES];
    for (size_t i = 0; i < v->n_entries; i++) {
        const struct entry *e = &v->entries[i];
        if (e->seq <= *last_seq)
            continue;
        *last_seq = e->seq;
        cleanup(json_decrefp) json_t *j = codec_encode_public(&entry_shape, e);
        cleanup(json_decrefp) json_t *line =
            json_pack("{s:s, s:I, s:s}", "type", e->kind ? e->kind : "entry", "seq",
                      (json_int_t)e->seq, "time", fmt_rfc3339(at, e->wall_us));
        json_object_update_missing(line, j);
        json_dumpf(line, f, JSON_COMPACT);
        fputc('\n', f);
    }
}

static void jsonl_version(FILE *f, int64_t id)
{
    cleanup(json_decrefp) json_t *line =
        json_pack("{s:s, s:s, s:s, s:I}", "type", "version", "schema", "drover.events/1", "version",
                  DROVER_VERSION, "run", (json_int_t)id);
    json_dumpf(line, f, JSON_COMPACT);
    fputc('\n', f);
}

/* ---- the live block --------------------------------------------------------------------------- */
static void screen_size(size_t *ret_columns, size_t *ret_rows)
{
    struct winsize ws;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 && ws.ws_row > 0;
    *ret_columns = known ? ws.ws_col : 80;
    *ret_rows = known ? ws.ws_row : 24;
}

/* Sequence that takes the block off the screen: a narrower window has wrapped its lines. */
static void add_erase(struct follow *f, char **s, size_t columns)
{
    size_t rows = 0;
    for (size_t i = 0; i < f->n_widths; i++)
        rows += f->widths[i] ? (f->widths[i] + columns - 1) / columns : 1;
    if (rows)
        text_add(s, "\033[%zuA", rows);
    text_add(s, "\r\033[J");
    f->n_widths = 0;
}

/* One write: what scrolled by, then the block; nothing flickers. final: leave no block. */
static void draw(struct follow *f, bool final)
{
    size_t columns, rows, n = 0;
    char *text = NULL, **lines = NULL, *scrolled = NULL;
    size_t len = 0;
    screen_size(&columns, &rows);
    add_erase(f, &text, columns);
    FILE *mem = open_memstream(&scrolled, &len);
    if (!mem)
        abort();
    follow_plain(mem, &f->view, &f->seq, true);
    fclose(mem);
    text_add(&text, "%s", scrolled);
    free(scrolled);
    if (!final)
        n = follow_block(&f->view, columns > 1 ? columns - 1 : 1, rows > 2 ? rows - 2 : 1,
                         *paint(f->c, f->c->err, C_GOOD) != '\0', &lines);
    free(f->widths);
    f->widths = xcalloc(n, sizeof(*f->widths));
    f->n_widths = n;
    for (size_t i = 0; i < n; i++) {
        text_add(&text, "%s\n", lines[i]);
        f->widths[i] = text_width(lines[i]) < columns ? text_width(lines[i]) : columns - 1;
        free(lines[i]);
    }
    free(lines);
    fputs(text, f->c->err);
    fflush(f->c->err);
    free(text);
}

static void undraw(struct follow *f)
{
    if (f->mode != PROGRESS_TTY || !f->n_widths)
        return;
    size_t columns, rows;
    char *s = NULL;
    screen_size(&columns, &rows);
    add_erase(f, &s, columns);
    fputs(s, f->c->err);
    fflush(f->c->err);
    free(s);
}

/* ---- showing one view ------------------------------------------------------------------------- */
static int settle_mode(const struct cli *c, const struct follow_opts *o)
{
    if (o->quiet || (c->quiet && c->format != OUT_JSONL))
        return PROGRESS_NONE;
    if (c->format == OUT_JSONL)
        return PROGRESS_JSONL;
    if (c->progress == PROGRESS_TTY && !c->err_tty)
        return PROGRESS_PLAIN; /* nothing to move a cursor on */
    if (c->progress != PROGRESS_AUTO)
        return c->progress;
    return c->err_tty && !c->dumb && !c->ci ? PROGRESS_TTY : PROGRESS_PLAIN;
}

static FILE *jsonl_stream(const struct cli *c)
{
    return c->format == OUT_JSONL ? c->out : c->err;
}

static void show(struct follow *f, bool final)
{
    int64_t now = clock_mono_us();
    switch (f->mode) {
    case PROGRESS_TTY:
        if (!final && now - f->start_us < FIRST_DRAW_US)
            return; /* entries stay unseen until then: seq does not move */
        draw(f, final);
        break;
    case PROGRESS_PLAIN: {
        int64_t before = f->seq;
        follow_plain(f->c->err, &f->view, &f->seq, false);
        if (f->seq != before)
            f->summary_us = now;
        if (!final && now - f->summary_us >= SUMMARY_EVERY_US) {
            char at[TIME_BYTES];
            cleanup(freep) char *counts = follow_counts(&f->view);
            text_line(f->c->err, "%s run/%lld %s", time_clock(at, f->view.wall_us),
                      (long long)f->id, counts);
            f->summary_us = now;
        }
        fflush(f->c->err);
        break;
    }
    case PROGRESS_JSONL:
        follow_jsonl(jsonl_stream(f->c), &f->view, &f->seq);
        fflush(jsonl_stream(f->c));
        break;
    default:
        for (size_t i = 0; i < f->view.n_entries; i++)
            if (f->view.entries[i].seq > f->seq)
                f->seq = f->view.entries[i].seq;
        break;
    }
}

/* ---- the loop --------------------------------------------------------------------------------- */
static bool poll_once(struct follow *f, struct err *e)
{
    cleanup(freep) char *path =
        xasprintf("/v1/runs/%lld?after=%lld", (long long)f->id, (long long)f->seq);
    struct client *cl = cli_client(f->c, e);
    struct run_view v;
    json_t *j = NULL;
    if (!cl || client_view(cl, path, &run_view_shape, &v, &j, e) < 0)
        return false;
    if (f->have_view)
        shape_done(&run_view_shape, &f->view);
    json_decref(f->json);
    f->view = v;
    f->json = j;
    f->have_view = true;
    return true;
}

/* The scheduler is gone: say it once, go on asking. */
static void lost(struct follow *f, const struct err *e)
{
    if (f->lost_us)
        return;
    f->lost_us = clock_mono_us();
    undraw(f);
    if (e->code == -EAGAIN)
        cli_note(f->c, "the scheduler cannot work now, moves in flight go on; retrying: %s",
                 e->msg);
    else
        cli_note(f->c, "scheduler unreachable, the %s goes on; retrying",
                 f->have_view && f->view.run.kind != RUN_DRAIN ? "run" : "drain");
}

static void found(struct follow *f)
{
    char t[TIME_BYTES];
    if (!f->lost_us)
        return;
    cli_note(f->c, "the scheduler answers again after %s",
             time_about(t, clock_mono_us() - f->lost_us));
    f->lost_us = 0;
}

static bool interrupted(const struct follow *f)
{
    return f->c->interrupted && *f->c->interrupted;
}

/* Sleep in one piece; a signal ends it. A resized window is drawn again without a question. */
static void wait_for(struct follow *f, int64_t us)
{
    struct timespec ts = {.tv_sec = us / SEC, .tv_nsec = us % SEC * 1000};
    nanosleep(&ts, NULL);
    if (f->c->resized && *f->c->resized && f->mode == PROGRESS_TTY && f->have_view && f->n_widths) {
        *f->c->resized = 0;
        draw(f, false);
    }
}

static int64_t pace(const struct follow *f, bool reached, int64_t took_us)
{
    if (f->c->poll_us)
        return f->c->poll_us;
    int64_t us = took_us * POLL_COST;
    return !reached           ? RETRY_US
           : us < POLL_MIN_US ? POLL_MIN_US
           : us > POLL_MAX_US ? POLL_MAX_US
                              : us;
}

static int leave(struct follow *f, int code, const char *why)
{
    undraw(f);
    if (code == X_DETACHED && f->c->err_tty && f->mode != PROGRESS_TTY)
        fputc('\n', f->c->err); /* after the terminal's "^C" */
    fprintf(f->c->err,
            "%s; run/%lld goes on · drover attach %lld follows it again · drover cancel %lld "
            "stops it\n",
            why, (long long)f->id, (long long)f->id, (long long)f->id);
    return code;
}

/* Once the run is known to be there and under way. */
static void say_hint(struct follow *f)
{
    if (f->hint && f->mode != PROGRESS_JSONL)
        cli_note(f->c,
                 "following run/%lld · Ctrl-C detaches, the %s goes on · drover cancel %lld "
                 "stops it",
                 (long long)f->id, f->view.run.kind == RUN_DRAIN ? "drain" : "run",
                 (long long)f->id);
    f->hint = false;
}

static int loop(struct follow *f, const struct follow_opts *o)
{
    struct err e;
    for (;;) {
        int64_t asked_us = clock_mono_us();
        bool reached = poll_once(f, &e);
        int64_t took_us = clock_mono_us() - asked_us;
        if (interrupted(f))
            return leave(f, X_DETACHED, "detached");
        if (!reached && e.code != -ENOTCONN && e.code != -EAGAIN)
            return undraw(f), cli_fail(f->c, &e);
        if (!reached)
            lost(f, &e);
        else
            found(f);
        bool over = reached && run_ended(f->view.run.state);
        if (reached && !over)
            say_hint(f);
        int64_t before = f->seq;
        if (reached)
            show(f, over);
        if (over && f->seq == before) /* entries come in portions: go on until there are no more */
            return X_DONE;
        if (o->timeout_us && clock_mono_us() - f->start_us >= o->timeout_us)
            return leave(f, X_TIMEOUT, "--timeout passed");
        if (!over)
            wait_for(f, pace(f, reached, took_us));
        if (interrupted(f))
            return leave(f, X_DETACHED, "detached");
    }
}

int follow_run(struct cli *c, int64_t id, const struct follow_opts *o, struct run_view *ret_view,
               json_t **ret_json)
{
    struct follow f = {.c = c,
                       .id = id,
                       .start_us = clock_mono_us(),
                       .mode = settle_mode(c, o),
                       .hint = o->hint && !o->quiet};
    f.summary_us = f.start_us;
    if (f.mode == PROGRESS_JSONL)
        jsonl_version(jsonl_stream(c), id);
    int code = loop(&f, o);
    free(f.widths);
    if (code == X_DONE) {
        *ret_view = f.view;
        if (ret_json)
            *ret_json = json_incref(f.json);
    } else if (f.have_view) {
        shape_done(&run_view_shape, &f.view);
    }
    json_decref(f.json);
    return code;
}
