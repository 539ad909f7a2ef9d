/* Is this host fit? One line per thing that would otherwise be found in the middle of a drain. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "agent/io/agent.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum { PASS, WARN, FAIL, DISKS_ASKED = 8 };

/* Takes text and cure (cure may be NULL). */
static void item(struct host_checked *r, const char *name, int verdict, char *text, const char *cure)
{
    struct check_item *i = vec_add(&r->items, &r->n_items);
    i->name = xstrdup(name);
    i->verdict = verdict;
    i->text = text;
    i->cure = xstrdup(verdict == PASS ? NULL : cure);
}

static bool check_libvirt(const struct carry *c, struct host *h, struct host_checked *r)
{
    struct err e = {0};
    int bad = hv_read_host(c->hv, h, &e);
    if (bad < 0) {
        item(r, "libvirt", FAIL, xstrdup(e.msg),
             "start libvirtd (systemctl status libvirtd; virsh -c qemu:///system list)");
        return false;
    }
    item(r, "libvirt", PASS, xasprintf("libvirt %s, QEMU %s, %s", h->libvirt_version,
                                       h->qemu_version ? h->qemu_version : "?", c->cfg->libvirt),
         NULL);
    bool kvm = str_in("kvm", h->virts, h->n_virts);
    item(r, "kvm", kvm ? PASS : WARN,
         xstrdup(kvm ? "KVM works" : "KVM is not available: only emulated guests can run here"),
         "enable virtualisation in the firmware and load kvm_intel or kvm_amd (virt-host-validate)");
    return true;
}

static void check_network(const struct carry *c, const struct host *h, struct host_checked *r)
{
    const char *a = c->cfg->migrate_address;
    if (!a)
        item(r, "migration-network", WARN, xstrdup("no migration address: libvirt chooses one"),
             "set migration: {address: ...} in agent.yaml to keep moves off the management network");
    else if (!str_in(a, h->addresses, h->n_addresses))
        item(r, "migration-network", FAIL, xasprintf("%s is no address of this host", a),
             "correct migration: {address: ...} in agent.yaml, or bring the interface up");
    else
        item(r, "migration-network", PASS, xasprintf("%s", a), NULL);
}

static void check_libvirt_tls(const struct carry *c, struct host_checked *r)
{
    static const char *const files[] = {
        "/etc/pki/CA/cacert.pem", "/etc/pki/libvirt/servercert.pem",
        "/etc/pki/libvirt/clientcert.pem", "/etc/pki/libvirt/private/serverkey.pem",
        "/etc/pki/libvirt/private/clientkey.pem",
    };
    const char *uri = c->cfg->migrate_uri;
    if (uri && !strstr(uri, "+tls:"))
        return;
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (access(files[i], R_OK) < 0) {
            item(r, "libvirt-tls", WARN, xasprintf("%s: %s", files[i], strerror(errno)),
                 "give libvirt its certificates (libvirt.org/kbase/tlscerts.html), or another "
                 "migration uri");
            return;
        }
    item(r, "libvirt-tls", PASS, xstrdup("libvirt's certificates are in place"), NULL);
}

static void check_own_tls(const struct carry *c, struct host_checked *r)
{
    char when[FMT_BYTES];
    if (!c->tls)
        return;
    int64_t expires = tls_expires_wall_us(c->tls), left = expires - clock_wall_us();
    fmt_rfc3339(when, expires);
    item(r, "tls-files", left < 0 ? FAIL : left < 14 * 86400 * SEC ? WARN : PASS,
         xasprintf("certificate of '%s' is valid until %s", tls_self(c->tls)->name, when),
         "issue a new certificate: drover pki issue agent --name HOST, then restart drover-agent");
}

static void check_clock(const struct carry *c, struct host_checked *r)
{
    int64_t skew = c->clock_skew_us < 0 ? -c->clock_skew_us : c->clock_skew_us;
    char text[FMT_BYTES];
    if (c->clock_skew_us == -1)
        item(r, "clock", PASS, xstrdup("not compared: no scheduler is connected"), NULL);
    else
        item(r, "clock", skew > 2 * SEC ? WARN : PASS,
             xasprintf("%s apart from the scheduler's", fmt_duration(text, skew)),
             "synchronise the clocks (chronyc tracking)");
}

static void check_secrets(const struct host *h, struct host_checked *r)
{
    size_t readable = 0;
    for (size_t i = 0; i < h->n_secrets; i++)
        readable += h->secrets[i].readable;
    if (h->n_secrets == 0)
        item(r, "ceph-secrets", WARN, xstrdup("libvirt has no secret of type ceph"),
             "define the cephx secret of the VMs here too: virsh secret-define, secret-set-value");
    else
        item(r, "ceph-secrets", readable == h->n_secrets ? PASS : WARN,
             xasprintf("%zu of %zu ceph secrets can be used", readable, h->n_secrets),
             "a secret must have a value and private='no': virsh secret-list, secret-set-value");
}

/* The running guests' own disks are the best question: their identity, their images. */
static size_t some_disks(const struct carry *c, struct disk *ret, char **keys, struct vm *ret_vms,
                         size_t *ret_n_vms)
{
    char **uuids = NULL;
    size_t n_uuids = 0, n = 0;
    *ret_n_vms = 0;
    if (hv_list(c->hv, &uuids, &n_uuids, NULL) < 0)
        return 0;
    for (size_t i = 0; i < n_uuids; i++) {
        struct vm *v = &ret_vms[*ret_n_vms];
        if (n < DISKS_ASKED && *ret_n_vms < DISKS_ASKED &&
            hv_read_vm(c->hv, uuids[i], v, NULL) == 0) {
            (*ret_n_vms)++;
            for (size_t k = 0; k < v->n_disks && n < DISKS_ASKED; k++)
                if (v->state == VM_RUNNING && v->disks[k].kind == DISK_RBD &&
                    hv_secret_key(c->hv, &v->disks[k], &keys[n], NULL) == 0)
                    ret[n++] = v->disks[k];
        }
        free(uuids[i]);
    }
    free(uuids);
    return n;
}

static bool watched_from_here(const struct image_fact *f, const struct host *h)
{
    for (size_t i = 0; i < f->n_watchers; i++)
        if (host_owns_address(h, f->watchers[i].address))
            return true;
    return false;
}

static void check_images(const struct carry *c, const struct host *h, struct host_checked *r)
{
    struct disk disks[DISKS_ASKED];
    char *keys[DISKS_ASKED] = {NULL};
    struct image_fact facts[DISKS_ASKED];
    struct vm vms[DISKS_ASKED];
    size_t n_vms = 0, n = some_disks(c, disks, keys, vms, &n_vms);
    if (n)
        rbd_client_ask(c->rbd, disks, keys, n, facts);
    else
        item(r, "ceph-images", PASS, xstrdup("no running guest has an RBD disk to ask about"), NULL);
    size_t good = 0;
    for (size_t i = 0; i < n; i++) {
        if (!facts[i].ok)
            item(r, "ceph-images", FAIL,
                 xasprintf("%s/%s: %s", facts[i].pool, facts[i].image, facts[i].error),
                 "check network to the monitors and the caps of the user (profile rbd)");
        else if (!watched_from_here(&facts[i], h))
            item(r, "ceph-images", WARN,
                 xasprintf("%s/%s: its guest runs here, but no watcher has an address of this host",
                           facts[i].pool, facts[i].image),
                 "look for address translation between this host and Ceph");
        else
            good++;
        shape_done(&image_fact_shape, &facts[i]);
        if (keys[i])
            explicit_bzero(keys[i], strlen(keys[i]));
        free(keys[i]);
    }
    if (good)
        item(r, "ceph-images", PASS, xasprintf("Ceph shows this host's guests on %zu of %zu images "
                                               "asked", good, n), NULL);
    for (size_t i = 0; i < n_vms; i++)
        shape_done(&vm_shape, &vms[i]);
}

static void check_ceph(const struct carry *c, struct host_checked *r)
{
    struct err e = {0};
    if (access(c->cfg->ceph_conf, R_OK) < 0) {
        item(r, "ceph-conf", WARN, xasprintf("%s: %s", c->cfg->ceph_conf, strerror(errno)),
             "fine if all domains name their monitors; else install ceph.conf here");
        return;
    }
    cleanup(freep) char *fsid = rbd_client_conf_fsid(c->rbd, &e);
    if (fsid)
        item(r, "ceph-conf", PASS, xasprintf("cluster %s (%s)", fsid, c->cfg->ceph_conf), NULL);
    else
        item(r, "ceph-conf", e.code == -ENODATA ? WARN : FAIL, xstrdup(e.msg),
             "name fsid and mon_host in ceph.conf; drover-agent-ceph must be installed beside "
             "drover-agent");
}

void check_this_host(const struct carry *c, struct host_checked *ret)
{
    struct host h;
    shape_init(&host_shape, &h);
    bool up = check_libvirt(c, &h, ret);
    hv_read_kernel(&h);
    check_own_tls(c, ret);
    check_libvirt_tls(c, ret);
    check_network(c, &h, ret);
    check_ceph(c, ret);
    if (up) {
        check_secrets(&h, ret);
        check_images(c, &h, ret);
    }
    check_clock(c, ret);
    shape_done(&host_shape, &h);
}
