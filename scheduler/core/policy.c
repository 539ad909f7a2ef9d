/* Handing the policy from one core to the next. */
#include <string.h>

#include "scheduler/core/internal.h"

void core_restore_policy(struct core *c, struct policy *p)
{
    fleet_forget(c);
    policy_done(&c->policy);
    c->policy = *p;
    memset(p, 0, sizeof(*p));
}

void core_take_policy(struct core *c, struct policy *ret)
{
    fleet_forget(c);
    *ret = c->policy;
    memset(&c->policy, 0, sizeof(c->policy));
    policy_default(&c->policy);
}
