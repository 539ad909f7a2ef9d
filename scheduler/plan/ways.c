/* Ways out: for each VM that stays, changes from the nearest to the farthest, each tried on a copy of the
 * problem. waysay.c words them. */
#include "scheduler/plan/ways.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/wayfind.h"

/* Memory is asked for in whole MiB: what people can free. */
static int64_t mib_up(int64_t bytes)
{
    return (bytes + MIB - 1) / MIB * MIB;
}

/* ---- trying ----------------------------------------------------------------------------------------- */

bool way_affordable(struct finder *f, int64_t work)
{
    f->work -= work;
    if (f->work >= 0)
        return true;
    f->ret->cut = true;
    return false;
}

static bool goes(struct finder *f, const struct change *list, size_t n)
{
    struct whatif k;
    int64_t work = (int64_t)f->s->n_vms + (int64_t)(f->n_going + 1) * (int64_t)f->s->n_hosts;
    if (!way_affordable(f, work) || !whatif_make(f->x, f->r, list, n, &k))
        return false;
    f->going[f->n_going] = f->vm;
    bool ok = whatif_all_go(&k, f->going, f->n_going + 1, f->seed);
    whatif_done(&k);
    return ok;
}

/* Two that differ in the host alone: one way with several hosts. */
static struct found *alike(struct finder *f, const struct change *c)
{
    for (size_t i = f->first; i < f->n_found; i++) {
        const struct change *o = &f->found[i].list[0];
        if (c->host >= 0 && o->kind == c->kind && o->code == c->code && o->rule == c->rule &&
            o->number == c->number && f->found[i].n == 1 && c->kind != CHANGE_ROOM &&
            c->kind != CHANGE_MOVED)
            return &f->found[i];
    }
    return NULL;
}

bool way_try(struct finder *f, const struct change *list, size_t n, const char *cure)
{
    struct found *same = n == 1 ? alike(f, list) : NULL;
    if (f->tries++ >= LIM_WAYS_TRIES) {
        f->ret->cut = true;
        return false;
    }
    if (!goes(f, list, n))
        return false;
    if (same) {
        *vec_add(&same->way.hosts, &same->way.n_hosts) = xstrdup(f->s->hosts[list[0].host].h->name);
        return true;
    }
    struct found *x = vec_add(&f->found, &f->n_found);
    memcpy(x->list, list, n * sizeof(*list));
    x->n = n;
    x->stay = f->stay;
    way_say(f, x, cure);
    return true;
}

/* ---- words of the operator ---------------------------------------------------------------------------- */

static struct change change_of(const struct finder *f, int kind, int host)
{
    return (struct change){.kind = kind, .of = f->vm, .host = host, .vm = -1, .to = -1, .rule = -1};
}

static bool is_in(const int *list, size_t n, int x)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == x)
            return true;
    return false;
}

/* Also where more speaks against this VM: another one may go there, and make room for it. */
static void try_words(struct finder *f)
{
    int tried[3] = {0};
    for (int h = 0; h < (int)f->s->n_hosts; h++) {
        const struct snap_host *sh = &f->s->hosts[h];
        bool closed = sh->state != HOST_UP && sh->state != HOST_DRAINING && sh->connected;
        bool avoided = is_in(f->r->avoid, f->r->n_avoid, h);
        bool left_out = f->r->n_to && !is_in(f->r->to, f->r->n_to, h);
        int kind = closed ? CHANGE_UP : avoided ? CHANGE_AVOID : CHANGE_TO;
        if (h == f->s->vms[f->vm].host || closed + avoided + left_out != 1)
            continue;
        int *k = &tried[kind == CHANGE_UP ? 0 : kind == CHANGE_AVOID ? 1 : 2];
        if (++*k > LIM_WAYS_HOSTS) {
            f->ret->cut = true;
            continue;
        }
        struct change c = change_of(f, kind, h);
        way_try(f, &c, 1, NULL);
    }
}

/* ---- room ---------------------------------------------------------------------------------------------- */

/* What the VM lacks on the host with all that is planned there. */
static struct plan_load missing(const struct finder *f, int host)
{
    struct plan_load need = plan_need(f->s->vms[f->vm].v), have = f->w.load[host];
    int64_t cpus = plan_vcpu_capacity(&f->w, host);
    struct plan_load m = {.mem_bytes =
                              have.mem_bytes + need.mem_bytes - plan_mem_capacity(&f->w, host),
                          .vcpus = cpus < 0 ? 0 : have.vcpus + need.vcpus - cpus,
                          .huge_bytes = have.huge_bytes + need.huge_bytes -
                                        f->s->hosts[host].h->hugepage_total_bytes};
    m.mem_bytes = m.mem_bytes > 0 ? mib_up(m.mem_bytes) : 0;
    m.vcpus = m.vcpus > 0 ? m.vcpus : 0;
    m.huge_bytes = m.huge_bytes > 0 && need.huge_bytes ? m.huge_bytes : 0;
    return m;
}

/* The planner may find a better use of less: halve until one unit less is not enough. */
static void least(struct finder *f, struct change *c, int64_t *amount, int64_t unit)
{
    int64_t no = 0, yes = *amount / unit;
    bool first = true;
    while (no + 1 < yes) {
        int64_t mid = first ? yes - 1 : no + (yes - no) / 2;
        *amount = mid * unit;
        if (goes(f, c, 1))
            yes = mid;
        else
            no = mid;
        first = false;
        if (f->work < 0)
            break; /* what was found holds; less was not tried */
    }
    *amount = yes * unit;
}

/* So much on another host is the same way. */
static bool join_room(struct finder *f, const struct change *c)
{
    for (size_t i = f->first; i + 1 < f->n_found; i++) {
        const struct change *o = &f->found[i].list[0];
        if (o->kind != CHANGE_ROOM || o->bytes != c->bytes || o->vcpus != c->vcpus ||
            o->huge_bytes != c->huge_bytes)
            continue;
        struct way *y = &f->found[i].way;
        *vec_add(&y->hosts, &y->n_hosts) = xstrdup(f->s->hosts[c->host].h->name);
        shape_done(&way_shape, &f->found[--f->n_found].way);
        return true;
    }
    return false;
}

static void try_room(struct finder *f, int host)
{
    struct plan_load m = missing(f, host);
    struct change c = change_of(f, CHANGE_ROOM, host);
    int64_t cap = plan_mem_capacity(&f->w, host);
    if (cap < plan_need(f->s->vms[f->vm].v).mem_bytes)
        return; /* not even when it is empty: there is not so much to free */
    c.bytes = m.mem_bytes;
    c.vcpus = m.vcpus;
    c.huge_bytes = m.huge_bytes;
    if (!c.bytes && !c.vcpus && !c.huge_bytes)
        return;
    size_t before = f->n_found;
    if (!way_try(f, &c, 1, NULL) || f->n_found == before)
        return;
    if (c.bytes && !c.vcpus && !c.huge_bytes)
        least(f, &c, &c.bytes, MIB);
    else if (c.vcpus && !c.bytes && !c.huge_bytes)
        least(f, &c, &c.vcpus, 1);
    if (join_room(f, &c))
        return;
    struct found *x = &f->found[f->n_found - 1];
    x->list[0] = c;
    way_say(f, x, NULL);
}

/* ---- one host and the first thing that speaks against it ------------------------------------------------ */

static int rule_by_name(const struct finder *f, const struct reason *why)
{
    const struct plan_world *w = &f->w;
    for (size_t i = w->rules_start[f->vm]; i < w->rules_start[f->vm + 1]; i++) {
        const struct rule *r = &w->p->rules[w->rules[i]];
        if (why->what && str_has_prefix(why->what, "rule ") && str_eq(why->what + 5, r->name))
            return w->rules[i];
    }
    return -1;
}

static void try_rule(struct finder *f, const struct reason *why, int host)
{
    int rule = rule_by_name(f, why);
    if (rule < 0)
        return;
    const struct rule *r = &f->w.p->rules[rule];
    struct change c = change_of(f, CHANGE_SOFT, -1);
    c.rule = rule;
    if (r->kind == RULE_MAX_VMS || r->kind == RULE_SPREAD) {
        struct change number = c;
        number.kind = CHANGE_NUMBER;
        number.number = r->kind == RULE_MAX_VMS ? why->need_n : why->have_n;
        if (!alike(f, &number))
            way_try(f, &number, 1, NULL);
    }
    if (plan_rule_about_hosts(r)) {
        struct change allow = c;
        allow.kind = CHANGE_ALLOW;
        allow.host = host;
        way_try(f, &allow, 1, NULL);
        return; /* one host more is always less than no rule */
    }
    for (size_t i = f->first; i < f->n_found; i++)
        if (f->found[i].list[0].kind == CHANGE_SOFT && f->found[i].list[0].rule == rule)
            return;
    way_try(f, &c, 1, NULL);
}

static void try_host(struct finder *f, const struct reason *why, int host)
{
    struct change c = change_of(f, CHANGE_HOST, host);
    c.code = why->code;
    if (plan_refused(&f->w, f->vm, host, false)) {
        c.kind = CHANGE_FORGET;
        if (why->cure)
            way_try(f, &c, 1, why->cure);
        return;
    }
    switch (why->code) {
    case R_DST_BUSY:
        c.kind = CHANGE_ENDED;
        way_try(f, &c, 1, why->cure);
        return;
    case R_MEMORY:
    case R_VCPU:
    case R_HUGEPAGES:
        try_room(f, host);
        return;
    case R_SPARE:
        c = change_of(f, CHANGE_SPARE, -1);
        c.number = f->w.p->capacity.spare_hosts - 1;
        if (!f->spare_tried)
            way_try(f, &c, 1, NULL);
        f->spare_tried = true;
        return;
    case R_HOST_NOT_UP:
    case R_AVOIDED:
    case R_NOT_IN_TO:
        return; /* try_words */
    default:
        if (str_has_prefix(why->what ? why->what : "", "rule "))
            try_rule(f, why, host);
        else if (why->cure)
            way_try(f, &c, 1, why->cure);
    }
}

/* Each kind of reason on LIM_WAYS_HOSTS hosts, the nearest first; room of two kinds may miss at once. */
static void try_hosts(struct finder *f, const struct plan_stay *st)
{
    int tried[R_COUNT_] = {0};
    for (size_t i = 0; i < st->n_reasons; i++) {
        const struct reason *why = &st->reasons[i];
        bool room = why->code == R_MEMORY || why->code == R_VCPU;
        if (!why->host || (why->more && !room))
            continue;
        if (++tried[why->code] > (room ? LIM_WAYS_HOSTS / 2 : LIM_WAYS_HOSTS)) {
            f->ret->cut = true;
            continue;
        }
        int host = way_host(f, why->host);
        if (host >= 0)
            try_host(f, why, host);
    }
}

/* ---- the VM itself ---------------------------------------------------------------------------------------- */

/* A host's own agent or libvirt, a rule that holds the VM, or something about the VM. */
static bool vm_change(const struct finder *f, const struct reason *why, struct change *ret)
{
    *ret = change_of(f, CHANGE_VM, -1);
    ret->code = why->code;
    if (why->code == R_UNREACHABLE_SOURCE || why->code == R_LIBVIRT_DOWN) {
        ret->kind = CHANGE_HOST;
        ret->host = f->s->vms[f->vm].host;
        return true;
    }
    for (size_t i = 0; i < f->r->n_refusals; i++) {
        const struct plan_refusal *x = &f->r->refusals[i];
        if (x->vm == f->vm && x->host < 0 && x->why->code == why->code) {
            ret->kind = CHANGE_FORGET;
            return true;
        }
    }
    if (why->code == R_EXCLUDED || why->code == R_MAINTENANCE_ONLY) {
        ret->kind = CHANGE_OUT;
        ret->rule = rule_by_name(f, why);
        return ret->rule >= 0;
    }
    return true;
}

static void try_itself(struct finder *f, const struct plan_stay *st)
{
    struct change list[WAY_CHANGES];
    char *cure = NULL;
    bool known = st->n_reasons <= WAY_CHANGES;
    for (size_t i = 0; i < st->n_reasons && known; i++) {
        const char *text = st->reasons[i].cure;
        known = text && vm_change(f, &st->reasons[i], &list[i]);
        text_join(&cure, "; and ", text ? text : "");
    }
    if (known)
        way_try(f, list, st->n_reasons, cure);
    free(cure);
}

static void try_cold(struct finder *f, const struct plan_stay *st)
{
    struct change c = change_of(f, CHANGE_COLD, -1);
    bool lifted = false;
    for (size_t i = 0; i < st->n_reasons; i++)
        lifted = lifted || plan_cold_lifts(st->reasons[i].code);
    if (lifted && !f->r->allow_cold && plan_counts(f->s, f->vm))
        way_try(f, &c, 1, NULL);
}

void way_find(struct finder *f, const struct plan_stay *st)
{
    f->vm = st->vm;
    f->first = f->n_found;
    f->tries = 0;
    f->spare_tried = false;
    if (!st->n_reasons)
        return;
    if (!st->reasons[0].host) {
        try_itself(f, st);
    } else {
        try_words(f);
        try_hosts(f, st);
        way_find_moves(f, st);
    }
    try_cold(f, st);
}
