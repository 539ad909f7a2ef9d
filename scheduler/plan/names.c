#include "scheduler/plan/snapshot.h"

const char *const host_state_names[6] = {"up",          "cordoned",    "draining",
                                         "maintenance", "quarantined", "lost"};
