/* host_forbidden: these VMs never on these hosts. */
#include "lib/base/mem.h"
#include "policy/rules/rules.h"

static bool allows(const struct rule *r, const struct rule_match *m, const struct fleet *f, int vm,
                   int host, struct reason *ret_why)
{
    (void)vm;
    if (!m->hosts[host])
        return true;
    if (ret_why) {
        cleanup(freep) char *hosts = selector_text(&r->hosts);
        ret_why->code = R_HOST_FORBIDDEN;
        ret_why->what = xasprintf("rule %s", r->name);
        ret_why->need = xasprintf("a host that is not %s", hosts);
        ret_why->cure = xasprintf("take host %s out of rule %s", f->hosts[host]->name, r->name);
    }
    return false;
}

const struct rule_def rule_host_forbidden = {
    .doc = "These VMs never on these hosts.",
    .vms_required = true,
    .hosts_allowed = true,
    .hosts_required = true,
    .strength = HARD_OR_SOFT,
    .allows = allows,
};
