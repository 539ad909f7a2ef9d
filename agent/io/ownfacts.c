/* What this host knows of itself without libvirt: its configuration, its session. */
#include "agent/io/agent.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static void set_str(char **to, const char *value)
{
    char *copy = xstrdup(value);
    free(*to);
    *to = copy;
}

/* What the configuration and the session know of this host. */
void ownfacts_fill(struct agent *a, bool libvirt_up, struct host *h)
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
    h->clock_skew_us = a->clock_skew_us;
}
