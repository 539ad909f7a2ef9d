/* Requests and their replies; the short verbs: resume, cordon, cancel, attach. */
#include <errno.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/drain.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"

/* The word of the command line behind a member. Gives; NULL: it is none. */
static char *word_of(const char *member, size_t len)
{
    static const struct {
        const char *member, *word;
    } other[] = {
        {"verb", "this command"},  {"hosts", "several hosts in one request"},
        {"mem_bytes", "--memory"}, {"deadline_us", "--deadline (--for, --until)"},
        {"labels", "KEY=VALUE"},   {"drop_labels", "KEY-"},
    };
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        if (strlen(other[i].member) == len && !strncmp(other[i].member, member, len))
            return xstrdup(other[i].word);
    for (size_t i = 0; i < request_shape.n; i++) {
        const char *name = request_shape.fields[i].name;
        if (strlen(name) != len || strncmp(name, member, len) != 0)
            continue;
        char *word = xasprintf("--%s", name);
        for (char *p = word; *p; p++)
            *p = *p == '_' ? '-' : *p;
        return word;
    }
    return NULL;
}

/* *e begins with a member that the scheduler does not know, or not so: it is of another version. */
static void explain_skew(struct client *cl, struct err *e)
{
    cleanup(freep) char *word = word_of(e->msg, strcspn(e->msg, ":.["));
    cleanup(json_decrefp) json_t *j = NULL;
    struct err ignored;
    if (!word || client_get(cl, "/v1/version", &j, &ignored) < 0)
        return;
    const char *theirs = json_string_value(json_object_get(j, "version"));
    err_set(e, e->code,
            "the scheduler (%s) does not know %s; nothing was done\n  this drover is of "
            "version " DROVER_VERSION ": upgrade the scheduler first, or leave it out",
            theirs ? theirs : "of another version", word);
}

int request_post(struct cli *c, const struct request *req, struct reply *ret, struct err *e)
{
    struct client *cl = cli_client(c, e);
    if (!cl)
        return e->code;
    cleanup(json_decrefp) json_t *body = codec_encode_sparse(&request_shape, req);
    cleanup(json_decrefp) json_t *answer = NULL;
    int r = client_post(cl, "/v1/requests", body, &answer, e);
    if (r == -EPROTONOSUPPORT)
        explain_skew(cl, e);
    return r < 0 ? r : client_understand(answer, &reply_shape, ret, e);
}

static void reply_data(struct cli *c, const struct reply *r)
{
    cleanup(json_decrefp) json_t *j = json_pack("{s:s}", "schema", "drover.reply/1");
    cleanup(json_decrefp) json_t *body = codec_encode_public(&reply_shape, r);
    json_object_update(j, body);
    out_data(c, j, NULL);
}

int reply_print(struct cli *c, const struct reply *r)
{
    int code = (int)r->exit;
    const char *message = r->message ? r->message : r->code ? r->code : "no explanation was given";
    if (code != X_DONE)
        return cli_error(c, code > 0 && code < 256 ? code : X_FAILED, "%s", message);
    if (out_is_data(c)) {
        reply_data(c, r);
    } else if (c->format != OUT_NAME) {
        text_line(c->out, "%s", message);
    }
    return X_DONE;
}

int run_left_alone(struct cli *c, const struct reply *r)
{
    cli_note(c, "drover attach %lld follows it · drover cancel %lld stops it", (long long)r->run,
             (long long)r->run);
    if (out_is_data(c)) {
        reply_data(c, r);
    } else {
        text_line(c->out, "run/%lld", (long long)r->run);
    }
    return X_DONE;
}

int run_follow_and_report(struct cli *c, int64_t id, const struct follow_opts *o)
{
    struct run_view v;
    cleanup(json_decrefp) json_t *j = NULL;
    int code = follow_run(c, id, o, &v, &j);
    if (code)
        return code;
    code = run_exit(&v.run);
    if (out_is_data(c)) {
        if (c->format == OUT_JSONL)
            json_object_set_new(j, "type", json_string("run"));
        out_data(c, j, NULL);
        if (v.run.state == RUN_REFUSED && !c->quiet)
            refusal_print(c->err, &v.run);
    } else if (c->format == OUT_NAME) {
        text_line(c->out, "run/%lld", (long long)id);
    } else if (v.run.state == RUN_PLANNED) {
        code = plan_print(c, &v, false);
    } else {
        summary_print(v.run.state == RUN_REFUSED || v.run.state == RUN_FAILED ? c->err : c->out,
                      &v);
    }
    shape_done(&run_view_shape, &v);
    return code;
}

struct short_opts {
    bool detach, bring_home;
    int64_t timeout_us;
    const char *reason;
};
enum { O_DETACH = 256, O_TIMEOUT, O_BRING_HOME };

static int short_parse(struct cli *c, int argc, char **argv, const struct option *own, int words,
                       const char *what, struct short_opts *s)
{
    for (int o; (o = opt_next(c, argc, argv, own, false)) != OPT_END;) {
        if (o < 0)
            return o == OPT_HELP ? -1 : X_USAGE;
        s->detach = s->detach || o == O_DETACH;
        s->bring_home = s->bring_home || o == O_BRING_HOME;
        if (o == 'm')
            s->reason = optarg;
        if (o == O_TIMEOUT && !opt_duration(c, "--timeout", optarg, &s->timeout_us))
            return X_USAGE;
    }
    return opt_words(c, argc, argv, 1, words, what) ? X_DONE : X_USAGE;
}

#define FOLLOW_OPTIONS                                                                             \
    {"detach", no_argument, NULL, O_DETACH},                                                       \
    {                                                                                              \
        "timeout", required_argument, NULL, O_TIMEOUT                                              \
    }

/* Post a request and show what became of it; a run it started is followed. */
static int ask_and_follow(struct cli *c, struct request *req, const struct short_opts *s)
{
    struct reply reply;
    struct err e;
    if (request_post(c, req, &reply, &e) < 0)
        return cli_fail(c, &e);
    int code = X_DONE;
    struct follow_opts follow = {.timeout_us = s->timeout_us, .hint = true};
    bool goes_on = reply.http == 202 && reply.run && !s->detach; /* accepted, not done already */
    if (!goes_on) {
        code = reply_print(c, &reply);
    } else {
        if (req->verb == VERB_CANCEL && reply.message)
            cli_note(c, "%s", reply.message);
        code = run_follow_and_report(c, reply.run, &follow);
        /* to cancel was the wish: a run that ended by it is success */
        if (req->verb == VERB_CANCEL && code < X_USAGE && code != X_UNREACHABLE)
            code = X_DONE;
    }
    shape_done(&reply_shape, &reply);
    return code;
}

static int host_verb(struct cli *c, int argc, char **argv, const struct option *own, int verb)
{
    struct short_opts s = {0};
    int code = short_parse(c, argc, argv, own, 1, "a host", &s);
    if (code)
        return code < 0 ? X_DONE : code;
    const char *host = name_host(c, argv[optind]);
    if (!host)
        return X_USAGE;
    struct request req = {.verb = verb,
                          .host = (char *)(uintptr_t)host,
                          .bring_home = s.bring_home,
                          .reason = (char *)(uintptr_t)s.reason};
    return ask_and_follow(c, &req, &s);
}

int cmd_resume(struct cli *c, int argc, char **argv)
{
    static const struct option own[] = {
        {"bring-home", no_argument, NULL, O_BRING_HOME},
        {"reason", required_argument, NULL, 'm'},
        FOLLOW_OPTIONS,
        {0},
    };
    return host_verb(c, argc, argv, own, VERB_RESUME);
}

int cmd_cordon(struct cli *c, int argc, char **argv)
{
    static const struct option own[] = {{"reason", required_argument, NULL, 'm'}, {0}};
    return host_verb(c, argc, argv, own, VERB_CORDON);
}

int cmd_label(struct cli *c, int argc, char **argv)
{
    static const struct option own[] = {{"reason", required_argument, NULL, 'm'}, {0}};
    struct short_opts s = {0};
    struct request req = {.verb = VERB_LABEL};
    int code = short_parse(c, argc, argv, own, LIM_LIST_ITEMS, "a VM and its labels", &s);
    if (code)
        return code < 0 ? X_DONE : code;
    const char *vm = name_vm(c, argv[optind]);
    if (!vm)
        return X_USAGE;
    for (int i = optind + 1; i < argc && code == X_DONE; i++)
        if (!request_label(&req, argv[i]))
            code = cli_usage(c, "'%s' is no label: expected KEY=VALUE, or KEY- to remove one",
                             argv[i]);
    if (code == X_DONE && optind + 1 == argc)
        code = cli_usage(c, "no label: expected KEY=VALUE, or KEY- to remove one");
    req.vm = xstrdup(vm);
    req.reason = xstrdup(s.reason);
    if (code == X_DONE)
        code = ask_and_follow(c, &req, &s);
    shape_done(&request_shape, &req);
    return code;
}

int cmd_cancel(struct cli *c, int argc, char **argv)
{
    static const struct option own[] = {
        {"reason", required_argument, NULL, 'm'}, FOLLOW_OPTIONS, {0}};
    struct short_opts s = {0};
    struct request req = {.verb = VERB_CANCEL};
    int code = short_parse(c, argc, argv, own, 1, "a run", &s);
    if (code)
        return code < 0 ? X_DONE : code;
    if (!name_run(c, argv[optind], &req.run))
        return X_USAGE;
    req.reason = (char *)(uintptr_t)s.reason;
    return ask_and_follow(c, &req, &s);
}

int cmd_attach(struct cli *c, int argc, char **argv)
{
    static const struct option own[] = {{"timeout", required_argument, NULL, O_TIMEOUT}, {0}};
    struct short_opts s = {0};
    int64_t id;
    int code = short_parse(c, argc, argv, own, 1, "a run", &s);
    if (code)
        return code < 0 ? X_DONE : code;
    if (!name_run(c, argv[optind], &id))
        return X_USAGE;
    struct follow_opts follow = {.timeout_us = s.timeout_us, .hint = true};
    return run_follow_and_report(c, id, &follow);
}
