/* agent/io/workers.h: blocking work with a deadline on the caller's side.
 * Purpose  libvirt may hang for minutes. Work runs in a thread of its own; when it is late, the loop
 *          is told and goes on, and the thread is abandoned until it returns by itself.
 * Contract run(arg) in a thread; then exactly one of done(arg) and late(arg) on the loop thread. After
 *          late(), the thread may still be using arg: late may only read what run() never writes.
 *          drop(arg) on the loop thread when nobody uses arg any more (after done; or, for late work,
 *          when its thread has returned; never, if it never does).
 * Bounds   WORKERS_MAX run at once and WORKERS_QUEUE wait; WORKERS_LOST abandoned threads, beyond
 *          which work is refused with -EBUSY: libvirtd is hung, more threads would only pile up.
 * Thread   loop thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/loop.h"

enum { WORKERS_MAX = 12, WORKERS_QUEUE = 1024, WORKERS_LOST = 16 };

struct workers;
struct work {
    const char *name; /* borrows a constant */
    void (*run)(void *arg);
    void (*done)(void *arg);
    void (*late)(void *arg);  /* may be NULL when deadline_us is 0 */
    void (*drop)(void *arg);
    void *arg;
    int64_t deadline_us;      /* from now, waiting in the queue included; 0 = none */
    bool unbounded;           /* long by nature (a migration): counts for no bound here */
};

struct workers *workers_new(struct loop *loop);
/* Work under way is left to itself; its callbacks are not called any more. */
void workers_free(struct workers *w);
/* On failure no callback is called and arg is still the caller's. */
int workers_run(struct workers *w, const struct work *work, struct err *e);
/* Threads and queued work that will still call back. */
int workers_active(const struct workers *w);
int workers_lost(const struct workers *w);
int64_t workers_late_total(const struct workers *w);
