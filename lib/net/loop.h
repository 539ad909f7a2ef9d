/* lib/net/loop.h: the one thread that owns all sockets (thin over libevent).
 * Thread   everything here belongs to the loop thread (the one in loop_run, or the one that sets up
 *          before it), except loop_post and loop_stop, which any thread may call.
 * Owner    *_new/_free as in house style.   Units µs, monotonic. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

struct loop;
struct timer;
struct event_base;

/* Also ignores SIGPIPE for the process: a peer that went away is an error, not a signal. */
int loop_new(struct loop **ret, struct err *e);
/* Every conn, listener, dialer, http, watch and timer on it must be freed first. Closures still
 * queued are dropped, not run. */
void loop_free(struct loop *l);
/* Serve until loop_stop. May be called again. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l); /* any thread, any number of times; also before loop_run */

/* Have the loop thread call run(arg), in order of posting. Any thread, never blocks. drop(arg) (may
 * be NULL) is called instead if the loop is freed first. -ENOBUFS when LIM_EVENT_QUEUE closures wait,
 * -ESHUTDOWN after loop_free; then neither is called and arg is still the caller's. */
int loop_post(struct loop *l, void (*run)(void *arg), void (*drop)(void *arg), void *arg);

/* Keep the memory of *l valid for loop_post beyond loop_free. Any thread. */
void loop_hold(struct loop *l);
void loop_release(struct loop *l);

int loop_on_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg,
                   struct err *e);

/* One-shot; timer_set again to repeat. timer_free inside fn is fine. */
struct timer *timer_new(struct loop *l, void (*fn)(void *arg), void *arg);
void timer_set(struct timer *t, int64_t in_us); /* replaces an earlier setting */
void timer_stop(struct timer *t);
void timer_free(struct timer *t);

/* For lib/net itself: the base, and objects that own themselves while they end (a lingering
 * connection): loop_free calls end(arg) for those not disowned by then. */
struct event_base *loop_base(struct loop *l);
struct orphan;
struct orphan *loop_adopt(struct loop *l, void (*end)(void *arg), void *arg);
void loop_disown(struct orphan *o);
