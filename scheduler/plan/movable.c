/* What speaks against moving a VM wherever it would go. */
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/world.h"

struct asked {
    const struct snapshot *s;
    const struct policy *p;
    const struct plan_request *r; /* NULL: none */
    const struct snap_vm *sv;
    const struct vm *v;
};

static bool in_flight(const struct asked *a, struct reason *ret)
{
    bool by_hand = !a->sv->other_run && a->v->job != VM_JOB_NONE; /* idle() says so */
    if ((a->sv->moving_to < 0 && !a->sv->other_run) || by_hand)
        return true;
    ret->code = R_IN_FLIGHT;
    if (a->sv->moving_to >= 0)
        ret->have = xasprintf("it moves to %s", a->s->hosts[a->sv->moving_to].h->name);
    ret->cure = xstrdup("wait for that move: drover runs");
    return false;
}

static bool source(const struct asked *a, struct reason *ret)
{
    if (a->sv->nowhere)
        return true;
    const struct snap_host *h = &a->s->hosts[a->sv->host];
    if (h->connected && h->h->libvirt_up)
        return true;
    ret->code = h->connected ? R_LIBVIRT_DOWN : R_UNREACHABLE_SOURCE;
    ret->what = xasprintf("host %s", h->h->name);
    ret->cure =
        xasprintf("start %s on %s: systemctl start %s", h->connected ? "libvirt" : "the agent",
                  h->h->name, h->connected ? "libvirtd" : "drover-agent");
    return false;
}

static bool foreign(const struct asked *a, struct reason *ret)
{
    if (!a->v->foreign)
        return true;
    ret->code = R_FOREIGN;
    ret->have = xstrdup(a->v->foreign);
    ret->cure = xasprintf("move it with %s", a->v->foreign);
    return false;
}

/* The first rule of the kind that names the VM, or NULL. */
static const struct rule *rule_of(const struct asked *a, int kind)
{
    for (size_t i = 0; i < a->p->n_rules; i++)
        if (a->p->rules[i].kind == kind && selector_matches_vm(&a->p->rules[i].vms, a->v))
            return &a->p->rules[i];
    return NULL;
}

static void say_rule(const struct rule *r, enum reason_code code, struct reason *ret)
{
    ret->code = code;
    ret->what = xasprintf("rule %s", r->name);
    ret->where = xstrdup(r->where);
}

static bool excluded(const struct asked *a, struct reason *ret)
{
    const struct rule *r = rule_of(a, RULE_EXCLUDE);
    if (!r)
        return true;
    say_rule(r, R_EXCLUDED, ret);
    ret->cure = xasprintf("take it out of rule %s", r->name);
    return false;
}

static bool purpose(const struct asked *a, struct reason *ret)
{
    bool waits = a->r && a->r->goal == GOAL_ROOM && a->sv - a->s->vms == a->r->room_for;
    bool maintenance = !a->r || a->r->purpose == PURPOSE_MAINTENANCE || waits;
    const struct rule *r = maintenance ? NULL : rule_of(a, RULE_MAINTENANCE_ONLY);
    if (!r)
        return true;
    say_rule(r, R_MAINTENANCE_ONLY, ret);
    ret->cure = xasprintf("drain its host, or take it out of rule %s", r->name);
    return false;
}

static bool state(const struct asked *a, struct reason *ret)
{
    if (a->v->state == VM_RUNNING || a->v->state == VM_SHUTOFF)
        return true;
    bool paused = a->v->state == VM_PAUSED;
    ret->code = paused ? R_VM_PAUSED : R_VM_STATE;
    ret->need = xstrdup("running or shut off");
    ret->have = xstrdup(vm_state_names[a->v->state]);
    if (a->sv->nowhere) {
        ret->cure = xstrdup("start it by hand where you want it to run again");
        return false;
    }
    const char *host = a->s->hosts[a->sv->host].h->name;
    if (paused)
        ret->cure = xasprintf("resume it on %s: virsh resume %s", host, a->v->name);
    else if (a->v->state == VM_SUSPENDED)
        ret->cure = xasprintf("wake it on %s: virsh dompmwakeup %s", host, a->v->name);
    else
        ret->cure = xasprintf("look at it on %s: virsh domstate %s --reason", host, a->v->name);
    return false;
}

static bool idle(const struct asked *a, struct reason *ret)
{
    if (a->v->job == VM_JOB_NONE || a->sv->nowhere) /* it ended with the host */
        return true;
    ret->code = R_VM_BUSY;
    ret->have = xstrdup(vm_job_names[a->v->job]);
    ret->cure = xasprintf("wait for the job to end: virsh domjobinfo %s", a->v->name);
    return false;
}

/* Only fleets written down by people have such VMs. */
static bool size(const struct asked *a, struct reason *ret)
{
    if (a->v->mem_bytes >= 0 || a->v->state == VM_SHUTOFF)
        return true;
    ret->code = R_SIZE_UNKNOWN;
    ret->cure = xstrdup("say its memory in the snapshot");
    return false;
}

static bool persistent(const struct asked *a, struct reason *ret)
{
    if (a->v->persistent)
        return true;
    ret->code = R_TRANSIENT;
    ret->cure = xasprintf("define it: virsh dumpxml %s > %s.xml && virsh define %s.xml", a->v->name,
                          a->v->name, a->v->name);
    return false;
}

static bool managed_save(const struct asked *a, struct reason *ret)
{
    if (!a->v->managed_save)
        return true;
    ret->code = R_MANAGED_SAVE;
    ret->cure = xasprintf("start it: virsh start %s, or drop the saved memory: virsh "
                          "managedsave-remove %s",
                          a->v->name, a->v->name);
    return false;
}

static bool removable(const struct disk *d)
{
    return d->device == DISK_CDROM || d->device == DISK_FLOPPY;
}

static bool local(const struct disk *d)
{
    return d->kind == DISK_FILE || d->kind == DISK_BLOCK || d->kind == DISK_VOLUME ||
           d->kind == DISK_OTHER;
}

static void say_disk(const struct disk *d, enum reason_code code, struct reason *ret)
{
    ret->code = code;
    ret->what = xasprintf("disk %s", d->target);
    ret->need = xstrdup("RBD");
    ret->have = d->path ? xasprintf("%s %s", disk_kind_names[d->kind], d->path)
                        : xstrdup(disk_kind_names[d->kind]);
}

static bool disks(const struct asked *a, struct reason *ret)
{
    for (size_t i = 0; i < a->v->n_disks; i++) {
        const struct disk *d = &a->v->disks[i];
        if (removable(d) || !local(d))
            continue;
        say_disk(d, R_LOCAL_DISK, ret);
        ret->cure = xstrdup("put the disk on RBD");
        return false;
    }
    return true;
}

static bool media(const struct asked *a, struct reason *ret)
{
    for (size_t i = 0; i < a->v->n_disks; i++) {
        const struct disk *d = &a->v->disks[i];
        if (!removable(d) || !local(d))
            continue;
        say_disk(d, R_LOCAL_MEDIA, ret);
        ret->cure = xasprintf("eject the medium: virsh change-media %s %s --eject%s", a->v->name,
                              d->target, a->v->state == VM_SHUTOFF ? " --config" : "");
        return false;
    }
    return true;
}

static bool network_disks(const struct asked *a, struct reason *ret)
{
    for (size_t i = 0; i < a->v->n_disks; i++) {
        const struct disk *d = &a->v->disks[i];
        if (d->kind != DISK_NETWORK)
            continue;
        say_disk(d, R_NOT_RBD, ret);
        if (removable(d))
            ret->cure = xasprintf("eject the medium: virsh change-media %s %s --eject", a->v->name,
                                  d->target);
        else
            ret->cure = xstrdup("put the disk on RBD");
        return false;
    }
    return true;
}

/* As libvirt judges: librbd keeps its cache coherent in every mode; of any other disk the source's
 * page cache may hold what the destination does not see. */
static bool cache(const struct asked *a, struct reason *ret)
{
    for (size_t i = 0; i < a->v->n_disks; i++) {
        const struct disk *d = &a->v->disks[i];
        if (d->kind == DISK_RBD || d->kind == DISK_EMPTY || d->readonly || removable(d) ||
            str_eq(d->cache, "none") || str_eq(d->cache, "directsync") ||
            a->v->state == VM_SHUTOFF || a->sv->nowhere)
            continue;
        ret->code = R_CACHE_MODE;
        ret->what = xasprintf("disk %s", d->target);
        ret->need = xstrdup("cache none or directsync");
        ret->have = xstrdup(d->cache ? d->cache : "the hypervisor's default");
        ret->cure = xasprintf("set cache='none' for %s: virsh edit %s, then restart it", d->target,
                              a->v->name);
        return false;
    }
    return true;
}

static bool devices(const struct asked *a, struct reason *ret)
{
    const char *kind = NULL, *address = NULL;
    for (size_t i = 0; i < a->v->n_hostdevs && !kind; i++) {
        kind = a->v->hostdevs[i].kind ? a->v->hostdevs[i].kind : "host";
        address = a->v->hostdevs[i].address;
    }
    for (size_t i = 0; i < a->v->n_nics && !kind; i++)
        if (a->v->nics[i].kind == NIC_HOSTDEV) {
            kind = "network";
            address = a->v->nics[i].mac;
        }
    if (!kind)
        return true;
    ret->code = R_HOSTDEV;
    ret->what = xasprintf("%s device%s%s", kind, address ? " " : "", address ? address : "");
    ret->cure = xasprintf("detach it: virsh detach-device %s DEVICE.xml", a->v->name);
    return false;
}

static bool (*const checks[])(const struct asked *a, struct reason *ret) = {
    in_flight,  source,       foreign, excluded, purpose,       state, idle,    size,
    persistent, managed_save, disks,   media,    network_disks, cache, devices,
};

size_t plan_vm_reasons(const struct plan_world *w, int vm, bool cold, struct reason **list,
                       size_t *n)
{
    const struct snap_vm *sv = &w->s->vms[vm];
    struct asked a = {.s = w->s, .p = w->p, .r = w->r, .sv = sv, .v = sv->v};
    size_t before = *n;
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        struct reason why;
        shape_init(&reason_shape, &why);
        if (!checks[i](&a, &why) && !(cold && plan_cold_lifts(why.code)))
            *vec_add(list, n) = why;
        else
            shape_done(&reason_shape, &why);
    }
    return *n - before;
}

bool plan_vm_movable(const struct snapshot *s, const struct policy *p, int vm,
                     struct reason *ret_why)
{
    struct reason *list = NULL;
    size_t n = 0;
    plan_vm_reasons(&(struct plan_world){.s = s, .p = p}, vm, false, &list, &n);
    for (size_t i = 0; i < n; i++)
        if (i == 0 && ret_why)
            *ret_why = list[i];
        else
            shape_done(&reason_shape, &list[i]);
    free(list);
    return n == 0;
}
