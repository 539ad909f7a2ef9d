/* A place for every item that needs one: directly, by chains, by a complete search. */
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/place.h"
#include "scheduler/solve/seek.h"

enum { SAMPLE = 512 };

/* ---- the hardest first ------------------------------------------------------------------------ */

struct hard {
    int item, fits; /* of at most SAMPLE machines, evenly spread */
    int64_t bulk;
};

static struct hard hard_of(struct seek *k, int item)
{
    const struct problem *p = k->t.s->p;
    struct hard h = {.item = item, .bulk = seek_bulk(k, item)};
    int by = (p->n_machines + SAMPLE - 1) / SAMPLE;
    for (int m = 0; m < p->n_machines; m += by)
        for (int v = 0; v < p->n_variants; v++) {
            struct solve_score d;
            k->steps++;
            if (m != k->t.s->at[item] && trail_try(&k->t, item, m, v, &d)) {
                h.fits++;
                break;
            }
        }
    return h;
}

static int harder(const void *a, const void *b)
{
    const struct hard *x = a, *y = b;
    if (x->fits != y->fits)
        return x->fits < y->fits ? -1 : 1;
    if (x->bulk != y->bulk)
        return x->bulk > y->bulk ? -1 : 1;
    return x->item < y->item ? -1 : 1;
}

static struct hard *hardest_first(struct seek *k, size_t *ret_n)
{
    struct hard *h = NULL;
    size_t n = 0;
    for (int i = 0; i < k->t.s->p->n_items; i++)
        if (seek_needs(k, i))
            *vec_add(&h, &n) = hard_of(k, i);
    if (n)
        qsort(h, n, sizeof(*h), harder);
    *ret_n = n;
    return h;
}

/* ---- all of them ------------------------------------------------------------------------------ */

int64_t solve_place(struct solve_state *s, const struct solve_limits *l, bool may_disturb)
{
    struct seek k;
    seek_init(&k, s, l, may_disturb);
    size_t n, left = 0;
    cleanup(freep) struct hard *h = hardest_first(&k, &n);
    for (size_t i = 0; i < n; i++) {
        k.ours[h[i].item] = true;
        left += !seek_direct(&k, h[i].item, true);
    }
    for (int depth = 1; left && depth <= SEEK_DEPTH; depth++)
        for (size_t i = 0; i < n && !seek_ended(&k); i++)
            if (seek_needs(&k, h[i].item))
                left -= seek_chain(&k, h[i].item, depth);
    if (left)
        seek_all(&k);
    int64_t steps = k.steps;
    seek_done(&k);
    return steps;
}
