/* agent/hv/xml.h: the few questions Drover asks of an XML tree, over libxml2.
 * Contract Input is never trusted: no network, no entity expansion, bounded size.
 * Owner    strings are given (free()); nodes are borrowed from their document.
 * Errors   xml_parse: -EBADMSG with line and libxml2's words, -E2BIG.   Thread any. */
#pragma once

#include <libxml/tree.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

/* Parse text; the root must be called root. Gives *ret (xml_freep). */
int xml_parse(const char *text, const char *root, xmlDoc **ret, struct err *e);
void xml_freep(xmlDoc **doc);

/* The first child element of that name, NULL if there is none or parent is NULL. */
xmlNode *xml_child(const xmlNode *parent, const char *name);
/* The element at a path of names below node: xml_at(disk, "source", "address", NULL). */
xmlNode *xml_at(const xmlNode *node, ...) __attribute__((sentinel));
/* The next sibling element of the same name. */
xmlNode *xml_next(const xmlNode *node);
/* The first child element of any name, and the next sibling element. */
xmlNode *xml_first(const xmlNode *parent);
xmlNode *xml_after(const xmlNode *node);

char *xml_attr(const xmlNode *node, const char *name); /* NULL if absent or node is NULL */
char *xml_text(const xmlNode *node);                   /* trimmed; NULL if node is NULL or empty */
bool xml_attr_is(const xmlNode *node, const char *name, const char *value);
int64_t xml_int(const char *text, int64_t otherwise);  /* decimal or 0x...; text may be NULL */
/* A size with libvirt's units ("KiB" when absent), as its documentation of <memory> defines them;
 * from the text of the node, or of attribute attr with unit in attribute unit_attr. -1 if absent. */
int64_t xml_size(const xmlNode *node, const char *attr, const char *unit_attr);
char *xml_dump(const xmlNode *node); /* the element as text; NULL if node is NULL */
