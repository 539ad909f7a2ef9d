/* scheduler/cli/opt.h: options and names, over getopt_long.
 * Why      one place knows the global options (they stand anywhere), refuses abbreviations (a script
 *          must not change its meaning when an option is added) and helps with a typing error.
 * Errors   printed here; the command returns opt_exit(what opt_next gave).   Thread main. */
#pragma once

#include <getopt.h>

#include "scheduler/cli/cli.h"

enum { OPT_END = -1, OPT_HELP = -2, OPT_ERROR = -3 };

/* Start over for a new argv; stop_at_word: a sub-command follows, its options are not ours. */
void opt_begin(void);
/* The next of the command's own options (its val); global ones are applied to c on the way.
 * own: ends with {0}; val is the short letter or >= 256; an own option comes before a global of the
 * same name. At OPT_END the words are argv[optind..]. */
int opt_next(struct cli *c, int argc, char **argv, const struct option *own, bool stop_at_word);
/* Defaults from the environment, before any option. False after an error. */
bool opt_env(struct cli *c);
int opt_exit(int got); /* X_DONE after help, X_USAGE after an error */

/* Between min and max words; prints what is missing ("a host") or too many. */
bool opt_words(struct cli *c, int argc, char **argv, int min, int max, const char *what);

/* "host/h1" or "h1" → "h1" (borrows from word). NULL after an error: another kind, or empty. */
const char *name_host(struct cli *c, const char *word);
/* The same, at the end of a list; it borrows from word. */
bool name_host_add(struct cli *c, const char *word, char ***list, size_t *n);
/* Copies what one of these gave into a list. NULL: false. */
bool name_keep(char ***list, size_t *n, const char *name);
const char *name_vm(struct cli *c, const char *word);
bool name_run(struct cli *c, const char *word, int64_t *ret_id);

bool opt_duration(struct cli *c, const char *name, const char *text, int64_t *ret_us);
/* Index of text among names, or -1 after an error with a suggestion. */
int opt_word(struct cli *c, const char *name, const char *text, const char *const *names, size_t n);
