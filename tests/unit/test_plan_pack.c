/* plan_make as a whole: it finds a placement when there is one (compared with trying them all), what it
 * plans passes the independent replay, and the same inputs give the same plan. */
#include "tests/unit/packfix.h"

/* ---- against all assignments ------------------------------------------------------------------ */

/* Groups are encoded in names: VM "a3-b1-7" is in anti-affinity group a3 and affinity group b1. */
struct brute {
    const struct test_fleet *f;
    int to[8];
    int n;    /* requested VMs are 0 .. n-1, all on host 0 */
    int best; /* most that can be placed */
};

static bool same_tag(const struct vm *a, const struct vm *b, int at)
{
    return a->name[at] != '0' && a->name[at] == b->name[at];
}

static bool brute_fits(const struct brute *b, int vm, int host)
{
    const struct vm *v = b->f->s.vms[vm].v;
    int64_t mem = v->mem_bytes, w = v->name[3] == '1';
    for (int i = 0; i < (int)b->f->s.n_vms; i++) {
        const struct vm *o = b->f->s.vms[i].v;
        int at = i < b->n ? (i < vm ? b->to[i] : -1) : b->f->s.vms[i].host;
        if (i == vm || at != host)
            continue;
        mem += o->mem_bytes;
        w += o->name[3] == '1';
        if (same_tag(v, o, 1)) /* anti-affine */
            return false;
    }
    if (v->name[3] == '1' && w > 2) /* max_vms 2 of "m1" */
        return false;
    return mem <= b->f->hosts[host].mem_bytes;
}

/* Affine VMs share one host; one that stays is on host 0. */
static bool brute_together(const struct brute *b)
{
    for (int i = 0; i < b->n; i++)
        for (int j = 0; j < i; j++)
            if (same_tag(b->f->s.vms[i].v, b->f->s.vms[j].v, 5) &&
                (b->to[i] < 0 ? 0 : b->to[i]) != (b->to[j] < 0 ? 0 : b->to[j]))
                return false;
    return true;
}

static void brute(struct brute *b, int vm, int placed)
{
    if (placed + b->n - vm <= b->best)
        return;
    if (vm == b->n) {
        if (brute_together(b))
            b->best = placed;
        return;
    }
    for (int h = 1; h < (int)b->f->s.n_hosts; h++) {
        if (!brute_fits(b, vm, h))
            continue;
        b->to[vm] = h;
        brute(b, vm + 1, placed + 1);
    }
    b->to[vm] = -1;
    brute(b, vm + 1, placed);
}

static void random_fleet(struct test_fleet *f, uint64_t *rnd, int n, bool affine)
{
    fleet_init(f, 5, 16, 20);
    for (int i = 0; i < n + 8; i++) {
        bool asked = i < n;
        char name[32];
        unsigned a = test_rand(rnd) % 3, m = test_rand(rnd) % 2;
        unsigned b = asked && affine ? test_rand(rnd) % 3 : 0;
        snprintf(name, sizeof(name), "a%um%ub%u-%d", a, m, b, i);
        int host = asked ? 0 : 1 + (int)(test_rand(rnd) % 4);
        fleet_vm(f, name, host, asked ? 1 + test_rand(rnd) % 9 : test_rand(rnd) % 5);
    }
    for (int h = 0; h < 5; h++)
        f->hosts[h].mem_bytes = (8 + test_rand(rnd) % 9) * GIB;
    fleet_rule(f, "a1", RULE_ANTI_AFFINITY, "a1*", NULL);
    fleet_rule(f, "a2", RULE_ANTI_AFFINITY, "a2*", NULL);
    fleet_rule(f, "m1", RULE_MAX_VMS, "??m1*", NULL)->max = 2;
    fleet_rule(f, "b1", RULE_AFFINITY, "????b1*", NULL);
    fleet_rule(f, "b2", RULE_AFFINITY, "????b2*", NULL);
    fleet_drain(f, 0);
}

static void compare_with_all(int instances, bool affine, uint64_t seed, int *ret_full,
                             int *ret_tight)
{
    uint64_t rnd = seed;
    for (int k = 0; k < instances; k++) {
        struct test_fleet f;
        struct plan p;
        int n = 2 + (int)(test_rand(&rnd) % 6);
        random_fleet(&f, &rnd, n, affine);
        make(&f, &p);
        struct brute b = {.f = &f, .n = n, .best = -1};
        brute(&b, 0, 0);
        if ((int)p.n_moves != b.best)
            fail_msg("instance %d (seed %llu): %zu of %d placed, possible are %d", k,
                     (unsigned long long)seed, p.n_moves, n, b.best);
        *ret_full += b.best == n;
        *ret_tight += b.best < n;
        plan_done(&p);
        fleet_done(&f);
    }
}

static void test_complete(void **state)
{
    (void)state;
    int full = 0, tight = 0;
    compare_with_all(5000, false, 0x9e3779b97f4a7c15u, &full, &tight);
    assert_true(full > 100 &&
                tight > 100); /* the instances are neither all easy nor all hopeless */
}

static void test_complete_with_affinity(void **state)
{
    (void)state;
    int full = 0, tight = 0;
    compare_with_all(5000, true, 0xdeadbeefcafef00du, &full, &tight);
    assert_true(full > 100 && tight > 100);
}

/* Hosts filled to the last byte: only one way to cut the VMs into hosts exists. */
static void test_tight_fit(void **state)
{
    (void)state;
    static const int sizes[] = {9, 7, 8, 5, 3, 6, 6, 4};
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 16, 8);
    for (int i = 0; i < 8; i++) {
        char name[32];
        snprintf(name, sizeof(name), "v%d", i);
        fleet_vm(&f, name, 0, sizes[i]);
    }
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(p.n_moves, 8);
    plan_done(&p);
    fleet_done(&f);
}

/* More VMs than the partial search takes, all hosts full to the last byte: 5 hosts are cut into 3 VMs
 * each at random, so one placement is known to exist. */
static void test_tight_fit_of_many(void **state)
{
    (void)state;
    uint64_t rnd = 7;
    for (int k = 0; k < 100; k++) {
        struct test_fleet f;
        struct plan p;
        fleet_init(&f, 6, 64, 15);
        for (int i = 0; i < 5; i++) {
            int64_t a = 1 + test_rand(&rnd) % 30, b = 1 + test_rand(&rnd) % 30;
            char name[32];
            for (int j = 0; j < 3; j++) {
                snprintf(name, sizeof(name), "v%d-%d", i, j);
                fleet_vm(&f, name, 0, j == 0 ? a : j == 1 ? b : 64 - a - b);
            }
        }
        fleet_drain(&f, 0);
        make(&f, &p);
        if (p.n_stays)
            fail_msg("instance %d: %zu VMs stay", k, p.n_stays);
        plan_done(&p);
        fleet_done(&f);
    }
}

/* ---- properties at a larger size -------------------------------------------------------------- */

static void test_random_fleets_verify(void **state)
{
    (void)state;
    uint64_t rnd = 42;
    for (int k = 0; k < 60; k++) {
        struct test_fleet f;
        struct plan a, b;
        size_t hosts = 3 + test_rand(&rnd) % 10;
        fleet_init(&f, hosts, 64, 200);
        for (int i = 0; i < 150; i++) {
            char name[32];
            snprintf(name, sizeof(name), "g%u-%d", test_rand(&rnd) % 30, i);
            int host = (int)(test_rand(&rnd) % hosts);
            struct vm *v = fleet_vm(&f, name, host, 1 + test_rand(&rnd) % 6);
            v->state = test_rand(&rnd) % 10 == 0 ? VM_SHUTOFF : VM_RUNNING;
            if (test_rand(&rnd) % 40 == 0)
                f.s.vms[i].moving_to = (int)(test_rand(&rnd) % hosts);
        }
        for (size_t h = 0; h < hosts; h++) {
            f.hosts[h].rack = xasprintf("r%zu", h / 2);
            f.s.hosts[h].state = test_rand(&rnd) % 8 ? HOST_UP : HOST_CORDONED;
        }
        fleet_rule(&f, "g1", RULE_ANTI_AFFINITY, "g1-*", NULL);
        fleet_rule(&f, "g2", RULE_ANTI_AFFINITY, "g2-*", NULL)->across = ACROSS_RACK;
        fleet_rule(&f, "g3", RULE_AFFINITY, "g3-*", NULL);
        fleet_rule(&f, "g4", RULE_HOST_FORBIDDEN, "g4-*", "h1");
        fleet_rule(&f, "g5", RULE_MAX_VMS, "g5-*", NULL)->max = 2;
        fleet_rule(&f, "soft", RULE_ANTI_AFFINITY, "g[6-9]-*", NULL)->hard = false;
        fleet_drain(&f, 0);
        make(&f, &a);
        plan_make(&f.s, &f.p, &f.r, 1, &b);
        assert_int_equal(a.n_moves, b.n_moves);
        for (size_t i = 0; i < a.n_moves; i++) {
            assert_int_equal(a.moves[i].vm, b.moves[i].vm);
            assert_int_equal(a.moves[i].to, b.moves[i].to);
            assert_string_equal(a.moves[i].why, b.moves[i].why);
            assert_int_equal(a.moves[i].live, f.vms[a.moves[i].vm].state == VM_RUNNING);
        }
        plan_done(&a);
        plan_done(&b);
        fleet_done(&f);
    }
}

/* ---- single behaviours ------------------------------------------------------------------------ */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete),
        cmocka_unit_test(test_complete_with_affinity),
        cmocka_unit_test(test_tight_fit),
        cmocka_unit_test(test_tight_fit_of_many),
        cmocka_unit_test(test_random_fleets_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
