/* Fleets from files: what is read, and that bad ones are refused with the place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/snap/snap.h"
#include "tests/unit/fill.h"

static struct snap parsed(const char *text)
{
    struct snap f;
    struct err e;
    if (snap_parse("f.json", text, strlen(text), &f, &e) < 0)
        fail_msg("%s", e.msg);
    return f;
}

static void refused(const char *text, const char *message)
{
    struct snap f;
    struct err e;
    if (snap_parse("f.json", text, strlen(text), &f, &e) == 0) {
        snap_done(&f);
        fail_msg("taken: %s", text);
    }
    if (!strstr(e.msg, message))
        fail_msg("expected '%s' in '%s'", message, e.msg);
    assert_true(str_has_prefix(e.msg, "f.json: "));
}

static const struct snap_vm *vm_named(const struct snap *f, const char *name)
{
    for (size_t i = 0; i < f->s.n_vms; i++)
        if (str_eq(f->vms[i].name, name))
            return &f->s.vms[i];
    fail_msg("no vm %s", name);
    return NULL;
}

/* ---- the short form ---------------------------------------------------------------------------- */
static void one_line_for_many(void **state)
{
    (void)state;
    struct snap f = parsed("{\"hosts\": \"kvm-[01-09,12] 256GiB 32c zone=z1 link=25Gbit ssd=yes\","
                           " \"vms\": [\"web-[1-3]@kvm-[01-02] 4GiB 2c app=web\", "
                           "\"db@kvm-12 64GiB shutoff\", \"run@kvm-03 1GiB to=kvm-04\"]}");
    assert_int_equal(f.s.n_hosts, 10);
    assert_string_equal(f.s.hosts[0].h->name, "kvm-01");
    assert_string_equal(f.s.hosts[9].h->name, "kvm-12");
    assert_int_equal(f.hosts[3].mem_bytes, 256 * GIB);
    assert_int_equal(f.hosts[3].cpus, 32);
    assert_int_equal(f.hosts[3].link_bps, INT64_C(25000000000));
    assert_string_equal(f.hosts[3].zone, "z1");
    assert_string_equal(label_get(f.hosts[3].labels, f.hosts[3].n_labels, "ssd"), "yes");
    assert_int_equal(f.s.hosts[0].state, HOST_UP);
    assert_int_equal(f.s.n_vms, 5);
    const struct snap_vm *w2 = vm_named(&f, "web-2"), *w3 = vm_named(&f, "web-3");
    assert_int_equal(w2->host, 1);
    assert_int_equal(w3->host, 0); /* in turn */
    assert_int_equal(w3->moving_to, -1);
    assert_int_equal(w3->v->state, VM_RUNNING);
    assert_true(w3->v->persistent);
    assert_int_equal(w3->v->vcpus, 2);
    assert_int_equal(strlen(w3->v->uuid), 36);
    assert_int_equal(vm_named(&f, "db")->v->state, VM_SHUTOFF);
    assert_int_equal(vm_named(&f, "db")->v->vcpus, -1); /* unknown, not none */
    assert_int_equal(vm_named(&f, "run")->moving_to, 3);
    snap_done(&f);
}

static void same_text_same_fleet(void **state)
{
    (void)state;
    static const char text[] =
        "{\"hosts\": [\"b 1GiB\", \"a 1GiB\"], \"vms\": [\"y@b 1MiB\", \"x@b 1MiB\"]}";
    struct snap f = parsed(text), g = parsed(text);
    assert_string_equal(f.hosts[0].name, "a");
    assert_string_equal(f.vms[0].name, "x");
    assert_int_equal(f.s.vms[0].host, 1);
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(f.vms[i].uuid, g.vms[i].uuid);
    assert_string_not_equal(f.vms[0].uuid, f.vms[1].uuid);
    snap_done(&f);
    snap_done(&g);
}

/* ---- the whole form ---------------------------------------------------------------------------- */
/* Something in every member, numbers as a fleet may have them. */
static void make_small(const struct shape *s, void *obj)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct shape_field *f = &s->fields[i];
        char *at = (char *)obj + f->off;
        if (f->kind == SK_INT)
            *(int64_t *)(void *)at %= 1000000;
        for (size_t k = 0; f->kind == SK_LIST && k < *(size_t *)(void *)((char *)obj + f->n_off);
             k++)
            make_small(f->sub, *(char **)(void *)at + k * f->sub->size);
    }
}

static void fill_small(const struct shape *s, void *obj, struct rng *r)
{
    fill(s, obj, r);
    make_small(s, obj);
}

static void round_trip(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 11);
    struct host hosts[2];
    struct vm vms[3];
    struct snap_host sh[2];
    struct snap_vm sv[3];
    for (int i = 0; i < 2; i++) {
        fill_small(&host_shape, &hosts[i], &r);
        free(hosts[i].name);
        hosts[i].name = xasprintf("h%d", i);
        hosts[i].mem_bytes = 64 * GIB;
        sh[i] = (struct snap_host){
            .h = &hosts[i], .state = i ? HOST_DRAINING : HOST_UP, .connected = !i};
    }
    for (int i = 0; i < 3; i++) {
        fill_small(&vm_shape, &vms[i], &r);
        for (size_t k = 0; k < vms[i].n_binds; k++) {
            free(vms[i].binds[k].cells);
            vms[i].binds[k].cells = xstrdup("0-1,3");
        }
        free(vms[i].name);
        free(vms[i].uuid);
        vms[i].name = xasprintf("v%d", i);
        vms[i].uuid = xasprintf("00000000-0000-0000-0000-00000000000%d", i);
        vms[i].mem_bytes = i ? i * GIB : -1;
        free(vms[i].xml);
        vms[i].xml = xstrdup("<domain><graphics passwd='hunter2'/></domain>");
        sv[i] = (struct snap_vm){.v = &vms[i],
                                 .host = i % 2,
                                 .moving_to = i == 2 ? 1 : -1,
                                 .other_run = i == 2,
                                 .will_start = i == 1};
    }
    const struct cpu_figures busy = {9, 8, 7, 6, 5, 4, 3, 2}, other = {2, 2, 2, -1, -1, -1, -1, -1},
                             used = {-1, 1, 1, 1, 1, 1, -1, -1};
    sh[0].cpu = &busy;
    sh[0].other = &other;
    sv[1].cpu = &used;
    struct snapshot s = {.hosts = sh, .n_hosts = 2, .vms = sv, .n_vms = 3};
    cleanup(freep) char *text = snap_text(&s, 1700000000 * SEC);
    assert_null(strstr(text, "hunter2"));
    assert_null(strstr(text, "cpu_xml"));
    assert_null(strstr(text, "digest"));
    assert_non_null(strstr(text, "\n],\n\"vms\": [\n  {")); /* an element a line, for diff */
    struct snap f = parsed(text);
    assert_string_equal(f.taken, "2023-11-14T22:13:20Z");
    assert_true(shape_equal(&cpu_figures_shape, f.s.hosts[0].cpu, &busy));
    assert_int_equal(f.s.hosts[0].other->m5_mcpu, 2);
    assert_int_equal(f.s.hosts[0].other->d1_mcpu, 6); /* not said: what no VM uses */
    assert_null(f.s.hosts[1].cpu);
    assert_null(f.s.vms[0].cpu);
    assert_int_equal(f.s.vms[1].cpu->now_mcpu, -1);
    f.s.hosts[0].other = &other;
    cleanup(freep) char *text2 = snap_text(&f.s, 1700000000 * SEC);
    assert_string_equal(text, text2);
    assert_int_equal(f.s.hosts[1].state, HOST_DRAINING);
    assert_false(f.s.hosts[1].connected);
    assert_int_equal(f.vms[0].mem_bytes, -1);
    assert_int_equal(f.s.vms[2].moving_to, 1);
    assert_true(f.s.vms[2].other_run);
    assert_true(f.s.vms[1].will_start);
    snap_done(&f);
    for (int i = 0; i < 2; i++)
        shape_done(&host_shape, &hosts[i]);
    for (int i = 0; i < 3; i++)
        shape_done(&vm_shape, &vms[i]);
}

/* Load by hand: a host's own part is what its VMs leave, and never below nothing. */
static void load_of_a_file(void **state)
{
    (void)state;
    struct snap f = parsed("{\"hosts\": [{\"name\": \"h1\", \"cpus\": 8, \"cpu\": {\"m5_mcpu\": "
                           "3000, \"h1_mcpu\": 100}},"
                           " {\"name\": \"h2\", \"cpus\": 8}],"
                           " \"vms\": [{\"name\": \"a\", \"host\": \"h1\", \"cpu\": {\"m5_mcpu\": "
                           "2000, \"h1_mcpu\": 500}},"
                           " {\"name\": \"b\", \"host\": \"h1\", \"cpu\": {\"m5_mcpu\": 400}},"
                           " {\"name\": \"c\", \"host\": \"h2\", \"cpu\": {\"m5_mcpu\": 400}}]}");
    assert_int_equal(f.s.hosts[0].other->m5_mcpu, 600);
    assert_int_equal(f.s.hosts[0].other->h1_mcpu, 0);
    assert_int_equal(f.s.hosts[0].other->d1_mcpu, -1);
    assert_true(snap_measured(&f.s.hosts[0]));
    assert_null(f.s.hosts[1].cpu);
    assert_null(f.s.hosts[1].other);
    assert_false(snap_measured(&f.s.hosts[1]));
    snap_done(&f);
    struct err e = {0};
    const char *bad = "{\"hosts\": [{\"name\": \"h1\", \"cpu\": {\"m5_mcpu\": -7}}], \"vms\": []}";
    assert_true(snap_parse("f", bad, strlen(bad), &f, &e) < 0);
    assert_non_null(strstr(e.msg, "m5_mcpu: -7 is negative"));
    bad = "{\"hosts\": [{\"name\": \"h1\", \"cpu\": {\"m5\": 7}}], \"vms\": []}";
    assert_true(snap_parse("f", bad, strlen(bad), &f, &e) < 0);
    assert_non_null(strstr(e.msg, "cpu.m5: unknown member"));
}

#define HOSTS "\"hosts\": [{\"name\": \"h1\"}, {\"name\": \"h2\", \"mem_bytes\": 1000}]"

static void what_may_be_left_out(void **state)
{
    (void)state;
    struct snap f = parsed("{" HOSTS ", \"vms\": [{\"name\": \"a\", \"host\": \"h1\"}, "
                           "{\"name\": \"b\", \"host\": \"h2\", \"persistent\": null}]}");
    assert_int_equal(f.hosts[0].mem_bytes, -1);
    assert_true(f.s.hosts[0].connected && f.hosts[0].libvirt_up);
    assert_int_equal(f.s.hosts[0].state, HOST_UP);
    assert_int_equal(f.vms[0].mem_bytes, -1);
    assert_int_equal(f.vms[0].state, VM_RUNNING);
    assert_true(f.vms[0].persistent && f.vms[1].persistent);
    assert_int_equal(snap_doubt(&f), 2);
    assert_int_equal(f.hosts[1].mem_bytes, -1); /* its free memory is not known */
    snap_done(&f);
}

/* The order of the members, spaces and single lines are the writer's choice. */
static void any_order(void **state)
{
    (void)state;
    struct snap f =
        parsed("\n\t{ \"vms\" : [ \"b@h2 1GiB\" ,{\"name\":\"a\",\"host\":\"h1\"} ] ,\r\n"
               "\"hosts\":\"h[1-2] 4GiB\",\"taken\":\"now\",\"schema\":\"drover.snapshot/1\"}\n ");
    assert_int_equal(f.s.n_hosts, 2);
    assert_int_equal(f.s.n_vms, 2);
    assert_string_equal(f.vms[0].name, "a");
    assert_int_equal(f.s.vms[1].host, 1);
    assert_string_equal(f.taken, "now");
    snap_done(&f);
}

static void bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "line 1 column"},
        {"{\n\"hosts\": [\n]]", "line 3 column"},
        {"[]", "expected an object"},
        {"null", "line 1 column"},
        {"{\"hosts\": [], \"vms\": []", "line 1 column"},
        {"{\"hosts\": [],}", "line 1 column 14: string or '}' expected near '}'"},
        {"{\"hosts\": [] \"vms\": []}", "line 1 column"},
        {"{\"hosts\": [], \"vms\": [\n\"a@h1\" \"b@h1\"]}", "line 2 column"},
        {"{\"hosts\": [], \"vms\": []} x", "line 1 column 26: end of file expected near 'x'"},
        {"{\"hosts\": [\"h1\"], \"vms\": [], \"hosts\": []}",
         "duplicate object key near '\"hosts\"'"},
        {"{\"hosts\": [\"h1\",]}", "line 1 column"},
        {"{\"taken\": [], \"hosts\": [], \"vms\": []}", "taken: expected a string"},
        {"{\"others\": [1, {\"a\": []}], \"hosts\": [], \"vms\": []}", "others: unknown member"},
        {"{\"hosts\": [1e999]}", "real number overflow"},
        {"{\"hosts\": [NaN]}", "line 1 column"},
        {"{\"hosts\": [99999999999999999999]}", "too big integer"},
        {"{\"schema\": \"drover.hosts/1\", \"hosts\": [], \"vms\": []}",
         "is no fleet; expected \"drover.snapshot/1\""},
        {"{\"schema\": \"drover.snapshot/2\", \"hosts\": [], \"vms\": []}",
         "version 2; this drover reads version 1"},
        {"{\"schema\": 1, \"hosts\": [], \"vms\": []}", "schema: expected a string"},
        {"{\"hosts\": []}", "vms: is missing"},
        {"{\"vms\": []}", "hosts: is missing"},
        {"{\"hosts\": 3, \"vms\": []}", "hosts: expected a list"},
        {"{\"host\": [], \"hosts\": [], \"vms\": []}",
         "host: unknown member; did you mean \"hosts\"?"},
        {"{\"hosts\": [3], \"vms\": []}", "hosts[0]: expected an object, or a line such as"},
        {"{\"hosts\": [{\"mem_bytes\": 3}], \"vms\": []}", "hosts[0].name: is missing"},
        {"{\"hosts\": [{\"name\": \"\"}], \"vms\": []}", "hosts[0]: the name is empty"},
        {"{\"hosts\": [{\"name\": \"a\\u001bb\"}], \"vms\": []}", "control character"},
        {"{\"hosts\": [{\"name\": \"h1\", \"mem_byte\": 3}], \"vms\": []}",
         "hosts[0] (h1): mem_byte: unknown member; did you mean \"mem_bytes\"?"},
        {"{\"hosts\": [{\"name\": \"h1\", \"mem_bytes\": 1, \"load_ppm\": 5}], \"vms\": []}",
         "hosts[0] (h1): load_ppm: this snapshot is of an earlier version of Drover; take a new "
         "one"},
        {"{\"hosts\": [{\"name\": \"h1\", \"conected\": true}], \"vms\": []}",
         "did you mean \"connected\"?"},
        {"{\"hosts\": [{\"name\": \"h1\", \"mem_bytes\": -5}], \"vms\": []}",
         "hosts[0]: mem_bytes: -5 is negative"},
        {"{\"hosts\": [{\"name\": \"h1\", \"mem_bytes\": 1.5}], \"vms\": []}",
         "hosts[0] (h1): mem_bytes: expected an integer"},
        {"{\"hosts\": [{\"name\": \"h1\", \"mem_bytes\": 9007199254740993}], \"vms\": []}",
         "is out of range"},
        {"{\"hosts\": [{\"name\": \"h1\", \"state\": \"upp\"}], \"vms\": []}",
         "state: unknown word \"upp\"; did you mean \"up\"?"},
        {"{\"hosts\": [{\"name\": \"h1\"}, {\"name\": \"h1\"}], \"vms\": []}",
         "host h1 is there twice (the other: hosts[0])"},
        {"{" HOSTS ", \"vms\": [{\"name\": \"a\"}]}", "vms[0] (a): host: is missing"},
        {"{" HOSTS ", \"vms\": [{\"name\": \"a\", \"host\": \"h3\"}]}",
         "vms[0]: vm a is on host 'h3', which is not among the 2 hosts; did you mean 'h1'?"},
        {"{" HOSTS ", \"vms\": [{\"name\": \"a\", \"host\": \"h1\", \"moving_to\": \"x\"}]}",
         "host 'x', which is not"},
        {"{" HOSTS ", \"vms\": [{\"name\": \"a\", \"host\": \"h1\", \"mem_bytes\": -2}]}",
         "vms[0]: mem_bytes: -2 is negative"},
        {"{\"hosts\": [{\"name\": \"a\", \"cells\": [{\"id\": 0, \"mem_bytes\": -7}]}], \"vms\": "
         "[]}",
         "hosts[0]: mem_bytes: -7 is negative"},
        {"{\"hosts\": [\"a 1GiB\"], \"vms\": [{\"name\": \"x\", \"host\": \"a\", \"binds\": "
         "[{\"cells\": \"any\", \"mem_bytes\": 1}]}]}",
         "vms[0]: binds: cells: 'any': expected a set of cells below 64, such as 0 or 0-1,3"},
        {"{" HOSTS ", \"vms\": [{\"name\": \"a\", \"host\": \"h1\", \"disks\": [{\"target\": "
         "\"vda\", \"kind\": \"rbdd\"}]}]}",
         "vms[0] (a): disks[0].kind: unknown word \"rbdd\"; did you mean \"rbd\"?"},
        {"{" HOSTS ", \"vms\": [{\"name\": \"a\", \"host\": \"h1\", \"disks\": [{\"target\": "
         "\"vda\", \"kind\": \"rbd\", \"imag\": \"x\"}]}]}",
         "disks[0].imag: unknown member"},
        {"{" HOSTS ", \"vms\": [\"a@h1 1GiB\", \"a@h1 2GiB\"]}", "vms[1]: "},
        {"{" HOSTS ", \"vms\": [{\"name\": \"a\", \"host\": \"h1\", \"uuid\": \"u\"}, {\"name\": "
         "\"b\", \"host\": \"h1\", \"uuid\": \"u\"}]}",
         "has the UUID u of vm a on host h1 (vms[0])"},
        {"{" HOSTS ", \"vms\": [{\"name\": \"a\", \"host\": \"h1\", \"uuid\": \"u\"}, {\"name\": "
         "\"a\", \"host\": \"h2\", \"uuid\": \"u\"}]}",
         "has the UUID u of vm a"},
        {"{" HOSTS ", \"vms\": [{\"name\": \"a\", \"host\": \"h1\", \"uuid\": \"u\"}, {\"name\": "
         "\"a\", \"host\": \"h1\", \"uuid\": \"v\"}]}",
         "host h1 has two VMs called a"},
        {"{" HOSTS ", \"vms\": [\"a\"]}", "vms[0]: 'a': expected VM@HOST"},
        {"{" HOSTS ", \"vms\": [\"a@h1 4\"]}", "vms[0]: '4' has no unit"},
        {"{" HOSTS ", \"vms\": [\"a@h1 4GiX\"]}", "vms[0]: '4GiX' is not a size"},
        {"{" HOSTS ", \"vms\": [\"a@h1 runing\"]}", "did you mean 'running'?"},
        {"{" HOSTS ", \"vms\": [\"a[9-1]@h1\"]}", "expected numbers from low to high"},
        {"{" HOSTS ", \"vms\": [\"a[1-9@h1\"]}", "a [ without its ]"},
        {"{" HOSTS ", \"vms\": [\"a[0-999999999]@h1\"]}", "more than"},
        {"{" HOSTS ", \"vms\": [\"a[]@h1\"]}", "an empty word between [ and ]"},
        {"{\"hosts\": \"h[1-99999]\", \"vms\": []}", "more than 16384 names"},
        {"{\"hosts\": [\"a[1-16384]\", \"b\"], \"vms\": []}", "more than 16384 hosts"},
        {"{\"hosts\": \"h[0-99][0-99][0-99]\", \"vms\": []}", "more than 16384 names"},
        {"{\"hosts\": [\"h1 8GiB\"], \"hosts\": [], \"vms\": []}", "duplicate object key"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        refused(bad[i].text, bad[i].message);
}

/* Each size is in range, and together they would overflow a sum. */
static void too_much_together(void **state)
{
    (void)state;
    refused("{\"hosts\": \"h\", \"vms\": \"v[1-200]@h 8191TiB\"}",
            "the VMs' memory together is more than");
}

/* ---- importers --------------------------------------------------------------------------------- */
struct imported {
    struct snap f;
    char *notes;
    struct err e;
    int r;
};

static void import(struct imported *i, enum snap_format format, const char *text, const char *hosts,
                   const char *flavors)
{
    const struct snap_source vms = {"vms", text}, h = {"hosts", hosts}, fl = {"flavors", flavors};
    const struct snap_import in = {
        .files = &vms, .n_files = 1, .hosts = hosts ? &h : NULL, .flavors = flavors ? &fl : NULL};
    *i = (struct imported){0};
    i->r = snap_import(format, &in, &i->f, &i->notes, &i->e);
}

static void imported_done(struct imported *i)
{
    if (i->r == 0)
        snap_done(&i->f);
    free(i->notes);
}

static void import_refused(enum snap_format format, const char *text, const char *message)
{
    struct imported i;
    import(&i, format, text, NULL, NULL);
    if (i.r == 0)
        fail_msg("taken: %s", text);
    if (!strstr(i.e.msg, message))
        fail_msg("expected '%s' in '%s'", message, i.e.msg);
    imported_done(&i);
}

static void good(struct imported *i)
{
    if (i->r < 0)
        fail_msg("%s", i->e.msg);
}

static void csv(void **state)
{
    (void)state;
    struct imported i;
    import(&i, SNAP_CSV,
           "\xef\xbb\xbf# from the wiki\r\nHost;VM;vCPUs;Memory (MiB);State;Owner;label:app\r\n"
           "h1;;16;65536;up;;\r\n"
           "h2;;;;disabled;;\r\n"
           "h1;\"web;1\";2;4096;running;anna;web\r\n"
           "h1;db;;16 GiB;shut off;;\r\n"
           "h3;\"two\nlines\";4;;;;\r\n",
           NULL, NULL);
    assert_int_equal(i.r, -EBADMSG);
    assert_string_equal(i.e.msg, "vms:7: the name has a control character");
    imported_done(&i);
    import(&i, SNAP_CSV,
           "host,vm,cpus,memory_gib,label:app\nh1,,16,64,\nh1,\"a "
           "\"\"b\"\"\",2,4.5,web\nh2,c,,,\n,d,1,1,\n",
           NULL, NULL);
    good(&i);
    assert_int_equal(i.f.s.n_hosts, 2);
    assert_int_equal(i.f.hosts[0].mem_bytes, 64 * GIB);
    assert_int_equal(i.f.hosts[1].mem_bytes, -1);
    assert_string_equal(i.f.vms[0].name, "a \"b\"");
    assert_int_equal(i.f.vms[0].mem_bytes, 9 * GIB / 2);
    assert_string_equal(label_get(i.f.vms[0].labels, 1, "app"), "web");
    assert_int_equal(i.f.vms[1].mem_bytes, -1);
    assert_int_equal(i.f.vms[1].vcpus, -1);
    assert_int_equal(i.f.s.n_vms, 2);
    assert_non_null(
        strstr(i.notes, "1 of 3 VMs have no host and are left out, the first: d (vms:5)"));
    assert_non_null(strstr(i.notes, "1 of 2 hosts have no row of their own"));
    assert_non_null(strstr(i.notes, "1 of 2 VMs: their memory is not known"));
    imported_done(&i);
    import(&i, SNAP_CSV, "vm,host\na,h1\n", "name,cpus,memory,rack,link\nh1,8,32GiB,r1,10Gbit\n",
           NULL);
    good(&i);
    assert_int_equal(i.f.hosts[0].mem_bytes, 32 * GIB);
    assert_string_equal(i.f.hosts[0].rack, "r1");
    assert_int_equal(i.f.hosts[0].link_bps, INT64_C(10000000000));
    imported_done(&i);
}

static void bad_csv(void **state)
{
    (void)state;
    import_refused(SNAP_CSV, "", "vms:1: nothing there; expected a header");
    import_refused(SNAP_CSV, "h1,web-1,2,4096\n", "vms:1: no column 'host' in the header");
    import_refused(SNAP_CSV, "host,vm\nh1\n", "vms:2: 1 cells, the header in line 1 has 2");
    import_refused(SNAP_CSV, "host,vm,memory\n\nh1,a,4096\n", "vms:3: memory '4096': no unit");
    import_refused(SNAP_CSV, "host,vm,memory\nh1,a,much\n",
                   "vms:2: memory 'much': 'much' is not a size");
    import_refused(SNAP_CSV, "host,vm,memory\nh1,a,-4GiB\n", "vms:2: memory '-4GiB'");
    import_refused(SNAP_CSV, "host,vm,cpus\nh1,a,two\n",
                   "vms:2: cpus 'two': 'two' is not a whole number");
    import_refused(SNAP_CSV, "host,vm,cpus\nh1,a,-1\n", "vms:2: cpus '-1'");
    import_refused(SNAP_CSV, "host,vm,state\nh1,a,asleep\n",
                   "vms:2: state 'asleep': expected running");
    import_refused(SNAP_CSV, "host,vm,state\nh1,,asleep\n", "vms:2: state 'asleep': expected up");
    import_refused(SNAP_CSV, "host,vm\nh1,a\nh1,a\n", "vms:3: ");
    import_refused(SNAP_CSV, "host,vm\nh1,\nh1,\n", "host h1 is there twice");
    import_refused(SNAP_CSV, "host,vm\n,\n", "vms:2: neither a host nor a VM is named");
    import_refused(SNAP_CSV, "host,vm,name\n", "columns 'vm' and 'name' say the same");
    import_refused(SNAP_CSV, "host,vm\nh1,\"a\n", "vms:2: the file ends inside a quoted cell");
    import_refused(SNAP_CSV, "host,vm\nh1,a\"b\n", "vms:2: a quote in the middle");
}

static void openstack(void **state)
{
    (void)state;
    struct imported i;
    import(
        &i, SNAP_TABLE,
        "+--------------------------------------+-------+---------+-----------+--------+------+\n"
        "| ID                                   | Name  | Status  | Flavor    | Host   | Extra|\n"
        "+--------------------------------------+-------+---------+-----------+--------+------+\n"
        "| 11111111-2222-3333-4444-555555555555 | web 1 | ACTIVE  | m1.small  | kvm-01 |      |\n"
        "| 11111111-2222-3333-4444-555555555556 | db    | SHUTOFF | m1.large  | kvm-02 | x    |\n"
        "| 11111111-2222-3333-4444-555555555557 | lost  | ERROR   | m1.large  | None   |      |\n"
        "+--------------------------------------+-------+---------+-----------+--------+------+\n",
        "| ID | Hypervisor Hostname | State | vCPUs Used | vCPUs | Memory MB Used | Memory MB |\n"
        "| 1  | kvm-01              | up    | 4          | 32    | 8192           | 262144    |\n"
        "| 2  | kvm-02              | down  | 4          | 32    | 8192           | 262144    |\n",
        "| ID | Name     | RAM  | Disk | VCPUs |\n| 1 | m1.small | 2048 | 20 | 1 |\n| 2 | m1.large "
        "| 8192 | 20 | 4 |\n");
    good(&i);
    assert_int_equal(i.f.hosts[0].mem_bytes, 256 * GIB);
    assert_int_equal(i.f.hosts[0].cpus, 32);
    assert_int_equal(i.f.s.hosts[1].state, HOST_LOST);
    assert_int_equal(i.f.vms[1].mem_bytes, 2 * GIB);
    assert_string_equal(i.f.vms[1].name, "web 1");
    assert_string_equal(i.f.vms[1].uuid, "11111111-2222-3333-4444-555555555555");
    assert_int_equal(i.f.vms[0].vcpus, 4);
    assert_int_equal(i.f.vms[0].state, VM_SHUTOFF);
    assert_non_null(strstr(i.notes, "columns not used: Extra"));
    assert_non_null(strstr(i.notes, "the first: lost (vms:6)"));
    imported_done(&i);
}

static void virsh(void **state)
{
    (void)state;
    struct imported i;
    import(&i, SNAP_TABLE,
           " Id   Name     State      Host\n-----------------------------\n"
           " 1    web-1    running    h1\n -    web 2    shut off   h2\n 12   db       paused     "
           "h1\n",
           "HOST  CPUS  MEMORY\nh1    16    64.0 GiB\nh2    16    64 GiB\n", NULL);
    good(&i);
    assert_int_equal(i.f.s.n_vms, 3);
    assert_int_equal(vm_named(&i.f, "web 2")->v->state, VM_SHUTOFF);
    assert_int_equal(vm_named(&i.f, "db")->v->state, VM_PAUSED);
    assert_int_equal(i.f.hosts[1].mem_bytes, 64 * GIB);
    imported_done(&i);
    import_refused(SNAP_TABLE, " Id   Name    State\n 1    a   running\n",
                   "vms:1: no column 'host'");
    import_refused(SNAP_TABLE, "HOST  VM\n\nh1\n", "vms:3: 1 cells, the header in line 1 has 2");
    import_refused(SNAP_TABLE, "\n\n", "vms:1: nothing there");
}

#define GROUPS "default|uuid-1|preferred||\n\n"
#define NODES                                                                                      \
    "n1|65536|1024|61440|1000|1000|16|M|uuid-1|1|rack:r1,gold\nn2|65536|1024|61440|1000|1000|16|"  \
    "Y|uuid-1|1\n\n"

static void ganeti(void **state)
{
    (void)state;
    struct imported i;
    import(&i, SNAP_GANETI,
           GROUPS NODES
           "web|4096|100|2|running|Y|n1||rbd|app:web,gold|1\n"
           "db|8192|100|4|ADMIN_down|N|n2|n1|drbd||1\n\nhtools:iextags:app\n\n|128,1|x\n",
           NULL, NULL);
    good(&i);
    assert_int_equal(i.f.hosts[0].mem_bytes, 64 * GIB);
    assert_int_equal(i.f.hosts[0].cpus, 16);
    assert_string_equal(i.f.hosts[0].rack, "r1");
    assert_string_equal(label_get(i.f.hosts[0].labels, i.f.hosts[0].n_labels, "group"), "default");
    assert_int_equal(i.f.s.hosts[1].state, HOST_LOST);
    assert_false(i.f.s.hosts[1].connected);
    assert_int_equal(vm_named(&i.f, "web")->v->mem_bytes, 4 * GIB);
    assert_int_equal(vm_named(&i.f, "web")->v->disks[0].kind, DISK_RBD);
    assert_int_equal(vm_named(&i.f, "db")->v->disks[0].kind, DISK_FILE);
    assert_int_equal(vm_named(&i.f, "db")->v->state, VM_SHUTOFF);
    assert_string_equal(label_get(vm_named(&i.f, "web")->v->labels, 2, "gold"), "yes");
    assert_non_null(strstr(i.notes, "1 of 2 instances have disks that are not RBD"));
    imported_done(&i);
    import_refused(SNAP_GANETI, "", "no nodes; expected htools' text format");
    import_refused(SNAP_GANETI, GROUPS "n1|65536|1024\n", "vms:3: 3 fields; a node has at least 9");
    import_refused(SNAP_GANETI, GROUPS "n1|much|1|1|1|1|1|N|uuid-1\n",
                   "vms:3: memory 'much': expected a whole number");
    import_refused(SNAP_GANETI, GROUPS "n1|-1|1|1|1|1|1|N|uuid-1\n", "vms:3: memory '-1'");
    import_refused(SNAP_GANETI, GROUPS "n1|1|1|1|1|1|1|X|uuid-1\n",
                   "vms:3: flag 'X': expected N, M or Y");
    import_refused(SNAP_GANETI, GROUPS "n1|1|1|1|1|1|1|N|uuid-2\n", "vms:3: group 'uuid-2'");
    import_refused(
        SNAP_GANETI, GROUPS NODES "a|1|1|1|running|Y|n3||rbd||1\n",
        "vms:6: vm a is on host 'n3', which is not among the 2 hosts; did you mean 'n1'?");
    import_refused(SNAP_GANETI, GROUPS NODES "a|1|1|1|asleep|Y|n1||rbd||1\n",
                   "vms:6: status 'asleep'");
    import_refused(SNAP_GANETI,
                   GROUPS NODES "a|1|1|1|running|Y|n1||rbd||1\na|1|1|1|running|Y|n2||rbd||1\na|1|1|"
                                "1|running|Y|n2||rbd||1\n",
                   "vms:8: ");
    import_refused(SNAP_GANETI, GROUPS NODES "\n\n\nmore\n", "text after the fifth section");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_for_many),
        cmocka_unit_test(same_text_same_fleet),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(load_of_a_file),
        cmocka_unit_test(what_may_be_left_out),
        cmocka_unit_test(any_order),
        cmocka_unit_test(any_order),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(too_much_together),
        cmocka_unit_test(csv),
        cmocka_unit_test(bad_csv),
        cmocka_unit_test(openstack),
        cmocka_unit_test(virsh),
        cmocka_unit_test(ganeti),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
