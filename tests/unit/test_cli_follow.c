/* Following a run: the lines, the block, leaving, and a scheduler that goes away. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/follow.h"
#include "scheduler/cli/text.h"
#include "tests/unit/fakeapi.h"

static struct run_view view(const char *json)
{
    struct run_view v;
    struct err e;
    if (codec_decode_text(&run_view_shape, json, &v, &e) < 0)
        fail_msg("%s", e.msg);
    return v;
}

#define RUN(st) "\"run\":{\"id\":42,\"state\":\"" st "\",\"host\":\"h1\",\"vms\":1}"
#define ENTRY(seq, at, kind, text)                                                                 \
    "{\"seq\":" #seq ",\"wall_us\":" #at "000000,\"kind\":\"" kind "\",\"text\":\"" text "\"}"

static void plain_lines_once_and_in_order(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, NULL, "--version", false, NULL); /* time zone, locale */
    static const char *const views[] = {
        "{" RUN("planning") ",\"entries\":[" ENTRY(7, 1, "run.created", "one") "]}",
        "{" RUN("running") ",\"entries\":[" ENTRY(7, 1, "run.created", "one") "," ENTRY(
            8, 2, "move.copying", "two") "]}",
        "{" RUN("running") "}",
        "{" RUN("done") ",\"entries\":[" ENTRY(8, 2, "move.copying", "two") "," ENTRY(
            11, 3, "move.done", "three\\nlines") "]}",
    };
    char *text = NULL, *brief = NULL;
    size_t n;
    for (int b = 0; b < 2; b++) {
        FILE *f = open_memstream(b ? &brief : &text, &n);
        int64_t seq = 0;
        for (size_t i = 0; i < ARRAY_LEN(views); i++) {
            struct run_view v = view(views[i]);
            follow_plain(f, &v, &seq, b == 1);
            shape_done(&run_view_shape, &v);
        }
        fclose(f);
        assert_int_equal(seq, 11);
    }
    assert_string_equal(text, "00:00:01 one\n00:00:02 two\n00:00:03 three lines\n");
    assert_string_equal(brief, "00:00:01 one\n00:00:03 three lines\n");
    free(text);
    free(brief);
    outcome_done(&o);
}

static const char busy[] =
    "{\"wall_us\":1000000,\"run\":{\"id\":42,\"state\":\"running\",\"host\":\"kvm-07\",\"reason\":"
    "\"kernel 6.12\","
    "\"vms\":23,\"moved\":12,\"moving\":3,\"queued\":5,\"blocked\":1,\"eta_wall_us\":361000000,"
    "\"stays\":["
    "{\"vm\":\"u\",\"name\":\"oracle-1\",\"reasons\":[{\"code\":\"memory\",\"host\":\"kvm-03\","
    "\"need\":\"96 GiB\","
    "\"have\":\"61 GiB\"}]}]},\"moves\":["
    "{\"id\":1,\"run\":42,\"vm\":\"a\",\"vm_name\":\"db-1\",\"to\":\"kvm-02\",\"state\":"
    "\"copying\",\"live\":true,"
    "\"progress\":{\"vm\":\"x\",\"total_bytes\":17179869184,\"remaining_bytes\":7730941132,\"rate_"
    "Bps\":954204160,"
    "\"dirty_Bps\":220200960,\"iteration\":3,\"downtime_us\":90000}},"
    "{\"id\":2,\"run\":42,\"vm\":\"b\",\"vm_name\":\"cache-4\",\"to\":\"kvm-09\",\"state\":"
    "\"copying\",\"live\":true,"
    "\"progress\":{\"vm\":\"x\",\"total_bytes\":34359738368,\"remaining_bytes\":1181116006,\"rate_"
    "Bps\":566231040,"
    "\"dirty_Bps\":587202560,\"iteration\":9}},"
    "{\"id\":3,\"run\":42,\"vm\":\"c\",\"vm_name\":\"web-3\",\"to\":\"kvm-02\",\"state\":"
    "\"confirming\","
    "\"disks\":[{\"target\":\"vda\",\"kind\":\"rbd\"},{\"target\":\"sda\",\"kind\":\"empty\"}]},"
    "{\"id\":4,\"run\":42,\"vm\":\"d\",\"vm_name\":\"web-4\",\"to\":\"kvm-02\",\"state\":"
    "\"uncertain\"},"
    "{\"id\":5,\"run\":42,\"vm\":\"e\",\"vm_name\":\"q1\",\"to\":\"kvm-02\",\"state\":\"queued\","
    "\"mem_bytes\":1073741824},"
    "{\"id\":6,\"run\":42,\"vm\":\"f\",\"vm_name\":\"q2\",\"to\":\"kvm-02\",\"state\":\"queued\","
    "\"mem_bytes\":1073741824},"
    "{\"id\":7,\"run\":42,\"vm\":\"g\",\"vm_name\":\"q3\",\"to\":\"kvm-02\",\"state\":\"queued\","
    "\"mem_bytes\":1073741824},"
    "{\"id\":8,\"run\":42,\"vm\":\"h\",\"vm_name\":\"q4\",\"to\":\"kvm-02\",\"state\":\"queued\","
    "\"mem_bytes\":1073741824},"
    "{\"id\":9,\"run\":42,\"vm\":\"i\",\"vm_name\":\"gone\",\"to\":\"kvm-02\",\"state\":\"done\"}]"
    "}";

/* The verdict on a copy whose figures look well. */
static void a_copy_that_hovers_or_stands_still(void **state)
{
    (void)state;
    static const struct {
        int64_t stuck, still_us;
        const char *says;
    } cases[] = {{0, SEC, "  converging, ≈"},
                 {3, SEC, "  NOT converging"},
                 {0, 12 * SEC, "GiB left  no progress for 12 s\n"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct run_view v = view(busy);
        v.wall_us = 100 * SEC;
        v.moves[0].stuck = cases[i].stuck;
        v.moves[0].sent_wall_us = v.wall_us - cases[i].still_us;
        char **lines, *all = NULL;
        size_t n = follow_block(&v, 200, 50, false, &lines);
        for (size_t k = 0; k < n; k++) {
            if (strstr(lines[k], "vm/db-1"))
                text_add(&all, "%s\n", lines[k]);
            free(lines[k]);
        }
        free(lines);
        assert_non_null(strstr(all, cases[i].says));
        free(all);
        shape_done(&run_view_shape, &v);
    }
}

static void the_block(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, NULL, "--version", false, NULL);
    struct run_view v = view(busy);
    char **lines, *all = NULL;
    size_t n = follow_block(&v, 200, 50, false, &lines);
    for (size_t i = 0; i < n; i++) {
        text_add(&all, "%s\n", lines[i]);
        free(lines[i]);
    }
    free(lines);
    assert_string_equal(
        all, "host/kvm-07 draining  run/42  \"kernel 6.12\"   12/23 moved · 3 moving · 5 queued · "
             "1 blocked   ends ≈00:06 "
             "(in 6 min)\n"
             " vm/oracle-1            blocked          kvm-03: not enough memory: needs 96 GiB, "
             "has 61 GiB  (drover explain "
             "vm/oracle-1)\n"
             " vm/web-4     → kvm-02  uncertain        asking both hosts and Ceph where it runs\n"
             " vm/db-1      → kvm-02  copying pass 3   7.2 of 16 GiB left  910 MiB/s  dirty 210 "
             "MiB/s  converging, ≈11 s, "
             "pause ≈90 ms\n"
             " vm/cache-4   → kvm-09  copying pass 9   1.1 of 32 GiB left  540 MiB/s  dirty 560 "
             "MiB/s  NOT converging\n"
             " vm/web-3     → kvm-02  proving          RBD writer on kvm-02: 0/1 images\n"
             " vm/q1        → kvm-02  queued           1 GiB\n"
             " vm/q2        → kvm-02  queued           1 GiB\n"
             " vm/q3        → kvm-02  queued           1 GiB\n"
             " … and 1 more queued\n");
    free(all);
    shape_done(&run_view_shape, &v);
    outcome_done(&o);
}

/* On a narrow screen the verdict is not what is cut off. */
static void the_verdict_is_seen(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, NULL, "--version", false, NULL);
    struct run_view v = view(busy);
    char **lines, *all = NULL;
    size_t n = follow_block(&v, 79, 50, false, &lines);
    for (size_t i = 0; i < n; i++) {
        text_add(&all, "%s\n", lines[i]);
        free(lines[i]);
    }
    free(lines);
    assert_non_null(strstr(all, "copying pass 9   NOT converging  1.1 of 32 GiB left"));
    assert_non_null(strstr(all, "copying pass 3   converging, ≈11 s, pause ≈90 ms  7."));
    free(all);
    shape_done(&run_view_shape, &v);
    outcome_done(&o);
}

static void the_block_fits_every_screen(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, NULL, "--version", false, NULL);
    struct run_view v = view(busy);
    for (size_t width = 1; width < 180; width++)
        for (size_t rows = 1; rows < 14; rows += 3) {
            char **lines;
            size_t n = follow_block(&v, width, rows, false, &lines);
            assert_true(n <= rows);
            for (size_t i = 0; i < n; i++) {
                assert_true(text_width(lines[i]) <= width);
                free(lines[i]);
            }
            free(lines);
        }
    shape_done(&run_view_shape, &v);
    outcome_done(&o);
}

#define AT(seq) "GET /v1/runs/42?after=" #seq

static void to_the_end(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {
        {AT(0), 0, "{" RUN("planning") ",\"entries\":[" ENTRY(7, 1, "run.created", "one") "]}"},
        {AT(7), 0, "{" RUN("running") ",\"entries\":[" ENTRY(8, 2, "move.copying", "two") "]}"},
        /* ended, and its journal comes in two portions */
        {AT(8), 0, "{" RUN("done") ",\"entries\":[" ENTRY(9, 3, "move.done", "three") "]}"},
        {AT(9), 0, "{" RUN("done") ",\"entries\":[" ENTRY(10, 3, "run.ended", "four") "]}"},
        {AT(10), 0, "{" RUN("done") "}"},
        {0}};
    fake_run(&o, script, "attach 42", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(
        o.err, "following run/42 · Ctrl-C detaches, the drain goes on · drover cancel 42 stops it\n"
               "00:00:01 one\n00:00:02 two\n00:00:03 three\n00:00:03 four\n");
    assert_true(str_has_prefix(o.out, "host/h1 drained: "));
    fake_run(&o, script, "attach 42 -q", false, NULL);
    assert_string_equal(o.err, "");
    assert_true(str_has_prefix(o.out, "host/h1 drained: "));
    fake_run(&o, script, "attach 42 -o jsonl", false, NULL);
    assert_true(str_has_prefix(o.out, "{\"type\":\"version\",\"schema\":\"drover.events/1\""));
    assert_non_null(
        strstr(o.out, "\n{\"type\":\"run.created\",\"seq\":7,\"time\":\"1970-01-01T00:00:01Z\""));
    size_t lines = 0;
    for (const char *p = o.out; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 6); /* version, four entries, the run */
    fake_run(&o, script, "attach 42 -o json --progress none", false, NULL);
    assert_true(str_has_prefix(o.out, "{\n"));
    outcome_done(&o);
}

static void a_restarted_scheduler_is_waited_for(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {
        {AT(0), 0, "{" RUN("running") ",\"entries\":[" ENTRY(1, 1, "x", "one") "]}"},
        {AT(1), -ENOTCONN, "gone"},
        {AT(1), -ENOTCONN, "gone"},
        {AT(1), -EAGAIN, "store: failed"},
        {AT(1), 0, "{" RUN("done") ",\"entries\":[" ENTRY(2, 2, "x", "two") "]}"},
        {AT(2), 0, "{" RUN("done") "}"},
        {0}};
    fake_run(&o, script, "attach 42", false, NULL);
    assert_int_equal(o.code, X_DONE);
    const char *once = strstr(o.err, "scheduler unreachable, the drain goes on; retrying\n");
    assert_non_null(once);
    assert_null(strstr(once + strlen("scheduler unreachable"), "unreachable"));
    assert_non_null(strstr(once, "the scheduler answers again after"));
    assert_non_null(strstr(once, "00:00:02 two\n"));
    outcome_done(&o);
}

static void a_run_that_is_not_there(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {{AT(0), -ENOENT, "there is no run/42"}, {0}};
    fake_run(&o, script, "attach 42", false, NULL);
    assert_int_equal(o.code, X_DENIED);
    assert_null(strstr(o.err, "following"));
    assert_non_null(strstr(o.err, "drover: there is no run/42\n"));
    outcome_done(&o);
}

static void leaving(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {
        {AT(0), 0, "{" RUN("running") "}"}, {AT(0), -EINTR, "interrupted"}, {0}};
    fake_run(&o, script, "attach 42", false, NULL);
    assert_int_equal(o.code, X_DETACHED);
    assert_non_null(strstr(
        o.err, "detached; run/42 goes on · drover attach 42 follows it again · drover cancel 42 "
               "stops it\n"));
    assert_string_equal(o.out, "");
    const struct fake_answer forever[] = {{AT(0), 0, "{" RUN("running") "}"}, {0}};
    fake_run(&o, forever, "attach 42 --timeout 5ms", false, NULL);
    assert_int_equal(o.code, X_TIMEOUT);
    assert_non_null(strstr(o.err, "--timeout passed; run/42 goes on"));
    outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines_once_and_in_order),
        cmocka_unit_test(the_block),
        cmocka_unit_test(a_copy_that_hovers_or_stands_still),
        cmocka_unit_test(the_verdict_is_seen),
        cmocka_unit_test(the_block_fits_every_screen),
        cmocka_unit_test(to_the_end),
        cmocka_unit_test(a_restarted_scheduler_is_waited_for),
        cmocka_unit_test(a_run_that_is_not_there),
        cmocka_unit_test(leaving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
