/* lib/model/model.h: hosts, VMs and images as they were observed.   PURE, plain data.
 * Purpose  What an agent reports, the scheduler keeps and the planner reads. Observations only: what
 *          Drover decided (draining, reservations) is in scheduler/core.
 * Shapes   every struct here has a `const struct shape` of the same name + "_shape" (shape.h), which
 *          copies, releases, compares and (de)serialises it.
 * Units    _bytes bytes; _bps bits/s for links, bytes/s where the name says Bps; _us µs;
 *          -1 = unknown (never 0).
 * Owner    each struct owns all it points to.   Thread any, no sharing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/model/shape.h"

/* ---- VM -------------------------------------------------------------------------------------- */
enum vm_state { VM_SHUTOFF, VM_RUNNING, VM_PAUSED, VM_SUSPENDED, VM_CRASHED, VM_STOPPING };
/* A job that libvirt runs on the domain at this moment. */
enum vm_job { VM_JOB_NONE, VM_JOB_MIGRATING_OUT, VM_JOB_MIGRATING_IN, VM_JOB_OTHER };
enum disk_device { DISK_DISK, DISK_CDROM, DISK_FLOPPY, DISK_LUN };
/* What the disk's bytes live on. EMPTY: a drive without a medium. */
enum disk_kind { DISK_EMPTY, DISK_RBD, DISK_FILE, DISK_BLOCK, DISK_NETWORK, DISK_VOLUME, DISK_OTHER };
enum nic_kind { NIC_BRIDGE, NIC_NETWORK, NIC_DIRECT, NIC_USER, NIC_HOSTDEV, NIC_OTHER };

extern const char *const vm_state_names[6];
extern const char *const vm_job_names[4];
extern const char *const disk_device_names[4];
extern const char *const disk_kind_names[7];
extern const char *const nic_kind_names[6];

struct label {
    char *key, *value;
};
struct disk {
    char *target;           /* "vda" */
    int device;             /* enum disk_device */
    int kind;               /* enum disk_kind */
    bool readonly, shareable;
    char *pool, *ns, *image, *snap; /* DISK_RBD; ns NULL = default namespace */
    char **mons;            /* "host:port" from the XML; empty: the host's ceph.conf decides */
    size_t n_mons;
    char *conf;             /* <config file=> of the source, or NULL */
    char *user;             /* cephx user without "client.", NULL: none */
    char *secret_uuid, *secret_usage; /* libvirt secret that holds the key; one of them, or none */
    char *path;             /* DISK_FILE, DISK_BLOCK; protocol:name for DISK_NETWORK */
    char *cache;            /* "none", "writeback", ... or NULL = hypervisor default */
    char *io;
    char *format;
};
struct nic {
    char *mac;
    int kind;     /* enum nic_kind */
    char *source; /* bridge, network or device name */
    char *model;
};
struct hostdev {
    char *kind; /* "pci", "usb", "mdev", ... */
    char *address;
};
/* Guest memory that must be in some NUMA cells of the host, and nowhere else (strict). */
struct numa_bind {
    char *cells;            /* libvirt's node set: "0", "0-1,3"; "any": in any one cell, for plans */
    int64_t mem_bytes;      /* with QEMU's own memory, where that is bound too */
    int64_t hugepage_bytes; /* of it, in huge pages */
};
struct vm {
    char *uuid, *name;
    int state; /* enum vm_state */
    int job;   /* enum vm_job */
    bool persistent, autostart, managed_save;
    int64_t mem_bytes;          /* most it may use now (current maximum, with hotplugged DIMMs) */
    int64_t mem_overhead_bytes; /* QEMU itself beyond guest memory, as accounted by Drover */
    int64_t hugepage_bytes;     /* of mem_bytes, backed by huge pages of hugepage_size_bytes */
    int64_t hugepage_size_bytes;
    struct numa_bind *binds; /* none: its memory may be in any cell */
    size_t n_binds;
    int64_t vcpus;
    char *virt;    /* "kvm", "qemu" */
    char *arch;    /* "x86_64" */
    char *machine; /* "pc-q35-7.2": canonical, as the running QEMU has it */
    char *emulator;
    char *cpu_xml; /* <cpu> of the live XML (expanded), NULL if none */
    struct disk *disks;
    size_t n_disks;
    struct nic *nics;
    size_t n_nics;
    struct hostdev *hostdevs;
    size_t n_hostdevs;
    char **host_files; /* files a destination must have too: kernel, initrd, loader, ... */
    size_t n_host_files;
    struct label *labels; /* from <metadata> urn:drover:libvirt:1 */
    size_t n_labels;
    char *foreign;        /* "nova", "ovirt", ...: another manager's metadata is present, else NULL */
    /* Live XML (migratable form; NULL if shut off) and persistent XML (NULL if transient): the text
     * where it is read, at the agent; elsewhere SHA-256 of it, which names the text in the store. */
    char *xml, *xml_inactive;
    char *xml_digest, *xml_inactive_digest; /* 64 hex digits */
    int64_t rss_bytes, cpu_time_us, dirty_Bps; /* measured; -1 unknown */
};

/* ---- Host ------------------------------------------------------------------------------------ */
struct secret {
    char *uuid, *usage; /* usage name of a type='ceph' secret */
    bool readable;      /* value set, and not private: the agent can use it */
};
struct host_cell {
    int64_t id;                       /* as libvirt and the kernel count */
    int64_t mem_bytes, cpus;          /* -1 unknown */
    int64_t hugepage_bytes;           /* in pages of the host's hugepage_size_bytes */
    int64_t mem_free_bytes;           /* measured; -1 unknown */
    int64_t hugepage_free_bytes;      /* measured; -1 unknown */
};
struct host {
    char *name;          /* identity: the certificate's name */
    char *hostname;      /* what libvirt says */
    char *host_uuid;
    char *boot_id;
    char *agent_version, *libvirt_version, *qemu_version;
    char *arch;
    int64_t mem_bytes, mem_free_bytes; /* physical; free = available to new processes */
    int64_t hugepage_size_bytes, hugepage_total_bytes, hugepage_free_bytes;
    int64_t cpus;
    struct host_cell *cells; /* NUMA cells; none: not known */
    size_t n_cells;
    char *cpu_xml;       /* host-model CPU from domain capabilities */
    char **virts;        /* "kvm" "qemu": what really starts */
    size_t n_virts;
    char **machines;     /* machine types of the default emulator, canonical names and aliases */
    size_t n_machines;
    char **bridges;      /* bridges present and up */
    size_t n_bridges;
    char **networks;     /* active libvirt networks */
    size_t n_networks;
    struct secret *secrets;
    size_t n_secrets;
    char **addresses;    /* every IP of the host: recognises its Ceph clients */
    size_t n_addresses;
    char *migrate_uri;     /* libvirt URI by which peers reach it: "qemu+tls://h2/system" */
    char *migrate_address; /* address for migration data, NULL: libvirt decides */
    int64_t link_bps;      /* migration link, -1 unknown */
    char *ceph_fsid;       /* of the host's own ceph.conf, NULL if none */
    struct label *labels;
    size_t n_labels;
    char *zone, *rack;
    bool libvirt_up;       /* the agent's libvirt connection works */
    int64_t clock_skew_us; /* wall clock minus the scheduler's at connect; -1 unknown */
};

/* ---- Ceph's own word on one image, as one host with the VM's own identity sees it ------------- */
struct ceph_client {
    char *address; /* "10.0.0.1:0/123456" (no "v1:" prefix) */
    char *entity;  /* "client.4123" */
};
struct image_fact {
    char *target;                      /* disk target, "vda" */
    char *pool, *ns, *image;
    bool ok;                           /* false: the rest is not known, see code and error */
    char *code, *error;                /* code: a reason code (reason.h), e.g. "ceph_timeout" */
    char *fsid, *image_id;
    int64_t pool_id;
    int64_t size_bytes, features;      /* RBD_FEATURE_* bits */
    struct ceph_client *watchers;
    size_t n_watchers;
    struct ceph_client *lockers;       /* exclusive-lock owners */
    size_t n_lockers;
    bool trashed, migrating;
    char *mirror;                      /* NULL not mirrored, else "primary" "non-primary" */
};

extern const struct shape label_shape, disk_shape, nic_shape, hostdev_shape, numa_bind_shape, vm_shape,
    secret_shape, host_cell_shape, host_shape, ceph_client_shape, image_fact_shape;

/* Give key this value; take the label out, if it is there. Copy. */
void label_set(struct label **labels, size_t *n, const char *key, const char *value);
void label_drop(struct label **labels, size_t *n, const char *key);
/* The value of label key, or NULL. */
const char *label_get(const struct label *labels, size_t n, const char *key);
/* The same but for what is measured (free memory) and changes all the time? */
bool host_same_facts(const struct host *a, const struct host *b);
/* A node set as bits; cells from 64 on do not count. 0: empty, or not one. */
uint64_t numa_cells(const char *set);
/* Does the address of a Ceph client belong to this host? Compares the IP part exactly. */
bool host_owns_address(const struct host *h, const char *client_address);
static inline int64_t vm_need_bytes(const struct vm *v)
{
    return v->mem_bytes + v->mem_overhead_bytes;
}
