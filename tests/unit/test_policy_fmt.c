/* drover policy fmt: the usual form, and that nothing else changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/find.h"
#include "policy/fmt.h"

/* Twice gives the same. */
static void becomes(const char *text, const char *want)
{
    struct err e = {0};
    cleanup(freep) char *once = NULL, *twice = NULL;
    if (policy_fmt("a.yaml", text, strlen(text), &once, &e) < 0)
        fail_msg("%s", e.msg);
    assert_string_equal(once, want);
    assert_int_equal(policy_fmt("a.yaml", once, strlen(once), &twice, &e), 0);
    assert_string_equal(twice, once);
}

static void words_and_indentation(void **state)
{
    (void)state;
    becomes(
        "version:   1\nrules:\n-   name:  a\n    hard : true\n    exclude:\n        vms: {names:   "
        "[ \"a*\" ,b ]}\n",
        "version: 1\nrules:\n  - name: a\n    hard: true\n    exclude:\n      vms: {names: "
        "[\"a*\", b]}\n");
    becomes("a:\n- - b\n  -   c\n- d: e\n  f:\n  - g\n",
            "a:\n  - - b\n    - c\n  - d: e\n    f:\n      - g\n");
    becomes("a:\n       b\nc: {d: , e: f}\n", "a:\n  b\nc: {d: , e: f}\n");
    becomes("a:\n    b: [c,\n        d\n    ]\n", "a:\n  b: [c,\n      d\n  ]\n");
    becomes("\"a b\"  :  'c  d'\n", "\"a b\": 'c  d'\n");
    becomes("ä:   ö\n", "ä: ö\n");
    becomes("", "");
}

static void blank_lines_and_ends_of_lines(void **state)
{
    (void)state;
    becomes("\n\na: 1  \r\n  \r\n\n\nb: 2\n\n\n", "a: 1\n\nb: 2\n");
    becomes("\xef\xbb\xbf"
            "a: 1",
            "a: 1\n");
}

static void comments_stay(void **state)
{
    (void)state;
    becomes("# head\na:   1    # one\nbcd: 2 # two\n\ne: 3     # three\n",
            "# head\na: 1   # one\nbcd: 2 # two\n\ne: 3 # three\n");
    becomes("rules:\n# of a\n- name: a\n  # of hard\n  hard: true\n  # end of a\n\n# of b\n- name: "
            "b\n\n# end\nc: d\n",
            "rules:\n  # of a\n  - name: a\n    # of hard\n    hard: true\n    # end of a\n\n  # "
            "of b\n  - name: b\n\n# end\nc: d\n");
    becomes("a: [b, # one\n    c]   # two\n", "a: [b, # one\n    c] # two\n");
    becomes("a: \"# no comment\"   # one\n", "a: \"# no comment\" # one\n");
    becomes("# nothing else\n", "# nothing else\n");
}

static void what_is_no_policy_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a: |\n  x\n  y\n", "a.yaml:1:4: a text over several lines"},
        {"a: b\n   c\n", "a.yaml:1:4: a text over several lines"},
        {"a: 1\na: 2\n", "duplicate key"},
        {"a: &x 1\n", "anchors are not supported"},
        {"a: [\n", "not valid YAML"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        char *out = NULL;
        assert_int_equal(policy_fmt("a.yaml", cases[i][0], strlen(cases[i][0]), &out, &e),
                         -EBADMSG);
        assert_null(out);
        if (!strstr(e.msg, cases[i][1]))
            fail_msg("'%s' lacks '%s'", e.msg, cases[i][1]);
    }
}

/* Whatever the reader takes, as it stands in this tree: no word is lost, and twice gives the same. */
static void files_of_the_tree(void **state)
{
    (void)state;
    static const char *const dirs[] = {"policy/examples", "deploy/examples", "tests/golden",
                                       "tests/sim", "tests/unit/data/policy-bad"};
    size_t formatted = 0;
    for (size_t d = 0; d < ARRAY_LEN(dirs); d++) {
        cleanup(policy_paths_done) struct policy_paths files = {0};
        assert_int_equal(policy_find(dirs[d], policy_file_name, &files, NULL), 0);
        for (size_t i = 0; i < files.n; i++) {
            cleanup(freep) char *path = xasprintf("%s/%s", dirs[d], files.list[i]);
            cleanup(freep) char *text = NULL, *once = NULL, *twice = NULL;
            struct err e = {0};
            size_t len;
            assert_int_equal(file_read(path, 1 << 20, &text, &len, &e), 0);
            if (policy_fmt(path, text, len, &once, &e) < 0) {
                if (strstr(e.msg, "the same any more"))
                    fail_msg("%s", e.msg);
                continue;
            }
            assert_int_equal(policy_fmt(path, once, strlen(once), &twice, &e), 0);
            assert_string_equal(once, twice);
            formatted++;
            if (d < 2) /* the examples are an example in this, too */
                assert_string_equal(text, once);
        }
    }
    assert_true(formatted > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_indentation), cmocka_unit_test(blank_lines_and_ends_of_lines),
        cmocka_unit_test(comments_stay),         cmocka_unit_test(what_is_no_policy_is_refused),
        cmocka_unit_test(files_of_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
