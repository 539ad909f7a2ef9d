/* Commands once, terms that never go back, reports that are complete and then small. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/cmds.h"
#include "agent/core/reporter.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static char *const VM = (char *)(uintptr_t) "vm-1";

static struct msg migrate(int64_t id, int64_t term, int64_t job, int64_t attempt)
{
    struct migrate *b = cmds_body(MSG_MIGRATE);
    b->term = term;
    b->job = job;
    b->attempt = attempt;
    b->vm = xstrdup(VM);
    return (struct msg){.id = id, .type = MSG_MIGRATE, .body = b};
}

static struct msg tidy(int64_t id, int64_t job, enum tidy_op op)
{
    struct tidy *b = cmds_body(MSG_TIDY);
    b->job = job;
    b->attempt = 1;
    b->vm = xstrdup(VM);
    b->op = (int)op;
    return (struct msg){.id = id, .type = MSG_TIDY, .body = b};
}

static struct msg migrated(bool ok, int64_t bytes)
{
    struct migrated *b = cmds_body(MSG_MIGRATED);
    b->ok = ok;
    b->began = true;
    b->bytes = bytes;
    return (struct msg){.type = MSG_MIGRATED, .body = b};
}

static struct msg done(bool ok)
{
    struct done *b = cmds_body(MSG_DONE);
    b->ok = ok;
    return (struct msg){.type = MSG_DONE, .body = b};
}

static void migrate_runs_once(void **state)
{
    (void)state;
    struct cmds *c = cmds_new();
    struct msg first = migrate(10, 1, 7, 1), again = migrate(11, 1, 7, 1), out;
    assert_int_equal(cmds_take(c, &first, &out), CMDS_RUN);
    assert_true(cmds_knows(c, 7, 1, VM));
    assert_false(cmds_knows(c, 7, 2, VM));
    assert_false(cmds_knows(c, 7, 1, "vm-2"));
    assert_int_equal(cmds_take(c, &again, &out), CMDS_WAIT);
    struct msg result = migrated(false, 42);
    assert_int_equal(cmds_finish(c, &first, &result), 11); /* the latest asker is answered */
    msg_done(&result);
    again.id = 12;
    assert_int_equal(cmds_take(c, &again, &out), CMDS_ANSWERED); /* a failure is an answer too */
    assert_int_equal(out.re, 12);
    assert_int_equal(out.type, MSG_MIGRATED);
    assert_int_equal(((struct migrated *)out.body)->bytes, 42);
    msg_done(&out);
    struct msg next = migrate(13, 1, 7, 2);
    assert_int_equal(cmds_take(c, &next, &out), CMDS_RUN); /* another attempt is another order */
    msg_done(&first);
    msg_done(&again);
    msg_done(&next);
    cmds_free(c);
}

static void failed_tidy_may_be_repeated(void **state)
{
    (void)state;
    struct cmds *c = cmds_new();
    struct msg m = tidy(1, 5, TIDY_UNDEFINE), other = tidy(2, 5, TIDY_KILL_INCOMING), out;
    struct msg bad = done(false), good = done(true);
    assert_int_equal(cmds_take(c, &m, &out), CMDS_RUN);
    cmds_finish(c, &m, &bad);
    assert_int_equal(cmds_take(c, &m, &out), CMDS_RUN);
    cmds_finish(c, &m, &good);
    assert_int_equal(cmds_take(c, &m, &out), CMDS_ANSWERED);
    assert_true(((struct done *)out.body)->ok);
    msg_done(&out);
    assert_int_equal(cmds_take(c, &other, &out), CMDS_RUN); /* another operation of the same job */
    msg_done(&m);
    msg_done(&other);
    msg_done(&bad);
    msg_done(&good);
    cmds_free(c);
}

static void lower_term_is_refused(void **state)
{
    (void)state;
    struct cmds *c = cmds_new();
    struct msg m = migrate(1, 4, 7, 1), out;
    assert_true(cmds_term(c, 5));
    assert_int_equal(cmds_take(c, &m, &out), CMDS_ANSWERED);
    const struct migrated *r = out.body;
    assert_int_equal(out.type, MSG_MIGRATED);
    assert_false(r->ok);
    assert_false(r->began);
    assert_string_equal(r->code, "stale_term");
    assert_int_equal(r->job, 7);
    msg_done(&out);
    assert_false(cmds_term(c, 4));
    assert_int_equal(cmds_term_seen(c), 5);
    ((struct migrate *)m.body)->term = 6;
    assert_int_equal(cmds_take(c, &m, &out), CMDS_RUN);
    assert_int_equal(cmds_term_seen(c), 6); /* a command teaches the term too */
    msg_done(&m);
    cmds_free(c);
}

static void begun_before_a_restart_is_uncertain(void **state)
{
    (void)state;
    struct cmds *c = cmds_new();
    struct msg m = migrate(1, 1, 9, 2), out;
    cmds_begun(c, 9, 2, VM);
    assert_int_equal(cmds_take(c, &m, &out), CMDS_ANSWERED);
    const struct migrated *r = out.body;
    assert_false(r->ok);
    assert_true(r->began); /* "nothing began" would be a lie */
    assert_string_equal(r->vm, VM);
    msg_done(&out);
    msg_done(&m);
    cmds_free(c);
}

static void results_are_bounded(void **state)
{
    (void)state;
    struct cmds *c = cmds_new();
    struct msg result = migrated(true, 1), out;
    for (int64_t job = 1; job <= 3 * CMDS_KEPT; job++) {
        struct msg m = migrate(job, 1, job, 1);
        assert_int_equal(cmds_take(c, &m, &out), CMDS_RUN);
        cmds_finish(c, &m, &result);
        msg_done(&m);
    }
    assert_false(cmds_knows(c, 1, 1, VM));
    assert_true(cmds_knows(c, 3 * CMDS_KEPT, 1, VM));
    assert_true(cmds_knows(c, 2 * CMDS_KEPT + 1, 1, VM));
    msg_done(&result);
    struct cmds *busy = cmds_new();
    for (int64_t job = 1; job <= CMDS_RUNNING_MAX + 1; job++) {
        struct msg m = migrate(job, 1, job, 1);
        enum cmds_verdict v = cmds_take(busy, &m, &out);
        assert_int_equal(v, job <= CMDS_RUNNING_MAX ? CMDS_RUN : CMDS_ANSWERED);
        if (v == CMDS_ANSWERED)
            msg_done(&out);
        msg_done(&m);
    }
    cmds_free(busy);
    cmds_free(c);
}

/* Every command has a "no" of the type its asker waits for. */
static void failures_have_the_right_type(void **state)
{
    static const struct {
        enum msg_type in, out;
    } want[] = {
        {MSG_CHECK_VMS, MSG_VMS_CHECKED},
        {MSG_CHECK_PEER, MSG_DONE},
        {MSG_CHECK_HOST, MSG_HOST_CHECKED},
        {MSG_MIGRATE, MSG_MIGRATED},
        {MSG_ABORT, MSG_DONE},
        {MSG_TUNE, MSG_DONE},
        {MSG_PROBE, MSG_PROBED},
        {MSG_TIDY, MSG_DONE},
        {MSG_POWER, MSG_DONE},
        {MSG_RELABEL, MSG_DONE},
        {MSG_CENSUS, MSG_COUNTED},
        {MSG_ASK_CEPH, MSG_CEPH_TOLD},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct msg m = {.id = 3, .type = want[i].in, .body = cmds_body(want[i].in)}, out;
        if (m.type == MSG_CHECK_VMS) {
            struct check_vms *b = m.body;
            vec_add(&b->vms, &b->n_vms)->uuid = xstrdup("a");
            vec_add(&b->vms, &b->n_vms)->uuid = xstrdup("b");
        }
        cmds_failure(&m, "libvirt_down", "why", true, &out);
        assert_int_equal(out.type, want[i].out);
        assert_int_equal(out.re, 3);
        if (out.type == MSG_VMS_CHECKED) {
            const struct vms_checked *v = out.body;
            assert_int_equal(v->n_verdicts, 2);
            assert_string_equal(v->verdicts[1].uuid, "b");
            assert_int_equal(v->verdicts[1].reasons[0].code, R_LIBVIRT_DOWN);
        }
        if (out.type == MSG_PROBED)
            assert_int_equal(((struct probed *)out.body)->seen, SEEN_ERROR);
        msg_done(&out);
        msg_done(&m);
    }
}

static void a_migration_is_ordered_until_it_has_ended(void **state)
{
    (void)state;
    struct cmds *c = cmds_new();
    struct migrate q = {.term = 1, .job = 7, .attempt = 1, .vm = (char *)(uintptr_t) "v"};
    const struct msg m = {.id = 3, .type = MSG_MIGRATE, .body = &q};
    struct msg out = {0};
    assert_false(cmds_migrating(c, "v"));
    assert_int_equal(cmds_take(c, &m, &out), CMDS_RUN);
    assert_true(cmds_migrating(c, "v"));
    assert_false(cmds_migrating(c, "w"));
    cmds_failure(&m, "migrate_failed", "no", true, &out);
    cmds_finish(c, &m, &out);
    assert_false(cmds_migrating(c, "v"));
    msg_done(&out);
    cmds_free(c);
}

/* ---- reporter ----------------------------------------------------------------------------------- */
static struct vm a_vm(const char *uuid, int64_t mem, size_t xml_bytes)
{
    struct vm v;
    shape_init(&vm_shape, &v);
    v.uuid = xstrdup(uuid);
    v.name = xstrdup(uuid);
    v.mem_bytes = mem;
    if (xml_bytes) {
        v.cpu_xml = xcalloc(1, xml_bytes + 1);
        memset(v.cpu_xml, 'x', xml_bytes);
    }
    return v;
}

static struct host a_host(int64_t free_bytes)
{
    struct host h;
    shape_init(&host_shape, &h);
    h.name = xstrdup("h1");
    h.mem_bytes = 64 * GIB;
    h.mem_free_bytes = free_bytes;
    h.libvirt_up = true;
    return h;
}

static bool put(struct reporter *r, const char *uuid, int64_t mem)
{
    struct vm v = a_vm(uuid, mem, 0);
    return reporter_vm(r, &v);
}

static bool put_host(struct reporter *r, int64_t free_bytes)
{
    struct host h = a_host(free_bytes);
    return reporter_host(r, &h);
}

static void full_then_deltas(void **state)
{
    (void)state;
    struct reporter *r = reporter_new();
    struct report p;
    put_host(r, 32 * GIB);
    assert_true(put(r, "a", 1));
    assert_true(put(r, "b", 1));
    /* not all is known yet: the host alone, and not as a full report */
    assert_true(reporter_take(r, &p));
    assert_false(p.full);
    assert_true(p.has_host);
    assert_int_equal(p.n_vms, 0);
    assert_int_equal(p.seq, 1);
    shape_done(&report_shape, &p);
    assert_false(reporter_take(r, &p));
    reporter_known(r);
    assert_true(reporter_take(r, &p));
    assert_true(p.full);
    assert_int_equal(p.n_vms, 2);
    assert_int_equal(p.seq, 2);
    shape_done(&report_shape, &p);
    assert_false(reporter_take(r, &p));
    /* what did not change is not said; what did is said once, whole */
    assert_false(put(r, "a", 1));
    assert_true(put(r, "b", 2));
    assert_true(reporter_gone(r, "a"));
    assert_false(reporter_gone(r, "never"));
    assert_true(reporter_take(r, &p));
    assert_false(p.full);
    assert_false(p.has_host);
    assert_int_equal(p.n_vms, 1);
    assert_string_equal(p.vms[0].uuid, "b");
    assert_int_equal(p.vms[0].mem_bytes, 2);
    assert_int_equal(p.n_gone, 1);
    assert_string_equal(p.gone[0], "a");
    shape_done(&report_shape, &p);
    assert_false(reporter_take(r, &p));
    reporter_restart(r);
    assert_true(reporter_take(r, &p));
    assert_true(p.full && p.has_host);
    assert_int_equal(p.seq, 1);
    assert_int_equal(p.n_vms, 1);
    shape_done(&report_shape, &p);
    reporter_free(r);
}

static void back_before_it_was_told(void **state)
{
    (void)state;
    struct reporter *r = reporter_new();
    struct report p;
    put(r, "a", 1);
    reporter_known(r);
    reporter_take(r, &p);
    shape_done(&report_shape, &p);
    reporter_gone(r, "a");
    put(r, "a", 1);
    assert_true(reporter_take(r, &p));
    assert_int_equal(p.n_gone, 0);
    assert_int_equal(p.n_vms, 1);
    shape_done(&report_shape, &p);
    reporter_free(r);
}

static void measurements_alone_are_no_news(void **state)
{
    (void)state;
    struct reporter *r = reporter_new();
    struct report p;
    put_host(r, 32 * GIB);
    put(r, "a", 1);
    reporter_known(r);
    reporter_take(r, &p);
    shape_done(&report_shape, &p);
    struct vm v = a_vm("a", 1, 0);
    v.rss_bytes = 12345;
    v.cpu_time_us = 9;
    assert_false(reporter_vm(r, &v));
    assert_int_equal(reporter_find(r, "a")->rss_bytes, 12345);
    assert_false(put_host(r, 31 * GIB)); /* 1/64: no news */
    assert_false(reporter_take(r, &p));
    assert_false(put_host(r, 20 * GIB)); /* no other fact, yet worth telling */
    assert_true(reporter_take(r, &p));
    assert_true(p.has_host);
    assert_int_equal(p.host.mem_free_bytes, 20 * GIB);
    shape_done(&report_shape, &p);
    reporter_libvirt(r, true);
    assert_false(reporter_take(r, &p));
    reporter_libvirt(r, false);
    assert_true(reporter_take(r, &p));
    assert_false(p.host.libvirt_up);
    shape_done(&report_shape, &p);
    reporter_free(r);
}

static void put_running(struct reporter *r, const char *uuid)
{
    struct vm v = a_vm(uuid, 1, 0);
    v.state = VM_RUNNING;
    reporter_vm(r, &v);
}

/* A rate is measured apart from the facts: reading them again keeps it, while the guest runs. */
static void a_dirty_rate_is_told_once(void **state)
{
    (void)state;
    struct reporter *r = reporter_new();
    struct report p;
    put_running(r, "a");
    reporter_known(r);
    reporter_take(r, &p);
    shape_done(&report_shape, &p);
    reporter_memory(r, "nobody", 1, -1);
    reporter_memory(r, "a", 40 * MIB, -1);
    assert_true(reporter_take(r, &p));
    assert_int_equal(p.n_vms, 1);
    assert_int_equal(p.vms[0].dirty_Bps, 40 * MIB);
    shape_done(&report_shape, &p);
    reporter_memory(r, "a", 48 * MIB, -1); /* within a quarter */
    assert_false(reporter_take(r, &p));
    put_running(r, "a");
    assert_int_equal(reporter_find(r, "a")->dirty_Bps, 40 * MIB);
    reporter_memory(r, "a", 80 * MIB, 900 * MIB);
    assert_true(reporter_take(r, &p));
    assert_int_equal(p.vms[0].rss_bytes, 900 * MIB);
    assert_int_equal(p.vms[0].dirty_Bps, 80 * MIB);
    shape_done(&report_shape, &p);
    put(r, "a", 1); /* shut off */
    reporter_memory(r, "a", 90 * MIB, -1);
    assert_int_equal(reporter_find(r, "a")->dirty_Bps, -1);
    reporter_free(r);
}

/* A full report beyond the frame limit leaves XML of CPUs out and sends whole VMs after it. */
static void reports_fit_frames(void **state)
{
    enum { N = 100, XML = 60 << 10 };
    (void)state;
    struct reporter *r = reporter_new();
    struct report p;
    char uuid[16];
    for (int i = 0; i < N; i++) {
        snprintf(uuid, sizeof(uuid), "vm-%d", i);
        struct vm v = a_vm(uuid, 1, XML);
        reporter_vm(r, &v);
    }
    reporter_known(r);
    assert_true(reporter_take(r, &p));
    assert_true(p.full);
    assert_int_equal(p.n_vms, N);
    assert_null(p.vms[0].cpu_xml);
    shape_done(&report_shape, &p);
    size_t whole = 0;
    int parts = 0;
    while (reporter_take(r, &p)) {
        assert_false(p.full);
        struct msg m = {.type = MSG_REPORT, .body = &p};
        cleanup(freep) char *text = msg_encode(&m);
        assert_true(strlen(text) < LIM_FRAME_BYTES);
        for (size_t i = 0; i < p.n_vms; i++)
            whole += p.vms[i].cpu_xml != NULL;
        shape_done(&report_shape, &p);
        parts++;
    }
    assert_int_equal(whole, N);
    assert_true(parts > 1);
    reporter_free(r);
}

/* Texts stay with the agent until somebody asks for them by name; an answer has its bound. */
static void xml_is_sent_when_asked_for(void **state)
{
    enum { N = 12, XML = 60 << 10 };
    (void)state;
    struct reporter *r = reporter_new();
    struct report p;
    struct send_xml q = {0};
    for (int i = 0; i < N; i++) {
        char uuid[16];
        snprintf(uuid, sizeof(uuid), "vm-%d", i);
        struct vm v = a_vm(uuid, 1, 0);
        v.xml = xcalloc(1, XML + 1);
        memset(v.xml, 'a' + i, XML);
        v.xml_digest = xasprintf("live-%d", i);
        v.xml_inactive = xstrdup("<domain/>");
        v.xml_inactive_digest = xasprintf("kept-%d", i);
        reporter_vm(r, &v);
        *(char **)vec_add(&q.digests, &q.n_digests) = xasprintf(i == 1 ? "old-%d" : "live-%d", i);
    }
    reporter_known(r);
    assert_true(reporter_take(r, &p));
    assert_null(p.vms[0].xml);
    assert_null(p.vms[0].xml_inactive);
    assert_string_equal(p.vms[0].xml_digest, "live-0");
    assert_string_equal(p.vms[0].xml_inactive_digest, "kept-0");
    shape_done(&report_shape, &p);
    struct xml_texts x = {0};
    reporter_xml(r, &q, &x);
    assert_int_equal(x.n_texts, 5); /* 4 of 60 KiB, and one that is not there */
    assert_string_equal(x.texts[0].digest, "live-0");
    assert_int_equal(strlen(x.texts[0].text), XML);
    assert_int_equal(x.texts[0].text[0], 'a');
    assert_string_equal(x.texts[1].digest, "old-1");
    assert_null(x.texts[1].text);
    assert_int_equal(x.texts[4].text[0], 'e');
    shape_done(&xml_texts_shape, &x);
    shape_done(&send_xml_shape, &q);
    /* one that nobody would take is as good as not there */
    struct vm v = a_vm("vm-0", 1, 0);
    v.xml = xcalloc(1, (1 << 20) + 2);
    memset(v.xml, 'x', (1 << 20) + 1);
    v.xml_digest = xstrdup("tall");
    reporter_vm(r, &v);
    *(char **)vec_add(&q.digests, &q.n_digests) = xstrdup("tall");
    reporter_xml(r, &q, &x);
    assert_int_equal(x.n_texts, 1);
    assert_null(x.texts[0].text);
    shape_done(&xml_texts_shape, &x);
    shape_done(&send_xml_shape, &q);
    reporter_free(r);
}

/* A delta without a host must survive the wire: the host's name is required where there is one. */
static void deltas_survive_the_wire(void **state)
{
    (void)state;
    struct reporter *r = reporter_new();
    struct report p;
    put_host(r, GIB);
    put(r, "a", 1);
    reporter_known(r);
    reporter_take(r, &p);
    shape_done(&report_shape, &p);
    put(r, "a", 2);
    assert_true(reporter_take(r, &p));
    struct msg m = {.id = 1, .type = MSG_REPORT, .body = &p}, back;
    cleanup(freep) char *text = msg_encode(&m);
    struct err e = {0};
    if (msg_decode(text, strlen(text), &back, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(((struct report *)back.body)->n_vms, 1);
    msg_done(&back);
    shape_done(&report_shape, &p);
    reporter_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrate_runs_once),
        cmocka_unit_test(failed_tidy_may_be_repeated),
        cmocka_unit_test(lower_term_is_refused),
        cmocka_unit_test(begun_before_a_restart_is_uncertain),
        cmocka_unit_test(results_are_bounded),
        cmocka_unit_test(failures_have_the_right_type),
        cmocka_unit_test(full_then_deltas),
        cmocka_unit_test(xml_is_sent_when_asked_for),
        cmocka_unit_test(back_before_it_was_told),
        cmocka_unit_test(a_migration_is_ordered_until_it_has_ended),
        cmocka_unit_test(measurements_alone_are_no_news),
        cmocka_unit_test(a_dirty_rate_is_told_once),
        cmocka_unit_test(reports_fit_frames),
        cmocka_unit_test(deltas_survive_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
