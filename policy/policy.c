#include "policy/policy.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "policy/keys.h"
#include "policy/rules/rules.h"
#include "policy/zone.h"

const char *const on_blocked_names[4] = {"refuse", "leave", "cold", "shutdown"};
const char *const drain_order_names[3] = {"fastest", "smallest-first", "largest-first"};
const char *const transport_names[2] = {"tls", "tcp"};
const char *const balance_load_names[5] = {"5m", "1h", "24h", "p95", "reserved"};
const char *const balance_mode_names[5] = {"repair-rules", "relieve", "balance", "make-room",
                                           "consolidate"};
const char *const approve_names[2] = {"manual", "auto"};
const char *const ceph_pause_names[4] = {"never", "error", "slow-ops", "recovery"};
const char *const rule_kind_names[RULE_KINDS] = {"anti_affinity",    "affinity", "host_required",
                                                 "host_forbidden",   "max_vms",  "exclude",
                                                 "maintenance_only", "spread",   "host_preferred"};
const char *const domain_level_names[3] = {"host", "rack", "zone"};

/* Each value is explained in docs/policy.md; the two that are not a plain "as libvirt does" are:
 * reserve 512 MiB: kernel, libvirtd, agent and journal of a Debian host without guests take about
 * 300 MiB; what QEMU needs beyond guest memory is counted per VM, not here.
 * timeout 800 s/GiB: what KubeVirt and Nova settled on for giving up a move. */
void policy_default(struct policy *p)
{
    *p = (struct policy){
        .capacity = {.mem_overcommit_ppm = 1000000,
                     .mem_reserve_bytes = 512 * MIB,
                     .vcpu_overcommit_ppm = 4000000},
        .migration = {.transport = TRANSPORT_TLS,
                      .parallel = 0,
                      .link_share_ppm = 1000000,
                      .timeout_us_per_gib = 800 * SEC,
                      .retries = 2,
                      .live = true,
                      .persistent = true,
                      .undefine_source = true,
                      .abort_on_error = true,
                      .auto_converge = true, /* slows only guests whose copy would never end */
                      .multifd_channels = POLICY_MULTIFD_CHANNELS},
        .drain = {.on_blocked = BLOCKED_REFUSE,
                  .order = ORDER_FASTEST,
                  .bring_home = false,
                  .make_room = false, /* who is not on the host is not to notice */
                  .shutdown_timeout_us = 180 * SEC},
        .balance = {.imbalance_ppm = 200000,
                    .sustained = 3,
                    .min_gain_ppm = 50000,
                    .max_moves = 10,
                    .cooldown_us = 6 * 3600 * SEC,
                    .weight_cpu = 1,
                    .weight_mem = 1,
                    .approve = APPROVE_MANUAL,
                    .ceph_pause = CEPH_PAUSE_SLOW,
                    .load = LOAD_5M,
                    .busy_ppm = 800000, /* docs/balancing.md */
                    .forecast_ppm = 0, /* two days of measuring before it says anything */
                    .mode = BALANCE_EVEN},
    };
}

static void selector_done(struct selector *s)
{
    for (size_t i = 0; i < s->n_names; i++)
        free(s->names[i]);
    free(s->names);
    for (size_t i = 0; i < s->n_labels; i++)
        shape_done(&label_shape, &s->labels[i]);
    free(s->labels);
}

void rule_done(struct rule *r)
{
    free(r->name);
    free(r->where);
    selector_done(&r->vms);
    selector_done(&r->hosts);
    *r = (struct rule){0};
}

void policy_windows_done(struct policy *p)
{
    for (size_t i = 0; i < p->balance.n_windows; i++)
        window_done(&p->balance.windows[i]);
    free(p->balance.windows);
    p->balance.windows = NULL;
    p->balance.n_windows = 0;
}

void policy_done(struct policy *p)
{
    for (size_t i = 0; i < p->n_rules; i++)
        rule_done(&p->rules[i]);
    free(p->rules);
    schedule_done(&p->balance.schedule);
    policy_windows_done(p);
    for (size_t i = 0; i < p->n_zones; i++)
        zone_free(p->zones[i]);
    free(p->zones);
    free(p->failover.priority);
    for (size_t i = 0; i < p->n_files; i++) {
        free(p->files[i].name);
        free(p->files[i].text);
    }
    free(p->files);
    for (size_t i = 0; i < p->n_set; i++) {
        free(p->set[i].key);
        free(p->set[i].where);
        free(p->set[i].overrides);
    }
    free(p->set);
    free(p->author);
    free(p->summary);
    free(p->changed);
    free(p->commit);
    free(p->dir);
    *p = (struct policy){0};
}

static bool selector_matches(const struct selector *s, const char *name, const struct label *labels,
                             size_t n_labels)
{
    bool named = s->n_names == 0;
    for (size_t i = 0; i < s->n_names && !named; i++)
        named = str_glob(s->names[i], name);
    if (!named)
        return false;
    for (size_t i = 0; i < s->n_labels; i++)
        if (!str_eq(label_get(labels, n_labels, s->labels[i].key), s->labels[i].value))
            return false;
    return true;
}

bool selector_matches_vm(const struct selector *s, const struct vm *v)
{
    return selector_matches(s, v->name, v->labels, v->n_labels);
}

bool selector_matches_host(const struct selector *s, const struct host *h)
{
    return selector_matches(s, h->name, h->labels, h->n_labels);
}
