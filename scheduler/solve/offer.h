/* scheduler/solve/offer.h: what single machines could do.   PURE.   Inside the engine only.
 * Purpose  An offer: a few items leave a machine and a few come, and its score gains by it. Items that
 *          are alike are one kind, machines that are alike have one list. Offers are seen from home.
 * Left out an offer that others make as well: where an item less could leave for the same gain, where
 *          one more could come, or that is two offers which share no resource.
 * Owner    offers_init borrows the state, where everything is at home; offers_done releases.
 * Thread   any. */
#pragma once

#include "scheduler/solve/internal.h"

enum {
    OFFER_KINDS = 64, /* of items, the most; the rest stays at home */
    OFFER_LEAVE = 5,  /* items that leave in one offer, at most */
    OFFER_COME = 3,   /* that come where none leaves */
    OFFER_CHANGE = 1, /* that come where others leave */
    OFFER_PARTS = OFFER_LEAVE + OFFER_COME,
    OFFER_WHERES = 16, /* sets of resources that the offers of a machine touch, at most */
    OFFER_FINE = 4096, /* worth of one unit of the score */
};

struct offer {
    int64_t worth;  /* what the tier gains, in 1/OFFER_FINE */
    uint32_t where; /* resources that it touches */
    uint8_t n, n_leave, n_where;
    struct offer_part {
        uint8_t kind, variant;
    } part[OFFER_PARTS]; /* those that leave come first */
};

struct offer_class {
    int machine; /* one of them */
    int n_machines;
    struct offer *offers;
    size_t n;
    uint32_t where[OFFER_WHERES]; /* the offers' n_where says which */
    int n_wheres;
};

struct offers {
    const struct solve_state *s;
    int tier, n_kinds, kind_of[OFFER_KINDS]; /* an item of the kind */
    int *kind;                               /* per item; −1 stays at home */
    int *class_of;                           /* per machine */
    struct offer_class *classes;
    int n_classes;
    int64_t asked; /* prices */
};

/* pinned: items that stay at home. False: more prices would have to be asked than `most`. */
bool offers_init(struct offers *x, const struct solve_state *s, int tier, const bool *pinned,
                 int64_t most);
void offers_done(struct offers *x);
