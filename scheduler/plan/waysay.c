/* Ways out in words and in order. */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/wayfind.h"

static const char *host_name(const struct finder *f, int host)
{
    return f->s->hosts[host].h->name;
}

static enum way_kind kind_of(const struct change *c)
{
    switch ((enum change_kind)c->kind) {
    case CHANGE_TO:
    case CHANGE_AVOID:
        return WAY_OPTION;
    case CHANGE_UP:
        return WAY_RESUME;
    case CHANGE_ENDED:
        return WAY_WAIT;
    case CHANGE_MOVED:
        return WAY_MOVE;
    case CHANGE_ROOM:
        return WAY_ROOM;
    case CHANGE_HOST:
    case CHANGE_VM:
    case CHANGE_FORGET:
        return WAY_CURE;
    case CHANGE_SOFT:
    case CHANGE_NUMBER:
    case CHANGE_ALLOW:
    case CHANGE_OUT:
    case CHANGE_SPARE:
        return WAY_RULE;
    case CHANGE_COLD:
        return WAY_COLD;
    }
    return WAY_CURE;
}

static char *room_text(const struct finder *f, const struct change *c)
{
    cleanup(freep) char *mem = c->bytes ? plan_exact_bytes(c->bytes) : NULL;
    cleanup(freep) char *huge = c->huge_bytes ? plan_exact_bytes(c->huge_bytes) : NULL;
    cleanup(freep) char *cpus =
        c->vcpus ? xasprintf("%lld vCPU%s", (long long)c->vcpus, c->vcpus == 1 ? "" : "s") : NULL;
    if (huge && !mem && !cpus)
        return xasprintf("add %s of huge pages on %s (vm.nr_hugepages)", huge,
                         host_name(f, c->host));
    return xasprintf("free %s%s%s%s%s on %s", mem ? mem : "", mem && cpus ? " and " : "",
                     cpus ? cpus : "", huge ? " and huge pages of " : "", huge ? huge : "",
                     host_name(f, c->host));
}

static char *rule_text(const struct finder *f, const struct change *c, const struct rule *r)
{
    const char *where = r->where ? r->where : "?";
    const char *vm = f->s->vms[c->of].v->name;
    switch (c->kind) {
    case CHANGE_NUMBER:
        return xasprintf("%s of rule %s to %lld (policy %s)",
                         r->kind == RULE_MAX_VMS ? "raise max" : "lower min", r->name,
                         (long long)c->number, where);
    case CHANGE_ALLOW:
        return r->kind == RULE_HOST_REQUIRED ? xasprintf("allow host %s in rule %s (policy %s)",
                                                         host_name(f, c->host), r->name, where)
                                             : xasprintf("take host %s out of rule %s (policy %s)",
                                                         host_name(f, c->host), r->name, where);
    case CHANGE_OUT:
        return xasprintf("take vm/%s out of rule %s (policy %s)", vm, r->name, where);
    default:
        return xasprintf("give rule %s a weight (soft; policy %s)", r->name, where);
    }
}

static char *text_of(const struct finder *f, const struct change *c)
{
    const char *vm = f->s->vms[c->of].v->name;
    char size[FMT_BYTES];
    switch (c->kind) {
    case CHANGE_TO:
        return xasprintf("add --to %s", host_name(f, c->host));
    case CHANGE_AVOID:
        return xasprintf("leave out --avoid %s", host_name(f, c->host));
    case CHANGE_UP:
        return f->s->hosts[c->host].state == HOST_LOST
                   ? xasprintf("bring host %s back", host_name(f, c->host))
                   : xasprintf("drover resume %s", host_name(f, c->host));
    case CHANGE_MOVED:
        return xasprintf("move vm/%s (%s) from %s to %s first", f->s->vms[c->vm].v->name,
                         fmt_bytes(size, c->bytes), host_name(f, c->host), host_name(f, c->to));
    case CHANGE_ROOM:
        return room_text(f, c);
    case CHANGE_SPARE:
        return xasprintf("set capacity.spare_hosts to %lld", (long long)c->number);
    case CHANGE_COLD:
        return xasprintf("--on-blocked cold --allow-shutdown vm/%s", vm);
    default:
        return c->rule >= 0 ? rule_text(f, c, &f->w.p->rules[c->rule]) : xstrdup("?");
    }
}

void way_say(const struct finder *f, struct found *x, const char *cure)
{
    const struct change *c = &x->list[0];
    struct way *y = &x->way;
    shape_done(&way_shape, y);
    shape_init(&way_shape, y);
    y->kind = (int)kind_of(c);
    y->unblocks = 1;
    /* one rule alone is named with its file; of several things the cures tell */
    y->text = cure && (c->rule < 0 || x->n > 1) ? xstrdup(cure) : text_of(f, c);
    if (c->host >= 0)
        *vec_add(&y->hosts, &y->n_hosts) = xstrdup(host_name(f, c->host));
    if (c->rule >= 0) {
        y->rule = xstrdup(f->w.p->rules[c->rule].name);
        y->where = xstrdup(f->w.p->rules[c->rule].where);
    }
    if (c->kind == CHANGE_MOVED) {
        y->vm = xstrdup(f->s->vms[c->vm].v->name);
        y->from = xstrdup(host_name(f, c->host));
        y->to = xstrdup(host_name(f, c->to));
    }
    y->bytes = c->kind == CHANGE_ROOM && !c->bytes ? c->huge_bytes : c->bytes;
    y->vcpus = c->vcpus;
}

/* ---- more than one VM --------------------------------------------------------------------------------- */

/* Those that the same change lets go are planned together: how many go, all or this one. */
static void count_unblocked(struct finder *f, size_t at)
{
    struct found *x = &f->found[at];
    size_t n = f->n_going;
    for (size_t i = 0; i < f->n_found; i++) {
        int vm = f->plan->stays[f->found[i].stay].vm;
        if (str_eq(f->found[i].way.text, x->way.text) && (n == f->n_going || f->going[n - 1] != vm))
            f->going[n++] = vm;
    }
    struct whatif k;
    int64_t work = (int64_t)f->s->n_vms + (int64_t)n * (int64_t)f->s->n_hosts;
    if (n < f->n_going + 2 || !way_affordable(f, work) ||
        !whatif_make(f->x, f->r, x->list, x->n, &k))
        return;
    bool all = whatif_all_go(&k, f->going, n, f->seed);
    whatif_done(&k);
    for (size_t i = 0; i < f->n_found && all; i++)
        if (str_eq(f->found[i].way.text, x->way.text))
            f->found[i].way.unblocks = (int64_t)(n - f->n_going);
}

static void count_all(struct finder *f)
{
    for (size_t i = 0; i < f->n_found; i++) {
        bool seen = f->found[i].n > 1;
        for (size_t k = 0; k < i && !seen; k++)
            seen = str_eq(f->found[k].way.text, f->found[i].way.text);
        if (!seen)
            count_unblocked(f, i);
    }
}

/* ---- order --------------------------------------------------------------------------------------------- */

struct ranked {
    struct way *way;
    int turn; /* the how-manieth of its kind */
    size_t at;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int64_t keys[][2] = {{y->way->unblocks, x->way->unblocks}, {x->turn, y->turn},
                         {x->way->kind, y->way->kind},         {x->way->bytes, y->way->bytes},
                         {x->way->vcpus, y->way->vcpus},       {(int64_t)x->at, (int64_t)y->at}};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (keys[i][0] != keys[i][1])
            return keys[i][0] < keys[i][1] ? -1 : 1;
    return 0;
}

/* Twice: the smallest of each kind has the kind's first turn. */
static void hand_over(struct finder *f, size_t stay, struct plan_stay_ways *ret)
{
    cleanup(freep) struct ranked *list = xcalloc(f->n_found, sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; i < f->n_found; i++)
        if (f->found[i].stay == stay)
            list[n++] = (struct ranked){.way = &f->found[i].way, .at = i};
    for (int pass = 0; pass < 2 && n; pass++) {
        int turn[WAY_KINDS] = {0};
        qsort(list, n, sizeof(*list), by_rank);
        for (size_t i = 0; i < n && !pass; i++)
            list[i].turn = turn[list[i].way->kind]++;
    }
    for (size_t i = 0; i < n; i++)
        *vec_add(&ret->list, &ret->n) = *list[i].way; /* takes */
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b, void *ctx)
{
    const struct snapshot *s = ctx;
    return strcmp(s->hosts[*(const int *)a].h->name, s->hosts[*(const int *)b].h->name);
}

static void begin(struct finder *f, int *planned)
{
    const struct plan *p = f->plan;
    f->s = plan_index_snapshot(f->x);
    for (size_t i = 0; i < f->r->n_vms; i++)
        planned[i] = f->r->vms[i];
    plan_world_init(&f->w, f->x, f->r, planned, f->r->n_vms);
    plan_world_init(&f->now, f->x, f->r, NULL, 0);
    f->going = xcalloc(p->n_moves + p->n_stays + 1, sizeof(*f->going));
    f->asked = xcalloc(f->s->n_vms, sizeof(*f->asked));
    f->by_name = xcalloc(f->s->n_hosts, sizeof(*f->by_name));
    for (size_t i = 0; i < f->r->n_vms; i++) {
        f->asked[f->r->vms[i]] = true;
        f->w.f.leaving[f->r->vms[i]] = true;
    }
    for (size_t i = 0; i < p->n_moves; i++) { /* of one VM, the last counts */
        int vm = p->moves[i].vm;
        bool again = f->w.f.to[vm] >= 0;
        if (again)
            plan_world_take(&f->w, vm);
        else if (f->asked[vm]) /* others only make room, which is planned anew */
            f->going[f->n_going++] = vm;
        plan_world_put(&f->w, vm, p->moves[i].to);
    }
    for (size_t h = 0; h < f->s->n_hosts; h++)
        f->by_name[h] = (int)h;
    if (f->s->n_hosts > 1)
        qsort_r(f->by_name, f->s->n_hosts, sizeof(*f->by_name), by_name, (void *)(uintptr_t)f->s);
}

static void find_all(struct finder *f)
{
    size_t looked = 0;
    for (int counts = 1; counts >= 0; counts--) /* those that keep the host from being emptied */
        for (f->stay = 0; f->stay < f->plan->n_stays; f->stay++) {
            const struct plan_stay *st = &f->plan->stays[f->stay];
            if (plan_counts(f->s, st->vm) != (counts == 1))
                continue;
            if (looked++ < LIM_WAYS_STAYS)
                way_find(f, st);
            else
                f->ret->cut = true;
        }
    count_all(f);
    for (size_t i = 0; i < f->plan->n_stays; i++)
        hand_over(f, i, &f->ret->of[i]);
}

void plan_ways_find(const struct plan_index *x, const struct plan_request *r,
                    const struct plan *plan, uint64_t seed, struct plan_ways *ret)
{
    *ret = (struct plan_ways){.n = plan->n_stays};
    if (!plan->n_stays)
        return;
    ret->of = xcalloc(plan->n_stays, sizeof(*ret->of));
    if (r->goal != GOAL_LEAVE)
        return;
    struct finder f = {
        .x = x, .r = r, .plan = plan, .seed = seed, .work = LIM_WAYS_WORK, .ret = ret};
    cleanup(freep) int *planned = xcalloc(r->n_vms, sizeof(*planned));
    begin(&f, planned);
    find_all(&f);
    if (!r->make_room) /* they count on the others staying where they are */
        plan_shortages(x, r, r->vms, r->n_vms, ret);
    plan_world_done(&f.w);
    plan_world_done(&f.now);
    free(f.found);
    free(f.going);
    free(f.asked);
    free(f.by_name);
}

void plan_ways_done(struct plan_ways *w)
{
    for (size_t i = 0; i < w->n; i++) {
        for (size_t k = 0; k < w->of[i].n; k++)
            shape_done(&way_shape, &w->of[i].list[k]);
        free(w->of[i].list);
    }
    free(w->of);
    for (size_t i = 0; i < w->n_shortages; i++)
        shape_done(&shortage_shape, &w->shortages[i]);
    free(w->shortages);
    *w = (struct plan_ways){0};
}
