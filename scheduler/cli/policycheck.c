/* drover policy check DIR: for whoever writes a policy, and for the CI of its repository. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/policycmd.h"
#include "scheduler/cli/testcase.h"
#include "scheduler/cli/text.h"
#include "scheduler/plan/broken.h"

bool fleet_wanted(const struct fleet_opts *o)
{
    return o->snapshot || o->live;
}

int fleet_open(struct cli *c, const struct fleet_opts *o, struct snap *ret)
{
    cleanup(freep) char *text = NULL;
    struct err e;
    if (o->snapshot && o->live)
        return cli_usage(c, "--snapshot and --live: one of them says where the fleet is from");
    if (o->snapshot && snap_load(o->snapshot, ret, &e) < 0) {
        text_line(c->err, "%s", e.msg); /* the file first, as editors and CI expect */
        return X_FAILED;
    }
    if (o->live) {
        struct client *cl = cli_client(c, &e);
        if (!cl || client_get_text(cl, "/v1/snapshot", &text, &e) < 0)
            return cli_fail(c, &e);
        if (snap_parse("the scheduler's snapshot", text, strlen(text), ret, &e) < 0)
            return cli_error(c, X_FAILED, "%s", e.msg);
    }
    size_t unknown = snap_doubt(ret);
    if (unknown)
        cli_note(c, "%s of unknown memory: it stays, and nothing is placed beside it",
                 text_count((int64_t)unknown, "VM is", "VMs are"));
    return X_DONE;
}

/* ---- the policy held against a fleet ----------------------------------------------------------- */
static void check_reach(const struct plan_index *x, const struct policy *p, struct problems *found)
{
    cleanup(freep) struct plan_reach *reach = plan_rule_reach(x);
    for (size_t i = 0; i < p->n_rules; i++) {
        const struct rule *r = &p->rules[i];
        if (!reach[i].vms)
            problem_add(found, PROBLEM_WARNING, "no-vms", r->where,
                        "rule '%s' is about no VM of the fleet", r->name);
        if (!reach[i].hosts)
            problem_add(found, PROBLEM_WARNING, "no-hosts", r->where,
                        "rule '%s' names no host of the fleet", r->name);
    }
}

static void check_placement(const struct plan_index *x, const struct snapshot *s,
                            const struct policy *p, struct problems *found)
{
    struct plan_broken *list;
    size_t n;
    plan_find_broken(x, &list, &n);
    for (size_t i = 0; i < n; i++) {
        const struct plan_broken *b = &list[i];
        const struct rule *r = b->rule >= 0 ? &p->rules[b->rule] : NULL;
        if (!r)
            problem_add(found, PROBLEM_WARNING, "over-capacity", NULL, "host %s holds too much %s",
                        s->hosts[b->host].h->name, b->what);
        else
            problem_add(found, r->hard ? PROBLEM_WARNING : PROBLEM_NOTE,
                        r->hard ? "broken" : "wish", r->where,
                        r->hard ? "rule '%s' is broken now: %s"
                                : "rule '%s', a wish, is not met now: %s",
                        r->name, b->what);
    }
    plan_broken_done(list, n);
}

static void check_fleet(const struct snap *f, const struct policy *p, struct problems *found)
{
    struct plan_index *x = plan_index_new(&f->s, p);
    check_reach(x, p, found);
    check_placement(x, &f->s, p, found);
    plan_index_free(x);
}

/* ---- the command ------------------------------------------------------------------------------- */
struct check_opts {
    struct fleet_opts fleet;
    const char *format;
    bool strict;
};

static int parse(struct cli *c, int argc, char **argv, struct check_opts *ret)
{
    enum { O_SNAPSHOT = 256, O_LIVE, O_STRICT };
    static const struct option own[] = {{"format", required_argument, NULL, 'f'},
                                        {"snapshot", required_argument, NULL, O_SNAPSHOT},
                                        {"live", no_argument, NULL, O_LIVE},
                                        {"strict", no_argument, NULL, O_STRICT},
                                        {0}};
    *ret = (struct check_opts){0};
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o < 0)
            return o == OPT_HELP ? -1 : opt_exit(o);
        ret->format = o == 'f' ? optarg : ret->format;
        ret->fleet.snapshot = o == O_SNAPSHOT ? optarg : ret->fleet.snapshot;
        ret->fleet.live = ret->fleet.live || o == O_LIVE;
        ret->strict = ret->strict || o == O_STRICT;
    }
    return opt_words(c, argc, argv, 1, 1, "a directory") ? X_DONE : X_USAGE;
}

static void sum_up(struct cli *c, const struct findings *r, const struct policy *p)
{
    size_t warnings = problems_of(&r->problems, PROBLEM_WARNING);
    if (c->quiet)
        return;
    cleanup(freep) char *tail = NULL;
    if (warnings)
        text_add(&tail, ", %s", text_count((int64_t)warnings, "warning", "warnings"));
    text_line(c->out, "policy %s: ok, %s in %s%s%.12s%s%s", r->dir,
              text_count((int64_t)p->n_rules, "rule", "rules"),
              text_count((int64_t)p->n_files, "file", "files"),
              p->commit ? ", commit " : ", no git work tree", p->commit ? p->commit : "",
              !p->commit ? ""
              : p->clean ? " clean"
                         : " with local changes",
              tail ? tail : "");
    for (size_t i = 0; c->verbose && i < p->n_rules; i++)
        text_line(c->out, "  %s  %s  %s  %s", p->rules[i].name, rule_kind_names[p->rules[i].kind],
                  p->rules[i].hard ? "hard" : "soft", p->rules[i].where ? p->rules[i].where : "");
}

static int check(struct cli *c, const struct check_opts *o, int format, struct findings *r)
{
    struct policy p;
    struct testcases cases = {0};
    cleanup(snap_done) struct snap fleet = {0};
    int code = fleet_wanted(&o->fleet) ? fleet_open(c, &o->fleet, &fleet) : X_DONE;
    cli_alone(c);
    if (code)
        return code;
    bool good = policy_lint(r->dir, &p, &r->problems) == 0;
    testcases_load(r->dir, &cases, &r->problems);
    testcases_done(&cases);
    if (good && fleet_wanted(&o->fleet))
        check_fleet(&fleet, &p, &r->problems);
    problems_sort(&r->problems);
    r->policy = good ? &p : NULL;
    report_print(c, format, r, false);
    if (format == REPORT_TEXT && !problems_of(&r->problems, PROBLEM_ERROR))
        sum_up(c, r, &p);
    if (good)
        policy_done(&p);
    return report_exit(r);
}

int policy_check(struct cli *c, int argc, char **argv)
{
    struct check_opts o;
    int format, code = parse(c, argc, argv, &o);
    if (code)
        return code < 0 ? X_DONE : code;
    if (!report_format_from(c, o.format, &format))
        return X_USAGE;
    struct findings r = {.title = "policy check",
                         .schema = "drover.policy-check/1",
                         .dir = argv[optind],
                         .strict = o.strict};
    code = check(c, &o, format, &r);
    report_done(&r);
    return code;
}
