/* Every assignment of a few items: depth first, what the score likes best first. */
#include <string.h>

#include "lib/base/mem.h"
#include "scheduler/solve/seek.h"

enum {
    FEW = 24,         /* items in play */
    LOOKS = 1 << 20,  /* prices asked, unless everything is small */
    POLISH = 1 << 15, /* more prices asked once every item has a place */
    SMALL = 1 << 16,  /* so few assignments are always looked at to the end */
};

struct place {
    int machine, variant; /* machine −1: nowhere */
};
struct option {
    struct place at;
    struct solve_score delta;
};

struct look {
    struct seek *k;
    int n, item[FEW];
    struct place best[FEW];
    struct option *option; /* room for n times all ways to sit */
    bool small;
    int64_t need, best_need, until;
    struct solve_score best_score;
};

static int64_t need_of(const struct problem *p, int item)
{
    return p->need ? p->need[item] : 1;
}

/* Ways to sit, the best first; returns how many. */
static int options_of(struct look *w, int i, struct option *o)
{
    const struct problem *p = w->k->t.s->p;
    int n = 0;
    for (int m = 0; m < p->n_machines; m++)
        for (int v = 0; v < p->n_variants; v++) {
            struct option x = {.at = {m, v}};
            int at = n;
            w->k->steps++;
            if (!trail_try(&w->k->t, w->item[i], m, v, &x.delta))
                continue;
            for (; at > 0 && solve_score_cmp(&x.delta, &o[at - 1].delta) < 0; at--)
                o[at] = o[at - 1];
            o[at] = x;
            n++;
        }
    return n;
}

static void look_end(struct look *w)
{
    const struct solve_state *s = w->k->t.s;
    if (w->need > w->best_need ||
        (w->need == w->best_need && solve_score_cmp(&s->score, &w->best_score) >= 0) ||
        !trail_fair(&w->k->t))
        return;
    if (!w->need && w->best_need && !w->small)
        w->until = w->k->steps + POLISH < w->until ? w->k->steps + POLISH : w->until;
    w->best_need = w->need;
    w->best_score = s->score;
    for (int i = 0; i < w->n; i++)
        w->best[i] = (struct place){s->at[w->item[i]], s->variant[w->item[i]]};
}

/* Leave an item that needed a place where it was. False: it cannot stay. */
static bool stay(struct look *w, int i)
{
    struct trail *t = &w->k->t;
    struct solve_score d;
    int item = w->item[i], m = w->k->start[item], v = w->k->start_variant[item];
    if (!w->k->ours[item])
        return false;
    if (m < 0)
        return true;
    if (!trail_fits(t, item, m, v) || !state_try_lenient(t->s, item, m, v, &d))
        return false;
    trail_shift(t, item, m, v, &d);
    return true;
}

static void look(struct look *w, int i)
{
    struct trail *t = &w->k->t;
    const struct problem *p = t->s->p;
    if (i == w->n) {
        look_end(w);
        return;
    }
    struct option *o = w->option + (size_t)i * (size_t)(p->n_machines * p->n_variants);
    int n = options_of(w, i, o);
    size_t mark = t->n_steps;
    for (int j = 0; j < n; j++) {
        if (w->k->steps >= w->until || seek_ended(w->k))
            return;
        trail_shift(t, w->item[i], o[j].at.machine, o[j].at.variant, &o[j].delta);
        look(w, i + 1);
        trail_undo(t, mark);
    }
    int64_t need = need_of(p, w->item[i]);
    if (w->need + need > w->best_need || !stay(w, i))
        return;
    w->need += need;
    look(w, i + 1);
    w->need -= need;
    trail_undo(t, mark);
}

/* The items in play, the largest first. False: too many. */
static bool gather(struct look *w, bool disturb)
{
    struct seek *k = w->k;
    w->n = 0;
    for (int i = 0; i < k->t.s->p->n_items; i++) {
        if (!k->ours[i] && !disturb)
            continue;
        if (w->n == FEW)
            return false;
        int at = w->n++;
        for (; at > 0 && seek_bulk(k, w->item[at - 1]) < seek_bulk(k, i); at--)
            w->item[at] = w->item[at - 1];
        w->item[at] = i;
    }
    return true;
}

static void take_best(struct look *w)
{
    struct trail *t = &w->k->t;
    struct solve_score d;
    for (int i = 0; i < w->n; i++)
        if (w->best[i].machine >= 0 &&
            state_try_lenient(t->s, w->item[i], w->best[i].machine, w->best[i].variant, &d))
            trail_shift(t, w->item[i], w->best[i].machine, w->best[i].variant, &d);
}

/* ways: for one item to be somewhere; nowhere is one more. */
static bool is_small(int64_t ways, int n)
{
    int64_t all = 1;
    for (int i = 0; i < n && all <= SMALL; i++)
        all *= ways + 1;
    return all <= SMALL;
}

bool seek_few(const struct seek *k)
{
    const struct problem *p = k->t.s->p;
    int n = 0;
    for (int i = 0; i < p->n_items; i++)
        n += k->ours[i];
    return !k->disturb && is_small((int64_t)p->n_machines * p->n_variants, n);
}

void seek_all(struct seek *k)
{
    struct solve_state *s = k->t.s;
    const struct problem *p = s->p;
    struct look w = {.k = k, .best_score = s->score};
    if (!gather(&w, k->disturb) && !(k->disturb && gather(&w, false)))
        return;
    w.small = is_small(p->n_machines, w.n);
    w.until = w.small ? INT64_MAX : k->steps + LOOKS;
    for (int i = 0; i < w.n; i++) {
        w.best[i] = (struct place){s->at[w.item[i]], s->variant[w.item[i]]};
        w.best_need += seek_needs(k, w.item[i]) ? need_of(p, w.item[i]) : 0;
    }
    w.option = xcalloc((size_t)w.n * (size_t)(p->n_machines * p->n_variants), sizeof(*w.option));
    k->t.loads_only = p->held_res && p->n_variants > 1;
    for (int i = 0; i < w.n; i++)
        if (s->at[w.item[i]] >= 0)
            trail_remove(&k->t, w.item[i]);
    look(&w, 0);
    take_best(&w);
    trail_keep(&k->t);
    k->t.loads_only = false;
    free(w.option);
}
