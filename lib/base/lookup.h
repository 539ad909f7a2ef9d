/* lib/base/lookup.h: what goes by this text?   PURE.
 * Shapes   open addressing. Keys are borrowed: each must stay as it is for as long as it is in there,
 *          best as part of its value. It cannot be walked: nothing may depend on its order.
 * Owner    a zeroed struct is an empty one; lookup_done releases it, not its values.   Thread any, no
 *          sharing. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct lookup_slot {
    uint64_t hash;
    const char *key; /* NULL: free */
    void *value;
};
struct lookup {
    struct lookup_slot *slots;
    size_t n, room; /* room: a power of two, or 0 */
};

void *lookup_get(const struct lookup *t, const char *key); /* NULL: nothing */
/* Adds, or puts key and value in the place of what had the same text. */
void lookup_set(struct lookup *t, const char *key, void *value);
void lookup_del(struct lookup *t, const char *key); /* what is not there may be taken out, too */
void lookup_done(struct lookup *t);
