/* scheduler/cli/text.h: text for terminals: widths, safe printing, times.   Thread any.
 * Why      names and reasons come from other people's XML and errors: what reaches a terminal must not
 *          contain its control sequences. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Columns that s takes (UTF-8; a byte that is none counts 1). */
size_t text_width(const char *s);
/* Length in bytes of the longest prefix that fits in `columns`. */
size_t text_fit(const char *s, size_t columns);
/* Replace control characters by '?', in place; gives s back. A newline becomes a space. */
char *text_safe(char *s);
/* Print formatted text made safe (one line; the newline is added). */
void text_line(FILE *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "1 VM", "2 VMs". Static storage for a few calls. */
const char *text_count(int64_t n, const char *one, const char *many);

enum { TIME_BYTES = 32 };
const char *time_clock(char *buf, int64_t wall_us);  /* local "10:42:07"; "-" when 0 */
const char *time_minute(char *buf, int64_t wall_us); /* local "10:42" */
const char *time_date(char *buf, int64_t wall_us);   /* local "2026-03-01 10:42:07" */
/* How long ago, coarse: "41 s", "6 min", "3 h", "2 d". */
const char *time_ago(char *buf, int64_t wall_us, int64_t now_wall_us);
/* Coarse duration for estimates: "14 s", "6 min", "1 h 5 min". */
const char *time_about(char *buf, int64_t us);
