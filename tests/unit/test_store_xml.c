/* Texts of VMs' XML in the store: each once, by its digest, for as long as a VM has it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/io/store.h"

struct fx {
    char dir[64], db[96];
};

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    struct fx *f = xcalloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/drover-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->db, sizeof(f->db), "%s/drover.db", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    nftw(f->dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static struct store *open_ok(const char *path)
{
    struct err e = {0};
    struct store *s = NULL;
    if (store_open(&(struct store_options){.path = path}, &s, &e) < 0)
        fail_msg("%s", e.msg);
    return s;
}

static void begin(struct store *s)
{
    struct err e = {0};
    if (store_begin(s, &e) < 0)
        fail_msg("%s", e.msg);
}

static void commit(struct store *s)
{
    struct err e = {0};
    if (store_commit(s, &e) < 0)
        fail_msg("%s", e.msg);
}

/* As an older agent reports it: that is how texts and digests come to be. */
static void put(struct store *s, const char *host, const char *uuid, const char *xml, bool texts)
{
    struct vm v;
    shape_init(&vm_shape, &v);
    v.uuid = xstrdup(uuid);
    v.name = xstrdup(uuid);
    v.xml = xstrdup(xml);
    struct report r = {.vms = &v, .n_vms = 1};
    struct xml_blobs b = {0};
    xml_of_report(&r, &b);
    assert_null(v.xml);
    store_put_host(s, &(struct host_rec){.name = (char *)(uintptr_t)host});
    store_put_vm(s, host, &v, 1);
    for (size_t i = 0; texts && i < b.n; i++)
        store_put_xml(s, &b.list[i]);
    xml_blobs_done(&b);
    shape_done(&vm_shape, &v);
}

static void kept(struct store *s, const char *xml)
{
    cleanup(freep) char *digest = sha256_of(xml);
    cleanup(freep) char *text = NULL;
    struct err e = {0};
    assert_true(store_has_xml(s, digest));
    if (store_get_xml(s, digest, &text, &e) < 0)
        fail_msg("%s", e.msg);
    assert_string_equal(text, xml);
}

static void not_kept(struct store *s, const char *xml)
{
    cleanup(freep) char *digest = sha256_of(xml);
    char *text;
    assert_false(store_has_xml(s, digest));
    assert_int_equal(store_get_xml(s, digest, &text, NULL), -ENOENT);
}

static void test_texts(void **state)
{
    struct fx *f = *state;
    struct store *s = open_ok(f->db);
    cleanup(freep) char *tall = xcalloc(1, 100001);
    memset(tall, '<', 100000);
    begin(s);
    put(s, "h1", "a", "<domain/>", true); /* too short to be packed */
    put(s, "h1", "b", tall, true);
    put(s, "h1", "c", tall, true); /* the same text: there once */
    commit(s);
    store_close(s);
    s = open_ok(f->db);
    kept(s, "<domain/>");
    kept(s, tall);
    not_kept(s, "<other/>");
    store_close(s);
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*), sum(length(packed)) FROM xml_texts",
                                        -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(st, 0), 2);
    assert_true(sqlite3_column_int(st, 1) < 2000);
    sqlite3_finalize(st);
    assert_int_equal(sqlite3_exec(db, "UPDATE xml_texts SET packed = x'00' WHERE bytes > 9", NULL,
                                  NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    s = open_ok(f->db);
    struct err e = {0};
    char *text;
    cleanup(freep) char *digest = sha256_of(tall);
    assert_int_equal(store_get_xml(s, digest, &text, &e), -EUCLEAN);
    assert_non_null(strstr(e.msg, "cannot be unpacked"));
    store_close(s);
}

struct told {
    char text[400];
    int n;
};

static void lacks(void *arg, const char *host, const char *digest)
{
    struct told *t = arg;
    size_t at = strlen(t->text);
    snprintf(t->text + at, sizeof(t->text) - at, "%s:%.6s ", host, digest);
    t->n++;
}

/* A bounded look at a time comes to all of them once. */
static void test_lacks(void **state)
{
    struct fx *f = *state;
    struct store *s = open_ok(f->db);
    char uuid[16], xml[32];
    begin(s);
    for (int i = 0; i < 50; i++) {
        snprintf(uuid, sizeof(uuid), "vm-%02d", i);
        snprintf(xml, sizeof(xml), "<domain>%d</domain>", i);
        put(s, i % 2 ? "h1" : "h2", uuid, xml, i % 10 != 0);
    }
    commit(s);
    struct told t = {0};
    struct store_place at = {0};
    const struct store_lacks to = {.limit = 7, .arg = &t, .lacks = lacks};
    int looks = 0;
    do {
        assert_int_equal(store_xml_lacks(s, &at, &to, NULL), 0);
        looks++;
    } while (at.host);
    assert_int_equal(looks, 8); /* 50 rows */
    assert_int_equal(t.n, 5);
    assert_null(strstr(t.text, "h1:")); /* those without were on h2 */
    store_close(s);
}

static void test_sweep(void **state)
{
    struct fx *f = *state;
    struct store *s = open_ok(f->db);
    char uuid[16], xml[32];
    begin(s);
    for (int i = 0; i < 30; i++) {
        snprintf(uuid, sizeof(uuid), "vm-%02d", i);
        snprintf(xml, sizeof(xml), "<domain>%d</domain>", i);
        put(s, "h1", uuid, xml, true);
    }
    store_drop_vm(s, "h1", "vm-03");
    put(s, "h1", "vm-04", "<domain>4, edited</domain>", true);
    put(s, "h2", "vm-05", "<domain>5</domain>", false); /* has moved: */
    store_drop_vm(s, "h1", "vm-05");
    commit(s);
    struct store_sweep w = {.limit = 4};
    int steps = 0;
    do {
        assert_int_equal(store_xml_sweep(s, &w, NULL), 0);
        steps++;
    } while (w.at[0]);
    assert_int_equal(steps, 8); /* 31 texts */
    assert_int_equal(w.gone, 2);
    not_kept(s, "<domain>3</domain>");
    not_kept(s, "<domain>4</domain>");
    kept(s, "<domain>4, edited</domain>");
    kept(s, "<domain>5</domain>");
    kept(s, "<domain>29</domain>");
    store_close(s);
}

/* A database of schema 1 has the texts in the VMs' rows: none is lost, a host may be dead just now. */
static void test_from_schema_1(void **state)
{
    struct fx *f = *state;
    cleanup(freep) char *schema = NULL;
    assert_int_equal(file_read("schema/db/0001_init.sql", 1 << 20, &schema, NULL, NULL), 0);
    sqlite3 *db;
    char *msg = NULL;
    assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
    cleanup(freep) char *sql = xasprintf(
        "%s PRAGMA application_id = 0x44525652; PRAGMA user_version = 1;"
        "INSERT INTO hosts (name, state, detail) VALUES ('h1', 'up', '{\"name\":\"h1\"}');"
        "INSERT INTO vms VALUES ('h1', 'u1', 'a', 'running', 1, 1, 5, '{\"uuid\":\"u1\","
        "\"name\":\"a\",\"state\":\"running\",\"xml\":\"<domain>\xc3\xa4, live</domain>\","
        "\"xml_inactive\":\"<domain>a</domain>\",\"vcpus\":3}');"
        "INSERT INTO vms VALUES ('h1', 'u2', 'b', 'shutoff', 1, 1, 5, '{\"uuid\":\"u2\","
        "\"name\":\"b\",\"state\":\"shutoff\",\"xml_inactive\":\"<domain>a</domain>\"}');"
        "INSERT INTO vms VALUES ('h1', 'u3', 'c', 'shutoff', 1, 1, 5, '{\"uuid\":\"u3\","
        "\"name\":\"c\",\"state\":\"shutoff\"}');",
        schema);
    if (sqlite3_exec(db, sql, NULL, NULL, &msg) != SQLITE_OK)
        fail_msg("%s", msg);
    sqlite3_close(db);
    struct store *s = open_ok(f->db);
    kept(s, "<domain>\xc3\xa4, live</domain>");
    kept(s, "<domain>a</domain>");
    struct told t = {0};
    struct store_place at = {0};
    const struct store_lacks to = {.limit = 100, .arg = &t, .lacks = lacks};
    assert_int_equal(store_xml_lacks(s, &at, &to, NULL), 0);
    assert_int_equal(t.n, 0);
    store_close(s);
    assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
    sqlite3_stmt *st;
    assert_int_equal(
        sqlite3_prepare_v2(db,
                           "SELECT count(*), sum(detail ->> '$.xml_digest' = xml_digest), "
                           "sum(detail ->> '$.xml_inactive_digest' = xml_inactive_digest), "
                           "sum(detail LIKE '%domain%'), sum(detail ->> '$.vcpus') FROM vms",
                           -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    const int want[] = {3, 1, 2, 0, 3};
    for (int i = 0; i < 5; i++)
        assert_int_equal(sqlite3_column_int(st, i), want[i]);
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static void test_answers_are_proven(void **state)
{
    (void)state;
    struct xml_texts x = {0};
    struct xml_blobs b = {0};
    static const char *const texts[] = {"<domain>1</domain>", "<domain>2</domain>", NULL};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct xml_text *t = vec_add(&x.texts, &x.n_texts);
        t->digest = sha256_of(i == 1 ? texts[0] : "<domain>1</domain>");
        t->text = xstrdup(texts[i]);
    }
    assert_int_equal(xml_of_answer(&x, &b), 1); /* the second is not what it is called */
    assert_string_equal(x.texts[0].text, "");
    assert_null(x.texts[1].text);
    assert_null(x.texts[2].text);
    assert_int_equal(b.n, 1);
    assert_false(b.list[0].reported);
    xml_blobs_done(&b);
    shape_done(&xml_texts_shape, &x);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_texts), T(test_lacks), T(test_sweep), T(test_from_schema_1), T(test_answers_are_proven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
