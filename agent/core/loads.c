#include "agent/core/loads.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

enum { VM_CHANGE_MCPU = 50, HOST_CHANGE_MCPU = 100, TELL_MCPU = 10 };

struct guest {
    char *uuid;
    struct vm_reading base, prev, last; /* at the last report, one period ago, now; uuid NULL */
    int64_t base_us, prev_us, last_us;  /* when; 0: there is none */
    bool told, seen;
    struct vm_load said;
};
struct loads {
    struct guest *guests;
    size_t n;
    struct host_reading base, prev, last;
    int64_t base_us, prev_us, last_us; /* 0: none */
    int64_t said_us;                   /* the last report; 0: none on this connection */
    int64_t said_mcpu;
    bool due;
};

struct loads *loads_new(void)
{
    return xcalloc(1, sizeof(struct loads));
}

void loads_free(struct loads *l)
{
    for (size_t i = 0; l && i < l->n; i++)
        free(l->guests[i].uuid);
    if (l)
        free(l->guests);
    free(l);
}

void loads_restart(struct loads *l)
{
    for (size_t i = 0; i < l->n; i++)
        l->guests[i].told = false;
    l->said_us = 0;
    l->due = l->last_us && l->prev_us;
}

/* ---- figures -------------------------------------------------------------------------------------- */

static int64_t grown(int64_t from, int64_t to)
{
    return from < 0 || to < from ? -1 : to - from;
}

/* Of a counter, per second and times scale. */
static int64_t rate(int64_t from, int64_t to, int64_t us, int64_t scale)
{
    int64_t by = grown(from, to);
    return by < 0 || us <= 0 ? -1 : (int64_t)((__int128)by * scale / us);
}

static int64_t mcpu(int64_t from_us, int64_t to_us, int64_t us)
{
    return rate(from_us, to_us, us, 1000);
}

static bool same_qemu(const struct vm_reading *a, const struct vm_reading *b)
{
    return a->id == b->id && grown(a->cpu_us, b->cpu_us) >= 0;
}

static int64_t guest_mcpu(const struct vm_reading *from, const struct vm_reading *to, int64_t us)
{
    return same_qemu(from, to) ? mcpu(from->cpu_us, to->cpu_us, us) : -1;
}

static struct vm_load guest_load(const struct guest *g)
{
    const struct vm_reading *a = &g->base, *b = &g->last;
    int64_t us = g->seen && g->base_us ? g->last_us - g->base_us : 0;
    struct vm_load v = {.cpu_mcpu = guest_mcpu(a, b, us), .rss_bytes = g->seen ? b->rss_bytes : -1};
    bool same = us > 0 && same_qemu(a, b);
    v.read_Bps = same ? rate(a->read_bytes, b->read_bytes, us, 1000000) : -1;
    v.write_Bps = same ? rate(a->write_bytes, b->write_bytes, us, 1000000) : -1;
    v.rx_Bps = same ? rate(a->rx_bytes, b->rx_bytes, us, 1000000) : -1;
    v.tx_Bps = same ? rate(a->tx_bytes, b->tx_bytes, us, 1000000) : -1;
    return v;
}

static int64_t share(int64_t from_us, int64_t to_us, int64_t us)
{
    int64_t ppm = rate(from_us, to_us, us, 1000000);
    return ppm > 1000000 ? 1000000 : ppm; /* the kernel's clock is not ours */
}

static struct host_load host_load(const struct loads *l)
{
    const struct host_reading *a = &l->base, *b = &l->last;
    int64_t us = l->last_us - l->base_us;
    return (struct host_load){
        .source = xstrdup(b->source),
        .cpu_mcpu = mcpu(a->cpu_us, b->cpu_us, us),
        .mem_free_bytes = b->mem_free_bytes,
        .psi_cpu_ppm = share(a->psi_cpu_us, b->psi_cpu_us, us),
        .psi_mem_ppm = share(a->psi_mem_us, b->psi_mem_us, us),
        .psi_mem_full_ppm = share(a->psi_mem_full_us, b->psi_mem_full_us, us),
        .psi_io_ppm = share(a->psi_io_us, b->psi_io_us, us),
        .psi_io_full_ppm = share(a->psi_io_full_us, b->psi_io_full_us, us),
        .rx_Bps = rate(a->rx_bytes, b->rx_bytes, us, 1000000),
        .tx_Bps = rate(a->tx_bytes, b->tx_bytes, us, 1000000),
    };
}

/* ---- what is worth telling ------------------------------------------------------------------------ */

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* Known and unknown are as different as can be. */
static bool other_than(int64_t was, int64_t is, int64_t least, int64_t part)
{
    if (was < 0 || is < 0)
        return (was < 0) != (is < 0);
    return distance(was, is) > least && distance(was, is) > was / part;
}

static bool guest_changed(const struct guest *g)
{
    int64_t now =
        g->seen && g->prev_us ? guest_mcpu(&g->prev, &g->last, g->last_us - g->prev_us) : -1;
    return !g->told || other_than(g->said.cpu_mcpu, now, VM_CHANGE_MCPU, 8);
}

static bool worth_telling(const struct guest *g, const struct vm_load *v)
{
    return !g->told || other_than(g->said.cpu_mcpu, v->cpu_mcpu, TELL_MCPU, 32) ||
           other_than(g->said.rss_bytes, v->rss_bytes, 64 * MIB, 8) ||
           other_than(g->said.read_Bps, v->read_Bps, 256 * KIB, 4) ||
           other_than(g->said.write_Bps, v->write_Bps, 256 * KIB, 4) ||
           other_than(g->said.rx_Bps, v->rx_Bps, 256 * KIB, 4) ||
           other_than(g->said.tx_Bps, v->tx_Bps, 256 * KIB, 4);
}

/* ---- readings ------------------------------------------------------------------------------------- */

static struct guest *guest_of(struct loads *l, const char *uuid)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->guests[i].uuid, uuid))
            return &l->guests[i];
    struct guest *g = vec_add(&l->guests, &l->n);
    *g = (struct guest){.uuid = xstrdup(uuid)};
    return g;
}

static void add_guest(struct loads *l, int64_t now_us, const struct vm_reading *r)
{
    struct guest *g = guest_of(l, r->uuid);
    g->seen = true;
    g->prev = g->last;
    g->prev_us = g->last_us;
    g->last = *r;
    g->last.uuid = NULL;
    g->last_us = now_us;
    if (!same_qemu(&g->prev, &g->last))
        g->prev_us = 0;
    if (!g->base_us || !same_qemu(&g->base, &g->last)) {
        g->base = g->last; /* the first of this QEMU: figures begin here */
        g->base_us = now_us;
    }
    if (g->prev_us && now_us - g->base_us > 2 * LOADS_SILENT_US) { /* nobody took them */
        g->base = g->prev;
        g->base_us = g->prev_us;
    }
}

static void add_host(struct loads *l, int64_t now_us, const struct host_reading *r)
{
    l->prev = l->last;
    l->prev_us = l->last_us;
    l->last = *r;
    l->last_us = now_us;
    if (!l->prev_us)
        l->prev_us = l->base_us = 0;
    if (!l->base_us || now_us - l->base_us > 2 * LOADS_SILENT_US ||
        grown(l->base.cpu_us, r->cpu_us) < 0) {
        l->base = l->prev_us ? l->prev : l->last;
        l->base_us = l->prev_us ? l->prev_us : now_us;
    }
}

/* Not read any more: told once, then forgotten. */
static void lose_guests(struct loads *l)
{
    for (size_t i = l->n; i-- > 0;) {
        struct guest *g = &l->guests[i];
        if (g->seen)
            continue;
        g->base_us = g->prev_us = g->last_us = 0;
        if (g->told && g->said.cpu_mcpu >= 0)
            continue;
        free(g->uuid);
        vec_del(l->guests, &l->n, i);
    }
}

void loads_add(struct loads *l, int64_t now_us, const struct host_reading *host,
               const struct vm_reading *vms, size_t n)
{
    for (size_t i = 0; i < l->n; i++)
        l->guests[i].seen = false;
    for (size_t i = 0; i < n; i++)
        add_guest(l, now_us, &vms[i]);
    lose_guests(l);
    if (!host)
        return;
    add_host(l, now_us, host);
    if (!l->prev_us)
        return; /* the first: nothing to compare with */
    int64_t busy = mcpu(l->prev.cpu_us, l->last.cpu_us, now_us - l->prev_us);
    bool changed = other_than(l->said_mcpu, busy, HOST_CHANGE_MCPU, 8);
    for (size_t i = 0; i < l->n && !changed; i++)
        changed = guest_changed(&l->guests[i]);
    if (changed || !l->said_us || now_us - l->said_us >= LOADS_SILENT_US)
        l->due = true;
}

static void tell_guest(struct guest *g, const struct vm_load *v, struct load_report *ret)
{
    struct vm_load *to = vec_add(&ret->vms, &ret->n_vms);
    *to = *v;
    to->uuid = xstrdup(g->uuid);
    g->said = *v;
    g->told = true;
}

bool loads_take(struct loads *l, struct load_report *ret)
{
    if (!l->due || !l->base_us || l->last_us <= l->base_us)
        return false;
    shape_init(&load_report_shape, ret);
    ret->period_us = l->last_us - l->base_us;
    ret->next_us = LOADS_SILENT_US;
    ret->host = host_load(l);
    for (size_t i = 0; i < l->n; i++) {
        struct guest *g = &l->guests[i];
        struct vm_load v = guest_load(g);
        if (v.cpu_mcpu >= 0)
            ret->host.guests_mcpu =
                (ret->host.guests_mcpu < 0 ? 0 : ret->host.guests_mcpu) + v.cpu_mcpu;
        if (worth_telling(g, &v))
            tell_guest(g, &v, ret);
        g->base = g->last;
        g->base_us = g->last_us;
    }
    if (ret->host.guests_mcpu < 0)
        ret->host.guests_mcpu = 0; /* none is measured: all is others' */
    l->base = l->last;
    l->said_us = l->base_us = l->last_us;
    l->said_mcpu = ret->host.cpu_mcpu;
    l->due = false;
    lose_guests(l);
    return true;
}
