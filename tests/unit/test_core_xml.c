/* The core and the texts of VMs' XML: what it asks for, of whom, how much at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "scheduler/core/core.h"

struct world {
    struct core *core;
    struct core_effects fx; /* of the last step */
    int64_t now_us;
};

static void step(struct world *w, struct core_event *ev)
{
    core_effects_done(&w->fx);
    ev->now_us = ev->wall_us = w->now_us;
    core_step(w->core, ev, &w->fx);
}

static void tick(struct world *w, int64_t after_us)
{
    w->now_us += after_us;
    step(w, &(struct core_event){.type = CEV_TICK});
}

static void begin(struct world *w)
{
    w->core = core_new(&(struct core_config){.term = 3, .heartbeat_us = 5 * SEC, .seed = 1});
    core_restored(w->core, 1, 0, 0, &w->fx);
}

static void end(struct world *w)
{
    core_effects_done(&w->fx);
    core_free(w->core);
}

/* A host with one VM, whose live XML is called NAME-live. */
static void report(struct world *w, const char *host, const char *live)
{
    struct report r = {.seq = 1, .full = true};
    struct vm v;
    shape_init(&vm_shape, &v);
    v.uuid = xasprintf("uuid-%s", host);
    v.name = xasprintf("vm-%s", host);
    v.state = VM_RUNNING;
    v.xml_digest = xstrdup(live);
    r.vms = &v;
    r.n_vms = 1;
    struct msg m = {.type = MSG_REPORT, .body = &r};
    step(w, &(struct core_event){.type = CEV_MSG, .host = host, .msg = &m});
    shape_done(&vm_shape, &v);
}

static void up(struct world *w, const char *host, const char *live, bool sends)
{
    step(w, &(struct core_event){
                .type = CEV_AGENT_UP, .host = host, .instance = "i", .sends_xml = sends});
    report(w, host, live);
}

static void lacking(struct world *w, const char *host, const char *digest)
{
    struct xml_names n = {.digests = (char *[]){(char *)(uintptr_t)digest}, .n_digests = 1};
    step(w, &(struct core_event){.type = CEV_XML_LACKS, .host = host, .xml = &n});
}

/* Id of the question that the last step sent to host, 0: none. */
static int64_t asked(const struct world *w, const char *host)
{
    for (size_t i = 0; i < w->fx.n_fx; i++)
        if (w->fx.fx[i].type == FX_SEND && w->fx.fx[i].msg.type == MSG_SEND_XML &&
            str_eq(w->fx.fx[i].host, host))
            return w->fx.fx[i].msg.id;
    return 0;
}

static size_t count(const struct world *w, enum core_fx_type type)
{
    size_t n = 0;
    for (size_t i = 0; i < w->fx.n_fx; i++)
        n += w->fx.fx[i].type == type;
    return n;
}

static void answer(struct world *w, const char *host, int64_t re, const char *digest, bool there)
{
    struct xml_texts x = {0};
    struct xml_text *t = vec_add(&x.texts, &x.n_texts);
    *t = (struct xml_text){xstrdup(digest), there ? xstrdup("") : NULL};
    struct msg m = {.re = re, .type = MSG_XML, .body = &x};
    step(w, &(struct core_event){.type = CEV_MSG, .host = host, .msg = &m});
    shape_done(&xml_texts_shape, &x);
}

static void asked_once(void **state)
{
    (void)state;
    struct world w = {0};
    begin(&w);
    up(&w, "h1", "d1", true);
    lacking(&w, "h1", "d1");
    assert_int_equal(core_xml_lacks(w.core, NULL), 1);
    tick(&w, SEC);
    assert_int_equal(asked(&w, "h1"), 0); /* the fleet is coming back yet */
    tick(&w, 20 * SEC);
    int64_t id = asked(&w, "h1");
    assert_true(id > 0);
    tick(&w, SEC);
    assert_int_equal(asked(&w, "h1"), 0);
    answer(&w, "h1", id, "d1", true);
    assert_int_equal(count(&w, FX_SAVE_XML), 1);
    assert_string_equal(w.fx.fx[0].digest, "d1");
    answer(&w, "h1", id, "d1", true); /* twice */
    assert_int_equal(count(&w, FX_SAVE_XML), 0);
    tick(&w, 100 * SEC);
    assert_int_equal(asked(&w, "h1"), 0);
    assert_int_equal(core_xml_lacks(w.core, NULL), 0);
    end(&w);
}

static void what_was_not_asked_for_is_not_kept(void **state)
{
    (void)state;
    struct world w = {0};
    begin(&w);
    up(&w, "h1", "d1", true);
    up(&w, "h2", "d2", true);
    lacking(&w, "h1", "d1");
    lacking(&w, "h2", "d2");
    tick(&w, 20 * SEC);
    int64_t id = asked(&w, "h1");
    assert_true(id > 0 && asked(&w, "h2") > 0);
    answer(&w, "h1", id, "d2", true); /* another's */
    assert_int_equal(count(&w, FX_SAVE_XML), 0);
    assert_int_equal(core_xml_lacks(w.core, NULL), 2);
    end(&w);
}

static void silence_is_asked_again_later(void **state)
{
    (void)state;
    struct world w = {0};
    begin(&w);
    up(&w, "h1", "d1", true);
    lacking(&w, "h1", "d1");
    tick(&w, 20 * SEC);
    assert_true(asked(&w, "h1") > 0);
    tick(&w, 11 * SEC); /* too late */
    assert_int_equal(asked(&w, "h1"), 0);
    tick(&w, 61 * SEC);
    assert_true(asked(&w, "h1") > 0);
    int64_t quiet = 0;
    assert_int_equal(core_xml_lacks(w.core, &quiet), 1);
    assert_true(quiet > 60 * SEC);
    end(&w);
}

/* Its agent has it no more: a report with the new name is under way, and only that is asked for. */
static void gone_is_not_asked_for_again(void **state)
{
    (void)state;
    struct world w = {0};
    begin(&w);
    up(&w, "h1", "d1", true);
    lacking(&w, "h1", "d1");
    tick(&w, 20 * SEC);
    answer(&w, "h1", asked(&w, "h1"), "d1", false);
    assert_int_equal(count(&w, FX_SAVE_XML), 0);
    tick(&w, 100 * SEC);
    assert_int_equal(asked(&w, "h1"), 0);
    report(&w, "h1", "d2");
    assert_int_equal(core_xml_lacks(w.core, NULL), 0); /* of d2 the store has not been asked yet */
    lacking(&w, "h1", "d1");                           /* late: nobody has that name */
    assert_int_equal(core_xml_lacks(w.core, NULL), 0);
    lacking(&w, "h1", "d2");
    tick(&w, SEC);
    assert_true(asked(&w, "h1") > 0);
    end(&w);
}

static void older_agents_are_not_asked(void **state)
{
    (void)state;
    struct world w = {0};
    begin(&w);
    up(&w, "h1", "d1", false);
    lacking(&w, "h1", "d1");
    tick(&w, 20 * SEC);
    assert_int_equal(asked(&w, "h1"), 0);
    up(&w, "h1", "d1", true); /* upgraded */
    tick(&w, SEC);
    assert_true(asked(&w, "h1") > 0);
    end(&w);
}

static void a_few_at_a_time(void **state)
{
    enum { HOSTS = 11 };
    (void)state;
    struct world w = {0};
    char host[16], digest[16];
    int times[HOSTS] = {0};
    begin(&w);
    for (int i = 0; i < HOSTS; i++) {
        snprintf(host, sizeof(host), "h%02d", i);
        snprintf(digest, sizeof(digest), "d%02d", i);
        up(&w, host, digest, true);
        lacking(&w, host, digest);
    }
    w.now_us = 20 * SEC;
    for (int round = 0; round < 4; round++) {
        tick(&w, SEC);
        size_t sent = count(&w, FX_SEND);
        assert_true(sent <= 4);
        int64_t ids[HOSTS];
        for (int i = 0; i < HOSTS; i++) {
            snprintf(host, sizeof(host), "h%02d", i);
            ids[i] = asked(&w, host);
        }
        for (int i = 0; i < HOSTS; i++) {
            snprintf(host, sizeof(host), "h%02d", i);
            snprintf(digest, sizeof(digest), "d%02d", i);
            times[i] += ids[i] > 0;
            if (ids[i])
                answer(&w, host, ids[i], digest, true);
        }
    }
    for (int i = 0; i < HOSTS; i++)
        assert_int_equal(times[i], 1);
    assert_int_equal(core_xml_lacks(w.core, NULL), 0);
    end(&w);
}

/* The check of a host is a question of an operator: what it lacks waits. */
static void who_owes_an_answer_is_left_alone(void **state)
{
    (void)state;
    struct world w = {0};
    begin(&w);
    up(&w, "h1", "d1", true);
    w.now_us = 20 * SEC;
    struct request q;
    shape_init(&request_shape, &q);
    q.verb = VERB_CHECK_HOST;
    q.host = xstrdup("h1");
    step(&w, &(struct core_event){.type = CEV_REQUEST, .request_id = 1, .request = &q});
    assert_int_equal(count(&w, FX_SEND), 1);
    int64_t check = w.fx.fx[0].msg.id;
    lacking(&w, "h1", "d1");
    tick(&w, SEC);
    assert_int_equal(asked(&w, "h1"), 0);
    struct host_checked c = {0};
    struct msg m = {.re = check, .type = MSG_HOST_CHECKED, .body = &c};
    step(&w, &(struct core_event){.type = CEV_MSG, .host = "h1", .msg = &m});
    tick(&w, SEC);
    assert_true(asked(&w, "h1") > 0);
    shape_done(&request_shape, &q);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_once),
        cmocka_unit_test(what_was_not_asked_for_is_not_kept),
        cmocka_unit_test(silence_is_asked_again_later),
        cmocka_unit_test(gone_is_not_asked_for_again),
        cmocka_unit_test(older_agents_are_not_asked),
        cmocka_unit_test(a_few_at_a_time),
        cmocka_unit_test(who_owes_an_answer_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
