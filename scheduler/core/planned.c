#include "scheduler/core/planned.h"

#include "scheduler/core/internal.h"
#include "scheduler/plan/turns.h"

static void copy_strs(char ***dst, size_t *n_dst, char *const *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *(char **)vec_add(dst, n_dst) = xstrdup(src[i]);
}

void planned_run(struct run *r, const struct policy *p, const struct request *req)
{
    r->host = xstrdup(req->host);
    r->actor = xstrdup(req->actor);
    r->reason = xstrdup(req->reason);
    r->dry_run = req->dry_run;
    r->on_blocked = p->drain.on_blocked;
    for (int i = 0; i < (int)ARRAY_LEN(on_blocked_names); i++)
        if (str_eq(req->on_blocked, on_blocked_names[i]))
            r->on_blocked = i;
    r->parallel = req->parallel;
    copy_strs(&r->to, &r->n_to, req->to, req->n_to);
    copy_strs(&r->avoid, &r->n_avoid, req->avoid, req->n_avoid);
    copy_strs(&r->allow_shutdown, &r->n_allow_shutdown, req->allow_shutdown, req->n_allow_shutdown);
    r->policy_commit = xstrdup(p->commit);
    r->policy_clean = p->clean;
}

void planned_move(struct move *m, const struct snapshot *s, const struct plan_move *p)
{
    const struct vm *v = s->vms[p->vm].v;
    m->vm = xstrdup(v->uuid);
    m->vm_name = xstrdup(v->name);
    m->from = xstrdup(s->hosts[p->from].h->name);
    m->to = xstrdup(s->hosts[p->to].h->name);
    m->why = xstrdup(p->why);
    m->offline = !vm_active(v->state);
    m->live = p->live && !m->offline;
    m->attempt = 1;
    m->mem_bytes = vm_need_bytes(v);
    for (size_t i = 0; i < v->n_disks; i++)
        shape_copy(&disk_shape, vec_add(&m->disks, &m->n_disks), &v->disks[i]);
}

void planned_forecast(struct run *r, const struct snapshot *s, const struct policy *p,
                      const struct plan *plan, int64_t lead_us, struct forecast *ret)
{
    struct forecast_how how = {.parallel = r->parallel,
                               .lead_us = lead_us < 0 ? LEAD_FIRST_US : lead_us};
    forecast_make(s, p, plan, &how, ret);
    r->forecast.makespan_us = ret->makespan_us;
    r->forecast.bound_us = ret->bound_us;
    r->forecast.bytes = ret->bytes;
    r->forecast.peak = ret->peak;
    r->forecast.pause_us = ret->pause_us;
    r->forecast.pause_limit_us = ret->pause_limit_us;
    r->forecast.never = ret->never;
    r->forecast.writers = ret->writers;
    for (size_t i = 0; i < ret->n_blind; i++)
        *(char **)vec_add(&r->forecast.blind, &r->forecast.n_blind) =
            xstrdup(s->hosts[ret->blind[i]].h->name);
}

struct move_forecast planned_move_forecast(const struct forecast_move *m)
{
    return (struct move_forecast){.start_us = m->start_us,
                                  .end_us = m->end_us,
                                  .pause_us = m->pause_us,
                                  .bytes = m->bytes,
                                  .never = m->never};
}

bool planned_may_stop(const struct run *r, const char *vm_name)
{
    if (r->on_blocked != BLOCKED_SHUTDOWN && r->on_blocked != BLOCKED_COLD)
        return false;
    return str_in("*", r->allow_shutdown, r->n_allow_shutdown) ||
           str_in(vm_name, r->allow_shutdown, r->n_allow_shutdown);
}

void planned_no_leave(struct stay *st, const char *vm_name)
{
    struct reason *why = vec_add(&st->reasons, &st->n_reasons);
    cleanup(freep) char *cure = xasprintf("--allow-shutdown vm/%s", vm_name);
    reason_set(why, R_VM_STATE, NULL, NULL, "a stop (it cannot move live)", "no leave to stop it",
               cure);
}
