/* GET /v1/snapshot: a fleet of 200,000 VMs is two seconds of encoding. It is pinned (scheduler/core/pin.c) and
 * written in slices, between which the core goes on as if nothing were. Those who asked before one was begun
 * share its text; a further one waits while FLEETS_OUT texts are on their way to readers. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/io/corethread_int.h"
#include "scheduler/snap/snap.h"

enum { FLEETS_OUT = 2, ITEMS_AT_ONCE = 8, PAGES_FIRST = 1 << 20 };
static const int64_t SLICE_US = 2 * MSEC;

/* Grows by moving pages, not bytes: the copy of 64 MiB that open_memstream makes takes 60 ms. */
struct pages {
    char *at;
    size_t len, room;
};
struct out { /* texts that somebody holds, and the maker himself */
    atomic_int refs;
};
struct text {
    struct out *out;
    atomic_int refs;
    struct pages body;
};
struct fleet {
    struct out *out;
    uint64_t *asked, *served; /* http ids: for the next one, for this one */
    size_t n_asked, n_served;
    bool writing;
    struct snap_writer w;
    struct pages body;
};

/* ---- its text ------------------------------------------------------------------------------------ */
static void pages_done(struct pages *p)
{
    if (p->room)
        munmap(p->at, p->room);
    *p = (struct pages){0};
}

static ssize_t pages_add(void *cookie, const char *bytes, size_t n)
{
    struct pages *p = cookie;
    size_t room = p->room ? p->room : PAGES_FIRST;
    while (room < p->len + n)
        room *= 2;
    if (room != p->room) {
        void *at = p->room ? mremap(p->at, p->room, room, MREMAP_MAYMOVE)
                           : mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            abort(); /* out of memory */
        p->at = at;
        p->room = room;
    }
    memcpy(p->at + p->len, bytes, n);
    p->len += n;
    return (ssize_t)n;
}

static FILE *pages_open(struct pages *p)
{
    FILE *f = fopencookie(p, "w", (cookie_io_functions_t){.write = pages_add});
    if (!f || setvbuf(f, NULL, _IOFBF, 64 << 10))
        abort(); /* out of memory */
    return f;
}

/* ---- who holds it -------------------------------------------------------------------------------- */
static void out_release(struct out *o)
{
    if (atomic_fetch_sub(&o->refs, 1) == 1)
        free(o);
}

static void text_release(void *arg)
{
    struct text *t = arg;
    if (atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    pages_done(&t->body);
    out_release(t->out);
    free(t);
}

struct fleet *fleet_new(void)
{
    struct fleet *f = xcalloc(1, sizeof(*f));
    f->out = xcalloc(1, sizeof(*f->out));
    atomic_init(&f->out->refs, 1);
    return f;
}

static void abandon(struct fleet *f)
{
    if (f->writing)
        fclose(take(f->w.f));
    pages_done(&f->body);
    f->writing = false;
}

void fleet_free(struct fleet *f)
{
    if (!f)
        return;
    abandon(f);
    out_release(f->out);
    free(f->asked);
    free(f->served);
    free(f);
}

void fleet_ask(struct fleet *f, uint64_t http)
{
    *(uint64_t *)vec_add(&f->asked, &f->n_asked) = http;
}

bool fleet_due(const struct fleet *f)
{
    return f->writing || (f->n_asked && atomic_load(&f->out->refs) <= FLEETS_OUT);
}

static void begin(struct corethread *t, struct fleet *f)
{
    for (size_t i = 0; i < f->n_asked; i++)
        *(uint64_t *)vec_add(&f->served, &f->n_served) = f->asked[i];
    free(take(f->asked));
    f->n_asked = 0;
    f->w = (struct snap_writer){
        .f = pages_open(&f->body), .s = core_pin(t->core), .wall_us = clock_wall_us()};
    f->writing = true;
}

static void finish(struct corethread *t, struct fleet *f)
{
    core_unpin(t->core);
    f->writing = false;
    if (fclose(take(f->w.f)))
        abort(); /* out of memory */
    struct text *x = xcalloc(1, sizeof(*x));
    x->out = f->out;
    atomic_fetch_add(&f->out->refs, 1);
    x->body = f->body;
    f->body = (struct pages){0};
    atomic_init(&x->refs, (int)f->n_served + 1);
    const struct http_shared b = {x->body.at, x->body.len, text_release, x};
    for (size_t i = 0; i < f->n_served; i++)
        t->cfg.out.reply_shared(t->cfg.out.arg, f->served[i], &b);
    text_release(x);
    free(take(f->served));
    f->n_served = 0;
}

void fleet_slice(struct corethread *t, struct fleet *f)
{
    if (!fleet_due(f))
        return;
    int64_t until_us = clock_mono_us() + SLICE_US;
    if (!f->writing)
        begin(t, f);
    bool more = true;
    while (more && clock_mono_us() < until_us)
        more = snap_write_some(&f->w, ITEMS_AT_ONCE);
    core_pin_read(t->core, f->w.vms);
    if (!more)
        finish(t, f);
}

void fleet_anew(struct fleet *f)
{
    if (!f->writing)
        return;
    abandon(f);
    for (size_t i = 0; i < f->n_served; i++)
        fleet_ask(f, f->served[i]);
    free(take(f->served));
    f->n_served = 0;
}
