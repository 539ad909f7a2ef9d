/* tests/unit/fakeapi.h: a scripted scheduler below the CLI, in place of scheduler/cli/client.c.
 * Each request takes the next answer whose path it begins with; the last one of a path stays. */
#pragma once

#include "scheduler/cli/cli.h"

struct fake_answer {
    const char *path; /* "GET /v1/hosts", "POST /v1/requests" */
    int error;        /* -errno instead of an answer */
    const char *json; /* or the message of the error */
};
extern const struct fake_answer *fake_script; /* ends with {0} */
extern char *fake_log; /* requests as they came, one a line, bodies compact */
extern volatile sig_atomic_t *fake_interrupt; /* set to 1 by the path "INTERRUPT" being reached */

extern bool fake_uncaught; /* the command looks at no signal any more */

struct outcome {
    int code;
    char *out, *err;
};
/* Run "drover ..." split at spaces; a terminal or not; stdin text. Overwrites *ret after releasing it. */
void fake_run(struct outcome *ret, const struct fake_answer *script, const char *line, bool tty,
              const char *input);
void outcome_done(struct outcome *o);
