/* The agent's configuration, its workers, and what it remembers across restarts. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/io/agent.h"
#include "lib/base/file.h"
#include "tests/unit/netfix.h"

/* ---- configuration ------------------------------------------------------------------------------ */
static int dir_setup(void **state)
{
    (void)state;
    snprintf(fix_dir, sizeof(fix_dir), "/tmp/drover-test-XXXXXX");
    return mkdtemp(fix_dir) ? 0 : -1;
}

static int load(const char *text, struct config *c, struct err *e)
{
    cleanup(freep) char *path = xasprintf("%s/agent.yaml", fix_dir);
    assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
    return config_load(path, c, e);
}

static void config_is_read(void **state)
{
    (void)state;
    struct config c;
    struct err e = {0};
    if (load("scheduler: [s1:7440, '[fd00::1]:7441']\n"
             "migration: {address: 10.0.0.1, uri: 'qemu+tls://h1/system', link: 25Gbit}\n"
             "labels: {gpu: \"yes\", tier: \"1\"}\nzone: a\nrack: r1\n"
             "ceph: {timeout: 5s}\nresync: 2m\nmemory: 64GiB\n",
             &c, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(c.n_schedulers, 2);
    assert_string_equal(c.schedulers[1], "[fd00::1]:7441");
    assert_string_equal(c.cert, "/etc/drover/tls/cert.pem");
    assert_string_equal(c.libvirt, "qemu:///system");
    assert_string_equal(c.migrate_uri, "qemu+tls://h1/system");
    assert_int_equal(c.link_bps, INT64_C(25000000000));
    assert_string_equal(label_get(c.labels, c.n_labels, "gpu"), "yes");
    assert_string_equal(c.ceph_conf, "/etc/ceph/ceph.conf");
    assert_int_equal(c.ceph_timeout_us, 5 * SEC);
    assert_int_equal(c.resync_us, 120 * SEC);
    assert_int_equal(c.mem_bytes, 64 * GIB);
    config_done(&c);
    assert_int_equal(load("scheduler: s1:7440\n", &c, &e), 0);
    assert_int_equal(c.link_bps, -1);
    assert_int_equal(c.resync_us, 60 * SEC);
    config_done(&c);
}

static void config_errors_point(void **state)
{
    static const struct {
        const char *text, *want;
    } bad[] = {
        {"", "'scheduler: HOST:PORT' is needed"},
        {"zone: a\n", "'scheduler: HOST:PORT' is missing"},
        {"scheduler: s1\n", ":1:12: 'scheduler':"},
        {"scheduler: s1:7440\nlabls: {}\n", ":2:1: unknown key 'labls'; did you mean 'labels'?"},
        {"scheduler: s1:7440\nceph: {timeot: 1s}\n", ":2:8: unknown key 'timeot'; did you mean 'timeout'?"},
        {"scheduler: s1:7440\nceph:\n  timeout: 40s\n", ":3:12: 'timeout': expected 1.0 s to 18 s"},
        {"scheduler: s1:7440\nmemory: lots\n", ":2:9: 'memory':"},
        {"scheduler: s1:7440\nmigration: {link: fast}\n", ":2:19: 'link':"},
        {"scheduler: s1:7440\nzone: a\nzone: b\n", ":3:1: key 'zone' is given twice"},
        {"scheduler: s1:7440\nlabels: [a]\n", ":2:9: 'labels': expected {KEY: VALUE, ...}"},
        {"scheduler: s1:7440\nzone: [a]\n", ":2:7: 'zone': expected a text"},
        {"scheduler: {\n", "not YAML"},
        {"- a\n", ":1:1: expected 'key: value' lines"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct config c;
        struct err e = {0};
        assert_int_equal(load(bad[i].text, &c, &e), -EINVAL);
        if (!strstr(e.msg, bad[i].want))
            fail_msg("'%s' does not say '%s'", e.msg, bad[i].want);
    }
}

/* ---- what was begun ----------------------------------------------------------------------------- */
static void begun_survives_a_restart(void **state)
{
    (void)state;
    struct err e = {0};
    struct cmds *c = cmds_new();
    assert_int_equal(begun_load(fix_dir, c, &e), 0); /* no file yet */
    for (int64_t job = 1; job <= 300; job++) {
        struct migrate m = {.job = job, .attempt = 2, .vm = (char *)(uintptr_t) "vm-1"};
        assert_int_equal(begun_add(fix_dir, &m, &e), 0);
    }
    assert_int_equal(begun_load(fix_dir, c, &e), 0);
    assert_true(cmds_knows(c, 300, 2, "vm-1"));
    assert_true(cmds_knows(c, 45, 2, "vm-1"));
    assert_false(cmds_knows(c, 44, 2, "vm-1")); /* 256 are kept */
    assert_false(cmds_knows(c, 300, 1, "vm-1"));
    cmds_free(c);
    cleanup(freep) char *path = xasprintf("%s/begun.json", fix_dir);
    assert_int_equal(file_write(path, "{", 1, 0600, NULL), 0);
    c = cmds_new();
    assert_true(begun_load(fix_dir, c, &e) < 0);
    assert_non_null(strstr(e.msg, "begun.json"));
    cmds_free(c);
}

/* ---- workers ------------------------------------------------------------------------------------ */
struct task {
    struct loop *loop;
    pthread_mutex_t lock;
    pthread_cond_t go;
    bool may_end;
    int ran, done, late, dropped; /* ran is the worker's until it has ended */
    bool seen;
};

static void task_init(struct task *t, struct loop *l)
{
    *t = (struct task){.loop = l};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->go, NULL);
}

static void run_blocked(void *arg)
{
    struct task *t = arg;
    pthread_mutex_lock(&t->lock);
    while (!t->may_end)
        pthread_cond_wait(&t->go, &t->lock);
    t->ran++;
    pthread_mutex_unlock(&t->lock);
}

static void end(struct task *t)
{
    pthread_mutex_lock(&t->lock);
    t->may_end = true;
    pthread_cond_signal(&t->go);
    pthread_mutex_unlock(&t->lock);
}

static void on_done(void *arg)
{
    ((struct task *)arg)->done++;
}

static void on_late(void *arg)
{
    struct task *t = arg;
    t->late++;
    t->seen = true;
    loop_stop(t->loop);
}

static void on_drop(void *arg)
{
    struct task *t = arg;
    t->dropped++;
    t->seen = true;
    loop_stop(t->loop);
}

static struct work work_of(struct task *t, int64_t deadline_us)
{
    return (struct work){.name = "test", .run = run_blocked, .done = on_done, .late = on_late,
                         .drop = on_drop, .arg = t, .deadline_us = deadline_us};
}

static void work_ends_in_time(void **state)
{
    (void)state;
    struct loop *l;
    struct task t;
    assert_int_equal(loop_new(&l, NULL), 0);
    struct workers *w = workers_new(l);
    task_init(&t, l);
    end(&t);
    const struct work work = work_of(&t, 20 * SEC);
    assert_int_equal(workers_run(w, &work, NULL), 0);
    fix_run(l, &t.seen);
    assert_int_equal(t.ran, 1);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.late, 0);
    assert_int_equal(t.dropped, 1);
    assert_int_equal(workers_lost(w), 0);
    workers_free(w);
    loop_free(l);
}

static void late_work_is_abandoned_then_dropped(void **state)
{
    (void)state;
    struct loop *l;
    struct task t;
    assert_int_equal(loop_new(&l, NULL), 0);
    struct workers *w = workers_new(l);
    task_init(&t, l);
    const struct work work = work_of(&t, 1 * MSEC);
    assert_int_equal(workers_run(w, &work, NULL), 0);
    fix_run(l, &t.seen);
    assert_int_equal(t.late, 1);
    assert_int_equal(t.dropped, 0); /* its thread may still look at it */
    assert_int_equal(workers_lost(w), 1);
    t.seen = false;
    end(&t);
    fix_run(l, &t.seen);
    assert_int_equal(t.done, 0);
    assert_int_equal(t.dropped, 1);
    assert_int_equal(workers_lost(w), 0);
    assert_int_equal(workers_late_total(w), 1);
    workers_free(w);
    loop_free(l);
}

/* A hung libvirtd: threads pile up to a bound, queued work ends at its deadline, then refusals. */
static void hung_calls_are_bounded(void **state)
{
    enum { N = WORKERS_LOST + 4 };
    (void)state;
    struct loop *l;
    struct err e = {0};
    static struct task t[N], extra;
    assert_int_equal(loop_new(&l, NULL), 0);
    struct workers *w = workers_new(l);
    int started = 0;
    for (int i = 0; i < N && workers_lost(w) < WORKERS_LOST; i++, started++) {
        task_init(&t[i], l);
        const struct work work = work_of(&t[i], 1 * MSEC);
        assert_int_equal(workers_run(w, &work, &e), 0);
        fix_run(l, &t[i].seen);
        assert_int_equal(t[i].late, 1);
    }
    assert_int_equal(workers_lost(w), WORKERS_LOST);
    task_init(&extra, l);
    const struct work more = work_of(&extra, 1 * MSEC);
    assert_int_equal(workers_run(w, &more, &e), -EBUSY);
    assert_non_null(strstr(e.msg, "restart libvirtd"));
    assert_int_equal(extra.late + extra.dropped, 0);
    for (int i = 0; i < started; i++) {
        t[i].seen = t[i].dropped > 0;
        end(&t[i]);
        fix_run(l, &t[i].seen);
    }
    assert_int_equal(workers_lost(w), 0);
    assert_int_equal(workers_run(w, &more, &e), 0); /* it answers again, and so do we */
    end(&extra);
    while (!extra.dropped) {
        extra.seen = false;
        fix_run(l, &extra.seen);
    }
    workers_free(w);
    loop_free(l);
}

static void queued_work_ends_at_its_deadline(void **state)
{
    (void)state;
    struct loop *l;
    static struct task busy[WORKERS_MAX], waiting;
    assert_int_equal(loop_new(&l, NULL), 0);
    struct workers *w = workers_new(l);
    for (int i = 0; i < WORKERS_MAX; i++) {
        task_init(&busy[i], l);
        const struct work work = work_of(&busy[i], 0);
        assert_int_equal(workers_run(w, &work, NULL), 0);
    }
    task_init(&waiting, l);
    const struct work work = work_of(&waiting, 1 * MSEC);
    assert_int_equal(workers_run(w, &work, NULL), 0);
    fix_run(l, &waiting.seen);
    assert_int_equal(waiting.late, 1);
    assert_int_equal(waiting.dropped, 1); /* it never ran: nothing to wait for */
    assert_int_equal(waiting.ran, 0);
    assert_int_equal(workers_lost(w), 0);
    for (int i = 0; i < WORKERS_MAX; i++) {
        end(&busy[i]);
        busy[i].seen = busy[i].dropped > 0;
        fix_run(l, &busy[i].seen);
        assert_int_equal(busy[i].done, 1);
    }
    workers_free(w);
    loop_free(l);
}

static int dir_teardown(void **state)
{
    (void)state;
    fix_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_is_read),
        cmocka_unit_test(config_errors_point),
        cmocka_unit_test(begun_survives_a_restart),
        cmocka_unit_test(work_ends_in_time),
        cmocka_unit_test(late_work_is_abandoned_then_dropped),
        cmocka_unit_test(hung_calls_are_bounded),
        cmocka_unit_test(queued_work_ends_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, dir_setup, dir_teardown);
}
