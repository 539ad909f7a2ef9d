/* Annealing over compound steps, within the limit of moves at the end of each. A compound step takes
 * one to three items off one machine, each to the best of some places, and, if that makes too many
 * moves, sends others home; it is taken or taken back as a whole. The heat works on one tier at a
 * time, from the first on: no earlier one becomes worse. */
#include <assert.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "scheduler/solve/heat.h"
#include "scheduler/solve/descend.h"
#include "scheduler/solve/few.h"
#include "scheduler/solve/trade.h"
#include "scheduler/solve/trail.h"

enum {
    SCALE = 1024,     /* of heat and price: so many to one unit of a score */
    PLACES = 32,      /* looked at for one item */
    RETURNS = 6,      /* moves looked at when one must be given up */
    VACATED = 4,      /* one place in so many is one that a moved item left */
    COOLINGS = 64,    /* segments of one heat */
    ASK_EVERY = 4096, /* steps */
    SAMPLES = 1000,
    SEARCHES = 3,
    TRADE = 8,  /* one in so many of the steps is left to the annealing, at least */
    GREEDY = 4, /* the first search begins with a greedy one of one in so many of the steps */
    /* Parts of a usual step's price, measured on fragments of 16 cores: heat from a fifth to a
     * fiftieth in COOLINGS segments; a move costs a fifth. */
    HOT = 5,
    TOLL = 5,
    COOLER = 988, /* of SCALE */
    LEAN = 20,    /* a block's remainder is worth up to a twentieth of it */
};

struct walk {
    struct solve_state s; /* of q: the limit is ours to watch */
    struct problem q;
    const struct solve_limits *l;
    struct trail t;
    struct rng rng;
    int tier;
    int64_t steps, asked, heat, toll;
    bool ended;
    int max_moves, *moved, *slot; /* items away from home; per item its slot in moved, −1 none */
    const bool *pinned;           /* per item: stays at home */
    struct solve_score best;
    int best_moved, *best_at;
    uint8_t *best_variant;
};

/* What a step costs: the score, and a leaning for what it does not count. */
struct price {
    struct solve_score d;
    int64_t lean;
};

static int below(struct walk *w, int n)
{
    return (int)((rng_u64(&w->rng) >> 32) * (uint64_t)n >> 32);
}

/* ---- prices ------------------------------------------------------------------------------------ */

/* A remainder is worth the more the nearer it is to a whole block: one large piece, not many small. */
static int64_t remainder_worth(const struct solve_term *t, int64_t room)
{
    int64_t part = room > 0 ? room % t->block * SCALE / t->block : 0;
    return t->weight * (part * part / SCALE) / LEAN;
}

static int64_t leaning(const struct walk *w, int item, int m, int v)
{
    const struct solve_state *s = &w->s;
    int64_t lean = 0;
    for (int k = 0; k < w->q.n_terms; k++) {
        const struct solve_term *t = &w->q.terms[k];
        if (t->kind != TERM_BLOCKS || t->tier != w->tier)
            continue;
        int from = s->at[item];
        int64_t old = from < 0 ? 0 : solve_size(&w->q, item, s->variant[item])[t->res];
        int64_t new = solve_size(&w->q, item, v)[t->res];
        size_t at = (size_t)m * (size_t)w->q.n_res + (size_t)t->res;
        int64_t room = w->q.cap[at] - s->load[at];
        if (from == m) {
            lean += remainder_worth(t, room) - remainder_worth(t, room + old - new);
            continue;
        }
        lean += remainder_worth(t, room) - remainder_worth(t, room - new);
        if (from < 0)
            continue;
        at = (size_t)from * (size_t)w->q.n_res + (size_t)t->res;
        room = w->q.cap[at] - s->load[at];
        lean += remainder_worth(t, room) - remainder_worth(t, room + old);
    }
    return lean;
}

static int64_t energy(const struct walk *w, const struct price *c)
{
    return c->d.tier[w->tier] * SCALE + c->lean;
}

/* < 0: a is cheaper. */
static int price_cmp(const struct walk *w, const struct price *a, const struct price *b)
{
    for (int t = 0; t < w->tier; t++)
        if (a->d.tier[t] != b->d.tier[t])
            return a->d.tier[t] < b->d.tier[t] ? -1 : 1;
    int64_t x = energy(w, a), y = energy(w, b);
    return x < y ? -1 : x > y;
}

static bool taken(struct walk *w, const struct price *c, int more_moves)
{
    for (int t = 0; t < w->tier; t++)
        if (c->d.tier[t])
            return c->d.tier[t] < 0;
    return energy(w, c) + w->toll * more_moves <= heat_draw(&w->rng, w->heat);
}

/* ---- one shift --------------------------------------------------------------------------------- */

/* Keeps moved[] true after a change of the item. */
static void note(struct walk *w, int item)
{
    bool away = is_away(&w->q, item, w->s.at[item], w->s.variant[item]);
    int *slot = &w->slot[item];
    if (away && *slot < 0) {
        *slot = w->s.n_moved - 1;
        w->moved[*slot] = item;
    } else if (!away && *slot >= 0) {
        int last = w->moved[w->s.n_moved];
        w->moved[*slot] = last;
        w->slot[last] = *slot;
        *slot = -1;
    }
}

static bool look(struct walk *w, int item, int m, int v, struct price *ret)
{
    const int64_t *size = solve_size(&w->q, item, v);
    const int64_t *room = &w->s.room[(size_t)m * (size_t)w->q.n_res];
    w->steps++;
    for (int r = 0; w->s.at[item] != m && r < w->q.n_res; r++)
        if (size[r] > 0 && size[r] > room[r])
            return false;
    if (!solve_try_shift(&w->s, item, m, v, &ret->d))
        return false;
    ret->lean = leaning(w, item, m, v);
    return true;
}

static void shift(struct walk *w, int item, int m, int v, const struct price *c, struct price *sum)
{
    trail_shift(&w->t, item, m, v, &c->d);
    note(w, item);
    solve_score_add(&sum->d, &c->d);
    sum->lean += c->lean;
}

static int pick_variant(struct walk *w, int item)
{
    int v = 0;
    do
        v = w->q.n_variants > 1 ? below(w, w->q.n_variants) : 0;
    while (w->q.variants && !(w->q.variants[item] >> v & 1));
    return v;
}

/* To the best of some places. */
static bool send_away(struct walk *w, int item, struct price *sum)
{
    struct price c, best;
    int best_m = -1, best_v = 0;
    for (int k = 0; k < PLACES && !w->pinned[item]; k++) {
        int m = k % VACATED == 0 && w->s.n_moved ? w->q.home[w->moved[below(w, w->s.n_moved)]]
                                                 : below(w, w->q.n_machines);
        int v = pick_variant(w, item);
        if (!look(w, item, m, v, &c) || (best_m >= 0 && price_cmp(w, &c, &best) >= 0))
            continue;
        best = c;
        best_m = m;
        best_v = v;
    }
    if (best_m < 0)
        return false;
    shift(w, item, best_m, best_v, &best, sum);
    return true;
}

static bool in_step(const struct walk *w, int item)
{
    for (size_t k = 0; k < w->t.n_steps; k++)
        if (w->t.step[k].item == item)
            return true;
    return false;
}

/* One item goes home: of those that share their home with the one before, and some others, the one
 * that costs least. A machine that was relieved by several moves for one gain loses it but once. */
static bool send_home(struct walk *w, struct price *sum)
{
    struct price c, best;
    int best_item = -1, n = w->s.n_moved, home = -1;
    if (w->t.n_steps) {
        int last = w->t.step[w->t.n_steps - 1].item;
        home = w->slot[last] < 0 ? w->q.home[last] : -1;
    }
    for (int k = home < 0 ? n : 0; k < n + RETURNS && n; k++) {
        int item = w->moved[k < n ? k : below(w, n)];
        if ((k < n && w->q.home[item] != home) || in_step(w, item) ||
            !look(w, item, w->q.home[item], home_variant(&w->q, item), &c) ||
            (best_item >= 0 && price_cmp(w, &c, &best) >= 0))
            continue;
        best = c;
        best_item = item;
    }
    if (best_item < 0)
        return false;
    shift(w, best_item, w->q.home[best_item], home_variant(&w->q, best_item), &best, sum);
    return true;
}

/* ---- compound steps ---------------------------------------------------------------------------- */

/* Items of one machine, n at most, that share a resource with the first, go elsewhere. */
static bool relieve(struct walk *w, int item, int n, struct price *sum)
{
    const struct solve_state *s = &w->s;
    int m = s->at[item], res = -1, seen = 0;
    for (int r = 0; r < w->q.n_res; r++)
        if (solve_size(&w->q, item, s->variant[item])[r] > 0 && below(w, ++seen) == 0)
            res = r;
    if (!send_away(w, item, sum))
        return false;
    while (--n > 0 && m >= 0 && res >= 0) {
        seen = 0;
        item = -1;
        for (int i = s->first[m]; i >= 0; i = s->next[i])
            if (solve_size(&w->q, i, s->variant[i])[res] > 0 && below(w, ++seen) == 0)
                item = i;
        if (item < 0)
            break;
        if (!send_away(w, item, sum))
            return false;
    }
    return true;
}

static void take_back(struct walk *w)
{
    while (w->t.n_steps) {
        int item = w->t.step[w->t.n_steps - 1].item;
        trail_undo(&w->t, w->t.n_steps - 1);
        note(w, item);
    }
}

static void keep_best(struct walk *w)
{
    int cmp = solve_score_cmp(&w->s.score, &w->best);
    if (cmp > 0 || (cmp == 0 && w->s.n_moved >= w->best_moved))
        return;
    w->best = w->s.score;
    w->best_moved = w->s.n_moved;
    memcpy(w->best_at, w->s.at, (size_t)w->q.n_items * sizeof(*w->best_at));
    memcpy(w->best_variant, w->s.variant, (size_t)w->q.n_items);
}

/* Of eight: one sends an item home, one a moved item elsewhere, three one item, two two of a machine,
 * one three. */
static void step(struct walk *w)
{
    static const int n_items[8] = {0, 1, 1, 1, 1, 2, 2, 3};
    struct price sum = {0};
    int before = w->s.n_moved, kind = below(w, 8);
    bool ok;
    if (kind == 0)
        ok = send_home(w, &sum);
    else if (kind == 1 && before)
        ok = send_away(w, w->moved[below(w, before)], &sum);
    else
        ok = relieve(w, below(w, w->q.n_items), n_items[kind], &sum);
    while (ok && w->s.n_moved > w->max_moves)
        ok = send_home(w, &sum);
    if (ok && taken(w, &sum, w->s.n_moved - before))
        keep_best(w);
    else
        take_back(w);
    trail_keep(&w->t);
    w->steps++;
}

/* ---- the search -------------------------------------------------------------------------------- */

static bool ended(struct walk *w)
{
    if (!w->ended && w->l->stop && w->steps - w->asked >= ASK_EVERY) {
        w->asked = w->steps;
        w->ended = w->l->stop(w->l->ctx);
    }
    return w->ended || w->steps >= w->l->steps;
}

static void return_to_best(struct walk *w)
{
    struct solve_score d;
    for (int i = 0, n = 0; i < w->q.n_items; i++) {
        int m = w->best_at[i], v = w->best_variant[i];
        if (m >= 0 && state_try_lenient(&w->s, i, m, v, &d))
            solve_do_shift(&w->s, i, m, v, &d);
        else if (m < 0 && w->s.at[i] >= 0)
            solve_do_remove(&w->s, i);
        bool away = is_away(&w->q, i, m, v);
        w->slot[i] = away ? n : -1;
        if (away)
            w->moved[n++] = i;
    }
}

/* What a random shift changes the tier by, if it does, on average. */
static int64_t usual_price(struct walk *w)
{
    int64_t sum = 0, n = 0;
    struct price c;
    for (int k = 0; k < SAMPLES; k++) {
        int i = below(w, w->q.n_items), m = below(w, w->q.n_machines);
        if (!look(w, i, m, pick_variant(w, i), &c) || !c.d.tier[w->tier])
            continue;
        sum += c.d.tier[w->tier] < 0 ? -c.d.tier[w->tier] : c.d.tier[w->tier];
        n++;
    }
    return n ? sum * SCALE / n : 0;
}

/* Nothing of the tier is left to gain. */
static bool at_its_end(const struct walk *w, int tier)
{
    for (int k = 0; k < w->q.n_terms; k++)
        if (w->q.terms[k].kind == TERM_BLOCKS && w->q.terms[k].tier == tier)
            return false;
    return w->best.tier[tier] == 0;
}

static void anneal(struct walk *w, int64_t steps)
{
    int64_t from = w->steps, usual = usual_price(w);
    w->heat = usual / HOT;
    w->toll = usual / TOLL;
    for (int k = 1; k <= COOLINGS && !ended(w); k++) {
        if (k == COOLINGS) /* at last whatever helps */
            w->heat = w->toll = 0;
        while (w->steps - from < steps / COOLINGS * k && !ended(w))
            step(w);
        w->heat = w->heat * COOLER / SCALE;
    }
    return_to_best(w);
}

static void search(struct walk *w)
{
    int left = 0;
    for (int t = 0; t < SOLVE_TIERS; t++)
        left += !at_its_end(w, t);
    for (w->tier = 0; w->tier < SOLVE_TIERS && left > 0; w->tier++)
        if (!at_its_end(w, w->tier))
            anneal(w, (w->l->steps - w->steps) / left--);
}

static void walk_init(struct walk *w, const struct solve_state *s, const struct solve_limits *l,
                      const bool *pinned)
{
    size_t n = (size_t)s->p->n_items;
    *w = (struct walk){.q = *s->p, .l = l, .max_moves = s->p->max_moves, .pinned = pinned};
    w->q.max_moves = -1;
    rng_init(&w->rng, l->seed);
    solve_init(&w->s, &w->q);
    trail_init(&w->t, &w->s);
    w->moved = xcalloc(n, sizeof(*w->moved));
    w->slot = xcalloc(n, sizeof(*w->slot));
    w->best_at = xmemdup(s->at, n * sizeof(*w->best_at));
    w->best_variant = xmemdup(s->variant, n);
    w->best = s->score;
    w->best_moved = s->n_moved;
    return_to_best(w);
}

static void walk_done(struct walk *w)
{
    trail_done(&w->t);
    solve_done(&w->s);
    free(w->moved);
    free(w->slot);
    free(w->best_at);
    free(w->best_variant);
}

/* The order of what the walk found. Not all has one: then of the part that has, without parking, which
 * could end half way, and the first item in the way is pinned. */
static bool put_in_order(const struct walk *w, const struct problem *p, bool *pinned,
                         struct solve_order *ret)
{
    struct solve_order_limits l = {.max_parked = w->max_moves - w->best_moved};
    if (solve_order(p, w->best_at, w->best_variant, &l, ret))
        return true;
    pinned[ret->stuck[0]] = true;
    solve_order_done(ret);
    l.max_parked = 0;
    solve_order(p, w->best_at, w->best_variant, &l, ret);
    return false;
}

/* Everything at home, then the steps. */
static void follow(struct solve_state *s, const struct problem *p, const struct solve_order *o)
{
    struct solve_score d;
    solve_init(s, p);
    for (int k = 0; k < o->n_steps; k++) {
        const struct solve_step *q = &o->steps[k];
        if (state_try_lenient(s, q->item, q->to, q->variant, &d))
            solve_do_shift(s, q->item, q->to, q->variant, &d);
    }
}

/* One search from s, with its order, if that is better than what *best is. */
static bool one_search(const struct solve_state *s, struct walk *w, bool *pinned,
                       struct solve_state *best, struct solve_order *best_order)
{
    struct solve_state got;
    struct solve_order o;
    search(w);
    bool all = put_in_order(w, s->p, pinned, &o);
    follow(&got, s->p, &o);
    if (solve_score_cmp(&got.score, &best->score) < 0) {
        struct solve_state old = *best;
        struct solve_order old_order = *best_order;
        *best = got;
        *best_order = o;
        got = old;
        o = old_order;
    }
    solve_done(&got);
    solve_order_done(&o);
    return all;
}

/* Another beginning, from home: trade, in the first tier that is counted in blocks. Returns the steps
 * taken; *s becomes what it found, if that is better. */
static int64_t trade(struct solve_state *s, const struct solve_limits *l, const bool *pinned)
{
    struct solve_limits part = *l;
    struct solve_state t;
    int64_t bound, steps = 0;
    part.steps = l->steps / TRADE * (TRADE - 1);
    solve_init(&t, s->p);
    for (int tier = 0; tier < SOLVE_TIERS && !steps; tier++)
        steps = solve_trade(&t, tier, pinned, &part, &bound);
    if (solve_score_cmp(&t.score, &s->score) < 0)
        solve_copy(s, &t);
    solve_done(&t);
    return steps;
}

int64_t solve_few(struct solve_state *s, const struct solve_limits *l, struct solve_order *ret)
{
    const struct problem *p = s->p;
    struct solve_limits greedy = *l;
    struct solve_state best;
    struct walk w;
    cleanup(freep) bool *pinned = xcalloc((size_t)p->n_items, sizeof(*pinned));
    bool ended = !p->n_items || !p->n_machines;
    assert(p->max_moves >= 0 && !s->n_moved);
    solve_order(p, s->at, s->variant, &(struct solve_order_limits){0}, ret); /* no step */
    solve_init(&best, p);
    greedy.steps = l->steps / GREEDY;
    int64_t steps = ended ? 0 : solve_descend(s, &greedy);
    for (int k = 0; k < SEARCHES && !ended; k++) {
        if (k)
            solve_copy(s, &best);
        int64_t traded = trade(s, l, pinned);
        walk_init(&w, s, l, pinned);
        w.steps = traded;
        ended = one_search(s, &w, pinned, &best, ret) || w.ended;
        steps += w.steps;
        walk_done(&w);
    }
    solve_copy(s, &best);
    solve_done(&best);
    return steps;
}
