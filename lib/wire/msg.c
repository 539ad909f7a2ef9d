#include "lib/wire/msg.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"

const char *const seen_names[6] = {"error", "absent", "shutoff", "running", "paused", "other"};
const char *const tidy_op_names[3] = {"undefine", "kill_incoming", "resume_source"};
const char *const power_op_names[2] = {"shutdown", "start"};

/* ---- bodies ---------------------------------------------------------------------------------- */
#define T struct hello
SHAPE(hello_shape, T, SF_INT_REQ(T, proto_min), SF_INT_REQ(T, proto_max), SF_STR_REQ(T, host),
      SF_STR(T, agent_version), SF_STR_REQ(T, instance), SF_STR(T, boot_id), SF_INT(T, wall_us),
      SF_BOOL(T, sends_xml), SF_BOOL(T, tells_ceph));
#undef T
#define T struct welcome
SHAPE(welcome_shape, T, SF_INT_REQ(T, proto), SF_INT_REQ(T, term), SF_INT_REQ(T, heartbeat_us),
      SF_INT(T, wall_us));
#undef T
#define T struct report
SHAPE(report_shape, T, SF_INT_REQ(T, seq), SF_BOOL(T, full), SF_BOOL(T, has_host),
      SF_OBJ(T, host, &host_shape), SF_LIST(T, vms, &vm_shape), SF_STRS(T, gone),
      SF_BOOL(T, has_load), SF_OBJ(T, load, &load_report_shape));
#undef T
#define T struct heartbeat
SHAPE(heartbeat_shape, T, SF_INT(T, seq));
#undef T
#define T struct progress
SHAPE(progress_shape, T, SF_STR_REQ(T, vm), SF_INT_OR(T, elapsed_us, -1),
      SF_INT_OR(T, setup_us, -1), SF_INT_OR(T, total_bytes, -1), SF_INT_OR(T, processed_bytes, -1),
      SF_INT_OR(T, remaining_bytes, -1), SF_INT_OR(T, rate_Bps, -1), SF_INT_OR(T, dirty_Bps, -1),
      SF_INT_OR(T, iteration, -1), SF_INT_OR(T, downtime_us, -1), SF_BOOL(T, postcopy));
#undef T
#define T struct check_vms
SHAPE(check_vms_shape, T, SF_INT_REQ(T, term), SF_BOOL(T, as_source), SF_LIST(T, vms, &vm_shape));
#undef T
#define T struct verdict
SHAPE(verdict_shape, T, SF_STR_REQ(T, uuid), SF_LIST(T, reasons, &reason_shape),
      SF_LIST(T, images, &image_fact_shape));
#undef T
#define T struct vms_checked
SHAPE(vms_checked_shape, T, SF_LIST(T, verdicts, &verdict_shape));
#undef T
#define T struct check_peer
SHAPE(check_peer_shape, T, SF_INT_REQ(T, term), SF_STR_REQ(T, uri));
#undef T
#define T struct check_host
SHAPE(check_host_shape, T, SF_INT_REQ(T, term));
#undef T
#define T struct check_item
SHAPE(check_item_shape, T, SF_STR_REQ(T, name), SF_INT_REQ(T, verdict), SF_STR(T, text),
      SF_STR(T, cure));
#undef T
#define T struct host_checked
SHAPE(host_checked_shape, T, SF_LIST(T, items, &check_item_shape));
#undef T
#define T struct migrate
SHAPE(migrate_shape, T, SF_INT_REQ(T, term), SF_INT_REQ(T, job), SF_INT_REQ(T, attempt),
      SF_STR_REQ(T, vm), SF_STR(T, dst_host), SF_STR_REQ(T, dst_uri), SF_STR(T, migrate_uri),
      SF_BOOL(T, live), SF_BOOL(T, persist_dest), SF_BOOL(T, undefine_source),
      SF_BOOL(T, abort_on_error), SF_BOOL(T, offline), SF_BOOL(T, compressed), SF_BOOL(T, tls),
      SF_BOOL(T, auto_converge), SF_BOOL(T, post_copy), SF_BOOL(T, multifd),
      SF_INT(T, multifd_channels), SF_INT(T, bandwidth_Bps), SF_INT(T, downtime_us));
#undef T
#define T struct migrated
SHAPE(migrated_shape, T, SF_INT_REQ(T, job), SF_INT_REQ(T, attempt), SF_STR_REQ(T, vm),
      SF_BOOL_REQ(T, ok), SF_BOOL_REQ(T, began), SF_STR(T, code), SF_STR(T, error),
      SF_INT_OR(T, total_us, -1), SF_INT_OR(T, setup_us, -1), SF_INT_OR(T, downtime_us, -1),
      SF_INT_OR(T, bytes, -1), SF_INT_OR(T, iterations, -1), SF_INT_OR(T, rate_Bps, -1));
#undef T
#define T struct abort_job
SHAPE(abort_job_shape, T, SF_INT_REQ(T, term), SF_INT_REQ(T, job), SF_INT_REQ(T, attempt),
      SF_STR_REQ(T, vm));
#undef T
#define T struct tune
SHAPE(tune_shape, T, SF_INT_REQ(T, term), SF_INT_REQ(T, job), SF_INT_REQ(T, attempt),
      SF_STR_REQ(T, vm), SF_INT(T, bandwidth_Bps), SF_INT(T, downtime_us), SF_BOOL(T, postcopy));
#undef T
#define T struct probe
SHAPE(probe_shape, T, SF_INT_REQ(T, term), SF_INT_REQ(T, job), SF_INT_REQ(T, attempt),
      SF_STR_REQ(T, vm), SF_LIST(T, disks, &disk_shape));
#undef T
#define T struct probed
SHAPE(probed_shape, T, SF_INT_REQ(T, job), SF_INT_REQ(T, attempt), SF_STR_REQ(T, vm),
      SF_ENUM_REQ(T, seen, seen_names), SF_ENUM(T, vm_job, vm_job_names), SF_BOOL(T, ordered),
      SF_BOOL(T, persistent),
      SF_STR(T, detail), SF_LIST(T, images, &image_fact_shape));
#undef T
#define T struct tidy
SHAPE(tidy_shape, T, SF_INT_REQ(T, term), SF_INT_REQ(T, job), SF_INT_REQ(T, attempt),
      SF_STR_REQ(T, vm), SF_ENUM_REQ(T, op, tidy_op_names));
#undef T
#define T struct power
SHAPE(power_shape, T, SF_INT_REQ(T, term), SF_INT_REQ(T, job), SF_INT_REQ(T, attempt),
      SF_STR_REQ(T, vm), SF_ENUM_REQ(T, op, power_op_names), SF_INT(T, timeout_us));
#undef T
#define T struct relabel
SHAPE(relabel_shape, T, SF_INT_REQ(T, term), SF_STR_REQ(T, vm), SF_LIST(T, set, &label_shape),
      SF_STRS(T, drop));
#undef T
#define T struct census
SHAPE(census_shape, T, SF_INT_REQ(T, term));
#undef T
#define T struct counted
SHAPE(counted_shape, T, SF_STRS(T, running), SF_STRS(T, defined), SF_INT(T, jobs), SF_BOOL_REQ(T, ok),
      SF_STR(T, error));
#undef T
#define T struct send_xml
SHAPE(send_xml_shape, T, SF_INT_REQ(T, term), SF_STRS(T, digests));
#undef T
#define T struct xml_text
SHAPE(xml_text_shape, T, SF_STR_REQ(T, digest), SF_STR(T, text));
#undef T
#define T struct xml_texts
SHAPE(xml_texts_shape, T, SF_LIST(T, texts, &xml_text_shape));
#undef T
#define T struct ask_ceph
SHAPE(ask_ceph_shape, T, SF_INT_REQ(T, term), SF_OBJ(T, disk, &disk_shape));
#undef T
#define T struct ceph_told
SHAPE(ceph_told_shape, T, SF_BOOL_REQ(T, ok), SF_STR(T, code), SF_STR(T, error), SF_STR(T, fsid),
      SF_STR(T, status), SF_STR(T, cause), SF_STR(T, slow), SF_INT(T, moving_pgs),
      SF_INT(T, degraded), SF_INT(T, misplaced));
#undef T
#define T struct done
SHAPE(done_shape, T, SF_INT(T, job), SF_INT(T, attempt), SF_BOOL_REQ(T, ok), SF_STR(T, code),
      SF_STR(T, error), SF_INT_OR(T, took_us, -1));
#undef T
#define T struct bye
SHAPE(bye_shape, T, SF_STR(T, code), SF_STR(T, error));
#undef T

/* ---- envelope -------------------------------------------------------------------------------- */
static const struct {
    const char *name;
    const struct shape *shape;
} table[MSG_COUNT_] = {
#define X(e, token, body) [e] = {token, &body##_shape},
    MSGS(X)
#undef X
};

const struct shape *msg_shape(enum msg_type type)
{
    assert((unsigned)type < MSG_COUNT_);
    return table[type].shape;
}

const char *msg_name(enum msg_type type)
{
    assert((unsigned)type < MSG_COUNT_);
    return table[type].name;
}

char *msg_encode(const struct msg *m)
{
    json_t *body = codec_encode(msg_shape(m->type), m->body);
    cleanup(json_decrefp) json_t *j =
        json_pack("{s:i,s:I,s:I,s:s,s:o}", "v", WIRE_FRAME, "id", (json_int_t)m->id, "re",
                  (json_int_t)m->re, "type", msg_name(m->type), "body", body);
    assert(j);
    return codec_text(j);
}

static int get_id(const json_t *j, const char *name, int64_t *ret, struct err *e)
{
    const json_t *v = json_object_get(j, name);
    if (v && (!json_is_integer(v) || json_integer_value(v) < 0))
        return err_set(e, -EBADMSG, "%s: expected an integer of 0 or more", name);
    *ret = v ? json_integer_value(v) : 0;
    return 0;
}

static int get_type(const json_t *j, enum msg_type *ret, struct err *e)
{
    const json_t *v = json_object_get(j, "type");
    if (!json_is_string(v))
        return err_set(e, -EBADMSG, "type: expected a string");
    for (int i = 0; i < MSG_COUNT_; i++)
        if (str_eq(json_string_value(v), table[i].name)) {
            *ret = (enum msg_type)i;
            return 0;
        }
    return err_set(e, -EBADMSG, "type: unknown message \"%.64s\"", json_string_value(v));
}

int msg_decode(const char *text, size_t len, struct msg *ret, struct err *e)
{
    cleanup(json_decrefp) json_t *j = NULL;
    int r = codec_parse(text, len, &j, e);
    if (r < 0)
        return r;
    if (!json_is_object(j))
        return err_set(e, -EBADMSG, "a message must be an object");
    /* the version comes first: of another one, nothing else can be judged */
    const json_t *v = json_object_get(j, "v");
    if (!json_is_integer(v))
        return err_set(e, -EBADMSG, "v: expected an integer");
    if (json_integer_value(v) != WIRE_FRAME)
        return err_set(e, -EPROTONOSUPPORT,
                       "v: frame of version %" JSON_INTEGER_FORMAT
                       ", this side reads %d; install matching versions",
                       json_integer_value(v), WIRE_FRAME);
    struct msg m = {0};
    if ((r = get_id(j, "id", &m.id, e)) < 0 || (r = get_id(j, "re", &m.re, e)) < 0 ||
        (r = get_type(j, &m.type, e)) < 0)
        return r;
    const struct shape *s = msg_shape(m.type);
    cleanup(freep) void *body = xcalloc(1, s->size);
    r = codec_decode(s, json_object_get(j, "body"), body, e);
    if (r < 0)
        return err_wrap(e, "message %s", msg_name(m.type));
    m.body = take(body);
    *ret = m;
    return 0;
}

void msg_done(struct msg *m)
{
    if (m->body)
        shape_done(msg_shape(m->type), m->body);
    free(m->body);
    memset(m, 0, sizeof(*m));
}
