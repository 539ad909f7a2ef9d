#include "lib/base/heap.h"

#include "lib/base/mem.h"

static bool before(const struct heap_item *a, const struct heap_item *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return a->then != b->then ? a->then < b->then : a->id < b->id;
}

void heap_put(struct heap *h, struct heap_item item)
{
    size_t i = h->n;
    vec_add(&h->items, &h->n);
    for (; i && before(&item, &h->items[(i - 1) / 2]); i = (i - 1) / 2)
        h->items[i] = h->items[(i - 1) / 2];
    h->items[i] = item;
}

bool heap_take(struct heap *h, struct heap_item *ret)
{
    if (!h->n)
        return false;
    *ret = h->items[0];
    struct heap_item last = h->items[--h->n];
    size_t i = 0;
    for (size_t c; (c = 2 * i + 1) < h->n; i = c) {
        c += c + 1 < h->n && before(&h->items[c + 1], &h->items[c]);
        if (!before(&h->items[c], &last))
            break;
        h->items[i] = h->items[c];
    }
    h->items[i] = last;
    return true;
}

void heap_done(struct heap *h)
{
    free(h->items);
    *h = (struct heap){0};
}
