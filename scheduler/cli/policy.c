/* drover policy check DIR: for the policy repository's CI; needs no scheduler. */
#include "policy/policy.h"

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/text.h"

static void good(struct cli *c, const char *dir, const struct policy *p)
{
    if (out_is_data(c)) {
        cleanup(json_decrefp) json_t *j = json_pack(
            "{s:s, s:s, s:b, s:I, s:s?, s:b}", "schema", "drover.policy-check/1", "dir", dir, "ok",
            1, "rules", (json_int_t)p->n_rules, "commit", p->commit, "clean", p->clean);
        out_data(c, j, NULL);
        return;
    }
    if (c->quiet)
        return;
    text_line(c->out, "policy %s: ok, %s%s%.12s%s", dir,
              text_count((int64_t)p->n_rules, "rule", "rules"),
              p->commit ? ", commit " : ", no git work tree", p->commit ? p->commit : "",
              !p->commit ? ""
              : p->clean ? " clean"
                         : " with local changes");
    for (size_t i = 0; c->verbose && i < p->n_rules; i++)
        text_line(c->out, "  %s  %s  %s  %s", p->rules[i].name, rule_kind_names[p->rules[i].kind],
                  p->rules[i].hard ? "hard" : "soft", p->rules[i].where ? p->rules[i].where : "");
}

static int policy_check(struct cli *c, int argc, char **argv)
{
    struct policy p;
    struct err e;
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, NULL, false)) != OPT_END;)
        return opt_exit(o);
    if (!opt_words(c, argc, argv, 1, 1, "a directory"))
        return X_USAGE;
    const char *dir = argv[optind];
    if (policy_load(dir, &p, &e) < 0) {
        if (out_is_data(c)) {
            cleanup(json_decrefp) json_t *j =
                json_pack("{s:s, s:s, s:b, s:s}", "schema", "drover.policy-check/1", "dir", dir,
                          "ok", 0, "error", e.msg);
            out_data(c, j, NULL);
        } else {
            text_line(c->err, "%s", e.msg); /* file:line:column: first, as editors and CI expect */
        }
        return X_FAILED;
    }
    good(c, dir, &p);
    policy_done(&p);
    return X_DONE;
}

int cmd_policy(struct cli *c, int argc, char **argv)
{
    for (int o; (o = opt_next(c, argc, argv, NULL, true)) != OPT_END;)
        return opt_exit(o);
    if (optind >= argc)
        return cli_usage(c, "what to do is missing: drover policy check DIR");
    if (!str_eq(argv[optind], "check"))
        return cli_usage(c, "unknown word '%s'; drover policy check DIR", argv[optind]);
    return policy_check(c, argc - optind, argv + optind);
}
