/* scheduler/cli/list.h: what the listing commands share. */
#pragma once

#include <jansson.h>

#include "lib/model/model.h"
#include "scheduler/cli/cli.h"

/* Keep those elements of answer[list] whose "name" (or other key) is among the words. Every word must
 * have met one, else the nearest name is suggested on err and false is given. No words: keep all. */
bool list_filter(struct cli *c, json_t *answer, const char *list, const char *const *keys,
                 char **words, size_t n_words);
/* Measured CPU: of a host as a share of its CPUs, of a VM (cpus 0) in CPUs: "0.62". "?": not known. */
struct table;
void load_cell(struct table *t, int64_t mcpu, int64_t cpus);
/* Read and written, or in and out, together: bytes a second. */
void rate_cell(struct table *t, int64_t a_Bps, int64_t b_Bps);
/* VMs that come and go: "+1 -2", "-" when none. */
void flow_cell(struct table *t, int64_t in, int64_t out);
/* "a=b,c=d", "" when none. Gives. */
char *list_labels(const struct label *labels, size_t n);
