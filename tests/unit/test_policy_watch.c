/* The policy directory as the scheduler follows it: what is taken, what is refused, what waits, and what is
 * in force after a restart. */
#include <errno.h>
#include <git2.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/str.h"
#include "scheduler/io/corethread.h"
#include "scheduler/io/policystate.h"
#include "scheduler/io/policywatch.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/tempgit.h"

static void has(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("expected '%s' in: %s", part, text ? text : "nothing");
}

/* ---- the watch --------------------------------------------------------------------------------- */

static struct item *next_item(struct queue *q)
{
    struct item **items, *i = NULL;
    size_t n;
    if (queue_take(q, 20 * SEC, &items, &n) && n == 1)
        i = items[0];
    free(items);
    assert_non_null(i);
    return i;
}

static void expect_item(struct queue *q, enum item_type type, const char *text)
{
    struct item *i = next_item(q);
    if (i->type != type)
        fail_msg("item %d, expected %d: %s", (int)i->type, (int)type, i->text ? i->text : "");
    if (text)
        has(i->text, text);
    item_free(i);
}

static struct policywatch *watch(const char *dir, bool require_clean, struct queue *q)
{
    struct policy p;
    assert_int_equal(policywatch_load(dir, require_clean, &p, NULL), 0);
    struct policywatch *w =
        policywatch_start(&(struct policywatch_config){dir, q, require_clean}, &p);
    policy_done(&p);
    return w;
}

static void nothing(struct queue *q, int64_t us)
{
    struct item **items;
    size_t n;
    queue_take(q, us, &items, &n);
    if (n)
        fail_msg("unexpected item %d: %s", (int)items[0]->type,
                 items[0]->text ? items[0]->text : "");
    free(items);
}

static void test_files(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct queue *q = queue_new();
    temp_put(dir, "a.yaml", "version: 1\n");
    struct policywatch *w = watch(dir, false, q);
    temp_put(dir, "a.yaml", "version: 1\ndrian: {}\n");
    expect_item(q, ITEM_POLICY_BAD, "a.yaml:2:1: unknown key 'drian'");
    temp_put(dir, "a.yaml", "version: 1\ncapacity: {vcpu: {overcommit: 2.0}}\n");
    struct item *i = next_item(q);
    assert_int_equal(i->type, ITEM_POLICY);
    assert_int_equal(i->policy.capacity.vcpu_overcommit_ppm, 2000000);
    item_free(i);
    temp_put(dir, "a.yaml", "version: 1\ncapacity: {vcpu: {overcommit: 2.0}}\n"); /* touched */
    temp_put(dir, "a.test.yaml", "nonsense\n");
    nothing(q, 5 * SEC);
    policywatch_stop(w);
    queue_free(q);
    temp_remove(dir);
}

static void test_commits(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct queue *q = queue_new();
    git_repository *repo;
    git_libgit2_init();
    assert_int_equal(git_repository_init(&repo, dir, 0), 0);
    temp_put(dir, "a.yaml", "version: 1\n");
    struct policy p;
    struct err e = {0};
    assert_int_equal(policywatch_load(dir, true, &p, &e), -EBUSY);
    has(e.msg, "nothing is committed here");
    git_commit_all(repo, "first");
    struct policywatch *w = watch(dir, true, q);
    temp_put(dir, "a.yaml", "version: 1\ndrain: {order: fastest}\n");
    expect_item(q, ITEM_POLICY_BAD,
                "a.yaml: not as committed, and scheduler.yaml has "
                "policy_require_clean");
    git_commit_all(repo, "second");
    struct item *i = next_item(q);
    assert_int_equal(i->type, ITEM_POLICY);
    assert_true(i->policy.clean);
    assert_string_equal(i->policy.summary, "second");
    item_free(i);
    /* a bad commit: who made it is told too */
    temp_put(dir, "a.yaml", "version: 1\ndrain: {order: fast}\n");
    git_commit_all(repo, "third");
    do { /* the file, not committed yet, may have been seen first */
        i = next_item(q);
        assert_int_equal(i->type, ITEM_POLICY_BAD);
        has(i->text, "a.yaml");
    } while (!str_eq(i->source.summary, "third") && (item_free(i), true));
    has(i->source.author, "Ann Ode");
    item_free(i);
    policywatch_stop(w);
    git_repository_free(repo);
    git_libgit2_shutdown();
    queue_free(q);
    temp_remove(dir);
}

/* While git is at work nothing is read; what it leaves is. */
static void test_git_at_work(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct queue *q = queue_new();
    git_repository *repo;
    git_libgit2_init();
    assert_int_equal(git_repository_init(&repo, dir, 0), 0);
    temp_put(dir, "a.yaml", "version: 1\n");
    git_commit_all(repo, "first");
    struct policywatch *w = watch(dir, false, q);
    nothing(q, 3 * SEC); /* the first look finds what was loaded */
    temp_put(dir, ".git/index.lock", "");
    temp_put(dir, "a.yaml", "half of a comm");
    expect_item(q, ITEM_POLICY_BEHIND, NULL);
    nothing(q, 5 * SEC);
    temp_put(dir, "a.yaml", "version: 1\ndrain: {order: smallest-first}\n");
    cleanup(freep) char *lock = xasprintf("%s/.git/index.lock", dir);
    assert_int_equal(unlink(lock), 0);
    expect_item(q, ITEM_POLICY, NULL);
    policywatch_stop(w);
    git_repository_free(repo);
    git_libgit2_shutdown();
    queue_free(q);
    temp_remove(dir);
}

/* ---- the core thread --------------------------------------------------------------------------- */

struct rig {
    struct queue *queue;
    struct corethread *core;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    char *body;
};

static void out_send(void *arg, struct outgoing *list, size_t n)
{
    (void)arg;
    for (size_t i = 0; i < n; i++) {
        free(list[i].host);
        free(list[i].text);
    }
    free(list);
}

static void out_reply(void *arg, uint64_t id, int status, char *body)
{
    struct rig *g = arg;
    (void)id;
    assert_int_equal(status, 200);
    pthread_mutex_lock(&g->lock);
    free(g->body);
    g->body = body;
    pthread_cond_signal(&g->answered);
    pthread_mutex_unlock(&g->lock);
}

static void out_restart(void *arg, int64_t term)
{
    (void)arg;
    (void)term;
}

static void out_ended(void *arg)
{
    (void)arg;
}

static int open_core(struct rig *g, const char *dir, struct policy *p, const char *refused,
                     struct err *e)
{
    cleanup(freep) char *db = xasprintf("%s.db", dir);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->answered, NULL);
    g->queue = queue_new();
    const struct corethread_config cc = {
        .database = db,
        .heartbeat_us = SEC,
        .queue = g->queue,
        .policy_dir = dir,
        .policy_refused = refused,
        .out = {.arg = g,
                .send = out_send,
                .reply = out_reply,
                .restart = out_restart,
                .ended = out_ended},
    };
    int r = corethread_open(&cc, p, &g->core, e);
    if (r == 0)
        corethread_start(g->core);
    return r;
}

static void close_core(struct rig *g)
{
    queue_close(g->queue);
    corethread_free(g->core);
    queue_free(g->queue);
    free(g->body);
    pthread_cond_destroy(&g->answered);
    pthread_mutex_destroy(&g->lock);
    *g = (struct rig){0};
}

static json_t *ask(struct rig *g, enum query what)
{
    struct item *i = item_new(ITEM_QUERY);
    i->query = what;
    assert_int_equal(queue_push(g->queue, i), 0);
    pthread_mutex_lock(&g->lock);
    while (!g->body)
        pthread_cond_wait(&g->answered, &g->lock);
    json_t *j = json_loads(g->body, 0, NULL);
    free(take(g->body));
    pthread_mutex_unlock(&g->lock);
    assert_non_null(j);
    return j;
}

static const char *text(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "";
}

static void load(const char *dir, struct policy *ret)
{
    struct err e = {0};
    if (policy_load(dir, ret, &e) < 0)
        fail_msg("%s", e.msg);
}

static void push_bad(struct rig *g, const char *why, const char *commit)
{
    struct item *i = item_new(ITEM_POLICY_BAD);
    i->text = xstrdup(why);
    i->source =
        (struct git_source){.commit = xstrdup(commit), .author = xstrdup("Bo <bo@example.org>")};
    assert_int_equal(queue_push(g->queue, i), 0);
}

/* The journal's newest entry of this kind. */
static void expect_journal(struct rig *g, const char *kind, const char *part)
{
    struct item *i = item_new(ITEM_QUERY);
    i->query = QUERY_JOURNAL;
    i->n2 = 100;
    assert_int_equal(queue_push(g->queue, i), 0);
    pthread_mutex_lock(&g->lock);
    while (!g->body)
        pthread_cond_wait(&g->answered, &g->lock);
    cleanup(freep) char *body = take(g->body);
    pthread_mutex_unlock(&g->lock);
    has(body, kind);
    has(body, part);
}

static void test_state(void **state)
{
    (void)state;
    char *root = temp_dir();
    cleanup(freep) char *dir = xasprintf("%s/policy", root);
    struct rig g = {0};
    struct policy p;
    struct err e = {0};
    temp_put(dir, "a.yaml", "version: 1\ndrain: {order: smallest-first}\n");
    load(dir, &p);
    int64_t before = clock_wall_us();
    assert_int_equal(open_core(&g, dir, &p, NULL, &e), 0);
    json_t *j = ask(&g, QUERY_POLICY);
    assert_string_equal(text(j, "state"), "in-force");
    assert_string_equal(text(j, "dir"), dir);
    int64_t since = json_integer_value(json_object_get(j, "loaded_wall_us"));
    assert_true(since >= before);
    assert_null(json_object_get(j, "balance"));
    json_decref(j);
    push_bad(&g, "a.yaml:2:1: no", "abc");
    j = ask(&g, QUERY_POLICY);
    assert_string_equal(text(j, "state"), "refused");
    assert_string_equal(text(j, "message"), "a.yaml:2:1: no");
    assert_string_equal(text(json_object_get(j, "source"), "revision"), "abc");
    assert_string_equal(text(j, "revision"), ""); /* what is in force is of no commit */
    json_decref(j);
    expect_journal(&g, "policy.refused",
                   "policy abc by Bo <bo@example.org> refused, the last good "
                   "one stays in force: a.yaml:2:1: no");
    struct item *i = item_new(ITEM_POLICY_BEHIND);
    i->source.commit = xstrdup("def");
    assert_int_equal(queue_push(g.queue, i), 0);
    j = ask(&g, QUERY_POLICY);
    assert_string_equal(text(j, "state"), "refused"); /* the worse of the two */
    json_decref(j);
    temp_put(dir, "a.yaml", "version: 1\nbalance: {schedule: \"* * * * *\"}\n");
    i = item_new(ITEM_POLICY);
    load(dir, &i->policy);
    assert_int_equal(queue_push(g.queue, i), 0);
    j = ask(&g, QUERY_POLICY);
    assert_string_equal(text(j, "state"), "in-force");
    const json_t *look = json_object_get(j, "balance");
    assert_string_equal(text(look, "schedule"), "* * * * *");
    assert_true(json_is_true(json_object_get(look, "window_open")));
    int64_t next = json_integer_value(json_object_get(look, "next_wall_us"));
    assert_true(next > before && next <= clock_wall_us() + 60 * SEC);
    json_decref(j);
    close_core(&g);
    temp_remove(root);
}

/* The last good one stays in force over a restart, and the alert is there from the first moment. */
static void test_restart(void **state)
{
    (void)state;
    char *root = temp_dir();
    cleanup(freep) char *dir = xasprintf("%s/policy", root), *db = xasprintf("%s.db", dir);
    struct rig g = {0};
    struct policy p;
    struct err e = {0};
    assert_int_equal(open_core(&g, dir, NULL, "a.yaml:1:1: bad", &e), -EBADMSG);
    has(e.msg, "policy refused; drover policy check '"); /* nothing is known that was good */
    has(e.msg, "' tells more: a.yaml:1:1: bad");
    queue_free(g.queue);
    temp_put(dir, "a.yaml", "version: 1\nrules:\n  - {name: x, exclude: {vms: {names: [x]}}}\n");
    load(dir, &p);
    assert_int_equal(open_core(&g, dir, &p, NULL, &e), 0);
    json_t *j = ask(&g, QUERY_POLICY);
    int64_t since = json_integer_value(json_object_get(j, "loaded_wall_us"));
    json_decref(j);
    close_core(&g);
    assert_int_equal(open_core(&g, dir, NULL, "a.yaml:1:1: bad", &e), 0);
    j = ask(&g, QUERY_POLICY);
    assert_string_equal(text(j, "state"), "refused");
    assert_true(json_is_true(json_object_get(j, "kept")));
    assert_int_equal(json_integer_value(json_object_get(j, "rules")), 1);
    assert_int_equal(json_integer_value(json_object_get(j, "loaded_wall_us")), since);
    json_decref(j);
    j = ask(&g, QUERY_HEALTH);
    assert_string_equal(text(json_array_get(json_object_get(j, "checks"), 0), "name"),
                        "POLICY_REFUSED");
    json_decref(j);
    close_core(&g);
    /* the same files again: since when is still known; another directory's policy is not used */
    load(dir, &p);
    assert_int_equal(open_core(&g, dir, &p, NULL, &e), 0);
    j = ask(&g, QUERY_POLICY);
    assert_string_equal(text(j, "state"), "in-force");
    assert_int_equal(json_integer_value(json_object_get(j, "loaded_wall_us")), since);
    json_decref(j);
    close_core(&g);
    cleanup(freep) char *other = xasprintf("%s-2", dir), *other_db = xasprintf("%s-2.db", dir);
    assert_int_equal(rename(db, other_db), 0);
    assert_int_equal(open_core(&g, other, NULL, "b.yaml:1:1: bad", &e), -EBADMSG);
    queue_free(g.queue);
    temp_remove(root);
}

static void test_kept_text(void **state)
{
    (void)state;
    struct policy p;
    int64_t since;
    struct err e = {0};
    assert_int_equal(policy_kept("nonsense", &p, &since, &e), -EBADMSG);
    assert_int_equal(policy_kept("{\"files\": [{\"name\": \"a\"}]}", &p, &since, &e), -EBADMSG);
    assert_int_equal(
        policy_kept("{\"files\": [{\"name\": \"a.yaml\", \"text\": \"x\"}]}", &p, &since, &e),
        -EBADMSG);
    policy_default(&p);
    p.dir = xstrdup("/d");
    p.commit = xstrdup("abc");
    p.author = xstrdup("Ann");
    cleanup(freep) char *kept = policy_keep(&p, 7);
    policy_done(&p);
    assert_int_equal(policy_kept(kept, &p, &since, &e), 0);
    assert_int_equal(since, 7);
    assert_string_equal(p.dir, "/d");
    assert_string_equal(p.author, "Ann");
    policy_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),       cmocka_unit_test(test_commits),
        cmocka_unit_test(test_git_at_work), cmocka_unit_test(test_state),
        cmocka_unit_test(test_restart),     cmocka_unit_test(test_kept_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
