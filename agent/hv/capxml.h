/* agent/hv/capxml.h: libvirt's capabilities XML to facts of a host.
 * Owner    all strings are given to the struct; lists are replaced.   Errors -EBADMSG, -E2BIG.
 * Thread   any. */
#pragma once

#include "lib/base/err.h"
#include "lib/model/model.h"

/* <capabilities>: host_uuid, arch, NUMA cells (huge pages: those of h->hugepage_size_bytes), and virts and machines of the host's own architecture. machines
 * lists canonical names and their aliases, once each. */
int capxml_host(const char *xml, struct host *h, struct err *e);
/* <domainCapabilities>: cpu_xml becomes the host-model CPU (what host-model guests get here), as a
 * <cpu mode="custom"> element; left NULL when the hypervisor offers none. */
int capxml_domcaps_cpu(const char *xml, struct host *h, struct err *e);
