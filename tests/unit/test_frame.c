#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/frame.h"

static const char *const texts[] = {"{}", "x", "{\"v\":1,\"type\":\"heartbeat\"}", "", "last"};

/* All non-empty texts as frames. Gives. */
static uint8_t *stream(size_t *ret_len)
{
    uint8_t *s = NULL;
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        size_t n = strlen(texts[i]);
        if (!n)
            continue;
        s = xrealloc(s, len + 4 + n, 1);
        assert_int_equal(frame_head(s + len, n, NULL), 0);
        memcpy(s + len + 4, texts[i], n);
        len += 4 + n;
    }
    *ret_len = len;
    return s;
}

/* Feed one piece; check that whole frames are texts[*at], ... */
static void feed(struct frame_dec *d, const uint8_t *p, size_t n, size_t *at)
{
    for (;;) {
        char *text = NULL;
        size_t len = 0;
        int r = frame_feed(d, &p, &n, &text, &len, NULL);
        assert_true(r >= 0);
        if (r == 0) {
            assert_int_equal(n, 0);
            return;
        }
        while (!texts[*at][0])
            (*at)++;
        assert_string_equal(text, texts[*at]);
        assert_int_equal(len, strlen(texts[*at]));
        (*at)++;
        free(text);
    }
}

static void split_at_every_byte(void **state)
{
    (void)state;
    size_t len;
    cleanup(freep) uint8_t *s = stream(&len);
    for (size_t a = 0; a <= len; a++)
        for (size_t b = a; b <= len; b++) {
            struct frame_dec d = {0};
            size_t at = 0;
            feed(&d, s, a, &at);
            feed(&d, s + a, b - a, &at);
            feed(&d, s + b, len - b, &at);
            assert_int_equal(at, ARRAY_LEN(texts));
            assert_int_equal(d.n_head, 0);
            frame_dec_done(&d);
        }
}

static void byte_by_byte(void **state)
{
    (void)state;
    size_t len, at = 0;
    cleanup(freep) uint8_t *s = stream(&len);
    struct frame_dec d = {0};
    for (size_t i = 0; i < len; i++)
        feed(&d, s + i, 1, &at);
    assert_int_equal(at, ARRAY_LEN(texts));
    frame_dec_done(&d);
}

static int head_only(const uint8_t head[4], struct frame_dec *d, struct err *e)
{
    const uint8_t *p = head;
    size_t n = 4, len;
    char *text = NULL;
    return frame_feed(d, &p, &n, &text, &len, e);
}

static void bad_lengths(void **state)
{
    (void)state;
    static const struct {
        uint8_t head[4];
        int code;
        const char *msg;
    } t[] = {{{0, 0, 0, 0}, -EBADMSG, "length 0"},
             {{0, 0x40, 0, 1}, -E2BIG, "4194305 bytes, the limit is 4194304"},
             {{0xff, 0xff, 0xff, 0xff}, -E2BIG, "4294967295"},
             {{'G', 'E', 'T', ' '}, -E2BIG, "limit"}};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct frame_dec d = {0};
        struct err e = {0};
        assert_int_equal(head_only(t[i].head, &d, &e), t[i].code);
        assert_non_null(strstr(e.msg, t[i].msg));
        assert_null(d.buf); /* nothing was allocated for it */
        assert_int_equal(head_only((const uint8_t[]){0, 0, 0, 1}, &d, &e),
                         t[i].code); /* stays broken */
        frame_dec_done(&d);
    }
    uint8_t head[4];
    assert_int_equal(frame_head(head, 0, NULL), -EBADMSG);
    assert_int_equal(frame_head(head, LIM_FRAME_BYTES + 1, NULL), -E2BIG);
}

/* A peer that announces 4 MiB and sends ten bytes costs about ten bytes. */
static void memory_follows_what_arrived(void **state)
{
    (void)state;
    struct frame_dec d = {0};
    assert_int_equal(head_only((const uint8_t[]){0, 0x40, 0, 0}, &d, NULL), 0);
    const uint8_t *p = (const uint8_t *)"0123456789";
    size_t n = 10, len;
    char *text;
    assert_int_equal(frame_feed(&d, &p, &n, &text, &len, NULL), 0);
    assert_true(d.cap < 4096);
    frame_dec_done(&d);
}

static void largest_frame(void **state)
{
    (void)state;
    cleanup(freep) uint8_t *big = xcalloc(1, LIM_FRAME_BYTES);
    memset(big, 'a', LIM_FRAME_BYTES);
    uint8_t head[4];
    assert_int_equal(frame_head(head, LIM_FRAME_BYTES, NULL), 0);
    struct frame_dec d = {0};
    assert_int_equal(head_only(head, &d, NULL), 0);
    size_t left = LIM_FRAME_BYTES, len = 0;
    const uint8_t *p = big;
    cleanup(freep) char *text = NULL;
    int r = 0;
    while (r == 0 && left) {
        size_t n = left < 1000 ? left : 1000, was = n;
        r = frame_feed(&d, &p, &n, &text, &len, NULL);
        left -= was - n;
    }
    assert_int_equal(r, 1);
    assert_int_equal(len, LIM_FRAME_BYTES);
    assert_int_equal(text[len], 0);
    frame_dec_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_at_every_byte), cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(bad_lengths),         cmocka_unit_test(memory_follows_what_arrived),
        cmocka_unit_test(largest_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
