/* A world that knows figures and moves alone, for the planner without its core. */
#include "scheduler/plan/forecast.h"
#include "tests/bench/waves.h"

static int64_t now_s(const struct trial *r)
{
    return (int64_t)r->tick * TICK_S;
}

static void land(struct trial *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_flying; i++)
        if (r->flying[i].end_s <= now_s(r)) {
            r->mem_gib[r->flying[i].from] -= r->w->gib[r->flying[i].vm];
            run_arrived(r, r->flying[i].vm, r->flying[i].to);
        } else {
            r->flying[n++] = r->flying[i];
        }
    r->n_flying = n;
}

//USE
static void use_cpus(struct trial *r, bool counts)
{
    const struct waves *w = r->w;
    cleanup(freep) int64_t *wants = xcalloc(w->n_hosts, sizeof(*wants));
    for (size_t i = 0; i < w->n_vms; i++)
        wants[r->at[i]] += w->demand[r->tick * w->n_vms + i];
    for (size_t i = 0; i < r->n_flying; i++)
        if (r->flying[i].start_s <= now_s(r)) {
            wants[r->flying[i].from] += COPY_MCPU;
            wants[r->flying[i].to] += COPY_MCPU;
        }
    run_used(r, wants, counts);
}

static struct series_time series_time(const struct trial *r)
{
    return (struct series_time){.now_us = (now_s(r) + TICK_S) * SEC,
                                .wall_us = (INT64_C(1767571200) + now_s(r) + TICK_S) * SEC};
}

static void keep_series(struct trial *r)
{
    const struct waves *w = r->w;
    struct series_time t = series_time(r);
    const uint16_t *vm = &r->vm_ring[r->tick % RING * w->n_vms];
    const int32_t *host = &r->host_ring[r->tick % RING * w->n_hosts];
    for (size_t i = 0; i < w->n_vms; i++)
        series_add(&r->series[i], t, vm[i], TICK_S * SEC);
    for (size_t h = 0; h < w->n_hosts; h++)
        series_add(&r->host_series[h], t, host[h], TICK_S * SEC);
}

/* All that it wants at once, as one plan whose turns and times are the product's. */
static void take_off(struct trial *r, const struct wanted *list, size_t n)
{
    cleanup(freep) struct plan_move *moves = xcalloc(n + 1, sizeof(*moves));
    struct plan p = {.moves = moves};
    for (size_t i = 0; i < n; i++) {
        int vm = list[i].vm, to = list[i].to;
        if (r->f.s.vms[vm].moving_to >= 0 || r->at[vm] == to)
            continue;
        if (!room_for(r, (size_t)vm, (size_t)to)) {
            r->tally.refused++;
            continue;
        }
        r->mem_gib[to] += r->w->gib[vm];
        r->f.s.vms[vm].moving_to = to;
        moves[p.n_moves++] =
            (struct plan_move){.vm = vm, .from = r->at[vm], .to = to, .live = true};
    }
    struct forecast f;
    forecast_make(&r->f.s, &r->f.p, &p, &(struct forecast_how){.lead_us = SEC}, &f);
    for (size_t i = 0; i < p.n_moves; i++) {
        const struct forecast_move *m = &f.moves[i];
        assert_true(m->end_us >= 0);
        *vec_add(&r->flying, &r->n_flying) =
            (struct flying){.vm = moves[i].vm,
                            .from = moves[i].from,
                            .to = moves[i].to,
                            .start_s = now_s(r) + m->start_us / SEC,
                            .end_s = now_s(r) + m->end_us / SEC};
        r->tally.moves++;
        r->tally.pause_s += (double)m->pause_us / (double)SEC;
        r->tally.copied_gib += (double)m->bytes / (double)GIB;
    }
    forecast_done(&f);
}

void run_make(struct trial *r, const struct waves *w, const struct method *way, size_t from,
              size_t to)
{
    cleanup(freep) struct wanted *list = xcalloc(w->n_vms, sizeof(*list));
    run_begin(r, w, way);
    for (; r->tick < to; r->tick++) {
        land(r);
        if (r->tick >= from && way->look && !r->n_flying &&
            (r->tick - from) % (size_t)way->every_ticks == 0) {
            r->tally.looks++;
            take_off(r, list, way->look(r, list, w->n_vms));
        }
        use_cpus(r, r->tick >= from);
        if (way->series)
            keep_series(r);
    }
}
