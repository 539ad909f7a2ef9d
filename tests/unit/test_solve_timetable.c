/* Timetables: what they promise is recomputed here instant by instant; known optima are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "scheduler/solve/timetable.h"

enum { N_MAX = 24, LINKS = 8, ROOMS = 4 };
#define SEC INT64_C(1000000)
#define MB  INT64_C(1000000)

struct world {
    struct tt_problem p;
    struct tt_move moves[N_MAX];
    struct tt_link links[LINKS];
    int uses[N_MAX][2], after[N_MAX][1];
    int64_t rooms[ROOMS];
};

static void world_init(struct world *w, int64_t link_Bps)
{
    *w = (struct world){.p = {.moves = w->moves,
                              .links = w->links,
                              .n_links = LINKS,
                              .grain_us = 1,
                              .pause_limit_us = 300000}};
    for (int i = 0; i < LINKS; i++)
        w->links[i].Bps = link_Bps;
}

/* From host a to host b: their links are a and ROOMS + b. */
static struct tt_move *add(struct world *w, int a, int b, int64_t mem_bytes)
{
    int i = w->p.n_moves++;
    w->uses[i][0] = a;
    w->uses[i][1] = ROOMS + b;
    w->moves[i] = (struct tt_move){
        .copy = {.mem_bytes = mem_bytes}, .links = w->uses[i], .n_links = 2, .from = -1, .to = -1};
    return &w->moves[i];
}

static struct timetable make(const struct world *w)
{
    struct timetable t;
    timetable_make(&w->p, &(struct solve_limits){.seed = 7, .steps = 30000}, &t);
    return t;
}

/* ---- one copy ------------------------------------------------------------------------------------- */

static void a_copy_lasts_as_the_model_says(void **state)
{
    (void)state;
    struct copying plain = {.mem_bytes = 1000 * MB};
    assert_int_equal(copying_us(&plain, 100 * MB), 10 * SEC);
    assert_int_equal(copying_bytes(&plain, 100 * MB), 1000 * MB);
    assert_int_equal(copying_pause_us(&plain, 100 * MB, 300000), 0);
    struct copying half = {.mem_bytes = 1000 * MB, .dirty_Bps = 50 * MB};
    assert_int_equal(copying_us(&half, 100 * MB), 20 * SEC); /* 1 + 1/2 + 1/4 + … */
    assert_int_equal(copying_bytes(&half, 100 * MB), 2000 * MB);
    /* 10 s, 5, 2.5, 1.25, .625, .3125, and .15625 is below the limit */
    assert_int_equal(copying_pause_us(&half, 100 * MB, 300000), 156250);
    /* 96 MB hot within 2 s and 2 MB/s beside it, over 1000/9 MB/s: 18 s, then 1.17 and .66 */
    struct copying hot = {
        .mem_bytes = 2000 * MB, .dirty_Bps = 2 * MB, .hot_bytes = 96 * MB, .hot_us = 2 * SEC};
    assert_in_range(copying_us(&hot, 1000 * MB / 9), 19830200, 19830300);
    struct copying small = {.mem_bytes = 100 * MB, .hot_bytes = 100 * MB, .hot_us = 2 * SEC};
    assert_int_equal(copying_us(&small, 100 * MB), 2 * SEC); /* 1 s, of which half was hot */
}

static void some_copies_never_end(void **state)
{
    (void)state;
    struct copying busy = {.mem_bytes = 1000 * MB, .dirty_Bps = 100 * MB};
    assert_int_equal(copying_need_Bps(&busy), 100 * MB);
    assert_int_equal(copying_us(&busy, 100 * MB), -1);
    assert_int_equal(copying_bytes(&busy, 100 * MB), -1);
    assert_true(copying_us(&busy, 101 * MB) > 0);
    assert_int_equal(copying_us(&busy, 100 * MB + 1), -1); /* not within a lifetime */
}

/* ---- promises ------------------------------------------------------------------------------------- */

static bool runs_at(int64_t us, int64_t from, int64_t to)
{
    return from <= us && us < to;
}

static void check_instant(const struct world *w, const struct timetable *t, int64_t us)
{
    int64_t rate[LINKS] = {0}, count[LINKS] = {0}, room[ROOMS];
    memcpy(room, w->rooms, sizeof(room));
    for (int i = 0; i < w->p.n_moves; i++) {
        const struct tt_move *m = &w->moves[i];
        const struct tt_turn *turn = &t->turns[i];
        if (turn->start_us < 0)
            continue;
        for (int k = 0; k < m->n_links; k++) {
            bool flows = runs_at(us, turn->start_us + m->lead_us, turn->end_us - m->tail_us);
            rate[m->links[k]] += flows ? turn->Bps : 0;
            count[m->links[k]] += runs_at(us, turn->start_us, turn->end_us);
        }
        if (m->to >= 0)
            room[m->to] -= turn->start_us <= us ? m->size : 0;
        if (m->from >= 0)
            room[m->from] += turn->end_us <= us ? m->size : 0;
    }
    for (int i = 0; i < LINKS; i++) {
        assert_true(rate[i] <= w->links[i].Bps);
        assert_true(!w->links[i].most || count[i] <= w->links[i].most);
    }
    for (int i = 0; i < w->p.n_rooms; i++)
        assert_true(room[i] >= 0);
}

static void check_table(const struct world *w, const struct timetable *t)
{
    int never = 0;
    int64_t last = 0, pauses = 0, bytes = 0;
    for (int i = 0; i < w->p.n_moves; i++) {
        const struct tt_move *m = &w->moves[i];
        const struct tt_turn *turn = &t->turns[i];
        never += turn->start_us < 0;
        if (turn->start_us < 0)
            continue;
        assert_true(turn->start_us >= m->earliest_us);
        assert_int_equal(turn->end_us - turn->start_us,
                         m->lead_us + copying_us(&m->copy, turn->Bps) + m->tail_us);
        for (int k = 0; k < m->n_after; k++) {
            assert_true(t->turns[m->after[k]].start_us >= 0);
            assert_true(turn->start_us >= t->turns[m->after[k]].end_us);
        }
        check_instant(w, t, turn->start_us);
        check_instant(w, t, turn->start_us + m->lead_us);
        last = turn->end_us > last ? turn->end_us : last;
        pauses += turn->pause_us;
        bytes += turn->bytes;
    }
    assert_int_equal(t->n_never, never);
    assert_int_equal(t->makespan_us, last);
    assert_int_equal(t->pauses_us, pauses);
    assert_int_equal(t->bytes, bytes);
}

static void random_world(struct world *w, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed);
    world_init(w, 100 * MB);
    for (int i = 0; i < LINKS; i++) {
        w->links[i].Bps = (1 + (int64_t)rng_below(&r, 4)) * 50 * MB;
        w->links[i].most = (int)rng_below(&r, 4);
    }
    w->p.rooms = w->rooms;
    w->p.n_rooms = ROOMS;
    for (int i = 0; i < ROOMS; i++)
        w->rooms[i] = (int64_t)rng_below(&r, 30);
    for (int n = 2 + (int)rng_below(&r, N_MAX - 2); w->p.n_moves < n;) {
        int a = (int)rng_below(&r, ROOMS), b = (int)rng_below(&r, ROOMS), i = w->p.n_moves;
        if (a == b)
            continue;
        struct tt_move *m = add(w, a, b, (1 + (int64_t)rng_below(&r, 40)) * 100 * MB);
        m->copy.dirty_Bps = (int64_t)rng_below(&r, 60) * MB;
        m->copy.hot_bytes = (int64_t)rng_below(&r, 2) * 50 * MB;
        m->copy.hot_us = m->copy.hot_bytes ? 2 * SEC : 0;
        m->lead_us = (int64_t)rng_below(&r, 4) * SEC;
        m->tail_us = (int64_t)rng_below(&r, 2) * SEC;
        m->earliest_us = rng_below(&r, 5) ? 0 : 20 * SEC;
        m->max_Bps = rng_below(&r, 5) ? 0 : 70 * MB;
        m->from = a;
        m->to = b;
        m->size = 1 + (int64_t)rng_below(&r, 5);
        w->after[i][0] = (int)rng_below(&r, (uint64_t)n);
        m->after = w->after[i];
        m->n_after = rng_below(&r, 4) == 0 && w->after[i][0] != i;
    }
}

static void promises_hold(void **state)
{
    (void)state;
    int placed = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct world w;
        struct timetable list, a, b;
        random_world(&w, seed);
        timetable_list(&w.p, &list);
        struct solve_limits l = {.seed = seed, .steps = 4000};
        assert_true(timetable_make(&w.p, &l, &a) <= l.steps + 2 * N_MAX * N_MAX);
        timetable_make(&w.p, &l, &b);
        check_table(&w, &list);
        check_table(&w, &a);
        assert_memory_equal(a.turns, b.turns, (size_t)w.p.n_moves * sizeof(*a.turns));
        assert_true(a.n_never <= list.n_never);
        if (a.n_never == list.n_never)
            assert_true(a.makespan_us <= list.makespan_us);
        if (!a.n_never)
            assert_true(a.makespan_us >= timetable_bound(&w.p));
        placed += w.p.n_moves - a.n_never;
        timetable_done(&list);
        timetable_done(&a);
        timetable_done(&b);
    }
    assert_true(placed > 500); /* it was about something */
}

/* ---- known optima ----------------------------------------------------------------------------------- */

static void starts_hide_behind_copies(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 100 * MB);
    for (int i = 0; i < 6; i++) {
        struct tt_move *m = add(&w, 0, 1 + i % 3, 1000 * MB);
        m->lead_us = 3 * SEC;
        m->tail_us = SEC;
    }
    struct timetable t = make(&w);
    assert_int_equal(t.makespan_us, 64 * SEC); /* only the first start and the last proof show */
    assert_int_equal(timetable_bound(&w.p), 64 * SEC);
    timetable_done(&t);
}

static void a_wide_link_serves_two_narrow_ones(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 50 * MB);
    w.links[2].Bps = w.links[ROOMS + 3].Bps = 100 * MB; /* host 2 out, host 3 in */
    add(&w, 0, 3, 500 * MB);                            /* 10 s each at 50, 5 s at 100 */
    add(&w, 1, 3, 500 * MB);
    add(&w, 2, 3, 500 * MB);
    add(&w, 2, 3, 500 * MB);
    struct timetable t = make(&w);
    assert_int_equal(t.makespan_us, 20 * SEC);
    timetable_done(&t);
}

static void one_that_writes_fast_gets_the_link_alone(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 100 * MB);
    struct tt_move *busy = add(&w, 0, 1, 1000 * MB);
    busy->copy.dirty_Bps = 60 * MB;
    add(&w, 0, 2, 1000 * MB);
    add(&w, 0, 3, 1000 * MB);
    struct timetable t = make(&w);
    assert_int_equal(t.n_never, 0);
    assert_int_equal(t.turns[0].Bps, 100 * MB);
    assert_int_equal(t.turns[0].end_us - t.turns[0].start_us, 25 * SEC);
    assert_int_equal(t.makespan_us, 45 * SEC);
    timetable_done(&t);
}

static void what_never_ends_is_said(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 100 * MB);
    struct tt_move *busy = add(&w, 0, 1, 1000 * MB), *waits = add(&w, 0, 2, 1000 * MB);
    add(&w, 0, 3, 1000 * MB);
    busy->copy.dirty_Bps = 150 * MB;
    w.after[1][0] = 0;
    waits->after = w.after[1];
    waits->n_after = 1;
    struct timetable t = make(&w);
    assert_int_equal(t.n_never, 2);
    assert_int_equal(t.turns[0].start_us, -1);
    assert_int_equal(t.turns[0].need_Bps, 150 * MB);
    assert_int_equal(t.turns[1].start_us, -1);
    assert_int_equal(t.turns[1].need_Bps, 0);
    assert_int_equal(t.makespan_us, 10 * SEC);
    timetable_done(&t);
}

static void room_comes_with_those_that_leave(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 100 * MB);
    w.p.rooms = w.rooms;
    w.p.n_rooms = ROOMS;
    w.rooms[2] = 1;
    struct tt_move *in = add(&w, 0, 1, 1000 * MB), *out = add(&w, 1, 2, 1000 * MB);
    *in = (struct tt_move){
        .copy = in->copy, .links = in->links, .n_links = 2, .from = 0, .to = 1, .size = 1};
    *out = (struct tt_move){
        .copy = out->copy, .links = out->links, .n_links = 2, .from = 1, .to = 2, .size = 1};
    struct timetable t = make(&w);
    assert_int_equal(t.turns[1].start_us, 0);
    assert_int_equal(t.turns[0].start_us, 10 * SEC);
    timetable_done(&t);
    w.rooms[2] = 0;
    t = make(&w);
    assert_int_equal(t.n_never, 2);
    timetable_done(&t);
}

static bool at_once(void *ctx)
{
    (*(int *)ctx)++;
    return true;
}

static void stops_when_told(void **state)
{
    (void)state;
    struct world w;
    struct timetable t;
    int asked = 0;
    random_world(&w, 1);
    timetable_make(
        &w.p, &(struct solve_limits){.seed = 1, .steps = INT64_MAX, .stop = at_once, .ctx = &asked},
        &t);
    assert_true(asked <= 1);
    timetable_done(&t);
}

static void nothing_to_do(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 100 * MB);
    struct timetable t = make(&w);
    assert_int_equal(t.makespan_us, 0);
    assert_int_equal(timetable_bound(&w.p), 0);
    timetable_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_lasts_as_the_model_says),
        cmocka_unit_test(some_copies_never_end),
        cmocka_unit_test(promises_hold),
        cmocka_unit_test(starts_hide_behind_copies),
        cmocka_unit_test(a_wide_link_serves_two_narrow_ones),
        cmocka_unit_test(one_that_writes_fast_gets_the_link_alone),
        cmocka_unit_test(what_never_ends_is_said),
        cmocka_unit_test(room_comes_with_those_that_leave),
        cmocka_unit_test(stops_when_told),
        cmocka_unit_test(nothing_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
