/* Migrations: start, watch, steer, abort. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/hv/hv_int.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* How long the event with the statistics may come after libvirt has returned from the migration. */
enum { STATS_WAIT_S = 2 };

/* ---- statistics of the end --------------------------------------------------------------------- */
void hv_stats_from(struct hv_stats *s, virTypedParameterPtr p, int n)
{
    s->have = true;
    s->total_us = hv_param(p, n, VIR_DOMAIN_JOB_TIME_ELAPSED, MSEC);
    s->setup_us = hv_param(p, n, VIR_DOMAIN_JOB_SETUP_TIME, MSEC);
    s->downtime_us = hv_param(p, n, VIR_DOMAIN_JOB_DOWNTIME, MSEC);
    s->bytes = hv_param(p, n, VIR_DOMAIN_JOB_DATA_PROCESSED, 1);
    s->iterations = hv_param(p, n, VIR_DOMAIN_JOB_MEMORY_ITERATION, 1);
    s->rate_Bps = hv_param(p, n, VIR_DOMAIN_JOB_MEMORY_BPS, 1);
}

static struct hv_stats *stats_of(struct hv *hv, const char *uuid)
{
    for (size_t i = 0; i < HV_EXPECT_MAX; i++)
        if (hv->stats[i].used && str_eq(hv->stats[i].uuid, uuid))
            return &hv->stats[i];
    return NULL;
}

/* Be ready to catch the statistics of this domain's migration when it ends. */
static void expect_stats(struct hv *hv, const char *uuid)
{
    pthread_mutex_lock(&hv->lock);
    struct hv_stats *s = stats_of(hv, uuid);
    for (size_t i = 0; i < HV_EXPECT_MAX && !s; i++)
        if (!hv->stats[i].used)
            s = &hv->stats[i];
    if (s) {
        memset(s, 0, sizeof(*s));
        s->used = true;
        snprintf(s->uuid, sizeof(s->uuid), "%s", uuid);
    }
    pthread_mutex_unlock(&hv->lock);
}

/* Take what the event brought, waiting for it a moment if wait; forget the expectation. */
static void collect_stats(struct hv *hv, const char *uuid, bool wait, struct migrated *m)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += STATS_WAIT_S;
    pthread_mutex_lock(&hv->lock);
    struct hv_stats *s = stats_of(hv, uuid);
    while (wait && s && !s->have &&
           pthread_cond_timedwait(&hv->stats_came, &hv->lock, &until) != ETIMEDOUT)
        ;
    if (s && s->have) {
        m->setup_us = s->setup_us;
        m->downtime_us = s->downtime_us;
        m->bytes = s->bytes;
        m->iterations = s->iterations;
        m->rate_Bps = s->rate_Bps;
        if (s->total_us > 0)
            m->total_us = s->total_us;
    }
    if (s)
        memset(s, 0, sizeof(*s));
    pthread_mutex_unlock(&hv->lock);
}

/* The source of a migration that keeps its definition can still be asked. */
static void ask_completed(virDomainPtr d, struct migrated *m)
{
    virTypedParameterPtr p = NULL;
    int n = 0, type = 0;
    struct hv_stats s = {0};
    if (virDomainGetJobStats(d, &type, &p, &n,
                             VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED) == 0 &&
        type == VIR_DOMAIN_JOB_COMPLETED) {
        hv_stats_from(&s, p, n);
        m->setup_us = s.setup_us;
        m->downtime_us = s.downtime_us;
        m->bytes = s.bytes;
        m->iterations = s.iterations;
        m->rate_Bps = s.rate_Bps;
    }
    params_free(&p, n);
    virResetLastError();
}

/* ---- start ------------------------------------------------------------------------------------- */
static unsigned long flags_of(const struct migrate *m)
{
    const struct {
        bool on;
        unsigned long flag;
    } all[] = {
        {m->persist_dest, VIR_MIGRATE_PERSIST_DEST},
        {m->undefine_source, VIR_MIGRATE_UNDEFINE_SOURCE},
        {m->offline, VIR_MIGRATE_OFFLINE},
        {!m->offline && m->live, VIR_MIGRATE_LIVE},
        {!m->offline && m->abort_on_error, VIR_MIGRATE_ABORT_ON_ERROR},
        {!m->offline && m->compressed, VIR_MIGRATE_COMPRESSED},
        {!m->offline && m->tls, VIR_MIGRATE_TLS},
        {!m->offline && m->auto_converge, VIR_MIGRATE_AUTO_CONVERGE},
        {!m->offline && m->post_copy, VIR_MIGRATE_POSTCOPY},
        {!m->offline && m->multifd, VIR_MIGRATE_PARALLEL},
    };
    /* peer to peer always: libvirtd carries it on when we are killed. Never VIR_MIGRATE_UNSAFE. */
    unsigned long flags = VIR_MIGRATE_PEER2PEER;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        flags |= all[i].on ? all[i].flag : 0;
    return flags;
}

static int64_t mib_per_s(int64_t bps)
{
    return bps < MIB ? 1 : bps / MIB;
}

/* libvirt remembers the last speed that was set on a domain, also by an earlier tune, and uses it
 * when none is given: "no limit" must be said. 1 TiB/s. */
enum { NO_LIMIT_MIB_PER_S = 1 << 20 };

static int params_of(const struct migrate *m, virTypedParameterPtr *p, int *n, struct err *e)
{
    int max = 0, r = 0;
    *p = NULL;
    *n = 0;
    if (m->migrate_uri && !m->offline)
        r = virTypedParamsAddString(p, n, &max, VIR_MIGRATE_PARAM_URI, m->migrate_uri);
    int64_t speed = m->bandwidth_Bps > 0 ? mib_per_s(m->bandwidth_Bps) : NO_LIMIT_MIB_PER_S;
    if (r == 0 && !m->offline)
        r = virTypedParamsAddULLong(p, n, &max, VIR_MIGRATE_PARAM_BANDWIDTH,
                                    (unsigned long long)speed);
    if (r == 0 && m->multifd && m->multifd_channels > 0 && m->multifd_channels <= 255 && !m->offline)
        r = virTypedParamsAddInt(p, n, &max, VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS,
                                 (int)m->multifd_channels);
    return r < 0 ? hv_fail(e, "migration parameters") : 0;
}

static void refuse(struct migrated *ret, enum reason_code code, bool began, const char *text)
{
    ret->ok = false;
    ret->began = began;
    ret->code = xstrdup(reason_tokens[code]);
    ret->error = xstrdup(text);
}

/* Is the domain in the state the command supposes? Fills *ret and returns false if not. */
static bool may_begin(virDomainPtr d, const struct migrate *m, const bool *cancel,
                      struct migrated *ret)
{
    struct err e = {0};
    int state = 0, reason = 0;
    enum vm_job job = VM_JOB_NONE;
    if (virDomainGetState(d, &state, &reason, 0) < 0) {
        hv_fail(&e, "read state of domain");
        refuse(ret, R_MIGRATE_FAILED, false, e.msg);
        return false;
    }
    enum vm_state now = hv_state(state);
    enum vm_state want = m->offline ? VM_SHUTOFF : VM_RUNNING;
    if (now != want) {
        snprintf(e.msg, sizeof(e.msg), "the domain is %s (%s), not %s", vm_state_names[now],
                 hv_state_reason(state, reason), vm_state_names[want]);
        refuse(ret, now == VM_PAUSED ? R_VM_PAUSED : R_VM_STATE, false, e.msg);
        return false;
    }
    if (!m->offline && hv_job(d, &job, NULL, NULL, &e) < 0) {
        refuse(ret, R_MIGRATE_FAILED, false, e.msg);
        return false;
    }
    if (job != VM_JOB_NONE) {
        snprintf(e.msg, sizeof(e.msg), "libvirt runs another job on it (%s)", vm_job_names[job]);
        /* A migration we do not know may be this very attempt, begun before we were restarted: to
         * say "nothing began" would be a lie that costs a VM. */
        refuse(ret, R_VM_BUSY, job == VM_JOB_MIGRATING_OUT, e.msg);
        return false;
    }
    if (cancel && __atomic_load_n(cancel, __ATOMIC_ACQUIRE)) {
        refuse(ret, R_CANCELLED, false, "aborted before it began");
        return false;
    }
    return true;
}

/* "client socket is closed", "End of file": which of the two libvirtds went away? */
static void why_failed(virDomainPtr d, const struct migrate *m, struct err *e)
{
    const virError *x = virGetLastError();
    bool rpc = x && x->domain == VIR_FROM_RPC;
    hv_fail(e, "migrate");
    if (virConnectIsAlive(virDomainGetConnect(d)) != 1)
        err_wrap(e, "libvirtd of the source went away");
    else if (rpc)
        err_wrap(e, "the connection to libvirtd of %s broke", m->dst_host ? m->dst_host : m->dst_uri);
    virResetLastError();
}

/* It stays with the domain: *ret_was for giving it back when the domain stays too. 0: unknown. */
static int set_pause(virDomainPtr d, const struct migrate *m, unsigned long long *ret_was,
                     struct err *e)
{
    if (m->downtime_us <= 0 || m->offline)
        return 0;
    if (virDomainMigrateGetMaxDowntime(d, ret_was, 0) < 0)
        virResetLastError();
    if (virDomainMigrateSetMaxDowntime(d, (unsigned long long)(m->downtime_us / MSEC), 0) < 0)
        return hv_fail(e, "set the largest pause");
    return 0;
}

static void give_pause_back(virDomainPtr d, unsigned long long was)
{
    if (was > 0 && virDomainMigrateSetMaxDowntime(d, was, 0) < 0)
        virResetLastError();
}

static void move(struct hv *hv, virDomainPtr d, const struct migrate *m, struct migrated *ret)
{
    unsigned long long pause_was = 0;
    struct err e = {0};
    virTypedParameterPtr p = NULL;
    int n = 0;
    if (params_of(m, &p, &n, &e) < 0 || set_pause(d, m, &pause_was, &e) < 0) {
        params_free(&p, n);
        refuse(ret, R_MIGRATE_FAILED, false, e.msg);
        return;
    }
    expect_stats(hv, m->vm);
    int64_t start_us = clock_mono_us();
    int r = virDomainMigrateToURI3(d, m->dst_uri, p, (unsigned)n, (unsigned)flags_of(m));
    ret->total_us = clock_mono_us() - start_us;
    if (r < 0) {
        why_failed(d, m, &e);
        give_pause_back(d, pause_was);
    }
    params_free(&p, n);
    collect_stats(hv, m->vm, r == 0 && !m->offline, ret);
    if (r < 0) {
        refuse(ret, e.code == -ECANCELED ? R_CANCELLED : R_MIGRATE_FAILED, true, e.msg);
        return;
    }
    ret->ok = ret->began = true;
    if (ret->bytes < 0 && !m->offline)
        ask_completed(d, ret);
}

void hv_migrate(struct hv *hv, const struct migrate *m, const bool *cancel, struct migrated *ret)
{
    struct err e = {0};
    shape_init(&migrated_shape, ret);
    ret->job = m->job;
    ret->attempt = m->attempt;
    ret->vm = xstrdup(m->vm);
    cleanup(conn_unref) virConnectPtr c = hv_open(hv->uri, &e);
    if (!c) {
        refuse(ret, R_LIBVIRT_DOWN, false, e.msg);
        return;
    }
    cleanup(dom_unref) virDomainPtr d = NULL;
    if (hv_domain(c, m->vm, &d, &e) < 0) {
        refuse(ret, R_VM_STATE, false, e.msg);
        return;
    }
    if (may_begin(d, m, cancel, ret))
        move(hv, d, m, ret);
}

/* ---- steer ------------------------------------------------------------------------------------- */
/* The domain, if a migration leaves it now. */
static int use_moving(struct hv *hv, const char *uuid, struct hv_use *ret, struct err *e)
{
    enum vm_job job = VM_JOB_NONE;
    int r = hv_use_domain(hv, uuid, ret, e);
    if (r == 0)
        r = hv_job(ret->d, &job, NULL, NULL, e);
    if (r == 0 && job != VM_JOB_MIGRATING_OUT)
        r = err_set(e, -EINVAL, "no migration is under way");
    return r;
}

int hv_abort(struct hv *hv, const char *uuid, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = use_moving(hv, uuid, &use, e);
    if (r < 0)
        return r;
    return virDomainAbortJob(use.d) < 0 ? hv_fail(e, "abort the migration") : 0;
}

int hv_tune(struct hv *hv, const struct tune *t, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = use_moving(hv, t->vm, &use, e);
    if (r < 0)
        return r;
    if (t->bandwidth_Bps > 0 &&
        virDomainMigrateSetMaxSpeed(use.d, (unsigned long)mib_per_s(t->bandwidth_Bps), 0) < 0)
        return hv_fail(e, "set the bandwidth");
    if (t->downtime_us > 0 &&
        virDomainMigrateSetMaxDowntime(use.d, (unsigned long long)(t->downtime_us / MSEC), 0) < 0)
        return hv_fail(e, "set the largest pause");
    if (t->postcopy && virDomainMigrateStartPostCopy(use.d, 0) < 0)
        return hv_fail(e, "switch to post-copy");
    return 0;
}
