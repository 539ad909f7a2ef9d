/* What this host knows of itself without libvirt: its configuration, its session, its CPU. */
#include <stdio.h>

#include "agent/io/agent.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static void set_str(char **to, const char *value)
{
    char *copy = xstrdup(value);
    free(*to);
    *to = copy;
}

/* CPU use of the whole host since the last call, in ppm; -1 the first time. */
static int64_t cpu_load(struct cpu_meter *m)
{
    cleanup(freep) char *text = NULL;
    long long v[8] = {0};
    if (file_read("/proc/stat", 1 << 20, &text, NULL, NULL) < 0 ||
        sscanf(text, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &v[0], &v[1], &v[2], &v[3],
               &v[4], &v[5], &v[6], &v[7]) != 8)
        return -1;
    int64_t total = 0;
    for (size_t k = 0; k < 8; k++)
        total += v[k];
    int64_t busy = total - v[3] - v[4], d_busy = busy - m->busy, d_total = total - m->total;
    bool first = m->total == 0;
    m->busy = busy;
    m->total = total;
    return first || d_total <= 0 ? -1 : d_busy * 1000000 / d_total;
}

/* What the configuration and the session know of this host. */
void ownfacts_fill(struct agent *a, struct cpu_meter *m, bool libvirt_up, struct host *h)
{
    const struct config *cfg = &a->cfg;
    set_str(&h->name, a->tls ? tls_self(a->tls)->name : h->hostname);
    set_str(&h->agent_version, DROVER_VERSION);
    set_str(&h->migrate_address, cfg->migrate_address);
    free(h->migrate_uri);
    h->migrate_uri = cfg->migrate_uri ? xstrdup(cfg->migrate_uri)
                     : h->hostname    ? xasprintf("qemu+tls://%s/system", h->hostname)
                                      : NULL;
    set_str(&h->zone, cfg->zone);
    set_str(&h->rack, cfg->rack);
    h->link_bps = cfg->link_bps;
    for (size_t k = 0; k < h->n_labels; k++)
        shape_done(&label_shape, &h->labels[k]);
    free(h->labels);
    h->labels = NULL;
    h->n_labels = 0;
    for (size_t k = 0; k < cfg->n_labels; k++)
        shape_copy(&label_shape, vec_add(&h->labels, &h->n_labels), &cfg->labels[k]);
    if (cfg->mem_bytes > 0 && cfg->mem_bytes < h->mem_bytes)
        h->mem_bytes = cfg->mem_bytes;
    if (h->mem_free_bytes > h->mem_bytes)
        h->mem_free_bytes = h->mem_bytes;
    h->libvirt_up = libvirt_up;
    h->load_ppm = cpu_load(m);
    h->clock_skew_us = a->clock_skew_us;
}
