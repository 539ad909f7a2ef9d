/* Agents: the real ones' own command memory and reports (agent/core), on a simulated libvirt. */
#include <string.h>

#include "scheduler/sim/copy.h"

enum { KEPT_MAX = 256 };
#define EVENT_US    (30 * MSEC) /* several events of one change come together */
#define PROGRESS_US SEC
#define READ_ALL_US (200 * MSEC)

struct of_agent { /* arg of what happens later to one process of one agent */
    int host;
    int64_t life;
    int vm;
};

static void later(struct sim *s, int host, int64_t in_us, void (*run)(struct sim *s, void *arg))
{
    struct of_agent *o = xcalloc(1, sizeof(*o));
    *o = (struct of_agent){.host = host, .life = s->hosts[host].agent.life};
    sim_later(s, in_us, (struct sim_due){.run = run, .arg = o});
}

static struct sim_agent *alive(struct sim *s, const struct of_agent *o)
{
    struct sim_agent *a = &s->hosts[o->host].agent;
    return a->up && a->life == o->life ? a : NULL;
}

/* ---- telling ------------------------------------------------------------------------------------- */
void agent_flush(struct sim *s, int host)
{
    struct sim_host *h = &s->hosts[host];
    struct report r;
    while (h->wire.welcome && reporter_take(h->agent.reporter, &r)) {
        struct report *body = cmds_body(MSG_REPORT);
        *body = r;
        wire_to_scheduler(s, host, MSG_REPORT, 0, body);
    }
}

static void send_kept(struct sim *s, int host)
{
    struct sim_agent *a = &s->hosts[host].agent;
    for (size_t i = 0; i < a->n_kept; i++)
        wire_to_scheduler(s, host, a->kept[i].type, a->kept[i].re, take(a->kept[i].body));
    free(take(a->kept));
    a->n_kept = 0;
}

void agent_welcome(struct sim *s, int host, int64_t term)
{
    struct sim_agent *a = &s->hosts[host].agent;
    if (!cmds_term(a->cmds, term)) {
        wire_close_agent(s, host);
        return;
    }
    a->tries = 0;
    reporter_restart(a->reporter);
    agent_flush(s, host);
    send_kept(s, host);
}

void agent_answer(struct sim *s, int host, const struct msg *cmd, struct msg *result, int times)
{
    struct sim_host *h = &s->hosts[host];
    struct sim_agent *a = &h->agent;
    if (result->type == MSG_PROBED)
        ((struct probed *)result->body)->ordered =
            cmds_migrating(a->cmds, ((const struct probed *)result->body)->vm);
    result->re = cmds_finish(a->cmds, cmd, result);
    for (int i = 0; i < times && h->wire.welcome; i++) {
        struct msg m;
        cmds_copy(&m, result);
        wire_to_scheduler(s, host, m.type, m.re, m.body);
    }
    bool keep = result->type == MSG_MIGRATED ||
                (result->type == MSG_DONE && ((const struct done *)result->body)->job);
    if (times && !h->wire.welcome && keep) {
        if (a->n_kept >= KEPT_MAX) {
            msg_done(&a->kept[0]);
            vec_del(a->kept, &a->n_kept, 0);
        }
        *vec_add(&a->kept, &a->n_kept) = *result;
        *result = (struct msg){0};
    }
}

static void tell_progress(struct sim *s, void *arg)
{
    const struct of_agent *o = arg;
    struct sim_vm *v = &s->vms[o->vm];
    if (!alive(s, o) || !v->copy || v->copy->from != o->host || v->copy->stage == COPY_FINISHING)
        return;
    if (s->hosts[o->host].wire.welcome && s->hosts[o->host].libvirtd) {
        struct progress *p = cmds_body(MSG_PROGRESS);
        copy_progress(s, v->copy, p);
        wire_to_scheduler(s, o->host, MSG_PROGRESS, 0, p);
    }
    struct of_agent *again = xmemdup(o, sizeof(*o));
    sim_later(s, PROGRESS_US, (struct sim_due){.run = tell_progress, .arg = again});
}

void agent_watch(struct sim *s, const struct sim_copy *c)
{
    struct of_agent *o = xcalloc(1, sizeof(*o));
    *o = (struct of_agent){.host = c->from, .life = s->hosts[c->from].agent.life, .vm = c->vm->id};
    sim_later(s, PROGRESS_US, (struct sim_due){.run = tell_progress, .arg = o});
}

/* ---- reading ------------------------------------------------------------------------------------- */
static void read_vm(struct sim *s, int host, int vm)
{
    struct sim_agent *a = &s->hosts[host].agent;
    struct vm seen;
    if (vm_seen(s, &s->vms[vm], host, &seen))
        reporter_vm(a->reporter, &seen);
    else
        reporter_gone(a->reporter, s->vms[vm].facts.uuid);
}

static void tell_host(struct sim *s, int host)
{
    struct sim_host *h = &s->hosts[host];
    struct host facts;
    shape_copy(&host_shape, &facts, &h->facts);
    facts.mem_free_bytes = h->facts.mem_bytes - host_used(s, host);
    facts.libvirt_up = h->libvirtd;
    reporter_host(h->agent.reporter, &facts);
}

static void read_now(struct sim *s, void *arg)
{
    const struct of_agent *o = arg;
    struct sim_host *h = &s->hosts[o->host];
    struct sim_agent *a = alive(s, o);
    if (!a)
        return;
    a->read_due = false;
    if (!h->libvirtd)
        return;
    if (a->all_stale)
        for (size_t i = 0; i < h->n_here; i++)
            read_vm(s, o->host, h->here[i]);
    for (size_t i = 0; i < a->n_stale; i++)
        read_vm(s, o->host, a->stale[i]);
    a->n_stale = 0;
    free(take(a->stale));
    tell_host(s, o->host);
    if (a->all_stale)
        reporter_known(a->reporter);
    a->all_stale = false;
    agent_flush(s, o->host);
}

static void read_soon(struct sim *s, int host, int64_t in_us)
{
    struct sim_agent *a = &s->hosts[host].agent;
    if (a->read_due)
        return;
    a->read_due = true;
    later(s, host, in_us + s->cfg.times.libvirt_us, read_now);
}

void agent_event(struct sim *s, int host, int vm)
{
    struct sim_host *h = &s->hosts[host];
    if (!h->agent.up || !h->libvirtd)
        return; /* all is read again when both are back */
    *(int *)vec_add(&h->agent.stale, &h->agent.n_stale) = vm;
    read_soon(s, host, EVENT_US);
}

void agent_libvirtd(struct sim *s, int host, bool up)
{
    struct sim_agent *a = &s->hosts[host].agent;
    if (!a->up)
        return;
    reporter_libvirt(a->reporter, up);
    if (up) {
        a->all_stale = true;
        read_soon(s, host, READ_ALL_US);
    }
    agent_flush(s, host);
}

/* ---- commands ------------------------------------------------------------------------------------ */
static void reply_now(struct sim *s, int host, struct msg *m)
{
    if (s->hosts[host].wire.welcome)
        wire_to_scheduler(s, host, m->type, m->re, take(m->body));
    msg_done(m);
}

static void remember_begun(struct sim *s, int host, const struct migrate *m)
{
    struct sim_host *h = &s->hosts[host];
    const struct sim_vm *v = vm_named(s, m->vm);
    *(struct begun *)vec_add(&h->begun, &h->n_begun) =
        (struct begun){.job = m->job, .attempt = m->attempt, .vm = v ? v->id : -1};
}

/* From memory, whatever libvirt does. */
static void send_xml(struct sim *s, int host, const struct msg *m)
{
    const struct fault *f = fault_for(s, host, "xml", NULL, NULL);
    const char *how = f ? f->d.how : "";
    int times = str_eq(how, "mute") || str_eq(how, "hang") ? 0 : str_eq(how, "twice") ? 2 : 1;
    for (int i = 0; i < times; i++) {
        struct xml_texts *x = cmds_body(MSG_XML);
        reporter_xml(s->hosts[host].agent.reporter, m->body, x);
        wire_to_scheduler(s, host, MSG_XML, m->id, x);
    }
}

void agent_command(struct sim *s, int host, const struct msg *m)
{
    struct sim_agent *a = &s->hosts[host].agent;
    struct msg now = {0};
    enum cmds_verdict v = cmds_take(a->cmds, m, &now);
    if (v == CMDS_ANSWERED)
        reply_now(s, host, &now);
    if (v != CMDS_RUN)
        return;
    if (m->type == MSG_SEND_XML) {
        send_xml(s, host, m);
        return;
    }
    const struct abort_job *b = m->body;
    if (m->type == MSG_ABORT && !cmds_knows(a->cmds, b->job, b->attempt, b->vm)) {
        cmds_failure(m, "check_failed",
                     "this migration was not begun by Drover; another's is not aborted", false,
                     &now);
        agent_answer(s, host, m, &now, 1);
        msg_done(&now);
        return;
    }
    if (m->type == MSG_MIGRATE)
        remember_begun(s, host, m->body);
    virt_begin(s, host, m);
}

/* ---- life ---------------------------------------------------------------------------------------- */
void agent_start(struct sim *s, int host)
{
    struct sim_host *h = &s->hosts[host];
    struct sim_agent *a = &h->agent;
    if (a->up || !h->powered)
        return;
    int64_t life = a->life;
    *a = (struct sim_agent){.up = true, .life = life + 1, .all_stale = true};
    a->cmds = cmds_new();
    a->reporter = reporter_new();
    for (size_t i = 0; i < h->n_begun; i++)
        if (h->begun[i].vm >= 0)
            cmds_begun(a->cmds, h->begun[i].job, h->begun[i].attempt,
                       s->vms[h->begun[i].vm].facts.uuid);
    tell_host(s, host);
    if (h->libvirtd)
        read_soon(s, host, READ_ALL_US);
    for (size_t i = 0; i < s->n_copies; i++)
        if (s->copies[i]->from == host)
            agent_watch(s, s->copies[i]);
    load_watch(s, host);
    wire_dial(s, host);
}

void agent_free(struct sim_agent *a)
{
    cmds_free(a->cmds);
    reporter_free(a->reporter);
    for (size_t i = 0; i < a->n_kept; i++)
        msg_done(&a->kept[i]);
    free(a->kept);
    free(a->stale);
}

void agent_kill(struct sim *s, int host)
{
    struct sim_agent *a = &s->hosts[host].agent;
    if (!a->up)
        return;
    int64_t life = a->life;
    virt_agent_died(s, host);
    agent_free(a);
    *a = (struct sim_agent){.life = life};
    wire_close_agent(s, host);
}
