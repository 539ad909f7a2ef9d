/* policy/lint.h: everything that can be said of a policy directory at once.
 * Purpose  policy_load stops at the first mistake, which is right for a scheduler; who writes rules wants
 *          all of them.
 * Shapes   file: relative to the directory, NULL: the directory itself; line, col: from 1, 0 not known.
 *          code: a word for filters ("invalid", "contradiction").
 * Owner    problems_done releases; texts are copied.   Thread any. */
#pragma once

#include "policy/policy.h"

enum problem_level {
    PROBLEM_NOTE,    /* worth knowing */
    PROBLEM_WARNING, /* probably not what was meant */
    PROBLEM_ERROR,   /* refused */
};
extern const char *const problem_level_names[3];
struct problem {
    int level; /* enum problem_level */
    const char *code;
    char *file;
    int line, col;
    char *text;
};
struct problems {
    struct problem *list;
    size_t n;
};

/* where: "FILE:LINE", "FILE:LINE:COL", or NULL. Gives back what was added; valid until the next. */
struct problem *problem_add(struct problems *l, int level, const char *code, const char *where,
                            const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* A message that begins with its place. */
void problem_add_message(struct problems *l, const char *code, const char *message);
/* How many of this level. */
size_t problems_of(const struct problems *l, int level);
/* By file, line, column; what is equal keeps its order. */
void problems_sort(struct problems *l);
void problems_done(struct problems *l); /* accepts zeroed */

/* policy_load that goes on after a mistake: the first of each file, what files say together, and as notes
 * values that a later file overrides. 0 and *ret, or < 0 and at least one PROBLEM_ERROR. */
int policy_lint(const char *dir, struct policy *ret, struct problems *found);
