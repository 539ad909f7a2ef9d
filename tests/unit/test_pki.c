#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scheduler/cli/cli.h"
#include "tests/unit/netfix.h"

static char *at(const char *rel)
{
    return xasprintf("%s/%s", fix_dir, rel);
}

static mode_t mode_of(const char *rel)
{
    cleanup(freep) char *path = at(rel);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static int issue(const char *name, const char *const *sans, size_t n_sans, struct err *e)
{
    cleanup(freep) char *ca = at("ours");
    cleanup(freep) char *out = at("out");
    struct pki_leaf leaf = {.role = ROLE_AGENT,
                            .name = name,
                            .sans = sans,
                            .n_sans = n_sans,
                            .now_s = time(NULL),
                            .days = 1};
    return pki_issue(ca, &leaf, out, e);
}

static void what_is_made(void **state)
{
    (void)state;
    static const char *const sans[] = {"kvm-07.example.org", "10.0.0.7", "fd00::7"};
    struct err e;
    struct pki_info i;
    if (issue("kvm-07", sans, 3, &e) < 0)
        fail_msg("%s", e.msg);
    cleanup(freep) char *cert = at("out/cert.pem");
    assert_int_equal(pki_read(cert, &i, &e), 0);
    assert_string_equal(i.id.name, "kvm-07");
    assert_int_equal(i.id.role, ROLE_AGENT);
    assert_false(i.is_ca);
    static const char *const want[] = {"DNS:kvm-07", "URI:drover:role:agent",
                                       "DNS:kvm-07.example.org", "IP:10.0.0.7", "IP:fd00::7"};
    assert_int_equal(i.n_sans, ARRAY_LEN(want));
    for (size_t k = 0; k < ARRAY_LEN(want); k++)
        assert_string_equal(i.sans[k], want[k]);
    assert_int_equal(strlen(i.serial), 40);
    assert_int_equal(i.not_after_s - i.not_before_s, 86400 + 300);
    pki_info_done(&i);
    pki_info_done(&i);
    assert_int_equal(mode_of("out/key.pem"), 0600);
    assert_int_equal(mode_of("out/cert.pem"), 0644);
    assert_int_equal(mode_of("ours/ca-key.pem"), 0600);
    assert_int_equal(mode_of("ours"), 0700);
    cleanup(freep) char *ca = at("ours/ca.pem");
    assert_int_equal(pki_read(ca, &i, &e), 0);
    assert_true(i.is_ca);
    assert_int_equal(i.id.role, ROLE_NONE);
    pki_info_done(&i);
}

static void nothing_is_overwritten(void **state)
{
    (void)state;
    struct err e;
    cleanup(freep) char *ca = at("ours");
    cleanup(freep) char *key = at("out/key.pem");
    assert_int_equal(pki_init(ca, 10, time(NULL), &e), -EEXIST);
    assert_non_null(strstr(e.msg, "ours/ca.pem"));
    assert_int_equal(issue("kvm-08", NULL, 0, &e), -EEXIST);
    cleanup(freep) char *cert = at("out/cert.pem");
    assert_int_equal(unlink(cert), 0);
    assert_int_equal(issue("kvm-08", NULL, 0, &e), -EEXIST); /* one of the three is enough */
    assert_non_null(strstr(e.msg, key));
    assert_int_equal(access(cert, F_OK), -1);
}

static void names_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a,DNS:evil", "a:b", "a b", "-a", "a/b", "a\nb"};
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(issue(bad[i], NULL, 0, &e), -EINVAL);
        assert_int_equal(issue("fine", &bad[i], 1, &e), -EEXIST); /* never written at all */
    }
    cleanup(freep) char *key = at("out/key.pem"), *ca = at("out/ca.pem");
    unlink(key);
    unlink(ca);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(issue("fine", &bad[i], 1, &e), -EINVAL);
        assert_int_equal(access(key, F_OK), -1);
    }
    char longest[300];
    memset(longest, 'n', sizeof(longest));
    longest[254] = '\0';
    assert_int_equal(issue(longest, NULL, 0, &e), -EINVAL);
    longest[253] = '\0'; /* longer than a common name may be, not than a host name */
    if (issue(longest, NULL, 0, &e) < 0)
        fail_msg("%s", e.msg);
    cleanup(freep) char *cert = at("out/cert.pem");
    struct pki_info i;
    assert_int_equal(pki_read(cert, &i, NULL), 0);
    assert_string_equal(i.id.name, longest);
    pki_info_done(&i);
}

static void bad_inputs(void **state)
{
    (void)state;
    struct err e;
    struct pki_leaf leaf = {.role = ROLE_AGENT, .name = "h", .now_s = time(NULL), .days = 1};
    cleanup(freep) char *none = at("none"), *ours = at("ours"), *x = at("x"),
                        *key = at("ours/ca-key.pem");
    assert_int_equal(pki_issue(none, &leaf, x, &e), -ENOENT);
    assert_non_null(strstr(e.msg, "drover pki init"));
    leaf.days = 0;
    assert_int_equal(pki_issue(ours, &leaf, x, &e), -EINVAL);
    leaf.days = 40000;
    assert_int_equal(pki_issue(ours, &leaf, x, &e), -EINVAL);
    leaf.days = 1;
    leaf.role = ROLE_NONE;
    assert_int_equal(pki_issue(ours, &leaf, x, &e), -EINVAL);
    struct pki_info i;
    assert_int_equal(pki_read(key, &i, &e), -EINVAL);
    assert_int_equal(pki_read(none, &i, &e), -ENOENT);
    assert_int_equal(access(x, F_OK), -1);
}

static int pki(const char *a, const char *b, const char *c, const char *d, const char *f,
               const char *g, const char *h)
{
    const char *all[] = {"pki", a, b, c, d, f, g, h};
    char *argv[ARRAY_LEN(all) + 1] = {0};
    int argc = 0;
    while (argc < (int)ARRAY_LEN(all) && all[argc]) {
        argv[argc] = (char *)(uintptr_t)all[argc];
        argc++;
    }
    return cmd_pki(argc, argv);
}

static void command_line(void **state)
{
    (void)state;
    cleanup(freep) char *ca = at("cli"), *out = xasprintf("--out=%s/cli-out", fix_dir),
                        *cert = at("cli-out/cert.pem");
    assert_int_equal(pki("init", "--dir", ca, NULL, NULL, NULL, NULL), X_DONE);
    assert_int_equal(pki("init", "--dir", ca, NULL, NULL, NULL, NULL), X_FAILED);
    assert_int_equal(pki("issue", "--dir", ca, "operator", "--name=olga", "--days=5", out), X_DONE);
    assert_int_equal(pki("issue", "--dir", ca, "operator", "--name=olga", out, NULL), X_FAILED);
    assert_int_equal(pki("show", cert, NULL, NULL, NULL, NULL, NULL), X_DONE);
    assert_int_equal(pki("show", "-o", "json", cert, NULL, NULL, NULL), X_DONE);
    assert_int_equal(pki("--help", NULL, NULL, NULL, NULL, NULL, NULL), X_DONE);
    assert_int_equal(pki("show", "/nowhere", NULL, NULL, NULL, NULL, NULL), X_FAILED);
    assert_int_equal(pki(NULL, NULL, NULL, NULL, NULL, NULL, NULL), X_USAGE);
    assert_int_equal(pki("isue", NULL, NULL, NULL, NULL, NULL, NULL), X_USAGE);
    assert_int_equal(pki("init", NULL, NULL, NULL, NULL, NULL, NULL), X_USAGE);
    assert_int_equal(pki("init", "--dir", NULL, NULL, NULL, NULL, NULL), X_USAGE);
    assert_int_equal(pki("issue", "--dir", ca, "king", "--name=olga", out, NULL), X_USAGE);
    assert_int_equal(pki("issue", "--dir", ca, "operator", "--na=olga", out, NULL), X_USAGE);
    assert_int_equal(pki("issue", "--dir", ca, "operator", "--name=o", "--days=0", out), X_USAGE);
    assert_int_equal(pki("show", cert, "more", "words", NULL, NULL, NULL), X_USAGE);
    struct pki_info i;
    assert_int_equal(pki_read(cert, &i, NULL), 0);
    assert_int_equal(i.id.role, ROLE_OPERATOR);
    assert_string_equal(i.id.name, "olga");
    pki_info_done(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made),      cmocka_unit_test(nothing_is_overwritten),
        cmocka_unit_test(names_are_checked), cmocka_unit_test(bad_inputs),
        cmocka_unit_test(command_line),
    };
    return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
