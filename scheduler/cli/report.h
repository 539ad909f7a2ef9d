/* scheduler/cli/report.h: what was found in files, as people, editors and CI systems read it.
 * Formats  text; parsable: FILE:LINE:COL: [level] text (code), a line each; github: workflow commands;
 *          json; junit: a test report in XML.
 * Shapes   paths are printed as seen from where the command runs: DIR/FILE.
 * Owner    report_done releases; problems and cases are its own.   Thread main. */
#pragma once

#include "policy/lint.h"
#include "scheduler/cli/cli.h"

enum report_format { REPORT_TEXT, REPORT_PARSABLE, REPORT_GITHUB, REPORT_JSON, REPORT_JUNIT };
extern const char *const report_format_names[5];

struct report_case { /* one that was tried */
    char *name, *file;
    int line, col;
    char *failure; /* what was wanted and what came, lines; NULL: passed */
};
struct findings {
    const char *title;  /* "policy check" */
    const char *schema; /* of json */
    const char *dir;
    bool strict;                 /* warnings fail */
    const struct policy *policy; /* what was read, for json; NULL: it is refused. Borrows */
    struct problems problems;
    struct report_case *cases;
    size_t n_cases;
};
void report_done(struct findings *r);

/* Takes the format from -f, or from -o. False after an error. */
bool report_format_from(struct cli *c, const char *word, int *ret);
/* Problems and failed cases (with all: every case) on stdout; notes only with --verbose, in text. */
void report_print(struct cli *c, int format, const struct findings *r, bool all);
/* The exit code: 1 for an error, 2 for a failed case, or a warning if strict. */
int report_exit(const struct findings *r);
size_t report_failed(const struct findings *r);
