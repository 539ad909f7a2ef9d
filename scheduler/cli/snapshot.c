/* drover snapshot: the fleet as a file; from the scheduler, or from other people's lists. */
#include <errno.h>
#include <libgen.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/policycmd.h"
#include "scheduler/cli/testcase.h"
#include "scheduler/cli/text.h"
#include "scheduler/snap/snap.h"

/* As it came; a fleet of 10,000 hosts is no tree in memory for that. */
static int print(struct cli *c, const char *text)
{
    if (c->format == OUT_YAML) {
        cleanup(json_decrefp) json_t *j = json_loads(text, 0, NULL);
        out_data(c, j, NULL);
    } else {
        fputs(text, c->out);
    }
    return X_DONE;
}

static int save(struct cli *c)
{
    cleanup(freep) char *text = NULL;
    struct err e;
    struct client *cl = cli_client(c, &e);
    if (!cl || client_get_text(cl, "/v1/snapshot", &text, &e) < 0)
        return cli_fail(c, &e);
    return print(c, text);
}

/* ---- save ------------------------------------------------------------------------------------- */
struct save_opts {
    struct fleet_opts fleet;
    const char *request, *name, *policy;
};

/* A file is somebody's work: it is not written over. */
static int write_new(struct cli *c, const char *path, const char *text)
{
    struct err e;
    if (access(path, F_OK) == 0)
        return cli_error(c, X_DENIED, "%s exists already: nothing was written", path);
    if (file_write(path, text, strlen(text), 0644, &e) < 0)
        return cli_error(c, X_FAILED, "%s", e.msg);
    return X_DONE;
}

/* The case beside the fleet's file; today's answer is what is expected. */
static int save_case(struct cli *c, const struct save_opts *o, const char *path, const char *fleet)
{
    cleanup(freep) char *copy = xstrdup(path), *of_fleet = xstrdup(fleet), *text = NULL;
    const char *dir = dirname(copy);
    const struct testsave what = {dir, basename(of_fleet), o->request, o->name};
    struct policy p;
    struct err e;
    size_t len;
    if (policy_load(o->policy ? o->policy : dir, &p, &e) < 0)
        return cli_error(c, X_FAILED, "%s", e.msg);
    cleanup(json_decrefp) json_t *j = testcase_save(&what, &p, &e);
    policy_done(&p);
    if (!j)
        return cli_error(c, X_FAILED, "%s", e.msg);
    FILE *f = open_memstream(&text, &len);
    out_yaml(f, j);
    fclose(f);
    return write_new(c, path, text);
}

static int save_files(struct cli *c, const struct save_opts *o, const char *path)
{
    cleanup(snap_done) struct snap f = {0};
    size_t stem = strlen(path) - strlen(".test.yaml");
    cleanup(freep) char *fleet =
        o->request ? xasprintf("%.*s.json", (int)stem, path) : xstrdup(path);
    if (o->request && access(path, F_OK) == 0)
        return cli_error(c, X_DENIED, "%s exists already: nothing was written", path);
    int code = fleet_open(c, &o->fleet, &f);
    if (code)
        return code;
    cleanup(freep) char *text = snap_text(&f.s, clock_wall_us());
    code = write_new(c, fleet, text);
    if (!code && o->request && (code = save_case(c, o, path, fleet)))
        unlink(fleet); /* half a case is none */
    if (!code)
        cli_note(c, "wrote %s%s%s", fleet, o->request ? " and " : "", o->request ? path : "");
    return code;
}

static int save_to(struct cli *c, int argc, char **argv)
{
    enum { O_SNAPSHOT = 256, O_REQUEST, O_NAME, O_POLICY };
    static const struct option own[] = {{"snapshot", required_argument, NULL, O_SNAPSHOT},
                                        {"request", required_argument, NULL, O_REQUEST},
                                        {"name", required_argument, NULL, O_NAME},
                                        {"policy", required_argument, NULL, O_POLICY},
                                        {0}};
    struct save_opts o = {0};
    opt_begin();
    for (int got; (got = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (got < 0)
            return opt_exit(got);
        o.fleet.snapshot = got == O_SNAPSHOT ? optarg : o.fleet.snapshot;
        o.request = got == O_REQUEST ? optarg : o.request;
        o.name = got == O_NAME ? optarg : o.name;
        o.policy = got == O_POLICY ? optarg : o.policy;
    }
    if (!opt_words(c, argc, argv, 1, 1, "a file"))
        return X_USAGE;
    o.fleet.live = !o.fleet.snapshot;
    bool is_case = str_glob("*?.test.yaml", argv[optind]);
    if (is_case && !o.request)
        return cli_usage(c, "--request is missing: what the case asks, such as 'drain: kvm-03'");
    if (!is_case && (o.request || o.name || o.policy))
        return cli_usage(c, "--request, --name and --policy belong to a case: NAME.test.yaml");
    return save_files(c, &o, argv[optind]);
}

/* ---- import ------------------------------------------------------------------------------------ */
enum { MAX_FILES = 64 };
struct texts {
    struct snap_source list[MAX_FILES];
    size_t n;
};

static void texts_done(struct texts *t)
{
    for (size_t i = 0; i < t->n; i++)
        free((char *)(uintptr_t)t->list[i].text);
}

static const struct snap_source *add_text(struct texts *t, const char *path, struct err *e)
{
    char *text;
    size_t len;
    bool in = str_eq(path, "-");
    if (t->n == MAX_FILES) {
        err_set(e, -E2BIG, "more than %d files", MAX_FILES);
        return NULL;
    }
    if (file_read(in ? "/dev/stdin" : path, LIM_SNAPSHOT_BYTES, &text, &len, e) < 0)
        return NULL;
    struct snap_source *s = &t->list[t->n++];
    *s = (struct snap_source){in ? "standard input" : path, text};
    if (strlen(text) == len)
        return s;
    err_set(e, -EBADMSG, "%s: not a text: it has a NUL byte", s->name);
    return NULL;
}

struct import_opts {
    int from;
    const char *hosts, *flavors;
    bool assume_rbd;
    int64_t link_bps;
};

static int import_files(struct cli *c, const struct import_opts *o, char **files, size_t n)
{
    cleanup(texts_done) struct texts t = {0};
    struct snap_import in = {.n_files = n, .assume_rbd = o->assume_rbd, .link_bps = o->link_bps};
    cleanup(freep) char *notes = NULL;
    struct snap f;
    struct err e;
    in.files = t.list;
    for (size_t i = 0; i < n; i++)
        if (!add_text(&t, files[i], &e))
            return cli_error(c, X_FAILED, "%s", e.msg);
    if ((o->hosts && !(in.hosts = add_text(&t, o->hosts, &e))) ||
        (o->flavors && !(in.flavors = add_text(&t, o->flavors, &e))))
        return cli_error(c, X_FAILED, "%s", e.msg);
    if (snap_import((enum snap_format)o->from, &in, &f, &notes, &e) < 0) {
        text_line(c->err, "%s", e.msg); /* file:line: first, as editors expect */
        return X_FAILED;
    }
    cleanup(freep) char *text = snap_text(&f.s, 0);
    int code = print(c, text);
    cli_note(c, "%s with %s", text_count((int64_t)f.s.n_hosts, "host", "hosts"),
             text_count((int64_t)f.s.n_vms, "VM", "VMs"));
    for (char *line = notes, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        cli_note(c, "%s", line);
    }
    snap_done(&f);
    return code;
}

static int import(struct cli *c, int argc, char **argv)
{
    enum { O_FROM = 256, O_HOSTS, O_FLAVORS, O_RBD, O_LINK };
    static const struct option own[] = {{"from", required_argument, NULL, O_FROM},
                                        {"hosts", required_argument, NULL, O_HOSTS},
                                        {"flavors", required_argument, NULL, O_FLAVORS},
                                        {"assume-rbd", no_argument, NULL, O_RBD},
                                        {"link", required_argument, NULL, O_LINK},
                                        {0}};
    struct import_opts o = {.from = -1};
    struct err e;
    opt_begin();
    for (int got; (got = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (got < 0)
            return opt_exit(got);
        if (got == O_FROM)
            o.from = opt_word(c, "--from", optarg, snap_format_names, ARRAY_LEN(snap_format_names));
        if (got == O_FROM && o.from < 0)
            return X_USAGE;
        if (got == O_LINK && parse_bitrate(optarg, &o.link_bps, &e) < 0)
            return cli_usage(c, "--link: %s", e.msg);
        o.hosts = got == O_HOSTS ? optarg : o.hosts;
        o.flavors = got == O_FLAVORS ? optarg : o.flavors;
        o.assume_rbd = o.assume_rbd || got == O_RBD;
    }
    if (o.from < 0)
        return cli_usage(c, "--from is missing: ganeti, csv or table");
    if (o.from == SNAP_GANETI && (o.hosts || o.flavors))
        return cli_usage(c,
                         "--hosts and --flavors belong to csv and table: ganeti's text has both");
    if (!opt_words(c, argc, argv, 1, MAX_FILES - 2, "a file"))
        return X_USAGE;
    return import_files(c, &o, argv + optind, (size_t)(argc - optind));
}

/* ---- check ------------------------------------------------------------------------------------- */
static int check(struct cli *c, int argc, char **argv)
{
    struct snap f;
    struct err e;
    opt_begin();
    for (int got; (got = opt_next(c, argc, argv, NULL, false)) != OPT_END;)
        return opt_exit(got);
    if (!opt_words(c, argc, argv, 1, 1, "a file"))
        return X_USAGE;
    if (snap_load(argv[optind], &f, &e) < 0) {
        text_line(c->err, "%s", e.msg);
        return X_FAILED;
    }
    if (!c->quiet)
        text_line(c->out, "%s: ok, %s, %s%s%s", argv[optind],
                  text_count((int64_t)f.s.n_hosts, "host", "hosts"),
                  text_count((int64_t)f.s.n_vms, "VM", "VMs"), f.taken ? ", taken " : "",
                  f.taken ? f.taken : "");
    snap_done(&f);
    return X_DONE;
}

int cmd_snapshot(struct cli *c, int argc, char **argv)
{
    static const char *const words[] = {"import", "check", "save"};
    static int (*const run[])(struct cli *, int, char **) = {import, check, save_to};
    for (int o; (o = opt_next(c, argc, argv, NULL, true)) != OPT_END;)
        return opt_exit(o);
    if (optind >= argc)
        return save(c);
    int i = opt_word(c, "drover snapshot", argv[optind], words, ARRAY_LEN(words));
    return i < 0 ? X_USAGE : run[i](c, argc - optind, argv + optind);
}
