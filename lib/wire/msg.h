/* lib/wire/msg.h: everything an agent and the scheduler say to each other (docs/protocol.md): the kinds of
 * messages, what a connection lives by, and the codec. Orders and their results: orders.h.
 * Shapes   one JSON object per frame: {"v":1,"id":N,"re":N,"type":"...","body":{...}}. `re` names the
 *          id that is answered, 0 if none. Bodies are shaped structs; the table is msg.c.
 * Commands carry the scheduler's term (an agent refuses a term lower than it has seen) and, where
 *          they act on a VM, job + attempt: the agent executes each (job, attempt, type) once and
 *          answers a repetition with the first result. Results may arrive twice or late.
 * Owner    struct msg owns its body.   Thread any.   PURE (codec only). */
#pragma once

#include "lib/base/err.h"
#include "lib/model/load.h"
#include "lib/model/model.h"
#include "lib/wire/orders.h"

/* FRAME: of the frame itself, and of hello, welcome and bye, so that any two versions can agree on a
 * protocol, or say that they cannot. PROTO: of all the rest. */
enum { WIRE_FRAME = 1, WIRE_PROTO_MIN = 1, WIRE_PROTO_MAX = 1 };

/* MSGS(enumerator, "type", struct) : agent -> scheduler (A), scheduler -> agent (S) */
#define MSGS(X)                                                                                    \
    X(MSG_HELLO, "hello", hello)                        /* A first frame */                        \
    X(MSG_WELCOME, "welcome", welcome)                  /* S answer to hello */                    \
    X(MSG_REPORT, "report", report)                     /* A full first, then deltas */            \
    X(MSG_HEARTBEAT, "heartbeat", heartbeat)            /* both ways */                            \
    X(MSG_PROGRESS, "progress", progress)               /* A each second per outgoing migration */ \
    X(MSG_CHECK_VMS, "check_vms", check_vms)            /* S -> MSG_VMS_CHECKED */                 \
    X(MSG_VMS_CHECKED, "vms_checked", vms_checked)                                                 \
    X(MSG_CHECK_PEER, "check_peer", check_peer)         /* S -> MSG_DONE */                        \
    X(MSG_CHECK_HOST, "check_host", check_host)         /* S -> MSG_HOST_CHECKED */                \
    X(MSG_HOST_CHECKED, "host_checked", host_checked)                                              \
    X(MSG_MIGRATE, "migrate", migrate)                  /* S -> MSG_MIGRATED when it ended */      \
    X(MSG_MIGRATED, "migrated", migrated)                                                          \
    X(MSG_ABORT, "abort", abort_job)                    /* S -> MSG_DONE */                        \
    X(MSG_TUNE, "tune", tune)                           /* S -> MSG_DONE */                        \
    X(MSG_PROBE, "probe", probe)                        /* S -> MSG_PROBED */                      \
    X(MSG_PROBED, "probed", probed)                                                                \
    X(MSG_TIDY, "tidy", tidy)                           /* S -> MSG_DONE */                        \
    X(MSG_POWER, "power", power)                        /* S -> MSG_DONE */                        \
    X(MSG_RELABEL, "relabel", relabel)                  /* S -> MSG_DONE */                        \
    X(MSG_CENSUS, "census", census)                     /* S -> MSG_COUNTED */                     \
    X(MSG_COUNTED, "counted", counted)                                                             \
    X(MSG_SEND_XML, "send_xml", send_xml)               /* S -> MSG_XML */                         \
    X(MSG_XML, "xml", xml_texts)                                                                   \
    X(MSG_ASK_CEPH, "ask_ceph", ask_ceph)               /* S -> MSG_CEPH_TOLD */                   \
    X(MSG_CEPH_TOLD, "ceph_told", ceph_told)                                                       \
    X(MSG_DONE, "done", done)                           /* A generic result */                     \
    X(MSG_BYE, "bye", bye)                              /* either, before closing: why */

enum msg_type {
#define X(e, token, body) e,
    MSGS(X)
#undef X
    MSG_COUNT_
};

struct hello {
    int64_t proto_min, proto_max;
    char *host;     /* must equal the certificate's name, else the connection is refused */
    char *agent_version;
    char *instance; /* random per agent process: tells a reconnect from a restart */
    char *boot_id;
    int64_t wall_us;
    bool sends_xml; /* reports name XML by digest, and MSG_SEND_XML is answered; else: texts in reports */
    bool tells_ceph; /* MSG_ASK_CEPH is answered */
};
struct welcome {
    int64_t proto, term;
    int64_t heartbeat_us; /* send at least this often; three missed = gone, on both sides */
    int64_t wall_us;
};
struct report {
    int64_t seq;       /* 1 for the full report of a connection, then +1 */
    bool full;         /* true: hosts' whole truth; VMs not listed are not there */
    bool has_host;
    struct host host;  /* when has_host */
    struct vm *vms;    /* new or changed, whole */
    size_t n_vms;
    char **gone;       /* UUIDs that are no longer here (neither running nor defined) */
    size_t n_gone;
    bool has_load;
    struct load_report load; /* when has_load */
};
struct heartbeat {
    int64_t seq;
};
struct progress {
    char *vm; /* uuid */
    int64_t elapsed_us, setup_us;
    int64_t total_bytes, processed_bytes, remaining_bytes; /* memory */
    int64_t rate_Bps, dirty_Bps; /* -1 unknown */
    int64_t iteration;
    int64_t downtime_us;         /* expected now; -1 unknown */
    bool postcopy;
};
struct done {
    int64_t job, attempt;
    bool ok;
    char *code, *error;
    int64_t took_us;
};
struct bye {
    char *code; /* "identity", "version", "term", "protocol", "shutdown", "replaced" */
    char *error;
};

#define X(e, token, body) extern const struct shape body##_shape;
MSGS(X)
#undef X

struct msg {
    int64_t id, re;
    enum msg_type type;
    void *body; /* struct of the type's shape */
};
const struct shape *msg_shape(enum msg_type type);
const char *msg_name(enum msg_type type);
/* Encode as one frame's JSON text. Gives (free()). */
char *msg_encode(const struct msg *m);
/* Decode and check one frame's JSON text. -EBADMSG names the member; -EPROTONOSUPPORT for `v`. */
int msg_decode(const char *text, size_t len, struct msg *ret, struct err *e);
void msg_done(struct msg *m); /* accepts zeroed */
