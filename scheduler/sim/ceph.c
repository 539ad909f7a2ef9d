/* Images as Ceph knows them: who watches, who holds the lock. A client that died is missed after 30 s
 * only, and its lock stays until somebody takes it. */
#include "scheduler/sim/world.h"

void watch_open(struct sim *s, struct sim_vm *v, int host, int64_t client)
{
    (void)s;
    *(struct watch *)vec_add(&v->watches, &v->n_watches) =
        (struct watch){.host = host, .client = client, .until_us = NEVER};
}

static void forget_expired(struct sim *s, struct sim_vm *v)
{
    for (size_t i = v->n_watches; i-- > 0;)
        if (v->watches[i].until_us <= s->now_us)
            vec_del(v->watches, &v->n_watches, i);
}

void watch_close(struct sim *s, struct sim_vm *v, int64_t client, bool lingers)
{
    for (size_t i = 0; i < v->n_watches; i++)
        if (v->watches[i].client == client)
            v->watches[i].until_us = lingers ? s->now_us + WATCH_EXPIRES_US : s->now_us;
    forget_expired(s, v);
    if (v->lock == client && !lingers)
        v->lock = 0;
}

void watch_strangers_leave(struct sim_vm *v)
{
    for (size_t i = v->n_watches; i-- > 0;) {
        if (v->watches[i].host != STRANGER)
            continue;
        v->lock = v->lock == v->watches[i].client ? 0 : v->lock;
        vec_del(v->watches, &v->n_watches, i);
    }
}

static void add_client(const struct sim *s, int host, int64_t client, struct ceph_client *ret)
{
    const char *ip = host == STRANGER ? "192.0.2.77" : s->hosts[host].facts.addresses[0];
    ret->address = xasprintf("%s:0/%lld", ip, (long long)client);
    ret->entity = xasprintf("client.%lld", (long long)client);
}

static bool denied(const struct sim_host *h, char **ret_code, char **ret_error)
{
    if (h->ceph == CEPH_WORKS)
        return false;
    *ret_code = xstrdup(h->ceph == CEPH_HANGS ? "ceph_timeout" : "ceph_auth");
    *ret_error = xstrdup(h->ceph == CEPH_HANGS ? "no answer in 10 s" : "permission denied");
    return true;
}

static const char *fsid_of(const struct sim_host *h)
{
    return h->facts.ceph_fsid ? h->facts.ceph_fsid : "7d6f8b0e-0000-4000-8000-000000000001";
}

void ceph_told(const struct sim *s, int host, struct ceph_told *ret)
{
    static const char *const words[] = {"HEALTH_OK", "HEALTH_ERR", "HEALTH_WARN", "HEALTH_WARN"};
    static const char *const causes[] = {
        NULL, "1 full osd(s)", "3 slow ops, oldest one blocked for 35 sec, osd.1 has slow ops",
        "Degraded data redundancy: 340/12000 objects degraded (2.833%), 12 pgs degraded"};
    const struct sim_host *h = &s->hosts[host];
    ret->ok = !denied(h, &ret->code, &ret->error);
    if (!ret->ok)
        return;
    ret->fsid = xstrdup(fsid_of(h));
    ret->status = xstrdup(words[h->health]);
    ret->cause = xstrdup(causes[h->health]);
    ret->slow = xstrdup(h->health == HEALTH_SLOW ? causes[HEALTH_SLOW] : NULL);
    ret->moving_pgs = h->health == HEALTH_RECOVERS ? 12 : 0;
    ret->degraded = h->health == HEALTH_RECOVERS ? 340 : 0;
}

static void fact_of(struct sim *s, const struct sim_host *h, const struct disk *d,
                    const struct sim_vm *v, struct image_fact *f)
{
    shape_init(&image_fact_shape, f);
    f->target = xstrdup(d->target);
    f->pool = xstrdup(d->pool);
    f->ns = xstrdup(d->ns);
    f->image = xstrdup(d->image);
    f->ok = !denied(h, &f->code, &f->error);
    if (!f->ok)
        return;
    f->fsid = xstrdup(fsid_of(h));
    f->pool_id = 2;
    f->image_id = xasprintf("id-%s-%s", d->pool ? d->pool : "", d->image ? d->image : "");
    f->features = 61; /* layering, exclusive-lock, object-map, fast-diff, deep-flatten */
    f->size_bytes = 10 * GIB;
    for (size_t i = 0; i < v->n_watches; i++) {
        const struct watch *w = &v->watches[i];
        add_client(s, w->host, w->client, vec_add(&f->watchers, &f->n_watchers));
        if (w->client == v->lock)
            add_client(s, w->host, w->client, vec_add(&f->lockers, &f->n_lockers));
    }
}

void image_facts(struct sim *s, int host, const struct disk *disks, size_t n, struct sim_vm *v,
                 struct image_fact **ret, size_t *ret_n)
{
    if (v)
        forget_expired(s, v);
    for (size_t i = 0; v && i < n; i++)
        if (disks[i].kind == DISK_RBD)
            fact_of(s, &s->hosts[host], &disks[i], v, vec_add(ret, ret_n));
}
