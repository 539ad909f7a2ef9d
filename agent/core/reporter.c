#include "agent/core/reporter.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* JSON escapes lengthen XML a little (quotes); half a frame leaves room for that and the rest. */
static const size_t FULL_MAX = LIM_FRAME_BYTES / 2;
/* A delta small enough that heartbeats behind it are not late on a slow link. */
static const size_t DELTA_MAX = 512 << 10;

struct reporter {
    struct host host;
    struct vm *vms;
    size_t n_vms;
    bool *dirty; /* beside vms */
    size_t n_dirty;
    char **gone;
    size_t n_gone;
    bool host_dirty, known, full_due;
    int64_t seq, reported_free;
    struct loads *loads;
};

struct reporter *reporter_new(void)
{
    struct reporter *r = xcalloc(1, sizeof(*r));
    shape_init(&host_shape, &r->host);
    r->loads = loads_new();
    r->full_due = r->host_dirty = true;
    return r;
}

static void clear_gone(struct reporter *r)
{
    for (size_t i = 0; i < r->n_gone; i++)
        free(r->gone[i]);
    free(r->gone);
    r->gone = NULL;
    r->n_gone = 0;
}

void reporter_free(struct reporter *r)
{
    if (!r)
        return;
    shape_done(&host_shape, &r->host);
    for (size_t i = 0; i < r->n_vms; i++)
        shape_done(&vm_shape, &r->vms[i]);
    free(r->vms);
    free(r->dirty);
    clear_gone(r);
    loads_free(r->loads);
    free(r);
}

void reporter_restart(struct reporter *r)
{
    r->seq = 0;
    r->full_due = r->host_dirty = true;
    loads_restart(r->loads);
}

struct loads *reporter_loads(struct reporter *r)
{
    return r->loads;
}

void reporter_known(struct reporter *r)
{
    r->known = r->full_due = true;
}

static size_t index_of(const struct reporter *r, const char *uuid)
{
    size_t i = 0;
    while (i < r->n_vms && !str_eq(r->vms[i].uuid, uuid))
        i++;
    return i;
}

static bool same_vm(const struct vm *a, const struct vm *b)
{
    struct vm x = *a; /* borrows a's strings for the comparison only */
    x.rss_bytes = b->rss_bytes;
    x.cpu_time_us = b->cpu_time_us;
    x.dirty_Bps = b->dirty_Bps;
    return shape_equal(&vm_shape, &x, b);
}

bool reporter_vm(struct reporter *r, struct vm *v)
{
    size_t i = index_of(r, v->uuid);
    bool news = i == r->n_vms;
    if (news) {
        vec_add(&r->vms, &r->n_vms);
        *vec_add(&r->dirty, &r->n_dirty) = true;
    } else {
        news = !same_vm(&r->vms[i], v);
        r->dirty[i] = r->dirty[i] || news;
        if (v->state == VM_RUNNING && v->dirty_Bps < 0)
            v->dirty_Bps = r->vms[i].dirty_Bps;
        shape_done(&vm_shape, &r->vms[i]);
    }
    r->vms[i] = *v;
    shape_init(&vm_shape, v);
    /* back before its absence was told: the VM as it is now says it all */
    for (size_t g = 0; g < r->n_gone; g++)
        if (str_eq(r->gone[g], r->vms[i].uuid)) {
            free(r->gone[g]);
            vec_del(r->gone, &r->n_gone, g);
            break;
        }
    return news;
}

/* Less than a quarter, or than what sampling can tell apart, is the same. */
static bool differs(int64_t was, int64_t is, int64_t least)
{
    int64_t by = was > is ? was - is : is - was;
    return is >= 0 && (was < 0 || (by > least && by > was / 4));
}

void reporter_memory(struct reporter *r, const char *uuid, int64_t dirty_Bps, int64_t rss_bytes)
{
    size_t i = index_of(r, uuid);
    if (i == r->n_vms || r->vms[i].state != VM_RUNNING)
        return;
    struct vm *v = &r->vms[i];
    if (differs(v->rss_bytes, rss_bytes, 64 * MIB)) {
        v->rss_bytes = rss_bytes;
        r->dirty[i] = true;
    }
    if (differs(v->dirty_Bps, dirty_Bps, 4 * MIB)) {
        v->dirty_Bps = dirty_Bps;
        r->dirty[i] = true;
    }
}

bool reporter_gone(struct reporter *r, const char *uuid)
{
    size_t i = index_of(r, uuid);
    if (i == r->n_vms)
        return false;
    *vec_add(&r->gone, &r->n_gone) = xstrdup(uuid);
    shape_done(&vm_shape, &r->vms[i]);
    vec_del(r->vms, &r->n_vms, i);
    vec_del(r->dirty, &r->n_dirty, i);
    return true;
}

bool reporter_host(struct reporter *r, struct host *h)
{
    bool news = !host_same_facts(&r->host, h);
    int64_t moved = h->mem_free_bytes - r->reported_free;
    if (news || (moved < 0 ? -moved : moved) > h->mem_bytes / 16)
        r->host_dirty = true;
    shape_done(&host_shape, &r->host);
    r->host = *h;
    shape_init(&host_shape, h);
    return news;
}

void reporter_touch_host(struct reporter *r)
{
    r->host_dirty = true;
}

void reporter_libvirt(struct reporter *r, bool up)
{
    r->host_dirty = r->host_dirty || r->host.libvirt_up != up;
    r->host.libvirt_up = up;
}

static size_t len(const char *s)
{
    return s ? strlen(s) : 0;
}

static size_t weight(const struct vm *v)
{
    return 2048 + 512 * (v->n_disks + v->n_nics + v->n_hostdevs) + len(v->cpu_xml);
}

static void add_vm(struct report *ret, const struct vm *v, bool whole)
{
    struct vm *to = vec_add(&ret->vms, &ret->n_vms);
    struct vm from = *v;
    from.xml = from.xml_inactive = NULL; /* their digests speak for them */
    if (!whole)
        from.cpu_xml = NULL;
    shape_copy(&vm_shape, to, &from);
}

static void take_full(struct reporter *r, struct report *ret)
{
    size_t total = 0;
    for (size_t i = 0; i < r->n_vms; i++)
        total += weight(&r->vms[i]);
    bool whole = total <= FULL_MAX;
    for (size_t i = 0; i < r->n_vms; i++) {
        add_vm(ret, &r->vms[i], whole);
        r->dirty[i] = !whole;
    }
    clear_gone(r);
    ret->full = true;
    r->full_due = false;
    r->host_dirty = true; /* a full report has everything */
}

static void take_delta(struct reporter *r, struct report *ret)
{
    size_t total = 0;
    for (size_t i = 0; i < r->n_vms && total < DELTA_MAX; i++)
        if (r->dirty[i]) {
            add_vm(ret, &r->vms[i], true);
            r->dirty[i] = false;
            total += weight(&r->vms[i]);
        }
    ret->gone = take(r->gone);
    ret->n_gone = r->n_gone;
    r->n_gone = 0;
}

bool reporter_take(struct reporter *r, struct report *ret)
{
    shape_init(&report_shape, ret);
    if (r->known && r->full_due)
        take_full(r, ret);
    else if (r->known)
        take_delta(r, ret);
    ret->has_load = r->known && loads_take(r->loads, &ret->load);
    if (!r->host_dirty && !ret->full && !ret->n_vms && !ret->n_gone && !ret->has_load)
        return false;
    if (r->host_dirty) {
        ret->has_host = true;
        shape_copy(&host_shape, &ret->host, &r->host);
        r->reported_free = r->host.mem_free_bytes;
        r->host_dirty = false;
    }
    ret->seq = ++r->seq;
    return true;
}

static const char *text_of(const struct reporter *r, const char *digest)
{
    for (size_t i = 0; i < r->n_vms; i++) {
        const struct vm *v = &r->vms[i];
        if (str_eq(v->xml_digest, digest))
            return v->xml;
        if (str_eq(v->xml_inactive_digest, digest))
            return v->xml_inactive;
    }
    return NULL;
}

void reporter_xml(const struct reporter *r, const struct send_xml *asked, struct xml_texts *ret)
{
    size_t total = 0;
    for (size_t i = 0; i < asked->n_digests; i++) {
        const char *text = text_of(r, asked->digests[i]);
        if (len(text) > LIM_XML_BYTES)
            text = NULL; /* nobody would take it */
        if (ret->n_texts && total + len(text) > XML_BYTES)
            break;
        total += len(text);
        struct xml_text *x = vec_add(&ret->texts, &ret->n_texts);
        *x = (struct xml_text){.digest = xstrdup(asked->digests[i]), .text = xstrdup(text)};
    }
}

const struct host *reporter_host_now(const struct reporter *r)
{
    return &r->host;
}

const struct vm *reporter_vms(const struct reporter *r, size_t *ret_n)
{
    *ret_n = r->n_vms;
    return r->vms;
}

const struct vm *reporter_find(const struct reporter *r, const char *uuid)
{
    size_t i = index_of(r, uuid);
    return i < r->n_vms ? &r->vms[i] : NULL;
}
