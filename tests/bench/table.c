#include "tests/bench/table.h"

#include <stdio.h>
#include <stdlib.h>

bool way_is_wanted(const struct method *way)
{
    const char *part = getenv("WAYS");
    return !part || strstr(way->name, part);
}

void row_add(struct row *row, const struct method *way, const struct tally *t)
{
    struct tally *s = &row->sum, *w = &row->worst;
#define ADD(m)                                                                                     \
    s->m += t->m;                                                                                  \
    w->m = t->m > w->m ? t->m : w->m
    ADD(overload_min);
    ADD(lacking_cpu_min);
    ADD(pause_s);
    ADD(copied_gib);
    ADD(moves);
    ADD(back);
    ADD(most_of_one);
    ADD(refused);
#undef ADD
    row->way = way;
    row->n++;
}

static void print(const struct row *r)
{
    double n = r->n;
    printf("%-19s %8.1f %8.1f  %8.0f  %7.1f %7lld  %8.1f %8.0f  %6.1f %5lld  %4lld\n", r->way->name,
           r->sum.overload_min / n, r->worst.overload_min, r->sum.lacking_cpu_min / n,
           (double)r->sum.moves / n, (long long)r->worst.moves, r->sum.pause_s / n,
           r->sum.copied_gib / n, (double)r->sum.back / n, (long long)r->worst.back,
           (long long)r->worst.most_of_one);
}

/* The one that lets the least overload happen, of those with as much the one with the fewest moves. */
static const struct row *best_of(const struct row *rows, size_t n, bool drover)
{
    const struct row *best = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct tally *x = &rows[i].sum, *b = best ? &best->sum : NULL;
        if (!rows[i].n || !rows[i].way->look || drover != (rows[i].way->look == look_drover))
            continue;
        if (!b || x->overload_min < b->overload_min ||
            (x->overload_min <= b->overload_min && x->moves < b->moves))
            best = &rows[i];
    }
    return best;
}

static void compare(const struct row *rows, size_t n_rows, const char *name)
{
    const struct row *theirs = best_of(rows, n_rows, false), *ours = best_of(rows, n_rows, true);
    if (!theirs || !ours)
        return;
    double n = ours->n;
    printf("bench: %s_overload_min %.1f min\n", name, ours->sum.overload_min / n);
    printf("bench: %s_best_other_overload_min %.1f min\n", name, theirs->sum.overload_min / n);
    printf("bench: %s_moves %.0f count\n", name, (double)ours->sum.moves / n);
    printf("bench: %s_moves_vs_best_other %.4f ratio\n", name,
           (double)ours->sum.moves / (double)theirs->sum.moves);
    printf("bench: %s_ping_pong %lld count\n", name, (long long)ours->worst.back);
}

void rows_print(const struct row *rows, size_t n, const char *name)
{
    printf("%-19s %17s  %8s  %15s  %8s %8s  %12s  %4s\n", "", "overload, min", "lacking", "moves",
           "pauses", "copied", "back", "one");
    printf("%-19s %8s %8s  %8s  %7s %7s  %8s %8s  %6s %5s  %4s\n", "", "mean", "worst", "CPU min",
           "mean", "worst", "s", "GiB", "mean", "worst", "VM");
    for (size_t i = 0; i < n; i++)
        if (rows[i].n)
            print(&rows[i]);
    compare(rows, n, name);
}
