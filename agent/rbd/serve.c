#include "agent/rbd/serve.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/rbd/conns.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"

/* Enough that one slow image does not hold up the rest of a host; librados works in parallel anyway. */
enum { SERVE_THREADS = 6, SERVE_QUEUE = 1024 };

struct server {
    int fd;
    struct rbd_conns *conns;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct rbd_ask *queue;
    size_t n_queue, busy;
    int64_t last_us;
};

static void send_answer(struct server *s, struct rbd_answer *a)
{
    cleanup(json_decrefp) json_t *j = codec_encode(&rbd_answer_shape, a);
    cleanup(freep) char *text = codec_text(j);
    /* an answer that is too long, or a client that went away: the client's deadline tells it */
    ssize_t n = send(s->fd, text, strlen(text), MSG_NOSIGNAL);
    (void)n;
}

static void *serve_thread(void *arg)
{
    struct server *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (s->n_queue == 0)
            pthread_cond_wait(&s->more, &s->lock);
        struct rbd_ask ask = s->queue[0];
        vec_del(s->queue, &s->n_queue, 0);
        s->busy++;
        pthread_mutex_unlock(&s->lock);
        struct rbd_answer a = {.id = ask.id};
        if (ask.health) {
            rbd_fact_error(&ask.disk, NULL, NULL, &a.fact);
            rbd_ask_health(s->conns, &ask, &a.health);
        } else {
            shape_init(&ceph_told_shape, &a.health);
            rbd_ask_fact(s->conns, &ask, &a.fact);
        }
        send_answer(s, &a);
        if (ask.key)
            explicit_bzero(ask.key, strlen(ask.key));
        shape_done(&rbd_ask_shape, &ask);
        shape_done(&rbd_answer_shape, &a);
        pthread_mutex_lock(&s->lock);
        s->busy--;
        s->last_us = clock_mono_us();
    }
    return NULL;
}

/* 1: a question was taken; 0: the client is gone; or -errno. */
static int take_question(struct server *s, char *buf)
{
    ssize_t n = recv(s->fd, buf, RBD_MSG_BYTES, MSG_TRUNC);
    if (n < 0)
        return errno == EINTR ? 1 : -errno;
    if (n == 0)
        return 0;
    if (n > RBD_MSG_BYTES)
        return -EMSGSIZE;
    cleanup(json_decrefp) json_t *j = NULL;
    struct rbd_ask ask;
    if (codec_parse(buf, (size_t)n, &j, NULL) < 0 || codec_decode(&rbd_ask_shape, j, &ask, NULL) < 0)
        return -EBADMSG;
    pthread_mutex_lock(&s->lock);
    bool room = s->n_queue < SERVE_QUEUE;
    if (room) {
        *vec_add(&s->queue, &s->n_queue) = ask;
        pthread_cond_signal(&s->more);
    }
    pthread_mutex_unlock(&s->lock);
    if (!room)
        shape_done(&rbd_ask_shape, &ask);
    return 1;
}

static bool idle_for_long(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    bool idle = s->n_queue == 0 && s->busy == 0 && clock_mono_us() - s->last_us > RBD_IDLE_S * SEC;
    pthread_mutex_unlock(&s->lock);
    return idle;
}

int rbd_serve(int fd)
{
    struct server s = {.fd = fd, .conns = rbd_conns_new(), .last_us = clock_mono_us()};
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.more, NULL);
    for (int i = 0; i < SERVE_THREADS; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, serve_thread, &s) != 0)
            return 1;
        pthread_detach(t);
    }
    cleanup(freep) char *buf = xcalloc(1, RBD_MSG_BYTES + 1);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n = poll(&p, 1, 5000);
        int r = n > 0 ? take_question(&s, buf) : 1;
        if (r <= 0 || (n < 0 && errno != EINTR))
            /* Straight out: threads may be inside librados, and the kernel closes it all. */
            _exit(r < 0 ? 1 : 0);
        rbd_conns_sweep(s.conns, clock_mono_us());
        if (n == 0 && idle_for_long(&s))
            _exit(0);
    }
}
