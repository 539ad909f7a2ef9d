/* The hypervisor side against libvirt's own test driver: real connection, events and domains. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <libvirt/libvirt.h>

#include "agent/hv/hv.h"
#include "agent/hv/sysfs.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define URI "test:///default"

/* What events told, from libvirt's thread. */
struct told {
    pthread_mutex_t lock;
    pthread_cond_t more;
    char uuid[VIR_UUID_STRING_BUFLEN];
    int changes;
};

static void on_changed(void *arg, const char *uuid)
{
    struct told *t = arg;
    pthread_mutex_lock(&t->lock);
    snprintf(t->uuid, sizeof(t->uuid), "%s", uuid ? uuid : "host");
    t->changes++;
    pthread_cond_broadcast(&t->more);
    pthread_mutex_unlock(&t->lock);
}

static struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static struct hv *connected(void)
{
    struct hv *hv;
    struct err e = {0};
    const struct hv_config cfg = {.uri = URI, .on_changed = on_changed, .arg = &told};
    if (hv_new(&cfg, &hv, &e) < 0 || hv_connect(hv, &e) < 0)
        fail_msg("%s", e.msg);
    return hv;
}

static char *only_uuid(struct hv *hv)
{
    char **uuids = NULL;
    size_t n = 0;
    struct err e = {0};
    if (hv_list(hv, &uuids, &n, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(n, 1);
    char *uuid = uuids[0];
    free(uuids);
    return uuid;
}

static void reads_a_domain(void **state)
{
    (void)state;
    struct hv *hv = connected();
    struct err e = {0};
    struct vm v;
    assert_true(hv_up(hv));
    assert_int_equal(hv_connect(hv, &e), 0); /* a second time is fine */
    cleanup(freep) char *uuid = only_uuid(hv);
    if (hv_read_vm(hv, uuid, &v, &e) < 0)
        fail_msg("%s", e.msg);
    assert_string_equal(v.uuid, uuid);
    assert_string_equal(v.name, "test");
    assert_int_equal(v.state, VM_RUNNING);
    assert_int_equal(v.job, VM_JOB_NONE);
    assert_true(v.persistent);
    assert_int_equal(v.mem_bytes, 8 * GIB);
    assert_int_equal(v.vcpus, 2);
    assert_string_equal(v.virt, "test");
    assert_non_null(v.xml);
    assert_non_null(v.xml_inactive);
    shape_done(&vm_shape, &v);
    assert_int_equal(hv_read_vm(hv, "00000000-0000-4000-8000-000000000000", &v, &e), -ENOENT);
    hv_free(hv);
}

static void reads_the_host(void **state)
{
    (void)state;
    struct hv *hv = connected();
    struct host h;
    struct err e = {0};
    shape_init(&host_shape, &h);
    if (hv_read_host(hv, &h, &e) < 0)
        fail_msg("%s", e.msg);
    assert_non_null(h.hostname);
    assert_non_null(h.libvirt_version);
    assert_true(h.mem_bytes > 0 && h.mem_free_bytes > 0 && h.mem_free_bytes <= h.mem_bytes);
    assert_true(h.cpus > 0);
    assert_int_equal(h.n_networks, 1);
    assert_string_equal(h.networks[0], "default");
    assert_non_null(h.boot_id);
    shape_done(&host_shape, &h);
    hv_free(hv);
}

static void events_name_what_changed(void **state)
{
    (void)state;
    struct hv *hv = connected();
    cleanup(freep) char *uuid = only_uuid(hv);
    pthread_mutex_lock(&told.lock);
    told.changes = 0;
    pthread_mutex_unlock(&told.lock);
    virConnectPtr c = virConnectOpen(URI);
    virDomainPtr d = virDomainLookupByName(c, "test");
    assert_int_equal(virDomainSuspend(d), 0);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10; /* far beyond what it takes: only a lost event reaches it */
    pthread_mutex_lock(&told.lock);
    int r = 0;
    while (told.changes == 0 && r == 0)
        r = pthread_cond_timedwait(&told.more, &told.lock, &until);
    assert_int_equal(r, 0);
    assert_string_equal(told.uuid, uuid);
    pthread_mutex_unlock(&told.lock);
    struct vm v;
    assert_int_equal(hv_read_vm(hv, uuid, &v, NULL), 0);
    assert_int_equal(v.state, VM_PAUSED);
    shape_done(&vm_shape, &v);
    assert_int_equal(virDomainResume(d), 0);
    virDomainFree(d);
    virConnectClose(c);
    hv_free(hv);
}

static void has_reason(const struct reason *r, size_t n, enum reason_code code, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (r[i].code == (int)code && (!what || str_eq(r[i].what, what)))
            return;
    fail_msg("no reason '%s' about '%s' among %zu", reason_tokens[code], what ? what : "-", n);
}

static void reasons_free(struct reason *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        shape_done(&reason_shape, &r[i]);
    free(r);
}

static char *word(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* A VM that fits nowhere: each thing that is wrong with it must be named, at once. */
static void target_check_names_everything(void **state)
{
    (void)state;
    struct hv *hv = connected();
    struct err e = {0};
    cleanup(freep) char *uuid = only_uuid(hv);
    struct host h;
    shape_init(&host_shape, &h);
    h.mem_free_bytes = GIB;
    h.arch = word("x86_64");
    struct nic nics[] = {{.kind = NIC_BRIDGE, .source = word("br-none")},
                         {.kind = NIC_NETWORK, .source = word("net-none")},
                         {.kind = NIC_DIRECT, .source = word("dev-none")}};
    struct disk disk = {.target = word("vda"),
                        .kind = DISK_RBD,
                        .pool = word("p"),
                        .image = word("i"),
                        .secret_uuid = word("e63e4b32-280e-4b00-982a-9d3859cf4699")};
    char *files[] = {word("/nowhere/kernel")};
    struct vm v;
    shape_init(&vm_shape, &v);
    v.uuid = uuid;
    v.name = word("test");
    v.state = VM_RUNNING;
    v.arch = word("aarch64");
    v.virt = word("kvm");
    v.machine = word("pc-q35-99.9");
    v.mem_bytes = 2 * GIB;
    v.hugepage_bytes = GIB / 2;
    struct numa_bind binds[] = {
        {word("0"), 3 * GIB, GIB}, {word("0-1"), GIB, GIB}, {word("2"), 1, 0}};
    struct host_cell cells[] = {{0, 8 * GIB, 4, 0, GIB, 0}, {1, 8 * GIB, 4, 0, 2 * GIB, 0}};
    v.binds = binds;
    v.n_binds = ARRAY_LEN(binds);
    h.cells = cells;
    h.n_cells = ARRAY_LEN(cells);
    v.nics = nics;
    v.n_nics = ARRAY_LEN(nics);
    v.disks = &disk;
    v.n_disks = 1;
    v.host_files = files;
    v.n_host_files = 1;
    struct reason *r = NULL;
    size_t n = 0;
    assert_int_equal(hv_check_target(hv, &h, &v, &r, &n, &e), 0);
    has_reason(r, n, R_UUID_TAKEN, uuid); /* it runs here */
    has_reason(r, n, R_ARCH, NULL);
    has_reason(r, n, R_VIRT, "kvm");
    has_reason(r, n, R_MACHINE, "pc-q35-99.9");
    has_reason(r, n, R_BRIDGE, "br-none");
    has_reason(r, n, R_NETWORK, "net-none");
    has_reason(r, n, R_NETWORK, "dev-none");
    has_reason(r, n, R_HOST_FILE, "/nowhere/kernel");
    has_reason(r, n, R_SECRET, disk.secret_uuid);
    has_reason(r, n, R_MEMORY, NULL);
    has_reason(r, n, R_HUGEPAGES, NULL);
    has_reason(r, n, R_NUMA, "cell 0");
    has_reason(r, n, R_HUGEPAGES, "cell 0-1");
    has_reason(r, n, R_NUMA, "cell 2");
    assert_int_equal(n, 14);
    reasons_free(r, n);
    /* the same name under another UUID */
    v.uuid = word("00000000-0000-4000-8000-000000000000");
    assert_int_equal(hv_check_target(hv, &h, &v, &r, &n, &e), 0);
    has_reason(r, n, R_NAME_TAKEN, "test");
    reasons_free(r, n);
    hv_free(hv);
}

static void target_check_finds_nothing_wrong(void **state)
{
    (void)state;
    struct hv *hv = connected();
    struct err e = {0};
    char *virts[] = {word("test")}, *machines[] = {word("any")};
    struct host h;
    shape_init(&host_shape, &h);
    h.mem_free_bytes = 4 * GIB;
    h.virts = virts;
    h.n_virts = 1;
    h.machines = machines;
    h.n_machines = 1;
    struct vm v;
    shape_init(&vm_shape, &v);
    v.uuid = word("00000000-0000-4000-8000-000000000000");
    v.name = word("new");
    v.virt = virts[0];
    v.machine = machines[0];
    v.mem_bytes = GIB;
    v.state = VM_RUNNING;
    struct reason *r = NULL;
    size_t n = 99;
    assert_int_equal(hv_check_target(hv, &h, &v, &r, &n, &e), 0);
    assert_int_equal(n, 0);
    hv_free(hv);
}

static void source_check_and_probe(void **state)
{
    (void)state;
    struct hv *hv = connected();
    struct err e = {0};
    cleanup(freep) char *uuid = only_uuid(hv);
    struct vm v = {.uuid = uuid, .name = word("test"), .state = VM_RUNNING};
    struct reason *r = NULL;
    size_t n = 99;
    assert_int_equal(hv_check_source(hv, &v, &r, &n, &e), 0);
    assert_int_equal(n, 0);
    struct probed p;
    hv_probe(hv, uuid, &p);
    assert_int_equal(p.seen, SEEN_RUNNING);
    assert_true(p.persistent);
    shape_done(&probed_shape, &p);
    v.uuid = word("00000000-0000-4000-8000-000000000000");
    assert_int_equal(hv_check_source(hv, &v, &r, &n, &e), 0);
    has_reason(r, n, R_VM_STATE, "test");
    reasons_free(r, n);
    hv_probe(hv, v.uuid, &p);
    assert_int_equal(p.seen, SEEN_ABSENT);
    shape_done(&probed_shape, &p);
    struct counted c;
    hv_census(hv, &c);
    assert_true(c.ok);
    assert_int_equal(c.n_running, 1);
    assert_string_equal(c.running[0], "test");
    shape_done(&counted_shape, &c);
    /* a running domain is neither undefined nor taken for a leftover */
    assert_int_equal(hv_tidy(hv, uuid, TIDY_UNDEFINE, &e), -EINVAL);
    assert_int_equal(hv_tidy(hv, uuid, TIDY_KILL_INCOMING, &e), -EINVAL);
    assert_int_equal(hv_tidy(hv, uuid, TIDY_RESUME_SOURCE, &e), 0); /* it runs: nothing to do */
    assert_int_equal(hv_abort(hv, uuid, &e), -EINVAL);
    hv_probe(hv, uuid, &p);
    assert_int_equal(p.seen, SEEN_RUNNING);
    shape_done(&probed_shape, &p);
    hv_free(hv);
}

/* A domain a user paused is not a failed migration's: not resumed, not removed, not moved. */
static void paused_by_a_user_is_left_alone(void **state)
{
    (void)state;
    struct hv *hv = connected();
    struct err e = {0};
    cleanup(freep) char *uuid = only_uuid(hv);
    virConnectPtr c = virConnectOpen(URI);
    virDomainPtr d = virDomainLookupByName(c, "test");
    assert_int_equal(virDomainSuspend(d), 0);
    assert_int_equal(hv_tidy(hv, uuid, TIDY_RESUME_SOURCE, &e), -EINVAL);
    assert_int_equal(hv_tidy(hv, uuid, TIDY_KILL_INCOMING, &e), -EINVAL);
    struct vm v = {.uuid = uuid, .name = word("test"), .state = VM_RUNNING};
    struct reason *r = NULL;
    size_t n = 0;
    assert_int_equal(hv_check_source(hv, &v, &r, &n, &e), 0);
    has_reason(r, n, R_VM_PAUSED, "test");
    reasons_free(r, n);
    struct migrate m = {.job = 1, .attempt = 1, .vm = uuid, .dst_uri = word("test:///other")};
    struct migrated out;
    hv_migrate(hv, &m, NULL, &out);
    assert_false(out.ok || out.began);
    assert_string_equal(out.code, "vm_paused");
    shape_done(&migrated_shape, &out);
    assert_int_equal(virDomainResume(d), 0);
    bool cancel = true;
    hv_migrate(hv, &m, &cancel, &out);
    assert_false(out.ok || out.began);
    assert_string_equal(out.code, "cancelled");
    shape_done(&migrated_shape, &out);
    m.offline = true; /* and it is running */
    hv_migrate(hv, &m, NULL, &out);
    assert_false(out.ok || out.began);
    assert_string_equal(out.code, "vm_state");
    shape_done(&migrated_shape, &out);
    virDomainFree(d);
    virConnectClose(c);
    hv_free(hv);
}

static void without_a_connection(void **state)
{
    (void)state;
    struct hv *hv;
    struct err e = {0};
    struct probed p;
    struct counted c;
    const struct hv_config cfg = {.uri = "test:///nowhere/at/all.xml"};
    assert_int_equal(hv_new(&cfg, &hv, &e), 0);
    assert_int_equal(hv_connect(hv, &e), -ENOTCONN);
    assert_false(hv_up(hv));
    hv_probe(hv, "00000000-0000-4000-8000-000000000000", &p);
    assert_int_equal(p.seen, SEEN_ERROR); /* not "absent": silence is no evidence */
    shape_done(&probed_shape, &p);
    hv_census(hv, &c);
    assert_false(c.ok);
    shape_done(&counted_shape, &c);
    assert_int_equal(hv_tidy(hv, "x", TIDY_UNDEFINE, &e), -ENOTCONN);
    hv_free(hv);
}

static void kernel_texts(void **state)
{
    static const char text[] =
        "MemTotal:       1000 kB\nMemAvailable:    400 kB\nHugePages_Total:  3\n";
    (void)state;
    assert_int_equal(meminfo_get(text, "MemTotal", KIB), 1000 * KIB);
    assert_int_equal(meminfo_get(text, "MemAvailable", KIB), 400 * KIB);
    assert_int_equal(meminfo_get(text, "HugePages_Total", 1), 3);
    assert_int_equal(meminfo_get(text, "Mem", KIB), -1);
    assert_false(sysfs_is_bridge("../../etc"));
    assert_false(sysfs_is_up("no-such-device"));
    assert_true(sysfs_is_up("lo") || !sysfs_is_bridge("lo"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_domain),
        cmocka_unit_test(reads_the_host),
        cmocka_unit_test(events_name_what_changed),
        cmocka_unit_test(target_check_names_everything),
        cmocka_unit_test(target_check_finds_nothing_wrong),
        cmocka_unit_test(source_check_and_probe),
        cmocka_unit_test(paused_by_a_user_is_left_alone),
        cmocka_unit_test(without_a_connection),
        cmocka_unit_test(kernel_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
