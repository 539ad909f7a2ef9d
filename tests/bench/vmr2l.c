/* Rescheduling of VMs under a limit of migrations (the VMR2L snapshots of ByteDance's clusters): as few
 * cores as possible that are free in pieces of less than 16 on a NUMA cell.
 *
 *   vmr2l DATA STEPS
 *
 * DATA/vmr2l has the snapshots and score_fr.py, which judges each plan: it replays the moves in their
 * order from the snapshot and knows nothing of the engine. Prints a table beside the proven optima
 * (which ignore the order) and the greedy search published with the data, and "bench: NAME VALUE
 * UNIT". Seconds are of one core, so that other work on the machine does not count. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/mem.h"
#include "scheduler/solve/few.h"
#include "tests/bench/bench.h"

enum { CPU0, MEM0, CPU1, MEM1, N_RES, BOTH = 2, BLOCK = 16 };

static const struct known {
    const char *name, *file;
    int max_moves;
    double greedy, bound; /* fragment rates; bound: proven, order ignored; 0 none is known */
} known[] = {
    {"medium", "medium_reset_vm_pm_id_clear2.json", 10, .8508, .8508},
    {"medium", "medium_reset_vm_pm_id_clear2.json", 25, .8049, .7245},
    {"medium", "medium_reset_vm_pm_id_clear2.json", 50, .8049, .5753},
    {"medium", "medium_reset_vm_pm_id_clear2.json", 100, .8049, .2884},
    {"large", "large_reset_vm_pm_id_clear_big2.json", 25, .5866, 0},
    {"large", "large_reset_vm_pm_id_clear_big2.json", 50, .5866, .5491},
    {"large", "large_reset_vm_pm_id_clear_big2.json", 100, .5866, .5474},
    {"large", "large_reset_vm_pm_id_clear_big2.json", 200, .5866, .5423},
};

enum { N_KNOWN = sizeof(known) / sizeof(*known) };

/* ---- reading ----------------------------------------------------------------------------------- */

struct fleet {
    struct problem p;
    json_t *doc;
    json_t **host, **vm;
    size_t n_hosts, n_vms;
    int64_t *cap, *size;
    int *home, *rack, *domain, *start, *of;
    int n_domains[2];
    uint8_t *at, *variants;
    struct solve_group *groups;
    struct solve_term terms[2];
};

static const char *text(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static int64_t number(const json_t *o, const char *key)
{
    return (int64_t)json_number_value(json_object_get(o, key));
}

static int find_id(json_t **list, size_t n, const char *key, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(text(list[i], key), id))
            return (int)i;
    return -1;
}

static void read_lists(struct fleet *f)
{
    json_t *cluster, *x;
    size_t i, k;
    json_array_foreach(json_object_get(f->doc, "cluster_list"), i, cluster)
    {
        json_array_foreach(json_object_get(cluster, "host_info"), k,
                           x) if (!strcmp(text(x, "status"), "ACTIVE")) *
            vec_add(&f->host, &f->n_hosts) = x;
        json_array_foreach(json_object_get(cluster, "vm_instance"), k, x) *
            vec_add(&f->vm, &f->n_vms) = x;
    }
}

static bool read_vm(struct fleet *f, size_t i)
{
    const json_t *numa = json_object_get(f->vm[i], "numa"), *part = json_array_get(numa, 0);
    bool both = json_array_size(numa) == 2;
    int64_t cpu = number(part, "cpu"), mem = number(part, "mem_mb");
    int64_t *size = &f->size[i * 3 * N_RES];
    size[0 * N_RES + CPU0] = size[1 * N_RES + CPU1] = size[BOTH * N_RES + CPU0] =
        size[BOTH * N_RES + CPU1] = cpu;
    size[0 * N_RES + MEM0] = size[1 * N_RES + MEM1] = size[BOTH * N_RES + MEM0] =
        size[BOTH * N_RES + MEM1] = mem;
    f->home[i] = find_id(f->host, f->n_hosts, "node_id", text(f->vm[i], "host_id"));
    f->at[i] = both ? BOTH : (uint8_t)number(part, "node");
    f->variants[i] = both ? 1 << BOTH : 3;
    return f->home[i] >= 0;
}

/* VMs of inactive hosts stay where they are and count nowhere. */
static void drop_strangers(struct fleet *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n_vms; i++)
        if (find_id(f->host, f->n_hosts, "node_id", text(f->vm[i], "host_id")) >= 0)
            f->vm[kept++] = f->vm[i];
    f->n_vms = kept;
}

static void read_sets(struct fleet *f)
{
    json_t *cluster, *set;
    size_t i, k, n_groups = 0, n_sets = 0, n_of = 0;
    f->start = xcalloc(f->n_vms + 1, sizeof(*f->start));
    cleanup(freep) json_t **sets = NULL;
    json_array_foreach(json_object_get(f->doc, "cluster_list"), i, cluster) json_array_foreach(
        json_object_get(json_object_get(cluster, "other_requirement"), "deployment_set"), k, set)
    {
        *vec_add(&sets, &n_sets) = set;
        *vec_add(&f->groups, &n_groups) =
            (struct solve_group){.kind = GROUP_APART,
                                 .level = strcmp(text(set, "granularity"), "rack") == 0,
                                 .limit = 1,
                                 .tier = TIER_HARD,
                                 .weight = 1};
    }
    for (i = 0; i < f->n_vms; i++) {
        for (k = 0; k < n_groups; k++) {
            size_t j;
            json_t *id;
            json_array_foreach(
                json_object_get(sets[k], "data"), j,
                id) if (!strcmp(json_string_value(id), text(f->vm[i], "instance_id"))) *
                vec_add(&f->of, &n_of) = (int)k;
        }
        f->start[i + 1] = (int)n_of;
    }
    f->p.n_groups = (int)n_groups;
}

static void read_hosts(struct fleet *f)
{
    for (size_t m = 0; m < f->n_hosts; m++) {
        const json_t *numa = json_object_get(f->host[m], "numa");
        for (size_t k = 0; k < 2; k++) {
            const json_t *cell = json_array_get(numa, k);
            size_t node = (size_t)number(cell, "node");
            f->cap[m * N_RES + 2 * node] = number(cell, "total_cpu");
            f->cap[m * N_RES + 2 * node + 1] = number(cell, "memory_huge_total_mb");
        }
        f->domain[m] = (int)m;
        int rack = (int)number(f->host[m], "rack_id");
        f->domain[f->n_hosts + m] = rack;
        f->n_domains[1] = rack >= f->n_domains[1] ? rack + 1 : f->n_domains[1];
    }
    f->n_domains[0] = (int)f->n_hosts;
}

static bool fleet_read(struct fleet *f, const char *data, const char *file)
{
    char path[PATH_MAX];
    json_error_t e;
    *f = (struct fleet){0};
    snprintf(path, sizeof(path), "%s/vmr2l/%s", data, file);
    f->doc = json_load_file(path, 0, &e);
    if (!f->doc) {
        printf("%s: %s\n", path, e.text);
        return false;
    }
    read_lists(f);
    drop_strangers(f);
    f->cap = xcalloc(f->n_hosts * N_RES, sizeof(*f->cap));
    f->domain = xcalloc(2 * f->n_hosts, sizeof(*f->domain));
    f->size = xcalloc(f->n_vms * 3 * N_RES, sizeof(*f->size));
    f->home = xcalloc(f->n_vms, sizeof(*f->home));
    f->at = xcalloc(f->n_vms, 1);
    f->variants = xcalloc(f->n_vms, 1);
    read_hosts(f);
    for (size_t i = 0; i < f->n_vms; i++)
        if (!read_vm(f, i))
            return false;
    read_sets(f);
    for (int k = 0; k < 2; k++)
        f->terms[k] = (struct solve_term){.kind = TERM_BLOCKS,
                                          .tier = TIER_COST,
                                          .res = k ? CPU1 : CPU0,
                                          .weight = 1,
                                          .block = BLOCK};
    struct problem *p = &f->p;
    p->n_items = (int)f->n_vms;
    p->n_machines = (int)f->n_hosts;
    p->n_res = N_RES;
    p->n_variants = 3;
    p->size = f->size;
    p->home = f->home;
    p->home_variant = f->at;
    p->variants = f->variants;
    p->cap = f->cap;
    p->n_levels = 2;
    p->domain = f->domain;
    p->n_domains = f->n_domains;
    p->groups = f->groups;
    p->group_start = f->start;
    p->group_of = f->of;
    p->terms = f->terms;
    p->n_terms = 2;
    return true;
}

static void fleet_done(struct fleet *f)
{
    json_decref(f->doc);
    free(f->host);
    free(f->vm);
    free(f->cap);
    free(f->size);
    free(f->home);
    free(f->domain);
    free(f->start);
    free(f->of);
    free(f->at);
    free(f->variants);
    free(f->groups);
}

/* ---- judging ----------------------------------------------------------------------------------- */

static void write_plan(const struct fleet *f, const struct solve_order *o, FILE *out)
{
    fprintf(out, "[");
    for (int k = 0; k < o->n_steps; k++) {
        const struct solve_step *q = &o->steps[k];
        fprintf(out, "%s[\"%s\", \"%s\", [%s]]", k ? ", " : "", text(f->vm[q->item], "instance_id"),
                text(f->host[q->to], "node_id"),
                q->variant == BOTH ? "0, 1"
                : q->variant       ? "1"
                                   : "0");
    }
    fprintf(out, "]\n");
}

/* The fragment rate that score_fr.py gives the plan; −1: it does not accept it. */
static double judged(const char *data, const struct known *k, const struct fleet *f,
                     const struct solve_order *o)
{
    char file[] = "/tmp/vmr2l-XXXXXX", line[512];
    int fd = mkstemp(file);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out)
        return -1;
    write_plan(f, o, out);
    fclose(out);
    cleanup(freep) char *judge = xasprintf("%s/vmr2l/score_fr.py", data);
    cleanup(freep) char *fleet = xasprintf("%s/vmr2l/%s", data, k->file);
    cleanup(freep) char *most = xasprintf("%d", k->max_moves);
    pid_t pid;
    FILE *in = bench_ask((const char *const[]){"python3", judge, fleet, file, most, NULL}, &pid);
    double rate = -1;
    while (in && fgets(line, sizeof(line), in))
        if (strncmp(line, "after ", 6) == 0)
            rate = strtod(strstr(line, "FR ") + 3, NULL);
    if (in)
        bench_asked(in, pid);
    unlink(file);
    return rate;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool bench(const char *data, const struct known *k, int64_t steps, double *ret_rate,
                  double *ret_seconds)
{
    struct fleet f;
    struct solve_state s;
    struct solve_order o;
    if (!fleet_read(&f, data, k->file))
        return false;
    f.p.max_moves = k->max_moves;
    double start = cpu_seconds();
    solve_init(&s, &f.p);
    solve_few(&s, &(struct solve_limits){.seed = 1, .steps = steps}, &o);
    double seconds = cpu_seconds() - start, rate = judged(data, k, &f, &o);
    printf("| %s | %d | %.4f | %.4f | %.4f | %d | %d | %.2f |%s\n", k->name, k->max_moves,
           k->greedy, k->bound, rate, o.n_steps, (int)-s.score.tier[TIER_COST], seconds,
           rate < 0 ? " WRONG" : "");
    fflush(stdout);
    *ret_rate = rate;
    *ret_seconds = seconds;
    solve_order_done(&o);
    solve_done(&s);
    fleet_done(&f);
    return rate >= 0;
}

int main(int argc, char **argv)
{
    double rate[N_KNOWN], seconds[N_KNOWN];
    bool right = true;
    if (argc < 3 || !*argv[1]) {
        printf("bench-vmr2l: SKIPPED, no instances: say DATA=FOLDER (one that has vmr2l)\n");
        return 0;
    }
    int64_t steps = bench_int("STEPS", argv[2], 1, INT64_MAX);
    printf("| fleet | moves allowed | published greedy | bound | rate | moves | blocks | s |\n"
           "|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < N_KNOWN; i++)
        right = bench(argv[1], &known[i], steps, &rate[i], &seconds[i]) && right;
    for (size_t i = 0; i < N_KNOWN && right; i++)
        printf("bench: vmr2l_%s_mnl%d_fr %.4f ratio\nbench: vmr2l_%s_mnl%d_s %.2f s\n",
               known[i].name, known[i].max_moves, rate[i], known[i].name, known[i].max_moves,
               seconds[i]);
    return right ? 0 : 1;
}
