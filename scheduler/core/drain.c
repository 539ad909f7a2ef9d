/* The end of a drain: VMs that may be shut off are, each host is counted by its agent when nothing is
 * on its way from there any more, and is in maintenance only when it is proven empty. */
#include <assert.h>

#include "scheduler/core/internal.h"

#define CENSUS_AGAIN_US (2 * SEC)
enum { CENSUS_ROUNDS = 10 };

static struct run_host *host_of(const struct run_slot *r, const char *name, struct host_end **ret)
{
    struct run_host *h = run_host(&r->run, name);
    *ret = h ? &r->ends[h - r->run.hosts] : NULL;
    return h;
}

/* ---- whom nothing but a shutdown gets off the host --------------------------------------------- */

static void send_halt(struct core *c, struct run_slot *r, size_t i)
{
    struct stay *st = &r->run.stays[i];
    struct power *b = body_new(MSG_POWER);
    *b = (struct power){.term = c->cfg.term,
                        .job = -r->run.id,
                        .attempt = (int64_t)i + 1,
                        .vm = xstrdup(st->vm),
                        .op = POWER_SHUTDOWN,
                        .timeout_us = c->policy.drain.shutdown_timeout_us};
    struct ask want = {.what = ASK_HALT,
                       .host = st->host,
                       .run = r->run.id,
                       .vm = st->vm,
                       .deadline_us =
                           c->now_us + c->policy.drain.shutdown_timeout_us + ASK_TIMEOUT_US};
    if (!ask(c, want, MSG_POWER, b))
        return;
    r->waiting++;
    say(c, (struct about){.r = r, .host = st->host, .vm = st->name}, "vm.shutdown",
        "vm/%s cannot move and is being shut down, as asked (--on-blocked shutdown)", st->name);
}

static bool send_halts(struct core *c, struct run_slot *r, const char *host)
{
    bool out = r->waiting > 0;
    for (size_t i = 0; !out && i < r->run.n_stays; i++)
        if (str_eq(r->run.stays[i].host, host) &&
            stay_fate(&r->run, &r->run.stays[i]) == FATE_STOPS)
            send_halt(c, r, i);
    return r->waiting > 0;
}

void run_halt_answer(struct core *c, struct run_slot *r, const struct ask *a, const struct msg *m)
{
    const struct done *d = m && m->type == MSG_DONE ? m->body : NULL;
    r->waiting--;
    for (size_t i = 0; i < r->run.n_stays; i++) {
        struct stay *st = &r->run.stays[i];
        if (!str_eq(st->vm, a->vm))
            continue;
        st->stopped = d && d->ok;
        if (!st->stopped)
            set_str(&st->disobeyed, d && d->error ? d->error : "no answer");
        r->dirty = true;
        say(c, (struct about){.r = r, .vm = st->name}, "vm.shutdown.result", "vm/%s %s%s", st->name,
            st->stopped ? "is shut off" : "was asked to shut down, and did not: ",
            st->stopped ? "" : st->disobeyed);
    }
}

/* ---- what is left ------------------------------------------------------------------------------ */

static void send_census(struct core *c, struct run_slot *r, const char *host)
{
    struct host_end *e;
    host_of(r, host, &e);
    if (e->census_out || c->now_us < e->census_after_us)
        return;
    struct census *b = body_new(MSG_CENSUS);
    b->term = c->cfg.term;
    struct ask want = {
        .what = ASK_CENSUS, .host = (char *)(uintptr_t)host, .run = r->run.id, .vm = NULL};
    e->census_out = ask(c, want, MSG_CENSUS, b);
    if (!e->census_out && r->run.n_hosts == 1)
        set_str(&r->run.message, "waiting for the host's agent, to prove that no VM is left");
    else if (!e->census_out)
        set_fmt(&r->run.message, "waiting for the agent of %s, to prove that no VM is left", host);
}

static int64_t watchers_left(const struct core *c, const struct run_slot *r, const char *host)
{
    const struct host_slot *h = host_find(c, host);
    int64_t n = 0;
    for (size_t i = 0; i < r->n_moves; i++) {
        const struct move *m = &r->moves[i]->m;
        if (m->state != JOB_DONE)
            continue;
        for (size_t k = 0; k < m->n_ceph_after; k++)
            for (size_t w = 0; w < m->ceph_after[k].n_watchers; w++)
                n += host_owns_address(&h->rec.last, m->ceph_after[k].watchers[w].address);
    }
    return n;
}

/* A VM that comes to the host while it is emptied, by whoever's hand: it is to be moved on, not left. */
static const char *on_its_way(const struct core *c, const char *host)
{
    for (size_t i = 0; i < c->n_open_moves; i++)
        if (job_holds_dst((enum job_state)c->open_moves[i]->m.state) &&
            str_eq(c->open_moves[i]->m.to, host))
            return c->open_moves[i]->m.vm_name;
    const struct host_slot *h = host_find(c, host);
    for (size_t i = 0; h && i < h->n_vms; i++)
        if (h->vms[i]->vm.job == VM_JOB_MIGRATING_IN)
            return h->vms[i]->vm.name;
    return NULL;
}

static bool is_empty(const struct run *r, const struct run_host *h)
{
    return h->proof.taken && h->proof.running == 0 && h->proof.jobs == 0 &&
           stays_on(r, FATE_BLOCKED, h->name) == 0;
}

static void end_host(struct core *c, struct run_slot *r, struct run_host *h)
{
    const struct proof *p = &h->proof;
    long long id = (long long)r->run.id;
    bool empty = is_empty(&r->run, h);
    cleanup(freep) char *why =
        empty ? xasprintf("drained by run/%lld%s%s", id, r->run.reason ? ": " : "",
                          r->run.reason ? r->run.reason : "")
              : xasprintf("drain run/%lld left %lld VM%s here", id, (long long)p->running,
                          p->running == 1 ? "" : "s");
    h->ended_wall_us = c->wall_us;
    r->dirty = true;
    host_set_state(c, host_find(c, h->name), empty ? HOST_MAINTENANCE : HOST_CORDONED, r->run.id,
                   r->run.actor, why);
}

void run_census_answer(struct core *c, struct run_slot *r, const struct ask *a, const struct msg *m)
{
    const struct counted *n = m && m->type == MSG_COUNTED ? m->body : NULL;
    struct host_end *e;
    struct run_host *h = host_of(r, a->host, &e);
    if (!h || run_ended(r->run.state) || h->ended_wall_us)
        return;
    e->census_out = false;
    e->census_after_us = c->now_us + CENSUS_AGAIN_US;
    r->dirty = true;
    if (!n || !n->ok) { /* asked again: an empty host is proven or not claimed */
        set_fmt(&r->run.message, "waiting for %s, to prove that no VM is left: %s", h->name,
                n && n->error ? n->error : "its agent does not answer");
        return;
    }
    run_count(c, r);
    h->proof = (struct proof){.taken = true,
                              .wall_us = c->wall_us,
                              .running = (int64_t)n->n_running,
                              .defined = (int64_t)n->n_defined,
                              .jobs = n->jobs,
                              .watchers = watchers_left(c, r, h->name)};
    run_sum_proof(&r->run);
    const char *coming = on_its_way(c, h->name);
    if (coming) {
        set_fmt(&r->run.message,
                "waiting for vm/%s, which is on its way to %s and has to be moved on", coming,
                h->name);
        return;
    }
    /* more than we know of: the reports will name them, and they are planned too */
    size_t blocked = stays_on(&r->run, FATE_BLOCKED, h->name);
    if ((h->proof.running > (int64_t)blocked || n->jobs) && e->census_rounds++ < CENSUS_ROUNDS)
        return;
    end_host(c, r, h);
}

/* ---- the end ----------------------------------------------------------------------------------- */

/* The names of those that are empty, or are not. Gives; NULL: none. */
static char *those(const struct run *r, bool empty)
{
    char *s = NULL;
    for (size_t i = 0; i < r->n_hosts; i++)
        if (is_empty(r, &r->hosts[i]) == empty)
            set_fmt(&s, "%s%s%s", s ? s : "", s ? ", " : "", r->hosts[i].name);
    return s;
}

static void end_done(struct core *c, struct run_slot *r, const char *aside)
{
    const struct proof *p = &r->run.proof;
    cleanup(freep) char *place = run_place(&r->run);
    run_end(c, r, RUN_DONE,
            "%s drained: %lld of %lld VMs moved, %lld stopped%s; proven empty: %lld domains "
            "run, %lld libvirt jobs, %lld image watchers; %lld shut off",
            place, (long long)r->run.moved, (long long)r->run.vms, (long long)r->run.stopped, aside,
            (long long)p->running, (long long)p->jobs, (long long)p->watchers,
            (long long)p->defined);
}

static void end_partly(struct core *c, struct run_slot *r, const char *full, const char *aside)
{
    cleanup(freep) char *place = run_place(&r->run), *empty = those(&r->run, true);
    cleanup(freep) char *hosts =
        r->run.n_hosts == 1
            ? xasprintf("the host is closed to new VMs (drover resume %s opens it)", full)
            : xasprintf("%s%s%snot empty, closed to new VMs: %s (drover resume HOST opens one)",
                        empty ? "in maintenance: " : "", empty ? empty : "", empty ? "; " : "",
                        full);
    run_end(c, r, RUN_PARTLY, "%s partly drained: %lld of %lld VMs moved, %lld stay%s%s; %s", place,
            (long long)r->run.moved, (long long)r->run.vms, (long long)r->run.blocked,
            r->run.blocked == 1 ? "s" : "", aside, hosts);
}

static void end_drain(struct core *c, struct run_slot *r)
{
    run_count(c, r);
    cleanup(freep) char *aside =
        r->run.aside ? xasprintf("; %lld move%s of others made room", (long long)r->run.aside,
                                 r->run.aside == 1 ? "" : "s")
                     : xstrdup("");
    cleanup(freep) char *full = those(&r->run, false);
    if (full)
        end_partly(c, r, full, aside);
    else
        end_done(c, r, aside);
}

/* Something of this run is still to leave the host, or to come there (a VM that is parked). */
static bool host_busy(const struct run_slot *r, const char *host)
{
    for (size_t i = 0; i < r->n_moves; i++) {
        const struct move *m = &r->moves[i]->m;
        if (!job_final((enum job_state)m->state) && (str_eq(m->from, host) || str_eq(m->to, host)))
            return true;
    }
    return false;
}

void drain_finish(struct core *c, struct run_slot *r, bool open)
{
    bool all = true;
    for (size_t i = 0; i < r->run.n_hosts; i++) {
        const struct run_host *h = &r->run.hosts[i];
        all = all && h->ended_wall_us;
        if (!h->ended_wall_us && !host_busy(r, h->name) && r->waiting == 0 &&
            !send_halts(c, r, h->name))
            send_census(c, r, h->name);
    }
    if (all && !open)
        end_drain(c, r);
}

void drain_begins(struct core *c, struct run_slot *r)
{
    cleanup(freep) char *why =
        xasprintf("drain run/%lld%s%s", (long long)r->run.id, r->run.reason ? ": " : "",
                  r->run.reason ? r->run.reason : "");
    for (size_t i = 0; i < r->run.n_hosts; i++)
        host_set_state(c, host_find(c, r->run.hosts[i].name), HOST_DRAINING, r->run.id,
                       r->run.actor, why);
}

char *drain_undo(struct core *c, struct run_slot *r)
{
    char *s = NULL;
    for (size_t i = 0; i < r->run.n_hosts; i++) {
        const struct run_host *h = &r->run.hosts[i];
        struct host_slot *slot = host_find(c, h->name);
        if (h->ended_wall_us) { /* somebody may be at work on it by now */
            set_fmt(&s, "%s%s%s stays %s%s", s ? s : "", s ? ", " : "", h->name,
                    slot->rec.state == HOST_MAINTENANCE ? "in " : "",
                    host_state_names[slot->rec.state]);
            continue;
        }
        if (r->run.kind == RUN_DRAIN)
            host_set_state(c, slot, h->was, 0, r->run.actor, NULL);
        const char *is = host_state_names[slot->rec.state];
        if (r->run.n_hosts == 1)
            set_fmt(&s, "the host is %s again", is);
        else
            set_fmt(&s, "%s%s%s is %s again", s ? s : "", s ? ", " : "", h->name, is);
    }
    return s;
}
