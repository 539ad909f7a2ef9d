/* `drover label`: the agent of the VM's host writes its labels into libvirt's metadata; the next report
 * brings them back. The request is answered when the agent has. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "lib/base/limits.h"
#include "scheduler/core/internal.h"

/* Printable, no space, and none of what separates labels on a command line. */
static bool key_good(const char *key)
{
    size_t n = key ? strlen(key) : 0;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)key[i]) && !strchr("._/-", key[i]))
            return false;
    return n > 0 && n <= LIM_LABEL_KEY_BYTES;
}

static bool value_good(const char *value)
{
    size_t n = value ? strlen(value) : LIM_LABEL_VALUE_BYTES + 1;
    for (size_t i = 0; i < n && n <= LIM_LABEL_VALUE_BYTES; i++)
        if (iscntrl((unsigned char)value[i]))
            return false;
    return n <= LIM_LABEL_VALUE_BYTES;
}

static bool labels_good(struct core *c, int64_t id, const struct request *req)
{
    const char *key = NULL, *value = NULL;
    if (!req->n_labels && !req->n_drop_labels)
        return answer_text(c, id, 400, 64, "bad_option", 0,
                           "no label: expected KEY=VALUE to set one, KEY- to remove one"),
               false;
    for (size_t i = 0; i < req->n_drop_labels && !key; i++)
        key = key_good(req->drop_labels[i]) ? NULL : req->drop_labels[i];
    for (size_t i = 0; i < req->n_labels && !key && !value; i++) {
        key = key_good(req->labels[i].key) ? NULL : req->labels[i].key;
        value = value_good(req->labels[i].value) ? NULL : req->labels[i].key;
    }
    if (key)
        answer_text(c, id, 400, 64, "bad_option", 0,
                    "label '%s': a key is 1 to %d letters, digits, '.', '_', '/' or '-'; nothing was "
                    "changed",
                    key, LIM_LABEL_KEY_BYTES);
    else if (value)
        answer_text(c, id, 400, 64, "bad_option", 0,
                    "label '%s': a value is at most %d bytes without control characters; nothing "
                    "was changed",
                    value, LIM_LABEL_VALUE_BYTES);
    return !key && !value;
}

static struct vm_slot *slot_of(struct core *c, int64_t id, const char *name)
{
    struct snapshot_store snap;
    struct err e = {0};
    snapshot_make(c, 0, 0, &snap);
    int vm = snapshot_vm_named(&snap.s, name ? name : "", &e);
    const char *uuid = vm < 0 ? NULL : snap.s.vms[vm].v->uuid;
    struct host_slot *h = vm < 0 ? NULL : host_find(c, snap.s.hosts[snap.s.vms[vm].host].h->name);
    struct vm_slot *s = h ? vm_find(h, uuid) : NULL;
    snapshot_done(&snap);
    if (!s)
        answer_text(c, id, 404, 6, vm == -EEXIST ? "ambiguous_vm" : "unknown_vm", 0, "%s",
                    vm < 0 ? e.msg : "the VM is gone");
    return s;
}

/* "app=db (was web), tier removed": what the request makes of the VM's labels. NULL: nothing. Gives. */
static char *changes(const struct request *req, const struct vm *v)
{
    char *text = NULL;
    for (size_t i = 0; i < req->n_labels; i++) {
        const struct label *l = &req->labels[i];
        const char *was = label_get(v->labels, v->n_labels, l->key);
        if (str_eq(was, l->value))
            continue;
        set_fmt(&text, "%s%s%s=%s%s%s%s", text ? text : "", text ? ", " : "", l->key, l->value,
                was ? " (was " : "", was ? was : "", was ? ")" : "");
    }
    for (size_t i = 0; i < req->n_drop_labels; i++)
        if (label_get(v->labels, v->n_labels, req->drop_labels[i]))
            set_fmt(&text, "%s%s%s removed", text ? text : "", text ? ", " : "",
                    req->drop_labels[i]);
    return text;
}

void label_do(struct core *c, int64_t id, const struct request *req)
{
    struct vm_slot *s = labels_good(c, id, req) ? slot_of(c, id, req->vm) : NULL;
    if (!s)
        return;
    cleanup(freep) char *text = changes(req, &s->vm);
    const struct move_slot *m = move_of_vm(c, s->vm.uuid);
    const char *host = s->host->rec.name;
    if (!text) {
        answer_text(c, id, 200, 0, "already", 0, "vm/%s has these labels already; nothing was changed",
                    s->vm.name);
        return;
    }
    if (m && m->began) {
        answer_text(c, id, 409, 6, "vm_busy", m->m.run,
                    "vm/%s is moving (run/%lld): labels written now could be lost on the way; nothing "
                    "was changed. Try again when it has moved",
                    s->vm.name, (long long)m->m.run);
        return;
    }
    struct relabel *b = body_new(MSG_RELABEL);
    b->term = c->cfg.term;
    b->vm = xstrdup(s->vm.uuid);
    for (size_t i = 0; i < req->n_labels; i++)
        shape_copy(&label_shape, vec_add(&b->set, &b->n_set), &req->labels[i]);
    for (size_t i = 0; i < req->n_drop_labels; i++)
        *vec_add(&b->drop, &b->n_drop) = xstrdup(req->drop_labels[i]);
    struct ask want = {.what = ASK_RELABEL, .host = s->host->rec.name, .vm = s->vm.name, .request_id = id};
    if (!ask(c, want, MSG_RELABEL, b)) {
        answer_text(c, id, 409, 6, "host_unreachable", 0,
                    "the agent of host/%s, where vm/%s is, is not connected; nothing was changed. "
                    "Start drover-agent there, or check its network",
                    host, s->vm.name);
        return;
    }
    struct pending *p = vec_add(&c->pending, &c->n_pending);
    p->request_id = id;
    p->waiting = 1;
    p->reply.message = xasprintf("vm/%s on host/%s: %s", s->vm.name, host, text);
    say(c, (struct about){.host = host, .vm = s->vm.name, .actor = req->actor}, "vm.label",
        "labels of vm/%s: %s, by %s%s%s", s->vm.name, text, req->actor ? req->actor : "?",
        req->reason ? ": " : "", req->reason ? req->reason : "");
}

void label_answer(struct core *c, const struct ask *a, const struct msg *m)
{
    struct pending *p = pending_find(c, a->request_id);
    const struct done *d = m && m->type == MSG_DONE ? m->body : NULL;
    if (!p)
        return;
    if (d && d->ok)
        answer_text(c, a->request_id, 200, 0, "labelled", 0, "%s", p->reply.message);
    else
        answer_text(c, a->request_id, d ? 409 : 504, 1, d && d->code ? d->code : "no_answer", 0,
                    "vm/%s not labelled by host/%s: %s", a->vm, a->host,
                    d && d->error ? d->error
                                  : "its agent did not answer in time; whether the labels were "
                                    "written is not known (drover vms -o wide shows them)");
    if (!d || !d->ok)
        say(c, (struct about){.host = a->host, .vm = a->vm}, "vm.label",
            "vm/%s not labelled: %s", a->vm, d && d->error ? d->error : "no answer from its agent");
    pending_drop(c, p);
}
