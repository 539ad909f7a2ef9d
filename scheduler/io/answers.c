/* Answers of the API: views of the core and the journal as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/io/api.h"
#include "scheduler/io/corethread_int.h"
#include "scheduler/plan/snapshot.h"

static const int64_t CERT_WARN_US = 14 * 86400 * SEC;
static const int64_t XML_QUIET_US = 600 * SEC;
enum { AGENTS_NAMED = 5 };

/* Every answer while the store is out of order says so: what it shows may be ahead of the disk. */
static json_t *begin_answer(const struct corethread *t, const char *schema)
{
    json_t *j = json_pack("{s:s}", "schema", schema);
    char since[FMT_BYTES];
    if (t->failed.code)
        json_object_set_new(j, "store",
                            json_sprintf("failed: %s (what changed here since %s is not kept)",
                                         t->failed.msg, fmt_rfc3339(since, t->failed_wall_us)));
    return j;
}

static char *end_answer(json_t *j)
{
    char *text = codec_text(j);
    json_decref(j);
    return text;
}

char *ct_answer(const struct corethread *t, const char *schema, const struct shape *s,
                const void *obj)
{
    json_t *j = begin_answer(t, schema), *body = codec_encode_public(s, obj);
    json_object_update(j, body);
    json_decref(body);
    for (size_t i = 0; i < s->n; i++) /* none is an empty list, for programs that walk it */
        if ((s->fields[i].kind == SK_LIST || s->fields[i].kind == SK_STRS) &&
            !json_object_get(j, s->fields[i].name))
            json_object_set_new(j, s->fields[i].name, json_array());
    return end_answer(j);
}

char *api_error_text(const char *code, const char *message, const char *cure)
{
    json_t *j =
        json_pack("{s:s, s:s, s:s}", "schema", "drover.error/1", "code", code, "message", message);
    if (!j) /* the message quotes bytes that are no UTF-8 */
        j = json_pack("{s:s, s:s, s:s}", "schema", "drover.error/1", "code", code, "message",
                      "the request is not UTF-8");
    if (cure)
        json_object_set_new(j, "cure", json_string(cure));
    return end_answer(j);
}

char *ct_store_error_text(const struct corethread *t)
{
    cleanup(freep) char *text = xasprintf("store: failed: %s; nothing was done", t->failed.msg);
    return api_error_text(
        "store_failed", text,
        "moves in flight go on; the scheduler tries its database again every 5 s and "
        "continues by itself once it can be written");
}

static char *error_answer(const struct err *e, int *ret_status)
{
    switch (e->code) {
    case -ENOENT:
        *ret_status = 404;
        return api_error_text("not_found", e->msg, NULL);
    case -EEXIST:
        *ret_status = 409;
        return api_error_text("ambiguous", e->msg, NULL);
    default:
        *ret_status = 503;
        return api_error_text("store_failed", e->msg, NULL);
    }
}

static int journal(struct corethread *t, const struct store_query *q, struct entry **list,
                   size_t *n, struct err *e)
{
    if (!t->store)
        return err_set(e, -EIO, "the journal cannot be read: %s", t->failed.msg);
    return store_journal(t->store, q, list, n, e);
}

static char *answer_run(struct corethread *t, const struct item *q, int *ret_status)
{
    struct run_view v;
    struct err e = {0};
    int r = core_view_run(t->core, q->n1, clock_wall_us(), &v, &e);
    if (r < 0)
        return error_answer(&e, ret_status);
    const struct store_query sq = {.run = q->n1, .after = q->n2, .limit = LIM_LIST_ITEMS};
    r = journal(t, &sq, &v.entries, &v.n_entries, &e);
    /* the run itself is worth showing even when its journal cannot be read just now */
    char *text = r < 0 && !t->failed.code ? error_answer(&e, ret_status)
                                          : ct_answer(t, "drover.run/1", &run_view_shape, &v);
    shape_done(&run_view_shape, &v);
    return text;
}

static char *answer_explain(struct corethread *t, const struct item *q, int *ret_status)
{
    struct explain_view v;
    struct err e = {0};
    if (core_view_explain(t->core, q->text, clock_wall_us(), &v, &e) < 0)
        return error_answer(&e, ret_status);
    char *text = ct_answer(t, "drover.explain/1", &explain_view_shape, &v);
    shape_done(&explain_view_shape, &v);
    return text;
}

static char *answer_journal(struct corethread *t, const struct item *q, int *ret_status)
{
    struct entry *list = NULL;
    size_t n = 0;
    struct err e = {0};
    const struct store_query sq = {.after = q->n1, .limit = q->n2};
    char *text;
    int r = journal(t, &sq, &list, &n, &e);
    json_t *entries = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(entries, codec_encode_public(&entry_shape, &list[i]));
        shape_done(&entry_shape, &list[i]);
    }
    free(list);
    if (r < 0) {
        json_decref(entries);
        return error_answer(&e, ret_status);
    }
    json_t *j = begin_answer(t, "drover.journal/1");
    json_object_set_new(j, "wall_us", json_integer(clock_wall_us()));
    json_object_set_new(j, "entries", entries);
    text = end_answer(j);
    return text;
}

/* ---- health ---------------------------------------------------------------------------------- */
/* Checks are check_item: name is the code in capitals, verdict 1 warning, 2 error. */
struct health {
    json_t *checks;
    int worst;
};

static void __attribute__((format(printf, 5, 6)))
add_check(struct health *h, const char *code, int verdict, const char *cure, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    struct check_item c = {(char *)(uintptr_t)code, verdict, text, (char *)(uintptr_t)cure};
    json_array_append_new(h->checks, codec_encode_public(&check_item_shape, &c));
    if (verdict > h->worst)
        h->worst = verdict;
}

static void check_hosts(const struct corethread *t, struct health *h)
{
    struct hosts_view v;
    core_view_hosts(t->core, clock_wall_us(), &v);
    for (size_t i = 0; i < v.n_hosts; i++) {
        const struct host_view *x = &v.hosts[i];
        if (!x->connected && x->state != HOST_MAINTENANCE)
            add_check(h, "AGENT_DOWN", 2, "systemctl status drover-agent on that host",
                      "host/%s: its agent is not connected; its VMs are shown as last seen",
                      x->name);
        else if (x->connected && !x->libvirt_up)
            add_check(h, "LIBVIRT_DOWN", 2, "systemctl status libvirtd on that host",
                      "host/%s: its libvirtd does not answer", x->name);
    }
    shape_done(&hosts_view_shape, &v);
}

/* "2 agents are older than ...", or newer; some names do for many. Gives; NULL: none is. */
static char *agents_unlike(const struct corethread *t, const struct hosts_view *v, bool older)
{
    char *names = xstrdup("");
    size_t n = 0;
    for (size_t i = 0; i < v->n_hosts; i++) {
        const char *name = v->hosts[i].name;
        const char *agent = core_host_rec(t->core, name)->last.agent_version;
        int order = agent && v->hosts[i].connected ? strverscmp(agent, DROVER_VERSION) : 0;
        if ((older ? order >= 0 : order <= 0) || n++ >= AGENTS_NAMED)
            continue;
        cleanup(freep) char *before = names;
        names = xasprintf("%s%s%s (%s)", before, n > 1 ? ", " : "", name, agent);
    }
    cleanup(freep) char *list = names;
    return n ? xasprintf("%zu agent%s %s than this scheduler (" DROVER_VERSION "): %s%s", n,
                         n == 1 ? " is" : "s are", older ? "older" : "newer", list,
                         n > AGENTS_NAMED ? ", ..." : "")
             : NULL;
}

static void check_versions(const struct corethread *t, struct health *h)
{
    struct hosts_view v;
    core_view_hosts(t->core, clock_wall_us(), &v);
    cleanup(freep) char *older = agents_unlike(t, &v, true), *newer = agents_unlike(t, &v, false);
    if (older)
        add_check(h, "AGENT_OLD", 1,
                  "install the scheduler's version there, then systemctl restart drover-agent", "%s",
                  older);
    if (newer)
        add_check(h, "SCHEDULER_OLD", 1, "upgrade the scheduler: it goes before its agents", "%s",
                  newer);
    shape_done(&hosts_view_shape, &v);
}

/* The host is closed because a drain could not empty it, and nobody has decided what now. */
static void check_left(const struct corethread *t, struct health *h, const struct run *r)
{
    for (size_t i = 0; i < r->n_hosts; i++) {
        const struct host_rec *host = core_host_rec(t->core, r->hosts[i].name);
        if (r->kind == RUN_DRAIN && r->state == RUN_PARTLY && host && host->run == r->id &&
            host->state == HOST_CORDONED)
            add_check(h, "DRAIN_BLOCKED", 1,
                      "drover runs ID says who stays and why; drover resume HOST opens it",
                      "host/%s is not empty after run/%" PRId64, host->name, r->id);
    }
}

static void check_waiting(struct health *h, const struct run *r)
{
    if (r->state != RUN_PROPOSED)
        return;
    cleanup(freep) char *cure =
        xasprintf("drover runs %" PRId64 " --why shows it; then drover apply %" PRId64
                  ", or drover cancel %" PRId64,
                  r->id, r->id, r->id);
    add_check(h, "PLAN_WAITS", 1, cure,
              "run/%" PRId64 ": a plan of %" PRId64 " move%s waits for an operator", r->id, r->vms,
              r->vms == 1 ? "" : "s");
}

static void check_contested(const struct corethread *t, struct health *h)
{
    size_t n;
    char when[FMT_BYTES];
    cleanup(freep) struct contested *list = core_contested(t->core, &n);
    for (size_t i = 0; i < n; i++)
        add_check(h, "VM_CONTESTED", 1, "find out who moves it; drover drain moves it all the same",
                  "vm/%s on host/%s: twice within a day somebody moved it away from where Drover had "
                  "put it; balance runs leave it alone until %s",
                  list[i].vm, list[i].host, fmt_rfc3339(when, list[i].until_wall_us));
}

/* Once may be chance. */
static void check_failing(const struct corethread *t, struct health *h)
{
    size_t n;
    struct left_out *list = core_left_out(t->core, &n);
    for (size_t i = 0; i < n; i++) {
        cleanup(freep) char *text = left_out_words(&list[i]);
        if (list[i].times > 1 || list[i].others)
            add_check(h, "MOVES_FAIL", 1,
                      "drover explain VM has the tries; once it is mended: drover balance "
                      "--forget-failures",
                      "balance leaves out %s", text);
    }
    left_out_done(list, n);
}

static const char pauses_cure[] =
    "ceph health detail; what balancing waits for is balance.ceph_pause";

static void check_look(const struct corethread *t, struct health *h)
{
    struct look_view x;
    char when[FMT_BYTES];
    core_view_look(t->core, clock_wall_us(), &x);
    if (x.held)
        add_check(h, "CEPH_PAUSES", 1, pauses_cure, "scheduled balance %s; it looks again at %s",
                  x.said, fmt_rfc3339(when, x.next_wall_us));
}

static void check_moves(const struct corethread *t, struct health *h)
{
    struct runs_view v;
    core_view_runs(t->core, clock_wall_us(), &v);
    for (size_t i = 0; i < v.n_runs; i++) {
        struct run_view run;
        check_left(t, h, &v.runs[i]);
        if (run_waits(&v.runs[i]))
            add_check(h, "CEPH_PAUSES", 1, pauses_cure, "run/%" PRId64 " %s", v.runs[i].id,
                      v.runs[i].message);
        check_waiting(h, &v.runs[i]);
        if (run_ended(v.runs[i].state) ||
            core_view_run(t->core, v.runs[i].id, clock_wall_us(), &run, NULL) < 0)
            continue;
        for (size_t k = 0; k < run.n_moves; k++)
            if (run.moves[k].state == JOB_UNCERTAIN)
                add_check(
                    h, "MOVE_UNCERTAIN", 2,
                    "both hosts and Ceph are asked again until the answer is certain; nothing "
                    "else touches the VM meanwhile",
                    "vm/%s: where it runs is not proven yet (run/%" PRId64 ")",
                    run.moves[k].vm_name ? run.moves[k].vm_name : run.moves[k].vm, v.runs[i].id);
        shape_done(&run_view_shape, &run);
    }
    shape_done(&runs_view_shape, &v);
}

static void check_self(const struct corethread *t, struct health *h)
{
    if (t->failed.code)
        add_check(h, "STORE_FAILED", 2,
                  "requests are refused until the database can be written again", "%s",
                  t->failed.msg);
    if (t->policy.error) {
        cleanup(freep) char *cure = xasprintf(
            "drover policy check '%s'; the last good policy is in force", t->cfg.policy_dir);
        add_check(h, "POLICY_REFUSED", 1, cure, "%s", t->policy.error);
    }
    int64_t left = t->cfg.cert_expires_wall_us - clock_wall_us();
    char buf[FMT_BYTES];
    if (t->cfg.cert_expires_wall_us && left < CERT_WARN_US)
        add_check(h, "CERT_EXPIRES", left < 0 ? 2 : 1,
                  "drover pki issue scheduler, then restart it",
                  "the scheduler's certificate expires at %s",
                  fmt_rfc3339(buf, t->cfg.cert_expires_wall_us));
}

/* Texts come one agent after the other: worth a word only when none has come for long. */
static void check_xml(struct health *h, int64_t missing, int64_t quiet_us)
{
    char buf[FMT_BYTES];
    if (missing && quiet_us > XML_QUIET_US)
        add_check(h, "XML_MISSING", 1,
                  "a VM can be started without its host only from XML that is stored; the agents of "
                  "their hosts must be connected, and of this version, to be asked for it",
                  "%" PRId64 " XML text%s of VMs %s not stored, and none has come for %s", missing,
                  missing == 1 ? "" : "s", missing == 1 ? "is" : "are",
                  fmt_duration(buf, quiet_us));
}

static void check_suspended(const struct corethread *t, struct health *h)
{
    const struct suspension *x = core_suspension(t->core);
    if (!x->on)
        return;
    cleanup(freep) char *text = suspension_text(x);
    add_check(h, "BALANCE_SUSPENDED", 1, "drover policy resume; drover balance works as before",
              "scheduled balance is %s", text);
}

static json_t *policy_told(const struct corethread *t, bool brief)
{
    return policy_state_encode(&t->policy,
                               &(struct policy_told){.policy = core_policy(t->core),
                                                     .suspended = core_suspension(t->core),
                                                     .brief = brief});
}

static char *answer_health(const struct corethread *t)
{
    static const char *const words[] = {"ok", "warning", "error"};
    struct health h = {.checks = json_array()};
    check_self(t, &h);
    check_hosts(t, &h);
    check_versions(t, &h);
    check_moves(t, &h);
    check_look(t, &h);
    check_contested(t, &h);
    check_failing(t, &h);
    check_suspended(t, &h);
    int64_t quiet_us, missing = core_xml_lacks(t->core, &quiet_us);
    check_xml(&h, missing, quiet_us);
    json_t *policy = policy_told(t, true);
    json_t *j = json_pack("{s:s, s:s, s:I, s:s, s:I}", "schema", "drover.health/1", "status",
                          words[h.worst], "wall_us", (json_int_t)clock_wall_us(), "version",
                          DROVER_VERSION, "term", (json_int_t)t->term);
    json_object_set_new(
        j, "store", t->failed.code ? json_sprintf("failed: %s", t->failed.msg) : json_string("ok"));
    json_object_set_new(j, "policy", policy);
    json_object_set_new(j, "xml_missing", json_integer(missing));
    json_object_set_new(j, "checks", h.checks);
    return end_answer(j);
}

/* When balance looks by itself; NULL: never. */
static json_t *look_encode(const struct corethread *t)
{
    struct look_view x;
    core_view_look(t->core, clock_wall_us(), &x);
    if (!x.schedule)
        return NULL;
    json_t *j = json_pack("{s:s, s:b}", "schedule", x.schedule, "window_open", x.open);
    if (x.next_wall_us)
        json_object_set_new(j, "next_wall_us", json_integer(x.next_wall_us));
    if (x.change_wall_us)
        json_object_set_new(j, "window_change_wall_us", json_integer(x.change_wall_us));
    if (x.waits)
        json_object_set_new(j, "waiting_run", json_integer(x.waits));
    if (x.said)
        json_object_set_new(j, "last_look", json_string(x.said));
    return j;
}

static char *answer_policy(const struct corethread *t)
{
    json_t *look = look_encode(t);
    json_t *j = begin_answer(t, "drover.policy/1");
    json_t *body = policy_told(t, false);
    json_object_update(j, body);
    json_decref(body);
    if (look)
        json_object_set_new(j, "balance", look);
    json_object_set_new(j, "wall_us", json_integer(clock_wall_us()));
    return end_answer(j);
}

char *ct_query(struct corethread *t, const struct item *q, int *ret_status)
{
    int64_t wall = clock_wall_us();
    char *text = NULL;
    *ret_status = 200;
    switch (q->query) {
    case QUERY_HOSTS: {
        struct hosts_view v;
        core_view_hosts(t->core, wall, &v);
        text = ct_answer(t, "drover.hosts/1", &hosts_view_shape, &v);
        shape_done(&hosts_view_shape, &v);
        break;
    }
    case QUERY_VMS: {
        struct vms_view v;
        core_view_vms(t->core, wall, &v);
        text = ct_answer(t, "drover.vms/1", &vms_view_shape, &v);
        shape_done(&vms_view_shape, &v);
        break;
    }
    case QUERY_RUNS: {
        struct runs_view v;
        core_view_runs(t->core, wall, &v);
        text = ct_answer(t, "drover.runs/1", &runs_view_shape, &v);
        shape_done(&runs_view_shape, &v);
        break;
    }
    case QUERY_RUN:
        text = answer_run(t, q, ret_status);
        break;
    case QUERY_EXPLAIN:
        text = answer_explain(t, q, ret_status);
        break;
    case QUERY_JOURNAL:
        text = answer_journal(t, q, ret_status);
        break;
    case QUERY_HEALTH:
        text = answer_health(t);
        break;
    case QUERY_SNAPSHOT: /* only a fleet: what the store does not keep is of no concern to a plan on paper */
        fleet_ask(t->fleet, q->http);
        break;
    case QUERY_POLICY:
        text = answer_policy(t);
        break;
    }
    return text;
}
