/* Facts about domains. */
#include <errno.h>
#include <string.h>

#include "agent/hv/domxml.h"
#include "agent/hv/hv_int.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum { READ_TRIES = 3 };

enum vm_state hv_state(int state)
{
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
        return VM_RUNNING;
    case VIR_DOMAIN_SHUTDOWN:
        return VM_STOPPING;
    case VIR_DOMAIN_SHUTOFF:
        return VM_SHUTOFF;
    case VIR_DOMAIN_CRASHED:
        return VM_CRASHED;
    case VIR_DOMAIN_PMSUSPENDED:
        return VM_SUSPENDED;
    default: /* paused, or "no state": nothing that may be moved live */
        return VM_PAUSED;
    }
}

int64_t hv_param(virTypedParameterPtr p, int n, const char *name, int64_t scale)
{
    unsigned long long v = 0;
    if (virTypedParamsGetULLong(p, n, name, &v) != 1 || v > (unsigned long long)(INT64_MAX / scale))
        return -1;
    return (int64_t)v * scale;
}

int hv_job(virDomainPtr d, enum vm_job *ret, virTypedParameterPtr *ret_params, int *ret_n,
           struct err *e)
{
    virTypedParameterPtr p = NULL;
    int n = 0, type = VIR_DOMAIN_JOB_NONE, operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;
    if (virDomainGetJobStats(d, &type, &p, &n, 0) < 0) {
        const virError *x = virGetLastError();
        /* "migration statistics are available only on the source host": so it is a destination */
        if (x && x->code == VIR_ERR_OPERATION_UNSUPPORTED) {
            *ret = VM_JOB_MIGRATING_IN;
            virResetLastError();
            return 0;
        }
        if (x && x->code == VIR_ERR_OPERATION_INVALID && virDomainIsActive(d) == 0) {
            *ret = VM_JOB_NONE;
            virResetLastError();
            return 0;
        }
        if (x && x->code == VIR_ERR_NO_SUPPORT) { /* the driver has no jobs */
            *ret = VM_JOB_NONE;
            virResetLastError();
            return 0;
        }
        return hv_fail(e, "read job of domain");
    }
    virTypedParamsGetInt(p, n, VIR_DOMAIN_JOB_OPERATION, &operation);
    virResetLastError();
    if (type == VIR_DOMAIN_JOB_NONE)
        *ret = VM_JOB_NONE;
    else if (operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)
        *ret = VM_JOB_MIGRATING_OUT;
    else if (operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN)
        *ret = VM_JOB_MIGRATING_IN;
    else
        *ret = VM_JOB_OTHER;
    if (ret_params) {
        *ret_params = p;
        *ret_n = n;
    } else {
        params_free(&p, n);
    }
    return 0;
}

static void domains_free(virDomainPtr **list)
{
    for (virDomainPtr *d = *list; d && *d; d++)
        virDomainFree(*d);
    free(*list);
}

/* Call fn for each domain's UUID of the list, as long as there is room. */
static int list_uuids(virConnectPtr c, unsigned flags, bool moving_only, char ***ret, size_t *ret_n,
                      struct err *e)
{
    cleanup(domains_free) virDomainPtr *list = NULL;
    int n = virConnectListAllDomains(c, &list, flags);
    if (n < 0)
        return hv_fail(e, "list domains");
    if (n > LIM_VMS_PER_HOST)
        return err_set(e, -E2BIG, "%d domains, more than %d", n, LIM_VMS_PER_HOST);
    char **uuids = NULL;
    size_t n_uuids = 0;
    for (int i = 0; i < n; i++) {
        enum vm_job job = VM_JOB_MIGRATING_OUT;
        if (moving_only && hv_job(list[i], &job, NULL, NULL, NULL) < 0)
            continue; /* it ended meanwhile */
        char uuid[VIR_UUID_STRING_BUFLEN];
        if (job == VM_JOB_MIGRATING_OUT && virDomainGetUUIDString(list[i], uuid) == 0)
            *vec_add(&uuids, &n_uuids) = xstrdup(uuid);
    }
    *ret = uuids;
    *ret_n = n_uuids;
    return 0;
}

int hv_list(struct hv *hv, char ***ret_uuids, size_t *ret_n, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use(hv, &use, e);
    return r < 0 ? r : hv_if_alive(use.c, list_uuids(use.c, 0, false, ret_uuids, ret_n, e), e);
}

int hv_list_moving(struct hv *hv, char ***ret_uuids, size_t *ret_n, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use(hv, &use, e);
    return r < 0 ? r
                 : list_uuids(use.c, VIR_CONNECT_LIST_DOMAINS_ACTIVE, true, ret_uuids, ret_n, e);
}

/* NOWAIT: measurements must not wait for the monitor of a guest whose QEMU hangs. */
static void measure(virDomainPtr d, struct vm *vm)
{
    virDomainPtr list[] = {d, NULL};
    virDomainStatsRecordPtr *r = NULL;
    if (virDomainListGetStats(list, VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON, &r,
                              VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT) > 0) {
        int64_t cpu_ns = hv_param(r[0]->params, r[0]->nparams, "cpu.time", 1);
        vm->cpu_time_us = cpu_ns < 0 ? -1 : cpu_ns / 1000;
        vm->rss_bytes = hv_param(r[0]->params, r[0]->nparams, "balloon.rss", KIB);
    }
    if (r)
        virDomainStatsRecordListFree(r);
    virResetLastError();
}

/* A guest with host-passthrough has the CPU of the host it was started on; its XML names none, so
 * the host's own takes its place: that is what another host must be able to offer. */
static void expand_cpu(struct hv *hv, struct vm *vm)
{
    if (!vm->cpu_xml || (!strstr(vm->cpu_xml, "host-passthrough") && !strstr(vm->cpu_xml, "maximum")))
        return;
    pthread_mutex_lock(&hv->lock);
    if (hv->cpu_xml) {
        free(vm->cpu_xml);
        vm->cpu_xml = xstrdup(hv->cpu_xml);
    }
    pthread_mutex_unlock(&hv->lock);
}

static int read_xml(virDomainPtr d, bool active, bool persistent, struct vm *vm, struct err *e)
{
    cleanup(freep) char *live = active ? virDomainGetXMLDesc(d, 0) : NULL;
    if (active && !live)
        return hv_fail(e, "read live XML");
    cleanup(freep) char *movable = active ? virDomainGetXMLDesc(d, VIR_DOMAIN_XML_MIGRATABLE) : NULL;
    if (active && !movable)
        return hv_fail(e, "read migratable XML");
    cleanup(freep) char *inactive =
        persistent || !active ? virDomainGetXMLDesc(d, VIR_DOMAIN_XML_INACTIVE) : NULL;
    if (!inactive && (persistent || !active))
        return hv_fail(e, "read inactive XML");
    int r = domxml_parse(active ? live : inactive, vm, e);
    if (r < 0)
        return r;
    vm->xml = take(movable);
    vm->xml_inactive = take(inactive);
    return 0;
}

static int read_once(struct hv *hv, virConnectPtr c, const char *uuid, struct vm *vm, struct err *e)
{
    cleanup(dom_unref) virDomainPtr d = NULL;
    int r = hv_domain(c, uuid, &d, e);
    if (r < 0)
        return r;
    int state = 0, reason = 0, autostart = 0;
    if (virDomainGetState(d, &state, &reason, 0) < 0)
        return hv_fail(e, "read state of domain");
    int active = virDomainIsActive(d), persistent = virDomainIsPersistent(d);
    if (active < 0 || persistent < 0)
        return hv_fail(e, "read domain");
    if (persistent && virDomainGetAutostart(d, &autostart) < 0)
        virResetLastError(); /* not every driver has it */
    int saved = persistent ? virDomainHasManagedSaveImage(d, 0) : 0;
    enum vm_job job = VM_JOB_NONE;
    r = active ? hv_job(d, &job, NULL, NULL, e) : 0;
    if (r == 0)
        r = read_xml(d, active, persistent, vm, e);
    if (r < 0)
        return r;
    vm->state = hv_state(state);
    vm->job = job;
    vm->persistent = persistent;
    vm->autostart = autostart;
    vm->managed_save = saved > 0;
    if (active)
        measure(d, vm);
    expand_cpu(hv, vm);
    virResetLastError();
    return 0;
}

int hv_read_vm(struct hv *hv, const char *uuid, struct vm *ret, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use(hv, &use, e);
    if (r < 0)
        return r;
    /* a domain that starts or ends between two of the calls makes one of them fail: look again */
    for (int tries = 0; tries < READ_TRIES; tries++) {
        struct vm vm;
        shape_init(&vm_shape, &vm);
        r = read_once(hv, use.c, uuid, &vm, e);
        if (r == 0) {
            *ret = vm;
            return 0;
        }
        shape_done(&vm_shape, &vm);
        r = hv_if_alive(use.c, r, e);
        if (r == -ENOENT || r == -ENOTCONN)
            break;
    }
    return r;
}

int hv_progress(struct hv *hv, const char *uuid, struct progress *ret, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use_domain(hv, uuid, &use, e);
    if (r < 0)
        return r;
    enum vm_job job;
    virTypedParameterPtr p = NULL;
    int n = 0;
    r = hv_job(use.d, &job, &p, &n, e);
    if (r < 0)
        return r;
    if (job != VM_JOB_MIGRATING_OUT) {
        params_free(&p, n);
        return err_set(e, -ENOENT, "no migration under way");
    }
    int state = 0, reason = 0;
    virDomainGetState(use.d, &state, &reason, 0);
    shape_init(&progress_shape, ret);
    ret->vm = xstrdup(uuid);
    ret->elapsed_us = hv_param(p, n, VIR_DOMAIN_JOB_TIME_ELAPSED, MSEC);
    ret->setup_us = hv_param(p, n, VIR_DOMAIN_JOB_SETUP_TIME, MSEC);
    ret->total_bytes = hv_param(p, n, VIR_DOMAIN_JOB_MEMORY_TOTAL, 1);
    ret->processed_bytes = hv_param(p, n, VIR_DOMAIN_JOB_MEMORY_PROCESSED, 1);
    ret->remaining_bytes = hv_param(p, n, VIR_DOMAIN_JOB_MEMORY_REMAINING, 1);
    ret->rate_Bps = hv_param(p, n, VIR_DOMAIN_JOB_MEMORY_BPS, 1);
    int64_t page = hv_param(p, n, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE, 1);
    ret->dirty_Bps = hv_param(p, n, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE, page > 0 ? page : 4096);
    ret->iteration = hv_param(p, n, VIR_DOMAIN_JOB_MEMORY_ITERATION, 1);
    ret->downtime_us = hv_param(p, n, VIR_DOMAIN_JOB_DOWNTIME, MSEC);
    ret->postcopy = state == VIR_DOMAIN_PAUSED && (reason == VIR_DOMAIN_PAUSED_POSTCOPY ||
                                                   reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED);
    params_free(&p, n);
    return 0;
}
