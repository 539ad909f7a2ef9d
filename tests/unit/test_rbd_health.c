/* What the monitors' status says: texts of the shape that 14.2 to 19.2 print. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/rbd/rbd.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define HEAD "{\"fsid\":\"7d6f8b0e-0000-4000-8000-000000000001\",\"health\":{\"status\":"
#define MONS                                                                                       \
    ",\"mutes\":[]},\"election_epoch\":14,\"quorum\":[0,1,2],\"quorum_names\":[\"a\",\"b\",\"c\"],"  \
    "\"quorum_age\":86400,\"monmap\":{\"epoch\":3,\"min_mon_release_name\":\"reef\",\"num_mons\":3}," \
    "\"osdmap\":{\"epoch\":812,\"num_osds\":6,\"num_up_osds\":6,\"num_in_osds\":6},"
#define WELL                                                                                       \
    HEAD "\"HEALTH_OK\",\"checks\":{}" MONS                                                        \
         "\"pgmap\":{\"pgs_by_state\":[{\"state_name\":\"active+clean\",\"count\":129}],"          \
         "\"num_pgs\":129,\"num_pools\":3,\"num_objects\":12000,\"data_bytes\":48000000000}}"
#define SLOW                                                                                       \
    HEAD "\"HEALTH_WARN\",\"checks\":{"                                                            \
         "\"POOL_NEARFULL\":{\"severity\":\"HEALTH_WARN\",\"summary\":{\"message\":"              \
         "\"1 pool(s) nearfull\",\"count\":1},\"muted\":false},"                                   \
         "\"SLOW_OPS\":{\"severity\":\"HEALTH_WARN\",\"summary\":{\"message\":"                    \
         "\"3 slow ops, oldest one blocked for 35 sec, osd.1 has slow ops\",\"count\":3},"         \
         "\"muted\":%s}}" MONS "\"pgmap\":{\"pgs_by_state\":[{\"state_name\":\"active+clean\","     \
         "\"count\":129}],\"num_pgs\":129}}"
#define ILL                                                                                        \
    HEAD "\"HEALTH_ERR\",\"checks\":{"                                                             \
         "\"OSD_DOWN\":{\"severity\":\"HEALTH_WARN\",\"summary\":{\"message\":\"1 osds down\","    \
         "\"count\":1},\"muted\":false},"                                                          \
         "\"OSD_FULL\":{\"severity\":\"HEALTH_ERR\",\"summary\":{\"message\":\"1 full osd(s)\","   \
         "\"count\":1},\"muted\":false}}" MONS                                                     \
         "\"pgmap\":{\"pgs_by_state\":[{\"state_name\":\"active+clean\",\"count\":100},"           \
         "{\"state_name\":\"active+recovery_wait+undersized+degraded+remapped\",\"count\":9},"     \
         "{\"state_name\":\"active+recovering+degraded\",\"count\":2},"                            \
         "{\"state_name\":\"active+remapped+backfilling\",\"count\":1},"                           \
         "{\"state_name\":\"active+clean+scrubbing+deep\",\"count\":4}],\"num_pgs\":116,"          \
         "\"degraded_objects\":340,\"degraded_total\":12000,\"degraded_ratio\":0.0283,"            \
         "\"misplaced_objects\":77,\"misplaced_total\":12000,\"misplaced_ratio\":0.0064,"          \
         "\"recovering_objects_per_sec\":12,\"recovering_bytes_per_sec\":50331648}}"

static struct ceph_told reads(const char *text)
{
    struct ceph_told t;
    struct err e = {0};
    if (rbd_read_status(text, strlen(text), &t, &e) < 0)
        fail_msg("%s", e.msg);
    assert_true(t.ok);
    assert_string_equal(t.fsid, "7d6f8b0e-0000-4000-8000-000000000001");
    return t;
}

static void a_cluster_that_is_well(void **state)
{
    (void)state;
    struct ceph_told t = reads(WELL);
    assert_string_equal(t.status, "HEALTH_OK");
    assert_null(t.cause);
    assert_null(t.slow);
    assert_int_equal(t.moving_pgs, 0);
    assert_int_equal(t.degraded, 0);
    shape_done(&ceph_told_shape, &t);
}

/* The first warning is the cause; slow operations are found behind it, unless they are muted. */
static void slow_operations(void **state)
{
    (void)state;
    cleanup(freep) char *text = xasprintf(SLOW, "false"), *muted = xasprintf(SLOW, "true");
    struct ceph_told t = reads(text);
    assert_string_equal(t.status, "HEALTH_WARN");
    assert_string_equal(t.cause, "1 pool(s) nearfull");
    assert_string_equal(t.slow, "3 slow ops, oldest one blocked for 35 sec, osd.1 has slow ops");
    shape_done(&ceph_told_shape, &t);
    t = reads(muted);
    assert_null(t.slow);
    shape_done(&ceph_told_shape, &t);
}

/* An error comes before a warning; PGs that wait for their recovery count, those that scrub do not. */
static void an_error_and_recovery(void **state)
{
    (void)state;
    struct ceph_told t = reads(ILL);
    assert_string_equal(t.status, "HEALTH_ERR");
    assert_string_equal(t.cause, "1 full osd(s)");
    assert_null(t.slow);
    assert_int_equal(t.moving_pgs, 12);
    assert_int_equal(t.degraded, 340);
    assert_int_equal(t.misplaced, 77);
    shape_done(&ceph_told_shape, &t);
}

static void what_is_no_status(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "HEALTH_OK", "[]", "{}", "{\"health\":{}}",
                                      "{\"health\":{\"status\":1}}", "{\"health\":{\"status\":"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct ceph_told t;
        struct err e = {0};
        assert_int_equal(rbd_read_status(bad[i], strlen(bad[i]), &t, &e), -EBADMSG);
        assert_true(*e.msg);
    }
    static const char odd[] = "{\"health\":{\"status\":\"HEALTH_WARN\",\"checks\":[3]},\"pgmap\":7}";
    struct ceph_told t;
    assert_int_equal(rbd_read_status(odd, strlen(odd), &t, NULL), 0);
    assert_null(t.cause);
    shape_done(&ceph_told_shape, &t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_that_is_well),
        cmocka_unit_test(slow_operations),
        cmocka_unit_test(an_error_and_recovery),
        cmocka_unit_test(what_is_no_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
