/* Requests planned without a scheduler. */
#include "scheduler/cli/offline.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/core/planned.h"
#include "scheduler/core/runhosts.h"
#include "scheduler/plan/plan.h"

int offline_open(struct cli *c, const struct offline_opts *o, struct offline *ret)
{
    struct err e;
    if (!o->snapshot)
        return cli_usage(c, "--policy belongs to --snapshot: the scheduler has its own policy");
    cli_alone(c);
    *ret = (struct offline){.file = o->snapshot};
    policy_default(&ret->policy);
    if ((o->policy && policy_load(o->policy, &ret->policy, &e) < 0) ||
        snap_load(o->snapshot, &ret->fleet, &e) < 0) {
        text_line(c->err, "%s", e.msg); /* the file first, as editors and CI expect */
        policy_done(&ret->policy);
        return X_FAILED;
    }
    size_t unknown = snap_doubt(&ret->fleet);
    if (unknown)
        cli_note(c, "%s of unknown memory: it stays, and nothing is placed beside it",
                 text_count((int64_t)unknown, "VM is", "VMs are"));
    return X_DONE;
}

void offline_done(struct offline *o)
{
    snap_done(&o->fleet);
    policy_done(&o->policy);
}

void offline_note(struct cli *c, const struct offline *o)
{
    cli_note(c, "planned from %s%s%s alone: libvirt and Ceph were not asked", o->file,
             o->fleet.taken ? ", taken " : "", o->fleet.taken ? o->fleet.taken : "");
}

/* ---- names ------------------------------------------------------------------------------------- */
static int find_host(struct cli *c, const struct offline *o, const char *name)
{
    const struct snapshot *s = &o->fleet.s;
    cleanup(freep) const char **names = xcalloc(s->n_hosts, sizeof(*names));
    for (size_t i = 0; i < s->n_hosts; i++) {
        names[i] = s->hosts[i].h->name;
        if (str_eq(names[i], name))
            return (int)i;
    }
    const char *near = str_did_you_mean(name, names, s->n_hosts);
    cli_error(c, X_DENIED, "no host '%s'%s%s%s; %s has %zu", name, near ? "; did you mean '" : "",
              near ? near : "", near ? "'" : "", o->file, s->n_hosts);
    return -1;
}

bool offline_hosts(struct cli *c, const struct offline *o, char *const *names, size_t n,
                   struct ids *ret)
{
    for (size_t i = 0; i < n; i++) {
        int id = find_host(c, o, names[i]);
        if (id < 0)
            return false;
        *vec_add(&ret->list, &ret->n) = id;
    }
    return true;
}

int offline_vm(struct cli *c, const struct offline *o, const char *text)
{
    int found = -1, n = 0;
    for (size_t i = 0; i < o->fleet.s.n_vms; i++)
        if (planned_vm_called(&o->fleet.s, (int)i, text)) {
            found = (int)i;
            n++;
        }
    if (n > 1)
        cli_error(c, X_DENIED, "%d VMs are called '%s': NAME@HOST or the UUID says which", n, text);
    if (!n)
        cli_error(c, X_DENIED, "no VM '%s' in %s", text, o->file);
    return n == 1 ? found : -1;
}

/* ---- kinds of requests: a row each ------------------------------------------------------------- */
struct asked { /* the planner's request, and what it points to */
    struct plan_request r;
    struct ids vms, to, avoid, left;
};

static void asked_done(struct asked *a)
{
    free(a->vms.list);
    free(a->to.list);
    free(a->avoid.list);
    free(a->left.list);
}

static int ask_drain(struct cli *c, const struct offline *o, struct request *req, struct asked *a)
{
    const struct snapshot *s = &o->fleet.s;
    char **names;
    size_t n;
    request_hosts(req, &names, &n);
    bool found = offline_hosts(c, o, names, n, &a->left);
    names_done(names, n);
    if (!found)
        return X_DENIED;
    for (size_t i = 0; i < a->left.n; i++) {
        struct snap_host *h = &s->hosts[a->left.list[i]];
        if (!h->connected)
            return cli_error(c, X_DENIED, "the agent of host/%s is not connected in %s", h->h->name,
                             o->file);
        if (a->left.n > 1 && h->state == HOST_UP)
            h->state = HOST_DRAINING; /* none of several is a place for what leaves another */
    }
    const char *odd = planned_name_stops(req, s);
    cleanup(freep) char *place = request_place(req);
    if (odd)
        return cli_error(c, X_DENIED, "--allow-shutdown vm/%s: no such VM%s on %s", odd,
                         a->left.n > 1 ? ", or more than one," : "", place);
    for (size_t i = 0; i < s->n_vms; i++)
        for (size_t k = 0; k < a->left.n; k++)
            if (s->vms[i].host == a->left.list[k])
                *vec_add(&a->vms.list, &a->vms.n) = (int)i;
    return X_DONE;
}

static const struct kind {
    enum verb verb;
    enum run_kind run;
    int (*ask)(struct cli *c, const struct offline *o, struct request *req, struct asked *a);
} kinds[] = {
    {VERB_DRAIN, RUN_DRAIN, ask_drain},
};

static const struct kind *kind_of(const struct request *req)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if ((int)kinds[i].verb == req->verb)
            return &kinds[i];
    return NULL;
}

/* ---- the answer, as the scheduler words it ----------------------------------------------------- */
static struct stay *add_stay(const struct offline *o, struct run *r, int vm,
                             const struct plan_stay *why)
{
    struct stay *st = vec_add(&r->stays, &r->n_stays);
    const struct snap_vm *v = &o->fleet.s.vms[vm];
    planned_stay(st, v->v, o->fleet.s.hosts[v->host].h->name, why);
    r->vms += !st->off;
    return st;
}

static bool is_asked(const struct asked *a, int vm)
{
    bool any = false;
    for (size_t i = 0; i < a->vms.n; i++)
        any = any || a->vms.list[i] == vm;
    return any;
}

static void add_moves(const struct offline *o, const struct asked *a, const struct plan *p,
                      struct run_view *ret)
{
    struct run *r = &ret->run;
    struct forecast f;
    cleanup(freep) int64_t *ids = xcalloc(p->n_moves + 1, sizeof(*ids));
    planned_forecast(r, &o->fleet.s, &o->policy, p, -1, &f);
    for (size_t i = 0; i < p->n_moves; i++) {
        const struct vm *v = o->fleet.s.vms[p->moves[i].vm].v;
        bool off = v->state == VM_SHUTOFF;
        if (!off && !p->moves[i].live && !planned_may_stop(r, v->name)) {
            planned_no_leave(add_stay(o, r, p->moves[i].vm, NULL));
            continue;
        }
        struct move *m = vec_add(&ret->moves, &ret->n_moves);
        shape_init(&move_shape, m);
        planned_move(m, &o->fleet.s, &p->moves[i]);
        m->id = ids[i] = (int64_t)ret->n_moves;
        m->aside = !is_asked(a, p->moves[i].vm);
        m->forecast = planned_move_forecast(&f.moves[i]);
        planned_waits(m, &o->fleet.s, p, i, ids);
        r->vms += !off && !m->aside && p->moves[i].from == o->fleet.s.vms[p->moves[i].vm].host;
        r->queued++;
    }
    forecast_done(&f);
}

static void tell(const struct offline *o, const struct plan_index *x, const struct asked *a,
                 const struct plan *p, struct run_view *ret)
{
    struct plan_ways ways;
    for (size_t i = 0; i < p->n_stays; i++)
        add_stay(o, &ret->run, p->stays[i].vm, &p->stays[i]);
    plan_ways_find(x, &a->r, p, 0, &ways);
    planned_ways(&ret->run, 0, &ways);
    plan_ways_done(&ways);
    add_moves(o, a, p, ret);
    ret->run.blocked = (int64_t)stays_of(&ret->run, FATE_BLOCKED);
    ret->run.message =
        xasprintf("%lld of %s would be blocked; nothing was changed", (long long)ret->run.blocked,
                  text_count(ret->run.vms, "VM", "VMs"));
}

int offline_plan(struct cli *c, const struct offline *o, struct request *req, struct run_view *ret)
{
    const struct kind *k = kind_of(req);
    cleanup(asked_done) struct asked a = {0};
    struct plan p;
    struct reason bad = {0};
    if (!k)
        return cli_usage(c, "%s cannot be planned from a snapshot", verb_names[req->verb]);
    int code = k->ask(c, o, req, &a);
    if (code)
        return code;
    if (!offline_hosts(c, o, req->to, req->n_to, &a.to) ||
        !offline_hosts(c, o, req->avoid, req->n_avoid, &a.avoid))
        return X_DENIED;
    shape_init(&run_view_shape, ret);
    planned_run(&ret->run, &o->policy, req);
    ret->run.kind = (int)k->run;
    ret->run.state = RUN_PLANNED;
    a.r.vms = a.vms.list, a.r.n_vms = a.vms.n;
    a.r.to = a.to.list, a.r.n_to = a.to.n;
    a.r.avoid = a.avoid.list, a.r.n_avoid = a.avoid.n;
    a.r.allow_cold = ret->run.on_blocked == BLOCKED_COLD;
    a.r.make_room = ret->run.make_room;
    struct plan_index *x = plan_index_new(&o->fleet.s, &o->policy);
    plan_make_from(x, &a.r, 0, &p);
    if (plan_verify(&o->fleet.s, &o->policy, &a.r, &p, &bad)) {
        tell(o, x, &a, &p, ret);
        if (ret->run.blocked && ret->run.kind == RUN_DRAIN)
            ret->run.room_moves = planned_room_moves(&o->fleet.s, &o->policy, &a.r);
    } else {
        cleanup(freep) char *why = reason_line(&bad);
        ret->run.state = RUN_FAILED;
        ret->run.message = xasprintf("the planner's answer did not pass verification: %s", why);
    }
    shape_done(&reason_shape, &bad);
    plan_index_free(x);
    plan_done(&p);
    return X_DONE;
}

json_t *offline_encode(const struct offline *o, const struct run_view *v)
{
    json_t *j = json_pack("{s:s, s:s}", "schema", "drover.run/1", "snapshot", o->file);
    cleanup(json_decrefp) json_t *body = codec_encode_public(&run_view_shape, v);
    if (!j) /* the file's name is no UTF-8 */
        j = json_pack("{s:s}", "schema", "drover.run/1");
    json_object_set_new(j, "moves", json_array()); /* none is an empty list */
    json_object_update(j, body);
    return j;
}

/* ---- VMs may move ------------------------------------------------------------------------------ */

int fleet_plan_make(struct cli *c, const struct offline *o, const struct snapshot *s,
                    const struct plan_request *r, struct fleet_plan *ret)
{
    struct reason bad = {0};
    struct forecast f;
    int code = X_DONE;
    shape_init(&run_view_shape, &ret->v);
    ret->v.run.policy_commit = xstrdup(o->policy.commit);
    ret->v.run.policy_clean = o->policy.clean;
    plan_make(s, &o->policy, r, 0, &ret->p);
    if (!plan_verify(s, &o->policy, r, &ret->p, &bad)) {
        cleanup(freep) char *why = reason_line(&bad);
        code = cli_error(c, X_FAILED, "the planner's answer did not pass verification: %s", why);
    }
    planned_forecast(&ret->v.run, &o->fleet.s, &o->policy, &ret->p, -1, &f);
    cleanup(freep) int64_t *ids = xcalloc(ret->p.n_moves + 1, sizeof(*ids));
    for (size_t i = 0; i < ret->p.n_moves; i++) {
        struct move *m = vec_add(&ret->v.moves, &ret->v.n_moves);
        shape_init(&move_shape, m);
        planned_move(m, &o->fleet.s, &ret->p.moves[i]);
        m->id = ids[i] = (int64_t)ret->v.n_moves;
        planned_waits(m, &o->fleet.s, &ret->p, i, ids);
        m->forecast = planned_move_forecast(&f.moves[i]);
    }
    forecast_done(&f);
    shape_done(&reason_shape, &bad);
    return code;
}

void fleet_plan_encode(const struct fleet_plan *f, json_t *to)
{
    cleanup(json_decrefp) json_t *body = codec_encode_public(&run_view_shape, &f->v);
    json_t *moves = json_object_get(body, "moves");
    if (moves)
        json_object_set(to, "moves", moves);
}

void fleet_plan_done(struct fleet_plan *f)
{
    shape_done(&run_view_shape, &f->v);
    plan_done(&f->p);
}
