#include "scheduler/core/planned.h"

#include <string.h>

#include "scheduler/core/internal.h"
#include "scheduler/plan/turns.h"

static void copy_strs(char ***dst, size_t *n_dst, char *const *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *(char **)vec_add(dst, n_dst) = xstrdup(src[i]);
}

void planned_run(struct run *r, const struct policy *p, const struct request *req)
{
    char **hosts;
    size_t n_hosts;
    request_hosts(req, &hosts, &n_hosts);
    for (size_t i = 0; i < n_hosts; i++)
        run_add_host(r, hosts[i], HOST_UP);
    names_done(hosts, n_hosts);
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
    r->stop_all = req->confirm && request_confirms(req);
    r->make_room = req->make_room || p->drain.make_room;
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

void planned_waits(struct move *m, const struct snapshot *s, const struct plan *p, size_t i,
                   const int64_t *ids)
{
    for (size_t k = 0; k < p->moves[i].n_after; k++) {
        int a = p->moves[i].after[k];
        if (ids[a])
            *vec_add(&m->after, &m->n_after) =
                (struct move_wait){.move = ids[a], .vm = xstrdup(s->vms[p->moves[a].vm].v->name)};
    }
    for (size_t k = i + 1; k < p->n_moves; k++)
        m->parks = m->parks || p->moves[k].vm == p->moves[i].vm;
}

int64_t planned_room_moves(const struct snapshot *s, const struct policy *p,
                           const struct plan_request *r)
{
    struct plan_request more = *r;
    struct plan plan;
    int64_t n = 0;
    if (r->make_room)
        return 0;
    more.make_room = more.quick = true;
    plan_make(s, p, &more, 0, &plan);
    bool holds = !plan.n_stays && plan_verify(s, p, &more, &plan, NULL);
    cleanup(freep) bool *asked = xcalloc(s->n_vms, sizeof(*asked));
    for (size_t i = 0; i < r->n_vms; i++)
        asked[r->vms[i]] = true;
    for (size_t i = 0; i < plan.n_moves && holds; i++)
        n += !asked[plan.moves[i].vm];
    plan_done(&plan);
    return n;
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
                                  .never = m->never,
                                  .need_Bps = m->need_Bps};
}

/* Whom a request to shut down reaches: a guest that runs, on a host that can be asked. */
static bool is_deaf(const struct vm *v, const struct stay *st)
{
    bool unasked = false;
    for (size_t i = 0; i < st->n_reasons; i++)
        unasked = unasked || st->reasons[i].code == R_UNREACHABLE_SOURCE ||
                  (st->reasons[i].code == R_LIBVIRT_DOWN && !st->reasons[i].host);
    return unasked || (v->state != VM_RUNNING && v->state != VM_STOPPING);
}

bool planned_cold_lifts(const struct stay *st)
{
    bool all = st->n_reasons > 0;
    for (size_t i = 0; i < st->n_reasons; i++)
        all = all && plan_cold_lifts(st->reasons[i].code);
    return all;
}

void planned_stay(struct stay *ret, const struct vm *v, const char *host,
                  const struct plan_stay *why)
{
    ret->host = xstrdup(host);
    ret->vm = xstrdup(v->uuid);
    ret->name = xstrdup(v->name);
    ret->off = !vm_active(v->state);
    for (size_t i = 0; why && i < why->n_reasons; i++)
        shape_copy(&reason_shape, vec_add(&ret->reasons, &ret->n_reasons), &why->reasons[i]);
    ret->deaf = !ret->off && is_deaf(v, ret);
    ret->cold = planned_cold_lifts(ret);
}

void planned_ways(struct run *r, size_t first, struct plan_ways *w)
{
    for (size_t i = 0; i < w->n; i++) {
        r->stays[first + i].ways = take(w->of[i].list);
        r->stays[first + i].n_ways = w->of[i].n;
        w->of[i].n = 0;
    }
    r->ways_tried = true;
    r->ways_cut = w->cut;
    r->shortages = take(w->shortages);
    r->n_shortages = w->n_shortages;
    w->n_shortages = 0;
}

void planned_no_leave(struct stay *st)
{
    struct reason *why = vec_add(&st->reasons, &st->n_reasons);
    reason_set(why, R_VM_STATE, NULL, NULL, "a stop (it cannot move live)", "no leave to stop it",
               NULL);
    st->cold = true;
}

bool planned_vm_called(const struct snapshot *s, int vm, const char *text)
{
    const struct vm *v = s->vms[vm].v;
    const char *at = strrchr(text, '@');
    if (str_eq(v->name, text) || str_eq(v->uuid, text))
        return true;
    return at && str_eq(s->hosts[s->vms[vm].host].h->name, at + 1) &&
           strlen(v->name) == (size_t)(at - text) && str_has_prefix(text, v->name);
}

/* On a host of the request. */
static bool is_asked(const struct request *req, const struct snapshot *s, int vm)
{
    const char *host = s->hosts[s->vms[vm].host].h->name;
    return req->n_hosts ? str_in(host, req->hosts, req->n_hosts) : str_eq(req->host, host);
}

/* The VM that is meant, by name, UUID or NAME@HOST: −1 when there is none. */
static int vm_meant(const struct request *req, const struct snapshot *s, const char *text)
{
    for (size_t i = 0; i < s->n_vms; i++)
        if (planned_vm_called(s, (int)i, text) && is_asked(req, s, (int)i))
            return (int)i;
    return -1;
}

/* Its namesake would be stopped with it. */
static bool has_namesake(const struct request *req, const struct snapshot *s, int vm)
{
    for (size_t i = 0; i < s->n_vms; i++)
        if ((int)i != vm && str_eq(s->vms[i].v->name, s->vms[vm].v->name) &&
            is_asked(req, s, (int)i))
            return true;
    return false;
}

const char *planned_name_stops(struct request *req, const struct snapshot *s)
{
    for (size_t i = 0; i < req->n_allow_shutdown; i++) {
        int vm = vm_meant(req, s, req->allow_shutdown[i]);
        if (vm < 0 || has_namesake(req, s, vm))
            return req->allow_shutdown[i];
        set_str(&req->allow_shutdown[i], s->vms[vm].v->name);
    }
    return NULL;
}

bool planned_may_stop(const struct run *r, const char *vm_name)
{
    if (r->on_blocked != BLOCKED_SHUTDOWN && r->on_blocked != BLOCKED_COLD)
        return false;
    return r->stop_all || str_in(vm_name, r->allow_shutdown, r->n_allow_shutdown);
}

enum fate stay_fate(const struct run *r, const struct stay *st)
{
    /* what a run did not do before its end it will not do */
    bool ahead = r->state == RUN_PLANNING || r->state == RUN_RUNNING || r->state == RUN_REFUSED ||
                 r->state == RUN_PLANNED;
    if (st->off || st->stopped)
        return st->off ? FATE_OFF : FATE_STOPPED;
    return ahead && r->on_blocked == BLOCKED_SHUTDOWN && !st->deaf && !st->disobeyed &&
                   planned_may_stop(r, st->name)
               ? FATE_STOPS
               : FATE_BLOCKED;
}

size_t stays_of(const struct run *r, enum fate fate)
{
    return stays_on(r, fate, NULL);
}

size_t stays_on(const struct run *r, enum fate fate, const char *host)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_stays; i++)
        n += stay_fate(r, &r->stays[i]) == fate && (!host || str_eq(r->stays[i].host, host));
    return n;
}
