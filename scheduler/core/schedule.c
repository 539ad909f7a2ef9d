/* When balance runs begin by themselves: policy balance.schedule, window, sustained, approve; and urgent,
 * between two of its times. A time that passed while nobody looked is not made up for; what was found in looks before a restart is forgotten.
 * A plan that waits for an operator is held against the fleet as that changes. */
#include <string.h>

#include "scheduler/core/internal.h"
#include "scheduler/plan/rest.h"

#define HOLD_EVERY_US   (10 * SEC)  /* a waiting plan is looked at again, when the fleet changed */
#define VAIN_US         (300 * SEC) /* figures are means of five minutes */
#define URGENT_US       (10 * SEC)  /* hosts that cannot wait are looked for so often */
#define URGENT_AGAIN_US (60 * SEC)  /* after one was in vain */
#define LATE_US         (60 * SEC)  /* a look that is later than this, for the clock jumped, is missed */

static bool waits_for_ceph(const char *said)
{
    return said && str_has_prefix(said, "waits: ");
}

/* Said once, not at each look; for what Ceph is waited for changes by the second. */
static void look_says(struct core *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void look_says(struct core *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cleanup(freep) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    bool news =
        !str_eq(c->look.said, text) && !(waits_for_ceph(c->look.said) && waits_for_ceph(text));
    set_str(&c->look.said, text);
    if (news)
        say(c, (struct about){0}, "balance.look", "scheduled balance: %s", text);
}

/* ---- what a look finds --------------------------------------------------------------------------------- */

struct found {
    bool needed, vain; /* vain: not planned anew */
    bool *over;        /* per host, of a plan; NULL: none was made */
    char *room;        /* make-room: where it is, or why none can be made; NULL: not known */
    char *left_out;    /* of a plan: what failed a short while ago; NULL: nothing */
    int64_t vain_us;   /* of a plan: so long it stays in vain */
};

/* A plan led to nothing a short while ago, and since then nothing has changed but figures, by which no
 * further host is too full or too busy. */
static bool is_vain(const struct core *c, const struct plan_rest *now, int64_t waits)
{
    bool same = c->look.vain.until_us > c->now_us && c->look.vain.version == c->version &&
                c->look.vain.waits == waits;
    for (size_t h = 0; same && h < c->n_hosts; h++)
        same = c->look.vain.over[h] || !now->over[h];
    return same;
}

static struct run_slot draft(const struct core *c, const char *urgent)
{
    struct run_slot r = {
        .run = {.kind = RUN_BALANCE, .mode = urgent ? BALANCE_RELIEVE : c->policy.balance.mode}};
    room_of_policy(&c->policy, &r.run.room);
    return r;
}

/* A plan without the real checks; none is worth its moves: no moves. */
static void sketch(struct core *c, int64_t waits, const char *urgent, struct plan *ret,
                   struct found *ret_found)
{
    struct snapshot_store snap;
    struct run_slot r = draft(c, urgent);
    snapshot_make(c, 0, 0, &snap);
    room_stage(&r.run, &snap);
    snapshot_figures(c, &snap);
    struct plan_index *x = fleet_index(c, &snap.s);
    struct plan_request req = {.goal = (int)planned_goal(r.run.mode), .purpose = PURPOSE_BALANCE};
    struct plan_rest now;
    if (room_wanted(&r.run))
        req.room_for = room_vm(c, &r.run, &snap.s);
    *ret = (struct plan){0};
    plan_rest(x, &req, NULL, 0, &now);
    *ret_found = (struct found){.needed = now.needed, .vain = is_vain(c, &now, waits)};
    bool ripe = urgent || c->look.in_a_row + 1 >= c->policy.balance.sustained;
    if (now.needed && !ret_found->vain && ripe) {
        balance_hold_back(c, &r);
        run_sketch(c, &r, &snap.s, ret);
        ret_found->over = take(now.over);
        ret_found->left_out = run_left_out_words(&r.run);
        ret_found->vain_us = VAIN_US;
        for (size_t i = 0; i < r.run.n_left_out; i++) {
            int64_t rest_us = r.run.left_out[i].until_wall_us - c->wall_us;
            ret_found->vain_us = rest_us < ret_found->vain_us ? rest_us : ret_found->vain_us;
        }
    }
    if (room_wanted(&r.run))
        ret_found->room =
            room_look_words(&c->policy, &r.run, &snap.s, now.room_on, ret_found->over ? ret : NULL);
    plan_rest_done(&now);
    plan_index_free(x);
    snapshot_done(&snap);
    run_forget_checks(&r);
    shape_done(&run_shape, &r.run);
}

/* ---- a plan that waits --------------------------------------------------------------------------------- */

static struct run_slot *waiting_plan(const struct core *c)
{
    for (size_t i = 0; i < c->n_open_runs; i++)
        if (c->open_runs[i]->run.state == RUN_PROPOSED)
            return c->open_runs[i];
    return NULL;
}

void proposal_expire(struct core *c, struct run_slot *r, const char *why)
{
    for (size_t i = 0; i < r->n_moves; i++)
        if (r->moves[i]->m.state == JOB_QUEUED) {
            set_str(&r->moves[i]->m.error, why);
            r->moves[i]->handled = r->moves[i]->dirty = true;
            move_event(c, r->moves[i], JEV_CANCEL);
        }
    run_end(c, r, RUN_EXPIRED, "%s; nothing was moved", why);
}

/* The first fact that has changed in a way that matters. Gives; NULL: it holds. */
static char *why_stale(struct core *c, struct run_slot *r)
{
    for (size_t i = 0; i < r->n_moves; i++) {
        struct move_slot *m = r->moves[i];
        const struct host_slot *from = host_find(c, m->m.from);
        const struct vm_slot *v = from ? vm_find(from, m->m.vm) : NULL;
        if (!v)
            return xasprintf("vm/%s is not on %s any more", m->m.vm_name, m->m.from);
        if (!vm_active(v->vm.state))
            return xasprintf("vm/%s does not run any more", m->m.vm_name);
        if (!from->connected)
            return xasprintf("the agent of %s is away", m->m.from);
        if (!target_holds(c, r, m))
            return xasprintf("vm/%s: %s", m->m.vm_name,
                             m->m.note ? m->m.note : "its target is gone");
        set_str(&m->m.note, NULL);
    }
    const char *why = balance_still_gains(c, r);
    return why ? xstrdup(why) : NULL;
}

void proposal_step(struct core *c, struct run_slot *r)
{
    const struct run_slot *first = balance_goes_after(c, r);
    if (first) {
        cleanup(freep) char *why =
            xasprintf("run/%lld (%s) goes first, and changes the fleet", (long long)first->run.id,
                      run_kind_names[first->run.kind]);
        proposal_expire(c, r, why);
        return;
    }
    if (r->held_version == c->version || c->now_us < r->hold_again_us ||
        c->now_us - c->start_us < STARTUP_GRACE_US)
        return;
    r->held_version = c->version;
    r->hold_again_us = c->now_us + HOLD_EVERY_US;
    cleanup(freep) char *why = why_stale(c, r);
    if (why)
        proposal_expire(c, r, why);
}

void apply_request(struct core *c, int64_t id, const struct request *req)
{
    struct run_slot *r = run_find(c, req->run);
    if (!r) {
        answer_text(c, id, 404, 6, "unknown_run", 0, "no run/%lld; `drover runs` lists them",
                    (long long)req->run);
        return;
    }
    if (r->run.state != RUN_PROPOSED) {
        answer_text(c, id, 409, 6, "not_waiting", r->run.id,
                    "run/%lld is no plan that waits: it is %s%s%s; nothing was changed",
                    (long long)r->run.id, run_state_names[r->run.state], r->run.message ? ": " : "",
                    r->run.message ? r->run.message : "");
        return;
    }
    const struct run_slot *busy = balance_goes_after(c, r);
    busy = busy ? busy : balance_under_way(c);
    if (busy) {
        answer_text(c, id, 409, 6, "busy", busy->run.id,
                    "run/%lld (%s) is at work, and goes first; nothing was changed",
                    (long long)busy->run.id, run_kind_names[busy->run.kind]);
        return;
    }
    cleanup(freep) char *why = why_stale(c, r);
    if (why) {
        proposal_expire(c, r, why);
        answer_text(c, id, 409, 6, "stale", r->run.id,
                    "run/%lld is stale: %s; nothing was moved (drover balance plans anew)",
                    (long long)r->run.id, why);
        return;
    }
    set_str(&r->run.approver, req->actor);
    r->run.scheduled = false; /* from now on it is an operator's */
    say(c, (struct about){.r = r, .actor = req->actor}, "run.applied", "run/%lld: applied by %s",
        (long long)r->run.id, req->actor ? req->actor : "?");
    balance_start(c, r);
    answer_text(c, id, 202, 0, "applied", r->run.id, "run/%lld", (long long)r->run.id);
}

/* ---- the look ------------------------------------------------------------------------------------------ */

static bool same_moves(const struct core *c, const struct run_slot *r, const struct plan *p,
                       const char *urgent)
{
    struct snapshot_store snap;
    struct run_slot now = draft(c, urgent);
    bool same = r && p->n_moves == r->n_moves;
    snapshot_make(c, 0, 0, &snap);
    room_stage(&now.run, &snap); /* the plan's ids are those of the fleet with that VM */
    for (size_t i = 0; same && i < p->n_moves; i++) {
        bool found = false;
        for (size_t k = 0; k < r->n_moves && !found; k++)
            found = str_eq(r->moves[k]->m.vm, snap.s.vms[p->moves[i].vm].v->uuid) &&
                    str_eq(r->moves[k]->m.to, snap.s.hosts[p->moves[i].to].h->name);
        same = found;
    }
    snapshot_done(&snap);
    return same;
}

static void begin(struct core *c, struct run_slot *old, const char *urgent)
{
    struct request req = {.verb = VERB_BALANCE,
                          .actor = (char *)(uintptr_t) "schedule",
                          .reason = (char *)(uintptr_t)urgent};
    struct run_slot *r = run_new(c, RUN_BALANCE, &req);
    r->run.mode = urgent ? BALANCE_RELIEVE : c->policy.balance.mode;
    if (room_wanted(&r->run))
        room_of_policy(&c->policy, &r->run.room);
    r->run.on_blocked = BLOCKED_LEAVE;
    r->run.scheduled = true;
    say(c, (struct about){.r = r}, "run.created",
        "run/%lld: scheduled balance of the fleet (%s)%s%s%s", (long long)r->run.id,
        balance_mode_names[r->run.mode], urgent ? ", ahead of its time: " : "",
        urgent ? urgent : "",
        c->policy.balance.approve == APPROVE_MANUAL ? ", to be approved" : "");
    if (!old)
        return;
    cleanup(freep) char *why = xasprintf("superseded by run/%lld", (long long)r->run.id);
    proposal_expire(c, old, why);
}

static void keep_vain(struct core *c, struct found *x, int64_t waits)
{
    free(c->look.vain.over);
    c->look.vain.over = take(x->over);
    c->look.vain.version = c->version;
    c->look.vain.until_us = c->now_us + x->vain_us;
    c->look.vain.waits = waits;
}

/* urgent: why it is not waited for; NULL: it is its time. */
static void look(struct core *c, const char *urgent)
{
    struct plan p;
    struct found x;
    struct run_slot *waits = waiting_plan(c);
    int64_t id = waits ? waits->run.id : 0;
    if (!urgent && c->policy.balance.mode == BALANCE_MAKE_ROOM &&
        !c->policy.balance.room_mem_bytes) {
        look_says(c,
                  "mode make-room, and no balance.room says for how large a VM: nothing is done");
        return;
    }
    sketch(c, id, urgent, &p, &x);
    if (!urgent)
        c->look.in_a_row = x.needed ? c->look.in_a_row + 1 : 0;
    long long row = (long long)c->look.in_a_row, least = (long long)c->policy.balance.sustained;
    bool begins = p.n_moves && !same_moves(c, waits, &p, urgent);
    if (x.over && !begins)
        keep_vain(c, &x, id);
    if (urgent) /* what is wrong is said at its time */
        c->look.urgent_us = c->now_us + (begins ? URGENT_US : URGENT_AGAIN_US);
    else if (!x.needed)
        look_says(c, "%s", x.room ? x.room : "nothing to do");
    else if (row < least)
        look_says(c, "%s; a run begins when %lld looks in a row say so",
                  x.room ? x.room : "there is something to do", least);
    else if (p.n_moves || waits)
        set_str(&c->look.said, NULL); /* there is a run to show */
    else if (!x.vain || waits_for_ceph(c->look.said))
        look_says(c, "%s%s%s",
                  x.room ? x.room : "there is something to do, and no plan is worth its moves",
                  x.left_out ? "; left out, for it failed: " : "", x.left_out ? x.left_out : "");
    if (begins)
        begin(c, waits, urgent);
    free(x.over);
    free(x.room);
    free(x.left_out);
    plan_done(&p);
}

/* The host that is heading for the most, if that is more than can wait. Gives, or NULL. */
static char *cannot_wait(const struct core *c)
{
    const struct host_slot *worst = NULL;
    int64_t most = c->policy.balance.urgent_ppm;
    for (size_t h = 0; h < c->n_hosts; h++) {
        int64_t soon = c->hosts[h]->rec.state == HOST_UP ? load_soon_ppm(c, c->hosts[h]) : -1;
        if (soon <= most)
            continue;
        most = soon;
        worst = c->hosts[h];
    }
    return worst ? xasprintf("%s is heading for %.0f %% of its CPUs", worst->rec.name,
                             (double)most / 1e4)
                 : NULL;
}

static bool may_look_early(const struct core *c)
{
    return !waiting_plan(c) && !c->suspended.on && !balance_goes_after(c, NULL) &&
           !balance_under_way(c) &&
           windows_open(c->policy.balance.windows, c->policy.balance.n_windows, c->wall_us, NULL);
}

/* Only hosts that are too busy are relieved then: evenness can wait. */
static void urgent_tick(struct core *c)
{
    const struct policy *p = &c->policy;
    bool relieves = p->balance.mode == BALANCE_RELIEVE || p->balance.mode == BALANCE_EVEN;
    if (!p->balance.urgent_ppm || !p->balance.busy_ppm || !relieves ||
        p->balance.load == LOAD_RESERVED || c->now_us < c->look.urgent_us || !may_look_early(c))
        return;
    c->look.urgent_us = c->now_us + URGENT_US;
    cleanup(freep) char *why = cannot_wait(c);
    cleanup(freep) char *ill = why ? ceph_pauses(c) : NULL;
    if (why && !ill)
        look(c, why);
}

void schedule_tick(struct core *c)
{
    const struct schedule *s = &c->policy.balance.schedule;
    int64_t next;
    if (!s->text) {
        c->look.next_wall_us = 0;
        set_str(&c->look.said, NULL);
        return;
    }
    if (c->now_us - c->start_us < STARTUP_GRACE_US && c->n_reported < c->n_hosts)
        return;
    bool first = !c->look.next_wall_us || c->look.version != c->look.policy;
    bool due = !first && c->wall_us >= c->look.next_wall_us;
    /* the clock was set back: the next time is nearer than it was */
    bool back = !first && c->wall_us < c->look.last_wall_us;
    c->look.last_wall_us = c->wall_us;
    if (!first && !c->suspended.on && c->look.next_wall_us - c->wall_us < CEPH_AHEAD_US)
        ceph_refresh(c); /* what it says is to be there when the look is due */
    if (!first && !due && !back) {
        urgent_tick(c);
        return;
    }
    int64_t late = c->wall_us - c->look.next_wall_us;
    c->look.version = c->look.policy;
    c->look.next_wall_us = schedule_next(s, c->wall_us, &next) ? next : INT64_MAX;
    if (!due || back || late > LATE_US)
        return;
    cleanup(freep) char *ill = NULL, *suspended = NULL;
    const struct run_slot *busy = balance_goes_after(c, NULL);
    busy = busy ? busy : balance_under_way(c);
    if (c->suspended.on)
        look_says(c, "%s", suspended = suspension_text(&c->suspended));
    else if (busy)
        look_says(c, "run/%lld is at work", (long long)busy->run.id);
    else if (!windows_open(c->policy.balance.windows, c->policy.balance.n_windows, c->wall_us,
                           NULL))
        look_says(c, "the window is closed");
    else if ((ill = ceph_pauses(c)))
        look_says(c, "waits: %s", ill);
    else
        look(c, NULL);
}

enum reason_code schedule_refuses(const struct core *c, const struct run_slot *r)
{
    if (!r->run.scheduled)
        return R_NONE;
    if (c->suspended.on)
        return R_SUSPENDED;
    return windows_open(c->policy.balance.windows, c->policy.balance.n_windows, c->wall_us, NULL)
               ? R_NONE
               : R_WINDOW;
}

void core_view_look(const struct core *c, int64_t wall_us, struct look_view *ret)
{
    const struct policy *p = &c->policy;
    const struct run_slot *waits = waiting_plan(c);
    int64_t next, change;
    *ret = (struct look_view){.schedule = p->balance.schedule.text,
                              .waits = waits ? waits->run.id : 0,
                              .said = c->look.said,
                              .held = waits_for_ceph(c->look.said)};
    if (schedule_next(&p->balance.schedule, wall_us, &next))
        ret->next_wall_us = next;
    ret->open = windows_open(p->balance.windows, p->balance.n_windows, wall_us, &change);
    if (p->balance.n_windows && change != INT64_MAX)
        ret->change_wall_us = change;
}
