/* Groups: how many items of one kind a failure domain has, and what that costs. */
#include <assert.h>

#include "scheduler/solve/internal.h"

/* An item of the group leaves domain a and comes to domain b ≠ a (−1: none): violations that come. */
static int price_of_group(const struct solve_state *s, int g, int a, int b)
{
    const struct solve_group *x = &s->p->groups[g];
    int na = a >= 0 ? count_in(s, g, a) : 0, nb = b >= 0 ? count_in(s, g, b) : 0;
    int used = s->domains_used[g], then = used - (a >= 0 && na == 1) + (b >= 0 && nb == 0);
    switch ((enum solve_group_kind)x->kind) {
    case GROUP_APART:
        return (a >= 0 ? above(na - 1, x->limit) - above(na, x->limit) : 0) +
               (b >= 0 ? above(nb + 1, x->limit) - above(nb, x->limit) : 0);
    case GROUP_SPREAD:
        return above(x->limit, then) - above(x->limit, used);
    case GROUP_TOGETHER:
        return above(then, 1) - above(used, 1);
    case GROUP_COUNT:
        return 0;
    }
    return 0;
}

/* The same for what groups demand of each other; by: +1 comes to d, −1 leaves it. */
static int near_price(const struct solve_state *s, int g, int d, int by)
{
    int price = 0;
    if (d < 0 || count_in(s, g, d) != (by > 0 ? 0 : 1))
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

void group_add(struct solve_state *s, int g, int d, int by)
{
    if (d < 0)
        return;
    uint16_t *n = &s->count[s->row[g] + (size_t)d];
    assert(by > 0 ? *n < UINT16_MAX : *n > 0);
    *n = (uint16_t)(*n + by);
    s->domains_used[g] += by > 0 ? *n == 1 : -(*n == 0);
}

static bool shares(const struct problem *p, int item, int g)
{
    for (int k = p->group_start[item]; k < p->group_start[item + 1]; k++)
        if (p->group_of[k] == g)
            return true;
    return false;
}

/* The domains between which the item will count otherwise. False: in none. */
static bool group_ends(const struct problem *p, const struct step *q, int g, int *ret_a, int *ret_b)
{
    const struct solve_group *x = &p->groups[g];
    if (q->partner >= 0 && !x->held && shares(p, q->partner, g))
        return false;
    int a = domain_of(p, x->level, q->from), b = domain_of(p, x->level, q->to);
    if (x->held) {
        int home = domain_of(p, x->level, p->home[q->item]);
        a = a == home ? -1 : a;
        b = b == home ? -1 : b;
    }
    *ret_a = a;
    *ret_b = b;
    return a != b;
}

/* False: something hard becomes worse. */
bool group_price(const struct solve_state *s, const struct step *q, struct solve_score *ret)
{
    const struct problem *p = s->p;
    if (!has_groups(p, q->item))
        return true;
    for (int k = p->group_start[q->item]; k < p->group_start[q->item + 1]; k++) {
        int g = p->group_of[k], a, b;
        if (!group_ends(p, q, g, &a, &b))
            continue;
        int price = price_of_group(s, g, a, b);
        int near = near_price(s, g, a, -1) + near_price(s, g, b, 1);
        if (!q->lenient && ((price > 0 && p->groups[g].tier == TIER_HARD) || near > 0))
            return false;
        ret->tier[p->groups[g].tier] += price * p->groups[g].weight;
        ret->tier[TIER_HARD] += near;
    }
    return true;
}

void group_apply(struct solve_state *s, const struct step *q, bool undo)
{
    const struct problem *p = s->p;
    if (!has_groups(p, q->item))
        return;
    for (int k = p->group_start[q->item]; k < p->group_start[q->item + 1]; k++) {
        int g = p->group_of[k], a, b;
        if (!group_ends(p, q, g, &a, &b))
            continue;
        group_add(s, g, undo ? b : a, -1);
        group_add(s, g, undo ? a : b, 1);
    }
}

void group_worse(const struct solve_state *s, const struct step *q, int *worse, int *near)
{
    const struct problem *p = s->p;
    for (int k = has_groups(p, q->item) ? p->group_start[q->item] : 0;
         has_groups(p, q->item) && k < p->group_start[q->item + 1]; k++) {
        int g = p->group_of[k], a, b;
        if (!group_ends(p, q, g, &a, &b))
            continue;
        worse[g] += price_of_group(s, g, a, b);
        *near += near_price(s, g, a, -1) + near_price(s, g, b, 1);
    }
}

bool group_stays_fair(const struct solve_state *s, const struct step *q, const int *worse)
{
    const struct problem *p = s->p;
    for (int k = has_groups(p, q->item) ? p->group_start[q->item] : 0;
         has_groups(p, q->item) && k < p->group_start[q->item + 1]; k++) {
        int g = p->group_of[k], a, b, kind = p->groups[g].kind;
        if (p->groups[g].tier == TIER_HARD && (kind == GROUP_APART || kind == GROUP_TOGETHER) &&
            group_ends(p, q, g, &a, &b) && worse[g] + price_of_group(s, g, a, b) > 0)
            return false;
    }
    return true;
}
