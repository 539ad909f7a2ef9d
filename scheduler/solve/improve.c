/* Simulated annealing over shifts and swaps. The temperature is for the last tier alone: a step that
 * makes an earlier one worse is never taken. */
#include "lib/base/rng.h"
#include "scheduler/solve/solve.h"

enum { ASK_EVERY = 4096, COOLING = 64, FIRST_ROUND = 40, SAMPLES = 1000 };

struct walk {
    struct solve_state *s;
    const struct solve_limits *l;
    struct rng rng;
    int64_t steps;
    int64_t heat;
    bool ended;
};

/* A draw of heat · −ln(u), by integers alone: −log2 is piecewise linear between powers of two. */
static int64_t draw_slack(struct walk *w)
{
    uint64_t u = rng_u64(&w->rng) | 1;
    int whole = __builtin_clzll(u);
    uint64_t rest = whole < 63 ? u << (whole + 1) >> 44 : 0; /* 20 bits below the leading one */
    int64_t log2 = ((int64_t)(whole + 1) << 20) - (int64_t)rest;
    return (int64_t)((__int128)w->heat * log2 * 726817 >> 40); /* ln 2 in 2^20 */
}

static bool taken(struct walk *w, const struct solve_score *d)
{
    for (int t = 0; t < TIER_COST; t++)
        if (d->tier[t])
            return d->tier[t] < 0;
    return d->tier[TIER_COST] <= 0 || (w->heat && d->tier[TIER_COST] <= draw_slack(w));
}

static int below(struct walk *w, int n)
{
    return (int)((rng_u64(&w->rng) >> 32) * (uint64_t)n >> 32);
}

static int pick_variant(struct walk *w, int item)
{
    const struct problem *p = w->s->p;
    if (p->n_variants == 1)
        return 0;
    int v;
    do
        v = below(w, p->n_variants);
    while (p->variants && !(p->variants[item] >> v & 1));
    return v;
}

static void step(struct walk *w)
{
    struct solve_state *s = w->s;
    const struct problem *p = s->p;
    struct solve_score d;
    int a = below(w, p->n_items);
    w->steps++;
    if (rng_u64(&w->rng) >> 63) {
        int m = below(w, p->n_machines), v = pick_variant(w, a);
        if (solve_try_shift(s, a, m, v, &d) && taken(w, &d))
            solve_do_shift(s, a, m, v, &d);
        return;
    }
    int b = below(w, p->n_items);
    if (a != b && solve_try_swap(s, a, b, &d) && taken(w, &d))
        solve_do_swap(s, a, b, &d);
}

static bool ended(struct walk *w)
{
    if (w->ended)
        return true;
    bool ask = w->l->stop && w->steps % ASK_EVERY == 0;
    return w->ended = w->steps >= w->l->steps || (ask && w->l->stop(w->l->ctx));
}

/* A usual step's size: the mean of what random steps would cost, up or down. */
static int64_t usual_step(struct walk *w)
{
    const struct problem *p = w->s->p;
    struct solve_score d;
    int64_t sum = 0, n = 0;
    for (int k = 0; k < SAMPLES; k++) {
        int a = below(w, p->n_items), m = below(w, p->n_machines);
        w->steps++;
        if (!solve_try_shift(w->s, a, m, pick_variant(w, a), &d))
            continue;
        sum += d.tier[TIER_COST] < 0 ? -d.tier[TIER_COST] : d.tier[TIER_COST];
        n++;
    }
    return n ? sum / n : 0;
}

int64_t solve_improve(struct solve_state *s, const struct solve_limits *l)
{
    struct walk w = {.s = s, .l = l};
    struct solve_state best;
    if (!s->p->n_items || !s->p->n_machines)
        return 0;
    rng_init(&w.rng, l->seed);
    solve_init(&best, s->p);
    solve_copy(&best, s);
    int64_t top = usual_step(&w);
    for (int64_t round = FIRST_ROUND; !w.ended; round *= 2) {
        int64_t per_heat = round * s->p->n_items / COOLING + 1;
        for (w.heat = top; !ended(&w); w.heat -= w.heat / COOLING + 1) {
            for (int64_t k = 0; k < per_heat && !ended(&w); k++)
                step(&w);
            if (solve_score_cmp(&s->score, &best.score) < 0)
                solve_copy(&best, s);
            if (w.heat <= 0)
                break;
        }
        if (solve_score_cmp(&best.score, &s->score) < 0)
            solve_copy(s, &best);
    }
    solve_copy(s, &best);
    solve_done(&best);
    return w.steps;
}
