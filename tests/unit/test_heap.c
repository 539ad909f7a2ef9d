/* The smallest comes first, whatever was put in and taken out before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/base/heap.h"
#include "lib/base/rng.h"

enum { ROUNDS = 20000, KEYS = 50 };

static void smallest_first(void **state)
{
    (void)state;
    struct rng r;
    struct heap h = {0};
    struct heap_item it;
    int have[KEYS] = {0}, n = 0;
    rng_init(&r, 1);
    for (int i = 0; i < ROUNDS; i++) {
        if (rng_below(&r, 5) < (i < ROUNDS / 2 ? 3U : 2U)) {
            int key = (int)rng_below(&r, KEYS);
            heap_put(&h, (struct heap_item){.key = key, .id = i});
            have[key]++;
            n++;
            continue;
        }
        assert_int_equal(heap_take(&h, &it), n > 0);
        for (int k = 0; n > 0 && k < it.key; k++)
            assert_int_equal(have[k], 0);
        if (n > 0) {
            have[it.key]--;
            n--;
        }
    }
    assert_int_equal(h.n, n);
    heap_done(&h);
    assert_false(heap_take(&h, &it));
}

static void equals_come_in_a_fixed_order(void **state)
{
    (void)state;
    struct heap h = {0};
    struct heap_item it;
    static const struct heap_item in[] = {{1, 5, 7}, {1, 4, 9}, {1, 5, 3}, {0, 9, 9}};
    static const int out[] = {9, 9, 3, 7};
    for (size_t i = 0; i < 4; i++)
        heap_put(&h, in[i]);
    for (size_t i = 0; i < 4; i++) {
        assert_true(heap_take(&h, &it));
        assert_int_equal(it.id, out[i]);
    }
    heap_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smallest_first),
        cmocka_unit_test(equals_come_in_a_fixed_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
