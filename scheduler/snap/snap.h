/* scheduler/snap/snap.h: a fleet as a file, for planning without a scheduler.
 * Purpose  Read and write drover.snapshot/1 (docs/snapshot.md), and build a fleet from other sources.
 * Shapes   the planner's struct snapshot with its hosts and VMs beside it; dense ids as there.
 * Units    as lib/model; what is missing is -1, unknown, never 0.
 * Owner    struct snap owns its fleet (snap_done).   Thread any.
 * Errors   -EBADMSG: what, where (file, line or member) and what was expected; the file's name comes
 *          first. -E2BIG: a limit of lib/base/limits.h. Nothing is given then. */
#pragma once

#include <stdio.h>

#include "lib/base/err.h"
#include "scheduler/plan/snapshot.h"

struct snap {
    struct snapshot s; /* borrows from the two below */
    struct host *hosts;
    struct vm *vms;
    struct cpu_figures *figures; /* of hosts, what no VM uses there, and VMs */
    char *taken; /* when, as written; NULL unknown */
};
void snap_done(struct snap *f);

/* name: how the text is called in messages. */
int snap_parse(const char *name, const char *text, size_t len, struct snap *ret, struct err *e);
int snap_load(const char *path, struct snap *ret, struct err *e); /* "-": standard input */

/* As a document, a host or VM a line. Left out, since plans do not need it and it may hold passwords: all
 * XML. wall_us: when, 0 unknown. Gives. */
char *snap_text(const struct snapshot *s, int64_t wall_us);
/* The same in pieces: n hosts or VMs more. False: that was the end. */
struct snap_writer {
    FILE *f;
    const struct snapshot *s;
    int64_t wall_us;
    bool begun;
    size_t hosts, vms; /* written */
};
bool snap_write_some(struct snap_writer *w, size_t n);

/* For planning: a host with a VM whose memory is not known has no known free memory either; nothing
 * may be placed there. Gives the number of such VMs. */
size_t snap_doubt(struct snap *f);

/* ---- building ---------------------------------------------------------------------------------- */
struct snap_host_entry {
    struct host host;
    int state; /* enum host_state */
    bool connected;
    struct cpu_figures cpu, cpu_other; /* -1 unknown */
    char *where; /* "fleet.csv:3", "hosts[2]" */
};
struct snap_vm_entry {
    struct vm vm;
    char *host, *moving_to; /* names */
    bool other_run, will_start;
    struct cpu_figures cpu;
    char *where;
};
struct snap_build {
    struct snap_host_entry *hosts;
    size_t n_hosts;
    struct snap_vm_entry *vms;
    size_t n_vms;
};
/* Usual values: a host that is up and connected, a persistent VM that runs. All copy; valid until the
 * next one is added. NULL and *e at the limit. */
struct snap_host_entry *snap_add_host(struct snap_build *b, const char *name, const char *where,
                                      struct err *e);
struct snap_vm_entry *snap_add_vm(struct snap_build *b, const char *name, const char *host,
                                  const char *where, struct err *e);
/* Short forms: "kvm-[01-09] 256GiB 32c rack=r1", "web-[1-9]@kvm-[01-03] 4GiB 2c app=web". */
int snap_add_hosts_short(struct snap_build *b, const char *text, const char *where, struct err *e);
int snap_add_vms_short(struct snap_build *b, const char *text, const char *where, struct err *e);
/* Sort, resolve names, refuse contradictions. Releases b, also on failure. */
int snap_build(struct snap_build *b, struct snap *ret, struct err *e);
void snap_build_done(struct snap_build *b);

/* ---- importers: text of others into a fleet (docs/snapshot.md) --------------------------------- */
struct snap_source {
    const char *name, *text; /* file name for messages; NUL-terminated */
};
struct snap_import {
    const struct snap_source *files; /* VMs, and hosts where the format has both */
    size_t n_files;
    const struct snap_source *hosts, *flavors; /* csv, table: may be NULL */
    bool assume_rbd;                           /* ganeti: take every disk as RBD */
    int64_t link_bps;                          /* of hosts that do not say; 0: unknown */
};
enum snap_format { SNAP_GANETI, SNAP_CSV, SNAP_TABLE };
extern const char *const snap_format_names[3];
/* *ret_notes: what was left out or is not known, one sentence a line; given, may be NULL. */
int snap_import(enum snap_format format, const struct snap_import *in, struct snap *ret,
                char **ret_notes, struct err *e);
