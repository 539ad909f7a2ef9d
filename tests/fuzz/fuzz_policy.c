/* One policy file, and whether its rules can hold together. A refusal has words and a place. */
#include <assert.h>
#include <string.h>

#include "policy/keys.h"
#include "tests/fuzz/fuzz.h"

int fuzz_policy(const uint8_t *data, size_t size)
{
    struct policy p;
    struct err e = {0};
    policy_default(&p);
    int rc = policy_read_text("f", (const char *)data, size, &p, &e);
    if (rc == 0)
        rc = rules_check(&p, &e);
    assert(rc == 0 || (rc < 0 && !strncmp(e.msg, "f:", 2)));
    policy_done(&p);
    return 0;
}
