/* drover top: how busy all hosts are, and what moves; again and again on a terminal. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/list.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/plan/snapshot.h"

#define TOP_EVERY_US (2 * SEC)
enum { BAR = 10, AROUND = 6 }; /* AROUND: rows that are no host's and no run's */

struct top {
    struct cli *c;
    struct hosts_view hosts;
    struct runs_view runs;
    json_t *hosts_json, *runs_json;
};

static void top_done(struct top *t)
{
    shape_done(&hosts_view_shape, &t->hosts);
    shape_done(&runs_view_shape, &t->runs);
    json_decref(t->hosts_json);
    json_decref(t->runs_json);
    *t = (struct top){.c = t->c};
}

static int top_get(struct top *t, struct err *e)
{
    struct client *cl = cli_client(t->c, e);
    if (!cl)
        return e->code;
    int r = client_view(cl, "/v1/hosts", &hosts_view_shape, &t->hosts, &t->hosts_json, e);
    return r < 0 ? r : client_view(cl, "/v1/runs", &runs_view_shape, &t->runs, &t->runs_json, e);
}

/* ---- what is shown -------------------------------------------------------------------------------- */

static int64_t share_ppm(const struct host_view *h)
{
    return h->cpu.now_mcpu < 0 || h->cpus <= 0 ? -1 : h->cpu.now_mcpu * 1000 / h->cpus;
}

static int busiest_first(const void *a, const void *b)
{
    const struct host_view *x = a, *y = b;
    int64_t i = share_ppm(x), j = share_ppm(y);
    return i != j ? (i < j ? 1 : -1) : strcmp(x->name, y->name);
}

static void bar_cell(struct table *t, int64_t ppm)
{
    char text[BAR + 3] = "[..........]";
    if (ppm < 0) {
        table_text(t, C_DIM, "?");
        return;
    }
    for (int i = 0; i < BAR && ppm >= (2 * i + 1) * 1000000 / (2 * BAR); i++)
        text[1 + i] = '#';
    table_text(t, ppm >= 900000 ? C_BAD : ppm >= 750000 ? C_WARN : C_GOOD, text);
    table_key(t, ppm);
}

static void pressure_cell(struct table *t, int64_t ppm)
{
    if (ppm < 0)
        table_text(t, C_NONE, "?");
    else
        table_fmt(t, C_NONE, "%lld %%", (long long)(ppm + 5000) / 10000);
    table_key(t, ppm);
}

static void in_use_cell(struct table *t, const struct host_view *h)
{
    if (h->mem_bytes <= 0 || h->load.mem_free_bytes < 0)
        table_text(t, C_NONE, "?");
    else
        table_fmt(t, C_NONE, "%lld %%",
                  (long long)(100 - h->load.mem_free_bytes * 100 / h->mem_bytes));
}

static void host_row(struct table *t, const struct host_view *h)
{
    table_text(t, C_NONE, h->name);
    table_text(t, host_colour(h->state), h->connected ? host_state_names[h->state] : "no agent");
    bar_cell(t, share_ppm(h));
    load_cell(t, h->cpu.now_mcpu, h->cpus);
    load_cell(t, h->cpu.m5_mcpu, h->cpus);
    load_cell(t, h->cpu.h1_mcpu, h->cpus);
    load_cell(t, h->cpu.p95_mcpu, h->cpus);
    in_use_cell(t, h);
    pressure_cell(t, h->load.psi_cpu_ppm);
    pressure_cell(t, h->load.psi_mem_ppm);
    pressure_cell(t, h->load.psi_io_ppm);
    rate_cell(t, h->load.rx_Bps, h->load.tx_Bps);
    table_int(t, h->running);
    flow_cell(t, h->moving_in, h->moving_out);
    flow_cell(t, h->queued_in, h->queued_out);
    table_int(t, h->cpus);
    table_text(t, C_NONE, h->load.source);
}

static int hosts_print(const struct top *t, size_t most)
{
    static const struct column cols[] = {
        {"HOST", false, false},   {"STATE", false, false},  {"LOAD", false, false},
        {"CPU", false, true},     {"CPU-5M", false, true},  {"CPU-1H", true, true},
        {"CPU-P95", false, true}, {"MEM", false, true},     {"PSI-CPU", false, true},
        {"PSI-MEM", false, true}, {"PSI-IO", false, true},  {"LINK", false, true},
        {"RUNNING", false, true}, {"MOVING", false, false}, {"QUEUED", false, false},
        {"CPUS", true, true},     {"SOURCE", true, false},
    };
    struct table table = {.cols = cols, .n_cols = ARRAY_LEN(cols)};
    size_t n = t->hosts.n_hosts < most ? t->hosts.n_hosts : most;
    for (size_t i = 0; i < n; i++)
        host_row(&table, &t->hosts.hosts[i]);
    int code = table_print(t->c, &table);
    table_done(&table);
    if (n < t->hosts.n_hosts)
        text_line(t->c->out, "and %zu less busy ones", t->hosts.n_hosts - n);
    return code;
}

static void runs_print(const struct top *t)
{
    bool any = false;
    for (size_t i = 0; i < t->runs.n_runs; i++) {
        const struct run *r = &t->runs.runs[i];
        if (run_ended(r->state))
            continue;
        if (!any)
            fputc('\n', t->c->out);
        any = true;
        text_line(
            t->c->out, "run/%lld %s%s%s: %lld moved, %lld moving, %lld queued, %lld blocked%s%s",
            (long long)r->id, run_kind_names[r->kind], r->host ? " " : "", r->host ? r->host : "",
            (long long)r->moved, (long long)r->moving, (long long)r->queued, (long long)r->blocked,
            run_waits(r) ? "; " : "", run_waits(r) ? r->message : "");
    }
}

static void summary_line(const struct top *t)
{
    int64_t busy = 0, cpus = 0;
    size_t known = 0;
    for (size_t i = 0; i < t->hosts.n_hosts; i++) {
        const struct host_view *h = &t->hosts.hosts[i];
        if (share_ppm(h) < 0)
            continue;
        known++;
        busy += h->cpu.now_mcpu;
        cpus += h->cpus;
    }
    char at[TIME_BYTES];
    text_line(t->c->out, "%s  %s, load known of %zu: %.1f of %lld CPUs busy",
              time_clock(at, t->hosts.wall_us),
              text_count((int64_t)t->hosts.n_hosts, "host", "hosts"), known, (double)busy / 1000,
              (long long)cpus);
}

static int show(struct top *t, size_t most)
{
    if (t->hosts.n_hosts)
        qsort(t->hosts.hosts, t->hosts.n_hosts, sizeof(*t->hosts.hosts), busiest_first);
    summary_line(t);
    int code = hosts_print(t, most);
    runs_print(t);
    return code;
}

static void print_data(const struct top *t)
{
    json_t *open = json_array(), *run;
    size_t i;
    json_array_foreach(json_object_get(t->runs_json, "runs"), i, run)
    {
        if (i < t->runs.n_runs && !run_ended(t->runs.runs[i].state))
            json_array_append(open, run);
    }
    cleanup(json_decrefp) json_t *j = json_pack(
        "{s:s, s:I, s:O, s:o}", "schema", "drover.top/1", "wall_us", (json_int_t)t->hosts.wall_us,
        "hosts", json_object_get(t->hosts_json, "hosts"), "runs", open);
    out_data(t->c, j, "hosts");
}

/* ---- again and again ------------------------------------------------------------------------------ */

static size_t rows_for_hosts(const struct top *t)
{
    struct winsize ws;
    size_t rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 0 ? ws.ws_row : 24;
    size_t others = AROUND;
    for (size_t i = 0; i < t->runs.n_runs; i++)
        others += !run_ended(t->runs.runs[i].state);
    return rows > others + 1 ? rows - others : 1;
}

static bool stopped(const struct cli *c)
{
    return c->interrupted && *c->interrupted;
}

static int once(struct top *t, bool again)
{
    struct err e;
    if (top_get(t, &e) < 0)
        return cli_fail(t->c, &e);
    if (out_is_data(t->c)) {
        print_data(t);
        return X_DONE;
    }
    if (again)
        fputs("\033[H\033[J", t->c->out);
    int code = show(t, again ? rows_for_hosts(t) : SIZE_MAX);
    fflush(t->c->out);
    return code;
}

int cmd_top(struct cli *c, int argc, char **argv)
{
    enum { O_ONCE = 256, O_INTERVAL };
    static const struct option own[] = {{"once", no_argument, NULL, O_ONCE},
                                        {"interval", required_argument, NULL, O_INTERVAL},
                                        {0}};
    int64_t every_us = c->poll_us ? c->poll_us : TOP_EVERY_US;
    bool again = c->out_tty && !c->dumb && !c->ci && !out_is_data(c);
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o == O_ONCE)
            again = false;
        else if (o != O_INTERVAL)
            return opt_exit(o);
        else if (!opt_duration(c, "--interval", optarg, &every_us))
            return X_USAGE;
    }
    if (!opt_words(c, argc, argv, 0, 0, "nothing"))
        return X_USAGE;
    again = again && !out_is_data(c);
    struct top t = {.c = c};
    int code;
    do {
        code = once(&t, again);
        top_done(&t);
        if (!again || stopped(c) || code)
            break;
        struct timespec ts = {.tv_sec = every_us / SEC, .tv_nsec = every_us % SEC * 1000};
        nanosleep(&ts, NULL); /* a signal ends it */
    } while (!stopped(c));
    return code;
}
