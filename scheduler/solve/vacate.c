#include "scheduler/solve/vacate.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "scheduler/solve/trail.h"

enum {
    WIDTH = 8,         /* places tried for one item before one before it is moved */
    BACK = 64,         /* steps back in one packing … */
    BACK_EXACT = 4096, /* … and where every set is looked at */
    ALL_SETS = 16,     /* machines */
    STALE = 300,       /* tries in a row that bring nothing */
    DEEP = 4096,       /* items packed at once */
};

struct pick { /* a set of machines, and what it costs */
    bool *gone;
    int n;
    int64_t cost;
};
struct work {
    struct trail t;
    struct solve_state *s;
    const struct vacate *v;
    struct rng rng;
    int64_t steps, until;
    bool (*stop)(void *ctx);
    void *ctx;
    int *may, n_may; /* machines that may be emptied, the cheapest first */
    int64_t *cost;   /* per machine: of moving what is at home there */
    int64_t *moves;  /* the same */
    int64_t *bulk;   /* per item */
    struct pick now, best;
    int64_t n_moves;   /* of now */
    int *best_at;      /* per item */
    int64_t soft;      /* at the beginning */
    int back;          /* steps back left */
    bool even;         /* the emptiest machine first, not the fullest that will do */
    int *list, n_list; /* items to pack */
};
struct option {
    int machine;
    int64_t left;
    struct solve_score delta;
};

static bool ended(const struct work *k)
{
    return k->steps >= k->until || (k->stop && k->stop(k->ctx));
}

/* ---- packing ---------------------------------------------------------------------------------- */

/* What would be left on the machine, in parts of what it has. */
static int64_t left_after(const struct work *k, int item, int m)
{
    const struct problem *p = k->s->p;
    int64_t sum = 0;
    for (int r = 0; r < p->n_res; r++) {
        int64_t cap = p->cap[(size_t)m * (size_t)p->n_res + (size_t)r];
        if (cap > 0 && cap < INT64_MAX / 4)
            sum += (int64_t)((__int128)(trail_room(&k->t, m, r) - solve_size(p, item, 0)[r]) *
                             65536 / cap);
    }
    return k->even ? -sum : sum;
}

static bool is_better(const struct option *a, const struct option *b)
{
    int64_t x = a->delta.tier[TIER_SOFT], y = b->delta.tier[TIER_SOFT];
    return x != y ? x < y : a->left < b->left;
}

/* The best places first; returns how many. */
static int options_of(struct work *k, int item, struct option *o)
{
    const struct problem *p = k->s->p;
    int n = 0;
    for (int m = 0; m < p->n_machines; m++) {
        struct option x = {.machine = m};
        if (k->now.gone[m])
            continue;
        k->steps++;
        if (!trail_try(&k->t, item, m, 0, &x.delta))
            continue;
        x.left = left_after(k, item, m);
        if (n == WIDTH && !is_better(&x, &o[n - 1]))
            continue;
        int at = n < WIDTH ? n++ : WIDTH - 1;
        for (; at > 0 && is_better(&x, &o[at - 1]); at--)
            o[at] = o[at - 1];
        o[at] = x;
    }
    return n;
}

/* The i-th item of the list and all after it. What is placed when it fails is taken back. */
static bool pack(struct work *k, int i)
{
    struct option o[WIDTH];
    size_t mark = k->t.n_steps;
    if (i == k->n_list)
        return k->s->score.tier[TIER_SOFT] <= k->soft && trail_fair(&k->t);
    int n = options_of(k, k->list[i], o);
    for (int j = 0; j < n; j++) {
        trail_shift(&k->t, k->list[i], o[j].machine, 0, &o[j].delta);
        if (pack(k, i + 1))
            return true;
        trail_undo(&k->t, mark);
        if (--k->back < 0 || ended(k))
            return false;
    }
    return false;
}

static void list_items(struct work *k, int m)
{
    for (int i = k->s->first[m]; i >= 0; i = k->s->next[i]) {
        int at = k->n_list++;
        for (; at > 0 && (k->bulk[k->list[at - 1]] < k->bulk[i] ||
                          (k->bulk[k->list[at - 1]] == k->bulk[i] && k->list[at - 1] > i));
             at--)
            k->list[at] = k->list[at - 1];
        k->list[at] = i;
    }
}

/* Does what all chosen machines hold fit into what the others have free, were it a liquid? */
static bool may_fit(const struct work *k)
{
    const struct problem *p = k->s->p;
    for (int r = 0; r < p->n_res; r++) {
        int64_t need = 0, room = 0;
        for (int m = 0; m < p->n_machines; m++) {
            int64_t free_here = trail_room(&k->t, m, r);
            if (k->now.gone[m])
                need += k->s->load[(size_t)m * (size_t)p->n_res + (size_t)r];
            else
                room += free_here > 0 ? free_here : 0;
            room = room < INT64_MAX / 4 ? room : INT64_MAX / 4;
        }
        if (need > room)
            return false;
    }
    return true;
}

/* ---- sets of machines --------------------------------------------------------------------------- */

static void choose(struct work *k, int m, bool gone)
{
    int sign = gone ? 1 : -1;
    k->now.gone[m] = gone;
    k->now.n += sign;
    k->now.cost += sign * k->cost[m];
    k->n_moves += sign * k->moves[m];
}

static void begin_again(struct work *k)
{
    trail_undo(&k->t, 0);
    for (int i = 0; i < k->n_may; i++)
        if (k->now.gone[k->may[i]])
            choose(k, k->may[i], false);
}

static bool allowed(const struct work *k)
{
    return k->n_moves <= k->v->max_moves && k->now.n <= k->v->most &&
           (!k->v->fair || k->v->fair(k->v->ctx, k->now.gone));
}

/* All that is on chosen machines, from the beginning. */
static bool repack(struct work *k, int back)
{
    trail_undo(&k->t, 0);
    if (!may_fit(k))
        return false;
    k->n_list = 0;
    k->back = back;
    for (int i = 0; i < k->n_may; i++)
        if (k->now.gone[k->may[i]])
            list_items(k, k->may[i]);
    return k->n_list <= DEEP && pack(k, 0);
}

/* One machine more, with what came to it from others. */
static bool add(struct work *k, int m)
{
    choose(k, m, true);
    if (!allowed(k)) {
        choose(k, m, false);
        return false;
    }
    k->n_list = 0;
    k->back = BACK;
    list_items(k, m);
    if (k->n_list <= DEEP && pack(k, 0))
        return true;
    choose(k, m, false);
    return false;
}

static bool beats(const struct pick *a, const struct pick *b)
{
    return a->n != b->n ? a->n > b->n : a->cost < b->cost;
}

static void remember(struct work *k)
{
    size_t n = (size_t)k->s->p->n_machines;
    if (!beats(&k->now, &k->best))
        return;
    k->best.n = k->now.n;
    k->best.cost = k->now.cost;
    memcpy(k->best.gone, k->now.gone, n * sizeof(*k->now.gone));
    memcpy(k->best_at, k->s->at, (size_t)k->s->p->n_items * sizeof(*k->best_at));
}

static void greedy(struct work *k, const int *order)
{
    for (int i = 0; i < k->n_may && !ended(k); i++)
        if (!k->now.gone[order[i]])
            add(k, order[i]);
    remember(k);
}

/* The best set so far without one to three of its machines, then others in an order that is the
 * cheapest first, more or less. */
static void vary(struct work *k, int *order)
{
    int drop = 1 + (int)rng_below(&k->rng, 3), out[3];
    for (int i = 0; i < drop; i++)
        out[i] = k->may[rng_below(&k->rng, (uint64_t)k->n_may)];
    begin_again(k);
    for (int i = 0; i < k->n_may && !ended(k); i++) {
        int m = k->may[i];
        bool dropped = m == out[0] || (drop > 1 && m == out[1]) || (drop > 2 && m == out[2]);
        if (k->best.gone[m] && !dropped)
            add(k, m);
    }
    memcpy(order, k->may, (size_t)k->n_may * sizeof(*order));
    for (int i = 0; i + 1 < k->n_may; i++) {
        uint64_t near = (uint64_t)(k->n_may - i < 6 ? k->n_may - i : 6);
        int j = i + (int)rng_below(&k->rng, near), m = order[i];
        order[i] = order[j];
        order[j] = m;
    }
    greedy(k, order);
}

/* Every set of `left` more machines from the i-th on that would be better than the best. */
static void every(struct work *k, int i, int left)
{
    struct pick want = {.n = k->now.n + left, .cost = k->now.cost};
    if (!beats(&want, &k->best) || k->n_moves > k->v->max_moves || ended(k))
        return;
    if (!left) {
        if (allowed(k) && repack(k, BACK_EXACT))
            remember(k);
        return;
    }
    for (; i + left <= k->n_may; i++) {
        choose(k, k->may[i], true);
        every(k, i + 1, left - 1);
        choose(k, k->may[i], false);
    }
}

static void all_sets(struct work *k)
{
    begin_again(k);
    int n = k->n_may < k->v->most ? k->n_may : k->v->most;
    for (; n >= k->best.n && n > 0; n--) /* the first number that works is the best */
        every(k, 0, n);
    trail_undo(&k->t, 0);
}

/* ---- all of it -------------------------------------------------------------------------------- */

static void weigh(struct work *k)
{
    const struct problem *p = k->s->p;
    for (int r = 0; r < p->n_res; r++) {
        __int128 all = 0;
        for (int m = 0; m < p->n_machines; m++) {
            int64_t cap = p->cap[(size_t)m * (size_t)p->n_res + (size_t)r];
            all += cap < INT64_MAX / 4 ? cap : 0;
        }
        for (int i = 0; all > 0 && i < p->n_items; i++)
            k->bulk[i] += (int64_t)((__int128)solve_size(p, i, 0)[r] * (1 << 30) / all);
    }
    for (int i = 0; i < p->n_items; i++)
        if (p->home[i] >= 0) {
            k->cost[p->home[i]] += p->move_cost ? p->move_cost[i] : 0;
            k->moves[p->home[i]] += k->v->moves[i];
        }
}

static void rank(struct work *k)
{
    for (int m = 0; m < k->s->p->n_machines; m++) {
        if (!k->v->may[m] || k->moves[m] > k->v->max_moves)
            continue;
        int at = k->n_may++;
        for (; at > 0 && k->cost[k->may[at - 1]] > k->cost[m]; at--)
            k->may[at] = k->may[at - 1];
        k->may[at] = m;
    }
}

static void search(struct work *k)
{
    cleanup(freep) int *order = xcalloc((size_t)k->n_may, sizeof(*order));
    greedy(k, k->may);
    bool small = k->n_may <= ALL_SETS;
    for (int stale = 0; !small && k->n_may && stale < STALE && !ended(k); stale++) {
        struct pick was = k->best;
        vary(k, order);
        stale = beats(&k->best, &was) ? 0 : stale;
    }
    if (small)
        all_sets(k);
}

/* Take the best set; the others are filled evenly where that works, else as they were found. */
static void take_best(struct work *k)
{
    struct solve_score d;
    begin_again(k);
    for (int i = 0; i < k->n_may; i++)
        if (k->best.gone[k->may[i]])
            choose(k, k->may[i], true);
    k->even = true;
    k->until = INT64_MAX; /* the packing is known; this is one more */
    k->stop = NULL;
    if (!k->best.n || repack(k, BACK))
        return;
    for (int i = 0; i < k->s->p->n_items; i++)
        if (k->best_at[i] != k->s->at[i] && state_try_lenient(k->s, i, k->best_at[i], 0, &d))
            trail_shift(&k->t, i, k->best_at[i], 0, &d);
}

int64_t solve_vacate(struct solve_state *s, const struct solve_limits *l, const struct vacate *v,
                     bool *ret_empty)
{
    size_t n = (size_t)s->p->n_machines, items = (size_t)s->p->n_items;
    struct work k = {
        .s = s,
        .v = v,
        .until = l->steps,
        .stop = l->stop,
        .ctx = l->ctx,
        .may = xcalloc(n, sizeof(*k.may)),
        .cost = xcalloc(n, sizeof(*k.cost)),
        .moves = xcalloc(n, sizeof(*k.moves)),
        .bulk = xcalloc(items, sizeof(*k.bulk)),
        .now = {.gone = xcalloc(n, sizeof(bool))},
        .best = {.gone = xcalloc(n, sizeof(bool))},
        .best_at = xcalloc(items, sizeof(*k.best_at)),
        .soft = s->score.tier[TIER_SOFT],
        .list = xcalloc(items, sizeof(*k.list)),
    };
    rng_init(&k.rng, l->seed);
    trail_init(&k.t, s);
    weigh(&k);
    rank(&k);
    search(&k);
    take_best(&k);
    memcpy(ret_empty, k.best.gone, n * sizeof(*ret_empty));
    trail_keep(&k.t);
    trail_done(&k.t);
    free(k.may);
    free(k.cost);
    free(k.moves);
    free(k.bulk);
    free(k.now.gone);
    free(k.best.gone);
    free(k.best_at);
    free(k.list);
    return k.steps;
}
