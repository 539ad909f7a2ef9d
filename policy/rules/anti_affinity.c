/* anti_affinity: no two of these VMs in one host, rack or zone. */
#include "lib/base/mem.h"
#include "policy/rules/rules.h"

static void say(const struct rule *r, const struct fleet *f, int other, int host, bool unknown,
                struct reason *ret)
{
    const char *name = f->vms[other]->name;
    cleanup(freep) char *domain = domain_text(r->across, f->hosts[host]);
    ret->code = R_ANTI_AFFINITY;
    ret->what = xasprintf("rule %s", r->name);
    ret->need = xasprintf("no other VM of the rule in %s", domain);
    if (f->at[other] < 0)
        ret->have = xasprintf("%s, to be started on %s", name, f->hosts[f->to[other]]->name);
    else if (f->to[other] >= 0)
        ret->have = xasprintf("%s, on its way from %s to %s", name, f->hosts[f->at[other]]->name,
                              f->hosts[f->to[other]]->name);
    else
        ret->have = xasprintf("%s on %s", name, f->hosts[f->at[other]]->name);
    if (unknown)
        ret->cure = xasprintf("name the %s of each host in its agent.yaml: %s",
                              domain_level_names[r->across], f->hosts[host]->name);
    else
        ret->cure = xasprintf("move %s elsewhere, or give rule %s a weight (soft)", name, r->name);
}

static bool allows(const struct rule *r, const struct rule_match *m, const struct fleet *f, int vm,
                   int host, struct reason *ret_why)
{
    for (size_t i = 0; i < m->n_members; i++) {
        int other = m->members[i];
        if (fleet_same_vm(f, vm, other))
            continue;
        enum same there = SAME_NO;
        if (f->at[other] >= 0)
            there = same_domain(r->across, f->hosts[f->at[other]], f->hosts[host]);
        if (there == SAME_NO && f->to[other] >= 0)
            there = same_domain(r->across, f->hosts[f->to[other]], f->hosts[host]);
        if (there == SAME_NO)
            continue;
        if (ret_why)
            say(r, f, other, host, there == SAME_UNKNOWN, ret_why);
        return false;
    }
    return true;
}

const struct rule_def rule_anti_affinity = {
    .doc = "No two of these VMs in one host, rack or zone.",
    .vms_required = true,
    .across_allowed = true,
    .strength = HARD_OR_SOFT,
    .allows = allows,
};
