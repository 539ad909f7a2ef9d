#include "policy/keys.h"

#include "lib/base/limits.h"
#include "lib/base/str.h"

#define AT(m) .off = offsetof(struct policy, m)
#define SET(a)                                                                                     \
    {                                                                                              \
        (a), ARRAY_LEN(a)                                                                          \
    }
#define NAMES(a) .names = (a), .n_names = ARRAY_LEN(a)

static const struct key memory_keys[] = {
    {"overcommit", KT_RATIO, AT(capacity.mem_overcommit_ppm), .min = 100000, .max = 10000000,
     .doc = "Part of a host's memory that VMs may be given: 1.0 is all of it."},
    {"reserve", KT_BYTES, AT(capacity.mem_reserve_bytes), .min = 0, .max = 1024 * 1024 * GIB,
     .doc = "Memory kept for the host itself."},
};
static const struct keyset memory_set = SET(memory_keys);

static const struct key vcpu_keys[] = {
    {"overcommit", KT_RATIO, AT(capacity.vcpu_overcommit_ppm), .min = 100000, .max = 100000000,
     .doc = "vCPUs of running VMs per CPU of the host."},
};
static const struct keyset vcpu_set = SET(vcpu_keys);

static const struct key capacity_keys[] = {
    {"memory", KT_SECTION, .sub = &memory_set, .doc = "Memory of a host."},
    {"vcpu", KT_SECTION, .sub = &vcpu_set, .doc = "CPUs of a host."},
    {.name = "spare_hosts", .type = KT_UNSUPPORTED},
};
static const struct keyset capacity_set = SET(capacity_keys);

static const struct key migration_keys[] = {
    {"transport", KT_ENUM, AT(migration.transport), NAMES(transport_names),
     .doc = "Encryption of the migration data stream."},
    {"parallel", KT_PARALLEL, AT(migration.parallel), .min = 1, .max = 64,
     .doc = "Moves in flight per host and direction."},
    {"link_share", KT_PERCENT, AT(migration.link_share_ppm), .min = 10000, .max = 1000000,
     .doc = "Part of the migration link that moves may use."},
    {"timeout", KT_PER_GIB, AT(migration.timeout_us_per_gib), .min = SEC, .max = 86400 * SEC,
     .doc = "Time a copy may take per GiB of memory before it is given up."},
    {"retries", KT_INT, AT(migration.retries), .min = 0, .max = LIM_RETRIES,
     .doc = "Further targets that are tried after a failed move."},
    {"live", KT_BOOL, AT(migration.live), .doc = "Move running VMs without stopping them."},
    {"persistent", KT_BOOL, AT(migration.persistent),
     .doc = "Define the VM at its destination, so that it survives a stop there."},
    {"undefine_source", KT_BOOL, AT(migration.undefine_source),
     .doc = "Remove the definition from the source after the move."},
    {"abort_on_error", KT_BOOL, AT(migration.abort_on_error),
     .doc = "Abort the copy when the VM meets an I/O error."},
    {"compressed", KT_BOOL, AT(migration.compressed), .doc = "Compress memory on the wire."},
    {"auto_converge", KT_BOOL, AT(migration.auto_converge),
     .doc = "Slow the VM down when it dirties memory faster than it can be copied."},
    {"post_copy", KT_BOOL, AT(migration.post_copy),
     .doc = "Allow switching to the destination before all memory is there."},
    {"multifd", KT_MULTIFD, AT(migration.multifd), .min = 2, .max = 64,
     .doc = "Several connections per move: true, false or their number."},
    {"bandwidth", KT_BANDWIDTH, AT(migration.bandwidth_Bps), .min = 125000,
     .max = INT64_C(125000000000), .doc = "Bandwidth of one move."},
    {"downtime", KT_PAUSE, AT(migration.downtime_us), .min = MSEC, .max = 2000 * SEC,
     .doc = "Longest planned pause of a VM."},
    {.name = "network", .type = KT_UNSUPPORTED},
    {.name = "ladder", .type = KT_UNSUPPORTED},
};
static const struct keyset migration_set = SET(migration_keys);

static const struct key drain_keys[] = {
    {"on_blocked", KT_ENUM, AT(drain.on_blocked), NAMES(on_blocked_names),
     .doc = "What a drain does when VMs cannot move."},
    {"order", KT_ENUM, AT(drain.order), NAMES(drain_order_names), .doc = "Which VMs leave first."},
    {"bring_home", KT_BOOL, AT(drain.bring_home),
     .doc = "On resume, bring back the VMs that the drain moved away."},
    {"shutdown_timeout", KT_DURATION, AT(drain.shutdown_timeout_us), .min = SEC, .max = 86400 * SEC,
     .doc = "Time for a VM that is to be shut down; then it runs on."},
};
static const struct keyset drain_set = SET(drain_keys);

static const struct key top_keys[] = {
    {"version", KT_VERSION, .doc = "Version of the policy language."},
    {"capacity", KT_SECTION, .sub = &capacity_set, .doc = "What a host holds."},
    {"migration", KT_SECTION, .sub = &migration_set, .doc = "How VMs move."},
    {"rules", KT_RULES, .doc = "Where VMs may be."},
    {"drain", KT_SECTION, .sub = &drain_set, .doc = "How hosts are emptied."},
    {.name = "balance", .type = KT_UNSUPPORTED},
    {.name = "budget", .type = KT_UNSUPPORTED},
    {.name = "failover", .type = KT_UNSUPPORTED},
};
const struct keyset policy_keys = SET(top_keys);

const char *const rule_kinds_unsupported[2] = {"spread", "host_preferred"};
