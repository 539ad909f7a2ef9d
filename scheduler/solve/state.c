/* Steps: what they would cost, and taking them. */
#include <assert.h>
#include <string.h>

#include "scheduler/solve/internal.h"

/* ---- batches ---------------------------------------------------------------------------------- */

struct batch_change {
    int n, batch[2], by[2];
};

static void batch_note(const struct problem *p, struct batch_change *c, int item, int by)
{
    if (!p->batch_weight || !by)
        return;
    int b = p->batch[item];
    if (c->n && c->batch[0] == b) {
        c->by[0] += by;
        return;
    }
    c->batch[c->n] = b;
    c->by[c->n++] = by;
}

/* The most moved of one batch, after the change. */
static int batch_most_then(const struct solve_state *s, const struct batch_change *c)
{
    int most = s->batch_most;
    for (int i = 0; i < c->n; i++)
        if (s->batch_moved[c->batch[i]] + c->by[i] > most)
            most = s->batch_moved[c->batch[i]] + c->by[i];
    for (; most > 0; most--) {
        int there = most <= s->batch_most ? s->batch_hist[most] : 0;
        for (int i = 0; i < c->n; i++) {
            int n = s->batch_moved[c->batch[i]];
            there += (n + c->by[i] == most) - (n == most);
        }
        if (there > 0)
            break;
    }
    return most;
}

static void batch_apply(struct solve_state *s, const struct batch_change *c)
{
    s->batch_most = c->n ? batch_most_then(s, c) : s->batch_most;
    for (int i = 0; i < c->n; i++) {
        int *n = &s->batch_moved[c->batch[i]];
        s->batch_hist[*n]--;
        *n += c->by[i];
        s->batch_hist[*n]++;
    }
}

/* ---- loads ------------------------------------------------------------------------------------ */

/* One machine as it would be. */
struct then {
    int machine;
    int64_t load[SOLVE_MAX_RES], room[SOLVE_MAX_RES];
};

static void then_init(const struct solve_state *s, int m, struct then *t)
{
    size_t n = (size_t)s->p->n_res;
    t->machine = m;
    memcpy(t->load, &s->load[(size_t)m * n], n * sizeof(*t->load));
    memcpy(t->room, &s->room[(size_t)m * n], n * sizeof(*t->room));
}

/* The item comes (+1) or leaves (−1). */
static void then_add(const struct solve_state *s, struct then *t, int item, int variant, int sign)
{
    const struct problem *p = s->p;
    const int64_t *size = solve_size(p, item, variant);
    for (int r = 0; r < p->n_res; r++) {
        t->load[r] += sign * size[r];
        t->room[r] -= sign * size[r];
    }
    if (!p->held_res || p->home[item] != t->machine)
        return;
    size = solve_size(p, item, home_variant(p, item));
    for (int r = 0; r < p->n_res; r++)
        t->room[r] += sign * size[r] & ~s->staying[r];
}

/* Within capacity, or at least no worse than now. */
static bool then_fits(const struct solve_state *s, const struct then *t)
{
    const int64_t *room = &s->room[(size_t)t->machine * (size_t)s->p->n_res];
    for (int r = 0; r < s->p->n_res && !s->toll; r++)
        if (t->room[r] < 0 && t->room[r] < room[r])
            return false;
    return true;
}

/* What most steps fail of, asked first: item `in` comes to m in variant v, `out` (−1 none) leaves it in
 * the same. Exact where staying items take the same room in all variants; elsewhere silent. */
static bool no_room(const struct solve_state *s, int m, int in, int v, int out)
{
    static const int64_t none[SOLVE_MAX_RES];
    const struct problem *p = s->p;
    if (s->toll || (p->held_res && p->n_variants > 1))
        return false;
    const int64_t *room = &s->room[(size_t)m * (size_t)p->n_res], *a = solve_size(p, in, v),
                  *b = out < 0 ? none : solve_size(p, out, v);
    if (p->held_res && (p->home[in] == m || (out >= 0 && p->home[out] == m))) {
        int64_t come = p->home[in] == m ? 0 : -1, go = out >= 0 && p->home[out] == m ? 0 : -1;
        for (int r = 0; r < p->n_res; r++) {
            int64_t more = (a[r] & (come | s->staying[r])) - (b[r] & (go | s->staying[r]));
            if (more > room[r] && more > 0)
                return true;
        }
        return false;
    }
    for (int r = 0; r < p->n_res; r++)
        if (a[r] - b[r] > room[r] && a[r] > b[r])
            return true;
    return false;
}

static void spread_shift(const struct solve_state *s, const struct solve_term *x,
                         const struct then *t, int64_t *sum, int64_t *sum2)
{
    int64_t old = s->load[(size_t)t->machine * (size_t)s->p->n_res + (size_t)x->res];
    int64_t a = price_units(old, x->level[t->machine]),
            b = price_units(t->load[x->res], x->level[t->machine]);
    *sum += b - a;
    *sum2 += b * b - a * a;
}

/* What the machine costs more than now. */
static void then_price(const struct solve_state *s, const struct then *t, struct quote *q)
{
    struct solve_score c = price_machine(s, t->machine, t->load, t->room);
    for (int k = 0; k < SOLVE_TIERS; k++)
        q->d.tier[k] += c.tier[k] - s->machine[t->machine].tier[k];
    if (s->toll)
        q->toll += price_toll(s, t->machine, t->room) - s->toll_of[t->machine];
}

static void then_price_spread(const struct solve_state *s, const struct then *t, int n,
                              struct quote *q)
{
    for (int k = 0; s->sum && k < s->p->n_terms; k++) {
        const struct solve_term *x = &s->p->terms[k];
        if (x->kind != TERM_SPREAD)
            continue;
        int64_t sum = s->sum[k], sum2 = s->sum2[k];
        for (int i = 0; i < n; i++)
            spread_shift(s, x, &t[i], &sum, &sum2);
        q->d.tier[x->tier] += price_spread(s->p, x, sum, sum2) - s->spread[k];
    }
}

/* Too dear even if machine m, the only thing not priced yet, would cost nothing afterwards. */
static bool hopeless(const struct solve_state *s, const struct quote *q, int m)
{
    if (q->limit == INT64_MAX || !s->prices->bounded)
        return false;
    for (int k = 0; k < TIER_COST; k++)
        if (q->d.tier[k] != s->machine[m].tier[k])
            return q->d.tier[k] > s->machine[m].tier[k];
    return q->d.tier[TIER_COST] + q->toll - s->machine[m].tier[TIER_COST] - s->toll_of[m] >
           q->limit;
}

static void then_apply(struct solve_state *s, const struct then *t, int n)
{
    const struct problem *p = s->p;
    size_t n_res = (size_t)p->n_res;
    for (int k = 0; s->sum && k < p->n_terms; k++) {
        const struct solve_term *x = &p->terms[k];
        for (int i = 0; x->kind == TERM_SPREAD && i < n; i++)
            spread_shift(s, x, &t[i], &s->sum[k], &s->sum2[k]);
        if (x->kind == TERM_SPREAD)
            s->spread[k] = price_spread(p, x, s->sum[k], s->sum2[k]);
    }
    for (int i = 0; i < n; i++) {
        size_t at = (size_t)t[i].machine * n_res;
        for (size_t r = 0; r < n_res; r++)
            s->held[at + r] = p->cap[at + r] - t[i].load[r] - t[i].room[r];
        memcpy(&s->load[at], t[i].load, n_res * sizeof(*t[i].load));
        memcpy(&s->room[at], t[i].room, n_res * sizeof(*t[i].room));
        s->machine[t[i].machine] = price_machine(s, t[i].machine, t[i].load, t[i].room);
        if (!s->toll)
            continue;
        s->toll_sum -= s->toll_of[t[i].machine];
        s->toll_sum += s->toll_of[t[i].machine] = price_toll(s, t[i].machine, t[i].room);
    }
}

/* ---- lists of items per machine --------------------------------------------------------------- */

static void list_del(struct solve_state *s, int item, int m)
{
    if (s->prev[item] >= 0)
        s->next[s->prev[item]] = s->next[item];
    else
        s->first[m] = s->next[item];
    if (s->next[item] >= 0)
        s->prev[s->next[item]] = s->prev[item];
}

/* ---- steps ------------------------------------------------------------------------------------ */

static int away_change(const struct solve_state *s, int item, int m, int v)
{
    return is_away(s->p, item, m, v) - is_away(s->p, item, s->at[item], s->variant[item]);
}

static void items_price(const struct solve_state *s, int item, int m, int v,
                        struct solve_score *ret)
{
    price_item(s->p, item, m, v, 1, ret);
    price_item(s->p, item, s->at[item], s->variant[item], -1, ret);
}

static bool moves_left(const struct solve_state *s, int more)
{
    return more <= 0 || s->p->max_moves < 0 || s->n_moved + more <= s->p->max_moves;
}

static bool may_take(const struct problem *p, int item, int m, int v)
{
    return solve_allowed(p, item, m) && (!p->variants || (p->variants[item] >> v & 1));
}

static void batch_price(const struct solve_state *s, const struct batch_change *c, struct quote *q)
{
    if (c->n)
        q->d.tier[TIER_COST] += s->p->batch_weight * (batch_most_then(s, c) - s->batch_most);
}

/* lenient: hard things may become worse, and the item sit where it must not. */
static bool quote_shift(const struct solve_state *s, const struct step *step, int v,
                        struct quote *q)
{
    const struct problem *p = s->p;
    int item = step->item, from = step->from, m = step->to, more = away_change(s, item, m, v);
    if ((from == m && s->variant[item] == v) || !moves_left(s, more) ||
        (!step->lenient && !may_take(p, item, m, v)))
        return false;
    if (from != m && !step->lenient && no_room(s, m, item, v, -1))
        return false;
    q->d = (struct solve_score){0};
    q->toll = 0;
    if (!group_price(s, step, &q->d))
        return false;
    struct then t[2];
    struct batch_change c = {0};
    int n = from >= 0 && from != m ? 2 : 1;
    then_init(s, m, &t[0]);
    if (from == m)
        then_add(s, &t[0], item, s->variant[item], -1);
    then_add(s, &t[0], item, v, 1);
    if (!step->lenient && !then_fits(s, &t[0]))
        return false;
    items_price(s, item, m, v, &q->d);
    batch_note(p, &c, item, more);
    batch_price(s, &c, q);
    then_price(s, &t[0], q);
    if (n == 2) {
        if (hopeless(s, q, from))
            return false;
        then_init(s, from, &t[1]);
        then_add(s, &t[1], item, s->variant[item], -1);
        /* its home may keep more room for it than it took of late, in another variant */
        if (p->n_variants > 1 && !step->lenient && !then_fits(s, &t[1]))
            return false;
        then_price(s, &t[1], q);
    }
    then_price_spread(s, t, n, q);
    return true;
}

bool state_quote_shift(const struct solve_state *s, int item, int m, int v, struct quote *q)
{
    return quote_shift(s, &(struct step){.item = item, .from = s->at[item], .to = m, .partner = -1},
                       v, q);
}

bool solve_try_shift(const struct solve_state *s, int item, int m, int v, struct solve_score *ret)
{
    struct quote q = {.limit = INT64_MAX};
    if (!state_quote_shift(s, item, m, v, &q))
        return false;
    *ret = q.d;
    return true;
}

bool state_try_lenient(const struct solve_state *s, int item, int m, int v, struct solve_score *ret)
{
    struct quote q = {.limit = INT64_MAX};
    struct step x = {.item = item, .from = s->at[item], .to = m, .partner = -1, .lenient = true};
    if (!quote_shift(s, &x, v, &q))
        return false;
    *ret = q.d;
    return true;
}

int64_t state_burden(const struct solve_state *s, int item, int m)
{
    struct then t;
    struct quote q = {0};
    then_init(s, m, &t);
    then_add(s, &t, item, s->variant[item], 1);
    then_price(s, &t, &q);
    return q.d.tier[TIER_COST];
}

void state_set_toll(struct solve_state *s, const int64_t *toll)
{
    s->toll = toll;
    s->toll_sum = 0;
    for (int m = 0; m < s->p->n_machines; m++) {
        s->toll_of[m] = toll ? price_toll(s, m, &s->room[(size_t)m * (size_t)s->p->n_res]) : 0;
        s->toll_sum += s->toll_of[m];
    }
}

/* Put the item there: lists, groups, counts; not the loads. */
static void seat(struct solve_state *s, const struct step *q, int v)
{
    const struct problem *p = s->p;
    struct batch_change c = {0};
    int more = q->to < 0 ? -is_away(p, q->item, q->from, s->variant[q->item])
                         : away_change(s, q->item, q->to, v);
    group_apply(s, q, false);
    batch_note(p, &c, q->item, more);
    batch_apply(s, &c);
    s->n_moved += more;
    if (q->from >= 0)
        list_del(s, q->item, q->from);
    if (q->to >= 0)
        list_add(s, q->item, q->to);
    s->at[q->item] = q->to;
    s->variant[q->item] = (uint8_t)v;
}

static void shift(struct solve_state *s, int item, int m, int v)
{
    int from = s->at[item], n = 0;
    struct then t[2];
    if (m >= 0) {
        then_init(s, m, &t[n]);
        if (from == m)
            then_add(s, &t[n], item, s->variant[item], -1);
        then_add(s, &t[n++], item, v, 1);
    }
    if (from >= 0 && from != m) {
        then_init(s, from, &t[n]);
        then_add(s, &t[n++], item, s->variant[item], -1);
    }
    then_apply(s, t, n);
    seat(s, &(struct step){.item = item, .from = from, .to = m, .partner = -1}, v);
}

void solve_do_shift(struct solve_state *s, int item, int m, int v, const struct solve_score *d)
{
    assert(m >= 0);
    shift(s, item, m, v);
    solve_score_add(&s->score, d);
}

/* a and b as they would sit after the swap. */
static void swap_then(const struct solve_state *s, int a, int b, struct then t[2])
{
    then_init(s, s->at[a], &t[0]);
    then_init(s, s->at[b], &t[1]);
    then_add(s, &t[0], a, s->variant[a], -1);
    then_add(s, &t[1], b, s->variant[b], -1);
    then_add(s, &t[0], b, s->variant[a], 1);
    then_add(s, &t[1], a, s->variant[b], 1);
}

/* What the groups of both make of the swap. */
static bool swap_groups(struct solve_state *s, int a, int b, struct quote *q)
{
    struct step qa = {.item = a, .from = s->at[a], .to = s->at[b], .partner = b};
    struct step qb = {.item = b, .from = s->at[b], .to = s->at[a], .partner = a};
    if (!group_price(s, &qa, &q->d))
        return false;
    if (!has_groups(s->p, a) || !has_groups(s->p, b))
        return group_price(s, &qb, &q->d);
    group_apply(s, &qa, false); /* b sees a where it will be */
    bool ok = group_price(s, &qb, &q->d);
    group_apply(s, &qa, true);
    return ok;
}

bool state_quote_swap(struct solve_state *s, int a, int b, struct quote *q)
{
    const struct problem *p = s->p;
    int ma = s->at[a], mb = s->at[b], va = s->variant[a], vb = s->variant[b];
    if (ma == mb || ma < 0 || mb < 0 || !may_take(p, a, mb, vb) || !may_take(p, b, ma, va))
        return false;
    int more_a = away_change(s, a, mb, vb), more_b = away_change(s, b, ma, va);
    if (!moves_left(s, more_a + more_b))
        return false;
    if (no_room(s, mb, a, vb, b) || no_room(s, ma, b, va, a))
        return false;
    q->d = (struct solve_score){0};
    q->toll = 0;
    if (!swap_groups(s, a, b, q))
        return false;
    struct then t[2];
    struct batch_change c = {0};
    swap_then(s, a, b, t);
    if (!then_fits(s, &t[0]) || !then_fits(s, &t[1]))
        return false;
    items_price(s, a, mb, vb, &q->d);
    items_price(s, b, ma, va, &q->d);
    batch_note(p, &c, a, more_a);
    batch_note(p, &c, b, more_b);
    batch_price(s, &c, q);
    then_price(s, &t[0], q);
    if (hopeless(s, q, mb))
        return false;
    then_price(s, &t[1], q);
    then_price_spread(s, t, 2, q);
    return true;
}

bool solve_try_swap(struct solve_state *s, int a, int b, struct solve_score *ret)
{
    struct quote q = {.limit = INT64_MAX};
    if (!state_quote_swap(s, a, b, &q))
        return false;
    *ret = q.d;
    return true;
}

void solve_do_swap(struct solve_state *s, int a, int b, const struct solve_score *d)
{
    int ma = s->at[a], mb = s->at[b], va = s->variant[a], vb = s->variant[b];
    struct then t[2];
    swap_then(s, a, b, t);
    then_apply(s, t, 2);
    seat(s, &(struct step){.item = a, .from = ma, .to = mb, .partner = b}, vb);
    seat(s, &(struct step){.item = b, .from = mb, .to = ma, .partner = a}, va);
    solve_score_add(&s->score, d);
}

void solve_do_remove(struct solve_state *s, int item)
{
    int m = s->at[item], v = s->variant[item];
    struct step q = {.item = item, .from = m, .to = -1, .partner = -1, .lenient = true};
    struct quote x = {0};
    struct then t;
    assert(m >= 0);
    then_init(s, m, &t);
    then_add(s, &t, item, v, -1);
    group_price(s, &q, &x.d);
    then_price(s, &t, &x);
    then_price_spread(s, &t, 1, &x);
    items_price(s, item, -1, v, &x.d);
    int most = s->batch_most;
    then_apply(s, &t, 1);
    seat(s, &q, v);
    x.d.tier[TIER_COST] += s->p->batch_weight * (s->batch_most - most);
    solve_score_add(&s->score, &x.d);
}
