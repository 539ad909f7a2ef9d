/* How the planner's cost grows: 100, 1,000 and 10,000 hosts with 20 VMs each; mixed sizes, 500
 * anti-affinity groups, 3 zones of 10 racks. The index is made once for a snapshot and a policy; the
 * times of plans are without it. All times are CPU time.
 *   build/plain/bench/plan [HOSTS...]
 * Prints a table, then "bench: NAME VALUE UNIT". */
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "lib/base/rng.h"
#include "tests/unit/fleet.h"

enum { VMS_PER_HOST = 20, GROUPS = 500, REPEATS = 5 };

static void label(struct vm *v, const char *key, char *value)
{
    struct label *l = vec_add(&v->labels, &v->n_labels);
    l->key = xstrdup(key);
    l->value = value;
}

static void make_fleet(struct test_fleet *f, size_t hosts)
{
    static const int64_t sizes[] = {1, 1, 2, 2, 2, 4, 4, 8, 8, 16};
    struct rng g;
    rng_init(&g, 7);
    fleet_init(f, hosts, 240, hosts * VMS_PER_HOST);
    f->p.capacity.vcpu_overcommit_ppm = 8000000;
    for (size_t h = 0; h < hosts; h++) {
        f->hosts[h].zone = xasprintf("z%zu", h % 3);
        f->hosts[h].rack = xasprintf("r%zu", h / 3 % 10);
        f->hosts[h].cpus = 32;
    }
    for (size_t i = 0; i < hosts * VMS_PER_HOST; i++) {
        char name[32];
        snprintf(name, sizeof(name), "vm-%zu", i);
        /* one host in five runs hot: there is something to balance */
        size_t h = rng_below(&g, 5) ? rng_below(&g, hosts) : rng_below(&g, hosts / 5 + 1);
        struct vm *v = fleet_vm(f, name, (int)h, sizes[rng_below(&g, 10)]);
        v->vcpus = 1 + (int64_t)rng_below(&g, 4);
        label(v, "env", xstrdup("prod"));
        if (i < GROUPS * 4)
            label(v, "app", xasprintf("app-%zu", i % GROUPS));
    }
    for (int k = 0; k < GROUPS; k++) {
        char name[32];
        snprintf(name, sizeof(name), "apart-%d", k);
        struct rule *r = fleet_rule(f, name, RULE_ANTI_AFFINITY, NULL, NULL);
        struct label *l = vec_add(&r->vms.labels, &r->vms.n_labels);
        l->key = xstrdup("app");
        l->value = xasprintf("app-%d", k);
    }
}

/* CPU time of this one thread: what a quiet machine's clock would show. */
static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Median of several plans, µs. */
static int64_t time_plan(struct test_fleet *f, int repeats, struct plan *ret)
{
    int64_t took[REPEATS];
    struct plan_index *x = plan_index_new(&f->s, &f->p);
    for (int i = 0; i < repeats; i++) {
        if (i)
            plan_done(ret);
        int64_t start = cpu_us();
        plan_make_from(x, &f->r, 1, ret);
        took[i] = cpu_us() - start;
    }
    plan_index_free(x);
    qsort(took, (size_t)repeats, sizeof(*took), by_number);
    return took[repeats / 2];
}

/* "100", "1k", "10k". */
static const char *short_number(size_t n)
{
    static char text[24];
    snprintf(text, sizeof(text), n % 1000 ? "%zu" : "%zuk", n % 1000 ? n : n / 1000);
    return text;
}

static void index_fleet(struct test_fleet *f, size_t hosts)
{
    int64_t start = cpu_us();
    plan_index_free(plan_index_new(&f->s, &f->p));
    double ms = (double)(cpu_us() - start) / 1e3;
    printf("%7zu hosts  index       %8.1f ms\n", hosts, ms);
    printf("bench: plan_index_%s_ms %.1f ms\n", short_number(hosts), ms);
}

static void balance(struct test_fleet *f, size_t hosts)
{
    struct plan p;
    f->r = (struct plan_request){
        .goal = GOAL_BALANCE, .purpose = PURPOSE_BALANCE, .max_moves = (int64_t)hosts * 10};
    f->p.balance.imbalance_ppm = 50000;
    int64_t took = time_plan(f, 1, &p);
    printf("%7zu hosts  balance     %8.1f ms  %5zu moves  memory %.1f..%.1f %% sd %.2f -> "
           "%.1f..%.1f %% sd %.2f\n",
           hosts, (double)took / 1e3, p.n_moves, (double)p.before.min_ppm / 1e4,
           (double)p.before.max_ppm / 1e4, (double)p.before.deviation_ppm / 1e4,
           (double)p.after.min_ppm / 1e4, (double)p.after.max_ppm / 1e4,
           (double)p.after.deviation_ppm / 1e4);
    /* equal hosts: no placement is better than an even one, whose sum of squares is n · mean² */
    double off = (double)p.after.deviation_ppm / (double)p.after.mean_ppm;
    printf("bench: plan_balance_%s_vs_even %.5f ratio\n", short_number(hosts), 1 + off * off);
    printf("bench: plan_balance_%s_s %.2f s\n", short_number(hosts), (double)took / 1e6);
    plan_done(&p);
}

static void drain(struct test_fleet *f, size_t hosts, size_t n)
{
    struct plan p;
    f->n_asked = 0;
    for (size_t h = 0; h < n; h++) {
        f->s.hosts[h * hosts / n].state = HOST_DRAINING;
        fleet_drain(f, (int)(h * hosts / n));
    }
    int64_t took = time_plan(f, REPEATS, &p);
    printf("%7zu hosts  drain %3zu  %8.1f ms  %5zu moves  %3zu stay\n", hosts, n,
           (double)took / 1e3, p.n_moves, p.n_stays);
    int64_t start = cpu_us();
    bool holds = plan_verify(&f->s, &f->p, &f->r, &p, NULL);
    printf("%7zu hosts  its replay  %8.1f ms  %s\n", hosts, (double)(cpu_us() - start) / 1e3,
           holds ? "accepted" : "REFUSED");
    if (n == 1)
        printf("bench: plan_drain_%s_ms %.1f ms\n", short_number(hosts), (double)took / 1e3);
    else
        printf("bench: plan_drain_%zu_of_%s_ms %.1f ms\n", n, short_number(hosts),
               (double)took / 1e3);
    for (size_t h = 0; h < hosts; h++)
        f->s.hosts[h].state = HOST_UP;
    plan_done(&p);
}

int main(int argc, char **argv)
{
    static const char *all[] = {"100", "1000", "10000"};
    const char *const *list = argc > 1 ? (const char *const *)argv + 1 : all;
    for (size_t i = 0; i < (argc > 1 ? (size_t)argc - 1 : ARRAY_LEN(all)); i++) {
        struct test_fleet f;
        struct rusage use;
        size_t hosts = strtoul(list[i], NULL, 10);
        make_fleet(&f, hosts);
        index_fleet(&f, hosts);
        drain(&f, hosts, 1);
        if (hosts >= 200)
            drain(&f, hosts, hosts / 100);
        balance(&f, hosts);
        getrusage(RUSAGE_SELF, &use);
        printf("bench: plan_rss_%s_mb %.0f MB\n", short_number(hosts),
               (double)use.ru_maxrss / 1024);
        fleet_done(&f);
    }
    return 0;
}
