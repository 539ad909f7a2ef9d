/* tests/unit/fleet.h: a small fleet for planner tests.
 * Shapes   hosts h0, h1, ... and VMs in the order they are added (dense ids = that order).
 * Owner    fleet_done releases everything, policy and request lists included. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/rules/rules.h"
#include "scheduler/plan/plan.h"

struct test_fleet {
    struct snapshot s;
    struct host *hosts;
    struct vm *vms;
    struct policy p;
    struct plan_request r;
    int *asked;
    size_t n_asked;
};

static inline void fleet_init(struct test_fleet *f, size_t n_hosts, int64_t mem_gib, size_t max_vms)
{
    memset(f, 0, sizeof(*f));
    f->hosts = xcalloc(n_hosts, sizeof(*f->hosts));
    f->vms = xcalloc(max_vms, sizeof(*f->vms));
    f->s.hosts = xcalloc(n_hosts, sizeof(*f->s.hosts));
    f->s.vms = xcalloc(max_vms, sizeof(*f->s.vms));
    f->s.n_hosts = n_hosts;
    for (size_t i = 0; i < n_hosts; i++) {
        struct host *h = &f->hosts[i];
        shape_init(&host_shape, h);
        h->name = xasprintf("h%zu", i);
        h->mem_bytes = mem_gib * GIB;
        h->cpus = 16;
        h->arch = xstrdup("x86_64");
        h->libvirt_up = true;
        *vec_add(&h->bridges, &h->n_bridges) = xstrdup("br0");
        f->s.hosts[i] = (struct snap_host){.h = h, .state = HOST_UP, .connected = true};
    }
    policy_default(&f->p);
    f->p.capacity.mem_reserve_bytes = 0;
}

static inline struct vm *fleet_vm(struct test_fleet *f, const char *name, int host, int64_t mem_gib)
{
    struct vm *v = &f->vms[f->s.n_vms];
    shape_init(&vm_shape, v);
    v->name = xstrdup(name);
    v->uuid = xasprintf("00000000-0000-0000-0000-%012zu", f->s.n_vms);
    v->state = VM_RUNNING;
    v->persistent = true;
    v->mem_bytes = mem_gib * GIB;
    v->vcpus = 1;
    v->arch = xstrdup("x86_64");
    struct disk *d = vec_add(&v->disks, &v->n_disks);
    shape_init(&disk_shape, d);
    d->target = xstrdup("vda");
    d->kind = DISK_RBD;
    d->pool = xstrdup("vms");
    d->image = xstrdup(name);
    f->s.vms[f->s.n_vms++] = (struct snap_vm){.v = v, .host = host, .moving_to = -1};
    return v;
}

static inline struct rule *fleet_rule(struct test_fleet *f, const char *name, int kind,
                                      const char *vms, const char *hosts)
{
    struct rule *r = vec_add(&f->p.rules, &f->p.n_rules);
    r->name = xstrdup(name);
    r->where = xasprintf("rules.yaml:%zu", f->p.n_rules);
    r->kind = kind;
    r->hard = true;
    r->weight = 1;
    if (vms)
        *vec_add(&r->vms.names, &r->vms.n_names) = xstrdup(vms);
    if (hosts)
        *vec_add(&r->hosts.names, &r->hosts.n_names) = xstrdup(hosts);
    return r;
}

/* Ask for the VMs of one host. */
static inline void fleet_drain(struct test_fleet *f, int host)
{
    for (size_t i = 0; i < f->s.n_vms; i++)
        if (f->s.vms[i].host == host)
            *vec_add(&f->asked, &f->n_asked) = (int)i;
    f->r.vms = f->asked;
    f->r.n_vms = f->n_asked;
}

static inline void fleet_done(struct test_fleet *f)
{
    for (size_t i = 0; i < f->s.n_hosts; i++)
        shape_done(&host_shape, &f->hosts[i]);
    for (size_t i = 0; i < f->s.n_vms; i++)
        shape_done(&vm_shape, &f->vms[i]);
    free(f->hosts);
    free(f->vms);
    free(f->s.hosts);
    free(f->s.vms);
    free(f->asked);
    policy_done(&f->p);
}

/* xorshift: tests need their own seeds, not the program's. */
static inline uint32_t test_rand(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32);
}
