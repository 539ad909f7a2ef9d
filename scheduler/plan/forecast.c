/* The plan, played: from one event to the next, as the core and the links would have it. */
#include "scheduler/plan/forecast.h"

#include "lib/base/heap.h"
#include "lib/base/mem.h"
#include "scheduler/plan/turns.h"
#include "scheduler/plan/world.h"
#include "scheduler/solve/timetable.h"

#define WIRE_PPM 960000 /* of a link's rate is payload: TCP over Ethernet */
#define TAIL_US  SEC    /* hand-over, then libvirt and Ceph are asked where it runs */
#define OFF_US   SEC    /* a definition is moved */
#define WHOLE    INT64_C(1000000000000)

enum stage { WAITING, STARTING, COPYING, PROVING, ENDED };
struct flow {
    int from, to;
    bool live, written_known;
    enum stage stage;
    int64_t since_us, until_us; /* of the stage; a copy is given up then */
    int64_t limit_us;           /* of the copy */
    struct copying copy;
    int64_t cap_Bps, rate_Bps, left; /* left: of the copy, in parts of WHOLE */
    int64_t whole_us;                /* a whole copy at this rate, −1 never ends */
    double sent_bytes;
    int next[2]; /* of the streams that share a side; −1 none */
};
struct side { /* one direction of a host's link */
    struct turns_link turns;
    int64_t rest_Bps, sharers; /* while rates are being shared out */
    int first;
    bool used;
};
struct play {
    const struct snapshot *s;
    const struct policy *p;
    const struct plan *plan;
    int64_t limit, lead_us, now_us;
    struct flow *flows;
    size_t n;
    int *waiting, *busy; /* in the order of the plan; those that have their turn */
    size_t n_waiting, n_busy;
    struct side *sides; /* [2 · host + incoming] */
    int64_t active;
    struct forecast *f;
};

static int side_of(const struct flow *w, bool in)
{
    return in ? 2 * w->to + 1 : 2 * w->from;
}

static int64_t payload_Bps(int64_t link_bps)
{
    return (int64_t)((double)link_bps / 8e6 * WIRE_PPM);
}

/* ---- shares ------------------------------------------------------------------------------------- */

static void give(struct play *y, struct flow *w, int64_t Bps)
{
    w->rate_Bps = Bps;
    w->whole_us = copying_us(&w->copy, Bps);
    for (int in = 0; in < 2; in++) {
        struct side *d = &y->sides[side_of(w, in)];
        d->rest_Bps -= Bps;
        d->sharers--;
    }
}

/* A stream comes to both of its sides. Sides are put in the heap with too small a key: it is put right
 * when they come out, and what is fair only grows while others get their share. */
static void join(struct play *y, int i, struct heap *heap)
{
    struct flow *w = &y->flows[i];
    w->rate_Bps = -1;
    for (int in = 0; in < 2; in++) {
        int side = side_of(w, in);
        struct side *d = &y->sides[side];
        if (!d->sharers++) {
            d->rest_Bps = payload_Bps(d->turns.link_bps);
            d->first = -1;
            heap_put(heap, (struct heap_item){.id = side});
        }
        w->next[in] = d->first;
        d->first = i;
    }
    if (w->cap_Bps > 0)
        heap_put(heap, (struct heap_item){.key = w->cap_Bps, .id = 2 * (int)y->s->n_hosts + i});
}

/* Each stream gets as much as it can without taking from one that has less: always next who gets
 * least, a capped stream or all that are left on the narrowest side. */
static void share(struct play *y)
{
    struct heap heap = {0};
    struct heap_item it;
    int n_sides = 2 * (int)y->s->n_hosts;
    for (size_t k = 0; k < y->n_busy; k++)
        if (y->flows[y->busy[k]].stage == COPYING)
            join(y, y->busy[k], &heap);
    while (heap_take(&heap, &it)) {
        if (it.id >= n_sides) {
            struct flow *w = &y->flows[it.id - n_sides];
            if (w->rate_Bps < 0)
                give(y, w, it.key);
            continue;
        }
        struct side *d = &y->sides[it.id];
        int64_t fair = d->sharers ? d->rest_Bps / d->sharers : -1;
        if (fair > it.key)
            heap_put(&heap, (struct heap_item){.key = fair, .id = it.id});
        for (int i = d->first; i >= 0 && fair >= 0 && fair <= it.key;
             i = y->flows[i].next[it.id % 2])
            if (y->flows[i].rate_Bps < 0)
                give(y, &y->flows[i], fair);
    }
    heap_done(&heap);
}

/* ---- turns --------------------------------------------------------------------------------------- */

/* What the core would see of a move that has its turn. */
static void count(struct play *y, const struct flow *w)
{
    y->active += w->live;
    for (int in = 0; in < 2 && w->live; in++) {
        struct turns_link *l = &y->sides[side_of(w, in)].turns;
        l->active++;
        l->rate_Bps += w->rate_Bps;
        l->rest_bytes += (int64_t)((double)w->copy.mem_bytes * (double)w->left / (double)WHOLE);
        l->unsettled |=
            w->stage == STARTING || (w->stage == COPYING && y->now_us - w->since_us < YOUNG_US);
    }
}

static bool may_start(const struct play *y, const struct flow *w)
{
    const struct turns_link *out = &y->sides[side_of(w, false)].turns;
    const struct turns_link *in = &y->sides[side_of(w, true)].turns;
    if (y->limit > 0)
        return y->active < y->limit && out->active < y->limit && in->active < y->limit;
    return !w->live || (turns_link_has_room(y->p, out, y->lead_us) &&
                        turns_link_has_room(y->p, in, y->lead_us));
}

static void begin(struct play *y, int i)
{
    struct flow *w = &y->flows[i];
    y->f->moves[i].start_us = w->since_us = y->now_us;
    w->stage = w->live ? STARTING : PROVING;
    w->until_us = y->now_us + (w->live ? y->lead_us : OFF_US);
    y->busy[y->n_busy++] = i;
    count(y, w);
}

/* What it waits for has ended, and has moved. */
static bool is_free(const struct play *y, int i)
{
    const struct plan_move *m = &y->plan->moves[i];
    for (size_t k = 0; k < m->n_after; k++)
        if (y->flows[m->after[k]].stage != ENDED || y->f->moves[m->after[k]].never)
            return false;
    return true;
}

static void give_turns(struct play *y)
{
    y->active = 0;
    for (size_t i = 0; i < 2 * y->s->n_hosts; i++)
        y->sides[i].turns = (struct turns_link){.link_bps = y->sides[i].turns.link_bps};
    for (size_t k = 0; k < y->n_busy; k++)
        count(y, &y->flows[y->busy[k]]);
    size_t kept = 0;
    for (size_t k = 0; k < y->n_waiting; k++) {
        int i = y->waiting[k];
        if (is_free(y, i) && may_start(y, &y->flows[i]))
            begin(y, i);
        else
            y->waiting[kept++] = i;
    }
    y->n_waiting = kept;
    y->f->peak = y->active > y->f->peak ? y->active : y->f->peak;
}

/* ---- time ---------------------------------------------------------------------------------------- */

static int64_t pause_of(const struct play *y, const struct flow *w)
{
    int64_t limit = y->p->migration.downtime_us;
    if (limit > 0)
        return copying_pause_us(&w->copy, w->rate_Bps, limit);
    bool settles = copying_passes(&w->copy, w->rate_Bps, PAUSE_FIRST_US) <= PAUSE_PASSES;
    return copying_pause_us(&w->copy, w->rate_Bps, settles ? PAUSE_FIRST_US : PAUSE_MAX_US);
}

/* When the copy is through at its present rate, or given up. */
static int64_t copied_us(const struct play *y, const struct flow *w)
{
    int64_t end = w->whole_us < 0
                      ? INT64_MAX
                      : y->now_us + (int64_t)((__int128)w->whole_us * w->left / WHOLE) + 1;
    return end < w->until_us ? end : w->until_us;
}

/* The next moment at which something changes, or at which turns are worth another look: each second as
 * the core does, less often (a thousandth) the longer it lasts. */
static int64_t next_us(const struct play *y)
{
    int64_t next = INT64_MAX, look = y->now_us + (y->now_us / 1000 > SEC ? y->now_us / 1000 : SEC);
    for (size_t k = 0; k < y->n_busy; k++) {
        const struct flow *w = &y->flows[y->busy[k]];
        int64_t at = w->stage == COPYING ? copied_us(y, w) : w->until_us;
        next = at < next ? at : next;
    }
    return y->n_waiting && next < INT64_MAX && look < next ? look : next;
}

static void copy_on(struct flow *w, int64_t us)
{
    w->sent_bytes += (double)w->rate_Bps * (double)us / 1e6;
    if (w->whole_us > 0)
        w->left -= (int64_t)((__int128)us * WHOLE / w->whole_us);
    if (w->whole_us == 0 || w->left < 0)
        w->left = 0;
}

/* The stage that it is in is over. */
static void next_stage(struct play *y, int i)
{
    struct flow *w = &y->flows[i];
    struct forecast_move *m = &y->f->moves[i];
    w->since_us = y->now_us;
    if (w->stage == STARTING) {
        w->stage = COPYING;
        w->until_us = w->limit_us < INT64_MAX ? y->now_us + w->limit_us : INT64_MAX;
    } else if (w->stage == COPYING) {
        w->stage = PROVING;
        w->until_us = y->now_us + TAIL_US;
        m->never = w->left > 0;
        m->pause_us = m->never || !w->written_known ? -1 : pause_of(y, w);
    } else {
        w->stage = ENDED;
        m->end_us = m->never ? -1 : y->now_us;
    }
}

/* To the time `to`. True: streams came or went. */
static bool advance(struct play *y, int64_t to_us)
{
    bool streams = false;
    size_t kept = 0;
    int64_t us = to_us - y->now_us;
    y->now_us = to_us;
    for (size_t k = 0; k < y->n_busy; k++) {
        int i = y->busy[k];
        struct flow *w = &y->flows[i];
        if (w->stage == COPYING)
            copy_on(w, us);
        if (w->until_us <= to_us || (w->stage == COPYING && w->left == 0)) {
            streams |= w->stage != PROVING;
            next_stage(y, i);
        }
        if (w->stage != ENDED)
            y->busy[kept++] = i;
    }
    y->n_busy = kept;
    return streams;
}

static void play(struct play *y)
{
    for (;;) {
        give_turns(y);
        int64_t next = next_us(y);
        if (next == INT64_MAX)
            break;
        if (advance(y, next))
            share(y);
    }
}

/* ---- before and after ------------------------------------------------------------------------------ */

static struct flow flow_of(const struct play *y, const struct plan_move *m)
{
    const struct vm *v = y->s->vms[m->vm].v;
    int64_t gib = vm_need_bytes(v) / GIB, per_gib = y->p->migration.timeout_us_per_gib;
    struct flow w = {.from = m->from, .to = m->to, .live = m->live, .left = WHOLE};
    w.stage = !m->live && plan_counts(y->s, m->vm) ? ENDED : WAITING;
    if (!m->live)
        return w;
    w.written_known = v->dirty_Bps >= 0;
    w.copy = (struct copying){.mem_bytes = turns_first_bytes(v),
                              .dirty_Bps = v->dirty_Bps > 0 ? v->dirty_Bps : 0};
    w.cap_Bps = turns_cap_Bps(y->p, y->s->hosts[m->from].h->link_bps);
    w.limit_us = per_gib > 0 ? per_gib * (gib < 2 ? 2 : gib) : INT64_MAX;
    return w;
}

/* The hosts that a copy of the plan uses and whose link nobody named. */
static void find_blind(struct play *y)
{
    struct forecast *f = y->f;
    for (size_t i = 0; i < y->n; i++)
        for (int in = 0; in < 2 && y->flows[i].live; in++)
            y->sides[side_of(&y->flows[i], in)].used = true;
    for (size_t h = 0; h < y->s->n_hosts; h++)
        if (y->s->hosts[h].h->link_bps <= 0 && (y->sides[2 * h].used || y->sides[2 * h + 1].used))
            *(int *)vec_add(&f->blind, &f->n_blind) = (int)h;
}

static size_t n_waits(const struct plan *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_moves; i++)
        n += p->moves[i].n_after;
    return n;
}

static int64_t bound_us(const struct play *y)
{
    size_t n_sides = 2 * y->s->n_hosts;
    cleanup(freep) struct tt_link *links = xcalloc(n_sides + 1, sizeof(*links));
    cleanup(freep) struct tt_move *moves = xcalloc(y->n + 1, sizeof(*moves));
    cleanup(freep) int *uses = xcalloc(3 * y->n + 1, sizeof(*uses));
    cleanup(freep) int *number = xcalloc(y->n + 1, sizeof(*number)); /* among those that copy */
    cleanup(freep) int *after = xcalloc(n_waits(y->plan) + 1, sizeof(*after));
    int *wait = after;
    struct tt_problem p = {.moves = moves, .links = links, .n_links = (int)n_sides + 1};
    for (size_t i = 0; i <= n_sides; i++) /* the last: of the run as such */
        links[i] = (struct tt_link){.Bps = i < n_sides ? payload_Bps(y->sides[i].turns.link_bps)
                                                       : INT64_MAX,
                                    .most = y->limit > 0 ? (int)y->limit : 0};
    for (size_t i = 0; i < y->n; i++) {
        const struct flow *w = &y->flows[i];
        if (!w->live)
            continue;
        int *use = &uses[3 * p.n_moves], *first = wait;
        number[i] = p.n_moves;
        for (size_t k = 0; k < y->plan->moves[i].n_after; k++)
            if (y->flows[y->plan->moves[i].after[k]].live)
                *wait++ = number[y->plan->moves[i].after[k]];
        use[0] = side_of(w, false);
        use[1] = side_of(w, true);
        use[2] = (int)n_sides;
        moves[p.n_moves++] = (struct tt_move){.copy = w->copy,
                                              .lead_us = y->lead_us,
                                              .tail_us = TAIL_US,
                                              .max_Bps = w->cap_Bps,
                                              .links = use,
                                              .n_links = 3,
                                              .after = first,
                                              .n_after = (int)(wait - first),
                                              .from = -1,
                                              .to = -1};
    }
    return timetable_bound(&p);
}

static void sum_up(struct play *y)
{
    struct forecast *f = y->f;
    f->makespan_us = f->n_blind ? -1 : 0;
    for (size_t i = 0; i < y->n; i++) {
        struct forecast_move *m = &f->moves[i];
        const struct flow *w = &y->flows[i];
        bool open = w->stage != ENDED; /* it has no turn, or goes round for ever */
        m->never |= open && !f->n_blind;
        m->need_Bps = m->never ? copying_need_Bps(&w->copy) : 0;
        m->bytes = f->n_blind ? w->copy.mem_bytes : (int64_t)w->sent_bytes;
        f->bytes += m->bytes;
        f->never += m->never;
        f->writers += w->live && !w->written_known;
        if (w->live && (f->pause_us < 0 || m->pause_us < 0))
            f->pause_us = -1;
        else if (w->live)
            f->pause_us = m->pause_us > f->pause_us ? m->pause_us : f->pause_us;
        if (!f->n_blind && m->end_us > f->makespan_us)
            f->makespan_us = m->end_us;
    }
}

void forecast_make(const struct snapshot *s, const struct policy *p, const struct plan *plan,
                   const struct forecast_how *how, struct forecast *ret)
{
    struct play y = {
        .s = s, .p = p, .plan = plan, .lead_us = how->lead_us, .n = plan->n_moves, .f = ret};
    y.limit = how->parallel > 0 ? how->parallel : p->migration.parallel;
    cleanup(freep) struct flow *flows = y.flows = xcalloc(y.n + 1, sizeof(*flows));
    cleanup(freep) struct side *sides = y.sides = xcalloc(2 * s->n_hosts + 1, sizeof(*sides));
    cleanup(freep) int *waiting = y.waiting = xcalloc(y.n + 1, sizeof(*waiting));
    cleanup(freep) int *busy = y.busy = xcalloc(y.n + 1, sizeof(*busy));
    int64_t downtime = p->migration.downtime_us;
    *ret = (struct forecast){.moves = xcalloc(y.n + 1, sizeof(*ret->moves)),
                             .n_moves = y.n,
                             .bound_us = -1,
                             .peak = -1,
                             .pause_limit_us = downtime > 0 ? downtime : PAUSE_MAX_US};
    for (size_t h = 0; h < 2 * s->n_hosts; h++)
        sides[h].turns.link_bps = s->hosts[h / 2].h->link_bps;
    for (size_t i = 0; i < y.n; i++) {
        flows[i] = flow_of(&y, &plan->moves[i]);
        if (flows[i].stage == WAITING)
            waiting[y.n_waiting++] = (int)i;
        ret->moves[i] = (struct forecast_move){.start_us = -1, .end_us = -1, .pause_us = -1};
    }
    find_blind(&y);
    if (!ret->n_blind) {
        play(&y);
        ret->bound_us = bound_us(&y);
    }
    sum_up(&y);
}

void forecast_done(struct forecast *f)
{
    free(f->moves);
    free(f->blind);
    *f = (struct forecast){0};
}
