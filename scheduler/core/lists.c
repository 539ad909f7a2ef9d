/* What keeps a step from looking at the whole fleet or at all of history: VMs by UUID and by name, moves
 * by VM, the runs and moves that are open. */
#include <assert.h>
#include <string.h>

#include "lib/base/limits.h"
#include "scheduler/core/internal.h"

#define FORGET_US (600 * SEC)

/* ---- VMs ----------------------------------------------------------------------------------------- */

static int cmp_vm(const struct vm *a, const struct vm *b)
{
    int d = strcmp(a->name, b->name);
    return d ? d : strcmp(a->uuid, b->uuid);
}

static int cmp_slots(const void *a, const void *b)
{
    return cmp_vm(&(*(struct vm_slot *const *)a)->vm, &(*(struct vm_slot *const *)b)->vm);
}

/* The first that does not come before v. */
static size_t order_place(const struct vm_order *o, const struct vm *v)
{
    return lower_bound(i, o->n_sorted, cmp_vm(&o->sorted[i]->vm, v) < 0);
}

static void order_insert(struct vm_order *o, struct vm_slot *v)
{
    size_t i = order_place(o, &v->vm);
    vec_add(&o->sorted, &o->n_sorted);
    memmove(&o->sorted[i + 1], &o->sorted[i], (o->n_sorted - 1 - i) * sizeof(*o->sorted));
    o->sorted[i] = v;
}

/* Where there are many, one sort is cheaper than making room for each. */
void vms_sort(struct vm_order *o)
{
    const size_t many = 64;
    if (o->n_added > many) {
        for (size_t i = 0; i < o->n_added; i++)
            *vec_add(&o->sorted, &o->n_sorted) = o->added[i];
        qsort(o->sorted, o->n_sorted, sizeof(*o->sorted), cmp_slots);
    } else {
        for (size_t i = 0; i < o->n_added; i++)
            order_insert(o, o->added[i]);
    }
    o->n_added = 0;
    free(take(o->added));
}

static void order_remove(struct vm_order *o, const struct vm_slot *v)
{
    for (size_t i = o->n_added; i-- > 0;)
        if (o->added[i] == v) {
            vec_del(o->added, &o->n_added, i);
            return;
        }
    size_t i = order_place(o, &v->vm);
    while (o->sorted[i] != v)
        i++;
    vec_del(o->sorted, &o->n_sorted, i);
}

/* What rules are asked about. */
static bool same_names(const struct vm *a, const struct vm *b)
{
    bool same = str_eq(a->name, b->name) && a->n_labels == b->n_labels;
    for (size_t i = 0; same && i < a->n_labels; i++)
        same = shape_equal(&label_shape, &a->labels[i], &b->labels[i]);
    return same;
}

struct vm_slot *vm_add(struct core *c, struct host_slot *h, const struct vm *v)
{
    struct vm_slot *s = xcalloc(1, sizeof(*s));
    shape_copy(&vm_shape, &s->vm, v);
    s->host = h;
    s->twin = s;
    load_slot_init(c, s);
    *(struct vm_slot **)vec_add(&h->vms, &h->n_vms) = s;
    struct vm_slot *other = lookup_get(&c->vms, v->uuid);
    c->names += !other || !same_names(&other->vm, v);
    if (other) {
        s->twin = other->twin;
        other->twin = s;
    } else {
        lookup_set(&c->vms, s->vm.uuid, s);
    }
    *vec_add(&c->order->added, &c->order->n_added) = s;
    return s;
}

/* Which of its twins counts may change, and they may be called and labelled differently. */
void vm_livelier(struct core *c, const struct vm_slot *s)
{
    for (const struct vm_slot *v = s->twin; v != s; v = v->twin)
        c->names += !same_names(&v->vm, &s->vm);
}

void vm_update(struct core *c, struct vm_slot *s, const struct vm *v)
{
    struct vm old = s->vm;
    bool renamed = !str_eq(old.name, v->name);
    if (renamed)
        order_remove(c->order, s);
    shape_copy(&vm_shape, &s->vm, v);
    c->names += !same_names(&old, v);
    free(s->vm.uuid);
    s->vm.uuid = take(old.uuid); /* the same, and c->vms borrows it */
    xml_changed(s, &old);
    pin_release_vm(c, s, &old);
    vm_livelier(c, s);
    if (renamed)
        *vec_add(&c->order->added, &c->order->n_added) = s;
}

void vm_remove(struct core *c, struct vm_slot *s)
{
    struct vm_slot *before = s;
    while (before->twin != s)
        before = before->twin;
    before->twin = s->twin;
    if (before != s)
        load_follow(c, before, s);
    c->names += before == s || !same_names(&before->vm, &s->vm);
    if (before == s)
        lookup_del(&c->vms, s->vm.uuid);
    else
        lookup_set(&c->vms, before->vm.uuid, before);
    order_remove(c->order, s);
    struct host_slot *h = s->host;
    for (size_t i = 0; i < h->n_vms; i++)
        if (h->vms[i] == s) {
            vec_del(h->vms, &h->n_vms, i);
            break;
        }
    pin_release_vm(c, s, &s->vm);
    series_done(&s->cpu);
    free(s);
}

/* ---- the planner's index ------------------------------------------------------------------------- */

void fleet_forget(struct core *c)
{
    plan_index_free(take(c->known.index));
    snapshot_done(&c->known.snap);
}

struct plan_index *fleet_index(struct core *c, const struct snapshot *s)
{
    struct known_fleet *k = &c->known;
    if (!k->index || k->names != c->names) {
        fleet_forget(c);
        snapshot_make(c, 0, 0, &k->snap);
        k->index = plan_index_new(&k->snap.s, &c->policy);
        k->names = c->names;
    }
    if (s->n_vms == k->snap.s.n_vms + 1) /* with one that is to come */
        return plan_index_new(s, &c->policy);
    assert(k->snap.s.n_vms == s->n_vms && k->snap.s.n_hosts == s->n_hosts);
    return plan_index_again(k->index, s);
}

/* ---- runs and moves ------------------------------------------------------------------------------ */

/* A run that has ended rests; so does its move, but for one that is in doubt. */
static bool move_rests(const struct core *c, const struct move_slot *m)
{
    const struct run_slot *r = run_find(c, m->m.run);
    return (!r || run_ended(r->run.state)) && !m->dirty &&
           (m->m.state == JOB_QUEUED || job_final((enum job_state)m->m.state));
}

static void wake_run(struct core *c, struct run_slot *r)
{
    if (r->open)
        return;
    r->open = true;
    size_t i = c->n_open_runs;
    vec_add(&c->open_runs, &c->n_open_runs);
    for (; i > 0 && c->open_runs[i - 1]->run.id > r->run.id; i--)
        c->open_runs[i] = c->open_runs[i - 1];
    c->open_runs[i] = r;
}

void run_wake(struct core *c, struct run_slot *r)
{
    if (r)
        wake_run(c, r);
}

void move_wake(struct core *c, struct move_slot *m)
{
    if (!m || m->open)
        return;
    struct run_slot *r = run_find(c, m->m.run);
    m->open = true;
    if (r) {
        r->n_open++;
        wake_run(c, r);
    }
    size_t i = c->n_open_moves;
    vec_add(&c->open_moves, &c->n_open_moves);
    for (; i > 0 && c->open_moves[i - 1]->m.id > m->m.id; i--)
        c->open_moves[i] = c->open_moves[i - 1];
    c->open_moves[i] = m;
}

void run_link(struct core *c, struct run_slot *r)
{
    *(struct run_slot **)vec_add(&c->runs, &c->n_runs) = r;
    wake_run(c, r);
}

void move_link(struct core *c, struct move_slot *m)
{
    struct run_slot *r = run_find(c, m->m.run);
    *(struct move_slot **)vec_add(&c->moves, &c->n_moves) = m;
    if (r)
        *(struct move_slot **)vec_add(&r->moves, &r->n_moves) = m;
    m->before = lookup_get(&c->moved, m->m.vm);
    lookup_set(&c->moved, m->m.vm, m);
    move_wake(c, m);
}

static void move_unlink(struct core *c, struct move_slot *m)
{
    struct move_slot *at = lookup_get(&c->moved, m->m.vm);
    if (at == m && m->before) {
        lookup_set(&c->moved, m->before->m.vm, m->before);
    } else if (at == m) {
        lookup_del(&c->moved, m->m.vm);
    } else {
        while (at->before != m)
            at = at->before;
        at->before = m->before;
    }
}

/* Of the oldest, those that a restart would not bring back from the store either. Not at once: what a
 * step changed is read until it is stored. */
static bool is_old(const struct core *c, const struct run_slot *r)
{
    return !r->open && c->now_us - r->closed_us > FORGET_US &&
           r->run.id < c->runs[c->n_runs - LIM_RUNS_KEPT]->run.id;
}

static void forget_moves(struct core *c)
{
    int64_t kept_from = c->runs[c->n_runs - LIM_RUNS_KEPT]->run.id;
    size_t kept = 0;
    for (size_t i = 0; i < c->n_moves; i++) {
        struct move_slot *m = c->moves[i];
        const struct run_slot *r = m->m.run < kept_from ? run_find(c, m->m.run) : NULL;
        if (!r || !is_old(c, r)) {
            c->moves[kept++] = m;
            continue;
        }
        move_unlink(c, m);
        move_slot_free(m);
    }
    c->n_moves = kept;
}

static void forget_oldest(struct core *c)
{
    size_t over = c->n_runs > LIM_RUNS_KEPT ? c->n_runs - LIM_RUNS_KEPT : 0, old = 0, kept = 0;
    for (size_t i = 0; i < over; i++)
        old += is_old(c, c->runs[i]);
    if (!old)
        return;
    forget_moves(c);
    for (size_t i = 0; i < over; i++) {
        struct run_slot *r = c->runs[i];
        if (is_old(c, r))
            run_slot_free(r);
        else
            c->runs[kept++] = r;
    }
    memmove(&c->runs[kept], &c->runs[over], LIM_RUNS_KEPT * sizeof(struct run_slot *));
    c->n_runs = kept + LIM_RUNS_KEPT;
}

void lists_settle(struct core *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->n_open_moves; i++) {
        struct move_slot *m = c->open_moves[i];
        struct run_slot *r = run_find(c, m->m.run);
        m->open = !move_rests(c, m);
        if (m->open)
            c->open_moves[kept++] = m;
        else if (r)
            r->n_open--;
    }
    c->n_open_moves = kept;
    kept = 0;
    for (size_t i = 0; i < c->n_open_runs; i++) {
        struct run_slot *r = c->open_runs[i];
        r->open = !run_ended(r->run.state) || r->dirty || r->n_open;
        if (r->open) {
            c->open_runs[kept++] = r;
        } else {
            r->closed_us = c->now_us;
            run_forget_checks(r);
        }
    }
    c->n_open_runs = kept;
    forget_oldest(c);
}
