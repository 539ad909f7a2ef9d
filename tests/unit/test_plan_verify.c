/* The replay refuses plans that are broken on purpose, one per invariant. Each case starts from a plan
 * that holds; only then does its refusal say something. */
#include "tests/unit/verifyfix.h"

static void move_twice(struct broken *b)
{
    b->plan.moves[1].vm = 0;
}
static void move_once_more(struct broken *b)
{
    *vec_add(&b->plan.moves, &b->plan.n_moves) =
        (struct plan_move){.vm = 1, .from = 0, .to = 3, .live = true};
}
static void move_unasked(struct broken *b)
{
    b->f.r.n_vms = 1;
}
static void forget(struct broken *b)
{
    b->plan.n_moves = 1;
}
static void stay_without_reason(struct broken *b)
{
    b->plan.n_moves = 1;
    vec_add(&b->plan.stays, &b->plan.n_stays)->vm = 1;
}
static void stay_with_reason(struct broken *b, int vm)
{
    struct plan_stay *st = vec_add(&b->plan.stays, &b->plan.n_stays);
    st->vm = vm;
    shape_init(&reason_shape, vec_add(&st->reasons, &st->n_reasons));
}
static void stay_too(struct broken *b)
{
    stay_with_reason(b, 0);
}
static void stay_unasked(struct broken *b)
{
    stay_with_reason(b, 2);
}
static void all_may_move(struct broken *b)
{
    b->f.r.goal = GOAL_BALANCE;
    b->f.r.vms = NULL;
    b->f.r.n_vms = 0;
}
static void no_such_vm(struct broken *b)
{
    all_may_move(b);
    b->plan.moves[0].vm = 1 << 28;
}
static void no_such_vm_stays(struct broken *b)
{
    all_may_move(b);
    stay_with_reason(b, 1 << 28);
}
static void more_than_asked(struct broken *b)
{
    all_may_move(b);
    b->f.r.max_moves = 1;
}
static void more_than_the_policy_has(struct broken *b)
{
    all_may_move(b);
    b->f.p.balance.max_moves = 1;
}
static void wrong_source(struct broken *b)
{
    b->plan.moves[0].from = 3;
}
static void no_such_host(struct broken *b)
{
    b->plan.moves[0].to = 9;
}
static void to_itself(struct broken *b)
{
    b->plan.moves[0].to = 0;
}
static void closed_target(struct broken *b)
{
    b->f.s.hosts[1].state = HOST_DRAINING;
}
static void silent_target(struct broken *b)
{
    b->f.s.hosts[1].connected = false;
}
static void dead_libvirt(struct broken *b)
{
    b->f.hosts[2].libvirt_up = false;
}
static void dead_libvirt_of_source(struct broken *b)
{
    b->f.hosts[0].libvirt_up = false;
}
static void silent_source(struct broken *b)
{
    b->f.s.hosts[0].connected = false;
}
static void memory(struct broken *b)
{
    b->f.vms[2].mem_overhead_bytes = 1;
}
static void memory_together(struct broken *b)
{
    b->plan.moves[1].to = 1; /* each alone would fit */
}
static void memory_in_flight(struct broken *b)
{
    b->f.s.vms[2].moving_to = 2;
    b->f.vms[2].mem_bytes = 8 * GIB;
    b->f.vms[1].mem_bytes = 9 * GIB;
}
static void memory_unknown(struct broken *b)
{
    b->f.hosts[1].mem_bytes = -1;
    b->f.vms[0].mem_bytes = b->f.vms[2].mem_bytes = 0;
    b->f.p.capacity.mem_overcommit_ppm = 500000;
}
static void memory_of_one_that_will_start(struct broken *b) /* a cold move has stopped it */
{
    b->f.vms[2].state = VM_SHUTOFF;
    b->f.vms[2].mem_bytes = 9 * GIB;
    b->f.s.vms[2].will_start = true;
}
static void memory_where_it_will_start(struct broken *b)
{
    b->f.vms[0].state = VM_SHUTOFF;
    b->f.vms[0].mem_bytes = 9 * GIB;
    b->f.s.vms[0].will_start = true;
    b->plan.moves[0].live = false;
}
static void memory_not_promised(struct broken *b)
{
    b->f.p.capacity.mem_overcommit_ppm = 500000;
}
static void reserve(struct broken *b)
{
    b->f.p.capacity.mem_reserve_bytes = MIB;
}
static void vcpus(struct broken *b)
{
    b->f.vms[0].vcpus = 64;
}
static void hugepages(struct broken *b)
{
    b->f.vms[0].hugepage_bytes = GIB;
}
static void hugepages_of_another_size(struct broken *b)
{
    b->f.vms[0].hugepage_bytes = GIB;
    b->f.vms[0].hugepage_size_bytes = 2 * MIB;
    b->f.hosts[1].hugepage_total_bytes = 4 * GIB;
    b->f.hosts[1].hugepage_size_bytes = GIB;
}
static void in_flight(struct broken *b)
{
    b->f.s.vms[0].moving_to = 3;
}
static void other_run(struct broken *b)
{
    b->f.s.vms[0].other_run = true;
}
static void paused(struct broken *b)
{
    b->f.vms[0].state = VM_PAUSED;
}
static void live_but_off(struct broken *b)
{
    b->f.vms[0].state = VM_SHUTOFF;
}
static void cold_unasked(struct broken *b)
{
    b->plan.moves[0].live = false;
}
static void size_unknown(struct broken *b)
{
    b->f.vms[0].mem_bytes = -1;
}
static void busy(struct broken *b)
{
    b->f.vms[0].job = VM_JOB_OTHER;
}
static void transient(struct broken *b)
{
    b->f.vms[0].persistent = false;
}
static void saved(struct broken *b)
{
    b->f.vms[0].managed_save = true;
}
static void foreign(struct broken *b)
{
    b->f.vms[0].foreign = xstrdup("nova");
}
static void local_disk(struct broken *b)
{
    b->f.vms[0].disks[0].kind = DISK_FILE;
}
static void local_media(struct broken *b)
{
    b->f.vms[0].disks[0].kind = DISK_FILE;
    b->f.vms[0].disks[0].device = DISK_CDROM;
}
static void not_rbd(struct broken *b)
{
    b->f.vms[0].disks[0].kind = DISK_NETWORK;
}
static void hostdev(struct broken *b)
{
    vec_add(&b->f.vms[0].hostdevs, &b->f.vms[0].n_hostdevs);
}
static void nic_of_the_host(struct broken *b)
{
    *vec_add(&b->f.vms[0].nics, &b->f.vms[0].n_nics) = (struct nic){.kind = NIC_HOSTDEV};
}
static void avoided(struct broken *b)
{
    b->list[0] = 1;
    b->f.r.avoid = b->list;
    b->f.r.n_avoid = 1;
}
static void not_in_to(struct broken *b)
{
    b->list[0] = 1;
    b->f.r.to = b->list;
    b->f.r.n_to = 1;
}
static void refused_everywhere(struct broken *b)
{
    refused(b);
    b->no.host = -1;
}
static void machine(struct broken *b)
{
    b->f.vms[0].machine = xstrdup("pc-q35-9.0");
    *vec_add(&b->f.hosts[1].machines, &b->f.hosts[1].n_machines) = xstrdup("pc-q35-7.2");
}
static void virt(struct broken *b)
{
    b->f.vms[0].virt = xstrdup("kvm");
    *vec_add(&b->f.hosts[1].virts, &b->f.hosts[1].n_virts) = xstrdup("qemu");
}
static void arch(struct broken *b)
{
    b->f.hosts[1].arch[0] = 'y';
}
static void bridge(struct broken *b)
{
    *vec_add(&b->f.vms[0].nics, &b->f.vms[0].n_nics) =
        (struct nic){.kind = NIC_BRIDGE, .source = xstrdup("br9")};
}
static void network(struct broken *b)
{
    bridge(b);
    b->f.vms[0].nics[0].kind = NIC_NETWORK;
}
static void secret(struct broken *b)
{
    b->f.vms[0].disks[0].secret_uuid = xstrdup("s");
}
static void secret_unreadable(struct broken *b)
{
    secret(b);
    struct secret *s = vec_add(&b->f.hosts[1].secrets, &b->f.hosts[1].n_secrets);
    s->uuid = xstrdup("s");
}
static void cluster(struct broken *b)
{
    b->f.hosts[0].ceph_fsid = xstrdup("f");
}
static void uuid_taken_by_one_that_will_start(struct broken *b)
{
    uuid_taken(b);
    b->f.vms[2].state = VM_SHUTOFF;
    b->f.s.vms[2].will_start = true;
}
static void excluded(struct broken *b)
{
    fleet_rule(&b->f, "r", RULE_EXCLUDE, "a", NULL);
}
static void required(struct broken *b)
{
    fleet_rule(&b->f, "r", RULE_HOST_REQUIRED, "a", "h3");
}
static void forbidden(struct broken *b)
{
    fleet_rule(&b->f, "r", RULE_HOST_FORBIDDEN, "a", "h1");
}
static void too_many(struct broken *b)
{
    fleet_rule(&b->f, "r", RULE_MAX_VMS, "*", NULL)->max = 1;
}
static void apart(struct broken *b)
{
    fleet_rule(&b->f, "r", RULE_ANTI_AFFINITY, "[ac]", NULL);
}
static void apart_in_plan(struct broken *b)
{
    fleet_rule(&b->f, "r", RULE_ANTI_AFFINITY, "[ab]", NULL);
    b->f.vms[0].mem_bytes = b->f.vms[1].mem_bytes = GIB;
    b->plan.moves[1].to = 1;
}
static void apart_in_flight(struct broken *b)
{
    fleet_rule(&b->f, "r", RULE_ANTI_AFFINITY, "[bc]", NULL);
    b->f.vms[2].mem_bytes = b->f.vms[0].mem_bytes = GIB;
    b->f.s.vms[2].moving_to = 2; /* c comes to where b goes */
}
static void apart_perhaps(struct broken *b) /* c's host may be in b's new zone: it does not say */
{
    fleet_rule(&b->f, "r", RULE_ANTI_AFFINITY, "[bc]", NULL)->across = ACROSS_ZONE;
    for (int i = 0; i < 4; i++)
        b->f.hosts[i].zone = i == 1 ? NULL : xasprintf("z%d", i);
}
static void spread(struct broken *b) /* c alone remains on h1, a joins it */
{
    fleet_rule(&b->f, "r", RULE_SPREAD, "[ac]", NULL)->min = 2;
}
static void spread_in_flight(struct broken *b) /* whichever of them arrives first */
{
    fleet_rule(&b->f, "r", RULE_SPREAD, "[bc]", NULL)->min = 2;
    b->f.vms[0].mem_bytes = b->f.vms[1].mem_bytes = GIB;
    b->f.s.vms[2].moving_to = 2;
}
static void spread_on_the_way(struct broken *b) /* a arrives before c has left */
{
    fleet_rule(&b->f, "r", RULE_SPREAD, "[ac]", NULL)->min = 2;
    b->f.vms[2].mem_bytes = GIB;
    b->f.s.vms[2].moving_to = 2;
}
static void spread_nowhere(struct broken *b)
{
    fleet_rule(&b->f, "r", RULE_SPREAD, "[bc]", NULL)->min = 2;
    b->f.p.rules[0].across = ACROSS_ZONE;
    for (int i = 0; i < 4; i++) /* b leaves for a host that names no zone */
        b->f.hosts[i].zone = i == 2 ? NULL : xasprintf("z%d", i);
}
static void maintenance_only(struct broken *b)
{
    fleet_rule(&b->f, "r", RULE_MAINTENANCE_ONLY, "a", NULL);
    b->f.r.purpose = PURPOSE_BALANCE;
}
static void spare_hosts(
    struct broken *b) /* 20 GiB run, and without h1 and h2 one host of 16 is left */
{
    b->f.p.capacity.spare_hosts = 2;
    b->f.s.hosts[0].state = HOST_DRAINING;
}
static void together(struct broken *b)
{
    fleet_rule(&b->f, "r", RULE_AFFINITY, "[ab]", NULL);
}
static void together_with_one_that_stays(struct broken *b)
{
    fleet_rule(&b->f, "r", RULE_AFFINITY, "[bc]", NULL);
}

static const struct {
    const char *name;
    void (*break_it)(struct broken *b);
    int code;
} cases[] = {
#define CASE(f, code)                                                                              \
    {                                                                                              \
#f, f, code                                                                                \
    }
    CASE(move_twice, R_CHECK_FAILED),
    CASE(move_once_more, R_CHECK_FAILED),
    CASE(move_unasked, R_CHECK_FAILED),
    CASE(forget, R_CHECK_FAILED),
    CASE(stay_too, R_CHECK_FAILED),
    CASE(stay_without_reason, R_CHECK_FAILED),
    CASE(stay_unasked, R_CHECK_FAILED),
    CASE(no_such_vm, R_CHECK_FAILED),
    CASE(no_such_vm_stays, R_CHECK_FAILED),
    CASE(more_than_asked, R_CHECK_FAILED),
    CASE(more_than_the_policy_has, R_CHECK_FAILED),
    CASE(wrong_source, R_CHECK_FAILED),
    CASE(no_such_host, R_CHECK_FAILED),
    CASE(to_itself, R_SAME_HOST),
    CASE(closed_target, R_HOST_NOT_UP),
    CASE(silent_target, R_HOST_UNREACHABLE),
    CASE(dead_libvirt, R_LIBVIRT_DOWN),
    CASE(dead_libvirt_of_source, R_LIBVIRT_DOWN),
    CASE(silent_source, R_UNREACHABLE_SOURCE),
    CASE(memory, R_MEMORY),
    CASE(memory_together, R_MEMORY),
    CASE(memory_in_flight, R_MEMORY),
    CASE(memory_unknown, R_MEMORY),
    CASE(memory_of_one_that_will_start, R_MEMORY),
    CASE(memory_where_it_will_start, R_MEMORY),
    CASE(memory_not_promised, R_MEMORY),
    CASE(reserve, R_MEMORY),
    CASE(vcpus, R_VCPU),
    CASE(hugepages, R_HUGEPAGES),
    CASE(hugepages_of_another_size, R_HUGEPAGES),
    CASE(in_flight, R_IN_FLIGHT),
    CASE(other_run, R_IN_FLIGHT),
    CASE(paused, R_VM_PAUSED),
    CASE(live_but_off, R_VM_STATE),
    CASE(cold_unasked, R_VM_STATE),
    CASE(size_unknown, R_SIZE_UNKNOWN),
    CASE(busy, R_VM_BUSY),
    CASE(transient, R_TRANSIENT),
    CASE(saved, R_MANAGED_SAVE),
    CASE(foreign, R_FOREIGN),
    CASE(local_disk, R_LOCAL_DISK),
    CASE(local_media, R_LOCAL_MEDIA),
    CASE(not_rbd, R_NOT_RBD),
    CASE(hostdev, R_HOSTDEV),
    CASE(nic_of_the_host, R_HOSTDEV),
    CASE(avoided, R_AVOIDED),
    CASE(not_in_to, R_NOT_IN_TO),
    CASE(refused, R_IMAGE_DIFFERS),
    CASE(refused_everywhere, R_IMAGE_DIFFERS),
    CASE(refused_cold_too, R_IMAGE_DIFFERS),
    CASE(machine, R_MACHINE),
    CASE(virt, R_VIRT),
    CASE(arch, R_ARCH),
    CASE(bridge, R_BRIDGE),
    CASE(network, R_NETWORK),
    CASE(secret, R_SECRET),
    CASE(secret_unreadable, R_SECRET),
    CASE(cluster, R_CLUSTER_DIFFERS),
    CASE(name_taken, R_NAME_TAKEN),
    CASE(uuid_taken, R_UUID_TAKEN),
    CASE(uuid_taken_by_one_that_will_start, R_UUID_TAKEN),
    CASE(excluded, R_EXCLUDED),
    CASE(required, R_HOST_REQUIRED),
    CASE(forbidden, R_HOST_FORBIDDEN),
    CASE(too_many, R_MAX_VMS),
    CASE(apart, R_ANTI_AFFINITY),
    CASE(apart_in_plan, R_ANTI_AFFINITY),
    CASE(apart_in_flight, R_ANTI_AFFINITY),
    CASE(apart_racks, R_ANTI_AFFINITY),
    CASE(apart_perhaps, R_ANTI_AFFINITY),
    CASE(spread, R_SPREAD),
    CASE(spread_in_flight, R_SPREAD),
    CASE(spread_on_the_way, R_SPREAD),
    CASE(spread_nowhere, R_SPREAD),
    CASE(maintenance_only, R_MAINTENANCE_ONLY),
    CASE(spare_hosts, R_SPARE),
    CASE(together, R_AFFINITY),
    CASE(together_with_one_that_stays, R_AFFINITY),
#undef CASE
};

/* ---- what looks broken and is not -------------------------------------------------------------- */

/* ---- all of them -------------------------------------------------------------------------------- */

static void test_broken_plans(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct broken b;
        struct reason why;
        setup(&b);
        cases[i].break_it(&b);
        shape_init(&reason_shape, &why);
        if (plan_verify(&b.f.s, &b.f.p, &b.f.r, &b.plan, &why))
            fail_msg("%s: not noticed", cases[i].name);
        if (why.code != cases[i].code)
            fail_msg("%s: %s instead of %s", cases[i].name, reason_tokens[why.code],
                     reason_tokens[cases[i].code]);
        assert_false(plan_verify(&b.f.s, &b.f.p, &b.f.r, &b.plan, NULL));
        shape_done(&reason_shape, &why);
        plan_done(&b.plan);
        fleet_done(&b.f);
    }
}

/* The planner, given the same broken worlds, must plan around each or refuse: never repeat it. */
static void test_planner_agrees(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct broken b;
        struct reason why;
        struct plan made;
        setup(&b);
        cases[i].break_it(&b);
        plan_make(&b.f.s, &b.f.p, &b.f.r, 3, &made);
        shape_init(&reason_shape, &why);
        if (!plan_verify(&b.f.s, &b.f.p, &b.f.r, &made, &why))
            fail_msg("%s: planner and replay differ on %s", cases[i].name, reason_tokens[why.code]);
        plan_done(&made);
        plan_done(&b.plan);
        fleet_done(&b.f);
    }
}

/* A VM that a cold move has stopped already: its memory is reserved, but nothing of it moves live. */
static void test_stopped_for_a_cold_move(void **state)
{
    (void)state;
    struct broken b;
    struct plan made;
    setup(&b);
    b.f.vms[0].state = VM_SHUTOFF;
    b.f.s.vms[0].will_start = true;
    b.f.vms[0].mem_bytes = 12 * GIB; /* does not fit beside c on h1 */
    plan_make(&b.f.s, &b.f.p, &b.f.r, 1, &made);
    assert_true(plan_verify(&b.f.s, &b.f.p, &b.f.r, &made, NULL));
    assert_int_equal(made.n_moves, 2);
    for (size_t i = 0; i < made.n_moves; i++) {
        assert_int_equal(made.moves[i].live, made.moves[i].vm == 1);
        assert_true(made.moves[i].vm == 1 || made.moves[i].to != 1);
    }
    plan_done(&made);
    plan_done(&b.plan);
    fleet_done(&b.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_plans),
        cmocka_unit_test(test_planner_agrees),
        cmocka_unit_test(test_stopped_for_a_cold_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
