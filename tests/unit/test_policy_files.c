/* Where policy files come from: directories with links in them, odd encodings, git revisions. */
#include <errno.h>
#include <git2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/str.h"
#include "policy/git.h"
#include "policy/lint.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/tempgit.h"

static void put_bytes(const char *dir, const char *name, const char *bytes, size_t len)
{
    cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
    assert_int_equal(file_write(path, bytes, len, 0644, NULL), 0);
}

static void refuses(const char *dir, int code, const char *message)
{
    struct policy p;
    struct err e = {0};
    assert_int_equal(policy_load(dir, &p, &e), code);
    assert_string_equal(e.msg, message);
}

static void loads(const char *dir, size_t n_files)
{
    struct policy p;
    struct err e = {0};
    if (policy_load(dir, &p, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(p.n_files, n_files);
    policy_done(&p);
}

static void test_encodings(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *message;
    } texts[] = {
#define T(s, m) {s, sizeof(s) - 1, m}
        T("version: 1\ncapacity:\n  spare_hosts: 1\0\n",
          "a.yaml:3:17: not valid YAML: control characters are not allowed"),
        T("version: 1\ndrain: {order: \"fast\\0est\"}\n",
          "a.yaml:2:16: a NUL character is not allowed in a text"),
        T("version: 1\n# caf\xc3\xa9\n# caf\xe9 au lait\n",
          "a.yaml:3:7: not valid YAML: invalid trailing UTF-8 octet"),
        T("\xff\xfev\0e\0r\0", "a.yaml:1:1: the text is UTF-16: save it as UTF-8"),
        T("\xfe\xff\0v\0e\0r", "a.yaml:1:1: the text is UTF-16: save it as UTF-8"),
        T("version: 1\ndrain:\n\torder: fastest\n",
          "a.yaml:3:1: not valid YAML: a tab cannot indent, blanks do"),
        T("version: 1\x07\n", "a.yaml:1:11: not valid YAML: control characters are not allowed"),
#undef T
    };
    char *dir = temp_dir();
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        put_bytes(dir, "a.yaml", texts[i].bytes, texts[i].len);
        refuses(dir, -EBADMSG, texts[i].message);
    }
    static const char marked[] =
        "\xef\xbb\xbfversion: 1\r\n# caf\xc3\xa9\r\n"; /* of other systems */
    put_bytes(dir, "a.yaml", marked, sizeof(marked) - 1);
    loads(dir, 1);
    temp_remove(dir);
}

/* A megabyte of brackets is refused at the bound, not by an empty stack. */
static void test_brackets(void **state)
{
    (void)state;
    char *dir = temp_dir();
    cleanup(freep) char *many = xcalloc(1 << 20, 1);
    memset(many, '[', 1 << 20);
    put_bytes(dir, "a.yaml", many, 1 << 20);
    refuses(dir, -EBADMSG, "a.yaml:1:17: nested too deeply");
    temp_remove(dir);
}

static void link_in(const char *dir, const char *name, const char *to)
{
    cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
    assert_int_equal(symlink(to, path), 0);
}

static void unlink_in(const char *dir, const char *name)
{
    cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
    assert_int_equal(unlink(path), 0);
}

static void test_links(void **state)
{
    (void)state;
    char *dir = temp_dir();
    cleanup(freep) char *policy = xasprintf("%s/policy", dir), *same = xasprintf("%s/now", dir);
    temp_put(dir, "policy/real/a.yaml", "version: 1\n");
    temp_put(dir, "policy-else/b.yaml", "version: 1\n"); /* its name begins like the directory's */
    link_in(policy, "a.yaml", "real/a.yaml");
    link_in(policy, "again", "real");
    loads(policy, 3);              /* inside: each name is a file */
    link_in(dir, "now", "policy"); /* the directory itself may be a link that is swapped */
    loads(same, 3);
    link_in(policy, "b.yaml", "../policy-else/b.yaml");
    cleanup(freep) char *real = realpath(dir, NULL);
    cleanup(freep) char *out = xasprintf("b.yaml: the link leads out of the policy directory, to "
                                         "%s/policy-else/b.yaml",
                                         real);
    refuses(policy, -EXDEV, out);
    unlink_in(policy, "b.yaml");
    link_in(policy, "all", "/");
    refuses(policy, -EXDEV, "all: the link leads out of the policy directory, to /");
    unlink_in(policy, "all");
    link_in(policy, "loop", ".");
    refuses(policy, -ELOOP, "loop: the directory contains itself");
    unlink_in(policy, "loop");
    link_in(policy, "gone.yaml", "nothing.yaml");
    refuses(policy, -ENOENT, "gone.yaml: the link points to nothing");
    unlink_in(policy, "gone.yaml");
    link_in(policy, "README", "/etc/hosts"); /* no policy */
    loads(policy, 3);
    temp_remove(dir);
}

static void test_lint(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct policy p;
    struct problems found = {0};
    temp_put(dir, "b:3.yaml", "version: 1\nx: 1\n"); /* a name that looks like a place */
    temp_put(dir, "a.yaml", "version: 1\ndrain: {order: fast}\n");
    assert_int_equal(policy_lint(dir, &p, &found), -EBADMSG);
    assert_int_equal(found.n, 2);
    assert_string_equal(found.list[0].file, "a.yaml");
    assert_int_equal(found.list[0].line, 2);
    assert_int_equal(found.list[0].col, 16);
    assert_string_equal(found.list[1].file, "b:3.yaml");
    assert_int_equal(found.list[1].line, 2);
    assert_true(str_has_prefix(found.list[1].text, "unknown key 'x'"));
    problems_done(&found);
    temp_put(dir, "b:3.yaml", "version: 1\n");
    temp_put(dir, "a.yaml",
             "version: 1\nrules:\n  - {name: near, affinity: {vms: {names: [\"a*\"]}}}\n"
             "  - {name: apart, anti_affinity: {vms: {names: [\"a*\"]}}}\n");
    assert_int_equal(policy_lint(dir, &p, &found), -EBADMSG);
    assert_int_equal(found.n, 1);
    assert_string_equal(found.list[0].code, "contradiction");
    assert_int_equal(found.list[0].line, 4);
    problems_done(&found);
    assert_int_equal(policy_lint("/nonexistent", &p, &found), -ENOENT);
    assert_null(found.list[0].file);
    problems_done(&found);
    temp_remove(dir);
}

/* ---- git -------------------------------------------------------------------------------------- */

static void expect_git(const char *dir, bool commit, bool clean)
{
    struct policy p;
    assert_int_equal(policy_load(dir, &p, NULL), 0);
    assert_int_equal(p.commit != NULL, commit);
    if (p.commit)
        assert_int_equal(strlen(p.commit), 40);
    assert_int_equal(p.clean, clean);
    policy_done(&p);
}

static void test_git(void **state)
{
    (void)state;
    char *dir = temp_dir();
    git_repository *repo;
    git_libgit2_init();
    temp_put(dir, "site/a.yaml", "version: 1\n");
    temp_put(dir, "other/b.yaml", "version: 1\n");
    cleanup(freep) char *site = xasprintf("%s/site", dir);
    expect_git(site, false, false);
    assert_int_equal(git_repository_init(&repo, dir, 0), 0);
    expect_git(site, false, false); /* nothing is committed yet */
    git_commit_all(repo, "m");
    expect_git(site, true, true);
    temp_put(dir, "site/README.md", "not policy\n");
    temp_put(dir, "other/b.yaml", "version: 1 # changed\n");
    expect_git(site, true, true); /* neither changes a decision */
    temp_put(dir, "site/a.yaml", "version: 1 # changed\n");
    expect_git(site, true, false);
    temp_put(dir, "site/a.yaml", "version: 1\n");
    expect_git(site, true, true);
    temp_put(dir, "site/sub/new.yaml", "version: 1\n");
    expect_git(site, true, false); /* untracked */
    temp_put(dir, ".gitignore", "sub/\n");
    expect_git(site, true, false); /* ignored by git, but loaded */
    git_repository_free(repo);
    git_libgit2_shutdown();
    temp_remove(dir);
}

static void revision(const char *dir, const char *rev, int64_t retries, size_t n_files)
{
    struct policy p;
    struct err e = {0};
    if (policy_load_revision(dir, rev, &p, &e) < 0)
        fail_msg("%s: %s", rev, e.msg);
    assert_int_equal(p.migration.retries, retries);
    assert_int_equal(p.n_files, n_files);
    assert_string_equal(p.author, "Ann Ode <ann@example.org>");
    assert_true(p.committed_wall_us == 1700000000 * SEC);
    assert_true(p.clean);
    assert_int_equal(strlen(p.commit), 40);
    policy_done(&p);
}

static void no_revision(const char *dir, const char *rev, int code, const char *message)
{
    struct policy p;
    struct err e = {0};
    assert_int_equal(policy_load_revision(dir, rev, &p, &e), code);
    if (!strstr(e.msg, message))
        fail_msg("expected '%s' in '%s'", message, e.msg);
}

static void test_revisions(void **state)
{
    (void)state;
    char *dir = temp_dir();
    git_repository *repo;
    struct git_source s;
    cleanup(freep) char *site = xasprintf("%s/site", dir);
    git_libgit2_init();
    assert_int_equal(git_repository_init(&repo, dir, 0), 0);
    temp_put(dir, "site/b.yaml", "version: 1\nmigration: {retries: 5}\n");
    temp_put(dir, "site/a/a.yaml", "version: 1\nmigration: {retries: 4}\n");
    temp_put(dir, "site/.hidden/x.yaml", "nonsense\n");
    temp_put(dir, "site/a.test.yaml", "nonsense\n");
    temp_put(dir, "other/c.yaml", "version: 1\nmigration: {retries: 1}\n");
    no_revision(site, "HEAD", -ENOENT, "no revision 'HEAD' in the repository of ");
    git_commit_all(repo, "base\n\nmore words");
    temp_put(dir, "site/b.yaml", "version: 1\nmigration: {retries: 7}\n");
    git_commit_all(repo, "more");
    temp_put(dir, "site/b.yaml", "version: 1\nmigration: {retries: 9}\n"); /* not committed */
    revision(site, "HEAD", 7, 2);
    revision(site, "HEAD~1", 5, 2); /* the later name wins, as on disk */
    revision(site, "HEAD:site", 7, 2);
    revision(dir, "HEAD~1:other", 1, 1);
    revision(dir, "HEAD:site/a", 4, 1);
    no_revision(site, "HEAD~9", -ENOENT, "no revision 'HEAD~9'");
    no_revision(site, "HEAD:nix", -ENOENT, "no directory 'nix' in revision 'HEAD'");
    no_revision(site, "HEAD:site/b.yaml", -ENOENT, "no directory 'site/b.yaml'");
    no_revision("/", "HEAD", -ENOENT, "'HEAD' is no directory, and / is in no git repository");
    assert_int_equal(policy_git(site, &s, NULL), 0);
    assert_string_equal(s.summary, "more");
    assert_string_equal(s.author, "Ann Ode <ann@example.org>");
    assert_false(s.clean);
    git_source_done(&s);
    assert_false(policy_git_busy(site));
    temp_put(dir, ".git/index.lock", "");
    assert_true(policy_git_busy(site));
    temp_put(dir, "site/b.yaml", "version: 3\n");
    cleanup(freep) char *lock = xasprintf("%s/.git/index.lock", dir);
    unlink(lock);
    link_in(site, "l.yaml", "b.yaml");
    git_commit_all(repo, "bad");
    no_revision(site, "HEAD", -ELOOP,
                "l.yaml: a symbolic link; links of a commit are not followed");
    unlink_in(site, "l.yaml");
    git_commit_all(repo, "bad too");
    no_revision(site, "HEAD", -EBADMSG, "b.yaml:1:10: version 3");
    git_repository_free(repo);
    git_libgit2_shutdown();
    temp_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encodings), cmocka_unit_test(test_brackets),
        cmocka_unit_test(test_links),     cmocka_unit_test(test_lint),
        cmocka_unit_test(test_git),       cmocka_unit_test(test_revisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
