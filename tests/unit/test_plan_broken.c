/* What is broken as VMs are: each kind of rule, and whom rules are about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/broken.h"
#include "scheduler/snap/snap.h"

static void fleet(const char *hosts, const char *vms, struct snap *ret)
{
    cleanup(freep) char *text = xasprintf("{\"hosts\": [%s], \"vms\": [%s]}", hosts, vms);
    struct err e = {0};
    if (snap_parse("fleet", text, strlen(text), ret, &e) < 0)
        fail_msg("%s", e.msg);
}

static void policy(const char *rules, struct policy *ret)
{
    cleanup(freep) char *text =
        xasprintf("version: 1\ncapacity: {memory: {reserve: 0}}\nrules: [%s]\n", rules);
    const struct policy_file f = {(char *)(uintptr_t) "p.yaml", text};
    struct err e = {0};
    if (policy_load_texts(&f, 1, ret, &e) < 0)
        fail_msg("%s", e.msg);
}

/* "rule: what", a line each. */
static char *broken(const char *hosts, const char *vms, const char *rules)
{
    struct snap f;
    struct policy p;
    struct plan_broken *list;
    size_t n;
    char *text = xstrdup("");
    fleet(hosts, vms, &f);
    policy(rules, &p);
    struct plan_index *x = plan_index_new(&f.s, &p);
    plan_find_broken(x, &list, &n);
    for (size_t i = 0; i < n; i++) {
        assert_true(list[i].count > 0);
        text_add(&text, "%s: %s\n",
                 list[i].rule < 0 ? f.s.hosts[list[i].host].h->name : p.rules[list[i].rule].name,
                 list[i].what);
    }
    plan_broken_done(list, n);
    plan_index_free(x);
    policy_done(&p);
    snap_done(&f);
    return text;
}

#define HOSTS "\"h[1-2] 64GiB 16c rack=r1\", \"h3 64GiB 16c rack=r2\", \"h4 64GiB 16c\""

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *vms, *rule, *broken;
    } cases[] = {
        {"\"a1@h1 1GiB\", \"a2@h2 1GiB\"", "{name: r, anti_affinity: {vms: {names: [\"a*\"]}}}",
         ""},
        {"\"a1@h1 1GiB\", \"a2@h2 1GiB\"",
         "{name: r, anti_affinity: {vms: {names: [\"a*\"]}, across: rack}}",
         "r: a1, a2 are in rack r1\n"},
        {"\"a1@h1 1GiB\", \"a2@h4 1GiB\"",
         "{name: r, anti_affinity: {vms: {names: [\"a*\"]}, across: rack}}",
         "r: a2 is in a rack that host h4 does not name\n"},
        {"\"a[1-6]@h1 1GiB\"", "{name: r, anti_affinity: {vms: {names: [\"a*\"]}}}",
         "r: a1, a2, a3, a4 and 2 more are in host h1\n"},
        {"\"a1@h1 1GiB\", \"a2@h2 1GiB shutoff\"", /* those that are off count */
         "{name: r, affinity: {vms: {names: [\"a*\"]}}, weight: 2}",
         "r: a1 in host h1, a2 in host h2\n"},
        {"\"a1@h1 1GiB\", \"a2@h2 1GiB\"",
         "{name: r, affinity: {vms: {names: [\"a*\"]}, across: rack}}", ""},
        {"\"a[1-3]@h1 1GiB\", \"a4@h3 1GiB\"",
         "{name: r, max_vms: {vms: {names: [\"a*\"]}, max: 2}}",
         "r: 3 of its VMs are in host h1, at most 2 may: a1, a2, a3\n"},
        {"\"a[1-2]@h1 1GiB\", \"a3@h2 1GiB\"", /* of these hosts only */
         "{name: r, max_vms: {vms: {names: [\"a*\"]}, max: 1, hosts: {names: [h2, h3]}, across: "
         "rack}}",
         ""},
        {"\"a[1-2]@h2 1GiB\", \"a3@h1 1GiB\"",
         "{name: r, max_vms: {vms: {names: [\"a*\"]}, max: 1, hosts: {names: [h2, h3]}, across: "
         "rack}}",
         "r: 2 of its VMs are in rack r1, at most 1 may: a1, a2\n"},
        {"\"a[1-2]@h[1-2] 1GiB\"",
         "{name: r, spread: {vms: {names: [\"a*\"]}, across: rack, min: 2}}",
         "r: in 1 rack, at least 2 wanted: a1, a2 in rack r1\n"},
        {"\"a1@h1 1GiB\"", "{name: r, spread: {vms: {names: [\"a*\"]}, across: rack, min: 2}}", ""},
        {"\"a1@h1 1GiB\", \"a2@h3 1GiB\"",
         "{name: r, host_required: {vms: {names: [\"a*\"]}, hosts: {names: [h1]}}}",
         "r: a2 on h3\n"},
        {"\"a1@h1 1GiB\", \"a2@h3 1GiB\"",
         "{name: r, host_forbidden: {vms: {names: [\"a*\"]}, hosts: {names: [h1]}}}",
         "r: a1 on h1\n"},
        {"\"a1@h1 1GiB\", \"a2@h3 1GiB\"",
         "{name: r, host_preferred: {vms: {names: [\"a*\"]}, hosts: {names: [h1]}}}",
         "r: a2 on h3\n"},
        {"\"a1@h1 1GiB\"", "{name: r, exclude: {vms: {names: [\"a*\"]}}}", ""},
        {"\"a1@h1 1GiB\"", "{name: r, maintenance_only: {vms: {names: [\"a*\"]}}}", ""},
        /* a move counts where it leads to */
        {"\"a1@h1 1GiB\", \"a2@h3 1GiB to=h1\"",
         "{name: r, anti_affinity: {vms: {names: [\"a*\"]}}}", "r: a1, a2 are in host h1\n"},
        {"\"big@h1 65GiB\"", "", "h1: memory: its VMs need 65 GiB, 64 GiB may be given\n"},
        {"\"many@h3 1GiB 65c\"", "", "h3: CPUs: its VMs have 65 vCPUs, 64 may be given\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cleanup(freep) char *got = broken(HOSTS, cases[i].vms, cases[i].rule);
        if (!str_eq(got, cases[i].broken))
            fail_msg("%s\n%s\nexpected:\n%sgot:\n%s", cases[i].vms, cases[i].rule, cases[i].broken,
                     got);
    }
}

static void test_reach(void **state)
{
    (void)state;
    struct snap f;
    struct policy p;
    fleet(HOSTS, "\"a[1-3]@h1 1GiB\"", &f);
    policy("{name: x, host_required: {vms: {names: [\"a*\"]}, hosts: {names: [h1, h9]}}}, "
           "{name: y, exclude: {vms: {names: [b]}}}",
           &p);
    struct plan_index *x = plan_index_new(&f.s, &p);
    cleanup(freep) struct plan_reach *reach = plan_rule_reach(x);
    assert_int_equal(reach[0].vms, 3);
    assert_int_equal(reach[0].hosts, 1);
    assert_int_equal(reach[1].vms, 0);
    assert_int_equal(reach[1].hosts, -1);
    plan_index_free(x);
    policy_done(&p);
    snap_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_reach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
