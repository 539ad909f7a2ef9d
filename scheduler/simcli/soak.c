/* Random fleets, rules, requests and faults. All as text, one thing a line: so that shrink.c can leave
 * lines out, and what remains is a scenario like any other. */
#include <stdarg.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "lib/base/str.h"
#include "scheduler/simcli/scenario.h"

enum { HOSTS_MAX = 8, VMS_MAX = 40, DEEDS_MAX = 14, APPS = 5, SETS = 8 };
#define SPAN_S 600 /* in which things happen */

struct making {
    struct rng r;
    struct scenario *sc;
    int hosts, vms;
    int64_t free_gib[HOSTS_MAX];
    bool post_copy;
};

static int below(struct making *m, int n)
{
    return (int)rng_below(&m->r, (uint64_t)n);
}

static bool chance(struct making *m, int percent)
{
    return below(m, 100) < percent;
}

static void line(struct making *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void line(struct making *m, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct scenario_line *l = vec_add(&m->sc->script, &m->sc->n_script);
    l->text = xvasprintf(fmt, ap);
    l->no = (int64_t)m->sc->n_script;
    va_end(ap);
}

/* ---- fleet ------------------------------------------------------------------------------------------------ */
static void make_fleet(struct making *m)
{
    static const int sizes[] = {1, 1, 2, 2, 4, 4, 8, 16};
    char **text = &m->sc->cluster;
    m->hosts = 3 + below(m, HOSTS_MAX - 2);
    for (int i = 0; i < m->hosts; i++) {
        int gib = 16 << below(m, 3);
        m->free_gib[i] = gib - 6;
        int rack = i % 3, zone = i % 2;
        const char *kind = chance(m, 30) ? "old" : "new";
        const char *state = chance(m, 92) ? "" : chance(m, 50) ? " cordoned" : " maintenance";
        text_add(text, "%s\"h%d %dGiB 32c rack=r%d zone=z%d kind=%s%s\"\n",
                 i ? "," : "{\"hosts\": [", i + 1, gib, rack, zone, kind, state);
    }
    int wanted = 2 + below(m, VMS_MAX - 2);
    for (int i = 0; i < wanted; i++) {
        int host = below(m, m->hosts), gib = sizes[below(m, (int)ARRAY_LEN(sizes))];
        if (m->free_gib[host] * 10 < gib * 14) /* some room must be left to move */
            continue;
        int cpus = 1 + below(m, 4), app = below(m, APPS), set = below(m, SETS);
        m->free_gib[host] -= gib;
        m->vms++;
        text_add(text, "%s", m->vms > 1 ? "," : "],\"vms\": [");
        if (m->vms % 3) /* every third has XML for the store */
            text_add(text, "\"v%d@h%d %dGiB %dc app=a%d set=s%d\"\n", m->vms, host + 1, gib, cpus,
                     app, set);
        else
            text_add(
                text,
                "{\"name\": \"v%d\", \"host\": \"h%d\", \"mem_bytes\": %lld, \"vcpus\": %d, "
                "\"labels\": "
                "[{\"key\": \"app\", \"value\": \"a%d\"}, {\"key\": \"set\", \"value\": \"s%d\"}], "
                "\"xml\": \"<live>v%d</live>\", \"xml_inactive\": \"<kept>v%d</kept>\"}\n",
                m->vms, host + 1, (long long)(gib * GIB), cpus, app, set, m->vms, m->vms);
    }
    if (!m->vms) {
        m->vms = 1;
        text_add(text, "],\"vms\": [\"v1@h1 1GiB 1c app=a0 set=s0\"\n");
    }
    text_add(text, "]}\n");
}

/* ---- policy ----------------------------------------------------------------------------------------------- */
static void make_policy(struct making *m)
{
    static const char *const across[] = {"host", "host", "rack", "zone"};
    static const char *const blocked[] = {"refuse", "leave", "leave", "cold"};
    char **text = &m->sc->policy;
    text_add(text, "version: 1\n");
    text_add(text, "drain: {on_blocked: %s}\n", blocked[below(m, 4)]);
    int retries = below(m, 4), timeout = chance(m, 80) ? 800 : 20;
    const char *parallel = chance(m, 50) ? "auto" : chance(m, 50) ? "1" : "3";
    const char *undefine = chance(m, 90) ? "true" : "false";
    m->post_copy = chance(m, 25);
    text_add(
        text,
        "migration: {retries: %d, parallel: %s, undefine_source: %s, timeout: %ds/GiB, post_copy: "
        "%s}\n",
        retries, parallel, undefine, timeout, m->post_copy ? "true" : "false");
    int rules = below(m, 4);
    if (rules)
        text_add(text, "rules:\n");
    for (int i = 0; i < rules; i++) {
        int app = below(m, APPS);
        const char *hard = chance(m, 70) ? "true" : "false";
        switch (below(m, 6)) {
        case 4:
            text_add(
                text,
                "  - {name: r%d, spread: {vms: {labels: {app: a%d}}, min: %d, across: %s}, hard: "
                "%s}\n",
                i, app, 2 + below(m, 2), across[below(m, 4)], hard);
            break;
        case 5:
            text_add(
                text,
                "  - {name: r%d, affinity: {vms: {labels: {set: s%d}}, across: %s}, hard: %s}\n", i,
                below(m, SETS), across[below(m, 4)], hard);
            break;
        case 0:
            text_add(text,
                     "  - {name: r%d, host_forbidden: {vms: {labels: {app: a%d}}, hosts: {labels: "
                     "{kind: old}}}, hard: %s}\n",
                     i, app, hard);
            break;
        case 1:
            text_add(text,
                     "  - {name: r%d, max_vms: {vms: {labels: {app: a%d}}, max: %d}, hard: %s}\n",
                     i, app, 1 + i, hard);
            break;
        default:
            text_add(
                text,
                "  - {name: r%d, anti_affinity: {vms: {labels: {app: a%d}}, across: %s}, hard: "
                "%s}\n",
                i, app, across[below(m, 4)], hard);
            break;
        }
    }
}

/* ---- what happens ------------------------------------------------------------------------------------------- */
static int host(struct making *m)
{
    return 1 + below(m, m->hosts);
}

static int vm(struct making *m)
{
    return 1 + below(m, m->vms);
}

static void request(struct making *m, int at)
{
    static const char *const more[] = {"",
                                       " --on-blocked leave",
                                       " --on-blocked refuse",
                                       " --on-blocked cold",
                                       " --parallel 2",
                                       " --deadline 60s"};
    int h = host(m);
    switch (below(m, 8)) {
    case 7: {
        static const char *const modes[] = {"", " --mode relieve", " --mode repair-rules",
                                            " --mode consolidate --max-moves 3",
                                            " --mode make-room --memory 6GiB",

                                            " --forget-failures"};
        line(m, "%ds balance%s", at, modes[below(m, (int)ARRAY_LEN(modes))]);
        break;
    }
    case 0:
        line(m, "%ds resume h%d%s", at, h, chance(m, 60) ? " --bring-home" : "");
        break;
    case 1:
        line(m, "%ds cancel %d", at, 1 + below(m, 3));
        break;
    case 2:
        line(m, "%ds cordon h%d", at, h);
        break;
    case 3: {
        int a = vm(m), b = vm(m);
        line(m, "%ds drain h%d --on-blocked shutdown --allow-shutdown v%d,v%d", at, h, a, b);
        break;
    }
    case 4:
        line(m, "%ds drain h%d h%d%s", at, h, 1 + h % m->hosts, more[below(m, 4)]);
        break;
    default: {
        cleanup(freep) char *also =
            chance(m, 20) ? xasprintf(" h%d", 1 + (h + below(m, m->hosts - 1)) % m->hosts)
                          : xstrdup("");
        line(m, "%ds drain h%d%s%s", at, h, also, more[below(m, (int)ARRAY_LEN(more))]);
        break;
    }
    }
}

/* A trouble that passes. */
static void trouble(struct making *m, int at)
{
    static const char *const cuts[] = {"all", "scheduler", "from", "to"};
    int h = host(m), later = at + 1 + below(m, 90);
    switch (below(m, 12)) {
    case 9:
        line(m, "%ds image v%d %s", at, vm(m), chance(m, 50) ? "open" : "lock");
        line(m, "%ds image all close", later);
        break;
    case 10:
        line(m, "%ds agent all kill", at);
        break;
    case 11:
        line(m, "%ds ceph h%d blocklist", at, h);
        break;
    case 0:
        line(m, "%ds cut h%d %s", at, h, cuts[below(m, 4)]);
        line(m, "%ds cut h%d heal", later, h);
        break;
    case 1:
        line(m, "%ds ceph h%d %s", at, h, chance(m, 70) ? "hang" : "deny");
        line(m, "%ds ceph h%d work", later, h);
        break;
    case 2:
        line(m, "%ds ceph all hang", at);
        line(m, "%ds ceph all work", later);
        break;
    case 3:
        line(m, "%ds store fail", at);
        line(m, "%ds store work", later);
        break;
    case 4:
        line(m, "%ds power h%d off", at, h);
        line(m, "%ds power h%d on", later + 30, h);
        break;
    case 5:
        line(m, "%ds agent h%d kill", at, h);
        break;
    case 6:
        line(m, "%ds libvirtd h%d kill", at, h);
        break;
    case 7:
        line(m, "%ds scheduler kill", at);
        break;
    default: {
        int by = 1 + below(m, 7200);
        line(m, "%ds clock %s%ds", at, chance(m, 50) ? "+" : "-", by);
        break;
    }
    }
}

static void fault(struct making *m, int at)
{
    static const char *const what[] = {"check", "migrate", "migrate", "migrate", "probe",
                                       "tidy",  "abort",   "census",  "power",   "any"};
    static const char *const how[] = {"fail", "hang", "slow", "mute", "twice", "late"};
    static const char *const migrate[] = {"fail",  "midway", "moved", "mute",
                                          "twice", "late",   "slow"};
    static const char *const says[] = {"cpu_model", "host_file", "vm_busy", "memory",
                                       "check_failed"};
    const char *w = what[below(m, (int)ARRAY_LEN(what))];
    if (chance(m, 12)) {
        int n = 1 + below(m, 20);
        line(m, "%ds fault check refuse code=%s host=h%d times=%d", at,
             says[below(m, (int)ARRAY_LEN(says))], host(m), n);
        return;
    }
    bool moves = str_eq(w, "migrate");
    const char *h =
        moves ? migrate[below(m, (int)ARRAY_LEN(migrate))] : how[below(m, (int)ARRAY_LEN(how))];
    bool timed = str_eq(h, "slow") || str_eq(h, "late");
    cleanup(freep) char *by = timed ? xasprintf(" by=%ds", 1 + below(m, 50)) : xstrdup("");
    cleanup(freep) char *on =
        chance(m, 50) ? xasprintf(" vm=v%d", vm(m)) : xasprintf(" host=h%d", host(m));
    int times = 1 + below(m, 3);
    line(m, "%ds fault %s %s%s times=%d%s", at, w, h, on, times, by);
}

static void hand(struct making *m, int at)
{
    static const char *const acts[] = {"shutdown", "destroy", "pause",
                                       "resume",   "start",   "undefine"};
    int v = vm(m), to = host(m), act = below(m, (int)ARRAY_LEN(acts));
    if (chance(m, 10))
        line(m, "%ds guest v%d crash", at, v);
    else if (chance(m, 60))
        line(m, "%ds someone migrate v%d h%d", at, v, to);
    else
        line(m, "%ds someone %s v%d", at, acts[act], v);
}

/* Idle, busy, or now this and now that. */
static void guest_habit(struct making *m)
{
    int v = vm(m), mib = 1 << below(m, 9), over = 1 << below(m, 12);
    int at = chance(m, 60) ? 0 : below(m, SPAN_S), on = 1 + below(m, 40);
    if (chance(m, 50))
        line(m, "%ds guest v%d writes %dMiB", at, v, mib);
    else
        line(m, "%ds guest v%d bursts %dMiB %dMiB for %ds every %ds", at, v, 4 * mib, over, on,
             on + 1 + below(m, 90));
}

/* Whatever is being copied at that moment goes over; what breaks is recovered later, or it is not. */
static void switch_over(struct making *m)
{
    int at = 20 + below(m, SPAN_S / 4);
    line(m, "%ds someone switch all", at);
    if (chance(m, 60)) {
        int h = host(m);
        line(m, "%ds cut h%d all", at + below(m, 5), h);
        line(m, "%ds cut h%d heal", at + 40 + below(m, 60), h);
    }
    line(m, "%ds someone recover all", at + 60 + below(m, SPAN_S));
    line(m, "%ds someone recover all", SPAN_S + 200); /* all is healed */
}

void soak_make(uint64_t seed, struct scenario *ret)
{
    static const char *const links[] = {"1Gbit", "1Gbit", "10Gbit", "400Mbit"};
    struct making m = {.sc = ret};
    struct err e = {0};
    *ret = (struct scenario){.name = xasprintf("seed-%llu", (unsigned long long)seed)};
    rng_init(&m.r, seed);
    make_fleet(&m);
    make_policy(&m);
    line(&m, "seed %llu", (unsigned long long)seed);
    line(&m, "until 3h");
    line(&m, "0s link all %s", links[below(&m, 4)]);
    for (int i = below(&m, 5); i > 0; i--)
        guest_habit(&m);
    if (m.post_copy)
        switch_over(&m);
    for (int i = chance(&m, 30) ? 1 + below(&m, 8) : 0; i > 0; i--) {
        int v = vm(&m), low = below(&m, 50), high = 50 + below(&m, 51);
        line(&m, "0s guest v%d cpu wave %ds %d%%..%d%%", v, 60 + below(&m, SPAN_S), low, high);
    }
    if (chance(&m, 20))
        line(&m, "0s guest v%d deaf", vm(&m));
    int n = 3 + below(&m, DEEDS_MAX - 2);
    for (int i = 0; i < n; i++) {
        int at = 15 + below(&m, SPAN_S), kind = below(&m, 100);
        if (i == 0 || kind < 35)
            request(&m, i == 0 ? 10 + below(&m, 30) : at);
        else if (kind < 60)
            trouble(&m, at);
        else if (kind < 85)
            fault(&m, at);
        else
            hand(&m, at);
    }
    scenario_prepare(ret, &e);
}
