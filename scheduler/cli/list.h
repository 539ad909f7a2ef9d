/* scheduler/cli/list.h: what the listing commands share. */
#pragma once

#include <jansson.h>

#include "lib/model/model.h"
#include "scheduler/cli/cli.h"

/* Keep those elements of answer[list] whose "name" (or other key) is among the words. Every word must
 * have met one, else the nearest name is suggested on err and false is given. No words: keep all. */
bool list_filter(struct cli *c, json_t *answer, const char *list, const char *const *keys,
                 char **words, size_t n_words);
/* "a=b,c=d", "" when none. Gives. */
char *list_labels(const struct label *labels, size_t n);
