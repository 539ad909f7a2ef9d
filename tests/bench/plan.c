/* How long the planner takes: drain of 1 of 100 hosts with 2000 VMs, and of 1 of 1000 with 20000.
 * Prints "bench: NAME VALUE UNIT". */
#include <stdio.h>

#include "lib/base/clock.h"
#include "tests/unit/fleet.h"

static void bench(size_t hosts, size_t vms, int64_t mem_gib, const char *name)
{
    struct test_fleet f;
    struct plan p;
    uint64_t rnd = 11;
    fleet_init(&f, hosts, mem_gib, vms);
    for (size_t i = 0; i < vms; i++) {
        char text[32];
        snprintf(text, sizeof(text), "g%zu-%zu", i % (vms / 5), i);
        fleet_vm(&f, text, (int)(i % hosts), 1 + test_rand(&rnd) % 8);
    }
    for (size_t i = 0; i < 10; i++) {
        char rule[16], pattern[16];
        snprintf(rule, sizeof(rule), "r%zu", i);
        snprintf(pattern, sizeof(pattern), "g%zu-*", i);
        fleet_rule(&f, rule, RULE_ANTI_AFFINITY, pattern, NULL);
    }
    f.p.capacity.vcpu_overcommit_ppm = 100000000;
    fleet_drain(&f, 0);
    int64_t start = clock_mono_us();
    plan_make(&f.s, &f.p, &f.r, 1, &p);
    int64_t took = clock_mono_us() - start;
    bool holds = plan_verify(&f.s, &f.p, &f.r, &p, NULL);
    printf("bench: %s %lld us\n", name, (long long)took);
    printf("bench: %s_moves %zu of %zu\n", name, p.n_moves, f.r.n_vms);
    printf("bench: %s_verified %d bool\n", name, holds);
    start = clock_mono_us();
    for (int i = 0; i < 20; i++)
        plan_allows(&f.s, &f.p, f.asked[0], 1 + i, NULL);
    printf("bench: %s_revalidate %lld us\n", name, (long long)(clock_mono_us() - start) / 20);
    plan_done(&p);
    fleet_done(&f);
}

int main(void)
{
    bench(100, 2000, 128, "plan_drain_100x2000");
    bench(100, 2000, 80, "plan_drain_100x2000_tight");
    bench(100, 2000, 75, "plan_drain_100x2000_impossible");
    bench(1000, 20000, 128, "plan_drain_1000x20000");
    return 0;
}
