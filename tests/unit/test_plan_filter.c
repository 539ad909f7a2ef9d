/* Each filter and rule: when it passes, when it refuses, and with moves in flight. */
#include "tests/unit/filterfix.h"

static void test_host_state(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 2, 16, 1);
    fleet_vm(&f, "a", 0, 4);
    refuses(&f, 0, 1, R_NONE);
    refuses(&f, 0, 0, R_SAME_HOST);
    for (int st = HOST_CORDONED; st <= HOST_LOST; st++) {
        f.s.hosts[1].state = st;
        refuses(&f, 0, 1, R_HOST_NOT_UP);
    }
    f.s.hosts[1].state = HOST_UP;
    f.hosts[1].libvirt_up = false;
    refuses(&f, 0, 1, R_LIBVIRT_DOWN);
    f.s.hosts[1].connected = false;
    refuses(&f, 0, 1, R_HOST_UNREACHABLE);
    fleet_done(&f);
}

static void test_hardware(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 2, 16, 1);
    struct vm *v = fleet_vm(&f, "a", 0, 4);
    struct host *h = &f.hosts[1];
    v->virt = xstrdup("kvm");
    v->machine = xstrdup("pc-q35-9.0");
    refuses(&f, 0, 1, R_NONE); /* a host that did not say is asked by the real check */
    *vec_add(&h->machines, &h->n_machines) = xstrdup("pc-q35-7.2");
    refuses(&f, 0, 1, R_MACHINE);
    *vec_add(&h->machines, &h->n_machines) = xstrdup("pc-q35-9.0");
    refuses(&f, 0, 1, R_NONE);
    *vec_add(&h->virts, &h->n_virts) = xstrdup("qemu");
    refuses(&f, 0, 1, R_VIRT);
    *vec_add(&h->virts, &h->n_virts) = xstrdup("kvm");
    free(h->arch);
    h->arch = xstrdup("aarch64");
    refuses(&f, 0, 1, R_ARCH);
    fleet_done(&f);
}

static void test_networks(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 2, 16, 1);
    struct vm *v = fleet_vm(&f, "a", 0, 4);
    struct nic *n = vec_add(&v->nics, &v->n_nics);
    *n = (struct nic){.kind = NIC_BRIDGE, .source = xstrdup("br0")};
    refuses(&f, 0, 1, R_NONE);
    n->source[2] = '7';
    refuses(&f, 0, 1, R_BRIDGE);
    n->kind = NIC_NETWORK;
    refuses(&f, 0, 1, R_NETWORK);
    *vec_add(&f.hosts[1].networks, &f.hosts[1].n_networks) = xstrdup("br7");
    refuses(&f, 0, 1, R_NONE);
    fleet_done(&f);
}

static void test_ceph(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 2, 16, 1);
    struct vm *v = fleet_vm(&f, "a", 0, 4);
    f.hosts[0].ceph_fsid = xstrdup("f1");
    refuses(&f, 0, 1, R_CLUSTER_DIFFERS); /* the disk relies on a ceph.conf that is not there */
    f.hosts[1].ceph_fsid = xstrdup("f1");
    refuses(&f, 0, 1, R_NONE);
    v->disks[0].secret_uuid = xstrdup("s1");
    refuses(&f, 0, 1, R_SECRET);
    struct secret *s = vec_add(&f.hosts[1].secrets, &f.hosts[1].n_secrets);
    *s = (struct secret){.uuid = xstrdup("s1"), .usage = xstrdup("ceph")};
    refuses(&f, 0, 1, R_SECRET);
    s->readable = true;
    refuses(&f, 0, 1, R_NONE);
    free(v->disks[0].secret_uuid);
    v->disks[0].secret_uuid = NULL;
    v->disks[0].secret_usage = xstrdup("ceph");
    refuses(&f, 0, 1, R_NONE);
    f.hosts[1].ceph_fsid[1] = '2';
    refuses(&f, 0, 1, R_CLUSTER_DIFFERS);
    *vec_add(&v->disks[0].mons, &v->disks[0].n_mons) = xstrdup("10.0.0.1:6789");
    refuses(&f, 0, 1, R_NONE);
    fleet_done(&f);
}

static void test_names(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 3, 16, 2);
    fleet_vm(&f, "a", 0, 4);
    struct vm *o = fleet_vm(&f, "a", 1, 4);
    refuses(&f, 0, 1, R_NAME_TAKEN);
    refuses(&f, 0, 2, R_NONE);
    f.s.vms[1].moving_to = 2;
    refuses(&f, 0, 2, R_NAME_TAKEN);
    f.s.vms[1].moving_to = -1;
    free(o->uuid);
    o->uuid = xstrdup(f.vms[0].uuid);
    refuses(&f, 0, 1, R_UUID_TAKEN);
    o->state = VM_SHUTOFF; /* a leftover of the VM itself */
    refuses(&f, 0, 1, R_NONE);
    fleet_done(&f);
}

static void test_memory(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 3, 16, 4);
    fleet_vm(&f, "a", 0, 6);
    fleet_vm(&f, "b", 1, 10);
    refuses(&f, 0, 1, R_NONE);
    f.vms[0].mem_overhead_bytes = 1;
    refuses(&f, 0, 1, R_MEMORY);
    f.p.capacity.mem_overcommit_ppm = 1500000;
    refuses(&f, 0, 1, R_NONE);
    f.p.capacity.mem_reserve_bytes = 8 * GIB;
    refuses(&f, 0, 1, R_MEMORY);
    f.p.capacity.mem_reserve_bytes = 0;
    f.p.capacity.mem_overcommit_ppm = 1000000;
    f.vms[1].state = VM_PAUSED; /* a paused VM keeps its memory */
    refuses(&f, 0, 1, R_MEMORY);
    f.vms[1].state = VM_SHUTOFF;
    refuses(&f, 0, 1, R_NONE);
    f.s.vms[1].will_start = true;
    refuses(&f, 0, 1, R_MEMORY);
    f.vms[0].state = VM_SHUTOFF; /* a definition needs no memory */
    refuses(&f, 0, 1, R_NONE);
    f.vms[0].state = VM_RUNNING;
    f.hosts[2].mem_bytes = -1;
    refuses(&f, 0, 2, R_MEMORY); /* unknown is not enough */
    fleet_done(&f);
}

static void test_memory_in_flight(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 3, 16, 4);
    fleet_vm(&f, "a", 0, 8);
    fleet_vm(&f, "b", 2, 10);
    refuses(&f, 0, 1, R_NONE);
    f.s.vms[1].moving_to = 1; /* b counts on h1 already ... */
    refuses(&f, 0, 1, R_MEMORY);
    refuses(&f, 0, 2, R_DST_BUSY); /* ... and on h2 still, but not for ever */
    f.s.vms[0].moving_to = 1;      /* a's own reservation is not in its way */
    f.s.vms[1].moving_to = -1;
    refuses(&f, 0, 1, R_NONE);
    fleet_done(&f);
}

static void test_memory_words(void **state)
{
    (void)state;
    struct test_fleet f;
    struct reason why;
    fleet_init(&f, 2, 16, 2);
    fleet_vm(&f, "a", 0, 8);
    fleet_vm(&f, "b", 1, 12);
    assert_false(plan_allows(&f.s, &f.p, 0, 1, &why));
    assert_string_equal(why.need, "8 GiB");
    assert_string_equal(why.have, "4 GiB free");
    assert_string_equal(why.cure, "free 4 GiB on h1");
    assert_int_equal(why.need_n, 8 * GIB);
    assert_int_equal(why.have_n, 4 * GIB);
    shape_done(&reason_shape, &why);
    f.vms[0].mem_bytes = 64 * GIB;
    assert_false(plan_allows(&f.s, &f.p, 0, 1, &why));
    assert_string_equal(why.cure, "h1 holds at most 16 GiB of VMs: add a larger host");
    shape_done(&reason_shape, &why);
    fleet_done(&f);
}

static void test_vcpu_and_hugepages(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 2, 16, 2);
    fleet_vm(&f, "a", 0, 4);
    fleet_vm(&f, "b", 1, 4)->vcpus = 63; /* 16 CPUs x 4.0 = 64 */
    refuses(&f, 0, 1, R_NONE);
    f.vms[0].vcpus = 2;
    refuses(&f, 0, 1, R_VCPU);
    f.hosts[1].cpus = -1;
    refuses(&f, 0, 1, R_NONE);
    f.vms[0].hugepage_bytes = 4 * GIB;
    f.vms[0].hugepage_size_bytes = 2 * MIB;
    refuses(&f, 0, 1, R_HUGEPAGES);
    f.hosts[1].hugepage_size_bytes = 2 * MIB;
    f.hosts[1].hugepage_total_bytes = 4 * GIB;
    refuses(&f, 0, 1, R_NONE);
    f.vms[1].hugepage_bytes = MIB;
    refuses(&f, 0, 1, R_HUGEPAGES);
    fleet_done(&f);
}

static void test_anti_affinity(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 4, 16, 3);
    fleet_vm(&f, "db-1", 0, 1);
    fleet_vm(&f, "db-2", 1, 1);
    fleet_vm(&f, "web", 2, 1);
    struct rule *r = fleet_rule(&f, "apart", RULE_ANTI_AFFINITY, "db-*", NULL);
    refuses(&f, 0, 1, R_ANTI_AFFINITY);
    refuses(&f, 0, 2, R_NONE);
    refuses(&f, 2, 1, R_NONE); /* not a member */
    f.s.vms[1].moving_to = 2;  /* counts on both ends */
    refuses(&f, 0, 1, R_ANTI_AFFINITY);
    refuses(&f, 0, 2, R_ANTI_AFFINITY);
    refuses(&f, 0, 3, R_NONE);
    f.s.vms[1].moving_to = -1;
    r->across = ACROSS_RACK;
    refuses(&f, 0, 3, R_ANTI_AFFINITY); /* racks that nobody named prove nothing */
    for (int i = 0; i < 4; i++)
        f.hosts[i].rack = xasprintf("r%d", i / 2);
    refuses(&f, 0, 3, R_NONE);
    refuses(&f, 0, 1, R_ANTI_AFFINITY);
    f.s.vms[1].moving_to = 2;
    refuses(&f, 0, 3, R_ANTI_AFFINITY);
    r->hard = false;
    refuses(&f, 0, 3, R_NONE);
    fleet_done(&f);
}

static void test_zones_tell_racks_apart(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 3, 16, 2);
    fleet_vm(&f, "db-1", 0, 1);
    fleet_vm(&f, "db-2", 1, 1);
    fleet_rule(&f, "apart", RULE_ANTI_AFFINITY, "db-*", NULL)->across = ACROSS_RACK;
    for (int i = 0; i < 3; i++) {
        f.hosts[i].rack = xstrdup("r1");
        f.hosts[i].zone = xasprintf("z%d", i);
    }
    refuses(&f, 0, 2, R_NONE);
    refuses(&f, 0, 1, R_ANTI_AFFINITY);
    f.p.rules[0].across = ACROSS_ZONE;
    refuses(&f, 0, 2, R_NONE);
    f.hosts[2].zone[1] = '1';
    refuses(&f, 0, 2, R_ANTI_AFFINITY);
    fleet_done(&f);
}

static void test_affinity(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 4, 16, 3);
    fleet_vm(&f, "c-1", 0, 1);
    fleet_vm(&f, "c-2", 0, 1);
    fleet_vm(&f, "c-3", 1, 1);
    fleet_rule(&f, "near", RULE_AFFINITY, "c-[12]", NULL);
    struct plan_index *x = plan_index_new(&f.s, &f.p);
    assert_true(plan_allows_from(x, 0, 2, NULL)); /* c-2 is beside it and might follow */
    plan_index_free(x);
    refuses(&f, 0, 2, R_AFFINITY); /* now: it has no place to go to */
    f.s.vms[1].host = 1;
    refuses(&f, 0, 2, R_AFFINITY);
    refuses(&f, 0, 1, R_NONE);
    f.s.vms[1].moving_to = 2; /* it will be there */
    refuses(&f, 0, 2, R_NONE);
    refuses(&f, 0, 1, R_AFFINITY);
    fleet_done(&f);
}

static void test_host_rules(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 3, 16, 1);
    fleet_vm(&f, "gpu-1", 0, 1);
    fleet_rule(&f, "licensed", RULE_HOST_REQUIRED, "gpu-*", "h[02]");
    refuses(&f, 0, 1, R_HOST_REQUIRED);
    refuses(&f, 0, 2, R_NONE);
    fleet_rule(&f, "never", RULE_HOST_FORBIDDEN, "gpu-*", "h2");
    refuses(&f, 0, 2, R_HOST_FORBIDDEN);
    f.vms[0].mem_bytes = 64 * GIB; /* the rule is named, not the memory */
    refuses(&f, 0, 1, R_HOST_REQUIRED);
    fleet_done(&f);
}

static void test_max_vms(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 3, 16, 3);
    fleet_vm(&f, "w-1", 0, 1);
    fleet_vm(&f, "w-2", 1, 1);
    fleet_vm(&f, "w-3", 2, 1);
    struct rule *r = fleet_rule(&f, "few", RULE_MAX_VMS, "w-*", NULL);
    r->max = 1;
    refuses(&f, 0, 1, R_MAX_VMS);
    r->max = 2;
    refuses(&f, 0, 1, R_NONE);
    f.s.vms[2].moving_to = 1;
    refuses(&f, 0, 1, R_MAX_VMS);
    *vec_add(&r->hosts.names, &r->hosts.n_names) = xstrdup("h2"); /* h1 is not limited */
    refuses(&f, 0, 1, R_NONE);
    refuses(&f, 0, 2, R_NONE);
    r->max = 1;
    refuses(&f, 0, 2, R_MAX_VMS);
    fleet_done(&f);
}

static void test_spread(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 6, 16, 4);
    fleet_vm(&f, "w-1", 0, 1);
    fleet_vm(&f, "w-2", 2, 1);
    fleet_vm(&f, "w-3", 2, 1);
    for (int i = 0; i < 5; i++) /* h5 names no zone */
        f.hosts[i].zone = xasprintf("z%d", i / 2);
    struct rule *r = fleet_rule(&f, "wide", RULE_SPREAD, "w-*", NULL);
    r->across = ACROSS_ZONE;
    r->min = 2;
    refuses(&f, 0, 1, R_NONE);   /* within its zone */
    refuses(&f, 0, 4, R_NONE);   /* z2 instead of z0 */
    refuses(&f, 0, 3, R_SPREAD); /* all in z1 then */
    refuses(&f, 0, 5, R_SPREAD); /* and an unknown zone is none */
    refuses(&f, 1, 0, R_NONE);   /* w-3 stays in z1 */
    f.s.vms[2].moving_to = 0;    /* w-3 may be in z0 or in z1: only with the others it is certain */
    refuses(&f, 1, 0, R_SPREAD);
    refuses(&f, 1, 4, R_NONE);
    refuses(&f, 0, 4, R_NONE);
    f.s.vms[2].moving_to = -1;
    r->min = 3; /* broken from the start: z0 and z1 only */
    refuses(&f, 0, 4, R_NONE);
    refuses(&f, 0, 1, R_NONE);
    refuses(&f, 0, 3, R_SPREAD);
    r->hard = false;
    refuses(&f, 0, 3, R_NONE);
    fleet_done(&f);
}

/* Where every VM of the rule is in flight the worst outcome counts, however they arrive. */
static void test_spread_in_flight(void **state)
{
    (void)state;
    struct test_fleet f;
    fleet_init(&f, 5, 16, 4);
    fleet_vm(&f, "w-1", 0, 1);
    fleet_vm(&f, "w-2", 1, 1);
    fleet_vm(&f, "w-3", 2, 1);
    f.s.vms[0].moving_to = 1;
    f.s.vms[1].moving_to = 2; /* w-1 on h1 and w-2 still there: two hosts with w-3 at least */
    fleet_rule(&f, "wide", RULE_SPREAD, "w-*", NULL)->min = 2;
    refuses(&f, 2, 3, R_NONE);
    refuses(&f, 2, 1, R_SPREAD); /* all three on h1 */
    f.p.rules[0].min = 3;
    refuses(&f, 2, 3, R_NONE); /* was two before */
    refuses(&f, 2, 0, R_NONE);
    fleet_done(&f);
}

static void test_spread_words(void **state)
{
    (void)state;
    struct test_fleet f;
    struct reason why;
    fleet_init(&f, 3, 16, 2);
    fleet_vm(&f, "w-1", 0, 1);
    fleet_vm(&f, "w-2", 1, 1);
    fleet_rule(&f, "wide", RULE_SPREAD, "w-*", NULL)->min = 2;
    assert_false(plan_allows(&f.s, &f.p, 0, 1, &why));
    assert_string_equal(why.what, "rule wide");
    assert_string_equal(why.where, "rules.yaml:1");
    assert_string_equal(why.need, "VMs of the rule in 2 different hosts at every moment");
    assert_string_equal(why.have, "1 host");
    assert_string_equal(why.cure,
                        "move another VM of the rule first, or give rule wide a weight (soft)");
    shape_done(&reason_shape, &why);
    fleet_done(&f);
}

/* h0 to h2 with 10 of 16 GiB in use each, h3 empty. */
static void test_spare_hosts(void **state)
{
    (void)state;
    struct test_fleet f;
    struct reason why;
    fleet_init(&f, 4, 16, 6);
    for (int h = 0; h < 3; h++) {
        fleet_vm(&f, "a", h, 4);
        fleet_vm(&f, "b", h, 6);
    }
    for (int i = 0; i < 6; i++)
        f.vms[i].name[0] = (char)('a' + i);
    refuses(&f, 0, 3, R_NONE);
    f.p.capacity.spare_hosts = 1; /* 30 GiB run, 48 are left when a host is lost */
    refuses(&f, 0, 3, R_NONE);
    f.p.capacity.spare_hosts =
        3; /* 30 of 16: short already, and no move between them changes that */
    refuses(&f, 0, 3, R_NONE);
    f.s.hosts[0].state = HOST_DRAINING;
    f.p.capacity.spare_hosts = 1; /* 20 GiB on three hosts: room for 12 more */
    refuses(&f, 0, 3, R_NONE);
    f.s.vms[1].moving_to = 3;
    refuses(&f, 0, 3, R_NONE); /* 30 of 32 */
    f.vms[0].mem_bytes = 7 * GIB;
    assert_false(plan_allows(&f.s, &f.p, 0, 3, &why));
    assert_int_equal(why.code, R_SPARE);
    assert_string_equal(why.need, "10 GiB free elsewhere if 1 host is lost");
    assert_string_equal(why.have, "9 GiB");
    assert_string_equal(why.cure, "add a host, or set capacity.spare_hosts to 0");
    shape_done(&reason_shape, &why);
    f.vms[0].state = VM_SHUTOFF; /* a definition needs no room */
    refuses(&f, 0, 3, R_NONE);
    f.vms[0].state = VM_RUNNING;
    f.s.hosts[2].state = HOST_LOST; /* the spare one is used up */
    refuses(&f, 0, 3, R_NONE);
    fleet_done(&f);
}

/* What the planner does with rules that are only wishes. */
static void test_preferred(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan plan;
    fleet_init(&f, 3, 16, 3);
    fleet_vm(&f, "a", 0, 4);
    fleet_vm(&f, "b", 2, 8);
    fleet_rule(&f, "rather", RULE_HOST_PREFERRED, "a", "h2")->hard = false;
    fleet_drain(&f, 0);
    plan_make(&f.s, &f.p, &f.r, 1, &plan);
    assert_int_equal(plan.moves[0].to, 2); /* though h1 is empty */
    plan_done(&plan);
    f.vms[1].mem_bytes = 14 * GIB;
    plan_make(&f.s, &f.p, &f.r, 1, &plan);
    assert_int_equal(plan.moves[0].to, 1); /* a wish takes no room from others */
    plan_done(&plan);
    fleet_done(&f);
}

static void test_maintenance_only(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan plan;
    fleet_init(&f, 2, 16, 1);
    fleet_vm(&f, "oracle-1", 0, 4);
    fleet_rule(&f, "heavy", RULE_MAINTENANCE_ONLY, "oracle-*", NULL);
    fleet_drain(&f, 0);
    plan_make(&f.s, &f.p, &f.r, 1, &plan);
    assert_int_equal(plan.n_moves, 1);
    plan_done(&plan);
    f.r.purpose = PURPOSE_BALANCE;
    plan_make(&f.s, &f.p, &f.r, 1, &plan);
    assert_int_equal(plan.n_moves, 0);
    assert_int_equal(plan.stays[0].reasons[0].code, R_MAINTENANCE_ONLY);
    assert_string_equal(plan.stays[0].reasons[0].cure,
                        "drain its host, or take it out of rule heavy");
    plan_done(&plan);
    fleet_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_state),
        cmocka_unit_test(test_hardware),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_ceph),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_in_flight),
        cmocka_unit_test(test_memory_words),
        cmocka_unit_test(test_vcpu_and_hugepages),
        cmocka_unit_test(test_anti_affinity),
        cmocka_unit_test(test_zones_tell_racks_apart),
        cmocka_unit_test(test_affinity),
        cmocka_unit_test(test_host_rules),
        cmocka_unit_test(test_max_vms),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_spread_in_flight),
        cmocka_unit_test(test_spread_words),
        cmocka_unit_test(test_spare_hosts),
        cmocka_unit_test(test_preferred),
        cmocka_unit_test(test_maintenance_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
