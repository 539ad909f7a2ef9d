/* scheduler/core/fleet.h: hosts and VMs: what is known of them, and what their agents are asked.
 * Owner    files of this room, through internal.h.   Thread core only.   PURE. */
#pragma once

#include "scheduler/core/slots.h"

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
int64_t load_soon_ppm(const struct core *c, const struct host_slot *h); /* of its CPUs, −1 unknown */
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
char *reason_sentence(const struct reason *r); /* "h3: not enough memory: needs 4.2 GiB, has ..." */
