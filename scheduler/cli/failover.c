/* drover plan failover: what would be started where if these hosts were dead. Nothing is started. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/offline.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/picture.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/plan/plan.h"

struct failover_opts {
    struct offline_opts offline;
    const char *picture, *priority; /* priority: a label; NULL: the policy's */
    char **hosts, **to, **avoid;    /* borrowed words */
    size_t n_hosts, n_to, n_avoid;
};
struct lost { /* the request, and what it points to */
    struct plan_request r;
    struct ids hosts, to, avoid;
    int *vms, *rank;
    size_t n_vms, n_rank;
    int64_t off;           /* VMs of the hosts that were shut off */
    struct plan_ways ways; /* for those that have no place */
};

static void opts_done(struct failover_opts *d)
{
    free(d->hosts);
    free(d->to);
    free(d->avoid);
}

static void lost_done(struct lost *x)
{
    free(x->hosts.list);
    free(x->vms);
    free(x->rank);
    free(x->to.list);
    free(x->avoid.list);
    plan_ways_done(&x->ways);
}

static int parse(struct cli *c, int argc, char **argv, struct failover_opts *ret)
{
    enum { O_SNAPSHOT = 256, O_POLICY, O_PICTURE, O_TO, O_AVOID, O_PRIORITY };
    static const struct option own[] = {{"snapshot", required_argument, NULL, O_SNAPSHOT},
                                        {"policy", required_argument, NULL, O_POLICY},
                                        {"picture", required_argument, NULL, O_PICTURE},
                                        {"to", required_argument, NULL, O_TO},
                                        {"avoid", required_argument, NULL, O_AVOID},
                                        {"priority", required_argument, NULL, O_PRIORITY},
                                        {0}};
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o == O_SNAPSHOT)
            ret->offline.snapshot = optarg;
        else if (o == O_POLICY)
            ret->offline.policy = optarg;
        else if (o == O_PICTURE)
            ret->picture = optarg;
        else if (o == O_PRIORITY)
            ret->priority = optarg;
        else if (o == O_TO && !name_host_add(c, optarg, &ret->to, &ret->n_to))
            return X_USAGE;
        else if (o == O_AVOID && !name_host_add(c, optarg, &ret->avoid, &ret->n_avoid))
            return X_USAGE;
        else if (o < 0)
            return o == OPT_HELP ? -1 : opt_exit(o);
    }
    if (optind >= argc)
        return cli_usage(c, "a host is missing: drover plan failover HOST...");
    for (int i = optind; i < argc; i++)
        if (!name_host_add(c, argv[i], &ret->hosts, &ret->n_hosts))
            return X_USAGE;
    if (!ret->offline.snapshot)
        return cli_usage(c, "a fleet to plan for is missing: drover snapshot > fleet.json, then "
                            "--snapshot fleet.json");
    return X_DONE;
}

static const char *priority_of(const struct failover_opts *d, const struct offline *o)
{
    return d->priority ? d->priority : o->policy.failover.priority;
}

/* The fleet without its dead hosts, and who is to be placed. */
static int lose(struct cli *c, const struct failover_opts *d, struct offline *o, struct lost *x)
{
    struct snapshot *s = &o->fleet.s;
    const char *label = priority_of(d, o);
    if (!offline_hosts(c, o, d->hosts, d->n_hosts, &x->hosts) ||
        !offline_hosts(c, o, d->to, d->n_to, &x->to) ||
        !offline_hosts(c, o, d->avoid, d->n_avoid, &x->avoid))
        return X_DENIED;
    for (size_t i = 0; i < x->hosts.n; i++)
        plan_host_dies(s, x->hosts.list[i]);
    for (size_t i = 0; i < s->n_vms; i++) {
        if (s->vms[i].nowhere) {
            *vec_add(&x->vms, &x->n_vms) = (int)i;
            *vec_add(&x->rank, &x->n_rank) = plan_rank(s->vms[i].v, label);
        } else if (s->hosts[s->vms[i].host].state == HOST_LOST) {
            for (size_t k = 0; k < x->hosts.n; k++)
                x->off += x->hosts.list[k] == s->vms[i].host;
        }
    }
    x->r = (struct plan_request){.goal = GOAL_LEAVE,
                                 .vms = x->vms,
                                 .n_vms = x->n_vms,
                                 .rank = x->rank,
                                 .to = x->to.list,
                                 .n_to = x->to.n,
                                 .avoid = x->avoid.list,
                                 .n_avoid = x->avoid.n};
    return X_DONE;
}

/* ---- the answer --------------------------------------------------------------------------------- */

static int starts_print(struct cli *c, const struct failover_opts *d, const struct offline *o,
                        const struct plan *p)
{
    const struct snapshot *s = &o->fleet.s;
    const char *label = priority_of(d, o);
    static const struct column cols[] = {
        {"VM", false, false},    {"WAS ON", false, false}, {"TO", false, false},
        {"MEMORY", false, true}, {"PRIORITY", true, true}, {"WHY", false, false},
        {"UUID", true, false},
    };
    struct table t = {.cols = cols, .n_cols = ARRAY_LEN(cols)};
    for (size_t i = 0; i < p->n_moves; i++) {
        const struct plan_move *m = &p->moves[i];
        const struct vm *v = s->vms[m->vm].v;
        const char *rank = label ? label_get(v->labels, v->n_labels, label) : NULL;
        table_fmt(&t, C_NONE, "vm/%s", v->name);
        table_text(&t, C_NONE, s->hosts[m->from].h->name);
        table_text(&t, C_NONE, s->hosts[m->to].h->name);
        table_bytes(&t, v->mem_bytes);
        table_text(&t, C_NONE, rank ? rank : "-");
        table_text(&t, C_NONE, m->why);
        table_text(&t, C_NONE, v->uuid);
    }
    int code = p->n_moves ? table_print(c, &t) : X_DONE;
    table_done(&t);
    return code;
}

static void verdict_print(FILE *f, const struct offline *o, const struct lost *x,
                          const struct plan *p)
{
    char *names = NULL;
    for (size_t i = 0; i < x->hosts.n; i++)
        text_add(&names, "%shost/%s", i ? ", " : "", o->fleet.s.hosts[x->hosts.list[i]].h->name);
    if (!p->n_stays)
        text_line(f, "the fleet can lose %s: %s", names,
                  x->n_vms == 0   ? "no VM runs there"
                  : x->n_vms == 1 ? "its VM has a place"
                                  : "every VM has a place");
    else
        text_line(f, "the fleet cannot lose %s: %zu of %zu VMs %s no place", names, p->n_stays,
                  x->n_vms, p->n_stays == 1 ? "has" : "have");
    if (x->off)
        text_line(f, "%s, and stays so",
                  text_count(x->off, "VM there is shut off", "VMs there are shut off"));
    free(names);
}

static json_t *names_of(const struct snapshot *s, const int *hosts, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(s->hosts[hosts[i]].h->name));
    return list;
}

static json_t *starts_encode(const struct snapshot *s, const struct plan *p)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->n_moves; i++) {
        const struct plan_move *m = &p->moves[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:I, s:s}", "vm", s->vms[m->vm].v->uuid,
                            "vm_name", s->vms[m->vm].v->name, "from", s->hosts[m->from].h->name,
                            "to", s->hosts[m->to].h->name, "mem_bytes",
                            (json_int_t)s->vms[m->vm].v->mem_bytes, "why", m->why));
    }
    return list;
}

static int answer(struct cli *c, const struct failover_opts *d, const struct offline *o,
                  struct lost *x, const struct plan *p)
{
    const struct snapshot *s = &o->fleet.s;
    struct run run;
    shape_init(&run_shape, &run);
    for (size_t i = 0; i < p->n_stays; i++) {
        const struct snap_vm *v = &s->vms[p->stays[i].vm];
        planned_stay(vec_add(&run.stays, &run.n_stays), v->v, s->hosts[v->host].h->name,
                     &p->stays[i]);
    }
    planned_ways(&run, 0, &x->ways);
    int code = X_DONE;
    if (out_is_data(c)) {
        cleanup(json_decrefp) json_t *j =
            json_pack("{s:s, s:o, s:b, s:o, s:[], s:[]}", "schema", "drover.failover/1", "hosts",
                      names_of(s, x->hosts.list, x->hosts.n), "fits", !p->n_stays, "starts",
                      starts_encode(s, p), "stays", "shortages");
        cleanup(json_decrefp) json_t *body = codec_encode_public(&run_shape, &run);
        json_object_update_existing(j, body);
        out_data(c, j, NULL);
    } else {
        code = starts_print(c, d, o, p);
        if (p->n_moves)
            fputc('\n', c->out);
        stays_print(c->out, &run, "no place:");
        ways_out_print(c->out, &run);
        verdict_print(c->out, o, x, p);
    }
    shape_done(&run_shape, &run);
    return code ? code : p->n_stays ? X_BLOCKED : X_DONE;
}

static int draw(struct cli *c, const struct snapshot *s, const struct plan *p, const char *file)
{
    struct run_view v;
    shape_init(&run_view_shape, &v);
    for (size_t i = 0; i < p->n_moves; i++) {
        struct move *m = vec_add(&v.moves, &v.n_moves);
        shape_init(&move_shape, m);
        planned_move(m, s, &p->moves[i]);
        m->id = (int64_t)v.n_moves;
    }
    int code = picture_save(c, s, &v, file);
    shape_done(&run_view_shape, &v);
    return code;
}

static int plan_for(struct cli *c, const struct failover_opts *d, struct offline *o)
{
    cleanup(lost_done) struct lost x = {0};
    struct plan p;
    struct reason bad = {0};
    int code = lose(c, d, o, &x);
    if (code)
        return code;
    struct plan_index *index = plan_index_new(&o->fleet.s, &o->policy);
    plan_make_from(index, &x.r, 0, &p);
    plan_ways_find(index, &x.r, &p, 0, &x.ways);
    plan_index_free(index);
    if (!plan_verify(&o->fleet.s, &o->policy, &x.r, &p, &bad)) {
        cleanup(freep) char *why = reason_line(&bad);
        code = cli_error(c, X_FAILED, "the planner's answer did not pass verification: %s", why);
    }
    if (!code && d->picture)
        code = draw(c, &o->fleet.s, &p, d->picture);
    code = code ? code : answer(c, d, o, &x, &p);
    shape_done(&reason_shape, &bad);
    plan_done(&p);
    return code;
}

int failover_plan(struct cli *c, int argc, char **argv)
{
    cleanup(opts_done) struct failover_opts d = {0};
    struct offline o;
    int code = parse(c, argc, argv, &d);
    code = code ? code : offline_open(c, &d.offline, &o);
    if (code)
        return code < 0 ? X_DONE : code;
    code = plan_for(c, &d, &o);
    offline_note(c, &o);
    offline_done(&o);
    return code;
}
