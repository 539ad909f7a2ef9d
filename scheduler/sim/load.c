/* CPU load: what guests want over time, what their hosts can give, what the agents make of it (the real
 * ones' agent/core/loads.h), and the store's rows of it. Nothing of it happens before the first guest is
 * given a load: then all agents begin to measure, and guests that nobody spoke of use nothing. */
#include "scheduler/sim/world.h"

#define LOAD_PERIOD_US (5 * SEC)
enum {
    HOST_ITSELF_PPM = 10000,
    WHOLE_PPM = 1000000
}; /* of a host's CPUs: what runs beside guests */

static int64_t mul_div(int64_t a, int64_t b, int64_t c)
{
    return (int64_t)((__int128)a * b / c);
}

/* Of its vCPUs. A wave is lowest half a period from its peak, and smooth: 3u² − 2u³ between the two. */
static int64_t wanted_ppm(const struct cpu_habit *h, int64_t now_us)
{
    if (h->period_us <= 0)
        return h->low_ppm;
    int64_t at = (now_us - h->peak_us) % h->period_us;
    at = at < 0 ? at + h->period_us : at;
    at = at > h->period_us / 2 ? h->period_us - at : at;
    int64_t u = mul_div(at, 2 * WHOLE_PPM, h->period_us);
    int64_t fall = mul_div(mul_div(u, u, WHOLE_PPM), 3 * WHOLE_PPM - 2 * u, WHOLE_PPM);
    return h->high_ppm - mul_div(h->high_ppm - h->low_ppm, fall, WHOLE_PPM);
}

static int64_t wanted_mcpu(const struct sim *s, const struct sim_vm *v)
{
    int64_t vcpus = v->facts.vcpus > 0 ? v->facts.vcpus : 1;
    return mul_div(vcpus * 1000, wanted_ppm(&v->cpu, s->now_us), WHOLE_PPM);
}

int64_t host_wants_mcpu(const struct sim *s, int host)
{
    const struct sim_host *h = &s->hosts[host];
    int64_t all = h->facts.cpus > 0 ? mul_div(h->facts.cpus * 1000, HOST_ITSELF_PPM, WHOLE_PPM) : 0;
    for (size_t i = 0; i < h->n_here; i++) {
        const struct qemu *q = qemu_on(&s->vms[h->here[i]], host);
        all += q && q->state == QEMU_RUNNING ? wanted_mcpu(s, &s->vms[h->here[i]]) : 0;
    }
    return all;
}

/* ---- counters ------------------------------------------------------------------------------------ */
/* Up to now. Where more is wanted than there is, all get the same share of what they want. */
static void go_on(struct sim *s, int host)
{
    struct sim_host *h = &s->hosts[host];
    int64_t passed = s->now_us - h->counted_us, wants = host_wants_mcpu(s, host);
    int64_t has = h->facts.cpus > 0 ? h->facts.cpus * 1000 : wants;
    int64_t gets = wants < has ? wants : has;
    h->counted_us = s->now_us;
    h->busy_us += mul_div(gets, passed, 1000);
    h->pressed_us += wants > has ? mul_div(wants - has, passed, wants) : 0;
    for (size_t i = 0; i < h->n_here && wants > 0; i++) {
        struct qemu *q = qemu_on(&s->vms[h->here[i]], host);
        if (q && q->state == QEMU_RUNNING)
            q->cpu_us +=
                mul_div(mul_div(wanted_mcpu(s, &s->vms[h->here[i]]), gets, wants), passed, 1000);
    }
}

struct sampling { /* by one process of one agent */
    int host;
    int64_t life;
};

static void sample(struct sim *s, void *arg)
{
    const struct sampling *o = arg;
    struct sim_host *h = &s->hosts[o->host];
    if (!h->agent.up || h->agent.life != o->life)
        return;
    go_on(s, o->host);
    struct host_reading host = {.source = "host",
                                .cpu_us = h->busy_us,
                                .mem_free_bytes = h->facts.mem_bytes - host_used(s, o->host),
                                .psi_cpu_us = h->pressed_us,
                                .rx_bytes = -1,
                                .tx_bytes = -1};
    struct vm_reading *list = NULL;
    size_t n = 0;
    for (size_t i = 0; i < h->n_here && h->libvirtd; i++) {
        const struct sim_vm *v = &s->vms[h->here[i]];
        const struct qemu *q = qemu_on(v, o->host);
        if (q && q->state != QEMU_INCOMING)
            *(struct vm_reading *)vec_add(&list, &n) =
                (struct vm_reading){.uuid = v->facts.uuid,
                                    .id = q->client,
                                    .cpu_us = q->cpu_us,
                                    .rss_bytes = v->facts.rss_bytes,
                                    .read_bytes = -1,
                                    .write_bytes = -1,
                                    .rx_bytes = -1,
                                    .tx_bytes = -1};
    }
    loads_add(reporter_loads(h->agent.reporter), s->now_us, &host, list, n);
    free(list);
    agent_flush(s, o->host);
    struct sampling *again = xmemdup(o, sizeof(*o));
    sim_later(s, LOAD_PERIOD_US, (struct sim_due){.run = sample, .arg = again});
}

/* Each agent at a moment of its own. */
void load_watch(struct sim *s, int host)
{
    const struct sim_agent *a = &s->hosts[host].agent;
    if (!s->loads || !a->up)
        return;
    struct sampling *o = xcalloc(1, sizeof(*o));
    *o = (struct sampling){.host = host, .life = a->life};
    sim_later(s, host * 617 * MSEC % LOAD_PERIOD_US, (struct sim_due){.run = sample, .arg = o});
}

void guest_cpu(struct sim *s, struct sim_vm *v, const struct cpu_habit *habit)
{
    for (size_t i = 0; s->loads && i < v->n_qemus; i++)
        go_on(s, v->qemus[i].host);
    v->cpu = *habit;
    if (s->loads)
        return;
    s->loads = true;
    for (size_t i = 0; i < s->n_hosts; i++) {
        s->hosts[i].counted_us = s->now_us;
        load_watch(s, (int)i);
    }
}

/* ---- what the scheduler makes of it -------------------------------------------------------------- */
int64_t sim_load_ppm(const struct sim *s, const char *host)
{
    struct sample x;
    const struct core *c = s->brain.core;
    const struct host_rec *h = c ? core_host_rec(c, host) : NULL;
    if (!h || h->last.cpus <= 0 || !core_sample(c, host, NULL, &x))
        return -1;
    int64_t ppm = x.cpu.m5_mcpu < 0 ? -1 : x.cpu.m5_mcpu * 1000 / h->last.cpus;
    shape_done(&sample_shape, &x);
    return ppm;
}

void load_say(struct sim *s)
{
    cleanup(freep) char *text = NULL;
    for (size_t i = 0; i < s->n_hosts; i++) {
        const char *name = s->hosts[i].facts.name;
        int64_t ppm = sim_load_ppm(s, name);
        text_join(&text, ", ", name);
        if (ppm < 0)
            text_add(&text, " ?");
        else
            text_add(&text, " %lld %%", (long long)(ppm + 5000) / 10000);
    }
    sim_say(s, "CPUs busy, mean of five minutes, as the scheduler knows it: %s", text);
}

/* ---- its store ------------------------------------------------------------------------------------ */
static struct sample *row_of(struct brain *b, const char *host, const char *vm)
{
    for (size_t i = 0; i < b->n_samples; i++)
        if (str_eq(b->samples[i].host, host) && str_eq(b->samples[i].vm, vm))
            return &b->samples[i];
    return NULL;
}

void load_keep_row(struct brain *b, const char *host, const char *vm)
{
    struct sample x, *row = row_of(b, host, vm);
    if (!core_sample(b->core, host, vm, &x))
        return;
    if (!row)
        row = vec_add(&b->samples, &b->n_samples);
    shape_done(&sample_shape, row);
    *row = x;
}

void load_drop_row(struct brain *b, const char *host, const char *vm)
{
    struct sample *row = row_of(b, host, vm);
    if (!row)
        return;
    shape_done(&sample_shape, row);
    vec_del(b->samples, &b->n_samples, (size_t)(row - b->samples));
}

void load_restore(struct sim *s)
{
    struct err e = {0};
    for (size_t i = 0; i < s->brain.n_samples; i++)
        if (core_restore_sample(s->brain.core, &s->brain.samples[i], &e) < 0)
            sim_wrong(s, "the store's own load is refused: %s", e.msg);
}

void load_done(struct brain *b)
{
    for (size_t i = 0; i < b->n_samples; i++)
        shape_done(&sample_shape, &b->samples[i]);
    free(b->samples);
}
