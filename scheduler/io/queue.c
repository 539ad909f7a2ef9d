#include "scheduler/io/queue.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct item **items;
    size_t n;
    size_t bytes;
    bool closed;
};

struct item *item_new(enum item_type type)
{
    struct item *i = xcalloc(1, sizeof(*i));
    i->type = type;
    return i;
}

void item_free(struct item *i)
{
    if (!i)
        return;
    free(i->host);
    free(i->instance);
    free(i->text);
    free(i->key);
    msg_done(&i->msg);
    xml_blobs_done(&i->xml);
    shape_done(&request_shape, &i->request);
    if (i->type == ITEM_POLICY)
        policy_done(&i->policy);
    git_source_done(&i->source);
    free(i);
}

struct queue *queue_new(void)
{
    struct queue *q = xcalloc(1, sizeof(*q));
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* a corrected wall clock wakes nobody */
    pthread_cond_init(&q->filled, &attr);
    pthread_condattr_destroy(&attr);
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    for (size_t i = 0; i < q->n; i++)
        item_free(q->items[i]);
    free(q->items);
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

int queue_push(struct queue *q, struct item *item)
{
    int r = 0;
    pthread_mutex_lock(&q->lock);
    bool full = q->n >= LIM_EVENT_QUEUE || q->bytes + item->cost > LIM_EVENT_BYTES;
    if (q->closed) {
        r = -ESHUTDOWN;
    } else if (full && item->type != ITEM_AGENT_DOWN) {
        r = -ENOBUFS;
    } else {
        *(struct item **)vec_add(&q->items, &q->n) = item;
        q->bytes += item->cost;
        pthread_cond_signal(&q->filled);
    }
    pthread_mutex_unlock(&q->lock);
    return r;
}

bool queue_take(struct queue *q, int64_t timeout_us, struct item ***ret, size_t *ret_n)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_us / SEC;
    until.tv_nsec += timeout_us % SEC * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&q->lock);
    while (q->n == 0 && !q->closed)
        if (pthread_cond_timedwait(&q->filled, &q->lock, &until) == ETIMEDOUT)
            break;
    *ret = take(q->items);
    *ret_n = q->n;
    q->n = 0;
    q->bytes = 0;
    bool more = *ret_n > 0 || !q->closed;
    pthread_mutex_unlock(&q->lock);
    return more;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->filled);
    pthread_mutex_unlock(&q->lock);
}
