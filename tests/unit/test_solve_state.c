/* The price of each step against a second, plain reading of the problem. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/solve/state.h"
#include "tests/unit/randproblem.h"

/* ---- the problem read anew from places alone; shares no code with the engine -------------------- */

static int64_t plain_load(const struct problem *p, const int *at, const uint8_t *v, int m, int r)
{
    int64_t sum = p->base ? p->base[m * p->n_res + r] : 0;
    for (int i = 0; i < p->n_items; i++)
        if (at[i] == m)
            sum += p->size[(i * p->n_variants + v[i]) * p->n_res + r];
    return sum;
}

static int64_t plain_held(const struct problem *p, const int *at, int m, int r)
{
    int64_t sum = 0;
    for (int i = 0; i < p->n_items && (p->held_res >> r & 1); i++)
        if (p->home[i] == m && at[i] != m)
            sum += p->size[(i * p->n_variants + p->home_variant[i]) * p->n_res + r];
    return sum;
}

static int plain_count(const struct problem *p, const int *at, int g, int d)
{
    const struct solve_group *x = &p->groups[g];
    const int *dom = &p->domain[x->level * p->n_machines];
    int n = 0;
    for (int k = 0; k < p->n_fixed; k++)
        n += p->fixed[k].group == g && dom[p->fixed[k].machine] == d ? p->fixed[k].count : 0;
    for (int i = 0; i < p->n_items; i++) {
        bool member = false;
        for (int k = p->group_start[i]; k < p->group_start[i + 1]; k++)
            member |= p->group_of[k] == g;
        bool here = at[i] >= 0 && dom[at[i]] == d;
        n += member && (here || (x->held && p->home[i] >= 0 && dom[p->home[i]] == d));
    }
    return n;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* hard[]: each hard thing by itself, so that "never worse" can be checked one by one. */
struct plain {
    struct solve_score score;
    int64_t hard[64];
    int n_hard;
};

static void plain_groups(const struct problem *p, const int *at, struct plain *ret)
{
    for (int g = 0; g < p->n_groups; g++) {
        const struct solve_group *x = &p->groups[g];
        int over = 0, used = 0, bad = 0;
        for (int d = 0; d < p->n_domains[x->level]; d++) {
            int n = plain_count(p, at, g, d);
            over += n > x->limit ? n - x->limit : 0;
            used += n > 0;
        }
        bad = x->kind == GROUP_APART      ? over
              : x->kind == GROUP_SPREAD   ? (int)most(0, x->limit - used)
              : x->kind == GROUP_TOGETHER ? (int)most(0, used - 1)
                                          : 0;
        ret->score.tier[x->tier] += bad * x->weight;
        if (x->tier == TIER_HARD)
            ret->hard[ret->n_hard++] = bad;
    }
    for (int d = 0; d < p->n_domains[1]; d++)
        if (plain_count(p, at, p->near[0].a, d) && !plain_count(p, at, p->near[0].b, d))
            ret->score.tier[TIER_HARD]++;
}

static void plain_machines(const struct problem *p, const int *at, const uint8_t *v,
                           struct plain *ret)
{
    int64_t sum = 0, sum2 = 0;
    for (int m = 0; m < p->n_machines; m++) {
        int64_t load[RP_RES];
        const int64_t *cap = &p->cap[m * p->n_res], *level = p->terms[0].level;
        for (int r = 0; r < p->n_res; r++) {
            load[r] = plain_load(p, at, v, m, r);
            int64_t over = most(0, load[r] + plain_held(p, at, m, r) - cap[r]);
            ret->score.tier[TIER_HARD] += over * p->over_weight[r];
            ret->hard[ret->n_hard++] = over;
        }
        ret->score.tier[TIER_LOAD] += 3 * most(0, load[0] - level[m]);
        ret->score.tier[TIER_COST] += 2 * most(0, 2 * (cap[0] - load[0]) - (cap[1] - load[1]));
        int64_t u = load[1] * SOLVE_UNIT / level[m];
        ret->score.tier[TIER_COST] += u * u / SOLVE_UNIT;
        ret->score.tier[TIER_COST] -= 9 * (most(0, cap[2] - load[2]) / 8);
        u = load[0] * SOLVE_UNIT / level[m];
        sum += u;
        sum2 += u * u;
    }
    /* the engine's rounding: ⌊4 · ⌊√(n Σu² − (Σu)²)⌋ / n⌋ */
    int64_t root = (int64_t)sqrtl((long double)(p->n_machines * sum2 - sum * sum));
    ret->score.tier[TIER_COST] += 4 * root / p->n_machines;
}

static bool plain_in(const struct problem *p, int set, int m)
{
    return set < 0 || (p->sets[set].bits[0] >> m & 1);
}

static void plain_items(const struct problem *p, const int *at, const uint8_t *v, struct plain *ret)
{
    int moved[4] = {0};
    for (int i = 0; i < p->n_items; i++) {
        if (at[i] < 0 || !plain_in(p, p->allow[i], at[i]))
            ret->score.tier[TIER_HARD] += p->need[i];
        if (at[i] < 0)
            continue;
        for (int k = p->prefer_start[i]; k < p->prefer_start[i + 1]; k++)
            if (!plain_in(p, p->prefer[k].set, at[i]))
                ret->score.tier[TIER_SOFT] += p->prefer[k].weight;
        if (p->home[i] < 0 || (p->home[i] == at[i] && v[i] == p->home_variant[i]))
            continue;
        moved[p->batch[i]]++;
        ret->score.tier[TIER_COST] +=
            p->move_cost[i] +
            p->class_cost[p->machine_class[p->home[i]] * 2 + p->machine_class[at[i]]];
    }
    int64_t top = most(most(moved[0], moved[1]), most(moved[2], moved[3]));
    ret->score.tier[TIER_COST] += p->batch_weight * top;
}

static struct plain plain_read(const struct problem *p, const int *at, const uint8_t *v)
{
    struct plain x = {0};
    plain_groups(p, at, &x);
    plain_machines(p, at, v, &x);
    plain_items(p, at, v, &x);
    return x;
}

/* ---- the tests --------------------------------------------------------------------------------- */

static void same_score(const struct solve_score *a, const struct solve_score *b)
{
    for (int t = 0; t < SOLVE_TIERS; t++)
        assert_int_equal(a->tier[t], b->tier[t]);
}

/* One random step; both readings agree before and after. Returns whether it was taken. */
static bool random_step(struct solve_state *s, struct rng *g)
{
    const struct problem *p = s->p;
    struct plain before = plain_read(p, s->at, s->variant);
    struct solve_score d, then = s->score;
    int i = (int)rng_below(g, (uint64_t)p->n_items), j = (int)rng_below(g, (uint64_t)p->n_items);
    int m = (int)rng_below(g, (uint64_t)p->n_machines), v = (int)rng_below(g, 2);
    bool swap = rng_below(g, 2);
    if (swap ? i == j || !solve_try_swap(s, i, j, &d) : !solve_try_shift(s, i, m, v, &d)) {
        same_score(&s->score, &then);
        return false;
    }
    if (swap)
        solve_do_swap(s, i, j, &d);
    else
        solve_do_shift(s, i, m, v, &d);
    solve_score_add(&then, &d);
    same_score(&s->score, &then);
    struct plain after = plain_read(p, s->at, s->variant);
    same_score(&s->score, &after.score);
    for (int k = 0; k < after.n_hard; k++)
        assert_true(after.hard[k] <= before.hard[k]);
    assert_true(p->max_moves < 0 || s->n_moved <= p->max_moves);
    return true;
}

static void every_step_is_priced_exactly(void **state)
{
    (void)state;
    int taken = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct randproblem r;
        struct solve_state s;
        struct rng g;
        randproblem_init(&r, seed);
        rng_init(&g, seed + 1000);
        solve_init(&s, &r.p);
        struct plain first = plain_read(&r.p, s.at, s.variant);
        same_score(&s.score, &first.score);
        for (int k = 0; k < 200; k++)
            taken += random_step(&s, &g);
        struct solve_score whole = solve_score_whole(&s);
        same_score(&s.score, &whole);
        solve_done(&s);
        randproblem_done(&r);
    }
    assert_true(taken > 1000);
}

/* Items taken off and put back where they were: the same state as before. */
static void remove_and_return(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct randproblem r;
        struct solve_state s, copy;
        randproblem_init(&r, seed);
        solve_init(&s, &r.p);
        solve_init(&copy, &r.p);
        for (int i = 0; i < r.p.n_items; i++) {
            int m = s.at[i], v = s.variant[i];
            struct solve_score d;
            if (m < 0)
                continue;
            solve_copy(&copy, &s);
            solve_do_remove(&s, i);
            struct plain now = plain_read(&r.p, s.at, s.variant);
            same_score(&s.score, &now.score);
            if (solve_try_shift(&s, i, m, v, &d)) {
                solve_do_shift(&s, i, m, v, &d);
                same_score(&s.score, &copy.score);
            } else {
                solve_copy(&s, &copy);
            }
        }
        solve_done(&copy);
        solve_done(&s);
        randproblem_done(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_is_priced_exactly),
        cmocka_unit_test(remove_and_return),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
