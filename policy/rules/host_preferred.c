/* host_preferred: these VMs rather on these hosts. Always soft, so there is never a refusal to explain. */
#include <assert.h>

#include "policy/rules/rules.h"

static bool allows(const struct rule *r, const struct rule_match *m, const struct fleet *f, int vm,
                   int host, struct reason *ret_why)
{
    (void)r;
    (void)f;
    (void)vm;
    assert(!ret_why);
    return m->hosts[host];
}

const struct rule_def rule_host_preferred = {
    .doc = "These VMs rather on these hosts.",
    .vms_required = true,
    .hosts_allowed = true,
    .hosts_required = true,
    .strength = ALWAYS_SOFT,
    .allows = allows,
};
