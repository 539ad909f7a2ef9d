/* drover plan make-room, fit: where a VM has room, or which few moves make some. */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/offline.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/picture.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/core/planned.h"

struct room_opts {
    struct offline_opts offline;
    const char *picture;
    int64_t max_moves; /* 0: the policy's */
    const char *vm;    /* one that there is; else a new one */
    struct vm fresh;   /* as asked for */
    char **to, **avoid;
    size_t n_to, n_avoid;
    bool make, detailed; /* make: moves of others are allowed */
    bool one_cell;       /* a new VM in one NUMA cell */
    bool named;
};
/* The fleet with the VM in question. */
struct stage {
    struct snapshot s;
    struct snap_vm *vms; /* the fleet's, and the new VM */
    struct plan_request r;
    struct ids to, avoid;
};

static void opts_done(struct room_opts *d)
{
    shape_done(&vm_shape, &d->fresh);
    free(d->to);
    free(d->avoid);
}

static void stage_done(struct stage *x)
{
    free(x->vms);
    free(x->to.list);
    free(x->avoid.list);
}

/* "app=db,tier=1" */
static int add_labels(struct cli *c, const char *text, struct vm *v)
{
    cleanup(freep) char *copy = xstrdup(text);
    char *rest = copy;
    for (char *word; (word = strsep(&rest, ",")) != NULL;) {
        char *eq = strchr(word, '=');
        if (!eq || eq == word || v->n_labels == LIM_LIST_ITEMS)
            return cli_usage(c, "--labels: expected KEY=VALUE,..., got '%s'", word);
        *eq = '\0';
        struct label *l = vec_add(&v->labels, &v->n_labels);
        l->key = xstrdup(word);
        l->value = xstrdup(eq + 1);
    }
    return X_DONE;
}

enum {
    O_SNAPSHOT = 256,
    O_POLICY,
    O_PICTURE,
    O_MOVES,
    O_DETAILED,
    O_MEMORY,
    O_VCPUS,
    O_LABELS,
    O_NAME,
    O_VM,
    O_TO,
    O_AVOID,
    O_NUMA
};

static int parse_wanted(struct cli *c, int o, struct room_opts *ret)
{
    struct err e;
    if (o == O_MOVES && parse_int(optarg, 1, OFFLINE_MOVES, &ret->max_moves, &e) < 0)
        return cli_usage(c, "--max-moves: %s", e.msg);
    if (o == O_MEMORY && parse_size(optarg, &ret->fresh.mem_bytes, &e) < 0)
        return cli_usage(c, "--memory: %s", e.msg);
    if (o == O_VCPUS && parse_int(optarg, 1, LIM_VCPUS, &ret->fresh.vcpus, &e) < 0)
        return cli_usage(c, "--vcpus: %s", e.msg);
    if (o == O_LABELS)
        return add_labels(c, optarg, &ret->fresh);
    return X_DONE;
}

static int parse_option(struct cli *c, int o, struct room_opts *ret)
{
    if (o == O_SNAPSHOT)
        ret->offline.snapshot = optarg;
    else if (o == O_POLICY)
        ret->offline.policy = optarg;
    else if (o == O_PICTURE)
        ret->picture = optarg;
    else if (o == O_DETAILED)
        ret->detailed = true;
    else if (o == O_NUMA)
        ret->one_cell = true;
    else if (o == O_VM)
        return (ret->vm = name_vm(c, optarg)) ? X_DONE : X_USAGE;
    else if (o == O_TO)
        return name_host_add(c, optarg, &ret->to, &ret->n_to) ? X_DONE : X_USAGE;
    else if (o == O_AVOID)
        return name_host_add(c, optarg, &ret->avoid, &ret->n_avoid) ? X_DONE : X_USAGE;
    else if (o == O_NAME) {
        free(ret->fresh.name);
        ret->fresh.name = xstrdup(optarg);
        ret->named = true;
    } else
        return parse_wanted(c, o, ret);
    return X_DONE;
}

static int check(struct cli *c, const struct room_opts *d)
{
    bool fresh = d->fresh.mem_bytes >= 0 || d->fresh.vcpus >= 0 || d->fresh.n_labels || d->one_cell;
    if (d->vm && fresh)
        return cli_usage(c,
                         "--vm is a VM that there is; --memory, --vcpus, --labels and --numa say "
                         "what a new one is");
    if (!d->make && (d->max_moves || d->picture || d->detailed))
        return cli_usage(c, "--max-moves, --picture and --detailed-exitcode belong to make-room: "
                            "drover plan fit moves nothing");
    if (!d->make && !d->offline.snapshot)
        return cli_usage(c, "a fleet to plan for is missing: drover snapshot > fleet.json, then "
                            "--snapshot fleet.json");
    bool of_file = d->picture || d->offline.policy || d->fresh.n_labels || d->one_cell || d->named;
    if (!d->offline.snapshot && of_file)
        return cli_usage(c, "--picture, --policy, --labels, --name and --numa want a fleet in a "
                            "file: drover snapshot > fleet.json, then --snapshot fleet.json");
    return X_DONE;
}

/* make-room VM, or --vm VM. */
static int words(struct cli *c, int argc, char **argv, struct room_opts *d)
{
    if (!opt_words(c, argc, argv, 0, d->vm ? 0 : 1, d->vm ? "nothing" : "a VM"))
        return X_USAGE;
    if (optind < argc && !(d->vm = name_vm(c, argv[optind])))
        return X_USAGE;
    return check(c, d);
}

static int parse(struct cli *c, int argc, char **argv, struct room_opts *ret)
{
    static const struct option own[] = {{"snapshot", required_argument, NULL, O_SNAPSHOT},
                                        {"policy", required_argument, NULL, O_POLICY},
                                        {"picture", required_argument, NULL, O_PICTURE},
                                        {"max-moves", required_argument, NULL, O_MOVES},
                                        {"detailed-exitcode", no_argument, NULL, O_DETAILED},
                                        {"memory", required_argument, NULL, O_MEMORY},
                                        {"vcpus", required_argument, NULL, O_VCPUS},
                                        {"labels", required_argument, NULL, O_LABELS},
                                        {"name", required_argument, NULL, O_NAME},
                                        {"vm", required_argument, NULL, O_VM},
                                        {"numa", no_argument, NULL, O_NUMA},
                                        {"to", required_argument, NULL, O_TO},
                                        {"avoid", required_argument, NULL, O_AVOID},
                                        {0}};
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o < 0)
            return o == OPT_HELP ? -1 : opt_exit(o);
        int code = parse_option(c, o, ret);
        if (code)
            return code;
    }
    return words(c, argc, argv, ret);
}

/* Of the running scheduler, with the real checks. */
static int ask(struct cli *c, const struct room_opts *d)
{
    struct request req = {.mode = xstrdup(balance_mode_names[BALANCE_MAKE_ROOM]),
                          .max_moves = d->max_moves,
                          .mem_bytes = d->fresh.mem_bytes > 0 ? d->fresh.mem_bytes : 0,
                          .vcpus = d->fresh.vcpus > 0 ? d->fresh.vcpus : 0,
                          .vm = xstrdup(d->vm)};
    for (size_t i = 0; i < d->n_to; i++)
        name_keep(&req.to, &req.n_to, d->to[i]);
    for (size_t i = 0; i < d->n_avoid; i++)
        name_keep(&req.avoid, &req.n_avoid, d->avoid[i]);
    return balance_ask_plan(c, &req, d->detailed);
}

/* Nothing else is said: the one that the policy keeps room for. */
static int default_size(struct cli *c, struct room_opts *d, const struct policy *p)
{
    if (d->vm || d->fresh.mem_bytes >= 0)
        return X_DONE;
    if (!p->balance.room_mem_bytes)
        return cli_usage(c, "which VM is missing: a new one (--memory 96GiB), or --vm NAME");
    d->fresh.mem_bytes = p->balance.room_mem_bytes;
    if (d->fresh.vcpus < 0 && p->balance.room_vcpus)
        d->fresh.vcpus = p->balance.room_vcpus;
    return X_DONE;
}

/* ---- the fleet with the VM ---------------------------------------------------------------------- */

static int set_stage(struct cli *c, const struct room_opts *d, const struct offline *o,
                     struct stage *x)
{
    const struct snapshot *s = &o->fleet.s;
    x->s = *s;
    x->vms = xcalloc(s->n_vms + 1, sizeof(*x->vms));
    if (s->n_vms)
        memcpy(x->vms, s->vms, s->n_vms * sizeof(*x->vms));
    x->vms[s->n_vms] =
        (struct snap_vm){.v = &d->fresh, .host = -1, .moving_to = -1, .nowhere = true};
    x->s.vms = x->vms;
    x->s.n_vms += !d->vm;
    int vm = d->vm ? offline_vm(c, o, d->vm) : (int)s->n_vms;
    if (vm < 0 || !offline_hosts(c, o, d->to, d->n_to, &x->to) ||
        !offline_hosts(c, o, d->avoid, d->n_avoid, &x->avoid))
        return X_DENIED;
    x->r = (struct plan_request){.goal = GOAL_ROOM,
                                 .purpose = PURPOSE_BALANCE,
                                 .max_moves = d->max_moves,
                                 .room_for = vm,
                                 .to = x->to.list,
                                 .n_to = x->to.n,
                                 .avoid = x->avoid.list,
                                 .n_avoid = x->avoid.n};
    return X_DONE;
}

/* "vm/db-1 (64 GiB)", "a VM of 96 GiB". Gives. */
static char *vm_words(const struct room_opts *d, const struct stage *x)
{
    char a[FMT_BYTES];
    const struct vm *v = x->s.vms[x->r.room_for].v;
    fmt_bytes(a, vm_need_bytes(v));
    return d->vm ? xasprintf("vm/%s (%s)", v->name, a) : xstrdup(a);
}

/* What is free: on the host with the most, and on all that take VMs. */
static void free_print(FILE *f, const struct offline *o)
{
    char a[FMT_BYTES], b[FMT_BYTES];
    int64_t most = 0, sum = 0;
    const char *name = "none";
    for (size_t h = 0; h < o->fleet.s.n_hosts; h++) {
        int64_t x = plan_free_bytes(&o->fleet.s, &o->policy, (int)h);
        if (o->fleet.s.hosts[h].state != HOST_UP || x <= 0)
            continue;
        sum += x;
        name = x > most ? o->fleet.s.hosts[h].h->name : name;
        most = x > most ? x : most;
    }
    text_line(f, "most free on one host: %s %s; free in total: %s", name, fmt_bytes(a, most),
              fmt_bytes(b, sum));
}

/* ---- make-room ---------------------------------------------------------------------------------- */

static json_t *stays_encode(const struct run *run)
{
    cleanup(json_decrefp) json_t *body = codec_encode_public(&run_shape, run);
    json_t *stays = json_object_get(body, "stays");
    return stays ? json_incref(stays) : json_array();
}

static int answer(struct cli *c, const struct room_opts *d, const struct offline *o,
                  const struct stage *x, struct fleet_plan *f)
{
    const char *host = f->p.room_on < 0 ? NULL : x->s.hosts[f->p.room_on].h->name;
    struct run *run = &f->v.run;
    for (size_t i = 0; i < f->p.n_stays; i++) {
        const struct snap_vm *v = &x->s.vms[f->p.stays[i].vm];
        planned_stay(vec_add(&run->stays, &run->n_stays), v->v,
                     v->host < 0 ? NULL : x->s.hosts[v->host].h->name, &f->p.stays[i]);
    }
    int code = host ? X_DONE : X_BLOCKED;
    if (out_is_data(c)) {
        cleanup(json_decrefp) json_t *j =
            json_pack("{s:s, s:s?, s:[], s:o}", "schema", "drover.room/1", "host", host, "moves",
                      "stays", stays_encode(run));
        fleet_plan_encode(f, j);
        out_data(c, j, NULL);
        return code;
    }
    int bad = plan_moves_print(c, &f->v);
    if (bad)
        return bad;
    if (f->v.n_moves)
        fputc('\n', c->out);
    cleanup(freep) char *words = vm_words(d, x);
    stays_print(c->out, run, "no room:");
    const struct vm *v = x->s.vms[x->r.room_for].v;
    const struct run wanted = {
        .max_moves = d->max_moves,
        .room = {.mem_bytes = vm_need_bytes(v), .vcpus = v->vcpus > 0 ? v->vcpus : 0}};
    cleanup(freep) char *why = host ? NULL : room_why_none(&o->policy, &wanted, &x->s, &f->p);
    if (host)
        text_line(c->out, "room for %s on host/%s%s", words, host,
                  f->p.n_moves ? " once these have moved" : ", as it is");
    else
        text_line(c->out, "no room for %s can be made: %s", words, why);
    free_print(c->out, o);
    plan_total_print(c->out, &f->v);
    return code;
}

static int make_room(struct cli *c, const struct room_opts *d, const struct offline *o,
                     const struct stage *x)
{
    struct fleet_plan f;
    int code = fleet_plan_make(c, o, &x->s, &x->r, &f);
    if (!code && d->picture)
        code = picture_save(c, &o->fleet.s, &f.v, d->picture);
    code = code ? code : answer(c, d, o, x, &f);
    if (!code && d->detailed && f.p.n_moves)
        code = X_CHANGES;
    fleet_plan_done(&f);
    return code;
}

/* ---- fit ---------------------------------------------------------------------------------------- */

static json_t *fits_encode(const struct stage *x, const struct plan_fitting *list, size_t n)
{
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++) {
        const char *host = x->s.hosts[list[i].host].h->name;
        if (list[i].fits)
            json_array_append_new(all, json_pack("{s:s, s:b, s:I, s:I}", "host", host, "fits", 1,
                                                 "free_bytes", (json_int_t)list[i].free_bytes,
                                                 "soft_broken", (json_int_t)list[i].soft));
        else
            json_array_append_new(all,
                                  json_pack("{s:s, s:b, s:o}", "host", host, "fits", 0, "reason",
                                            codec_encode(&reason_shape, &list[i].why)));
    }
    return all;
}

static int fits_print(struct cli *c, const struct stage *x, const struct plan_fitting *list,
                      size_t n)
{
    static const struct column cols[] = {{"HOST", false, false},
                                         {"ROOM", false, false},
                                         {"FREE THEN", false, true},
                                         {"WHY NOT", false, false}};
    struct table t = {.cols = cols, .n_cols = ARRAY_LEN(cols)};
    for (size_t i = 0; i < n; i++) {
        const struct plan_fitting *y = &list[i];
        cleanup(freep) char *why = y->fits ? NULL : reason_words(&y->why);
        table_text(&t, C_NONE, x->s.hosts[y->host].h->name);
        table_text(&t, y->fits ? C_GOOD : C_DIM, y->fits ? "yes" : "no");
        if (y->fits)
            table_bytes(&t, y->free_bytes);
        else
            table_text(&t, C_NONE, "-");
        if (y->fits && y->soft)
            table_fmt(&t, C_WARN, "soft rules would be broken (weight %lld)", (long long)y->soft);
        else
            table_text(&t, C_NONE, why ? why : "-");
    }
    int code = table_print(c, &t);
    table_done(&t);
    return code;
}

static int fit(struct cli *c, const struct room_opts *d, const struct offline *o,
               const struct stage *x)
{
    struct plan_fitting *list;
    size_t n, fits = 0;
    int code = X_DONE;
    plan_fittings(&x->s, &o->policy, &x->r, &list, &n);
    for (size_t i = 0; i < n; i++)
        fits += list[i].fits;
    if (out_is_data(c)) {
        cleanup(json_decrefp) json_t *j =
            json_pack("{s:s, s:o}", "schema", "drover.fit/1", "hosts", fits_encode(x, list, n));
        out_data(c, j, NULL);
    } else {
        cleanup(freep) char *words = vm_words(d, x);
        code = fits_print(c, x, list, n);
        fputc('\n', c->out);
        if (fits)
            text_line(c->out, "room for %s on %s, best first", words,
                      text_count((int64_t)fits, "host", "hosts"));
        else
            text_line(c->out, "no room for %s as it is: drover plan make-room may make some",
                      words);
    }
    plan_fittings_done(list, n);
    return code ? code : fits ? X_DONE : X_BLOCKED;
}

int room_plan(struct cli *c, int argc, char **argv)
{
    cleanup(opts_done) struct room_opts d = {.make = str_eq(argv[0], "make-room")};
    cleanup(stage_done) struct stage x = {0};
    struct offline o;
    shape_init(&vm_shape, &d.fresh);
    d.fresh.name = xstrdup("new");
    d.fresh.uuid = xstrdup("new");
    d.fresh.state = VM_RUNNING;
    d.fresh.persistent = true;
    int code = parse(c, argc, argv, &d);
    if (!code && !d.offline.snapshot)
        return ask(c, &d);
    code = code ? code : offline_open(c, &d.offline, &o);
    if (code)
        return code < 0 ? X_DONE : code;
    code = default_size(c, &d, &o.policy);
    if (d.one_cell)
        *vec_add(&d.fresh.binds, &d.fresh.n_binds) =
            (struct numa_bind){.cells = xstrdup("any"), .mem_bytes = d.fresh.mem_bytes};
    code = code ? code : set_stage(c, &d, &o, &x);
    code = code ? code : d.make ? make_room(c, &d, &o, &x) : fit(c, &d, &o, &x);
    if (code != X_USAGE)
        offline_note(c, &o);
    offline_done(&o);
    return code;
}
