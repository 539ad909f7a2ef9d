/* Plans without a scheduler: the same words and codes, and the picture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include <libxml/parser.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/picture.h"
#include "scheduler/snap/snap.h"
#include "tests/unit/fakeapi.h"

#define DATA "tests/unit/data/fleets/"
#define NINE " --snapshot " DATA "nine.json --policy " DATA "policy"

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

static void expect(struct outcome *o, const char *line, int code)
{
    fake_run(o, NULL, line, false, NULL);
    if (o->code != code)
        fail_msg("drover %s: %d, expected %d\n%s%s", line, o->code, code, o->out, o->err);
    assert_string_equal(fake_log, ""); /* nobody was asked */
}

/* The story of a golden case, in the words of the command. */
static void others_make_room(void **state)
{
    (void)state;
    static const char fleet[] = " --snapshot tests/golden/room-of-a-neighbour/fleet.json --policy "
                                "tests/golden/room-of-a-neighbour";
    struct outcome o = {0};
    cleanup(freep) char *without = xasprintf("plan drain h1%s", fleet);
    cleanup(freep) char *with = xasprintf("plan drain h1 --make-room%s", fleet);
    cleanup(freep) char *data = xasprintf("plan drain h1 --make-room -o json%s", fleet);
    expect(&o, without, X_BLOCKED);
    contains(o.out, "drover drain h1 --make-room   all leave, after 1 move of a VM of other hosts");
    expect(&o, with, X_DONE);
    assert_true(fake_uncaught); /* Ctrl-C ends it at once */
    contains(o.out, "makes room on h2 for vm/big");
    contains(o.out, "after vm/x: into the room that vm/x gives up");
    contains(o.out, "Plan: 2 moves, 0 blocked, 0 stopped");
    contains(o.err, "drover drain h1 --make-room does it");
    expect(&o, data, X_DONE);
    contains(o.out, "\"after\"");
    contains(o.out, "\"aside\"");
    outcome_done(&o);
}

static void plans(void **state)
{
    (void)state;
    struct outcome o = {0};
    expect(&o, "plan drain kvm-03" NINE, X_DONE);
    contains(o.out, "vm/oracle-1  kvm-03  kvm-02");
    contains(o.out, "the only allowed host");
    contains(o.out, "shut off  definition only");
    contains(o.out, "Plan: 7 moves, 0 blocked, 0 stopped");
    contains(o.out, "≈");
    contains(o.err, "nothing was changed · drover drain kvm-03 does it");
    contains(o.err, "planned from " DATA "nine.json alone: libvirt and Ceph were not asked");
    expect(&o, "drain host/kvm-03 --dry-run --to kvm-02 --to kvm-01 --detailed-exitcode" NINE,
           X_CHANGES);
    lacks(o.out, "kvm-06");
    expect(&o, "plan drain kvm-03 --avoid kvm-02" NINE, X_BLOCKED);
    contains(o.out, "cannot leave:\n  vm/oracle-1");
    contains(o.out, "kvm-02: excluded by the request");
    contains(o.out, "(policy rules.yaml:5)");
    contains(o.out, "leave out --avoid kvm-02");
    contains(o.out, "drover drain kvm-03 --avoid kvm-02 --on-blocked leave   drain the other 5");
    expect(&o, "plan drain kvm-03 --avoid kvm-02 --allow-shutdown oracle-1" NINE, X_DONE);
    contains(o.out, "would be shut off:");
    expect(&o, "plan drain kvm-09 --detailed-exitcode" NINE, X_DONE);
    contains(o.out, "Plan: 0 moves");
    outcome_done(&o);
}

/* Several are planned jointly, and none takes what leaves another. */
static void plans_several_hosts(void **state)
{
    (void)state;
    struct outcome o = {0};
    expect(&o, "plan drain kvm-03 host/kvm-04 kvm-03" NINE, X_DONE);
    contains(o.out, "Plan: 12 moves, 0 blocked, 0 stopped");
    contains(o.err, "nothing was changed · drover drain kvm-03 kvm-04 does it");
    lacks(o.out, "  kvm-03  kvm-04 ");
    lacks(o.out, "  kvm-04  kvm-03 ");
    expect(&o, "plan drain kvm-03 kvm-04 -o json" NINE, X_DONE);
    json_t *j = json_loads(o.out, 0, NULL), *run = json_object_get(j, "run");
    assert_int_equal(json_array_size(json_object_get(run, "hosts")), 2);
    json_decref(j);
    expect(&o, "plan drain kvm-03 kvm-04 --why-not" NINE, X_DONE);
    contains(o.out, "every VM of hosts kvm-03, kvm-04 can leave");
    expect(&o, "plan drain kvm-03 --why-not vm/db-3 kvm-04" NINE, X_DONE);
    contains(o.out, "vm/db-3 can leave: to ");
    expect(&o, "plan drain --why-not kvm-03" NINE, X_DONE);
    contains(o.out, "every VM of host/kvm-03 can leave");
    expect(&o, "plan drain kvm-03 kvm-04 --allow-shutdown none" NINE, X_DENIED);
    contains(o.err, "no such VM, or more than one, on hosts kvm-03, kvm-04");
    expect(&o, "plan drain kvm-03 kvm-04 --on-blocked shutdown --confirm=kvm-03" NINE, X_DENIED);
    contains(o.err, "does not name the hosts to be drained, kvm-03,kvm-04");
    outcome_done(&o);
}

/* Few moves for a fleet: none where nothing is to be done, some where it is, and what would come of it. */
static void balances(void **state)
{
    (void)state;
    struct outcome o = {0};
    expect(&o, "plan repair" NINE, X_DONE);
    contains(o.out, "nothing to do: memory of hosts");
    contains(o.out, "Plan: 0 moves");
    expect(&o, "plan balance --max-moves 3 --detailed-exitcode" NINE, X_CHANGES);
    contains(o.out, " % full, kvm-");
    contains(o.out, "before: memory of hosts");
    contains(o.out, "after:  memory of hosts");
    contains(o.out, "Plan: 3 moves");
    contains(o.err, "planned from " DATA "nine.json alone");
    expect(&o, "plan balance --max-moves 3 -o json" NINE, X_DONE);
    json_t *j = json_loads(o.out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(j, "schema")), "drover.balance/1");
    assert_int_equal(json_array_size(json_object_get(j, "moves")), 3);
    assert_true(json_integer_value(json_object_get(json_object_get(j, "after"), "deviation_ppm")) <
                json_integer_value(json_object_get(json_object_get(j, "before"), "deviation_ppm")));
    json_decref(j);
    expect(&o, "plan make-room --memory 220GiB --vcpus 4" NINE, X_DONE);
    contains(o.out, "room for 220 GiB on host/kvm-");
    contains(o.out, "once these have moved");
    expect(&o, "plan make-room --memory 300GiB -o json" NINE, X_BLOCKED);
    contains(o.out, "\"host\": null");
    expect(&o, "plan make-room --memory 300GiB" NINE, X_BLOCKED);
    contains(o.out, "most free on one host: kvm-");
    expect(&o, "plan make-room" NINE, X_USAGE);
    expect(&o, "plan make-room --memory 4GiB --vm oracle-1" NINE, X_USAGE);
    expect(&o, "plan make-room --vm oracle-9" NINE, X_DENIED);
    expect(&o, "plan make-room --vm vm/oracle-1 --avoid kvm-02" NINE, X_BLOCKED);
    contains(o.out, "no room:\n  vm/oracle-1");
    contains(o.out, "no room for vm/oracle-1 (");
    expect(&o, "plan make-room --vm oracle-1 --to kvm-02" NINE, X_DONE);
    contains(o.out, " on host/kvm-02, as it is");
    expect(&o, "plan fit --memory 4GiB --vcpus 2 --labels app=db,tier=1 --name db-9" NINE, X_DONE);
    contains(o.out, "room for 4 GiB on ");
    contains(o.out, "(policy rules.yaml:");
    expect(&o, "plan fit --memory 900GiB -o json" NINE, X_BLOCKED);
    json_t *fit = json_loads(o.out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(fit, "schema")), "drover.fit/1");
    assert_int_equal(json_array_size(json_object_get(fit, "hosts")), 9);
    json_decref(fit);
    expect(&o, "plan fit --memory 4GiB --max-moves 3" NINE, X_USAGE);
    expect(&o, "plan fit --memory 4GiB --labels app" NINE, X_USAGE);
    expect(&o, "plan balance --memory 4GiB" NINE, X_USAGE);
    expect(&o, "plan consolidate --max-moves 3 --mode relieve" NINE, X_USAGE);
    expect(&o, "plan consolidate --max-moves 40 -o json" NINE, X_DONE);
    json_t *emptied = json_loads(o.out, 0, NULL);
    assert_true(json_array_size(json_object_get(emptied, "emptied")) > 0);
    json_decref(emptied);
    expect(&o, "plan balance --mode consolidate --hosts-free 1 --max-moves 40" NINE, X_DONE);
    contains(o.out, "1 host emptied, to be switched off if you like: kvm-");
    expect(&o, "plan balance --hosts-free 1" NINE, X_USAGE);
    expect(&o, "plan balance --mode make-room" NINE, X_USAGE);
    expect(&o, "plan balance --picture x.svg", X_USAGE);
    contains(o.err, "drover snapshot > fleet.json");
    expect(&o, "plan balance --max-moves none" NINE, X_USAGE);
    expect(&o, "plan balanse" NINE, X_USAGE);
    outcome_done(&o);
}

static void data(void **state)
{
    (void)state;
    struct outcome o = {0};
    expect(&o, "plan drain kvm-03 -o json" NINE, X_DONE);
    contains(o.out, "\"schema\": \"drover.run/1\"");
    contains(o.out, "\"state\": \"planned\"");
    contains(o.out, "\"vm_name\": \"oracle-1\"");
    expect(&o, "plan drain kvm-09 -o json" NINE, X_DONE);
    contains(o.out, "\"moves\": []");
    outcome_done(&o);
}

static void explains(void **state)
{
    (void)state;
    struct outcome o = {0};
    expect(&o, "explain vm/oracle-1" NINE, X_DONE);
    contains(o.out, "vm/oracle-1  running on host/kvm-03  110 GiB  16 vCPUs");
    contains(o.out, "kvm-02   yes");
    contains(o.out, "(policy rules.yaml:5)");
    assert_null(strstr(o.out, "drover resume kvm-09")); /* it is not licensed either */
    contains(o.err, "libvirt and Ceph were not asked");
    expect(&o, "explain oracle-1 -o json" NINE, X_DONE);
    contains(o.out, "\"schema\": \"drover.explain/1\"");
    expect(&o, "explain oracel-1" NINE, X_DENIED);
    contains(o.err, "did you mean 'oracle-1'?");
    outcome_done(&o);
}

static void why_not(void **state)
{
    (void)state;
    struct outcome o = {0};
    expect(&o, "plan drain kvm-03 --avoid kvm-02 --why-not" NINE, X_BLOCKED);
    contains(o.out, "  ways out:    leave out --avoid kvm-02");
    assert_null(strstr(o.out, "Plan: "));
    expect(&o, "plan drain kvm-03 --avoid kvm-02 --why-not=vm/oracle-1 -o json" NINE, X_BLOCKED);
    contains(o.out, "\"kind\": \"option\"");
    expect(&o, "plan drain kvm-03 --avoid kvm-02 --why-not oracel-1" NINE, X_DENIED);
    contains(o.err, "no VM 'oracel-1' among those of host/kvm-03");
    expect(&o, "plan drain kvm-03 --why-not oracle-1" NINE, X_DONE);
    contains(o.out, "vm/oracle-1 can leave: to kvm-02, ");
    expect(&o, "plan drain kvm-03 --why-not" NINE, X_DONE);
    contains(o.out, "every VM of host/kvm-03 can leave");
    expect(&o, "drain kvm-03 --why-not" NINE, X_USAGE);
    expect(&o, "plan balance --why-not vm/oracle-1" NINE, X_DONE);
    contains(o.out, "vm/oracle-1 on host/kvm-03: ");
    contains(o.out, "hosts: a rule does not allow this host (rule oracle-licensed)");
    expect(&o, "plan relieve --why-not=oracle-1 -o json" NINE, X_DONE);
    contains(o.out, "\"schema\": \"drover.unmoved/1\"");
    expect(&o, "plan balance --why-not" NINE, X_USAGE);
    contains(o.err, "the VM of --why-not is missing");
    expect(&o, "plan balance --why-not oracel-1" NINE, X_DENIED);
    expect(&o, "plan consolidate --why-not oracle-1" NINE, X_USAGE);
    outcome_done(&o);
}

static void refusals(void **state)
{
    (void)state;
    struct outcome o = {0};
    expect(&o, "plan drain kvm-33" NINE, X_DENIED);
    contains(o.err, "no host 'kvm-33'; did you mean 'kvm-03'");
    expect(&o, "plan drain kvm-03 --to kvm-0x" NINE, X_DENIED);
    expect(&o, "plan drain kvm-03 --allow-shutdown web-99" NINE, X_DENIED);
    contains(o.err, "vm/web-99: no such VM on host/kvm-03");
    expect(&o, "drain kvm-03" NINE, X_USAGE);
    contains(o.err, "--snapshot belongs to a dry run");
    expect(&o, "drain kvm-03 --picture x.svg", X_USAGE);
    expect(&o, "plan drain kvm-03 --policy " DATA "policy", X_USAGE);
    contains(o.err, "--policy belongs to --snapshot");
    expect(&o, "plan drain kvm-03 --snapshot /nowhere.json", X_FAILED);
    contains(o.err, "/nowhere.json");
    expect(&o, "plan drain kvm-03 --snapshot " DATA "nine.json --policy /nowhere", X_FAILED);
    expect(&o, "plan drain kvm-03 --snapshot " DATA "policy/rules.yaml", X_FAILED);
    contains(o.err, DATA "policy/rules.yaml: line 1 column");
    expect(&o, "plan balance --picture x.svg", X_USAGE);
    outcome_done(&o);
}

static void snapshots(void **state)
{
    (void)state;
    struct outcome o = {0};
    expect(&o, "snapshot check " DATA "nine.json", X_DONE);
    contains(o.out, "nine.json: ok, 9 hosts, 40 VMs");
    expect(&o, "snapshot check " DATA "policy/rules.yaml", X_FAILED);
    expect(&o, "snapshot chek x", X_USAGE);
    contains(o.err, "did you mean check?");
    expect(&o, "snapshot import --from csv " DATA "three.csv", X_DONE);
    contains(o.out, "{\"schema\": \"drover.snapshot/1\"");
    contains(o.err, "3 hosts with 4 VMs");
    contains(o.err, "their disks are not known");
    expect(&o, "snapshot import " DATA "three.csv", X_USAGE);
    contains(o.err, "--from is missing");
    expect(&o, "snapshot import --from cvs " DATA "three.csv", X_USAGE);
    expect(&o, "snapshot import --from csv", X_USAGE);
    expect(&o, "snapshot import --from ganeti --hosts x " DATA "three.csv", X_USAGE);
    expect(&o, "snapshot import --from ganeti " DATA "three.csv", X_FAILED);
    assert_true(str_has_prefix(o.err, DATA "three.csv:1: "));
    static const struct fake_answer script[] = {
        {"GET /v1/snapshot", 0,
         "{\"schema\":\"drover.snapshot/1\",\"hosts\":[{\"name\":\"h1\"}],\"vms\":[]}"},
        {0}};
    fake_run(&o, script, "snapshot", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(o.out, script[0].json); /* as it came */
    fake_run(&o, NULL, "snapshot", false, NULL);
    assert_int_equal(o.code, X_UNREACHABLE);
    outcome_done(&o);
}

/* ---- the picture ------------------------------------------------------------------------------- */
static char *drawn(const char *fleet, const char *moves)
{
    struct snap f;
    struct err e;
    struct run_view v;
    if (snap_parse("f", fleet, strlen(fleet), &f, &e) < 0 ||
        codec_decode_text(&run_view_shape, moves, &v, &e) < 0)
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < v.n_moves; i++) /* the fleet gave the UUIDs */
        for (size_t k = 0; k < f.s.n_vms; k++)
            if (str_eq(f.vms[k].name, v.moves[i].vm_name)) {
                free(v.moves[i].vm);
                v.moves[i].vm = xstrdup(f.vms[k].uuid);
            }
    char *svg = picture_draw(&f.s, &v);
    xmlDocPtr doc = xmlReadMemory(svg, (int)strlen(svg), "p.svg", NULL, XML_PARSE_NOERROR);
    if (!doc)
        fail_msg("no XML:\n%s", svg);
    xmlFreeDoc(doc);
    shape_done(&run_view_shape, &v);
    snap_done(&f);
    return svg;
}

static void picture(void **state)
{
    (void)state;
    cleanup(freep) char *svg = drawn(
        "{\"hosts\": [\"h1 10GiB\", \"h2 10GiB lost\", {\"name\": \"<&\\\"h3\", \"mem_bytes\": 1}, "
        "{\"name\": \"h4\"}],"
        " \"vms\": [\"a@h1 4GiB\", {\"name\": \"<b>\", \"host\": \"h1\", \"mem_bytes\": "
        "8000000000}, "
        "\"c@h2 1GiB to=h1\", \"off@h1 4GiB shutoff\"]}",
        "{\"run\":{\"id\":0,\"kind\":\"drain\",\"host\":\"h1\",\"state\":\"planned\"},\"moves\":["
        "{\"id\":1,\"run\":0,\"vm\":\"?\",\"vm_name\":\"a\",\"from\":\"h1\",\"to\":\"h2\",\"live\":"
        "true}]}");
    contains(svg, "1 move");
    contains(svg, "vm/a  4 GiB  h1 → h2");
    contains(svg, "vm/&lt;b&gt;");
    contains(svg, "&lt;&amp;");
    contains(svg, "h2 · lost");
    contains(svg, "class=\"over\""); /* h1: 4 + 7.5 + 1 of 10 GiB */
    contains(svg, "arriving");
    lacks(svg, "vm/off");
    lacks(svg, "<script");
}

static void large_fleets_show_what_changes(void **state)
{
    (void)state;
    cleanup(freep) char *svg = drawn(
        "{\"hosts\": \"h[001-300] 64GiB\", \"vms\": \"v[1-600]@h[001-300] 4GiB\"}",
        "{\"run\":{\"id\":0,\"kind\":\"drain\",\"host\":\"h007\",\"state\":\"planned\"},\"moves\":["
        "{\"id\":1,\"run\":0,\"vm\":\"?\",\"vm_name\":\"v7\",\"from\":\"h007\",\"to\":\"h123\","
        "\"live\":true}]}");
    contains(svg, "host/h007");
    contains(svg, "host/h123");
    lacks(svg, "host/h008");
    contains(svg, "298 hosts are not drawn");
    cleanup(freep) char *none = drawn("{\"hosts\": [], \"vms\": []}", "{\"run\":{\"id\":0}}");
    contains(none, "0 moves");
}

static void picture_of_a_plan(void **state)
{
    (void)state;
    struct outcome o = {0};
    char path[] = "/tmp/drover-picture-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    cleanup(freep) char *line =
        xasprintf("plan drain kvm-03 --avoid kvm-02 --picture %s" NINE, path);
    expect(&o, line, X_BLOCKED);
    cleanup(freep) char *svg = NULL;
    assert_int_equal(file_read(path, 1 << 20, &svg, NULL, NULL), 0);
    unlink(path);
    contains(svg, "✕ oracle-1");
    contains(svg, "1 VM cannot leave");
    expect(&o, "plan drain kvm-03 --picture /nowhere/x.svg" NINE, X_FAILED);
    static const struct fake_answer script[] = {
        {"POST /v1/requests", 0, "{\"http\":202,\"exit\":0,\"code\":\"created\",\"run\":42}"},
        {"GET /v1/runs/42", 0, "{\"run\":{\"id\":42,\"state\":\"planned\",\"host\":\"h1\"}}"},
        {"GET /v1/snapshot", 0, "{\"hosts\":\"h[1-2] 1GiB\",\"vms\":\"asked-for@h1 512MiB\"}"},
        {0}};
    cleanup(freep) char *online = xasprintf("plan drain h1 --picture %s", path);
    fake_run(&o, script, online, false, NULL); /* the fleet comes from the scheduler then */
    assert_int_equal(o.code, X_DONE);
    free(svg);
    svg = NULL;
    assert_int_equal(file_read(path, 1 << 20, &svg, NULL, NULL), 0);
    unlink(path);
    contains(svg, "asked-for");
    outcome_done(&o);
}

/* Can the fleet lose a host? */
static void hosts_that_die(void **state)
{
    (void)state;
    struct outcome o = {0};
    expect(&o, "plan failover kvm-03" NINE, X_DONE);
    contains(o.out, "vm/oracle-1  kvm-03  kvm-02");
    contains(o.out, "the fleet can lose host/kvm-03: every VM has a place");
    contains(o.out, "1 VM there is shut off, and stays so");
    contains(o.err, "libvirt and Ceph were not asked");
    expect(&o, "plan failover host/kvm-03 kvm-02 --priority app" NINE, X_BLOCKED);
    contains(o.out, "no place:\n  vm/oracle-1");
    contains(o.out, "the fleet cannot lose host/kvm-03, host/kvm-02: ");
    expect(&o, "plan failover kvm-03 --avoid kvm-02 -o json" NINE, X_BLOCKED);
    json_t *j = json_loads(o.out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(j, "schema")), "drover.failover/1");
    assert_true(json_is_false(json_object_get(j, "fits")));
    assert_true(json_array_size(json_object_get(j, "starts")) > 0);
    assert_int_equal(json_array_size(json_object_get(j, "stays")), 1);
    json_decref(j);
    expect(&o, "plan failover" NINE, X_USAGE);
    expect(&o, "plan failover kvm-99" NINE, X_DENIED);
    expect(&o, "plan failover kvm-03", X_USAGE);
    outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans),
        cmocka_unit_test(plans_several_hosts),
        cmocka_unit_test(others_make_room),
        cmocka_unit_test(balances),
        cmocka_unit_test(hosts_that_die),
        cmocka_unit_test(data),
        cmocka_unit_test(explains),
        cmocka_unit_test(why_not),
        cmocka_unit_test(refusals),
        cmocka_unit_test(snapshots),
        cmocka_unit_test(picture),
        cmocka_unit_test(large_fleets_show_what_changes),
        cmocka_unit_test(picture_of_a_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
