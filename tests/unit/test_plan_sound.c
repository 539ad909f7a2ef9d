/* Plans that look broken and are not: a verifier that is too strict refuses them. */
#include "tests/unit/verifyfix.h"

static void nothing(struct broken *b)
{
    (void)b;
}
static void definition_left_behind(struct broken *b) /* on h1, where it goes: it is replaced */
{
    name_taken(b);
    uuid_taken(b);
    b->f.vms[2].state = VM_SHUTOFF;
    fleet_rule(&b->f, "r", RULE_ANTI_AFFINITY, "a", NULL);
}
static void definition_left_elsewhere(struct broken *b)
{
    definition_left_behind(b);
    b->f.s.vms[2].host = 3;
    b->f.p.rules[0].kind = RULE_AFFINITY;
}
static void shut_off(struct broken *b) /* larger than any host */
{
    b->f.vms[0].state = VM_SHUTOFF;
    b->f.vms[0].mem_bytes = 64 * GIB;
    b->plan.moves[0].live = false;
}
static void other_hosts_of_max_vms(struct broken *b)
{
    struct rule *r = fleet_rule(&b->f, "r", RULE_MAX_VMS, "[bc]", "h2");
    r->max = 1;
    r->across = ACROSS_ZONE;
    for (int i = 0; i < 4; i++)
        b->f.hosts[i].zone = xstrdup("z");
}
static void only_wished(struct broken *b)
{
    for (int kind = RULE_ANTI_AFFINITY; kind <= RULE_AFFINITY; kind++)
        fleet_rule(&b->f, "r", kind, "[abc]", NULL)->hard = false;
}
static void lifted_by_cold(struct broken *b)
{
    refused_cold_too(b);
    b->why.code = R_MIGRATE_FAILED;
}

static void racks_of_two_zones(struct broken *b) /* of one name, and not the same */
{
    apart_racks(b);
    for (int i = 0; i < 4; i++)
        b->f.hosts[i].zone = xasprintf("z%d", i);
}
static void test_sound_plans(void **state)
{
    (void)state;
    static void (*const cases_sound[])(struct broken * b) = {
        nothing,        definition_left_behind, definition_left_elsewhere,
        shut_off,       other_hosts_of_max_vms, only_wished,
        lifted_by_cold, racks_of_two_zones};
    for (size_t i = 0; i < ARRAY_LEN(cases_sound); i++) {
        struct broken b;
        struct reason why;
        setup(&b);
        cases_sound[i](&b);
        shape_init(&reason_shape, &why);
        if (!plan_verify(&b.f.s, &b.f.p, &b.f.r, &b.plan, &why))
            fail_msg("sound plan %zu: %s", i, reason_tokens[why.code]);
        plan_done(&b.plan);
        fleet_done(&b.f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
