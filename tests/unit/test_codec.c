#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "lib/wire/msg.h"
#include "tests/unit/fill.h"

static const struct shape *const shapes[] = {
#define X(e, token, body) &body##_shape,
    MSGS(X)
#undef X
        & label_shape,
    &disk_shape,
    &nic_shape,
    &hostdev_shape,
    &vm_shape,
    &secret_shape,
    &host_shape,
    &ceph_client_shape,
    &image_fact_shape,
    &reason_shape,
    &check_item_shape,
    &verdict_shape,
};

static void round_trip(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 7);
    for (size_t k = 0; k < ARRAY_LEN(shapes); k++) {
        for (int i = 0; i < 50; i++) {
            cleanup(freep) void *a = xcalloc(1, shapes[k]->size), *b = xcalloc(1, shapes[k]->size);
            struct err e;
            fill(shapes[k], a, &r);
            cleanup(freep) char *text = codec_encode_text(shapes[k], a);
            if (codec_decode_text(shapes[k], text, b, &e) < 0)
                fail_msg("%s: %s\n%s", shapes[k]->name, e.msg, text);
            cleanup(freep) char *again = codec_encode_text(shapes[k], b);
            assert_string_equal(text, again);
            if (!shape_equal(shapes[k], a, b))
                fail_msg("%s differs after %s", shapes[k]->name, text);
            shape_done(shapes[k], a);
            shape_done(shapes[k], b);
        }
    }
}

/* Decode text as s; assert code and message. */
static void refused(const struct shape *s, const char *text, int code, const char *msg)
{
    cleanup(freep) char *obj = xcalloc(1, s->size);
    cleanup(freep) char *before = xcalloc(1, s->size);
    struct err e = {0};
    memset(obj, 0x5a, s->size);
    memset(before, 0x5a, s->size);
    assert_int_equal(codec_decode_text(s, text, obj, &e), code);
    assert_int_equal(e.code, code);
    assert_memory_equal(obj, before, s->size); /* untouched on failure */
    if (!strstr(e.msg, msg))
        fail_msg("'%s' lacks '%s'", e.msg, msg);
}

static void errors_name_the_path(void **state)
{
    (void)state;
    refused(&vm_shape, "{\"uuid\":\"u\"}", -EBADMSG, "name: is missing");
    refused(&vm_shape, "{\"uuid\":\"u\",\"name\":\"n\"}", -EBADMSG, "state: is missing");
    refused(&vm_shape, "{\"uuid\":\"u\",\"name\":null}", -EBADMSG, "name: is missing");
    refused(&vm_shape, "{\"uuid\":\"u\",\"name\":7}", -EBADMSG, "name: expected a string");
    refused(&vm_shape,
            "{\"uuid\":\"u\",\"name\":\"n\",\"state\":\"running\",\"disks\":[{\"target\":\"vda\","
            "\"kind\":\"rbd\"},{\"target\":1}]}",
            -EBADMSG, "disks[1].target: expected a string");
    refused(&vm_shape, "{\"uuid\":\"u\",\"name\":\"n\",\"state\":\"running\",\"disks\":[7]}",
            -EBADMSG, "disks[0]: expected an object");
    refused(&vm_shape, "{\"uuid\":\"u\",\"name\":\"n\",\"state\":\"running\",\"disks\":{}}",
            -EBADMSG, "disks: expected a list");
    refused(&vm_shape,
            "{\"uuid\":\"u\",\"name\":\"n\",\"state\":\"running\",\"host_files\":[\"a\",1]}",
            -EBADMSG, "host_files[1]: expected a string");
    refused(&vm_shape, "{\"uuid\":\"u\",\"name\":\"n\",\"state\":\"running\",\"vcpus\":1.5}",
            -EBADMSG, "vcpus: expected an integer");
    refused(&vm_shape, "{\"uuid\":\"u\",\"name\":\"n\",\"state\":\"running\",\"autostart\":1}",
            -EBADMSG, "autostart: expected true or false");
    refused(&vm_shape, "{\"uuid\":\"u\",\"name\":\"n\",\"state\":\"runing\"}", -EBADMSG,
            "state: unknown word \"runing\"; did you mean \"running\"?");
    refused(&report_shape,
            "{\"seq\":1,\"vms\":[{\"uuid\":\"u\",\"name\":\"n\",\"state\":\"running\",\"disks\":[{}"
            "]}]}",
            -EBADMSG, "vms[0].disks[0].target: is missing");
    refused(&vm_shape, "[]", -EBADMSG, "expected an object");
    refused(&vm_shape, "{\"uuid\":\"u\",\"uuid\":\"v\",\"name\":\"n\"}", -EBADMSG, "duplicate");
    refused(&vm_shape, "{\"uuid\":\"u\",\"name\":\"a\\u0000b\"}", -EBADMSG, "not JSON");
    refused(&vm_shape,
            "{\"uuid\":\"u\",\"name\":\"n\",\"state\":\"running\",\"vcpus\":99999999999999999999}",
            -EBADMSG, "big");
    refused(&vm_shape, "{", -EBADMSG, "line 1 column 1");
    refused(&vm_shape, "{} x", -EBADMSG, "not JSON");
}

static char *nested(size_t depth)
{
    char *s = xcalloc(2 * depth + 1, 1);
    memset(s, '[', depth);
    memset(s + depth, ']', depth);
    return s;
}

static void depth_is_limited(void **state)
{
    (void)state;
    static const size_t bad[] = {LIM_JSON_DEPTH + 1, 100, 2000, 100000, 1000000};
    struct err e;
    json_t *j = NULL;
    cleanup(freep) char *good = nested(LIM_JSON_DEPTH);
    assert_int_equal(codec_parse(good, strlen(good), &j, &e), 0);
    json_decref(j);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        cleanup(freep) char *s = nested(bad[i]);
        j = NULL;
        assert_true(codec_parse(s, strlen(s), &j, &e) < 0);
        assert_null(j);
    }
    cleanup(freep) char *s = nested(LIM_JSON_DEPTH + 1);
    assert_int_equal(codec_parse(s, strlen(s), &j, &e), -E2BIG);
}

static void lists_are_limited(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        size_t n = LIM_LIST_ITEMS + (size_t)over;
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(list, json_string("u"));
        cleanup(json_decrefp) json_t *j = json_pack("{s:i,s:o}", "seq", 1, "gone", list);
        struct report rep;
        struct err e;
        int r = codec_decode(&report_shape, j, &rep, &e);
        assert_int_equal(r, over ? -E2BIG : 0);
        if (over)
            assert_non_null(strstr(e.msg, "gone: 8193 items, the limit is 8192"));
        else
            shape_done(&report_shape, &rep);
    }
    cleanup(freep) char *big = xcalloc(LIM_FRAME_BYTES + 2, 1);
    memset(big, ' ', LIM_FRAME_BYTES + 1);
    json_t *j;
    assert_int_equal(codec_parse(big, LIM_FRAME_BYTES + 1, &j, NULL), -E2BIG);
}

/* A decoded list takes vec_add, as one built by it does. */
static void decoded_lists_can_grow(void **state)
{
    (void)state;
    struct report rep;
    assert_int_equal(
        codec_decode_text(&report_shape, "{\"seq\":1,\"gone\":[\"a\",\"b\",\"c\"]}", &rep, NULL),
        0);
    for (int i = 0; i < 9; i++)
        *vec_add(&rep.gone, &rep.n_gone) = xstrdup("more");
    assert_int_equal(rep.n_gone, 12);
    assert_string_equal(rep.gone[2], "c");
    shape_done(&report_shape, &rep);
}

static void absent_means_unknown(void **state)
{
    (void)state;
    struct host h;
    assert_int_equal(
        codec_decode_text(&host_shape, "{\"name\":\"h1\",\"future\":{\"x\":[1]}}", &h, NULL), 0);
    assert_int_equal(h.clock_skew_us, -1);
    assert_int_equal(h.mem_bytes, -1);
    assert_null(h.rack);
    cleanup(freep) char *text = codec_encode_text(&host_shape, &h);
    assert_null(strstr(text, "clock_skew_us"));
    h.clock_skew_us = 0; /* zero is a measurement */
    cleanup(freep) char *zero = codec_encode_text(&host_shape, &h);
    assert_non_null(strstr(zero, "\"clock_skew_us\":0"));
    shape_done(&host_shape, &h);
}

/* What a strict reader of another version is sent: nothing that it would fill in itself. */
static void sparse_says_what_differs(void **state)
{
    (void)state;
    struct host h = {.name = (char *)(uintptr_t) "h1", .mem_bytes = 7};
    struct probed p = {.vm = (char *)(uintptr_t) "u", .vm_job = 1, .ordered = true}, back;
    cleanup(json_decrefp) json_t *jh = codec_encode_sparse(&host_shape, &h);
    assert_int_equal(json_integer_value(json_object_get(jh, "mem_bytes")), 7);
    assert_non_null(json_object_get(jh, "clock_skew_us")); /* 0 is a measurement, -1 the default */
    assert_null(json_object_get(jh, "connected"));
    cleanup(json_decrefp) json_t *jp = codec_encode_sparse(&probed_shape, &p);
    assert_string_equal(json_string_value(json_object_get(jp, "seen")), "error"); /* required */
    assert_true(json_is_true(json_object_get(jp, "ordered")));
    assert_null(json_object_get(jp, "persistent"));
    assert_int_equal(codec_decode(&probed_shape, jp, &back, NULL), 0);
    assert_true(shape_equal(&probed_shape, &p, &back));
    shape_done(&probed_shape, &back);
    p.vm_job = 0;
    cleanup(json_decrefp) json_t *none = codec_encode_sparse(&probed_shape, &p);
    assert_null(json_object_get(none, "vm_job"));
}

/* A report without a host must not fail for the host's missing name. */
static void blank_object_is_left_out(void **state)
{
    (void)state;
    struct report rep = {.seq = 4}, back;
    cleanup(freep) char *text = codec_encode_text(&report_shape, &rep);
    assert_null(strstr(text, "\"host\":"));
    assert_int_equal(codec_decode_text(&report_shape, text, &back, NULL), 0);
    assert_false(back.has_host);
    assert_int_equal(back.host.clock_skew_us, -1);
    shape_done(&report_shape, &back);
}

/* Error texts of libraries come in any encoding: they must not stop a report. */
static void broken_utf8_is_mended(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } t[] = {{"caf\xe9 ferm\xe9", "caf? ferm?"},
             {"cut \xc3", "cut ?"},
             {"\xf0\x9f\x90\x84\xff!", "\xf0\x9f\x90\x84?!"},
             {"\xed\xa0\x80", "???"}};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct bye b = {.error = (char *)(uintptr_t)t[i].in}, back;
        cleanup(freep) char *text = codec_encode_text(&bye_shape, &b);
        assert_int_equal(codec_decode_text(&bye_shape, text, &back, NULL), 0);
        assert_string_equal(back.error, t[i].out);
        shape_done(&bye_shape, &back);
    }
}

struct pass {
    char *user, *word;
};
static const struct shape_field pass_fields[] = {
    SF_STR(struct pass, user),
    {.name = "word", .kind = SK_STR, .secret = true, .off = offsetof(struct pass, word)},
};
static const struct shape pass_shape = {"pass_shape", sizeof(struct pass), pass_fields, 2};

static void secrets_are_left_out(void **state)
{
    (void)state;
    struct pass p = {(char *)(uintptr_t) "u", (char *)(uintptr_t) "hush"};
    cleanup(json_decrefp) json_t *open = codec_encode_public(&pass_shape, &p);
    cleanup(freep) char *shown = codec_text(open);
    cleanup(freep) char *full = codec_encode_text(&pass_shape, &p);
    assert_string_equal(shown, "{\"user\":\"u\"}");
    assert_string_equal(full, "{\"user\":\"u\",\"word\":\"hush\"}");
}

static void schema_tells_the_shape(void **state)
{
    (void)state;
    cleanup(json_decrefp) json_t *j = codec_schema(&vm_shape);
    cleanup(freep) char *text = codec_text(j);
    assert_non_null(strstr(text, "draft-07"));
    assert_non_null(strstr(text, "\"title\":\"vm\""));
    assert_non_null(strstr(text, "\"required\":[\"uuid\",\"name\",\"state\"]"));
    assert_non_null(strstr(text, "\"enum\":[\"shutoff\",\"running\""));
    const json_t *disks = json_object_get(json_object_get(j, "properties"), "disks");
    assert_string_equal(json_string_value(json_object_get(disks, "type")), "array");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(errors_name_the_path),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(lists_are_limited),
        cmocka_unit_test(decoded_lists_can_grow),
        cmocka_unit_test(absent_means_unknown),
        cmocka_unit_test(sparse_says_what_differs),
        cmocka_unit_test(blank_object_is_left_out),
        cmocka_unit_test(broken_utf8_is_mended),
        cmocka_unit_test(secrets_are_left_out),
        cmocka_unit_test(schema_tells_the_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
