/* tests/bench/table.h: the tallies of several seeds, and how they are printed.
 * The last lines are for machines: Drover against the one of the others that lets the least overload happen. */
#pragma once

#include "tests/bench/waves.h"

struct row {
    const struct method *way;
    struct tally sum, worst;
    int n;
};
/* In the environment WAYS names a part of the names of those that are wanted; without it all are. */
bool way_is_wanted(const struct method *way);
void row_add(struct row *row, const struct method *way, const struct tally *t);
/* Rows to which nothing was added are left out. bench: NAME_… */
void rows_print(const struct row *rows, size_t n, const char *name);
