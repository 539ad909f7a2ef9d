/* What drover-sim says of itself and of bad input. */
#include <stdio.h>

#include "scheduler/simcli/simcli.h"

const char sim_usage_text[] =
    "usage: drover-sim COMMAND\n"
    "  drain HOST --snapshot FILE            how long, which pauses; --policy DIR, --links 25Gbit, "
    "--writes 50MiB,\n"
    "                                        --die HOST@30s, --at '30s DEED', --picture FILE.svg, "
    "--log, -o json\n"
    "  replay FILE... [--quiet] [--sends]    decide anew what a scheduler recorded; is it the "
    "same?\n"
    "  run DIR [--kill-before N [--early]]   run the scenario in DIR and print what happens\n"
    "  check [--update] [--crashes N] DIR... run scenarios: each log as in DIR/log.expect, each "
    "expectation met,\n"
    "                                        and, where marked so, a crash before every effect; of N "
    "of them\n"
    "  soak FROM..TO [--crash] [--out DIR]   random fleets and faults; a violation is shrunk to a "
    "scenario\n"
    "A scenario is described in docs/simulator.md.\n";

int sim_bad(const struct err *e)
{
    fprintf(stderr, "drover-sim: %s\n", e->msg);
    return SIM_BAD;
}

int sim_usage(const char *what)
{
    fprintf(stderr, "drover-sim: %s\n%s", what, sim_usage_text);
    return SIM_USAGE;
}
