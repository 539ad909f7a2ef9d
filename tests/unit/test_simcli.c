/* Stories for the simulator: a bad one is refused with file, line and what was expected there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#undef expect_check /* the name of a function here */

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/simcli/scenario.h"

#define FLEET "{\"hosts\": [\"h[1-2] 16GiB 8c\"], \"vms\": [\"web@h1 1GiB 1c\"]}"

static char *dir;

static void put(const char *file, const char *text)
{
    cleanup(freep) char *path = xasprintf("%s/%s", dir, file);
    if (!text) {
        unlink(path);
        return;
    }
    cleanup(fclosep) FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
}

static int make_dir(void **state)
{
    (void)state;
    dir = xstrdup("/tmp/drover-test-simcli-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    static const char *const all[] = {"cluster.json", "policy.yaml", "script"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        put(all[i], NULL);
    rmdir(dir);
    free(take(dir));
    return 0;
}

/* Loaded and run; the error, or what was not as expected. Gives; NULL: all well. */
static char *told(const char *fleet, const char *policy, const char *script)
{
    struct scenario sc;
    struct outcome o;
    struct err e = {0};
    put("cluster.json", fleet);
    put("policy.yaml", policy);
    put("script", script);
    if (scenario_load(dir, &sc, &e) < 0)
        return xstrdup(e.msg);
    int r = scenario_run(&sc, &(struct twist){.log = true}, &o, &e);
    scenario_done(&sc);
    if (r < 0)
        return xstrdup(e.msg);
    char *violation = xstrdup(o.violation);
    outcome_done(&o);
    return violation;
}

static void check_told(char *no, const char *place, const char *words)
{
    cleanup(freep) char *own = no;
    cleanup(freep) char *at = xasprintf("%s%s", dir, place);
    if (!no || !strstr(no, words) || (*place && !str_has_prefix(no, at)))
        fail_msg("expected '%s%s … %s', not '%s'", dir, place, words, no ? no : "all well");
}

static void script_says(const char *script, int line, const char *words)
{
    cleanup(freep) char *place = xasprintf("/script:%d: ", line);
    check_told(told(FLEET, NULL, script), place, words);
}

static void a_good_one(void **state)
{
    (void)state;
    char *no = told(FLEET, "version: 1\n",
                    "# a remark\n\n10s drain h1 -m \"new memory\"\nexpect run 1 done\n"
                    "expect vm web on h2\nexpect host h1 maintenance\nexpect log \"new memory\"\n"
                    "expect no log \"try 2\"\nexpect end before 60s\n");
    if (no)
        fail_msg("%s", no);
}

static void deeds_that_are_none(void **state)
{
    (void)state;
    script_says("5s drian h1\n", 1, "did you mean drain?");
    script_says("seed 3\n\n5s explode h1\n", 3, "'explode' is nothing that can happen");
    script_says("soon drain h1\n", 1, "soon");
    script_says("5 drain h1\n", 1, "5");
    script_says("5s drain\n", 1, "expected a host, not the end of the line");
    script_says("5s drain h1 --on-block leave\n", 1, "--on-blocked");
    script_says("5s drain h1 --parallel many\n", 1, "many");
    script_says("5s drain h1 -m \"why\n", 1, "a quote is not closed");
    script_says("5s cancel first\n", 1, "first");
    script_says("5s power h1 of\n", 1, "expected one of: off on, not 'of'");
    script_says("5s power h1 off now\n", 1, "expected the end of the line, not 'now'");
    script_says("seed x\n", 1, "x");
    script_says("until never\n", 1, "never");
}

static void names_that_are_not_there(void **state)
{
    (void)state;
    script_says("1s drain h1\n5s power h9 off\n", 2, "no host is called 'h9'");
    script_says("5s guest wbe deaf\n", 1, "no VM is called 'wbe'");
    script_says("5s someone migrate web h3\n", 1, "no host is called 'h3'");
    script_says("5s image db open\n", 1, "no VM is called 'db'");
    script_says("5s policy nowhere\n", 1, "nowhere");
}

static void habits_half_said(void **state)
{
    (void)state;
    script_says("5s guest web bursts 1GiB every 60s\n", 1, "every");
    script_says("5s guest web bursts 1GiB for 60s every 60s\n", 1,
                "a burst is to be shorter than from one to the next");
    script_says("5s guest web bursts 1GiB for 10s\n", 1, "expected every, not the end of the line");
    script_says("5s guest web cpu 40\n", 1, "expected a share such as 40%, not '40'");
    script_says("5s guest web cpu 140%\n", 1, "140");
    script_says("5s guest web cpu wave 24h 80%\n", 1,
                "expected a range such as 20%..80%, not '80%'");
    script_says("5s guest web cpu wave 24h 20%..80% at 14h\n", 1, "expected peak, not 'at'");
    script_says("5s someone switch wbe\n", 1, "no VM is called 'wbe'");
    script_says("5s look here\n", 1, "expected the end of the line, not 'here'");
}

/* What a deed is written as makes the same deed again. */
static void deeds_as_text(void **state)
{
    static const char *const lines[] = {
        "5s guest web bursts 3GiB 12GiB for 20s every 90s",
        "5s guest all bursts 1MiB for 1s every 2s",
        "0s guest web cpu 40%",
        "0s guest web cpu wave 24h 5%..90% peak 14h",
        "0s guest web cpu wave 10m 0%..100%",
        "60s someone switch all",
        "60s someone recover web",
        "14h look",
        "0s guest web writes 20MiB",
        "10s fault migrate midway vm=web times=2",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct err e = {0};
        struct deed d, again;
        assert_int_equal(deed_parse(lines[i], "line", &d, &e), 0);
        cleanup(freep) char *text = deed_text(&d);
        if (deed_parse(text, "line", &again, &e) < 0)
            fail_msg("%s: %s", text, e.msg);
        cleanup(freep) char *second = deed_text(&again);
        assert_string_equal(text, second);
        assert_int_equal(d.kind, again.kind);
        assert_int_equal(d.n, again.n);
        assert_int_equal(d.m, again.m);
        assert_int_equal(d.us, again.us);
        assert_int_equal(d.every_us, again.every_us);
        deed_done(&d);
        deed_done(&again);
    }
}

static void faults_half_said(void **state)
{
    (void)state;
    script_says("5s fault migrate slow vm=web\n", 1, "by=DURATION");
    script_says("5s fault check refuse host=h2\n", 1, "expected fault check refuse code=REASON");
    script_says("5s fault probe refuse code=memory\n", 1,
                "expected fault check refuse code=REASON");
    script_says("5s fault check refuse code=cpu_modle\n", 1, "did you mean cpu_model?");
    script_says("5s fault check hang code=memory\n", 1, "code= belongs to refuse, not to hang");
    script_says("5s fault dance fail\n", 1, "expected one of: check peer migrate");
    script_says("5s fault check fail often\n", 1, "expected code=, host=, vm=, to=, times= or by=");
}

static void expectations(void **state)
{
    (void)state;
    script_says("expect miracles\n", 1, "nothing that can be expected");
    script_says("1s drain h1\nexpect run 1 failed\n", 2, "done");
    script_says("expect run 9 done\n", 1, "nothing of it");
    script_says("expect vm web on h2\n", 1, "h1");
    script_says("expect vm web off\n", 1, "h1");
    script_says("expect host h1 maintenance\n", 1, "up");
    script_says("expect log nothing\n", 1, "a text in quotes is missing");
    script_says("expect log \"never said\"\n", 1, "the log does not say so");
    script_says("expect no log \"scheduler started\"\n", 1, "the log says so");
    script_says("expect end before tea\n", 1, "a duration is missing");
    script_says("expect end before 1ms\n", 1, "not as expected");
}

static void files(void **state)
{
    (void)state;
    check_told(told(NULL, NULL, "1s drain h1\n"), "", "/cluster.json'");
    check_told(told(FLEET, NULL, NULL), "", "/script'");
    check_told(told("{\"hosts\": \n", NULL, ""), "/cluster.json:", "");
    check_told(told("{\"schema\": \"drover.snapshot/2\", \"hosts\": [], \"vms\": []}", NULL, ""),
               "/cluster.json: ", "this drover reads version 1");
    check_told(told("{\"hosts\": [\"h1 16GiB\"], \"vms\": [\"web@h7 1GiB\"]}", NULL, ""),
               "/cluster.json: ", "h7");
    check_told(told(FLEET, "version: 1\nmigration: {retires: 1}\n", ""), "", "policy.yaml:2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_one),
        cmocka_unit_test(deeds_that_are_none),
        cmocka_unit_test(names_that_are_not_there),
        cmocka_unit_test(habits_half_said),
        cmocka_unit_test(deeds_as_text),
        cmocka_unit_test(faults_half_said),
        cmocka_unit_test(expectations),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
