/* drover policy WORD. */
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/policycmd.h"

static int policy_schema(struct cli *c, int argc, char **argv)
{
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, NULL, false)) != OPT_END;)
        return opt_exit(o);
    if (!opt_words(c, argc, argv, 0, 0, "nothing"))
        return X_USAGE;
    cleanup(freep) char *text = policy_schema_text();
    fprintf(c->out, "%s\n", text);
    return X_DONE;
}

int cmd_policy(struct cli *c, int argc, char **argv)
{
    static const char *const words[] = {"show", "check",   "test",   "diff",
                                        "fmt",  "suspend", "resume", "schema"};
    static int (*const run[])(struct cli *, int, char **) = {
        policy_show,      policy_check,   policy_test,   policy_diff,
        policy_fmt_files, policy_suspend, policy_resume, policy_schema};
    for (int o; (o = opt_next(c, argc, argv, NULL, true)) != OPT_END;)
        return opt_exit(o);
    if (optind >= argc)
        return policy_show(c, 1, argv);
    int i = opt_word(c, "drover policy", argv[optind], words, ARRAY_LEN(words));
    return i < 0 ? X_USAGE : run[i](c, argc - optind, argv + optind);
}
