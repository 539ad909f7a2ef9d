/* drover drain, drover plan drain. */
#include "scheduler/cli/drain.h"

#include <errno.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "policy/policy.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/offline.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/picture.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/core/runhosts.h"

struct drain_opts {
    struct request req; /* host or hosts, to, avoid, ... as asked */
    bool detach, yes, detailed;
    int64_t timeout_us;
    const char *confirm; /* --confirm=HOST,... */
    struct offline_opts offline;
    const char *picture; /* file to draw the plan into */
    bool why_not;        /* only who stays, and why */
    const char *why_vm;  /* of this one; NULL: of all */
    const char *why_at;  /* the word after --why-not */
};
enum drain_option {
    O_DETACH = 256,
    O_TIMEOUT,
    O_DEADLINE,
    O_PARALLEL,
    O_TO,
    O_AVOID,
    O_ON_BLOCKED,
    O_ALLOW,
    O_CONFIRM,
    O_MAKE_ROOM,
    O_DETAILED,
    O_SNAPSHOT,
    O_POLICY,
    O_PICTURE,
    O_WHY_NOT,
};
static const struct option options[] = {
    {"dry-run", no_argument, NULL, 'n'},
    {"reason", required_argument, NULL, 'm'},
    {"yes", no_argument, NULL, 'y'},
    {"detach", no_argument, NULL, O_DETACH},
    {"timeout", required_argument, NULL, O_TIMEOUT},
    {"deadline", required_argument, NULL, O_DEADLINE},
    {"parallel", required_argument, NULL, O_PARALLEL},
    {"to", required_argument, NULL, O_TO},
    {"avoid", required_argument, NULL, O_AVOID},
    {"on-blocked", required_argument, NULL, O_ON_BLOCKED},
    {"allow-shutdown", required_argument, NULL, O_ALLOW},
    {"confirm", required_argument, NULL, O_CONFIRM},
    {"make-room", no_argument, NULL, O_MAKE_ROOM},
    {"detailed-exitcode", no_argument, NULL, O_DETAILED},
    {"snapshot", required_argument, NULL, O_SNAPSHOT},
    {"policy", required_argument, NULL, O_POLICY},
    {"picture", required_argument, NULL, O_PICTURE},
    {"why-not", optional_argument, NULL, O_WHY_NOT},
    {0},
};

static bool set_parallel(struct cli *c, const char *text, int64_t *ret)
{
    struct err e;
    if (str_eq(text, "auto"))
        *ret = 0;
    else if (parse_int(text, 1, 1000, ret, &e) < 0) {
        cli_usage(c, "--parallel: %s, or auto", e.msg);
        return false;
    }
    return true;
}

/* next: the word after the option. */
static bool drain_option(struct cli *c, int o, const char *next, struct drain_opts *d)
{
    struct request *r = &d->req;
    int i;
    switch (o) {
    case 'n':
        return r->dry_run = true;
    case 'y':
        return d->yes = true;
    case 'm':
        free(r->reason), r->reason = xstrdup(optarg);
        return true;
    case O_DETACH:
        return d->detach = true;
    case O_MAKE_ROOM:
        return r->make_room = true;
    case O_DETAILED:
        return d->detailed = true;
    case O_SNAPSHOT:
        return (d->offline.snapshot = optarg) != NULL;
    case O_POLICY:
        return (d->offline.policy = optarg) != NULL;
    case O_PICTURE:
        return (d->picture = optarg) != NULL;
    case O_WHY_NOT:
        d->why_vm = optarg ? name_vm(c, optarg) : NULL;
        d->why_at = optarg ? NULL : next;
        return d->why_not = !optarg || d->why_vm;
    case O_TIMEOUT:
        return opt_duration(c, "--timeout", optarg, &d->timeout_us);
    case O_DEADLINE:
        return opt_duration(c, "--deadline", optarg, &r->deadline_us);
    case O_PARALLEL:
        return set_parallel(c, optarg, &r->parallel);
    case O_TO:
        return name_keep(&r->to, &r->n_to, name_host(c, optarg));
    case O_AVOID:
        return name_keep(&r->avoid, &r->n_avoid, name_host(c, optarg));
    case O_ALLOW:
        if (!strpbrk(optarg, "*?"))
            return name_keep(&r->allow_shutdown, &r->n_allow_shutdown, name_vm(c, optarg));
        cli_usage(c, "--allow-shutdown '%s': patterns stop nobody; name each VM", optarg);
        return false;
    case O_CONFIRM:
        return (d->confirm = optarg) != NULL;
    default:
        i = opt_word(c, "--on-blocked", optarg, on_blocked_names, ARRAY_LEN(on_blocked_names));
        free(r->on_blocked);
        r->on_blocked = i < 0 ? NULL : xstrdup(on_blocked_names[i]);
        return i >= 0;
    }
}

/* "h1,h2": the hosts as they are typed to confirm. Gives. */
static char *hosts_typed(const struct request *r)
{
    char **names, *s = NULL;
    size_t n;
    request_hosts(r, &names, &n);
    for (size_t i = 0; i < n; i++)
        text_add(&s, "%s%s", i ? "," : "", names[i]);
    names_done(names, n);
    return s;
}

static bool confirmed(const struct request *r, const char *text)
{
    struct request said = *r;
    said.confirm = (char *)(uintptr_t)text;
    return request_confirms(&said);
}

/* What contradicts itself. */
static int check(struct cli *c, const struct drain_opts *d)
{
    const struct request *r = &d->req;
    if (r->n_allow_shutdown && str_eq(r->on_blocked, "leave"))
        return cli_usage(
            c,
            "--allow-shutdown and --on-blocked leave contradict each other: is the VM to be shut "
            "off, or to stay?");
    for (size_t i = 0; i < r->n_to; i++) {
        if (str_in(r->to[i], r->hosts, r->n_hosts))
            return cli_usage(c, "--to %s is %s being drained", r->to[i],
                             r->n_hosts > 1 ? "one of the hosts" : "the host");
        if (str_in(r->to[i], r->avoid, r->n_avoid))
            return cli_usage(c, "host/%s is named with --to and with --avoid", r->to[i]);
    }
    if (d->confirm && !confirmed(r, d->confirm)) {
        cleanup(freep) char *hosts = hosts_typed(r);
        return cli_error(c, X_DENIED,
                         "--confirm=%s does not name the %s to be drained, %s: nothing "
                         "was done",
                         d->confirm, r->n_hosts > 1 ? "hosts" : "host", hosts);
    }
    return X_DONE;
}

/* The words are hosts; but the one after --why-not is a VM, as people write it. */
static int words(struct cli *c, int argc, char **argv, struct drain_opts *d)
{
    struct request *r = &d->req;
    bool vm = d->why_at && argc - optind > 1;
    if (!opt_words(c, argc, argv, 1, LIM_HOSTS, "a host"))
        return X_USAGE;
    for (int i = optind; i < argc; i++) {
        if (vm && argv[i] == d->why_at) {
            d->why_vm = name_vm(c, argv[i]);
            if (!d->why_vm)
                return X_USAGE;
        } else if (!name_keep(&r->hosts, &r->n_hosts, name_host(c, argv[i]))) {
            return X_USAGE;
        }
    }
    return X_DONE;
}

/* HOST... [options]. X_DONE, or an exit code already explained; < 0: help was printed. */
static int parse(struct cli *c, int argc, char **argv, struct drain_opts *d)
{
    opt_begin();
    d->req.verb = VERB_DRAIN;
    for (int o; (o = opt_next(c, argc, argv, options, false)) != OPT_END;) {
        if (o == OPT_HELP)
            return -1;
        if (o < 0 || !drain_option(c, o, optind < argc ? argv[optind] : NULL, d))
            return X_USAGE;
    }
    int code = words(c, argc, argv, d);
    code = code ? code : check(c, d);
    if (!code && d->req.n_hosts == 1) { /* the simple form, which every scheduler knows */
        d->req.host = take(d->req.hosts[0]);
        free(take(d->req.hosts));
        d->req.n_hosts = 0;
    }
    return code;
}

/* ---- stopping VMs wants a word ----------------------------------------------------------------- */
static bool stops_vms(const struct request *r)
{
    return str_eq(r->on_blocked, "cold") || str_eq(r->on_blocked, "shutdown");
}

/* The plan, by the same checks as the drain itself: what would be stopped. */
static int rehearse(struct cli *c, const struct request *req, struct run_view *ret)
{
    struct request dry;
    struct reply reply;
    struct err e;
    struct follow_opts follow = {.quiet = true};
    shape_copy(&request_shape, &dry, req);
    dry.dry_run = true;
    dry.confirm = hosts_typed(req); /* show all that it could come to */
    int r = request_post(c, &dry, &reply, &e);
    shape_done(&request_shape, &dry);
    if (r < 0)
        return cli_fail(c, &e);
    int64_t run = reply.run;
    int code = run ? X_DONE : reply_print(c, &reply);
    shape_done(&reply_shape, &reply);
    if (!run)
        return code ? code : X_FAILED;
    return follow_run(c, run, &follow, ret, NULL);
}

/* Print each VM that would be stopped, and name it in the request: what was not on the list when the
 * operator said yes is not stopped. Gives their number. */
static size_t list_stops(FILE *f, const struct run_view *v, struct request *req)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_moves; i++) {
        const struct move *m = &v->moves[i];
        if (m->live || m->offline)
            continue;
        text_line(f, "  vm/%s will be shut down, moved to %s and started there", m->vm_name, m->to);
        name_keep(&req->allow_shutdown, &req->n_allow_shutdown, m->vm_name);
        n++;
    }
    for (size_t i = 0; i < v->run.n_stays; i++) {
        const struct stay *st = &v->run.stays[i];
        if (stay_fate(&v->run, st) != FATE_STOPS)
            continue;
        cleanup(freep) char *why =
            st->n_reasons ? reason_line(&st->reasons[0]) : xstrdup("cannot move");
        text_line(f, "  vm/%s will be shut down and stay off: %s", st->name ? st->name : st->vm,
                  why);
        name_keep(&req->allow_shutdown, &req->n_allow_shutdown, st->name);
        n++;
    }
    return n;
}

static int ask_name(struct cli *c, const struct request *req)
{
    char line[16 * LIM_NAME_BYTES];
    cleanup(freep) char *place = request_place(req);
    fprintf(c->err, "Type the %s to go on: ",
            req->n_hosts > 1 ? "hosts' names, separated by commas," : "host's name");
    fflush(c->err);
    if (!fgets(line, sizeof(line), c->in) || (c->interrupted && *c->interrupted))
        return cli_error(c, X_DENIED, "not confirmed; nothing was done");
    line[strcspn(line, "\r\n")] = '\0';
    if (!confirmed(req, line))
        return cli_error(c, X_DENIED, "'%s' is not %s: not confirmed; nothing was done", line,
                         req->host ? req->host : place);
    return X_DONE;
}

/* The scheduler stops only VMs that the request names; or, confirmed, every one that cannot move. */
static int confirm(struct cli *c, struct drain_opts *d)
{
    struct run_view v;
    if (d->req.n_allow_shutdown) {
        /* named one by one: that is the operator's word, for these VMs and no others */
        if (!d->req.on_blocked || str_eq(d->req.on_blocked, "refuse")) {
            free(d->req.on_blocked);
            d->req.on_blocked = xstrdup(on_blocked_names[BLOCKED_SHUTDOWN]);
        }
        return X_DONE;
    }
    if (!stops_vms(&d->req))
        return X_DONE;
    cleanup(freep) char *hosts = hosts_typed(&d->req);
    if (d->confirm || d->req.dry_run) {
        d->req.confirm = take(hosts);
        return X_DONE;
    }
    cleanup(freep) char *place = request_place(&d->req), *words = xstrdup(hosts);
    for (char *x = words; (x = strchr(x, ',')) != NULL;)
        *x = ' ';
    if (!c->in_tty || c->no_input)
        return cli_error(
            c, X_DENIED,
            "--on-blocked %s may stop VMs: confirm it with --confirm=%s%s; nothing was done\n"
            "  drover plan drain %s --on-blocked %s shows which",
            d->req.on_blocked, hosts, d->yes ? " (--yes does not answer this)" : "", words,
            d->req.on_blocked);
    int code = rehearse(c, &d->req, &v);
    if (code)
        return code;
    if (v.run.state != RUN_FAILED && v.run.state != RUN_CANCELLED) {
        char *list = NULL;
        size_t len = 0;
        FILE *mem = open_memstream(&list, &len);
        if (!mem)
            abort();
        size_t n = list_stops(mem, &v, &d->req);
        fclose(mem);
        if (n)
            fprintf(c->err, "Draining %s stops %s:\n%s", place,
                    text_count((int64_t)n, "VM that cannot move live", "VMs that cannot move live"),
                    list);
        free(list);
        code = n ? ask_name(c, &d->req) : X_DONE;
    }
    shape_done(&run_view_shape, &v);
    return code;
}

/* ---- the drain --------------------------------------------------------------------------------- */
/* "run/42 (asked for by root at 10:42)" for the note on joining. */
static void tell_joined(struct cli *c, const struct reply *r)
{
    struct run_view v;
    struct err e;
    char at[TIME_BYTES];
    cleanup(freep) char *path = xasprintf("/v1/runs/%lld", (long long)r->run);
    struct client *cl = cli_client(c, &e);
    if (!cl || client_view(cl, path, &run_view_shape, &v, NULL, &e) < 0) {
        cli_note(c, "joined run/%lld", (long long)r->run);
        return;
    }
    cli_note(c, "joined run/%lld, started by %s at %s%s%s%s; options given now do not change it",
             (long long)r->run, v.run.actor ? v.run.actor : "?",
             time_clock(at, v.run.created_wall_us), v.run.reason ? " (\"" : "",
             v.run.reason ? v.run.reason : "", v.run.reason ? "\")" : "");
    shape_done(&run_view_shape, &v);
}

/* A dry run's answer; j: as data. */
static int print_dry(struct cli *c, const struct run_view *v, const json_t *j,
                     const struct drain_opts *d)
{
    int code = run_exit(&v->run);
    if (c->format != OUT_NAME && !out_is_data(c))
        return d->why_not ? why_not_print(c, v, d->why_vm) : plan_print(c, v, d->detailed);
    if (c->format == OUT_NAME) {
        text_line(c->out, "run/%lld", (long long)v->run.id);
        return code;
    }
    out_data(c, j, "moves");
    return code == X_DONE && d->detailed && (v->n_moves || v->run.n_stays) ? X_CHANGES : code;
}

/* The fleet that the scheduler planned with: only for the picture. */
static int fetch_fleet(struct cli *c, struct snap *ret)
{
    cleanup(freep) char *text = NULL;
    struct err e;
    struct client *cl = cli_client(c, &e);
    if (!cl || client_get_text(cl, "/v1/snapshot", &text, &e) < 0)
        return cli_fail(c, &e);
    return snap_parse("the scheduler's fleet", text, strlen(text), ret, &e) < 0 ? cli_fail(c, &e)
                                                                                : X_DONE;
}

static int report_dry(struct cli *c, int64_t id, const struct drain_opts *d)
{
    struct follow_opts follow = {.timeout_us = d->timeout_us, .quiet = true};
    struct run_view v;
    struct snap fleet = {0};
    cleanup(json_decrefp) json_t *j = NULL;
    int code = follow_run(c, id, &follow, &v, &j);
    if (code)
        return code;
    if (d->picture && !(code = fetch_fleet(c, &fleet)))
        code = picture_save(c, &fleet.s, &v, d->picture);
    code = code ? code : print_dry(c, &v, j, d);
    snap_done(&fleet);
    shape_done(&run_view_shape, &v);
    return code;
}

static int plan_offline(struct cli *c, struct drain_opts *d)
{
    struct offline o;
    struct run_view v;
    int code = confirm(c, d);
    code = code ? code : offline_open(c, &d->offline, &o);
    if (code)
        return code;
    code = offline_plan(c, &o, &d->req, &v);
    if (!code) {
        cleanup(json_decrefp) json_t *j = offline_encode(&o, &v);
        code = d->picture ? picture_save(c, &o.fleet.s, &v, d->picture) : X_DONE;
        code = code ? code : print_dry(c, &v, j, d);
        offline_note(c, &o);
        shape_done(&run_view_shape, &v);
    }
    offline_done(&o);
    return code;
}

static int started(struct cli *c, const struct reply *r, const struct drain_opts *d)
{
    if (r->joined)
        tell_joined(c, r);
    if (d->req.dry_run)
        return report_dry(c, r->run, d);
    if (d->detach)
        return run_left_alone(c, r);
    struct follow_opts follow = {.timeout_us = d->timeout_us, .hint = true};
    return run_follow_and_report(c, r->run, &follow);
}

static int drain(struct cli *c, struct drain_opts *d)
{
    struct reply reply;
    struct err e;
    int code = confirm(c, d);
    if (code)
        return code;
    if (request_post(c, &d->req, &reply, &e) < 0)
        return cli_fail(c, &e);
    code = reply.run && reply.exit == X_DONE ? started(c, &reply, d) : reply_print(c, &reply);
    shape_done(&reply_shape, &reply);
    return code;
}

static int drain_or_plan(struct cli *c, int argc, char **argv, bool dry)
{
    struct drain_opts d = {0};
    int code = parse(c, argc, argv, &d);
    if (code) {
        shape_done(&request_shape, &d.req);
        return code < 0 ? X_DONE : code;
    }
    d.req.dry_run = d.req.dry_run || dry;
    const char *only_dry = d.detailed           ? "--detailed-exitcode"
                           : d.picture          ? "--picture"
                           : d.why_not          ? "--why-not"
                           : d.offline.snapshot ? "--snapshot"
                                                : NULL;
    if (only_dry && !d.req.dry_run)
        code = cli_usage(c, "%s belongs to a dry run: drover plan drain, or --dry-run", only_dry);
    else if (d.offline.snapshot || d.offline.policy)
        code = plan_offline(c, &d);
    else
        code = drain(c, &d);
    shape_done(&request_shape, &d.req);
    return code;
}

int cmd_drain(struct cli *c, int argc, char **argv)
{
    return drain_or_plan(c, argc, argv, false);
}

int cmd_plan(struct cli *c, int argc, char **argv)
{
    for (int o; (o = opt_next(c, argc, argv, NULL, true)) != OPT_END;)
        return opt_exit(o);
    if (optind >= argc)
        return cli_usage(c, "what to plan is missing: drover plan drain HOST...");
    if (balance_is(argv[optind]))
        return balance_plan(c, argc - optind, argv + optind);
    if (str_eq(argv[optind], "make-room") || str_eq(argv[optind], "fit"))
        return room_plan(c, argc - optind, argv + optind);
    if (str_eq(argv[optind], "failover"))
        return failover_plan(c, argc - optind, argv + optind);
    if (!str_eq(argv[optind], "drain"))
        return cli_usage(
            c,
            "'%s' cannot be planned; drain HOST..., failover HOST..., balance, relieve, repair, "
            "consolidate, make-room and fit can",
            argv[optind]);
    return drain_or_plan(c, argc - optind, argv + optind, true);
}
