/* A state from its beginning: everything at home; copies; the score summed anew. */
#include <assert.h>
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/internal.h"

static void init_groups(struct solve_state *s)
{
    const struct problem *p = s->p;
    size_t n = (size_t)p->n_groups;
    group_init(s);
    s->near_start = xcalloc(n + 2, sizeof(*s->near_start));
    s->near_of = xcalloc(2 * (size_t)p->n_near, sizeof(*s->near_of));
    int *fill = s->near_start + 1; /* becomes start[] once every slot is filled */
    for (int k = 0; k < p->n_near; k++) {
        assert(p->near[k].a != p->near[k].b);
        fill[p->near[k].a + 1]++;
        fill[p->near[k].b + 1]++;
    }
    for (int g = 0; g < p->n_groups; g++)
        fill[g + 1] += fill[g];
    for (int k = 0; k < p->n_near; k++) {
        s->near_of[fill[p->near[k].a]++] = k;
        s->near_of[fill[p->near[k].b]++] = k;
    }
    for (int k = 0; k < p->n_fixed; k++)
        for (int i = 0; i < p->fixed[k].count; i++)
            group_add(s, p->fixed[k].group,
                      domain_of(p, p->groups[p->fixed[k].group].level, p->fixed[k].machine), 1);
}

/* Put an item at home, before anything is priced. */
static void init_item(struct solve_state *s, int item)
{
    const struct problem *p = s->p;
    int m = p->home[item];
    s->at[item] = m;
    s->variant[item] = home_variant(p, item);
    s->next[item] = s->prev[item] = -1;
    if (m < 0)
        return;
    const int64_t *size = solve_size(p, item, s->variant[item]);
    for (int r = 0; r < p->n_res; r++)
        s->load[(size_t)m * (size_t)p->n_res + (size_t)r] += size[r];
    list_add(s, item, m);
    for (int k = has_groups(p, item) ? p->group_start[item] : 0;
         has_groups(p, item) && k < p->group_start[item + 1]; k++)
        group_add(s, p->group_of[k], domain_of(p, p->groups[p->group_of[k]].level, m), 1);
}

static void init_spread(struct solve_state *s)
{
    const struct problem *p = s->p;
    bool any = false;
    for (int k = 0; k < p->n_terms; k++)
        any = any || p->terms[k].kind == TERM_SPREAD;
    if (!any)
        return;
    s->sum = xcalloc((size_t)p->n_terms, sizeof(*s->sum));
    s->sum2 = xcalloc((size_t)p->n_terms, sizeof(*s->sum2));
    s->spread = xcalloc((size_t)p->n_terms, sizeof(*s->spread));
    for (int k = 0; k < p->n_terms; k++) {
        const struct solve_term *x = &p->terms[k];
        for (int m = 0; x->kind == TERM_SPREAD && m < p->n_machines; m++) {
            int64_t u =
                price_units(s->load[(size_t)m * (size_t)p->n_res + (size_t)x->res], x->level[m]);
            s->sum[k] += u;
            s->sum2[k] += u * u;
        }
        if (x->kind == TERM_SPREAD)
            s->spread[k] = price_spread(p, x, s->sum[k], s->sum2[k]);
    }
}

void solve_init(struct solve_state *s, const struct problem *p)
{
    size_t items = (size_t)p->n_items, machines = (size_t)p->n_machines, n_res = (size_t)p->n_res;
    assert(p->n_res <= SOLVE_MAX_RES && p->n_variants >= 1);
    *s = (struct solve_state){
        .p = p,
        .at = xcalloc(items, sizeof(*s->at)),
        .variant = xcalloc(items, sizeof(*s->variant)),
        .next = xcalloc(items, sizeof(*s->next)),
        .prev = xcalloc(items, sizeof(*s->prev)),
        .first = xcalloc(machines, sizeof(*s->first)),
        .load = xcalloc(machines * n_res, sizeof(*s->load)),
        .held = xcalloc(machines * n_res, sizeof(*s->held)),
        .room = xcalloc(machines * n_res, sizeof(*s->room)),
        .prices = price_table_new(p),
        .staying = xcalloc(n_res, sizeof(*s->staying)),
        .toll_of = xcalloc(machines, sizeof(*s->toll_of)),
        .machine = xcalloc(machines, sizeof(*s->machine)),
    };
    for (int m = 0; m < p->n_machines; m++)
        s->first[m] = -1;
    if (p->base)
        memcpy(s->load, p->base, machines * n_res * sizeof(*s->load));
    init_groups(s);
    for (int i = p->n_items - 1; i >= 0; i--)
        init_item(s, i);
    if (p->batch) {
        s->batch_moved = xcalloc((size_t)p->n_batches, sizeof(*s->batch_moved));
        s->batch_hist = xcalloc(items + 2, sizeof(*s->batch_hist));
        s->batch_hist[0] = p->n_batches;
    }
    for (size_t r = 0; r < n_res; r++)
        s->staying[r] = p->held_res >> r & 1 ? 0 : -1;
    for (size_t k = 0; k < machines * n_res; k++)
        s->room[k] = p->cap[k] - s->load[k];
    for (int m = 0; m < p->n_machines; m++)
        s->machine[m] =
            price_machine(s, m, &s->load[(size_t)m * n_res], &s->room[(size_t)m * n_res]);
    init_spread(s);
    s->score = solve_score_whole(s);
}

void solve_done(struct solve_state *s)
{
    free(s->at);
    free(s->variant);
    free(s->next);
    free(s->prev);
    free(s->first);
    free(s->load);
    free(s->held);
    free(s->room);
    free(s->machine);
    free(s->count);
    free(s->cell);
    free(s->row);
    free(s->listed);
    free(s->domains_used);
    free(s->near_start);
    free(s->near_of);
    free(s->batch_moved);
    free(s->batch_hist);
    free(s->sum);
    free(s->sum2);
    free(s->spread);
    price_table_free(s->prices);
    free(s->staying);
    free(s->toll_of);
    *s = (struct solve_state){0};
}

static void copy(void *dst, const void *src, size_t n, size_t size)
{
    if (src && n)
        memcpy(dst, src, n * size);
}

void solve_copy(struct solve_state *dst, const struct solve_state *src)
{
    const struct problem *p = src->p;
    size_t items = (size_t)p->n_items, machines = (size_t)p->n_machines;
    size_t loads = machines * (size_t)p->n_res, terms = (size_t)p->n_terms;
    assert(dst->p == p);
    copy(dst->at, src->at, items, sizeof(*src->at));
    copy(dst->variant, src->variant, items, sizeof(*src->variant));
    copy(dst->next, src->next, items, sizeof(*src->next));
    copy(dst->prev, src->prev, items, sizeof(*src->prev));
    copy(dst->first, src->first, machines, sizeof(*src->first));
    copy(dst->load, src->load, loads, sizeof(*src->load));
    copy(dst->held, src->held, loads, sizeof(*src->held));
    copy(dst->room, src->room, loads, sizeof(*src->room));
    copy(dst->machine, src->machine, machines, sizeof(*src->machine));
    copy(dst->count, src->count, src->n_counts, sizeof(*src->count));
    copy(dst->cell, src->cell, src->n_cells, sizeof(*src->cell));
    copy(dst->domains_used, src->domains_used, (size_t)p->n_groups, sizeof(*src->domains_used));
    copy(dst->batch_moved, src->batch_moved, (size_t)p->n_batches, sizeof(*src->batch_moved));
    copy(dst->batch_hist, src->batch_hist, items + 2, sizeof(*src->batch_hist));
    copy(dst->sum, src->sum, terms, sizeof(*src->sum));
    copy(dst->sum2, src->sum2, terms, sizeof(*src->sum2));
    copy(dst->spread, src->spread, terms, sizeof(*src->spread));
    dst->batch_most = src->batch_most;
    dst->n_moved = src->n_moved;
    dst->score = src->score;
}

int group_violations(const struct solve_state *s, int g)
{
    const struct solve_group *x = &s->p->groups[g];
    int over = 0, used = s->domains_used[g];
    for (int k = 0; k < (s->listed[g] ? used : n_domains(s->p, g)); k++)
        over += above(s->listed[g] ? s->cell[s->row[g] + (size_t)k].count : count_in(s, g, k),
                      x->limit);
    return x->kind == GROUP_APART      ? over
           : x->kind == GROUP_SPREAD   ? above(x->limit, used)
           : x->kind == GROUP_TOGETHER ? above(used, 1)
                                       : 0;
}

struct solve_score solve_score_whole(const struct solve_state *s)
{
    const struct problem *p = s->p;
    struct solve_score c = {0};
    for (int m = 0; m < p->n_machines; m++) {
        size_t at = (size_t)m * (size_t)p->n_res;
        struct solve_score x = price_machine(s, m, &s->load[at], &s->room[at]);
        solve_score_add(&c, &x);
    }
    for (int i = 0; i < p->n_items; i++)
        price_item(p, i, s->at[i], s->variant[i], 1, &c);
    for (int g = 0; g < p->n_groups; g++)
        c.tier[p->groups[g].tier] += group_violations(s, g) * p->groups[g].weight;
    for (int k = 0; k < p->n_near; k++)
        for (int d = 0; d < n_domains(p, p->near[k].a); d++)
            c.tier[TIER_HARD] += count_in(s, p->near[k].a, d) > 0 && !count_in(s, p->near[k].b, d);
    for (int k = 0; s->spread && k < p->n_terms; k++)
        c.tier[p->terms[k].tier] += s->spread[k];
    c.tier[TIER_COST] += p->batch_weight * s->batch_most;
    return c;
}
