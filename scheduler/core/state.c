#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/core/request.h"
#include "scheduler/core/views.h"

#include "policy/policy.h"
#include "scheduler/plan/snapshot.h"

const char *const run_kind_names[RUN_KINDS_] = {"drain", "home", "balance"};
const char *const run_state_names[RUN_STATES_] = {"planning", "running", "cancelling", "proposed",
                                                  "done",     "partly",  "refused",    "cancelled",
                                                  "failed",   "planned", "expired"};
const char *const verb_names[VERB_COUNT_] = {
    "drain", "cordon",  "resume", "cancel",          "check_host",    "check_pair",
    "label", "balance", "apply",  "suspend_balance", "resume_balance"};

#define T struct stay
SHAPE(stay_shape, T, SF_STR(T, vm), SF_STR(T, name), SF_STR(T, host), SF_BOOL(T, stopped),
      SF_BOOL(T, off), SF_BOOL(T, deaf), SF_BOOL(T, cold), SF_STR(T, disobeyed),
      SF_LIST(T, reasons, &reason_shape), SF_LIST(T, ways, &way_shape));
#undef T
#define T struct proof
SHAPE(proof_shape, T, SF_BOOL(T, taken), SF_INT(T, wall_us), SF_INT(T, running), SF_INT(T, defined),
      SF_INT(T, jobs), SF_INT(T, watchers));
#undef T
#define T struct plan_standing
SHAPE(standing_shape, T, SF_INT(T, min_ppm), SF_INT(T, max_ppm), SF_INT(T, mean_ppm),
      SF_INT(T, deviation_ppm), SF_INT(T, broken), SF_INT(T, soft), SF_BOOL(T, measured),
      SF_INT_OR(T, cpu_min_ppm, -1), SF_INT_OR(T, cpu_max_ppm, -1), SF_INT_OR(T, cpu_mean_ppm, -1),
      SF_INT_OR(T, cpu_deviation_ppm, -1), SF_INT(T, cpu_unknown), SF_INT(T, cpu_guessed));
#undef T
#define T struct refused
SHAPE(refused_shape, T, SF_STR(T, code), SF_INT(T, n), SF_STRS(T, some));
#undef T
#define T struct left_out
SHAPE(left_out_shape, T, SF_STR(T, vm), SF_STR(T, vm_name), SF_STR(T, from), SF_STR(T, host),
      SF_INT(T, times), SF_INT(T, others), SF_INT(T, since_wall_us), SF_INT(T, until_wall_us),
      SF_STR(T, error));
#undef T
#define T struct told_no
SHAPE(told_no_shape, T, SF_STR(T, vm), SF_STR(T, vm_name), SF_STR(T, from), SF_STR(T, host),
      SF_STR(T, code), SF_STR(T, error), SF_INT(T, wall_us));
#undef T
#define T struct move_gain
SHAPE(move_gain_shape, T, SF_BOOL(T, judged), SF_BOOL(T, measured_known),
      SF_OBJ(T, before, &standing_shape), SF_OBJ(T, after, &standing_shape),
      SF_OBJ(T, measured, &standing_shape));
#undef T
#define T struct run_host
SHAPE(run_host_shape, T, SF_STR_REQ(T, name), SF_ENUM(T, was, host_state_names),
      SF_INT(T, ended_wall_us), SF_OBJ(T, proof, &proof_shape));
#undef T
#define T struct run_forecast
SHAPE(run_forecast_shape, T, SF_INT_OR(T, makespan_us, -1), SF_INT_OR(T, bound_us, -1),
      SF_INT_OR(T, bytes, -1), SF_INT_OR(T, peak, -1), SF_INT_OR(T, pause_us, -1),
      SF_INT_OR(T, pause_limit_us, -1), SF_INT(T, never), SF_INT(T, writers), SF_STRS(T, blind));
#undef T
#define T struct move_forecast
SHAPE(move_forecast_shape, T, SF_INT_OR(T, start_us, -1), SF_INT_OR(T, end_us, -1),
      SF_INT_OR(T, pause_us, -1), SF_INT_OR(T, bytes, -1), SF_BOOL(T, never), SF_INT(T, need_Bps));
#undef T
#define T struct room
SHAPE(room_shape, T, SF_INT(T, mem_bytes), SF_INT(T, vcpus), SF_STR(T, vm), SF_STR(T, vm_name),
      SF_STR(T, host), SF_INT(T, before_bytes), SF_INT(T, planned_bytes), SF_INT(T, after_bytes));
#undef T
#define T struct run
SHAPE(run_shape, T, SF_INT_REQ(T, id), SF_ENUM(T, kind, run_kind_names),
      SF_ENUM(T, state, run_state_names), SF_LIST(T, hosts, &run_host_shape), SF_STR(T, host),
      SF_STR(T, actor), SF_STR(T, reason), SF_BOOL(T, dry_run),
      SF_ENUM(T, on_blocked, on_blocked_names), SF_INT(T, parallel), SF_INT(T, deadline_wall_us),
      SF_INT(T, interrupts),
      SF_ENUM(T, host_was, host_state_names), SF_STRS(T, to), SF_STRS(T, avoid),
      SF_STRS(T, allow_shutdown), SF_BOOL(T, stop_all), SF_BOOL(T, make_room),
      SF_STR(T, policy_commit), SF_BOOL(T, policy_clean), SF_INT(T, created_wall_us),
      SF_INT(T, started_wall_us), SF_INT(T, ended_wall_us), SF_INT(T, vms), SF_INT(T, moved),
      SF_INT(T, moving), SF_INT(T, queued), SF_INT(T, blocked), SF_INT(T, stopped),
      SF_INT(T, definitions), SF_INT(T, aside), SF_INT(T, room_moves), SF_INT(T, unmeasured),
      SF_INT(T, bytes), SF_INT_OR(T, longest_pause_us, -1), SF_INT_OR(T, bound_us, -1),
      SF_INT_OR(T, eta_wall_us, -1), SF_OBJ(T, forecast, &run_forecast_shape), SF_STR(T, message),
      SF_LIST(T, stays, &stay_shape), SF_ENUM(T, mode, balance_mode_names), SF_BOOL(T, scheduled),
      SF_STR(T, approver), SF_INT(T, max_moves), SF_OBJ(T, before, &standing_shape),
      SF_OBJ(T, planned, &standing_shape), SF_OBJ(T, after, &standing_shape),
      SF_OBJ(T, room, &room_shape), SF_INT(T, dropped),
      SF_LIST(T, refused, &refused_shape), SF_BOOL(T, forget_failures),
      SF_LIST(T, left_out, &left_out_shape), SF_INT(T, left_out_more),
      SF_LIST(T, told_no, &told_no_shape), SF_BOOL(T, ways_tried), SF_BOOL(T, ways_cut),
      SF_LIST(T, shortages, &shortage_shape), SF_OBJ(T, proof, &proof_shape));
#undef T
#define T struct attempt
SHAPE(attempt_shape, T, SF_STR(T, to), SF_STR(T, code), SF_STR(T, error), SF_INT(T, wall_us));
#undef T
#define T struct move_wait
SHAPE(move_wait_shape, T, SF_INT_REQ(T, move), SF_STR(T, vm));
#undef T
#define T struct move
SHAPE(move_shape, T, SF_INT_REQ(T, id), SF_INT_REQ(T, run), SF_STR_REQ(T, vm), SF_STR(T, vm_name),
      SF_STR(T, from), SF_STR(T, to), SF_ENUM(T, state, job_state_names), SF_BOOL(T, live),
      SF_BOOL(T, offline), SF_INT(T, attempt), SF_STR(T, why), SF_LIST(T, after, &move_wait_shape),
      SF_BOOL(T, aside), SF_BOOL(T, parks), SF_INT(T, mem_bytes),
      SF_OBJ(T, forecast, &move_forecast_shape), SF_LIST(T, disks, &disk_shape),
      SF_INT(T, queued_wall_us), SF_INT(T, prepared_wall_us), SF_INT(T, copy_wall_us),
      SF_INT(T, ended_wall_us), SF_OBJ(T, progress, &progress_shape), SF_INT(T, sent_wall_us),
      SF_INT_OR(T, least_bytes, -1), SF_INT(T, stuck), SF_INT_OR(T, total_us, -1),
      SF_INT_OR(T, setup_us, -1), SF_INT_OR(T, downtime_us, -1), SF_INT_OR(T, bytes, -1),
      SF_INT_OR(T, iterations, -1), SF_INT_OR(T, rate_Bps, -1),
      SF_LIST(T, ceph_src, &image_fact_shape), SF_LIST(T, ceph_dst, &image_fact_shape),
      SF_LIST(T, ceph_after, &image_fact_shape), SF_INT(T, confirmed_wall_us),
      SF_INT(T, proven_wall_us), SF_STR(T, code), SF_STR(T, error),
      SF_LIST(T, tried, &attempt_shape), SF_BOOL(T, cancel), SF_OBJ(T, gain, &move_gain_shape),
      SF_LIST(T, refused, &refused_shape), SF_STR(T, note));
#undef T
#define T struct host_rec
SHAPE(host_rec_shape, T, SF_STR_REQ(T, name), SF_ENUM(T, state, host_state_names),
      SF_STR(T, reason), SF_STR(T, actor), SF_INT(T, since_wall_us), SF_INT(T, run),
      SF_INT(T, seen_wall_us), SF_OBJ(T, last, &host_shape));
#undef T
#define T struct sample
SHAPE(sample_shape, T, SF_STR_REQ(T, host), SF_STR(T, vm), SF_STR(T, name), SF_INT(T, wall_us),
      SF_OBJ(T, cpu, &cpu_figures_shape), SF_OBJ(T, kept, &series_kept_shape),
      SF_OBJ(T, other, &series_kept_shape));
#undef T
#define T struct suspension
SHAPE(suspension_shape, T, SF_BOOL(T, on), SF_STR(T, actor), SF_STR(T, reason),
      SF_INT(T, since_wall_us), SF_INT(T, until_wall_us));
#undef T
#define T struct entry
SHAPE(entry_shape, T, SF_INT_REQ(T, seq), SF_INT(T, wall_us), SF_INT(T, run), SF_INT(T, move),
      SF_STR(T, host), SF_STR(T, vm), SF_STR(T, actor), SF_STR(T, kind), SF_STR(T, text),
      SF_STR(T, detail));
#undef T
#define T struct request
SHAPE(request_shape, T, SF_ENUM_REQ(T, verb, verb_names), SF_STR(T, actor), SF_STR(T, host),
      SF_STR(T, host2), SF_STRS(T, hosts), SF_INT(T, run), SF_BOOL(T, dry_run),
      SF_BOOL(T, bring_home), SF_BOOL(T, make_room), SF_STR(T, on_blocked), SF_STR(T, mode),
      SF_INT(T, mem_bytes), SF_INT(T, vcpus), SF_INT(T, max_moves),
      SF_BOOL(T, forget_failures), SF_INT(T, parallel),
      SF_INT(T, deadline_us), SF_STRS(T, to), SF_STRS(T, avoid), SF_STRS(T, allow_shutdown),
      SF_STR(T, vm), SF_LIST(T, labels, &label_shape), SF_STRS(T, drop_labels), SF_STR(T, confirm),
      SF_STR(T, reason));
#undef T
#define T struct reply
SHAPE(reply_shape, T, SF_INT(T, http), SF_INT(T, exit), SF_STR(T, code), SF_STR(T, message),
      SF_INT(T, run), SF_BOOL(T, joined), SF_LIST(T, items, &check_item_shape));
#undef T
#define T struct host_view
SHAPE(host_view_shape, T, SF_STR_REQ(T, name), SF_ENUM(T, state, host_state_names),
      SF_BOOL(T, connected), SF_BOOL(T, libvirt_up), SF_INT_OR(T, mem_bytes, -1),
      SF_INT_OR(T, mem_free_bytes, -1), SF_INT_OR(T, mem_reserved_bytes, -1),
      SF_INT_OR(T, cpus, -1), SF_INT(T, vcpus), SF_INT(T, vms), SF_INT(T, running),
      SF_INT(T, moving_in), SF_INT(T, moving_out), SF_INT(T, queued_in), SF_INT(T, queued_out),
      SF_STR(T, reason), SF_STR(T, actor),
      SF_INT(T, since_wall_us), SF_INT(T, run), SF_INT(T, seen_wall_us), SF_INT_OR(T, link_bps, -1),
      SF_OBJ(T, cpu, &cpu_figures_shape), SF_OBJ(T, load, &host_load_shape), SF_STR(T, zone),
      SF_STR(T, rack), SF_LIST(T, labels, &label_shape));
#undef T
#define T struct vm_view
SHAPE(vm_view_shape, T, SF_STR_REQ(T, uuid), SF_STR_REQ(T, name), SF_STR(T, host),
      SF_ENUM(T, state, vm_state_names), SF_BOOL(T, persistent), SF_INT(T, mem_bytes),
      SF_INT(T, vcpus), SF_INT_OR(T, dirty_Bps, -1), SF_OBJ(T, cpu, &cpu_figures_shape),
      SF_INT_OR(T, rss_bytes, -1), SF_INT_OR(T, read_Bps, -1), SF_INT_OR(T, write_Bps, -1),
      SF_INT_OR(T, rx_Bps, -1), SF_INT_OR(T, tx_Bps, -1), SF_INT(T, run), SF_INT(T, move),
      SF_BOOL(T, queued), SF_STR(T, moving_to), SF_BOOL(T, movable), SF_OBJ(T, blocker, &reason_shape),
      SF_BOOL(T, unreachable), SF_LIST(T, labels, &label_shape), SF_INT(T, since_wall_us));
#undef T
#define T struct hosts_view
SHAPE(hosts_view_shape, T, SF_INT(T, wall_us), SF_LIST(T, hosts, &host_view_shape));
#undef T
#define T struct vms_view
SHAPE(vms_view_shape, T, SF_INT(T, wall_us), SF_LIST(T, vms, &vm_view_shape));
#undef T
#define T struct runs_view
SHAPE(runs_view_shape, T, SF_INT(T, wall_us), SF_LIST(T, runs, &run_shape));
#undef T
#define T struct run_view
SHAPE(run_view_shape, T, SF_INT(T, wall_us), SF_OBJ(T, run, &run_shape),
      SF_LIST(T, moves, &move_shape), SF_LIST(T, entries, &entry_shape));
#undef T
#define T struct explain_host
SHAPE(explain_host_shape, T, SF_STR(T, host), SF_BOOL(T, allowed), SF_BOOL(T, here),
      SF_OBJ(T, reason, &reason_shape));
#undef T
#define T struct explain_view
SHAPE(explain_view_shape, T, SF_OBJ(T, vm, &vm_view_shape), SF_LIST(T, hosts, &explain_host_shape),
      SF_LIST(T, moves, &move_shape), SF_LIST(T, left_out, &left_out_shape),
      SF_LIST(T, ways, &way_shape), SF_BOOL(T, ways_cut), SF_LIST(T, shortages, &shortage_shape));
#undef T

bool run_waits(const struct run *r)
{
    return r->kind == RUN_BALANCE && r->state == RUN_RUNNING && r->message &&
           str_has_prefix(r->message, "waits: ");
}

bool request_label(struct request *r, const char *word)
{
    const char *eq = strchr(word, '=');
    size_t n = strlen(word);
    if (eq) {
        cleanup(freep) char *key = xasprintf("%.*s", (int)(eq - word), word);
        label_set(&r->labels, &r->n_labels, key, eq + 1);
    } else if (n > 1 && word[n - 1] == '-') {
        *vec_add(&r->drop_labels, &r->n_drop_labels) = xasprintf("%.*s", (int)(n - 1), word);
    }
    return eq ? eq > word : n > 1 && word[n - 1] == '-';
}
