/* Drains of small fleets against every plan that the verifier would accept: with rules and limits that the
 * engine does not know in full (hard spread in transit, spare hosts, moves under way), how many VMs could
 * leave, and how many does the planner let leave? */
#include "tests/unit/fleet.h"

enum { HOSTS = 5, MOST = 4, FIXED = 6, FLEETS = 1500 };

struct brute {
    struct test_fleet *f;
    int n, to[MOST], best;
};

static bool accepted(struct brute *b)
{
    struct plan p = {0};
    for (int i = 0; i < b->n; i++) {
        if (b->to[i] >= 0) {
            *vec_add(&p.moves, &p.n_moves) =
                (struct plan_move){.vm = i, .from = 0, .to = b->to[i], .live = true};
            continue;
        }
        struct plan_stay *st = vec_add(&p.stays, &p.n_stays);
        st->vm = i;
        shape_init(&reason_shape, vec_add(&st->reasons, &st->n_reasons));
    }
    bool ok = plan_verify(&b->f->s, &b->f->p, &b->f->r, &p, NULL);
    plan_done(&p);
    return ok;
}

static void every_plan(struct brute *b, int vm, int placed)
{
    if (placed + b->n - vm <= b->best)
        return;
    if (vm == b->n) {
        b->best = accepted(b) ? placed : b->best;
        return;
    }
    for (b->to[vm] = 1; b->to[vm] < HOSTS; b->to[vm]++)
        every_plan(b, vm + 1, placed + 1);
    b->to[vm] = -1;
    every_plan(b, vm + 1, placed);
}

/* kind 0: hard spread; 1: spare hosts; 2: both, with affinity and moves under way. */
static void random_fleet(struct test_fleet *f, uint64_t *rnd, int n, int kind)
{
    fleet_init(f, HOSTS, 16, MOST + FIXED);
    for (int i = 0; i < n + FIXED; i++) {
        char name[32];
        unsigned spread = test_rand(rnd) % 2, near = test_rand(rnd) % 3;
        snprintf(name, sizeof(name), "s%un%u-%d", spread, near, i);
        int host = i < n ? 0 : 1 + (int)(test_rand(rnd) % (HOSTS - 1));
        fleet_vm(f, name, host, 1 + test_rand(rnd) % (i < n ? 8 : 5));
        if (kind == 2 && i >= n && !(test_rand(rnd) % 6))
            f->s.vms[i].moving_to = 1 + (int)(test_rand(rnd) % (HOSTS - 1));
    }
    for (int h = 0; h < HOSTS; h++) {
        f->hosts[h].mem_bytes = (8 + test_rand(rnd) % 10) * GIB;
        f->hosts[h].zone = xasprintf("z%u", test_rand(rnd) % 3);
    }
    if (kind != 1) {
        struct rule *r = fleet_rule(f, "wide", RULE_SPREAD, "s1*", NULL);
        r->across = ACROSS_ZONE;
        r->min = 2;
    }
    if (kind != 0)
        f->p.capacity.spare_hosts = 1;
    if (kind == 2)
        fleet_rule(f, "near", RULE_AFFINITY, "??n1*", NULL);
    f->s.hosts[0].state = HOST_DRAINING;
    fleet_drain(f, 0);
}

static void missed(int kind, const char *what, int most)
{
    uint64_t rnd = 0x1234567u + (uint64_t)kind;
    int misses = 0, tight = 0;
    for (int k = 0; k < FLEETS; k++) {
        struct test_fleet f;
        struct plan p;
        int n = 1 + (int)(test_rand(&rnd) % MOST);
        random_fleet(&f, &rnd, n, kind);
        plan_make(&f.s, &f.p, &f.r, 1, &p);
        assert_true(plan_verify(&f.s, &f.p, &f.r, &p, NULL));
        struct brute b = {.f = &f, .n = n, .best = -1};
        every_plan(&b, 0, 0);
        assert_true((int)p.n_moves <= b.best);
        tight += b.best < n;
        if (b.best == n && (int)p.n_moves < n) /* a host that could be emptied is emptied */
            fail_msg("%s: fleet %d: %zu of %d", what, k, p.n_moves, n);
        misses += (int)p.n_moves < b.best;
        plan_done(&p);
        fleet_done(&f);
    }
    print_message("%s: of %d drains (%d not whole) %d miss a VM\n", what, FLEETS, tight, misses);
    assert_true(misses <= most);
}

static void spread(void **state)
{
    (void)state;
    missed(0, "spread", 0);
}

static void spare(void **state)
{
    (void)state;
    missed(1, "spare hosts", 0);
}

static void together(void **state)
{
    (void)state;
    missed(2, "all of it", FLEETS / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spread),
        cmocka_unit_test(spare),
        cmocka_unit_test(together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
