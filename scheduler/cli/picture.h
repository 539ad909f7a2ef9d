/* scheduler/cli/picture.h: a plan as a picture: every host's memory before and after.   SVG, no script.
 * Shapes   A strip per host, all to one scale: VMs are segments, the frame is the host's memory. A VM
 *          that moves has the colour of its destination, before and after. What is beyond the frame is
 *          over capacity.
 * Bounds   at most PICTURE_HOSTS strips; in larger fleets only hosts that the plan touches.
 * Thread   any. */
#pragma once

#include "scheduler/cli/cli.h"
#include "scheduler/core/views.h"
#include "scheduler/plan/snapshot.h"

enum { PICTURE_HOSTS = 200 };

/* Gives. v: the plan, moves and stays; borrows. */
char *picture_draw(const struct snapshot *s, const struct run_view *v);
/* Into a file. An exit code; errors are printed. */
int picture_save(struct cli *c, const struct snapshot *s, const struct run_view *v,
                 const char *path);
