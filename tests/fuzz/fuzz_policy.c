/* One policy file, and whether its rules can hold together. A refusal has words and a place. What it says of
 * times always has a next one. */
#include <assert.h>
#include <string.h>

#include "lib/base/str.h"
#include "policy/keys.h"
#include "tests/fuzz/fuzz.h"

static void ask_times(const struct policy *p)
{
    static const int64_t times[] = {INT64_MIN, -1, 0, INT64_C(1774746000) * SEC, INT64_MAX};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        int64_t next;
        if (schedule_next(&p->balance.schedule, times[i], &next))
            assert(next > times[i]);
        else
            assert(!p->balance.schedule.text || times[i] == INT64_MAX);
        windows_open(p->balance.windows, p->balance.n_windows, times[i], &next);
        assert(next > times[i] || next == INT64_MAX);
    }
}

int fuzz_policy(const uint8_t *data, size_t size)
{
    struct policy p;
    struct err e = {0};
    policy_default(&p);
    int rc = policy_read_text("f", (const char *)data, size, &p, &e);
    if (rc == 0)
        rc = rules_check(&p, &e);
    assert(rc == 0 || (rc < 0 && !strncmp(e.msg, "f:", 2)));
    if (rc == 0)
        ask_times(&p);
    policy_done(&p);
    return 0;
}
