#include "tests/unit/fakefleet.h"

#include <string.h>

static void perform(struct fleet *f, struct core_effects *fx);

static void step(struct fleet *f, struct core_event *ev)
{
    struct core_effects fx = {0};
    ev->now_us = ev->wall_us = f->now_us;
    core_step(f->core, ev, &fx);
    perform(f, &fx);
}

static int host_no(const struct fleet *f, const char *name)
{
    for (int i = 0; i < f->n_hosts; i++)
        if (str_eq(f->hosts[i].host.name, name))
            return i;
    return -1;
}

static struct fleet_vm *vm_no(struct fleet *f, const char *uuid)
{
    for (int i = 0; i < f->n_vms; i++)
        if (str_eq(f->vms[i].vm.uuid, uuid))
            return &f->vms[i];
    return NULL;
}

static void *body(enum msg_type t)
{
    void *b = xcalloc(1, msg_shape(t)->size);
    shape_init(msg_shape(t), b);
    return b;
}

static void post(struct fleet *f, int host, enum msg_type type, int64_t re, void *b)
{
    *(struct msg *)vec_add(&f->inbox, &f->n_inbox) =
        (struct msg){.re = re, .type = type, .body = b};
    *(int *)vec_add(&f->inbox_host, &f->n_inbox_host) = host;
}

static void report(struct fleet *f, int host, bool full)
{
    struct report *r = body(MSG_REPORT);
    r->full = full;
    r->has_host = full;
    if (full)
        shape_copy(&host_shape, &r->host, &f->hosts[host].host);
    for (int i = 0; i < f->n_vms; i++) {
        struct fleet_vm *v = &f->vms[i];
        v->vm.state = v->on >= 0 ? v->vm.state : VM_SHUTOFF;
        if (v->on == host || v->off_on == host)
            shape_copy(&vm_shape, vec_add(&r->vms, &r->n_vms), &v->vm);
        else if (!full)
            *(char **)vec_add(&r->gone, &r->n_gone) = xstrdup(v->vm.uuid);
    }
    post(f, host, MSG_REPORT, 0, r);
}

static void facts(struct fleet *f, int host, struct fleet_vm *v, struct image_fact **list,
                  size_t *n)
{
    struct image_fact *i = vec_add(list, n);
    shape_init(&image_fact_shape, i);
    i->target = xstrdup("vda");
    i->pool = xstrdup("vms");
    i->image = xstrdup(v->vm.name);
    i->ok = !f->hosts[host].ceph_hangs;
    if (!i->ok) {
        i->code = xstrdup("ceph_timeout");
        i->error = xstrdup("no answer in 10 s");
        return;
    }
    i->fsid = xstrdup(host != v->on && v->fsid_there ? v->fsid_there : "fsid-1");
    i->image_id = xasprintf("id-%s", v->vm.name);
    i->pool_id = 2;
    if (v->on >= 0) {
        struct ceph_client *w = vec_add(&i->watchers, &i->n_watchers);
        w->address = xasprintf("10.0.0.%d:0/77", v->on + 1);
        shape_copy(&ceph_client_shape, vec_add(&i->lockers, &i->n_lockers), w);
    }
}

static void answer_check(struct fleet *f, int host, const struct msg *m)
{
    const struct check_vms *q = m->body;
    struct vms_checked *a = body(MSG_VMS_CHECKED);
    for (size_t i = 0; i < q->n_vms; i++) {
        struct fleet_vm *v = vm_no(f, q->vms[i].uuid);
        struct verdict *o = vec_add(&a->verdicts, &a->n_verdicts);
        o->uuid = xstrdup(v->vm.uuid);
        const char *code = q->as_source ? v->check_code : v->bad_on == host ? v->bad_on_code : NULL;
        if (code)
            ((struct reason *)vec_add(&o->reasons, &o->n_reasons))->code =
                (int)reason_from_token(code);
        facts(f, host, v, &o->images, &o->n_images);
    }
    post(f, host, MSG_VMS_CHECKED, m->id, a);
}

static void answer_probe(struct fleet *f, int host, const struct msg *m)
{
    const struct probe *q = m->body;
    struct probed *a = body(MSG_PROBED);
    struct fleet_vm *v = vm_no(f, q->vm);
    a->vm = xstrdup(q->vm);
    a->job = q->job;
    a->attempt = q->attempt;
    bool copies = v->copying_to >= 0 && f->now_us >= v->copy_begins_us;
    a->seen = v->on == host                     ? SEEN_RUNNING
              : v->off_on == host               ? SEEN_SHUTOFF
              : copies && v->copying_to == host ? SEEN_PAUSED
                                                : SEEN_ABSENT;
    a->vm_job = copies && v->on == host           ? VM_JOB_MIGRATING_OUT
                : copies && v->copying_to == host ? VM_JOB_MIGRATING_IN
                                                  : VM_JOB_NONE;
    a->ordered = v->on == host && v->copying_to >= 0;
    if (f->hosts[host].libvirt_down)
        a->seen = SEEN_ERROR;
    facts(f, host, v, &a->images, &a->n_images);
    post(f, host, MSG_PROBED, m->id, a);
}

static void answer_census(struct fleet *f, int host, const struct msg *m)
{
    struct counted *a = body(MSG_COUNTED);
    a->ok = !f->hosts[host].libvirt_down;
    for (int i = 0; i < f->n_vms; i++)
        if (f->vms[i].on == host)
            *(char **)vec_add(&a->running, &a->n_running) = xstrdup(f->vms[i].vm.name);
    post(f, host, MSG_COUNTED, m->id, a);
}

static void answer_ceph(struct fleet *f, int host, const struct msg *m)
{
    struct ceph_told *a = body(MSG_CEPH_TOLD);
    shape_done(&ceph_told_shape, a);
    shape_copy(&ceph_told_shape, a, f->ceph);
    f->ceph_asked++;
    post(f, host, MSG_CEPH_TOLD, m->id, a);
}

static void answer_done(struct fleet *f, int host, const struct msg *m)
{
    struct done *a = body(MSG_DONE);
    a->ok = true;
    post(f, host, MSG_DONE, m->id, a);
}

static void answer_tune(struct fleet *f, int host, const struct msg *m)
{
    const struct tune *q = m->body;
    vm_no(f, q->vm)->pause_us = q->downtime_us;
    answer_done(f, host, m);
}

static void begin_copy(struct fleet *f, const struct msg *m)
{
    const struct migrate *q = m->body;
    struct fleet_vm *v = vm_no(f, q->vm);
    v->fail_next = v->fail_next || (v->fail_live && !q->offline);
    v->copying_to = host_no(f, q->dst_host);
    v->copy_begins_us = f->now_us + f->order_us;
    v->copy_ends_us = f->now_us + f->copy_us;
    v->job = q->job;
    v->attempt = q->attempt;
    v->cmd = m->id;
    v->pause_us = q->downtime_us;
}

static void end_copy(struct fleet *f, struct fleet_vm *v)
{
    bool off = v->off_on >= 0;
    int src = off ? v->off_on : v->on, dst = v->copying_to;
    bool moves = !v->fail_next && f->hosts[dst].up;
    struct migrated *a = body(MSG_MIGRATED);
    a->vm = xstrdup(v->vm.uuid);
    a->job = v->job;
    a->attempt = v->attempt;
    a->began = true;
    a->ok = moves && !v->lie_next;
    if (!a->ok)
        a->error = xstrdup("operation failed: migration job: unexpectedly failed");
    a->bytes = v->vm.mem_bytes;
    a->downtime_us = 50 * MSEC;
    v->copying_to = -1;
    *(off ? &v->off_on : &v->on) = moves ? dst : src;
    if (v->mute_next) {
        shape_done(&migrated_shape, a);
        free(a);
    } else {
        post(f, src, MSG_MIGRATED, v->cmd, a);
    }
    v->fail_next = v->lie_next = v->mute_next = false;
    if (moves) {
        report(f, src, false);
        if (!f->late_news)
            report(f, dst, false);
    }
}

static void command(struct fleet *f, int host, const struct msg *m)
{
    f->sends++;
    if (host < 0 || !f->hosts[host].up)
        return;
    if (m->type == MSG_CHECK_VMS)
        answer_check(f, host, m);
    else if (m->type == MSG_PROBE)
        answer_probe(f, host, m);
    else if (m->type == MSG_CENSUS)
        answer_census(f, host, m);
    else if (m->type == MSG_ASK_CEPH)
        answer_ceph(f, host, m);
    else if (m->type == MSG_MIGRATE)
        begin_copy(f, m);
    else if (m->type == MSG_TUNE)
        answer_tune(f, host, m);
    else if (m->type == MSG_ABORT) {
        struct fleet_vm *v = vm_no(f, ((const struct abort_job *)m->body)->vm);
        v->fail_next = true;
        v->copy_ends_us = f->now_us;
        answer_done(f, host, m);
    } else if (m->type == MSG_POWER) {
        const struct power *q = m->body;
        struct fleet_vm *v = vm_no(f, q->vm);
        v->on = q->op == POWER_START ? host : -1;
        v->off_on = q->op == POWER_START ? -1 : host;
        v->vm.state = q->op == POWER_START ? VM_RUNNING : VM_SHUTOFF;
        answer_done(f, host, m);
        report(f, host, false);
    } else {
        answer_done(f, host, m);
    }
}

/* Order of the contract: all saves of a step are durable before its sends happen; here the core's own
 * structs are the durable copy, read by fleet_restart_core between steps. */
static void perform(struct fleet *f, struct core_effects *fx)
{
    for (size_t i = 0; i < fx->n_fx; i++) {
        struct core_fx *x = &fx->fx[i];
        if (x->type == FX_SEND)
            command(f, host_no(f, x->host), &x->msg);
        if (x->type == FX_REPLY) {
            shape_done(&reply_shape, &f->reply);
            f->reply = x->reply;
            memset(&x->reply, 0, sizeof(x->reply));
        }
        if (x->type == FX_JOURNAL)
            text_add(&f->log, "%s\n", x->entry.text);
    }
    core_effects_done(fx);
}

static void deliver(struct fleet *f)
{
    while (f->n_inbox) {
        struct msg m = f->inbox[0];
        int host = f->inbox_host[0];
        vec_del(f->inbox, &f->n_inbox, 0);
        vec_del(f->inbox_host, &f->n_inbox_host, 0);
        if (f->hosts[host].up)
            step(f, &(struct core_event){
                        .type = CEV_MSG, .host = f->hosts[host].host.name, .msg = &m});
        msg_done(&m);
    }
}

void fleet_run(struct fleet *f, int64_t us)
{
    int64_t end = f->now_us + us;
    deliver(f);
    while (f->now_us < end) {
        f->now_us += 250 * MSEC;
        for (int i = 0; i < f->n_vms; i++)
            if (f->vms[i].copying_to >= 0 && f->vms[i].copy_ends_us <= f->now_us)
                end_copy(f, &f->vms[i]);
        deliver(f);
        step(f, &(struct core_event){.type = CEV_TICK});
        deliver(f);
    }
}

int fleet_until_end(struct fleet *f, int64_t run, int64_t us)
{
    int64_t end = f->now_us + us;
    while (f->now_us < end && !run_ended(core_run(f->core, run)->state))
        fleet_run(f, 250 * MSEC);
    return core_run(f->core, run)->state;
}

void fleet_connect(struct fleet *f, int host)
{
    f->hosts[host].up = true;
    step(f, &(struct core_event){
                .type = CEV_AGENT_UP, .host = f->hosts[host].host.name, .instance = "i1",
                .tells_ceph = f->ceph != NULL});
    report(f, host, true);
    deliver(f);
}

void fleet_policy(struct fleet *f, struct policy *p)
{
    step(f, &(struct core_event){.type = CEV_POLICY, .policy = p});
}

void fleet_report(struct fleet *f, int host)
{
    report(f, host, false);
    deliver(f);
}

void fleet_progress(struct fleet *f, int vm, int64_t remaining_bytes, int64_t rate_Bps)
{
    struct fleet_vm *v = &f->vms[vm];
    struct progress *p = body(MSG_PROGRESS);
    p->vm = xstrdup(v->vm.uuid);
    p->elapsed_us = SEC;
    p->total_bytes = v->vm.mem_bytes;
    p->processed_bytes = rate_Bps;
    p->remaining_bytes = remaining_bytes;
    p->rate_Bps = rate_Bps;
    p->iteration = v->pass;
    post(f, v->on, MSG_PROGRESS, 0, p);
    deliver(f);
}

void fleet_disconnect(struct fleet *f, int host)
{
    f->hosts[host].up = false;
    step(f, &(struct core_event){.type = CEV_AGENT_DOWN, .host = f->hosts[host].host.name});
}

int64_t fleet_request(struct fleet *f, const struct request *r)
{
    step(f, &(struct core_event){.type = CEV_REQUEST, .request_id = 1, .request = r});
    return f->reply.run;
}

int64_t fleet_drain(struct fleet *f, const char *host, const char *on_blocked)
{
    return fleet_request(f, &(struct request){.verb = VERB_DRAIN,
                                              .host = (char *)(uintptr_t)host,
                                              .on_blocked = (char *)(uintptr_t)on_blocked,
                                              .actor = (char *)(uintptr_t) "tester"});
}

static void new_core(struct fleet *f, int64_t term)
{
    f->core = core_new(&(struct core_config){.term = term, .heartbeat_us = 5 * SEC, .seed = 1});
}

void fleet_init(struct fleet *f, int hosts, int64_t host_mem_bytes)
{
    memset(f, 0, sizeof(*f));
    f->now_us = 1000 * SEC;
    f->copy_us = 5 * SEC;
    f->n_hosts = hosts;
    for (int i = 0; i < hosts; i++) {
        struct host *h = &f->hosts[i].host;
        shape_init(&host_shape, h);
        h->name = xasprintf("h%d", i + 1);
        h->arch = xstrdup("x86_64");
        h->mem_bytes = h->mem_free_bytes = host_mem_bytes;
        h->cpus = 64;
        h->libvirt_up = true;
        h->migrate_uri = xasprintf("qemu+tls://h%d/system", i + 1);
        *(char **)vec_add(&h->virts, &h->n_virts) = xstrdup("kvm");
        *(char **)vec_add(&h->machines, &h->n_machines) = xstrdup("pc-q35-7.2");
        *(char **)vec_add(&h->bridges, &h->n_bridges) = xstrdup("br0");
        *(char **)vec_add(&h->addresses, &h->n_addresses) = xasprintf("10.0.0.%d", i + 1);
        struct secret *s = vec_add(&h->secrets, &h->n_secrets);
        s->uuid = xstrdup("e63e4b32-280e-4b00-982a-9d3859cf4699");
        s->readable = true;
    }
    new_core(f, 1);
    struct core_effects fx = {0};
    core_restored(f->core, 1, f->now_us, f->now_us, &fx);
    perform(f, &fx);
    for (int i = 0; i < hosts; i++)
        fleet_connect(f, i);
}

struct fleet_vm *fleet_add(struct fleet *f, const char *name, int host, int64_t mem_bytes)
{
    struct fleet_vm *v = &f->vms[f->n_vms++];
    shape_init(&vm_shape, &v->vm);
    v->vm.uuid = xasprintf("00000000-0000-0000-0000-%012d", f->n_vms);
    v->vm.name = xstrdup(name);
    v->vm.state = VM_RUNNING;
    v->vm.persistent = true;
    v->vm.mem_bytes = mem_bytes;
    v->vm.vcpus = 1;
    v->vm.virt = xstrdup("kvm");
    v->vm.arch = xstrdup("x86_64");
    v->vm.machine = xstrdup("pc-q35-7.2");
    v->on = host;
    v->copying_to = v->bad_on = v->off_on = -1;
    struct disk *d = vec_add(&v->vm.disks, &v->vm.n_disks);
    d->target = xstrdup("vda");
    d->kind = DISK_RBD;
    d->pool = xstrdup("vms");
    d->image = xstrdup(name);
    d->user = xstrdup("libvirt");
    d->secret_uuid = xstrdup("e63e4b32-280e-4b00-982a-9d3859cf4699");
    struct nic *n = vec_add(&v->vm.nics, &v->vm.n_nics);
    n->kind = NIC_BRIDGE;
    n->source = xstrdup("br0");
    report(f, host, false);
    deliver(f);
    return v;
}

void fleet_restart_core(struct fleet *f)
{
    struct core *old = f->core;
    struct policy policy;
    struct core_effects fx = {0};
    core_take_policy(old, &policy);
    new_core(f, 2);
    core_restore_policy(f->core, &policy);
    for (int i = 0; i < f->n_hosts; i++) {
        const char *name = f->hosts[i].host.name;
        core_restore_host(f->core, core_host_rec(old, name));
        for (int k = 0; k < f->n_vms; k++) {
            const struct vm *v = core_vm(old, name, f->vms[k].vm.uuid, NULL);
            if (v)
                core_restore_vm(f->core, name, v, 1);
        }
    }
    core_restore_suspension(f->core, core_suspension(old));
    for (int64_t id = 1; core_run(old, id); id++)
        core_restore_run(f->core, core_run(old, id));
    for (int64_t id = 1; core_move(old, id); id++)
        core_restore_move(f->core, core_move(old, id));
    core_free(old);
    core_restored(f->core, 1000, f->now_us, f->now_us, &fx);
    perform(f, &fx);
    for (int i = 0; i < f->n_hosts; i++)
        if (f->hosts[i].up)
            fleet_connect(f, i);
}

void fleet_done(struct fleet *f)
{
    for (int i = 0; i < f->n_hosts; i++)
        shape_done(&host_shape, &f->hosts[i].host);
    for (int i = 0; i < f->n_vms; i++)
        shape_done(&vm_shape, &f->vms[i].vm);
    for (size_t i = 0; i < f->n_inbox; i++)
        msg_done(&f->inbox[i]);
    free(f->inbox);
    free(f->inbox_host);
    free(f->log);
    shape_done(&reply_shape, &f->reply);
    core_free(f->core);
}
