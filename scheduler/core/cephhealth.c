/* How well Ceph is, for balance runs: while one is under way, or a look is near, one agent for each
 * cluster asks its monitors twice a minute; otherwise nobody asks. What makes balancing wait is the
 * policy's word (balance.ceph_pause). What is not known is said once, and holds nothing up. */
#include <string.h>

#include "scheduler/core/internal.h"

/* ---- asking -------------------------------------------------------------------------------------- */

/* The cluster of a disk, as its VM or host names it: one under two names is asked twice. NULL: it has
 * none. Gives. */
static char *cluster_of(const struct host_slot *h, const struct disk *d)
{
    if (d->kind != DISK_RBD || !d->pool || !d->image)
        return NULL;
    if (d->conf)
        return xstrdup(d->conf);
    if (!d->n_mons)
        return xstrdup(h->rec.last.ceph_fsid ? h->rec.last.ceph_fsid : "");
    char *s = xstrdup(d->mons[0]);
    for (size_t i = 1; i < d->n_mons; i++)
        set_fmt(&s, "%s,%s", s, d->mons[i]);
    return s;
}

static struct ceph_slot *slot_find(const struct core *c, const char *key)
{
    for (size_t i = 0; i < c->n_ceph; i++)
        if (str_eq(c->ceph[i].key, key))
            return &c->ceph[i];
    return NULL;
}

static void slot_done(struct ceph_slot *s)
{
    free(s->key);
    shape_done(&ceph_told_shape, &s->told);
}

void ceph_done(struct core *c)
{
    for (size_t i = 0; i < c->n_ceph; i++)
        slot_done(&c->ceph[i]);
    free(take(c->ceph));
    c->n_ceph = 0;
}

static void ask_about(struct core *c, const struct host_slot *h, const struct disk *d)
{
    cleanup(freep) char *key = cluster_of(h, d);
    struct ceph_slot *s = key ? slot_find(c, key) : NULL;
    if (!key || (s && s->seen) || (!s && c->n_ceph >= CEPH_CLUSTERS_MAX))
        return;
    if (!s) {
        s = vec_add(&c->ceph, &c->n_ceph);
        s->key = take(key);
    }
    s->seen = true;
    if (s->asking)
        return;
    struct ask_ceph *q = body_new(MSG_ASK_CEPH);
    q->term = c->cfg.term;
    shape_done(&disk_shape, &q->disk);
    shape_copy(&disk_shape, &q->disk, d);
    const struct ask want = {.what = ASK_CEPH, .host = h->rec.name, .vm = s->key};
    s->asking = ask(c, want, MSG_ASK_CEPH, q);
}

static void ask_host(struct core *c, const struct host_slot *h)
{
    if (!h->connected || !h->reported || !h->tells_ceph || !h->rec.last.libvirt_up)
        return;
    for (size_t i = 0; i < h->n_vms; i++) {
        const struct vm *v = &h->vms[i]->vm;
        for (size_t k = 0; vm_active(v->state) && k < v->n_disks; k++)
            ask_about(c, h, &v->disks[k]);
    }
}

void ceph_refresh(struct core *c)
{
    if (c->policy.balance.ceph_pause == CEPH_PAUSE_NEVER || c->now_us < c->ceph_next_us)
        return;
    c->ceph_next_us = c->now_us + CEPH_ASK_US;
    for (size_t i = 0; i < c->n_ceph; i++)
        c->ceph[i].seen = false;
    for (size_t i = 0; i < c->n_hosts; i++)
        ask_host(c, c->hosts[(c->ceph_turn + i) % c->n_hosts]);
    for (size_t i = c->n_ceph; i-- > 0;)
        if (!c->ceph[i].seen && !c->ceph[i].asking) { /* no VM of it runs here any more */
            slot_done(&c->ceph[i]);
            vec_del(c->ceph, &c->n_ceph, i);
        }
}

/* ---- hearing ------------------------------------------------------------------------------------- */

static bool known(const struct core *c, const struct ceph_slot *s)
{
    return s->told_us && c->now_us - s->told_us < CEPH_STALE_US;
}

void ceph_answer(struct core *c, const struct ask *a, const struct msg *m)
{
    struct ceph_slot *s = slot_find(c, a->vm);
    struct ceph_told *t = m && m->type == MSG_CEPH_TOLD ? m->body : NULL;
    if (!s)
        return;
    s->asking = false;
    s->asked = true;
    if (t && t->ok) {
        shape_done(&ceph_told_shape, &s->told);
        shape_copy(&ceph_told_shape, &s->told, t);
        s->told_us = c->now_us;
        s->unknown_said = false;
        return;
    }
    c->ceph_turn++; /* the next one may be allowed to read it, or reach it */
    if (known(c, s) || s->unknown_said)
        return;
    s->unknown_said = true;
    say(c, (struct about){.host = a->host}, "ceph.unknown",
        "how well Ceph is could not be read from host/%s: %s; balancing does not wait for it",
        a->host, t && t->error ? t->error : "no answer");
}

/* ---- what it means ------------------------------------------------------------------------------- */

static char *ill(const struct ceph_told *t, int pause)
{
    if (pause >= CEPH_PAUSE_ERROR && str_eq(t->status, "HEALTH_ERR"))
        return xasprintf("Ceph is HEALTH_ERR: %s", t->cause ? t->cause : "no cause is named");
    if (pause >= CEPH_PAUSE_SLOW && t->slow)
        return xasprintf("Ceph is slow: %s", t->slow);
    if (pause >= CEPH_PAUSE_RECOVERY && t->moving_pgs)
        return xasprintf("Ceph moves or recovers data: %lld placement group%s, %lld objects "
                         "degraded, %lld misplaced",
                         (long long)t->moving_pgs, t->moving_pgs == 1 ? "" : "s",
                         (long long)t->degraded, (long long)t->misplaced);
    return NULL;
}

static bool several(const struct core *c)
{
    for (size_t i = 1; i < c->n_ceph; i++)
        if (c->ceph[i].told_us && c->ceph[0].told_us &&
            !str_eq(c->ceph[i].told.fsid, c->ceph[0].told.fsid))
            return true;
    return false;
}

char *ceph_pauses(const struct core *c)
{
    for (size_t i = 0; i < c->n_ceph; i++) {
        const struct ceph_slot *s = &c->ceph[i];
        char *why = known(c, s) ? ill(&s->told, c->policy.balance.ceph_pause) : NULL;
        if (why && several(c))
            set_fmt(&why, "%s (cluster %s)", why, s->told.fsid ? s->told.fsid : s->key);
        if (why)
            return why;
    }
    return NULL;
}

/* Asked for the first time, and not answered yet: a moment later it is known, or known to be unknown. */
static bool awaited(const struct core *c)
{
    for (size_t i = 0; i < c->n_ceph; i++)
        if (c->ceph[i].asking && !c->ceph[i].asked)
            return true;
    return false;
}

static const char *why_on(const struct core *c)
{
    if (c->policy.balance.ceph_pause == CEPH_PAUSE_NEVER)
        return "the policy lets it wait for Ceph no longer";
    for (size_t i = 0; i < c->n_ceph; i++)
        if (!known(c, &c->ceph[i]))
            return "how well Ceph is cannot be read any more";
    return "Ceph is well enough again";
}

bool ceph_holds(struct core *c, struct run_slot *r)
{
    bool held = run_waits(&r->run);
    if (c->policy.balance.ceph_pause != CEPH_PAUSE_NEVER && awaited(c))
        return true;
    cleanup(freep) char *why = ceph_pauses(c);
    if (!why && !held)
        return false;
    if (why) {
        cleanup(freep) char *text = xasprintf("waits: %s", why);
        r->dirty = r->dirty || !str_eq(r->run.message, text);
        set_str(&r->run.message, text);
        if (!held)
            say(c, (struct about){.r = r}, "run.waits", "run/%lld waits: %s", (long long)r->run.id,
                why);
    } else {
        set_str(&r->run.message, NULL);
        r->dirty = true;
        say(c, (struct about){.r = r}, "run.goes_on", "run/%lld goes on: %s", (long long)r->run.id,
            why_on(c));
    }
    return why;
}
