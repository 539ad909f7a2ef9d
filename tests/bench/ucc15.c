/* Timetables against published ones, of mVM (Kherbache et al., UCC 2015): the random instances (four
 * hosts, two of them on 500 Mbit/s and two on 1 Gbit/s, ten VMs, all of which move), and a data centre
 * in maintenance (96 VMs from 48 hosts to 24 that boot first, over racks with 10 Gbit/s uplinks).
 *
 *   DATA=/path/to/instances [OUT=/path/for/our/plans] ucc15
 *
 * The judge's rules: a copy lasts as its duration model says, rounded to whole seconds; no link carries
 * more than its rate, in either direction; 16 units of memory a host at every moment. The judge is
 * written anew here. */
#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "scheduler/solve/timetable.h"

enum { HOSTS_MAX = 80, LINKS_MAX = 84, SWITCHES_MAX = 8, MOVES_MAX = 128, HOPS_MAX = 4 };
enum { ROOM = 16, INSTANCES_MAX = 99 };
#define SEC_US INT64_C(1000000)

struct instance {
    json_t *root;
    int n, n_hosts, n_links;
    struct tt_move moves[MOVES_MAX];
    int action[MOVES_MAX]; /* of the file */
    int paths[MOVES_MAX][HOPS_MAX];
    int64_t free[HOSTS_MAX];
    int mbit[LINKS_MAX]; /* per link; a link is two: 2i up from the host, 2i + 1 down */
    struct tt_link links[2 * LINKS_MAX];
    int host_link[HOSTS_MAX], host_switch[HOSTS_MAX], uplink[SWITCHES_MAX];
    int64_t published_s;
};

static int64_t number(const json_t *o, const char *key)
{
    return (int64_t)json_number_value(json_object_get(o, key));
}

static json_t *view_of(const json_t *origin, const char *key, const char *name)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(origin, "views"), i, v)
    {
        const char *is = json_string_value(json_object_get(v, key));
        if (is && strcmp(is, name) == 0)
            return v;
    }
    return NULL;
}

/* Mbit/s as the model counts them: nine bits a byte. */
static int64_t rate(int64_t mbit)
{
    return mbit * 1000000 / 9;
}

static int add_link(struct instance *x, int mbit)
{
    int i = x->n_links++;
    assert(i < LINKS_MAX);
    x->mbit[i] = mbit;
    x->links[2 * i].Bps = x->links[2 * i + 1].Bps = rate(mbit);
    return i;
}

/* A star of switches, or four hosts of which the file says nothing. */
static void read_net(struct instance *x, const json_t *net)
{
    static const int unsaid[] = {500, 500, 1000, 1000};
    size_t i;
    json_t *l;
    for (x->n_hosts = 0; !net && x->n_hosts < 4; x->n_hosts++)
        x->host_link[x->n_hosts] = add_link(x, unsaid[x->n_hosts]);
    json_array_foreach(json_object_get(net, "links"), i, l)
    {
        const json_t *end = json_object_get(l, "physicalElement");
        int id = (int)number(end, "id"), link = add_link(x, (int)number(l, "capacity"));
        if (strcmp(json_string_value(json_object_get(end, "type")), "node") != 0) {
            assert(id < SWITCHES_MAX);
            x->uplink[id] = link;
            continue;
        }
        assert(id < HOSTS_MAX);
        x->host_link[id] = link;
        x->host_switch[id] = (int)number(l, "switch");
        x->n_hosts += id >= x->n_hosts ? id + 1 - x->n_hosts : 0;
    }
}

static int path(const struct instance *x, int from, int to, int *ret)
{
    int n = 0, a = x->host_switch[from], b = x->host_switch[to];
    ret[n++] = 2 * x->host_link[from];
    if (a != b) {
        ret[n++] = 2 * x->uplink[a];
        ret[n++] = 2 * x->uplink[b] + 1;
    }
    ret[n++] = 2 * x->host_link[to] + 1;
    return n;
}

static int64_t boots_until_us(const struct instance *x, int host)
{
    size_t i;
    json_t *a;
    json_array_foreach(json_object_get(x->root, "actions"), i,
                       a) if (strcmp(json_string_value(json_object_get(a, "id")), "bootNode") ==
                                  0 &&
                              number(a, "node") == host) return number(a, "end") *
        SEC_US;
    return 0;
}

static void read_move(struct instance *x, int action, const json_t *a, const json_t *vms,
                      const json_t *sizes)
{
    char vm[16];
    snprintf(vm, sizeof(vm), "%d", (int)number(a, "vm"));
    const json_t *v = json_object_get(vms, vm);
    int from = (int)number(a, "from"), to = (int)number(a, "to"), *links = x->paths[x->n];
    x->action[x->n] = action;
    x->moves[x->n] = (struct tt_move){
        .copy = {.mem_bytes = number(v, "memUsed") * 1000000,
                 .dirty_Bps = (int64_t)(json_number_value(json_object_get(v, "dirtyRate")) * 1e6),
                 .hot_bytes = number(v, "maxDirtySize") * 1000000,
                 .hot_us = number(v, "maxDirtyDuration") * SEC_US},
        .earliest_us = boots_until_us(x, to),
        .links = links,
        .n_links = path(x, from, to, links),
        .from = from,
        .to = to,
        .size = number(sizes, vm)};
    x->n++;
    if (number(a, "end") > x->published_s)
        x->published_s = number(a, "end");
}

static bool instance_read(struct instance *x, const char *file)
{
    *x = (struct instance){.root = json_load_file(file, 0, NULL)};
    if (!x->root)
        return false;
    const json_t *origin = json_object_get(x->root, "origin");
    const json_t *sizes = json_object_get(view_of(origin, "rcId", "mem"), "vms");
    json_t *vms = json_object_get(json_object_get(origin, "attributes"), "vms");
    json_t *online = json_object_get(json_object_get(origin, "mapping"), "onlineNodes"), *v;
    size_t i;
    read_net(x, view_of(origin, "id", "net"));
    json_array_foreach(json_object_get(x->root, "actions"), i,
                       v) if (strcmp(json_string_value(json_object_get(v, "id")), "migrateVM") == 0)
        read_move(x, (int)i, v, vms, sizes);
    for (int h = 0; h < x->n_hosts; h++) {
        char name[16], vm[16];
        snprintf(name, sizeof(name), "%d", h);
        x->free[h] = ROOM;
        json_array_foreach(json_object_get(json_object_get(online, name), "runningVMs"), i, v)
        {
            snprintf(vm, sizeof(vm), "%d", (int)json_integer_value(v));
            x->free[h] -= number(sizes, vm);
        }
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
    double used[2 * LINKS_MAX] = {0};
    int64_t room[HOSTS_MAX];
    bool holds = true;
    memcpy(room, x->free, sizeof(room));
    for (int i = 0; i < x->n; i++) {
        const struct tt_turn *turn = &t->turns[i];
        bool runs = turn->start_us <= us && us < turn->end_us;
        for (int k = 0; k < x->moves[i].n_links && runs; k++)
            used[x->paths[i][k]] += mbit_of(turn);
        room[x->moves[i].to] -= turn->start_us <= us ? x->moves[i].size : 0;
        room[x->moves[i].from] += turn->end_us <= us ? x->moves[i].size : 0;
    }
    for (int h = 0; h < x->n_hosts; h++)
        holds &= room[h] >= 0;
    for (int l = 0; l < 2 * x->n_links; l++)
        holds &= used[l] < x->mbit[l / 2] + .01;
    return holds;
}

static bool judged(const struct instance *x, const struct timetable *t)
{
    for (int i = 0; i < x->n; i++) {
        const struct tt_turn *turn = &t->turns[i];
        double s = rint(duration_s(&x->moves[i].copy, mbit_of(turn)));
        if (turn->start_us < x->moves[i].earliest_us || turn->start_us % SEC_US ||
            turn->end_us - turn->start_us != (int64_t)s * SEC_US || !holds_at(x, t, turn->start_us))
            return false;
    }
    return true;
}

static double bound_s(const struct instance *x)
{
    double load[2 * LINKS_MAX] = {0}, first[2 * LINKS_MAX], most = 0;
    for (int l = 0; l < 2 * LINKS_MAX; l++)
        first[l] = INFINITY;
    for (int i = 0; i < x->n; i++) {
        int best = INT32_MAX;
        for (int k = 0; k < x->moves[i].n_links; k++)
            best = x->mbit[x->paths[i][k] / 2] < best ? x->mbit[x->paths[i][k] / 2] : best;
        double work = rint(duration_s(&x->moves[i].copy, best)) * best;
        for (int k = 0; k < x->moves[i].n_links; k++) {
            int l = x->paths[i][k];
            load[l] += work / x->mbit[l / 2];
            first[l] = fmin(first[l], (double)x->moves[i].earliest_us / 1e6);
        }
    }
    for (int l = 0; l < 2 * x->n_links; l++)
        most = fmax(most, load[l] > 0 ? first[l] + load[l] : 0);
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
    int64_t total_us;
};

static bool one(const char *data, const char *name, struct sums *sums)
{
    struct instance x;
    cleanup(freep) char *file = xasprintf("%s/ucc15/%s", data, name);
    if (!instance_read(&x, file))
        return false;
    struct tt_problem p = {.moves = x.moves,
                           .n_moves = x.n,
                           .links = x.links,
                           .n_links = 2 * x.n_links,
                           .rooms = x.free,
                           .n_rooms = x.n_hosts,
                           .grain_us = SEC_US,
                           .pause_limit_us = 30000};
    struct timetable list, ours;
    timetable_list(&p, &list);
    int64_t begin = clock_mono_us();
    timetable_make(&p, &(struct solve_limits){.seed = 1, .steps = 1000000}, &ours);
    int64_t took = clock_mono_us() - begin;
    bool ok = judged(&x, &ours);
    double bound = bound_s(&x), list_s = (double)list.makespan_us / 1e6,
           ours_s = (double)ours.makespan_us / 1e6;
    printf("%-24s %6.1f %6lld %6.0f %6.0f %7.3f %s\n", name, bound, (long long)x.published_s,
           list_s, ours_s, ours_s / bound, ok ? "valid" : "NOT VALID");
    write_plan(&x, &ours, name);
    sums->n++;
    sums->valid += ok;
    sums->mvm += (double)x.published_s / bound;
    sums->list += list_s / bound;
    sums->ours += ours_s / bound;
    sums->total_us += took;
    timetable_done(&list);
    timetable_done(&ours);
    json_decref(x.root);
    return true;
}

int main(void)
{
    const char *data = getenv("DATA");
    struct sums s = {0}, large = {0};
    if (!data || !*data) {
        puts("SKIPPED: DATA= names no folder with ucc15/random_random.*.json");
        return 0;
    }
    printf("%-24s %6s %6s %6s %6s %7s\n", "INSTANCE", "BOUND", "MVM", "LIST", "OURS", "RATIO");
    for (int i = 1; i <= INSTANCES_MAX; i++) {
        char name[64];
        snprintf(name, sizeof(name), "random_random.%d.json", i);
        one(data, name, &s);
    }
    one(data, "energy_mVM.json", &large);
    if (!s.n) {
        printf("SKIPPED: no instance in %s/ucc15\n", data);
        return 0;
    }
    printf("bench: ucc15_instances %d of which valid %d\n", s.n, s.valid);
    printf("bench: ucc15_mvm_ratio %.3f ratio\n", s.mvm / s.n);
    printf("bench: ucc15_list_ratio %.3f ratio\n", s.list / s.n);
    printf("bench: ucc15_time %lld us\n", (long long)(s.total_us / s.n));
    if (large.n)
        printf("bench: ucc15_maintenance_ratio %.4f ratio\n", large.ours);
    printf("bench: ucc15_makespan_ratio %.4f ratio\n", s.ours / s.n);
    return s.valid == s.n && large.valid == large.n ? 0 : 1;
}
