/* What a placement costs: terms of the score. */
#include "lib/base/mem.h"
#include "scheduler/plan/cpu.h"
#include "scheduler/plan/translate_int.h"

/* Capacity that is exceeded already, and hosts that are fuller than they should be. */
static int64_t *above(struct work *k, const int64_t *level, int64_t ppm)
{
    int64_t *high = translate_array(k, n_hosts(k), sizeof(*high));
    for (size_t h = 0; h < n_hosts(k); h++)
        high[h] = (int64_t)((__int128)level[h] * ppm / 1000000);
    return high;
}

/* Where a busy host is to end: below the limit by the margin. One that is between the two is let be as it is,
 * but for one that is being relieved. */
static int64_t *with_margin(struct work *k, const int64_t *busy, enum plan_cpu_figure by)
{
    const struct translate_goal *g = k->g;
    int64_t most = g->relieve_cpu_ppm;
    if (by == PLAN_CPU_SOON && g->urgent_cpu_ppm > most)
        most = g->urgent_cpu_ppm;
    int64_t *level = above(k, busy, most);
    int64_t *low = above(k, busy, g->relieve_cpu_ppm - g->margin_ppm);
    cleanup(freep) int64_t *now = plan_cpu_end_by(k->w, by);
    for (size_t h = 0; h < n_hosts(k); h++) {
        bool between = now[h] >= low[h] && now[h] <= level[h];
        level[h] = between && !(g->relieved && g->relieved[h]) ? now[h] : low[h];
    }
    return level;
}

/* So that a tenth of a host's CPUs is as much as a tenth of its memory. */
static int64_t pages_per_cpu(const struct work *k, const int64_t *mem)
{
    int64_t pages = 0, mcpu = 0;
    for (size_t h = 0; h < n_hosts(k); h++)
        if (plan_cpu_known(k->w, (int)h) && plan_mem_capacity(k->w, (int)h) >= 0) {
            pages += mem[h];
            mcpu += k->w->s->hosts[h].h->cpus * 1000;
        }
    return mcpu && pages > mcpu ? pages / mcpu : 1;
}

static size_t add_overload(struct work *k, const int64_t *mem, const int64_t *cpus,
                           const int64_t *busy, struct solve_term *t)
{
    size_t n = 0;
    if (k->g->leave)
        return 0;
    t[n++] = (struct solve_term){
        .kind = TERM_ABOVE, .tier = TIER_HARD, .res = RES_MEM, .weight = 1, .level = mem};
    t[n++] = (struct solve_term){
        .kind = TERM_ABOVE, .tier = TIER_HARD, .res = RES_VCPU, .weight = 1, .level = cpus};
    for (int r = N_RES; r < N_RES + k->cells.n; r++) {
        int64_t *cap = translate_array(k, n_hosts(k), sizeof(*cap));
        for (size_t h = 0; h < n_hosts(k); h++)
            cap[h] = k->t->p.cap[h * (size_t)k->n_res + (size_t)r];
        t[n++] = (struct solve_term){
            .kind = TERM_ABOVE, .tier = TIER_HARD, .res = r, .weight = 1, .level = cap};
    }
    if (k->g->relieve_ppm)
        t[n++] = (struct solve_term){.kind = TERM_ABOVE,
                                     .tier = TIER_LOAD,
                                     .res = RES_MEM,
                                     .weight = k->g->measured ? k->w->p->balance.weight_mem : 1,
                                     .level = above(k, mem, k->g->relieve_ppm)};
    for (int by = 0; by < PLAN_CPU_FIGURES; by++) {
        if (by == PLAN_CPU_PEAK || k->res_cpu[by] < 0 || !k->g->relieve_cpu_ppm)
            continue;
        t[n++] = (struct solve_term){.kind = TERM_ABOVE,
                                     .tier = TIER_LOAD,
                                     .res = k->res_cpu[by],
                                     .weight = k->w->p->balance.weight_cpu * pages_per_cpu(k, mem),
                                     .level = with_margin(k, busy, by)};
    }
    return n;
}

void translate_terms(struct work *k)
{
    struct problem *p = &k->t->p;
    const struct policy *pol = k->w->p;
    int64_t *mem = translate_array(k, n_hosts(k), sizeof(*mem));
    int64_t *cpus = translate_array(k, n_hosts(k), sizeof(*cpus));
    int64_t *busy =
        translate_array(k, n_hosts(k), sizeof(*busy)); /* all CPUs of hosts that are known */
    struct solve_term *t = translate_array(k, 7 + (size_t)k->cells.n, sizeof(*t));
    for (size_t h = 0; h < n_hosts(k); h++) {
        int64_t cap = plan_mem_capacity(k->w, (int)h), v = plan_vcpu_capacity(k->w, (int)h);
        mem[h] = cap > PLAN_PAGE ? cap / PLAN_PAGE : cap >= 0 ? 1 : INT64_MAX / 4;
        cpus[h] = v > 0 ? v : v < 0 ? INT64_MAX / 4 : 1;
        busy[h] = plan_cpu_known(k->w, (int)h) ? k->w->s->hosts[h].h->cpus * 1000 : INT64_MAX / 4;
        if (cap <= 0 && k->g->leave && k->g->handed) /* not known: as if it were full */
            mem[h] = plan_pages_up(k->w->load[h].mem_bytes) + 1;
    }
    size_t n = add_overload(k, mem, cpus, busy, t);
    int even = k->res_cpu[k->g->peaks ? PLAN_CPU_PEAK : PLAN_CPU_MEAN];
    if (k->g->leave || (k->g->balance && pol->balance.weight_mem))
        t[n++] = (struct solve_term){.kind = TERM_SQUARE,
                                     .tier = TIER_COST,
                                     .res = RES_WEIGHT,
                                     .weight = k->g->leave ? 1 : pol->balance.weight_mem,
                                     .level = mem};
    if (k->g->balance && pol->balance.weight_cpu)
        t[n++] = (struct solve_term){.kind = TERM_SQUARE,
                                     .tier = TIER_COST,
                                     .res = even >= 0 ? even : RES_VCPU,
                                     .weight = pol->balance.weight_cpu,
                                     .level = even >= 0 ? busy : cpus};
    p->terms = t;
    p->n_terms = (int)n;
    p->max_moves = k->g->max_moves;
}
