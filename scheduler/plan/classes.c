#include "scheduler/plan/classes.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

/* ---- what makes two VMs the same to PF_CLASS ---------------------------------------------------- */

struct text {
    char *s;
    size_t n, room;
};

static void put(struct text *t, const void *p, size_t n)
{
    if (t->n + n > t->room) {
        t->room = 2 * (t->n + n);
        t->s = xrealloc(t->s, t->room, 1);
    }
    memcpy(t->s + t->n, p, n);
    t->n += n;
}

/* Ends with a zero byte, which no member has: two lists of members cannot run into each other. */
static void put_text(struct text *t, char kind, const char *s)
{
    put(t, &kind, 1);
    put(t, s ? s : "", s ? strlen(s) + 1 : 1);
}

static void put_number(struct text *t, char kind, int64_t n)
{
    put(t, &kind, 1);
    put(t, &n, sizeof(n));
}

static void put_disks(struct text *t, const struct plan_world *w, int vm)
{
    const struct vm *v = w->s->vms[vm].v;
    for (size_t i = 0; i < v->n_disks; i++) {
        const struct disk *d = &v->disks[i];
        if (d->kind != DISK_RBD)
            continue;
        if (!d->n_mons && !d->conf && w->s->vms[vm].host >= 0)
            put_text(t, 'c', w->s->hosts[w->s->vms[vm].host].h->ceph_fsid);
        if (d->secret_uuid)
            put_text(t, 'u', d->secret_uuid);
        else if (d->secret_usage)
            put_text(t, 's', d->secret_usage);
    }
}

static void put_vm(struct text *t, const struct plan_world *w, const struct plan_wanted *x)
{
    const struct vm *v = w->s->vms[x->vm].v;
    put_number(t, 'k', (x->as_is ? 1 : 0) + (x->cold ? 2 : 0));
    if (x->must_leave)
        put_number(t, 'h', w->s->vms[x->vm].host);
    if (w->name_shared[x->vm] || plan_any_refused(w, x->vm))
        put_number(t, 'i', x->vm);
    put_text(t, 'a', v->arch);
    put_text(t, 'v', v->virt);
    put_text(t, 'm', v->machine);
    for (size_t i = 0; i < v->n_nics; i++)
        if (v->nics[i].kind == NIC_BRIDGE || v->nics[i].kind == NIC_NETWORK)
            put_text(t, v->nics[i].kind == NIC_BRIDGE ? 'b' : 'n', v->nics[i].source);
    put_disks(t, w, x->vm);
    if (v->hugepage_bytes)
        put_number(t, 'p', v->hugepage_size_bytes);
    for (size_t i = w->rules_start[x->vm]; i < w->rules_start[x->vm + 1]; i++)
        if (plan_rule_about_hosts(&w->p->rules[w->rules[i]]))
            put_number(t, 'r', w->rules[i]);
}

/* ---- VMs of one text are one class ------------------------------------------------------------- */

struct keyed {
    const char *text;
    size_t len;
    size_t at; /* in the list */
};

static int by_text(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    int k = memcmp(x->text, y->text, x->len);
    return k ? k : (x->at > y->at) - (x->at < y->at);
}

static bool takes(const struct plan_world *w, const struct plan_wanted *x, int host, bool cold)
{
    const struct vm *v = w->s->vms[x->vm].v;
    int sets = x->must_leave ? PF_STATIC : PF_CLASS;
    struct plan_ask q = {.vm = x->vm, .host = host};
    if (v->hugepage_bytes && v->hugepage_size_bytes &&
        v->hugepage_size_bytes != w->s->hosts[host].h->hugepage_size_bytes)
        return false;
    if (!x->must_leave && (w->name_shared[x->vm] || plan_any_refused(w, x->vm)) &&
        w->s->vms[x->vm].host != host)
        sets = PF_STATIC;
    if (x->as_is && plan_filter(w, &q, sets, NULL))
        return true;
    q.cold = true;
    return cold && x->cold && plan_filter(w, &q, sets, NULL);
}

static uint64_t *make_set(const struct plan_world *w, const struct plan_wanted *x, bool cold)
{
    uint64_t *bits = xcalloc(plan_set_words(w->s->n_hosts), sizeof(*bits));
    for (size_t h = 0; h < w->s->n_hosts; h++)
        if (takes(w, x, (int)h, cold))
            bits[h >> 6] |= UINT64_C(1) << (h & 63);
    return bits;
}

void plan_classes_make(const struct plan_world *w, const struct plan_wanted *list, size_t n,
                       bool cold, struct plan_classes *ret)
{
    cleanup(freep) struct keyed *keys = xcalloc(n, sizeof(*keys));
    cleanup(freep) size_t *end = xcalloc(n + 1, sizeof(*end));
    struct text t = {0};
    for (size_t i = 0; i < n; i++) {
        put_vm(&t, w, &list[i]);
        end[i + 1] = t.n;
    }
    for (size_t i = 0; i < n; i++)
        keys[i] = (struct keyed){t.s + end[i], end[i + 1] - end[i], i};
    if (n > 1)
        qsort(keys, n, sizeof(*keys), by_text);
    *ret = (struct plan_classes){.class_of = xcalloc(n, sizeof(*ret->class_of))};
    for (size_t i = 0; i < n; i++) {
        bool same = i && keys[i].len == keys[i - 1].len &&
                    !memcmp(keys[i].text, keys[i - 1].text, keys[i].len);
        if (!same)
            *vec_add(&ret->sets, &ret->n_sets) = make_set(w, &list[keys[i].at], cold);
        ret->class_of[keys[i].at] = (int)ret->n_sets - 1;
    }
    free(t.s);
}

void plan_classes_done(struct plan_classes *c)
{
    for (size_t i = 0; i < c->n_sets; i++)
        free(c->sets[i]);
    free(c->sets);
    free(c->class_of);
    *c = (struct plan_classes){0};
}
