/* lib/wire/msg.h: everything an agent and the scheduler say to each other (docs/protocol.md).
 * Shapes   one JSON object per frame: {"v":1,"id":N,"re":N,"type":"...","body":{...}}. `re` names the
 *          id that is answered, 0 if none. Bodies are shaped structs; the table is msg.c.
 * Commands carry the scheduler's term (an agent refuses a term lower than it has seen) and, where
 *          they act on a VM, job + attempt: the agent executes each (job, attempt, type) once and
 *          answers a repetition with the first result. Results may arrive twice or late.
 * Owner    struct msg owns its body.   Thread any.   PURE (codec only). */
#pragma once

#include "lib/base/err.h"
#include "lib/model/load.h"
#include "lib/model/model.h"
#include "lib/model/reason.h"

/* FRAME: of the frame itself, and of hello, welcome and bye, so that any two versions can agree on a
 * protocol, or say that they cannot. PROTO: of all the rest. */
enum { WIRE_FRAME = 1, WIRE_PROTO_MIN = 1, WIRE_PROTO_MAX = 1 };

/* MSGS(enumerator, "type", struct) : agent -> scheduler (A), scheduler -> agent (S) */
#define MSGS(X)                                                                                    \
    X(MSG_HELLO, "hello", hello)                        /* A first frame */                        \
    X(MSG_WELCOME, "welcome", welcome)                  /* S answer to hello */                    \
    X(MSG_REPORT, "report", report)                     /* A full first, then deltas */            \
    X(MSG_HEARTBEAT, "heartbeat", heartbeat)            /* both ways */                            \
    X(MSG_PROGRESS, "progress", progress)               /* A each second per outgoing migration */ \
    X(MSG_CHECK_VMS, "check_vms", check_vms)            /* S -> MSG_VMS_CHECKED */                 \
    X(MSG_VMS_CHECKED, "vms_checked", vms_checked)                                                 \
    X(MSG_CHECK_PEER, "check_peer", check_peer)         /* S -> MSG_DONE */                        \
    X(MSG_CHECK_HOST, "check_host", check_host)         /* S -> MSG_HOST_CHECKED */                \
    X(MSG_HOST_CHECKED, "host_checked", host_checked)                                              \
    X(MSG_MIGRATE, "migrate", migrate)                  /* S -> MSG_MIGRATED when it ended */      \
    X(MSG_MIGRATED, "migrated", migrated)                                                          \
    X(MSG_ABORT, "abort", abort_job)                    /* S -> MSG_DONE */                        \
    X(MSG_TUNE, "tune", tune)                           /* S -> MSG_DONE */                        \
    X(MSG_PROBE, "probe", probe)                        /* S -> MSG_PROBED */                      \
    X(MSG_PROBED, "probed", probed)                                                                \
    X(MSG_TIDY, "tidy", tidy)                           /* S -> MSG_DONE */                        \
    X(MSG_POWER, "power", power)                        /* S -> MSG_DONE */                        \
    X(MSG_RELABEL, "relabel", relabel)                  /* S -> MSG_DONE */                        \
    X(MSG_CENSUS, "census", census)                     /* S -> MSG_COUNTED */                     \
    X(MSG_COUNTED, "counted", counted)                                                             \
    X(MSG_SEND_XML, "send_xml", send_xml)               /* S -> MSG_XML */                         \
    X(MSG_XML, "xml", xml_texts)                                                                   \
    X(MSG_ASK_CEPH, "ask_ceph", ask_ceph)               /* S -> MSG_CEPH_TOLD */                   \
    X(MSG_CEPH_TOLD, "ceph_told", ceph_told)                                                       \
    X(MSG_DONE, "done", done)                           /* A generic result */                     \
    X(MSG_BYE, "bye", bye)                              /* either, before closing: why */

enum msg_type {
#define X(e, token, body) e,
    MSGS(X)
#undef X
    MSG_COUNT_
};

struct hello {
    int64_t proto_min, proto_max;
    char *host;     /* must equal the certificate's name, else the connection is refused */
    char *agent_version;
    char *instance; /* random per agent process: tells a reconnect from a restart */
    char *boot_id;
    int64_t wall_us;
    bool sends_xml; /* reports name XML by digest, and MSG_SEND_XML is answered; else: texts in reports */
    bool tells_ceph; /* MSG_ASK_CEPH is answered */
};
struct welcome {
    int64_t proto, term;
    int64_t heartbeat_us; /* send at least this often; three missed = gone, on both sides */
    int64_t wall_us;
};
struct report {
    int64_t seq;       /* 1 for the full report of a connection, then +1 */
    bool full;         /* true: hosts' whole truth; VMs not listed are not there */
    bool has_host;
    struct host host;  /* when has_host */
    struct vm *vms;    /* new or changed, whole */
    size_t n_vms;
    char **gone;       /* UUIDs that are no longer here (neither running nor defined) */
    size_t n_gone;
    bool has_load;
    struct load_report load; /* when has_load */
};
struct heartbeat {
    int64_t seq;
};
struct progress {
    char *vm; /* uuid */
    int64_t elapsed_us, setup_us;
    int64_t total_bytes, processed_bytes, remaining_bytes; /* memory */
    int64_t rate_Bps, dirty_Bps; /* -1 unknown */
    int64_t iteration;
    int64_t downtime_us;         /* expected now; -1 unknown */
    bool postcopy;
};

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
    char *name;    /* "libvirt", "kvm", "ceph", "tls-files", "migration-network", "clock", ... */
    int64_t verdict; /* 0 pass, 1 warn, 2 fail */
    char *text;    /* what was found */
    char *cure;    /* what to do, NULL when it passes */
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
    bool offline;      /* the domain is shut off: only its definition moves */
    bool compressed, tls, auto_converge, post_copy, multifd;
    int64_t multifd_channels;
    int64_t bandwidth_Bps;      /* 0 = no limit */
    int64_t downtime_us;        /* largest planned pause; 0 = hypervisor's default */
};
struct migrated {
    int64_t job, attempt;
    char *vm;
    bool ok;
    bool began;        /* false: refused before libvirt was asked to move anything */
    char *code;        /* reason token on failure, usually migrate_failed */
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
    int seen;            /* enum seen; SEEN_ERROR: libvirt did not answer: no evidence */
    int vm_job;          /* enum vm_job */
    bool ordered;        /* a migration that this agent was told to begin has not returned: it may yet begin */
    bool persistent;
    char *detail;        /* libvirt's state reason: "postcopy-failed", "migrated", ... or the error */
    struct image_fact *images;
    size_t n_images;
};
/* Remove what a settled move left behind; refused (ok=false) unless the domain is as expected. */
enum tidy_op {
    TIDY_UNDEFINE,       /* inactive definition of a VM that now runs elsewhere: must be shut off */
    TIDY_KILL_INCOMING,  /* a paused incoming QEMU of a failed migration: never a running one */
    TIDY_RESUME_SOURCE,  /* paused at the source by a failed migration, destination is absent */
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
    char **drop;       /* keys */
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
    int64_t jobs;   /* libvirt jobs in progress */
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
    char *code, *error;     /* a reason token, and why nothing is known */
    char *fsid, *status;    /* "HEALTH_OK" */
    char *cause;            /* the first error, or else the first warning, in Ceph's words; muted ones are not */
    char *slow;             /* slow operations, in Ceph's words; NULL: none */
    int64_t moving_pgs;     /* placement groups that recover or backfill, or are about to */
    int64_t degraded, misplaced; /* objects */
};
struct done {
    int64_t job, attempt;
    bool ok;
    char *code, *error;
    int64_t took_us;
};
struct bye {
    char *code; /* "identity", "version", "term", "protocol", "shutdown", "replaced" */
    char *error;
};

#define X(e, token, body) extern const struct shape body##_shape;
MSGS(X)
#undef X
extern const struct shape check_item_shape, verdict_shape, xml_text_shape;

struct msg {
    int64_t id, re;
    enum msg_type type;
    void *body; /* struct of the type's shape */
};
const struct shape *msg_shape(enum msg_type type);
const char *msg_name(enum msg_type type);
/* Encode as one frame's JSON text. Gives (free()). */
char *msg_encode(const struct msg *m);
/* Decode and check one frame's JSON text. -EBADMSG names the member; -EPROTONOSUPPORT for `v`. */
int msg_decode(const char *text, size_t len, struct msg *ret, struct err *e);
void msg_done(struct msg *m); /* accepts zeroed */
