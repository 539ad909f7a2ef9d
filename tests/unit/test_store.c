/* The store: what goes in comes out. */
#include "tests/unit/storefix.h"

static void test_round_trip(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct store *s = open_ok(f->db, NULL);
    assert_int_equal(generation(s), 0);
    for (int g = 1; g <= 3; g++)
        assert_int_equal(put_generation(s, g, &e), 0);
    store_close(s);
    s = open_ok(f->db, NULL);
    assert_int_equal(generation(s), 3);
    assert_int_equal(store_begin(s, &e), 0);
    store_drop_vm(s, "h1", "u1");
    assert_int_equal(store_commit(s, &e), 0);
    struct sight x = {0};
    int64_t next;
    assert_int_equal(store_load(s,
                                &(struct store_sink){&x, see_host, see_vm, see_run, see_move, NULL},
                                &next, &e),
                     0);
    assert_int_equal(x.vm_gen, 0);
    store_close(s);
    struct stat st;
    assert_int_equal(stat(f->db, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

struct whole {
    struct move move;
    int n;
};
static void keep_move(void *arg, const struct move *m)
{
    struct whole *w = arg;
    shape_copy(&move_shape, &w->move, m);
    w->n++;
}

static void test_rows_keep_every_member(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct move m;
    shape_init(&move_shape, &m);
    m.id = 7;
    m.run = 1;
    m.vm = xstrdup("u");
    m.vm_name = xstrdup("web \"3\" \xc3\xa9");
    m.from = xstrdup("h1");
    m.to = xstrdup("h2");
    m.state = JOB_UNCERTAIN;
    m.attempt = 2;
    m.note = xstrdup("line\nbreak");
    struct disk *d = vec_add(&m.disks, &m.n_disks);
    d->target = xstrdup("vda");
    d->kind = DISK_RBD;
    d->image = xstrdup("img");
    struct attempt *a = vec_add(&m.tried, &m.n_tried);
    a->to = xstrdup("h3");
    a->code = xstrdup("migrate_failed");
    struct store *s = open_ok(f->db, NULL);
    struct run run;
    shape_init(&run_shape, &run);
    run.id = 1;
    assert_int_equal(store_begin(s, &e), 0);
    store_put_run(s, &run);
    store_put_move(s, &m);
    assert_int_equal(store_commit(s, &e), 0);
    struct whole w = {0};
    int64_t next;
    assert_int_equal(
        store_load(s, &(struct store_sink){&w, see_host, see_vm, see_run, keep_move, NULL}, &next,
                   &e),
        -0);
    assert_int_equal(w.n, 1);
    assert_true(shape_equal(&move_shape, &m, &w.move));
    shape_done(&move_shape, &m);
    shape_done(&move_shape, &w.move);
    store_close(s);
}

/* Written by another version of the same schema: more members are ignored, words are not guessed. */
static void test_records_of_another_version(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    int64_t next;
    struct whole w = {0};
    const struct store_sink sink = {&w, see_host, see_vm, see_run, keep_move, NULL};
    struct store *s = open_ok(f->db, NULL);
    assert_int_equal(put_generation(s, 1, &e), 0);
    store_close(s);
    sql(f->db, "UPDATE runs SET detail = json_set(detail, '$.tomorrow', 1)");
    s = open_ok(f->db, NULL);
    assert_int_equal(store_load(s, &sink, &next, &e), 0);
    shape_done(&move_shape, &w.move);
    store_close(s);
    sql(f->db, "UPDATE runs SET detail = json_set(detail, '$.kind', 'levitate')");
    s = open_ok(f->db, NULL);
    assert_int_equal(store_load(s, &sink, &next, &e), -EBADMSG);
    has(e.msg, "cannot read; install the version that wrote it");
    has(e.msg, "kind: unknown word \"levitate\"");
    store_close(s);
}

struct sample_sight {
    struct sample *last;
    int n;
};
static void all_samples(void *arg, const struct sample *x)
{
    struct sample_sight *s = arg;
    s->n++;
    shape_done(&sample_shape, s->last);
    shape_copy(&sample_shape, s->last, x);
}
static void no_host(void *arg, const struct host_rec *h)
{
    (void)arg;
    (void)h;
}
static void no_vm(void *arg, const char *host, const struct vm *v, int64_t since)
{
    (void)arg;
    (void)host;
    (void)v;
    (void)since;
}
static void no_run(void *arg, const struct run *r)
{
    (void)arg;
    (void)r;
}
static void no_move(void *arg, const struct move *m)
{
    (void)arg;
    (void)m;
}

/* A row each, overwritten; a VM's goes with it. */
static void test_samples(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct store *s = open_ok(f->db, NULL);
    struct sample x = {.host = (char *)"h1",
                       .vm = (char *)"u1",
                       .name = (char *)"g1",
                       .wall_us = 5,
                       .cpu = {-1, -1, 100, 200, -1, -1, -1},
                       .kept = {.minute = 7, .fives = (char *)"00", .quarters = (char *)"01"}},
                  host = x, back = {0};
    host.vm = NULL;
    assert_int_equal(put_generation(s, 1, &e), 0);
    assert_int_equal(store_begin(s, &e), 0);
    store_put_sample(s, &host);
    store_put_sample(s, &x);
    x.cpu.h1_mcpu = 150;
    store_put_sample(s, &x);
    assert_int_equal(store_commit(s, &e), 0);
    assert_int_equal(generation(s), 1); /* who does not want them is not asked */
    assert_int_equal(number(f->db, "SELECT count(*) FROM samples"), 2);
    assert_int_equal(number(f->db, "SELECT h1_mcpu FROM samples WHERE vm = 'u1'"), 150);
    assert_int_equal(number(f->db, "SELECT count(*) FROM samples WHERE p95_mcpu IS NULL"), 2);
    int64_t next;
    struct sample_sight all = {.last = &back};
    assert_int_equal(
        store_load(s, &(struct store_sink){&all, no_host, no_vm, no_run, no_move, all_samples},
                   &next, &e),
        0);
    assert_int_equal(all.n, 2);
    assert_true(shape_equal(&sample_shape, &back, &x));
    shape_done(&sample_shape, &back);
    assert_int_equal(store_begin(s, &e), 0);
    store_drop_vm(s, "h1", "u1");
    assert_int_equal(store_commit(s, &e), 0);
    assert_int_equal(number(f->db, "SELECT count(*) FROM samples"), 1);
    store_close(s);
}

static void test_term_and_time(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    for (int64_t i = 1; i <= 3; i++) {
        struct store *s = open_ok(f->db, NULL);
        int64_t term = 0, base = -1;
        assert_int_equal(store_new_term(s, &term, &e), 0);
        assert_int_equal(term, i);
        assert_int_equal(store_time_base(s, &base, &e), 0);
        assert_int_equal(base, (i - 1) * 1000);
        assert_int_equal(store_begin(s, &e), 0);
        store_put_time(s, i * 1000);
        assert_int_equal(store_commit(s, &e), 0);
        store_close(s);
    }
}

static void test_journal(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct store *s = open_ok(f->db, NULL);
    for (int g = 1; g <= 4; g++)
        assert_int_equal(put_generation(s, g, &e), 0);
    struct entry *list = NULL;
    size_t n = 0;
    assert_int_equal(
        store_journal(s, &(struct store_query){.run = 1, .after = 5, .limit = 4}, &list, &n, &e),
        0);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(list[i].seq, 6 + (int64_t)i);
        assert_int_equal(list[i].run, 1);
        shape_done(&entry_shape, &list[i]);
    }
    free(list);
    list = NULL;
    n = 0;
    assert_int_equal(store_journal(s, &(struct store_query){.run = 2, .limit = 10}, &list, &n, &e),
                     0);
    assert_int_equal(n, 0);
    /* append-only, also for people with a shell */
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
    char *msg = NULL;
    assert_int_not_equal(sqlite3_exec(db, "UPDATE journal SET text='x'", NULL, NULL, &msg),
                         SQLITE_OK);
    assert_string_equal(msg, "the journal is append-only");
    sqlite3_free(msg);
    assert_int_not_equal(sqlite3_exec(db, "DELETE FROM journal", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    store_close(s);
}

static void test_answers(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    const int64_t day = 86400 * SEC;
    struct store_answer a = {"root (uid 0)", "k1", 5 * day, "{\"verb\":\"drain\"}", "{\"run\":4}"};
    struct store *s = open_ok(f->db, NULL);
    assert_int_equal(store_begin(s, &e), 0);
    store_put_answer(s, &a);
    assert_int_equal(store_commit(s, &e), 0);
    char *req = NULL, *rep = NULL;
    a.wall_us = 6 * day;
    assert_int_equal(store_find_answer(s, &a, &req, &rep, &e), 0);
    assert_string_equal(req, "{\"verb\":\"drain\"}");
    assert_string_equal(rep, "{\"run\":4}");
    free(take(req));
    free(take(rep));
    a.wall_us = 6 * day + 1;
    assert_int_equal(store_find_answer(s, &a, &req, &rep, &e), -ENOENT);
    a.wall_us = 5 * day;
    a.actor = "eve";
    assert_int_equal(store_find_answer(s, &a, &req, &rep, &e), -ENOENT);
    store_close(s);
}

static void test_backup(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    char copy[128];
    snprintf(copy, sizeof(copy), "%s/copy.db", f->dir);
    struct store *s = open_ok(f->db, NULL);
    assert_int_equal(put_generation(s, 1, &e), 0);
    assert_int_equal(store_backup_file(f->db, copy, &e), 0);
    assert_int_equal(put_generation(s, 2, &e), 0);
    assert_int_equal(store_backup_file(f->db, copy, &e), -EEXIST);
    store_close(s);
    s = open_ok(copy, NULL);
    assert_int_equal(generation(s), 1);
    store_close(s);
}

static void test_suspension(void **state)
{
    struct fx *f = *state;
    struct err e = {0};
    struct suspension got;
    char ann[] = "ann", why[] = "new disks";
    const struct suspension none = {0}, x = {true, ann, why, 5, 7};
    struct store *s = open_ok(f->db, NULL);
    assert_int_equal(store_get_suspension(s, &got, &e), 0);
    assert_true(shape_equal(&suspension_shape, &got, &none));
    const struct suspension *kept[] = {&x, &none};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        assert_int_equal(store_begin(s, &e), 0);
        store_put_suspension(s, kept[i]);
        assert_int_equal(store_commit(s, &e), 0);
        store_close(s);
        s = open_ok(f->db, NULL);
        assert_int_equal(store_get_suspension(s, &got, &e), 0);
        assert_true(shape_equal(&suspension_shape, &got, kept[i]));
        shape_done(&suspension_shape, &got);
    }
    store_close(s);
    sql(f->db, "UPDATE meta SET value = '{' WHERE key = 'suspension'");
    s = open_ok(f->db, NULL);
    /* moves against an operator's word would be worse than no start */
    assert_true(store_get_suspension(s, &got, &e) < 0);
    store_close(s);
}

int main(void)
{
    faultvfs_register();
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_round_trip),
        T(test_rows_keep_every_member),
        T(test_records_of_another_version),
        T(test_samples),
        T(test_term_and_time),
        T(test_journal),
        T(test_answers),
        T(test_suspension),
        T(test_backup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
