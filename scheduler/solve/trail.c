/* Steps that may be taken back, and what is fair at the end of them. */
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/trail.h"

void trail_init(struct trail *t, struct solve_state *s)
{
    const struct problem *p = s->p;
    size_t loads = (size_t)p->n_machines * (size_t)p->n_res;
    *t = (struct trail){
        .s = s,
        .limit = xcalloc(loads, sizeof(*t->limit)),
        .worse = xcalloc((size_t)p->n_groups, sizeof(*t->worse)),
    };
    for (size_t k = 0; k < loads; k++) {
        int64_t now = s->load[k] + s->held[k];
        t->limit[k] = now > p->cap[k] ? now : p->cap[k];
    }
}

void trail_done(struct trail *t)
{
    free(t->step);
    free(t->limit);
    free(t->worse);
    *t = (struct trail){0};
}

int64_t trail_adds(const struct trail *t, int item, int m, int v, int r)
{
    const struct solve_state *s = t->s;
    const struct problem *p = s->p;
    int64_t x = solve_size(p, item, v)[r];
    if (s->at[item] == m)
        x -= solve_size(p, item, s->variant[item])[r];
    else if (p->home[item] == m && (p->held_res >> r & 1))
        x -= solve_size(p, item, home_variant(p, item))[r];
    return x;
}

bool trail_fits(const struct trail *t, int item, int m, int v)
{
    const struct solve_state *s = t->s;
    for (int r = 0; r < s->p->n_res; r++)
        if (trail_adds(t, item, m, v, r) > trail_room(t, m, r))
            return false;
    return group_stays_fair(
        s, &(struct step){.item = item, .from = s->at[item], .to = m, .partner = -1}, t->worse);
}

bool trail_try(const struct trail *t, int item, int m, int v, struct solve_score *ret)
{
    const struct problem *p = t->s->p;
    return solve_allowed(p, item, m) && (!p->variants || (p->variants[item] >> v & 1)) &&
           trail_fits(t, item, m, v) && state_try_lenient(t->s, item, m, v, ret);
}

static void push(struct trail *t, int item, int to)
{
    const struct solve_state *s = t->s;
    *vec_add(&t->step, &t->n_steps) = (struct trail_step){
        .item = item, .machine = s->at[item], .variant = s->variant[item], .score = s->score};
    group_worse(s, &(struct step){.item = item, .from = s->at[item], .to = to, .partner = -1},
                t->worse, &t->near);
}

void trail_shift(struct trail *t, int item, int m, int v, const struct solve_score *delta)
{
    push(t, item, m);
    solve_do_shift(t->s, item, m, v, delta);
}

void trail_remove(struct trail *t, int item)
{
    push(t, item, -1);
    solve_do_remove(t->s, item);
}

static bool machine_fair(const struct trail *t, int m)
{
    size_t at = (size_t)m * (size_t)t->s->p->n_res;
    for (size_t k = at; m >= 0 && k < at + (size_t)t->s->p->n_res; k++)
        if (t->s->load[k] + t->s->held[k] > t->limit[k])
            return false;
    return true;
}

bool trail_fair(const struct trail *t)
{
    const struct problem *p = t->s->p;
    if (t->near > 0)
        return false;
    for (size_t k = 0; k < t->n_steps; k++) {
        int item = t->step[k].item;
        if (!machine_fair(t, t->step[k].machine) || !machine_fair(t, t->s->at[item]))
            return false;
        for (int j = has_groups(p, item) ? p->group_start[item] : 0;
             has_groups(p, item) && j < p->group_start[item + 1]; j++)
            if (p->groups[p->group_of[j]].tier == TIER_HARD && t->worse[p->group_of[j]] > 0)
                return false;
    }
    return true;
}

void trail_undo(struct trail *t, size_t n)
{
    struct solve_state *s = t->s;
    while (t->n_steps > n) {
        const struct trail_step *x = &t->step[--t->n_steps];
        struct step back = {
            .item = x->item, .from = s->at[x->item], .to = x->machine, .partner = -1};
        struct solve_score delta = x->score;
        for (int k = 0; k < SOLVE_TIERS; k++)
            delta.tier[k] -= s->score.tier[k];
        group_worse(s, &back, t->worse, &t->near);
        if (x->machine >= 0)
            solve_do_shift(s, x->item, x->machine, x->variant, &delta);
        else
            solve_do_remove(s, x->item);
    }
}

void trail_keep(struct trail *t)
{
    t->n_steps = 0;
}
