/* scheduler/solve/internal.h: the parts of a state's price.   PURE.   Inside the engine only. */
#pragma once

#include "scheduler/solve/state.h"

static inline uint8_t home_variant(const struct problem *p, int item)
{
    return p->home_variant ? p->home_variant[item] : 0;
}

static inline bool is_away(const struct problem *p, int item, int m, int v)
{
    return p->home[item] >= 0 && m >= 0 && (m != p->home[item] || v != home_variant(p, item));
}

static inline int domain_of(const struct problem *p, int level, int m)
{
    return m < 0 ? -1 : p->domain[(size_t)level * (size_t)p->n_machines + (size_t)m];
}

static inline int above(int count, int limit)
{
    return count > limit ? count - limit : 0;
}

static inline struct solve_cell *find_cell(const struct solve_state *s, int g, int d)
{
    struct solve_cell *c = &s->cell[s->row[g]];
    for (int k = s->domains_used[g]; k > 0; k--, c++)
        if (c->domain == d)
            return c;
    return NULL;
}

static inline int count_in(const struct solve_state *s, int g, int d)
{
    if (!s->listed[g])
        return s->count[s->row[g] + (size_t)d];
    const struct solve_cell *c = find_cell(s, g, d);
    return c ? c->count : 0;
}

static inline bool has_groups(const struct problem *p, int item)
{
    return p->n_groups && p->group_start[item] < p->group_start[item + 1];
}

static inline int n_domains(const struct problem *p, int g)
{
    return p->n_domains[p->groups[g].level];
}

static inline void list_add(struct solve_state *s, int item, int m)
{
    s->prev[item] = -1;
    s->next[item] = s->first[m];
    if (s->first[m] >= 0)
        s->prev[s->first[m]] = item;
    s->first[m] = item;
}

/* ---- price.c ---------------------------------------------------------------------------------- */
/* Load in SOLVE_UNIT of a level. */
int64_t price_units(int64_t load, int64_t level);
/* The terms of single machines, in runs of one kind and tier; what the terms read of a machine lies
 * side by side. */
struct price_table {
    struct solve_term *term;
    int n, n_runs;
    bool bounded; /* no machine's price is below zero */
    struct price_run {
        int kind, tier, first, end;
    } run[TERM_SPREAD * SOLVE_TIERS];
    int64_t *level; /* [machine * n + term] */
};
struct price_table *price_table_new(const struct problem *p);
void price_table_free(struct price_table *x);
/* Everything that depends on one machine's load, and on the room left on it, alone. */
struct solve_score price_machine(const struct solve_state *s, int m, const int64_t *load,
                                 const int64_t *room);
/* What machine m pays for room that it lacks; 0 only where it lacks none. */
int64_t price_toll(const struct solve_state *s, int m, const int64_t *room);
/* TERM_SPREAD, of the sums of all machines' loads (in units) and of their squares. */
int64_t price_spread(const struct problem *p, const struct solve_term *t, int64_t sum,
                     int64_t sum2);
/* Add (sign 1) or take off (−1) what the item's own place costs. m: −1 nowhere. */
void price_item(const struct problem *p, int item, int m, int v, int sign, struct solve_score *ret);

/* ---- whole.c ----------------------------------------------------------------------------------- */
/* Items too many, domains missing, domains too many of the group. */
int group_violations(const struct solve_state *s, int g);

/* ---- group.c ---------------------------------------------------------------------------------- */
/* A step of one item, as its groups see it. partner: changes places with it, -1 none. */
struct step {
    int item, from, to, partner;
    bool lenient; /* hard things may become worse */
};
/* Adds to *ret what the groups of the item make of the step. False: something hard becomes worse. */
bool group_price(const struct solve_state *s, const struct step *q, struct solve_score *ret);
void group_apply(struct solve_state *s, const struct step *q, bool undo);
/* Adds to worse[g] the violations of each group that the step brings, to *near those of solve_near. */
void group_worse(const struct solve_state *s, const struct step *q, int *worse, int *near);
/* False: a hard group that items to come can only violate more would be above worse[g] ≤ 0. */
bool group_stays_fair(const struct solve_state *s, const struct step *q, const int *worse);
/* How often the item counts in the group. */
int group_times(const struct problem *p, int item, int g);
/* Rows and lists, with nothing in them. */
void group_init(struct solve_state *s);
/* One item more (+1) or less (−1) of group g in domain d; d −1: nothing. */
void group_add(struct solve_state *s, int g, int d, int by);

/* ---- state.c ---------------------------------------------------------------------------------- */
/* A step's price. It may be found too high before it is known, where the step would not be taken: every
 * tier before the last as it is, the last one and the toll above the limit. */
struct quote {
    struct solve_score d;
    int64_t toll, limit;
};
bool state_quote_shift(const struct solve_state *s, int item, int m, int v, struct quote *q);
bool state_quote_swap(struct solve_state *s, int a, int b, struct quote *q);
/* solve_try_shift that asks nothing but max_moves: hard things may become worse. */
bool state_try_lenient(const struct solve_state *s, int item, int m, int v,
                       struct solve_score *ret);
/* The last tier's price of the item on the machine, as loads are now and it were not there yet. */
int64_t state_burden(const struct solve_state *s, int item, int m);
/* Other tolls; borrows them while the state has them. NULL: capacities are walls again. */
void state_set_toll(struct solve_state *s, const int64_t *toll);
