#include "scheduler/io/xml.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/sha256.h"

void xml_blobs_done(struct xml_blobs *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free(b->list[i].digest);
        free(b->list[i].packed);
    }
    free(b->list);
    *b = (struct xml_blobs){0};
}

size_t xml_pack(const char *text, size_t len, void **ret_packed)
{
    uLongf n = compressBound(len);
    void *buf = xcalloc(1, n);
    if (compress2(buf, &n, (const Bytef *)text, len, Z_BEST_SPEED) != Z_OK)
        abort(); /* out of memory: the room is enough */
    if (n >= len) {
        memcpy(buf, text, len);
        n = len;
    }
    *ret_packed = xrealloc(buf, n ? n : 1, 1);
    return n;
}

int xml_unpack(const void *packed, size_t n_packed, size_t bytes, char **ret_text, struct err *e)
{
    if (bytes > LIM_XML_BYTES || n_packed > bytes)
        return err_set(e, -EUCLEAN, "%zu bytes packed as %zu", bytes, n_packed);
    cleanup(freep) char *text = xcalloc(1, bytes + 1);
    uLongf n = bytes;
    if (n_packed == bytes)
        memcpy(text, packed, bytes);
    else if (uncompress((Bytef *)text, &n, packed, n_packed) != Z_OK || n != bytes)
        return err_set(e, -EUCLEAN, "%zu bytes cannot be unpacked", n_packed);
    *ret_text = take(text);
    return 0;
}

static void add(struct xml_blobs *b, const char *digest, const char *text, bool reported)
{
    struct xml_blob *x = vec_add(&b->list, &b->n);
    x->digest = xstrdup(digest);
    x->bytes = strlen(text);
    x->n_packed = xml_pack(text, x->bytes, &x->packed);
    x->reported = reported;
}

static void named(char **text, char **digest, struct xml_blobs *b)
{
    if (!*text)
        return;
    free(*digest);
    *digest = sha256_of(*text);
    add(b, *digest, *text, true);
    free(take(*text));
}

void xml_of_report(struct report *r, struct xml_blobs *b)
{
    for (size_t i = 0; i < r->n_vms; i++) {
        named(&r->vms[i].xml, &r->vms[i].xml_digest, b);
        named(&r->vms[i].xml_inactive, &r->vms[i].xml_inactive_digest, b);
    }
}

size_t xml_of_answer(struct xml_texts *x, struct xml_blobs *b)
{
    size_t bad = 0;
    for (size_t i = 0; i < x->n_texts; i++) {
        struct xml_text *t = &x->texts[i];
        if (!t->text)
            continue;
        cleanup(freep) char *really = sha256_of(t->text);
        bool good = str_eq(really, t->digest);
        bad += !good;
        if (good)
            add(b, t->digest, t->text, false);
        free(t->text);
        t->text = good ? xstrdup("") : NULL;
    }
    return bad;
}
