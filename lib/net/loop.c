#include "lib/net/loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"

struct post {
    void (*run)(void *arg);
    void (*drop)(void *arg);
    void *arg;
};
struct on_signal {
    struct event *ev;
    void (*fn)(void *arg, int signo);
    void *arg;
};
struct orphan {
    struct loop *loop;
    struct orphan *prev, *next;
    void (*end)(void *arg);
    void *arg;
};
struct loop {
    struct event_base *base;
    struct event *wake;
    int wake_fd;
    atomic_bool stop;
    atomic_int refs;
    pthread_mutex_t lock; /* of the four below */
    struct post *posts;
    size_t n_posts;
    bool closed;
    struct on_signal **signals;
    size_t n_signals;
    struct orphan *orphans;
};
struct timer {
    struct event *ev;
    void (*fn)(void *arg);
    void *arg;
};
struct watch {
    struct event *ev;
    void (*fn)(void *arg);
    void *arg;
};

static void wake_up(struct loop *l)
{
    uint64_t one = 1;
    /* EAGAIN: the counter is full, so the loop is awake anyway */
    ssize_t n = write(l->wake_fd, &one, sizeof(one));
    (void)n;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct loop *l = arg;
    uint64_t n;
    if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN && errno != EINTR)
        assert(!"eventfd");
    pthread_mutex_lock(&l->lock);
    struct post *posts = take(l->posts);
    size_t n_posts = l->n_posts;
    l->n_posts = 0;
    pthread_mutex_unlock(&l->lock);
    for (size_t i = 0; i < n_posts; i++)
        posts[i].run(posts[i].arg);
    free(posts);
    if (atomic_load(&l->stop))
        event_base_loopbreak(l->base);
}

int loop_new(struct loop **ret, struct err *e)
{
    signal(SIGPIPE, SIG_IGN);
    evthread_use_pthreads();
    struct loop *l = xcalloc(1, sizeof(*l));
    atomic_init(&l->refs, 1);
    atomic_init(&l->stop, false);
    pthread_mutex_init(&l->lock, NULL);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int saved = errno;
    l->base = l->wake_fd >= 0 ? event_base_new() : NULL;
    if (!l->base) {
        if (l->wake_fd >= 0)
            close(l->wake_fd);
        free(l);
        return err_set(e, saved ? -saved : -EIO, "event loop: no eventfd or epoll");
    }
    /* a burst of network traffic must not starve closures, nor the reverse: same priority, FIFO */
    l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    assert(l->wake);
    event_add(l->wake, NULL);
    *ret = l;
    return 0;
}

void loop_hold(struct loop *l)
{
    atomic_fetch_add(&l->refs, 1);
}

void loop_release(struct loop *l)
{
    if (atomic_fetch_sub(&l->refs, 1) != 1)
        return;
    close(l->wake_fd);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->closed = true;
    struct post *posts = take(l->posts);
    size_t n_posts = l->n_posts;
    l->n_posts = 0;
    pthread_mutex_unlock(&l->lock);
    for (size_t i = 0; i < n_posts; i++)
        if (posts[i].drop)
            posts[i].drop(posts[i].arg);
    free(posts);
    while (l->orphans) {
        struct orphan *o = l->orphans;
        void (*end)(void *arg) = o->end;
        void *arg = o->arg;
        loop_disown(o);
        end(arg);
    }
    for (size_t i = 0; i < l->n_signals; i++) {
        event_free(l->signals[i]->ev);
        free(l->signals[i]);
    }
    free(l->signals);
    event_free(l->wake);
    /* libevent releases a bufferevent from a later turn of the loop, and event_base_free does not
     * make up for it when callbacks of it were due */
    for (int i = 0; i < 16 && event_base_get_num_events(l->base, EVENT_BASE_COUNT_ACTIVE) > 0; i++)
        event_base_loop(l->base, EVLOOP_NONBLOCK);
    event_base_free(l->base);
    loop_release(l);
}

void loop_run(struct loop *l)
{
    if (atomic_load(&l->stop))
        wake_up(l);
    event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
    atomic_store(&l->stop, false);
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    wake_up(l);
}

int loop_post(struct loop *l, void (*run)(void *arg), void (*drop)(void *arg), void *arg)
{
    int r = 0;
    bool first = false;
    pthread_mutex_lock(&l->lock);
    if (l->closed) {
        r = -ESHUTDOWN;
    } else if (l->n_posts >= LIM_EVENT_QUEUE) {
        r = -ENOBUFS;
    } else {
        first = l->n_posts == 0;
        *vec_add(&l->posts, &l->n_posts) = (struct post){run, drop, arg};
    }
    pthread_mutex_unlock(&l->lock);
    if (first)
        wake_up(l);
    return r;
}

static void signal_event(evutil_socket_t signo, short what, void *arg)
{
    (void)what;
    struct on_signal *s = arg;
    s->fn(s->arg, (int)signo);
}

int loop_on_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg,
                   struct err *e)
{
    struct on_signal *s = xcalloc(1, sizeof(*s));
    *s = (struct on_signal){.fn = fn, .arg = arg};
    s->ev = evsignal_new(l->base, signo, signal_event, s);
    if (!s->ev || event_add(s->ev, NULL) < 0) {
        if (s->ev)
            event_free(s->ev);
        free(s);
        return err_set(e, -EINVAL, "cannot watch signal %d", signo);
    }
    *vec_add(&l->signals, &l->n_signals) = s;
    return 0;
}

static void timer_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct timer *t = arg;
    t->fn(t->arg); /* may free t */
}

struct timer *timer_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct timer *t = xcalloc(1, sizeof(*t));
    *t = (struct timer){.fn = fn, .arg = arg};
    t->ev = evtimer_new(l->base, timer_event, t);
    assert(t->ev);
    return t;
}

void timer_set(struct timer *t, int64_t in_us)
{
    if (in_us < 0)
        in_us = 0;
    struct timeval tv = {.tv_sec = in_us / 1000000, .tv_usec = in_us % 1000000};
    evtimer_add(t->ev, &tv);
}

void timer_stop(struct timer *t)
{
    evtimer_del(t->ev);
}

void timer_free(struct timer *t)
{
    if (!t)
        return;
    event_free(t->ev);
    free(t);
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

struct orphan *loop_adopt(struct loop *l, void (*end)(void *arg), void *arg)
{
    struct orphan *o = xcalloc(1, sizeof(*o));
    *o = (struct orphan){.loop = l, .next = l->orphans, .end = end, .arg = arg};
    if (l->orphans)
        l->orphans->prev = o;
    l->orphans = o;
    return o;
}

void loop_disown(struct orphan *o)
{
    if (!o)
        return;
    if (o->prev)
        o->prev->next = o->next;
    else
        o->loop->orphans = o->next;
    if (o->next)
        o->next->prev = o->prev;
    free(o);
}
