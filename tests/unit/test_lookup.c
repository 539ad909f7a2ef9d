/* A lookup finds what was put in last, whatever was put in and taken out before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "lib/base/lookup.h"

enum { KEYS = 300, ROUNDS = 60000 };

static void as_a_plain_list(void **state)
{
    (void)state;
    struct lookup t = {0};
    struct rng r;
    char names[KEYS][16];
    int values[KEYS], in[KEYS] = {0};
    size_t n = 0;
    rng_init(&r, 1);
    for (int k = 0; k < KEYS; k++)
        snprintf(names[k], sizeof(names[k]), "vm-%d", k);
    for (int i = 0; i < ROUNDS; i++) {
        int k = (int)rng_below(&r, KEYS);
        /* mostly in, then mostly out: it fills, and empties again */
        if (rng_below(&r, 4) < (i / 10000 % 2 ? 1U : 3U)) {
            n += !in[k];
            in[k] = 1 + (int)rng_below(&r, 2);
            lookup_set(&t, names[k], in[k] == 1 ? (void *)&values[k] : (void *)names[k]);
        } else {
            n -= in[k] != 0;
            in[k] = 0;
            lookup_del(&t, names[k]);
        }
        assert_int_equal(t.n, n);
        int q = (int)rng_below(&r, KEYS);
        assert_ptr_equal(lookup_get(&t, names[q]), in[q] == 0   ? NULL
                                                   : in[q] == 1 ? (void *)&values[q]
                                                                : (void *)names[q]);
    }
    for (int k = 0; k < KEYS; k++)
        assert_int_equal(lookup_get(&t, names[k]) != NULL, in[k] != 0);
    lookup_done(&t);
    assert_null(lookup_get(&t, "vm-1"));
}

static void keys_are_the_last_ones(void **state)
{
    (void)state;
    struct lookup t = {0};
    char a[] = "vm", b[] = "vm";
    lookup_del(&t, a);
    lookup_set(&t, a, a);
    lookup_set(&t, b, b);
    a[0] = 'x'; /* no longer borrowed */
    assert_ptr_equal(lookup_get(&t, "vm"), b);
    assert_null(lookup_get(&t, "xm"));
    lookup_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_a_plain_list),
        cmocka_unit_test(keys_are_the_last_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
