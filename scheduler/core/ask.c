/* Commands that await an answer: each answer, loss or timeout reaches its asker exactly once. */
#include <assert.h>
#include <string.h>

#include "scheduler/core/internal.h"

void *body_new(enum msg_type type)
{
    const struct shape *s = msg_shape(type);
    void *body = xcalloc(1, s->size);
    shape_init(s, body);
    return body;
}

bool ask(struct core *c, struct ask want, enum msg_type type, void *body)
{
    const struct host_slot *h = host_find(c, want.host);
    if (!h || !h->connected) {
        shape_done(msg_shape(type), body);
        free(body);
        return false;
    }
    struct ask *a = vec_add(&c->asks, &c->n_asks);
    *a = want;
    a->id = c->next_cmd++;
    a->host = xstrdup(want.host);
    a->vm = xstrdup(want.vm);
    if (!a->deadline_us)
        a->deadline_us = c->now_us + ASK_TIMEOUT_US;
    struct core_fx *f = fx_add(c, FX_SEND);
    f->host = xstrdup(want.host);
    f->msg = (struct msg){.id = a->id, .type = type, .body = body};
    return true;
}

static void ask_release(struct ask *a)
{
    free(a->host);
    free(a->vm);
}

/* m NULL: the answer will not come (agent gone, or too late). */
static void deliver(struct core *c, const struct ask *a, const struct msg *m)
{
    struct run_slot *r = run_find(c, a->run);
    struct move_slot *mv = move_find(c, a->move);
    run_wake(c, r);
    move_wake(c, mv);
    switch (a->what) {
    case ASK_PLAN_SRC:
    case ASK_PLAN_DST:
    case ASK_PLAN_PEER:
        run_plan_answer(c, a, m);
        break;
    case ASK_CENSUS:
        if (r)
            run_census_answer(c, r, a, m);
        break;
    case ASK_HALT:
        if (r)
            run_halt_answer(c, r, a, m);
        break;
    case ASK_RELABEL:
        label_answer(c, a, m);
        break;
    case ASK_XML:
        xml_answer(c, a, m);
        break;
    case ASK_CEPH:
        ceph_answer(c, a, m);
        break;
    case ASK_CHECK_HOST:
    case ASK_CHECK_PEER_AB:
    case ASK_CHECK_PEER_BA:
        request_check_answer(c, a, m);
        break;
    case ASK_PREP_SRC:
    case ASK_PREP_DST:
    case ASK_MIGRATE:
    case ASK_TOLD:
    case ASK_PROBE_SRC:
    case ASK_PROBE_DST:
    case ASK_TIDY:
    case ASK_STOP:
    case ASK_START:
        if (mv)
            move_answer(c, a, m, mv);
        break;
    }
}

static void take_out(struct core *c, size_t i, const struct msg *m)
{
    struct ask a = c->asks[i];
    vec_del(c->asks, &c->n_asks, i);
    deliver(c, &a, m);
    ask_release(&a);
}

static size_t ask_place(const struct core *c, int64_t id)
{
    return lower_bound(i, c->n_asks, c->asks[i].id < id);
}

void ask_answered(struct core *c, struct host_slot *h, const struct msg *m)
{
    size_t i = ask_place(c, m->re);
    if (i < c->n_asks && c->asks[i].id == m->re && str_eq(c->asks[i].host, h->rec.name)) {
        take_out(c, i, m);
        return;
    }
    /* A result that came late (agent reconnected, scheduler restarted): its job may still care. */
    if (m->type == MSG_MIGRATED) {
        const struct migrated *r = m->body;
        struct move_slot *mv = move_find(c, r->job);
        struct ask late = {.what = ASK_MIGRATE, .host = h->rec.name, .move = r->job};
        if (mv && mv->m.attempt == r->attempt && str_eq(mv->m.from, h->rec.name)) {
            move_wake(c, mv);
            move_answer(c, &late, m, mv);
        }
    }
}

/* Delivering may add asks: restart the scan after each. */
void ask_host_down(struct core *c, const char *host)
{
    for (size_t i = 0; i < c->n_asks;)
        if (str_eq(c->asks[i].host, host)) {
            take_out(c, i, NULL);
            i = 0;
        } else {
            i++;
        }
}

void ask_expire(struct core *c)
{
    for (size_t i = 0; i < c->n_asks;)
        if (c->asks[i].deadline_us <= c->now_us) {
            take_out(c, i, NULL);
            i = 0;
        } else {
            i++;
        }
}

void ask_forget_run(struct core *c, int64_t run)
{
    for (size_t i = c->n_asks; i-- > 0;)
        if (c->asks[i].run == run && !c->asks[i].move) {
            ask_release(&c->asks[i]);
            vec_del(c->asks, &c->n_asks, i);
        }
}

void ask_forget_probes(struct core *c, int64_t move)
{
    for (size_t i = c->n_asks; i-- > 0;)
        if (c->asks[i].move == move &&
            (c->asks[i].what == ASK_PROBE_SRC || c->asks[i].what == ASK_PROBE_DST)) {
            ask_release(&c->asks[i]);
            vec_del(c->asks, &c->n_asks, i);
        }
}
