/* agent/hv/domxml.h: a libvirt domain XML to the facts Drover plans with.
 * Shapes   fills of struct vm what the XML tells: uuid, name, memory, overhead, huge pages, vcpus,
 *          virt, arch, machine, emulator, cpu_xml, disks, nics, hostdevs, host_files, labels,
 *          foreign. State, job, XML texts and measurements are the caller's.
 * Memory   mem_bytes is <memory>, the most the guest may use now: libvirt counts hotplugged DIMMs
 *          into it, and the balloon may give back up to it. mem_overhead_bytes: vm_overhead below.
 * NUMA     binds: what <numatune> pins to cells of the host so that it cannot be elsewhere (strict and
 *          restrictive; strict is libvirt's default). Preferred and interleaved memory is not bound.
 * Labels   <metadata> holds one element of namespace urn:drover:libvirt:1:
 *            <drover:labels xmlns:drover="urn:drover:libvirt:1">
 *              <drover:label key="app" value="db"/> ...
 *            </drover:labels>
 *          set for instance by  virsh metadata VM urn:drover:libvirt:1 --key drover
 *            --set '<labels><label key="app" value="db"/></labels>' [--live] [--config]
 * Pinned   what binds a VM to its host besides PCI, USB and the like is listed among hostdevs too:
 *          kind "filesystem" (virtiofs, 9p), "tpm" (passthrough), "nvdimm", "shmem".
 * Errors   -EBADMSG, -E2BIG (more disks than LIM_DISKS_PER_VM).   Thread any. */
#pragma once

#include <libxml/tree.h>

#include "lib/base/err.h"
#include "lib/model/model.h"
#include "lib/wire/msg.h"

#define DROVER_METADATA_NS "urn:drover:libvirt:1"

/* Replaces *ret on success only. Gives. */
int domxml_parse(const char *xml, struct vm *ret, struct err *e);

/* What QEMU needs beyond guest memory: 64 MiB for the process and its devices, 8 MiB per vCPU and
 * per I/O thread, the video memory, and 1/512 of guest memory for page tables and dirty bitmaps.
 * The terms are those of KubeVirt's documented estimate, which its users have tested widely; the
 * base is ours, from QEMU 7.2 with librbd disks. */
int64_t domxml_overhead(int64_t mem_bytes, int64_t vcpus, int64_t iothreads, int64_t video_bytes);

/* domxml_label.c: the <labels> of a domain, as libvirt gives and takes it: without its namespace. old
 * NULL: it has none. Keeps what is not ours to know. Gives *ret; NULL: nothing is left in it. -EBADMSG. */
int domxml_relabel(const char *old, const struct relabel *r, char **ret, struct err *e);

/* domxml_dev.c: disks, nics, hostdevs and host_files of <domain>. */
int domxml_devices(const xmlNode *domain, struct vm *vm, struct err *e);
