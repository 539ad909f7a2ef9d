/* max_vms: at most so many of these VMs in one host, rack or zone. Only hosts that the rule selects
 * count and are limited. A rack or zone that is not known counts as the same: the limit must hold. */
#include "lib/base/mem.h"
#include "policy/rules/rules.h"

static bool allows(const struct rule *r, const struct rule_match *m, const struct fleet *f, int vm,
                   int host, struct reason *ret_why)
{
    if (!m->hosts[host])
        return true;
    int64_t there = 0;
    for (size_t i = 0; i < m->n_members; i++) {
        int other = m->members[i], at = f->at[other], to = f->to[other];
        if (fleet_same_vm(f, vm, other))
            continue;
        if ((at >= 0 && m->hosts[at] &&
             same_domain(r->across, f->hosts[at], f->hosts[host]) != SAME_NO) ||
            (to >= 0 && m->hosts[to] &&
             same_domain(r->across, f->hosts[to], f->hosts[host]) != SAME_NO))
            there++;
    }
    if (there < r->max)
        return true;
    if (ret_why) {
        cleanup(freep) char *domain = domain_text(r->across, f->hosts[host]);
        ret_why->code = R_MAX_VMS;
        ret_why->what = xasprintf("rule %s", r->name);
        ret_why->need = xasprintf("at most %lld VM%s of the rule in %s", (long long)r->max,
                                  r->max == 1 ? "" : "s", domain);
        ret_why->have = xasprintf("%lld, moves in flight included", (long long)there);
        ret_why->need_n = there + 1;
        ret_why->have_n = r->max;
        ret_why->cure = xasprintf("raise max of rule %s to %lld", r->name, (long long)there + 1);
    }
    return false;
}

const struct rule_def rule_max_vms = {
    .doc = "At most max of these VMs in one host, rack or zone.",
    .hosts_allowed = true,
    .across_allowed = true,
    .max_required = true,
    .strength = HARD_OR_SOFT,
    .allows = allows,
};
