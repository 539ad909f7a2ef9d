/* drover of one version and a scheduler of another: requests, refusals, answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "tests/unit/fakeapi.h"

static void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in: %s", part, text);
}

/* An older scheduler refuses a member that it does not know, also one that says nothing. */
static void requests_say_what_was_asked(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"POST /v1/requests", 0, "{\"http\":200,\"message\":\"so be it\"}"}, {0}};
    static const char *const cases[][2] = {
        {"balance", "{\"verb\":\"balance\"}"},
        {"balance -n --forget-failures",
         "{\"verb\":\"balance\",\"dry_run\":true,\"forget_failures\":true}"},
        {"balance --memory 1GiB --max-moves 3",
         "{\"verb\":\"balance\",\"mode\":\"make-room\",\"mem_bytes\":1073741824,\"max_moves\":3}"},
        {"apply 7", "{\"verb\":\"apply\",\"run\":7}"},
        {"cancel 7", "{\"verb\":\"cancel\",\"run\":7}"},
        {"drain h1 --detach", "{\"verb\":\"drain\",\"host\":\"h1\"}"},
        {"drain h1 h2 --detach", "{\"verb\":\"drain\",\"hosts\":[\"h1\",\"h2\"]}"},
        {"drain h1 --parallel auto --detach", "{\"verb\":\"drain\",\"host\":\"h1\"}"},
        {"cordon h1", "{\"verb\":\"cordon\",\"host\":\"h1\"}"},
        {"resume h1", "{\"verb\":\"resume\",\"host\":\"h1\"}"},
        {"resume h1 --bring-home", "{\"verb\":\"resume\",\"host\":\"h1\",\"bring_home\":true}"},
        {"label vm/a k=v old-",
         "{\"verb\":\"label\",\"vm\":\"a\",\"labels\":[{\"key\":\"k\",\"value\":\"v\"}],"
         "\"drop_labels\":[\"old\"]}"},
        {"check h1", "{\"verb\":\"check_host\",\"host\":\"h1\"}"},
        {"check pair h1 h2", "{\"verb\":\"check_pair\",\"host\":\"h1\",\"host2\":\"h2\"}"},
        {"policy suspend -m disks", "{\"verb\":\"suspend_balance\",\"reason\":\"disks\"}"},
        {"policy resume", "{\"verb\":\"resume_balance\"}"},
    };
    struct outcome o = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake_run(&o, script, cases[i][0], false, NULL);
        cleanup(freep) char *want = xasprintf("POST /v1/requests %s\n", cases[i][1]);
        assert_string_equal(fake_log, want);
    }
    outcome_done(&o);
}

#define REFUSES(message)                                                                           \
    {                                                                                              \
        {"POST /v1/requests", 0,                                                                   \
         "{\"schema\":\"drover.error/1\",\"code\":\"bad_member\",\"message\":\"" message "\"}"},   \
            {"GET /v1/version", 0, "{\"schema\":\"drover.version/1\",\"version\":\"0.0.7\"}"},     \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static void an_older_scheduler_is_named(void **state)
{
    (void)state;
    static const struct {
        struct fake_answer script[3];
        const char *line, *word;
    } cases[] = {
        {REFUSES("forget_failures: unknown member"), "balance --forget-failures",
         "--forget-failures"},
        {REFUSES("mem_bytes: unknown member; did you mean 'memory'?"), "balance --memory 1GiB",
         "--memory"},
        {REFUSES("hosts: unknown member"), "drain h1 h2 --detach", "several hosts in one request"},
        {REFUSES("drop_labels: unknown member"), "label vm/a k-", "KEY-"},
        {REFUSES("labels[0].ttl: unknown member"), "label vm/a k=v", "KEY=VALUE"},
        {REFUSES("verb: unknown word \\\"suspend_balance\\\""), "policy suspend -m disks",
         "this command"},
    };
    struct outcome o = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake_run(&o, cases[i].script, cases[i].line, false, NULL);
        assert_int_equal(o.code, X_DENIED);
        assert_string_equal(o.out, "");
        cleanup(freep) char *want =
            xasprintf("drover: the scheduler (0.0.7) does not know %s; nothing was done\n"
                      "  this drover is of version " DROVER_VERSION
                      ": upgrade the scheduler first, or leave it out\n",
                      cases[i].word);
        assert_string_equal(o.err, want);
    }
    /* its own words where nothing better is known */
    static const struct fake_answer silent[] = {
        {"POST /v1/requests", 0,
         "{\"schema\":\"drover.error/1\",\"code\":\"unknown_member\",\"message\":\"mode: unknown "
         "member\",\"cure\":\"upgrade it\"}"},
        {0}};
    fake_run(&o, silent, "balance --mode relieve", false, NULL);
    assert_int_equal(o.code, X_DENIED);
    assert_string_equal(o.err, "drover: mode: unknown member\n  upgrade it\n");
    static const struct fake_answer path[] = {
        {"GET /v1/policy", 0,
         "{\"schema\":\"drover.error/1\",\"code\":\"unknown_path\",\"message\":\"no such path: "
         "/v1/policy\"}"},
        {0}};
    fake_run(&o, path, "policy", false, NULL);
    assert_int_equal(o.code, X_DENIED);
    contains(o.err,
             "no such path: /v1/policy\n  drover and drover-scheduler may differ in version");
    outcome_done(&o);
}

/* Members of a newer scheduler are ignored, those that an older one lacks are not known. */
static void answers_may_have_more_or_less(void **state)
{
    (void)state;
#define NEW "\"tomorrow\":{\"x\":[1]}"
#define RUN "\"id\":7,\"kind\":\"drain\",\"state\":\"done\",\"host\":\"h1\""
    static const struct fake_answer newer[] = {
        {"GET /v1/hosts", 0,
         "{\"schema\":\"drover.hosts/1\"," NEW ",\"hosts\":[{\"name\":\"h1\"," NEW ",\"cpu\":{" NEW
         "},\"load\":{" NEW "}}]}"},
        {"GET /v1/vms", 0,
         "{\"schema\":\"drover.vms/1\"," NEW ",\"vms\":[{\"name\":\"a\",\"uuid\":\"u\"," NEW "}]}"},
        {"GET /v1/runs/7", 0,
         "{\"schema\":\"drover.run/1\"," NEW ",\"run\":{" RUN "," NEW "},\"moves\":[{\"id\":1,"
         "\"run\":7,\"vm\":\"u\",\"from\":\"h1\",\"to\":\"h2\"," NEW
         "}],\"journal\":[{\"seq\":1," NEW "}]}"},
        {"GET /v1/runs", 0, "{\"schema\":\"drover.runs/1\"," NEW ",\"runs\":[{" RUN "," NEW "}]}"},
        {"GET /v1/journal", 0,
         "{\"schema\":\"drover.journal/1\"," NEW ",\"entries\":[{\"seq\":1," NEW "}]}"},
        {"GET /v1/explain", 0,
         "{\"schema\":\"drover.explain/1\"," NEW ",\"vm\":{\"uuid\":\"u\","
         "\"name\":\"a\"," NEW "}}"},
        {"GET /v1/health", 0,
         "{\"schema\":\"drover.health/1\",\"status\":\"ok\"," NEW ",\"checks\":[]}"},
        {"GET /v1/policy", 0, "{\"schema\":\"drover.policy/1\",\"state\":\"in-force\"," NEW "}"},
        {"GET /v1/version", 0, "{\"schema\":\"drover.version/1\",\"version\":\"9.0.0\"," NEW "}"},
        {"POST /v1/requests", 0, "{\"http\":200,\"message\":\"so be it\"," NEW "}"},
        {0}};
    static const struct fake_answer older[] = {
        {"GET /v1/hosts", 0, "{\"schema\":\"drover.hosts/1\",\"hosts\":[{\"name\":\"h1\"}]}"},
        {"GET /v1/vms", 0,
         "{\"schema\":\"drover.vms/1\",\"vms\":[{\"name\":\"a\",\"uuid\":\"u\"}]}"},
        {"GET /v1/runs/7", 0, "{\"schema\":\"drover.run/1\",\"run\":{" RUN "}}"},
        {"GET /v1/runs", 0, "{\"schema\":\"drover.runs/1\",\"runs\":[{" RUN "}]}"},
        {"GET /v1/journal", 0, "{\"schema\":\"drover.journal/1\",\"entries\":[{\"seq\":1}]}"},
        {"GET /v1/explain", 0,
         "{\"schema\":\"drover.explain/1\",\"vm\":{\"uuid\":\"u\",\"name\":\"a\"}}"},
        {"GET /v1/health", 0, "{\"schema\":\"drover.health/1\",\"status\":\"ok\"}"},
        {"GET /v1/policy", 0, "{\"schema\":\"drover.policy/1\",\"state\":\"in-force\"}"},
        {"GET /v1/version", 0, "{\"schema\":\"drover.version/1\",\"version\":\"0.0.1\"}"},
        {"POST /v1/requests", 0, "{\"http\":200,\"message\":\"so be it\"}"},
        {0}};
    static const char *const lines[] = {"hosts",
                                        "hosts -o wide",
                                        "vms -o wide",
                                        "top",
                                        "runs",
                                        "runs 7",
                                        "runs 7 --why --ceph --journal",
                                        "attach 7",
                                        "journal",
                                        "explain vm/a",
                                        "health",
                                        "policy",
                                        "version",
                                        "cordon h1"};
    struct outcome o = {0};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        for (int k = 0; k < 2; k++) {
            fake_run(&o, k ? older : newer, lines[i], false, NULL);
            if (o.code != X_DONE)
                fail_msg("%s: exit %d: %s", lines[i], o.code, o.err);
            if (strstr(o.out, "tomorrow"))
                fail_msg("%s: %s", lines[i], o.out);
            cleanup(freep) char *data = xasprintf("%s -o json", lines[i]);
            fake_run(&o, k ? older : newer, data, false, NULL);
            assert_int_equal(o.code, X_DONE);
            contains(o.out, "\"schema\":");
        }
    outcome_done(&o);
}

/* A word of a newer scheduler cannot be shown: better none than a wrong one. */
static void an_unknown_word_is_told(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"GET /v1/runs", 0,
         "{\"schema\":\"drover.runs/1\",\"runs\":[{\"id\":7,\"kind\":\"levitate\"}]}"},
        {"POST /v1/requests", 0, "{\"http\":\"fine\"}"},
        {0}};
    struct outcome o = {0};
    fake_run(&o, script, "runs", false, NULL);
    assert_int_equal(o.code, X_FAILED);
    contains(o.err, "the scheduler's answer is not understood: runs[0].kind: unknown word "
                    "\"levitate\"\n  drover and drover-scheduler may differ in version");
    fake_run(&o, script, "cordon h1", false, NULL);
    assert_int_equal(o.code, X_FAILED);
    contains(o.err, "not understood: http: expected an integer\n  drover and drover-scheduler");
    outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_say_what_was_asked),
        cmocka_unit_test(an_older_scheduler_is_named),
        cmocka_unit_test(answers_may_have_more_or_less),
        cmocka_unit_test(an_unknown_word_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
