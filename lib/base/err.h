/* lib/base/err.h: one failure with the path it took.
 * Shapes   value type, never allocates, so it can report -ENOMEM too. code is a negative errno.
 * Errors   both functions return the code, so `return err_set(e, -EINVAL, ...)` works.
 *          Every function accepts e == NULL.   Thread any. */
#pragma once

struct err {
    int code;
    char msg[504];
};

/* Replaces *e. Returns code. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4), cold));
/* Puts "ctx: " before the message. Returns the code *e already holds (-EIO if it holds none). */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));
