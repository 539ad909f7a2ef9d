/* tests/unit/filterfix.h: what a filter says of a VM and a host. */
#pragma once

#include "tests/unit/fleet.h"

static inline void refuses(const struct test_fleet *f, int vm, int host, int code)
{
    struct reason why;
    shape_init(&reason_shape, &why);
    bool allowed = plan_allows(&f->s, &f->p, vm, host, &why);
    assert_int_equal(allowed, code == R_NONE);
    if (!allowed) {
        assert_string_equal(reason_tokens[why.code], reason_tokens[code]);
        assert_string_equal(why.host, f->hosts[host].name);
    }
    shape_done(&reason_shape, &why);
}

static inline void immovable(const struct test_fleet *f, int vm, int code)
{
    struct reason why;
    shape_init(&reason_shape, &why);
    bool movable = plan_vm_movable(&f->s, &f->p, vm, &why);
    assert_int_equal(movable, code == R_NONE);
    if (!movable) {
        assert_string_equal(reason_tokens[why.code], reason_tokens[code]);
        assert_null(why.host);
    }
    shape_done(&reason_shape, &why);
}
