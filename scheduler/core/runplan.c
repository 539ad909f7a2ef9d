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

static struct known *known_find(const struct run_slot *r, const char *vm, const char *host)
{
    for (size_t i = 0; i < r->n_known; i++)
        if (str_eq(r->known[i].vm, vm) && str_eq(r->known[i].host, host))
            return &r->known[i];
    return NULL;
}

/* ---- the planner's request ------------------------------------------------------------------------ */

struct wanted {
    int *vms, *wish, *to, *avoid;
    size_t n_vms, n_wish, n_to, n_avoid, n_refusals;
    struct plan_refusal *refusals;
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
            if (!f->from || str_eq(s->hosts[s->vms[k].host].h->name, f->from))
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
        .allow_cold = r->run.on_blocked == BLOCKED_COLD,
        .make_room = w->others && r->run.make_room && r->run.kind == RUN_DRAIN,
    };
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
        if (r->kind == RUN_DRAIN && !r->dry_run && str_eq(r->host, host) &&
            (r->state == RUN_DONE || r->state == RUN_PARTLY || r->state == RUN_CANCELLED))
            return r->id;
    }
    return 0;
}

/* Did the last drain take this VM from the host, and is it still where it was put? */
static bool left_home(const struct core *c, int64_t drain, const char *uuid, const char *now_on)
{
    const struct move_slot *m = lookup_get(&c->moved, uuid);
    for (; m; m = m->before)
        if (m->m.run == drain && m->m.state == JOB_DONE && !m->m.aside && str_eq(m->m.to, now_on))
            return true;
    return false;
}

static bool wants_vm(const struct core *c, const struct run_slot *r, int64_t drain,
                     const struct snapshot *s, const struct snap_vm *v)
{
    const char *on = s->hosts[v->host].h->name;
    bool concerned =
        r->run.kind == RUN_DRAIN ? str_eq(on, r->run.host) : left_home(c, drain, v->v->uuid, on);
    return concerned && !has_stay(r, v->v->uuid) && !has_open_move(r, v->v->uuid);
}

static void collect_vms(struct core *c, const struct run_slot *r, const struct snapshot *s,
                        struct wanted *w)
{
    int64_t drain = r->run.kind == RUN_HOME ? last_drain_of(c, r->run.host) : 0;
    for (size_t i = 0; i < s->n_vms; i++)
        if (wants_vm(c, r, drain, s, &s->vms[i]))
            *(int *)vec_add(&w->vms, &w->n_vms) = (int)i;
}

bool run_has_unplanned(struct core *c, const struct run_slot *r)
{
    const struct host_slot *h = host_find(c, r->run.host);
    if (r->run.kind != RUN_DRAIN || !h)
        return false;
    for (size_t i = 0; i < h->n_vms; i++) {
        const struct vm *v = &h->vms[i]->vm;
        if (vm_active(v->state) && v->job != VM_JOB_MIGRATING_IN && !has_stay(r, v->uuid) &&
            !has_open_move(r, v->uuid))
            return true;
    }
    return false;
}

/* ---- real checks ------------------------------------------------------------------------------------ */

static void check_unanswered(struct run_slot *r, const char *host, bool source, const char *why)
{
    for (size_t i = 0; i < r->n_known; i++) {
        struct known *k = &r->known[i];
        if (k->answered || k->source != source || !str_eq(k->host, host))
            continue;
        k->answered = true;
        struct reason *no = vec_add(&k->said.reasons, &k->said.n_reasons);
        reason_set(no, R_CHECK_FAILED, NULL, NULL, NULL, why, "try again when its agent answers");
    }
}

/* Send one host the VMs of the plan that it has not been asked about yet. */
static void ask_host(struct core *c, struct run_slot *r, const struct snapshot *s,
                     const struct plan *p, const char *host, bool source)
{
    struct check_vms *b = NULL;
    for (size_t i = 0; i <= p->n_moves; i++) {
        if (b && (i == p->n_moves || b->n_vms == CHECK_BATCH)) {
            struct ask want = {.what = source ? ASK_PLAN_SRC : ASK_PLAN_DST,
                               .run = r->run.id,
                               .host = (char *)(uintptr_t)host};
            if (ask(c, want, MSG_CHECK_VMS, b))
                r->waiting++;
            else
                check_unanswered(r, host, source, "its agent is not connected");
            b = NULL;
        }
        if (i == p->n_moves)
            break;
        const struct plan_move *mv = &p->moves[i];
        const struct vm *v = s->vms[mv->vm].v;
        bool parked =
            mv->from != s->vms[mv->vm].host; /* not there yet: nothing to ask its source */
        if (!str_eq(s->hosts[source ? mv->from : mv->to].h->name, host) || (source && parked) ||
            known_find(r, v->uuid, host))
            continue;
        struct known *k = vec_add(&r->known, &r->n_known);
        k->vm = xstrdup(v->uuid);
        k->host = xstrdup(host);
        k->source = source;
        if (!b) {
            b = body_new(MSG_CHECK_VMS);
            b->term = c->cfg.term;
            b->as_source = source;
        }
        shape_copy(&vm_shape, vec_add(&b->vms, &b->n_vms), v);
    }
}

static void ask_peer(struct core *c, struct run_slot *r, const struct snapshot *s,
                     const struct plan_move *mv)
{
    const struct host *from = s->hosts[mv->from].h, *to = s->hosts[mv->to].h;
    char *pair = xasprintf("%s→%s", from->name, to->name);
    if (str_in(pair, r->peers, r->n_peers)) {
        free(pair);
        return;
    }
    *(char **)vec_add(&r->peers, &r->n_peers) = pair;
    struct check_peer *b = body_new(MSG_CHECK_PEER);
    b->term = c->cfg.term;
    b->uri = xstrdup(to->migrate_uri);
    struct ask want = {.what = ASK_PLAN_PEER, .run = r->run.id, .host = from->name, .vm = to->name};
    if (ask(c, want, MSG_CHECK_PEER, b))
        r->waiting++;
}

static bool ask_unknown(struct core *c, struct run_slot *r, const struct snapshot *s,
                        const struct plan *p)
{
    int64_t before = r->waiting;
    size_t known = r->n_known;
    for (size_t h = 0; h < s->n_hosts; h++) {
        ask_host(c, r, s, p, s->hosts[h].h->name, true);
        ask_host(c, r, s, p, s->hosts[h].h->name, false);
    }
    for (size_t i = 0; i < p->n_moves; i++)
        ask_peer(c, r, s, &p->moves[i]);
    return r->waiting > before || r->n_known > known;
}

static void peer_answer(struct run_slot *r, const struct ask *a, const struct msg *m)
{
    const struct done *d = m && m->type == MSG_DONE ? m->body : NULL;
    if (d && d->ok)
        return;
    struct reason why = {0};
    reason_set(&why, R_PEER, a->vm, NULL, NULL,
               d && d->error ? d->error : "the source's agent did not answer", NULL);
    run_refuse(r, NULL, a->vm, &why, false);
    r->refusals[r->n_refusals - 1].from = xstrdup(a->host);
    shape_done(&reason_shape, &why);
}

void run_plan_answer(struct core *c, const struct ask *a, const struct msg *m)
{
    struct run_slot *r = run_find(c, a->run);
    if (!r || run_ended(r->run.state))
        return;
    r->waiting--;
    if (a->what == ASK_PLAN_PEER) {
        peer_answer(r, a, m);
        return;
    }
    bool source = a->what == ASK_PLAN_SRC;
    const struct vms_checked *v = m && m->type == MSG_VMS_CHECKED ? m->body : NULL;
    for (size_t i = 0; v && i < v->n_verdicts; i++) {
        struct known *k = known_find(r, v->verdicts[i].uuid, a->host);
        if (!k || k->answered)
            continue;
        k->answered = true;
        shape_copy(&verdict_shape, &k->said, &v->verdicts[i]);
    }
    const struct done *d = m && m->type == MSG_DONE ? m->body : NULL;
    if (!v)
        check_unanswered(r, a->host, source, d && d->error ? d->error : "its agent did not answer");
}

/* Turn answers into refusals, once each: first what the sources say, then the targets. */
static void judge_answers(struct core *c, struct run_slot *r, const struct snapshot *s)
{
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < r->n_known; i++) {
            struct known *k = &r->known[i];
            int vm = snap_vm_id(c, s, k->vm);
            if (k->judged || !k->answered || k->source != (pass == 0) || vm < 0)
                continue;
            k->judged = true;
            const char *src = s->hosts[s->vms[vm].host].h->name;
            const struct known *from = known_find(r, k->vm, src);
            struct reason why = {0};
            bool ok = k->source ? check_source(c, s->vms[vm].v, src, &k->said, &why)
                                : check_target(&k->said, k->host, from ? from->said.images : NULL,
                                               from ? from->said.n_images : 0, &why);
            if (!ok)
                run_refuse(r, k->vm, k->source ? NULL : k->host, &why, false);
            shape_done(&reason_shape, &why);
        }
}

/* ---- the plan stands ---------------------------------------------------------------------------------- */

static void name_stay(struct core *c, struct run_slot *r, const struct snapshot *s,
                      const struct plan_stay *p)
{
    const struct vm *v = s->vms[p->vm].v;
    struct stay *st = vec_add(&r->run.stays, &r->run.n_stays);
    planned_stay(st, v, p);
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

static void stay_unnamed(struct core *c, struct run_slot *r, const struct vm *v)
{
    struct stay *st = vec_add(&r->run.stays, &r->run.n_stays);
    planned_stay(st, v, NULL);
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
            stay_unnamed(c, r, v);
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
static void create_moves(struct core *c, struct run_slot *r, const struct snapshot *s,
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
            r->run.kind == RUN_DRAIN && !str_eq(s->hosts[s->vms[mv->vm].host].h->name, r->run.host);
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
    for (size_t i = 0; i < r->run.n_stays; i++)
        stay += !r->run.stays[i].off;
    if (!vms)
        say(c, (struct about){.r = r}, "run.started", "run/%lld: no VM runs on host/%s", id,
            r->run.host);
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
    struct host_slot *h = host_find(c, r->run.host);
    r->run.state = RUN_RUNNING;
    r->run.started_wall_us = c->wall_us;
    set_str(&r->run.message, NULL);
    r->dirty = true;
    if (r->run.kind == RUN_DRAIN) {
        cleanup(freep) char *why =
            xasprintf("drain run/%lld%s%s", (long long)r->run.id, r->run.reason ? ": " : "",
                      r->run.reason ? r->run.reason : "");
        host_set_state(c, h, HOST_DRAINING, r->run.id, r->run.actor, why);
    }
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
    return r->run.kind != RUN_DRAIN || str_eq(s->hosts[m->from].h->name, r->run.host);
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
        create_moves(c, r, s, p);
        return;
    }
    bool refuse = blocked && r->run.on_blocked != BLOCKED_LEAVE && r->run.kind == RUN_DRAIN;
    if (r->run.dry_run || !refuse)
        create_moves(c, r, s, p);
    if (r->run.dry_run)
        run_end(c, r, RUN_PLANNED, "%zu of %lld VM%s would be blocked; nothing was changed",
                blocked, (long long)r->run.vms, r->run.vms == 1 ? "" : "s");
    else if (refuse)
        run_end(c, r, RUN_REFUSED,
                "host/%s not drained: %zu VM%s cannot leave; nothing was moved, the host is %s as "
                "before",
                r->run.host, blocked, blocked == 1 ? "" : "s",
                host_state_names[host_find(c, r->run.host)->rec.state]);
    else
        start_run(c, r);
}

void run_plan(struct core *c, struct run_slot *r)
{
    if (r->waiting > 0)
        return;
    struct snapshot_store snap;
    struct wanted w = {0};
    struct plan p = {0};
    snapshot_make(c, r->run.id, 0, &snap);
    judge_answers(c, r, &snap.s);
    collect_vms(c, r, &snap.s, &w);
    w.others = true;
    fill_request(c, r, &snap.s, false, &w);
    if (!make_plan(c, r, &snap.s, &w.req, &p)) {
        run_end(c, r, RUN_FAILED,
                "the planner's answer did not pass verification; nothing was moved");
    } else if (r->rounds++ < PLAN_ROUNDS && ask_unknown(c, r, &snap.s, &p)) {
        set_str(&r->run.message, "asking libvirt and Ceph on both ends of every move");
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

bool run_replan_move(struct core *c, struct run_slot *r, struct move_slot *m, bool forget_tried)
{
    struct snapshot_store snap;
    struct wanted w = {0};
    struct plan p = {0};
    snapshot_make(c, r->run.id, m->m.id, &snap);
    int vm = snap_vm_id(c, &snap.s, m->m.vm);
    bool found = false;
    if (vm >= 0) {
        *(int *)vec_add(&w.vms, &w.n_vms) = vm;
        fill_request(c, r, &snap.s, forget_tried, &w);
        make_plan(c, r, &snap.s, &w.req, &p);
        bool cold_ok = p.n_moves == 1 && (p.moves[0].live || m->m.offline || !m->m.live);
        found = p.n_moves == 1 && cold_ok;
        if (found) {
            set_str(&m->m.to, snap.s.hosts[p.moves[0].to].h->name);
            set_str(&m->m.why, p.moves[0].why);
            m->dirty = true;
            waits_follow(c, m);
        } else if (p.n_stays == 1) {
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
