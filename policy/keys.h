/* policy/keys.h: the policy language as tables: what the loader accepts and what the schema says.
 * Purpose  One row per key drives parsing (load.c), "did you mean", and schema/policy.json.
 * Shapes   off: of the member in struct policy. min, max: in the member's unit.
 * Errors   -EBADMSG "FILE:LINE:COL: KEY: expected ..., got ...".   Thread any. */
#pragma once

#include "policy/policy.h"
#include "policy/ytree.h"

enum key_type {
    KT_VERSION,     /* 1 */
    KT_SECTION,     /* sub */
    KT_RULES,       /* list of rules */
    KT_BOOL,        /* bool */
    KT_ENUM,        /* int, names */
    KT_MULTIFD,     /* bool and channels */
    KT_INT,         /* int64_t, and so are the quantities below */
    KT_BYTES,       /* "4GiB" */
    KT_RATIO,       /* ppm, 1.5 */
    KT_PERCENT,     /* ppm, "80%" */
    KT_BITRATE,     /* bytes/s, "8Gbit" */
    KT_DURATION,    /* µs, "3m" */
    KT_PER_GIB,     /* µs, "800s/GiB" */
    KT_SCHEDULE,    /* calendar.h: balance.schedule alone */
    KT_WINDOW,      /* calendar.h: balance.windows alone */
    KT_LABEL,       /* char *: the key of a label of VMs */
    KT_UNSUPPORTED, /* designed, not built */
};
struct keyset;
struct key {
    const char *name;
    enum key_type type;
    size_t off;
    int64_t min, max;
    const char *zero;    /* of numbers and texts: a word that stands for 0 or NULL ("auto") */
    const char *example; /* for messages */
    const char *const *names;
    size_t n_names;
    const struct keyset *sub;
    const char *doc;
};
struct reading;
struct keyset {
    const struct key *keys;
    size_t n;
    /* What the section's values must be together; n: the section. NULL: nothing. */
    int (*check)(const struct reading *r, const struct ynode *n);
};
extern const struct keyset policy_keys;

/* One file being read. */
struct reading {
    const char *file; /* relative to the policy directory */
    struct policy *p;
    struct err *e;
};
/* Read one scalar value into the policy. path: "migration.retries", for messages. */
int value_read(const struct reading *r, const struct key *k, const struct ynode *n,
               const char *path);
int value_bool(const struct reading *r, const struct ynode *n, const char *path, bool *ret);
int value_int(const struct reading *r, const struct ynode *n, const char *path, int64_t min,
              int64_t max, int64_t *ret);
int value_enum(const struct reading *r, const struct ynode *n, const char *path,
               const char *const *names, size_t n_names, int *ret);
/* Times: schedule; one window or a list of them. Their zones are in r->p->zones then. */
int value_schedule(const struct reading *r, const struct key *k, const struct ynode *n,
                   const char *path);
int value_window(const struct reading *r, const struct key *k, const struct ynode *n,
                 const char *path);
void policy_windows_done(struct policy *p); /* leaves none */
/* A word that stands for nothing, such as "never". */
bool value_is_zero_word(const struct key *k, const struct ynode *n);
/* Read the list of rules: appends to r->p->rules. */
int rules_read(const struct reading *r, const struct ynode *n);
/* Read one file's text into the policy: values override, rules add up. p may be half written on error. */
int policy_read_text(const char *file, const char *text, size_t len, struct policy *p,
                     struct err *e);
/* Can the hard rules hold together, as far as their text tells? "FILE:LINE: rule ..." names both. */
int rules_check(const struct policy *p, struct err *e);

/* "a, b, c". Gives. */
char *list_text(const char *const *words, size_t n);

/* Errors. Return -EBADMSG. */
int fail_at(const struct reading *r, const struct ynode *n, const char *path, const char *what);
int fail_value(const struct reading *r, const struct ynode *n, const char *path,
               const char *expected);
int fail_unknown(const struct reading *r, const struct ynode *n, const char *path,
                 const char *const *candidates, size_t n_candidates);
int fail_unsupported(const struct reading *r, const struct ynode *n, const char *path);
