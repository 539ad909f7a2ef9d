#include "agent/io/workers.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "lib/base/mem.h"

/* libvirt's RPC and libxml2 need little; the default of 8 MiB would only count as address space, but
 * guard pages and touched pages of many threads do not. */
enum { STACK_BYTES = 512 << 10 };

enum state { QUEUED, RUNNING, LATE, ENDED };

struct task {
    struct workers *workers; /* NULL: they were freed */
    struct loop *loop;
    struct work work;
    struct timer *timer;
    enum state state;
    struct task *next;
};
struct workers {
    struct loop *loop;
    struct task *all;
    int running, lost, queued;
    int64_t late_total;
};

struct workers *workers_new(struct loop *loop)
{
    struct workers *w = xcalloc(1, sizeof(*w));
    w->loop = loop;
    return w;
}

static void task_free(struct task *t)
{
    timer_free(t->timer);
    loop_release(t->loop);
    free(t);
}

void workers_free(struct workers *w)
{
    if (!w)
        return;
    for (struct task *t = w->all, *next; t; t = next) {
        next = t->next;
        timer_free(t->timer);
        t->timer = NULL;
        t->workers = NULL;
        if (t->state == QUEUED) {
            t->work.drop(t->work.arg);
            task_free(t);
        }
    }
    free(w);
}

static void unlink_task(struct workers *w, struct task *t)
{
    for (struct task **p = &w->all; *p; p = &(*p)->next)
        if (*p == t) {
            *p = t->next;
            return;
        }
}

static void start_queued(struct workers *w);

/* On the loop: the thread has returned. */
static void on_end(void *arg)
{
    struct task *t = arg;
    struct workers *w = t->workers;
    enum state was = t->state;
    t->state = ENDED;
    if (w) {
        unlink_task(w, t);
        if (was == LATE)
            w->lost--;
        else if (!t->work.unbounded)
            w->running--;
        if (was != LATE)
            t->work.done(t->work.arg);
    }
    t->work.drop(t->work.arg);
    task_free(t);
    if (w)
        start_queued(w);
}

static void *run_task(void *arg)
{
    struct task *t = arg;
    t->work.run(t->work.arg);
    /* Refused only when the loop is gone (then the process is ending) or swamped; either way the task
     * stays as it is, like one that never returned. */
    (void)loop_post(t->loop, on_end, NULL, t);
    return NULL;
}

static int spawn(struct task *t)
{
    pthread_attr_t at;
    pthread_t id;
    pthread_attr_init(&at);
    pthread_attr_setstacksize(&at, STACK_BYTES);
    pthread_attr_setdetachstate(&at, PTHREAD_CREATE_DETACHED);
    int r = pthread_create(&id, &at, run_task, t);
    pthread_attr_destroy(&at);
    return -r;
}

static void on_late(void *arg)
{
    struct task *t = arg;
    struct workers *w = t->workers;
    w->late_total++;
    if (t->state == QUEUED) {
        w->queued--;
        unlink_task(w, t);
        t->work.late(t->work.arg);
        t->work.drop(t->work.arg);
        task_free(t);
        return;
    }
    t->state = LATE;
    if (!t->work.unbounded)
        w->running--;
    w->lost++;
    t->work.late(t->work.arg);
    start_queued(w);
}

/* Threads are made per task: it costs 30 µs, and an idle agent has none. */
static void start_queued(struct workers *w)
{
    while (w->queued > 0 && w->running < WORKERS_MAX) {
        struct task *first = NULL;
        for (struct task *t = w->all; t; t = t->next) /* the list is newest first */
            if (t->state == QUEUED)
                first = t;
        if (!first || spawn(first) < 0)
            return; /* no thread now: the next end tries again, or the deadline ends it */
        first->state = RUNNING;
        w->queued--;
        w->running++;
    }
}

int workers_run(struct workers *w, const struct work *work, struct err *e)
{
    if (!work->unbounded && w->lost >= WORKERS_LOST)
        return err_set(e, -EBUSY, "%d calls to libvirt hang; restart libvirtd (guests keep running)",
                       w->lost);
    if (!work->unbounded && w->queued >= WORKERS_QUEUE)
        return err_set(e, -ENOBUFS, "%d calls to libvirt wait already", w->queued);
    struct task *t = xcalloc(1, sizeof(*t));
    t->workers = w;
    t->loop = w->loop;
    t->work = *work;
    loop_hold(t->loop);
    t->state = work->unbounded ? RUNNING : QUEUED;
    if (work->unbounded) {
        int r = spawn(t);
        if (r < 0) {
            task_free(t);
            return err_set(e, r, "no thread for %s: %s", work->name, strerror(-r));
        }
    }
    t->next = w->all;
    w->all = t;
    if (work->deadline_us > 0) {
        t->timer = timer_new(w->loop, on_late, t);
        timer_set(t->timer, work->deadline_us);
    }
    if (!work->unbounded) {
        w->queued++;
        start_queued(w);
    }
    return 0;
}

int workers_active(const struct workers *w)
{
    int n = 0;
    for (const struct task *t = w->all; t; t = t->next)
        n++;
    return n;
}

int workers_lost(const struct workers *w)
{
    return w->lost;
}

int64_t workers_late_total(const struct workers *w)
{
    return w->late_total;
}
