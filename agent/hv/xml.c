#include "agent/hv/xml.h"

#include <errno.h>
#include <libxml/parser.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

int xml_parse(const char *text, const char *root, xmlDoc **ret, struct err *e)
{
    size_t len = text ? strlen(text) : 0;
    if (len == 0)
        return err_set(e, -EBADMSG, "no XML where <%s> was expected", root);
    if (len > LIM_XML_BYTES)
        return err_set(e, -E2BIG, "<%s> XML is longer than %d bytes", root, LIM_XML_BYTES);
    xmlParserCtxt *ctxt = xmlNewParserCtxt();
    if (!ctxt)
        abort();
    xmlDoc *doc = xmlCtxtReadMemory(ctxt, text, (int)len, NULL, NULL,
                                    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!doc) {
        const xmlError *x = xmlCtxtGetLastError(ctxt);
        err_set(e, -EBADMSG, "malformed <%s> XML, line %d: %s", root, x ? x->line : 0,
                x && x->message ? x->message : "unknown error");
        xmlFreeParserCtxt(ctxt);
        return -EBADMSG;
    }
    xmlFreeParserCtxt(ctxt);
    xmlNode *top = xmlDocGetRootElement(doc);
    if (!top || !str_eq((const char *)top->name, root)) {
        err_set(e, -EBADMSG, "<%s> XML was expected, got <%s>", root,
                top ? (const char *)top->name : "nothing");
        xmlFreeDoc(doc);
        return -EBADMSG;
    }
    *ret = doc;
    return 0;
}

void xml_freep(xmlDoc **doc)
{
    if (*doc)
        xmlFreeDoc(*doc);
}

static xmlNode *element(xmlNode *n)
{
    while (n && n->type != XML_ELEMENT_NODE)
        n = n->next;
    return n;
}

static xmlNode *named(xmlNode *n, const char *name)
{
    for (n = element(n); n; n = element(n->next))
        if (strcmp((const char *)n->name, name) == 0)
            return n;
    return NULL;
}

xmlNode *xml_child(const xmlNode *parent, const char *name)
{
    return parent ? named(parent->children, name) : NULL;
}

xmlNode *xml_at(const xmlNode *node, ...)
{
    va_list ap;
    va_start(ap, node);
    xmlNode *at = NULL;
    const xmlNode *from = node;
    for (const char *name; (name = va_arg(ap, const char *));) {
        at = xml_child(from, name);
        from = at;
        if (!at)
            break;
    }
    va_end(ap);
    return at;
}

xmlNode *xml_next(const xmlNode *node)
{
    return named(node->next, (const char *)node->name);
}

xmlNode *xml_first(const xmlNode *parent)
{
    return parent ? element(parent->children) : NULL;
}

xmlNode *xml_after(const xmlNode *node)
{
    return element(node->next);
}

/* libxml2's allocator is the C library's unless someone replaces it: copy, so that free() is right. */
static char *own(xmlChar *s)
{
    char *copy = xstrdup((const char *)s);
    xmlFree(s);
    return copy;
}

char *xml_attr(const xmlNode *node, const char *name)
{
    return node ? own(xmlGetNoNsProp(node, (const xmlChar *)name)) : NULL;
}

char *xml_text(const xmlNode *node)
{
    if (!node)
        return NULL;
    cleanup(freep) char *raw = own(xmlNodeGetContent(node));
    if (!raw)
        return NULL;
    const char *from = raw + strspn(raw, " \t\r\n");
    size_t len = strlen(from);
    while (len && strchr(" \t\r\n", from[len - 1]))
        len--;
    return len ? xasprintf("%.*s", (int)len, from) : NULL;
}

bool xml_attr_is(const xmlNode *node, const char *name, const char *value)
{
    cleanup(freep) char *v = xml_attr(node, name);
    return v && strcmp(v, value) == 0;
}

int64_t xml_int(const char *text, int64_t otherwise)
{
    if (!text || !*text)
        return otherwise;
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 0);
    return errno || *end ? otherwise : v;
}

int64_t xml_size(const xmlNode *node, const char *attr, const char *unit_attr)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = {
        {"b", 1}, {"bytes", 1}, {"KB", 1000}, {"k", KIB}, {"KiB", KIB},
        {"MB", 1000000}, {"M", MIB}, {"MiB", MIB}, {"GB", 1000000000}, {"G", GIB},
        {"GiB", GIB}, {"TB", INT64_C(1000000000000)}, {"T", 1024 * GIB}, {"TiB", 1024 * GIB},
    };
    cleanup(freep) char *number = attr ? xml_attr(node, attr) : xml_text(node);
    cleanup(freep) char *unit = xml_attr(node, unit_attr);
    int64_t n = xml_int(number, -1);
    if (n < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (str_eq(unit ? unit : "KiB", units[i].unit))
            return n > INT64_MAX / units[i].bytes ? -1 : n * units[i].bytes;
    return -1;
}

char *xml_dump(const xmlNode *node)
{
    if (!node)
        return NULL;
    xmlBuffer *buf = xmlBufferCreate();
    if (!buf)
        abort();
    xmlNodeDump(buf, node->doc, (xmlNode *)(uintptr_t)node, 0, 0);
    char *text = xstrdup((const char *)xmlBufferContent(buf));
    xmlBufferFree(buf);
    return text;
}
