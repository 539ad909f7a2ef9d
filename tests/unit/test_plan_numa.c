/* Memory that is bound to NUMA cells of the host. */
#include "tests/unit/fleet.h"

static void cell(struct test_fleet *f, int host, int64_t id, int64_t gib)
{
    struct host *h = &f->hosts[host];
    struct host_cell *c = vec_add(&h->cells, &h->n_cells);
    shape_init(&host_cell_shape, c);
    c->id = id;
    c->mem_bytes = gib * GIB;
    c->cpus = 8;
}

/* Hosts of 64 GiB in two cells of 32. */
static void two_cells(struct test_fleet *f, int hosts)
{
    fleet_init(f, (size_t)hosts, 64, 60);
    for (int h = 0; h < hosts; h++) {
        cell(f, h, 0, 32);
        cell(f, h, 1, 32);
    }
}

static struct vm *bound(struct test_fleet *f, const char *name, int host, int64_t gib,
                        const char *cells)
{
    struct vm *v = fleet_vm(f, name, host, gib);
    *vec_add(&v->binds, &v->n_binds) =
        (struct numa_bind){.cells = xstrdup(cells), .mem_bytes = gib * GIB};
    return v;
}

static void refuses(struct test_fleet *f, int vm, int host, int code, const char *need,
                    const char *have)
{
    struct reason why;
    assert_false(plan_allows(&f->s, &f->p, vm, host, &why));
    assert_int_equal(why.code, code);
    assert_string_equal(why.need, need);
    assert_string_equal(why.have, have);
    assert_non_null(why.cure);
    shape_done(&reason_shape, &why);
}

static void each_cell_has_its_room(void **state)
{
    (void)state;
    struct test_fleet f;
    two_cells(&f, 3);
    bound(&f, "a", 0, 24, "0");
    bound(&f, "b", 1, 22, "0");
    fleet_vm(&f, "free", 1, 8); /* anywhere: takes nothing of a cell */
    refuses(&f, 0, 1, R_NUMA, "24 GiB in cell 0", "10 GiB free");
    f.vms[0].binds[0].cells[0] = '1';
    assert_true(plan_allows(&f.s, &f.p, 0, 1, NULL));
    f.vms[0].binds[0].cells[0] = '2';
    refuses(&f, 0, 1, R_NUMA, "cell 2", "cells 0, 1");
    f.hosts[1].cells[0].mem_bytes = -1; /* not known: no word against it */
    assert_true(plan_allows(&f.s, &f.p, 0, 1, NULL));
    f.hosts[2].n_cells = 0;
    assert_true(plan_allows(&f.s, &f.p, 0, 2, NULL));
    f.vms[0].state = VM_SHUTOFF; /* a definition needs no memory */
    f.hosts[1].cells[0].mem_bytes = GIB;
    assert_true(plan_allows(&f.s, &f.p, 0, 1, NULL));
    f.hosts[2].n_cells = 2;
    fleet_done(&f);
}

/* Of two VMs that may be in cells 0 and 1 and one in 0 alone, all together must fit in both. */
static void several_cells_count_together(void **state)
{
    (void)state;
    struct test_fleet f;
    two_cells(&f, 2);
    bound(&f, "new", 0, 20, "0");
    bound(&f, "w1", 1, 20, "0-1");
    bound(&f, "w2", 1, 20, "0,1");
    assert_true(plan_allows(&f.s, &f.p, 0, 1, NULL));
    f.hosts[1].mem_bytes = 128 * GIB;
    f.vms[2].binds[0].mem_bytes = 30 * GIB;
    refuses(&f, 0, 1, R_NUMA, "20 GiB in cells 0, 1", "14 GiB free");
    fleet_done(&f);
}

static void huge_pages_of_a_cell(void **state)
{
    (void)state;
    struct test_fleet f;
    two_cells(&f, 2);
    struct vm *v = bound(&f, "a", 0, 8, "1");
    v->hugepage_bytes = v->binds[0].hugepage_bytes = 8 * GIB;
    v->hugepage_size_bytes = f.hosts[1].hugepage_size_bytes = 2 * MIB;
    f.hosts[1].hugepage_total_bytes = 8 * GIB;
    f.hosts[1].cells[0].hugepage_bytes = 4 * GIB;
    f.hosts[1].cells[1].hugepage_bytes = 4 * GIB;
    refuses(&f, 0, 1, R_HUGEPAGES, "8 GiB in cell 1", "4 GiB free");
    f.hosts[1].cells[1].hugepage_bytes = 8 * GIB;
    assert_true(plan_allows(&f.s, &f.p, 0, 1, NULL));
    fleet_done(&f);
}

static void make(struct test_fleet *f, struct plan *ret)
{
    struct reason why;
    shape_init(&reason_shape, &why);
    plan_make(&f->s, &f->p, &f->r, 1, ret);
    if (!plan_verify(&f->s, &f->p, &f->r, ret, &why))
        fail_msg("the plan breaks %s: %s %s", reason_tokens[why.code], why.what ? why.what : "",
                 why.have ? why.have : "");
}

/* By memory alone h1 is the best for all; by cells each has one place. */
static void a_drain_knows_the_cells(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    two_cells(&f, 4);
    bound(&f, "a", 0, 20, "0");
    bound(&f, "b", 0, 20, "0");
    bound(&f, "c", 0, 20, "1");
    bound(&f, "x", 2, 24, "1");
    bound(&f, "y", 3, 24, "0");
    fleet_vm(&f, "z", 1, 1);
    f.s.hosts[1].state = HOST_CORDONED;
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(p.n_moves, 2); /* h2 has cell 0, h3 has cell 1 */
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(p.moves[i].to, p.moves[i].vm == 2 ? 3 : 2);
    assert_int_equal(p.n_stays, 1);
    plan_done(&p);
    f.s.hosts[1].state = HOST_UP;
    make(&f, &p);
    assert_int_equal(p.n_moves, 3);
    plan_done(&p);
    fleet_done(&f);
}

/* 24 GiB are free on each host, and no more than 16 in one cell. */
static void room_in_one_cell(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    two_cells(&f, 2);
    bound(&f, "a", 0, 20, "0");
    bound(&f, "b", 0, 16, "1");
    bound(&f, "c", 1, 18, "0");
    bound(&f, "d", 1, 20, "1");
    struct vm *v = bound(&f, "new", -1, 16, "any");
    f.s.vms[4].nowhere = true;
    f.r.goal = GOAL_ROOM;
    f.r.purpose = PURPOSE_BALANCE;
    f.r.room_for = 4;
    make(&f, &p);
    assert_int_equal(p.room_on, 0);
    assert_int_equal(p.n_moves, 0);
    plan_done(&p);
    v->vcpus = 16; /* a cell has 8 CPUs, and b runs on one of them */
    f.p.capacity.vcpu_overcommit_ppm = 1000000;
    struct reason why;
    assert_false(plan_allows(&f.s, &f.p, 4, 0, &why));
    assert_int_equal(why.code, R_VCPU);
    shape_done(&reason_shape, &why);
    v->vcpus = 4;
    v->mem_bytes = v->binds[0].mem_bytes = 24 * GIB;
    make(&f, &p); /* nothing can go: no other host has room in the same cell */
    assert_int_equal(p.room_on, -1);
    assert_int_equal(p.stays[0].reasons[0].code, R_NUMA);
    plan_done(&p);
    f.vms[2].mem_bytes = f.vms[2].binds[0].mem_bytes = 10 * GIB;
    make(&f, &p); /* c goes beside a, and its cell is whole */
    assert_int_equal(p.n_moves, 1);
    assert_int_equal(p.moves[0].vm, 2);
    assert_int_equal(p.room_on, 1);
    plan_done(&p);
    fleet_done(&f);
}

/* More is bound to a cell than it has: that is broken, and one move mends it. */
static void a_full_cell_is_repaired(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    two_cells(&f, 3);
    bound(&f, "a", 0, 20, "0");
    bound(&f, "b", 0, 16, "0");
    fleet_vm(&f, "c", 0, 4);
    bound(&f, "d", 1, 20, "0");
    bound(&f, "e", 2, 18, "1");
    f.r.goal = GOAL_REPAIR;
    f.r.purpose = PURPOSE_BALANCE;
    make(&f, &p);
    assert_int_equal(p.n_moves, 1);
    assert_true(p.moves[0].vm < 2);
    assert_int_equal(p.moves[0].to, 2);
    assert_true(p.before.broken > 0);
    assert_int_equal(p.after.broken, 0);
    plan_done(&p);
    fleet_done(&f);
}

static void expect_bad(struct test_fleet *f, int code)
{
    struct plan_move m = {.vm = 0, .from = 0, .to = 1, .live = true};
    struct plan p = {.moves = &m, .n_moves = 1};
    struct reason why;
    assert_false(plan_verify(&f->s, &f->p, &f->r, &p, &why));
    assert_int_equal(why.code, code);
    shape_done(&reason_shape, &why);
}

static void expect_good(struct test_fleet *f)
{
    struct plan_move m = {.vm = 0, .from = 0, .to = 1, .live = true};
    assert_true(plan_verify(&f->s, &f->p, &f->r, &(struct plan){.moves = &m, .n_moves = 1}, NULL));
}

static void verifier_looks_again(void **state)
{
    (void)state;
    struct test_fleet f;
    two_cells(&f, 2);
    int vm = 0;
    f.r.vms = &vm;
    f.r.n_vms = 1;
    struct vm *v = bound(&f, "a", 0, 24, "1");
    struct vm *b = bound(&f, "b", 1, 10, "0-1,^0");
    expect_bad(&f, R_NUMA);
    b->state = VM_SHUTOFF;
    expect_good(&f);
    f.s.vms[1].will_start = true;
    expect_bad(&f, R_NUMA);
    b->state = VM_RUNNING;
    f.s.vms[1].will_start = false;
    f.hosts[1].cells[0].mem_bytes = -1;
    expect_good(&f);
    f.hosts[1].cells[0].mem_bytes = 32 * GIB;
    f.hosts[1].n_cells = 0;
    expect_good(&f);
    f.hosts[1].n_cells = 2;
    v->binds[0].cells[0] = '3';
    expect_bad(&f, R_NUMA);
    v->binds[0].cells[0] = '0';
    expect_good(&f);
    v->binds[0].hugepage_bytes = GIB;
    expect_bad(&f, R_HUGEPAGES);
    f.hosts[1].cells[0].hugepage_bytes = GIB;
    expect_good(&f);
    free(b->binds[0].cells);
    b->binds[0].cells = xstrdup("0-1"); /* together they are too much for both */
    b->mem_bytes = GIB;
    b->binds[0].mem_bytes = 41 * GIB;
    expect_bad(&f, R_NUMA);
    b->binds[0].mem_bytes = 40 * GIB;
    expect_good(&f);
    f.s.vms[1].host = 0;
    b->binds[0].mem_bytes = 41 * GIB;
    expect_good(&f);
    f.s.vms[1].moving_to = 1; /* it counts where it goes */
    expect_bad(&f, R_NUMA);
    free(v->binds[0].cells);
    v->binds[0].cells = xstrdup("any");
    b->binds[0].mem_bytes = 10 * GIB;
    v->binds[0].hugepage_bytes = 0;
    expect_good(&f);
    v->binds[0].mem_bytes = 33 * GIB;
    expect_bad(&f, R_NUMA);
    fleet_done(&f);
}

/* Whatever is asked, the plan holds in the replay. */
static void random_fleets(void **state)
{
    (void)state;
    static const char *const sets[] = {"0", "1", "0-1", "1", "0", "^0,1"};
    uint64_t seed = 5;
    int moved = 0;
    for (int k = 0; k < 300; k++) {
        struct test_fleet f;
        struct plan p;
        int hosts = 3 + (int)(test_rand(&seed) % 4);
        two_cells(&f, hosts);
        if (k % 4 == 0) {
            f.hosts[1].n_cells = 0; /* does not say */
            free(f.hosts[1].cells);
            f.hosts[1].cells = NULL;
        }
        for (int i = 0; i < hosts * 5; i++) {
            char name[32];
            int64_t gib = 1 + test_rand(&seed) % 12;
            int host = (int)(test_rand(&seed) % (uint32_t)hosts);
            snprintf(name, sizeof(name), "v%d", i);
            if (test_rand(&seed) % 3)
                bound(&f, name, host, gib, sets[test_rand(&seed) % 6]);
            else
                fleet_vm(&f, name, host, gib);
        }
        if (k % 2) {
            f.r.goal = GOAL_BALANCE;
            f.r.purpose = PURPOSE_BALANCE;
        } else {
            fleet_drain(&f, 0);
        }
        make(&f, &p);
        moved += (int)p.n_moves;
        plan_done(&p);
        fleet_done(&f);
    }
    assert_true(moved > 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cell_has_its_room), cmocka_unit_test(several_cells_count_together),
        cmocka_unit_test(huge_pages_of_a_cell),   cmocka_unit_test(a_drain_knows_the_cells),
        cmocka_unit_test(room_in_one_cell),       cmocka_unit_test(a_full_cell_is_repaired),
        cmocka_unit_test(verifier_looks_again),   cmocka_unit_test(random_fleets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
