/* Facts about the host: libvirt's and the kernel's. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "agent/hv/capxml.h"
#include "agent/hv/hv_int.h"
#include "agent/hv/sysfs.h"
#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static void strs_clear(char ***list, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        free((*list)[i]);
    free(*list);
    *list = NULL;
    *n = 0;
}

/* Orders of directories and of libvirt's hash tables are no facts of the host: sort. */
static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_names(char **list, size_t n)
{
    if (n)
        qsort(list, n, sizeof(*list), by_name);
}

static int by_uuid(const void *a, const void *b)
{
    return strcmp(((const struct secret *)a)->uuid, ((const struct secret *)b)->uuid);
}

static char *version_text(unsigned long v)
{
    return xasprintf("%lu.%lu.%lu", v / 1000000, v / 1000 % 1000, v % 1000);
}

static void read_secrets(virConnectPtr c, struct host *h)
{
    virSecretPtr *list = NULL;
    int n = virConnectListAllSecrets(c, &list, 0);
    for (int i = 0; i < n; i++) {
        char uuid[VIR_UUID_STRING_BUFLEN];
        if (virSecretGetUsageType(list[i]) == VIR_SECRET_USAGE_TYPE_CEPH &&
            virSecretGetUUIDString(list[i], uuid) == 0 && h->n_secrets < LIM_LIST_ITEMS) {
            struct secret *s = vec_add(&h->secrets, &h->n_secrets);
            s->uuid = xstrdup(uuid);
            s->usage = xstrdup(virSecretGetUsageID(list[i]));
            size_t len = 0;
            unsigned char *value = virSecretGetValue(list[i], &len, 0);
            s->readable = value && len > 0;
            if (value)
                explicit_bzero(value, len);
            free(value);
        }
        virSecretFree(list[i]);
    }
    free(list);
    if (h->n_secrets)
        qsort(h->secrets, h->n_secrets, sizeof(*h->secrets), by_uuid);
    virResetLastError(); /* a host without the secret or network driver has none */
}

static void read_networks(virConnectPtr c, struct host *h)
{
    virNetworkPtr *list = NULL;
    int n = virConnectListAllNetworks(c, &list, VIR_CONNECT_LIST_NETWORKS_ACTIVE);
    for (int i = 0; i < n; i++) {
        if (h->n_networks < LIM_LIST_ITEMS)
            *vec_add(&h->networks, &h->n_networks) = xstrdup(virNetworkGetName(list[i]));
        virNetworkFree(list[i]);
    }
    free(list);
    sort_names(h->networks, h->n_networks);
    virResetLastError();
}

/* Keep only virtualisation types for which libvirt can say what a domain may have: a /dev/kvm that
 * is there and does not work is still listed in the capabilities. */
static void prove_virts(virConnectPtr c, struct host *h)
{
    for (size_t i = 0; i < h->n_virts;) {
        cleanup(freep) char *xml =
            virConnectGetDomainCapabilities(c, NULL, h->arch, NULL, h->virts[i], 0);
        if (xml && (!h->cpu_xml || str_eq(h->virts[i], "kvm")))
            capxml_domcaps_cpu(xml, h, NULL);
        if (xml) {
            i++;
            continue;
        }
        virResetLastError();
        free(h->virts[i]);
        vec_del(h->virts, &h->n_virts, i);
    }
}

static void clear_libvirt_part(struct host *h)
{
    strs_clear(&h->virts, &h->n_virts);
    strs_clear(&h->machines, &h->n_machines);
    strs_clear(&h->networks, &h->n_networks);
    for (size_t i = 0; i < h->n_secrets; i++)
        shape_done(&secret_shape, &h->secrets[i]);
    free(h->secrets);
    h->secrets = NULL;
    h->n_secrets = 0;
    free(h->cpu_xml);
    h->cpu_xml = NULL;
}

/* What is free in each cell at this moment. A libvirt that cannot say leaves it unknown. */
static void read_free_cells(virConnectPtr c, struct host *h)
{
    unsigned int size = (unsigned int)(h->hugepage_size_bytes / KIB);
    for (size_t i = 0; i < h->n_cells; i++) {
        unsigned long long bytes = 0, pages = 0;
        int id = (int)h->cells[i].id;
        if (virNodeGetCellsFreeMemory(c, &bytes, id, 1) == 1 && bytes <= INT64_MAX)
            h->cells[i].mem_free_bytes = (int64_t)bytes;
        if (size && virNodeGetFreePages(c, 1, &size, id, 1, &pages, 0) == 1 &&
            pages < INT64_MAX / ((unsigned long long)size * KIB))
            h->cells[i].hugepage_free_bytes = (int64_t)(pages * size * KIB);
    }
    virResetLastError();
}

int hv_read_host(struct hv *hv, struct host *h, struct err *e)
{
    cleanup(hv_unuse) struct hv_use use = {0};
    int r = hv_use(hv, &use, e);
    if (r < 0)
        return r;
    virConnectPtr c = use.c;
    cleanup(freep) char *caps = virConnectGetCapabilities(c);
    if (!caps)
        return hv_fail(e, "read capabilities");
    clear_libvirt_part(h);
    hv_read_kernel(h); /* the size of huge pages, which the capabilities are read by */
    r = capxml_host(caps, h, e);
    if (r < 0)
        return r;
    read_free_cells(c, h);
    prove_virts(c, h);
    read_secrets(c, h);
    read_networks(c, h);
    free(h->hostname);
    h->hostname = virConnectGetHostname(c);
    unsigned long version = 0;
    if (virConnectGetLibVersion(c, &version) == 0) {
        free(h->libvirt_version);
        h->libvirt_version = version_text(version);
    }
    if (virConnectGetVersion(c, &version) == 0) {
        free(h->qemu_version);
        h->qemu_version = version_text(version);
    }
    virResetLastError();
    pthread_mutex_lock(&hv->lock);
    free(hv->cpu_xml);
    hv->cpu_xml = xstrdup(h->cpu_xml);
    pthread_mutex_unlock(&hv->lock);
    return 0;
}

static void read_addresses(struct host *h)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) < 0)
        return;
    strs_clear(&h->addresses, &h->n_addresses);
    for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
        char text[INET6_ADDRSTRLEN];
        const void *in = NULL;
        if (!a->ifa_addr || a->ifa_flags & IFF_LOOPBACK || h->n_addresses >= LIM_LIST_ITEMS)
            continue;
        if (a->ifa_addr->sa_family == AF_INET)
            in = &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr;
        else if (a->ifa_addr->sa_family == AF_INET6)
            in = &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr;
        if (in && inet_ntop(a->ifa_addr->sa_family, in, text, sizeof(text)) &&
            !str_in(text, h->addresses, h->n_addresses))
            *vec_add(&h->addresses, &h->n_addresses) = xstrdup(text);
    }
    freeifaddrs(all);
}

static void read_bridges(struct host *h)
{
    DIR *d = opendir("/sys/class/net");
    if (!d)
        return;
    strs_clear(&h->bridges, &h->n_bridges);
    for (const struct dirent *de; (de = readdir(d)) && h->n_bridges < LIM_LIST_ITEMS;)
        if (*de->d_name != '.' && sysfs_is_bridge(de->d_name) && sysfs_is_up(de->d_name))
            *vec_add(&h->bridges, &h->n_bridges) = xstrdup(de->d_name);
    closedir(d);
    sort_names(h->bridges, h->n_bridges);
}

void hv_read_kernel(struct host *h)
{
    cleanup(freep) char *text = NULL;
    if (file_read("/proc/meminfo", 64 << 10, &text, NULL, NULL) == 0) {
        h->mem_bytes = meminfo_get(text, "MemTotal", KIB);
        h->mem_free_bytes = meminfo_get(text, "MemAvailable", KIB);
        int64_t total = meminfo_get(text, "HugePages_Total", 1);
        int64_t free_pages = meminfo_get(text, "HugePages_Free", 1);
        int64_t size = meminfo_get(text, "Hugepagesize", KIB);
        h->hugepage_size_bytes = size > 0 ? size : 0;
        h->hugepage_total_bytes = total > 0 && size > 0 ? total * size : 0;
        h->hugepage_free_bytes = free_pages > 0 && size > 0 ? free_pages * size : 0;
    }
    h->cpus = sysconf(_SC_NPROCESSORS_ONLN);
    cleanup(freep) char *boot = NULL;
    size_t len = 0;
    if (file_read("/proc/sys/kernel/random/boot_id", 64, &boot, &len, NULL) == 0) {
        free(h->boot_id);
        h->boot_id = xasprintf("%.36s", boot);
    }
    read_addresses(h);
    read_bridges(h);
}
