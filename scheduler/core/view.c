/* Queries: the core's state as people and programs see it. */
#include <errno.h>
#include <string.h>

#include "scheduler/core/internal.h"

static void copy_labels(struct label **dst, size_t *n_dst, const struct label *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        shape_copy(&label_shape, vec_add(dst, n_dst), &src[i]);
}

static bool is_queued(const struct move_slot *m)
{
    return m && m->m.state == JOB_QUEUED;
}

static void add_residents(const struct core *c, const struct snapshot *s, struct host_view *hosts,
                          int64_t *used)
{
    for (size_t i = 0; i < s->n_vms; i++) {
        const struct snap_vm *sv = &s->vms[i];
        struct host_view *here = &hosts[sv->host];
        struct host_view *next = sv->moving_to >= 0 ? &hosts[sv->moving_to] : NULL;
        here->vms++;
        if (next && is_queued(move_of_vm(c, sv->v->uuid))) {
            here->queued_out++;
            next->queued_in++;
        } else if (next) {
            here->moving_out++;
            next->moving_in++;
        }
        if (!vm_active(sv->v->state))
            continue;
        here->running++;
        here->vcpus += sv->v->vcpus;
        used[sv->host] += vm_need_bytes(sv->v);
        if (!next)
            continue;
        used[sv->moving_to] += vm_need_bytes(sv->v);
        next->mem_reserved_bytes += vm_need_bytes(sv->v);
    }
}

static void fill_host(const struct core *c, const struct host_slot *h, int64_t wall_us,
                      struct host_view *v)
{
    const struct host *l = &h->rec.last;
    shape_init(&host_view_shape, v);
    v->name = xstrdup(h->rec.name);
    v->state = h->rec.state;
    v->connected = h->connected;
    v->libvirt_up = h->connected && l->libvirt_up;
    v->mem_bytes = l->mem_bytes;
    v->mem_reserved_bytes = 0;
    v->cpus = l->cpus;
    v->reason = xstrdup(h->rec.reason);
    v->actor = xstrdup(h->rec.actor);
    v->since_wall_us = h->rec.since_wall_us;
    const struct run_slot *r = run_find(c, h->rec.run);
    v->run = r && !run_ended(r->run.state) ? h->rec.run : 0;
    v->seen_wall_us = h->rec.seen_wall_us;
    v->link_bps = l->link_bps;
    v->cpu = load_of_host(c, h, &h->busy, wall_us);
    if (load_fresh(c, h)) {
        shape_done(&host_load_shape, &v->load);
        shape_copy(&host_load_shape, &v->load, &h->load);
    }
    v->zone = xstrdup(l->zone);
    v->rack = xstrdup(l->rack);
    copy_labels(&v->labels, &v->n_labels, l->labels, l->n_labels);
}

static void fill_free(const struct core *c, struct host_view *v, int64_t used)
{
    if (v->mem_bytes < 0)
        return;
    int64_t usable =
        (int64_t)((double)v->mem_bytes * (double)c->policy.capacity.mem_overcommit_ppm / 1e6) -
        c->policy.capacity.mem_reserve_bytes;
    v->mem_free_bytes = usable > used ? usable - used : 0;
}

void core_view_hosts(const struct core *c, int64_t wall_us, struct hosts_view *ret)
{
    struct snapshot_store snap;
    snapshot_make(c, 0, 0, &snap);
    *ret = (struct hosts_view){.wall_us = wall_us};
    for (size_t i = 0; i < c->n_hosts; i++)
        fill_host(c, c->hosts[i], wall_us, vec_add(&ret->hosts, &ret->n_hosts));
    cleanup(freep) int64_t *used = xcalloc(c->n_hosts, sizeof(*used));
    add_residents(c, &snap.s, ret->hosts, used);
    for (size_t i = 0; i < c->n_hosts; i++)
        fill_free(c, &ret->hosts[i], used[i]);
    snapshot_done(&snap);
}

/* A VM's own move in flight does not make it unmovable. */
static void forget_move(struct snap_vm *v)
{
    v->other_run = false;
    v->moving_to = -1;
}

/* What the snapshot itself tells. */
static void vm_facts(const struct snapshot *s, const struct policy *p, int id, struct vm_view *v)
{
    const struct snap_vm *sv = &s->vms[id];
    const struct vm *vm = sv->v;
    shape_init(&vm_view_shape, v);
    v->uuid = xstrdup(vm->uuid);
    v->name = xstrdup(vm->name);
    v->host = xstrdup(s->hosts[sv->host].h->name);
    v->state = vm->state;
    v->persistent = vm->persistent;
    v->mem_bytes = vm->mem_bytes;
    v->vcpus = vm->vcpus;
    v->dirty_Bps = vm->dirty_Bps;
    v->movable = plan_vm_movable(s, p, id, &v->blocker);
    v->unreachable = !s->hosts[sv->host].connected;
    copy_labels(&v->labels, &v->n_labels, vm->labels, vm->n_labels);
}

static int64_t rate(uint32_t Bps)
{
    return Bps == UINT32_MAX ? -1 : (int64_t)Bps;
}

/* And what the core knows beside it. */
static void vm_history(const struct core *c, const struct snapshot *s, int id, int64_t wall_us,
                       struct vm_view *v)
{
    const struct host_slot *h = c->hosts[s->vms[id].host];
    const struct move_slot *m = move_of_vm(c, v->uuid);
    const struct vm_slot *slot = vm_find(h, v->uuid);
    if (m) {
        v->run = m->m.run;
        v->move = m->m.id;
        v->queued = is_queued(m);
        v->moving_to = xstrdup(m->m.to);
    }
    v->unreachable = !h->connected;
    v->since_wall_us = slot ? slot->since_wall_us : 0;
    if (!slot)
        return;
    v->cpu = load_of_vm(c, slot, wall_us);
    if (!load_fresh(c, h))
        return;
    v->rss_bytes = slot->vm.rss_bytes;
    v->read_Bps = rate(slot->rates.read);
    v->write_Bps = rate(slot->rates.write);
    v->rx_Bps = rate(slot->rates.rx);
    v->tx_Bps = rate(slot->rates.tx);
}

void core_view_vms(const struct core *c, int64_t wall_us, struct vms_view *ret)
{
    struct snapshot_store snap;
    snapshot_make(c, 0, 0, &snap);
    *ret = (struct vms_view){.wall_us = wall_us};
    for (size_t i = 0; i < snap.s.n_vms; i++)
        forget_move(&snap.vms[i]);
    for (size_t i = 0; i < snap.s.n_vms; i++) {
        struct vm_view *v = vec_add(&ret->vms, &ret->n_vms);
        vm_facts(&snap.s, &c->policy, (int)i, v);
        vm_history(c, &snap.s, (int)i, wall_us, v);
    }
    snapshot_done(&snap);
}

void core_view_runs(const struct core *c, int64_t wall_us, struct runs_view *ret)
{
    *ret = (struct runs_view){.wall_us = wall_us};
    for (size_t i = c->n_runs; i-- > 0;) {
        struct run *r = vec_add(&ret->runs, &ret->n_runs);
        shape_copy(&run_shape, r, &c->runs[i]->run);
        for (size_t k = 0; k < r->n_stays; k++) {
            for (size_t j = 0; j < r->stays[k].n_reasons; j++)
                shape_done(&reason_shape, &r->stays[k].reasons[j]);
            for (size_t j = 0; j < r->stays[k].n_ways; j++)
                shape_done(&way_shape, &r->stays[k].ways[j]);
            r->stays[k].n_reasons = r->stays[k].n_ways = 0;
        }
    }
}

int core_view_run(const struct core *c, int64_t id, int64_t wall_us, struct run_view *ret,
                  struct err *e)
{
    struct run_slot *r = run_find(c, id);
    if (!r)
        return err_set(e, -ENOENT, "no run/%lld; `drover runs` lists them", (long long)id);
    shape_init(&run_view_shape, ret);
    ret->wall_us = wall_us;
    shape_copy(&run_shape, &ret->run, &r->run);
    for (size_t i = 0; i < r->n_moves; i++)
        shape_copy(&move_shape, vec_add(&ret->moves, &ret->n_moves), &r->moves[i]->m);
    return 0;
}

int snapshot_vm_named(const struct snapshot *s, const char *text, struct err *e)
{
    cleanup(freep) char *on = NULL;
    int found = -1, n = 0;
    for (size_t i = 0; i < s->n_vms; i++) {
        if (!planned_vm_called(s, (int)i, text))
            continue;
        set_fmt(&on, "%s%s%s", on ? on : "", on ? ", " : "", s->hosts[s->vms[i].host].h->name);
        found = (int)i;
        n++;
    }
    if (n > 1)
        return err_set(e, -EEXIST, "%d VMs are called '%s' (on %s); write %s@HOST", n, text, on,
                       text);
    if (found >= 0)
        return found;
    const char **names = xcalloc(s->n_vms, sizeof(*names));
    for (size_t i = 0; i < s->n_vms; i++)
        names[i] = s->vms[i].v->name;
    const char *near = str_did_you_mean(text, names, s->n_vms);
    int r = near ? err_set(e, -ENOENT, "no VM '%s'; did you mean '%s'?", text, near)
                 : err_set(e, -ENOENT, "no VM '%s'; `drover vms` lists them", text);
    free(names);
    return r;
}

static void explain_ways(const struct plan_index *x, int vm, struct explain_view *ret)
{
    struct plan_request r = {.vms = &vm, .n_vms = 1};
    struct plan p;
    struct plan_ways w;
    plan_make_from(x, &r, 0, &p);
    plan_ways_find(x, &r, &p, 0, &w);
    if (w.n) {
        ret->ways = take(w.of[0].list);
        ret->n_ways = w.of[0].n;
        w.of[0].n = 0;
        ret->ways_cut = w.cut;
        ret->shortages = take(w.shortages);
        ret->n_shortages = w.n_shortages;
        w.n_shortages = 0;
    }
    plan_ways_done(&w);
    plan_done(&p);
}

int snapshot_explain(const struct snapshot *s, const struct policy *p, const char *vm,
                     struct explain_view *ret, struct err *e)
{
    int id = snapshot_vm_named(s, vm, e);
    if (id < 0)
        return id;
    shape_init(&explain_view_shape, ret);
    forget_move(&s->vms[id]);
    vm_facts(s, p, id, &ret->vm);
    struct plan_index *index = plan_index_new(s, p);
    for (size_t h = 0; h < s->n_hosts; h++) {
        struct explain_host *x = vec_add(&ret->hosts, &ret->n_hosts);
        shape_init(&explain_host_shape, x);
        x->host = xstrdup(s->hosts[h].h->name);
        x->here = (int)h == s->vms[id].host;
        x->allowed = !x->here && plan_allows_from(index, id, (int)h, &x->reason);
    }
    explain_ways(index, id, ret);
    plan_index_free(index);
    return id;
}

static void explain_left_out(const struct core *c, struct explain_view *ret)
{
    size_t n;
    struct left_out *list = core_left_out(c, &n);
    for (size_t i = 0; i < n; i++)
        if (left_out_concerns(&list[i], ret->vm.uuid, ret->vm.host))
            shape_copy(&left_out_shape, vec_add(&ret->left_out, &ret->n_left_out), &list[i]);
    left_out_done(list, n);
}

int core_view_explain(const struct core *c, const char *vm, int64_t wall_us,
                      struct explain_view *ret, struct err *e)
{
    struct snapshot_store snap;
    snapshot_make(c, 0, 0, &snap);
    int id = snapshot_explain(&snap.s, &c->policy, vm, ret, e);
    if (id < 0) {
        snapshot_done(&snap);
        return id;
    }
    vm_history(c, &snap.s, id, wall_us, &ret->vm);
    const struct move_slot *m = lookup_get(&c->moved, ret->vm.uuid);
    for (; m; m = m->before) {
        const struct run_slot *r = run_find(c, m->m.run);
        if (r && !r->run.dry_run)
            shape_copy(&move_shape, vec_add(&ret->moves, &ret->n_moves), &m->m);
    }
    explain_left_out(c, ret);
    snapshot_done(&snap);
    return 0;
}

void core_snapshot(const struct core *c, struct snapshot_store *ret)
{
    snapshot_make(c, 0, 0, ret);
    snapshot_figures(c, ret);
}
