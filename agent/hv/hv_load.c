/* Counters of all guests that run here, in one call. */
#include <errno.h>

#include "agent/hv/hv_int.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* Sum of PREFIX.0.SUFFIX, PREFIX.1.SUFFIX, ...; -1 when one that should be there is not. */
static int64_t sum_of(const virDomainStatsRecord *r, const char *prefix, const char *suffix)
{
    char name[64];
    unsigned int n = 0;
    snprintf(name, sizeof(name), "%s.count", prefix);
    if (virTypedParamsGetUInt(r->params, r->nparams, name, &n) != 1)
        return -1;
    int64_t sum = 0;
    for (unsigned int i = 0; i < n && i < LIM_DISKS_PER_VM; i++) {
        snprintf(name, sizeof(name), "%s.%u.%s", prefix, i, suffix);
        int64_t v = hv_param(r->params, r->nparams, name, 1);
        if (v < 0) /* a drive without a medium, an interface of its own kind: it counts nothing */
            continue;
        sum += v;
    }
    return sum;
}

static bool read_one(const virDomainStatsRecord *r, struct vm_reading *ret)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    unsigned int id = virDomainGetID(r->dom);
    int64_t ns = hv_param(r->params, r->nparams, "cpu.time", 1);
    if (id == (unsigned int)-1 || ns < 0 || virDomainGetUUIDString(r->dom, uuid) < 0)
        return false;
    *ret = (struct vm_reading){.uuid = xstrdup(uuid),
                               .id = id,
                               .cpu_us = ns / 1000,
                               .rss_bytes = hv_param(r->params, r->nparams, "balloon.rss", KIB),
                               .read_bytes = sum_of(r, "block", "rd.bytes"),
                               .write_bytes = sum_of(r, "block", "wr.bytes"),
                               .rx_bytes = sum_of(r, "net", "rx.bytes"),
                               .tx_bytes = sum_of(r, "net", "tx.bytes")};
    return true;
}

int hv_read_loads(struct hv *hv, struct vm_reading **ret, size_t *ret_n, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use(hv, &use, e);
    if (r < 0)
        return r;
    /* NOWAIT: figures must not wait for the monitor of a guest whose QEMU hangs; it has no disks then */
    const unsigned what = VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON |
                          VIR_DOMAIN_STATS_BLOCK | VIR_DOMAIN_STATS_INTERFACE;
    virDomainStatsRecordPtr *list = NULL;
    int n = virConnectGetAllDomainStats(use.c, what, &list,
                                        VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE |
                                            VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
    if (n < 0)
        return hv_if_alive(use.c, hv_fail(e, "read statistics of domains"), e);
    struct vm_reading *out = NULL;
    size_t n_out = 0;
    for (int i = 0; i < n && i < LIM_VMS_PER_HOST; i++) {
        struct vm_reading one;
        if (read_one(list[i], &one))
            *vec_add(&out, &n_out) = one;
    }
    virDomainStatsRecordListFree(list);
    virResetLastError();
    *ret = out;
    *ret_n = n_out;
    return 0;
}
