/* Keeps the reporter equal to libvirt: events name what to read again, a slow resync looks at all.
 * Nothing here asks libvirt itself: workers read copies, and their ends are applied on the loop. */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/io/agent.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/backoff.h"
#include "lib/net/sha256.h"

enum { BATCH = 16, CAREFUL_READS = 64 };
#define SOON_US             (30 * MSEC) /* several events of one change come together */
#define RETRY_US            (5 * SEC)   /* a domain that could not be read */
/* libvirt tells of no job's end at the destination of a migration: the last event is older. */
#define JOB_LOOK_US         (500 * MSEC)
#define CONNECT_DEADLINE_US (30 * SEC)
#define HOST_DEADLINE_US    (60 * SEC) /* a fresh libvirtd probes QEMU for 10 s */
#define READ_DEADLINE_US    (12 * SEC)

struct inventory {
    struct agent *agent;
    struct timer *soon, *retry, *job_look, *resync, *reconnect;
    struct backoff backoff;
    bool up, connecting, host_due, host_reading, host_known, list_due, busy, resyncing;
    bool full_due;         /* libvirt was lost or never read: tell all when all is read */
    int careful;           /* a read hung: so many reads go one by one */
    char **dirty, **later; /* to read now; to read after RETRY_US */
    char **busy_vms;       /* had a job when last read: after JOB_LOOK_US */
    size_t n_dirty, n_later, n_busy_vms;
    size_t drift;          /* changes that only the resync found */
    int64_t conf_mtime_ns; /* of ceph.conf when its fsid was asked; -1: absent */
};

static void pump(struct inventory *i);

/* ---- lists of UUIDs ---------------------------------------------------------------------------- */
static void add_uuid(char ***list, size_t *n, const char *uuid)
{
    if (!str_in(uuid, *list, *n))
        *vec_add(list, n) = xstrdup(uuid);
}

static void clear_uuids(char ***list, size_t *n)
{
    for (size_t k = 0; k < *n; k++)
        free((*list)[k]);
    free(*list);
    *list = NULL;
    *n = 0;
}

void inventory_dirty(struct inventory *i, const char *uuid)
{
    add_uuid(&i->dirty, &i->n_dirty, uuid);
    timer_set(i->soon, SOON_US);
}

/* ---- events, from libvirt's thread -------------------------------------------------------------- */
struct note {
    struct inventory *inventory;
    char *text;
};

static void note_free(void *arg)
{
    struct note *n = arg;
    free(n->text);
    free(n);
}

static void post(struct inventory *i, void (*run)(void *arg), const char *text)
{
    struct note *n = xcalloc(1, sizeof(*n));
    n->inventory = i;
    n->text = xstrdup(text);
    if (loop_post(i->agent->loop, run, note_free, n) < 0)
        note_free(n); /* swamped: the resync finds what this would have told */
}

static void apply_changed(void *arg)
{
    struct note *n = arg;
    struct inventory *i = n->inventory;
    if (n->text) {
        inventory_dirty(i, n->text);
    } else {
        i->host_due = true;
        timer_set(i->soon, SOON_US);
    }
    note_free(n);
}

static void apply_lost(void *arg)
{
    struct note *n = arg;
    struct inventory *i = n->inventory;
    if (i->up) {
        log_warn("msg=\"libvirt connection lost\" reason=\"%s\"", n->text);
        i->up = false;
        i->full_due = true;
        reporter_libvirt(i->agent->reporter, false);
        session_flush(i->agent->session);
        timer_set(i->reconnect, backoff_next(&i->backoff, &i->agent->rng));
    }
    note_free(n);
}

static void on_changed(void *arg, const char *uuid)
{
    post(arg, apply_changed, uuid);
}

static void on_lost(void *arg, const char *why)
{
    post(arg, apply_lost, why);
}

/* ---- work --------------------------------------------------------------------------------------- */
struct job {
    struct inventory *inventory;
    struct hv *hv;
    struct rbd_client *rbd;
    int code;
    struct err error;
    char **uuids; /* asked for, or found */
    size_t n_uuids;
    struct vm *vms;
    int *codes;
    struct err *errors;
    struct host host;
    bool ask_fsid;
};

static void job_free(void *arg)
{
    struct job *j = arg;
    for (size_t k = 0; j->vms && k < j->n_uuids; k++)
        shape_done(&vm_shape, &j->vms[k]);
    free(j->vms);
    free(j->codes);
    free(j->errors);
    clear_uuids(&j->uuids, &j->n_uuids);
    shape_done(&host_shape, &j->host);
    free(j);
}

static struct job *job_new(struct inventory *i)
{
    struct job *j = xcalloc(1, sizeof(*j));
    j->inventory = i;
    j->hv = i->agent->hv;
    j->rbd = i->agent->rbd;
    return j;
}

/* On failure w->arg is still the caller's, and the retry timer runs. */
static bool start(struct inventory *i, const struct work *w)
{
    struct err e = {0};
    if (workers_run(i->agent->workers, w, &e) == 0)
        return true;
    log_warn("msg=\"inventory stands still\" what=%s error=\"%s\"", w->name, e.msg);
    timer_set(i->retry, RETRY_US);
    return false;
}

/* ---- connecting --------------------------------------------------------------------------------- */
static void run_connect(void *arg)
{
    struct job *j = arg;
    j->code = hv_connect(j->hv, &j->error);
}

static void connect_failed(struct inventory *i, const char *why)
{
    int64_t wait_us = backoff_next(&i->backoff, &i->agent->rng);
    i->connecting = false;
    if (i->backoff.tries == 1 || i->backoff.tries % 10 == 0)
        log_warn("msg=\"libvirt cannot be reached\" tries=%d error=\"%s\"", i->backoff.tries, why);
    timer_set(i->reconnect, wait_us);
}

static void done_connect(void *arg)
{
    struct job *j = arg;
    struct inventory *i = j->inventory;
    if (j->code < 0) {
        connect_failed(i, j->error.msg);
        return;
    }
    i->connecting = false;
    i->up = i->host_due = i->list_due = i->full_due = true;
    backoff_reset(&i->backoff);
    log_info("msg=\"connected to libvirt\" uri=%s", i->agent->cfg.libvirt);
    pump(i);
}

static void late_connect(void *arg)
{
    struct job *j = arg;
    connect_failed(j->inventory, "libvirtd does not answer");
}

static void connect_now(void *arg)
{
    struct inventory *i = arg;
    if (i->connecting)
        return;
    /* a connect that was given up as late may have come through after all */
    i->connecting = true;
    const struct work w = {.name = "libvirt-connect",
                           .run = run_connect,
                           .done = done_connect,
                           .late = late_connect,
                           .drop = job_free,
                           .arg = job_new(i),
                           .deadline_us = CONNECT_DEADLINE_US};
    if (start(i, &w))
        return;
    job_free(w.arg);
    connect_failed(i, "too many hung calls");
}

/* ---- the host ----------------------------------------------------------------------------------- */
static void run_host(void *arg)
{
    struct job *j = arg;
    j->code = hv_read_host(j->hv, &j->host, &j->error);
    if (j->ask_fsid) {
        free(j->host.ceph_fsid);
        j->host.ceph_fsid = rbd_client_conf_fsid(j->rbd, NULL);
    }
}

static void done_host(void *arg)
{
    struct job *j = arg;
    struct inventory *i = j->inventory;
    i->host_reading = false;
    if (j->code < 0) {
        log_warn("msg=\"host facts not read\" error=\"%s\"", j->error.msg);
        i->host_due = i->up;
        timer_set(i->retry, RETRY_US);
        return;
    }
    i->host_known = true;
    ownfacts_fill(i->agent, i->up, &j->host);
    reporter_host(i->agent->reporter, &j->host);
    session_flush(i->agent->session);
    pump(i);
}

static void late_host(void *arg)
{
    struct inventory *i = ((struct job *)arg)->inventory;
    log_warn("msg=\"host facts not read\" error=\"libvirt does not answer\"");
    i->host_reading = false;
    i->host_due = true;
    timer_set(i->retry, RETRY_US);
}

static void read_host(struct inventory *i)
{
    struct job *j = job_new(i);
    struct stat st;
    int64_t mtime = stat(i->agent->cfg.ceph_conf, &st) == 0
                        ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec
                        : -1;
    shape_copy(&host_shape, &j->host, reporter_host_now(i->agent->reporter));
    /* only when the file changed: the question starts a helper process */
    j->ask_fsid = mtime >= 0 && (mtime != i->conf_mtime_ns || !j->host.ceph_fsid);
    if (mtime < 0)
        free(take(j->host.ceph_fsid));
    i->conf_mtime_ns = mtime;
    i->host_due = false;
    const struct work w = {.name = "host-facts",
                           .run = run_host,
                           .done = done_host,
                           .late = late_host,
                           .drop = job_free,
                           .arg = j,
                           .deadline_us = HOST_DEADLINE_US};
    i->host_reading = start(i, &w);
    i->host_due = !i->host_reading;
    if (!i->host_reading)
        job_free(j);
}

/* ---- the list of domains ------------------------------------------------------------------------ */
static void run_list(void *arg)
{
    struct job *j = arg;
    j->code = hv_list(j->hv, &j->uuids, &j->n_uuids, &j->error);
}

static void done_list(void *arg)
{
    struct job *j = arg;
    struct inventory *i = j->inventory;
    size_t n = 0;
    i->busy = false;
    if (j->code < 0) {
        log_warn("msg=\"domains not listed\" error=\"%s\"", j->error.msg);
        i->list_due = true;
        timer_set(i->retry, RETRY_US);
        return;
    }
    for (size_t k = 0; k < j->n_uuids; k++)
        add_uuid(&i->dirty, &i->n_dirty, j->uuids[k]);
    /* those not listed any more are read too: only "no such domain" makes them gone */
    const struct vm *known = reporter_vms(i->agent->reporter, &n);
    for (size_t k = 0; k < n; k++)
        add_uuid(&i->dirty, &i->n_dirty, known[k].uuid);
    pump(i);
}

static void late_list(void *arg)
{
    struct inventory *i = ((struct job *)arg)->inventory;
    log_warn("msg=\"domains not listed\" error=\"libvirt does not answer\"");
    i->busy = false;
    i->list_due = true;
    timer_set(i->retry, RETRY_US);
}

static void read_list(struct inventory *i)
{
    i->list_due = false;
    const struct work w = {.name = "list-domains",
                           .run = run_list,
                           .done = done_list,
                           .late = late_list,
                           .drop = job_free,
                           .arg = job_new(i),
                           .deadline_us = READ_DEADLINE_US};
    i->busy = start(i, &w);
    i->list_due = !i->busy;
    if (!i->busy)
        job_free(w.arg);
}

/* ---- domains ------------------------------------------------------------------------------------ */
static void run_read(void *arg)
{
    struct job *j = arg;
    for (size_t k = 0; k < j->n_uuids; k++) {
        struct vm *v = &j->vms[k];
        j->codes[k] = hv_read_vm(j->hv, j->uuids[k], v, &j->errors[k]);
        if (j->codes[k] < 0)
            continue;
        v->xml_digest = sha256_of(v->xml);
        v->xml_inactive_digest = sha256_of(v->xml_inactive);
    }
}

/* It is there and cannot be described: it must not look absent, and must not look movable. */
static void report_unreadable(struct inventory *i, const char *uuid)
{
    struct vm v;
    if (reporter_find(i->agent->reporter, uuid))
        return; /* what was known last stands */
    shape_init(&vm_shape, &v);
    v.uuid = xstrdup(uuid);
    v.name = xstrdup(uuid);
    v.state = VM_PAUSED;
    v.job = VM_JOB_OTHER;
    reporter_vm(i->agent->reporter, &v);
}

static void apply(struct inventory *i, struct job *j, size_t k)
{
    struct reporter *r = i->agent->reporter;
    bool news = false;
    if (j->codes[k] == 0) {
        int job = j->vms[k].job;
        news = reporter_vm(r, &j->vms[k]);
        if (job == VM_JOB_MIGRATING_OUT) {
            progress_add(i->agent->progress, j->uuids[k]);
        } else if (job != VM_JOB_NONE) {
            add_uuid(&i->busy_vms, &i->n_busy_vms, j->uuids[k]);
            timer_set(i->job_look, JOB_LOOK_US);
        }
    } else if (j->codes[k] == -ENOENT) {
        news = reporter_gone(r, j->uuids[k]);
    } else {
        add_uuid(&i->later, &i->n_later, j->uuids[k]);
        if (j->codes[k] != -ENOTCONN) {
            log_warn("msg=\"domain not read\" vm=%s error=\"%s\"", j->uuids[k], j->errors[k].msg);
            report_unreadable(i, j->uuids[k]);
        }
        timer_set(i->retry, RETRY_US);
    }
    i->drift += news && i->resyncing;
}

static void done_read(void *arg)
{
    struct job *j = arg;
    struct inventory *i = j->inventory;
    bool whole = true;
    i->busy = false;
    for (size_t k = 0; k < j->n_uuids; k++) {
        apply(i, j, k);
        whole = whole && j->codes[k] != -ENOTCONN;
    }
    if (whole)
        pump(i);
    else
        i->list_due = true; /* the connection is going: nothing may be called complete now */
    session_flush(i->agent->session);
}

static void late_read(void *arg)
{
    struct job *j = arg;
    struct inventory *i = j->inventory;
    i->busy = false;
    i->careful = CAREFUL_READS;
    for (size_t k = 0; k < j->n_uuids; k++) {
        if (j->n_uuids > 1) { /* which of them hangs is found one by one */
            add_uuid(&i->dirty, &i->n_dirty, j->uuids[k]);
            continue;
        }
        log_warn("msg=\"domain not read\" vm=%s error=\"libvirt does not answer\"", j->uuids[k]);
        add_uuid(&i->later, &i->n_later, j->uuids[k]);
        report_unreadable(i, j->uuids[k]);
        timer_set(i->retry, RETRY_US);
    }
    pump(i);
}

static void read_some(struct inventory *i)
{
    size_t n = i->careful > 0 ? 1 : BATCH;
    if (i->careful > 0)
        i->careful--;
    if (n > i->n_dirty)
        n = i->n_dirty;
    struct job *j = job_new(i);
    for (size_t k = 0; k < n; k++)
        *vec_add(&j->uuids, &j->n_uuids) = i->dirty[k];
    memmove(i->dirty, i->dirty + n, (i->n_dirty - n) * sizeof(*i->dirty));
    i->n_dirty -= n;
    j->vms = xcalloc(n, sizeof(*j->vms));
    j->codes = xcalloc(n, sizeof(*j->codes));
    j->errors = xcalloc(n, sizeof(*j->errors));
    const struct work w = {.name = "read-domains",
                           .run = run_read,
                           .done = done_read,
                           .late = late_read,
                           .drop = job_free,
                           .arg = j,
                           .deadline_us = n == 1 ? READ_DEADLINE_US / 2 : READ_DEADLINE_US};
    i->busy = start(i, &w);
    if (i->busy)
        return;
    for (size_t k = 0; k < n; k++)
        add_uuid(&i->later, &i->n_later, j->uuids[k]);
    job_free(j);
}

/* ---- what next ---------------------------------------------------------------------------------- */
static void all_read(struct inventory *i)
{
    if (i->full_due) {
        size_t n = 0;
        reporter_vms(i->agent->reporter, &n);
        i->full_due = false;
        reporter_known(i->agent->reporter);
        log_info("msg=\"inventory read\" vms=%zu", n);
        malloc_trim(0); /* reading all at once needed more than keeping it does */
    }
    if (i->resyncing && i->drift)
        log_info("msg=\"resync found changes that no event told\" n=%zu", i->drift);
    i->resyncing = false;
    i->drift = 0;
    session_flush(i->agent->session);
}

static void pump(struct inventory *i)
{
    if (!i->up)
        return;
    if (i->host_due && !i->host_reading)
        read_host(i);
    if (!i->host_known || i->busy) /* guests with the host's own CPU need the host's facts first */
        return;
    if (i->list_due)
        read_list(i);
    else if (i->n_dirty)
        read_some(i);
    else
        all_read(i);
}

static void on_soon(void *arg)
{
    pump(arg);
}

static void on_retry(void *arg)
{
    struct inventory *i = arg;
    for (size_t k = 0; k < i->n_later; k++)
        add_uuid(&i->dirty, &i->n_dirty, i->later[k]);
    clear_uuids(&i->later, &i->n_later);
    pump(i);
}

static void on_job_look(void *arg)
{
    struct inventory *i = arg;
    for (size_t k = 0; k < i->n_busy_vms; k++)
        add_uuid(&i->dirty, &i->n_dirty, i->busy_vms[k]);
    clear_uuids(&i->busy_vms, &i->n_busy_vms);
    pump(i);
}

static void on_resync(void *arg)
{
    struct inventory *i = arg;
    timer_set(i->resync, i->agent->cfg.resync_us);
    if (!i->up)
        return;
    i->resyncing = i->n_dirty == 0 && !i->busy && !i->full_due;
    i->host_due = i->list_due = true;
    reporter_touch_host(i->agent->reporter);
    pump(i);
}

struct inventory *inventory_new(struct agent *a)
{
    struct inventory *i = xcalloc(1, sizeof(*i));
    struct err e = {0};
    i->agent = a;
    i->backoff = (struct backoff){.base_us = 250 * MSEC, .max_us = 10 * SEC};
    i->conf_mtime_ns = -1;
    i->full_due = true;
    i->soon = timer_new(a->loop, on_soon, i);
    i->retry = timer_new(a->loop, on_retry, i);
    i->job_look = timer_new(a->loop, on_job_look, i);
    i->resync = timer_new(a->loop, on_resync, i);
    i->reconnect = timer_new(a->loop, connect_now, i);
    const struct hv_config cfg = {
        .uri = a->cfg.libvirt, .on_changed = on_changed, .on_lost = on_lost, .arg = i};
    if (hv_new(&cfg, &a->hv, &e) < 0) {
        log_error("msg=\"libvirt's client library does not start\" error=\"%s\"", e.msg);
        abort();
    }
    struct host h;
    shape_init(&host_shape, &h);
    hv_read_kernel(&h);
    ownfacts_fill(i->agent, i->up, &h);
    reporter_host(a->reporter, &h);
    timer_set(i->resync, a->cfg.resync_us);
    timer_set(i->reconnect, 0);
    return i;
}

void inventory_free(struct inventory *i)
{
    if (!i)
        return;
    timer_free(i->soon);
    timer_free(i->retry);
    timer_free(i->job_look);
    timer_free(i->resync);
    timer_free(i->reconnect);
    clear_uuids(&i->dirty, &i->n_dirty);
    clear_uuids(&i->later, &i->n_later);
    clear_uuids(&i->busy_vms, &i->n_busy_vms);
    free(i);
}
