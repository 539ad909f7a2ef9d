/* An independent replay of a plan: it reads the snapshot, the policy's text and the request, and none
 * of the planner's code. Written for plainness: everything is recomputed from the list of places a VM
 * counts at, and from when till when (verify_wait.c). Two lists keep it fast in large fleets: who may
 * ever be at a host, and whom a rule names. */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/verify.h"

bool replay_bad(struct replay *v, enum reason_code code, int host, char *what, char *have)
{
    if (v->ret) {
        shape_init(&reason_shape, v->ret);
        v->ret->need_n = v->ret->have_n = -1;
        v->ret->code = code;
        v->ret->host = host >= 0 ? xstrdup(v->s->hosts[host].h->name) : NULL;
        v->ret->what = what;
        v->ret->have = have;
    } else {
        free(what);
        free(have);
    }
    return false;
}

/* Places caught so far, each by a host in it; more than enough are of no interest. */
struct catch
{
    int hosts[LIM_SPREAD];
    int n, enough;
};
enum { MOST_PLACES = 8 }; /* of one VM: parked twice, and on its way */

char *replay_name(const struct replay *v, int vm)
{
    return xasprintf("VM %s", replay_vm(v, vm)->name);
}

static bool requested(const struct replay *v, int vm)
{
    if (v->r->goal != GOAL_LEAVE && !v->r->vms)
        return true; /* all may move */
    for (size_t i = 0; i < v->r->n_vms; i++)
        if (v->r->vms[i] == vm)
            return true;
    return false;
}

/* Those that only make room: few, live, and never in the way of those that leave; the same for a host
 * on which a VM is only parked. */
static bool others_ok(struct replay *v)
{
    const struct plan *p = v->plan;
    cleanup(freep) bool *left = xcalloc(v->s->n_hosts, sizeof(*left));
    int64_t n = 0;
    for (size_t i = 0; v->r->make_room && i < v->r->n_vms; i++)
        left[v->s->vms[v->r->vms[i]].host] = true;
    for (size_t i = 0; v->r->goal == GOAL_LEAVE && i < p->n_moves; i++) {
        const struct plan_move *m = &p->moves[i];
        bool asked = requested(v, m->vm);
        n += !asked;
        if (!asked && (!m->live || replay_vm(v, m->vm)->state != VM_RUNNING))
            return replay_bad(v, R_VM_STATE, m->to, replay_name(v, m->vm),
                              xstrdup("not asked for, and not moved live"));
        if ((!asked || m->from != v->s->vms[m->vm].host) && left[m->to])
            return replay_bad(v, R_HOST_NOT_UP, m->to, replay_name(v, m->vm),
                              xstrdup("moved to a host that is being left"));
        for (size_t k = 0; !asked && k < v->p->n_rules; k++)
            if (v->p->rules[k].kind == RULE_MAINTENANCE_ONLY &&
                replay_rule_has(&v->p->rules[k], replay_vm(v, m->vm)))
                return replay_bad(v, R_MAINTENANCE_ONLY, m->to, replay_name(v, m->vm),
                                  xstrdup(v->p->rules[k].name));
    }
    return n <= v->p->balance.max_moves ||
           replay_bad(v, R_CHECK_FAILED, -1, xasprintf("%lld moves of others", (long long)n),
                      xasprintf("at most %lld", (long long)v->p->balance.max_moves));
}

/* ---- the shape of the plan -------------------------------------------------------------------- */

static bool whole(struct replay *v)
{
    const struct plan *p = v->plan;
    size_t n = v->s->n_vms;
    cleanup(freep) unsigned char *seen = xcalloc(n, 1);
    for (size_t i = 0; i < p->n_moves; i++) {
        const struct plan_move *m = &p->moves[i];
        /* what is negative is huge, too */
        if ((size_t)m->vm >= n || (size_t)m->to >= v->s->n_hosts)
            return replay_bad(v, R_CHECK_FAILED, -1, xasprintf("move %zu", i),
                              xstrdup("no such VM or host"));
        if (!requested(v, m->vm) && !v->r->make_room)
            return replay_bad(v, R_CHECK_FAILED, -1, replay_name(v, m->vm),
                              xstrdup("moved, but not asked for"));
        seen[m->vm] = 1;
        if (m->to == m->from || m->to == v->s->vms[m->vm].host)
            return replay_bad(v, R_SAME_HOST, m->to, replay_name(v, m->vm), NULL);
    }
    if (!replay_waits(v) || !others_ok(v))
        return false;
    int64_t most = v->r->max_moves ? v->r->max_moves : v->p->balance.max_moves;
    if (v->r->goal != GOAL_LEAVE && (int64_t)p->n_moves > most)
        return replay_bad(v, R_CHECK_FAILED, -1, xasprintf("%zu moves", p->n_moves),
                          xasprintf("at most %lld", (long long)most));
    for (size_t i = 0; i < p->n_stays; i++) {
        const struct plan_stay *st = &p->stays[i];
        if ((size_t)st->vm >= n || !requested(v, st->vm) || seen[st->vm]++)
            return replay_bad(v, R_CHECK_FAILED, -1, xasprintf("stay %zu", i),
                              xstrdup("no such VM, not asked for, or named twice"));
        if (!st->n_reasons)
            return replay_bad(v, R_CHECK_FAILED, -1, replay_name(v, st->vm),
                              xstrdup("stays without a reason"));
    }
    for (size_t i = 0; v->r->goal == GOAL_LEAVE && i < v->r->n_vms; i++)
        if (!seen[v->r->vms[i]])
            return replay_bad(v, R_CHECK_FAILED, -1, replay_name(v, v->r->vms[i]),
                              xstrdup("forgotten"));
    return true;
}

static const struct crowd *rule_vms(struct replay *v, const struct rule *r)
{
    struct crowd *c = &v->rule[r - v->p->rules];
    for (size_t i = 0; !c->known && i < v->s->n_vms; i++)
        if (replay_rule_has(r, v->s->vms[i].v))
            *vec_add(&c->list, &c->n) = (int)i;
    c->known = true;
    return c;
}

/* ---- everything together, at one moment ------------------------------------------------------- */

/* Domains of two hosts: can it be ruled out that they are the same? */
static bool maybe_same(int across, const struct host *a, const struct host *b)
{
    if (!strcmp(a->name, b->name))
        return true;
    if (across == ACROSS_HOST)
        return false;
    const char *x = across == ACROSS_ZONE ? a->zone : a->rack;
    const char *y = across == ACROSS_ZONE ? b->zone : b->rack;
    if (!x || !y)
        return true;
    bool zones_differ = strcmp(a->zone ? a->zone : "", b->zone ? b->zone : "") != 0;
    return !strcmp(x, y) && !(across == ACROSS_RACK && zones_differ);
}

static bool named(int across, const struct host *h)
{
    return across == ACROSS_HOST || (across == ACROSS_ZONE ? h->zone : h->rack);
}

static bool surely_same(int across, const struct host *a, const struct host *b)
{
    if (!strcmp(a->name, b->name))
        return true;
    return named(across, a) && named(across, b) && maybe_same(across, a, b);
}

/* 128 bits: 16 TiB times 10,000,000 ppm does not fit in 64. */
static __int128 memory_limit(const struct replay *v, size_t host)
{
    return (__int128)v->s->hosts[host].h->mem_bytes * v->p->capacity.mem_overcommit_ppm / 1000000 -
           v->p->capacity.mem_reserve_bytes;
}

enum { MEMORY, CPUS, HUGE };

static int64_t size_of(const struct vm *vm, int resource)
{
    switch (resource) {
    case MEMORY:
        return vm->mem_bytes + vm->mem_overhead_bytes;
    case CPUS:
        return vm->vcpus > 0 ? vm->vcpus : 0; /* not known: nothing to hold against the limit */
    default:
        return vm->hugepage_bytes;
    }
}

/* The most that VMs can take of the host from the start of this move on. */
static int64_t most_on(const struct replay *v, size_t host, int move, int resource)
{
    struct presence *list = NULL;
    size_t n = 0;
    for (size_t k = 0; k < v->at[host].n; k++) {
        const struct spell *x = &v->spells[v->at[host].list[k]];
        const struct snap_vm *o = &v->s->vms[x->vm];
        if (o->v->state != VM_SHUTOFF || o->will_start)
            *vec_add(&list, &n) = (struct presence){size_of(o->v, resource), x->from, x->till};
    }
    int64_t most = replay_most(v, list, n, move);
    free(list);
    return most;
}

static bool capacity_ok(struct replay *v, size_t host, int move, bool pages)
{
    const struct host *h = v->s->hosts[host].h;
    int64_t mem = most_on(v, host, move, MEMORY), cpus = most_on(v, host, move, CPUS);
    int64_t huge = pages ? most_on(v, host, move, HUGE) : 0;
    __int128 limit = memory_limit(v, host);
    if (mem > limit || h->mem_bytes < 0)
        return replay_bad(v, R_MEMORY, (int)host, NULL,
                          xasprintf("%lld of %lld bytes", (long long)mem, (long long)limit));
    if (h->cpus >= 0 &&
        (__int128)cpus * 1000000 > (__int128)h->cpus * v->p->capacity.vcpu_overcommit_ppm)
        return replay_bad(v, R_VCPU, (int)host, NULL, xasprintf("%lld vCPUs", (long long)cpus));
    if (huge > h->hugepage_total_bytes)
        return replay_bad(v, R_HUGEPAGES, (int)host, NULL,
                          xasprintf("%lld bytes", (long long)huge));
    return true;
}

static int number_of(const struct replay *v, const struct plan_move *m)
{
    return (int)(m - v->plan->moves);
}

/* What begins with the move. */
static const struct spell *spell_of(const struct replay *v, const struct plan_move *m)
{
    const struct spell *x = &v->spells[v->spell_start[m->vm]];
    while (x->from != number_of(v, m))
        x++;
    return x;
}

/* Capacity is judged where the moved VM adds to it: other hosts may be over their limit already. */
static bool fits_ok(struct replay *v, const struct plan_move *m)
{
    const struct vm *vm = replay_vm(v, m->vm);
    if (vm->state == VM_SHUTOFF && !v->s->vms[m->vm].will_start)
        return true;
    const struct host *h = v->s->hosts[m->to].h;
    if (vm->hugepage_bytes && vm->hugepage_size_bytes &&
        vm->hugepage_size_bytes != h->hugepage_size_bytes)
        return replay_bad(v, R_HUGEPAGES, m->to, replay_name(v, m->vm),
                          xstrdup("pages of another size"));
    return capacity_ok(v, (size_t)m->to, number_of(v, m), vm->hugepage_bytes > 0) &&
           replay_numa(v, m);
}

static bool names_ok(struct replay *v, const struct plan_move *m)
{
    const struct vm *vm = replay_vm(v, m->vm);
    const struct spell *mine = spell_of(v, m);
    for (size_t k = 0; k < v->at[m->to].n; k++) {
        const struct spell *x = &v->spells[v->at[m->to].list[k]];
        const struct vm *o = v->s->vms[x->vm].v;
        if (x->vm == m->vm || !replay_may_meet(v, mine, x))
            continue;
        if (!strcmp(o->uuid, vm->uuid)) {
            if (o->state != VM_SHUTOFF || v->s->vms[x->vm].will_start)
                return replay_bad(v, R_UUID_TAKEN, m->to, replay_name(v, m->vm), NULL);
        } else if (!strcmp(o->name, vm->name)) {
            return replay_bad(v, R_NAME_TAKEN, m->to, replay_name(v, m->vm), NULL);
        }
    }
    return true;
}

static bool other(const struct replay *v, int vm, const struct plan_move *m)
{
    return vm != m->vm && strcmp(replay_vm(v, vm)->uuid, replay_vm(v, m->vm)->uuid) != 0;
}

/* From when till when the VM is near the host: on a host that the rule names and that may be in the
 * same place. Neighbouring spells are one. */
static void add_near(const struct replay *v, const struct rule *r, int vm, int to,
                     struct presence **list, size_t *n)
{
    bool was = false;
    for (size_t k = v->spell_start[vm]; k < v->spell_start[vm + 1]; k++) {
        const struct spell *x = &v->spells[k];
        bool near = replay_rule_names_host(r, v->s->hosts[x->host].h) &&
                    maybe_same(r->across, v->s->hosts[x->host].h, v->s->hosts[to].h);
        if (near && was)
            (*list)[*n - 1].till = x->till;
        else if (near)
            *vec_add(list, n) = (struct presence){1, x->from, x->till};
        was = near;
    }
}

static bool limit_ok(struct replay *v, const struct rule *r, const struct plan_move *m)
{
    const struct crowd *c = rule_vms(v, r);
    struct presence *list = NULL;
    size_t n = 0;
    if (!replay_rule_names_host(r, v->s->hosts[m->to].h))
        return true;
    for (size_t k = 0; k < c->n; k++)
        if (c->list[k] == m->vm || other(v, c->list[k], m))
            add_near(v, r, c->list[k], m->to, &list, &n);
    int64_t most = replay_most(v, list, n, number_of(v, m));
    free(list);
    return most <= r->max ||
           replay_bad(v, R_MAX_VMS, m->to, replay_name(v, m->vm), xstrdup(r->name));
}

static bool apart_ok(struct replay *v, const struct rule *r, const struct plan_move *m)
{
    const struct crowd *c = rule_vms(v, r);
    const struct spell *mine = spell_of(v, m);
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = v->spell_start[c->list[i]]; k < v->spell_start[c->list[i] + 1]; k++) {
            const struct spell *x = &v->spells[k];
            if (other(v, x->vm, m) && replay_may_meet(v, mine, x) &&
                maybe_same(r->across, v->s->hosts[x->host].h, v->s->hosts[m->to].h))
                return replay_bad(v, R_ANTI_AFFINITY, m->to, replay_name(v, m->vm),
                                  xstrdup(r->name));
        }
    return true;
}

/* Where the VM may be while move m is under way (−1: before the plan). */
static int places(const struct replay *v, int vm, int m, int *ret)
{
    int n = 0;
    for (size_t k = v->spell_start[vm]; k < v->spell_start[vm + 1] && n < MOST_PLACES; k++) {
        const struct spell *x = &v->spells[k];
        bool over = replay_ended(v, x->till, m), to_come = replay_ended(v, m, x->from);
        if (m < 0 ? x->from < 0 : !over && !to_come)
            ret[n++] = x->host;
    }
    return n;
}

/* The fewest places that VMs of the rule can be caught in, of those from i on, when some hosts are
 * caught already. First those that can be at one place only, then the others, wherever it helps least. */
static int caught(struct replay *v, const struct rule *r, size_t i, int m, struct catch *c)
{
    const struct crowd *of = rule_vms(v, r);
    for (; i < 2 * of->n && c->n < c->enough; i++) {
        int vm = of->list[i % of->n], at[MOST_PLACES], n = places(v, vm, m, at);
        if ((n == 1) != (i < of->n))
            continue;
        bool counted = v->s->vms[vm].nowhere; /* perhaps not started yet */
        for (int e = 0; e < n && !counted; e++) {
            const struct host *h = v->s->hosts[at[e]].h;
            counted |= !named(r->across, h); /* may be anywhere: helps nobody */
            for (int k = 0; k < c->n; k++)
                counted |= surely_same(r->across, v->s->hosts[c->hosts[k]].h, h);
        }
        if (counted)
            continue;
        int least = c->enough;
        for (int e = 0; e < n; e++) {
            c->hosts[c->n++] = at[e];
            int got = caught(v, r, i + 1, m, c);
            c->n--;
            least = got < least ? got : least;
        }
        return least;
    }
    return c->n;
}

/* Never in fewer places than the rule asks for; if it was so from the start, never in fewer still. */
static bool spread_ok(struct replay *v, const struct rule *r, const struct plan_move *m)
{
    struct catch c = {.enough = (int)r->min};
    c.enough = caught(v, r, 0, -1, &c);
    return caught(v, r, 0, number_of(v, m), &c) >= c.enough ||
           replay_bad(v, R_SPREAD, m->to, replay_name(v, m->vm), xstrdup(r->name));
}

static bool rules_ok(struct replay *v, const struct plan_move *m)
{
    const struct host *h = v->s->hosts[m->to].h;
    for (size_t i = 0; i < v->p->n_rules; i++) {
        const struct rule *r = &v->p->rules[i];
        if (!r->hard || !replay_rule_has(r, replay_vm(v, m->vm)))
            continue;
        if (r->kind == RULE_HOST_REQUIRED && !replay_rule_names_host(r, h))
            return replay_bad(v, R_HOST_REQUIRED, m->to, replay_name(v, m->vm), xstrdup(r->name));
        if (r->kind == RULE_HOST_FORBIDDEN && replay_rule_names_host(r, h))
            return replay_bad(v, R_HOST_FORBIDDEN, m->to, replay_name(v, m->vm), xstrdup(r->name));
        if (r->kind == RULE_MAX_VMS && !limit_ok(v, r, m))
            return false;
        if (r->kind == RULE_ANTI_AFFINITY && !apart_ok(v, r, m))
            return false;
        if (r->kind == RULE_SPREAD && !spread_ok(v, r, m))
            return false;
    }
    return true;
}

/* When all is done, every moved VM is with its group. */
static bool together_ok(struct replay *v, const struct plan_move *m)
{
    for (size_t k = 0; k < v->p->n_rules; k++) {
        const struct rule *r = &v->p->rules[k];
        if (r->kind != RULE_AFFINITY || !r->hard || !replay_rule_has(r, replay_vm(v, m->vm)))
            continue;
        const struct crowd *c = rule_vms(v, r);
        for (size_t i = 0; i < c->n; i++) {
            int vm = c->list[i], end = v->last[vm];
            if (end >= 0 && other(v, vm, m) &&
                !surely_same(r->across, v->s->hosts[end].h, v->s->hosts[v->last[m->vm]].h))
                return replay_bad(v, R_AFFINITY, m->to, replay_name(v, m->vm), xstrdup(r->name));
        }
    }
    return true;
}

/* Hosts that are said to be empty are, were in use, and moves leave no others. */
static bool emptied_ok(struct replay *v)
{
    const struct plan *p = v->plan;
    cleanup(freep) bool *empty = xcalloc(v->s->n_hosts, sizeof(*empty));
    int64_t most = v->r->hosts_free ? v->r->hosts_free : (int64_t)v->s->n_hosts;
    if ((int64_t)p->n_emptied > (v->r->goal == GOAL_CONSOLIDATE ? most : 0))
        return replay_bad(v, R_CHECK_FAILED, -1, NULL, xstrdup("too many hosts emptied"));
    for (size_t i = 0; i < p->n_emptied; i++) {
        int h = p->emptied[i];
        if ((size_t)h >= v->s->n_hosts || empty[h] || v->s->hosts[h].state != HOST_UP)
            return replay_bad(v, R_CHECK_FAILED, -1, NULL, xstrdup("no such host to empty"));
        empty[h] = true;
    }
    for (size_t i = 0; i < v->s->n_vms; i++) {
        int end = v->last[i];
        if (end < 0)
            continue;
        if (empty[end] || (v->s->vms[i].moving_to >= 0 && empty[v->s->vms[i].host]))
            return replay_bad(v, R_CHECK_FAILED, end, replay_name(v, (int)i),
                              xstrdup("is on a host that is to be empty"));
    }
    for (size_t i = 0; v->r->goal == GOAL_CONSOLIDATE && i < p->n_moves; i++)
        if (!empty[p->moves[i].from])
            return replay_bad(v, R_CHECK_FAILED, p->moves[i].from, replay_name(v, p->moves[i].vm),
                              xstrdup("moved, and empties no host"));
    return true;
}

/* Bytes that would have no host if the worst `spare_hosts` were lost: each takes its VMs and its own
 * room away. */
static __int128 homeless(const struct replay *v, const int *end, const bool *off)
{
    size_t n = v->s->n_hosts;
    int64_t left = v->p->capacity.spare_hosts;
    cleanup(freep) __int128 *used = xcalloc(n, sizeof(*used));
    cleanup(freep) __int128 *room = xcalloc(n, sizeof(*room));
    __int128 missing = 0;
    for (size_t i = 0; i < v->s->n_vms; i++) {
        const struct snap_vm *o = &v->s->vms[i];
        if (end[i] >= 0 && (o->v->state != VM_SHUTOFF || o->will_start))
            used[end[i]] += o->v->mem_bytes + o->v->mem_overhead_bytes;
    }
    for (size_t h = 0; h < n; h++) {
        __int128 free_bytes = memory_limit(v, h) - used[h];
        bool up = v->s->hosts[h].state == HOST_UP && v->s->hosts[h].h->mem_bytes >= 0 && !off[h];
        room[h] = up && free_bytes > 0 ? free_bytes : 0;
        missing -= room[h];
        if (v->s->hosts[h].state != HOST_LOST)
            continue;
        used[h] = 0;
        left--;
    }
    for (; left > 0; left--) {
        size_t worst = 0;
        for (size_t h = 1; h < n; h++)
            if (used[h] + room[h] > used[worst] + room[worst])
                worst = h;
        missing += used[worst] + room[worst];
        used[worst] = room[worst] = 0;
    }
    return missing > 0 ? missing : 0;
}

/* Once the plan is done, the fleet can lose as many hosts as before. */
static bool spare_ok(struct replay *v)
{
    cleanup(freep) bool *off = xcalloc(v->s->n_hosts, sizeof(*off));
    __int128 before = homeless(v, v->first, off);
    for (size_t i = 0; i < v->plan->n_emptied; i++)
        off[v->plan->emptied[i]] = true;
    return homeless(v, v->last, off) <= before ||
           replay_bad(v, R_SPARE, -1, NULL, xstrdup("too little room if hosts are lost"));
}

/* When all has ended, the VM that is to have room can come: a plan of one move. */
static bool room_ok(struct replay *v)
{
    const struct plan *p = v->plan;
    if (v->r->goal != GOAL_ROOM || p->room_on < 0)
        return true;
    int vm = v->r->room_for;
    struct snapshot end = *v->s;
    cleanup(freep) struct snap_vm *vms = xmemdup(end.vms, end.n_vms * sizeof(*vms));
    for (size_t i = 0; i < p->n_moves; i++) {
        if (p->moves[i].vm == vm)
            return replay_bad(v, R_CHECK_FAILED, -1, replay_name(v, vm),
                              xstrdup("moved, and has no room yet"));
        vms[p->moves[i].vm].host = p->moves[i].to;
    }
    end.vms = vms;
    struct plan_request r = *v->r;
    r.goal = GOAL_LEAVE;
    r.purpose = PURPOSE_MAINTENANCE; /* what it will come for is not this plan's affair */
    r.vms = &vm;
    r.n_vms = 1;
    struct plan_move come = {.vm = vm,
                             .from = vms[vm].host,
                             .to = p->room_on,
                             .live = vms[vm].v->state == VM_RUNNING && !vms[vm].nowhere};
    return plan_verify(&end, v->p, &r, &(struct plan){.moves = &come, .n_moves = 1}, v->ret);
}

static bool replay(struct replay *v)
{
    const struct plan *p = v->plan;
    if (!whole(v))
        return false;
    replay_spells(v);
    for (size_t k = 0; k < v->spell_start[v->s->n_vms]; k++) {
        struct crowd *at = &v->at[v->spells[k].host];
        *vec_add(&at->list, &at->n) = (int)k;
    }
    for (size_t i = 0; i < p->n_moves; i++) {
        const struct plan_move *m = &p->moves[i];
        if (!replay_move(v, m) || !fits_ok(v, m) || !names_ok(v, m) || !rules_ok(v, m))
            return false;
    }
    for (size_t i = 0; i < p->n_moves; i++)
        if (!together_ok(v, &p->moves[i]))
            return false;
    return emptied_ok(v) && spare_ok(v) && room_ok(v);
}

static void crowds_free(struct crowd *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(c[i].list);
    free(c);
}

bool plan_verify(const struct snapshot *s, const struct policy *p, const struct plan_request *r,
                 const struct plan *plan, struct reason *ret_violation)
{
    struct replay v = {.s = s,
                       .p = p,
                       .r = r,
                       .plan = plan,
                       .at = xcalloc(s->n_hosts, sizeof(*v.at)),
                       .rule = xcalloc(p->n_rules, sizeof(*v.rule)),
                       .ret = ret_violation};
    bool ok = replay(&v);
    replay_forget(&v);
    crowds_free(v.at, s->n_hosts);
    crowds_free(v.rule, p->n_rules);
    return ok;
}
