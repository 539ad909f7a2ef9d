/* A fleet that is read in pieces while the core goes on is, to the byte, the fleet of the beginning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "lib/base/str.h"
#include "scheduler/core/core.h"
#include "scheduler/snap/snap.h"

enum { HOSTS = 5, VMS = 40, ROUNDS = 60 };

struct world {
    struct core *core;
    struct rng rng;
    int64_t now_us;
};

static int64_t below(struct world *w, uint64_t n)
{
    return (int64_t)rng_below(&w->rng, n);
}

static void step(struct world *w, struct core_event *ev)
{
    struct core_effects fx = {0};
    w->now_us += MSEC;
    ev->now_us = ev->wall_us = w->now_us;
    core_step(w->core, ev, &fx);
    core_effects_done(&fx);
}

static void add_vm(struct world *w, struct report *r, int64_t no)
{
    struct vm *v = vec_add(&r->vms, &r->n_vms);
    shape_init(&vm_shape, v);
    v->uuid = xasprintf("uuid-%02lld", (long long)no);
    v->name = below(w, 8) ? xasprintf("vm-%02lld", (long long)no)
                          : xasprintf("renamed-%lld", (long long)below(w, 100));
    v->state = below(w, 4) ? VM_RUNNING : VM_SHUTOFF;
    v->mem_bytes = below(w, 1000) * MIB;
    struct label *l = vec_add(&v->labels, &v->n_labels);
    l->key = xstrdup("edition");
    l->value = xasprintf("%lld", (long long)below(w, 1000000));
}

/* Something changes on a host: its facts, some VMs, their names; some go; or all is told anew. */
static void something(struct world *w)
{
    struct report r;
    char host[32], gone[32];
    snprintf(host, sizeof(host), "h%lld", (long long)below(w, HOSTS));
    shape_init(&report_shape, &r);
    r.full = below(w, 12) == 0;
    r.has_host = below(w, 4) == 0;
    if (r.has_host) {
        r.host.name = xstrdup(host);
        r.host.mem_bytes = below(w, 1000) * GIB;
    }
    for (int64_t i = below(w, 6); i >= 0; i--)
        add_vm(w, &r, below(w, VMS));
    snprintf(gone, sizeof(gone), "uuid-%02lld", (long long)below(w, VMS));
    if (below(w, 3) == 0)
        *(char **)vec_add(&r.gone, &r.n_gone) = xstrdup(gone);
    struct msg m = {.type = MSG_REPORT, .body = &r};
    step(w, &(struct core_event){.type = CEV_MSG, .host = host, .msg = &m});
    shape_done(&report_shape, &r);
}

static char *text_now(const struct world *w)
{
    struct snapshot_store s;
    core_snapshot(w->core, &s);
    char *text = snap_text(&s.s, 5);
    snapshot_done(&s);
    return text;
}

static void read_in_pieces(struct world *w)
{
    cleanup(freep) char *want = text_now(w);
    char *body = NULL;
    size_t len;
    struct snap_writer x = {.f = open_memstream(&body, &len), .s = core_pin(w->core), .wall_us = 5};
    do {
        core_pin_read(w->core, x.vms);
        for (int64_t i = below(w, 12); i > 0; i--)
            something(w);
    } while (snap_write_some(&x, (size_t)below(w, 9)));
    assert_int_equal(fclose(x.f), 0);
    core_unpin(w->core);
    assert_string_equal(body, want);
    free(body);
    cleanup(freep) char *other = text_now(w);
    assert_string_not_equal(other, want); /* it really went on meanwhile */
}

static void pinned_is_pinned(void **state)
{
    (void)state;
    struct world w = {0};
    rng_init(&w.rng, 7);
    w.core = core_new(&(struct core_config){.term = 1, .heartbeat_us = 5 * SEC, .seed = 1});
    struct core_effects fx = {0};
    core_restored(w.core, 1, 0, 0, &fx);
    core_effects_done(&fx);
    for (int i = 0; i < HOSTS; i++) {
        char host[16];
        snprintf(host, sizeof(host), "h%d", i);
        step(&w, &(struct core_event){.type = CEV_AGENT_UP, .host = host, .instance = "i"});
    }
    for (int i = 0; i < 100; i++)
        something(&w);
    for (int i = 0; i < ROUNDS; i++)
        read_in_pieces(&w);
    /* one that nobody reads to its end, and a core that goes with it */
    core_pin(w.core);
    for (int i = 0; i < 50; i++)
        something(&w);
    core_pin(w.core);
    something(&w);
    core_free(w.core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pinned_is_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
