#include "lib/base/mem.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    return must(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t n, size_t size)
{
    return must(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
    return s ? must(strdup(s)) : NULL;
}

char *xvasprintf(const char *fmt, va_list ap)
{
    char *s = NULL;
    if (vasprintf(&s, fmt, ap) < 0)
        abort();
    return s;
}

char *xasprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = xvasprintf(fmt, ap);
    va_end(ap);
    return s;
}

void *xmemdup(const void *p, size_t n)
{
    return memcpy(xcalloc(1, n), p, n);
}

void *vec_add_(void **p, size_t *n, size_t size)
{
    assert(*n < SIZE_MAX / 2 / size);
    if ((*n & (*n - 1)) == 0) /* 0 or a power of two: full */
        *p = xrealloc(*p, *n ? *n * 2 : 1, size);
    char *slot = (char *)*p + *n * size;
    memset(slot, 0, size);
    (*n)++;
    return slot;
}

void vec_del_(void *p, size_t *n, size_t i, size_t size)
{
    assert(i < *n);
    char *at = (char *)p + i * size;
    memmove(at, at + size, (*n - i - 1) * size);
    (*n)--;
}
