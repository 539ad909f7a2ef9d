#include "scheduler/io/recorder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"

enum { FILE_BYTES = 16 << 20, FILES_KEPT = 32 };

struct recorder {
    char *dir;
    FILE *out;
    int number;    /* of the file being written */
    int64_t bytes; /* in it */
    int64_t term;
};

static char *file_name(const struct recorder *r, int number)
{
    return xasprintf("%s/events-%06d.jsonl", r->dir, number);
}

static int find_last(const char *dir, int *ret, struct err *e)
{
    DIR *d = opendir(dir);
    if (!d)
        return err_set(e, -errno, "open recorder directory '%s': %m", dir);
    int last = 0, n;
    for (struct dirent *ent; (ent = readdir(d));)
        if (sscanf(ent->d_name, "events-%d.jsonl", &n) == 1 && n > last)
            last = n;
    closedir(d);
    *ret = last;
    return 0;
}

static void give_up(struct recorder *r, const char *doing)
{
    log_warn("msg=\"recording stops\" dir=%s doing=%s error=\"%m\"", r->dir, doing);
    if (r->out)
        fclose(take(r->out));
}

static void next_file(struct recorder *r)
{
    if (r->out && fclose(take(r->out)) != 0) {
        give_up(r, "close");
        return;
    }
    r->number++;
    cleanup(freep) char *name = file_name(r, r->number);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    r->out = fd < 0 ? NULL : fdopen(fd, "w");
    r->bytes = 0;
    if (!r->out) {
        if (fd >= 0)
            close(fd);
        give_up(r, "create");
        return;
    }
    if (r->number > FILES_KEPT) {
        cleanup(freep) char *old = file_name(r, r->number - FILES_KEPT);
        unlink(old); /* one per new file keeps the count; it may be gone already */
    }
}

static void write_line(struct recorder *r, json_t *line)
{
    cleanup(freep) char *text = codec_text(line);
    json_decref(line);
    int n = fprintf(r->out, "%s\n", text);
    if (n < 0)
        give_up(r, "write");
    else
        r->bytes += n;
}

/* goes_on: the file before it was full; the state is what that one led to. */
static void write_head(struct recorder *r, int64_t now_us, int64_t wall_us, bool goes_on)
{
    write_line(r, json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "ev", "start", "version",
                            DROVER_VERSION, "term", (json_int_t)r->term, "t", (json_int_t)now_us,
                            "wall", (json_int_t)wall_us, "goes_on", goes_on));
}

int recorder_open(const char *dir, struct recorder **ret, struct err *e)
{
    struct recorder *r = xcalloc(1, sizeof(*r));
    int rc = 0;
    if (dir) {
        r->dir = xstrdup(dir);
        rc = dir_make(dir, 0750, e);
        if (rc == 0)
            rc = find_last(dir, &r->number, e);
    }
    if (rc < 0) {
        recorder_close(r);
        return err_wrap(e, "key 'recorder'");
    }
    *ret = r;
    return 0;
}

void recorder_close(struct recorder *r)
{
    if (!r)
        return;
    if (r->out)
        fclose(r->out);
    free(r->dir);
    free(r);
}

void recorder_start(struct recorder *r, int64_t term, int64_t now_us, int64_t wall_us)
{
    r->term = term;
    if (!r->dir)
        return;
    next_file(r); /* one start of the core = one file: its state before was that of the store */
    if (r->out)
        write_head(r, now_us, wall_us, false);
}

void recorder_state(struct recorder *r, const struct recorder_state *st)
{
    if (!r->out)
        return;
    json_t *j = json_pack("{s:s, s:s}", "ev", "restore", "kind", st->kind);
    if (st->host) {
        json_object_set_new(j, "host", json_string(st->host));
        json_object_set_new(j, "since", json_integer(st->since_wall_us));
    }
    json_object_set_new(j, "body", codec_encode_public(st->shape, st->obj));
    write_line(r, j);
}

/* A zone's law may change before the recording is read, and tzdata may not be there. */
static json_t *zone_body(const struct zone *z)
{
    json_t *changes = json_array();
    for (size_t i = 0; i < z->n; i++)
        json_array_append_new(changes,
                              json_pack("[I, I]", (json_int_t)z->changes[i].from_s,
                                        (json_int_t)z->changes[i].offset_s));
    return json_pack("{s:s, s:o}", "name", z->name, "changes", changes);
}

static json_t *policy_body(const struct policy *p)
{
    json_t *files = json_array();
    for (size_t i = 0; i < p->n_files; i++)
        json_array_append_new(
            files, json_pack("{s:s, s:s}", "name", p->files[i].name, "text", p->files[i].text));
    json_t *zones = json_array();
    for (size_t i = 0; i < p->n_zones; i++)
        json_array_append_new(zones, zone_body(p->zones[i]));
    return json_pack("{s:o, s:o, s:s, s:b}", "files", files, "zones", zones, "commit",
                     p->commit ? p->commit : "", "clean", p->clean);
}

void recorder_policy(struct recorder *r, const struct policy *p)
{
    if (r->out)
        write_line(r, json_pack("{s:s, s:s, s:o}", "ev", "restore", "kind", "policy", "body",
                                policy_body(p)));
}

void recorder_said(struct recorder *r, uint64_t digest)
{
    char text[17];
    if (!r->out)
        return;
    snprintf(text, sizeof(text), "%016" PRIx64, digest);
    write_line(r, json_pack("{s:s, s:s}", "ev", "said", "digest", text));
}

void recorder_restored(struct recorder *r, int64_t next_seq, uint64_t digest)
{
    if (!r->out)
        return;
    write_line(r, json_pack("{s:s, s:I}", "ev", "restored", "seq", (json_int_t)next_seq));
    recorder_said(r, digest);
}

bool recorder_waits(const struct core_event *ev)
{
    return ev->type == CEV_TICK || (ev->type == CEV_MSG && ev->msg->type == MSG_HEARTBEAT);
}

void recorder_event(struct recorder *r, const struct core_event *ev)
{
    static const char *const names[] = {"agent_up", "agent_down", "msg", "request",
                                        "tick",     "policy",     "note", "xml_lacks"};
    if (!r->out)
        return;
    if (r->bytes >= FILE_BYTES) {
        next_file(r);
        if (r->out)
            write_head(r, ev->now_us, ev->wall_us, true);
        if (!r->out)
            return;
    }
    json_t *j = json_pack("{s:I, s:I, s:s}", "t", (json_int_t)ev->now_us, "wall",
                          (json_int_t)ev->wall_us, "ev", names[ev->type]);
    if (ev->host)
        json_object_set_new(j, "host", json_string(ev->host));
    if (ev->instance)
        json_object_set_new(j, "instance", json_string(ev->instance));
    if (ev->sends_xml)
        json_object_set_new(j, "sends_xml", json_true());
    if (ev->tells_ceph)
        json_object_set_new(j, "tells_ceph", json_true());
    if (ev->xml)
        json_object_set_new(j, "body", codec_encode(&xml_names_shape, ev->xml));
    if (ev->msg) {
        json_object_set_new(j, "type", json_string(msg_name(ev->msg->type)));
        json_object_set_new(j, "id", json_integer(ev->msg->id));
        json_object_set_new(j, "re", json_integer(ev->msg->re));
        json_object_set_new(j, "body",
                            codec_encode_public(msg_shape(ev->msg->type), ev->msg->body));
    }
    if (ev->request) {
        json_object_set_new(j, "id", json_integer(ev->request_id));
        json_object_set_new(j, "body", codec_encode_public(&request_shape, ev->request));
    }
    if (ev->type == CEV_POLICY && ev->policy)
        json_object_set_new(j, "body", policy_body(ev->policy));
    if (ev->note)
        json_object_set_new(j, "body", codec_encode_public(&entry_shape, ev->note));
    write_line(r, j);
}

void recorder_flush(struct recorder *r)
{
    if (r->out && fflush(r->out) != 0)
        give_up(r, "write");
}
