/* Planning a run: ask the planner, really check what it proposes, ask again with what was learnt,
 * until a plan stands in which every pair has been confirmed by libvirt and Ceph. Only pairs that a
 * plan proposes are checked, so a VM is called blocked only when every host was refused by a rule or
 * by a real answer. */
#include <assert.h>
#include <string.h>

#include "scheduler/core/internal.h"

void run_refuse(struct run_slot *r, const char *vm, const char *host, const struct reason *why,
                bool tried)
{
    struct refusal *f = vec_add(&r->refusals, &r->n_refusals);
    f->vm = xstrdup(vm);
    f->host = xstrdup(host);
    f->tried = tried;
    shape_copy(&reason_shape, &f->why, why);
}

/* ---- the planner's request ------------------------------------------------------------------------ */

struct wanted {
    int *vms, *wish, *to, *avoid;
    size_t n_vms, n_wish, n_to, n_avoid, n_refusals, n_failed;
    struct plan_refusal *refusals;
    struct plan_failed *failed;
    struct plan_request req; /* borrows the lists */
    bool others;             /* of other hosts may move too, if the run allows it */
};

static void wanted_done(struct wanted *w)
{
    free(w->vms);
    free(w->wish);
    free(w->to);
    free(w->avoid);
    free(w->refusals);
    for (size_t i = 0; i < w->n_failed; i++)
        free(w->failed[i].how);
    free(w->failed);
}

static void host_ids(const struct snapshot *s, char *const *names, size_t n, int **ids,
                     size_t *n_ids)
{
    for (size_t i = 0; i < n; i++)
        *(int *)vec_add(ids, n_ids) = snap_host_id(s, names[i]);
}

static void add_refusal(struct wanted *w, int vm, int host, const struct reason *why)
{
    *(struct plan_refusal *)vec_add(&w->refusals, &w->n_refusals) =
        (struct plan_refusal){.vm = vm, .host = host, .why = why};
}

static void refusals_for(const struct core *c, const struct run_slot *r, const struct snapshot *s,
                         bool forget_tried, struct wanted *w)
{
    for (size_t i = 0; i < r->n_refusals; i++) {
        const struct refusal *f = &r->refusals[i];
        int host = f->host ? snap_host_id(s, f->host) : -1;
        if ((f->tried && forget_tried) || (f->host && host < 0))
            continue;
        if (f->vm) {
            int vm = snap_vm_id(c, s, f->vm);
            if (vm >= 0)
                add_refusal(w, vm, host, &f->why);
            continue;
        }
        for (int k = 0; k < (int)s->n_vms; k++)
            if (!f->from ||
                (s->vms[k].host >= 0 && str_eq(s->hosts[s->vms[k].host].h->name, f->from)))
                add_refusal(w, k, host, &f->why);
    }
}

static void fill_request(const struct core *c, const struct run_slot *r, const struct snapshot *s,
                         bool forget_tried, struct wanted *w)
{
    host_ids(s, r->run.to, r->run.n_to, &w->to, &w->n_to);
    host_ids(s, r->run.avoid, r->run.n_avoid, &w->avoid, &w->n_avoid);
    if (r->run.kind == RUN_HOME) {
        int home = snap_host_id(s, r->run.host);
        for (size_t i = 0; i < w->n_vms; i++)
            *(int *)vec_add(&w->wish, &w->n_wish) = home;
        *(int *)vec_add(&w->to, &w->n_to) = home;
    }
    refusals_for(c, r, s, forget_tried, w);
    if (r->run.kind != RUN_BALANCE)
        failures_list(c, s, &w->failed, &w->n_failed);
    w->req = (struct plan_request){
        .vms = w->vms,
        .n_vms = w->n_vms,
        .to = w->to,
        .n_to = w->n_to,
        .avoid = w->avoid,
        .n_avoid = w->n_avoid,
        .wish = w->wish,
        .refusals = w->refusals,
        .n_refusals = w->n_refusals,
        .failed = w->failed,
        .n_failed = w->n_failed,
        .allow_cold = r->run.on_blocked == BLOCKED_COLD,
        .make_room = w->others && r->run.make_room && r->run.kind == RUN_DRAIN,
    };
    if (r->run.kind == RUN_BALANCE) {
        w->req.vms = NULL;
        balance_wants(c, &r->run, s, &w->avoid, &w->n_avoid, &w->req);
    }
}

/* False: the verifier threw it away. */
static bool make_plan(struct core *c, struct run_slot *r, const struct snapshot *s,
                      const struct plan_request *req, struct plan *ret)
{
    struct plan_index *x = fleet_index(c, s);
    plan_make_from(x, req, c->cfg.seed, ret);
    plan_index_free(x);
    struct reason bad = {0};
    bool holds = plan_verify(s, &c->policy, req, ret, &bad);
    if (!holds) {
        cleanup(freep) char *text = reason_sentence(&bad);
        say(c, (struct about){.r = r}, "plan.refused_by_verify",
            "the plan of run/%lld was refused by its own verifier: %s", (long long)r->run.id, text);
        plan_done(ret); /* moves nothing */
        ret->room_on = ret->most.free_on = -1;
    }
    shape_done(&reason_shape, &bad);
    return holds;
}

/* ---- which VMs ------------------------------------------------------------------------------------ */

static bool has_stay(const struct run_slot *r, const char *uuid)
{
    for (size_t i = 0; i < r->run.n_stays; i++)
        if (str_eq(r->run.stays[i].vm, uuid))
            return true;
    return false;
}

static bool has_open_move(const struct run_slot *r, const char *uuid)
{
    for (size_t i = 0; i < r->n_moves; i++) {
        const struct move_slot *m = r->moves[i];
        if (str_eq(m->m.vm, uuid) && (!job_final((enum job_state)m->m.state) || !m->handled))
            return true;
    }
    return false;
}

static int64_t last_drain_of(const struct core *c, const char *host)
{
    for (size_t i = c->n_runs; i-- > 0;) {
        const struct run *r = &c->runs[i]->run;
        if (r->kind == RUN_DRAIN && !r->dry_run && run_host(r, host) &&
            (r->state == RUN_DONE || r->state == RUN_PARTLY || r->state == RUN_CANCELLED))
            return r->id;
    }
    return 0;
}

/* Did the last drain take this VM from home, and is it still where it was put? */
static bool left_home(const struct core *c, int64_t drain, const char *home, const char *uuid,
                      const char *now_on)
{
    bool put = false, taken = false;
    for (const struct move_slot *m = lookup_get(&c->moved, uuid); m; m = m->before) {
        if (m->m.run != drain || m->m.state != JOB_DONE || m->m.aside)
            continue;
        put = put || str_eq(m->m.to, now_on);
        taken = taken || str_eq(m->m.from, home);
    }
    return put && taken;
}

/* The real run would wait until it is gone. */
static bool leaves_anyway(const struct core *c, const struct run_slot *r, const struct snap_vm *v)
{
    const struct move_slot *m = v->other_run ? move_of_vm(c, v->v->uuid) : NULL;
    const struct run_slot *of = m ? run_find(c, m->m.run) : NULL;
    return of && balance_would_yield(&of->run, &r->run);
}

static bool wants_vm(const struct core *c, const struct run_slot *r, int64_t drain,
                     const struct snapshot *s, const struct snap_vm *v)
{
    const char *on = s->hosts[v->host].h->name;
    bool concerned = r->run.kind == RUN_DRAIN ? run_leaves(&r->run, on)
                                              : left_home(c, drain, r->run.host, v->v->uuid, on);
    return concerned && !has_stay(r, v->v->uuid) && !has_open_move(r, v->v->uuid) &&
           !leaves_anyway(c, r, v) && !vm_half_here((const struct vm_slot *)(const void *)v->v);
}

static void collect_vms(struct core *c, const struct run_slot *r, const struct snapshot *s,
                        struct wanted *w)
{
    int64_t drain = r->run.kind == RUN_HOME ? last_drain_of(c, r->run.host) : 0;
    for (size_t i = 0; i < s->n_vms; i++)
        if (wants_vm(c, r, drain, s, &s->vms[i]))
            *(int *)vec_add(&w->vms, &w->n_vms) = (int)i;
}

/* It runs there already, but the move that brought it is not settled: drain_finish() waits for it. */
static bool is_arriving(const struct core *c, const char *uuid, const char *host)
{
    const struct move_slot *m = move_of_vm(c, uuid);
    return m && job_holds_dst((enum job_state)m->m.state) && str_eq(m->m.to, host);
}

static bool host_has_unplanned(const struct core *c, const struct run_slot *r, const char *host)
{
    const struct host_slot *h = host_find(c, host);
    for (size_t i = 0; h && i < h->n_vms; i++) {
        const struct vm *v = &h->vms[i]->vm;
        if (vm_active(v->state) && v->job != VM_JOB_MIGRATING_IN && !has_stay(r, v->uuid) &&
            !has_open_move(r, v->uuid) && !vm_half_here(h->vms[i]) &&
            !is_arriving(c, v->uuid, host))
            return true;
    }
    return false;
}

bool run_has_unplanned(struct core *c, const struct run_slot *r)
{
    bool any = false;
    for (size_t i = 0; i < r->run.n_hosts && !any; i++)
        any = run_leaves(&r->run, r->run.hosts[i].name) &&
              host_has_unplanned(c, r, r->run.hosts[i].name);
    return any;
}

/* ---- the plan stands ---------------------------------------------------------------------------------- */

static void name_stay(struct core *c, struct run_slot *r, const struct snapshot *s,
                      const struct plan_stay *p)
{
    const struct vm *v = s->vms[p->vm].v;
    struct stay *st = vec_add(&r->run.stays, &r->run.n_stays);
    planned_stay(st, v, s->hosts[s->vms[p->vm].host].h->name, p);
    bool home = r->run.kind == RUN_HOME;
    if (home)
        run_stay_of_home(st);
    cleanup(freep) char *first = st->n_reasons ? reason_sentence(&st->reasons[0]) : xstrdup("?");
    say(c, (struct about){.r = r, .vm = v->name}, st->off ? "vm.left" : "vm.blocked",
        "vm/%s %s: %s%s", v->name,
        st->off ? "(shut off) stays"
        : home  ? "cannot come home"
                : "cannot leave",
        first, st->n_reasons > 1 ? " …" : "");
}

static void stay_unnamed(struct core *c, struct run_slot *r, const struct vm *v, const char *host)
{
    struct stay *st = vec_add(&r->run.stays, &r->run.n_stays);
    planned_stay(st, v, host, NULL);
    planned_no_leave(st);
    say(c, (struct about){.r = r, .vm = v->name}, "vm.blocked",
        "vm/%s can only move cold, and nothing allowed to stop it", v->name);
}

static void note_unnamed(struct core *c, struct run_slot *r, const struct snapshot *s,
                         const struct plan *p)
{
    for (size_t i = 0; i < p->n_moves; i++) {
        const struct plan_move *mv = &p->moves[i];
        const struct vm *v = s->vms[mv->vm].v;
        if (vm_active(v->state) && !mv->live && !planned_may_stop(&r->run, v->name))
            stay_unnamed(c, r, v, s->hosts[s->vms[mv->vm].host].h->name);
    }
}

static void say_joins(struct core *c, const struct move_slot *m)
{
    bool before = false;
    for (const struct move_slot *o = lookup_get(&c->moved, m->m.vm); o; o = o->before)
        before = before || (o != m && o->m.run == m->m.run);
    if (before || m->m.aside)
        say(c, (struct about){.m = m}, "move.replanned", "vm/%s will go from %s to %s: %s",
            m->m.vm_name, m->m.from, m->m.to, m->m.why ? m->m.why : "?");
    else
        say(c, (struct about){.m = m}, "vm.came", "vm/%s came to %s meanwhile; it leaves too",
            m->m.vm_name, m->m.from);
}

/* Those that join a run under way are in no forecast. */
void run_create_moves(struct core *c, struct run_slot *r, const struct snapshot *s,
                      const struct plan *p)
{
    struct forecast f = {0};
    bool joins = r->run.state == RUN_RUNNING;
    cleanup(freep) int64_t *ids = xcalloc(p->n_moves + 1, sizeof(*ids));
    if (!joins)
        planned_forecast(&r->run, s, &c->policy, p, c->lead_us, &f);
    for (size_t i = 0; i < p->n_moves; i++) {
        const struct plan_move *mv = &p->moves[i];
        const struct vm *v = s->vms[mv->vm].v;
        if (has_stay(r, v->uuid))
            continue;
        struct move_slot *m = move_new(c, r, s, mv);
        ids[i] = m->m.id;
        planned_waits(&m->m, s, p, i, ids);
        m->m.aside =
            r->run.kind == RUN_DRAIN && !run_host(&r->run, s->hosts[s->vms[mv->vm].host].h->name);
        if (joins)
            say_joins(c, m);
        else
            m->m.forecast = planned_move_forecast(&f.moves[i]);
    }
    forecast_done(&f);
}

static void say_started(struct core *c, struct run_slot *r)
{
    long long id = (long long)r->run.id, vms = (long long)r->run.vms, stay = 0;
    cleanup(freep) char *place = run_place(&r->run);
    for (size_t i = 0; i < r->run.n_stays; i++)
        stay += !r->run.stays[i].off;
    if (!vms)
        say(c, (struct about){.r = r}, "run.started", "run/%lld: no VM runs on %s", id, place);
    else if (stay == vms)
        say(c, (struct about){.r = r}, "run.started",
            "run/%lld: nothing to move: no VM of %lld can leave (see above)", id, vms);
    else if (stay)
        say(c, (struct about){.r = r}, "run.started",
            "run/%lld: %lld of %lld VMs to move, placed, checked by libvirt and confirmed by Ceph; "
            "%lld cannot leave (see above)",
            id, vms - stay, vms, stay);
    else
        say(c, (struct about){.r = r}, "run.started",
            "run/%lld: %lld VM%s to move, all placed, checked by libvirt and confirmed by Ceph%s",
            id, vms, vms == 1 ? "" : "s",
            r->run.n_stays ? "; not all that is shut off can follow (see above)" : "");
}

static void start_run(struct core *c, struct run_slot *r)
{
    r->run.state = RUN_RUNNING;
    r->run.started_wall_us = c->wall_us;
    set_str(&r->run.message, NULL);
    r->dirty = true;
    if (r->run.kind == RUN_DRAIN)
        drain_begins(c, r);
    say_started(c, r);
}

/* Only before anything has moved: later the fleet is another one at every look. */
static void find_ways(struct core *c, struct run_slot *r, const struct snapshot *s,
                      const struct wanted *w, const struct plan *p)
{
    struct plan_ways ways;
    if (!p->n_stays || r->run.kind != RUN_DRAIN || r->run.state != RUN_PLANNING)
        return;
    struct plan_index *x = fleet_index(c, s);
    plan_ways_find(x, &w->req, p, c->cfg.seed, &ways);
    planned_ways(&r->run, r->run.n_stays - p->n_stays, &ways);
    plan_ways_done(&ways);
    plan_index_free(x);
    r->run.room_moves = planned_room_moves(s, &c->policy, &w->req);
}

/* Of the VMs that are the run's, and not of one that was parked. */
static bool takes_away(const struct run_slot *r, const struct snapshot *s,
                       const struct plan_move *m)
{
    return r->run.kind != RUN_DRAIN || run_host(&r->run, s->hosts[m->from].h->name);
}

static void refuse_run(struct core *c, struct run_slot *r, size_t blocked)
{
    cleanup(freep) char *place = run_place(&r->run), *is = run_left_as(&r->run);
    run_end(c, r, RUN_REFUSED, "%s not drained: %zu VM%s cannot leave; nothing was moved, %s",
            place, blocked, blocked == 1 ? "" : "s", is);
}

static void end_dry(struct core *c, struct run_slot *r, size_t blocked)
{
    const struct run_slot *busy = balance_under_way(c);
    r->run.interrupts = busy ? busy->run.id : 0;
    cleanup(freep) char *first =
        busy ? xasprintf("; run/%lld (balance) would give way first", (long long)busy->run.id)
             : xstrdup("");
    run_end(c, r, RUN_PLANNED, "%zu of %lld VM%s would be blocked%s; nothing was changed", blocked,
            (long long)r->run.vms, r->run.vms == 1 ? "" : "s", first);
}

/* Every pair is confirmed. First round: decide whether to begin at all. Later: VMs that came while
 * the host was being emptied just join. */
static void settle_plan(struct core *c, struct run_slot *r, const struct snapshot *s,
                        const struct wanted *w, const struct plan *p)
{
    for (size_t i = 0; i < p->n_stays; i++)
        name_stay(c, r, s, &p->stays[i]);
    find_ways(c, r, s, w, p);
    note_unnamed(c, r, s, p);
    r->dirty = true;
    for (size_t i = 0; i < p->n_stays; i++)
        r->run.vms += vm_active(s->vms[p->stays[i].vm].v->state);
    for (size_t i = 0; i < p->n_moves;
         i++) /* also when the run is refused: "1 of 23 cannot leave" */
        r->run.vms += vm_active(s->vms[p->moves[i].vm].v->state) && takes_away(r, s, &p->moves[i]);
    size_t blocked = stays_of(&r->run, FATE_BLOCKED);
    if (r->run.state == RUN_RUNNING) {
        run_create_moves(c, r, s, p);
        return;
    }
    bool refuse = blocked && r->run.on_blocked != BLOCKED_LEAVE && r->run.kind == RUN_DRAIN;
    if (r->run.dry_run || !refuse)
        run_create_moves(c, r, s, p);
    if (r->run.dry_run)
        end_dry(c, r, blocked);
    else if (refuse)
        refuse_run(c, r, blocked);
    else
        start_run(c, r);
}

void run_sketch(struct core *c, struct run_slot *r, const struct snapshot *s, struct plan *ret)
{
    struct wanted w = {0};
    fill_request(c, r, s, false, &w);
    make_plan(c, r, s, &w.req, ret);
    wanted_done(&w);
}

void run_plan(struct core *c, struct run_slot *r)
{
    if (r->waiting > 0)
        return;
    struct snapshot_store snap;
    struct wanted w = {0};
    struct plan p = {0};
    snapshot_make(c, r->run.id, 0, &snap);
    room_stage(&r->run, &snap);
    run_judge_answers(c, r, &snap.s);
    if (r->run.kind == RUN_BALANCE && !r->rounds)
        balance_hold_back(c, r);
    if (r->run.kind == RUN_BALANCE)
        snapshot_figures(c, &snap);
    else
        collect_vms(c, r, &snap.s, &w);
    w.others = true;
    fill_request(c, r, &snap.s, false, &w);
    if (w.req.room_for < 0) {
        run_end(c, r, RUN_FAILED, "vm/%s does not run any more; nothing was moved",
                r->run.room.vm_name);
    } else if (!make_plan(c, r, &snap.s, &w.req, &p)) {
        run_end(c, r, RUN_FAILED,
                "the planner's answer did not pass verification; nothing was moved");
    } else if (r->rounds++ < PLAN_ROUNDS && run_ask_unknown(c, r, &snap.s, &p)) {
        set_str(&r->run.message, "asking libvirt and Ceph on both ends of every move");
    } else if (r->run.kind == RUN_BALANCE) {
        balance_settle(c, r, &snap.s, &p);
    } else {
        settle_plan(c, r, &snap.s, &w, &p);
    }
    plan_done(&p);
    wanted_done(&w);
    snapshot_done(&snap);
}

/* Why a queued move has no place now: of its own target, else of one that the request allows. The
 * nearest way out, which comes first, may be a host that nobody asked for. */
static const struct reason *why_waiting(const struct plan_stay *st, const char *to)
{
    const struct reason *best = st->n_reasons ? &st->reasons[0] : NULL;
    bool asked = false;
    for (size_t i = 0; i < st->n_reasons; i++) {
        const struct reason *r = &st->reasons[i];
        if (r->host && str_eq(r->host, to))
            return r;
        if (asked || r->code == R_NOT_IN_TO || r->code == R_AVOIDED)
            continue;
        best = r;
        asked = true;
    }
    return best;
}

/* Hosts that a VM is not to go to. Where there are some, another search follows: nothing is noted. */
struct off {
    struct left_out *list;
    size_t n;
};

static bool replan(struct core *c, struct run_slot *r, struct move_slot *m, bool forget_tried,
                   const struct off *off)
{
    static const struct reason failed = {.code = R_FAILED_LATELY};
    struct snapshot_store snap;
    struct wanted w = {0};
    struct plan p = {0};
    snapshot_make(c, r->run.id, m->m.id, &snap);
    int vm = snap_vm_id(c, &snap.s, m->m.vm);
    bool found = false;
    if (vm >= 0) {
        *(int *)vec_add(&w.vms, &w.n_vms) = vm;
        for (size_t i = 0; i < off->n; i++) {
            int host = snap_host_id(&snap.s, off->list[i].host);
            if (host >= 0)
                add_refusal(&w, vm, host, &failed);
        }
        fill_request(c, r, &snap.s, forget_tried, &w);
        make_plan(c, r, &snap.s, &w.req, &p);
        bool cold_ok = p.n_moves == 1 && (p.moves[0].live || m->m.offline || !m->m.live);
        found = p.n_moves == 1 && cold_ok;
        if (found) {
            set_str(&m->m.to, snap.s.hosts[p.moves[0].to].h->name);
            set_str(&m->m.why, p.moves[0].why);
            m->dirty = true;
            waits_follow(c, m);
        } else if (p.n_stays == 1 && !off->n) {
            const struct reason *why = why_waiting(&p.stays[0], m->m.to);
            cleanup(freep) char *text = why ? reason_sentence(why) : xstrdup("?");
            set_str(&m->m.note, text);
            m->no_target = why ? (enum reason_code)why->code : R_NONE;
        }
    }
    plan_done(&p);
    wanted_done(&w);
    snapshot_done(&snap);
    return found;
}

bool run_replan_off_failed(struct core *c, struct run_slot *r, struct move_slot *m,
                           bool forget_tried)
{
    struct off off;
    off.list = failures_in_run(c, r, &off.n);
    bool found = off.n && replan(c, r, m, forget_tried, &off);
    left_out_done(off.list, off.n);
    return found;
}

bool run_replan_move(struct core *c, struct run_slot *r, struct move_slot *m, bool forget_tried)
{
    return run_replan_off_failed(c, r, m, forget_tried) ||
           replan(c, r, m, forget_tried, &(struct off){0});
}
