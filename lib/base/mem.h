/* lib/base/mem.h: allocation that cannot fail, and scope-bound cleanup.
 * Why      out of memory aborts: both daemons recover from journal and libvirt, so a crash costs
 *          liveness, never a VM, while half-handled ENOMEM paths are code nobody can test.
 * Owner    every x* function gives; release with free().   Thread any. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define cleanup(fn) __attribute__((cleanup(fn)))

/* Hand ownership out of a cleanup variable: yields the pointer and leaves NULL behind. */
#define take(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) take_tmp_ = (p);                                                             \
        (p) = NULL;                                                                                \
        take_tmp_;                                                                                 \
    })

void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s); /* NULL stays NULL */
char *xvasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *xmemdup(const void *p, size_t n);

/* Make room for one more element of a growing array and return the new element, zeroed.
 *   struct vm *v = vec_add(&vms, &n_vms);     n counts elements; capacity is the next power of 2. */
#define vec_add(pp, pn) ((__typeof__(*(pp)))vec_add_((void **)(pp), (pn), sizeof(**(pp))))
void *vec_add_(void **p, size_t *n, size_t size);
/* Remove element i, keeping order. The element itself must have been released by the caller. */
#define vec_del(p, pn, i) vec_del_((p), (pn), (i), sizeof(*(p)))
void vec_del_(void *p, size_t *n, size_t i, size_t size);

/* In what is sorted: the first place i of n that does not come before what is looked for, or n.
 *   size_t at = lower_bound(i, n_runs, runs[i].id < id); */
#define lower_bound(i, n, comes_before)                                                            \
    __extension__({                                                                                \
        size_t lower_lo_ = 0, lower_hi_ = (n);                                                     \
        while (lower_lo_ < lower_hi_) {                                                            \
            size_t i = lower_lo_ + (lower_hi_ - lower_lo_) / 2;                                    \
            if (comes_before)                                                                      \
                lower_lo_ = i + 1;                                                                 \
            else                                                                                   \
                lower_hi_ = i;                                                                     \
        }                                                                                          \
        lower_lo_;                                                                                 \
    })

static inline void freep(void *pp)
{
    free(*(void **)pp);
}
static inline void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
static inline void fclosep(FILE **f)
{
    if (*f)
        fclose(*f);
}
