/* spread: these VMs in at least min hosts, racks or zones, or in as many as there are VMs. A VM in flight
 * is at one end or at the other, nobody knows at which: a hard rule counts the fewest domains that
 * can be. One that is broken already refuses only what breaks it further, so that a host can
 * still be emptied. A soft rule looks at where all VMs end, and so does the question whether the rule
 * holds where a VM is. A host without a known domain counts for none. */
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "policy/rules/rules.h"

struct count {
    const struct rule_match *m;
    const struct fleet *f;
    int vm, host;                  /* with vm on its way to host; host -1: as it is */
    int enough;                    /* more than that need not be counted */
    uint64_t seen[LIM_HOSTS / 64]; /* domains, as bits */
};

static bool seen(const struct count *c, int domain)
{
    return c->seen[domain / 64] >> (domain % 64) & 1;
}

static void flip(struct count *c, int domain)
{
    c->seen[domain / 64] ^= UINT64_C(1) << (domain % 64);
}

/* -1: its host does not say, or the VM is nowhere. */
static int domain_of(const struct count *c, int host)
{
    return host >= 0 ? c->m->domain[host] : -1;
}

static int end_of(const struct count *c, int vm)
{
    int to = vm == c->vm && c->host >= 0 ? c->host : c->f->to[vm];
    return to >= 0 ? to : c->f->at[vm];
}

static bool skipped(const struct count *c, int vm)
{
    return vm != c->vm && fleet_same_vm(c->f, c->vm, vm);
}

/* The fewest domains more, from member i on, of those in flight. */
static int in_flight(struct count *c, size_t i, int n)
{
    for (; i < c->m->n_members && n < c->enough; i++) {
        int vm = c->m->members[i];
        int ends[2] = {domain_of(c, c->f->at[vm]), domain_of(c, end_of(c, vm))};
        if (skipped(c, vm) || ends[0] < 0 || ends[1] < 0 || seen(c, ends[0]) || seen(c, ends[1]))
            continue;
        int fewest = c->enough;
        for (int k = 0; k < 2; k++) {
            flip(c, ends[k]);
            int got = in_flight(c, i + 1, n + 1);
            fewest = got < fewest ? got : fewest;
            flip(c, ends[k]);
        }
        return fewest;
    }
    return n;
}

/* Domains of the members; settled: wherever those in flight are, else: once all have ended. */
static int domains(struct count *c, bool settled)
{
    int n = 0;
    for (size_t i = 0; i < c->m->n_members && n < c->enough; i++) {
        int vm = c->m->members[i], end = domain_of(c, end_of(c, vm));
        if (skipped(c, vm) || end < 0 || seen(c, end) ||
            (settled && domain_of(c, c->f->at[vm]) != end))
            continue;
        flip(c, end);
        n++;
    }
    return settled ? in_flight(c, 0, n) : n;
}

static void say(const struct rule *r, const struct rule_match *m, const struct fleet *f,
                const struct count *after, int n, struct reason *ret)
{
    const char *level = domain_level_names[r->across];
    const char *host = f->hosts[after->host]->name;
    ret->code = R_SPREAD;
    ret->what = xasprintf("rule %s", r->name);
    ret->need =
        xasprintf("VMs of the rule in %d different %ss at every moment", after->enough, level);
    ret->have = xasprintf("%d %s%s", n, level, n == 1 ? "" : "s");
    ret->need_n = after->enough;
    ret->have_n = n;
    ret->cure =
        m->domain[after->host] < 0
            ? xasprintf("name the %s of each host in its agent.yaml: %s", level, host)
            : xasprintf("move another VM of the rule first, or give rule %s a weight (soft)",
                        r->name);
}

int spread_need(const struct rule *r, const struct rule_match *m)
{
    return r->min < (int64_t)m->n_members ? (int)r->min : (int)m->n_members;
}

static bool allows(const struct rule *r, const struct rule_match *m, const struct fleet *f, int vm,
                   int host, struct reason *ret_why)
{
    int enough = spread_need(r, m);
    struct count after = {.m = m, .f = f, .vm = vm, .host = host, .enough = enough};
    bool moves = r->hard && host != f->at[vm];
    if (moves) {
        struct count before = {.m = m, .f = f, .vm = vm, .host = -1, .enough = enough};
        after.enough = domains(&before, true);
    }
    int n = domains(&after, moves);
    if (n < after.enough && ret_why)
        say(r, m, f, &after, n, ret_why);
    return n >= after.enough;
}

const struct rule_def rule_spread = {
    .doc = "These VMs in at least min different hosts, racks or zones.",
    .vms_required = true,
    .across_allowed = true,
    .min_required = true,
    .counts_domains = true,
    .strength = HARD_OR_SOFT,
    .allows = allows,
};
