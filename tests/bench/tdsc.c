/* Repairs the placements of the BtrPlace workloads (TDSC'13) with few moves: servers that go offline
 * (nr), load that grew (li), with and without spread and among constraints.
 *
 *   tdsc DATA
 *
 * DATA/tdsc has the instances and check.py, which judges each placement: it reads the files anew and
 * knows nothing of the engine. Prints a table and "bench: NAME VALUE UNIT". */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "scheduler/solve/place.h"
#include "tests/bench/bench.h"

enum { RES = 2, MAX_VMS = 1 << 16, MAX_NODES = 1 << 14 };

/* Everything by the numbers of the file; −1 or 0 where there is nothing. */
struct workload {
    int n_nodes, n_vms; /* highest number + 1 */
    int node_of[MAX_VMS];
    bool runs[MAX_VMS], online[MAX_NODES], starts[MAX_NODES], ends[MAX_NODES];
    int64_t use[MAX_VMS][RES], cap[MAX_NODES][RES];
    int part[MAX_NODES]; /* of the one partition that all among constraints have */
    json_t *constraints;
    int item[MAX_VMS], vm[MAX_VMS]; /* to item and back */
};

static void die(const char *what, const char *name)
{
    fprintf(stderr, "tdsc: %s: %s\n", what, name);
    exit(1);
}

static int number(const char *s)
{
    return (int)strtol(s, NULL, 10);
}

static json_t *load(const char *path)
{
    pid_t pid;
    FILE *f = bench_ask((const char *const[]){"gzip", "-dc", path, NULL}, &pid);
    json_error_t e;
    json_t *j = f ? json_loadf(f, 0, &e) : NULL;
    if (!j || !bench_asked(f, pid))
        die("cannot read", path);
    return j;
}

/* ---- reading ----------------------------------------------------------------------------------- */

static void read_resource(struct workload *w, json_t *view, int r)
{
    const char *key;
    json_t *x;
    for (int n = 0; n < w->n_nodes; n++)
        w->cap[n][r] = json_integer_value(json_object_get(view, "defCapacity"));
    for (int v = 0; v < w->n_vms; v++)
        w->use[v][r] = json_integer_value(json_object_get(view, "defConsumption"));
    json_object_foreach(json_object_get(view, "nodes"), key, x) w->cap[number(key)][r] =
        json_integer_value(x);
    json_object_foreach(json_object_get(view, "vms"), key, x) w->use[number(key)][r] =
        json_integer_value(x);
}

static bool is(json_t *x, const char *member, const char *value)
{
    const char *s = json_string_value(json_object_get(x, member));
    return s && !strcmp(s, value);
}

static int int_of(json_t *x, const char *member)
{
    return (int)json_integer_value(json_object_get(x, member));
}

static void note_vm(struct workload *w, int v, int node)
{
    assert(v < MAX_VMS && node < MAX_NODES);
    w->n_vms = v >= w->n_vms ? v + 1 : w->n_vms;
    w->n_nodes = node >= w->n_nodes ? node + 1 : w->n_nodes;
    w->node_of[v] = node;
    w->runs[v] = node >= 0;
}

static void read_mapping(struct workload *w, json_t *mapping)
{
    const char *key;
    json_t *x, *v;
    size_t i;
    json_array_foreach(json_object_get(mapping, "readyVMs"), i, v)
        note_vm(w, (int)json_integer_value(v), -1);
    json_object_foreach(json_object_get(mapping, "onlineNodes"), key, x)
    {
        int n = number(key);
        w->n_nodes = n >= w->n_nodes ? n + 1 : w->n_nodes;
        w->online[n] = true;
        json_array_foreach(json_object_get(x, "runningVMs"), i, v)
            note_vm(w, (int)json_integer_value(v), n);
    }
    json_array_foreach(json_object_get(mapping, "offlineNodes"), i, v)
    {
        int n = (int)json_integer_value(v);
        w->n_nodes = n >= w->n_nodes ? n + 1 : w->n_nodes;
    }
}

static void read_partition(struct workload *w, json_t *among)
{
    json_t *part, *node;
    size_t k, i;
    json_array_foreach(json_object_get(among, "parts"), k, part) json_array_foreach(part, i, node)
    {
        int n = (int)json_integer_value(node);
        if (w->part[n] >= 0 && w->part[n] != (int)k)
            die("more than one partition", "among");
        w->part[n] = (int)k;
    }
}

static void read_workload(struct workload *w, json_t *j)
{
    json_t *model = json_object_get(j, "model"), *x;
    size_t i;
    read_mapping(w, json_object_get(model, "mapping"));
    json_array_foreach(json_object_get(model, "views"), i, x) if (is(x, "id", "shareableResource"))
        read_resource(w, x, is(x, "rcId", "memory") ? 0 : 1);
    memset(w->part, -1, sizeof(w->part));
    w->constraints = json_object_get(j, "constraints");
    json_array_foreach(w->constraints, i, x)
    {
        if (is(x, "id", "online"))
            w->starts[int_of(x, "node")] = true;
        else if (is(x, "id", "offline"))
            w->ends[int_of(x, "node")] = true;
        else if (is(x, "id", "running"))
            w->runs[int_of(x, "vm")] = true;
        else if (is(x, "id", "among"))
            read_partition(w, x);
        else if (is(x, "id", "preserve")) {
            int64_t *use = &w->use[int_of(x, "vm")][is(x, "rc", "memory") ? 0 : 1];
            *use = int_of(x, "amount") > *use ? int_of(x, "amount") : *use;
        } else if (!is(x, "id", "spread"))
            die("unknown constraint", json_string_value(json_object_get(x, "id")));
    }
}

/* ---- the problem ------------------------------------------------------------------------------- */

static bool stays_on(const struct workload *w, int n)
{
    return !w->ends[n] && (w->online[n] || w->starts[n]);
}

static void add_groups(const struct workload *w, struct problem *p)
{
    struct solve_group *groups = xcalloc(json_array_size(w->constraints), sizeof(*groups));
    int *start = xcalloc((size_t)p->n_items + 2, sizeof(*start)), *fill = start + 1;
    json_t *x, *v;
    size_t i, k;
    for (int pass = 0; pass < 2; pass++) { /* count, then fill */
        int *of = pass ? xcalloc((size_t)fill[p->n_items], sizeof(*of)) : NULL;
        p->n_groups = 0;
        json_array_foreach(w->constraints, i, x)
        {
            bool spread = is(x, "id", "spread");
            if (!spread && !is(x, "id", "among"))
                continue;
            groups[p->n_groups] =
                (struct solve_group){.kind = spread ? GROUP_APART : GROUP_TOGETHER,
                                     .level = !spread,
                                     .limit = 1,
                                     .tier = TIER_HARD,
                                     .weight = 1};
            json_array_foreach(json_object_get(x, "vms"), k, v)
            {
                int item = w->item[json_integer_value(v)];
                if (item >= 0 && pass)
                    of[fill[item]++] = p->n_groups;
                else if (item >= 0)
                    fill[item + 1]++;
            }
            p->n_groups++;
        }
        for (int item = 0; !pass && item < p->n_items; item++)
            fill[item + 1] += fill[item];
        p->group_of = of;
    }
    p->groups = groups;
    p->group_start = start;
}

static void add_machines(const struct workload *w, struct problem *p)
{
    size_t n = (size_t)w->n_nodes;
    int64_t *cap = xcalloc(n * RES, sizeof(*cap)), *over = xcalloc(RES, sizeof(*over));
    int *domain = xcalloc(2 * n, sizeof(*domain)), *n_domains = xcalloc(2, sizeof(*n_domains));
    uint64_t *on = xcalloc(n / 64 + 1, sizeof(*on));
    struct solve_set *set = xcalloc(1, sizeof(*set));
    for (size_t m = 0; m < n; m++) {
        for (int r = 0; r < RES; r++)
            cap[m * RES + (size_t)r] = w->cap[m][r];
        domain[m] = (int)m;
        domain[n + m] = w->part[m];
        n_domains[1] = w->part[m] >= n_domains[1] ? w->part[m] + 1 : n_domains[1];
        if (stays_on(w, (int)m))
            on[m / 64] |= UINT64_C(1) << m % 64;
    }
    n_domains[0] = (int)n;
    over[0] = over[1] = 1;
    set->bits = on;
    p->n_machines = (int)n;
    p->n_res = RES;
    p->cap = cap;
    p->over_weight = over;
    p->n_levels = 2;
    p->domain = domain;
    p->n_domains = n_domains;
    p->sets = set;
    p->n_sets = 1;
}

static void build(struct workload *w, struct problem *p)
{
    *p = (struct problem){.n_variants = 1, .max_moves = -1};
    for (int v = 0; v < w->n_vms; v++) {
        w->item[v] = w->runs[v] ? p->n_items : -1;
        if (w->runs[v])
            w->vm[p->n_items++] = v;
    }
    int64_t *size = xcalloc((size_t)p->n_items * RES, sizeof(*size));
    int64_t *cost = xcalloc((size_t)p->n_items, sizeof(*cost));
    int *home = xcalloc((size_t)p->n_items, sizeof(*home));
    int *allow = xcalloc((size_t)p->n_items, sizeof(*allow));
    for (int i = 0; i < p->n_items; i++) {
        home[i] = w->node_of[w->vm[i]];
        cost[i] = 1;
        memcpy(&size[i * RES], w->use[w->vm[i]], RES * sizeof(*size));
    }
    p->size = size;
    p->home = home;
    p->allow = allow;
    p->move_cost = cost;
    add_machines(w, p);
    add_groups(w, p);
}

static void write_placement(const struct workload *w, const struct solve_state *s, const char *path)
{
    json_t *j = json_object();
    for (int i = 0; i < s->p->n_items; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", w->vm[i]);
        if (s->at[i] >= 0)
            json_object_set_new(j, key, json_integer(s->at[i]));
    }
    if (json_dump_file(j, path, JSON_COMPACT))
        die("cannot write", path);
    json_decref(j);
}

/* What check.py says of the placement: "  after: {VIOLATIONS} moved N started M". */
static bool judged_good(const char *data, const char *instance, const char *placement)
{
    cleanup(freep) char *judge = xasprintf("%s/tdsc/check.py", data);
    char line[1024];
    bool good = false;
    pid_t pid;
    FILE *f = bench_ask((const char *const[]){"python3", judge, instance, placement, NULL}, &pid);
    while (f && fgets(line, sizeof(line), f))
        good = good || strstr(line, "after: {} ");
    return f && bench_asked(f, pid) && good;
}

static bool bench(const char *data, const char *name)
{
    static struct workload w;
    cleanup(freep) char *path = xasprintf("%s/tdsc/wkld-tdsc_%s_1.gz", data, name);
    char placement[] = "/tmp/tdsc-XXXXXX";
    struct problem p;
    struct solve_state s;
    json_t *j = load(path);
    memset(&w, 0, sizeof(w));
    read_workload(&w, j);
    build(&w, &p);
    clock_t start = clock(); /* CPU time: one thread, on a machine that may be busy */
    solve_init(&s, &p);
    int64_t before = s.score.tier[TIER_HARD];
    solve_repair(&s, &(struct solve_limits){.steps = INT64_MAX}, true);
    double took_s = (double)(clock() - start) / CLOCKS_PER_SEC;
    int nowhere = 0;
    for (int i = 0; i < p.n_items; i++)
        nowhere += p.home[i] < 0;
    close(mkstemp(placement));
    write_placement(&w, &s, placement);
    bool good = judged_good(data, path, placement);
    unlink(placement);
    printf("%-17s %6d %6d %6lld %6d %6d  %-3s %7.2f\n", name, p.n_machines, p.n_items,
           (long long)before, nowhere, s.n_moved, good ? "0" : "bad", took_s);
    if (!strncmp(name + 3, "r6_p5000_c100", 13)) {
        printf("bench: tdsc_%.2s_r6_c100_s %.3f s\n", name, took_s);
        printf("bench: tdsc_%.2s_r6_c100_moves %d moves\n", name, s.n_moved);
    }
    fflush(stdout);
    solve_done(&s);
    json_decref(j);
    return good;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"nr_r3_p5000_c0",   "nr_r3_p5000_c100", "li_r3_p5000_c0",
                                        "li_r3_p5000_c100", "nr_r6_p5000_c0",   "li_r6_p5000_c0",
                                        "nr_r6_p5000_c100", "li_r6_p5000_c100"};
    bool good = true;
    if (argc < 2 || !*argv[1]) {
        printf("bench-tdsc: SKIPPED, no DATA=FOLDER with tdsc/ in it\n");
        return 0;
    }
    puts("instance          server    vms   hard  start  moves  bad seconds");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        good &= bench(argv[1], names[i]);
    return !good;
}
