/* plan_make as a whole: it finds a placement when there is one (compared with trying them all), what it
 * plans passes the independent replay, and the same inputs give the same plan. */
#include "tests/unit/fleet.h"

static void make(struct test_fleet *f, struct plan *ret)
{
    struct reason why;
    shape_init(&reason_shape, &why);
    plan_make(&f->s, &f->p, &f->r, 1, ret);
    if (!plan_verify(&f->s, &f->p, &f->r, ret, &why))
        fail_msg("the plan breaks %s: %s %s", reason_tokens[why.code], why.what ? why.what : "",
                 why.have ? why.have : "");
    assert_int_equal(ret->n_moves + ret->n_stays, f->r.n_vms);
    for (size_t i = 0; i < ret->n_moves; i++)
        assert_non_null(ret->moves[i].why);
}

static const struct plan_move *move_of(const struct plan *p, int vm)
{
    for (size_t i = 0; i < p->n_moves; i++)
        if (p->moves[i].vm == vm)
            return &p->moves[i];
    return NULL;
}

static const struct plan_stay *stay_of(const struct plan *p, int vm)
{
    for (size_t i = 0; i < p->n_stays; i++)
        if (p->stays[i].vm == vm)
            return &p->stays[i];
    return NULL;
}

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

static void test_balances(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 32, 10);
    for (int i = 0; i < 6; i++)
        fleet_vm(&f, "v", 0, 2)->name[0] = (char)('a' + i);
    fleet_drain(&f, 0);
    make(&f, &p);
    int count[4] = {0};
    for (size_t i = 0; i < p.n_moves; i++)
        count[p.moves[i].to]++;
    for (int h = 1; h < 4; h++)
        assert_int_equal(count[h], 2);
    for (size_t i = 1; i < p.n_moves; i++) /* neighbours in the order use different links */
        assert_int_not_equal(p.moves[i].to, p.moves[i - 1].to);
    plan_done(&p);
    fleet_done(&f);
}

static void test_shutoff_and_paused(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 2, 16, 4);
    fleet_vm(&f, "off", 0, 64)->state = VM_SHUTOFF; /* larger than the host: it needs no memory */
    fleet_vm(&f, "paused", 0, 1)->state = VM_PAUSED;
    fleet_vm(&f, "run", 0, 8);
    fleet_drain(&f, 0);
    f.r.allow_cold = true; /* stopping does not help a paused VM */
    make(&f, &p);
    assert_false(move_of(&p, 0)->live);
    assert_true(move_of(&p, 2)->live);
    assert_int_equal(p.moves[0].vm, 2); /* what runs goes first */
    const struct plan_stay *st = stay_of(&p, 1);
    assert_int_equal(st->reasons[0].code, R_VM_PAUSED);
    assert_null(st->reasons[0].host);
    plan_done(&p);
    fleet_done(&f);
}

static void test_request_limits(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    struct reason why = {.code = R_IMAGE_ABSENT, .what = (char *)(uintptr_t) "vda"};
    struct plan_refusal no = {.vm = 0, .host = 3, .why = &why};
    int to[] = {1, 3}, avoid[] = {1};
    fleet_init(&f, 4, 16, 1);
    fleet_vm(&f, "a", 0, 4);
    fleet_drain(&f, 0);
    f.r.to = to;
    f.r.n_to = 2;
    f.r.avoid = avoid;
    f.r.n_avoid = 1;
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 3);
    plan_done(&p);
    f.r.refusals = &no;
    f.r.n_refusals = 1;
    make(&f, &p);
    const struct plan_stay *st = stay_of(&p, 0);
    assert_int_equal(st->n_reasons, 3);
    assert_int_equal(st->reasons[0].code, R_AVOIDED); /* the nearest way out comes first */
    assert_int_equal(st->reasons[1].code, R_NOT_IN_TO);
    assert_int_equal(st->reasons[2].code, R_IMAGE_ABSENT);
    assert_string_equal(st->reasons[2].host, "h3");
    plan_done(&p);
    no.host = -1;
    make(&f, &p);
    assert_null(stay_of(&p, 0)->reasons[0].host);
    assert_int_equal(stay_of(&p, 0)->reasons[0].code, R_IMAGE_ABSENT);
    plan_done(&p);
    fleet_done(&f);
}

static void test_cold(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    struct reason why = {.code = R_MIGRATE_FAILED};
    struct plan_refusal no[] = {{.vm = 0, .host = 1, .why = &why},
                                {.vm = 0, .host = 2, .why = &why}};
    fleet_init(&f, 3, 16, 1);
    fleet_vm(&f, "a", 0, 4);
    fleet_drain(&f, 0);
    f.r.refusals = no;
    f.r.n_refusals = 1;
    f.r.allow_cold = true;
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 2); /* live elsewhere is better than cold */
    assert_true(move_of(&p, 0)->live);
    plan_done(&p);
    f.r.n_refusals = 2;
    make(&f, &p);
    assert_false(move_of(&p, 0)->live);
    plan_done(&p);
    why.code = R_CPU_MODEL; /* it would not start there either */
    make(&f, &p);
    assert_non_null(stay_of(&p, 0));
    plan_done(&p);
    why.code = R_MIGRATE_FAILED;
    f.r.allow_cold = false;
    make(&f, &p);
    assert_non_null(stay_of(&p, 0));
    plan_done(&p);
    fleet_done(&f);
}

static void test_wishes(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    int wish[] = {3, -1, 3};
    fleet_init(&f, 4, 16, 8);
    fleet_vm(&f, "small", 0, 2);
    fleet_vm(&f, "large", 0, 15); /* would take h3 first */
    fleet_vm(&f, "mid", 0, 13);
    fleet_vm(&f, "r1", 1, 1);
    fleet_vm(&f, "r2", 2, 1);
    fleet_drain(&f, 0);
    f.r.wish = wish;
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 3);
    assert_int_equal(move_of(&p, 2)->to, 3);
    assert_int_not_equal(move_of(&p, 1)->to, 3);
    plan_done(&p);
    f.s.hosts[3].state = HOST_CORDONED; /* a wish is not a condition */
    make(&f, &p);
    assert_int_not_equal(move_of(&p, 0)->to, 3);
    plan_done(&p);
    fleet_done(&f);
}

static void test_soft_rules(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 16, 4);
    fleet_vm(&f, "db-1", 0, 2);
    fleet_vm(&f, "db-2", 3, 2); /* alone on the emptiest host */
    fleet_vm(&f, "x", 1, 9);
    fleet_vm(&f, "y", 2, 8);
    fleet_rule(&f, "apart", RULE_ANTI_AFFINITY, "db-*", NULL)->hard = false;
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 2);
    plan_done(&p);
    f.s.hosts[1].state = f.s.hosts[2].state = HOST_CORDONED;
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 3); /* broken rather than staying */
    plan_done(&p);
    fleet_done(&f);
}

static void test_affinity_moves_as_one(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 3, 16, 4);
    fleet_vm(&f, "c-1", 0, 6);
    fleet_vm(&f, "c-2", 0, 6);
    fleet_vm(&f, "x", 1, 5); /* h1 has room for one of them only */
    fleet_vm(&f, "y", 2, 4);
    fleet_rule(&f, "near", RULE_AFFINITY, "c-*", NULL);
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(move_of(&p, 0)->to, 2);
    assert_int_equal(move_of(&p, 1)->to, 2);
    plan_done(&p);
    f.vms[1].state = VM_PAUSED; /* it cannot go, so the other stays with it */
    make(&f, &p);
    assert_int_equal(p.n_moves, 0);
    assert_int_equal(stay_of(&p, 0)->reasons[0].code, R_AFFINITY);
    plan_done(&p);
    fleet_done(&f);
}

static void test_order(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 2, 64, 4);
    fleet_vm(&f, "mid", 0, 4);
    fleet_vm(&f, "large", 0, 8);
    fleet_vm(&f, "small", 0, 2);
    fleet_drain(&f, 0);
    static const int first[] = {
        [ORDER_FASTEST] = 1, [ORDER_SMALLEST_FIRST] = 2, [ORDER_LARGEST_FIRST] = 1};
    for (int o = ORDER_FASTEST; o <= ORDER_LARGEST_FIRST; o++) {
        f.p.drain.order = o;
        make(&f, &p);
        assert_int_equal(p.moves[0].vm, first[o]);
        assert_int_equal(p.moves[1].vm, 0);
        plan_done(&p);
    }
    fleet_done(&f);
}

static void test_order_uses_many_links(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 3, 64, 4);
    fleet_vm(&f, "a-1", 0, 8);
    fleet_vm(&f, "a-2", 0, 7);
    fleet_vm(&f, "b-1", 0, 2);
    fleet_rule(&f, "a", RULE_HOST_REQUIRED, "a-*", "h1");
    fleet_rule(&f, "b", RULE_HOST_REQUIRED, "b-*", "h2");
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(p.moves[0].vm, 0);
    assert_int_equal(p.moves[1].vm, 2); /* h1's link is busy with the first */
    assert_int_equal(p.moves[2].vm, 1);
    plan_done(&p);
    fleet_done(&f);
}

/* Ejection finds some place for all; what is better than that must be looked for afterwards. */
static void test_improves(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 4, 64, 4);
    fleet_vm(&f, "db-1", 0, 8);
    fleet_vm(&f, "db-2", 0, 4);
    fleet_vm(&f, "x", 1, 12);
    fleet_vm(&f, "y", 2, 10);
    /* db-1 goes to the empty h3; db-2, bound to h3, would break the wish for distance there: db-1
     * has to give way although it came first */
    fleet_rule(&f, "bound", RULE_HOST_REQUIRED, "db-2", "h3");
    fleet_rule(&f, "apart", RULE_ANTI_AFFINITY, "db-*", NULL)->hard = false;
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(move_of(&p, 1)->to, 3);
    assert_int_equal(move_of(&p, 0)->to, 2);
    plan_done(&p);
    fleet_done(&f);
}

/* Two VMs of one name, from different hosts, in one plan. */
static void test_same_names(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    int two[] = {0, 1}, to[] = {2, 3};
    fleet_init(&f, 4, 64, 3);
    fleet_vm(&f, "web", 0, 4);
    fleet_vm(&f, "web", 1, 4);
    fleet_vm(&f, "x", 3, 40); /* both would rather go to h2 */
    f.r = (struct plan_request){.vms = two, .n_vms = 2, .to = to, .n_to = 2};
    make(&f, &p);
    assert_int_equal(p.n_moves, 2);
    assert_int_not_equal(p.moves[0].to, p.moves[1].to);
    plan_done(&p);
    f.r.n_to = 1;
    make(&f, &p);
    assert_int_equal(p.stays[0].reasons[1].code, R_NAME_TAKEN);
    assert_true(p.stays[0].reasons[2].more); /* not asked for, and a clash of names as well */
    plan_done(&p);
    fleet_done(&f);
}

/* All that speaks against the VM itself is said at once, not one thing per drain. */
static void test_all_reasons_of_a_vm(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 2, 64, 1);
    struct vm *v = fleet_vm(&f, "a", 0, 4);
    v->disks[0].kind = DISK_BLOCK;
    v->disks[0].cache = xstrdup("writeback");
    v->persistent = false;
    fleet_drain(&f, 0);
    make(&f, &p);
    const struct plan_stay *st = stay_of(&p, 0);
    assert_int_equal(st->n_reasons, 3);
    assert_int_equal(st->reasons[0].code, R_TRANSIENT);
    assert_int_equal(st->reasons[1].code, R_LOCAL_DISK);
    assert_int_equal(st->reasons[2].code, R_CACHE_MODE);
    assert_string_equal(st->reasons[2].have, "writeback");
    plan_done(&p);
    free(v->disks[0].cache);
    v->disks[0].cache = xstrdup("none");
    make(&f, &p);
    assert_int_equal(stay_of(&p, 0)->n_reasons, 2);
    plan_done(&p);
    f.r.allow_cold = true; /* a stopped VM has nothing in its cache, but the disk stays local */
    free(v->disks[0].cache);
    v->disks[0].cache = NULL;
    make(&f, &p);
    assert_int_equal(stay_of(&p, 0)->n_reasons, 3);
    plan_done(&p);
    fleet_done(&f);
}

/* A cure is a way out only where nothing else is in the way. */
static void test_cures_that_are_none(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    int to[] = {2};
    fleet_init(&f, 4, 64, 2);
    fleet_vm(&f, "a", 0, 4);
    fleet_vm(&f, "x", 2, 62);
    f.s.hosts[1].state = HOST_CORDONED;
    f.s.hosts[3].state = HOST_DRAINING;
    fleet_drain(&f, 0);
    make(&f, &p);
    const struct plan_stay *st = stay_of(&p, 0);
    assert_string_equal(st->reasons[0].cure, "drover resume h1");
    assert_false(st->reasons[0].more);
    assert_null(st->reasons[1].cure); /* a run is at work there */
    plan_done(&p);
    f.r.to = to;
    f.r.n_to = 1;
    make(&f, &p);
    st = stay_of(&p, 0);
    assert_int_equal(st->reasons[0].code, R_MEMORY);
    assert_false(st->reasons[0].more);
    assert_int_equal(st->reasons[1].code, R_HOST_NOT_UP);
    assert_true(st->reasons[1].more); /* --to leaves it out, too */
    plan_done(&p);
    fleet_done(&f);
}

static void test_only_host(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan p;
    fleet_init(&f, 1, 64, 1);
    fleet_vm(&f, "a", 0, 4);
    fleet_drain(&f, 0);
    make(&f, &p);
    assert_int_equal(stay_of(&p, 0)->reasons[0].code, R_SAME_HOST);
    plan_done(&p);
    f.r.n_vms = 0;
    make(&f, &p);
    plan_done(&p);
    fleet_done(&f);
}

/* What the engine counts in pages may fit to the byte; what it would break a rule for must leave its room
 * to others. */
static void test_gaps_are_filled(void **state)
{
    (void)state;
    struct test_fleet f;
    struct plan plan;
    fleet_init(&f, 2, 16, 3);
    fleet_vm(&f, "a", 0, 8)->mem_overhead_bytes = 1;
    fleet_vm(&f, "b", 1, 8)->mem_overhead_bytes = -1;
    fleet_drain(&f, 0);
    plan_make(&f.s, &f.p, &f.r, 1, &plan);
    assert_int_equal(plan.n_moves, 1);
    plan_done(&plan);
    fleet_done(&f);
    fleet_init(&f, 2, 16, 3);
    fleet_vm(&f, "web-1", 0, 10);
    fleet_vm(&f, "web-2", 1, 4);
    fleet_vm(&f, "other", 0, 8);
    fleet_rule(&f, "wide", RULE_SPREAD, "web-*", NULL)->min = 2;
    fleet_drain(&f, 0);
    plan_make(&f.s, &f.p, &f.r, 1, &plan);
    assert_int_equal(plan.n_moves, 1);
    assert_int_equal(plan.moves[0].vm, 2);
    assert_int_equal(plan.stays[0].reasons[0].code, R_SPREAD);
    plan_done(&plan);
    fleet_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gaps_are_filled),
        cmocka_unit_test(test_complete),
        cmocka_unit_test(test_complete_with_affinity),
        cmocka_unit_test(test_tight_fit),
        cmocka_unit_test(test_tight_fit_of_many),
        cmocka_unit_test(test_random_fleets_verify),
        cmocka_unit_test(test_balances),
        cmocka_unit_test(test_shutoff_and_paused),
        cmocka_unit_test(test_request_limits),
        cmocka_unit_test(test_cold),
        cmocka_unit_test(test_wishes),
        cmocka_unit_test(test_soft_rules),
        cmocka_unit_test(test_affinity_moves_as_one),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_order_uses_many_links),
        cmocka_unit_test(test_improves),
        cmocka_unit_test(test_same_names),
        cmocka_unit_test(test_all_reasons_of_a_vm),
        cmocka_unit_test(test_cures_that_are_none),
        cmocka_unit_test(test_only_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
