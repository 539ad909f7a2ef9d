/* Texts of VMs' XML, each once, by its digest. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/sha256.h"
#include "scheduler/io/store_int.h"

/* ---- functions for the migration that takes the texts out of the VMs' rows ---------------------- */
static void sql_sha256(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    const char *text = (const char *)sqlite3_value_text(v[0]);
    if (text)
        sqlite3_result_text(c, sha256_of(text), SHA256_HEX, free);
}

static void sql_pack(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    const char *text = (const char *)sqlite3_value_text(v[0]);
    void *packed;
    if (!text)
        return;
    int len = (int)xml_pack(text, strlen(text), &packed);
    sqlite3_result_blob(c, packed, len, free);
}

int store_functions(struct store *s, struct err *e)
{
    static const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    if (sqlite3_create_function(s->db, "sha256", 1, flags, NULL, sql_sha256, NULL, NULL) ==
            SQLITE_OK &&
        sqlite3_create_function(s->db, "sqlar_compress", 1, flags, NULL, sql_pack, NULL, NULL) ==
            SQLITE_OK)
        return 0;
    return store_error(s, "open", e);
}

/* ---- texts ----------------------------------------------------------------------------------------- */
bool store_has_xml(struct store *s, const char *digest)
{
    sqlite3_stmt *st = store_stmt(s, ST_XML_HAS);
    sqlite3_bind_text(st, 1, digest, -1, SQLITE_TRANSIENT);
    bool has = sqlite3_step(st) == SQLITE_ROW;
    sqlite3_reset(st);
    return has;
}

void store_put_xml(struct store *s, const struct xml_blob *x)
{
    assert(s->in_batch);
    sqlite3_stmt *st = store_stmt(s, ST_XML_PUT);
    sqlite3_bind_text(st, 1, x->digest, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(st, 2, (int64_t)x->bytes);
    sqlite3_bind_blob(st, 3, x->packed, (int)x->n_packed, SQLITE_TRANSIENT);
    if (s->failed.code == 0)
        store_run(s, st, "write", &s->failed);
    sqlite3_clear_bindings(st);
}

int store_get_xml(struct store *s, const char *digest, char **ret_text, struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, ST_XML_GET);
    sqlite3_bind_text(st, 1, digest, -1, SQLITE_TRANSIENT);
    int rc = sqlite3_step(st), r;
    if (rc == SQLITE_ROW) {
        r = xml_unpack(sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1),
                       (size_t)sqlite3_column_int64(st, 0), ret_text, e);
        if (r < 0)
            err_wrap(e, "database '%s': XML %.12s…", s->path, digest);
    } else {
        r = rc == SQLITE_DONE ? err_set(e, -ENOENT, "no XML of that digest is stored")
                              : store_error(s, "read", e);
    }
    sqlite3_reset(st);
    return r;
}

/* ---- tending: bounded looks at a table that may be large -------------------------------------------- */
int store_xml_lacks(struct store *s, struct store_place *at, const struct store_lacks *to,
                    struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, ST_XML_LACKS);
    sqlite3_bind_text(st, 1, at->host ? at->host : "", -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(st, 2, at->uuid ? at->uuid : "", -1, SQLITE_TRANSIENT);
    sqlite3_bind_int(st, 3, to->limit);
    int n = 0, rc;
    struct store_place next = {0};
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *host = (const char *)sqlite3_column_text(st, 0);
        for (int k = 0; k < 2; k++)
            if (sqlite3_column_int(st, 4 + k))
                to->lacks(to->arg, host, (const char *)sqlite3_column_text(st, 2 + k));
        n++;
        free(next.host);
        free(next.uuid);
        next = (struct store_place){xstrdup(host),
                                    xstrdup((const char *)sqlite3_column_text(st, 1))};
    }
    int r = rc == SQLITE_DONE ? 0 : store_error(s, "read", e);
    sqlite3_reset(st);
    store_place_done(at);
    if (r == 0 && n == to->limit)
        *at = next;
    else
        store_place_done(&next);
    return r;
}

void store_place_done(struct store_place *p)
{
    free(p->host);
    free(p->uuid);
    *p = (struct store_place){0};
}

/* Digests after *at that no VM has any more. */
static int find_loose(struct store *s, struct store_sweep *w, char ***ret, size_t *ret_n,
                      struct err *e)
{
    sqlite3_stmt *st = store_stmt(s, ST_XML_LOOSE);
    sqlite3_bind_text(st, 1, w->at, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int(st, 2, w->limit);
    int n = 0, rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *digest = (const char *)sqlite3_column_text(st, 0);
        snprintf(w->at, sizeof(w->at), "%s", digest);
        n++;
        if (!sqlite3_column_int(st, 1))
            *(char **)vec_add(ret, ret_n) = xstrdup(digest);
    }
    int r = rc == SQLITE_DONE ? 0 : store_error(s, "read", e);
    sqlite3_reset(st);
    if (n < w->limit)
        w->at[0] = '\0';
    return r;
}

int store_xml_sweep(struct store *s, struct store_sweep *w, struct err *e)
{
    char **loose = NULL;
    size_t n = 0;
    int r = find_loose(s, w, &loose, &n, e);
    if (r == 0 && n) {
        r = store_begin(s, e);
        for (size_t i = 0; i < n && r == 0; i++) {
            sqlite3_stmt *st = store_stmt(s, ST_XML_DROP);
            sqlite3_bind_text(st, 1, loose[i], -1, SQLITE_TRANSIENT);
            if (store_run(s, st, "write", e) < 0) {
                r = e ? e->code : -EIO;
                store_rollback(s);
            }
        }
        if (r == 0)
            r = store_commit(s, e);
        w->gone += r == 0 ? n : 0;
    }
    for (size_t i = 0; i < n; i++)
        free(loose[i]);
    free(loose);
    return r;
}
