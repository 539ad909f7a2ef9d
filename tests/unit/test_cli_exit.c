/* Which exit code each command ends with, and where what it says goes: the table of drover(1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/cli.h"
#include "tests/unit/fakeapi.h"

static const struct fake_answer nobody[] = {{0}};
static const struct fake_answer denied[] = {
    {"GET ", -EACCES, "h has the role viewer, which may only look"},
    {"POST ", -EACCES, "h has the role viewer, which may only look"},
    {0}};
static const struct fake_answer failing[] = {
    {"GET ", -EAGAIN, "store: failed"}, {"POST ", -EAGAIN, "store: failed"}, {0}};

#define REPLY(http, exit, run)                                                                     \
    "{\"schema\":\"drover.reply/1\",\"http\":" #http ",\"exit\":" #exit                            \
    ",\"message\":\"as it is\",\"run\":" #run "}"
#define RUN(kind, state, more)                                                                     \
    "{\"schema\":\"drover.run/1\",\"run\":{\"id\":7,\"kind\":\"" kind "\",\"state\":\"" state      \
    "\",\"host\":\"h1\",\"vms\":2" more "}}"
#define ENDS(kind, state, more)                                                                    \
    {                                                                                              \
        {"POST /v1/requests", 0, REPLY(202, 0, 7)}, {"GET /v1/runs/7", 0, RUN(kind, state, more)}, \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define STAYS                                                                                      \
    ",\"blocked\":1,\"stays\":[{\"vm\":\"u\",\"name\":\"a\",\"reasons\":[{\"code\":\"local_disk\"" \
    "}]}]"

static const struct fake_answer lists[] = {
    {"GET /v1/hosts", 0,
     "{\"schema\":\"drover.hosts/1\",\"hosts\":[{\"name\":\"h1\"},{\"name\":\"h2\"}]}"},
    {"GET /v1/vms", 0,
     "{\"schema\":\"drover.vms/1\",\"vms\":[{\"uuid\":\"u\",\"name\":\"a\",\"host\":\"h1\"}]}"},
    {"GET /v1/runs/7", 0, RUN("drain", "failed", "")},
    {"GET /v1/runs/9", -ENOENT, "no run/9"},
    {"GET /v1/runs", 0,
     "{\"schema\":\"drover.runs/"
     "1\",\"runs\":[{\"id\":7,\"kind\":\"drain\",\"state\":\"failed\"}]}"},
    {"GET /v1/explain?vm=a", 0,
     "{\"schema\":\"drover.explain/1\",\"vm\":{\"uuid\":\"u\",\"name\":\"a\",\"host\":\"h1\"}}"},
    {"GET /v1/explain", -ENOENT, "no VM 'b'"},
    {"GET /v1/journal", 0,
     "{\"schema\":\"drover.journal/1\",\"entries\":[{\"seq\":1,\"text\":\"begun\"}]}"},
    {"GET /v1/health", 0, "{\"schema\":\"drover.health/1\",\"status\":\"warning\",\"checks\":[]}"},
    {"GET /v1/policy", 0, "{\"schema\":\"drover.policy/1\",\"state\":\"in-force\"}"},
    {"GET /v1/version", 0, "{\"schema\":\"drover.version/1\",\"version\":\"9\"}"},
    {"GET /v1/snapshot", 0, "{\"schema\":\"drover.snapshot/1\",\"hosts\":[],\"vms\":[]}"},
    {"POST /v1/requests", 0, REPLY(200, 0, 0)},
    {0}};

#define NINE " --snapshot tests/unit/data/fleets/nine.json --policy tests/unit/data/fleets/policy"
#define BAD  "tests/unit/data/policy-bad/alias.yaml"
#define GOOD "deploy/examples/policy-repo/policy"

static const struct fake_answer drained[] = ENDS("drain", "done", ",\"moved\":2");
static const struct fake_answer partly[] = ENDS("drain", "partly", ",\"moved\":1" STAYS);
static const struct fake_answer refused[] = ENDS("drain", "refused", STAYS);
static const struct fake_answer broken[] = ENDS("drain", "failed", "");
static const struct fake_answer cancelled[] = ENDS("drain", "cancelled", "");
static const struct fake_answer cancelled_late[] = ENDS("drain", "cancelled", ",\"moved\":1");
static const struct fake_answer planned[] = ENDS("drain", "planned", "");
static const struct fake_answer blocked[] = ENDS("drain", "planned", STAYS);
static const struct fake_answer expired[] = ENDS("balance", "expired", "");
static const struct fake_answer balanced[] = ENDS("balance", "done", "");
static const struct fake_answer goes_on[] = ENDS("drain", "running", "");
static const struct fake_answer interrupted[] = {
    {"POST /v1/requests", 0, REPLY(202, 0, 7)}, {"GET /v1/runs/7", -EINTR, "interrupted"}, {0}};
static const struct fake_answer conflict[] = {{"POST /v1/requests", 0, REPLY(409, 6, 0)}, {0}};
static const struct fake_answer infeasible[] = {{"POST /v1/requests", 0, REPLY(409, 3, 0)}, {0}};
static const struct fake_answer odd[] = {{"POST /v1/requests", 0, REPLY(400, 64, 0)}, {0}};
static const struct fake_answer fails[] = {{"POST /v1/requests", 0, REPLY(500, 1, 0)}, {0}};
static const struct fake_answer strange[] = {
    {"GET ", 0, "{\"hosts\":7,\"vms\":7,\"runs\":7,\"run\":7,\"vm\":7}"},
    {"POST ", 0, "{\"http\":\"x\"}"},
    {0}};
static const struct fake_answer moves[] = {
    {"POST /v1/requests", 0, REPLY(202, 0, 7)},
    {"GET /v1/runs/7", 0,
     "{\"schema\":\"drover.run/1\",\"run\":{\"id\":7,\"kind\":\"balance\",\"state\":\"planned\","
     "\"vms\":1},\"moves\":[{\"id\":1,\"run\":7,\"vm\":\"u\",\"vm_name\":\"a\",\"from\":\"h1\","
     "\"to\":\"h2\",\"live\":true}]}"},
    {0}};
#define CHECKED(verdict)                                                                           \
    {                                                                                              \
        {"POST /v1/requests", 0,                                                                   \
         "{\"http\":200,\"items\":[{\"name\":\"kvm\",\"verdict\":" #verdict ",\"text\":\"it "      \
         "is\"}]}"},                                                                               \
            {"GET /v1/health", 0,                                                                  \
             "{\"schema\":\"drover.health/1\",\"status\":\"error\",\"checks\":[]}"},               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
static const struct fake_answer passes[] = CHECKED(0);
static const struct fake_answer warns[] = CHECKED(1);
static const struct fake_answer critical[] = CHECKED(2);

static const struct {
    const struct fake_answer *script;
    const char *line;
    int code;
} rows[] = {
    /* 0 done, or nothing to do */
    {drained, "drain h1", X_DONE},
    {planned, "plan drain h1", X_DONE},
    {planned, "plan drain h1 --detailed-exitcode", X_DONE},
    {goes_on, "drain h1 --detach", X_DONE},
    {balanced, "balance", X_DONE},
    {balanced, "apply 7", X_DONE},
    {balanced, "plan relieve", X_DONE},
    {drained, "attach 7", X_DONE},
    {cancelled, "cancel 7", X_DONE}, /* that it ends was the wish */
    {cancelled_late, "cancel 7", X_DONE},
    {lists, "resume h1", X_DONE},
    {lists, "cordon h1", X_DONE},
    {lists, "label a k=v", X_DONE},
    {lists, "hosts", X_DONE},
    {lists, "hosts h1", X_DONE},
    {lists, "vms --host h2", X_DONE}, /* an empty list is an answer */
    {lists, "top", X_DONE},
    {lists, "runs", X_DONE},
    {lists, "runs 7", X_DONE}, /* shown, whatever became of it */
    {lists, "explain a", X_DONE},
    {lists, "journal", X_DONE},
    {lists, "policy", X_DONE},
    {lists, "policy show", X_DONE},
    {lists, "policy suspend -m disks", X_DONE},
    {lists, "policy resume", X_DONE},
    {nobody, "policy schema", X_DONE},
    {nobody, "policy check " GOOD, X_DONE},
    {nobody, "policy test " GOOD, X_DONE},
    {nobody, "policy diff " GOOD " " GOOD " --detailed-exitcode", X_DONE},
    {nobody, "policy fmt --check " GOOD, X_DONE},
    {lists, "snapshot", X_DONE},
    {nobody, "snapshot check tests/unit/data/fleets/nine.json", X_DONE},
    {lists, "version", X_DONE},
    {nobody, "--version", X_DONE},
    {nobody, "--help", X_DONE},
    {nobody, "help", X_DONE},
    {nobody, "drain --help", X_DONE},
    {nobody, "help drain", X_DONE},
    {nobody, "pki --help", X_DONE},
    {nobody, "plan fit --memory 1GiB" NINE, X_DONE},
    {nobody, "plan failover kvm-01" NINE, X_DONE},
    {nobody, "explain vm/oracle-1" NINE, X_DONE},
    /* 1 failed */
    {broken, "drain h1", X_FAILED},
    {broken, "attach 7", X_FAILED},
    {cancelled, "drain h1", X_FAILED},
    {fails, "cordon h1", X_FAILED},
    {failing, "cordon h1", X_FAILED},
    {failing, "hosts", X_FAILED},
    {strange, "hosts", X_FAILED},
    {strange, "runs", X_FAILED},
    {strange, "cordon h1", X_FAILED},
    {nobody, "plan drain h1 --snapshot /nowhere", X_FAILED},
    {nobody, "plan drain h1 --snapshot " BAD, X_FAILED},
    {nobody, "policy check /nowhere", X_FAILED},
    {nobody, "policy check " BAD, X_FAILED},
    {nobody, "policy test " BAD, X_FAILED},
    {nobody, "policy diff " GOOD " /nowhere", X_FAILED},
    {nobody, "policy fmt --check /nowhere", X_FAILED},
    {nobody, "snapshot check " BAD, X_FAILED},
    {nobody, "snapshot import --from csv /nowhere", X_FAILED},
    /* 2 only where it was asked for */
    {moves, "balance -n", X_DONE},
    {moves, "balance -n --detailed-exitcode", X_CHANGES},
    {moves, "plan balance --detailed-exitcode", X_CHANGES},
    {nobody, "plan drain kvm-03" NINE, X_DONE},
    {nobody, "plan drain kvm-03 --detailed-exitcode" NINE, X_CHANGES},
    {nobody, "policy diff " GOOD " tests/unit/data/fleets/policy", X_DONE},
    {nobody, "policy diff " GOOD " tests/unit/data/fleets/policy --detailed-exitcode", X_CHANGES},
    /* 3 blocked */
    {refused, "drain h1", X_BLOCKED},
    {blocked, "plan drain h1", X_BLOCKED},
    {blocked, "plan drain h1 --detailed-exitcode", X_BLOCKED},
    {infeasible, "balance --memory 1GiB", X_BLOCKED},
    {nobody, "plan fit --memory 9TiB" NINE, X_BLOCKED},
    {nobody, "plan make-room --memory 9TiB" NINE, X_BLOCKED},
    /* 4 partly */
    {partly, "drain h1", X_PARTLY},
    {cancelled_late, "drain h1", X_PARTLY},
    /* 5 no scheduler */
    {nobody, "drain h1", X_UNREACHABLE},
    {nobody, "plan balance", X_UNREACHABLE},
    {nobody, "hosts", X_UNREACHABLE},
    {nobody, "top", X_UNREACHABLE},
    {nobody, "explain a", X_UNREACHABLE},
    {nobody, "journal", X_UNREACHABLE},
    {nobody, "policy", X_UNREACHABLE},
    {nobody, "policy check " GOOD " --live", X_UNREACHABLE},
    {nobody, "policy suspend -m disks", X_UNREACHABLE},
    {nobody, "snapshot", X_UNREACHABLE},
    {nobody, "version", X_UNREACHABLE},
    /* 6 nothing was done */
    {denied, "drain h1", X_DENIED},
    {denied, "hosts", X_DENIED},
    {conflict, "drain h1", X_DENIED},
    {conflict, "resume h1", X_DENIED},
    {expired, "apply 7", X_DENIED},
    {lists, "hosts h9", X_DENIED},
    {lists, "vms b", X_DENIED},
    {lists, "vms --host h9", X_DENIED},
    {lists, "runs 9", X_DENIED},
    {lists, "explain b", X_DENIED},
    {planned, "drain h1 --on-blocked shutdown", X_DENIED},
    {nobody, "plan drain kvm-99" NINE, X_DENIED},
    {nobody, "explain vm/nobody" NINE, X_DENIED},
    /* 64 usage; what the scheduler takes for usage, too */
    {odd, "balance", X_USAGE},
    {nobody, "", X_USAGE},
    {nobody, "drian", X_USAGE},
    {nobody, "help drian", X_USAGE},
    {nobody, "--colour", X_USAGE},
    {nobody, "drain", X_USAGE},
    {nobody, "drain h1 --force", X_USAGE},
    {nobody, "drain h1 --parallel", X_USAGE},
    {nobody, "drain vm/a", X_USAGE},
    {nobody, "plan", X_USAGE},
    {nobody, "plan drian h1", X_USAGE},
    {nobody, "plan fit --memory 1GiB", X_USAGE},
    {nobody, "plan drain h1 --policy " GOOD, X_USAGE},
    {nobody, "balance --detailed-exitcode", X_USAGE},
    {nobody, "balance --mode best", X_USAGE},
    {nobody, "balance h1", X_USAGE},
    {nobody, "apply", X_USAGE},
    {nobody, "apply h1", X_USAGE},
    {nobody, "resume", X_USAGE},
    {nobody, "resume h1 h2", X_USAGE},
    {nobody, "cordon", X_USAGE},
    {nobody, "label a", X_USAGE},
    {nobody, "label a k", X_USAGE},
    {nobody, "cancel x", X_USAGE},
    {nobody, "attach", X_USAGE},
    {nobody, "explain", X_USAGE},
    {nobody, "explain a --policy " GOOD, X_USAGE},
    {nobody, "check", X_USAGE},
    {nobody, "check pair h1", X_USAGE},
    {nobody, "check pair h1 h1", X_USAGE},
    {nobody, "hosts -o xml", X_USAGE},
    {lists, "hosts --columns speed", X_USAGE},
    {nobody, "hosts vm/a", X_USAGE},
    {nobody, "vms host/a", X_USAGE},
    {nobody, "top h1", X_USAGE},
    {nobody, "runs --ceph", X_USAGE},
    {lists, "runs 7 --why", X_USAGE},
    {nobody, "journal --limit 0", X_USAGE},
    {nobody, "journal 7", X_USAGE},
    {nobody, "health h1", X_USAGE},
    {nobody, "policy chek", X_USAGE},
    {nobody, "policy show x", X_USAGE},
    {nobody, "policy check", X_USAGE},
    {nobody, "policy check " GOOD " -f xml", X_USAGE},
    {nobody, "policy diff " GOOD, X_USAGE},
    {nobody, "policy fmt", X_USAGE},
    {nobody, "policy suspend", X_USAGE},
    {nobody, "policy resume now", X_USAGE},
    {nobody, "policy schema x", X_USAGE},
    {nobody, "snapshot chek", X_USAGE},
    {nobody, "snapshot check", X_USAGE},
    {nobody, "snapshot save", X_USAGE},
    {nobody, "snapshot import x", X_USAGE},
    {nobody, "version now", X_USAGE},
    /* the run goes on */
    {goes_on, "drain h1 --timeout 1ms", X_TIMEOUT},
    {goes_on, "attach 7 --timeout 1ms", X_TIMEOUT},
    {interrupted, "drain h1", X_DETACHED},
    {interrupted, "attach 7", X_DETACHED},
    /* monitoring plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN */
    {passes, "check h1", 0},
    {warns, "check h1", 1},
    {critical, "check pair h1 h2", 2},
    {nobody, "check h1", 3},
    {denied, "check h1", 3},
    {conflict, "check h1", 3},
    {lists, "check h1", 3}, /* nothing was looked at */
    {lists, "check h1 -o json", 3},
    {critical, "check h1 -o json", 2},
    {lists, "health", 1},
    {critical, "health", 2},
    {nobody, "health", 3},
    {strange, "health", 3},
};

/* Usage never reaches stdout, and what goes wrong is never silent. */
static void every_command(void **state)
{
    (void)state;
    struct outcome o = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fake_run(&o, rows[i].script, rows[i].line, false, NULL);
        if (o.code != rows[i].code)
            fail_msg("drover %s: %d, expected %d\n%s%s", rows[i].line, o.code, rows[i].code, o.out,
                     o.err);
        if (o.code == X_USAGE && (*o.out || !*o.err))
            fail_msg("drover %s: on stdout: '%s', on stderr: '%s'", rows[i].line, o.out, o.err);
        if (o.code != X_DONE && !*o.out && !*o.err)
            fail_msg("drover %s: exit %d without a word", rows[i].line, o.code);
    }
    outcome_done(&o);
}

/* Each answer as data names its form; stdout has nothing else, and nothing at all when there is none. */
static void data_names_its_form(void **state)
{
    static const struct {
        const struct fake_answer *script;
        const char *line, *schema;
    } cases[] = {
        {drained, "drain h1", "drover.run/1"},
        {goes_on, "drain h1 --detach", "drover.reply/1"},
        {planned, "plan drain h1", "drover.run/1"},
        {moves, "plan balance", "drover.run/1"},
        {moves, "balance -n", "drover.run/1"},
        {balanced, "apply 7", "drover.run/1"},
        {cancelled, "cancel 7", "drover.run/1"},
        {drained, "attach 7", "drover.run/1"},
        {lists, "resume h1", "drover.reply/1"},
        {lists, "cordon h1", "drover.reply/1"},
        {lists, "label a k=v", "drover.reply/1"},
        {lists, "policy suspend -m disks", "drover.reply/1"},
        {lists, "policy resume", "drover.reply/1"},
        {lists, "hosts", "drover.hosts/1"},
        {lists, "hosts h1", "drover.hosts/1"},
        {lists, "vms", "drover.vms/1"},
        {lists, "top", "drover.top/1"},
        {lists, "runs", "drover.runs/1"},
        {lists, "runs 7", "drover.run/1"},
        {lists, "explain a", "drover.explain/1"},
        {lists, "journal", "drover.journal/1"},
        {lists, "health", "drover.health/1"},
        {lists, "policy", "drover.policy/1"},
        {lists, "snapshot", "drover.snapshot/1"},
        {lists, "version", "drover.versions/1"},
        {passes, "check h1", "drover.check/1"},
        {conflict, "check h1", "drover.check/1"},
        {nobody, "plan drain kvm-03" NINE, "drover.run/1"},
        {nobody, "plan drain kvm-03 --why-not" NINE, "drover.run/1"},
        {nobody, "plan balance" NINE, "drover.balance/1"},
        {nobody, "plan consolidate" NINE, "drover.balance/1"},
        {nobody, "plan balance --why-not vm/oracle-1" NINE, "drover.unmoved/1"},
        {nobody, "plan fit --memory 1GiB" NINE, "drover.fit/1"},
        {nobody, "plan make-room --memory 1GiB" NINE, "drover.room/1"},
        {nobody, "plan failover kvm-01" NINE, "drover.failover/1"},
        {nobody, "explain vm/oracle-1" NINE, "drover.explain/1"},
        {nobody, "policy check " GOOD, "drover.policy-check/1"},
        {nobody, "policy test " GOOD, "drover.policy-test/1"},
        {nobody, "policy diff " GOOD " " GOOD, "drover.policy-diff/1"},
        {nobody, "snapshot import --from csv tests/unit/data/fleets/three.csv",
         "drover.snapshot/1"},
        {denied, "hosts", NULL},
        {nobody, "hosts", NULL},
        {conflict, "cordon h1", NULL},
        {nobody, "check h1", NULL},
        {nobody, "health", NULL},
        {strange, "runs", NULL},
    };
    (void)state;
    struct outcome o = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cleanup(freep) char *line = xasprintf("%s -o json", cases[i].line);
        fake_run(&o, cases[i].script, line, false, NULL);
        cleanup(json_decrefp) json_t *j = json_loads(o.out, 0, NULL);
        const char *schema = json_string_value(json_object_get(j, "schema"));
        if (cases[i].schema ? !str_eq(schema, cases[i].schema) : *o.out != '\0' || !*o.err)
            fail_msg("drover %s: %s, expected %s\n%s\n%s", line, schema ? schema : "no schema",
                     cases[i].schema ? cases[i].schema : "only an error", o.out, o.err);
    }
    outcome_done(&o);
}

/* Each code is told, and no other: an item or a row per code, from one heading to the next. */
static void tells_all_codes(const char *page, const char *from, const char *until, const char *mark)
{
    static const int codes[] = {X_DONE,        X_FAILED, X_CHANGES, X_BLOCKED, X_PARTLY,
                                X_UNREACHABLE, X_DENIED, X_USAGE,   X_TIMEOUT, X_DETACHED};
    cleanup(freep) char *text = NULL;
    struct err e;
    size_t n = 0, len = strlen(mark);
    assert_int_equal(file_read(page, 1 << 20, &text, NULL, &e), 0);
    const char *start = strstr(text, from);
    char *end = strstr(start, until);
    assert_non_null(end);
    *end = '\0';
    for (const char *p = start; (p = strstr(p, mark)); p += len)
        n += p[len] >= '0' && p[len] <= '9';
    assert_int_equal(n, ARRAY_LEN(codes));
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        cleanup(freep) char *item = xasprintf("%s%d%c", mark, codes[i], mark[1] == '*' ? '*' : ' ');
        if (!strstr(start, item))
            fail_msg("%s does not tell exit code %d", page, codes[i]);
    }
}

static void the_manuals_have_them(void **state)
{
    (void)state;
    tells_all_codes("docs/man/drover.1.scd", "# EXIT STATUS\n", "# ENVIRONMENT\n", "\n*");
    tells_all_codes("docs/operating.md", "## 3. Exit codes\n", "## 4. ", "\n| ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command),
        cmocka_unit_test(data_names_its_form),
        cmocka_unit_test(the_manuals_have_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
