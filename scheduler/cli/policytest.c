/* drover policy test DIR: the cases beside the rules, asked of the planner. */
#include <regex.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/policycmd.h"
#include "scheduler/cli/testcase.h"
#include "scheduler/cli/text.h"

struct test_opts {
    const char *format, *regex;
    bool fail_only;
    regex_t re;
};

static int compile(struct cli *c, struct test_opts *o)
{
    char why[128];
    if (!o->regex)
        return X_DONE;
    int rc = regcomp(&o->re, o->regex, REG_EXTENDED | REG_NOSUB);
    if (!rc)
        return X_DONE;
    regerror(rc, &o->re, why, sizeof(why));
    return cli_usage(c, "--run '%s': %s", o->regex, why);
}

static int parse(struct cli *c, int argc, char **argv, struct test_opts *ret)
{
    enum { O_FAIL_ONLY = 256 };
    static const struct option own[] = {{"format", required_argument, NULL, 'f'},
                                        {"run", required_argument, NULL, 'r'},
                                        {"fail-only", no_argument, NULL, O_FAIL_ONLY},
                                        {0}};
    *ret = (struct test_opts){0};
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o < 0)
            return o == OPT_HELP ? -1 : opt_exit(o);
        ret->format = o == 'f' ? optarg : ret->format;
        ret->regex = o == 'r' ? optarg : ret->regex;
        ret->fail_only = ret->fail_only || o == O_FAIL_ONLY;
    }
    return opt_words(c, argc, argv, 1, 1, "a directory") ? compile(c, ret) : X_USAGE;
}

static void run_all(const struct test_opts *o, const struct testcases *cases,
                    const struct policy *p, struct findings *r)
{
    for (size_t i = 0; i < cases->n; i++) {
        const struct testcase *t = &cases->list[i];
        if (o->regex && regexec(&o->re, t->name, 0, NULL, 0) != 0)
            continue;
        *(struct report_case *)vec_add(&r->cases, &r->n_cases) =
            (struct report_case){.name = xstrdup(t->name),
                                 .file = xstrdup(t->file),
                                 .line = t->line,
                                 .col = t->col,
                                 .failure = testcase_run(t, p)};
    }
}

/* No case is no proof: a typing error in a name must not pass. */
static void none_found(const struct test_opts *o, const struct testcases *cases, struct findings *r)
{
    if (r->n_cases || problems_of(&r->problems, PROBLEM_ERROR))
        return;
    if (cases->n)
        problem_add(&r->problems, PROBLEM_ERROR, "no-case", NULL,
                    "none of %zu cases has a name that '%s' matches", cases->n, o->regex);
    else
        problem_add(&r->problems, PROBLEM_ERROR, "no-case", NULL,
                    "there is no case: they are in files named NAME.test.yaml");
}

static void sum_up(struct cli *c, const struct findings *r)
{
    size_t failed = report_failed(r);
    if (!c->quiet && r->n_cases)
        text_line(c->out, "policy %s: %s, %zu passed, %zu failed", r->dir,
                  text_count((int64_t)r->n_cases, "case", "cases"), r->n_cases - failed, failed);
}

static int test(struct cli *c, const struct test_opts *o, int format, struct findings *r)
{
    struct policy p;
    struct testcases cases;
    bool good = policy_lint(r->dir, &p, &r->problems) == 0;
    testcases_load(r->dir, &cases, &r->problems);
    if (good)
        run_all(o, &cases, &p, r);
    none_found(o, &cases, r);
    problems_sort(&r->problems);
    r->policy = good ? &p : NULL;
    report_print(c, format, r, !o->fail_only && !c->quiet);
    if (format == REPORT_TEXT)
        sum_up(c, r);
    testcases_done(&cases);
    if (good)
        policy_done(&p);
    return report_exit(r);
}

int policy_test(struct cli *c, int argc, char **argv)
{
    struct test_opts o;
    int format, code = parse(c, argc, argv, &o);
    if (code)
        return code < 0 ? X_DONE : code;
    struct findings r = {
        .title = "policy test", .schema = "drover.policy-test/1", .dir = argv[optind]};
    cli_alone(c);
    code = report_format_from(c, o.format, &format) ? test(c, &o, format, &r) : X_USAGE;
    if (o.regex)
        regfree(&o.re);
    report_done(&r);
    return code;
}
