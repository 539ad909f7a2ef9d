#include "lib/wire/codec.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* ---- where we are in a document, for messages ------------------------------------------------ */
struct path {
    const struct path *up;
    const char *name; /* NULL: element idx of the list above */
    size_t idx;
};

static size_t path_render(const struct path *p, char *buf, size_t size)
{
    if (!p)
        return 0;
    size_t at = path_render(p->up, buf, size);
    int n = p->name ? snprintf(buf + at, size - at, "%s%s", at ? "." : "", p->name)
                    : snprintf(buf + at, size - at, "[%zu]", p->idx);
    at += n > 0 ? (size_t)n : 0;
    return at < size ? at : size - 1;
}

static int bad(struct err *e, int code, const struct path *p, const char *what)
{
    char where[256] = "";
    path_render(p, where, sizeof(where));
    return where[0] ? err_set(e, code, "%s: %s", where, what) : err_set(e, code, "%s", what);
}

/* ---- encode ---------------------------------------------------------------------------------- */
static const void *at(const struct shape_field *f, const void *obj)
{
    return (const char *)obj + f->off;
}

static size_t count(const struct shape_field *f, const void *obj)
{
    return *(const size_t *)(const void *)((const char *)obj + f->n_off);
}

/* JSON is UTF-8 and nothing else, but error texts of libvirt and Ceph come in any encoding or are
 * cut in mid-character: each byte that is part of no character becomes '?'. */
static json_t *text(const char *s)
{
    json_t *j = json_string(s ? s : "");
    if (j)
        return j;
    size_t len = strlen(s), i = 0;
    cleanup(freep) char *clean = xstrdup(s);
    while (i < len) {
        size_t n = 1;
        json_t *probe = NULL;
        for (; n <= 4 && i + n <= len && !probe; n++)
            probe = json_stringn(s + i, n);
        if (!probe)
            clean[i++] = '?';
        else
            i += n - 1;
        json_decref(probe);
    }
    j = json_string(clean);
    assert(j);
    return j;
}

enum how { WHOLE, PUBLIC, SPARSE };

static json_t *encode(const struct shape *s, const void *obj, enum how how);

/* An embedded struct that says nothing is left out: it may have required members. */
static bool is_blank(const struct shape *s, const void *obj)
{
    cleanup(freep) void *blank = xcalloc(1, s->size);
    if (shape_equal(s, obj, blank))
        return true;
    shape_init(s, blank);
    return shape_equal(s, obj, blank);
}

static json_t *encode_list(const struct shape_field *f, const void *obj, enum how how)
{
    size_t n = count(f, obj);
    if (!n)
        return NULL;
    const void *list = *(const void *const *)at(f, obj);
    json_t *j = json_array();
    assert(j && list);
    for (size_t i = 0; i < n; i++) {
        json_t *item = f->kind == SK_LIST
                           ? encode(f->sub, (const char *)list + i * f->sub->size, how)
                           : text(((char *const *)list)[i]);
        int r = json_array_append_new(j, item);
        assert(r == 0);
    }
    return j;
}

/* NULL: the member is left out. */
static json_t *encode_field(const struct shape_field *f, const void *obj, enum how how)
{
    const void *p = at(f, obj);
    bool sparse = how == SPARSE && !f->required;
    switch (f->kind) {
    case SK_INT: {
        int64_t v = *(const int64_t *)p;
        return v == f->absent && (sparse || f->absent != 0) ? NULL : json_integer(v);
    }
    case SK_BOOL:
        return sparse && !*(const bool *)p ? NULL : json_boolean(*(const bool *)p);
    case SK_ENUM: {
        int v = *(const int *)p;
        assert(v >= 0 && (size_t)v < f->n_names);
        return sparse && !v ? NULL : text(f->names[v]);
    }
    case SK_STR: {
        const char *s = *(char *const *)p;
        return s ? text(s) : NULL;
    }
    case SK_OBJ:
        return is_blank(f->sub, p) ? NULL : encode(f->sub, p, how);
    case SK_LIST:
    case SK_STRS:
        return encode_list(f, obj, how);
    }
    assert(!"shape kind");
    return NULL;
}

static json_t *encode(const struct shape *s, const void *obj, enum how how)
{
    json_t *j = json_object();
    assert(j);
    for (size_t k = 0; k < s->n; k++) {
        const struct shape_field *f = &s->fields[k];
        if (how == PUBLIC && f->secret)
            continue;
        json_t *v = encode_field(f, obj, how);
        if (!v)
            continue;
        int r = json_object_set_new_nocheck(j, f->name, v);
        assert(r == 0);
    }
    return j;
}

json_t *codec_encode(const struct shape *s, const void *obj)
{
    return encode(s, obj, WHOLE);
}

json_t *codec_encode_public(const struct shape *s, const void *obj)
{
    return encode(s, obj, PUBLIC);
}

json_t *codec_encode_sparse(const struct shape *s, const void *obj)
{
    return encode(s, obj, SPARSE);
}

/* ---- decode ---------------------------------------------------------------------------------- */
static int decode(const struct shape *s, const json_t *j, void *obj, const struct path *p,
                  struct err *e);

/* vec_add expects a capacity of the next power of two. */
static size_t capacity(size_t n)
{
    size_t cap = 1;
    while (cap < n)
        cap *= 2;
    return cap;
}

static int decode_list(const struct shape_field *f, const json_t *j, char *obj,
                       const struct path *p, struct err *e)
{
    if (!json_is_array(j))
        return bad(e, -EBADMSG, p, "expected a list");
    size_t n = json_array_size(j), size = f->kind == SK_LIST ? f->sub->size : sizeof(char *);
    if (n > LIM_LIST_ITEMS) {
        char what[80];
        snprintf(what, sizeof(what), "%zu items, the limit is %d", n, LIM_LIST_ITEMS);
        return bad(e, -E2BIG, p, what);
    }
    if (!n)
        return 0;
    char *list = xcalloc(capacity(n), size);
    *(void **)(void *)(obj + f->off) = list;
    size_t *ret_n = (size_t *)(void *)(obj + f->n_off);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(j, i);
        struct path here = {p, NULL, i};
        *ret_n = i + 1; /* shape_done of the caller releases a half-decoded element too */
        if (f->kind == SK_LIST) {
            int r = decode(f->sub, item, list + i * size, &here, e);
            if (r < 0)
                return r;
        } else if (json_is_string(item)) {
            ((char **)(void *)list)[i] = xstrdup(json_string_value(item));
        } else {
            return bad(e, -EBADMSG, &here, "expected a string");
        }
    }
    return 0;
}

static int decode_enum(const struct shape_field *f, const json_t *j, int *ret, const struct path *p,
                       struct err *e)
{
    if (!json_is_string(j))
        return bad(e, -EBADMSG, p, "expected a word");
    const char *word = json_string_value(j);
    for (size_t i = 0; i < f->n_names; i++)
        if (str_eq(word, f->names[i])) {
            *ret = (int)i;
            return 0;
        }
    char what[200];
    const char *near = str_did_you_mean(word, f->names, f->n_names);
    snprintf(what, sizeof(what),
             near ? "unknown word \"%.64s\"; did you mean \"%s\"?" : "unknown word \"%.64s\"", word,
             near);
    return bad(e, -EBADMSG, p, what);
}

static int decode_field(const struct shape_field *f, const json_t *j, char *obj,
                        const struct path *p, struct err *e)
{
    void *at_obj = obj + f->off;
    switch (f->kind) {
    case SK_INT:
        if (!json_is_integer(j))
            return bad(e, -EBADMSG, p, "expected an integer");
        *(int64_t *)at_obj = json_integer_value(j);
        return 0;
    case SK_BOOL:
        if (!json_is_boolean(j))
            return bad(e, -EBADMSG, p, "expected true or false");
        *(bool *)at_obj = json_is_true(j);
        return 0;
    case SK_ENUM:
        return decode_enum(f, j, at_obj, p, e);
    case SK_STR:
        if (!json_is_string(j))
            return bad(e, -EBADMSG, p, "expected a string");
        *(char **)at_obj = xstrdup(json_string_value(j));
        return 0;
    case SK_OBJ:
        return decode(f->sub, j, at_obj, p, e);
    case SK_LIST:
    case SK_STRS:
        return decode_list(f, j, obj, p, e);
    }
    assert(!"shape kind");
    return -EINVAL;
}

/* obj is zeroed memory or an initialised embedded struct; on failure the caller's shape_done
 * releases what was filled. */
static int decode(const struct shape *s, const json_t *j, void *obj, const struct path *p,
                  struct err *e)
{
    shape_init(s, obj);
    if (!json_is_object(j))
        return bad(e, -EBADMSG, p, "expected an object");
    for (size_t k = 0; k < s->n; k++) {
        const struct shape_field *f = &s->fields[k];
        struct path here = {p, f->name, 0};
        const json_t *v = json_object_get(j, f->name);
        if (!v || json_is_null(v)) {
            if (f->required)
                return bad(e, -EBADMSG, &here, "is missing");
            continue;
        }
        int r = decode_field(f, v, obj, &here, e);
        if (r < 0)
            return r;
    }
    return 0;
}

int codec_decode(const struct shape *s, const json_t *j, void *ret_obj, struct err *e)
{
    cleanup(freep) void *tmp = xcalloc(1, s->size);
    int r = decode(s, j, tmp, NULL, e);
    if (r < 0) {
        shape_done(s, tmp);
        return r;
    }
    memcpy(ret_obj, tmp, s->size);
    return 0;
}

/* ---- strictness ------------------------------------------------------------------------------ */
static const struct shape_field *field_of(const struct shape *s, const char *name)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (str_eq(s->fields[i].name, name))
            return &s->fields[i];
    return NULL;
}

static int unknown_member(const struct shape *s, const struct shape *more, const struct path *p,
                          struct err *e)
{
    size_t n = 0;
    cleanup(freep) const char **names = xcalloc(s->n + (more ? more->n : 0), sizeof(*names));
    for (size_t i = 0; i < s->n; i++)
        names[n++] = s->fields[i].name;
    for (size_t i = 0; more && i < more->n; i++)
        names[n++] = more->fields[i].name;
    const char *near = str_did_you_mean(p->name, names, n);
    cleanup(freep) char *what =
        near ? xasprintf("unknown member; did you mean \"%s\"?", near) : xstrdup("unknown member");
    return bad(e, -EBADMSG, p, what);
}

static int known(const struct shape *s, const struct shape *more, const json_t *j,
                 const struct path *p, struct err *e)
{
    const char *key;
    json_t *v, *item;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)j, key, v)
    {
        const struct path here = {p, key, 0};
        const struct shape_field *f = field_of(s, key);
        int r = 0;
        if (!f && !field_of(more, key))
            return unknown_member(s, more, &here, e);
        if (f && f->kind == SK_OBJ)
            r = known(f->sub, NULL, v, &here, e);
        if (f && f->kind == SK_LIST)
            json_array_foreach(v, i, item)
            {
                const struct path at_item = {&here, NULL, i};
                r = r < 0 ? r : known(f->sub, NULL, item, &at_item, e);
            }
        if (r < 0)
            return r;
    }
    return 0;
}

int codec_known(const struct shape *s, const struct shape *more, const json_t *j, struct err *e)
{
    return known(s, more, j, NULL, e);
}

/* ---- text ------------------------------------------------------------------------------------ */
static bool too_deep(const json_t *j, int left)
{
    if (!json_is_object(j) && !json_is_array(j))
        return false;
    if (left == 0)
        return true;
    const char *key;
    json_t *v;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)j, key, v)
    {
        if (too_deep(v, left - 1))
            return true;
    }
    json_array_foreach(j, i, v)
    {
        if (too_deep(v, left - 1))
            return true;
    }
    return false;
}

int codec_parse(const char *text_, size_t len, json_t **ret, struct err *e)
{
    if (len > LIM_FRAME_BYTES)
        return err_set(e, -E2BIG, "%zu bytes of JSON, the limit is %d", len, LIM_FRAME_BYTES);
    json_error_t je;
    /* jansson itself stops at depth 2048, so the walk below cannot be made to recurse far */
    json_t *j = json_loadb(text_, len, JSON_REJECT_DUPLICATES, &je);
    if (!j)
        return err_set(e, -EBADMSG, "not JSON: line %d column %d: %s", je.line, je.column, je.text);
    if (too_deep(j, LIM_JSON_DEPTH)) {
        json_decref(j);
        return err_set(e, -E2BIG, "JSON nested deeper than %d", LIM_JSON_DEPTH);
    }
    *ret = j;
    return 0;
}

char *codec_text(const json_t *j)
{
    char *s = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
    assert(s);
    return s;
}

char *codec_encode_text(const struct shape *s, const void *obj)
{
    cleanup(json_decrefp) json_t *j = codec_encode(s, obj);
    return codec_text(j);
}

int codec_decode_text(const struct shape *s, const char *text_, void *ret_obj, struct err *e)
{
    cleanup(json_decrefp) json_t *j = NULL;
    int r = codec_parse(text_, strlen(text_), &j, e);
    return r < 0 ? r : codec_decode(s, j, ret_obj, e);
}

/* ---- schema ---------------------------------------------------------------------------------- */
static json_t *schema_of(const struct shape *s);

static json_t *schema_field(const struct shape_field *f)
{
    switch (f->kind) {
    case SK_INT:
        return json_pack("{s:s}", "type", "integer");
    case SK_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case SK_STR:
        return json_pack("{s:s}", "type", "string");
    case SK_OBJ:
        return schema_of(f->sub);
    case SK_ENUM: {
        json_t *words = json_array();
        for (size_t i = 0; i < f->n_names; i++)
            json_array_append_new(words, text(f->names[i]));
        return json_pack("{s:s,s:o}", "type", "string", "enum", words);
    }
    case SK_STRS:
        return json_pack("{s:s,s:i,s:{s:s}}", "type", "array", "maxItems", LIM_LIST_ITEMS, "items",
                         "type", "string");
    case SK_LIST:
        return json_pack("{s:s,s:i,s:o}", "type", "array", "maxItems", LIM_LIST_ITEMS, "items",
                         schema_of(f->sub));
    }
    assert(!"shape kind");
    return NULL;
}

static json_t *schema_of(const struct shape *s)
{
    json_t *props = json_object(), *req = json_array();
    for (size_t k = 0; k < s->n; k++) {
        json_object_set_new_nocheck(props, s->fields[k].name, schema_field(&s->fields[k]));
        if (s->fields[k].required)
            json_array_append_new(req, text(s->fields[k].name));
    }
    json_t *j = json_pack("{s:s,s:o}", "type", "object", "properties", props);
    assert(j);
    if (json_array_size(req))
        json_object_set_new(j, "required", req);
    else
        json_decref(req);
    return j;
}

json_t *codec_schema(const struct shape *s)
{
    json_t *j =
        json_pack("{s:s,s:s#}", "$schema", "http://json-schema.org/draft-07/schema#", "title",
                  s->name, (int)(strlen(s->name) - (strlen(s->name) > 6 ? strlen("_shape") : 0)));
    cleanup(json_decrefp) json_t *body = schema_of(s);
    json_object_update(j, body);
    return j;
}
