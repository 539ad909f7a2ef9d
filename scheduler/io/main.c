/* drover-scheduler: puts the parts together. Loop thread: sockets. Core thread: decisions and store.
 * Policy thread: watches the policy directory. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/io/agents.h"
#include "scheduler/io/api.h"
#include "scheduler/io/config.h"
#include "scheduler/io/corethread.h"
#include "scheduler/io/policywatch.h"
#include "scheduler/io/store.h"

enum { EXIT_USAGE = 64 };
#define GOODBYE_US (200 * MSEC)

struct daemon {
    struct config cfg;
    struct loop *loop;
    struct tls *tls;
    struct queue *queue;
    struct agents *agents;
    struct api api;
    struct http *http;
    struct corethread *core;
    struct policywatch *watch;
    struct timer *last; /* until the loop stops */
};

/* ---- core thread -> loop thread -------------------------------------------------------------- */
struct sending {
    struct daemon *d;
    struct outgoing *list;
    size_t n;
};

static void sending_free(void *arg)
{
    struct sending *s = arg;
    for (size_t i = 0; i < s->n; i++) {
        free(s->list[i].host);
        free(s->list[i].text);
    }
    free(s->list);
    free(s);
}

static void send_on_loop(void *arg)
{
    struct sending *s = arg;
    for (size_t i = 0; i < s->n; i++)
        agents_send(s->d->agents, s->list[i].host, s->list[i].text);
    sending_free(s);
}

static void out_send(void *arg, struct outgoing *list, size_t n)
{
    struct sending *s = xcalloc(1, sizeof(*s));
    *s = (struct sending){arg, list, n};
    if (loop_post(s->d->loop, send_on_loop, sending_free, s) < 0) {
        log_warn("msg=\"commands dropped: the network thread is behind\" n=%zu", n);
        sending_free(s); /* the core's deadlines notice */
    }
}

struct restarting {
    struct daemon *d;
    int64_t term;
};

static void restart_on_loop(void *arg)
{
    struct restarting *r = arg;
    agents_restart(r->d->agents, r->term);
    free(r);
}

static void out_restart(void *arg, int64_t term)
{
    struct restarting *r = xcalloc(1, sizeof(*r));
    *r = (struct restarting){arg, term};
    if (loop_post(r->d->loop, restart_on_loop, free, r) < 0) {
        log_error("msg=\"cannot reach the network thread; stopping to be started anew\"");
        abort(); /* agents under an old term would be believed */
    }
}

static void out_reply(void *arg, uint64_t http, int status, char *body)
{
    struct daemon *d = arg;
    http_reply(d->http, http, status, NULL, body, strlen(body));
}

static void out_reply_shared(void *arg, uint64_t http, const struct http_shared *b)
{
    struct daemon *d = arg;
    http_reply_shared(d->http, http, b);
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

/* The last effects are on their way; say goodbye to the agents and leave the words time to go out, so
 * that the agents log a stop and not a fault. */
static void ended_on_loop(void *arg)
{
    struct daemon *d = arg;
    agents_free(take(d->agents));
    d->last = timer_new(d->loop, stop_loop, d->loop);
    timer_set(d->last, GOODBYE_US);
}

static void out_ended(void *arg)
{
    struct daemon *d = arg;
    if (loop_post(d->loop, ended_on_loop, NULL, d) < 0)
        loop_stop(d->loop);
}

/* ---- life ------------------------------------------------------------------------------------ */
static void on_signal(void *arg, int signo)
{
    struct daemon *d = arg;
    log_info("msg=\"stopping\" signal=%d", signo);
    queue_close(d->queue); /* the core thread finishes its batch, then stops the loop */
}

static int load_policy(const struct config *cfg, struct policy *ret, struct err *e)
{
    if (!cfg->policy) {
        policy_default(ret);
        return 0;
    }
    return policywatch_load(cfg->policy, cfg->policy_require_clean, ret, e);
}

static int start_core(struct daemon *d, struct err *e)
{
    const struct config *c = &d->cfg;
    struct err refused = {0};
    struct policy p;
    bool good = load_policy(c, &p, &refused) == 0;
    if (good)
        log_info("msg=\"policy in force\" dir=%s revision=\"%s\" clean=%d rules=%zu",
                 c->policy ? c->policy : "(built in)", p.commit ? p.commit : "no git commit",
                 p.clean, p.n_rules);
    d->queue = queue_new();
    if (c->policy)
        d->watch = policywatch_start(
            &(struct policywatch_config){c->policy, d->queue, c->policy_require_clean},
            good ? &p : NULL);
    const struct corethread_config cc = {
        .database = c->database,
        .recorder = c->recorder,
        .heartbeat_us = c->heartbeat_us,
        .cert_expires_wall_us = tls_expires_wall_us(d->tls),
        .policy_dir = c->policy,
        .policy_refused = good ? NULL : refused.msg,
        .queue = d->queue,
        .out = {d, out_send, out_reply, out_reply_shared, out_restart, out_ended},
    };
    int r = corethread_open(&cc, good ? &p : NULL, &d->core, e);
    if (r == 0 && !good)
        log_error("msg=\"policy refused, the last good one of the database stays in force\" "
                  "error=\"%s\"",
                  refused.msg);
    return r;
}

static int start_network(struct daemon *d, struct err *e)
{
    const struct config *c = &d->cfg;
    d->agents = agents_new(&(struct agents_config){.loop = d->loop,
                                                   .queue = d->queue,
                                                   .heartbeat_us = c->heartbeat_us,
                                                   .term = corethread_term(d->core)});
    d->api.queue = d->queue;
    int r = http_new(
        &(struct http_config){.loop = d->loop, .on_request = api_on_request, .arg = &d->api},
        &d->http, e);
    cleanup(freep) char *path = xstrdup(c->socket);
    if (r == 0)
        r = dir_make(dirname(path), 0755, e);
    if (r == 0)
        r = http_listen_unix(d->http, c->socket, c->socket_group, e);
    if (r == 0 && c->api_listen)
        r = http_listen_tls(d->http, c->api_listen, d->tls, ROLES_HUMAN, e);
    if (r == 0)
        r = agents_listen(d->agents, c->listen, d->tls, e);
    return r;
}

static int start(struct daemon *d, struct err *e)
{
    const struct tls_files files = {.cert = d->cfg.cert, .key = d->cfg.key, .ca = d->cfg.ca};
    int r = loop_new(&d->loop, e);
    if (r == 0)
        r = tls_new(&files, &d->tls, e);
    if (r == 0 && tls_self(d->tls)->role != ROLE_SCHEDULER)
        r = err_set(
            e, -EKEYREJECTED,
            "certificate '%s' has the role %s, agents believe only the role scheduler; drover "
            "pki issue scheduler --name NAME makes one",
            d->cfg.cert, role_names[tls_self(d->tls)->role]);
    if (r == 0)
        r = start_core(d, e);
    if (r == 0)
        r = start_network(d, e);
    if (r == 0)
        r = loop_on_signal(d->loop, SIGTERM, on_signal, d, e);
    if (r == 0)
        r = loop_on_signal(d->loop, SIGINT, on_signal, d, e);
    return r;
}

static void stop(struct daemon *d)
{
    policywatch_stop(d->watch);
    if (d->queue)
        queue_close(d->queue);
    corethread_free(d->core); /* joins: nothing is posted or answered after it */
    agents_free(d->agents);
    timer_free(d->last);
    if (d->http)
        http_free(d->http);
    tls_free(d->tls);
    if (d->loop)
        loop_free(d->loop);
    queue_free(d->queue);
    config_done(&d->cfg);
}

static int serve(struct daemon *d)
{
    struct err e = {0};
    if (start(d, &e) < 0) {
        log_error("msg=\"cannot start\" error=\"%s\"", e.msg);
        stop(d);
        return EXIT_FAILURE;
    }
    log_info("msg=\"ready\" version=%s term=%" PRId64 " agents=%s socket=%s database=%s",
             DROVER_VERSION, corethread_term(d->core), d->cfg.listen, d->cfg.socket,
             d->cfg.database);
    corethread_start(d->core);
    loop_run(d->loop);
    stop(d);
    log_info("msg=\"stopped\"");
    return EXIT_SUCCESS;
}

/* ---- command line ---------------------------------------------------------------------------- */
static int check(struct daemon *d)
{
    struct err e = {0};
    struct policy p = {0};
    const struct tls_files files = {.cert = d->cfg.cert, .key = d->cfg.key, .ca = d->cfg.ca};
    bool bad_tls = tls_new(&files, &d->tls, &e) < 0;
    printf("%s  certificates%s%s\n", bad_tls ? "FAIL" : "PASS", bad_tls ? ": " : "",
           bad_tls ? e.msg : "");
    bool bad_policy = load_policy(&d->cfg, &p, &e) < 0;
    printf("%s  policy%s%s\n", bad_policy ? "FAIL" : "PASS", bad_policy ? ": " : "",
           bad_policy ? e.msg : "");
    if (!bad_policy)
        policy_done(&p);
    stop(d);
    return bad_tls || bad_policy ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int backup(struct daemon *d, const char *to)
{
    struct err e = {0};
    int r = store_backup_file(d->cfg.database, to, &e);
    if (r < 0)
        fprintf(stderr, "drover-scheduler: %s\n", e.msg);
    else
        printf("copied %s to %s\n", d->cfg.database, to);
    stop(d);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void usage(FILE *to)
{
    fputs(
        "usage: drover-scheduler [--config FILE] [--log-level debug|info|warn|error]\n"
        "       drover-scheduler [--config FILE] --check | --backup FILE\n"
        "       drover-scheduler --version | --help\n"
        "The configuration is /etc/drover/scheduler.yaml unless named; see drover-scheduler(8).\n",
        to);
}

static bool set_level(const char *name)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(names[i], name)) {
            log_set_level((enum log_level)i);
            return true;
        }
    fprintf(stderr, "drover-scheduler: --log-level takes debug, info, warn or error, not '%s'\n",
            name);
    return false;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"log-level", required_argument, NULL, 'l'},
        {"check", no_argument, NULL, 'k'},
        {"backup", required_argument, NULL, 'b'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *config = "/etc/drover/scheduler.yaml", *to = NULL;
    bool only_check = false;
    int o;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (o) {
        case 'c':
            config = optarg;
            break;
        case 'l':
            if (!set_level(optarg))
                return EXIT_USAGE;
            break;
        case 'k':
            only_check = true;
            break;
        case 'b':
            to = optarg;
            break;
        case 'V':
            puts("drover-scheduler " DROVER_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            usage(stdout);
            return EXIT_SUCCESS;
        default:
            usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "drover-scheduler: takes no argument '%s'\n", argv[optind]);
        return EXIT_USAGE;
    }
    struct daemon d = {0};
    struct err e = {0};
    if (config_load(config, &d.cfg, &e) < 0) {
        fprintf(stderr, "drover-scheduler: %s\n", e.msg);
        return EXIT_FAILURE;
    }
    if (only_check)
        return check(&d);
    return to ? backup(&d, to) : serve(&d);
}
