/* The sequence: moves that wait for each other in a circle are found as strongly connected parts of
 * a graph of moves and of the pools there is too little in. Part after part, what is waited for comes
 * first; so nothing outside a circle is ever in the way. */
#include <limits.h>
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/graph.h"
#include "scheduler/solve/internal.h"
#include "scheduler/solve/pool.h"

/* Of up to SURE_MOVES moves in a circle every order is tried where it matters which goes first. */
enum { MAX_PARKS = 2, SURE_MOVES = 12 };

/* A move that is still to be made. */
struct todo {
    struct solve_step q;
    uint8_t v;  /* the variant it has now */
    int parked; /* how often */
};

struct run {
    const struct problem *p;
    const struct solve_order_limits *l;
    struct pools w;
    struct todo *todo;
    int64_t *asked;             /* per pool: what the moves at hand take together */
    int *node;                  /* per pool: its node in the graph at hand, 0 none */
    size_t *touched, n_touched; /* pools of which asked or node is set */
    size_t n_steps, n_stuck;
    struct solve_order *o;
};

static bool ask(struct run *r, int k)
{
    return pools_ask(&r->w, &r->todo[k].q, r->todo[k].v);
}

static bool scarce(const struct run *r, const struct need *q)
{
    return q->chain || r->asked[q->pool] > r->w.room[q->pool];
}

static void touch(struct run *r, size_t pool)
{
    *vec_add(&r->touched, &r->n_touched) = pool;
}

/* asked[] of these moves, and no others. */
static void note_asked(struct run *r, const int *moves, int n)
{
    for (int i = 0; i < n; i++) {
        ask(r, moves[i]);
        for (int k = 0; k < r->w.n_need; k++) {
            const struct need *q = &r->w.need[k];
            if (q->take > 0 && !r->asked[q->pool])
                touch(r, q->pool);
            r->asked[q->pool] += q->take;
        }
    }
}

static void forget(struct run *r)
{
    while (r->n_touched) {
        size_t pool = r->touched[--r->n_touched];
        r->asked[pool] = r->node[pool] = 0;
    }
}

/* The step just asked about. */
static void make(struct run *r, const struct solve_step *q)
{
    pools_make(&r->w);
    *vec_add(&r->o->steps, &r->n_steps) = *q;
}

/* The same, to be taken back. Gives. */
static struct need *pretend(struct run *r, int *ret_n)
{
    *ret_n = r->w.n_need;
    struct need *made = xmemdup(r->w.need, (size_t)*ret_n * sizeof(*made));
    pools_make(&r->w);
    return made;
}

static void take_back(struct run *r, struct need *made, int n)
{
    for (int k = 0; k < n; k++)
        r->w.room[made[k].pool] += made[k].take - made[k].give;
    free(made);
}

static void give_up(struct run *r, const int *moves, int n)
{
    for (int i = 0; i < n; i++)
        *vec_add(&r->o->stuck, &r->n_stuck) = r->todo[moves[i]].q.item;
}

/* ---- parking ---------------------------------------------------------------------------------- */

/* How much is left for it after everything the moves at hand will take: < 0, it is in their way. */
static int64_t leisure(const struct run *r)
{
    int64_t least = INT64_MAX;
    for (int k = 0; k < r->w.n_need; k++) {
        const struct need *q = &r->w.need[k];
        int64_t left = r->w.room[q->pool] - r->asked[q->pool] - q->take;
        if (q->take > 0 && left < least)
            least = left;
    }
    return least;
}

/* The best place for a move's item to wait at. */
static bool find_parking(struct run *r, int move, struct solve_step *ret)
{
    const struct problem *p = r->p;
    const struct todo *t = &r->todo[move];
    int64_t best = 0;
    bool found = false;
    if (t->parked >= MAX_PARKS || t->q.from < 0 ||
        (r->l->max_parked >= 0 && r->o->n_parked >= r->l->max_parked))
        return false;
    for (int m = 0; m < p->n_machines && !(found && best >= 0); m++) {
        if (!solve_allowed(p, t->q.item, m))
            continue;
        for (int v = 0; v < p->n_variants; v++) {
            struct solve_step q = t->q;
            q.to = m;
            q.variant = (uint8_t)v;
            if ((m == t->q.from && v == t->v) || (m == t->q.to && v == t->q.variant) ||
                (p->variants && !(p->variants[q.item] >> v & 1)) || !pools_ask(&r->w, &q, t->v))
                continue;
            int64_t l = leisure(r);
            if (found && l <= best)
                continue;
            found = true;
            best = l;
            *ret = q;
        }
    }
    return found;
}

/* Whether another of the moves fits once this step is made. */
static bool helps(struct run *r, const int *moves, int n, int move, const struct solve_step *q)
{
    int n_made;
    bool any = false;
    pools_ask(&r->w, q, r->todo[move].v);
    struct need *made = pretend(r, &n_made);
    for (int i = 0; i < n && !any; i++)
        any = moves[i] != move && ask(r, moves[i]);
    take_back(r, made, n_made);
    return any;
}

/* One of the moves' items goes elsewhere for a while: the first that lets another one in, else the
 * first that can. asked[] is of these moves. */
static bool park(struct run *r, const int *moves, int n)
{
    struct solve_step q, other;
    int best = -1;
    for (int i = 0; i < n; i++) {
        if (!find_parking(r, moves[i], &q))
            continue;
        bool good = helps(r, moves, n, moves[i], &q);
        if (best >= 0 && !good)
            continue;
        best = moves[i];
        other = q;
        if (good)
            break;
    }
    if (best < 0)
        return false;
    struct todo *t = &r->todo[best];
    pools_ask(&r->w, &other, t->v);
    make(r, &other);
    t->q.from = other.to;
    t->v = other.variant;
    t->parked++;
    r->o->n_parked++;
    return true;
}

/* ---- every order ------------------------------------------------------------------------------ */

struct orders {
    struct run *r;
    const int *moves;
    int n;
    bool *dead; /* by which moves were made: the rest cannot be */
};

static bool can_end(struct orders *x, uint32_t made);

/* The k-th of the moves next, and the rest in some order? */
static bool can_go_on(struct orders *x, uint32_t made, int k)
{
    int n_made;
    if (made >> k & 1 || !ask(x->r, x->moves[k]))
        return false;
    struct need *q = pretend(x->r, &n_made);
    bool ok = can_end(x, made | 1U << k);
    take_back(x->r, q, n_made);
    return ok;
}

static bool can_end(struct orders *x, uint32_t made)
{
    bool ok = made == (1U << x->n) - 1;
    for (int k = 0; k < x->n && !ok && !x->dead[made]; k++)
        ok = can_go_on(x, made, k);
    x->dead[made] = !ok;
    return ok;
}

/* Which goes first so that all can be made without parking: `best`, if it is as good as others. */
static int surest(struct run *r, const int *moves, int n, int best)
{
    if (n > SURE_MOVES)
        return best;
    cleanup(freep) bool *dead = xcalloc((size_t)1 << n, sizeof(*dead));
    struct orders x = {.r = r, .moves = moves, .n = n, .dead = dead};
    if (can_go_on(&x, 0, best))
        return best;
    for (int k = 0; k < n; k++)
        if (can_go_on(&x, 0, k))
            return k;
    return best;
}

/* ---- one circle ------------------------------------------------------------------------------- */

/* A move that fits: 1 it takes only what there is enough of, so that it is in nobody's way; else how
 * many scarce pools it gives to, less those it takes from, is its worth. */
static bool look(struct run *r, int move, int *ret_worth)
{
    bool fits = ask(r, move), free = true;
    int worth = 0;
    for (int k = 0; k < r->w.n_need; k++) {
        const struct need *q = &r->w.need[k];
        if (!scarce(r, q))
            continue;
        worth += (q->give > 0) - (q->take > 0);
        free = free && q->take == 0;
    }
    *ret_worth = free ? INT_MAX : worth;
    return fits;
}

/* Make some of the moves, all that are free or else the worthiest; those that stay come to the front.
 * Returns how many stay. */
static int advance(struct run *r, int *moves, int n)
{
    int left = 0, best = -1, best_worth = 0;
    for (int i = 0; i < n; i++) {
        int worth;
        if (look(r, moves[i], &worth)) {
            if (worth == INT_MAX) {
                make(r, &r->todo[moves[i]].q);
                continue;
            }
            if (best < 0 || worth > best_worth) {
                best = left;
                best_worth = worth;
            }
        }
        moves[left++] = moves[i];
    }
    if (left < n || best < 0)
        return left;
    best = surest(r, moves, n, best);
    ask(r, moves[best]);
    make(r, &r->todo[moves[best]].q);
    memmove(&moves[best], &moves[best + 1], (size_t)(n - best - 1) * sizeof(*moves));
    return n - 1;
}

/* ---- the graph of all ------------------------------------------------------------------------- */

struct edges {
    int (*pair)[2];
    size_t n;
    int n_nodes;
};

static void note_edges(struct run *r, int node, int move, struct edges *e)
{
    ask(r, move);
    for (int k = 0; k < r->w.n_need; k++) {
        const struct need *q = &r->w.need[k];
        if (!scarce(r, q) || !(q->take > 0 || q->give > 0 || q->chain))
            continue;
        int *pool = &r->node[q->pool];
        if (!*pool) {
            *pool = e->n_nodes++;
            touch(r, q->pool);
        }
        int(*x)[2];
        if (q->take > 0 || q->chain) {
            x = vec_add(&e->pair, &e->n);
            (*x)[0] = node;
            (*x)[1] = *pool;
        }
        if (q->give > 0 || q->chain) {
            x = vec_add(&e->pair, &e->n);
            (*x)[0] = *pool;
            (*x)[1] = node;
        }
    }
}

static int by_part(const void *a, const void *b)
{
    const int(*x)[2] = a, (*y)[2] = b;
    return (*x)[0] != (*y)[0] ? (*y)[0] - (*x)[0] : (*y)[1] - (*x)[1];
}

/* Sorts the moves by their parts, the one that comes first last. ret_part: of each, then. */
static void sort_parts(struct run *r, int *moves, int n, int *ret_part)
{
    struct edges e = {.n_nodes = n + 1}; /* 0 is no node: the number of a pool that has none yet */
    note_asked(r, moves, n);
    for (int i = 0; i < n; i++)
        note_edges(r, i + 1, moves[i], &e);
    forget(r);
    cleanup(freep) int *start = xcalloc((size_t)e.n_nodes + 2, sizeof(int));
    cleanup(freep) int *of = xcalloc(e.n + 1, sizeof(int));
    cleanup(freep) int *part = xcalloc((size_t)e.n_nodes, sizeof(int));
    cleanup(freep) int(*sorted)[2] = xcalloc((size_t)n, sizeof(*sorted));
    for (size_t i = 0; i < e.n; i++)
        start[e.pair[i][0] + 2]++;
    for (int i = 2; i <= e.n_nodes + 1; i++)
        start[i] += start[i - 1];
    for (size_t i = 0; i < e.n; i++)
        of[start[e.pair[i][0] + 1]++] = e.pair[i][1];
    free(e.pair);
    graph_parts(e.n_nodes, start, of, part);
    for (int i = 0; i < n; i++) {
        sorted[i][0] = part[i + 1];
        sorted[i][1] = moves[i];
    }
    qsort(sorted, (size_t)n, sizeof(*sorted), by_part);
    for (int i = 0; i < n; i++) {
        ret_part[i] = sorted[i][0];
        moves[i] = sorted[i][1];
    }
}

/* ---- all -------------------------------------------------------------------------------------- */

/* Moves at the end of ids[] that come next. */
struct set {
    int n;
    bool circle; /* they wait for each other */
};

struct sets {
    int *ids, n_ids;
    struct set *set;
    size_t n;
};

static void push(struct sets *x, int n, bool circle)
{
    if (n)
        *vec_add(&x->set, &x->n) = (struct set){.n = n, .circle = circle};
}

static void split(struct run *r, struct sets *x, int n)
{
    int *moves = &x->ids[x->n_ids - n], from = 0;
    cleanup(freep) int *part = xcalloc((size_t)n, sizeof(int));
    sort_parts(r, moves, n, part);
    for (int i = 1; i <= n; i++)
        if (i == n || part[i] != part[from]) {
            push(x, i - from, true);
            from = i;
        }
}

static void run_circle(struct run *r, struct sets *x, int n)
{
    int *moves = &x->ids[x->n_ids - n];
    note_asked(r, moves, n);
    int left = advance(r, moves, n);
    bool ended = left == n && !park(r, moves, n);
    forget(r);
    if (ended)
        give_up(r, moves, n);
    x->n_ids -= ended ? n : n - left;
    push(x, ended ? 0 : left, false);
}

static void run_sets(struct run *r, struct sets *x)
{
    while (x->n) {
        struct set s = x->set[--x->n];
        if (s.n > 1 && s.circle) {
            run_circle(r, x, s.n);
        } else if (s.n > 1) {
            split(r, x, s.n);
        } else {
            int move = x->ids[--x->n_ids];
            if (ask(r, move))
                make(r, &r->todo[move].q);
            else
                give_up(r, &move, 1);
        }
    }
}

bool solve_order(const struct problem *p, const int *at, const uint8_t *variant,
                 const struct solve_order_limits *l, struct solve_order *ret)
{
    struct run r = {.p = p, .l = l, .o = ret};
    struct sets x = {.ids = xcalloc((size_t)p->n_items, sizeof(int))};
    size_t n_todo = 0;
    *ret = (struct solve_order){0};
    pools_init(&r.w, p, l->twice);
    r.asked = xcalloc(r.w.n, sizeof(*r.asked));
    r.node = xcalloc(r.w.n, sizeof(*r.node));
    for (int i = 0; i < p->n_items; i++) {
        if (at[i] < 0 || (at[i] == p->home[i] && variant[i] == home_variant(p, i)))
            continue;
        struct todo *t = vec_add(&r.todo, &n_todo);
        t->q =
            (struct solve_step){.item = i, .from = p->home[i], .to = at[i], .variant = variant[i]};
        t->v = home_variant(p, i);
        x.ids[x.n_ids++] = (int)n_todo - 1;
    }
    push(&x, x.n_ids, false);
    run_sets(&r, &x);
    ret->n_steps = (int)r.n_steps;
    ret->n_stuck = (int)r.n_stuck;
    order_after(p, l->twice, ret);
    pools_done(&r.w);
    free(r.asked);
    free(r.node);
    free(r.touched);
    free(r.todo);
    free(x.ids);
    free(x.set);
    return !ret->n_stuck;
}

void solve_order_done(struct solve_order *o)
{
    free(o->steps);
    free(o->after_start);
    free(o->after_of);
    free(o->stuck);
    *o = (struct solve_order){0};
}
