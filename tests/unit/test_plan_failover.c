/* VMs whose host is dead: placed from nowhere, the most important first. */
#include "tests/unit/fleet.h"

struct dead {
    struct test_fleet f;
    int *rank;
    size_t n_rank;
};

static void ask(struct dead *d, const char *label)
{
    struct test_fleet *f = &d->f;
    for (size_t i = 0; i < f->s.n_vms; i++)
        if (f->s.vms[i].nowhere) {
            *vec_add(&f->asked, &f->n_asked) = (int)i;
            *vec_add(&d->rank, &d->n_rank) = plan_rank(f->s.vms[i].v, label);
        }
    f->r.vms = f->asked;
    f->r.n_vms = f->n_asked;
    f->r.rank = d->rank;
}

static void make(struct dead *d, const char *label, struct plan *ret)
{
    struct reason why;
    shape_init(&reason_shape, &why);
    ask(d, label);
    plan_make(&d->f.s, &d->f.p, &d->f.r, 1, ret);
    if (!plan_verify(&d->f.s, &d->f.p, &d->f.r, ret, &why))
        fail_msg("the plan breaks %s: %s %s", reason_tokens[why.code], why.what ? why.what : "",
                 why.have ? why.have : "");
}

static void dead_done(struct dead *d)
{
    free(d->rank);
    fleet_done(&d->f);
}

static void label(struct vm *v, const char *key, const char *value)
{
    struct label *l = vec_add(&v->labels, &v->n_labels);
    l->key = xstrdup(key);
    l->value = xstrdup(value);
}

static void what_ran_there_is_placed(void **state)
{
    (void)state;
    struct dead d = {0};
    struct plan p;
    fleet_init(&d.f, 3, 64, 20);
    fleet_vm(&d.f, "a", 0, 8)->job = VM_JOB_OTHER; /* ended with the host */
    fleet_vm(&d.f, "off", 0, 8)->state = VM_SHUTOFF;
    fleet_vm(&d.f, "iso", 0, 8)->disks[0].kind = DISK_FILE;
    fleet_vm(&d.f, "paused", 0, 8)->state = VM_PAUSED;
    fleet_vm(&d.f, "b", 1, 60);
    plan_host_dies(&d.f.s, 0);
    make(&d, NULL, &p);
    assert_int_equal(p.n_moves, 1);
    assert_int_equal(p.moves[0].vm, 0);
    assert_int_equal(p.moves[0].from, 0);
    assert_int_equal(p.moves[0].to, 2);
    assert_false(p.moves[0].live);
    assert_int_equal(p.n_stays, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(p.stays[i].reasons[0].code,
                         p.stays[i].vm == 2 ? R_LOCAL_DISK : R_VM_PAUSED);
    struct reason why;
    p.moves[0].live = true;
    assert_false(plan_verify(&d.f.s, &d.f.p, &d.f.r, &p, &why));
    assert_int_equal(why.code, R_VM_STATE);
    shape_done(&reason_shape, &why);
    plan_done(&p);
    dead_done(&d);
}

/* Where it was, it counts for no rule: not against the rack, not for the spread. */
static void dead_ends_are_not_held(void **state)
{
    (void)state;
    struct dead d = {0};
    struct plan p;
    fleet_init(&d.f, 4, 64, 20);
    for (int h = 0; h < 4; h++)
        d.f.hosts[h].rack = xstrdup(h < 2 ? "r1" : "r2");
    fleet_vm(&d.f, "db-1", 0, 8);
    fleet_vm(&d.f, "db-2", 2, 8);
    struct rule *r = fleet_rule(&d.f, "apart", RULE_ANTI_AFFINITY, "db-*", NULL);
    r->across = ACROSS_RACK;
    r = fleet_rule(&d.f, "wide", RULE_SPREAD, "w-*", NULL);
    r->min = 3;
    fleet_vm(&d.f, "w-1", 0, 30);
    fleet_vm(&d.f, "w-2", 1, 20);
    fleet_vm(&d.f, "w-3", 2, 20);
    fleet_vm(&d.f, "full", 3, 60);
    plan_host_dies(&d.f.s, 0);
    make(&d, NULL, &p); /* w-1 makes the spread no wider, and no narrower */
    assert_int_equal(p.n_moves, 2);
    assert_int_equal(p.n_stays, 0);
    for (size_t i = 0; i < 2; i++)
        if (p.moves[i].vm == 0)
            assert_int_equal(p.moves[i].to, 1);
    plan_done(&p);
    dead_done(&d);
}

static void bound_vms_of_two_hosts_meet(void **state)
{
    (void)state;
    struct dead d = {0};
    struct plan p;
    fleet_init(&d.f, 4, 64, 20);
    fleet_rule(&d.f, "pair", RULE_AFFINITY, "p-*", NULL);
    fleet_vm(&d.f, "p-1", 0, 20);
    fleet_vm(&d.f, "p-2", 0, 20);
    fleet_vm(&d.f, "x", 1, 30);
    fleet_vm(&d.f, "y", 2, 30);
    fleet_vm(&d.f, "z", 3, 20);
    d.f.s.vms[1].host = 1; /* it came apart before */
    plan_host_dies(&d.f.s, 0);
    plan_host_dies(&d.f.s, 1);
    make(&d, NULL, &p);
    int to[2] = {-1, -2};
    for (size_t i = 0; i < p.n_moves; i++)
        if (p.moves[i].vm < 2)
            to[p.moves[i].vm] = p.moves[i].to;
    assert_int_equal(p.n_moves, 3);
    assert_int_equal(to[0], 3);
    assert_int_equal(to[1], 3);
    plan_done(&p);
    dead_done(&d);
}

static void important_ones_first(void **state)
{
    (void)state;
    struct dead d = {0};
    struct plan p;
    fleet_init(&d.f, 2, 64, 20);
    fleet_vm(&d.f, "x", 1, 40); /* 24 GiB are free */
    label(fleet_vm(&d.f, "c", 0, 4), "tier", "3");
    label(fleet_vm(&d.f, "odd", 0, 12), "tier", "high");
    label(fleet_vm(&d.f, "b", 0, 8), "tier", "2");
    label(fleet_vm(&d.f, "a", 0, 12), "tier", "1");
    fleet_vm(&d.f, "none", 0, 12);
    plan_host_dies(&d.f.s, 0);
    make(&d, "tier", &p);
    static const int order[] = {4, 3, 1};
    assert_int_equal(p.n_moves, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(p.moves[i].vm, order[i]);
    assert_int_equal(p.n_stays, 2);
    plan_done(&p);
    dead_done(&d);
}

/* Spare hosts are there for exactly this; a move in flight is settled first. */
static void spare_hosts_are_used(void **state)
{
    (void)state;
    struct dead d = {0};
    struct plan p;
    fleet_init(&d.f, 3, 64, 20);
    d.f.p.capacity.spare_hosts = 2;
    fleet_vm(&d.f, "a", 0, 60);
    fleet_vm(&d.f, "b", 0, 4);
    fleet_vm(&d.f, "c", 0, 56);
    d.f.s.vms[1].moving_to = 1;
    plan_host_dies(&d.f.s, 0);
    make(&d, NULL, &p); /* then no host more can be lost */
    assert_int_equal(p.n_moves, 2);
    assert_int_equal(p.n_stays, 1);
    assert_int_equal(p.stays[0].vm, 1);
    assert_int_equal(p.stays[0].reasons[0].code, R_IN_FLIGHT);
    plan_done(&p);
    dead_done(&d);
}

/* Whatever dies: the plan holds in the replay, and nothing stays that a host could take. */
static void random_deaths(void **state)
{
    (void)state;
    uint64_t seed = 11;
    for (int k = 0; k < 300; k++) {
        struct dead d = {0};
        struct plan p;
        int hosts = 3 + (int)(test_rand(&seed) % 6);
        fleet_init(&d.f, (size_t)hosts, 64, 60);
        struct rule *apart = fleet_rule(&d.f, "apart", RULE_ANTI_AFFINITY, "db*", NULL);
        apart->across = k % 2 ? ACROSS_RACK : ACROSS_HOST;
        fleet_rule(&d.f, "wide", RULE_SPREAD, "w*", NULL)->min = 2;
        for (int h = 0; h < hosts; h++)
            d.f.hosts[h].rack = xasprintf("r%d", h / 2);
        for (int i = 0; i < hosts * 4; i++) {
            static const char *const kinds[] = {"db", "w", "v"};
            char name[32];
            snprintf(name, sizeof(name), "%s%d", kinds[test_rand(&seed) % 3], i);
            int64_t gib = 2 + test_rand(&seed) % 12;
            fleet_vm(&d.f, name, (int)(test_rand(&seed) % (uint32_t)hosts), gib);
        }
        plan_host_dies(&d.f.s, 0);
        if (k % 3 == 0)
            plan_host_dies(&d.f.s, 1);
        make(&d, NULL, &p);
        assert_int_equal(p.n_moves + p.n_stays, d.f.n_asked);
        plan_done(&p);
        dead_done(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ran_there_is_placed),    cmocka_unit_test(dead_ends_are_not_held),
        cmocka_unit_test(bound_vms_of_two_hosts_meet), cmocka_unit_test(important_ones_first),
        cmocka_unit_test(spare_hosts_are_used),        cmocka_unit_test(random_deaths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
