/* scheduler/simcli/simcli.h: the commands of drover-sim.
 * Exit     0 all well; 1 something did not hold; 2 the input is bad (said where); 64 usage.
 * Thread   main. */
#pragma once

#include "lib/base/err.h"

enum { SIM_OK = 0, SIM_WRONG = 1, SIM_BAD = 2, SIM_USAGE = 64 };

/* argv[0] is the command's word. */
int sim_cmd_run(int argc, char **argv);
int sim_cmd_check(int argc, char **argv);
int sim_cmd_soak(int argc, char **argv);
int sim_cmd_drain(int argc, char **argv);
int sim_cmd_replay(int argc, char **argv);

extern const char sim_usage_text[];
int sim_bad(const struct err *e); /* says it; SIM_BAD */
int sim_usage(const char *what);  /* says it; SIM_USAGE */
