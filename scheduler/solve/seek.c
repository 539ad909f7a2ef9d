/* One item's place: directly, or by a chain of items that make room for each other. */
#include <limits.h>

#include "lib/base/mem.h"
#include "scheduler/solve/opening.h"

enum {
    ASK_EVERY = 4096,
    ENOUGH = 8,           /* chains found, of which the best is taken */
    TRIED_NEXT = 8,       /* openings tried for an item that makes room … */
    SEEN_NEXT = 128,      /* … on so many machines */
    CHAIN_WORK = 1 << 18, /* prices asked for one item's chains of one depth */
    WORK = 1 << 20,       /* prices asked for all items that need a place, about */
    SCAN_LEAST = 64,
    SCAN_MOST = 1024, /* the best of so many is among the best thousandth of all */
};

void seek_init(struct seek *k, struct solve_state *s, const struct solve_limits *l, bool disturb)
{
    const struct problem *p = s->p;
    *k = (struct seek){
        .l = l,
        .disturb = disturb,
        .ours = xcalloc((size_t)p->n_items, sizeof(*k->ours)),
        .start = xmemdup(s->at, (size_t)p->n_items * sizeof(*s->at)),
        .start_variant = xmemdup(s->variant, (size_t)p->n_items),
        .busy = xcalloc((size_t)p->n_items, sizeof(*k->busy)),
        .most = xcalloc((size_t)p->n_res, sizeof(*k->most)),
    };
    k->scan = p->n_machines;
    trail_init(&k->t, s);
    seek_list_members(k);
    for (int m = 0; m < p->n_machines; m++)
        for (int r = 0; r < p->n_res; r++) {
            int64_t cap = p->cap[(size_t)m * (size_t)p->n_res + (size_t)r];
            k->most[r] = cap > k->most[r] ? cap : k->most[r];
        }
}

void seek_done(struct seek *k)
{
    trail_done(&k->t);
    free(k->ours);
    free(k->start);
    free(k->start_variant);
    free(k->busy);
    free(k->most);
    free(k->member_start);
    free(k->member);
    *k = (struct seek){0};
}

bool seek_ended(struct seek *k)
{
    if (!k->ended && k->steps >= k->l->steps)
        k->ended = true;
    if (!k->ended && k->l->stop && k->steps - k->asked >= ASK_EVERY) {
        k->asked = k->steps;
        k->ended = k->l->stop(k->l->ctx);
    }
    return k->ended;
}

bool seek_needs(const struct seek *k, int item)
{
    const struct solve_state *s = k->t.s;
    return s->at[item] < 0 || !solve_allowed(s->p, item, s->at[item]);
}

int64_t seek_bulk(const struct seek *k, int item)
{
    const struct problem *p = k->t.s->p;
    const int64_t *size = solve_size(p, item, k->t.s->variant[item]);
    int64_t most = 0;
    for (int r = 0; r < p->n_res; r++) {
        int64_t x = k->most[r] > 0 ? size[r] * SOLVE_UNIT / k->most[r] : 0;
        most = x > most ? x : most;
    }
    return most;
}

/* ---- directly --------------------------------------------------------------------------------- */

void seek_share(struct seek *k, int64_t n)
{
    int64_t each = n > 0 ? WORK / n : WORK;
    each = each < SCAN_MOST ? each : SCAN_MOST;
    k->scan = (int)(each < SCAN_LEAST ? SCAN_LEAST : each);
}

struct direct {
    int machine, variant; /* machine −1: none */
    struct solve_score delta;
};

static int greatest_divisor(int a, int b)
{
    return b ? greatest_divisor(b, a % b) : a;
}

/* A stride that comes to each of n machines, and spreads the first ones evenly. */
static int stride_of(int n)
{
    int stride = (int)((int64_t)n * 618 / 1000) + 1;
    while (greatest_divisor(n, stride) > 1)
        stride++;
    return stride;
}

/* How many machines to look at: an item that would rather be somewhere must find it. */
static int scan_of(const struct seek *k, int item)
{
    const struct problem *p = k->t.s->p;
    bool choosy = p->prefer && p->prefer_start[item] < p->prefer_start[item + 1];
    return choosy ? p->n_machines : k->scan;
}

static struct direct best_direct(struct seek *k, int item, bool fair)
{
    struct solve_state *s = k->t.s;
    struct direct best = {.machine = -1};
    struct solve_score d;
    int n = s->p->n_machines, scan = scan_of(k, item), stride = scan < n ? stride_of(n) : 1;
    int m = seek_first(k, item, scan);
    for (int i = 0; i < n && (i < scan || best.machine < 0) && !seek_ended(k); i++) {
        for (int v = 0; v < s->p->n_variants; v++) {
            k->steps++;
            if ((fair ? solve_try_shift(s, item, m, v, &d) : trail_try(&k->t, item, m, v, &d)) &&
                (best.machine < 0 || solve_score_cmp(&d, &best.delta) < 0))
                best = (struct direct){m, v, d};
        }
        m = (m + stride) % n;
    }
    return best;
}

bool seek_direct(struct seek *k, int item, bool fair)
{
    struct direct to = best_direct(k, item, fair);
    if (to.machine < 0)
        return false;
    trail_shift(&k->t, item, to.machine, to.variant, &to.delta);
    if (fair)
        trail_keep(&k->t);
    return true;
}

bool seek_relief(struct seek *k, const int *item, int n)
{
    struct direct best = {.machine = -1};
    int who = -1;
    for (int i = 0; i < n && !seek_ended(k); i++) {
        struct direct x = best_direct(k, item[i], true);
        if (x.machine < 0 || x.delta.tier[TIER_HARD] >= 0 ||
            (who >= 0 && solve_score_cmp(&x.delta, &best.delta) >= 0))
            continue;
        best = x;
        who = item[i];
    }
    if (who < 0)
        return false;
    trail_shift(&k->t, who, best.machine, best.variant, &best.delta);
    trail_keep(&k->t);
    return true;
}

/* ---- chains ----------------------------------------------------------------------------------- */

static bool seat(struct seek *k, int item, int depth);

static bool chain_goes_on(struct seek *k)
{
    return k->steps < k->chain_until && !seek_ended(k);
}

/* Chains move room about; they make none. */
static bool room_anywhere(const struct seek *k, int item)
{
    const struct solve_state *s = k->t.s;
    const struct problem *p = s->p;
    for (int r = 0; r < p->n_res; r++) {
        int64_t lack = INT64_MAX;
        for (int v = 0; v < p->n_variants; v++)
            lack = solve_size(p, item, v)[r] < lack ? solve_size(p, item, v)[r] : lack;
        for (int m = 0; m < p->n_machines && lack > 0; m++)
            lack -= trail_room(&k->t, m, r) > 0 ? trail_room(&k->t, m, r) : 0;
        if (lack > 0)
            return false;
    }
    return true;
}

/* Take the opening, and find those a place that left. False: the state is as before. */
static bool take_opening(struct seek *k, int item, const struct opening *o, int depth)
{
    size_t mark = k->t.n_steps;
    struct solve_score d;
    int i = 0;
    for (; i < o->n; i++)
        trail_remove(&k->t, o->item[i]);
    k->busy[item] = true;
    k->steps++;
    bool ok = trail_try(&k->t, item, o->machine, o->variant, &d);
    if (ok)
        trail_shift(&k->t, item, o->machine, o->variant, &d);
    for (i = o->n - 1; i >= 0 && ok; i--)
        ok = seat(k, o->item[i], depth - 1);
    k->busy[item] = false;
    if (!ok)
        trail_undo(&k->t, mark);
    return ok;
}

/* Behind the first item of a chain: the first way that is found. */
static bool seat(struct seek *k, int item, int depth)
{
    if (seek_direct(k, item, false))
        return true;
    struct openings l;
    if (!depth || !chain_goes_on(k))
        return false;
    find_openings(k, &l, item, SEEN_NEXT);
    for (int i = 0; i < l.n && i < TRIED_NEXT && chain_goes_on(k); i++)
        if (take_opening(k, item, &l.o[i], depth))
            return true;
    return false;
}

/* Take the steps again after they were taken back: where each item was in the end. */
struct ends {
    size_t n;
    struct trail_step *step;
};

static void ends_note(struct ends *e, const struct trail *t)
{
    e->n = 0;
    for (size_t i = 0; i < t->n_steps; i++) {
        int item = t->step[i].item;
        if (t->s->at[item] < 0)
            continue;
        *vec_add(&e->step, &e->n) = (struct trail_step){
            .item = item, .machine = t->s->at[item], .variant = t->s->variant[item]};
    }
}

static void ends_take(const struct ends *e, struct trail *t)
{
    struct solve_score d;
    for (size_t i = 0; i < e->n; i++)
        if (t->s->at[e->step[i].item] >= 0)
            trail_remove(t, e->step[i].item);
    for (size_t i = 0; i < e->n; i++)
        if (state_try_lenient(t->s, e->step[i].item, e->step[i].machine, e->step[i].variant, &d))
            trail_shift(t, e->step[i].item, e->step[i].machine, e->step[i].variant, &d);
    trail_keep(t);
}

bool seek_chain(struct seek *k, int item, int depth)
{
    struct openings l;
    struct ends best = {0};
    struct solve_score score = {0};
    int found = 0;
    int64_t hard = k->t.s->score.tier[TIER_HARD];
    if (!room_anywhere(k, item))
        return false;
    k->chain_until = k->steps + CHAIN_WORK;
    find_openings(k, &l, item, INT_MAX);
    for (int i = 0; i < l.n && found < ENOUGH && chain_goes_on(k); i++) {
        if (!take_opening(k, item, &l.o[i], depth))
            continue;
        if (trail_fair(&k->t) && k->t.s->score.tier[TIER_HARD] < hard) {
            if (!found++ || solve_score_cmp(&k->t.s->score, &score) < 0) {
                score = k->t.s->score;
                ends_note(&best, &k->t);
            }
        }
        trail_undo(&k->t, 0);
    }
    if (found)
        ends_take(&best, &k->t);
    free(best.step);
    return found;
}
