/* The devices of a domain: what must follow it to another host, and what cannot. */
#include <errno.h>
#include <string.h>

#include "agent/hv/domxml.h"
#include "agent/hv/xml.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static int word(const char *const *names, size_t n, const char *s, int otherwise)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], s))
            return (int)i;
    return otherwise;
}

/* "pool/image" or "pool/namespace/image" */
static void rbd_name(const char *name, struct disk *d)
{
    const char *first = name ? strchr(name, '/') : NULL;
    const char *last = name ? strrchr(name, '/') : NULL;
    if (!first) {
        d->image = xstrdup(name);
        return;
    }
    d->pool = xasprintf("%.*s", (int)(first - name), name);
    if (last > first + 1)
        d->ns = xasprintf("%.*s", (int)(last - first - 1), first + 1);
    d->image = xstrdup(last + 1);
}

static void rbd_mons(const xmlNode *source, struct disk *d)
{
    for (xmlNode *h = xml_child(source, "host"); h; h = xml_next(h)) {
        cleanup(freep) char *name = xml_attr(h, "name");
        cleanup(freep) char *port = xml_attr(h, "port");
        if (!name)
            continue;
        bool v6 = strchr(name, ':') && *name != '[';
        *vec_add(&d->mons, &d->n_mons) =
            xasprintf("%s%s%s%s%s", v6 ? "[" : "", name, v6 ? "]" : "", port ? ":" : "",
                      port ? port : "");
    }
}

static void rbd_source(const xmlNode *disk, const xmlNode *source, struct disk *d)
{
    d->kind = DISK_RBD;
    cleanup(freep) char *name = xml_attr(source, "name");
    rbd_name(name, d);
    d->snap = xml_attr(xml_child(source, "snapshot"), "name");
    d->conf = xml_attr(xml_child(source, "config"), "file");
    rbd_mons(source, d);
    /* <auth> stood below <disk> before libvirt 3.9 and may still be written there */
    const xmlNode *auth = xml_child(source, "auth");
    if (!auth)
        auth = xml_child(disk, "auth");
    d->user = xml_attr(auth, "username");
    const xmlNode *secret = xml_child(auth, "secret");
    d->secret_uuid = xml_attr(secret, "uuid");
    d->secret_usage = xml_attr(secret, "usage");
}

static void disk_source(const xmlNode *disk, const char *type, struct disk *d)
{
    const xmlNode *source = xml_child(disk, "source");
    cleanup(freep) char *protocol = xml_attr(source, "protocol");
    if (str_eq(type, "network") && str_eq(protocol, "rbd")) {
        rbd_source(disk, source, d);
    } else if (str_eq(type, "network") && protocol) {
        cleanup(freep) char *name = xml_attr(source, "name");
        d->kind = DISK_NETWORK;
        d->path = xasprintf("%s:%s", protocol, name ? name : "");
    } else if (str_eq(type, "file")) {
        d->path = xml_attr(source, "file");
        d->kind = d->path ? DISK_FILE : DISK_EMPTY;
    } else if (str_eq(type, "block")) {
        d->path = xml_attr(source, "dev");
        d->kind = d->path ? DISK_BLOCK : DISK_EMPTY;
    } else if (str_eq(type, "volume")) {
        cleanup(freep) char *pool = xml_attr(source, "pool");
        cleanup(freep) char *volume = xml_attr(source, "volume");
        d->kind = pool && volume ? DISK_VOLUME : DISK_EMPTY;
        if (d->kind == DISK_VOLUME)
            d->path = xasprintf("%s/%s", pool, volume);
    } else {
        d->kind = source ? DISK_OTHER : DISK_EMPTY;
        d->path = xml_attr(source, "path");
    }
    /* only a removable drive may be empty: any other disk without a source is one we do not know */
    if (d->kind == DISK_EMPTY && d->device != DISK_CDROM && d->device != DISK_FLOPPY)
        d->kind = DISK_OTHER;
}

static int parse_disk(const xmlNode *n, struct vm *vm, struct err *e)
{
    if (vm->n_disks >= LIM_DISKS_PER_VM)
        return err_set(e, -E2BIG, "more than %d disks", LIM_DISKS_PER_VM);
    cleanup(freep) char *target = xml_attr(xml_child(n, "target"), "dev");
    if (!target)
        return err_set(e, -EBADMSG, "disk %zu has no <target dev=>", vm->n_disks + 1);
    struct disk *d = vec_add(&vm->disks, &vm->n_disks);
    d->target = take(target);
    cleanup(freep) char *device = xml_attr(n, "device");
    d->device = word(disk_device_names, ARRAY_LEN(disk_device_names), device, DISK_DISK);
    cleanup(freep) char *type = xml_attr(n, "type");
    disk_source(n, type, d);
    /* a CD-ROM is read-only whether or not the XML says so */
    d->readonly = xml_child(n, "readonly") || d->device == DISK_CDROM;
    d->shareable = xml_child(n, "shareable");
    const xmlNode *driver = xml_child(n, "driver");
    d->cache = xml_attr(driver, "cache");
    d->io = xml_attr(driver, "io");
    d->format = xml_attr(driver, "type");
    return 0;
}

static void parse_nic(const xmlNode *n, struct vm *vm)
{
    static const char *const source_attr[] = {"bridge", "network", "dev", NULL, NULL, NULL};
    struct nic *nic = vec_add(&vm->nics, &vm->n_nics);
    cleanup(freep) char *type = xml_attr(n, "type");
    nic->kind = word(nic_kind_names, ARRAY_LEN(nic_kind_names), type, NIC_OTHER);
    nic->mac = xml_attr(xml_child(n, "mac"), "address");
    nic->model = xml_attr(xml_child(n, "model"), "type");
    if (source_attr[nic->kind])
        nic->source = xml_attr(xml_child(n, "source"), source_attr[nic->kind]);
    else if (nic->kind == NIC_OTHER)
        nic->source = take(type);
}

static char *pci_address(const xmlNode *a)
{
    static const char *const parts[] = {"domain", "bus", "slot", "function"};
    int64_t v[4];
    for (size_t i = 0; i < 4; i++) {
        cleanup(freep) char *s = xml_attr(a, parts[i]);
        v[i] = xml_int(s, 0);
    }
    return xasprintf("%04x:%02x:%02x.%x", (unsigned)v[0], (unsigned)v[1], (unsigned)v[2],
                     (unsigned)v[3]);
}

static char *usb_address(const xmlNode *source)
{
    const xmlNode *a = xml_child(source, "address");
    cleanup(freep) char *bus = xml_attr(a, "bus");
    cleanup(freep) char *device = xml_attr(a, "device");
    if (bus && device)
        return xasprintf("%s:%s", bus, device);
    cleanup(freep) char *vendor = xml_attr(xml_child(source, "vendor"), "id");
    cleanup(freep) char *product = xml_attr(xml_child(source, "product"), "id");
    return vendor && product ? xasprintf("%s:%s", vendor, product) : NULL;
}

static void parse_hostdev(const xmlNode *n, struct vm *vm)
{
    struct hostdev *h = vec_add(&vm->hostdevs, &vm->n_hostdevs);
    h->kind = xml_attr(n, "type");
    const xmlNode *source = xml_child(n, "source");
    const xmlNode *a = xml_child(source, "address");
    if (str_eq(h->kind, "pci"))
        h->address = pci_address(a);
    else if (str_eq(h->kind, "usb"))
        h->address = usb_address(source);
    else if (str_eq(h->kind, "mdev"))
        h->address = xml_attr(a, "uuid");
    else if (str_eq(h->kind, "scsi"))
        h->address = xml_attr(xml_child(source, "adapter"), "name");
    else if (str_eq(h->kind, "scsi_host"))
        h->address = xml_attr(source, "wwpn");
}

static void pinned(struct vm *vm, const char *kind, char *address)
{
    struct hostdev *h = vec_add(&vm->hostdevs, &vm->n_hostdevs);
    h->kind = xstrdup(kind);
    h->address = address;
}

/* Devices that are no <hostdev> and still live on this host alone. */
static void parse_pinned(const xmlNode *n, struct vm *vm)
{
    const char *name = (const char *)n->name;
    const xmlNode *source = xml_child(n, "source");
    if (str_eq(name, "filesystem")) {
        pinned(vm, "filesystem", xml_attr(source, "dir"));
    } else if (str_eq(name, "shmem")) {
        pinned(vm, "shmem", xml_attr(n, "name"));
    } else if (str_eq(name, "tpm") && xml_attr_is(xml_child(n, "backend"), "type", "passthrough")) {
        pinned(vm, "tpm", xml_attr(xml_at(n, "backend", "device", NULL), "path"));
    } else if (str_eq(name, "memory") && xml_attr_is(n, "model", "nvdimm")) {
        pinned(vm, "nvdimm", xml_text(xml_child(source, "path")));
    }
}

static void host_file(struct vm *vm, char *path)
{
    if (path)
        *vec_add(&vm->host_files, &vm->n_host_files) = path;
}

/* Of the NVRAM the destination needs the template only: the content travels with the migration
 * stream, and libvirt makes the file. */
static void parse_host_files(const xmlNode *domain, struct vm *vm)
{
    const xmlNode *os = xml_child(domain, "os");
    host_file(vm, xml_text(xml_child(os, "kernel")));
    host_file(vm, xml_text(xml_child(os, "initrd")));
    host_file(vm, xml_text(xml_child(os, "dtb")));
    host_file(vm, xml_text(xml_child(os, "loader")));
    host_file(vm, xml_attr(xml_child(os, "nvram"), "template"));
}

int domxml_devices(const xmlNode *domain, struct vm *vm, struct err *e)
{
    for (xmlNode *n = xml_first(xml_child(domain, "devices")); n; n = xml_after(n)) {
        const char *name = (const char *)n->name;
        int r = 0;
        if (str_eq(name, "disk"))
            r = parse_disk(n, vm, e);
        else if (str_eq(name, "interface"))
            parse_nic(n, vm);
        else if (str_eq(name, "hostdev"))
            parse_hostdev(n, vm);
        else
            parse_pinned(n, vm);
        if (r < 0)
            return r;
    }
    parse_host_files(domain, vm);
    return 0;
}
