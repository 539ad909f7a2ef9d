/* scheduler/solve/state.h: an assignment of a problem, with the price of every change to it.   PURE.
 * Purpose  solve_try_* say what a step would cost without taking it, in time that does not grow with
 *          the problem (but with resources, terms, and groups of the item); solve_do_* take it.
 * Owner    solve_init borrows the problem; solve_done releases.   Thread any, no sharing.
 * Errors   none: a step that is not possible is false. */
#pragma once

#include "scheduler/solve/problem.h"

struct solve_state {
    const struct problem *p;
    int *at;          /* per item: its machine, -1 nowhere */
    uint8_t *variant; /* per item */
    int64_t *load;    /* [machine * n_res + res]: base and the items on it */
    int64_t *held;    /* the same shape: items that left this home and still take room there */
    int64_t *room;    /* the same shape: capacity less load and held; < 0: too full */
    struct solve_score *machine; /* per machine: its part of the score */
    struct solve_score score;    /* of everything */
    int n_moved;                 /* items away from home */
    /* items of machine m: first[m], next[first[m]], … −1 */
    int *first, *next, *prev;
    /* groups: items of group g in domain d: count[row[g] + d]; or, where `listed`, in one of
     * cell[row[g]] … domains_used[g] of them, in no order */
    uint16_t *count;
    struct solve_cell {
        int domain, count;
    } * cell;
    size_t *row, n_counts, n_cells;
    bool *listed;
    int *domains_used;
    int *near_start, *near_of; /* per group: its solve_near, ids; a first, then b */
    /* batches */
    int *batch_moved, *batch_hist, batch_most;
    /* TERM_SPREAD, per term: sums over machines of the load and its square, and its cost; or NULL */
    int64_t *sum, *sum2, *spread;
    struct price_table *prices; /* the terms, laid out for reading */
    /* A search may walk past capacities and pay for it: per machine and resource 1/256 for each unit
     * above; what each machine pays, and all. No part of the score. NULL: capacities are walls. */
    const int64_t *toll;
    int64_t *toll_of, toll_sum;
    int64_t *staying; /* per resource: all bits, 0 where an item's home keeps its room */
};

/* Everything at home. */
void solve_init(struct solve_state *s, const struct problem *p);
void solve_done(struct solve_state *s);
/* dst, initialised with the same problem, becomes equal to src. */
void solve_copy(struct solve_state *dst, const struct solve_state *src);

/* Item to machine (≥ 0) in this variant; also to another variant of its machine. False: not possible,
 * or nothing would change. *ret: what the score would change by. */
bool solve_try_shift(const struct solve_state *s, int item, int machine, int variant,
                     struct solve_score *ret);
/* delta: what solve_try_shift said of it just now. */
void solve_do_shift(struct solve_state *s, int item, int machine, int variant,
                    const struct solve_score *delta);
/* Two items on different machines change places and variants. */
bool solve_try_swap(struct solve_state *s, int a, int b, struct solve_score *ret);
void solve_do_swap(struct solve_state *s, int a, int b, const struct solve_score *delta);
/* Take the item off its machine: it is nowhere. For searches that rebuild. */
void solve_do_remove(struct solve_state *s, int item);

/* The score from loads, counts and places, summed anew: what s->score must be. */
struct solve_score solve_score_whole(const struct solve_state *s);
