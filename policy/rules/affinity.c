/* affinity: all of these VMs in one host, rack or zone. While a group moves it is apart for a moment:
 * what is kept is that all of it ends up together. */
#include "lib/base/mem.h"
#include "policy/rules/rules.h"

static bool allows(const struct rule *r, const struct rule_match *m, const struct fleet *f, int vm,
                   int host, struct reason *ret_why)
{
    for (size_t i = 0; i < m->n_members; i++) {
        int other = m->members[i];
        if (fleet_same_vm(f, vm, other))
            continue;
        if (f->to[other] < 0 && f->leaving[other])
            continue;
        int pos = f->to[other] >= 0 ? f->to[other] : f->at[other];
        if (pos < 0)
            continue;
        enum same there = same_domain(r->across, f->hosts[pos], f->hosts[host]);
        if (there == SAME_YES)
            continue;
        if (ret_why) {
            cleanup(freep) char *domain = domain_text(r->across, f->hosts[pos]);
            ret_why->code = R_AFFINITY;
            ret_why->what = xasprintf("rule %s", r->name);
            ret_why->need = xasprintf("%s, with %s", domain, f->vms[other]->name);
            ret_why->have =
                xasprintf("%s %s %s", f->vms[other]->name,
                          f->to[other] >= 0 ? "on its way to" : "on", f->hosts[pos]->name);
            ret_why->cure = xasprintf("let %s move too, or give rule %s a weight (soft)",
                                      f->vms[other]->name, r->name);
        }
        return false;
    }
    return true;
}

const struct rule_def rule_affinity = {
    .doc = "All of these VMs in one host, rack or zone.",
    .vms_required = true,
    .across_allowed = true,
    .strength = HARD_OR_SOFT,
    .allows = allows,
};
