/* Hosts that are dead, and what should be started first. */
#include <limits.h>

#include "lib/base/str.h"
#include "scheduler/plan/world.h"

void plan_host_dies(struct snapshot *s, int host)
{
    s->hosts[host].state = HOST_LOST;
    s->hosts[host].connected = false;
    for (size_t i = 0; i < s->n_vms; i++)
        if (s->vms[i].host == host && plan_counts(s, (int)i))
            s->vms[i].nowhere = true;
}

int plan_rank(const struct vm *v, const char *label)
{
    const char *text = label ? label_get(v->labels, v->n_labels, label) : NULL;
    int64_t n;
    return text && parse_int(text, 0, INT_MAX - 1, &n, NULL) == 0 ? (int)n : INT_MAX;
}
