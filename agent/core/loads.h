/* agent/core/loads.h: from counters to figures of load, and which of them are worth a report.   PURE.
 * Purpose  Readings of the host and its VMs come at a fixed period; a figure needs two of the same QEMU.
 *          What was just started, just arrived, counts backwards or could not be read is unknown.
 * Reports  one as soon as a CPU figure changed by more than an eighth (and 50 thousandths of a CPU for a
 *          VM, 100 for the host), else one each LOADS_SILENT_US. It has the host, and the VMs whose
 *          figures are other than last told. Figures are means since the report before.
 * Owner    copies.   Thread loop. */
#pragma once

#include "lib/base/str.h"
#include "lib/model/load.h"

#define LOADS_SILENT_US (30 * SEC) /* docs/timelines.md */

struct loads;
struct loads *loads_new(void);
void loads_free(struct loads *l);
/* A new connection: nothing has been told. */
void loads_restart(struct loads *l);
/* vms: of all guests that run here; one that is missing could not be read or runs no more. host NULL:
 * not read. */
void loads_add(struct loads *l, int64_t now_us, const struct host_reading *host,
               const struct vm_reading *vms, size_t n);
/* What is to be told now. Gives; false: nothing. */
bool loads_take(struct loads *l, struct load_report *ret);
