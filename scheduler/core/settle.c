/* Where is the VM? Judged from what both hosts' libvirt and Ceph say, read after the doubt arose.
 * An error or silence is no evidence. The table that this implements is in docs/timelines.md. */
#include <stdarg.h>
#include <string.h>

#include "scheduler/core/internal.h"

static bool not_there(int seen)
{
    return seen == SEEN_ABSENT || seen == SEEN_SHUTOFF;
}

/* Not certain yet: say in the move's note what is awaited. */
static enum job_event wait_for(struct move_slot *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static enum job_event wait_for(struct move_slot *m, const char *fmt, ...)
{
    char note[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(note, sizeof(note), fmt, ap);
    va_end(ap);
    if (!str_eq(m->m.note, note)) {
        set_str(&m->m.note, note);
        m->dirty = true;
    }
    return JEV_UNPROVEN;
}

/* A sentence about the side that does not answer. */
static enum job_event wait_unheard(struct move_slot *m, bool src)
{
    const char *host = src ? m->m.from : m->m.to;
    const struct probed *p = src ? &m->src : &m->dst;
    bool have = src ? m->have_src : m->have_dst;
    return have
               ? wait_for(m, "libvirt on %s does not answer: %s", host, p->detail ? p->detail : "?")
               : wait_for(m, "waiting for the agent of %s", host);
}

static enum job_event settled_at_source(struct move_slot *m)
{
    return m->m.cancel ? JEV_SEEN_STOPPED : JEV_SEEN_SRC;
}

static bool only_writer(struct core *c, struct move_slot *m, bool src)
{
    const struct probed *p = src ? &m->src : &m->dst;
    const struct host_slot *h = host_find(c, src ? m->m.from : m->m.to);
    cleanup(freep) char *why = NULL;
    if (h && check_only_writer(c, h, m->m.disks, m->m.n_disks, p->images, p->n_images, &why))
        return true;
    (void)wait_for(m, "%s: %s", src ? m->m.from : m->m.to, why);
    return false;
}

static enum job_event running_on_both(struct core *c, struct move_slot *m)
{
    if (!m->both_told)
        say(c, (struct about){.m = m}, "move.both",
            "vm/%s is shown as running on %s and on %s: Drover touches neither; look at once "
            "(virsh list on both)",
            m->m.vm_name, m->m.from, m->m.to);
    m->both_told = true;
    return wait_for(m, "RUNNING ON BOTH HOSTS (%s and %s): not touched; needs a person", m->m.from,
                    m->m.to);
}

static enum job_event runs_at_source(struct core *c, struct move_slot *m, int d)
{
    if (d == SEEN_RUNNING)
        return running_on_both(c, m);
    if (d == SEEN_PAUSED || d == SEEN_OTHER) {
        if (m->tidy_refused)
            return wait_for(m, "a half-received copy on %s cannot be removed: %s", m->m.to,
                            m->dst.detail ? m->dst.detail : "?");
        return m->probe_rounds >= 3 ? JEV_SEEN_DIRTY
                                    : wait_for(m, "%s is giving the copy up", m->m.to);
    }
    /* absent there, or that side is silent: then Ceph must say that only the source can write */
    return only_writer(c, m, true) ? settled_at_source(m) : JEV_UNPROVEN;
}

/* The definition that was left behind is removed before the move counts as done. */
static bool leftover_gone(struct core *c, struct move_slot *m, int s)
{
    if (s != SEEN_SHUTOFF || !c->policy.migration.undefine_source || m->probe_rounds > 10)
        return true;
    if (!m->leftover_told) {
        struct tidy *t = body_new(MSG_TIDY);
        *t = (struct tidy){.term = c->cfg.term,
                           .job = m->m.id,
                           .attempt = m->m.attempt,
                           .vm = xstrdup(m->m.vm),
                           .op = TIDY_UNDEFINE};
        m->leftover_told =
            ask(c, (struct ask){.what = ASK_TOLD, .host = m->m.from, .move = m->m.id}, MSG_TIDY, t);
    }
    (void)wait_for(m, "removing the old definition on %s", m->m.from);
    return false;
}

/* librbd takes an image's exclusive lock at the guest's first write. A guest that writes has it within
 * a second, and then the proof names the owner; one that does not write must not hold the drain up. */
static bool lock_taken(struct move_slot *m)
{
    const int64_t exclusive_lock = 1 << 2; /* RBD_FEATURE_EXCLUSIVE_LOCK, rbd/features.h */
    if (m->probe_rounds >= LOCK_ROUNDS)
        return true;
    for (size_t i = 0; i < m->dst.n_images; i++)
        if (m->dst.images[i].ok && (m->dst.images[i].features & exclusive_lock) &&
            !m->dst.images[i].n_lockers) {
            (void)wait_for(m, "the guest's first write takes the lock of %s",
                           m->dst.images[i].target);
            return false;
        }
    return true;
}

static enum job_event runs_at_destination(struct core *c, struct move_slot *m, int s)
{
    if (s == SEEN_PAUSED ||
        s == SEEN_OTHER) /* its libvirtd died while it handed over: it never will */
        return m->probe_rounds <= GIVEN_UP_ROUNDS
                   ? wait_for(m, "%s has not let go of its stopped copy yet", m->m.from)
                   : wait_for(m,
                              "it runs on %s; its stopped copy on %s needs a person: virsh destroy "
                              "%s there",
                              m->m.to, m->m.from, m->m.vm_name);
    if (!only_writer(c, m, false) || !leftover_gone(c, m, s) || !lock_taken(m))
        return JEV_UNPROVEN;
    return JEV_SEEN_DST;
}

static enum job_event runs_nowhere(struct core *c, struct move_slot *m)
{
    if (m->probe_rounds < 4)
        return wait_for(m, "not running on either host");
    set_str(&m->m.code, reason_tokens[R_VM_STATE]);
    set_fmt(&m->m.error,
            "the VM runs on neither host: its guest shut down or its QEMU died (defined on %s)",
            m->src.seen == SEEN_SHUTOFF   ? m->m.from
            : m->dst.seen == SEEN_SHUTOFF ? m->m.to
                                          : "none");
    say(c, (struct about){.m = m}, "move.down", "vm/%s: %s", m->m.vm_name, m->m.error);
    return settled_at_source(m);
}

static enum job_event paused_at_source(struct move_slot *m, int d)
{
    if (!not_there(d))
        return wait_for(m, "stopped on %s for the hand-over (%s)", m->m.from,
                        m->src.detail ? m->src.detail : "?");
    if (!m->tidy_refused)
        return m->probe_rounds >= 3 ? JEV_SEEN_DIRTY
                                    : wait_for(m, "paused on %s: %s", m->m.from,
                                               m->src.detail ? m->src.detail : "?");
    set_fmt(&m->m.error, "it is paused on %s: %s", m->m.from, m->src.detail ? m->src.detail : "?");
    return settled_at_source(m);
}

static enum job_event source_silent(struct core *c, struct move_slot *m, int d)
{
    if (!not_there(d) || c->now_us - m->uncertain_since_us < SOURCE_GONE_US)
        return wait_unheard(m, true);
    set_str(&m->m.code, reason_tokens[m->have_src ? R_LIBVIRT_DOWN : R_UNREACHABLE_SOURCE]);
    set_fmt(&m->m.error,
            d == SEEN_SHUTOFF ? "%s%s; it does not run on %s, where it is defined"
                              : "%s%s; nothing of the VM is on %s; it is where its host is",
            m->have_src ? "libvirt does not answer on " : "the agent is silent on ", m->m.from,
            m->m.to);
    m->source_lost = true;
    return JEV_SEEN_SRC;
}

static bool post_copy(const struct probed *p, bool have, bool *ret_broken)
{
    bool broken = have && str_eq(p->detail, "postcopy-failed");
    *ret_broken |= broken;
    return broken || (have && str_eq(p->detail, "postcopy"));
}

/* The VM is at the destination, and a part of its memory is at the source only. Nobody but libvirt ends
 * that; once it broke off, nobody but a person: whatever is stopped now takes its half with it. */
static enum job_event in_post_copy(struct core *c, struct move_slot *m, bool broken)
{
    bool src = m->have_src && (m->src.seen == SEEN_PAUSED || m->src.seen == SEEN_RUNNING);
    bool dst = m->have_dst && (m->dst.seen == SEEN_PAUSED || m->dst.seen == SEEN_RUNNING);
    if (!broken)
        return wait_for(m, "post-copy: it runs on %s, the rest of its memory follows from %s",
                        m->m.to, m->m.from);
    if (!m->post_copy_told)
        say(c, (struct about){.m = m}, "move.postcopy",
            "vm/%s: post-copy broke off; a part of its memory is on %s only: Drover touches "
            "neither "
            "side",
            m->m.vm_name, m->m.from);
    m->post_copy_told = true;
    if (src && dst)
        return wait_for(m,
                        "POST-COPY BROKE OFF: it needs %s and %s, stop neither; unless it ends by "
                        "itself: virsh migrate --postcopy-resume %s on %s",
                        m->m.from, m->m.to, m->m.vm_name, m->m.from);
    return wait_for(m,
                    "POST-COPY BROKE OFF, and nothing is heard of %s: bring it back. Only if it is "
                    "lost for good, and the VM's memory with it: virsh destroy %s on %s, and start "
                    "it anew",
                    src ? m->m.to : m->m.from, m->m.vm_name, src ? m->m.from : m->m.to);
}

static enum job_event judge_live(struct core *c, struct move_slot *m, int s, int d)
{
    bool src_job = m->have_src && m->src.vm_job != VM_JOB_NONE;
    bool dst_job = m->have_dst && m->dst.vm_job != VM_JOB_NONE, broken = false;
    bool src_post = post_copy(&m->src, m->have_src, &broken);
    if (post_copy(&m->dst, m->have_dst, &broken) || src_post)
        return in_post_copy(c, m, broken);
    if (src_job && (s == SEEN_RUNNING || s == SEEN_PAUSED))
        return wait_for(m, "libvirt on %s is still copying", m->m.from);
    if (s == SEEN_RUNNING)
        return runs_at_source(c, m, d);
    if (d == SEEN_RUNNING && !dst_job)
        return runs_at_destination(c, m, s);
    if (s == SEEN_PAUSED)
        return paused_at_source(m, d);
    if (not_there(s) && not_there(d))
        return runs_nowhere(c, m);
    if (s == SEEN_ERROR)
        return source_silent(c, m, d);
    if (d == SEEN_ERROR)
        return wait_unheard(m, false);
    return wait_for(m, "the two hosts do not agree yet (%s: %s, %s: %s)", m->m.from, seen_names[s],
                    m->m.to, seen_names[d]);
}

/* Only the definition moves: nobody runs it, so Ceph has nothing to say. */
static enum job_event judge_offline(struct move_slot *m, int s, int d)
{
    if (s == SEEN_ERROR || d == SEEN_ERROR)
        return wait_unheard(m, s == SEEN_ERROR);
    if (s == SEEN_ABSENT && d != SEEN_ABSENT)
        return JEV_SEEN_DST;
    if (s == SEEN_SHUTOFF && d == SEEN_SHUTOFF && !m->tidy_refused)
        return JEV_SEEN_DIRTY;
    return settled_at_source(m);
}

static enum job_event judge_cold(struct core *c, struct move_slot *m, int s, int d)
{
    if (s == SEEN_ABSENT && d == SEEN_SHUTOFF)
        return JEV_SEEN_DEFINED;
    if (s == SEEN_SHUTOFF && d == SEEN_SHUTOFF && !m->tidy_refused)
        return JEV_SEEN_DIRTY; /* the old definition goes first */
    if (s == SEEN_SHUTOFF && d == SEEN_ABSENT && m->stopped_by_us)
        return m->tidy_refused ? settled_at_source(m) : JEV_SEEN_DIRTY; /* started where it was */
    return judge_live(c, m, s, d);
}

enum job_event settle_judge(struct core *c, struct move_slot *m)
{
    int s = m->have_src ? m->src.seen : SEEN_ERROR;
    int d = m->have_dst ? m->dst.seen : SEEN_ERROR;
    enum job_event ev = m->m.offline ? judge_offline(m, s, d)
                        : m->m.live  ? judge_live(c, m, s, d)
                                     : judge_cold(c, m, s, d);
    /* not moving is no evidence while the order to move may still reach libvirt */
    bool stays = ev == JEV_SEEN_SRC || ev == JEV_SEEN_STOPPED || ev == JEV_SEEN_DIRTY;
    if (stays && m->have_src && m->src.ordered)
        return wait_for(m, "the agent of %s is still carrying out the order to move it", m->m.from);
    return ev;
}
