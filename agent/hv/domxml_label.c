/* Labels into the XML that libvirt keeps for us. */
#include <errno.h>
#include <libxml/tree.h>

#include "agent/hv/domxml.h"
#include "agent/hv/xml.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static void drop_label(xmlNode *root, const char *key)
{
    for (xmlNode *n = xml_child(root, "label"), *next; n; n = next) {
        next = xml_next(n);
        if (!xml_attr_is(n, "key", key))
            continue;
        xmlUnlinkNode(n);
        xmlFreeNode(n);
    }
}

int domxml_relabel(const char *old, const struct relabel *r, char **ret, struct err *e)
{
    cleanup(xml_freep) xmlDoc *doc = NULL;
    int rc = xml_parse(old ? old : "<labels/>", "labels", &doc, e);
    if (rc < 0)
        return err_wrap(e, "metadata of " DROVER_METADATA_NS);
    xmlNode *root = xmlDocGetRootElement(doc);
    for (size_t i = 0; i < r->n_drop; i++)
        drop_label(root, r->drop[i]);
    for (size_t i = 0; i < r->n_set; i++) {
        drop_label(root, r->set[i].key);
        xmlNode *n = xmlNewChild(root, NULL, BAD_CAST "label", NULL);
        xmlNewProp(n, BAD_CAST "key", BAD_CAST r->set[i].key);
        xmlNewProp(n, BAD_CAST "value", BAD_CAST r->set[i].value);
    }
    *ret = xml_first(root) ? xml_dump(root) : NULL;
    return 0;
}
