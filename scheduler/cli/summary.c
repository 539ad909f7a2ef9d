/* The last words of a run. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/policy.h"
#include "scheduler/cli/show.h"
#include "scheduler/cli/text.h"
#include "scheduler/plan/snapshot.h"

int host_colour(int state)
{
    return state == HOST_UP                                  ? C_GOOD
           : state == HOST_LOST || state == HOST_QUARANTINED ? C_BAD
           : state == HOST_MAINTENANCE                       ? C_NONE
                                                             : C_WARN;
}

int run_colour(int state)
{
    return state == RUN_DONE                               ? C_GOOD
           : state == RUN_REFUSED || state == RUN_FAILED   ? C_BAD
           : state == RUN_PARTLY || state == RUN_CANCELLED ? C_WARN
                                                           : C_NONE;
}

const char *move_word(const struct move *m)
{
    switch (m->state) {
    case JOB_CONFIRMING:
        return "proving";
    case JOB_DONE:
        return m->live ? "moved" : m->offline ? "moved (shut off)" : "moved (cold)";
    default:
        return m->state >= 0 && m->state < JOB_STATES_ ? job_state_names[m->state] : "?";
    }
}

int run_exit(const struct run *r)
{
    switch (r->state) {
    case RUN_DONE:
        return X_DONE;
    case RUN_PARTLY:
        return X_PARTLY;
    case RUN_REFUSED:
        return X_BLOCKED;
    case RUN_CANCELLED:
        return r->moved + r->stopped + r->definitions > 0 ? X_PARTLY : X_FAILED;
    case RUN_EXPIRED:
        return X_DENIED;
    case RUN_PLANNED:
        return stays_of(r, FATE_BLOCKED) ? X_BLOCKED : X_DONE;
    default:
        return X_FAILED;
    }
}

/* "8 of 8 VMs moved live, 0 stopped" */
static void add_moved(char **s, const struct run_view *v)
{
    int64_t live = 0, cold = 0, off = 0;
    for (size_t i = 0; i < v->n_moves; i++) {
        const struct move *m = &v->moves[i];
        if (m->state != JOB_DONE)
            continue;
        live += m->live;
        off += !m->live && m->offline;
        cold += !m->live && !m->offline;
    }
    text_add(s, "%lld of %s moved live", (long long)live, text_count(v->run.vms, "VM", "VMs"));
    if (cold)
        text_add(s, ", %lld moved cold (stopped, moved, started)", (long long)cold);
    if (off)
        text_add(s, ", %lld moved shut off", (long long)off);
    text_add(s, ", %lld stopped", (long long)v->run.stopped);
}

static void add_times(char **s, const struct run *r)
{
    char a[FMT_BYTES];
    const char *least =
        r->unmeasured ? "at least " : ""; /* more was sent, or paused, than is known */
    int64_t start = r->started_wall_us ? r->started_wall_us : r->created_wall_us;
    if (r->ended_wall_us > start && start)
        text_add(s, ", makespan %s", fmt_duration(a, r->ended_wall_us - start));
    if (r->bound_us >= 0)
        text_add(s, " (link bound %s%s)", least, fmt_duration(a, r->bound_us));
    if (r->longest_pause_us >= 0 && r->moved > 0)
        text_add(s, ", longest pause %s%s", least, fmt_duration(a, r->longest_pause_us));
    else if (r->unmeasured)
        text_add(s, ", longest pause unknown");
}

static void add_proof(char **s, const struct run *r)
{
    const struct proof *p = &r->proof;
    bool many = r->n_hosts > 1;
    cleanup(freep) char *place = many ? xstrdup("they are") : run_place(r);
    if (!p->taken) {
        text_add(s, "; %s%s in maintenance, but %s not proven empty", place, many ? "" : " is",
                 many ? "are" : "it is");
        return;
    }
    bool empty = p->running + p->jobs + p->watchers == 0;
    text_add(s, "; %s%s in maintenance, %s (%s, %s, %s", place, many ? "" : " is",
             empty ? "proven empty" : "NOT empty", text_count(p->running, "domain", "domains"),
             text_count(p->jobs, "job", "jobs"), text_count(p->watchers, "watcher", "watchers"));
    if (p->defined)
        text_add(s, "; %s",
                 text_count(p->defined, "shut-off VM stays defined", "shut-off VMs stay defined"));
    text_add(s, ")");
}

static void done_line(FILE *f, const struct run_view *v)
{
    const struct run *r = &v->run;
    char *s = NULL;
    cleanup(freep) char *place = run_place(r);
    if (r->kind == RUN_HOME)
        text_add(&s, "%s is back in use, VMs brought home: ", place);
    else
        text_add(&s, "%s drained: ", place);
    add_moved(&s, v);
    add_times(&s, r);
    if (r->kind == RUN_DRAIN)
        add_proof(&s, r);
    text_line(f, "%s", s);
    free(s);
}

/* Where the VMs are that did move, when the run as a whole did not succeed. */
static void moved_lines(FILE *f, const struct run_view *v)
{
    for (size_t i = 0; i < v->n_moves; i++) {
        const struct move *m = &v->moves[i];
        if (m->state == JOB_DONE)
            text_line(f, "  vm/%s  moved %s → %s", m->vm_name, m->from, m->to);
        else
            text_line(f, "  vm/%s  %s on %s%s%s", m->vm_name,
                      m->state == JOB_UNCERTAIN ? "NOT CERTAIN, last known" : "stays", m->from,
                      m->error ? ": " : "", m->error ? m->error : "");
    }
}

/* Of several hosts, those that are not empty. */
static void add_full(char **s, const struct run *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_hosts; i++) {
        const struct proof *p = &r->hosts[i].proof;
        if (p->taken && !p->running && !p->jobs)
            continue;
        text_add(s, "%s%s", n++ ? ", " : "; not empty, and closed to new VMs: ", r->hosts[i].name);
    }
    text_add(s, " (drover resume HOST opens one)");
}

static void partly_line(FILE *f, const struct run_view *v)
{
    const struct run *r = &v->run;
    size_t blocking = stays_of(r, FATE_BLOCKED);
    cleanup(freep) char *place = run_place(r);
    char *s =
        xasprintf("%s %s: ", place, r->kind == RUN_HOME ? "partly brought home" : "partly drained");
    add_moved(&s, v);
    add_times(&s, r);
    if (r->kind == RUN_DRAIN && r->n_hosts < 2)
        text_add(&s, "; the host takes no new VMs (drover resume %s opens it)",
                 r->host ? r->host : "HOST");
    else if (r->kind == RUN_DRAIN)
        add_full(&s, r);
    text_add(&s, "; %s", text_count((int64_t)blocking, "VM stays:", "VMs stay:"));
    text_line(f, "%s", s);
    free(s);
}

static void cancelled_line(FILE *f, const struct run_view *v)
{
    const struct run *r = &v->run;
    cleanup(freep) char *place = run_place(r);
    char *s = xasprintf("%s of %s cancelled", r->kind == RUN_HOME ? "home-coming" : "drain", place);
    if (v->n_moves) {
        text_add(&s, ": ");
        add_moved(&s, v);
        add_times(&s, r);
    } else {
        text_add(&s, " before the first move");
    }
    cleanup(freep) char *left = run_left_as(r);
    bool some = false;
    for (size_t i = 0; i < r->n_hosts; i++)
        some = some || r->hosts[i].ended_wall_us;
    if (r->kind == RUN_DRAIN && some && r->n_hosts > 1)
        text_add(&s, "; %s", r->message ? r->message : "some hosts are in maintenance");
    else if (r->kind == RUN_DRAIN)
        text_add(&s, "; %s", left);
    text_line(f, "%s", s);
    free(s);
}

static void failed_line(FILE *f, const struct run_view *v)
{
    const struct run *r = &v->run;
    cleanup(freep) char *place = run_place(r);
    text_line(f, "drover: %s %s: %s", place,
              r->kind == RUN_HOME ? "not brought home" : "not drained",
              r->message ? r->message : "the scheduler gave no reason");
}

static void other_line(FILE *f, const struct run *r)
{
    cleanup(freep) char *place = run_place(r);
    text_line(f, "run/%lld %s: %s, %lld of %s moved%s%s", (long long)r->id,
              run_state_names[r->state], place, (long long)r->moved,
              text_count(r->vms, "VM", "VMs"), r->message ? "; " : "",
              r->message ? r->message : "");
}

/* What became of it, then the moves that were not made. */
static void balance_lines(FILE *f, const struct run_view *v)
{
    const struct run *r = &v->run;
    char *s =
        xasprintf("%sbalance of the fleet (%s) %s: %s", r->state == RUN_FAILED ? "drover: " : "",
                  balance_mode_names[r->mode], run_state_names[r->state],
                  r->message ? r->message : "the scheduler gave no reason");
    if (r->moved)
        add_times(&s, r);
    text_line(f, "%s", s);
    free(s);
    for (size_t i = 0; i < v->n_moves; i++)
        if (v->moves[i].state != JOB_DONE)
            text_line(f, "  vm/%s  stays on %s: %s", v->moves[i].vm_name, v->moves[i].from,
                      v->moves[i].error ? v->moves[i].error : move_word(&v->moves[i]));
    if (room_wanted(r))
        stays_print(f, r, "no room:");
    if (v->n_moves)
        text_line(f, "  drover runs %lld --why says what each move was good for", (long long)r->id);
}

void summary_print(FILE *f, const struct run_view *v)
{
    const struct run *r = &v->run;
    if (r->kind == RUN_BALANCE) {
        balance_lines(f, v);
        return;
    }
    switch (r->state) {
    case RUN_DONE:
        done_line(f, v);
        stays_print(f, r, NULL);
        break;
    case RUN_PARTLY:
        partly_line(f, v);
        stays_print(f, r, NULL);
        ways_out_print(f, r);
        break;
    case RUN_CANCELLED:
        cancelled_line(f, v);
        moved_lines(f, v);
        break;
    case RUN_REFUSED:
        refusal_print(f, r);
        break;
    case RUN_FAILED:
        failed_line(f, v);
        moved_lines(f, v);
        stays_print(f, r, NULL);
        ways_out_print(f, r);
        break;
    default:
        other_line(f, r);
        break;
    }
}
