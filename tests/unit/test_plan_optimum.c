/* Drains of small fleets against every assignment there is: as many VMs leave as can, and of those
 * assignments the plan has the fewest broken wishes, then the most even load. */
#include <math.h>

#include "tests/unit/fleet.h"

enum { FLEETS = 10000, HOSTS = 5, MOST = 6, FIXED = 8 };
enum { LETTERS = 7 }; /* of a name: one digit per kind of rule, 0: none */
/* Which digit of a name says in which group of the rule's kind the VM is. */
enum { APART, FEW, WISH_APART, WISH_HOST, WISH_TOGETHER, WISH_SPREAD };

struct worth {
    int stays;
    int64_t soft;
    double cost;
};
struct brute {
    const struct test_fleet *f;
    int n; /* VMs 0 … n − 1 are on h0 and must leave */
    int to[MOST];
    struct worth best;
};

static int group_of(const struct brute *b, int vm, int kind)
{
    return b->f->vms[vm].name[kind] - '0';
}

/* −1: it stays, and counts nowhere: an empty host is no place to be even with. */
static int end_of(const struct brute *b, int vm)
{
    return vm < b->n ? b->to[vm] : b->f->s.vms[vm].host;
}

/* How many of this group are on the host. */
static int count(const struct brute *b, int kind, int group, int host)
{
    int n = 0;
    for (int i = 0; i < (int)b->f->s.n_vms; i++)
        n += end_of(b, i) == host && group_of(b, i, kind) == group;
    return n;
}

static double share(const struct brute *b, int host)
{
    int64_t mem = 0;
    for (int i = 0; i < (int)b->f->s.n_vms; i++)
        mem += end_of(b, i) == host ? b->f->vms[i].mem_bytes : 0;
    return (double)mem / (double)b->f->hosts[host].mem_bytes;
}

static bool allowed(const struct brute *b, int vm)
{
    int host = b->to[vm], apart = group_of(b, vm, APART);
    return share(b, host) <= 1 && !(apart && count(b, APART, apart, host) > 1) &&
           !(group_of(b, vm, FEW) && count(b, FEW, 1, host) > 2);
}

/* Weights of the rules below. */
static int64_t wishes(const struct brute *b)
{
    int64_t sum = 0;
    int together = 0, spread = 0, members = 0;
    for (int h = 1; h < HOSTS; h++) {
        for (int g = 1; g <= 2; g++) {
            int n = count(b, WISH_APART, g, h);
            sum += n > 1 ? (n - 1) * (g == 1 ? 2 : 3) : 0;
        }
        together += count(b, WISH_TOGETHER, 1, h) > 0;
        spread += count(b, WISH_SPREAD, 1, h) > 0;
    }
    for (int i = 0; i < (int)b->f->s.n_vms; i++) {
        members += group_of(b, i, WISH_SPREAD) == 1;
        if (i < b->n && b->to[i] >= 0 && group_of(b, i, WISH_HOST) == 1)
            sum += b->to[i] > 2 ? 5 : 0;
    }
    sum += together > 1 ? (together - 1) * 4 : 0;
    int need = members < 3 ? members : 3;
    return sum + (spread < need ? (need - spread) * 6 : 0);
}

static struct worth worth_of(const struct brute *b)
{
    struct worth w = {.soft = wishes(b)};
    for (int i = 0; i < b->n; i++)
        w.stays += b->to[i] < 0;
    for (int h = 1; h < HOSTS; h++)
        w.cost += share(b, h) * share(b, h);
    return w;
}

/* The engine's squares are whole millionths of a host. */
static bool better(const struct worth *a, const struct worth *b)
{
    if (a->stays != b->stays)
        return a->stays < b->stays;
    return a->soft != b->soft ? a->soft < b->soft : a->cost < b->cost - 1e-5;
}

static void every_assignment(struct brute *b, int vm, int stays)
{
    if (stays > b->best.stays)
        return;
    if (vm == b->n) {
        struct worth w = worth_of(b);
        b->best = better(&w, &b->best) ? w : b->best;
        return;
    }
    for (b->to[vm] = 1; b->to[vm] < HOSTS; b->to[vm]++)
        if (allowed(b, vm))
            every_assignment(b, vm + 1, stays);
    b->to[vm] = -1;
    every_assignment(b, vm + 1, stays + 1);
}

static void add_rules(struct test_fleet *f)
{
    fleet_rule(f, "a1", RULE_ANTI_AFFINITY, "1*", NULL);
    fleet_rule(f, "a2", RULE_ANTI_AFFINITY, "2*", NULL);
    fleet_rule(f, "few", RULE_MAX_VMS, "?1*", NULL)->max = 2;
    static const struct {
        int kind, weight;
        const char *vms, *hosts;
    } soft[] = {{RULE_ANTI_AFFINITY, 2, "??1*", NULL},
                {RULE_ANTI_AFFINITY, 3, "??2*", NULL},
                {RULE_HOST_PREFERRED, 5, "???1*", "h[12]"},
                {RULE_AFFINITY, 4, "????1*", NULL},
                {RULE_SPREAD, 6, "?????1*", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(soft); i++) {
        struct rule *r = fleet_rule(f, "soft", soft[i].kind, soft[i].vms, soft[i].hosts);
        r->hard = false;
        r->weight = soft[i].weight;
        r->min = 3;
    }
}

static void random_fleet(struct test_fleet *f, uint64_t *rnd, int n)
{
    static const unsigned groups[] = {3, 2, 3, 2, 2, 2};
    fleet_init(f, HOSTS, 16, MOST + FIXED);
    for (int i = 0; i < n + FIXED; i++) {
        char name[32];
        for (int k = 0; k < LETTERS - 1; k++)
            name[k] = (char)('0' + test_rand(rnd) % groups[k]);
        snprintf(name + LETTERS - 1, sizeof(name) - LETTERS, "-%d", i);
        int host = i < n ? 0 : 1 + (int)(test_rand(rnd) % (HOSTS - 1));
        fleet_vm(f, name, host, 1 + test_rand(rnd) % (i < n ? 9 : 4));
    }
    for (int h = 0; h < HOSTS; h++)
        f->hosts[h].mem_bytes = (10 + test_rand(rnd) % 9) * GIB;
    add_rules(f);
    f->s.hosts[0].state = HOST_DRAINING;
    fleet_drain(f, 0);
}

static struct worth planned(const struct test_fleet *f, int n)
{
    struct brute b = {.f = f, .n = n};
    struct plan p;
    plan_make(&f->s, &f->p, &f->r, 1, &p);
    assert_true(plan_verify(&f->s, &f->p, &f->r, &p, NULL));
    for (int i = 0; i < n; i++)
        b.to[i] = -1;
    for (size_t i = 0; i < p.n_moves; i++)
        b.to[p.moves[i].vm] = p.moves[i].to;
    plan_done(&p);
    return worth_of(&b);
}

static void drains_are_as_good_as_can_be(void **state)
{
    (void)state;
    uint64_t rnd = 0x5bd1e9955bd1e995u;
    int stays = 0, soft = 0, cost = 0, tight = 0;
    for (int k = 0; k < FLEETS; k++) {
        struct test_fleet f;
        int n = 1 + (int)(test_rand(&rnd) % MOST);
        random_fleet(&f, &rnd, n);
        struct worth got = planned(&f, n);
        struct brute b = {.f = &f, .n = n, .best = {.stays = n + 1}};
        every_assignment(&b, 0, 0);
        if (better(&got, &b.best))
            fail_msg("fleet %d: better than the best", k);
        tight += b.best.stays > 0;
        stays += got.stays > b.best.stays;
        soft += got.stays == b.best.stays && got.soft > b.best.soft;
        cost += got.stays == b.best.stays && got.soft == b.best.soft && better(&b.best, &got);
        fleet_done(&f);
    }
    print_message("of %d drains (%d cannot be whole): missed %d, more wishes broken than need be "
                  "%d, less even %d\n",
                  FLEETS, tight, stays, soft, cost);
    assert_true(tight > FLEETS / 50 && tight < FLEETS / 2);
    assert_int_equal(stays, 0);
    assert_true(soft + cost <= FLEETS / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drains_are_as_good_as_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
