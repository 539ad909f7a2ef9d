/* Texts that grow, and quantities read back: lib/base/str.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

static void a_text_grows_from_nothing(void **state)
{
    (void)state;
    cleanup(freep) char *s = NULL;
    text_add(&s, "%s", "a");
    text_add(&s, "%d%s", 1, s); /* of itself, too */
    assert_string_equal(s, "a1a");
}

static void a_list_has_its_separator_only_between(void **state)
{
    (void)state;
    cleanup(freep) char *from_null = NULL, *from_empty = xstrdup("");
    for (int i = 0; i < 3; i++) {
        text_join(&from_null, ", ", "x");
        text_join(&from_empty, "; ", "y");
    }
    assert_string_equal(from_null, "x, x, x");
    assert_string_equal(from_empty, "y; y; y");
}

static void a_whole_number_is_all_of_the_word_and_in_bounds(void **state)
{
    (void)state;
    struct err e = {0};
    int64_t n = 7;
    const char *bad[] = {"", " ", "x", "3x", "3 ", "0x10", "1.5", "--1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_true(parse_int(bad[i], 0, 100, &n, &e) < 0);
    assert_true(parse_int("101", 0, 100, &n, &e) < 0);
    assert_true(parse_int("-1", 0, 100, &n, &e) < 0);
    assert_true(parse_int("99999999999999999999", INT64_MIN, INT64_MAX, &n, &e) < 0);
    assert_int_equal(n, 7); /* untouched */
    assert_int_equal(parse_int("100", 0, 100, &n, &e), 0);
    assert_int_equal(n, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_grows_from_nothing),
        cmocka_unit_test(a_list_has_its_separator_only_between),
        cmocka_unit_test(a_whole_number_is_all_of_the_word_and_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
