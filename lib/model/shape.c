#include "lib/model/shape.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

static void *at(const struct shape_field *f, const void *obj)
{
    return (char *)(uintptr_t)obj + f->off;
}

static size_t *count(const struct shape_field *f, const void *obj)
{
    return (size_t *)(void *)((char *)(uintptr_t)obj + f->n_off);
}

static char *elem(const struct shape_field *f, void *list, size_t i)
{
    return (char *)list + i * f->sub->size;
}

void shape_init(const struct shape *s, void *obj)
{
    memset(obj, 0, s->size);
    for (size_t k = 0; k < s->n; k++) {
        const struct shape_field *f = &s->fields[k];
        if (f->kind == SK_INT)
            *(int64_t *)at(f, obj) = f->absent;
        else if (f->kind == SK_OBJ)
            shape_init(f->sub, at(f, obj));
    }
}

void shape_done(const struct shape *s, void *obj)
{
    for (size_t k = 0; k < s->n; k++) {
        const struct shape_field *f = &s->fields[k];
        void **p = at(f, obj);
        if (f->kind == SK_OBJ)
            shape_done(f->sub, p);
        if (f->kind == SK_LIST && *p)
            for (size_t i = 0; i < *count(f, obj); i++)
                shape_done(f->sub, elem(f, *p, i));
        if (f->kind == SK_STRS && *p)
            for (size_t i = 0; i < *count(f, obj); i++)
                free(((char **)*p)[i]);
        if (f->kind == SK_STR || f->kind == SK_LIST || f->kind == SK_STRS)
            free(*p);
    }
    memset(obj, 0, s->size);
}

/* A copied list has capacity for vec_add: the next power of two. */
static size_t capacity(size_t n)
{
    size_t cap = 1;
    while (cap < n)
        cap *= 2;
    return cap;
}

void shape_copy(const struct shape *s, void *dst, const void *src)
{
    memcpy(dst, src, s->size);
    for (size_t k = 0; k < s->n; k++) {
        const struct shape_field *f = &s->fields[k];
        void **to = at(f, dst), **from = at(f, src);
        if (f->kind == SK_OBJ)
            shape_copy(f->sub, to, from);
        if (f->kind == SK_STR)
            *to = xstrdup(*from);
        if ((f->kind != SK_LIST && f->kind != SK_STRS) || !*from)
            continue;
        size_t n = *count(f, src);
        size_t size = f->kind == SK_LIST ? f->sub->size : sizeof(char *);
        *to = xcalloc(capacity(n), size);
        for (size_t i = 0; i < n; i++) {
            if (f->kind == SK_LIST)
                shape_copy(f->sub, elem(f, *to, i), elem(f, *from, i));
            else
                ((char **)*to)[i] = xstrdup(((char **)*from)[i]);
        }
    }
}

static bool lists_equal(const struct shape_field *f, const void *a, const void *b)
{
    size_t n = *count(f, a);
    if (n != *count(f, b))
        return false;
    void *la = *(void **)at(f, a), *lb = *(void **)at(f, b);
    for (size_t i = 0; i < n; i++)
        if (f->kind == SK_LIST ? !shape_equal(f->sub, elem(f, la, i), elem(f, lb, i))
                               : !str_eq(((char **)la)[i], ((char **)lb)[i]))
            return false;
    return true;
}

bool shape_equal(const struct shape *s, const void *a, const void *b)
{
    for (size_t k = 0; k < s->n; k++) {
        const struct shape_field *f = &s->fields[k];
        const void *x = at(f, a), *y = at(f, b);
        bool same = true;
        switch (f->kind) {
        case SK_INT:
            same = *(const int64_t *)x == *(const int64_t *)y;
            break;
        case SK_BOOL:
            same = *(const bool *)x == *(const bool *)y;
            break;
        case SK_ENUM:
            same = *(const int *)x == *(const int *)y;
            break;
        case SK_STR:
            same = str_eq(*(char *const *)x, *(char *const *)y);
            break;
        case SK_OBJ:
            same = shape_equal(f->sub, x, y);
            break;
        case SK_LIST:
        case SK_STRS:
            same = lists_equal(f, a, b);
            break;
        }
        if (!same)
            return false;
    }
    return true;
}
