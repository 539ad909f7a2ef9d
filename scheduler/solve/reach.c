#include "scheduler/solve/reach.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "scheduler/solve/internal.h"
#include "scheduler/solve/pool.h"

enum { DEPTH = 64, TABLE = 1 << 18, STATES = TABLE / 2 };

/* An assignment, by the step that led to it. */
struct node {
    int parent, item, to;
    int depth;
    uint64_t hash;
};
struct reach {
    const struct problem *p;
    struct pools w;
    int64_t *room;  /* of everything at home */
    uint64_t *name; /* [item * n_machines + machine] */
    struct node *nodes;
    int n_nodes;
    int *table; /* hash → node + 1 */
    int *at;    /* of the node at hand */
    int n_bad;  /* items that are where they must not stay */
    int64_t asked, most;
    int max_steps;
};

/* A place that an item must leave. */
static bool is_bad(const struct problem *p, int item, int m)
{
    return p->home[item] >= 0 && m == p->home[item] && (!p->need || p->need[item]) &&
           !(p->allow ? solve_in_set(p, p->allow[item], m) : true);
}

static struct solve_step step_of(const struct reach *r, int item, int to)
{
    return (struct solve_step){.item = item, .from = r->at[item], .to = to};
}

/* Steps to the node, in order. */
static int way_to(const struct reach *r, int node, int *ret)
{
    int n = r->nodes[node].depth;
    for (int k = n; k-- > 0; node = r->nodes[node].parent)
        ret[k] = node;
    return n;
}

static void go_to(struct reach *r, int node)
{
    int way[DEPTH], n = way_to(r, node, way);
    memcpy(r->w.room, r->room, r->w.n * sizeof(*r->room));
    memcpy(r->at, r->p->home, (size_t)r->p->n_items * sizeof(int));
    for (int k = 0; k < n; k++) {
        const struct node *x = &r->nodes[way[k]];
        struct solve_step q = step_of(r, x->item, x->to);
        pools_ask(&r->w, &q, 0);
        pools_make(&r->w);
        r->at[x->item] = x->to;
    }
    r->n_bad = 0;
    for (int i = 0; i < r->p->n_items; i++)
        r->n_bad += is_bad(r->p, i, r->at[i]);
}

static bool is_new(struct reach *r, uint64_t hash)
{
    for (size_t k = hash & (TABLE - 1);; k = (k + 1) & (TABLE - 1)) {
        if (!r->table[k]) {
            r->table[k] = r->n_nodes + 1;
            return true;
        }
        if (r->nodes[r->table[k] - 1].hash == hash)
            return false;
    }
}

/* What only the whole score knows: nothing hard has become worse, step by step. */
static bool holds(const struct reach *r, int node)
{
    int way[DEPTH], n = way_to(r, node, way);
    struct solve_state s;
    struct solve_score d;
    bool ok = true;
    solve_init(&s, r->p);
    for (int k = 0; k < n && ok; k++) {
        const struct node *x = &r->nodes[way[k]];
        ok = solve_try_shift(&s, x->item, x->to, 0, &d);
        if (ok)
            solve_do_shift(&s, x->item, x->to, 0, &d);
    }
    solve_done(&s);
    return ok;
}

/* All steps from this node. Returns the node that is the end, or −1. */
static int expand(struct reach *r, int node)
{
    const struct problem *p = r->p;
    go_to(r, node);
    for (int i = 0; i < p->n_items; i++) {
        for (int m = 0; m < p->n_machines && r->at[i] >= 0; m++) {
            if (m == r->at[i] || m == p->home[i] ||
                !solve_in_set(p, p->allow ? p->allow[i] : -1, m))
                continue;
            struct solve_step q = step_of(r, i, m);
            if (r->asked++ >= r->most || r->n_nodes >= STATES)
                return -1;
            uint64_t hash = r->nodes[node].hash;
            hash ^= r->name[(size_t)i * (size_t)p->n_machines + (size_t)r->at[i]];
            hash ^= r->name[(size_t)i * (size_t)p->n_machines + (size_t)m];
            if (!pools_ask(&r->w, &q, 0) || !is_new(r, hash))
                continue;
            r->nodes[r->n_nodes++] = (struct node){node, i, m, r->nodes[node].depth + 1, hash};
            if (r->n_bad - is_bad(p, i, r->at[i]) == 0 && holds(r, r->n_nodes - 1))
                return r->n_nodes - 1;
        }
    }
    return -1;
}

static void write_way(const struct reach *r, int node, struct solve_order *ret)
{
    int way[DEPTH], n = way_to(r, node, way);
    cleanup(freep) int *at = xmemdup(r->p->home, (size_t)r->p->n_items * sizeof(int));
    ret->steps = xcalloc((size_t)n, sizeof(*ret->steps));
    ret->n_steps = n;
    for (int k = 0; k < n; k++) {
        const struct node *x = &r->nodes[way[k]];
        ret->steps[k] = (struct solve_step){.item = x->item, .from = at[x->item], .to = x->to};
        ret->n_parked += at[x->item] != r->p->home[x->item];
        at[x->item] = x->to;
    }
    order_after(r->p, false, ret);
}

bool solve_reach(const struct problem *p, int64_t most, int max_steps, struct solve_order *ret)
{
    struct reach r = {.p = p, .most = most};
    struct rng g;
    size_t pairs = (size_t)p->n_items * (size_t)p->n_machines;
    int end = -1;
    *ret = (struct solve_order){0};
    r.max_steps = max_steps < 0 || max_steps >= DEPTH ? DEPTH - 1 : max_steps;
    rng_init(&g, 1);
    pools_init(&r.w, p, false);
    r.room = xmemdup(r.w.room, r.w.n * sizeof(*r.room));
    r.name = xcalloc(pairs + 1, sizeof(*r.name));
    for (size_t k = 0; k < pairs; k++)
        r.name[k] = rng_u64(&g);
    r.nodes = xcalloc(STATES + 1, sizeof(*r.nodes));
    r.table = xcalloc(TABLE, sizeof(*r.table));
    r.at = xcalloc((size_t)p->n_items + 1, sizeof(int));
    r.nodes[0] = (struct node){.parent = -1};
    is_new(&r, 0);
    r.n_nodes = 1;
    for (int k = 0; k < r.n_nodes && end < 0 && r.nodes[k].depth < r.max_steps; k++)
        end = expand(&r, k);
    if (end >= 0)
        write_way(&r, end, ret);
    pools_done(&r.w);
    free(r.room);
    free(r.name);
    free(r.nodes);
    free(r.table);
    free(r.at);
    return end >= 0;
}
