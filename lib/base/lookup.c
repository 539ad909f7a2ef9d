#include "lib/base/lookup.h"

#include <string.h>

#include "lib/base/mem.h"

/* FNV-1a: any good spread will do, its order is never seen. */
static uint64_t hash_text(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
    return h ^ h >> 32;
}

/* Where the text is, or the free slot where it would be. At least one slot in three is free. */
static size_t place(const struct lookup *t, const char *key, uint64_t hash)
{
    size_t i = hash & (t->room - 1);
    while (t->slots[i].key && (t->slots[i].hash != hash || strcmp(t->slots[i].key, key) != 0))
        i = (i + 1) & (t->room - 1);
    return i;
}

void *lookup_get(const struct lookup *t, const char *key)
{
    return t->n ? t->slots[place(t, key, hash_text(key))].value : NULL;
}

static void grow(struct lookup *t)
{
    struct lookup old = *t;
    t->room = old.room ? 2 * old.room : 16;
    t->slots = xcalloc(t->room, sizeof(*t->slots));
    for (size_t i = 0; i < old.room; i++)
        if (old.slots[i].key)
            t->slots[place(t, old.slots[i].key, old.slots[i].hash)] = old.slots[i];
    free(old.slots);
}

void lookup_set(struct lookup *t, const char *key, void *value)
{
    if (3 * (t->n + 1) > 2 * t->room)
        grow(t);
    uint64_t hash = hash_text(key);
    struct lookup_slot *s = &t->slots[place(t, key, hash)];
    t->n += !s->key;
    *s = (struct lookup_slot){.hash = hash, .key = key, .value = value};
}

/* What was pushed on by the one taken out moves up, so that no search ends too early. */
void lookup_del(struct lookup *t, const char *key)
{
    size_t mask = t->room - 1, hole = t->n ? place(t, key, hash_text(key)) : 0;
    if (!t->n || !t->slots[hole].key)
        return;
    for (size_t i = (hole + 1) & mask; t->slots[i].key; i = (i + 1) & mask) {
        size_t home = t->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* it would come before its home */
        t->slots[hole] = t->slots[i];
        hole = i;
    }
    t->slots[hole] = (struct lookup_slot){0};
    t->n--;
}

void lookup_done(struct lookup *t)
{
    free(t->slots);
    *t = (struct lookup){0};
}
