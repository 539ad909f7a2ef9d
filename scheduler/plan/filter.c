/* May a VM go to a host? A fixed table of small questions; the first "no" is the answer. What cannot
 * be changed quickly is asked before capacity, so that "not enough memory" is never said of a host
 * that another rule forbids anyway. */
#include <assert.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/world.h"

static bool same_host(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    if (w->f.at[q->vm] != q->host)
        return true;
    if (ret) {
        ret->code = R_SAME_HOST;
        ret->cure = xstrdup("add another host: start drover-agent there");
    }
    return false;
}

static bool host_up(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    int state = w->s->hosts[q->host].state;
    if (state == HOST_UP)
        return true;
    if (ret) {
        const char *name = host_of(w, q)->name;
        ret->code = R_HOST_NOT_UP;
        ret->need = xstrdup("a host that is up");
        ret->have = xstrdup(host_state_names[state]);
        if (state != HOST_DRAINING) /* a run is at work there, and would be in the way */
            ret->cure = state == HOST_LOST ? xasprintf("bring host %s back", name)
                                           : xasprintf("drover resume %s", name);
    }
    return false;
}

static bool connected(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    if (w->s->hosts[q->host].connected)
        return true;
    if (ret) {
        ret->code = R_HOST_UNREACHABLE;
        ret->cure =
            xasprintf("start the agent on %s: systemctl start drover-agent", host_of(w, q)->name);
    }
    return false;
}

static bool libvirt_up(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    if (host_of(w, q)->libvirt_up)
        return true;
    if (ret) {
        ret->code = R_LIBVIRT_DOWN;
        ret->cure = xasprintf("start libvirt on %s: systemctl start libvirtd", host_of(w, q)->name);
    }
    return false;
}

static bool contains(const int *list, size_t n, int x)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == x)
            return true;
    return false;
}

static bool not_avoided(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    if (!w->r || !contains(w->r->avoid, w->r->n_avoid, q->host))
        return true;
    if (ret) {
        ret->code = R_AVOIDED;
        ret->cure = xasprintf("leave out --avoid %s", host_of(w, q)->name);
    }
    return false;
}

static bool among_to(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    bool other = w->r && w->r->goal == GOAL_ROOM && q->vm != w->r->room_for;
    if (!w->r || !w->r->to || other || contains(w->r->to, w->r->n_to, q->host))
        return true;
    if (ret) {
        ret->code = R_NOT_IN_TO;
        ret->cure = xasprintf("add --to %s", host_of(w, q)->name);
    }
    return false;
}

bool plan_cold_lifts(int code)
{
    /* A stopped VM has no cache to lose and no memory that fails to converge. All else that speaks
     * against a move speaks against starting it there too, or against stopping it at all. */
    return code == R_CACHE_MODE || code == R_MIGRATE_FAILED;
}

static size_t count_refusals(const struct plan_world *w)
{
    return w->refusals ? w->r->n_refusals : 0;
}

/* The first refusal that is about this VM at this host or a later one. */
static size_t first_refusal(const struct plan_world *w, int vm, int host)
{
    size_t lo = 0, hi = count_refusals(w);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct plan_refusal *x = w->refusals[mid];
        if (x->vm < vm || (x->vm == vm && x->host < host))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool plan_any_refused(const struct plan_world *w, int vm)
{
    size_t i = first_refusal(w, vm, -1);
    return i < count_refusals(w) && w->refusals[i]->vm == vm;
}

const struct reason *plan_refused(const struct plan_world *w, int vm, int host, bool cold)
{
    size_t n = count_refusals(w), lo = first_refusal(w, vm, host);
    for (; lo < n && w->refusals[lo]->vm == vm && w->refusals[lo]->host == host; lo++)
        if (!cold || !plan_cold_lifts(w->refusals[lo]->why->code))
            return w->refusals[lo]->why;
    return NULL;
}

static bool not_refused(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    const struct reason *why = plan_refused(w, q->vm, q->host, q->cold);
    if (why && ret) {
        shape_done(&reason_shape, ret);
        shape_copy(&reason_shape, ret, why);
    }
    return !why;
}

/* ---- what the host must have ------------------------------------------------------------------ */

static bool arch(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    const char *need = vm_of(w, q)->arch, *have = host_of(w, q)->arch;
    if (!need || !have || str_eq(need, have))
        return true;
    if (ret) {
        ret->code = R_ARCH;
        ret->need = xstrdup(need);
        ret->have = xstrdup(have);
    }
    return false;
}

static bool virt(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    const struct host *h = host_of(w, q);
    const char *need = vm_of(w, q)->virt;
    /* an empty list is a host that did not say: the destination's own check asks again */
    if (!need || !h->n_virts || str_in(need, h->virts, h->n_virts))
        return true;
    if (ret) {
        ret->code = R_VIRT;
        ret->need = xstrdup(need);
        ret->have = xasprintf("only %s", h->virts[0]);
        if (str_eq(need, "kvm"))
            ret->cure = xasprintf("enable KVM on %s: modprobe kvm_intel or kvm_amd", h->name);
    }
    return false;
}

static bool machine(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    const struct host *h = host_of(w, q);
    const char *need = vm_of(w, q)->machine;
    if (!need || !h->n_machines || str_in(need, h->machines, h->n_machines))
        return true;
    if (ret) {
        ret->code = R_MACHINE;
        ret->what = xasprintf("machine type %s", need);
        ret->need = xstrdup(need);
        ret->have = h->qemu_version ? xasprintf("QEMU %s", h->qemu_version) : NULL;
        ret->cure = xasprintf("install a QEMU on %s that has %s", h->name, need);
    }
    return false;
}

static bool bridges(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    const struct vm *v = vm_of(w, q);
    const struct host *h = host_of(w, q);
    for (size_t i = 0; i < v->n_nics; i++) {
        const char *br = v->nics[i].source;
        if (v->nics[i].kind != NIC_BRIDGE || !br || str_in(br, h->bridges, h->n_bridges))
            continue;
        if (ret) {
            ret->code = R_BRIDGE;
            ret->what = xasprintf("bridge %s", br);
            ret->need = xstrdup(br);
            ret->cure =
                xasprintf("create it on %s: ip link add %s type bridge && ip link set %s up",
                          h->name, br, br);
        }
        return false;
    }
    return true;
}

static bool networks(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    const struct vm *v = vm_of(w, q);
    const struct host *h = host_of(w, q);
    for (size_t i = 0; i < v->n_nics; i++) {
        const char *net = v->nics[i].source;
        if (v->nics[i].kind != NIC_NETWORK || !net || str_in(net, h->networks, h->n_networks))
            continue;
        if (ret) {
            ret->code = R_NETWORK;
            ret->what = xasprintf("network %s", net);
            ret->need = xstrdup(net);
            ret->cure = xasprintf("define and start it on %s: virsh net-start %s", h->name, net);
        }
        return false;
    }
    return true;
}

/* Disks without monitors in their XML are found through each host's own ceph.conf. */
static bool cluster(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    const struct vm *v = vm_of(w, q);
    const struct host *h = host_of(w, q);
    int from = w->s->vms[q->vm].host;
    const char *need = from >= 0 ? w->s->hosts[from].h->ceph_fsid : NULL;
    for (size_t i = 0; need && i < v->n_disks; i++) {
        const struct disk *d = &v->disks[i];
        if (d->kind != DISK_RBD || d->n_mons || d->conf || str_eq(need, h->ceph_fsid))
            continue;
        if (ret) {
            ret->code = R_CLUSTER_DIFFERS;
            ret->what = xasprintf("disk %s", d->target);
            ret->need = xstrdup(need);
            ret->have = xstrdup(h->ceph_fsid ? h->ceph_fsid : "no ceph.conf");
            ret->cure = xasprintf("give %s the cluster's /etc/ceph/ceph.conf", h->name);
        }
        return false;
    }
    return true;
}

static const struct secret *find_secret(const struct host *h, const struct disk *d)
{
    for (size_t i = 0; i < h->n_secrets; i++)
        if (d->secret_uuid ? str_eq(h->secrets[i].uuid, d->secret_uuid)
                           : str_eq(h->secrets[i].usage, d->secret_usage))
            return &h->secrets[i];
    return NULL;
}

static bool secrets(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    const struct vm *v = vm_of(w, q);
    const struct host *h = host_of(w, q);
    for (size_t i = 0; i < v->n_disks; i++) {
        const struct disk *d = &v->disks[i];
        const char *name = d->secret_uuid ? d->secret_uuid : d->secret_usage;
        if (d->kind != DISK_RBD || !name)
            continue;
        const struct secret *s = find_secret(h, d);
        if (s && s->readable)
            continue;
        if (ret) {
            ret->code = R_SECRET;
            ret->what = xasprintf("disk %s", d->target);
            ret->need = xasprintf("secret %s", name);
            ret->have = xstrdup(s ? "one whose value cannot be read" : "none");
            ret->cure = s ? xasprintf("set it on %s: virsh secret-set-value %s --file KEYFILE",
                                      h->name, s->uuid)
                          : xasprintf("define it on %s: virsh secret-define FILE.xml, then virsh "
                                      "secret-set-value %s --file KEYFILE",
                                      h->name, name);
        }
        return false;
    }
    return true;
}

static bool name_clash(const struct plan_world *w, const struct plan_ask *q, int other,
                       struct reason *ret)
{
    const struct vm *v = vm_of(w, q), *o = w->s->vms[other].v;
    if (other == q->vm)
        return true;
    bool same_uuid = str_eq(v->uuid, o->uuid);
    /* an inactive leftover of the VM itself is replaced by the move */
    if (same_uuid ? !plan_counts(w->s, other) : !str_eq(v->name, o->name))
        return true;
    if (ret) {
        ret->code = same_uuid ? R_UUID_TAKEN : R_NAME_TAKEN;
        ret->what = xstrdup(o->name);
        ret->need = same_uuid ? xstrdup(v->uuid) : xasprintf("name %s", v->name);
        ret->have = xasprintf("domain %s (%s)", o->uuid, vm_state_names[o->state]);
        ret->cure = same_uuid
                        ? xasprintf("find out which of the two is the real %s: both run", v->name)
                        : xasprintf("rename one of the two: virsh domrename %s NEW-NAME", v->name);
    }
    return false;
}

static bool names(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    if (!w->name_shared[q->vm])
        return true;
    for (size_t i = w->by_host_start[q->host]; i < w->by_host_start[q->host + 1]; i++)
        if (!name_clash(w, q, w->by_host[i], ret))
            return false;
    return true;
}

static bool planned_names(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    for (size_t i = 0; w->name_shared[q->vm] && i < w->n_planned; i++)
        if (w->f.to[w->planned[i]] == q->host && !name_clash(w, q, w->planned[i], ret))
            return false;
    return true;
}

/* ---- rules ------------------------------------------------------------------------------------ */

static bool rule_allows(const struct plan_world *w, size_t i, int vm, int host, struct reason *ret)
{
    const struct rule *r = &w->p->rules[i];
    const struct rule_def *def = rule_defs[r->kind];
    if (!def->allows || def->allows(r, &w->match[i], &w->f, vm, host, ret))
        return true;
    if (ret)
        ret->where = xstrdup(r->where);
    return false;
}

bool plan_rule_about_hosts(const struct rule *r)
{
    return r->kind == RULE_HOST_REQUIRED || r->kind == RULE_HOST_FORBIDDEN ||
           r->kind == RULE_HOST_PREFERRED;
}

static bool rules_of(const struct plan_world *w, const struct plan_ask *q, bool of_hosts,
                     struct reason *ret)
{
    for (size_t i = w->rules_start[q->vm]; i < w->rules_start[q->vm + 1]; i++) {
        const struct rule *r = &w->p->rules[w->rules[i]];
        if (r->hard && plan_rule_about_hosts(r) == of_hosts &&
            !rule_allows(w, (size_t)w->rules[i], q->vm, q->host, ret))
            return false;
    }
    return true;
}

static bool host_rules(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    return rules_of(w, q, true, ret);
}

static bool company_rules(const struct plan_world *w, const struct plan_ask *q, struct reason *ret)
{
    return rules_of(w, q, false, ret);
}

/* In the order in which an operator would want to know. */
static const struct {
    int sets;
    bool (*allows)(const struct plan_world *w, const struct plan_ask *q, struct reason *ret);
} filters[] = {
    {PF_ITSELF, same_host},
    {PF_CLASS, host_up},
    {PF_CLASS, connected},
    {PF_CLASS, libvirt_up},
    {PF_CLASS, not_avoided},
    {PF_CLASS, among_to},
    {PF_CLASS, host_rules},
    {PF_CLASS, arch},
    {PF_CLASS, virt},
    {PF_CLASS, machine},
    {PF_CLASS, bridges},
    {PF_CLASS, networks},
    {PF_CLASS, cluster},
    {PF_CLASS, secrets},
    {PF_ITSELF, names},
    {PF_ITSELF, not_refused},
    {PF_DYNAMIC, planned_names},
    {PF_DYNAMIC | PF_COMPANY, company_rules},
    {PF_DYNAMIC, plan_memory},
    {PF_DYNAMIC, plan_hugepages},
    {PF_DYNAMIC, plan_numa},
    {PF_DYNAMIC, plan_vcpus},
    {PF_DYNAMIC, plan_spare_hosts},
};

bool plan_filter(const struct plan_world *w, const struct plan_ask *q, int sets,
                 struct reason *ret_why)
{
    struct reason *ret = ret_why;
    if (ret) {
        shape_init(&reason_shape, ret);
        ret->need_n = ret->have_n = -1;
    }
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        if (!(filters[i].sets & sets) || filters[i].allows(w, q, ret))
            continue;
        if (ret && !ret->host)
            ret->host = xstrdup(w->s->hosts[q->host].h->name);
        assert(!ret || ret->code != R_NONE);
        return false;
    }
    return true;
}

bool plan_many_noes(const struct plan_world *w, const struct plan_ask *q, int sets)
{
    int noes = 0;
    for (size_t i = 0; i < ARRAY_LEN(filters) && noes < 2; i++)
        noes += (filters[i].sets & sets) && !filters[i].allows(w, q, NULL);
    return noes > 1;
}

static bool allows(const struct plan_index *x, const struct plan_ask *q, bool followed,
                   struct reason *ret_why)
{
    cleanup(plan_world_done) struct plan_world w;
    const struct snapshot *s = plan_index_snapshot(x);
    plan_world_init(&w, x, NULL, NULL, 0);
    for (size_t i = 0; i < s->n_vms; i++)
        w.f.leaving[i] = followed ? s->vms[i].host == s->vms[q->vm].host : s->vms[i].leaves;
    if (w.f.to[q->vm] >= 0) /* its own reservation is not in its way */
        plan_world_take(&w, q->vm);
    bool ok = plan_filter(&w, q, PF_STATIC | PF_DYNAMIC, ret_why);
    if (!ok && ret_why)
        ret_why->more = plan_many_noes(&w, q, PF_STATIC | PF_DYNAMIC);
    return ok;
}

/* Its neighbours of today may follow it: only plan_make sees the group as one. */
bool plan_allows_from(const struct plan_index *x, int vm, int host, struct reason *ret_why)
{
    return allows(x, &(struct plan_ask){.vm = vm, .host = host}, true, ret_why);
}

bool plan_holds_from(const struct plan_index *x, int vm, int host, struct reason *ret_why)
{
    return allows(x, &(struct plan_ask){.vm = vm, .host = host}, false, ret_why);
}

bool plan_allows(const struct snapshot *s, const struct policy *p, int vm, int host,
                 struct reason *ret_why)
{
    struct plan_index *x = plan_index_new(s, p);
    bool ok = plan_holds_from(x, vm, host, ret_why);
    plan_index_free(x);
    return ok;
}
