/* lib/wire/orders.h: what the scheduler asks an agent and tells it to do, and what the agent answers: bodies
 * of the messages in msg.h.
 * Shapes   each has a shape named after it. Orders that act on a VM carry job + attempt, their results
 *          too; vm is a UUID.
 * Units    last in the name; -1 unknown.   Owner each owns its strings and lists.   Thread any.   PURE. */
#pragma once

#include "lib/model/model.h"
#include "lib/model/reason.h"

/* Real checks of a placement. as_source: the VM is here and should leave; else: it should come here.
 * Both: Ceph facts of every RBD disk that is not an empty drive, opened read-only with the VM's own
 * cephx user and the key of the libvirt secret, through the mons of its XML (or this host's own
 * ceph.conf when the XML names none). A disk that cannot be asked yields ok=false with a code.
 * Source also: domain exists, running, no job. Destination also: name and UUID free (or only an
 * inactive leftover of the same UUID, which is fine), CPU (virConnectCompareHypervisorCPU), machine
 * type, virt type, bridges, networks, host files, secret present and readable, memory free. */
struct check_vms {
    int64_t term;
    bool as_source;
    struct vm *vms; /* whole; as_source needs uuid and disks only */
    size_t n_vms;
};
struct verdict {
    char *uuid;
    struct reason *reasons; /* empty: nothing speaks against it; host is filled by the scheduler */
    size_t n_reasons;
    struct image_fact *images;
    size_t n_images;
};
struct vms_checked {
    struct verdict *verdicts; /* one per VM asked, same order */
    size_t n_verdicts;
};
struct check_peer {
    int64_t term;
    char *uri; /* libvirt URI of the other host, opened from here with a deadline */
};
/* Checks of a host by itself, in the style of virt-host-validate. */
struct check_host {
    int64_t term;
};
struct check_item {
    char *name;      /* "libvirt", "kvm", "ceph", "tls-files", "migration-network", "clock", ... */
    int64_t verdict; /* 0 pass, 1 warn, 2 fail */
    char *text;      /* what was found */
    char *cure;      /* what to do, NULL when it passes */
};
struct host_checked {
    struct check_item *items;
    size_t n_items;
};

/* Start one migration; the agent answers MSG_MIGRATED when virDomainMigrateToURI3 has returned. */
struct migrate {
    int64_t term, job, attempt;
    char *vm;          /* uuid */
    char *dst_host;    /* name, for the log */
    char *dst_uri;     /* libvirt URI of the destination, reached by the source's libvirtd */
    char *migrate_uri; /* "tcp://ADDRESS" for the data stream or NULL */
    bool live, persist_dest, undefine_source, abort_on_error;
    bool offline; /* the domain is shut off: only its definition moves */
    bool compressed, tls, auto_converge, post_copy, multifd;
    int64_t multifd_channels;
    int64_t bandwidth_Bps; /* 0 = no limit */
    int64_t downtime_us;   /* largest planned pause; 0 = hypervisor's default */
};
struct migrated {
    int64_t job, attempt;
    char *vm;
    bool ok;
    bool began; /* false: refused before libvirt was asked to move anything */
    char *code; /* reason token on failure, usually migrate_failed */
    char *error;
    int64_t total_us, setup_us, downtime_us, bytes, iterations, rate_Bps; /* -1 unknown */
};
struct abort_job {
    int64_t term, job, attempt;
    char *vm;
};
struct tune {
    int64_t term, job, attempt;
    char *vm;
    int64_t bandwidth_Bps; /* 0 = leave */
    int64_t downtime_us;   /* 0 = leave */
    bool postcopy;         /* switch over now */
};
/* What is true of one VM on this host, read freshly from libvirt and Ceph. */
struct probe {
    int64_t term, job, attempt; /* not deduplicated: a probe reads anew each time */
    char *vm;
    struct disk *disks;
    size_t n_disks;
};
enum seen { SEEN_ERROR, SEEN_ABSENT, SEEN_SHUTOFF, SEEN_RUNNING, SEEN_PAUSED, SEEN_OTHER };
extern const char *const seen_names[6];
struct probed {
    int64_t job, attempt;
    char *vm;
    int seen;   /* enum seen; SEEN_ERROR: libvirt did not answer: no evidence */
    int vm_job; /* enum vm_job */
    bool
        ordered; /* a migration that this agent was told to begin has not returned: it may yet begin */
    bool persistent;
    char *detail; /* libvirt's state reason: "postcopy-failed", "migrated", ... or the error */
    struct image_fact *images;
    size_t n_images;
};
/* Remove what a settled move left behind; refused (ok=false) unless the domain is as expected. */
enum tidy_op {
    TIDY_UNDEFINE,      /* inactive definition of a VM that now runs elsewhere: must be shut off */
    TIDY_KILL_INCOMING, /* a paused incoming QEMU of a failed migration: never a running one */
    TIDY_RESUME_SOURCE, /* paused at the source by a failed migration, destination is absent */
};
extern const char *const tidy_op_names[3];
struct tidy {
    int64_t term, job, attempt;
    char *vm;
    int op;
};
enum power_op { POWER_SHUTDOWN, POWER_START };
extern const char *const power_op_names[2];
struct power {
    int64_t term, job, attempt;
    char *vm;
    int op;
    int64_t timeout_us; /* SHUTDOWN waits so long for the guest; it is never destroyed */
};
/* Labels into the domain's metadata: of the running one, and of its definition. */
struct relabel {
    int64_t term;
    char *vm;          /* uuid */
    struct label *set; /* added, or given this value */
    size_t n_set;
    char **drop; /* keys */
    size_t n_drop;
};
struct census {
    int64_t term;
};
struct counted {
    char **running; /* names of active domains */
    size_t n_running;
    char **defined; /* names of inactive ones */
    size_t n_defined;
    int64_t jobs; /* libvirt jobs in progress */
    bool ok;
    char *error;
};
/* The texts behind digests that were reported. */
struct send_xml {
    int64_t term;
    char **digests;
    size_t n_digests;
};
struct xml_text {
    char *digest;
    char *text; /* NULL: not here any more. The scheduler's core sees "" for a text that came */
};
struct xml_texts {
    struct xml_text *texts; /* not all that were asked for, if they are long; at least one */
    size_t n_texts;
};
/* How well is the cluster that has this disk? Asked of its monitors as the VM's QEMU would ask. */
struct ask_ceph {
    int64_t term;
    struct disk disk;
};
struct ceph_told {
    bool ok;
    char *code, *error;  /* a reason token, and why nothing is known */
    char *fsid, *status; /* "HEALTH_OK" */
    char *
        cause; /* the first error, or else the first warning, in Ceph's words; muted ones are not */
    char *slow;                  /* slow operations, in Ceph's words; NULL: none */
    int64_t moving_pgs;          /* placement groups that recover or backfill, or are about to */
    int64_t degraded, misplaced; /* objects */
};

extern const struct shape check_item_shape, verdict_shape, xml_text_shape; /* all others: msg.h */
