/* When a queued move gets its turn: as many at once as the links need, and the next in good time.
 *
 * More at once than a link needs makes every copy longer, and with it the last pass: the pause of the
 * guest. Fewer leave it idle: while one guest is handed over, and above all while the next QEMU starts
 * (2 to 5 s before the first byte, as long as copying 256 MiB at 1 Gbit/s). */
#include "scheduler/core/internal.h"

/* Two: one has the link while the other's guest is stopped and handed over. Eight: half of what an
 * agent takes, and of libvirtd's 20 workers. */
enum { STREAMS_MIN = 2, STREAMS_MAX = 8 };
#define FULL_PPM    700000    /* of a link; TCP carries 96 %, but rates are read once a second */
#define YOUNG_US    (3 * SEC) /* before that a stream's rate says nothing yet */
#define LEAD_MAX_US (20 * SEC)

struct load { /* one direction of one host's link */
    int64_t active, rest_bytes, rate_Bps;
    bool unsettled; /* somebody has not reached his rate yet */
};

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
    int64_t rss = v ? v->vm.rss_bytes : -1; /* pages never touched are not sent */
    return rss > 0 && rss < m->m.mem_bytes ? rss : m->m.mem_bytes;
}

static struct load load_of(const struct core *c, const char *host, bool in)
{
    struct load l = {0};
    for (size_t i = 0; i < c->n_moves; i++) {
        const struct move_slot *m = c->moves[i];
        if (!move_active(m) || m->m.offline || !str_eq(in ? m->m.to : m->m.from, host))
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
    const struct host_slot *h = host_find(c, host);
    struct load l = load_of(c, host, in);
    int64_t share = c->policy.migration.link_share_ppm;
    bool capped = share < 1000000 || c->policy.migration.bandwidth_Bps > 0;
    if (l.active < STREAMS_MIN)
        return true;
    if (l.active >= (capped ? AUTO_ACTIVE : STREAMS_MAX))
        return false;
    int64_t link_Bps = h ? h->rec.last.link_bps / 8 : -1;
    if (link_Bps <= 0) /* nothing is known of it: what flows now is all it can carry */
        link_Bps = l.unsettled ? -1 : l.rate_Bps;
    double link = (double)link_Bps * (double)share / 1e6;
    if (link <= 0)
        return l.active < AUTO_ACTIVE;
    if ((double)l.rest_bytes * 1e6 < link * (double)c->lead_us)
        return true; /* it would run dry before the next one's first byte */
    return !l.unsettled && (double)l.rate_Bps * 1e6 < link * FULL_PPM;
}

static bool below_limit(const struct core *c, const struct move_slot *m, int64_t limit)
{
    int64_t out = 0, in = 0, mine = 0;
    for (size_t i = 0; i < c->n_moves; i++) {
        const struct move_slot *o = c->moves[i];
        if (!move_active(o) || o->m.offline)
            continue;
        mine += o->m.run == m->m.run;
        out += str_eq(o->m.from, m->m.from);
        in += str_eq(o->m.to, m->m.to);
    }
    return mine < limit && out < limit && in < limit;
}

bool admit_now(const struct core *c, const struct run *r, const struct move_slot *m)
{
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
