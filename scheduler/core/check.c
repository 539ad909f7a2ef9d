/* What the answers of the real checks mean: libvirt's verdicts and Ceph's facts. */
#include <string.h>

#include "scheduler/core/internal.h"

void facts_done(struct image_fact **list, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        shape_done(&image_fact_shape, &(*list)[i]);
    free(*list);
    *list = NULL;
    *n = 0;
}

void facts_copy(struct image_fact **dst, size_t *n_dst, const struct image_fact *src, size_t n)
{
    facts_done(dst, n_dst);
    for (size_t i = 0; i < n; i++)
        shape_copy(&image_fact_shape, vec_add(dst, n_dst), &src[i]);
}

static const struct {
    enum reason_code code;
    const char *cure;
} cures[] = {
    {R_CLUSTER_DIFFERS,
     "make /etc/ceph/ceph.conf there name the same cluster, or name the monitors "
     "in the VM's disk"},
    {R_IMAGE_DIFFERS, "compare `rbd info` on both hosts: two images share this name"},
    {R_IMAGE_ABSENT, "check the pool and image with `rbd info` on that host"},
    {R_IMAGE_WATCHED, "find the other client with `rbd status` and close it"},
    {R_IMAGE_LOCKED, "see `rbd lock ls`; the holder must close the image first"},
    {R_IMAGE_NOT_OPEN, "the VM does not use this image: restart it, or correct its definition"},
    {R_IMAGE_TRASHED, "restore it: rbd trash restore"},
    {R_IMAGE_MIGRATING, "finish or abort `rbd migration` first"},
    {R_IMAGE_NOT_PRIMARY, "promote the image here, or move the VM in the other cluster"},
    {R_CEPH_AUTH, "check the caps of the VM's cephx user and the value of its libvirt secret"},
    {R_CEPH_TIMEOUT, "check the monitors and `ceph -s`, then try again"},
    {R_SECRET, "define it: virsh secret-define, virsh secret-set-value"},
    {R_PEER, "run: drover check pair"},
};

static const char *cure_for(enum reason_code code)
{
    for (size_t i = 0; i < ARRAY_LEN(cures); i++)
        if (cures[i].code == code)
            return cures[i].cure;
    return NULL;
}

void reason_set(struct reason *r, enum reason_code code, const char *host, const char *what,
                const char *need, const char *have, const char *cure)
{
    shape_done(&reason_shape, r);
    shape_init(&reason_shape, r);
    r->code = code;
    r->host = xstrdup(host);
    r->what = xstrdup(what);
    r->need = xstrdup(need);
    r->have = xstrdup(have);
    r->cure = xstrdup(cure ? cure : cure_for(code));
}

/* These are about one host, the source's own as well as a target: say which. */
static void cure_on(struct reason *why, const char *host)
{
    if (why->code == R_SECRET && str_eq(why->cure, cure_for(R_SECRET)))
        set_fmt(&why->cure, "on %s: %s", host, cure_for(R_SECRET));
}

char *reason_sentence(const struct reason *r)
{
    cleanup(freep) char *what = r->what ? xasprintf(" (%s)", r->what) : xstrdup("");
    cleanup(freep) char *need = r->need ? xasprintf(": needs %s", r->need) : xstrdup("");
    cleanup(freep) char *have =
        r->have ? xasprintf("%s%s", r->need ? ", has " : ": ", r->have) : xstrdup("");
    return xasprintf("%s%s%s%s%s%s", r->host ? r->host : "", r->host ? ": " : "",
                     reason_texts[r->code], what, need, have);
}

static bool writable(const struct disk *d)
{
    return d->kind == DISK_RBD && !d->readonly && !d->shareable;
}

static const struct image_fact *fact_for(const struct image_fact *images, size_t n,
                                         const char *target)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(images[i].target, target))
            return &images[i];
    return NULL;
}

/* "client.4123 at 10.0.0.9:0/12 (h4)" */
static char *client_text(const struct core *c, const struct ceph_client *cl)
{
    const char *host = NULL;
    for (size_t i = 0; i < c->n_hosts; i++)
        if (host_owns_address(&c->hosts[i]->rec.last, cl->address))
            host = c->hosts[i]->rec.name;
    return xasprintf("%s at %s%s%s%s", cl->entity ? cl->entity : "a client",
                     cl->address ? cl->address : "?", host ? " (" : "", host ? host : "",
                     host ? ")" : "");
}

static const struct ceph_client *stranger(const struct host *owner, const struct ceph_client *list,
                                          size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!host_owns_address(owner, list[i].address))
            return &list[i];
    return NULL;
}

/* A "no" about one disk; always false. The planner words it the same way, so that the same refusal
 * found by either is one line for people. */
static bool disk_no(struct reason *why, enum reason_code code, const char *host, const char *target,
                    const char *need, const char *have)
{
    cleanup(freep) char *what = xasprintf("disk %s", target);
    reason_set(why, code, host, what, need, have, NULL);
    return false;
}

/* Is this image usable at all, as the asked host sees it? */
static bool image_sane(const struct image_fact *f, const char *host, struct reason *why)
{
    if (!f->ok)
        return disk_no(why, reason_from_token(f->code), host, f->target, NULL, f->error);
    if (f->trashed)
        return disk_no(why, R_IMAGE_TRASHED, host, f->target, NULL, f->image);
    if (f->migrating)
        return disk_no(why, R_IMAGE_MIGRATING, host, f->target, NULL, f->image);
    if (f->mirror && !str_eq(f->mirror, "primary"))
        return disk_no(why, R_IMAGE_NOT_PRIMARY, host, f->target, NULL, f->mirror);
    return true;
}

static bool source_is_writer(const struct core *c, const struct vm *v, const struct host *src,
                             const struct image_fact *f, struct reason *why)
{
    const struct ceph_client *other = stranger(src, f->watchers, f->n_watchers);
    enum reason_code code = R_IMAGE_WATCHED;
    if (!other) {
        other = stranger(src, f->lockers, f->n_lockers);
        code = R_IMAGE_LOCKED;
    }
    /* A shut-off VM's image must be nobody's, not even this host's. */
    if (!other && !vm_active(v->state) && f->n_watchers)
        other = &f->watchers[0];
    if (other) {
        cleanup(freep) char *who = client_text(c, other);
        return disk_no(why, code, NULL, f->target, NULL, who);
    }
    if (vm_active(v->state) && !f->n_watchers)
        return disk_no(why, R_IMAGE_NOT_OPEN, NULL, f->target, "its QEMU as watcher", "no watcher");
    return true;
}

bool check_source(const struct core *c, const struct vm *v, const char *src,
                  const struct verdict *answer, struct reason *why)
{
    const struct host_slot *h = host_find(c, src);
    if (answer->n_reasons) {
        shape_done(&reason_shape, why);
        shape_copy(&reason_shape, why, &answer->reasons[0]);
        set_str(&why->host, NULL); /* about the VM: holds for every target */
        if (!why->cure)
            set_str(&why->cure, cure_for((enum reason_code)why->code));
        cure_on(why, src);
        return false;
    }
    for (size_t i = 0; i < v->n_disks; i++) {
        const struct disk *d = &v->disks[i];
        if (d->kind != DISK_RBD)
            continue;
        const struct image_fact *f = fact_for(answer->images, answer->n_images, d->target);
        if (!f)
            return disk_no(why, R_CHECK_FAILED, NULL, d->target, NULL,
                           "the source's agent said nothing about this disk");
        if (!image_sane(f, NULL, why)) {
            cure_on(why, src);
            return false;
        }
        if (writable(d) && !source_is_writer(c, v, &h->rec.last, f, why))
            return false;
    }
    return true;
}

bool check_target(const struct verdict *answer, const char *dst,
                  const struct image_fact *src_images, size_t n_src, struct reason *why)
{
    if (answer->n_reasons) {
        shape_done(&reason_shape, why);
        shape_copy(&reason_shape, why, &answer->reasons[0]);
        set_str(&why->host, dst);
        if (!why->cure)
            set_str(&why->cure, cure_for((enum reason_code)why->code));
        cure_on(why, dst);
        return false;
    }
    for (size_t i = 0; i < n_src; i++) {
        const struct image_fact *s = &src_images[i];
        const struct image_fact *d = fact_for(answer->images, answer->n_images, s->target);
        if (!d)
            return disk_no(why, R_CHECK_FAILED, dst, s->target, NULL,
                           "its agent said nothing about this disk");
        if (!image_sane(d, dst, why)) {
            cure_on(why, dst);
            return false;
        }
        if (!str_eq(s->fsid, d->fsid))
            return disk_no(why, R_CLUSTER_DIFFERS, dst, s->target, s->fsid, d->fsid);
        if (s->pool_id != d->pool_id || !str_eq(s->image_id, d->image_id)) {
            cleanup(freep) char *need =
                xasprintf("pool %lld, image id %s", (long long)s->pool_id, s->image_id);
            cleanup(freep) char *have =
                xasprintf("pool %lld, image id %s", (long long)d->pool_id, d->image_id);
            return disk_no(why, R_IMAGE_DIFFERS, dst, s->target, need, have);
        }
    }
    return true;
}

bool check_only_writer(const struct core *c, const struct host_slot *h, const struct disk *disks,
                       size_t n_disks, const struct image_fact *images, size_t n_images,
                       char **ret_why_not)
{
    for (size_t i = 0; i < n_disks; i++) {
        if (!writable(&disks[i]))
            continue;
        const char *t = disks[i].target;
        const struct image_fact *f = fact_for(images, n_images, t);
        if (!f || !f->ok) {
            set_fmt(ret_why_not, "Ceph cannot tell about %s yet: %s", t,
                    f && f->error ? f->error : "no answer");
            return false;
        }
        const struct ceph_client *other = stranger(&h->rec.last, f->watchers, f->n_watchers);
        if (!other)
            other = stranger(&h->rec.last, f->lockers, f->n_lockers);
        if (other) {
            cleanup(freep) char *who = client_text(c, other);
            set_fmt(ret_why_not, "the image of %s is still open by %s", t, who);
            return false;
        }
        if (!f->n_watchers) {
            set_fmt(ret_why_not, "nobody has the image of %s open", t);
            return false;
        }
    }
    return true;
}
