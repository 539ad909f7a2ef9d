/* Balance runs that make room: few moves, after which a VM of this size has a place. The room is kept by
 * nobody; a scheduled look finds it gone when it is used, and makes it anew. */
#include <errno.h>
#include <string.h>

#include "scheduler/core/internal.h"

/* ---- the VM in question ---------------------------------------------------------------------------------- */

bool room_wanted(const struct run *r)
{
    return r->kind == RUN_BALANCE && r->mode == BALANCE_MAKE_ROOM;
}

char *room_words(const struct room *w)
{
    char a[FMT_BYTES];
    fmt_bytes(a, w->mem_bytes);
    if (w->vm)
        return xasprintf("vm/%s (%s)", w->vm_name, a);
    return w->vcpus ? xasprintf("a VM of %s and %lld vCPU%s", a, (long long)w->vcpus,
                                w->vcpus == 1 ? "" : "s")
                    : xasprintf("a VM of %s", a);
}

void room_stage(const struct run *r, struct snapshot_store *x)
{
    size_t at = 0;
    if (!room_wanted(r) || r->room.vm)
        return;
    struct vm *v = x->coming = xcalloc(1, sizeof(*v));
    shape_init(&vm_shape, v);
    v->name = xstrdup("(new)");
    v->uuid = xstrdup("(new)");
    v->state = VM_RUNNING;
    v->persistent = true;
    v->mem_bytes = r->room.mem_bytes;
    v->vcpus = r->room.vcpus;
    while (at < x->s.n_vms && strcmp(x->vms[at].v->name, v->name) < 0)
        at++;
    x->s.vms = x->vms = xrealloc(x->vms, x->s.n_vms + 1, sizeof(*x->vms));
    memmove(&x->vms[at + 1], &x->vms[at], (x->s.n_vms - at) * sizeof(*x->vms));
    x->vms[at] = (struct snap_vm){.v = v, .host = -1, .moving_to = -1, .nowhere = true};
    x->s.n_vms++;
}

int room_vm(const struct core *c, const struct run *r, const struct snapshot *s)
{
    int vm = r->room.vm ? snap_vm_id(c, s, r->room.vm) : (int)s->n_vms - 1;
    while (!r->room.vm && vm >= 0 && !s->vms[vm].nowhere)
        vm--;
    return vm >= 0 && (vm_active(s->vms[vm].v->state) || s->vms[vm].nowhere) ? vm : -1;
}

void room_of_policy(const struct policy *p, struct room *ret)
{
    ret->mem_bytes = p->balance.room_mem_bytes;
    ret->vcpus = p->balance.room_vcpus;
}

/* ---- the plan stands ------------------------------------------------------------------------------------- */

char *room_why_none(const struct policy *p, const struct run *r, const struct snapshot *s,
                    const struct plan *plan)
{
    const struct plan_room_most *m = &plan->most;
    char a[FMT_BYTES], b[FMT_BYTES];
    long long moves = (long long)(r->max_moves ? r->max_moves : p->balance.max_moves);
    if (m->free_on < 0)
        return plan->n_stays && plan->stays[0].n_reasons
                   ? reason_sentence(&plan->stays[0].reasons[0])
                   : xstrdup("?");
    cleanup(freep) char *most = xasprintf("%s free at most (%s)", fmt_bytes(a, m->free_bytes),
                                          s->hosts[m->free_on].h->name);
    if (!m->proven)
        return xasprintf("%s, and no way was found with at most %lld move%s", most, moves,
                         moves == 1 ? "" : "s");
    if (m->bound_bytes < r->room.mem_bytes)
        return xasprintf("%s, and beside what may not move %s (%s)", most,
                         fmt_bytes(b, m->bound_bytes), s->hosts[m->bound_on].h->name);
    if (m->total_bytes < r->room.mem_bytes)
        return xasprintf("%s, and %s on all hosts together", most, fmt_bytes(b, m->total_bytes));
    if (m->few_bytes < r->room.mem_bytes)
        return xasprintf("%s, and by %lld move%s %s (%s)", most, moves, moves == 1 ? "" : "s",
                         fmt_bytes(b, m->few_bytes), s->hosts[m->few_on].h->name);
    if (m->bound_vcpus < r->room.vcpus)
        return xasprintf("%s, and %lld vCPUs beside what may not move", most,
                         (long long)m->bound_vcpus);
    return xasprintf("%s, and no host has memory and vCPUs for it beside what may not move", most);
}

char *room_look_words(const struct policy *p, const struct run *r, const struct snapshot *s, int on,
                      const struct plan *plan)
{
    cleanup(freep) char *what = room_words(&r->room);
    if (on >= 0)
        return xasprintf("there is room for %s on host/%s", what, s->hosts[on].h->name);
    cleanup(freep) char *why = plan && plan->room_on < 0 ? room_why_none(p, r, s, plan) : NULL;
    return xasprintf("there is no room for %s%s%s", what, why ? ", and none can be made: " : "",
                     why ? why : "");
}

static int64_t bytes_planned(const struct snapshot *s, const struct plan *p, int64_t free_bytes)
{
    for (size_t i = 0; i < p->n_moves; i++) {
        int64_t need = vm_need_bytes(s->vms[p->moves[i].vm].v);
        free_bytes +=
            need * (p->moves[i].from == p->room_on) - need * (p->moves[i].to == p->room_on);
    }
    return free_bytes;
}

bool room_settle(struct core *c, struct run_slot *r, const struct snapshot *s, const struct plan *p)
{
    struct room *w = &r->run.room;
    char a[FMT_BYTES];
    cleanup(freep) char *what = room_words(w);
    if (p->room_on < 0) {
        cleanup(freep) char *why = room_why_none(&c->policy, &r->run, s, p);
        for (size_t i = 0; i < p->n_stays; i++) {
            const struct snap_vm *v = &s->vms[p->stays[i].vm];
            planned_stay(vec_add(&r->run.stays, &r->run.n_stays), v->v,
                         v->host < 0 ? NULL : s->hosts[v->host].h->name, &p->stays[i]);
        }
        run_end(c, r, r->run.dry_run ? RUN_PLANNED : RUN_REFUSED,
                "no room for %s can be made: %s; nothing was moved", what, why);
        return true;
    }
    set_str(&w->host, s->hosts[p->room_on].h->name);
    w->before_bytes = w->after_bytes = plan_free_bytes(s, &c->policy, p->room_on);
    w->planned_bytes = bytes_planned(s, p, w->before_bytes);
    if (!p->n_moves)
        run_end(c, r, r->run.dry_run ? RUN_PLANNED : RUN_DONE,
                "there is room for %s on host/%s, where %s is free; nothing was moved", what,
                w->host, fmt_bytes(a, w->before_bytes));
    return !p->n_moves;
}

char *room_planned_words(const struct run *r)
{
    char a[FMT_BYTES], b[FMT_BYTES];
    cleanup(freep) char *what = room_words(&r->room);
    return xasprintf("room for %s on host/%s: %s free, then %s", what, r->room.host,
                     fmt_bytes(a, r->room.before_bytes), fmt_bytes(b, r->room.planned_bytes));
}

/* ---- while it is carried out ----------------------------------------------------------------------------- */

static void add_hosts(const struct snapshot *s, char *const *names, size_t n, int **ids,
                      size_t *n_ids)
{
    for (size_t i = 0; i < n; i++)
        *(int *)vec_add(ids, n_ids) = snap_host_id(s, names[i]);
}

void room_judged(const struct core *c, const struct run *r, const struct snapshot *s,
                 struct room_judging *ret)
{
    *ret = (struct room_judging){
        .req = {.goal = GOAL_ROOM, .purpose = PURPOSE_BALANCE, .room_for = room_vm(c, r, s)}};
    add_hosts(s, r->to, r->n_to, &ret->to, &ret->req.n_to);
    add_hosts(s, r->avoid, r->n_avoid, &ret->avoid, &ret->req.n_avoid);
    ret->req.to = ret->to;
    ret->req.avoid = ret->avoid;
}

void room_judging_done(struct room_judging *j)
{
    free(j->to);
    free(j->avoid);
}

/* Where the room is now; false: nowhere. */
static bool look_again(struct core *c, struct run_slot *r)
{
    struct room *w = &r->run.room;
    struct room_judging j;
    struct snapshot_store snap;
    snapshot_make(c, r->run.id, 0, &snap);
    room_stage(&r->run, &snap);
    room_judged(c, &r->run, &snap.s, &j);
    struct plan_index *x = fleet_index(c, &snap.s);
    int first = snap_host_id(&snap.s, w->host);
    int on = j.req.room_for < 0 ? -1 : plan_room_on(x, &j.req, NULL, 0, first);
    int at = on >= 0 ? on : first;
    w->after_bytes = at >= 0 ? plan_free_bytes(&snap.s, &c->policy, at) : 0;
    if (on >= 0 && on != first) {
        set_str(&w->host, snap.s.hosts[on].h->name);
        w->before_bytes = w->after_bytes;
    }
    plan_index_free(x);
    room_judging_done(&j);
    snapshot_done(&snap);
    return on >= 0;
}

void room_end(struct core *c, struct run_slot *r, const char *why_not)
{
    char a[FMT_BYTES], b[FMT_BYTES];
    cleanup(freep) char *what = room_words(&r->run.room);
    bool is = look_again(c, r);
    run_end(c, r, is ? RUN_DONE : RUN_PARTLY,
            "%s for %s on host/%s, where %s was free at first and is %s now; %lld of %lld moves "
            "made%s%s",
            is ? "there is room" : "there is no room", what, r->run.room.host,
            fmt_bytes(a, r->run.room.before_bytes), fmt_bytes(b, r->run.room.after_bytes),
            (long long)r->run.moved, (long long)r->run.vms, why_not ? "; the rest was not: " : "",
            why_not ? why_not : "");
}

/* ---- what is asked for ----------------------------------------------------------------------------------- */

static bool find_vm(struct core *c, int64_t id, const char *name, struct room *ret)
{
    struct snapshot_store snap;
    struct err e;
    snapshot_make(c, 0, 0, &snap);
    int vm = snapshot_vm_named(&snap.s, name, &e);
    const struct vm *v = vm >= 0 ? snap.s.vms[vm].v : NULL;
    if (!v)
        answer_text(c, id, vm == -EEXIST ? 409 : 404, 6,
                    vm == -EEXIST ? "ambiguous_vm" : "unknown_vm", 0, "%s; nothing was changed",
                    e.msg);
    else if (!vm_active(v->state))
        answer_text(c, id, 409, 6, "not_running", 0,
                    "vm/%s does not run: say what it will take (--memory); nothing was changed",
                    v->name);
    bool good = v && vm_active(v->state);
    if (good) {
        ret->vm = xstrdup(v->uuid);
        ret->vm_name = xstrdup(v->name);
        ret->mem_bytes = vm_need_bytes(v);
        ret->vcpus = v->vcpus > 0 ? v->vcpus : 0;
    }
    snapshot_done(&snap);
    return good;
}

bool room_asked(struct core *c, int64_t id, const struct request *req, int mode, struct room *ret)
{
    bool sized = req->mem_bytes > 0 || req->vcpus > 0;
    *ret = (struct room){0};
    if (mode != BALANCE_MAKE_ROOM) {
        if (!sized && !req->vm && !req->n_to && !req->n_avoid)
            return true;
        answer_text(c, id, 400, 64, "bad_option", 0,
                    "--memory, --vcpus, --vm, --to and --avoid belong to --mode make-room, not to "
                    "%s; nothing was changed",
                    balance_mode_names[mode]);
        return false;
    }
    if (!hosts_exist(c, id, req->to, req->n_to) || !hosts_exist(c, id, req->avoid, req->n_avoid))
        return false;
    if (req->vm && !sized)
        return find_vm(c, id, req->vm, ret);
    if (!sized)
        room_of_policy(&c->policy, ret);
    else
        *ret = (struct room){.mem_bytes = req->mem_bytes, .vcpus = req->vcpus};
    if (req->vm || ret->mem_bytes <= 0)
        answer_text(
            c, id, 400, 64, "bad_option", 0,
            "%s: --memory 96GiB, or --vm VM; the policy's balance.room is for all runs that "
            "say neither; nothing was changed",
            req->vm ? "a size and --vm are two VMs" : "how large the VM is, is missing");
    return !req->vm && ret->mem_bytes > 0;
}

bool room_same(const struct room *a, const struct room *b)
{
    return a->mem_bytes == b->mem_bytes && a->vcpus == b->vcpus && str_eq(a->vm, b->vm);
}
