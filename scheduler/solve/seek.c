/* One item's place: directly, or by a chain of items that make room for each other. */
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/seek.h"

enum {
    ASK_EVERY = 4096,
    EJECT = 4,      /* items that leave one machine for one that comes */
    TRIED = 64,     /* openings tried for the first item of a chain; fewer for those behind it */
    ENOUGH = 8,     /* chains found, of which the best is taken */
    WORK = 1 << 20, /* prices asked for all items that need a place, about */
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

/* Where not all machines are looked at, every item begins at another one. */
static struct direct best_direct(struct seek *k, int item, bool fair)
{
    struct solve_state *s = k->t.s;
    struct direct best = {.machine = -1};
    struct solve_score d;
    int n = s->p->n_machines, scan = scan_of(k, item), stride = scan < n ? stride_of(n) : 1;
    int m = scan < n ? (int)((uint64_t)item * 2654435761U % (uint64_t)n) : 0;
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

/* An item comes to a machine once others have left it. */
struct opening {
    int machine, variant, n, item[EJECT];
    struct solve_score rank; /* what it costs, if those that leave find a place for nothing */
};
struct openings {
    int n, room;
    struct opening o[TRIED];
};

static void keep_opening(struct openings *l, const struct opening *o)
{
    int i = l->n < l->room ? l->n++ : l->n;
    for (; i > 0 && solve_score_cmp(&o->rank, &l->o[i - 1].rank) < 0; i--)
        if (i < l->room)
            l->o[i] = l->o[i - 1];
    if (i < l->room)
        l->o[i] = *o;
}

static bool may_leave(const struct seek *k, int item)
{
    return !k->busy[item] && (k->disturb || k->ours[item]);
}

/* Item fits there once those of o have left: note it. State as before. */
static bool try_opening(struct seek *k, struct openings *l, int item, struct opening *o)
{
    struct solve_state *s = k->t.s;
    const struct problem *p = s->p;
    size_t mark = k->t.n_steps;
    int64_t need = 0, cost = 0;
    struct solve_score before = s->score;
    for (int i = 0; i < o->n; i++) {
        int y = o->item[i];
        need += p->need ? p->need[y] : 1;
        cost += p->move_cost && !is_away(p, y, s->at[y], s->variant[y]) ? p->move_cost[y] : 0;
        trail_remove(&k->t, y);
    }
    struct solve_score d;
    k->steps++;
    bool fits = trail_try(&k->t, item, o->machine, o->variant, &d);
    if (fits) {
        for (int t = 0; t < SOLVE_TIERS; t++)
            o->rank.tier[t] = s->score.tier[t] + d.tier[t] - before.tier[t];
        o->rank.tier[TIER_HARD] -= need;
        o->rank.tier[TIER_COST] += cost;
        keep_opening(l, o);
    }
    trail_undo(&k->t, mark);
    return fits;
}

/* Those on machine m that may leave, the smallest first. */
static int leavers(const struct seek *k, int m, int **ret)
{
    int *y = NULL;
    size_t n = 0;
    for (int i = k->t.s->first[m]; i >= 0; i = k->t.s->next[i]) {
        if (!may_leave(k, i))
            continue;
        vec_add(&y, &n);
        size_t at = n - 1;
        int64_t bulk = seek_bulk(k, i);
        for (; at > 0 && seek_bulk(k, y[at - 1]) > bulk; at--)
            y[at] = y[at - 1];
        y[at] = i;
    }
    *ret = y;
    return (int)n;
}

static void openings_of_machine(struct seek *k, struct openings *l, int item, int m)
{
    const struct problem *p = k->t.s->p;
    cleanup(freep) int *y = NULL;
    int n = leavers(k, m, &y);
    for (int v = 0; v < p->n_variants; v++) {
        bool any = false;
        struct opening o = {.machine = m, .variant = v};
        for (int i = 0; i < n; i++) {
            o.n = 1;
            o.item[0] = y[i];
            any |= try_opening(k, l, item, &o);
        }
        /* several that lie side by side in size leave together */
        for (int many = 2; !any && many <= EJECT; many++)
            for (int i = 0; i + many <= n && !any; i++) {
                o.n = many;
                memcpy(o.item, &y[i], (size_t)many * sizeof(*y));
                any = try_opening(k, l, item, &o);
            }
    }
}

static bool seat(struct seek *k, int item, int depth);

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

static void find_openings(struct seek *k, struct openings *l, int item, int depth)
{
    const struct problem *p = k->t.s->p;
    l->n = 0;
    l->room = depth == SEEK_DEPTH ? TRIED / 4 : TRIED;
    for (int m = 0; m < p->n_machines && !seek_ended(k); m++)
        if (solve_allowed(p, item, m) && m != k->t.s->at[item])
            openings_of_machine(k, l, item, m);
}

/* Behind the first item of a chain: the first way that is found. */
static bool seat(struct seek *k, int item, int depth)
{
    if (seek_direct(k, item, false))
        return true;
    struct openings l;
    if (!depth)
        return false;
    find_openings(k, &l, item, depth);
    for (int i = 0; i < l.n && i < TRIED / 8 && !seek_ended(k); i++)
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
    find_openings(k, &l, item, 1);
    for (int i = 0; i < l.n && found < ENOUGH && !seek_ended(k); i++) {
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
