/* First prices, by the subgradient of what they cost in all: a kind of which more leaves than comes
 * gets dearer. Then annealing over the offers that are nearly worth it at these prices. On its way more
 * may leave than comes, and more may move than is allowed, at little more than the price of it; the
 * surcharge grows where the search stays short. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "scheduler/solve/heat.h"
#include "scheduler/solve/offer.h"
#include "scheduler/solve/trade.h"

enum {
    TAKEN = 4,      /* offers of one machine at once */
    ROUNDS = 200,   /* of prices, at most */
    PATIENCE = 30,  /* rounds without better prices */
    READ_COST = 16, /* offers read in the time of one step */
    KEPT = 3,       /* offers are kept that lack less than this part of a block */
    WALKS = 4,      /* searches, while the bound is not met */
    SEGMENTS = 256, /* of one search */
    LUKEWARM = 64,  /* parts of a block that the heat is at first, in turn with WARM */
    WARM = 16,
    COOL = 6,        /* and so much less at last */
    ASK_EVERY = 4096 /* steps */
};

struct market {
    struct offers x;
    struct solve_state *s;
    const struct solve_limits *l;
    struct rng rng;
    int64_t block; /* what the smallest block is worth */
    int64_t price[OFFER_KINDS], toll;
    int64_t *surcharge; /* per kind, and of moves */
    size_t *n_active;   /* per class: the first so many offers */
    int *open, n_open;  /* machines with offers */
    int64_t steps, asked;
    bool ended;
    /* what is taken: per machine, offers of its class, −1 none */
    int (*taken)[TAKEN], (*best)[TAKEN];
    int lacking[OFFER_KINDS], n_moves, best_moves;
    int64_t worth, best_worth;
};

static int below(struct market *k, size_t n)
{
    return (int)((rng_u64(&k->rng) >> 32) * (uint64_t)n >> 32);
}

static bool ended(struct market *k)
{
    if (!k->ended && k->l->stop && k->steps - k->asked >= ASK_EVERY) {
        k->asked = k->steps;
        k->ended = k->l->stop(k->l->ctx);
    }
    return k->ended || k->steps >= k->l->steps;
}

/* ---- prices ------------------------------------------------------------------------------------ */

struct tag {
    int64_t price[OFFER_KINDS], toll;
};

static int64_t net_worth(const struct offer *o, const struct tag *t)
{
    int64_t sum = o->worth - t->toll * o->n_leave;
    for (int k = 0; k < o->n; k++)
        sum += k < o->n_leave ? -t->price[o->part[k].kind] : t->price[o->part[k].kind];
    return sum;
}

/* The best offers of a class that share no resource. */
struct bundle {
    int64_t worth;
    int n, where[TAKEN]; /* of the class's sets of resources */
};

static struct bundle best_bundle(const struct offer_class *c, const int64_t *worth, int from,
                                 uint32_t used, int most)
{
    struct bundle best = {0};
    for (int w = from; most && w < c->n_wheres; w++) {
        if (worth[w] <= 0 || c->where[w] & used)
            continue;
        struct bundle b = best_bundle(c, worth, w + 1, used | c->where[w], most - 1);
        if (b.worth + worth[w] <= best.worth)
            continue;
        b.worth += worth[w];
        b.where[b.n++] = w;
        best = b;
    }
    return best;
}

/* What all machines would gain together at these prices; *lacking: what would leave and not come. */
static int64_t ask_all(struct market *k, const struct tag *t, int *lacking, int *moves)
{
    int64_t sum = t->toll * k->s->p->max_moves;
    memset(lacking, 0, OFFER_KINDS * sizeof(*lacking));
    *moves = 0;
    for (int i = 0; i < k->x.n_classes; i++) {
        const struct offer_class *c = &k->x.classes[i];
        const struct offer *best[OFFER_WHERES];
        int64_t worth[OFFER_WHERES] = {0};
        for (size_t j = 0; j < k->n_active[i]; j++) {
            const struct offer *o = &c->offers[j];
            int64_t net = net_worth(o, t);
            if (net > worth[o->n_where]) {
                worth[o->n_where] = net;
                best[o->n_where] = o;
            }
        }
        k->steps += (int64_t)k->n_active[i] / READ_COST + 1;
        struct bundle b = best_bundle(c, worth, 0, 0, TAKEN);
        sum += b.worth * c->n_machines;
        for (int j = 0; j < b.n; j++) {
            const struct offer *o = best[b.where[j]];
            *moves += o->n_leave * c->n_machines;
            for (int n = 0; n < o->n; n++)
                lacking[o->part[n].kind] += n < o->n_leave ? c->n_machines : -c->n_machines;
        }
    }
    return sum;
}

/* Lay offers aside that lack this much or more. */
static void sift(struct market *k, const struct tag *t, int64_t lack)
{
    for (int i = 0; i < k->x.n_classes; i++) {
        struct offer *o = k->x.classes[i].offers;
        size_t kept = 0;
        for (size_t j = 0; j < k->n_active[i]; j++) {
            if (net_worth(&o[j], t) <= -lack)
                continue;
            struct offer x = o[j];
            o[j] = o[kept];
            o[kept++] = x;
        }
        k->n_active[i] = kept;
    }
}

static int64_t positive(int64_t x)
{
    return x > 0 ? x : 0;
}

/* How a price changes: what was lacking of late, on average, and how much there was too much or too
 * little. */
struct trend {
    int64_t mean, size;
};

/* Towards what would fit together. Where lack and plenty alternate the steps are small. */
static void change_price(int64_t *price, struct trend *t, int lacking, int64_t step)
{
    int64_t now = (int64_t)lacking * OFFER_FINE;
    t->mean += (now - t->mean) * 3 / 10;
    t->size += (llabs(now) - t->size) / 10;
    if (t->size)
        *price = positive(*price + (int64_t)((__int128)step * t->mean / t->size));
}

/* At first a kind costs what the best offer to give one up gains. */
static void first_prices(const struct market *k, struct tag *t)
{
    *t = (struct tag){.toll = k->block / 2};
    for (int i = 0; i < k->x.n_classes; i++)
        for (size_t j = 0; j < k->x.classes[i].n; j++) {
            const struct offer *o = &k->x.classes[i].offers[j];
            int64_t *price = &t->price[o->part[0].kind];
            if (o->n_leave == 1 && o->worth > *price)
                *price = o->worth;
        }
}

/* Returns the bound. */
static int64_t find_prices(struct market *k)
{
    struct tag t, best = {0};
    struct trend trend[OFFER_KINDS + 1] = {0};
    int64_t least = INT64_MAX;
    int lacking[OFFER_KINDS], moves;
    first_prices(k, &t);
    for (int n = 0, found = 0; n < ROUNDS && n < found + PATIENCE && !ended(k); n++) {
        int64_t sum = ask_all(k, &t, lacking, &moves), step = k->block * 2 / (10 + n);
        if (sum < least) {
            least = sum;
            best = t;
            found = n;
        }
        for (int i = 0; i < k->x.n_kinds; i++)
            change_price(&t.price[i], &trend[i], lacking[i], step);
        change_price(&t.toll, &trend[OFFER_KINDS], moves - k->s->p->max_moves, step);
    }
    for (int i = 0; i < k->x.n_classes; i++)
        k->n_active[i] = k->x.classes[i].n;
    least = ask_all(k, &best, lacking, &moves);
    sift(k, &best, k->block / KEPT);
    memcpy(k->price, best.price, sizeof(k->price));
    k->toll = best.toll;
    return least;
}

/* ---- the search -------------------------------------------------------------------------------- */

static int64_t cost_of_kind(const struct market *k, int kind, int n)
{
    return positive(n) * (k->price[kind] + k->surcharge[kind]);
}

static int64_t cost_of_moves(const struct market *k, int n)
{
    return positive(n - k->s->p->max_moves) * (k->toll + k->surcharge[OFFER_KINDS]);
}

/* Take it (1) or give it back (−1): what that costs. */
static int64_t take_offer(struct market *k, const struct offer *o, int sign)
{
    int64_t cost = -sign * o->worth;
    for (int i = 0; i < o->n; i++) {
        int kind = o->part[i].kind, now = k->lacking[kind];
        int then = i < o->n_leave ? now + sign : now - sign;
        cost += cost_of_kind(k, kind, then) - cost_of_kind(k, kind, now);
        k->lacking[kind] = then;
    }
    int then = k->n_moves + sign * o->n_leave;
    cost += cost_of_moves(k, then) - cost_of_moves(k, k->n_moves);
    k->n_moves = then;
    k->worth += sign * o->worth;
    return cost;
}

static void keep_best(struct market *k)
{
    if (k->worth < k->best_worth || k->n_moves > k->s->p->max_moves ||
        (k->worth == k->best_worth && k->n_moves >= k->best_moves))
        return;
    for (int i = 0; i < k->x.n_kinds; i++)
        if (k->lacking[i] > 0)
            return;
    k->best_worth = k->worth;
    k->best_moves = k->n_moves;
    memcpy(k->best, k->taken, (size_t)k->s->p->n_machines * sizeof(*k->best));
}

/* A machine takes another offer, in place of those that it cannot be taken with; of four times once it
 * only gives these back. */
static void step(struct market *k, int64_t heat)
{
    int m = k->open[below(k, (size_t)k->n_open)], class = k->x.class_of[m], slot = -1;
    const struct offer *all = k->x.classes[class].offers;
    int want = below(k, k->n_active[class]), *taken = k->taken[m], old[TAKEN];
    bool have = false, clash = false;
    memcpy(old, taken, sizeof(old));
    for (int i = 0; i < TAKEN; i++) {
        have = have || taken[i] == want;
        clash = clash || (taken[i] >= 0 && all[taken[i]].where & all[want].where);
    }
    have = have || (clash && below(k, 4) == 0);
    int64_t cost = 0;
    for (int i = 0; i < TAKEN; i++) {
        if (taken[i] >= 0 && all[taken[i]].where & all[want].where) {
            cost += take_offer(k, &all[taken[i]], -1);
            taken[i] = -1;
        }
        slot = taken[i] < 0 ? i : slot;
    }
    if (!have && slot >= 0) {
        cost += take_offer(k, &all[want], 1);
        taken[slot] = want;
    }
    k->steps++;
    if (cost <= heat_draw(&k->rng, heat)) {
        keep_best(k);
        return;
    }
    for (int i = 0; i < TAKEN; i++) {
        if (taken[i] == old[i])
            continue;
        if (taken[i] >= 0)
            take_offer(k, &all[taken[i]], -1);
        if (old[i] >= 0)
            take_offer(k, &all[old[i]], 1);
        taken[i] = old[i];
    }
}

static void raise_surcharges(struct market *k)
{
    for (int i = 0; i <= OFFER_KINDS; i++) {
        bool much = i < OFFER_KINDS ? k->lacking[i] > 0 : k->n_moves > k->s->p->max_moves;
        k->surcharge[i] += much ? k->block / 64 : -k->surcharge[i] / 8;
    }
}

static void give_all_back(struct market *k)
{
    for (int n = 0; n < k->n_open; n++)
        for (int i = 0, m = k->open[n]; i < TAKEN; i++) {
            if (k->taken[m][i] >= 0)
                take_offer(k, &k->x.classes[k->x.class_of[m]].offers[k->taken[m][i]], -1);
            k->taken[m][i] = -1;
        }
}

static void walk(struct market *k, int64_t steps, int64_t hot)
{
    int64_t from = k->steps, cold = hot / COOL;
    give_all_back(k);
    memset(k->surcharge, 0, (OFFER_KINDS + 1) * sizeof(*k->surcharge));
    for (int n = 0; n < SEGMENTS && !ended(k); n++) {
        int64_t heat = hot - (hot - cold) * n / SEGMENTS;
        while (k->steps - from < steps * (n + 1) / SEGMENTS && !ended(k))
            step(k, heat);
        raise_surcharges(k);
    }
}

/* ---- what was found ---------------------------------------------------------------------------- */

/* Items that leave, those of a kind in a list. */
struct leaving {
    int first[OFFER_KINDS], *next;
};

static void let_leave(const struct market *k, int m, const struct offer *o, struct leaving *q)
{
    for (int i = 0; i < o->n_leave; i++)
        for (int item = k->s->first[m]; item >= 0; item = k->s->next[item]) {
            if (k->x.kind[item] != o->part[i].kind || q->next[item] != -2 ||
                k->s->variant[item] != o->part[i].variant)
                continue;
            q->next[item] = q->first[o->part[i].kind];
            q->first[o->part[i].kind] = item;
            break;
        }
}

static void let_come(const struct market *k, int m, const struct offer *o, struct leaving *q)
{
    struct solve_score d;
    for (int i = o->n_leave; i < o->n; i++) {
        int item = q->first[o->part[i].kind];
        if (item < 0)
            continue;
        q->first[o->part[i].kind] = q->next[item];
        if (state_try_lenient(k->s, item, m, o->part[i].variant, &d))
            solve_do_shift(k->s, item, m, o->part[i].variant, &d);
    }
}

static void carry_out(struct market *k)
{
    const struct problem *p = k->s->p;
    struct leaving q = {.next = xcalloc((size_t)p->n_items, sizeof(*q.next))};
    for (int i = 0; i < OFFER_KINDS; i++)
        q.first[i] = -1;
    for (int i = 0; i < p->n_items; i++)
        q.next[i] = -2;
    for (int pass = 0; pass < 2; pass++)
        for (int m = 0; m < p->n_machines; m++)
            for (int i = 0; i < TAKEN; i++) {
                const struct offer_class *c = &k->x.classes[k->x.class_of[m]];
                if (k->best[m][i] >= 0)
                    (pass ? let_come : let_leave)(k, m, &c->offers[k->best[m][i]], &q);
            }
    free(q.next);
}

static int64_t smallest_block(const struct problem *p, int tier)
{
    int64_t least = 0;
    for (int k = 0; k < p->n_terms; k++) {
        const struct solve_term *t = &p->terms[k];
        if (t->kind == TERM_BLOCKS && t->tier == tier && t->weight > 0)
            least = !least || t->weight < least ? t->weight : least;
    }
    return least;
}

/* Offers differ by multiples of this. */
static int64_t grain(const struct offers *x)
{
    int64_t g = 0;
    for (int i = 0; i < x->n_classes; i++)
        for (size_t j = 0; j < x->classes[i].n; j++)
            for (int64_t a = llabs(x->classes[i].offers[j].worth), b; a; a = b) {
                b = g % a;
                g = a;
            }
    return g ? g : 1;
}

static void market_init(struct market *k)
{
    size_t n = (size_t)k->s->p->n_machines;
    rng_init(&k->rng, k->l->seed);
    k->surcharge = xcalloc(OFFER_KINDS + 1, sizeof(*k->surcharge));
    k->n_active = xcalloc((size_t)k->x.n_classes, sizeof(*k->n_active));
    for (int i = 0; i < k->x.n_classes; i++)
        k->n_active[i] = k->x.classes[i].n;
    k->open = xcalloc(n, sizeof(*k->open));
    k->taken = xcalloc(n, sizeof(*k->taken));
    memset(k->taken, 0xff, n * sizeof(*k->taken));
    k->best = xmemdup(k->taken, n * sizeof(*k->best));
}

static void market_done(struct market *k)
{
    offers_done(&k->x);
    free(k->surcharge);
    free(k->n_active);
    free(k->open);
    free(k->taken);
    free(k->best);
}

int64_t solve_trade(struct solve_state *s, int tier, const bool *pinned,
                    const struct solve_limits *l, int64_t *ret_bound)
{
    struct market k = {.s = s, .l = l, .block = smallest_block(s->p, tier) * OFFER_FINE};
    assert(s->p->max_moves >= 0 && !s->n_moved);
    *ret_bound = -1;
    if (!k.block)
        return 0;
    bool all = offers_init(&k.x, s, tier, pinned, l->steps / 2);
    k.steps = k.x.asked;
    market_init(&k);
    int64_t bound = all ? find_prices(&k) : -1;
    for (int m = 0; m < s->p->n_machines; m++)
        if (k.n_active[k.x.class_of[m]])
            k.open[k.n_open++] = m;
    if (all && k.n_open) {
        bound -= bound % grain(&k.x);
        int64_t steps = (l->steps - k.steps) / WALKS;
        for (int n = 0; n < WALKS && k.best_worth < bound && !ended(&k); n++)
            walk(&k, steps, k.block / (n % 2 ? WARM : LUKEWARM));
        carry_out(&k);
        *ret_bound = bound / OFFER_FINE;
    }
    market_done(&k);
    return k.steps;
}
