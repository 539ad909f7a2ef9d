/* How the core's cost grows: 100 to 10,000 hosts with 20 VMs each (planfleet.h) behind scripted agents.
 * Each core_step is timed by the CPU time of its thread; steps that asked the planner are counted apart.
 *   build/plain/bench/fleet [HOSTS...]        DRAINS=100 AT_ONCE=4 XML=0
 * XML: bytes of each of the two XMLs that real reports carry for each VM.
 * Storm: the core begins from a store and every agent connects and reports. Then heartbeats, deltas, ticks,
 * queries; then hosts are drained one after another, AT_ONCE at a time, with the agents' checks, copies,
 * progress, probes and reports, in virtual time.
 * Prints a table per size, then "bench: NAME VALUE UNIT". */
#include <malloc.h>
#include <sys/resource.h>

#include "lib/base/heap.h"
#include "scheduler/core/core.h"
#include "tests/bench/bench.h"
#include "tests/bench/planfleet.h"

#define TICK_US   (250 * MSEC)
#define COPY_Bps  1100000000.0 /* of a link of 10 Gbit/s */
#define START_US  SEC          /* until a copy's first byte */
#define ANSWER_US (30 * MSEC)  /* libvirt and Ceph */
enum { BEATS_PER_S = 50, QUERIES = 1, TICKS = 400 };

enum kind {
    K_UP,
    K_FULL,
    K_BEAT,
    K_DELTA,
    K_SAME,
    K_TICK,
    K_PROGRESS,
    K_ANSWER,
    K_ARRIVED,
    K_REQUEST,
    K_PLANNED,
    K_HOSTS,
    K_VMS,
    KINDS
};
static const char *const kind_names[KINDS] = {
    "agent connects",   "full report",        "heartbeat",
    "report with news", "report without",     "tick",
    "progress",         "answer of an agent", "report of an arrival",
    "request",          "step that plans",    "query: hosts",
    "query: vms"};

struct samples {
    int64_t *ns;
    size_t n;
};
struct due { /* what an agent will say */
    int host, vm;
    struct msg m;
    bool progress, copied;
};
struct bench {
    struct test_fleet f;
    struct core *core;
    int *on, *to;        /* per VM: where it runs, where its copy goes or -1 */
    int64_t *copy_began; /* per VM */
    int64_t *copy_job, *copy_attempt;
    int64_t *seq; /* per host: of its last report */
    struct heap queue;
    struct due *due;
    size_t n_due;
    int64_t now_us, order;
    struct samples s[KINDS];
    int64_t moves, runs_ended;
};

static int64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static double rss_mb(void)
{
    long pages = 0, size = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f || fscanf(f, "%ld %ld", &size, &pages) != 2)
        pages = -1;
    if (f)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static void keep(struct bench *b, enum kind k, int64_t ns)
{
    *(int64_t *)vec_add(&b->s[k].ns, &b->s[k].n) = ns;
}

/* ---- what agents say ----------------------------------------------------------------------------- */
static void *body(enum msg_type t)
{
    void *p = xcalloc(1, msg_shape(t)->size);
    shape_init(msg_shape(t), p);
    return p;
}

static int vm_no(const char *uuid)
{
    return (int)strtol(uuid + 24, NULL, 10);
}

static int host_no(const char *name)
{
    return (int)strtol(name + 1, NULL, 10);
}

static struct due *later(struct bench *b, int64_t in_us, int host)
{
    struct due *d = vec_add(&b->due, &b->n_due);
    d->host = host;
    d->vm = -1;
    heap_put(&b->queue, (struct heap_item){
                            .key = b->now_us + in_us, .then = b->order++, .id = (int)b->n_due - 1});
    return d;
}

static void answer(struct bench *b, int host, enum msg_type t, int64_t re, void *p)
{
    later(b, ANSWER_US, host)->m = (struct msg){.re = re, .type = t, .body = p};
}

static void facts(const struct bench *b, int vm, struct image_fact **list, size_t *n)
{
    struct image_fact *i = vec_add(list, n);
    shape_init(&image_fact_shape, i);
    i->target = xstrdup("vda");
    i->pool = xstrdup("vms");
    i->image = xstrdup(b->f.vms[vm].name);
    i->ok = true;
    i->fsid = xstrdup("5f1e6c0e-1c54-4a3b-9f0e-2f6c1b3a7d11");
    i->image_id = xasprintf("id-%d", vm);
    i->pool_id = 2;
    i->features = 61;
    struct ceph_client *w = vec_add(&i->watchers, &i->n_watchers);
    w->address = xasprintf("10.%d.%d.%d:0/77", 1 + b->on[vm] / 62500, b->on[vm] / 250 % 250,
                           b->on[vm] % 250 + 1);
    shape_copy(&ceph_client_shape, vec_add(&i->lockers, &i->n_lockers), w);
}

static void on_check(struct bench *b, int host, const struct msg *m)
{
    const struct check_vms *q = m->body;
    struct vms_checked *a = body(MSG_VMS_CHECKED);
    for (size_t i = 0; i < q->n_vms; i++) {
        struct verdict *v = vec_add(&a->verdicts, &a->n_verdicts);
        v->uuid = xstrdup(q->vms[i].uuid);
        facts(b, vm_no(v->uuid), &v->images, &v->n_images);
    }
    answer(b, host, MSG_VMS_CHECKED, m->id, a);
}

static void on_probe(struct bench *b, int host, const struct msg *m)
{
    const struct probe *q = m->body;
    struct probed *a = body(MSG_PROBED);
    int vm = vm_no(q->vm);
    a->vm = xstrdup(q->vm);
    a->job = q->job;
    a->attempt = q->attempt;
    a->seen = b->on[vm] == host ? SEEN_RUNNING : SEEN_ABSENT;
    facts(b, vm, &a->images, &a->n_images);
    answer(b, host, MSG_PROBED, m->id, a);
}

static void on_census(struct bench *b, int host, const struct msg *m)
{
    struct counted *a = body(MSG_COUNTED);
    a->ok = true;
    for (size_t i = 0; i < b->f.s.n_vms; i++)
        if (b->on[i] == host)
            *(char **)vec_add(&a->running, &a->n_running) = xstrdup(b->f.vms[i].name);
    answer(b, host, MSG_COUNTED, m->id, a);
}

static void on_migrate(struct bench *b, int host, const struct msg *m)
{
    const struct migrate *q = m->body;
    int vm = vm_no(q->vm);
    int64_t copy_us = (int64_t)((double)b->f.vms[vm].mem_bytes / COPY_Bps * 1e6);
    b->to[vm] = host_no(q->dst_host);
    b->copy_began[vm] = b->now_us;
    b->copy_job[vm] = q->job;
    b->copy_attempt[vm] = q->attempt;
    for (int64_t at = START_US; at < START_US + copy_us; at += SEC) {
        struct due *d = later(b, at, host);
        d->vm = vm;
        d->progress = true;
    }
    struct due *d = later(b, START_US + copy_us, host);
    d->vm = vm;
    d->copied = true;
    d->m.id = m->id;
}

static void command(struct bench *b, const char *host, const struct msg *m)
{
    int h = host_no(host);
    struct done *a;
    switch ((int)m->type) {
    case MSG_CHECK_VMS:
        on_check(b, h, m);
        break;
    case MSG_PROBE:
        on_probe(b, h, m);
        break;
    case MSG_CENSUS:
        on_census(b, h, m);
        break;
    case MSG_MIGRATE:
        on_migrate(b, h, m);
        break;
    default:
        a = body(MSG_DONE);
        a->ok = true;
        answer(b, h, MSG_DONE, m->id, a);
    }
}

/* ---- steps --------------------------------------------------------------------------------------- */
static void step(struct bench *b, enum kind k, struct core_event *ev)
{
    struct core_effects fx = {0};
    ev->now_us = b->now_us;
    ev->wall_us = INT64_C(1767225600) * SEC + b->now_us;
    int64_t start = thread_ns();
    core_step(b->core, ev, &fx);
    int64_t ns = thread_ns() - start;
    bool planned = false;
    for (size_t i = 0; i < fx.n_fx; i++) {
        enum msg_type t = fx.fx[i].type == FX_SEND ? fx.fx[i].msg.type : MSG_COUNT_;
        planned |= t == MSG_CHECK_VMS || t == MSG_MIGRATE; /* its place was held against the fleet anew */
        if (fx.fx[i].type == FX_SEND)
            command(b, fx.fx[i].host, &fx.fx[i].msg);
        if (fx.fx[i].type == FX_JOURNAL && str_eq(fx.fx[i].entry.kind, "move.done"))
            b->moves++;
        if (fx.fx[i].type == FX_JOURNAL && str_eq(fx.fx[i].entry.kind, "run.ended"))
            b->runs_ended++;
    }
    keep(b, planned ? K_PLANNED : k, ns);
    core_effects_done(&fx);
}

static void hears(struct bench *b, enum kind k, int host, const struct msg *m)
{
    step(b, k, &(struct core_event){.type = CEV_MSG, .host = b->f.hosts[host].name, .msg = m});
}

static void report(struct bench *b, enum kind k, int host, const int *vms, size_t n, int gone)
{
    struct report r;
    shape_init(&report_shape, &r);
    r.seq = ++b->seq[host];
    r.full = r.has_host = k == K_FULL;
    if (r.has_host)
        r.host = b->f.hosts[host]; /* lent */
    for (size_t i = 0; i < n; i++)
        *(struct vm *)vec_add(&r.vms, &r.n_vms) = b->f.vms[vms[i]];
    if (gone >= 0)
        *(char **)vec_add(&r.gone, &r.n_gone) = b->f.vms[gone].uuid;
    hears(b, k, host, &(struct msg){.type = MSG_REPORT, .body = &r});
    free(r.vms);
    free(r.gone);
}

static void progress(struct bench *b, const struct due *d)
{
    const struct vm *v = &b->f.vms[d->vm];
    struct progress p;
    shape_init(&progress_shape, &p);
    int64_t busy_us = b->now_us - b->copy_began[d->vm] - START_US;
    p.vm = v->uuid;
    p.elapsed_us = b->now_us - b->copy_began[d->vm];
    p.setup_us = START_US;
    p.total_bytes = v->mem_bytes;
    p.processed_bytes = 1 + (int64_t)((double)busy_us / 1e6 * COPY_Bps);
    p.remaining_bytes = v->mem_bytes > p.processed_bytes ? v->mem_bytes - p.processed_bytes : 0;
    p.rate_Bps = (int64_t)COPY_Bps;
    p.iteration = 1;
    hears(b, K_PROGRESS, d->host, &(struct msg){.type = MSG_PROGRESS, .body = &p});
}

static void copied(struct bench *b, const struct due *d)
{
    int from = d->host, vm = d->vm;
    struct migrated *a = body(MSG_MIGRATED);
    a->vm = xstrdup(b->f.vms[vm].uuid);
    a->job = b->copy_job[vm];
    a->attempt = b->copy_attempt[vm];
    a->began = a->ok = true;
    a->bytes = b->f.vms[vm].mem_bytes;
    a->downtime_us = 50 * MSEC;
    b->on[vm] = b->to[vm];
    b->to[vm] = -1;
    answer(b, from, MSG_MIGRATED, d->m.id, a);
    report(b, K_ARRIVED, b->on[vm], &vm, 1, -1);
    report(b, K_DELTA, from, NULL, 0, vm);
}

static void beat(struct bench *b, int host)
{
    struct heartbeat h = {.seq = 1};
    hears(b, K_BEAT, host, &(struct msg){.type = MSG_HEARTBEAT, .body = &h});
}

/* ---- acts ---------------------------------------------------------------------------------------- */
static void run_until(struct bench *b, int64_t until_us)
{
    static int beating;
    int64_t next_tick = b->now_us + TICK_US;
    while (b->now_us < until_us) {
        struct heap_item x;
        bool due = b->queue.n && b->queue.items[0].key <= next_tick && heap_take(&b->queue, &x);
        b->now_us = due ? x.key : next_tick;
        if (!due) {
            next_tick += TICK_US;
            step(b, K_TICK, &(struct core_event){.type = CEV_TICK});
            for (int i = 0; i < BEATS_PER_S / 4; i++)
                beat(b, (int)((size_t)beating++ % b->f.s.n_hosts));
            continue;
        }
        struct due d = b->due[x.id];
        if (d.progress)
            progress(b, &d);
        else if (d.copied)
            copied(b, &d);
        else
            hears(b, K_ANSWER, d.host, &d.m);
        if (d.m.body)
            msg_done(&d.m);
        if (!b->queue.n)
            b->n_due = 0;
    }
}

static int by_host(const void *pa, const void *pb, void *arg)
{
    const int *on = arg, *a = pa, *b = pb;
    return on[*a] != on[*b] ? on[*a] - on[*b] : *a - *b;
}

/* All agents connect and report, in an order of their own. */
static void storm(struct bench *b)
{
    size_t n = b->f.s.n_hosts;
    cleanup(freep) int *order = xcalloc(n, sizeof(*order));
    cleanup(freep) int *vms = xcalloc(b->f.s.n_vms, sizeof(*vms));
    cleanup(freep) size_t *start = xcalloc(n + 2, sizeof(*start));
    struct rng g;
    rng_init(&g, 3);
    for (size_t i = 0; i < b->f.s.n_vms; i++) {
        vms[i] = (int)i;
        start[b->on[i] + 1]++;
    }
    qsort_r(vms, b->f.s.n_vms, sizeof(*vms), by_host, b->on);
    for (size_t h = 0; h < n; h++) {
        start[h + 1] += start[h];
        size_t k = rng_below(&g, h + 1);
        order[h] = order[k];
        order[k] = (int)h;
    }
    for (size_t i = 0; i < n; i++) {
        int h = order[i];
        b->now_us += 8 * SEC / (int64_t)n;
        b->seq[h] = 0;
        step(b, K_UP,
             &(struct core_event){
                 .type = CEV_AGENT_UP, .host = b->f.hosts[h].name, .instance = "1"});
        report(b, K_FULL, h, &vms[start[h]], start[h + 1] - start[h], -1);
    }
}

static void restore(struct bench *b)
{
    struct core_effects fx = {0};
    struct policy p;
    int64_t start = thread_ns();
    b->core = core_new(&(struct core_config){.term = 1, .heartbeat_us = 5 * SEC, .seed = 1});
    for (size_t i = 0; i < b->f.s.n_hosts; i++) {
        struct host_rec rec;
        shape_init(&host_rec_shape, &rec);
        rec.name = b->f.hosts[i].name; /* lent */
        rec.last = b->f.hosts[i];
        core_restore_host(b->core, &rec);
    }
    for (size_t i = 0; i < b->f.s.n_vms; i++)
        core_restore_vm(b->core, b->f.hosts[b->on[i]].name, &b->f.vms[i], 0);
    p = b->f.p;
    memset(&b->f.p, 0, sizeof(b->f.p));
    core_restore_policy(b->core, &p);
    core_restored(b->core, 1, b->now_us, b->now_us, &fx);
    core_effects_done(&fx);
    printf("%7zu hosts  restored from the store in %.0f ms\n", b->f.s.n_hosts,
           (double)(thread_ns() - start) / 1e6);
}

static void quiet(struct bench *b)
{
    size_t n = b->f.s.n_hosts;
    for (size_t h = 0; h < n; h++)
        beat(b, (int)h);
    for (size_t i = 0; i < n; i++) {
        int vm = (int)(i * VMS_PER_HOST);
        b->f.vms[vm].rss_bytes = GIB;
        report(b, K_SAME, b->on[vm], &vm, 1, -1);
        b->f.vms[vm].state = i % 2 ? VM_RUNNING : VM_PAUSED;
        report(b, K_DELTA, b->on[vm], &vm, 1, -1);
        b->f.vms[vm].state = VM_RUNNING;
        report(b, K_DELTA, b->on[vm], &vm, 1, -1);
    }
    for (int i = 0; i < TICKS; i++) {
        b->now_us += TICK_US;
        step(b, K_TICK, &(struct core_event){.type = CEV_TICK});
    }
}

static void queries(struct bench *b)
{
    for (int i = 0; i < QUERIES; i++) {
        struct hosts_view hv;
        struct vms_view vv;
        int64_t t0 = thread_ns();
        core_view_hosts(b->core, b->now_us, &hv);
        int64_t t1 = thread_ns();
        core_view_vms(b->core, b->now_us, &vv);
        keep(b, K_HOSTS, t1 - t0);
        keep(b, K_VMS, thread_ns() - t1);
        shape_done(&hosts_view_shape, &hv);
        shape_done(&vms_view_shape, &vv);
    }
}

static void ask_drain(struct bench *b, size_t host)
{
    struct request r;
    shape_init(&request_shape, &r);
    r.verb = VERB_DRAIN;
    r.host = b->f.hosts[host].name;
    r.actor = (char *)(uintptr_t) "bench";
    r.on_blocked = (char *)(uintptr_t) "leave";
    step(b, K_REQUEST,
         &(struct core_event){.type = CEV_REQUEST, .request_id = b->order++, .request = &r});
}

/* One after another, a few at a time. Returns virtual seconds. */
static double drains(struct bench *b, size_t n, size_t at_once)
{
    size_t asked = 0, hosts = b->f.s.n_hosts;
    int64_t began = b->now_us, ended = b->runs_ended;
    while ((size_t)(b->runs_ended - ended) < n) {
        for (; asked < n && asked - (size_t)(b->runs_ended - ended) < at_once; asked++)
            ask_drain(b, asked * hosts / n);
        run_until(b, b->now_us + SEC);
        if (b->now_us - began > 86400 * SEC) {
            printf("bench: FAILED: drains did not end within a day\n");
            exit(1);
        }
    }
    return (double)(b->now_us - began) / 1e6;
}

/* ---- figures ------------------------------------------------------------------------------------- */
static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double at_ppm(const struct samples *s, size_t ppm)
{
    return s->n ? (double)s->ns[(s->n - 1) * ppm / 1000000] / 1e3 : 0;
}

static void print(struct bench *b)
{
    struct samples all = {0};
    size_t hosts = b->f.s.n_hosts;
    printf("%7zu hosts  %-22s %9s %10s %10s %10s  (CPU time, us)\n", hosts, "event", "count", "p50",
           "p99", "max");
    for (int k = 0; k < KINDS; k++) {
        struct samples *s = &b->s[k];
        qsort(s->ns, s->n, sizeof(*s->ns), by_number);
        printf("%7zu hosts  %-22s %9zu %10.1f %10.1f %10.1f\n", hosts, kind_names[k], s->n,
               at_ppm(s, 500000), at_ppm(s, 990000), at_ppm(s, 1000000));
        for (size_t i = 0; k < K_PLANNED && i < s->n; i++)
            *(int64_t *)vec_add(&all.ns, &all.n) = s->ns[i];
    }
    qsort(all.ns, all.n, sizeof(*all.ns), by_number);
    printf("%7zu hosts  %-22s %9zu %10.1f %10.1f %10.1f\n", hosts, "all but planning", all.n,
           at_ppm(&all, 500000), at_ppm(&all, 990000), at_ppm(&all, 1000000));
    const char *n = short_number(hosts);
    printf("bench: core_step_p50_us_%s %.1f us\n", n, at_ppm(&all, 500000));
    printf("bench: core_step_p99_us_%s %.1f us\n", n, at_ppm(&all, 990000));
    printf("bench: core_step_max_us_%s %.1f us\n", n, at_ppm(&all, 1000000));
    printf("bench: core_plan_step_p50_ms_%s %.1f ms\n", n, at_ppm(&b->s[K_PLANNED], 500000) / 1e3);
    free(all.ns);
}

static int64_t spent_ns(const struct bench *b)
{
    int64_t ns = 0;
    for (int k = 0; k < KINDS; k++)
        for (size_t i = 0; i < b->s[k].n; i++)
            ns += b->s[k].ns[i];
    return ns;
}

static void bench(size_t hosts, size_t n_drains, size_t at_once)
{
    struct bench b = {.now_us = 3600 * SEC};
    double before = rss_mb();
    make_fleet(&b.f, hosts);
    b.on = xcalloc(b.f.s.n_vms, sizeof(*b.on));
    b.to = xcalloc(b.f.s.n_vms, sizeof(*b.to));
    b.copy_began = xcalloc(b.f.s.n_vms, sizeof(*b.copy_began));
    b.copy_job = xcalloc(b.f.s.n_vms, sizeof(*b.copy_job));
    b.copy_attempt = xcalloc(b.f.s.n_vms, sizeof(*b.copy_attempt));
    b.seq = xcalloc(hosts, sizeof(*b.seq));
    dress_fleet(&b.f);
    for (size_t i = 0; i < b.f.s.n_vms; i++) {
        b.on[i] = b.f.s.vms[i].host;
        b.to[i] = -1;
    }
    double fleet = rss_mb();
    restore(&b);
    storm(&b);
    int64_t storm_ns = spent_ns(&b);
    double core_mb = rss_mb() - fleet;
    quiet(&b);
    queries(&b);
    int64_t other_ns = spent_ns(&b);
    double virtual_s = drains(&b, n_drains < hosts / 10 ? n_drains : hosts / 10, at_once);
    print(&b);
    const char *n = short_number(hosts);
    double drain_s = (double)(spent_ns(&b) - other_ns) / 1e9;
    printf("%7zu hosts  %lld moves of %lld drains in %.0f virtual s: %.2f s of CPU in the core\n",
           hosts, (long long)b.moves, (long long)b.runs_ended, virtual_s, drain_s);
    printf("bench: core_storm_%s_ms %.0f ms\n", n, (double)storm_ns / 1e6);
    printf("bench: core_drains_%s_cpu_percent %.2f %%\n", n, 100 * drain_s / virtual_s);
    printf("bench: core_rss_%s_mb %.0f MB\n", n, core_mb);
    printf("%7zu hosts  the bench's own fleet %.0f MB, at the end %.0f MB in all\n", hosts,
           fleet - before, rss_mb());
    fflush(stdout);
    core_free(b.core);
    for (struct heap_item x; heap_take(&b.queue, &x);)
        msg_done(&b.due[x.id].m);
    for (int k = 0; k < KINDS; k++)
        free(b.s[k].ns);
    heap_done(&b.queue);
    free(b.due);
    free(b.on);
    free(b.to);
    free(b.copy_began);
    free(b.copy_job);
    free(b.copy_attempt);
    free(b.seq);
    fleet_done(&b.f);
    malloc_trim(0);
}

enum { HOSTS_MOST = 100000 };

int main(int argc, char **argv)
{
    const char *d = getenv("DRAINS"), *a = getenv("AT_ONCE");
    size_t n_drains = d ? (size_t)bench_int("DRAINS", d, 1, HOSTS_MOST) : 100,
           at_once = a ? (size_t)bench_int("AT_ONCE", a, 1, HOSTS_MOST) : 4;
    static const size_t sizes[] = {100, 1000, 10000};
    for (int i = 1; i < argc; i++)
        bench((size_t)bench_int("SIZES", argv[i], 1, HOSTS_MOST), n_drains, at_once);
    for (size_t i = 0; argc == 1 && i < ARRAY_LEN(sizes); i++)
        bench(sizes[i], n_drains, at_once);
    return 0;
}
