/* Ways out of random fleets, held against trying everything: what is proven is so, and each way that is
 * offered, done by hand, lets the VM leave. */
#include "tests/unit/waysfix.h"

static void random_rule(struct test_fleet *f, uint64_t *rng)
{
    static const int kinds[] = {RULE_ANTI_AFFINITY,  RULE_MAX_VMS, RULE_HOST_REQUIRED,
                                RULE_HOST_FORBIDDEN, RULE_SPREAD,  RULE_AFFINITY};
    int kind = kinds[test_rand(rng) % ARRAY_LEN(kinds)];
    bool about_hosts = kind == RULE_HOST_REQUIRED || kind == RULE_HOST_FORBIDDEN;
    struct rule *r = fleet_rule(f, "r", kind, test_rand(rng) % 2 ? "a*" : "*",
                                about_hosts || (kind == RULE_MAX_VMS && test_rand(rng) % 2)
                                    ? test_rand(rng) % 2 ? "h[12]" : "h[023]"
                                    : NULL);
    r->max = 1 + (int64_t)(test_rand(rng) % 2);
    r->min = 2;
    r->across = about_hosts ? ACROSS_HOST : (int)(test_rand(rng) % 2);
    r->name[0] = (char)('q' + f->p.n_rules);
}

static void random_fleet(struct test_fleet *f, uint64_t *rng)
{
    fleet_init(f, 4, 16, 10);
    size_t leave = 1 + test_rand(rng) % 4, rest = test_rand(rng) % 6;
    for (size_t i = 0; i < leave + rest; i++) {
        cleanup(freep) char *name = xasprintf("%c%zu", test_rand(rng) % 2 ? 'a' : 'b', i);
        int host = i < leave ? 0 : 1 + (int)(test_rand(rng) % 3);
        struct vm *v = fleet_vm(f, name, host, 1 + (int64_t)(test_rand(rng) % 9));
        v->mem_bytes += (int64_t)(test_rand(rng) % 3) * 7 * MIB;
        v->vcpus = 1 + (int64_t)(test_rand(rng) % 8);
        if (i >= leave && test_rand(rng) % 6 == 0)
            f->s.vms[i].moving_to = 1 + (int)(test_rand(rng) % 3);
        if (f->s.vms[i].moving_to == host)
            f->s.vms[i].moving_to = -1;
        if (test_rand(rng) % 8 == 0)
            v->state = VM_SHUTOFF;
    }
    for (int h = 1; h < 4; h++) {
        f->hosts[h].mem_bytes = (4 + (int64_t)(test_rand(rng) % 14)) * GIB;
        f->hosts[h].rack = test_rand(rng) % 4 ? xasprintf("r%u", test_rand(rng) % 2) : NULL;
        f->s.hosts[h].state = test_rand(rng) % 6 ? HOST_UP : HOST_CORDONED;
    }
    f->p.capacity.vcpu_overcommit_ppm = 1000000;
    for (size_t i = test_rand(rng) % 3; i > 0; i--)
        random_rule(f, rng);
    fleet_drain(f, 0);
}

/* Is there any way to place these, whatever becomes of the others? */
static bool can_all_go(struct test_fleet *f, const bool *must)
{
    size_t n = f->r.n_vms;
    int to[8] = {0};
    struct plan_move moves[8];
    for (;;) {
        struct plan p = {.moves = moves};
        bool all = true;
        for (size_t i = 0; i < n; i++) {
            all = all && (to[i] || !must[i]);
            if (to[i])
                moves[p.n_moves++] =
                    (struct plan_move){.vm = f->r.vms[i],
                                       .from = 0,
                                       .to = to[i],
                                       .live = f->vms[f->r.vms[i]].state == VM_RUNNING};
        }
        if (all && plan_verify(&f->s, &f->p, &f->r, &p, NULL))
            return true;
        size_t i = 0;
        while (i < n && ++to[i] == 4)
            to[i++] = 0;
        if (i == n)
            return false;
    }
}

/* A proof is never given of what is possible. */
static void test_proofs(void **state)
{
    (void)state;
    uint64_t rng = 88172645463325252u;
    size_t proofs = 0, kinds[SHORT_KINDS] = {0}, silent = 0;
    for (int round = 0; round < 3000; round++) {
        struct test_fleet f;
        struct asked a;
        random_fleet(&f, &rng);
        ask(&f, &a);
        struct plan_ways all = {0};
        plan_shortages(a.x, &f.r, f.r.vms, f.r.n_vms, &all); /* also where nothing stays */
        for (size_t i = 0; i < all.n_shortages; i++) {
            const struct shortage *s = &all.shortages[i];
            bool must[8] = {0};
            for (size_t k = 0; k < s->n_vms; k++)
                for (size_t m = 0; m < f.r.n_vms; m++)
                    must[m] = must[m] || str_eq(f.vms[f.r.vms[m]].name, s->vms[k]);
            assert_true(s->need_n > s->have_n);
            if (can_all_go(&f, must))
                fail_msg("round %d: '%s' is no proof", round, s->text);
            kinds[s->kind]++;
            proofs++;
        }
        silent += a.p.n_stays && !a.w.n_shortages;
        plan_ways_done(&all);
        asked_done(&a);
        fleet_done(&f);
    }
    print_message("%zu proofs, %zu plans with stays and without one\n", proofs, silent);
    for (int i = 0; i < SHORT_KINDS; i++)
        assert_true(kinds[i] > 0);
}

/* By hand, as the text says it. False: not a kind that this test knows. */
static bool apply(struct test_fleet *f, const struct asked *a, const struct way *y)
{
    int h = y->n_hosts ? y->hosts[0][1] - '0' : -1;
    switch (y->kind) {
    case WAY_RESUME:
        f->s.hosts[h].state = HOST_UP;
        return true;
    case WAY_MOVE:
        for (size_t i = 0; i < f->s.n_vms; i++)
            if (str_eq(f->vms[i].name, y->vm)) {
                struct reason why = {0};
                bool may = plan_allows(&f->s, &f->p, (int)i, y->to[1] - '0', &why);
                shape_done(&reason_shape, &why);
                assert_true(may);
                f->s.vms[i].host = y->to[1] - '0';
            }
        return true;
    case WAY_ROOM:
        f->hosts[h].mem_bytes += y->bytes;
        f->hosts[h].cpus += y->vcpus;
        return true;
    case WAY_WAIT:
        for (size_t i = 0; i < f->s.n_vms; i++)
            if (f->s.vms[i].moving_to >= 0 &&
                (f->s.vms[i].host == h || f->s.vms[i].moving_to == h)) {
                f->s.vms[i].host = f->s.vms[i].moving_to;
                f->s.vms[i].moving_to = -1;
            }
        return true;
    case WAY_RULE:
        for (size_t i = 0; i < f->p.n_rules; i++) {
            struct rule *r = &f->p.rules[i];
            if (!str_eq(r->name, y->rule))
                continue;
            const char *to = strstr(y->text, " to ");
            if (str_has_prefix(y->text, "raise max"))
                r->max = strtol(to + 4, NULL, 10);
            else if (str_has_prefix(y->text, "give rule"))
                r->hard = false;
            else
                return false;
        }
        return true;
    default:
        (void)a;
        return false;
    }
}

/* Each way of each VM: with it alone, this VM goes, and whatever went before. One MiB less of the room
 * that is asked for does not do. */
static void test_each_way(void **state)
{
    (void)state;
    size_t tried[WAY_KINDS] = {0};
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        uint64_t rng = seed * 2654435761u;
        struct test_fleet f;
        struct asked a;
        random_fleet(&f, &rng);
        ask(&f, &a);
        for (size_t s = 0; s < a.w.n; s++)
            for (size_t i = 0; i < a.w.of[s].n; i++) {
                const struct way *y = &a.w.of[s].list[i];
                struct test_fleet g; /* the same fleet again */
                uint64_t again = seed * 2654435761u;
                random_fleet(&g, &again);
                int list[8];
                size_t n = 0;
                for (size_t k = 0; k < a.p.n_moves; k++)
                    list[n++] = a.p.moves[k].vm;
                list[n++] = a.p.stays[s].vm;
                g.r.vms = list;
                g.r.n_vms = n;
                if (apply(&g, &a, y)) {
                    if (stays_now(&g))
                        fail_msg("seed %llu: '%s' does not help", (unsigned long long)seed,
                                 y->text);
                    if (y->kind == WAY_ROOM && y->bytes && !y->vcpus) {
                        g.hosts[y->hosts[0][1] - '0'].mem_bytes -= MIB;
                        if (!stays_now(&g))
                            fail_msg("seed %llu: less than '%s' would do", (unsigned long long)seed,
                                     y->text);
                    }
                    tried[y->kind]++;
                }
                fleet_done(&g);
            }
        asked_done(&a);
        fleet_done(&f);
    }
    print_message("resume %zu, move %zu, room %zu, rule %zu, wait %zu\n", tried[WAY_RESUME],
                  tried[WAY_MOVE], tried[WAY_ROOM], tried[WAY_RULE], tried[WAY_WAIT]);
    assert_true(tried[WAY_RESUME] && tried[WAY_MOVE] && tried[WAY_ROOM] && tried[WAY_RULE]);
}

/* A plan may move a VM twice, and one that was not asked for: neither is asked to leave by a way. */
static void test_moves_of_others(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    fleet_init(&f, 4, 16, 5);
    fleet_vm(&f, "big", 0, 12);
    fleet_vm(&f, "small", 0, 2);
    fleet_vm(&f, "b", 1, 8);
    fleet_vm(&f, "c", 2, 9);
    fleet_vm(&f, "d", 3, 10);
    fleet_drain(&f, 0);
    a.x = plan_index_new(&f.s, &f.p);
    plan_make_from(a.x, &f.r, 1, &a.p);
    assert_int_equal(a.p.n_moves, 1);
    int to = a.p.moves[0].to;
    *vec_add(&a.p.moves, &a.p.n_moves) =
        (struct plan_move){.vm = 1, .from = to, .to = to == 3 ? 1 : 3, .live = true};
    *vec_add(&a.p.moves, &a.p.n_moves) =
        (struct plan_move){.vm = 2, .from = 1, .to = 2, .live = true};
    plan_ways_find(a.x, &f.r, &a.p, 1, &a.w);
    assert_true(a.w.of[0].n > 0);
    for (size_t i = 0; i < a.w.of[0].n; i++)
        assert_int_equal(a.w.of[0].list[i].unblocks, 1);
    asked_done(&a);
    fleet_done(&f);
}

/* Many stays: the first have ways, and it is said that others were not looked at. */
static void test_bounds(void **state)
{
    (void)state;
    struct test_fleet f;
    struct asked a;
    fleet_init(&f, 2, 64, 2 * LIM_WAYS_STAYS + 1);
    for (int i = 0; i < 2 * LIM_WAYS_STAYS; i++) {
        cleanup(freep) char *name = xasprintf("v%02d", i);
        fleet_vm(&f, name, 0, 2);
    }
    fleet_vm(&f, "full", 1, 63);
    fleet_drain(&f, 0);
    ask(&f, &a);
    assert_int_equal(a.w.n, 2 * LIM_WAYS_STAYS);
    assert_true(a.w.cut);
    assert_int_equal(a.w.of[0].list[0].kind, WAY_ROOM);
    assert_int_equal(a.w.of[LIM_WAYS_STAYS].n, 0);
    asked_done(&a);
    fleet_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proofs),
        cmocka_unit_test(test_each_way),
        cmocka_unit_test(test_moves_of_others),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
