/* How fast a guest writes to its memory, as QEMU finds by comparing samples of its pages. */
#include <errno.h>
#include <unistd.h>

#include "agent/hv/hv_int.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum { PERIOD_S = 1, LOOKS_MAX = 20 };
#define LOOK_US (250 * MSEC) /* LOOKS_MAX of them: five times the period */

/* 0 with *ret, -EAGAIN while QEMU still measures, or -errno. */
static int read_rate(virDomainPtr d, struct hv_memory *ret, struct err *e)
{
    virDomainPtr one[] = {d, NULL};
    virDomainStatsRecordPtr *r = NULL;
    int status = -1;
    long long mib = -1;
    int64_t rss = -1;
    if (virDomainListGetStats(one, VIR_DOMAIN_STATS_DIRTYRATE | VIR_DOMAIN_STATS_BALLOON, &r, 0) < 0)
        return hv_fail(e, "read dirty rate");
    if (r[0]) {
        virTypedParamsGetInt(r[0]->params, r[0]->nparams, "dirtyrate.calc_status", &status);
        virTypedParamsGetLLong(r[0]->params, r[0]->nparams, "dirtyrate.megabytes_per_second", &mib);
        rss = hv_param(r[0]->params, r[0]->nparams, "balloon.rss", KIB);
    }
    virDomainStatsRecordListFree(r);
    virResetLastError();
    if (status != VIR_DOMAIN_DIRTYRATE_MEASURED || mib < 0)
        return -EAGAIN;
    *ret = (struct hv_memory){.dirty_Bps = mib * MIB, .rss_bytes = rss};
    return 0;
}

int hv_dirty_rate(struct hv *hv, const char *uuid, struct hv_memory *ret, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use_domain(hv, uuid, &use, e);
    if (r < 0)
        return r;
    if (virDomainStartDirtyRateCalc(use.d, PERIOD_S, VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING) < 0)
        return hv_if_alive(use.c, hv_fail(e, "measure dirty rate"), e);
    r = -EAGAIN;
    usleep(PERIOD_S * (useconds_t)SEC);
    for (int i = 0; i < LOOKS_MAX && r == -EAGAIN; i++) {
        usleep(LOOK_US);
        r = read_rate(use.d, ret, e);
    }
    if (r == -EAGAIN)
        return err_set(e, -ETIMEDOUT, "QEMU does not end measuring the dirty rate");
    return r;
}
