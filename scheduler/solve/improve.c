/* Simulated annealing over shifts and swaps, from big items to small ones, past capacities at first.
 * The temperature is for the last tier alone: a step that makes an earlier one worse is never taken.
 * docs/planner.md, "The search", says why it is as it is. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "scheduler/solve/heat.h"
#include "scheduler/solve/internal.h"
#include "scheduler/solve/solve.h"
#include "scheduler/solve/toll.h"

enum {
    ONE_BITS = 20,
    ONE = 1 << ONE_BITS, /* fraction of logarithms */
    ASK_EVERY = 4096,
    FIRST_PASS = 200,   /* steps per item, when nobody says how long it may take */
    FEW_STEPS = 40,     /* the same: too few to ask how much each item matters */
    LEVELS = 1024,      /* temperatures of a long pass */
    LEVEL_STEPS = 1024, /* at least; and a few for each machine: a level looks at them all */
    TOLL_LEVELS = 256,  /* a shorter pass has no time to come back from beyond capacities */
    SAMPLES = 8,
    AWAKE = 5, /* an item moves while the heat is not above this part of its scale */
    FEW = 20,  /* items move at least */
    HOME_ONE_IN = 8,
    AWAY_HEATS = 1,
    AWAY_COLD = 3, /* the same at the end */
    HOTTER = 5,
    KEEP_EVERY = 8,
};

struct rank {
    int64_t scale;
    int item;
};

struct walk {
    struct solve_state *s, begin, best;
    const struct solve_limits *l;
    struct rng rng;
    int64_t steps, heat;
    bool ended, cold;
    int again;         /* the level at which the pass became hot once more; 0: not yet */
    struct rank *rank; /* items, those that matter most first */
    int awake;         /* so many of them are moved */
    struct tolls tolls;
};

/* ---- integers instead of floats ---------------------------------------------------------------- */

/* log2 in ONE, linear between powers of two. x > 0 */
static int64_t log2_of(int64_t x)
{
    int whole = 63 - __builtin_clzll((uint64_t)x);
    uint64_t rest = ((uint64_t)x << (63 - whole)) << 1;
    return ((int64_t)whole << ONE_BITS) + (int64_t)(rest >> (64 - ONE_BITS));
}

/* Its inverse. 0 ≤ y < 62 ONE */
static int64_t exp2_of(int64_t y)
{
    int64_t whole = y >> ONE_BITS, x = ONE + (y & (ONE - 1));
    return whole >= ONE_BITS ? x << (whole - ONE_BITS) : x >> (ONE_BITS - whole);
}

/* From a to b in n equal ratios: the k-th. */
static int64_t between(int64_t a, int64_t b, int k, int n)
{
    return exp2_of(log2_of(a) + (log2_of(b) - log2_of(a)) * k / n);
}

static int below(struct walk *w, int n)
{
    return (int)((rng_u64(&w->rng) >> 32) * (uint64_t)n >> 32);
}

/* ---- steps ------------------------------------------------------------------------------------- */

static bool taken(const struct quote *q)
{
    for (int t = 0; t < TIER_COST; t++)
        if (q->d.tier[t])
            return q->d.tier[t] < 0 && q->toll <= 0;
    return q->d.tier[TIER_COST] + q->toll <= q->limit;
}

static int pick_variant(struct walk *w, int item)
{
    const struct problem *p = w->s->p;
    if (p->n_variants == 1)
        return 0;
    int v;
    do
        v = below(w, p->n_variants);
    while (p->variants && !(p->variants[item] >> v & 1));
    return v;
}

/* Items of like scale change places most easily: half of the partners are of a rank near by. */
static int pick_partner(struct walk *w, int rank)
{
    int span = 1 << below(w, 32 - __builtin_clz((unsigned)w->awake)),
        near = rank + 1 + below(w, span);
    bool any = rng_u64(&w->rng) >> 63 || near >= w->awake;
    return w->rank[any ? below(w, w->awake) : near].item;
}

/* Some of the shifts lead home: what need not be away takes room there, and costs. */
static int pick_machine(struct walk *w, int item)
{
    int home = below(w, HOME_ONE_IN) ? -1 : w->s->p->home[item];
    return home >= 0 ? home : below(w, w->s->p->n_machines);
}

/* By chance alone an item is on one of many machines that are not its home. Where its home keeps room
 * for it, that is dear for others: to be away must be worth some heat. In the cold everywhere: what
 * strays for nothing comes home. */
static int64_t away_cost(const struct walk *w, int item, int m, int v)
{
    const struct solve_state *s = w->s;
    if (!s->p->held_res && !w->cold)
        return 0;
    return (is_away(s->p, item, m, v) - is_away(s->p, item, s->at[item], s->variant[item])) *
           (w->cold ? AWAY_COLD : AWAY_HEATS) * w->heat;
}

static void step(struct walk *w)
{
    struct solve_state *s = w->s;
    struct quote q = {.limit = heat_draw(&w->rng, w->heat)};
    int rank = below(w, w->awake), a = w->rank[rank].item;
    w->steps++;
    if (rng_u64(&w->rng) >> 63) {
        int m = pick_machine(w, a), v = pick_variant(w, a);
        q.limit -= away_cost(w, a, m, v);
        if (state_quote_shift(s, a, m, v, &q) && taken(&q))
            solve_do_shift(s, a, m, v, &q.d);
        return;
    }
    int b = pick_partner(w, rank);
    q.limit -= away_cost(w, a, s->at[b], s->variant[b]) + away_cost(w, b, s->at[a], s->variant[a]);
    if (a != b && state_quote_swap(s, a, b, &q) && taken(&q))
        solve_do_swap(s, a, b, &q.d);
}

static bool ended(struct walk *w)
{
    if (w->ended)
        return true;
    bool ask = w->l->stop && w->steps % ASK_EVERY == 0;
    return w->ended = w->steps >= w->l->steps || (ask && w->l->stop(w->l->ctx));
}

static void keep_best(struct walk *w)
{
    if (w->s->toll_sum == 0 && solve_score_cmp(&w->s->score, &w->best.score) < 0)
        solve_copy(&w->best, w->s);
}

/* ---- how much each item matters ---------------------------------------------------------------- */

static int64_t magnitude(int64_t x)
{
    return x < 0 ? -x : x;
}

/* The most that the item changed the cost by, on a few machines. */
static int64_t scale_of(struct walk *w, int item)
{
    struct solve_score d;
    int64_t most = 0;
    for (int k = 0; k < SAMPLES; k++) {
        int m = below(w, w->s->p->n_machines);
        int64_t burden = magnitude(state_burden(w->s, item, m));
        most = burden > most ? burden : most;
        if (state_try_lenient(w->s, item, m, pick_variant(w, item), &d) &&
            magnitude(d.tier[TIER_COST]) > most)
            most = magnitude(d.tier[TIER_COST]);
    }
    w->steps += SAMPLES;
    return most;
}

static int by_scale(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->scale != y->scale)
        return x->scale > y->scale ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

/* When steps are few: all items alike, after a sample that takes an eighth of them at most. */
static void rank_alike(struct walk *w, int64_t steps)
{
    int64_t sum = 0, n = steps / (SAMPLES * SAMPLES);
    n = n < SAMPLES * SAMPLES ? n : SAMPLES * SAMPLES;
    for (int64_t k = 0; k < n; k++)
        sum += scale_of(w, below(w, w->s->p->n_items)) / n;
    for (int i = 0; i < w->s->p->n_items; i++)
        w->rank[i] = (struct rank){.scale = sum, .item = i};
}

static void rank_items(struct walk *w)
{
    const struct problem *p = w->s->p;
    int64_t sum = 0;
    for (int i = 0; i < p->n_items; i++) {
        w->rank[i] = (struct rank){.scale = scale_of(w, i), .item = i};
        sum += w->rank[i].scale / p->n_items;
    }
    qsort(w->rank, (size_t)p->n_items, sizeof(*w->rank), by_scale);
    tolls_measure(&w->tolls, w->s, sum);
}

/* ---- back within capacities --------------------------------------------------------------------- */

/* The item whose return to where the pass found it helps most, of those on a machine; −1: none. */
static int best_return(struct walk *w, int m, struct quote *ret)
{
    int best = -1;
    for (int i = w->s->first[m]; i >= 0; i = w->s->next[i]) {
        struct quote q = {.limit = INT64_MAX};
        int to = w->begin.at[i];
        if (to < 0 || to == m || !state_quote_shift(w->s, i, to, w->begin.variant[i], &q) ||
            (best >= 0 && q.d.tier[TIER_COST] + q.toll >= ret->d.tier[TIER_COST] + ret->toll))
            continue;
        best = i;
        *ret = q;
    }
    return best;
}

/* Where a machine still lacks room, items go back until it does not: with all of them back, none did. */
static void give_back(struct walk *w)
{
    for (int m = 0; m < w->s->p->n_machines && w->s->toll_sum; m++) {
        struct quote q;
        int item = w->s->toll_of[m] ? best_return(w, m, &q) : -1;
        if (item < 0)
            continue;
        solve_do_shift(w->s, item, w->begin.at[item], w->begin.variant[item], &q.d);
        m = -1;
    }
}

/* ---- a pass ------------------------------------------------------------------------------------ */

/* Nine tenths of the levels from where only the few biggest items move to where little moves, the rest
 * down to nothing. */
static int64_t heat_at(const struct walk *w, int level, int levels)
{
    int n = w->s->p->n_items, turn = levels * 9 / 10;
    int64_t top = w->rank[n > FEW ? FEW : n - 1].scale / AWAKE + 1;
    int64_t cool = w->rank[n / 2].scale / 512 + 1;
    cool = cool < top ? cool : top;
    return level < turn ? between(top, cool, level, turn)
                        : between(cool, 1, level - turn, levels - turn);
}

/* Where items had to go back at level `again`, others may follow: it is hotter once more. */
static void set_heat(struct walk *w, int level, int levels)
{
    int n = w->s->p->n_items, again = w->again;
    w->cold = level >= levels * 9 / 10;
    w->heat =
        again ? between(heat_at(w, levels * HOTTER / 10, levels), 1, level - again, levels - again)
              : heat_at(w, level, levels);
    while (w->awake < n && (w->awake < FEW || w->rank[w->awake].scale / AWAKE + 1 >= w->heat))
        w->awake++;
}

/* Less and less may be above capacities, in the last third nothing. Of 1024. */
static int allowed_above(int level, int levels)
{
    int end = levels * 7 / 10;
    return level < end ? 1024 - 1024 * level / end : 0;
}

static bool same_but_cost(const struct solve_score *a, const struct solve_score *b)
{
    return memcmp(a->tier, b->tier, TIER_COST * sizeof(*a->tier)) == 0;
}

/* Small items are best at home while the big ones settle: every pass begins where the first one did,
 * unless that was worse in more than cost. */
static void begin_pass(struct walk *w, int levels)
{
    w->awake = w->again = 0;
    if (!same_but_cost(&w->begin.score, &w->best.score))
        solve_copy(&w->begin, &w->best);
    solve_copy(w->s, &w->begin);
    if (levels >= TOLL_LEVELS && w->tolls.first[0])
        tolls_begin(&w->tolls, w->s);
}

/* What was on hand when time ran out does not count: with more time nobody would have looked at it, and
 * the answer would be worse. */
static void pass(struct walk *w, int64_t steps)
{
    int64_t most = steps / (LEVEL_STEPS + 4 * w->s->p->n_machines) + 1, start = w->steps;
    int levels = most < LEVELS ? (int)most : LEVELS, last = levels * 8 / 10;
    begin_pass(w, levels);
    for (int level = 0; level < levels && !w->ended; level++) {
        int64_t end = start + (int64_t)((__int128)steps * (level + 1) / levels);
        if (w->s->toll_sum && level == last) {
            give_back(w);
            w->again = level;
        }
        set_heat(w, level, levels);
        if (w->s->toll)
            tolls_turn(&w->tolls, w->s, w->heat, allowed_above(level, levels));
        while (w->steps < end && !ended(w))
            step(w);
        if (level % KEEP_EVERY == 0 && !w->ended)
            keep_best(w);
    }
    if (!w->ended) {
        give_back(w);
        keep_best(w);
    }
    state_set_toll(w->s, NULL);
    solve_copy(w->s, &w->best);
}

int64_t solve_improve(struct solve_state *s, const struct solve_limits *l)
{
    struct walk w = {.s = s, .l = l};
    if (!s->p->n_items || !s->p->n_machines)
        return 0;
    rng_init(&w.rng, l->seed);
    solve_init(&w.best, s->p);
    solve_init(&w.begin, s->p);
    solve_copy(&w.best, s);
    solve_copy(&w.begin, s);
    tolls_init(&w.tolls, s->p);
    w.rank = xcalloc((size_t)s->p->n_items, sizeof(*w.rank));
    int64_t plan = l->expect              ? l->expect
                   : l->steps < INT64_MAX ? l->steps
                                          : (int64_t)FIRST_PASS * s->p->n_items;
    if (plan >= (int64_t)FEW_STEPS * s->p->n_items)
        rank_items(&w);
    else
        rank_alike(&w, plan);
    for (; !ended(&w); plan = l->expect ? plan : 2 * plan)
        pass(&w, plan);
    free(w.rank);
    tolls_done(&w.tolls);
    solve_done(&w.best);
    solve_done(&w.begin);
    return w.steps;
}
