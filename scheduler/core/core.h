/* scheduler/core/core.h: the brain: events in, decisions and effects out.   PURE: no I/O, no clock,
 * no threads; the simulator and the scheduler run the same code.
 * Purpose  Keeps the inventory, runs and moves; decides what happens next.
 * Contract core_step(event) appends effects. The caller commits every FX_SAVE_*, FX_JOURNAL and
 *          FX_META of one step (or batch of steps) in one store transaction, and only then performs
 *          FX_SEND and FX_REPLY. If the commit fails it performs none of them and stops stepping
 *          (the store's truth is then older than the core's: restart from the store).
 * Time     now_us: scheduler time, never goes back, also across restarts. wall_us: for people.
 * Owner    events borrow; effects own their bodies (core_effects_done).   Thread core only. */
#pragma once

#include "policy/policy.h"
#include "scheduler/core/request.h"
#include "scheduler/core/views.h"
#include "scheduler/plan/snapshot.h"

struct core;

struct xml_names {
    char **digests;
    size_t n_digests;
};
extern const struct shape xml_names_shape;

enum core_event_type {
    CEV_AGENT_UP,   /* host: authenticated, hello accepted; instance tells a restart from a reconnect;
                     * sends_xml, tells_ceph as in the hello */
    CEV_AGENT_DOWN, /* host: its connection ended or fell silent */
    CEV_MSG,        /* host, msg: any frame after the hello */
    CEV_REQUEST,    /* request_id, request */
    CEV_TICK,       /* at least each second */
    CEV_POLICY,     /* policy: taken */
    CEV_NOTE,       /* note: a line of io's own for the journal (a refused policy, the store is back):
                     * the core gives it seq and wall_us and emits FX_JOURNAL, nothing else */
    CEV_XML_LACKS,  /* host, xml: digests that VMs there have and whose texts the store has not */
};
struct core_event {
    enum core_event_type type;
    int64_t now_us, wall_us;
    const char *host;
    const char *instance; /* CEV_AGENT_UP */
    const struct msg *msg;
    int64_t request_id;
    const struct request *request;
    struct policy *policy; /* CEV_POLICY: taken (moved out of, then zeroed) */
    const struct entry *note; /* CEV_NOTE */
    bool sends_xml, tells_ceph; /* CEV_AGENT_UP */
    const struct xml_names *xml; /* CEV_XML_LACKS */
};

enum core_fx_type {
    FX_SEND,      /* host, type, id, body: one frame to that agent; dropped if it is gone */
    FX_REPLY,     /* request_id, reply */
    FX_JOURNAL,   /* entry (seq is already given) */
    FX_SAVE_HOST, /* host: core_host_rec() */
    FX_SAVE_RUN,  /* id: core_run() */
    FX_SAVE_MOVE, /* id: core_move() */
    FX_SAVE_VM,   /* host, vm: core_vm(): the last known inventory, also of unreachable hosts */
    FX_DROP_VM,   /* host, vm */
    FX_SAVE_LOAD, /* host, vm or NULL: core_sample(); forgetting is FX_DROP_VM's */
    FX_SAVE_XML,  /* digest: the text of that name in the message just stepped; keep it once */
    FX_SAVE_SUSPENSION, /* core_suspension() */
};
struct core_fx {
    enum core_fx_type type;
    char *host;
    char *vm; /* uuid */
    char *digest;
    struct msg msg;
    int64_t request_id;
    struct reply reply;
    struct entry entry;
    int64_t id;
};
struct core_effects {
    struct core_fx *fx;
    size_t n_fx;
};
void core_effects_done(struct core_effects *fx);
/* What the effects from `from` on decide, as a number (FNV-1a): a replay must come to the same. */
uint64_t core_effects_digest(const struct core_effects *fx, size_t from);

struct core_config {
    int64_t term;          /* this leadership: stored value + 1 at each start */
    int64_t heartbeat_us;
    uint64_t seed;
};
struct core *core_new(const struct core_config *cfg);
void core_free(struct core *c);

/* Before the first step, from the store: hosts before their VMs, runs before their moves, then
 * core_restored. Borrow. */
void core_restore_host(struct core *c, const struct host_rec *h);
void core_restore_vm(struct core *c, const char *host, const struct vm *v, int64_t since_wall_us);
/* After its host and VM; of one that is not there any more nothing is kept. -EBADMSG: it is damaged;
 * that load is unknown then, and all goes on. */
int core_restore_sample(struct core *c, const struct sample *s, struct err *e);
void core_restore_suspension(struct core *c, const struct suspension *s);
void core_restore_run(struct core *c, const struct run *r);
void core_restore_move(struct core *c, const struct move *m);
/* next_seq: 1 + the journal's last. Moves that were in flight become uncertain and are probed as
 * soon as the agents are back. */
void core_restored(struct core *c, int64_t next_seq, int64_t now_us, int64_t wall_us,
                   struct core_effects *fx);

/* Before core_restored: the policy in force from the first decision on. Takes (zeroes *p). */
void core_restore_policy(struct core *c, struct policy *p);
/* The policy of a core that is about to be freed, for the one built after it. Gives. */
void core_take_policy(struct core *c, struct policy *ret);

void core_step(struct core *c, const struct core_event *ev, struct core_effects *fx);
/* Before an orderly end: FX_SAVE_LOAD of all, as steps do in turn. */
void core_keep_load(struct core *c, struct core_effects *fx);

/* What FX_SAVE_* name; borrowed until the next step; NULL if unknown. */
const struct host_rec *core_host_rec(const struct core *c, const char *name);
const struct vm *core_vm(const struct core *c, const char *host, const char *uuid,
                         int64_t *ret_since_wall_us);
/* Gives; false: nothing to keep. vm NULL: of the host. */
bool core_sample(const struct core *c, const char *host, const char *vm, struct sample *ret);
const struct suspension *core_suspension(const struct core *c);
char *suspension_text(const struct suspension *s); /* of one that is on: "suspended by ...". Gives */
const struct run *core_run(const struct core *c, int64_t id);
const struct move *core_move(const struct core *c, int64_t id);
const struct policy *core_policy(const struct core *c);

/* Texts of VMs' XML that the store lacks, as far as the core was told; ret_quiet_us (may be NULL): how
 * long none has come. */
int64_t core_xml_lacks(const struct core *c, int64_t *ret_quiet_us);

/* VMs that somebody moves away from where Drover puts them, by their last move. Gives the list, whose names
 * are borrowed until the next step. */
struct contested {
    const char *vm, *host; /* name; where it is */
    int64_t until_wall_us; /* balance runs leave it alone */
};
struct contested *core_contested(const struct core *c, size_t *ret_n);

/* What balance runs leave out for now, because it failed. Gives (left_out_done). */
struct left_out *core_left_out(const struct core *c, size_t *ret_n);
void left_out_done(struct left_out *list, size_t n);
/* Is it about this VM, which is on that host? */
bool left_out_concerns(const struct left_out *x, const char *vm, const char *on);
/* "vm/a to h4 until ...: failed 2 times since ..., last: ...". Gives. */
char *left_out_words(const struct left_out *x);

/* When scheduled balance looks next, and whether its moves may begin. */
struct look_view {
    const char *schedule;   /* as the policy has it, borrowed; NULL: none, and nothing else is known */
    int64_t next_wall_us;   /* 0: at no time to come */
    bool open;              /* the window, or there is none */
    int64_t change_wall_us; /* of the window; 0: it has none, or never changes */
    int64_t waits;          /* the run whose plan waits for an operator; 0: none */
    const char *said;       /* of the last look, borrowed; NULL: nothing, or it began a run */
    bool held;              /* it waited until Ceph is well */
};
void core_view_look(const struct core *c, int64_t wall_us, struct look_view *ret);

/* Queries. Give (release by shape_done with the view's shape). */
void core_view_hosts(const struct core *c, int64_t wall_us, struct hosts_view *ret);
void core_view_vms(const struct core *c, int64_t wall_us, struct vms_view *ret);
void core_view_runs(const struct core *c, int64_t wall_us, struct runs_view *ret);
/* -ENOENT with a sentence that helps. */
int core_view_run(const struct core *c, int64_t id, int64_t wall_us, struct run_view *ret, struct err *e);
/* vm: name, uuid or name@host. -ENOENT, or -EEXIST when the name is ambiguous (says which hosts). */
int core_view_explain(const struct core *c, const char *vm, int64_t wall_us, struct explain_view *ret,
                      struct err *e);
/* name, uuid or name@host. The VM's id, or -errno as above. */
int snapshot_vm_named(const struct snapshot *s, const char *vm, struct err *e);
/* The same of a fleet without a core: no history. Gives *ret and the VM's id, or -errno. The VM's own
 * move in flight is taken out of s: it does not make it unmovable. */
int snapshot_explain(const struct snapshot *s, const struct policy *p, const char *vm,
                     struct explain_view *ret, struct err *e);

struct snapshot_store {
    struct snapshot s;
    struct snap_host *hosts;
    struct snap_vm *vms;
    struct cpu_figures *figures; /* of hosts and VMs, NULL: not asked for */
    struct vm *coming; /* owned: a VM of no host, for which there is to be room; NULL: none */
};
/* The fleet as the planner sees it. Borrows from the core until its next step; snapshot_done releases
 * the lists. */
void core_snapshot(const struct core *c, struct snapshot_store *ret);
void snapshot_done(struct snapshot_store *s);
/* The fleet as it is now, to be read in pieces between the steps to come (without measured figures): what
 * those change is kept as it was until core_unpin. One at a time; a new one ends the one before. Making it
 * takes as long as core_snapshot. vms: so many of its VMs, from the first, have been read. */
const struct snapshot *core_pin(struct core *c);
void core_pin_read(struct core *c, size_t vms);
void core_unpin(struct core *c);
