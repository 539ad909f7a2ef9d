/* What happens to the fleet: operators, crashes, networks, Ceph, other hands. */
#include <errno.h>
#include <string.h>

#include "scheduler/sim/copy.h"

void deed_done(struct deed *d)
{
    free(d->what);
    free(d->how);
    free(d->code);
    free(d->host);
    free(d->vm);
    free(d->to);
    free(d->policy);
    shape_done(&request_shape, &d->request);
    if (d->loaded)
        policy_done(d->loaded);
    free(d->loaded);
    *d = (struct deed){0};
}

void deed_copy(struct deed *dst, const struct deed *src)
{
    *dst = *src;
    dst->what = xstrdup(src->what);
    dst->how = xstrdup(src->how);
    dst->code = xstrdup(src->code);
    dst->host = xstrdup(src->host);
    dst->vm = xstrdup(src->vm);
    dst->to = xstrdup(src->to);
    dst->policy = xstrdup(src->policy);
    dst->loaded = NULL;
    shape_copy(&request_shape, &dst->request, &src->request);
}

/* ---- faults ---------------------------------------------------------------------------------------- */
const struct fault *fault_for(struct sim *s, int host, const char *op, const struct sim_vm *v,
                              const char *to)
{
    for (size_t i = 0; i < s->n_faults; i++) {
        struct fault *f = &s->faults[i];
        bool refusal = str_eq(f->d.how, "refuse"); /* of one VM of a check, not of the command */
        if (!f->left || refusal != str_eq(op, REFUSAL) ||
            (!refusal && !str_eq(f->d.what, op) && !str_eq(f->d.what, "any")))
            continue;
        if (f->d.host && !str_eq(f->d.host, s->hosts[host].facts.name))
            continue;
        if ((f->d.vm && (!v || vm_named(s, f->d.vm) != v)) || (f->d.to && !str_eq(f->d.to, to)))
            continue;
        if (f->left != NEVER)
            f->left--;
        return f;
    }
    return NULL;
}

static void do_fault(struct sim *s, const struct deed *d)
{
    struct fault *f = vec_add(&s->faults, &s->n_faults);
    deed_copy(&f->d, d);
    f->left = d->n > 0 ? d->n : NEVER;
}

/* ---- processes ------------------------------------------------------------------------------------- */
static void do_scheduler(struct sim *s, const struct deed *d)
{
    if (str_eq(d->what, "start"))
        brain_start(s);
    else if (d->n > 0)
        s->brain.kill_after = s->brain.effects + d->n - 1;
    else
        brain_kill(s, str_eq(d->what, "stop"));
}

/* A daemon that was killed is started again by systemd, one that was stopped is not. */
struct comeback {
    int host;
    int64_t life;
};

static void agent_back(struct sim *s, void *arg)
{
    const struct comeback *c = arg;
    if (s->hosts[c->host].agent.life == c->life)
        agent_start(s, c->host);
}

static void libvirtd_set(struct sim *s, int host, bool up);
static void libvirtd_back(struct sim *s, void *arg)
{
    const struct comeback *c = arg;
    if (s->hosts[c->host].libvirtd_life == c->life)
        libvirtd_set(s, c->host, true);
}

static void comes_back(struct sim *s, int host, int64_t life, void (*run)(struct sim *s, void *arg))
{
    struct comeback *c = xcalloc(1, sizeof(*c));
    *c = (struct comeback){.host = host, .life = life};
    sim_later(s, s->cfg.times.restart_us, (struct sim_due){.run = run, .arg = c});
}

static void set_agent(struct sim *s, struct sim_host *h, const struct deed *d)
{
    int host = h->id;
    if (str_eq(d->what, "start")) {
        agent_start(s, host);
        return;
    }
    agent_kill(s, host);
    if (str_eq(d->what, "kill"))
        comes_back(s, host, s->hosts[host].agent.life, agent_back);
}

static void set_libvirtd(struct sim *s, struct sim_host *h, const struct deed *d)
{
    int host = h->id;
    libvirtd_set(s, host, str_eq(d->what, "start"));
    if (str_eq(d->what, "kill"))
        comes_back(s, host, s->hosts[host].libvirtd_life, libvirtd_back);
}

static void libvirtd_set(struct sim *s, int host, bool up)
{
    struct sim_host *h = &s->hosts[host];
    if (h->libvirtd == up || !h->powered)
        return;
    h->libvirtd = up;
    h->libvirtd_life++;
    if (up) {
        copies_libvirtd_back(s, host);
    } else {
        copies_libvirtd_died(s, host);
        virt_libvirtd_died(s, host);
    }
    agent_libvirtd(s, host, up);
}

/* ---- power ----------------------------------------------------------------------------------------- */
static void power_off(struct sim *s, struct sim_host *h)
{
    int host = h->id;
    if (!h->powered)
        return;
    h->powered = false; /* from here on nothing of it reaches anybody */
    for (size_t i = 0; i < h->n_here; i++) {
        struct sim_vm *v = &s->vms[h->here[i]];
        const struct qemu *q = qemu_on(v, host);
        if (q && q->state != QEMU_INCOMING)
            v->wanted = false;         /* its host died: that is told, not Drover's doing */
        v->excused |= q && !v->n_defs; /* a transient VM dies with its host */
    }
    agent_kill(s, host);
    h->libvirtd = false;
    for (size_t i = 0; i < h->n_here; i++)
        qemu_end(s, &s->vms[h->here[i]], host, true);
    copies_host_died(s, host);
    h->n_begun = 0;
    wire_cut(s, host, h->wire.cut_out, h->wire.cut_in);
}

static void power_on(struct sim *s, struct sim_host *h)
{
    if (h->powered)
        return;
    h->powered = h->libvirtd = true;
    wire_cut(s, h->id, h->wire.cut_out, h->wire.cut_in);
    agent_start(s, h->id);
    copies_share(s);
}

static void set_power(struct sim *s, struct sim_host *h, const struct deed *d)
{
    (str_eq(d->what, "on") ? power_on : power_off)(s, h);
}

/* ---- networks, Ceph, guests ------------------------------------------------------------------------ */
static void set_cut(struct sim *s, struct sim_host *h, const struct deed *d)
{
    bool heal = str_eq(d->what, "heal"), all = str_eq(d->what, "all");
    bool both = all || str_eq(d->what, "scheduler");
    h->linked = heal ? true : all ? false : h->linked;
    wire_cut(s, h->id, !heal && (both || str_eq(d->what, "from")),
             !heal && (both || str_eq(d->what, "to")));
}

static void for_hosts(struct sim *s, const struct deed *d,
                      void (*run)(struct sim *s, struct sim_host *h, const struct deed *d))
{
    for (size_t i = 0; i < s->n_hosts; i++)
        if (!d->host || str_eq(d->host, s->hosts[i].facts.name))
            run(s, &s->hosts[i], d);
}

/* Ceph shuts this host's present clients out: their guests meet I/O errors and are paused. */
static void blocklist(struct sim *s, const struct sim_host *h)
{
    for (size_t i = 0; i < h->n_here; i++) {
        struct sim_vm *v = &s->vms[h->here[i]];
        const struct qemu *q = qemu_on(v, h->id);
        if (!q || q->state != QEMU_RUNNING)
            continue;
        if (v->copy && v->copy->stage < COPY_HANDOVER)
            copy_abort(s, v->copy, "the guest met an I/O error during the copy");
        v->wanted = false; /* Ceph stopped it: that is told, not Drover's doing */
        v->lock = 0;
        watch_close(s, v, q->client, false);
        qemu_set(s, v, h->id, QEMU_PAUSED, "I/O error");
    }
}

static void set_ceph(struct sim *s, struct sim_host *h, const struct deed *d)
{
    if (str_eq(d->what, "blocklist")) {
        blocklist(s, h);
        return;
    }
    static const char *const health[] = {"ok", "err", "slow", "recovering"};
    for (int i = 0; i < (int)ARRAY_LEN(health); i++)
        if (str_eq(d->what, health[i])) {
            h->health = i;
            return;
        }
    h->ceph = str_eq(d->what, "hang")   ? CEPH_HANGS
              : str_eq(d->what, "deny") ? CEPH_DENIES
                                        : CEPH_WORKS;
}

static void set_link(struct sim *s, struct sim_host *h, const struct deed *d)
{
    (void)s;
    h->facts.link_bps = d->n;
}

/* Somebody who is no host of the fleet: `rbd map` on an admin's machine, a backup. */
static void set_image(struct sim *s, struct sim_vm *v, const struct deed *d)
{
    if (str_eq(d->what, "close")) {
        watch_strangers_leave(v);
        return;
    }
    watch_open(s, v, STRANGER, ++s->next_client);
    if (str_eq(d->what, "lock"))
        v->lock = s->next_client;
}

static void for_vms(struct sim *s, const struct deed *d,
                    void (*run)(struct sim *s, struct sim_vm *v, const struct deed *d))
{
    for (size_t i = 0; i < s->n_vms; i++)
        if (!d->vm || vm_named(s, d->vm) == &s->vms[i])
            run(s, &s->vms[i], d);
}

static void hand_ends(struct sim *s, struct sim_vm *v);
static void set_guest(struct sim *s, struct sim_vm *v, const struct deed *d)
{
    if (str_eq(d->what, "writes")) {
        guest_writes(s, v, d->n, d->m > 0 ? d->m : v->facts.mem_bytes / 4);
    } else if (str_eq(d->what, "cpu")) {
        guest_cpu(
            s, v,
            &(struct cpu_habit){
                .low_ppm = d->n, .high_ppm = d->m, .period_us = d->us, .peak_us = d->every_us});
    } else if (str_eq(d->what, "bursts")) {
        guest_bursts(s, v,
                     &(struct bursts){.Bps = d->n,
                                      .hot_bytes = d->m > 0 ? d->m : v->facts.mem_bytes / 4,
                                      .for_us = d->us,
                                      .every_us = d->every_us});
    } else if (str_eq(d->what, "crash")) {
        hand_ends(s, v);
    } else {
        v->deaf = str_eq(d->what, "deaf");
    }
}

/* ---- other hands ------------------------------------------------------------------------------------ */
static int runs_on(const struct sim_vm *v)
{
    int at = -1;
    for (size_t i = 0; i < v->n_qemus; i++)
        if (v->qemus[i].state == QEMU_RUNNING || (v->qemus[i].state == QEMU_PAUSED && at < 0))
            at = v->qemus[i].host; /* during a hand-over: where it goes on */
    return at;
}

static void hand_moves(struct sim *s, struct sim_vm *v, const struct deed *d)
{
    const struct sim_host *to = host_named(s, d->to);
    int from = runs_on(v);
    if (from < 0 || v->copy || qemu_on(v, to->id) || !s->hosts[from].libvirtd || !to->libvirtd ||
        !host_reaches(s, from, to->id) ||
        vm_need_bytes(&v->facts) > to->facts.mem_bytes - host_used(s, to->id))
        return; /* virsh would have refused */
    v->excused = true;
    copy_begin(s, v, &(struct copy_order){.from = from, .to = to->id});
}

static void hand_starts(struct sim *s, struct sim_vm *v)
{
    for (size_t i = 0; i < v->n_defs && !v->n_qemus; i++)
        if (s->hosts[v->defs[i]].libvirtd) {
            v->excused = v->wanted = true;
            qemu_start(s, v, v->defs[i], QEMU_RUNNING, "booted");
        }
}

static void hand_ends(struct sim *s, struct sim_vm *v)
{
    int at = runs_on(v);
    if (at < 0)
        return;
    v->excused = true;
    v->wanted = false;
    if (v->copy && copy_switched(v->copy)) { /* neither half of it is of use alone */
        copy_forget(s, v->copy);
        while (v->n_qemus)
            qemu_end(s, v, v->qemus[0].host, false);
        return;
    }
    if (v->copy && v->copy->stage < COPY_FINISHING)
        copy_abort(s, v->copy, "the guest ended during the copy");
    qemu_end(s, v, at, false);
}

/* What an operator does about post-copy. One half of it is gone: it can only be started anew. */
static void hand_switches(struct sim *s, struct sim_vm *v, const struct deed *d)
{
    if (v->copy && str_eq(d->what, "switch"))
        copy_switch(s, v->copy);
    else if (v->copy && v->copy->stage == COPY_BROKEN && v->n_qemus == 1) {
        hand_ends(s, v);
        hand_starts(s, v);
    } else if (v->copy)
        copy_recover(s, v->copy);
}

static void hand_pauses(struct sim *s, struct sim_vm *v, bool pause)
{
    int at = runs_on(v);
    if (at < 0 || v->copy)
        return;
    v->excused = true;
    qemu_set(s, v, at, pause ? QEMU_PAUSED : QEMU_RUNNING, pause ? "user" : "unpaused");
}

static void hand_undefines(struct sim *s, struct sim_vm *v)
{
    for (size_t i = v->n_defs; i-- > 0;)
        if (s->hosts[v->defs[i]].libvirtd)
            define_on(s, v, v->defs[i], false);
    v->excused |= !v->n_defs;
}

/* virsh edit, and what a hotplug does to the live XML. */
static void hand_edits(struct sim *s, struct sim_vm *v)
{
    char **const texts[] = {&v->facts.xml, &v->facts.xml_inactive};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (*texts[i]) {
            char *old = *texts[i];
            *texts[i] = xasprintf("%s!", old);
            free(old);
        }
    for (size_t i = 0; i < s->n_hosts; i++)
        if (qemu_on(v, (int)i) || defined_on(v, (int)i))
            vm_touched(s, v, (int)i);
}

static void do_hand(struct sim *s, const struct deed *d)
{
    struct sim_vm *v = d->vm ? vm_named(s, d->vm) : NULL;
    if (str_eq(d->what, "switch") || str_eq(d->what, "recover"))
        for_vms(s, d, hand_switches);
    else if (str_eq(d->what, "migrate"))
        hand_moves(s, v, d);
    else if (str_eq(d->what, "start"))
        hand_starts(s, v);
    else if (str_eq(d->what, "edit"))
        hand_edits(s, v);
    else if (str_eq(d->what, "shutdown") || str_eq(d->what, "destroy"))
        hand_ends(s, v);
    else if (str_eq(d->what, "undefine"))
        hand_undefines(s, v);
    else
        hand_pauses(s, v, str_eq(d->what, "pause"));
}

/* ---- all of them ------------------------------------------------------------------------------------- */
static void do_policy(struct sim *s, struct deed *d)
{
    struct brain *b = &s->brain;
    if (!d->loaded)
        return;
    if (b->core) {
        brain_event(s, &(struct core_event){.type = CEV_POLICY, .policy = d->loaded});
        return;
    }
    policy_done(&b->policy);
    b->policy = *d->loaded;
    *d->loaded = (struct policy){0};
}

static void do_request(struct sim *s, const struct deed *d)
{
    if (!s->brain.core || s->brain.failed)
        sim_say(s, "answer: the scheduler does not answer");
    else
        brain_event(s, &(struct core_event){.type = CEV_REQUEST,
                                            .request_id = ++s->brain.next_request,
                                            .request = &d->request});
}

void deed_happen(struct sim *s, struct deed *d)
{
    cleanup(freep) char *text = deed_text(d);
    sim_say(s, "> %s", text);
    switch ((enum deed_kind)d->kind) {
    case DEED_REQUEST:
        do_request(s, d);
        break;
    case DEED_POLICY:
        do_policy(s, d);
        break;
    case DEED_SCHEDULER:
        do_scheduler(s, d);
        break;
    case DEED_STORE:
        s->brain.store_fails = str_eq(d->what, "fail");
        break;
    case DEED_AGENT:
        for_hosts(s, d, set_agent);
        break;
    case DEED_LIBVIRTD:
        for_hosts(s, d, set_libvirtd);
        break;
    case DEED_POWER:
        for_hosts(s, d, set_power);
        break;
    case DEED_CUT:
        for_hosts(s, d, set_cut);
        copies_share(s);
        break;
    case DEED_IMAGE:
        for_vms(s, d, set_image);
        break;
    case DEED_CEPH:
        for_hosts(s, d, set_ceph);
        break;
    case DEED_CLOCK:
        s->wall_off_us += d->us;
        break;
    case DEED_FAULT:
        do_fault(s, d);
        break;
    case DEED_HAND:
        do_hand(s, d);
        break;
    case DEED_GUEST:
        for_vms(s, d, set_guest);
        break;
    case DEED_LOOK:
        load_say(s);
        break;
    case DEED_LINK:
        for_hosts(s, d, set_link);
        copies_share(s);
        break;
    case DEED_KINDS:
        break;
    }
}

static void drop(void *arg)
{
    deed_done(arg);
    free(arg);
}

static void happen(struct sim *s, void *arg)
{
    s->n_deeds_left--;
    deed_happen(s, arg);
}

int sim_add(struct sim *s, struct deed *d, struct err *e)
{
    if (d->host && !host_named(s, d->host))
        return err_set(e, -EINVAL, "no host is called '%s'", d->host);
    if (d->to && !host_named(s, d->to))
        return err_set(e, -EINVAL, "no host is called '%s'", d->to);
    if (d->vm && !vm_named(s, d->vm))
        return err_set(e, -EINVAL, "no VM is called '%s'", d->vm);
    struct deed *own = xcalloc(1, sizeof(*own));
    deed_copy(own, d);
    own->loaded = take(d->loaded);
    s->n_deeds_left++;
    sim_later(s, d->at_us - s->now_us, (struct sim_due){.run = happen, .drop = drop, .arg = own});
    return 0;
}
