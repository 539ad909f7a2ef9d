/* Migrations that leave this host: read once a second, whoever began them. */
#include <errno.h>
#include <string.h>

#include "agent/io/agent.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define TICK_US SEC
/* libvirt tells of no job that begins, except of a migration's first pass. This finds the others. */
#define LOOK_US (10 * SEC)
#define DEADLINE_US (10 * SEC)
/* A migration that was ordered appears in libvirt a moment later. */
enum { MISSES_MAX = 5 };

struct moving {
    char *uuid;
    int misses;
};
struct progress_watch {
    struct agent *agent;
    struct timer *tick, *look;
    struct moving *list;
    size_t n;
    bool busy, looking;
};
struct job {
    struct progress_watch *watch;
    struct hv *hv;
    char **uuids;
    size_t n_uuids;
    struct progress *found;
    int *codes;
};

static void job_free(void *arg)
{
    struct job *j = arg;
    for (size_t i = 0; i < j->n_uuids; i++) {
        free(j->uuids[i]);
        if (j->found)
            shape_done(&progress_shape, &j->found[i]);
    }
    free(j->uuids);
    free(j->found);
    free(j->codes);
    free(j);
}

void progress_add(struct progress_watch *p, const char *uuid)
{
    for (size_t i = 0; i < p->n; i++)
        if (str_eq(p->list[i].uuid, uuid)) {
            p->list[i].misses = 0;
            return;
        }
    struct moving *m = vec_add(&p->list, &p->n);
    m->uuid = xstrdup(uuid);
    if (p->n == 1)
        timer_set(p->tick, TICK_US);
}

static void run_progress(void *arg)
{
    struct job *j = arg;
    for (size_t i = 0; i < j->n_uuids; i++)
        j->codes[i] = hv_progress(j->hv, j->uuids[i], &j->found[i], NULL);
}

static void apply(struct progress_watch *p, const char *uuid, int code, struct progress *found)
{
    size_t i = 0;
    while (i < p->n && !str_eq(p->list[i].uuid, uuid))
        i++;
    if (i == p->n)
        return;
    const struct vm *v = reporter_find(p->agent->reporter, uuid);
    if (code == 0) {
        session_tell(p->agent->session, MSG_PROGRESS, found);
        p->list[i].misses = 0;
        if (v && v->job != VM_JOB_MIGRATING_OUT)
            inventory_dirty(p->agent->inventory, uuid);
        return;
    }
    if (++p->list[i].misses < MISSES_MAX)
        return;
    free(p->list[i].uuid);
    vec_del(p->list, &p->n, i);
    inventory_dirty(p->agent->inventory, uuid);
}

static void done_progress(void *arg)
{
    struct job *j = arg;
    j->watch->busy = false;
    for (size_t i = 0; i < j->n_uuids; i++)
        apply(j->watch, j->uuids[i], j->codes[i], &j->found[i]);
}

static void late_progress(void *arg)
{
    ((struct job *)arg)->watch->busy = false;
}

static void on_tick(void *arg)
{
    struct progress_watch *p = arg;
    if (p->n == 0)
        return;
    timer_set(p->tick, TICK_US);
    if (p->busy || !hv_up(p->agent->hv))
        return;
    struct job *j = xcalloc(1, sizeof(*j));
    j->watch = p;
    j->hv = p->agent->hv;
    for (size_t i = 0; i < p->n; i++)
        *vec_add(&j->uuids, &j->n_uuids) = xstrdup(p->list[i].uuid);
    j->found = xcalloc(j->n_uuids, sizeof(*j->found));
    j->codes = xcalloc(j->n_uuids, sizeof(*j->codes));
    const struct work w = {.name = "progress", .run = run_progress, .done = done_progress,
                           .late = late_progress, .drop = job_free, .arg = j,
                           .deadline_us = DEADLINE_US};
    p->busy = workers_run(p->agent->workers, &w, NULL) == 0;
    if (!p->busy)
        job_free(j);
}

static void run_look(void *arg)
{
    struct job *j = arg;
    hv_list_moving(j->hv, &j->uuids, &j->n_uuids, NULL);
}

static void done_look(void *arg)
{
    struct job *j = arg;
    struct progress_watch *p = j->watch;
    p->looking = false;
    for (size_t i = 0; i < j->n_uuids; i++) {
        const struct vm *v = reporter_find(p->agent->reporter, j->uuids[i]);
        if (!v || v->job != VM_JOB_MIGRATING_OUT)
            inventory_dirty(p->agent->inventory, j->uuids[i]);
        progress_add(p, j->uuids[i]);
    }
}

static void late_look(void *arg)
{
    ((struct job *)arg)->watch->looking = false;
}

static void on_look(void *arg)
{
    struct progress_watch *p = arg;
    timer_set(p->look, LOOK_US);
    if (p->looking || !hv_up(p->agent->hv))
        return;
    struct job *j = xcalloc(1, sizeof(*j));
    j->watch = p;
    j->hv = p->agent->hv;
    const struct work w = {.name = "look-for-jobs", .run = run_look, .done = done_look,
                           .late = late_look, .drop = job_free, .arg = j,
                           .deadline_us = DEADLINE_US};
    p->looking = workers_run(p->agent->workers, &w, NULL) == 0;
    if (!p->looking)
        job_free(j);
}

struct progress_watch *progress_new(struct agent *a)
{
    struct progress_watch *p = xcalloc(1, sizeof(*p));
    p->agent = a;
    p->tick = timer_new(a->loop, on_tick, p);
    p->look = timer_new(a->loop, on_look, p);
    timer_set(p->look, LOOK_US);
    return p;
}

void progress_free(struct progress_watch *p)
{
    if (!p)
        return;
    timer_free(p->tick);
    timer_free(p->look);
    for (size_t i = 0; i < p->n; i++)
        free(p->list[i].uuid);
    free(p->list);
    free(p);
}
