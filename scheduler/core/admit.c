/* When a queued move gets its turn: scheduler/plan/turns.h, asked for both of its links. */
#include "scheduler/core/internal.h"
#include "scheduler/plan/turns.h"

#define LEAD_MAX_US (20 * SEC)

/* The best of what it sends now and what it has sent on average: between two passes, and at the moment
 * when another stream ends, one of them is too low. */
static int64_t rate_of(const struct progress *p)
{
    int64_t busy_us = p->elapsed_us - (p->setup_us > 0 ? p->setup_us : 0), mean = 0;
    if (busy_us > 0)
        mean = (int64_t)((double)p->processed_bytes * 1e6 / (double)busy_us);
    return p->rate_Bps > mean ? p->rate_Bps : mean;
}

static int64_t rest_of(const struct core *c, const struct move_slot *m)
{
    if (m->flowing) {
        double age_us = (double)(c->now_us - m->progress_us); /* it is read once a second */
        int64_t since = (int64_t)(age_us / 1e6 * (double)rate_of(&m->m.progress));
        return m->m.progress.remaining_bytes > since ? m->m.progress.remaining_bytes - since : 0;
    }
    const struct host_slot *from = host_find(c, m->m.from);
    const struct vm_slot *v = from ? vm_find(from, m->m.vm) : NULL;
    return v ? turns_first_bytes(&v->vm) : m->m.mem_bytes;
}

/* Each queued move asks who else is on its way: few are, of many that wait. */
static void find_active(struct core *c)
{
    if (!c->active_stale)
        return;
    c->active = xrealloc(c->active, c->n_open_moves + 1, sizeof(*c->active));
    c->n_active = 0;
    for (size_t i = 0; i < c->n_open_moves; i++)
        if (move_active(c->open_moves[i]) && !c->open_moves[i]->m.offline)
            c->active[c->n_active++] = c->open_moves[i];
    c->active_stale = false;
}

static struct turns_link link_of(const struct core *c, const char *host, bool in)
{
    const struct host_slot *h = host_find(c, host);
    struct turns_link l = {.link_bps = h ? h->rec.last.link_bps : -1};
    for (size_t i = 0; i < c->n_active; i++) {
        const struct move_slot *m = c->active[i];
        if (!str_eq(in ? m->m.to : m->m.from, host))
            continue;
        l.active++;
        l.rest_bytes += rest_of(c, m);
        l.rate_Bps += m->flowing ? rate_of(&m->m.progress) : 0;
        l.unsettled |= !m->flowing || c->now_us - m->flow_since_us < YOUNG_US;
    }
    return l;
}

static bool link_has_room(const struct core *c, const char *host, bool in)
{
    struct turns_link l = link_of(c, host, in);
    return turns_link_has_room(&c->policy, &l, c->lead_us);
}

static bool below_limit(const struct core *c, const struct move_slot *m, int64_t limit)
{
    int64_t out = 0, in = 0, mine = 0;
    for (size_t i = 0; i < c->n_active; i++) {
        const struct move_slot *o = c->active[i];
        mine += o->m.run == m->m.run;
        out += str_eq(o->m.from, m->m.from);
        in += str_eq(o->m.to, m->m.to);
    }
    return mine < limit && out < limit && in < limit;
}

bool admit_now(struct core *c, const struct run *r, const struct move_slot *m)
{
    find_active(c);
    int64_t limit = r->parallel > 0 ? r->parallel : c->policy.migration.parallel;
    if (limit > 0)
        return below_limit(c, m, limit);
    return m->m.offline || (link_has_room(c, m->m.from, false) && link_has_room(c, m->m.to, true));
}

void admit_flows(struct core *c, struct move_slot *m)
{
    if (m->flowing)
        return;
    m->flowing = true;
    m->flow_since_us = c->now_us;
    int64_t took = c->now_us - m->admitted_us;
    c->lead_us = (c->lead_us + (took < LEAD_MAX_US ? took : LEAD_MAX_US)) / 2;
}
