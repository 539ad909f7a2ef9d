/* Dispatch of events, effects, and the journal's sentences. */
#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "scheduler/core/internal.h"
#include "scheduler/plan/turns.h"

void set_str(char **slot, const char *value)
{
    if (str_eq(*slot, value))
        return;
    char *old = *slot; /* value may point into it */
    *slot = xstrdup(value);
    free(old);
}

void set_fmt(char **slot, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = xvasprintf(fmt, ap);
    va_end(ap);
    free(*slot);
    *slot = s;
}

struct core_fx *fx_add(struct core *c, enum core_fx_type type)
{
    struct core_fx *f = vec_add(&c->fx->fx, &c->fx->n_fx);
    f->type = type;
    return f;
}

void say(struct core *c, struct about a, const char *kind, const char *fmt, ...)
{
    struct core_fx *f = fx_add(c, FX_JOURNAL);
    struct entry *e = &f->entry;
    shape_init(&entry_shape, e);
    e->seq = c->next_seq++;
    e->wall_us = c->wall_us;
    e->run = a.r ? a.r->run.id : a.m ? a.m->m.run : 0;
    e->move = a.m ? a.m->m.id : 0;
    e->host = xstrdup(a.host ? a.host : a.r ? a.r->run.host : NULL);
    e->vm = xstrdup(a.vm ? a.vm : a.m ? a.m->m.vm_name : NULL);
    e->actor = xstrdup(a.actor ? a.actor : "scheduler");
    e->kind = xstrdup(kind);
    va_list ap;
    va_start(ap, fmt);
    e->text = xvasprintf(fmt, ap);
    va_end(ap);
}

void core_effects_done(struct core_effects *fx)
{
    for (size_t i = 0; i < fx->n_fx; i++) {
        struct core_fx *f = &fx->fx[i];
        free(f->host);
        free(f->vm);
        free(f->digest);
        msg_done(&f->msg);
        shape_done(&reply_shape, &f->reply);
        shape_done(&entry_shape, &f->entry);
    }
    free(fx->fx);
    memset(fx, 0, sizeof(*fx));
}

static uint64_t mix(uint64_t h, const char *text)
{
    for (; text && *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return (h ^ 0xff) * UINT64_C(1099511628211); /* "a" "b" is not "ab" "" */
}

uint64_t core_effects_digest(const struct core_effects *fx, size_t from)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = from; i < fx->n_fx; i++) {
        const struct core_fx *f = &fx->fx[i];
        h = (h ^ (uint64_t)f->type) * UINT64_C(1099511628211);
        h = (h ^ (uint64_t)f->id) * UINT64_C(1099511628211);
        h = mix(mix(h, f->host), f->vm);
        if (f->type == FX_SEND)
            h = (mix(h, msg_name(f->msg.type)) ^ (uint64_t)f->msg.id) * UINT64_C(1099511628211);
        if (f->type == FX_REPLY)
            h = mix(h, f->reply.message);
        if (f->type == FX_JOURNAL)
            h = mix(h, f->entry.text);
        if (f->type == FX_SAVE_XML)
            h = mix(h, f->digest);
    }
    return h;
}

/* ids only grow, so both arrays are sorted */
struct run_slot *run_find(const struct core *c, int64_t id)
{
    size_t at = lower_bound(i, c->n_runs, c->runs[i]->run.id < id);
    return at < c->n_runs && c->runs[at]->run.id == id ? c->runs[at] : NULL;
}

struct move_slot *move_find(const struct core *c, int64_t id)
{
    size_t at = lower_bound(i, c->n_moves, c->moves[i]->m.id < id);
    return at < c->n_moves && c->moves[at]->m.id == id ? c->moves[at] : NULL;
}

struct core *core_new(const struct core_config *cfg)
{
    struct core *c = xcalloc(1, sizeof(*c));
    c->order = xcalloc(1, sizeof(*c->order));
    c->lead_us = LEAD_FIRST_US;
    c->cfg = *cfg;
    c->next_seq = c->next_run = c->next_move = 1;
    c->next_cmd = (cfg->term << 32) + 1; /* never repeats over restarts */
    policy_default(&c->policy);
    return c;
}

void run_forget_checks(struct run_slot *r)
{
    for (size_t i = 0; i < r->n_refusals; i++) {
        free(r->refusals[i].vm);
        free(r->refusals[i].host);
        free(r->refusals[i].from);
        shape_done(&reason_shape, &r->refusals[i].why);
    }
    for (size_t i = 0; i < r->n_known; i++) {
        free(r->known[i].vm);
        free(r->known[i].host);
        shape_done(&verdict_shape, &r->known[i].said);
    }
    for (size_t i = 0; i < r->n_peers; i++)
        free(r->peers[i]);
    free(take(r->refusals));
    free(take(r->known));
    free(take(r->peers));
    r->n_refusals = r->n_known = r->n_peers = 0;
}

void run_slot_begin(struct run_slot *r)
{
    r->ends = xcalloc(r->run.n_hosts, sizeof(*r->ends));
}

void run_slot_free(struct run_slot *r)
{
    run_forget_checks(r);
    free(r->ends);
    free(r->moves);
    shape_done(&run_shape, &r->run);
    free(r);
}

void move_slot_free(struct move_slot *m)
{
    shape_done(&move_shape, &m->m);
    shape_done(&reason_shape, &m->prep_why);
    shape_done(&probed_shape, &m->src);
    shape_done(&probed_shape, &m->dst);
    free(m);
}

static void host_slot_free(struct host_slot *h)
{
    shape_done(&host_rec_shape, &h->rec);
    free(h->instance);
    for (size_t i = 0; i < h->n_vms; i++) {
        shape_done(&vm_shape, &h->vms[i]->vm);
        series_done(&h->vms[i]->cpu);
        free(h->vms[i]);
    }
    shape_done(&host_load_shape, &h->load);
    series_done(&h->busy);
    series_done(&h->other);
    free(h->vms);
    free(h);
}

void core_free(struct core *c)
{
    if (!c)
        return;
    fleet_forget(c);
    core_unpin(c);
    for (size_t i = 0; i < c->n_hosts; i++)
        host_slot_free(c->hosts[i]);
    for (size_t i = 0; i < c->n_runs; i++)
        run_slot_free(c->runs[i]);
    for (size_t i = 0; i < c->n_moves; i++)
        move_slot_free(c->moves[i]);
    for (size_t i = 0; i < c->n_asks; i++) {
        free(c->asks[i].host);
        free(c->asks[i].vm);
    }
    for (size_t i = 0; i < c->n_pending; i++)
        shape_done(&reply_shape, &c->pending[i].reply);
    free(c->hosts);
    free(c->runs);
    free(c->moves);
    free(c->open_runs);
    free(c->open_moves);
    free(c->active);
    lookup_done(&c->vms);
    lookup_done(&c->moved);
    free(c->order->sorted);
    free(c->order->added);
    free(c->order);
    free(c->asks);
    free(c->look.said);
    shape_done(&suspension_shape, &c->suspended);
    ceph_done(c);
    free(c->look.vain.over);
    free(c->pending);
    policy_done(&c->policy);
    free(c);
}

/* ---- restore --------------------------------------------------------------------------------- */

void core_restore_host(struct core *c, const struct host_rec *rec)
{
    struct host_slot *h = host_get(c, rec->name);
    shape_done(&host_rec_shape, &h->rec);
    shape_copy(&host_rec_shape, &h->rec, rec);
    c->names++;
    if (!h->rec.last.name)
        h->rec.last.name = xstrdup(rec->name);
}

void core_restore_vm(struct core *c, const char *host, const struct vm *v, int64_t since_wall_us)
{
    struct host_slot *h = host_get(c, host);
    vm_add(c, h, v)->since_wall_us = since_wall_us;
}

void core_restore_run(struct core *c, const struct run *run)
{
    struct run_slot *r = xcalloc(1, sizeof(*r));
    shape_copy(&run_shape, &r->run, run);
    run_upgrade(&r->run);
    run_slot_begin(r);
    run_link(c, r);
    if (run->id >= c->next_run)
        c->next_run = run->id + 1;
}

void core_restore_move(struct core *c, const struct move *move)
{
    struct move_slot *m = xcalloc(1, sizeof(*m));
    shape_copy(&move_shape, &m->m, move);
    move_link(c, m);
    if (move->id >= c->next_move)
        c->next_move = move->id + 1;
}

/* What was in flight when the scheduler went: nothing is known until both ends are read again.
 * A move that was only being prepared had started nothing. */
static void resume_move(struct core *c, struct move_slot *m)
{
    struct run_slot *r = run_find(c, m->m.run);
    if (!r || run_ended(r->run.state))
        return;
    for (size_t i = 0; i < r->run.n_stays; i++)
        m->handled |= m->m.state == JOB_FAILED && str_eq(r->run.stays[i].vm, m->m.vm);
    if (job_final((enum job_state)m->m.state))
        return;
    if (m->m.state == JOB_PREPARING) {
        m->m.state = JOB_QUEUED;
        m->dirty = true;
    } else if (m->m.state != JOB_QUEUED) {
        m->stopped_by_us = !m->m.live && !m->m.offline;
        m->began = true;
        m->copy_start_us = c->now_us; /* move_progress() knows better: wall clocks jump */
        if (!m->m.error)
            set_str(&m->m.error, "the scheduler was restarted meanwhile");
        move_event(c, m, JEV_LOST);
    }
}

static void finish_step(struct core *c);

void core_restored(struct core *c, int64_t next_seq, int64_t now_us, int64_t wall_us,
                   struct core_effects *fx)
{
    c->fx = fx;
    c->next_seq = next_seq > 0 ? next_seq : 1;
    c->now_us = c->start_us = now_us;
    c->wall_us = wall_us;
    load_learn(c);
    size_t going = 0;
    for (size_t i = 0; i < c->n_moves; i++)
        resume_move(c, c->moves[i]);
    for (size_t i = 0; i < c->n_runs; i++)
        if (!run_ended(c->runs[i]->run.state)) {
            going++;
            say(c, (struct about){.r = c->runs[i]}, "run.resumed",
                "run/%lld goes on after a restart of the scheduler (%s)",
                (long long)c->runs[i]->run.id, run_state_names[c->runs[i]->run.state]);
        }
    say(c, (struct about){0}, "scheduler.start",
        "scheduler started, term %lld, %zu run%s under way", (long long)c->cfg.term, going,
        going == 1 ? "" : "s");
    finish_step(c);
}

/* ---- step ------------------------------------------------------------------------------------ */

static void on_agent_up(struct core *c, const struct core_event *ev)
{
    struct host_slot *h = host_get(c, ev->host);
    bool restarted = h->instance && !str_eq(h->instance, ev->instance);
    h->connected = true;
    c->n_reported -= h->reported;
    h->reported = false;
    load_host_down(h);
    set_str(&h->instance, ev->instance);
    h->rec.seen_wall_us = c->wall_us;
    fx_add(c, FX_SAVE_HOST)->host = xstrdup(ev->host);
    say(c, (struct about){.host = ev->host}, "agent.up", "agent of host/%s connected%s", ev->host,
        restarted ? " (it was restarted)" : "");
    if (restarted) { /* what it was told is forgotten; its libvirt and Ceph are read again */
        ask_host_down(c, ev->host);
        move_host_down(c, ev->host);
    }
    xml_agent_up(h, ev->sends_xml);
    h->tells_ceph = ev->tells_ceph;
    c->version++;
}

static void on_agent_down(struct core *c, const struct core_event *ev)
{
    struct host_slot *h = host_find(c, ev->host);
    if (!h || !h->connected)
        return;
    c->n_reported -= h->reported;
    h->connected = h->reported = false;
    load_host_down(h);
    say(c, (struct about){.host = ev->host}, "agent.down",
        "agent of host/%s is gone; its VMs are shown as last seen", ev->host);
    ask_host_down(c, ev->host);
    move_host_down(c, ev->host);
    c->version++;
}

static void on_msg(struct core *c, const struct core_event *ev)
{
    struct host_slot *h = host_find(c, ev->host);
    if (!h || !h->connected)
        return;
    switch (ev->msg->type) {
    case MSG_REPORT:
        world_report(c, h, ev->msg->body);
        if (((const struct report *)ev->msg->body)->has_load)
            load_report(c, h, &((const struct report *)ev->msg->body)->load);
        break;
    case MSG_PROGRESS:
        move_progress(c, ev->host, ev->msg->body);
        break;
    case MSG_VMS_CHECKED:
    case MSG_HOST_CHECKED:
    case MSG_MIGRATED:
    case MSG_PROBED:
    case MSG_COUNTED:
    case MSG_XML:
    case MSG_CEPH_TOLD:
    case MSG_DONE:
        ask_answered(c, h, ev->msg);
        break;
    case MSG_HEARTBEAT:
        h->rec.seen_wall_us = c->wall_us;
        break;
    case MSG_HELLO:
    case MSG_WELCOME:
    case MSG_CHECK_VMS:
    case MSG_CHECK_PEER:
    case MSG_CHECK_HOST:
    case MSG_MIGRATE:
    case MSG_ABORT:
    case MSG_TUNE:
    case MSG_PROBE:
    case MSG_TIDY:
    case MSG_POWER:
    case MSG_RELABEL:
    case MSG_CENSUS:
    case MSG_SEND_XML:
    case MSG_ASK_CEPH:
    case MSG_BYE:
    case MSG_COUNT_:
        break; /* not for us: the session layer has refused it already */
    }
}

static void on_note(struct core *c, const struct entry *note)
{
    struct entry *e = &fx_add(c, FX_JOURNAL)->entry;
    shape_copy(&entry_shape, e, note);
    e->seq = c->next_seq++;
    e->wall_us = c->wall_us;
    if (!e->actor)
        e->actor = xstrdup("scheduler");
}

/* Let everything that can go on go on, then save what changed. */
static void finish_step(struct core *c)
{
    c->active_stale = true;
    for (size_t i = 0; i < c->n_open_moves; i++)
        if (!job_final((enum job_state)c->open_moves[i]->m.state))
            move_tick(c, c->open_moves[i]);
    for (size_t i = 0; i < c->n_open_runs; i++)
        if (!run_ended(c->open_runs[i]->run.state))
            run_step(c, c->open_runs[i]);
    for (size_t i = 0; i < c->n_open_moves; i++)
        if (c->open_moves[i]->dirty) {
            c->open_moves[i]->dirty = false;
            fx_add(c, FX_SAVE_MOVE)->id = c->open_moves[i]->m.id;
        }
    for (size_t i = 0; i < c->n_open_runs; i++)
        if (c->open_runs[i]->dirty) {
            c->open_runs[i]->dirty = false;
            run_count(c, c->open_runs[i]);
            fx_add(c, FX_SAVE_RUN)->id = c->open_runs[i]->run.id;
        }
    lists_settle(c);
    c->fx = NULL;
}

/* Nothing that a run would wait for. */
static bool tells_nothing(const struct msg *m)
{
    const struct report *r = m->type == MSG_REPORT ? m->body : NULL;
    return m->type == MSG_HEARTBEAT || (r && !r->full && !r->has_host && !r->n_vms && !r->n_gone);
}

void core_step(struct core *c, const struct core_event *ev, struct core_effects *fx)
{
    assert(ev->now_us >= c->now_us);
    c->fx = fx;
    c->now_us = ev->now_us;
    c->wall_us = ev->wall_us;
    switch (ev->type) {
    case CEV_AGENT_UP:
        on_agent_up(c, ev);
        break;
    case CEV_AGENT_DOWN:
        on_agent_down(c, ev);
        break;
    case CEV_MSG:
        on_msg(c, ev);
        break;
    case CEV_REQUEST:
        request_do(c, ev->request_id, ev->request);
        break;
    case CEV_POLICY:
        fleet_forget(c);
        policy_done(&c->policy);
        c->policy = *ev->policy;
        memset(ev->policy, 0, sizeof(*ev->policy));
        c->version++;
        c->look.policy++;
        load_learn(c);
        break;
    case CEV_NOTE:
        on_note(c, ev->note);
        break;
    case CEV_XML_LACKS:
        xml_lacks(c, ev->host, ev->xml->digests, ev->xml->n_digests);
        break;
    case CEV_TICK:
        ask_expire(c);
        load_keep(c);
        suspend_tick(c);
        schedule_tick(c);
        xml_tick(c);
        break;
    }
    /* a large fleet's heartbeats are most of what comes, and change nothing: the next tick is near */
    if (ev->type == CEV_MSG && tells_nothing(ev->msg))
        c->fx = NULL;
    else
        finish_step(c);
}

/* ---- what effects name ------------------------------------------------------------------------- */

const struct host_rec *core_host_rec(const struct core *c, const char *name)
{
    const struct host_slot *h = host_find(c, name);
    return h ? &h->rec : NULL;
}

const struct vm *core_vm(const struct core *c, const char *host, const char *uuid,
                         int64_t *ret_since_wall_us)
{
    const struct host_slot *h = host_find(c, host);
    const struct vm_slot *v = h ? vm_find(h, uuid) : NULL;
    if (v && ret_since_wall_us)
        *ret_since_wall_us = v->since_wall_us;
    return v ? &v->vm : NULL;
}

const struct run *core_run(const struct core *c, int64_t id)
{
    const struct run_slot *r = run_find(c, id);
    return r ? &r->run : NULL;
}

const struct move *core_move(const struct core *c, int64_t id)
{
    const struct move_slot *m = move_find(c, id);
    return m ? &m->m : NULL;
}

const struct policy *core_policy(const struct core *c)
{
    return &c->policy;
}
