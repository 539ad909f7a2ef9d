/* drover-sim: the scheduler's own core and planner in virtual time. */
#include <stdio.h>

#include "lib/base/str.h"
#include "scheduler/simcli/simcli.h"

int main(int argc, char **argv)
{
    static const struct {
        const char *word;
        int (*run)(int argc, char **argv);
    } commands[] = {{"run", sim_cmd_run},
                    {"check", sim_cmd_check},
                    {"soak", sim_cmd_soak},
                    {"drain", sim_cmd_drain},
                    {"replay", sim_cmd_replay}};
    const char *names[ARRAY_LEN(commands)];
    if (argc < 2)
        return sim_usage("a command is missing");
    if (str_eq(argv[1], "--help") || str_eq(argv[1], "-h"))
        return fputs(sim_usage_text, stdout) < 0 ? SIM_WRONG : SIM_OK;
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
