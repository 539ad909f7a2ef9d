/* drover-sim: the scheduler's own core and planner in virtual time. */
#include <stdio.h>

#include "lib/base/str.h"
#include "scheduler/simcli/simcli.h"

static const char usage_text[] =
    "usage: drover-sim COMMAND\n"
    "  run DIR [--kill-before N [--early]]   run the scenario in DIR and print what happens\n"
    "  check [--update] DIR...               run scenarios: each log as in DIR/log.expect, each "
    "expectation met,\n"
    "                                        and, where marked so, a crash before every effect\n"
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
    fprintf(stderr, "drover-sim: %s\n%s", what, usage_text);
    return SIM_USAGE;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *word;
        int (*run)(int argc, char **argv);
    } commands[] = {{"run", sim_cmd_run}, {"check", sim_cmd_check}, {"soak", sim_cmd_soak}};
    const char *names[ARRAY_LEN(commands)];
    if (argc < 2)
        return sim_usage("a command is missing");
    if (str_eq(argv[1], "--help") || str_eq(argv[1], "-h"))
        return fputs(usage_text, stdout) < 0 ? SIM_WRONG : SIM_OK;
    if (str_eq(argv[1], "--version"))
        return puts("drover-sim " DROVER_VERSION) < 0 ? SIM_WRONG : SIM_OK;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        names[i] = commands[i].word;
        if (str_eq(argv[1], commands[i].word))
            return commands[i].run(argc - 1, argv + 1);
    }
    const char *near = str_did_you_mean(argv[1], names, ARRAY_LEN(names));
    if (near)
        fprintf(stderr, "drover-sim: did you mean '%s'?\n", near);
    return sim_usage("no such command");
}
