/* Few moves that gain blocks: against every choice of moves on tiny fleets, and against the bound of
 * the prices on larger ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "scheduler/solve/few.h"
#include "scheduler/solve/trade.h"
#include "tests/unit/randproblem.h"
#include "tests/unit/replay.h"

/* Machines of two cells, a resource each, and items that sit on one cell or on both with the same size
 * (variants 0, 1; 2). The score is minus the pieces of `block` that are free. */
enum { MOST_MACHINES = 80, MOST_ITEMS = 1200, CELLS = 2, BOTH = 2 };

struct cells {
    struct problem p;
    int64_t cap[MOST_MACHINES * CELLS], size[MOST_ITEMS * 3 * CELLS];
    int home[MOST_ITEMS];
    uint8_t home_variant[MOST_ITEMS], variants[MOST_ITEMS];
    struct solve_term term[CELLS];
};

struct shape {
    int machines, items, n_sizes;
    int64_t cap, block, sizes[5];
};

static void cells_init(struct cells *c, const struct shape *s, uint64_t seed)
{
    struct rng g;
    int64_t room[MOST_MACHINES * CELLS];
    rng_init(&g, seed);
    memset(c, 0, sizeof(*c));
    for (int k = 0; k < s->machines * CELLS; k++)
        c->cap[k] = room[k] = s->cap;
    int n = 0;
    for (int tries = 0; tries < s->items * 4 && n < s->items; tries++) {
        int m = (int)rp_in(&g, 0, s->machines - 1);
        int v = (int)rp_in(&g, 0, 9);
        int64_t size = s->sizes[rp_in(&g, 0, s->n_sizes - 1)];
        v = v == 0 ? BOTH : v & 1;
        if ((v != 1 && room[m * CELLS] < size) || (v != 0 && room[m * CELLS + 1] < size))
            continue;
        room[m * CELLS] -= v != 1 ? size : 0;
        room[m * CELLS + 1] -= v != 0 ? size : 0;
        int64_t *x = &c->size[n * 3 * CELLS];
        x[0] = x[3] = x[4] = x[5] = size;
        c->home[n] = m;
        c->home_variant[n] = (uint8_t)v;
        c->variants[n++] = v == BOTH ? 1 << BOTH : 3;
    }
    for (int k = 0; k < CELLS; k++)
        c->term[k] = (struct solve_term){
            .kind = TERM_BLOCKS, .tier = TIER_COST, .res = k, .weight = 1, .block = s->block};
    c->p = (struct problem){.n_items = n,
                            .n_machines = s->machines,
                            .n_res = CELLS,
                            .n_variants = 3,
                            .size = c->size,
                            .home = c->home,
                            .home_variant = c->home_variant,
                            .variants = c->variants,
                            .cap = c->cap,
                            .terms = c->term,
                            .n_terms = CELLS};
}

static const struct shape tiny = {
    .machines = 4, .items = 16, .n_sizes = 3, .cap = 11, .block = 4, .sizes = {1, 2, 4}};
static const struct shape fleet = {
    .machines = 80, .items = 800, .n_sizes = 4, .cap = 44, .block = 16, .sizes = {2, 4, 8, 16}};

/* ---- every choice ------------------------------------------------------------------------------ */

static int64_t pieces(const struct cells *c, const int64_t *room)
{
    int64_t sum = 0;
    for (int k = 0; k < c->p.n_machines * CELLS; k++) {
        if (room[k] < 0)
            return -1;
        sum += room[k] / c->term[0].block;
    }
    return sum;
}

static void use(const struct cells *c, int64_t *room, int item, int place, int sign)
{
    const int64_t *size = &c->size[(item * 3 + place % 3) * CELLS];
    for (int k = 0; k < CELLS; k++)
        room[place / 3 * CELLS + k] -= sign * size[k];
}

/* The most pieces that at most `left` moves of items from `item` on lead to, in whatever order. */
static int64_t most_pieces(const struct cells *c, int64_t *room, int item, int left)
{
    int64_t best = pieces(c, room);
    for (int i = item; left && i < c->p.n_items; i++) {
        int at = c->home[i] * 3 + c->home_variant[i];
        use(c, room, i, at, -1);
        for (int to = 0; to < c->p.n_machines * 3; to++) {
            if (to == at || !(c->variants[i] >> to % 3 & 1))
                continue;
            use(c, room, i, to, 1);
            int64_t got = most_pieces(c, room, i + 1, left - 1);
            best = got > best ? got : best;
            use(c, room, i, to, -1);
        }
        use(c, room, i, at, 1);
    }
    return best;
}

static int64_t optimum(const struct cells *c)
{
    int64_t room[MOST_MACHINES * CELLS];
    memcpy(room, c->cap, sizeof(room));
    for (int i = 0; i < c->p.n_items; i++)
        use(c, room, i, c->home[i] * 3 + c->home_variant[i], 1);
    return most_pieces(c, room, 0, c->p.max_moves);
}

/* ---- tests ------------------------------------------------------------------------------------- */

static void check_state(const struct solve_state *s)
{
    struct solve_score whole = solve_score_whole(s);
    assert_int_equal(solve_score_cmp(&whole, &s->score), 0);
    assert_true(s->n_moved <= s->p->max_moves);
    for (int k = 0; k < s->p->n_machines * s->p->n_res; k++)
        assert_true(s->room[k] >= 0);
    for (int i = 0; i < s->p->n_items; i++)
        assert_true(s->p->variants[i] >> s->variant[i] & 1);
}

static void as_good_as_every_choice(void **state)
{
    (void)state;
    struct cells c;
    bool pinned[MOST_ITEMS] = {false};
    int met = 0, gained = 0, ordered = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct solve_state s;
        struct solve_order o;
        int64_t bound;
        cells_init(&c, &tiny, seed);
        c.p.max_moves = 1 + (int)(seed % 3);
        solve_init(&s, &c.p);
        int64_t before = -s.score.tier[TIER_COST], best = optimum(&c);
        solve_trade(&s, TIER_COST, pinned, &(struct solve_limits){.seed = seed, .steps = 100000},
                    &bound);
        int64_t got = -s.score.tier[TIER_COST];
        check_state(&s);
        assert_true(got >= before && got <= best && got <= before + bound);
        gained += best > before;
        met += best > before && got == best;
        solve_done(&s);
        solve_init(&s, &c.p);
        solve_few(&s, &(struct solve_limits){.seed = seed, .steps = 100000}, &o);
        assert_true(-s.score.tier[TIER_COST] <= best);
        assert_true(replay_in_order(&c.p, false, &o));
        ordered += -s.score.tier[TIER_COST] == best; /* without parking there may be no order */
        solve_order_done(&o);
        solve_done(&s);
    }
    assert_true(gained > 40 && met >= gained - 2 && ordered >= 58);
}

static void fleets_near_the_bound(void **state)
{
    (void)state;
    struct cells c;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct solve_state s, again;
        struct solve_order o;
        int64_t bound;
        bool pinned[MOST_ITEMS] = {false};
        struct solve_limits l = {.seed = seed, .steps = 1500000};
        cells_init(&c, &fleet, seed);
        c.p.max_moves = 10 * (int)seed;
        for (int i = 0; i < c.p.n_items; i += 9)
            pinned[i] = true;
        solve_init(&s, &c.p);
        int64_t before = -s.score.tier[TIER_COST];
        int64_t steps = solve_trade(&s, TIER_COST, pinned, &l, &bound);
        int64_t got = -s.score.tier[TIER_COST] - before;
        check_state(&s);
        assert_true(steps <= l.steps + 100 && got <= bound && got >= bound - 1);
        for (int i = 0; i < c.p.n_items; i++)
            assert_true(!pinned[i] || (s.at[i] == c.home[i] && s.variant[i] == c.home_variant[i]));
        solve_init(&again, &c.p);
        assert_int_equal(solve_trade(&again, TIER_COST, pinned, &l, &bound), steps);
        assert_memory_equal(s.at, again.at, (size_t)c.p.n_items * sizeof(*s.at));
        solve_done(&again);
        solve_done(&s);
        solve_init(&s, &c.p);
        solve_few(&s, &l, &o);
        assert_true(-s.score.tier[TIER_COST] - before >= got - 1);
        assert_true(o.n_steps <= c.p.max_moves && replay_in_order(&c.p, false, &o));
        solve_order_done(&o);
        solve_done(&s);
    }
}

/* Groups, preferences, sets, prices of moves: what offers cannot say is left at home or weighed after. */
static void any_problem(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct randproblem r;
        struct solve_state s;
        int64_t bound;
        bool pinned[RP_ITEMS] = {false};
        randproblem_init(&r, seed);
        r.p.max_moves = (int)(seed % 9);
        solve_init(&s, &r.p);
        struct solve_score before = s.score;
        for (int tier = 0; tier < SOLVE_TIERS && !s.n_moved; tier++)
            solve_trade(&s, tier, pinned, &(struct solve_limits){.seed = seed, .steps = 60000},
                        &bound);
        assert_true(s.n_moved <= r.p.max_moves);
        assert_true(s.score.tier[TIER_HARD] <= before.tier[TIER_HARD]);
        struct solve_score whole = solve_score_whole(&s);
        assert_int_equal(solve_score_cmp(&whole, &s.score), 0);
        solve_done(&s);
        randproblem_done(&r);
    }
}

static void little_time(void **state)
{
    (void)state;
    struct cells c;
    bool pinned[MOST_ITEMS] = {false};
    cells_init(&c, &fleet, 1);
    c.p.max_moves = 20;
    for (int64_t steps = 0; steps < 300000; steps = steps * 3 + 1) {
        struct solve_state s;
        int64_t bound;
        solve_init(&s, &c.p);
        int64_t before = s.score.tier[TIER_COST];
        solve_trade(&s, TIER_COST, pinned, &(struct solve_limits){.seed = 1, .steps = steps},
                    &bound);
        assert_true(s.score.tier[TIER_COST] <= before);
        check_state(&s);
        solve_done(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_good_as_every_choice),
        cmocka_unit_test(fleets_near_the_bound),
        cmocka_unit_test(any_problem),
        cmocka_unit_test(little_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
