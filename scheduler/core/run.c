/* The life of a run: planning, starting moves as room allows, retries, the proof at the end. */
#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "scheduler/core/internal.h"

#define SILENCE_MAX_US  (600 * SEC) /* checks without an answer before a move is given up */
#define PLANNING_MAX_US (180 * SEC)
#define LEFT_WAIT_US    (5 * SEC) /* the source says "gone" before the other host says "here" */

struct run_slot *run_active_on(const struct core *c, const char *host)
{
    for (size_t i = 0; i < c->n_open_runs; i++) {
        const struct run *r = &c->open_runs[i]->run;
        const struct run_host *h = run_ended(r->state) || r->dry_run ? NULL : run_host(r, host);
        if (h && !h->ended_wall_us)
            return c->open_runs[i];
    }
    return NULL;
}

struct run_slot *run_new(struct core *c, int kind, const struct request *req)
{
    struct run_slot *s = xcalloc(1, sizeof(*s));
    struct run *r = &s->run;
    shape_init(&run_shape, r);
    r->id = c->next_run++;
    run_link(c, s);
    r->kind = kind;
    planned_run(r, &c->policy, req);
    r->deadline_wall_us = req->deadline_us > 0 ? c->wall_us + req->deadline_us : 0;
    for (size_t i = 0; i < r->n_hosts; i++)
        r->hosts[i].was = host_find(c, r->hosts[i].name)->rec.state;
    r->host_was = r->n_hosts ? r->hosts[0].was : HOST_UP;
    run_slot_begin(s);
    r->created_wall_us = c->wall_us;
    s->planning_since_us = c->now_us;
    s->dirty = true;
    return s;
}

static int64_t link_of(const struct core *c, const char *host)
{
    const struct host_slot *h = host_find(c, host);
    return h ? h->rec.last.link_bps : -1;
}

/* What was sent from each host, over its link: none can have taken less than the longest. */
static int64_t link_bound(const struct core *c, const struct run_slot *s)
{
    int64_t bound = -1;
    for (size_t i = 0; i < s->run.n_hosts; i++) {
        int64_t bps = link_of(c, s->run.hosts[i].name), bytes = 0;
        for (size_t k = 0; k < s->n_moves; k++) {
            const struct move *m = &s->moves[k]->m;
            bool here = s->run.n_hosts == 1 || str_eq(m->from, s->run.hosts[i].name);
            bytes += here && m->state == JOB_DONE && m->bytes > 0 ? m->bytes : 0;
        }
        int64_t us = bps > 0 && bytes > 0 ? (int64_t)((double)bytes * 8e6 / (double)bps) : -1;
        bound = us > bound ? us : bound;
    }
    return bound;
}

/* Bytes still to send over the rate of what is being sent now (or was, on average). */
static int64_t estimate_end(const struct core *c, const struct run_slot *s)
{
    const struct run *r = &s->run;
    int64_t rest = 0, rate = 0;
    for (size_t i = 0; i < s->n_moves; i++) {
        const struct move_slot *m = s->moves[i];
        if (job_final((enum job_state)m->m.state) || !m->m.live)
            continue;
        rest += m->flowing ? m->m.progress.remaining_bytes : m->m.mem_bytes;
        if (m->m.state == JOB_COPYING && m->m.progress.rate_Bps > 0)
            rate += m->m.progress.rate_Bps;
    }
    for (size_t i = 0; !rate && i < r->n_hosts; i++)
        if (link_of(c, r->hosts[i].name) > 0)
            rate = link_of(c, r->hosts[i].name) / 8;
    return rate > 0 ? c->wall_us + (int64_t)((double)rest / (double)rate * 1e6) + 2 * SEC : -1;
}

void run_count(struct core *c, struct run_slot *s)
{
    struct run *r = &s->run;
    r->moved = r->moving = r->queued = r->stopped = r->bytes = 0;
    r->definitions = r->unmeasured = r->aside = r->dropped = 0;
    for (size_t i = 0; i < s->n_moves; i++) {
        const struct move *m = &s->moves[i]->m;
        r->queued += m->state == JOB_QUEUED;
        r->moving += job_holds_dst((enum job_state)m->state);
        bool mine = run_owns(r, m);
        r->dropped += job_final((enum job_state)m->state) && m->state != JOB_DONE;
        r->moved += m->state == JOB_DONE && !m->offline && mine;
        if (m->state != JOB_DONE)
            continue;
        r->aside += m->aside;
        r->definitions += m->offline;
        r->unmeasured += m->live && (m->bytes < 0 || m->downtime_us < 0);
        r->stopped += !m->live && !m->offline;
        r->bytes += m->bytes > 0 ? m->bytes : 0;
        if (m->downtime_us > r->longest_pause_us)
            r->longest_pause_us = m->downtime_us;
    }
    r->stopped += (int64_t)stays_of(r, FATE_STOPPED);
    r->blocked = (int64_t)stays_of(r, FATE_BLOCKED);
    r->bound_us = link_bound(c, s);
    r->eta_wall_us = r->state == RUN_RUNNING ? estimate_end(c, s) : -1;
}

void run_end(struct core *c, struct run_slot *r, int state, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    free(r->run.message);
    r->run.message = xvasprintf(fmt, ap);
    va_end(ap);
    r->run.state = state;
    r->run.ended_wall_us = c->wall_us;
    r->dirty = true;
    ask_forget_run(c, r->run.id);
    run_count(c, r);
    say(c, (struct about){.r = r}, "run.ended", "run/%lld %s: %s", (long long)r->run.id,
        run_state_names[state], r->run.message);
}

void run_cancel(struct core *c, struct run_slot *r, const char *actor)
{
    say(c, (struct about){.r = r, .actor = actor}, "run.cancel", "run/%lld: cancel asked for by %s",
        (long long)r->run.id, actor);
    if (r->run.state == RUN_PROPOSED) {
        proposal_expire(c, r, "declined");
        return;
    }
    if (r->run.state == RUN_PLANNING) {
        run_end(c, r, RUN_CANCELLED, "cancelled while planning; nothing was moved");
        return;
    }
    r->run.state = RUN_CANCELLING;
    set_str(&r->run.message, "moves in flight are aborted and settled; no new move starts");
    r->dirty = true;
    for (size_t i = 0; i < r->n_moves; i++) {
        struct move_slot *m = r->moves[i];
        if (job_final((enum job_state)m->m.state))
            continue;
        m->m.cancel = true;
        m->dirty = true;
        if (m->m.state == JOB_QUEUED)
            set_str(&m->m.note, NULL); /* it waits for nothing any more */
        move_event(c, m, JEV_CANCEL);
    }
}

/* ---- moves of a running run ------------------------------------------------------------------------ */

static const struct host_slot *host_with(const struct core *c, const char *vm)
{
    const struct vm_slot *first = lookup_get(&c->vms, vm), *v = first;
    const struct host_slot *h = first ? first->host : NULL;
    while (v && (v = v->twin) != first)
        h = v->host->no < h->no ? v->host : h;
    return h;
}

static bool on_source(const struct core *c, const struct move_slot *m)
{
    const struct host_slot *from = host_find(c, m->m.from);
    return from && vm_find(from, m->m.vm);
}

/* Somebody else moved or removed the VM: it is no concern of this run any more. */
static void left_by_itself(struct core *c, struct run_slot *r, struct move_slot *m)
{
    const struct host_slot *now = host_with(c, m->m.vm);
    set_fmt(&m->m.error, "it left %s, not by Drover%s%s", m->m.from, now ? "; it is on " : "",
            now ? now->rec.name : "");
    set_str(&m->m.note, NULL);
    m->handled = m->dirty = r->dirty = true;
    r->run.vms -= !m->m.offline && run_owns(&r->run, &m->m) && r->run.kind != RUN_BALANCE;
    say(c, (struct about){.m = m}, "vm.foreign", "vm/%s: %s", m->m.vm_name, m->m.error);
}

/* The queued move has lost its purpose or changed its nature since it was planned. */
static bool still_wanted(struct core *c, struct run_slot *r, struct move_slot *m)
{
    if (!on_source(c, m)) {
        if (!m->left_since_us)
            m->left_since_us = c->now_us;
        if (!host_with(c, m->m.vm) && c->now_us - m->left_since_us < LEFT_WAIT_US)
            return false;
        left_by_itself(c, r, m);
        move_event(c, m, JEV_CANCEL);
        return false;
    }
    m->left_since_us = 0;
    const struct vm_slot *v = vm_find(host_find(c, m->m.from), m->m.vm);
    if (!m->m.offline && !vm_active(v->vm.state)) {
        m->m.offline = true;
        m->m.live = false;
        m->dirty = true;
        say(c, (struct about){.m = m}, "vm.off", "vm/%s shut down by itself; its definition moves",
            m->m.vm_name);
    }
    return true;
}

static bool agents_ready(const struct core *c, const struct move_slot *m)
{
    const struct host_slot *f = host_find(c, m->m.from);
    return f && f->connected && f->reported && f->rec.last.libvirt_up;
}

static void start_move(struct core *c, struct run_slot *r, struct move_slot *m)
{
    if (m->not_before_us > c->now_us)
        return;
    if (r->run.deadline_wall_us && c->wall_us > r->run.deadline_wall_us) {
        set_str(&m->m.code, reason_tokens[R_DEADLINE]);
        set_str(&m->m.error, "the deadline passed before it could start");
        move_event(c, m, JEV_REFUSED);
        return;
    }
    if (waits_on(c, m) || !still_wanted(c, r, m))
        return;
    if (!agents_ready(c, m)) {
        cleanup(freep) char *note = xasprintf("waiting for the agent or libvirtd of %s", m->m.from);
        set_str(&m->m.note, note);
        return;
    }
    if (!admit_now(c, &r->run, m))
        return;
    if (r->run.kind == RUN_BALANCE && balance_waits(c, r, m))
        return;
    if (!place_found(c, r, m) || (r->run.kind == RUN_BALANCE && !balance_admits(c, r, m)))
        return;
    if (!m->waits_for_checks)
        set_str(&m->m.note, NULL);
    m->began = m->place_lost = false;
    m->admitted_us = c->now_us;
    m->held_version = c->version;
    m->look_again_us = 0;
    move_event(c, m, JEV_ADMIT);
}

/* No live try is left: the operator's word for that case, --on-blocked cold, if it covers this VM. */
static bool go_cold(struct core *c, struct run_slot *r, struct move_slot *m, enum reason_code code)
{
    bool whole = run_owns(&r->run, &m->m) && !m->m.parks;
    if (!whole || !m->m.live || code != R_MIGRATE_FAILED || r->run.on_blocked != BLOCKED_COLD ||
        !planned_may_stop(&r->run, m->m.vm_name))
        return false;
    m->m.live = false; /* asks the planner for a place where it may be started */
    m->m.live = !run_replan_move(c, r, m, false);
    return !m->m.live;
}

/* Where else, or again? A VM that runs nowhere or on an unreachable host is not tried again. */
static bool retry(struct core *c, struct run_slot *r, struct move_slot *m)
{
    enum reason_code code = m->m.code ? reason_from_token(m->m.code) : R_MIGRATE_FAILED;
    if (code == R_DEADLINE)
        return false; /* it was not tried */
    struct attempt *t = vec_add(&m->m.tried, &m->m.n_tried);
    t->to = xstrdup(m->m.to);
    t->code = xstrdup(reason_tokens[code]);
    t->error = xstrdup(m->m.error);
    t->wall_us = c->wall_us;
    bool hopeless =
        m->source_lost || code == R_VM_STATE || m->m.cancel || r->run.state != RUN_RUNNING;
    bool last = m->m.attempt > c->policy.migration.retries;
    if (hopeless || (last && !m->m.live))
        return false;
    struct reason why = {0};
    move_failed_reason(m, &why);
    /* what a check said of the VM itself may pass (a backup job); of a host only after a change */
    run_refuse(r, m->m.vm, m->m.to, &why, true);
    shape_done(&reason_shape, &why);
    /* others wait for the very place where a VM is parked, and it for theirs */
    bool elsewhere = !last && !m->m.parks && run_replan_move(c, r, m, false);
    bool again = elsewhere || (!last && (m->m.parks || run_replan_move(c, r, m, true)));
    bool busy = !last && run_reason_passes(m->no_target);
    bool cold = !again && !busy && go_cold(c, r, m, code);
    if (!again && !busy && !cold)
        return false;
    m->not_before_us = elsewhere ? c->now_us : c->now_us + RETRY_DELAY_US * m->m.attempt;
    m->m.attempt++;
    m->m.state = JOB_QUEUED; /* a new job for the same move */
    m->dirty = true;
    say(c, (struct about){.m = m}, "move.retry",
        cold ? "vm/%s will be shut down, moved to %s and started there, as allowed: no live try is "
               "left "
               "(try %lld of %lld)"
             : "vm/%s will be tried again, to %s (try %lld of %lld)",
        m->m.vm_name, m->m.to, (long long)m->m.attempt,
        (long long)c->policy.migration.retries + 1 + cold);
    return true;
}

bool run_no_answer(enum reason_code why)
{
    return why == R_CEPH_TIMEOUT || why == R_CHECK_FAILED || why == R_HOST_UNREACHABLE;
}

/* A check without an answer says nothing of VM or target; a place that others took first is no try. */
static bool wait_out(struct core *c, struct run_slot *r, struct move_slot *m)
{
    enum reason_code code = m->m.code ? reason_from_token(m->m.code) : R_MIGRATE_FAILED;
    bool silence = run_no_answer(code);
    if ((!silence && !m->place_lost) || m->began || m->m.cancel || r->run.state != RUN_RUNNING)
        return false;
    if (!m->blocked_since_us)
        m->blocked_since_us = c->now_us;
    if (c->now_us - m->blocked_since_us > SILENCE_MAX_US)
        return false;
    m->m.state = JOB_QUEUED;
    m->dirty = true;
    if (m->place_lost) { /* another is looked for at once */
        m->place_lost = false;
        return true;
    }
    m->not_before_us = c->now_us + RETRY_DELAY_US;
    m->waits_for_checks = true;
    set_fmt(&m->m.note, "waiting: %s", m->m.error ? m->m.error : "no answer");
    return true;
}

static void handle_failed(struct core *c, struct run_slot *r, struct move_slot *m)
{
    if (!m->began && !on_source(c, m)) {
        left_by_itself(c, r, m);
        return;
    }
    if (wait_out(c, r, m))
        return;
    if (r->run.kind == RUN_BALANCE) {
        balance_failed(c, r, m);
        return;
    }
    if (retry(c, r, m))
        return;
    m->handled = true;
    run_stay_after(c, r, m, m->m.error ? m->m.error : "unknown error");
}

static bool drive_moves(struct core *c, struct run_slot *r)
{
    bool open = false;
    for (size_t i = 0; i < r->n_moves; i++) {
        struct move_slot *m = r->moves[i];
        if (m->m.state == JOB_QUEUED && r->run.state == RUN_RUNNING)
            start_move(c, r, m);
        if (m->m.state == JOB_FAILED && !m->handled)
            handle_failed(c, r, m);
        if (m->m.state == JOB_DONE && !m->handled && r->run.kind == RUN_BALANCE)
            balance_moved(c, r, m);
        if (m->m.state == JOB_DONE || m->m.state == JOB_CANCELLED)
            m->handled = true;
        open |= !job_final((enum job_state)m->m.state);
    }
    waits_settle(c, r);
    return open;
}

/* ---- the end -------------------------------------------------------------------------------------- */

static void end_home(struct core *c, struct run_slot *r)
{
    cleanup(freep) char *place = run_place(&r->run);
    run_count(c, r);
    run_end(c, r, r->run.blocked ? RUN_PARTLY : RUN_DONE,
            "%lld of %lld VMs are back on %s, %lld stay%s where %s", (long long)r->run.moved,
            (long long)r->run.vms, place, (long long)r->run.blocked, r->run.blocked == 1 ? "s" : "",
            r->run.blocked == 1 ? "it is" : "they are");
}

static void end_cancelled(struct core *c, struct run_slot *r)
{
    run_count(c, r);
    if (r->run.kind == RUN_BALANCE) {
        run_end(c, r, RUN_CANCELLED, "%lld of %lld moves had been made and stay",
                (long long)r->run.moved, (long long)r->run.vms);
        return;
    }
    cleanup(freep) char *hosts = drain_undo(c, r);
    cleanup(freep) char *shut_off =
        r->run.definitions ? xasprintf(" and %lld that %s shut off", (long long)r->run.definitions,
                                       r->run.definitions == 1 ? "is" : "are")
                           : xstrdup("");
    run_end(c, r, RUN_CANCELLED, "%lld of %lld running VMs%s had moved and stay there; %s",
            (long long)r->run.moved, (long long)r->run.vms, shut_off, hosts);
}

/* ---- step ---------------------------------------------------------------------------------------------- */

static bool fleet_known(const struct core *c)
{
    return c->now_us - c->start_us > STARTUP_GRACE_US || c->n_reported == c->n_hosts;
}

/* One of its hosts whose agent is not there, or has not reported yet. */
static const char *silent_host(const struct core *c, const struct run_slot *r)
{
    for (size_t i = 0; i < r->run.n_hosts; i++) {
        const struct host_slot *h = host_find(c, r->run.hosts[i].name);
        if (!h || !h->connected || !h->reported)
            return r->run.hosts[i].name;
    }
    return NULL;
}

static void plan_step(struct core *c, struct run_slot *r)
{
    const char *away = silent_host(c, r);
    const struct move_slot *first = balance_in_way(c, r);
    if (!r->planning_since_us || first)
        r->planning_since_us = c->now_us;
    if (first) { /* nothing more of that run begins, see balance_yields() */
        cleanup(freep) char *why =
            xasprintf("waiting for vm/%s, which run/%lld is moving to %s", first->m.vm_name,
                      (long long)first->m.run, first->m.to);
        r->dirty = r->dirty || !str_eq(r->run.message, why);
        set_str(&r->run.message, why);
        return;
    }
    if (!away && fleet_known(c))
        run_plan(c, r);
    else if (away && c->now_us - r->planning_since_us > PLANNING_MAX_US)
        run_end(c, r, RUN_FAILED, "the agent of host/%s did not come back; nothing was moved",
                away);
    else
        set_str(&r->run.message, "waiting for agents");
}

void run_step(struct core *c, struct run_slot *r)
{
    if (r->run.state == RUN_PROPOSED) {
        proposal_step(c, r);
        return;
    }
    if (r->run.kind == RUN_BALANCE && r->run.state != RUN_CANCELLING && balance_yields(c, r))
        return;
    if (r->run.kind == RUN_BALANCE && !r->run.dry_run && fleet_known(c))
        ceph_refresh(c); /* not before there is somebody to ask */
    if (r->run.state == RUN_PLANNING) {
        plan_step(c, r);
        if (r->run.state != RUN_RUNNING)
            return; /* else the first moves start at once, not at the next tick */
    }
    if (!fleet_known(c))
        return;
    bool open = drive_moves(c, r);
    if (r->run.state == RUN_CANCELLING) {
        if (!open)
            end_cancelled(c, r);
        return;
    }
    if (r->run.kind == RUN_DRAIN && r->late_rounds < SETTLE_ROUNDS && run_has_unplanned(c, r)) {
        size_t stays = r->run.n_stays, moves = c->n_moves;
        run_plan(c, r); /* VMs that came while we were emptying */
        r->late_rounds += r->run.n_stays > stays || c->n_moves > moves;
        return;
    }
    if (r->waiting > 0)
        return;
    if (r->run.kind == RUN_DRAIN)
        drain_finish(c, r, open);
    else if (!open && r->run.kind == RUN_BALANCE)
        balance_end(c, r);
    else if (!open)
        end_home(c, r);
}
