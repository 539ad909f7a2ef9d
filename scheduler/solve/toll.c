/* Tolls that follow the heat, and those of machines that will not come down. */
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/toll.h"

enum { MOST = INT32_MAX, RISE = 25, FALL = 100 };

void tolls_init(struct tolls *t, const struct problem *p)
{
    *t = (struct tolls){.of = xcalloc((size_t)p->n_machines * (size_t)p->n_res, sizeof(*t->of))};
}

void tolls_done(struct tolls *t)
{
    free(t->of);
    *t = (struct tolls){0};
}

void tolls_measure(struct tolls *t, const struct solve_state *s, int64_t mean_price)
{
    const struct problem *p = s->p;
    int64_t size[SOLVE_MAX_RES] = {0};
    for (int i = 0; i < p->n_items; i++)
        for (int r = 0; r < p->n_res; r++)
            size[r] += solve_size(p, i, s->variant[i])[r];
    for (int r = 0; r < p->n_res; r++) {
        __int128 toll = (__int128)3 * 256 * mean_price / (size[r] / p->n_items + 1) + 1;
        t->first[r] = toll > MOST ? MOST : (int64_t)toll;
    }
}

bool tolls_begin(struct tolls *t, struct solve_state *s)
{
    size_t n_res = (size_t)s->p->n_res, n = (size_t)s->p->n_machines * n_res;
    for (size_t k = 0; k < n; k++)
        if (s->room[k] < 0)
            return false;
    memcpy(t->usual, t->first, sizeof(t->usual));
    for (size_t k = 0; k < n; k++)
        t->of[k] = t->first[k % n_res];
    state_set_toll(s, t->of);
    return true;
}

static int64_t lacking(const struct solve_state *s, int m, int r)
{
    int64_t room = s->room[(size_t)m * (size_t)s->p->n_res + (size_t)r];
    return room < 0 ? -room : 0;
}

static int64_t turned(int64_t toll, bool rise)
{
    toll += rise ? toll / RISE + 1 : -toll / FALL;
    return toll < MOST ? toll : MOST;
}

/* Heat alone makes each machine pay about half the heat, spread over the resources. Where more is paid,
 * staying above pays off: dearer, for all if they pay more together, else where it is. */
void tolls_turn(struct tolls *t, struct solve_state *s, int64_t heat, int allowed)
{
    const struct problem *p = s->p;
    size_t n_res = (size_t)p->n_res;
    int64_t each = (int64_t)((__int128)heat * allowed / (2 * 1024 * p->n_res));
    for (int r = 0; r < p->n_res; r++) {
        __int128 lack = 0;
        for (int m = 0; m < p->n_machines; m++)
            lack += lacking(s, m, r);
        if (allowed)
            t->usual[r] =
                turned(t->usual[r], lack * t->usual[r] / 256 > (__int128)each * p->n_machines);
        for (int m = 0; m < p->n_machines; m++) {
            int64_t *toll = &t->of[(size_t)m * n_res + (size_t)r], here = lacking(s, m, r);
            bool rise = here && (!allowed || (__int128)here * *toll / 256 > each);
            *toll = turned(*toll, rise);
            *toll = *toll > t->usual[r] ? *toll : t->usual[r];
        }
    }
    state_set_toll(s, !allowed && s->toll_sum == 0 ? NULL : t->of);
}
