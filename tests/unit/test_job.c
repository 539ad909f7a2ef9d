/* The job table is total: every (state, event) is a legal step or -EPROTO with the state untouched. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scheduler/core/job.h"

static void total(void **state)
{
    (void)state;
    int legal = 0;
    for (int s = 0; s < JOB_STATES_; s++)
        for (int ev = 0; ev < JOB_EVENTS_; ev++) {
            enum job_state now = (enum job_state)s;
            enum job_effect fx = FXJ_TIDY;
            int r = job_step(&now, (enum job_event)ev, &fx);
            assert_true(r == 0 || r == -EPROTO);
            if (r < 0)
                assert_int_equal(now, s);
            legal += r == 0;
        }
    assert_true(legal > 30);
}

static void no_way_out_of_final_states(void **state)
{
    (void)state;
    for (int s = 0; s < JOB_STATES_; s++)
        for (int ev = 0; ev < JOB_EVENTS_; ev++) {
            enum job_state now = (enum job_state)s;
            enum job_effect fx;
            if (job_final((enum job_state)s))
                assert_int_equal(job_step(&now, (enum job_event)ev, &fx), -EPROTO);
        }
}

/* Giving the reservation up always says what became of the VM. */
static void reservation_ends_in_words(void **state)
{
    (void)state;
    for (int s = 0; s < JOB_STATES_; s++)
        for (int ev = 0; ev < JOB_EVENTS_; ev++) {
            enum job_state now = (enum job_state)s;
            enum job_effect fx;
            if (job_step(&now, (enum job_event)ev, &fx) < 0)
                continue;
            if (job_holds_dst((enum job_state)s) && !job_holds_dst(now))
                assert_true(fx == FXJ_RELEASE_DST || fx == FXJ_COMMIT_MOVE);
        }
}

/* After the copy began, no error, loss or cancel may end the job: only what was seen does. */
static void silence_is_no_evidence(void **state)
{
    (void)state;
    static const enum job_state begun[] = {JOB_COPYING, JOB_CONFIRMING, JOB_UNCERTAIN, JOB_TIDYING,
                                           JOB_STARTING};
    static const enum job_event hearsay[] = {JEV_ERROR, JEV_LOST, JEV_CANCEL, JEV_UNPROVEN,
                                             JEV_MIGRATED};
    for (size_t i = 0; i < sizeof(begun) / sizeof(begun[0]); i++)
        for (size_t k = 0; k < sizeof(hearsay) / sizeof(hearsay[0]); k++) {
            enum job_state now = begun[i];
            enum job_effect fx;
            if (job_step(&now, hearsay[k], &fx) == 0)
                assert_false(job_final(now));
        }
}

/* Every state that is not final can still end. */
static void every_job_can_end(void **state)
{
    (void)state;
    bool ends[JOB_STATES_] = {false};
    for (int s = 0; s < JOB_STATES_; s++)
        ends[s] = job_final((enum job_state)s);
    for (int round = 0; round < JOB_STATES_; round++)
        for (int s = 0; s < JOB_STATES_; s++)
            for (int ev = 0; ev < JOB_EVENTS_; ev++) {
                enum job_state now = (enum job_state)s;
                enum job_effect fx;
                if (job_step(&now, (enum job_event)ev, &fx) == 0 && ends[now])
                    ends[s] = true;
            }
    for (int s = 0; s < JOB_STATES_; s++)
        assert_true(ends[s]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(total),
        cmocka_unit_test(no_way_out_of_final_states),
        cmocka_unit_test(reservation_ends_in_words),
        cmocka_unit_test(silence_is_no_evidence),
        cmocka_unit_test(every_job_can_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
