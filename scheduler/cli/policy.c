/* drover policy WORD. */
#include "lib/base/str.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/policycmd.h"

int cmd_policy(struct cli *c, int argc, char **argv)
{
    static const char *const words[] = {"show", "check", "test", "diff"};
    static int (*const run[])(struct cli *, int, char **) = {policy_show, policy_check,
                                                             policy_test, policy_diff};
    for (int o; (o = opt_next(c, argc, argv, NULL, true)) != OPT_END;)
        return opt_exit(o);
    if (optind >= argc)
        return policy_show(c, 1, argv);
    int i = opt_word(c, "drover policy", argv[optind], words, ARRAY_LEN(words));
    return i < 0 ? X_USAGE : run[i](c, argc - optind, argv + optind);
}
