/* Moves that wait for others of their run: room is handed on, so a move starts once those of its `after`
 * have ended where they were to. What waits for a move that did not get there is taken back: the run
 * plans its VM anew, with what it has learnt, a few times; then the VM stays, and why is said. */
#include "scheduler/core/internal.h"

static const struct move_slot *waited(const struct core *c, const struct move_wait *w)
{
    return move_find(c, w->move);
}

bool waits_still(const struct core *c, const struct move_slot *m)
{
    bool any = false;
    for (size_t i = 0; i < m->m.n_after && m->m.state == JOB_QUEUED; i++) {
        const struct move_slot *o = waited(c, &m->m.after[i]);
        any = any || !o || o->m.state != JOB_DONE;
    }
    return any;
}

bool waits_on(const struct core *c, struct move_slot *m)
{
    cleanup(freep) char *names = NULL;
    for (size_t i = 0; i < m->m.n_after; i++) {
        const struct move_slot *o = waited(c, &m->m.after[i]);
        if (!o || o->m.state != JOB_DONE)
            set_fmt(&names, "%s%svm/%s", names ? names : "", names ? ", " : "", m->m.after[i].vm);
    }
    if (!names)
        return false;
    cleanup(freep) char *note = xasprintf("waits for %s", names);
    set_str(&m->m.note, note);
    return true;
}

void waits_follow(struct core *c, const struct move_slot *m)
{
    for (struct move_slot *o = lookup_get(&c->moved, m->m.vm); o; o = o->before)
        if (o != m && o->m.run == m->m.run && o->m.state == JOB_QUEUED) {
            set_str(&o->m.from, m->m.to);
            o->dirty = true;
            move_wake(c, o);
        }
}

static bool has_failed(const struct move_slot *o)
{
    return !o || o->m.state == JOB_CANCELLED || (o->m.state == JOB_FAILED && o->handled);
}

/* The first that did not move, of those it waits for; −1 none. */
static int in_vain(const struct core *c, const struct move_slot *m)
{
    for (size_t i = 0; i < m->m.n_after; i++)
        if (has_failed(waited(c, &m->m.after[i])))
            return (int)i;
    return -1;
}

static bool waits_for(const struct move_slot *m, int64_t id)
{
    for (size_t i = 0; i < m->m.n_after; i++)
        if (m->m.after[i].move == id)
            return true;
    return false;
}

/* It only makes room, and all whom the room was for will not come. */
static bool is_pointless(const struct run_slot *r, const struct move_slot *m)
{
    bool any = false;
    for (size_t i = 0; m->m.aside && i < r->n_moves; i++) {
        const struct move_slot *o = r->moves[i];
        if (!waits_for(o, m->m.id))
            continue;
        if (!has_failed(o))
            return false;
        any = true;
    }
    return any && m->m.state == JOB_QUEUED;
}

static void take_back(struct core *c, struct run_slot *r, struct move_slot *m, const char *why)
{
    bool own = run_owns(&r->run, &m->m);
    bool again = own && r->late_rounds < SETTLE_ROUNDS && r->run.kind != RUN_BALANCE;
    set_str(&m->m.error, why);
    set_str(&m->m.code, reason_tokens[R_ROOM_LOST]);
    say(c, (struct about){.r = r, .m = m, .vm = m->m.vm_name}, "move.taken_back", "vm/%s: %s%s",
        m->m.vm_name, why, again ? "; it is planned anew" : "");
    if (again)
        r->run.vms -= !m->m.offline; /* counted again by the new plan */
    else if (own && r->run.kind != RUN_BALANCE)
        run_stay_after(c, r, m, why);
    m->handled = m->dirty = r->dirty = true;
    move_event(c, m, JEV_CANCEL);
}

void waits_settle(struct core *c, struct run_slot *r)
{
    for (bool again = r->run.state == RUN_RUNNING; again;) {
        again = false;
        for (size_t i = 0; i < r->n_moves; i++) {
            struct move_slot *m = r->moves[i];
            if (m->m.state != JOB_QUEUED)
                continue;
            int vain = in_vain(c, m);
            if (vain < 0 && !is_pointless(r, m))
                continue;
            cleanup(freep) char *why =
                vain < 0
                    ? xstrdup("nobody needs its room any more")
                    : xasprintf("it waited for vm/%s, which did not move", m->m.after[vain].vm);
            take_back(c, r, m, why);
            again = true;
        }
    }
}
