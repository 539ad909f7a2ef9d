/* Plans whose moves wait for each other: found where nothing else works, and only there. */
#include "tests/unit/fleet.h"

static void make(struct test_fleet *f, struct plan *ret)
{
    struct reason why;
    shape_init(&reason_shape, &why);
    plan_make(&f->s, &f->p, &f->r, 1, ret);
    if (!plan_verify(&f->s, &f->p, &f->r, ret, &why))
        fail_msg("the plan breaks %s: %s %s", reason_tokens[why.code], why.what ? why.what : "",
                 why.have ? why.have : "");
}

static size_t waits(const struct plan *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_moves; i++)
        n += p->moves[i].n_after;
    return n;
}

/* a of 10 GiB has no place: h1 has 8 free, h2 has 6. */
static void one_must_leave(struct test_fleet *f)
{
    fleet_init(f, 3, 16, 8);
    fleet_vm(f, "a", 0, 10);
    fleet_vm(f, "x", 1, 4);
    fleet_vm(f, "y", 1, 4);
    fleet_vm(f, "z", 2, 10);
    fleet_drain(f, 0);
}

static void others_move_only_where_allowed(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    one_must_leave(&f);
    make(&f, &p);
    assert_int_equal(p.n_moves, 0);
    assert_int_equal(p.n_stays, 1);
    plan_done(&p);
    f.r.make_room = true;
    make(&f, &p);
    assert_int_equal(p.n_stays, 0);
    assert_int_equal(p.n_moves, 2);
    assert_int_equal(p.moves[0].from, 1);
    assert_int_equal(p.moves[0].to, 2);
    assert_int_equal(p.moves[0].n_after, 0);
    assert_string_equal(p.moves[0].why, "makes room on h1 for vm/a");
    assert_int_equal(p.moves[1].vm, 0);
    assert_int_equal(p.moves[1].to, 1);
    assert_int_equal(p.moves[1].n_after, 1);
    assert_int_equal(p.moves[1].after[0], 0);
    assert_non_null(strstr(p.moves[1].why, "into the room that vm/"));
    plan_done(&p);
    fleet_done(&f);
}

static void nobody_moves_for_what_fits(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    one_must_leave(&f);
    f.hosts[2].mem_bytes = 20 * GIB; /* z leaves 10 free */
    f.r.make_room = true;
    make(&f, &p);
    assert_int_equal(p.n_moves, 1);
    assert_int_equal(waits(&p), 0);
    plan_done(&p);
    fleet_done(&f);
}

/* Where moves failed lately room is made last, and who is there already has no reason to leave. */
static void room_is_made_where_nothing_failed(void **state)
{
    (void)state;
    for (int host = 1; host <= 3; host += 2) {
        struct test_fleet f;
        struct plan p;
        struct plan_failed failed = {
            .vm = -1, .host = host, .how = (char *)(uintptr_t) "failed with 2 VMs"};
        fleet_init(&f, 4, 16, 8);
        fleet_vm(&f, "a", 0, 10);
        fleet_vm(&f, "x", 1, 4);
        fleet_vm(&f, "y", 1, 4);
        fleet_vm(&f, "z", 2, 10);
        fleet_vm(&f, "u", 3, 4);
        fleet_vm(&f, "v", 3, 4);
        fleet_drain(&f, 0);
        f.r.make_room = true;
        f.r.failed = &failed;
        f.r.n_failed = 1;
        make(&f, &p);
        assert_int_equal(p.n_moves, 2);
        assert_int_equal(p.moves[0].from, 4 - host);
        assert_int_equal(p.moves[1].vm, 0);
        assert_int_equal(p.moves[1].to, 4 - host);
        plan_done(&p);
        f.s.hosts[4 - host].state = HOST_CORDONED;
        make(&f, &p);
        assert_int_equal(p.n_moves, 2);
        assert_int_equal(p.moves[1].to, host);
        assert_non_null(strstr(p.moves[1].why, "; though moves there failed with 2 VMs"));
        plan_done(&p);
        fleet_done(&f);
    }
}

/* Those that only make room may be kept out of it: by a rule, or by how many may move. */
static void others_are_spared(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    one_must_leave(&f);
    f.r.make_room = true;
    fleet_rule(&f, "calm", RULE_MAINTENANCE_ONLY, "[xy]", NULL);
    make(&f, &p);
    assert_int_equal(p.n_moves, 0);
    assert_int_equal(p.n_stays, 1);
    plan_done(&p);
    fleet_done(&f);
    one_must_leave(&f);
    f.r.make_room = true;
    f.vms[1].hugepage_bytes = f.vms[2].hugepage_bytes = GIB; /* no host has any */
    make(&f, &p);
    assert_int_equal(p.n_stays, 1);
    plan_done(&p);
    fleet_done(&f);
}

/* x and y change places, since a fits only beside y; nothing is free for both at once but on h3. */
static void circles_are_broken_by_parking(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 10, 8);
    fleet_vm(&f, "x", 1, 7);
    fleet_vm(&f, "y", 2, 8);
    fleet_vm(&f, "z", 3, 3);
    fleet_rule(&f, "x-there", RULE_HOST_REQUIRED, "x", "h[2-3]");
    fleet_rule(&f, "y-there", RULE_HOST_REQUIRED, "y", "h1");
    fleet_rule(&f, "z-here", RULE_HOST_REQUIRED, "z", "h3");
    fleet_rule(&f, "x-best", RULE_HOST_PREFERRED, "x", "h2")->hard = false;
    f.s.hosts[0].state = HOST_MAINTENANCE;
    f.r.goal = GOAL_REPAIR;
    f.r.purpose = PURPOSE_BALANCE;
    make(&f, &p);
    assert_int_equal(p.after.broken, 0);
    assert_int_equal(p.n_moves, 3);
    assert_int_equal(p.moves[0].vm, 0);
    assert_int_equal(p.moves[0].to, 3);
    assert_int_equal(p.moves[1].vm, 1);
    assert_int_equal(p.moves[1].n_after, 1);
    assert_int_equal(p.moves[2].vm, 0);
    assert_int_equal(p.moves[2].from, 3);
    assert_int_equal(p.moves[2].to, 2);
    assert_string_equal(p.moves[0].why, "parked there until h2 has room for it: it moves twice");
    plan_done(&p);
    fleet_done(&f);
}

/* With no move to spare for parking, the next best target is taken. */
static void targets_without_a_way_are_given_up(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 10, 8);
    fleet_vm(&f, "x", 1, 7);
    fleet_vm(&f, "y", 2, 8);
    fleet_vm(&f, "z", 3, 3);
    fleet_rule(&f, "x-there", RULE_HOST_REQUIRED, "x", "h[2-3]");
    fleet_rule(&f, "y-there", RULE_HOST_REQUIRED, "y", "h1");
    fleet_rule(&f, "z-here", RULE_HOST_REQUIRED, "z", "h3");
    fleet_rule(&f, "x-best", RULE_HOST_PREFERRED, "x", "h2")->hard = false;
    f.s.hosts[0].state = HOST_MAINTENANCE;
    f.r.goal = GOAL_REPAIR;
    f.r.purpose = PURPOSE_BALANCE;
    f.r.max_moves = 2;
    make(&f, &p);
    assert_int_equal(p.after.broken, 0);
    assert_int_equal(p.n_moves, 2);
    assert_int_equal(p.moves[0].vm, 0);
    assert_int_equal(p.moves[0].to, 3);
    assert_int_equal(p.moves[1].vm, 1);
    plan_done(&p);
    fleet_done(&f);
}

/* v3 must go to h2 before v0 can have its place, v2 must leave h2 for h1, and v1 h1 for h2: where both
 * are in each other's way, v1 waits on h3. */
static void a_drain_parks(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 7, 8);
    fleet_vm(&f, "v0", 0, 5);
    fleet_vm(&f, "v1", 1, 4);
    fleet_vm(&f, "v2", 2, 6);
    fleet_vm(&f, "v3", 3, 3);
    fleet_rule(&f, "r0", RULE_HOST_REQUIRED, "v0", "h[03]");
    fleet_rule(&f, "r2", RULE_HOST_REQUIRED, "v2", "h[123]");
    fleet_rule(&f, "r3", RULE_HOST_REQUIRED, "v3", "h[023]");
    fleet_drain(&f, 0);
    f.r.make_room = true;
    make(&f, &p);
    assert_int_equal(p.n_stays, 0);
    assert_int_equal(p.n_moves, 5);
    int of_v1 = 0;
    for (size_t i = 0; i < p.n_moves; i++)
        of_v1 += p.moves[i].vm == 1;
    assert_int_equal(of_v1, 2);
    plan_done(&p);
    fleet_done(&f);
}

/* ---- against every sequence of moves ------------------------------------------------------------ */

enum { HOSTS = 4, VMS = 4 };
struct tiny {
    int64_t room[HOSTS], size[VMS];
    int home[VMS], n_hosts, n_vms;
    unsigned may[VMS]; /* hosts, as bits */
    bool apart;        /* v0 and v1 never on one host */
};

/* Is there a way, one move after another, each VM on both ends while it moves? at: base n_hosts. */
static bool some_way(const struct tiny *t)
{
    size_t n = 1;
    for (int i = 0; i < t->n_vms; i++)
        n *= (size_t)t->n_hosts;
    cleanup(freep) bool *seen = xcalloc(n, sizeof(*seen));
    cleanup(freep) size_t *queue = xcalloc(n, sizeof(*queue));
    size_t head = 0, tail = 0, start = 0;
    for (int i = t->n_vms; i-- > 0;)
        start = start * (size_t)t->n_hosts + (size_t)t->home[i];
    seen[queue[tail++] = start] = true;
    while (head < tail) {
        size_t code = queue[head++], unit = 1;
        int at[VMS] = {0}, left = 0;
        int64_t used[HOSTS] = {0};
        for (int i = 0; i < t->n_vms; i++, unit *= (size_t)t->n_hosts) {
            at[i] = (int)(code / unit % (size_t)t->n_hosts);
            used[at[i]] += t->size[i];
            left += at[i] == 0;
        }
        if (!left)
            return true;
        unit = 1;
        for (int i = 0; i < t->n_vms; i++, unit *= (size_t)t->n_hosts)
            for (int h = 1; h < t->n_hosts; h++) {
                size_t next = code - (size_t)at[i] * unit + (size_t)h * unit;
                bool beside = t->apart && i < 2 && at[1 - i] == h;
                if (h == at[i] || beside || !(t->may[i] >> h & 1) || seen[next] ||
                    used[h] + t->size[i] > t->room[h])
                    continue;
                seen[queue[tail++] = next] = true;
            }
    }
    return false;
}

/* Half of them nearly full, and with places that are not for all. */
static void draw(struct tiny *t, uint64_t *g)
{
    int64_t used[HOSTS] = {0};
    bool tight = test_rand(g) % 2;
    *t = (struct tiny){0};
    t->n_hosts = tight ? HOSTS : 2 + (int)(test_rand(g) % (HOSTS - 1));
    t->n_vms = tight ? VMS : 1 + (int)(test_rand(g) % VMS);
    t->apart = t->n_vms > 1 && test_rand(g) % 3 == 0;
    for (int i = 0; i < t->n_vms; i++) {
        t->size[i] = 1 + test_rand(g) % 9;
        t->home[i] = tight ? i % HOSTS : (int)(test_rand(g) % (uint32_t)t->n_hosts);
        t->may[i] = tight ? 1u << t->home[i] | test_rand(g) % 16 : 15;
        used[t->home[i]] += t->size[i];
    }
    for (int h = 0; h < t->n_hosts; h++) {
        uint32_t more = test_rand(g) % 4 == 0 ? test_rand(g) % 6 : 0;
        t->room[h] = used[h] + 1 + more + test_rand(g) % 5;
    }
}

static void fleet_of(const struct tiny *t, struct test_fleet *f)
{
    fleet_init(f, (size_t)t->n_hosts, 1, VMS);
    for (int h = 0; h < t->n_hosts; h++)
        f->hosts[h].mem_bytes = t->room[h] * GIB;
    for (int i = 0; i < t->n_vms; i++) {
        char name[16];
        snprintf(name, sizeof(name), "v%d", i);
        fleet_vm(f, name, t->home[i], t->size[i]);
        struct rule *r = fleet_rule(f, name, RULE_HOST_REQUIRED, name, NULL);
        for (int h = 0; h < t->n_hosts; h++)
            if (t->may[i] >> h & 1)
                *vec_add(&r->hosts.names, &r->hosts.n_names) = xasprintf("h%d", h);
    }
    if (t->apart)
        fleet_rule(f, "apart", RULE_ANTI_AFFINITY, "v[01]", NULL);
    fleet_drain(f, 0);
    f->r.make_room = true;
}

static void no_drain_is_missed(void **state)
{
    (void)state;
    uint64_t g = 0x9e3779b97f4a7c15;
    int ways = 0, waited = 0, parked = 0, none = 0;
    for (int k = 0; k < 3000; k++) {
        struct tiny t;
        struct test_fleet f;
        struct plan p;
        draw(&t, &g);
        fleet_of(&t, &f);
        make(&f, &p);
        bool way = some_way(&t);
        if (way != (p.n_stays == 0))
            fail_msg("case %d: %s, but the plan has %zu moves and %zu stays", k,
                     way ? "there is a way" : "there is none", p.n_moves, p.n_stays);
        ways += way;
        none += !way;
        waited += p.n_stays == 0 && waits(&p) > 0;
        for (size_t i = 0; i < p.n_moves; i++)
            parked += p.moves[i].from != t.home[p.moves[i].vm];
        plan_done(&p);
        fleet_done(&f);
    }
    print_message("%d with a way, %d of them wait, %d are parked; %d without\n", ways, waited,
                  parked, none);
    assert_true(waited > 100 && none > 100);
}

/* ---- larger fleets: whatever is planned holds --------------------------------------------------- */

static uint32_t below(uint64_t *g, uint32_t n)
{
    return test_rand(g) % n;
}

static void draw_rules(struct test_fleet *f, uint64_t *g)
{
    static const int kinds[] = {RULE_ANTI_AFFINITY, RULE_MAX_VMS, RULE_SPREAD, RULE_AFFINITY,
                                RULE_HOST_REQUIRED};
    int n = (int)below(g, 5);
    for (int i = 0; i < n; i++) {
        cleanup(freep) char *vms = xasprintf("v%u*", below(g, 10));
        int kind = kinds[below(g, ARRAY_LEN(kinds))];
        struct rule *r =
            fleet_rule(f, vms, kind, vms, kind == RULE_HOST_REQUIRED ? "h[0-4]" : NULL);
        r->across = kind == RULE_HOST_REQUIRED ? ACROSS_HOST : (int)below(g, 3);
        r->max = 1 + below(g, 3);
        r->min = 2;
        r->hard = below(g, 4) > 0;
    }
}

/* Nearly full, of odd sizes, some hosts in no rack. */
static void draw_fleet(struct test_fleet *f, uint64_t *g)
{
    size_t n_hosts = 4 + below(g, 5), n_vms = 12 + below(g, 30);
    cleanup(freep) int64_t *used = xcalloc(n_hosts, sizeof(*used));
    fleet_init(f, n_hosts, 1, n_vms);
    for (size_t i = 0; i < n_vms; i++) {
        char name[16];
        int host = (int)below(g, (uint32_t)n_hosts);
        snprintf(name, sizeof(name), "v%u", (unsigned)i % 1000);
        struct vm *v = fleet_vm(f, name, host, 1 + below(g, 8));
        v->mem_bytes += below(g, 2) ? 1024 * below(g, 100) : 0;
        v->mem_overhead_bytes = 1024 * below(g, 3) + below(g, 2);
        v->state = below(g, 12) ? VM_RUNNING : VM_SHUTOFF;
        used[host] += v->state == VM_RUNNING ? v->mem_bytes + v->mem_overhead_bytes : 0;
    }
    for (size_t h = 0; h < n_hosts; h++) {
        bool over = below(g, 10) == 0;
        f->hosts[h].mem_bytes = used[h] + (over ? -GIB / 2 : (int64_t)below(g, 6) * GIB / 2);
        f->hosts[h].zone = xasprintf("z%zu", h / 4);
        f->hosts[h].rack = below(g, 8) ? xasprintf("r%zu", h / 2) : NULL;
    }
    draw_rules(f, g);
}

static void whatever_is_planned_holds(void **state)
{
    (void)state;
    uint64_t g = 362436069;
    int waiting = 0, whole = 0, n = 0;
    for (int k = 0; k < 100; k++) {
        struct test_fleet f;
        struct plan p;
        draw_fleet(&f, &g);
        int goal = below(&g, 3) ? GOAL_LEAVE : GOAL_REPAIR;
        f.r.goal = goal;
        f.r.purpose = goal == GOAL_LEAVE ? PURPOSE_MAINTENANCE : PURPOSE_BALANCE;
        if (goal == GOAL_LEAVE)
            fleet_drain(&f, (int)below(&g, (uint32_t)f.s.n_hosts));
        f.r.make_room = goal == GOAL_LEAVE;
        make(&f, &p);
        waiting += waits(&p) > 0;
        whole += goal == GOAL_LEAVE && !p.n_stays;
        n++;
        plan_done(&p);
        fleet_done(&f);
    }
    print_message("%d plans, %d with waits, %d hosts emptied\n", n, waiting, whole);
    assert_true(waiting > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_move_only_where_allowed),
        cmocka_unit_test(nobody_moves_for_what_fits),
        cmocka_unit_test(room_is_made_where_nothing_failed),
        cmocka_unit_test(others_are_spared),
        cmocka_unit_test(circles_are_broken_by_parking),
        cmocka_unit_test(targets_without_a_way_are_given_up),
        cmocka_unit_test(a_drain_parks),
        cmocka_unit_test(no_drain_is_missed),
        cmocka_unit_test(whatever_is_planned_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
