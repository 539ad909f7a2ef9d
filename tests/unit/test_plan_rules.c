/* Random fleets under every kind of rule at once, some of it broken from the start: whatever is asked of
 * the planner, the independent replay finds nothing. */
#include "tests/unit/fleet.h"

enum { ZONES = 3, GROUPS = 20 };

static void random_hosts(struct test_fleet *f, uint64_t *rnd)
{
    for (size_t h = 0; h < f->s.n_hosts; h++) {
        f->hosts[h].mem_bytes = (32 + test_rand(rnd) % 64) * GIB;
        f->hosts[h].rack = xasprintf("r%zu", h / 2);
        if (test_rand(rnd) % 10) /* one in ten does not say in which zone it is */
            f->hosts[h].zone = xasprintf("z%zu", h / 2 % ZONES);
        if (test_rand(rnd) % 10 == 0)
            f->s.hosts[h].state = test_rand(rnd) % 2 ? HOST_CORDONED : HOST_LOST;
    }
}

static void random_vms(struct test_fleet *f, uint64_t *rnd, int n)
{
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof(name), "g%u-%d", test_rand(rnd) % GROUPS, i);
        int host = (int)(test_rand(rnd) % f->s.n_hosts);
        struct vm *v = fleet_vm(f, name, host, 1 + test_rand(rnd) % 8);
        v->vcpus = 1 + test_rand(rnd) % 4;
        v->state = test_rand(rnd) % 10 == 0 ? VM_SHUTOFF : VM_RUNNING;
        if (test_rand(rnd) % 20 == 0)
            f->s.vms[i].moving_to = (int)(test_rand(rnd) % f->s.n_hosts);
    }
}

static void every_rule(struct test_fleet *f, uint64_t *rnd)
{
    fleet_rule(f, "apart", RULE_ANTI_AFFINITY, "g1-*", NULL);
    fleet_rule(f, "apart-soft", RULE_ANTI_AFFINITY, "g2-*", NULL)->hard = false;
    fleet_rule(f, "near", RULE_AFFINITY, "g3-*", NULL);
    fleet_rule(f, "near-rack", RULE_AFFINITY, "g4-*", NULL)->across = ACROSS_RACK;
    fleet_rule(f, "required", RULE_HOST_REQUIRED, "g5-*", "h[0-3]");
    fleet_rule(f, "forbidden", RULE_HOST_FORBIDDEN, "g6-*", "h1");
    fleet_rule(f, "few", RULE_MAX_VMS, "g7-*", NULL)->max = 2;
    fleet_rule(f, "excluded", RULE_EXCLUDE, "g8-*", NULL);
    fleet_rule(f, "heavy", RULE_MAINTENANCE_ONLY, "g9-*", NULL);
    for (int across = ACROSS_HOST; across <= ACROSS_ZONE; across++) {
        char vms[32];
        snprintf(vms, sizeof(vms), "g1%d-*", across);
        struct rule *r = fleet_rule(f, vms, RULE_SPREAD, vms, NULL);
        r->across = across;
        r->min = 2 + test_rand(rnd) % 2;
    }
    struct rule *soft = fleet_rule(f, "spread-soft", RULE_SPREAD, "g13-*", NULL);
    soft->min = 3;
    soft->hard = false;
    fleet_rule(f, "preferred", RULE_HOST_PREFERRED, "g14-*", "h[02]")->hard = false;
    f->p.capacity.spare_hosts = test_rand(rnd) % 3;
}

static void replayed(const struct test_fleet *f, const char *what, int instance)
{
    struct plan p;
    struct reason why;
    shape_init(&reason_shape, &why);
    plan_make(&f->s, &f->p, &f->r, (uint64_t)instance, &p);
    if (!plan_verify(&f->s, &f->p, &f->r, &p, &why))
        fail_msg("%s %d: %s (%s)", what, instance, reason_tokens[why.code],
                 why.what ? why.what : "");
    plan_done(&p);
}

static void test_every_rule(void **state)
{
    (void)state;
    static const char *const names[] = {"drain", "repair", "relieve", "balance"};
    uint64_t rnd = 0x2545f4914f6cdd1d;
    for (int k = 0; k < 80; k++) {
        struct test_fleet f;
        fleet_init(&f, 4 + test_rand(&rnd) % 9, 64, 100);
        random_hosts(&f, &rnd);
        random_vms(&f, &rnd, 100);
        every_rule(&f, &rnd);
        f.s.hosts[0].state = HOST_DRAINING;
        fleet_drain(&f, 0);
        replayed(&f, names[GOAL_LEAVE], k);
        f.s.hosts[0].state = HOST_UP;
        f.r = (struct plan_request){.purpose = PURPOSE_BALANCE, .max_moves = 30};
        for (f.r.goal = GOAL_REPAIR; f.r.goal <= GOAL_BALANCE; f.r.goal++)
            replayed(&f, names[f.r.goal], k);
        fleet_done(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
