/* Repair, relief and balance: VMs may move, few of them should. */
#include <math.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/plan/cpu.h"
#include "scheduler/plan/making.h"
#include "scheduler/solve/descend.h"
#include "scheduler/solve/few.h"
#include "scheduler/solve/level.h"

/* Prices asked of the engine: some seconds at most, also in a fleet of 10,000 hosts. */
static const int64_t STEPS = 100000000;
/* Up to so many pairs of VM and host each VM is asked about each host; beyond, only about the emptiest. */
static const int64_t ASK_ALL = 1000000;
/* Up to so many pairs a limit of moves that was reached is searched again by groups of moves: 70 ms. */
static const int64_t ASK_GROUPS = 50000, GROUP_STEPS = 500000;
/* What a move must bring to be worth its while: the square of the load of one host, in parts of 4096,
 * and a little more for each GiB that is copied. */
enum { PRICE_PER_MOVE = SOLVE_UNIT / 4096, PRICE_PER_GIB = SOLVE_UNIT / 262144 };

/* ---- how the fleet stands --------------------------------------------------------------------- */

/* Memory in use of capacity, ppm; −1: not known, or there is none to give. */
static int64_t full_ppm(const struct plan_world *w, size_t host, const int64_t *bytes)
{
    int64_t cap = plan_mem_capacity(w, (int)host);
    return cap > 0 ? (int64_t)((__int128)bytes[host] * 1000000 / cap) : -1;
}

/* The same; −1: the host does not count. */
static int64_t used_ppm(const struct plan_world *w, size_t host, const int64_t *bytes)
{
    return w->s->hosts[host].state == HOST_UP ? full_ppm(w, host, bytes) : -1;
}

static void measure_load(const struct plan_world *w, struct plan_standing *ret)
{
    int64_t n = 0, sum = 0;
    double square = 0;
    ret->max_ppm = 0;
    for (size_t h = 0; h < w->s->n_hosts; h++) {
        int64_t x = used_ppm(w, h, w->end_bytes);
        if (x < 0)
            continue;
        ret->min_ppm = n && ret->min_ppm < x ? ret->min_ppm : x;
        ret->max_ppm = ret->max_ppm > x ? ret->max_ppm : x;
        sum += x;
        n++;
    }
    ret->mean_ppm = n ? sum / n : 0;
    for (size_t h = 0; h < w->s->n_hosts; h++) {
        double x = (double)used_ppm(w, h, w->end_bytes);
        square += x < 0 ? 0 : (x - (double)ret->mean_ppm) * (x - (double)ret->mean_ppm);
    }
    ret->deviation_ppm = n ? (int64_t)sqrt(square / (double)n) : 0;
    plan_cpu_measure(w, ret);
}

void plan_measure(const struct plan_world *w, const struct solve_score *s,
                  struct plan_standing *ret)
{
    measure_load(w, ret);
    ret->broken = s->tier[TIER_HARD];
    ret->soft = s->tier[TIER_SOFT];
}

/* ---- what is asked of the engine ---------------------------------------------------------------- */

struct translate_goal plan_balance_goal(const struct making *k)
{
    const struct policy *p = k->w.p;
    int64_t moves = k->r->max_moves ? k->r->max_moves : p->balance.max_moves;
    struct translate_goal g = {
        .classes = &k->live,
        .balance = k->r->goal == GOAL_BALANCE,
        .price_per_move = PRICE_PER_MOVE,
        .price_per_gib = PRICE_PER_GIB,
        .max_moves = (int)moves,
    };
    if (k->r->goal == GOAL_RELIEVE || k->r->goal == GOAL_BALANCE)
        g.relieve_ppm = k->plan->before.mean_ppm + p->balance.imbalance_ppm;
    if (g.relieve_ppm > 1000000)
        g.relieve_ppm = 0; /* fuller than full is TIER_HARD already */
    g.measured = (g.balance || k->r->goal == GOAL_RELIEVE) && plan_cpu_measured(&k->w);
    bool busy = g.measured && p->balance.busy_ppm;
    g.urgent_cpu_ppm = busy ? p->balance.urgent_ppm : 0;
    if (busy)
        g.relieve_cpu_ppm = p->balance.busy_ppm;
    else if (g.measured)
        g.relieve_cpu_ppm = k->plan->before.cpu_mean_ppm + p->balance.imbalance_ppm;
    if (busy && !g.balance) { /* evenness says which host, and not whether */
        g.balance = g.peaks = true;
        g.price_per_move = SOLVE_UNIT * 8 * (p->balance.weight_cpu + p->balance.weight_mem);
        g.price_per_gib = SOLVE_UNIT / 1024;
    }
    if (g.relieve_cpu_ppm > 1000000)
        g.relieve_cpu_ppm = 1000000;             /* who uses all of them would use more */
    int64_t most = p->balance.imbalance_ppm / 4; /* by the mean: not down to the mean itself */
    g.margin_ppm = busy || most > PLAN_CPU_MARGIN_PPM ? PLAN_CPU_MARGIN_PPM : most;
    return g;
}

/* Is there anything to do that this goal is for? */
bool plan_balance_needed(const struct making *k, const struct solve_score *s)
{
    const struct plan_standing *b = &k->plan->before;
    if (s->tier[TIER_HARD] || s->tier[TIER_SOFT] || s->tier[TIER_LOAD])
        return true;
    const struct policy *p = k->w.p;
    if (k->r->goal != GOAL_BALANCE)
        return false;
    return b->max_ppm - b->min_ppm > p->balance.imbalance_ppm ||
           (b->measured && p->balance.weight_cpu &&
            b->cpu_max_ppm - b->cpu_min_ppm > p->balance.imbalance_ppm);
}

/* By the policy's weights; without measured CPU memory's alone. */
static int64_t deviation(const struct making *k, const struct plan_standing *x)
{
    int64_t cpu = k->w.p->balance.weight_cpu, mem = k->w.p->balance.weight_mem;
    return x->measured ? (cpu * x->cpu_deviation_ppm + mem * x->deviation_ppm) / (cpu + mem)
                       : x->deviation_ppm;
}

/* A plan for balance alone must gain what the policy asks for. */
static bool gains_enough(const struct making *k, const struct solve_score *was,
                         const struct solve_score *is)
{
    const struct plan_standing *b = &k->plan->before, *a = &k->plan->after;
    for (int t = 0; t < TIER_COST; t++)
        if (was->tier[t] != is->tier[t])
            return is->tier[t] < was->tier[t];
    int64_t before = deviation(k, b), gain = before - deviation(k, a);
    return is->tier[TIER_COST] < was->tier[TIER_COST] &&
           (__int128)gain * 1000000 >= (__int128)before * k->w.p->balance.min_gain_ppm;
}

/* The first rule that the VM breaks where it is, or NULL. Gives. */
static char *broken_rule(const struct plan_world *w, int vm)
{
    char *text = NULL;
    for (size_t i = w->rules_start[vm]; i < w->rules_start[vm + 1] && !text; i++) {
        const struct rule *r = &w->p->rules[w->rules[i]];
        const struct rule_def *def = rule_defs[r->kind];
        struct reason why;
        shape_init(&reason_shape, &why);
        if (def->allows && !def->allows(r, &w->match[w->rules[i]], &w->f, vm, w->f.at[vm], &why))
            text = xasprintf("rule %s (%s): %s", r->name, r->where ? r->where : "?",
                             why.have ? why.have : reason_texts[why.code]);
        shape_done(&reason_shape, &why);
    }
    return text;
}

/* "h1 56.5 → 50.2 %", and what these are of, where something is known. */
static char *fullness(const struct making *k, int host, const char *unit)
{
    const char *name = k->w.f.hosts[host]->name;
    int64_t was = full_ppm(&k->w, (size_t)host, k->was_bytes);
    if (was < 0)
        return xasprintf("%s: memory not known", name);
    return xasprintf("%s %.1f → %.1f %%%s", name, (double)was / 1e4,
                     (double)full_ppm(&k->w, (size_t)host, k->w.end_bytes) / 1e4, unit);
}

char *plan_fullness(const struct making *k, int host)
{
    return fullness(k, host, " full");
}

/* "; CPU 85 → 61 % and 20 → 44 %": of both hosts, where it is known. */
static char *cpu_why(const struct making *k, int vm, int to)
{
    const struct plan_world *w = &k->w;
    bool guessed;
    char *text = NULL, *of[2] = {NULL, NULL};
    const int hosts[] = {w->f.at[vm], to};
    if (!k->cpu_was || !k->cpu_is)
        return xstrdup("");
    for (int i = 0; i < 2; i++) {
        int64_t was = plan_cpu_ppm(w, (size_t)hosts[i], k->cpu_was);
        if (was >= 0)
            of[i] = xasprintf("%.0f → %.0f %%", (double)was / 1e4,
                              (double)plan_cpu_ppm(w, (size_t)hosts[i], k->cpu_is) / 1e4);
    }
    plan_cpu_vm(w, vm, &guessed);
    text = xasprintf("; CPU %s and %s%s", of[0] ? of[0] : "not known", of[1] ? of[1] : "not known",
                     guessed ? " (the VM was never measured: its part of what its host uses)" : "");
    free(of[0]);
    free(of[1]);
    return text;
}

char *plan_balance_why(const struct making *k, int vm, int to)
{
    const struct plan_world *w = &k->w;
    char *rule = broken_rule(w, vm);
    if (rule)
        return rule;
    cleanup(freep) char *here = plan_fullness(k, w->f.at[vm]);
    cleanup(freep) char *there = fullness(k, to, "");
    cleanup(freep) char *cpu = cpu_why(k, vm, to);
    return xasprintf("%s, %s%s", here, there, cpu);
}

/* One move after another, each the best of its kind, may spend the limit on the wrong ones. */
static void search_groups(const struct making *k, const struct translation *t,
                          struct solve_state *s)
{
    if (t->p.max_moves < 1 || s->n_moved < t->p.max_moves ||
        (int64_t)t->p.n_items * t->p.n_machines > ASK_GROUPS)
        return;
    struct solve_state other;
    struct solve_order order;
    solve_init(&other, &t->p);
    solve_few(&other, &(struct solve_limits){.seed = k->seed, .steps = GROUP_STEPS}, &order);
    if (solve_score_cmp(&other.score, &s->score) < 0)
        solve_copy(s, &other);
    solve_order_done(&order);
    solve_done(&other);
}

/* The best with few moves. to: per VM of the list. Items of several VMs are several moves each: where
 * the engine, which counts items, took too many, it is asked for fewer. */
static void search(const struct making *k, struct translation *t, struct solve_state *s, int *to)
{
    struct solve_limits l = {.seed = k->seed, .steps = STEPS};
    for (int64_t most = t->p.max_moves, n = INT64_MAX; n > most; t->p.max_moves--) {
        if (s->n_moved) {
            solve_done(s);
            solve_init(s, &t->p);
        }
        if ((int64_t)t->p.n_items * t->p.n_machines > ASK_ALL)
            solve_level(s, &l);
        else
            solve_descend(s, &l);
        search_groups(k, t, s);
        n = 0;
        for (size_t i = 0; i < k->n; i++) {
            int item = t->item_of[i];
            to[i] = s->at[item] != t->p.home[item] ? s->at[item] : -1;
            n += to[i] >= 0;
        }
    }
}

void plan_balance(struct making *k)
{
    struct translation t;
    struct solve_state s;
    k->was_bytes = xmemdup(k->w.end_bytes, k->w.s->n_hosts * sizeof(*k->was_bytes));
    measure_load(&k->w, &k->plan->before);
    k->cpu_was = k->plan->before.measured ? plan_cpu_end(&k->w) : NULL;
    struct translate_goal g = plan_balance_goal(k);
    translate(&k->w, k->list, k->n, &g, &t);
    solve_init(&s, &t.p);
    struct solve_score was = s.score;
    plan_measure(&k->w, &was, &k->plan->before);
    k->plan->after = k->plan->before;
    if (plan_balance_needed(k, &was)) {
        cleanup(freep) int *to = xcalloc(k->n, sizeof(*to));
        search(k, &t, &s, to);
        making_put(k, to);
        k->cpu_is = k->cpu_was ? plan_cpu_end(&k->w) : NULL;
        plan_measure(&k->w, &s.score, &k->plan->after);
        if (!gains_enough(k, &was, &s.score)) {
            making_take_back(k);
            k->plan->after = k->plan->before;
        }
    }
    solve_done(&s);
    translation_done(&t);
}
