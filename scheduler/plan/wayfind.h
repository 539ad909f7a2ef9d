/* scheduler/plan/wayfind.h: ways out while they are looked for.   PURE.   Inside ways.c, waymove.c and
 * waysay.c only. */
#pragma once

#include "scheduler/plan/ways.h"
#include "scheduler/plan/whatif.h"

enum { WAY_CHANGES = 3 }; /* at once, of one VM */
struct found {
    struct change list[WAY_CHANGES];
    size_t n, stay;
    struct way way;
};
struct finder {
    const struct plan_index *x;
    const struct plan_request *r;
    const struct plan *plan;
    const struct snapshot *s;
    uint64_t seed;
    struct plan_world w;   /* with all that the plan moves */
    struct plan_world now; /* with nothing of it */
    int *going;            /* VMs that the plan moves, and a place for one more each */
    size_t n_going;
    bool *asked;  /* per VM: of the request */
    int *by_name; /* hosts, sorted */
    int64_t work; /* that is left */
    struct plan_ways *ret;
    struct found *found;
    size_t n_found, first; /* first: of this stay */
    size_t stay;
    int vm, tries;
    bool spare_tried;
};

/* ---- ways.c -------------------------------------------------------------------------------------- */
bool way_affordable(struct finder *f, int64_t work);
/* Does the VM go with these changes, with all that the plan moves? Then it is a way. */
bool way_try(struct finder *f, const struct change *list, size_t n, const char *cure);
void way_find(struct finder *f, const struct plan_stay *st);

/* ---- waymove.c ----------------------------------------------------------------------------------- */
/* Other VMs that would make room. */
void way_find_moves(struct finder *f, const struct plan_stay *st);
int way_host(const struct finder *f, const char *name); /* -1: none */

/* ---- waysay.c ------------------------------------------------------------------------------------ */
/* Its words and numbers, anew. cure: of the reason; NULL: by the kind of change. */
void way_say(const struct finder *f, struct found *x, const char *cure);
