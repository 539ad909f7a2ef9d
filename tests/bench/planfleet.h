/* tests/bench/planfleet.h: the fleets of the planner's benches: 20 VMs per host, mixed sizes, a fifth of
 * the hosts much fuller than the rest, 500 anti-affinity groups, 3 zones of 10 racks.
 * Owner   fleet_done releases. */
#pragma once

#include <stdio.h>
#include <time.h>

#include "lib/base/rng.h"
#include "tests/unit/fleet.h"

enum { VMS_PER_HOST = 20, GROUPS = 500 };

static inline void label(struct vm *v, const char *key, char *value)
{
    struct label *l = vec_add(&v->labels, &v->n_labels);
    l->key = xstrdup(key);
    l->value = value;
}

static inline void make_fleet(struct test_fleet *f, size_t hosts)
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
static inline int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* "100", "1k", "10k". */
static inline const char *short_number(size_t n)
{
    static char text[24];
    snprintf(text, sizeof(text), n % 1000 ? "%zu" : "%zuk", n % 1000 ? n : n / 1000);
    return text;
}

/* A balance of up to ten moves per host. */
static inline void ask_balance(struct test_fleet *f, size_t hosts)
{
    f->r = (struct plan_request){
        .goal = GOAL_BALANCE, .purpose = PURPOSE_BALANCE, .max_moves = (int64_t)hosts * 10};
    f->p.balance.imbalance_ppm = 50000;
}
