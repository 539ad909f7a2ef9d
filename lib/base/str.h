/* lib/base/str.h: small text helpers and the one place where quantities become text and back.
 * Units    bytes, bits per second, microseconds; all int64_t.
 * Errors   parsers: -EINVAL with what was expected, -ERANGE on overflow; *ret untouched.
 * Thread   any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define KIB INT64_C(1024)
#define MIB (INT64_C(1024) * KIB)
#define GIB (INT64_C(1024) * MIB)
#define MSEC INT64_C(1000)    /* in µs */
#define SEC INT64_C(1000000)  /* in µs */

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_has_prefix(const char *s, const char *prefix);
bool str_in(const char *s, char *const *list, size_t n);
/* Shell-style match (fnmatch without path rules) of s against pattern. */
bool str_glob(const char *pattern, const char *s);

/* Put more at the end of *s, which is from malloc, or NULL: empty. */
void text_add(char **s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same as the next of a list: sep goes between, when there is something already. */
void text_join(char **s, const char *sep, const char *more);

int parse_bytes(const char *s, int64_t *ret, struct err *e);    /* "4GiB" "512MiB" "1024" (bytes) "2GB" */
int parse_size(const char *s, int64_t *ret, struct err *e);     /* the same, but never without a unit */
int parse_duration(const char *s, int64_t *ret_us, struct err *e); /* "250ms" "90s" "10m" "6h" "2d" "1h30m" */
int parse_bitrate(const char *s, int64_t *ret_bps, struct err *e); /* "400Mbit" "25Gbit" ("/s" allowed) */
int parse_int(const char *s, int64_t min, int64_t max, int64_t *ret, struct err *e);

/* Format into buf, return buf. All want a buffer of FMT_BYTES. */
enum { FMT_BYTES = 32 };
const char *fmt_bytes(char *buf, int64_t bytes);      /* "4.1 GiB", "512 MiB"; "?" if < 0 */
const char *fmt_duration(char *buf, int64_t us);      /* "61 ms", "38 s", "4 min 10 s", "6 h 2 min" */
const char *fmt_bitrate(char *buf, int64_t bps);      /* "400 Mbit/s" */
const char *fmt_rfc3339(char *buf, int64_t wall_us);  /* "2026-01-02T03:04:05Z" */

/* The candidate nearest to word when it is near enough to be a typo (edit distance <= 2 and less
 * than half of the word), else NULL. Borrows. */
const char *str_did_you_mean(const char *word, const char *const *candidates, size_t n);
