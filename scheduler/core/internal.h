/* scheduler/core/internal.h: the core's own state, shared by the files of this room only.
 * Map   world.c inventory and snapshots · load.c, series.c measured load · ask.c commands and their
 *       answers · check.c what answers of the real checks mean · run.c life of a run · runhosts.c its
 *       hosts · planned.c plans as data · runplan.c planning · runcheck.c with the real checks · place.c
 *       where a queued move can go · admit.c whose turn it is · waits.c moves that wait · move.c life of
 *       a move · heard.c what is heard of it · settle.c where a VM is, from evidence · drain.c the end of
 *       a drain · balance.c balance runs · room.c those that make room · cooldown.c, failures.c what they
 *       leave alone · schedule.c when they begin · suspend.c when they do not · request.c operator verbs · label.c one of them · view.c
 *       queries · core.c dispatch · xml.c texts of the VMs' XML · cephhealth.c
 *       how well Ceph is · pin.c a fleet read in pieces · lists.c
 *       what is found without a search, and what is open.
 * Thread core only.   PURE. */
#pragma once

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/lookup.h"
#include "scheduler/core/core.h"
#include "scheduler/core/planned.h"
#include "scheduler/core/runhosts.h"
#include "scheduler/core/series.h"
#include "scheduler/plan/plan.h"

/* Why these: docs/timelines.md. */
enum { SETTLE_ROUNDS = 5, LOCK_ROUNDS = 4, GIVEN_UP_ROUNDS = 20, PLAN_ROUNDS = 64, CHECK_BATCH = 32 };
#define ASK_TIMEOUT_US (40 * SEC)      /* > the agent's own 30 s deadline for Ceph and libvirt */
#define PROBE_TIMEOUT_US (12 * SEC)    /* then that side counts as silent for this round */
#define PROBE_EVERY_US (500 * MSEC)
#define PROBE_SLOW_US (2 * SEC)        /* after the first ten rounds */
#define STARTUP_GRACE_US (15 * SEC)    /* agents reconnect with up to 10 s of jitter */
#define SOURCE_GONE_US (90 * SEC)      /* > 30 s watch expiry + libvirt's 30 s keepalive, twice over */
#define RETRY_DELAY_US (5 * SEC)
#define SILENT_COPY_US (20 * SEC)      /* > the agent's deadline for one question to libvirt */
#define LATE_NEWS_US (60 * SEC)        /* a host may report so late what a move of ours did */
enum { XML_AT_ONCE = 4, XML_BATCH = 256 }; /* agents asked in one tick; digests in one question */
#define XML_TIMEOUT_US (10 * SEC)      /* an agent has them in memory */
#define XML_AGAIN_US (60 * SEC)
#define CEPH_ASK_US (30 * SEC)
#define CEPH_STALE_US (120 * SEC)      /* three further questions got no answer */
#define CEPH_AHEAD_US (20 * SEC)       /* > the agent's own deadline for one question, 16 s */
enum { CEPH_CLUSTERS_MAX = 16 };

struct vm_rates { /* as last told; bytes/s up to 4 GB/s, UINT32_MAX unknown */
    uint32_t read, write, rx, tx;
};
struct vm_slot {
    struct vm vm; /* first: a snapshot's VM leads back here */
    struct host_slot *host;
    struct vm_slot *twin; /* the next with its UUID (on another host), in a ring: itself when alone */
    int64_t since_wall_us;
    int64_t came_wall_us; /* another hand brought it here; 0: nobody did, or before our last start */
    int64_t told_us; /* its host last spoke of it; 0: not since we were started */
    bool gone; /* its host says so while a move of it is not settled: kept until it is */
    struct vm_rates rates;
    struct series cpu;
    unsigned char xml_lacks, xml_gone; /* bits of xml.c: not in the store; and its agent has it not */
};
struct host_slot {
    struct host_rec rec;
    bool connected, reported; /* reported: a full report came over this connection */
    bool sends_xml, lacks_xml; /* lacks_xml: a VM of it may */
    bool tells_ceph;
    int64_t xml_after_us;
    char *instance;
    struct vm_slot **vms;
    size_t n_vms;
    size_t no; /* of c->hosts */
    struct host_load load;    /* the last; at load_at_us, 0: none on this connection */
    int64_t load_at_us, load_until_us; /* fresh until */
    struct series busy, other; /* CPU: all, and what no measured VM uses */
};
struct vm_order { /* all VMs by name, then UUID; those that are new come in when it is next needed */
    struct vm_slot **sorted, **added;
    size_t n_sorted, n_added;
};

/* The planner's index of a fleet with these names, labels and rules, from which the present one is made:
 * where VMs are changes all the time, and who is asked for by which rule hardly ever. */
struct known_fleet {
    struct snapshot_store snap; /* as it was; only for its counts */
    struct plan_index *index;   /* NULL: none */
    int64_t names;
};

enum ask_for {
    ASK_PLAN_SRC, ASK_PLAN_DST, ASK_PLAN_PEER, /* run: checks before the first move */
    ASK_PREP_SRC, ASK_PREP_DST,                /* move: the same again, right before it */
    ASK_TOLD, /* an abort, a leftover's end: its effect is seen by the probes, not by the answer */
    ASK_MIGRATE, ASK_PROBE_SRC, ASK_PROBE_DST, ASK_TIDY, ASK_STOP, ASK_START,
    ASK_HALT,                                  /* run: shut a blocked VM off, by the operator's word */
    ASK_CENSUS,
    ASK_CHECK_HOST, ASK_CHECK_PEER_AB, ASK_CHECK_PEER_BA, ASK_RELABEL, /* request */
    ASK_XML, ASK_CEPH,
};
struct ask { /* a command whose answer is awaited */
    int64_t id;
    enum ask_for what;
    char *host, *vm;
    int64_t run, move, request_id;
    int64_t deadline_us; /* INT64_MAX: the answer comes when it comes (migrate) */
};

struct refusal { /* learnt by asking; part of every further plan of the run */
    char *vm, *host; /* uuid, host name; host NULL: nowhere */
    char *from;      /* vm NULL: of all VMs on this host */
    struct reason why;
    bool tried;      /* a migration failed there: may be tried again when nothing else is left */
};
struct known { /* what one host said about one VM while planning; the VM's own host: as source */
    char *vm, *host;
    bool source, answered, judged;
    struct verdict said;
};
struct host_end { /* how far the proof is that a host is empty */
    bool census_out;
    int census_rounds;
    int64_t census_after_us; /* not before: a failed census is asked again later */
};
struct run_slot {
    struct run run;
    struct move_slot **moves; /* its own, by id */
    size_t n_moves, n_open;   /* open: of its moves */
    bool open;                /* in c->open_runs */
    int64_t closed_us;        /* when it was last taken out of there */
    struct refusal *refusals;
    size_t n_refusals, n_held; /* held: of a balance run, before anybody was asked */
    struct known *known;
    size_t n_known;
    char **peers; /* hosts whose libvirtd the source was asked to reach */
    size_t n_peers;
    int64_t waiting; /* answers outstanding */
    int rounds, late_rounds;
    struct host_end *ends; /* per run.hosts[] */
    int64_t planning_since_us;
    int64_t held_version, hold_again_us; /* of a plan that waits */
    bool dirty; /* save it at the end of the step */
};
struct move_slot {
    struct move m;
    struct move_slot *before; /* of the same VM */
    bool open;                /* in c->open_moves */
    int64_t not_before_us, admitted_us, copy_start_us, flow_since_us, progress_us;
    int prep_waiting;
    bool prep_bad;
    struct reason prep_why;
    bool prep_why_vm; /* the reason is about the VM, not the pair */
    struct probed src, dst; /* latest answers of the present probing */
    bool have_src, have_dst; /* in this round */
    bool src_heard;          /* since the doubt arose */
    int64_t next_probe_us, uncertain_since_us;
    int64_t dst_seen_us; /* the destination's word on it came */
    int probe_rounds;
    bool tidy_refused, stopped_by_us, flowing, longer_pause, leftover_told, both_told,
        post_copy_told;
    bool prep_done;
    bool place_lost;          /* to others, while both ends were asked */
    int64_t held_version;     /* of the fleet, when its place was last held against it */
    int64_t look_again_us;    /* blocked: not before, while the fleet is the same; 0: it is not */
    bool silence_noted;       /* in the note */
    bool waits_for_checks;    /* said once: they get no answer */
    bool gave_up;             /* aborted because it took too long */
    bool source_lost;         /* settled without it: it did not answer for too long */
    bool began;               /* this try told the source to act; until then nothing happened */
    bool handled;             /* its failure has been turned into a retry or a stay */
    enum reason_code no_target; /* what the last search for a target ended with */
    int64_t left_since_us;    /* queued, and no longer on its host */
    int64_t blocked_since_us; /* queued, and no target would take it just now */
    bool dirty;
};
struct pending { /* a request that is answered when the agents have */
    int64_t request_id;
    int waiting;
    struct reply reply;
};

struct ceph_slot { /* one cluster, by the name under which VMs know it; cephhealth.c */
    char *key;
    struct ceph_told told; /* the last answer that was one, at told_us; 0: none yet */
    int64_t told_us;
    bool seen, asking, asked; /* in this round; now; ever, with an end */
    bool unknown_said;
};

struct core {
    struct core_config cfg;
    struct policy policy;
    struct host_slot **hosts; /* sorted by name */
    size_t n_hosts, n_reported;
    struct lookup vms;         /* UUID: a vm_slot */
    struct vm_order *order;
    struct known_fleet known;
    struct core_pin *pin; /* NULL: nobody reads */
    int64_t names; /* grows with every change of a name, a label, a failure domain */
    struct run_slot **runs;   /* by id: those that are open, and the newest LIM_RUNS_KEPT */
    size_t n_runs;
    struct move_slot **moves; /* by id: theirs */
    size_t n_moves;
    struct lookup moved;       /* UUID: its newest move */
    /* Those for which anything can still happen, by id: all that a step has to look at. */
    struct run_slot **open_runs;
    size_t n_open_runs;
    struct move_slot **open_moves;
    size_t n_open_moves;
    struct move_slot **active; /* of these, those that have their turn: see admit.c */
    size_t n_active;
    bool active_stale;
    struct ask *asks; /* by id */
    size_t n_asks;
    struct pending *pending;
    size_t n_pending;
    int64_t now_us, wall_us, start_us;
    size_t n_lacking, xml_turn; /* hosts that lack XML; whose turn it is to be asked */
    int xml_asked;              /* agents that were and have not answered */
    int64_t xml_heard_us;       /* when a text last came */
    struct { /* schedule.c */
        int64_t next_wall_us, last_wall_us; /* 0: to be worked out */
        int64_t in_a_row; /* looks that found something to do */
        int64_t policy, version; /* grows with each policy; of next_wall_us */
        char *said;
        struct { /* the last plan that led to nothing: until then, for the same fleet */
            int64_t version, until_us, waits; /* the fleet's; a run that waits, or 0 */
            bool *over; /* per host: was too full or too busy */
        } vain;
    } look;
    struct suspension suspended;
    struct ceph_slot *ceph;
    size_t n_ceph, ceph_turn; /* whose agent is asked: the same, until it fails */
    int64_t ceph_next_us;
    int64_t lead_us; /* from a move's turn to its first byte, as lately seen */
    int64_t next_seq, next_cmd, next_run, next_move, version;
    size_t keep_host, keep_vm; /* whose series is stored next */
    int64_t keep_from_us;      /* those so far were stored by then */
    struct core_effects *fx; /* of the step under way */
};

/* core.c */
struct core_fx *fx_add(struct core *c, enum core_fx_type type);
struct about {
    const struct run_slot *r;
    const struct move_slot *m;
    const char *host, *vm, *actor;
};
/* Journal one sentence. */
void say(struct core *c, struct about a, const char *kind, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void set_str(char **slot, const char *value);             /* copies */
void set_fmt(char **slot, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct run_slot *run_find(const struct core *c, int64_t id);
struct move_slot *move_find(const struct core *c, int64_t id);
void run_slot_begin(struct run_slot *r); /* its hosts are known */
void run_slot_free(struct run_slot *r);
void move_slot_free(struct move_slot *m);
void run_forget_checks(struct run_slot *r); /* what was learnt for its plans */

/* lists.c */
struct vm_slot *vm_add(struct core *c, struct host_slot *h, const struct vm *v);
void vm_update(struct core *c, struct vm_slot *s, const struct vm *v); /* of the same UUID */
void vm_livelier(struct core *c, const struct vm_slot *s); /* its state or job was set */
void vm_remove(struct core *c, struct vm_slot *s);
void vms_sort(struct vm_order *o);
void run_link(struct core *c, struct run_slot *r); /* new, or from the store; open */
void move_link(struct core *c, struct move_slot *m);
void run_wake(struct core *c, struct run_slot *r); /* something came for it; NULL: nothing */
void move_wake(struct core *c, struct move_slot *m);
/* For the planner. s: of this core, now. Give it back to plan_index_free before the next change. */
struct plan_index *fleet_index(struct core *c, const struct snapshot *s);
void fleet_forget(struct core *c); /* before the policy changes */
void lists_settle(struct core *c); /* what rests is open no more, the oldest is forgotten */

/* world.c */
struct host_slot *host_find(const struct core *c, const char *name);
struct host_slot *host_get(struct core *c, const char *name); /* adds when new */
struct vm_slot *vm_find(const struct host_slot *h, const char *uuid);
void host_set_state(struct core *c, struct host_slot *h, int state, int64_t run, const char *actor,
                    const char *reason);
void world_report(struct core *c, struct host_slot *h, const struct report *r);
bool vm_half_here(const struct vm_slot *v); /* it has come here, its source has not let go of it yet */
void vm_moved(struct core *c, const struct move_slot *m); /* a settled move: seen before the reports come */
void vm_stayed(struct core *c, const struct move_slot *m); /* settled at the source, or nowhere */
/* skip_move: its destination reservation is left out (0: none); for_run: VMs of other runs are
 * flagged. Borrows from the world until its next change. */
void snapshot_make(const struct core *c, int64_t for_run, int64_t skip_move,
                   struct snapshot_store *ret);
int snap_host_id(const struct snapshot *s, const char *name);   /* -1 unknown */
int snap_vm_id(const struct core *c, const struct snapshot *s, const char *uuid);
bool vm_active(int state); /* has a QEMU process */

/* ask.c */
/* Send a command; body is moved out of *body (shape of type). Returns false, and releases body, if
 * the agent is not connected. */
bool ask(struct core *c, struct ask want, enum msg_type type, void *body);
void ask_answered(struct core *c, struct host_slot *h, const struct msg *m);
void ask_host_down(struct core *c, const char *host);
void ask_expire(struct core *c);
void ask_forget_run(struct core *c, int64_t run);
void ask_forget_probes(struct core *c, int64_t move); /* answers from before a new doubt */
void *body_new(enum msg_type type);

/* load.c: what agents measure */
void load_report(struct core *c, struct host_slot *h, const struct load_report *r);
void load_host_down(struct host_slot *h);
bool load_fresh(const struct core *c, const struct host_slot *h);
/* Its VM goes on in another slot: so does what is known of its load. */
void load_follow(struct core *c, struct vm_slot *to, struct vm_slot *from);
void load_slot_init(const struct core *c, struct vm_slot *s);
void load_learn(struct core *c); /* or not, as the policy says now */
void load_keep(struct core *c);  /* each tick: store some */
/* As people and plans see them, at wall_us. */
struct cpu_figures load_of_vm(const struct core *c, const struct vm_slot *s, int64_t wall_us);
struct cpu_figures load_of_host(const struct core *c, const struct host_slot *h,
                                const struct series *which, int64_t wall_us);
/* Measured figures into a snapshot just made: plans for load need them, others do not. */
void snapshot_figures(const struct core *c, struct snapshot_store *s);
/* xml.c */
void xml_changed(struct vm_slot *s, const struct vm *was); /* s->vm is another now */
void xml_lacks(struct core *c, const char *host, char *const *digests, size_t n);
void xml_agent_up(struct host_slot *h, bool sends_xml);
void xml_tick(struct core *c);
void xml_answer(struct core *c, const struct ask *a, const struct msg *m);

/* cephhealth.c: balance runs wait while Ceph is not well */
void ceph_refresh(struct core *c); /* ask, if the policy wants it and the last time is a while ago */
void ceph_answer(struct core *c, const struct ask *a, const struct msg *m);
/* Why balancing is to wait now. Gives; NULL: it is not. What is not known holds nothing up. */
char *ceph_pauses(const struct core *c);
/* Does no further move of this balance run begin for now? Says so once, and when it is over. */
bool ceph_holds(struct core *c, struct run_slot *r);
void ceph_done(struct core *c);

/* pin.c: the facts of a VM or host are replaced; they are released, or go to who still reads them */
void pin_release_vm(struct core *c, const struct vm_slot *s, struct vm *old); /* what s->vm was, or is */
void pin_release_host(struct core *c, struct host *old); /* where the slot has them */

/* check.c */
/* What speaks against leaving, as the source and its Ceph facts say. False and *why (owned). */
bool check_source(const struct core *c, const struct vm *v, const char *src,
                  const struct verdict *answer, struct reason *why);
/* What speaks against dst: its verdict, then its Ceph facts against the source's. */
bool check_target(const struct verdict *answer, const char *dst, const struct image_fact *src_images,
                  size_t n_src, struct reason *why);
/* After a move: is `h` the only host that can write the images? Says why not. */
bool check_only_writer(const struct core *c, const struct host_slot *h, const struct disk *disks,
                       size_t n_disks, const struct image_fact *images, size_t n_images,
                       char **ret_why_not);
void facts_copy(struct image_fact **dst, size_t *n_dst, const struct image_fact *src, size_t n);
void facts_done(struct image_fact **list, size_t *n);
void reason_set(struct reason *r, enum reason_code code, const char *host, const char *what,
                const char *need, const char *have, const char *cure);
const char *cure_for(enum reason_code code);
char *reason_sentence(const struct reason *r); /* "h3: not enough memory: needs 4.2 GiB, has ..." */

/* run.c: life of a run */
struct run_slot *run_new(struct core *c, int kind, const struct request *req);
struct run_slot *run_active_on(const struct core *c, const char *host);
void run_step(struct core *c, struct run_slot *r); /* whatever can be done next */
void run_end(struct core *c, struct run_slot *r, int state, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void run_cancel(struct core *c, struct run_slot *r, const char *actor);
void run_count(struct core *c, struct run_slot *r);
/* The VM of this move stays, and why. */
void run_stay_after(struct core *c, struct run_slot *r, struct move_slot *m, const char *why);
void run_stay_of_home(struct stay *st); /* only what speaks against home itself */
/* libvirt's job of a failed try ends; an agent that has just come back reports in a moment. */
bool run_reason_passes(enum reason_code why);
bool run_no_answer(enum reason_code why); /* it says nothing of VM or target */
/* Does the move take a VM of the run's own away from where it was? */
bool run_owns(const struct run *r, const struct move *m);

/* drain.c: the end of a drain */
void drain_begins(struct core *c, struct run_slot *r); /* its hosts take no VMs from now on */
/* Whatever can be done next for hosts that nothing leaves any more; open: some move is under way. */
void drain_finish(struct core *c, struct run_slot *r, bool open);
/* Hosts that are not ended are again what they were. Gives a sentence. */
char *drain_undo(struct core *c, struct run_slot *r);
void run_census_answer(struct core *c, struct run_slot *r, const struct ask *a, const struct msg *m);
void run_halt_answer(struct core *c, struct run_slot *r, const struct ask *a, const struct msg *m);

/* balance.c: balance runs */
void balance_request(struct core *c, int64_t id, const struct request *req);
/* Before the first plan: VMs that are to be left alone for now are refused. */
void balance_hold_back(const struct core *c, struct run_slot *r);
/* Into *ret, which borrows *avoid. */
void balance_wants(const struct core *c, const struct run *r, const struct snapshot *s, int **avoid,
                   size_t *n_avoid, struct plan_request *ret);
/* The plan stands. */
void balance_settle(struct core *c, struct run_slot *r, const struct snapshot *s,
                    const struct plan *p);
/* Does the move still help? False: it, or all that is left, is dropped, and why is said. */
bool balance_admits(struct core *c, struct run_slot *r, struct move_slot *m);
/* It is held up for now, for Ceph is not well. */
bool balance_waits(struct core *c, struct run_slot *r, struct move_slot *m);
void balance_drop_all(struct core *c, struct run_slot *r, enum reason_code code, const char *why);
void balance_failed(struct core *c, struct run_slot *r, struct move_slot *m);
void balance_moved(struct core *c, struct run_slot *r, struct move_slot *m);
struct run_slot *balance_under_way(const struct core *c); /* NULL: none */
/* A move of a balance run that is under way from or to a host of this run; NULL: none. */
const struct move_slot *balance_in_way(const struct core *c, const struct run_slot *r);
/* Dry runs interrupt nothing; what they are to find is what the real one would. */
bool balance_would_yield(const struct run *balance, const struct run *dry);
/* Another run goes first: nothing more begins. True: it has ended. */
bool balance_yields(struct core *c, struct run_slot *r);
void balance_end(struct core *c, struct run_slot *r); /* nothing is under way any more */
void balance_start(struct core *c, struct run_slot *r); /* its moves begin */
/* Another run that goes before balance runs; NULL: none. */
const struct run_slot *balance_goes_after(const struct core *c, const struct run_slot *mine);
/* Why the plan as a whole would not help any more; NULL: it would. */
const char *balance_still_gains(struct core *c, struct run_slot *r);

/* room.c: balance runs that make room */
void room_of_policy(const struct policy *p, struct room *ret);
/* What a request asks for; of other modes nothing. False: it has been answered. */
bool room_asked(struct core *c, int64_t id, const struct request *req, int mode, struct room *ret);
bool room_same(const struct room *a, const struct room *b);
/* A VM that is to come joins the fleet; before anything asks for ids. */
void room_stage(const struct run *r, struct snapshot_store *x);
/* The VM in question; -1: it is gone, or does not run any more. */
int room_vm(const struct core *c, const struct run *r, const struct snapshot *s);
/* The plan stands. True: there is nothing to move, and the run has ended. */
bool room_settle(struct core *c, struct run_slot *r, const struct snapshot *s,
                 const struct plan *p);
/* What a look finds. on: the host that has the room, -1: none; plan NULL: none was made. Gives. */
char *room_look_words(const struct policy *p, const struct run *r, const struct snapshot *s, int on,
                      const struct plan *plan);
/* By what a plan that is carried out is judged. */
struct room_judging {
    struct plan_request req; /* borrows the lists */
    int *to, *avoid;
};
void room_judged(const struct core *c, const struct run *r, const struct snapshot *s,
                 struct room_judging *ret);
void room_judging_done(struct room_judging *j);
void room_end(struct core *c, struct run_slot *r, const char *why_not); /* NULL: nothing was left */

/* schedule.c: balance runs that begin by themselves, and plans that wait for an operator */
void schedule_tick(struct core *c);
/* R_NONE: a move of the run may begin now. */
enum reason_code schedule_refuses(const struct core *c, const struct run_slot *r);
void proposal_step(struct core *c, struct run_slot *r);
void proposal_expire(struct core *c, struct run_slot *r, const char *why);
void apply_request(struct core *c, int64_t id, const struct request *req);

/* suspend.c */
void suspend_request(struct core *c, int64_t id, const struct request *req);
void unsuspend_request(struct core *c, int64_t id, const struct request *req);
void suspend_tick(struct core *c); /* it ends at its time */

/* runplan.c: from a run to the planner and back, with the real checks in between */
void run_plan(struct core *c, struct run_slot *r);
/* The planner's word alone, for a balance run that is none yet. */
void run_sketch(struct core *c, struct run_slot *r, const struct snapshot *s, struct plan *ret);
void run_create_moves(struct core *c, struct run_slot *r, const struct snapshot *s,
                      const struct plan *p);
bool run_has_unplanned(struct core *c, const struct run_slot *r);
void run_refuse(struct run_slot *r, const char *vm, const char *host, const struct reason *why,
                bool tried);
/* A new target for one queued move: true and m->to set, or false and *stay (plan_stay of the VM). */
bool run_replan_move(struct core *c, struct run_slot *r, struct move_slot *m, bool forget_tried);

/* runcheck.c: what a plan proposes, really asked */
/* Ask about the pairs that were not yet. False: none was left. */
bool run_ask_unknown(struct core *c, struct run_slot *r, const struct snapshot *s,
                     const struct plan *p);
void run_plan_answer(struct core *c, const struct ask *a, const struct msg *m);
void run_judge_answers(struct core *c, struct run_slot *r, const struct snapshot *s);

/* place.c */
/* Is there still room for it where it goes, and do its rules allow it? False: why is in its note. */
bool target_holds(struct core *c, struct run_slot *r, struct move_slot *m);
/* The same, or elsewhere (m->to). False: it waits, or has waited too long and is refused. */
bool place_found(struct core *c, struct run_slot *r, struct move_slot *m);

/* admit.c: when a queued move gets its turn */
bool admit_now(struct core *c, const struct run *r, const struct move_slot *m);
void admit_flows(struct core *c, struct move_slot *m); /* its first bytes were seen */

/* waits.c: moves that wait for others of their run */
/* Some move that it waits for has not ended yet; its note says which. */
bool waits_on(const struct core *c, struct move_slot *m);
bool waits_still(const struct core *c, const struct move_slot *m); /* the same, without the note */
/* What waits for a move that did not move is taken back and planned anew, or becomes a stay. */
void waits_settle(struct core *c, struct run_slot *r);
/* Where a parked VM goes on from. */
void waits_follow(struct core *c, const struct move_slot *m);

/* move.c */
struct move_slot *move_new(struct core *c, struct run_slot *r, const struct snapshot *s,
                           const struct plan_move *pm);
int move_event(struct core *c, struct move_slot *m, enum job_event ev);
void move_tick(struct core *c, struct move_slot *m);
void move_answer(struct core *c, const struct ask *a, const struct msg *m, struct move_slot *mv);
void move_progress(struct core *c, const char *host, const struct progress *p);
void move_host_down(struct core *c, const char *host);
bool move_active(const struct move_slot *m);
void move_prep_note(struct move_slot *m, enum reason_code code, const char *host,
                    const char *have);
struct move_slot *move_of_vm(const struct core *c, const char *uuid);
void move_failed_reason(const struct move_slot *m, struct reason *ret);

/* settle.c */
enum job_event settle_judge(struct core *c, struct move_slot *m);

/* request.c */
void request_do(struct core *c, int64_t id, const struct request *req);
void answer_text(struct core *c, int64_t id, int http, int exit_code, const char *code, int64_t run,
                 const char *fmt, ...) __attribute__((format(printf, 7, 8)));
struct pending *pending_find(struct core *c, int64_t id);
void pending_drop(struct core *c, struct pending *p); /* it has been answered */
/* All of them are known, or the request is answered. */
bool hosts_exist(struct core *c, int64_t id, char *const *names, size_t n);
void answer_joined(struct core *c, int64_t id, const struct run_slot *r);
void request_check_answer(struct core *c, const struct ask *a, const struct msg *m);
/* hands.c: until when balancing leaves a VM alone that is on host `on` now, because somebody moves it away
 * from where Drover puts it; 0: nobody does. */
int64_t vm_contested_until(const struct core *c, const char *uuid, const char *on);
/* cooldown.c: do balance runs leave it alone for now? Fills *ret (owned). */
bool vm_held_back(const struct core *c, const struct vm_slot *v, struct reason *ret);
/* Hosts that it left by a balance move within a day are refused to the run. */
void vm_not_back(const struct core *c, const struct vm_slot *v, struct run_slot *r);
/* failures.c: before the first plan, unless the run forgets them: what failed a short while ago is refused. */
void failures_refuse(const struct core *c, struct run_slot *r);
/* What it leaves out: the first three, and how many more; NULL: nothing. Gives. */
char *run_left_out_words(const struct run *r);
/* The plan stands: what it leaves out is said, and what the real checks refused is kept. */
void failures_note(struct core *c, struct run_slot *r);
/* "; balance leaves out its way to h4 until ...", after this one failed. Gives. */
char *failures_after(const struct core *c, const struct move *m);
/* label.c */
void label_do(struct core *c, int64_t id, const struct request *req);
void label_answer(struct core *c, const struct ask *a, const struct msg *m);
