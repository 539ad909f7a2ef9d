/* The policy loader: what it accepts, what it says when it refuses, how files merge. Run
 * from the repository's root. A corpus file NAME.yaml is refused with the text of NAME.expect;
 * POLICY_BLESS=1 writes those files anew (then read them). */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/compare.h"
#include "policy/policy.h"
#include "tests/unit/tempdir.h"

#define BAD "tests/unit/data/policy-bad"

static void loads(const char *dir, struct policy *ret)
{
    struct err e = {0};
    if (policy_load(dir, ret, &e) < 0)
        fail_msg("%s", e.msg);
}

static void refuses(const char *dir, const char *message)
{
    struct policy p;
    struct err e = {0};
    assert_true(policy_load(dir, &p, &e) < 0);
    assert_string_equal(e.msg, message);
}

/* ---- the corpus of mistakes ------------------------------------------------------------------- */

static int is_yaml(const struct dirent *d)
{
    const char *dot = strrchr(d->d_name, '.');
    return dot && str_eq(dot, ".yaml");
}

static void one_mistake(const char *name)
{
    char *dir = temp_dir();
    cleanup(freep) char *from = xasprintf("%s/%s", BAD, name);
    cleanup(freep) char *expect_path = xasprintf("%.*s.expect", (int)strlen(from) - 5, from);
    cleanup(freep) char *text = NULL, *expect = NULL;
    struct policy p;
    struct err e = {0};
    assert_int_equal(file_read(from, 1 << 20, &text, NULL, NULL), 0);
    temp_put(dir, name, text);
    if (policy_load(dir, &p, &e) == 0)
        fail_msg("%s is accepted", name);
    if (getenv("POLICY_BLESS")) {
        cleanup(freep) char *line = xasprintf("%s\n", e.msg);
        assert_int_equal(file_write(expect_path, line, strlen(line), 0644, NULL), 0);
    }
    assert_int_equal(file_read(expect_path, 4096, &expect, NULL, NULL), 0);
    expect[strcspn(expect, "\n")] = '\0';
    assert_string_equal(e.msg, expect);
    temp_remove(dir);
}

static void test_mistakes(void **state)
{
    (void)state;
    struct dirent **list;
    int n = scandir(BAD, &list, is_yaml, alphasort);
    assert_true(n > 60);
    for (int i = 0; i < n; i++) {
        one_mistake(list[i]->d_name);
        free(list[i]);
    }
    free(list);
}

static void test_contradiction_in_two_files(void **state)
{
    (void)state;
    char *dir = temp_dir();
    temp_put(dir, "10.yaml",
             "version: 1\nrules:\n  - {name: near, affinity: {vms: {labels: {app: db}}}}\n");
    temp_put(
        dir, "20/db.yaml",
        "version: 1\nrules:\n\n  - {name: apart, anti_affinity: {vms: {labels: {app: db}}}}\n");
    refuses(dir,
            "20/db.yaml:4: rule 'apart' contradicts rule 'near' at 10.yaml:3: the same VMs cannot "
            "be together and apart");
    temp_remove(dir);
}

/* Rules that look like a contradiction, and can hold. */
static void test_no_contradiction(void **state)
{
    (void)state;
    static const char *const sound[] = {
        /* together in a rack, apart within it */
        "{name: a, affinity: {vms: {names: [\"x*\"]}, across: rack}}, "
        "{name: b, anti_affinity: {vms: {names: [\"x*\"]}, across: host}}",
        /* one of the two is only a wish */
        "{name: a, affinity: {vms: {names: [\"x*\"]}}, weight: 3}, "
        "{name: b, anti_affinity: {vms: {names: [\"x*\"]}}}",
        /* one VM in common is alone with itself */
        "{name: a, affinity: {vms: {names: [x, y]}}}, "
        "{name: b, anti_affinity: {vms: {names: [y, z]}}}",
        /* whether a VM has both labels is not known */
        "{name: a, affinity: {vms: {labels: {app: db}}}}, "
        "{name: b, anti_affinity: {vms: {labels: {tier: \"1\"}}}}",
        /* h3 remains */
        "{name: a, host_required: {vms: {names: [x]}, hosts: {names: [h1, h3]}}}, "
        "{name: b, host_forbidden: {vms: {names: [x]}, hosts: {names: [h1]}}}",
        "{name: a, host_required: {vms: {names: [x]}, hosts: {names: [\"h*\"]}}}, "
        "{name: b, host_required: {vms: {names: [x]}, hosts: {names: [\"*1\"]}}}",
        /* apart where they need not be together */
        "{name: a, affinity: {vms: {names: [x, y]}, across: zone}}, "
        "{name: b, affinity: {vms: {names: [y, z]}}}, "
        "{name: c, anti_affinity: {vms: {names: [x, z]}, across: rack}}",
        /* two may be together, and are not asked to be more */
        "{name: a, affinity: {vms: {names: [x, y]}}}, {name: b, max_vms: {max: 2}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(sound); i++) {
        char *dir = temp_dir();
        struct policy p;
        cleanup(freep) char *text = xasprintf("version: 1\nrules: [%s]\n", sound[i]);
        temp_put(dir, "a.yaml", text);
        loads(dir, &p);
        policy_done(&p);
        temp_remove(dir);
    }
}

/* Proofs are given up, not waited for: 40 rules of 4,000 names each. */
static void test_huge_rules(void **state)
{
    (void)state;
    char *dir = temp_dir();
    for (int i = 0; i < 40; i++) {
        cleanup(freep) char *text = NULL;
        size_t len;
        FILE *f = open_memstream(&text, &len);
        assert_non_null(f);
        fprintf(f, "version: 1\nrules:\n  - {name: r%d, %s: {vms: {names: [", i,
                i % 2 ? "affinity" : "anti_affinity");
        for (int k = 0; k < 4000; k++)
            fprintf(f, "v%d-%d, ", i, k);
        fprintf(f, "]}}}\n");
        assert_int_equal(fclose(f), 0);
        cleanup(freep) char *name = xasprintf("%d.yaml", i);
        temp_put(dir, name, text);
    }
    struct policy p;
    loads(dir, &p);
    assert_int_equal(p.n_rules, 40);
    policy_done(&p);
    temp_remove(dir);
}

static void test_limits(void **state)
{
    (void)state;
    char *dir = temp_dir();
    cleanup(freep) char *big = xcalloc((10 << 20) + 16, 1);
    memset(big, '#', 10 << 20);
    temp_put(dir, "big.yaml", big);
    struct policy p;
    struct err e = {0};
    assert_int_equal(policy_load(dir, &p, &e), -E2BIG);
    assert_string_equal(e.msg, "big.yaml: longer than 1048576 bytes");
    cleanup(freep) char *many = xcalloc(1 << 17, 1);
    char *at = many + snprintf(many, 64, "version: 1\nrules: [");
    for (int i = 0; i < 8193; i++)
        at += snprintf(at, 8, "a, ");
    snprintf(at, 8, "a]\n");
    temp_put(dir, "big.yaml", many);
    assert_int_equal(policy_load(dir, &p, &e), -EBADMSG);
    assert_non_null(strstr(e.msg, "too many items in one list"));
    temp_remove(dir);
}

static void test_missing_directory(void **state)
{
    (void)state;
    struct policy p;
    struct err e = {0};
    assert_int_equal(policy_load("/nonexistent/policy", &p, &e), -ENOENT);
    assert_string_equal(e.msg, "/nonexistent/policy: No such file or directory");
    char *dir = temp_dir();
    temp_put(dir, "a.yaml", "version: 1\n");
    cleanup(freep) char *file = xasprintf("%s/a.yaml", dir);
    assert_int_equal(policy_load(file, &p, &e), -ENOTDIR);
    temp_remove(dir);
}

/* ---- what is accepted ------------------------------------------------------------------------- */

static void test_defaults(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct policy p;
    loads(dir, &p); /* an empty directory is the default policy */
    assert_int_equal(p.capacity.mem_overcommit_ppm, 1000000);
    assert_int_equal(p.capacity.mem_reserve_bytes, 512 * MIB);
    assert_int_equal(p.capacity.vcpu_overcommit_ppm, 4000000);
    assert_int_equal(p.migration.parallel, 0);
    assert_int_equal(p.migration.link_share_ppm, 1000000);
    assert_int_equal(p.migration.timeout_us_per_gib, 800 * SEC);
    assert_int_equal(p.migration.retries, 2);
    assert_true(p.migration.live && p.migration.persistent && p.migration.undefine_source &&
                p.migration.abort_on_error && p.migration.auto_converge);
    assert_false(p.migration.compressed || p.migration.post_copy || p.migration.multifd);
    assert_int_equal(p.drain.on_blocked, BLOCKED_REFUSE);
    assert_int_equal(p.drain.order, ORDER_FASTEST);
    assert_int_equal(p.balance.imbalance_ppm, 200000);
    assert_int_equal(p.balance.cooldown_us, 6 * 3600 * SEC);
    assert_int_equal(p.balance.mode, BALANCE_EVEN);
    assert_int_equal(p.balance.approve, APPROVE_MANUAL); /* nothing moves unasked */
    assert_int_equal(p.balance.ceph_pause, CEPH_PAUSE_SLOW);
    assert_null(p.balance.schedule.text);
    assert_int_equal(p.balance.n_windows, 0);
    assert_int_equal(p.budget.moves_per_vm_per_day, 0);
    assert_int_equal(p.n_rules, 0);
    assert_null(p.commit);
    assert_string_equal(p.dir, dir);
    policy_done(&p);
    temp_remove(dir);
}

static const char *const every_key =
    "version: 1\n"
    "capacity: {memory: {overcommit: 1.5, reserve: 4GiB}, vcpu: {overcommit: 8}, spare_hosts: 2}\n"
    "migration:\n"
    "  {transport: tcp, parallel: 3, link_share: 62.5%, timeout: 1m30s/GiB, retries: 0,\n"
    "   live: false, persistent: false, undefine_source: false, abort_on_error: false,\n"
    "   compressed: true, auto_converge: false, post_copy: true, multifd: 8,\n"
    "   bandwidth: 8Gbit, downtime: 250ms}\n"
    "drain: {on_blocked: leave, order: smallest-first, bring_home: true, "
    "make_room: true, shutdown_timeout: 10m}\n"
    "balance:\n"
    "  {mode: make-room, imbalance: 12.5%, busy: 70%, urgent: 95%, min_gain: 1%, max_moves: 50, "
    "weights: {cpu: "
    "0, memory: "
    "3},\n"
    "   schedule: \"0,30 8-18/2 1-7 jan,Jul-dec mon-fri\", window: \"Sat,Sun 00:00-24:00 "
    "Etc/GMT+3\",\n"
    "   sustained: 1, cooldown: none, approve: auto, ceph_pause: recovery,\n"
    "   room: {memory: 96GiB, vcpus: 16}}\n"
    "budget: {moves_per_vm_per_day: 4, pause_per_vm_per_day: 2s}\n"
    "failover: {priority: {labels: tier}}\n";

static void expect_balance(const struct policy *p)
{
    assert_int_equal(p->balance.mode, BALANCE_MAKE_ROOM);
    assert_int_equal(p->balance.imbalance_ppm, 125000);
    assert_int_equal(p->balance.busy_ppm, 700000);
    assert_int_equal(p->balance.urgent_ppm, 950000);
    assert_int_equal(p->balance.min_gain_ppm, 10000);
    assert_int_equal(p->balance.max_moves, 50);
    assert_int_equal(p->balance.weight_cpu, 0);
    assert_int_equal(p->balance.weight_mem, 3);
    assert_string_equal(p->balance.schedule.text, "0,30 8-18/2 1-7 jan,Jul-dec mon-fri");
    assert_int_equal(p->balance.n_windows, 1);
    assert_string_equal(p->balance.windows[0].text, "Sat,Sun 00:00-24:00 Etc/GMT+3");
    assert_ptr_equal(p->balance.schedule.zone, p->balance.windows[0].zone);
    assert_int_equal(p->n_zones, 1);
    assert_int_equal(p->balance.sustained, 1);
    assert_int_equal(p->balance.cooldown_us, 0);
    assert_int_equal(p->balance.room_mem_bytes, 96 * GIB);
    assert_int_equal(p->balance.room_vcpus, 16);
    assert_int_equal(p->balance.approve, APPROVE_AUTO);
    assert_int_equal(p->balance.ceph_pause, CEPH_PAUSE_RECOVERY);
    assert_int_equal(p->budget.moves_per_vm_per_day, 4);
    assert_int_equal(p->budget.pause_per_vm_per_day_us, 2 * SEC);
    assert_string_equal(p->failover.priority, "tier");
}

static void test_every_key(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct policy p;
    temp_put(dir, "a.yaml", every_key);
    loads(dir, &p);
    assert_int_equal(p.capacity.mem_overcommit_ppm, 1500000);
    assert_int_equal(p.capacity.mem_reserve_bytes, 4 * GIB);
    assert_int_equal(p.capacity.vcpu_overcommit_ppm, 8000000);
    assert_int_equal(p.capacity.spare_hosts, 2);
    assert_int_equal(p.migration.transport, TRANSPORT_TCP);
    assert_int_equal(p.migration.parallel, 3);
    assert_int_equal(p.migration.link_share_ppm, 625000);
    assert_int_equal(p.migration.timeout_us_per_gib, 90 * SEC);
    assert_int_equal(p.migration.retries, 0);
    assert_false(p.migration.live || p.migration.persistent || p.migration.undefine_source ||
                 p.migration.abort_on_error || p.migration.auto_converge);
    assert_true(p.migration.compressed && p.migration.post_copy && p.migration.multifd);
    assert_int_equal(p.migration.multifd_channels, 8);
    assert_int_equal(p.migration.bandwidth_Bps, 1000000000);
    assert_int_equal(p.migration.downtime_us, 250 * MSEC);
    assert_int_equal(p.drain.on_blocked, BLOCKED_LEAVE);
    assert_int_equal(p.drain.order, ORDER_SMALLEST_FIRST);
    assert_true(p.drain.bring_home && p.drain.make_room);
    assert_int_equal(p.drain.shutdown_timeout_us, 600 * SEC);
    expect_balance(&p);
    policy_done(&p);
    /* back to what "auto", true and false mean, in a later file */
    temp_put(dir, "b.yaml",
             "version: 1\nmigration: {parallel: auto, bandwidth: auto, downtime: auto, "
             "multifd: true}\ncapacity: {memory: {reserve: 0}}\n"
             "balance: {schedule: never, window: always}\n"
             "budget: {moves_per_vm_per_day: unlimited, pause_per_vm_per_day: unlimited}\n");
    loads(dir, &p);
    assert_int_equal(p.migration.parallel, 0);
    assert_int_equal(p.migration.bandwidth_Bps, 0);
    assert_int_equal(p.migration.downtime_us, 0);
    assert_int_equal(p.migration.multifd_channels, POLICY_MULTIFD_CHANNELS);
    assert_int_equal(p.capacity.mem_reserve_bytes, 0);
    assert_null(p.balance.schedule.text);
    assert_int_equal(p.balance.n_windows, 0);
    assert_int_equal(p.budget.moves_per_vm_per_day, 0);
    assert_int_equal(p.budget.pause_per_vm_per_day_us, 0);
    assert_int_equal(p.migration.retries, 0); /* untouched by the later file */
    policy_done(&p);
    temp_remove(dir);
}

/* The zone of a schedule: its own, the first window's, UTC; whatever file says which. */
static void test_zones(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *zone;
        size_t windows;
    } cases[] = {
        {"schedule: \"0 22 * * * Asia/Tokyo\"", "window: \"Sun 20:00-06:00 Europe/Paris\"",
         "Asia/Tokyo", 1},
        {"schedule: \"0 22 * * *\"",
         "window: [\"Sun 20:00-06:00 Europe/Paris\", \"Mon 20:00-06:00 Asia/Tokyo\"]",
         "Europe/Paris", 2},
        {"window: \"Sun 20:00-06:00 Europe/Paris\"", "{window: always, schedule: \"0 22 * * *\"}",
         NULL, 0},
        {"window: [\"Sun 20:00-06:00 Europe/Paris\", \"Mon 20:00-06:00 Asia/Tokyo\"]",
         "{window: \"Sun 20:00-06:00 Asia/Tokyo\", schedule: \"0 22 * * *\"}", "Asia/Tokyo", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *dir = temp_dir();
        struct policy p;
        cleanup(freep) char *a = xasprintf("version: 1\nbalance:\n  %s\n", cases[i].a);
        cleanup(freep) char *b = xasprintf("version: 1\nbalance:\n  %s\n", cases[i].b);
        temp_put(dir, "a.yaml", a);
        temp_put(dir, "b.yaml", b);
        loads(dir, &p);
        assert_int_equal(p.balance.n_windows, cases[i].windows);
        if (cases[i].zone)
            assert_string_equal(p.balance.schedule.zone->name, cases[i].zone);
        else
            assert_null(p.balance.schedule.zone);
        policy_done(&p);
        temp_remove(dir);
    }
}

static void test_rules(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct policy p;
    temp_put(
        dir, "rules/db.yaml",
        "version: 1\n"
        "rules:\n"
        "  - {name: db-apart, anti_affinity: {vms: {labels: {app: db, tier: 1}}, across: rack}}\n"
        "  - {name: near, affinity: {vms: {names: [\"c-*\", d]}}, weight: 2}\n"
        "  - {name: soft, affinity: {vms: {names: [\"c-*\"]}}, hard: false}\n"
        "  - name: few\n"
        "    max_vms: {max: 3, hosts: {names: [h1]}}\n"
        "  - {name: wide, spread: {vms: {names: [w]}, across: zone, min: 2}, weight: 5}\n"
        "  - {name: rather, host_preferred: {vms: {names: [w]}, hosts: {names: [h1]}}}\n"
        "  - {name: gpu, host_required: {vms: {names: [g]}, hosts: {labels: {gpu: \"yes\"}}}}\n");
    loads(dir, &p);
    assert_int_equal(p.n_rules, 7);
    const struct rule *r = p.rules;
    assert_string_equal(r[0].where, "rules/db.yaml:3");
    assert_int_equal(r[0].kind, RULE_ANTI_AFFINITY);
    assert_int_equal(r[0].across, ACROSS_RACK);
    assert_true(r[0].hard);
    assert_string_equal(label_get(r[0].vms.labels, r[0].vms.n_labels, "tier"), "1");
    assert_int_equal(r[1].vms.n_names, 2);
    assert_false(r[1].hard);
    assert_int_equal(r[1].weight, 2);
    assert_false(r[2].hard);
    assert_int_equal(r[2].weight, 1);
    assert_int_equal(r[3].max, 3);
    assert_string_equal(r[3].where, "rules/db.yaml:6");
    assert_int_equal(r[4].kind, RULE_SPREAD);
    assert_int_equal(r[4].min, 2);
    assert_false(r[4].hard);
    assert_int_equal(r[5].kind, RULE_HOST_PREFERRED);
    assert_false(r[5].hard);
    assert_int_equal(r[5].weight, 1);
    assert_string_equal(r[6].hosts.labels[0].value, "yes");
    policy_done(&p);
    temp_remove(dir);
}

static void test_merge(void **state)
{
    (void)state;
    char *dir = temp_dir();
    struct policy p;
    temp_put(dir, "10-base.yaml",
             "version: 1\nmigration: {retries: 5, live: false}\nrules:\n"
             "  - {name: one, exclude: {vms: {names: [a]}}}\n");
    temp_put(dir, "20-site.yml",
             "version: 1\nmigration: {retries: 3}\nrules:\n"
             "  - {name: two, exclude: {vms: {names: [b]}}}\n");
    temp_put(dir, ".hidden.yaml", "nonsense\n");
    temp_put(dir, ".git/x.yaml", "nonsense\n");
    temp_put(dir, "README.md", "nonsense\n");
    loads(dir, &p);
    assert_int_equal(p.migration.retries, 3); /* the later name wins */
    assert_false(p.migration.live);
    assert_int_equal(p.n_rules, 2); /* rules append */
    assert_string_equal(p.rules[1].name, "two");
    policy_done(&p);
    temp_put(dir, "30.yaml",
             "version: 1\nrules:\n\n  - name: one\n    exclude: {vms: {names: [b]}}\n");
    refuses(dir, "30.yaml:4:11: rule 'one' is already defined at 10-base.yaml:4");
    temp_remove(dir);
}

static void test_selectors(void **state)
{
    (void)state;
    char *names[] = {(char *)(uintptr_t) "db-*", (char *)(uintptr_t) "web"};
    struct label app = {(char *)(uintptr_t) "app", (char *)(uintptr_t) "db"};
    struct vm v = {.name = (char *)(uintptr_t) "db-1", .labels = &app, .n_labels = 1};
    struct selector all = {0}, named = {.names = names, .n_names = 2},
                    both = {.names = names, .n_names = 2, .labels = &app, .n_labels = 1};
    assert_true(selector_matches_vm(&all, &v));
    assert_true(selector_matches_vm(&named, &v));
    assert_true(selector_matches_vm(&both, &v));
    v.n_labels = 0;
    assert_false(selector_matches_vm(&both, &v));
    v.n_labels = 1;
    v.name = (char *)(uintptr_t) "cache";
    assert_false(selector_matches_vm(&both, &v));
    struct host h = {.name = (char *)(uintptr_t) "web"};
    assert_true(selector_matches_host(&named, &h));
    assert_false(selector_matches_host(&both, &h));
}

/* ---- files that ship -------------------------------------------------------------------------- */

static void test_examples(void **state)
{
    (void)state;
    struct policy p;
    loads("policy/examples", &p);
    bool used[RULE_KINDS] = {false};
    for (size_t i = 0; i < p.n_rules; i++)
        used[p.rules[i].kind] = true;
    for (size_t i = 0; i < ARRAY_LEN(used); i++)
        assert_true(used[i]); /* every kind of rule is shown */
    policy_done(&p);
}

static void test_schema_file(void **state)
{
    (void)state;
    cleanup(freep) char *file = NULL;
    cleanup(freep) char *text = policy_schema_text();
    cleanup(freep) char *want = xasprintf("%s\n", text);
    if (getenv("POLICY_BLESS"))
        assert_int_equal(file_write("schema/policy.json", want, strlen(want), 0644, NULL), 0);
    assert_int_equal(file_read("schema/policy.json", 1 << 20, &file, NULL, NULL), 0);
    assert_string_equal(file, want);
}

/* Each key has its row in the reference: unit or values, the default that is the loader's, an example that
 * is not the default, meaning. */
static char *row_of(const char *section, const char *name)
{
    cleanup(freep) char *first = xasprintf("\n| `%s` |", name);
    const char *row = strstr(section, first), *end = strstr(section, "\n## ");
    return row && row < end ? xasprintf("%.*s", (int)strcspn(row + 1, "\n"), row + 1) : NULL;
}

static void is_described(void *arg, const char *path, const char *value)
{
    const char *doc = arg, *dot = strchr(path, '.'), *last = strrchr(path, '.');
    cleanup(freep) char *head = xasprintf("\n## %.*s\n", (int)(dot - path), path);
    const char *section = strstr(doc, head);
    if (!section)
        fail_msg("docs/policy.md has no section for %s", path);
    cleanup(freep) char *row = row_of(section + 1, dot + 1);
    if (!row) { /* `capacity.memory`, `overcommit`; `weights` with `cpu`; `priority` with `labels` */
        cleanup(freep) char *parent = xasprintf("%.*s", (int)(last - path), path),
                            *pair = xasprintf("\n| `%s`, `%s` |", parent, last + 1);
        const char *at = strstr(section, pair);
        row = at ? xasprintf("%.*s", (int)strcspn(at + 1, "\n"), at + 1)
                 : row_of(section + 1, strrchr(parent, '.') + 1);
    }
    if (!row)
        fail_msg("docs/policy.md does not name %s", path);
    if (!strstr(row, last + 1))
        fail_msg("docs/policy.md: %s is not in: %s", path, row);
    const char *cell = row;
    for (int i = 0; i < 2 && cell; i++)
        cell = strchr(cell + 1, '|');
    size_t len = cell ? strcspn(cell + 1, "|") : 0;
    cleanup(freep) char *dflt = xasprintf("%.*s", (int)len, cell ? cell + 1 : "");
    if (!strstr(dflt, value))
        fail_msg("docs/policy.md: the default of %s is %s, not%sas in: %s", path, value, dflt, row);
}

static void test_reference_describes_every_key(void **state)
{
    (void)state;
    cleanup(freep) char *doc = NULL;
    struct policy p;
    assert_int_equal(file_read("docs/policy.md", 1 << 20, &doc, NULL, NULL), 0);
    policy_default(&p);
    policy_each_value(&p, is_described, doc);
    policy_done(&p);
    for (int k = 0; k < RULE_KINDS; k++) {
        cleanup(freep) char *row = xasprintf("\n| `%s` |", rule_kind_names[k]);
        if (!strstr(doc, row))
            fail_msg("docs/policy.md does not name the rule %s", rule_kind_names[k]);
    }
    static const char *const parts[] = {"across", "hard", "weight", "max", "min"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        cleanup(freep) char *row = xasprintf("\n| `%s` |", parts[i]);
        if (!strstr(doc, row))
            fail_msg("docs/policy.md does not name %s of rules", parts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_contradiction_in_two_files),
        cmocka_unit_test(test_no_contradiction),
        cmocka_unit_test(test_huge_rules),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_missing_directory),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_zones),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_selectors),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_schema_file),
        cmocka_unit_test(test_reference_describes_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
