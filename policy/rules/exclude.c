/* exclude: Drover never moves these VMs. Asked of the VM itself (scheduler/plan/movable.c): it refuses
 * no host. */
#include "policy/rules/rules.h"

const struct rule_def rule_exclude = {
    .doc = "Drover never moves these VMs.",
    .vms_required = true,
};
