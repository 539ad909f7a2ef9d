#include "scheduler/plan/whatif.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

/* Names of hosts that a rule is rewritten to; a rule of thousands is not. */
enum { NAMES_MOST = 256 };

static void *own(struct whatif *k, void *p)
{
    *vec_add(&k->owned, &k->n_owned) = p;
    return p;
}

/* A copy of n elements with room for one more, zeroed. */
static void *grown(struct whatif *k, const void *list, size_t n, size_t size)
{
    void *copy = own(k, xcalloc(n + 1, size));
    if (list && n)
        memcpy(copy, list, n * size);
    return copy;
}

/* ---- copies that may be written to -------------------------------------------------------------- */

static struct snap_host *edit_hosts(struct whatif *k, const struct plan_index *x)
{
    const struct snapshot *s = plan_index_snapshot(x);
    if (k->s.hosts == s->hosts)
        k->s.hosts = grown(k, s->hosts, s->n_hosts, sizeof(*s->hosts));
    return k->s.hosts;
}

static struct host *edit_host(struct whatif *k, const struct plan_index *x, int host)
{
    struct snap_host *h = &edit_hosts(k, x)[host];
    struct host *copy = own(k, xmemdup(h->h, sizeof(*copy)));
    h->h = copy;
    return copy;
}

static struct snap_vm *edit_vms(struct whatif *k, const struct plan_index *x)
{
    const struct snapshot *s = plan_index_snapshot(x);
    if (k->s.vms == s->vms)
        k->s.vms = grown(k, s->vms, s->n_vms, sizeof(*s->vms));
    return k->s.vms;
}

static struct vm *edit_vm(struct whatif *k, const struct plan_index *x, int vm)
{
    struct snap_vm *v = &edit_vms(k, x)[vm];
    struct vm *copy = own(k, xmemdup(v->v, sizeof(*copy)));
    v->v = copy;
    return copy;
}

static struct rule *edit_rule(struct whatif *k, const struct plan_index *x, int rule)
{
    const struct policy *p = plan_index_policy(x);
    if (k->p.rules == p->rules)
        k->p.rules = grown(k, p->rules, p->n_rules, sizeof(*p->rules));
    return &k->p.rules[rule];
}

/* ---- the request --------------------------------------------------------------------------------- */

static bool change_to(struct whatif *k, int host)
{
    int *to = grown(k, k->r.to, k->r.n_to, sizeof(*to));
    if (!k->r.n_to)
        return false;
    to[k->r.n_to++] = host;
    k->r.to = to;
    return true;
}

static bool change_avoid(struct whatif *k, int host)
{
    int *avoid = grown(k, NULL, k->r.n_avoid, sizeof(*avoid));
    size_t n = 0;
    for (size_t i = 0; i < k->r.n_avoid; i++)
        if (k->r.avoid[i] != host)
            avoid[n++] = k->r.avoid[i];
    bool known = n < k->r.n_avoid;
    k->r.avoid = avoid;
    k->r.n_avoid = n;
    return known;
}

static bool change_forget(struct whatif *k, const struct change *c)
{
    struct plan_refusal *list = grown(k, NULL, k->r.n_refusals, sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; i < k->r.n_refusals; i++) {
        const struct plan_refusal *f = &k->r.refusals[i];
        if (f->vm != c->of || f->host != c->host || f->why->code != c->code)
            list[n++] = *f;
    }
    bool known = n < k->r.n_refusals;
    k->r.refusals = list;
    k->r.n_refusals = n;
    return known;
}

/* ---- a host ---------------------------------------------------------------------------------------- */

/* The memory with which a host has so much more for VMs. */
static int64_t memory_for(const struct policy *p, int64_t capacity)
{
    int64_t ppm = p->capacity.mem_overcommit_ppm;
    __int128 x = ((__int128)capacity + p->capacity.mem_reserve_bytes) * 1000000;
    return (int64_t)((x + ppm - 1) / ppm);
}

static bool change_room(struct whatif *k, const struct plan_index *x, const struct change *c)
{
    const struct plan_world w = {.s = &k->s, .p = &k->p};
    int64_t mem = plan_mem_capacity(&w, c->host), cpus = plan_vcpu_capacity(&w, c->host);
    int64_t ppm = k->p.capacity.vcpu_overcommit_ppm;
    if (mem < 0 || (c->vcpus && (cpus < 0 || !ppm)) || !k->p.capacity.mem_overcommit_ppm)
        return false;
    struct host *h = edit_host(k, x, c->host);
    if (c->bytes)
        h->mem_bytes = memory_for(&k->p, mem + c->bytes);
    if (c->vcpus)
        h->cpus = (int64_t)(((__int128)(cpus + c->vcpus) * 1000000 + ppm - 1) / ppm);
    h->hugepage_total_bytes += c->huge_bytes;
    k->pad_host = c->host;
    k->pad.mem_bytes = plan_mem_capacity(&w, c->host) - mem - c->bytes;
    k->pad.vcpus = c->vcpus ? plan_vcpu_capacity(&w, c->host) - cpus - c->vcpus : 0;
    return true;
}

static char **with_name(struct whatif *k, char *const *list, size_t n, const char *name)
{
    char **more = grown(k, list, n, sizeof(*more));
    more[n] = (char *)(uintptr_t)name;
    return more;
}

/* The first network card of the kind whose network the host does not have, or NULL. */
static const char *missing_network(const struct vm *v, int kind, char *const *has, size_t n)
{
    for (size_t i = 0; i < v->n_nics; i++)
        if (v->nics[i].kind == kind && v->nics[i].source && !str_in(v->nics[i].source, has, n))
            return v->nics[i].source;
    return NULL;
}

static bool add_network(struct whatif *k, struct host *h, const struct vm *v, int kind)
{
    bool bridge = kind == NIC_BRIDGE;
    char ***list = bridge ? &h->bridges : &h->networks;
    size_t *n = bridge ? &h->n_bridges : &h->n_networks;
    const char *name = missing_network(v, kind, *list, *n);
    if (!name)
        return false;
    *list = with_name(k, *list, *n, name);
    ++*n;
    return true;
}

static bool is_secret(const struct secret *s, const struct disk *d)
{
    return d->secret_uuid ? str_eq(s->uuid, d->secret_uuid) : str_eq(s->usage, d->secret_usage);
}

/* The secret of the first disk that lacks it. */
static bool add_secret(struct whatif *k, struct host *h, const struct vm *v)
{
    struct secret *list = grown(k, h->secrets, h->n_secrets, sizeof(*list));
    for (size_t i = 0; i < v->n_disks; i++) {
        const struct disk *d = &v->disks[i];
        size_t at = 0;
        if (d->kind != DISK_RBD || (!d->secret_uuid && !d->secret_usage))
            continue;
        while (at < h->n_secrets && !is_secret(&list[at], d))
            at++;
        if (at < h->n_secrets && list[at].readable)
            continue;
        if (at == h->n_secrets)
            list[h->n_secrets++] =
                (struct secret){.uuid = d->secret_uuid, .usage = d->secret_usage};
        list[at].readable = true;
        h->secrets = list;
        return true;
    }
    return false;
}

static bool change_host(struct whatif *k, const struct plan_index *x, const struct change *c)
{
    const struct snap_vm *sv = &k->s.vms[c->of];
    struct host *h = edit_host(k, x, c->host);
    switch (c->code) {
    case R_HOST_UNREACHABLE:
    case R_UNREACHABLE_SOURCE:
        return k->s.hosts[c->host].connected = true;
    case R_LIBVIRT_DOWN:
        return h->libvirt_up = true;
    case R_BRIDGE:
        return add_network(k, h, sv->v, NIC_BRIDGE);
    case R_NETWORK:
        return add_network(k, h, sv->v, NIC_NETWORK);
    case R_SECRET:
        return add_secret(k, h, sv->v);
    case R_CLUSTER_DIFFERS:
        h->ceph_fsid = k->s.hosts[sv->host].h->ceph_fsid;
        return true;
    case R_MACHINE:
        h->machines = with_name(k, h->machines, h->n_machines++, sv->v->machine);
        return true;
    case R_VIRT:
        h->virts = with_name(k, h->virts, h->n_virts++, sv->v->virt);
        return true;
    default:
        return false;
    }
}

/* Moves from and to the host have ended: their VMs are where they were going. */
static bool change_ended(struct whatif *k, const struct plan_index *x, int host)
{
    struct snap_vm *v = edit_vms(k, x);
    bool any = false;
    for (size_t i = 0; i < k->s.n_vms; i++) {
        if (v[i].moving_to < 0 || (v[i].host != host && v[i].moving_to != host))
            continue;
        v[i].host = v[i].moving_to;
        v[i].moving_to = -1;
        any = true;
    }
    return any;
}

/* ---- the VM itself -------------------------------------------------------------------------------- */

static bool removable(const struct disk *d)
{
    return d->device == DISK_CDROM || d->device == DISK_FLOPPY;
}

static bool concerned(const struct disk *d, int code)
{
    bool local = d->kind == DISK_FILE || d->kind == DISK_BLOCK || d->kind == DISK_VOLUME ||
                 d->kind == DISK_OTHER;
    switch (code) {
    case R_LOCAL_DISK:
        return local && !removable(d);
    case R_LOCAL_MEDIA:
        return local && removable(d);
    case R_NOT_RBD:
        return d->kind == DISK_NETWORK;
    default:
        return d->kind != DISK_RBD && d->kind != DISK_EMPTY && !d->readonly && !removable(d) &&
               !str_eq(d->cache, "none") && !str_eq(d->cache, "directsync");
    }
}

/* The first disk that the reason is about: the cure speaks of that one. */
static bool change_disk(struct whatif *k, struct vm *v, int code)
{
    static char none[] = "none";
    struct disk *list = grown(k, v->disks, v->n_disks, sizeof(*list));
    v->disks = list;
    for (size_t i = 0; i < v->n_disks; i++) {
        if (!concerned(&list[i], code))
            continue;
        if (code == R_CACHE_MODE)
            list[i].cache = none;
        else
            list[i].kind = removable(&list[i]) ? DISK_EMPTY : DISK_RBD;
        return true;
    }
    return false;
}

static bool change_device(struct whatif *k, struct vm *v)
{
    if (v->n_hostdevs) {
        v->hostdevs++;
        v->n_hostdevs--;
        return true;
    }
    struct nic *list = grown(k, v->nics, v->n_nics, sizeof(*list));
    v->nics = list;
    for (size_t i = 0; i < v->n_nics; i++)
        if (list[i].kind == NIC_HOSTDEV) {
            list[i] = list[--v->n_nics];
            return true;
        }
    return false;
}

static bool change_vm(struct whatif *k, const struct plan_index *x, const struct change *c)
{
    struct vm *v = edit_vm(k, x, c->of);
    switch (c->code) {
    case R_VM_PAUSED:
    case R_VM_STATE:
        v->state = VM_RUNNING;
        return true;
    case R_VM_BUSY:
        v->job = VM_JOB_NONE;
        return true;
    case R_TRANSIENT:
        return v->persistent = true;
    case R_MANAGED_SAVE:
        v->managed_save = false;
        return true;
    case R_LOCAL_DISK:
    case R_LOCAL_MEDIA:
    case R_NOT_RBD:
    case R_CACHE_MODE:
        return change_disk(k, v, c->code);
    case R_HOSTDEV:
        return change_device(k, v);
    default:
        return false;
    }
}

/* ---- the policy ------------------------------------------------------------------------------------ */

static bool plain_name(const char *s)
{
    return !strpbrk(s, "*?[\\");
}

/* The rule's hosts by name, this one more or less. */
static bool change_allow(struct whatif *k, const struct plan_index *x, const struct change *c)
{
    struct rule *r = edit_rule(k, x, c->rule);
    bool required = r->kind == RULE_HOST_REQUIRED;
    char **names = own(k, xcalloc(k->s.n_hosts, sizeof(*names)));
    size_t n = 0;
    for (size_t h = 0; h < k->s.n_hosts; h++) {
        const struct host *host = k->s.hosts[h].h;
        bool in = (int)h == c->host ? required : selector_matches_host(&r->hosts, host);
        if (!in)
            continue;
        if (n == NAMES_MOST || !plain_name(host->name))
            return false;
        names[n++] = host->name;
    }
    r->hosts = (struct selector){.names = names, .n_names = n};
    if (!n) /* an empty choice would be all */
        r->hard = false;
    k->rule = c->rule;
    return true;
}

static bool change_number(struct rule *r, int64_t n)
{
    if (r->kind != RULE_MAX_VMS && (r->kind != RULE_SPREAD || n < 2))
        return false;
    *(r->kind == RULE_MAX_VMS ? &r->max : &r->min) = n;
    return true;
}

static bool change_soft(struct rule *r)
{
    if (rule_defs[r->kind]->strength != HARD_OR_SOFT)
        return false;
    r->hard = false;
    r->weight = 1;
    return true;
}

/* Kinds that speak of each VM alone: to be in none is to be in one that wants nothing. */
static bool change_out(struct rule *r)
{
    if (r->kind != RULE_EXCLUDE && r->kind != RULE_MAINTENANCE_ONLY)
        return false;
    r->kind = RULE_HOST_PREFERRED;
    r->hard = false;
    r->weight = 0;
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------------- */

static bool apply(struct whatif *k, const struct plan_index *x, const struct change *c)
{
    switch ((enum change_kind)c->kind) {
    case CHANGE_TO:
        return change_to(k, c->host);
    case CHANGE_AVOID:
        return change_avoid(k, c->host);
    case CHANGE_UP:
        edit_hosts(k, x)[c->host].state = HOST_UP;
        return true;
    case CHANGE_ENDED:
        return change_ended(k, x, c->host);
    case CHANGE_MOVED:
        edit_vms(k, x)[c->vm].host = c->to;
        return true;
    case CHANGE_ROOM:
        return change_room(k, x, c);
    case CHANGE_HOST:
        return change_host(k, x, c);
    case CHANGE_VM:
        return change_vm(k, x, c);
    case CHANGE_FORGET:
        return change_forget(k, c);
    case CHANGE_SOFT:
        return change_soft(edit_rule(k, x, c->rule));
    case CHANGE_NUMBER:
        return change_number(edit_rule(k, x, c->rule), c->number);
    case CHANGE_ALLOW:
        return change_allow(k, x, c);
    case CHANGE_OUT:
        return change_out(edit_rule(k, x, c->rule));
    case CHANGE_SPARE:
        k->p.capacity.spare_hosts = c->number;
        return true;
    case CHANGE_COLD:
        return k->r.allow_cold = true;
    }
    return false;
}

bool whatif_make(const struct plan_index *x, const struct plan_request *r,
                 const struct change *list, size_t n, struct whatif *ret)
{
    struct whatif *k = ret;
    *k = (struct whatif){
        .s = *plan_index_snapshot(x), .p = *plan_index_policy(x), .r = *r, .was = x, .rule = -1};
    k->r.wish = NULL;
    k->r.rank = NULL; /* all are to go, so nobody goes before another */
    for (size_t i = 0; i < n; i++)
        if (!apply(k, x, &list[i])) {
            whatif_done(k);
            return false;
        }
    k->x = plan_index_like(x, &k->s, &k->p, k->rule);
    plan_index_pad(k->x, k->pad_host, k->pad);
    return true;
}

void whatif_done(struct whatif *k)
{
    plan_index_free(k->x);
    for (size_t i = 0; i < k->n_owned; i++)
        free(k->owned[i]);
    free(k->owned);
    *k = (struct whatif){0};
}

bool whatif_all_go(struct whatif *k, const int *vms, size_t n, uint64_t seed)
{
    struct plan p;
    k->r.goal = GOAL_LEAVE;
    k->r.vms = vms;
    k->r.n_vms = n;
    k->r.quick = true;
    plan_make_from(k->x, &k->r, seed, &p);
    bool all = !p.n_stays && plan_verify(&k->s, &k->p, &k->r, &p, NULL);
    plan_done(&p);
    return all;
}
