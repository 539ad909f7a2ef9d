/* scheduler/plan/world.h: a snapshot as the planner works on it.   PURE.   Inside the planner only.
 * Purpose  The snapshot, plus what is planned on top of it, with sums per host kept up to date.
 * Shapes   fleet.at: where a VM is; fleet.to: where it also counts (move in flight, or planned by
 *          plan_world_put), -1 none. A VM counts on both until its move is settled, so a plan that fits here
 *          fits in whatever order its moves start and end.
 * Owner    borrows snapshot, policy, request and index.   Thread any. */
#pragma once

#include "policy/rules/rules.h"
#include "scheduler/plan/plan.h"

struct plan_load { /* what counts against a host */
    int64_t mem_bytes, vcpus, huge_bytes;
};
struct plan_cpu { /* cpu.h */
    int64_t mcpu;
    bool guessed;
};
struct plan_world {
    bool shared; /* what no plan changes belongs to an index */
    const struct snapshot *s;
    const struct policy *p;
    const struct plan_request *r; /* NULL: none */
    struct fleet f;
    struct rule_match *match; /* per rule of the policy */
    int *rules;               /* rules by VM, ascending: of vm, ... */
    size_t *rules_start;      /* ... [start[vm], start[vm + 1]) */
    struct plan_cpu *cpu;     /* per VM; NULL: the plan is no measured one */
    bool *name_shared;        /* per VM: another one of the fleet has its name or UUID */
    struct plan_load *load;   /* per host */
    int64_t *end_bytes;       /* per host: memory once all moves have ended */
    int *by_host;             /* VMs grouped by host, those in flight to it included ... */
    size_t *by_host_start;    /* ... host h: [start[h], start[h + 1]) */
    const struct plan_refusal **refusals; /* sorted by VM, host, then as given */
    const bool *off; /* per host: it is to be switched off, and is no room for others; NULL: none */
    const int *planned; /* VMs placed by plan_world_put, for name clashes */
    size_t n_planned;
};

/* So much counts on the host beside its VMs. */
void plan_index_pad(struct plan_index *x, int host, struct plan_load pad);
const struct snapshot *plan_index_snapshot(const struct plan_index *x);
const struct policy *plan_index_policy(const struct plan_index *x);
/* The same fleet as x with other places of its VMs, other states of its hosts, other numbers and hard
 * flags of its rules: names, labels, failure domains and which rule is about which VMs are as in x. rule:
 * the one that is about other hosts now, -1 none. Borrows x, s and p. */
struct plan_index *plan_index_like(const struct plan_index *x, const struct snapshot *s,
                                   const struct policy *p, int rule);
/* planned: borrows; the VMs that plan_world_put will place. */
void plan_world_init(struct plan_world *w, const struct plan_index *x, const struct plan_request *r,
                     const int *planned, size_t n_planned);
void plan_world_done(struct plan_world *w);
/* Plan vm onto host, or take it back. */
void plan_world_put(struct plan_world *w, int vm, int host);
void plan_world_take(struct plan_world *w, int vm);

/* Does the VM take memory and CPU: everything that has a QEMU process, or will have one. */
bool plan_counts(const struct snapshot *s, int vm);
struct plan_load plan_need(const struct vm *v);
/* Where the VM is once its move has ended. */
static inline int plan_end(const struct plan_world *w, int vm)
{
    return w->f.to[vm] >= 0 ? w->f.to[vm] : w->f.at[vm];
}
/* Memory VMs may take on the host; -1 when its memory is not known. */
int64_t plan_mem_capacity(const struct plan_world *w, int host);
int64_t plan_vcpu_capacity(const struct plan_world *w, int host);

/* ---- filter.c -------------------------------------------------------------------------------- */
/* What the question is about. cold: the VM would be stopped, moved and started again. */
struct plan_ask {
    int vm, host;
    bool cold;
};
static inline const struct host *host_of(const struct plan_world *w, const struct plan_ask *q)
{
    return w->s->hosts[q->host].h;
}
static inline const struct vm *vm_of(const struct plan_world *w, const struct plan_ask *q)
{
    return w->s->vms[q->vm].v;
}
enum plan_filters {
    PF_CLASS = 1,   /* depends on what the VM needs and the host has */
    PF_ITSELF = 2,  /* and on which VM it is: its host, its name, what was refused of it */
    PF_STATIC = 3,  /* both: does not depend on where other planned VMs go */
    PF_DYNAMIC = 4, /* does */
    PF_COMPANY = 8, /* of the dynamic ones, the rules about other VMs */
};
/* The first filter of the asked sets that says no; ret_why may be NULL. */
bool plan_filter(const struct plan_world *w, const struct plan_ask *q, int sets,
                 struct reason *ret_why);
/* Does more than one filter of the asked sets say no? */
bool plan_many_noes(const struct plan_world *w, const struct plan_ask *q, int sets);
/* Is the rule about hosts alone (else: about which VMs are where)? */
bool plan_rule_about_hosts(const struct rule *r);
/* Was anything refused of this VM, at any host? */
bool plan_any_refused(const struct plan_world *w, int vm);
/* The "no" learnt by asking (a refusal of the request; host -1: of the VM itself), or NULL. */
const struct reason *plan_refused(const struct plan_world *w, int vm, int host, bool cold);

/* ---- room.c ---------------------------------------------------------------------------------- */
/* Filters of the table in filter.c. */
bool plan_memory(const struct plan_world *w, const struct plan_ask *q, struct reason *ret_why);
bool plan_hugepages(const struct plan_world *w, const struct plan_ask *q, struct reason *ret_why);
bool plan_vcpus(const struct plan_world *w, const struct plan_ask *q, struct reason *ret_why);
bool plan_spare_hosts(const struct plan_world *w, const struct plan_ask *q, struct reason *ret_why);

/* Could the fleet still lose as many hosts as the policy wants if those that are `off` were emptied
 * and gone? Where it cannot from the start: no worse than then. */
bool plan_spare_enough(const struct plan_world *w);

/* ---- numa.c ----------------------------------------------------------------------------------- */
bool plan_numa(const struct plan_world *w, const struct plan_ask *q, struct reason *ret_why);
/* In one cell of the host, whichever. */
bool plan_bound_to_any(const struct numa_bind *b);

/* ---- movable.c ------------------------------------------------------------------------------- */
/* Append every reason of the VM itself. Returns how many. cold: leave out what cold lifts. */
size_t plan_vm_reasons(const struct plan_world *w, int vm, bool cold, struct reason **list,
                       size_t *n);

/* A VM that may move, and how. */
struct plan_wanted {
    int vm;
    int wish;        /* wanted host, -1 none */
    int rank;        /* lower ones first */
    bool as_is;      /* live, or as a definition */
    bool cold;       /* stopped, moved, started */
    bool must_leave; /* its present host is no place for it */
};

/* ---- order.c --------------------------------------------------------------------------------- */
void plan_order(const struct snapshot *s, const struct policy *p, struct plan_move *moves,
                size_t n);

/* ---- explain.c ------------------------------------------------------------------------------- */
/* Why vm, which is not placed, can go nowhere: one reason per host, nearest way out first. */
void plan_explain_stay(struct plan_world *w, int vm, bool cold, struct plan_stay *ret);
/* What a VM could choose from: hosts that no static filter refuses, and the most that is free on one of
 * them after the plan. */
struct plan_choice {
    size_t n_hosts;
    int64_t most_free_bytes;
};
/* Why this host for this VM. Gives. */
char *plan_why(const struct plan_world *w, const struct plan_wanted *x, int host,
               const struct plan_choice *c);
/* Adds to its words that it goes where moves failed, or does not where they did and it might. */
void plan_why_failed(const struct plan_world *w, struct plan_move *m);
