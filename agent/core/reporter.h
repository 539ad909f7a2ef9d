/* agent/core/reporter.h: what the scheduler must be told: everything once, then what changed.   PURE.
 * Purpose  Holds the present facts and which of them have not been reported yet.
 * Rules    measurements (RSS, CPU time, free memory, load) ride along and never make a report by
 *          themselves, except free memory that changed by more than 1/16 of the host's memory, and a
 *          dirty rate that is new or other than it was.
 *          A full report needs full knowledge: until the caller has said reporter_known, only the
 *          host is reported (with libvirt_up as it is), because "VMs not listed are not there".
 * XML      texts stay here; reports carry their digests, which came with the facts. Who lacks a text
 *          asks for it by that name (reporter_xml).
 * Bounds   one report stays well below LIM_FRAME_BYTES: a full report that would not leaves out the
 *          XML of CPUs, and whole VMs follow as deltas. XML_BYTES for the texts of one answer.
 * Owner    facts are taken; reports are given.   Thread loop. */
#pragma once

#include <stdbool.h>

#include "agent/core/loads.h"
#include "lib/model/model.h"
#include "lib/wire/msg.h"

struct reporter;
struct reporter *reporter_new(void);
void reporter_free(struct reporter *r);

/* A new connection: sequence numbers begin anew and the next report is full. */
void reporter_restart(struct reporter *r);
/* The inventory was read anew from nothing (libvirt is back): the next report is full again. */
void reporter_known(struct reporter *r);

/* Take one VM's facts. Returns whether anything but measurements changed. */
bool reporter_vm(struct reporter *r, struct vm *v);
/* How fast its guest writes, and what its QEMU holds, measured apart from its facts: kept while it runs.
 * A figure that differs much from the last one makes a report: forecasts live on it. */
void reporter_memory(struct reporter *r, const char *uuid, int64_t dirty_Bps, int64_t rss_bytes);
/* It is neither running nor defined any more. Returns whether it was known. */
bool reporter_gone(struct reporter *r, const char *uuid);
/* Take the host's facts. Returns whether anything but measurements changed. */
bool reporter_host(struct reporter *r, struct host *h);
/* Report the host again with the next report, for its measurements. */
void reporter_touch_host(struct reporter *r);
/* libvirt's connection was lost or is back. */
void reporter_libvirt(struct reporter *r, bool up);

/* Measured load goes out with reports, once the VMs are known. Borrow. */
struct loads *reporter_loads(struct reporter *r);

/* Fill *ret with what is to be said now. False: nothing. Call again: a long story has several parts. */
bool reporter_take(struct reporter *r, struct report *ret);

/* The texts asked for, as many as go into one answer and at least one; what is not here any more is named
 * without its text. Copies. */
enum { XML_BYTES = 256 << 10 };
void reporter_xml(const struct reporter *r, const struct send_xml *asked, struct xml_texts *ret);

/* Borrow. */
const struct host *reporter_host_now(const struct reporter *r);
const struct vm *reporter_vms(const struct reporter *r, size_t *ret_n);
const struct vm *reporter_find(const struct reporter *r, const char *uuid);
