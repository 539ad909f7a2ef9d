#include "policy/keys.h"

#include "lib/base/limits.h"
#include "lib/base/str.h"

#define AT(m) .off = offsetof(struct policy, m)
#define SET(a)                                                                                     \
    {                                                                                              \
        .keys = (a), .n = ARRAY_LEN(a)                                                             \
    }
#define NAMES(a) .names = (a), .n_names = ARRAY_LEN(a)

static const struct key memory_keys[] = {
    {"overcommit", KT_RATIO, AT(capacity.mem_overcommit_ppm), .min = 100000, .max = 10000000,
     .doc = "Part of a host's memory that VMs may be given: 1.0 is all of it."},
    {"reserve", KT_BYTES, AT(capacity.mem_reserve_bytes), .min = 0, .max = 1024 * 1024 * GIB,
     .example = "4GiB", .doc = "Memory kept for the host itself."},
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
    {"spare_hosts", KT_INT, AT(capacity.spare_hosts), .min = 0, .max = 64,
     .doc = "Hosts that the fleet can lose and still run all VMs."},
};
static const struct keyset capacity_set = SET(capacity_keys);

static const struct key migration_keys[] = {
    {"transport", KT_ENUM, AT(migration.transport), NAMES(transport_names),
     .doc = "Encryption of the migration data stream."},
    {"parallel", KT_INT, AT(migration.parallel), .zero = "auto", .min = 1, .max = 64,
     .doc = "Moves in flight per host and direction."},
    {"link_share", KT_PERCENT, AT(migration.link_share_ppm), .min = 10000, .max = 1000000,
     .doc = "Part of the migration link that moves may use."},
    {"timeout", KT_PER_GIB, AT(migration.timeout_us_per_gib), .min = SEC, .max = 86400 * SEC,
     .example = "800s/GiB", .doc = "Time a copy may take per GiB of memory before it is given up."},
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
    {"bandwidth", KT_BITRATE, AT(migration.bandwidth_Bps), .zero = "auto", .example = "8Gbit",
     .min = 125000, .max = INT64_C(125000000000), .doc = "Bandwidth of one move."},
    {"downtime", KT_DURATION, AT(migration.downtime_us), .zero = "auto", .example = "300ms",
     .min = MSEC, .max = 2000 * SEC, .doc = "Longest planned pause of a VM."},
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
    {"make_room", KT_BOOL, AT(drain.make_room),
     .doc = "Move VMs of other hosts where the host cannot be emptied otherwise."},
    {"shutdown_timeout", KT_DURATION, AT(drain.shutdown_timeout_us), .example = "3m", .min = SEC,
     .max = 86400 * SEC, .doc = "Time for a VM that is to be shut down; then it runs on."},
};
static const struct keyset drain_set = SET(drain_keys);

static const struct key weight_keys[] = {
    {"cpu", KT_INT, AT(balance.weight_cpu), .min = 0, .max = 100, .doc = "Weight of CPU load."},
    {"memory", KT_INT, AT(balance.weight_mem), .min = 0, .max = 100,
     .doc = "Weight of memory in use."},
};
static int check_weights(const struct reading *r, const struct ynode *n)
{
    if (r->p->balance.weight_cpu || r->p->balance.weight_mem)
        return 0;
    return fail_at(r, n, "balance.weights", "one of cpu and memory must have a weight");
}
static const struct keyset weight_set = {
    .keys = weight_keys, .n = ARRAY_LEN(weight_keys), .check = check_weights};

static const struct key room_keys[] = {
    {"memory", KT_BYTES, AT(balance.room_mem_bytes), .zero = "none", .min = MIB,
     .max = 1024 * 1024 * GIB, .example = "96GiB", .doc = "What it takes, QEMU included."},
    {"vcpus", KT_INT, AT(balance.room_vcpus), .zero = "any", .min = 1, .max = LIM_VCPUS,
     .doc = "Its vCPUs; any: only memory counts."},
};
static int check_room(const struct reading *r, const struct ynode *n)
{
    if (r->p->balance.room_mem_bytes || !r->p->balance.room_vcpus)
        return 0;
    return fail_at(r, n, "balance.room", "memory is missing: how large is the VM?");
}
static const struct keyset room_set = {
    .keys = room_keys, .n = ARRAY_LEN(room_keys), .check = check_room};

static const struct key balance_keys[] = {
    {"schedule", KT_SCHEDULE, .zero = "never",
     .doc = "When to look: five fields of cron, and the zone."},
    {"window", KT_WINDOW, .zero = "always",
     .doc = "When moves may start: days, times and zone; one or a list."},
    {"imbalance", KT_PERCENT, AT(balance.imbalance_ppm), .min = 10000, .max = 1000000,
     .doc = "Difference between the fullest and the emptiest host that is let be."},
    {"sustained", KT_INT, AT(balance.sustained), .min = 1, .max = 100,
     .doc = "Looks in a row that must find it."},
    {"min_gain", KT_PERCENT, AT(balance.min_gain_ppm), .min = 10000, .max = 1000000,
     .doc = "A plan that improves less is not worth its moves."},
    {"max_moves", KT_INT, AT(balance.max_moves), .min = 1, .max = 10000,
     .doc = "Moves of one run."},
    {"cooldown", KT_DURATION, AT(balance.cooldown_us), .zero = "none", .example = "6h", .min = SEC,
     .max = 30 * 86400 * SEC, .doc = "Time for which a VM that moved is left alone."},
    {"weights", KT_SECTION, .sub = &weight_set, .doc = "What load is made of."},
    {"approve", KT_ENUM, AT(balance.approve), NAMES(approve_names),
     .doc = "Whether a scheduled plan waits for an operator."},
    {"ceph_pause", KT_ENUM, AT(balance.ceph_pause), NAMES(ceph_pause_names),
     .doc = "Of what balance runs wait until Ceph is well; each word is the one before, and more."},
    {"mode", KT_ENUM, AT(balance.mode), NAMES(balance_mode_names), .doc = "What a run is after."},
    {"room", KT_SECTION, .sub = &room_set, .doc = "The VM for which make-room keeps room."},
    {"load", KT_ENUM, AT(balance.load), NAMES(balance_load_names),
     .doc = "Which figure of CPU load counts: means, the 95th percentile, or vCPUs."},
    {"busy", KT_PERCENT, AT(balance.busy_ppm), .zero = "none", .min = 100000, .max = 1000000,
     .doc = "CPU use above which a host is relieved, instead of imbalance."},
    {"urgent", KT_PERCENT, AT(balance.urgent_ppm), .zero = "none", .min = 100000, .max = 1000000,
     .doc = "CPU use within a minute for which no look is waited for."},
    {"forecast", KT_PERCENT, AT(balance.forecast_ppm), .min = 0, .max = 1000000,
     .doc = "So much of what the same hour of former days had more than now counts, too."},
};
static const struct keyset balance_set = SET(balance_keys);

static const struct key budget_keys[] = {
    {"moves_per_vm_per_day", KT_INT, AT(budget.moves_per_vm_per_day), .zero = "unlimited", .min = 1,
     .max = 1000, .doc = "Moves of one VM in 24 hours."},
    {"pause_per_vm_per_day", KT_DURATION, AT(budget.pause_per_vm_per_day_us), .zero = "unlimited",
     .example = "2s", .min = MSEC, .max = 86400 * SEC,
     .doc = "Sum of pauses of one VM in 24 hours."},
};
static const struct keyset budget_set = SET(budget_keys);

static const struct key priority_keys[] = {
    {"labels", KT_LABEL, AT(failover.priority), .zero = "none",
     .doc = "Label of VMs whose number says which are placed first: the smallest."},
};
static const struct keyset priority_set = SET(priority_keys);

static const struct key failover_keys[] = {
    {"priority", KT_SECTION, .sub = &priority_set, .doc = "Which VMs of a dead host come first."},
    {.name = "enabled", .type = KT_UNSUPPORTED},
    {.name = "after", .type = KT_UNSUPPORTED},
    {.name = "max_hosts_at_once", .type = KT_UNSUPPORTED},
};
static const struct keyset failover_set = SET(failover_keys);

static const struct key top_keys[] = {
    {"version", KT_VERSION, .doc = "Version of the policy language."},
    {"capacity", KT_SECTION, .sub = &capacity_set, .doc = "What a host holds."},
    {"migration", KT_SECTION, .sub = &migration_set, .doc = "How VMs move."},
    {"rules", KT_RULES, .doc = "Where VMs may be."},
    {"drain", KT_SECTION, .sub = &drain_set, .doc = "How hosts are emptied."},
    {"balance", KT_SECTION, .sub = &balance_set, .doc = "How VMs are spread over hosts."},
    {"budget", KT_SECTION, .sub = &budget_set, .doc = "What one VM may be asked to bear."},
    {"failover", KT_SECTION, .sub = &failover_set, .doc = "Plans for hosts that are dead."},
};
const struct keyset policy_keys = SET(top_keys);
