/* Whom balance runs leave alone for a while: who has moved, or was moved, a short while ago, or as often
 * today as the policy allows. Nothing is kept for that: the moves themselves tell, also after a restart.
 * Drains count, and are not held back: an operator asked for them. What a balance run took away from a
 * host, none brings back there within a day: load that sways between two hosts would move it for ever. */
#include "scheduler/core/internal.h"

#define DAY_US (INT64_C(24) * 3600 * SEC)

struct past {                /* of one VM */
    int64_t last_wall_us;    /* its last move, by whoever; 0: none known */
    bool foreign;            /* that was another hand's */
    int64_t moves, pause_us; /* by Drover, of the last day */
};

static struct past past_of(const struct core *c, const struct vm_slot *v)
{
    struct past p = {0};
    const char *put = NULL;
    for (const struct move_slot *m = lookup_get(&c->moved, v->vm.uuid); m; m = m->before) {
        if (m->m.state != JOB_DONE || m->m.offline)
            continue;
        int64_t at = m->m.ended_wall_us;
        put = put ? put : m->m.to;
        p.last_wall_us = at > p.last_wall_us ? at : p.last_wall_us;
        if (at <= c->wall_us - DAY_US)
            continue;
        p.moves++;
        p.pause_us += m->m.downtime_us > 0 ? m->m.downtime_us : 0;
    }
    int64_t came = put && !str_eq(put, v->host->rec.name) ? v->since_wall_us : v->came_wall_us;
    if (came > p.last_wall_us) {
        p.last_wall_us = came;
        p.foreign = true;
    }
    return p;
}

static bool is_cooling(const struct core *c, const struct past *p, struct reason *ret)
{
    int64_t wait = c->policy.balance.cooldown_us, age = c->wall_us - p->last_wall_us;
    char a[FMT_BYTES], b[FMT_BYTES];
    if (!wait || !p->last_wall_us || age >= wait)
        return false;
    age = age > 0 ? age : 0; /* clocks are set back, too */
    cleanup(freep) char *need = xasprintf("%s since its last move", fmt_duration(a, wait));
    cleanup(freep) char *have =
        xasprintf("%s%s ago", p->foreign ? "moved by someone else " : "", fmt_duration(b, age));
    reason_set(ret, R_COOLDOWN, NULL, NULL, need, have, "wait, or lower balance.cooldown");
    return true;
}

static bool is_spent(const struct core *c, const struct past *p, struct reason *ret)
{
    int64_t moves = c->policy.budget.moves_per_vm_per_day,
            pause = c->policy.budget.pause_per_vm_per_day_us;
    char a[FMT_BYTES], b[FMT_BYTES];
    cleanup(freep) char *need = NULL, *have = NULL;
    if (moves && p->moves >= moves) {
        need = xasprintf("less than %lld move%s in 24 h", (long long)moves, moves == 1 ? "" : "s");
        have = xasprintf("%lld", (long long)p->moves);
    } else if (pause && p->pause_us >= pause) {
        need = xasprintf("less than %s of pauses in 24 h", fmt_duration(a, pause));
        have = xstrdup(fmt_duration(b, p->pause_us));
    }
    if (need)
        reason_set(ret, R_BUDGET, NULL, NULL, need, have, "wait, or raise the policy's budget");
    return need;
}

static bool is_contested(const struct core *c, const struct vm_slot *v, struct reason *ret)
{
    char t[FMT_BYTES];
    int64_t until = vm_contested_until(c, v->vm.uuid, v->host->rec.name);
    if (!until)
        return false;
    cleanup(freep) char *have = xasprintf("left alone until %s", fmt_rfc3339(t, until));
    reason_set(ret, R_CONTESTED, NULL, NULL, NULL, have, "find out who moves it back");
    return true;
}

void vm_not_back(const struct core *c, const struct vm_slot *v, struct run_slot *r)
{
    char t[FMT_BYTES];
    for (const struct move_slot *m = lookup_get(&c->moved, v->vm.uuid); m; m = m->before) {
        const struct run_slot *of = run_find(c, m->m.run);
        if (m->m.state != JOB_DONE || !of || of->run.kind != RUN_BALANCE ||
            m->m.ended_wall_us <= c->wall_us - DAY_US || str_eq(m->m.from, v->host->rec.name))
            continue;
        struct reason why;
        shape_init(&reason_shape, &why);
        cleanup(freep) char *have =
            xasprintf("it left that host at %s", fmt_rfc3339(t, m->m.ended_wall_us));
        reason_set(&why, R_LEFT_LATELY, m->m.from, NULL, NULL, have,
                   "wait until a day has passed since then");
        run_refuse(r, v->vm.uuid, m->m.from, &why, false);
        shape_done(&reason_shape, &why);
    }
}

bool vm_held_back(const struct core *c, const struct vm_slot *v, struct reason *ret)
{
    struct past p = past_of(c, v);
    return is_contested(c, v, ret) || is_spent(c, &p, ret) || is_cooling(c, &p, ret);
}
