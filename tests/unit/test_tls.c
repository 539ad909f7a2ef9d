#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>

#include "tests/unit/netfix.h"

static void own_files_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *cert, *key, *ca;
        int code;
        const char *text;
    } t[] = {
        {"ours/none/cert.pem", "ours/h1/key.pem", "ours/ca.pem", -ENOENT, "No such file"},
        {"ours/h1/cert.pem", "ours/none", "ours/ca.pem", -ENOENT, "private key: open"},
        {"ours/h1/cert.pem", "ours/h1/key.pem", "ours/nope.pem", -ENOENT, "CA: open"},
        {"ours/h1/cert.pem", "ours/h2/key.pem", "ours/ca.pem", -EKEYREJECTED,
         "does not belong to certificate"},
        {"ours/h1/cert.pem", "ours/h1/key.pem", "other/ca.pem", -EKEYREJECTED,
         "which is not our CA"},
        {"ours/h1/cert.pem", "ours/h1/key.pem", "ours/h1/cert.pem", -EKEYREJECTED, "that is no CA"},
        {"ours/h1/cert.pem", "ours/h1/key.pem", "ours/h1/key.pem", -EKEYREJECTED,
         "no certificate in PEM"},
        {"ours/h1/key.pem", "ours/h1/key.pem", "ours/ca.pem", -EKEYREJECTED,
         "no certificate in PEM"},
        {"ours/h1/cert.pem", "ours/h1/cert.pem", "ours/ca.pem", -EKEYREJECTED,
         "no private key in PEM"},
        {"ours/late/cert.pem", "ours/late/key.pem", "ours/ca.pem", -EKEYEXPIRED, "expired on 20"},
        {"ours/early/cert.pem", "ours/early/key.pem", "ours/ca.pem", -EKEYEXPIRED,
         "valid only from 20"},
        {"ours/ca.pem", "ours/ca-key.pem", "ours/ca.pem", -EKEYREJECTED,
         "it has no name (DNS SAN)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        char path[3][160];
        const char *const rel[] = {t[i].cert, t[i].key, t[i].ca};
        for (int k = 0; k < 3; k++)
            snprintf(path[k], sizeof(path[k]), "%s/%s", fix_dir, rel[k]);
        struct tls_files f = {path[0], path[1], path[2], false};
        struct tls *tls = NULL;
        struct err e = {0};
        assert_int_equal(tls_new(&f, &tls, NULL), t[i].code);
        assert_int_equal(tls_new(&f, &tls, &e), t[i].code);
        assert_null(tls);
        if (e.code != t[i].code || !strstr(e.msg, t[i].text))
            fail_msg("'%s' lacks '%s'", e.msg, t[i].text);
        assert_non_null(strstr(e.msg, fix_dir)); /* names the file */
    }
    struct tls *good = fix_tls("ours/h1", "ours", false);
    assert_string_equal(tls_self(good)->name, "h1");
    assert_int_equal(tls_self(good)->role, ROLE_AGENT);
    int64_t left = tls_expires_wall_us(good) / SEC - time(NULL);
    assert_true(left > 2 * 86400 - 100 && left <= 2 * 86400);
    tls_free(good);
}

static void roles_have_names(void **state)
{
    (void)state;
    for (int r = 1; r < (int)ARRAY_LEN(role_names); r++)
        assert_int_equal(role_from_name(role_names[r]), r);
    assert_int_equal(role_from_name("none"), ROLE_NONE);
    assert_int_equal(role_from_name("Agent"), ROLE_NONE);
    assert_int_equal(role_from_name(""), ROLE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_files_are_checked),
        cmocka_unit_test(roles_have_names),
    };
    return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
