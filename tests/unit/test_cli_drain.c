/* What drain asks for, what it wants confirmed, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "tests/unit/fakeapi.h"

#define CREATED "{\"http\":202,\"exit\":0,\"code\":\"created\",\"run\":42}"
#define POST    "POST /v1/requests"
#define RUN     "GET /v1/runs/42"

static void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("expected '%s' in:\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("unexpected '%s' in:\n%s", part, text);
}

static const struct fake_answer done[] = {
    {POST, 0, CREATED},
    {RUN, 0, "{\"run\":{\"id\":42,\"state\":\"done\",\"host\":\"h1\",\"proof\":{\"taken\":true}}}"},
    {0},
};

static void all_options_reach_the_scheduler(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, done,
             "drain host/h1 --to h2 --to=host/h3 --avoid h4 --parallel 3 --deadline 1h30m "
             "--on-blocked leave -m kernel",
             false, NULL);
    assert_int_equal(o.code, X_DONE);
    contains(fake_log, "\"verb\":\"drain\"");
    contains(fake_log, "\"host\":\"h1\"");
    contains(fake_log, "\"to\":[\"h2\",\"h3\"]");
    contains(fake_log, "\"avoid\":[\"h4\"]");
    contains(fake_log, "\"parallel\":3");
    contains(fake_log, "\"deadline_us\":5400000000");
    contains(fake_log, "\"on_blocked\":\"leave\"");
    contains(fake_log, "\"reason\":\"kernel\"");
    contains(o.out, "proven empty (0 domains, 0 jobs, 0 watchers)");
    fake_run(&o, done, "drain h1", false, NULL);
    assert_false(fake_uncaught);
    lacks(fake_log, "on_blocked"); /* the policy decides */
    lacks(fake_log, "allow_shutdown");
    outcome_done(&o);
}

/* Without a terminal and a word that names the host, nothing is even asked for. */
static void stopping_vms_wants_a_word(void **state)
{
    (void)state;
    struct outcome o = {0};
    static const char *const unsaid[] = {"drain h1 --on-blocked shutdown",
                                         "drain h1 --on-blocked cold",
                                         "drain h1 --on-blocked shutdown --yes"};
    for (size_t i = 0; i < ARRAY_LEN(unsaid); i++) {
        fake_run(&o, done, unsaid[i], false, NULL);
        assert_int_equal(o.code, X_DENIED);
        contains(o.err, "--confirm=h1");
        assert_string_equal(fake_log, "");
    }
    fake_run(&o, done, "drain h1 --on-blocked shutdown --no-input", true, NULL);
    assert_int_equal(o.code, X_DENIED);
    assert_string_equal(fake_log, "");
    fake_run(&o, done, "drain h1 --on-blocked shutdown --confirm=h2", false, NULL);
    assert_int_equal(o.code, X_DENIED);
    assert_string_equal(fake_log, "");
    fake_run(&o, done, "drain h1 --on-blocked shutdown --confirm=host/h1", false, NULL);
    assert_int_equal(o.code, X_DONE);
    contains(fake_log, "\"on_blocked\":\"shutdown\"");
    contains(fake_log, "\"confirm\":\"h1\"");
    lacks(fake_log, "allow_shutdown\":[\"");
    fake_run(&o, done, "drain h1 --allow-shutdown vm/* --no-input", false, NULL);
    assert_int_equal(o.code, X_USAGE);
    contains(o.err, "patterns stop nobody");
    assert_string_equal(fake_log, "");
    outcome_done(&o);
}

static const struct fake_answer rehearsal[] = {
    {POST, 0, "{\"http\":202,\"exit\":0,\"run\":41}"},
    {"GET /v1/runs/41", 0,
     "{\"run\":{\"id\":41,\"state\":\"planned\",\"dry_run\":true,\"host\":\"h1\",\"on_blocked\":"
     "\"shutdown\","
     "\"stop_all\":true,\"stays\":["
     "{\"vm\":\"u\",\"name\":\"gpu\",\"reasons\":[{\"code\":\"host_device\"}]},"
     "{\"vm\":\"v\",\"name\":\"old\",\"off\":true,\"reasons\":[{\"code\":\"local_disk\"}]}]}}"},
    {POST, 0, CREATED},
    {RUN, 0, "{\"run\":{\"id\":42,\"state\":\"done\",\"host\":\"h1\"}}"},
    {0},
};

static void the_question_lists_who_is_stopped(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, rehearsal, "drain h1 --on-blocked shutdown", true, "h1\n");
    assert_int_equal(o.code, X_DONE);
    contains(o.err, "Draining host/h1 stops 1 VM that cannot move live:\n"
                    "  vm/gpu will be shut down and stay off: a host device is attached\n");
    contains(fake_log, "\"dry_run\":true");
    contains(fake_log, "\"allow_shutdown\":[\"gpu\"]"); /* whom the operator saw, and no other */
    for (int i = 0; i < 2; i++) {
        fake_run(&o, rehearsal, "drain h1 --on-blocked shutdown", true, i ? "yes\n" : "");
        assert_int_equal(o.code, X_DENIED);
        contains(o.err, "nothing was done");
        lacks(fake_log, "\"dry_run\":false");
    }
    outcome_done(&o);
}

static void a_named_vm_is_the_word(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, done, "drain h1 --allow-shutdown vm/gpu", false, NULL);
    assert_int_equal(o.code, X_DONE);
    contains(fake_log, "\"on_blocked\":\"shutdown\"");
    contains(fake_log, "\"allow_shutdown\":[\"gpu\"]");
    fake_run(&o, done, "drain h1 --allow-shutdown vm/gpu --on-blocked cold", false, NULL);
    contains(fake_log, "\"on_blocked\":\"cold\"");
    outcome_done(&o);
}

static void how_it_ends(void **state)
{
    (void)state;
    static const struct {
        const char *state;
        int code;
    } cases[] = {{"done", X_DONE},
                 {"partly", X_PARTLY},
                 {"refused", X_BLOCKED},
                 {"cancelled", X_FAILED},
                 {"failed", X_FAILED}};
    static const char *const formats[] = {"table", "json", "yaml", "jsonl", "name"};
    struct outcome o = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t k = 0; k < ARRAY_LEN(formats); k++) {
            cleanup(freep) char *json =
                xasprintf("{\"run\":{\"id\":42,\"state\":\"%s\",\"host\":\"h1\"}}", cases[i].state);
            const struct fake_answer script[] = {{POST, 0, CREATED}, {RUN, 0, json}, {0}};
            cleanup(freep) char *line = xasprintf("drain h1 -o %s", formats[k]);
            fake_run(&o, script, line, false, NULL);
            assert_int_equal(o.code, cases[i].code);
        }
    fake_run(&o, NULL, "drain h1", false, NULL);
    assert_int_equal(o.code, X_UNREACHABLE);
    const struct fake_answer no[] = {
        {POST, 0, "{\"http\":404,\"exit\":6,\"message\":\"no host 'h1'\"}"}, {0}};
    fake_run(&o, no, "drain h1", false, NULL);
    assert_int_equal(o.code, X_DENIED);
    assert_string_equal(o.err, "drover: no host 'h1'\n");
    const struct fake_answer busy[] = {
        {POST, 0, "{\"http\":409,\"exit\":6,\"run\":7,\"message\":\"busy\"}"}, {0}};
    fake_run(&o, busy, "drain h1", false, NULL);
    assert_int_equal(o.code,
                     X_DENIED); /* a run that is named is not followed when the answer is no */
    outcome_done(&o);
}

static void joining_and_detaching(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer joined[] = {
        {POST, 0, "{\"http\":200,\"exit\":0,\"code\":\"joined\",\"run\":42,\"joined\":true}"},
        {RUN, 0,
         "{\"run\":{\"id\":42,\"state\":\"done\",\"host\":\"h1\",\"actor\":\"ann\",\"created_wall_"
         "us\":3723000000}}"},
        {0}};
    fake_run(&o, joined, "drain h1", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_true(str_has_prefix(
        o.err, "joined run/42, started by ann at 01:02:03; options given now do not change it\n"));
    fake_run(&o, done, "drain h1 --detach", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(o.out, "run/42\n");
    contains(o.err, "drover attach 42 follows it");
    lacks(fake_log, "GET");
    outcome_done(&o);
}

#define MOVE                                                                                       \
    "{\"id\":1,\"run\":42,\"vm\":\"u\",\"vm_name\":\"web\",\"from\":\"h1\",\"to\":\"h2\","         \
    "\"live\":true,"                                                                               \
    "\"mem_bytes\":4294967296,\"why\":\"most free memory\"}"

#define TIMED_MOVE                                                                                 \
    "{\"id\":1,\"run\":42,\"vm\":\"u\",\"vm_name\":\"web\",\"from\":\"h1\",\"to\":\"h2\","         \
    "\"live\":true,"                                                                               \
    "\"mem_bytes\":4294967296,\"why\":\"most free memory\",\"forecast\":{\"start_us\":120000000,"  \
    "\"end_us\":200000000,\"need_Bps\":1288490188}}"

static void a_dry_run(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer good[] = {{POST, 0, CREATED},
                                       {RUN, 0,
                                        "{\"run\":{\"id\":42,\"state\":\"planned\",\"dry_run\":"
                                        "true,\"host\":\"h1\",\"vms\":1,\"parallel\":4,"
                                        "\"forecast\":{\"makespan_us\":41000000,\"peak\":1,"
                                        "\"bytes\":4509715660,\"pause_us\":123000,"
                                        "\"pause_limit_us\":300000},"
                                        "\"policy_commit\":\"3f2a1c9abc\","
                                        "\"policy_clean\":true},\"moves\":[" MOVE "]}"},
                                       {0}};
    static const char *const same[] = {"plan drain h1", "drain h1 --dry-run", "drain h1 -n"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        fake_run(&o, good, same[i], false, NULL);
        assert_int_equal(o.code, X_DONE);
        contains(fake_log, "\"dry_run\":true");
        assert_string_equal(o.out, "VM      FROM  TO   NEED  HOW   WHY\n"
                                   "vm/web  h1    h2  4 GiB  live  most free memory\n"
                                   "\n"
                                   "Plan: 1 move, 0 blocked, 0 stopped · peak 1 at once · ≈41 s · "
                                   "4.2 GiB over the wire · worst pause ≈123 ms · policy 3f2a1c9 "
                                   "clean\n");
        assert_string_equal(o.err, "nothing was changed · drover drain h1 --parallel 4 does it\n");
    }
    fake_run(&o, good, "plan drain h1 --detailed-exitcode", false, NULL);
    assert_int_equal(o.code, X_CHANGES);
    fake_run(&o, good, "plan drain h1 --detailed-exitcode -o json", false, NULL);
    assert_int_equal(o.code, X_CHANGES);
    const struct fake_answer empty[] = {
        {POST, 0, CREATED},
        {RUN, 0, "{\"run\":{\"id\":42,\"state\":\"planned\",\"host\":\"h1\"}}"},
        {0}};
    fake_run(&o, empty, "plan drain h1 --detailed-exitcode", false, NULL);
    assert_int_equal(o.code, X_DONE);
    contains(o.out, "Plan: 0 moves, 0 blocked, 0 stopped\n");
    const struct fake_answer during[] = {
        {POST, 0, CREATED},
        {RUN, 0, "{\"run\":{\"id\":42,\"state\":\"planned\",\"host\":\"h1\",\"interrupts\":7}}"},
        {0}};
    fake_run(&o, during, "plan drain h1", false, NULL);
    assert_int_equal(o.code, X_DONE);
    contains(o.err, "run/7 (balance) is at work: for a drain it begins nothing more");
    const struct fake_answer stuck[] = {
        {POST, 0, CREATED},
        {RUN, 0,
         "{\"run\":{\"id\":42,\"state\":\"planned\",\"host\":\"h1\",\"vms\":2,\"blocked\":1,"
         "\"stays\":[{\"vm\":\"v\","
         "\"name\":\"gpu\",\"reasons\":[{\"code\":\"host_device\"}]}]},\"moves\":[" MOVE "]}"},
        {0}};
    fake_run(&o, stuck, "plan drain h1 --detailed-exitcode", false, NULL);
    assert_int_equal(o.code, X_BLOCKED);
    contains(o.out, "cannot leave:\n  vm/gpu     a host device is attached\n"
                    "  ways out:  drover drain h1 --on-blocked leave   drain the other 1\n");
    contains(o.out, "Plan: 1 move, 1 blocked, 0 stopped");
    fake_run(&o, stuck, "plan drain h1 --why-not", false, NULL);
    assert_int_equal(o.code, X_BLOCKED);
    assert_string_equal(o.out, "  vm/gpu     a host device is attached\n");
    fake_run(&o, stuck, "plan drain h1 --why-not vm/web", false, NULL);
    contains(o.out, "vm/web can leave: to h2, ");
    outcome_done(&o);
}

static void a_plan_with_unknowns(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer writers[] = {
        {POST, 0, CREATED},
        {RUN, 0,
         "{\"run\":{\"id\":42,\"state\":\"planned\",\"host\":\"h1\",\"vms\":1,"
         "\"forecast\":{\"makespan_us\":480000000,\"peak\":4,\"bytes\":4294967296,"
         "\"pause_limit_us\":300000,\"writers\":1,\"never\":1}},\"moves\":[" TIMED_MOVE "]}"},
        {0}};
    fake_run(&o, writers, "plan drain h1", false, NULL);
    fake_run(&o, writers, "plan drain h1 -o wide", false, NULL);
    contains(o.out, "STARTS  TAKES  PAUSE  UUID\n");
    contains(o.out, "  2 min   80 s      ?  u\n");
    contains(o.out, "Plan: 1 move, 0 blocked, 0 stopped · peak 4 at once · ≈8 min if guests write "
                    "little · 1 would not converge (vm/web needs more than 1.2 GiB/s) · 4 GiB over "
                    "the wire · pauses up to 300 ms\n");
    const struct fake_answer blind[] = {
        {POST, 0, CREATED},
        {RUN, 0,
         "{\"run\":{\"id\":42,\"state\":\"planned\",\"host\":\"h1\",\"vms\":1,"
         "\"forecast\":{\"bytes\":4294967296,\"pause_limit_us\":50000,"
         "\"blind\":[\"h1\",\"h2\",\"h3\",\"h4\",\"h5\"]}},\"moves\":[" MOVE "]}"},
        {0}};
    fake_run(&o, blind, "plan drain h1", false, NULL);
    contains(o.out,
             "Plan: 1 move, 0 blocked, 0 stopped · time unknown: no link speed of h1, h2, h3 "
             "and 2 more (migration.link of agent.yaml) · 4 GiB over the wire · pauses up to "
             "50 ms\n");
    outcome_done(&o);
}

static void short_verbs(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer said[] = {{POST, 0, "{\"http\":200,\"exit\":0,\"message\":\"done\"}"},
                                       {0}};
    fake_run(&o, said, "cordon host/h1 -m disk", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(o.out, "done\n");
    contains(fake_log, "\"verb\":\"cordon\"");
    contains(fake_log, "\"reason\":\"disk\"");
    fake_run(&o, said, "label vm/db-1 app=db tier- -m audit", false, NULL);
    assert_int_equal(o.code, X_DONE);
    contains(fake_log, "\"verb\":\"label\"");
    contains(fake_log, "\"vm\":\"db-1\"");
    contains(fake_log, "\"labels\":[{\"key\":\"app\",\"value\":\"db\"}]");
    contains(fake_log, "\"drop_labels\":[\"tier\"]");
    fake_run(&o, said, "label vm/db-1 app", false, NULL);
    assert_int_equal(o.code, X_USAGE);
    contains(o.err, "'app' is no label: expected KEY=VALUE, or KEY- to remove one");
    fake_run(&o, said, "label vm/db-1", false, NULL);
    assert_int_equal(o.code, X_USAGE);
    fake_run(&o, said, "resume h1 --bring-home", false, NULL);
    contains(fake_log, "\"bring_home\":true");
    const struct fake_answer cancelled[] = {
        {POST, 0, CREATED},
        {RUN, 0,
         "{\"run\":{\"id\":42,\"state\":\"cancelled\",\"host\":\"h1\",\"host_was\":\"up\"}}"},
        {0}};
    fake_run(&o, cancelled, "cancel run/42", false, NULL);
    assert_int_equal(o.code, X_DONE); /* cancelling was the wish */
    contains(fake_log, "\"verb\":\"cancel\"");
    contains(fake_log, "\"run\":42");
    contains(o.out, "drain of host/h1 cancelled before the first move; the host is up as before\n");
    const struct fake_answer ended[] = {
        {POST, 0, "{\"http\":200,\"exit\":0,\"code\":\"already\",\"run\":42,\"message\":\"over\"}"},
        {0}};
    fake_run(&o, ended, "cancel 42", false, NULL); /* nothing is under way: nothing is followed */
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(o.out, "over\n");
    assert_string_equal(o.err, "");
    lacks(fake_log, "GET");
    outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_options_reach_the_scheduler),
        cmocka_unit_test(stopping_vms_wants_a_word),
        cmocka_unit_test(the_question_lists_who_is_stopped),
        cmocka_unit_test(a_named_vm_is_the_word),
        cmocka_unit_test(how_it_ends),
        cmocka_unit_test(joining_and_detaching),
        cmocka_unit_test(a_dry_run),
        cmocka_unit_test(a_plan_with_unknowns),
        cmocka_unit_test(short_verbs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
