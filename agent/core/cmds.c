#include "agent/core/cmds.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

/* The VM is part of it: job numbers begin anew when a scheduler is set up again from nothing. */
struct key {
    enum msg_type type;
    int64_t job, attempt, op;
    const char *vm;
};
struct entry {
    struct key key;
    bool running;
    char *vm;   /* key.vm points here */
    int64_t id; /* latest that asked */
    struct msg result;
};
struct cmds {
    int64_t term;
    struct entry *list; /* oldest first */
    size_t n;
};

struct cmds *cmds_new(void)
{
    return xcalloc(1, sizeof(struct cmds));
}

static void forget(struct cmds *c, struct entry *x)
{
    free(x->vm);
    msg_done(&x->result);
    vec_del(c->list, &c->n, (size_t)(x - c->list));
}

static struct entry *add(struct cmds *c, const struct key *k)
{
    struct entry *x = vec_add(&c->list, &c->n);
    x->key = *k;
    x->key.vm = x->vm = xstrdup(k->vm);
    return x;
}

void cmds_free(struct cmds *c)
{
    if (!c)
        return;
    while (c->n)
        forget(c, &c->list[c->n - 1]);
    free(c->list);
    free(c);
}

void *cmds_body(enum msg_type type)
{
    const struct shape *s = msg_shape(type);
    void *body = xcalloc(1, s->size);
    shape_init(s, body);
    return body;
}

void cmds_copy(struct msg *dst, const struct msg *src)
{
    *dst = *src;
    dst->body = xcalloc(1, msg_shape(src->type)->size);
    shape_copy(msg_shape(src->type), dst->body, src->body);
}

bool cmds_term(struct cmds *c, int64_t term)
{
    if (term < c->term)
        return false;
    c->term = term;
    return true;
}

int64_t cmds_term_seen(const struct cmds *c)
{
    return c->term;
}

static int64_t term_of(const struct msg *m)
{
    switch ((int)m->type) {
    case MSG_CHECK_VMS:
        return ((const struct check_vms *)m->body)->term;
    case MSG_CHECK_PEER:
        return ((const struct check_peer *)m->body)->term;
    case MSG_CHECK_HOST:
        return ((const struct check_host *)m->body)->term;
    case MSG_MIGRATE:
        return ((const struct migrate *)m->body)->term;
    case MSG_ABORT:
        return ((const struct abort_job *)m->body)->term;
    case MSG_TUNE:
        return ((const struct tune *)m->body)->term;
    case MSG_PROBE:
        return ((const struct probe *)m->body)->term;
    case MSG_TIDY:
        return ((const struct tidy *)m->body)->term;
    case MSG_POWER:
        return ((const struct power *)m->body)->term;
    case MSG_RELABEL:
        return ((const struct relabel *)m->body)->term;
    case MSG_CENSUS:
        return ((const struct census *)m->body)->term;
    case MSG_SEND_XML:
        return ((const struct send_xml *)m->body)->term;
    case MSG_ASK_CEPH:
        return ((const struct ask_ceph *)m->body)->term;
    default:
        return 0;
    }
}

/* False: commands of this type are not remembered. */
static bool key_of(const struct msg *m, struct key *ret)
{
    *ret = (struct key){.type = m->type};
    switch ((int)m->type) {
    case MSG_MIGRATE: {
        const struct migrate *b = m->body;
        ret->job = b->job;
        ret->attempt = b->attempt;
        ret->vm = b->vm;
        return true;
    }
    case MSG_ABORT: {
        const struct abort_job *b = m->body;
        ret->job = b->job;
        ret->attempt = b->attempt;
        ret->vm = b->vm;
        return true;
    }
    case MSG_TIDY: {
        const struct tidy *b = m->body;
        ret->job = b->job;
        ret->attempt = b->attempt;
        ret->vm = b->vm;
        ret->op = b->op;
        return true;
    }
    case MSG_POWER: {
        const struct power *b = m->body;
        ret->job = b->job;
        ret->attempt = b->attempt;
        ret->vm = b->vm;
        ret->op = b->op;
        return true;
    }
    default:
        return false;
    }
}

static struct entry *find(const struct cmds *c, const struct key *k)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct key *x = &c->list[i].key;
        if (x->type == k->type && x->job == k->job && x->attempt == k->attempt && x->op == k->op &&
            str_eq(x->vm, k->vm))
            return &c->list[i];
    }
    return NULL;
}

static void make_room(struct cmds *c)
{
    for (size_t i = 0; c->n >= CMDS_KEPT && i < c->n; i++)
        if (!c->list[i].running) {
            forget(c, &c->list[i]);
            return;
        }
}

static size_t running(const struct cmds *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += c->list[i].running;
    return n;
}

static bool succeeded(const struct msg *result)
{
    if (result->type == MSG_DONE)
        return ((const struct done *)result->body)->ok;
    if (result->type == MSG_MIGRATED)
        return ((const struct migrated *)result->body)->ok;
    return true;
}

enum cmds_verdict cmds_take(struct cmds *c, const struct msg *m, struct msg *ret)
{
    if (!cmds_term(c, term_of(m))) {
        cmds_failure(m, "stale_term", "a scheduler with a higher term leads now", false, ret);
        return CMDS_ANSWERED;
    }
    struct key k;
    if (!key_of(m, &k))
        return CMDS_RUN;
    struct entry *x = find(c, &k);
    if (x && x->running) {
        x->id = m->id;
        return CMDS_WAIT;
    }
    if (x && (k.type == MSG_MIGRATE || succeeded(&x->result))) {
        cmds_copy(ret, &x->result);
        ret->id = 0;
        ret->re = m->id;
        return CMDS_ANSWERED;
    }
    if (running(c) >= CMDS_RUNNING_MAX) {
        cmds_failure(m, "check_failed", "the agent carries out as many commands as it may", false,
                     ret);
        return CMDS_ANSWERED;
    }
    if (x)
        forget(c, x);
    make_room(c);
    x = add(c, &k);
    x->running = true;
    x->id = m->id;
    return CMDS_RUN;
}

int64_t cmds_finish(struct cmds *c, const struct msg *m, const struct msg *result)
{
    struct key k;
    struct entry *x = key_of(m, &k) ? find(c, &k) : NULL;
    if (!x || !x->running)
        return m->id;
    x->running = false;
    cmds_copy(&x->result, result);
    return x->id;
}

void cmds_begun(struct cmds *c, int64_t job, int64_t attempt, const char *vm)
{
    struct key k = {.type = MSG_MIGRATE, .job = job, .attempt = attempt, .vm = vm};
    if (find(c, &k))
        return;
    make_room(c);
    struct entry *x = add(c, &k);
    struct migrated *b = cmds_body(MSG_MIGRATED);
    b->job = job;
    b->attempt = attempt;
    b->vm = xstrdup(vm);
    b->began = true;
    b->code = xstrdup("migrate_failed");
    b->error = xstrdup("the agent was restarted while it ran; its outcome must be looked for");
    x->result = (struct msg){.type = MSG_MIGRATED, .body = b};
}

bool cmds_knows(const struct cmds *c, int64_t job, int64_t attempt, const char *vm)
{
    struct key k = {.type = MSG_MIGRATE, .job = job, .attempt = attempt, .vm = vm};
    return find(c, &k) != NULL;
}

bool cmds_migrating(const struct cmds *c, const char *vm)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].running && c->list[i].key.type == MSG_MIGRATE && str_eq(c->list[i].vm, vm))
            return true;
    return false;
}

/* ---- answers that say no ----------------------------------------------------------------------- */
static void fail_checks(const struct check_vms *in, const char *code, const char *error,
                        struct vms_checked *out)
{
    for (size_t i = 0; i < in->n_vms; i++) {
        struct verdict *v = vec_add(&out->verdicts, &out->n_verdicts);
        v->uuid = xstrdup(in->vms[i].uuid);
        struct reason *r = vec_add(&v->reasons, &v->n_reasons);
        shape_init(&reason_shape, r);
        r->code = (int)reason_from_token(code);
        r->have = xstrdup(error);
    }
}

static void *fail_job(int64_t job, int64_t attempt, const char *code, const char *error)
{
    struct done *d = cmds_body(MSG_DONE);
    d->job = job;
    d->attempt = attempt;
    d->code = xstrdup(code);
    d->error = xstrdup(error);
    return d;
}

static void *fail_migrate(const struct migrate *in, const char *code, const char *error, bool began)
{
    struct migrated *out = cmds_body(MSG_MIGRATED);
    out->job = in->job;
    out->attempt = in->attempt;
    out->vm = xstrdup(in->vm);
    out->began = began;
    out->code = xstrdup(code);
    out->error = xstrdup(error);
    return out;
}

static void *fail_probe(const struct probe *in, const char *error)
{
    struct probed *out = cmds_body(MSG_PROBED);
    out->job = in->job;
    out->attempt = in->attempt;
    out->vm = xstrdup(in->vm);
    out->seen = SEEN_ERROR;
    out->detail = xstrdup(error);
    return out;
}

static void *fail_host_check(const char *error)
{
    struct host_checked *out = cmds_body(MSG_HOST_CHECKED);
    struct check_item *i = vec_add(&out->items, &out->n_items);
    i->name = xstrdup("agent");
    i->verdict = 2;
    i->text = xstrdup(error);
    i->cure = xstrdup("look at the agent's log on that host");
    return out;
}

void cmds_failure(const struct msg *m, const char *code, const char *error, bool began,
                  struct msg *ret)
{
    struct key k;
    key_of(m, &k);
    ret->id = 0;
    ret->re = m->id;
    switch ((int)m->type) {
    case MSG_CHECK_VMS:
        ret->type = MSG_VMS_CHECKED;
        ret->body = cmds_body(MSG_VMS_CHECKED);
        fail_checks(m->body, code, error, ret->body);
        return;
    case MSG_MIGRATE:
        ret->type = MSG_MIGRATED;
        ret->body = fail_migrate(m->body, code, error, began);
        return;
    case MSG_PROBE:
        ret->type = MSG_PROBED;
        ret->body = fail_probe(m->body, error);
        return;
    case MSG_CHECK_HOST:
        ret->type = MSG_HOST_CHECKED;
        ret->body = fail_host_check(error);
        return;
    case MSG_CENSUS: {
        struct counted *out = cmds_body(MSG_COUNTED);
        out->error = xstrdup(error);
        ret->type = MSG_COUNTED;
        ret->body = out;
        return;
    }
    case MSG_ASK_CEPH: {
        struct ceph_told *out = cmds_body(MSG_CEPH_TOLD);
        out->code = xstrdup(code);
        out->error = xstrdup(error);
        ret->type = MSG_CEPH_TOLD;
        ret->body = out;
        return;
    }
    case MSG_TUNE: {
        const struct tune *t = m->body;
        k.job = t->job;
        k.attempt = t->attempt;
        break;
    }
    default:
        break;
    }
    ret->type = MSG_DONE;
    ret->body = fail_job(k.job, k.attempt, code, error);
}
