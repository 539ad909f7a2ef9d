/* The words of a run: refusal, summary, plan, Ceph's answers. Golden texts: changing them is a choice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/cli/show.h"
#include "tests/unit/fakeapi.h"

static struct run_view view(const char *json)
{
    struct run_view v;
    struct err e;
    if (codec_decode_text(&run_view_shape, json, &v, &e) < 0)
        fail_msg("%s", e.msg);
    return v;
}

static char *printed(void (*print)(FILE *f, const struct run *r), const struct run *r)
{
    char *s = NULL;
    size_t n;
    FILE *f = open_memstream(&s, &n);
    print(f, r);
    fclose(f);
    return s;
}

static const char blocked[] =
    "{\"run\":{\"id\":42,\"kind\":\"drain\",\"state\":\"refused\",\"host\":\"kvm-07\",\"vms\":23,"
    "\"blocked\":2,"
    "\"host_was\":\"up\",\"on_blocked\":\"refuse\",\"avoid\":[\"kvm-09\"],\"reason\":\"it's "
    "time\",\"stays\":["
    "{\"vm\":\"u1\",\"name\":\"oracle-1\",\"reasons\":["
    "{\"code\":\"memory\",\"host\":\"kvm-02\",\"need\":\"96 GiB\",\"have\":\"12 "
    "GiB\",\"have_n\":12,"
    "\"cure\":\"free 84 GiB on kvm-02\"},"
    "{\"code\":\"memory\",\"host\":\"kvm-03\",\"need\":\"96 GiB\",\"have\":\"61 "
    "GiB\",\"have_n\":61,"
    "\"cure\":\"free 35 GiB on kvm-03\"},"
    "{\"code\":\"host_not_up\",\"host\":\"kvm-05\",\"have\":\"draining since 10:02 (run/40)\"},"
    "{\"code\":\"host_required\",\"host\":\"kvm-06\",\"what\":\"oracle-licensed\",\"where\":"
    "\"rules/db.yaml:14\"},"
    "{\"code\":\"host_required\",\"host\":\"kvm-08\",\"what\":\"oracle-licensed\",\"where\":"
    "\"rules/db.yaml:14\"}]},"
    "{\"vm\":\"u2\",\"name\":\"gpu\",\"reasons\":[{\"code\":\"host_device\",\"what\":\"pci "
    "01:00.0\"}]},"
    "{\"vm\":\"u3\",\"name\":\"old\",\"off\":true,\"reasons\":[{\"code\":\"local_disk\",\"what\":"
    "\"vda\"}]}]}}";

static void refusal_in_four_parts(void **state)
{
    (void)state;
    struct run_view v = view(blocked);
    cleanup(freep) char *s = printed(refusal_print, &v.run);
    assert_string_equal(
        s, "drover: host/kvm-07 not drained: 2 of 23 VMs cannot leave; nothing was moved, the host "
           "is up as before\n"
           "  vm/oracle-1  not enough memory: needs 96 GiB; kvm-03 has 61 GiB, kvm-02 has 12 GiB\n"
           "               kvm-05: the host takes no VMs: draining since 10:02 (run/40)\n"
           "               kvm-06, kvm-08: a rule does not allow this host (oracle-licensed) "
           "(policy rules/db.yaml:14)\n"
           "  vm/gpu       a host device is attached (pci 01:00.0)\n"
           "shut off, and in nobody's way on the host:\n"
           "  vm/old       a disk is local to its host (vda)\n"
           "  ways out:    free 84 GiB on kvm-02\n"
           "               free 35 GiB on kvm-03\n"
           "               drover drain kvm-07 --avoid kvm-09 -m 'it'\\''s time' --on-blocked "
           "leave   drain the other 21\n"
           "               drover drain kvm-07 --avoid kvm-09 -m 'it'\\''s time' --allow-shutdown "
           "vm/oracle-1   it may be "
           "shut off\n"
           "               drover drain kvm-07 --avoid kvm-09 -m 'it'\\''s time' --allow-shutdown "
           "vm/gpu   it may be "
           "shut off\n");
    shape_done(&run_view_shape, &v);
}

static void refusal_without_vms(void **state)
{
    (void)state;
    struct run_view v =
        view("{\"run\":{\"id\":1,\"state\":\"refused\",\"host\":\"h1\",\"host_was\":\"cordoned\","
             "\"message\":\"no other host is connected\"}}");
    cleanup(freep) char *s = printed(refusal_print, &v.run);
    assert_string_equal(
        s,
        "drover: host/h1 not drained: no other host is connected; nothing was moved, the host is "
        "cordoned as before\n");
    shape_done(&run_view_shape, &v);
}

static void who_blocks(void **state)
{
    (void)state;
    struct run_view v = view(blocked);
    assert_int_equal(stays_of(&v.run, FATE_BLOCKED), 2);
    v.run.state = RUN_PLANNED;
    assert_int_equal(run_exit(&v.run), X_BLOCKED);
    v.run.on_blocked = 3; /* shutdown: only whom the operator named */
    assert_int_equal(stays_of(&v.run, FATE_BLOCKED), 2);
    *vec_add(&v.run.allow_shutdown, &v.run.n_allow_shutdown) = xstrdup("gpu");
    assert_int_equal(stays_of(&v.run, FATE_BLOCKED), 1);
    *vec_add(&v.run.allow_shutdown, &v.run.n_allow_shutdown) = xstrdup("*"); /* a name as any */
    assert_int_equal(stays_of(&v.run, FATE_BLOCKED), 1);
    v.run.stop_all = true;
    assert_int_equal(stays_of(&v.run, FATE_BLOCKED), 0);
    assert_int_equal(run_exit(&v.run), X_DONE);
    assert_int_equal(stays_of(&v.run, FATE_STOPS), 2);
    assert_int_equal(stays_of(&v.run, FATE_OFF), 1);
    v.run.stays[1].deaf = true; /* nothing would reach its guest */
    assert_int_equal(stays_of(&v.run, FATE_BLOCKED), 1);
    v.run.stays[1].deaf = false;
    v.run.state = RUN_RUNNING;
    v.run.stays[0].stopped = true;
    v.run.stays[1].disobeyed = xstrdup("the guest did not shut down within 180 s");
    assert_int_equal(stays_of(&v.run, FATE_STOPPED), 1);
    assert_int_equal(stays_of(&v.run, FATE_BLOCKED), 1);
    v.run.stays[0].stopped = false;
    v.run.state = RUN_PARTLY; /* it has ended: only what really was stopped counts as stopped */
    assert_int_equal(stays_of(&v.run, FATE_BLOCKED), 2);
    shape_done(&run_view_shape, &v);
}

/* The ways out that a run in this state, with this VM in the way, is told. */
static char *ways(const char *run, const char *stay)
{
    cleanup(freep) char *json = xasprintf("{\"run\":{\"id\":1,\"kind\":\"drain\",\"host\":\"h1\","
                                          "\"vms\":1,%s,\"stays\":[{\"vm\":\"u\","
                                          "\"name\":\"web\",%s}]}}",
                                          run, stay);
    struct run_view v = view(json);
    char *s = printed(ways_out_print, &v.run);
    shape_done(&run_view_shape, &v);
    return s;
}

static void only_ways_that_lead_out(void **state)
{
    (void)state;
    static const struct {
        const char *run, *stay, *said;
    } cases[] = {
        {"\"state\":\"refused\"",
         "\"deaf\":true,\"reasons\":[{\"code\":\"host_not_up\",\"host\":\"h2\",\"more\":true,"
         "\"cure\":\"drover "
         "resume h2\"}]",
         ""},
        {"\"state\":\"refused\"",
         "\"deaf\":true,\"reasons\":[{\"code\":\"vm_paused\",\"cure\":\"resume it on h1: virsh "
         "resume "
         "web\"}]",
         "  ways out:  resume it on h1: virsh resume web\n"},
        {"\"state\":\"refused\",\"on_blocked\":\"cold\"",
         "\"cold\":true,\"reasons\":[{\"code\":\"vm_state\"}]",
         "  ways out:  drover drain h1 --on-blocked cold --allow-shutdown vm/web   it may be shut "
         "down, moved and started\n"},
        {"\"state\":\"planned\",\"on_blocked\":\"cold\",\"stop_all\":true",
         "\"reasons\":[{\"code\":\"local_disk\"}]",
         "  ways out:  drover drain h1 --on-blocked shutdown   it may be shut off\n"},
        {"\"state\":\"planned\",\"on_blocked\":\"shutdown\",\"allow_shutdown\":[\"db\"]",
         "\"cold\":true,\"reasons\":[{\"code\":\"cache_mode\"}]",
         "  ways out:  drover drain h1 --allow-shutdown vm/db --allow-shutdown vm/web   it may be "
         "shut off\n"},
        {"\"state\":\"partly\",\"on_blocked\":\"leave\"",
         "\"cold\":true,\"reasons\":[{\"code\":\"migrate_failed\"}]",
         "  ways out:  drover drain h1 --on-blocked cold --allow-shutdown vm/web   it may be shut "
         "down, moved and started\n"},
        {"\"state\":\"partly\",\"on_blocked\":\"leave\"", "\"reasons\":[{\"code\":\"local_disk\"}]",
         ""},
        {"\"state\":\"partly\",\"on_blocked\":\"shutdown\",\"stop_all\":true",
         "\"disobeyed\":\"it slept\",\"reasons\":[{\"code\":\"host_device\"}]", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cleanup(freep) char *said = ways(cases[i].run, cases[i].stay);
        assert_string_equal(said, cases[i].said);
    }
}

/* Ways that were tried: whom they help, which hosts would do, the proof, and no cure that was not. */
static void ways_that_were_tried(void **state)
{
    (void)state;
    struct run_view v = view(
        "{\"run\":{\"id\":1,\"kind\":\"drain\",\"state\":\"refused\",\"host\":\"h1\",\"vms\":9,"
        "\"ways_tried\":true,\"shortages\":[{\"kind\":\"memory\",\"vms\":[\"a\"],\"text\":\"needs "
        "8 GiB; 4 GiB free at most (h2)\"},{\"kind\":\"memory\",\"vms\":[\"b\",\"c\"],\"text\":\"2 "
        "VMs need 9 GiB together; 4 GiB free on 5 allowed hosts\"}],"
        "\"stays\":[{\"vm\":\"1\",\"name\":\"a\",\"deaf\":true,"
        "\"reasons\":[{\"code\":\"memory\",\"host\":\"h2\",\"need\":\"8 GiB\",\"have\":\"4 GiB "
        "free\",\"have_n\":4,\"cure\":\"free 9 GiB on h2\"},{\"code\":\"memory\",\"host\":\"h3\","
        "\"need\":\"8 GiB\",\"have\":\"3 GiB free\",\"have_n\":3},{\"code\":\"memory\",\"host\":"
        "\"h4\",\"need\":\"8 GiB\",\"have\":\"2 GiB free\",\"have_n\":2},{\"code\":\"memory\","
        "\"host\":\"h5\",\"need\":\"8 GiB\",\"have\":\"1 GiB free\",\"have_n\":1}],"
        "\"ways\":[{\"kind\":\"resume\",\"text\":\"drover resume h9\",\"hosts\":[\"h9\"],"
        "\"unblocks\":2},{\"kind\":\"room\",\"text\":\"free 4 GiB on h2\",\"hosts\":[\"h2\",\"h3\","
        "\"h4\",\"h5\"],\"unblocks\":1}]},"
        "{\"vm\":\"2\",\"name\":\"b\",\"deaf\":true,\"reasons\":[{\"code\":\"bridge\",\"host\":"
        "\"h2\"}],\"ways\":[{\"kind\":\"resume\",\"text\":\"drover resume h9\",\"hosts\":[\"h9\"],"
        "\"unblocks\":2},{\"kind\":\"move\",\"text\":\"move vm/x (1 GiB) from h2 to h3 first\","
        "\"unblocks\":1}]},"
        "{\"vm\":\"3\",\"name\":\"c\",\"deaf\":true,\"reasons\":[{\"code\":\"bridge\",\"host\":"
        "\"h2\",\"cure\":\"create br7 on h2\"}]}]}}");
    cleanup(freep) char *s = printed(refusal_print, &v.run);
    assert_string_equal(
        s,
        "drover: host/h1 not drained: 3 of 9 VMs cannot leave; nothing was moved, the host is up "
        "as before\n"
        "  vm/a       proven: needs 8 GiB; 4 GiB free at most (h2)\n"
        "             4 hosts: not enough memory: needs 8 GiB; at most 4 GiB free (h2)\n"
        "  vm/b       h2: a bridge is missing\n"
        "             the same: vm/c\n"
        "  proven:    2 VMs need 9 GiB together; 4 GiB free on 5 allowed hosts\n"
        "  ways out:  drover resume h9   for vm/a, vm/b together\n"
        "             free 4 GiB on h2; or h3, h4 and 1 more   for vm/a\n"
        "             move vm/x (1 GiB) from h2 to h3 first   for vm/b\n"
        "             create br7 on h2   not checked\n"
        "             drover drain h1 --on-blocked leave   drain the other 6\n");
    shape_done(&run_view_shape, &v);
}

static void exit_codes_of_all_states(void **state)
{
    (void)state;
    static const struct {
        int state, moved, code;
    } cases[] = {
        {RUN_DONE, 8, X_DONE},        {RUN_PARTLY, 3, X_PARTLY},    {RUN_REFUSED, 0, X_BLOCKED},
        {RUN_CANCELLED, 3, X_PARTLY}, {RUN_CANCELLED, 0, X_FAILED}, {RUN_FAILED, 0, X_FAILED},
        {RUN_PLANNED, 0, X_DONE},     {RUN_RUNNING, 0, X_FAILED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct run r = {.state = cases[i].state, .moved = cases[i].moved};
        assert_int_equal(run_exit(&r), cases[i].code);
    }
    assert_int_equal(run_exit(&(struct run){.state = RUN_CANCELLED, .definitions = 1}), X_PARTLY);
}

static char *summary(const char *json)
{
    struct run_view v = view(json);
    char *s = NULL;
    size_t n;
    FILE *f = open_memstream(&s, &n);
    summary_print(f, &v);
    fclose(f);
    shape_done(&run_view_shape, &v);
    return s;
}

#define MOVE(name, st, more)                                                                       \
    "{\"id\":1,\"run\":42,\"vm\":\"u\",\"vm_name\":\"" name                                        \
    "\",\"from\":\"h1\",\"to\":\"h2\",\"state\":\"" st "\"," more "}"

static void summaries(void **state)
{
    (void)state;
    cleanup(freep) char *done =
        summary("{\"run\":{\"id\":42,\"state\":\"done\",\"host\":\"h1\",\"vms\":2,\"moved\":2,"
                "\"stopped\":1,"
                "\"started_wall_us\":1000000,\"ended_wall_us\":42000000,\"bound_us\":31000000,"
                "\"longest_pause_us\":180000,"
                "\"proof\":{\"taken\":true,\"wall_us\":1}},\"moves\":[" MOVE(
                    "a", "done",
                    "\"live\":true") "," MOVE("b", "done",
                                              "\"live\":false") "," MOVE("c", "done",
                                                                         "\"offline\":true") "]}");
    assert_string_equal(
        done,
        "host/h1 drained: 1 of 2 VMs moved live, 1 moved cold (stopped, moved, started), 1 moved "
        "shut off, 1 stopped, makespan 41 s (link bound 31 s), longest pause 180 ms; host/h1 is in "
        "maintenance, proven empty (0 domains, 0 jobs, 0 watchers)\n");
    cleanup(freep) char *least =
        summary("{\"run\":{\"id\":42,\"state\":\"done\",\"host\":\"h1\",\"vms\":3,\"moved\":3,"
                "\"unmeasured\":2,\"started_wall_us\":1000000,\"ended_wall_us\":41000000,"
                "\"bound_us\":2500000,\"longest_pause_us\":200000}}");
    assert_non_null(strstr(least,
                           "makespan 40 s (link bound at least 2.5 s), longest pause at least "
                           "200 ms;"));
    cleanup(freep) char *unknown = summary("{\"run\":{\"id\":42,\"state\":\"done\",\"host\":\"h1\","
                                           "\"vms\":1,\"moved\":1,\"unmeasured\":1}}");
    assert_non_null(strstr(unknown, ", longest pause unknown;"));
    cleanup(freep) char *unproven =
        summary("{\"run\":{\"id\":42,\"state\":\"done\",\"host\":\"h1\"}}");
    assert_string_equal(
        unproven,
        "host/h1 drained: 0 of 0 VMs moved live, 0 stopped; host/h1 is in maintenance, but it "
        "is not proven empty\n");
    cleanup(freep) char *partly = summary(
        "{\"run\":{\"id\":42,\"state\":\"partly\",\"host\":\"h1\",\"vms\":2,\"moved\":1,\"on_"
        "blocked\":\"leave\","
        "\"stays\":[{\"vm\":\"u\",\"name\":\"b\",\"reasons\":[{\"code\":\"local_disk\",\"what\":"
        "\"vda\","
        "\"cure\":\"copy it to RBD\"}]}]},\"moves\":[" MOVE("a", "done", "\"live\":true") "]}");
    assert_string_equal(
        partly,
        "host/h1 partly drained: 1 of 2 VMs moved live, 0 stopped; the host takes no new VMs "
        "(drover resume h1 opens it); 1 VM stays:\n"
        "  vm/b       a disk is local to its host (vda)\n"
        "  ways out:  copy it to RBD\n");
    cleanup(freep) char *cancelled =
        summary("{\"run\":{\"id\":42,\"state\":\"cancelled\",\"host\":\"h1\",\"vms\":3,\"moved\":1,"
                "\"host_was\":\"up\"},"
                "\"moves\":[" MOVE("a", "done", "\"live\":true") "," MOVE(
                    "b", "cancelled", "\"live\":true") "," MOVE("c", "failed",
                                                                "\"error\":\"no route\"") "]}");
    assert_string_equal(
        cancelled,
        "drain of host/h1 cancelled: 1 of 3 VMs moved live, 0 stopped; the host is up as "
        "before\n"
        "  vm/a  moved h1 → h2\n"
        "  vm/b  stays on h1\n"
        "  vm/c  stays on h1: no route\n");
    cleanup(freep) char *failed = summary("{\"run\":{\"id\":42,\"state\":\"failed\",\"host\":"
                                          "\"h1\",\"message\":\"its agent did not come back\"}}");
    assert_string_equal(failed, "drover: host/h1 not drained: its agent did not come back\n");
}

#define HOSTS(a, b)                                                                                \
    "\"hosts\":[{\"name\":\"h1\",\"was\":\"up\"" a "},{\"name\":\"h2\",\"was\":\"cordoned\"" b "}" \
                                                                                               "]"
#define EMPTY ",\"ended_wall_us\":5,\"proof\":{\"taken\":true}"
#define FULL  ",\"ended_wall_us\":5,\"proof\":{\"taken\":true,\"running\":1}"

static void several_hosts(void **state)
{
    (void)state;
    cleanup(freep) char *done = summary(
        "{\"run\":{\"id\":42,\"state\":\"done\",\"vms\":1,\"moved\":1,\"proof\":{\"taken\":true}"
        "," HOSTS(EMPTY, EMPTY) "},\"moves\":[" MOVE("a", "done", "\"live\":true") "]}");
    assert_string_equal(done, "hosts h1, h2 drained: 1 of 1 VM moved live, 0 stopped; they are in "
                              "maintenance, proven empty (0 domains, 0 jobs, 0 watchers)\n");
    cleanup(freep) char *partly =
        summary("{\"run\":{\"id\":42,\"state\":\"partly\",\"vms\":2,\"moved\":1," HOSTS(
            EMPTY, FULL) "},"
                         "\"moves\":[" MOVE("a", "done", "\"live\":true") "]}");
    assert_string_equal(partly,
                        "hosts h1, h2 partly drained: 1 of 2 VMs moved live, 0 stopped; not "
                        "empty, and closed to new VMs: h2 (drover resume HOST opens one); 0 "
                        "VMs stay:\n");
    cleanup(freep) char *refused = summary(
        "{\"run\":{\"id\":42,\"state\":\"refused\",\"message\":\"why\"," HOSTS("", "") "}}");
    assert_string_equal(refused, "drover: hosts h1, h2 not drained: why; nothing was moved, the "
                                 "hosts are as before\n");
    cleanup(freep) char *cancelled =
        summary("{\"run\":{\"id\":42,\"state\":\"cancelled\",\"message\":\"h1 stays in "
                "maintenance\"," HOSTS(EMPTY, "") "}}");
    assert_string_equal(cancelled,
                        "drain of hosts h1, h2 cancelled before the first move; h1 stays "
                        "in maintenance\n");
}

#define FACT(w, lock)                                                                              \
    "{\"target\":\"vda\",\"pool\":\"rbd\",\"image\":\"root\",\"ok\":true,\"fsid\":\"f-1\","        \
    "\"image_id\":\"5e1f\","                                                                       \
    "\"pool_id\":2,\"size_bytes\":1073741824,\"features\":5,\"watchers\":[{\"address\":\"" w       \
    "\"}],"                                                                                        \
    "\"lockers\":[{\"address\":\"" lock "\"}]}"

static void what_ceph_said(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {
        {"GET /v1/runs/42", 0,
         "{\"run\":{\"id\":42,\"state\":\"done\",\"host\":\"h1\"},\"moves\":[" MOVE(
             "a", "done",
             "\"live\":true,\"confirmed_wall_us\":1000000,\"proven_wall_us\":9000000,"
             "\"ceph_src\":[" FACT("h1:0/1", "h1:0/1") "],\"ceph_dst\":[" FACT(
                 "h1:0/1", "h1:0/1") "],"
                                     "\"ceph_after\":[" FACT("h2:0/7", "h2:0/7") "]") "]}"},
        {0}};
    fake_run(&o, script, "run run/42 --ceph", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(
        o.out,
        "vm/a  h1 → h2  moved  confirmed 00:00:01  proven 00:00:09\n"
        "  vda  rbd/root\n"
        "                BEFORE, SEEN BY h1       BEFORE, SEEN BY h2       AFTER, SEEN BY h2\n"
        "    fsid        f-1                      f-1                      f-1\n"
        "    pool        2 (rbd)                  2 (rbd)                  2 (rbd)\n"
        "    image id    5e1f                     5e1f                     5e1f\n"
        "    size        1 GiB                    1 GiB                    1 GiB\n"
        "    features    layering,exclusive-lock  layering,exclusive-lock  "
        "layering,exclusive-lock\n"
        "    watchers    h1:0/1                   h1:0/1                   h2:0/7\n"
        "    lock owner  h1:0/1                   h1:0/1                   h2:0/7\n");
    outcome_done(&o);
}

static void one_run(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {
        {"GET /v1/runs/42", 0,
         "{\"wall_us\":5000000,\"run\":{\"id\":42,\"state\":\"running\",\"host\":\"h1\",\"actor\":"
         "\"root (uid 0)\","
         "\"vms\":2,\"moved\":1,\"moving\":1,\"created_wall_us\":1000000,\"to\":[\"h2\"]},"
         "\"moves\":[" MOVE(
             "a", "done",
             "\"live\":true,\"mem_bytes\":1073741824,\"bytes\":2147483648,\"attempt\":2,"
             "\"copy_wall_us\":1000000,\"ended_wall_us\":3000000,\"downtime_us\":61000,"
             "\"proven_wall_us\":1,\"tried\":[{\"to\":\"h3\",\"code\":\"migrate_failed\","
             "\"error\":\"no route\",\"wall_us\":1000000}]") "," MOVE("b", "uncertain",
                                                                      "\"live\":true,\"mem_bytes\":"
                                                                      "1073741824,\"attempt\":1,"
                                                                      "\"note\":\"probing\"") "]}"},
        {0}};
    fake_run(&o, script, "runs 42", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_string_equal(
        o.out,
        "run/42  drain of host/h1  running\n"
        "asked by   root (uid 0)\n"
        "asked at   1970-01-01 00:00:01\n"
        "took       4.0 s\n"
        "options    --to h2 --on-blocked refuse\n"
        "moves      1/2 moved · 1 moving · 0 queued\n"
        "\n"
        "VM    FROM  TO  STATE       NEED   SENT   TOOK  PAUSED  CEPH           TRY  NOTE\n"
        "vm/a  h1    h2  moved      1 GiB  2 GiB  2.0 s   61 ms  writer proven    2  -\n"
        "vm/b  h1    h2  uncertain  1 GiB      -      -       -  -                1  probing\n"
        "00:00:01 vm/a did not move to h3: migrate_failed: no route\n"
        "\n");
    outcome_done(&o);
}

/* Nothing waits in it. */
static void a_dry_run(void **state)
{
    (void)state;
    struct outcome o = {0};
    const struct fake_answer script[] = {
        {"GET /v1/runs/43", 0,
         "{\"wall_us\":5000000,\"run\":{\"id\":43,\"state\":\"planned\",\"dry_run\":true,"
         "\"host\":\"h1\",\"actor\":\"root\",\"vms\":2,\"queued\":2,"
         "\"created_wall_us\":1000000},\"moves\":[]}"},
        {0}};
    fake_run(&o, script, "runs 43", false, NULL);
    assert_int_equal(o.code, X_DONE);
    assert_non_null(strstr(o.out, "run/43  drain of host/h1 (dry run)  planned\n"));
    assert_non_null(strstr(o.out, "moves      2 of 2 would move, none is\n"));
    outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusal_in_four_parts),
        cmocka_unit_test(refusal_without_vms),
        cmocka_unit_test(who_blocks),
        cmocka_unit_test(only_ways_that_lead_out),
        cmocka_unit_test(ways_that_were_tried),
        cmocka_unit_test(exit_codes_of_all_states),
        cmocka_unit_test(summaries),
        cmocka_unit_test(several_hosts),
        cmocka_unit_test(what_ceph_said),
        cmocka_unit_test(one_run),
        cmocka_unit_test(a_dry_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
