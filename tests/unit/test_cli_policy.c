/* drover policy check, test, diff and fmt, as an operator and a CI system see them. */
#include <jansson.h>
#include <libxml/parser.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "tests/unit/fakeapi.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/tempgit.h"

#define EXAMPLE "deploy/examples/policy-repo/"

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

static void __attribute__((format(printf, 3, 4)))
expect(struct outcome *o, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cleanup(freep) char *line = xvasprintf(fmt, ap);
    va_end(ap);
    fake_run(o, NULL, line, false, NULL);
    if (o->code != code)
        fail_msg("drover %s: %d, expected %d\n%s%s", line, o->code, code, o->out, o->err);
}

static const char rules[] = "version: 1\n"
                            "rules:\n"
                            "  - {name: db-apart, anti_affinity: {vms: {labels: {app: db}}}}\n"
                            "  - {name: gpu, host_required: {vms: {labels: {needs: gpu}}, hosts: "
                            "{labels: {gpu: \"yes\"}}}}\n";
static const char fleet[] =
    "{\"hosts\": \"kvm-[01-03] 64GiB 16c\", \"vms\": [\"db-[1-2]@kvm-01 8GiB 2c "
    "app=db\", \"web@kvm-02 90GiB 2c\"]}";

/* ---- check ------------------------------------------------------------------------------------ */

/* The example repository is what its page says it is. */
static void example_repository(void **state)
{
    (void)state;
    struct outcome o = {0};
    expect(&o, X_DONE,
           "policy check " EXAMPLE "policy --snapshot " EXAMPLE "snapshots/fleet.json --strict");
    contains(o.out, ": ok, 3 rules in 3 files");
    expect(&o, X_DONE, "policy test " EXAMPLE "policy");
    contains(o.out, "PASS " EXAMPLE "policy/databases.test.yaml:");
    contains(o.out, ", 0 failed");
    outcome_done(&o);
}

/* Every file's first mistake, not only the first file's. */
static void all_mistakes(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct outcome o = {0};
    temp_put(dir, "a.yaml", "version: 1\ndrain: {oder: fastest}\n");
    temp_put(dir, "b.yaml", "version: 1\nbalance: {imbalance: 20}\n");
    temp_put(dir, "c.test.yaml", "version: 1\ncases:\n  - {name: x, reqest: {drain: h1}}\n");
    expect(&o, X_FAILED, "policy check %s", dir);
    contains(o.out, "/a.yaml:2:9: unknown key 'oder' in drain; did you mean 'order'?\n");
    contains(o.out, "/b.yaml:2:22: balance.imbalance: expected a percentage");
    contains(o.out, "/c.test.yaml:3:15: unknown key 'reqest' in cases; did you mean 'request'?\n");
    lacks(o.out, ": ok");
    expect(&o, X_FAILED, "policy check %s -f parsable", dir);
    contains(o.out, "/a.yaml:2:9: [error] unknown key");
    contains(o.out, "(invalid)\n");
    expect(&o, X_FAILED, "policy check %s -f github", dir);
    contains(o.out, "::error file=");
    contains(o.out, "/a.yaml,line=2,col=9,title=invalid::unknown key 'oder'");
    expect(&o, X_FAILED, "policy check %s -f json", dir);
    json_t *j = json_loads(o.out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(j, "problems")), 3);
    assert_true(json_is_false(json_object_get(j, "ok")));
    json_decref(j);
    expect(&o, X_FAILED, "policy check %s -f junit", dir);
    xmlDoc *doc = xmlReadMemory(o.out, (int)strlen(o.out), NULL, NULL, XML_PARSE_NONET);
    assert_non_null(doc);
    xmlFreeDoc(doc);
    contains(o.out, "tests=\"3\" failures=\"3\"");
    expect(&o, X_USAGE, "policy check %s -f xml", dir);
    outcome_done(&o);
    temp_remove(dir);
}

static void held_against_a_fleet(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct outcome o = {0};
    cleanup(freep) char *snap = xasprintf("%s/fleet.json", dir);
    temp_put(dir, "rules.yaml", rules);
    temp_put(dir, "fleet.json", fleet);
    expect(&o, X_DONE, "policy check %s --strict", dir); /* no fleet, no warnings */
    expect(&o, X_DONE, "policy check %s --snapshot %s", dir, snap);
    contains(o.out,
             "rules.yaml:3: warning: rule 'db-apart' is broken now: db-1, db-2 are in host kvm-01");
    contains(o.out, "rules.yaml:4: warning: rule 'gpu' is about no VM of the fleet");
    contains(o.out, "rules.yaml:4: warning: rule 'gpu' names no host of the fleet");
    contains(
        o.out,
        "warning: host kvm-02 holds too much memory: its VMs need 90 GiB, 63.5 GiB may be given");
    contains(o.out, ", 4 warnings\n");
    expect(&o, X_NOT_MET, "policy check %s --snapshot %s --strict", dir, snap);
    const struct fake_answer live[] = {{"GET /v1/snapshot", 0, fleet}, {0}};
    cleanup(freep) char *line = xasprintf("policy check %s --live --strict", dir);
    fake_run(&o, live, line, false, NULL);
    assert_int_equal(o.code, X_NOT_MET);
    contains(o.out, "is broken now");
    expect(&o, X_USAGE, "policy check %s --live --snapshot %s", dir, snap);
    outcome_done(&o);
    temp_remove(dir);
}

/* Which value wins, and over which: only who asks is told. */
static void overrides_are_notes(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct outcome o = {0};
    temp_put(dir, "10.yaml", "version: 1\nbalance: {max_moves: 5, imbalance: 10%}\n");
    temp_put(dir, "20/site.yaml", "version: 1\nbalance: {max_moves: 9}\n");
    expect(&o, X_DONE, "policy check %s --strict", dir);
    lacks(o.out, "overrides");
    expect(&o, X_DONE, "policy check %s --strict -v", dir);
    contains(o.out,
             "20/site.yaml:2:22: note: balance.max_moves overrides the value at 10.yaml:2:22\n");
    lacks(o.out, "imbalance");
    outcome_done(&o);
    temp_remove(dir);
}

/* ---- test ------------------------------------------------------------------------------------- */

#define CASE(request, expect)                                                                      \
    "version: 1\nsnapshot:\n  hosts: \"kvm-[01-03] 64GiB 16c rack=r1\"\n"                          \
    "  vms: [\"db-[1-2]@kvm-[01-02] 16GiB 4c app=db\", \"web-[1-2]@kvm-01 20GiB 2c\", "            \
    "\"off@kvm-01 4GiB shutoff\"]\n"                                                               \
    "cases:\n  - name: it\n    request: {" request "}\n    expect: {" expect "}\n"

static const struct {
    const char *text;
    int code;
    const char *said; /* NULL: nothing */
} cases[] = {
    {CASE("drain: kvm-02", "moves: [{vm: db-2, from: kvm-02, to: kvm-03}], blocked: []"), 0, NULL},
    {CASE("drain: kvm-02", "moves: [{vm: \"db-*\"}], rules_hold: true, at_most: 1"), 0, NULL},
    {CASE("drain: kvm-02", "moves: [{vm: db-2, to: kvm-01}]"), 2,
     "want: vm/db-2 moves to kvm-01\n  got:  vm/db-2 moves from kvm-02 to kvm-03 ("},
    {CASE("drain: kvm-02", "moves: []"), 2, "want: no move\n  got:  vm/db-2 moves"},
    {CASE("drain: kvm-02, avoid: kvm-03",
          "blocked: [{vm: db-2, reason: anti_affinity, rule: db-apart}]"),
     0, NULL},
    {CASE("drain: kvm-02, to: [kvm-01]", "blocked: [{vm: db-2, reason: memory}]"), 2,
     "want: vm/db-2 is blocked [memory]\n  got:  vm/db-2 stays: kvm-03: not among the hosts"},
    {CASE("drain: kvm-02", "blocked: [{vm: db-2}]"), 2, "got:  nobody is blocked"},
    {CASE("drain: kvm-02, avoid: kvm-03", "blocked: []"), 2,
     "want: nobody else is blocked\n  got:  vm/db-2 stays"},
    {CASE("drain: kvm-02, avoid: kvm-03", "moves: [{vm: db-2}]"), 2,
     "want: vm/db-2 moves\n  got:  vm/db-2 stays: "},
    {CASE("drain: [kvm-01, kvm-02]", "at_most: 1"), 2, "want: at most 1 move\n  got:  "},
    {CASE("drain: kvm-2", "moves: []"), 2,
     "no host 'kvm-2' in the snapshot; did you mean 'kvm-02'?"},
    {CASE("plan: repair", "moves: [], rules_hold: [db-apart]"), 0, NULL},
    {CASE("plan: repair", "rules_hold: [db-apart, db-prat]"), 2, "the policy has no such rule"},
    {CASE("plan: repair", "rules_hold: false"), 2,
     "want: a rule is broken\n  got:  all of them hold"},
    {CASE("plan: balance, max_moves: 1", "at_most: 1"), 0, NULL},
    {CASE("failover: kvm-01",
          "moves: [{vm: db-1, to: kvm-03}, {vm: web-1}, {vm: web-2}], blocked: []"),
     0, NULL},
    {CASE("move: {vm: db-1, to: kvm-02}", "allowed: false, reason: anti_affinity, rule: db-apart"),
     0, NULL},
    {CASE("move: {vm: db-1, to: kvm-02}", "allowed: false, rule: other"), 2,
     "want: vm/db-1 may not move to kvm-02, by rule other"},
    {CASE("move: {vm: web-1, to: kvm-03}", "allowed: true"), 0, NULL},
    {CASE("move: {vm: web-1, to: kvm-03}", "reason: memory"), 2, "got:  it may"},
    {CASE("move: {vm: nix, to: kvm-03}", "allowed: true"), 2, "no VM 'nix' in the snapshot"},
    {CASE("fit: {memory: 16GiB, labels: {app: db}}", "fits: [kvm-03]"), 0, NULL},
    {CASE("fit: {memory: 16GiB}", "fits: [kvm-03]"), 2,
     "want: no room on kvm-02\n  got:  it has room"},
    {CASE("fit: db-1", "fits: kvm-03"), 0, NULL},
    {CASE("make_room: {memory: 50GiB}", "room_on: \"kvm-0[23]\", moves: []"), 0, NULL},
    {CASE("make_room: {memory: 99GiB}", "room_on: kvm-01"), 2,
     "want: room on kvm-01\n  got:  no room"},
    /* no case at all */
    {CASE("drain: kvm-02", ""), 1, "nothing is expected: such a case cannot fail"},
    {CASE("drian: kvm-02", "moves: []"), 1,
     "request: expected a mapping with one of drain, failover"},
    {CASE("drain: kvm-02, cold: yes", "moves: []"), 1,
     "request.cold: expected true or false, got 'yes'"},
    {CASE("drain: kvm-02", "fits: [kvm-01]"), 1, "unknown key 'fits' in expect"},
    {CASE("drain: kvm-02", "blocked: [{vm: x, reason: memroy}]"), 1, "(did you mean 'memory'?)"},
    {CASE("drain: kvm-02", "blocked: [{reason: memory}]"), 1, "vm is missing"},
    {CASE("plan: tidy", "moves: []"), 1, "request.plan: expected one of balance, relieve"},
    {CASE("fit: {memory: 16}", "fits: []"), 1, "request.fit.memory: expected a size such as 4GiB"},
    {"version: 1\ncases:\n  - {name: it, request: {drain: h1}, expect: {moves: []}}\n", 1,
     "snapshot is missing"},
    {"version: 1\ncases: []\n", 1, "a list of cases is missing"},
    {"version: 1\nsnapshot: /etc/passwd\ncases:\n  - {name: it, request: {drain: h1}, expect: "
     "{moves: []}}\n",
     1, "a file, named as seen from this one"},
    {"version: 1\nsnapshot: none.json\ncases:\n  - {name: it, request: {drain: h1}, expect: "
     "{moves: []}}\n",
     2, "its snapshot cannot be read: "},
    {"version: 1\nsnapshot: {hosts: \"h[1-2 4GiB\"}\ncases:\n  - {name: it, request: {drain: h1}, "
     "expect: {moves: "
     "[]}}\n",
     2, "t.test.yaml:2:19: 'h[1-2': a [ without its ]"},
};

static void one_case_each(void **state)
{
    (void)state;
    struct outcome o = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *dir = temp_dir();
        temp_put(dir, "rules.yaml",
                 "version: 1\nrules:\n  - {name: db-apart, anti_affinity: {vms: "
                 "{labels: {app: db}}}}\n");
        temp_put(dir, "t.test.yaml", cases[i].text);
        fake_run(&o, NULL, "version", false, NULL);
        cleanup(freep) char *line = xasprintf("policy test %s --fail-only", dir);
        fake_run(&o, NULL, line, false, NULL);
        if (o.code != cases[i].code || (cases[i].said && !strstr(o.out, cases[i].said)))
            fail_msg("%s\n%d, expected %d and '%s':\n%s%s", cases[i].text, o.code, cases[i].code,
                     cases[i].said ? cases[i].said : "", o.out, o.err);
        temp_remove(dir);
    }
    outcome_done(&o);
}

static void which_cases(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct outcome o = {0};
    expect(&o, X_FAILED, "policy test %s", dir);
    contains(o.out, "there is no case");
    temp_put(dir, "sub/t.test.yml",
             "version: 1\nsnapshot: {hosts: h1 4GiB}\ncases:\n"
             "  - {name: one, request: {plan: repair}, expect: {moves: []}}\n"
             "  - {name: two, request: {plan: repair}, expect: {rules_hold: false}}\n");
    expect(&o, X_NOT_MET, "policy test %s", dir);
    contains(o.out, "PASS ");
    contains(o.out, "FAIL ");
    contains(o.out, "2 cases, 1 passed, 1 failed");
    expect(&o, X_NOT_MET, "policy test %s --fail-only", dir);
    lacks(o.out, "PASS ");
    expect(&o, X_DONE, "policy test %s -r ^o", dir);
    contains(o.out, "1 case, 1 passed, 0 failed");
    expect(&o, X_FAILED, "policy test %s --run three", dir);
    contains(o.out, "none of 2 cases has a name that 'three' matches");
    expect(&o, X_USAGE, "policy test %s --run *", dir);
    expect(&o, X_NOT_MET, "policy test %s -f junit", dir);
    contains(o.out, "tests=\"2\" failures=\"1\"");
    expect(&o, X_NOT_MET, "policy test %s -f json", dir);
    contains(o.out, "\"passed\": true");
    temp_put(dir, "bad.yaml", "version: 2\n"); /* the policy itself is refused: nothing is asked */
    expect(&o, X_FAILED, "policy test %s", dir);
    lacks(o.out, "PASS");
    outcome_done(&o);
    temp_remove(dir);
}

/* A case from production: today's answer is what is expected, and so it passes today. */
static void saves_cases(void **state)
{
    (void)state;
    /* the line is split at blanks, a tab is none of them */
    static const char *const requests[] = {"drain:\tkvm-01",
                                           "failover:\t[kvm-01]",
                                           "plan:\tbalance,\tmax_moves:\t2",
                                           "fit:\t{memory:\t8GiB,\tvcpus:\t2}",
                                           "make_room:\t{memory:\t60GiB}",
                                           "move:\t{vm:\tdb-1,\tto:\tkvm-02}"};
    const struct fake_answer live[] = {{"GET /v1/snapshot", 0,
                                        "{\"hosts\": \"kvm-[01-03] 64GiB 16c\", \"vms\": "
                                        "[\"db-[1-2]@kvm-[01-02] 8GiB 2c app=db\", "
                                        "\"web@kvm-02 20GiB 2c\"]}"},
                                       {0}};
    struct outcome o = {0};
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        char *dir = temp_dir();
        temp_put(dir, "rules.yaml", rules);
        cleanup(freep) char *line =
            xasprintf("snapshot save %s/x.test.yaml --request %s", dir, requests[i]);
        fake_run(&o, live, line, false, NULL);
        if (o.code != X_DONE)
            fail_msg("%s: %d\n%s", line, o.code, o.err);
        contains(o.err, "x.json and ");
        expect(&o, X_DONE, "policy test %s", dir);
        contains(o.out, "1 case, 1 passed");
        fake_run(&o, live, line, false, NULL);
        assert_int_equal(o.code, X_DENIED);
        contains(o.err, "exists already: nothing was written");
        temp_remove(dir);
    }
    char *dir = temp_dir();
    cleanup(freep) char *bad =
                            xasprintf("snapshot save %s/x.test.yaml --request drain:\tkvm-9", dir),
                        *left = xasprintf("%s/x.json", dir),
                        *plain = xasprintf("snapshot save %s", left);
    fake_run(&o, live, bad, false, NULL);
    assert_int_equal(o.code, X_FAILED);
    contains(o.err, "no host 'kvm-9' in the snapshot");
    assert_int_equal(access(left, F_OK), -1);
    fake_run(&o, live, plain, false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_int_equal(access(left, F_OK), 0);
    expect(&o, X_DONE, "snapshot check %s", left);
    expect(&o, X_USAGE, "snapshot save %s/y.test.yaml --snapshot %s", dir, left);
    expect(&o, X_USAGE, "snapshot save %s/y.json --request drain:kvm-01", dir);
    outcome_done(&o);
    temp_remove(dir);
}

/* ---- diff ------------------------------------------------------------------------------------- */

static void differences(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct outcome o = {0};
    cleanup(freep) char *a = xasprintf("%s/a", dir), *b = xasprintf("%s/b", dir),
                        *snap = xasprintf("%s/fleet.json", dir);
    temp_put(dir, "a/1.yaml",
             "version: 1\ncapacity: {memory: {reserve: 0}}\nbalance: {max_moves: 10}\nrules:\n"
             "  - {name: db-apart, anti_affinity: {vms: {labels: {app: db}}}}\n"
             "  - {name: old, exclude: {vms: {names: [x]}}}\n");
    temp_put(dir, "b/1.yaml",
             "version: 1\ncapacity: {memory: {reserve: 0}}\n"); /* max_moves: the default */
    temp_put(dir, "b/2.yaml",
             "version: 1\nmigration: {link_share: 62.5%, bandwidth: 8Gbit}\nrules:\n"
             "  - {name: db-apart, anti_affinity: {vms: {labels: {app: db}}, across: rack}}\n"
             "  - {name: web-home, host_required: {vms: {names: [web]}, hosts: {names: [h1]}}}\n");
    temp_put(
        dir, "fleet.json",
        "{\"hosts\": \"h[1-3] 64GiB 16c rack=r1\", \"vms\": [\"db-[1-2]@h[1-2] 8GiB 2c app=db\", "
        "\"web@h2 9GiB 2c\", \"big@h1 50GiB 2c\"]}");
    expect(&o, X_DONE, "policy diff %s %s", a, b);
    assert_string_equal(
        o.out, "~ migration.link_share: 100% → 62.5%   (2.yaml:2:25)\n"
               "~ migration.bandwidth: auto → 8Gbit   (2.yaml:2:43)\n"
               "~ rule db-apart   (2.yaml:4)\n"
               "    - anti_affinity: VMs with app=db, across host, hard\n"
               "    + anti_affinity: VMs with app=db, across rack, hard\n"
               "+ rule web-home: host_required: VMs named web; hosts named h1, hard   (2.yaml:5)\n"
               "- rule old: exclude: VMs named x\n");
    contains(o.err, "--snapshot FILE or --live says");
    expect(&o, X_CHANGES, "policy diff %s %s --detailed-exitcode", a, b);
    expect(&o, X_DONE, "policy diff %s %s --detailed-exitcode --snapshot %s", a, a, snap);
    contains(o.out, "the same values and rules\n\nnothing changes for the fleet as it is now\n");
    expect(&o, X_CHANGES, "policy diff %s %s --detailed-exitcode --snapshot %s", a, b, snap);
    contains(o.out, "\nwould be broken where VMs are now:\n"
                    "  rule db-apart (2.yaml:4)  db-1, db-2 are in rack r1\n"
                    "  rule web-home (2.yaml:5)  web on h2\n");
    contains(o.out, "could move before, and cannot any more:\n  vm/db-1  ");
    contains(o.out,
             "vm/web  h1: not enough memory: needs 9 GiB"); /* the nearest, not the last host */
    expect(&o, X_DONE, "policy diff %s %s --snapshot %s", b, a, snap);
    contains(o.out, "would no longer be broken:\n  rule db-apart (2.yaml:4)");
    lacks(o.out, "cannot any more");
    expect(&o, X_DONE, "policy diff %s %s --snapshot %s -o json", a, b, snap);
    json_t *j = json_loads(o.out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(j, "changes")), 5);
    assert_int_equal(json_array_size(json_object_get(j, "broken")), 2);
    assert_int_equal(json_array_size(json_object_get(j, "stuck")), 3);
    json_decref(j);
    expect(&o, X_FAILED, "policy diff %s nosuchrev", a);
    contains(o.err, "nosuchrev: 'nosuchrev' is no directory, and ");
    expect(&o, X_USAGE, "policy diff %s", a);
    outcome_done(&o);
    temp_remove(dir);
}

static void revisions(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct outcome o = {0};
    git_repository *repo;
    git_libgit2_init();
    assert_int_equal(git_repository_init(&repo, dir, 0), 0);
    temp_put(dir, "site/a.yaml", "version: 1\nmigration: {timeout: 1m30s/GiB}\n");
    git_commit_all(repo, "one");
    temp_put(dir, "site/a.yaml", "version: 1\nmigration: {retries: 7}\n");
    git_commit_all(repo, "two");
    temp_put(dir, "site/a.yaml", "version: 1\nmigration: {retries: 8}\n");
    expect(&o, X_DONE, "policy diff HEAD %s/site", dir); /* what is about to be committed */
    assert_string_equal(o.out, "~ migration.retries: 7 → 8   (a.yaml:2:22)\n");
    expect(&o, X_DONE, "policy diff HEAD~1 HEAD --dir %s/site", dir);
    assert_string_equal(o.out, "~ migration.timeout: 90s/GiB → 800s/GiB\n"
                               "~ migration.retries: 2 → 7   (a.yaml:2:22)\n");
    expect(&o, X_DONE, "policy diff HEAD~1:site HEAD:site --dir %s -o json", dir);
    contains(o.out, "\"commit\": \"");
    git_repository_free(repo);
    git_libgit2_shutdown();
    outcome_done(&o);
    temp_remove(dir);
}

/* ---- show, health ------------------------------------------------------------------------------ */

static void shows(void **state)
{
    (void)state;
    static const char good[] =
        "{\"schema\": \"drover.policy/1\", \"state\": \"in-force\", \"clean\": false, \"changed\": "
        "\"policy/a.yaml\", \"revision\": \"0123456789abcdef\", \"author\": \"Ann "
        "<ann@example.org>\", "
        "\"summary\": \"more rules\", \"loaded_wall_us\": 1700000000000000, \"dir\": \"/etc/p\", "
        "\"rules\": 3, \"files\": [\"a.yaml\"], \"kept\": false, \"source\": {\"revision\": "
        "\"0123456789abcdef\"}}",
                      bad[] =
                          "{\"schema\": \"drover.policy/1\", \"state\": \"refused\", \"clean\": "
                          "true, "
                          "\"revision\": \"0123456789abcdef\", \"message\": \"a.yaml:1:1: no\", "
                          "\"kept\": true, \"source\": {\"revision\": \"fedcba9876543210\", "
                          "\"author\": \"Bo\"}}";
    struct outcome o = {0};
    const struct fake_answer one[] = {{"GET /v1/policy", 0, good}, {0}};
    fake_run(&o, one, "policy show -o wide", false, NULL);
    assert_int_equal(o.code, X_DONE);
    contains(o.out, "0123456789ab  0123456789ab  in-force  no     2023-11-14");
    contains(o.out, "Ann <ann@example.org>  /etc/p      3      1  more rules");
    contains(o.err, "policy/a.yaml is not as committed");
    const struct fake_answer two[] = {{"GET /v1/policy", 0, bad}, {0}};
    fake_run(&o, two, "policy", false, NULL);
    contains(o.out, "0123456789ab  fedcba987654  refused  yes");
    contains(o.out, "a.yaml:1:1: no");
    contains(o.err, "fedcba987654 is by Bo");
    contains(o.err, "the last good policy, as the database has it");
    const struct fake_answer three[] = {
        {"GET /v1/policy", 0,
         "{\"state\": \"in-force\", \"balance\": {\"schedule\": \"* * * * *\", \"next_wall_us\": "
         "1700000040000000, \"window_open\": false, \"window_change_wall_us\": 1700003600000000, "
         "\"waiting_run\": 7, \"last_look\": \"the window is closed\"}}"},
        {0}};
    fake_run(&o, three, "policy show", false, NULL);
    contains(o.err, "balance looks next at 2023-11-1");
    contains(o.err, "; the window is closed until 2023-11-1");
    contains(o.err, "; the plan of run/7 waits for an operator; the last look: the window is "
                    "closed\n");
    const struct fake_answer four[] = {
        {"GET /v1/policy", 0,
         "{\"state\": \"in-force\", \"balance\": {\"schedule\": \"0 0 30 2 *\", \"window_open\": "
         "true}}"},
        {0}};
    fake_run(&o, four, "policy show", false, NULL);
    contains(o.err, "balance has no look to come\n");
    cleanup(freep) char *schema = NULL;
    assert_int_equal(file_read("schema/policy.json", 1 << 20, &schema, NULL, NULL), 0);
    fake_run(&o, NULL, "policy schema", false, NULL);
    assert_string_equal(o.out, schema);
    fake_run(&o, two, "-o json policy", false, NULL);
    contains(o.out, "\"drover.policy/1\"");
    outcome_done(&o);
}

static void health(void **state)
{
    (void)state;
    static const char
        fine[] = "{\"status\": \"ok\", \"policy\": {\"state\": \"in-force\"}, \"checks\": []}",
        poor[] = "{\"status\": \"error\", \"xml_missing\": 12, \"policy\": {\"state\": \"refused\", "
                 "\"revision\": \"0123456789abcdef\"}, \"checks\": [{\"name\": "
                 "\"POLICY_REFUSED\", \"verdict\": 1, \"text\": \"a.yaml:1:1: no\", \"cure\": "
                 "\"drover policy check 'p'\"}, {\"name\": \"AGENT_DOWN\", \"verdict\": 2, "
                 "\"text\": \"host/h1: gone\"}]}";
    struct outcome o = {0};
    const struct fake_answer one[] = {{"GET /v1/health", 0, fine}, {0}};
    fake_run(&o, one, "health", false, NULL);
    assert_int_equal(o.code, 0);
    assert_string_equal(o.out,
                        "DROVER OK - 0 errors, 0 warnings; policy in-force | warn=0 fail=0\n");
    const struct fake_answer two[] = {{"GET /v1/health", 0, poor}, {0}};
    fake_run(&o, two, "health", false, NULL);
    assert_int_equal(o.code, 2);
    contains(o.out,
             "DROVER CRITICAL - 1 error, 1 warning; policy 0123456789ab refused | warn=1 fail=1 "
             "xml_missing=12\nWARN  POLICY_REFUSED  a.yaml:1:1: no\n");
    contains(o.out, "→ drover policy check 'p'\nFAIL  AGENT_DOWN      host/h1: gone\n");
    fake_run(&o, two, "health -o jsonl", false, NULL);
    assert_int_equal(o.code, 2);
    const struct fake_answer gone[] = {{"GET /v1/health", -107, "no scheduler"}, {0}};
    fake_run(&o, gone, "health", false, NULL);
    assert_int_equal(o.code, 3);
    contains(o.out, "DROVER UNKNOWN - the scheduler: no scheduler");
    outcome_done(&o);
}

/* ---- fmt -------------------------------------------------------------------------------------- */
static void usual_form(void **state)
{
    (void)state;
    struct outcome o = {0};
    char *dir = temp_dir();
    cleanup(freep) char *odd = xasprintf("%s/a/odd.test.yaml", dir), *text = NULL;
    temp_put(dir, "good.yaml", "version: 1\n");
    temp_put(dir, "a/odd.test.yaml", "version:   1 # one\n");
    expect(&o, X_FAILED, "policy fmt %s --check", dir);
    contains(o.out, odd);
    lacks(o.out, "good.yaml");
    contains(o.err, "not in the usual form: 1 file");
    assert_true(fake_uncaught);
    expect(&o, X_DONE, "policy fmt %s", dir);
    contains(o.out, odd);
    assert_int_equal(file_read(odd, 100, &text, NULL, NULL), 0);
    assert_string_equal(text, "version: 1 # one\n");
    expect(&o, X_DONE, "policy fmt %s --check", dir);
    assert_string_equal(o.out, "");
    temp_put(dir, "bad.yaml", "version: 1\nversion: 1\n");
    expect(&o, X_FAILED, "policy fmt %s/bad.yaml %s/good.yaml", dir, dir);
    contains(o.err, "bad.yaml:2:1: duplicate key");
    expect(&o, X_FAILED, "policy fmt %s/none.yaml", dir);
    expect(&o, X_USAGE, "policy fmt");
    temp_remove(dir);
    outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_repository),
        cmocka_unit_test(all_mistakes),
        cmocka_unit_test(held_against_a_fleet),
        cmocka_unit_test(overrides_are_notes),
        cmocka_unit_test(one_case_each),
        cmocka_unit_test(which_cases),
        cmocka_unit_test(saves_cases),
        cmocka_unit_test(differences),
        cmocka_unit_test(revisions),
        cmocka_unit_test(shows),
        cmocka_unit_test(health),
        cmocka_unit_test(usual_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
