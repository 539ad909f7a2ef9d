#include "lib/model/model.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

const char *const vm_state_names[6] = {"shutoff",   "running", "paused",
                                       "suspended", "crashed", "stopping"};
const char *const vm_job_names[4] = {"none", "migrating_out", "migrating_in", "other"};
const char *const disk_device_names[4] = {"disk", "cdrom", "floppy", "lun"};
const char *const disk_kind_names[7] = {"empty",   "rbd",    "file", "block",
                                        "network", "volume", "other"};
const char *const nic_kind_names[6] = {"bridge", "network", "direct", "user", "hostdev", "other"};

SHAPE(label_shape, struct label, SF_STR_REQ(struct label, key), SF_STR(struct label, value));

#define T struct disk
SHAPE(disk_shape, T, SF_STR_REQ(T, target), SF_ENUM(T, device, disk_device_names),
      SF_ENUM_REQ(T, kind, disk_kind_names), SF_BOOL(T, readonly), SF_BOOL(T, shareable),
      SF_STR(T, pool), SF_STR(T, ns), SF_STR(T, image), SF_STR(T, snap), SF_STRS(T, mons),
      SF_STR(T, conf), SF_STR(T, user), SF_STR(T, secret_uuid), SF_STR(T, secret_usage),
      SF_STR(T, path), SF_STR(T, cache), SF_STR(T, io), SF_STR(T, format));
#undef T
#define T struct nic
SHAPE(nic_shape, T, SF_STR(T, mac), SF_ENUM(T, kind, nic_kind_names), SF_STR(T, source),
      SF_STR(T, model));
#undef T
#define T struct hostdev
SHAPE(hostdev_shape, T, SF_STR(T, kind), SF_STR(T, address));
#undef T
#define T struct numa_bind
SHAPE(numa_bind_shape, T, SF_STR_REQ(T, cells), SF_INT_REQ(T, mem_bytes), SF_INT(T, hugepage_bytes));
#undef T
#define T struct vm
SHAPE(vm_shape, T, SF_STR_REQ(T, uuid), SF_STR_REQ(T, name), SF_ENUM_REQ(T, state, vm_state_names),
      SF_ENUM(T, job, vm_job_names), SF_BOOL(T, persistent), SF_BOOL(T, autostart),
      SF_BOOL(T, managed_save), SF_INT_OR(T, mem_bytes, -1), SF_INT(T, mem_overhead_bytes),
      SF_INT(T, hugepage_bytes), SF_INT(T, hugepage_size_bytes), SF_LIST(T, binds, &numa_bind_shape),
      SF_INT_OR(T, vcpus, -1), SF_STR(T, virt),
      SF_STR(T, arch), SF_STR(T, machine), SF_STR(T, emulator), SF_STR(T, cpu_xml),
      SF_LIST(T, disks, &disk_shape), SF_LIST(T, nics, &nic_shape),
      SF_LIST(T, hostdevs, &hostdev_shape), SF_STRS(T, host_files),
      SF_LIST(T, labels, &label_shape), SF_STR(T, foreign), SF_STR(T, xml), SF_STR(T, xml_inactive),
      SF_STR(T, xml_digest), SF_STR(T, xml_inactive_digest),
      SF_INT_OR(T, rss_bytes, -1), SF_INT_OR(T, cpu_time_us, -1), SF_INT_OR(T, dirty_Bps, -1));
#undef T
#define T struct secret
SHAPE(secret_shape, T, SF_STR_REQ(T, uuid), SF_STR(T, usage), SF_BOOL(T, readable));
#undef T
#define T struct host_cell
SHAPE(host_cell_shape, T, SF_INT_REQ(T, id), SF_INT_OR(T, mem_bytes, -1), SF_INT_OR(T, cpus, -1),
      SF_INT(T, hugepage_bytes), SF_INT_OR(T, mem_free_bytes, -1),
      SF_INT_OR(T, hugepage_free_bytes, -1));
#undef T
#define T struct host
SHAPE(host_shape, T, SF_STR_REQ(T, name), SF_STR(T, hostname), SF_STR(T, host_uuid),
      SF_STR(T, boot_id), SF_STR(T, agent_version), SF_STR(T, libvirt_version),
      SF_STR(T, qemu_version), SF_STR(T, arch), SF_INT_OR(T, mem_bytes, -1),
      SF_INT_OR(T, mem_free_bytes, -1), SF_INT(T, hugepage_size_bytes),
      SF_INT(T, hugepage_total_bytes), SF_INT(T, hugepage_free_bytes), SF_INT_OR(T, cpus, -1),
      SF_LIST(T, cells, &host_cell_shape), SF_STR(T, cpu_xml), SF_STRS(T, virts),
      SF_STRS(T, machines), SF_STRS(T, bridges),
      SF_STRS(T, networks), SF_LIST(T, secrets, &secret_shape), SF_STRS(T, addresses),
      SF_STR(T, migrate_uri), SF_STR(T, migrate_address), SF_INT_OR(T, link_bps, -1),
      SF_STR(T, ceph_fsid), SF_LIST(T, labels, &label_shape), SF_STR(T, zone), SF_STR(T, rack),
      SF_BOOL(T, libvirt_up), SF_INT_OR(T, clock_skew_us, -1));
#undef T
#define T struct ceph_client
SHAPE(ceph_client_shape, T, SF_STR(T, address), SF_STR(T, entity));
#undef T
#define T struct image_fact
SHAPE(image_fact_shape, T, SF_STR(T, target), SF_STR(T, pool), SF_STR(T, ns), SF_STR(T, image),
      SF_BOOL(T, ok), SF_STR(T, code), SF_STR(T, error), SF_STR(T, fsid), SF_STR(T, image_id),
      SF_INT_OR(T, pool_id, -1), SF_INT_OR(T, size_bytes, -1), SF_INT(T, features),
      SF_LIST(T, watchers, &ceph_client_shape), SF_LIST(T, lockers, &ceph_client_shape),
      SF_BOOL(T, trashed), SF_BOOL(T, migrating), SF_STR(T, mirror));
#undef T

const char *label_get(const struct label *labels, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(labels[i].key, key))
            return labels[i].value;
    return NULL;
}

void label_drop(struct label **labels, size_t *n, const char *key)
{
    for (size_t i = *n; i-- > 0;)
        if (str_eq((*labels)[i].key, key)) {
            shape_done(&label_shape, &(*labels)[i]);
            vec_del(*labels, n, i);
        }
}

void label_set(struct label **labels, size_t *n, const char *key, const char *value)
{
    label_drop(labels, n, key);
    struct label *l = vec_add(labels, n);
    l->key = xstrdup(key);
    l->value = xstrdup(value);
}

bool host_same_facts(const struct host *a, const struct host *b)
{
    struct host x = *a, y = *b; /* borrow the strings for the comparison only */
    if (a->n_cells != b->n_cells)
        return false;
    for (size_t i = 0; i < a->n_cells; i++) {
        struct host_cell c = a->cells[i];
        c.mem_free_bytes = b->cells[i].mem_free_bytes;
        c.hugepage_free_bytes = b->cells[i].hugepage_free_bytes;
        if (!shape_equal(&host_cell_shape, &c, &b->cells[i]))
            return false;
    }
    x.n_cells = y.n_cells = 0;
    x.mem_free_bytes = b->mem_free_bytes;
    x.hugepage_free_bytes = b->hugepage_free_bytes;
    x.clock_skew_us = b->clock_skew_us;
    return shape_equal(&host_shape, &x, &y);
}

uint64_t numa_cells(const char *set)
{
    uint64_t bits = 0;
    for (const char *s = set; *s;) {
        bool without = *s == '^';
        s += without;
        if (*s < '0' || *s > '9')
            return 0;
        char *end;
        unsigned long lo = strtoul(s, &end, 10), hi = lo;
        if (*end == '-')
            hi = strtoul(end + 1, &end, 10);
        for (unsigned long c = lo; c <= hi && c < 64; c++)
            bits = without ? bits & ~(UINT64_C(1) << c) : bits | UINT64_C(1) << c;
        if (*end && *end != ',')
            return 0;
        s = *end ? end + 1 : end;
    }
    return bits;
}

bool host_owns_address(const struct host *h, const char *client_address)
{
    if (!client_address)
        return false;
    /* "10.0.0.1:0/123" or "[fd00::1]:0/123": the IP ends at the last ':' and may be bracketed */
    const char *end = strrchr(client_address, ':');
    size_t len = end ? (size_t)(end - client_address) : strlen(client_address);
    if (len >= 2 && client_address[0] == '[' && client_address[len - 1] == ']') {
        client_address++;
        len -= 2;
    }
    for (size_t i = 0; i < h->n_addresses; i++)
        if (strlen(h->addresses[i]) == len && strncmp(h->addresses[i], client_address, len) == 0)
            return true;
    return false;
}
