/* Moves that wait, as the replay sees them: what is refused when a wait is missing, and that nothing is
 * refused that could not go wrong. */
#include "tests/unit/fleet.h"

struct case_ {
    struct test_fleet f;
    struct plan plan;
};

static size_t add(struct case_ *c, int vm, int from, int to)
{
    *vec_add(&c->plan.moves, &c->plan.n_moves) =
        (struct plan_move){.vm = vm, .from = from, .to = to, .live = true};
    return c->plan.n_moves - 1;
}

static void after(struct case_ *c, size_t move, int a)
{
    struct plan_move *m = &c->plan.moves[move];
    *vec_add(&m->after, &m->n_after) = a;
}

static int verdict(struct case_ *c)
{
    struct reason why;
    shape_init(&reason_shape, &why);
    bool ok = plan_verify(&c->f.s, &c->f.p, &c->f.r, &c->plan, &why);
    int code = ok ? R_NONE : why.code;
    shape_done(&reason_shape, &why);
    return code;
}

static void done(struct case_ *c)
{
    plan_done(&c->plan);
    fleet_done(&c->f);
}

/* x and y leave the full h1 for h2 and h3; a and b come from h0 in their place. */
static void setup(struct case_ *c)
{
    memset(c, 0, sizeof(*c));
    fleet_init(&c->f, 4, 16, 8);
    fleet_vm(&c->f, "a", 0, 8);
    fleet_vm(&c->f, "b", 0, 8);
    fleet_vm(&c->f, "x", 1, 8);
    fleet_vm(&c->f, "y", 1, 8);
    fleet_vm(&c->f, "p", 2, 8);
    fleet_vm(&c->f, "q", 3, 8);
    fleet_drain(&c->f, 0);
    c->f.r.make_room = true;
    add(c, 2, 1, 2);
    add(c, 3, 1, 3);
    add(c, 0, 0, 1);
    add(c, 1, 0, 1);
}

/* Each takes what one gave up. That x, y, a and b were on h1 at once is not possible. */
static void room_is_handed_on(void **state)
{
    (void)state;
    struct case_ c;
    setup(&c);
    after(&c, 2, 0);
    after(&c, 3, 1);
    assert_int_equal(verdict(&c), R_NONE);
    done(&c);
}

static void nothing_is_handed_on_twice(void **state)
{
    (void)state;
    struct case_ c;
    setup(&c);
    after(&c, 2, 0);
    after(&c, 3, 0);
    assert_int_equal(verdict(&c), R_MEMORY);
    done(&c);
    setup(&c);
    after(&c, 2, 0);
    assert_int_equal(verdict(&c), R_MEMORY);
    done(&c);
    setup(
        &c); /* the first waits for both: then the other finds room in any case, but only if it waits */
    after(&c, 2, 0);
    after(&c, 2, 1);
    assert_int_equal(verdict(&c), R_MEMORY);
    after(&c, 3, 1);
    assert_int_equal(verdict(&c), R_NONE);
    done(&c);
}

static void cpus_and_pages_too(void **state)
{
    (void)state;
    struct case_ c;
    setup(&c);
    for (size_t i = 0; i < 6; i++)
        c.f.vms[i].mem_bytes = GIB;
    c.f.p.capacity.vcpu_overcommit_ppm = 1000000;
    for (size_t i = 0; i < 4; i++)
        c.f.vms[i].vcpus = 8; /* of 16 */
    assert_int_equal(verdict(&c), R_VCPU);
    after(&c, 2, 0);
    after(&c, 3, 1);
    assert_int_equal(verdict(&c), R_NONE);
    done(&c);
    setup(&c);
    for (size_t i = 0; i < 6; i++)
        c.f.vms[i].mem_bytes = GIB;
    for (size_t i = 0; i < 4; i++) {
        c.f.vms[i].hugepage_bytes = GIB;
        c.f.vms[i].hugepage_size_bytes = GIB;
        c.f.hosts[i].hugepage_size_bytes = GIB;
        c.f.hosts[i].hugepage_total_bytes = 2 * GIB;
    }
    assert_int_equal(verdict(&c), R_HUGEPAGES);
    after(&c, 2, 0);
    after(&c, 3, 1);
    assert_int_equal(verdict(&c), R_NONE);
    done(&c);
}

static void rules_too(void **state)
{
    (void)state;
    struct case_ c;
    setup(&c);
    for (size_t i = 0; i < 6; i++)
        c.f.vms[i].mem_bytes = GIB;
    fleet_rule(&c.f, "apart", RULE_ANTI_AFFINITY, "[ax]", NULL);
    assert_int_equal(verdict(&c), R_ANTI_AFFINITY);
    after(&c, 2, 0);
    assert_int_equal(verdict(&c), R_NONE);
    fleet_rule(&c.f, "few", RULE_MAX_VMS, "[abxy]", "h1")->max = 2;
    assert_int_equal(verdict(&c), R_MAX_VMS);
    after(&c, 3, 1);
    assert_int_equal(verdict(&c), R_NONE);
    done(&c);
}

static void names_too(void **state)
{
    (void)state;
    struct case_ c;
    setup(&c);
    after(&c, 2, 0);
    after(&c, 3, 1);
    free(c.f.vms[3].name);
    c.f.vms[3].name = xstrdup("a");
    assert_int_equal(verdict(&c), R_NAME_TAKEN); /* a waits for x, not for the other a */
    c.plan.moves[2].after[0] = 1;
    c.plan.moves[3].after[0] = 0;
    assert_int_equal(verdict(&c), R_NONE);
    done(&c);
}

/* a and b must be on two hosts at least; x and y as well. */
static void spread_too(void **state)
{
    (void)state;
    struct case_ c;
    memset(&c, 0, sizeof(c));
    fleet_init(&c.f, 4, 16, 8);
    fleet_vm(&c.f, "a", 0, 4);
    fleet_vm(&c.f, "b", 1, 4);
    fleet_drain(&c.f, 0);
    c.f.r.make_room = true;
    fleet_rule(&c.f, "wide", RULE_SPREAD, "[ab]", NULL)->min = 2;
    add(&c, 1, 1, 2);
    add(&c, 0, 0, 1);
    assert_int_equal(verdict(&c), R_SPREAD); /* a may come before b has gone */
    after(&c, 1, 0);
    assert_int_equal(verdict(&c), R_NONE);
    done(&c);
}

/* v moves h1 → h2 → h3. */
static void parking(struct case_ *c)
{
    memset(c, 0, sizeof(*c));
    fleet_init(&c->f, 5, 16, 8);
    fleet_vm(&c->f, "a", 0, 10);
    fleet_vm(&c->f, "v", 1, 10);
    fleet_vm(&c->f, "w", 3, 10);
    fleet_drain(&c->f, 0);
    c->f.r.make_room = true;
    add(c, 1, 1, 2);
    add(c, 2, 3, 4);
    add(c, 1, 2, 3);
    add(c, 0, 0, 2);
    after(c, 2, 0);
    after(c, 2, 1);
    after(c, 3, 2);
}

static void parked_vms_move_twice(void **state)
{
    (void)state;
    struct case_ c;
    parking(&c);
    assert_int_equal(verdict(&c), R_NONE);
    c.plan.moves[2].from = 1; /* it is not there any more */
    assert_int_equal(verdict(&c), R_CHECK_FAILED);
    c.plan.moves[2].from = 2;
    c.plan.moves[2].after[0] = 1; /* does not wait for its own first move */
    c.plan.moves[2].n_after = 1;
    assert_int_equal(verdict(&c), R_CHECK_FAILED);
    done(&c);
    parking(&c);
    c.plan.moves[3].n_after = 0; /* a comes while v is still parked there */
    assert_int_equal(verdict(&c), R_MEMORY);
    done(&c);
    parking(&c);
    c.plan.moves[2].to = 1; /* home again */
    assert_int_equal(verdict(&c), R_SAME_HOST);
    done(&c);
    parking(&c);
    c.plan.moves[2].to = 2; /* where it is parked */
    assert_int_equal(verdict(&c), R_SAME_HOST);
    done(&c);
    parking(&c);
    c.plan.moves[0].to = c.plan.moves[2].from = 0; /* where everybody is to leave */
    assert_int_equal(verdict(&c), R_HOST_NOT_UP);
    done(&c);
}

static void waits_make_sense(void **state)
{
    (void)state;
    struct case_ c;
    setup(&c);
    after(&c, 2, 0);
    after(&c, 3, 1);
    c.plan.moves[0].after = xcalloc(1, sizeof(int));
    c.plan.moves[0].n_after = 1;
    c.plan.moves[0].after[0] = 2; /* each for the other */
    assert_int_equal(verdict(&c), R_CHECK_FAILED);
    c.plan.moves[0].after[0] = 0;
    assert_int_equal(verdict(&c), R_CHECK_FAILED);
    c.plan.moves[0].after[0] = -1;
    assert_int_equal(verdict(&c), R_CHECK_FAILED);
    c.plan.moves[0].after[0] = 9;
    assert_int_equal(verdict(&c), R_CHECK_FAILED);
    done(&c);
}

static void others_are_protected(void **state)
{
    (void)state;
    struct case_ c;
    setup(&c);
    after(&c, 2, 0);
    after(&c, 3, 1);
    c.f.r.make_room = false;
    assert_int_equal(verdict(&c), R_CHECK_FAILED);
    c.f.r.make_room = true;
    c.f.p.balance.max_moves = 1;
    assert_int_equal(verdict(&c), R_CHECK_FAILED);
    c.f.p.balance.max_moves = 2;
    c.plan.moves[0].live = false;
    assert_int_equal(verdict(&c), R_VM_STATE);
    c.f.vms[c.plan.moves[0].vm].state = VM_SHUTOFF; /* a definition: it makes no room */
    assert_int_equal(verdict(&c), R_VM_STATE);
    c.f.vms[c.plan.moves[0].vm].state = VM_RUNNING;
    c.plan.moves[0].live = true;
    assert_int_equal(verdict(&c), R_NONE);
    fleet_rule(&c.f, "calm", RULE_MAINTENANCE_ONLY, "x", NULL);
    assert_int_equal(verdict(&c), R_MAINTENANCE_ONLY);
    done(&c);
}

/* ---- against every moment ------------------------------------------------------------------------- */

enum { MOVES = 6, VMS = 7, HOSTS = 4 };

/* stage: 0 not begun, 1 under way, 2 ended. Can it come about? */
static bool can_be(const struct plan *p, const int *stage)
{
    for (size_t i = 0; i < p->n_moves; i++)
        for (size_t k = 0; stage[i] && k < p->moves[i].n_after; k++)
            if (stage[p->moves[i].after[k]] < 2)
                return false;
    return true;
}

static bool counts_at(const struct case_ *c, const int *stage, int vm, int host)
{
    bool at = c->f.s.vms[vm].host == host;
    for (size_t i = 0; i < c->plan.n_moves; i++) {
        const struct plan_move *m = &c->plan.moves[i];
        if (m->vm != vm || !stage[i])
            continue;
        at = m->to == host || (at && !(stage[i] == 2 && m->from == host));
    }
    return at;
}

/* No moment has more on a host to which something has moved than it holds, in GiB or VMs. */
static bool every_moment_holds(const struct case_ *c)
{
    int stage[MOVES] = {0}, n = 1;
    for (size_t i = 0; i < c->plan.n_moves; i++)
        n *= 3;
    for (int code = 0; code < n; code++) {
        for (int i = 0, x = code; i < (int)c->plan.n_moves; i++, x /= 3)
            stage[i] = x % 3;
        if (!can_be(&c->plan, stage))
            continue;
        for (size_t i = 0; i < c->plan.n_moves; i++) {
            int64_t bytes = 0, vms = 0, host = c->plan.moves[i].to;
            for (int vm = 0; stage[i] && vm < (int)c->f.s.n_vms; vm++)
                if (counts_at(c, stage, vm, (int)host)) {
                    bytes += c->f.vms[vm].mem_bytes;
                    vms++;
                }
            if (bytes > c->f.hosts[host].mem_bytes || vms > c->f.p.rules[0].max)
                return false;
        }
    }
    return true;
}

static void draw(struct case_ *c, uint64_t *g)
{
    int at[VMS];
    memset(c, 0, sizeof(*c));
    fleet_init(&c->f, HOSTS + 1, 10, VMS);
    c->f.r.goal = GOAL_REPAIR;
    c->f.p.balance.max_moves = MOVES;
    fleet_rule(&c->f, "few", RULE_MAX_VMS, "*", NULL)->max = 2 + test_rand(g) % 3;
    for (int i = 0; i < VMS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "v%d", i);
        at[i] = (int)(test_rand(g) % HOSTS);
        fleet_vm(&c->f, name, at[i], 1 + test_rand(g) % 5);
    }
    for (int i = 0; i < MOVES; i++) {
        int vm = (int)(test_rand(g) % VMS), to = (int)(test_rand(g) % (HOSTS + 1)), last = -1;
        for (size_t k = 0; k < c->plan.n_moves; k++)
            last = c->plan.moves[k].vm == vm ? (int)k : last;
        if (to == at[vm] || to == c->f.s.vms[vm].host)
            continue;
        size_t m = add(c, vm, at[vm], to);
        at[vm] = to;
        for (int a = 0; a < (int)m; a++) {
            uint32_t often = c->plan.moves[a].from == to ? 4 : 1; /* of 6 */
            if (a == last || test_rand(g) % 6 < often)
                after(c, m, a);
        }
    }
}

/* Neither too strict nor too lax. */
static void the_verdict_is_exact(void **state)
{
    (void)state;
    uint64_t g = 88172645463325252;
    int good = 0, bad = 0;
    for (int k = 0; k < 1000; k++) {
        struct case_ c;
        draw(&c, &g);
        bool holds = every_moment_holds(&c);
        int code = verdict(&c);
        if (holds != (code == R_NONE) || (code && code != R_MEMORY && code != R_MAX_VMS))
            fail_msg("case %d: %s, but the replay says %s", k, holds ? "holds" : "does not hold",
                     reason_tokens[code]);
        good += holds && c.plan.n_moves > 3;
        bad += !holds;
        done(&c);
    }
    print_message("%d hold, %d do not\n", good, bad);
    assert_true(good > 100 && bad > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_handed_on),
        cmocka_unit_test(nothing_is_handed_on_twice),
        cmocka_unit_test(cpus_and_pages_too),
        cmocka_unit_test(rules_too),
        cmocka_unit_test(names_too),
        cmocka_unit_test(spread_too),
        cmocka_unit_test(parked_vms_move_twice),
        cmocka_unit_test(waits_make_sense),
        cmocka_unit_test(others_are_protected),
        cmocka_unit_test(the_verdict_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
