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

int64_t vm_contested_until(const struct core *c, const char *uuid, const char *on)
{
    int64_t since_us = undone(c, uuid, on, CONTEST_MOVES);
    return since_us ? since_us + CONTEST_US : 0;
}
