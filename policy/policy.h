/* policy/policy.h: the operator's policy, as loaded from a directory of YAML files.
 * Purpose  What may move where, how, and what a drain does with VMs that cannot move.
 * Shapes   plain data, owned; policy_default() is a complete policy, files only override.
 * Units    as named.   Errors: policy_load says file:line:column, the key, what was expected, and
 *          "did you mean".   Thread: immutable after loading.   PURE except policy_load. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/model/model.h"
#include "policy/calendar.h"

enum on_blocked { BLOCKED_REFUSE, BLOCKED_LEAVE, BLOCKED_COLD, BLOCKED_SHUTDOWN };
enum drain_order { ORDER_FASTEST, ORDER_SMALLEST_FIRST, ORDER_LARGEST_FIRST };
enum transport { TRANSPORT_TLS, TRANSPORT_TCP }; /* encryption of the migration data stream */
enum { POLICY_MULTIFD_CHANNELS = 2 };            /* of `multifd: true`: QEMU's own default */
/* What a balance run is after. */
enum balance_mode {
    BALANCE_REPAIR_RULES, /* broken rules only */
    BALANCE_RELIEVE,      /* and hosts that are too full */
    BALANCE_EVEN,         /* and differences between hosts */
    BALANCE_MAKE_ROOM,    /* room in one piece for large VMs */
    BALANCE_CONSOLIDATE,  /* as few hosts as possible */
};
/* Which figure of CPU load counts; RESERVED: vCPUs, whatever is measured. In the order of the figures. */
enum balance_load { LOAD_5M, LOAD_1H, LOAD_24H, LOAD_P95, LOAD_RESERVED };
/* Of what balancing waits for Ceph: each is the one before, and more. */
enum ceph_pause {
    CEPH_PAUSE_NEVER,
    CEPH_PAUSE_ERROR,    /* HEALTH_ERR */
    CEPH_PAUSE_SLOW,     /* slow operations */
    CEPH_PAUSE_RECOVERY, /* data that is recovered or moved */
};
enum approve { APPROVE_MANUAL, APPROVE_AUTO };
extern const char *const on_blocked_names[4];
extern const char *const drain_order_names[3];
extern const char *const transport_names[2];
extern const char *const balance_mode_names[5];
extern const char *const balance_load_names[5];
extern const char *const approve_names[2];
extern const char *const ceph_pause_names[4];

/* Which VMs or hosts: every given part must match (labels: all of them; names: any pattern). */
struct selector {
    char **names; /* shell patterns */
    size_t n_names;
    struct label *labels;
    size_t n_labels;
};
enum rule_kind {
    RULE_ANTI_AFFINITY,
    RULE_AFFINITY,
    RULE_HOST_REQUIRED,
    RULE_HOST_FORBIDDEN,
    RULE_MAX_VMS,
    RULE_EXCLUDE,          /* never moved by Drover */
    RULE_MAINTENANCE_ONLY, /* moved for maintenance only */
    RULE_SPREAD,
    RULE_HOST_PREFERRED,
    RULE_KINDS
};
enum domain_level { ACROSS_HOST, ACROSS_RACK, ACROSS_ZONE };
extern const char *const rule_kind_names[RULE_KINDS];
extern const char *const domain_level_names[3];
struct rule {
    char *name;
    int kind, across; /* enum rule_kind, enum domain_level */
    struct selector vms, hosts;
    int64_t max; /* RULE_MAX_VMS */
    int64_t min; /* RULE_SPREAD: domains */
    bool hard;
    int64_t weight;
    char *where; /* "rules/db.yaml:14" */
};
struct policy_file {
    char *name, *text;
};
/* A value that a file gives. */
struct policy_set {
    char *key;       /* "balance.max_moves" */
    char *where;     /* "20-site.yaml:4:14" */
    char *overrides; /* where an earlier file gave another; NULL: none did */
};
struct policy {
    struct {
        int64_t mem_overcommit_ppm; /* 1000000 = none */
        int64_t mem_reserve_bytes;  /* kept for the host itself */
        int64_t vcpu_overcommit_ppm;
        int64_t spare_hosts; /* the fleet can lose so many */
    } capacity;
    struct {
        int transport;              /* enum transport */
        int64_t parallel;           /* moves in flight per host and direction; 0 = auto */
        int64_t link_share_ppm;     /* of the link that moves may use */
        int64_t timeout_us_per_gib; /* then the next step of the ladder, at last abort */
        int64_t retries;            /* further targets after a failed move */
        bool live, persistent, undefine_source, abort_on_error;
        bool compressed, auto_converge, post_copy, multifd;
        int64_t multifd_channels;
        int64_t bandwidth_Bps; /* per move, 0 = link share decides */
        int64_t downtime_us;   /* largest planned pause, 0 = auto */
    } migration;
    struct {
        int on_blocked; /* enum on_blocked */
        int order;      /* enum drain_order */
        bool bring_home;
        bool make_room; /* VMs of other hosts may move where nothing else empties the host */
        int64_t shutdown_timeout_us; /* for a guest that was asked to; it is never destroyed */
    } drain;
    struct {
        struct schedule schedule; /* without text: only when asked */
        struct window *windows;   /* none: always */
        size_t n_windows;
        int64_t
            imbalance_ppm; /* difference between the fullest and the emptiest host that is let be */
        int64_t sustained; /* looks in a row that must find it */
        int64_t min_gain_ppm; /* a plan that improves less is not worth its moves */
        int64_t max_moves;    /* per run */
        int64_t cooldown_us;  /* a VM that moved is left alone for so long */
        int64_t weight_cpu, weight_mem;
        int approve, mode; /* enum approve, enum balance_mode */
        int load;          /* enum balance_load */
        int ceph_pause;    /* enum ceph_pause */
        int64_t busy_ppm; /* CPU use above which a host is relieved; 0: by imbalance */
        int64_t urgent_ppm; /* above it in a minute: the schedule is not waited for; 0: it is */
        int64_t forecast_ppm; /* share of the forecast in it; 0: none is made */
        int64_t room_mem_bytes, room_vcpus; /* of the VM that make-room is for; 0: none, any */
    } balance;
    struct {
        int64_t moves_per_vm_per_day, pause_per_vm_per_day_us; /* 0: no limit */
    } budget;
    struct {
        char *priority; /* label of VMs: its number is their rank, the smallest first; NULL: none */
    } failover;
    struct rule *rules;
    size_t n_rules;
    struct policy_set *set; /* one per key, in the order in which they were first given */
    size_t n_set;
    char *commit;           /* git commit of the work tree, NULL if it is none */
    bool clean;             /* the tree had no local changes */
    char *changed;          /* a file that differs from the commit; NULL: none does */
    char *author, *summary; /* of the commit: "Ann Ode <ann@example.org>", its first line */
    int64_t committed_wall_us;
    char *dir;
    struct policy_file *files; /* what it was read from, in that order: for the record */
    size_t n_files;
    struct zone **zones; /* those that schedule and windows name: for the record too */
    size_t n_zones;
};

void policy_default(struct policy *p);
/* Load every .yaml and .yml file below DIR, in name order; not those of tests (NAME.test.yaml). Gives *ret.
 * A missing directory is an error, and so is a link that leads out of it. */
int policy_load(const char *dir, struct policy *ret, struct err *e);
/* The same from a git revision, without touching a work tree: REV of the repository that DIR is in, with
 * the files that DIR holds there, or REV:PATH with those below PATH. */
int policy_load_revision(const char *dir, const char *rev, struct policy *ret, struct err *e);
/* The same from texts; name: how each is called in messages. */
int policy_load_texts(const struct policy_file *files, size_t n, struct policy *ret, struct err *e);
/* As it was recorded: zones of these tables are not looked up. zones: taken, also on errors. */
int policy_load_recorded(const struct policy_file *files, size_t n, struct zone **zones,
                         size_t n_zones, struct policy *ret, struct err *e);
void policy_done(struct policy *p);
/* draft-07 JSON schema of one policy file, as text (schema/policy.json). Gives. */
char *policy_schema_text(void);
bool selector_matches_vm(const struct selector *s, const struct vm *v);
bool selector_matches_host(const struct selector *s, const struct host *h);
