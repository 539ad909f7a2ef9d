/* Groups: how many items of one kind a failure domain has, and what that costs. */
#include <assert.h>

#include "lib/base/mem.h"
#include "scheduler/solve/internal.h"

/* A group with few members is a list of domains: searched as fast as a row is looked up, and 20,000
 * groups on 10,000 machines would be 400 MB of rows. Two cache lines. */
enum { LIST_UP_TO = 16 };

/* What a step does to one group: as many of it as the item counts for leave domain a and come to
 * domain b ≠ a (−1: none). */
struct turn {
    int g, times, a, b;
};

/* Violations that come. */
static int price_of_group(const struct solve_state *s, const struct turn *t)
{
    const struct solve_group *x = &s->p->groups[t->g];
    int na = t->a >= 0 ? count_in(s, t->g, t->a) : 0, nb = t->b >= 0 ? count_in(s, t->g, t->b) : 0;
    int used = s->domains_used[t->g];
    int then = used - (t->a >= 0 && na == t->times) + (t->b >= 0 && nb == 0);
    switch ((enum solve_group_kind)x->kind) {
    case GROUP_APART:
        return (t->a >= 0 ? above(na - t->times, x->limit) - above(na, x->limit) : 0) +
               (t->b >= 0 ? above(nb + t->times, x->limit) - above(nb, x->limit) : 0);
    case GROUP_SPREAD:
        return above(x->limit, then) - above(x->limit, used);
    case GROUP_TOGETHER:
        return above(then, 1) - above(used, 1);
    case GROUP_COUNT:
        return 0;
    }
    return 0;
}

/* The same for what groups demand of each other, at one end; by: +1 comes to d, −1 leaves it. */
static int near_end(const struct solve_state *s, const struct turn *t, int d, int by)
{
    int price = 0, g = t->g;
    if (d < 0 || count_in(s, g, d) != (by > 0 ? 0 : t->times))
        return 0; /* the group was there before, and is after */
    for (int k = s->near_start[g]; k < s->near_start[g + 1]; k++) {
        const struct solve_near *x = &s->p->near[s->near_of[k]];
        if (x->a == g)
            price += count_in(s, x->b, d) ? 0 : by;
        else
            price -= count_in(s, x->a, d) ? by : 0;
    }
    return price;
}

static int near_price(const struct solve_state *s, const struct turn *t)
{
    return s->p->n_near ? near_end(s, t, t->a, -1) + near_end(s, t, t->b, 1) : 0;
}

/* Items of the group and fixed ones; twice where they count at home too: cells it may need. */
static int *count_members(const struct problem *p)
{
    int *n = xcalloc((size_t)p->n_groups, sizeof(*n));
    for (int k = p->n_groups ? p->group_start[p->n_items] - 1 : -1; k >= 0; k--)
        n[p->group_of[k]] += p->groups[p->group_of[k]].held ? 2 : 1;
    for (int k = 0; k < p->n_fixed; k++)
        n[p->fixed[k].group]++;
    return n;
}

void group_init(struct solve_state *s)
{
    const struct problem *p = s->p;
    size_t rows = 0, cells = 0, n = (size_t)p->n_groups;
    int *members = count_members(p);
    s->row = xcalloc(n, sizeof(*s->row));
    s->listed = xcalloc(n, sizeof(*s->listed));
    s->domains_used = xcalloc(n, sizeof(*s->domains_used));
    for (int g = 0; g < p->n_groups; g++) {
        s->listed[g] = members[g] <= LIST_UP_TO && n_domains(p, g) > members[g];
        size_t *end = s->listed[g] ? &cells : &rows;
        s->row[g] = *end;
        *end += (size_t)(s->listed[g] ? members[g] : n_domains(p, g));
    }
    s->n_counts = rows;
    s->n_cells = cells;
    s->count = xcalloc(rows, sizeof(*s->count));
    s->cell = xcalloc(cells, sizeof(*s->cell));
    free(members);
}

static void list_add_to(struct solve_state *s, int g, int d, int by)
{
    struct solve_cell *c = find_cell(s, g, d);
    if (!c) {
        assert(by > 0);
        c = &s->cell[s->row[g] + (size_t)s->domains_used[g]++];
        *c = (struct solve_cell){.domain = d};
    }
    c->count += by;
    assert(c->count >= 0);
    if (c->count == 0)
        *c = s->cell[s->row[g] + (size_t)--s->domains_used[g]];
}

void group_add(struct solve_state *s, int g, int d, int by)
{
    if (d < 0)
        return;
    if (s->listed[g]) {
        list_add_to(s, g, d, by);
        return;
    }
    uint16_t *n = &s->count[s->row[g] + (size_t)d];
    assert(*n + by >= 0 && *n + by <= UINT16_MAX);
    s->domains_used[g] += (*n + by > 0) - (*n > 0);
    *n = (uint16_t)(*n + by);
}

int group_times(const struct problem *p, int item, int g)
{
    int n = 0;
    for (int k = p->group_start[item]; k < p->group_start[item + 1]; k++)
        n += p->group_of[k] == g;
    return n;
}

/* The domains between which the item will count otherwise. False: in none. */
static bool group_ends(const struct problem *p, const struct step *q, struct turn *t)
{
    const struct solve_group *x = &p->groups[t->g];
    if (q->partner >= 0 && !x->held && group_times(p, q->partner, t->g) == t->times)
        return false;
    t->a = domain_of(p, x->level, q->from);
    t->b = domain_of(p, x->level, q->to);
    if (x->held) {
        int home = domain_of(p, x->level, p->home[q->item]);
        t->a = t->a == home ? -1 : t->a;
        t->b = t->b == home ? -1 : t->b;
    }
    return t->a != t->b;
}

/* The next group that the step touches, from *k on. */
static bool next_turn(const struct problem *p, const struct step *q, int *k, struct turn *t)
{
    int end = p->n_groups ? p->group_start[q->item + 1] : 0;
    while (*k < end) {
        *t = (struct turn){.g = p->group_of[*k]};
        for (; *k < end && p->group_of[*k] == t->g; ++*k)
            t->times++;
        if (group_ends(p, q, t))
            return true;
    }
    return false;
}

static int first_turn(const struct problem *p, const struct step *q)
{
    return p->n_groups ? p->group_start[q->item] : 0;
}

/* False: something hard becomes worse. */
bool group_price(const struct solve_state *s, const struct step *q, struct solve_score *ret)
{
    const struct problem *p = s->p;
    struct turn t;
    for (int k = first_turn(p, q); next_turn(p, q, &k, &t);) {
        int price = price_of_group(s, &t);
        if (!q->lenient && price > 0 && p->groups[t.g].tier == TIER_HARD)
            return false;
        int near = near_price(s, &t);
        if (!q->lenient && near > 0)
            return false;
        ret->tier[p->groups[t.g].tier] += price * p->groups[t.g].weight;
        ret->tier[TIER_HARD] += near;
    }
    return true;
}

void group_apply(struct solve_state *s, const struct step *q, bool undo)
{
    struct turn t;
    for (int k = first_turn(s->p, q); next_turn(s->p, q, &k, &t);) {
        group_add(s, t.g, undo ? t.b : t.a, -t.times);
        group_add(s, t.g, undo ? t.a : t.b, t.times);
    }
}

void group_worse(const struct solve_state *s, const struct step *q, int *worse, int *near)
{
    struct turn t;
    for (int k = first_turn(s->p, q); next_turn(s->p, q, &k, &t);) {
        worse[t.g] += price_of_group(s, &t);
        *near += near_price(s, &t);
    }
}

bool group_stays_fair(const struct solve_state *s, const struct step *q, const int *worse)
{
    const struct problem *p = s->p;
    struct turn t;
    for (int k = first_turn(p, q); next_turn(p, q, &k, &t);) {
        int kind = p->groups[t.g].kind;
        if (p->groups[t.g].tier == TIER_HARD && (kind == GROUP_APART || kind == GROUP_TOGETHER) &&
            worse[t.g] + price_of_group(s, &t) > 0)
            return false;
    }
    return true;
}
