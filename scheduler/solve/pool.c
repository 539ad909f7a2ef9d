/* Pools: rooms of machines first, machine by machine; then those of hard groups. A group of
 * GROUP_APART has one pool per domain. One of GROUP_SPREAD has a pool of domains it could do without,
 * and per domain a count that nobody waits for. */
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/internal.h"
#include "scheduler/solve/pool.h"

static bool has_pools(const struct solve_group *x)
{
    return x->tier == TIER_HARD && (x->kind == GROUP_APART || x->kind == GROUP_SPREAD);
}

static void count_at(struct pools *w, int g, int d, int n)
{
    const struct solve_group *x = &w->p->groups[g];
    if (d < 0 || !has_pools(x))
        return;
    if (x->kind == GROUP_APART) {
        w->room[w->row[g] + (size_t)d] -= n;
        return;
    }
    int64_t *there = &w->room[w->row[g] + 1 + (size_t)d];
    w->room[w->row[g]] += *there == 0 && n > 0;
    *there += n;
}

static void init_groups(struct pools *w)
{
    const struct problem *p = w->p;
    for (int g = 0; g < p->n_groups; g++) {
        const struct solve_group *x = &p->groups[g];
        if (x->kind == GROUP_SPREAD && has_pools(x))
            w->room[w->row[g]] = -x->limit;
        for (int d = 0; x->kind == GROUP_APART && has_pools(x) && d < n_domains(p, g); d++)
            w->room[w->row[g] + (size_t)d] = x->limit;
    }
    for (int k = 0; k < p->n_fixed; k++) {
        int g = p->fixed[k].group;
        count_at(w, g, domain_of(p, p->groups[g].level, p->fixed[k].machine), p->fixed[k].count);
    }
    for (int i = 0; i < p->n_items; i++)
        for (int k = has_groups(p, i) ? p->group_start[i] : 0;
             has_groups(p, i) && k < p->group_start[i + 1]; k++)
            count_at(w, p->group_of[k], domain_of(p, p->groups[p->group_of[k]].level, p->home[i]),
                     1);
    for (int g = 0; g < p->n_groups; g++)
        if (p->groups[g].kind == GROUP_SPREAD && has_pools(&p->groups[g]) && w->room[w->row[g]] < 0)
            w->room[w->row[g]] = 0; /* it never had them all: then no fewer than it had */
}

void pools_init(struct pools *w, const struct problem *p, bool twice)
{
    size_t rooms = (size_t)p->n_machines * (size_t)p->n_res, most = 0;
    *w = (struct pools){.p = p, .twice = twice, .n = rooms};
    w->row = xcalloc((size_t)p->n_groups + 1, sizeof(*w->row));
    for (int g = 0; g < p->n_groups; g++) {
        w->row[g] = w->n;
        if (has_pools(&p->groups[g]))
            w->n += (size_t)n_domains(p, g) + (p->groups[g].kind == GROUP_SPREAD);
    }
    w->room = xcalloc(w->n, sizeof(*w->room));
    for (size_t k = 0; k < rooms; k++)
        w->room[k] = p->cap[k] - (p->base ? p->base[k] : 0);
    for (int i = 0; i < p->n_items; i++) {
        const int64_t *size = solve_size(p, i, home_variant(p, i));
        for (int r = 0; p->home[i] >= 0 && r < p->n_res; r++)
            w->room[(size_t)p->home[i] * (size_t)p->n_res + (size_t)r] -= size[r];
        size_t groups = has_groups(p, i) ? (size_t)(p->group_start[i + 1] - p->group_start[i]) : 0;
        most = groups > most ? groups : most;
    }
    init_groups(w);
    w->need = xcalloc(2 * (size_t)p->n_res + 3 * most, sizeof(*w->need));
}

void pools_done(struct pools *w)
{
    free(w->room);
    free(w->row);
    free(w->need);
    *w = (struct pools){0};
}

static void need_add(struct pools *w, size_t pool, int64_t take, int64_t give)
{
    if (take || give)
        w->need[w->n_need++] = (struct need){.pool = pool, .take = take, .give = give};
}

static void ask_rooms(struct pools *w, const struct solve_step *q, uint8_t v)
{
    const struct problem *p = w->p;
    const int64_t *old = solve_size(p, q->item, v), *new = solve_size(p, q->item, q->variant);
    for (int r = 0; r < p->n_res; r++) {
        size_t from = (size_t)q->from * (size_t)p->n_res + (size_t)r;
        size_t to = (size_t)q->to * (size_t)p->n_res + (size_t)r;
        if (q->from == q->to && !w->twice) {
            int64_t more = new[r] - old[r];
            need_add(w, to, more > 0 ? more : 0, more < 0 ? -more : 0);
            continue;
        }
        need_add(w, to, new[r], q->from == q->to ? old[r] : 0);
        if (q->from >= 0 && q->from != q->to &&
            !(q->from == p->home[q->item] && p->held_res >> r & 1))
            need_add(w, from, 0, old[r]);
    }
}

/* n: how often the group counts the item. */
static void ask_spread(struct pools *w, int g, int n, int a, int b)
{
    const int64_t *count = &w->room[w->row[g] + 1];
    int by = (b >= 0 && count[b] == 0) - (a >= 0 && count[a] == n);
    w->need[w->n_need++] = (struct need){
        .pool = w->row[g], .take = by < 0 ? -by : 0, .give = by > 0 ? by : 0, .chain = true};
    if (a >= 0)
        need_add(w, w->row[g] + 1 + (size_t)a, 0, -n);
    if (b >= 0)
        need_add(w, w->row[g] + 1 + (size_t)b, 0, n);
}

static void ask_group(struct pools *w, const struct solve_step *q, int g, int n)
{
    const struct problem *p = w->p;
    const struct solve_group *x = &p->groups[g];
    int a = domain_of(p, x->level, q->from), b = domain_of(p, x->level, q->to);
    if (!has_pools(x) || a == b)
        return;
    if (x->kind == GROUP_SPREAD) {
        ask_spread(w, g, n, a, b);
        return;
    }
    int home = x->held ? domain_of(p, x->level, p->home[q->item]) : -1;
    if (b >= 0 && b != home)
        need_add(w, w->row[g] + (size_t)b, n, 0);
    if (a >= 0 && a != home)
        need_add(w, w->row[g] + (size_t)a, 0, n);
}

static void ask_groups(struct pools *w, const struct solve_step *q)
{
    const int *of = w->p->group_of;
    int start = w->p->group_start[q->item], end = w->p->group_start[q->item + 1];
    for (int k = start; k < end; k++) {
        int before = 0, n = 0;
        for (int j = start; j < end; j++) {
            before += j < k && of[j] == of[k];
            n += of[j] == of[k];
        }
        if (!before) /* else it was asked where it comes first */
            ask_group(w, q, of[k], n);
    }
}

bool pools_ask(struct pools *w, const struct solve_step *q, uint8_t v)
{
    w->n_need = 0;
    ask_rooms(w, q, v);
    if (has_groups(w->p, q->item))
        ask_groups(w, q);
    for (int k = 0; k < w->n_need; k++)
        if (w->need[k].take > 0 && w->need[k].take > w->room[w->need[k].pool])
            return false;
    return true;
}

void pools_make(struct pools *w)
{
    for (int k = 0; k < w->n_need; k++)
        w->room[w->need[k].pool] += w->need[k].give - w->need[k].take;
}
