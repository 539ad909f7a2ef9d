/* agent/hv/hv.h: the hypervisor as Drover needs it; hv_*.c do it with libvirt.
 * Purpose  Facts about domains and the host, checks of a placement, and the closed list of things
 *          Drover ever does to a domain.
 * Blocking every function but hv_new and hv_up may block for as long as libvirtd lets it: callers run them in workers with a deadline and may abandon them. Nothing here
 *          holds a lock while libvirt is asked.
 * Errors   -ENOTCONN no connection; -ENOENT no such domain; -ECANCELED the job was aborted;
 *          -ETIMEDOUT libvirt gave up waiting; -EINVAL the domain's state forbids it; -EBUSY another
 *          job runs; else -EIO. msg has libvirt's words.
 * Owner    results are owned by the caller (shape_done).   Thread any, many at once. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/model/load.h"
#include "lib/model/model.h"
#include "lib/wire/msg.h"

struct hv;

struct hv_config {
    const char *uri; /* "qemu:///system" */
    /* From libvirt's event thread: must not block. uuid NULL: something of the host (a secret, a
     * network) changed. */
    void (*on_changed)(void *arg, const char *uuid);
    /* The connection ended; hv_connect may be called again. */
    void (*on_lost)(void *arg, const char *why);
    void *arg;
};
/* Starts libvirt's event thread (one per process, it is never ended). Copies. */
int hv_new(const struct hv_config *cfg, struct hv **ret, struct err *e);
/* No call may be under way, and not from a callback: waits for one that runs. */
void hv_free(struct hv *hv);

/* Open the connection and ask for events. Returns 0 also when another call has connected meanwhile. */
int hv_connect(struct hv *hv, struct err *e);
bool hv_up(struct hv *hv);

/* ---- facts (hv_read.c, hv_host.c) -------------------------------------------------------------- */
/* UUIDs of all domains, running and inactive. Gives. */
int hv_list(struct hv *hv, char ***ret_uuids, size_t *ret_n, struct err *e);
/* All of one domain. -ENOENT: it is neither running nor defined. */
int hv_read_vm(struct hv *hv, const char *uuid, struct vm *ret, struct err *e);
/* The UUIDs of running domains on which libvirt runs a migration out. Cheap enough for each second. */
int hv_list_moving(struct hv *hv, char ***ret_uuids, size_t *ret_n, struct err *e);
/* -ENOENT: no outgoing migration. */
int hv_progress(struct hv *hv, const char *uuid, struct progress *ret, struct err *e);
/* Bytes that a running guest writes anew per second, from samples of its pages (QEMU's page sampling:
 * 512 pages a GiB, so less than about 2 MiB/s is 0; memory of less than HV_SAMPLED_BYTES is left out).
 * Blocks for a second and a half. */
#define HV_SAMPLED_BYTES (INT64_C(128) << 20)
struct hv_memory {
    int64_t dirty_Bps, rss_bytes; /* rss -1: unknown */
};
int hv_dirty_rate(struct hv *hv, const char *uuid, struct hv_memory *ret, struct err *e);
/* Counters of all running guests, one call for all; those of a guest whose monitor hangs are fewer. */
int hv_read_loads(struct hv *hv, struct vm_reading **ret, size_t *ret_n, struct err *e);
/* Host facts of libvirt and of the kernel. Only what libvirt, /proc and /sys know is filled; the
 * rest of *h is kept. First call on a fresh libvirtd may take 10 s: it probes QEMU. */
int hv_read_host(struct hv *hv, struct host *h, struct err *e);
/* The same without libvirt: memory, addresses, bridges, CPU count. Does not block. */
void hv_read_kernel(struct host *h);

/* ---- checks (hv_check.c) ----------------------------------------------------------------------- */
/* What speaks against v leaving this host, or coming here. Reasons are given; none: nothing does.
 * h: facts of this host read just now. An error means that the check itself could not be made. */
int hv_check_source(struct hv *hv, const struct vm *v, struct reason **ret, size_t *ret_n,
                    struct err *e);
int hv_check_target(struct hv *hv, const struct host *h, const struct vm *v, struct reason **ret,
                    size_t *ret_n, struct err *e);
/* The cephx key (base64) of a disk's libvirt secret. Gives; NULL when the disk names none. */
int hv_secret_key(struct hv *hv, const struct disk *d, char **ret, struct err *e);
/* Can the libvirt of another host be opened from here, and is it another host? */
int hv_check_peer(struct hv *hv, const char *uri, struct err *e);

/* ---- moves (hv_move.c) ------------------------------------------------------------------------- */
/* Blocks until libvirt has moved the domain, or not: peer to peer, so it outlives us. Never unsafe.
 * cancel (may be NULL) is read once more just before libvirt is asked. Fills *ret whole. */
void hv_migrate(struct hv *hv, const struct migrate *m, const bool *cancel, struct migrated *ret);
int hv_abort(struct hv *hv, const char *uuid, struct err *e);
int hv_tune(struct hv *hv, const struct tune *t, struct err *e);

/* ---- probing and tidying (hv_act.c) ------------------------------------------------------------ */
/* Everything of *ret but job, attempt and images. A failure is seen = SEEN_ERROR. */
void hv_probe(struct hv *hv, const char *uuid, struct probed *ret);
int hv_tidy(struct hv *hv, const char *uuid, enum tidy_op op, struct err *e);
/* SHUTDOWN asks the guest and waits; -ETIMEDOUT leaves it as it is. */
int hv_power(struct hv *hv, const struct power *p, struct err *e);
void hv_census(struct hv *hv, struct counted *ret);
/* hv_label.c. All or nothing. -EBUSY: a job runs on it; -EBADMSG: the labels it has are no XML of ours. */
int hv_relabel(struct hv *hv, const struct relabel *r, struct err *e);
