/* lib/model/shape.h: structs that describe themselves.
 * Purpose  One table per struct (see the *.c beside each model header) drives JSON encoding and
 *          decoding (lib/wire/codec.h), deep copy, release, comparison and the published schema, so
 *          a field is written down once.
 * Shapes   members are int64_t (SK_INT), bool, enum as int (SK_ENUM), char * (SK_STR, NULL = absent),
 *          embedded struct (SK_OBJ), pointer+count (SK_LIST of structs, SK_STRS of char *).
 * Owner    a shaped struct owns all it points to.   Thread any.   PURE. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum shape_kind { SK_INT, SK_BOOL, SK_ENUM, SK_STR, SK_OBJ, SK_LIST, SK_STRS };

struct shape;
struct shape_field {
    const char *name;
    enum shape_kind kind;
    bool required;            /* decoding fails when it is missing */
    bool secret;              /* never written to journal, recorder or logs */
    size_t off, n_off;        /* of the member; of its size_t count for lists */
    const struct shape *sub;  /* SK_OBJ, SK_LIST */
    const char *const *names; /* SK_ENUM: value i is spelled names[i] */
    size_t n_names;
    int64_t absent;           /* SK_INT: value when missing (e.g. -1 = unknown) */
};
struct shape {
    const char *name;
    size_t size;
    const struct shape_field *fields;
    size_t n;
};

/* offsetof that does not compile when the member has another size than its kind: an `int` under SF_INT
 * would be read and written with the bytes after it. */
#define SHAPE_SIZED(T, m, as)                                                                      \
    (offsetof(T, m) + 0 * sizeof(char[sizeof(((T *)0)->m) == sizeof(as) ? 1 : -1]))

/* Table entries. T is the struct tag's type, m the member; the JSON name is the member's name. */
#define SF_INT(T, m) {.name = #m, .kind = SK_INT, .off = SHAPE_SIZED(T, m, int64_t)}
#define SF_INT_OR(T, m, dflt)                                                                      \
    {.name = #m, .kind = SK_INT, .off = SHAPE_SIZED(T, m, int64_t), .absent = (dflt)}
#define SF_INT_REQ(T, m)                                                                           \
    {.name = #m, .kind = SK_INT, .off = SHAPE_SIZED(T, m, int64_t), .required = true}
#define SF_BOOL(T, m) {.name = #m, .kind = SK_BOOL, .off = SHAPE_SIZED(T, m, bool)}
#define SF_STR(T, m) {.name = #m, .kind = SK_STR, .off = SHAPE_SIZED(T, m, char *)}
#define SF_STR_REQ(T, m)                                                                           \
    {.name = #m, .kind = SK_STR, .off = SHAPE_SIZED(T, m, char *), .required = true}
#define SF_ENUM(T, m, tab)                                                                         \
    {.name = #m, .kind = SK_ENUM, .off = SHAPE_SIZED(T, m, int), .names = (tab),                  \
     .n_names = sizeof(tab) / sizeof((tab)[0])}
/* Required: for members whose silence would be read as a fact (the first word of the enum). */
#define SF_ENUM_REQ(T, m, tab)                                                                     \
    {.name = #m, .kind = SK_ENUM, .off = SHAPE_SIZED(T, m, int), .names = (tab),                  \
     .n_names = sizeof(tab) / sizeof((tab)[0]), .required = true}
#define SF_BOOL_REQ(T, m)                                                                          \
    {.name = #m, .kind = SK_BOOL, .off = SHAPE_SIZED(T, m, bool), .required = true}
#define SF_OBJ(T, m, shp) {.name = #m, .kind = SK_OBJ, .off = offsetof(T, m), .sub = (shp)}
#define SF_LIST(T, m, shp)                                                                         \
    {.name = #m, .kind = SK_LIST, .off = offsetof(T, m), .n_off = offsetof(T, n_##m), .sub = (shp)}
#define SF_STRS(T, m)                                                                              \
    {.name = #m, .kind = SK_STRS, .off = offsetof(T, m), .n_off = offsetof(T, n_##m)}
#define SHAPE(ident, T, ...)                                                                       \
    static const struct shape_field ident##_fields[] = {__VA_ARGS__};                              \
    const struct shape ident = {#ident, sizeof(T), ident##_fields,                                 \
                                sizeof(ident##_fields) / sizeof(ident##_fields[0])}

/* Release what obj points to and zero it. Accepts zeroed structs. */
void shape_done(const struct shape *s, void *obj);
/* Deep copy. dst is overwritten (not released first). */
void shape_copy(const struct shape *s, void *dst, const void *src);
bool shape_equal(const struct shape *s, const void *a, const void *b);
/* Defaults: zero, and `absent` for integers. */
void shape_init(const struct shape *s, void *obj);
