/* Labels of a domain, in libvirt's own metadata: they go with the domain wherever it goes. */
#include <errno.h>

#include "agent/hv/domxml.h"
#include "agent/hv/hv_int.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

struct change {
    unsigned flags; /* the running domain, or its definition */
    char *old, *next; /* NULL: no metadata of ours */
};

static void change_done(struct change *x)
{
    free(x->old);
    free(x->next);
}

static int set(virDomainPtr d, const struct change *x, const char *xml, struct err *e)
{
    if (!xml && !x->old)
        return 0; /* libvirt would call it an error to remove what is not there */
    return virDomainSetMetadata(d, VIR_DOMAIN_METADATA_ELEMENT, xml, "drover", DROVER_METADATA_NS,
                                x->flags) < 0
               ? hv_fail(e, "set metadata")
               : 0;
}

static int prepare(virDomainPtr d, const struct relabel *r, struct change *x, struct err *e)
{
    x->old = virDomainGetMetadata(d, VIR_DOMAIN_METADATA_ELEMENT, DROVER_METADATA_NS, x->flags);
    const virError *why = x->old ? NULL : virGetLastError();
    if (why && why->code != VIR_ERR_NO_DOMAIN_METADATA)
        return hv_fail(e, "read metadata");
    virResetLastError();
    return domxml_relabel(x->old, r, &x->next, e);
}

/* Both are read before one is written: bad metadata in one changes neither. */
static int relabel(virDomainPtr d, const struct relabel *r, struct change *live,
                   struct change *config, struct err *e)
{
    int active = virDomainIsActive(d), persistent = virDomainIsPersistent(d);
    enum vm_job job = VM_JOB_NONE;
    if (active < 0 || persistent < 0)
        return hv_fail(e, "read domain");
    int rc = active ? hv_job(d, &job, NULL, NULL, e) : 0;
    if (rc == 0 && job != VM_JOB_NONE) /* a migration has sent its XML already: it would be lost */
        rc = err_set(e, -EBUSY, "refused: libvirt runs a job on it (%s)", vm_job_names[job]);
    if (rc == 0 && active)
        rc = prepare(d, r, live, e);
    if (rc == 0 && persistent)
        rc = prepare(d, r, config, e);
    if (rc == 0 && active)
        rc = set(d, live, live->next, e);
    if (rc == 0 && persistent) {
        rc = set(d, config, config->next, e);
        if (rc < 0 && active) {
            struct change undo = {.flags = live->flags, .old = live->next};
            set(d, &undo, live->old, NULL);
        }
    }
    return rc;
}

int hv_relabel(struct hv *hv, const struct relabel *r, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int rc = hv_use_domain(hv, r->vm, &use, e);
    if (rc < 0)
        return rc;
    struct change live = {.flags = VIR_DOMAIN_AFFECT_LIVE},
                  config = {.flags = VIR_DOMAIN_AFFECT_CONFIG};
    rc = relabel(use.d, r, &live, &config, e);
    change_done(&live);
    change_done(&config);
    return hv_if_alive(use.c, rc, e);
}
