#include "lib/model/way.h"

const char *const way_kind_names[WAY_KINDS] = {"option", "wait", "resume", "move",
                                               "room",   "cure", "rule",   "cold"};
const char *const shortage_kind_names[SHORT_KINDS] = {"memory", "vcpus", "pieces", "apart",
                                                      "number"};

#define T struct way
SHAPE(way_shape, T, SF_ENUM(T, kind, way_kind_names), SF_STR(T, text), SF_STRS(T, hosts),
      SF_STR(T, vm), SF_STR(T, from), SF_STR(T, to), SF_STR(T, rule), SF_STR(T, where),
      SF_INT(T, bytes), SF_INT(T, vcpus), SF_INT(T, unblocks));
#undef T

#define T struct shortage
SHAPE(shortage_shape, T, SF_ENUM(T, kind, shortage_kind_names), SF_STRS(T, vms), SF_INT(T, hosts),
      SF_STR(T, best), SF_INT(T, need_n), SF_INT(T, have_n), SF_STR(T, rule), SF_STR(T, where),
      SF_STR(T, text));
#undef T
