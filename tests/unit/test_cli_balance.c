/* Balance runs as people see them: asked for, followed to their end, and why. */
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

#define BEFORE                                                                                     \
    "\"before\":{\"min_ppm\":0,\"max_ppm\":756000,\"mean_ppm\":378000,\"deviation_ppm\":321200}"
#define AFTER "{\"min_ppm\":252000,\"max_ppm\":504000,\"mean_ppm\":378000,\"deviation_ppm\":125900}"
#define HEAD(state, message)                                                                       \
    "{\"run\":{\"id\":42,\"kind\":\"balance\",\"mode\":\"balance\",\"state\":\"" state             \
    "\",\"vms\":2,\"moved\":1,\"message\":\"" message "\"," BEFORE ",\"planned\":" AFTER           \
    ",\"after\":" AFTER ",\"refused\":[{\"code\":\"cooldown\",\"n\":5,\"some\":[\"c1\",\"c2\","    \
    "\"c3\"]}]},\"moves\":["                                                                       \
    "{\"id\":1,\"run\":42,\"vm\":\"u1\",\"vm_name\":\"a1\",\"from\":\"h1\",\"to\":\"h4\","         \
    "\"state\":\"done\",\"live\":true,\"why\":\"h1 75.6 → 50.4 % full\",\"bytes\":8589934592,"   \
    "\"total_us\":16000000,\"downtime_us\":50000,\"gain\":{\"judged\":true,"                       \
    "\"measured_known\":true," BEFORE ",\"after\":" AFTER ",\"measured\":" AFTER "},"              \
    "\"refused\":[{\"code\":\"memory\",\"n\":1,\"some\":[\"h2\"]}]},"                              \
    "{\"id\":2,\"run\":42,\"vm\":\"u2\",\"vm_name\":\"a2\",\"from\":\"h1\",\"to\":\"h3\","         \
    "\"state\":\"cancelled\",\"live\":true,\"code\":\"no_gain\","                                  \
    "\"error\":\"it would not help any more\"}]}"

static void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("expected '%s' in:\n%s", part, text);
}

static void a_run_is_asked_for_and_followed(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {
        {POST, 0, CREATED}, {RUN, 0, HEAD("done", "1 of 2 moves made")}, {0}};
    fake_run(&o, script, "balance --mode relieve --max-moves 3 -m evening", false, NULL);
    assert_int_equal(o.code, X_DONE);
    contains(fake_log, "\"verb\":\"balance\"");
    contains(fake_log, "\"mode\":\"relieve\"");
    contains(fake_log, "\"max_moves\":3");
    contains(fake_log, "\"reason\":\"evening\"");
    contains(o.out, "balance of the fleet (balance) done: 1 of 2 moves made");
    contains(o.out, "vm/a2  stays on h1: it would not help any more\n");
    contains(o.out, "drover runs 42 --why says what each move was good for\n");
    const struct fake_answer partly[] = {{POST, 0, CREATED}, {RUN, 0, HEAD("partly", "x")}, {0}};
    fake_run(&o, partly, "balance", false, NULL);
    assert_int_equal(o.code, X_PARTLY);
    fake_run(&o, partly, "apply run/42", false, NULL);
    contains(fake_log, "\"verb\":\"apply\"");
    contains(fake_log, "\"run\":42");
    fake_run(&o, script, "balance --detach", false, NULL);
    assert_string_equal(o.out, "run/42\n");
    fake_run(&o, script, "balance --detach -o json", false, NULL);
    contains(o.out, "\"run\": 42");
    outcome_done(&o);
}

static void a_plan_is_shown(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {
        {POST, 0, CREATED}, {RUN, 0, HEAD("planned", "2 moves planned")}, {0}};
    fake_run(&o, script, "plan balance --detailed-exitcode", false, NULL);
    assert_int_equal(o.code, X_CHANGES);
    contains(fake_log, "\"dry_run\":true");
    contains(o.out, "before: memory of hosts 0.0 to 75.6 % full, deviation 32.12\n");
    contains(o.out, "after:  memory of hosts 25.2 to 50.4 % full, deviation 12.59\n");
    contains(o.out, "Plan: 2 moves");
    contains(o.err, "nothing was changed · drover balance --mode balance does it");
    fake_run(&o, script, "plan repair", false, NULL);
    contains(fake_log, "\"mode\":\"repair-rules\"");
    outcome_done(&o);
}

static void why_is_told(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {{RUN, 0, HEAD("done", "1 of 2 moves made")}, {0}};
    fake_run(&o, script, "runs 42 --why", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(o.out, "before   memory of hosts 0.0 to 75.6 % full, deviation 32.12\n"
                               "planned  memory of hosts 25.2 to 50.4 % full, deviation 12.59\n"
                               "now      memory of hosts 25.2 to 50.4 % full, deviation 12.59\n"
                               "\n"
                               "vm/a1  h1 → h4  moved\n"
                               "  why     h1 75.6 → 50.4 % full\n"
                               "  gain    deviation of memory 32.12 → 12.59\n"
                               "  cost    8 GiB sent in 16 s, paused 50 ms\n"
                               "  not to  h2: not enough memory\n"
                               "\n"
                               "vm/a2  h1 → h3  cancelled: it would not help any more\n"
                               "\n"
                               "VMs that were not asked:\n"
                               "  c1, c2, c3 and 2 more: it moved a short while ago\n");
    const struct fake_answer drain[] = {
        {RUN, 0, "{\"run\":{\"id\":42,\"kind\":\"drain\",\"state\":\"done\",\"host\":\"h1\"}}"},
        {0}};
    fake_run(&o, drain, "runs 42 --why", false, NULL);
    assert_int_equal(o.code, X_USAGE);
    outcome_done(&o);
}

#define ROOM(state, message, host, more)                                                           \
    "{\"run\":{\"id\":42,\"kind\":\"balance\",\"mode\":\"make-room\",\"state\":\"" state           \
    "\",\"message\":\"" message "\",\"room\":{\"mem_bytes\":103079215104,\"vcpus\":16" host        \
    "}" more "}}"
#define ON_H2                                                                                      \
    ",\"host\":\"h2\",\"before_bytes\":42949672960,\"planned_bytes\":111669149696,"                \
    "\"after_bytes\":111669149696"

static void room_is_asked_for(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer done[] = {
        {POST, 0, CREATED}, {RUN, 0, ROOM("done", "there is room", ON_H2, "")}, {0}};
    fake_run(&o, done, "balance --memory 96GiB --vcpus 16 --to h1 --to host/h2 --avoid h3", false,
             NULL);
    assert_int_equal(o.code, X_DONE);
    contains(fake_log, "\"mode\":\"make-room\"");
    contains(fake_log, "\"mem_bytes\":103079215104");
    contains(fake_log, "\"vcpus\":16");
    contains(fake_log, "\"to\":[\"h1\",\"h2\"]");
    contains(fake_log, "\"avoid\":[\"h3\"]");
    contains(o.out, "balance of the fleet (make-room) done: there is room");
    fake_run(&o, done, "balance --vm vm/oracle-1", false, NULL);
    contains(fake_log, "\"vm\":\"oracle-1\"");
    const struct fake_answer none[] = {{0}};
    fake_run(&o, none, "balance --memory 96", false, NULL);
    assert_int_equal(o.code, X_USAGE);
    contains(o.err, "--memory: '96' has no unit: 96GiB, 96MiB?");
    const struct fake_answer why[] = {{RUN, 0, ROOM("done", "there is room", ON_H2, "")}, {0}};
    fake_run(&o, why, "runs 42 --why", false, NULL);
    contains(o.out, "room     for a VM of 96 GiB and 16 vCPUs on host/h2: 40 GiB free at first, "
                    "104 GiB as planned, 104 GiB now\n");
    outcome_done(&o);
}

static void no_room_is_told(void **state)
{
    (void)state;
    struct outcome o = {0};
#define STAYS                                                                                      \
    ",\"stays\":[{\"name\":\"(new)\",\"reasons\":[{\"code\":\"memory\",\"host\":\"h1\","           \
    "\"need\":\"96 GiB\",\"have\":\"40 GiB free\"}]}]"
    const struct fake_answer refused[] = {
        {POST, 0, CREATED},
        {RUN, 0, ROOM("refused", "no room can be made: 40 GiB", "", STAYS)},
        {0}};
    fake_run(&o, refused, "balance --memory 96GiB", false, NULL);
    assert_int_equal(o.code, X_BLOCKED);
    contains(o.err, "no room can be made: 40 GiB");
    contains(o.err, "h1: not enough memory: needs 96 GiB, has 40 GiB free");
    const struct fake_answer planned[] = {
        {POST, 0, CREATED},
        {RUN, 0, ROOM("planned", "no room can be made: 40 GiB", "", STAYS)},
        {0}};
    fake_run(&o, planned, "plan make-room oracle-1 --max-moves 3 --to h2", false, NULL);
    assert_int_equal(o.code, X_BLOCKED);
    contains(fake_log, "\"vm\":\"oracle-1\"");
    contains(fake_log, "\"dry_run\":true");
    contains(fake_log, "\"max_moves\":3");
    contains(fake_log, "\"to\":[\"h2\"]");
    contains(o.out, "no room:\n");
    contains(o.out, "no room can be made: 40 GiB");
    outcome_done(&o);
}

#define LEFT                                                                                       \
    "\"left_out\":[{\"vm\":\"u\",\"vm_name\":\"a\",\"host\":\"h4\",\"times\":2,"                   \
    "\"since_wall_us\":60000000,\"until_wall_us\":1800000000,\"error\":\"it broke\"},"             \
    "{\"host\":\"h3\",\"times\":1,\"others\":2,\"since_wall_us\":60000000,"                        \
    "\"until_wall_us\":600000000,\"error\":\"no\"}]"
#define LEFT_WORDS                                                                                 \
    "\nleft out, for it failed a short while ago:\n"                                               \
    "  vm/a to h4 until 1970-01-01T00:30:00Z: failed 2 times since 1970-01-01T00:01:00Z, last: "   \
    "it broke\n"                                                                                   \
    "  any VM to h3 until 1970-01-01T00:10:00Z: failed with 2 VMs since 1970-01-01T00:01:00Z, "    \
    "last: no\n"

static void what_failed_is_told(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {
        {POST, 0, CREATED},
        {RUN, 0,
         "{\"run\":{\"id\":42,\"kind\":\"balance\",\"state\":\"planned\",\"left_out_more\":5," LEFT
         "}}"},
        {"GET /v1/explain?vm=a", 0,
         "{\"vm\":{\"uuid\":\"u\",\"name\":\"a\",\"host\":\"h1\",\"state\":\"running\",\"movable\":"
         "true}"
         "," LEFT "}"},
        {0}};
    fake_run(&o, script, "runs 42 --why", false, NULL);
    contains(o.out, LEFT_WORDS "  and 5 more\n");
    fake_run(&o, script, "balance -n --forget-failures", false, NULL);
    contains(fake_log, "\"forget_failures\":true");
    contains(o.out, LEFT_WORDS);
    contains(o.out, "drover balance --forget-failures tries it all the same\n");
    fake_run(&o, script, "explain a", false, NULL);
    contains(o.out, LEFT_WORDS);
    outcome_done(&o);
}

static void odd_words_are_refused(void **state)
{
    (void)state;
    static const char *const odd[] = {"balance h1",
                                      "balance --mode evenly",
                                      "balance --max-moves 0",
                                      "balance --memory much",
                                      "balance --vcpus 0",
                                      "plan make-room --memory 4GiB --numa",
                                      "plan make-room --memory 4GiB vm/a1",
                                      "plan fit --memory 4GiB",
                                      "balance --detailed-exitcode",
                                      "apply",
                                      "apply h1"};
    struct outcome o = {0};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        fake_run(&o, NULL, odd[i], false, NULL);
        assert_int_equal(o.code, X_USAGE);
    }
    outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_asked_for_and_followed),
        cmocka_unit_test(a_plan_is_shown),
        cmocka_unit_test(why_is_told),
        cmocka_unit_test(room_is_asked_for),
        cmocka_unit_test(no_room_is_told),
        cmocka_unit_test(what_failed_is_told),
        cmocka_unit_test(odd_words_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
