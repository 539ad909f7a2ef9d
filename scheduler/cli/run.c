/* drover runs, drover runs ID, drover journal. */
#include <errno.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "policy/policy.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/follow.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

static int64_t took_us(const struct run *r, int64_t now)
{
    int64_t start = r->started_wall_us ? r->started_wall_us : r->created_wall_us;
    int64_t end = r->ended_wall_us ? r->ended_wall_us : now;
    return start && end >= start ? end - start : -1;
}

static void run_row(struct table *t, const struct run *r, int64_t now)
{
    char a[FMT_BYTES], b[TIME_BYTES];
    table_fmt(t, C_NONE, "run/%lld", (long long)r->id);
    table_key(t, r->id);
    table_fmt(t, C_NONE, "%s%s", run_kind_names[r->kind], r->dry_run ? " (dry run)" : "");
    cleanup(freep) char *hosts = run_host_list(r, ",");
    table_text(t, C_NONE, hosts);
    if (run_waits(r))
        table_text(t, C_WARN, "waiting");
    else
        table_text(t, run_colour(r->state), run_state_names[r->state]);
    table_fmt(t, C_NONE, "%lld/%lld", (long long)r->moved, (long long)r->vms);
    table_int(t, r->blocked);
    table_text(t, C_NONE, time_date(b, r->created_wall_us));
    table_key(t, r->created_wall_us);
    table_text(t, C_NONE, fmt_duration(a, took_us(r, now)));
    table_key(t, took_us(r, now));
    table_text(t, C_NONE, r->actor);
    table_text(t, C_NONE, r->reason);
    table_text(t, C_NONE, r->message);
    if (r->policy_commit)
        table_fmt(t, C_NONE, "%.7s%s", r->policy_commit, r->policy_clean ? "" : "+");
    else
        table_text(t, C_NONE, NULL);
}

static int runs_table(struct cli *c, const struct runs_view *v)
{
    static const struct column cols[] = {
        {"RUN", false, false},    {"KIND", false, false},   {"HOST", false, false},
        {"STATE", false, false},  {"MOVED", false, true},   {"BLOCKED", false, true},
        {"ASKED", false, false},  {"TOOK", false, true},    {"BY", false, false},
        {"REASON", false, false}, {"MESSAGE", true, false}, {"POLICY", true, false},
    };
    struct table t = {.cols = cols, .n_cols = ARRAY_LEN(cols)};
    for (size_t i = 0; i < v->n_runs; i++)
        if (c->format == OUT_NAME)
            text_line(c->out, "run/%lld", (long long)v->runs[i].id);
        else
            run_row(&t, &v->runs[i], v->wall_us);
    int code = c->format == OUT_NAME ? X_DONE : table_print(c, &t);
    table_done(&t);
    return code;
}

static int runs_list(struct cli *c)
{
    struct runs_view v;
    struct err e;
    cleanup(json_decrefp) json_t *j = NULL;
    struct client *cl = cli_client(c, &e);
    if (!cl || client_view(cl, "/v1/runs", &runs_view_shape, &v, &j, &e) < 0)
        return cli_fail(c, &e);
    int code = X_DONE;
    if (out_is_data(c))
        out_data(c, j, "runs");
    else
        code = runs_table(c, &v);
    shape_done(&runs_view_shape, &v);
    return code;
}

/* ---- one run ---------------------------------------------------------------------------------- */
static void field(struct cli *c, const char *name, const char *value)
{
    if (value && *value)
        text_line(c->out, "%-10s %s", name, value);
}

static char *asked_for(const struct run *r)
{
    char *s = NULL;
    cleanup(freep) char *hosts = run_host_list(r, ",");
    for (size_t i = 0; i < r->n_to; i++)
        text_add(&s, "%s--to %s", s ? " " : "", r->to[i]);
    for (size_t i = 0; i < r->n_avoid; i++)
        text_add(&s, "%s--avoid %s", s ? " " : "", r->avoid[i]);
    for (size_t i = 0; i < r->n_allow_shutdown; i++)
        text_add(&s, "%s--allow-shutdown vm/%s", s ? " " : "", r->allow_shutdown[i]);
    if (r->stop_all)
        text_add(&s, "%s--confirm=%s", s ? " " : "", hosts);
    if (r->kind == RUN_BALANCE)
        text_add(&s, "%s--mode %s", s ? " " : "", balance_mode_names[r->mode]);
    if (room_wanted(r) && r->room.vm)
        text_add(&s, " --vm %s", r->room.vm_name);
    if (r->kind == RUN_BALANCE && r->max_moves)
        text_add(&s, " --max-moves %lld", (long long)r->max_moves);
    if (r->kind == RUN_DRAIN)
        text_add(&s, "%s--on-blocked %s", s ? " " : "", on_blocked_names[r->on_blocked]);
    if (r->parallel > 0)
        text_add(&s, " --parallel %lld", (long long)r->parallel);
    return s;
}

/* How far each of several is. */
static void hosts_print(struct cli *c, const struct run *r)
{
    char at[TIME_BYTES];
    for (size_t i = 0; i < r->n_hosts && r->n_hosts > 1 && r->kind == RUN_DRAIN; i++) {
        const struct run_host *h = &r->hosts[i];
        bool empty = h->proof.taken && !h->proof.running && !h->proof.jobs;
        cleanup(freep) char *text =
            h->ended_wall_us && empty
                ? xasprintf("%s  proven empty at %s", h->name, time_clock(at, h->ended_wall_us))
            : h->ended_wall_us ? xasprintf("%s  %s left", h->name,
                                           text_count(h->proof.running, "domain", "domains"))
                               : xasprintf("%s  %s", h->name,
                                           run_ended(r->state) ? "not emptied" : "being emptied");
        field(c, i ? "" : "hosts", text);
    }
}

static void run_head(struct cli *c, const struct run_view *v)
{
    const struct run *r = &v->run;
    char a[FMT_BYTES], b[TIME_BYTES];
    cleanup(freep) char *counts = follow_counts(v), *asked = asked_for(r), *place = run_place(r);
    text_line(c->out, "run/%lld  %s of %s%s  %s", (long long)r->id, run_kind_names[r->kind], place,
              r->dry_run ? " (dry run)" : "", run_state_names[r->state]);
    field(c, "asked by", r->actor);
    field(c, "reason", r->reason);
    field(c, "asked at", time_date(b, r->created_wall_us));
    field(c, "took", fmt_duration(a, took_us(r, v->wall_us)));
    field(c, "options", asked);
    if (r->policy_commit) {
        cleanup(freep) char *policy = xasprintf("%.12s %s", r->policy_commit,
                                                r->policy_clean ? "clean" : "with local changes");
        field(c, "policy", policy);
    }
    field(c, "moves", counts);
    if (r->bytes > 0)
        field(c, "sent", fmt_bytes(a, r->bytes));
    hosts_print(c, r);
    field(c, "now", run_ended(r->state) ? NULL : r->message);
}

static void move_row(struct table *t, const struct move *m, int64_t now)
{
    char a[FMT_BYTES], b[TIME_BYTES];
    int colour = m->state == JOB_DONE                                  ? C_GOOD
                 : m->state == JOB_FAILED || m->state == JOB_UNCERTAIN ? C_BAD
                                                                       : C_NONE;
    int64_t took = m->total_us > 0 && m->state == JOB_DONE
                       ? m->total_us /* of the copy, as libvirt says */
                   : m->copy_wall_us ? (m->ended_wall_us ? m->ended_wall_us : now) - m->copy_wall_us
                                     : -1;
    table_fmt(t, C_NONE, "vm/%s", m->vm_name);
    table_text(t, C_NONE, m->from);
    table_text(t, C_NONE, m->to);
    table_text(t, colour, move_word(m));
    table_bytes(t, m->mem_bytes);
    table_text(t, C_NONE, m->bytes >= 0 && m->state == JOB_DONE ? fmt_bytes(a, m->bytes) : NULL);
    table_key(t, m->bytes);
    table_text(t, C_NONE, took >= 0 ? fmt_duration(a, took) : NULL);
    table_key(t, took);
    table_text(t, C_NONE, m->downtime_us >= 0 ? fmt_duration(a, m->downtime_us) : NULL);
    table_key(t, m->downtime_us);
    table_text(t, m->proven_wall_us ? C_GOOD : C_NONE,
               m->proven_wall_us      ? "writer proven"
               : m->confirmed_wall_us ? "confirmed"
                                      : NULL);
    table_int(t, m->attempt);
    table_text(t, C_NONE, m->error ? m->error : m->note);
    table_text(t, C_NONE, m->why);
    table_text(t, C_NONE, m->rate_Bps > 0 ? fmt_bytes(a, m->rate_Bps) : NULL);
    table_text(t, C_NONE, m->iterations > 0 ? text_count(m->iterations, "pass", "passes") : NULL);
    table_text(t, C_NONE, time_clock(b, m->copy_wall_us));
    table_text(t, C_NONE, m->vm);
}

static int moves_table(struct cli *c, const struct run_view *v)
{
    static const struct column cols[] = {
        {"VM", false, false},    {"FROM", false, false},  {"TO", false, false},
        {"STATE", false, false}, {"NEED", false, true},   {"SENT", false, true},
        {"TOOK", false, true},   {"PAUSED", false, true}, {"CEPH", false, false},
        {"TRY", false, true},    {"NOTE", false, false},  {"WHY", true, false},
        {"RATE/S", true, true},  {"PASSES", true, true},  {"STARTED", true, true},
        {"UUID", true, false},
    };
    struct table t = {.cols = cols, .n_cols = ARRAY_LEN(cols)};
    for (size_t i = 0; i < v->n_moves; i++)
        move_row(&t, &v->moves[i], v->wall_us);
    int code = table_print(c, &t);
    table_done(&t);
    return code;
}

static bool same_try(const struct attempt *a, const struct attempt *b)
{
    return str_eq(a->to, b->to) && str_eq(a->code, b->code) && str_eq(a->error, b->error);
}

/* The same failure again and again is said once. */
static void tries_print(FILE *f, const struct run_view *v)
{
    char at[TIME_BYTES];
    for (size_t i = 0; i < v->n_moves; i++)
        for (size_t k = 0, n; k < v->moves[i].n_tried; k += n) {
            const struct attempt *a = &v->moves[i].tried[k];
            for (n = 1; k + n < v->moves[i].n_tried && same_try(a, a + n);)
                n++;
            cleanup(freep) char *times = n > 1 ? xasprintf(" (%zu times)", n) : xstrdup("");
            text_line(f, "%s vm/%s did not move to %s%s: %s%s%s", time_clock(at, a->wall_us),
                      v->moves[i].vm_name, a->to, times, a->code ? a->code : "failed",
                      a->error ? ": " : "", a->error ? a->error : "");
        }
}

/* One run, whole. */
static int run_print(struct cli *c, const struct run_view *v)
{
    run_head(c, v);
    if (v->n_moves) {
        fputc('\n', c->out);
        int code = moves_table(c, v);
        if (code)
            return code;
        tries_print(c->out, v);
    }
    fputc('\n', c->out);
    if (run_ended(v->run.state) && v->run.state != RUN_PLANNED) {
        summary_print(c->out, v);
    } else if (v->run.n_stays) {
        stays_print(c->out, &v->run, "cannot leave:");
        ways_out_print(c->out, &v->run);
    }
    return X_DONE;
}

/* All entries of a run come in portions. */
static int journal_of_run(struct cli *c, struct client *cl, int64_t id)
{
    int64_t seq = 0;
    for (;;) {
        struct run_view v;
        struct err e;
        int64_t before = seq;
        cleanup(freep) char *path =
            xasprintf("/v1/runs/%lld?after=%lld", (long long)id, (long long)seq);
        if (client_view(cl, path, &run_view_shape, &v, NULL, &e) < 0)
            return cli_fail(c, &e);
        if (c->format == OUT_JSONL)
            follow_jsonl(c->out, &v, &seq);
        else
            follow_plain(c->out, &v, &seq, false);
        shape_done(&run_view_shape, &v);
        if (seq == before)
            return X_DONE;
    }
}

struct asked { /* what of a run is to be seen; none: all of it in short */
    bool ceph, journal, why;
};

static int one_run(struct cli *c, int64_t id, const struct asked *a)
{
    struct run_view v;
    struct err e;
    cleanup(json_decrefp) json_t *j = NULL;
    cleanup(freep) char *path = xasprintf("/v1/runs/%lld?after=0", (long long)id);
    struct client *cl = cli_client(c, &e);
    if (!cl || client_view(cl, path, &run_view_shape, &v, &j, &e) < 0)
        return cli_fail(c, &e);
    int code = X_DONE;
    if (a->journal && (!out_is_data(c) || c->format == OUT_JSONL))
        code = journal_of_run(c, cl, id);
    else if (out_is_data(c))
        out_data(c, j, NULL);
    else if (c->format == OUT_NAME)
        text_line(c->out, "run/%lld", (long long)id);
    else if (a->ceph)
        ceph_print(c, &v);
    else if (a->why && v.run.kind != RUN_BALANCE)
        code = cli_error(c, X_USAGE,
                         "--why belongs to balance runs; run/%lld is a %s: its moves "
                         "say why with -o wide",
                         (long long)id, run_kind_names[v.run.kind]);
    else if (a->why)
        run_why_print(c, &v);
    else
        code = run_print(c, &v);
    shape_done(&run_view_shape, &v);
    return code;
}

int cmd_runs(struct cli *c, int argc, char **argv)
{
    enum { O_CEPH = 256, O_JOURNAL, O_WHY };
    static const struct option own[] = {{"ceph", no_argument, NULL, O_CEPH},
                                        {"journal", no_argument, NULL, O_JOURNAL},
                                        {"why", no_argument, NULL, O_WHY},
                                        {0}};
    struct asked a = {0};
    int64_t id;
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o < 0)
            return opt_exit(o);
        a.ceph = a.ceph || o == O_CEPH;
        a.journal = a.journal || o == O_JOURNAL;
        a.why = a.why || o == O_WHY;
    }
    if (!opt_words(c, argc, argv, a.ceph || a.journal || a.why, 1, "a run"))
        return X_USAGE;
    if (optind == argc)
        return runs_list(c);
    return name_run(c, argv[optind], &id) ? one_run(c, id, &a) : X_USAGE;
}

/* ---- journal ---------------------------------------------------------------------------------- */
static void journal_line(FILE *f, const json_t *item)
{
    struct entry en;
    struct err e;
    char at[TIME_BYTES], run[32] = "";
    if (codec_decode(&entry_shape, item, &en, &e) < 0)
        return;
    if (en.run)
        snprintf(run, sizeof(run), "run/%lld", (long long)en.run);
    text_line(f, "%lld  %s  %-8s %s  (%s)", (long long)en.seq, time_date(at, en.wall_us), run,
              en.text ? en.text : en.kind, en.actor ? en.actor : "scheduler");
    shape_done(&entry_shape, &en);
}

enum { PAGE = 1000 };

/* `limit` entries: those that follow seq `after`, or without it (-1) the last ones. The API pages
 * forward only: go through, keep the end. */
static int journal_part(struct cli *c, int64_t after, int64_t limit, json_t *keep)
{
    struct err e;
    struct client *cl = cli_client(c, &e);
    bool last = after < 0;
    if (!cl)
        return cli_fail(c, &e);
    after = last ? 0 : after;
    for (;;) {
        cleanup(json_decrefp) json_t *j = NULL;
        cleanup(freep) char *path =
            xasprintf("/v1/journal?after=%lld&limit=%d", (long long)after, PAGE);
        if (client_get(cl, path, &j, &e) < 0)
            return cli_fail(c, &e);
        json_t *entries = json_object_get(j, "entries");
        int64_t before = after;
        json_t *item;
        size_t i;
        json_array_foreach(entries, i, item)
        {
            int64_t seq = json_integer_value(json_object_get(item, "seq"));
            after = seq > after ? seq : after;
        }
        json_array_extend(keep, entries);
        while ((int64_t)json_array_size(keep) > limit)
            json_array_remove(keep, last ? 0 : json_array_size(keep) - 1);
        if (after == before || (!last && (int64_t)json_array_size(keep) == limit))
            return X_DONE;
    }
}

int cmd_journal(struct cli *c, int argc, char **argv)
{
    enum { O_AFTER = 256, O_LIMIT };
    static const struct option own[] = {{"after", required_argument, NULL, O_AFTER},
                                        {"limit", required_argument, NULL, O_LIMIT},
                                        {0}};
    int64_t after = -1, limit = 100;
    struct err e;
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o < 0)
            return opt_exit(o);
        if (parse_int(optarg, o == O_LIMIT, INT64_MAX, o == O_AFTER ? &after : &limit, &e) < 0)
            return cli_usage(c, "%s: %s", o == O_AFTER ? "--after" : "--limit", e.msg);
    }
    if (!opt_words(c, argc, argv, 0, 0, ""))
        return X_USAGE;
    json_t *entries = json_array();
    cleanup(json_decrefp) json_t *j =
        json_pack("{s:s, s:o}", "schema", "drover.journal/1", "entries", entries);
    int code = journal_part(c, after, limit, entries);
    if (code)
        return code;
    if (out_is_data(c)) {
        out_data(c, j, "entries");
        return X_DONE;
    }
    json_t *item;
    size_t i;
    json_array_foreach(entries, i, item) journal_line(c->out, item);
    return X_DONE;
}
