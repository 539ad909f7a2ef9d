/* scheduler/solve/timetable.h: when each of a list of moves runs, and at which rate.   PURE.
 * Purpose  The order and the shares of links that end the list soonest; then the shortest pauses.
 * Shapes   dense ids. A move keeps its rate from the first byte to the last.
 *              start ── lead ──┬── copy, at Bps on each of its links ──┬── tail ── end
 *          From start to end it is one of `most` on its links, and no longer waits. Its room at the
 *          destination is taken at the start, that at the source is free at the end.
 * Never    A move that cannot end has start −1: its guest writes faster than any share could send
 *          (need_Bps says how much it would take), it waits for such a move, or no room ever comes.
 * Units    µs from the beginning, bytes, bytes/s. Integers: the same inputs, seed and steps give the
 *          same table on every machine.
 * Owner    borrows the problem; timetable_done releases a table.   Thread any. */
#pragma once

#include "scheduler/solve/copying.h"
#include "scheduler/solve/solve.h"

struct tt_link { /* one direction of a host's link, an uplink, a switch */
    int64_t Bps;
    int most; /* moves at once, 0: any number */
};
struct tt_move {
    struct copying copy;
    int64_t lead_us, tail_us; /* QEMU's start; hand-over and proof */
    int64_t earliest_us;
    int64_t max_Bps; /* 0: what its links carry */
    const int *links, *after;
    int n_links, n_after;
    int from, to; /* rooms; −1: none is counted */
    int64_t size;
};
struct tt_problem {
    const struct tt_move *moves;
    int n_moves;
    const struct tt_link *links;
    int n_links;
    const int64_t *rooms; /* what is free in each at the beginning */
    int n_rooms;
    int64_t grain_us; /* copies last whole multiples of it; 1: as they are */
    int64_t pause_limit_us;
};
struct tt_turn {
    int64_t start_us, end_us; /* −1: never */
    int64_t Bps, bytes, pause_us;
    int64_t need_Bps; /* never, because it would have to be sent faster than this; else 0 */
};
struct timetable {
    struct tt_turn *turns; /* per move */
    int n_never;
    int64_t makespan_us, pauses_us, bytes;
};

/* A list schedule: longest queue first, each as soon and as fast as it can. Gives *ret. */
void timetable_list(const struct tt_problem *p, struct timetable *ret);
/* The same, improved by local search. A step is one move placed. Returns the steps taken. */
int64_t timetable_make(const struct tt_problem *p, const struct solve_limits *l,
                       struct timetable *ret);
void timetable_done(struct timetable *t);
/* No table of those moves that can run at all ends sooner: by what each link must carry, by how many
 * may run at once, and by the longest chain. */
int64_t timetable_bound(const struct tt_problem *p);
