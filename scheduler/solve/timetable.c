/* Moves are placed one by one, in an order and each at a share of its best rate; the search changes
 * orders and shares. What is taken of a link, a count or a room is a step function of time. */
#include "scheduler/solve/timetable.h"

#include <assert.h>
#include <string.h>

#include "lib/base/heap.h"
#include "lib/base/mem.h"
#include "lib/base/rng.h"

enum { PARTS = 4, ASK_EVERY = 4096 };
#define FAST_Bps (INT64_C(1) << 50) /* of a move that uses no link */

struct step {
    int64_t at_us, used; /* until the next one's at_us */
};
struct profile {
    int64_t cap;
    struct step *steps; /* room for all that can be taken of it */
    size_t n;
};
struct table {
    const struct tt_problem *p;
    struct profile *rates, *counts, *rooms;
    int64_t *best_Bps,
        *best_us; /* per move: its best rate, and how long it copies at that; −1: never */
    bool *placed;
    /* what the search changes: the order in which moves are placed, and best_Bps / part */
    int *order, *part;
    struct timetable t;
    /* Σ end · duration: among tables that end together the one whose queues are more even. (Of machines
     * that take jobs without a gap it is half the sum of their squared loads, in whatever order.) */
    __int128 uneven;
    int64_t steps;
};

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- step functions ---------------------------------------------------------------------------- */

/* The step that time at_us ≥ 0 falls into. */
static size_t profile_at(const struct profile *f, int64_t at_us)
{
    size_t lo = 0, hi = f->n;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        *(f->steps[mid].at_us <= at_us ? &lo : &hi) = mid;
    }
    return lo;
}

/* From when on does nothing of [from_us, to_us) stand in the way any more? from_us itself: it fits. */
static int64_t profile_fits(const struct profile *f, int64_t amount, int64_t from_us, int64_t to_us)
{
    for (size_t i = profile_at(f, from_us); i < f->n && f->steps[i].at_us < to_us; i++)
        if (f->steps[i].used + amount > f->cap)
            return i + 1 < f->n ? f->steps[i + 1].at_us : INT64_MAX;
    return from_us;
}

static size_t profile_cut(struct profile *f, int64_t at_us)
{
    size_t i = profile_at(f, at_us);
    if (f->steps[i].at_us == at_us)
        return i;
    f->n++;
    memmove(&f->steps[i + 2], &f->steps[i + 1], (f->n - i - 2) * sizeof(*f->steps));
    f->steps[i + 1] = (struct step){.at_us = at_us, .used = f->steps[i].used};
    return i + 1;
}

static void profile_take(struct profile *f, int64_t amount, int64_t from_us, int64_t to_us)
{
    if (from_us >= to_us)
        return;
    size_t first = profile_cut(f, from_us);
    size_t end = to_us == INT64_MAX ? f->n : profile_cut(f, to_us);
    for (size_t i = first; i < end; i++)
        f->steps[i].used += amount;
}

/* ---- one move ------------------------------------------------------------------------------------ */

static int64_t best_Bps(const struct tt_problem *p, const struct tt_move *m)
{
    int64_t best = m->max_Bps > 0 ? m->max_Bps : FAST_Bps;
    for (int i = 0; i < m->n_links; i++)
        if (p->links[m->links[i]].Bps < best)
            best = p->links[m->links[i]].Bps;
    return best;
}

static int64_t copy_us(const struct tt_problem *p, const struct tt_move *m, int64_t Bps)
{
    int64_t us = copying_us(&m->copy, Bps), grain = p->grain_us;
    if (us <= 0 || grain <= 1)
        return us;
    int64_t grains = (us + grain / 2) / grain;
    return (grains ? grains : 1) * grain;
}

/* How long its copy lasts at the largest part of the best rate, down to the one wanted, at which it
 * ends; −1: at none. */
static int64_t copy_in_part(const struct table *t, int id, int64_t *ret_Bps)
{
    int64_t us = -1;
    for (int part = t->part[id]; part > 0 && us < 0; part--) {
        *ret_Bps = t->best_Bps[id] / part;
        us = copy_us(t->p, &t->p->moves[id], *ret_Bps);
    }
    return us;
}

/* The first start at which it can go through, INT64_MAX: there is none. */
static int64_t first_start(const struct table *t, const struct tt_move *m, int64_t from_us,
                           int64_t Bps, int64_t us)
{
    int64_t start = from_us, was;
    do {
        was = start;
        for (int i = 0; i < m->n_links && start < INT64_MAX; i++) {
            int64_t first = start + m->lead_us;
            int64_t ok = profile_fits(&t->rates[m->links[i]], Bps, first, first + us);
            start = ok == INT64_MAX ? ok : ok - m->lead_us;
            if (start < INT64_MAX && t->p->links[m->links[i]].most > 0)
                start = profile_fits(&t->counts[m->links[i]], 1, start,
                                     start + m->lead_us + us + m->tail_us);
        }
        if (start < INT64_MAX && m->to >= 0)
            start = profile_fits(&t->rooms[m->to], m->size, start, INT64_MAX);
    } while (start != was && start < INT64_MAX);
    return start;
}

static void occupy(struct table *t, int id, int64_t start, int64_t Bps, int64_t us)
{
    const struct tt_move *m = &t->p->moves[id];
    int64_t first = start + m->lead_us, end = first + us + m->tail_us;
    for (int i = 0; i < m->n_links; i++) {
        profile_take(&t->rates[m->links[i]], Bps, first, first + us);
        if (t->p->links[m->links[i]].most > 0)
            profile_take(&t->counts[m->links[i]], 1, start, end);
    }
    if (m->to >= 0)
        profile_take(&t->rooms[m->to], m->size, start, INT64_MAX);
    if (m->from >= 0)
        profile_take(&t->rooms[m->from], -m->size, end, INT64_MAX);
}

/* ---- all moves ----------------------------------------------------------------------------------- */

/* When the moves it waits for have ended; −1: one of them has not been placed. */
static int64_t ready_us(const struct table *t, const struct tt_move *m)
{
    int64_t ready = m->earliest_us;
    for (int i = 0; i < m->n_after; i++) {
        if (!t->placed[m->after[i]])
            return -1;
        int64_t end = t->t.turns[m->after[i]].end_us;
        ready = end > ready ? end : ready;
    }
    return ready;
}

static bool place(struct table *t, int id)
{
    const struct tt_move *m = &t->p->moves[id];
    int64_t Bps = 0, us = copy_in_part(t, id, &Bps), ready = ready_us(t, m);
    t->steps++;
    if (us < 0 || ready < 0)
        return false;
    int64_t start = first_start(t, m, ready, Bps, us);
    if (start == INT64_MAX)
        return false;
    occupy(t, id, start, Bps, us);
    t->placed[id] = true;
    t->t.turns[id] = (struct tt_turn){
        .start_us = start,
        .end_us = start + m->lead_us + us + m->tail_us,
        .Bps = Bps,
        .bytes = copying_bytes(&m->copy, Bps),
        .pause_us = copying_pause_us(&m->copy, Bps, t->p->pause_limit_us),
    };
    return true;
}

static void clear(struct profile *f, int n)
{
    for (int i = 0; i < n; i++) {
        f[i].n = 1;
        f[i].steps[0] = (struct step){0};
    }
}

/* From order and parts to a table. A move that cannot be placed yet is tried again after the others. */
static void build(struct table *t)
{
    const struct tt_problem *p = t->p;
    clear(t->rates, p->n_links);
    clear(t->counts, p->n_links);
    clear(t->rooms, p->n_rooms);
    memset(t->placed, 0, (size_t)p->n_moves * sizeof(*t->placed));
    t->t.n_never = p->n_moves;
    t->t.makespan_us = t->t.pauses_us = t->t.bytes = 0;
    t->uneven = 0;
    for (int before = -1; t->t.n_never != before;) {
        before = t->t.n_never;
        for (int i = 0; i < p->n_moves; i++)
            t->t.n_never -= !t->placed[t->order[i]] && place(t, t->order[i]);
    }
    for (int i = 0; i < p->n_moves; i++) {
        struct tt_turn *turn = &t->t.turns[i];
        if (!t->placed[i]) {
            *turn = (struct tt_turn){.start_us = -1, .end_us = -1};
            turn->need_Bps = t->best_us[i] < 0 ? copying_need_Bps(&p->moves[i].copy) : 0;
            continue;
        }
        t->t.makespan_us = turn->end_us > t->t.makespan_us ? turn->end_us : t->t.makespan_us;
        t->uneven += (__int128)turn->end_us * (turn->end_us - turn->start_us) * turn->Bps;
        t->t.pauses_us += turn->pause_us;
        t->t.bytes += turn->bytes;
    }
}

/* What the move asks of a link at the least; the more the longer. */
static int64_t work_us(const struct table *t, int id, int link)
{
    if (t->best_us[id] < 0)
        return 0;
    return (int64_t)((__int128)t->best_us[id] * t->best_Bps[id] / t->p->links[link].Bps);
}

/* Always the move next whose fullest link has most left to carry; of those the longest. Queues only get
 * shorter: a move whose queue did since it was put in the heap goes back. */
static void longest_queue_first(struct table *t)
{
    const struct tt_problem *p = t->p;
    struct heap heap = {0};
    struct heap_item next;
    cleanup(freep) int64_t *queue = xcalloc((size_t)p->n_links + 1, sizeof(*queue));
    for (int i = 0; i < p->n_moves; i++) {
        for (int k = 0; k < p->moves[i].n_links; k++)
            queue[p->moves[i].links[k]] += work_us(t, i, p->moves[i].links[k]);
        heap_put(&heap, (struct heap_item){.key = INT64_MIN, .then = -t->best_us[i], .id = i});
    }
    for (int n = 0; heap_take(&heap, &next);) {
        const struct tt_move *m = &p->moves[next.id];
        int64_t most = 0;
        for (int k = 0; k < m->n_links; k++)
            most = max64(most, queue[m->links[k]]);
        if (-most > next.key) {
            next.key = -most;
            heap_put(&heap, next);
            continue;
        }
        t->order[n++] = next.id;
        for (int k = 0; k < m->n_links; k++)
            queue[m->links[k]] -= work_us(t, next.id, m->links[k]);
    }
    heap_done(&heap);
}

static struct profile *profiles(int n)
{
    return xcalloc((size_t)n + 1, sizeof(struct profile));
}

static void table_init(struct table *t, const struct tt_problem *p)
{
    size_t n = (size_t)p->n_moves + 1;
    *t = (struct table){.p = p,
                        .rates = profiles(p->n_links),
                        .counts = profiles(p->n_links),
                        .rooms = profiles(p->n_rooms),
                        .best_Bps = xcalloc(n, sizeof(*t->best_Bps)),
                        .best_us = xcalloc(n, sizeof(*t->best_us)),
                        .placed = xcalloc(n, sizeof(*t->placed)),
                        .order = xcalloc(n, sizeof(*t->order)),
                        .part = xcalloc(n, sizeof(*t->part)),
                        .t.turns = xcalloc(n, sizeof(*t->t.turns))};
    for (int i = 0; i < p->n_moves; i++) {
        const struct tt_move *m = &p->moves[i];
        t->best_Bps[i] = best_Bps(p, m);
        t->best_us[i] = copy_us(p, m, t->best_Bps[i]);
        t->part[i] = 1;
        for (int k = 0; k < m->n_links; k++)
            t->rates[m->links[k]].n += 2;
        if (m->from >= 0)
            t->rooms[m->from].n += 2;
        if (m->to >= 0)
            t->rooms[m->to].n += 2;
    }
    for (int i = 0; i < p->n_links; i++) {
        struct profile *r = &t->rates[i], *c = &t->counts[i];
        r->cap = p->links[i].Bps;
        c->cap = p->links[i].most;
        r->steps = xcalloc(r->n + 1, sizeof(*r->steps));
        c->steps = xcalloc(r->n + 1, sizeof(*c->steps));
    }
    for (int i = 0; i < p->n_rooms; i++) {
        t->rooms[i].cap = p->rooms[i];
        t->rooms[i].steps = xcalloc(t->rooms[i].n + 1, sizeof(*t->rooms[i].steps));
    }
}

static void table_done(struct table *t)
{
    for (int i = 0; i < t->p->n_links; i++) {
        free(t->rates[i].steps);
        free(t->counts[i].steps);
    }
    for (int i = 0; i < t->p->n_rooms; i++)
        free(t->rooms[i].steps);
    free(t->rates);
    free(t->counts);
    free(t->rooms);
    free(t->best_Bps);
    free(t->best_us);
    free(t->placed);
    free(t->order);
    free(t->part);
    timetable_done(&t->t);
}

void timetable_done(struct timetable *t)
{
    free(t->turns);
    t->turns = NULL;
}

void timetable_list(const struct tt_problem *p, struct timetable *ret)
{
    struct table t;
    table_init(&t, p);
    longest_queue_first(&t);
    build(&t);
    *ret = t.t;
    t.t.turns = NULL;
    table_done(&t);
}

/* ---- the search ---------------------------------------------------------------------------------- */

/* Order, parts, and what became of them. */
struct kept {
    int *order, *part;
    int n_never;
    int64_t makespan_us, pauses_us;
    __int128 uneven;
};
struct search {
    struct table t;
    struct kept now, best;
    struct rng rng;
};

static struct kept kept_new(int n)
{
    return (struct kept){.order = xcalloc((size_t)n + 1, sizeof(int)),
                         .part = xcalloc((size_t)n + 1, sizeof(int))};
}

static void kept_done(struct kept *k)
{
    free(k->order);
    free(k->part);
}

static void keep(const struct table *t, struct kept *k)
{
    memcpy(k->order, t->order, (size_t)t->p->n_moves * sizeof(int));
    memcpy(k->part, t->part, (size_t)t->p->n_moves * sizeof(int));
    k->n_never = t->t.n_never;
    k->makespan_us = t->t.makespan_us;
    k->pauses_us = t->t.pauses_us;
    k->uneven = t->uneven;
}

static void restore(struct table *t, const struct kept *k)
{
    memcpy(t->order, k->order, (size_t)t->p->n_moves * sizeof(int));
    memcpy(t->part, k->part, (size_t)t->p->n_moves * sizeof(int));
}

static int sign(__int128 d)
{
    return d < 0 ? -1 : d > 0;
}

/* < 0: the table is better. */
static int against(const struct table *t, const struct kept *k)
{
    if (t->t.n_never != k->n_never)
        return sign(t->t.n_never - k->n_never);
    return sign(t->t.makespan_us - k->makespan_us);
}

static int below(struct search *s, int n)
{
    return (int)rng_below(&s->rng, (uint64_t)n);
}

/* One move elsewhere in the order, two that change places, or one at another share. */
static void change(struct search *s)
{
    int n = s->t.p->n_moves, from = below(s, n), to = below(s, n), *order = s->t.order;
    int what = below(s, 4), id = order[from];
    if (what == 0) {
        s->t.part[id] = 1 + below(s, PARTS);
        return;
    }
    if (what == 1) {
        order[from] = order[to];
        order[to] = id;
        return;
    }
    if (from < to)
        memmove(&order[from], &order[from + 1], (size_t)(to - from) * sizeof(int));
    else
        memmove(&order[to + 1], &order[to], (size_t)(from - to) * sizeof(int));
    order[to] = id;
}

static bool ended(const struct search *s, const struct solve_limits *l, int64_t *asked)
{
    if (s->t.steps >= l->steps)
        return true;
    bool ask = l->stop && s->t.steps - *asked >= ASK_EVERY;
    if (ask)
        *asked = s->t.steps;
    return ask && l->stop(l->ctx);
}

/* Each at its best rate. */
static int64_t least_pauses(const struct table *t)
{
    int64_t sum = 0;
    for (int i = 0; i < t->p->n_moves; i++)
        if (t->best_us[i] >= 0)
            sum += copying_pause_us(&t->p->moves[i].copy, t->best_Bps[i], t->p->pause_limit_us);
    return sum;
}

/* Downhill and sideways; when that leads nowhere, some changes away from the best. */
static void improve(struct search *s, const struct solve_limits *l)
{
    struct table *t = &s->t;
    int64_t bound = timetable_bound(t->p), least = least_pauses(t), asked = 0;
    int idle = 0, patience = 200 + 20 * t->p->n_moves;
    while (!ended(s, l, &asked)) {
        if (!s->best.n_never && s->best.makespan_us <= bound && s->best.pauses_us <= least)
            break;
        bool jump = idle >= patience;
        restore(t, jump ? &s->best : &s->now);
        for (int i = jump ? 2 + below(s, 4) : below(s, 2); i >= 0; i--)
            change(s);
        build(t);
        idle = jump ? 0 : idle + 1;
        int than_now = against(t, &s->now), than_best = against(t, &s->best);
        if (jump || (than_now ? than_now : sign(t->uneven - s->now.uneven)) <= 0)
            keep(t, &s->now);
        if ((than_best ? than_best : sign(t->t.pauses_us - s->best.pauses_us)) < 0) {
            keep(t, &s->best);
            idle = 0;
        }
    }
}

int64_t timetable_make(const struct tt_problem *p, const struct solve_limits *l,
                       struct timetable *ret)
{
    struct search s = {.now = kept_new(p->n_moves), .best = kept_new(p->n_moves)};
    rng_init(&s.rng, l->seed);
    table_init(&s.t, p);
    longest_queue_first(&s.t);
    build(&s.t);
    keep(&s.t, &s.now);
    keep(&s.t, &s.best);
    if (p->n_moves > 1)
        improve(&s, l);
    restore(&s.t, &s.best);
    build(&s.t);
    *ret = s.t.t;
    s.t.t.turns = NULL;
    int64_t steps = s.t.steps;
    table_done(&s.t);
    kept_done(&s.now);
    kept_done(&s.best);
    return steps;
}

/* ---- the bound ------------------------------------------------------------------------------------ */

struct loads {
    int64_t first_us, work_us, tail_us; /* first byte at the earliest, the work, what follows it */
    int64_t held_us;                    /* of all its moves, for `most` */
    int64_t begin_us;
};

/* The end of each move if it were alone, after those it waits for; −1: never. */
static int64_t alone_us(struct table *t, int id)
{
    const struct tt_move *m = &t->p->moves[id];
    int64_t us = t->best_us[id], ready = ready_us(t, m);
    return us < 0 || ready < 0 ? -1 : ready + m->lead_us + us + m->tail_us;
}

int64_t timetable_bound(const struct tt_problem *p)
{
    struct table t;
    int64_t bound = 0;
    table_init(&t, p);
    cleanup(freep) struct loads *loads = xcalloc((size_t)p->n_links + 1, sizeof(*loads));
    for (int i = 0; i < p->n_links; i++)
        loads[i].first_us = loads[i].tail_us = loads[i].begin_us = INT64_MAX;
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < p->n_moves; i++) {
            const struct tt_move *m = &p->moves[i];
            int64_t end = t.placed[i] ? -1 : alone_us(&t, i);
            if (end < 0)
                continue;
            more = t.placed[i] = true;
            t.t.turns[i].end_us = end;
            bound = max64(bound, end);
            int64_t begin = end - m->tail_us - t.best_us[i] - m->lead_us;
            for (int k = 0; k < m->n_links; k++) {
                struct loads *l = &loads[m->links[k]];
                l->begin_us = min64(l->begin_us, begin);
                l->first_us = min64(l->first_us, begin + m->lead_us);
                l->tail_us = min64(l->tail_us, m->tail_us);
                l->work_us += work_us(&t, i, m->links[k]);
                l->held_us += end - begin;
            }
        }
    }
    for (int i = 0; i < p->n_links; i++) {
        if (loads[i].begin_us == INT64_MAX)
            continue;
        bound = max64(bound, loads[i].first_us + loads[i].work_us + loads[i].tail_us);
        if (p->links[i].most > 0)
            bound = max64(bound, loads[i].begin_us + loads[i].held_us / p->links[i].most);
    }
    table_done(&t);
    return bound;
}
