/* Many agents in one process, each with a certificate, a connection and VMs of its own: what a scheduler
 * has to bear from a large fleet. Run by tests/bench/agents, which measures the scheduler.
 *   build/plain/bench/agents CA_DIR WORK_DIR ADDRESS AGENTS VMS XML_BYTES
 * The sessions speak as drover-agent does (lib/net/dialer.h with its jitter, hello, full report, deltas); no
 * libvirt is behind them. Every 5 s each reports its host and one VM. With each new connection one VM more
 * is shut off, so that what the scheduler shows tells which connection it has heard the report of.
 * Prints "issued" when all certificates are there, and "connected N" when all have been welcomed. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "lib/base/str.h"
#include "lib/net/conn.h"
#include "lib/net/dialer.h"
#include "lib/net/pki.h"
#include "lib/wire/msg.h"

#define REPORT_US        (5 * SEC)
#define RECONNECT_MAX_US (10 * SEC) /* as agent/io/session.c */

struct crowd;
struct member {
    struct crowd *crowd;
    struct tls *tls;
    struct dialer *dialer;
    struct conn *conn;
    struct timer *timer;
    struct host host;
    struct vm *vms;
    size_t n_vms;
    int64_t seq, next_id, connections;
    bool welcome;
};
struct crowd {
    struct loop *loop;
    struct member *all;
    size_t n, n_welcome, n_byes;
    char *xml;
    struct rng rng;
};

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "bench agents: %s: %s\n", what, e->msg);
    exit(2);
}

/* ---- what they say ------------------------------------------------------------------------------- */
static void say(struct member *m, enum msg_type type, void *body)
{
    struct err e;
    cleanup(freep) char *text =
        msg_encode(&(struct msg){.id = m->next_id++, .type = type, .body = body});
    if (m->conn)
        (void)conn_send(m->conn, text, strlen(text), &e); /* on_closed tells */
}

static void report(struct member *m, bool full)
{
    struct report r;
    shape_init(&report_shape, &r);
    size_t one = (size_t)m->seq % m->n_vms;
    r.seq = ++m->seq;
    r.full = full;
    r.has_host = true;
    m->host.mem_free_bytes -= MIB;
    m->vms[one].rss_bytes += MIB;
    r.host = m->host; /* lent */
    r.vms = full ? m->vms : &m->vms[one];
    r.n_vms = full ? m->n_vms : 1;
    say(m, MSG_REPORT, &r);
}

static void on_timer(void *arg)
{
    struct member *m = arg;
    timer_set(m->timer, REPORT_US);
    if (m->welcome)
        report(m, false);
}

/* ---- sessions ------------------------------------------------------------------------------------ */
static void on_welcome(struct member *m, const struct welcome *w)
{
    m->welcome = true;
    m->seq = 0;
    dialer_settled(m->dialer);
    conn_heartbeat(m->conn, w->heartbeat_us);
    if (m->connections++ > 0)
        m->vms[(size_t)(m->connections - 2) % m->n_vms].state = VM_SHUTOFF;
    report(m, true);
    timer_set(m->timer, (int64_t)rng_below(&m->crowd->rng, REPORT_US));
    if (++m->crowd->n_welcome == m->crowd->n) {
        printf("connected %zu\n", m->crowd->n);
        fflush(stdout);
    }
}

static void on_frame(void *arg, struct conn *c, const char *text, size_t len)
{
    struct member *m = arg;
    struct msg x = {0};
    struct err e = {0};
    if (c != m->conn)
        return;
    if (msg_decode(text, len, &x, &e) < 0)
        die(m->host.name, &e);
    if (x.type == MSG_WELCOME)
        on_welcome(m, x.body);
    else if (x.type == MSG_BYE && m->crowd->n_byes++ < 3)
        fprintf(stderr, "bench agents: %s is sent away: %s\n", m->host.name,
                ((const struct bye *)x.body)->error);
    msg_done(&x);
}

static void on_closed(void *arg, struct conn *c, const struct err *why)
{
    struct member *m = arg;
    (void)why;
    if (c != m->conn)
        return;
    m->crowd->n_welcome -= m->welcome;
    m->conn = NULL;
    m->welcome = false;
    dialer_retry(m->dialer);
}

static void on_open(void *arg, struct conn *c)
{
    static const struct conn_cb cb = {.on_frame = on_frame, .on_closed = on_closed};
    struct member *m = arg;
    conn_bind(c, &cb, m);
    m->conn = c;
    m->welcome = false;
    struct hello h = {.proto_min = WIRE_PROTO_MIN,
                      .proto_max = WIRE_PROTO_MAX,
                      .host = m->host.name,
                      .agent_version = (char *)(uintptr_t)DROVER_VERSION,
                      .instance = m->host.name,
                      .boot_id = m->host.name,
                      .wall_us = clock_wall_us()};
    say(m, MSG_HELLO, &h);
}

/* ---- the beginning ------------------------------------------------------------------------------- */
static void fill_vm(struct crowd *c, struct vm *v, size_t host, size_t k)
{
    shape_init(&vm_shape, v);
    v->uuid = xasprintf("00000000-0000-4000-8000-%06zx%06zx", host, k);
    v->name = xasprintf("vm-%zu-%zu", host, k);
    v->state = VM_RUNNING;
    v->persistent = true;
    v->mem_bytes = 4 * GIB;
    v->vcpus = 2;
    v->rss_bytes = 2 * GIB;
    v->virt = xstrdup("kvm");
    v->arch = xstrdup("x86_64");
    v->machine = xstrdup("pc-q35-7.2");
    v->emulator = xstrdup("/usr/bin/qemu-system-x86_64");
    v->xml = xstrdup(c->xml);
    v->xml_inactive = xstrdup(c->xml);
    struct disk *d = vec_add(&v->disks, &v->n_disks);
    shape_init(&disk_shape, d);
    d->target = xstrdup("vda");
    d->kind = DISK_RBD;
    d->pool = xstrdup("vms");
    d->image = xstrdup(v->name);
    d->cache = xstrdup("none");
    struct nic *n = vec_add(&v->nics, &v->n_nics);
    shape_init(&nic_shape, n);
    n->mac = xasprintf("52:54:00:%02zx:%02zx:%02zx", host >> 8 & 255, host & 255, k & 255);
    n->kind = NIC_BRIDGE;
    n->source = xstrdup("br0");
}

static void fill_host(struct host *h, size_t no)
{
    shape_init(&host_shape, h);
    h->name = xasprintf("host-%05zu", no);
    h->hostname = xstrdup(h->name);
    h->arch = xstrdup("x86_64");
    h->mem_bytes = 256 * GIB;
    h->mem_free_bytes = 128 * GIB;
    h->cpus = 32;
    h->libvirt_up = true;
    *(char **)vec_add(&h->bridges, &h->n_bridges) = xstrdup("br0");
    h->migrate_uri = xasprintf("qemu+tls://%s/system", h->name);
    h->link_bps = INT64_C(10000000000);
}

static void join(struct crowd *c, size_t no, size_t n_vms, const char *const dirs[2])
{
    struct member *m = &c->all[no];
    struct err e = {0};
    m->crowd = c;
    m->next_id = 1;
    m->timer = timer_new(c->loop, on_timer, m);
    fill_host(&m->host, no);
    m->n_vms = n_vms;
    m->vms = xcalloc(n_vms, sizeof(*m->vms));
    for (size_t k = 0; k < n_vms; k++)
        fill_vm(c, &m->vms[k], no, k);
    cleanup(freep) char *out = xasprintf("%s/%s", dirs[1], m->host.name);
    cleanup(freep) char *cert = xasprintf("%s/cert.pem", out);
    cleanup(freep) char *key = xasprintf("%s/key.pem", out);
    cleanup(freep) char *ca = xasprintf("%s/ca.pem", out);
    const struct pki_leaf leaf = {
        .role = ROLE_AGENT, .name = m->host.name, .now_s = time(NULL), .days = 1};
    if (pki_issue(dirs[0], &leaf, out, &e) < 0 ||
        tls_new(&(struct tls_files){.cert = cert, .key = key, .ca = ca}, &m->tls, &e) < 0)
        die(m->host.name, &e);
}

static void dial(struct member *m, const char *address)
{
    struct err e = {0};
    const struct dialer_config cfg = {.loop = m->crowd->loop,
                                      .tls = m->tls,
                                      .addresses = &address,
                                      .n_addresses = 1,
                                      .roles = ROLE_BIT(ROLE_SCHEDULER),
                                      .seed = rng_u64(&m->crowd->rng),
                                      .max_us = RECONNECT_MAX_US,
                                      .on_open = on_open,
                                      .arg = m};
    if (dialer_new(&cfg, &m->dialer, &e) < 0)
        die(address, &e);
}

static void on_term(void *arg, int signo)
{
    (void)signo;
    loop_stop(arg);
}

static void leave(struct crowd *c)
{
    for (size_t i = 0; i < c->n; i++) {
        struct member *m = &c->all[i];
        conn_free(m->conn);
        dialer_free(m->dialer);
        timer_free(m->timer);
        tls_free(m->tls);
        shape_done(&host_shape, &m->host);
        for (size_t k = 0; k < m->n_vms; k++)
            shape_done(&vm_shape, &m->vms[k]);
        free(m->vms);
    }
    free(c->all);
    free(c->xml);
    loop_free(c->loop);
}

int main(int argc, char **argv)
{
    struct crowd c = {0};
    struct err e = {0};
    struct rlimit files;
    if (argc != 7) {
        fprintf(stderr, "usage: %s CA_DIR WORK_DIR ADDRESS AGENTS VMS XML_BYTES\n", argv[0]);
        return 64;
    }
    c.n = (size_t)atol(argv[4]);
    size_t n_vms = (size_t)atol(argv[5]), xml = (size_t)atol(argv[6]);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (c.n + 64 > files.rlim_cur) {
        fprintf(stderr,
                "bench agents: %zu connections need as many open files; the limit is %llu\n", c.n,
                (unsigned long long)files.rlim_cur);
        return 2;
    }
    rng_init(&c.rng, 1);
    c.all = xcalloc(c.n, sizeof(*c.all));
    if (xml) {
        c.xml = xcalloc(1, xml + 1);
        memset(c.xml, 'x', xml);
    }
    if (loop_new(&c.loop, &e) < 0 || loop_on_signal(c.loop, SIGTERM, on_term, c.loop, &e) < 0)
        die("loop", &e);
    for (size_t i = 0; i < c.n; i++)
        join(&c, i, n_vms, (const char *const[2]){argv[1], argv[2]});
    printf("issued\n");
    fflush(stdout);
    for (size_t i = 0; i < c.n; i++)
        dial(&c.all[i], argv[3]);
    loop_run(c.loop);
    leave(&c);
    return 0;
}
