/* maintenance_only: these VMs move for drains and for coming home after one, never for balance. Asked of
 * the request (scheduler/plan/movable.c): it refuses no host by itself. */
#include "policy/rules/rules.h"

const struct rule_def rule_maintenance_only = {
    .doc = "These VMs move for maintenance only: drains and coming home.",
    .vms_required = true,
};
