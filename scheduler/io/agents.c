#include "scheduler/io/agents.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/conn.h"
#include "lib/net/listener.h"
#include "lib/net/sha256.h"

/* From the end of the handshake; an agent says hello at once. */
static const int64_t HELLO_TIMEOUT_US = 10 * SEC;

struct session {
    struct agents *agents;
    struct conn *conn;
    struct timer *hello_timer;
    char *host;      /* after a good hello */
    char *boot_id;   /* of the machine that said it, NULL unknown */
    int64_t reports; /* seq of the last one */
};
struct agents {
    struct agents_config cfg;
    struct listener *listener;
    struct session **list;
    size_t n_list;
    int64_t next_id;
};

struct agents *agents_new(const struct agents_config *cfg)
{
    struct agents *a = xcalloc(1, sizeof(*a));
    a->cfg = *cfg;
    a->next_id = 1;
    return a;
}

static const char *who(const struct session *s)
{
    return s->host ? s->host : conn_peer(s->conn)->name;
}

static void tell_core_down(struct session *s)
{
    if (!s->host)
        return;
    struct item *i = item_new(ITEM_AGENT_DOWN);
    i->host = xstrdup(s->host);
    if (queue_push(s->agents->cfg.queue, i) < 0)
        item_free(i); /* shutting down */
}

/* The conn has ended or is about to: forget the session. */
static void session_free(struct session *s)
{
    struct agents *a = s->agents;
    for (size_t i = 0; i < a->n_list; i++)
        if (a->list[i] == s) {
            vec_del(a->list, &a->n_list, i);
            break;
        }
    timer_free(s->hello_timer);
    free(s->host);
    free(s->boot_id);
    free(s);
}

static void send_msg(struct session *s, enum msg_type type, int64_t re, void *body)
{
    const struct msg m = {.id = s->agents->next_id++, .re = re, .type = type, .body = body};
    cleanup(freep) char *text = msg_encode(&m);
    struct err e;
    if (conn_send(s->conn, text, strlen(text), &e) < 0)
        log_debug("msg=\"not sent\" host=%s type=%s error=\"%s\"", who(s), msg_name(type), e.msg);
}

/* Say why, close, forget. The core learns that the agent is gone. */
static void session_end(struct session *s, const char *code, const char *error)
{
    struct bye b = {.code = (char *)(uintptr_t)code, .error = (char *)(uintptr_t)error};
    bool usual = str_eq(code, "shutdown") || str_eq(code, "term");
    log_line(usual ? LOG_INFO : LOG_WARN,
             "msg=\"agent session ended by the scheduler\" host=%s address=%s code=%s error=\"%s\"",
             who(s), conn_address(s->conn), code, LOG_SAFE(error));
    send_msg(s, MSG_BYE, 0, &b);
    conn_finish(s->conn);
    tell_core_down(s);
    session_free(s);
}

static struct session *find(const struct agents *a, const char *host)
{
    for (size_t i = 0; i < a->n_list; i++)
        if (str_eq(a->list[i]->host, host))
            return a->list[i];
    return NULL;
}

static bool push(struct session *s, struct item *i)
{
    int r = queue_push(s->agents->cfg.queue, i);
    if (r == 0)
        return true;
    item_free(i);
    session_end(s, r == -ESHUTDOWN ? "shutdown" : "overload",
                r == -ESHUTDOWN ? "the scheduler is stopping"
                                : "the scheduler is behind with its work; connect again");
    return false;
}

/* ---- hello ----------------------------------------------------------------------------------- */
/* Gives a sentence when the hello is not acceptable, and sets *ret_code. */
static char *hello_fault(const struct session *s, const struct hello *h, const char **ret_code)
{
    const struct identity *id = conn_peer(s->conn);
    *ret_code = "identity";
    if (!str_eq(h->host, id->name))
        return xasprintf(
            "hello names host '%s', the certificate names '%s'; issue a certificate for "
            "this host: drover pki issue agent --name %s",
            h->host ? h->host : "", id->name, h->host ? h->host : "HOST");
    if (strlen(h->host) > LIM_NAME_BYTES)
        return xstrdup("the host's name is too long");
    *ret_code = "version";
    if (h->proto_min > WIRE_PROTO_MAX || h->proto_max < WIRE_PROTO_MIN)
        return xasprintf("agent %s speaks protocol %" PRId64 " to %" PRId64
                         ", scheduler " DROVER_VERSION
                         " speaks %d to %d; install matching versions",
                         h->agent_version ? h->agent_version : "?", h->proto_min, h->proto_max,
                         WIRE_PROTO_MIN, WIRE_PROTO_MAX);
    return NULL;
}

/* Two machines with one certificate would take the connection from each other for ever, and each
 * would report its own VMs as those of the host. A host that has rebooted is another "machine" too, until
 * its old connection has fallen silent: three heartbeats. */
static char *twin_fault(const struct session *old, const struct hello *h)
{
    if (!old || !old->boot_id || !h->boot_id || str_eq(old->boot_id, h->boot_id))
        return NULL;
    return xasprintf(
        "'%s' is connected from %s already, and this is another machine, or it has just "
        "rebooted (boot id %.36s there, %.36s here); each host needs a certificate of its "
        "own: drover pki issue agent --name HOST",
        h->host, conn_address(old->conn), old->boot_id, h->boot_id);
}

static void on_hello(struct session *s, const struct msg *m)
{
    struct agents *a = s->agents;
    const struct hello *h = m->body;
    const char *code = NULL;
    cleanup(freep) char *fault = hello_fault(s, h, &code);
    if (fault) {
        session_end(s, code, fault);
        return;
    }
    struct session *old = find(a, h->host);
    fault = twin_fault(old, h);
    if (fault) {
        session_end(s, "identity", fault);
        return;
    }
    if (old)
        session_end(old, "replaced", "a newer connection of this host took over");
    if (a->n_list > LIM_HOSTS) {
        session_end(s, "overload", "as many hosts are connected as this scheduler serves");
        return;
    }
    timer_stop(s->hello_timer);
    s->host = xstrdup(h->host);
    s->boot_id = xstrdup(h->boot_id);
    struct welcome w = {
        .proto = h->proto_max < WIRE_PROTO_MAX ? h->proto_max : WIRE_PROTO_MAX,
        .term = a->cfg.term,
        .heartbeat_us = a->cfg.heartbeat_us,
        .wall_us = clock_wall_us(),
    };
    send_msg(s, MSG_WELCOME, m->id, &w);
    conn_heartbeat(s->conn, a->cfg.heartbeat_us);
    log_info("msg=\"agent connected\" host=%s address=%s version=%s instance=%s", s->host,
             conn_address(s->conn), LOG_SAFE(h->agent_version ? h->agent_version : "?"),
             LOG_SAFE(h->instance ? h->instance : "?"));
    struct item *i = item_new(ITEM_AGENT_UP);
    i->host = xstrdup(s->host);
    i->instance = xstrdup(h->instance ? h->instance : "");
    i->sends_xml = h->sends_xml;
    i->tells_ceph = h->tells_ceph;
    push(s, i);
}

/* ---- frames ---------------------------------------------------------------------------------- */
static bool agents_may_say(enum msg_type t)
{
    return t == MSG_REPORT || t == MSG_HEARTBEAT || t == MSG_PROGRESS || t == MSG_VMS_CHECKED ||
           t == MSG_HOST_CHECKED || t == MSG_MIGRATED || t == MSG_PROBED || t == MSG_COUNTED ||
           t == MSG_XML || t == MSG_CEPH_TOLD || t == MSG_DONE;
}

static bool too_long(const char *text)
{
    return text && strlen(text) > LIM_XML_BYTES;
}

static bool no_digest(const char *text)
{
    return text && !sha256_is_hex(text);
}

static char *xml_fault(const struct xml_texts *x)
{
    for (size_t i = 0; i < x->n_texts; i++)
        if (no_digest(x->texts[i].digest) || too_long(x->texts[i].text))
            return xasprintf("xml.texts[%zu]: expected 64 hex digits and at most %d bytes of text", i,
                             LIM_XML_BYTES);
    return NULL;
}

/* What the codec cannot know. Gives a sentence, NULL when all is well. */
static char *frame_fault(const struct session *s, const struct msg *m)
{
    if (m->type == MSG_XML)
        return xml_fault(m->body);
    if (m->type != MSG_REPORT)
        return NULL;
    const struct report *r = m->body;
    if (r->seq != s->reports + 1)
        return xasprintf("report.seq: %" PRId64 " where %" PRId64
                         " was due; connect again and report "
                         "everything",
                         r->seq, s->reports + 1);
    if (r->has_host && !str_eq(r->host.name, s->host))
        return xasprintf("report.host.name: '%s' on a connection of host '%s'",
                         r->host.name ? r->host.name : "", s->host);
    if (r->n_vms > LIM_VMS_PER_HOST)
        return xasprintf("report.vms: %zu VMs, at most %d are supported on a host", r->n_vms,
                         LIM_VMS_PER_HOST);
    for (size_t i = 0; i < r->n_vms; i++) {
        const struct vm *v = &r->vms[i];
        if (strlen(v->name) > LIM_NAME_BYTES || v->n_disks > LIM_DISKS_PER_VM ||
            too_long(v->xml) || too_long(v->xml_inactive))
            return xasprintf("report.vms[%zu]: its name, disks or XML pass the limits", i);
        if (no_digest(v->xml_digest) || no_digest(v->xml_inactive_digest))
            return xasprintf("report.vms[%zu].xml_digest: expected 64 hex digits", i);
    }
    return NULL;
}

/* On this thread, which has them in its cache; the core's must not wait for hashes. */
static void take_xml(const struct session *s, struct item *i)
{
    size_t bad = 0;
    if (i->msg.type == MSG_REPORT)
        xml_of_report(i->msg.body, &i->xml);
    else if (i->msg.type == MSG_XML)
        bad = xml_of_answer(i->msg.body, &i->xml);
    if (bad)
        log_warn("msg=\"XML is not what its digest says; left out\" host=%s texts=%zu", s->host, bad);
}

static void on_message(struct session *s, struct msg *m, size_t len)
{
    if (m->type == MSG_BYE) {
        const struct bye *b = m->body;
        log_info("msg=\"agent says bye\" host=%s code=%s error=\"%s\"", who(s),
                 LOG_SAFE(b->code ? b->code : "?"), LOG_SAFE(b->error));
        return; /* it closes the connection itself */
    }
    if (!s->host) {
        if (m->type == MSG_HELLO)
            on_hello(s, m);
        else
            session_end(s, "protocol", "the first message must be a hello");
        return;
    }
    if (!agents_may_say(m->type)) {
        cleanup(freep) char *text = xasprintf("an agent may not send '%s'", msg_name(m->type));
        session_end(s, "protocol", text);
        return;
    }
    cleanup(freep) char *fault = frame_fault(s, m);
    if (fault) {
        session_end(s, "protocol", fault);
        return;
    }
    if (m->type == MSG_REPORT)
        s->reports = ((const struct report *)m->body)->seq;
    struct item *i = item_new(ITEM_MSG);
    i->host = xstrdup(s->host);
    i->msg = *m;
    i->cost = len;
    *m = (struct msg){0};
    take_xml(s, i);
    push(s, i);
}

static void on_frame(void *arg, struct conn *c, const char *text, size_t len)
{
    struct session *s = arg;
    struct msg m = {0};
    struct err e;
    assert(c == s->conn);
    if (msg_decode(text, len, &m, &e) < 0) {
        session_end(s, e.code == -EPROTONOSUPPORT ? "version" : "protocol", e.msg);
        return;
    }
    on_message(s, &m, len);
    msg_done(&m);
}

static void on_closed(void *arg, struct conn *c, const struct err *why)
{
    struct session *s = arg;
    log_warn("msg=\"agent disconnected\" host=%s address=%s reason=\"%s\"", who(s), conn_address(c),
             LOG_SAFE(why->msg));
    tell_core_down(s);
    session_free(s);
}

static void on_hello_late(void *arg)
{
    session_end(arg, "protocol", "no hello within 10 s");
}

static void on_conn(void *arg, struct conn *c)
{
    static const struct conn_cb cb = {.on_frame = on_frame, .on_closed = on_closed};
    struct agents *a = arg;
    struct session *s = xcalloc(1, sizeof(*s));
    s->agents = a;
    s->conn = c;
    s->hello_timer = timer_new(a->cfg.loop, on_hello_late, s);
    timer_set(s->hello_timer, HELLO_TIMEOUT_US);
    *(struct session **)vec_add(&a->list, &a->n_list) = s;
    conn_bind(c, &cb, s);
}

static void on_refused(void *arg, const char *peer, const struct err *why)
{
    (void)arg;
    log_warn("msg=\"agent connection refused\" address=%s reason=\"%s\"", peer, LOG_SAFE(why->msg));
}

/* ---- outside --------------------------------------------------------------------------------- */
int agents_listen(struct agents *a, const char *address, struct tls *tls, struct err *e)
{
    const struct listener_config cfg = {
        .loop = a->cfg.loop,
        .tls = tls,
        .address = address,
        .roles = ROLE_BIT(ROLE_AGENT),
        .on_conn = on_conn,
        .on_refused = on_refused,
        .arg = a,
    };
    return listener_new(&cfg, &a->listener, e);
}

int agents_port(const struct agents *a)
{
    return a->listener ? listener_port(a->listener) : 0;
}

void agents_send(struct agents *a, const char *host, const char *text)
{
    struct session *s = find(a, host);
    struct err e;
    if (!s)
        log_debug("msg=\"not sent: no session\" host=%s", host);
    else if (conn_send(s->conn, text, strlen(text), &e) < 0)
        log_warn("msg=\"not sent\" host=%s error=\"%s\"", host, e.msg);
}

static void end_all(struct agents *a, const char *code, const char *error)
{
    while (a->n_list)
        session_end(a->list[a->n_list - 1], code, error);
}

void agents_restart(struct agents *a, int64_t term)
{
    a->cfg.term = term;
    end_all(a, "term", "the scheduler restarted from its store; report again");
}

void agents_free(struct agents *a)
{
    if (!a)
        return;
    if (a->listener)
        listener_free(a->listener);
    end_all(a, "shutdown", "the scheduler is stopping");
    free(a->list);
    free(a);
}
