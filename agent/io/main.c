/* drover-agent: puts the parts together. */
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent/io/agent.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum { EXIT_USAGE = 64 };
#define HELPER     "drover-agent-ceph"
/* After SIGTERM: time for the last words to leave. */
#define GOODBYE_US (300 * MSEC)

static const char usage_text[] =
    "usage: drover-agent [--config FILE] [--log-level debug|info|warn|error]\n"
    "       drover-agent --check [--config FILE]\n"
    "       drover-agent --version | --help\n"
    "\n"
    "Reports this host's VMs to the scheduler and carries out its moves. See drover-agent(8).\n"
    "  --config FILE   default /etc/drover/agent.yaml\n"
    "  --check         check this host, print PASS, WARN and FAIL lines with their cures, and end\n"
    "                  (exit 0 all pass, 1 warnings, 2 failures)\n";

struct options {
    const char *config;
    bool check;
};

/* Beside the agent, or where packages put it. Gives. */
static char *helper_path(void)
{
    char exe[PATH_MAX] = "";
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n > 0) {
        cleanup(freep) char *beside = xasprintf("%s/" HELPER, dirname(exe));
        if (access(beside, X_OK) == 0)
            return take(beside);
    }
    return xstrdup("/usr/libexec/drover/" HELPER);
}

static void on_signal(void *arg, int signo)
{
    struct agent *a = arg;
    log_info("msg=\"stopping\" signal=%d migrations=%d", signo, commands_migrating(a->commands));
    loop_stop(a->loop);
}

static void on_goodbye(void *arg)
{
    loop_stop(arg);
}

static void randomise(struct agent *a)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char r[24];
    if (getrandom(r, sizeof(r), 0) != sizeof(r))
        abort();
    uint64_t seed;
    memcpy(&seed, r, sizeof(seed));
    rng_init(&a->rng, seed);
    for (size_t i = 0; i < 16; i++) {
        a->instance[2 * i] = hex[r[8 + i] >> 4];
        a->instance[2 * i + 1] = hex[r[8 + i] & 15];
    }
}

static struct rbd_client *new_rbd(const struct config *cfg)
{
    cleanup(freep) char *helper = helper_path();
    const struct rbd_client_config rc = {
        .helper = helper, .conf = cfg->ceph_conf, .timeout_us = cfg->ceph_timeout_us};
    return rbd_client_new(&rc);
}

static int check(const struct config *cfg, struct tls *tls)
{
    static const char *const words[] = {"PASS", "WARN", "FAIL"};
    struct host_checked r = {0};
    struct err e = {0};
    struct carry c = {.cfg = cfg, .rbd = new_rbd(cfg), .tls = tls, .clock_skew_us = -1};
    const struct hv_config hc = {.uri = cfg->libvirt};
    int worst = 0;
    if (hv_new(&hc, &c.hv, &e) < 0) {
        printf("FAIL libvirt: %s\n", e.msg);
        return 2;
    }
    hv_connect(c.hv, NULL); /* the check says what is wrong with it */
    check_this_host(&c, &r);
    for (size_t i = 0; i < r.n_items; i++) {
        int verdict = (int)r.items[i].verdict;
        printf("%s %-18s %s\n", words[verdict], r.items[i].name, r.items[i].text);
        if (r.items[i].cure)
            printf("     %-18s -> %s\n", "", r.items[i].cure);
        worst = verdict > worst ? verdict : worst;
    }
    shape_done(&host_checked_shape, &r);
    hv_free(c.hv);
    rbd_client_free(c.rbd);
    return worst;
}

static int serve(struct agent *a, struct err *e)
{
    int r = dir_make(a->cfg.state, 0700, e);
    if (r < 0 || (r = loop_new(&a->loop, e)) < 0)
        return r;
    randomise(a);
    a->clock_skew_us = -1;
    a->workers = workers_new(a->loop);
    a->rbd = new_rbd(&a->cfg);
    a->cmds = cmds_new();
    a->reporter = reporter_new();
    a->commands = commands_new(a);
    a->progress = progress_new(a);
    a->dirty = dirty_watch_new(a);
    a->load = load_watch_new(a);
    a->inventory = inventory_new(a);
    struct err warn = {0};
    if (begun_load(a->cfg.state, a->cmds, &warn) < 0)
        log_warn("msg=\"earlier migrations not known\" error=\"%s\"", warn.msg);
    if ((r = session_new(a, &a->session, e)) < 0 ||
        (r = loop_on_signal(a->loop, SIGTERM, on_signal, a, e)) < 0 ||
        (r = loop_on_signal(a->loop, SIGINT, on_signal, a, e)) < 0)
        return r;
    log_info("msg=\"drover-agent " DROVER_VERSION " starts\" host=%s schedulers=%zu",
             tls_self(a->tls)->name, a->cfg.n_schedulers);
    loop_run(a->loop);
    session_free(a->session);
    a->session = NULL;
    struct timer *bye = timer_new(a->loop, on_goodbye, a->loop);
    timer_set(bye, GOODBYE_US);
    loop_run(a->loop);
    return 0;
}

static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},    {"check", no_argument, NULL, 'k'},
        {"version", no_argument, NULL, 'V'},         {"help", no_argument, NULL, 'h'},
        {"log-level", required_argument, NULL, 'l'}, {NULL, 0, NULL, 0},
    };
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    for (int opt; (opt = getopt_long(argc, argv, "c:h", longs, NULL)) != -1;) {
        size_t level = 0;
        switch (opt) {
        case 'c':
            o->config = optarg;
            break;
        case 'k':
            o->check = true;
            break;
        case 'l':
            while (level < ARRAY_LEN(levels) && !str_eq(levels[level], optarg))
                level++;
            if (level == ARRAY_LEN(levels)) {
                fprintf(stderr,
                        "drover-agent: --log-level %s: expected debug, info, warn or error\n",
                        optarg);
                return EXIT_USAGE;
            }
            log_set_level((enum log_level)level);
            break;
        case 'V':
            puts("drover-agent " DROVER_VERSION);
            return 0;
        case 'h':
            fputs(usage_text, stdout);
            return 0;
        default:
            fputs(usage_text, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "drover-agent: unexpected argument '%s'\n%s", argv[optind], usage_text);
        return EXIT_USAGE;
    }
    return -1;
}

/* What the scheduler would refuse is refused here, where the operator looks first. */
static int load_tls(struct agent *a, struct err *e)
{
    const struct tls_files files = {.cert = a->cfg.cert, .key = a->cfg.key, .ca = a->cfg.ca};
    int r = tls_new(&files, &a->tls, e);
    if (r == 0 && tls_self(a->tls)->role != ROLE_AGENT)
        r = err_set(e, -EKEYREJECTED,
                    "certificate '%s' has the role %s, the scheduler believes only the role agent; "
                    "drover pki issue agent --name HOST makes one",
                    a->cfg.cert, role_names[tls_self(a->tls)->role]);
    return r;
}

int main(int argc, char **argv)
{
    static struct agent a; /* abandoned workers may still look at it while the process ends */
    struct options o = {.config = "/etc/drover/agent.yaml"};
    struct err e = {0};
    int code = parse_options(argc, argv, &o);
    if (code >= 0)
        return code;
    /* each arena of each short-lived worker would keep its own free memory */
    mallopt(M_ARENA_MAX, 2);
    if (config_load(o.config, &a.cfg, &e) < 0) {
        fprintf(stderr, "drover-agent: %s\n", e.msg);
        return o.check ? 2 : 1;
    }
    int r = load_tls(&a, &e);
    if (r < 0 && !o.check) {
        log_error("msg=\"cannot start\" error=\"%s\"", e.msg);
        return 1;
    }
    if (o.check) {
        if (r < 0)
            printf("FAIL %-18s %s\n", "tls-files", e.msg);
        code = check(&a.cfg, a.tls);
        return r < 0 ? 2 : code;
    }
    if (serve(&a, &e) < 0) {
        log_error("msg=\"cannot start\" error=\"%s\"", e.msg);
        return 1;
    }
    /* Straight out: workers may be inside libvirt. Migrations are peer to peer and go on. */
    log_info("msg=\"stopped\"");
    _exit(0);
}
