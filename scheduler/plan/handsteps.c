/* Steps of items as moves of VMs: asked of the filters, given their waits, and explained. */
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/handon.h"

static size_t next_of(const struct handon *h, int item, size_t i)
{
    while (i < h->n && h->t.item_of[i] != item)
        i++;
    return i;
}

int64_t handon_moves(const struct handon *h, bool others)
{
    int64_t n = 0;
    for (int k = 0; k < h->o.n_steps; k++)
        for (size_t i = next_of(h, h->o.steps[k].item, 0); i < h->n;
             i = next_of(h, h->o.steps[k].item, i + 1))
            n += !others || i >= h->n_asked;
    return n;
}

/* ---- the filters' word ---------------------------------------------------------------------------- */

/* From one host to another, as if the move had ended. */
static void go(struct plan_world *w, int vm, int to)
{
    struct plan_load need = plan_need(w->s->vms[vm].v);
    int from = w->f.at[vm];
    plan_world_put(w, vm, to);
    if (plan_counts(w->s, vm)) {
        w->load[from].mem_bytes -= need.mem_bytes;
        w->load[from].vcpus -= need.vcpus;
        w->load[from].huge_bytes -= need.huge_bytes;
    }
    w->f.at[vm] = to;
    w->f.to[vm] = -1;
}

static void take_step(struct handon *h, const struct solve_step *q, bool back)
{
    for (size_t i = next_of(h, q->item, 0); i < h->n; i = next_of(h, q->item, i + 1))
        go(&h->w, h->list[i].vm, back ? q->from : q->to);
}

static bool may_step(const struct handon *h, const struct solve_step *q, int filters)
{
    for (size_t i = next_of(h, q->item, 0); i < h->n; i = next_of(h, q->item, i + 1)) {
        struct plan_ask a = {.vm = h->list[i].vm, .host = q->to, .cold = h->list[i].cold};
        if (!plan_filter(&h->w, &a, filters, NULL))
            return false;
    }
    return true;
}

/* Where everything is in the end: with nothing on its way, groups are together. */
static bool ends_well(struct handon *h, int *ret_step)
{
    bool ok = true;
    for (size_t i = 0; i < h->n; i++)
        h->w.f.leaving[h->list[i].vm] = false;
    for (int k = 0; k < h->o.n_steps && ok; k++) {
        const struct solve_step *q = &h->o.steps[k];
        *ret_step = k;
        bool last = h->w.f.at[h->list[next_of(h, q->item, 0)].vm] == q->to;
        ok = !last || may_step(h, q, PF_COMPANY);
    }
    for (size_t i = 0; i < h->n; i++)
        h->w.f.leaving[h->list[i].vm] = true;
    return ok;
}

bool handon_replay(struct handon *h, int *ret_step)
{
    int k = 0;
    while (k < h->o.n_steps && may_step(h, &h->o.steps[k], PF_STATIC | PF_DYNAMIC))
        take_step(h, &h->o.steps[k++], false);
    *ret_step = k;
    bool ok = k == h->o.n_steps && ends_well(h, ret_step);
    while (k > 0)
        take_step(h, &h->o.steps[--k], true);
    return ok;
}

/* ---- moves ------------------------------------------------------------------------------------------ */

/* A rule counts racks or zones, and some host does not say in which it is: what the steps wait for does
 * not know that host, the replay one by one does. */
static bool is_unclear(const struct handon *h)
{
    const struct policy *p = h->w.p;
    bool any = false;
    for (size_t r = 0; r < p->n_rules; r++)
        for (size_t m = 0; m < h->w.s->n_hosts && p->rules[r].hard; m++) {
            const struct host *x = h->w.s->hosts[m].h;
            any = any || (p->rules[r].across == ACROSS_RACK && !x->rack) ||
                  (p->rules[r].across == ACROSS_ZONE && !x->zone);
        }
    return any;
}

/* first[k]: the first move of step k; first[k + 1]: behind its last. */
static void add_waits(const struct handon *h, int k, const size_t *first, bool in_turn,
                      struct plan_move *m)
{
    int from = in_turn ? k - 1 : h->o.after_start[k], end = in_turn ? k : h->o.after_start[k + 1];
    for (int i = from < 0 ? 0 : from; i < end; i++) {
        int step = in_turn ? i : h->o.after_of[i];
        for (size_t x = first[step]; x < first[step + 1]; x++)
            *vec_add(&m->after, &m->n_after) = (int)x;
    }
}

static void add_moves(struct handon *h)
{
    struct plan *p = h->k->plan;
    const struct snapshot *s = h->w.s;
    cleanup(freep) size_t *first = xcalloc((size_t)h->o.n_steps + 1, sizeof(*first));
    bool in_turn = is_unclear(h);
    for (int k = 0; k < h->o.n_steps; k++) {
        const struct solve_step *q = &h->o.steps[k];
        for (size_t i = next_of(h, q->item, 0); i < h->n; i = next_of(h, q->item, i + 1)) {
            struct plan_move *m = vec_add(&p->moves, &p->n_moves);
            *m = (struct plan_move){.vm = h->list[i].vm, .from = q->from, .to = q->to};
            m->live = !h->list[i].cold && s->vms[m->vm].v->state != VM_SHUTOFF;
            add_waits(h, k, first, in_turn, m);
        }
        first[k + 1] = p->n_moves;
    }
}

/* ---- words ------------------------------------------------------------------------------------------ */

static const struct plan_move *next_move(const struct plan *p, size_t i)
{
    for (size_t k = i + 1; k < p->n_moves; k++)
        if (p->moves[k].vm == p->moves[i].vm)
            return &p->moves[k];
    return NULL;
}

static bool moved_before(const struct plan *p, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (p->moves[k].vm == p->moves[i].vm)
            return true;
    return false;
}

/* The first move that waits for this one. */
static const struct plan_move *waiter(const struct plan *p, size_t i)
{
    for (size_t k = i + 1; k < p->n_moves; k++)
        for (size_t a = 0; a < p->moves[k].n_after; a++)
            if (p->moves[k].after[a] == (int)i && p->moves[k].vm != p->moves[i].vm)
                return &p->moves[k];
    return NULL;
}

/* The first that leaves where this one goes. */
static const struct plan_move *giver(const struct plan *p, size_t i)
{
    for (size_t a = 0; a < p->moves[i].n_after; a++) {
        const struct plan_move *x = &p->moves[p->moves[i].after[a]];
        if (x->from == p->moves[i].to)
            return x;
    }
    return NULL;
}

static char *why(const struct handon *h, size_t i)
{
    const struct plan *p = h->k->plan;
    const struct plan_move *m = &p->moves[i], *next = next_move(p, i), *gives = giver(p, i);
    const struct plan_move *waits = waiter(p, i);
    const struct snapshot *s = h->w.s;
    char free_bytes[FMT_BYTES];
    if (next)
        return xasprintf("parked there until %s has room for it: it moves twice",
                         s->hosts[next->to].h->name);
    if (moved_before(p, i))
        return xasprintf("goes on from where it was parked%s%s",
                         gives ? ", into the room that is given up by vm/" : "",
                         gives ? s->vms[gives->vm].v->name : "");
    if (gives)
        return xasprintf("into the room that vm/%s gives up", s->vms[gives->vm].v->name);
    if (waits)
        return xasprintf("makes room on %s for vm/%s", s->hosts[m->from].h->name,
                         s->vms[waits->vm].v->name);
    int64_t left = plan_mem_capacity(&h->k->w, m->to) - h->k->w.end_bytes[m->to];
    return xasprintf("has room: %s free after the plan",
                     fmt_bytes(free_bytes, left > 0 ? left : 0));
}

static void explain(struct handon *h)
{
    struct plan *p = h->k->plan;
    for (size_t i = 0; i < p->n_moves; i++) {
        char *words = why(h, i);
        if (h->k->r->goal != GOAL_LEAVE && !p->moves[i].n_after && !next_move(p, i)) {
            free(words);
            words = plan_balance_why(h->k, p->moves[i].vm, p->moves[i].to);
        }
        p->moves[i].why = words;
        plan_why_failed(&h->k->w, &p->moves[i]);
    }
}

/* ---- the plan ----------------------------------------------------------------------------------------- */

static void drop_stays(struct plan *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->n_stays; i++) {
        bool moves = false;
        for (size_t k = 0; k < p->n_moves && !moves; k++)
            moves = p->moves[k].vm == p->stays[i].vm;
        if (moves)
            plan_stay_done(&p->stays[i]);
        else
            p->stays[kept++] = p->stays[i];
    }
    p->n_stays = kept;
}

void handon_write(struct handon *h)
{
    struct plan *p = h->k->plan;
    struct plan_world *w = &h->k->w;
    making_take_back(h->k);
    plan_moves_done(p);
    add_moves(h);
    for (size_t i = p->n_moves; i-- > 0;) /* the last first: where each ends */
        if (w->f.to[p->moves[i].vm] < 0)
            plan_world_put(w, p->moves[i].vm, p->moves[i].to);
    drop_stays(p);
    if (h->k->r->goal != GOAL_LEAVE)
        plan_measure(w, &h->score, &p->after);
    explain(h);
}
