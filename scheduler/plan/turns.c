/* As many at once as the links need, and the next in good time.
 *
 * More at once than a link needs makes every copy longer, and with it the last pass: the pause of the
 * guest. Fewer leave it idle: while one guest is handed over, and above all while the next QEMU starts
 * (2 to 5 s before the first byte, as long as copying 256 MiB at 1 Gbit/s). */
#include "scheduler/plan/turns.h"

/* Two: one has the link while the other's guest is stopped and handed over. Eight: half of what an
 * agent takes, and of libvirtd's 20 workers. */
enum { STREAMS_MIN = 2, STREAMS_MAX = 8 };
#define FULL_PPM 700000 /* of a link; TCP carries 96 %, but rates are read once a second */

bool turns_link_has_room(const struct policy *p, const struct turns_link *l, int64_t lead_us)
{
    int64_t share = p->migration.link_share_ppm, link_Bps = l->link_bps / 8;
    bool capped = share < 1000000 || p->migration.bandwidth_Bps > 0;
    if (l->active < STREAMS_MIN)
        return true;
    if (l->active >= (capped ? TURNS_BLIND : STREAMS_MAX))
        return false;
    if (link_Bps <= 0) /* nothing is known of it: what flows now is all it can carry */
        link_Bps = l->unsettled ? -1 : l->rate_Bps;
    double link = (double)link_Bps * (double)share / 1e6;
    if (link <= 0)
        return l->active < TURNS_BLIND;
    if ((double)l->rest_bytes * 1e6 < link * (double)lead_us)
        return true; /* it would run dry before the next one's first byte */
    return !l->unsettled && (double)l->rate_Bps * 1e6 < link * FULL_PPM;
}

int64_t turns_cap_Bps(const struct policy *p, int64_t link_bps)
{
    int64_t share = p->migration.link_share_ppm;
    if (p->migration.bandwidth_Bps > 0)
        return p->migration.bandwidth_Bps;
    return link_bps > 0 && share > 0 && share < 1000000
               ? link_bps / 8 / 1000000 * share / TURNS_BLIND
               : 0;
}

int64_t turns_first_bytes(const struct vm *v)
{
    bool known = v->rss_bytes > 0 && v->rss_bytes < v->mem_bytes;
    return known ? v->rss_bytes : v->mem_bytes;
}
