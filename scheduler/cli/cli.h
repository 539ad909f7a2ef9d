/* scheduler/cli/cli.h: what the operator's commands share: global options, exit codes, messages.
 * Shapes   struct cli is built once by cli_main and handed down; commands are int cmd(cli, argc, argv)
 *          with argv[0] the command's own word, returning the exit code.
 * Streams  out = the answer, err = progress and advice. Tests hand in memory streams.
 * Errors   printed where they are found, once, as "drover: ..."; the exit code travels up.
 * Thread   main only. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/err.h"

/* docs/man/drover.1.scd says the same to operators. */
enum exit_code {
    X_DONE = 0, /* or nothing to do */
    X_FAILED = 1,
    X_CHANGES = 2, /* only with --detailed-exitcode: there are changes */
    X_NOT_MET = 2, /* policy check --strict: warnings; policy test: a case failed */
    X_BLOCKED = 3, /* blocked or infeasible; reasons printed, nothing changed */
    X_PARTLY = 4,
    X_UNREACHABLE = 5, /* no scheduler */
    X_DENIED = 6,      /* not confirmed, not allowed: nothing was done */
    X_USAGE = 64,      /* 2 must not mean both */
    X_TIMEOUT = 124,   /* --timeout passed; the run goes on */
    X_DETACHED = 130,  /* Ctrl-C: the run goes on */
};
enum out_format { OUT_TABLE, OUT_WIDE, OUT_JSON, OUT_YAML, OUT_NAME, OUT_JSONL };
enum progress_mode { PROGRESS_AUTO, PROGRESS_TTY, PROGRESS_PLAIN, PROGRESS_JSONL, PROGRESS_NONE };
enum colour { C_NONE, C_GOOD, C_WARN, C_BAD, C_DIM };

struct client;
struct command;
struct cli {
    FILE *in, *out, *err;
    bool in_tty, out_tty, err_tty, dumb; /* dumb: TERM is dumb or unset */
    bool ci;                             /* a CI system's log, no person in front of a screen */
    const char *socket, *url, *cert, *key, *ca;
    int format;               /* enum out_format */
    int progress;             /* enum progress_mode */
    const char *progress_env; /* DROVER_PROGRESS */
    bool quiet, verbose, no_color, no_input, no_headers;
    const char *columns, *sort;
    const struct command *cmd; /* the one that runs: its help text */
    struct client *client;     /* made on first use by cli_client */
    int64_t poll_us;           /* between two looks at a run; 0: by the kind of display */
    volatile sig_atomic_t *interrupted, *resized; /* set by SIGINT, SIGWINCH */
    void (*uncatch)(void); /* signals end the process again; may be NULL */
};
struct command {
    const char *name;
    const char *summary; /* one line in `drover --help` */
    const char *usage;   /* "HOST [options]" */
    const char *help;    /* options and explanation */
    int (*run)(struct cli *c, int argc, char **argv);
    const char *real_name; /* a hidden synonym prints this, and is no command of its own */
};

/* The whole program but for the process' own setup. */
int cli_main(struct cli *c, int argc, char **argv);
void command_help(const struct command *cmd, FILE *f);

/* "drover: " + text + newline on err. Return `code`. */
int cli_error(struct cli *c, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same with X_USAGE and a line that names the command's help. */
int cli_usage(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Print e and give the exit code its errno stands for (client.h). */
int cli_fail(struct cli *c, const struct err *e);
/* Progress and advice: not with -q. */
void cli_note(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Made from the global options on first use. NULL and *e on failure. Borrows. */
struct client *cli_client(struct cli *c, struct err *e);

/* From here on the command computes by itself and looks at no signal: they are not caught any more. */
void cli_alone(struct cli *c);

/* Escape sequences around a word, "" when colour is off for that stream. */
const char *paint(const struct cli *c, const FILE *f, int colour);
const char *paint_off(const struct cli *c, const FILE *f, int colour);

int cmd_drain(struct cli *c, int argc, char **argv);
int cmd_plan(struct cli *c, int argc, char **argv);
int cmd_balance(struct cli *c, int argc, char **argv);
int cmd_apply(struct cli *c, int argc, char **argv);
int cmd_resume(struct cli *c, int argc, char **argv);
int cmd_cordon(struct cli *c, int argc, char **argv);
int cmd_label(struct cli *c, int argc, char **argv);
int cmd_cancel(struct cli *c, int argc, char **argv);
int cmd_attach(struct cli *c, int argc, char **argv);
int cmd_explain(struct cli *c, int argc, char **argv);
int cmd_check(struct cli *c, int argc, char **argv);
int cmd_hosts(struct cli *c, int argc, char **argv);
int cmd_top(struct cli *c, int argc, char **argv);
int cmd_vms(struct cli *c, int argc, char **argv);
int cmd_runs(struct cli *c, int argc, char **argv);
int cmd_journal(struct cli *c, int argc, char **argv);
int cmd_health(struct cli *c, int argc, char **argv);
int cmd_policy(struct cli *c, int argc, char **argv);
int cmd_snapshot(struct cli *c, int argc, char **argv);
int cmd_version(struct cli *c, int argc, char **argv);
int cmd_pki(int argc, char **argv); /* pki.c */
