#include "agent/hv/capxml.h"

#include <errno.h>

#include "agent/hv/xml.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static void add_once(char ***list, size_t *n, char *s)
{
    if (!s || *n >= LIM_LIST_ITEMS || str_in(s, *list, *n)) {
        free(s);
        return;
    }
    *vec_add(list, n) = s;
}

static void add_machines(const xmlNode *from, struct host *h)
{
    for (xmlNode *m = xml_child(from, "machine"); m; m = xml_next(m)) {
        add_once(&h->machines, &h->n_machines, xml_attr(m, "canonical"));
        add_once(&h->machines, &h->n_machines, xml_text(m));
    }
}

/* Pages of the size that the kernel gives by default; that of 4 KiB is no huge page. */
static int64_t huge_bytes(const xmlNode *cell, int64_t size)
{
    for (xmlNode *p = xml_child(cell, "pages"); p; p = xml_next(p)) {
        cleanup(freep) char *count = xml_text(p);
        int64_t n = xml_int(count, 0);
        if (size > 4 * KIB && xml_size(p, "size", "unit") == size && n > 0 && n < INT64_MAX / size)
            return n * size;
    }
    return 0;
}

static void parse_cells(const xmlNode *host, struct host *h)
{
    free(h->cells);
    h->cells = NULL;
    h->n_cells = 0;
    for (xmlNode *c = xml_at(host, "topology", "cells", "cell", NULL);
         c && h->n_cells < LIM_NUMA_CELLS; c = xml_next(c)) {
        cleanup(freep) char *id = xml_attr(c, "id");
        cleanup(freep) char *cpus = xml_attr(xml_child(c, "cpus"), "num");
        int64_t n = xml_int(id, -1);
        if (n < 0)
            continue;
        *vec_add(&h->cells, &h->n_cells) =
            (struct host_cell){.id = n,
                               .mem_bytes = xml_size(xml_child(c, "memory"), NULL, "unit"),
                               .cpus = xml_int(cpus, -1),
                               .hugepage_bytes = huge_bytes(c, h->hugepage_size_bytes),
                               .mem_free_bytes = -1,
                               .hugepage_free_bytes = -1};
    }
}

int capxml_host(const char *xml, struct host *h, struct err *e)
{
    cleanup(xml_freep) xmlDoc *doc = NULL;
    int r = xml_parse(xml, "capabilities", &doc, e);
    if (r < 0)
        return r;
    const xmlNode *top = xmlDocGetRootElement(doc);
    const xmlNode *host = xml_child(top, "host");
    free(h->host_uuid);
    free(h->arch);
    h->host_uuid = xml_text(xml_child(host, "uuid"));
    h->arch = xml_text(xml_at(host, "cpu", "arch", NULL));
    parse_cells(host, h);
    for (xmlNode *g = xml_child(top, "guest"); g; g = xml_next(g)) {
        cleanup(freep) char *os_type = xml_text(xml_child(g, "os_type"));
        const xmlNode *arch = xml_child(g, "arch");
        if (!str_eq(os_type, "hvm") || !h->arch || !xml_attr_is(arch, "name", h->arch))
            continue;
        add_machines(arch, h);
        for (xmlNode *d = xml_child(arch, "domain"); d; d = xml_next(d)) {
            add_once(&h->virts, &h->n_virts, xml_attr(d, "type"));
            add_machines(d, h);
        }
    }
    return 0;
}

int capxml_domcaps_cpu(const char *xml, struct host *h, struct err *e)
{
    cleanup(xml_freep) xmlDoc *doc = NULL;
    int r = xml_parse(xml, "domainCapabilities", &doc, e);
    if (r < 0)
        return r;
    xmlNode *mode = xml_at(xmlDocGetRootElement(doc), "cpu", "mode", NULL);
    while (mode && !(xml_attr_is(mode, "name", "host-model") && xml_attr_is(mode, "supported", "yes")))
        mode = xml_next(mode);
    if (!mode)
        return 0;
    /* the element's children are those of a <cpu mode='custom'>: rename it in place */
    xmlNodeSetName(mode, (const xmlChar *)"cpu");
    xmlUnsetProp(mode, (const xmlChar *)"name");
    xmlUnsetProp(mode, (const xmlChar *)"supported");
    xmlSetProp(mode, (const xmlChar *)"mode", (const xmlChar *)"custom");
    free(h->cpu_xml);
    h->cpu_xml = xml_dump(mode);
    return 0;
}
