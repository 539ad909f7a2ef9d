#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/snapshot.h"

const char *const host_state_names[6] = {"up",          "cordoned",    "draining",
                                         "maintenance", "quarantined", "lost"};

int snap_host_id(const struct snapshot *s, const char *name)
{
    if (!name)
        return -1;
    size_t at = lower_bound(i, s->n_hosts, strcmp(s->hosts[i].h->name, name) < 0);
    return at < s->n_hosts && str_eq(s->hosts[at].h->name, name) ? (int)at : -1;
}

static int vm_cmp(const struct vm *v, const char *name, const char *uuid)
{
    int d = strcmp(v->name, name);
    return d ? d : strcmp(v->uuid, uuid);
}

int snap_vm_place(const struct snapshot *s, const char *name, const char *uuid)
{
    size_t at = lower_bound(i, s->n_vms, vm_cmp(s->vms[i].v, name, uuid) < 0);
    return at < s->n_vms && !vm_cmp(s->vms[at].v, name, uuid) ? (int)at : -1;
}
