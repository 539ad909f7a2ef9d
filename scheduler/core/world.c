/* The inventory: what agents reported, and immutable views of it for the planner. */
#include <assert.h>
#include <string.h>

#include "scheduler/core/internal.h"

bool vm_active(int state)
{
    return state != VM_SHUTOFF;
}

static size_t host_index(const struct core *c, const char *name, bool *ret_found)
{
    size_t at = lower_bound(i, c->n_hosts, strcmp(c->hosts[i]->rec.name, name) < 0);
    *ret_found = at < c->n_hosts && str_eq(c->hosts[at]->rec.name, name);
    return at;
}

struct host_slot *host_find(const struct core *c, const char *name)
{
    bool found = false;
    size_t i = name ? host_index(c, name, &found) : 0;
    return found ? c->hosts[i] : NULL;
}

struct host_slot *host_get(struct core *c, const char *name)
{
    bool found;
    size_t i = host_index(c, name, &found);
    if (found)
        return c->hosts[i];
    (void)vec_add(&c->hosts, &c->n_hosts);
    memmove(&c->hosts[i + 1], &c->hosts[i], (c->n_hosts - 1 - i) * sizeof(c->hosts[0]));
    struct host_slot *h = xcalloc(1, sizeof(*h));
    shape_init(&host_rec_shape, &h->rec);
    h->rec.name = xstrdup(name);
    h->rec.last.name = xstrdup(name);
    h->rec.since_wall_us = c->wall_us;
    shape_init(&host_load_shape, &h->load);
    series_init(&h->busy);
    series_init(&h->other);
    series_learn(&h->other, c->policy.balance.forecast_ppm > 0);
    c->hosts[i] = h;
    c->names++;
    for (; i < c->n_hosts; i++)
        c->hosts[i]->no = i;
    return h;
}

struct vm_slot *vm_find(const struct host_slot *h, const char *uuid)
{
    for (size_t i = 0; i < h->n_vms; i++)
        if (str_eq(h->vms[i]->vm.uuid, uuid))
            return h->vms[i];
    return NULL;
}

static void save_host(struct core *c, const struct host_slot *h)
{
    fx_add(c, FX_SAVE_HOST)->host = xstrdup(h->rec.name);
}

static void save_vm(struct core *c, const struct host_slot *h, const char *uuid,
                    enum core_fx_type type)
{
    struct core_fx *f = fx_add(c, type);
    f->host = xstrdup(h->rec.name);
    f->vm = xstrdup(uuid);
}

void host_set_state(struct core *c, struct host_slot *h, int state, int64_t run, const char *actor,
                    const char *reason)
{
    if (h->rec.state != state)
        h->rec.since_wall_us = c->wall_us;
    h->rec.state = state;
    h->rec.run = run;
    set_str(&h->rec.actor, actor);
    set_str(&h->rec.reason, reason);
    c->version++;
    save_host(c, h);
    say(c, (struct about){.r = run_find(c, run), .host = h->rec.name, .actor = actor}, "host.state",
        "host/%s is %s%s%s%s", h->rec.name, state == HOST_MAINTENANCE ? "in " : "",
        host_state_names[state], reason ? ": " : "", reason ? reason : "");
}

/* Equal but for what is measured: such a change is no news for the store. */
static bool vm_same_facts(const struct vm *a, const struct vm *b)
{
    struct vm x = *a;
    x.rss_bytes = b->rss_bytes;
    x.cpu_time_us = b->cpu_time_us;
    x.dirty_Bps = b->dirty_Bps;
    return shape_equal(&vm_shape, &x, b);
}

/* Has Drover just brought it here? The host's own reports of that may come after the proof. */
static bool brought_by_us(const struct core *c, const struct host_slot *h, const char *uuid)
{
    const struct move_slot *m = lookup_get(&c->moved, uuid);
    while (m && !job_final((enum job_state)m->m.state))
        m = m->before;
    return m && m->m.state == JOB_DONE && str_eq(m->m.to, h->rec.name) &&
           c->wall_us - m->m.ended_wall_us < LATE_NEWS_US;
}

/* A VM came here without us: tell people, once, in words. True: from another host. */
static bool notice_foreign(struct core *c, const struct host_slot *h, const struct vm *v,
                           const struct vm_slot *before)
{
    bool arrived = v->job != VM_JOB_MIGRATING_IN && vm_active(v->state) &&
                   (!before || before->vm.job == VM_JOB_MIGRATING_IN);
    if (!h->reported || !arrived || move_of_vm(c, v->uuid) || brought_by_us(c, h, v->uuid))
        return false;
    const struct vm_slot *first = lookup_get(&c->vms, v->uuid), *at = first;
    const struct host_slot *last = NULL;
    for (; at; at = at->twin == first ? NULL : at->twin)
        if (at->host != h && (!last || at->host->no > last->no))
            last = at->host;
    const char *from = last ? last->rec.name : NULL;
    say(c, (struct about){.host = h->rec.name, .vm = v->name, .actor = "someone else"},
        "vm.foreign", "vm/%s %s %s%s%s, not by Drover", v->name,
        before || from ? "came to" : "appeared on", h->rec.name, from ? " from " : "",
        from ? from : "");
    char t[FMT_BYTES];
    int64_t until_us = vm_contested_until(c, v->uuid, h->rec.name);
    if (until_us)
        say(c, (struct about){.host = h->rec.name, .vm = v->name}, "vm.contested",
            "vm/%s: for the second time within a day it was moved away from where Drover had put "
            "it; "
            "no balance run touches it until %s (a drain still does)",
            v->name, fmt_rfc3339(t, until_us));
    return from;
}

static void upsert_vm(struct core *c, struct host_slot *h, const struct vm *v)
{
    struct vm_slot *slot = vm_find(h, v->uuid);
    bool is_new = !slot;
    bool foreign = notice_foreign(c, h, v, slot);
    bool news = is_new || !vm_same_facts(&slot->vm, v);
    if (is_new) {
        slot = vm_add(c, h, v);
        slot->since_wall_us = c->wall_us;
    } else {
        vm_update(c, slot, v);
    }
    slot->gone = false;
    if (foreign)
        slot->came_wall_us = c->wall_us;
    if (!news)
        return;
    c->version++;
    save_vm(c, h, v->uuid, FX_SAVE_VM);
}

static void drop_vm(struct core *c, struct host_slot *h, const char *uuid)
{
    struct vm_slot *slot = vm_find(h, uuid);
    if (!slot)
        return;
    save_vm(c, h, uuid, FX_DROP_VM);
    vm_remove(c, slot);
    c->version++;
}

/* Its host says that it is gone. While we are moving it from there, that is half of the story. */
static void vm_gone(struct core *c, struct host_slot *h, const char *uuid)
{
    const struct move_slot *m = move_of_vm(c, uuid);
    struct vm_slot *slot = vm_find(h, uuid);
    if (slot && m && str_eq(m->m.from, h->rec.name) && job_holds_dst((enum job_state)m->m.state))
        slot->gone = true;
    else
        drop_vm(c, h, uuid);
}

static bool listed(const struct report *r, const char *uuid)
{
    for (size_t i = 0; i < r->n_vms; i++)
        if (str_eq(r->vms[i].uuid, uuid))
            return true;
    return false;
}

void world_report(struct core *c, struct host_slot *h, const struct report *r)
{
    h->rec.seen_wall_us = c->wall_us;
    if (r->has_host) {
        bool news = !host_same_facts(&h->rec.last, &r->host);
        pin_release_host(c, &h->rec.last);
        shape_copy(&host_shape, &h->rec.last, &r->host);
        set_str(&h->rec.last.name, h->rec.name); /* identity comes from the certificate */
        if (news) {
            c->version++;
            c->names++; /* seldom: any fact of a host will do */
            save_host(c, h);
        }
    }
    if (r->full)
        for (size_t i = h->n_vms; i-- > 0;)
            if (!listed(r, h->vms[i]->vm.uuid))
                vm_gone(c, h, h->vms[i]->vm.uuid);
    for (size_t i = 0; i < r->n_vms; i++) {
        upsert_vm(c, h, &r->vms[i]);
        vm_find(h, r->vms[i].uuid)->told_us = c->now_us;
    }
    for (size_t i = 0; i < r->n_gone; i++)
        vm_gone(c, h, r->gone[i]);
    c->n_reported += r->full && !h->reported;
    h->reported |= r->full;
}

void vm_moved(struct core *c, const struct move_slot *slot)
{
    const struct move *m = &slot->m;
    struct host_slot *from = host_find(c, m->from), *to = host_find(c, m->to);
    struct vm_slot *old = from ? vm_find(from, m->vm) : NULL;
    if (!to)
        return;
    struct vm_slot *now = vm_find(to, m->vm);
    bool later = now && now->told_us > slot->dst_seen_us; /* it has ended since it was proven */
    if (old && (!now || (!m->offline && !vm_active(now->vm.state) && !later))) {
        struct vm v;
        shape_copy(&vm_shape, &v, &old->vm);
        v.state = m->offline ? v.state : VM_RUNNING;
        v.job = VM_JOB_NONE;
        upsert_vm(c, to, &v);
        shape_done(&vm_shape, &v);
        now = vm_find(to, m->vm);
    }
    if (now)
        now->since_wall_us = c->wall_us;
    if (now && now->vm.job == VM_JOB_MIGRATING_IN) {
        now->vm.job = VM_JOB_NONE;
        vm_livelier(c, now);
    }
    if (now && old)
        load_follow(c, now, old);
    /* A definition that was left behind on purpose, and reported, is still there. */
    if (old && (old->gone || !m->live || m->offline || old->vm.state != VM_SHUTOFF))
        drop_vm(c, from, m->vm);
    c->version++;
}

void vm_stayed(struct core *c, const struct move_slot *m)
{
    struct host_slot *from = host_find(c, m->m.from);
    struct vm_slot *slot = from ? vm_find(from, m->m.vm) : NULL;
    if (slot && slot->gone) {
        drop_vm(c, from, m->m.vm);
    } else if (slot && m->began && m->have_src && m->src.vm_job == VM_JOB_NONE) {
        slot->vm.job = VM_JOB_NONE; /* just read; the report of that may be on its way */
        vm_livelier(c, slot);
    }
}

/* ---- snapshots ----------------------------------------------------------------------------------- */

/* The same UUID may be known on two hosts: in flight, or as a leftover definition. The more alive
 * one is where the VM is. */
static int liveliness(const struct vm *v)
{
    if (v->job == VM_JOB_MIGRATING_IN)
        return 1;
    if (v->state == VM_SHUTOFF)
        return 0;
    return v->state == VM_RUNNING ? 3 : 2;
}

static int64_t since_us(const struct snap_vm *x)
{
    return ((const struct vm_slot *)(const void *)x->v)->since_wall_us;
}

/* Of two definitions the one that was left behind is the older one. */
static bool better(const struct snap_vm *a, const struct snap_vm *b)
{
    int d = liveliness(a->v) - liveliness(b->v);
    if (d)
        return d > 0;
    return since_us(a) != since_us(b) ? since_us(a) > since_us(b) : a->host < b->host;
}

/* The QEMU that it came from has not gone yet; libvirt there is about to end it. */
static bool still_leaves(const struct vm *v)
{
    return vm_active(v->state) && v->job == VM_JOB_MIGRATING_OUT;
}

bool vm_half_here(const struct vm_slot *v)
{
    for (const struct vm_slot *o = v->twin; o != v; o = o->twin)
        if (o->host->reported && still_leaves(&o->vm))
            return true;
    return false;
}

/* Of two entries of a VM the better one is where it is. An arrival that is no move of ours (mark_moves
 * knows those) takes room at both ends, and rules count it there; what a host said before it fell silent
 * may be long past. */
static void merge(const struct core *c, struct snap_vm *kept, const struct snap_vm *x)
{
    struct snap_vm best = better(x, kept) ? *x : *kept, other = better(x, kept) ? *kept : *x;
    bool both = c->hosts[other.host]->reported &&
                (other.v->job == VM_JOB_MIGRATING_IN || still_leaves(other.v));
    best.moving_to = both ? other.host : other.moving_to >= 0 ? other.moving_to : best.moving_to;
    *kept = best;
}

/* By name, then UUID, each once. */
static size_t list_vms(const struct core *c, struct snap_vm *vms)
{
    size_t n = 0;
    vms_sort(c->order);
    for (size_t i = 0; i < c->order->n_sorted; i++) {
        const struct vm_slot *v = c->order->sorted[i];
        struct snap_vm x = {.v = &v->vm, .host = (int)v->host->no, .moving_to = -1};
        bool again = v->twin != v && n && str_eq(v->vm.uuid, vms[n - 1].v->uuid) &&
                     str_eq(v->vm.name, vms[n - 1].v->name);
        if (!again)
            vms[n++] = x;
        else
            merge(c, &vms[n - 1], &x);
    }
    return n;
}

/* Runs still planning hold nothing; a planned dry run never does. */
static bool move_reserves(const struct core *c, int64_t for_run, const struct move_slot *m)
{
    const struct run_slot *r = run_find(c, m->m.run), *own = run_find(c, for_run);
    if (m->m.state == JOB_QUEUED && own && r && balance_would_yield(&r->run, &own->run))
        return false;
    return !job_final((enum job_state)m->m.state) && r &&
           (r->run.state == RUN_RUNNING || r->run.state == RUN_CANCELLING);
}

static void mark_moves(const struct core *c, int64_t for_run, int64_t skip_move,
                       struct snapshot_store *out)
{
    const struct move_slot *skip = move_find(c, skip_move);
    int mine = skip ? snap_vm_id(c, &out->s, skip->m.vm) : -1;
    if (mine >= 0)
        out->vms[mine].moving_to = -1;
    for (size_t i = 0; i < c->n_open_moves;
         i++) { /* where ours go is known better than by arrivals */
        const struct move_slot *m = c->open_moves[i];
        int id = move_reserves(c, for_run, m) ? snap_vm_id(c, &out->s, m->m.vm) : -1;
        if (id >= 0)
            out->vms[id].moving_to = -1;
    }
    for (size_t i = 0; i < c->n_open_moves; i++) {
        const struct move_slot *m = c->open_moves[i];
        int id = move_reserves(c, for_run, m) ? snap_vm_id(c, &out->s, m->m.vm) : -1;
        if (id < 0)
            continue;
        struct snap_vm *v = &out->vms[id];
        v->other_run = m->m.run != for_run;
        v->will_start = !m->m.live && !m->m.offline;
        int from = snap_host_id(&out->s, m->m.from);
        if (job_holds_dst((enum job_state)m->m.state) && from >= 0)
            v->host = from; /* until it is settled the VM is at its source */
        int to = snap_host_id(&out->s, m->m.to);
        bool own =
            skip && str_eq(skip->m.vm, m->m.vm); /* of two moves of a VM neither is in the way */
        if (!own && to != v->host && v->moving_to < 0)
            v->moving_to = to;
    }
}

/* A host whose drain is being planned takes nothing from another run: what came would leave again. */
static int state_for(const struct core *c, const struct host_slot *h, int64_t for_run)
{
    const struct run_slot *r = run_active_on(c, h->rec.name), *own = run_find(c, for_run);
    bool leaves = r && r->run.kind == RUN_DRAIN && r->run.id != for_run;
    /* of several, none is a place for what leaves another; with one alone the question does not arise */
    leaves = leaves || (own && own->run.n_hosts > 1 && run_leaves(&own->run, h->rec.name));
    return leaves && h->rec.state == HOST_UP ? HOST_DRAINING : h->rec.state;
}

void snapshot_make(const struct core *c, int64_t for_run, int64_t skip_move,
                   struct snapshot_store *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->hosts = xcalloc(c->n_hosts, sizeof(*ret->hosts));
    ret->vms = xcalloc(c->order->n_sorted + c->order->n_added, sizeof(*ret->vms));
    for (size_t i = 0; i < c->n_hosts; i++) {
        const struct host_slot *h = c->hosts[i];
        ret->hosts[i] = (struct snap_host){.h = &h->rec.last,
                                           .state = state_for(c, h, for_run),
                                           .connected = h->connected && h->reported};
    }
    ret->s = (struct snapshot){.version = c->version,
                               .hosts = ret->hosts,
                               .n_hosts = c->n_hosts,
                               .vms = ret->vms,
                               .n_vms = list_vms(c, ret->vms)};
    mark_moves(c, for_run, skip_move, ret);
}

void snapshot_done(struct snapshot_store *s)
{
    free(s->hosts);
    free(s->vms);
    free(s->figures);
    if (s->coming)
        shape_done(&vm_shape, s->coming);
    free(s->coming);
    memset(s, 0, sizeof(*s));
}

/* Under two names it is there twice: the first counts. */
int snap_vm_id(const struct core *c, const struct snapshot *s, const char *uuid)
{
    const struct vm_slot *first = uuid ? lookup_get(&c->vms, uuid) : NULL;
    int id = first ? snap_vm_place(s, first->vm.name, first->vm.uuid) : -1;
    for (const struct vm_slot *v = first ? first->twin : NULL; v != first; v = v->twin) {
        int other = snap_vm_place(s, v->vm.name, v->vm.uuid);
        id = other >= 0 && (id < 0 || other < id) ? other : id;
    }
    return id;
}
