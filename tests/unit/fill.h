/* tests/unit/fill.h: a shaped struct with something different in every member. */
#pragma once

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "lib/model/shape.h"

static inline void fill(const struct shape *s, void *obj, struct rng *r);

static inline char *fill_text(struct rng *r)
{
    static const char *const odd[] = {"", "\"quoted\"\n\t\\", "gr\xc3\xbc\xc3\x9f dich",
                                      "\xf0\x9f\x90\x84"};
    uint64_t k = rng_below(r, 8);
    return k < 4 ? xstrdup(odd[k])
                 : xasprintf("text-%llu", (unsigned long long)rng_below(r, 100000));
}

static inline void fill_list(const struct shape_field *f, char *obj, struct rng *r)
{
    size_t n = rng_below(r, 4), size = f->kind == SK_LIST ? f->sub->size : sizeof(char *);
    *(size_t *)(void *)(obj + f->n_off) = n;
    if (!n)
        return;
    char *list = xcalloc(n, size);
    *(void **)(void *)(obj + f->off) = list;
    for (size_t i = 0; i < n; i++)
        if (f->kind == SK_LIST)
            fill(f->sub, list + i * size, r);
        else
            ((char **)(void *)list)[i] = fill_text(r);
}

/* obj: raw memory. */
static inline void fill(const struct shape *s, void *obj, struct rng *r)
{
    shape_init(s, obj);
    for (size_t k = 0; k < s->n; k++) {
        const struct shape_field *f = &s->fields[k];
        char *base = obj;
        void *p = base + f->off;
        switch (f->kind) {
        case SK_INT:
            *(int64_t *)p = (int64_t)(rng_below(r, 4) ? rng_u64(r) >> 1 : 0);
            break;
        case SK_BOOL:
            *(bool *)p = rng_below(r, 2);
            break;
        case SK_ENUM:
            *(int *)p = (int)rng_below(r, f->n_names);
            break;
        case SK_STR:
            *(char **)p = f->required || rng_below(r, 3) ? fill_text(r) : NULL;
            break;
        case SK_OBJ:
            fill(f->sub, p, r);
            break;
        case SK_LIST:
        case SK_STRS:
            fill_list(f, base, r);
            break;
        }
    }
}
