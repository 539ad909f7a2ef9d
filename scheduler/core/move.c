/* The life of one move: effects of the job table, answers, probes. */
#include <assert.h>
#include <string.h>

#include "scheduler/core/internal.h"
#include "scheduler/plan/turns.h"

bool move_active(const struct move_slot *m)
{
    /* in doubt, but as far as is known libvirt is still copying, or about to: after a restart of
     * ours, or of its agent */
    bool copies =
        m->m.state == JOB_UNCERTAIN &&
        (!m->src_heard || m->src.vm_job == VM_JOB_MIGRATING_OUT || m->src.ordered);
    return copies || m->m.state == JOB_PREPARING || m->m.state == JOB_STOPPING ||
           m->m.state == JOB_COPYING;
}

/* Of two moves of one VM the one that has begun, or will begin first. */
struct move_slot *move_of_vm(const struct core *c, const char *uuid)
{
    struct move_slot *first = NULL;
    for (struct move_slot *m = lookup_get(&c->moved, uuid); m; m = m->before) {
        const struct run_slot *r = run_find(c, m->m.run);
        if (job_final((enum job_state)m->m.state) || !r || run_ended(r->run.state) ||
            r->run.state == RUN_PROPOSED)
            continue;
        if (m->m.state != JOB_QUEUED)
            return m;
        first = m;
    }
    return first;
}

struct move_slot *move_new(struct core *c, struct run_slot *r, const struct snapshot *s,
                           const struct plan_move *pm)
{
    struct move_slot *m = xcalloc(1, sizeof(*m));
    shape_init(&move_shape, &m->m);
    m->m.id = c->next_move++;
    m->m.run = r->run.id;
    planned_move(&m->m, s, pm);
    move_link(c, m);
    m->m.queued_wall_us = c->wall_us;
    m->dirty = r->dirty = true;
    return m;
}

void move_failed_reason(const struct move_slot *m, struct reason *ret)
{
    reason_set(ret, m->m.code ? reason_from_token(m->m.code) : R_MIGRATE_FAILED, m->m.to, NULL,
               NULL, m->m.error, NULL);
}

/* ---- effects ------------------------------------------------------------------------------------ */

void move_prep_note(struct move_slot *m, enum reason_code code, const char *host, const char *have)
{
    if (m->prep_bad)
        return;
    m->prep_bad = true;
    reason_set(&m->prep_why, code, host, NULL, NULL, have, NULL);
}

static void check_both(struct core *c, struct move_slot *m)
{
    const struct host_slot *from = host_find(c, m->m.from);
    const struct vm_slot *v = from ? vm_find(from, m->m.vm) : NULL;
    m->prep_bad = m->prep_why_vm = m->prep_done = false;
    m->prep_waiting = 0;
    facts_done(&m->m.ceph_src, &m->m.n_ceph_src);
    facts_done(&m->m.ceph_dst, &m->m.n_ceph_dst);
    if (!v) {
        move_prep_note(m, R_VM_STATE, NULL, "it is no longer on its host");
        return;
    }
    for (int dst = 0; dst < 2; dst++) {
        const char *host = dst ? m->m.to : m->m.from;
        struct check_vms *b = body_new(MSG_CHECK_VMS);
        b->term = c->cfg.term;
        b->as_source = !dst;
        shape_copy(&vm_shape, vec_add(&b->vms, &b->n_vms), &v->vm);
        struct ask want = {.what = dst ? ASK_PREP_DST : ASK_PREP_SRC,
                           .host = (char *)(uintptr_t)host,
                           .vm = m->m.vm,
                           .run = m->m.run,
                           .move = m->m.id};
        if (ask(c, want, MSG_CHECK_VMS, b))
            m->prep_waiting++;
        else
            move_prep_note(m, R_HOST_UNREACHABLE, host, NULL);
    }
}

/* What libvirt is asked for, in the operator's words: the policy's keys. Gives. */
static char *how_text(const struct migrate *b)
{
    const struct {
        bool on;
        const char *name;
    } all[] = {
        {b->live, "live"},
        {b->offline, "definition only"},
        {!b->live && !b->offline, "paused for the copy"},
        {b->persist_dest, "persistent"},
        {b->undefine_source, "undefine source"},
        {b->abort_on_error, "abort on error"},
        {b->compressed, "compressed"},
        {b->auto_converge, "auto-converge"},
        {b->post_copy, "post-copy"},
        {b->multifd, "multifd"},
        {!b->offline, b->tls ? "tls" : "tcp"},
    };
    char *s = NULL;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].on)
            set_fmt(&s, "%s%s%s", s ? s : "", s ? ", " : "", all[i].name);
    return s;
}

static void start_copy(struct core *c, struct move_slot *m)
{
    const struct host_slot *to = host_find(c, m->m.to);
    struct migrate *b = body_new(MSG_MIGRATE);
    *b = (struct migrate){
        .term = c->cfg.term,
        .job = m->m.id,
        .attempt = m->m.attempt,
        .vm = xstrdup(m->m.vm),
        .dst_host = xstrdup(m->m.to),
        .dst_uri = xstrdup(to->rec.last.migrate_uri),
        .live = m->m.live && c->policy.migration.live,
        .offline = !m->m.live,
        .persist_dest = c->policy.migration.persistent || !m->m.live,
        .undefine_source = c->policy.migration.undefine_source || !m->m.live,
        .abort_on_error = c->policy.migration.abort_on_error && m->m.live,
    };
    if (m->m.live) {
        b->migrate_uri =
            to->rec.last.migrate_address
                ? xasprintf(strchr(to->rec.last.migrate_address, ':') ? "tcp://[%s]" : "tcp://%s",
                            to->rec.last.migrate_address)
                : NULL;
        b->compressed = c->policy.migration.compressed;
        b->tls = c->policy.migration.transport == TRANSPORT_TLS;
        b->auto_converge = c->policy.migration.auto_converge;
        b->post_copy = c->policy.migration.post_copy;
        b->multifd = c->policy.migration.multifd;
        b->multifd_channels = c->policy.migration.multifd_channels;
        b->downtime_us = c->policy.migration.downtime_us;
        if (!b->downtime_us && b->live)
            b->downtime_us = PAUSE_FIRST_US;
        const struct host_slot *from = host_find(c, m->m.from);
        b->bandwidth_Bps = turns_cap_Bps(&c->policy, from->rec.last.link_bps);
    }
    m->copy_start_us = c->now_us;
    m->gave_up = m->source_lost = false;
    m->m.copy_wall_us = c->wall_us;
    m->flowing = m->longer_pause = false;
    m->began = true;
    m->blocked_since_us = 0;
    m->waits_for_checks = false;
    set_str(&m->m.note, NULL);
    m->leftover_told = m->tidy_refused = m->both_told = m->post_copy_told = false;
    struct ask want = {.what = ASK_MIGRATE,
                       .host = m->m.from,
                       .move = m->m.id,
                       .vm = m->m.vm,
                       .deadline_us = INT64_MAX};
    cleanup(freep) char *how = how_text(b);
    if (ask(c, want, MSG_MIGRATE, b)) {
        say(c, (struct about){.m = m, .host = m->m.from}, "move.copying",
            "vm/%s copying %s → %s (%s)", m->m.vm_name, m->m.from, m->m.to, how);
    } else {
        set_str(&m->m.error, "the source's agent is not connected");
        move_event(c, m, JEV_REJECTED);
    }
}

static void power_vm(struct core *c, struct move_slot *m, enum ask_for what, char *host, int op)
{
    m->began = true;
    struct power *b = body_new(MSG_POWER);
    *b = (struct power){.term = c->cfg.term,
                        .job = m->m.id,
                        .attempt = m->m.attempt,
                        .vm = xstrdup(m->m.vm),
                        .op = op,
                        .timeout_us = c->policy.drain.shutdown_timeout_us};
    struct ask want = {.what = what,
                       .host = host,
                       .move = m->m.id,
                       .vm = m->m.vm,
                       .deadline_us =
                           c->now_us + c->policy.drain.shutdown_timeout_us + ASK_TIMEOUT_US};
    say(c, (struct about){.m = m, .host = host}, op == POWER_SHUTDOWN ? "vm.shutdown" : "vm.start",
        op == POWER_SHUTDOWN ? "vm/%s is being shut down on %s, as asked (--on-blocked cold)"
                             : "vm/%s is being started on %s",
        m->m.vm_name, host);
    if (!ask(c, want, MSG_POWER, b))
        move_event(c, m, what == ASK_TIDY ? JEV_ERROR : JEV_LOST);
}

/* What is in the way of "settled": see settle.c for who asks for it. */
static void tidy_up(struct core *c, struct move_slot *m)
{
    if (!m->m.live && !m->m.offline && m->src.seen == SEEN_SHUTOFF && m->dst.seen == SEEN_ABSENT) {
        power_vm(c, m, ASK_TIDY, m->m.from, POWER_START);
        return;
    }
    enum tidy_op op = m->src.seen == SEEN_PAUSED    ? TIDY_RESUME_SOURCE
                      : m->src.seen == SEEN_SHUTOFF ? TIDY_UNDEFINE
                                                    : TIDY_KILL_INCOMING;
    char *host = op == TIDY_KILL_INCOMING ? m->m.to : m->m.from;
    struct tidy *t = body_new(MSG_TIDY);
    *t = (struct tidy){.term = c->cfg.term,
                       .job = m->m.id,
                       .attempt = m->m.attempt,
                       .vm = xstrdup(m->m.vm),
                       .op = op};
    say(c, (struct about){.m = m, .host = host}, "move.tidy", "vm/%s: %s on %s", m->m.vm_name,
        op == TIDY_RESUME_SOURCE ? "resuming the paused VM"
        : op == TIDY_UNDEFINE    ? "removing the old definition"
                                 : "removing the half-received copy",
        host);
    if (!ask(c, (struct ask){.what = ASK_TIDY, .host = host, .move = m->m.id, .vm = m->m.vm},
             MSG_TIDY, t))
        move_event(c, m, JEV_LOST);
}

static void send_abort(struct core *c, struct move_slot *m)
{
    struct abort_job *b = body_new(MSG_ABORT);
    *b = (struct abort_job){
        .term = c->cfg.term, .job = m->m.id, .attempt = m->m.attempt, .vm = xstrdup(m->m.vm)};
    ask(c, (struct ask){.what = ASK_TOLD, .host = m->m.from, .move = m->m.id}, MSG_ABORT, b);
}

static void committed(struct core *c, struct move_slot *m)
{
    char bytes[FMT_BYTES], took[FMT_BYTES], pause[FMT_BYTES];
    m->m.ended_wall_us = c->wall_us;
    m->m.proven_wall_us = m->m.offline ? 0 : c->wall_us; /* a shut-off VM has no writer to prove */
    facts_copy(&m->m.ceph_after, &m->m.n_ceph_after, m->dst.images, m->dst.n_images);
    set_str(&m->m.note, NULL);
    set_str(&m->m.code, NULL);
    set_str(&m->m.error, NULL);
    vm_moved(c, m);
    int64_t took_us = m->m.copy_wall_us ? c->wall_us - m->m.copy_wall_us : -1;
    if (m->m.total_us > 0)
        took_us = m->m.total_us;
    struct about a = {.m = m, .host = m->m.to};
    if (m->m.offline)
        say(c, a, "move.done", "vm/%s (shut off) is now defined on %s instead of %s", m->m.vm_name,
            m->m.to, m->m.from);
    else if (!m->m.live)
        say(c, a, "move.done", "vm/%s moved %s → %s cold, as asked: shut down, started there (%s)",
            m->m.vm_name, m->m.from, m->m.to, "RBD writer proven");
    else
        say(c, a, "move.done", "vm/%s moved %s → %s (%s in %s, paused %s, RBD writer proven)",
            m->m.vm_name, m->m.from, m->m.to, fmt_bytes(bytes, m->m.bytes),
            fmt_duration(took, took_us), fmt_duration(pause, m->m.downtime_us));
}

static void released(struct core *c, struct move_slot *m)
{
    m->m.ended_wall_us = c->wall_us;
    vm_stayed(c, m);
    c->version++; /* it does not go where others may count on it */
    cleanup(freep) char *waiting = xasprintf("waiting: %s", m->m.error ? m->m.error : "");
    if (m->waits_for_checks && !m->began && str_eq(m->m.note, waiting))
        return; /* as said before; handle_failed() asks again, or says that it stays */
    set_str(&m->m.note, NULL);
    if (m->m.state == JOB_CANCELLED) {
        set_str(&m->m.code, reason_tokens[R_CANCELLED]);
        say(c, (struct about){.m = m}, "move.cancelled", "vm/%s stays on %s: cancelled",
            m->m.vm_name, m->m.from);
        return;
    }
    bool down = m->began && str_eq(m->m.code, reason_tokens[R_VM_STATE]); /* settle.c: nowhere */
    cleanup(freep) char *where = !m->began ? xstrdup(", nothing was begun")
                                 : down || m->source_lost
                                     ? xstrdup("")
                                     : xasprintf(", it is on %s as before", m->m.from);
    say(c, (struct about){.m = m}, "move.failed", "vm/%s not moved to %s%s: %s", m->m.vm_name,
        m->m.to, where, m->m.error ? m->m.error : "unknown error");
}

static void probe_both(struct core *c, struct move_slot *m)
{
    m->next_probe_us = c->now_us;
    m->probe_rounds = 0;
    m->uncertain_since_us = c->now_us;
    m->have_src = m->have_dst = m->src_heard = false;
    ask_forget_probes(c, m->m.id);
}

int move_event(struct core *c, struct move_slot *m, enum job_event ev)
{
    enum job_state st = (enum job_state)m->m.state, was = st;
    enum job_effect fx;
    int r = job_step(&st, ev, &fx);
    struct run_slot *run = run_find(c, m->m.run);
    if (r < 0) {
        say(c, (struct about){.m = m}, "move.illegal", "vm/%s: event %s ignored in state %s",
            m->m.vm_name, job_event_names[ev], job_state_names[was]);
        return r;
    }
    m->m.state = (int)st;
    c->active_stale = true;
    if (st != was)
        m->dirty = true;
    if (run)
        run->dirty = run->dirty || st != was;
    if (st == JOB_UNCERTAIN && was != JOB_UNCERTAIN && was != JOB_CONFIRMING)
        say(c, (struct about){.m = m}, "move.uncertain", "vm/%s: %s; both hosts and Ceph are read",
            m->m.vm_name, m->m.error ? m->m.error : "the answer was lost");
    switch (fx) {
    case FXJ_NONE:
        break;
    case FXJ_CHECK_BOTH:
        check_both(c, m);
        break;
    case FXJ_START_COPY:
        start_copy(c, m);
        break;
    case FXJ_STOP_VM:
        power_vm(c, m, ASK_STOP, m->m.from, POWER_SHUTDOWN);
        break;
    case FXJ_START_VM:
        power_vm(c, m, ASK_START, m->m.to, POWER_START);
        break;
    case FXJ_PROBE_BOTH:
        probe_both(c, m);
        break;
    case FXJ_TIDY:
        tidy_up(c, m);
        break;
    case FXJ_ABORT:
        send_abort(c, m);
        break;
    case FXJ_RELEASE_DST:
        released(c, m);
        break;
    case FXJ_COMMIT_MOVE:
        committed(c, m);
        break;
    }
    return 0;
}

/* ---- time ----------------------------------------------------------------------------------------- */

static void send_probes(struct core *c, struct move_slot *m)
{
    m->have_src = m->have_dst = false;
    m->probe_rounds++;
    m->next_probe_us = INT64_MAX; /* until both have answered, or their asks expire */
    bool sent = false;
    for (int dst = 0; dst < 2; dst++) {
        struct probe *b = body_new(MSG_PROBE);
        *b = (struct probe){
            .term = c->cfg.term, .job = m->m.id, .attempt = m->m.attempt, .vm = xstrdup(m->m.vm)};
        for (size_t i = 0; i < m->m.n_disks; i++)
            shape_copy(&disk_shape, vec_add(&b->disks, &b->n_disks), &m->m.disks[i]);
        struct ask want = {.what = dst ? ASK_PROBE_DST : ASK_PROBE_SRC,
                           .move = m->m.id,
                           .host = dst ? m->m.to : m->m.from,
                           .vm = m->m.vm,
                           .deadline_us = c->now_us + PROBE_TIMEOUT_US};
        sent |= ask(c, want, MSG_PROBE, b);
    }
    if (!sent) {
        m->next_probe_us = c->now_us + PROBE_SLOW_US;
        (void)settle_judge(c, m); /* for its note: who is awaited */
    }
}

static void prep_finished(struct core *c, struct move_slot *m)
{
    m->prep_done = true;
    if (!m->prep_bad && m->m.live && m->m.n_ceph_dst == 0 && m->m.n_ceph_src != 0)
        move_prep_note(m, R_CHECK_FAILED, m->m.to, "no Ceph facts");
    if (m->prep_bad) {
        cleanup(freep) char *text = reason_sentence(&m->prep_why);
        set_str(&m->m.code, reason_tokens[m->prep_why.code]);
        set_str(&m->m.error, text);
        move_event(c, m, JEV_REFUSED);
        return;
    }
    struct run_slot *run = run_find(c, m->m.run);
    if (run && m->held_version != c->version && !m->m.cancel && !target_holds(c, run, m)) {
        m->place_lost = true;
        set_str(&m->m.error, m->m.note);
        move_event(c, m, JEV_REFUSED);
        return;
    }
    m->m.prepared_wall_us = m->m.confirmed_wall_us = c->wall_us;
    say(c, (struct about){.m = m}, "move.confirmed",
        "vm/%s: Ceph confirms on %s and %s: same cluster, pool and image (%zu disk%s)",
        m->m.vm_name, m->m.from, m->m.to, m->m.n_ceph_src, m->m.n_ceph_src == 1 ? "" : "s");
    move_event(c, m, m->m.live || m->m.offline ? JEV_READY : JEV_READY_COLD);
}

/* A copy that does not come to its end is aborted: it has failed, and is tried again or stays. */
static void give_up_late(struct core *c, struct move_slot *m)
{
    int64_t gib = m->m.mem_bytes / GIB, limit_us = c->policy.migration.timeout_us_per_gib;
    bool copying = m->m.state == JOB_COPYING ||
                   (m->m.state == JOB_UNCERTAIN && m->src.vm_job == VM_JOB_MIGRATING_OUT);
    if (!copying || !m->m.live || m->m.cancel || m->m.progress.postcopy || m->gave_up ||
        limit_us <= 0 || c->now_us - m->copy_start_us <= limit_us * (gib < 2 ? 2 : gib))
        return;
    m->gave_up = true;
    set_str(&m->m.error, "it did not converge within the policy's time; the copy was given up");
    move_event(c, m, JEV_CANCEL);
}

/* Progress comes each second: when it stays away, libvirt hangs, most often on a QEMU that waits for
 * Ceph. Nothing is decided by that; it is said. */
static void note_silence(const struct core *c, struct move_slot *m)
{
    int64_t last_us = m->progress_us > m->copy_start_us ? m->progress_us : m->copy_start_us;
    if (m->m.state != JOB_COPYING || m->m.note || c->now_us - last_us < SILENT_COPY_US)
        return;
    set_fmt(&m->m.note,
            "no news of the copy from libvirt on %s: it hangs, or waits for a slow Ceph",
            m->m.from);
    m->silence_noted = m->dirty = true;
}

/* The source has said that it moves no more, and its word on how that ended has not come: it is lost. */
static void miss_answer(struct core *c, struct move_slot *m)
{
    int64_t last_us = m->progress_us > m->copy_start_us ? m->progress_us : m->copy_start_us;
    const struct host_slot *h = host_find(c, m->m.from);
    if (m->m.state != JOB_COPYING || !h || !h->reported || c->now_us - last_us < SILENT_COPY_US)
        return;
    const struct vm_slot *v = vm_find(h, m->m.vm);
    if (v && !v->gone && v->vm.job == VM_JOB_MIGRATING_OUT)
        return;
    set_fmt(&m->m.error, "%s is not moving it any more and has not said how that ended", m->m.from);
    move_event(c, m, JEV_LOST);
}

void move_tick(struct core *c, struct move_slot *m)
{
    if (m->m.state == JOB_PREPARING && m->prep_waiting == 0 && !m->prep_done)
        prep_finished(c, m);
    give_up_late(c, m);
    note_silence(c, m);
    miss_answer(c, m);
    if ((m->m.state == JOB_CONFIRMING || m->m.state == JOB_UNCERTAIN) &&
        m->next_probe_us <= c->now_us)
        send_probes(c, m);
}

void move_host_down(struct core *c, const char *host)
{
    for (size_t i = 0; i < c->n_open_moves; i++) {
        struct move_slot *m = c->open_moves[i];
        if (m->m.state == JOB_COPYING && str_eq(m->m.to, host))
            say(c, (struct about){.m = m, .host = host}, "move.peer_silent",
                "vm/%s: the agent of %s fell silent; libvirt on %s goes on copying, as far as is "
                "known",
                m->m.vm_name, host, m->m.from);
        /* awaited answers were delivered as lost already; a probing move asks again at once when
         * the host is back */
        if ((m->m.state == JOB_UNCERTAIN || m->m.state == JOB_CONFIRMING) &&
            (str_eq(m->m.from, host) || str_eq(m->m.to, host)) && m->next_probe_us == INT64_MAX)
            m->next_probe_us = c->now_us + PROBE_EVERY_US;
    }
}
