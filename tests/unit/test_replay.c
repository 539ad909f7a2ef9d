/* What a scheduler recorded is decided anew, and a difference is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/io/recorder.h"
#include "scheduler/simcli/simcli.h"

struct record {
    char dir[64];
    char *file;
    struct recorder *r;
    struct core *core;
    int64_t now_us;
};

static void step(struct record *x, struct core_event *ev)
{
    struct core_effects fx = {0};
    x->now_us += SEC;
    ev->now_us = ev->wall_us = x->now_us;
    recorder_event(x->r, ev);
    core_step(x->core, ev, &fx);
    if (fx.n_fx)
        recorder_said(x->r, core_effects_digest(&fx, 0));
    core_effects_done(&fx);
}

/* The store lacks the XML of a VM; its agent is asked for it, and sends it. */
static void xml_comes(struct record *x)
{
    static char *name = (char *)(uintptr_t) "d1";
    struct report rep = {.seq = 2};
    struct vm v;
    shape_init(&vm_shape, &v);
    v.uuid = v.name = (char *)(uintptr_t) "web";
    v.state = VM_RUNNING;
    v.xml_digest = name;
    rep.vms = &v;
    rep.n_vms = 1;
    const struct msg m = {.type = MSG_REPORT, .body = &rep};
    step(x, &(struct core_event){.type = CEV_MSG, .host = "h1", .msg = &m});
    const struct xml_names lacks = {.digests = &name, .n_digests = 1};
    step(x, &(struct core_event){.type = CEV_XML_LACKS, .host = "h1", .xml = &lacks});
    x->now_us += 20 * SEC;
    step(x, &(struct core_event){.type = CEV_TICK});
    struct xml_text t = {.digest = name, .text = (char *)(uintptr_t) ""};
    struct xml_texts texts = {.texts = &t, .n_texts = 1};
    const struct msg sent = {.re = (INT64_C(1) << 32) + 1, .type = MSG_XML, .body = &texts};
    step(x, &(struct core_event){.type = CEV_MSG, .host = "h1", .msg = &sent});
    assert_int_equal(core_xml_lacks(x->core, NULL), 0);
}

/* A scheduler with a policy of two files, one agent, and a request that is refused. */
static void make_record(struct record *x)
{
    static char a[] = "a.yaml", b[] = "b.yaml";
    static char version[] =
        "version: 1\nbalance: {window: \"Sun 02:00-03:00 Europe/Paris\"}\n";
    static char rules[] = "version: 1\nrules:\n  - {name: stays, exclude: {vms: {names: [web]}}}\n";
    const struct policy_file files[] = {{a, version}, {b, rules}};
    struct core_effects fx = {0};
    struct policy p;
    struct err e = {0};
    *x = (struct record){.now_us = 100 * SEC};
    snprintf(x->dir, sizeof(x->dir), "/tmp/drover-replay-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    x->file = xasprintf("%s/events-000001.jsonl", x->dir);
    assert_int_equal(recorder_open(x->dir, &x->r, &e), 0);
    recorder_start(x->r, 1, x->now_us, x->now_us);
    assert_int_equal(policy_load_texts(files, 2, &p, &e), 0);
    recorder_policy(x->r, &p);
    x->core = core_new(&(struct core_config){.term = 1, .heartbeat_us = 5 * SEC, .seed = 1});
    const struct suspension s = {.on = true, .reason = a, .until_wall_us = x->now_us + 2 * SEC};
    recorder_state(x->r, &(struct recorder_state){
                             .kind = "suspension", .shape = &suspension_shape, .obj = &s});
    core_restore_suspension(x->core, &s);
    core_restore_policy(x->core, &p);
    core_restored(x->core, 1, x->now_us, x->now_us, &fx);
    recorder_restored(x->r, 1, core_effects_digest(&fx, 0));
    core_effects_done(&fx);
    step(x, &(struct core_event){
                .type = CEV_AGENT_UP, .host = "h1", .instance = "i", .sends_xml = true});
    struct report rep;
    shape_init(&report_shape, &rep);
    rep.full = true;
    const struct msg m = {.type = MSG_REPORT, .body = &rep};
    step(x, &(struct core_event){.type = CEV_MSG, .host = "h1", .msg = &m});
    xml_comes(x);
    struct request q;
    shape_init(&request_shape, &q);
    q.verb = VERB_CORDON;
    q.host = (char *)(uintptr_t) "h1";
    q.actor = (char *)(uintptr_t) "tester";
    step(x, &(struct core_event){.type = CEV_REQUEST, .request_id = 1, .request = &q});
    recorder_close(x->r);
    core_free(x->core);
}

static void record_done(struct record *x)
{
    unlink(x->file);
    rmdir(x->dir);
    free(x->file);
}

static int replay(const struct record *x)
{
    char *argv[] = {(char *)(uintptr_t) "replay", (char *)(uintptr_t) "--quiet", x->file, NULL};
    optind = 1;
    return sim_cmd_replay(3, argv);
}

static void rewrite(const struct record *x, const char *old, const char *now)
{
    cleanup(freep) char *text = NULL;
    size_t len;
    assert_int_equal(file_read(x->file, 1 << 20, &text, &len, NULL), 0);
    char *at = strstr(text, old);
    assert_non_null(at);
    assert_int_equal(strlen(old), strlen(now));
    memcpy(at, now, strlen(now));
    assert_int_equal(file_write(x->file, text, len, 0600, NULL), 0);
}

static void the_same_is_decided_again(void **state)
{
    (void)state;
    struct record x;
    make_record(&x);
    assert_int_equal(replay(&x), SIM_OK);
    record_done(&x);
}

/* The zone is in the record: one that the system does not know is as good. */
static void zones_are_recorded(void **state)
{
    (void)state;
    struct record x;
    make_record(&x);
    rewrite(&x, "02:00-03:00 Europe/Paris", "02:00-03:00 Europe/Sirap");
    rewrite(&x, "\"name\":\"Europe/Paris\"", "\"name\":\"Europe/Sirap\"");
    assert_int_equal(replay(&x), SIM_OK);
    rewrite(&x, "\"name\":\"Europe/Sirap\"", "\"name\":\"Europe/Paris\"");
    assert_int_equal(replay(&x), SIM_BAD);
    record_done(&x);
}

static void another_decision_is_found(void **state)
{
    (void)state;
    struct record x;
    make_record(&x);
    rewrite(&x, "\"verb\":\"cordon\"", "\"verb\":\"resume\"");
    assert_int_equal(replay(&x), SIM_WRONG);
    record_done(&x);
}

static void what_is_no_record_is_refused(void **state)
{
    (void)state;
    struct record x;
    make_record(&x);
    rewrite(&x, "\"ev\":\"start\"", "\"ev\":\"stern\"");
    assert_int_equal(replay(&x), SIM_BAD);
    record_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_is_decided_again),
        cmocka_unit_test(zones_are_recorded),
        cmocka_unit_test(another_decision_is_found),
        cmocka_unit_test(what_is_no_record_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
