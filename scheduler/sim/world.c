/* Hosts and VMs as they really are. */
#include <string.h>

#include "scheduler/sim/copy.h"

struct sim_times sim_times_default(void)
{
    return (struct sim_times){.wire_us = 500,
                              .libvirt_us = 10 * MSEC,
                              .ceph_us = 30 * MSEC,
                              .start_us = 1200 * MSEC,
                              .handover_us = 50 * MSEC,
                              .emulated_start_us = 1500 * MSEC,
                              .emulated_handover_us = 80 * MSEC,
                              .emulated_handover_max_us = 240 * MSEC,
                              .finish_us = 200 * MSEC,
                              .shutdown_us = 8 * SEC,
                              .restart_us = SEC,
                              .link_bps = INT64_C(10000000000)};
}

struct sim_host *host_named(struct sim *s, const char *name)
{
    return name ? lookup_get(&s->hosts_by, name) : NULL;
}

struct sim_vm *vm_named(struct sim *s, const char *name)
{
    return name ? lookup_get(&s->vms_by, name) : NULL;
}

struct qemu *qemu_on(const struct sim_vm *v, int host)
{
    for (size_t i = 0; i < v->n_qemus; i++)
        if (v->qemus[i].host == host)
            return &v->qemus[i];
    return NULL;
}

bool defined_on(const struct sim_vm *v, int host)
{
    for (size_t i = 0; i < v->n_defs; i++)
        if (v->defs[i] == host)
            return true;
    return false;
}

static void comes_here(struct sim *s, const struct sim_vm *v, int host)
{
    struct sim_host *h = &s->hosts[host];
    for (size_t i = 0; i < h->n_here; i++)
        if (h->here[i] == v->id)
            return;
    *(int *)vec_add(&h->here, &h->n_here) = v->id;
}

void vm_touched(struct sim *s, struct sim_vm *v, int host)
{
    comes_here(s, v, host);
    *(int *)vec_add(&s->touched, &s->n_touched) = v->id;
    agent_event(s, host, v->id);
}

void define_on(struct sim *s, struct sim_vm *v, int host, bool yes)
{
    if (defined_on(v, host) == yes)
        return;
    if (yes) {
        *(int *)vec_add(&v->defs, &v->n_defs) = host;
    } else {
        for (size_t i = 0; i < v->n_defs; i++)
            if (v->defs[i] == host) {
                vec_del(v->defs, &v->n_defs, i);
                break;
            }
    }
    vm_touched(s, v, host);
}

struct qemu *qemu_start(struct sim *s, struct sim_vm *v, int host, enum qemu_state state,
                        const char *why)
{
    struct qemu *q = vec_add(&v->qemus, &v->n_qemus);
    *q = (struct qemu){.host = host, .state = state, .why = why, .client = ++s->next_client};
    watch_open(s, v, host, q->client);
    if (state == QEMU_RUNNING)
        v->lock = q->client; /* its first write takes it */
    vm_touched(s, v, host);
    return q;
}

void qemu_set(struct sim *s, struct sim_vm *v, int host, enum qemu_state state, const char *why)
{
    struct qemu *q = qemu_on(v, host);
    if (!q)
        return;
    q->state = state;
    q->why = why;
    if (state == QEMU_RUNNING)
        v->lock = q->client;
    vm_touched(s, v, host);
}

void qemu_end(struct sim *s, struct sim_vm *v, int host, bool lingers)
{
    for (size_t i = 0; i < v->n_qemus; i++) {
        if (v->qemus[i].host != host)
            continue;
        watch_close(s, v, v->qemus[i].client, lingers);
        if (v->qemus[i].state != QEMU_INCOMING)
            v->ran_on = host;
        vec_del(v->qemus, &v->n_qemus, i);
        vm_touched(s, v, host);
        return;
    }
}

char *xml_name(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (const char *c = text; c && *c; c++)
        h = (h ^ (unsigned char)*c) * UINT64_C(1099511628211);
    return text ? xasprintf("%016llx", (unsigned long long)h) : NULL;
}

/* Of a VM whose listing says no XML nobody speaks. */
static void name_xml(struct vm *v, bool runs, bool defined)
{
    if (!runs)
        free(take(v->xml));
    if (!defined)
        free(take(v->xml_inactive));
    free(v->xml_digest);
    free(v->xml_inactive_digest);
    v->xml_digest = xml_name(v->xml);
    v->xml_inactive_digest = xml_name(v->xml_inactive);
}

bool vm_seen(const struct sim *s, const struct sim_vm *v, int host, struct vm *ret)
{
    (void)s;
    const struct qemu *q = qemu_on(v, host);
    bool defined = defined_on(v, host);
    if (!q && !defined)
        return false;
    shape_copy(&vm_shape, ret, &v->facts);
    name_xml(ret, q != NULL, defined);
    ret->persistent = defined;
    ret->job = VM_JOB_NONE;
    ret->state = !q ? VM_SHUTOFF : q->state == QEMU_RUNNING ? VM_RUNNING : VM_PAUSED;
    if (q && v->copy && v->copy->from == host && v->copy->stage != COPY_STARTING)
        ret->job = VM_JOB_MIGRATING_OUT;
    if (q &&
        (q->state == QEMU_INCOMING || (v->copy && v->copy->to == host && copy_switched(v->copy))))
        ret->job = VM_JOB_MIGRATING_IN;
    return true;
}

int64_t host_used(const struct sim *s, int host)
{
    int64_t used = 0;
    const struct sim_host *h = &s->hosts[host];
    for (size_t i = 0; i < h->n_here; i++)
        if (qemu_on(&s->vms[h->here[i]], host))
            used += vm_need_bytes(&s->vms[h->here[i]].facts);
    return used;
}

bool host_reaches(const struct sim *s, int from, int to)
{
    const struct sim_host *a = &s->hosts[from], *b = &s->hosts[to];
    return a->powered && a->linked && b->powered && b->linked;
}

/* ---- the beginning ------------------------------------------------------------------------------- */
static void add_host(struct sim *s, const struct snap_host *from)
{
    struct sim_host *h = &s->hosts[s->n_hosts];
    h->id = (int)s->n_hosts++;
    shape_copy(&host_shape, &h->facts, from->h);
    struct host *f = &h->facts;
    h->powered = h->linked = true;
    h->libvirtd = f->libvirt_up;
    if (f->mem_free_bytes < 0)
        f->mem_free_bytes = f->mem_bytes;
    if (!f->migrate_uri)
        f->migrate_uri = xasprintf("qemu+tls://%s/system", f->name);
    if (!f->arch)
        f->arch = xstrdup("x86_64");
    /* an address of its own: by it Ceph's clients are told apart */
    if (!f->n_addresses)
        *(char **)vec_add(&f->addresses, &f->n_addresses) =
            xasprintf("10.77.%d.%d", (h->id + 1) >> 8 & 255, (h->id + 1) & 255);
}

/* What a listing did not say and a real host would: every disk is an image of its own, the same for all. */
static void complete(struct vm *v)
{
    v->state = VM_RUNNING;
    v->job = VM_JOB_NONE;
    if (!v->n_disks) {
        struct disk *d = vec_add(&v->disks, &v->n_disks);
        d->target = xstrdup("vda");
        d->kind = DISK_RBD;
        d->pool = xstrdup("vms");
        d->image = xstrdup(v->name);
    }
}

static void add_vm(struct sim *s, const struct snap_vm *from)
{
    struct sim_vm *v = &s->vms[s->n_vms];
    v->id = (int)s->n_vms++;
    v->ran_on = from->host;
    shape_copy(&vm_shape, &v->facts, from->v);
    bool runs = from->v->state != VM_SHUTOFF;
    complete(&v->facts);
    v->writes_Bps = v->facts.dirty_Bps > 0 ? v->facts.dirty_Bps : 0;
    v->hot_bytes = v->facts.mem_bytes; /* nobody knows how much of it is written again and again */
    v->wanted = runs;
    if (v->facts.persistent || !runs)
        *(int *)vec_add(&v->defs, &v->n_defs) = from->host;
    comes_here(s, v, from->host);
    if (!runs)
        return;
    struct qemu *q = vec_add(&v->qemus, &v->n_qemus);
    *q = (struct qemu){.host = from->host,
                       .state = from->v->state == VM_PAUSED ? QEMU_PAUSED : QEMU_RUNNING,
                       .why = from->v->state == VM_PAUSED ? "user" : "booted",
                       .client = ++s->next_client};
    watch_open(s, v, from->host, q->client);
    v->lock = q->client;
}

/* From the end: the first of a name stays. */
static void index_fleet(struct sim *s)
{
    for (size_t i = s->n_hosts; i-- > 0;)
        lookup_set(&s->hosts_by, s->hosts[i].facts.name, &s->hosts[i]);
    for (size_t i = s->n_vms; i-- > 0;) {
        lookup_set(&s->vms_by, s->vms[i].facts.name, &s->vms[i]);
        lookup_set(&s->vms_by, s->vms[i].facts.uuid, &s->vms[i]);
    }
}

struct sim *sim_new(const struct sim_config *cfg)
{
    struct sim *s = xcalloc(1, sizeof(*s));
    s->cfg = *cfg;
    s->cfg.fleet = NULL;
    rng_init(&s->rng, cfg->seed);
    if (cfg->policy) {
        s->brain.policy = *cfg->policy;
        memset(cfg->policy, 0, sizeof(*cfg->policy));
    } else {
        policy_default(&s->brain.policy);
    }
    s->hosts = xcalloc(cfg->fleet->n_hosts, sizeof(*s->hosts));
    s->vms = xcalloc(cfg->fleet->n_vms, sizeof(*s->vms));
    for (size_t i = 0; i < cfg->fleet->n_hosts; i++)
        add_host(s, &cfg->fleet->hosts[i]);
    for (size_t i = 0; i < cfg->fleet->n_vms; i++)
        add_vm(s, &cfg->fleet->vms[i]);
    index_fleet(s);
    for (size_t i = 0; i < s->n_hosts; i++) {
        int64_t over = host_used(s, (int)i) - check_room(s, (int)i);
        s->hosts[i].excess_bytes = over > 0 ? over : 0;
    }
    s->brain.next_seq = 1;
    s->brain.kill_after = cfg->kill_before - 1;
    s->brain.kill_early = cfg->kill_early;
    for (size_t i = 0; i < s->n_hosts; i++)
        if (cfg->fleet->hosts[i].state != HOST_UP || !cfg->fleet->hosts[i].connected)
            brain_knows_host(s, &s->hosts[i].facts, cfg->fleet->hosts[i].state);
    brain_start(s);
    for (size_t i = 0; i < s->n_hosts; i++)
        if (cfg->fleet->hosts[i].connected)
            agent_start(s, (int)i);
    return s;
}

static void vm_free(struct sim_vm *v)
{
    shape_done(&vm_shape, &v->facts);
    free(v->qemus);
    free(v->defs);
    free(v->watches);
}

void sim_free(struct sim *s)
{
    if (!s)
        return;
    sim_clock_done(s);
    ops_done(s);
    for (size_t i = 0; i < s->n_copies; i++)
        free(s->copies[i]);
    for (size_t i = 0; i < s->n_hosts; i++) {
        agent_free(&s->hosts[i].agent);
        wire_done(&s->hosts[i].wire);
        shape_done(&host_shape, &s->hosts[i].facts);
        free(s->hosts[i].begun);
        free(s->hosts[i].here);
    }
    for (size_t i = 0; i < s->n_vms; i++)
        vm_free(&s->vms[i]);
    for (size_t i = 0; i < s->n_faults; i++)
        deed_done(&s->faults[i].d);
    brain_free(&s->brain);
    lookup_done(&s->hosts_by);
    lookup_done(&s->vms_by);
    free(s->hosts);
    free(s->vms);
    free(s->copies);
    free(s->faults);
    free(s->touched);
    free(s->log);
    free(s->violation);
    free(s);
}

const char *sim_where(const struct sim *s, const char *vm, const char **ret_defined)
{
    const struct sim_vm *v = vm_named((struct sim *)(uintptr_t)s, vm);
    const char *runs = NULL;
    if (ret_defined)
        *ret_defined = NULL;
    for (size_t i = 0; v && i < v->n_qemus; i++)
        if (v->qemus[i].state == QEMU_RUNNING)
            runs = s->hosts[v->qemus[i].host].facts.name;
    for (size_t i = 0; v && ret_defined && i < v->n_defs; i++)
        if (!qemu_on(v, v->defs[i]))
            *ret_defined = s->hosts[v->defs[i]].facts.name;
    return runs;
}
