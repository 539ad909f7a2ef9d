/* Words, options and exit codes of the command line, before anything is asked of a scheduler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "tests/unit/fakeapi.h"

static void must_contain(const char *text, const char *part, const char *line)
{
    if (!strstr(text, part)) {
        print_error("drover %s\nprinted: %s\nexpected: %s\n", line, text, part);
        fail();
    }
}

/* Each is refused with 64 and says how to go on; none of them asks the scheduler for anything. */
static void usage_errors(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"", ""},
        {"drian h1", "did you mean drover drain?"},
        {"host", "did you mean drover hosts?"},
        {"xyzzy", "unknown command 'xyzzy'"},
        {"--frobnicate hosts", "unknown option '--frobnicate'"},
        {"drain", "a host is missing"},
        {"resume h1 h2", "unexpected word 'h2'"},
        {"drain h1 h2 --to h2", "--to h2 is one of the hosts being drained"},
        {"drain vm/h1", "'vm/h1' is not a host"},
        {"drain host/", "the host's name is empty"},
        {"drain h1 --dryrun", "did you mean --dry-run?"},
        {"drain h1 --dry", "unknown option '--dry'; did you mean --dry-run?"},
        {"drain h1 --on-blokced=leave", "did you mean --on-blocked?"},
        {"drain h1 --on-blocked leaf", "did you mean leave?"},
        {"drain h1 --on-blocked", "option '--on-blocked' needs a value"},
        {"drain h1 -m", "option '-m' needs a value"},
        {"drain h1 --detach=yes", "option '--detach' takes no value"},
        {"drain h1 -x", "unknown option '-x'"},
        {"drain h1 --timeout soon", "is not a duration"},
        {"drain h1 --deadline 10", "is not a duration"},
        {"drain h1 --parallel 0", "out of range"},
        {"drain h1 --parallel many", "or auto"},
        {"drain h1 --to h1", "is the host being drained"},
        {"drain h1 --to h2 --avoid host/h2", "with --to and with --avoid"},
        {"drain h1 --force", "there is no --force"},
        {"drain h1 --detailed-exitcode", "belongs to a dry run"},
        {"drain h1 --allow-shutdown x --on-blocked leave", "contradict each other"},
        {"plan", "drover plan drain HOST"},
        {"plan make-haste x", "cannot be planned"},
        {"plan drain", "a host is missing"},
        {"cancel", "a run is missing"},
        {"cancel forty-two", "expected its number"},
        {"attach run/0", "expected its number"},
        {"attach vm/1", "is not a run"},
        {"run --ceph", "a run is missing"},
        {"explain", "a VM is missing"},
        {"check", "a host is missing"},
        {"check pair h1", "one of the two hosts is missing"},
        {"check pair h1 host/h1", "two different hosts"},
        {"policy check", "a directory is missing"},
        {"policy chekc x", "did you mean check?"},
        {"-o jsno hosts", "did you mean json?"},
        {"hosts --progress fancy", "--progress 'fancy'"},
        {"journal --limit 0", "out of range"},
        {"help drian", "did you mean drover drain?"},
    };
    struct outcome o = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake_run(&o, NULL, cases[i].line, false, NULL);
        if (o.code != X_USAGE)
            print_error("drover %s: exit %d\n%s", cases[i].line, o.code, o.err);
        assert_int_equal(o.code, X_USAGE);
        must_contain(o.err, cases[i].says, cases[i].line);
        assert_string_equal(o.out, "");
        assert_string_equal(fake_log, "");
    }
    outcome_done(&o);
}

static void force_names_the_waivers(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, NULL, "drain h1 --force", false, NULL);
    must_contain(o.err, "--on-blocked leave", "drain --force");
    must_contain(o.err, "--allow-shutdown VM", "drain --force");
    outcome_done(&o);
}

static void help_is_an_answer(void **state)
{
    (void)state;
    struct outcome o = {0};
    static const char *const lines[] = {"--help",        "drain --help", "help drain",
                                        "plan drain -h", "check --help", "runs -h",
                                        "policy --help", "--version"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        fake_run(&o, NULL, lines[i], false, NULL);
        assert_int_equal(o.code, X_DONE);
        assert_true(strlen(o.out) > 5);
        assert_string_equal(o.err, "");
    }
    fake_run(&o, NULL, "--help", false, NULL);
    assert_null(strstr(o.out, "evacuate")); /* synonyms are hidden */
    outcome_done(&o);
}

static const struct fake_answer hosts[] = {
    {"GET /v1/hosts", 0,
     "{\"schema\":\"drover.hosts/1\",\"wall_us\":1000000,\"hosts\":["
     "{\"name\":\"kvm-01\",\"state\":\"up\"},{\"name\":\"kvm-02\",\"state\":\"lost\"}]}"},
    {"POST /v1/requests", 0, "{\"http\":200,\"exit\":0,\"message\":\"host/kvm-01 is up\"}"},
    {0},
};

static void synonyms_say_the_real_name(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, hosts, "uncordon kvm-01", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(o.err, "drover uncordon is called drover resume here\n");
    must_contain(fake_log, "\"verb\":\"resume\"", "uncordon");
    fake_run(&o, hosts, "evacuate", false, NULL);
    assert_int_equal(o.code, X_USAGE);
    must_contain(o.err, "drover evacuate is called drover drain here", "evacuate");
    fake_run(&o, hosts, "maintenance", false, NULL);
    must_contain(o.err, "drover maintenance is called drover drain here", "maintenance");
    outcome_done(&o);
}

static void global_options_stand_anywhere(void **state)
{
    (void)state;
    struct outcome o = {0};
    static const char *const lines[] = {"-o name hosts", "hosts -o name", "hosts -oname",
                                        "--output=name hosts"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        fake_run(&o, hosts, lines[i], false, NULL);
        assert_int_equal(o.code, X_DONE);
        assert_string_equal(o.out, "host/kvm-01\nhost/kvm-02\n");
    }
    outcome_done(&o);
}

static void names_are_suggested(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, hosts, "hosts host/kvm-01 -o name", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(o.out, "host/kvm-01\n");
    fake_run(&o, hosts, "hosts kvm-03", false, NULL);
    assert_int_equal(o.code, X_DENIED);
    must_contain(o.err, "no host is called 'kvm-03'; did you mean kvm-0", "hosts kvm-03");
    outcome_done(&o);
}

static void errors_have_their_codes(void **state)
{
    (void)state;
    static const struct {
        int error, code;
    } cases[] = {
        {-107 /* ENOTCONN */, X_UNREACHABLE}, {-13 /* EACCES */, X_DENIED},
        {-2 /* ENOENT */, X_DENIED},          {-11 /* EAGAIN */, X_FAILED},
        {-121 /* EREMOTEIO */, X_FAILED},
    };
    struct outcome o = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct fake_answer script[] = {
            {"GET /v1/hosts", cases[i].error, "what happened\n  what to do"}, {0}};
        fake_run(&o, script, "hosts", false, NULL);
        assert_int_equal(o.code, cases[i].code);
        assert_string_equal(o.err, "drover: what happened\n  what to do\n");
    }
    outcome_done(&o);
}

/* libvirt's job on the VM is Drover's own move, no obstacle. */
static void own_moves_are_no_obstacle(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {
        {"GET /v1/vms", 0,
         "{\"vms\":[{\"uuid\":\"u\",\"name\":\"a\",\"host\":\"h1\",\"state\":\"running\",\"move\":"
         "7,\"moving_to\":"
         "\"h3\","
         "\"blocker\":{\"code\":\"vm_busy\",\"have\":\"migrating_out\"}}]}"},
        {0}};
    fake_run(&o, script, "vms", false, NULL);
    assert_non_null(strstr(o.out, "  moving   -"));
    outcome_done(&o);
}

static void the_journal_from_either_end(void **state)
{
    (void)state;
    struct outcome o = {0};
#define E(seq) "{\"seq\":" #seq ",\"kind\":\"x\",\"text\":\"t\"}"
    const struct fake_answer script[] = {
        {"GET /v1/journal?after=5", 0, "{\"entries\":[" E(6) "," E(7) "," E(8) "]}"},
        {"GET /v1/journal?after=0", 0, "{\"entries\":[" E(6) "," E(7) "," E(8) "]}"},
        {"GET /v1/journal?after=8", 0, "{\"entries\":[]}"},
        {0}};
    fake_run(&o, script, "journal --after 5 --limit 2", false, NULL);
    assert_true(str_has_prefix(o.out, "6  ") && strstr(o.out, "\n7  ") && !strstr(o.out, "\n8  "));
    fake_run(&o, script, "journal --limit 2", false, NULL);
    assert_true(str_has_prefix(o.out, "7  ") && strstr(o.out, "\n8  "));
    outcome_done(&o);
}

static void check_speaks_the_plugins_code(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer bad[] = {
        {"POST", 0,
         "{\"http\":200,\"exit\":2,\"items\":[{\"name\":\"libvirt\",\"verdict\":0,\"text\":"
         "\"answers\"},"
         "{\"name\":\"clock\",\"verdict\":1,\"text\":\"2 s off\",\"cure\":\"start chrony\"},"
         "{\"name\":\"ceph\",\"verdict\":2,\"text\":\"no answer\",\"cure\":\"check the mons\"}]}"},
        {0}};
    fake_run(&o, bad, "check h1", false, NULL);
    assert_int_equal(o.code, 2);
    assert_string_equal(
        o.out, "DROVER CRITICAL - host/h1: 1 passed, 1 warning, 1 failed | pass=1 warn=1 fail=1\n"
               "PASS  libvirt  answers\n"
               "WARN  clock    2 s off\n"
               "               → start chrony\n"
               "FAIL  ceph     no answer\n"
               "               → check the mons\n");
    fake_run(&o, bad, "check h1 -o json", false, NULL);
    assert_int_equal(o.code, 2);
    assert_true(str_has_prefix(o.out, "{\n  \"schema\": \"drover.check/1\",\n  \"items\": ["));
    assert_null(strstr(o.out, "http"));
    fake_run(&o, NULL, "check h1", false, NULL); /* no scheduler: UNKNOWN, not our 5 */
    assert_int_equal(o.code, 3);
    assert_true(str_has_prefix(o.out, "DROVER UNKNOWN - host/h1: "));
    const struct fake_answer unknown[] = {
        {"POST", 0, "{\"http\":404,\"exit\":6,\"message\":\"no host 'h9'\"}"}, {0}};
    fake_run(&o, unknown, "check pair h1 h9 -o json", false, NULL);
    assert_int_equal(o.code, 3);
    outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_errors),
        cmocka_unit_test(force_names_the_waivers),
        cmocka_unit_test(help_is_an_answer),
        cmocka_unit_test(synonyms_say_the_real_name),
        cmocka_unit_test(global_options_stand_anywhere),
        cmocka_unit_test(names_are_suggested),
        cmocka_unit_test(errors_have_their_codes),
        cmocka_unit_test(own_moves_are_no_obstacle),
        cmocka_unit_test(the_journal_from_either_end),
        cmocka_unit_test(check_speaks_the_plugins_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
