/* scheduler/simcli/timeline.h: a run as a picture: hosts as rows, moves as bars over time (SVG).
 * Errors   -errno with the file's name.   Thread main. */
#pragma once

#include "scheduler/sim/sim.h"

int timeline_write(const struct sim *s, int64_t run, const char *path, struct err *e);
