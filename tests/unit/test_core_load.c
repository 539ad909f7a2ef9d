/* What the core makes of measured load: who is known, who is not, what follows a VM, what a restart keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fakefleet.h"

#define PERIOD_US (5 * SEC)
#define NEXT_US   (30 * SEC)
#define HOUR      (3600 * SEC)
enum { ALL = -1, NONE_ = -2 };

static struct fleet f;
static int saved; /* FX_SAVE_LOAD */

static void send(int host, struct report *r)
{
    struct core_effects fx = {0};
    core_step(f.core,
              &(struct core_event){.type = CEV_MSG,
                                   .now_us = f.now_us,
                                   .wall_us = f.now_us,
                                   .host = f.hosts[host].host.name,
                                   .msg = &(struct msg){.type = MSG_REPORT, .body = r}},
              &fx);
    for (size_t i = 0; i < fx.n_fx; i++)
        saved += fx.fx[i].type == FX_SAVE_LOAD;
    core_effects_done(&fx);
}

/* host: busy, of it by guests. vm: the one that is listed, ALL or NONE_; each uses mcpu. */
struct told {
    int64_t busy, guests, mcpu;
    int vm;
};
static void tell(int host, struct told t)
{
    struct report r;
    shape_init(&report_shape, &r);
    r.has_load = true;
    r.load.period_us = PERIOD_US;
    r.load.next_us = NEXT_US;
    r.load.host.cpu_mcpu = t.busy;
    r.load.host.guests_mcpu = t.guests;
    for (int i = 0; i < f.n_vms; i++) {
        if (f.vms[i].on != host || (t.vm != ALL && t.vm != i))
            continue;
        struct vm_load *l = vec_add(&r.load.vms, &r.load.n_vms);
        shape_init(&vm_load_shape, l);
        l->uuid = xstrdup(f.vms[i].vm.uuid);
        l->cpu_mcpu = t.mcpu;
        l->read_Bps = 4096;
    }
    send(host, &r);
    shape_done(&report_shape, &r);
}

static void tell_for(int host, int64_t us, struct told t)
{
    for (int64_t end = f.now_us + us; f.now_us < end;) {
        f.now_us += PERIOD_US;
        tell(host, t);
    }
}

/* Figures of a snapshot, by name; all of them -1 where there are none. */
static struct cpu_figures of(const char *name, bool vm)
{
    struct snapshot_store s;
    struct cpu_figures found = {-1, -1, -1, -1, -1, -1, -1, -1};
    core_snapshot(f.core, &s);
    for (size_t i = 0; !vm && i < s.s.n_hosts; i++)
        if (str_eq(s.hosts[i].h->name, name) && s.hosts[i].cpu)
            found = *s.hosts[i].cpu;
    for (size_t i = 0; vm && i < s.s.n_vms; i++)
        if (str_eq(s.vms[i].v->name, name) && s.vms[i].cpu)
            found = *s.vms[i].cpu;
    snapshot_done(&s);
    return found;
}

static bool measured(int host)
{
    struct snapshot_store s;
    core_snapshot(f.core, &s);
    bool is = snap_measured(&s.hosts[host]);
    snapshot_done(&s);
    return is;
}

static void begin(void)
{
    saved = 0;
    fleet_init(&f, 3, 64 * GIB);
    for (int i = 0; i < 3; i++)
        f.hosts[i].host.cpus = 8;
    fleet_add(&f, "a", 0, 4 * GIB);
    fleet_add(&f, "b", 0, 4 * GIB);
    for (int i = 0; i < 3; i++)
        fleet_connect(&f, i);
}

/* What is read in pieces while the core goes on has the figures of its beginning. */
static void a_pinned_fleet_has_figures(void **state)
{
    (void)state;
    begin();
    tell(0, (struct told){.busy = 2500, .guests = 2000, .mcpu = 1000, .vm = ALL});
    const struct snapshot *s = core_pin(f.core);
    tell_for(0, 60 * SEC, (struct told){.busy = 100, .guests = 0, .mcpu = 0, .vm = ALL});
    assert_int_equal(s->hosts[0].cpu->now_mcpu, 2500);
    assert_int_equal(s->vms[0].cpu->now_mcpu, 1000);
    assert_null(s->hosts[0].load);
    core_unpin(f.core);
    fleet_done(&f);
}

static void unknown_until_told(void **state)
{
    (void)state;
    begin();
    assert_false(measured(0));
    assert_int_equal(of("a", true).now_mcpu, -1);
    assert_int_equal(of("h1", false).m5_mcpu, -1);
    tell(0, (struct told){.busy = 2500, .guests = 2000, .mcpu = 1000, .vm = ALL});
    assert_true(measured(0));
    assert_false(measured(1));
    assert_int_equal(of("a", true).now_mcpu, 1000);
    assert_int_equal(of("h1", false).now_mcpu, 2500);
    fleet_done(&f);
}

/* Not listed is as before, listed as unknown is unknown, and guests' part is no other's. */
static void deltas(void **state)
{
    (void)state;
    begin();
    tell(0, (struct told){.busy = 2500, .guests = 2000, .mcpu = 1000, .vm = ALL});
    tell_for(0, 300 * SEC, (struct told){.busy = 2500, .guests = 2000, .vm = NONE_});
    assert_int_equal(of("a", true).m5_mcpu, 1000);
    tell_for(0, PERIOD_US, (struct told){.busy = 2500, .guests = 1000, .mcpu = -1, .vm = 0});
    assert_int_equal(of("a", true).now_mcpu, -1);
    assert_int_equal(of("b", true).now_mcpu, 1000);
    tell_for(0, PERIOD_US, (struct told){.busy = 2500, .guests = -1, .vm = NONE_});
    assert_int_equal(of("a", true).now_mcpu, -1);
    fleet_done(&f);
}

static void silence_makes_unknown(void **state)
{
    (void)state;
    begin();
    tell_for(0, HOUR, (struct told){.busy = 2500, .guests = 2000, .mcpu = 1000, .vm = ALL});
    f.now_us += 3 * NEXT_US;
    assert_true(of("h1", false).m5_mcpu >= 0);
    fleet_run(&f, SEC);
    struct cpu_figures h = of("h1", false), v = of("a", true);
    assert_false(measured(0));
    assert_int_equal(h.now_mcpu, -1);
    assert_int_equal(h.m5_mcpu, -1);
    assert_int_equal(v.now_mcpu, -1);
    assert_int_equal(v.m5_mcpu, -1);
    assert_true(h.h1_mcpu > 2490 && h.h1_mcpu < 2510); /* what was is known */
    tell(0, (struct told){.busy = 100, .guests = 0, .mcpu = 0, .vm = ALL});
    assert_true(measured(0));
    assert_int_equal(of("a", true).now_mcpu, 0);
    fleet_done(&f);
}

static void an_agent_that_is_gone(void **state)
{
    (void)state;
    begin();
    tell_for(0, 60 * SEC, (struct told){.busy = 2500, .guests = 2000, .mcpu = 1000, .vm = ALL});
    fleet_disconnect(&f, 0);
    assert_false(measured(0));
    assert_int_equal(of("h1", false).now_mcpu, -1);
    assert_int_equal(of("a", true).m5_mcpu, -1);
    fleet_connect(&f, 0); /* it says who is there, and not yet how busy they are */
    assert_false(measured(0));
    assert_int_equal(of("a", true).now_mcpu, -1);
    tell_for(0, PERIOD_US, (struct told){.busy = 2000, .guests = 1000, .mcpu = 1000, .vm = 1});
    assert_true(measured(0));
    assert_int_equal(of("a", true).now_mcpu, -1); /* what the agent before said counts no more */
    assert_int_equal(of("b", true).now_mcpu, 1000);
    fleet_done(&f);
}

/* The VM's figures go with it; the QEMU there has not been measured yet. */
static void load_follows_the_vm(void **state)
{
    (void)state;
    begin();
    tell_for(0, HOUR, (struct told){.busy = 2500, .guests = 2000, .mcpu = 1000, .vm = ALL});
    int64_t run = fleet_drain(&f, "h1", NULL);
    for (int i = 0; i < 240 && !run_ended(core_run(f.core, run)->state); i++) {
        fleet_run(&f, 250 * MSEC);
        if (i % 20 == 0)
            for (int h = 0; h < 3; h++)
                tell(h, (struct told){.busy = 500, .guests = 0, .vm = NONE_});
    }
    assert_int_equal(core_run(f.core, run)->state, RUN_DONE);
    for (int i = 0; i < 2; i++) {
        int on = f.vms[i].on;
        assert_true(on > 0);
        struct cpu_figures v = of(f.vms[i].vm.name, true);
        assert_int_equal(v.now_mcpu, -1);
        assert_true(v.h1_mcpu > 990 && v.h1_mcpu < 1010);
        struct sample x;
        assert_false(core_sample(f.core, "h1", f.vms[i].vm.uuid, &x));
        assert_true(core_sample(f.core, f.hosts[on].host.name, f.vms[i].vm.uuid, &x));
        shape_done(&sample_shape, &x);
        tell(on, (struct told){.busy = 1500, .guests = 1000, .mcpu = 700, .vm = i});
        assert_int_equal(of(f.vms[i].vm.name, true).now_mcpu, 700);
    }
    fleet_done(&f);
}

/* A guest that arrives runs elsewhere still: what its host says of it is of an empty QEMU. */
static void arrivals_are_not_measured(void **state)
{
    (void)state;
    begin();
    struct report r;
    shape_init(&report_shape, &r);
    struct vm *v = vec_add(&r.vms, &r.n_vms);
    shape_copy(&vm_shape, v, &f.vms[0].vm);
    v->job = VM_JOB_MIGRATING_IN;
    send(1, &r);
    shape_done(&report_shape, &r);
    tell_for(0, 60 * SEC, (struct told){.busy = 2000, .guests = 1000, .mcpu = 1000, .vm = 0});
    f.vms[0].on = 1; /* as if h2 listed it */
    tell(1, (struct told){.busy = 100, .guests = 50, .mcpu = 50, .vm = 0});
    f.vms[0].on = 0;
    assert_int_equal(of("a", true).now_mcpu, 1000);
    fleet_done(&f);
}

/* Everyone is stored in turn, and what was stored is known again. */
static void kept_over_a_restart(void **state)
{
    (void)state;
    begin();
    struct core_effects fx = {0};
    for (int64_t end = f.now_us + 2 * HOUR; f.now_us < end;) {
        f.now_us += PERIOD_US;
        tell(0, (struct told){.busy = 2500, .guests = 2000, .mcpu = 1000, .vm = ALL});
        core_step(f.core,
                  &(struct core_event){.type = CEV_TICK, .now_us = f.now_us, .wall_us = f.now_us},
                  &fx);
    }
    int n = 0;
    for (size_t i = 0; i < fx.n_fx; i++)
        n += fx.fx[i].type == FX_SAVE_LOAD;
    core_effects_done(&fx);
    assert_true(n >= 8 && n <= 14); /* h1 and two VMs, each half hour; the others have nothing */
    struct sample host, vm;
    assert_true(core_sample(f.core, "h1", NULL, &host));
    assert_true(core_sample(f.core, "h1", f.vms[0].vm.uuid, &vm));
    assert_false(core_sample(f.core, "h9", NULL, &vm));
    fleet_restart_core(&f);
    assert_int_equal(of("a", true).h1_mcpu, -1);
    assert_int_equal(core_restore_sample(f.core, &host, NULL), 0);
    assert_int_equal(core_restore_sample(f.core, &vm, NULL), 0);
    struct cpu_figures v = of("a", true), h = of("h1", false);
    assert_int_equal(v.now_mcpu, -1);
    assert_int_equal(v.m5_mcpu, -1);
    assert_true(v.h1_mcpu > 990 && v.h1_mcpu < 1010);
    assert_true(v.p95_mcpu > 950 && v.p95_mcpu < 1050);
    assert_true(h.d1_mcpu > 2400 && h.d1_mcpu < 2600);
    free(vm.kept.fives);
    vm.kept.fives = xstrdup("broken");
    struct err e = {0};
    assert_true(core_restore_sample(f.core, &vm, &e) < 0);
    assert_non_null(strstr(e.msg, "load of a"));
    free(vm.vm);
    vm.vm = xstrdup("of nobody"); /* it was removed meanwhile */
    assert_int_equal(core_restore_sample(f.core, &vm, NULL), 0);
    shape_done(&sample_shape, &host);
    shape_done(&sample_shape, &vm);
    fleet_done(&f);
}

/* Whatever is said, nothing is taken for more than it is. */
static void strange_reports(void **state)
{
    (void)state;
    begin();
    struct report r;
    shape_init(&report_shape, &r);
    r.has_load = true;
    r.load.period_us = -5;
    r.load.next_us = INT64_MAX;
    r.load.host.cpu_mcpu = 1000;
    r.load.host.guests_mcpu = 5000; /* more than all: nothing is left for others */
    struct vm_load *l = vec_add(&r.load.vms, &r.load.n_vms);
    shape_init(&vm_load_shape, l);
    l->uuid = xstrdup("of nobody");
    l->cpu_mcpu = INT64_MAX;
    l->read_Bps = INT64_MAX;
    f.now_us += SEC;
    send(0, &r);
    r.load.period_us = INT64_MAX;
    f.now_us += PERIOD_US;
    send(0, &r);
    assert_int_equal(of("h1", false).m5_mcpu, 1000);
    struct snapshot_store s;
    core_snapshot(f.core, &s);
    assert_int_equal(s.hosts[0].other->m5_mcpu, 0);
    assert_non_null(s.hosts[0].load);
    snapshot_done(&s);
    fleet_run(&f, 400 * SEC); /* "the next one comes in 300,000 years" is not believed */
    assert_false(measured(0));
    shape_done(&report_shape, &r);
    fleet_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pinned_fleet_has_figures),
        cmocka_unit_test(unknown_until_told),
        cmocka_unit_test(deltas),
        cmocka_unit_test(silence_makes_unknown),
        cmocka_unit_test(an_agent_that_is_gone),
        cmocka_unit_test(load_follows_the_vm),
        cmocka_unit_test(arrivals_are_not_measured),
        cmocka_unit_test(kept_over_a_restart),
        cmocka_unit_test(strange_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
