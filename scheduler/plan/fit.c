/* Where a new VM would fit, and what would have to move for it. */
#include "lib/base/mem.h"
#include "scheduler/plan/making.h"
#include "scheduler/solve/place.h"
#include "scheduler/solve/solve.h"

/* A price for each move: of all ways to make the room, the one with the fewest and smallest. */
enum { PLACE_STEPS = 5000000, PRICE_PER_MOVE = SOLVE_UNIT, PRICE_PER_GIB = SOLVE_UNIT / 1024 };

static bool has_room(const struct making *k, int host)
{
    const struct plan_world *w = &k->w;
    const struct plan_room *r = &k->r->room;
    int64_t cap = plan_mem_capacity(w, host), cpus = plan_vcpu_capacity(w, host), vcpus = 0;
    for (size_t i = 0; i < w->s->n_vms; i++)
        if (plan_end(w, (int)i) == host && plan_counts(w->s, (int)i))
            vcpus += plan_need(w->s->vms[i].v).vcpus;
    return cap >= 0 && w->end_bytes[host] + r->mem_bytes <= cap &&
           (cpus < 0 || vcpus + r->vcpus <= cpus);
}

void plan_fit(struct making *k)
{
    struct translation t;
    struct solve_state s;
    int64_t moves = k->r->max_moves ? k->r->max_moves : k->w.p->balance.max_moves;
    struct translate_goal g = {.classes = &k->live,
                               .price_per_move = PRICE_PER_MOVE,
                               .price_per_gib = PRICE_PER_GIB,
                               .max_moves = (int)moves,
                               .room = &k->r->room};
    cleanup(freep) int *to = xcalloc(k->n, sizeof(*to));
    k->was_bytes = xmemdup(k->w.end_bytes, k->w.s->n_hosts * sizeof(*k->was_bytes));
    translate(&k->w, k->list, k->n, &g, &t);
    solve_init(&s, &t.p);
    solve_place(&s, &(struct solve_limits){.seed = k->seed, .steps = PLACE_STEPS}, true);
    int room_on = s.at[t.p.n_items - 1];
    for (size_t i = 0; i < k->n; i++) {
        int item = t.item_of[i];
        to[i] = room_on >= 0 && s.at[item] != t.p.home[item] ? s.at[item] : -1;
    }
    making_put(k, to);
    k->plan->room_on = room_on >= 0 && has_room(k, room_on) ? room_on : -1;
    if (k->plan->room_on < 0)
        making_take_back(k);
    solve_done(&s);
    translation_done(&t);
}
