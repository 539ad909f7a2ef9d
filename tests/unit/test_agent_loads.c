/* From counters to figures: what is a figure, what is unknown, what is told; the kernel's texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/core/hoststat.h"
#include "agent/core/loads.h"
#include "agent/core/reporter.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define PERIOD_US (5 * SEC)
enum { GUESTS = 3 };

static const char *const uuids[GUESTS] = {"u0", "u1", "u2"};
struct world {
    struct loads *l;
    int64_t now_us, host_cpu_us;
    struct vm_reading vm[GUESTS];
    bool off[GUESTS], no_host;
    struct load_report told; /* the last */
};

static void begin(struct world *w)
{
    *w = (struct world){.l = loads_new(), .now_us = 1000 * SEC, .host_cpu_us = 77 * SEC};
    for (int i = 0; i < GUESTS; i++)
        w->vm[i] = (struct vm_reading){.uuid = (char *)(uintptr_t)uuids[i],
                                       .id = 1,
                                       .cpu_us = i * 100 * SEC,
                                       .rss_bytes = GIB,
                                       .rx_bytes = -1,
                                       .tx_bytes = -1};
}

static void end(struct world *w)
{
    shape_done(&load_report_shape, &w->told);
    loads_free(w->l);
}

static void read_now(struct world *w)
{
    struct vm_reading list[GUESTS];
    size_t n = 0;
    for (int i = 0; i < GUESTS; i++)
        if (!w->off[i])
            list[n++] = w->vm[i];
    const struct host_reading h = {.source = "host",
                                   .cpu_us = w->host_cpu_us,
                                   .mem_free_bytes = 3 * GIB,
                                   .psi_cpu_us = w->now_us / 2,
                                   .psi_mem_us = -1,
                                   .psi_mem_full_us = -1,
                                   .psi_io_us = 0,
                                   .psi_io_full_us = 0,
                                   .rx_bytes = -1,
                                   .tx_bytes = w->now_us};
    loads_add(w->l, w->now_us, w->no_host ? NULL : &h, list, n);
}

/* One period in which guest i used mcpu[i] and the host that and more. */
static void pass(struct world *w, const int64_t *mcpu, int64_t more)
{
    w->now_us += PERIOD_US;
    w->host_cpu_us += more * PERIOD_US / 1000;
    for (int i = 0; i < GUESTS; i++) {
        int64_t used = w->off[i] ? 0 : mcpu[i] * PERIOD_US / 1000;
        w->vm[i].cpu_us += used;
        w->vm[i].read_bytes += 5 * MIB;
        w->host_cpu_us += used;
    }
    read_now(w);
}

static bool take_it(struct world *w)
{
    struct load_report r;
    if (!loads_take(w->l, &r))
        return false;
    shape_done(&load_report_shape, &w->told);
    w->told = r;
    return true;
}

/* -2: not listed */
static int64_t told_of(const struct world *w, int i)
{
    for (size_t k = 0; k < w->told.n_vms; k++)
        if (str_eq(w->told.vms[k].uuid, uuids[i]))
            return w->told.vms[k].cpu_mcpu;
    return -2;
}

static const int64_t IDLE[GUESTS] = {20, 20, 20}, BURN[GUESTS] = {1000, 20, 20};

static void two_readings_make_a_figure(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    read_now(&w);
    assert_false(take_it(&w));
    pass(&w, BURN, 300);
    assert_true(take_it(&w));
    assert_int_equal(told_of(&w, 0), 1000);
    assert_int_equal(told_of(&w, 1), 20);
    assert_int_equal(w.told.host.cpu_mcpu, 1340);
    assert_int_equal(w.told.host.guests_mcpu, 1040);
    assert_int_equal(w.told.host.psi_cpu_ppm, 500000);
    assert_int_equal(w.told.host.psi_mem_ppm, -1);
    assert_int_equal(w.told.host.psi_io_ppm, 0);
    assert_int_equal(w.told.host.rx_Bps, -1);
    assert_int_equal(w.told.host.tx_Bps, 1000000);
    assert_int_equal(w.told.vms[0].read_Bps, MIB);
    assert_int_equal(w.told.vms[0].rx_Bps, -1);
    assert_int_equal(w.told.period_us, PERIOD_US);
    end(&w);
}

/* Nothing new is told seldom; what changed at once, and alone. */
static void only_what_changed(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    read_now(&w);
    pass(&w, IDLE, 100);
    assert_true(take_it(&w));
    int reports = 0;
    for (int i = 0; i < 60; i++) {
        pass(&w, IDLE, 100);
        reports += take_it(&w);
    }
    assert_int_equal(reports, 10); /* of five minutes */
    assert_int_equal(w.told.n_vms, 0);
    assert_int_equal(w.told.period_us, LOADS_SILENT_US);
    assert_int_equal(w.told.host.guests_mcpu, 60); /* told or not, they count */
    pass(&w, IDLE, 100);
    pass(&w, BURN, 100);
    assert_true(take_it(&w));
    assert_int_equal(w.told.n_vms, 1);
    assert_int_equal(told_of(&w, 0), 510); /* the mean since the last report */
    pass(&w, BURN, 100);
    assert_true(take_it(&w));
    assert_int_equal(told_of(&w, 0), 1000);
    pass(&w, BURN, 100);
    assert_false(take_it(&w));
    end(&w);
}

/* Another QEMU, a counter that went back, a guest that came: unknown, never zero and never huge. */
static void another_qemu_is_unknown(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    w.off[2] = true;
    read_now(&w);
    pass(&w, IDLE, 100);
    assert_true(take_it(&w));
    assert_int_equal(told_of(&w, 2), -2);
    w.vm[0].id = 2;
    w.vm[0].cpu_us = 900 * SEC; /* more than before: it might pass for one of those */
    w.vm[1].cpu_us = 0;
    w.off[2] = false;
    pass(&w, IDLE, 100);
    assert_true(take_it(&w));
    assert_int_equal(told_of(&w, 0), -1);
    assert_int_equal(told_of(&w, 1), -1);
    assert_int_equal(told_of(&w, 2), -1);
    assert_int_equal(w.told.vms[0].read_Bps, -1);
    assert_int_equal(w.told.host.guests_mcpu, 0);
    pass(&w, BURN, 100);
    assert_true(take_it(&w));
    assert_int_equal(told_of(&w, 0), 1000);
    assert_int_equal(told_of(&w, 2), 20);
    end(&w);
}

static void gone_is_told_once(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    read_now(&w);
    pass(&w, BURN, 100);
    assert_true(take_it(&w));
    w.off[0] = true;
    pass(&w, IDLE, 100);
    assert_true(take_it(&w));
    assert_int_equal(told_of(&w, 0), -1);
    for (int i = 0; i < 8; i++) {
        pass(&w, IDLE, 100);
        if (take_it(&w))
            assert_int_equal(told_of(&w, 0), -2);
    }
    w.off[0] = false; /* read again, as if it had never been away */
    pass(&w, BURN, 100);
    assert_true(take_it(&w));
    assert_int_equal(told_of(&w, 0), -1);
    pass(&w, BURN, 100);
    assert_true(take_it(&w));
    assert_int_equal(told_of(&w, 0), 1000);
    end(&w);
}

/* Nobody listened for hours: what is told then is of now. */
static void a_new_connection_hears_all(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    read_now(&w);
    pass(&w, IDLE, 100);
    assert_true(take_it(&w));
    for (int i = 0; i < 2000; i++)
        pass(&w, IDLE, 100);
    loads_restart(w.l);
    assert_true(take_it(&w));
    assert_int_equal(w.told.n_vms, GUESTS);
    assert_true(w.told.period_us <= 2 * LOADS_SILENT_US);
    assert_int_equal(told_of(&w, 1), 20);
    loads_restart(w.l);
    assert_false(take_it(&w)); /* there is nothing since */
    pass(&w, IDLE, 100);
    assert_true(take_it(&w));
    assert_int_equal(w.told.n_vms, GUESTS);
    end(&w);
}

static void the_host_cannot_be_read(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    w.no_host = true;
    read_now(&w);
    pass(&w, BURN, 100);
    pass(&w, BURN, 100);
    assert_false(take_it(&w));
    w.no_host = false;
    pass(&w, BURN, 100);
    assert_false(take_it(&w));
    pass(&w, BURN, 100);
    assert_true(take_it(&w));
    assert_int_equal(told_of(&w, 0), 1000);
    end(&w);
}

static void clocks_and_counters_of_any_kind(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    read_now(&w);
    read_now(&w); /* the same moment */
    assert_false(take_it(&w));
    pass(&w, BURN, 0);
    w.host_cpu_us = 0; /* the cgroup was made anew */
    pass(&w, BURN, 100);
    if (take_it(&w))
        assert_true(w.told.host.cpu_mcpu >= -1 && w.told.host.cpu_mcpu < 100000);
    pass(&w, BURN, 100);
    pass(&w, BURN, 100);
    assert_true(take_it(&w));
    assert_int_equal(w.told.host.cpu_mcpu, 1140);
    end(&w);
}

/* Before the VMs are known nothing is told of them; then with the report. */
static void reports_carry_it(void **state)
{
    (void)state;
    struct reporter *r = reporter_new();
    struct report rep;
    for (int i = 0; i < 3; i++) {
        const struct host_reading h = {.source = "host", .cpu_us = i * SEC};
        loads_add(reporter_loads(r), (1 + 5 * i) * SEC, &h, NULL, 0);
    }
    assert_true(reporter_take(r, &rep)); /* the host's facts */
    assert_false(rep.has_load);
    shape_done(&report_shape, &rep);
    reporter_known(r);
    assert_true(reporter_take(r, &rep));
    assert_true(rep.full && rep.has_load);
    assert_int_equal(rep.load.host.cpu_mcpu, 200);
    shape_done(&report_shape, &rep);
    assert_false(reporter_take(r, &rep));
    const struct host_reading h = {.source = "host", .cpu_us = 9 * SEC};
    loads_add(reporter_loads(r), 16 * SEC, &h, NULL, 0);
    assert_true(reporter_take(r, &rep));
    assert_true(rep.has_load && !rep.has_host && !rep.full);
    shape_done(&report_shape, &rep);
    reporter_free(r);
}

static void the_kernels_texts(void **state)
{
    (void)state;
    const char *stat = "cpu  100 20 30 4000 500 6 7 8 90 10\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 7\n";
    assert_int_equal(hoststat_busy_us(stat, 100), (100 + 20 + 30 + 6 + 7) * 10000);
    assert_int_equal(hoststat_busy_us("cpu0 1 2 3 4 5 6 7 8\n", 100), -1);
    assert_int_equal(hoststat_busy_us("cpu  1 2 3\n", 100), -1);
    assert_int_equal(hoststat_busy_us(NULL, 100), -1);
    assert_int_equal(hoststat_usage_us("usage_usec 123456\nuser_usec 1\n"), 123456);
    assert_int_equal(hoststat_usage_us("user_usec 1\nusage_usec 7\n"), 7);
    assert_int_equal(hoststat_usage_us("user_usec 1\n"), -1);
    assert_int_equal(hoststat_usage_us("usage_usec x\n"), -1);
    const char *psi = "some avg10=0.12 avg60=0.02 avg300=0.00 total=118349586\n"
                      "full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";
    assert_int_equal(hoststat_pressure_us(psi, "some"), 118349586);
    assert_int_equal(hoststat_pressure_us(psi, "full"), 5);
    assert_int_equal(hoststat_pressure_us("some avg10=0.12\nfull total=5\n", "some"), -1);
    assert_int_equal(hoststat_pressure_us("", "some"), -1);
    assert_int_equal(hoststat_pressure_us(NULL, "some"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_readings_make_a_figure),
        cmocka_unit_test(only_what_changed),
        cmocka_unit_test(another_qemu_is_unknown),
        cmocka_unit_test(gone_is_told_once),
        cmocka_unit_test(a_new_connection_hears_all),
        cmocka_unit_test(the_host_cannot_be_read),
        cmocka_unit_test(clocks_and_counters_of_any_kind),
        cmocka_unit_test(reports_carry_it),
        cmocka_unit_test(the_kernels_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
