/* drover policy suspend and resume, and what drover policy show says meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "lib/base/str.h"
#include "scheduler/cli/policycmd.h"
#include "tests/unit/fakeapi.h"

#define MIDNIGHT (INT64_C(1772323200) * SEC) /* 2026-03-01 00:00 UTC, 01:00 in Paris */
#define HOUR     (INT64_C(3600) * SEC)

static void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in: %s", part, text);
}

static int paris(void **state)
{
    (void)state;
    setenv("TZ", "Europe/Paris", 1);
    tzset();
    return 0;
}

static void times_to_come(void **state)
{
    (void)state;
    static const struct {
        int64_t now;
        const char *text;
        int64_t want; /* 0: refused */
    } cases[] = {
        {MIDNIGHT, "06:00", MIDNIGHT + 5 * HOUR},
        {MIDNIGHT, "01:00", MIDNIGHT + 24 * HOUR}, /* it is that now: the next one */
        {MIDNIGHT, "00:30", MIDNIGHT + 23 * HOUR + HOUR / 2},
        {MIDNIGHT + 27 * 24 * HOUR, "01:00",
         MIDNIGHT + 28 * 24 * HOUR}, /* summer time begins at 02:00 */
        {MIDNIGHT + 27 * 24 * HOUR + 2 * HOUR, "03:00", MIDNIGHT + 28 * 24 * HOUR + HOUR},
        {MIDNIGHT, "2026-03-02 06:00", MIDNIGHT + 29 * HOUR},
        {MIDNIGHT, "2026-03-02T06:00:00Z", MIDNIGHT + 30 * HOUR},
        {MIDNIGHT, "2026-02-28 06:00", 0},
        {MIDNIGHT, "2026-03-02", 0},
        {MIDNIGHT, "06:00 or so", 0},
        {MIDNIGHT, "25:00", 0},
        {MIDNIGHT, "4h", 0},
        {MIDNIGHT, "", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t at = 0;
        bool ok = policy_until(cases[i].text, cases[i].now, &at);
        if (ok != (cases[i].want != 0) || at != cases[i].want)
            fail_msg("'%s': %lld, expected %lld", cases[i].text, (long long)(at / SEC),
                     (long long)(cases[i].want / SEC));
    }
}

static const struct fake_answer script[] = {
    {"GET /v1/policy", 0,
     "{\"schema\":\"drover.policy/"
     "1\",\"state\":\"suspended\",\"clean\":true,\"revision\":\"3f2a1c9\","
     "\"summary\":\"more room\",\"suspended\":{\"on\":true,\"actor\":\"root\",\"reason\":\"new "
     "disks\","
     "\"since_wall_us\":1772323200000000,\"until_wall_us\":1772344800000000}}"},
    {"POST /v1/requests", 0,
     "{\"http\":200,\"exit\":0,\"message\":\"scheduled balance: suspended\"}"},
    {0},
};

static void it_is_asked_for(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, script, "policy suspend -m disks --for 90m", false, NULL);
    assert_int_equal(o.code, X_DONE);
    contains(fake_log, "\"verb\":\"suspend_balance\"");
    contains(fake_log, "\"deadline_us\":5400000000");
    contains(fake_log, "\"reason\":\"disks\"");
    contains(o.out, "scheduled balance: suspended");
    fake_run(&o, script, "policy suspend --reason disks --until 23:59", false, NULL);
    assert_int_equal(o.code, X_DONE);
    contains(fake_log, "\"deadline_us\":");
    fake_run(&o, script, "policy resume", false, NULL);
    assert_int_equal(o.code, X_DONE);
    contains(fake_log, "\"verb\":\"resume_balance\"");
    static const char *const wrong[][2] = {
        {"policy suspend", "say why"},
        {"policy suspend -m x --until 2020-01-01T00:00:00Z", "is no time to come"},
        {"policy suspend -m x --for soon", "--for"},
        {"policy suspend -m x --for 1h --until 23:59", "two ways"},
        {"policy suspend now", "now"},
        {"policy suspnd", "suspend"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        fake_run(&o, script, wrong[i][0], false, NULL);
        assert_int_equal(o.code, X_USAGE);
        contains(o.err, wrong[i][1]);
    }
    outcome_done(&o);
}

static void show_says_so(void **state)
{
    (void)state;
    struct outcome o = {0};
    fake_run(&o, script, "policy show", false, NULL);
    assert_int_equal(o.code, X_DONE);
    contains(o.out, "suspended");
    contains(o.out, "new disks");
    contains(o.err, "scheduled balance is suspended by root until 2026-03-01T06:00:00Z: new disks");
    contains(o.err, "drover policy resume ends it");
    outcome_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(times_to_come, paris),
        cmocka_unit_test(it_is_asked_for),
        cmocka_unit_test(show_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
