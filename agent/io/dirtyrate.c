/* How fast guests write to their memory: asked of one guest at a time, so that a drain can be forecast
 * before it begins. Nothing is asked while anything on this host migrates. */
#include <errno.h>

#include "agent/io/agent.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* docs/timelines.md */
#define RATE_LOOK_US     (2 * SEC)
#define RATE_FIRST_US    (30 * SEC)
#define RATE_EVERY_US    (300 * SEC)
#define RATE_DEADLINE_US (15 * SEC)
enum { RATES_KEPT = 3 };

struct rated {
    char *uuid;
    int64_t next_us;         /* not asked before */
    int64_t Bps[RATES_KEPT]; /* the last ones */
    int n;
    bool failed; /* said in the log */
};
struct dirty_watch {
    struct agent *agent;
    struct timer *tick;
    struct rated *list;
    size_t n;
    bool busy;
};
struct job {
    struct dirty_watch *watch;
    struct hv *hv;
    char *uuid;
    struct hv_memory found;
    int code;
    struct err error;
};

static void job_free(void *arg)
{
    struct job *j = arg;
    free(j->uuid);
    free(j);
}

static struct rated *rated_find(struct dirty_watch *w, const char *uuid)
{
    for (size_t i = 0; i < w->n; i++)
        if (str_eq(w->list[i].uuid, uuid))
            return &w->list[i];
    return NULL;
}

static bool can_be_asked(const struct vm *v)
{
    return v && v->state == VM_RUNNING && v->job == VM_JOB_NONE && v->mem_bytes >= HV_SAMPLED_BYTES;
}

/* One entry for each guest that can be asked, no others. */
static void follow_inventory(struct dirty_watch *w)
{
    struct reporter *r = w->agent->reporter;
    size_t n = 0;
    for (size_t i = w->n; i-- > 0;)
        if (!can_be_asked(reporter_find(r, w->list[i].uuid))) {
            free(w->list[i].uuid);
            vec_del(w->list, &w->n, i);
        }
    const struct vm *v = reporter_vms(r, &n);
    for (size_t i = 0; i < n; i++) {
        if (!can_be_asked(&v[i]) || rated_find(w, v[i].uuid))
            continue;
        struct rated *x = vec_add(&w->list, &w->n);
        /* a guest that boots writes as it never will again */
        *x = (struct rated){.uuid = xstrdup(v[i].uuid), .next_us = clock_mono_us() + RATE_FIRST_US};
    }
}

static bool anything_moves(const struct agent *a)
{
    size_t n = 0;
    const struct vm *v = reporter_vms(a->reporter, &n);
    for (size_t i = 0; i < n; i++)
        if (v[i].job == VM_JOB_MIGRATING_OUT || v[i].job == VM_JOB_MIGRATING_IN)
            return true;
    return commands_migrating(a->commands) > 0;
}

static void run_rate(void *arg)
{
    struct job *j = arg;
    j->code = hv_dirty_rate(j->hv, j->uuid, &j->found, &j->error);
}

/* One second may be unlike all others: the middle one of the last three, the lower of two. */
static int64_t usual_rate(struct rated *x, int64_t Bps)
{
    int64_t low = INT64_MAX, mid = INT64_MAX;
    x->Bps[x->n++ % RATES_KEPT] = Bps;
    for (int i = 0; i < x->n && i < RATES_KEPT; i++) {
        if (x->Bps[i] < low) {
            mid = low;
            low = x->Bps[i];
        } else if (x->Bps[i] < mid) {
            mid = x->Bps[i];
        }
    }
    return x->n < RATES_KEPT ? low : mid;
}

static void done_rate(void *arg)
{
    struct job *j = arg;
    struct dirty_watch *w = j->watch;
    struct rated *x = rated_find(w, j->uuid);
    w->busy = false;
    if (!x)
        return;
    if (j->code == 0) {
        reporter_memory(w->agent->reporter, j->uuid, usual_rate(x, j->found.dirty_Bps),
                        j->found.rss_bytes);
        session_flush(w->agent->session);
        x->next_us = clock_mono_us() + (x->n < RATES_KEPT ? RATE_FIRST_US : RATE_EVERY_US);
    } else if (!x->failed && hv_up(w->agent->hv) && j->code != -ENOENT) {
        x->failed = true;
        log_info("msg=\"dirty rate not measured\" vm=%s error=\"%s\"", j->uuid, j->error.msg);
    }
}

static void late_rate(void *arg)
{
    ((struct job *)arg)->watch->busy = false;
}

static void ask(struct dirty_watch *w, struct rated *x)
{
    struct job *j = xcalloc(1, sizeof(*j));
    j->watch = w;
    j->hv = w->agent->hv;
    j->uuid = xstrdup(x->uuid);
    x->next_us = clock_mono_us() + RATE_EVERY_US;
    const struct work work = {.name = "dirty-rate",
                              .run = run_rate,
                              .done = done_rate,
                              .late = late_rate,
                              .drop = job_free,
                              .arg = j,
                              .deadline_us = RATE_DEADLINE_US};
    w->busy = workers_run(w->agent->workers, &work, NULL) == 0;
    if (!w->busy)
        job_free(j);
}

static void on_tick(void *arg)
{
    struct dirty_watch *w = arg;
    timer_set(w->tick, RATE_LOOK_US);
    if (w->busy || !hv_up(w->agent->hv) || anything_moves(w->agent))
        return;
    follow_inventory(w);
    struct rated *due = NULL;
    for (size_t i = 0; i < w->n; i++)
        if (!due || w->list[i].next_us < due->next_us)
            due = &w->list[i];
    if (due && due->next_us <= clock_mono_us())
        ask(w, due);
}

struct dirty_watch *dirty_watch_new(struct agent *a)
{
    struct dirty_watch *w = xcalloc(1, sizeof(*w));
    w->agent = a;
    w->tick = timer_new(a->loop, on_tick, w);
    timer_set(w->tick, RATE_LOOK_US);
    return w;
}
