#include "agent/rbd/client.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"

enum { HELPER_FD = 3, CLIENT_TRIES = 2 };

/* A question that waits for its answer; lives on the asker's stack. */
struct pending {
    int64_t id;
    enum { WAITING, ANSWERED, HELPER_GONE } state;
    struct image_fact *fact;
    struct ceph_told *health; /* NULL: not asked for */
    struct pending *next;
};
/* One helper process. Freed by its reader thread. */
struct helper {
    struct rbd_client *client;
    int fd;
    pid_t pid;
};
struct rbd_client {
    char *path, *conf;
    int64_t timeout_us;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct helper *helper; /* NULL: none runs */
    bool reading;          /* a reader thread still lives */
    struct pending *waiting;
    int64_t next_id;
};

struct rbd_client *rbd_client_new(const struct rbd_client_config *cfg)
{
    struct rbd_client *c = xcalloc(1, sizeof(*c));
    c->path = xstrdup(cfg->helper);
    c->conf = xstrdup(cfg->conf);
    c->timeout_us = cfg->timeout_us > 0 ? cfg->timeout_us : 10 * SEC;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &attr);
    pthread_condattr_destroy(&attr);
    return c;
}

void rbd_client_free(struct rbd_client *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    if (c->helper)
        kill(c->helper->pid, SIGKILL);
    while (c->reading)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c->path);
    free(c->conf);
    free(c);
}

static void take_answer(struct rbd_client *c, const char *text, size_t len)
{
    cleanup(json_decrefp) json_t *j = NULL;
    struct rbd_answer a;
    if (codec_parse(text, len, &j, NULL) < 0 || codec_decode(&rbd_answer_shape, j, &a, NULL) < 0)
        return; /* the asker's deadline ends the matter */
    pthread_mutex_lock(&c->lock);
    struct pending *p = c->waiting;
    while (p && p->id != a.id)
        p = p->next;
    if (p && p->state == WAITING) {
        *p->fact = a.fact;
        memset(&a.fact, 0, sizeof(a.fact));
        if (p->health) {
            *p->health = a.health;
            memset(&a.health, 0, sizeof(a.health));
        }
        p->state = ANSWERED;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    shape_done(&rbd_answer_shape, &a);
}

static void *read_answers(void *arg)
{
    struct helper *h = arg;
    struct rbd_client *c = h->client;
    cleanup(freep) char *buf = xcalloc(1, RBD_MSG_BYTES + 1);
    for (;;) {
        ssize_t n = recv(h->fd, buf, RBD_MSG_BYTES, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        take_answer(c, buf, (size_t)n);
    }
    pthread_mutex_lock(&c->lock);
    if (c->helper == h)
        c->helper = NULL; /* from here on nobody signals the pid, which may soon be another's */
    pthread_mutex_unlock(&c->lock);
    kill(h->pid, SIGKILL);
    waitpid(h->pid, NULL, 0);
    close(h->fd);
    pthread_mutex_lock(&c->lock);
    for (struct pending *p = c->waiting; p; p = p->next)
        if (p->state == WAITING)
            p->state = HELPER_GONE;
    c->reading = false;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    free(h);
    return NULL;
}

static int spawn_helper(const char *path, int fd, pid_t *ret)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, fd, HELPER_FD); /* all else is close-on-exec */
    posix_spawnattr_init(&at);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK);
    char *argv[] = {(char *)(uintptr_t)path, NULL};
    char lang[] = "LANG=C";
    char *env[] = {lang, NULL}; /* no CEPH_ARGS: the question says all */
    int r = posix_spawn(ret, path, &fa, &at, argv, env);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    return -r;
}

/* Under the lock. */
static int start_helper(struct rbd_client *c, struct err *e)
{
    while (c->reading && !c->helper) /* the last one is still being buried */
        pthread_cond_wait(&c->changed, &c->lock);
    if (c->helper)
        return 0;
    int fd[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0)
        return err_set(e, -errno, "socketpair for the Ceph helper: %m");
    struct helper *h = xcalloc(1, sizeof(*h));
    h->client = c;
    h->fd = fd[0];
    int r = spawn_helper(c->path, fd[1], &h->pid);
    close(fd[1]);
    pthread_t t;
    if (r == 0 && pthread_create(&t, NULL, read_answers, h) != 0) {
        kill(h->pid, SIGKILL);
        waitpid(h->pid, NULL, 0);
        r = -EAGAIN;
    }
    if (r < 0) {
        close(fd[0]);
        free(h);
        return err_set(e, r, "start the Ceph helper '%s': %s", c->path, strerror(-r));
    }
    pthread_detach(t);
    c->helper = h;
    c->reading = true;
    return 0;
}

/* Under the lock. */
static int send_question(struct rbd_client *c, struct rbd_ask *ask, struct pending *p,
                         struct err *e)
{
    int r = start_helper(c, e);
    if (r < 0)
        return r;
    ask->id = p->id = ++c->next_id;
    p->state = WAITING;
    cleanup(json_decrefp) json_t *j = codec_encode(&rbd_ask_shape, ask);
    cleanup(freep) char *text = codec_text(j);
    ssize_t n = send(c->helper->fd, text, strlen(text), MSG_NOSIGNAL);
    r = n < 0 ? -errno : 0;
    explicit_bzero(text, strlen(text));
    if (r == -EPIPE || r == -ECONNRESET) {
        p->state = HELPER_GONE; /* it was just leaving: the reader buries it, we ask a new one */
        c->helper = NULL;
        return 0;
    }
    return r < 0 ? err_set(e, r, "ask the Ceph helper: %s", strerror(-r)) : 0;
}

static void unlink_pending(struct rbd_client *c, struct pending *p)
{
    for (struct pending **x = &c->waiting; *x; x = &(*x)->next)
        if (*x == p) {
            *x = p->next;
            return;
        }
}

/* Under the lock: until p is answered, its helper is gone, or the time is over. */
static int await(struct rbd_client *c, struct pending *p, int64_t deadline_us)
{
    struct timespec ts = {.tv_sec = deadline_us / SEC, .tv_nsec = deadline_us % SEC * 1000};
    while (p->state == WAITING)
        if (pthread_cond_timedwait(&c->changed, &c->lock, &ts) == ETIMEDOUT && p->state == WAITING)
            return -ETIMEDOUT;
    return 0;
}

struct question {
    struct rbd_ask ask;
    struct pending pending;
    struct err error;
    bool failed;
    int tries;
};

/* Under the lock. One question to its end. */
static void finish(struct rbd_client *c, struct question *q, int64_t deadline_us)
{
    while (!q->failed && q->pending.state != ANSWERED) {
        if (await(c, &q->pending, deadline_us) < 0) {
            q->failed = true;
            err_set(&q->error, -ETIMEDOUT, "Ceph did not answer within %lld s",
                    (long long)(c->timeout_us / SEC));
            /* librados is past its own deadlines: only the end of the process ends that */
            if (c->helper)
                kill(c->helper->pid, SIGKILL);
        } else if (q->pending.state == HELPER_GONE) {
            if (++q->tries >= CLIENT_TRIES || clock_mono_us() > deadline_us) {
                q->failed = true;
                err_set(&q->error, -EPIPE, "the Ceph helper ended before it had answered");
            } else if (send_question(c, &q->ask, &q->pending, &q->error) < 0) {
                q->failed = true;
            }
        }
    }
}

static void ask_all(struct rbd_client *c, struct question *q, size_t n)
{
    int64_t deadline_us = clock_mono_us() + c->timeout_us * 3 / 2 + SEC;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < n; i++) {
        q[i].pending.next = c->waiting;
        c->waiting = &q[i].pending;
        q[i].failed = send_question(c, &q[i].ask, &q[i].pending, &q[i].error) < 0;
    }
    for (size_t i = 0; i < n; i++)
        finish(c, &q[i], deadline_us);
    for (size_t i = 0; i < n; i++)
        unlink_pending(c, &q[i].pending);
    pthread_mutex_unlock(&c->lock);
}

void rbd_client_ask(struct rbd_client *c, const struct disk *disks, char *const *keys, size_t n,
                    struct image_fact *ret)
{
    cleanup(freep) struct question *q = xcalloc(n, sizeof(*q));
    for (size_t i = 0; i < n; i++) {
        /* borrows: encoded before this returns, never released as a shape */
        q[i].ask = (struct rbd_ask){.disk = disks[i], .key = keys[i], .conf = c->conf,
                                    .timeout_us = c->timeout_us};
        q[i].pending.fact = &ret[i];
    }
    ask_all(c, q, n);
    for (size_t i = 0; i < n; i++)
        if (q[i].failed)
            rbd_fact_error(&disks[i], q[i].error.code == -ETIMEDOUT ? "ceph_timeout" : "ceph_error",
                           q[i].error.msg, &ret[i]);
}

void rbd_client_health(struct rbd_client *c, const struct disk *disk, char *key,
                       struct ceph_told *ret)
{
    struct image_fact fact = {0};
    struct question q = {.ask = {.health = true, .disk = *disk, .key = key, .conf = c->conf,
                                 .timeout_us = c->timeout_us},
                         .pending = {.fact = &fact, .health = ret}};
    shape_init(&ceph_told_shape, ret);
    ask_all(c, &q, 1);
    if (q.failed) {
        ret->code = xstrdup(q.error.code == -ETIMEDOUT ? "ceph_timeout" : "ceph_error");
        ret->error = xstrdup(q.error.msg);
    }
    shape_done(&image_fact_shape, &fact);
}

char *rbd_client_conf_fsid(struct rbd_client *c, struct err *e)
{
    struct image_fact fact = {0};
    struct question q = {.ask = {.conf_only = true, .conf = c->conf, .timeout_us = c->timeout_us},
                         .pending = {.fact = &fact}};
    char target[] = "conf"; /* a disk must have a target; nothing reads it */
    q.ask.disk.target = target;
    ask_all(c, &q, 1);
    char *fsid = NULL;
    if (q.failed)
        err_set(e, q.error.code, "%s", q.error.msg);
    else if (!fact.ok)
        err_set(e, -ENODATA, "%s", fact.error ? fact.error : "no fsid");
    else
        fsid = take(fact.fsid);
    shape_done(&image_fact_shape, &fact);
    return fsid;
}

int rbd_client_helper_pid(struct rbd_client *c)
{
    pthread_mutex_lock(&c->lock);
    int pid = c->helper ? (int)c->helper->pid : 0;
    pthread_mutex_unlock(&c->lock);
    return pid;
}
