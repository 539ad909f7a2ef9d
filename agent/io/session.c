/* The connection to the scheduler: hello, full report, deltas, answers. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/io/agent.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/conn.h"
#include "lib/net/dialer.h"

/* Answers that wait for the scheduler to come back; the oldest go first when there are more. They are
 * also remembered by job in agent/core, so a dropped one can be asked for again. */
enum { ANSWERS_KEPT = 256 };
/* A scheduler that comes back waits 15 s for its agents before it plans. */
#define RECONNECT_MAX_US (10 * SEC)

struct session {
    struct agent *agent;
    struct dialer *dialer;
    struct conn *conn;      /* NULL: none */
    struct timer *soon;
    bool welcome;           /* the scheduler took us: reports may flow */
    int64_t next_id;
    struct msg *kept;
    size_t n_kept;
    int failures;
};

/* ---- sending ------------------------------------------------------------------------------------ */
static bool send_now(struct session *s, const struct msg *m)
{
    cleanup(freep) char *text = msg_encode(m);
    struct err e = {0};
    if (!s->conn)
        return false;
    if (conn_send(s->conn, text, strlen(text), &e) == 0)
        return true;
    log_warn("msg=\"not sent\" type=%s error=\"%s\"", msg_name(m->type), e.msg);
    return false;
}

static bool send_body(struct session *s, enum msg_type type, int64_t re, void *body)
{
    const struct msg m = {.id = s->next_id++, .re = re, .type = type, .body = body};
    return send_now(s, &m);
}

static void send_kept(struct session *s)
{
    while (s->n_kept) {
        if (!send_body(s, s->kept[0].type, s->kept[0].re, s->kept[0].body))
            return;
        msg_done(&s->kept[0]);
        vec_del(s->kept, &s->n_kept, 0);
    }
}

static void flush(void *arg)
{
    struct session *s = arg;
    struct report r;
    if (!s->welcome)
        return;
    while (s->conn && reporter_take(s->agent->reporter, &r)) {
        bool sent = send_body(s, MSG_REPORT, 0, &r);
        shape_done(&report_shape, &r);
        if (!sent)
            return; /* the connection is over, and the next one begins with a full report */
    }
}

void session_flush(struct session *s)
{
    if (s && s->welcome)
        timer_set(s->soon, 0); /* not from within the caller: it may be in the middle of a change */
}

void session_answer(struct session *s, struct msg *m)
{
    if (s->welcome && send_body(s, m->type, m->re, m->body)) {
        msg_done(m);
        *m = (struct msg){0};
        return;
    }
    /* Nobody will miss what a check said once its asker is gone; results of acts matter later too. */
    bool keep = m->type == MSG_MIGRATED || (m->type == MSG_DONE && ((struct done *)m->body)->job);
    if (keep && s->n_kept >= ANSWERS_KEPT) {
        msg_done(&s->kept[0]);
        vec_del(s->kept, &s->n_kept, 0);
    }
    if (keep)
        *vec_add(&s->kept, &s->n_kept) = *m;
    else
        msg_done(m);
    *m = (struct msg){0};
}

void session_tell(struct session *s, enum msg_type type, void *body)
{
    if (s->welcome)
        send_body(s, type, 0, body);
}

/* ---- receiving ---------------------------------------------------------------------------------- */
static void give_up(struct session *s, const char *code, const char *error)
{
    struct bye b = {.code = (char *)(uintptr_t)code, .error = (char *)(uintptr_t)error};
    log_warn("msg=\"leaving the scheduler\" address=%s code=%s error=\"%s\"", conn_address(s->conn),
             code, error);
    send_body(s, MSG_BYE, 0, &b);
    conn_finish(s->conn);
    s->conn = NULL;
    s->welcome = false;
    dialer_retry(s->dialer);
}

static void on_welcome(struct session *s, const struct welcome *w)
{
    struct agent *a = s->agent;
    if (w->proto < WIRE_PROTO_MIN || w->proto > WIRE_PROTO_MAX) {
        give_up(s, "version", "this agent does not speak the protocol the scheduler chose");
        return;
    }
    if (!cmds_term(a->cmds, w->term)) {
        cleanup(freep) char *text = xasprintf(
            "the scheduler's term %" PRId64 " is lower than %" PRId64 ", seen before; if its database "
            "was set up anew on purpose, restart drover-agent", w->term, cmds_term_seen(a->cmds));
        give_up(s, "term", text);
        return;
    }
    s->welcome = true;
    s->failures = 0;
    dialer_settled(s->dialer);
    conn_heartbeat(s->conn, w->heartbeat_us);
    a->clock_skew_us = w->wall_us > 0 ? clock_wall_us() - w->wall_us : -1;
    log_info("msg=\"scheduler accepted this agent\" address=%s term=%" PRId64 " proto=%" PRId64,
             conn_address(s->conn), w->term, w->proto);
    reporter_restart(a->reporter);
    flush(s);
    send_kept(s);
}

/* From memory, on the loop: nobody waits for it, and it waits for nobody. */
static void on_send_xml(struct session *s, const struct msg *m)
{
    struct agent *a = s->agent;
    struct msg refusal;
    if (cmds_take(a->cmds, m, &refusal) == CMDS_ANSWERED) {
        session_answer(s, &refusal);
        return;
    }
    struct xml_texts x = {0};
    reporter_xml(a->reporter, m->body, &x);
    send_body(s, MSG_XML, m->id, &x);
    shape_done(&xml_texts_shape, &x);
}

static bool is_command(enum msg_type t)
{
    return t == MSG_CHECK_VMS || t == MSG_CHECK_PEER || t == MSG_CHECK_HOST || t == MSG_MIGRATE ||
           t == MSG_ABORT || t == MSG_TUNE || t == MSG_PROBE || t == MSG_TIDY || t == MSG_POWER ||
           t == MSG_RELABEL || t == MSG_CENSUS || t == MSG_ASK_CEPH;
}

static void on_frame(void *arg, struct conn *c, const char *text, size_t len)
{
    struct session *s = arg;
    struct msg m = {0};
    struct err e = {0};
    if (c != s->conn)
        return;
    if (msg_decode(text, len, &m, &e) < 0) {
        give_up(s, e.code == -EPROTONOSUPPORT ? "version" : "protocol", e.msg);
        return;
    }
    if (m.type == MSG_BYE) {
        const struct bye *b = m.body;
        log_warn("msg=\"the scheduler ends the connection\" code=%s error=\"%s\"",
                 b->code ? b->code : "?", b->error ? b->error : "");
    } else if (m.type == MSG_WELCOME && !s->welcome) {
        on_welcome(s, m.body);
    } else if (is_command(m.type) && s->welcome) {
        commands_take(s->agent->commands, &m);
        m = (struct msg){0};
    } else if (m.type == MSG_SEND_XML && s->welcome) {
        on_send_xml(s, &m);
    } else if (m.type != MSG_HEARTBEAT) {
        cleanup(freep) char *what = xasprintf("'%s' was not expected here", msg_name(m.type));
        give_up(s, "protocol", what);
    }
    msg_done(&m);
}

static void on_closed(void *arg, struct conn *c, const struct err *why)
{
    struct session *s = arg;
    if (c != s->conn)
        return;
    s->conn = NULL;
    s->welcome = false;
    int64_t retry_us = dialer_retry(s->dialer);
    log_warn("msg=\"connection to the scheduler ended\" address=%s reason=\"%s\" retry_ms=%" PRId64,
             conn_address(c), why->msg, retry_us / MSEC);
}

static void on_open(void *arg, struct conn *c)
{
    static const struct conn_cb cb = {.on_frame = on_frame, .on_closed = on_closed};
    struct session *s = arg;
    struct agent *a = s->agent;
    const struct host *h = reporter_host_now(a->reporter);
    conn_bind(c, &cb, s);
    s->conn = c;
    s->welcome = false;
    struct hello hello = {
        .proto_min = WIRE_PROTO_MIN, .proto_max = WIRE_PROTO_MAX,
        .host = (char *)(uintptr_t)tls_self(a->tls)->name,
        .agent_version = (char *)(uintptr_t)DROVER_VERSION,
        .instance = a->instance, .boot_id = h->boot_id, .wall_us = clock_wall_us(),
        .sends_xml = true, .tells_ceph = true,
    };
    send_body(s, MSG_HELLO, 0, &hello);
}

static void on_failed(void *arg, const char *address, const struct err *why, int64_t retry_us)
{
    struct session *s = arg;
    /* an outage of hours is one line now and then, not one per try */
    if (++s->failures <= 3 || s->failures % 20 == 0)
        log_warn("msg=\"scheduler not reached\" address=%s tries=%d error=\"%s\" retry_ms=%" PRId64,
                 address, s->failures, why->msg, retry_us / MSEC);
}

int session_new(struct agent *a, struct session **ret, struct err *e)
{
    struct session *s = xcalloc(1, sizeof(*s));
    s->agent = a;
    s->next_id = 1;
    s->soon = timer_new(a->loop, flush, s);
    const struct dialer_config cfg = {
        .loop = a->loop,
        .tls = a->tls,
        .addresses = (const char *const *)a->cfg.schedulers,
        .n_addresses = a->cfg.n_schedulers,
        .roles = ROLE_BIT(ROLE_SCHEDULER),
        .seed = rng_u64(&a->rng),
        .max_us = RECONNECT_MAX_US,
        .on_open = on_open,
        .on_failed = on_failed,
        .arg = s,
    };
    int r = dialer_new(&cfg, &s->dialer, e);
    if (r < 0) {
        timer_free(s->soon);
        free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    if (s->conn) {
        struct bye b = {.code = (char *)(uintptr_t) "shutdown",
                        .error = (char *)(uintptr_t) "the agent is stopping; migrations go on"};
        send_body(s, MSG_BYE, 0, &b);
        conn_finish(s->conn);
    }
    dialer_free(s->dialer);
    timer_free(s->soon);
    for (size_t i = 0; i < s->n_kept; i++)
        msg_done(&s->kept[i]);
    free(s->kept);
    free(s);
}
