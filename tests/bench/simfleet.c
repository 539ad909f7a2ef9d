/* The simulator on a large fleet (planfleet.h): hosts drained in rolling fashion, in virtual time, with
 * everything that it simulates and checks.
 *   build/plain/bench/simfleet HOSTS DRAINS EVERY_S
 * Prints what one virtual hour costs, and the core's share of it, in seconds of CPU. */
#include <sys/resource.h>

#include "scheduler/sim/sim.h"
#include "tests/bench/bench.h"
#include "tests/bench/planfleet.h"

static int64_t core_us, core_steps;

void __real_core_step(struct core *c, const struct core_event *ev, struct core_effects *fx);
void __wrap_core_step(struct core *c, const struct core_event *ev, struct core_effects *fx);
/* --wrap=core_step: the real one, timed. */
void __wrap_core_step(struct core *c, const struct core_event *ev, struct core_effects *fx)
{
    int64_t start = cpu_us();
    __real_core_step(c, ev, fx);
    core_us += cpu_us() - start;
    core_steps++;
}

/* What the agents' checks look at. */
static void dress(struct test_fleet *f)
{
    for (size_t i = 0; i < f->s.n_hosts; i++) {
        struct host *h = &f->hosts[i];
        h->link_bps = INT64_C(10000000000);
        *(char **)vec_add(&h->addresses, &h->n_addresses) =
            xasprintf("10.%zu.%zu.%zu", 1 + i / 62500, i / 250 % 250, i % 250 + 1);
    }
}

static void drain_at(struct sim *s, const char *host, int64_t at_us)
{
    struct err e = {0};
    struct deed d = {.at_us = at_us, .kind = DEED_REQUEST};
    shape_init(&request_shape, &d.request);
    d.request.verb = VERB_DRAIN;
    d.request.host = xstrdup(host);
    d.request.actor = xstrdup("bench");
    d.request.on_blocked = xstrdup("leave");
    if (sim_add(s, &d, &e) < 0) {
        fprintf(stderr, "bench simfleet: %s\n", e.msg);
        exit(2);
    }
    deed_done(&d);
}

int main(int argc, char **argv)
{
    struct test_fleet f;
    if (argc != 4) {
        fprintf(stderr, "usage: %s HOSTS DRAINS EVERY_S\n", argv[0]);
        return 64;
    }
    size_t hosts = (size_t)bench_int("HOSTS", argv[1], 1, 100000),
           drains = (size_t)bench_int("DRAINS", argv[2], 1, 100000);
    int64_t every_us = bench_int("EVERY_S", argv[3], 0, 86400) * SEC, start = cpu_us();
    make_fleet(&f, hosts);
    dress(&f);
    struct sim *s = sim_new(&(struct sim_config){
        .fleet = &f.s, .policy = &f.p, .seed = 1, .times = sim_times_default()});
    int64_t begin_us = 30 * SEC;
    sim_run(s, begin_us);
    int64_t storm_us = cpu_us() - start, before = cpu_us(), core_before = core_us;
    for (size_t i = 0; i < drains; i++)
        drain_at(s, f.hosts[i * hosts / drains].name, begin_us + (int64_t)i * every_us);
    bool rests = sim_settle(s, begin_us + 86400 * SEC);
    double took = (double)(cpu_us() - before) / 1e6, core = (double)(core_us - core_before) / 1e6;
    double hours = (double)(sim_now(s) - begin_us) / 3600e6;
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("%zu hosts: the fleet and its agents' first reports: %.1f s of CPU\n", hosts,
           (double)storm_us / 1e6);
    printf("%zu drains in %.2f virtual hours, %lld events: %.1f s of CPU, %.1f s of it in %lld "
           "steps of "
           "the core%s%s\n",
           drains, hours, (long long)sim_events(s), took, core, (long long)core_steps,
           rests ? "" : "; NOT AT REST", sim_violation(s) ? sim_violation(s) : "");
    printf("bench: sim_hour_%s_cpu_s %.1f s\n", short_number(hosts), took / hours);
    printf("bench: sim_rss_%s_mb %ld MB\n", short_number(hosts), use.ru_maxrss / 1000);
    bool wrong = !rests || sim_violation(s);
    sim_free(s);
    fleet_done(&f);
    return wrong;
}
