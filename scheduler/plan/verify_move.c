/* One move by itself, read anew from the snapshot, the policy and the request. */
#include <fnmatch.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/verify.h"

static bool matches(const struct selector *sel, const char *name, const struct label *labels,
                    size_t n_labels)
{
    bool any = false;
    for (size_t i = 0; i < sel->n_names; i++)
        any |= fnmatch(sel->names[i], name, 0) == 0;
    if (sel->n_names && !any)
        return false;
    for (size_t i = 0; i < sel->n_labels; i++) {
        bool has = false;
        for (size_t j = 0; j < n_labels; j++)
            has |= !strcmp(sel->labels[i].key, labels[j].key) && labels[j].value &&
                   !strcmp(sel->labels[i].value, labels[j].value);
        if (!has)
            return false;
    }
    return true;
}

bool replay_rule_has(const struct rule *r, const struct vm *vm)
{
    return matches(&r->vms, vm->name, vm->labels, vm->n_labels);
}

bool replay_rule_names_host(const struct rule *r, const struct host *h)
{
    return matches(&r->hosts, h->name, h->labels, h->n_labels);
}

static bool disk_ok(struct replay *v, const struct plan_move *m, const struct disk *d)
{
    if (d->kind == DISK_RBD || d->kind == DISK_EMPTY)
        return true;
    bool medium = d->device == DISK_CDROM || d->device == DISK_FLOPPY;
    enum reason_code code = d->kind == DISK_NETWORK ? R_NOT_RBD
                            : medium                ? R_LOCAL_MEDIA
                                                    : R_LOCAL_DISK;
    return replay_bad(v, code, m->to, replay_name(v, m->vm), xstrdup(d->target));
}

static bool vm_ok(struct replay *v, const struct plan_move *m)
{
    const struct snap_vm *sv = &v->s->vms[m->vm];
    const struct vm *vm = sv->v;
    if (sv->moving_to >= 0 || sv->other_run)
        return replay_bad(v, R_IN_FLIGHT, m->to, replay_name(v, m->vm), NULL);
    if (!sv->nowhere && !v->s->hosts[sv->host].connected)
        return replay_bad(v, R_UNREACHABLE_SOURCE, m->to, replay_name(v, m->vm), NULL);
    if (!sv->nowhere && !v->s->hosts[sv->host].h->libvirt_up)
        return replay_bad(v, R_LIBVIRT_DOWN, sv->host, replay_name(v, m->vm), NULL);
    if (vm->state != VM_RUNNING && vm->state != VM_SHUTOFF)
        return replay_bad(v, vm->state == VM_PAUSED ? R_VM_PAUSED : R_VM_STATE, m->to,
                          replay_name(v, m->vm), NULL);
    if (sv->nowhere && m->live)
        return replay_bad(v, R_VM_STATE, m->to, replay_name(v, m->vm),
                          xstrdup("cannot move from nowhere"));
    if (!sv->nowhere && m->live != (vm->state == VM_RUNNING) && !(v->r->allow_cold && !m->live))
        return replay_bad(v, R_VM_STATE, m->to, replay_name(v, m->vm),
                          xstrdup("moved in the wrong way"));
    if (vm->job != VM_JOB_NONE && !sv->nowhere)
        return replay_bad(v, R_VM_BUSY, m->to, replay_name(v, m->vm), NULL);
    if (!vm->persistent)
        return replay_bad(v, R_TRANSIENT, m->to, replay_name(v, m->vm), NULL);
    if (vm->mem_bytes < 0 && vm->state != VM_SHUTOFF)
        return replay_bad(v, R_SIZE_UNKNOWN, m->to, replay_name(v, m->vm), NULL);
    if (vm->managed_save)
        return replay_bad(v, R_MANAGED_SAVE, m->to, replay_name(v, m->vm), NULL);
    if (vm->foreign)
        return replay_bad(v, R_FOREIGN, m->to, replay_name(v, m->vm), NULL);
    for (size_t i = 0; i < v->p->n_rules; i++) {
        const struct rule *r = &v->p->rules[i];
        bool balance_only = r->kind == RULE_MAINTENANCE_ONLY && v->r->purpose == PURPOSE_BALANCE;
        if ((r->kind == RULE_EXCLUDE || balance_only) && replay_rule_has(r, vm))
            return replay_bad(v, balance_only ? R_MAINTENANCE_ONLY : R_EXCLUDED, m->to,
                              replay_name(v, m->vm), xstrdup(r->name));
    }
    if (vm->n_hostdevs)
        return replay_bad(v, R_HOSTDEV, m->to, replay_name(v, m->vm), NULL);
    for (size_t i = 0; i < vm->n_disks; i++)
        if (!disk_ok(v, m, &vm->disks[i]))
            return false;
    return true;
}

static bool listed(const int *list, size_t n, int x)
{
    while (n)
        if (list[--n] == x)
            return true;
    return false;
}

static bool asked_ok(struct replay *v, const struct plan_move *m)
{
    if (listed(v->r->avoid, v->r->n_avoid, m->to))
        return replay_bad(v, R_AVOIDED, m->to, replay_name(v, m->vm), NULL);
    bool other = v->r->goal == GOAL_ROOM; /* `to` is for the VM that is to have room */
    if (v->r->to && !other && !listed(v->r->to, v->r->n_to, m->to))
        return replay_bad(v, R_NOT_IN_TO, m->to, replay_name(v, m->vm), NULL);
    for (size_t i = 0; i < v->r->n_refusals; i++) {
        const struct plan_refusal *f = &v->r->refusals[i];
        bool lifted = !m->live && v->r->allow_cold && v->s->vms[m->vm].v->state == VM_RUNNING &&
                      (f->why->code == R_CACHE_MODE || f->why->code == R_MIGRATE_FAILED);
        if (f->vm == m->vm && (f->host == m->to || f->host < 0) && !lifted)
            return replay_bad(v, (enum reason_code)f->why->code, m->to, replay_name(v, m->vm),
                              xstrdup("refused before"));
    }
    return true;
}

static bool has(char *const *list, size_t n, const char *x)
{
    while (n)
        if (!strcmp(list[--n], x))
            return true;
    return false;
}

static bool nics_ok(struct replay *v, const struct plan_move *m)
{
    const struct vm *vm = replay_vm(v, m->vm);
    const struct host *h = v->s->hosts[m->to].h;
    for (size_t i = 0; i < vm->n_nics; i++) {
        const struct nic *n = &vm->nics[i];
        if (n->kind == NIC_HOSTDEV)
            return replay_bad(v, R_HOSTDEV, m->to, replay_name(v, m->vm), NULL);
        if (n->kind == NIC_BRIDGE && n->source && !has(h->bridges, h->n_bridges, n->source))
            return replay_bad(v, R_BRIDGE, m->to, replay_name(v, m->vm), xstrdup(n->source));
        if (n->kind == NIC_NETWORK && n->source && !has(h->networks, h->n_networks, n->source))
            return replay_bad(v, R_NETWORK, m->to, replay_name(v, m->vm), xstrdup(n->source));
    }
    return true;
}

static bool ceph_ok(struct replay *v, const struct plan_move *m)
{
    const struct vm *vm = replay_vm(v, m->vm);
    const struct host *h = v->s->hosts[m->to].h;
    const char *fsid = m->from >= 0 ? v->s->hosts[m->from].h->ceph_fsid : NULL;
    for (size_t i = 0; i < vm->n_disks; i++) {
        const struct disk *d = &vm->disks[i];
        if (d->kind != DISK_RBD)
            continue;
        if (!d->n_mons && !d->conf && fsid && (!h->ceph_fsid || strcmp(fsid, h->ceph_fsid)))
            return replay_bad(v, R_CLUSTER_DIFFERS, m->to, replay_name(v, m->vm),
                              xstrdup(d->target));
        bool found = !d->secret_uuid && !d->secret_usage;
        for (size_t k = 0; k < h->n_secrets; k++) {
            const struct secret *s = &h->secrets[k];
            bool same = d->secret_uuid    ? !strcmp(d->secret_uuid, s->uuid)
                        : d->secret_usage ? s->usage && !strcmp(d->secret_usage, s->usage)
                                          : false;
            found |= same && s->readable;
        }
        if (!found)
            return replay_bad(v, R_SECRET, m->to, replay_name(v, m->vm), xstrdup(d->target));
    }
    return true;
}

static bool target_ok(struct replay *v, const struct plan_move *m)
{
    const struct snap_host *sh = &v->s->hosts[m->to];
    const struct host *h = sh->h;
    const struct vm *vm = replay_vm(v, m->vm);
    if (sh->state != HOST_UP)
        return replay_bad(v, R_HOST_NOT_UP, m->to, replay_name(v, m->vm), NULL);
    if (!sh->connected)
        return replay_bad(v, R_HOST_UNREACHABLE, m->to, replay_name(v, m->vm), NULL);
    if (!h->libvirt_up)
        return replay_bad(v, R_LIBVIRT_DOWN, m->to, replay_name(v, m->vm), NULL);
    if (vm->arch && h->arch && strcmp(vm->arch, h->arch))
        return replay_bad(v, R_ARCH, m->to, replay_name(v, m->vm), NULL);
    if (vm->virt && h->n_virts && !has(h->virts, h->n_virts, vm->virt))
        return replay_bad(v, R_VIRT, m->to, replay_name(v, m->vm), NULL);
    if (vm->machine && h->n_machines && !has(h->machines, h->n_machines, vm->machine))
        return replay_bad(v, R_MACHINE, m->to, replay_name(v, m->vm), NULL);
    return nics_ok(v, m) && ceph_ok(v, m);
}

bool replay_move(struct replay *v, const struct plan_move *m)
{
    return vm_ok(v, m) && asked_ok(v, m) && target_ok(v, m);
}
