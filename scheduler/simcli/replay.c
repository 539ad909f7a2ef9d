/* drover-sim replay: the record of a real scheduler, decided anew by this version's core. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/codec.h"
#include "policy/zone.h"
#include "scheduler/core/core.h"
#include "scheduler/simcli/simcli.h"

struct replay {
    const char *file;
    int64_t line;
    struct core *core;
    struct policy policy; /* restored, until the core has it */
    int64_t now_us, wall_us;
    int64_t events, decided, differs;
    uint64_t digest; /* of the last event's effects */
    bool quiet, sends;
};

static const char *text_of(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static int64_t int_of(const json_t *j, const char *key)
{
    return json_integer_value(json_object_get(j, key));
}

static int bad_line(const struct replay *r, const char *what, struct err *e)
{
    return err_set(e, -EBADMSG, "%s:%lld: %s", r->file, (long long)r->line, what);
}

/* ---- what is printed --------------------------------------------------------------------------- */
static void print(const struct replay *r, const char *mark, const char *text)
{
    time_t at = (time_t)(r->wall_us / SEC);
    struct tm tm;
    char clock[32];
    gmtime_r(&at, &tm);
    strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%S", &tm);
    printf("%s.%03lld  %s%s\n", clock, (long long)(r->wall_us % SEC / MSEC), mark,
           text ? text : "");
}

static void decide(struct replay *r, struct core_effects *fx)
{
    for (size_t i = 0; i < fx->n_fx && !r->quiet; i++) {
        const struct core_fx *f = &fx->fx[i];
        if (f->type == FX_JOURNAL)
            print(r, "", f->entry.text);
        if (f->type == FX_REPLY)
            print(r, "answer: ", f->reply.message);
        if (f->type == FX_SEND && r->sends) {
            cleanup(freep) char *text = xasprintf("%s → %s", msg_name(f->msg.type), f->host);
            print(r, "  sends ", text);
        }
    }
    r->decided += fx->n_fx > 0;
    r->digest = core_effects_digest(fx, 0);
    core_effects_done(fx);
}

/* ---- restoring --------------------------------------------------------------------------------- */
static int read_zone(struct replay *r, const json_t *j, struct zone **ret, struct err *e)
{
    const json_t *list = json_object_get(j, "changes");
    size_t n = 0;
    struct zone_change *changes = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i);
        *vec_add(&changes, &n) =
            (struct zone_change){.from_s = json_integer_value(json_array_get(pair, 0)),
                                 .offset_s = json_integer_value(json_array_get(pair, 1))};
    }
    const char *name = text_of(j, "name");
    if (name && zone_from_table(name, changes, n, ret, NULL) == 0)
        return 0;
    free(changes);
    return bad_line(r, "the policy's zones cannot be read", e);
}

/* Recordings without zones are of policies that had none in force. */
static int read_zones(struct replay *r, const json_t *list, struct zone ***ret, size_t *ret_n,
                      struct err *e)
{
    struct zone *z;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (read_zone(r, json_array_get(list, i), &z, e) < 0)
            return -EBADMSG;
        *vec_add(ret, ret_n) = z;
    }
    return 0;
}

static int read_policy(struct replay *r, const json_t *body, struct policy *ret, struct err *e)
{
    const json_t *list = json_object_get(body, "files");
    size_t n = json_array_size(list);
    struct policy_file *files = xcalloc(n, sizeof(*files));
    int rc = json_is_array(list) ? 0 : bad_line(r, "the policy's files are missing", e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        files[i].name = (char *)(uintptr_t)text_of(json_array_get(list, i), "name");
        files[i].text = (char *)(uintptr_t)text_of(json_array_get(list, i), "text");
        if (!files[i].name || !files[i].text)
            rc = bad_line(r, "a policy file without name or text", e);
    }
    struct zone **zones = NULL;
    size_t n_zones = 0;
    if (rc == 0)
        rc = read_zones(r, json_object_get(body, "zones"), &zones, &n_zones, e);
    if (rc == 0) {
        rc = policy_load_recorded(files, n, zones, n_zones, ret, e);
    } else {
        while (n_zones)
            zone_free(zones[--n_zones]);
        free(zones);
    }
    free(files);
    if (rc == 0 && *text_of(body, "commit")) {
        ret->commit = xstrdup(text_of(body, "commit"));
        ret->clean = json_is_true(json_object_get(body, "clean"));
    }
    return rc;
}

static void put_vm(struct replay *r, const json_t *j, const void *obj)
{
    core_restore_vm(r->core, text_of(j, "host"), obj, int_of(j, "since"));
}
static void put_host(struct replay *r, const json_t *j, const void *obj)
{
    (void)j;
    core_restore_host(r->core, obj);
}
static void put_sample(struct replay *r, const json_t *j, const void *obj)
{
    (void)j;
    (void)core_restore_sample(r->core, obj, NULL); /* as it was when it was recorded */
}
static void put_suspension(struct replay *r, const json_t *j, const void *obj)
{
    (void)j;
    core_restore_suspension(r->core, obj);
}
static void put_run(struct replay *r, const json_t *j, const void *obj)
{
    (void)j;
    core_restore_run(r->core, obj);
}
static void put_move(struct replay *r, const json_t *j, const void *obj)
{
    (void)j;
    core_restore_move(r->core, obj);
}

static int on_restore(struct replay *r, const json_t *j, struct err *e)
{
    static const struct {
        const char *kind;
        const struct shape *shape;
        void (*put)(struct replay *r, const json_t *j, const void *obj);
    } kinds[] = {
        {"host", &host_rec_shape, put_host},   {"vm", &vm_shape, put_vm},
        {"sample", &sample_shape, put_sample}, {"suspension", &suspension_shape, put_suspension},
        {"run", &run_shape, put_run},          {"move", &move_shape, put_move}};
    const char *kind = text_of(j, "kind");
    const json_t *body = json_object_get(j, "body");
    if (str_eq(kind, "policy"))
        return read_policy(r, body, &r->policy, e);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!str_eq(kind, kinds[i].kind))
            continue;
        void *obj = xcalloc(1, kinds[i].shape->size);
        int rc = codec_decode(kinds[i].shape, body, obj, e);
        if (rc == 0) {
            kinds[i].put(r, j, obj);
            shape_done(kinds[i].shape, obj);
        }
        free(obj);
        return rc;
    }
    return bad_line(r, "what is restored is not known", e);
}

static int on_start(struct replay *r, const json_t *j, struct err *e)
{
    const char *version = text_of(j, "version");
    if (!version)
        return bad_line(r, "this is no record of a scheduler", e);
    if (!str_eq(version, DROVER_VERSION))
        fprintf(stderr, "drover-sim: recorded by %s, decided anew by %s\n", version,
                DROVER_VERSION);
    core_free(r->core);
    policy_done(&r->policy);
    policy_default(&r->policy);
    int64_t term = int_of(j, "term");
    r->core = core_new(
        &(struct core_config){.term = term, .heartbeat_us = 5 * SEC, .seed = (uint64_t)term});
    return 0;
}

/* A file that goes on where a full one ended begins with a head alone. */
static bool goes_on(const struct replay *r, const json_t *j)
{
    return r->core && str_eq(text_of(j, "ev"), "start") &&
           json_is_true(json_object_get(j, "goes_on"));
}

/* ---- events ------------------------------------------------------------------------------------ */
static int read_body(const struct replay *r, const json_t *j, const struct shape *s, void **ret,
                     struct err *e)
{
    *ret = xcalloc(1, s->size);
    int rc = codec_decode(s, json_object_get(j, "body"), *ret, e);
    if (rc < 0) {
        free(take(*ret));
        return err_wrap(e, "%s:%lld", r->file, (long long)r->line);
    }
    return 0;
}

static void step(struct replay *r, struct core_event *ev)
{
    struct core_effects fx = {0};
    ev->now_us = r->now_us;
    ev->wall_us = r->wall_us;
    r->events++;
    core_step(r->core, ev, &fx);
    decide(r, &fx);
}

static int on_msg(struct replay *r, const json_t *j, struct err *e)
{
    struct msg m = {.id = int_of(j, "id"), .re = int_of(j, "re"), .type = MSG_COUNT_};
    for (int t = 0; t < MSG_COUNT_; t++)
        if (str_eq(text_of(j, "type"), msg_name((enum msg_type)t)))
            m.type = (enum msg_type)t;
    if (m.type == MSG_COUNT_)
        return bad_line(r, "a message of no known type", e);
    int rc = read_body(r, j, msg_shape(m.type), &m.body, e);
    if (rc == 0)
        step(r, &(struct core_event){.type = CEV_MSG, .host = text_of(j, "host"), .msg = &m});
    msg_done(&m);
    return rc;
}

static int on_request(struct replay *r, const json_t *j, struct err *e)
{
    void *q;
    int rc = read_body(r, j, &request_shape, &q, e);
    if (rc < 0)
        return rc;
    step(r, &(struct core_event){.type = CEV_REQUEST, .request_id = int_of(j, "id"), .request = q});
    shape_done(&request_shape, q);
    free(q);
    return 0;
}

static int on_note(struct replay *r, const json_t *j, struct err *e)
{
    void *n;
    int rc = read_body(r, j, &entry_shape, &n, e);
    if (rc < 0)
        return rc;
    step(r, &(struct core_event){.type = CEV_NOTE, .note = n});
    shape_done(&entry_shape, n);
    free(n);
    return 0;
}

static int on_xml_lacks(struct replay *r, const json_t *j, struct err *e)
{
    void *names;
    int rc = read_body(r, j, &xml_names_shape, &names, e);
    if (rc < 0)
        return rc;
    step(r, &(struct core_event){.type = CEV_XML_LACKS, .host = text_of(j, "host"), .xml = names});
    shape_done(&xml_names_shape, names);
    free(names);
    return 0;
}

static int on_policy(struct replay *r, const json_t *j, struct err *e)
{
    struct policy p;
    int rc = read_policy(r, json_object_get(j, "body"), &p, e);
    if (rc == 0)
        step(r, &(struct core_event){.type = CEV_POLICY, .policy = &p});
    return rc;
}

static void on_restored(struct replay *r, const json_t *j)
{
    struct core_effects fx = {0};
    core_restore_policy(r->core, &r->policy);
    core_restored(r->core, int_of(j, "seq"), r->now_us, r->wall_us, &fx);
    decide(r, &fx);
}

static void on_said(struct replay *r, const json_t *j)
{
    char have[17];
    snprintf(have, sizeof(have), "%016" PRIx64, r->digest);
    if (str_eq(have, text_of(j, "digest")))
        return;
    if (r->differs++ == 0)
        printf("%s:%lld: here something else was decided than now\n", r->file, (long long)r->line);
}

static int one_line(struct replay *r, const json_t *j, struct err *e)
{
    const char *ev = text_of(j, "ev"), *host = text_of(j, "host");
    if (json_object_get(j, "t")) {
        r->now_us = int_of(j, "t");
        r->wall_us = int_of(j, "wall");
    }
    if (str_eq(ev, "start"))
        return goes_on(r, j) ? 0 : on_start(r, j, e);
    if (!r->core)
        return bad_line(r, "the record begins in the middle: name the file before it, too", e);
    if (str_eq(ev, "restore"))
        return on_restore(r, j, e);
    if (str_eq(ev, "msg"))
        return on_msg(r, j, e);
    if (str_eq(ev, "request"))
        return on_request(r, j, e);
    if (str_eq(ev, "note"))
        return on_note(r, j, e);
    if (str_eq(ev, "policy"))
        return on_policy(r, j, e);
    if (str_eq(ev, "xml_lacks"))
        return on_xml_lacks(r, j, e);
    if (str_eq(ev, "restored"))
        on_restored(r, j);
    else if (str_eq(ev, "said"))
        on_said(r, j);
    else if (str_eq(ev, "agent_up"))
        step(r, &(struct core_event){.type = CEV_AGENT_UP,
                                     .host = host,
                                     .instance = text_of(j, "instance"),
                                     .sends_xml = json_is_true(json_object_get(j, "sends_xml")),
                                     .tells_ceph = json_is_true(json_object_get(j, "tells_ceph"))});
    else if (str_eq(ev, "agent_down"))
        step(r, &(struct core_event){.type = CEV_AGENT_DOWN, .host = host});
    else if (str_eq(ev, "tick"))
        step(r, &(struct core_event){.type = CEV_TICK});
    else
        return bad_line(r, "an event of no known kind", e);
    return 0;
}

static int one_file(struct replay *r, const char *path, struct err *e)
{
    cleanup(fclosep) FILE *f = fopen(path, "re");
    cleanup(freep) char *line = NULL;
    size_t room = 0;
    int rc = f ? 0 : err_set(e, -errno, "%s: %s", path, strerror(errno));
    r->file = path;
    r->line = 0;
    for (ssize_t n; rc == 0 && (n = getline(&line, &room, f)) > 0;) {
        json_t *j = NULL;
        r->line++;
        rc = codec_parse(line, (size_t)n, &j, e);
        if (rc < 0 && feof(f)) { /* the last line of a process that was killed */
            rc = 0;
            break;
        }
        if (rc == 0)
            rc = one_line(r, j, e);
        else
            err_wrap(e, "%s:%lld", path, (long long)r->line);
        json_decref(j);
    }
    return rc;
}

int sim_cmd_replay(int argc, char **argv)
{
    static const struct option options[] = {
        {"quiet", no_argument, NULL, 'q'}, {"sends", no_argument, NULL, 's'}, {0}};
    struct replay r = {0};
    struct err e = {0};
    int rc = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        r.quiet |= c == 'q';
        r.sends |= c == 's';
        if (c == '?')
            return sim_usage("replay FILE... [--quiet] [--sends]");
    }
    if (optind == argc)
        return sim_usage("replay wants the recorder's files, in their order");
    for (int i = optind; i < argc && rc == 0; i++)
        rc = one_file(&r, argv[i], &e);
    core_free(r.core);
    policy_done(&r.policy);
    if (rc < 0)
        return sim_bad(&e);
    printf("replay: %lld events, %lld of them decided something, %lld otherwise than then\n",
           (long long)r.events, (long long)r.decided, (long long)r.differs);
    return r.differs ? SIM_WRONG : SIM_OK;
}
