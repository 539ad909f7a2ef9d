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
#include "lib/net/sha256.h"
#include "lib/wire/msg.h"
#include "tests/bench/bench.h"

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
    size_t n, n_welcome, n_byes, xml_bytes, xml_sent;
    struct rng rng;
};

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "bench agents: %s: %s\n", what, e->msg);
    exit(2);
}

/* ---- their XML ----------------------------------------------------------------------------------- */
/* As long as asked for, of its own for each VM, and about as repetitive as libvirt's. */
static char *xml_text(const struct crowd *c, size_t host, size_t k, const char *kind)
{
    struct rng r;
    rng_init(&r, host * 4096 + k * 2 + (*kind == 'l'));
    char *text = xasprintf("<domain type='kvm'>\n  <name>vm-%zu-%zu</name> <!-- %s -->\n", host, k, kind);
    while (strlen(text) < c->xml_bytes) {
        char *old = text;
        text = xasprintf("%s    <disk type='network' device='disk'>\n      <source protocol='rbd' "
                         "name='vms/%08llx'/>\n      <address type='pci' domain='0x0000' bus='0x%02x' "
                         "slot='0x%02x' function='0x0'/>\n    </disk>\n",
                         old, (unsigned long long)rng_below(&r, UINT64_C(1) << 32),
                         (unsigned)rng_below(&r, 256), (unsigned)rng_below(&r, 32));
        free(old);
    }
    text[c->xml_bytes] = '\0';
    return text;
}

static size_t vm_of_digest(const struct member *m, const char *digest, bool *ret_live)
{
    size_t k = 0;
    while (k < m->n_vms && !str_eq(m->vms[k].xml_digest, digest) &&
           !str_eq(m->vms[k].xml_inactive_digest, digest))
        k++;
    *ret_live = k < m->n_vms && str_eq(m->vms[k].xml_digest, digest);
    return k;
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

/* Made anew when asked for: only the digests are kept here. */
static void send_xml(struct member *m, const struct send_xml *q, int64_t re)
{
    struct xml_texts x = {0};
    struct crowd *c = m->crowd;
    for (size_t i = 0; i < q->n_digests && i * c->xml_bytes < 256 << 10; i++) {
        bool live;
        size_t k = vm_of_digest(m, q->digests[i], &live);
        struct xml_text *t = vec_add(&x.texts, &x.n_texts);
        t->digest = xstrdup(q->digests[i]);
        if (k < m->n_vms)
            t->text = xml_text(c, (size_t)(m - c->all), k, live ? "live" : "kept");
        c->xml_sent += t->text != NULL;
    }
    struct err e;
    cleanup(freep) char *text = msg_encode(
        &(struct msg){.id = m->next_id++, .re = re, .type = MSG_XML, .body = &x});
    if (m->conn)
        (void)conn_send(m->conn, text, strlen(text), &e);
    shape_done(&xml_texts_shape, &x);
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
    else if (x.type == MSG_SEND_XML)
        send_xml(m, x.body, x.id);
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
                      .wall_us = clock_wall_us(),
                      .sends_xml = true};
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
    if (c->xml_bytes) {
        cleanup(freep) char *live = xml_text(c, host, k, "live");
        cleanup(freep) char *kept = xml_text(c, host, k, "kept");
        v->xml_digest = sha256_of(live);
        v->xml_inactive_digest = sha256_of(kept);
    }
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
    printf("sent %zu texts\n", c->xml_sent);
    free(c->all);
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
    c.n = (size_t)bench_int("AGENTS", argv[4], 1, 100000);
    size_t n_vms = (size_t)bench_int("VMS", argv[5], 0, LIM_VMS_PER_HOST),
           xml = (size_t)bench_int("XML_BYTES", argv[6], 0, 1 << 20);
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
    c.xml_bytes = xml;
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
