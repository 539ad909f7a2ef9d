/* lib/base/heap.h: the smallest of many, again and again.   PURE.
 * Shapes   keys with what they stand for; of equal keys the smaller id comes first, so that what is taken
 *          does not depend on how it was put in. For the largest first, negate.
 * Owner    a zeroed struct is an empty heap; heap_done releases.   Thread any, no sharing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_item {
    int64_t key, then; /* then: decides among equal keys */
    int id;
};
struct heap {
    struct heap_item *items;
    size_t n;
};

void heap_put(struct heap *h, struct heap_item item);
/* Takes the first out. False: there is none. */
bool heap_take(struct heap *h, struct heap_item *ret);
void heap_done(struct heap *h);
