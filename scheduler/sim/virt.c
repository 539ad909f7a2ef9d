/* libvirt as an agent meets it: what each command finds, does and says. The words and refusals are
 * those of agent/hv, which the lab holds against the real libvirt. */
#include <string.h>

#include "scheduler/sim/copy.h"

struct op_turn {
    int64_t no;
};

static struct sim_op *op_find(const struct sim *s, int64_t no)
{
    for (struct sim_op *op = s->ops; op; op = op->next)
        if (op->no == no)
            return op;
    return NULL;
}

static void op_free(struct sim *s, struct sim_op *op)
{
    for (struct sim_op **p = &s->ops; *p; p = &(*p)->next)
        if (*p == op) {
            *p = op->next;
            break;
        }
    for (size_t i = 0; i < s->n_copies; i++)
        if (s->copies[i]->op == op)
            s->copies[i]->op = NULL;
    if (op->has_fault)
        deed_done(&op->fault.d);
    msg_done(&op->cmd);
    free(op);
}

void ops_done(struct sim *s)
{
    while (s->ops)
        op_free(s, s->ops);
}

static void op_later(struct sim *s, const struct sim_op *op, int64_t in_us,
                     void (*run)(struct sim *s, void *arg))
{
    struct op_turn *t = xcalloc(1, sizeof(*t));
    t->no = op->no;
    sim_later(s, in_us, (struct sim_due){.run = run, .arg = t});
}

/* ---- answers ------------------------------------------------------------------------------------- */
struct late {
    int host, times;
    int64_t life;
    struct msg cmd, result;
};

static void late_drop(void *arg)
{
    struct late *l = arg;
    msg_done(&l->cmd);
    msg_done(&l->result);
    free(l);
}

static void give(struct sim *s, void *arg)
{
    struct late *l = arg;
    const struct sim_agent *a = &s->hosts[l->host].agent;
    if (a->up && a->life == l->life)
        agent_answer(s, l->host, &l->cmd, &l->result, l->times);
}

void virt_answer(struct sim *s, struct sim_op *op, enum msg_type type, void *body)
{
    struct late *l = xcalloc(1, sizeof(*l));
    l->host = op->host;
    l->life = op->life;
    l->times = op->times;
    cmds_copy(&l->cmd, &op->cmd);
    l->result = (struct msg){.re = op->cmd.id, .type = type, .body = body};
    int64_t in_us = op->late_us;
    op_free(s, op);
    sim_later(s, in_us, (struct sim_due){.run = give, .drop = late_drop, .arg = l});
}

static void refuse(struct sim *s, struct sim_op *op, const char *code, const char *error,
                   bool began)
{
    struct msg m;
    cmds_failure(&op->cmd, code, error, began, &m);
    virt_answer(s, op, m.type, m.body);
}

static void say_done(struct sim *s, struct sim_op *op, const char *code, const char *error)
{
    struct msg m;
    cmds_failure(&op->cmd, code, error, false, &m);
    ((struct done *)m.body)->ok = !code;
    virt_answer(s, op, m.type, m.body);
}

/* ---- checks -------------------------------------------------------------------------------------- */
static void add_reason(struct verdict *v, enum reason_code code, const char *what, const char *need,
                       const char *have)
{
    struct reason *r = vec_add(&v->reasons, &v->n_reasons);
    shape_init(&reason_shape, r);
    r->code = code;
    r->what = xstrdup(what);
    r->need = xstrdup(need);
    r->have = xstrdup(have);
}

static void check_source(struct sim *s, const struct sim_op *op, const struct sim_vm *v,
                         struct verdict *ret)
{
    struct vm seen = {0};
    if (!v || !vm_seen(s, v, op->host, &seen)) {
        add_reason(ret, R_VM_STATE, v ? v->facts.name : NULL, "running",
                   "not on this host any more");
        return;
    }
    if (seen.state == VM_PAUSED)
        add_reason(ret, R_VM_PAUSED, seen.name, "running", qemu_on(v, op->host)->why);
    if (seen.job != VM_JOB_NONE)
        add_reason(ret, R_VM_BUSY, seen.name, "no job", vm_job_names[seen.job]);
    shape_done(&vm_shape, &seen);
}

static void check_target(struct sim *s, const struct sim_op *op, const struct sim_vm *v,
                         const struct vm *asked, struct verdict *ret)
{
    char a[FMT_BYTES], b[FMT_BYTES];
    int64_t free_bytes = s->hosts[op->host].facts.mem_bytes - host_used(s, op->host);
    if (v && qemu_on(v, op->host))
        add_reason(ret, R_UUID_TAKEN, v->facts.name, NULL, "it is active there");
    const struct sim_host *h = &s->hosts[op->host];
    for (size_t i = 0; i < h->n_here; i++) {
        const struct sim_vm *o = &s->vms[h->here[i]];
        if (o != v && str_eq(o->facts.name, asked->name) &&
            (qemu_on(o, op->host) || defined_on(o, op->host)))
            add_reason(ret, R_NAME_TAKEN, asked->name, NULL, NULL);
    }
    if (asked->state != VM_SHUTOFF && vm_need_bytes(asked) > free_bytes)
        add_reason(ret, R_MEMORY, NULL, fmt_bytes(a, vm_need_bytes(asked)),
                   fmt_bytes(b, free_bytes));
}

static void do_check(struct sim *s, struct sim_op *op)
{
    const struct check_vms *q = op->cmd.body;
    struct vms_checked *a = cmds_body(MSG_VMS_CHECKED);
    for (size_t i = 0; i < q->n_vms; i++) {
        struct sim_vm *v = vm_named(s, q->vms[i].uuid);
        struct verdict *o = vec_add(&a->verdicts, &a->n_verdicts);
        o->uuid = xstrdup(q->vms[i].uuid);
        const struct fault *no = fault_for(s, op->host, REFUSAL, v, NULL);
        if (no)
            add_reason(o, reason_from_token(no->d.code), v ? v->facts.name : NULL, NULL, NULL);
        else if (q->as_source)
            check_source(s, op, v, o);
        else
            check_target(s, op, v, &q->vms[i], o);
        image_facts(s, op->host, q->vms[i].disks, q->vms[i].n_disks, v, &o->images, &o->n_images);
    }
    virt_answer(s, op, MSG_VMS_CHECKED, a);
}

static void do_peer(struct sim *s, struct sim_op *op)
{
    const struct check_peer *q = op->cmd.body;
    for (size_t i = 0; i < s->n_hosts; i++)
        if (str_eq(s->hosts[i].facts.migrate_uri, q->uri)) {
            bool ok = host_reaches(s, op->host, (int)i) && s->hosts[i].libvirtd;
            say_done(s, op, ok ? NULL : "peer", ok ? NULL : "its libvirtd cannot be reached");
            return;
        }
    say_done(s, op, "peer", "no such host");
}

/* ---- moves --------------------------------------------------------------------------------------- */
static void do_migrate(struct sim *s, struct sim_op *op)
{
    const struct migrate *q = op->cmd.body;
    struct sim_vm *v = vm_named(s, q->vm);
    struct sim_host *to = host_named(s, q->dst_host);
    struct qemu *at = v ? qemu_on(v, op->host) : NULL;
    if (!v || !to || (!at && !(q->offline && defined_on(v, op->host))))
        refuse(s, op, "migrate_failed", "Domain not found", true);
    else if (!q->offline && (!at || at->state != QEMU_RUNNING))
        refuse(s, op, "migrate_failed", "domain is not running", true);
    else if (v->copy)
        refuse(s, op, "migrate_failed", "another job is active on the domain", true);
    else if (!host_reaches(s, op->host, to->id) || !to->libvirtd)
        refuse(s, op, "migrate_failed", "unable to connect to the destination's libvirtd", true);
    else if (qemu_on(v, to->id))
        refuse(s, op, "migrate_failed", "domain is already active there", true);
    else if (!q->offline && vm_need_bytes(&v->facts) > to->facts.mem_bytes - host_used(s, to->id))
        refuse(s, op, "migrate_failed", "cannot allocate memory at the destination", true);
    else
        copy_begin(s, v,
                   &(struct copy_order){.from = op->host,
                                        .to = to->id,
                                        .order = q,
                                        .op = op,
                                        .fault = op->has_fault ? &op->fault : NULL});
}

static void do_abort(struct sim *s, struct sim_op *op)
{
    const struct abort_job *q = op->cmd.body;
    const struct sim_vm *v = vm_named(s, q->vm);
    struct sim_copy *c = v ? v->copy : NULL;
    if (!c || c->from != op->host || c->offline || c->stage >= COPY_HANDOVER) {
        say_done(s, op, "check_failed",
                 c && copy_switched(c) ? "cannot abort migration in post-copy mode"
                                       : "no migration to abort");
        return;
    }
    copy_abort(s, c, "operation aborted: migration out job: canceled by client");
    say_done(s, op, NULL, NULL);
}

static void do_tune(struct sim *s, struct sim_op *op)
{
    const struct tune *q = op->cmd.body;
    struct sim_vm *v = vm_named(s, q->vm);
    if (!v || !v->copy || v->copy->from != op->host) {
        say_done(s, op, "check_failed", "no migration to tune");
        return;
    }
    if (q->downtime_us > 0)
        v->copy->downtime_us = q->downtime_us;
    if (q->bandwidth_Bps > 0)
        v->copy->cap_Bps = q->bandwidth_Bps;
    if (q->postcopy)
        copy_switch(s, v->copy);
    copies_share(s);
    say_done(s, op, NULL, NULL);
}

/* ---- looking --------------------------------------------------------------------------------------- */
static void do_probe(struct sim *s, struct sim_op *op)
{
    const struct probe *q = op->cmd.body;
    struct sim_vm *v = vm_named(s, q->vm);
    struct probed *a = cmds_body(MSG_PROBED);
    struct vm seen = {0};
    a->vm = xstrdup(q->vm);
    a->job = q->job;
    a->attempt = q->attempt;
    a->seen = SEEN_ABSENT;
    if (v && vm_seen(s, v, op->host, &seen)) {
        const struct qemu *at = qemu_on(v, op->host);
        a->seen = !at ? SEEN_SHUTOFF : at->state == QEMU_RUNNING ? SEEN_RUNNING : SEEN_PAUSED;
        a->vm_job = seen.job;
        a->persistent = seen.persistent;
        a->detail = xstrdup(at ? at->why : "shutdown");
        shape_done(&vm_shape, &seen);
    }
    image_facts(s, op->host, q->disks, q->n_disks, v, &a->images, &a->n_images);
    virt_answer(s, op, MSG_PROBED, a);
}

static void do_census(struct sim *s, struct sim_op *op)
{
    struct counted *a = cmds_body(MSG_COUNTED);
    a->ok = true;
    const struct sim_host *h = &s->hosts[op->host];
    for (size_t i = 0; i < h->n_here; i++) {
        const struct sim_vm *v = &s->vms[h->here[i]];
        if (qemu_on(v, op->host))
            *(char **)vec_add(&a->running, &a->n_running) = xstrdup(v->facts.name);
        else if (defined_on(v, op->host))
            *(char **)vec_add(&a->defined, &a->n_defined) = xstrdup(v->facts.name);
        a->jobs += v->copy && (v->copy->from == op->host || v->copy->to == op->host);
    }
    virt_answer(s, op, MSG_COUNTED, a);
}

static void do_ask_ceph(struct sim *s, struct sim_op *op)
{
    struct ceph_told *a = cmds_body(MSG_CEPH_TOLD);
    ceph_told(s, op->host, a);
    virt_answer(s, op, MSG_CEPH_TOLD, a);
}

/* ---- acts on one domain ---------------------------------------------------------------------------- */
static void do_tidy(struct sim *s, struct sim_op *op)
{
    const struct tidy *q = op->cmd.body;
    struct sim_vm *v = vm_named(s, q->vm);
    struct qemu *at = v ? qemu_on(v, op->host) : NULL;
    bool ours = at && v->copy && (v->copy->from == op->host || v->copy->to == op->host);
    const char *no = NULL;
    if (q->op == TIDY_UNDEFINE && at)
        no = "refused: the domain is active here, not shut off";
    else if (q->op == TIDY_UNDEFINE && v)
        define_on(s, v, op->host, false);
    else if (q->op == TIDY_KILL_INCOMING && at && at->state != QEMU_INCOMING)
        no = "refused: the domain is no incoming migration's leftover";
    else if (q->op == TIDY_KILL_INCOMING && ours)
        copy_abort(s, v->copy, "the destination gave the copy up");
    else if (q->op == TIDY_KILL_INCOMING && at)
        qemu_end(s, v, op->host, false);
    else if (q->op == TIDY_RESUME_SOURCE && !at)
        no = "Domain not found";
    else if (q->op == TIDY_RESUME_SOURCE && at->state != QEMU_RUNNING &&
             (ours || at->state != QEMU_PAUSED || !str_eq(at->why, "migration")))
        no = "refused: the domain is not paused by a migration that has ended";
    else if (q->op == TIDY_RESUME_SOURCE && at->state != QEMU_RUNNING)
        qemu_set(s, v, op->host, QEMU_RUNNING, "unpaused");
    say_done(s, op, no ? "vm_state" : NULL, no);
}

static void do_power(struct sim *s, struct sim_op *op)
{
    const struct power *q = op->cmd.body;
    struct sim_vm *v = vm_named(s, q->vm);
    if (!v || (!qemu_on(v, op->host) && !defined_on(v, op->host))) {
        say_done(s, op, "check_failed", "Domain not found");
        return;
    }
    if (q->op == POWER_SHUTDOWN && qemu_on(v, op->host)) {
        if (v->deaf) {
            say_done(s, op, "deadline", "the guest did not shut down in time; it runs on");
            return;
        }
        v->wanted = false;
        qemu_end(s, v, op->host, false);
    } else if (q->op == POWER_START && !qemu_on(v, op->host)) {
        qemu_start(s, v, op->host, QEMU_RUNNING, "booted");
        v->wanted = true;
    }
    say_done(s, op, NULL, NULL);
}

static void do_relabel(struct sim *s, struct sim_op *op)
{
    const struct relabel *q = op->cmd.body;
    struct sim_vm *v = vm_named(s, q->vm);
    if (!v || (!qemu_on(v, op->host) && !defined_on(v, op->host))) {
        say_done(s, op, "not_found", "Domain not found");
        return;
    }
    if (v->copy) {
        say_done(s, op, "vm_busy", "refused: libvirt runs a job on it (migrating_out)");
        return;
    }
    for (size_t i = 0; i < q->n_drop; i++)
        label_drop(&v->facts.labels, &v->facts.n_labels, q->drop[i]);
    for (size_t i = 0; i < q->n_set; i++)
        label_set(&v->facts.labels, &v->facts.n_labels, q->set[i].key, q->set[i].value);
    agent_event(s, op->host, v->id);
    say_done(s, op, NULL, NULL);
}

/* ---- from a command to its moment -------------------------------------------------------------------- */
static const struct {
    enum msg_type type;
    const char *name;
    void (*run)(struct sim *s, struct sim_op *op);
} ops[] = {
    {MSG_CHECK_VMS, "check", do_check},   {MSG_CHECK_PEER, "peer", do_peer},
    {MSG_MIGRATE, "migrate", do_migrate}, {MSG_ABORT, "abort", do_abort},
    {MSG_TUNE, "tune", do_tune},          {MSG_PROBE, "probe", do_probe},
    {MSG_CENSUS, "census", do_census},    {MSG_TIDY, "tidy", do_tidy},
    {MSG_POWER, "power", do_power},       {MSG_RELABEL, "relabel", do_relabel},
    {MSG_ASK_CEPH, "health", do_ask_ceph},
};

static int op_index(enum msg_type type)
{
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (ops[i].type == type)
            return (int)i;
    return -1;
}

static struct sim_vm *vm_of(struct sim *s, const struct msg *m)
{
    switch ((int)m->type) {
    case MSG_MIGRATE:
        return vm_named(s, ((const struct migrate *)m->body)->vm);
    case MSG_ABORT:
        return vm_named(s, ((const struct abort_job *)m->body)->vm);
    case MSG_TUNE:
        return vm_named(s, ((const struct tune *)m->body)->vm);
    case MSG_PROBE:
        return vm_named(s, ((const struct probe *)m->body)->vm);
    case MSG_TIDY:
        return vm_named(s, ((const struct tidy *)m->body)->vm);
    case MSG_POWER:
        return vm_named(s, ((const struct power *)m->body)->vm);
    case MSG_RELABEL:
        return vm_named(s, ((const struct relabel *)m->body)->vm);
    case MSG_CHECK_VMS: {
        const struct check_vms *q = m->body;
        return q->n_vms == 1 ? vm_named(s, q->vms[0].uuid) : NULL;
    }
    default:
        return NULL;
    }
}

static int64_t takes(const struct sim *s, const struct sim_op *op)
{
    const struct sim_times *t = &s->cfg.times;
    int64_t ceph = s->hosts[op->host].ceph == CEPH_HANGS ? 10 * SEC : t->ceph_us;
    switch ((int)op->cmd.type) {
    case MSG_CHECK_VMS:
        return t->libvirt_us + ceph;
    case MSG_PROBE:
    case MSG_ASK_CEPH:
        return t->libvirt_us + ceph;
    case MSG_POWER: {
        const struct power *q = op->cmd.body;
        const struct sim_vm *v = vm_named((struct sim *)(uintptr_t)s, q->vm);
        return q->op == POWER_START ? t->start_us : v && v->deaf ? q->timeout_us : t->shutdown_us;
    }
    default:
        return t->libvirt_us;
    }
}

static void carry_out(struct sim *s, void *arg)
{
    struct sim_op *op = op_find(s, ((struct op_turn *)arg)->no);
    if (!op)
        return;
    if (op->refused)
        refuse(s, op, op->cmd.type == MSG_MIGRATE ? "migrate_failed" : "check_failed", op->refused,
               true);
    else
        ops[op_index(op->cmd.type)].run(s, op);
}

static void deadline(struct sim *s, void *arg)
{
    struct sim_op *op = op_find(s, ((struct op_turn *)arg)->no);
    if (op)
        refuse(s, op, "libvirt_down", "libvirt did not answer within the deadline", true);
}

/* What a fault makes of it. Returns the additional time; NEVER: it hangs. */
static int64_t bend(struct sim *s, struct sim_op *op, const char *name, struct sim_vm *v)
{
    const struct migrate *m = op->cmd.type == MSG_MIGRATE ? op->cmd.body : NULL;
    const struct fault *f = fault_for(s, op->host, name, v, m ? m->dst_host : NULL);
    if (!f)
        return 0;
    if (str_eq(f->d.how, "fail"))
        op->refused = "internal error: it was to fail";
    else if (str_eq(f->d.how, "mute"))
        op->times = 0;
    else if (str_eq(f->d.how, "twice"))
        op->times = 2;
    else if (str_eq(f->d.how, "late"))
        op->late_us = f->d.us;
    else if (str_eq(f->d.how, "slow"))
        return f->d.us;
    else if (str_eq(f->d.how, "hang"))
        return NEVER;
    else {
        op->has_fault = true;
        op->fault.left = 1;
        deed_copy(&op->fault.d, &f->d);
    }
    return 0;
}

void virt_begin(struct sim *s, int host, const struct msg *cmd)
{
    int i = op_index(cmd->type);
    struct sim_op *op = xcalloc(1, sizeof(*op));
    op->no = ++s->next_op;
    op->host = host;
    op->life = s->hosts[host].agent.life;
    op->times = 1;
    cmds_copy(&op->cmd, cmd);
    op->next = s->ops;
    s->ops = op;
    if (i < 0 || !s->hosts[host].libvirtd) {
        refuse(s, op, i < 0 ? "check_failed" : "libvirt_down",
               i < 0 ? "not simulated" : "no connection to libvirtd", false);
        return;
    }
    struct sim_vm *v = vm_of(s, cmd);
    int64_t more_us = bend(s, op, ops[i].name, v);
    if (more_us != NEVER)
        op_later(s, op, takes(s, op) + more_us, carry_out);
    if (cmd->type == MSG_POWER)
        op_later(s, op, ((const struct power *)cmd->body)->timeout_us + AGENT_DEADLINE_US,
                 deadline);
    else if (cmd->type != MSG_MIGRATE)
        op_later(s, op, AGENT_DEADLINE_US, deadline);
}

/* The next one that is not a migration's: those are told by copies_libvirtd_died. */
void virt_libvirtd_died(struct sim *s, int host)
{
    for (struct sim_op *op = s->ops, *next; op; op = next) {
        next = op->next;
        if (op->host == host)
            refuse(s, op, "libvirt_down", "the connection to libvirtd is lost", true);
    }
}

void virt_agent_died(struct sim *s, int host)
{
    for (struct sim_op *op = s->ops, *next; op; op = next) {
        next = op->next;
        if (op->host == host)
            op_free(s, op);
    }
}
