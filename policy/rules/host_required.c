/* host_required: these VMs only on these hosts (licences, devices, ownership). */
#include "lib/base/mem.h"
#include "policy/rules/rules.h"

static bool allows(const struct rule *r, const struct rule_match *m, const struct fleet *f, int vm,
                   int host, struct reason *ret_why)
{
    (void)vm;
    if (m->hosts[host])
        return true;
    if (ret_why) {
        cleanup(freep) char *hosts = selector_text(&r->hosts);
        size_t n = 0;
        for (size_t i = 0; i < f->n_hosts; i++)
            n += m->hosts[i];
        ret_why->code = R_HOST_REQUIRED;
        ret_why->what = xasprintf("rule %s", r->name);
        ret_why->need = xasprintf("a host %s", hosts);
        ret_why->have = xasprintf("%zu of %zu hosts allowed", n, f->n_hosts);
        ret_why->cure = xasprintf("allow host %s in rule %s", f->hosts[host]->name, r->name);
    }
    return false;
}

const struct rule_def rule_host_required = {
    .doc = "These VMs only on these hosts.",
    .vms_required = true,
    .hosts_allowed = true,
    .hosts_required = true,
    .strength = HARD_OR_SOFT,
    .allows = allows,
};
