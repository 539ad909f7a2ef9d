/* Balance runs: few moves that make the fleet better. No host changes its state; each move is held against
 * the fleet anew before it begins, and the run ends when what it was for is reached, or gone. A drain goes
 * first: then nothing more begins. What fails is left: the next run looks again. */
#include <string.h>

#include "scheduler/core/internal.h"
#include "scheduler/plan/rest.h"

enum { NAMES_KEPT = 3 }; /* examples of each reason: all of them are what explain is for */

enum plan_goal planned_goal(int mode)
{
    static const enum plan_goal goals[] = {
        [BALANCE_REPAIR_RULES] = GOAL_REPAIR,
        [BALANCE_RELIEVE] = GOAL_RELIEVE,
        [BALANCE_EVEN] = GOAL_BALANCE,
        [BALANCE_MAKE_ROOM] = GOAL_ROOM,
        [BALANCE_CONSOLIDATE] = GOAL_CONSOLIDATE,
    };
    return goals[mode];
}

/* ---- words --------------------------------------------------------------------------------------------- */

char *standing_words(const struct plan_standing *x)
{
    char *s =
        xasprintf("memory of hosts %.1f to %.1f %% full, deviation %.2f", (double)x->min_ppm / 1e4,
                  (double)x->max_ppm / 1e4, (double)x->deviation_ppm / 1e4);
    if (x->measured)
        set_fmt(&s, "%s; CPU %.1f to %.1f %% busy, deviation %.2f", s, (double)x->cpu_min_ppm / 1e4,
                (double)x->cpu_max_ppm / 1e4, (double)x->cpu_deviation_ppm / 1e4);
    if (x->broken)
        set_fmt(&s, "%s, hard rules or capacity broken", s);
    if (x->soft)
        set_fmt(&s, "%s, soft rules broken (weight %lld)", s, (long long)x->soft);
    return s;
}

/* ---- planning ------------------------------------------------------------------------------------------ */

void balance_wants(const struct core *c, const struct run *r, const struct snapshot *s, int **avoid,
                   size_t *n_avoid, struct plan_request *ret)
{
    bool measured = false; /* by anybody: where nobody reports load, memory alone decides */
    for (size_t h = 0; h < s->n_hosts; h++)
        measured = measured || (s->hosts[h].state == HOST_UP && snap_measured(&s->hosts[h]));
    measured = measured && c->policy.balance.weight_cpu > 0 && !room_wanted(r);
    ret->goal = (int)planned_goal(r->mode);
    ret->room_for = room_wanted(r) ? room_vm(c, r, s) : 0;
    ret->purpose = PURPOSE_BALANCE;
    ret->max_moves = r->max_moves;
    for (size_t h = 0; h < s->n_hosts;
         h++) /* what nobody has seen lately is no place to put things */
        if (!s->hosts[h].connected || (measured && !snap_measured(&s->hosts[h])))
            *vec_add(avoid, n_avoid) = (int)h;
    ret->avoid = *avoid;
    ret->n_avoid = *n_avoid;
}

void balance_hold_back(const struct core *c, struct run_slot *r)
{
    for (size_t h = 0; h < c->n_hosts; h++)
        for (size_t i = 0; i < c->hosts[h]->n_vms; i++) {
            const struct vm_slot *v = c->hosts[h]->vms[i];
            struct reason why;
            shape_init(&reason_shape, &why);
            if (str_eq(v->vm.uuid, r->run.room.vm))
                continue; /* it does not move */
            if (vm_active(v->vm.state) && vm_held_back(c, v, &why))
                run_refuse(r, v->vm.uuid, NULL, &why, false);
            else if (vm_active(v->vm.state))
                vm_not_back(c, v, r);
            shape_done(&reason_shape, &why);
        }
    failures_refuse(c, r);
}

static void count_refused(struct refused **list, size_t *n, int code, const char *name)
{
    struct refused *at = NULL;
    for (size_t i = 0; i < *n && !at; i++)
        at = str_eq((*list)[i].code, reason_tokens[code]) ? &(*list)[i] : NULL;
    if (!at) {
        at = vec_add(list, n);
        at->code = xstrdup(reason_tokens[code]);
    }
    at->n++;
    if (at->n_some < NAMES_KEPT)
        *(char **)vec_add(&at->some, &at->n_some) = xstrdup(name);
}

/* host NULL: of the VM itself, which is on `from`. */
static const struct refusal *refusal_of(const struct run_slot *r, const char *uuid,
                                        const char *from, const char *host)
{
    for (size_t i = 0; i < r->n_refusals; i++) {
        const struct refusal *f = &r->refusals[i];
        bool about = f->vm ? str_eq(f->vm, uuid) : !f->from || str_eq(f->from, from);
        if (about && str_eq(f->host, host))
            return f;
    }
    return NULL;
}

/* VMs that could not even be asked to move, by reason. */
static void note_vms(const struct core *c, struct run_slot *r, const struct snapshot *s)
{
    for (size_t i = 0; i < s->n_vms; i++) {
        const struct vm *v = s->vms[i].v;
        struct reason why;
        const struct refusal *no = refusal_of(r, v->uuid, NULL, NULL);
        shape_init(&reason_shape, &why);
        if (!vm_active(v->state))
            continue;
        if (no)
            count_refused(&r->run.refused, &r->run.n_refused, no->why.code, v->name);
        else if (!plan_vm_movable(s, &c->policy, (int)i, &why))
            count_refused(&r->run.refused, &r->run.n_refused, why.code, v->name);
        shape_done(&reason_shape, &why);
    }
}

/* Hosts that were no choice for this move, by reason. */
static void note_hosts(const struct run_slot *r, struct move_slot *m, const struct snapshot *s,
                       const struct plan_index *x, const struct plan_move *p)
{
    for (int h = 0; h < (int)s->n_hosts; h++) {
        struct reason why;
        if (h == p->to || h == s->vms[p->vm].host)
            continue;
        const char *host = s->hosts[h].h->name;
        const struct refusal *no = refusal_of(r, m->m.vm, m->m.from, host);
        shape_init(&reason_shape, &why);
        if (!plan_allows_from(x, p->vm, h, &why))
            count_refused(&m->m.refused, &m->m.n_refused, why.code, host);
        else if (no)
            count_refused(&m->m.refused, &m->m.n_refused, no->why.code, host);
        shape_done(&reason_shape, &why);
    }
}

static const char *const purposes[] = {
    [BALANCE_REPAIR_RULES] = "repair rules", [BALANCE_RELIEVE] = "relieve full hosts",
    [BALANCE_EVEN] = "even out load",        [BALANCE_MAKE_ROOM] = "make room",
    [BALANCE_CONSOLIDATE] = "empty hosts",
};

static void say_plan(struct core *c, struct run_slot *r, size_t n)
{
    cleanup(freep) char *now = standing_words(&r->run.before);
    cleanup(freep) char *then = standing_words(&r->run.planned);
    cleanup(freep) char *gain =
        room_wanted(&r->run) ? room_planned_words(&r->run) : xasprintf("%s; then %s", now, then);
    say(c, (struct about){.r = r}, "run.started",
        "run/%lld: %zu move%s to %s, checked by libvirt and confirmed by Ceph: %s",
        (long long)r->run.id, n, n == 1 ? "" : "s", purposes[r->run.mode], gain);
}

static bool measure(struct core *c, struct run_slot *r, struct plan_standing *ret);

void balance_start(struct core *c, struct run_slot *r)
{
    r->run.state = RUN_RUNNING;
    r->run.started_wall_us = c->wall_us;
    set_str(&r->run.message, NULL);
    r->dirty = true;
    say_plan(c, r, r->n_moves);
}

static void propose(struct core *c, struct run_slot *r, size_t n)
{
    r->run.state = RUN_PROPOSED;
    r->held_version = c->version;
    set_fmt(&r->run.message, "waits for an operator: drover apply %lld", (long long)r->run.id);
    say(c, (struct about){.r = r}, "run.proposed",
        "run/%lld: a plan of %zu move%s waits for an operator (drover runs %lld --why, drover "
        "apply "
        "%lld)",
        (long long)r->run.id, n, n == 1 ? "" : "s", (long long)r->run.id, (long long)r->run.id);
}

void balance_settle(struct core *c, struct run_slot *r, const struct snapshot *s,
                    const struct plan *p)
{
    r->run.before = r->run.after = p->before;
    r->run.planned = p->after;
    r->run.vms = (int64_t)p->n_moves;
    r->dirty = true;
    note_vms(c, r, s);
    failures_note(c, r);
    if (room_wanted(&r->run) && room_settle(c, r, s, p))
        return;
    if (!p->n_moves) {
        bool needed = measure(c, r, &r->run.before);
        r->run.planned = r->run.after = r->run.before;
        cleanup(freep) char *now = standing_words(&r->run.before);
        run_end(c, r, r->run.dry_run ? RUN_PLANNED : RUN_DONE, "%s: %s",
                needed ? "no plan that is allowed now is worth its moves" : "nothing to do", now);
        return;
    }
    size_t first = r->n_moves;
    run_create_moves(c, r, s, p);
    struct plan_index *x = fleet_index(c, s);
    for (size_t i = first; i < r->n_moves; i++)
        note_hosts(r, r->moves[i], s, x, &p->moves[i - first]);
    plan_index_free(x);
    if (r->run.dry_run) {
        cleanup(freep) char *gain = room_wanted(&r->run) ? room_planned_words(&r->run) : NULL;
        run_end(c, r, RUN_PLANNED, "%zu move%s planned%s%s; nothing was changed", p->n_moves,
                p->n_moves == 1 ? "" : "s", gain ? ": " : "", gain ? gain : "");
        return;
    }
    if (r->run.scheduled && c->policy.balance.approve == APPROVE_MANUAL)
        propose(c, r, p->n_moves);
    else
        balance_start(c, r);
}

/* ---- before a move begins ------------------------------------------------------------------------------ */

static const struct vm *vm_of_move(const struct core *c, const struct move_slot *m)
{
    const struct vm_slot *v = lookup_get(&c->vms, m->m.vm);
    return v ? &v->vm : NULL;
}

/* Does a hard rule want these two in one place? */
static bool are_bound(const struct core *c, const struct vm *a, const struct vm *b)
{
    bool any = false;
    for (size_t i = 0; a && b && i < c->policy.n_rules && !any; i++) {
        const struct rule *r = &c->policy.rules[i];
        any = r->kind == RULE_AFFINITY && r->hard && selector_matches_vm(&r->vms, a) &&
              selector_matches_vm(&r->vms, b);
    }
    return any;
}

static bool has_begun(const struct move_slot *m)
{
    return m->m.state != JOB_QUEUED && m->m.state != JOB_FAILED && m->m.state != JOB_CANCELLED;
}

/* One of its group is on its way, or there: a group that has begun to move is not torn apart. */
static bool must_follow(const struct core *c, const struct run_slot *r, const struct move_slot *m)
{
    cleanup(freep) bool *group = xcalloc(r->n_moves + 1, sizeof(*group));
    bool begun = false;
    for (size_t i = 0; i < r->n_moves; i++)
        group[i] = r->moves[i] == m;
    for (bool more = true; more && !begun;) {
        more = false;
        for (size_t i = 0; i < r->n_moves; i++)
            for (size_t k = 0; k < r->n_moves && !group[i]; k++) {
                if (!group[k] ||
                    !are_bound(c, vm_of_move(c, r->moves[i]), vm_of_move(c, r->moves[k])))
                    continue;
                group[i] = more = true;
                begun = begun || has_begun(r->moves[i]);
            }
    }
    return begun;
}

static void drop(struct core *c, struct run_slot *r, struct move_slot *m, enum reason_code code,
                 const char *why)
{
    set_str(&m->m.code, reason_tokens[code]);
    set_str(&m->m.error, why);
    set_str(&m->m.note, NULL);
    m->handled = m->dirty = r->dirty = true;
    say(c, (struct about){.m = m}, "move.dropped", "vm/%s stays on %s: %s", m->m.vm_name, m->m.from,
        why);
    move_event(c, m, JEV_CANCEL);
}

static void drop_all(struct core *c, struct run_slot *r, enum reason_code code, const char *why)
{
    for (size_t i = 0; i < r->n_moves; i++)
        if (r->moves[i]->m.state == JOB_QUEUED && !must_follow(c, r, r->moves[i]))
            drop(c, r, r->moves[i], code, why);
}

/* What is left of the plan, in a fleet that knows nothing of it. */
struct left {
    struct snapshot_store snap;
    struct plan_index *x;
    struct plan_move *moves;
    struct move_slot **slots;
    size_t n, n_slots;
    struct room_judging goal;
};

static void left_begin(struct core *c, struct run_slot *r, struct left *l)
{
    *l = (struct left){0};
    snapshot_make(c, r->run.id, 0, &l->snap);
    room_stage(&r->run, &l->snap);
    for (size_t i = 0; i < r->n_moves; i++) {
        struct move_slot *m = r->moves[i];
        int vm = m->m.state == JOB_QUEUED ? snap_vm_id(c, &l->snap.s, m->m.vm) : -1;
        int to = snap_host_id(&l->snap.s, m->m.to), from = snap_host_id(&l->snap.s, m->m.from);
        if (vm < 0 || to < 0)
            continue;
        l->snap.vms[vm].moving_to = -1;
        if (l->snap.vms[vm].host != from)
            continue; /* another hand was faster: it is told when its turn comes */
        *vec_add(&l->moves, &l->n) = (struct plan_move){.vm = vm, .from = from, .to = to};
        *vec_add(&l->slots, &l->n_slots) = m;
    }
    snapshot_figures(c, &l->snap);
    l->x = fleet_index(c, &l->snap.s);
    if (room_wanted(&r->run))
        room_judged(c, &r->run, &l->snap.s, &l->goal);
    else
        l->goal.req = (struct plan_request){.goal = (int)planned_goal(r->run.mode),
                                            .purpose = PURPOSE_BALANCE};
}

static void left_done(struct left *l)
{
    plan_index_free(l->x);
    snapshot_done(&l->snap);
    free(l->moves);
    free(l->slots);
    room_judging_done(&l->goal);
}

static const char *not_needed(const struct run *r)
{
    return room_wanted(r) ? "there is room without it" : "the fleet is as it should be without it";
}

/* Why the move is not to begin; NULL: it may. *ret_all: and none of the rest either. */
static const char *judge(const struct run *r, const struct left *l, size_t at, bool *ret_all,
                         enum reason_code *ret_code)
{
    struct plan_rest rest;
    const char *why = NULL;
    plan_rest(l->x, &l->goal.req, l->moves, l->n, &rest);
    *ret_all = !rest.needed || !rest.gains;
    *ret_code = rest.needed ? R_NO_GAIN : R_NOT_NEEDED;
    if (!rest.needed)
        why = not_needed(r);
    else if (!rest.gains)
        why = "what is left of the plan would not help any more";
    else if (!rest.helps[at])
        why = "it would not help any more";
    plan_rest_done(&rest);
    return why;
}

const char *balance_still_gains(struct core *c, struct run_slot *r)
{
    struct left l;
    struct plan_rest rest;
    left_begin(c, r, &l);
    plan_rest(l.x, &l.goal.req, l.moves, l.n, &rest);
    const char *why = !rest.needed  ? not_needed(&r->run)
                      : !rest.gains ? "it would not help any more"
                                    : NULL;
    plan_rest_done(&rest);
    left_done(&l);
    return why;
}

bool balance_waits(struct core *c, struct run_slot *r, struct move_slot *m)
{
    if (schedule_refuses(c, r) || !ceph_holds(c, r) || must_follow(c, r, m))
        return false;
    set_str(&m->m.note, r->run.message);
    return true;
}

bool balance_admits(struct core *c, struct run_slot *r, struct move_slot *m)
{
    struct left l;
    enum reason_code code = R_NONE;
    bool all = false;
    if (must_follow(c, r, m))
        return true;
    if ((code = schedule_refuses(c, r))) {
        drop_all(c, r, code, reason_texts[code]);
        return false;
    }
    cleanup(freep) char *failed = failures_at_words(c, r, m->m.to);
    if (failed) {
        drop(c, r, m, R_FAILED_LATELY, failed);
        return false;
    }
    const char *why = "its host or its target is not known any more";
    left_begin(c, r, &l);
    size_t at = 0;
    while (at < l.n && l.slots[at] != m)
        at++;
    if (at < l.n)
        why = judge(&r->run, &l, at, &all, &code);
    if (!why) {
        struct plan_rest alone;
        plan_rest(l.x, &l.goal.req, &l.moves[at], 1, &alone);
        m->m.gain = (struct move_gain){.judged = true, .before = alone.now, .after = alone.after};
        plan_rest_done(&alone);
    }
    left_done(&l);
    if (why && all)
        drop_all(c, r, code, why);
    else if (why)
        drop(c, r, m, code ? code : R_NO_GAIN, why);
    return !why;
}

/* Nobody said no: the order, or its answer, was lost with a restart. */
static bool try_again(struct core *c, const struct run_slot *r, struct move_slot *m)
{
    if (!m->began || m->m.code || m->m.attempt > 1 || m->source_lost || m->m.cancel || m->gave_up ||
        r->run.state != RUN_RUNNING)
        return false;
    m->m.attempt++;
    m->m.state = JOB_QUEUED;
    m->not_before_us = c->now_us + RETRY_DELAY_US;
    m->dirty = true;
    say(c, (struct about){.m = m}, "move.retry", "vm/%s will be tried again, to %s: %s",
        m->m.vm_name, m->m.to, m->m.error ? m->m.error : "the answer was lost");
    return true;
}

void balance_failed(struct core *c, struct run_slot *r, struct move_slot *m)
{
    if (try_again(c, r, m))
        return;
    cleanup(freep) char *then = failures_after(c, &m->m);
    m->handled = r->dirty = true;
    say(c, (struct about){.m = m}, "move.left", "vm/%s stays on %s: %s%s", m->m.vm_name, m->m.from,
        m->m.error ? m->m.error : "unknown error", then);
}

/* ---- after it ------------------------------------------------------------------------------------------ */

/* Returns whether there is anything that the run is for. */
static bool measure(struct core *c, struct run_slot *r, struct plan_standing *ret)
{
    struct left l;
    struct plan_rest now;
    left_begin(c, r, &l);
    plan_rest(l.x, &l.goal.req, l.moves, l.n, &now);
    *ret = now.now;
    bool needed = now.needed;
    plan_rest_done(&now);
    left_done(&l);
    return needed;
}

void balance_moved(struct core *c, struct run_slot *r, struct move_slot *m)
{
    (void)measure(c, r, &m->m.gain.measured);
    m->m.gain.measured_known = true;
    m->dirty = r->dirty = true;
    r->run.after = m->m.gain.measured;
}

/* ---- the run ------------------------------------------------------------------------------------------- */

/* Somebody waits for a drain, or for VMs to come home: nobody waits for this. */
const struct run_slot *balance_goes_after(const struct core *c, const struct run_slot *mine)
{
    for (size_t i = 0; i < c->n_open_runs; i++) {
        const struct run_slot *r = c->open_runs[i];
        if (r != mine && !run_ended(r->run.state) && !r->run.dry_run && r->run.kind != RUN_BALANCE)
            return r;
    }
    return NULL;
}

struct run_slot *balance_under_way(const struct core *c)
{
    for (size_t i = 0; i < c->n_open_runs; i++) {
        struct run_slot *r = c->open_runs[i];
        if (r->run.kind == RUN_BALANCE && !run_ended(r->run.state) && !r->run.dry_run &&
            r->run.state != RUN_PROPOSED)
            return r;
    }
    return NULL;
}

const struct move_slot *balance_in_way(const struct core *c, const struct run_slot *r)
{
    for (size_t i = 0; i < c->n_open_moves && r->run.kind != RUN_BALANCE && !r->run.dry_run; i++) {
        const struct move_slot *m = c->open_moves[i];
        const struct run_slot *of = run_find(c, m->m.run);
        bool theirs = of && of->run.kind == RUN_BALANCE && !run_ended(of->run.state);
        if (theirs && !job_final((enum job_state)m->m.state) && m->m.state != JOB_QUEUED &&
            (run_host(&r->run, m->m.from) || run_host(&r->run, m->m.to)))
            return m;
    }
    return NULL;
}

bool balance_would_yield(const struct run *balance, const struct run *dry)
{
    return dry->dry_run && dry->kind != RUN_BALANCE && balance->kind == RUN_BALANCE;
}

bool balance_yields(struct core *c, struct run_slot *r)
{
    const struct run_slot *first = r->run.dry_run ? NULL : balance_goes_after(c, r);
    if (!first)
        return false;
    cleanup(freep) char *place = run_place(&first->run);
    cleanup(freep) char *why = xasprintf("run/%lld (%s of %s) goes first", (long long)first->run.id,
                                         run_kind_names[first->run.kind], place);
    if (r->run.state == RUN_PLANNING)
        run_end(c, r, RUN_CANCELLED, "%s; nothing was moved", why);
    else
        drop_all(c, r, R_YIELDED, why);
    return run_ended(r->run.state);
}

/* Is this an end as it should be? Otherwise gives why not, of the first that did not move. */
static const struct move *trouble(const struct run_slot *r)
{
    for (size_t i = 0; i < r->n_moves; i++) {
        const struct move *m = &r->moves[i]->m;
        bool fine = m->state == JOB_DONE || str_eq(m->code, reason_tokens[R_NOT_NEEDED]) ||
                    str_eq(m->code, reason_tokens[R_NO_GAIN]);
        if (!fine)
            return m;
    }
    return NULL;
}

void balance_end(struct core *c, struct run_slot *r)
{
    const struct move *bad = trouble(r);
    run_count(c, r);
    if (r->run.moved)
        (void)measure(c, r, &r->run.after);
    cleanup(freep) char *was = standing_words(&r->run.before), *is = standing_words(&r->run.after);
    cleanup(freep) char *why = NULL;
    for (size_t i = 0; i < r->n_moves && !bad && !why; i++)
        why = r->moves[i]->m.state == JOB_DONE ? NULL : xstrdup(r->moves[i]->m.error);
    if (bad)
        why = str_eq(bad->code, reason_tokens[R_YIELDED])
                  ? xstrdup(bad->error)
                  : xasprintf("vm/%s: %s", bad->vm_name, bad->error ? bad->error : "?");
    if (room_wanted(&r->run))
        room_end(c, r, why);
    else
        run_end(c, r, bad ? RUN_PARTLY : RUN_DONE,
                "%lld of %lld moves made%s%s; before: %s; now: %s", (long long)r->run.moved,
                (long long)r->run.vms, why ? "; the rest was not: " : "", why ? why : "", was, is);
}

void balance_request(struct core *c, int64_t id, const struct request *req)
{
    int mode = c->policy.balance.mode;
    for (int i = 0; i < (int)ARRAY_LEN(balance_mode_names); i++)
        mode = str_eq(req->mode, balance_mode_names[i]) ? i : mode;
    if (req->mode && !str_eq(req->mode, balance_mode_names[mode])) {
        answer_text(c, id, 400, 64, "bad_option", 0,
                    "--mode %s: expected repair-rules, relieve, balance, make-room or consolidate",
                    req->mode);
        return;
    }
    struct room room;
    if (!room_asked(c, id, req, mode, &room))
        return;
    const struct run_slot *busy = req->dry_run ? NULL : balance_goes_after(c, NULL);
    const struct run_slot *same = req->dry_run ? NULL : balance_under_way(c);
    if (!busy && same && same->run.mode == mode && room_same(&same->run.room, &room) &&
        !req->forget_failures) {
        answer_joined(c, id, same);
        shape_done(&room_shape, &room);
        return;
    }
    busy = busy ? busy : same;
    if (busy) {
        cleanup(freep) char *place = run_place(&busy->run);
        answer_text(c, id, 409, 6, "busy", busy->run.id,
                    "run/%lld (%s of %s) is at work, and goes first; nothing was changed (drover "
                    "attach %lld follows it)",
                    (long long)busy->run.id, run_kind_names[busy->run.kind], place,
                    (long long)busy->run.id);
        shape_done(&room_shape, &room);
        return;
    }
    struct run_slot *r = run_new(c, RUN_BALANCE, req);
    r->run.mode = mode;
    r->run.room = room;
    r->run.max_moves = req->max_moves > 0 ? req->max_moves : 0;
    r->run.forget_failures = req->forget_failures;
    r->run.on_blocked = BLOCKED_LEAVE;
    say(c, (struct about){.r = r, .actor = req->actor}, "run.created",
        "run/%lld: %s of the fleet (%s) asked for by %s%s%s%s", (long long)r->run.id,
        req->dry_run ? "dry run of a balance" : "balance", balance_mode_names[mode],
        req->actor ? req->actor : "?", req->forget_failures ? ", what failed before too" : "",
        req->reason ? ": " : "", req->reason ? req->reason : "");
    answer_text(c, id, 202, 0, "created", r->run.id, "run/%lld", (long long)r->run.id);
}
