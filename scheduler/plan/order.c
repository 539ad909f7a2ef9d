/* In which order the moves of a plan start. Any order is safe (world.h); this is about time. */
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/world.h"

/* A cold move stops its VM, so it comes after everything that could still fail harmlessly; a
 * definition takes no time and waits for the VMs that run. */
static int kind_rank(const struct snapshot *s, const struct plan_move *m)
{
    if (m->live)
        return 0;
    return plan_counts(s, m->vm) ? 2 : 1;
}

struct sort_ctx {
    const struct snapshot *s;
    int order;
};

static int compare(const void *a, const void *b, void *ctx)
{
    const struct plan_move *x = a, *y = b;
    const struct sort_ctx *c = ctx;
    int kind = kind_rank(c->s, x) - kind_rank(c->s, y);
    if (kind)
        return kind;
    int64_t mx = vm_need_bytes(c->s->vms[x->vm].v), my = vm_need_bytes(c->s->vms[y->vm].v);
    if (mx != my)
        return (mx < my) == (c->order == ORDER_SMALLEST_FIRST) ? -1 : 1;
    return x->vm - y->vm;
}

/* The incoming link of a host whose speed is not known is taken to be as fast as any other. */
static double seconds(const struct snapshot *s, const struct plan_move *m)
{
    int64_t bps = s->hosts[m->to].h->link_bps;
    return (double)vm_need_bytes(s->vms[m->vm].v) * 8 /
           (double)(bps > 0 ? bps : INT64_C(10000000000));
}

/* The moves to one target, largest first, and what its link has been given so far. */
struct lane {
    double given;
    size_t *moves;
    size_t n, next;
};

/* The lane that comes next: least given; of equals the one with the larger move. */
static bool earlier(const struct lane *a, const struct lane *b)
{
    if (a->given != b->given)
        return a->given < b->given;
    return a->moves[a->next] < b->moves[b->next];
}

static void sink(struct lane **heap, size_t n, size_t k)
{
    for (size_t c; (c = 2 * k + 1) < n; k = c) {
        c += c + 1 < n && earlier(heap[c + 1], heap[c]);
        if (!earlier(heap[c], heap[k]))
            return;
        struct lane *x = heap[k];
        heap[k] = heap[c];
        heap[c] = x;
    }
}

/* Longest first, but always to the target whose link has been given the least so far: neighbours in
 * the order then use different incoming links. moves: sorted largest first. */
static void interleave(const struct snapshot *s, struct plan_move *moves, size_t n)
{
    cleanup(freep) struct lane *lanes = xcalloc(s->n_hosts, sizeof(*lanes));
    cleanup(freep) struct lane **heap = xcalloc(s->n_hosts, sizeof(*heap));
    cleanup(freep) struct plan_move *all = n ? xmemdup(moves, n * sizeof(*moves)) : NULL;
    size_t live = 0;
    for (size_t i = 0; i < n; i++)
        *vec_add(&lanes[moves[i].to].moves, &lanes[moves[i].to].n) = i;
    for (size_t h = 0; h < s->n_hosts; h++)
        if (lanes[h].n)
            heap[live++] = &lanes[h];
    for (size_t k = live / 2; k-- > 0;)
        sink(heap, live, k);
    for (size_t out = 0; out < n; out++) {
        struct lane *l = heap[0];
        moves[out] = all[l->moves[l->next++]];
        l->given += seconds(s, &moves[out]);
        if (l->next == l->n)
            heap[0] = heap[--live];
        sink(heap, live, 0);
    }
    for (size_t h = 0; h < s->n_hosts; h++)
        free(lanes[h].moves);
}

void plan_order(const struct snapshot *s, const struct policy *p, struct plan_move *moves, size_t n)
{
    struct sort_ctx ctx = {.s = s, .order = p->drain.order};
    if (n < 2)
        return;
    qsort_r(moves, n, sizeof(*moves), compare, &ctx);
    if (p->drain.order != ORDER_FASTEST)
        return;
    size_t live = 0;
    while (live < n && moves[live].live)
        live++;
    interleave(s, moves, live);
}
