/* scheduler/io/store_int.h: what store.c (opening, batches) and store_rows.c (rows) share. */
#pragma once

#include <sqlite3.h>

#include "scheduler/io/store.h"

/* STATEMENTS(enumerator, sql): prepared once at opening. */
#define STATEMENTS(X)                                                                              \
    X(ST_BEGIN, "BEGIN IMMEDIATE")                                                                 \
    X(ST_COMMIT, "COMMIT")                                                                         \
    X(ST_ROLLBACK, "ROLLBACK")                                                                     \
    X(ST_META_GET, "SELECT value FROM meta WHERE key = ?1")                                        \
    X(ST_META_PUT, "INSERT INTO meta (key, value) VALUES (?1, ?2) "                                \
                   "ON CONFLICT (key) DO UPDATE SET value = excluded.value")                       \
    X(ST_PROBE, "INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', zeroblob(65536))")      \
    X(ST_UNPROBE, "DELETE FROM meta WHERE key = 'probe'")                                          \
    X(ST_HOST_PUT,                                                                                 \
      "INSERT INTO hosts (name, state, reason, actor, since_wall_us, seen_wall_us, "               \
      "run, detail) VALUES (?1,?2,?3,?4,?5,?6,?7,?8) ON CONFLICT (name) DO UPDATE "                \
      "SET state=?2, reason=?3, actor=?4, since_wall_us=?5, seen_wall_us=?6, run=?7, "             \
      "detail=?8")                                                                                 \
    X(ST_VM_PUT, "INSERT OR REPLACE INTO vms (host, uuid, name, state, mem_bytes, vcpus, "         \
                 "since_wall_us, detail, xml_digest, xml_inactive_digest) "                        \
                 "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)")                                        \
    X(ST_VM_DROP, "DELETE FROM vms WHERE host = ?1 AND uuid = ?2")                                 \
    X(ST_SAMPLE_PUT, "INSERT OR REPLACE INTO samples (host, vm, name, wall_us, h1_mcpu, d1_mcpu, "  \
                     "p95_mcpu, detail) VALUES (?1,?2,?3,?4,?5,?6,?7,?8)")                         \
    X(ST_SAMPLE_DROP, "DELETE FROM samples WHERE host = ?1 AND vm = ?2")                           \
    X(ST_RUN_PUT,                                                                                  \
      "INSERT INTO runs (id, kind, state, ended, host, actor, reason, policy_commit, "             \
      "created_wall_us, started_wall_us, ended_wall_us, vms, moved, blocked, stopped, "            \
      "bytes, longest_pause_us, message, detail) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,"              \
      "?10,?11,?12,?13,?14,?15,?16,?17,?18,?19) ON CONFLICT (id) DO UPDATE SET "                   \
      "kind=?2, state=?3, ended=?4, host=?5, actor=?6, reason=?7, policy_commit=?8, "              \
      "created_wall_us=?9, started_wall_us=?10, ended_wall_us=?11, vms=?12, moved=?13, "           \
      "blocked=?14, stopped=?15, bytes=?16, longest_pause_us=?17, message=?18, "                   \
      "detail=?19")                                                                                \
    X(ST_MOVE_PUT, "INSERT OR REPLACE INTO moves (id, run, vm, vm_name, from_host, to_host, "      \
                   "state, attempt, live, queued_wall_us, copy_wall_us, ended_wall_us, "           \
                   "proven_wall_us, bytes, total_us, downtime_us, code, error, detail) VALUES "    \
                   "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19)")         \
    X(ST_ENTRY_PUT, "INSERT INTO journal (seq, wall_us, run, move, host, vm, actor, kind, text, "  \
                    "detail) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)")                             \
    X(ST_POLICY_PUT,                                                                               \
      "INSERT INTO policies (loaded_wall_us, state, revision, clean, dir, message) "               \
      "VALUES (?1,?2,?3,?4,?5,?6)")                                                                \
    X(ST_ANSWER_OLD, "DELETE FROM requests WHERE wall_us < ?1")                                    \
    X(ST_ANSWER_PUT, "INSERT OR REPLACE INTO requests (actor, key, wall_us, request, reply) "      \
                     "VALUES (?1,?2,?3,?4,?5)")                                                    \
    X(ST_ANSWER_GET, "SELECT request, reply FROM requests WHERE actor = ?1 AND key = ?2 "          \
                     "AND wall_us >= ?3")                                                          \
    X(ST_XML_HAS, "SELECT 1 FROM xml_texts WHERE digest = ?1")                                     \
    X(ST_XML_GET, "SELECT bytes, packed FROM xml_texts WHERE digest = ?1")                         \
    X(ST_XML_PUT, "INSERT OR IGNORE INTO xml_texts (digest, bytes, packed) VALUES (?1,?2,?3)")     \
    X(ST_XML_DROP, "DELETE FROM xml_texts WHERE digest = ?1")                                      \
    X(ST_XML_LACKS,                                                                                \
      "SELECT host, uuid, xml_digest, xml_inactive_digest, "                                       \
      "xml_digest NOT IN (SELECT digest FROM xml_texts), "                                         \
      "xml_inactive_digest NOT IN (SELECT digest FROM xml_texts) "                                 \
      "FROM vms WHERE (host, uuid) > (?1, ?2) ORDER BY host, uuid LIMIT ?3")                       \
    X(ST_XML_LOOSE,                                                                                \
      "SELECT digest, EXISTS (SELECT 1 FROM vms WHERE xml_digest = digest) OR "                    \
      "EXISTS (SELECT 1 FROM vms WHERE xml_inactive_digest = digest) "                             \
      "FROM xml_texts WHERE digest > ?1 ORDER BY digest LIMIT ?2")                                 \
    X(ST_HOSTS, "SELECT detail FROM hosts ORDER BY name")                                          \
    X(ST_VMS, "SELECT detail, host, since_wall_us FROM vms ORDER BY host, uuid")                   \
    X(ST_SAMPLES, "SELECT detail FROM samples ORDER BY host, vm")                                  \
    X(ST_RUNS, "SELECT detail FROM runs WHERE ended = 0 OR id IN "                                 \
               "(SELECT id FROM runs ORDER BY id DESC LIMIT ?1) ORDER BY id")                      \
    X(ST_MOVES, "SELECT detail FROM moves WHERE run IN (SELECT id FROM runs WHERE ended = 0 "      \
                "OR id IN (SELECT id FROM runs ORDER BY id DESC LIMIT ?1)) ORDER BY id")           \
    X(ST_LAST_SEQ, "SELECT coalesce(max(seq), 0) FROM journal")                                    \
    X(ST_JOURNAL, "SELECT seq, wall_us, run, move, host, vm, actor, kind, text, detail "           \
                  "FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2")                             \
    X(ST_JOURNAL_RUN, "SELECT seq, wall_us, run, move, host, vm, actor, kind, text, detail "       \
                      "FROM journal WHERE run = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2")

enum {
#define X(id, sql) id,
    STATEMENTS(X)
#undef X
        ST_COUNT_
};

struct store {
    char *path;
    int lock_fd;
    sqlite3 *db;
    sqlite3_stmt *st[ST_COUNT_];
    bool in_batch;
    struct err failed; /* first failure of the batch; code 0 none */
};

/* Turn the connection's last failure into -errno and a sentence with the way out. */
int store_error(const struct store *s, const char *doing, struct err *e);
/* Reset, ready for binding. */
sqlite3_stmt *store_stmt(struct store *s, int id);
/* Run a bound statement that returns no rows. */
int store_run(struct store *s, sqlite3_stmt *st, const char *doing, struct err *e);

/* store_xml.c: SQL functions that migrations use. */
int store_functions(struct store *s, struct err *e);

/* scheduler/io/schema.c: the numbered files of schema/db, embedded. version: 1.. */
struct migration {
    int version;
    const char *file, *sql;
};
extern const struct migration migrations[];
extern const int n_migrations;
