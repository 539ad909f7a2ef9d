/* policy/fmt.h: a YAML file in the usual form: two columns a level, one space between words, comments with
 * what they stand before.
 * Purpose  White space only. Comments, the order of keys, quotes and line breaks between values stay; what the
 *          file says is held against what it said.
 * Errors   -EBADMSG "FILE:LINE:COL: what": no YAML that a policy may have; a text over several lines.
 * Thread   any.   PURE. */
#pragma once

#include <stddef.h>

#include "lib/base/err.h"

/* Gives *ret. The same again gives the same. */
int policy_fmt(const char *file, const char *text, size_t len, char **ret, struct err *e);
