/* tests/unit/schedrig.h: a scheduler in this process, with a real socket and a store that may fail. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/io/api.h"
#include "scheduler/io/config.h"
#include "scheduler/io/corethread.h"
#include "scheduler/io/store.h"
#include "scheduler/plan/snapshot.h"
#include "scheduler/snap/snap.h"
#include "tests/unit/faultvfs.h"

struct rig {
    char dir[64], db[96], sock[96], rec[96];
    struct loop *loop;
    struct http *http;
    struct api api;
    struct queue *queue;
    struct corethread *core;
    pthread_t thread;
    pthread_mutex_t lock;
    size_t sent;       /* frames for agents */
    int64_t restarted; /* term of the last restart */
};

static inline int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static inline void out_send(void *arg, struct outgoing *list, size_t n)
{
    struct rig *g = arg;
    pthread_mutex_lock(&g->lock);
    g->sent += n;
    pthread_mutex_unlock(&g->lock);
    for (size_t i = 0; i < n; i++) {
        free(list[i].host);
        free(list[i].text);
    }
    free(list);
}

static inline void out_reply(void *arg, uint64_t id, int status, char *body)
{
    struct rig *g = arg;
    http_reply(g->http, id, status, NULL, body, strlen(body));
}

static inline void out_reply_shared(void *arg, uint64_t id, const struct http_shared *b)
{
    struct rig *g = arg;
    http_reply_shared(g->http, id, b);
}

static inline void out_restart(void *arg, int64_t term)
{
    struct rig *g = arg;
    pthread_mutex_lock(&g->lock);
    g->restarted = term;
    pthread_mutex_unlock(&g->lock);
}

static inline void out_ended(void *arg)
{
    (void)arg;
}

static inline void start(struct rig *g)
{
    struct err e = {0};
    assert_int_equal(loop_new(&g->loop, &e), 0);
    g->queue = queue_new();
    g->api.queue = g->queue;
    assert_int_equal(
        http_new(
            &(struct http_config){.loop = g->loop, .on_request = api_on_request, .arg = &g->api},
            &g->http, &e),
        0);
    assert_int_equal(http_listen_unix(g->http, g->sock, NULL, &e), 0);
    struct policy p;
    policy_default(&p);
    const struct corethread_config cc = {
        .database = g->db,
        .vfs = "fault",
        .recorder = g->rec,
        .heartbeat_us = SEC,
        .retry_us = 20 * MSEC,
        .queue = g->queue,
        .out = {g, out_send, out_reply, out_reply_shared, out_restart, out_ended},
    };
    if (corethread_open(&cc, &p, &g->core, &e) < 0)
        fail_msg("%s", e.msg);
    corethread_start(g->core);
    assert_int_equal(pthread_create(&g->thread, NULL, run_loop, g->loop), 0);
}

static inline void stop(struct rig *g)
{
    queue_close(g->queue);
    corethread_free(g->core);
    loop_stop(g->loop);
    pthread_join(g->thread, NULL);
    http_free(g->http);
    loop_free(g->loop);
    queue_free(g->queue);
}

static inline int setup_dir(void **state)
{
    struct rig *g = xcalloc(1, sizeof(*g));
    snprintf(g->dir, sizeof(g->dir), "/tmp/drover-io-XXXXXX");
    assert_non_null(mkdtemp(g->dir));
    snprintf(g->db, sizeof(g->db), "%s/drover.db", g->dir);
    snprintf(g->sock, sizeof(g->sock), "%s/api.sock", g->dir);
    snprintf(g->rec, sizeof(g->rec), "%s/rec", g->dir);
    pthread_mutex_init(&g->lock, NULL);
    fault = (struct fault){0};
    *state = g;
    return 0;
}

static inline int setup(void **state)
{
    setup_dir(state);
    start(*state);
    return 0;
}

static inline int teardown_dir(void **state)
{
    struct rig *g = *state;
    nftw(g->dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
    free(g);
    return 0;
}

static inline int teardown(void **state)
{
    stop(*state);
    return teardown_dir(state);
}
