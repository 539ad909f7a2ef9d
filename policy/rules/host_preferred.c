/* host_preferred: these VMs rather on these hosts. Always soft: it refuses nothing, and is named where a
 * plan follows the wish. */
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
        ret_why->code = R_HOST_REQUIRED;
        ret_why->what = xasprintf("rule %s", r->name);
        ret_why->need = xasprintf("a host %s", hosts);
        ret_why->have = xasprintf("%s, which is not preferred", f->hosts[host]->name);
        ret_why->cure = xasprintf("add host %s to rule %s", f->hosts[host]->name, r->name);
    }
    return false;
}

const struct rule_def rule_host_preferred = {
    .doc = "These VMs rather on these hosts.",
    .vms_required = true,
    .hosts_allowed = true,
    .hosts_required = true,
    .strength = ALWAYS_SOFT,
    .allows = allows,
};
