/* A queued move's place: held against the fleet as it is now, another looked for, or waited for one. */
#include "scheduler/core/internal.h"

#define GIVE_UP_US    (60 * SEC) /* for so long no host takes it: then it stays */
#define LOOK_AGAIN_US (5 * SEC)  /* a blocked one, also when nothing is known to be new */

bool target_holds(struct core *c, struct run_slot *r, struct move_slot *m)
{
    struct snapshot_store snap;
    struct reason why = {0};
    snapshot_make(c, r->run.id, m->m.id, &snap);
    int vm = snap_vm_id(c, &snap.s, m->m.vm), to = snap_host_id(&snap.s, m->m.to);
    for (size_t i = 0; i < r->n_moves; i++) { /* their room is not there yet, so they have none */
        const struct move_slot *o = r->moves[i];
        int other =
            waits_still(c, o) && move_of_vm(c, o->m.vm) == o ? snap_vm_id(c, &snap.s, o->m.vm) : -1;
        if (other >= 0) {
            snap.vms[other].moving_to = -1;
            snap.vms[other].leaves = true;
        }
    }
    struct plan_index *x = fleet_index(c, &snap.s);
    bool ok = vm >= 0 && to >= 0 && plan_holds_from(x, vm, to, &why) &&
              (!m->m.live || plan_vm_movable(&snap.s, &c->policy, vm, &why));
    plan_index_free(x);
    snapshot_done(&snap);
    if (!ok && why.code) {
        cleanup(freep) char *text = reason_sentence(&why);
        set_str(&m->m.note, text);
    }
    shape_done(&reason_shape, &why);
    return ok;
}

/* It was blocked, and the fleet is as it was then: the answer would be the same. */
static bool nothing_new(const struct core *c, const struct move_slot *m)
{
    return m->held_version == c->version && c->now_us < m->look_again_us;
}

static void say_elsewhere(struct core *c, const struct move_slot *m, const char *was,
                          const char *why)
{
    if (!str_eq(was, m->m.to))
        say(c, (struct about){.m = m}, "move.replanned", "vm/%s will go to %s instead of %s: %s",
            m->m.vm_name, m->m.to, was, why ? why : "?");
}

static bool goes_elsewhere(struct core *c, struct run_slot *r, struct move_slot *m)
{
    cleanup(freep) char *was = xstrdup(m->m.to);
    bool only_there = m->m.parks || r->run.kind == RUN_BALANCE;
    if (nothing_new(c, m) || only_there || !run_replan_move(c, r, m, false))
        return false;
    say_elsewhere(c, m, was, m->m.note);
    return true;
}

/* There is a place, but two VMs failed to get there: is there another one? A run that must end goes there
 * all the same; balance.c drops it. */
static void keep_off_failed(struct core *c, struct run_slot *r, struct move_slot *m)
{
    cleanup(freep) char *was = xstrdup(m->m.to);
    cleanup(freep) char *how = failures_at_words(c, r, was);
    if (!how || m->m.parks || r->run.kind == RUN_BALANCE)
        return;
    if (run_replan_off_failed(c, r, m, false)) {
        say_elsewhere(c, m, was, how);
        return;
    }
    cleanup(freep) char *why = xasprintf("no other host takes it, though %s", how);
    if (str_eq(m->m.why, why))
        return;
    set_str(&m->m.why, why);
    m->dirty = true;
    say(c, (struct about){.m = m}, "move.all_the_same", "vm/%s goes to %s all the same: %s",
        m->m.vm_name, was, why);
}

static void is_blocked(struct core *c, struct move_slot *m)
{
    if (!nothing_new(c, m)) {
        m->held_version = c->version;
        m->look_again_us = c->now_us + LOOK_AGAIN_US;
    }
    if (!m->blocked_since_us)
        m->blocked_since_us = c->now_us;
    if (c->now_us - m->blocked_since_us <= GIVE_UP_US)
        return;
    m->look_again_us = 0;
    set_str(&m->m.error, m->m.note);
    move_event(c, m, JEV_REFUSED);
}

bool place_found(struct core *c, struct run_slot *r, struct move_slot *m)
{
    bool holds = !nothing_new(c, m) && target_holds(c, r, m);
    if (holds)
        keep_off_failed(c, r, m);
    if (holds || goes_elsewhere(c, r, m))
        return true;
    is_blocked(c, m);
    return false;
}
