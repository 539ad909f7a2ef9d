/* The corpora of the fuzzers, without a fuzzer: every input that once was interesting is read again.
 * Run from the repository's root. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"

static int is_input(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static void replay(const char *dir, int (*target)(const uint8_t *data, size_t size))
{
    struct dirent **list;
    int n = scandir(dir, &list, is_input, alphasort);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        cleanup(freep) char *path = xasprintf("%s/%s", dir, list[i]->d_name);
        cleanup(freep) char *text = NULL;
        size_t len;
        assert_int_equal(file_read(path, 1 << 22, &text, &len, NULL), 0);
        /* a copy of the exact size: reading beyond it is seen */
        cleanup(freep) uint8_t *data = len ? xmemdup(text, len) : NULL;
        assert_int_equal(target(data, len), 0);
        free(list[i]);
    }
    free(list);
}

static void test_policy_corpus(void **state)
{
    (void)state;
    replay("tests/fuzz/corpus/policy", fuzz_policy);
}

static void test_snapshot_corpus(void **state)
{
    (void)state;
    replay("tests/fuzz/corpus/snapshot", fuzz_snapshot);
}

static void test_import_corpus(void **state)
{
    (void)state;
    replay("tests/fuzz/corpus/import", fuzz_import);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_corpus),
        cmocka_unit_test(test_snapshot_corpus),
        cmocka_unit_test(test_import_corpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
