/* What each command does, in a worker: asks libvirt and Ceph, fills the answer. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/io/agent.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* Ceph's word on every RBD disk, each with the key of its own secret. */
static void ask_ceph(const struct carry *c, const struct disk *disks, size_t n_disks,
                     struct image_fact **ret, size_t *ret_n)
{
    struct disk *ask = xcalloc(n_disks, sizeof(*ask)); /* borrowed copies */
    char **keys = xcalloc(n_disks, sizeof(*keys));
    struct image_fact *facts = xcalloc(n_disks, sizeof(*facts));
    struct image_fact *list = NULL;
    size_t n_ask = 0, n = 0;
    for (size_t i = 0; i < n_disks; i++) {
        struct err e = {0};
        if (disks[i].kind != DISK_RBD)
            continue;
        if (hv_secret_key(c->hv, &disks[i], &keys[n_ask], &e) < 0)
            rbd_fact_error(&disks[i], e.code == -ENOTCONN ? "libvirt_down" : "secret", e.msg,
                           vec_add(&list, &n));
        else
            ask[n_ask++] = disks[i];
    }
    if (n_ask)
        rbd_client_ask(c->rbd, ask, keys, n_ask, facts);
    for (size_t i = 0; i < n_ask; i++) {
        *vec_add(&list, &n) = facts[i];
        if (keys[i])
            explicit_bzero(keys[i], strlen(keys[i]));
        free(keys[i]);
    }
    free(ask);
    free(keys);
    free(facts);
    *ret = list;
    *ret_n = n;
}

static void ask_health(const struct carry *c, const struct ask_ceph *in, struct ceph_told *out)
{
    struct err e = {0};
    char *key = NULL;
    if (hv_secret_key(c->hv, &in->disk, &key, &e) < 0) {
        out->code = xstrdup(e.code == -ENOTCONN ? "libvirt_down" : "secret");
        out->error = xstrdup(e.msg);
        return;
    }
    rbd_client_health(c->rbd, &in->disk, key, out);
    if (key)
        explicit_bzero(key, strlen(key));
    free(key);
}

static void check_one(const struct carry *c, const struct vm *v, bool as_source,
                      struct verdict *ret)
{
    struct err e = {0};
    ret->uuid = xstrdup(v->uuid);
    int r = as_source ? hv_check_source(c->hv, v, &ret->reasons, &ret->n_reasons, &e)
                      : hv_check_target(c->hv, &c->host, v, &ret->reasons, &ret->n_reasons, &e);
    if (r < 0) {
        struct reason *x = vec_add(&ret->reasons, &ret->n_reasons);
        shape_init(&reason_shape, x);
        x->code = r == -ENOTCONN ? R_LIBVIRT_DOWN : R_CHECK_FAILED;
        x->have = xstrdup(e.msg);
    }
}

/* All disks of all VMs are one question: Ceph answers them side by side. */
static void check_vms(const struct carry *c, const struct check_vms *in, struct vms_checked *out)
{
    struct disk *disks = NULL;
    size_t n_disks = 0;
    for (size_t i = 0; i < in->n_vms; i++) {
        check_one(c, &in->vms[i], in->as_source, vec_add(&out->verdicts, &out->n_verdicts));
        for (size_t k = 0; k < in->vms[i].n_disks; k++)
            *vec_add(&disks, &n_disks) = in->vms[i].disks[k];
    }
    struct image_fact *facts = NULL;
    size_t n_facts = 0;
    ask_ceph(c, disks, n_disks, &facts, &n_facts);
    free(disks);
    /* hand each fact to the VM and disk it is about: pool, namespace and image name it */
    for (size_t i = 0; i < in->n_vms; i++)
        for (size_t k = 0; k < in->vms[i].n_disks; k++) {
            const struct disk *d = &in->vms[i].disks[k];
            for (size_t f = 0; d->kind == DISK_RBD && f < n_facts; f++)
                if (str_eq(facts[f].target, d->target) && str_eq(facts[f].pool, d->pool) &&
                    str_eq(facts[f].ns, d->ns) && str_eq(facts[f].image, d->image)) {
                    struct verdict *v = &out->verdicts[i];
                    shape_copy(&image_fact_shape, vec_add(&v->images, &v->n_images), &facts[f]);
                    break;
                }
        }
    for (size_t f = 0; f < n_facts; f++)
        shape_done(&image_fact_shape, &facts[f]);
    free(facts);
}

static void probe(const struct carry *c, const struct probe *in, struct probed *out)
{
    hv_probe(c->hv, in->vm, out);
    out->job = in->job;
    out->attempt = in->attempt;
    ask_ceph(c, in->disks, in->n_disks, &out->images, &out->n_images);
}

/* An order to abort may overtake the migration's own way to libvirt: then it is tried again. */
static int abort_job(const struct carry *c, const char *vm, struct err *e)
{
    int64_t until_us = clock_mono_us() + c->abort_wait_us;
    for (;;) {
        int r = hv_abort(c->hv, vm, e);
        if (r != -EINVAL || clock_mono_us() > until_us)
            return r;
        struct timespec pause = {.tv_nsec = 200 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
}

static void fill_done(struct done *d, int64_t start_us, int r, const struct err *e,
                      const char *code)
{
    d->ok = r == 0;
    d->took_us = clock_mono_us() - start_us;
    if (r < 0) {
        d->code = xstrdup(r == -ENOTCONN && !str_eq(code, "peer") ? "libvirt_down" : code);
        d->error = xstrdup(e->msg);
    }
}

static void carry_done(const struct carry *c, const struct msg *m, struct done *d)
{
    int64_t start_us = clock_mono_us();
    struct err e = {0};
    int r = -EPROTO;
    const char *code = "check_failed";
    switch ((int)m->type) {
    case MSG_CHECK_PEER:
        r = hv_check_peer(c->hv, ((const struct check_peer *)m->body)->uri, &e);
        code = "peer";
        break;
    case MSG_ABORT: {
        const struct abort_job *b = m->body;
        d->job = b->job;
        d->attempt = b->attempt;
        r = abort_job(c, b->vm, &e);
        break;
    }
    case MSG_TUNE: {
        const struct tune *b = m->body;
        d->job = b->job;
        d->attempt = b->attempt;
        r = hv_tune(c->hv, b, &e);
        break;
    }
    case MSG_TIDY: {
        const struct tidy *b = m->body;
        d->job = b->job;
        d->attempt = b->attempt;
        r = hv_tidy(c->hv, b->vm, (enum tidy_op)b->op, &e);
        code = r == -EINVAL ? "vm_state" : code;
        break;
    }
    case MSG_POWER: {
        const struct power *b = m->body;
        d->job = b->job;
        d->attempt = b->attempt;
        r = hv_power(c->hv, b, &e);
        code = r == -ETIMEDOUT ? "deadline" : code;
        break;
    }
    case MSG_RELABEL:
        r = hv_relabel(c->hv, m->body, &e);
        code = r == -EBUSY ? "vm_busy" : r == -ENOENT ? "not_found" : code;
        break;
    default:
        err_set(&e, r, "'%s' is no command", msg_name(m->type));
        break;
    }
    fill_done(d, start_us, r, &e, code);
}

void carry_out(const struct carry *c, const struct msg *m, struct msg *ret)
{
    static const struct {
        enum msg_type in, out;
    } answers[] = {
        {MSG_CHECK_VMS, MSG_VMS_CHECKED}, {MSG_CHECK_HOST, MSG_HOST_CHECKED},
        {MSG_MIGRATE, MSG_MIGRATED},      {MSG_PROBE, MSG_PROBED},
        {MSG_CENSUS, MSG_COUNTED},        {MSG_ASK_CEPH, MSG_CEPH_TOLD},
    };
    *ret = (struct msg){.re = m->id, .type = MSG_DONE};
    for (size_t i = 0; i < ARRAY_LEN(answers); i++)
        if (answers[i].in == m->type)
            ret->type = answers[i].out;
    ret->body = cmds_body(ret->type);
    switch ((int)m->type) {
    case MSG_CHECK_VMS:
        check_vms(c, m->body, ret->body);
        break;
    case MSG_MIGRATE:
        hv_migrate(c->hv, m->body, c->cancel, ret->body);
        break;
    case MSG_PROBE:
        probe(c, m->body, ret->body);
        break;
    case MSG_CENSUS:
        hv_census(c->hv, ret->body);
        break;
    case MSG_ASK_CEPH:
        ask_health(c, m->body, ret->body);
        break;
    default:
        carry_done(c, m, ret->body);
        break;
    }
}
