/* The table of commands, its help, and what all commands print with. */
#include <errno.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/opt.h"
#include "scheduler/cli/out.h"
#include "scheduler/cli/text.h"

static int run_pki(struct cli *c, int argc, char **argv)
{
    (void)c;
    opt_begin();
    return cmd_pki(argc, argv);
}

#define TIMEOUT_HELP                                                                               \
    "  --timeout D          how long to wait (90s, 10m); the run goes on, exit 124\n"
#define FOLLOW_HELP "  --detach             start it, print the run and return\n" TIMEOUT_HELP
#define OFFLINE_HELP                                                                               \
    "  --snapshot FILE      plan from a file, not from the scheduler: drover snapshot writes "     \
    "one\n"                                                                                        \
    "  --policy DIR         with --snapshot: this policy, not the built-in values\n"
#define DRAIN_HELP                                                                                 \
    "  -n, --dry-run        plan with the real checks, change nothing (= drover plan drain "       \
    "HOST)\n"                                                                                      \
    "  -m, --reason TEXT    why, for the journal and every page\n"                                 \
    "  --to HOST            only to this host (may be repeated)\n"                                 \
    "  --avoid HOST         not to this host (may be repeated)\n"                                  \
    "  --parallel N|auto    moves in flight at once\n"                                             \
    "  --deadline D         start no move after this time; never stops a VM\n"                     \
    "  --make-room          VMs of other hosts may move, if it cannot be emptied otherwise\n"      \
    "  --on-blocked WHAT    when a VM cannot leave: refuse (change nothing), leave (it stays),\n"  \
    "                       cold (stop, move, start), shutdown (it is shut off)\n"                 \
    "  --allow-shutdown VM  this VM may be shut off if it cannot move live (may be repeated)\n"    \
    "  --confirm=HOST,...   answers the question before VMs are stopped\n"                         \
    "  -y, --yes            answer yes to questions that stop no VM\n"                             \
    "  --detailed-exitcode  with a dry run: 2 when there is something to do\n"                     \
    "  --why-not[=VM]       with a dry run: only who cannot leave, why, and every way out\n"       \
    "  --picture FILE       with a dry run: draw hosts before and after into an "                  \
    "SVG\n" OFFLINE_HELP FOLLOW_HELP

#define PLAN_HELP                                                                                  \
    "balance      even load, or what the policy's balance.mode says (--mode says otherwise)\n"     \
    "relieve      what is too full is emptied down to where it is not\n"                           \
    "repair       broken rules are mended, nothing else\n"                                         \
    "consolidate  hosts are emptied, so that they can be switched off\n"                           \
    "make-room    room for a VM, as it is or by few moves of others\n"                             \
    "fit          where a VM has room as it is, and why not elsewhere\n"                           \
    "failover     HOST...: what would be started where if these hosts were dead\n\n"               \
    "balance, relieve, repair, consolidate and make-room ask the scheduler, or plan for "          \
    "--snapshot;\nfit and failover want it, and so do --policy, --picture, --why-not and "         \
    "--hosts-free.\n--detailed-exitcode as below.\n"                                               \
    "  --max-moves N        no more moves than this (the policy's balance.max_moves)\n"            \
    "  --why-not VM         of balance, relieve, repair: why this VM is not moved\n"               \
    "  --mode MODE          of balance: repair-rules, relieve, balance, make-room, consolidate\n"  \
    "  --hosts-free N       of consolidate: no more than so many hosts\n"                          \
    "  --memory SIZE        of make-room, fit: what a new VM will take, QEMU included (the\n"      \
    "                       policy's balance.room)\n"                                              \
    "  --vcpus N, --labels KEY=VALUE,..., --name NAME: what else rules and capacity see of it\n"   \
    "  --numa               of make-room, fit: all of it in one NUMA cell of the host\n"           \
    "  --vm VM              of make-room, fit: one that there is, elsewhere than where it is\n"    \
    "  --priority LABEL     of failover: VMs with the smallest number in it come first\n\n"

#define POLICY_HELP                                                                                \
    "show         the policy in force: commit, since when, by whom; what became of the last "      \
    "change\n"                                                                                     \
    "check DIR    what is wrong with it: form, contradictions, cases that cannot be read\n"        \
    "test DIR     the cases beside the rules (NAME.test.yaml), asked of the planner\n"             \
    "diff A B     which values differ, and what would become of a fleet; A and B are "             \
    "directories\n"                                                                                \
    "             or git revisions (REV, REV:PATH)\n"                                              \
    "fmt PATH...  files, or all below directories, in the usual form; comments stay\n"             \
    "suspend      no balance run begins by schedule; drover balance works as before\n"             \
    "resume       they begin again\n"                                                              \
    "schema       JSON Schema of a policy file, for editors\n\n"                                   \
    "  --check              of fmt: write nothing, exit 1 where a file is not in it\n"             \
    "  -m, --reason TEXT    of suspend: why; it must be said. Of resume: why\n"                    \
    "  --until TIME         of suspend: 06:00, '2026-03-01 06:00' (local), ...T05:00:00Z\n"        \
    "  --for D              of suspend: for so long (90m, 4h)\n"                                   \
    "  -f, --format F       text, parsable (a line each), github, json, junit\n"                   \
    "  --snapshot FILE      of check: also what matches nothing in this fleet, or is broken "      \
    "there\n"                                                                                      \
    "  --live               of check: the same with the scheduler's fleet\n"                       \
    "                       of diff: what would be broken, could not move, would move\n"           \
    "  --dir DIR            of diff: whose repository, if neither of A and B is a directory\n"     \
    "  --detailed-exitcode  of diff: 2 when they differ\n"                                         \
    "  --strict             of check: warnings fail, exit 2\n"                                     \
    "  -r, --run REGEX      of test: only cases whose name it matches\n"                           \
    "  --fail-only          of test: only what failed\n"                                           \
    "\nExit: check 0, 1 errors, 2 warnings with --strict; test 0, 1 unreadable or no case, 2 a "   \
    "case failed.\n"

#define BALANCE_HELP                                                                               \
    "  -n, --dry-run        plan with the real checks, change nothing\n"                           \
    "  --mode MODE          repair-rules, relieve, balance, make-room or consolidate; else the "   \
    "policy's\n"                                                                                   \
    "  --memory SIZE        room for a VM that will take so much (make-room), QEMU included\n"     \
    "  --vcpus N            and so many vCPUs\n"                                                   \
    "  --vm VM              room for this one, elsewhere than where it is\n"                       \
    "  --to HOST            there (may be repeated)\n"                                             \
    "  --avoid HOST         not there (may be repeated)\n"                                         \
    "  --max-moves N        no more moves than this (the policy's balance.max_moves)\n"            \
    "  --parallel N         moves in flight at once\n"                                             \
    "  --forget-failures    plan what is left out because it failed, too; from now on\n"           \
    "  -m, --reason TEXT    why\n"                                                                 \
    "  --detailed-exitcode  with a dry run: 2 when there is something to do\n" FOLLOW_HELP

static const struct command commands[] = {
    {"drain", "empty hosts by live moves, prove them empty", "HOST... [options]", DRAIN_HELP,
     cmd_drain, NULL},
    {"plan", "show what a drain would do, or what few moves would do for a fleet; change nothing",
     "drain HOST... [options of drain] | WORD [options]", PLAN_HELP DRAIN_HELP, cmd_plan, NULL},
    {"balance", "make the fleet better by few moves: even load, relief, broken rules", "[options]",
     BALANCE_HELP, cmd_balance, NULL},
    {"apply", "carry out a plan that waits for an operator", "RUN [options]", FOLLOW_HELP,
     cmd_apply, NULL},
    {"resume", "put a host back in use", "HOST [options]",
     "  --bring-home         move back what the last drain took away\n"
     "  -m, --reason TEXT    why\n" FOLLOW_HELP,
     cmd_resume, NULL},
    {"cordon", "let no VM move to a host", "HOST [-m REASON]", "  -m, --reason TEXT    why\n",
     cmd_cordon, NULL},
    {"label", "labels of a VM, in its libvirt metadata: rules go by them",
     "VM KEY=VALUE... KEY-... [-m REASON]",
     "KEY=VALUE sets a label, KEY- removes it. They go with the VM wherever it moves.\n\n"
     "  -m, --reason TEXT    why\n",
     cmd_label, NULL},
    {"cancel", "stop a run: abort and settle its moves", "RUN [options]",
     "  -m, --reason TEXT    why\n" FOLLOW_HELP, cmd_cancel, NULL},
    {"attach", "follow a run", "RUN [options]", TIMEOUT_HELP, cmd_attach, NULL},
    {"explain", "why a VM is where it is and where it may go", "VM [options]", OFFLINE_HELP,
     cmd_explain, NULL},
    {"check", "can a host, or a pair of hosts, exchange VMs", "HOST | check pair HOST HOST",
     "Exit codes are those of monitoring plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.\n",
     cmd_check, NULL},
    {"hosts", "list hosts", "[HOST...]", "", cmd_hosts, NULL},
    {"vms", "list VMs", "[VM...] [--host HOST]", "  --host HOST          only those on this host\n",
     cmd_vms, NULL},
    {"top", "how busy all hosts are, and what moves; again and again on a terminal", "[options]",
     "  --once               one look, also on a terminal\n"
     "  --interval D         between two looks (2s)\n",
     cmd_top, NULL},
    {"runs", "list runs; runs ID shows one", "[RUN] [options]",
     "  --ceph               per disk: what was confirmed before and proven after, by each host\n"
     "  --why                of a balance run: what each move gained and cost, who was no choice\n"
     "  --journal            every step of the run\n",
     cmd_runs, NULL},
    {"journal", "what was decided and done, by whom", "[options]",
     "  --after SEQ          only later entries\n  --limit N            the newest so many (100)\n",
     cmd_journal, NULL},
    {"health", "what is wrong with the scheduler and the fleet", "",
     "Exit codes are those of monitoring plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.\n",
     cmd_health, NULL},
    {"policy", "which policy is in force; check and test one",
     "[show] | check DIR | test DIR | diff A B | fmt PATH... | suspend -m TEXT | resume | schema "
     "[options]",
     POLICY_HELP, cmd_policy, NULL},
    {"snapshot", "the fleet as a file, for plans without a scheduler",
     "[import --from FORMAT FILE... | check FILE | save FILE]",
     "Without a word: the scheduler's fleet. import makes one from other lists, check reads "
     "one, save\nwrites it to a file, or with NAME.test.yaml a case for drover policy test: what "
     "the "
     "planner answers\ntoday is what is expected.\n\n"
     "  --request TEXT       of save: what the case asks: 'drain: kvm-03'\n"
     "  --name TEXT          of save: the case's name\n"
     "  --policy DIR         of save: the policy, if not the case's own directory\n"
     "  --snapshot FILE      of save: this fleet, not the scheduler's\n"
     "  --from FORMAT        ganeti, csv or table\n"
     "  --hosts FILE         of csv and table: the hosts, when the VMs' file has none\n"
     "  --flavors FILE       of csv and table: memory and CPUs by the VMs' column flavor\n"
     "  --link RATE          of hosts that do not say: 25Gbit; times are forecast by it\n"
     "  --assume-rbd         of ganeti: plan as if every disk were on RBD\n",
     cmd_snapshot, NULL},
    {"pki", "make the CA and certificates", "init|issue|show ...", "", run_pki, NULL},
    {"version", "versions of this command and of the scheduler", "", "", cmd_version, NULL},
    {"run", "", "", "", cmd_runs, "runs"},
    {"evacuate", "", "", "", cmd_drain, "drain"},
    {"maintenance", "", "", "", cmd_drain, "drain"},
    {"uncordon", "", "", "", cmd_resume, "resume"},
};

static const char global_help[] =
    "Global options:\n"
    "  --socket PATH        the scheduler's socket (DROVER_SOCKET, /run/drover/api.sock)\n"
    "  --url https://H:P    a scheduler elsewhere, with --cert, --key, --ca (DROVER_URL, ...)\n"
    "  -o, --output F       table, wide, json, yaml, name, jsonl\n"
    "  --columns A,B --sort COL --no-headers\n"
    "  --progress P         auto, tty, plain, jsonl, none (DROVER_PROGRESS)\n"
    "  -q, --quiet  -v, --verbose  --no-color  --no-input  -h, --help\n";

static const struct command *command_find(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (str_eq(commands[i].name, word))
            return &commands[i];
    return NULL;
}

void command_help(const struct command *cmd, FILE *f)
{
    if (cmd) {
        fprintf(f, "drover %s: %s\n\nUsage: drover %s %s\n%s%s\n%s", cmd->name, cmd->summary,
                cmd->name, cmd->usage, *cmd->help ? "\n" : "", cmd->help, global_help);
        return;
    }
    fputs(
        "drover: drain KVM hosts whose VMs live on Ceph RBD\n\nUsage: drover COMMAND [options]\n\n",
        f);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (!commands[i].real_name)
            fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(
        f,
        "\n%s\nExit: 0 done, 1 failed, 2 changes (--detailed-exitcode), 3 blocked, 4 partly "
        "done, 5 no scheduler,\n6 not confirmed or not allowed, 64 usage, 124 --timeout passed, "
        "130 detached. "
        "drover COMMAND --help, drover(1).\n",
        global_help);
}

int cli_error(struct cli *c, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = xvasprintf(fmt, ap);
    va_end(ap);
    fflush(c->out);
    fprintf(c->err, "%sdrover:%s ", paint(c, c->err, C_BAD), paint_off(c, c->err, C_BAD));
    for (char *line = s, *next; line; line = next) { /* each line made safe by itself */
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        text_line(c->err, "%s", line);
    }
    free(s);
    return code;
}

int cli_usage(struct cli *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = xvasprintf(fmt, ap);
    va_end(ap);
    cli_error(c, X_USAGE, "%s", s);
    free(s);
    fprintf(c->err, "  drover %s%s--help shows how\n", c->cmd ? c->cmd->name : "",
            c->cmd ? " " : "");
    return X_USAGE;
}

int cli_fail(struct cli *c, const struct err *e)
{
    int code = e->code == -ENOTCONN                                             ? X_UNREACHABLE
               : e->code == -EACCES || e->code == -ENOENT || e->code == -EEXIST ? X_DENIED
               : e->code == -EPROTONOSUPPORT                                    ? X_DENIED
               : e->code == -EINTR                                              ? X_DETACHED
               : e->code == -EINVAL                                             ? X_USAGE
                                                                                : X_FAILED;
    return cli_error(c, code, "%s", e->msg);
}

void cli_note(struct cli *c, const char *fmt, ...)
{
    if (c->quiet)
        return;
    fflush(c->out); /* both may end in one file: keep the order */
    va_list ap;
    va_start(ap, fmt);
    char *s = xvasprintf(fmt, ap);
    va_end(ap);
    text_line(c->err, "%s", s);
    fflush(c->err);
    free(s);
}

struct client *cli_client(struct cli *c, struct err *e)
{
    struct client_config cfg = {.socket = c->socket,
                                .url = c->url,
                                .cert = c->cert,
                                .key = c->key,
                                .ca = c->ca,
                                .interrupted = c->interrupted};
    if (!c->client && client_new(&cfg, &c->client, e) < 0)
        return NULL;
    return c->client;
}

void cli_alone(struct cli *c)
{
    if (c->uncatch)
        c->uncatch();
}

static bool coloured(const struct cli *c, const FILE *f, int colour)
{
    bool tty = f == c->out ? c->out_tty : c->err_tty;
    return tty && !c->no_color && !c->dumb && colour != C_NONE;
}

const char *paint(const struct cli *c, const FILE *f, int colour)
{
    static const char *const codes[] = {"", "\033[32m", "\033[33m", "\033[31m", "\033[2m"};
    return coloured(c, f, colour) ? codes[colour] : "";
}

const char *paint_off(const struct cli *c, const FILE *f, int colour)
{
    return coloured(c, f, colour) ? "\033[0m" : "";
}

static int unknown_command(struct cli *c, const char *word)
{
    const char *names[ARRAY_LEN(commands)];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (!commands[i].real_name)
            names[n++] = commands[i].name;
    const char *near = str_did_you_mean(word, names, n);
    return cli_usage(c, "unknown command '%s'%s%s%s", word, near ? "; did you mean drover " : "",
                     near ? near : "", near ? "?" : "");
}

int cmd_version(struct cli *c, int argc, char **argv)
{
    int got = opt_next(c, argc, argv, NULL, false);
    if (got != OPT_END)
        return opt_exit(got);
    if (!opt_words(c, argc, argv, 0, 0, ""))
        return X_USAGE;
    struct err e;
    cleanup(json_decrefp) json_t *j = NULL;
    struct client *cl = cli_client(c, &e);
    int r = cl ? client_get(cl, "/v1/version", &j, &e) : e.code;
    const char *theirs = json_string_value(json_object_get(j, "version"));
    if (out_is_data(c)) {
        cleanup(json_decrefp) json_t *o =
            json_pack("{s:s, s:s}", "schema", "drover.versions/1", "drover", DROVER_VERSION);
        json_object_set_new(o, "scheduler", theirs ? json_string(theirs) : json_null());
        out_data(c, o, NULL);
    } else {
        text_line(c->out, "drover %s", DROVER_VERSION);
        if (theirs)
            text_line(c->out, "drover-scheduler %s", theirs);
    }
    return r < 0 ? cli_fail(c, &e) : X_DONE;
}

static int dispatch(struct cli *c, int argc, char **argv)
{
    const struct option own[] = {{"version", no_argument, NULL, 'V'}, {0}};
    if (!opt_env(c))
        return X_USAGE;
    opt_begin();
    for (int o; (o = opt_next(c, argc, argv, own, true)) != OPT_END;) {
        if (o != 'V')
            return opt_exit(o);
        text_line(c->out, "drover %s", DROVER_VERSION);
        return X_DONE;
    }
    if (optind >= argc) {
        command_help(NULL, c->err);
        return X_USAGE;
    }
    argc -= optind;
    argv += optind;
    if (str_eq(argv[0], "help")) {
        const struct command *about = argc > 1 ? command_find(argv[1]) : NULL;
        if (argc > 1 && !about)
            return unknown_command(c, argv[1]);
        command_help(about, c->out);
        return X_DONE;
    }
    const struct command *cmd = command_find(argv[0]);
    if (!cmd)
        return unknown_command(c, argv[0]);
    if (cmd->real_name) {
        if (!str_eq(argv[0], "run"))
            cli_note(c, "drover %s is called drover %s here", argv[0], cmd->real_name);
        cmd = command_find(cmd->real_name);
    }
    c->cmd = cmd;
    opt_begin();
    return cmd->run(c, argc, argv);
}

int cli_main(struct cli *c, int argc, char **argv)
{
    int code = dispatch(c, argc, argv);
    client_free(c->client);
    c->client = NULL;
    fflush(c->out);
    fflush(c->err);
    return code;
}
