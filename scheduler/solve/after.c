/* Which steps a step must wait for. Room is handed on: a step uses what was free from the start or
 * what earlier steps gave up and nobody uses yet, and waits for those alone. As nothing is handed on
 * twice, every limit holds whatever the speed of the steps. */
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/pool.h"

/* What one step has left in a pool. */
struct gift {
    int step, next;
    int64_t left;
    bool owed; /* part of it made good what was too much: without it nothing comes */
};

struct handing {
    struct pools w;
    struct gift *gifts;
    size_t n_gifts;
    int *first, *last; /* per pool: gifts in order; of a chain, the last step */
    int64_t *spare;    /* per pool: free from the start; < 0: what gifts must first make good */
    int *mark;         /* per step: k + 1 when step k waits for it */
    int *waits, n_waits;
};

static void wait_for(struct handing *h, int k, int step)
{
    if (step < 0 || h->mark[step] == k + 1)
        return;
    h->mark[step] = k + 1;
    h->waits[h->n_waits++] = step;
}

static int64_t use(struct handing *h, int k, int g, int64_t need)
{
    struct gift *x = &h->gifts[g];
    int64_t part = x->left < need ? x->left : need;
    if (part > 0)
        wait_for(h, k, x->step);
    x->left -= part;
    return need - part;
}

static void take_room(struct handing *h, int k, const struct need *q)
{
    int64_t need = q->take, *spare = &h->spare[q->pool];
    int enough = -1;
    for (int g = h->first[q->pool]; g >= 0; g = h->gifts[g].next)
        if (h->gifts[g].owed)
            wait_for(h, k, h->gifts[g].step);
    for (int g = h->first[q->pool]; g >= 0 && need > 0; g = h->gifts[g].next)
        if (h->gifts[g].left > 0 && h->mark[h->gifts[g].step] == k + 1)
            need = use(h, k, g, need); /* it waits for that one anyway */
    int64_t free = *spare > 0 ? (*spare < need ? *spare : need) : 0;
    *spare -= free;
    need -= free;
    for (int g = h->first[q->pool]; g >= 0 && enough < 0; g = h->gifts[g].next)
        enough = h->gifts[g].left >= need ? g : -1;
    if (enough >= 0 && need > 0)
        need = use(h, k, enough, need);
    for (int g = h->first[q->pool]; g >= 0 && need > 0; g = h->gifts[g].next)
        need = use(h, k, g, need);
}

static void give_room(struct handing *h, int k, const struct need *q)
{
    int64_t *spare = &h->spare[q->pool];
    int64_t owed = *spare >= 0 ? 0 : -*spare < q->give ? -*spare : q->give;
    *spare += owed;
    struct gift *x = vec_add(&h->gifts, &h->n_gifts);
    int id = (int)h->n_gifts - 1;
    *x = (struct gift){.step = k, .next = -1, .left = q->give - owed, .owed = owed > 0};
    if (h->first[q->pool] < 0)
        h->first[q->pool] = id;
    else
        h->gifts[h->last[q->pool]].next = id;
    h->last[q->pool] = id;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Leave out what step k waits for anyway, because another one of its list does. */
static void reduce(struct handing *h, const struct solve_order *o, int k, int *seen, int *todo)
{
    int n_todo = 0, kept = 0;
    qsort(h->waits, (size_t)h->n_waits, sizeof(int), by_number);
    for (int i = 0; i < h->n_waits; i++)
        todo[n_todo++] = h->waits[i];
    while (n_todo) {
        int j = todo[--n_todo];
        for (int i = o->after_start[j]; i < o->after_start[j + 1]; i++) {
            int a = o->after_of[i];
            if (a < h->waits[0] || seen[a] == k + 1)
                continue;
            seen[a] = k + 1;
            todo[n_todo++] = a;
        }
    }
    for (int i = 0; i < h->n_waits; i++)
        if (seen[h->waits[i]] != k + 1)
            h->waits[kept++] = h->waits[i];
    h->n_waits = kept;
}

static void step_waits(struct handing *h, int k)
{
    for (int i = 0; i < h->w.n_need; i++) {
        const struct need *q = &h->w.need[i];
        if (q->chain) {
            wait_for(h, k, h->last[q->pool]);
            h->last[q->pool] = k;
        } else if (q->take > 0) {
            take_room(h, k, q);
        }
    }
    for (int i = 0; i < h->w.n_need; i++)
        if (!h->w.need[i].chain && h->w.need[i].give > 0)
            give_room(h, k, &h->w.need[i]);
    pools_make(&h->w);
}

void order_after(const struct problem *p, bool twice, struct solve_order *o)
{
    struct handing h = {0};
    size_t steps = (size_t)o->n_steps, n_after = 0;
    pools_init(&h.w, p, twice);
    h.first = xcalloc(h.w.n, sizeof(int));
    h.last = xcalloc(h.w.n, sizeof(int));
    memset(h.first, -1, h.w.n * sizeof(int));
    memset(h.last, -1, h.w.n * sizeof(int));
    h.spare = xmemdup(h.w.room, h.w.n * sizeof(*h.spare));
    h.mark = xcalloc(steps, sizeof(int));
    h.waits = xcalloc(steps, sizeof(int));
    cleanup(freep) int *seen = xcalloc(steps, sizeof(int));
    cleanup(freep) int *todo = xcalloc(2 * steps, sizeof(int));
    cleanup(freep) int *before = xcalloc((size_t)p->n_items, sizeof(int)); /* step + 1 of an item */
    o->after_start = xcalloc(steps + 1, sizeof(int));
    for (int k = 0; k < o->n_steps; k++) {
        const struct solve_step *q = &o->steps[k];
        uint8_t v = before[q->item]   ? o->steps[before[q->item] - 1].variant
                    : p->home_variant ? p->home_variant[q->item]
                                      : 0;
        h.n_waits = 0;
        wait_for(&h, k, before[q->item] - 1);
        before[q->item] = k + 1;
        pools_ask(&h.w, q, v);
        step_waits(&h, k);
        reduce(&h, o, k, seen, todo);
        o->after_of = xrealloc(o->after_of, n_after + (size_t)h.n_waits + 1, sizeof(int));
        for (int i = 0; i < h.n_waits; i++)
            o->after_of[n_after++] = h.waits[i];
        o->after_start[k + 1] = (int)n_after;
    }
    pools_done(&h.w);
    free(h.gifts);
    free(h.first);
    free(h.last);
    free(h.spare);
    free(h.mark);
    free(h.waits);
}
