/* Domain XML as people have it, and the facts that must come out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/hv/capxml.h"
#include "agent/hv/domxml.h"
#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static struct vm parse(const char *name)
{
    cleanup(freep) char *path = xasprintf("tests/unit/data/domxml/%s.xml", name);
    cleanup(freep) char *text = NULL;
    struct err e = {0};
    struct vm v;
    if (file_read(path, LIM_XML_BYTES, &text, NULL, &e) < 0 || domxml_parse(text, &v, &e) < 0)
        fail_msg("%s: %s", name, e.msg);
    return v;
}

static void done(struct vm *v)
{
    shape_done(&vm_shape, v);
}

static void rbd_with_cephx(void **state)
{
    (void)state;
    struct vm v = parse("rbd-cephx");
    assert_string_equal(v.name, "g1");
    assert_string_equal(v.uuid, "9aa27080-9503-4d10-a0ad-d02ad9893c4e");
    assert_int_equal(v.mem_bytes, 256 * MIB);
    /* 64 MiB + one vCPU + no video + 1/512 */
    assert_int_equal(v.mem_overhead_bytes, 72 * MIB + 512 * KIB);
    assert_int_equal(v.vcpus, 1);
    assert_string_equal(v.virt, "qemu");
    assert_string_equal(v.arch, "x86_64");
    assert_string_equal(v.machine, "pc-q35-7.2");
    assert_string_equal(v.emulator, "/usr/bin/qemu-system-x86_64");
    assert_non_null(strstr(v.cpu_xml, "<cpu mode=\"custom\""));
    assert_non_null(strstr(v.cpu_xml, "lahf_lm"));
    assert_int_equal(v.n_disks, 1);
    const struct disk *d = &v.disks[0];
    assert_string_equal(d->target, "vda");
    assert_int_equal(d->kind, DISK_RBD);
    assert_int_equal(d->device, DISK_DISK);
    assert_string_equal(d->pool, "vms");
    assert_null(d->ns);
    assert_string_equal(d->image, "g1");
    assert_null(d->snap);
    assert_int_equal(d->n_mons, 3);
    assert_string_equal(d->mons[2], "192.0.2.4:6789");
    assert_string_equal(d->user, "libvirt"); /* <auth> beside <source>, the old place */
    assert_string_equal(d->secret_uuid, "e63e4b32-280e-4b00-982a-9d3859cf4699");
    assert_null(d->secret_usage);
    assert_string_equal(d->cache, "none");
    assert_string_equal(d->io, "threads");
    assert_string_equal(d->format, "raw");
    assert_false(d->readonly || d->shareable);
    assert_int_equal(v.n_nics, 1);
    assert_string_equal(v.nics[0].source, "br0");
    assert_int_equal(v.n_host_files, 2);
    assert_string_equal(v.host_files[0], "/srv/lab/image/vmlinuz");
    assert_int_equal(v.n_hostdevs, 0);
    assert_int_equal(v.n_labels, 0);
    assert_null(v.foreign);
    assert_int_equal(v.rss_bytes, -1);
    done(&v);
}

static void rbd_namespace_and_snapshot(void **state)
{
    (void)state;
    struct vm v = parse("rbd-namespace-snapshot");
    const struct disk *d = v.disks;
    assert_int_equal(v.n_disks, 2);
    assert_string_equal(d[0].pool, "vms");
    assert_string_equal(d[0].ns, "tenant-7");
    assert_string_equal(d[0].image, "db-root");
    assert_string_equal(d[0].mons[0], "[2001:db8::1]:3300");
    assert_string_equal(d[0].mons[1], "mon2.example");
    assert_string_equal(d[0].user, "tenant7"); /* <auth> below <source>, the new place */
    assert_string_equal(d[0].secret_usage, "client.tenant7 secret");
    assert_null(d[0].secret_uuid);
    assert_string_equal(d[0].cache, "writeback");
    assert_string_equal(d[1].pool, "images");
    assert_string_equal(d[1].image, "golden");
    assert_string_equal(d[1].snap, "v3");
    assert_string_equal(d[1].conf, "/etc/ceph/second.conf");
    assert_int_equal(d[1].n_mons, 0);
    assert_null(d[1].user);
    assert_true(d[1].readonly && d[1].shareable);
    assert_int_equal(v.vcpus, 2);
    assert_int_equal(v.mem_overhead_bytes, domxml_overhead(2 * GIB, 2, 2, 0));
    done(&v);
}

static void removable_drives(void **state)
{
    (void)state;
    struct vm v = parse("cdrom-iso");
    assert_int_equal(v.disks[0].device, DISK_CDROM);
    assert_int_equal(v.disks[0].kind, DISK_FILE);
    assert_string_equal(v.disks[0].path, "/var/lib/libvirt/images/debian-12.iso");
    assert_true(v.disks[0].readonly);
    assert_int_equal(v.mem_bytes, GIB); /* the balloon may give it all back */
    assert_int_equal(v.mem_overhead_bytes, domxml_overhead(GIB, 1, 0, 128 * MIB));
    done(&v);
    v = parse("empty-drives");
    assert_int_equal(v.n_disks, 3);
    assert_int_equal(v.disks[0].kind, DISK_EMPTY);
    assert_int_equal(v.disks[1].kind, DISK_EMPTY);
    assert_int_equal(v.disks[1].device, DISK_FLOPPY);
    assert_int_equal(v.disks[2].kind, DISK_RBD);
    assert_true(v.disks[2].readonly); /* a CD-ROM is, said or not */
    done(&v);
}

static void local_disks(void **state)
{
    (void)state;
    struct vm v = parse("local-disks");
    assert_int_equal(v.n_disks, 5);
    assert_int_equal(v.disks[0].kind, DISK_FILE);
    assert_string_equal(v.disks[0].format, "qcow2");
    assert_int_equal(v.disks[1].kind, DISK_BLOCK);
    assert_int_equal(v.disks[1].device, DISK_LUN);
    assert_string_equal(v.disks[1].path, "/dev/disk/by-id/wwn-0x5000c500");
    assert_int_equal(v.disks[2].kind, DISK_VOLUME);
    assert_string_equal(v.disks[2].path, "default/b.raw");
    assert_int_equal(v.disks[3].kind, DISK_NETWORK);
    assert_string_equal(v.disks[3].path, "nbd:export1");
    assert_int_equal(v.disks[4].kind, DISK_OTHER);
    done(&v);
}

static void devices_of_the_host(void **state)
{
    static const struct hostdev want[] = {
        {(char *)(uintptr_t) "pci", (char *)(uintptr_t) "0000:3b:00.1"},
        {(char *)(uintptr_t) "usb", (char *)(uintptr_t) "0x1050:0x0407"},
        {(char *)(uintptr_t) "mdev", (char *)(uintptr_t) "c2177883-f1bb-47f0-914d-32a22e3a8804"},
        {(char *)(uintptr_t) "filesystem", (char *)(uintptr_t) "/srv/share"},
        {(char *)(uintptr_t) "tpm", (char *)(uintptr_t) "/dev/tpm0"},
    };
    (void)state;
    struct vm v = parse("devices-of-host");
    assert_int_equal(v.n_hostdevs, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_string_equal(v.hostdevs[i].kind, want[i].kind);
        assert_string_equal(v.hostdevs[i].address, want[i].address);
    }
    done(&v);
}

static void nics(void **state)
{
    static const int kinds[] = {NIC_BRIDGE, NIC_NETWORK, NIC_DIRECT, NIC_HOSTDEV, NIC_OTHER, NIC_USER};
    static const char *const sources[] = {"br-prod", "tenants", "bond0", NULL, "vhostuser", NULL};
    (void)state;
    struct vm v = parse("nics");
    assert_int_equal(v.n_nics, ARRAY_LEN(kinds));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        assert_int_equal(v.nics[i].kind, kinds[i]);
        assert_true(str_eq(v.nics[i].source, sources[i]));
    }
    assert_string_equal(v.nics[0].mac, "52:54:00:00:00:01");
    assert_string_equal(v.nics[0].model, "virtio");
    done(&v);
}

static void hugepages(void **state)
{
    (void)state;
    struct vm v = parse("hugepages-numa");
    assert_int_equal(v.mem_bytes, 12 * GIB);
    assert_int_equal(v.hugepage_size_bytes, GIB);
    assert_int_equal(v.hugepage_bytes, 8 * GIB); /* cells 0 and 2 of three */
    done(&v);
    v = parse("hugepages-default");
    assert_int_equal(v.hugepage_bytes, 8 * GIB);
    assert_int_equal(v.hugepage_size_bytes, 0); /* the host's default */
    done(&v);
}

static void metadata(void **state)
{
    (void)state;
    struct vm v = parse("nova");
    assert_string_equal(v.foreign, "nova");
    done(&v);
    v = parse("labels");
    assert_null(v.foreign); /* libosinfo describes, it does not manage */
    assert_int_equal(v.n_labels, 3);
    assert_string_equal(label_get(v.labels, v.n_labels, "app"), "web");
    assert_string_equal(label_get(v.labels, v.n_labels, "tier"), "1");
    assert_string_equal(label_get(v.labels, v.n_labels, "flag"), "");
    static const char *const files[] = {"/boot/guest/vmlinuz", "/boot/guest/initrd.img",
                                        "/usr/share/OVMF/OVMF_CODE_4M.fd",
                                        "/usr/share/OVMF/OVMF_VARS_4M.fd"};
    assert_int_equal(v.n_host_files, ARRAY_LEN(files));
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        assert_string_equal(v.host_files[i], files[i]);
    done(&v);
}

static char *relabel(const char *old, struct label *set, size_t n_set, char *drop)
{
    struct relabel r = {.set = set, .n_set = n_set, .drop = &drop, .n_drop = drop ? 1 : 0};
    struct err e = {0};
    char *xml = NULL;
    int rc = domxml_relabel(old, &r, &xml, &e);
    return rc < 0 ? xstrdup(e.msg) : xml;
}

/* What libvirt gives back is written anew with one label changed; what is not ours stays. */
static void labels_are_changed(void **state)
{
    (void)state;
    struct label app = {.key = (char *)(uintptr_t) "app", .value = (char *)(uintptr_t) "a<b>&\"c\""};
    static const struct {
        const char *old, *drop, *want;
        bool set;
    } cases[] = {
        {NULL, NULL, "<labels><label key=\"app\" value=\"a&lt;b&gt;&amp;&quot;c&quot;\"/></labels>", true},
        {"<labels><label key=\"app\" value=\"db\"/><note/></labels>", NULL,
         "<labels><note/><label key=\"app\" value=\"a&lt;b&gt;&amp;&quot;c&quot;\"/></labels>", true},
        {"<labels><label key=\"app\" value=\"db\"/><label key=\"app\" value=\"x\"/></labels>", "app", NULL, false},
        {"<labels><label key=\"tier\" value=\"1\"/></labels>", "app",
         "<labels><label key=\"tier\" value=\"1\"/></labels>", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cleanup(freep) char *xml = relabel(cases[i].old, cases[i].set ? &app : NULL, cases[i].set,
                                           (char *)(uintptr_t)cases[i].drop);
        if (cases[i].want)
            assert_string_equal(xml, cases[i].want);
        else
            assert_null(xml);
    }
    cleanup(freep) char *other = relabel("<mine/>", &app, 1, NULL);
    assert_string_equal(other, "metadata of urn:drover:libvirt:1: <labels> XML was expected, got <mine>");
}

static void hotplugged_memory(void **state)
{
    (void)state;
    struct vm v = parse("dimms");
    assert_int_equal(v.mem_bytes, 7 * GIB); /* 4 at boot and 3 DIMMs, not maxMemory */
    assert_int_equal(v.n_hostdevs, 1);
    assert_string_equal(v.hostdevs[0].kind, "nvdimm");
    done(&v);
}

static void refusals(void **state)
{
    static const struct {
        const char *xml, *want;
        int code;
    } bad[] = {
        {"", "no XML", -EBADMSG},
        {"<domain>", "malformed <domain> XML, line 1", -EBADMSG},
        {"<network/>", "got <network>", -EBADMSG},
        {"<domain><name>x</name></domain>", "without uuid", -EBADMSG},
        {"<domain><uuid>u</uuid></domain>", "without name", -EBADMSG},
        {"<domain><uuid>u</uuid><name>n</name></domain>", "<memory> missing", -EBADMSG},
        {"<domain><uuid>u</uuid><name>n</name><memory unit='parsec'>1</memory></domain>",
         "not a size", -EBADMSG},
        {"<domain><uuid>u</uuid><name>n</name><memory>1</memory><devices><disk type='file'/>"
         "</devices></domain>",
         "domain 'n': disk 1 has no <target dev=>", -EBADMSG},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        struct vm v = {.name = NULL};
        assert_int_equal(domxml_parse(bad[i].xml, &v, &e), bad[i].code);
        if (!strstr(e.msg, bad[i].want))
            fail_msg("'%s' does not say '%s'", e.msg, bad[i].want);
        assert_null(v.name);
    }
}

/* A billion laughs and an external entity: neither expanded nor fetched. */
static void entities_are_not_followed(void **state)
{
    (void)state;
    static const char xml[] = "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
                              "<domain type='kvm'><uuid>u</uuid><name>&x;n</name>"
                              "<memory>1</memory></domain>";
    struct vm v;
    struct err e = {0};
    if (domxml_parse(xml, &v, &e) < 0)
        return;
    assert_null(strstr(v.name, "root:"));
    done(&v);
}

/* Strict memory is bound, preferred and interleaved memory is not; what has no cell of its own goes where
 * <memory> says, with QEMU's own. */
static void bound_memory(void **state)
{
    (void)state;
    struct vm v = parse("numatune");
    assert_int_equal(v.n_binds, 2);
    assert_string_equal(v.binds[0].cells, "0");
    assert_int_equal(v.binds[0].mem_bytes, 4 * GIB);
    assert_int_equal(v.binds[0].hugepage_bytes, 4 * GIB);
    assert_string_equal(v.binds[1].cells, "1");
    assert_int_equal(v.binds[1].mem_bytes, 4 * GIB + v.mem_overhead_bytes);
    assert_int_equal(v.binds[1].hugepage_bytes, 0);
    done(&v);
    v = parse("numatune-all");
    assert_int_equal(v.n_binds, 1);
    assert_int_equal(v.binds[0].mem_bytes, vm_need_bytes(&v));
    assert_int_equal(numa_cells(v.binds[0].cells), 2);
    done(&v);
    v = parse("numatune-soft");
    assert_int_equal(v.n_binds, 0);
    done(&v);
}

static void node_sets(void **state)
{
    (void)state;
    assert_int_equal(numa_cells("0"), 1);
    assert_int_equal(numa_cells("0-3,^2,5"), 0x2b);
    assert_int_equal(numa_cells("63"), UINT64_C(1) << 63);
    assert_int_equal(numa_cells("1-4000000000"), ~UINT64_C(1));
    static const char *const bad[] = {"", "any", "-1", "0,", "0 1", "1-", "^", "64", "0;1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (i != 3) /* a comma at the end is no error */
            assert_int_equal(numa_cells(bad[i]), 0);
}

static void cells_of_a_host(void **state)
{
    (void)state;
    struct host h;
    struct err e = {0};
    shape_init(&host_shape, &h);
    h.hugepage_size_bytes = 2 * MIB;
    static const char xml[] =
        "<capabilities><host><cpu><arch>x86_64</arch></cpu><topology><cells num='2'>"
        "<cell id='0'><memory unit='KiB'>33554432</memory><pages unit='KiB' size='4'>8</pages>"
        "<pages unit='KiB' size='2048'>1024</pages><pages unit='KiB' size='1048576'>1</pages>"
        "<cpus num='8'><cpu id='0' siblings='0'/></cpus></cell>"
        "<cell id='2'><memory unit='KiB'>16777216</memory><cpus num='4'/></cell>"
        "<cell><memory unit='KiB'>1</memory></cell>"
        "</cells></topology></host></capabilities>";
    for (int twice = 0; twice < 2; twice++) { /* the list is replaced */
        assert_int_equal(capxml_host(xml, &h, &e), 0);
        assert_int_equal(h.n_cells, 2);
    }
    assert_int_equal(h.cells[0].id, 0);
    assert_int_equal(h.cells[0].mem_bytes, 32 * GIB);
    assert_int_equal(h.cells[0].cpus, 8);
    assert_int_equal(h.cells[0].hugepage_bytes, 2 * GIB);
    assert_int_equal(h.cells[0].mem_free_bytes, -1);
    assert_int_equal(h.cells[1].id, 2);
    assert_int_equal(h.cells[1].mem_bytes, 16 * GIB);
    assert_int_equal(h.cells[1].hugepage_bytes, 0);
    struct host other;
    shape_copy(&host_shape, &other, &h);
    other.cells[1].mem_free_bytes = 7; /* measured, no news */
    other.mem_free_bytes = 8;
    assert_true(host_same_facts(&h, &other));
    other.cells[1].mem_bytes++;
    assert_false(host_same_facts(&h, &other));
    shape_done(&host_shape, &h);
    shape_done(&host_shape, &other);
}

static void capabilities(void **state)
{
    static const char caps[] =
        "<capabilities><host><uuid>h-uuid</uuid><cpu><arch>x86_64</arch></cpu></host>"
        "<guest><os_type>hvm</os_type><arch name='i686'><machine>isapc</machine>"
        "<domain type='qemu'/></arch></guest>"
        "<guest><os_type>hvm</os_type><arch name='x86_64'>"
        "<machine maxCpus='255'>pc-i440fx-7.2</machine>"
        "<machine canonical='pc-i440fx-7.2' maxCpus='255'>pc</machine>"
        "<domain type='qemu'/><domain type='kvm'><machine>pc-q35-7.2</machine></domain>"
        "</arch></guest></capabilities>";
    static const char domcaps[] =
        "<domainCapabilities><cpu><mode name='host-passthrough' supported='yes'/>"
        "<mode name='host-model' supported='yes'><model fallback='forbid'>EPYC</model>"
        "<feature policy='require' name='x2apic'/></mode></cpu></domainCapabilities>";
    (void)state;
    struct host h;
    struct err e = {0};
    shape_init(&host_shape, &h);
    assert_int_equal(capxml_host(caps, &h, &e), 0);
    assert_string_equal(h.host_uuid, "h-uuid");
    assert_int_equal(h.n_virts, 2);
    assert_int_equal(h.n_machines, 3);
    assert_true(str_in("pc", h.machines, h.n_machines));
    assert_false(str_in("isapc", h.machines, h.n_machines));
    assert_int_equal(capxml_domcaps_cpu(domcaps, &h, &e), 0);
    assert_string_equal(h.cpu_xml, "<cpu mode=\"custom\"><model fallback=\"forbid\">EPYC</model>"
                                   "<feature policy=\"require\" name=\"x2apic\"/></cpu>");
    assert_int_equal(capxml_host("<domain/>", &h, &e), -EBADMSG);
    shape_done(&host_shape, &h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rbd_with_cephx),
        cmocka_unit_test(rbd_namespace_and_snapshot),
        cmocka_unit_test(removable_drives),
        cmocka_unit_test(local_disks),
        cmocka_unit_test(devices_of_the_host),
        cmocka_unit_test(nics),
        cmocka_unit_test(hugepages),
        cmocka_unit_test(metadata),
        cmocka_unit_test(labels_are_changed),
        cmocka_unit_test(hotplugged_memory),
        cmocka_unit_test(refusals),
        cmocka_unit_test(entities_are_not_followed),
        cmocka_unit_test(bound_memory),
        cmocka_unit_test(node_sets),
        cmocka_unit_test(cells_of_a_host),
        cmocka_unit_test(capabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
