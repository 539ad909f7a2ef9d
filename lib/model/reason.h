/* lib/model/reason.h: a refused placement as data.   PURE.
 * Purpose  The same record is rendered as text, JSON, page and alert: what was looked at, what it
 *          needs, what there is, and which rule (with file:line) said no.
 * Owner    struct reason owns its strings; shape reason_shape.   Thread any. */
#pragma once

#include "lib/model/shape.h"

/* REASONS(code, "token", "what it means for people; the sentence continues with need/have") */
#define REASONS(X)                                                                                 \
    X(R_NONE, "none", "")                                                                          \
    X(R_SAME_HOST, "same_host", "it is the host being emptied")                                    \
    X(R_HOST_NOT_UP, "host_not_up", "the host takes no VMs")                                       \
    X(R_HOST_UNREACHABLE, "host_unreachable", "its agent is not connected")                        \
    X(R_LIBVIRT_DOWN, "libvirt_down", "its libvirtd does not answer")                              \
    X(R_AVOIDED, "avoided", "excluded by the request")                                             \
    X(R_NOT_IN_TO, "not_in_to", "not among the hosts named with --to")                             \
    X(R_MEMORY, "memory", "not enough memory")                                                     \
    X(R_HUGEPAGES, "hugepages", "not enough free huge pages")                                      \
    X(R_NUMA, "numa_cell", "not enough memory in a NUMA cell that it is bound to")                 \
    X(R_VCPU, "vcpu", "vCPU overcommit would be exceeded")                                         \
    X(R_SPARE, "spare_hosts", "the fleet could no longer lose a host")                             \
    X(R_ANTI_AFFINITY, "anti_affinity", "an anti-affine VM is there")                              \
    X(R_SPREAD, "spread", "the VMs of a rule would be in too few places")                          \
    X(R_AFFINITY, "affinity", "its group is elsewhere")                                            \
    X(R_HOST_REQUIRED, "host_required", "a rule does not allow this host")                         \
    X(R_HOST_FORBIDDEN, "host_forbidden", "a rule forbids this host")                              \
    X(R_EXCLUDED, "excluded", "policy excludes the VM from moves")                                 \
    X(R_MAINTENANCE_ONLY, "maintenance_only", "policy moves it for maintenance only")              \
    X(R_MAX_VMS, "max_vms", "the host holds as many VMs as allowed")                               \
    X(R_ARCH, "arch", "another architecture")                                                      \
    X(R_VIRT, "virt", "the virtualisation type is not available")                                  \
    X(R_MACHINE, "machine_type", "its QEMU lacks the machine type")                                \
    X(R_CPU_MODEL, "cpu_model", "its CPU lacks features the VM runs with")                         \
    X(R_BRIDGE, "bridge", "a bridge is missing")                                                   \
    X(R_NETWORK, "network", "a libvirt network is missing or inactive")                            \
    X(R_HOST_FILE, "host_file", "a file the VM boots from is missing")                             \
    X(R_SECRET, "secret", "the Ceph secret is missing or has no usable value")                     \
    X(R_NAME_TAKEN, "name_taken", "another domain has this name")                                  \
    X(R_UUID_TAKEN, "uuid_taken", "a domain with this UUID is there already")                      \
    X(R_LOCAL_DISK, "local_disk", "a disk is local to its host")                                   \
    X(R_LOCAL_MEDIA, "local_media", "a CD-ROM or floppy medium is local to its host")              \
    X(R_NOT_RBD, "not_rbd", "a network disk that is not RBD cannot be confirmed as shared")        \
    X(R_HOSTDEV, "host_device", "a host device is attached")                                       \
    X(R_CACHE_MODE, "cache_mode", "the disk's cache mode is not safe to migrate")                  \
    X(R_VM_PAUSED, "vm_paused", "it is paused")                                                    \
    X(R_VM_STATE, "vm_state", "its state does not allow a live move")                              \
    X(R_TRANSIENT, "transient", "it is transient: a stop during the move would lose its definition") \
    X(R_VM_BUSY, "vm_busy", "libvirt runs another job on it")                                      \
    X(R_FOREIGN, "foreign", "another manager owns it")                                             \
    X(R_IN_FLIGHT, "in_flight", "another run is moving it")                                        \
    X(R_SIZE_UNKNOWN, "size_unknown", "how much memory it takes is not known")                     \
    X(R_MANAGED_SAVE, "managed_save", "it has a saved memory image on its host")                   \
    X(R_IMAGE_ABSENT, "image_absent", "the RBD image does not exist there")                        \
    X(R_CLUSTER_DIFFERS, "cluster_differs", "the host sees another Ceph cluster")                  \
    X(R_IMAGE_DIFFERS, "image_differs", "the host sees another image under this name")             \
    X(R_IMAGE_WATCHED, "image_watched", "someone besides the VM's QEMU has the image open")        \
    X(R_IMAGE_LOCKED, "image_locked", "the exclusive lock is held by someone else")                \
    X(R_IMAGE_NOT_OPEN, "image_not_open", "the VM's QEMU does not watch its image")                \
    X(R_IMAGE_TRASHED, "image_trashed", "the image is in the trash")                               \
    X(R_IMAGE_MIGRATING, "image_migrating", "the image is being live-migrated by Ceph")            \
    X(R_IMAGE_NOT_PRIMARY, "image_not_primary", "the image is a non-primary mirror")               \
    X(R_CEPH_AUTH, "ceph_auth", "Ceph refused the VM's user")                                      \
    X(R_CEPH_TIMEOUT, "ceph_timeout", "Ceph did not answer in time")                               \
    X(R_CEPH_ERROR, "ceph_error", "Ceph answered with an error")                                   \
    X(R_CHECK_FAILED, "check_failed", "the check itself failed")                                   \
    X(R_MIGRATE_FAILED, "migrate_failed", "the migration was tried and failed")                    \
    X(R_DEADLINE, "deadline", "the drain's deadline passed before it could start")                 \
    X(R_CANCELLED, "cancelled", "the run was cancelled")                                           \
    X(R_UNREACHABLE_SOURCE, "source_unreachable", "its host's agent is not connected")             \
    X(R_PEER, "peer", "the two hosts cannot reach each other's libvirtd")                          \
    X(R_DST_BUSY, "dst_busy", "memory there is reserved by moves in flight")                       \
    X(R_ROOM_LOST, "room_lost", "another VM was to make room for it, and did not")                 \
    X(R_NOT_NEEDED, "not_needed", "the fleet is as it should be without this move")                \
    X(R_LOAD_UNKNOWN, "load_unknown", "how busy the host is, is not known")                        \
    X(R_NO_GAIN, "no_gain", "it would not help any more")                                          \
    X(R_YIELDED, "yielded", "a drain or a home-coming goes first")                                 \
    X(R_COOLDOWN, "cooldown", "it moved a short while ago")                                        \
    X(R_BUDGET, "budget", "it was moved today as much as policy allows")                           \
    X(R_LEFT_LATELY, "left_lately", "a balance run moved it away from there within a day")         \
    X(R_FAILED_LATELY, "failed_lately", "it failed a short while ago")                             \
    X(R_CONTESTED, "contested", "somebody moves it away from where Drover puts it")                \
    X(R_WINDOW, "window", "the window in which moves may start has closed")                        \
    X(R_SUSPENDED, "suspended", "scheduled balance was suspended")

enum reason_code {
#define X(code, token, text) code,
    REASONS(X)
#undef X
    R_COUNT_
};
extern const char *const reason_tokens[R_COUNT_];
extern const char *const reason_texts[R_COUNT_];
/* R_CHECK_FAILED for a token this version does not know. */
enum reason_code reason_from_token(const char *token);

/* One "no". host NULL: it holds on every host (the VM itself cannot move). */
struct reason {
    int code;                  /* enum reason_code; token on the wire */
    char *host;                /* refused target */
    char *what;                /* the thing concerned: disk "vda", bridge "br7", rule "db-apart", VM name */
    char *need, *have;         /* for people, units included: "4.2 GiB", "61 GiB free" */
    int64_t need_n, have_n;    /* the same as numbers, -1 when not countable */
    char *where;               /* policy file:line of the rule, NULL if none */
    char *cure;                /* smallest way out, an imperative sentence or a command; may be NULL */
    bool more;                 /* more than this is in the way there: the cure alone does not open it */
};
extern const struct shape reason_shape;
