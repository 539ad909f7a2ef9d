/* A fleet that is read in pieces while the core goes on. The list of hosts and VMs is made at once; of what a
 * step then changes or removes, the pin takes what was there before, as long as it may yet be read. */
#include <string.h>

#include "scheduler/core/internal.h"

struct core_pin {
    struct snapshot_store snap;
    size_t vms_read;
    struct vm **vms; /* taken */
    size_t n_vms;
    struct host **hosts;
    size_t n_hosts;
};

const struct snapshot *core_pin(struct core *c)
{
    core_unpin(c);
    c->pin = xcalloc(1, sizeof(*c->pin));
    snapshot_make(c, 0, 0, &c->pin->snap);
    snapshot_figures(c, &c->pin->snap);
    for (size_t i = 0; i < c->n_hosts; i++)
        c->pin->snap.hosts[i].load = NULL; /* it changes under the reader */
    return &c->pin->snap.s;
}

void core_pin_read(struct core *c, size_t vms)
{
    c->pin->vms_read = vms;
}

void core_unpin(struct core *c)
{
    struct core_pin *p = take(c->pin);
    if (!p)
        return;
    snapshot_done(&p->snap);
    for (size_t i = 0; i < p->n_vms; i++) {
        shape_done(&vm_shape, p->vms[i]);
        free(p->vms[i]);
    }
    for (size_t i = 0; i < p->n_hosts; i++) {
        shape_done(&host_shape, p->hosts[i]);
        free(p->hosts[i]);
    }
    free(p->vms);
    free(p->hosts);
    free(p);
}

/* Where the slot's facts are listed and not read yet. Only what is not read is looked at: the rest may be
 * gone. The slot may have its new facts by now; all others are as they were when they were put in order. */
static struct snap_vm *unread(const struct core_pin *p, const struct vm_slot *s, const struct vm *old)
{
    const char *uuid = old->uuid ? old->uuid : s->vm.uuid;
    size_t lo = p->vms_read, hi = p->snap.s.n_vms;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        struct snap_vm *v = &p->snap.vms[mid];
        if (v->v == &s->vm)
            return v;
        int d = strcmp(v->v->name, old->name);
        d = d ? d : strcmp(v->v->uuid, uuid);
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

void pin_release_vm(struct core *c, const struct vm_slot *s, struct vm *old)
{
    struct snap_vm *v = c->pin ? unread(c->pin, s, old) : NULL;
    if (!v) {
        shape_done(&vm_shape, old);
        return;
    }
    struct vm *kept = xmemdup(old, sizeof(*old));
    if (!kept->uuid)
        kept->uuid = xstrdup(s->vm.uuid);
    *(struct vm **)vec_add(&c->pin->vms, &c->pin->n_vms) = kept;
    v->v = kept;
    memset(old, 0, sizeof(*old));
}

/* Until the end: a VM that is read names its host. */
void pin_release_host(struct core *c, struct host *old)
{
    struct core_pin *p = c->pin;
    int i = p ? snap_host_id(&p->snap.s, old->name) : -1;
    if (i < 0 || p->snap.hosts[i].h != old) {
        shape_done(&host_shape, old);
        return;
    }
    struct host *kept = xmemdup(old, sizeof(*old));
    *(struct host **)vec_add(&p->hosts, &p->n_hosts) = kept;
    p->snap.hosts[i].h = kept;
    memset(old, 0, sizeof(*old));
}
