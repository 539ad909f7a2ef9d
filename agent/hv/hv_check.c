/* Everything that could fail later, asked before. */
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "agent/hv/capxml.h"
#include "agent/hv/hv_int.h"
#include "agent/hv/sysfs.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

struct reasons {
    struct reason *list;
    size_t n;
};

/* what, need, have and cure are copied; NULL stays NULL. */
static struct reason *say(struct reasons *r, enum reason_code code, const char *what,
                          const char *need, const char *have)
{
    struct reason *x = vec_add(&r->list, &r->n);
    shape_init(&reason_shape, x);
    x->code = (int)code;
    x->what = xstrdup(what);
    x->need = xstrdup(need);
    x->have = xstrdup(have);
    return x;
}

static void cure(struct reason *x, char *text)
{
    free(x->cure);
    x->cure = text;
}

static void give(struct reasons *r, struct reason **ret, size_t *ret_n)
{
    *ret = r->list;
    *ret_n = r->n;
}

/* ---- leaving ----------------------------------------------------------------------------------- */
int hv_check_source(struct hv *hv, const struct vm *v, struct reason **ret, size_t *ret_n,
                    struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    struct reasons r = {0};
    int bad = hv_use_domain(hv, v->uuid, &use, e);
    if (bad < 0 && bad != -ENOENT)
        return bad;
    if (bad < 0) {
        say(&r, R_VM_STATE, v->name ? v->name : v->uuid, "running", "not on this host any more");
        give(&r, ret, ret_n);
        return 0;
    }
    int state = 0, reason = 0;
    enum vm_job job = VM_JOB_NONE;
    if (virDomainGetState(use.d, &state, &reason, 0) < 0)
        return hv_fail(e, "read state of domain");
    bad = hv_job(use.d, &job, NULL, NULL, e);
    if (bad < 0)
        return bad;
    enum vm_state now = hv_state(state);
    if (now == VM_PAUSED)
        say(&r, R_VM_PAUSED, v->name, "running", hv_state_reason(state, reason));
    else if (now != VM_RUNNING && !(now == VM_SHUTOFF && v->state == VM_SHUTOFF))
        say(&r, R_VM_STATE, v->name, "running", vm_state_names[now]);
    if (job != VM_JOB_NONE)
        say(&r, R_VM_BUSY, v->name, "no job", vm_job_names[job]);
    give(&r, ret, ret_n);
    return 0;
}

/* ---- coming here ------------------------------------------------------------------------------- */
static int check_identity(virConnectPtr c, const struct vm *v, struct reasons *r, struct err *e)
{
    cleanup(dom_unref) virDomainPtr same = virDomainLookupByUUIDString(c, v->uuid);
    if (!same && hv_fail(e, "look for the UUID") != -ENOENT)
        return -EIO;
    int active = same ? virDomainIsActive(same) : 0;
    if (active < 0)
        return hv_fail(e, "look at the domain with this UUID");
    if (active)
        say(r, R_UUID_TAKEN, v->uuid, "no active domain", virDomainGetName(same));
    cleanup(dom_unref) virDomainPtr named = virDomainLookupByName(c, v->name);
    if (!named)
        return hv_fail(e, "look for the name") == -ENOENT ? 0 : -EIO;
    char uuid[VIR_UUID_STRING_BUFLEN];
    if (virDomainGetUUIDString(named, uuid) == 0 && strcasecmp(uuid, v->uuid) != 0)
        cure(say(r, R_NAME_TAKEN, v->name, v->uuid, uuid),
             xasprintf("rename or undefine the other domain '%s' there", v->name));
    return 0;
}

static void check_cpu(virConnectPtr c, const struct vm *v, struct reasons *r)
{
    if (!v->cpu_xml)
        return;
    int got = virConnectCompareHypervisorCPU(c, v->emulator, v->arch, v->machine, v->virt, v->cpu_xml,
                                             VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE);
    if (got == VIR_CPU_COMPARE_IDENTICAL || got == VIR_CPU_COMPARE_SUPERSET)
        return;
    const virError *x = virGetLastError();
    /* a <cpu> without a model (mode maximum of an old libvirt) cannot be compared by anybody */
    if (got < 0 && x && x->code != VIR_ERR_CPU_INCOMPATIBLE) {
        cleanup(freep) char *why = xasprintf("libvirt cannot compare: %s", x->message);
        cure(say(r, R_CPU_MODEL, v->virt, "a comparable CPU", why),
             xstrdup("give the VM a named CPU model (host-model, or custom) and restart it"));
    } else {
        cure(say(r, R_CPU_MODEL, v->virt, "every feature the guest runs with",
                 got < 0 && x && x->message ? x->message : "an incompatible CPU"),
             xstrdup("run the VM with a CPU model that all its hosts have"));
    }
    virResetLastError();
}

static void check_platform(const struct host *h, const struct vm *v, struct reasons *r)
{
    if (v->arch && h->arch && !str_eq(v->arch, h->arch))
        say(r, R_ARCH, NULL, v->arch, h->arch);
    if (v->virt && !str_in(v->virt, h->virts, h->n_virts))
        cure(say(r, R_VIRT, v->virt, v->virt, h->n_virts ? h->virts[0] : "none"),
             xstrdup("enable virtualisation there: virt-host-validate says what is missing"));
    if (v->machine && !str_in(v->machine, h->machines, h->n_machines))
        cure(say(r, R_MACHINE, v->machine, v->machine, h->qemu_version),
             xasprintf("install a QEMU that has machine type %s", v->machine));
}

static void check_nics(const struct host *h, const struct vm *v, struct reasons *r)
{
    for (size_t i = 0; i < v->n_nics; i++) {
        const struct nic *n = &v->nics[i];
        if (!n->source)
            continue;
        if (n->kind == NIC_BRIDGE && !str_in(n->source, h->bridges, h->n_bridges))
            cure(say(r, R_BRIDGE, n->source, "a bridge that is up",
                     sysfs_is_bridge(n->source) ? "down" : "absent"),
                 xasprintf("ip link show %s, on the target", n->source));
        if (n->kind == NIC_NETWORK && !str_in(n->source, h->networks, h->n_networks))
            cure(say(r, R_NETWORK, n->source, "an active libvirt network", "absent or inactive"),
                 xasprintf("virsh net-start %s, on the target", n->source));
        if (n->kind == NIC_DIRECT && !sysfs_is_up(n->source))
            say(r, R_NETWORK, n->source, "a network device that is up", "absent or down");
    }
}

static void check_file(const char *path, struct reasons *r)
{
    if (path && access(path, R_OK) < 0)
        cure(say(r, R_HOST_FILE, path, "readable", strerror(errno)),
             xasprintf("copy %s to the target", path));
}

static void check_files(const struct vm *v, struct reasons *r)
{
    check_file(v->emulator, r);
    for (size_t i = 0; i < v->n_host_files; i++)
        check_file(v->host_files[i], r);
}

static void check_memory(const struct host *h, const struct vm *v, struct reasons *r)
{
    char need[FMT_BYTES], have[FMT_BYTES];
    if (v->state == VM_SHUTOFF)
        return; /* a definition needs no memory */
    int64_t small = vm_need_bytes(v) - v->hugepage_bytes;
    if (h->mem_free_bytes >= 0 && small > h->mem_free_bytes) {
        struct reason *x = say(r, R_MEMORY, NULL, fmt_bytes(need, small),
                               fmt_bytes(have, h->mem_free_bytes));
        x->need_n = small;
        x->have_n = h->mem_free_bytes;
    }
    if (v->hugepage_bytes > h->hugepage_free_bytes) {
        struct reason *x = say(r, R_HUGEPAGES, NULL, fmt_bytes(need, v->hugepage_bytes),
                               fmt_bytes(have, h->hugepage_free_bytes));
        x->need_n = v->hugepage_bytes;
        x->have_n = h->hugepage_free_bytes;
    }
}

/* What is free in the cells that it is bound to, as measured just now; what is not known refuses nothing. */
static void check_bind(const struct host *h, const struct numa_bind *b, struct reasons *r)
{
    char need[FMT_BYTES], have[FMT_BYTES];
    uint64_t cells = numa_cells(b->cells), found = 0;
    int64_t small = 0, huge = 0;
    for (size_t i = 0; i < h->n_cells; i++) {
        const struct host_cell *c = &h->cells[i];
        if (c->id > 63 || !(cells >> c->id & 1))
            continue;
        found |= UINT64_C(1) << c->id;
        if (c->mem_free_bytes < 0 || c->hugepage_free_bytes < 0)
            return;
        small += c->mem_free_bytes;
        huge += c->hugepage_free_bytes;
    }
    int64_t needs_small = b->mem_bytes - b->hugepage_bytes;
    cleanup(freep) char *what = xasprintf("cell %s", b->cells);
    if (h->n_cells && found != cells)
        say(r, R_NUMA, what, b->cells, "no such cell");
    else if (h->n_cells && needs_small > small)
        say(r, R_NUMA, what, fmt_bytes(need, needs_small), fmt_bytes(have, small));
    else if (h->n_cells && b->hugepage_bytes > huge)
        say(r, R_HUGEPAGES, what, fmt_bytes(need, b->hugepage_bytes), fmt_bytes(have, huge));
}

static void check_binds(const struct host *h, const struct vm *v, struct reasons *r)
{
    for (size_t i = 0; v->state != VM_SHUTOFF && i < v->n_binds; i++)
        check_bind(h, &v->binds[i], r);
}

static void check_secrets(struct hv *hv, const struct vm *v, struct reasons *r)
{
    for (size_t i = 0; i < v->n_disks; i++) {
        const struct disk *d = &v->disks[i];
        struct err e = {0};
        cleanup(freep) char *key = NULL;
        if (d->kind != DISK_RBD || hv_secret_key(hv, d, &key, &e) == 0)
            continue;
        const char *id = d->secret_uuid ? d->secret_uuid : d->secret_usage;
        cure(say(r, R_SECRET, id, "a readable value", e.msg),
             xasprintf("virsh secret-define with private='no', then virsh secret-set-value %s, "
                       "on the target", id));
    }
}

int hv_check_target(struct hv *hv, const struct host *h, const struct vm *v, struct reason **ret,
                    size_t *ret_n, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    struct reasons r = {0};
    int bad = hv_use(hv, &use, e);
    if (bad < 0)
        return bad;
    bad = check_identity(use.c, v, &r, e);
    if (bad < 0) {
        for (size_t i = 0; i < r.n; i++)
            shape_done(&reason_shape, &r.list[i]);
        free(r.list);
        return bad;
    }
    check_platform(h, v, &r);
    if (str_in(v->virt, h->virts, h->n_virts)) /* else the comparison would only say the same again */
        check_cpu(use.c, v, &r);
    check_nics(h, v, &r);
    check_files(v, &r);
    check_secrets(hv, v, &r);
    check_memory(h, v, &r);
    check_binds(h, v, &r);
    give(&r, ret, ret_n);
    return 0;
}

/* ---- secrets and peers ------------------------------------------------------------------------- */
static void secret_unref(virSecretPtr *s)
{
    if (*s)
        virSecretFree(*s);
}

int hv_secret_key(struct hv *hv, const struct disk *d, char **ret, struct err *e)
{
    if (!d->secret_uuid && !d->secret_usage) {
        *ret = NULL;
        return 0;
    }
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use(hv, &use, e);
    if (r < 0)
        return r;
    cleanup(secret_unref) virSecretPtr s =
        d->secret_uuid ? virSecretLookupByUUIDString(use.c, d->secret_uuid)
                       : virSecretLookupByUsage(use.c, VIR_SECRET_USAGE_TYPE_CEPH, d->secret_usage);
    if (!s)
        return hv_fail(e, "secret");
    size_t len = 0;
    unsigned char *value = virSecretGetValue(s, &len, 0);
    if (!value)
        return hv_fail(e, "secret's value");
    if (len == 0 || len > 4096) {
        r = err_set(e, -ENODATA, "the secret has no usable value");
    } else {
        char *text = xcalloc(1, (len + 2) / 3 * 4 + 1);
        EVP_EncodeBlock((unsigned char *)text, value, (int)len);
        *ret = text;
    }
    explicit_bzero(value, len);
    free(value);
    return r;
}

int hv_check_peer(struct hv *hv, const char *uri, struct err *e)
{
    cleanup(conn_unref) virConnectPtr peer = hv_open(uri, e);
    if (!peer)
        return err_wrap(e, "'%s'", uri);
    cleanup(freep) char *theirs = virConnectGetCapabilities(peer);
    if (!theirs)
        return hv_fail(e, "read the peer's capabilities");
    struct host there = {0}, here = {0};
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use(hv, &use, e);
    if (r < 0)
        return r;
    cleanup(freep) char *ours = virConnectGetCapabilities(use.c);
    if (!ours)
        return hv_fail(e, "read our own capabilities");
    r = capxml_host(theirs, &there, e);
    if (r == 0)
        r = capxml_host(ours, &here, e);
    if (r == 0 && str_eq(there.host_uuid, here.host_uuid))
        r = err_set(e, -ELOOP, "'%s' is this host itself (host UUID %s); libvirt refuses to migrate "
                    "to the same host", uri, here.host_uuid);
    shape_done(&host_shape, &there);
    shape_done(&host_shape, &here);
    return r;
}
