/* What the core finds without a search is what a search would find; what has ended does not pile up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/base/rng.h"
#include "tests/unit/fakefleet.h"

enum { HOSTS = 4, VMS = 12, ROUNDS = 3000 };

static struct fleet f;

/* ---- VMs by UUID and by name, against plain lists -------------------------------------------------- */
struct told { /* a VM as a host reports it */
    bool there;
    int name, state, job;
    int64_t since_us; /* it has been there without a break */
};

static void tell(struct told *s, int host, int vm, bool full)
{
    struct core_effects fx = {0};
    struct report r;
    char *gone[1];
    shape_init(&report_shape, &r);
    r.full = full;
    for (int i = 0; i < VMS; i++) {
        if (!s[i].there || (!full && i != vm))
            continue;
        struct vm *v = vec_add(&r.vms, &r.n_vms);
        shape_init(&vm_shape, v);
        v->uuid = xasprintf("uuid-%02d", i);
        v->name = xasprintf("vm-%d", s[i].name);
        v->state = s[i].state;
        v->job = s[i].job;
    }
    gone[0] = xasprintf("uuid-%02d", vm);
    r.gone = gone;
    r.n_gone = !full && !s[vm].there;
    f.now_us += MSEC;
    for (int i = 0; i < VMS; i++)
        if (full || i == vm)
            s[i].since_us = !s[i].there ? 0 : s[i].since_us ? s[i].since_us : f.now_us;
    core_step(f.core,
              &(struct core_event){.type = CEV_MSG,
                                   .now_us = f.now_us,
                                   .wall_us = f.now_us,
                                   .host = f.hosts[host].host.name,
                                   .msg = &(struct msg){.type = MSG_REPORT, .body = &r}},
              &fx);
    core_effects_done(&fx);
    free(gone[0]);
    r.gone = NULL;
    r.n_gone = 0;
    shape_done(&report_shape, &r);
}

static int alive(const struct told *s)
{
    return s->job == VM_JOB_MIGRATING_IN ? 1
           : s->state == VM_SHUTOFF      ? 0
           : s->state == VM_RUNNING      ? 3
                                         : 2;
}

static bool better(const struct told *a, const struct told *b)
{
    return alive(a) != alive(b) ? alive(a) > alive(b) : a->since_us > b->since_us;
}

/* Names are few, so that the order by name and that by UUID differ, and equal names meet. */
static void same_as_lists(struct told world[HOSTS][VMS])
{
    struct snapshot_store snap;
    size_t n = 0;
    core_snapshot(f.core, &snap);
    for (int name = 0; name < 10; name++)
        for (int i = 0; i < VMS; i++) {
            int best = -1;
            for (int h = 0; h < HOSTS; h++)
                if (world[h][i].there && world[h][i].name == name &&
                    (best < 0 || better(&world[h][i], &world[best][i])))
                    best = h;
            if (best < 0)
                continue;
            assert_true(n < snap.s.n_vms);
            cleanup(freep) char *uuid = xasprintf("uuid-%02d", i);
            assert_string_equal(snap.s.vms[n].v->uuid, uuid);
            assert_int_equal(snap.s.vms[n].host, best);
            assert_int_equal(snap.s.vms[n].v->state, world[best][i].state);
            n++;
        }
    assert_int_equal(n, snap.s.n_vms);
    snapshot_done(&snap);
}

static void by_name_as_a_list(void **state)
{
    (void)state;
    struct told world[HOSTS][VMS] = {0};
    struct rng g;
    rng_init(&g, 5);
    fleet_init(&f, HOSTS, 64 * GIB);
    for (int i = 0; i < ROUNDS; i++) {
        int h = (int)rng_below(&g, HOSTS), vm = (int)rng_below(&g, VMS);
        struct told *s = &world[h][vm];
        *s = (struct told){.there = rng_below(&g, 3) != 0,
                           .name = rng_below(&g, 4) ? vm % 10 : (int)rng_below(&g, 10),
                           .state = rng_below(&g, 2) ? VM_RUNNING : (int)rng_below(&g, 4),
                           .job = rng_below(&g, 6) ? VM_JOB_NONE : VM_JOB_MIGRATING_IN,
                           .since_us = s->since_us};
        if (rng_below(&g, 8) == 0) { /* much at once */
            for (int k = 0; k < VMS; k++)
                world[h][k].there = rng_below(&g, 2);
            tell(world[h], h, vm, true);
        } else {
            tell(world[h], h, vm, false);
        }
        if (rng_below(&g, 4) == 0)
            same_as_lists(world);
    }
    same_as_lists(world);
    fleet_done(&f);
}

/* ---- the planner's index is as new as the names are -------------------------------------------------- */
static const char *goes_to(void)
{
    int64_t run = fleet_request(
        &f,
        &(struct request){.verb = VERB_DRAIN, .dry_run = true, .host = (char *)(uintptr_t) "h1"});
    assert_int_equal(fleet_until_end(&f, run, 60 * SEC), RUN_PLANNED);
    struct run_view v;
    assert_int_equal(core_view_run(f.core, run, 0, &v, NULL), 0);
    static char to[16];
    snprintf(to, sizeof(to), "%s", v.n_moves ? v.moves[0].to : "nowhere");
    shape_done(&run_view_shape, &v);
    return to;
}

static void rule(const char *host)
{
    struct policy p;
    policy_default(&p);
    struct rule *r = vec_add(&p.rules, &p.n_rules);
    r->name = xstrdup("home");
    r->where = xstrdup("rules.yaml:1");
    r->kind = RULE_HOST_REQUIRED;
    r->hard = true;
    r->weight = 1;
    struct label *l = vec_add(&r->vms.labels, &r->vms.n_labels);
    l->key = xstrdup("app");
    l->value = xstrdup("db");
    *(char **)vec_add(&r->hosts.names, &r->hosts.n_names) = xstrdup(host);
    core_restore_policy(f.core, &p);
}

static void labels_and_policy_are_seen(void **state)
{
    (void)state;
    fleet_init(&f, 3, 16 * GIB);
    struct fleet_vm *v = fleet_add(&f, "db", 0, GIB);
    fleet_add(&f, "big", 2, 8 * GIB);
    rule("h3");
    assert_string_equal(goes_to(), "h2"); /* where more room is */
    struct label *l = vec_add(&v->vm.labels, &v->vm.n_labels);
    l->key = xstrdup("app");
    l->value = xstrdup("db");
    fleet_report(&f, 0);
    assert_string_equal(goes_to(), "h3");
    rule("h2");
    assert_string_equal(goes_to(), "h2");
    rule("h3");
    assert_string_equal(goes_to(), "h3");
    fleet_done(&f);
}

/* ---- history ------------------------------------------------------------------------------------------ */
static void the_newest_runs_are_kept(void **state)
{
    (void)state;
    fleet_init(&f, 3, 16 * GIB);
    fleet_add(&f, "web", 0, GIB);
    f.copy_us = 86400 * SEC;
    int64_t old = fleet_drain(&f, "h1", NULL), last = 0;
    fleet_run(&f, 5 * SEC);
    for (int i = 0; i < LIM_RUNS_KEPT + 5; i++) {
        last = fleet_request(&f, &(struct request){.verb = VERB_DRAIN,
                                                   .dry_run = true,
                                                   .host = (char *)(uintptr_t) "h1"});
        assert_int_equal(fleet_until_end(&f, last, 60 * SEC), RUN_PLANNED);
    }
    fleet_run(&f, 601 * SEC); /* what is new may not be stored yet */
    struct runs_view v;
    core_view_runs(f.core, 0, &v);
    assert_int_equal(v.n_runs, LIM_RUNS_KEPT + 1); /* and the one that goes on */
    shape_done(&runs_view_shape, &v);
    assert_int_equal(core_run(f.core, old)->state, RUN_RUNNING);
    assert_null(core_run(f.core, old + 5));
    assert_non_null(core_run(f.core, old + 6));
    assert_non_null(core_move(f.core, 1));

    f.vms[0].copy_ends_us = f.now_us;
    assert_int_equal(fleet_until_end(&f, old, 60 * SEC), RUN_DONE);
    assert_non_null(core_move(f.core, 1)); /* to be stored */
    fleet_run(&f, 601 * SEC);
    assert_null(core_run(f.core, old)); /* of the newest thousand it is not one */
    assert_null(core_move(f.core, 1));
    assert_non_null(core_run(f.core, last));
    assert_int_equal(f.vms[0].on, 1);
    fleet_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_name_as_a_list),
        cmocka_unit_test(labels_and_policy_are_seen),
        cmocka_unit_test(the_newest_runs_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
