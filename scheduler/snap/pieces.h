/* scheduler/snap/pieces.h: a large JSON object member by member, and its lists item by item.
 * Why      as one tree, jansson's values of 200,000 VMs take 900 MB; as one item after the other, nothing.
 * What     jansson reads every value. Here are only the outermost braces, brackets, commas and colons.
 * Owner    borrows the text.   Thread any. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "lib/base/err.h"

struct pieces {
    const char *text;
    size_t len, at;
    void *arg;
    /* A member that is no list. Takes value. */
    int (*member)(void *arg, const char *key, json_t *value, struct err *e);
    /* A list begins; then its items, each taken. */
    int (*list)(void *arg, const char *key, struct err *e);
    int (*item)(void *arg, const char *key, size_t no, json_t *item, struct err *e);
};
/* 0; what a callback returned; -EBADMSG with line and column where the text is no JSON object, as jansson
 * says it. */
int pieces_read(struct pieces *p, struct err *e);
