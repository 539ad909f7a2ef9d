/* The question of a case. */
#include "scheduler/cli/testask.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/policycmd.h"
#include "scheduler/core/planned.h"

void asking_done(struct asking *k)
{
    free(k->vms);
    free(k->who.list);
    free(k->to.list);
    free(k->avoid.list);
    free(k->rank.list);
    plan_done(&k->plan);
    shape_done(&reason_shape, &k->bad);
    snap_done(&k->fleet);
    free(k->trouble);
    free(k->said);
}

const char *asking_vm(const struct asking *k, int vm)
{
    return k->s.vms[vm].v->name;
}

const char *asking_host(const struct asking *k, int host)
{
    return host >= 0 ? k->s.hosts[host].h->name : "nowhere";
}

/* ---- the question ------------------------------------------------------------------------------ */
int asking_find_host(struct asking *k, const char *name)
{
    cleanup(freep) const char **names = xcalloc(k->s.n_hosts, sizeof(*names));
    for (size_t i = 0; i < k->s.n_hosts; i++) {
        names[i] = k->s.hosts[i].h->name;
        if (str_eq(names[i], name))
            return (int)i;
    }
    const char *near = str_did_you_mean(name, names, k->s.n_hosts);
    free(k->trouble);
    free(k->said);
    k->trouble = xasprintf("no host '%s' in the snapshot%s%s%s", name,
                           near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return -1;
}

static bool find_hosts(struct asking *k, const struct words *names, struct ints *ret)
{
    for (size_t i = 0; i < names->n; i++) {
        int host = asking_find_host(k, names->list[i]);
        if (host < 0)
            return false;
        *vec_add(&ret->list, &ret->n) = host;
    }
    return true;
}

int asking_find_vm(struct asking *k, const char *name)
{
    int found = -1, n = 0;
    for (size_t i = 0; i < k->s.n_vms; i++)
        if (planned_vm_called(&k->s, (int)i, name)) {
            found = (int)i;
            n++;
        }
    if (n == 1)
        return found;
    free(k->trouble);
    free(k->said);
    k->trouble = n ? xasprintf("%d VMs of the snapshot are called '%s'", n, name)
                   : xasprintf("no VM '%s' in the snapshot", name);
    return -1;
}

static bool ask_drain(struct asking *k)
{
    cleanup(freep) int *hosts = NULL;
    struct ints list = {0};
    bool good = find_hosts(k, &k->t->request.hosts, &list);
    hosts = list.list;
    for (size_t h = 0; good && h < list.n; h++) {
        k->fleet.s.hosts[hosts[h]].state = HOST_DRAINING;
        for (size_t i = 0; i < k->s.n_vms; i++)
            if (k->s.vms[i].host == hosts[h])
                *vec_add(&k->who.list, &k->who.n) = (int)i;
    }
    k->r.allow_cold = k->t->request.cold || k->p->drain.on_blocked == BLOCKED_COLD;
    k->r.make_room = k->t->request.make_room || k->p->drain.make_room;
    return good;
}

static bool ask_failover(struct asking *k)
{
    struct ints list = {0};
    bool good = find_hosts(k, &k->t->request.hosts, &list);
    for (size_t h = 0; good && h < list.n; h++)
        plan_host_dies(&k->fleet.s, list.list[h]);
    free(list.list);
    k->s = k->fleet.s;
    for (size_t i = 0; good && i < k->s.n_vms; i++)
        if (k->s.vms[i].nowhere) {
            *vec_add(&k->who.list, &k->who.n) = (int)i;
            *vec_add(&k->rank.list, &k->rank.n) = plan_rank(k->s.vms[i].v, k->p->failover.priority);
        }
    return good;
}

static bool ask_plan(struct asking *k)
{
    const struct case_request *q = &k->t->request;
    k->r.goal = balance_goal(q->word, k->p);
    k->r.purpose = PURPOSE_BALANCE;
    k->r.max_moves = q->max_moves;
    k->r.hosts_free = q->hosts_free;
    if (k->r.goal != GOAL_ROOM)
        return true;
    k->trouble = xstrdup("the policy's balance.mode is make-room: ask {make_room: {memory: ...}}");
    return false;
}

/* The VM in question: one that there is, or a new one. */
static bool ask_room(struct asking *k)
{
    const struct case_request *q = &k->t->request;
    k->r.goal = GOAL_ROOM;
    k->r.purpose = PURPOSE_BALANCE;
    k->r.max_moves = q->max_moves;
    if (q->vm) {
        k->r.room_for = asking_find_vm(k, q->vm);
        return k->r.room_for >= 0;
    }
    struct vm *v = (struct vm *)(uintptr_t)&q->fresh; /* only read */
    v->state = VM_RUNNING;
    v->persistent = true;
    k->vms = xcalloc(k->s.n_vms + 1, sizeof(*k->vms));
    if (k->s.n_vms)
        memcpy(k->vms, k->s.vms, k->s.n_vms * sizeof(*k->vms));
    k->vms[k->s.n_vms] = (struct snap_vm){.v = v, .host = -1, .moving_to = -1, .nowhere = true};
    k->r.room_for = (int)k->s.n_vms;
    k->s.vms = k->vms;
    k->s.n_vms++;
    return true;
}

static bool ask_nothing(struct asking *k)
{
    (void)k;
    return true;
}

/* ---- the answer ------------------------------------------------------------------------------------- */
void asking_journeys(const struct asking *k, struct journeys *ret)
{
    for (size_t i = 0; i < k->plan.n_moves; i++) {
        const struct plan_move *m = &k->plan.moves[i];
        size_t j = 0;
        while (j < ret->n && ret->list[j].vm != m->vm)
            j++;
        if (j < ret->n)
            ret->list[j].to = m->to;
        else
            *(struct journey *)vec_add(&ret->list, &ret->n) =
                (struct journey){m->vm, m->from, m->to, false, m->why};
    }
}

bool asking_blocked(const struct asking *k, const struct plan_stay *st)
{
    return k->s.vms[st->vm].v->state != VM_SHUTOFF;
}

static bool (*const ask[])(struct asking *k) = {
    [CASE_DRAIN] = ask_drain, [CASE_FAILOVER] = ask_failover, [CASE_PLAN] = ask_plan,
    [CASE_FIT] = ask_room,    [CASE_MOVE] = ask_nothing,      [CASE_MAKE_ROOM] = ask_room,
};

bool asking_begin(struct asking *k, const struct testcase *t, const struct policy *p)
{
    int verb = t->request.verb;
    struct err e = {0};
    *k = (struct asking){.t = t, .p = p};
    if (testcase_fleet(t, &k->fleet, &e) < 0) {
        k->trouble = xasprintf("its snapshot cannot be read: %s", e.msg);
        return false;
    }
    snap_doubt(&k->fleet);
    k->s = k->fleet.s;
    if (!find_hosts(k, &t->request.avoid, &k->avoid) ||
        (verb != CASE_MOVE && !find_hosts(k, &t->request.to, &k->to)) || !ask[verb](k))
        return false;
    k->r.vms = k->who.list, k->r.n_vms = k->who.n;
    k->r.rank = k->rank.list;
    k->r.to = k->to.list, k->r.n_to = k->to.n;
    k->r.avoid = k->avoid.list, k->r.n_avoid = k->avoid.n;
    if (verb == CASE_FIT || verb == CASE_MOVE)
        return true;
    plan_make(&k->s, p, &k->r, 0, &k->plan);
    plan_verify(&k->s, p, &k->r, &k->plan, &k->bad);
    return true;
}

bool asking_may_move(const struct asking *k, int vm, int host, struct reason *why)
{
    struct plan_index *x = plan_index_new(&k->s, k->p);
    bool allowed = plan_vm_movable(&k->s, k->p, vm, why) && plan_allows_from(x, vm, host, why);
    plan_index_free(x);
    return allowed;
}
