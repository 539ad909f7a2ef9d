/* Hosts emptied, so that they may be switched off. */
#include <limits.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/making.h"
#include "scheduler/solve/vacate.h"

/* What a host costs to empty: its memory, and a GiB for each move. */
enum { PRICE_PER_GIB = SOLVE_UNIT / 1024, PRICE_PER_MOVE = PRICE_PER_GIB };
static const int64_t STEPS = 20000000;

/* Hosts in use, on which nothing is but VMs of the list. */
static bool *candidates(const struct making *k)
{
    const struct plan_world *w = &k->w;
    bool *may = xcalloc(w->s->n_hosts, sizeof(*may));
    cleanup(freep) bool *listed = xcalloc(w->s->n_vms, sizeof(*listed));
    for (size_t i = 0; i < k->n; i++)
        listed[k->list[i].vm] = true;
    for (size_t h = 0; h < w->s->n_hosts; h++)
        may[h] = w->s->hosts[h].state == HOST_UP && w->s->hosts[h].connected;
    for (size_t i = 0; i < w->s->n_vms; i++) {
        may[w->f.at[i]] &= listed[i];
        if (w->f.to[i] >= 0)
            may[w->f.to[i]] = false;
    }
    return may;
}

/* Are the others enough, also when as many more are lost as the policy wants to be able to lose? */
static bool spare_left(void *ctx, const bool *off)
{
    struct plan_world w = *(const struct plan_world *)ctx;
    w.off = off;
    return plan_spare_enough(&w);
}

static int *moves_of_items(const struct making *k, const struct translation *t)
{
    int *n = xcalloc((size_t)t->p.n_items, sizeof(*n));
    for (size_t i = 0; i < k->n; i++)
        n[t->item_of[i]]++;
    return n;
}

/* Hosts that the filters did not let go empty stay on; false: all of them go. */
static bool drop_failed(struct making *k, const int *to, bool *off)
{
    bool any = false;
    for (size_t i = 0; i < k->n; i++) {
        int vm = k->list[i].vm, host = k->w.f.at[vm];
        if (to[i] < 0 || k->w.f.to[vm] >= 0)
            continue;
        any = true;
        off[host] = false;
    }
    return any;
}

static void carry_out(struct making *k, int *to, bool *off)
{
    making_put(k, to);
    while (drop_failed(k, to, off)) {
        making_take_back(k);
        for (size_t i = 0; i < k->n; i++)
            if (!off[k->w.f.at[k->list[i].vm]])
                to[i] = -1;
        making_put(k, to);
    }
}

char *plan_consolidate_why(const struct making *k, int vm, int to)
{
    cleanup(freep) char *full = plan_fullness(k, to);
    return xasprintf("empties %s: %s", k->w.f.hosts[k->w.f.at[vm]]->name, full);
}

void plan_consolidate(struct making *k)
{
    size_t n = k->w.s->n_hosts;
    struct translation t;
    struct solve_state s;
    struct translate_goal g = {.classes = &k->live,
                               .price_per_move = PRICE_PER_MOVE,
                               .price_per_gib = PRICE_PER_GIB,
                               .max_moves = -1};
    cleanup(freep) bool *may = candidates(k);
    cleanup(freep) bool *off = xcalloc(n, sizeof(*off));
    cleanup(freep) int *to = xcalloc(k->n, sizeof(*to));
    k->was_bytes = xmemdup(k->w.end_bytes, n * sizeof(*k->was_bytes));
    translate(&k->w, k->list, k->n, &g, &t);
    solve_init(&s, &t.p);
    plan_measure(&k->w, &s.score, &k->plan->before);
    cleanup(freep) int *moves = moves_of_items(k, &t);
    struct vacate v = {
        .may = may,
        .moves = moves,
        .max_moves = k->r->max_moves ? k->r->max_moves : k->w.p->balance.max_moves,
        .most = k->r->hosts_free && k->r->hosts_free < INT_MAX ? (int)k->r->hosts_free : INT_MAX,
        .fair = spare_left,
        .ctx = &k->w};
    solve_vacate(&s, &(struct solve_limits){.seed = k->seed, .steps = STEPS}, &v, off);
    for (size_t i = 0; i < k->n; i++) {
        int item = t.item_of[i];
        to[i] = s.at[item] != t.p.home[item] ? s.at[item] : -1;
    }
    k->w.off = off;
    carry_out(k, to, off);
    k->w.off = NULL;
    plan_measure(&k->w, &s.score, &k->plan->after);
    for (size_t h = 0; h < n; h++)
        if (off[h])
            *vec_add(&k->plan->emptied, &k->plan->n_emptied) = (int)h;
    solve_done(&s);
    translation_done(&t);
}
