/* From named hosts and VMs, whatever they were read from, to the planner's dense ids. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "lib/base/str.h"
#include "scheduler/snap/snap.h"

#define MOST          (INT64_C(1) << 53) /* of any number: what every JSON reader keeps exactly */
#define MOST_TOGETHER (INT64_C(1) << 60) /* sums, counted on both ends of moves, stay below 2^63 */

/* ---- entries ----------------------------------------------------------------------------------- */
static int bad_name(const char *name, const char *where, struct err *e)
{
    size_t len = strlen(name);
    if (!len)
        return err_set(e, -EBADMSG, "%s: the name is empty", where);
    if (len > LIM_NAME_BYTES)
        return err_set(e, -E2BIG, "%s: the name has %zu bytes, the limit is %d", where, len,
                       LIM_NAME_BYTES);
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return err_set(e, -EBADMSG, "%s: the name has a control character", where);
    return 0;
}

struct snap_host_entry *snap_add_host(struct snap_build *b, const char *name, const char *where,
                                      struct err *e)
{
    if (bad_name(name, where, e) < 0)
        return NULL;
    if (b->n_hosts == LIM_HOSTS) {
        err_set(e, -E2BIG, "%s: more than %d hosts", where, LIM_HOSTS);
        return NULL;
    }
    struct snap_host_entry *h = vec_add(&b->hosts, &b->n_hosts);
    shape_init(&host_shape, &h->host);
    h->host.name = xstrdup(name);
    h->host.libvirt_up = true;
    h->state = HOST_UP;
    h->connected = true;
    shape_init(&cpu_figures_shape, &h->cpu);
    shape_init(&cpu_figures_shape, &h->cpu_other);
    h->where = xstrdup(where);
    return h;
}

struct snap_vm_entry *snap_add_vm(struct snap_build *b, const char *name, const char *host,
                                  const char *where, struct err *e)
{
    if (bad_name(name, where, e) < 0)
        return NULL;
    if (b->n_vms == LIM_SNAPSHOT_VMS) {
        err_set(e, -E2BIG, "%s: more than %d VMs", where, LIM_SNAPSHOT_VMS);
        return NULL;
    }
    struct snap_vm_entry *v = vec_add(&b->vms, &b->n_vms);
    shape_init(&vm_shape, &v->vm);
    v->vm.name = xstrdup(name);
    v->vm.state = VM_RUNNING;
    v->vm.persistent = true;
    shape_init(&cpu_figures_shape, &v->cpu);
    v->host = xstrdup(host);
    v->where = xstrdup(where);
    return v;
}

static void host_entry_done(struct snap_host_entry *h)
{
    shape_done(&host_shape, &h->host);
    free(h->where);
}

static void vm_entry_done(struct snap_vm_entry *v)
{
    shape_done(&vm_shape, &v->vm);
    free(v->host);
    free(v->moving_to);
    free(v->where);
}

void snap_build_done(struct snap_build *b)
{
    for (size_t i = 0; i < b->n_hosts; i++)
        host_entry_done(&b->hosts[i]);
    for (size_t i = 0; i < b->n_vms; i++)
        vm_entry_done(&b->vms[i]);
    free(b->hosts);
    free(b->vms);
    *b = (struct snap_build){0};
}

/* ---- numbers ----------------------------------------------------------------------------------- */
/* Sizes and counts: -1 where that means unknown, else 0 or more. */
static int check_numbers(const struct shape *s, const void *obj, const char *where, struct err *e)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct shape_field *f = &s->fields[i];
        const void *member = (const char *)obj + f->off;
        if (f->kind == SK_LIST) {
            size_t n = *(const size_t *)(const void *)((const char *)obj + f->n_off);
            const char *list = *(const char *const *)member;
            for (size_t k = 0; k < n; k++)
                if (check_numbers(f->sub, list + k * f->sub->size, where, e) < 0)
                    return -EBADMSG;
        }
        if (f->kind != SK_INT)
            continue;
        int64_t v = *(const int64_t *)member;
        bool is_signed = str_eq(f->name, "clock_skew_us");
        if (v < 0 && v != f->absent && !is_signed)
            return err_set(e, -EBADMSG,
                           "%s: %s: %" PRId64 " is negative; leave it out when it is "
                           "not known",
                           where, f->name, v);
        if (v > MOST || v < -MOST)
            return err_set(e, -EBADMSG,
                           "%s: %s: %" PRId64 " is out of range: expected 0 to %" PRId64, where,
                           f->name, v, MOST);
    }
    return 0;
}

static int add_up(int64_t *sum, int64_t v, const char *what, const char *where, struct err *e)
{
    *sum += v > 0 ? v : 0; /* each is at most 2^53 and the sum 2^60: no overflow */
    return *sum <= MOST_TOGETHER
               ? 0
               : err_set(e, -EBADMSG, "%s: the VMs' %s together is more than %" PRId64, where, what,
                         MOST_TOGETHER);
}

static int check_binds(const struct snap_vm_entry *x, int64_t *mem, struct err *e)
{
    for (size_t i = 0; i < x->vm.n_binds; i++) {
        const struct numa_bind *b = &x->vm.binds[i];
        if (!numa_cells(b->cells))
            return err_set(e, -EBADMSG,
                           "%s: binds: cells: '%s': expected a set of cells below 64, such as 0 or "
                           "0-1,3",
                           x->where, b->cells);
        if (add_up(mem, b->mem_bytes, "bound memory", x->where, e) < 0 ||
            add_up(mem, b->hugepage_bytes, "bound memory", x->where, e) < 0)
            return -EBADMSG;
    }
    return 0;
}

static int check_all_numbers(const struct snap_build *b, struct err *e)
{
    int64_t mem = 0, cpus = 0, bound = 0;
    for (size_t i = 0; i < b->n_hosts; i++) {
        const struct snap_host_entry *x = &b->hosts[i];
        int r = check_numbers(&host_shape, &x->host, x->where, e);
        r = r < 0 ? r : check_numbers(&cpu_figures_shape, &x->cpu, x->where, e);
        r = r < 0 ? r : check_numbers(&cpu_figures_shape, &x->cpu_other, x->where, e);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < b->n_vms; i++) {
        const struct snap_vm_entry *x = &b->vms[i];
        int r = check_numbers(&vm_shape, &x->vm, x->where, e);
        r = r < 0 ? r : check_numbers(&cpu_figures_shape, &x->cpu, x->where, e);
        r = r < 0 ? r : add_up(&mem, x->vm.mem_bytes, "memory", x->where, e);
        r = r < 0 ? r : add_up(&mem, x->vm.mem_overhead_bytes, "memory", x->where, e);
        r = r < 0 ? r : check_binds(x, &bound, e);
        r = r < 0 ? r : add_up(&cpus, x->vm.vcpus, "number of vCPUs", x->where, e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- names ------------------------------------------------------------------------------------- */
static int by_host_name(const void *a, const void *b)
{
    return strcmp(((const struct snap_host_entry *)a)->host.name,
                  ((const struct snap_host_entry *)b)->host.name);
}

static int by_vm_name(const void *a, const void *b)
{
    const struct snap_vm_entry *x = a, *y = b;
    int d = strcmp(x->vm.name, y->vm.name);
    return d ? d : strcmp(x->vm.uuid, y->vm.uuid);
}

static int host_id(const struct snap_build *b, const char *name)
{
    size_t at = lower_bound(i, b->n_hosts, strcmp(b->hosts[i].host.name, name) < 0);
    return at < b->n_hosts && str_eq(b->hosts[at].host.name, name) ? (int)at : -1;
}

static int need_host(const struct snap_build *b, const struct snap_vm_entry *v, const char *name,
                     struct err *e)
{
    int id = host_id(b, name);
    if (id >= 0)
        return id;
    cleanup(freep) const char **names = xcalloc(b->n_hosts, sizeof(*names));
    for (size_t i = 0; i < b->n_hosts; i++)
        names[i] = b->hosts[i].host.name;
    const char *near = str_did_you_mean(name, names, b->n_hosts);
    return err_set(e, -EBADMSG,
                   "%s: vm %s is on host '%s', which is not among the %zu host%s%s%s%s", v->where,
                   v->vm.name, name, b->n_hosts, b->n_hosts == 1 ? "" : "s",
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* A VM without one gets a UUID that is the same each time the file is read. */
static void give_uuid(struct snap_vm_entry *v)
{
    struct rng r;
    uint64_t seed = UINT64_C(0xcbf29ce484222325); /* FNV-1a of name@host */
    cleanup(freep) char *text = xasprintf("%s@%s", v->vm.name, v->host);
    for (const char *p = text; *p; p++)
        seed = (seed ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    rng_init(&r, seed);
    uint64_t a = rng_u64(&r), b = rng_u64(&r);
    v->vm.uuid = xasprintf("%08x-%04x-8%03x-%04x-%012" PRIx64, (unsigned)(a >> 32),
                           (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff),
                           (unsigned)(0x8000 | (b >> 48 & 0x3fff)), b & UINT64_C(0xffffffffffff));
}

/* The fleet's VMs in another order, to find equal neighbours. */
static int by_uuid(const void *a, const void *b)
{
    const struct snap_vm_entry *x = *(const struct snap_vm_entry *const *)a;
    const struct snap_vm_entry *y = *(const struct snap_vm_entry *const *)b;
    int d = strcmp(x->vm.uuid, y->vm.uuid);
    return d ? d : strcmp(x->host, y->host);
}

static int by_host_and_name(const void *a, const void *b)
{
    const struct snap_vm_entry *x = *(const struct snap_vm_entry *const *)a;
    const struct snap_vm_entry *y = *(const struct snap_vm_entry *const *)b;
    int d = strcmp(x->host, y->host);
    return d ? d : strcmp(x->vm.name, y->vm.name);
}

/* A leftover definition may have the UUID of a VM elsewhere, but then under another name: what is the
 * same in both is one VM in two places. */
static int refuse_twins(const struct snap_build *b, struct err *e)
{
    cleanup(freep) const struct snap_vm_entry **list = xcalloc(b->n_vms, sizeof(*list));
    for (size_t i = 0; i < b->n_vms; i++)
        list[i] = &b->vms[i];
    for (int pass = 0; pass < 2; pass++) {
        if (b->n_vms)
            qsort(list, b->n_vms, sizeof(*list), pass ? by_host_and_name : by_uuid);
        for (size_t i = 1; i < b->n_vms; i++) {
            const struct snap_vm_entry *x = list[i - 1], *y = list[i];
            bool host = str_eq(x->host, y->host), name = str_eq(x->vm.name, y->vm.name),
                 uuid = str_eq(x->vm.uuid, y->vm.uuid);
            if (host && name)
                return err_set(e, -EBADMSG, "%s: host %s has two VMs called %s (the other: %s)",
                               y->where, y->host, y->vm.name, x->where);
            if (uuid && (host || name))
                return err_set(e, -EBADMSG, "%s: vm %s has the UUID %s of vm %s on host %s (%s)",
                               y->where, y->vm.name, y->vm.uuid, x->vm.name, x->host, x->where);
        }
    }
    return 0;
}

static int sort_hosts(struct snap_build *b, struct err *e)
{
    if (b->n_hosts)
        qsort(b->hosts, b->n_hosts, sizeof(*b->hosts), by_host_name);
    for (size_t i = 1; i < b->n_hosts; i++)
        if (str_eq(b->hosts[i - 1].host.name, b->hosts[i].host.name))
            return err_set(e, -EBADMSG, "%s: host %s is there twice (the other: %s)",
                           b->hosts[i].where, b->hosts[i].host.name, b->hosts[i - 1].where);
    return 0;
}

static int sort_vms(struct snap_build *b, struct err *e)
{
    for (size_t i = 0; i < b->n_vms; i++) {
        struct snap_vm_entry *v = &b->vms[i];
        if (!v->host)
            return err_set(e, -EBADMSG, "%s: vm %s: its host is missing", v->where, v->vm.name);
        int r = need_host(b, v, v->host, e);
        r = r < 0 || !v->moving_to ? r : need_host(b, v, v->moving_to, e);
        if (r < 0)
            return r;
        if (!v->vm.uuid)
            give_uuid(v);
    }
    int r = refuse_twins(b, e);
    if (r == 0 && b->n_vms)
        qsort(b->vms, b->n_vms, sizeof(*b->vms), by_vm_name);
    return r;
}

/* ---- the fleet --------------------------------------------------------------------------------- */
/* Every member of the figures is an int64_t. */
static int64_t *figure(struct cpu_figures *f, size_t i)
{
    return (int64_t *)(void *)((char *)f + cpu_figures_shape.fields[i].off);
}

/* Where the file does not say what VMs leave of a host's load: what theirs does not come to. */
static void fill_others(struct snap *f)
{
    size_t n = cpu_figures_shape.n, hosts = f->s.n_hosts;
    struct cpu_figures *busy = f->figures, *other = busy + hosts, *vms = other + hosts;
    for (size_t h = 0; h < hosts; h++)
        for (size_t i = 0; i < n; i++)
            if (*figure(&other[h], i) < 0) /* a mark: to be filled */
                *figure(&other[h], i) = *figure(&busy[h], i) < 0 ? -1 : -2 - *figure(&busy[h], i);
    for (size_t v = 0; v < f->s.n_vms; v++)
        for (size_t i = 0; i < n; i++) {
            int64_t *o = figure(&other[f->s.vms[v].host], i), use = *figure(&vms[v], i);
            if (*o < -1 && use > 0)
                *o = *o + use < -2 ? *o + use : -2;
        }
    for (size_t h = 0; h < hosts; h++)
        for (size_t i = 0; i < n; i++)
            if (*figure(&other[h], i) < -1)
                *figure(&other[h], i) = -2 - *figure(&other[h], i);
}

/* Pointers to what is known; NULL to what is not. */
static const struct cpu_figures *known(struct cpu_figures *f)
{
    for (size_t i = 0; i < cpu_figures_shape.n; i++)
        if (*figure(f, i) >= 0)
            return f;
    return NULL;
}

static void hand_over_load(const struct snap_build *b, struct snap *f)
{
    struct cpu_figures *busy = xcalloc(2 * b->n_hosts + b->n_vms, sizeof(*busy));
    struct cpu_figures *other = busy + b->n_hosts, *vms = other + b->n_hosts;
    f->figures = busy;
    for (size_t i = 0; i < b->n_hosts; i++) {
        busy[i] = b->hosts[i].cpu;
        other[i] = b->hosts[i].cpu_other;
    }
    for (size_t i = 0; i < b->n_vms; i++)
        vms[i] = b->vms[i].cpu;
    fill_others(f);
    for (size_t i = 0; i < b->n_hosts; i++) {
        f->s.hosts[i].cpu = known(&busy[i]);
        f->s.hosts[i].other = known(&other[i]);
    }
    for (size_t i = 0; i < b->n_vms; i++)
        f->s.vms[i].cpu = known(&vms[i]);
}

static void hand_over(struct snap_build *b, struct snap *ret)
{
    *ret = (struct snap){.hosts = xcalloc(b->n_hosts, sizeof(*ret->hosts)),
                         .vms = xcalloc(b->n_vms, sizeof(*ret->vms)),
                         .s = {.hosts = xcalloc(b->n_hosts, sizeof(*ret->s.hosts)),
                               .n_hosts = b->n_hosts,
                               .vms = xcalloc(b->n_vms, sizeof(*ret->s.vms)),
                               .n_vms = b->n_vms}};
    for (size_t i = 0; i < b->n_vms; i++) {
        struct snap_vm_entry *v = &b->vms[i];
        ret->vms[i] = v->vm;
        v->vm = (struct vm){0};
        ret->s.vms[i] = (struct snap_vm){.v = &ret->vms[i],
                                         .host = host_id(b, v->host),
                                         .moving_to = v->moving_to ? host_id(b, v->moving_to) : -1,
                                         .other_run = v->other_run,
                                         .will_start = v->will_start};
    }
    for (size_t i = 0; i < b->n_hosts; i++)
        ret->s.hosts[i] = (struct snap_host){
            .h = &ret->hosts[i], .state = b->hosts[i].state, .connected = b->hosts[i].connected};
    hand_over_load(b, ret);
    for (size_t i = 0; i < b->n_hosts; i++) { /* last: host_id looks at the names */
        ret->hosts[i] = b->hosts[i].host;
        b->hosts[i].host = (struct host){0};
    }
}

int snap_build(struct snap_build *b, struct snap *ret, struct err *e)
{
    int r = check_all_numbers(b, e);
    r = r < 0 ? r : sort_hosts(b, e);
    r = r < 0 ? r : sort_vms(b, e);
    if (r == 0)
        hand_over(b, ret);
    snap_build_done(b);
    return r;
}

void snap_done(struct snap *f)
{
    for (size_t i = 0; i < f->s.n_hosts; i++)
        shape_done(&host_shape, &f->hosts[i]);
    for (size_t i = 0; i < f->s.n_vms; i++)
        shape_done(&vm_shape, &f->vms[i]);
    free(f->hosts);
    free(f->vms);
    free(f->s.hosts);
    free(f->s.vms);
    free(f->figures);
    free(f->taken);
    *f = (struct snap){0};
}

size_t snap_doubt(struct snap *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->s.n_vms; i++) {
        const struct snap_vm *v = &f->s.vms[i];
        if (v->v->mem_bytes >= 0 || (v->v->state == VM_SHUTOFF && !v->will_start))
            continue;
        n++;
        f->hosts[v->host].mem_bytes = -1;
        if (v->moving_to >= 0)
            f->hosts[v->moving_to].mem_bytes = -1;
    }
    return n;
}
