/* From a command to its answer: dedup, a worker with a deadline, the result. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/io/agent.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* The scheduler waits 40 s for an answer: a late one of ours must still reach it in time. */
#define COMMAND_DEADLINE_US (30 * SEC)
/* One client of libvirtd may hold only a few of its 20 workers, and a migration holds one. */
enum { MIGRATIONS_MAX = 16 };
/* An abort may overtake the migration it is for by so much. */
#define ABORT_WAIT_US (10 * SEC)

struct running {
    struct commands *commands;
    struct msg cmd, result; /* result is the worker's until done */
    struct carry carry;
    bool cancel; /* atomic: set by the loop, read by the worker */
    struct running *next;
};
struct commands {
    struct agent *agent;
    struct running *list;
};

struct commands *commands_new(struct agent *a)
{
    struct commands *c = xcalloc(1, sizeof(*c));
    c->agent = a;
    return c;
}

void commands_free(struct commands *c)
{
    if (!c)
        return;
    for (struct running *r = c->list; r; r = r->next)
        r->commands = NULL;
    free(c);
}

int commands_migrating(const struct commands *c)
{
    int n = 0;
    for (const struct running *r = c->list; r; r = r->next)
        n += r->cmd.type == MSG_MIGRATE;
    return n;
}

static const char *vm_of(const struct msg *m)
{
    switch ((int)m->type) {
    case MSG_MIGRATE:
        return ((const struct migrate *)m->body)->vm;
    case MSG_ABORT:
        return ((const struct abort_job *)m->body)->vm;
    case MSG_TUNE:
        return ((const struct tune *)m->body)->vm;
    case MSG_PROBE:
        return ((const struct probe *)m->body)->vm;
    case MSG_TIDY:
        return ((const struct tidy *)m->body)->vm;
    case MSG_POWER:
        return ((const struct power *)m->body)->vm;
    case MSG_RELABEL:
        return ((const struct relabel *)m->body)->vm;
    default:
        return NULL;
    }
}

/* Reading is routine: a drain probes every second. */
static enum log_level level_of(const struct msg *cmd)
{
    return cmd->type == MSG_MIGRATE || cmd->type == MSG_ABORT || cmd->type == MSG_TUNE ||
                   cmd->type == MSG_TIDY || cmd->type == MSG_POWER || cmd->type == MSG_RELABEL
               ? LOG_INFO
               : LOG_DEBUG;
}

static void log_result(const struct msg *cmd, const struct msg *result)
{
    const char *vm = vm_of(cmd), *error = NULL;
    int64_t job = 0;
    bool ok = true;
    if (result->type == MSG_DONE) {
        const struct done *d = result->body;
        ok = d->ok;
        error = d->error;
        job = d->job;
    } else if (result->type == MSG_MIGRATED) {
        const struct migrated *d = result->body;
        ok = d->ok;
        error = d->error;
        job = d->job;
    } else if (result->type == MSG_COUNTED) {
        ok = ((const struct counted *)result->body)->ok;
        error = ((const struct counted *)result->body)->error;
    } else if (result->type == MSG_CEPH_TOLD) {
        ok = ((const struct ceph_told *)result->body)->ok;
        error = ((const struct ceph_told *)result->body)->error;
    }
    log_line(ok ? level_of(cmd) : LOG_WARN,
             "msg=\"command ended\" command=%s job=%" PRId64 " vm=%s ok=%s error=\"%s\"",
             msg_name(cmd->type), job, vm ? vm : "-", ok ? "yes" : "no", error ? error : "");
}

/* Takes *result. */
static void answer(struct commands *c, const struct msg *cmd, struct msg *result)
{
    log_result(cmd, result);
    if (result->type == MSG_PROBED)
        ((struct probed *)result->body)->ordered = cmds_migrating(c->agent->cmds, vm_of(cmd));
    result->re = cmds_finish(c->agent->cmds, cmd, result);
    session_answer(c->agent->session, result);
    const char *vm = vm_of(cmd);
    if (vm && cmd->type != MSG_PROBE)
        inventory_dirty(c->agent->inventory, vm); /* at the latest now it is not as it was */
}

/* ---- in the worker ----------------------------------------------------------------------------- */
static void run(void *arg)
{
    struct running *r = arg;
    struct msg *m = &r->cmd;
    if (m->type == MSG_CHECK_HOST) {
        struct host_checked *h = cmds_body(MSG_HOST_CHECKED);
        r->result = (struct msg){.re = m->id, .type = MSG_HOST_CHECKED, .body = h};
        check_this_host(&r->carry, h);
        return;
    }
    /* what is free and installed is asked of libvirt at the moment of the check */
    if (m->type == MSG_CHECK_VMS && !((const struct check_vms *)m->body)->as_source)
        hv_read_host(r->carry.hv, &r->carry.host, NULL);
    carry_out(&r->carry, m, &r->result);
}

/* ---- on the loop ------------------------------------------------------------------------------- */
static void unlink_running(struct running *r)
{
    if (!r->commands)
        return;
    for (struct running **p = &r->commands->list; *p; p = &(*p)->next)
        if (*p == r) {
            *p = r->next;
            return;
        }
}

static struct running *find_migrate(const struct commands *c, const struct abort_job *a)
{
    for (struct running *r = c->list; r; r = r->next) {
        const struct migrate *m = r->cmd.body;
        if (r->cmd.type == MSG_MIGRATE && m->job == a->job && m->attempt == a->attempt &&
            str_eq(m->vm, a->vm))
            return r;
    }
    return NULL;
}

static void done(void *arg)
{
    struct running *r = arg;
    struct commands *c = r->commands;
    unlink_running(r);
    r->commands = NULL;
    if (c)
        answer(c, &r->cmd, &r->result);
}

/* The worker is left to itself: what it may still do is not known. */
static void late(void *arg)
{
    struct running *r = arg;
    struct commands *c = r->commands;
    struct msg result;
    unlink_running(r);
    r->commands = NULL;
    if (!c)
        return;
    cmds_failure(&r->cmd, "libvirt_down", "libvirt did not answer within the deadline", true,
                 &result);
    answer(c, &r->cmd, &result);
}

static void drop(void *arg)
{
    struct running *r = arg;
    unlink_running(r);
    msg_done(&r->cmd);
    msg_done(&r->result); /* session_answer has taken it, or it came too late */
    shape_done(&host_shape, &r->carry.host);
    free(r);
}

static int64_t deadline_of(const struct msg *m)
{
    if (m->type == MSG_MIGRATE)
        return 0; /* it takes what it takes; the scheduler aborts it when it must */
    if (m->type == MSG_POWER)
        return ((const struct power *)m->body)->timeout_us + COMMAND_DEADLINE_US;
    return COMMAND_DEADLINE_US;
}

/* What must be true before a worker may begin. */
static int may_start(struct commands *c, const struct msg *m, struct err *e)
{
    struct agent *a = c->agent;
    if (m->type == MSG_MIGRATE) {
        if (commands_migrating(c) >= MIGRATIONS_MAX)
            return err_set(e, -EBUSY, "%d migrations leave this host already", MIGRATIONS_MAX);
        return begun_add(a->cfg.state, m->body, e);
    }
    const struct abort_job *b = m->body;
    if (m->type == MSG_ABORT && !cmds_knows(a->cmds, b->job, b->attempt, b->vm))
        return err_set(e, -ENOENT,
                       "this migration was not begun by Drover; another's is not aborted");
    return 0;
}

static void start(struct commands *c, struct msg *m)
{
    struct agent *a = c->agent;
    struct err e = {0};
    struct running *r = xcalloc(1, sizeof(*r));
    r->commands = c;
    r->cmd = *m;
    r->carry = (struct carry){.hv = a->hv,
                              .rbd = a->rbd,
                              .cfg = &a->cfg,
                              .cancel = &r->cancel,
                              .tls = a->tls,
                              .clock_skew_us = a->clock_skew_us};
    shape_copy(&host_shape, &r->carry.host, reporter_host_now(a->reporter));
    if (m->type == MSG_ABORT) {
        struct running *moving = find_migrate(c, m->body);
        if (moving) {
            __atomic_store_n(&moving->cancel, true, __ATOMIC_RELEASE);
            r->carry.abort_wait_us = ABORT_WAIT_US;
        }
    }
    const struct work work = {
        .name = msg_name(m->type),
        .run = run,
        .done = done,
        .late = late,
        .drop = drop,
        .arg = r,
        .deadline_us = deadline_of(m),
        .unbounded = m->type == MSG_MIGRATE || m->type == MSG_POWER, /* a guest may take minutes */
    };
    int code = may_start(c, m, &e);
    if (code == 0)
        code = workers_run(a->workers, &work, &e);
    if (code < 0) {
        struct msg result;
        cmds_failure(m, code == -EBUSY ? "vm_busy" : "check_failed", e.msg, false, &result);
        answer(c, &r->cmd, &result);
        r->commands = NULL;
        drop(r);
        return;
    }
    r->next = c->list;
    c->list = r;
    if (m->type == MSG_MIGRATE)
        progress_add(a->progress, ((const struct migrate *)m->body)->vm);
}

void commands_take(struct commands *c, struct msg *m)
{
    struct msg answer_now;
    const char *vm = vm_of(m);
    switch (cmds_take(c->agent->cmds, m, &answer_now)) {
    case CMDS_RUN:
        log_line(level_of(m), "msg=\"command\" command=%s id=%" PRId64 " vm=%s", msg_name(m->type),
                 m->id, vm ? vm : "-");
        start(c, m);
        return;
    case CMDS_WAIT:
        log_info("msg=\"command repeated while it runs\" command=%s id=%" PRId64 " vm=%s",
                 msg_name(m->type), m->id, vm ? vm : "-");
        break;
    case CMDS_ANSWERED:
        log_info("msg=\"command answered without acting\" command=%s id=%" PRId64 " vm=%s",
                 msg_name(m->type), m->id, vm ? vm : "-");
        session_answer(c->agent->session, &answer_now);
        break;
    }
    msg_done(m);
}
