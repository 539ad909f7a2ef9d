/* policy/ytree.h: one YAML file as a bounded tree with positions (libyaml events).
 * Purpose  Strictness that libyaml does not have: no aliases, anchors, tags or second documents, no
 *          duplicate keys, bounded nesting and list length; and the position of each value, so that
 *          later errors can say file:line:column.
 * Shapes   lines and columns start at 1. Members of a mapping carry key and its position.
 * Errors   -EBADMSG "FILE:LINE:COL: what"; *ret untouched.
 * Owner    ytree_done releases what ytree_parse gave.   Thread any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

enum ykind { Y_SCALAR, Y_MAP, Y_SEQ };
struct ynode {
    enum ykind kind;
    char *text;  /* Y_SCALAR */
    bool quoted; /* Y_SCALAR in quotes or a block: a text for certain */
    int line, col;
    char *key; /* member of a mapping */
    int key_line, key_col;
    struct ynode *items;
    size_t n_items;
};

/* file: name for messages. An empty file gives an empty mapping. */
int ytree_parse(const char *file, const char *text, size_t len, struct ynode *ret, struct err *e);
void ytree_done(struct ynode *n); /* accepts zeroed */
/* The member of a mapping, or NULL. */
const struct ynode *ytree_get(const struct ynode *map, const char *key);
