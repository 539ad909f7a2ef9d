/* scheduler/io/xml.h: texts of VMs' XML on their way from an agent to the store.
 * Purpose  the loop thread takes them out of frames, proves that each is what its digest says, and packs
 *          it; the core decides by digests alone; the store gets what the core wants kept.
 * Shapes   packed: zlib, or the text itself when that is no longer (sqlar's format: the sqlite3 shell
 *          unpacks it).
 * Owner    an xml_blob owns what it points to.   Thread any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/wire/msg.h"

struct xml_blob {
    char *digest;
    void *packed;
    size_t n_packed, bytes; /* bytes: of the text */
    bool reported;          /* came with a report, of an older agent: kept unasked */
};
struct xml_blobs {
    struct xml_blob *list;
    size_t n;
};
void xml_blobs_done(struct xml_blobs *b); /* zeroes */

/* Gives *ret_packed. */
size_t xml_pack(const char *text, size_t len, void **ret_packed);
/* NUL-terminated. -EUCLEAN: not what it should be. */
int xml_unpack(const void *packed, size_t n_packed, size_t bytes, char **ret_text, struct err *e);

/* What an older agent reports as texts becomes digests; the texts go to b. */
void xml_of_report(struct report *r, struct xml_blobs *b);
/* Texts go to b and "" is left of each; one that is not what its digest says is left out. Returns how many
 * those were. */
size_t xml_of_answer(struct xml_texts *x, struct xml_blobs *b);
