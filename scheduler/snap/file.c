/* drover.snapshot/1: a fleet as JSON, strictly read. */
#include <errno.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "scheduler/snap/pieces.h"
#include "scheduler/snap/snap.h"

#define SCHEMA  "drover.snapshot/"
#define VERSION "1"

/* What the file says of a host and of a VM beside lib/model's members. */
struct host_more {
    int state;
    bool connected;
    struct cpu_figures cpu, cpu_other;
};
struct vm_more {
    char *host, *moving_to;
    bool other_run, will_start;
    struct cpu_figures cpu;
};
SHAPE(host_more_shape, struct host_more, SF_ENUM(struct host_more, state, host_state_names),
      SF_BOOL(struct host_more, connected), SF_OBJ(struct host_more, cpu, &cpu_figures_shape),
      SF_OBJ(struct host_more, cpu_other, &cpu_figures_shape));
SHAPE(vm_more_shape, struct vm_more, SF_STR_REQ(struct vm_more, host),
      SF_STR(struct vm_more, moving_to), SF_BOOL(struct vm_more, other_run),
      SF_BOOL(struct vm_more, will_start), SF_OBJ(struct vm_more, cpu, &cpu_figures_shape));
struct head {
    char *schema, *taken, *written_by, *comment;
};
SHAPE(head_shape, struct head, SF_STR(struct head, schema), SF_STR(struct head, taken),
      SF_STR(struct head, written_by), SF_STR(struct head, comment));

/* ---- writing ----------------------------------------------------------------------------------- */
static json_t *encode(const struct shape *facts, const void *obj, const struct shape *more,
                      const void *more_obj)
{
    static const char *const left_out[] = {"cpu_xml", "xml", "xml_inactive", "xml_digest",
                                           "xml_inactive_digest"};
    json_t *j = codec_encode_public(facts, obj);
    cleanup(json_decrefp) json_t *rest = codec_encode_public(more, more_obj);
    for (size_t i = 0; i < ARRAY_LEN(left_out); i++)
        json_object_del(j, left_out[i]);
    json_object_update(j, rest);
    return j;
}

/* An element a line: a fleet need not be there as a whole tree, and two can be compared with diff. */
static void write_item(FILE *f, bool first, json_t *item)
{
    fputs(first ? "\n  " : ",\n  ", f);
    json_dumpf(item, f, 0);
    json_decref(item);
}

static void write_head(const struct snap_writer *w)
{
    char at[FMT_BYTES];
    fputs("{\"schema\": \"" SCHEMA VERSION "\", \"written_by\": \"drover " DROVER_VERSION "\"",
          w->f);
    if (w->wall_us > 0)
        fprintf(w->f, ", \"taken\": \"%s\"", fmt_rfc3339(at, w->wall_us));
    fputs(",\n\"hosts\": [", w->f);
}

static struct cpu_figures figures(const struct cpu_figures *f)
{
    struct cpu_figures none;
    shape_init(&cpu_figures_shape, &none);
    return f ? *f : none;
}

static void write_host(FILE *f, const struct snapshot *s, size_t i)
{
    const struct snap_host *h = &s->hosts[i];
    struct host_more more = {h->state, h->connected, figures(h->cpu), figures(h->other)};
    write_item(f, i == 0, encode(&host_shape, s->hosts[i].h, &host_more_shape, &more));
}

static void write_vm(FILE *f, const struct snapshot *s, size_t i)
{
    const struct snap_vm *v = &s->vms[i];
    struct vm_more more = {.host = s->hosts[v->host].h->name,
                           .moving_to = v->moving_to < 0 ? NULL : s->hosts[v->moving_to].h->name,
                           .other_run = v->other_run,
                           .will_start = v->will_start,
                           .cpu = figures(v->cpu)};
    write_item(f, i == 0, encode(&vm_shape, v->v, &vm_more_shape, &more));
}

bool snap_write_some(struct snap_writer *w, size_t n)
{
    if (!w->begun)
        write_head(w);
    for (; n && w->hosts < w->s->n_hosts; n--)
        write_host(w->f, w->s, w->hosts++);
    if (w->hosts == w->s->n_hosts && n && !w->vms)
        fputs("\n],\n\"vms\": [", w->f);
    w->begun = true;
    for (; n && w->vms < w->s->n_vms; n--)
        write_vm(w->f, w->s, w->vms++);
    if (!n)
        return true;
    fputs("\n]\n}\n", w->f);
    return false;
}

char *snap_text(const struct snapshot *s, int64_t wall_us)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    struct snap_writer w = {.f = f, .s = s, .wall_us = wall_us};
    while (f && snap_write_some(&w, SIZE_MAX))
        ;
    if (!f || fclose(f))
        abort(); /* out of memory */
    return text;
}

/* ---- reading ----------------------------------------------------------------------------------- */
static int no_object(const json_t *j, const char *where, const char *example, struct err *e)
{
    if (json_is_object(j))
        return 0;
    return err_set(e, -EBADMSG, "%s: expected an object, or a line such as \"%s\"", where, example);
}

/* Written until measured load had a form of its own. */
static int of_earlier(const json_t *j, struct err *e)
{
    if (!json_object_get(j, "load_ppm"))
        return 0;
    return err_set(e, -EBADMSG,
                   "load_ppm: this snapshot is of an earlier version of Drover; take a new one, or "
                   "remove load_ppm (what is measured is in cpu now)");
}

static const char *name_of(const json_t *j, const char *where, struct err *e)
{
    const char *name = json_string_value(json_object_get(j, "name"));
    if (!name)
        err_set(e, -EBADMSG, "%s.name: is missing, or no string", where);
    return name;
}

/* Members of the facts over the usual values of the entry. */
static int decode_over(const struct shape *s, const struct shape *more, json_t *j, void *obj,
                       struct err *e)
{
    cleanup(json_decrefp) json_t *usual = codec_encode(s, obj);
    const char *key;
    json_t *v;
    void *next;
    json_object_foreach_safe(j, next, key, v) /* null: not said */
    {
        if (json_is_null(v))
            json_object_del(j, key);
    }
    void *got = xcalloc(1, s->size);
    int r = codec_known(s, more, j, e);
    json_object_update_missing(j, usual);
    r = r < 0 ? r : codec_decode(s, j, got, e);
    if (r == 0) {
        shape_done(s, obj);
        memcpy(obj, got, s->size);
    }
    free(got);
    return r;
}

static int read_host(struct snap_build *b, json_t *j, const char *where, struct err *e)
{
    static const char example[] = "kvm-[01-09] 256GiB 32c";
    if (json_is_string(j))
        return snap_add_hosts_short(b, json_string_value(j), where, e);
    int r = no_object(j, where, example, e);
    const char *name = r < 0 ? NULL : name_of(j, where, e);
    struct snap_host_entry *h = name ? snap_add_host(b, name, where, e) : NULL;
    if (!h)
        return -EBADMSG;
    cleanup(freep) char *here = xasprintf("%s (%s)", where, name);
    struct host_more more = {h->state, h->connected, figures(NULL), figures(NULL)};
    r = of_earlier(j, e);
    r = r < 0 ? r : decode_over(&host_shape, &host_more_shape, j, &h->host, e);
    r = r < 0 ? r : decode_over(&host_more_shape, &host_shape, j, &more, e);
    if (r < 0)
        return err_wrap(e, "%s", here);
    h->state = more.state;
    h->connected = more.connected;
    h->cpu = more.cpu;
    h->cpu_other = more.cpu_other;
    return 0;
}

static int read_vm(struct snap_build *b, json_t *j, const char *where, struct err *e)
{
    static const char example[] = "web-[1-9]@kvm-01 4GiB 2c";
    if (json_is_string(j))
        return snap_add_vms_short(b, json_string_value(j), where, e);
    int r = no_object(j, where, example, e);
    const char *name = r < 0 ? NULL : name_of(j, where, e);
    struct snap_vm_entry *v = name ? snap_add_vm(b, name, NULL, where, e) : NULL;
    if (!v)
        return -EBADMSG;
    cleanup(freep) char *here = xasprintf("%s (%s)", where, name);
    bool nameless = !json_object_get(j, "uuid");
    v->vm.uuid = xstrdup(nameless ? "" : NULL); /* required by the shape; given in snap_build */
    struct vm_more more = {.cpu = figures(NULL)};
    r = decode_over(&vm_shape, &vm_more_shape, j, &v->vm, e);
    r = r < 0 ? r : decode_over(&vm_more_shape, &vm_shape, j, &more, e);
    if (r < 0)
        return err_wrap(e, "%s", here);
    if (nameless) {
        free(v->vm.uuid);
        v->vm.uuid = NULL;
    }
    v->host = more.host;
    v->moving_to = more.moving_to;
    v->other_run = more.other_run;
    v->cpu = more.cpu;
    v->will_start = more.will_start;
    return 0;
}

static int check_schema(const char *schema, struct err *e)
{
    if (!schema || str_eq(schema, SCHEMA VERSION))
        return 0;
    if (str_has_prefix(schema, SCHEMA))
        return err_set(e, -EBADMSG, "schema: version %.20s; this drover reads version " VERSION,
                       schema + strlen(SCHEMA));
    return err_set(e, -EBADMSG,
                   "schema: \"%.60s\" is no fleet; expected \"" SCHEMA VERSION
                   "\", as drover snapshot writes it",
                   schema);
}

static int read_head(json_t *j, char **ret_taken, struct err *e)
{
    static const struct shape_field fields[] = {{.name = "hosts", .kind = SK_STR},
                                                {.name = "vms", .kind = SK_STR}};
    static const struct shape lists_shape = {"lists", 1, fields, ARRAY_LEN(fields)};
    struct head head;
    int r = codec_decode(&head_shape, j, &head, e);
    if (r < 0)
        return r;
    r = check_schema(head.schema, e);
    r = r < 0 ? r : codec_known(&head_shape, &lists_shape, j, e);
    if (r == 0)
        *ret_taken = take(head.taken);
    shape_done(&head_shape, &head);
    return r;
}

/* The document as it is read. head: all but the lists, which are in it by name. */
struct reading {
    struct snap_build b;
    json_t *head;
};
static const struct {
    const char *key;
    int (*read)(struct snap_build *b, json_t *j, const char *where, struct err *e);
} lists[] = {{"hosts", read_host}, {"vms", read_vm}};

static int list_no(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (str_eq(lists[i].key, key))
            return (int)i;
    return -1;
}

static int on_member(void *arg, const char *key, json_t *value, struct err *e)
{
    struct reading *r = arg;
    int no = list_no(key);
    json_object_set_new(r->head, key, value);
    if (no < 0)
        return 0;
    return json_is_string(value) ? lists[no].read(&r->b, value, key, e)
                                 : err_set(e, -EBADMSG, "%s: expected a list", key);
}

/* Of another version nothing else can be judged. */
static int on_list(void *arg, const char *key, struct err *e)
{
    struct reading *r = arg;
    json_object_set_new(r->head, key, list_no(key) < 0 ? json_array() : json_string(""));
    return check_schema(json_string_value(json_object_get(r->head, "schema")), e);
}

static int on_item(void *arg, const char *key, size_t i, json_t *item, struct err *e)
{
    struct reading *r = arg;
    cleanup(json_decrefp) json_t *taken = item;
    cleanup(freep) char *where = xasprintf("%s[%zu]", key, i);
    int no = list_no(key);
    return no < 0 ? 0 : lists[no].read(&r->b, item, where, e);
}

static void reading_done(struct reading *r)
{
    json_decref(r->head);
    snap_build_done(&r->b);
}

static int parse(const char *text, size_t len, struct snap *ret, struct err *e)
{
    cleanup(freep) char *taken = NULL;
    cleanup(reading_done) struct reading rd = {.head = json_object()};
    struct pieces p = {text, len, 0, &rd, on_member, on_list, on_item};
    int r = pieces_read(&p, e);
    r = r < 0 ? r : read_head(rd.head, &taken, e);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(lists); i++)
        if (!json_object_get(rd.head, lists[i].key))
            r = err_set(e, -EBADMSG, "%s: is missing", lists[i].key);
    r = r < 0 ? r : snap_build(&rd.b, ret, e);
    if (r == 0)
        ret->taken = take(taken);
    return r;
}

int snap_parse(const char *name, const char *text, size_t len, struct snap *ret, struct err *e)
{
    if (len > LIM_SNAPSHOT_BYTES)
        return err_set(e, -E2BIG, "%s: %zu bytes, the limit is %d", name, len, LIM_SNAPSHOT_BYTES);
    return parse(text, len, ret, e) < 0 ? err_wrap(e, "%s", name) : 0;
}

int snap_load(const char *path, struct snap *ret, struct err *e)
{
    cleanup(freep) char *text = NULL;
    size_t len;
    bool in = str_eq(path, "-");
    int r = file_read(in ? "/dev/stdin" : path, LIM_SNAPSHOT_BYTES, &text, &len, e);
    return r < 0 ? r : snap_parse(in ? "standard input" : path, text, len, ret, e);
}
