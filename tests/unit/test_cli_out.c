/* Tables for people, data for programs, text that is safe on a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/text.h"
#include "tests/unit/fakeapi.h"

static const struct fake_answer hosts[] = {
    {"GET /v1/hosts", 0,
     "{\"schema\":\"drover.hosts/1\",\"wall_us\":100000000,\"hosts\":["
     "{\"name\":\"kvm-2\",\"state\":\"up\",\"connected\":true,\"libvirt_up\":true,\"running\":3,"
     "\"vms\":4,"
     "\"mem_bytes\":68719476736,\"mem_free_bytes\":10737418240,\"mem_reserved_bytes\":0,\"since_"
     "wall_us\":40000000},"
     "{\"name\":\"kvm-10\",\"state\":\"lost\",\"connected\":false,\"running\":12,\"vms\":12,"
     "\"moving_in\":2,"
     "\"moving_out\":1,\"queued_out\":11,\"mem_bytes\":68719476736,\"mem_free_bytes\":2147483648,"
     "\"mem_reserved_"
     "bytes\":1073741824,"
     "\"reason\":\"no\"}]}"},
    {0},
};

static void a_table(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, hosts, "hosts", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(
        o.out,
        "HOST    STATE  AGENT  RUNNING  VMS  MOVING  QUEUED  MEMORY    FREE  RESERVED  SINCE  "
        "REASON\n"
        "kvm-2   up     ok           3    4  -       -       64 GiB  10 GiB         -   60 s  -\n"
        "kvm-10  lost   gone        12   12  +2 -1   -11     64 GiB   2 GiB     1 GiB      -  "
        "no\n");
    outcome_done(&o);
}

static void columns_sort_headers(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, hosts, "hosts --columns host,free --sort free --no-headers", false, NULL);
    assert_string_equal(o.out, "kvm-10   2 GiB\nkvm-2   10 GiB\n"); /* by number, not by text */
    fake_run(&o, hosts, "hosts --columns host --sort HOST --no-headers", false, NULL);
    assert_string_equal(o.out, "kvm-2\nkvm-10\n"); /* names with numbers in their order */
    fake_run(&o, hosts, "hosts --columns cpus,host --no-headers", false, NULL);
    assert_string_equal(
        o.out, "?  kvm-2\n?  kvm-10\n"); /* unknown is "?", and wide columns may be asked for */
    fake_run(&o, hosts, "hosts --sort speed", false, NULL);
    assert_int_equal(o.code, X_USAGE);
    assert_non_null(strstr(o.err, "no column 'speed'; there are HOST,STATE"));
    outcome_done(&o);
}

static void data_has_times_for_people(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, hosts, "hosts kvm-10 -o yaml", false, NULL);
    assert_non_null(strstr(o.out, "schema: \"drover.hosts/1\"\n"));
    assert_non_null(strstr(o.out, "wall_us: 100000000\ntime: \"1970-01-01T00:01:40Z\"\n"));
    assert_non_null(strstr(o.out, "reason: \"no\"\n")); /* a string, not YAML's false */
    fake_run(&o, hosts, "hosts -o json", false, NULL);
    json_t *j = json_loads(o.out, 0, NULL);
    assert_non_null(j);
    const json_t *first = json_array_get(json_object_get(j, "hosts"), 0);
    assert_int_equal(json_integer_value(json_object_get(first, "since_wall_us")), 40000000);
    assert_string_equal(json_string_value(json_object_get(first, "since")), "1970-01-01T00:00:40Z");
    assert_int_equal(json_integer_value(json_object_get(first, "mem_free_bytes")), 10737418240);
    json_decref(j);
    fake_run(&o, hosts, "hosts -o jsonl", false, NULL);
    assert_true(str_has_prefix(o.out, "{\"name\":\"kvm-2\""));
    assert_non_null(strstr(o.out, "}\n{\"name\":\"kvm-10\""));
    outcome_done(&o);
}

static void names_cannot_steer_the_terminal(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {{"GET /v1/vms", 0,
                                          "{\"vms\":[{\"uuid\":\"u\",\"name\":\"a\\u001b["
                                          "2Jb\\nc\\u009bd\",\"host\":\"h1\",\"state\":\"running\","
                                          "\"movable\":true}]}"},
                                         {0}};
    fake_run(&o, script, "vms --no-headers --columns vm,host", false, NULL);
    assert_string_equal(o.out, "a?[2Jb c??d  h1\n");
    outcome_done(&o);
}

static void an_ambiguous_vm_by_host(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {
        {"GET /v1/vms", 0,
         "{\"vms\":[{\"uuid\":\"u1\",\"name\":\"web\",\"host\":\"h1\",\"state\":\"running\","
         "\"movable\":true},"
         "{\"uuid\":\"u2\",\"name\":\"web\",\"host\":\"h2\",\"state\":\"shutoff\",\"movable\":"
         "false,"
         "\"blocker\":{\"code\":\"local_disk\",\"what\":\"vdb\"}}]}"},
        {"GET /v1/hosts", 0,
         "{\"hosts\":[{\"name\":\"h1\",\"state\":\"up\"},{\"name\":\"h2\",\"state\":\"up\"}]}"},
        {0}};
    fake_run(&o, script, "vms vm/web@h2 --columns uuid,state,why --no-headers", false, NULL);
    assert_string_equal(o.out, "u2  shutoff  a disk is local to its host (vdb)\n");
    fake_run(&o, script, "vms --host h1 --columns uuid --no-headers", false, NULL);
    assert_string_equal(o.out, "u1\n");
    fake_run(&o, script, "vms u2 --columns host --no-headers", false, NULL);
    assert_string_equal(o.out, "h2\n");
    outcome_done(&o);
}

static void widths(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, NULL, "--version", false, NULL); /* sets the locale */
    assert_int_equal(text_width("a→b"), 3);
    assert_int_equal(text_width("漢字"), 4);
    assert_int_equal(text_fit("漢字", 3), 3); /* half a character does not fit */
    assert_int_equal(text_width("\xff\xfe"), 2);
    assert_int_equal(text_fit("abc", 10), 3);
    char buf[TIME_BYTES];
    assert_string_equal(time_about(buf, 14 * SEC), "14 s");
    assert_string_equal(time_about(buf, 360 * SEC), "6 min");
    assert_string_equal(time_about(buf, -1), "?");
    assert_string_equal(time_clock(buf, 3723 * SEC), "01:02:03");
    assert_string_equal(time_clock(buf, 0), "-");
    outcome_done(&o);
}

static void explain_and_journal(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {
        {"GET /v1/explain?vm=web%203", 0,
         "{\"vm\":{\"uuid\":\"u\",\"name\":\"x\",\"host\":\"h1\"}}"},
        {"GET /v1/explain?vm=web-3", 0,
         "{\"vm\":{\"uuid\":\"u-3\",\"name\":\"web-3\",\"host\":\"h1\",\"state\":\"running\",\"mem_"
         "bytes\":1073741824,"
         "\"vcpus\":1,\"movable\":true},\"hosts\":[{\"host\":\"h1\",\"here\":true,\"allowed\":"
         "false},"
         "{\"host\":\"h2\",\"allowed\":true},{\"host\":\"h3\",\"allowed\":false,\"reason\":{"
         "\"code\":\"memory\","
         "\"need\":\"4.2 GiB\",\"have\":\"1 GiB\",\"cure\":\"free 3.2 GiB on h3\"}}]}"},
        {"GET /v1/journal?after=0", 0,
         "{\"entries\":[{\"seq\":1,\"wall_us\":1000000,\"text\":\"one\"},{\"seq\":2,\"wall_us\":"
         "2000000,\"run\":7,"
         "\"text\":\"two\",\"actor\":\"root\"}]}"},
        {"GET /v1/journal?after=2", 0,
         "{\"entries\":[{\"seq\":3,\"wall_us\":3000000,\"text\":\"three\"}]}"},
        {"GET /v1/journal?after=3", 0, "{\"entries\":[]}"},
        {0}};
    fake_run(&o, script, "explain vm/web-3", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(
        o.out, "vm/web-3  running on host/h1  1 GiB  1 vCPU  u-3\n"
               "can move live\n"
               "HOST  ANSWER  WHY                                          WAY OUT\n"
               "h1    here    -                                            -\n"
               "h2    yes     -                                            -\n"
               "h3    no      not enough memory: needs 4.2 GiB, has 1 GiB  free 3.2 GiB on h3\n");
    fake_run(&o, script, "journal --limit 2", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(o.out, "2  1970-01-01 00:00:02  run/7    two  (root)\n"
                               "3  1970-01-01 00:00:03           three  (scheduler)\n");
    outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table),
        cmocka_unit_test(columns_sort_headers),
        cmocka_unit_test(data_has_times_for_people),
        cmocka_unit_test(names_cannot_steer_the_terminal),
        cmocka_unit_test(an_ambiguous_vm_by_host),
        cmocka_unit_test(widths),
        cmocka_unit_test(explain_and_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
