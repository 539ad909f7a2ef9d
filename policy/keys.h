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
    KT_INT,         /* int64_t */
    KT_BYTES,       /* int64_t bytes, "4GiB" */
    KT_RATIO,       /* int64_t ppm, 1.5 */
    KT_PERCENT,     /* int64_t ppm, "80%" */
    KT_ENUM,        /* int, names */
    KT_PER_GIB,     /* int64_t µs, "800s/GiB" */
    KT_PARALLEL,    /* int64_t, "auto" = 0 */
    KT_MULTIFD,     /* bool and channels */
    KT_BANDWIDTH,   /* int64_t bytes/s, "8Gbit"; "auto" = 0 */
    KT_PAUSE,       /* int64_t µs, "300ms"; "auto" = 0 */
    KT_DURATION,    /* int64_t µs, "3m" */
    KT_UNSUPPORTED, /* designed, not built */
};
struct keyset;
struct key {
    const char *name;
    enum key_type type;
    size_t off;
    int64_t min, max;
    const char *const *names;
    size_t n_names;
    const struct keyset *sub;
    const char *doc;
};
struct keyset {
    const struct key *keys;
    size_t n;
};
extern const struct keyset policy_keys;
/* Rule kinds that the language has and this version does not. */
extern const char *const rule_kinds_unsupported[2];

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
/* Read the list of rules: appends to r->p->rules. */
int rules_read(const struct reading *r, const struct ynode *n);

/* Errors. Return -EBADMSG. */
int fail_value(const struct reading *r, const struct ynode *n, const char *path,
               const char *expected);
int fail_unknown(const struct reading *r, const struct ynode *n, const char *path,
                 const char *const *candidates, size_t n_candidates);
int fail_unsupported(const struct reading *r, const struct ynode *n, const char *path);
