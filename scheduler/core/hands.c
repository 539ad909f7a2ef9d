/* Other hands: somebody moves VMs that Drover has moved. Nothing is kept for that: Drover's own moves say
 * where it put a VM, and where the next one found it, or where it is now, says whether it stayed there. */
#include "scheduler/core/internal.h"

/* Two that disagree about a VM show it within a day; a week would punish one mistake for long. */
#define CONTEST_US (INT64_C(24) * 3600 * SEC)
enum { CONTEST_MOVES = 2 };

/* The newest moves by others, of those within CONTEST_US before now: the time of Drover's move that was
 * undone by the n-th, 0 when there are fewer. on: where it is. */
static int64_t undone(const struct core *c, const char *uuid, const char *on, int n)
{
    const struct move_slot *m = lookup_get(&c->moved, uuid);
    for (; m; m = m->before) {
        if (m->m.state != JOB_DONE)
            continue;
        if (m->m.ended_wall_us < c->wall_us - CONTEST_US)
            return 0;
        if (!str_eq(m->m.to, on) && --n == 0)
            return m->m.ended_wall_us;
        on = m->m.from;
    }
    return 0;
}

/* The one that runs, of those with this UUID. */
static const struct vm_slot *runs_at(const struct core *c, const char *uuid)
{
    const struct vm_slot *first = lookup_get(&c->vms, uuid), *v = first;
    while (v && !vm_active(v->vm.state))
        v = v->twin == first ? NULL : v->twin;
    return v ? v : first;
}

struct contested *core_contested(const struct core *c, size_t *ret_n)
{
    struct contested *list = NULL;
    *ret_n = 0;
    for (size_t i = 0; i < c->n_moves; i++) {
        const struct move_slot *m = c->moves[i];
        bool newest = lookup_get(&c->moved, m->m.vm) == m;
        const struct vm_slot *v = newest ? runs_at(c, m->m.vm) : NULL;
        int64_t until = v ? vm_contested_until(c, m->m.vm, v->host->rec.name) : 0;
        if (until)
            *(struct contested *)vec_add(&list, ret_n) =
                (struct contested){v->vm.name, v->host->rec.name, until};
    }
    return list;
}

int64_t vm_contested_until(const struct core *c, const char *uuid, const char *on)
{
    int64_t since_us = undone(c, uuid, on, CONTEST_MOVES);
    return since_us ? since_us + CONTEST_US : 0;
}
