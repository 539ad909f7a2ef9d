/* scheduler/solve/pool.h: what steps take and give.   PURE.   Inside the engine only.
 * Purpose  One shape for everything that can make a step wait: room of a machine in one resource, and
 *          places of a hard group in a domain. A step takes from pools when it starts and gives to
 *          others when it has ended.
 * Owner    pools_init borrows the problem; pools_done releases.   Thread any, no sharing. */
#pragma once

#include "scheduler/solve/order.h"

struct need {
    size_t pool;
    int64_t take, give;
    bool chain; /* who takes and who gives depends on the order: such steps keep it */
};
struct pools {
    const struct problem *p;
    bool twice;
    size_t n;
    int64_t *room; /* < 0: more is there than may be */
    size_t *row;   /* per group: its first pool */
    struct need *need;
    int n_need;
};

/* Everything at home. */
void pools_init(struct pools *w, const struct problem *p, bool twice);
void pools_done(struct pools *w);
/* Fills need[] with what the step takes and gives now. v: the variant it has. True: it fits. */
bool pools_ask(struct pools *w, const struct solve_step *q, uint8_t v);
/* The step asked about last is made, from start to end. */
void pools_make(struct pools *w);

/* For every step the ones it must wait for (order.h). */
void order_after(const struct problem *p, bool twice, struct solve_order *o);
