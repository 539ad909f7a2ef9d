/* Connections between agents and the scheduler. Each end learns of the other's end by itself: at once
 * where the network works, after three missed heartbeats where it does not. TCP loses nothing: what is
 * sent into a cut arrives when it heals, or never. */
#include <string.h>

#include "scheduler/sim/world.h"

#define HANDSHAKE_US (2 * MSEC)

struct frame {
    int host;
    int64_t no;
    bool out;
    struct msg m;
};

static void frame_drop(void *arg)
{
    struct frame *f = arg;
    msg_done(&f->m);
    free(f);
}

static bool linked(const struct sim_host *h, bool out)
{
    return h->powered && !(out ? h->wire.cut_out : h->wire.cut_in);
}

/* ---- frames ---------------------------------------------------------------------------------------- */
static void arrive(struct sim *s, void *arg)
{
    struct frame *f = arg;
    struct sim_host *h = &s->hosts[f->host];
    if (h->wire.no != f->no)
        return;
    if (!linked(h, f->out)) { /* it was cut meanwhile */
        struct wire *w = &h->wire;
        *(f->out ? vec_add(&w->held_out, &w->n_held_out) : vec_add(&w->held_in, &w->n_held_in)) =
            f->m;
        f->m = (struct msg){0};
        return;
    }
    if (f->out && h->wire.up)
        brain_event(s, &(struct core_event){.type = CEV_MSG, .host = h->facts.name, .msg = &f->m});
    if (!f->out && h->wire.welcome && h->agent.up)
        agent_command(s, f->host, &f->m);
}

static void send(struct sim *s, int host, bool out, struct msg *m)
{
    struct frame *f = xcalloc(1, sizeof(*f));
    *f = (struct frame){.host = host, .no = s->hosts[host].wire.no, .out = out, .m = *m};
    *m = (struct msg){0};
    sim_later(s, s->cfg.times.wire_us,
              (struct sim_due){.run = arrive, .drop = frame_drop, .arg = f});
}

void wire_to_scheduler(struct sim *s, int host, enum msg_type type, int64_t re, void *body)
{
    struct msg m = {.re = re, .type = type, .body = body};
    if (s->hosts[host].wire.welcome)
        send(s, host, true, &m);
    msg_done(&m);
}

void wire_to_agent(struct sim *s, int host, struct msg *m)
{
    if (s->hosts[host].wire.up)
        send(s, host, false, m);
    msg_done(m);
}

/* ---- ends ------------------------------------------------------------------------------------------ */
struct ends {
    int host;
    int64_t no;
};

static void later(struct sim *s, int host, int64_t in_us, void (*run)(struct sim *s, void *arg))
{
    struct ends *e = xcalloc(1, sizeof(*e));
    *e = (struct ends){.host = host, .no = s->hosts[host].wire.no};
    sim_later(s, in_us, (struct sim_due){.run = run, .arg = e});
}

static void forget_held(struct msg **list, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        msg_done(&(*list)[i]);
    free(*list);
    *list = NULL;
    *n = 0;
}

static void scheduler_learns(struct sim *s, void *arg)
{
    const struct ends *e = arg;
    const struct sim_host *h = &s->hosts[e->host];
    if (h->wire.no == e->no && h->wire.up && !h->wire.welcome && linked(h, true))
        wire_close_scheduler(s, e->host);
}

static void agent_learns(struct sim *s, void *arg)
{
    const struct ends *e = arg;
    const struct sim_host *h = &s->hosts[e->host];
    if (h->wire.no == e->no && !h->wire.up && h->wire.welcome && linked(h, false))
        wire_close_agent(s, e->host);
}

void wire_close_agent(struct sim *s, int host)
{
    struct wire *w = &s->hosts[host].wire;
    w->welcome = false;
    forget_held(&w->held_in, &w->n_held_in);
    later(s, host, s->cfg.times.wire_us, scheduler_learns);
    wire_dial(s, host);
}

void wire_close_scheduler(struct sim *s, int host)
{
    struct sim_host *h = &s->hosts[host];
    if (!h->wire.up)
        return;
    h->wire.up = false;
    forget_held(&h->wire.held_out, &h->wire.n_held_out);
    later(s, host, s->cfg.times.wire_us, agent_learns);
    brain_event(s, &(struct core_event){.type = CEV_AGENT_DOWN, .host = h->facts.name});
}

/* ---- silence --------------------------------------------------------------------------------------- */
static void too_silent(struct sim *s, void *arg)
{
    const struct ends *e = arg;
    const struct sim_host *h = &s->hosts[e->host];
    if (h->wire.no != e->no)
        return;
    if (!linked(h, true))
        wire_close_scheduler(s, e->host);
    if (!linked(h, false) && h->wire.welcome && h->agent.up)
        wire_close_agent(s, e->host);
}

static void release(struct sim *s, int host, bool out)
{
    struct wire *w = &s->hosts[host].wire;
    struct msg *list = out ? take(w->held_out) : take(w->held_in);
    size_t n = out ? w->n_held_out : w->n_held_in;
    *(out ? &w->n_held_out : &w->n_held_in) = 0;
    for (size_t i = 0; i < n; i++)
        send(s, host, out, &list[i]);
    free(list);
}

void wire_cut(struct sim *s, int host, bool out, bool in)
{
    struct wire *w = &s->hosts[host].wire;
    w->cut_out = out;
    w->cut_in = in;
    if (out || in || !s->hosts[host].powered)
        later(s, host, SILENCE_US, too_silent);
    if (!out)
        release(s, host, true);
    if (!in)
        release(s, host, false);
    later(s, host, s->cfg.times.wire_us, scheduler_learns);
    later(s, host, s->cfg.times.wire_us, agent_learns);
}

/* ---- dialling -------------------------------------------------------------------------------------- */
static void accepted(struct sim *s, void *arg)
{
    const struct ends *e = arg;
    struct sim_host *h = &s->hosts[e->host];
    struct wire *w = &h->wire;
    if (w->no != e->no || !h->agent.up || w->welcome)
        return;
    if (!s->brain.core || !linked(h, true) || !linked(h, false)) {
        wire_dial(s, e->host);
        return;
    }
    if (w->up) /* the one before is still open there: replaced */
        wire_close_scheduler(s, e->host);
    w->no++;
    w->up = w->welcome = true;
    cleanup(freep) char *instance = xasprintf("%lld", (long long)h->agent.life);
    brain_event(s, &(struct core_event){.type = CEV_AGENT_UP,
                                        .host = h->facts.name,
                                        .instance = instance,
                                        .sends_xml = true,
                                        .tells_ceph = true});
    agent_welcome(s, e->host, s->brain.term);
}

void wire_dial(struct sim *s, int host)
{
    struct sim_agent *a = &s->hosts[host].agent;
    if (!a->up)
        return;
    int64_t most = RECONNECT_BASE_US;
    for (int i = 0; i < a->tries && most < RECONNECT_MAX_US; i++)
        most *= 2;
    most = most < RECONNECT_MAX_US ? most : RECONNECT_MAX_US;
    a->tries++;
    later(s, host, HANDSHAKE_US + (int64_t)rng_below(&s->rng, (uint64_t)most), accepted);
}

void wire_done(struct wire *w)
{
    forget_held(&w->held_out, &w->n_held_out);
    forget_held(&w->held_in, &w->n_held_in);
}
