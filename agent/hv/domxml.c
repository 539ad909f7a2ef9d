#include "agent/hv/domxml.h"

#include <errno.h>
#include <string.h>

#include "agent/hv/xml.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

int64_t domxml_overhead(int64_t mem_bytes, int64_t vcpus, int64_t iothreads, int64_t video_bytes)
{
    return 64 * MIB + 8 * MIB * (vcpus + iothreads) + video_bytes + mem_bytes / 512;
}

static int64_t video_bytes(const xmlNode *domain)
{
    int64_t sum = 0;
    for (xmlNode *v = xml_at(domain, "devices", "video", NULL); v; v = xml_next(v)) {
        const xmlNode *model = xml_child(v, "model");
        cleanup(freep) char *ram = xml_attr(model, "ram");
        cleanup(freep) char *vram = xml_attr(model, "vram");
        /* KiB in the XML; a device that does not say has QEMU's default of 16 MiB */
        int64_t kib = xml_int(ram, 0) + xml_int(vram, 0);
        if (!xml_attr_is(model, "type", "none"))
            sum += kib > 0 && kib < INT32_MAX ? kib * KIB : 16 * MIB;
    }
    return sum;
}

/* libvirt's node sets: "0-3,^2,5". Is n in it? */
static bool in_nodeset(const char *set, int64_t n)
{
    bool found = false;
    cleanup(freep) char *copy = xstrdup(set);
    char *save = NULL;
    for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
        bool without = *part == '^';
        char *dash = strchr(part, '-');
        if (dash)
            *dash = '\0';
        int64_t lo = xml_int(part + (without ? 1 : 0), -1);
        int64_t hi = dash ? xml_int(dash + 1, -1) : lo;
        if (n >= lo && n <= hi)
            found = !without;
    }
    return found;
}

/* Memory of the guest's NUMA cells that are in the node set; all of it when no set is given. */
static int64_t backed_bytes(const xmlNode *domain, const char *nodeset, int64_t all)
{
    if (!nodeset)
        return all;
    int64_t sum = 0, index = 0;
    for (xmlNode *c = xml_at(domain, "cpu", "numa", "cell", NULL); c; c = xml_next(c), index++) {
        cleanup(freep) char *id = xml_attr(c, "id");
        int64_t size = xml_size(c, "memory", "unit");
        if (size > 0 && in_nodeset(nodeset, xml_int(id, index)))
            sum += size;
    }
    /* a guest without NUMA cells counts as one node */
    return index ? sum : all;
}

static void parse_hugepages(const xmlNode *domain, struct vm *vm)
{
    const xmlNode *huge = xml_at(domain, "memoryBacking", "hugepages", NULL);
    if (!huge)
        return;
    const xmlNode *page = xml_child(huge, "page");
    if (!page) {
        /* the host's default size, which only the host knows: size stays 0 */
        vm->hugepage_bytes = vm->mem_bytes;
        return;
    }
    for (; page; page = xml_next(page)) {
        cleanup(freep) char *nodeset = xml_attr(page, "nodeset");
        int64_t size = xml_size(page, "size", "unit");
        /* the model has one size: the largest wins, its pages are the hardest to find */
        if (size > vm->hugepage_size_bytes)
            vm->hugepage_size_bytes = size;
        vm->hugepage_bytes += backed_bytes(domain, nodeset, vm->mem_bytes);
    }
    if (vm->hugepage_bytes > vm->mem_bytes)
        vm->hugepage_bytes = vm->mem_bytes;
}

/* ---- memory bound to NUMA cells of the host ------------------------------------------------------ */

/* The node set of <memory> or <memnode>, if it is bound to it. Gives. */
static char *bound_to(const xmlNode *n)
{
    cleanup(freep) char *mode = xml_attr(n, "mode");
    bool hard = !mode || str_eq(mode, "strict") || str_eq(mode, "restrictive");
    return n && hard ? xml_attr(n, "nodeset") : NULL;
}

/* Is guest cell `id` in huge pages? */
static bool cell_is_huge(const xmlNode *domain, int64_t id)
{
    const xmlNode *huge = xml_at(domain, "memoryBacking", "hugepages", NULL);
    const xmlNode *page = xml_child(huge, "page");
    bool found = huge && !page;
    for (; page && !found; page = xml_next(page)) {
        cleanup(freep) char *set = xml_attr(page, "nodeset");
        found = !set || in_nodeset(set, id);
    }
    return found;
}

static void bind(struct vm *vm, char *cells, int64_t mem, int64_t huge)
{
    for (size_t i = 0; i < vm->n_binds; i++)
        if (str_eq(vm->binds[i].cells, cells)) {
            vm->binds[i].mem_bytes += mem;
            vm->binds[i].hugepage_bytes += huge;
            free(cells);
            return;
        }
    if (vm->n_binds < LIM_NUMA_CELLS && numa_cells(cells))
        *vec_add(&vm->binds, &vm->n_binds) =
            (struct numa_bind){.cells = cells, .mem_bytes = mem, .hugepage_bytes = huge};
    else
        free(cells);
}

static int64_t guest_cell_bytes(const xmlNode *domain, int64_t id)
{
    int64_t index = 0;
    for (xmlNode *c = xml_at(domain, "cpu", "numa", "cell", NULL); c; c = xml_next(c), index++) {
        cleanup(freep) char *own = xml_attr(c, "id");
        int64_t size = xml_size(c, "memory", "unit");
        if (xml_int(own, index) == id)
            return size > 0 ? size : 0;
    }
    return 0;
}

/* Guest cells by <memnode>; the rest of the memory, and QEMU's own, by <memory>. */
static void parse_numatune(const xmlNode *domain, struct vm *vm)
{
    const xmlNode *tune = xml_child(domain, "numatune");
    int64_t rest = vm->mem_bytes, huge = vm->hugepage_bytes;
    for (xmlNode *m = xml_child(tune, "memnode"); m; m = xml_next(m)) {
        cleanup(freep) char *id = xml_attr(m, "cellid");
        int64_t cell = xml_int(id, -1), size = guest_cell_bytes(domain, cell);
        int64_t in_huge = cell_is_huge(domain, cell) ? size : 0;
        if (size > rest || in_huge > huge)
            continue; /* more than there is: not a domain that libvirt made */
        char *cells = bound_to(m);
        rest -= size;
        huge -= in_huge;
        if (cells)
            bind(vm, cells, size, in_huge);
    }
    char *cells = bound_to(xml_child(tune, "memory"));
    if (cells)
        bind(vm, cells, rest + vm->mem_overhead_bytes, huge);
}

static void parse_labels(const xmlNode *element, struct vm *vm)
{
    for (xmlNode *n = xml_child(element, "label"); n; n = xml_next(n)) {
        char *key = xml_attr(n, "key");
        if (!key)
            continue;
        struct label *l = vec_add(&vm->labels, &vm->n_labels);
        l->key = key;
        l->value = xml_attr(n, "value");
        if (!l->value)
            l->value = xstrdup("");
    }
}

static void parse_metadata(const xmlNode *domain, struct vm *vm)
{
    static const struct {
        const char *ns, *name;
    } managers[] = {
        {"http://openstack.org/xmlns/libvirt/nova/", "nova"},
        {"http://ovirt.org/vm/", "ovirt"},
        {"http://opennebula.org/xmlns/", "opennebula"},
        {"http://kubevirt.io", "kubevirt"},
        {"http://cloudstack.apache.org/", "cloudstack"},
    };
    for (xmlNode *n = xml_first(xml_child(domain, "metadata")); n; n = xml_after(n)) {
        const char *ns = n->ns ? (const char *)n->ns->href : NULL;
        if (str_eq(ns, DROVER_METADATA_NS))
            parse_labels(n, vm);
        for (size_t i = 0; ns && !vm->foreign && i < ARRAY_LEN(managers); i++)
            if (str_has_prefix(ns, managers[i].ns))
                vm->foreign = xstrdup(managers[i].name);
    }
}

static int64_t parse_vcpus(const xmlNode *domain)
{
    const xmlNode *n = xml_child(domain, "vcpu");
    cleanup(freep) char *most = xml_text(n);
    cleanup(freep) char *current = xml_attr(n, "current");
    return xml_int(current, xml_int(most, 1));
}

static int parse_domain(const xmlNode *domain, struct vm *vm, struct err *e)
{
    vm->uuid = xml_text(xml_child(domain, "uuid"));
    vm->name = xml_text(xml_child(domain, "name"));
    if (!vm->uuid || !vm->name)
        return err_set(e, -EBADMSG, "domain XML without %s", vm->uuid ? "name" : "uuid");
    vm->mem_bytes = xml_size(xml_child(domain, "memory"), NULL, "unit");
    if (vm->mem_bytes < 0)
        return err_set(e, -EBADMSG, "domain '%s': <memory> missing or not a size", vm->name);
    vm->vcpus = parse_vcpus(domain);
    cleanup(freep) char *iothreads = xml_text(xml_child(domain, "iothreads"));
    vm->mem_overhead_bytes = domxml_overhead(vm->mem_bytes, vm->vcpus, xml_int(iothreads, 0),
                                             video_bytes(domain));
    vm->virt = xml_attr(domain, "type");
    const xmlNode *type = xml_at(domain, "os", "type", NULL);
    vm->arch = xml_attr(type, "arch");
    vm->machine = xml_attr(type, "machine");
    vm->emulator = xml_text(xml_at(domain, "devices", "emulator", NULL));
    vm->cpu_xml = xml_dump(xml_child(domain, "cpu"));
    parse_hugepages(domain, vm);
    parse_numatune(domain, vm);
    parse_metadata(domain, vm);
    if (domxml_devices(domain, vm, e) < 0)
        return err_wrap(e, "domain '%s'", vm->name);
    return 0;
}

int domxml_parse(const char *xml, struct vm *ret, struct err *e)
{
    cleanup(xml_freep) xmlDoc *doc = NULL;
    int r = xml_parse(xml, "domain", &doc, e);
    if (r < 0)
        return r;
    struct vm vm;
    shape_init(&vm_shape, &vm);
    r = parse_domain(xmlDocGetRootElement(doc), &vm, e);
    if (r < 0) {
        shape_done(&vm_shape, &vm);
        return r;
    }
    *ret = vm;
    return 0;
}
