/* What is heard of a move: answers to what it asked for, and the progress of its copy. */
#include "scheduler/core/internal.h"
#include "scheduler/plan/turns.h"

static void on_prep(struct core *c, const struct ask *a, const struct msg *msg, struct move_slot *m)
{
    if (m->m.state != JOB_PREPARING)
        return;
    m->prep_waiting--;
    bool src = a->what == ASK_PREP_SRC;
    const struct vms_checked *r = msg && msg->type == MSG_VMS_CHECKED ? msg->body : NULL;
    if (!r || r->n_verdicts != 1) {
        move_prep_note(m, R_CHECK_FAILED, a->host,
                       r ? "an odd answer" : "its agent did not answer");
        return;
    }
    const struct verdict *v = &r->verdicts[0];
    if (src)
        facts_copy(&m->m.ceph_src, &m->m.n_ceph_src, v->images, v->n_images);
    else
        facts_copy(&m->m.ceph_dst, &m->m.n_ceph_dst, v->images, v->n_images);
    const struct host_slot *from = host_find(c, m->m.from);
    const struct vm_slot *vm = vm_find(from, m->m.vm);
    struct reason why = {0};
    if (src && vm && !check_source(c, &vm->vm, m->m.from, v, &why)) {
        m->prep_why_vm = true;
    } else if (!src) {
        /* identity is compared when both are in; until then the verdict alone */
        check_target(v, m->m.to, NULL, 0, &why);
    }
    if (why.code && !m->prep_bad) {
        m->prep_bad = true;
        shape_done(&reason_shape, &m->prep_why);
        m->prep_why = why;
        return;
    }
    shape_done(&reason_shape, &why);
    if (m->prep_waiting || m->prep_bad)
        return;
    struct verdict dst = {.images = m->m.ceph_dst, .n_images = m->m.n_ceph_dst};
    if (!check_target(&dst, m->m.to, m->m.ceph_src, m->m.n_ceph_src, &m->prep_why))
        m->prep_bad = true;
}

static void on_migrated(struct core *c, const struct msg *msg, struct move_slot *m)
{
    const struct migrated *r = msg && msg->type == MSG_MIGRATED ? msg->body : NULL;
    if (job_final((enum job_state)m->m.state) || m->m.state == JOB_CONFIRMING ||
        m->m.state == JOB_TIDYING || m->m.state == JOB_STARTING)
        return; /* settled by evidence already */
    if (!r) {
        const struct done *d = msg && msg->type == MSG_DONE ? msg->body : NULL;
        cleanup(freep) char *silent =
            xasprintf("the agent of %s fell silent during the copy", m->m.from);
        set_str(&m->m.error, d && d->error ? d->error : silent);
        move_event(c, m, JEV_LOST);
        return;
    }
    m->m.total_us = r->total_us;
    m->m.setup_us = r->setup_us;
    m->m.downtime_us = r->downtime_us;
    m->m.bytes = r->bytes;
    m->m.iterations = r->iterations;
    m->m.rate_Bps = r->rate_Bps;
    if (!r->ok) {
        bool why = r->code && !m->gave_up; /* else we know better why it was aborted */
        set_str(&m->m.code, why ? r->code : reason_tokens[R_MIGRATE_FAILED]);
        if (!m->gave_up)
            set_str(&m->m.error, r->error ? r->error : "libvirt gave no reason");
    }
    m->dirty = true;
    move_event(c, m, r->ok ? JEV_MIGRATED : r->began ? JEV_ERROR : JEV_REJECTED);
}

static bool probe_outstanding(const struct core *c, const struct move_slot *m)
{
    for (size_t i = 0; i < c->n_asks; i++)
        if (c->asks[i].move == m->m.id &&
            (c->asks[i].what == ASK_PROBE_SRC || c->asks[i].what == ASK_PROBE_DST))
            return true;
    return false;
}

static void on_probe(struct core *c, const struct ask *a, const struct msg *msg,
                     struct move_slot *m)
{
    if (m->m.state != JOB_CONFIRMING && m->m.state != JOB_UNCERTAIN)
        return;
    if (msg && msg->type == MSG_PROBED) {
        struct probed *p = a->what == ASK_PROBE_SRC ? &m->src : &m->dst;
        shape_done(&probed_shape, p);
        shape_copy(&probed_shape, p, msg->body);
        *(a->what == ASK_PROBE_SRC ? &m->have_src : &m->have_dst) = true;
        m->src_heard |= a->what == ASK_PROBE_SRC;
        if (a->what == ASK_PROBE_DST)
            m->dst_seen_us = c->now_us;
    }
    if (probe_outstanding(c, m))
        return;
    m->next_probe_us = c->now_us + (m->probe_rounds < 10 ? PROBE_EVERY_US : PROBE_SLOW_US);
    move_event(c, m, settle_judge(c, m));
}

static void on_done(struct core *c, const struct ask *a, const struct msg *msg, struct move_slot *m)
{
    const struct done *d = msg && msg->type == MSG_DONE ? msg->body : NULL;
    if (d && !d->ok && d->error && a->what != ASK_TOLD)
        set_str(&m->m.error, d->error);
    switch (a->what) {
    case ASK_TIDY:
        if (m->m.state != JOB_TIDYING)
            break;
        m->tidy_refused = d && !d->ok;
        move_event(c, m, d && d->ok ? JEV_TIDIED : d ? JEV_ERROR : JEV_LOST);
        break;
    case ASK_STOP:
        if (m->m.state != JOB_STOPPING)
            break;
        m->stopped_by_us = !d || d->ok;
        if (d && !d->ok)
            set_str(&m->m.code, d->code ? d->code : reason_tokens[R_VM_STATE]);
        move_event(c, m, d && d->ok ? JEV_STOPPED : d ? JEV_REJECTED : JEV_LOST);
        break;
    case ASK_START:
        if (m->m.state == JOB_STARTING)
            move_event(c, m, d && d->ok ? JEV_STARTED : d ? JEV_ERROR : JEV_LOST);
        break;
    case ASK_TOLD:
        if (d && !d->ok && m->m.cancel && m->m.progress.postcopy) {
            set_fmt(&m->m.note, "post-copy cannot be cancelled: it runs on %s already", m->m.to);
            m->dirty = true;
        }
        break;
    case ASK_PLAN_SRC:
    case ASK_PLAN_DST:
    case ASK_PLAN_PEER:
    case ASK_PREP_SRC:
    case ASK_PREP_DST:
    case ASK_MIGRATE:
    case ASK_PROBE_SRC:
    case ASK_PROBE_DST:
    case ASK_HALT:
    case ASK_CENSUS:
    case ASK_RELABEL:
    case ASK_CHECK_HOST:
    case ASK_CHECK_PEER_AB:
    case ASK_CHECK_PEER_BA:
    case ASK_XML:
    case ASK_CEPH:
        break;
    }
}

void move_answer(struct core *c, const struct ask *a, const struct msg *m, struct move_slot *mv)
{
    if (a->what == ASK_PREP_SRC || a->what == ASK_PREP_DST)
        on_prep(c, a, m, mv);
    else if (a->what == ASK_MIGRATE)
        on_migrated(c, m, mv);
    else if (a->what == ASK_PROBE_SRC || a->what == ASK_PROBE_DST)
        on_probe(c, a, m, mv);
    else
        on_done(c, a, m, mv);
}

/* Most guests let themselves be stopped for a third of what the hypervisor would allow, at no cost. One
 * whose memory does not settle gets the hypervisor's own limit, before it is sent round and round. */
static void ease_pause(struct core *c, struct move_slot *m)
{
    if (m->longer_pause || m->m.progress.postcopy || m->m.state != JOB_COPYING || m->m.cancel ||
        c->policy.migration.downtime_us || m->m.progress.iteration < PAUSE_PASSES)
        return;
    struct tune *b = body_new(MSG_TUNE);
    *b = (struct tune){.term = c->cfg.term,
                       .job = m->m.id,
                       .attempt = m->m.attempt,
                       .vm = xstrdup(m->m.vm),
                       .downtime_us = PAUSE_MAX_US};
    m->longer_pause =
        ask(c, (struct ask){.what = ASK_TOLD, .host = m->m.from, .move = m->m.id}, MSG_TUNE, b);
    say(c, (struct about){.m = m, .host = m->m.from}, "move.pause",
        "vm/%s: its memory does not settle (pass %lld); it may now be paused for %d ms",
        m->m.vm_name, (long long)m->m.progress.iteration, (int)(PAUSE_MAX_US / MSEC));
}

/* Within a pass the rest always shrinks; whether a copy comes to its end shows in what is left when
 * the next one begins. */
static void note_pass(const struct core *c, struct move_slot *m, const struct progress *p)
{
    const struct progress *was = &m->m.progress;
    if (p->processed_bytes != was->processed_bytes)
        m->m.sent_wall_us = c->wall_us;
    if (p->iteration == was->iteration)
        return;
    bool anew = p->iteration < was->iteration || m->m.least_bytes < 0;
    m->m.stuck++;
    if (anew || p->remaining_bytes < m->m.least_bytes / 10 * 9) {
        m->m.least_bytes = p->remaining_bytes;
        m->m.stuck = 0;
    }
}

void move_progress(struct core *c, const char *host, const struct progress *p)
{
    struct move_slot *m = move_of_vm(c, p->vm);
    if (!m || !str_eq(m->m.from, host))
        return;
    note_pass(c, m, p);
    shape_done(&progress_shape, &m->m.progress);
    shape_copy(&progress_shape, &m->m.progress, p);
    m->progress_us = c->now_us;
    if (c->now_us - m->copy_start_us < p->elapsed_us) /* libvirt has counted over our restart */
        m->copy_start_us = c->now_us - p->elapsed_us;
    if (m->silence_noted && m->m.state == JOB_COPYING)
        set_str(&m->m.note, NULL);
    m->silence_noted = false;
    if (p->processed_bytes > 0)
        admit_flows(c, m);
    ease_pause(c, m);
}
