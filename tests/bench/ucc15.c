/* Timetables against published ones: the random instances of mVM (Kherbache et al., UCC 2015). Four
 * hosts, two of them on 500 Mbit/s and two on 1 Gbit/s, full duplex; ten VMs, all of which move.
 *
 *   DATA=/path/to/instances [OUT=/path/for/our/plans] ucc15
 *
 * The judge's rules: a copy lasts as its duration model says, rounded to whole seconds; no link carries
 * more than its rate; 16 units of memory a host at every moment. The judge is written anew here. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "scheduler/solve/timetable.h"

enum { HOSTS = 4, ROOM = 16, MOVES_MAX = 64, INSTANCES_MAX = 99 };
#define SEC_US INT64_C(1000000)
static const int link_mbit[HOSTS] = {500, 500, 1000, 1000};

struct instance {
    json_t *root;
    int n;
    struct tt_move moves[MOVES_MAX];
    int links[MOVES_MAX][2];
    int64_t free[HOSTS];
    struct tt_link nics[2 * HOSTS]; /* out, then in */
    int64_t published_s;
};

static int64_t number(const json_t *o, const char *key)
{
    return (int64_t)json_number_value(json_object_get(o, key));
}

static const json_t *memory_of(const json_t *origin)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(origin, "views"), i,
                       v) if (strcmp(json_string_value(json_object_get(v, "rcId")), "mem") ==
                              0) return json_object_get(v, "vms");
    return NULL;
}

/* Mbit/s as the model counts them: nine bits a byte. */
static int64_t rate(int64_t mbit)
{
    return mbit * 1000000 / 9;
}

static void read_move(struct instance *x, const json_t *action, const json_t *vms,
                      const json_t *sizes)
{
    char vm[16];
    snprintf(vm, sizeof(vm), "%d", (int)number(action, "vm"));
    const json_t *v = json_object_get(vms, vm);
    int from = (int)number(action, "from"), to = (int)number(action, "to");
    x->links[x->n][0] = from;
    x->links[x->n][1] = HOSTS + to;
    x->moves[x->n] = (struct tt_move){
        .copy = {.mem_bytes = number(v, "memUsed") * 1000000,
                 .dirty_Bps = (int64_t)(json_number_value(json_object_get(v, "dirtyRate")) * 1e6),
                 .hot_bytes = number(v, "maxDirtySize") * 1000000,
                 .hot_us = number(v, "maxDirtyDuration") * SEC_US},
        .links = x->links[x->n],
        .n_links = 2,
        .from = from,
        .to = to,
        .size = number(sizes, vm)};
    x->n++;
    if (number(action, "end") > x->published_s)
        x->published_s = number(action, "end");
}

static bool instance_read(struct instance *x, const char *path)
{
    *x = (struct instance){.root = json_load_file(path, 0, NULL)};
    if (!x->root)
        return false;
    const json_t *origin = json_object_get(x->root, "origin"), *sizes = memory_of(origin);
    json_t *vms = json_object_get(json_object_get(origin, "attributes"), "vms");
    json_t *online = json_object_get(json_object_get(origin, "mapping"), "onlineNodes"), *v;
    size_t i;
    json_array_foreach(json_object_get(x->root, "actions"), i, v) read_move(x, v, vms, sizes);
    for (int h = 0; h < HOSTS; h++) {
        char name[16], vm[16];
        snprintf(name, sizeof(name), "%d", h);
        x->free[h] = ROOM;
        json_array_foreach(json_object_get(json_object_get(online, name), "runningVMs"), i, v)
        {
            snprintf(vm, sizeof(vm), "%d", (int)json_integer_value(v));
            x->free[h] -= number(sizes, vm);
        }
        x->nics[h].Bps = x->nics[HOSTS + h].Bps = rate(link_mbit[h]);
    }
    return true;
}

/* ---- the judge ------------------------------------------------------------------------------------ */

static double duration_s(const struct copying *c, double mbit)
{
    double B = mbit / 9, mem = (double)c->mem_bytes / 1e6, hs = (double)c->hot_bytes / 1e6;
    double hd = (double)c->hot_us / 1e6, cr = (double)c->dirty_Bps / 1e6, t = mem / B;
    if (t <= hd)
        return t + hs / hd * t / (B - hs / hd);
    return t + (hs + (t - hd) * cr) / (B - cr) + hs / B * (hs / hd / (B - hs / hd));
}

/* Its rate in Mbit/s: those a table may use are parts of a link's. */
static double mbit_of(const struct tt_turn *t)
{
    return rint((double)t->Bps * 9 / 1e6 * 1000) / 1000;
}

static bool holds_at(const struct instance *x, const struct timetable *t, int64_t us)
{
    double used[2 * HOSTS] = {0};
    int64_t room[HOSTS];
    memcpy(room, x->free, sizeof(room));
    for (int i = 0; i < x->n; i++) {
        const struct tt_turn *turn = &t->turns[i];
        for (int k = 0; k < 2 && turn->start_us <= us && us < turn->end_us; k++)
            used[x->links[i][k]] += mbit_of(turn);
        room[x->moves[i].to] -= turn->start_us <= us ? x->moves[i].size : 0;
        room[x->moves[i].from] += turn->end_us <= us ? x->moves[i].size : 0;
    }
    for (int h = 0; h < HOSTS; h++)
        if (room[h] < 0 || used[h] > link_mbit[h] + .01 || used[HOSTS + h] > link_mbit[h] + .01)
            return false;
    return true;
}

static bool judged(const struct instance *x, const struct timetable *t)
{
    for (int i = 0; i < x->n; i++) {
        const struct tt_turn *turn = &t->turns[i];
        double s = rint(duration_s(&x->moves[i].copy, mbit_of(turn)));
        if (turn->start_us < 0 || turn->end_us - turn->start_us != (int64_t)s * SEC_US ||
            turn->start_us % SEC_US || !holds_at(x, t, turn->start_us))
            return false;
    }
    return true;
}

static double bound_s(const struct instance *x)
{
    double load[2 * HOSTS] = {0}, most = 0;
    for (int i = 0; i < x->n; i++) {
        int a = link_mbit[x->moves[i].from], b = link_mbit[x->moves[i].to], best = a < b ? a : b;
        double work = rint(duration_s(&x->moves[i].copy, best)) * best;
        load[x->moves[i].from] += work / a;
        load[HOSTS + x->moves[i].to] += work / b;
    }
    for (int l = 0; l < 2 * HOSTS; l++)
        most = load[l] > most ? load[l] : most;
    return most;
}

/* ---- report --------------------------------------------------------------------------------------- */

static void write_plan(const struct instance *x, const struct timetable *t, const char *name)
{
    const char *out = getenv("OUT");
    if (!out || !*out)
        return;
    size_t i;
    json_t *action;
    json_array_foreach(json_object_get(x->root, "actions"), i, action)
    {
        const struct tt_turn *turn = &t->turns[i];
        json_object_set_new(action, "bw", json_real(mbit_of(turn)));
        json_object_set_new(action, "start", json_integer(turn->start_us / SEC_US));
        json_object_set_new(action, "end", json_integer(turn->end_us / SEC_US));
    }
    cleanup(freep) char *path = xasprintf("%s/%s", out, name);
    if (json_dump_file(x->root, path, JSON_COMPACT))
        perror(path);
}

struct sums {
    int n, valid;
    double mvm, list, ours;
    int64_t worst_us, total_us;
};

static void one(const char *name, struct instance *x, struct sums *sums)
{
    struct tt_problem p = {.moves = x->moves,
                           .n_moves = x->n,
                           .links = x->nics,
                           .n_links = 2 * HOSTS,
                           .rooms = x->free,
                           .n_rooms = HOSTS,
                           .grain_us = SEC_US,
                           .pause_limit_us = 30000};
    struct timetable list, ours;
    timetable_list(&p, &list);
    int64_t begin = clock_mono_us();
    timetable_make(&p, &(struct solve_limits){.seed = 1, .steps = 200000}, &ours);
    int64_t took = clock_mono_us() - begin;
    bool ok = judged(x, &ours);
    double bound = bound_s(x), list_s = (double)list.makespan_us / 1e6,
           ours_s = (double)ours.makespan_us / 1e6;
    printf("%-24s %6.1f %6lld %6.0f %6.0f %7.3f %s\n", name, bound, (long long)x->published_s,
           list_s, ours_s, ours_s / bound, ok ? "valid" : "NOT VALID");
    write_plan(x, &ours, name);
    sums->n++;
    sums->valid += ok;
    sums->mvm += (double)x->published_s / bound;
    sums->list += list_s / bound;
    sums->ours += ours_s / bound;
    sums->total_us += took;
    sums->worst_us = took > sums->worst_us ? took : sums->worst_us;
    timetable_done(&list);
    timetable_done(&ours);
}

int main(void)
{
    const char *data = getenv("DATA");
    struct sums s = {0};
    if (!data || !*data) {
        puts("SKIPPED: DATA= names no folder with ucc15/random_random.*.json");
        return 0;
    }
    printf("%-24s %6s %6s %6s %6s %7s\n", "INSTANCE", "BOUND", "MVM", "LIST", "OURS", "RATIO");
    for (int i = 1; i <= INSTANCES_MAX; i++) {
        struct instance x;
        char name[64];
        snprintf(name, sizeof(name), "random_random.%d.json", i);
        cleanup(freep) char *path = xasprintf("%s/ucc15/%s", data, name);
        if (!instance_read(&x, path))
            continue;
        one(name, &x, &s);
        json_decref(x.root);
    }
    if (!s.n) {
        printf("SKIPPED: no instance in %s/ucc15\n", data);
        return 0;
    }
    printf("bench: ucc15_instances %d of which valid %d\n", s.n, s.valid);
    printf("bench: ucc15_mvm_ratio %.3f ratio\n", s.mvm / s.n);
    printf("bench: ucc15_list_ratio %.3f ratio\n", s.list / s.n);
    printf("bench: ucc15_time %lld us\n", (long long)(s.total_us / s.n));
    printf("bench: ucc15_makespan_ratio %.4f ratio\n", s.ours / s.n);
    return s.valid == s.n ? 0 : 1;
}
