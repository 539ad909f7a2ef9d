/* How the planner's cost grows: 100 to 10,000 hosts with 20 VMs each (planfleet.h). The index is made once for a snapshot and a policy; the
 * times of plans are without it. All times are CPU time.
 *   build/plain/bench/plan [HOSTS...]
 * Prints a table, then "bench: NAME VALUE UNIT". */
#include <sys/resource.h>

#include "scheduler/plan/rest.h"
#include "tests/bench/planfleet.h"

enum { REPEATS = 5 };

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
    ask_balance(f, hosts);
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

/* What a scheduled balance does at each look, of hosts none of which is too busy; of `unknown` percent of
 * the VMs nothing was ever measured. */
static void look(struct test_fleet *f, size_t hosts, size_t unknown)
{
    static const struct cpu_figures vm = {300, 300, 300, 300, 400, 300, -1, -1},
                                    host = {8000, 8000, 8000, 8000, 9000, 8000, -1, -1},
                                    other = {200, 200, 200, 200, 200, 200, -1, -1};
    const struct plan_request req = {.goal = GOAL_RELIEVE, .purpose = PURPOSE_BALANCE};
    struct plan_rest now;
    f->p.balance.busy_ppm = 800000;
    struct plan_index *names = plan_index_new(&f->s, &f->p);
    for (size_t h = 0; h < hosts; h++) {
        f->s.hosts[h].cpu = &host;
        f->s.hosts[h].other = &other;
    }
    for (size_t i = 0; i < f->s.n_vms; i++)
        f->s.vms[i].cpu = i % 100 < unknown ? NULL : &vm;
    int64_t start = cpu_us();
    struct plan_index *x = plan_index_again(names, &f->s);
    plan_rest(x, &req, NULL, 0, &now);
    double ms = (double)(cpu_us() - start) / 1e3;
    plan_rest_done(&now);
    plan_index_free(x);
    plan_index_free(names);
    printf("%7zu hosts  look        %8.1f ms  %zu %% of the VMs never measured\n", hosts, ms,
           unknown);
    printf("bench: plan_look_%s_%zu_unknown_ms %.1f ms\n", short_number(hosts), unknown, ms);
    for (size_t h = 0; h < hosts; h++)
        f->s.hosts[h].cpu = f->s.hosts[h].other = NULL;
    for (size_t i = 0; i < f->s.n_vms; i++)
        f->s.vms[i].cpu = NULL;
    f->p.balance.busy_ppm = 0;
}

int main(int argc, char **argv)
{
    static const char *all[] = {"100", "300", "1000", "3000", "10000"};
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
        look(&f, hosts, 0);
        look(&f, hosts, 90);
        balance(&f, hosts);
        getrusage(RUSAGE_SELF, &use);
        printf("bench: plan_rss_%s_mb %.0f MB\n", short_number(hosts),
               (double)use.ru_maxrss / 1024);
        fleet_done(&f);
    }
    return 0;
}
