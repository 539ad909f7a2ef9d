/* Post-copy, as QEMU and libvirt do it: the guest goes on at the destination while a part of its memory
 * is still at the source. Its pages are sent on; when none comes any more, both sides keep what they
 * have, libvirt calls both "postcopy-failed", and it takes a word to go on. Nobody can abort it. */
#include "scheduler/sim/copy.h"

bool copy_switched(const struct sim_copy *c)
{
    return c->stage >= COPY_SWITCHING;
}

/* A guest that stands still for another reason (an I/O error) keeps that one. */
static void both_are(struct sim *s, struct sim_copy *c, const char *why)
{
    const struct qemu *src = qemu_on(c->vm, c->from), *dst = qemu_on(c->vm, c->to);
    if (src)
        qemu_set(s, c->vm, c->from, QEMU_PAUSED, why);
    if (dst && dst->state != QEMU_PAUSED)
        qemu_set(s, c->vm, c->to, QEMU_RUNNING, why);
}

static void flow(struct sim *s, struct sim_copy *c)
{
    c->stage = COPY_POSTCOPY;
    c->moved_us = s->now_us;
    c->rate_Bps = -1; /* none yet: any share is a change */
    copies_share(s);
}

static void switched(struct sim *s, struct sim_copy *c)
{
    both_are(s, c, "postcopy");
    if (c->persist)
        define_on(s, c->vm, c->to, true);
    sim_say(s, "world: vm/%s runs on %s by post-copy; a part of its memory is still on %s",
            c->vm->facts.name, s->hosts[c->to].facts.name, s->hosts[c->from].facts.name);
    flow(s, c);
}

void copy_switch(struct sim *s, struct sim_copy *c)
{
    if (!c->may_switch || c->stage != COPY_SENDING || !host_reaches(s, c->from, c->to))
        return;
    copy_account(s, c);
    copy_guest_changes(s, c);
    c->rest_bytes += c->written_bytes;
    if (c->rest_bytes > c->vm->facts.mem_bytes)
        c->rest_bytes = c->vm->facts.mem_bytes;
    c->written_bytes = 0;
    c->pause_us = copy_handover_us(s, c);
    c->stage = COPY_SWITCHING;
    qemu_set(s, c->vm, c->from, QEMU_PAUSED, "postcopy");
    copy_later(s, c, c->pause_us, switched);
    copies_share(s);
}

void copy_break(struct sim *s, struct sim_copy *c)
{
    bool was = c->stage == COPY_BROKEN && !c->op;
    c->stage = COPY_BROKEN;
    c->rate_Bps = 0;
    c->turn = ++s->next_turn; /* nothing happens by itself any more */
    if (qemu_on(c->vm, c->to))
        both_are(s, c, "postcopy-failed");
    else if (qemu_on(c->vm, c->from))
        qemu_set(s, c->vm, c->from, QEMU_PAUSED, "postcopy-failed");
    if (!was)
        sim_say(s, "world: the post-copy of vm/%s breaks off", c->vm->facts.name);
    copy_answer(s, c, false, "operation failed: job 'migration out' failed in post-copy phase");
    copies_share(s);
}

void copy_recover(struct sim *s, struct sim_copy *c)
{
    bool both = qemu_on(c->vm, c->from) && qemu_on(c->vm, c->to);
    if (c->stage != COPY_BROKEN || !both || !host_reaches(s, c->from, c->to) ||
        !s->hosts[c->from].libvirtd || !s->hosts[c->to].libvirtd)
        return;
    c->unattended = false;
    both_are(s, c, "postcopy");
    flow(s, c);
}

void copy_complete(struct sim *s, struct sim_copy *c)
{
    if (!s->hosts[c->from].libvirtd || !s->hosts[c->to].libvirtd) {
        copy_later(s, c, SEC, copy_complete); /* QEMU has, libvirt does not know it yet */
        return;
    }
    const struct qemu *dst = qemu_on(c->vm, c->to);
    if (dst && dst->state != QEMU_PAUSED)
        qemu_set(s, c->vm, c->to, QEMU_RUNNING, "migrated");
    c->undefine = c->undefine && !c->unattended;
    copy_finish(s, c);
}

bool copy_post_host_died(struct sim *s, struct sim_copy *c, int host)
{
    (void)host;
    if (!copy_switched(c))
        return false;
    if (c->stage != COPY_BROKEN) {
        c->stage = COPY_BROKEN;
        c->rate_Bps = 0;
        copy_later(s, c, KEEPALIVE_US, copy_break);
    }
    return true;
}

bool copy_post_libvirtd_died(struct sim *s, struct sim_copy *c)
{
    if (!copy_switched(c))
        return false;
    copy_answer(s, c, false, "lost the connection to a libvirtd in the post-copy phase");
    if (c->stage == COPY_BROKEN)
        return true;
    c->unattended = true;
    if (c->stage == COPY_POSTCOPY)
        both_are(s, c, "postcopy-failed"); /* so libvirt calls it, though QEMU goes on */
    return true;
}
