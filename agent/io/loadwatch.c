/* How busy this host and its guests are: read once a period, by a worker. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/core/hoststat.h"
#include "agent/hv/sysfs.h"
#include "agent/io/agent.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define LOAD_DEADLINE_US (12 * SEC) /* as for other questions to libvirt */
enum { FILE_MAX = 4 << 20 };        /* /proc/stat of a thousand CPUs and interrupts */

struct load_watch {
    struct agent *agent;
    struct timer *tick;
    bool busy, failed, no_host; /* the last two: said in the log */
};
struct job {
    struct load_watch *watch;
    struct hv *hv;
    char *cgroup, *interface,
        *address; /* copies: an abandoned thread may outlive the agent's own */
    int64_t mem_bytes;
    int64_t at_us;
    struct host_reading host;
    int host_code, code;
    struct vm_reading *vms;
    size_t n_vms;
    struct err error, host_error;
};

static void job_free(void *arg)
{
    struct job *j = arg;
    for (size_t i = 0; i < j->n_vms; i++)
        free(j->vms[i].uuid);
    free(j->vms);
    free(j->cgroup);
    free(j->interface);
    free(j->address);
    j->watch->busy = false; /* not before: hung calls must not pile up */
    free(j);
}

/* ---- the host, in the worker ---------------------------------------------------------------------- */

static char *read_text(const char *dir, const char *name, struct err *e)
{
    cleanup(freep) char *path = xasprintf("%s/%s", dir, name);
    char *text = NULL;
    return file_read(path, FILE_MAX, &text, NULL, e) == 0 ? text : NULL;
}

static int64_t pressure(const char *dir, const char *name, const char *line)
{
    cleanup(freep) char *text = read_text(dir, name, NULL);
    return hoststat_pressure_us(text, line);
}

/* The interface that has this address. Gives; NULL: none. */
static char *interface_of(const char *address)
{
    struct ifaddrs *all = NULL;
    char *found = NULL;
    if (!address || getifaddrs(&all) < 0)
        return NULL;
    for (const struct ifaddrs *a = all; a && !found; a = a->ifa_next) {
        char text[INET6_ADDRSTRLEN];
        const void *in = NULL;
        if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET)
            in = &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr;
        else if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET6)
            in = &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr;
        if (in && inet_ntop(a->ifa_addr->sa_family, in, text, sizeof(text)) &&
            str_eq(text, address))
            found = xstrdup(a->ifa_name);
    }
    freeifaddrs(all);
    return found;
}

static int64_t interface_bytes(const char *name, const char *counter)
{
    cleanup(freep) char *path = xasprintf("/sys/class/net/%s/statistics", name);
    cleanup(freep) char *text = strchr(name, '/') ? NULL : read_text(path, counter, NULL);
    return text ? strtoll(text, NULL, 10) : -1;
}

static void read_link(const struct job *j, struct host_reading *h)
{
    cleanup(freep) char *name = j->interface ? xstrdup(j->interface) : interface_of(j->address);
    h->rx_bytes = name ? interface_bytes(name, "rx_bytes") : -1;
    h->tx_bytes = name ? interface_bytes(name, "tx_bytes") : -1;
}

static void read_pressures(struct host_reading *h, const char *dir, const char *suffix)
{
    cleanup(freep) char *cpu = xasprintf("cpu%s", suffix), *mem = xasprintf("memory%s", suffix),
                        *io = xasprintf("io%s", suffix);
    h->psi_cpu_us = pressure(dir, cpu, "some");
    h->psi_mem_us = pressure(dir, mem, "some");
    h->psi_mem_full_us = pressure(dir, mem, "full");
    h->psi_io_us = pressure(dir, io, "some");
    h->psi_io_full_us = pressure(dir, io, "full");
}

static int read_host(const struct job *j, struct host_reading *h, struct err *e)
{
    const char *dir = j->cgroup;
    cleanup(freep) char *cpu = dir ? read_text(dir, "cpu.stat", e) : read_text("/proc", "stat", e);
    if (!cpu)
        return -EIO;
    h->source = dir ? "cgroup" : "host";
    h->cpu_us = dir ? hoststat_usage_us(cpu) : hoststat_busy_us(cpu, sysconf(_SC_CLK_TCK));
    if (h->cpu_us < 0)
        return err_set(e, -EBADMSG, "%s: no CPU time in it",
                       dir ? "the cgroup's cpu.stat" : "/proc/stat");
    read_pressures(h, dir ? dir : "/proc/pressure", dir ? ".pressure" : "");
    cleanup(freep) char *mem = read_text("/proc", "meminfo", NULL);
    h->mem_free_bytes = mem ? meminfo_get(mem, "MemAvailable", KIB) : -1;
    if (j->mem_bytes > 0 && h->mem_free_bytes > j->mem_bytes)
        h->mem_free_bytes = j->mem_bytes;
    read_link(j, h);
    return 0;
}

static void run_load(void *arg)
{
    struct job *j = arg;
    j->code = hv_read_loads(j->hv, &j->vms, &j->n_vms, &j->error);
    j->host_code = read_host(j, &j->host, &j->host_error);
    j->at_us = clock_mono_us();
}

/* ---- the loop ------------------------------------------------------------------------------------- */

/* One that arrives runs elsewhere still. */
static void leave_out_arrivals(const struct reporter *r, struct job *j)
{
    for (size_t i = j->n_vms; i-- > 0;) {
        const struct vm *v = reporter_find(r, j->vms[i].uuid);
        if (v && v->job != VM_JOB_MIGRATING_IN)
            continue;
        free(j->vms[i].uuid);
        vec_del(j->vms, &j->n_vms, i);
    }
}

static void done_load(void *arg)
{
    struct job *j = arg;
    struct load_watch *w = j->watch;
    struct agent *a = w->agent;
    if (j->code < 0 && !w->failed && j->code != -ENOTCONN)
        log_warn("msg=\"load of guests not read\" error=\"%s\"", j->error.msg);
    if (j->host_code < 0 && !w->no_host)
        log_warn("msg=\"load of this host not read\" error=\"%s\"", j->host_error.msg);
    w->failed = j->code < 0;
    w->no_host = j->host_code < 0;
    leave_out_arrivals(a->reporter, j);
    loads_add(reporter_loads(a->reporter), j->at_us, w->no_host ? NULL : &j->host, j->vms,
              j->n_vms);
    session_flush(a->session);
}

/* The scheduler takes the silence for what it is. */
static void late_load(void *arg)
{
    (void)arg;
}

static void on_tick(void *arg)
{
    struct load_watch *w = arg;
    struct agent *a = w->agent;
    timer_set(w->tick, a->cfg.load_period_us);
    if (w->busy) /* libvirt is slow: what was not read is not guessed */
        return;
    struct job *j = xcalloc(1, sizeof(*j));
    *j = (struct job){.watch = w,
                      .hv = a->hv,
                      .cgroup = xstrdup(a->cfg.load_cgroup),
                      .interface = xstrdup(a->cfg.load_interface),
                      .address = xstrdup(a->cfg.migrate_address),
                      .mem_bytes = a->cfg.mem_bytes};
    const struct work work = {.name = "load",
                              .run = run_load,
                              .done = done_load,
                              .late = late_load,
                              .drop = job_free,
                              .arg = j,
                              .deadline_us = LOAD_DEADLINE_US};
    w->busy = workers_run(a->workers, &work, NULL) == 0;
    if (!w->busy)
        job_free(j);
}

struct load_watch *load_watch_new(struct agent *a)
{
    struct load_watch *w = xcalloc(1, sizeof(*w));
    w->agent = a;
    w->tick = timer_new(a->loop, on_tick, w);
    /* not all hosts of a fleet that was switched on together in the same moment */
    timer_set(w->tick, (int64_t)rng_below(&a->rng, (uint64_t)a->cfg.load_period_us));
    return w;
}
