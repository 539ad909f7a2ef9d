/* lib/wire/codec.h: shaped structs to JSON and back (jansson; no sockets).
 * Errors   decode: -EBADMSG with the path of the offending member ("vms[3].disks[0].target: expected
 *          a string"), -E2BIG when a list passes LIM_LIST_ITEMS. Unknown members are ignored (newer
 *          peers add fields); unknown enum words are an error. *obj is untouched on failure.
 * Owner    encode gives a new reference; decode fills an owned struct (shape_done releases it).
 * Thread   any. */
#pragma once

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/model/shape.h"

/* Absent members: NULL strings, empty lists and integers equal to `absent` (when != 0) are left out.
 * Members marked secret are written as is; use codec_encode_public for journal, recorder, API. */
json_t *codec_encode(const struct shape *s, const void *obj);
json_t *codec_encode_public(const struct shape *s, const void *obj);
/* Required members and those that differ from their default: for a reader that refuses what it does
 * not know, and so must not be sent what nobody has asked for. */
json_t *codec_encode_sparse(const struct shape *s, const void *obj);
int codec_decode(const struct shape *s, const json_t *j, void *ret_obj, struct err *e);

/* Has the object only members of s (those of `more`, or NULL, at its top too)? For what people write:
 * -EBADMSG with the path of the first other one and the name that was perhaps meant. */
int codec_known(const struct shape *s, const struct shape *more, const json_t *j, struct err *e);

/* Parse text with depth and size bounds. Gives *ret. */
int codec_parse(const char *text, size_t len, json_t **ret, struct err *e);
/* Compact, keys in table order: same struct, same bytes. Gives (free()). */
char *codec_text(const json_t *j);
char *codec_encode_text(const struct shape *s, const void *obj);
int codec_decode_text(const struct shape *s, const char *text, void *ret_obj, struct err *e);
/* draft-07 JSON schema of a shape. Gives. */
json_t *codec_schema(const struct shape *s);

/* jansson has json_decrefp for cleanup(): cleanup(json_decrefp) json_t *j = NULL; */
