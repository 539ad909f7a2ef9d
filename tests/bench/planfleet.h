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

/* What a listing does not say and a real report does; names and sizes as in production. */
static inline void dress_fleet(struct test_fleet *f)
{
    for (size_t i = 0; i < f->s.n_hosts; i++) {
        struct host *h = &f->hosts[i];
        h->migrate_uri = xasprintf("qemu+tls://%s/system", h->name);
        h->link_bps = INT64_C(10000000000);
        *(char **)vec_add(&h->addresses, &h->n_addresses) =
            xasprintf("10.%zu.%zu.%zu", 1 + i / 62500, i / 250 % 250, i % 250 + 1);
    }
    for (size_t i = 0; i < f->s.n_vms; i++) {
        struct vm *v = &f->vms[i];
        v->virt = xstrdup("kvm");
        v->machine = xstrdup("pc-q35-7.2");
        v->emulator = xstrdup("/usr/bin/qemu-system-x86_64");
        v->xml_digest = xasprintf("%064zx", 2 * i);
        v->xml_inactive_digest = xasprintf("%064zx", 2 * i + 1);
        struct nic *nic = vec_add(&v->nics, &v->n_nics);
        nic->mac = xasprintf("52:54:00:%02zx:%02zx:%02zx", i >> 16 & 255, i >> 8 & 255, i & 255);
        nic->kind = NIC_BRIDGE;
        nic->source = xstrdup("br0");
        nic->model = xstrdup("virtio");
        v->disks[0].cache = xstrdup("none");
        v->disks[0].format = xstrdup("raw");
        v->disks[0].user = xstrdup("libvirt");
        for (size_t h = 0; h < f->s.n_hosts && !f->hosts[h].n_virts; h++) {
            *(char **)vec_add(&f->hosts[h].virts, &f->hosts[h].n_virts) = xstrdup("kvm");
            *(char **)vec_add(&f->hosts[h].machines, &f->hosts[h].n_machines) =
                xstrdup("pc-q35-7.2");
        }
    }
}
