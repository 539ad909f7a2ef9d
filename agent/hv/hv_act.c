/* What is true of a domain now, and the few things done to one that is not moving. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/hv/hv_int.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

const char *hv_state_reason(int state, int reason)
{
    static const struct {
        int state, reason;
        const char *name;
    } names[] = {
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, "booted"},
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_MIGRATED, "migrated"},
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_RESTORED, "restored"},
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_UNPAUSED, "unpaused"},
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_MIGRATION_CANCELED, "migration-canceled"},
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_POSTCOPY, "postcopy"},
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_POSTCOPY_FAILED, "postcopy-failed"},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER, "user"},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION, "migration"},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SAVE, "save"},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR, "ioerror"},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_WATCHDOG, "watchdog"},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SNAPSHOT, "snapshot"},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_CRASHED, "crashed"},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, "starting-up"},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY, "postcopy"},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY_FAILED, "postcopy-failed"},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN, "shutdown"},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DESTROYED, "destroyed"},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED, "crashed"},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_MIGRATED, "migrated"},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SAVED, "saved"},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED, "failed"},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DAEMON, "daemon"},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].state == state && names[i].reason == reason)
            return names[i].name;
    return "unknown";
}

static int probe_domain(struct hv *hv, const char *uuid, struct probed *ret, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use_domain(hv, uuid, &use, e);
    if (r < 0)
        return r;
    virDomainPtr d = use.d;
    int state = 0, reason = 0;
    enum vm_job job = VM_JOB_NONE;
    if (virDomainGetState(d, &state, &reason, 0) < 0)
        return hv_fail(e, "read state of domain");
    int active = virDomainIsActive(d), persistent = virDomainIsPersistent(d);
    if (active < 0 || persistent < 0)
        return hv_fail(e, "read domain");
    r = active ? hv_job(d, &job, NULL, NULL, e) : 0;
    if (r < 0)
        return r;
    ret->seen = !active                      ? SEEN_SHUTOFF
                : state == VIR_DOMAIN_RUNNING ? SEEN_RUNNING
                : state == VIR_DOMAIN_PAUSED  ? SEEN_PAUSED
                                              : SEEN_OTHER;
    ret->vm_job = (int)job;
    ret->persistent = persistent;
    ret->detail = xstrdup(hv_state_reason(state, reason));
    return 0;
}

void hv_probe(struct hv *hv, const char *uuid, struct probed *ret)
{
    struct err e = {0};
    shape_init(&probed_shape, ret);
    ret->vm = xstrdup(uuid);
    int r = probe_domain(hv, uuid, ret, &e);
    if (r == -ENOENT) {
        ret->seen = SEEN_ABSENT;
    } else if (r < 0) {
        ret->seen = SEEN_ERROR;
        free(ret->detail);
        ret->detail = xstrdup(e.msg);
    }
}

/* ---- tidying ----------------------------------------------------------------------------------- */
static int undefine(virDomainPtr d, int state, struct err *e)
{
    if (virDomainIsActive(d) != 0)
        return err_set(e, -EINVAL, "refused: the domain is %s here, not shut off",
                       vm_state_names[hv_state(state)]);
    /* what a snapshot's metadata describes moved with the VM; NVRAM content is not ours to remove */
    if (virDomainUndefineFlags(d, VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                                      VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA |
                                      VIR_DOMAIN_UNDEFINE_KEEP_NVRAM) < 0)
        return hv_fail(e, "undefine");
    return 0;
}

static int kill_incoming(virDomainPtr d, int state, int reason, struct err *e)
{
    if (virDomainIsActive(d) == 0)
        return 0; /* it is gone already */
    /* libvirt pauses an incoming domain with one of these two until the guest may run. Post-copy
     * reasons are not among them: there the guest's memory may exist nowhere else. */
    if (state != VIR_DOMAIN_PAUSED ||
        (reason != VIR_DOMAIN_PAUSED_MIGRATION && reason != VIR_DOMAIN_PAUSED_STARTING_UP))
        return err_set(e, -EINVAL, "refused: the domain is %s (%s), no incoming migration's leftover",
                       vm_state_names[hv_state(state)], hv_state_reason(state, reason));
    /* The same state is a source paused by its own migration: that one has a definition, or a job
     * going out. A destination has none of both, unless libvirt says that it is an incoming one. */
    enum vm_job job = VM_JOB_NONE;
    int r = hv_job(d, &job, NULL, NULL, e);
    if (r < 0)
        return r;
    if (job != VM_JOB_MIGRATING_IN && (job != VM_JOB_NONE || virDomainIsPersistent(d) != 0))
        return err_set(e, -EINVAL, "refused: the paused domain may be a migration's source");
    return virDomainDestroy(d) < 0 ? hv_fail(e, "remove the incoming domain") : 0;
}

static int resume_source(virDomainPtr d, int state, int reason, struct err *e)
{
    enum vm_job job = VM_JOB_NONE;
    if (state == VIR_DOMAIN_RUNNING)
        return 0;
    if (state != VIR_DOMAIN_PAUSED || reason != VIR_DOMAIN_PAUSED_MIGRATION)
        return err_set(e, -EINVAL, "refused: the domain is %s (%s), not paused by a migration",
                       vm_state_names[hv_state(state)], hv_state_reason(state, reason));
    int r = hv_job(d, &job, NULL, NULL, e);
    if (r < 0)
        return r;
    if (job != VM_JOB_NONE)
        return err_set(e, -EBUSY, "refused: libvirt still runs a job on it (%s)", vm_job_names[job]);
    return virDomainResume(d) < 0 ? hv_fail(e, "resume") : 0;
}

int hv_tidy(struct hv *hv, const char *uuid, enum tidy_op op, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use_domain(hv, uuid, &use, e);
    /* nothing there is what two of the three want */
    if (r < 0)
        return r == -ENOENT && op != TIDY_RESUME_SOURCE ? 0 : r;
    int state = 0, reason = 0;
    if (virDomainGetState(use.d, &state, &reason, 0) < 0)
        return hv_fail(e, "read state of domain");
    switch (op) {
    case TIDY_UNDEFINE:
        return undefine(use.d, state, e);
    case TIDY_KILL_INCOMING:
        return kill_incoming(use.d, state, reason, e);
    case TIDY_RESUME_SOURCE:
        return resume_source(use.d, state, reason, e);
    }
    return err_set(e, -EINVAL, "unknown tidy operation %d", (int)op);
}

/* ---- power ------------------------------------------------------------------------------------- */
static int shut_down(virDomainPtr d, int64_t timeout_us, struct err *e)
{
    int64_t until_us = clock_mono_us() + timeout_us;
    int active = virDomainIsActive(d);
    if (active == 1 && virDomainShutdown(d) < 0)
        return hv_fail(e, "ask the guest to shut down");
    while (active == 1 && clock_mono_us() < until_us) {
        struct timespec pause = {.tv_nsec = 250000000};
        nanosleep(&pause, NULL);
        active = virDomainIsActive(d);
    }
    if (active < 0) { /* a transient domain is gone when it is off */
        int r = hv_fail(e, "read domain");
        return r == -ENOENT ? 0 : r;
    }
    if (active)
        return err_set(e, -ETIMEDOUT, "the guest did not shut down within %lld s; it runs on",
                       (long long)(timeout_us / SEC));
    return 0;
}

int hv_power(struct hv *hv, const struct power *p, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use_domain(hv, p->vm, &use, e);
    if (r < 0)
        return r;
    if (p->op == POWER_SHUTDOWN)
        return shut_down(use.d, p->timeout_us, e);
    int active = virDomainIsActive(use.d);
    if (active < 0)
        return hv_fail(e, "read domain");
    return !active && virDomainCreate(use.d) < 0 ? hv_fail(e, "start") : 0;
}

/* ---- census ------------------------------------------------------------------------------------ */
static int count(struct hv *hv, struct counted *ret, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use(hv, &use, e);
    if (r < 0)
        return r;
    virDomainPtr *list = NULL;
    int n = virConnectListAllDomains(use.c, &list, 0);
    if (n < 0)
        return hv_fail(e, "list domains");
    for (int i = 0; i < n; i++) {
        int active = virDomainIsActive(list[i]);
        enum vm_job job = VM_JOB_NONE;
        if (active == 1 && r == 0)
            r = hv_job(list[i], &job, NULL, NULL, e);
        ret->jobs += job != VM_JOB_NONE;
        /* what cannot be told apart counts as running: a census proves emptiness */
        if (active != 0)
            *vec_add(&ret->running, &ret->n_running) = xstrdup(virDomainGetName(list[i]));
        else
            *vec_add(&ret->defined, &ret->n_defined) = xstrdup(virDomainGetName(list[i]));
        virDomainFree(list[i]);
    }
    free(list);
    virResetLastError();
    return r;
}

void hv_census(struct hv *hv, struct counted *ret)
{
    struct err e = {0};
    shape_init(&counted_shape, ret);
    ret->ok = count(hv, ret, &e) == 0;
    if (!ret->ok)
        ret->error = xstrdup(e.msg);
}
