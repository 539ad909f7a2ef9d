/* scheduler/plan/translate_int.h: what the files of the translation share.   PURE. */
#pragma once

#include "scheduler/plan/cells.h"
#include "scheduler/plan/cpu.h"
#include "scheduler/plan/translate.h"

struct pair {
    int item, what, tier;
    int64_t weight;
};
struct work {
    struct plan_cells cells;
    int n_res;                     /* N_RES, the cells, measured CPU by those figures that count */
    int res_cpu[PLAN_CPU_FIGURES]; /* -1: not counted */
    const struct plan_world *w;
    const struct plan_wanted *list;
    size_t n;
    const struct translate_goal *g;
    struct translation *t;
    int *item_of; /* per VM, -1: it stays */
    /* being built; owned by the translation in the end */
    struct solve_group *groups;
    size_t n_groups;
    struct solve_fixed *fixed;
    size_t n_fixed;
    int *domain; /* level by level */
    size_t n_domain;
    int *n_domains;
    size_t n_levels;
    int plain_level[3]; /* by enum domain_level, -1: not built yet */
    struct solve_set *sets;
    size_t n_sets;
    struct pair *members; /* (item, group) */
    size_t n_members;
    struct pair *prefers; /* (item, set) */
    size_t n_prefers;
};

static inline size_t n_hosts(const struct work *k)
{
    return k->w->s->n_hosts;
}
/* Zeroed; the translation's in the end. */
void *translate_array(struct work *k, size_t n, size_t size);

/* translate_terms.c */
void translate_terms(struct work *k);
