/* More time never makes an answer worse: the same problem and seed, with more and more steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "scheduler/solve/descend.h"
#include "scheduler/solve/level.h"
#include "scheduler/solve/place.h"
#include "tests/unit/randproblem.h"

enum { PROBLEMS = 60, PASS = 20000, STOPS = 40, BETWEEN = 3700 };

static int64_t run_descend(struct solve_state *s, const struct solve_limits *l)
{
    return solve_descend(s, l);
}

static int64_t run_level(struct solve_state *s, const struct solve_limits *l)
{
    return solve_level(s, l);
}

static int64_t run_place(struct solve_state *s, const struct solve_limits *l)
{
    return solve_place(s, l, true);
}

/* A search that is laid out for PASS steps goes on from its best with each further pass, and may be
 * stopped anywhere in it. */
static int64_t run_passes(struct solve_state *s, const struct solve_limits *l)
{
    struct solve_limits passes = *l;
    passes.expect = PASS;
    return solve_improve(s, &passes);
}

/* Doubled steps, from so few that nothing is ready to so many that nothing is left to do; or passes, and
 * parts of them.
 * tiers: of the score, that count. */
static void never_worse_with_more(int64_t (*run)(struct solve_state *, const struct solve_limits *),
                                  int tiers)
{
    bool passes = run == run_passes;
    int better = 0;
    for (uint64_t seed = 1; seed <= PROBLEMS; seed++) {
        struct randproblem r;
        struct solve_score last = {0};
        randproblem_init(&r, seed);
        for (int k = 0; k < (passes ? STOPS : 18); k++) {
            struct solve_state s;
            solve_init(&s, &r.p);
            struct solve_limits l = {.seed = seed,
                                     .steps = passes ? (int64_t)(k + 1) * BETWEEN : INT64_C(1) << k};
            run(&s, &l);
            for (int t = tiers; t < SOLVE_TIERS; t++)
                s.score.tier[t] = 0;
            int c = k ? solve_score_cmp(&s.score, &last) : 0;
            if (c > 0)
                fail_msg("problem %d: worse with %lld steps", (int)seed, (long long)l.steps);
            better += c < 0;
            last = s.score;
            solve_done(&s);
        }
        randproblem_done(&r);
    }
    assert_true(better > PROBLEMS / 4);
}

static void descend(void **state)
{
    (void)state;
    never_worse_with_more(run_descend, SOLVE_TIERS);
}

static void level(void **state)
{
    (void)state;
    never_worse_with_more(run_level, SOLVE_TIERS);
}

/* How many find a place; where exactly depends on how the steps are shared out. */
static void place(void **state)
{
    (void)state;
    never_worse_with_more(run_place, 1);
}

static void improve(void **state)
{
    (void)state;
    never_worse_with_more(run_passes, SOLVE_TIERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descend),
        cmocka_unit_test(level),
        cmocka_unit_test(place),
        cmocka_unit_test(improve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
