#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "lib/wire/msg.h"
#include "tests/unit/fill.h"

static char *random_msg(enum msg_type type, struct rng *r)
{
    const struct shape *s = msg_shape(type);
    struct msg m = {.type = type};
    m.id = (int64_t)rng_below(r, 1000);
    m.re = (int64_t)rng_below(r, 9);
    m.body = xcalloc(1, s->size);
    fill(s, m.body, r);
    char *text = msg_encode(&m);
    msg_done(&m);
    return text;
}

static void every_type_round_trips(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 11);
    for (int t = 0; t < MSG_COUNT_; t++)
        for (int i = 0; i < 20; i++) {
            cleanup(freep) char *text = random_msg((enum msg_type)t, &r);
            struct msg m;
            struct err e;
            if (msg_decode(text, strlen(text), &m, &e) < 0)
                fail_msg("%s: %s", e.msg, text);
            assert_int_equal(m.type, t);
            cleanup(freep) char *again = msg_encode(&m);
            assert_string_equal(text, again);
            msg_done(&m);
            msg_done(&m); /* zeroed is fine */
        }
}

static void names_are_unique(void **state)
{
    (void)state;
    for (int a = 0; a < MSG_COUNT_; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(msg_name((enum msg_type)a), msg_name((enum msg_type)b));
}

static void bad_envelopes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *msg;
    } t[] = {
        {"{\"v\":2,\"id\":1,\"type\":\"from-the-future\",\"body\":7}", -EPROTONOSUPPORT,
         "frame of version 2, this side reads 1; install matching versions"},
        {"{\"v\":0,\"id\":1,\"type\":\"bye\",\"body\":{}}", -EPROTONOSUPPORT, "frame of version 0"},
        {"{\"id\":1,\"type\":\"bye\",\"body\":{}}", -EBADMSG, "v: expected an integer"},
        {"{\"v\":\"1\",\"id\":1,\"type\":\"bye\",\"body\":{}}", -EBADMSG, "v: expected an integer"},
        {"{\"v\":1,\"id\":1,\"type\":\"nope\",\"body\":{}}", -EBADMSG, "unknown message \"nope\""},
        {"{\"v\":1,\"id\":1,\"body\":{}}", -EBADMSG, "type: expected a string"},
        {"{\"v\":1,\"id\":1,\"type\":3,\"body\":{}}", -EBADMSG, "type: expected a string"},
        {"{\"v\":1,\"id\":-1,\"type\":\"bye\",\"body\":{}}", -EBADMSG, "id: expected"},
        {"{\"v\":1,\"id\":1.0,\"type\":\"bye\",\"body\":{}}", -EBADMSG, "id: expected"},
        {"{\"v\":1,\"id\":1,\"re\":\"x\",\"type\":\"bye\",\"body\":{}}", -EBADMSG, "re: expected"},
        {"{\"v\":1,\"id\":1,\"type\":\"bye\"}", -EBADMSG, "message bye: expected an object"},
        {"{\"v\":1,\"id\":1,\"type\":\"bye\",\"body\":[]}", -EBADMSG,
         "message bye: expected an object"},
        {"{\"v\":1,\"id\":1,\"type\":\"tidy\",\"body\":{\"term\":1,\"job\":1,\"attempt\":1,\"vm\":"
         "\"u\"}}",
         -EBADMSG, "message tidy: op: is missing"},
        {"{\"v\":1,\"id\":1,\"type\":\"migrate\",\"body\":{\"job\":1}}", -EBADMSG,
         "term: is missing"},
        {"{\"v\":1,\"id\":1,\"type\":\"migrated\",\"body\":{\"job\":1,\"attempt\":1,\"vm\":\"u\","
         "\"ok\":false}}",
         -EBADMSG, "message migrated: began: is missing"},
        {"{\"v\":1,\"id\":1,\"type\":\"probed\",\"body\":{\"job\":1,\"attempt\":1,\"vm\":\"u\"}}",
         -EBADMSG, "message probed: seen: is missing"},
        {"[]", -EBADMSG, "must be an object"},
        {"", -EBADMSG, "not JSON"},
        {"\x16\x03\x01\x02", -EBADMSG, "not JSON"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct msg m;
        struct err e = {0};
        memset(&m, 0x5a, sizeof(m));
        struct msg before = m;
        assert_int_equal(msg_decode(t[i].text, strlen(t[i].text), &m, &e), t[i].code);
        assert_memory_equal(&m, &before, sizeof(m));
        if (!strstr(e.msg, t[i].msg))
            fail_msg("'%s' lacks '%s'", e.msg, t[i].msg);
    }
}

/* One change to a valid text: a flipped or foreign byte, a cut, a repetition, a swapped piece. */
static char *mutate(const char *text, size_t *len, struct rng *r)
{
    static const char *const bits[] = {"null",    "-1",    "{}",   "[]",
                                       "\"\"",    "1e999", "true", "9223372036854775807",
                                       "\\u0000", "\xff"};
    size_t n = strlen(text);
    char *s = xcalloc(2 * n + 64, 1);
    memcpy(s, text, n);
    size_t at = rng_below(r, n), k = 1 + rng_below(r, 16);
    const char *bit = bits[rng_below(r, ARRAY_LEN(bits))];
    switch (rng_below(r, 5)) {
    case 0:
        s[at] = (char)(s[at] ^ (1 << rng_below(r, 8)));
        break;
    case 1:
        s[at] = (char)rng_below(r, 256);
        break;
    case 2:
        n = at;
        break;
    case 3:
        k = k < n - at ? k : n - at;
        memmove(s + at + k, s + at, n - at);
        n += k;
        break;
    default:
        memmove(s + at + strlen(bit), s + at, n - at);
        memcpy(s + at, bit, strlen(bit));
        n += strlen(bit);
        break;
    }
    *len = n;
    return s;
}

static void fuzz(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 2024);
    int accepted = 0, refused = 0;
    for (int i = 0; i < 20000; i++) {
        cleanup(freep) char *text = random_msg((enum msg_type)rng_below(&r, MSG_COUNT_), &r);
        size_t len;
        cleanup(freep) char *bad = mutate(text, &len, &r);
        cleanup(freep) char *exact = xcalloc(len, 1); /* asan sees a read past its end */
        memcpy(exact, bad, len);
        struct msg m = {0};
        struct err e = {0};
        int rc = msg_decode(exact, len, &m, &e);
        if (rc < 0) {
            refused++;
            assert_true(rc == -EBADMSG || rc == -E2BIG || rc == -EPROTONOSUPPORT);
            assert_true(e.msg[0]);
            continue;
        }
        accepted++;
        cleanup(freep) char *out = msg_encode(&m); /* what was accepted can be said again */
        msg_done(&m);
        assert_int_equal(msg_decode(out, strlen(out), &m, &e), 0);
        msg_done(&m);
    }
    assert_true(accepted > 100 && refused > 100); /* else this tests nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_round_trips),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(bad_envelopes),
        cmocka_unit_test(fuzz),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
