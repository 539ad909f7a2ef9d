/* What guests do to their memory, over time. */
#include "scheduler/sim/copy.h"

void guest_writes(struct sim *s, struct sim_vm *v, int64_t Bps, int64_t hot_bytes)
{
    copy_guest_changes(s, v->copy);
    v->habit++;
    v->writes_Bps = v->facts.dirty_Bps = Bps;
    v->hot_bytes = hot_bytes;
}

/* ---- bursts --------------------------------------------------------------------------------------- */
struct habit {
    struct sim_vm *v;
    int64_t no;
    struct bursts b;
    int64_t calm_Bps, calm_bytes;
    bool bursting;
};

static void turn(struct sim *s, void *arg)
{
    const struct habit *h = arg;
    struct sim_vm *v = h->v;
    if (v->habit != h->no)
        return;
    copy_guest_changes(s, v->copy);
    struct habit *next = xmemdup(h, sizeof(*h));
    next->bursting = !h->bursting;
    v->writes_Bps = next->bursting ? h->b.Bps : h->calm_Bps;
    v->hot_bytes = next->bursting ? h->b.hot_bytes : h->calm_bytes;
    int64_t in_us = next->bursting ? h->b.for_us : h->b.every_us - h->b.for_us;
    sim_later(s, in_us, (struct sim_due){.run = turn, .arg = next});
}

void guest_bursts(struct sim *s, struct sim_vm *v, const struct bursts *b)
{
    struct habit first = {
        .v = v, .no = ++v->habit, .b = *b, .calm_Bps = v->writes_Bps, .calm_bytes = v->hot_bytes};
    /* an agent tells the middle one of three samples: what is so for most of the time */
    v->facts.dirty_Bps = 2 * b->for_us > b->every_us ? b->Bps : v->writes_Bps;
    turn(s, &first);
}
