/* tests/unit/drainfix.h: four hosts, six VMs on the first: a drain that may begin. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fakefleet.h"

static struct fleet f;

static inline int setup(void **state)
{
    (void)state;
    fleet_init(&f, 4, 16 * GIB);
    for (int i = 0; i < 6; i++) {
        cleanup(freep) char *name = xasprintf("web-%d", i + 1);
        fleet_add(&f, name, 0, GIB);
    }
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    fleet_done(&f);
    return 0;
}

static inline int on_host(int host)
{
    int n = 0;
    for (int i = 0; i < f.n_vms; i++)
        n += f.vms[i].on == host;
    return n;
}

static inline void log_has(const char *text)
{
    if (!f.log || !strstr(f.log, text))
        fail_msg("no '%s' in the journal:\n%s", text, f.log ? f.log : "(empty)");
}

static inline void assert_state(const char *host, enum host_state want)
{
    assert_int_equal(core_host_rec(f.core, host)->state, want);
}

/* The policy in force from now on. Takes. */
static inline void use_policy(struct policy *p)
{
    struct core_effects fx = {0};
    core_step(f.core, &(struct core_event){.type = CEV_POLICY, .now_us = f.now_us, .policy = p},
              &fx);
    core_effects_done(&fx);
}
