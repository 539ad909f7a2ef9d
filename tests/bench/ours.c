/* The product's planner among the ways of balancing, as a scheduled run asks it. */
#include <stdio.h>

#include "tests/bench/waves.h"

struct figures {
    struct cpu_figures *vm, *host, *other;
};

static void fill(struct trial *r, struct figures *f)
{
    const struct waves *w = r->w;
    int64_t at = (int64_t)r->tick * TICK_S;
    struct series_time t = {.now_us = at * SEC, .wall_us = (INT64_C(1767571200) + at) * SEC};
    f->vm = xcalloc(w->n_vms, sizeof(*f->vm));
    f->host = xcalloc(w->n_hosts, sizeof(*f->host));
    f->other = xcalloc(w->n_hosts, sizeof(*f->other));
    for (size_t i = 0; i < w->n_vms; i++) {
        f->vm[i] = series_figures(&r->series[i], t);
        r->f.s.vms[i].cpu = &f->vm[i];
    }
    for (size_t h = 0; h < w->n_hosts; h++) {
        f->host[h] = series_figures(&r->host_series[h], t);
        r->f.s.hosts[h].cpu = &f->host[h];
        r->f.s.hosts[h].other = &f->other[h]; /* nothing but VMs */
    }
}

/* VMs that moved lately stay, and none goes back to a host that it left within a day. */
struct may {
    int *vms;
    size_t n;
    struct plan_refusal *back;
    size_t n_back;
};

static void may_move(const struct trial *r, const struct reason *why, struct may *ret)
{
    const struct waves *w = r->w;
    int64_t cooldown = r->f.p.balance.cooldown_us / SEC / TICK_S;
    ret->vms = xcalloc(w->n_vms, sizeof(*ret->vms));
    for (size_t i = 0; i < w->n_vms; i++) {
        const int32_t *left = &r->left[i * w->n_hosts];
        if (r->moved_tick[i] >= 0 && (int64_t)r->tick - r->moved_tick[i] < cooldown)
            continue;
        ret->vms[ret->n++] = (int)i;
        for (size_t h = 0; h < w->n_hosts && r->moves_of[i]; h++)
            if (left[h] && r->tick - (size_t)left[h] < TICKS_PER_DAY)
                *vec_add(&ret->back, &ret->n_back) =
                    (struct plan_refusal){.vm = (int)i, .host = (int)h, .why = why};
    }
}

/* state[0]: looks in a row that found something. */
size_t look_drover(struct trial *r, struct wanted *ret, size_t most)
{
    struct figures f;
    struct may may = {0};
    struct plan p;
    struct reason why;
    size_t n = 0;
    shape_init(&reason_shape, &why);
    why.code = R_MIGRATE_FAILED;
    fill(r, &f);
    may_move(r, &why, &may);
    plan_make(&r->f.s, &r->f.p,
              &(struct plan_request){.goal = r->f.p.balance.mode == BALANCE_EVEN ? GOAL_BALANCE
                                                                                 : GOAL_RELIEVE,
                                     .purpose = PURPOSE_BALANCE,
                                     .vms = may.vms,
                                     .n_vms = may.n,
                                     .refusals = may.back,
                                     .n_refusals = may.n_back},
              1, &p);
    r->state[0] = p.n_moves ? r->state[0] + 1 : 0;
    for (size_t i = 0; r->state[0] >= r->f.p.balance.sustained && i < p.n_moves && n < most; i++)
        ret[n++] = (struct wanted){p.moves[i].vm, p.moves[i].to};
    plan_done(&p);
    free(may.vms);
    free(may.back);
    free(f.vm);
    free(f.host);
    free(f.other);
    return n;
}
