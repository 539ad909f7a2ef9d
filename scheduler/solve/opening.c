/* Which items must leave a machine, or a failure domain, for another to come. */
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/opening.h"

enum { LEAVERS = 64 }; /* the smallest that may leave a machine */

void seek_list_members(struct seek *k)
{
    const struct problem *p = k->t.s->p;
    if (!p->n_groups)
        return;
    size_t n = (size_t)p->group_start[p->n_items];
    k->member_start = xcalloc((size_t)p->n_groups + 2, sizeof(*k->member_start));
    k->member = xcalloc(n, sizeof(*k->member));
    int *fill = k->member_start + 1; /* becomes start[] once every slot is filled */
    for (size_t i = 0; i < n; i++)
        fill[p->group_of[i] + 1]++;
    for (int g = 0; g < p->n_groups; g++)
        fill[g + 1] += fill[g];
    for (int i = 0; i < p->n_items; i++)
        for (int j = p->group_start[i]; j < p->group_start[i + 1]; j++)
            k->member[fill[p->group_of[j]]++] = i;
}

static bool may_leave(const struct seek *k, int item)
{
    return !k->busy[item] && (k->disturb || k->ours[item]);
}

/* ---- one opening ------------------------------------------------------------------------------ */

static void keep_opening(struct openings *l, const struct opening *o)
{
    int i = l->n < OPENINGS ? l->n++ : l->n;
    for (; i > 0 && solve_score_cmp(&o->rank, &l->o[i - 1].rank) < 0; i--)
        if (i < OPENINGS)
            l->o[i] = l->o[i - 1];
    if (i < OPENINGS)
        l->o[i] = *o;
}

/* The item fits there once those of o have left: note it. State as before. */
static void try_opening(struct seek *k, struct openings *l, int item, struct opening *o)
{
    struct solve_state *s = k->t.s;
    const struct problem *p = s->p;
    size_t mark = k->t.n_steps;
    int64_t need = 0, cost = 0;
    struct solve_score d, before = s->score;
    for (int i = 0; i < o->n; i++) {
        int y = o->item[i];
        need += p->need ? p->need[y] : 1;
        cost += p->move_cost && !is_away(p, y, s->at[y], s->variant[y]) ? p->move_cost[y] : 0;
        trail_remove(&k->t, y);
        k->steps++;
    }
    if (trail_try(&k->t, item, o->machine, o->variant, &d)) {
        for (int t = 0; t < SOLVE_TIERS; t++)
            o->rank.tier[t] = s->score.tier[t] + d.tier[t] - before.tier[t];
        o->rank.tier[TIER_HARD] -= need;
        o->rank.tier[TIER_COST] += cost;
        keep_opening(l, o);
    }
    trail_undo(&k->t, mark);
}

/* ---- those of one machine --------------------------------------------------------------------- */

/* What may leave a machine, and what that frees beyond what is lacking. */
struct leavers {
    int n, n_res, item[LEAVERS];
    int64_t bulk[LEAVERS], freed[LEAVERS][SOLVE_MAX_RES];
    int64_t lack[SOLVE_MAX_RES];
};

static bool in_opening(const struct opening *o, int item)
{
    for (int i = 0; i < o->n; i++)
        if (o->item[i] == item)
            return true;
    return false;
}

/* The smallest first; those of o leave anyway. */
static void list_leavers(const struct seek *k, const struct opening *o, struct leavers *w)
{
    const struct solve_state *s = k->t.s;
    w->n = 0;
    for (int i = s->first[o->machine]; i >= 0; i = s->next[i]) {
        if (!may_leave(k, i) || in_opening(o, i))
            continue;
        int64_t bulk = seek_bulk(k, i);
        int at = w->n < LEAVERS ? w->n++ : w->n;
        for (; at > 0 && w->bulk[at - 1] > bulk; at--)
            if (at < LEAVERS) {
                w->item[at] = w->item[at - 1];
                w->bulk[at] = w->bulk[at - 1];
            }
        if (at < LEAVERS) {
            w->item[at] = i;
            w->bulk[at] = bulk;
        }
    }
}

/* What the item's leaving frees; its home may keep its room. */
static int64_t freed(const struct seek *k, int item, int r)
{
    const struct solve_state *s = k->t.s;
    const struct problem *p = s->p;
    int64_t x = solve_size(p, item, s->variant[item])[r];
    if (p->home[item] == s->at[item] && (p->held_res >> r & 1))
        x -= solve_size(p, item, home_variant(p, item))[r];
    return x;
}

static void count_freed(const struct seek *k, int item, const struct opening *o, struct leavers *w)
{
    w->n_res = k->t.s->p->n_res;
    for (int r = 0; r < w->n_res; r++) {
        w->lack[r] =
            trail_adds(&k->t, item, o->machine, o->variant, r) - trail_room(&k->t, o->machine, r);
        for (int i = 0; i < o->n; i++)
            if (k->t.s->at[o->item[i]] == o->machine)
                w->lack[r] -= freed(k, o->item[i], r);
        for (int i = 0; i < w->n; i++)
            w->freed[i][r] = freed(k, w->item[i], r);
    }
}

static bool enough(const struct leavers *w, const int *who, int n)
{
    for (int r = 0; r < w->n_res; r++) {
        int64_t lack = w->lack[r];
        for (int i = 0; i < n; i++)
            lack -= w->freed[who[i]][r];
        if (lack > 0)
            return false;
    }
    return true;
}

/* The smallest one, pair, and so on, whose leaving makes room. Pairs are looked at all, of more only
 * those that lie side by side in size. */
static int smallest(const struct leavers *w, int many, int *who)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i + many <= w->n; i++)
        for (int j = i + 1; j <= (many == 2 ? w->n - 1 : i + 1); j++) {
            int now[OPENING_ITEMS] = {i, j, i + 2, i + 3};
            int64_t bulk = w->bulk[i] + (many > 1 ? w->bulk[j] : 0);
            if (bulk >= least)
                break;
            if (!enough(w, now, many))
                continue;
            least = bulk;
            memcpy(who, now, sizeof(now));
        }
    return least < INT64_MAX ? many : 0;
}

/* Members of the item's groups that keep it out of the machine's domains. False: not all may leave. */
static bool add_rivals(const struct seek *k, int item, struct opening *o)
{
    const struct solve_state *s = k->t.s;
    const struct problem *p = s->p;
    struct step q = {.item = item, .from = s->at[item], .to = o->machine, .partner = -1};
    if (!has_groups(p, item) || group_stays_fair(s, &q, k->t.worse))
        return true;
    for (int j = p->group_start[item]; j < p->group_start[item + 1]; j++) {
        int g = p->group_of[j], d = domain_of(p, p->groups[g].level, o->machine);
        if (p->groups[g].kind != GROUP_APART || p->groups[g].tier != TIER_HARD || d < 0 ||
            count_in(s, g, d) + group_times(p, item, g) <= p->groups[g].limit)
            continue;
        for (int i = k->member_start[g]; i < k->member_start[g + 1]; i++) {
            int y = k->member[i];
            if (y == item || domain_of(p, p->groups[g].level, s->at[y]) != d || in_opening(o, y))
                continue;
            if (!may_leave(k, y) || o->n == OPENING_ITEMS)
                return false;
            o->item[o->n++] = y;
        }
    }
    return o->n > 0;
}

static void openings_of_machine(struct seek *k, struct openings *l, int item, struct opening *o)
{
    struct leavers w;
    int who[OPENING_ITEMS] = {0}, rivals;
    o->n = 0;
    if (!add_rivals(k, item, o))
        return;
    rivals = o->n;
    list_leavers(k, o, &w);
    count_freed(k, item, o, &w);
    if (rivals && enough(&w, who, 0)) {
        try_opening(k, l, item, o);
        return;
    }
    for (int many = 1; many + rivals <= OPENING_ITEMS; many++) {
        int n = smallest(&w, many, who);
        o->n = rivals;
        for (int i = 0; i < n; i++)
            o->item[o->n++] = w.item[who[i]];
        if (o->n > rivals)
            try_opening(k, l, item, o);
    }
}

void find_openings(struct seek *k, struct openings *l, int item, int seen)
{
    const struct problem *p = k->t.s->p;
    int m = seek_first(k, item, seen);
    l->n = 0;
    for (int i = 0; i < p->n_machines && i < seen && !seek_ended(k); i++) {
        for (int v = 0; v < p->n_variants; v++) {
            struct opening o = {.machine = m, .variant = v};
            k->steps++;
            if (solve_allowed(p, item, m) && m != k->t.s->at[item])
                openings_of_machine(k, l, item, &o);
        }
        m = m + 1 < p->n_machines ? m + 1 : 0;
    }
}
