/* Texts of VMs' XML around the core: those of the batch under way, what the store lacks, and bounded looks
 * at the tables: after a start for what is missing, later for what no VM has any more. */
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/io/corethread_int.h"

/* A few milliseconds of reading, so that what waits in the queue hardly notices. */
enum { ROWS_AT_ONCE = 500 };
static const int64_t SWEEP_EVERY_US = SEC;

void ct_xml_came(struct corethread *t, struct xml_blobs *b)
{
    for (size_t i = 0; i < b->n; i++)
        *vec_add(&t->xml.list, &t->xml.n) = b->list[i];
    free(b->list);
    *b = (struct xml_blobs){0};
}

void ct_xml_keep(struct corethread *t, const char *digest)
{
    for (size_t i = 0; i < t->xml.n; i++)
        if (str_eq(t->xml.list[i].digest, digest)) {
            store_put_xml(t->store, &t->xml.list[i]);
            return;
        }
}

/* Older agents send them again and again: what is there is not written anew. */
static bool is_new(struct corethread *t, const struct xml_blob *x)
{
    return x->reported && !store_has_xml(t->store, x->digest);
}

bool ct_xml_due(struct corethread *t)
{
    for (size_t i = 0; i < t->xml.n; i++)
        if (is_new(t, &t->xml.list[i]))
            return true;
    return false;
}

void ct_xml_keep_reported(struct corethread *t)
{
    for (size_t i = 0; i < t->xml.n; i++)
        if (is_new(t, &t->xml.list[i]))
            store_put_xml(t->store, &t->xml.list[i]);
}

/* ---- what the store lacks ------------------------------------------------------------------------- */
static void lacks(void *arg, const char *host, const char *digest)
{
    struct corethread *t = arg;
    struct xml_lack *l = t->n_lacks ? &t->lacks[t->n_lacks - 1] : NULL;
    if (!l || !str_eq(l->host, host)) {
        l = vec_add(&t->lacks, &t->n_lacks);
        l->host = xstrdup(host);
    }
    *(char **)vec_add(&l->names.digests, &l->names.n_digests) = xstrdup(digest);
}

void ct_xml_look(struct corethread *t, const char *host, const struct vm *v)
{
    const char *const digests[] = {v->xml_digest, v->xml_inactive_digest};
    for (size_t i = 0; i < ARRAY_LEN(digests); i++)
        if (digests[i] && !store_has_xml(t->store, digests[i]))
            lacks(t, host, digests[i]);
    t->xml_changed = true;
}

void ct_xml_forget(struct corethread *t)
{
    for (size_t i = 0; i < t->n_lacks; i++) {
        free(t->lacks[i].host);
        shape_done(&xml_names_shape, &t->lacks[i].names);
    }
    free(take(t->lacks));
    t->n_lacks = 0;
}

void ct_xml_restart(struct corethread *t)
{
    ct_xml_forget(t);
    store_place_done(&t->xml_at);
    t->sweep.at[0] = '\0';
    t->xml_looking = t->xml_changed = true;
}

/* ---- a little at each tick -------------------------------------------------------------------------- */
static int look(struct corethread *t, struct err *e)
{
    const struct store_lacks to = {.limit = ROWS_AT_ONCE, .arg = t, .lacks = lacks};
    int r = store_xml_lacks(t->store, &t->xml_at, &to, e);
    t->xml_looking = r < 0 || t->xml_at.host;
    return r;
}

static int sweep(struct corethread *t, struct err *e)
{
    t->sweep.limit = ROWS_AT_ONCE;
    if (!t->sweep.at[0] && !t->xml_changed)
        return 0;
    if (!t->sweep.at[0])
        t->xml_changed = false; /* what changes from now on is for the next time round */
    int r = store_xml_sweep(t->store, &t->sweep, e);
    if (r == 0 && !t->sweep.at[0] && t->sweep.gone) {
        log_debug("msg=\"XML that no VM has any more was removed\" texts=%zu", t->sweep.gone);
        t->sweep.gone = 0;
    }
    return r;
}

int ct_xml_tend(struct corethread *t, struct err *e)
{
    int64_t now = ct_now(t);
    int r = t->xml_looking ? look(t, e) : 0;
    if (r == 0 && now - t->swept_us >= SWEEP_EVERY_US) {
        t->swept_us = now;
        r = sweep(t, e);
    }
    return r;
}
