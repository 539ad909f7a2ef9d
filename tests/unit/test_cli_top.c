/* drover top and the columns of load: what is known, and what is "?". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "tests/unit/fakeapi.h"

static const struct fake_answer script[] = {
    {"GET /v1/hosts", 0,
     "{\"schema\":\"drover.hosts/1\",\"wall_us\":100000000,\"hosts\":["
     "{\"name\":\"h1\",\"state\":\"up\",\"connected\":true,\"cpus\":8,\"running\":2,"
     "\"mem_bytes\":68719476736,\"cpu\":{\"now_mcpu\":800,\"m5_mcpu\":880,\"h1_mcpu\":0},"
     "\"load\":{\"source\":\"host\",\"cpu_mcpu\":800,\"mem_free_bytes\":51539607552,"
     "\"psi_cpu_ppm\":12000,\"psi_io_ppm\":0,\"rx_Bps\":1048576,\"tx_Bps\":0}},"
     "{\"name\":\"h2\",\"state\":\"up\",\"connected\":false,\"cpus\":8,\"running\":1,"
     "\"mem_bytes\":68719476736,\"cpu\":{\"h1_mcpu\":4000,\"p95_mcpu\":7600}},"
     "{\"name\":\"h3\",\"state\":\"draining\",\"connected\":true,\"cpus\":4,\"running\":1,"
     "\"mem_bytes\":68719476736,\"moving_out\":1,\"queued_in\":2,\"cpu\":{\"now_mcpu\":3900,\"m5_"
     "mcpu\":3000},"
     "\"load\":{\"source\":\"cgroup\",\"cpu_mcpu\":3900}}]}"},
    {"GET /v1/runs", 0,
     "{\"schema\":\"drover.runs/1\",\"runs\":[{\"id\":7,\"kind\":\"drain\",\"state\":\"running\","
     "\"host\":\"h3\",\"moved\":3,\"moving\":1,\"queued\":2},"
     "{\"id\":8,\"kind\":\"balance\",\"state\":\"running\",\"moved\":1,\"queued\":2,"
     "\"message\":\"waits: Ceph is HEALTH_ERR: 1 full osd(s)\"},"
     "{\"id\":6,\"kind\":\"drain\",\"state\":\"done\",\"host\":\"h2\"}]}"},
    {"GET /v1/vms", 0,
     "{\"schema\":\"drover.vms/1\",\"wall_us\":100000000,\"vms\":["
     "{\"name\":\"web\",\"uuid\":\"u1\",\"host\":\"h1\",\"state\":\"running\",\"vcpus\":2,"
     "\"movable\":true,\"cpu\":{\"now_mcpu\":1250,\"m5_mcpu\":0},\"read_Bps\":1024,"
     "\"write_Bps\":1024},"
     "{\"name\":\"db\",\"uuid\":\"u2\",\"host\":\"h2\",\"state\":\"running\",\"vcpus\":2,"
     "\"movable\":true,\"unreachable\":true},"
     "{\"name\":\"m1\",\"uuid\":\"u3\",\"host\":\"h3\",\"state\":\"running\",\"vcpus\":2,\"run\":7,"
     "\"move\":4,\"moving_to\":\"h1\",\"blocker\":{\"code\":\"vm_busy\"}},"
     "{\"name\":\"m2\",\"uuid\":\"u4\",\"host\":\"h3\",\"state\":\"running\",\"vcpus\":2,\"run\":7,"
     "\"move\":5,\"queued\":true,\"moving_to\":\"h1\",\"blocker\":{\"code\":\"vm_busy\"}}]}"},
    {0},
};

static void one_look(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, script, "top", false, NULL);
    assert_int_equal(o.code, 0);
    const char *table = strchr(o.out, '\n') + 1; /* the clock is local */
    assert_non_null(strstr(o.out, "3 hosts, load known of 2: 4.7 of 12 CPUs busy\n"));
    assert_string_equal(
        table, "HOST  STATE     LOAD           CPU  CPU-5M  CPU-P95   MEM  PSI-CPU  PSI-MEM  PSI-IO"
               "     LINK  RUNNING  MOVING  QUEUED\n"
               "h3    draining  [##########]  97 %    75 %        ?     ?        ?        ?       ?"
               "        ?        1  -1      +2\n"
               "h1    up        [#.........]  10 %    11 %        ?  25 %      1 %        ?     0 %"
               "  1 MiB/s        2  -       -\n"
               "h2    no agent  ?                ?       ?     95 %     ?        ?        ?       ?"
               "        ?        1  -       -\n"
               "\nrun/7 drain h3: 3 moved, 1 moving, 2 queued, 0 blocked\n"
               "run/8 balance: 1 moved, 0 moving, 2 queued, 0 blocked; waits: Ceph is HEALTH_ERR: "
               "1 full osd(s)\n");
    fake_run(&o, script, "top --columns host,source,cpu-1h --no-headers", false, NULL);
    assert_non_null(strstr(o.out, "h3  cgroup     ?\n"));
    assert_non_null(strstr(o.out, "h2  -       50 %\n"));
    fake_run(&o, script, "top h1", false, NULL);
    assert_int_equal(o.code, 64);
    outcome_done(&o);
}

static void as_data(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, script, "top -o json", true, NULL);
    assert_int_equal(o.code, 0);
    assert_non_null(strstr(o.out, "\"schema\": \"drover.top/1\""));
    assert_non_null(strstr(o.out, "\"now_mcpu\": 3900"));
    assert_non_null(strstr(o.out, "\"id\": 7"));
    assert_null(strstr(o.out, "\"id\": 6"));
    assert_null(strstr(o.out, "\033["));
    outcome_done(&o);
}

static void one_look_on_a_terminal(void **state)
{
    (void)state;
    static const struct fake_answer nobody[] = {
        {"GET /v1/hosts", 0, "{\"schema\":\"drover.hosts/1\",\"hosts\":[]}"},
        {"GET /v1/runs", 0, "{\"schema\":\"drover.runs/1\",\"runs\":[]}"},
        {0},
    };
    struct outcome o = {0};
    fake_run(&o, nobody, "top --once", true, NULL);
    assert_int_equal(o.code, 0);
    assert_null(strstr(o.out, "\033[H"));
    assert_non_null(strstr(o.out, "0 hosts, load known of 0"));
    fake_run(&o, script, "top --interval soon", true, NULL);
    assert_int_equal(o.code, 64);
    outcome_done(&o);
}

static void columns_of_lists(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, script, "runs --columns run,state", false, NULL);
    assert_string_equal(o.out, "RUN    STATE\nrun/7  running\nrun/8  waiting\nrun/6  done\n");
    fake_run(&o, script, "hosts --columns host,cpu,cpu-5m,cpu-p95", false, NULL);
    assert_string_equal(o.out, "HOST   CPU  CPU-5M  CPU-P95\n"
                               "h1    10 %    11 %        ?\n"
                               "h2       ?       ?     95 %\n"
                               "h3    97 %    75 %        ?\n");
    fake_run(&o, script, "vms --columns vm,cpu,cpu-5m,disk,net", false, NULL);
    assert_string_equal(o.out, "VM    CPU  CPU-5M     DISK  NET\n"
                               "web  1.25    0.00  2 KiB/s    ?\n"
                               "db      ?       ?        ?    ?\n"
                               "m1      ?       ?        ?    ?\n"
                               "m2      ?       ?        ?    ?\n");
    fake_run(&o, script, "vms m1 m2 --columns vm,moving,movable,why", false, NULL);
    assert_string_equal(o.out, "VM  MOVING       MOVABLE  WHY\n"
                               "m1  → h1         moving   -\n"
                               "m2  queued → h1  queued   -\n");
    outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_look),
        cmocka_unit_test(as_data),
        cmocka_unit_test(one_look_on_a_terminal),
        cmocka_unit_test(columns_of_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
