/* drover balance: a run that makes the fleet better by few moves; and its plan, asked of the scheduler. */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "policy/policy.h"
#include "scheduler/cli/drain.h"
#include "scheduler/cli/offline.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

enum { MOVES_MOST = 10000 }; /* as balance.max_moves of the policy */

struct rebalance {
    struct request req;
    bool detach, detailed;
    int64_t timeout_us;
};

static int parse(struct cli *c, int argc, char **argv, struct rebalance *b)
{
    enum {
        O_MODE = 256,
        O_MOVES,
        O_PARALLEL,
        O_FORGET,
        O_DETAILED,
        O_DETACH,
        O_TIMEOUT,
        O_MEMORY,
        O_VCPUS,
        O_VM,
        O_TO,
        O_AVOID
    };
    static const struct option own[] = {{"dry-run", no_argument, NULL, 'n'},
                                        {"reason", required_argument, NULL, 'm'},
                                        {"mode", required_argument, NULL, O_MODE},
                                        {"max-moves", required_argument, NULL, O_MOVES},
                                        {"parallel", required_argument, NULL, O_PARALLEL},
                                        {"forget-failures", no_argument, NULL, O_FORGET},
                                        {"detailed-exitcode", no_argument, NULL, O_DETAILED},
                                        {"detach", no_argument, NULL, O_DETACH},
                                        {"timeout", required_argument, NULL, O_TIMEOUT},
                                        {"memory", required_argument, NULL, O_MEMORY},
                                        {"vcpus", required_argument, NULL, O_VCPUS},
                                        {"vm", required_argument, NULL, O_VM},
                                        {"to", required_argument, NULL, O_TO},
                                        {"avoid", required_argument, NULL, O_AVOID},
                                        {0}};
    struct request *r = &b->req;
    struct err e;
    int mode;
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;)
        switch (o) {
        case 'n':
            r->dry_run = true;
            break;
        case 'm':
            free(r->reason), r->reason = xstrdup(optarg);
            break;
        case O_MODE:
            mode = opt_word(c, "--mode", optarg, balance_mode_names, ARRAY_LEN(balance_mode_names));
            if (mode < 0)
                return X_USAGE;
            free(r->mode), r->mode = xstrdup(balance_mode_names[mode]);
            break;
        case O_MOVES:
            if (parse_int(optarg, 1, MOVES_MOST, &r->max_moves, &e) < 0)
                return cli_usage(c, "--max-moves: %s", e.msg);
            break;
        case O_PARALLEL:
            if (parse_int(optarg, 1, 1000, &r->parallel, &e) < 0)
                return cli_usage(c, "--parallel: %s", e.msg);
            break;
        case O_FORGET:
            r->forget_failures = true;
            break;
        case O_MEMORY:
            if (parse_size(optarg, &r->mem_bytes, &e) < 0)
                return cli_usage(c, "--memory: %s", e.msg);
            break;
        case O_VCPUS:
            if (parse_int(optarg, 1, LIM_VCPUS, &r->vcpus, &e) < 0)
                return cli_usage(c, "--vcpus: %s", e.msg);
            break;
        case O_VM:
            free(r->vm), r->vm = xstrdup(name_vm(c, optarg));
            if (!r->vm)
                return X_USAGE;
            break;
        case O_TO:
            if (!name_keep(&r->to, &r->n_to, name_host(c, optarg)))
                return X_USAGE;
            break;
        case O_AVOID:
            if (!name_keep(&r->avoid, &r->n_avoid, name_host(c, optarg)))
                return X_USAGE;
            break;
        case O_DETAILED:
            b->detailed = true;
            break;
        case O_DETACH:
            b->detach = true;
            break;
        case O_TIMEOUT:
            if (!opt_duration(c, "--timeout", optarg, &b->timeout_us))
                return X_USAGE;
            break;
        default:
            return o == OPT_HELP ? -1 : X_USAGE;
        }
    if (!r->mode && (r->mem_bytes || r->vcpus || r->vm))
        r->mode = xstrdup(balance_mode_names[BALANCE_MAKE_ROOM]);
    if (b->detailed && !r->dry_run)
        return cli_usage(c, "--detailed-exitcode belongs to a dry run: drover balance --dry-run");
    return opt_words(c, argc, argv, 0, 0, "nothing") ? X_DONE : X_USAGE;
}

static int report_dry(struct cli *c, int64_t id, const struct rebalance *b)
{
    struct follow_opts follow = {.timeout_us = b->timeout_us, .quiet = true};
    struct run_view v;
    cleanup(json_decrefp) json_t *j = NULL;
    int code = follow_run(c, id, &follow, &v, &j);
    if (code)
        return code;
    code = run_exit(&v.run);
    if (v.run.state == RUN_PLANNED && !out_is_data(c) && c->format != OUT_NAME) {
        int bad = balance_print(c, &v);
        code = bad ? bad : code;
    } else if (c->format == OUT_NAME)
        text_line(c->out, "run/%lld", (long long)id);
    else if (out_is_data(c))
        out_data(c, j, "moves");
    else
        summary_print(c->err, &v);
    if (code == X_DONE && b->detailed && v.n_moves)
        code = X_CHANGES;
    shape_done(&run_view_shape, &v);
    return code;
}

static int started(struct cli *c, const struct reply *r, const struct rebalance *b)
{
    if (r->joined)
        cli_note(c, "%s; options given now do not change it", r->message);
    if (b->req.dry_run)
        return report_dry(c, r->run, b);
    if (b->detach)
        return run_left_alone(c, r);
    struct follow_opts follow = {.timeout_us = b->timeout_us, .hint = true};
    return run_follow_and_report(c, r->run, &follow);
}

static int ask(struct cli *c, const struct rebalance *b)
{
    struct reply reply;
    struct err e;
    if (request_post(c, &b->req, &reply, &e) < 0)
        return cli_fail(c, &e);
    int code = reply.run && reply.exit == X_DONE ? started(c, &reply, b) : reply_print(c, &reply);
    shape_done(&reply_shape, &reply);
    return code;
}

int cmd_balance(struct cli *c, int argc, char **argv)
{
    struct rebalance b = {.req = {.verb = VERB_BALANCE}};
    int code = parse(c, argc, argv, &b);
    code = code ? code < 0 ? X_DONE : code : ask(c, &b);
    shape_done(&request_shape, &b.req);
    return code;
}

int cmd_apply(struct cli *c, int argc, char **argv)
{
    enum { O_DETACH = 256, O_TIMEOUT };
    static const struct option own[] = {{"detach", no_argument, NULL, O_DETACH},
                                        {"timeout", required_argument, NULL, O_TIMEOUT},
                                        {0}};
    struct rebalance b = {.req = {.verb = VERB_APPLY}};
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o < 0)
            return opt_exit(o);
        if (o == O_DETACH)
            b.detach = true;
        else if (!opt_duration(c, "--timeout", optarg, &b.timeout_us))
            return X_USAGE;
    }
    if (!opt_words(c, argc, argv, 1, 1, "a run") || !name_run(c, argv[optind], &b.req.run))
        return X_USAGE;
    return ask(c, &b);
}

int balance_ask_plan(struct cli *c, struct request *req, bool detailed)
{
    struct rebalance b = {.req = *req, .detailed = detailed};
    b.req.verb = VERB_BALANCE;
    b.req.dry_run = true;
    int code = ask(c, &b);
    shape_done(&request_shape, &b.req);
    return code;
}
